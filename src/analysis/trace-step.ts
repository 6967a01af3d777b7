/** One step row in words, each kind its own reader. What the arguments of a kind are stands beside STEP_* in net/trace.ts. */
import { match } from 'ts-pattern'
import { formatIp } from '../base/ip.js'
import { formatMac, macOf } from '../base/mac.js'
import { DUMP } from '../collected/collected-node.js'
import type { Provenance } from '../dataplane/dataplane.js'
import { printRoute } from '../dataplane/ip-route.js'
import { printRule } from '../dataplane/iptables-print.js'
import { formatProtocol } from '../dataplane/protocols.js'
import { BRIDGE_FLOOD, BRIDGE_FORWARD, BRIDGE_OUT, BRIDGE_SAME_PORT, BRIDGE_UP } from '../net/bridge.js'
import { DEVICE_IPIP, DEVICE_WIREGUARD } from '../net/device.js'
import { DISPOSITIONS, REASONS } from '../net/disposition.js'
import { RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL, RTN_PROHIBIT, RTN_UNREACHABLE } from '../net/fib.js'
import type { Route } from '../net/fib-table.js'
import { NUD_FAILED, NUD_INCOMPLETE, NUD_NONE, NUD_PERMANENT, NUD_REACHABLE, NUD_STALE } from '../net/neigh.js'
import type { Netns } from '../net/netns.js'
import { SPEC_ASSUMED, SPEC_UNDECLARED } from '../net/socket.js'
import { ROW_A, ROW_ACTION, ROW_KIND, ROW_LENGTH, ROW_NETNS, ROW_TTL, STEP_KINDS, STEP_STRIDE, HANDSHAKE_SENT, HANDSHAKE_WAIT } from '../net/trace.js'
import { overheadOf } from '../wire/overhead.js'
import { PROXY_SENT } from '../network/flannel-udp.js'
import type { Network } from '../network/network.js'
import { lossText } from '../network/unplugged.js'
import type { PacketFacts } from './packet-facts.js'
import { policyVerdicts } from './policy-verdict.js'
import type { TriedRule } from './rule-walk.js'
import { CONNTRACK_WORDS, ruleDocument, VERDICTS } from './trace-rules.js'
import type { StepDocument } from './trace-document.js'

/** The row of a step with what is needed to name its numbers. */
interface Row {
  readonly network: Network
  readonly netns: Netns
  readonly action: number
  readonly length: number
  readonly ttl: number
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
  readonly e: number
  readonly f: number
  /** Of a table. */
  readonly tried: readonly TriedRule[]
  readonly facts: PacketFacts | undefined
  /** Also the rules that did not match. */
  readonly all: boolean
}

/** What is known of a step beside its row. */
interface StepContext {
  readonly number: number
  readonly tried: readonly TriedRule[]
  readonly facts: PacketFacts | undefined
  readonly all: boolean
}

type Words = Omit<StepDocument, 'n' | 'kind'>

export const HOOK_NAMES = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'] as const
export const TABLE_WORDS = ['raw', 'mangle', 'nat', 'filter', 'security'] as const
const PACKET_TYPES = ['HOST', 'BROADCAST', 'MULTICAST', 'OTHERHOST'] as const

export function stepOf(network: Network, index: number, context: StepContext): StepDocument {
  const { trace, netns } = network.world
  const at = index * STEP_STRIDE
  const { steps } = trace
  const kind = STEP_KINDS[steps[at + ROW_KIND]]
  const row: Row = {
    network,
    netns: netns[steps[at + ROW_NETNS]],
    action: steps[at + ROW_ACTION],
    length: steps[at + ROW_LENGTH],
    ttl: steps[at + ROW_TTL],
    a: steps[at + ROW_A],
    b: steps[at + ROW_A + 1],
    c: steps[at + ROW_A + 2],
    d: steps[at + ROW_A + 3],
    e: steps[at + ROW_A + 4],
    f: steps[at + ROW_A + 5],
    tried: context.tried,
    facts: context.facts,
    all: context.all,
  }
  const words = match(kind)
    .with('originate', () => originate(row))
    .with('route', () => route(row))
    .with('neigh', () => neigh(row))
    .with('arp', () => arp(row))
    .with('bridge', () => bridge(row))
    .with('table', () => table(row))
    .with('rule', () => ({ action: 'RULE', text: '' }))
    .with('conntrack', () => conntrack(row))
    .with('nat', () => nat(row))
    .with('encap', () => encap(row))
    .with('decap', () => decap(row))
    .with('fragment', () => fragment(row))
    .with('defragment', () => defragment(row))
    .with('send', () => send(row))
    .with('receive', () => receive(row))
    .with('socket', () => socket(row))
    .with('icmp', () => icmp(row))
    .with('forward', () => forward(row))
    .with('link', () => link(row))
    .with('agent', () => agent(row))
    .with('drop', () => drop(row))
    .with('handshake', () => handshake(row))
    .exhaustive()
  return { n: context.number, kind, length: row.length, ...words }
}

function deviceName(row: Row, index: number): string {
  return index < 0 ? '?' : row.network.world.devices[index].name
}

function provenanceOf(from: Provenance | undefined): Pick<StepDocument, 'provenance'> {
  return from === undefined ? {} : { provenance: from }
}

const ORIGINS = [
  'a process sends it',
  'ARP request',
  'answers the echo request',
  'TCP answers',
  'flanneld writes ICMP to the TUN device',
  'the server answers',
] as const

function originate(row: Row): Words {
  if (row.action === 1) return { action: 'ASK', text: `ARP who has ${formatIp(row.b)}, tell ${formatIp(row.a)}`, at: { device: deviceName(row, row.c) } }
  // the route chooses the source of a process that did not bind one
  const source = row.a === 0 ? '' : `${formatIp(row.a)} `
  return { action: 'CREATED', text: `${ORIGINS[row.action] ?? ORIGINS[0]}: ${source}→ ${formatIp(row.b)}` }
}

/** Of a device that was found so: agents' own are told by what leads to them. */
function foundDevice(row: Row, name: string): Pick<StepDocument, 'provenance'> {
  const spec = row.netns.dataplane.devices.find((device) => device.name === name)
  return spec?.provenance?.by === DUMP ? { provenance: spec.provenance } : {}
}

const ROUTE_ACTIONS: Readonly<Record<number, string>> = {
  [RTN_LOCAL]: 'LOCAL',
  [RTN_BROADCAST]: 'LOCAL',
  [RTN_BLACKHOLE]: 'BLACKHOLE',
  [RTN_UNREACHABLE]: 'UNREACHABLE',
  [RTN_PROHIBIT]: 'PROHIBIT',
}

function route(row: Row): Words {
  const output = row.action === 1
  const found = row.b < 0 ? undefined : row.netns.fib.routeAt(row.b)
  if (found === undefined && row.d < 0) return { action: 'NONE', text: `no route to ${formatIp(row.a)}` }
  const action = ROUTE_ACTIONS[row.e] ?? (output ? 'OUT' : 'FORWARD')
  if (found === undefined) return { action, text: `${formatIp(row.a)} dev ${deviceName(row, row.d)}`, at: { device: deviceName(row, row.d) } }
  const spec = row.netns.fib.specOf(found)
  const name = found.type === RTN_LOCAL || found.type === RTN_BROADCAST ? 'local' : 'main'
  const text = spec !== undefined ? printRoute(spec, { showTable: false }).trim() : kernelRoute(row, found, name)
  const tableName = spec?.table ?? name
  return {
    action,
    text,
    at: { table: tableName, ...(row.d < 0 ? {} : { device: deviceName(row, row.d) }) },
    ...provenanceOf(spec?.provenance ?? { by: 'kernel' }),
  }
}

function kernelRoute(row: Row, found: Route, name: string): string {
  const prefix = found.length === 32 ? formatIp(found.base) : `${formatIp(found.base)}/${found.length}`
  const type = row.e === RTN_LOCAL ? 'local ' : row.e === RTN_BROADCAST ? 'broadcast ' : ''
  return `${type}${prefix} dev ${found.device?.name ?? '?'} table ${name} proto kernel`
}

function neigh(row: Row): Words {
  const states: Readonly<Record<number, string>> = {
    [NUD_PERMANENT]: 'PERMANENT',
    [NUD_REACHABLE]: 'REACHABLE',
    [NUD_STALE]: 'STALE',
    [NUD_INCOMPLETE]: 'INCOMPLETE',
    [NUD_FAILED]: 'FAILED',
    [NUD_NONE]: 'UNKNOWN',
  }
  const state = states[row.b] ?? 'PROBE'
  const unknown = row.b === NUD_NONE || row.b === NUD_INCOMPLETE || row.b === NUD_FAILED
  const mac = unknown ? 'no MAC yet, the packet waits' : `lladdr ${formatMac(macOf(row.c, row.d))}`
  const spec = row.netns.dataplane.neighbours.find((entry) => entry.address === row.a && entry.device === deviceName(row, row.e))
  return {
    action: unknown ? 'WAIT' : state,
    text: `${formatIp(row.a)} dev ${deviceName(row, row.e)} ${mac}`,
    at: { device: deviceName(row, row.e) },
    ...provenanceOf(spec?.provenance),
  }
}

const ARP_ACTIONS = ['IGNORED', 'ANSWERED', 'LEARNED', 'PROXIED'] as const

function arp(row: Row): Words {
  const what = row.a === 1 ? `who has ${formatIp(row.c)}, tell ${formatIp(row.b)}` : `${formatIp(row.b)} is-at, to ${formatIp(row.c)}`
  return { action: ARP_ACTIONS[row.d], text: `ARP ${what}`, at: { device: deviceName(row, row.e) } }
}

function bridge(row: Row): Words {
  const name = deviceName(row, row.a)
  const from = row.b < 0 ? 'from the host' : `from ${deviceName(row, row.b)}`
  const at = { device: name }
  switch (row.c) {
    case BRIDGE_UP:
      return { action: 'LOCAL', text: `${name} ${from}: the frame is for the host`, at }
    case BRIDGE_FORWARD:
    case BRIDGE_OUT:
      return { action: 'FORWARD', text: `${name} ${from}: the MAC is behind ${deviceName(row, row.d)}`, at }
    case BRIDGE_FLOOD:
      return { action: 'FLOOD', text: `${name} ${from}: copied to all other ports`, at }
    case BRIDGE_SAME_PORT:
      return { action: 'DROP', text: `${name} ${from}: the MAC is behind the same port, and its hairpin is off`, at }
    default:
      return { action: 'DROP', text: `${name} ${from}: no port`, at }
  }
}

function table(row: Row): Words {
  const netfilter = row.netns.netfilter
  const where = { table: TABLE_WORDS[row.b], chain: netfilter?.chainName(row.c) ?? '?' }
  const rules = row.tried.flatMap((tried) => (tried.matched || row.all ? [ruleDocument(tried, row.facts, row.network)] : []))
  const hook = HOOK_NAMES[row.a]
  const tried = row.e === 1 ? '1 rule' : `${row.e} rules`
  const decided = row.d < 0 ? undefined : netfilter?.ruleAt(row.b, row.c, row.d)
  const action = VERDICTS[row.action] ?? 'ACCEPT'
  const book = row.network.calico?.book()
  const policy = book === undefined ? [] : policyVerdicts(row.tried, book)
  const said = policy.length === 0 ? {} : { policy }
  // what policy allowed, another rule may drop
  const words = action === 'DROP' && policy.at(-1)?.verdict !== 'Deny' ? '' : policy.map(({ text }) => text).join('; ')
  if (decided === undefined) {
    const how = row.f === 0 ? `${tried} tried, none matched` : `${tried} tried, ${row.f} matched`
    const dropped = row.d < 0 && action !== 'ACCEPT' ? `, policy ${action}` : ''
    const policyOf = dropped === '' ? undefined : netfilter?.policyProvenance(row.c)
    return { action, text: `${hook}: ${words === '' ? `${how}${dropped}` : words}`, at: where, rules, tried: row.e, ...said, ...provenanceOf(policyOf) }
  }
  const chain = where.chain === hook ? '' : `${where.chain} `
  return {
    action,
    text: `${hook}: ${words === '' ? `${chain}#${row.d + 1}  ${printRule(decided)}` : words}`,
    at: { ...where, rule: row.d + 1 },
    rules,
    tried: row.e,
    ...said,
    ...provenanceOf(decided.provenance),
  }
}

function conntrack(row: Row): Words {
  const state = CONNTRACK_WORDS[row.a] ?? 'NEW'
  return { action: state, text: row.c === 1 ? 'a new connection' : row.d === 1 ? 'reply direction of a known connection' : 'a known connection' }
}

function nat(row: Row): Words {
  const side = row.a === 0 ? 'src' : 'dst'
  const port = row.a === 0 ? 'sport' : 'dport'
  const ports = row.d === row.e ? '' : `, ${port} ${row.d}→${row.e}`
  const changed = row.d === row.e ? {} : { [port]: row.d }
  const changedTo = row.d === row.e ? {} : { [port]: row.e }
  return {
    action: row.a === 0 ? 'SNAT' : 'DNAT',
    text: `${side} ${formatIp(row.b)}→${formatIp(row.c)}${ports}`,
    before: { [side]: formatIp(row.b), ...changed },
    after: { [side]: formatIp(row.c), ...changedTo },
  }
}

/** `peer GxUvyPAy…`: its key, cut. */
function peerName(row: Row, index: number): string {
  const { publicKey } = row.network.world.wireguard.peers[index]
  return `peer ${publicKey.length > KEY_SHOWN ? `${publicKey.slice(0, KEY_SHOWN)}…` : publicKey}`
}

const KEY_SHOWN = 8

function encapOfTunnel(row: Row, kind: number): string {
  const ends = `${formatIp(row.b)}→${formatIp(row.c)}`
  if (kind === DEVICE_IPIP) return `ipip ${ends}, +${row.f} bytes`
  const padding = row.f - overheadOf('wireguard').bytes
  const sizes = padding === 0 ? '' : ` (${row.f - padding} and ${padding} of padding)`
  return `wireguard, ${peerName(row, row.action)}, udp ${row.d}→${row.e}, ${ends}, +${row.f} bytes${sizes}`
}

function encap(row: Row): Words {
  const device = row.network.world.devices[row.a]
  if (device.vxlan === null) return { action: 'ENCAP', text: encapOfTunnel(row, device.kind), at: { device: device.name }, bytesAdded: row.f }
  const spec = row.netns.dataplane.fdb.find((entry) => entry.device === device.name && entry.destination === row.c)
  return {
    action: 'ENCAP',
    text: `vxlan vni ${device.vxlan?.vni ?? '?'}, udp ${row.d}→${row.e}, ${formatIp(row.b)}→${formatIp(row.c)}, +${row.f} bytes`,
    at: { device: device.name },
    bytesAdded: row.f,
    ...provenanceOf(spec?.provenance),
  }
}

function decap(row: Row): Words {
  const { kind } = row.network.world.devices[row.a]
  const from = formatIp(row.b)
  const what =
    kind === DEVICE_IPIP
      ? `ipip from ${from}`
      : kind === DEVICE_WIREGUARD
        ? `wireguard, ${peerName(row, row.action)}, from ${from}:${row.d}`
        : `vxlan vni ${row.d} from ${from}`
  return {
    action: 'DECAP',
    text: `${what}: out of ${deviceName(row, row.a)}`,
    at: { device: deviceName(row, row.a) },
    bytesAdded: -row.c,
  }
}

function fragment(row: Row): Words {
  const last = row.e === 1 ? ', the last' : ''
  return { action: 'FRAGMENT', text: `bytes ${row.c} to ${row.c + row.d - 1} of the payload for mtu ${row.b}${last}`, at: { device: deviceName(row, row.a) } }
}

function defragment(row: Row): Words {
  if (row.b === 0) return { action: 'KEPT', text: `fragment kept, ${row.a} bytes of the datagram are here` }
  return { action: 'REASSEMBLED', text: `datagram whole again: ${row.length} bytes, largest fragment ${row.c}` }
}

function send(row: Row): Words {
  const device = deviceName(row, row.a)
  return { action: 'SENT', text: `${device} mtu ${row.c}`, at: { device }, frameLength: row.b, ...foundDevice(row, device) }
}

function receive(row: Row): Words {
  const other = row.c === 0 ? '' : ` (${PACKET_TYPES[row.c]})`
  return { action: 'RECEIVED', text: `${deviceName(row, row.a)}${other}`, at: { device: deviceName(row, row.a) }, frameLength: row.b }
}

function socket(row: Row): Words {
  const proto = formatProtocol(row.a)
  if (row.c === -2) return { action: 'DELIVERED', text: `${proto}: the answer is back at the client, ttl ${row.ttl}` }
  if (row.c === -1) return { action: 'DELIVERED', text: `${proto}: the kernel itself takes it, ttl ${row.ttl}` }
  const spec = row.c === SPEC_ASSUMED || row.c === SPEC_UNDECLARED ? undefined : row.netns.socketSpecs[row.c]
  const undeclared = 'LISTEN (assumed: the Pod declares no containerPort)'
  const listens = row.c === SPEC_ASSUMED ? 'taken as open (--listen)' : row.c === SPEC_UNDECLARED ? undeclared : 'LISTEN'
  return { action: 'DELIVERED', text: `${proto} 0.0.0.0:${row.b} ${listens}, ttl ${row.ttl}`, ...provenanceOf(spec?.provenance) }
}

const UNREACHABLE_CODES: Readonly<Record<number, string>> = {
  0: 'net unreachable',
  1: 'host unreachable',
  2: 'protocol unreachable',
  3: 'port unreachable',
  4: 'fragmentation needed',
  9: 'net prohibited',
  10: 'host prohibited',
  13: 'prohibited by filter',
}
const ICMP_OUTCOMES = ['SENT', 'RATE_LIMITED', 'NOT_SENT', 'RATE_LIMITED'] as const

export function icmpWords(type: number, code: number, info: number): string {
  if (type === 3) return code === 4 ? `fragmentation needed, mtu ${info}` : (UNREACHABLE_CODES[code] ?? `unreachable code ${code}`)
  if (type === 11) return code === 0 ? 'time exceeded in transit' : 'time exceeded in reassembly'
  if (type === 5) return `redirect to ${formatIp(info)}`
  return `type ${type} code ${code}`
}

function icmp(row: Row): Words {
  const text = `${icmpWords(row.a, row.b, row.e)}, to ${formatIp(row.c)}${row.d === 0 ? '' : ` from ${formatIp(row.d)}`}`
  return { action: ICMP_OUTCOMES[row.f], text }
}

function forward(row: Row): Words {
  return {
    action: 'FORWARD',
    text: `${deviceName(row, row.a)} → ${deviceName(row, row.b)}, ttl ${row.c}→${row.d}`,
    before: { ttl: row.c },
    after: { ttl: row.d },
  }
}

function link(row: Row): Words {
  const segment = row.network.world.segments[row.a]
  return { action: 'WIRE', text: `segment ${segment.name}, ${row.b / 1000} us${row.c === 0 ? '' : ` + ${row.c / 1000} us on the wire`}` }
}

function agent(row: Row): Words {
  const tun = deviceName(row, row.f)
  const ttl = { before: { ttl: row.d }, after: { ttl: row.e } }
  if (row.a === PROXY_SENT)
    return {
      action: 'SENT',
      text: `flanneld reads ${tun}, sends to ${formatIp(row.b)}:${row.c}, ttl ${row.d}→${row.e}, +28 bytes`,
      ...ttl,
      bytesAdded: 28,
      length: row.length + 28,
      provenance: { by: 'flanneld' },
    }
  return { action: 'WRITTEN', text: `flanneld receives, writes to ${tun}, ttl ${row.d}→${row.e}`, ...ttl, bytesAdded: -28, provenance: { by: 'flanneld' } }
}

const MESSAGES = ['', 'initiation', 'response'] as const

function handshake(row: Row): Words {
  const at = { device: deviceName(row, row.a) }
  const peer = peerName(row, row.b)
  if (row.action === HANDSHAKE_WAIT) return { action: 'WAIT', text: `no session with ${peer} yet, the packet waits for the handshake`, at }
  const sent = row.action === HANDSHAKE_SENT
  const attempt = sent && row.c === 1 && row.d > 1 ? `, attempt ${row.d}` : ''
  const text = `${MESSAGES[row.c]} ${sent ? 'to' : 'from'} ${peer} at ${formatIp(row.e)}:${row.f}${attempt}`
  return { action: sent ? 'SENT' : 'RECEIVED', text, at }
}

function drop(row: Row): Words {
  const reason = REASONS[row.b]
  const detail = lossText(row.network, row.network.world.words[row.c], row.d)
  return { action: DISPOSITIONS[row.a], text: detail, ...(reason === '' ? {} : { kernelReason: reason }) }
}
