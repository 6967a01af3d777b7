/** `ipset save` elements → compiled sets. Cold. */
import { maskOf, parseAddressWithLength } from '../../base/cidr.js'
import type { IpSet, IpSetMember } from '../../dataplane/ipset.js'
import { PROTO_ICMP } from '../../wire/packet.js'
import { CompiledSet, SECOND_NS, SET_BITMAP_PORT, SET_IP, SET_IP_PORT, SET_LIST, SET_NET_IFACE, SET_NET_PORT, SET_UNKNOWN } from './ipset.js'

const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, igmp: 2, tcp: 6, udp: 17, gre: 47, esp: 50, ah: 51, sctp: 132, udplite: 136 }
const ICMP_NAMES: Readonly<Record<string, number>> = {
  'echo-reply': 0,
  'network-unreachable': 0x300,
  'host-unreachable': 0x301,
  'protocol-unreachable': 0x302,
  'port-unreachable': 0x303,
  'fragmentation-needed': 0x304,
  'echo-request': 0x800,
  'ttl-zero-during-transit': 0xb00,
  'ttl-zero-during-reassembly': 0xb01,
  'timestamp-request': 0xd00,
  'timestamp-reply': 0xe00,
}

interface CompiledSets {
  readonly sets: readonly CompiledSet[]
  readonly byName: ReadonlyMap<string, number>
}

/**
 * Compiles every set; `intern` numbers interface names, `word` the types that are not modelled. An element that is not understood
 * makes its whole set one that is not modelled.
 */
export function compileSets(sets: readonly IpSet[], intern: (name: string) => number, word: (text: string) => number): CompiledSets {
  const compiled = sets.map((set) => {
    const at = new CompiledSet(set, word(`ipset ${set.type} (${set.name})`))
    if (at.kind === SET_UNKNOWN || at.kind === SET_LIST || at.inet6) return at
    const understood = set.members.every((member) => addMember(at, member, intern))
    if (understood) return at
    return new CompiledSet({ ...set, type: 'unknown' }, word(`ipset ${set.type} (${set.name}) with an element not understood`))
  })
  const byName = new Map(compiled.map((set, index) => [set.name, index]))
  for (const [index, set] of sets.entries()) {
    if (compiled[index].kind !== SET_LIST) continue
    compiled[index].members = set.members.flatMap((member) => byName.get(member.element) ?? []).map((i) => compiled[i])
  }
  return { sets: compiled, byName }
}

function addMember(set: CompiledSet, member: IpSetMember, intern: (name: string) => number): boolean {
  const parts = member.element.split(',')
  const end = (member.timeout ?? 0) * SECOND_NS
  const nomatch = member.nomatch ?? false
  if (set.kind === SET_BITMAP_PORT) {
    const ports = /^(?:\w+:)?(\d+)(?:-(\d+))?$/.exec(parts[0])
    if (ports === null) return false
    for (let port = Number(ports[1]); port <= Number(ports[2] ?? ports[1]); port++) set.add(0, port, 0, end, nomatch)
    return true
  }
  const net = parseAddressWithLength(parts[0])
  if (net === undefined) return false
  const whole = set.kind === SET_IP || set.kind === SET_IP_PORT
  let key = 0
  if (set.kind === SET_IP_PORT || set.kind === SET_NET_PORT) key = parsePortKey(parts[1] ?? '')
  // an interface of a bridge port (`physdev:`) or a wildcard one is named as not modelled
  if (set.kind === SET_NET_IFACE) key = parts[1] === undefined || /:|\s|\+/.test(parts[1]) ? -1 : intern(parts[1])
  if (key < 0) return false
  if (!whole) {
    set.add(net.address & maskOf(net.length), key, net.length, end, nomatch)
    return true
  }
  if (net.length < 16) return false
  const base = net.address & maskOf(net.length)
  for (let i = 0; i < 2 ** (32 - net.length); i++) set.add((base + i) & set.netmask, key, 32, end, nomatch)
  return true
}

/** `tcp:80`, `80` (tcp), `icmp:echo-request`, `icmp:8/0`, `47:0` → proto << 16 | port; -1 malformed. */
function parsePortKey(text: string): number {
  const match = /^(?:([\w-]+):)?([\w/-]+)$/.exec(text)
  if (match === null) return -1
  const name = (match[1] ?? 'tcp').toLowerCase()
  const proto = PROTOCOLS[name] ?? (/^\d+$/.test(name) ? Number(name) : -1)
  if (proto < 0) return -1
  if (/^\d+$/.test(match[2])) return (proto << 16) | Number(match[2])
  const code = /^(\d+)\/(\d+)$/.exec(match[2])
  const icmp = code === null ? ICMP_NAMES[match[2]] : (Number(code[1]) << 8) | Number(code[2])
  return proto === PROTO_ICMP && icmp !== undefined ? (proto << 16) | icmp : -1
}
