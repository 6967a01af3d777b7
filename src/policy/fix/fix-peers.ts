/** Peers of a NetworkPolicy without one end: what `all but` is in its words, which know no `not` but NotIn and except. */
import { isObject, type JsonObject, type JsonValue } from '../../cluster/located.js'
import { coversRange, parseRange, type AddressRange } from '../address-range.js'
import { firstMiss } from '../conditions.js'
import { METADATA_NAME } from '../exposure/exposure-peer.js'
import { addressesOf, cidrText, isOnNode, isSameWorkload, namespaceSelector, podsLike } from './fix-selector.js'
import type { End, Peer, PolicyWorld } from '../model.js'

/**
 * Everybody but this end, for a policy that lives in `home`; in a few ways, because an ipBlock may match pods as well: with the addresses outside,
 * and, where that would take in the end again, without them.
 */
export function everybodyBut(world: PolicyWorld, end: End, home: string): readonly (readonly JsonObject[])[] {
  const outside = (except: readonly string[]): JsonObject[] => [
    { ipBlock: { cidr: '0.0.0.0/0', ...(except.some(isFour) ? { except: except.filter(isFour) } : {}) } },
    { ipBlock: { cidr: '::/0', ...(except.some((text) => !isFour(text)) ? { except: except.filter((text) => !isFour(text)) } : {}) } },
  ]
  const addresses = ownAddresses(world, end).map(cidrText)
  if (end.kind !== 'pod' || isOnNode(world, end)) return addresses.length === 0 ? [] : [[{ namespaceSelector: {} }, ...outside(addresses)]]
  const inside = withoutPod(world, { namespaceSelector: {} }, { end, home })
  if (inside === undefined) return []
  const ways = [[...inside, ...outside(addresses)], [...inside, ...outside([])], inside]
  return addresses.length === 0 ? ways.slice(1) : ways
}

function isFour(cidr: string): boolean {
  return !cidr.includes(':')
}

/** Of all pods of the end's workload. */
function ownAddresses(world: PolicyWorld, end: End): readonly AddressRange[] {
  if (end.kind !== 'pod') return addressesOf(end)
  return world.pods.filter((pod) => isSameWorkload(pod, end)).flatMap(({ addresses }) => addresses)
}

/** No pod of another workload is named by the peer, today; nor is an outside end by a network. */
export function isOnly(world: PolicyWorld, peer: Peer, end: End): boolean {
  if (end.kind !== 'pod' || peer.conditions.length === 0) return false
  const reading = { world, assumed: new Set<never>() }
  const [selects] = peer.conditions.filter(({ kind }) => kind === 'networks')
  return selects === undefined && world.pods.every((pod) => isSameWorkload(pod, end) || firstMiss(peer, pod, reading) !== undefined)
}

interface Excluded {
  readonly end: End
  /** Where the policy lives. */
  readonly home: string
}

/** @returns peers that stand for it without the end; undefined where labels and networks cannot say that */
export function peerWithout(world: PolicyWorld, peer: JsonObject, excluded: Excluded): readonly JsonObject[] | undefined {
  const { ipBlock } = peer
  return isObject(ipBlock) ? networkWithout(world, ipBlock, excluded.end) : withoutPod(world, peer, excluded)
}

function networkWithout(world: PolicyWorld, ipBlock: JsonObject, end: End): readonly JsonObject[] | undefined {
  const { cidr, except = [] } = ipBlock
  const whole = typeof cidr === 'string' ? parseRange(cidr) : undefined
  const own = ownAddresses(world, end)
  if (whole === undefined || own.length === 0 || !Array.isArray(except)) return undefined
  if (own.some((range) => coversRange(range, whole))) return []
  const more = own.filter((range) => coversRange(whole, range)).map(cidrText)
  return [{ ipBlock: { cidr: cidr as string, except: [...new Set([...(except as readonly JsonValue[]), ...more])] } }]
}

/** Pods of other namespaces as before, and in the pod's own all but those of its labels. */
function withoutPod(world: PolicyWorld, peer: JsonObject, { end, home }: Excluded): readonly JsonObject[] | undefined {
  if (end.kind !== 'pod') return [peer]
  const labels = Object.entries(podsLike(world, end).labels)
  if (labels.length === 0) return undefined
  const { podSelector, namespaceSelector: namespaces } = peer
  const pods = isObject(podSelector) ? podSelector : {}
  const narrowed = labels.map(([key, value]): JsonObject => ({ podSelector: withExpression(pods, { key, operator: 'NotIn', values: [value] }) }))
  if (!isObject(namespaces)) return narrowed
  const here: JsonObject = end.namespace === home ? {} : { namespaceSelector: namespaceSelector(end.namespace) }
  if (isNamed(namespaces, end.namespace)) return narrowed.map((one) => ({ namespaceSelector: namespaces, ...one }))
  const elsewhere = withExpression(namespaces, { key: METADATA_NAME, operator: 'NotIn', values: [end.namespace] })
  return [{ namespaceSelector: elsewhere, ...(isObject(podSelector) ? { podSelector } : {}) }, ...narrowed.map((one) => ({ ...here, ...one }))]
}

function isNamed({ matchLabels }: JsonObject, namespace: string): boolean {
  return isObject(matchLabels) && matchLabels[METADATA_NAME] === namespace
}

function withExpression(selector: JsonObject, expression: JsonObject): JsonObject {
  const expressions = Array.isArray(selector.matchExpressions) ? (selector.matchExpressions as readonly JsonValue[]) : []
  return { ...selector, matchExpressions: [...expressions, expression] }
}
