/**
 * Two states of a cluster's policies → all that there is to tell of the change from the one to the other: its rows, the policies that came, went
 * or say something else, and what it would do to pods that are not there yet. `netsim policy diff` and `whatif` print it.
 */
import type { PolicyEngine } from '../../cluster/policy-engine.js'
import type { PolicyState } from '../../cluster/policy-state.js'
import { futureOf, type FutureNote } from './change-future.js'
import { changedPolicies, type PolicyChange } from './change-policies.js'
import { ConnectionSet } from '../connections.js'
import { diffWorlds, type DiffOptions, type PolicyDiff } from './diff.js'
import { ingressTargets, type IngressTarget } from '../ingress-targets.js'
import type { Assumption, PolicyPod, PolicyWorld, Switches } from '../model.js'
import { workloadName } from '../peer-name.js'

export interface ChangeSide {
  readonly state: PolicyState
  readonly world: PolicyWorld
}

export interface Change extends PolicyDiff {
  readonly policies: readonly PolicyChange[]
  readonly future: readonly FutureNote[]
  /** Workloads that are there on both sides, whose last pod goes, or whose first one comes. */
  readonly stopped: readonly string[]
  readonly started: readonly string[]
  /** What some row rests on. */
  readonly assumed: readonly Assumption[]
  readonly switches: Switches
  readonly engine: PolicyEngine
  /** Nobody enforces policies, before nor after. */
  readonly noEngine?: string
}

export interface ChangeOptions {
  /** Rows of what did not change, too. */
  readonly unchanged?: boolean
  /** What becomes of pods that are not there yet: not where nobody is told. Default: true. */
  readonly future?: boolean
}

export function changeBetween(before: ChangeSide, after: ChangeSide, { unchanged = false, future = true }: ChangeOptions = {}): Change {
  const { switches } = after.world
  const isNpGuard = switches.as === 'np-guard'
  const [old, now] = isNpGuard ? [onePerWorkload(before.world), onePerWorkload(after.world)] : [before.world, after.world]
  const ingress = [targetsOf(before), targetsOf(after)] as const
  const options: DiffOptions = { unchanged, ingress, ...(isNpGuard ? { itself: false, acrossReasons: true, within: ConnectionSet.transport } : {}) }
  const diff = diffWorlds(old, now, options)
  const policies = changedPolicies(before.world, after.world)
  const [wasIdle, isIdle] = [idleIn(before.world), idleIn(after.world)]
  const noEngine = before.world.noEngine === undefined ? undefined : after.world.noEngine
  return {
    ...diff,
    policies,
    stopped: [...isIdle].filter((name) => !wasIdle.has(name) && !diff.added.includes(name)),
    started: [...wasIdle].filter((name) => !isIdle.has(name) && !diff.removed.includes(name)),
    future: !future ? [] : futureOf(before.world, after.world, { policies, rows: diff.rows.filter((row) => !row.before.equals(row.after)) }),
    assumed: [...new Set(diff.rows.flatMap(({ assumed }) => assumed))].sort(),
    switches,
    engine: after.state.engine,
    ...(noEngine === undefined ? {} : { noEngine }),
  }
}

/** netpol-analyzer's counting: a workload is one of its pods, and nodes are nobody. */
function onePerWorkload(world: PolicyWorld): PolicyWorld {
  const pods = new Map<string, PolicyPod>()
  for (const pod of world.pods) if (!pods.has(workloadName(pod))) pods.set(workloadName(pod), pod)
  return { ...world, pods: [...pods.values()], nodes: [] }
}

/** Workloads of which no pod runs. */
function idleIn({ pods }: PolicyWorld): ReadonlySet<string> {
  const living = new Set(pods.filter(({ imagined }) => !imagined).map(workloadName))
  return new Set(
    pods
      .filter(({ imagined }) => imagined)
      .map(workloadName)
      .filter((name) => !living.has(name)),
  )
}

function targetsOf({ state, world }: ChangeSide): readonly IngressTarget[] {
  return ingressTargets(state, world.pods, { declaredOnly: world.switches.as === 'np-guard' })
}
