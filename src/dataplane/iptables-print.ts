/**
 * One iptables rule as words, spelled as iptables-save 1.8.9 spells it: the built-in options in their fixed order, then the
 * matches in the rule's own order, the options of one module behind one `-m`, then the target. No `-A CHAIN`.
 */
import { match as cases, P } from 'ts-pattern'
import { formatCidr, maskOf } from '../base/cidr.js'
import type { Cidr } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import { formatMac } from '../base/mac.js'
import type { Match, NatRange, PortRange, Rule, Target } from './iptables.js'
import { formatPortRange, formatProtocol } from './protocols.js'
import { hex, quoteText } from './text.js'

const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG']
/** libxt_conntrack prints states in the order of its own table, whatever the rule's order was. */
const CT_STATES = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT']
const CT_STATUS = ['NONE', 'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED']
const CT_FIELDS = [
  'ctstate',
  'ctproto',
  'ctorigsrc',
  'ctorigdst',
  'ctreplsrc',
  'ctrepldst',
  'ctorigsrcport',
  'ctorigdstport',
  'ctreplsrcport',
  'ctrepldstport',
  'ctstatus',
  'ctdir',
]
const ADDRTYPES = ['UNSPEC', 'UNICAST', 'LOCAL', 'BROADCAST', 'ANYCAST', 'MULTICAST', 'BLACKHOLE', 'UNREACHABLE', 'PROHIBIT', 'THROW', 'NAT', 'XRESOLVE']
const PHYSDEV = ['physdev-is-in', 'physdev-in', 'physdev-is-out', 'physdev-out', 'physdev-is-bridged']
const LOG_FLAGS = ['--log-tcp-sequence', '--log-tcp-options', '--log-ip-options', '--log-uid', '--log-macdecode']
/** Built-in options have no module and come first, in this order. */
const BUILTIN = ['source', 'destination', 'in-interface', 'out-interface', 'protocol', 'fragment']

/** One match as a piece of text of one module; `rank` is its place among the module's options. */
interface Piece {
  readonly module: string
  readonly rank: number
  readonly text: string
  /** Comes after the module's last option (addrtype's --limit-iface). */
  readonly tail?: string
}

function sortBy<Item extends string>(items: readonly Item[], order: readonly string[]): string {
  return [...items].sort((a, b) => order.indexOf(a) - order.indexOf(b)).join(',')
}

function flagNames(bits: number): string {
  return TCP_FLAGS.filter((_, i) => bits & (1 << i)).join(',') || 'NONE'
}

/** A /32 goes bare here, unlike in -s and -d. */
function bareCidr(net: Cidr): string {
  return net.length === 32 ? formatIp(net.base) : formatCidr(net)
}

function markText(value: number, mask: number): string {
  return mask >>> 0 === 0xffffffff ? hex(value) : `${hex(value)}/${hex(mask)}`
}

function pieceOf(match: Match): Piece {
  const not = 'invert' in match && match.invert === true && match.kind !== 'rpfilter' ? '! ' : ''
  const piece = (module: string, rank: number, text: string, tail?: string): Piece => ({ module, rank, text: text === '' ? '' : `${not}${text}`, tail })
  const builtin = (text: string): Piece => piece('', BUILTIN.indexOf(match.kind), text)
  return cases(match)
    .returnType<Piece>()
    .with({ kind: 'source' }, (m) => builtin(`-s ${formatCidr(m.net)}`))
    .with({ kind: 'destination' }, (m) => builtin(`-d ${formatCidr(m.net)}`))
    .with({ kind: 'protocol' }, (m) => builtin(`-p ${formatProtocol(m.proto)}`))
    .with({ kind: 'in-interface' }, (m) => builtin(`-i ${m.name}`))
    .with({ kind: 'out-interface' }, (m) => builtin(`-o ${m.name}`))
    .with({ kind: 'fragment' }, () => builtin('-f'))
    .with({ kind: 'source-port' }, (m) => piece(m.module, 0, `--sport ${formatPortRange(m.ports)}`))
    .with({ kind: 'destination-port' }, (m) => piece(m.module, 1, `--dport ${formatPortRange(m.ports)}`))
    .with({ kind: 'tcp-flags' }, (m) => piece('tcp', 2, `--tcp-flags ${flagNames(m.mask)} ${flagNames(m.set)}`))
    .with({ kind: 'module' }, (m) => piece(m.module, 9, ''))
    .with({ kind: 'icmp-type' }, (m) => piece('icmp', 0, `--icmp-type ${m.type === 255 ? 'any' : m.code === undefined ? m.type : `${m.type}/${m.code}`}`))
    .with({ kind: 'multiport' }, (m) => piece('multiport', 0, `--${m.side} ${m.ports.map((ports) => formatPortRange(ports)).join(',')}`))
    .with({ kind: 'comment' }, (m) => piece('comment', 0, `--comment ${quoteText(m.text)}`))
    .with({ kind: P.union('mark', 'connmark') }, (m) => piece(m.kind, 0, `--mark ${markText(m.value, m.mask)}`))
    .with({ kind: 'ctstate', module: 'state' }, (m) => piece('state', 0, `--state ${sortBy(m.states, CT_STATES)}`))
    .with({ kind: 'ctstate' }, (m) => piece('conntrack', 0, `--ctstate ${sortBy(m.states, CT_STATES)}`))
    .with({ kind: 'ctproto' }, (m) => piece('conntrack', 1, `--ctproto ${m.proto}`))
    .with({ kind: 'ct-address' }, (m) => piece('conntrack', CT_FIELDS.indexOf(m.field), `--${m.field} ${bareCidr(m.net)}`))
    .with({ kind: 'ct-port' }, (m) => piece('conntrack', CT_FIELDS.indexOf(m.field), `--${m.field} ${formatPortRange(m.ports)}`))
    .with({ kind: 'ctstatus' }, (m) => piece('conntrack', 10, `--ctstatus ${sortBy(m.status, CT_STATUS)}`))
    .with({ kind: 'ctdir' }, (m) => piece('conntrack', 11, `--ctdir ${m.direction}`))
    .with({ kind: 'addrtype' }, (m) =>
      piece(
        'addrtype',
        m.side === 'src' ? 0 : 1,
        `--${m.side}-type ${sortBy(m.types, ADDRTYPES)}`,
        m.limit === undefined ? undefined : `--limit-iface-${m.limit}`,
      ),
    )
    .with({ kind: 'set' }, (m) => piece('set', 0, `--match-set ${m.set} ${m.directions.join(',')}`))
    .with({ kind: 'statistic-random' }, (m) => ({ module: 'statistic', rank: 0, text: `--mode random ${not}--probability ${m.probability}` }))
    .with({ kind: 'statistic-nth' }, (m) => ({ module: 'statistic', rank: 0, text: `--mode nth ${not}--every ${m.every} --packet ${m.packet}` }))
    .with({ kind: 'physdev' }, (m) => piece('physdev', PHYSDEV.indexOf(m.option), `--${m.option} ${m.name}`))
    .with({ kind: 'physdev-is' }, (m) => piece('physdev', PHYSDEV.indexOf(m.option), `--${m.option}`))
    .with({ kind: 'rpfilter' }, (m) => ({
      module: 'rpfilter',
      rank: 0,
      text: [m.loose && '--loose', m.validmark && '--validmark', m.acceptLocal && '--accept-local', m.invert && '--invert'].filter(Boolean).join(' '),
    }))
    .with({ kind: 'limit' }, (m) => piece('limit', 0, `--limit ${m.rate}${m.burst === 5 ? '' : ` --limit-burst ${m.burst}`}`))
    .with({ kind: 'mac-source' }, (m) => piece('mac', 0, `--mac-source ${formatMac(m.mac)}`))
    .with({ kind: 'length' }, (m) => piece('length', 0, `--length ${formatPortRange(m.range)}`))
    .with({ kind: 'ttl' }, (m) => ({ module: 'ttl', rank: 0, text: m.compare === 'ne' ? `! --ttl-eq ${m.value}` : `--ttl-${m.compare} ${m.value}` }))
    .with({ kind: 'pkttype' }, (m) => piece('pkttype', 0, `--pkt-type ${m.type}`))
    .with({ kind: 'iprange' }, (m) => piece('iprange', m.side === 'src' ? 0 : 1, `--${m.side}-range ${formatIp(m.first)}-${formatIp(m.last)}`))
    .with({ kind: 'dscp' }, (m) => piece('dscp', 0, `--dscp ${hex(m.value, 2)}`))
    .with({ kind: 'tos' }, (m) => piece('tos', 0, `--tos ${hex(m.value, 2)}/${hex(m.mask, 2)}`))
    .with({ kind: 'recent' }, (m) => piece('recent', 0, recentText(m)))
    .with({ kind: 'unknown' }, (m) => ({ module: '?', rank: 0, text: m.text }))
    .exhaustive()
}

function recentText(m: Match & { readonly kind: 'recent' }): string {
  return [
    `--${m.action}`,
    m.seconds === undefined ? '' : `--seconds ${m.seconds}`,
    m.reap === true ? '--reap' : '',
    m.hitcount === undefined ? '' : `--hitcount ${m.hitcount}`,
    `--name ${m.name} --mask ${formatIp(m.mask)} --r${m.side}`,
  ]
    .filter((text) => text !== '')
    .join(' ')
}

/** The words of the matches, `-m` included. */
export function printMatches(matches: readonly Match[]): string {
  const pieces = matches.map(pieceOf)
  const words = pieces
    .filter((piece) => piece.module === '')
    .sort((a, b) => a.rank - b.rank)
    .map((piece) => piece.text)
  const rest = pieces.filter((piece) => piece.module !== '')
  for (let i = 0; i < rest.length; i++) {
    const { module, rank, text, tail } = rest[i]
    const before = rest[i - 1]
    // one -m for as long as the module's own order goes up; what comes down again stood behind a -m of its own
    const goesOn = before !== undefined && before.module === module && module !== '?' && rank > before.rank && tail === before.tail
    const after = rest[i + 1]
    const closes = tail !== undefined && !(after?.module === module && after.rank > rank && after.tail === tail)
    if (!goesOn && module !== '?') words.push(`-m ${module}`)
    if (text !== '') words.push(text)
    if (closes) words.push(tail)
  }
  return words.join(' ')
}

/** `10.0.0.1-10.0.0.9:80-90`, each part where it is. */
function formatNatRange(to: NatRange): string {
  const address = to.first === undefined ? '' : formatIp(to.first) + (to.last === undefined || to.last === to.first ? '' : `-${formatIp(to.last)}`)
  return to.ports === undefined ? address : `${address}:${formatPortRange(to.ports, '-')}`
}

function flags(...options: readonly (string | false | undefined)[]): string {
  return options
    .filter(Boolean)
    .map((option) => ` ${option as string}`)
    .join('')
}

function toPorts(ports: PortRange | undefined): string | undefined {
  return ports === undefined ? undefined : `--to-ports ${formatPortRange(ports, '-')}`
}

/** The words of the target, `-j` or `-g` included. */
function printTarget(target: Target): string {
  return cases(target)
    .returnType<string>()
    .with({ kind: P.union('ACCEPT', 'DROP', 'RETURN', 'NOTRACK', 'TRACE') }, (t) => `-j ${t.kind}`)
    .with({ kind: 'jump' }, (t) => `-j ${t.chain}`)
    .with({ kind: 'goto' }, (t) => `-g ${t.chain}`)
    .with({ kind: 'REJECT' }, (t) => `-j REJECT --reject-with ${t.with}`)
    .with(
      { kind: 'LOG' },
      (t) =>
        `-j LOG${flags(
          t.prefix !== undefined && `--log-prefix ${quoteText(t.prefix)}`,
          t.level !== undefined && t.level !== 4 && `--log-level ${t.level}`,
          ...LOG_FLAGS.filter((flag) => t.flags?.includes(flag.slice(2))),
        )}`,
    )
    .with(
      { kind: 'NFLOG' },
      (t) =>
        `-j NFLOG${flags(
          t.prefix !== undefined && `--nflog-prefix ${quoteText(t.prefix)}`,
          t.group !== undefined && `--nflog-group ${t.group}`,
          t.size !== undefined && `--nflog-size ${t.size}`,
          t.threshold !== undefined && `--nflog-threshold ${t.threshold}`,
        )}`,
    )
    .with({ kind: 'MARK' }, (t) => `-j MARK --set-xmark ${hex(t.value)}/${hex(t.mask)}`)
    .with({ kind: 'CONNMARK', action: 'set' }, (t) => `-j CONNMARK --set-xmark ${hex(t.value)}/${hex(t.mask)}`)
    .with({ kind: 'CONNMARK' }, (t) => `-j CONNMARK --${t.action}-mark --nfmask ${hex(t.nfmask)} --ctmask ${hex(t.ctmask)}`)
    .with({ kind: 'MASQUERADE' }, (t) => `-j MASQUERADE${flags(toPorts(t.ports), t.random && '--random', t.randomFully && '--random-fully')}`)
    .with(
      { kind: 'SNAT' },
      (t) => `-j SNAT --to-source ${formatNatRange(t.to)}${flags(t.random && '--random', t.randomFully && '--random-fully', t.persistent && '--persistent')}`,
    )
    .with({ kind: 'DNAT' }, (t) => `-j DNAT --to-destination ${formatNatRange(t.to)}${flags(t.random && '--random', t.persistent && '--persistent')}`)
    .with({ kind: 'REDIRECT' }, (t) => `-j REDIRECT${flags(toPorts(t.ports), t.random && '--random')}`)
    .with({ kind: 'CT' }, (t) => `-j CT${flags(t.notrack && '--notrack', t.zone !== undefined && `--zone ${t.zone}`)}`)
    .with({ kind: 'TCPMSS' }, (t) => (t.clampToPmtu ? '-j TCPMSS --clamp-mss-to-pmtu' : `-j TCPMSS --set-mss ${t.mss}`))
    .with(
      { kind: 'SET' },
      (t) => `-j SET --${t.action} ${t.set} ${t.directions.join(',')}${flags(t.exist && '--exist', t.timeout !== undefined && `--timeout ${t.timeout}`)}`,
    )
    .with({ kind: 'DSCP' }, (t) => `-j DSCP --set-dscp ${hex(t.value, 2)}`)
    .with({ kind: 'TTL' }, (t) => `-j TTL --ttl-${t.action} ${t.value}`)
    .with({ kind: 'CHECKSUM' }, () => '-j CHECKSUM --checksum-fill')
    .with({ kind: 'unknown' }, (t) => t.text)
    .exhaustive()
}

/** The words behind `-A CHAIN`; empty for a rule that matches everything and only counts. */
export function printRule(rule: Pick<Rule, 'matches' | 'target'>): string {
  return [printMatches(rule.matches), rule.target === undefined ? '' : printTarget(rule.target)].filter((part) => part !== '').join(' ')
}

/** A dotted mask as a prefix length; undefined when its ones are not together. */
export function lengthOfMask(mask: number): number | undefined {
  for (let length = 0; length <= 32; length++) if (maskOf(length) === (mask | 0)) return length
  return undefined
}
