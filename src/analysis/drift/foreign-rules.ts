/** Rules that no agent writes: in chains of the agents', and in the built-in ones before, between and after theirs. */
import type { Chain, Rule, Table } from '../../dataplane/iptables.js'
import { ChainEditor } from './chain-editor.js'
import type { Difference } from './difference.js'
import type { Comparing, ExtraRun } from './iptables-differences.js'
import { cniOfChain, leftoverCause } from './leftovers.js'
import { LEFT_ALONE, repairOf } from './repair.js'
import { focusOfRules, ownerOfChain } from './rule-focus.js'
import { isIdle, jumpOf } from './rule-meaning.js'
import { Printer } from './shown.js'
import { iptablesOf } from './iptables-backends.js'
import { mend } from './shell-words.js'

const SHOWN = 6

/** Chains of programs that have them on many healthy hosts. */
const BYSTANDERS = /^(DOCKER|KUBE-|CNI-|LIBVIRT_|ufw6?-|f2b-|fail2ban|IN_|FWDI?_|FWDO_|POST_|PRE_|INPUT_direct|FORWARD_direct|NETAVARK|BOUNCER|crowdsec|ts-)/

interface Extra {
  readonly chain: Chain
  readonly other: Chain
  readonly runs: readonly ExtraRun[]
}

/** A firewall whose accepts come before and whose drop comes after is one thing: then all of a chain's are told together. */
export function foreignDifferences(comparing: Comparing, { chain, other, runs }: Extra): Difference[] {
  const { there, view } = comparing
  const cniOf = (rule: Rule): string | undefined => cniOfChain(view, jumpOf(rule) ?? '')
  const cnis = [...new Set(runs.flatMap((run) => run.rules.flatMap((rule) => cniOf(rule) ?? [])))]
  const known = runs.map((run) => only(run, (rule) => cniOf(rule) === undefined && isBystander(there, rule)))
  const strange = runs.map((run) => only(run, (rule) => cniOf(rule) === undefined && !isBystander(there, rule)))
  const ofCnis = cnis.map((cni) => ({ group: runs.map((run) => only(run, (rule) => cniOf(rule) === cni)), bystander: false, cni }))
  const isFirewall = strange.some(({ rules }) => rules.some(({ target }) => target?.kind === 'ACCEPT' || target?.kind === 'RETURN' || target?.kind === 'jump'))
  const groups = isFirewall ? [strange] : strange.map((run) => [run])
  const all: readonly Group[] = [...ofCnis, ...groups.map((group) => ({ group, bystander: false })), { group: known, bystander: true }]
  return all.flatMap(({ group, bystander, cni }) => {
    const filled = group.filter(({ rules }) => rules.length > 0)
    if (filled.length === 0) return []
    const one = difference(comparing, { chain, other, runs: filled }, bystander)
    return [cni === undefined ? one : { ...one, code: 'ND701', ...leftoverCause(cni) }]
  })
}

interface Group {
  readonly group: readonly ExtraRun[]
  readonly bystander: boolean
  readonly cni?: string
}

function only({ rules, before }: ExtraRun, is: (rule: Rule) => boolean): ExtraRun {
  return { rules: rules.filter(is), before }
}

/** It leads to a chain of a program known, or is docker's rule for a bridge of its own. */
function isBystander(there: Table, rule: Rule): boolean {
  const target = jumpOf(rule)
  if (target !== undefined && there.chains.some(({ name }) => name === target)) return BYSTANDERS.test(target)
  return rule.matches.some(
    (match) => (match.kind === 'in-interface' || match.kind === 'out-interface') && /^(docker0|br-|virbr|tailscale|podman)/.test(match.name),
  )
}

function difference(comparing: Comparing, { chain, other, runs }: Extra, bystander: boolean): Difference {
  const { view, table, there, aliases } = comparing
  const printer = new Printer(view)
  const rules = runs.flatMap((run) => run.rules)
  const builtIn = chain.policy !== undefined
  const masquerade = table === 'nat' && rules.some(({ target }) => target?.kind === 'MASQUERADE' || target?.kind === 'SNAT') && other.name === 'POSTROUTING'
  const first = other.rules.indexOf(rules[0]) + 1
  const wanted = new Set(view.expected.iptables.tables.find(({ name }) => name === table)?.chains.map(({ name }) => name))
  const led = reached(there, rules).filter(({ name }) => !wanted.has(name))
  const number = rules.length === 1 ? `rule ${first}` : `${rules.length} rules (from ${first} on)`
  const ahead = runs.find(({ before }) => before !== undefined)?.before
  const aheadOf = ahead === undefined ? undefined : (jumpOf(ahead) ?? printer.ruleText(chain.name, ahead).replace(/^-A \S+ /, ''))
  const before = aheadOf === undefined ? '' : ` and ${rules.length === 1 ? 'comes' : 'come'} before ${aheadOf}`
  const editor = new ChainEditor(table)
  const back = renaming(comparing)
  // a set that rules name is brought along
  const sets = new Set(
    [...rules, ...led.flatMap((one) => one.rules)].flatMap(({ matches }) => matches.flatMap((match) => (match.kind === 'set' ? [match.set] : []))),
  )
  const wantedSets = new Set([...view.expected.ipsets.map(({ name }) => name), ...aliases.sets.values()])
  const broughtSets = view.there.ipsets.filter(({ name }) => sets.has(name) && !wantedSets.has(name))
  return {
    code: masquerade ? 'ND507' : builtIn ? 'ND504' : 'ND503',
    cause: `foreign ${table} ${chain.name} ${bystander ? 'known' : isAlone(runs) ? printer.ruleText(chain.name, rules[0]) : 'all'}`,
    what: `${number} of ${other.name} in ${table} ${rules.length === 1 ? 'is' : 'are'} no agent's${before}: ${printer.ruleText(other.name, rules[0])}`,
    expected: [],
    there: [
      ...rules.slice(0, SHOWN).map((rule) => printer.rule(table, other.name, rule)),
      ...led.flatMap((one) => one.rules.slice(0, SHOWN).map((rule) => printer.rule(table, one.name, rule))).slice(0, SHOWN),
    ],
    apply: (dataplane) => ({
      ...runs.reduce(
        (now, run) =>
          editor.insert(chain.name, run.rules.map(back), { before: run.before, chains: led.map((one) => ({ ...one, rules: one.rules.map(back) })) })(now),
        dataplane,
      ),
      ipsets: [...dataplane.ipsets, ...broughtSets],
    }),
    focus: focusOfRules(view, [...rules, ...led.flatMap((one) => one.rules)], chain.name),
    commands: rules.slice(0, SHOWN).map((rule) => mend`${iptablesOf(view, rule.provenance)} -t ${table} -D ${other.name} ${printer.ruleWords(rule)}`),
    repair: builtIn ? LEFT_ALONE : repairOf(ownerOfChain(chain.name), 'iptables'),
    ...(bystander ? { bystander } : {}),
  }
}

function isAlone(runs: readonly ExtraRun[]): boolean {
  return runs.length === 1
}

/** Chains that rules lead to and the agents do not have, with those that they lead to. */
function reached(there: Table, rules: readonly Rule[]): readonly Chain[] {
  const found = new Map<string, Chain>()
  const follow = (all: readonly Rule[]): void => {
    for (const rule of all) {
      const name = jumpOf(rule)
      const chain = name === undefined || found.has(name) ? undefined : there.chains.find((one) => one.name === name && one.policy === undefined)
      if (chain === undefined) continue
      found.set(chain.name, chain)
      follow(chain.rules.filter((one) => !isIdle(one)))
    }
  }
  follow(rules)
  return [...found.values()]
}

/** Names of chains and sets that the expected Dataplane has otherwise. */
function renaming({ aliases, table }: Comparing): (rule: Rule) => Rule {
  const back = (names: ReadonlyMap<string, string> | undefined): ReadonlyMap<string, string> =>
    new Map([...(names ?? [])].map(([wanted, has]) => [has, wanted]))
  const [chains, sets] = [back(aliases.chains.get(table)), back(aliases.sets)]
  return (rule) => {
    const { target } = rule
    const named = target?.kind === 'jump' || target?.kind === 'goto' ? chains.get(target.chain) : undefined
    const matches = rule.matches.map((match) => (match.kind === 'set' && sets.has(match.set) ? { ...match, set: sets.get(match.set) ?? match.set } : match))
    return { ...rule, matches, ...(named === undefined || target === undefined ? {} : { target: { ...target, chain: named } as Rule['target'] }) }
  }
}
