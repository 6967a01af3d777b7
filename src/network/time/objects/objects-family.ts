/**
 * The API server and what works by it, in virtual time: controllers, scheduler, node controller, kubelets. Every moment at which objects change makes a version
 * of the cluster; what a kubelet plugs in or out is told of its node.
 *
 *   event ─▶ actions ─▶ API ─▶ controllers ─▶ scheduler ─▶ kubelet ─▶ version        heartbeats ─▶ node controller ─▶ taints, evictions
 *
 * Nothing is done before something happens: version 0 is the input itself. With the first event its pods become objects (materialise.ts).
 */
import type { Ip } from '../../../base/ip.js'
import type { Problem } from '../../../base/problem.js'
import type { Cluster } from '../../../cluster/cluster.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import type { ClusterPod } from '../../../cluster/pod.js'
import type { Action } from '../../../cluster/scenario/scenario.js'
import type { AgentFamily, RunContext } from '../agents.js'
import type { ClusterVersion } from '../network-state.js'
import { Actions } from './actions.js'
import { Api } from './api.js'
import { Cell } from './cell.js'
import { Controllers } from './controllers.js'
import { Kubelets } from './kubelets.js'
import { LivePods } from './live-pods.js'
import { materialise } from './materialise.js'
import { NodeController } from './node-controller.js'
import { Scheduler } from './scheduler.js'

export interface ObjectsOptions {
  readonly context: RunContext
  /** Of the input. */
  readonly cluster: Cluster
  /** Of references that name none. */
  readonly namespace: string
  /** What the CNI plugin gives a pod of the cluster; undefined: none (no subnet yet, IPAM is full). */
  readonly addressOf: (cluster: Cluster, pod: ClusterPod) => Ip | undefined
  readonly onVersion: (version: ClusterVersion, cause?: number) => void
}

export class ObjectsFamily implements AgentFamily {
  private readonly options: ObjectsOptions
  private readonly api: Api
  private readonly cell: Cell
  private readonly scheduler: Scheduler
  private readonly kubelets: Kubelets
  private readonly nodeController: NodeController
  private readonly controllers: Controllers
  private readonly actions: Actions
  private isMaterialised = false

  constructor(options: ObjectsOptions) {
    const { context, cluster, namespace } = options
    this.options = options
    this.api = new Api({
      context,
      cluster,
      beforeVersion: () => this.kubelets.plugAll(),
      onVersion: (version, cause) => {
        options.onVersion(version, cause)
        this.kubelets.settle(version)
      },
      onChange: (was, is, cause) => this.changed(was, is, cause),
    })
    const pods = new LivePods()
    this.cell = new Cell({
      context,
      api: this.api,
      pods,
      sync: (object, cause) => this.controllers.sync(object, cause),
      gone: (pod, cause) => this.actions.recreate(pod, cause),
    })
    this.scheduler = new Scheduler(this.cell)
    this.nodeController = new NodeController(this.cell)
    this.kubelets = new Kubelets({
      cell: this.cell,
      addressOf: options.addressOf,
      onStart: (node) => this.nodeController.kubeletStarted(node),
      onReach: (node, reaches, cause) => this.nodeController.reachChanged(node, reaches, cause),
    })
    this.controllers = new Controllers(this.cell, () => this.scheduler.nodes())
    this.actions = new Actions({
      cell: this.cell,
      namespace,
      controllers: this.controllers,
      kubelets: this.kubelets,
      nodeController: this.nodeController,
    })
  }

  /** The first is the input. Grows. */
  get versions(): readonly ClusterVersion[] {
    return this.api.versions
  }

  /** What the API server refused. */
  get problems(): readonly Problem[] {
    return this.actions.problems
  }

  get restsAtNs(): number {
    return this.cell.restsAtNs
  }

  boot(): void {
    const names = this.options.cluster.nodes.map(({ name }) => name)
    for (const name of names) this.kubelets.boot(name)
    this.nodeController.boot(names)
  }

  startHere(): void {
    this.api.startHere()
  }

  /** Its own. */
  versionChanged(): void {
    return
  }

  act(action: Action, cause: number): boolean {
    const acts = this.actions.knows(action)
    if (!acts) return false
    this.materialise()
    return this.actions.act(action, cause)
  }

  nodeChanged(name: string, cause: number): void {
    this.materialise()
    this.kubelets.nodeChanged(name, cause)
  }

  private materialise(): void {
    if (this.isMaterialised) return
    this.isMaterialised = true
    const { addressOf, context } = this.options
    const kept = materialise({ api: this.api, pods: this.cell.pods, revisions: this.controllers.revisions, addressOf })
    for (const what of kept) context.diary.add({ agent: 'controller', kind: 'object', what })
  }

  /** Who watches hears of it. */
  private changed(was: KubernetesObject | undefined, is: KubernetesObject | undefined, cause: number): void {
    const object = (is ?? was) as KubernetesObject
    if (object.kind === 'Pod') this.podChanged(object, is === undefined, cause)
    else if (object.kind === 'Node') this.nodeObjectChanged(object, is === undefined, { isNew: was === undefined, cause })
    this.controllers.heard(object, cause)
  }

  private podChanged(object: KubernetesObject, isGone: boolean, cause: number): void {
    if (isGone) return this.scheduler.retry()
    const pod = this.cell.pods.get(object.namespace, object.name)
    if (pod === undefined || pod.ended) return
    if (pod.node === undefined) {
      if (!pod.terminating) this.scheduler.add(pod, cause)
    } else if (pod.terminating || !pod.plugged) this.kubelets.heard(pod, cause)
  }

  private nodeObjectChanged({ name }: KubernetesObject, isGone: boolean, { isNew, cause }: { readonly isNew: boolean; readonly cause: number }): void {
    this.controllers.nodesChanged(cause)
    this.scheduler.retry()
    if (isGone) {
      this.nodeController.removed(name)
      this.cell.after(this.cell.delays['podGC.quarantine'], () => this.collect(name, cause))
    } else if (isNew && this.kubelets.knows(name)) {
      this.cell.after(this.cell.delays['apiserver.watch'], () => this.nodeController.reachChanged(name, this.kubelets.reaches(name), cause))
    }
  }

  /** PodGC: pods of a node that is not there. */
  private collect(node: string, cause: number): void {
    const { api, pods } = this.cell
    if (api.find('Node', '', node) !== undefined) return
    for (const pod of pods.on(node)) {
      const entry = this.cell.tell(pod.object, `deletes ${pod.object.label}: its node is gone`, { agent: 'controller', kind: 'pod', cause, node })
      this.kubelets.forced(pod, entry)
      this.cell.removePod(pod, entry)
    }
  }
}
