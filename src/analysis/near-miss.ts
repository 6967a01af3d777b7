/**
 * A packet that a table dropped → the rules that would have let it pass and nearly did, nearest first, each with the terms that failed. Read off
 * the rules that were tried: what of each rule failed is what the kernel's own matches said of the packet.
 */
import type { PolicyBook } from '../calico/policy-book.js'
import type { Match, PortRange } from '../dataplane/iptables.js'
import { PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../wire/packet.js'
import type { PacketFacts } from './packet-facts.js'
import { askedInTier, isDrop, isEndpointChain, markBit, passBit, ruleNumber, sectionsOf, tierStart, type EndpointSection } from './policy-verdict.js'
import { commentsOf, type TriedRule } from './rule-walk.js'
import { addressWords, portList, termWords, type Namer } from './term-words.js'
import type { AskedPolicyDocument, NearMissDocument, TermDocument } from './trace-document.js'

/** Who is read, and in whose words. */
interface Reading {
  /** Of the table that dropped, all that were tried. */
  readonly tried: readonly TriedRule[]
  readonly facts: PacketFacts | undefined
  readonly namer: Namer
  readonly book: PolicyBook | undefined
}

/** A near rule with the matches behind its words: what a suggestion is made of. */
export interface NearMiss {
  readonly document: NearMissDocument
  readonly failing: readonly Match[]
  readonly rule: TriedRule
}

export interface Nearness {
  readonly policies: readonly AskedPolicyDocument[]
  readonly near: readonly NearMiss[]
}

export function nearnessOf(reading: Reading): Nearness {
  const { tried, book } = reading
  const last = book === undefined ? undefined : sectionsOf(tried, book).at(-1)
  if (book !== undefined && last !== undefined && 'rules' in last) {
    const asked = askedInTier(last, book)
    const policies = asked.map(({ label, tier, direction, selector, rules, provenance }) => ({ policy: label, tier, direction, selector, rules, provenance }))
    return { policies, near: policyMisses(last, book, reading) }
  }
  return { policies: [], near: plainMisses(reading) }
}

/** Rules of one policy or profile that iptables rules were made of: those with one provenance stand together. */
function ruleGroups(rules: readonly TriedRule[], book: PolicyBook): readonly (readonly TriedRule[])[] {
  const groups: TriedRule[][] = []
  for (const one of rules) {
    if (one.rule.provenance === undefined || !(book.policies.has(one.chain) || book.profiles.has(one.chain))) continue
    const open = groups.at(-1)
    if (open !== undefined && open[0].chain === one.chain && open[0].rule.provenance === one.rule.provenance) open.push(one)
    else groups.push([one])
  }
  return groups
}

function policyMisses(section: EndpointSection, book: PolicyBook, reading: Reading): readonly NearMiss[] {
  const rules = section.rules.slice(tierStart(section))
  const accept = section.rules.filter(
    ({ rule, chain }) =>
      isEndpointChain(chain) && commentsOf(rule).some((text) => /^(Return if (policy|profile) accepted|Profile accepted packet)$/.test(text)),
  )
  const bits = [accept.length === 0 ? undefined : markBit(accept[0].rule), passBit(section)].filter((bit) => bit !== undefined)
  const misses = ruleGroups(rules, book).flatMap((group): NearMiss[] => {
    // one rule, or several of which each asks for a part of the ports
    const mains = group.filter(({ rule: { target } }) => target?.kind === 'MARK' && bits.includes(target.value))
    const main = mains.toSorted((a, b) => a.failing.length - b.failing.length).at(0)
    if (main === undefined || mains.some(({ matched }) => matched)) return []
    const failing = failingOf(group, main)
    if (failing.matches.length === 0) return []
    const policy = book.policies.get(main.chain)?.label ?? `profile ${book.profiles.get(main.chain)?.name ?? ''}`
    return [nearMiss(main, failing, { policy, rule: ruleNumber(main.rule) ?? 0, reading })]
  })
  return byNearness(misses)
}

interface Failing {
  readonly matches: readonly Match[]
  /** What several iptables rules say together. */
  readonly blocks: readonly (readonly Match[])[]
}

/** What failed of a rule of several blocks is what failed of the blocks that did not pass (felix/rules/policy.go). */
function failingOf(group: readonly TriedRule[], main: TriedRule): Failing {
  const own = main.failing.filter(({ kind }) => kind !== 'mark')
  const blocks = failedBlocks(group.slice(0, group.indexOf(main)))
  return { matches: [...own, ...blocks.flat()], blocks }
}

/**
 * The alternatives of each positive block that did not pass, and what of the negative blocks matched. The first block passes when one of its
 * alternatives matches; a later one has failed when the rule behind it, which asks for its bit, matches.
 */
function failedBlocks(rules: readonly TriedRule[]): readonly (readonly Match[])[] {
  const failed: Match[][] = []
  let open: TriedRule[] = []
  const close = (fails: boolean): void => {
    // an alternative that fails by its protocol alone says no more than the rule itself
    const byProtocol = open.some(({ failing }) => distinctive(failing).length === 0)
    if (open.length > 0 && fails && !byProtocol) failed.push(open.flatMap(({ rule }) => distinctive(rule.matches)))
    open = []
  }
  let bit = 0
  for (const one of rules) {
    const { target, matches } = one.rule
    if (target?.kind !== 'MARK') continue
    const terms = distinctive(matches)
    const noneMatched = open.every(({ matched }) => !matched)
    if (target.value !== 0 && terms.length > 0) {
      if (target.value !== bit) close(noneMatched)
      bit = target.value
      open.push(one)
    } else if (terms.length === 0 && matches.some(({ kind }) => kind === 'mark')) close(one.matched)
    else {
      close(noneMatched)
      if (target.value === 0 && one.matched) failed.push(terms.map(inverted))
    }
  }
  close(open.every(({ matched }) => !matched))
  return failed.filter((terms) => terms.length > 0)
}

/** The protocol stands in the rule itself too. */
function distinctive(matches: readonly Match[]): Match[] {
  return matches.filter(({ kind }) => kind !== 'comment' && kind !== 'mark' && kind !== 'protocol')
}

/** It matched where it must not. */
function inverted(match: Match): Match {
  return { ...match, invert: true } as Match
}

function nearMiss(
  main: TriedRule,
  failing: Failing,
  { policy, rule, reading }: { readonly policy?: string; readonly rule: number; readonly reading: Reading },
): NearMiss {
  const { facts, namer } = reading
  const own = failing.matches.filter((match) => !failing.blocks.flat().includes(match) && !saidByProtocol(match, failing, facts))
  const failed = [...own.map((match) => termWords(match, facts, namer)), ...failing.blocks.map((block) => blockWords(block, facts, namer))]
  const { provenance } = main.rule
  return {
    document: {
      ...(policy === undefined ? {} : { policy }),
      rule,
      at: { chain: main.chain, rule: main.number },
      failed,
      ...(provenance === undefined ? {} : { provenance }),
    },
    failing: failing.matches,
    rule: main,
  }
}

/** A protocol without ports has none that fits: that the protocol is another says it. */
function saidByProtocol(match: Match, { matches }: Failing, facts: PacketFacts | undefined): boolean {
  if (facts === undefined || [PROTO_TCP, PROTO_UDP, PROTO_SCTP].includes(facts.proto)) return false
  const ported = match.kind === 'multiport' || match.kind === 'destination-port' || match.kind === 'source-port'
  return ported && matches.some(({ kind }) => kind === 'protocol')
}

/** Alternatives of one block in one sentence. */
function blockWords(block: readonly Match[], facts: PacketFacts | undefined, namer: Namer): TermDocument {
  const single = block.map((match) => termWords(match, facts, namer))
  const first = block[0]
  const term = single.map((words) => words.term).join(' or ')
  if (single.length === 1 || facts === undefined) return { ...single[0], term, text: single.map(({ text }) => text).join('; ') }
  if (block.every((match) => match.kind === 'multiport')) {
    const ports = block.flatMap((match): readonly PortRange[] => (match.kind === 'multiport' ? match.ports : []))
    const side = first.kind === 'multiport' && first.side === 'sports' ? 'source port' : 'port'
    return { term, actual: single[0].actual, text: `${side} ${single[0].actual} is none of ${portList(ports)}` }
  }
  if (block.every(({ kind }) => kind === first.kind) && (first.kind === 'source' || first.kind === 'destination')) {
    const nets = single.map((words) => words.term.split(' ').at(-1) ?? '')
    const address = addressWords(namer, first.kind === 'source' ? facts.src : facts.dst)
    return { term, actual: single[0].actual, text: `${first.kind} ${address} is in none of ${nets.join(', ')}` }
  }
  return { term, actual: single[0].actual, text: single.map(({ text }) => text).join('; ') }
}

/** Rules of any hand that accept, or that return from the chain that dropped. */
function plainMisses(reading: Reading): readonly NearMiss[] {
  const { tried } = reading
  const last = tried.at(-1)
  const dropped = last !== undefined && last.matched && isDrop(last.rule) ? last.chain : undefined
  const misses = tried.flatMap((one): NearMiss[] => {
    const { target, matches } = one.rule
    const passes = target?.kind === 'ACCEPT' || (target?.kind === 'RETURN' && one.chain === dropped)
    if (one.matched || !passes || one.chain.startsWith('cali-') || one.failing.length === 0) return []
    // a rule for known connections or for another's verdict is no rule for this packet
    if (one.failing.some(({ kind }) => kind === 'ctstate' || kind === 'mark')) return []
    const terms = matches.filter(({ kind }) => kind !== 'comment' && kind !== 'module').length
    if (terms > 1 && one.failing.length === terms) return []
    return [nearMiss(one, { matches: one.failing, blocks: [] }, { rule: one.number, reading })]
  })
  return byNearness(misses)
}

function byNearness(misses: readonly NearMiss[]): readonly NearMiss[] {
  return misses.toSorted((a, b) => a.document.failed.length - b.document.failed.length)
}
