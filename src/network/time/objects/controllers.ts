/** The controllers of workloads, by kind: who hears of what, and what each does when its turn has come. */
import { valueAt } from '../../../cluster/located.js'
import { isObject, type JsonValue } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import type { NodeReading } from '../../../cluster/node.js'
import { isExpanded } from '../../../cluster/workloads/expand.js'
import type { Cell, Named } from './cell.js'
import { DaemonSets } from './daemon-sets.js'
import { Deployments } from './deployments.js'
import { Jobs } from './jobs.js'
import { ReplicaControllers, Wishes } from './replica-controllers.js'
import { Revisions } from './revisions.js'
import { StatefulSets } from './stateful-sets.js'
import { specNumber, Templates } from './templates.js'

export class Controllers {
  readonly templates = new Templates()
  readonly revisions = new Revisions(this.templates)
  readonly wishes = new Wishes()
  readonly deployments: Deployments
  private readonly cell: Cell
  private readonly replicas: ReplicaControllers
  private readonly stateful: StatefulSets
  private readonly daemons: DaemonSets
  private readonly jobs: Jobs

  constructor(cell: Cell, nodes: () => readonly NodeReading[]) {
    const { templates, revisions, wishes } = this
    this.cell = cell
    this.deployments = new Deployments(cell, templates)
    this.replicas = new ReplicaControllers(cell, templates, wishes)
    this.stateful = new StatefulSets({ cell, templates, revisions, wishes })
    this.daemons = new DaemonSets({ cell, templates, revisions, nodes })
    this.jobs = new Jobs(cell, wishes)
  }

  /** An object has changed, come or gone: its controller and its owner's hear of it. */
  heard(object: KubernetesObject, cause: number): void {
    if (isExpanded(object)) this.cell.enqueue(object, cause)
    const owner = controllerOf(object)
    if (owner === undefined) return
    this.cell.enqueue(owner, cause)
    if (object.kind !== 'Pod') return
    const set = owner.kind === 'ReplicaSet' ? this.cell.api.find(owner.kind, owner.namespace, owner.name) : undefined
    const deployment = set === undefined ? undefined : controllerOf(set)
    if (deployment !== undefined) this.cell.enqueue(deployment, cause)
    this.soonAvailable(object, deployment ?? owner, cause)
  }

  nodesChanged(cause: number): void {
    for (const set of this.cell.api.ofKind('DaemonSet')) if (isExpanded(set)) this.cell.enqueue(set, cause)
  }

  sync({ kind, namespace, name }: Named, cause: number): void {
    const object = this.cell.api.find(kind, namespace, name)
    if (object === undefined || !isExpanded(object)) return
    switch (kind) {
      case 'Deployment':
        return this.deployments.sync(object, cause)
      case 'ReplicaSet':
      case 'ReplicationController':
        return this.replicas.sync(object, this.relatedTo(object), cause)
      case 'StatefulSet':
      case 'PetSet':
        return this.stateful.sync(object, cause)
      case 'DaemonSet':
        return this.daemons.sync(object, cause)
      case 'Job':
        return this.jobs.sync(object, cause)
    }
  }

  /** Pods of all ReplicaSets of the same Deployment (getPodsToDelete). */
  private relatedTo(set: KubernetesObject): ReturnType<Deployments['podsOf']> {
    const { api, pods } = this.cell
    const owner = controllerOf(set)
    const deployment = owner === undefined ? undefined : api.find(owner.kind, owner.namespace, owner.name)
    return deployment === undefined ? pods.of(set.namespace, { kind: set.kind, name: set.name }) : this.deployments.podsOf(deployment)
  }

  /** With minReadySeconds a pod that has become ready counts only later. */
  private soonAvailable({ namespace, name }: KubernetesObject, owner: Named, cause: number): void {
    const workload = this.cell.api.find(owner.kind, owner.namespace, owner.name)
    const minReadyNs = workload === undefined ? 0 : specNumber(workload, 'minReadySeconds', 0) * 1e9
    const pod = this.cell.pods.get(namespace, name)
    if (minReadyNs > 0 && pod?.ready === true && pod.readyNs === this.cell.nowNs) this.cell.after(minReadyNs, () => this.cell.enqueue(owner, cause))
  }
}

/** The owner that controls it. */
export function controllerOf({ namespace, value }: KubernetesObject): Named | undefined {
  const owners = valueAt(value, ['metadata', 'ownerReferences'])
  const owner = (Array.isArray(owners) ? owners : []).find((one: JsonValue) => isObject(one) && one.controller === true) as unknown
  if (!isObject(owner) || typeof owner.kind !== 'string' || typeof owner.name !== 'string') return undefined
  return { kind: owner.kind, namespace, name: owner.name }
}
