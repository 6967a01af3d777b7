/**
 * `iptables-save` text ⇄ IptablesState; iptables-save-read.ts reads what tools of many ages print.
 * What is printed is what iptables-save 1.8.9 prints, legacy and nft
 * alike (their texts differ in comments only), without the dated comments; iptables-restore loads it.
 */
import type { Problem } from '../base/problem.js'
import type { IptablesState, Rule, Table } from './iptables.js'
import { printRule } from './iptables-print.js'
import { SaveReader, type ReadTablesOptions } from './iptables-save-read.js'
import type { Place } from './text.js'

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

/**
 * Reads the text; several tables, `-c` counters, comments and an absent final COMMIT included. What is wrong is reported, the rest is kept. Where both
 * backends stand in one text each gives tables of its own.
 */
export function parseIptablesSave(
  text: string,
  place: Place,
  options: ReadTablesOptions = {},
): { readonly state: IptablesState; readonly problems: readonly Problem[] } {
  const reader = new SaveReader(place, options)
  const state = reader.read(text)
  return { state, problems: reader.report.problems }
}
