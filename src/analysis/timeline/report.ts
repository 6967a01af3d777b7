/** A run, its diary and what its probes saw → the ScenarioReport. Pure; it adds words and sums, and finds out nothing of its own. */
import { DELAYS, type DelayName } from '../../cluster/scenario/delays.js'
import type { Scenario } from '../../cluster/scenario/scenario.js'
import type { DiaryAgent, DiaryEntry } from '../../network/time/diary.js'
import type { Run } from '../../network/time/control-plane.js'
import type { EventConvergence, ProbeCause, ProbeClass, ProbeHistory } from '../../network/time/probe-history.js'
import type { CauseDocument, DelayDocument, ProbeDocument, ReportMetadata, ScenarioReport, SpanDocument } from './document.js'
import type { Foundations } from './foundations.js'
import { eventDocuments, totalsOf, type Spoken } from './event-effects.js'

export interface ReportInput {
  readonly scenario: Scenario
  readonly run: Pick<Run, 'states' | 'versions' | 'untilNs' | 'problems' | 'startNs' | 'eventEntries'>
  readonly diary: Spoken
  readonly histories: readonly ProbeHistory[]
  readonly convergence: readonly EventConvergence[]
  readonly metadata: ReportMetadata
  readonly foundations: Foundations
}

export function scenarioReport({ scenario, run, diary, histories, convergence, metadata, foundations }: ReportInput): ScenarioReport {
  const probes = histories.map((history) => probeDocument(history, run.untilNs))
  const { name, file, line, start } = scenario
  return {
    apiVersion: 'netsim/v1',
    kind: 'ScenarioReport',
    metadata,
    scenario: { name, file, line, start, fromNs: run.startNs === 0 ? 0 : -run.startNs, untilNs: run.untilNs },
    probes,
    events: eventDocuments(scenario.events, diary, { eventEntries: run.eventEntries, convergence }),
    totals: totalsOf(diary, run),
    delays: delayDocuments(scenario, diary.entries, turnedOn(histories)),
    ...foundations,
    problems: run.problems.map(({ severity, file: where, line: at, what, fix }) => ({ severity, file: where, line: at, what, fix })),
  }
}

function probeDocument({ probe, spans, packets, lost, walked }: ProbeHistory, untilNs: number): ProbeDocument {
  const { name, from, to, proto, connection, everyNs, startNs, file, line } = probe
  const stopNs = Math.min(untilNs, probe.stopNs ?? untilNs)
  const documents = spans.map((span, index): SpanDocument => {
    const { cause, disposition, where, told } = span
    return {
      fromNs: span.fromNs,
      toNs: spans.at(index + 1)?.fromNs ?? Math.max(stopNs, span.toNs),
      class: span.class,
      ...(disposition === undefined ? {} : { disposition }),
      reason: span.reason,
      ...(where === undefined ? {} : { where }),
      ...(told === undefined ? {} : { told }),
      via: span.via,
      packets: span.packets,
      lost: span.lost,
      ...(cause === undefined ? {} : { cause: causeDocument(cause) }),
    }
  })
  const base = { name, from, to, proto: proto ?? (/:\d+$/.test(to) ? 'tcp' : 'icmp'), connection, everyNs, startNs, stopNs, file, line }
  return { ...base, spans: documents, totalNs: totalsByClass(documents), packets, lost, walked }
}

function totalsByClass(spans: readonly SpanDocument[]): Partial<Record<ProbeClass, number>> {
  const totals: Partial<Record<ProbeClass, number>> = {}
  for (const { class: name, fromNs, toNs } of spans) totals[name] = (totals[name] ?? 0) + toNs - fromNs
  return totals
}

function causeDocument(cause: ProbeCause): CauseDocument {
  const { kind, atNs } = cause
  if (kind === 'network') return { kind, atNs, chain: cause.chain, changes: cause.changes, what: [] }
  return { kind, atNs, chain: [], changes: [], what: kind === 'memory' ? cause.what : [cause.what] }
}

/** Whose delays they are, by the word before the dot; the others are everybody's. */
const DELAY_AGENTS: Readonly<Record<string, readonly DiaryAgent[]>> = {
  etcd: ['etcd', 'flanneld'],
  apiserver: ['apiserver'],
  controller: ['controller'],
  scheduler: ['scheduler'],
  kubelet: ['kubelet'],
  nodeController: ['node controller'],
  taints: ['node controller'],
  kubeProxy: ['kube-proxy'],
  felix: ['felix'],
  confd: ['bird'],
  bird: ['bird'],
  flannel: ['flanneld'],
}

/** Entries that what a probe met goes back to. */
function turnedOn(histories: readonly ProbeHistory[]): readonly DiaryEntry[] {
  return histories.flatMap(({ spans }) => spans.flatMap(({ cause }) => (cause?.kind === 'network' ? cause.chain : [])))
}

function isOf(name: string, agents: ReadonlySet<DiaryAgent>): boolean | undefined {
  return DELAY_AGENTS[name.split('.')[0]]?.some((agent) => agents.has(agent))
}

/** Of a process, or a host, that starts. */
function starts({ kind, what }: DiaryEntry): boolean {
  return kind === 'agent' || (kind === 'event' && / comes up$/.test(what))
}

/** Of the agents that did something, and those that the scenario sets. */
function delayDocuments({ delays }: Scenario, all: readonly DiaryEntry[], turned: readonly DiaryEntry[]): readonly DelayDocument[] {
  const [agents, deciding] = [all, turned].map((entries) => new Set(entries.map(({ agent }) => agent)))
  return (Object.keys(DELAYS) as DelayName[]).flatMap((name) => {
    const { defaultNs, what, source } = DELAYS[name]
    const set = delays[name] !== undefined
    if (!set && isOf(name, agents) === false) return []
    const decides = (isOf(name, deciding) ?? true) && (!/(start|boot)$/i.test(name) || name.startsWith('kubelet.') || turned.some(starts))
    return { name, ns: delays[name] ?? defaultNs, what, source, set, assumed: source.startsWith('assumed'), decides }
  })
}
