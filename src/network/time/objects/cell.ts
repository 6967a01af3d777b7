/** What the agents of the API share: its objects, the pods of the run, the diary, timers that the run waits for, and the queue of the controllers. */
import type { Delays } from '../../../cluster/scenario/delays.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import type { ClusterPod } from '../../../cluster/pod.js'
import type { Timer } from '../../../sim/timers.js'
import type { RunContext } from '../agents.js'
import type { DiaryAgent, DiaryKind } from '../diary.js'
import type { Api } from './api.js'
import type { LivePod, LivePods } from './live-pods.js'
import { edited, podObject, timestamp } from './pod-object.js'

export interface Told {
  readonly agent: DiaryAgent
  readonly kind: DiaryKind
  readonly cause?: number
  readonly node?: string
}

export interface Named {
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

type Sync = (object: Named, cause: number) => void

export class Cell {
  readonly context: RunContext
  readonly api: Api
  readonly pods: LivePods
  /** Clock's, ns: the longest wait that any of them is in. */
  restsAtNs = 0
  isDown = false
  private readonly held: (() => void)[] = []
  /** By `kind/namespace/name`: what brought it into the queue. */
  private readonly queued = new Map<string, number>()
  private readonly sync: Sync
  private readonly gone: (pod: LivePod, cause: number) => void

  constructor(parts: {
    readonly context: RunContext
    readonly api: Api
    readonly pods: LivePods
    readonly sync: Sync
    readonly gone: (pod: LivePod, cause: number) => void
  }) {
    this.context = parts.context
    this.api = parts.api
    this.pods = parts.pods
    this.sync = parts.sync
    this.gone = parts.gone
  }

  get delays(): Delays {
    return this.context.delays
  }

  get nowNs(): number {
    return this.context.simulation.nowNs
  }

  /** A wait that ends: the run does not rest before. */
  after(delayNs: number, run: () => void): Timer {
    this.restsAtNs = Math.max(this.restsAtNs, this.nowNs + delayNs)
    return this.context.timers.after(delayNs, () => {
      if (this.isDown) this.held.push(run)
      else run()
    })
  }

  /** etcd is gone: the API server answers nothing, and whoever works by it waits. */
  stop(): void {
    this.isDown = true
  }

  /** What was to happen meanwhile happens now, in its order. */
  resume(): void {
    this.isDown = false
    for (const run of this.held.splice(0)) this.after(0, run)
  }

  /** An entry of the diary about an object. */
  tell(object: Pick<KubernetesObject, 'label' | 'file' | 'line'>, what: string, { agent, kind, cause, node }: Told): number {
    const { label, file, line } = object
    return this.context.diary.add({
      agent,
      kind,
      object: label,
      what,
      file,
      line,
      ...(cause === undefined ? {} : { cause }),
      ...(node === undefined ? {} : { node }),
    })
  }

  /** A controller hears of its object, and looks after it. */
  enqueue({ kind, namespace, name }: Named, cause: number): void {
    const key = `${kind}/${namespace}/${name}`
    if (this.queued.has(key)) return
    this.queued.set(key, cause)
    this.after(this.delays['apiserver.watch'] + this.delays['controller.sync'], () => {
      this.queued.delete(key)
      this.sync({ kind, namespace, name }, cause)
    })
  }

  // ---- pods

  /** @param made of a template, or as it was read */
  makePod(made: ClusterPod, object: KubernetesObject, told: Told, wish?: string): LivePod {
    const pod = this.pods.add(object, made)
    if (wish !== undefined) pod.wish = wish
    const entry = this.tell(object, `makes ${object.label}`, told)
    if (made.node !== undefined) this.pods.bind(pod, made.node)
    this.api.put(object, entry)
    return pod
  }

  makeReplica(made: ClusterPod, cause: number, wish?: string): LivePod {
    return this.makePod(made, podObject(made), { agent: 'controller', kind: 'pod', cause }, wish)
  }

  writePod(pod: LivePod, object: KubernetesObject, cause: number): void {
    pod.object = object
    this.api.put(object, cause)
  }

  /** It ends as its grace period allows; its endpoints are gone at once. One that was never plugged in and that no kubelet knows is gone at once. */
  deletePod(pod: LivePod, told: Told): void {
    if (pod.terminating) return
    const entry = this.tell(pod.object, `deletes ${pod.object.label}`, told)
    pod.terminating = true
    if (pod.node === undefined || pod.ended) return this.removePod(pod, entry)
    const reason = edited(pod.object, ['metadata', 'deletionTimestamp'], timestamp(this.nowNs))
    this.writePod(pod, reason, entry)
  }

  removePod(pod: LivePod, cause: number): void {
    this.pods.remove(pod)
    this.api.remove(pod.object, cause)
    this.gone(pod, cause)
  }
}
