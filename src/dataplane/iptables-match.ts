/**
 * The match modules of iptables that netsim evaluates: which options each takes (libxt_*.c, libipt_*.c of iptables 1.8.9) and
 * what Match they make. An option that exists but has no place in the Match union makes the module's whole text `unknown`.
 */
import { canonicalProbability, canonicalRate, icmpType, parseDscpClass, parseTos } from './iptables-value.js'
import { parseMac } from '../base/mac.js'
import { parseIp } from '../base/ip.js'
import { ADDR_TYPES } from './iptables.js'
import type { CtState, Match } from './iptables.js'
import {
  parseAddressRange,
  parseMasked,
  parseNetwork,
  parsePortList,
  parsePortRange,
  parseProtocol,
  parseWordList,
  type Option,
  type OptionReader,
  type OptionTable,
} from './iptables-option.js'
import { parseInteger } from './text.js'

interface MatchModule {
  readonly options: OptionTable
  /** Real options that the union cannot hold, with their number of arguments: then the module is kept verbatim. */
  readonly unmodelled?: Readonly<Record<string, number>>
  /** Protocols of which the rule must have one; said as iptables says it. */
  readonly protocols?: readonly number[]
  /** undefined after a reported failure. */
  readonly build: (reader: OptionReader) => readonly (Match | undefined)[]
}

const CT_STATES: readonly CtState[] = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT']
const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG']

/** The key `invert` only where it holds, so that equal rules are equal objects. */
function not(option: Option): { readonly invert?: boolean } {
  return option.invert ? { invert: true } : {}
}

function one<Value>(
  reader: OptionReader,
  name: string,
  parse: (text: string) => Value | undefined,
  make: (value: Value, option: Option) => Match,
): Match | undefined {
  const option = reader.find(name)
  const value = reader.value(name, parse, 'the value')
  return option === undefined || value === undefined ? undefined : make(value, option)
}

function required(reader: OptionReader, name: string, match: Match | undefined): readonly (Match | undefined)[] {
  if (!reader.has(name)) reader.fail(`${reader.module}: option "${name}" must be specified`)
  return [match]
}

function tcpFlags(text: string): number | undefined {
  if (text.toUpperCase() === 'ALL') return 63
  if (text.toUpperCase() === 'NONE') return 0
  const words = parseWordList(text, TCP_FLAGS)
  return words?.reduce((bits, word) => bits | (1 << TCP_FLAGS.indexOf(word)), 0)
}

function ports(module: 'tcp' | 'udp' | 'sctp', reader: OptionReader): readonly (Match | undefined)[] {
  return [
    one(reader, '--sport', parsePortRange, (value, option) => ({ kind: 'source-port', module, ports: value, ...not(option) })),
    one(reader, '--dport', parsePortRange, (value, option) => ({ kind: 'destination-port', module, ports: value, ...not(option) })),
  ]
}

function orBare(module: 'tcp' | 'udp' | 'sctp', matches: readonly (Match | undefined)[]): readonly (Match | undefined)[] {
  return matches.every((match) => match === undefined) ? [{ kind: 'module', module }] : matches
}

function buildTcp(reader: OptionReader): readonly (Match | undefined)[] {
  const option = reader.find('--tcp-flags') ?? reader.find('--syn')
  const flagsOf = (): Match | undefined => {
    if (option === undefined) return undefined
    if (option.name === '--syn') return { kind: 'tcp-flags', mask: 0b010111, set: 0b000010, ...not(option) }
    const [mask, set] = [tcpFlags(option.args[0]), tcpFlags(option.args[1])]
    if (mask === undefined || set === undefined)
      return reader.fail(`tcp: unknown TCP flag in "${option.args.join(' ')}"`, `The flags are ${TCP_FLAGS.join(' ')} ALL NONE.`)
    return { kind: 'tcp-flags', mask, set, ...not(option) }
  }
  return orBare('tcp', [...ports('tcp', reader), flagsOf()])
}

function buildConntrack(reader: OptionReader): readonly (Match | undefined)[] {
  const network = (text: string): ReturnType<typeof asNetwork> => asNetwork(text)
  const matches = [
    one(
      reader,
      '--ctstate',
      (text) => parseWordList(text, CT_STATES),
      (states, option) => ({ kind: 'ctstate', module: 'conntrack', states, ...not(option) }),
    ),
    one(reader, '--ctproto', parseProtocol, (proto, option) => ({ kind: 'ctproto', proto, ...not(option) })),
    ...(['ctorigsrc', 'ctorigdst', 'ctreplsrc', 'ctrepldst'] as const).map((field) =>
      one(reader, `--${field}`, network, (net, option) => ({ kind: 'ct-address', field, net, ...not(option) })),
    ),
    ...(['ctorigsrcport', 'ctorigdstport', 'ctreplsrcport', 'ctrepldstport'] as const).map((field) =>
      one(reader, `--${field}`, parsePortRange, (value, option) => ({ kind: 'ct-port', field, ports: value, ...not(option) })),
    ),
    one(
      reader,
      '--ctstatus',
      (text) => parseWordList(text, ['NONE', 'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'] as const),
      (status, option) => ({ kind: 'ctstatus', status, ...not(option) }),
    ),
    one(
      reader,
      '--ctdir',
      (text) => parseWordList(text, ['ORIGINAL', 'REPLY'] as const)?.[0],
      (direction) => ({ kind: 'ctdir', direction }),
    ),
  ]
  if (reader.options.length === 0) reader.fail('conntrack: at least one option is required')
  return matches
}

function asNetwork(text: string): Exclude<ReturnType<typeof parseNetwork>, string> | undefined {
  const net = parseNetwork(text)
  return typeof net === 'string' ? undefined : net
}

function buildAddrtype(reader: OptionReader): readonly (Match | undefined)[] {
  const limit = reader.has('--limit-iface-in') ? { limit: 'in' as const } : reader.has('--limit-iface-out') ? { limit: 'out' as const } : {}
  if (!reader.has('--src-type') && !reader.has('--dst-type')) reader.fail('addrtype: you must specify --src-type or --dst-type')
  return (['src', 'dst'] as const).map((side) =>
    one(
      reader,
      `--${side}-type`,
      (text) => parseWordList(text, ADDR_TYPES),
      (types, option) => ({ kind: 'addrtype', side, types, ...limit, ...not(option) }),
    ),
  )
}

function directionsOf(text: string): readonly ('src' | 'dst')[] | undefined {
  const words = text.split(',')
  return words.length <= 6 && words.every((word): word is 'src' | 'dst' => word === 'src' || word === 'dst') ? words : undefined
}

function buildSet(reader: OptionReader): readonly (Match | undefined)[] {
  const option = reader.find('--match-set')
  if (option === undefined) return [reader.fail('set: you must specify --match-set')]
  const directions = directionsOf(option.args[1])
  if (directions === undefined) return [reader.fail(`set: "${option.args[1]}" is no list of src and dst`)]
  return [{ kind: 'set', set: option.args[0], directions, ...not(option) }]
}

export { directionsOf }

function buildStatistic(reader: OptionReader): readonly (Match | undefined)[] {
  const mode = reader.find('--mode')?.args[0]
  if (mode === 'random') {
    return required(
      reader,
      '--probability',
      one(reader, '--probability', canonicalProbability, (probability, option) => ({ kind: 'statistic-random', probability, ...not(option) })),
    )
  }
  if (mode !== 'nth') return [reader.fail(`statistic: bad mode "${mode ?? ''}"`, 'The modes are random and nth.')]
  const packet = reader.integer('--packet')
  return required(
    reader,
    '--every',
    one(
      reader,
      '--every',
      (text) => parseInteger(text) || undefined,
      (every, option) => {
        if (packet === undefined) reader.fail('statistic: option "--every" also requires "--packet".')
        else if (packet >= every) reader.fail(`statistic: the --packet p must be 0 <= p <= n-1, not ${packet}`)
        return { kind: 'statistic-nth', every, packet: packet ?? 0, ...not(option) }
      },
    ),
  )
}

function buildPhysdev(reader: OptionReader): readonly (Match | undefined)[] {
  if (reader.options.length === 0) reader.fail('PHYSDEV: no physdev option specified')
  return (['physdev-is-in', 'physdev-in', 'physdev-is-out', 'physdev-out', 'physdev-is-bridged'] as const).map((option) => {
    const found = reader.find(`--${option}`)
    if (found === undefined) return undefined
    return option === 'physdev-in' || option === 'physdev-out'
      ? { kind: 'physdev', option, name: found.args[0], ...not(found) }
      : { kind: 'physdev-is', option, ...not(found) }
  })
}

function buildLimit(reader: OptionReader): readonly (Match | undefined)[] {
  const rate = reader.has('--limit') ? reader.value('--limit', canonicalRate, 'the rate') : '3/hour'
  const burst = reader.has('--limit-burst') ? reader.integer('--limit-burst', 10000) : 5
  return [rate === undefined || burst === undefined ? undefined : { kind: 'limit', rate, burst }]
}

const TTL_COMPARE = { '--ttl-eq': 'eq', '--ttl-lt': 'lt', '--ttl-gt': 'gt' } as const

function buildTtl(reader: OptionReader): readonly (Match | undefined)[] {
  const name = (Object.keys(TTL_COMPARE) as (keyof typeof TTL_COMPARE)[]).find((option) => reader.has(option))
  if (name === undefined) return [reader.fail('ttl: one of --ttl-eq, --ttl-lt, --ttl-gt must be specified')]
  const value = reader.integer(name, 255)
  const compare = name === '--ttl-eq' && reader.find(name)?.invert === true ? 'ne' : TTL_COMPARE[name]
  return [value === undefined ? undefined : { kind: 'ttl', compare, value }]
}

function buildRecent(reader: OptionReader): readonly (Match | undefined)[] {
  const found = (['set', 'rcheck', 'update', 'remove'] as const).filter((action) => reader.has(`--${action}`))
  if (found.length !== 1) return [reader.fail('recent: you must specify one of `--set`, `--rcheck` `--update` or `--remove`')]
  const mask = reader.has('--mask') ? reader.value('--mask', parseIp, 'the mask') : -1
  const [seconds, hitcount] = [reader.integer('--seconds'), reader.integer('--hitcount', 65535)]
  return [
    {
      kind: 'recent',
      action: found[0],
      name: reader.find('--name')?.args[0] ?? 'DEFAULT',
      side: reader.has('--rdest') ? 'dest' : 'source',
      mask: mask ?? -1,
      ...(seconds === undefined ? {} : { seconds }),
      ...(hitcount === undefined ? {} : { hitcount }),
      ...(reader.has('--reap') ? { reap: true } : {}),
      ...not(reader.find(`--${found[0]}`) as Option),
    },
  ]
}

function markModule(kind: 'mark' | 'connmark'): MatchModule {
  return {
    options: { '--mark': ['--mark', 1] },
    build: (r) =>
      required(
        r,
        '--mark',
        one(r, '--mark', parseMasked, (value, option) => ({ kind, ...value, ...not(option) })),
      ),
  }
}

const PORT_OPTIONS: OptionTable = {
  '--sport': ['--sport', 1],
  '--source-port': ['--sport', 1],
  '--dport': ['--dport', 1],
  '--destination-port': ['--dport', 1],
}

/** Options under their own names. */
function table(options: Readonly<Record<string, number>>): OptionTable {
  return Object.fromEntries(Object.entries(options).map(([name, args]) => [name, [name, args] as const]))
}

// a table: a row an option
// prettier-ignore
export const MATCH_MODULES: Readonly<Record<string, MatchModule>> = {
  tcp: { options: { ...PORT_OPTIONS, ...table({ '--tcp-flags': 2, '--syn': 0 }) }, unmodelled: { '--tcp-option': 1 }, protocols: [6], build: buildTcp },
  udp: { options: PORT_OPTIONS, protocols: [17], build: (r) => orBare('udp', ports('udp', r)) },
  sctp: { options: PORT_OPTIONS, unmodelled: { '--chunk-types': 2 }, protocols: [132], build: (r) => orBare('sctp', ports('sctp', r)) },
  icmp: {
    options: table({ '--icmp-type': 1 }),
    protocols: [1],
    build: (r) => required(r, '--icmp-type',
      one(r, '--icmp-type', icmpType, ([type, code], option) => ({ kind: 'icmp-type', type, ...(code === undefined ? {} : { code }), ...not(option) }))),
  },
  multiport: {
    options: {
      '--sports': ['--sports', 1], '--source-ports': ['--sports', 1], '--dports': ['--dports', 1], '--destination-ports': ['--dports', 1],
      '--ports': ['--ports', 1], '--port': ['--ports', 1],
    },
    protocols: [6, 17, 33, 132, 136],
    build: (r) => {
      if (r.options.length !== 1) return [r.fail('multiport: give exactly one of --sports, --dports, --ports behind each -m multiport')]
      const side = r.options[0].name.slice(2) as 'sports' | 'dports' | 'ports'
      return [one(r, `--${side}`, parsePortList, (value, option) => ({ kind: 'multiport', side, ports: value, ...not(option) }))]
    },
  },
  comment: { options: table({ '--comment': 1 }),
    build: (r) => required(r, '--comment', one(r, '--comment', (text) => (text.length > 255 ? undefined : text), (text) => ({ kind: 'comment', text }))) },
  mark: markModule('mark'),
  connmark: markModule('connmark'),
  state: {
    options: table({ '--state': 1 }),
    build: (r) => required(r, '--state',
      one(r, '--state', (text) => parseWordList(text, CT_STATES.slice(0, 5)),
        (states, option) => ({ kind: 'ctstate', module: 'state', states, ...not(option) }))),
  },
  conntrack: {
    options: table({
      '--ctstate': 1, '--ctproto': 1, '--ctorigsrc': 1, '--ctorigdst': 1, '--ctreplsrc': 1, '--ctrepldst': 1, '--ctorigsrcport': 1, '--ctorigdstport': 1,
      '--ctreplsrcport': 1, '--ctrepldstport': 1, '--ctstatus': 1, '--ctdir': 1,
    }),
    unmodelled: { '--ctexpire': 1 },
    build: buildConntrack,
  },
  addrtype: { options: table({ '--src-type': 1, '--dst-type': 1, '--limit-iface-in': 0, '--limit-iface-out': 0 }), build: buildAddrtype },
  set: {
    // --set: the name of iptables before 1.4.4, which later ones still take
    options: { '--match-set': ['--match-set', 2], '--set': ['--match-set', 2] },
    unmodelled: {
      '--return-nomatch': 0, '--update-counters': 0, '--update-subcounters': 0, '--packets-eq': 1, '--packets-lt': 1, '--packets-gt': 1, '--bytes-eq': 1,
        '--bytes-lt': 1, '--bytes-gt': 1,
    },
    build: buildSet,
  },
  statistic: { options: table({ '--mode': 1, '--probability': 1, '--every': 1, '--packet': 1 }), build: buildStatistic },
  physdev: { options: table({ '--physdev-in': 1, '--physdev-out': 1, '--physdev-is-in': 0, '--physdev-is-out': 0, '--physdev-is-bridged': 0 }),
    build: buildPhysdev },
  rpfilter: {
    options: table({ '--loose': 0, '--validmark': 0, '--accept-local': 0, '--invert': 0 }),
    build: (r) => [{ kind: 'rpfilter', loose: r.has('--loose'), validmark: r.has('--validmark'), acceptLocal: r.has('--accept-local'),
      invert: r.has('--invert') }],
  },
  limit: { options: table({ '--limit': 1, '--limit-burst': 1 }), build: buildLimit },
  mac: { options: table({ '--mac-source': 1 }),
    build: (r) => required(r, '--mac-source', one(r, '--mac-source', parseMac, (mac, option) => ({ kind: 'mac-source', mac, ...not(option) }))) },
  length: {
    options: table({ '--length': 1 }),
    build: (r) => required(r, '--length', one(r, '--length', (text) => parsePortRange(text), (range, option) => ({ kind: 'length', range, ...not(option) }))),
  },
  ttl: { options: { '--ttl-eq': ['--ttl-eq', 1], '--ttl': ['--ttl-eq', 1], '--ttl-lt': ['--ttl-lt', 1], '--ttl-gt': ['--ttl-gt', 1] }, build: buildTtl },
  pkttype: {
    options: table({ '--pkt-type': 1 }),
    build: (r) => required(r, '--pkt-type',
      one(r, '--pkt-type', (text) => (['unicast', 'broadcast', 'multicast'] as const).find((type) => type === text.toLowerCase()),
        (type, option) => ({ kind: 'pkttype', type, ...not(option) }))),
  },
  iprange: {
    options: table({ '--src-range': 1, '--dst-range': 1 }),
    build: (r) => {
      if (r.options.length === 0) r.fail('iprange match: You must specify `--src-range` or `--dst-range`')
      return (['src', 'dst'] as const).map((side) =>
        one(r, `--${side}-range`, parseAddressRange, ([first, last], option) => ({ kind: 'iprange', side, first, last, ...not(option) })))
    },
  },
  dscp: {
    options: table({ '--dscp': 1, '--dscp-class': 1 }),
    build: (r) => {
      const name = r.has('--dscp-class') ? '--dscp-class' : '--dscp'
      return required(r, name, one(r, name, name === '--dscp' ? (text) => parseInteger(text, 63) : parseDscpClass,
        (value, option) => ({ kind: 'dscp', value, ...not(option) })))
    },
  },
  tos: { options: table({ '--tos': 1 }),
    build: (r) => required(r, '--tos', one(r, '--tos', parseTos, (value, option) => ({ kind: 'tos', ...value, ...not(option) }))) },
  recent: {
    options: table({ '--set': 0, '--rcheck': 0, '--update': 0, '--remove': 0, '--name': 1, '--seconds': 1, '--hitcount': 1, '--reap': 0, '--rsource': 0,
      '--rdest': 0, '--mask': 1 }),
    unmodelled: { '--rttl': 0 },
    build: buildRecent,
  },
}
