/**
 * Two hosts with a pod each, and one packet between them: what bench/forward.ts times and bench/kernel/ holds beside the kernel. Built as any
 * cluster is; the rules are the owner's own, in FORWARD before the agents', and none of them matches.
 */
import { buildCluster } from '../src/cluster/cluster.js'
import { ipLocalOut } from '../src/net/ip-output.js'
import type { Netns, World } from '../src/net/netns.js'
import { buildNetwork } from '../src/network/build-network.js'
import type { Network } from '../src/network/network.js'
import { IPV4_HEADER, PROTO_UDP } from '../src/wire/packet.js'

/** Bytes behind the UDP header. */
export const PAYLOAD = 64
export const PORT = 9000

export const PATHS = ['flannel vxlan', 'flannel host-gw', 'flannel udp', 'Calico, no overlay'] as const
export type PathName = (typeof PATHS)[number]

/** The kernel measurement's mix: a source, a TCP port, a UDP port, a source with a comment and a state. */
function rule(index: number): string {
  const address = `10.99.${(index >> 8) & 255}.${index & 255}`
  switch (index % 4) {
    case 0:
      return `-I FORWARD -s ${address} -j DROP`
    case 1:
      return `-I FORWARD -p tcp --dport ${20000 + (index % 10000)} -j DROP`
    case 2:
      return `-I FORWARD -p udp --dport ${20000 + (index % 10000)} -j DROP`
    default:
      return `-I FORWARD -s ${address} -m comment --comment r${index} -m conntrack --ctstate NEW -j DROP`
  }
}

const LEASES = {
  '/coreos.com/network/subnets/10.1.15.0-24': ['192.168.0.100', '02:00:00:00:00:0a'],
  '/coreos.com/network/subnets/10.1.20.0-24': ['192.168.0.200', '02:00:00:00:00:0b'],
}

function flannelSpec(backend: string): object {
  const lease = ([address, mac]: readonly string[]): string =>
    JSON.stringify({ PublicIP: address, BackendType: backend, ...(backend === 'vxlan' ? { BackendData: { VtepMAC: mac } } : {}) })
  return {
    cni: 'flannel',
    datastore: 'etcd',
    runtime: { name: 'docker', iptables: false },
    etcd: {
      '/coreos.com/network/config': `{"Network":"10.1.0.0/16","Backend":{"Type":"${backend}"}}`,
      ...Object.fromEntries(Object.entries(LEASES).map(([key, value]) => [key, lease(value)])),
    },
  }
}

const CALICO_POOL = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'IPPool',
  metadata: { name: 'pool' },
  spec: { cidr: '10.1.0.0/16', ipipMode: 'Never', vxlanMode: 'Never', natOutgoing: true },
}

function documents(path: PathName, rules: number): readonly object[] {
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
  const inserted = Array.from({ length: rules }, (_, index) => rule(rules - 1 - index))
  const network = {
    apiVersion: 'netsim/v1',
    kind: 'Network',
    metadata: { name: 'default' },
    spec: {
      ...(path === 'Calico, no overlay' ? { cni: 'calico' } : flannelSpec(path.slice('flannel '.length))),
      kubeProxy: { mode: 'none' },
      hosts: ['n1', 'n2'].map((name) => ({ node: name, iptables: inserted })),
    },
  }
  return [
    node('n1', '192.168.0.100'),
    node('n2', '192.168.0.200'),
    pod('a', 'n1'),
    pod('b', 'n2'),
    ...(path === 'Calico, no overlay' ? [CALICO_POOL] : []),
    network,
  ]
}

/** @throws Error when the cluster is not taken as it is */
export function forwardNetwork(path: PathName, rules: number): Network {
  const text = documents(path, rules)
    .map((one) => JSON.stringify(one))
    .join('\n---\n')
  const { cluster, problems } = buildCluster([{ file: 'bench', text }])
  const wrong = problems.find(({ severity }) => severity === 'error')
  if (wrong !== undefined) throw new Error(wrong.what)
  return buildNetwork(cluster, { seed: 1 }).network
}

/** One packet from the first pod; the warm world keeps its connections and neighbours. @returns how many ends it came to */
export function sendOne(network: Network, source: Netns, destination: number): number {
  const { world } = network
  world.trace.clear()
  sendFrom(world, source, destination)
  while (world.live > 0 && world.sim.step());
  return world.trace.endCount
}

/** The packet sets out, and goes as far as it comes without waiting. */
export function sendFrom(world: World, source: Netns, destination: number): void {
  const packet = world.packets.take()
  packet.id = 1
  packet.proto = PROTO_UDP
  packet.dst = destination
  packet.sport = 40000
  packet.dport = PORT
  packet.ttl = 64
  packet.payloadLength = PAYLOAD
  packet.ipLength = IPV4_HEADER + 8 + PAYLOAD
  world.live++
  ipLocalOut(packet, source, null, 0)
  world.drain()
}
