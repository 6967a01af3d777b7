/** Ends of a question that are easy to get wrong: pods on their host's network, leases of another backend, IPv6 in brackets, MACs that no device has. */
import { describe, expect, it } from 'vitest'
import { formatProblem } from '../../src/base/problem.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { traceDocument } from '../../src/analysis/trace-report.js'
import { buildNetwork } from '../../src/network/build-network.js'
import { isOutcome } from '../../src/network/probe.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'

function built(backend: string, lease: string, more = ''): ReturnType<typeof buildNetwork> {
  const text = `
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.168.10.11}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: 192.168.10.12}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: n1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: agent}, spec: {nodeName: n2, hostNetwork: true${more}}}
---
apiVersion: netsim/v1
kind: Network
metadata: {name: default}
spec:
  cni: flannel
  datastore: etcd
  kubeProxy: {mode: none}
  flannel: {version: "0.22.3"}
  etcd:
    /coreos.com/network/config: '{"Network": "10.244.0.0/16", "Backend": {"Type": "${backend}"}}'
    /coreos.com/network/subnets/10.244.1.0-24: '{"PublicIP":"192.168.10.11","BackendType":"${backend}","BackendData":{"VtepMAC":"0e:00:00:00:00:01"}}'
    /coreos.com/network/subnets/10.244.2.0-24: '${lease}'
`
  return buildNetwork(buildCluster([{ file: 'c.yaml', text }]).cluster, { seed: 1 })
}

const VXLAN_LEASE = '{"PublicIP":"192.168.10.12","BackendType":"vxlan","BackendData":{"VtepMAC":"0e:00:00:00:00:02"}}'

function ask(destination: string, more = ''): { readonly disposition: string; readonly socket: string } {
  const { network } = built('vxlan', VXLAN_LEASE, more)
  const outcome = network.trace({ ...DEFAULT_REQUEST, source: 'a', destination })
  if (!isOutcome(outcome)) return { disposition: outcome.map(formatProblem).join('\n'), socket: '' }
  const { forward } = traceDocument(network, outcome)
  return { disposition: outcome.disposition, socket: forward.hops.flatMap(({ steps }) => steps).find(({ kind }) => kind === 'socket')?.text ?? '' }
}

describe('a pod on its host’s network', () => {
  it('that declares no port listens on the one it is asked by, and the step says that this is assumed', () => {
    expect(ask('agent:1234')).toEqual({ disposition: 'DELIVERED', socket: expect.stringContaining('assumed: the Pod declares no containerPort') as string })
  })

  it('opens nothing for whoever asks its host', () => expect(ask('node/n2:1234').disposition).toBe('NO_SOCKET'))

  it('that declares ports listens on those only', () => {
    const ports = ', containers: [{name: c, ports: [{containerPort: 80}]}]'
    expect([ask('agent:80', ports), ask('agent:81', ports)].map(({ disposition }) => disposition)).toEqual(['DELIVERED', 'NO_SOCKET'])
  })
})

describe('a lease that leads nowhere is named', () => {
  it.each(['vxlan', 'host-gw', 'ipip', 'wireguard'])('of udp, under %s', (backend) => {
    const texts = built(backend, '{"PublicIP":"192.168.10.12"}').problems.map(formatProblem)
    expect(texts.filter((text) => text.includes(`not ${backend}: flanneld ignores it`))).toHaveLength(1)
  })

  it.each(['ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00', '01:00:5e:00:00:01'])('whose VtepMAC is %s', (mac) => {
    const texts = built('vxlan', VXLAN_LEASE.replace('0e:00:00:00:00:02', mac)).problems.map(formatProblem)
    expect(texts).toEqual([expect.stringContaining('holds no VtepMAC that a device can have')])
  })
})

it('an IPv6 address in brackets, with a port, is not modelled rather than not found', () => {
  expect(ask('[fd00::1]:80').disposition).toContain('IPv6 is not modelled yet')
})
