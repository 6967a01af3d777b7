/** The recordings of a real kernel (test/recordings): their shape, the input that describes the same network, the question behind a probe. */
import { readFileSync } from 'node:fs'
import { cidr, parseAddressWithLength } from '../../src/base/cidr.js'
import { formatCidr } from '../../src/base/cidr.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../src/network/request.js'

export interface RecordedFrame {
  readonly ns: string
  readonly dev: string
  readonly out: boolean
  readonly hex: string
}

export interface Probe {
  readonly from: string
  readonly to: string
  readonly proto: 'icmp' | 'udp' | 'tcp'
  readonly port?: number
  readonly size?: number
  readonly ttl?: number
  readonly pmtu?: string
  readonly cold?: boolean
}

export interface RecordedLink {
  readonly ifname: string
  readonly mtu: number
  readonly link_type: string
  readonly address?: string
  readonly addr_info: readonly { readonly family: string; readonly local: string; readonly prefixlen: number; readonly scope: string }[]
}

export interface RecordedState {
  readonly addr: string
  readonly route: string
  readonly route_text: string
  readonly neigh: string
  readonly fdb: string
  readonly iptables: string
}

export interface Recording {
  readonly scenario: {
    readonly segments: Readonly<Record<string, string>>
    readonly nodes: readonly { readonly name: string; readonly ip: string; readonly setup?: readonly string[] }[]
    readonly ip_masq?: boolean
    readonly underlay_mtu?: number
    /** Calico in place of flannel. */
    readonly calico?: { readonly mode: 'none'; readonly pool: string; readonly blocks: Readonly<Record<string, string>> }
  }
  readonly pods: Readonly<Record<string, { readonly node: string; readonly ip: string; readonly mac: string }>>
  readonly etcd: Readonly<Record<string, string>>
  readonly state: Readonly<Record<string, RecordedState>>
  readonly probes: readonly { readonly probe: Probe; readonly frames: readonly RecordedFrame[] }[]
}

/** The namespace of the recorder's switch and router: no node. */
export const WIRE = 'wire'

export function loadRecording(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`../recordings/${name}.rec.json`, import.meta.url), 'utf8')) as Recording
}

export function linksOf(state: RecordedState): readonly RecordedLink[] {
  return JSON.parse(state.addr === '' ? '[]' : state.addr) as RecordedLink[]
}

/** Names of netns in netsim: a pod's has its namespace in front. */
export function netnsName(recording: Recording, ns: string): string {
  return ns in recording.pods ? `default/${ns}` : ns
}

/** netns and device of every TUN, as `netns device`. */
export function tunDevices(recording: Recording): ReadonlySet<string> {
  return new Set(
    Object.entries(recording.state).flatMap(([ns, state]) =>
      linksOf(state)
        .filter((link) => link.link_type === 'none')
        .map((link) => `${ns} ${link.ifname}`),
    ),
  )
}

function pins(recording: Recording): { readonly macs: Record<string, string>; readonly devices: Record<string, string> } {
  const macs: Record<string, string> = {}
  const devices: Record<string, string> = {}
  for (const [name, pod] of Object.entries(recording.pods)) {
    macs[`default/${name}/eth0`] = pod.mac
    if (recording.scenario.calico === undefined) devices[`default/${name}/eth0`] = `veth-${name}`
  }
  for (const [ns, state] of Object.entries(recording.state)) {
    if (ns in recording.pods) continue
    for (const { ifname, address } of linksOf(state)) {
      // Calico's end of every pod's veth has one MAC
      if (ifname === 'lo' || ifname.startsWith('cali') || address?.split(':').length !== 6) continue
      if (ns !== WIRE) macs[`${ns}/${ifname}`] = address
      else if (ifname.startsWith('br-')) macs[`${ifname.slice(3)}/router`] = address
    }
  }
  return { macs, devices }
}

function segmentOf(recording: Recording, name: string, text: string): object {
  const own = parseAddressWithLength(text)
  if (own === undefined) throw new Error(`${name}: ${text}`)
  return {
    name,
    cidr: formatCidr(cidr(own.address & -(2 ** (32 - own.length)), own.length)),
    router: text.split('/')[0],
    mtu: recording.scenario.underlay_mtu ?? 1500,
  }
}

/** JSON documents between --- lines. */
export function manifestOf(recording: Recording): string {
  const { scenario } = recording
  const nodes = scenario.nodes.map(({ name, ip }) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, ...(scenario.calico === undefined ? {} : { annotations: { 'projectcalico.org/IPv4Address': ip } }) },
    status: { addresses: [{ type: 'InternalIP', address: ip.split('/')[0] }] },
  }))
  const pods = Object.entries(recording.pods).map(([name, { node, ip }]) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { nodeName: node, containers: [{ name: 'c', image: 'x', ports: [{ containerPort: 1 }] }] },
    status: { podIP: ip, phase: 'Running' },
  }))
  return [...nodes, ...pods, ...networkOf(recording)].map((document) => JSON.stringify(document)).join('\n---\n')
}

function networkOf(recording: Recording): readonly object[] {
  const { scenario } = recording
  const common = {
    kubeProxy: { mode: 'none' },
    underlay: { segments: Object.entries(scenario.segments).map(([name, text]) => segmentOf(recording, name, text)) },
    pins: pins(recording),
  }
  const network = (spec: object): object => ({ apiVersion: 'netsim/v1', kind: 'Network', metadata: { name: 'default' }, spec: { ...spec, ...common } })
  if (scenario.calico !== undefined) return [...calicoObjects(scenario.calico), network({ cni: 'calico', datastore: 'kubernetes' })]
  const hosts = scenario.nodes
    .filter(({ setup }) => setup !== undefined)
    .map(({ name, setup }) => ({ node: name, iptables: setup?.map((line) => line.replace(/^iptables /, '')) }))
  return [
    network({
      cni: 'flannel',
      datastore: 'etcd',
      runtime: { name: 'docker', iptables: false },
      etcd: recording.etcd,
      flannel: { ipMasq: scenario.ip_masq ?? true, version: '0.11.0', iface: 'eth0' },
      hosts,
    }),
  ]
}

/** As a dump of the cluster has them: the pool, who has which block, the full mesh. */
function calicoObjects({ pool, blocks }: NonNullable<Recording['scenario']['calico']>): readonly object[] {
  const object = (kind: string, name: string, spec: object): object => ({ apiVersion: 'crd.projectcalico.org/v1', kind, metadata: { name }, spec })
  return [
    object('IPPool', 'default-ipv4-ippool', { cidr: pool, blockSize: 26, ipipMode: 'Never', vxlanMode: 'Never', natOutgoing: false, nodeSelector: 'all()' }),
    ...Object.entries(blocks).map(([node, block]) =>
      object('BlockAffinity', `${node}-${block.replace(/[./]/g, '-')}`, { cidr: block, node, state: 'confirmed', deleted: 'false' }),
    ),
    object('BGPConfiguration', 'default', { nodeToNodeMeshEnabled: true, asNumber: 64512 }),
  ]
}

const ICMP_HEADERS = 28
const DEFAULT_PING_DATA = 56

/** The question that a probe asked of the real kernel. */
export function requestOf(recording: Recording, probe: Probe): TraceRequest {
  const to = probe.to in recording.pods ? `default/${probe.to}` : probe.to
  const asked = {
    ...DEFAULT_REQUEST,
    source: `default/${probe.from}`,
    proto: probe.proto,
    df: probe.pmtu === 'do',
    ttl: probe.ttl ?? DEFAULT_REQUEST.ttl,
    cold: probe.cold === true,
  }
  if (probe.proto === 'icmp') return { ...asked, destination: to, size: (probe.size ?? DEFAULT_PING_DATA) + ICMP_HEADERS }
  if (probe.proto === 'udp') return { ...asked, destination: `${to}:${probe.port}`, sport: 40000, size: (probe.size ?? 0) + ICMP_HEADERS }
  return { ...asked, destination: `${to}:${probe.port}`, sport: 40001 }
}

export function probeTitle(probe: Probe): string {
  const more = [
    probe.size === undefined ? '' : ` ${probe.size} bytes`,
    probe.ttl === undefined ? '' : ` ttl ${probe.ttl}`,
    probe.pmtu === 'do' ? ' df' : '',
    probe.cold === true ? ' cold' : '',
  ].join('')
  return `${probe.from} → ${probe.to} ${probe.proto}${probe.port === undefined ? '' : ` ${probe.port}`}${more}`
}
