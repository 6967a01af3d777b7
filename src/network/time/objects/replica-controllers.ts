/** ReplicaSet and ReplicationController in time. After pkg/controller/replicaset/replica_set.go and controller_utils.go (ActivePodsWithRanks). */
import { valueAt } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import { replicaName } from '../../../cluster/workloads/replicated.js'
import { stamp } from '../../../cluster/workloads/template.js'
import type { Cell } from './cell.js'
import { isActive, type LivePod } from './live-pods.js'
import { edited } from './pod-object.js'
import { specNumber, type Templates } from './templates.js'

const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'

export function replicasOf(object: KubernetesObject): number {
  return Math.max(0, specNumber(object, 'replicas', 1))
}

/** What a live object says in its status follows. */
export function withReplicas(object: KubernetesObject, replicas: number): KubernetesObject {
  const scaled = edited(object, ['spec', 'replicas'], replicas)
  return valueAt(object.value, ['status', 'replicas']) === undefined ? scaled : edited(scaled, ['status', 'replicas'], replicas)
}

export class ReplicaControllers {
  private readonly cell: Cell
  private readonly templates: Templates
  /** Drawn so far, by owner: what a name is drawn for. */
  private readonly drawn = new Map<string, number>()
  /** Nodes that the next pods of an owner are to run on. */
  private readonly wishes: Wishes

  constructor(cell: Cell, templates: Templates, wishes: Wishes) {
    this.cell = cell
    this.templates = templates
    this.wishes = wishes
  }

  /** @param isRelated pods of the same Deployment, whichever ReplicaSet made them */
  sync(object: KubernetesObject, related: readonly LivePod[], cause: number): void {
    const owner = { kind: object.kind, name: object.name }
    const active = this.cell.pods.of(object.namespace, owner).filter(isActive)
    const surplus = active.length - replicasOf(object)
    if (surplus > 0) {
      const agent = { agent: 'controller', kind: 'pod', cause } as const
      for (const pod of rankedForDeletion(active, related).slice(0, surplus)) this.cell.deletePod(pod, agent)
    } else if (surplus < 0) this.make(object, -surplus, cause)
  }

  private make(object: KubernetesObject, count: number, cause: number): void {
    const template = this.templates.of(object)
    if (template === undefined) return
    const { namespace } = object
    const owner = { kind: object.kind, name: object.name }
    const key = `${namespace}/${owner.kind}/${owner.name}`
    const taken = this.cell.pods.taken(namespace)
    for (let at = 0; at < count; at++) {
      const index = this.drawn.get(key) ?? 0
      this.drawn.set(key, index + 1)
      const made = stamp(template, { name: replicaName(namespace, owner, index, taken), owner })
      this.cell.makeReplica(made, cause, this.wishes.take(key))
    }
  }
}

/** Where an event of the scenario wants the pod that its owner makes next, by `namespace/kind/name`. */
export class Wishes {
  private readonly byOwner = new Map<string, string[]>()

  add(key: string, node: string): void {
    this.byOwner.set(key, [...(this.byOwner.get(key) ?? []), node])
  }

  take(key: string): string | undefined {
    return this.byOwner.get(key)?.shift()
  }
}

/** Who goes first: not bound, not running, not ready, cheap to lose, more of its own on the node, ready since lately, young. */
function rankedForDeletion(pods: readonly LivePod[], related: readonly LivePod[]): LivePod[] {
  const crowd = new Map<string, number>()
  for (const { node } of related.filter(isActive)) if (node !== undefined) crowd.set(node, (crowd.get(node) ?? 0) + 1)
  const rank = ({ node }: LivePod): number => (node === undefined ? 0 : (crowd.get(node) ?? 0))
  return [...pods].sort(
    (a, b) =>
      Number(a.node !== undefined) - Number(b.node !== undefined) ||
      Number(a.plugged) - Number(b.plugged) ||
      Number(a.ready) - Number(b.ready) ||
      costOf(a) - costOf(b) ||
      rank(b) - rank(a) ||
      b.readyNs - a.readyNs ||
      b.number - a.number,
  )
}

function costOf({ object }: LivePod): number {
  const cost = valueAt(object.value, ['metadata', 'annotations', DELETION_COST])
  return typeof cost === 'string' && /^[-+]?[0-9]{1,9}$/.test(cost) ? Number(cost) : 0
}
