/** An explanation as a document: what `netsim policy explain -o json` prints (docs/policy-explanation.schema.json). Fields are added, never changed. */
import { othersText, transportText } from '../connection-text.js'
import type { ConnectionSet, Protocol } from '../connections.js'
import type { Cited, DirectedPart, Effect, EndNames, ExplainedPart, Explanation, NearMiss } from './explain.js'
import { chainText } from './explain-line.js'
import type { FailedTerm } from './explain-terms.js'
import { reasonWords } from './explain-words.js'
import type { Assumption, Direction, Policy, PolicyKind, PolicyWorld } from '../model.js'
import type { Place } from '../../cluster/problem-list.js'

export interface PolicyReference {
  readonly kind: PolicyKind
  /** Empty for those of the whole cluster. */
  readonly namespace: string
  readonly name: string
  readonly tier: string
  readonly file: string
  /** Of the rule where there is one; 1-based. */
  readonly line: number
}

export interface RuleDocument extends PolicyReference {
  readonly effect: Effect
  readonly direction: Direction
  /** 0-based, in its list; null: the policy as a whole, by selecting the end. */
  readonly rule: number | null
  readonly ruleName?: string
}

export interface FailedTermDocument {
  readonly what: FailedTerm['what']
  readonly term: string
  readonly text: string
  readonly file: string
  readonly line: number
}

export interface NearRuleDocument extends Omit<RuleDocument, 'effect'> {
  readonly failed: readonly FailedTermDocument[]
}

export interface DirectionDocument {
  readonly allowed: boolean
  /** rule: one decided; isolation: policies select the end and no rule names it; default: nothing has the last word; exempt: not held at all. */
  readonly reason: DirectedPart['reason']['kind'] | 'isolation' | 'several'
  readonly chain: string
  /** The reason, in a sentence. */
  readonly text: string
  /** Those that passed it on, then what decided. */
  readonly rules: readonly RuleDocument[]
  /** That say the same. */
  readonly also: readonly RuleDocument[]
  readonly near: readonly NearRuleDocument[]
  /** Every policy that selects the end in this direction. */
  readonly selectedBy: readonly PolicyReference[]
}

export interface PartDocument extends ConnectionsDocument {
  readonly allowed: boolean
  readonly egress: DirectionDocument
  readonly ingress: DirectionDocument
}

/** As in the lists: TCP, UDP and SCTP, and what is beside them. */
interface ConnectionsDocument {
  readonly conn: string
  readonly others?: string
}

export interface ExplanationDocument extends ConnectionsDocument {
  readonly src: string
  readonly dst: string
  readonly proto: string | null
  readonly port: number | null
  /** Of several connections: any of them. `conn` is what of the question is allowed. */
  readonly allowed: boolean
  readonly verdict: Explanation['verdict']
  readonly egress: DirectionDocument
  readonly ingress: DirectionDocument
  /** Without a port: the connections by the reasons that they have. */
  readonly parts?: readonly PartDocument[]
  readonly assumptions: readonly { readonly name: Assumption; readonly text: string; readonly decides: boolean | null }[]
  /** Nothing enforces policies here. */
  readonly noEngine?: string
}

export function explanationDocument(world: PolicyWorld, explanation: Explanation, names: EndNames): ExplanationDocument {
  const { connection, parts } = explanation
  const { noEngine } = world
  const documents = parts.map((part) => partDocument(world, part, explanation))
  return {
    ...names,
    proto: connection === undefined ? null : protocolName(connection.protocol),
    port: connection === undefined ? null : connection.port,
    allowed: !explanation.allowed.isEmpty,
    verdict: explanation.verdict,
    ...connectionsDocument(world, explanation.allowed),
    egress: together(documents.map(({ egress }) => egress)),
    ingress: together(documents.map(({ ingress }) => ingress)),
    ...(connection === undefined ? { parts: documents } : {}),
    assumptions: explanation.assumptions.map(({ name, text, decides }) => ({ name, text, decides: decides ?? null })),
    ...(noEngine === undefined ? {} : { noEngine }),
  }
}

function connectionsDocument({ switches }: PolicyWorld, set: ConnectionSet): ConnectionsDocument {
  const knowsOthers = switches.as !== 'np-guard'
  const others = knowsOthers ? othersText(set) : ''
  return { conn: transportText(set, knowsOthers), ...(others === '' ? {} : { others }) }
}

export function protocolName(protocol: Protocol): string {
  return typeof protocol === 'number' ? String(protocol) : protocol.toLowerCase()
}

function partDocument(world: PolicyWorld, { connections, allowed, egress, ingress }: ExplainedPart, explanation: Explanation): PartDocument {
  return {
    ...connectionsDocument(world, connections),
    allowed,
    egress: directionDocument(world, egress, explanation.egress.selecting),
    ingress: directionDocument(world, ingress, explanation.ingress.selecting),
  }
}

/** One direction over all parts. */
function together(parts: readonly DirectionDocument[]): DirectionDocument {
  const [first, ...rest] = parts
  if (rest.length === 0) return first
  const reasons = new Set(parts.map(({ reason }) => reason))
  return {
    allowed: parts.some(({ allowed }) => allowed),
    reason: reasons.size === 1 ? first.reason : 'several',
    chain: [...new Set(parts.map(({ chain }) => chain))].join('; '),
    text: [...new Set(parts.map(({ text }) => text))].join('; '),
    rules: distinct(parts.flatMap(({ rules }) => rules)),
    also: distinct(parts.flatMap(({ also }) => also)),
    near: distinct(parts.flatMap(({ near }) => near)),
    selectedBy: first.selectedBy,
  }
}

function distinct<Value extends object>(values: readonly Value[]): readonly Value[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()]
}

function directionDocument(world: PolicyWorld, part: DirectedPart, selecting: readonly Policy[]): DirectionDocument {
  const { direction, allowed, reason, steps, also, near } = part
  return {
    allowed,
    reason: reason.kind === 'tier-end' ? 'isolation' : reason.kind,
    chain: chainText(part),
    text: reasonWords(part),
    rules: steps.flatMap(({ cited }) => cited.map((one) => ruleDocument(one, direction))),
    also: also.map((one) => ruleDocument(one, direction)),
    near: near.map((miss) => nearDocument(miss, direction)),
    selectedBy: selecting.map((policy) => reference(policy, tierOf(world, policy), policy)),
  }
}

function tierOf(world: PolicyWorld, policy: Policy): string {
  return world.tiers.find(({ policies }) => policies.includes(policy))?.name ?? ''
}

function reference({ kind, namespace, name }: Policy, tier: string, { file, line }: Place): PolicyReference {
  return { kind, namespace, name, tier, file, line }
}

function ruleDocument({ tier, policy, rule, effect }: Cited, direction: Direction): RuleDocument {
  return {
    ...reference(policy, tier.name, rule ?? policy),
    effect,
    direction,
    rule: rule?.index ?? null,
    ...(rule?.name === undefined ? {} : { ruleName: rule.name }),
  }
}

function nearDocument({ tier, policy, rule, failed }: NearMiss, direction: Direction): NearRuleDocument {
  return {
    ...reference(policy, tier.name, rule ?? policy),
    direction,
    rule: rule?.index ?? null,
    ...(rule?.name === undefined ? {} : { ruleName: rule.name }),
    failed: failed.map(({ what, term, text, place: { file, line } }) => ({ what, term, text, file, line })),
  }
}
