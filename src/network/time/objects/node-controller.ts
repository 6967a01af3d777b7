/**
 * The node lifecycle controller and taint eviction: nodes whose kubelet is not heard of become Unknown, their pods not ready and, where they do not tolerate
 * it for longer, deleted. After pkg/controller/nodelifecycle/node_lifecycle_controller.go (monitorNodeHealth, tryUpdateNodeHealth, handleDisruption) and
 * pkg/controller/tainteviction. Heartbeats are not played one by one: when the last one came is worked out once a node is lost.
 */
import { hashText, Prng } from '../../../base/prng.js'
import { valueAt, withValue, isObject, type JsonObject, type JsonValue } from '../../../cluster/located.js'
import { deepFreeze } from '../../../cluster/frozen.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import type { Timer } from '../../../sim/timers.js'
import type { Cell } from './cell.js'
import type { LivePod } from './live-pods.js'
import { tolerationNs } from './pod-times.js'
import { withConditions, withReady } from './pod-object.js'

const UNREACHABLE = 'node.kubernetes.io/unreachable'
const NOT_READY = 'node.kubernetes.io/not-ready'
const AGENT = 'node controller'

interface Watched {
  /** new: its kubelet has never been heard of. */
  health: 'new' | 'ready' | 'unknown'
  reaches: boolean
  /** A time at which it sends a heartbeat, ns of the clock. */
  beatNs: number
  /** Until it is Unknown, or until it is heard of. */
  timer?: Timer
  evictions: Timer[]
  /** Unknown, and its pods are evicted in time. */
  evicts: boolean
}

export class NodeController {
  private readonly cell: Cell
  private readonly byName = new Map<string, Watched>()
  private startNs = 0

  constructor(cell: Cell) {
    this.cell = cell
  }

  /** Kubelets began at times of their own. */
  boot(names: readonly string[]): void {
    const { nowNs, delays, context } = this.cell
    this.startNs = nowNs
    const parts = 1_000_000
    for (const name of names) {
      const part = new Prng(context.seed ^ hashText(`heartbeat ${name}`)).below(parts)
      const beatNs = nowNs - Math.floor((delays['kubelet.heartbeat'] * part) / parts)
      this.byName.set(name, { health: 'ready', reaches: true, beatNs, evictions: [], evicts: false })
    }
  }

  /** A Node that came through the API: no pod is bound to it until its kubelet has been heard of. */
  registered(node: KubernetesObject): KubernetesObject {
    if (this.byName.has(node.name)) return node
    const { nowNs } = this.cell
    this.byName.set(node.name, { health: 'new', reaches: false, beatNs: nowNs, evictions: [], evicts: false })
    return withTaints(node, [{ key: NOT_READY, effect: 'NoSchedule' }])
  }

  removed(name: string): void {
    const node = this.byName.get(name)
    node?.timer?.cancel()
    for (const timer of node?.evictions ?? []) timer.cancel()
    this.byName.delete(name)
  }

  reachChanged(name: string, reaches: boolean, cause: number | undefined): void {
    const node = this.byName.get(name)
    if (node === undefined || node.reaches === reaches) return
    node.reaches = reaches
    const { nowNs, delays } = this.cell
    if (!reaches) {
      const last = lastOf(node.beatNs, delays['kubelet.heartbeat'], nowNs)
      const seen = this.nextLook(last + delays['etcd.roundTrip'])
      const due = this.nextLook(seen + delays['nodeController.gracePeriod'])
      if (node.health !== 'ready') return node.timer?.cancel()
      node.timer?.cancel()
      node.timer = this.cell.after(Math.max(0, due - nowNs), () => this.lose(name, node, nowNs, cause))
      return
    }
    // a kubelet that starts sends one at once; one that was cut off goes on with its own
    const isNew = node.health === 'new'
    const beat = isNew ? nowNs : nextOf(node.beatNs, delays['kubelet.heartbeat'], nowNs)
    node.beatNs = beat
    const lost = node.timer
    const heard = this.cell.after(beat - nowNs + delays['etcd.roundTrip'], () => {
      if (!node.reaches) return
      lost?.cancel()
      if (node.health !== 'ready') this.recover(name, node, cause)
    })
    if (lost === undefined || node.health !== 'ready') node.timer = heard
  }

  /** A kubelet whose process began anew: its heartbeats count from now. */
  kubeletStarted(name: string): void {
    const node = this.byName.get(name)
    if (node !== undefined) node.beatNs = this.cell.nowNs
  }

  /** The controller looks at fixed times. */
  private nextLook(timeNs: number): number {
    return nextOf(this.startNs, this.cell.delays['nodeController.period'], timeNs)
  }

  private lose(name: string, node: Watched, sinceNs: number, cause: number | undefined): void {
    const object = this.cell.api.find('Node', '', name)
    if (object === undefined) return
    node.health = 'unknown'
    const silent = Math.round((this.cell.nowNs - sinceNs) / 1e8) / 10
    const what = `Node/${name} is Unknown: no heartbeat, ${silent} s after its kubelet was last there`
    const entry = this.cell.tell(object, what, { agent: AGENT, kind: 'node', node: name, ...(cause === undefined ? {} : { cause }) })
    this.write(withHealth(withTaints(object, [{ key: UNREACHABLE, effect: 'NoSchedule' }]), 'Unknown'), entry)
    for (const pod of this.cell.pods.on(name)) if (pod.ready) this.setReady(pod, false, entry)
    // every node of the cluster lost: the fault is the controller's own, and nothing is evicted (handleDisruption)
    if ([...this.byName.values()].every(({ health }) => health === 'unknown')) {
      for (const other of this.byName.values()) this.stopEvictions(other)
      this.cell.tell(object, 'no node of the cluster is heard of: no pod is evicted', { agent: AGENT, kind: 'node', cause: entry })
    } else this.evict(name, node, entry)
  }

  private evict(name: string, node: Watched, cause: number): void {
    const object = this.cell.api.find('Node', '', name)
    if (object === undefined) return
    node.evicts = true
    this.write(withTaints(object, [{ key: UNREACHABLE, effect: 'NoExecute' }]), cause)
    const byTime = new Map<number, LivePod[]>()
    for (const pod of this.cell.pods.on(name)) {
      const stay = tolerationNs(pod.object, this.cell.delays['taints.eviction'])
      if (stay !== Infinity && !pod.ended) byTime.set(stay, [...(byTime.get(stay) ?? []), pod])
    }
    for (const [stay, pods] of byTime) {
      const timer = this.cell.after(stay, () => {
        for (const pod of pods)
          if (this.cell.pods.get(pod.namespace, pod.name) === pod) this.cell.deletePod(pod, { agent: AGENT, kind: 'pod', cause, node: name })
      })
      node.evictions.push(timer)
    }
  }

  private stopEvictions(node: Watched): void {
    for (const timer of node.evictions) timer.cancel()
    node.evictions = []
    node.evicts = false
  }

  private recover(name: string, node: Watched, cause: number | undefined): void {
    const object = this.cell.api.find('Node', '', name)
    if (object === undefined) return
    const entry = this.cell.tell(object, `Node/${name} is Ready`, { agent: 'kubelet', kind: 'node', node: name, ...(cause === undefined ? {} : { cause }) })
    node.health = 'ready'
    delete node.timer
    this.write(withHealth(object, 'True'), entry)
    for (const pod of this.cell.pods.on(name)) if (pod.plugged && !pod.ready && pod.timer === undefined && !pod.terminating) this.setReady(pod, true, entry)
    const { nowNs } = this.cell
    this.cell.after(this.nextLook(nowNs) - nowNs, () => {
      if (node.health !== 'ready') return
      this.stopEvictions(node)
      const tainted = this.cell.api.find('Node', '', name)
      if (tainted === undefined) return
      const told = this.cell.tell(tainted, `Node/${name} has its taints taken away`, { agent: AGENT, kind: 'node', node: name, cause: entry })
      this.write(withoutTaints(tainted, [UNREACHABLE, NOT_READY]), told)
    })
    for (const [other, watched] of this.byName) if (watched.health === 'unknown' && !watched.evicts) this.evict(other, watched, entry)
  }

  private setReady(pod: LivePod, ready: boolean, cause: number): void {
    pod.ready = ready
    pod.readyNs = this.cell.nowNs
    this.cell.writePod(pod, withReady(pod.object, ready), cause)
  }

  private write(object: KubernetesObject, cause: number): void {
    this.cell.api.put(object, cause)
  }
}

function lastOf(baseNs: number, periodNs: number, timeNs: number): number {
  return baseNs + Math.floor((timeNs - baseNs) / periodNs) * periodNs
}

function nextOf(baseNs: number, periodNs: number, timeNs: number): number {
  return baseNs + Math.ceil((timeNs - baseNs) / periodNs) * periodNs
}

interface NodeTaint {
  readonly key: string
  readonly effect: string
}

function taintsOf(node: KubernetesObject): readonly JsonValue[] {
  const taints = valueAt(node.value, ['spec', 'taints'])
  return Array.isArray(taints) ? (taints as readonly JsonValue[]) : []
}

function withTaints(node: KubernetesObject, added: readonly NodeTaint[]): KubernetesObject {
  const others = taintsOf(node).filter((taint) => !added.some(({ key, effect }) => isObject(taint) && taint.key === key && taint.effect === effect))
  return setTaints(node, [...others, ...added.map(({ key, effect }): JsonObject => ({ key, effect }))])
}

function withoutTaints(node: KubernetesObject, keys: readonly string[]): KubernetesObject {
  return setTaints(
    node,
    taintsOf(node).filter((taint) => !isObject(taint) || !keys.includes(`${taint.key as string}`)),
  )
}

/** A node without taints is written as one that has none: its file may say so. */
function setTaints(node: KubernetesObject, taints: readonly JsonValue[]): KubernetesObject {
  return node.part([], deepFreeze(withValue(node.value, ['spec', 'taints'], taints)))
}

function withHealth(node: KubernetesObject, status: 'True' | 'Unknown'): KubernetesObject {
  const conditions = withConditions(valueAt(node.value, ['status', 'conditions']), { Ready: status === 'True' })
  const told = conditions.map((condition) => (isObject(condition) && condition.type === 'Ready' && status === 'Unknown' ? { ...condition, status } : condition))
  return node.part([], deepFreeze(withValue(node.value, ['status', 'conditions'], told)))
}
