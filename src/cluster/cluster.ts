/**
 * Text of manifests → a frozen Cluster and everything that is wrong with it. The cluster is what the agents, the underlay and (later) the
 * policies start from; nothing of it changes afterwards.
 *
 *   inputs ─▶ objects ─▶ nodes, pods, workloads' pods, settings ─▶ underlay ─▶ placement ─▶ checks ─▶ Cluster
 */
import { cidr, contains, covers, formatCidr, nextCidr, overlaps, type Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import { checkPodDns } from './dns/resolver.js'
import { checkDocumentNames, checkNodeNames, checkNodes, checkPodAddresses, checkRouterNumbers, type KnownNames } from './consistency.js'
import { nameFault } from './fields.js'
import { readFlannelManifest } from './flannel-settings.js'
import { resolveEtcdInput, type EtcdServerKeys } from './etcd-snapshot.js'
import { deepFreeze, FrozenMap } from './frozen.js'
import { readIngresses, type ClusterIngresses } from './ingress/ingresses.js'
import { takeInventory } from './inventory.js'
import { CALICO_GROUPS, groupOf, kindInfo } from './kinds.js'
import { namespaceSchema, networkPolicySchema } from './kubernetes-schemas.js'
import type { Labels } from './labels.js'
import { isObject, type JsonObject } from './located.js'
import { readManifests, type Input, type KubernetesObject, type SavedAnswer } from './manifest.js'
import { readNetworkDocument, type HostSettings, type NetworkDocument } from './network-document.js'
import { checkLabels, readNode, type ClusterNode, type NodeReading } from './node.js'
import type { OutsideHost } from './outside-hosts.js'
import { checkPending } from './pending-pods.js'
import { placePods } from './placement.js'
import { readPod, type ClusterPod } from './pod.js'
import { formatPlace, ProblemList, sortProblems, type Place } from './problem-list.js'
import type { Readings } from './readings.js'
import { check } from './schema.js'
import { checkEndpoints } from './services/check-endpoints.js'
import type { ClusterService } from './services/service.js'
import { readServices } from './services/services.js'
import { resolveSettings, type Settings } from './settings.js'
import { expandWorkloads } from './workloads/expand.js'
import { buildUnderlay, checkNodeAddress, DEFAULT_MTU, type Router, type Segment, type Underlay } from './underlay.js'

export interface ClusterNamespace {
  readonly name: string
  readonly labels: Labels
  /** Absent when no object declares it: it is assumed, because something lives in it. */
  readonly object?: KubernetesObject
}

/** Kept for the policy engine, and so that a trace can say that a CNI without policies ignores it. */
interface ClusterNetworkPolicy extends Place {
  readonly namespace: string
  readonly name: string
  readonly object: KubernetesObject
}

interface Pins {
  /** By `node/device`, `namespace/pod/device` (the pod's end) or `segment/router`. */
  readonly macs: ReadonlyMap<string, Mac>
  /** Name of the host's end of a pod's veth, by `namespace/pod/device`. */
  readonly devices: ReadonlyMap<string, string>
}

/** Deeply frozen. Lists are in the order of the input. */
export interface Cluster extends Settings, ClusterIngresses {
  readonly nodes: readonly ClusterNode[]
  readonly namespaces: readonly ClusterNamespace[]
  /** Terminated and pending ones too. */
  readonly pods: readonly ClusterPod[]
  /** Running pods on a node, on the pod network and without an address: for IPAM, in the order of their creation. */
  readonly addressRequests: readonly ClusterPod[]
  /** Where time has passed: the address that IPAM gave last on a node, whoever has it now (host-local's last_reserved_ip.0). */
  readonly lastAddresses?: ReadonlyMap<string, Ip>
  readonly networkPolicies: readonly ClusterNetworkPolicy[]
  /** In the order of `ns/name`. */
  readonly services: readonly ClusterService[]
  readonly segments: readonly Segment[]
  readonly routers: readonly Router[]
  readonly outsideHosts: readonly OutsideHost[]
  readonly hosts: readonly HostSettings[]
  readonly pins: Pins
  readonly networkDocument?: NetworkDocument
  /** All of the input, also what plays no part. */
  readonly objects: readonly KubernetesObject[]
  readonly beside: Beside
  readonly nodeByName: ReadonlyMap<string, ClusterNode>
  readonly nodeByAddress: ReadonlyMap<Ip, ClusterNode>
  /** By `namespace/name`. */
  readonly podByName: ReadonlyMap<string, ClusterPod>
  /** Living pods of the pod network; under plain docker several may have one address. */
  readonly podsByAddress: ReadonlyMap<Ip, readonly ClusterPod[]>
}

export interface ClusterResult {
  /** As good as the input allows; of use when no Problem is an error. */
  readonly cluster: Cluster
  readonly problems: readonly Problem[]
}

/** What does not come from a file. */
export interface Given {
  /** What a real etcd holds; takes the place of every snapshot among the files and of spec.etcd. */
  readonly etcd?: EtcdServerKeys
  /** Where flannel's keys are; default: what a snapshot says, else /coreos.com/network. */
  readonly etcdPrefix?: string
}

/** What a cluster is read from beside its objects: with it a later state of the objects is read the same way. */
export interface Beside {
  readonly answers: readonly SavedAnswer[]
  /** False when some of the input could not be read: then a missing object proves nothing. */
  readonly complete: boolean
  readonly given: Given
  /** In their order. */
  readonly files: readonly string[]
}

/** Never throws on bad input. */
export function buildCluster(inputs: readonly Input[], given: Given = {}): ClusterResult {
  const problems = new ProblemList()
  const { objects, answers, complete } = readManifests(inputs, problems)
  return clusterOf(objects, { answers, complete, given, files: inputs.map(({ file }) => file) }, { problems })
}

interface Reading {
  /** What was wrong already; takes what is found. */
  readonly problems: ProblemList
  /**
   * The objects are those of an API server whose controllers and scheduler run: no pods are made and none is given a node here, and names of what is gone
   * are no mistake. Of an object that was read before the reading is kept.
   */
  readonly live?: Readings
}

/** Objects → the cluster. Never throws on bad input. */
export function clusterOf(objects: readonly KubernetesObject[], beside: Beside, { problems, live }: Reading): ClusterResult {
  const { answers, complete, given } = beside
  takeInventory(objects, problems)
  const usable = objects.filter((object) => kindInfo(object.apiVersion, object.kind)?.apiVersions?.includes(object.apiVersion) !== false)
  const document = readDocument(usable, problems)
  const readings = ofKind(usable, 'Node').flatMap((object) => (live === undefined ? readNode(object, problems) : live.read(readNode, object, problems)) ?? [])
  const podObjects = ofKind(usable, 'Pod')
  const writtenPods = podObjects.flatMap((object) => (live === undefined ? readPod(object, problems) : live.read(readLivePod, object, problems)) ?? [])
  const madePods = live === undefined ? expandWorkloads({ pods: writtenPods, objects: usable, nodes: readings }, problems) : []
  const readPods = [...writtenPods, ...madePods]
  const known = namesOf(objects, madePods, complete)
  checkNodes(readings, problems)
  if (live === undefined) checkNodeNames(oneOfEach(readPods), known, problems)
  const manifest = readFlannelManifest(usable, problems)
  const version = document?.flannel.version ?? manifest.version
  const told = { ...(given.etcdPrefix === undefined ? {} : { prefix: given.etcdPrefix }), ...(version === undefined ? {} : { version }) }
  const etcd = resolveEtcdInput({ ...told, ...(given.etcd === undefined ? {} : { server: given.etcd }), document, objects: usable, answers }, problems)
  const settings = resolveSettings({ document, manifest, etcd, objects: usable, nodes: readings }, problems)
  const underlay = buildUnderlay(document, readings, problems)
  const nodes = completeNodes(readings, readPods, { settings, underlay }, problems)
  const services = readServices(ofKind(usable, 'Service'), { ...settings, nodes, ...document?.loadBalancer }, problems)
  const networkPolicies = readPolicies(usable, settings, problems)
  const namespaces = readNamespaces(usable, readPods, networkPolicies, problems)
  const pods = completePods(live === undefined ? placePods(readPods, readings, namespaces) : readPods, nodes)
  checkPodAddresses(pods, nodes, settings, problems)
  if (live === undefined) checkPending(pods, nodes, known, problems)
  if (document !== undefined && live === undefined)
    checkDocumentNames(
      document,
      underlay.segments.map(({ name }) => name),
      known,
      problems,
    )
  if (document !== undefined) checkRouterNumbers(document, settings, problems)
  checkEndpoints({ services, pods, objects: usable }, problems)
  if (live === undefined) for (const pod of oneOfEach(readPods)) checkPodDns(pod, problems)
  const ingresses = readIngresses({ objects: usable, services, pods, complete }, problems)
  const cluster = assemble({ settings, underlay, nodes, pods, namespaces, networkPolicies, services, ingresses, document, objects, beside })
  return { cluster, problems: Object.freeze(sortProblems(problems.problems, beside.files)) }
}

/** Copies of a template say nothing of their own: what is wrong with it was told of the workload. One without a node waits for its kubelet or for a node. */
function readLivePod(object: KubernetesObject, problems: ProblemList): ClusterPod | undefined {
  const own = new ProblemList()
  const pod = readPod(object, own)
  if (pod === undefined) return undefined
  if (pod.owner === undefined) {
    checkPodDns(pod, own)
    problems.problems.push(...own.problems)
  }
  return pod.node === undefined && !pod.terminated ? { ...pod, pending: pendingReason(object) } : pod
}

function pendingReason({ value }: KubernetesObject): string {
  const conditions = isObject(value.status) && Array.isArray(value.status.conditions) ? value.status.conditions : []
  const scheduled = conditions.find((condition: unknown) => isObject(condition) && condition.type === 'PodScheduled') as JsonObject | undefined
  return typeof scheduled?.message === 'string' ? scheduled.message : 'it is new: no node has been chosen yet'
}

function ofKind(objects: readonly KubernetesObject[], kind: string): readonly KubernetesObject[] {
  return objects.filter((object) => object.kind === kind && !CALICO_GROUPS.includes(groupOf(object.apiVersion)))
}

/** Copies of one template share what it says: a mistake in it is told once. */
function oneOfEach(pods: readonly ClusterPod[]): ClusterPod[] {
  return [...new Map(pods.map((pod) => [pod.object, pod])).values()]
}

function namesOf(objects: readonly KubernetesObject[], made: readonly ClusterPod[], complete: boolean): KnownNames {
  return {
    nodes: new Set(ofKind(objects, 'Node').map(({ name }) => name)),
    pods: new Set([...ofKind(objects, 'Pod'), ...made].map(({ namespace, name }) => `${namespace}/${name}`)),
    complete,
  }
}

function readDocument(objects: readonly KubernetesObject[], problems: ProblemList): NetworkDocument | undefined {
  const [first, ...more] = objects.filter((object) => object.apiVersion === 'netsim/v1' && object.kind === 'Network')
  for (const other of more)
    problems.error(other, other.label, `a second Network document; the first stands in ${formatPlace(first)}`, 'One document says it all: merge the two.')
  return first === undefined ? undefined : readNetworkDocument(first, problems)
}

interface Surroundings {
  readonly settings: Settings
  readonly underlay: Underlay
}

function completeNodes(
  readings: readonly NodeReading[],
  pods: readonly ClusterPod[],
  { settings, underlay }: Surroundings,
  problems: ProblemList,
): ClusterNode[] {
  const assumed =
    (settings.cni === 'flannel' || settings.cni === 'canal') && settings.datastore === 'kubernetes'
      ? assumePodCidrs(readings, pods, settings.clusterCIDR, problems)
      : new Map<string, Cidr>()
  return readings.map((reading) => {
    const segment = checkNodeAddress(reading, underlay.segments, problems)
    const podCIDR = reading.podCIDR ?? assumed.get(reading.name)
    return {
      ...reading,
      segment: segment?.name ?? '',
      prefixLength: segment?.cidr.length ?? 24,
      mtu: reading.mtu ?? segment?.mtu ?? DEFAULT_MTU,
      ...(podCIDR === undefined ? {} : { podCIDR }),
      podCIDRAssumed: reading.podCIDR === undefined && podCIDR !== undefined,
    }
  })
}

const NODE_CIDR_LENGTH = 24

/**
 * flannel on the Kubernetes API lives from spec.podCIDR; where a manifest leaves it out netsim stands in for the controller manager
 * (--allocate-node-cidrs, node-cidr-mask-size 24): the prefix of an address that a pod of the node has, else the lowest free one.
 */
function assumePodCidrs(nodes: readonly NodeReading[], pods: readonly ClusterPod[], clusterCIDR: Cidr | undefined, problems: ProblemList): Map<string, Cidr> {
  const assumed = new Map<string, Cidr>()
  const lacking = nodes.filter(({ podCIDR }) => podCIDR === undefined)
  const used = nodes.flatMap(({ podCIDR }) => podCIDR ?? [])
  const isFree = (prefix: Cidr): boolean => clusterCIDR !== undefined && covers(clusterCIDR, prefix) && !used.some((other) => overlaps(other, prefix))
  const assume = (node: NodeReading, prefix: Cidr): void => {
    used.push(prefix)
    assumed.set(node.name, prefix)
  }
  for (const node of lacking) {
    const prefixes = pods
      .filter((pod) => pod.node === node.name && pod.address !== undefined && !pod.terminated)
      .map((pod) => cidr(pod.address as Ip, NODE_CIDR_LENGTH))
    const inUse = prefixes.find(isFree)
    if (inUse !== undefined) assume(node, inUse)
  }
  let candidate = clusterCIDR === undefined ? undefined : cidr(clusterCIDR.base, NODE_CIDR_LENGTH)
  for (const node of lacking) {
    if (!assumed.has(node.name)) {
      while (candidate !== undefined && clusterCIDR !== undefined && contains(clusterCIDR, candidate.base) && !isFree(candidate))
        candidate = following(candidate, clusterCIDR)
      if (candidate !== undefined && isFree(candidate)) assume(node, candidate)
    }
    const prefix = assumed.get(node.name)
    if (prefix === undefined)
      problems.error(
        node.object.at('spec'),
        node.object.label,
        "the node has no podCIDR, and the cluster's CIDR has none left",
        'flannel needs spec.podCIDR on every node.',
      )
    else problems.warning(node.object.at('spec'), node.object.label, `the node has no podCIDR; taken to be ${formatCidr(prefix)}`, 'Write spec.podCIDR.')
  }
  return assumed
}

/** undefined past the end of the cluster's prefix. */
function following(prefix: Cidr, clusterCIDR: Cidr): Cidr | undefined {
  const next = nextCidr(prefix)
  return contains(clusterCIDR, next.base) && next.base >>> 0 > prefix.base >>> 0 ? next : undefined
}

/** A pod on the host's network has its node's address. */
function completePods(pods: readonly ClusterPod[], nodes: readonly ClusterNode[]): ClusterPod[] {
  const addresses = new Map(nodes.map(({ name, address }) => [name, address]))
  return pods.map((pod) => {
    const address = pod.hostNetwork && pod.node !== undefined ? addresses.get(pod.node) : undefined
    return address === undefined ? pod : { ...pod, address }
  })
}

function readPolicies(objects: readonly KubernetesObject[], settings: Settings, problems: ProblemList): ClusterNetworkPolicy[] {
  const found = ofKind(objects, 'NetworkPolicy')
  const policies: ClusterNetworkPolicy[] = []
  for (const object of found) {
    if (check(networkPolicySchema(), object, problems, 'hint') !== undefined)
      policies.push({ namespace: object.namespace, name: object.name, object, file: object.file, line: object.line })
  }
  if (policies.length > 0 && (settings.cni === 'flannel' || settings.cni === 'none')) {
    const who = settings.cni === 'flannel' ? 'flannel' : 'plain docker'
    problems.warning(
      policies[0],
      policies[0].object.label,
      `${policies.length === 1 ? 'the NetworkPolicy has' : `the ${policies.length} NetworkPolicies have`} no effect: ` +
        `${who} does not enforce ${policies.length === 1 ? 'it' : 'them'}`,
      "Canal adds Calico's enforcement to flannel.",
    )
  }
  return policies
}

/** Declared ones first, then those that pods and policies live in; `default` always exists. */
function readNamespaces(
  objects: readonly KubernetesObject[],
  pods: readonly ClusterPod[],
  policies: readonly ClusterNetworkPolicy[],
  problems: ProblemList,
): ClusterNamespace[] {
  const namespaces = new Map<string, ClusterNamespace>()
  for (const object of ofKind(objects, 'Namespace')) {
    const value = check(namespaceSchema(), object, problems, 'hint')
    const fault = nameFault(object.name, 'label')
    if (fault !== undefined) problems.error(object.at('metadata', 'name'), object.label, fault.what, fault.fix)
    const labels = value?.metadata.labels ?? {}
    checkLabels(labels, object, problems)
    namespaces.set(object.name, { name: object.name, labels: { ...labels, 'kubernetes.io/metadata.name': object.name }, object })
  }
  for (const name of ['default', ...pods.map(({ namespace }) => namespace), ...policies.map(({ namespace }) => namespace)]) {
    if (!namespaces.has(name)) namespaces.set(name, { name, labels: { 'kubernetes.io/metadata.name': name } })
  }
  return [...namespaces.values()]
}

interface Parts extends Surroundings {
  readonly nodes: readonly ClusterNode[]
  readonly pods: readonly ClusterPod[]
  readonly namespaces: readonly ClusterNamespace[]
  readonly networkPolicies: readonly ClusterNetworkPolicy[]
  readonly services: readonly ClusterService[]
  readonly ingresses: ClusterIngresses
  readonly document: NetworkDocument | undefined
  readonly objects: readonly KubernetesObject[]
  readonly beside: Beside
}

function assemble({ settings, underlay, nodes, pods, namespaces, networkPolicies, services, ingresses, document, objects, beside }: Parts): Cluster {
  const onPodNetwork = pods.filter((pod) => !pod.hostNetwork && !pod.terminated)
  const nodeNames = new Set(nodes.map(({ name }) => name))
  const podsByAddress = new Map<Ip, ClusterPod[]>()
  for (const pod of onPodNetwork) if (pod.address !== undefined) podsByAddress.set(pod.address, [...(podsByAddress.get(pod.address) ?? []), pod])
  return deepFreeze({
    ...settings,
    nodes,
    namespaces,
    pods,
    addressRequests: onPodNetwork.filter((pod) => pod.address === undefined && pod.node !== undefined && nodeNames.has(pod.node)),
    networkPolicies,
    services,
    ...ingresses,
    segments: underlay.segments,
    routers: underlay.routers,
    outsideHosts: underlay.outsideHosts,
    hosts: document?.hosts ?? [],
    pins: {
      macs: new FrozenMap((document?.macs ?? []).map(({ key, value }) => [key, value])),
      devices: new FrozenMap((document?.devices ?? []).map(({ key, value }) => [key, value])),
    },
    ...(document === undefined ? {} : { networkDocument: document }),
    objects,
    beside: { ...beside, answers: [...beside.answers], given: { ...beside.given } },
    nodeByName: new FrozenMap(nodes.map((node) => [node.name, node])),
    nodeByAddress: new FrozenMap(nodes.map((node) => [node.address, node])),
    podByName: new FrozenMap(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod])),
    podsByAddress: new FrozenMap<Ip, readonly ClusterPod[]>([...podsByAddress]),
  })
}
