/**
 * A random cluster of Calico's or Canal's with random packets, in the shape of random-world.ts: pools, Felix's settings, BGP over a fabric, pods with
 * labels, policies (random-policies.ts).
 *
 *   seed ─▶ cluster drawn ─▶ built by netsim once, for the addresses that IPAM gives ─▶ probes drawn ─▶ WorldDraft
 */
import { formatIp } from '../../src/base/ip.js'
import { hasErrors } from '../../src/base/problem.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { buildNetwork } from '../../src/network/build-network.js'
import { Draw } from './draw.js'
import { rawPacket } from './random-packets.js'
import { APPS, calicoResource, NAMED_PORTS, NAMESPACES, policyResources, PORTS, ROLES } from './random-policies.js'
import { iptablesCommands } from './random-rules.js'
import {
  manifestOf,
  type NodeDraft,
  type PodDraft,
  type ProbeDraft,
  type ResourceDraft,
  type SegmentDraft,
  type WorldDraft,
  type WorldOptions,
} from './random-world.js'

const MTUS = [1500, 1500, 1500, 1450, 9000] as const
const ROUTER_ASN = 64600

/** How pods' packets get from node to node; IPIP and WireGuard this kernel may lack. */
type Mode = 'none' | 'vxlan' | 'vxlan-cross-subnet' | 'fabric' | 'canal'

export function randomCalicoWorld(seed: number, { probes, odd = false }: WorldOptions): WorldDraft {
  const draw = new Draw(seed ^ 0x0ca11c0)
  const segments = draw.times(draw.chance(40) ? 2 : 1, (index) => ({ name: `s${index}`, cidr: `192.168.${10 + index}.0/24`, mtu: draw.pick(MTUS) }))
  const mode = draw.weighted<Mode>([
    [3, segments.length > 1 ? 'fabric' : 'none'],
    [3, 'vxlan'],
    [2, 'vxlan-cross-subnet'],
    [3, 'canal'],
  ])
  const nodes = draw.times(draw.int(1, 3), (index) => nodeDraft(draw, index, segments))
  const pods = nodes.flatMap((node) => draw.times(draw.int(1, 3), (index) => podDraft(draw, node, index)))
  const draft: WorldDraft = {
    seed,
    cni: mode === 'canal' ? 'canal' : 'calico',
    backend: { Type: 'vxlan' },
    version: '0.25.1',
    ipMasq: true,
    runtime: { name: 'cni' },
    segments,
    router: { iptables: [], routes: [], ...(mode === 'fabric' ? { asn: ROUTER_ASN } : {}) },
    nodes,
    pods,
    hosts: [],
    resources: [...NAMESPACES, ...networkResources(draw, mode, segments), ...settings(draw, mode), ...policyResources(draw, nodes)],
    probes: [],
  }
  const known = addressesOf(draft)
  const around = {
    devices: ['eth0', 'cali+'],
    nodes: nodes.map(({ address }) => address),
    others: ['192.168.10.99'],
    pods: known.pods,
    nets: ['10.244.0.0/16', '192.168.10.0/24'],
  }
  const hosts = draw.some(nodes, 0, draw.chance(25) ? nodes.length : 0).map(({ name }) => ({
    node: name,
    sysctls: draw.chance(50) ? [[`net.ipv4.conf.${draw.pick(['all', 'default', 'eth0'])}.rp_filter`, draw.pick([0, 1, 2])] as const] : [],
    ipset: [],
    iptables: known.pods.length === 0 ? [] : iptablesCommands(draw, { ...around, ports: PORTS, mtu: 1400 }, draw.int(1, 4)),
    ip: [],
  }))
  return { ...draft, hosts, probes: draw.times(probes, () => probeDraft(draw, draft, { known, odd })) }
}

function nodeDraft(draw: Draw, index: number, segments: readonly SegmentDraft[]): NodeDraft {
  const segment = segments[index % segments.length]
  return {
    name: `n${index + 1}`,
    address: `${segment.cidr.slice(0, segment.cidr.lastIndexOf('.'))}.${11 + index}`,
    cardMtu: segment.mtu,
    subnet: `10.244.${index + 1}.0/24`,
    labels: { rack: draw.pick(['a', 'b']), ...(draw.chance(50) ? { host: 'edge' } : {}) },
  }
}

function podDraft(draw: Draw, node: NodeDraft, index: number): PodDraft {
  const named = NAMED_PORTS.filter(() => draw.chance(40)).map(([name, protocol, port]) => ({ name, protocol, containerPort: port }))
  return {
    name: `${node.name}-${index}`,
    namespace: draw.pick(['default', 'default', 'prod']),
    node: node.name,
    labels: { app: draw.pick(APPS), ...(draw.chance(50) ? { role: draw.pick(ROLES) } : {}) },
    ports: named,
    ...(draw.chance(30) ? { serviceAccountName: 'seller' } : {}),
  }
}

function networkResources(draw: Draw, mode: Mode, segments: readonly SegmentDraft[]): ResourceDraft[] {
  if (mode === 'canal') return []
  const vxlanMode = mode === 'vxlan' ? 'Always' : mode === 'vxlan-cross-subnet' ? 'CrossSubnet' : 'Never'
  const pools = [
    { name: 'first', cidr: '10.244.0.0/17' },
    { name: 'second', cidr: '10.244.128.0/17' },
  ].slice(0, draw.chance(30) ? 2 : 1)
  return [
    ...pools.map(({ name, cidr }) =>
      calicoResource('IPPool', name, {
        cidr,
        ipipMode: 'Never',
        vxlanMode,
        natOutgoing: draw.chance(60),
        blockSize: draw.pick([26, 26, 27, 28, 29]),
        ...(draw.chance(10) ? { disableBGPExport: true } : {}),
        ...(pools.length > 1 ? { namespaceSelector: name === 'first' ? "team == 'shop'" : "team != 'shop'" } : {}),
      }),
    ),
    ...(mode === 'fabric' ? fabricPeers(segments) : []),
  ]
}

/** Each node with the router of its segment; all in one AS, which the router's is not. */
function fabricPeers(segments: readonly SegmentDraft[]): ResourceDraft[] {
  return segments.map(({ name, cidr }) =>
    calicoResource('BGPPeer', `tor-${name}`, { peerIP: `${cidr.slice(0, cidr.lastIndexOf('.'))}.1`, asNumber: ROUTER_ASN }),
  )
}

function settings(draw: Draw, mode: Mode): ResourceDraft[] {
  const some: Readonly<Record<string, () => unknown>> = {
    defaultEndpointToHostAction: () => draw.pick(['Drop', 'Accept', 'Return', 'Reject']),
    iptablesFilterAllowAction: () => draw.pick(['Accept', 'Return']),
    iptablesMangleAllowAction: () => draw.pick(['Accept', 'Return']),
    // not iptablesFilterDenyAction Reject: the kernel refuses Felix's raw table then (felix.ts says so)
    maxIpsetSize: () => draw.pick([1048576, 4096]),
    chainInsertMode: () => draw.pick(['Insert', 'Append']),
    natPortRange: () => '40000:40100',
    natOutgoingExclusions: () => draw.pick(['IPPoolsOnly', 'IPPoolsAndHostIPs']),
    iptablesNATOutgoingInterfaceFilter: () => draw.pick(['eth0', 'cali+']),
    disableConntrackInvalidCheck: () => draw.chance(50),
    serviceLoopPrevention: () => draw.pick(['Drop', 'Reject', 'Disabled']),
    failsafeInboundHostPorts: () => draw.pick([[], [{ protocol: 'TCP', port: 80 }], [{ protocol: 'UDP', port: 53, net: '10.244.0.0/16' }]]),
    failsafeOutboundHostPorts: () => draw.pick([[], [{ protocol: 'UDP', port: 9000 }], [{ protocol: 'TCP', port: 80, net: '192.168.10.0/24' }]]),
    allowVXLANPacketsFromWorkloads: () => draw.chance(50),
    allowIPIPPacketsFromWorkloads: () => draw.chance(50),
    floatingIPs: () => 'Enabled',
    deviceRouteProtocol: () => draw.pick([3, 80, 99]),
    externalNodesList: () => ['192.168.10.99'],
    logPrefix: () => 'lost',
    ...(mode === 'canal' ? {} : { vxlanPort: () => draw.pick([4789, 8473]), vxlanVNI: () => draw.int(1, 5000), vxlanMTU: () => draw.pick([1400, 1300]) }),
  }
  const chosen = Object.entries(some).filter(() => draw.chance(12))
  if (chosen.length === 0) return []
  return [calicoResource('FelixConfiguration', 'default', Object.fromEntries(chosen.map(([name, value]) => [name, value()])))]
}

interface Known {
  /** In the order of the draft; a pod without an address is not there. */
  readonly addressOf: ReadonlyMap<string, string>
  readonly pods: readonly string[]
}

/** What IPAM gives: a draft without probes and hosts built once. */
function addressesOf(draft: WorldDraft): Known {
  const { cluster, problems } = buildCluster([{ file: 'drawn', text: manifestOf(draft) }])
  if (hasErrors(problems)) return { addressOf: new Map(), pods: [] }
  const { network } = buildNetwork(cluster, { seed: 1 })
  const addressOf = new Map(network.pods.map(({ pod, address }) => [`${pod.namespace}/${pod.name}`, formatIp(address)]))
  return { addressOf, pods: [...addressOf.values()] }
}

interface ProbeContext {
  readonly known: Known
  readonly odd: boolean
}

function probeDraft(draw: Draw, { nodes, pods }: WorldDraft, { known, odd }: ProbeContext): ProbeDraft {
  const names = pods.map(({ namespace = 'default', name }) => `${namespace}/${name}`)
  const nobody = ['10.244.200.5', '203.0.113.9', '192.168.10.99', '10.244.0.0', '169.254.1.1']
  const fromNode = draw.chance(20)
  const own = draw.pick(names)
  const from = fromNode ? `node/${draw.pick(nodes).name}` : own
  const destination = (name: string): string => known.addressOf.get(name) ?? '10.244.0.1'
  if (draw.chance(25)) {
    const to = draw.chance(80) ? destination(draw.pick(names)) : draw.pick([...nobody, ...nodes.map(({ address }) => address)])
    const place = { own: fromNode ? '0.0.0.0' : destination(own), destination: to, others: [...known.pods, ...nobody], odd }
    const packet = rawPacket(draw, place)
    return { kind: 'raw', source: from, packet: { ...packet, dport: draw.chance(70) ? draw.pick(PORTS) : packet.dport } }
  }
  const to = draw.weighted([
    [7, draw.pick(names)],
    [2, `node/${draw.pick(nodes).name}`],
    [1, draw.pick(nobody)],
  ])
  const proto = draw.weighted<'tcp' | 'udp' | 'icmp'>([
    [4, 'tcp'],
    [3, 'udp'],
    [2, 'icmp'],
  ])
  return {
    kind: 'ask',
    source: from,
    destination: proto === 'icmp' ? to : `${to}:${draw.pick(PORTS)}`,
    ...(proto === 'icmp' ? {} : { proto }),
    ...(draw.chance(15) ? { size: draw.int(60, 1600) } : {}),
    df: draw.chance(20),
    ttl: draw.chance(85) ? 64 : draw.int(1, 4),
    cold: draw.chance(10),
  }
}
