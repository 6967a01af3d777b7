/** What the agents of a run are to control-plane.ts: families (flanneld, BIRD, …) on one clock, told of what happens to objects, nodes and themselves. */
import type { Delays } from '../../cluster/scenario/delays.js'
import type { RouteSpec } from '../../dataplane/dataplane.js'
import type { Action } from '../../cluster/scenario/scenario.js'
import type { Simulation } from '../../sim/simulation.js'
import type { Timers } from '../../sim/timers.js'
import type { Diary } from './diary.js'
import type { ClusterVersion, NetworkState, NodeState } from './network-state.js'

/** What they share. */
export interface RunContext {
  readonly simulation: Simulation
  readonly timers: Timers
  readonly delays: Delays
  readonly seed: number
  readonly diary: Diary
  /** The newest version of the objects. */
  version(): ClusterVersion
  node(name: string): NodeState
  /** A kernel's state is another from now on. @param cause entry of the diary */
  setNode(name: string, change: Partial<NodeState>, cause?: number): void
  /** What BIRD has in the kernel of a router, by its netns. */
  setRouterRoutes(netns: string, routes: readonly RouteSpec[], cause?: number): void
  /** Of now, for what asks whether packets get through. */
  state(): NetworkState
}

/** All agents of one kind. */
export interface AgentFamily {
  /** Everything boots, at the clock's now. */
  boot(): void
  /** The API has other objects; the family adds the delay of its own watch. @param cause entry of the diary */
  versionChanged(version: ClusterVersion, cause?: number): void
  /** false: no event of this family. @param cause entry of the diary */
  act(action: Action, cause: number): boolean
  /** Power or cable of a node is another (context.node says how). */
  nodeChanged(name: string, cause: number): void
  /**
   * Clock's time, ns, at which the family rests if nothing happens to it before: its last change and the longest wait that it is in (habits aside:
   * renewals, keepalives).
   */
  readonly restsAtNs: number
  /** start: converged: what the clock says now is time 0 of the scenario. What was given with a time to live counts from here. */
  startHere?(): void
}
