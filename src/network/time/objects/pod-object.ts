/**
 * Pods as an API server has them: what a controller makes of a template → a Pod object, with the lines of the template; and what kubelet and node controller
 * write on it. spec.nodeName stands on it from the moment at which it is plugged in: before that a binding is the kubelet's and the scheduler's knowledge.
 */
import { formatIp, type Ip } from '../../../base/ip.js'
import { deepFreeze } from '../../../cluster/frozen.js'
import { isObject, valueAt, withValue, type JsonObject, type JsonValue, type Path } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import type { Toleration } from '../../../cluster/pod-scheduling.js'
import type { ClusterPod, PodOwner } from '../../../cluster/pod.js'
import { assumedUid } from '../../../cluster/workloads/names.js'

const OWNER_VERSIONS: Readonly<Record<string, string>> = {
  ReplicaSet: 'apps/v1',
  Deployment: 'apps/v1',
  StatefulSet: 'apps/v1',
  DaemonSet: 'apps/v1',
  PetSet: 'apps/v1alpha1',
  Job: 'batch/v1',
}

export function ownerReferences(namespace: string, { kind, name }: PodOwner): JsonValue {
  const uid = assumedUid(`${kind}/${namespace}/${name}`)
  return [{ apiVersion: OWNER_VERSIONS[kind] ?? 'v1', kind, name, uid, controller: true, blockOwnerDeletion: true }]
}

/** @param made of a template: its object is that part of the workload */
export function podObject(made: ClusterPod): KubernetesObject {
  const { object: template, name, namespace, labels, annotations, owner, hostname, subdomain } = made
  const metadata = isObject(template.value.metadata) ? template.value.metadata : {}
  const spec = template.value.spec as JsonObject
  const value: JsonObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      name,
      namespace,
      labels,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      ...(owner === undefined ? {} : { ownerReferences: ownerReferences(namespace, owner) }),
    },
    spec: {
      ...spec,
      ...(hostname === undefined ? {} : { hostname }),
      ...(subdomain === undefined ? {} : { subdomain }),
      ...(owner?.kind === 'DaemonSet' ? daemonSpec(spec, made) : {}),
    },
    status: { phase: 'Pending' },
  }
  return template.made({ apiVersion: 'v1', kind: 'Pod', name }, deepFreeze(value))
}

/** What the DaemonSet controller adds: tolerations, and the one node that it is for. */
function daemonSpec(spec: JsonObject, { scheduling: { tolerations, requiredTerms } }: ClusterPod): JsonObject {
  const written: readonly JsonValue[] = Array.isArray(spec.tolerations) ? spec.tolerations : []
  const all = { tolerations: [...written, ...tolerations.slice(written.length).map(tolerationJson)] }
  const names = requiredTerms?.flatMap(({ matchFields = [] }) => matchFields).find(({ key }) => key === 'metadata.name')?.values
  if (names === undefined) return all
  const terms: JsonObject = { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [...names] }] }] }
  return {
    ...all,
    affinity: withValue(isObject(spec.affinity) ? spec.affinity : {}, ['nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution'], terms),
  }
}

function tolerationJson({ key, operator, value, effect }: Toleration): JsonObject {
  return { ...(key === '' ? {} : { key }), operator, ...(value === '' ? {} : { value }), ...(effect === '' ? {} : { effect }) }
}

export function edited(object: KubernetesObject, path: Path, value: JsonValue): KubernetesObject {
  return object.part([], deepFreeze(withValue(object.value, path, value)))
}

interface Place {
  readonly node: string
  /** Absent: the host's network, or an address that nobody gives. */
  readonly address?: Ip
  readonly ready: boolean
}

/** It runs there. */
export function runningPod(object: KubernetesObject, { node, address, ready }: Place): KubernetesObject {
  const ip = address === undefined ? undefined : formatIp(address)
  const placed = withValue(object.value, ['spec', 'nodeName'], node)
  const status = isObject(placed.status) ? placed.status : {}
  const value: JsonObject = {
    ...placed,
    status: {
      ...status,
      phase: typeof status.phase === 'string' && status.phase !== '' && status.phase !== 'Pending' ? status.phase : 'Running',
      ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] }),
      conditions: withConditions(status.conditions, { PodScheduled: true, Ready: ready }),
    },
  }
  return object.part([], deepFreeze(value))
}

/** Its sandbox is gone: it has neither network nor address until its kubelet has made another. */
export function unpluggedPod(object: KubernetesObject): KubernetesObject {
  const { nodeName: _, ...spec } = object.value.spec as JsonObject
  const { podIP: _ip, podIPs: _ips, ...status } = isObject(object.value.status) ? object.value.status : {}
  const conditions = withConditions(status.conditions, { Ready: false })
  return object.part([], deepFreeze({ ...object.value, spec, status: { ...status, phase: 'Pending', conditions } }))
}

/** @param message why, where it is not scheduled */
export function withScheduled(object: KubernetesObject, scheduled: boolean, message: string): KubernetesObject {
  const others = conditionsOf(object).filter((condition) => !isObject(condition) || condition.type !== 'PodScheduled')
  const condition = { type: 'PodScheduled', status: scheduled ? 'True' : 'False', ...(scheduled ? {} : { reason: 'Unschedulable' }), message }
  return edited(object, ['status', 'conditions'], [...others, condition])
}

export function withReady(object: KubernetesObject, ready: boolean): KubernetesObject {
  return edited(object, ['status', 'conditions'], withConditions(valueAt(object.value, ['status', 'conditions']), { Ready: ready }))
}

function conditionsOf(object: KubernetesObject): readonly JsonValue[] {
  const conditions = valueAt(object.value, ['status', 'conditions'])
  return Array.isArray(conditions) ? (conditions as readonly JsonValue[]) : []
}

/** Each in the place that it has; new ones last. What was said of a status that changes (reason, message) goes. */
export function withConditions(conditions: JsonValue | undefined, statuses: Readonly<Record<string, boolean>>): readonly JsonValue[] {
  const known: readonly JsonValue[] = Array.isArray(conditions) ? conditions : []
  const word = (type: string): string => (statuses[type] ? 'True' : 'False')
  const kept = known.map((condition) => {
    if (!isObject(condition) || typeof condition.type !== 'string' || !Object.hasOwn(statuses, condition.type)) return condition
    return condition.status === word(condition.type) ? condition : { type: condition.type, status: word(condition.type) }
  })
  const missing = Object.keys(statuses).filter((type) => !known.some((condition) => isObject(condition) && condition.type === type))
  return [...kept, ...missing.map((type) => ({ type, status: word(type) }))]
}

const SECONDS_A_DAY = 86_400

/** Virtual time as RFC 3339 writes it: its zero is the start of 1970. After Howard Hinnant's civil_from_days. */
export function timestamp(timeNs: number): string {
  const seconds = Math.max(0, Math.floor(timeNs / 1e9))
  const days = Math.floor(seconds / SECONDS_A_DAY) + 719_468
  const era = Math.floor(days / 146_097)
  const ofEra = days - era * 146_097
  const year = Math.floor((ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365)
  const ofYear = ofEra - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const shifted = Math.floor((5 * ofYear + 2) / 153)
  const day = ofYear - Math.floor((153 * shifted + 2) / 5) + 1
  const month = shifted < 10 ? shifted + 3 : shifted - 9
  const time = seconds % SECONDS_A_DAY
  const two = (value: number): string => `${value}`.padStart(2, '0')
  const date = `${year + era * 400 + (month <= 2 ? 1 : 0)}-${two(month)}-${two(day)}`
  return `${date}T${two(Math.floor(time / 3600))}:${two(Math.floor((time % 3600) / 60))}:${two(time % 60)}Z`
}
