/**
 * The objects of a cluster → Calico's resources by kind, each list in the order of names as the datastore lists them. A kind is read whether
 * it came as projectcalico.org/v3 or crd.projectcalico.org/v1; where both are in the input the former wins.
 */
import { deepFreeze } from '../frozen.js'
import { CALICO_GROUPS, groupOf } from '../kinds.js'
import type { KubernetesObject } from '../manifest.js'
import { nearestName } from '../nearest-name.js'
import type { ClusterNode } from '../node.js'
import type { ProblemList } from '../problem-list.js'
import type { BGPConfiguration, BGPFilter, BGPPeer } from './bgp.js'
import type { CalicoNode } from './calico-node.js'
import { CLUSTER_POLICY_GROUP, type ClusterNetworkPolicy } from './cluster-network-policy.js'
import type { HostEndpoint, WorkloadEndpoint } from './endpoint.js'
import type { FelixConfiguration } from './felix-configuration.js'
import type { IPPool, IPReservation } from './ip-pool.js'
import { DEFAULT_IPAM_CONFIG, type BlockAffinity, type IPAMBlock, type IPAMConfig, type IPAMHandle } from './ipam.js'
import type { KubernetesNetworkPolicy } from './kubernetes-policy.js'
import type { NetworkSet } from './network-set.js'
import type { CalicoPolicy, Profile, Tier } from './policy.js'
import { readBgpConfiguration, readBgpFilter, readBgpPeer } from './read-bgp.js'
import { readCalicoNodes } from './read-calico-node.js'
import { readClusterNetworkPolicy } from './read-cluster-network-policy.js'
import { readHostEndpoint, readNetworkSet, readWorkloadEndpoint } from './read-endpoint.js'
import { readFelixConfiguration } from './read-felix-configuration.js'
import {
  checkPoolOverlap,
  checkPoolsAgainstNodes,
  readBlockAffinity,
  readIpamBlock,
  readIpamConfig,
  readIpamHandle,
  readIpPool,
  readIpReservation,
} from './read-ip-pool.js'
import { readKubernetesPolicy } from './read-kubernetes-policy.js'
import { readCalicoPolicy, readProfile, readTier } from './read-policy.js'

export interface CalicoResources {
  readonly ipPools: readonly IPPool[]
  readonly ipReservations: readonly IPReservation[]
  readonly ipamBlocks: readonly IPAMBlock[]
  readonly blockAffinities: readonly BlockAffinity[]
  readonly ipamHandles: readonly IPAMHandle[]
  readonly ipamConfig: IPAMConfig
  readonly felixConfigurations: readonly FelixConfiguration[]
  readonly bgpConfigurations: readonly BGPConfiguration[]
  readonly bgpPeers: readonly BGPPeer[]
  readonly bgpFilters: readonly BGPFilter[]
  /** One for each Node of the cluster, in the cluster's order. */
  readonly nodes: readonly CalicoNode[]
  readonly hostEndpoints: readonly HostEndpoint[]
  /** Those that stand as objects; pods give theirs by workloadEndpointOfPod. */
  readonly workloadEndpoints: readonly WorkloadEndpoint[]
  readonly tiers: readonly Tier[]
  /** Calico's own, namespaced and global, staged ones too. */
  readonly policies: readonly CalicoPolicy[]
  /** Kubernetes' own, and Calico's staged ones of that kind. */
  readonly kubernetesPolicies: readonly KubernetesNetworkPolicy[]
  readonly clusterNetworkPolicies: readonly ClusterNetworkPolicy[]
  readonly networkSets: readonly NetworkSet[]
  readonly globalNetworkSets: readonly NetworkSet[]
  readonly profiles: readonly Profile[]
}

/** Kinds that say nothing about packets. */
const PLAY_NO_PART: readonly string[] = [
  'ClusterInformation',
  'KubeControllersConfiguration',
  'CalicoNodeStatus',
  'LiveMigration',
  'Installation',
  'APIServer',
  'ImageSet',
  'TigeraStatus',
  'Goldmane',
  'Whisker',
]

const READ: readonly string[] = [
  'IPPool',
  'IPReservation',
  'IPAMBlock',
  'BlockAffinity',
  'IPAMHandle',
  'IPAMConfig',
  'IPAMConfiguration',
  'FelixConfiguration',
  'BGPConfiguration',
  'BGPPeer',
  'BGPFilter',
  'Node',
  'HostEndpoint',
  'WorkloadEndpoint',
  'Tier',
  'NetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
  'NetworkSet',
  'GlobalNetworkSet',
  'Profile',
]

interface CalicoInput {
  readonly objects: readonly KubernetesObject[]
  readonly nodes: readonly ClusterNode[]
  /** False where calico-node is told to have no BGP address (Canal). */
  readonly findsAddress: boolean
}

/** Never throws on bad input. */
export function readCalicoResources({ objects, nodes, findsAddress }: CalicoInput, problems: ProblemList): CalicoResources {
  const own = calicoObjects(objects, problems)
  nameStaged(objects, problems)
  const read = <Resource extends { readonly name: string }>(kinds: readonly string[], reader: Reader<Resource>): Resource[] =>
    byName(own.filter(({ kind }) => kinds.includes(kind)).flatMap((object) => reader(object, problems) ?? []))
  const ipPools = read(['IPPool'], readIpPool)
  checkPoolOverlap(ipPools, problems)
  checkPoolsAgainstNodes(ipPools, nodes, problems)
  const [config] = own.filter(({ kind }) => kind === 'IPAMConfig' || kind === 'IPAMConfiguration').flatMap((object) => readIpamConfig(object, problems) ?? [])
  const kubernetesPolicies = objects.filter(({ kind, apiVersion }) => kind === 'NetworkPolicy' && !CALICO_GROUPS.includes(groupOf(apiVersion)))
  return deepFreeze({
    ipPools,
    ipReservations: read(['IPReservation'], readIpReservation),
    ipamBlocks: read(['IPAMBlock'], readIpamBlock),
    blockAffinities: read(['BlockAffinity'], readBlockAffinity),
    ipamHandles: read(['IPAMHandle'], readIpamHandle),
    ipamConfig: config ?? DEFAULT_IPAM_CONFIG,
    felixConfigurations: read(['FelixConfiguration'], readFelixConfiguration),
    bgpConfigurations: read(['BGPConfiguration'], readBgpConfiguration),
    bgpPeers: read(['BGPPeer'], readBgpPeer),
    bgpFilters: read(['BGPFilter'], readBgpFilter),
    nodes: readCalicoNodes(
      nodes,
      own.filter(({ kind }) => kind === 'Node'),
      { problems, findsAddress },
    ),
    hostEndpoints: read(['HostEndpoint'], readHostEndpoint),
    workloadEndpoints: read(['WorkloadEndpoint'], readWorkloadEndpoint),
    tiers: read(['Tier'], readTier),
    policies: read(['NetworkPolicy', 'GlobalNetworkPolicy', 'StagedNetworkPolicy', 'StagedGlobalNetworkPolicy'], sound(readCalicoPolicy)),
    kubernetesPolicies: byName(
      [...kubernetesPolicies, ...own.filter(({ kind }) => kind === 'StagedKubernetesNetworkPolicy')].flatMap(
        (object) => sound(readKubernetesPolicy)(object, problems) ?? [],
      ),
    ),
    clusterNetworkPolicies: byName(readClusterPolicies(objects, problems)),
    networkSets: read(['NetworkSet'], readNetworkSet),
    globalNetworkSets: read(['GlobalNetworkSet'], readNetworkSet),
    profiles: read(['Profile'], sound(readProfile)),
  })
}

export type Reader<Resource> = (object: KubernetesObject, problems: ProblemList) => Resource | undefined

/** Without what an API would have refused: it was reported, and nobody writes its rules. */
export function sound<Resource>(reader: Reader<Resource>): Reader<Resource> {
  return (object, problems) => {
    const before = problems.problems.length
    const resource = reader(object, problems)
    return problems.problems.slice(before).some(({ severity }) => severity === 'error') ? undefined : resource
  }
}

/** Of the policy API's three kinds v3.32 knows the last (libcalico-go/lib/backend/k8s/client.go); the others were of releases before it. */
function readClusterPolicies(objects: readonly KubernetesObject[], problems: ProblemList): readonly ClusterNetworkPolicy[] {
  const found = objects.filter(({ apiVersion }) => groupOf(apiVersion) === CLUSTER_POLICY_GROUP)
  for (const object of found.filter(({ kind }) => kind === 'AdminNetworkPolicy' || kind === 'BaselineAdminNetworkPolicy'))
    problems.warning(object, object.label, `${object.kind} has no effect: Calico 3.32 reads ClusterNetworkPolicy in its stead`, 'Write a ClusterNetworkPolicy.')
  return found.filter(({ kind }) => kind === 'ClusterNetworkPolicy').flatMap((object) => sound(readClusterNetworkPolicy)(object, problems) ?? [])
}

/** Calico's own, each once; kinds that it does not have are named. */
export function calicoObjects(objects: readonly KubernetesObject[], problems: ProblemList): KubernetesObject[] {
  const found = new Map<string, KubernetesObject>()
  for (const object of objects) {
    const group = groupOf(object.apiVersion)
    if (!CALICO_GROUPS.includes(group) || PLAY_NO_PART.includes(object.kind)) continue
    if (!READ.includes(object.kind)) {
      const meant = nearestName(object.kind, READ)
      const fix = meant === undefined ? 'It is left out.' : `Did you mean ${meant}?`
      problems.error(object.at('kind'), object.label, `Calico has no kind ${object.kind}`, fix)
      continue
    }
    const key = object.label
    if (!found.has(key) || group === 'projectcalico.org') found.set(key, object)
  }
  return [...found.values()]
}

/** Calico shows what they would do, and enforces nothing of it. */
function nameStaged(objects: readonly KubernetesObject[], problems: ProblemList): void {
  const staged = objects.filter(({ apiVersion, kind }) => CALICO_GROUPS.includes(groupOf(apiVersion)) && kind.startsWith('Staged'))
  if (staged.length === 0) return
  const names = [...new Set(staged.map(({ label }) => label))]
  const shown = names.length > MOST_NAMED ? `${names.slice(0, MOST_NAMED).join(', ')} and ${names.length - MOST_NAMED} more` : names.join(', ')
  const fix = 'To enforce one, write it without Staged in its kind.'
  problems.warning(staged[0], '', `${shown}: staged, ${names.length === 1 ? 'plays' : 'play'} no part in packet paths`, fix)
}

const MOST_NAMED = 5

/** By namespace, then name, in the order of bytes. */
export function byName<Resource extends { readonly name: string; readonly namespace?: string }>(resources: readonly Resource[]): Resource[] {
  const key = ({ namespace, name }: Resource): string => `${namespace ?? ''}\u0000${name}`
  return [...resources].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0))
}
