/**
 * Rules of iptables: what agents write against what is there, table by table and chain by chain. What is missing, what is too many, what stands in another
 * order; rules of somebody else beside the agents'. In a chain that only agents know, everything is theirs; in a built-in one their rules are looked for.
 */
import { commonRun } from '../../base/common-run.js'
import { emptyTable } from '../../dataplane/iptables-command.js'
import type { Chain, Rule, Table, TableName } from '../../dataplane/iptables.js'
import type { Change, Difference, DriftView } from './difference.js'
import { foreignDifferences } from './foreign-rules.js'
import { repairOf, restartOf } from './repair.js'
import { ChainEditor } from './chain-editor.js'
import { focusOfRules, ownerOf } from './rule-focus.js'
import { isIdle, jumpOf, meaningOf, tableNamed, type Naming } from './rule-meaning.js'
import { Printer, shown } from './shown.js'
import { iptablesOf } from './iptables-backends.js'
import { mend } from './shell-words.js'

const SHOWN = 6

export interface Aliases {
  /** Of the expected Dataplane → of the dump, by table. */
  readonly chains: ReadonlyMap<TableName, ReadonlyMap<string, string>>
  readonly sets: ReadonlyMap<string, string>
}

/** Chains that are not there, which takes away every rule that leads to them. Compared first. */
export function chainDifferences(view: DriftView, aliases: Aliases): Difference[] {
  return view.expected.iptables.tables.flatMap((table) => {
    const there = tableNamed(view.there.iptables, table.name)
    const alias = aliases.chains.get(table.name)
    const byName = new Map(there?.chains.map((chain) => [chain.name, chain]))
    const otherOf = (name: string): Chain | undefined => byName.get(alias?.get(name) ?? name)
    const lost = table.chains.filter(({ name, policy }) => policy === undefined && otherOf(name) === undefined)
    const flushed = table.chains.filter(({ name, policy, rules }) => {
      const other = otherOf(name)
      return policy === undefined && other !== undefined && rules.some((rule) => !isIdle(rule)) && other.rules.length === 0
    })
    if (there === undefined && table.chains.some(({ rules }) => rules.length > 0)) return [noTable(view, table)]
    const leading = lost.length + flushed.length === 0 ? new Map<string, readonly LeadingRule[]>() : leadingRules(table)
    return [
      ...lost.map((chain) => chainGone(view, table, chain, { flushed: false, leading: leading.get(chain.name) ?? [] })),
      ...flushed.map((chain) => chainGone(view, table, chain, { flushed: true, leading: leading.get(chain.name) ?? [] })),
    ]
  })
}

function noTable(view: DriftView, table: Table): Difference {
  return {
    code: 'ND501',
    cause: `table ${table.name}`,
    what: `the table ${table.name} holds no rule: none of its ${table.chains.length} chains is there`,
    expected: table.chains.slice(0, SHOWN).map(({ name }) => shown(`-t ${table.name} -N ${name}`)),
    there: [],
    apply: (dataplane) => ({ ...dataplane, iptables: { tables: dataplane.iptables.tables.filter(({ name }) => name !== table.name) } }),
    focus: {},
    commands: restarts(
      view,
      table.chains.flatMap(({ rules }) => rules),
    ),
    repair: 'the agents write their chains anew when they start, and some before: see the commands',
  }
}

function restarts(view: DriftView, rules: readonly Rule[]): string[] {
  const agents = new Set(rules.flatMap(({ provenance }) => provenance?.by ?? []))
  return [...new Set([...agents].flatMap((by) => restartOf(by, view.node) ?? []))]
}

interface LeadingRule {
  readonly chain: string
  readonly rule: Rule
}

/** By the chain that they lead to. */
function leadingRules({ chains }: Table): ReadonlyMap<string, readonly LeadingRule[]> {
  const found = new Map<string, LeadingRule[]>()
  for (const { name, rules } of chains)
    for (const rule of rules) {
      const to = jumpOf(rule)
      if (to === undefined) continue
      const known = found.get(to)
      if (known === undefined) found.set(to, [{ chain: name, rule }])
      else known.push({ chain: name, rule })
    }
  return found
}

function chainGone(
  view: DriftView,
  table: Table,
  chain: Chain,
  { flushed, leading }: { readonly flushed: boolean; readonly leading: readonly LeadingRule[] },
): Difference {
  const printer = new Printer(view)
  const { name, rules } = chain
  const by = ownerOf(name, [...rules, ...leading.map(({ rule }) => rule)])
  const object = objectOf([...rules, ...leading.map(({ rule }) => rule)])
  const count = rules.length === 1 ? '1 rule' : `${rules.length} rules`
  const state = flushed ? `empty: its ${count} ${rules.length === 1 ? 'is' : 'are'} gone` : `missing${rules.length === 0 ? '' : `, with ${count}`}`
  const editor = new ChainEditor(table.name)
  return {
    code: 'ND501',
    cause: object === undefined ? `chain ${table.name} ${name}` : `${by} ${object}`,
    what: `the chain ${name} of ${table.name}${object === undefined ? '' : ` (${object})`} is ${state}`,
    expected: [
      ...(flushed ? [] : [shown(`-t ${table.name} -N ${name}`, { by })]),
      ...rules.slice(0, SHOWN).map((rule) => printer.rule(table.name, name, rule)),
    ],
    there: flushed ? [shown(`-t ${table.name} -N ${name}`)] : [],
    apply: flushed ? editor.edit(name, () => []) : editor.without(name),
    focus: focusOfRules(view, [...rules, ...leading.map(({ rule }) => rule)], name),
    commands: restarts(view, rules.length === 0 ? leading.map(({ rule }) => rule) : rules),
    repair: repairOf(by, 'iptables'),
  }
}

/** The Service, the pod or the policy that all of them are of. */
function objectOf(rules: readonly Rule[]): string | undefined {
  const objects = new Set(rules.flatMap(({ provenance }) => provenance?.object ?? []))
  return objects.size === 1 ? [...objects][0] : undefined
}

/** @param view its expected Dataplane without the chains that are gone */
export function ruleDifferences(view: DriftView, aliases: Aliases): Difference[] {
  const names = new Set([...view.expected.iptables.tables, ...view.there.iptables.tables].map(({ name }) => name))
  return [...names].flatMap((name) => {
    const there = tableNamed(view.there.iptables, name)
    if (there === undefined) return []
    const expected = tableNamed(view.expected.iptables, name) ?? emptyTable(name)
    const byName = new Map(there.chains.map((chain) => [chain.name, chain]))
    return expected.chains.flatMap((chain) => {
      const other = byName.get(aliases.chains.get(name)?.get(chain.name) ?? chain.name)
      return other === undefined ? [] : comparedChain({ view, aliases, table: name, there }, chain, other)
    })
  })
}

/** A table of which a chain is compared. */
export interface Comparing {
  readonly view: DriftView
  readonly aliases: Aliases
  readonly table: TableName
  readonly there: Table
}

function comparedChain(comparing: Comparing, chain: Chain, other: Chain): Difference[] {
  const { view, aliases, table } = comparing
  const found: Difference[] = []
  if (chain.policy !== undefined && other.policy !== undefined && chain.policy !== other.policy) found.push(policyDifference(comparing, chain, other))
  const naming: Naming = {
    chain: (name) => aliases.chains.get(table)?.get(name) ?? name,
    set: (name) => aliases.sets.get(name) ?? name,
  }
  const [wanted, has] = [chain.rules.filter((rule) => !isIdle(rule)), other.rules.filter((rule) => !isIdle(rule))]
  const [wantedKeys, hasKeys] = [wanted.map((rule) => meaningOf(rule, naming)), has.map((rule) => meaningOf(rule))]
  const kept = commonRun(wantedKeys, hasKeys)
  if (kept.length === wanted.length && kept.length === has.length) return found
  const pairs = paired(wantedKeys, hasKeys, kept)
  const editor = new ChainEditor(table)
  const printer = new Printer(view)
  const moved = pairs.filter((pair) => !kept.some(([from]) => from === pair[0]))
  if (moved.length > 0) {
    const order = [...pairs].sort((a, b) => a[1] - b[1]).map(([from]) => wanted[from])
    found.push({
      code: 'ND505',
      cause: `order ${table} ${chain.name}`,
      what: `rules of ${chain.name} in ${table} stand in another order: ${moved
        .slice(0, 3)
        .map(([from]) => printer.ruleText(chain.name, wanted[from]))
        .join('; ')}`,
      expected: moved.slice(0, SHOWN).map(([from]) => ({
        ...printer.rule(table, chain.name, wanted[from]),
        text: `#${chain.rules.indexOf(wanted[from]) + 1} ${printer.ruleText(chain.name, wanted[from])}`,
      })),
      there: moved.slice(0, SHOWN).map(([, to]) => ({
        ...printer.rule(table, other.name, has[to]),
        text: `#${other.rules.indexOf(has[to]) + 1} ${printer.ruleText(other.name, has[to])}`,
      })),
      apply: editor.edit(chain.name, inOrderOf(order)),
      focus: focusOfRules(
        view,
        moved.map(([from]) => wanted[from]),
        chain.name,
      ),
      commands: restarts(
        view,
        moved.map(([from]) => wanted[from]),
      ),
      repair: repairOf(
        ownerOf(
          chain.name,
          moved.map(([from]) => wanted[from]),
        ),
        'iptables',
      ),
    })
  }
  const [isPaired, isThere] = [new Set(pairs.map(([from]) => from)), new Map(pairs.map(([from, to]) => [to, wanted[from]]))]
  found.push(
    ...missingRules(
      comparing,
      chain,
      wanted.filter((_, at) => !isPaired.has(at)),
    ),
  )
  const runs = extraRuns(has, isThere)
  if (runs.length > 0) found.push(...foreignDifferences(comparing, { chain, other, runs }))
  return found
}

/** Those of the run in common, and those that stand elsewhere. */
function paired(wanted: readonly string[], has: readonly string[], kept: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const [keptWanted, keptHas] = [new Set(kept.map(([from]) => from)), new Set(kept.map(([, to]) => to))]
  const free = new Map<string, number[]>()
  has.forEach((key, at) => {
    if (!keptHas.has(at)) free.set(key, [...(free.get(key) ?? []), at])
  })
  const moved = wanted.flatMap((key, from): [number, number][] => {
    const to = keptWanted.has(from) ? undefined : free.get(key)?.shift()
    return to === undefined ? [] : [[from, to]]
  })
  return [...kept, ...moved]
}

/** These in that order, in the places that they have among the others. */
function inOrderOf(order: readonly Rule[]): (rules: readonly Rule[]) => readonly Rule[] {
  return (rules) => {
    const is = new Set(order)
    const here = order.filter((rule) => rules.includes(rule))
    let next = 0
    return rules.map((rule) => (is.has(rule) ? here[next++] : rule))
  }
}

/** Rules one after the other that are no agent's, and the expected one that follows them. */
export interface ExtraRun {
  readonly rules: readonly Rule[]
  readonly before: Rule | undefined
}

function extraRuns(has: readonly Rule[], isThere: ReadonlyMap<number, Rule>): ExtraRun[] {
  const runs: ExtraRun[] = []
  let run: Rule[] = []
  has.forEach((rule, at) => {
    const known = isThere.get(at)
    if (known === undefined) run.push(rule)
    else if (run.length > 0) {
      runs.push({ rules: run, before: known })
      run = []
    }
  })
  return run.length === 0 ? runs : [...runs, { rules: run, before: undefined }]
}

function missingRules({ view, table }: Comparing, chain: Chain, missing: readonly Rule[]): Difference[] {
  const printer = new Printer(view)
  const byCause = new Map<string, Rule[]>()
  for (const rule of missing) {
    const { by, object = '' } = rule.provenance ?? {}
    const cause = object === '' ? `rules ${table} ${chain.name}` : `${by} ${object}`
    byCause.set(cause, [...(byCause.get(cause) ?? []), rule])
  }
  const editor = new ChainEditor(table)
  return [...byCause].map(([cause, rules]): Difference => {
    const by = ownerOf(chain.name, rules)
    const object = objectOf(rules)
    const gone = new Set(rules)
    const which = rules.length === 1 ? `rule ${chain.rules.indexOf(rules[0]) + 1}` : `${rules.length} rules`
    return {
      code: 'ND502',
      cause,
      what: `${which} of ${chain.name} in ${table}${object === undefined ? '' : ` (${object})`} ${rules.length === 1 ? 'is' : 'are'} missing`,
      expected: rules.slice(0, SHOWN).map((rule) => printer.rule(table, chain.name, rule)),
      there: [],
      apply: editor.edit(chain.name, (all) => all.filter((rule) => !gone.has(rule))),
      focus: focusOfRules(view, rules, chain.name),
      commands: [
        ...rules.slice(0, SHOWN).map((rule) => insertCommand(view, { table, chain, rule, gone })),
        ...(rules.length > SHOWN ? restarts(view, rules) : []),
      ],
      repair: repairOf(by, 'iptables'),
    }
  })
}

/** Into the place that it has once those before it are there again. */
function insertCommand(
  view: DriftView,
  at: { readonly table: TableName; readonly chain: Chain; readonly rule: Rule; readonly gone: ReadonlySet<Rule> },
): string {
  const { table, chain, rule } = at
  const place = chain.rules.indexOf(rule) + 1
  const where = place === chain.rules.length ? ['-A', chain.name] : ['-I', chain.name, String(place)]
  return mend`${iptablesOf(view)} -t ${table} ${where} ${new Printer(view).ruleWords(rule)}`
}

function policyDifference({ view, table }: Comparing, chain: Chain, other: Chain): Difference {
  const policy = other.policy
  const change: Change = new ChainEditor(table).setPolicy(chain.name, policy ?? 'ACCEPT')
  return {
    code: 'ND506',
    cause: `policy ${table} ${chain.name}`,
    what: `the policy of ${chain.name} in ${table} is ${policy}, not ${chain.policy}`,
    expected: [shown(`:${chain.name} ${chain.policy}`)],
    there: [shown(`:${chain.name} ${policy}`, other.provenance)],
    apply: change,
    focus: {},
    commands: [mend`${iptablesOf(view, other.provenance)} -t ${table} -P ${chain.name} ${chain.policy ?? 'ACCEPT'}`],
    repair: repairOf(undefined, 'iptables'),
  }
}
