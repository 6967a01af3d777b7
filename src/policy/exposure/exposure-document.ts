/** Exposure and newcomers as JSON. */
import { connectionText } from '../connection-text.js'
import { joinRanges } from '../change/diff.js'
import type { DirectionExposure, PeerExposure, WorkloadExposure } from './exposure.js'
import type { Labels } from '../../cluster/labels.js'
import type { NamedPort, Policy } from '../model.js'
import type { Newcomer, NewcomerRow } from './newcomer.js'
import { spanText, workloadName } from '../peer-name.js'

interface PolicyReference {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly file: string
  readonly line: number
}

interface PeerDocument {
  readonly peer: string
  readonly conn: string
  /** Ports known by name alone: `TCP http`. */
  readonly namedPorts?: readonly string[]
  readonly rules: readonly (PolicyReference & { readonly rule: number })[]
}

interface DirectionDocument {
  readonly protected: boolean
  readonly policies: readonly PolicyReference[]
  /** With a pod whose labels, in a namespace whose labels, no policy names. */
  readonly anybody: PeerDocument
  readonly peers: readonly (PeerDocument & { readonly labels: Labels; readonly podsToday: number })[]
  readonly outside: readonly { readonly ranges: readonly string[]; readonly conn: string }[]
  readonly untried?: readonly string[]
}

export interface ExposureDocument {
  readonly workload: string
  readonly pods: number
  readonly ingress: DirectionDocument
  readonly egress: DirectionDocument
}

export function exposureDocuments(exposures: readonly WorkloadExposure[]): readonly ExposureDocument[] {
  return exposures.map(({ workload, ingress, egress }) => ({
    workload: workloadName(workload.pod),
    pods: workload.pods,
    ingress: directionDocument(ingress),
    egress: directionDocument(egress),
  }))
}

function directionDocument({ selecting, anybody, peers, outside, untried }: DirectionExposure): DirectionDocument {
  return {
    protected: selecting.length > 0,
    policies: selecting.map(policyReference),
    anybody: peerDocument(anybody),
    peers: peers.map((peer) => ({ ...peerDocument(peer), labels: peer.pod.labels, podsToday: peer.livingPods })),
    outside: outside.map(({ ranges, connections }) => ({ ranges: joinRanges(ranges).map(spanText), conn: connectionText(connections) })),
    ...(untried.length === 0 ? {} : { untried }),
  }
}

function peerDocument({ words, connections, namedPorts, decidedBy }: PeerExposure): PeerDocument {
  return {
    peer: words,
    conn: connectionText(connections),
    ...(namedPorts.length === 0 ? {} : { namedPorts: namedPorts.map(namedPortText) }),
    rules: decidedBy.map(({ policy, rule }) => ({ ...policyReference(policy), rule: rule.index, file: rule.file, line: rule.line })),
  }
}

export function namedPortText({ name, protocol }: NamedPort): string {
  return protocol === undefined ? name : `${protocol} ${name}`
}

function policyReference({ kind, namespace, name, file, line }: Policy): PolicyReference {
  return { kind, namespace, name, file, line }
}

export interface NewcomerDocument {
  readonly namespace: string
  readonly labels: Labels
  readonly selectedBy: { readonly ingress: readonly PolicyReference[]; readonly egress: readonly PolicyReference[] }
  readonly reaches: readonly { readonly peer: string; readonly conn: string }[]
  readonly reachedBy: readonly { readonly peer: string; readonly conn: string }[]
}

export function newcomerDocument({ pod, selecting, reaches, reachedBy }: Newcomer): NewcomerDocument {
  const rows = (list: readonly NewcomerRow[]) => list.map(({ peer, connections }) => ({ peer, conn: connectionText(connections) }))
  return {
    namespace: pod.namespace,
    labels: pod.labels,
    selectedBy: { ingress: selecting.ingress.map(policyReference), egress: selecting.egress.map(policyReference) },
    reaches: rows(reaches),
    reachedBy: rows(reachedBy),
  }
}
