/** The pods of a run: beside its object each has what only its scheduler and kubelet know: where it is bound, whether it is plugged in, its timers. */
import type { KubernetesObject } from '../../../cluster/manifest.js'
import type { ClusterPod, PodOwner } from '../../../cluster/pod.js'
import type { Timer } from '../../../sim/timers.js'

export interface LivePod {
  /** `namespace/name` */
  readonly key: string
  readonly namespace: string
  readonly name: string
  owner?: PodOwner
  /** In the order in which they were made. */
  readonly number: number
  /** As it is in the API now. */
  object: KubernetesObject
  /** What a scheduler looks at, and its labels. */
  reading: ClusterPod
  /** Bound to. */
  node?: string
  /** The node that an event of the scenario asks for. */
  wish?: string
  /** It runs, with a network. */
  plugged: boolean
  /** Succeeded or Failed. */
  readonly ended: boolean
  ready: boolean
  readyNs: number
  terminating: boolean
  /** Once it is gone: made anew there (a bare pod that is moved). */
  again?: string
  /** Its kubelet ends its containers. */
  stopping: boolean
  /** Of its kubelet: start, readiness or stop. */
  timer?: Timer
  /** The CNI plugin gave it nothing, which was told. */
  refused: boolean
}

const NONE: ReadonlySet<LivePod> = new Set()

export class LivePods {
  private readonly byKey = new Map<string, LivePod>()
  private readonly byOwner = new Map<string, Set<LivePod>>()
  private readonly byNode = new Map<string, Set<LivePod>>()
  private readonly names = new Map<string, Set<string>>()
  private count = 0

  get all(): IterableIterator<LivePod> {
    return this.byKey.values()
  }

  get(namespace: string, name: string): LivePod | undefined {
    return this.byKey.get(`${namespace}/${name}`)
  }

  /** Terminating ones too. */
  of(namespace: string, { kind, name }: PodOwner): readonly LivePod[] {
    return [...(this.byOwner.get(ownerKey(namespace, kind, name)) ?? NONE)]
  }

  on(node: string): readonly LivePod[] {
    return [...(this.byNode.get(node) ?? NONE)]
  }

  /** Names that were drawn in the namespace: none is drawn twice. */
  taken(namespace: string): Set<string> {
    let names = this.names.get(namespace)
    if (names === undefined) this.names.set(namespace, (names = new Set<string>()))
    return names
  }

  add(object: KubernetesObject, reading: ClusterPod): LivePod {
    const { namespace, name, owner, terminating, terminated } = reading
    const pod: LivePod = {
      key: `${namespace}/${name}`,
      namespace,
      name,
      ...(owner === undefined ? {} : { owner }),
      number: this.count++,
      object,
      reading,
      plugged: false,
      ended: terminated,
      ready: false,
      readyNs: 0,
      terminating,
      stopping: false,
      refused: false,
    }
    this.byKey.set(pod.key, pod)
    this.taken(namespace).add(name)
    if (owner !== undefined) add(this.byOwner, ownerKey(namespace, owner.kind, owner.name), pod)
    return pod
  }

  bind(pod: LivePod, node: string): void {
    pod.node = node
    pod.reading = { ...pod.reading, node }
    add(this.byNode, node, pod)
  }

  /** Nobody's any more. */
  release(pod: LivePod): void {
    const { namespace, owner } = pod
    if (owner !== undefined) this.byOwner.get(ownerKey(namespace, owner.kind, owner.name))?.delete(pod)
    delete pod.owner
  }

  remove(pod: LivePod): void {
    const { namespace, owner, node } = pod
    this.byKey.delete(pod.key)
    if (owner !== undefined) this.byOwner.get(ownerKey(namespace, owner.kind, owner.name))?.delete(pod)
    if (node !== undefined) this.byNode.get(node)?.delete(pod)
    pod.timer?.cancel()
  }
}

/** What counts as a replica: neither ended nor on its way out. */
export function isActive(pod: LivePod): boolean {
  return !pod.ended && !pod.terminating
}

/** @param minReadyNs spec.minReadySeconds */
export function isAvailable(pod: LivePod, minReadyNs: number, nowNs: number): boolean {
  return isActive(pod) && pod.ready && nowNs >= pod.readyNs + minReadyNs
}

function ownerKey(namespace: string, kind: string, name: string): string {
  return `${namespace}/${kind}/${name}`
}

function add(sets: Map<string, Set<LivePod>>, key: string, pod: LivePod): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([pod]))
  else set.add(pod)
}
