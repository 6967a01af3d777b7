/** Both kernel interfaces of iptables hold rules: the one that the agents do not use runs too, and its own tool alone shows it. */
import type { CollectedBackend } from '../../collected/collected-node.js'
import { emptyTable } from '../../dataplane/iptables-command.js'
import type { Provenance } from '../../dataplane/dataplane.js'
import type { Chain, Rule, Table } from '../../dataplane/iptables.js'
import type { Difference, DriftView } from './difference.js'
import { LEFT_ALONE } from './repair.js'
import { ownerOfChain } from './rule-focus.js'
import { jumpOf, tableNamed } from './rule-meaning.js'
import { Printer, shown } from './shown.js'
import { mend } from './shell-words.js'

const SHOWN = 6

/** The one with more chains of the agents', and the others that hold rules. */
export function agentsBackend(backends: readonly CollectedBackend[]): { readonly used?: CollectedBackend; readonly others: readonly CollectedBackend[] } {
  const known = ({ state }: CollectedBackend): number =>
    state.tables.reduce((sum, { chains }) => sum + chains.filter(({ name, rules }) => rules.length > 0 && ownerOfChain(name) !== undefined).length, 0)
  const [used, ...others] = [...backends].sort((a, b) => known(b) - known(a) || b.rules - a.rules)
  return { ...(used === undefined ? {} : { used }), others: others.filter((other) => other.rules > 0 || dropping(other).length > 0) }
}

/** The command that shows it: where the node's own `iptables` is of the other backend, the one that has it in its name. */
export function iptablesOf({ collected }: DriftView, provenance?: Provenance): string {
  const version = collected?.tools.get('iptables')
  const backends = collected?.iptablesBackends ?? []
  const backend = (backends.find(({ file }) => file === provenance?.file) ?? agentsBackend(backends).used)?.backend
  // before 1.8 there was one alone
  const own = version === undefined ? undefined : version.includes('nf_tables') ? 'nft' : 'legacy'
  return backend === undefined || own === undefined || own === backend ? 'iptables' : `iptables-${backend}`
}

/** Built-in chains whose policy loses what no rule of that backend accepts, in a table without a rule too. */
function dropping({ state }: CollectedBackend): readonly (readonly [table: string, chain: string])[] {
  return state.tables.flatMap(({ name, chains }) => chains.flatMap((chain) => (chain.policy === 'DROP' ? [[name, chain.name] as const] : [])))
}

export function backendDifferences(view: DriftView): Difference[] {
  const { used, others } = agentsBackend(view.collected?.iptablesBackends ?? [])
  if (used === undefined) return []
  return others.map((other): Difference => {
    const printer = new Printer(view)
    const policies = dropping(other)
    const rules = other.rules === 1 ? '1 rule' : `${other.rules} rules`
    const count = other.rules > 0 ? rules : `a policy of DROP (${policies.map(([, chain]) => chain).join(', ')})`
    const tables = other.state.tables.map((table) => ({ table, renamed: apart(table, other.backend) }))
    const lines = other.state.tables.flatMap(({ name, chains }) => chains.flatMap((chain) => chain.rules.map((rule) => printer.rule(name, chain.name, rule))))
    return {
      code: 'ND508',
      cause: `backend ${other.backend}`,
      what: `iptables-${other.backend} holds ${count} beside those of iptables-${used.backend}, which the agents use`,
      expected: [],
      there: [...policies.map(([table, chain]) => shown(`-t ${table} -P ${chain} DROP`)), ...lines].slice(0, SHOWN),
      apply: (dataplane) => ({
        ...dataplane,
        iptables: {
          tables: tables.reduce((all, { renamed }) => joined(all, renamed, other.backend), dataplane.iptables.tables),
        },
      }),
      focus: {},
      commands: [
        `iptables-${other.backend}-save   # look at them first`,
        ...policies.map(([table, chain]) => mend`iptables-${other.backend} -t ${table} -P ${chain} ACCEPT`),
        ...other.state.tables.flatMap(({ name, chains }) =>
          chains.flatMap((chain) => chain.rules.map((rule) => mend`iptables-${other.backend} -t ${name} -D ${chain.name} ${printer.ruleWords(rule)}`)),
        ),
      ],
      repair: LEFT_ALONE,
    }
  })
}

/**
 * Its chains, built-in ones too, under names of their own. What one backend accepts the other still sees: ACCEPT goes back (from a chain in a chain to that
 * chain, where the kernel would leave the table: the nearest that one table can come to two).
 */
function apart(table: Table, backend: string): Table {
  const own = new Set(table.chains.map(({ name }) => name))
  const named = (name: string): string => (own.has(name) ? `${name} of ${backend}` : name)
  const renamed = (rule: Rule): Rule => {
    const { target } = rule
    if (target?.kind === 'ACCEPT') return { ...rule, target: { kind: 'RETURN' } }
    const chain = jumpOf(rule)
    return chain === undefined || target === undefined ? rule : { ...rule, target: { ...target, chain: named(chain) } as Rule['target'] }
  }
  return {
    ...table,
    chains: table.chains.map(({ name, rules, policy }) => ({
      name: named(name),
      rules: [...rules.map(renamed), ...(policy === 'DROP' ? [{ matches: [], target: { kind: 'DROP' as const } }] : [])],
    })),
  }
}

/** Before those that are there, as a hook of its own would be. */
function joined(tables: readonly Table[], other: Table, backend: string): readonly Table[] {
  const known = tableNamed({ tables }, other.name) ?? emptyTable(other.name)
  const chains = known.chains.map((chain): Chain => {
    const theirs = `${chain.name} of ${backend}`
    const leads = other.chains.some(({ name, rules }) => name === theirs && rules.length > 0)
    return leads ? { ...chain, rules: [{ matches: [], target: { kind: 'jump', chain: theirs } }, ...chain.rules] } : chain
  })
  const next = { ...known, chains: [...chains, ...other.chains] }
  return tables.includes(known) ? tables.map((table) => (table === known ? next : table)) : [...tables, next]
}
