/**
 * `iptables-save` text ⇄ IptablesState. What is printed is what iptables-save 1.8.9 prints, legacy and nft alike (their texts
 * differ in comments only), without the dated comments; iptables-restore loads it.
 */
import { BUILTIN_CHAINS, TABLE_NAMES, type Chain, type HookName, type IptablesState, type Rule, type Table, type TableName } from './iptables.js'
import { printRule } from './iptables-print.js'
import { parseRule } from './iptables-rule.js'
import { Report, splitWords, type Place } from './text.js'
import type { Problem } from '../base/problem.js'

interface PrintOptions {
  /** As `-c`: `[packets:bytes]` before each rule; a chain's counters are always printed. */
  readonly counters?: boolean
}

/** The text of all tables; empty when there is none. */
export function printIptablesSave(state: IptablesState, options: PrintOptions = {}): string {
  return state.tables.map((table) => printTable(table, options)).join('')
}

function printTable(table: Table, options: PrintOptions): string {
  const heads = table.chains.map((chain) => `:${chain.name} ${chain.policy ?? '-'} [${chain.packets ?? 0}:${chain.bytes ?? 0}]`)
  const rules = table.chains.flatMap((chain) => chain.rules.map((rule) => printSavedRule(chain.name, rule, options)))
  return [`*${table.name}`, ...heads, ...rules, 'COMMIT', ''].join('\n')
}

/** `-A CHAIN …`, the line of one rule. */
export function printSavedRule(chain: string, rule: Rule, options: PrintOptions = {}): string {
  const counters = options.counters === true ? `[${rule.packets ?? 0}:${rule.bytes ?? 0}] ` : ''
  const words = printRule(rule)
  return `${counters}-A ${chain}${words === '' ? '' : ` ${words}`}`
}

/** A table while it is read. */
interface TableDraft {
  readonly name: TableName
  readonly chains: Map<string, { head: Omit<Chain, 'rules'>; rules: Rule[] }>
  /** `-A` lines wait for the whole table: a rule may jump to a chain that is declared further down. */
  readonly lines: { readonly index: number; readonly line: string }[]
}

/**
 * Reads the text; several tables, `-c` counters, comments and an absent final COMMIT included. What is wrong is left out and
 * reported, the rest is kept.
 */
export function parseIptablesSave(text: string, place: Place): { readonly state: IptablesState; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  const tables: Table[] = []
  let draft: TableDraft | undefined
  const close = (): void => {
    if (draft === undefined) return
    const table = finishTable(draft, report)
    const earlier = tables.findIndex(({ name }) => name === table.name)
    if (earlier < 0) tables.push(table)
    else tables[earlier] = table
    draft = undefined
  }
  const lines = text.split('\n')
  for (const [index, raw] of lines.entries()) {
    const line = raw.replace(/\r$/, '').trim()
    if (line === '' || line.startsWith('#')) continue
    report.at(index)
    if (line.startsWith('*')) {
      if (draft !== undefined) report.warning(`table ${draft.name} has no COMMIT`, 'It is taken as committed.')
      close()
      report.at(index)
      draft = openTable(line.slice(1).trim(), report)
    } else if (line === 'COMMIT') {
      if (draft === undefined) report.error('COMMIT outside a table', 'A table begins with *NAME.')
      close()
    } else if (draft === undefined) {
      report.error(`"${line}" stands outside a table`, 'A table begins with *NAME, such as *filter.')
    } else if (line.startsWith(':')) {
      readChain(line, draft, report)
    } else {
      draft.lines.push({ index, line })
    }
  }
  if (draft !== undefined) report.warning(`table ${draft.name} has no COMMIT`, 'It is taken as committed.')
  close()
  return { state: { tables }, problems: report.problems }
}

function openTable(name: string, report: Report): TableDraft | undefined {
  if (!TABLE_NAMES.includes(name as TableName)) {
    return report.error(`table '${name}' does not exist`, `The tables are ${TABLE_NAMES.join(', ')}.`)
  }
  const table = name as TableName
  // iptables-restore does not need the built-in chains to be declared
  const chains = BUILTIN_CHAINS[table].map((chain): [string, { head: Omit<Chain, 'rules'>; rules: Rule[] }] => [
    chain,
    { head: { name: chain, policy: 'ACCEPT' }, rules: [] },
  ])
  return { name: table, chains: new Map(chains), lines: [] }
}

function readChain(line: string, draft: TableDraft, report: Report): void {
  const match = /^:(\S+)\s+(\S+)(?:\s+\[(\d+):(\d+)\])?\s*$/.exec(line)
  if (match === null) return report.error(`"${line}" is no chain line`, 'It reads :NAME POLICY [packets:bytes], with - as the policy of a user chain.')
  const [, name, policy, packets, bytes] = match
  const builtin = BUILTIN_CHAINS[draft.name].includes(name as HookName)
  if (name.length > 28) return report.error(`chain name "${name}" too long (must be under 29 chars)`)
  if (builtin ? policy !== 'ACCEPT' && policy !== 'DROP' : policy !== '-') {
    return report.error(`chain ${name} of table ${draft.name} cannot have the policy "${policy}"`, builtin ? 'ACCEPT or DROP.' : 'A user chain has -.')
  }
  const counters = packets === undefined || (packets === '0' && bytes === '0') ? {} : { packets: Number(packets), bytes: Number(bytes) }
  const head = { name, ...(builtin ? { policy: policy as 'ACCEPT' | 'DROP' } : {}), ...counters }
  draft.chains.set(name, { head, rules: draft.chains.get(name)?.rules ?? [] })
}

function finishTable(draft: TableDraft, report: Report): Table {
  const builtins: readonly string[] = BUILTIN_CHAINS[draft.name]
  const hasChain = (name: string): boolean => draft.chains.has(name) && !builtins.includes(name)
  for (const { index, line } of draft.lines) {
    report.at(index)
    readRuleLine(line, draft, hasChain, report)
  }
  return { name: draft.name, chains: [...draft.chains.values()].map(({ head, rules }) => ({ ...head, rules })) }
}

function readRuleLine(line: string, draft: TableDraft, hasChain: (name: string) => boolean, report: Report): void {
  const counted = /^\[(\d+):(\d+)\]\s+(.*)$/.exec(line)
  const words = splitWords(counted === null ? line : counted[3], { shell: false })
  if (words === undefined) return report.error(`a quote stays open in "${line}"`)
  const [command, name, ...rest] = words
  if (command === '-N' || command === '--new-chain') {
    if (name !== undefined && !draft.chains.has(name)) draft.chains.set(name, { head: { name }, rules: [] })
    return
  }
  if (command !== '-A' && command !== '--append')
    return report.error(`"${line}" is no line of iptables-save`, 'Rules read -A CHAIN …; give other commands to the iptables command reader.')
  const chain = draft.chains.get(name ?? '')
  if (chain === undefined) return report.error(`chain '${name ?? ''}' does not exist in table ${draft.name}`, `Declare it: :${name ?? 'NAME'} - [0:0].`)
  const rules = parseRule(rest, { table: draft.name, chain: name, hasChain, report })
  if (rules === undefined) return
  const counters = counted === null || (counted[1] === '0' && counted[2] === '0') ? {} : { packets: Number(counted[1]), bytes: Number(counted[2]) }
  chain.rules.push(...rules.map((rule) => ({ ...rule, ...counters, ...report.origin })))
}
