/**
 * `iptables-save` text → IptablesState: of iptables 1.4 to 1.8, legacy and nft, `-c` or not, several tables, several backends; and `iptables -S`.
 * What a kernel holds is never refused: a rule that is not understood is kept with those of its conditions that are, and a match that makes the
 * answer INCOMPLETE for a packet that fulfils them. Source: iptables/iptables-save.c, xtables-save.c (comments), iptables.c print_rule4, list_entries.
 */
import { BUILTIN_CHAINS, TABLE_NAMES, type Chain, type HookName, type IptablesState, type Rule, type Table, type TableName } from './iptables.js'
import { keptRule } from './iptables-kept-rule.js'
import { parseRule } from './iptables-rule.js'
import { numberedLines, Report, splitWords, type Place } from './text.js'

export interface ReadTablesOptions {
  /** The table of `iptables -S` text, which does not name it; default by its built-in chains. */
  readonly table?: TableName
}

interface ChainDraft {
  head: Omit<Chain, 'rules'>
  readonly rules: Rule[]
  declared: boolean
}

/** A rule's line; all wait for the whole table: a rule may jump to a chain that is declared further down. */
interface RuleLine {
  readonly index: number
  readonly line: string
}

/** A table while it is read. */
interface TableDraft {
  readonly name: TableName
  /** Of `iptables -S`: no COMMIT ends it. */
  readonly listed: boolean
  readonly program: string
  readonly chains: Map<string, ChainDraft>
  readonly lines: RuleLine[]
}

/** A comment is 256 bytes at most (XT_MAX_COMMENT_LEN), and each may be escaped. */
const COMMENT_MAX = 600

/** What is wrong with a rule that a kernel holds is no error: the rule is kept. */
class KeptReport extends Report {
  private readonly to: Report

  constructor(place: Place, to: Report) {
    super(place)
    this.to = to
  }

  override error(what: string): undefined {
    this.to.warning(what, 'The rule is kept; a packet that it may match makes the answer INCOMPLETE.')
  }

  override warning(what: string, fix = ''): void {
    this.to.warning(what, fix)
  }
}

export class SaveReader {
  readonly report: Report
  private readonly kept: KeptReport
  private readonly options: ReadTablesOptions
  /** By generator, as both backends of one kernel may hold the same table. */
  private readonly tables: { readonly program: string; readonly table: Table }[] = []
  private draft: TableDraft | undefined
  /** What wrote the lines that follow: `iptables-save`, or `nft` for the nft variant. */
  private program = ''
  /** Of ip6tables, or of a table that is none: passed over up to its COMMIT. */
  private passing = false
  private ipv6 = false
  /** A line whose quote stays open: a comment may hold line ends. */
  private open: RuleLine | undefined
  /** Of the line that is read. */
  private index = 0

  constructor(place: Place, options: ReadTablesOptions) {
    this.options = options
    this.report = new Report(place)
    this.kept = new KeptReport(place, this.report)
  }

  read(text: string): IptablesState {
    for (const [index, line] of numberedLines(text, this.report)) {
      if (this.open === undefined || !this.goesOn(index, line)) this.readLine(index, line)
    }
    this.giveUpOpen()
    this.report.at(this.index)
    this.close('has no COMMIT')
    return { tables: this.tables.map(({ table }) => table) }
  }

  /** False: the line begins something of its own, and what stayed open before it is given up. */
  private goesOn(index: number, line: string): boolean {
    const { index: start, line: before } = this.open as RuleLine
    const joined = `${before}\n${line}`
    const first = before.indexOf('\n')
    const over = joined.length - (first < 0 ? before.length : first) > COMMENT_MAX
    if (over || /^(\*[a-z]+|COMMIT|:\S+ \S+ \[\d+:\d+\]|(\[\d+:\d+\] )?-A \S+ )/.test(line)) {
      this.giveUpOpen()
      this.report.at(index)
      return false
    }
    if (quoteOpen(joined)) this.open = { index: start, line: joined }
    else {
      this.open = undefined
      this.report.at(start)
      this.readLine(start, joined)
    }
    return true
  }

  private giveUpOpen(): void {
    if (this.open === undefined) return
    const { index, line } = this.open
    this.open = undefined
    this.report.at(index)
    // as if it had been closed where the line ends: everything before the quote is read as it is
    const [first] = line.split('\n')
    this.readWhole(index, `${first.replace(/\\+$/, '')}"`)
    this.report.at(index)
    this.report.error(`a quote stays open in "${line.split('\n')[0]}"`, 'Is the file whole?')
  }

  private readLine(index: number, raw: string): void {
    const line = raw.trim()
    if (line === '') return
    this.index = index
    if (line.startsWith('#')) return this.readComment(line)
    if (line.startsWith('*')) return this.openTable(line.slice(1).trim())
    if (line === 'COMMIT') {
      if (this.draft === undefined && !this.passing) this.report.error('COMMIT outside a table', 'A table begins with *NAME.')
      this.passing = false
      return this.close()
    }
    if (this.passing) return
    if (this.ipv6 && this.draft === undefined) return
    if (!line.startsWith(':') && quoteOpen(raw)) this.open = { index, line: raw }
    else this.readWhole(index, line)
  }

  /** A line with all its quotes. */
  private readWhole(index: number, line: string): void {
    if (/^-(P|-policy)\s/.test(line)) this.readPolicy(line)
    else if (this.draft === undefined && !this.openListed(line))
      this.report.error(`"${line}" stands outside a table`, 'A table begins with *NAME, such as *filter.')
    else if (line.startsWith(':')) this.readChain(line)
    else this.draft?.lines.push({ index, line })
  }

  private readComment(line: string): void {
    const generated = /^# Generated by (\S+) v\S+( \(nf_tables\))?/.exec(line)
    if (generated !== null) {
      this.close('has no COMMIT')
      this.program = generated[2] === undefined && !generated[1].includes('nft') ? generated[1] : 'nft'
      this.ipv6 = generated[1].startsWith('ip6')
      if (this.ipv6) this.report.warning('the tables of ip6tables are left out: IPv6 is not modelled')
      return
    }
    if (/^# Warning: \S+-legacy tables present/.test(line)) {
      return this.report.warning('this node has tables of iptables-legacy besides these, and both act on packets', 'Gather iptables-legacy-save too.')
    }
    const foreign = /^# Table [`'"]?(\w+)'? (is|contains) .*use 'nft' tool/.exec(line)
    if (foreign !== null) this.keepForeign(foreign[1])
  }

  /** A table that the nft variant refuses to print. It exists and acts. */
  private keepForeign(name: string): void {
    if (this.ipv6 || !TABLE_NAMES.includes(name as TableName)) return
    const table = name as TableName
    this.report.warning(
      `the table ${name} has rules that only nft shows`,
      'They are not modelled; a packet that comes to the table makes the answer INCOMPLETE.',
    )
    const rule = { ...this.report.origin, matches: [{ kind: 'unknown' as const, module: 'nft', text: `rules of the table ${name} that only nft shows` }] }
    this.put('nft', { name: table, chains: BUILTIN_CHAINS[table].map((chain) => ({ name: chain, policy: 'ACCEPT', rules: [rule] })) })
  }

  private openTable(name: string): void {
    this.close('has no COMMIT')
    this.passing = this.ipv6
    if (this.ipv6) return
    if (TABLE_NAMES.includes(name as TableName)) this.draft = newDraft(name as TableName, this.program, { listed: false })
    else {
      this.passing = true
      this.report.error(`table '${name}' does not exist`, `The tables are ${TABLE_NAMES.join(', ')}.`)
    }
  }

  /** `-N` or `-A` where no table was named: `iptables -S`. */
  private openListed(line: string): boolean {
    const { table } = this.options
    if (table === undefined || !/^(\[\d+:\d+\]\s+)?-[NA]\s/.test(line)) return false
    this.draft = newDraft(table, this.program, { listed: true })
    return true
  }

  /** `-P CHAIN POLICY [-c packets bytes]` begins `iptables -S`; which table it is of, its built-in chains say. */
  private readPolicy(line: string): void {
    const [, name = '', policy, , packets, bytes] = line.split(/\s+/)
    const hooks = this.draft?.listed === true ? [...this.draft.chains.values()].flatMap(({ head, declared }) => (declared ? [head.name] : [])) : []
    const before = this.draft?.listed === true && this.draft.lines.length === 0 && !hooks.includes(name) ? this.draft : undefined
    if (this.draft !== undefined && before === undefined) this.close(this.draft.listed ? undefined : 'has no COMMIT')
    const table = this.options.table ?? tableWith(before === undefined ? [name] : [...hooks, name])
    if (table === undefined) return this.report.error(`no table has the built-in chains ${[...hooks, name].join(', ')}`)
    const draft = before?.name === table ? before : newDraft(table, this.program, { listed: true })
    for (const hook of before === undefined || before === draft ? [] : hooks) draft.chains.set(hook, before?.chains.get(hook) as ChainDraft)
    this.draft = draft
    this.declare(name, policy, packets, bytes)
  }

  private readChain(line: string): void {
    const match = /^:(\S+)\s+(\S+)(?:\s+\[(\d+):(\d+)\])?\s*$/.exec(line)
    if (match === null) return this.report.error(`"${line}" is no chain line`, 'It reads :NAME POLICY [packets:bytes], with - as the policy of a user chain.')
    this.declare(match[1], match[2], match[3], match[4])
  }

  private declare(name: string, policy: string, packets: string | undefined, bytes: string | undefined): void {
    const draft = this.draft as TableDraft
    const builtin = BUILTIN_CHAINS[draft.name].includes(name as HookName)
    if (builtin ? policy !== 'ACCEPT' && policy !== 'DROP' : policy !== '-')
      return this.report.error(`chain ${name} of table ${draft.name} cannot have the policy "${policy}"`, builtin ? 'ACCEPT or DROP.' : 'A user chain has -.')
    const counters = countersOf(packets, bytes)
    const head = { name, ...(builtin ? { policy: policy as 'ACCEPT' | 'DROP' } : {}), ...counters, ...this.report.origin }
    const known = draft.chains.get(name)
    if (known === undefined) draft.chains.set(name, { head, rules: [], declared: true })
    else Object.assign(known, { head, declared: true })
  }

  private close(unfinished?: string): void {
    const { draft } = this
    if (draft === undefined) return
    this.draft = undefined
    if (unfinished !== undefined && !draft.listed) this.report.warning(`table ${draft.name} ${unfinished}`, 'It is taken as committed. Is the file whole?')
    const table = this.finish(draft)
    this.report.at(this.index)
    this.put(draft.program, table)
  }

  private put(program: string, table: Table): void {
    const same = this.tables.findIndex((other) => other.program === program && other.table.name === table.name)
    if (same < 0) this.tables.push({ program, table })
    else {
      this.report.warning(`table ${table.name} stands here twice`, 'The later one is taken, as iptables-restore takes it.')
      this.tables[same] = { program, table }
    }
  }

  private finish(draft: TableDraft): Table {
    const builtins: readonly string[] = BUILTIN_CHAINS[draft.name]
    const hasChain = (name: string): boolean => draft.chains.has(name) && !builtins.includes(name)
    for (const { index, line } of draft.lines) {
      this.report.at(index)
      this.readRule(line, draft, hasChain)
    }
    return { name: draft.name, chains: [...draft.chains.values()].map(({ head, rules }) => ({ ...head, rules })) }
  }

  private readRule(line: string, draft: TableDraft, hasChain: (name: string) => boolean): void {
    const { report } = this
    const counted = /^\[(\d+):(\d+)\]\s+/.exec(line)
    const [command, name = '', ...rest] = splitWords(counted === null ? line : line.slice(counted[0].length), { shell: false }) ?? []
    if (command === '-N' || command === '--new-chain') {
      if (!draft.chains.has(name)) draft.chains.set(name, { head: { name }, rules: [], declared: true })
      return
    }
    if (command !== '-A' && command !== '--append')
      return report.error(`"${line}" is no line of iptables-save`, 'Rules read -A CHAIN …; give other commands to the iptables command reader.')
    if (name === '' || name.startsWith('-')) return report.error(`"${line}" names no chain`)
    if (!draft.chains.has(name)) {
      report.error(`chain '${name}' does not exist in table ${draft.name}`, `Its rules are kept. Declared it would be by :${name} - [0:0]; is the file whole?`)
      draft.chains.set(name, { head: { name }, rules: [], declared: false })
    }
    const context = { table: draft.name, chain: name, hasChain, report: this.kept, dump: true }
    const rules = parseRule(rest, context) ?? [keptRule(rest)]
    const counters = counted === null ? {} : countersOf(counted[1], counted[2])
    const { origin } = report
    for (const rule of rules) draft.chains.get(name)?.rules.push({ ...rule, ...counters, ...origin })
  }
}

function newDraft(name: TableName, program: string, { listed }: { readonly listed: boolean }): TableDraft {
  // iptables-restore does not need the built-in chains to be declared
  const chains = BUILTIN_CHAINS[name].map((chain): [string, ChainDraft] => [chain, { head: { name: chain, policy: 'ACCEPT' }, rules: [], declared: false }])
  return { name, listed, program, chains: new Map(chains), lines: [] }
}

/** The table with just these built-in chains, or the first that has them all; old kernels' nat has no INPUT. */
function tableWith(hooks: readonly string[]): TableName | undefined {
  const fitting = (['filter', 'raw', 'nat', 'mangle'] as const).filter((table) => hooks.every((hook) => BUILTIN_CHAINS[table].includes(hook as HookName)))
  return fitting.find((table) => BUILTIN_CHAINS[table].length === hooks.length) ?? fitting.at(0)
}

/** Counters of zero are not kept: nothing was counted. */
function countersOf(packets: string | undefined, bytes: string | undefined): { readonly packets?: number; readonly bytes?: number } {
  return packets === undefined || bytes === undefined || (packets === '0' && bytes === '0') ? {} : { packets: Number(packets), bytes: Number(bytes) }
}

/** A quote that opens in the text does not close in it. */
function quoteOpen(text: string): boolean {
  let open = false
  for (let i = text.indexOf('"'); i >= 0 && i < text.length; i++) {
    if (text[i] === '"') open = !open
    else if (text[i] === '\\' && open) i++
  }
  return open
}
