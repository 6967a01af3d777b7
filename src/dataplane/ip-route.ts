/**
 * `ip route show` text ⇄ RouteSpec[], as iproute2 6.1 prints it (each part followed by a blank, so that lines end in one) and
 * in the order in which the kernel dumps its tries (fib_trie.c: fn_trie_dump_leaf, inet_dump_fib).
 */
import { formatCidr, parseCidr, type Cidr } from '../base/cidr.js'
import { compareIp, formatIp, isIpv6Text, parseIp } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { NexthopSpec, RouteSpec, RouteType } from './dataplane.js'
import { readRouteRow, routeHeading, type RouteColumns } from './route-table.js'
import { OTHER_ATTRIBUTES, OTHER_FLAGS, parseRouteProtocol, SCOPES, STATE_FLAGS } from './route-words.js'
import { hex, numberedLines, parseInteger, Report, Words, type Place } from './text.js'

const ROUTE_TYPES: readonly RouteType[] = ['unicast', 'local', 'broadcast', 'multicast', 'blackhole', 'unreachable', 'prohibit', 'throw']

/** IPV4_MIN_MTU. */
const LEAST_MTU = 68

/** Characters of one route with its next hops: a kernel has at most a few hundred of them. */
const NEXTHOPS_MAX = 1 << 16

const TABLE_IDS: ReadonlyMap<string, number> = new Map([
  ['main', 254],
  ['local', 255],
  ['default', 253],
])
const TABLE_WORDS: ReadonlyMap<number, string> = new Map([
  [254, 'main'],
  [255, 'local'],
  [253, 'default'],
])

/** `main` for 254, a number for the rest; undefined when the text is neither a known name nor a number. Where printed, a node's own name is taken too. */
export function parseTable(text: string | undefined, { printed = false }: { readonly printed?: boolean } = {}): string | undefined {
  if (text === undefined) return undefined
  if (TABLE_IDS.has(text) || (printed && /^[a-z_][\w.-]*$/i.test(text) && text !== 'unspec')) return text
  const id = parseInteger(text)
  return id === undefined || id === 0 ? undefined : (TABLE_WORDS.get(id) ?? String(id))
}

export function tableOf(route: Pick<RouteSpec, 'table'>): string {
  return route.table ?? 'main'
}

/** What was said of a route, before defaults: a delete command matches only what was said. */
export interface RouteWords {
  type?: RouteType
  destination?: Cidr
  via?: number
  device?: string
  onlink?: boolean
  linkdown?: boolean
  dead?: boolean
  protocol?: string
  scope?: NonNullable<RouteSpec['scope']>
  source?: number
  metric?: number
  table?: string
  mtu?: number
  mtuLocked?: boolean
  advmss?: number
  tos?: number
  nexthops?: NexthopDraft[]
}

/** Without a device until the kernel has resolved the gateway. */
export interface NexthopDraft {
  via?: number
  device?: string
  weight: number
  onlink?: boolean
  linkdown?: boolean
  dead?: boolean
}

/** `default`, `10.1.0.0/16`, `10.1/16`, `10.0.0.1`. */
function readPrefix(text: string, report: Report): Cidr | undefined {
  if (text === 'default' || text === 'any' || text === 'all') return { base: 0, length: 0 }
  if (isIpv6Text(text.split('/')[0])) return report.error(`"${text}" is an IPv6 prefix, which is not modelled`)
  const [host, length] = text.split('/')
  const full = /^\d+(\.\d+){0,2}$/.test(host) ? host + '.0'.repeat(4 - host.split('.').length) : host
  const bits = length ?? '32'
  const prefix = parseCidr(`${full}/${bits}`)
  if (prefix === 'host-bits') return report.error(`Error: Invalid prefix for given prefix length: "${text}"`, 'Clear the host bits.')
  return prefix === 'syntax' ? report.error(`any valid prefix is expected rather than "${text}"`) : prefix
}

function readAddress(words: Words, what: string, report: Report): number | undefined {
  words.takeIf('inet')
  const text = words.next()
  if (text === 'inet6' || (text !== undefined && isIpv6Text(text))) {
    words.takeIf(text === 'inet6' ? (words.peek() ?? '') : '')
    return report.error(`${what} is an IPv6 address, which is not modelled`)
  }
  const address = text === undefined ? undefined : parseIp(text)
  return address ?? report.error(`${what} needs an IPv4 address, not "${text ?? ''}"`)
}

function readNumber(words: Words, what: string, report: Report): number | undefined {
  const text = words.next()
  return parseInteger(text) ?? report.error(`${what} needs a number, not "${text ?? ''}"`)
}

function readNexthop(words: Words, report: Report): NexthopDraft | undefined {
  const hop: NexthopDraft = { weight: 1 }
  for (;;) {
    if (words.takeIf('via')) {
      hop.via = readAddress(words, 'nexthop via', report)
      if (hop.via === undefined) return undefined
    } else if (words.takeIf('dev')) hop.device = words.next()
    else if (words.takeIf('weight')) {
      const weight = readNumber(words, 'weight', report)
      if (weight === undefined) return undefined
      if (weight < 1 || weight > 256) return report.error(`"weight" is invalid: ${weight}`, 'A weight is 1 to 256.')
      hop.weight = weight
    } else if (words.takeIf('onlink')) hop.onlink = true
    else if (STATE_FLAGS.has(words.peek() ?? '')) readState(words.next() ?? '', hop, report)
    else if (words.takeIf('pervasive')) report.warning('the flag "pervasive" of a next hop is not modelled and left out')
    else return hop
  }
}

/** Reads one attribute; false after a reported failure, undefined when the word is none. */
function readAttribute(words: Words, route: RouteWords, report: Report): boolean | undefined {
  const word = words.next()
  switch (word) {
    case 'via':
      route.via = readAddress(words, 'via', report)
      return route.via !== undefined
    case 'dev':
    case 'oif':
      route.device = words.next()
      return route.device !== undefined || report.error('"dev" requires an argument') === true
    case 'src':
    case 'from':
      if (word === 'from') return report.error('routes by source (from) are not modelled for IPv4') === true
      route.source = readAddress(words, 'src', report)
      return route.source !== undefined
    case 'onlink':
      return (route.onlink = true)
    case 'proto':
    case 'protocol':
      return readWord(
        words,
        'protocol',
        (text) => parseRouteProtocol(text, report),
        (value) => (route.protocol = value),
        report,
      )
    case 'scope':
      return readWord(
        words,
        'scope',
        (text) => SCOPES.get(text),
        (value) => (route.scope = value),
        report,
      )
    case 'table':
      return readWord(
        words,
        'table ID',
        (text) => parseTable(text, report),
        (value) => (route.table = value),
        report,
      )
    case 'metric':
    case 'priority':
    case 'preference':
      route.metric = readNumber(words, word, report)
      return route.metric !== undefined
    case 'tos':
    case 'dsfield': {
      const tos = parseTos(words.next())
      if (tos === undefined) return report.error(`"${word}" value is invalid`) === true
      route.tos = tos
      return true
    }
    case 'mtu':
    case 'advmss':
      return readSize(word, words, route, report)
    case 'nexthop': {
      const hop = readNexthop(words, report)
      if (hop === undefined) return false
      ;(route.nexthops ??= []).push(hop)
      return true
    }
    default:
      if (!STATE_FLAGS.has(word ?? '')) return readForeign(word ?? '', words, report)
      readState(word ?? '', route, report)
      return true
  }
}

/** Of hardware the rest. No command sets them: what was printed is how the kernel found its devices. */
function readState(word: string, hop: Pick<NexthopDraft, 'linkdown' | 'dead'>, report: Report): void {
  if (report.printed && (word === 'linkdown' || word === 'dead')) hop[word] = true
}

function readSize(word: 'mtu' | 'advmss', words: Words, route: RouteWords, report: Report): boolean {
  if (words.takeIf('lock')) {
    if (word === 'mtu') route.mtuLocked = true
    else report.warning(`"lock" of ${word} is not modelled and left out`)
  }
  const bytes = readNumber(words, word, report)
  // Linux takes it, but there is no cutting packets into pieces without room for eight bytes behind the longest header.
  if (word === 'mtu' && bytes !== undefined && bytes > 0 && bytes < LEAST_MTU)
    return report.error(`a route with mtu ${bytes} is not modelled`, `The least MTU of IPv4 is ${LEAST_MTU}.`) === true
  route[word] = bytes
  return bytes !== undefined
}

function readWord<Value>(words: Words, what: string, parse: (text: string) => Value | undefined, set: (value: Value) => void, report: Report): boolean {
  const text = words.next()
  const value = text === undefined ? undefined : parse(text)
  if (value === undefined) return report.error(`argument "${text ?? ''}" is wrong: invalid ${what}`) === true
  set(value)
  return true
}

/** /etc/iproute2/rt_dsfield gives `lowdelay` and the like names too; numbers are hexadecimal in every spelling. */
function parseTos(text: string | undefined): number | undefined {
  const value = text === undefined || !/^(0x)?[0-9a-f]{1,2}$/i.test(text) ? NaN : Number.parseInt(text, 16)
  return Number.isNaN(value) ? undefined : value
}

function readForeign(word: string, words: Words, report: Report): boolean | undefined {
  if (OTHER_FLAGS.has(word)) {
    report.warning(`the flag "${word}" of a route is not modelled and left out`)
    return true
  }
  if (!OTHER_ATTRIBUTES.has(word)) return undefined
  words.takeIf('lock')
  report.warning(`the attribute "${word} ${words.next() ?? ''}" of a route is not modelled and left out`)
  return true
}

/** Reads `[TYPE] PREFIX ATTRIBUTE…` to the end of the words. undefined after a reported failure. */
export function readRoute(words: Words, report: Report): RouteWords | undefined {
  const route: RouteWords = {}
  const type = ROUTE_TYPES.find((candidate) => candidate === words.peek())
  if (type !== undefined) {
    words.next()
    route.type = type
  }
  while (!words.done) {
    const word = words.peek() ?? ''
    const prefix = words.takeIf('to')
    const attribute = prefix ? undefined : readAttribute(words, route, report)
    if (attribute === false) return undefined
    if (attribute === true) continue
    if (route.destination !== undefined) return report.error(`either "to" is duplicate, or "${word}" is a garbage.`, 'Check the spelling of this word.')
    route.destination = readPrefix(prefix ? (words.next() ?? '') : word, report)
    if (route.destination === undefined) return undefined
  }
  return route
}

/** The words with the defaults of `ip route show`; keys only where they say something. */
export function routeOf(words: RouteWords & { readonly destination: Cidr }, nexthops?: readonly NexthopSpec[]): RouteSpec {
  return {
    destination: words.destination,
    type: words.type ?? 'unicast',
    ...(words.via === undefined ? {} : { via: words.via }),
    ...(words.device === undefined ? {} : { device: words.device }),
    ...(words.onlink === true ? { onlink: true } : {}),
    ...stateOf(words),
    ...(words.protocol === undefined || words.protocol === 'boot' ? {} : { protocol: words.protocol }),
    ...(words.scope === undefined || words.scope === 'global' ? {} : { scope: words.scope }),
    ...(words.source === undefined ? {} : { source: words.source }),
    ...(words.metric === undefined || words.metric === 0 ? {} : { metric: words.metric }),
    ...(words.table === undefined || words.table === 'main' ? {} : { table: words.table }),
    ...(words.mtu === undefined ? {} : { mtu: words.mtu }),
    ...(words.mtuLocked === true ? { mtuLocked: true } : {}),
    ...(words.advmss === undefined ? {} : { advmss: words.advmss }),
    ...(words.tos === undefined || words.tos === 0 ? {} : { tos: words.tos }),
    ...(nexthops === undefined ? {} : { nexthops }),
  }
}

/** Reads `ip route show` text, of one table or of all. IPv6 lines are counted and named once. */
export function parseRoutes(text: string, place: Place): { readonly routes: readonly RouteSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place, { printed: true })
  const routes: RouteSpec[] = []
  let ipv6 = 0
  let table: RouteColumns | undefined
  for (const line of joinNexthops(text, report)) {
    if (line.startsWith('Kernel IP routing table')) continue
    table = routeHeading(line) ?? table
    if (table !== undefined) {
      const row = readRouteRow(line, table, report)
      if (row !== undefined) routes.push({ ...row, ...report.origin })
      continue
    }
    if (isIpv6Route(line)) {
      ipv6++
      continue
    }
    const words = Words.of(line)
    const route = readRoute(words, report)
    if (route === undefined) continue
    const { destination } = route
    if (destination === undefined) report.error(`the line "${line.trim()}" names no destination`)
    else if (route.nexthops?.some((hop) => hop.device === undefined) === true)
      report.error('a next hop names no device', 'Write nexthop via ADDRESS dev DEVICE weight N.')
    else routes.push({ ...routeOf({ ...route, destination }, route.nexthops?.map(nexthopOf)), ...report.origin })
  }
  if (ipv6 > 0) report.warning(`${ipv6} IPv6 routes are left out: IPv6 is not modelled`)
  return { routes, problems: report.problems }
}

export function nexthopOf(hop: NexthopDraft): NexthopSpec {
  return {
    ...(hop.via === undefined ? {} : { via: hop.via }),
    device: hop.device ?? '',
    weight: hop.weight,
    ...(hop.onlink === true ? { onlink: true } : {}),
    ...stateOf(hop),
  }
}

function stateOf({ linkdown, dead }: Pick<NexthopDraft, 'linkdown' | 'dead'>): Pick<NexthopSpec, 'linkdown' | 'dead'> {
  return { ...(linkdown === true ? { linkdown } : {}), ...(dead === true ? { dead } : {}) }
}

/** print_rt_flags of iproute2. */
function flagWords({ dead, onlink, linkdown }: Pick<NexthopSpec, 'dead' | 'onlink' | 'linkdown'>): string {
  return [dead === true ? 'dead' : '', onlink === true ? 'onlink' : '', linkdown === true ? 'linkdown' : ''].filter((word) => word !== '').join(' ')
}

/**
 * The prefix says it, or the gateway; `default` alone leaves only what IPv4 never has: the attribute pref, the table unspec, the metric of ip6_null_entry
 * (`ip route show table all` of iproute2 prints both families).
 */
function isIpv6Route(line: string): boolean {
  const words = line.trim().split(/\s+/)
  const first = words[0]
  const prefix = ROUTE_TYPES.includes(first as RouteType) || first === 'anycast' ? words[1] : first
  const behind = (key: string): string => words[words.indexOf(key) + 1] ?? ''
  return (
    isIpv6Text((prefix ?? '').split('/')[0]) ||
    (words.includes('via') && isIpv6Text(behind('via'))) ||
    (words.includes('pref') && /^(low|medium|high)$/.test(behind('pref'))) ||
    (words.includes('table') && behind('table') === 'unspec')
  )
}

/** Lines that begin with a blank and `nexthop` (with -o: a backslash) belong to the line before; the report stands at the first of them. */
function* joinNexthops(text: string, report: Report): Generator<string> {
  let open: { readonly index: number; joined: string } | undefined
  for (const [index, line] of numberedLines(text, report)) {
    if (line.trim() === '' || line.startsWith('#')) continue
    if (open !== undefined && /^\s+nexthop\b/.test(line) && open.joined.length < NEXTHOPS_MAX) {
      open.joined += ` ${line.trim()}`
      continue
    }
    if (open !== undefined) {
      report.at(open.index)
      yield open.joined
    }
    open = { index, joined: line }
  }
  if (open === undefined) return
  report.at(open.index)
  yield open.joined
}

interface PrintRoutesOptions {
  /** The table to show; `all` shows every one and names those other than main. Default `main`. */
  readonly table?: string
}

/** As `ip route show [table T]` prints it, each line ended. */
export function printRoutes(routes: readonly RouteSpec[], options: PrintRoutesOptions = {}): string {
  const table = options.table ?? 'main'
  const shown = routes.filter((route) => table === 'all' || tableOf(route) === table)
  return sortRoutes(shown)
    .map((route) => printRoute(route, { showTable: table === 'all' }))
    .join('')
}

/** The lines of one route. */
export function printRoute(route: RouteSpec, options: { readonly showTable: boolean }): string {
  const { destination } = route
  const prefix =
    destination.length === 0 && destination.base === 0 ? 'default' : destination.length === 32 ? formatIp(destination.base) : formatCidr(destination)
  const mtu = route.mtu === undefined ? undefined : `mtu ${route.mtuLocked === true ? 'lock ' : ''}${route.mtu}`
  const parts = [
    route.type === 'unicast' ? undefined : route.type,
    prefix,
    route.tos === undefined || route.tos === 0 ? undefined : `tos ${hex(route.tos, 2)}`,
    route.via === undefined ? undefined : `via ${formatIp(route.via)}`,
    route.device === undefined ? undefined : `dev ${route.device}`,
    options.showTable && tableOf(route) !== 'main' ? `table ${tableOf(route)}` : undefined,
    route.protocol === undefined || route.protocol === 'boot' ? undefined : `proto ${route.protocol}`,
    route.scope === undefined || route.scope === 'global' ? undefined : `scope ${route.scope}`,
    route.source === undefined ? undefined : `src ${formatIp(route.source)}`,
    route.metric === undefined || route.metric === 0 ? undefined : `metric ${route.metric}`,
    flagWords(route) === '' ? undefined : flagWords(route),
    mtu,
    route.advmss === undefined ? undefined : `advmss ${route.advmss}`,
  ]
  const line = parts
    .filter((part) => part !== undefined)
    .map((part) => `${part} `)
    .join('')
  const hops = (route.nexthops ?? []).map((hop) => {
    const [via, flags] = [hop.via === undefined ? '' : `via ${formatIp(hop.via)} `, flagWords(hop)]
    return `\tnexthop ${via}dev ${hop.device} weight ${hop.weight} ${flags === '' ? '' : `${flags} `}\n`
  })
  return `${line}\n${hops.join('')}`
}

/** Tables stand in the order of the kernel's hash of 256 buckets by id. */
function tableRank(table: string): number {
  return (TABLE_IDS.get(table) ?? Number(table)) % 256
}

/**
 * In dump order: by table; in a table by address, at one address the longer prefix first, then higher TOS, then lower metric;
 * equals stay as they are, since there the order in which they were added decides.
 */
export function sortRoutes(routes: readonly RouteSpec[]): readonly RouteSpec[] {
  return [...routes].sort(
    (a, b) =>
      tableRank(tableOf(a)) - tableRank(tableOf(b)) ||
      compareIp(a.destination.base, b.destination.base) ||
      b.destination.length - a.destination.length ||
      (b.tos ?? 0) - (a.tos ?? 0) ||
      (a.metric ?? 0) - (b.metric ?? 0),
  )
}
