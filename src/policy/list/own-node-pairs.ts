/**
 * A pod on its host's network and a pod beside it on that node: the one pair of classes whose members do not all have the same, since traffic between a
 * node and its own pods is let through whatever policies say (the switch `ownNode`).
 */
import type { PolicyPod } from '../model.js'
import type { ClassSet } from '../reach/class-set.js'
import type { Reachability } from '../reach/reachability.js'
import { PairSums, type ClassPairs } from './pair-sums.js'

export interface OwnNodePairs {
  /** How many of the pairs between the two sets of classes have something else than their classes. */
  readonly within: (sources: ClassSet, destinations: ClassSet) => number
  /** All of those, by what they have. */
  readonly rest: readonly ClassPairs[]
}

export function ownNodePairs(reach: Reachability, pods: readonly PolicyPod[]): OwnNodePairs {
  const hosts = pods.filter((pod) => reach.maps.index.seen(pod).kind === 'node')
  const byDestination = new Map<number, Map<number, number>>()
  const sums = new PairSums()
  const differs = new Map<string, boolean>()
  const note = (source: PolicyPod, destination: PolicyPod): void => {
    const [from, to] = [reach.classOf(source) as number, reach.classOf(destination) as number]
    const connections = reach.between(source, destination)
    const key = `${from} ${to} ${connections.key}`
    let isOther = differs.get(key)
    if (isOther === undefined) differs.set(key, (isOther = !reach.connections(from, to).equals(connections)))
    if (!isOther) return
    const bySource = byDestination.get(to) ?? new Map<number, number>()
    byDestination.set(to, bySource.set(from, (bySource.get(from) ?? 0) + 1))
    sums.add({ connections, pairs: 1 })
  }
  if (hosts.length > 0) {
    const guests = new Map<string, PolicyPod[]>()
    for (const pod of pods) {
      if (pod.node === undefined || pod.node === '' || reach.maps.index.seen(pod).kind !== 'pod') continue
      const there = guests.get(pod.node)
      if (there === undefined) guests.set(pod.node, [pod])
      else there.push(pod)
    }
    for (const host of hosts) {
      for (const guest of guests.get(host.node ?? '') ?? []) {
        note(host, guest)
        note(guest, host)
      }
    }
  }
  const within = (sources: ClassSet, destinations: ClassSet): number => {
    let count = 0
    if (byDestination.size > 0) destinations.forEach((to) => byDestination.get(to)?.forEach((pairs, from) => void (count += sources.has(from) ? pairs : 0)))
    return count
  }
  return { within, rest: sums.list() }
}
