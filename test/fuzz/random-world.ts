/**
 * A random cluster with random packets, as data that can be made smaller: what `npm run fuzz:kernel` plays on netsim and on the real kernel.
 *
 *   seed ─▶ WorldDraft ─▶ manifestOf: Nodes, Pods, the Network document (JSON, which is YAML) ─▶ netsim
 *                     └▶ probes: questions of `netsim trace`, and raw IP packets
 */
import { formatIp, ip } from '../../src/base/ip.js'
import { Draw } from './draw.js'
import { rawPacket, type RawPacket } from './random-packets.js'
import { ipCommands, iptablesCommands, sysctlsOf } from './random-rules.js'
import { ipsetCommands } from './random-sets.js'
import type { Surroundings } from './surroundings.js'

export interface SegmentDraft {
  readonly name: string
  readonly cidr: string
  readonly mtu: number
}

export interface NodeDraft {
  readonly name: string
  readonly address: string
  readonly cardMtu: number
  /** With the length, as flannel leases it. */
  readonly subnet: string
  readonly labels?: Readonly<Record<string, string>>
}

export interface PodDraft {
  readonly name: string
  readonly node: string
  /** Empty: every port. */
  readonly ports: readonly { readonly containerPort: number; readonly protocol: 'TCP' | 'UDP'; readonly name?: string }[]
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly serviceAccountName?: string
  readonly annotations?: Readonly<Record<string, string>>
}

export interface HostDraft {
  readonly node: string
  readonly sysctls: readonly (readonly [string, number])[]
  readonly ipset: readonly string[]
  readonly iptables: readonly string[]
  readonly ip: readonly string[]
}

export interface RouterDraft {
  readonly iptables: readonly string[]
  readonly routes: readonly string[]
  /** Speaks BGP. */
  readonly asn?: number
}

export interface AskDraft {
  readonly kind: 'ask'
  readonly source: string
  readonly destination: string
  readonly proto?: 'tcp' | 'udp' | 'icmp'
  readonly size?: number
  readonly df: boolean
  readonly ttl: number
  readonly cold: boolean
}

export interface RawDraft {
  readonly kind: 'raw'
  readonly source: string
  readonly packet: RawPacket
}

export type ProbeDraft = AskDraft | RawDraft

export interface WorldDraft {
  readonly seed: number
  readonly cni: 'flannel' | 'none' | 'calico' | 'canal'
  readonly backend: Readonly<Record<string, unknown>>
  readonly version: string
  readonly ipMasq: boolean
  readonly runtime: { readonly name: 'docker' | 'cni'; readonly iptables?: boolean; readonly dockerVersion?: string }
  readonly segments: readonly SegmentDraft[]
  readonly router: RouterDraft
  readonly nodes: readonly NodeDraft[]
  readonly pods: readonly PodDraft[]
  readonly hosts: readonly HostDraft[]
  /** Pools, policies, settings and whatever else of Kubernetes' and Calico's objects: of Calico's worlds (random-calico.ts). */
  readonly resources?: readonly ResourceDraft[]
  /** Hosts beyond the cluster, and what kube-proxy is told; without, it does not run: random-services.ts. */
  readonly outside?: readonly { readonly name: string; readonly address: string }[]
  readonly kubeProxy?: Readonly<Record<string, unknown>>
  readonly probes: readonly ProbeDraft[]
}

/** An object as it would stand in YAML. */
export interface ResourceDraft {
  readonly status?: Readonly<Record<string, unknown>>
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string } & Readonly<Record<string, unknown>>
  readonly spec?: Readonly<Record<string, unknown>>
}

export interface WorldOptions {
  readonly probes: number
  /** Packets that no sane sender sends: multicast and loopback sources, broadcast destinations, headers that lie of their length. */
  readonly odd?: boolean
}

const FLANNEL_NETWORK = '10.244.0.0/16'
const FLANNEL_VERSIONS = ['0.5.6', '0.9.1', '0.10.0', '0.11.0', '0.16.3', '0.20.2', '0.21.2', '0.22.3', '0.25.1', '0.28.4'] as const
const DOCKER_VERSIONS = ['1.12.6', '17.03', '19.03', '27.5', '28.0', '28.2'] as const
const MTUS = [1500, 1500, 1500, 1400, 1450, 1280, 9000, 600] as const

export function randomWorld(seed: number, { probes, odd = false }: WorldOptions): WorldDraft {
  const draw = new Draw(seed)
  const cni = draw.chance(85) ? 'flannel' : 'none'
  const segments = draw.times(draw.chance(40) ? 2 : 1, (index) => ({ name: `s${index}`, cidr: `192.168.${10 + index}.0/24`, mtu: draw.pick(MTUS) }))
  const nodes = draw.times(draw.int(1, 3), (index) => nodeDraft(draw, index, segments))
  const runtime = draw.chance(50)
    ? ({ name: 'docker', iptables: draw.chance(60), dockerVersion: draw.pick(DOCKER_VERSIONS) } as const)
    : ({ name: cni === 'none' ? 'docker' : 'cni' } as const)
  const pods = nodes.flatMap((node) => draw.times(draw.int(1, 2), (index) => podDraft(draw, node, index)))
  const draft: WorldDraft = {
    seed,
    cni,
    ...backendDraft(draw, segments.length === 1),
    ipMasq: draw.chance(60),
    runtime,
    segments,
    router: { iptables: [], routes: [] },
    nodes,
    pods,
    hosts: [],
    probes: [],
  }
  const around = surroundingsOf(draft)
  const hosts = draw
    .some(nodes, 0, nodes.length)
    .map((node) => hostDraft(draw, node.name, { ...around, others: [...around.nodes.filter((address) => address !== node.address), '192.168.10.99'] }))
  const router = segments.length === 2 && draw.chance(30) ? { iptables: iptablesCommands(draw, around, draw.int(1, 5)), routes: [] } : draft.router
  return { ...draft, hosts, router, probes: draw.times(probes, () => probeDraft(draw, draft, odd)) }
}

function nodeDraft(draw: Draw, index: number, segments: readonly SegmentDraft[]): NodeDraft {
  const segment = segments[index % segments.length]
  return {
    name: `n${index + 1}`,
    address: `${segment.cidr.slice(0, segment.cidr.lastIndexOf('.'))}.${11 + index}`,
    // mostly the segment's; a card that believes in more loses what the segment does not carry. No card believes in less: a veth, unlike a
    // real card, would not take in what is longer
    cardMtu: draw.chance(80) ? segment.mtu : draw.pick(MTUS.filter((mtu) => mtu >= segment.mtu)),
    subnet: `10.244.${index + 1}.0/24`,
  }
}

function podDraft(draw: Draw, node: NodeDraft, index: number): PodDraft {
  const ports = [
    { containerPort: 80, protocol: 'TCP' },
    { containerPort: 53, protocol: 'UDP' },
    { containerPort: 9000, protocol: 'UDP' },
  ] as const
  return { name: `${node.name}-${'ab'[index]}`, node: node.name, ports: draw.some(ports, 1, 3) }
}

function backendDraft(draw: Draw, oneSegment: boolean): Pick<WorldDraft, 'backend' | 'version'> {
  const type = draw.weighted([
    [5, 'vxlan'],
    [3, 'udp'],
    [oneSegment ? 3 : 1, 'host-gw'],
  ])
  if (type !== 'vxlan') return { backend: { Type: type }, version: draw.pick(FLANNEL_VERSIONS) }
  const backend = {
    Type: type,
    ...(draw.chance(30) ? { VNI: draw.int(1, 5000) } : {}),
    ...(draw.chance(20) ? { Port: draw.pick([4789, 8473]) } : {}),
    ...(draw.chance(30) ? { DirectRouting: true } : {}),
    ...(draw.chance(15) ? { GBP: true } : {}),
    ...(draw.chance(15) ? { MTU: draw.pick([1400, 1300, 1500]) } : {}),
  }
  return { backend, version: draw.pick(FLANNEL_VERSIONS.slice(1)) }
}

function surroundingsOf(draft: WorldDraft): Surroundings {
  const bridge = draft.runtime.name === 'docker' ? 'docker0' : 'cni0'
  const tunnel =
    draft.cni === 'none'
      ? []
      : draft.backend.Type === 'vxlan'
        ? [`flannel.${Number(draft.backend.VNI ?? 1)}`]
        : draft.backend.Type === 'udp'
          ? ['flannel0']
          : []
  const nets = draft.cni === 'none' ? ['172.17.0.0/16'] : draft.nodes.map(({ subnet }) => subnet)
  return {
    devices: ['eth0', bridge, ...tunnel],
    nodes: draft.nodes.map(({ address }) => address),
    others: [],
    pods: addressesOfPods(draft),
    nets: [...nets, FLANNEL_NETWORK, ...draft.segments.map(({ cidr }) => cidr)],
    ports: [80, 53, 9000, 8472, 40000, 1],
    mtu: Math.min(...draft.segments.map(({ mtu }) => mtu)),
  }
}

/** As the runtimes hand them out: from .2 on. */
function addressesOfPods({ cni, nodes, pods }: WorldDraft): string[] {
  return nodes.flatMap((node) =>
    pods
      .filter((pod) => pod.node === node.name)
      .map((_, index) => (cni === 'none' ? `172.17.0.${2 + index}` : `${node.subnet.slice(0, node.subnet.lastIndexOf('.'))}.${2 + index}`)),
  )
}

function hostDraft(draw: Draw, node: string, around: Surroundings): HostDraft {
  const ipset = draw.chance(40) ? ipsetCommands(draw, around) : []
  const sets = ipset.filter((line) => line.startsWith('create')).map((line) => ({ name: line.split(' ')[1], type: line.split(' ')[2] }))
  return {
    node,
    sysctls: sysctlsOf(draw, around),
    ipset,
    iptables: iptablesCommands(draw, around, draw.pick([1, 3, 5, 8, 12, 20]), sets),
    ip: draw.chance(30) ? ipCommands(draw, around) : [],
  }
}

function probeDraft(draw: Draw, world: WorldDraft, odd: boolean): ProbeDraft {
  const pods = addressesOfPods(world)
  const source = draw.int(0, world.pods.length - 1)
  const nobody = ['10.244.200.5', '203.0.113.9', '10.244.1.77', '192.168.10.99', '10.244.1.1', '10.244.2.0']
  const strange = ['10.244.1.255', '192.168.10.255', '255.255.255.255', '224.0.0.1', '239.1.2.3', '127.0.0.1', '0.0.0.0', '240.0.0.1']
  const destination = draw.weighted([
    [6, draw.pick(world.cni === 'none' ? world.nodes.map(({ address }) => address) : pods)],
    [2, draw.pick(world.nodes).address],
    [1, draw.pick(nobody)],
    [1, odd && draw.chance(50) ? draw.pick(strange) : draw.pick(nobody)],
  ])
  const fromNode = draw.chance(15)
  const node = draw.pick(world.nodes)
  const from = fromNode ? `node/${node.name}` : world.pods[source].name
  if (draw.chance(30)) {
    // a source of 0.0.0.0 the kernel fills in, and leaves the transport checksum as it was
    const nodes = draw.chance(30) ? formatIp(0) : node.address
    const own = fromNode ? nodes : world.cni === 'none' ? '172.17.0.2' : pods[source]
    return { kind: 'raw', source: from, packet: rawPacket(draw, { own, destination, others: [...pods, ...nobody], odd }) }
  }
  const proto = draw.pick(['icmp', 'udp', 'tcp'] as const)
  const port = draw.pick([80, 53, 9000, 7])
  const mtu = world.segments[0].mtu
  const size = draw.weighted([
    [4, undefined],
    [3, draw.int(60, 1600)],
    [3, draw.pick([mtu, mtu - 50, mtu - 28, mtu - 49, mtu - 27, mtu + 1])],
    [1, draw.int(1600, 9500)],
  ])
  return {
    kind: 'ask',
    source: from,
    destination: proto === 'icmp' ? destination : `${destination}:${port}`,
    ...(proto === 'icmp' ? {} : { proto }),
    ...(size === undefined ? {} : { size: Math.max(size, 60) }),
    df: draw.chance(25),
    ttl: draw.weighted([
      [8, 64],
      [2, draw.int(1, 6)],
      [1, 255],
    ]),
    cold: draw.chance(15),
  }
}

/** One text for `buildCluster`: a Kubernetes List and the Network document. */
export function manifestOf(draft: WorldDraft): string {
  const { cni, nodes, pods, resources = [] } = draft
  const items = [
    ...nodes.map(({ name, address, cardMtu, labels, subnet }) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels, annotations: { 'netsim/mtu': String(cardMtu) } },
      ...(cni === 'canal' ? { spec: { podCIDR: subnet } } : {}),
      status: { addresses: [{ type: 'InternalIP', address }] },
    })),
    ...pods.map(({ name, node, ports, namespace, labels, annotations, serviceAccountName }) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels, annotations },
      spec: { nodeName: node, serviceAccountName, containers: [{ name: 'c', ports }] },
    })),
    ...resources,
  ]
  const documents = [{ apiVersion: 'v1', kind: 'List', items }, networkDocument(draft)]
  return documents.map((document) => JSON.stringify(document, null, 1)).join('\n---\n')
}

function networkDocument(draft: WorldDraft): unknown {
  const { segments, hosts, router } = draft
  const etcd: Record<string, string> = { '/coreos.com/network/config': JSON.stringify({ Network: FLANNEL_NETWORK, Backend: draft.backend }) }
  for (const { address, subnet } of draft.nodes) {
    etcd[`/coreos.com/network/subnets/${subnet.replace('/', '-')}`] = JSON.stringify(leaseOf(draft, address, subnet))
  }
  const routed = segments.length > 1
  return {
    apiVersion: 'netsim/v1',
    kind: 'Network',
    metadata: { name: 'default' },
    spec: {
      cni: draft.cni,
      datastore: draft.cni === 'canal' ? 'kubernetes' : 'etcd',
      runtime: draft.runtime,
      ...(draft.cni === 'flannel' ? { etcd, flannel: { ipMasq: draft.ipMasq, version: draft.version } } : {}),
      kubeProxy: draft.kubeProxy ?? { mode: 'none' },
      underlay: {
        // a namespace's cable knows no time: what overtakes what must not hang on it
        segments: segments.map((segment) => ({ ...segment, latency: '0us' })),
        ...(routed ? { routers: [{ name: 'r0', segments: segments.map(({ name }) => name), ...router }] } : {}),
        ...(draft.outside === undefined ? {} : { hosts: draft.outside }),
      },
      hosts: hosts.map((host) => ({ ...host, sysctls: Object.fromEntries(host.sysctls) })),
    },
  }
}

function leaseOf({ backend }: WorldDraft, address: string, subnet: string): unknown {
  const type = backend.Type
  if (type === 'udp') return { PublicIP: address }
  if (type === 'host-gw') return { PublicIP: address, BackendType: type }
  const third = (ip(subnet.slice(0, subnet.indexOf('/'))) >>> 8) & 0xff
  return { PublicIP: address, BackendType: type, BackendData: { VNI: backend.VNI ?? 1, VtepMAC: `0e:00:00:00:00:${third.toString(16).padStart(2, '0')}` } }
}
