/**
 * Every workload of the input → one pod of its template, under the workload's own name: what stands for it where only labels and ports count.
 * Looser than expand.ts: what an API server refuses of a workload besides its template plays no part here.
 */
import { isAgentDaemonSet } from '../flannel-settings.js'
import { isObject } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import { readPod, type ClusterPod } from '../pod.js'
import type { ProblemList } from '../problem-list.js'
import { readTemplate } from './template.js'

/** By kind and group; where the template stands. Of a VirtualMachineInstance the object itself is the template. */
const TEMPLATES: Readonly<Record<string, readonly [path: readonly string[], ...groups: readonly string[]]>> = {
  Deployment: [['spec', 'template'], 'apps', 'extensions'],
  ReplicaSet: [['spec', 'template'], 'apps', 'extensions'],
  ReplicationController: [['spec', 'template'], 'v1'],
  DaemonSet: [['spec', 'template'], 'apps', 'extensions'],
  StatefulSet: [['spec', 'template'], 'apps'],
  PetSet: [['spec', 'template'], 'apps'],
  Job: [['spec', 'template'], 'batch', 'extensions'],
  CronJob: [['spec', 'jobTemplate', 'spec', 'template'], 'batch'],
  ScheduledJob: [['spec', 'jobTemplate', 'spec', 'template'], 'batch'],
  VirtualMachine: [['spec', 'template'], 'kubevirt.io'],
  VirtualMachineInstance: [[], 'kubevirt.io'],
}

const RESTART_POLICIES: readonly string[] = ['Always', 'OnFailure', 'Never']

interface TemplateInput {
  readonly objects: readonly KubernetesObject[]
  readonly pods: readonly ClusterPod[]
  readonly madePods: readonly ClusterPod[]
}

interface Templates {
  /** In the order of the objects. */
  readonly templates: readonly ClusterPod[]
  /** Those whose workload has no pod, neither written nor made, and that no other workload owns. */
  readonly idle: readonly ClusterPod[]
}

export function readTemplates({ objects, pods, madePods }: TemplateInput, problems: ProblemList): Templates {
  const owned = ownersWithPods(objects, pods, madePods)
  const templates: ClusterPod[] = []
  const idle: ClusterPod[] = []
  for (const object of objects) {
    const pod = templateOf(object, problems)
    if (pod === undefined) continue
    templates.push(pod)
    const isBusy = isAgentDaemonSet(object) || owned.has(keyOf(object.namespace, object.kind, object.name))
    if (!isBusy && ownerOf(object) === undefined) idle.push(pod)
  }
  return { templates, idle }
}

function templateOf(object: KubernetesObject, problems: ProblemList): ClusterPod | undefined {
  if (!Object.hasOwn(TEMPLATES, object.kind)) return undefined
  const [path, ...groups] = TEMPLATES[object.kind]
  if (!groups.includes(object.apiVersion.split('/')[0])) return undefined
  const pod = path.length === 0 ? readPod(object, problems) : readTemplate(object, RESTART_POLICIES, problems, path)?.pod
  if (pod === undefined) return undefined
  const owner = { kind: object.kind, name: object.name }
  return { ...pod, name: object.name, owner, assumed: true }
}

/** `ns kind name` of all that have a pod, and of those that own such a workload: a Deployment by its ReplicaSet. */
function ownersWithPods(objects: readonly KubernetesObject[], pods: readonly ClusterPod[], madePods: readonly ClusterPod[]): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { namespace, owner, terminated } of pods) {
    if (owner === undefined || terminated) continue
    found.add(keyOf(namespace, owner.kind, owner.name))
    const parent = owner.kind === 'ReplicaSet' ? /^(.+)-[a-z0-9]+$/.exec(owner.name) : owner.kind === 'Job' ? /^(.+)-[0-9]+$/.exec(owner.name) : null
    if (owner.kind === 'VirtualMachineInstance') found.add(keyOf(namespace, 'VirtualMachine', owner.name))
    if (parent !== null) found.add(keyOf(namespace, owner.kind === 'Job' ? 'CronJob' : 'Deployment', parent[1]))
  }
  for (const { object } of madePods) found.add(keyOf(object.namespace, object.kind, object.name))
  for (const object of objects) {
    const owner = ownerOf(object)
    if (owner !== undefined && found.has(keyOf(object.namespace, object.kind, object.name))) found.add(keyOf(object.namespace, owner.kind, owner.name))
  }
  return found
}

function keyOf(namespace: string, kind: string, name: string): string {
  return `${namespace}\n${kind}\n${name}`
}

/** Its controller. */
function ownerOf({ value }: KubernetesObject): { readonly kind: string; readonly name: string } | undefined {
  const references = isObject(value.metadata) ? value.metadata.ownerReferences : undefined
  if (!Array.isArray(references)) return undefined
  for (const reference of references as readonly unknown[]) {
    const { kind, name, controller } = isObject(reference) ? reference : {}
    if (controller === true && typeof kind === 'string' && typeof name === 'string') return { kind, name }
  }
  return undefined
}
