/**
 * A packet's walk: pod to pod over flannel's VXLAN, two hosts, ten devices, conntrack on, as reference figures for the kernel are
 * measured (64 bytes of UDP payload). Traced: with its steps, and with a copy of every frame; FORWARD with 0 to 2,000 rules that do
 * not match on both hosts.
 */
import { buildCluster } from '../src/cluster/cluster.js'
import { ipLocalOut } from '../src/net/ip-output.js'
import type { Netns } from '../src/net/netns.js'
import { buildNetwork } from '../src/network/build-network.js'
import type { Network } from '../src/network/network.js'
import { IPV4_HEADER, PROTO_UDP } from '../src/wire/packet.js'
import type { Suite } from './suite.js'

const PAYLOAD = 64
const BATCH = 200

interface Way {
  readonly name: string
  readonly rules: number
  readonly trace: number
  readonly taps: number
}

const WAYS: readonly Way[] = [
  { name: 'steps, no rules', rules: 0, trace: 1, taps: 0 },
  { name: 'steps and frames, no rules', rules: 0, trace: 1, taps: 1 },
  { name: 'no trace, no rules', rules: 0, trace: 0, taps: 0 },
  { name: 'steps, 20 rules', rules: 20, trace: 1, taps: 0 },
  { name: 'steps, 200 rules', rules: 200, trace: 1, taps: 0 },
  { name: 'steps, 2000 rules', rules: 2000, trace: 1, taps: 0 },
]

/** The kernel measurement's mix: a source, a TCP port, a UDP port, a source with a comment and a state. */
function rule(index: number): string {
  const address = `10.99.${(index >> 8) & 255}.${index & 255}`
  switch (index % 4) {
    case 0:
      return `-A FORWARD -s ${address} -j DROP`
    case 1:
      return `-A FORWARD -p tcp --dport ${20000 + (index % 10000)} -j DROP`
    case 2:
      return `-A FORWARD -p udp --dport ${20000 + (index % 10000)} -j DROP`
    default:
      return `-A FORWARD -s ${address} -m comment --comment r${index} -m conntrack --ctstate NEW -j DROP`
  }
}

function document(rules: number): string {
  const inserted = Array.from({ length: rules }, (_, index) => `-I ${rule(rules - 1 - index).slice(3)}`)
  const node = (name: string, address: string): object => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: { addresses: [{ type: 'InternalIP', address }] },
  })
  const pod = (name: string, nodeName: string): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { nodeName, containers: [{ name: 'c', image: 'x' }] },
  })
  const lease = (address: string, mac: string): string => JSON.stringify({ PublicIP: address, BackendType: 'vxlan', BackendData: { VtepMAC: mac } })
  const network = {
    apiVersion: 'netsim/v1',
    kind: 'Network',
    metadata: { name: 'default' },
    spec: {
      cni: 'flannel',
      datastore: 'etcd',
      runtime: { name: 'docker', iptables: false },
      kubeProxy: { mode: 'none' },
      etcd: {
        '/coreos.com/network/config': '{"Network":"10.1.0.0/16","Backend":{"Type":"vxlan"}}',
        '/coreos.com/network/subnets/10.1.15.0-24': lease('192.168.0.100', '02:00:00:00:00:0a'),
        '/coreos.com/network/subnets/10.1.20.0-24': lease('192.168.0.200', '02:00:00:00:00:0b'),
      },
      hosts: ['n1', 'n2'].map((name) => ({ node: name, iptables: inserted })),
    },
  }
  const documents = [node('n1', '192.168.0.100'), node('n2', '192.168.0.200'), pod('a', 'n1'), pod('b', 'n2'), network]
  return documents.map((one) => JSON.stringify(one)).join('\n---\n')
}

function buildWorld(rules: number): Network {
  const { cluster } = buildCluster([{ file: 'bench', text: document(rules) }])
  return buildNetwork(cluster, { seed: 1 }).network
}

/** One packet from pod a to pod b; the warm world keeps its connections and neighbours. */
function send(network: Network, source: Netns, destination: number): number {
  const { world } = network
  world.trace.clear()
  const packet = world.packets.take()
  packet.id = 1
  packet.proto = PROTO_UDP
  packet.dst = destination
  packet.sport = 40000
  packet.dport = 9000
  packet.ttl = 64
  packet.payloadLength = PAYLOAD
  packet.ipLength = IPV4_HEADER + 8 + PAYLOAD
  world.live++
  ipLocalOut(packet, source, null, 0)
  world.drain()
  while (world.live > 0 && world.sim.step());
  return world.trace.endCount
}

function forwardSuite(): Suite {
  const networks = new Map<number, Network>()
  const cases = WAYS.map((way) => {
    const network = networks.get(way.rules) ?? buildWorld(way.rules)
    networks.set(way.rules, network)
    const [from, to] = network.pods
    const source = network.netns(from.dataplane.netns) as Netns
    return {
      name: way.name,
      operations: BATCH,
      run: () => {
        network.world.trace.on = way.trace
        network.world.trace.taps = way.taps
        let ends = 0
        for (let i = 0; i < BATCH; i++) ends += send(network, source, to.address)
        if (way.trace === 1 && ends !== BATCH) throw new Error(`${way.name}: ${ends} of ${BATCH} packets arrived`)
        return ends
      },
    }
  })
  return { name: 'forward over vxlan, a packet', base: 'steps, no rules', cases }
}

export const suites: readonly Suite[] = [forwardSuite()]
