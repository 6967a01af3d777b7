/** What the API has when an event happens, as far as a scenario says it: the input, what earlier events applied, less what they deleted. */
import { groupOf } from '../kinds.js'
import type { Cluster } from '../cluster.js'
import type { KubernetesObject } from '../manifest.js'
import { nearestName } from '../nearest-name.js'
import { findObject, isFault, parseReference, type Fault, type Reference } from '../object-reference.js'
import { formatPlace, type Place } from '../problem-list.js'

/** What controllers call the pods that they make: a hash and five letters, five letters, a number. */
const POD_TAILS: Readonly<Record<string, RegExp>> = {
  Deployment: /^[a-z0-9]+-[a-z0-9]{5}$/,
  ReplicaSet: /^[a-z0-9]{5}$/,
  ReplicationController: /^[a-z0-9]{5}$/,
  DaemonSet: /^[a-z0-9]{5}$/,
  StatefulSet: /^[0-9]+$/,
  PetSet: /^[0-9]+$/,
  Job: /^([0-9]+-)?[a-z0-9]{5}$/,
  CronJob: /^[0-9]+-([0-9]+-)?[a-z0-9]{5}$/,
}

const identityOf = (object: KubernetesObject): string => `${groupOf(object.apiVersion)}\n${object.label}`

export class KnownObjects {
  /** All that ever was. */
  readonly ever: Map<string, KubernetesObject>
  private readonly now: Map<string, KubernetesObject>
  private readonly gone = new Map<string, Place>()
  private readonly cluster: Cluster
  private readonly namespace: string

  /** @param namespace of references that name none */
  constructor(cluster: Cluster, namespace: string) {
    this.cluster = cluster
    this.namespace = namespace
    this.now = new Map(cluster.objects.map((object) => [identityOf(object), object]))
    this.ever = new Map(this.now)
  }

  apply(objects: readonly KubernetesObject[]): void {
    for (const object of objects) {
      this.now.set(identityOf(object), object)
      this.ever.set(identityOf(object), object)
      this.gone.delete(object.label)
    }
  }

  /** As it is after what was told so far. */
  get objects(): readonly KubernetesObject[] {
    return [...this.now.values()]
  }

  /** A namespace with all that is in it. @param place of the event */
  delete(object: KubernetesObject, place: Place): void {
    const goes = object.kind === 'Namespace' ? [object, ...[...this.now.values()].filter(({ namespace }) => namespace === object.name)] : [object]
    for (const one of goes) {
      this.now.delete(identityOf(one))
      this.gone.set(one.label, place)
    }
  }

  /** The object; undefined for a pod that a workload makes (or will have made by then). */
  find(text: string): KubernetesObject | Fault | undefined {
    const objects = [...this.now.values()]
    const reference = parseReference(text, [...this.ever.values()])
    if (isFault(reference)) return reference
    const found = findObject(objects, reference, this.namespace)
    if (!isFault(found)) return found
    const namespace = reference.namespace ?? this.namespace
    if (reference.kind === 'Pod' && this.hasMadePod(namespace, reference.name)) return undefined
    if (reference.kind === 'Namespace' && this.livesIn(reference.name)) return undefined
    const deleted = this.gone.get(`${reference.kind}/${namespace}/${reference.name}`) ?? this.gone.get(`${reference.kind}/${reference.name}`)
    if (deleted !== undefined) return { what: found.what, fix: `It is deleted before, in ${formatPlace(deleted)}.` }
    return { what: found.what, fix: found.fix === '' || reference.kind === 'Pod' ? this.suggest(reference, found.fix) : found.fix }
  }

  /** A name of the input or of something applied, at whatever time. */
  everHadPod(namespace: string, name: string): boolean {
    const has = [...this.ever.values()].some((object) => object.kind === 'Pod' && object.namespace === namespace && object.name === name)
    return has || this.cluster.podByName.has(`${namespace}/${name}`) || [...this.ever.values()].some((object) => couldMake(object, namespace, name))
  }

  private hasMadePod(namespace: string, name: string): boolean {
    const pod = this.cluster.podByName.get(`${namespace}/${name}`)
    const objects = [...this.now.values()]
    if (pod !== undefined && pod.object.kind !== 'Pod' && objects.some(({ label }) => label === pod.object.label)) return true
    return objects.some((object) => couldMake(object, namespace, name))
  }

  /** Nobody need declare a namespace here. */
  private livesIn(namespace: string): boolean {
    return !this.gone.has(`Namespace/${namespace}`) && (namespace === 'default' || [...this.now.values()].some((object) => object.namespace === namespace))
  }

  private suggest({ kind, namespace = this.namespace, name, text }: Reference, fix: string): string {
    if (kind !== 'Pod') return fix
    const names = this.cluster.pods.filter((pod) => pod.namespace === namespace).map((pod) => pod.name)
    const near = nearestName(name, names)
    if (near !== undefined) return `Did you mean ${text.split('/')[0]}/${namespace}/${near}?`
    return names.length === 0 || names.length > 12 ? fix : `Pods of ${namespace}: ${names.join(', ')}.`
  }
}

/** Whether a pod of that name may be the workload's. */
function couldMake(object: KubernetesObject, namespace: string, name: string): boolean {
  if (object.namespace !== namespace || !Object.hasOwn(POD_TAILS, object.kind) || !name.startsWith(`${object.name}-`)) return false
  return POD_TAILS[object.kind].test(name.slice(object.name.length + 1))
}
