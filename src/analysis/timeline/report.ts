/** A run, its diary and what its probes saw → the ScenarioReport. Pure; it adds words and sums, and finds out nothing of its own. */
import { DELAYS, type DelayName } from '../../cluster/scenario/delays.js'
import type { Scenario } from '../../cluster/scenario/scenario.js'
import type { DiaryAgent } from '../../network/time/diary.js'
import type { Run } from '../../network/time/control-plane.js'
import type { EventConvergence, ProbeCause, ProbeClass, ProbeHistory } from '../../network/time/probe-history.js'
import type { CauseDocument, DelayDocument, ProbeDocument, ReportMetadata, ScenarioReport, SpanDocument } from './document.js'
import { eventDocuments, totalsOf, type Spoken } from './event-effects.js'

export interface ReportInput {
  readonly scenario: Scenario
  readonly run: Pick<Run, 'states' | 'versions' | 'untilNs' | 'problems' | 'startNs' | 'eventEntries'>
  readonly diary: Spoken
  readonly histories: readonly ProbeHistory[]
  readonly convergence: readonly EventConvergence[]
  readonly metadata: ReportMetadata
  readonly assumptions: readonly string[]
  readonly notModelled: readonly string[]
}

export function scenarioReport({ scenario, run, diary, histories, convergence, metadata, assumptions, notModelled }: ReportInput): ScenarioReport {
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
    delays: delayDocuments(scenario, new Set(diary.entries.map(({ agent }) => agent))),
    assumptions,
    notModelled,
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

/** Of the agents that did something, and those that the scenario sets. */
function delayDocuments({ delays }: Scenario, agents: ReadonlySet<DiaryAgent>): readonly DelayDocument[] {
  return (Object.keys(DELAYS) as DelayName[]).flatMap((name) => {
    const { defaultNs, what, source } = DELAYS[name]
    const set = delays[name] !== undefined
    const owners = DELAY_AGENTS[name.split('.')[0]]
    if (!set && owners !== undefined && !owners.some((agent) => agents.has(agent))) return []
    return { name, ns: delays[name] ?? defaultNs, what, source, set, assumed: source.startsWith('assumed') }
  })
}
