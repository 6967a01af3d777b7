/** What probes saw over a run: for each the spans of time in which its packets fared alike, and what began each span. Made by probe-runner.ts. */
import type { ScenarioProbe } from '../../cluster/scenario/scenario.js'
import type { Disposition } from '../../net/disposition.js'
import type { DiaryEntry } from './diary.js'

/**
 * works: it arrived, and was answered where an answer is due. partly: some packets do, chance decides which (one endpoint of several, a lossy cable).
 * black-holed: nothing came back, and nobody told the sender. refused: the sender is told (Told says how). looped: it went round until its TTL ended.
 * unknown: netsim cannot say (INCOMPLETE, AMBIGUOUS, what is not modelled). no end: the source or the destination is not there.
 */
export const PROBE_CLASSES = ['works', 'partly', 'black-holed', 'refused', 'looped', 'unknown', 'no end'] as const
export type ProbeClass = (typeof PROBE_CLASSES)[number]

/** How the sender of a refused packet learns of it. */
export interface Told {
  /** `TCP RST`, `ICMP host unreachable`, `error of the socket`. */
  readonly by: string
  /** Address that says so; empty: the socket's own kernel. */
  readonly from: string
  /** After the packet was sent, ns; a next hop that does not answer ARP is told of after three seconds. */
  readonly afterNs: number
}

/** Where a packet ended. */
export interface ProbePlace {
  readonly netns: string
  /** Of the netns; absent: a router, a host beyond. */
  readonly node?: string
  /** As iptables-save has it, with table and chain before it. */
  readonly rule?: string
  /** The kernel's or netsim's sentence of the loss. */
  readonly detail?: string
}

/** What became of one packet. */
export interface ProbeResult {
  readonly class: ProbeClass
  /** Absent: no packet could be sent. */
  readonly disposition?: Disposition
  /** The kernel's own word (skb_drop_reason), empty where it has none; without a packet, what is wrong with the ends. */
  readonly reason: string
  readonly where?: ProbePlace
  readonly told?: Told
  /** Nodes and routers on the way there, then those that only the answer came through. */
  readonly via: readonly string[]
}

/** What changed the answer. */
export type ProbeCause =
  /** The network: another state of the run came into force. */
  | {
      readonly kind: 'network'
      /** When it did, ns. */
      readonly atNs: number
      /** Place in ControlRun.states. */
      readonly state: number
      /** What changed on the nodes of the way, in the words of ip, bridge, iptables and ipset. */
      readonly changes: readonly ProbeChange[]
      /** From what began it all (an event, a timer) to what the packet met, the last; empty where the diary says nothing. */
      readonly chain: readonly DiaryEntry[]
    }
  /** No state changed: a kernel remembers something else than it did. */
  | {
      readonly kind: 'memory'
      /** Of the first packet that saw it, ns. */
      readonly atNs: number
      /** `neighbour 10.0.0.3 on n1 eth0: REACHABLE → FAILED`. */
      readonly what: readonly string[]
    }
  /** The client: its connection was reset, or given up, and the next packet opens another. */
  | { readonly kind: 'connection'; readonly atNs: number; readonly what: string }

/** One line of a difference. */
export interface ProbeChange {
  readonly netns: string
  /** `- 10.1.53.0/24 via 10.1.53.0 dev flannel.1 onlink` */
  readonly text: string
}

export interface ProbeSpan extends ProbeResult {
  /** Of the first packet, ns. */
  readonly fromNs: number
  /** Of the last. */
  readonly toNs: number
  readonly packets: number
  /** Of them, that were not answered, or did not arrive where none is due. */
  readonly lost: number
  /** Absent: the probe's first. */
  readonly cause?: ProbeCause
}

export interface ProbeHistory {
  readonly probe: ScenarioProbe
  /** In the order of time; what is alike and adjoins is one. */
  readonly spans: readonly ProbeSpan[]
  readonly packets: number
  readonly lost: number
  /** How many were walked through the network; the others could not differ from those. */
  readonly walked: number
}

/** What an event of the scenario brought about, and how long it took. */
export interface EventConvergence {
  /** Place in Scenario.events. */
  readonly event: number
  readonly atNs: number
  /** Its entry in the diary; absent: it never came. */
  readonly entry?: number
  /** Last time that a probe's answer changed because of it, ns: of the first packet of the span. */
  readonly lastAnswerNs?: number
}
