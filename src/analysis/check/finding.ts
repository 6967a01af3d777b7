/**
 * The versioned JSON of `netsim check` (docs/findings.schema.json): what a cluster does that the Kubernetes network model forbids, and the common
 * faults that are in it. Text, SARIF and JUnit are made from this document.
 */

/** The worst first. */
export const SEVERITIES = ['error', 'warning', 'info'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Finding {
  /** `NM001`; stable, see catalogue.ts. */
  readonly code: string
  readonly severity: Severity
  /** Of the code. */
  readonly title: string
  /** What is so in this cluster. */
  readonly what: string
  /** What somebody will notice of it. */
  readonly effect: string
  /** The first one is the place to look at. */
  readonly evidence: readonly Evidence[]
  readonly fix: string
}

/** A place, a rule or a packet's way that shows it. */
export interface Evidence {
  readonly what: string
  readonly file?: string
  /** 1-based. */
  readonly line?: number
  /** `Node/n1`, `Pod/default/web-0`. */
  readonly object?: string
  /** Who wrote the rule: docker, flanneld, felix, owner of the host, … */
  readonly by?: string
  /** `n1 nat/POSTROUTING #1  -s 10.1.15.0/24 ! -o docker0 -j MASQUERADE`. */
  readonly rule?: string
  /** Of the packet that was asked, as far as they tell something. */
  readonly hops?: readonly string[]
  /** The command that shows it. */
  readonly command?: string
}

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

export interface CheckReport {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'Findings'
  readonly metadata: CheckMetadata
  readonly asked: readonly AskedDocument[]
  readonly summary: CheckSummary
  /** Those at or above the severity that was asked for. */
  readonly findings: readonly Finding[]
  /** What could not be judged, and why. */
  readonly notJudged: readonly string[]
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

export interface CheckSummary {
  /** From this severity on findings are told, and make the command end with 1. */
  readonly severity: Severity
  readonly error: number
  readonly warning: number
  readonly info: number
  /** Found, but less severe than asked for. */
  readonly below: number
}

export function isAtLeast(severity: Severity, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(least)
}
