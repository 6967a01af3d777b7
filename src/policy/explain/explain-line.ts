/**
 * An explanation in one line, each direction as the chain of the tiers that were asked:
 *
 *   shop/web -> shop/db:5432/TCP denied: egress no policy; ingress [ANP] Pass (audit ingress[0]) -> [NPv1] Dropped (shop/db)
 */
import { connectionWords } from '../connection-words.js'
import { PORT_MIN, type Connection } from '../connections.js'
import type { Cited, DirectedPart, Effect, Explanation, TierStep } from './explain.js'
import type { Policy, PolicyKind } from '../model.js'

/** In brackets before a tier; Calico's tiers go by their own names. */
const TIER_WORDS: Readonly<Partial<Record<PolicyKind, string>>> = {
  NetworkPolicy: 'NPv1',
  AdminNetworkPolicy: 'ANP',
  BaselineAdminNetworkPolicy: 'BANP',
  ClusterNetworkPolicy: 'CNP',
  NamespaceIsolation: 'isolation',
}

const EFFECT_WORDS: Readonly<Record<Effect, string>> = { allow: 'Allow', deny: 'Deny', pass: 'Pass', isolate: 'Dropped' }

/** `NetworkPolicy shop/db`, `AdminNetworkPolicy audit`. */
export function policyName({ kind, namespace, name }: Policy): string {
  return `${kind} ${bareName({ namespace, name })}`
}

function bareName({ namespace, name }: Pick<Policy, 'namespace' | 'name'>): string {
  return namespace === '' ? name : `${namespace}/${name}`
}

/** `ingress[0]`, with its name where it has one: 0-based, as in its list. */
export function ruleName({ rule, effect, policy }: Pick<Cited, 'rule' | 'effect' | 'policy'>): string {
  if (rule === undefined) return effect === 'isolate' ? 'no rule' : ''
  const list = policy.ingress.includes(rule) ? 'ingress' : 'egress'
  return `${list}[${rule.index}]${rule.name === undefined ? '' : ` ${rule.name}`}`
}

/** `port` is type × 256 + code for ICMP. */
export function connectionText({ protocol, port }: Connection): string {
  if (protocol === 'ICMP' || protocol === 'ICMPv6') return `${protocol} type ${port >> 8} code ${port & 255}`
  return typeof protocol === 'number' ? `protocol ${protocol}` : port < PORT_MIN ? protocol : `${protocol} ${port}`
}

export function chainText(part: DirectedPart): string {
  if (part.reason.kind === 'exempt') return exemptionWords(part.reason.why)
  if (part.steps.length === 0) return `no policies targeting ${part.direction}`
  return part.steps.map(stepText).join(' -> ')
}

function stepText({ tier, cited }: TierStep): string {
  const kind = cited[0]?.policy.kind ?? tier.policies[0]?.kind
  const word = `[${TIER_WORDS[kind] ?? tier.name}]`
  if (cited.length === 0) return `${word} No-Op`
  const { effect } = cited[cited.length - 1]
  const names = cited.map((one) => (one.rule === undefined ? bareName(one.policy) : `${bareName(one.policy)} ${ruleName(one)}`))
  return `${word} ${EFFECT_WORDS[effect]} (${names.join(', ')})`
}

type Exemption = Extract<DirectedPart['reason'], { kind: 'exempt' }>['why']

export function exemptionWords(why: Exemption): string {
  switch (why) {
    case 'hairpin':
      return 'a pod to itself: not held by policies'
    case 'own-node':
      return 'a node to its own pod: not held by policies'
    case 'other-protocols':
      return 'neither TCP, UDP nor SCTP: not held by policies'
    case 'not-a-pod':
      return 'no pod: policies select none'
    case 'no-engine':
      return 'nothing here enforces policies'
  }
}

/** @param names of the two ends, as they are to be told */
export function explainLines(explanation: Explanation, names: { readonly src: string; readonly dst: string }): readonly string[] {
  return explanation.parts.map((part) => {
    const what = explanation.connection === undefined ? connectionWords(part.connections) : connectionText(explanation.connection)
    return `${names.src} -> ${names.dst} ${what} ${part.allowed ? 'allowed' : 'denied'}: egress ${chainText(part.egress)}; ingress ${chainText(part.ingress)}`
  })
}
