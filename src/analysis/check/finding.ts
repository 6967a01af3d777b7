/**
 * The versioned JSON of `netsim check` (docs/findings.schema.json): what a cluster does that the Kubernetes network model forbids, and the common
 * faults that are in it. Text, SARIF and JUnit are made from this document.
 */
import type { FindingReport } from '../../base/finding.js'

/** Questions of one kind: of so many ordered pairs of classes, and of how many pairs they stand for. */
export interface AskedDocument {
  readonly what: AskedKind
  readonly asked: number
  readonly of: number
  /** Pairs of pods, or of a node and a pod, that the pairs of classes stand for. */
  readonly pairs: number
  /** Of these the asked ones stand for so many. */
  readonly covered: number
}

export const ASKED_KINDS = ['pod to pod', 'node to pod', 'pod to node', 'full-size packets', 'ports of rules', 'probes', 'Services'] as const
export type AskedKind = (typeof ASKED_KINDS)[number]

export interface CheckReport extends FindingReport {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'Findings'
  readonly metadata: CheckMetadata
  readonly asked: readonly AskedDocument[]
}

export interface CheckMetadata {
  readonly tool: string
  readonly seed: number
  readonly inputs: readonly string[]
  readonly cni: string
  readonly backend: string
  readonly runtime: string
  readonly nodes: number
  readonly pods: number
}
