/**
 * Rules that a table tried, in words: the text as iptables-save prints it, what came of it, and for one that did not match the
 * term that failed and what the packet had.
 */
import type { Rule } from '../dataplane/iptables.js'
import { printRule } from '../dataplane/iptables-print.js'
import { CT_STATES } from '../net/netfilter/conntrack-tuple.js'
import type { PacketFacts } from './packet-facts.js'
import type { TriedRule } from './rule-walk.js'
import { termWords, type Namer } from './term-words.js'
import type { RuleDocument } from './trace-document.js'

/** NF_* in order. */
export const VERDICTS = ['DROP', 'ACCEPT', 'STOLEN', 'INCOMPLETE'] as const
export const CONNTRACK_WORDS = CT_STATES

/** @param facts the packet as it came to the table: its mark is each rule's own */
export function ruleDocument({ chain, number, rule, matched, failed, mark }: TriedRule, facts: PacketFacts | undefined, namer: Namer): RuleDocument {
  const term = failed === undefined ? undefined : termWords(failed, facts === undefined ? undefined : { ...facts, mark }, namer)
  return {
    chain,
    rule: number,
    text: printRule(rule),
    matched,
    action: matched ? targetWord(rule) : 'NO_MATCH',
    ...(matched ? {} : { failed: term === undefined ? { term: '?', actual: '' } : { term: term.term, actual: term.actual } }),
    ...(rule.provenance === undefined ? {} : { provenance: rule.provenance }),
  }
}

function targetWord(rule: Rule): string {
  const { target } = rule
  if (target === undefined) return 'COUNT'
  return target.kind === 'jump'
    ? `JUMP ${target.chain}`
    : target.kind === 'goto'
      ? `GOTO ${target.chain}`
      : target.kind === 'unknown'
        ? target.name
        : target.kind
}
