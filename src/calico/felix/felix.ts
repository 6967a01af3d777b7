/**
 * Felix on one node: what it knows → its iptables and IP sets. A pure function of the view, as every agent's render is.
 *
 *   resources ─▶ FelixPolicies (once for the cluster: policies sorted, rules scanned, labels indexed)
 *                     └─▶ renderFelix(view of one node) ─▶ chain edits, sets
 */
import { formatCidr } from '../../base/cidr.js'
import { formatIp, type Ip } from '../../base/ip.js'
import type { HostEndpoint, WorkloadEndpoint } from '../../cluster/calico/endpoint.js'
import type { IPPool } from '../../cluster/calico/ip-pool.js'
import type { ClusterNetworkPolicy } from '../../cluster/calico/cluster-network-policy.js'
import type { KubernetesNetworkPolicy } from '../../cluster/calico/kubernetes-policy.js'
import type { NetworkSet } from '../../cluster/calico/network-set.js'
import type { CalicoPolicy, Profile, Tier } from '../../cluster/calico/policy.js'
import type { Labels } from '../../cluster/labels.js'
import type { IpSet } from '../../dataplane/ipset.js'
import type { ChainEdit } from '../../dataplane/iptables.js'
import type { CalicoProfile } from '../version.js'
import { backendPolicy, backendProfile, type BackendProfile } from './backend-policy.js'
import { clusterNetworkPolicy } from './cluster-network-policy.js'
import type { FelixConfig } from './config.js'
import { endpointMarkChains, hostDispatchChains, setMarkChain, workloadDispatchChains } from './dispatch.js'
import { groupChains, hostEndpointChains, workloadChains } from './endpoint-chains.js'
import { EndpointIndex, felixIpset, inheritedLabels, setElements, workloadLabels, type ServiceEndpoints } from './endpoint-index.js'
import { resolveHostEndpoints, type HostInterface, type ResolvedHostEndpoint } from './host-endpoints.js'
import { defaultAllowProfile, kubernetesPolicy, namespaceProfile, serviceAccountProfile } from './kubernetes-policy.js'
import { EndpointMarks } from './marks.js'
import type { EndpointTier, FelixPolicy, FelixProfile } from './model.js'
import { ALL_INTERFACES, SET } from './names.js'
import { policyChains, profileChains } from './policy-chains.js'
import { PolicyResolver, type ResolvedTiers } from './policy-resolver.js'
import { RuleScanner } from './rule-scanner.js'
import type { FelixChain, RuleCache } from './rule.js'
import { staticFilterChains } from './static-filter.js'
import {
  cidrBlockChain,
  compareText,
  egressDscpChain,
  floatingIpChains,
  natOutgoingChain,
  rpfSkipChain,
  staticMangleChains,
  staticNatChains,
  staticRawChains,
} from './static-tables.js'
import { tableEdits } from './tables.js'

/** Everything of the cluster that policy depends on. */
export interface PolicyInputs {
  readonly release: CalicoProfile
  readonly tiers: readonly Tier[]
  readonly policies: readonly CalicoPolicy[]
  readonly kubernetesPolicies: readonly KubernetesNetworkPolicy[]
  readonly clusterPolicies: readonly ClusterNetworkPolicy[]
  readonly profiles: readonly Profile[]
  readonly namespaces: readonly { readonly name: string; readonly labels: Labels }[]
  readonly serviceAccounts: readonly { readonly namespace: string; readonly name: string; readonly labels: Labels }[]
  /** Of all nodes. */
  readonly workloadEndpoints: readonly WorkloadEndpoint[]
  readonly hostEndpoints: readonly HostEndpoint[]
  /** Namespaced and global. */
  readonly networkSets: readonly NetworkSet[]
  readonly services: readonly ServiceEndpoints[]
}

/** Policy as all Felixes of the cluster know it. */
export interface FelixPolicies {
  readonly resolver: PolicyResolver
  readonly scanner: RuleScanner
  readonly index: EndpointIndex
  readonly profiles: ReadonlyMap<string, FelixProfile>
  readonly profileLabels: ReadonlyMap<string, Labels>
  readonly ruleCache: RuleCache
  readonly chainCache: ChainCache
}

/** A policy with a selector that cannot be read is left out, as Felix leaves it out; the reader of the resources has reported it. */
export function compilePolicies(inputs: PolicyInputs): FelixPolicies {
  const scanner = new RuleScanner()
  const backendProfiles = new Map(
    [
      ...assumedProfiles(inputs.workloadEndpoints),
      ...inputs.namespaces.map(namespaceProfile),
      ...inputs.serviceAccounts.map(serviceAccountProfile),
      defaultAllowProfile(),
      ...inputs.profiles.map(backendProfile),
    ].map((profile) => [profile.name, profile]),
  )
  const profileLabels = new Map([...backendProfiles].map(([name, { labels }]) => [name, labels]))
  const policies = [
    ...inputs.policies.map(backendPolicy),
    ...inputs.kubernetesPolicies.map(kubernetesPolicy),
    ...inputs.clusterPolicies.map(clusterNetworkPolicy),
  ]
  return {
    scanner,
    resolver: new PolicyResolver(policies, { tiers: inputs.tiers, release: inputs.release, scanner }),
    index: new EndpointIndex({ ...inputs, profileLabels }),
    profiles: new Map([...backendProfiles.values()].flatMap((profile) => scanner.profile(profile) ?? []).map((profile) => [profile.name, profile])),
    profileLabels,
    ruleCache: new Map(),
    chainCache: new Map(),
  }
}

/** A pod has a namespace and a service account even where no object tells of them. */
function assumedProfiles(endpoints: readonly WorkloadEndpoint[]): readonly BackendProfile[] {
  const namespaces = new Set(endpoints.map(({ namespace }) => namespace))
  return [
    ...[...namespaces].map((name) => namespaceProfile({ name, labels: { 'kubernetes.io/metadata.name': name } })),
    ...endpoints.flatMap(({ namespace, serviceAccount }) =>
      serviceAccount === undefined ? [] : [serviceAccountProfile({ namespace, name: serviceAccount, labels: {} })],
    ),
  ]
}

/** What the Felix of one node knows beside policy. */
export interface FelixView {
  readonly config: FelixConfig
  readonly policies: FelixPolicies
  /** Of this node. One without an address is as if it were not there. */
  readonly workloadEndpoints: readonly WorkloadEndpoint[]
  readonly hostEndpoints: readonly HostEndpoint[]
  /** Loopback, cards and tunnels. */
  readonly interfaces: readonly HostInterface[]
  readonly pools: readonly IPPool[]
  /** Every node's own address, this one's too. */
  readonly hostAddresses: readonly Ip[]
  /** Node addresses of the other nodes' VTEPs. */
  readonly remoteVteps: readonly Ip[]
  /** Service prefixes of BGPConfiguration, text. */
  readonly serviceCidrs: readonly string[]
}

export interface FelixPart {
  readonly edits: readonly ChainEdit[]
  readonly ipsets: readonly IpSet[]
  /** What Felix would try and iptables refuse, and settings that netsim does not follow. */
}

interface Workload {
  readonly endpoint: WorkloadEndpoint
  readonly tiers: ResolvedTiers
}

interface Host extends ResolvedHostEndpoint {
  readonly tiers: ResolvedTiers
}

export function renderFelix(view: FelixView): FelixPart {
  const { config } = view
  const workloads = localWorkloads(view)
  const hosts = resolveHostEndpoints(view.hostEndpoints, view.interfaces).map((resolved) => ({ ...resolved, tiers: resolve(resolved.endpoint, view.policies) }))
  const active = ruleChains(activeRules(view, workloads, hosts), view)
  const chains = {
    raw: rawChains(view, hosts, active),
    mangle: mangleChains(view, hosts, active),
    nat: natChains(view, workloads),
    filter: filterChains(view, { workloads, hosts, active }),
  }
  return {
    edits: tableEdits(chains, config, view.policies.ruleCache),
    ipsets: [...staticSets(view), ...policySets(view, active.rules)],
  }
}

function resolve(endpoint: { readonly labels: Labels; readonly profiles: readonly string[] }, { resolver, profileLabels }: FelixPolicies): ResolvedTiers {
  return resolver.resolve(inheritedLabels(endpoint.labels, endpoint.profiles, profileLabels))
}

/** Of several endpoints with one interface the first by ID is served. */
function localWorkloads({ workloadEndpoints, policies }: FelixView): readonly Workload[] {
  const byInterface = new Map<string, WorkloadEndpoint>()
  const id = ({ orchestrator, workload, endpoint }: WorkloadEndpoint): string => `${orchestrator}/${workload}/${endpoint}`
  for (const endpoint of workloadEndpoints) {
    if (endpoint.ipNetworks.length === 0) continue
    const other = byInterface.get(endpoint.interfaceName)
    if (other === undefined || compareText(id(endpoint), id(other)) < 0) byInterface.set(endpoint.interfaceName, endpoint)
  }
  return [...byInterface.values()]
    .sort((a, b) => compareText(a.interfaceName, b.interfaceName))
    .map((endpoint) => ({ endpoint, tiers: resolve({ labels: workloadLabels(endpoint), profiles: endpoint.profiles }, policies) }))
}

/** Policies and profiles that some endpoint of this node has. */
interface ActiveRules {
  readonly policies: readonly FelixPolicy[]
  readonly profiles: readonly FelixProfile[]
}

function activeRules({ policies }: FelixView, workloads: readonly Workload[], hosts: readonly Host[]): ActiveRules {
  const used = new Set([...workloads, ...hosts].flatMap(({ tiers }) => tiers.policies.map(({ rules }) => rules)))
  const names = new Set([...workloads, ...hosts].flatMap(({ endpoint }) => endpoint.profiles))
  // a profile that nobody has made: its chains stand, and hold nothing
  const missing = (name: string): FelixProfile => ({ name, ingress: [], egress: [] })
  return { policies: [...used], profiles: [...names].sort(compareText).map((name) => policies.profiles.get(name) ?? missing(name)) }
}

/** Chains of policies and profiles, by what of a node's configuration they depend on: most nodes have it in common. A shorter way to the same answer. */
type ChainCache = Map<string, Map<FelixPolicy | FelixProfile, readonly FelixChain[]>>

interface ActiveChains {
  readonly rules: ActiveRules
  readonly chains: readonly FelixChain[]
}

/** For every table: what no chain refers to is not written. */
function ruleChains(rules: ActiveRules, { config, policies: { chainCache } }: FelixView): ActiveChains {
  const { marks, deny, flowLogs, logPrefix, logRateLimit, release } = config
  const key = JSON.stringify([release.version, marks, deny, flowLogs, logPrefix, logRateLimit])
  const cache = chainCache.get(key) ?? new Map<FelixPolicy | FelixProfile, readonly FelixChain[]>()
  chainCache.set(key, cache)
  const cached = <Source extends FelixPolicy | FelixProfile>(source: Source, render: (source: Source) => readonly FelixChain[]): readonly FelixChain[] => {
    const known = cache.get(source) ?? render(source).map((chain) => ({ ...chain, ...provenance(source) }))
    cache.set(source, known)
    return known
  }
  const provenance = (source: FelixPolicy | FelixProfile): Pick<FelixChain, 'provenance'> =>
    source.provenance === undefined ? {} : { provenance: source.provenance }
  return {
    rules,
    chains: [
      ...rules.policies.flatMap((policy) => cached(policy, (source) => policyChains(source, config))),
      ...rules.profiles.flatMap((profile) => cached(profile, (source) => profileChains(source, config))),
    ],
  }
}

function hostChains(hosts: readonly Host[], config: FelixConfig, table: 'raw' | 'mangle' | 'filter'): readonly FelixChain[] {
  const dispatch = {
    all: interfacesOf(hosts),
    untracked: hosts.filter(({ tiers, interfaceName }) => tiers.untracked.length > 0 && interfaceName !== ALL_INTERFACES).map((host) => host.interfaceName),
    preDnat: interfacesOf(hosts.filter(({ tiers }) => tiers.preDnat.length > 0)),
  }
  return [
    ...hosts.flatMap(({ interfaceName, endpoint, tiers }) => {
      const provenance = { by: 'felix', object: `HostEndpoint/${endpoint.name}`, ...(endpoint.file === '' ? {} : { file: endpoint.file, line: endpoint.line }) }
      return hostEndpointChains({ interfaceName, profiles: endpoint.profiles, ...tiers }, config)[table].map((chain) => ({ ...chain, provenance }))
    }),
    ...hostDispatchChains(dispatch, config)[table],
  ]
}

function interfacesOf(hosts: readonly Host[]): { readonly names: readonly string[]; readonly wildcard: boolean } {
  const names = hosts.map(({ interfaceName }) => interfaceName)
  return { names: names.filter((name) => name !== ALL_INTERFACES), wildcard: names.includes(ALL_INTERFACES) }
}

function rawChains({ config, workloadEndpoints }: FelixView, hosts: readonly Host[], active: ActiveChains): readonly FelixChain[] {
  const spoofers = workloadEndpoints
    .filter(({ allowedSourcePrefixes }) => allowedSourcePrefixes.length > 0)
    .map(({ interfaceName, allowedSourcePrefixes }) => ({ interfaceName, prefixes: allowedSourcePrefixes.map(formatCidr) }))
  return [
    ...staticRawChains(config),
    rpfSkipChain(spoofers),
    ...hostChains(hosts, config, 'raw'),
    ...active.chains,
    ...groupChains(allTiers(hosts, 'untracked'), config),
  ]
}

function mangleChains({ config }: FelixView, hosts: readonly Host[], active: ActiveChains): readonly FelixChain[] {
  return [
    ...staticMangleChains(config),
    egressDscpChain([]),
    ...hostChains(hosts, config, 'mangle'),
    ...active.chains,
    ...groupChains([...allTiers(hosts, 'normal'), ...allTiers(hosts, 'preDnat')], config),
  ]
}

function allTiers(endpoints: readonly { readonly tiers: ResolvedTiers }[], kind: Exclude<keyof ResolvedTiers, 'policies'>): readonly EndpointTier[] {
  return endpoints.flatMap(({ tiers }) => tiers[kind])
}

function natChains({ config, pools }: FelixView, workloads: readonly Workload[]): readonly FelixChain[] {
  const floating = config.floatingIps
    ? workloads.flatMap(({ endpoint }) => endpoint.ipNats.map(({ internal, external }) => ({ internal: formatIp(internal), external: formatIp(external) })))
    : []
  return [...staticNatChains(config), natOutgoingChain(config, { active: pools.some(({ natOutgoing }) => natOutgoing) }), ...floatingIpChains(floating, config)]
}

function filterChains(
  { config, serviceCidrs }: FelixView,
  { workloads, hosts, active }: { readonly workloads: readonly Workload[]; readonly hosts: readonly Host[]; readonly active: ActiveChains },
): readonly FelixChain[] {
  const names = workloads.map(({ endpoint }) => endpoint.interfaceName)
  return [
    ...staticFilterChains(config),
    cidrBlockChain(serviceCidrs, config),
    ...workloads.flatMap(({ endpoint, tiers }) => {
      const { interfaceName, profiles, namespace, pod, file, line } = endpoint
      const provenance = { by: 'felix', object: `Pod/${namespace}/${pod}`, ...(file === '' ? {} : { file, line }) }
      return workloadChains({ interfaceName, profiles, tiers: tiers.normal }, config).map((chain) => ({ ...chain, provenance }))
    }),
    ...workloadDispatchChains(names, config),
    ...hostChains(hosts, config, 'filter'),
    ...active.chains,
    ...groupChains([...allTiers(workloads, 'normal'), ...allTiers(hosts, 'normal'), ...allTiers(hosts, 'forward')], config),
    ...(config.ipvs ? markChains(config, names, interfacesOf(hosts).names) : []),
  ]
}

function markChains(config: FelixConfig, workloads: readonly string[], hosts: readonly string[]): readonly FelixChain[] {
  const marks = new EndpointMarks(config.marks.endpoint, config.marks.nonCaliEndpoint)
  const chains = [...workloads, ...hosts].map((name) => setMarkChain(name, marks))
  return [...chains, ...endpointMarkChains({ workloads, hosts }, config, marks)]
}

/** The sets that are there whatever the policies are. */
function staticSets({ config, pools, interfaces, hostAddresses, remoteVteps }: FelixView): readonly IpSet[] {
  const { release, maxIpsetSize, externalHosts } = config
  const external = externalHosts.filter((text) => !text.includes(':')).flatMap(setElements)
  const isPublic = ({ allowedUses }: IPPool): boolean => allowedUses.length === 1 && allowedUses[0] === 'LoadBalancer'
  const netSet = (id: string, members: readonly string[]): IpSet => felixIpset(id, 'hash:net', members, maxIpsetSize)
  const prefixes = (members: readonly IPPool[]): string[] => members.flatMap((pool) => setElements(formatCidr(pool.cidr)))
  const poolSet = (id: string, members: readonly IPPool[]): IpSet => netSet(id, prefixes(members))
  const addresses = interfaces.flatMap((device) => device.addresses.map(formatIp))
  return [
    poolSet(release.allPoolsSetId, release.allPoolsSetId === 'network-ip-pools' ? pools.filter((pool) => !isPublic(pool)) : pools),
    poolSet(
      SET.masqueradePools,
      pools.filter(({ natOutgoing }) => natOutgoing),
    ),
    felixIpset(SET.thisHost, 'hash:ip', addresses, maxIpsetSize),
    ...(release.dscpChain ? [netSet(SET.dscpSources, [])] : []),
    ...(config.ipip.enabled || config.natExcludesHosts ? [netSet(SET.allHosts, [...hostAddresses.map(formatIp), ...external])] : []),
    ...(config.vxlan.enabled ? [netSet(SET.allVxlan, [...remoteVteps.map(formatIp), ...external])] : []),
  ]
}

/** The sets of the active rules, by name. */
function policySets({ policies, config }: FelixView, active: ActiveRules): readonly IpSet[] {
  const ids = new Set<string>()
  for (const source of [...active.policies, ...active.profiles]) {
    for (const rule of [...source.ingress, ...source.egress]) {
      for (const side of [rule.source, rule.destination]) {
        for (const id of [...side.sets, ...side.notSets, ...side.namedPorts, ...side.notNamedPorts, ...side.ipPortSets]) ids.add(id)
      }
    }
  }
  return [...ids].sort(compareText).flatMap((id) => {
    const set = policies.scanner.sets.get(id)
    return set === undefined ? [] : [policies.index.ipset(set, config.maxIpsetSize)]
  })
}
