/** kube-scheduler in time: pods that have no node yet are bound, all that wait at one moment together; the choice is that of cluster/placement.ts. */
import { readNode, type NodeReading } from '../../../cluster/node.js'
import { placePods } from '../../../cluster/placement.js'
import type { ClusterPod } from '../../../cluster/pod.js'
import { ProblemList } from '../../../cluster/problem-list.js'
import type { Cell } from './cell.js'
import type { LivePod } from './live-pods.js'
import { withScheduled } from './pod-object.js'

export class Scheduler {
  private readonly cell: Cell
  /** In the order in which they came. */
  private readonly waiting = new Map<LivePod, number>()
  private isQueued = false

  constructor(cell: Cell) {
    this.cell = cell
  }

  /** A pod without a node. @param cause what made it */
  add(pod: LivePod, cause: number): void {
    this.waiting.set(pod, cause)
    this.retry()
  }

  /** Something that may let a waiting pod in: nodes, pods that went. */
  retry(): void {
    if (this.isQueued || this.waiting.size === 0) return
    this.isQueued = true
    const { delays } = this.cell
    this.cell.after(delays['apiserver.watch'] + delays['scheduler.bind'], () => {
      this.isQueued = false
      this.bindAll()
    })
  }

  nodes(): readonly NodeReading[] {
    const { api } = this.cell
    return [...api.ofKind('Node')].flatMap((object) => api.readings.read(readNode, object, new ProblemList()) ?? [])
  }

  private bindAll(): void {
    const { pods, api } = this.cell
    for (const pod of this.waiting.keys()) if (pods.get(pod.namespace, pod.name) !== pod || pod.terminating || pod.node !== undefined) this.waiting.delete(pod)
    const wished = [...this.waiting.keys()].filter(({ wish }) => wish !== undefined)
    for (const pod of wished) this.bind(pod, pod.wish as string)
    const asked = [...this.waiting.keys()]
    if (asked.length === 0) return
    const bound = [...pods.all].flatMap(({ node, reading, ended }): ClusterPod | [] => (node === undefined || ended ? [] : reading))
    const placed = placePods([...bound, ...asked.map(({ reading }) => reading)], this.nodes(), api.newest.cluster.namespaces).slice(bound.length)
    asked.forEach((pod, at) => {
      const { node, pending = '' } = placed[at]
      if (node === undefined) this.refuse(pod, pending)
      else this.bind(pod, node)
    })
  }

  private bind(pod: LivePod, node: string): void {
    const cause = this.waiting.get(pod)
    this.waiting.delete(pod)
    const entry = this.cell.tell(pod.object, `binds ${pod.object.label} to ${node}`, {
      agent: 'scheduler',
      kind: 'pod',
      node,
      ...(cause === undefined ? {} : { cause }),
    })
    this.cell.pods.bind(pod, node)
    this.cell.writePod(pod, withScheduled(pod.object, true, `bound to ${node}: its kubelet has not started it yet`), entry)
  }

  /** Told again only when the reason is another. */
  private refuse(pod: LivePod, reason: string): void {
    if (pod.reading.pending === reason) return
    const cause = this.waiting.get(pod)
    pod.reading = { ...pod.reading, pending: reason }
    const entry = this.cell.tell(pod.object, `no node takes ${pod.object.label}: ${reason}`, {
      agent: 'scheduler',
      kind: 'pod',
      ...(cause === undefined ? {} : { cause }),
    })
    this.cell.writePod(pod, withScheduled(pod.object, false, reason), entry)
  }
}
