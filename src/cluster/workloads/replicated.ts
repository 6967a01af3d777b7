/** Deployment, ReplicaSet and ReplicationController → pods. After pkg/controller/deployment and pkg/controller/replicaset. */
import type { InferOutput } from 'valibot'
import type { LabelSelector } from '../labels.js'
import type { KubernetesObject } from '../manifest.js'
import type { ClusterPod, PodOwner } from '../pod.js'
import { check } from '../schema.js'
import type { Context } from './context.js'
import { generateName, podsPrefix } from './names.js'
import { readSelector, readTemplate, stamp, type Template } from './template.js'
import { replicatedSchema, replicationControllerSchema } from '../kubernetes-schemas.js'

export const HASH_LABEL = 'pod-template-hash'
/** Of these versions on the selector must be written. */
const WITHOUT_DEFAULTS: readonly string[] = ['apps/v1', 'apps/v1beta2']

export function hasDefaultSelector(apiVersion: string): boolean {
  return !WITHOUT_DEFAULTS.includes(apiVersion)
}

type Replicated = InferOutput<ReturnType<typeof replicatedSchema>>

interface Reading {
  readonly value: Replicated
  readonly template: Template
  readonly selector: LabelSelector
}

function read(object: KubernetesObject, context: Context): Reading | undefined {
  const { problems } = context
  const value = object.kind === 'ReplicationController' ? readController(object, context) : check(replicatedSchema(), object, problems, 'hint')
  const template = readTemplate(object, ['Always'], problems)
  if (value === undefined || template === undefined) return undefined
  const isDefaulted = hasDefaultSelector(object.apiVersion)
  const selector = readSelector(object, value.spec?.selector ?? undefined, { isDefaulted, pod: template.pod }, problems)
  return selector === undefined ? undefined : { value, template, selector }
}

/** Its selector is a mapping of labels; one that is empty counts as none. */
function readController(object: KubernetesObject, { problems }: Context): Replicated | undefined {
  const value = check(replicationControllerSchema(), object, problems, 'hint')
  if (value?.spec === undefined || value.spec === null) return value === undefined ? undefined : { metadata: value.metadata }
  const { selector, ...spec } = value.spec
  const written = selector && Object.keys(selector).length > 0 ? { selector: { matchLabels: selector } } : {}
  return { ...value, spec: { ...spec, ...written } }
}

/** Of a live object the status counts: a rollout may be under way. */
function replicasOf(object: KubernetesObject, value: Replicated): number {
  return isLive(object) ? (value.status?.replicas ?? 0) : (value.spec?.replicas ?? 1)
}

/** A controller has written its status (`kubectl create --dry-run` prints an empty one). */
export function isLive({ value }: KubernetesObject): boolean {
  return typeof value.status === 'object' && value.status !== null && Object.keys(value.status).length > 0
}

export function expandDeployment(object: KubernetesObject, context: Context): ClusterPod[] {
  const reading = read(object, context)
  if (reading === undefined || context.owns(object, 'ReplicaSet')) return []
  const { value, template, selector } = reading
  if (context.podsOfReplicaSets(object, selector).length > 0) return []
  // without ownerReferences (a dump made tidy) the label tells them from a bare pod, which no ReplicaSet of the Deployment would match
  if (context.orphansOf(object.namespace, selector).some(({ labels }) => Object.hasOwn(labels, HASH_LABEL))) return []
  if (value.spec?.paused === true && !isLive(object)) {
    context.problems.warning(object.at('spec', 'paused'), object.label, 'it is paused: it makes no ReplicaSet and no pods', 'Leave spec.paused out.')
    return []
  }
  const replicaSet = `${object.name}-${template.hash}`
  return makeReplicas(object, replicasOf(object, value), context, {
    template: { ...template, pod: { ...template.pod, labels: { ...template.pod.labels, [HASH_LABEL]: template.hash } } },
    owner: { kind: 'ReplicaSet', name: replicaSet },
  })
}

/** ReplicaSets and ReplicationControllers count the pods that they adopt. */
export function expandReplicaSet(object: KubernetesObject, context: Context): ClusterPod[] {
  const reading = read(object, context)
  if (reading === undefined || context.podsOf(object).length > 0) return []
  const { value, template, selector } = reading
  const adopted = context.orphansOf(object.namespace, selector).length
  const count = Math.max(0, replicasOf(object, value) - adopted)
  return makeReplicas(object, count, context, { template, owner: { kind: object.kind, name: object.name } })
}

interface Replicas {
  readonly template: Template
  readonly owner: PodOwner
}

function makeReplicas(object: KubernetesObject, count: number, context: Context, { template, owner }: Replicas): ClusterPod[] {
  if (count === 0 || !context.allows(object, count, 'replicas')) return []
  if (isLive(object)) context.tellAbsent(object)
  const taken = context.namesOf(object.namespace)
  return Array.from({ length: count }, (_, index) => stamp(template, { name: replicaName(object.namespace, owner, index, taken), owner }))
}

/** @param taken names of the namespace; learns this one */
export function replicaName(namespace: string, owner: PodOwner, index: number, taken: Set<string>): string {
  return generateName(podsPrefix(owner.name), `${namespace}/${owner.kind}/${owner.name}/${index}`, taken)
}
