/**
 * A rule in Felix 1.4.9's own words, without `--append CHAIN`: they are read as iptables-restore would read them.
 * Source: felix 1.4.9 calico/felix/plugins/fiptgenerator.py.
 */
import { assert } from '../../base/assert.js'
import type { Provenance } from '../../dataplane/dataplane.js'
import { parseRule } from '../../dataplane/iptables-rule.js'
import type { ChainEdit, Rule, TableName } from '../../dataplane/iptables.js'
import { Report, splitWords } from '../../dataplane/text.js'
import type { ClassicConfig } from './config.js'

export interface Fragment {
  readonly words: string
  readonly provenance?: Provenance
}

export interface ClassicChain {
  readonly name: string
  readonly rules: readonly Fragment[]
  /** Of the rules that have none of their own. */
  readonly provenance?: Provenance
}

const BY_FELIX: Provenance = { by: 'felix' }

export function fragments(words: readonly string[], provenance?: Provenance): readonly Fragment[] {
  return words.map((text) => ({ words: text, ...(provenance === undefined ? {} : { provenance }) }))
}

/** Python's `0x%x`. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`
}

/** `--mark 0x1000000/0x1000000`, and the like. */
export function bit(value: number): string {
  return `${hex(value)}/${hex(value)}`
}

/** One rule, or two where drops are logged. With ACCEPT for DROP nothing is enforced, and the comment says so. */
export function dropRules({ drop }: Pick<ClassicConfig, 'drop'>, match: string, comment?: string): readonly string[] {
  const said = comment === undefined ? '' : `-m comment --comment "${comment.slice(0, 255)}"`
  const joined = (...parts: readonly string[]): string => parts.filter((part) => part !== '').join(' ')
  const action = drop.endsWith('ACCEPT') ? '--jump ACCEPT -m comment --comment "!SECURITY DISABLED! DROP overridden to ACCEPT"' : '--jump DROP'
  return [...(drop.startsWith('LOG-') ? [joined(match, '--jump LOG --log-prefix "calico-drop: " --log-level 4', said)] : []), joined(match, action, said)]
}

export function chainEdit(table: TableName, { name, rules, provenance }: ClassicChain, action: ChainEdit['action'] = 'create'): ChainEdit {
  return {
    table,
    chain: name,
    action,
    rules: rules.flatMap((fragment) => readFragment(fragment.words, { table, chain: name }, fragment.provenance ?? provenance ?? BY_FELIX)),
  }
}

/** That Felix's words cannot be read would be a fault of netsim's. */
function readFragment(words: string, { table, chain }: { readonly table: TableName; readonly chain: string }, provenance: Provenance): readonly Rule[] {
  const split = splitWords(words, { shell: false })
  assert(split !== undefined, `Felix wrote an unbalanced quote: ${words}`)
  const report = new Report({ file: 'felix', line: 0 })
  const rules = parseRule(split, { table, chain, hasChain: (name) => name.startsWith('felix-'), report })
  assert(rules !== undefined && rules.length === 1, `Felix wrote what iptables refuses: ${words}`)
  return rules.map((rule) => ({ ...rule, provenance }))
}
