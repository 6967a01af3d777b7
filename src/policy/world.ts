/**
 * A PolicyState and the switches → the PolicyWorld that everything else of this folder asks: which pods there are and under which workload they
 * are shown, their addresses, the tiers of all dialects, and the addresses outside, cut by every network that a policy names.
 */
import { match } from 'ts-pattern'
import type { Problem } from '../base/problem.js'
import { isObject, type JsonValue } from '../cluster/located.js'
import type { ClusterPod } from '../cluster/pod.js'
import type { PolicyState } from '../cluster/policy-state.js'
import type { NetworkSet } from '../cluster/calico/network-set.js'
import type { HostEndpoint } from '../cluster/calico/endpoint.js'
import { formatIp } from '../base/ip.js'
import { parseRange, type AddressRange } from './address-range.js'
import { networkSetLabels } from './endpoint-labels.js'
import { hostEndpointLabels } from './dialects/host-endpoints.js'
import { policyTiers } from './dialects/tiers.js'
import type { PolicyHostEndpoint, PolicyNetworkSet, PolicyNode, PolicyPod, PolicyWorld, Switches, Tier } from './model.js'
import { servicesOf } from './world-services.js'

/** The port from which connections come where a policy asks for it: that of a trace. */
const SOURCE_PORT = 40000

/**
 * What is decided where the API leaves it open. api: as the Kubernetes e2e suite and the conformance tests of the policy API have it. calico: as
 * Felix does it (a pod's packets to itself never leave its netns; host to local pod is never policed, felix/rules/static.go filterOutputChain).
 * np-guard: as netpol-analyzer counts.
 */
export function switchesFor(as: Switches['as']): Switches {
  const common = { as, hairpin: 'allowed', ownNode: 'allowed', otherProtocols: 'governed', sourcePort: SOURCE_PORT } as const
  return match(as)
    .with('api', 'calico', (): Switches => ({ ...common, ipBlock: 'pods-too', hostNetwork: 'node' }))
    .with('np-guard', (): Switches => ({ ...common, ipBlock: 'outside-only', hostNetwork: 'pod' }))
    .exhaustive()
}

export interface PolicyWorldResult {
  readonly world: PolicyWorld
  /** What the policies say that is wrong, or has no effect. */
  readonly problems: readonly Problem[]
}

export function policyWorld(state: PolicyState, switches: Switches): PolicyWorld {
  return readPolicyWorld(state, switches).world
}

export function readPolicyWorld(state: PolicyState, switches: Switches): PolicyWorldResult {
  const { tiers, problems } = policyTiers(state, switches)
  const noEngine = switches.as === 'api' && state.engine.kind === 'none' ? state.engine.words : undefined
  const pods = podsOf(state, switches)
  const world: PolicyWorld = {
    namespaces: new Map(
      state.namespaces.map(({ name, labels, object }) => [
        name,
        { name, labels, ...(object === undefined ? {} : { place: { file: object.file, line: object.line } }) },
      ]),
    ),
    pods,
    nodes: state.nodes.map(({ name, labels, addresses }): PolicyNode => ({
      kind: 'node',
      name,
      labels,
      addresses: addresses.flatMap((text) => parseRange(text) ?? []),
    })),
    tiers: noEngine === undefined ? tiers : [],
    networkSets: state.networkSets.map((set) => networkSetOf(set, state)),
    hostEndpoints: state.hostEndpoints.map(hostEndpointOf),
    services: servicesOf(state, namedServices(tiers)),
    serviceAccounts: new Map(state.serviceAccounts.map(({ namespace, name, labels }) => [`${namespace}/${name}`, labels])),
    switches,
    ...(noEngine === undefined ? {} : { noEngine }),
    unenforced: noEngine === undefined ? [] : tiers,
  }
  return { world, problems }
}

/** netpol-analyzer takes every Pod object as it stands, and of each workload its template beside them. */
function podsOf({ pods, madePods, templates, idle, nodes }: PolicyState, { as }: Switches): readonly PolicyPod[] {
  const nodeAddresses = new Map(nodes.map(({ name, addresses }) => [name, addresses]))
  const make = (pod: ClusterPod, imagined = false): PolicyPod => policyPod(pod, { imagined, nodeAddresses })
  if (as === 'np-guard') return [...pods.map((pod) => make(pod)), ...templates.map((pod) => make(pod, true))]
  return [...pods.filter(({ terminated }) => !terminated).map((pod) => make(pod)), ...madePods.map((pod) => make(pod)), ...idle.map((pod) => make(pod, true))]
}

interface PodSurroundings {
  readonly imagined: boolean
  readonly nodeAddresses: ReadonlyMap<string, readonly string[]>
}

/** @throws never: what is no address was reported, and is left out */
export function policyPod(pod: ClusterPod, { imagined, nodeAddresses }: PodSurroundings): PolicyPod {
  const { namespace, name, labels, ports, hostNetwork, node, file, line } = pod
  // a node that the input does not show has the address that its pods have
  const ofNode = hostNetwork ? rangesOf(nodeAddresses.get(node ?? '') ?? []) : []
  const deployment = deploymentOf(pod)
  return {
    kind: 'pod',
    namespace,
    name,
    labels,
    ports,
    hostNetwork,
    serviceAccount: serviceAccountOf(pod),
    ...(node === undefined ? {} : { node }),
    addresses: ofNode.length > 0 ? ofNode : addressesOfPod(pod),
    workload: workloadOf(pod),
    ...(deployment === undefined ? {} : { deployment }),
    imagined,
    file,
    line,
  }
}

/** The controller that the input shows, never the one above it: of a template the object that it stands in. A static pod's owner is its node. */
function workloadOf({ object, owner, name }: ClusterPod): PolicyPod['workload'] {
  if (object.kind !== 'Pod') return { kind: object.kind, name: object.name }
  if (owner === undefined || owner.kind === 'Node') return { kind: 'Pod', name }
  return { kind: owner.kind || 'Pod', name: owner.name }
}

/** A Deployment calls its ReplicaSets by its own name and the hash that its pods bear as a label (pkg/controller/deployment/sync.go). */
function deploymentOf({ owner, labels }: ClusterPod): string | undefined {
  const end = `-${labels['pod-template-hash'] ?? ''}`
  return owner?.kind === 'ReplicaSet' && end.length > 1 && owner.name.endsWith(end) ? owner.name.slice(0, -end.length) : undefined
}

/** @returns `default` where none is named, as the API server writes it */
export function serviceAccountOf({ object }: ClusterPod): string {
  const { spec } = object.value
  if (!isObject(spec)) return 'default'
  const named = spec.serviceAccountName ?? spec.serviceAccount
  return typeof named === 'string' && named !== '' ? named : 'default'
}

function addressesOfPod({ address, object }: ClusterPod): readonly AddressRange[] {
  const { status } = object.value
  const several = isObject(status) && Array.isArray(status.podIPs) ? (status.podIPs as readonly JsonValue[]) : []
  const single = isObject(status) && typeof status.podIP === 'string' ? [status.podIP] : []
  const texts = [...single, ...several.flatMap((one) => (isObject(one) && typeof one.ip === 'string' ? one.ip : []))]
  if (texts.length === 0) return address === undefined ? [] : rangesOf([formatIp(address)])
  return rangesOf([...new Set(texts)])
}

function rangesOf(texts: readonly string[]): readonly AddressRange[] {
  return texts.flatMap((text) => parseRange(text) ?? [])
}

function networkSetOf({ namespace, name, labels: own, nets, file, line }: NetworkSet, { namespaces }: PolicyState): PolicyNetworkSet {
  const ranges = rangesOf(nets.map(({ text }) => text))
  const labels = networkSetLabels(own, namespace, namespaces.find((one) => one.name === namespace)?.labels ?? {})
  return { kind: namespace === '' ? 'GlobalNetworkSet' : 'NetworkSet', namespace, name, labels, ranges, file, line }
}

function hostEndpointOf(endpoint: HostEndpoint): PolicyHostEndpoint {
  const { name, node, profiles, expectedIPs, file, line } = endpoint
  return { name, node, labels: hostEndpointLabels(endpoint), profiles, addresses: rangesOf(expectedIPs.map(formatIp)), file, line }
}

/** `ns/name` of the Services that a rule names. */
function namedServices(tiers: readonly Tier[]): ReadonlySet<string> {
  const rules = tiers.flatMap(({ policies }) => policies.flatMap(({ ingress, egress }) => [...ingress, ...egress]))
  const conditions = rules.flatMap(({ peers, local }) => [...local, ...peers.flatMap((peer) => peer.conditions)])
  return new Set(conditions.flatMap((condition) => (condition.kind === 'service' ? `${condition.namespace}/${condition.name}` : [])))
}
