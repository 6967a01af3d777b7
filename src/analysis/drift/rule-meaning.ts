/**
 * What a rule of iptables does, apart from how a version of its agent writes it: without comments and counters, modules that only stand there, random
 * ports. Chains and sets whose names are hashes are known by what they hold, where the names differ.
 */
import { printMatches, printRule } from '../../dataplane/iptables-print.js'
import type { Chain, IptablesState, Match, Rule, Table, Target } from '../../dataplane/iptables.js'

export type Named = (name: string) => string

const SAME: Named = (name) => name

/** Names as the dump has them. */
export interface Naming {
  readonly chain: Named
  readonly set: Named
}

export const AS_THERE: Naming = { chain: SAME, set: SAME }

const MEANINGS = new WeakMap<Rule, readonly [matches: string, target: string]>()

/** Equal for rules that do the same. */
export function meaningOf(rule: Rule, naming: Naming = AS_THERE): string {
  const { target } = rule
  const named = target !== undefined && (target.kind === 'jump' || target.kind === 'goto')
  const sets = rule.matches.some(({ kind }) => kind === 'set') || target?.kind === 'SET'
  if (naming === AS_THERE || (!named && !sets)) {
    const known = MEANINGS.get(rule)
    if (known !== undefined) return known.join(' ')
  }
  const matches = sets ? matchesMeaning(rule.matches, naming) : (MEANINGS.get(rule)?.[0] ?? matchesMeaning(rule.matches, naming))
  const words = target === undefined ? '' : printRule({ matches: [], target: plain(target, naming) })
  if (naming === AS_THERE || (!named && !sets)) MEANINGS.set(rule, [matches, words])
  return `${matches} ${words}`
}

function matchesMeaning(matches: readonly Match[], { set }: Naming): string {
  return matches
    .flatMap((match) => {
      if (match.kind === 'comment' || match.kind === 'module') return []
      if (match.kind === 'set') return [printMatches([{ ...match, set: set(match.set) }])]
      if (match.kind === 'ctstate') return [printMatches([{ ...match, module: 'conntrack' }])]
      return [printMatches([match])]
    })
    .sort()
    .join(' ')
}

/** Whether iptables knows --random-fully is a matter of its version. */
function plain(target: Target, { chain, set }: Naming): Target {
  switch (target.kind) {
    case 'MASQUERADE':
    case 'SNAT':
      return { ...target, random: false, randomFully: false }
    case 'jump':
    case 'goto':
      return { ...target, chain: chain(target.chain) }
    case 'SET':
      return { ...target, set: set(target.set) }
    default:
      return target
  }
}

/** It only counts or writes a log: no packet fares otherwise for it. */
export function isIdle({ target }: Rule): boolean {
  return target === undefined || target.kind === 'LOG' || target.kind === 'NFLOG' || target.kind === 'TRACE'
}

export function jumpOf({ target }: Rule): string | undefined {
  return target?.kind === 'jump' || target?.kind === 'goto' ? target.chain : undefined
}

export function tableNamed({ tables }: IptablesState, name: string): Table | undefined {
  return tables.find((table) => table.name === name)
}

/** Chains of the dump for those of the expected table that it does not have by name. */
export function chainAliases(expected: Table, there: Table, set: Named): ReadonlyMap<string, string> {
  const names = new Set(there.chains.map(({ name }) => name))
  const wanted = new Set(expected.chains.map(({ name }) => name))
  const absent = expected.chains.filter(({ name, policy }) => policy === undefined && !names.has(name))
  const free = there.chains.filter(({ name, policy }) => policy === undefined && !wanted.has(name))
  const found = new Map<string, string>()
  if (absent.length === 0 || free.length === 0) return found
  const [mine, theirs] = [new Signatures(expected, set), new Signatures(there, SAME)]
  const bySignature = new Map<string, string[]>()
  for (const { name } of free) {
    const key = `${familyOf(name)} ${theirs.of(name)}`
    bySignature.set(key, [...(bySignature.get(key) ?? []), name])
  }
  for (const { name, rules } of absent) {
    if (rules.length === 0) continue
    const same = bySignature.get(`${familyOf(name)} ${mine.of(name)}`)
    const other = same?.shift()
    if (other !== undefined) found.set(name, other)
  }
  return found
}

/** `cali-po-` of `cali-po-_gkAIRF1ZSwaXnAd6ENd`, `KUBE-SEP-` of `KUBE-SEP-4HYBHWIXVO4ZPMZC`; else the name. */
function familyOf(name: string): string {
  return /^(cali-[a-z]+-|KUBE-[A-Z]+-|CNI-[A-Z]+-|felix-[a-z]+-)/.exec(name)?.[0] ?? name
}

/** What a chain holds, with what the chains hold that it leads to. */
class Signatures {
  private readonly chains: ReadonlyMap<string, Chain>
  private readonly set: Named
  private readonly known = new Map<string, string>()

  constructor({ chains }: Table, set: Named) {
    this.chains = new Map(chains.map((chain) => [chain.name, chain]))
    this.set = set
  }

  of(name: string): string {
    const known = this.known.get(name)
    if (known !== undefined) return known
    // of a loop: its name
    this.known.set(name, name)
    const chain = this.chains.get(name)
    const isHashed = familyOf(name) !== name
    const naming: Naming = { chain: (target) => (familyOf(target) === target ? target : `{${this.of(target)}}`), set: this.set }
    const signature =
      chain === undefined || !isHashed
        ? name
        : chain.rules
            .filter((rule) => !isIdle(rule))
            .map((rule) => meaningOf(rule, naming))
            .join('\n')
    this.known.set(name, signature)
    return signature
  }
}
