/** What Felix takes from the cluster's objects. */
import { describe, expect, it } from 'vitest'
import { CALICO_3_32 } from '../../../src/calico/version.js'
import { compilePolicies } from '../../../src/calico/felix/felix.js'
import { workloadLabels } from '../../../src/calico/felix/endpoint-index.js'
import { policyInputs, routeInputs } from '../../../src/calico/felix/inputs.js'
import { serviceSet } from '../../../src/calico/felix/rule-scanner.js'
import { readManifests } from '../../../src/cluster/manifest.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import { pool, prefix } from '../kit.js'
import { manifest, podEndpoint } from './manifest.js'

const TEXT = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: seller, namespace: shop, labels: {role: sales}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.0.0.9], conditions: {ready: false}}
- {addresses: [10.0.0.8]}
ports: [{name: http, port: 8080, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.10]}]
`
const pods = [podEndpoint({ name: 'a', namespace: 'shop', address: '10.0.0.8', interfaceName: 'cali1', serviceAccount: 'seller' })]
const { objects } = readManifests([{ file: 'all.yaml', text: TEXT }], new ProblemList())
const cluster = { resources: manifest('').resources, namespaces: [{ name: 'shop', labels: { team: 'x' } }], objects, workloadEndpoints: pods }

describe('objects of the cluster', () => {
  const policies = compilePolicies(policyInputs(cluster, CALICO_3_32))

  it('services: every endpoint, ready or not; a slice without ports has no ip,port', () => {
    expect(policies.index.membersOf(serviceSet('shop/web', true))).toEqual(['10.0.0.8,tcp:8080', '10.0.0.8,udp:53', '10.0.0.9,tcp:8080', '10.0.0.9,udp:53'])
    expect(policies.index.membersOf(serviceSet('shop/web', false))).toEqual(['10.0.0.8', '10.0.0.9', '10.0.0.10'])
    expect(policies.index.membersOf(serviceSet('shop/other', true))).toEqual([])
  })

  it('labels of namespaces and service accounts', () => {
    expect(policies.profileLabels.get('kns.shop')).toEqual({ 'pcns.team': 'x', 'pcns.projectcalico.org/name': 'shop' })
    expect(policies.profileLabels.get('ksa.shop.seller')).toEqual({ 'pcsa.role': 'sales', 'pcsa.projectcalico.org/name': 'seller' })
  })

  it('labels of a workload: none that pretends to be inherited; the service account however long its name', () => {
    const long = 'a'.repeat(70)
    expect(workloadLabels({ labels: { app: 'x', 'pcns.team': 'y', 'pcsa.role': 'z' }, serviceAccount: long })).toEqual({
      app: 'x',
      'projectcalico.org/serviceaccount': long,
    })
    expect(workloadLabels({ labels: { app: 'x' } })).toEqual({ app: 'x' })
  })

  it('routes', () => {
    const resources = { ...cluster.resources, ipPools: [pool('10.0.0.0/16', { vxlanMode: 'Always' })] }
    const inputs = routeInputs({ ...cluster, resources }, { blocks: [{ cidr: prefix('10.0.0.0/26'), node: 'n1' }], nodes: [] })
    expect(inputs.workloads).toEqual([{ address: prefix('10.0.0.8/32').base, node: 'n1' }])
  })
})
