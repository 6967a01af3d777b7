/** A match that failed, with what the packet had: as iptables says it, and in a sentence that names pods, ports and selectors. */
import { formatCidr } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import { formatMac, macOf } from '../base/mac.js'
import type { Match, PortRange } from '../dataplane/iptables.js'
import { printMatches } from '../dataplane/iptables-print.js'
import { formatProtocol } from '../dataplane/protocols.js'
import type { Network } from '../network/network.js'
import { PROTO_ICMP } from '../wire/packet.js'
import type { PacketFacts } from './packet-facts.js'
import type { TermDocument } from './trace-document.js'

/** Whose words are used for addresses and sets. */
export type Namer = Pick<Network, 'pods' | 'cluster' | 'calico' | 'dataplanes'>

/** `10.0.0.5 (default/web)`; an address of nobody's stands alone. */
export function addressWords({ pods, cluster, dataplanes }: Namer, address: Ip): string {
  const pod = pods.find((plan) => plan.address === address)?.pod
  const node = cluster.nodes.find((candidate) => candidate.address === address)
  const name = pod !== undefined ? `${pod.namespace}/${pod.name}` : node !== undefined ? `node ${node.name}` : deviceWords(dataplanes, address)
  return name === undefined ? formatIp(address) : `${formatIp(address)} (${name})`
}

/** A node's other addresses: `node n1, tunl0`. */
function deviceWords(dataplanes: Namer['dataplanes'], address: Ip): string | undefined {
  for (const [netns, { devices }] of dataplanes) {
    const device = address === LOOPBACK ? undefined : devices.find(({ addresses }) => addresses.some((own) => own.address === address))
    if (device !== undefined) return netns.includes('/') ? netns.replace('/', ' ') : `node ${netns}, ${device.name}`
  }
  return undefined
}

const LOOPBACK = 0x7f000001

/** @param facts undefined: nothing is known of the packet */
export function termWords(match: Match, facts: PacketFacts | undefined, namer: Namer): TermDocument {
  const term = printMatches([match]).trim()
  const actual = facts === undefined ? '' : actualOf(match, facts)
  return { term, actual, text: (facts === undefined ? undefined : sentence(match, facts, namer)) ?? plain(term, actual) }
}

function plain(term: string, actual: string): string {
  return `${term} does not hold${actual === '' ? '' : `: ${actual}`}`
}

/** What the packet had of what the term asks for; empty where a trace does not know. */
function actualOf(match: Match, facts: PacketFacts): string {
  switch (match.kind) {
    case 'mark':
      return hex(facts.mark)
    case 'source':
      return formatIp(facts.src)
    case 'destination':
      return formatIp(facts.dst)
    case 'protocol':
      return formatProtocol(facts.proto)
    case 'source-port':
      return String(facts.sport)
    case 'destination-port':
      return String(facts.dport)
    case 'multiport':
      return match.side === 'sports' ? String(facts.sport) : match.side === 'dports' ? String(facts.dport) : `${facts.sport}, ${facts.dport}`
    case 'icmp-type':
      return facts.proto === PROTO_ICMP ? `${facts.sport}/${facts.dport}` : formatProtocol(facts.proto)
    case 'set':
      return setElement(match.directions, facts)
    case 'mac-source':
      return facts.macHigh === undefined ? '' : formatMac(macOf(facts.macHigh, facts.macLow ?? 0))
    case 'ctstate':
      return facts.state ?? ''
    case 'in-interface':
      return facts.inDevice ?? ''
    case 'out-interface':
      return facts.outDevice ?? ''
    case 'ttl':
      return String(facts.ttl)
    case 'length':
      return String(facts.length)
    default:
      return ''
  }
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`
}

/** The element that is looked for: `10.0.0.5`, `10.0.0.5,tcp:80`. */
function setElement(directions: readonly ('src' | 'dst')[], { src, dst, proto, sport, dport }: PacketFacts): string {
  const address = formatIp(directions[0] === 'src' ? src : dst)
  if (directions.length === 1) return address
  return `${address},${formatProtocol(proto)}:${directions[1] === 'src' ? sport : dport}`
}

function sentence(match: Match, facts: PacketFacts, namer: Namer): string | undefined {
  switch (match.kind) {
    case 'source':
    case 'destination': {
      const address = addressWords(namer, match.kind === 'source' ? facts.src : facts.dst)
      return `${match.kind} ${address} ${match.invert === true ? 'is in the excluded' : 'is not in'} ${formatCidr(match.net)}`
    }
    case 'protocol':
      return `protocol ${formatProtocol(facts.proto)} is ${match.invert === true ? 'excluded' : `not ${formatProtocol(match.proto)}`}`
    case 'source-port':
      return portSentence('source port', facts.sport, { ports: [match.ports], excluded: match.invert === true })
    case 'destination-port':
      return portSentence('port', facts.dport, { ports: [match.ports], excluded: match.invert === true })
    case 'multiport':
      return multiportSentence(match, facts)
    case 'icmp-type':
      return icmpSentence(match, facts)
    case 'set':
      return setSentence(match, facts, namer)
    case 'mark':
      return `mark ${hex(facts.mark)} is ${match.invert === true ? '' : 'not '}${hex(match.value)}/${hex(match.mask)}`
    case 'ctstate':
      return facts.state === undefined ? undefined : `ctstate ${facts.state} is ${match.invert === true ? 'excluded' : `not ${match.states.join(' or ')}`}`
    case 'in-interface':
      return deviceSentence('in-interface', facts.inDevice, match)
    case 'out-interface':
      return deviceSentence('out-interface', facts.outDevice, match)
    default:
      return undefined
  }
}

function deviceSentence(what: string, device: string | undefined, { name, invert }: { readonly name: string; readonly invert?: boolean }): string | undefined {
  return device === undefined ? undefined : `${what} ${device} is ${invert === true ? 'the excluded' : 'not'} ${name}`
}

function portSentence(what: string, port: number, { ports, excluded }: { readonly ports: readonly PortRange[]; readonly excluded: boolean }): string {
  const list = portList(ports)
  if (excluded) return `${what} ${port} is excluded by ${list}`
  return `${what} ${port} is ${ports.length > 1 ? 'none of' : ports[0][0] === ports[0][1] ? 'not' : 'not in'} ${list}`
}

/** `80, 443, 8000:9000`. */
export function portList(ports: readonly PortRange[]): string {
  return ports.map(([first, last]) => (first === last ? `${first}` : `${first}:${last}`)).join(', ')
}

const WITH_PORTS = ['tcp', 'udp', 'sctp', 'udplite', 'dccp']

function multiportSentence(match: Extract<Match, { kind: 'multiport' }>, facts: PacketFacts): string {
  const { side, ports, invert = false } = match
  const protocol = formatProtocol(facts.proto)
  if (!WITH_PORTS.includes(protocol)) return `${protocol} has no port, ${portList(ports)} is asked for`
  if (side === 'ports') return `ports ${facts.sport} and ${facts.dport} are ${invert ? 'excluded by' : 'none of'} ${portList(ports)}`
  return portSentence(side === 'sports' ? 'source port' : 'port', side === 'sports' ? facts.sport : facts.dport, { ports, excluded: invert })
}

function icmpSentence({ type, code, invert }: Extract<Match, { kind: 'icmp-type' }>, facts: PacketFacts): string {
  const asked = code === undefined ? `${type}` : `${type}/${code}`
  if (facts.proto !== PROTO_ICMP) return `protocol ${formatProtocol(facts.proto)} has no ICMP type, ${asked} is asked for`
  const had = code === undefined ? `${facts.sport}` : `${facts.sport}/${facts.dport}`
  return `ICMP type ${had} is ${invert === true ? 'excluded' : `not ${asked}`}`
}

function setSentence({ set, directions, invert }: Extract<Match, { kind: 'set' }>, facts: PacketFacts, namer: Namer): string {
  const source = directions[0] === 'src'
  const address = source ? facts.src : facts.dst
  const port = directions.length > 1 ? ` port ${directions[1] === 'src' ? facts.sport : facts.dport}/${formatProtocol(facts.proto)}` : ''
  const what = `${source ? 'source' : 'destination'} ${addressWords(namer, address)}${port}`
  const book = namer.calico?.book()
  const words = book?.setWords(set)
  const named = words === undefined ? `set ${set}` : `${words} [set ${set}]`
  if (invert === true) return `${what} is in the excluded ${named}`
  const labels = book?.mismatch(set, address) ?? []
  return `${what} is not ${words?.startsWith('port ') === true ? '' : 'in '}${named}${labels.length === 0 ? '' : `: it ${labels.join(', ')}`}`
}
