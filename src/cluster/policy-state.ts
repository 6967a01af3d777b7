/**
 * Text of manifests → everything that the meaning of policies depends on, typed: pods (written, and those that workloads make), namespaces,
 * nodes, Services, Ingresses, policies of every kind, and who enforces them. It asks for nothing that only packets need: nodes may be absent,
 * and addresses, and what is wrong with a Service's node port plays no part.
 *
 *   inputs ─▶ objects ─▶ pods, templates, namespaces … ─▶ policies by kind ─▶ PolicyState ─▶ policy/world.ts
 */
import type { Problem } from '../base/problem.js'
import type { AdminNetworkPolicy } from './admin-network-policy.js'
import { readClusterNetworkPolicy } from './calico/read-cluster-network-policy.js'
import { byName, calicoObjects, sound, type Reader } from './calico/calico-resources.js'
import { CLUSTER_POLICY_GROUP, type ClusterNetworkPolicy } from './calico/cluster-network-policy.js'
import type { HostEndpoint } from './calico/endpoint.js'
import type { KubernetesNetworkPolicy } from './calico/kubernetes-policy.js'
import type { NetworkSet } from './calico/network-set.js'
import type { CalicoPolicy, Profile, Tier } from './calico/policy.js'
import { readHostEndpoint, readNetworkSet } from './calico/read-endpoint.js'
import { readKubernetesPolicy } from './calico/read-kubernetes-policy.js'
import { readCalicoPolicy, readProfile, readTier } from './calico/read-policy.js'
import { nameFault } from './fields.js'
import { nameForeignPolicies } from './foreign-policy.js'
import type { Ingress } from './ingress/ingress.js'
import { readIngress } from './ingress/read-ingress.js'
import { takeInventory } from './inventory.js'
import { CALICO_GROUPS, groupOf, kindInfo } from './kinds.js'
import { namespaceSchema, nodeSchema } from './kubernetes-schemas.js'
import type { Labels } from './labels.js'
import { readManifests, type Input, type KubernetesObject, type SavedAnswer } from './manifest.js'
import { checkLabels } from './node.js'
import { readPod, type ClusterPod } from './pod.js'
import { findPolicyEngine, type PolicyEngine } from './policy-engine.js'
import { ProblemList, sortProblems, type Place } from './problem-list.js'
import type { Readings } from './readings.js'
import { readAdminNetworkPolicy } from './read-admin-network-policy.js'
import { readRoute, type Route } from './route.js'
import { check } from './schema.js'
import { readService } from './services/read-service.js'
import type { ClusterService } from './services/service.js'
import { expandWorkloads } from './workloads/expand.js'
import { readTemplates } from './workloads/workload-templates.js'
import { YAML_FAULT } from './yaml-text.js'

export interface StateNamespace {
  readonly name: string
  readonly labels: Labels
  /** Absent when no object declares it: it is assumed, because something lives in it. */
  readonly object?: KubernetesObject
}

export interface StateNode extends Place {
  readonly name: string
  readonly labels: Labels
  readonly annotations: Labels
  /** Of both families, as written; whatever is no address was left out. */
  readonly addresses: readonly string[]
}

export interface StateServiceAccount extends Place {
  readonly namespace: string
  readonly name: string
  readonly labels: Labels
}

/** Lists are in the order of the input, those of Calico's kinds in the order of names. What an API server refuses is not in them. */
export interface PolicyState {
  /** All of the input, also what plays no part. */
  readonly objects: readonly KubernetesObject[]
  /** What etcdctl or curl saved: of Calico's classic model it may hold policies. */
  readonly answers: readonly SavedAnswer[]
  /** False: part of the input could not be read, so that a missing object proves nothing. */
  readonly complete: boolean
  /** Declared ones first, then those that something lives in; each with its label kubernetes.io/metadata.name. */
  readonly namespaces: readonly StateNamespace[]
  /** As written, terminated ones too. */
  readonly pods: readonly ClusterPod[]
  /** Those that controllers make of their templates. */
  readonly madePods: readonly ClusterPod[]
  /** One of each workload of the input, whether or not it has pods: its name is the workload's. */
  readonly templates: readonly ClusterPod[]
  /** Those of `templates` whose workload has no pod, and would have some day (replicas: 0, a CronJob); not those that another workload owns. */
  readonly idle: readonly ClusterPod[]
  readonly nodes: readonly StateNode[]
  readonly services: readonly ClusterService[]
  readonly ingresses: readonly Ingress[]
  readonly routes: readonly Route[]
  readonly serviceAccounts: readonly StateServiceAccount[]
  /** Of Kubernetes, and Calico's staged ones of that kind. */
  readonly kubernetesPolicies: readonly KubernetesNetworkPolicy[]
  /** Those and the baselines; the kind tells them apart. */
  readonly adminNetworkPolicies: readonly AdminNetworkPolicy[]
  readonly clusterNetworkPolicies: readonly ClusterNetworkPolicy[]
  readonly calicoPolicies: readonly CalicoPolicy[]
  readonly calicoTiers: readonly Tier[]
  readonly profiles: readonly Profile[]
  /** Namespaced and global ones. */
  readonly networkSets: readonly NetworkSet[]
  readonly hostEndpoints: readonly HostEndpoint[]
  readonly engine: PolicyEngine
  /** Other engines have policies or networks here that are not modelled; they were named. */
  readonly foreign: boolean
  /** Policies (by label: `NetworkPolicy/shop/db`) that are not above because an API server would refuse them, or that contradict one another. */
  readonly refused: readonly string[]
}

export interface PolicyStateResult {
  /** As good as the input allows. */
  readonly state: PolicyState
  readonly problems: readonly Problem[]
}

export interface PolicyStateOptions {
  /** Of a file with a fault of its YAML what stands behind the fault is left out: readers that go on document by document stop there. */
  readonly upToFaults?: boolean
  /** Kept for states that are edited from this one. */
  readonly readings?: Readings
}

/** Never throws on bad input. */
export function readPolicyState(inputs: readonly Input[], { upToFaults = false, readings }: PolicyStateOptions = {}): PolicyStateResult {
  const problems = new ProblemList()
  const { objects, answers, complete } = readManifests(inputs, problems)
  const { state, problems: more } = policyStateOf({ objects: upToFaults ? beforeFaults(objects, problems) : objects, answers, complete }, readings)
  // two that differ under one name
  const contradictory = problems.problems.filter(({ severity, object }) => severity === 'error' && isPolicyLabel(object)).map(({ object }) => object)
  const refused = [...new Set([...state.refused, ...contradictory])]
  return {
    state: { ...state, refused },
    problems: sortProblems(
      [...problems.problems, ...more],
      inputs.map(({ file }) => file),
    ),
  }
}

function beforeFaults(objects: readonly KubernetesObject[], { problems }: ProblemList): readonly KubernetesObject[] {
  const faults = new Map<string, number>()
  for (const { file, line, object, what } of problems)
    if (object === '' && what.startsWith(YAML_FAULT)) faults.set(file, Math.min(line, faults.get(file) ?? Infinity))
  return objects.filter(({ file, line }) => line < (faults.get(file) ?? Infinity))
}

interface Manifests {
  readonly objects: readonly KubernetesObject[]
  readonly answers?: readonly SavedAnswer[]
  readonly complete: boolean
}

/** The same of objects that are there already: a state that was edited. @param readings of the state before, and then of this one, too */
export function policyStateOf({ objects, answers = [], complete }: Manifests, readings?: Readings): PolicyStateResult {
  const problems = new ProblemList()
  takeInventory(objects, problems, 'policies')
  const foreign = nameForeignPolicies(objects, problems)
  const usable = objects.filter((object) => kindInfo(object.apiVersion, object.kind)?.apiVersions?.includes(object.apiVersion) !== false)
  const once: Once = (reader) => (object, list) => (readings === undefined ? reader(object, list) : readings.read(reader, object, list))
  const read = <Item>(kind: string, reader: Reader<Item>): Item[] => ofKind(usable, kind).flatMap((object) => once(reader)(object, problems) ?? [])
  const pods = read('Pod', readPod)
  const { madePods, templates, idle } = workloadsOf(usable, pods, problems, readings)
  const policies = readPolicies(usable, once, problems)
  const lives = [...pods, ...templates, ...policies.kubernetesPolicies, ...policies.calicoPolicies, ...policies.networkSets]
  const state: PolicyState = {
    objects,
    answers,
    complete,
    namespaces: readNamespaces(ofKind(usable, 'Namespace'), lives, (object) => once(readNamespace)(object, problems)),
    pods,
    madePods,
    templates,
    idle,
    nodes: read('Node', readStateNode),
    services: read('Service', readStateService),
    ingresses: read('Ingress', readStateIngress),
    routes: read('Route', readRoute),
    serviceAccounts: read('ServiceAccount', readServiceAccount),
    ...policies,
    engine: findPolicyEngine(usable),
    foreign,
  }
  return { state, problems: problems.problems }
}

/** A reader that reads an object once, where its readings are kept. */
type Once = <Item>(reader: Reader<Item>) => Reader<Item>

function ofKind(objects: readonly KubernetesObject[], kind: string): readonly KubernetesObject[] {
  return objects.filter((object) => object.kind === kind && !CALICO_GROUPS.includes(groupOf(object.apiVersion)))
}

type Workloads = Pick<PolicyState, 'madePods' | 'templates' | 'idle'>

/** Known again after an edit that touched policies and namespaces alone: neither says anything of a workload. */
function workloadsOf(usable: readonly KubernetesObject[], pods: readonly ClusterPod[], problems: ProblemList, readings: Readings | undefined): Workloads {
  if (readings === undefined) return readWorkloads(usable, pods, problems)
  const objects = usable.filter(({ kind }) => !POLICY_KINDS.includes(kind))
  return readings.ofList('workloads', objects, problems, (list) => readWorkloads(objects, pods, list))
}

/** Of nodes nothing is needed: a template stands for the pods of a DaemonSet. */
function readWorkloads(objects: readonly KubernetesObject[], pods: readonly ClusterPod[], problems: ProblemList): Workloads {
  const expanding = new ProblemList()
  const madePods = expandWorkloads({ pods, objects, nodes: [] }, expanding)
  const reading = new ProblemList()
  const templates = readTemplates({ objects, pods, madePods }, reading)
  const keyOf = ({ file, line, what }: Problem): string => `${file}\n${line}\n${what}`
  const told = new Set(reading.problems.map(keyOf))
  // those of no object tell of names and of pods that do not run: a pod stands for these here
  const more = expanding.problems.filter((problem) => problem.object !== '' && !told.has(keyOf(problem)))
  problems.problems.push(...reading.problems, ...more)
  return { madePods, ...templates }
}

/** What is wrong with the object is said only where it makes it unusable. */
function lenient<Resource>(reader: Reader<Resource>): Reader<Resource> {
  return (object, problems) => {
    const scratch = new ProblemList()
    const resource = reader(object, scratch)
    if (resource === undefined) for (const problem of scratch.problems) problems.problems.push(problem)
    return resource
  }
}

const readStateService = lenient((object, scratch) => readService(object, scratch)?.service)
const readStateIngress = lenient(readIngress)

type Policies = Pick<
  PolicyState,
  | 'kubernetesPolicies'
  | 'adminNetworkPolicies'
  | 'clusterNetworkPolicies'
  | 'calicoPolicies'
  | 'calicoTiers'
  | 'profiles'
  | 'networkSets'
  | 'hostEndpoints'
  | 'refused'
>

const readApiPolicy: Reader<KubernetesNetworkPolicy> = (object, problems) => readKubernetesPolicy(object, problems, 'api')
const readApiClusterPolicy: Reader<ClusterNetworkPolicy> = (object, problems) => readClusterNetworkPolicy(object, problems, 'api')

function readPolicies(objects: readonly KubernetesObject[], once: Once, problems: ProblemList): Policies {
  const own = calicoObjects(objects, problems)
  const refused: string[] = []
  const usable =
    <Resource>(reader: Reader<Resource>) =>
    (object: KubernetesObject): Resource | [] => {
      const resource = sound(once(reader))(object, problems)
      if (resource === undefined) refused.push(object.label)
      return resource ?? []
    }
  const calico = <Resource extends { readonly name: string }>(kinds: readonly string[], reader: Reader<Resource>): Resource[] =>
    byName(own.filter(({ kind }) => kinds.includes(kind)).flatMap(usable(reader)))
  const clusterWide = objects.filter(({ apiVersion }) => groupOf(apiVersion) === CLUSTER_POLICY_GROUP)
  const policies: Omit<Policies, 'refused'> = {
    kubernetesPolicies: [
      ...ofKind(objects, 'NetworkPolicy').flatMap(usable(readApiPolicy)),
      ...calico(['StagedKubernetesNetworkPolicy'], readKubernetesPolicy),
    ],
    adminNetworkPolicies: ['AdminNetworkPolicy', 'BaselineAdminNetworkPolicy'].flatMap((kind) =>
      ofKind(clusterWide, kind).flatMap(usable(readAdminNetworkPolicy)),
    ),
    clusterNetworkPolicies: ofKind(clusterWide, 'ClusterNetworkPolicy').flatMap(usable(readApiClusterPolicy)),
    calicoPolicies: calico(['NetworkPolicy', 'GlobalNetworkPolicy', 'StagedNetworkPolicy', 'StagedGlobalNetworkPolicy'], readCalicoPolicy),
    calicoTiers: calico(['Tier'], readTier),
    profiles: calico(['Profile'], readProfile),
    networkSets: calico(['NetworkSet', 'GlobalNetworkSet'], readNetworkSet),
    hostEndpoints: calico(['HostEndpoint'], readHostEndpoint),
  }
  return { ...policies, refused }
}

/** Kinds of objects whose loss changes what everything means: without one of them an answer would be of another cluster. */
const POLICY_KINDS: readonly string[] = [
  'NetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'ClusterNetworkPolicy',
  'GlobalNetworkPolicy',
  'Tier',
  'Profile',
  'NetworkSet',
  'GlobalNetworkSet',
  'HostEndpoint',
  'Namespace',
  // Calico's classic model
  'profile',
  'policy',
  'workloadEndpoint',
  'hostEndpoint',
]

/** @param label as a Problem names an object: `NetworkPolicy/shop/db` */
export function isPolicyLabel(label: string): boolean {
  return POLICY_KINDS.includes(label.split('/')[0])
}

function readNamespaces(
  objects: readonly KubernetesObject[],
  lives: readonly { readonly namespace: string }[],
  read: (object: KubernetesObject) => StateNamespace | undefined,
): readonly StateNamespace[] {
  const namespaces = new Map<string, StateNamespace>()
  for (const object of objects) {
    const namespace = read(object)
    if (namespace !== undefined) namespaces.set(object.name, namespace)
  }
  for (const name of new Set(['default', ...lives.map(({ namespace }) => namespace)]))
    if (name !== '' && !namespaces.has(name)) namespaces.set(name, { name, labels: { 'kubernetes.io/metadata.name': name } })
  return [...namespaces.values()]
}

/** Always one: something may live in it whatever is wrong with it. */
function readNamespace(object: KubernetesObject, problems: ProblemList): StateNamespace | undefined {
  const value = check(namespaceSchema(), object, problems, 'hint')
  const fault = nameFault(object.name, 'label')
  if (fault !== undefined) problems.error(object.at('metadata', 'name'), object.label, fault.what, fault.fix)
  const labels = value?.metadata.labels ?? {}
  checkLabels(labels, object, problems)
  return { name: object.name, labels: { ...labels, 'kubernetes.io/metadata.name': object.name }, object }
}

const ADDRESS = /^[0-9A-Fa-f:.]+$/

function readStateNode(object: KubernetesObject, problems: ProblemList): StateNode | undefined {
  const value = check(nodeSchema(), object, problems, 'hint')
  if (value === undefined) return undefined
  const { labels, annotations } = value.metadata
  const addresses = (value.status?.addresses ?? []).map(({ address }) => address).filter((text) => ADDRESS.test(text))
  return { name: object.name, labels: labels ?? {}, annotations: annotations ?? {}, addresses, file: object.file, line: object.line }
}

function readServiceAccount(object: KubernetesObject, problems: ProblemList): StateServiceAccount | undefined {
  const value = check(namespaceSchema(), object, problems, 'hint')
  if (value === undefined) return undefined
  return { namespace: object.namespace, name: object.name, labels: value.metadata.labels ?? {}, file: object.file, line: object.line }
}
