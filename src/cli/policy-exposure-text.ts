/** Exposure for people: workload by workload what is open to pods that are not there yet, and the rule that opens it. */
import { connectionWords } from '../policy/connection-words.js'
import { ConnectionSet } from '../policy/connections.js'
import { joinRanges } from '../policy/change/diff.js'
import { formatRange } from '../policy/address-range.js'
import { citedWords } from '../policy/explain/explain-words.js'
import { namedPortText } from '../policy/exposure/exposure-document.js'
import type { DirectionExposure, PeerExposure, WorkloadExposure } from '../policy/exposure/exposure.js'
import type { Direction, Policy, PolicyWorld } from '../policy/model.js'
import type { Newcomer, NewcomerRow } from '../policy/exposure/newcomer.js'
import { workloadName } from '../policy/peer-name.js'
import { safe } from './load-network.js'

export interface ExposureTextOptions {
  readonly within: ConnectionSet | undefined
  readonly direction: Direction | undefined
}

const ANYBODY = 'any pod'
const OUTSIDE = 'outside'
const RANGES_SHOWN = 3

/** Ends with a newline. */
export function exposureLines(exposures: readonly WorkloadExposure[], { within = ConnectionSet.all, direction }: ExposureTextOptions): string {
  const directions = (['ingress', 'egress'] as const).filter((one) => direction === undefined || direction === one)
  const blocks = exposures.map((exposure) => {
    const { workload } = exposure
    const rows = directions.flatMap((one) => directionLines(exposure[one], one, within))
    return [`${workloadName(workload.pod)}${workload.pods === 1 ? '' : ` (${workload.pods} pods)`}`, ...rows].join('\n')
  })
  const open = directions.flatMap((one) => {
    const bare = exposures.filter((exposure) => exposure[one].selecting.length === 0).map(({ workload }) => `  ${workloadName(workload.pod)}`)
    return bare.length === 0 ? [] : [`No policy protects for ${one}:`, ...bare]
  })
  return safe([...blocks, ...(open.length === 0 ? [] : [open.join('\n')])].join('\n\n') + '\n')
}

function directionLines(exposure: DirectionExposure, direction: Direction, within: ConnectionSet): readonly string[] {
  const { selecting, anybody, peers, outside, untried } = exposure
  const arrow = direction === 'ingress' ? 'from' : 'to'
  if (selecting.length === 0) return [`  ${direction.padEnd(8)} no policy protects it: everything is open`]
  const rows: readonly (readonly [string, string])[] = [
    [`${arrow} ${ANYBODY}`, peerText(anybody, within)],
    ...peers.map((peer) => [`${arrow} ${peer.words}`, peerText(peer, within)] as const),
    ...(outside.length === 0 ? [[`${arrow} ${OUTSIDE}`, 'nothing'] as const] : []),
    ...outside.map(({ ranges, connections }) => [`${arrow} ${OUTSIDE} ${rangesText(ranges)}`, openText(connections, within)] as const),
    ...untried.map((words) => [`${arrow} ${words}`, 'not tried: no pod could be made up for it'] as const),
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return [`  ${direction.padEnd(8)} ${policiesText(selecting)}`, ...rows.map(([name, text]) => `    ${name.padEnd(width)}  ${text}`)]
}

function policiesText(policies: readonly Policy[]): string {
  return policies.map((policy) => citedWords({ policy, effect: 'isolate' })).join(', ')
}

function peerText({ connections, namedPorts, decidedBy, livingPods }: PeerExposure, within: ConnectionSet): string {
  const names = within.isAll ? namedPorts.map(namedPortText) : []
  const inside = connections.intersect(within)
  const open = inside.isEmpty ? names.join(', ') || 'nothing' : [openText(connections, within), ...names].join(', ')
  const rules = [...new Set(decidedBy.map(({ policy, rule }) => citedWords({ policy, rule, effect: rule.action === 'deny' ? 'deny' : 'allow' })))]
  const today = livingPods === 0 ? [] : [`${livingPods} such ${livingPods === 1 ? 'pod' : 'pods'} today`]
  const why = [...rules, ...today].join('; ')
  return why === '' ? open : `${open}  ${why}`
}

function openText(connections: ConnectionSet, within: ConnectionSet): string {
  const inside = connections.intersect(within)
  return inside.isEmpty ? 'nothing' : connectionWords(inside)
}

function rangesText(ranges: Parameters<typeof joinRanges>[0]): string {
  const joined = joinRanges(ranges)
  const shown = joined.slice(0, RANGES_SHOWN).map(formatRange).join(', ')
  return joined.length > RANGES_SHOWN ? `${shown} and ${joined.length - RANGES_SHOWN} ranges more` : shown
}

/** Ends with a newline. */
export function newcomerLines({ pod, selecting, reaches, reachedBy }: Newcomer, world: PolicyWorld, direction: Direction | undefined): string {
  const labels = Object.entries(pod.labels).map(([key, value]) => `${key}=${value}`)
  const where = world.namespaces.has(pod.namespace) ? `namespace ${pod.namespace}` : 'a namespace that is not there yet'
  const head = `A pod ${labels.length === 0 ? 'without labels' : `with ${labels.join(',')}`} in ${where}`
  const section = (one: Direction, title: string, rows: readonly NewcomerRow[]): readonly string[] => {
    if (direction !== undefined && direction !== one) return []
    const policies = selecting[one].length === 0 ? 'no policy would select it' : `selected by ${policiesText(selecting[one])}`
    const width = Math.max(0, ...rows.map(({ peer }) => peer.length))
    const lines = rows.length === 0 ? ['    nobody'] : rows.map(({ peer, connections }) => `    ${peer.padEnd(width)}  ${connectionWords(connections)}`)
    return [`  ${one.padEnd(8)} ${policies}`, `  ${title}`, ...lines]
  }
  return safe(`${[head, ...section('egress', 'could reach', reaches), ...section('ingress', 'could be reached by', reachedBy)].join('\n')}\n`)
}
