/**
 * One thing in which a node's kernel differs from what its agents put there: what it is, how to bring the expected Dataplane to the same, and what
 * mends the real one. Comparers (device-differences.ts, …) make them from a view; effect.ts proves what each does.
 */
import type { Ip } from '../../base/ip.js'
import type { CollectedNode } from '../../collected/collected-node.js'
import type { Dataplane } from '../../dataplane/dataplane.js'
import type { Network } from '../../network/network.js'
import type { Alignment } from './align.js'
import type { DriftCode } from './codes.js'
import type { ShownDocument } from './finding.js'
import type { NodeFacts } from './node-facts.js'

/** What is compared: everything in the names and MACs of the expected Dataplane. */
export interface DriftView {
  readonly node: string
  /** As all agents would have it. */
  readonly network: Network
  readonly expected: Dataplane
  /** What the dump has. */
  readonly there: Dataplane
  /** To the dump's names and back. */
  readonly alignment: Alignment
  readonly facts: NodeFacts
  readonly collected?: CollectedNode
}

export type Change = (dataplane: Dataplane) => Dataplane

/** Which questions tell something about it. */
export interface Focus {
  /** Nodes at the other end. */
  readonly nodes?: readonly string[]
  /** `namespace/name` */
  readonly pods?: readonly string[]
  /** `namespace/name` of Services. */
  readonly services?: readonly string[]
  /** That a rule matches: asked between pods of this node and others. */
  readonly ports?: readonly { readonly proto: 'tcp' | 'udp'; readonly port: number }[]
  /** Where a rule or a route leads. */
  readonly addresses?: readonly Ip[]
  /** Asked of the pods as they listen; every other question is of the network alone. */
  readonly listening?: readonly { readonly proto: 'tcp' | 'udp'; readonly port: number }[]
  /** Lengths of IP packets that are asked of, whole and not to be fragmented. */
  readonly sizes?: readonly number[]
}

export interface Difference {
  readonly code: DriftCode
  /** Differences with one cause are one finding. */
  readonly cause: string
  /** A whole sentence without its full stop. */
  readonly what: string
  readonly expected: readonly ShownDocument[]
  readonly there: readonly ShownDocument[]
  /** Whose kernel it is of; absent: the node's. */
  readonly netns?: string
  /** Does to the expected Dataplane what was done to the node's; absent: the packets of the walk cannot tell (a file, a fact). */
  readonly apply?: Change
  readonly focus: Focus
  readonly commands: readonly string[]
  /** By agent; '' where nobody looks after it. */
  readonly repair: string
  /** A thing of the host's own, which is told only where it does something to traffic. */
  readonly bystander?: boolean
  /** Where it is one of several with its cause: the code, the sentence and who mends it are those of the whole. */
  readonly whole?: Pick<Difference, 'code' | 'what' | 'repair'> & { readonly commands?: readonly string[]; readonly least: number }
}
