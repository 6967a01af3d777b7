/**
 * Calico's view of a whole cluster, before any agent renders: a Cluster → the release, what the manifest says, all resources with those that
 * calico-node and kube-controllers make by themselves, the settings of each node's Felix, addresses, and every pod's endpoint.
 *
 *   objects ─▶ manifest ─▶ resources (+ default pool, tiers) ─▶ settings by node ─▶ addresses ─▶ endpoints, MTUs
 */
import { cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import { ipPoolsOf, readCalicoManifest, type CalicoManifest } from '../cluster/calico/calico-manifest.js'
import { readCalicoResources, type CalicoResources } from '../cluster/calico/calico-resources.js'
import type { WorkloadEndpoint } from '../cluster/calico/endpoint.js'
import type { FelixSettings } from '../cluster/calico/felix-configuration.js'
import type { Tier } from '../cluster/calico/policy.js'
import { checkNamespacesExist, checkTiersExist } from '../cluster/calico/policy-checks.js'
import { felixSettingsOf } from '../cluster/calico/read-felix-configuration.js'
import type { Cluster } from '../cluster/cluster.js'
import type { Labels } from '../cluster/labels.js'
import { isObject } from '../cluster/located.js'
import type { ClusterPod } from '../cluster/pod.js'
import { ProblemList } from '../cluster/problem-list.js'
import { planAddresses, type AddressPlan } from './ipam/address-plan.js'
import { calicoMtus, hostMtu, type CalicoMtus, type HostLink } from './mtu.js'
import { calicoProfile, DEFAULT_CALICO_PROFILE, knownCalicoVersions, type CalicoProfile } from './version.js'
import { workloadEndpointOfPod } from './workload-endpoint.js'

interface ServiceAccount {
  readonly namespace: string
  readonly name: string
  readonly labels: Labels
}

export interface CalicoCluster {
  readonly release: CalicoProfile
  readonly manifest: CalicoManifest
  /** With the default pool and the tiers of the release. */
  readonly resources: CalicoResources
  readonly serviceAccounts: readonly ServiceAccount[]
  /** Some pool asks for it. */
  readonly poolsUse: { readonly ipip: boolean; readonly vxlan: boolean }
  /** By name of the node. */
  readonly felixSettings: ReadonlyMap<string, FelixSettings>
  readonly mtus: ReadonlyMap<string, CalicoMtus>
  readonly addresses: AddressPlan
  /** By name of the node; pods in the order of their creation, those without an address too. */
  readonly endpoints: ReadonlyMap<string, readonly WorkloadEndpoint[]>
  readonly problems: readonly Problem[]
}

interface CalicoClusterOptions {
  readonly cni: 'calico' | 'canal'
  /** Addresses by `namespace/name` where IPAM is host-local's. */
  readonly hostLocal?: () => ReadonlyMap<string, Ip>
  /** The hosts' devices before Felix makes its own, by name of the node. */
  readonly links: ReadonlyMap<string, readonly HostLink[]>
  readonly seed: number
  /** Of the cluster as it was before. */
  readonly before?: AddressPlan
}

/** Never throws on bad input. */
export function buildCalicoCluster(cluster: Cluster, { cni, hostLocal, links, seed, before }: CalicoClusterOptions): CalicoCluster {
  const problems = new ProblemList()
  const manifest = readCalicoManifest(cluster.objects, cni, problems)
  const release = releaseOf(cluster, manifest, problems)
  nameUnmodelled(manifest, problems)
  const resources = completed(cluster, { manifest, release }, problems)
  const felixSettings = new Map(cluster.nodes.map(({ name }) => [name, felixSettingsOf(resources.felixConfigurations, name, manifest.felix)]))
  const pods = cluster.pods.filter((pod) => !pod.hostNetwork && !pod.terminated && pod.node !== undefined && cluster.nodeByName.has(pod.node))
  const addresses = planAddresses({
    resources,
    pods: manifest.ipam === 'calico-ipam' ? pods : [],
    namespaces: cluster.namespaces,
    wireguardNodes: new Set(cluster.nodes.flatMap(({ name }) => (usesWireguardAddress(felixSettings.get(name), manifest.felix) ? [name] : []))),
    reclaimsEmptyBlocks: release.reclaimsEmptyBlocks,
    seed,
    ...(before === undefined ? {} : { before }),
  })
  const poolsUse = {
    ipip: resources.ipPools.some(({ ipipMode }) => ipipMode !== 'Never'),
    vxlan: resources.ipPools.some(({ vxlanMode }) => vxlanMode !== 'Never'),
  }
  const podAddresses = manifest.ipam === 'host-local' ? hostLocal?.() : undefined
  const addressOf = (pod: ClusterPod): Ip | undefined =>
    podAddresses?.get(`${pod.namespace}/${pod.name}`) ?? addresses.pods.get(`${pod.namespace}/${pod.name}`) ?? pod.address
  const endpoints = cluster.nodes.map(({ name }): [string, readonly WorkloadEndpoint[]] => [
    name,
    endpointsOf(name, { pods, resources, prefixes: felixSettings.get(name)?.interfacePrefix, addressOf }),
  ])
  const { cniMtu } = manifest
  const mtus = cluster.nodes.map(({ name }): [string, CalicoMtus] => {
    const settings = felixSettings.get(name) ?? {}
    const enabled = {
      ipip: settings.ipipEnabled ?? poolsUse.ipip,
      vxlan: settings.vxlanEnabled ?? poolsUse.vxlan,
      wireguard: settings.wireguardEnabled === true,
    }
    const host = hostMtu(links.get(name) ?? [], settings.mtuIfacePattern)
    return [name, calicoMtus(host, enabled, { ...settings, ...(cniMtu === undefined ? {} : { cniMtu }) })]
  })
  return {
    release,
    manifest,
    resources,
    serviceAccounts: serviceAccountsOf(cluster),
    poolsUse,
    felixSettings,
    mtus: new Map(mtus),
    addresses,
    endpoints: new Map(endpoints),
    problems: [...problems.problems, ...addresses.problems],
  }
}

function nameUnmodelled(manifest: CalicoManifest, problems: ProblemList): void {
  const { IP_AUTODETECTION_METHOD: method = 'first-found', IP: address } = manifest.environment
  if (manifest.usesPodCidr && manifest.backend !== 'none')
    problems.warning(manifest, 'calico', 'USE_POD_CIDR is not modelled: no blocks are made of podCIDRs, tunnel addresses come from pools', '')
  if (address === 'autodetect' && manifest.findsAddress && method !== 'first-found' && method !== 'kubernetes-internal-ip')
    problems.warning(
      manifest,
      'calico',
      `IP_AUTODETECTION_METHOD ${method} is not followed: each node is taken to find its InternalIP`,
      'Write projectcalico.org/IPv4Address on the nodes.',
    )
}

/** The Network document's word wins over the image's tag. */
function releaseOf(cluster: Cluster, manifest: CalicoManifest, problems: ProblemList): CalicoProfile {
  const version = cluster.networkDocument?.calico.version ?? manifest.version ?? DEFAULT_CALICO_PROFILE.version
  const profile = calicoProfile(version)
  if (profile === undefined) {
    const place = cluster.networkDocument?.calico.version === undefined ? manifest : { file: cluster.networkDocument.file, line: cluster.networkDocument.line }
    const known = `Known here: ${knownCalicoVersions().join(', ')}.`
    problems.warning(place, 'calico', `Calico ${version} is taken to behave as ${DEFAULT_CALICO_PROFILE.version}`, known)
  }
  return profile ?? DEFAULT_CALICO_PROFILE
}

/** What calico-node makes at its first start, where the input does not have it. */
function completed(
  cluster: Cluster,
  { manifest, release }: { readonly manifest: CalicoManifest; readonly release: CalicoProfile },
  problems: ProblemList,
): CalicoResources {
  const read = readCalicoResources({ objects: cluster.objects, nodes: cluster.nodes, findsAddress: manifest.findsAddress }, problems)
  // flannel's own Network, which the cluster's prefix may come from, is nothing to calico-node
  const clusterCIDR = cluster.networkDocument?.clusterCIDR
  const input = {
    manifest,
    pools: read.ipPools,
    ...(clusterCIDR === undefined ? {} : { clusterCIDR }),
    hostNetworks: cluster.nodes.map(({ address, prefixLength }) => cidr(address, prefixLength)),
    objects: cluster.objects,
  }
  const ipPools = ipPoolsOf(input, problems)
  checkTiersExist(read.policies, [...read.tiers, ...release.builtInTiers], problems)
  checkNamespacesExist(read.policies, cluster, problems)
  const missing = release.builtInTiers.filter(({ name }) => !read.tiers.some((tier) => tier.name === name))
  const tiers = missing.map((tier): Tier => ({ ...tier, labels: {}, annotations: {}, file: '', line: 0 }))
  return { ...read, ipPools, tiers: [...read.tiers, ...tiers] }
}

/**
 * With the hosts' own traffic encrypted the device has the node's address, and calico-node takes none from a pool. It learns of that from its
 * environment alone (allocateip.go loadFelixEnvConfig): where a FelixConfiguration says so, it takes one all the same.
 */
function usesWireguardAddress(settings: FelixSettings | undefined, environment: FelixSettings): boolean {
  return settings?.wireguardEnabled === true && environment.wireguardHostEncryptionEnabled !== true
}

interface EndpointSource {
  readonly pods: readonly ClusterPod[]
  readonly resources: CalicoResources
  readonly prefixes: string | undefined
  readonly addressOf: (pod: ClusterPod) => Ip | undefined
}

/** An endpoint that stands as a resource of its own wins over the one that its pod would give. */
function endpointsOf(node: string, { pods, resources, prefixes, addressOf }: EndpointSource): WorkloadEndpoint[] {
  const written = resources.workloadEndpoints.filter((endpoint) => endpoint.node === node)
  const derived = pods.filter((pod) => pod.node === node && !written.some((endpoint) => endpoint.namespace === pod.namespace && endpoint.pod === pod.name))
  return [...written, ...derived.map((pod) => workloadEndpointOfPod(pod, addressOf(pod), prefixes))]
}

function serviceAccountsOf(cluster: Cluster): ServiceAccount[] {
  return cluster.objects
    .filter(({ kind, apiVersion }) => kind === 'ServiceAccount' && apiVersion === 'v1')
    .map(({ namespace, name, value }) => {
      const labels = isObject(value.metadata) && isObject(value.metadata.labels) ? Object.entries(value.metadata.labels) : []
      return { namespace, name, labels: Object.fromEntries(labels.filter((entry): entry is [string, string] => typeof entry[1] === 'string')) }
    })
}
