/**
 * `ipset save` text ⇄ IpSet[], and ipset commands (create, add, del, destroy, flush, rename, swap) applied to them (ipset
 * 7.17). The text is the same language: `ipset restore` reads commands.
 */
import { formatCidr, parseCidr } from '../base/cidr.js'
import { formatIp, isIpv6Text, parseIp } from '../base/ip.js'
import { formatMac, parseMac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { IpSet, IpSetMember, IpSetType } from './ipset.js'
import { parseNetwork } from './iptables-option.js'
import { formatProtocol, parsePort, parseProtocol } from './protocols.js'
import { breaksLine, linesOf, Report, splitWords, type Place } from './text.js'

const IPSET_TYPES: readonly IpSetType[] = [
  'hash:ip',
  'hash:net',
  'hash:ip,port',
  'hash:net,port',
  'hash:net,iface',
  'hash:ip,port,ip',
  'hash:ip,port,net',
  'hash:net,net',
  'hash:mac',
  'bitmap:port',
  'bitmap:ip',
  'list:set',
]
/** Types that ipset has and netsim does not match against. */
const OTHER_TYPES = ['hash:ip,mac', 'hash:ip,mark', 'hash:net,port,net', 'bitmap:ip,mac']
/** Names of the first ipset versions. */
const OLD_TYPES: ReadonlyMap<string, string> = new Map([
  ['iphash', 'hash:ip'],
  ['nethash', 'hash:net'],
  ['ipporthash', 'hash:ip,port'],
  ['netporthash', 'hash:net,port'],
  ['ipportiphash', 'hash:ip,port,ip'],
  ['ipportnethash', 'hash:ip,port,net'],
  ['portmap', 'bitmap:port'],
  ['ipmap', 'bitmap:ip'],
  ['setlist', 'list:set'],
])

/** As `ipset save` prints them, sets that others list first, as the kernel's order of lists demands of a restore. */
export function printIpsets(sets: readonly IpSet[]): string {
  const ordered = [...sets.filter(({ type }) => type !== 'list:set'), ...sets.filter(({ type }) => type === 'list:set')]
  return ordered.map(printSet).join('')
}

function printSet(set: IpSet): string {
  const head = `create ${set.name} ${set.type}${set.options === '' ? '' : ` ${set.options}`}\n`
  return head + set.members.map((member) => `add ${set.name} ${printMember(member)}\n`).join('')
}

function printMember(member: IpSetMember): string {
  return `${member.element}${member.timeout === undefined ? '' : ` timeout ${member.timeout}`}${member.nomatch === true ? ' nomatch' : ''}`
}

/** Reads `ipset save` or `ipset list` text, or a restore file. What is wrong is left out and reported, the rest is kept; so is a type that is not known. */
export function parseIpsets(text: string, place: Place): { readonly sets: readonly IpSet[]; readonly problems: readonly Problem[] } {
  const report = new Report(place, { printed: true })
  const sets = new SetEditor([], report)
  let listed: Listed | undefined
  for (const line of linesOf(text, report)) {
    const field = /^(Name|Type|Header|Members|Revision|Size in memory|References|Number of entries): ?(.*)$/.exec(line)
    if (field !== null) {
      listed = readListed(field, listed, sets)
      continue
    }
    const words = splitWords(line, { shell: false })
    if (words === undefined) report.error(`a quote stays open in "${line.trim()}"`)
    else if (listed?.open === true) sets.run(['add', listed.name, ...words])
    else if (words[0] !== 'COMMIT' && words[0] !== 'quit') sets.run(words)
  }
  return { sets: sets.result, problems: report.problems }
}

/** A set of `ipset list`; open: its members follow. */
interface Listed {
  readonly name: string
  readonly words: readonly string[]
  readonly open: boolean
}

/** The fields stand in one order: Name, Type, …, Header, …, Members (ipset lib/session.c list_create). */
function readListed([, key, value]: RegExpExecArray, before: Listed | undefined, sets: SetEditor): Listed | undefined {
  if (key === 'Name') return { name: value, words: [], open: false }
  if (before === undefined) return undefined
  if (key === 'Type' || key === 'Header') return { ...before, words: [...before.words, ...value.split(/\s+/).filter((word) => word !== '')] }
  if (key !== 'Members') return before
  sets.run(['create', before.name, ...before.words])
  return { ...before, open: true }
}

/** One `ipset …` command, with or without the leading word. After an error the sets are as they were. */
export function applyIpsetCommand(
  sets: readonly IpSet[],
  text: string,
  place: Place,
): { readonly sets: readonly IpSet[]; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  const words = splitWords(text, { shell: true })
  if (words === undefined) {
    report.error(`a quote stays open in "${text}"`)
    return { sets, problems: report.problems }
  }
  if (words.some(breaksLine)) {
    report.error(`a line break within a word of ${JSON.stringify(text)}`, 'ipset restore could not read it back: write it in one line.')
    return { sets, problems: report.problems }
  }
  const editor = new SetEditor(sets, report)
  editor.run(words[0] === 'ipset' ? words.slice(1) : words)
  return { sets: editor.result, problems: report.problems }
}

const COMMANDS: ReadonlyMap<string, string> = new Map([
  ['create', 'create'],
  ['-N', 'create'],
  ['n', 'create'],
  ['add', 'add'],
  ['-A', 'add'],
  ['del', 'del'],
  ['-D', 'del'],
  ['destroy', 'destroy'],
  ['x', 'destroy'],
  ['-X', 'destroy'],
  ['flush', 'flush'],
  ['-F', 'flush'],
  ['rename', 'rename'],
  ['-E', 'rename'],
  ['swap', 'swap'],
  ['-W', 'swap'],
])

class SetEditor {
  private readonly sets: Map<string, Omit<IpSet, 'name' | 'members'> & { readonly members: Map<string, IpSetMember> }>
  private readonly report: Report

  constructor(sets: readonly IpSet[], report: Report) {
    this.sets = new Map(sets.map(({ name, members, ...set }) => [name, { ...set, members: new Map(members.map((member) => [member.element, member])) }]))
    this.report = report
  }

  get result(): readonly IpSet[] {
    return [...this.sets].map(([name, { members, ...set }]) => ({ name, ...set, members: [...members.values()] }))
  }

  run(all: readonly string[]): void {
    const exist = all.includes('-exist') || all.includes('-!') || all.includes('--exist')
    const words = all.filter((word) => !['-exist', '-!', '--exist', '-q', '-quiet'].includes(word))
    const command = COMMANDS.get(words[0] ?? '')
    const [, name, ...rest] = words
    if (command === undefined)
      return this.report.error(`No command specified: unknown argument ${words[0] ?? ''}`, 'create, add, del, destroy, flush, rename, swap.')
    if (command === 'create') return this.create(name, rest, exist)
    if (command === 'destroy' && name === undefined) return this.destroyAll()
    if (command === 'flush' && name === undefined) return this.sets.forEach((set) => set.members.clear())
    const set = this.sets.get(name ?? '')
    if (set === undefined) return this.report.error('The set with the given name does not exist', `Create ${name ?? 'it'} first.`)
    if (command === 'add' || command === 'del') return this.change(command, name, rest, exist)
    if (command === 'flush') return set.members.clear()
    if (command === 'destroy') return this.destroy(name)
    return command === 'rename' ? this.rename(name, rest[0]) : this.swap(name, rest[0])
  }

  private create(name: string | undefined, rest: readonly string[], exist: boolean): undefined {
    const type = OLD_TYPES.get(rest[0] ?? '') ?? rest[0]
    if (name === undefined || type === undefined) return this.report.error('create needs a name and a type', 'create NAME hash:ip')
    if (name.length > 31) return this.report.error(`Syntax error: setname '${name}' is longer than 31 characters`)
    if (!IPSET_TYPES.includes(type as IpSetType)) {
      if (!OTHER_TYPES.includes(type) && !this.report.printed)
        return this.report.error(`Syntax error: typename '${type}' is unknown`, `The types are ${[...IPSET_TYPES, ...OTHER_TYPES].join(', ')}.`)
      this.report.warning(`the ipset type "${type}" is not modelled`, 'The set is kept as it is; a match against it makes the answer INCOMPLETE.')
    }
    if (this.sets.has(name))
      return exist ? undefined : this.report.error('Set cannot be created: set with the same name already exists', `There is a set ${name}.`)
    this.sets.set(name, { type, options: rest.slice(1).join(' '), members: new Map(), ...this.report.origin })
    return undefined
  }

  private change(command: 'add' | 'del', name: string, rest: readonly string[], exist: boolean): undefined {
    const set = this.sets.get(name)
    if (set === undefined || rest[0] === undefined) return this.report.error(`${command} needs a set and an element`)
    const elements = canonicalElements(rest[0], set.type, set.options)
    if (typeof elements === 'string') return this.report.error(`Syntax error: ${elements}`)
    const extras = this.extras(rest.slice(1))
    if (extras === undefined) return undefined
    // an element without a timeout of its own has the set's
    const declared = /(?:^| )timeout (\d+)/.exec(set.options)
    const timeout = extras.timeout ?? (declared === null ? undefined : Number(declared[1]))
    if (extras.timeout !== undefined && declared === null)
      return this.report.error('Timeout cannot be used: set was created without timeout support', 'create … timeout 0')
    const { origin } = this.report
    for (const element of elements) {
      if (set.type === 'list:set' && !this.sets.has(element) && !this.report.printed)
        return this.report.error('Set to be added/deleted/tested as element does not exist.', `There is no set ${element}.`)
      const known = set.members.has(element)
      if (command === 'del' && !known && !exist)
        return this.report.error("Element cannot be deleted from the set: it's not added", `${element} is not in ${name}.`)
      if (command === 'add' && known && !exist) return this.report.error("Element cannot be added to the set: it's already added", `${element} is in ${name}.`)
      if (command === 'del') set.members.delete(element)
      else
        set.members.set(element, { element, ...(extras.nomatch === true ? { nomatch: true } : {}), ...(timeout === undefined ? {} : { timeout }), ...origin })
    }
    return undefined
  }

  private extras(words: readonly string[]): { nomatch?: boolean; timeout?: number } | undefined {
    const extras: { nomatch?: boolean; timeout?: number } = {}
    for (let i = 0; i < words.length; i++) {
      if (words[i] === 'nomatch') extras.nomatch = true
      else if (words[i] === 'timeout') {
        if (!/^\d+$/.test(words[++i] ?? '')) return this.report.error(`Syntax error: '${words[i] ?? ''}' is invalid as number`)
        extras.timeout = Number(words[i])
      } else if (['packets', 'bytes', 'comment', 'skbmark', 'skbprio', 'skbqueue'].includes(words[i])) i++
      else if (words[i] === 'before' || words[i] === 'after') {
        i++
        this.report.warning(`the place "${words[i - 1]} ${words[i] ?? ''}" in a list of sets is not modelled: added at the end`)
      } else return this.report.error(`Unknown argument: "${words[i]}"`)
    }
    return extras
  }

  private listed(name: string): boolean {
    return [...this.sets.values()].some((set) => set.type === 'list:set' && set.members.has(name))
  }

  private destroy(name: string): undefined {
    if (this.listed(name)) return this.report.error('Set cannot be destroyed: it is in use by a kernel component', `A list:set has ${name}.`)
    this.sets.delete(name)
    return undefined
  }

  private destroyAll(): undefined {
    this.sets.clear()
    return undefined
  }

  private rename(name: string, to: string | undefined): undefined {
    const set = this.sets.get(name)
    if (to === undefined || set === undefined) return this.report.error('rename needs two names')
    if (this.sets.has(to)) return this.report.error('Set cannot be renamed: a set with the new name already exists')
    if (this.listed(name)) return this.report.error('Set cannot be renamed: it is in use by another system')
    const entries = [...this.sets].map(([key, value]): [string, typeof value] => [key === name ? to : key, value])
    this.sets.clear()
    for (const [key, value] of entries) this.sets.set(key, value)
    return undefined
  }

  private swap(name: string, other: string | undefined): undefined {
    const [a, b] = [this.sets.get(name), this.sets.get(other ?? '')]
    if (a === undefined || b === undefined || other === undefined) return this.report.error('Sets cannot be swapped: the second set does not exist')
    if (a.type !== b.type) return this.report.error('The sets cannot be swapped: their type does not match')
    this.sets.set(name, b).set(other, a)
    return undefined
  }
}

/** The largest range that is written out as single elements. */
const EXPAND_MAX = 65536

/** The elements as `ipset save` prints them (several for a range), or what is wrong as text. Elements of types not modelled stay as they are. */
function canonicalElements(text: string, type: string, options: string): readonly string[] | string {
  if (options.split(' ').includes('inet6')) return [text]
  switch (type) {
    case 'list:set':
      return [text]
    case 'bitmap:port':
      return ports(text, optionRange(options), '')
    case 'hash:mac': {
      const mac = parseMac(text)
      return mac === undefined ? `cannot parse ${text}: not a MAC address` : [formatMac(mac).toUpperCase()]
    }
    default: {
      if (!IPSET_TYPES.includes(type as IpSetType)) return [text]
      return dimensions(text, type, options)
    }
  }
}

function optionRange(options: string): readonly [number, number] {
  const match = /\brange (\d+)-(\d+)/.exec(options)
  return match === null ? [0, 65535] : [Number(match[1]), Number(match[2])]
}

function ports(text: string, [least, most]: readonly [number, number], protocol: string): readonly string[] | string {
  const [first, last] = (text.includes('-') && parsePort(text) === undefined ? text.split('-') : [text, text]).map(parsePort)
  if (first === undefined || last === undefined || first > last) return `cannot parse "${text}" as a port`
  if (first < least || last > most) return 'Element is out of the range of the set'
  return Array.from({ length: last - first + 1 }, (_, i) => `${protocol}${first + i}`)
}

/** Each dimension of `hash:net,port` and the like on its own, and every combination of them. */
function dimensions(text: string, type: string, options: string): readonly string[] | string {
  const kinds = type.slice(type.indexOf(':') + 1).split(',')
  const parts = text.split(',')
  if (parts.length !== kinds.length) return `"${text}" needs ${kinds.length} parts for the type ${type}`
  let combined: readonly string[] = ['']
  for (const [i, kind] of kinds.entries()) {
    const values = dimension(parts[i], kind, { type, options })
    if (typeof values === 'string') return values
    if (combined.length * values.length > EXPAND_MAX) return `"${text}" stands for more than ${EXPAND_MAX} elements`
    combined = combined.flatMap((head) => values.map((value) => (i === 0 ? value : `${head},${value}`)))
  }
  return combined
}

function dimension(text: string, kind: string, { type, options }: { readonly type: string; readonly options: string }): readonly string[] | string {
  if (kind === 'iface') return text === '' || text.replace(/^physdev:/, '').length > 15 ? `"${text}" is no interface name` : [text]
  if (kind === 'port') return protocolPort(text)
  if (isIpv6Text(text.split('/')[0])) return `cannot parse ${text}: an IPv6 address in a set of family inet`
  return kind === 'net' ? network(text, type) : addresses(text, options)
}

/** `tcp:80`, `80` (tcp), `udp:80-82`, `icmp:echo-request`; protocols without ports take 0. */
function protocolPort(text: string): readonly string[] | string {
  const cut = text.indexOf(':')
  const name = cut < 0 ? 'tcp' : text.slice(0, cut)
  const proto = parseProtocol(name)
  const rest = text.slice(cut + 1)
  if (proto === undefined || proto === 0) return `cannot parse '${name}' as a protocol name`
  if (proto === 1) return [`icmp:${ICMP_NAMES.get(rest) ?? rest}`]
  if (![6, 17, 132, 136].includes(proto))
    return rest === '0' ? [`${formatProtocol(proto)}:0`] : `the protocol ${formatProtocol(proto)} takes the port 0 only, not "${rest}"`
  return ports(rest, [0, 65535], `${formatProtocol(proto)}:`)
}

/** ipset prints these by name. */
const ICMP_NAMES: ReadonlyMap<string, string> = new Map([
  ['0/0', 'echo-reply'],
  ['pong', 'echo-reply'],
  ['8/0', 'echo-request'],
  ['ping', 'echo-request'],
  ['3/0', 'network-unreachable'],
  ['3/1', 'host-unreachable'],
  ['3/2', 'protocol-unreachable'],
  ['3/3', 'port-unreachable'],
  ['3/4', 'fragmentation-needed'],
  ['11/0', 'ttl-zero-during-transit'],
  ['11/1', 'ttl-zero-during-reassembly'],
])

/** A prefix; a range becomes the fewest prefixes that cover it. */
function network(text: string, type: string): readonly string[] | string {
  const range = text.split('-')
  if (range.length === 2) {
    const [first, last] = range.map(parseIp)
    if (first === undefined || last === undefined || first >>> 0 > last >>> 0) return `cannot parse ${text} as a range`
    return prefixesOf(first >>> 0, last >>> 0)
  }
  const net = parseNetwork(text)
  if (typeof net === 'string') return `cannot parse ${text}: ${net}`
  if (net.length === 0 && type !== 'hash:net,iface') {
    return 'The value of the CIDR parameter of the IP address is invalid: split 0.0.0.0/0 into 0.0.0.0/1 and 128.0.0.0/1'
  }
  return [net.length === 32 ? formatIp(net.base) : formatCidr(net)]
}

function prefixesOf(first: number, last: number): readonly string[] {
  const result: string[] = []
  for (let at = first; at <= last;) {
    let length = 32
    while (length > 1 && at % 2 ** (33 - length) === 0 && at + 2 ** (33 - length) - 1 <= last) length--
    result.push(length === 32 ? formatIp(at | 0) : `${formatIp(at | 0)}/${length}`)
    at += 2 ** (32 - length)
  }
  return result
}

/** Single addresses; a prefix or a range is written out. A set with a netmask holds networks of that length. */
function addresses(text: string, options: string): readonly string[] | string {
  const mask = /\bnetmask (\d+)/.exec(options)
  const net = text.includes('-') ? undefined : parseNetwork(text)
  const [first, last] =
    typeof net === 'object'
      ? [net.base >>> 0, (net.base >>> 0) + 2 ** (32 - net.length) - 1]
      : text.split('-').map((part) => (parseIp(part) === undefined ? NaN : (parseIp(part) as number) >>> 0))
  if (!(first <= last)) return `cannot parse ${text}: resolving to IPv4 address failed`
  const bounds = /\brange ([0-9.]+)(?:-([0-9.]+)|(\/\d+))/.exec(options)
  const outer = bounds === null ? undefined : bounds[3] !== undefined ? parseCidr(bounds[1] + bounds[3]) : undefined
  const low = bounds === null ? 0 : (parseIp(bounds[1]) ?? 0) >>> 0
  const high = bounds === null ? 2 ** 32 - 1 : typeof outer === 'object' ? low + 2 ** (32 - outer.length) - 1 : (parseIp(bounds[2] ?? bounds[1]) ?? -1) >>> 0
  if (first < low || last > high) return 'Element is out of the range of the set'
  const step = mask === null ? 1 : 2 ** (32 - Number(mask[1]))
  const count = Math.floor((last - (first - (first % step))) / step) + 1
  if (count > EXPAND_MAX) return `"${text}" stands for more than ${EXPAND_MAX} elements`
  return Array.from({ length: count }, (_, i) => formatIp((first - (first % step) + i * step) | 0))
}
