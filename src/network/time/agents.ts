/** What the agents of a run are to control-plane.ts: families (flanneld, BIRD, …) on one clock, told of what happens to objects, nodes and themselves. */
import type { Delays } from '../../cluster/scenario/delays.js'
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
  /** Virtual time of the last thing that is not a repeated habit (a renewal, a keepalive), ns: with none newer for long, the family rests. */
  readonly lastChangeNs: number
  /** Nothing more may be expected to happen before this time, ns; Infinity: waits for nothing. For finding the end of the start. */
  readonly restsAtNs: number
}
