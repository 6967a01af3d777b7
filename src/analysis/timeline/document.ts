/**
 * The versioned JSON of a run (`netsim run -o json`): what its text and its picture are drawn from, and what tools rely on.
 * Times are nanoseconds of the scenario's clock; below 0 while the agents start.
 */
import type { DiaryEntry, DiaryKind } from '../../network/time/diary.js'
import type { ProbeCause, ProbeChange, ProbeClass, ProbeResult } from '../../network/time/probe-history.js'
import type { MetadataDocument } from '../trace-document.js'

export interface ScenarioReport {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'ScenarioReport'
  readonly metadata: ReportMetadata
  readonly scenario: ScenarioDocument
  /** In the order of the scenario. */
  readonly probes: readonly ProbeDocument[]
  /** In the order of their times. */
  readonly events: readonly EventDocument[]
  readonly totals: TotalsDocument
  /** The delays that the run rests on. */
  readonly delays: readonly DelayDocument[]
  /** What this run took for granted beside them, and what it left out; a sentence each. */
  readonly assumptions: readonly string[]
  readonly notModelled: readonly string[]
  /** What is wrong with versions of the objects that events made. */
  readonly problems: readonly ProblemDocument[]
}

/** Of the network at time 0. */
export interface ReportMetadata extends Omit<MetadataDocument, 'warm'> {
  readonly nodes: number
}

export interface ScenarioDocument {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly start: 'converged' | 'boot'
  /** Of the first thing that an agent did; what precedes 0 is the start. */
  readonly fromNs: number
  readonly untilNs: number
}

export interface ProbeDocument {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly proto: string
  readonly connection: boolean
  readonly everyNs: number
  readonly startNs: number
  readonly stopNs: number
  readonly file: string
  readonly line: number
  /** One after the other without a gap; neighbours differ. Empty where no packet was due. */
  readonly spans: readonly SpanDocument[]
  /** Nanoseconds in each class; classes without any are left out. */
  readonly totalNs: Readonly<Partial<Record<ProbeClass, number>>>
  readonly packets: number
  readonly lost: number
  /** How many packets were walked through the network; the others could not differ from those. */
  readonly walked: number
}

export interface SpanDocument extends ProbeResult {
  /** Of its first packet. */
  readonly fromNs: number
  /** Of the first packet of the next span; of the last span when the probe, or the run, ended. */
  readonly toNs: number
  readonly packets: number
  readonly lost: number
  /** Why it differs from the span before; absent on the first. */
  readonly cause?: CauseDocument
}

export interface CauseDocument {
  /** network: another state came into force; memory: a kernel remembers something else than it did; connection: the client opened another. */
  readonly kind: ProbeCause['kind']
  readonly atNs: number
  /** From what began it all to what changed the packets' fate; an event of the scenario first, where one did. */
  readonly chain: readonly EntryDocument[]
  /** Of kernels on the way, when the last of the chain happened. */
  readonly changes: readonly ChangeDocument[]
  /** Of memory and connection: a sentence each. */
  readonly what: readonly string[]
}

/** One line of a kernel's state that came (`+`) or went (`-`), in the syntax of the tool that owns it. */
export type ChangeDocument = ProbeChange

/** As the diary has it. */
export type EntryDocument = DiaryEntry

export interface EventDocument {
  readonly atNs: number
  readonly what: string
  readonly file: string
  readonly line: number
  /** false: the run ended before it. */
  readonly happened: boolean
  /** Entries of the diary that it brought about, itself aside. */
  readonly entries: number
  /** Absent where nothing changed. */
  readonly firstChangeNs?: number
  readonly lastChangeNs?: number
  /** From the event to the last change that it brought about. */
  readonly convergenceNs?: number
  /** From the event to the last change of a probe's answer that goes back to it; absent: no probe noticed. */
  readonly answersNs?: number
  readonly messages: MessagesDocument
}

export interface MessagesDocument {
  readonly count: number
  readonly bytes: number
}

export interface TotalsDocument {
  readonly entries: number
  /** How often kernels, cables or objects changed. */
  readonly states: number
  readonly objectVersions: number
  /** Of each kind of entry, the start included. */
  readonly byKind: Readonly<Partial<Record<DiaryKind, number>>>
  readonly messages: MessagesDocument
}

export interface DelayDocument {
  readonly name: string
  readonly ns: number
  readonly what: string
  readonly source: string
  /** By spec.delays. */
  readonly set: boolean
  /** No measurement or source of a project stands behind it. */
  readonly assumed: boolean
  /** Its agent stands among what turned a probe's answer. */
  readonly decides: boolean
}

export interface ProblemDocument {
  readonly severity: 'error' | 'warning'
  readonly file: string
  readonly line: number
  readonly what: string
  readonly fix: string
}
