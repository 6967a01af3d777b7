/** What a change does to requests that come through an Ingress or Route: whoever answers for it asks a pod, as an arbitrary pod of the cluster would. */
import type { ConnectionSet } from '../connections.js'
import type { Unit } from './diff-ends.js'
import { diffRow, type DiffRow } from './diff-row.js'
import { evaluatePair, type PairMeaning } from '../evaluate.js'
import type { IngressTarget } from '../ingress-targets.js'
import { CONTROLLER_POD, withController } from '../list/list.js'
import type { PolicyWorld } from '../model.js'
import { INGRESS_CONTROLLER, workloadName } from '../peer-name.js'

type Both<Item> = readonly [before: Item, after: Item]

interface Led {
  readonly meaning: PairMeaning
  readonly connections: ConnectionSet
  readonly by: readonly string[]
}

const SIDE = { key: '', end: CONTROLLER_POD }
const CONTROLLER: Unit = { kind: 'ingress-controller', name: `{${INGRESS_CONTROLLER}}`, part: 0, members: [], count: [1, 1], before: SIDE, after: SIDE }

/** Rows of equal sides too. */
export function ingressDiff(worlds: Both<PolicyWorld>, targets: Both<readonly IngressTarget[]>, units: readonly Unit[]): readonly DiffRow[] {
  const led = [ledOf(worlds[0], targets[0]), ledOf(worlds[1], targets[1])] as const
  const first = new Map([...units].reverse().map((unit) => [unit.name, unit]))
  return [...new Set([...led[0].keys(), ...led[1].keys()])].flatMap((name) => {
    const destination = first.get(name)
    if (destination === undefined) return []
    const [old, now] = [led[0].get(name), led[1].get(name)]
    const row = diffRow({ source: CONTROLLER, destination, old: narrowed(old), now: narrowed(now) })
    if (row.before.isEmpty && row.after.isEmpty) return []
    return [{ ...row, comesOrGoes: destination.before === undefined || destination.after === undefined, led: [old?.by ?? [], now?.by ?? []] as const }]
  })
}

function narrowed(led: Led | undefined): PairMeaning | undefined {
  return led && { ...led.meaning, allowed: led.meaning.allowed.intersect(led.connections) }
}

/** By name of the workload. */
function ledOf(world: PolicyWorld, targets: readonly IngressTarget[]): ReadonlyMap<string, Led> {
  const around = withController(world)
  const found = new Map<string, Led>()
  for (const { pod, connections, by } of targets) {
    const name = workloadName(pod)
    const known = found.get(name)
    if (known === undefined) found.set(name, { meaning: evaluatePair(around, CONTROLLER_POD, pod), connections, by })
    else found.set(name, { ...known, connections: known.connections.union(connections), by: [...new Set([...known.by, ...by])] })
  }
  return found
}
