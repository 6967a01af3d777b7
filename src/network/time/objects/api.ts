/**
 * The API server: the objects by identity, and a version of the cluster for each moment at which some of them changed. Whoever watches is told of each
 * change at once, and adds the delay of its own watch.
 */
import { formatCidr } from '../../../base/cidr.js'
import { clusterOf, type Cluster, type ClusterResult } from '../../../cluster/cluster.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import { ProblemList } from '../../../cluster/problem-list.js'
import { Readings } from '../../../cluster/readings.js'
import { identityOf } from '../../../policy/change/edit.js'
import { isCalicoObject } from '../../../cluster/object-reference.js'
import type { RunContext } from '../agents.js'
import type { ClusterVersion } from '../network-state.js'
import { edited } from './pod-object.js'

export interface ApiOptions {
  readonly context: RunContext
  readonly cluster: Cluster
  /** Before a version is made: what is still to be written of this moment. */
  readonly beforeVersion: () => void
  readonly onVersion: (version: ClusterVersion, cause: number | undefined) => void
  /** @param was undefined: it is new @param is undefined: it is gone */
  readonly onChange: (was: KubernetesObject | undefined, is: KubernetesObject | undefined, cause: number) => void
}

export class Api {
  readonly versions: ClusterVersion[]
  readonly readings = new Readings()
  private readonly options: ApiOptions
  private readonly byIdentity = new Map<string, KubernetesObject>()
  private readonly byKind = new Map<string, Map<string, KubernetesObject>>()
  /** Of the first change since the last version; undefined: nothing changed. */
  private cause: number | undefined
  private zeroNs = 0

  constructor(options: ApiOptions) {
    this.options = options
    const { cluster } = options
    this.versions = [Object.freeze({ number: 0, atNs: 0, cluster, problems: Object.freeze([]) })]
    for (const object of cluster.objects) this.write(object)
  }

  get newest(): ClusterVersion {
    return this.versions[this.versions.length - 1]
  }

  /** Times of versions count from now on. */
  startHere(): void {
    this.zeroNs = this.options.context.simulation.nowNs
  }

  get objects(): readonly KubernetesObject[] {
    return [...this.byIdentity.values()]
  }

  ofKind(kind: string): IterableIterator<KubernetesObject> {
    return (this.byKind.get(kind) ?? new Map<string, KubernetesObject>()).values()
  }

  /** Of Kubernetes' own kinds, whose identity is their kind and name. */
  find(kind: string, namespace: string, name: string): KubernetesObject | undefined {
    return this.byKind.get(kind)?.get(keyOf(namespace, name))
  }

  current(object: KubernetesObject): KubernetesObject | undefined {
    return this.byIdentity.get(identityOf(object))
  }

  /** What the objects of the start are in an API server whose controllers run: nothing changes by it. */
  restate(object: KubernetesObject): void {
    this.write(object)
  }

  forget(object: KubernetesObject): void {
    this.erase(object)
  }

  /** Creates it or takes the place of the one of its identity. */
  put(object: KubernetesObject, cause: number): void {
    const was = this.current(object)
    this.write(object)
    this.changed(cause)
    this.options.onChange(was, object, cause)
  }

  remove(object: KubernetesObject, cause: number): void {
    const was = this.current(object)
    if (was === undefined) return
    this.erase(was)
    this.changed(cause)
    this.options.onChange(was, undefined, cause)
  }

  /** At the end of this moment there is a version; of causes that follow from one another the last is told. */
  changed(cause: number): void {
    if (this.cause !== undefined) {
      if (this.options.context.diary.chain(cause).some(({ id }) => id === this.cause)) this.cause = cause
      return
    }
    this.cause = cause
    this.options.context.timers.after(0, () => this.makeVersion())
  }

  /** As a version of these objects would be read. */
  read(objects: readonly KubernetesObject[]): ClusterResult {
    return clusterOf(objects, this.options.cluster.beside, { problems: new ProblemList(), live: this.readings })
  }

  private makeVersion(): void {
    this.options.beforeVersion()
    const { cause } = this
    this.cause = undefined
    const { cluster, problems } = this.read(this.objects)
    const atNs = this.options.context.simulation.nowNs - this.zeroNs
    const version = Object.freeze({ number: this.versions.length, atNs, cluster, problems, ...(cause === undefined ? {} : { cause }) })
    this.versions.push(version)
    // what the controller manager draws for a node stays the node's
    for (const { object, podCIDR, podCIDRAssumed } of cluster.nodes)
      if (podCIDRAssumed && podCIDR !== undefined) this.write(edited(object, ['spec', 'podCIDR'], formatCidr(podCIDR)))
    this.options.onVersion(version, cause)
  }

  private write(object: KubernetesObject): void {
    this.byIdentity.set(identityOf(object), object)
    let ofKind = this.byKind.get(object.kind)
    if (ofKind === undefined) this.byKind.set(object.kind, (ofKind = new Map<string, KubernetesObject>()))
    const key = keyOf(object.namespace, object.name)
    // a kind of Calico's that bears the name of one of Kubernetes' is not asked for by name
    if (!isCalicoObject(object)) ofKind.set(key, object)
  }

  private erase(object: KubernetesObject): void {
    this.byIdentity.delete(identityOf(object))
    if (!isCalicoObject(object)) this.byKind.get(object.kind)?.delete(keyOf(object.namespace, object.name))
  }
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`
}
