/** Manifests → names: Services, endpoints, StatefulSets and PetSets as the rest of the loader reads them. */
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../../src/base/ip.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { clusterDnsWorld } from '../../../src/cluster/dns/dns-world.js'
import { resolve, type Resolution } from '../../../src/cluster/dns/resolve.js'
import type { ClusterPod } from '../../../src/cluster/pod.js'
import { decode, encode, queryOf, type Message } from '../../../src/wire/dns.js'

const NODES = ['n1', 'n2']
  .map((name, i) => `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nstatus: {addresses: [{type: InternalIP, address: 192.168.10.1${i}}]}\n---\n`)
  .join('')
const DNS = `apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]}
---
`
const NGINX = `apiVersion: v1
kind: Service
metadata: {name: nginx, labels: {app: nginx}}
spec: {clusterIP: None, selector: {app: nginx}, ports: [{name: web, port: 80}]}
---
`
const set = (head: string): string => `${head}
metadata: {name: web}
spec:
  serviceName: nginx
  replicas: 3
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app: nginx}, annotations: {pod.alpha.kubernetes.io/initialized: "true"}}
    spec: {containers: [{name: nginx, image: nginx, ports: [{containerPort: 80, name: web}]}]}
---
`
const CLIENT = 'apiVersion: v1\nkind: Pod\nmetadata: {name: client}\nspec: {nodeName: n1, containers: [{name: c}]}\nstatus: {podIP: 10.244.0.99}\n---\n'

/** Pods without an address get 10.244.9.1 and on, in the order of the cluster. */
function lookUp(text: string, name: string): Resolution {
  const { cluster } = buildCluster([{ file: 't.yaml', text }])
  const drawn = new Map(cluster.pods.map((pod, index) => [pod, ip(`10.244.9.${index + 1}`)]))
  const addressOf = (pod: ClusterPod) => pod.address ?? drawn.get(pod)
  return resolve(clusterDnsWorld(cluster, addressOf), { pod: cluster.podByName.get('default/client') }, name)
}

describe('the pods of a set', () => {
  it.each(['apiVersion: apps/v1\nkind: StatefulSet', 'apiVersion: apps/v1beta1\nkind: StatefulSet', 'apiVersion: apps/v1alpha1\nkind: PetSet'])(
    'of %j have names of their own',
    (head) => {
      const text = NODES + DNS + NGINX + CLIENT + set(head)
      const all = lookUp(text, 'nginx')
      expect(all.addresses).toHaveLength(3)
      const each = [0, 1, 2].map((index) => lookUp(text, `web-${index}.nginx`))
      expect(each.map(({ outcome, why }) => [outcome, why[0].object.endsWith(`web`) || why[0].object.includes('web')])).toEqual(
        [1, 2, 3].map(() => ['found', true]),
      )
      expect(new Set(each.map(({ address }) => address))).toEqual(new Set(all.addresses))
      expect(lookUp(text, 'web-3.nginx').why[0].text).toContain('Service nginx has no endpoint web-3')
    },
  )
})

describe('a Service', () => {
  it('has the clusterIP that netsim drew, and it is called assumed', () => {
    const text = `${NODES}${DNS}${CLIENT}apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {selector: {app: api}, ports: [{port: 80}]}\n`
    const found = lookUp(text, 'api')
    expect([found.outcome, found.why[0]]).toMatchObject([
      'found',
      { object: 'Service/default/api', text: 'clusterIP (assumed: the object has none)', file: 't.yaml' },
    ])
    expect(formatIp(found.address ?? 0)).toMatch(/^10\./)
  })
})

describe('the query', () => {
  it('of each attempt has its octets on the wire', () => {
    const { queries } = lookUp(NODES + DNS + NGINX + CLIENT, 'www.example.com')
    const sent = queries.map(({ name, type }) => encode(queryOf({ name, type }, 7)))
    expect(sent.map(({ length }) => length)).toEqual(queries.map(({ name }) => 12 + name.length + 2 + 4))
    expect(sent.map((bytes) => (decode(bytes) as Message).questions[0].name)).toEqual(queries.map(({ name }) => name))
    expect(queries.map(({ server }) => server)).toEqual(queries.map(() => ip('10.96.0.10')))
  })
})
