/** How long a pod takes to be ready and to end, and how long it stays on a node that is lost: from the fields of its spec that say so. */
import { isObject, valueAt, type JsonObject, type JsonValue } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'

const SECOND = 1e9
const DEFAULT_PERIOD = 10
const DEFAULT_GRACE = 30
const UNREACHABLE = 'node.kubernetes.io/unreachable'

/** From its start, ns: 0 where no container has a readiness or startup probe. Probes are taken to succeed at their first try (prober/worker.go). */
export function readinessNs(pod: KubernetesObject): number {
  const waits = containersOf(pod).map(({ startupProbe, readinessProbe }) => probeSeconds(startupProbe) + probeSeconds(readinessProbe))
  return Math.round(Math.max(0, ...waits) * SECOND)
}

/** Of a startup probe successThreshold is 1. */
function probeSeconds(probe: JsonValue | undefined): number {
  if (!isObject(probe)) return 0
  const { initialDelaySeconds, periodSeconds, successThreshold } = probe
  return seconds(initialDelaySeconds, 0) + (Math.max(1, seconds(successThreshold, 1)) - 1) * (seconds(periodSeconds, 0) || DEFAULT_PERIOD)
}

/** From SIGTERM's time on: preStop first, all within the grace period, ns. @param podStopNs of the containers */
export function stopNs(pod: KubernetesObject, podStopNs: number): number {
  const grace = seconds(valueAt(pod.value, ['spec', 'terminationGracePeriodSeconds']), DEFAULT_GRACE)
  const preStop = Math.max(0, ...containersOf(pod).map((container) => preStopSeconds(valueAt(container, ['lifecycle', 'preStop']))))
  return Math.round(Math.min(preStop * SECOND + podStopNs, grace * SECOND))
}

function preStopSeconds(hook: JsonValue | undefined): number {
  if (hook === undefined) return 0
  const slept = valueAt(hook, ['sleep', 'seconds'])
  if (typeof slept === 'number') return Math.max(0, slept)
  const command = valueAt(hook, ['exec', 'command'])
  const match = Array.isArray(command) ? /\bsleep ([0-9]+(?:\.[0-9]+)?)\b/.exec(command.join(' ')) : null
  return match === null ? 0 : Number(match[1])
}

/** On a node that is unreachable, ns; Infinity: for ever. tainteviction/taint_eviction.go: the least of the tolerations that match and have an end. */
export function tolerationNs(pod: KubernetesObject, defaultNs: number): number {
  const tolerations = valueAt(pod.value, ['spec', 'tolerations'])
  const matching = (Array.isArray(tolerations) ? tolerations : []).filter(
    (one: JsonValue) => isObject(one) && toleratesUnreachable(one),
  ) as readonly JsonObject[]
  if (matching.length === 0) return defaultNs
  const ends = matching.flatMap(({ tolerationSeconds }) => (typeof tolerationSeconds === 'number' ? [Math.max(0, tolerationSeconds)] : []))
  return ends.length === 0 ? Infinity : Math.round(Math.min(...ends) * SECOND)
}

function toleratesUnreachable({ key, operator, effect, value }: JsonObject): boolean {
  if (effect !== undefined && effect !== '' && effect !== 'NoExecute') return false
  if (operator === 'Exists') return key === undefined || key === '' || key === UNREACHABLE
  return key === UNREACHABLE && (value === undefined || value === '')
}

function containersOf({ value }: KubernetesObject): readonly JsonObject[] {
  const containers = valueAt(value, ['spec', 'containers'])
  return (Array.isArray(containers) ? containers : []).filter((one: JsonValue) => isObject(one))
}

function seconds(value: JsonValue | undefined, otherwise: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? Math.max(0, value) : otherwise
}
