/** The targets of iptables that netsim carries out: their options (libxt_*.c, libipt_*.c of iptables 1.8.9), tables, and the Target they make. */
import type { HookName, NatRange, RejectType, TableName, Target } from './iptables.js'
import { directionsOf } from './iptables-match.js'
import { parseDscpClass } from './iptables-value.js'
import { parseAddressRange, parseMasked, parsePortRange, type Option, type OptionReader, type OptionTable } from './iptables-option.js'
import { parseInteger } from './text.js'

interface TargetModule {
  readonly options: OptionTable
  readonly unmodelled?: Readonly<Record<string, number>>
  /** Is a modelled option used in a way that the union cannot hold? */
  readonly foreign?: (options: readonly Option[]) => boolean
  /** The only tables, and the only hooks when called from a built-in chain, that the kernel takes it in. */
  readonly tables?: readonly TableName[]
  readonly hooks?: readonly HookName[]
  readonly build: (reader: OptionReader) => Target | undefined
}

const REJECT_TYPES: ReadonlyMap<string, RejectType> = new Map([
  ['icmp-net-unreachable', 'icmp-net-unreachable'],
  ['net-unreach', 'icmp-net-unreachable'],
  ['icmp-host-unreachable', 'icmp-host-unreachable'],
  ['host-unreach', 'icmp-host-unreachable'],
  ['icmp-proto-unreachable', 'icmp-proto-unreachable'],
  ['proto-unreach', 'icmp-proto-unreachable'],
  ['icmp-port-unreachable', 'icmp-port-unreachable'],
  ['port-unreach', 'icmp-port-unreachable'],
  ['icmp-net-prohibited', 'icmp-net-prohibited'],
  ['net-prohib', 'icmp-net-prohibited'],
  ['icmp-host-prohibited', 'icmp-host-prohibited'],
  ['host-prohib', 'icmp-host-prohibited'],
  ['icmp-admin-prohibited', 'icmp-admin-prohibited'],
  ['admin-prohib', 'icmp-admin-prohibited'],
  ['tcp-reset', 'tcp-reset'],
  ['tcp-rst', 'tcp-reset'],
])

const LOG_LEVELS: ReadonlyMap<string, number> = new Map([
  ['emerg', 0],
  ['panic', 0],
  ['alert', 1],
  ['crit', 2],
  ['err', 3],
  ['error', 3],
  ['warning', 4],
  ['warn', 4],
  ['notice', 5],
  ['info', 6],
  ['debug', 7],
])

const LOG_FLAGS = ['log-tcp-sequence', 'log-tcp-options', 'log-ip-options', 'log-uid', 'log-macdecode']

function table(options: Readonly<Record<string, number>>): OptionTable {
  return Object.fromEntries(Object.entries(options).map(([name, args]) => [name, [name, args] as const]))
}

function buildReject(reader: OptionReader): Target | undefined {
  if (!reader.has('--reject-with')) return { kind: 'REJECT', with: 'icmp-port-unreachable' }
  const type = reader.value('--reject-with', (text) => REJECT_TYPES.get(text), 'the reject type')
  if (type === 'tcp-reset' && reader.protocol !== 6) return reader.fail('REJECT with tcp-reset needs -p tcp', 'Add -p tcp to the rule.')
  return type === undefined ? undefined : { kind: 'REJECT', with: type }
}

function buildLog(reader: OptionReader): Target {
  const prefix = reader.value('--log-prefix', (text) => (text.length <= 29 ? text : undefined), 'the prefix (at most 29 characters)')
  const level = reader.value('--log-level', (text) => parseInteger(text, 7) ?? LOG_LEVELS.get(text.toLowerCase()), 'the log level')
  const flags = LOG_FLAGS.filter((flag) => reader.has(`--${flag}`))
  return {
    kind: 'LOG',
    ...(prefix === undefined ? {} : { prefix }),
    ...(level === undefined || level === 4 ? {} : { level }),
    ...(flags.length === 0 ? {} : { flags }),
  }
}

function buildNflog(reader: OptionReader): Target {
  const prefix = reader.value('--nflog-prefix', (text) => (text.length <= 63 ? text : undefined), 'the prefix (at most 63 characters)')
  const [group, size, threshold] = [reader.integer('--nflog-group', 65535), reader.integer('--nflog-size'), reader.integer('--nflog-threshold', 65535)]
  return {
    kind: 'NFLOG',
    ...(group === undefined || group === 0 ? {} : { group }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(size === undefined ? {} : { size }),
    ...(threshold === undefined || threshold === 0 ? {} : { threshold }),
  }
}

/** All spellings of setting bits come down to --set-xmark: mark = (mark & ~mask) ^ value (xt_mark_target). */
function readXmark(reader: OptionReader): { readonly value: number; readonly mask: number } | undefined {
  const xmark = reader.value('--set-xmark', parseMasked, 'the mark')
  if (xmark !== undefined) return xmark
  const set = reader.value('--set-mark', parseMasked, 'the mark')
  if (set !== undefined) return { value: set.value, mask: (set.value | set.mask) >>> 0 }
  const and = reader.integer('--and-mark')
  if (and !== undefined) return { value: 0, mask: ~and >>> 0 }
  const or = reader.integer('--or-mark')
  if (or !== undefined) return { value: or, mask: or }
  const xor = reader.integer('--xor-mark')
  return xor === undefined ? undefined : { value: xor, mask: 0 }
}

function buildMark(reader: OptionReader): Target | undefined {
  const xmark = readXmark(reader)
  if (xmark === undefined && !reader.failed) return reader.fail('MARK: one of --set-xmark, --set-mark, --and-mark, --or-mark, --xor-mark is required')
  return xmark === undefined ? undefined : { kind: 'MARK', ...xmark }
}

function buildConnmark(reader: OptionReader): Target | undefined {
  const action = reader.has('--save-mark') ? 'save' : reader.has('--restore-mark') ? 'restore' : undefined
  if (action !== undefined) {
    const both = reader.integer('--mask') ?? 0xffffffff
    return { kind: 'CONNMARK', action, nfmask: reader.integer('--nfmask') ?? both, ctmask: reader.integer('--ctmask') ?? both }
  }
  const xmark = readXmark(reader)
  if (xmark === undefined && !reader.failed) return reader.fail('CONNMARK: one of --set-xmark, --set-mark, --save-mark, --restore-mark is required')
  return xmark === undefined ? undefined : { kind: 'CONNMARK', action: 'set', ...xmark }
}

/** `A`, `A-B`, `A:P`, `A-B:P-Q`, `:P-Q`; ports need a protocol that has them. */
function natRange(reader: OptionReader, name: string): NatRange | undefined {
  const option = reader.find(name)
  if (option === undefined) return reader.fail(`${reader.module}: option "${name}" must be specified`)
  const [addresses, ports, more] = option.args[0].split(':')
  const range = addresses === '' ? undefined : parseAddressRange(addresses)
  const portRange = ports === undefined ? undefined : /^\d+(-\d+)?$/.test(ports) ? parsePortRange(ports, '-') : undefined
  if (
    more !== undefined ||
    (addresses !== '' && range === undefined) ||
    (ports !== undefined && portRange === undefined) ||
    (addresses === '' && ports === undefined)
  ) {
    return reader.fail(`${reader.module}: bad range "${option.args[0]}" of ${name}`, 'Write ADDRESS[-ADDRESS][:PORT[-PORT]].')
  }
  if (portRange !== undefined && ![6, 17, 33, 132, 1].includes(reader.protocol))
    return reader.fail(`${reader.module}: need TCP, UDP, SCTP or DCCP with port specification`, 'Add -p tcp or -p udp.')
  return {
    ...(range === undefined ? {} : { first: range[0] }),
    ...(range === undefined || range[1] === range[0] ? {} : { last: range[1] }),
    ...(portRange === undefined ? {} : { ports: portRange }),
  }
}

function toPorts(reader: OptionReader): { readonly ports?: readonly [number, number] } {
  const ports = reader.value('--to-ports', (text) => parsePortRange(text, '-'), 'the ports')
  if (ports !== undefined && ![6, 17, 33, 132, 1].includes(reader.protocol))
    reader.fail(`${reader.module}: need TCP, UDP, SCTP or DCCP with port specification`, 'Add -p tcp or -p udp.')
  return ports === undefined ? {} : { ports }
}

function buildNat(kind: 'SNAT' | 'DNAT'): (reader: OptionReader) => Target | undefined {
  return (reader) => {
    const to = natRange(reader, kind === 'SNAT' ? '--to-source' : '--to-destination')
    if (to === undefined) return undefined
    const common = { to, random: reader.has('--random'), persistent: reader.has('--persistent') }
    return kind === 'SNAT' ? { kind, ...common, randomFully: reader.has('--random-fully') } : { kind, ...common }
  }
}

function buildCt(reader: OptionReader): Target {
  const zone = reader.integer('--zone', 65535)
  return { kind: 'CT', notrack: reader.has('--notrack'), ...(zone === undefined ? {} : { zone }) }
}

function buildTcpmss(reader: OptionReader): Target | undefined {
  const mss = reader.integer('--set-mss', 65535)
  if (mss === undefined && !reader.has('--clamp-mss-to-pmtu'))
    return reader.failed ? undefined : reader.fail('TCPMSS target: At least one parameter is required')
  return { kind: 'TCPMSS', clampToPmtu: mss === undefined, ...(mss === undefined ? {} : { mss }) }
}

function buildSet(reader: OptionReader): Target | undefined {
  const action = (['add-set', 'del-set'] as const).find((name) => reader.has(`--${name}`))
  if (action === undefined) return reader.fail('SET: You must specify either `--add-set` or `--del-set`')
  const [set, words] = reader.find(`--${action}`)?.args ?? []
  const directions = directionsOf(words)
  if (directions === undefined) return reader.fail(`SET: "${words}" is no list of src and dst`)
  const timeout = reader.integer('--timeout')
  return { kind: 'SET', action, set, directions, ...(reader.has('--exist') ? { exist: true } : {}), ...(timeout === undefined ? {} : { timeout }) }
}

function buildDscp(reader: OptionReader): Target | undefined {
  const value = reader.integer('--set-dscp', 63) ?? reader.value('--set-dscp-class', parseDscpClass, 'the class')
  if (value === undefined) return reader.failed ? undefined : reader.fail('DSCP target: Parameter --set-dscp is required')
  return { kind: 'DSCP', value }
}

function buildTtl(reader: OptionReader): Target | undefined {
  const action = (['set', 'dec', 'inc'] as const).find((name) => reader.has(`--ttl-${name}`))
  if (action === undefined) return reader.fail('TTL: You must specify an action')
  const value = reader.integer(`--ttl-${action}`, 255)
  return value === undefined ? undefined : { kind: 'TTL', action, value }
}

const bare =
  (kind: 'ACCEPT' | 'DROP' | 'RETURN' | 'NOTRACK' | 'TRACE' | 'CHECKSUM'): (() => Target) =>
  () => ({ kind })
const NAT: readonly TableName[] = ['nat']
const MANGLE: readonly TableName[] = ['mangle']
const MARKS = table({ '--set-xmark': 1, '--set-mark': 1, '--and-mark': 1, '--or-mark': 1, '--xor-mark': 1 })

export const TARGET_MODULES: Readonly<Record<string, TargetModule>> = {
  ACCEPT: { options: {}, build: bare('ACCEPT') },
  DROP: { options: {}, build: bare('DROP') },
  RETURN: { options: {}, build: bare('RETURN') },
  REJECT: { options: table({ '--reject-with': 1 }), tables: ['filter'], hooks: ['INPUT', 'FORWARD', 'OUTPUT'], build: buildReject },
  LOG: { options: table({ '--log-prefix': 1, '--log-level': 1, ...Object.fromEntries(LOG_FLAGS.map((flag) => [`--${flag}`, 0])) }), build: buildLog },
  NFLOG: {
    options: table({ '--nflog-prefix': 1, '--nflog-group': 1, '--nflog-size': 1, '--nflog-threshold': 1 }),
    unmodelled: { '--nflog-range': 1 },
    build: buildNflog,
  },
  MARK: { options: MARKS, build: buildMark },
  CONNMARK: { options: { ...MARKS, ...table({ '--save-mark': 0, '--restore-mark': 0, '--nfmask': 1, '--ctmask': 1, '--mask': 1 }) }, build: buildConnmark },
  MASQUERADE: {
    options: table({ '--to-ports': 1, '--random': 0, '--random-fully': 0 }),
    tables: NAT,
    hooks: ['POSTROUTING'],
    build: (r) => ({ kind: 'MASQUERADE', ...toPorts(r), random: r.has('--random'), randomFully: r.has('--random-fully') }),
  },
  SNAT: {
    options: table({ '--to-source': 1, '--random': 0, '--random-fully': 0, '--persistent': 0 }),
    tables: NAT,
    hooks: ['POSTROUTING', 'INPUT'],
    build: buildNat('SNAT'),
  },
  DNAT: {
    options: table({ '--to-destination': 1, '--random': 0, '--persistent': 0 }),
    // ports shifted from a base: 1.2.3.4:2000-2010/5000
    foreign: (options) => options.some(({ args }) => /:\d+-\d+\/\d+$/.test(args[0] ?? '')),
    tables: NAT,
    hooks: ['PREROUTING', 'OUTPUT'],
    build: buildNat('DNAT'),
  },
  REDIRECT: {
    options: table({ '--to-ports': 1, '--random': 0 }),
    tables: NAT,
    hooks: ['PREROUTING', 'OUTPUT'],
    build: (r) => ({ kind: 'REDIRECT', ...toPorts(r), random: r.has('--random') }),
  },
  NOTRACK: { options: {}, tables: ['raw'], build: bare('NOTRACK') },
  CT: {
    options: table({ '--notrack': 0, '--zone': 1 }),
    unmodelled: { '--helper': 1, '--timeout': 1, '--ctevents': 1, '--expevents': 1, '--zone-orig': 1, '--zone-reply': 1 },
    tables: ['raw'],
    build: buildCt,
  },
  TCPMSS: { options: table({ '--set-mss': 1, '--clamp-mss-to-pmtu': 0 }), build: buildTcpmss },
  SET: {
    options: table({ '--add-set': 2, '--del-set': 2, '--exist': 0, '--timeout': 1 }),
    unmodelled: { '--map-set': 2, '--map-mark': 0, '--map-prio': 0, '--map-queue': 0 },
    build: buildSet,
  },
  DSCP: { options: table({ '--set-dscp': 1, '--set-dscp-class': 1 }), tables: MANGLE, build: buildDscp },
  TTL: { options: table({ '--ttl-set': 1, '--ttl-dec': 1, '--ttl-inc': 1 }), tables: MANGLE, build: buildTtl },
  CHECKSUM: { options: table({ '--checksum-fill': 0 }), tables: MANGLE, build: bare('CHECKSUM') },
  TRACE: { options: {}, tables: ['raw'], build: bare('TRACE') },
}

/** Targets that iptables has and netsim does not evaluate: kept verbatim and named. */
export const OTHER_TARGETS: ReadonlySet<string> = new Set([
  'AUDIT',
  'CLASSIFY',
  'CLUSTERIP',
  'CONNSECMARK',
  'ECN',
  'HMARK',
  'IDLETIMER',
  'LED',
  'NETMAP',
  'NFQUEUE',
  'QUEUE',
  'RATEEST',
  'SECMARK',
  'SYNPROXY',
  'TCPOPTSTRIP',
  'TEE',
  'TOS',
  'TPROXY',
  'ULOG',
])

/** Match modules that iptables has and netsim does not evaluate. */
export const OTHER_MATCHES: ReadonlySet<string> = new Set([
  'ah',
  'bpf',
  'cgroup',
  'cluster',
  'connbytes',
  'connlabel',
  'connlimit',
  'cpu',
  'dccp',
  'devgroup',
  'ecn',
  'esp',
  'hashlimit',
  'helper',
  'ipcomp',
  'ipvs',
  'nfacct',
  'osf',
  'owner',
  'policy',
  'quota',
  'rateest',
  'realm',
  'socket',
  'string',
  'tcpmss',
  'time',
  'u32',
])
