/** Prefixes of the NFLOG rules of flow logs. After felix/rules/nflogprefix.go. */
import type { PolicyDirection } from '../../cluster/calico/policy.js'
import { lengthLimitedId } from './hash.js'
import type { FelixAction } from './model.js'

/** What the kernel keeps of a prefix, without the closing zero. */
const MAX_PREFIX = 63
const KEPT = 10

export const NFLOG_GROUP: Readonly<Record<PolicyDirection, number>> = { ingress: 1, egress: 2 }

const LETTER: Readonly<Record<Exclude<FelixAction, 'log'>, string>> = { allow: 'A', deny: 'D', pass: 'P' }

function shortened(prefix: string): string {
  if (prefix.length < MAX_PREFIX) return prefix
  return `${prefix.slice(0, KEPT)}${lengthLimitedId('', prefix, MAX_PREFIX - KEPT - KEPT - 1)}_${prefix.slice(-KEPT)}`
}

function direction(way: PolicyDirection): string {
  return way === 'ingress' ? 'I' : 'E'
}

/** A rule's verdict; `id` is `knp/default/web` or a profile's name. */
export function ruleNflogPrefix(
  action: Exclude<FelixAction, 'log'>,
  rule: { readonly owner: 'policy' | 'profile'; readonly direction: PolicyDirection; readonly index: number; readonly id: string },
): string {
  return shortened(`${LETTER[action]}${rule.owner === 'policy' ? 'P' : 'R'}${direction(rule.direction)}${rule.index}|${rule.id}`)
}

/** The end of a tier: denied, or passed on. */
export function tierNflogPrefix(action: 'deny' | 'pass', way: PolicyDirection, tier: string): string {
  return shortened(`${LETTER[action]}P${direction(way)}|${tier}`)
}

export function noProfileNflogPrefix(way: PolicyDirection): string {
  return `DR${direction(way)}`
}
