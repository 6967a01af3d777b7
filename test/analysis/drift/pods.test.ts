/** What goes wrong inside of pods, and pods that the objects or the node do not have: each done to a rendered node, written as text, read back. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { driftOf } from '../../../src/analysis/drift/drift.js'
import { ip } from '../../../src/base/ip.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import type { Dataplane, DeviceSpec, SocketSpec } from '../../../src/dataplane/dataplane.js'
import { buildNetwork } from '../../../src/network/build-network.js'
import type { Network } from '../../../src/network/network.js'
import { asKubectlGives } from './as-kubectl-gives.js'
import { dumpOf } from './dump-kit.js'

const FILE = 'examples/services-flannel.yaml'
const networkOf = (text: string): Network => buildNetwork(buildCluster([{ file: FILE, text }]).cluster, { seed: 1 }).network
/** With the addresses of pods in their objects. */
const network = networkOf(asKubectlGives(networkOf(readFileSync(FILE, 'utf8')), (_, object) => object))
const POD = 'shop/api-0'

const eth0 =
  (change: (device: DeviceSpec) => DeviceSpec) =>
  (pod: Dataplane): Dataplane => ({ ...pod, devices: pod.devices.map((device) => (device.name === 'eth0' ? change(device) : device)) })

const listening = (...sockets: readonly string[]): Readonly<Record<string, string>> => ({
  'pods/INODE/sockets': ['Netid State Recv-Q Send-Q Local Peer', ...sockets.map((local) => `tcp LISTEN 0 128 ${local} 0.0.0.0:*`)].join('\n'),
})

interface Row {
  readonly name: string
  readonly change?: (pod: Dataplane) => Dataplane
  /** INODE is the pod's. */
  readonly files?: Readonly<Record<string, string>>
  readonly found: readonly string[]
  readonly what?: RegExp
  readonly command?: RegExp
}

const ROWS: readonly Row[] = [
  {
    name: 'eth0 down',
    change: (pod) => ({ ...eth0((device) => ({ ...device, up: false }))(pod), routes: pod.routes.filter(({ device }) => device !== 'eth0') }),
    found: ['ND102 error lost'],
    what: /in the pod shop\/api-0 eth0 is down/,
    command: /!= 40265320\d\d \] \|\| nsenter --net="\$n" ip link set dev eth0 up; done/,
  },
  {
    name: 'the default route gone',
    change: (pod) => ({ ...pod, routes: pod.routes.filter(({ destination }) => destination.length > 0) }),
    found: ['ND201 error lost'],
    what: /in the pod shop\/api-0 the default route is missing/,
    command: /ip route replace default via 10.244.1.1 dev eth0/,
  },
  {
    name: 'a route of somebody else',
    change: (pod) => ({ ...pod, routes: [...pod.routes, { destination: { base: ip('10.244.2.0'), length: 24 }, type: 'blackhole' }] }),
    found: ['ND204 error lost'],
    what: /in the pod shop\/api-0 there is a route to 10.244.2.0\/24 of the pods of node-2 that no agent makes/,
    command: /ip route del blackhole 10.244.2.0\/24/,
  },
  { name: 'an MTU too big', change: eth0((device) => ({ ...device, mtu: 9000 })), found: ['ND104 warning changed'], command: /ip link set dev eth0 mtu 1450/ },
  {
    name: 'another address',
    change: eth0((device) => ({ ...device, addresses: device.addresses.map((one) => ({ ...one, address: ip('10.244.1.77') })) })),
    found: ['ND107 error lost'],
    what: /eth0 has 10.244.1.77\/24 in place of 10.244.1.\d\/24/,
    command: /ip addr add 10.244.1.\d\/24 dev eth0/,
  },
  {
    name: 'nobody listens where its Services lead',
    files: listening('0.0.0.0:9999'),
    found: ['ND903 error lost'],
    what: /in the pod shop\/api-0 nobody listens, on tcp port \d+ that the Services? shop\/api/,
  },
  {
    name: 'a process on 127.0.0.1 alone',
    files: listening('127.0.0.1:8080'),
    found: ['ND903 error lost'],
    what: /only 127.0.0.1 is listened on, on tcp port 8080/,
  },
  { name: 'a process on all addresses', files: listening('*:8080', '[::]:8443'), found: [] },
]

/** Ports that Services lead to, as the row's text has them. */
function portsOf(sockets: readonly SocketSpec[]): string {
  return String(sockets[0].port)
}

describe('in a pod of a node', () => {
  it.each(ROWS)('$name', ({ change = (pod) => pod, files = {}, found, what, command }) => {
    const plan = network.nodePlan('node-1')
    if (plan === undefined) throw new Error('node-1')
    const at = plan.pods.findIndex(({ dataplane }) => dataplane.netns === POD)
    expect(at).toBeGreaterThanOrEqual(0)
    const port = portsOf(plan.pods[at].dataplane.sockets)
    const pods = plan.pods.map((pod) => (pod.dataplane.netns === POD ? { dataplane: change(pod.dataplane) } : pod))
    const own = Object.entries(files).map(([path, text]) => [path.replace('INODE', String(4026532000 + at)), text.replace(/\b8080\b/, port)])
    const collected = dumpOf(plan.dataplane, pods, { files: Object.fromEntries(own) as Record<string, string> })
    const { findings } = driftOf(network, [{ name: 'node-1', dataplane: collected.dataplane, collected }])
    expect(findings.map(({ code, severity, traffic }) => `${code} ${severity} ${traffic.verdict}`)).toEqual(found)
    if (what !== undefined) expect(findings[0].what).toMatch(new RegExp(what.source.replace('8080', port)))
    if (command !== undefined) expect(findings[0].commands.join('\n')).toMatch(command)
  })

  it('one that the node has not, and one that the cluster has not', () => {
    const plan = network.nodePlan('node-1')
    if (plan === undefined) throw new Error('node-1')
    const gone = plan.dataplane.devices.filter((device) => !(device.kind === 'veth' && device.peer.netns === POD))
    const node = { ...plan.dataplane, devices: gone, fdb: plan.dataplane.fdb.filter(({ device }) => gone.some(({ name }) => name === device)) }
    const stray = plan.pods.filter(({ dataplane }) => dataplane.netns === POD).map(({ dataplane }) => ({ dataplane: { ...dataplane, netns: 'shop/api-9' } }))
    const collected = dumpOf(node, [...plan.pods.filter(({ dataplane }) => dataplane.netns !== POD), ...stray])
    const { findings } = driftOf(network, [{ name: 'node-1', dataplane: collected.dataplane, collected }])
    expect(findings.map(({ code, what }) => `${code} ${what}`)).toEqual([
      expect.stringMatching(/^ND101 node-1: veth\w+ is missing \(the host's end of shop\/api-0's eth0\).*; and 1 more of the same$/),
      expect.stringMatching(/^ND902 node-1: the network of the pod shop\/api-9 \(10.244.1.\d\) is on the node, and the cluster has no such pod here$/),
    ])
  })
})
