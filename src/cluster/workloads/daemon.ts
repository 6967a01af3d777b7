/**
 * DaemonSet → a pod for every node that it should run on. Now the controller makes each for one node and leaves the binding to the scheduler; that of
 * extensions/v1beta1 set spec.nodeName itself. After pkg/controller/daemon (daemon_controller.go NodeShouldRunDaemonPod, util/daemonset_util.go).
 */
import { isObject } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { NodeReading } from '../node.js'
import type { Scheduling, Toleration } from '../pod-scheduling.js'
import type { ClusterPod } from '../pod.js'
import { matchesAffinity } from '../scheduling/node-fit.js'
import { untolerated } from '../scheduling/taints.js'
import { check } from '../schema.js'
import type { Context } from './context.js'
import { generateName, podsPrefix } from './names.js'
import { hasDefaultSelector, isLive } from './replicated.js'
import { readSelector, readTemplate, stamp, type Template } from './template.js'
import { daemonSchema } from '../kubernetes-schemas.js'

const exists = (key: string, effect: string): Toleration => ({ key: `node.kubernetes.io/${key}`, operator: 'Exists', value: '', effect })
const ADDED: readonly Toleration[] = [
  exists('not-ready', 'NoExecute'),
  exists('unreachable', 'NoExecute'),
  ...['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable'].map((key) => exists(key, 'NoSchedule')),
]
const ADDED_ON_HOST: readonly Toleration[] = [...ADDED, exists('network-unavailable', 'NoSchedule')]
const GENERATION = 'deprecated.daemonset.template.generation'

export function expandDaemonSet(object: KubernetesObject, context: Context): ClusterPod[] {
  const { problems } = context
  const value = check(daemonSchema(), object, problems, 'hint')
  const template = readTemplate(object, ['Always'], problems)
  if (value === undefined || template === undefined) return []
  const isDefaulted = hasDefaultSelector(object.apiVersion)
  const selector = readSelector(object, value.spec?.selector ?? undefined, { isDefaulted, pod: template.pod }, problems)
  if (selector === undefined || context.podsOf(object).length > 0) return []
  const daemon = daemonOf(object, template)
  const adopted = new Set(context.orphansOf(object.namespace, selector).map(({ node }) => node))
  const nodes = context.nodes.filter((node) => runsOn(daemon, node) && !adopted.has(node.name))
  if (nodes.length === 0 || !context.allows(object, nodes.length, 'template')) return []
  if (isLive(object)) context.tellAbsent(object)
  const taken = context.namesOf(object.namespace)
  return nodes.map((node) => daemonPod(daemon, node.name, taken))
}

/** What its pods have in common. */
export interface Daemon {
  readonly object: KubernetesObject
  readonly template: Template
  /** With the tolerations that the controller adds. */
  readonly scheduling: Scheduling
  readonly isOld: boolean
}

export function daemonOf(object: KubernetesObject, template: Template): Daemon {
  return { object, template, scheduling: withTolerations(template), isOld: object.apiVersion === 'extensions/v1beta1' }
}

/** @param taken names of the namespace; learns the pod's @param turn 0: the first on that node */
export function daemonPod({ object, template, scheduling, isOld }: Daemon, node: string, taken: Set<string>, turn = 0): ClusterPod {
  const labels = { ...template.pod.labels, 'controller-revision-hash': template.hash, 'pod-template-generation': generationOf(object) }
  const revised = { pod: { ...template.pod, labels, scheduling }, hash: template.hash }
  const of = `${object.namespace}/DaemonSet/${object.name}/${node}${turn === 0 ? '' : `/${turn}`}`
  const pod = stamp(revised, { name: generateName(podsPrefix(object.name), of, taken), owner: { kind: 'DaemonSet', name: object.name } })
  if (isOld || pod.node !== undefined) return { ...pod, node, placed: pod.node === undefined }
  return { ...pod, scheduling: forNode(scheduling, node) }
}

function generationOf({ value }: KubernetesObject): string {
  const annotations = isObject(value.metadata) ? value.metadata.annotations : undefined
  const generation = isObject(annotations) && Object.hasOwn(annotations, GENERATION) ? annotations[GENERATION] : undefined
  return typeof generation === 'string' ? generation : '1'
}

function withTolerations({ pod }: Template): Scheduling {
  return { ...pod.scheduling, tolerations: [...pod.scheduling.tolerations, ...(pod.hostNetwork ? ADDED_ON_HOST : ADDED)] }
}

/** The taints of an annotation were the scheduler's business alone, and the old controller did without it; a cordon keeps no daemon away. */
export function runsOn({ template: { pod }, scheduling, isOld }: Daemon, node: NodeReading): boolean {
  if (pod.node !== undefined && pod.node !== node.name) return false
  const taints = isOld ? node.taints.filter(({ annotated }) => annotated !== true) : node.taints
  return matchesAffinity(scheduling, node) && untolerated(scheduling.tolerations, taints) === undefined
}

/** Takes the place of whatever terms the template has: the controller has looked at them (ReplaceDaemonSetPodNodeNameNodeAffinity). */
function forNode(scheduling: Scheduling, node: string): Scheduling {
  return { ...scheduling, requiredTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }] }
}
