/**
 * Every node's kubelet with its CNI plugin: from a binding to a pod that runs with its address and is ready, from a deletion to a pod that is gone. A kubelet
 * without power does nothing; one that does not reach the API server neither hears nor reports.
 *
 *   bound ─ podStart ─▶ plugged in, Running ─ readinessProbe ─▶ Ready        deletionTimestamp ─ preStop, podStop (grace period) ─▶ gone
 *
 * A host that has booted makes the sandboxes of its pods anew. Probes are taken to succeed at their first try.
 */
import { formatIp, type Ip } from '../../../base/ip.js'
import type { Cluster } from '../../../cluster/cluster.js'
import type { ClusterPod } from '../../../cluster/pod.js'
import { podsOn } from '../../pods.js'
import { NONE_SINCE_BOOT, type ClusterVersion } from '../network-state.js'
import type { Cell } from './cell.js'
import type { LivePod } from './live-pods.js'
import { readinessNs, stopNs } from './pod-times.js'
import { runningPod, unpluggedPod, withReady } from './pod-object.js'

interface Kubelet {
  /** The process. */
  runs: boolean
  power: boolean
  /** Starts that were begun: one that was overtaken counts no more. */
  starts: number
}

export interface KubeletsOptions {
  readonly cell: Cell
  readonly addressOf: (cluster: Cluster, pod: ClusterPod) => Ip | undefined
  /** Its process has begun. */
  readonly onStart: (node: string) => void
  /** The API server hears of the node again, or does not any more. */
  readonly onReach: (node: string, reaches: boolean, cause: number | undefined) => void
}

interface Start {
  readonly pod: LivePod
  readonly cause: number
}

export class Kubelets {
  private readonly cell: Cell
  private readonly options: KubeletsOptions
  private readonly byNode = new Map<string, Kubelet>()
  /** To be plugged in when this moment's version is made. */
  private starting: Start[] = []
  /** Nodes on which pods were plugged in or out since the last version, with the cause. */
  private readonly touched = new Map<string, number>()
  /** By node: what the CNI plugin's IPAM gave last, where it goes round (host-local). */
  private readonly lastGiven = new Map<string, Ip | undefined>()

  constructor(options: KubeletsOptions) {
    this.options = options
    this.cell = options.cell
  }

  /** A node of the start, whose pods run. */
  boot(node: string): void {
    this.byNode.set(node, { runs: true, power: true, starts: 0 })
  }

  reaches(node: string): boolean {
    const kubelet = this.byNode.get(node)
    if (kubelet === undefined || !kubelet.runs || !kubelet.power) return false
    const { power, cable } = this.cell.context.node(node)
    return power && !cable.cut && cable.loss < 1
  }

  /** Power or cable is another. */
  nodeChanged(node: string, cause: number): void {
    const { power } = this.cell.context.node(node)
    const kubelet = this.byNode.get(node) ?? { runs: false, power: false, starts: 0 }
    this.byNode.set(node, kubelet)
    if (power && !kubelet.power) {
      kubelet.power = true
      this.start(node, cause, true)
    } else if (!power && kubelet.power) {
      kubelet.power = false
      kubelet.runs = false
      kubelet.starts++
      for (const pod of this.cell.pods.on(node)) quiet(pod)
      this.cell.context.setNode(node, { pods: NONE_SINCE_BOOT }, cause)
    }
    this.reachChanged(node, cause)
  }

  /** Its process alone: pods run on. */
  processChanged(node: string, runs: boolean, cause: number): void {
    const kubelet = this.byNode.get(node)
    if (kubelet === undefined || !kubelet.power) return
    if (runs && !kubelet.runs) return this.start(node, cause, false)
    if (runs) return
    kubelet.runs = false
    kubelet.starts++
    this.tellOfNode(node, 'kubelet stops: pods run on, nothing is started or ended', cause)
    this.reachChanged(node, cause)
  }

  knows(node: string): boolean {
    return this.byNode.has(node)
  }

  /** Its pod was bound, or is to end. */
  heard(pod: LivePod, cause: number): void {
    this.cell.after(this.cell.delays['apiserver.watch'], () => this.look(pod, cause))
  }

  /** Somebody else took it out of the API (PodGC): its kubelet, where there is one, ends it. */
  forced(pod: LivePod, cause: number): void {
    if (pod.plugged && pod.node !== undefined && this.reaches(pod.node)) this.touched.set(pod.node, cause)
  }

  /** Before a version: whoever starts in this moment asks the CNI plugin for an address, all of them of one cluster. */
  plugAll(): void {
    const { pods, api } = this.cell
    const starting = this.starting.filter(({ pod }) => pods.get(pod.namespace, pod.name) === pod && !pod.terminating)
    this.starting = []
    if (starting.length === 0) return
    const { cluster } = api.read(api.objects)
    const asking = new Map(starting.map(({ pod }) => [pod.key, onNode(cluster.podByName.get(pod.key) ?? pod.reading, pod.node as string)]))
    const nodes = new Set(starting.map(({ pod }) => pod.node as string))
    const asked = { ...withRequests(cluster, asking), lastAddresses: new Map([...nodes].flatMap((node) => this.lastGivenOn(node))) }
    // as IPAM is asked: what was given last stands last
    const turns = new Map(asked.pods.map(({ namespace, name }, turn) => [`${namespace}/${name}`, turn]))
    for (const start of starting.sort((a, b) => (turns.get(a.pod.key) ?? 0) - (turns.get(b.pod.key) ?? 0))) {
      const reading = asking.get(start.pod.key) as ClusterPod
      const address = reading.hostNetwork ? cluster.nodeByName.get(start.pod.node as string)?.address : this.options.addressOf(asked, reading)
      if (address === undefined) this.refuse(start)
      else this.plug(start, address)
    }
  }

  /** The nodes whose pods are other ones are as far as this version. */
  settle({ number }: ClusterVersion): void {
    for (const [node, cause] of this.touched) if (this.byNode.get(node)?.power === true) this.cell.context.setNode(node, { pods: number }, cause)
    this.touched.clear()
  }

  // ---- a kubelet

  private start(node: string, cause: number, boots: boolean): void {
    const kubelet = this.byNode.get(node) as Kubelet
    const { delays } = this.cell
    const turn = ++kubelet.starts
    this.cell.after((boots ? delays['host.boot'] : 0) + delays['agent.start'], () => {
      if (kubelet.starts !== turn || !kubelet.power) return
      kubelet.runs = true
      const entry = this.tellOfNode(node, boots ? 'kubelet starts: the host has booted' : 'kubelet starts again', cause)
      this.options.onStart(node)
      if (boots) this.forgetSandboxes(node, entry)
      this.reachChanged(node, entry)
    })
  }

  /** The containers went with the power. Told to the API server as soon as it is reached: before, it knows no better. */
  private forgetSandboxes(node: string, cause: number): void {
    for (const pod of this.cell.pods.on(node)) {
      if (pod.ended) continue
      const was = pod.plugged
      quiet(pod)
      pod.plugged = false
      pod.ready = false
      pod.refused = false
      if (was && !pod.terminating) this.cell.writePod(pod, unpluggedPod(pod.object), cause)
    }
  }

  private reachChanged(node: string, cause: number | undefined): void {
    const reaches = this.reaches(node)
    this.options.onReach(node, reaches, cause)
    if (reaches) for (const pod of this.cell.pods.on(node)) this.look(pod, cause ?? 0)
  }

  private tellOfNode(node: string, what: string, cause: number): number {
    return this.cell.context.diary.add({ agent: 'kubelet', kind: 'agent', node, what, cause })
  }

  private look(pod: LivePod, cause: number): void {
    const { pods } = this.cell
    if (pods.get(pod.namespace, pod.name) !== pod || pod.ended || pod.node === undefined || !this.reaches(pod.node)) return
    if (pod.terminating) return this.stop(pod, cause)
    if (pod.plugged || pod.timer !== undefined) return
    pod.timer = this.cell.after(this.cell.delays['kubelet.podStart'], () => this.startPod(pod, cause))
  }

  private startPod(pod: LivePod, cause: number): void {
    pod.timer = undefined
    if (pod.node === undefined || !this.reaches(pod.node)) return
    this.starting.push({ pod, cause })
    this.cell.api.changed(cause)
  }

  /** Of the input's pods the last one's: they are taken to have been made in their order. */
  private lastGivenOn(node: string): readonly (readonly [string, Ip])[] {
    if (!this.lastGiven.has(node)) {
      const { cluster } = this.cell.api.versions[0]
      const given = podsOn(cluster, node).flatMap((pod) => this.options.addressOf(cluster, pod) ?? [])
      this.lastGiven.set(node, given.at(-1))
    }
    const last = this.lastGiven.get(node)
    return last === undefined ? [] : [[node, last]]
  }

  private plug({ pod, cause }: Start, address: Ip): void {
    const node = pod.node as string
    if (!pod.reading.hostNetwork) this.lastGiven.set(node, address)
    const waitNs = readinessNs(pod.object)
    pod.plugged = true
    pod.refused = false
    pod.ready = waitNs === 0
    pod.readyNs = this.cell.nowNs
    const readiness = pod.ready ? '' : ', not ready yet'
    const entry = this.cell.tell(pod.object, `${pod.object.label} runs with ${formatIp(address)}${readiness}`, { agent: 'kubelet', kind: 'pod', node, cause })
    const given = pod.reading.hostNetwork ? {} : { address }
    this.cell.writePod(pod, runningPod(pod.object, { node, ...given, ready: pod.ready }), entry)
    this.touched.set(node, entry)
    if (waitNs > 0) pod.timer = this.cell.after(waitNs, () => this.becomeReady(pod, entry))
  }

  private becomeReady(pod: LivePod, cause: number): void {
    pod.timer = undefined
    const node = pod.node as string
    if (pod.terminating || !this.reaches(node)) return
    pod.ready = true
    pod.readyNs = this.cell.nowNs
    const entry = this.cell.tell(pod.object, `${pod.object.label} is ready`, { agent: 'kubelet', kind: 'pod', node, cause })
    this.cell.writePod(pod, withReady(pod.object, true), entry)
  }

  /** It asks again and again: told once. */
  private refuse({ pod, cause }: Start): void {
    const node = pod.node as string
    if (!pod.refused) {
      const what = `${pod.object.label} is not started: the CNI plugin has no address for it`
      this.cell.tell(pod.object, what, { agent: 'kubelet', kind: 'pod', node, cause })
    }
    pod.refused = true
    pod.timer = this.cell.context.timers.after(this.cell.delays['kubelet.retry'], () => this.startPod(pod, cause))
  }

  private stop(pod: LivePod, cause: number): void {
    if (pod.stopping) return
    pod.timer?.cancel()
    if (!pod.plugged) return this.end(pod, cause)
    pod.stopping = true
    pod.timer = this.cell.after(stopNs(pod.object, this.cell.delays['kubelet.podStop']), () => {
      pod.timer = undefined
      pod.stopping = false
      if (this.reaches(pod.node as string)) this.end(pod, cause)
    })
  }

  private end(pod: LivePod, cause: number): void {
    const node = pod.node as string
    const entry = this.cell.tell(pod.object, `${pod.object.label} has ended`, { agent: 'kubelet', kind: 'pod', node, cause })
    if (pod.plugged) this.touched.set(node, entry)
    this.cell.removePod(pod, entry)
  }
}

function quiet(pod: LivePod): void {
  pod.timer?.cancel()
  delete pod.timer
  pod.stopping = false
}

function onNode(pod: ClusterPod, node: string): ClusterPod {
  const { pending: _, address: _address, ...rest } = pod
  return { ...rest, node }
}

/** The cluster with those pods on their nodes, without an address yet. */
function withRequests(cluster: Cluster, asking: ReadonlyMap<string, ClusterPod>): Cluster {
  const pods = cluster.pods.map((pod) => asking.get(`${pod.namespace}/${pod.name}`) ?? pod)
  return {
    ...cluster,
    pods,
    podByName: new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod])),
    addressRequests: [...cluster.addressRequests, ...[...asking.values()].filter(({ hostNetwork }) => !hostNetwork)],
  }
}
