/**
 * The input as an API server whose controllers run would hold it: pods that workloads make are objects, with the node and the address that the network of the
 * input gave them; Deployments have their ReplicaSets. Nothing of the network changes by it: later versions go on from here.
 */
import type { Ip } from '../../../base/ip.js'
import { formatCidr } from '../../../base/cidr.js'
import type { Cluster } from '../../../cluster/cluster.js'
import { matchesSelector, type LabelSelector } from '../../../cluster/labels.js'
import { isObject, valueAt } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import type { ClusterPod, PodOwner } from '../../../cluster/pod.js'
import { allEndpoints } from '../../../cluster/services/endpoints.js'
import type { ServiceEndpoints } from '../../../cluster/services/service.js'
import { isExpanded } from '../../../cluster/workloads/expand.js'
import { HASH_LABEL } from '../../../cluster/workloads/replicated.js'
import { isOwnedBy, isPaused, replicaSetOf } from './deployments.js'
import type { Api } from './api.js'
import type { LivePods } from './live-pods.js'
import { edited, ownerReferences, podObject, runningPod } from './pod-object.js'
import { replicasOf } from './replica-controllers.js'
import type { Revisions } from './revisions.js'
import { templateOf } from './templates.js'
import { templateHash } from '../../../cluster/workloads/names.js'

/** Pods of the input have been ready for as long as anybody asks, ns. */
const LONG_AGO = -1e15

interface Parts {
  readonly api: Api
  readonly pods: LivePods
  readonly revisions: Revisions
  readonly addressOf: (cluster: Cluster, pod: ClusterPod) => Ip | undefined
}

/** @returns what is left as it was written although controllers would write it anew, in words */
export function materialise({ api, pods, revisions, addressOf }: Parts): readonly string[] {
  const { cluster } = api.versions[0]
  const workloads = cluster.objects.filter(isExpanded)
  const adopted = adoptions(cluster, workloads)
  for (const pod of cluster.pods) {
    const owner = pod.owner ?? adopted.get(pod)
    const owned: ClusterPod = owner === undefined ? pod : { ...pod, owner }
    const own = pod.assumed
      ? podObject(owned)
      : pod.owner === owner
        ? pod.object
        : edited(pod.object, ['metadata', 'ownerReferences'], ownerReferences(pod.namespace, owner as PodOwner))
    const runs = pod.node !== undefined && !pod.terminated
    const address = runs ? addressOf(cluster, pod) : undefined
    const object = runs ? asRunning(own, pod, address) : own
    const live = pods.add(object, owned)
    api.restate(object)
    if (pod.node !== undefined) pods.bind(live, pod.node)
    live.plugged = runs
    live.ready = runs && pod.ready
    live.readyNs = LONG_AGO
  }
  for (const node of cluster.nodes)
    if (node.podCIDRAssumed && node.podCIDR !== undefined) api.restate(edited(node.object, ['spec', 'podCIDR'], formatCidr(node.podCIDR)))
  for (const workload of workloads) {
    if (workload.kind === 'Deployment') for (const set of missingSets(workload, cluster, pods)) api.restate(set)
    else if (['StatefulSet', 'PetSet', 'DaemonSet'].includes(workload.kind)) revisions.current(workload, revisionLabel(workload, pods))
  }
  return forgetListings(api, cluster)
}

function asRunning(object: KubernetesObject, pod: ClusterPod, address: Ip | undefined): KubernetesObject {
  const given = address === undefined || pod.hostNetwork ? {} : { address }
  const running = runningPod(object, { node: pod.node as string, ...given, ready: pod.ready })
  return valueAt(running.value, ['status', 'phase']) === pod.phase ? running : edited(running, ['status', 'phase'], pod.phase)
}

/** Living pods that nobody owns belong to the workload that selects them; to a Deployment's ReplicaSet by its label. */
function adoptions(cluster: Cluster, workloads: readonly KubernetesObject[]): ReadonlyMap<ClusterPod, PodOwner> {
  const adopted = new Map<ClusterPod, PodOwner>()
  const orphans = cluster.pods.filter(({ owner, terminated, terminating }) => owner === undefined && !terminated && !terminating)
  if (orphans.length === 0) return adopted
  for (const workload of workloads) {
    const selector = selectorOf(workload)
    if (selector === undefined) continue
    for (const pod of orphans) {
      if (pod.namespace !== workload.namespace || adopted.has(pod) || !matchesSelector(selector, pod.labels)) continue
      const owner = ownerOf(workload, pod)
      if (owner !== undefined) adopted.set(pod, owner)
    }
  }
  return adopted
}

function ownerOf({ kind, name }: KubernetesObject, pod: ClusterPod): PodOwner | undefined {
  if (kind === 'Deployment') return pod.labels[HASH_LABEL] === undefined ? undefined : { kind: 'ReplicaSet', name: `${name}-${pod.labels[HASH_LABEL]}` }
  if (kind === 'StatefulSet' || kind === 'PetSet')
    return pod.name.startsWith(`${name}-`) && /^[0-9]+$/.test(pod.name.slice(name.length + 1)) ? { kind, name } : undefined
  return kind === 'Job' ? undefined : { kind, name }
}

/** In force; a Job's is its own business. */
export function selectorOf({ kind, value }: KubernetesObject): LabelSelector | undefined {
  const selector = valueAt(value, ['spec', 'selector'])
  const labels = valueAt(value, ['spec', 'template', 'metadata', 'labels'])
  const written = isObject(selector) && Object.keys(selector).length > 0 ? selector : undefined
  if (kind === 'ReplicationController')
    return isObject(written ?? labels) ? { matchLabels: (written ?? labels) as Readonly<Record<string, string>> } : undefined
  if (written === undefined) return isObject(labels) && kind !== 'Job' ? { matchLabels: labels as Readonly<Record<string, string>> } : undefined
  return written
}

/** The ReplicaSets that its pods say they have; one at least, unless it is paused. */
function missingSets(deployment: KubernetesObject, cluster: Cluster, pods: LivePods): readonly KubernetesObject[] {
  const { namespace, name } = deployment
  const sets = cluster.objects.filter((object) => object.kind === 'ReplicaSet' && object.namespace === namespace && isOwnedBy(object, name))
  if (sets.length > 0) return []
  const counts = new Map<string, number>()
  const selector = selectorOf(deployment)
  for (const { owner, ended, reading } of pods.all) {
    if (reading.namespace !== namespace || owner?.kind !== 'ReplicaSet' || ended) continue
    if (owner.name.slice(0, owner.name.lastIndexOf('-')) !== name || selector === undefined || !matchesSelector(selector, reading.labels)) continue
    counts.set(owner.name, (counts.get(owner.name) ?? 0) + 1)
  }
  if (counts.size === 0) {
    if (isPaused(deployment)) return []
    return [
      replicaSetOf(deployment, { hash: templateHash(templateOf(deployment)), revision: 1, replicas: replicasOf(deployment), most: replicasOf(deployment) }),
    ]
  }
  // of several the one with most pods is taken to be the newest
  return [...counts]
    .sort(([, a], [, b]) => a - b)
    .map(([set, replicas], at) =>
      replicaSetOf(deployment, { name: set, hash: set.slice(name.length + 1), revision: at + 1, replicas, most: replicasOf(deployment) }),
    )
}

/** What its pods bear: a live one's hash is the controller's own. */
function revisionLabel({ kind, name, namespace }: KubernetesObject, pods: LivePods): string | undefined {
  return pods.of(namespace, { kind, name }).find(({ reading }) => reading.labels['controller-revision-hash'] !== undefined)?.reading.labels[
    'controller-revision-hash'
  ]
}

/** Listings of Services with a selector are written by controllers: where they say what the pods say, the pods say it from now on. */
function forgetListings(api: Api, cluster: Cluster): readonly string[] {
  const selecting = new Set(cluster.services.filter(({ selector }) => selector !== undefined).map(({ namespace, name }) => `${namespace}/${name}`))
  const listings = cluster.objects.filter((object) => selecting.has(serviceOf(object) ?? ''))
  if (listings.length === 0) return []
  const listed = new Map(allEndpoints(cluster, () => undefined).map((one) => [`${one.service.namespace}/${one.service.name}`, wordsOf(one)]))
  const bare = { ...cluster, objects: cluster.objects.filter((object) => !listings.includes(object)) }
  const ofPods = new Map(allEndpoints(bare, () => undefined).map((one) => [`${one.service.namespace}/${one.service.name}`, wordsOf(one)]))
  const kept: string[] = []
  for (const listing of listings) {
    const service = serviceOf(listing) as string
    if (listed.get(service) === ofPods.get(service)) api.forget(listing)
    else kept.push(`${listing.label} lists other endpoints than the pods of Service/${service}: it is kept as it is written`)
  }
  return kept
}

function serviceOf({ kind, namespace, name, value }: KubernetesObject): string | undefined {
  if (kind === 'Endpoints') return `${namespace}/${name}`
  const service = kind === 'EndpointSlice' ? valueAt(value, ['metadata', 'labels', 'kubernetes.io/service-name']) : undefined
  return typeof service === 'string' ? `${namespace}/${service}` : undefined
}

function wordsOf({ ports }: ServiceEndpoints): string {
  return JSON.stringify(ports.map(({ endpoints }) => endpoints.map(({ address, port, node, ready }) => [address, port, node, ready])))
}
