/**
 * The versioned JSON of `netsim drift` (docs/drift.schema.json): what the agents of a node should have programmed against what a dump of the node holds.
 * Text, SARIF and JUnit are made from this document.
 */
import type { Finding, FindingReport } from '../../base/finding.js'
import type { DriftCode } from './codes.js'

export interface DriftReport extends FindingReport {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'Drift'
  readonly metadata: DriftMetadata
  readonly findings: readonly DriftFinding[]
}

export interface DriftMetadata {
  readonly tool: string
  readonly seed: number
  readonly inputs: readonly string[]
  /** Settings of the agents that no input says and a dump shows, with its line: the agents are taken to have been told them. */
  readonly told: readonly string[]
  readonly cni: string
  readonly backend: string
  readonly nodes: readonly DriftNodeDocument[]
}

/** A node that was compared. */
export interface DriftNodeDocument {
  readonly name: string
  /** Where its dump is. */
  readonly source: string
  /** Things of the agents that were held against the dump: devices, routes, rules, members of sets, … */
  readonly compared: number
  /** What differs and may: names of veths, MACs that kernels draw, counters, what the host's owner or docker has for itself. */
  readonly aligned: readonly string[]
}

export interface DriftFinding extends Finding {
  readonly code: DriftCode
  readonly node: string
  /** In the words of ip, bridge, sysctl, ipset and iptables, with the node's own names of devices. */
  readonly expected: readonly ShownDocument[]
  readonly there: readonly ShownDocument[]
  readonly traffic: TrafficDocument
  /** For a root shell on the node, in order. */
  readonly commands: readonly string[]
  /** Who would mend it without a command, when; or that nobody does. */
  readonly repair: string
}

/** A line of the kernel's state. */
export interface ShownDocument {
  readonly text: string
  /** Who wrote it, or should have. */
  readonly by?: string
  readonly object?: string
  readonly file?: string
  readonly line?: number
}

/** What the network does with it, and what it would do without: each question asked of both. */
export interface TrafficDocument {
  /** lost: something that arrived does not; opened: something that did not arrive does. */
  readonly verdict: 'lost' | 'opened' | 'changed' | 'none' | 'not asked'
  /** By itself it changes nothing; with everything else that differs on the node it does: the questions were asked of that, with and without it. */
  readonly together: boolean
  readonly asked: number
  /** Of these those that ended otherwise. */
  readonly changes: readonly FlowChangeDocument[]
}

export interface FlowChangeDocument {
  /** `shop/web-0 → shop/api-0:8080 (tcp)` */
  readonly flow: string
  /** `pod to pod on another node` */
  readonly relation: string
  readonly change: 'lost' | 'opened' | 'source' | 'path' | 'outcome'
  readonly before: string
  readonly after: string
  /** Shows the packet step by step; the command line adds its own -f and --node. */
  readonly command: string
}
