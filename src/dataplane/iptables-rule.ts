/**
 * One rule's words → Rules: what stands behind `iptables -A CHAIN` or on an iptables-save line. Several when -s or -d lists
 * several addresses. Options go to the module that owns them, as iptables' own option loop does it: `-j DROP -p udp --dport 53`
 * is as good as the canonical order, and `-p udp` brings `-m udp` in when one of its options is met.
 */
import type { Cidr } from '../base/cidr.js'
import { MATCH_MODULES } from './iptables-match.js'
import { OptionReader, parseNetwork, parseProtocol, type Option, type OptionTable } from './iptables-option.js'
import { OTHER_MATCHES, OTHER_TARGETS, TARGET_MODULES } from './iptables-target.js'
import type { HookName, Match, Rule, TableName, Target } from './iptables.js'
import { quoteText, type Report } from './text.js'

/** Where a rule stands, and where its Problems go. */
interface RuleContext {
  readonly table: TableName
  readonly chain: string
  /** Is there such a user chain in the table? `-j` takes it before an extension. */
  readonly hasChain: (name: string) => boolean
  readonly report: Report
  /**
   * The rule was printed by a tool, of whatever age, and a kernel holds it: what is not known is kept as unknown, and where the kernel would refuse is not
   * asked. Old tools print `!` behind the option (iptables before 1.4.3).
   */
  readonly dump?: boolean
}

/** Built-in options: letter → long name. */
export const BUILTIN_OPTIONS: Readonly<Record<string, string>> = {
  '-s': '--source',
  '--src': '--source',
  '--source': '--source',
  '-d': '--destination',
  '--dst': '--destination',
  '--destination': '--destination',
  '-p': '--protocol',
  '--proto': '--protocol',
  '--protocol': '--protocol',
  '-i': '--in-interface',
  '--in-interface': '--in-interface',
  '-o': '--out-interface',
  '--out-interface': '--out-interface',
  '-f': '--fragments',
  '--fragments': '--fragments',
  '--fragment': '--fragments',
  '-m': '--match',
  '--match': '--match',
  '-j': '--jump',
  '--jump': '--jump',
  '-g': '--goto',
  '--goto': '--goto',
  '-c': '--set-counters',
  '--set-counters': '--set-counters',
  '-4': '--ipv4',
  '--ipv4': '--ipv4',
}

/** Match names for the protocols that bring their module along. */
const IMPLICIT_MODULES: ReadonlyMap<number, string> = new Map([
  [6, 'tcp'],
  [17, 'udp'],
  [1, 'icmp'],
  [132, 'sctp'],
])

/** One `-m` or the target, while its options are gathered. */
interface Group {
  readonly module: string
  readonly options: Option[]
  /** Everything as it stood, for what is kept verbatim. */
  readonly words: string[]
  /** Not evaluated by netsim: takes whatever follows it. */
  opaque: boolean
}

/** A rule half read. */
interface Draft {
  readonly sources: Option[]
  readonly destinations: Option[]
  readonly builtin: Match[]
  readonly groups: Group[]
  target?: Group & { readonly goto: boolean }
  protocol: number
  packets?: number
  bytes?: number
  readonly seen: Set<string>
}

class RuleReader {
  private readonly words: readonly string[]
  private readonly context: RuleContext
  private readonly report: Report
  private index = 0
  /** A `!` stood behind the option, where old tools put it. */
  private turned = false
  private readonly draft: Draft = { sources: [], destinations: [], builtin: [], groups: [], protocol: 0, seen: new Set() }

  constructor(words: readonly string[], context: RuleContext) {
    this.words = words
    this.context = context
    this.report = context.report
  }

  /** False after a reported failure. */
  readAll(): boolean {
    this.readProtocolAhead()
    while (this.index < this.words.length) {
      let word = this.words[this.index++]
      let invert = false
      if (word === '!') {
        const opaque = this.context.dump === true ? this.opaqueGroup() : undefined
        if (opaque !== undefined && this.words[this.index]?.startsWith('-') !== true) {
          opaque.words.push(word)
          continue
        }
        invert = true
        word = this.words[this.index++] ?? ''
        if (!word.startsWith('-'))
          return this.fail(
            word === '!' ? 'multiple consecutive ! not allowed' : `Bad argument "${word}" behind "!"`,
            'Write ! before the option: ! -s 10.0.0.0/8.',
          )
      }
      if (!this.readOption(word, invert)) return false
    }
    return true
  }

  finish(): Draft {
    return this.draft
  }

  private fail(what: string, fix = ''): false {
    this.report.error(what, fix)
    return false
  }

  /** `-m tcp --dport 80 -p tcp` is legal in any order only because -m names the module; port options before -p are not. */
  private readProtocolAhead(): void {
    const at = this.words.findIndex((word) => word === '-p' || word === '--protocol' || word === '--proto')
    const proto = at < 0 || this.words[at - 1] === '!' ? undefined : parseProtocol(this.words[at + 1] ?? '')
    this.draft.protocol = proto ?? 0
  }

  private readOption(word: string, invert: boolean): boolean {
    if (!word.startsWith('-') || word === '-') {
      const opaque = this.opaqueGroup()
      if (opaque === undefined) return this.fail(`Bad argument "${word}"`, 'Each argument stands behind its option.')
      opaque.words.push(word)
      return true
    }
    const [name, attached] = splitAttached(word)
    const builtin = Object.hasOwn(BUILTIN_OPTIONS, name) ? BUILTIN_OPTIONS[name] : undefined
    if (builtin !== undefined) return this.readBuiltin(name, builtin, attached, invert)
    return this.readExtension(name, attached, invert)
  }

  private take(name: string, count: number, attached: string | undefined): string[] | undefined {
    this.turned = false
    const args = attached === undefined ? [] : [attached]
    while (args.length < count) {
      const next = this.words[this.index]
      if (next === undefined) {
        this.fail(`option "${name}" requires an argument`)
        return undefined
      }
      const value = this.words[this.index + 1]
      if (next === '!' && this.context.dump === true && args.length === 0 && !this.turned && value?.startsWith('-') === false) {
        this.turned = true
        this.index++
        continue
      }
      // printed, it is an argument by itself: --comment "!"
      if (next === '!' && this.context.dump !== true) {
        this.fail(`Bad argument "${this.words[this.index + 1] ?? '!'}": "!" stands behind ${name}`, `Write ! ${name} …, the ! before the option.`)
        return undefined
      }
      args.push(next)
      this.index++
    }
    return args
  }

  private readBuiltin(spelled: string, name: string, attached: string | undefined, invert: boolean): boolean {
    const { draft } = this
    if (name === '--ipv4') return true
    if (name !== '--match') {
      if (draft.seen.has(name)) return this.fail(`multiple ${spelled} flags not allowed`)
      draft.seen.add(name)
    }
    if (name === '--fragments') return draft.builtin.push({ kind: 'fragment', ...(invert ? { invert } : {}) }) > 0
    const args = this.take(spelled, name === '--set-counters' && !(attached ?? this.words[this.index] ?? '').includes(',') ? 2 : 1, attached)
    if (args === undefined) return false
    return this.setBuiltin(spelled, name, args, invert !== this.turned)
  }

  private setBuiltin(spelled: string, name: string, args: readonly string[], invert: boolean): boolean {
    const { draft } = this
    if (invert && ['--match', '--jump', '--goto', '--set-counters'].includes(name)) return this.fail(`unexpected ! flag before ${spelled}`)
    switch (name) {
      case '--source':
        return draft.sources.push({ name, invert, args: args[0].split(',') }) > 0
      case '--destination':
        return draft.destinations.push({ name, invert, args: args[0].split(',') }) > 0
      case '--protocol':
        return this.readProtocol(args[0], invert)
      case '--in-interface':
      case '--out-interface':
        return this.readInterface(spelled, name.slice(2) as 'in-interface' | 'out-interface', args[0], invert)
      case '--match':
        return this.openMatch(args[0])
      case '--set-counters':
        return this.readCounters(args)
      default:
        return this.openTarget(args[0], name === '--goto')
    }
  }

  private readProtocol(text: string, invert: boolean): boolean {
    const proto = parseProtocol(text)
    if (proto === undefined)
      return this.fail(`unknown protocol "${text}" specified`, 'Give its number, or a name of /etc/protocols such as tcp, udp, icmp, sctp, gre.')
    if (proto === 0) return invert ? this.fail('rule would never match protocol', 'Leave out ! -p all.') : true
    this.draft.builtin.push({ kind: 'protocol', proto, ...(invert ? { invert } : {}) })
    return true
  }

  private readInterface(spelled: string, kind: 'in-interface' | 'out-interface', name: string, invert: boolean): boolean {
    const { chain } = this.context
    const wrong = kind === 'in-interface' ? ['OUTPUT', 'POSTROUTING'] : ['INPUT', 'PREROUTING']
    if (wrong.includes(chain))
      return this.fail(
        `Can't use ${spelled} with ${chain}`,
        `A packet in ${chain} has no ${kind === 'in-interface' ? 'incoming' : 'outgoing'} device yet known to netfilter.`,
      )
    if (name === '') return this.fail(`Empty interface is likely to be undesired`)
    if (name.length > 15) return this.fail(`interface name "${name}" must be shorter than IFNAMSIZ (15)`)
    if (name !== '+' || invert) this.draft.builtin.push({ kind, name, ...(invert ? { invert } : {}) })
    return true
  }

  private readCounters(args: readonly string[]): boolean {
    const [packets, bytes] = args.length === 1 ? args[0].split(',') : args
    if (!/^\d+$/.test(packets) || !/^\d+$/.test(bytes ?? '')) return this.fail(`-c needs packets and bytes, not "${args.join(' ')}"`)
    this.draft.packets = Number(packets)
    this.draft.bytes = Number(bytes)
    return true
  }

  private openMatch(module: string): boolean {
    const known = Object.hasOwn(MATCH_MODULES, module)
    if (!known && !OTHER_MATCHES.has(module) && this.context.dump !== true)
      return this.fail(`Couldn't load match "${module}": No such file or directory`, 'Check the name behind -m.')
    this.draft.groups.push({ module, options: [], words: ['-m', module], opaque: !known })
    return true
  }

  private openTarget(name: string, goto: boolean): boolean {
    if (this.draft.target !== undefined) return this.fail('multiple -j flags not allowed')
    const known = Object.hasOwn(TARGET_MODULES, name)
    const chain = this.context.hasChain(name)
    if (goto && !chain && this.context.dump !== true) return this.fail(`goto "${name}" is not a chain`, 'Create it first with -N.')
    if (!known && !chain && !OTHER_TARGETS.has(name) && this.context.dump !== true)
      return this.fail(`Chain '${name}' does not exist, and there is no target of that name`, `Create it first with -N ${name}.`)
    this.draft.target = { module: name, options: [], words: [goto ? '-g' : '-j', name], opaque: !known && !chain, goto }
    return true
  }

  /** The target first, then the matches from the first on, then the protocol's own module: iptables' command_default(). */
  private readExtension(name: string, attached: string | undefined, invert: boolean): boolean {
    const { draft } = this
    if (this.context.dump === true) {
      const last = this.lastGroup()
      if (last?.opaque === true) return this.keep(last, name, attached, invert)
    }
    const targetModule = draft.target === undefined ? undefined : ownEntry(TARGET_MODULES, draft.target.module)
    if (draft.target !== undefined && targetModule !== undefined) {
      const taken = this.offer(draft.target, targetModule, name, attached, invert)
      if (taken !== undefined) return taken
    }
    // the last -m wins among equals, as its options are the ones just loaded
    for (const group of draft.groups.toReversed()) {
      const module = ownEntry(MATCH_MODULES, group.module)
      const taken = module === undefined ? undefined : this.offer(group, module, name, attached, invert)
      if (taken !== undefined) return taken
    }
    const implicit = IMPLICIT_MODULES.get(draft.protocol)
    if (implicit !== undefined && draft.seen.has('--protocol') && !draft.groups.some((group) => group.module === implicit)) {
      const group: Group = { module: implicit, options: [], words: ['-m', implicit], opaque: false }
      const taken = this.offer(group, MATCH_MODULES[implicit], name, attached, invert)
      if (taken !== undefined) {
        draft.groups.push(group)
        return taken
      }
    }
    const opaque = this.context.dump === true ? this.lastGroup() : this.opaqueGroup()
    if (opaque === undefined) return this.fail(`unknown option "${name}"`, 'An option of a module stands behind its -m, -p or -j.')
    opaque.opaque = true
    return this.keep(opaque, name, attached, invert)
  }

  private keep(group: Group, name: string, attached: string | undefined, invert: boolean): boolean {
    return group.words.push(...(invert ? ['!'] : []), attached === undefined ? name : `${name}=${attached}`) > 0
  }

  /** Whose options a tool prints next: it puts them right behind -m or -j. */
  private lastGroup(): Group | undefined {
    return this.draft.target ?? this.draft.groups.at(-1)
  }

  /** undefined: the module has no such option. */
  private offer(
    group: Group,
    module: { readonly options: OptionTable; readonly unmodelled?: Readonly<Record<string, number>> },
    name: string,
    attached: string | undefined,
    invert: boolean,
  ): boolean | undefined {
    const entry = ownEntry(module.options, name)
    const foreign = module.unmodelled === undefined ? undefined : ownEntry(module.unmodelled, name)
    if (entry === undefined && foreign === undefined) return undefined
    const args = this.take(name, entry?.[1] ?? foreign ?? 0, attached)
    if (args === undefined) return false
    const turned = invert !== this.turned
    group.words.push(...(turned ? ['!'] : []), name, ...args)
    if (entry === undefined) {
      group.opaque = true
      return true
    }
    if (group.options.some((option) => option.name === entry[0]))
      return this.fail(`${group.module}: option "${name}" can be used multiple times only behind an -m of its own`)
    group.options.push({ name: entry[0], invert: turned, args })
    return true
  }

  private opaqueGroup(): Group | undefined {
    const { target, groups } = this.draft
    const last = groups.at(-1)
    return target?.opaque === true ? target : last?.opaque === true ? last : undefined
  }
}

function ownEntry<Value>(record: Readonly<Record<string, Value>>, key: string): Value | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}

/** `--dport=53` → [`--dport`, `53`]; `-ptcp` → [`-p`, `tcp`]. */
function splitAttached(word: string): readonly [string, string | undefined] {
  if (word.startsWith('--')) {
    const cut = word.indexOf('=')
    return cut < 0 ? [word, undefined] : [word.slice(0, cut), word.slice(cut + 1)]
  }
  return word.length > 2 && 'sdpiomjgc'.includes(word[1]) ? [word.slice(0, 2), word.slice(2)] : [word, undefined]
}

export function quoteWords(words: readonly string[]): string {
  return words.map((word) => (/^[^\s"'\\]+$/.test(word) ? word : quoteText(word))).join(' ')
}

function unknownMatch(group: Group): Match {
  return { kind: 'unknown', module: group.module, text: quoteWords(group.words) }
}

/** The Matches of one `-m`; undefined after a reported failure. */
function matchesOf(group: Group, protocol: number, report: Report): readonly Match[] | undefined {
  if (group.opaque) {
    report.warning(
      `the iptables match "${group.module}" is not modelled as it is used here`,
      'The rule is kept as it is; a packet that meets it makes the answer INCOMPLETE.',
    )
    return [unknownMatch(group)]
  }
  const module = MATCH_MODULES[group.module]
  if (module.protocols !== undefined && !module.protocols.includes(protocol)) {
    return report.error(
      `${group.module} match requires '-p ${group.module === 'multiport' ? 'tcp, udp, udplite, sctp or dccp' : group.module}'`,
      'Add it, without a !.',
    )
  }
  const reader = new OptionReader(group.module, group.options, protocol, report)
  const matches = module.build(reader).filter((match) => match !== undefined)
  return reader.failed ? undefined : matches
}

function targetOf(draft: Draft, context: RuleContext): Target | 'none' | undefined {
  const { target } = draft
  const { report, table, chain } = context
  if (target === undefined) return 'none'
  if (target.goto) return { kind: 'goto', chain: target.module }
  const module = ownEntry(TARGET_MODULES, target.module)
  if (module === undefined && context.hasChain(target.module)) return { kind: 'jump', chain: target.module }
  if (module === undefined || target.opaque || module.foreign?.(target.options) === true) {
    report.warning(
      `the iptables target "${target.module}" is not modelled as it is used here`,
      'The rule is kept as it is; a packet that meets it makes the answer INCOMPLETE.',
    )
    return { kind: 'unknown', name: target.module, text: quoteWords(target.words) }
  }
  const builtinChain = context.dump !== true && ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'].includes(chain)
  if ((context.dump !== true && module.tables?.includes(table) === false) || (builtinChain && module.hooks?.includes(chain as HookName) === false)) {
    const where = [module.tables && `table ${module.tables.join(', ')}`, module.hooks && `chain ${module.hooks.join(', ')}`].filter(Boolean).join('; ')
    return report.error(`iptables: Invalid argument: ${target.module} in table ${table}, chain ${chain}`, `It is valid in ${where} only.`)
  }
  const reader = new OptionReader(target.module, target.options, draft.protocol, report)
  const built = module.build(reader)
  if (!reader.failed) return built
  return context.dump === true ? { kind: 'unknown', name: target.module, text: quoteWords(target.words) } : undefined
}

/** Every address of the list as a Match; undefined entries stand for "any", which has no Match. */
function addressesOf(kind: 'source' | 'destination', options: readonly Option[], report: Report): readonly (Match | undefined)[] | undefined {
  const option = options[0]
  if (option === undefined) return [undefined]
  if (option.invert && option.args.length > 1)
    return report.error('! not allowed with multiple source or destination IP addresses', 'Write one rule per address, or an ipset.')
  const matches: (Match | undefined)[] = []
  for (const text of option.args) {
    const net: Cidr | string = parseNetwork(text)
    if (typeof net === 'string') return report.error(net)
    matches.push(net.length === 0 && !option.invert ? undefined : { kind, net, ...(option.invert ? { invert: true } : {}) })
  }
  return matches
}

const BUILTIN_ORDER = ['in-interface', 'out-interface', 'protocol', 'fragment']

/**
 * The rules that these words stand for, in the order iptables adds them (several only for lists of addresses). undefined when
 * something is wrong: all that is wrong has then been reported.
 */
export function parseRule(words: readonly string[], context: RuleContext): readonly Rule[] | undefined {
  const reader = new RuleReader(words, context)
  if (!reader.readAll()) return undefined
  const draft = reader.finish()
  const sources = addressesOf('source', draft.sources, context.report)
  const destinations = addressesOf('destination', draft.destinations, context.report)
  const unread = (group: Group): readonly Match[] | undefined => (context.dump === true ? [unknownMatch(group)] : undefined)
  const groups = draft.groups.map((group) => matchesOf(group, draft.protocol, context.report) ?? unread(group))
  const target = targetOf(draft, context)
  if (sources === undefined || destinations === undefined || target === undefined || groups.includes(undefined)) return undefined
  const builtin = [...draft.builtin].sort((a, b) => BUILTIN_ORDER.indexOf(a.kind) - BUILTIN_ORDER.indexOf(b.kind))
  const rest = groups.flatMap((matches) => matches ?? [])
  return sources.flatMap((source) =>
    destinations.map((destination) => ({
      matches: [source, destination, ...builtin, ...rest].filter((match) => match !== undefined),
      ...(target === 'none' ? {} : { target }),
      ...(draft.packets === undefined ? {} : { packets: draft.packets, bytes: draft.bytes }),
    })),
  )
}
