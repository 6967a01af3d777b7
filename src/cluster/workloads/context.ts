/** What every controller looks at before it makes pods: the pods and objects that are in the input, and who owns whom. */
import { matchesSelector, type LabelSelector } from '../labels.js'
import { isObject } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { NodeReading } from '../node.js'
import type { ClusterPod } from '../pod.js'
import type { ProblemList } from '../problem-list.js'

/** Kubernetes' own bound on the pods of a cluster (its page on large clusters): more is a slip of the finger. */
const MAX_PODS = 150_000

export interface Existing {
  readonly pods: readonly ClusterPod[]
  readonly objects: readonly KubernetesObject[]
  readonly nodes: readonly NodeReading[]
}

export class Context {
  readonly nodes: readonly NodeReading[]
  readonly problems: ProblemList
  private readonly byOwner = new Map<string, ClusterPod[]>()
  /** Lists of byOwner by the owner's name up to its last hyphen: asked for by workload, and there are as many workloads as owners. */
  private readonly byPrefix = new Map<string, ClusterPod[][]>()
  /** By namespace, and by namespace and each label. */
  private readonly orphans = new Map<string, ClusterPod[]>()
  private readonly ownedObjects = new Set<string>()
  private readonly names = new Map<string, Set<string>>()
  private readonly absent = new Map<string, KubernetesObject[]>()
  private left = MAX_PODS

  constructor({ pods, objects, nodes }: Existing, problems: ProblemList) {
    this.nodes = nodes
    this.problems = problems
    for (const pod of pods) {
      this.namesOf(pod.namespace).add(pod.name)
      if (pod.owner === undefined) {
        append(this.orphans, pod.namespace, pod)
        for (const [key, value] of Object.entries(pod.labels)) append(this.orphans, labelled(pod.namespace, key, value), pod)
      } else append(this.byOwner, ownedBy(pod.namespace, pod.owner.kind, pod.owner.name), pod)
    }
    for (const [key, owned] of this.byOwner) append(this.byPrefix, key.slice(0, key.lastIndexOf('-') + 1), owned)
    const owned = objects.filter(({ kind }) => OWNED_KINDS.includes(kind))
    for (const object of owned) for (const owner of ownersOf(object)) this.ownedObjects.add(ownedBy(object.namespace, owner.kind, owner.name, object.kind))
  }

  /** Taken in the namespace; those that are made are added. */
  namesOf(namespace: string): Set<string> {
    let names = this.names.get(namespace)
    if (names === undefined) this.names.set(namespace, (names = new Set()))
    return names
  }

  podsOf(object: KubernetesObject): readonly ClusterPod[] {
    return this.byOwner.get(ownedBy(object.namespace, object.kind, object.name)) ?? []
  }

  /** Pods of ReplicaSets that bear a Deployment's name, where the ReplicaSets are not in the input. */
  podsOfReplicaSets(object: KubernetesObject, selector: LabelSelector): readonly ClusterPod[] {
    const hashes = this.byPrefix.get(ownedBy(object.namespace, 'ReplicaSet', `${object.name}-`)) ?? []
    return hashes.flatMap((pods) => pods.filter((pod) => matchesSelector(selector, pod.labels)))
  }

  /** Living pods that nobody owns and that the selector matches: a controller adopts them. */
  orphansOf(namespace: string, selector: LabelSelector): readonly ClusterPod[] {
    const [first] = Object.entries(selector.matchLabels ?? {})
    const candidates = this.orphans.get(first === undefined ? namespace : labelled(namespace, ...first))
    return (candidates ?? []).filter((pod) => !pod.terminated && !pod.terminating && matchesSelector(selector, pod.labels))
  }

  owns(object: KubernetesObject, kind: string): boolean {
    return this.ownedObjects.has(ownedBy(object.namespace, object.kind, object.name, kind))
  }

  /** False, and reported, when netsim does not make so many. */
  allows(object: KubernetesObject, count: number, field: string): boolean {
    if (count <= this.left) {
      this.left -= count
      return true
    }
    this.problems.error(
      object.at('spec', field),
      object.label,
      `it makes ${count} pods, and netsim makes ${MAX_PODS} at most of all workloads together`,
      `Write fewer ${field}.`,
    )
    return false
  }

  /** Running somewhere, but not in the input: told once for each kind. */
  tellAbsent(object: KubernetesObject): void {
    append(this.absent, object.kind, object)
  }

  report(): void {
    for (const [kind, [first, ...more]] of this.absent)
      this.problems.warning(
        first,
        '',
        `${kind} ${namesOf([first, ...more])}: live, but without pods in the input; ` +
          "they are made of the template, with names, nodes and addresses of netsim's own",
        'Add the pods (kubectl get pods -A -o yaml).',
      )
  }
}

/** What other workloads make, besides pods. */
const OWNED_KINDS: readonly string[] = ['ReplicaSet', 'Job']

function labelled(namespace: string, key: string, value: string): string {
  return `${namespace}\n${key}=${value}`
}

function ownedBy(namespace: string, kind: string, name: string, what = 'Pod'): string {
  return `${what}\n${namespace}\n${kind}\n${name}`
}

interface Owner {
  readonly kind: string
  readonly name: string
}

function ownersOf({ value }: KubernetesObject): Owner[] {
  const references = isObject(value.metadata) ? value.metadata.ownerReferences : undefined
  if (!Array.isArray(references)) return []
  return references.flatMap((reference: unknown): Owner | [] => {
    const { kind, name, controller } = isObject(reference) ? reference : {}
    return controller === true && typeof kind === 'string' && typeof name === 'string' ? { kind, name } : []
  })
}

function append<Item>(lists: Map<string, Item[]>, key: string, item: Item): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}

const NAMED = 5

/** `default/a, default/b and 3 more`. */
export function namesOf(objects: readonly KubernetesObject[]): string {
  const names = objects.slice(0, NAMED).map(({ namespace, name }) => `${namespace}/${name}`)
  return objects.length > NAMED ? `${names.join(', ')} and ${objects.length - NAMED} more` : names.join(', ')
}
