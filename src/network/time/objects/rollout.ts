/** The arithmetic of rollouts. After pkg/controller/deployment/util/deployment_util.go (ResolveFenceposts, NewRSNewReplicas, GetReplicaSetProportion). */
import type { JsonValue } from '../../../cluster/located.js'

/** `25%` or a number, of the total; what cannot be read counts as the default. */
export function scaledValue(
  written: JsonValue | undefined,
  total: number,
  { roundUp, otherwise }: { readonly roundUp: boolean; readonly otherwise: string },
): number {
  if (typeof written === 'number') return Math.max(0, Math.floor(written))
  const match = /^([0-9]{1,6})%$/.exec(typeof written === 'string' ? written : otherwise) ?? /^([0-9]{1,6})%$/.exec(otherwise)
  const share = (Number(match?.[1] ?? 0) * total) / 100
  return roundUp ? Math.ceil(share) : Math.floor(share)
}

export interface Fenceposts {
  readonly surge: number
  readonly unavailable: number
}

const QUARTER = '25%'

/** Both zero would never move: then one may be unavailable. */
export function fenceposts(maxSurge: JsonValue | undefined, maxUnavailable: JsonValue | undefined, replicas: number): Fenceposts {
  const surge = scaledValue(maxSurge, replicas, { roundUp: true, otherwise: QUARTER })
  const unavailable = Math.min(replicas, scaledValue(maxUnavailable, replicas, { roundUp: false, otherwise: QUARTER }))
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable }
}

export interface Sized {
  readonly replicas: number
  /** Ready for long enough. */
  readonly available: number
}

/** How large the new ReplicaSet may be now. */
export function newReplicas(wanted: number, { surge }: Fenceposts, fresh: Sized, all: readonly Sized[]): number {
  const total = all.reduce((sum, { replicas }) => sum + replicas, 0)
  const room = wanted + surge - total
  return room <= 0 ? fresh.replicas : fresh.replicas + Math.min(room, wanted - fresh.replicas)
}

/**
 * What the old ReplicaSets are scaled to, oldest first: first pods that are not available go, then as many as may be missing (reconcileOldReplicaSets).
 * @returns undefined where nothing is to be done
 */
export function oldReplicas(wanted: number, { unavailable }: Fenceposts, fresh: Sized, old: readonly Sized[]): readonly number[] | undefined {
  const all = [...old, fresh]
  const least = wanted - unavailable
  const total = all.reduce((sum, { replicas }) => sum + replicas, 0)
  const most = total - least - (fresh.replicas - fresh.available)
  if (most <= 0 || old.every(({ replicas }) => replicas === 0)) return undefined
  const sizes = old.map(({ replicas }) => replicas)
  let cleaned = 0
  old.forEach(({ replicas, available }, at) => {
    const count = Math.max(0, Math.min(most - cleaned, replicas - available))
    sizes[at] -= count
    cleaned += count
  })
  let left = all.reduce((sum, { available }) => sum + available, 0) - least
  sizes.forEach((size, at) => {
    if (left <= 0) return
    const count = Math.min(size, left)
    sizes[at] -= count
    left -= count
  })
  return sizes.some((size, at) => size !== old[at].replicas) ? sizes : undefined
}

/**
 * A Deployment scaled while a rollout is under way: each ReplicaSet in proportion, what rounding leaves to the first (sync.go scale).
 * @param sets the largest first; `most` is what the Deployment might have had with each
 */
export function proportionalReplicas(wanted: number, surge: number, sets: readonly { readonly replicas: number; readonly most: number }[]): readonly number[] {
  const total = sets.reduce((sum, { replicas }) => sum + replicas, 0)
  const toAdd = (wanted > 0 ? wanted + surge : 0) - total
  let added = 0
  const sizes = sets.map(({ replicas, most }) => {
    if (toAdd === 0 || replicas === 0) return replicas
    const share = roundHalfAway((replicas * (wanted + surge)) / Math.max(1, most)) - replicas
    const change = toAdd > 0 ? Math.min(share, toAdd - added) : Math.max(share, toAdd - added)
    added += change
    return replicas + change
  })
  if (sizes.length > 0) sizes[0] = Math.max(0, sizes[0] + toAdd - added)
  return sizes
}

function roundHalfAway(value: number): number {
  return value < 0 ? -Math.round(-value) : Math.round(value)
}
