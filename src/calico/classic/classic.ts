/**
 * Felix 1.4.9 on one node: the classic model and the endpoints of all nodes → this node's chains, IP sets, neighbours and sysctls. Pure.
 *
 *   ClassicModel (+ policy controller, pods) ─▶ ClassicCluster, once ─▶ renderClassic(one node)
 *
 * IPv4 alone. Source: felix 1.4.9 calico/felix (felix.py, endpoint.py, profilerules.py, fiptables.py, masq.py, devices.py).
 */
import { formatCidr } from '../../base/cidr.js'
import { formatIp, type Ip } from '../../base/ip.js'
import type { Problem } from '../../base/problem.js'
import type { ClassicModel, ClassicPolicy, ClassicRule, ClassicRules, ClassicSide, ClassicWorkloadEndpoint } from '../../cluster/calico/classic-model.js'
import { isSelectorFault, parseSelector } from '../../cluster/selector.js'
import type { Dataplane, NeighbourSpec, Provenance } from '../../dataplane/dataplane.js'
import type { IpSet } from '../../dataplane/ipset.js'
import type { ChainEdit, TableName } from '../../dataplane/iptables.js'
import type { HostInterface } from '../felix/host-endpoints.js'
import { resolveClassicConfig, type ClassicConfig } from './config.js'
import { dispatchChains } from './dispatch.js'
import { endpointChains, type ClassicTierPolicies } from './endpoint-chains.js'
import { ClassicIndex, type AppliedTier } from './endpoint-index.js'
import { chainEdit, dropRules, fragments, type ClassicChain } from './fragment.js'
import { resolveClassicHosts, type ResolvedClassicHost } from './host-endpoints.js'
import { CHAIN, HOST_DISPATCH, selectorSet, SET, tagSet, WORKLOAD_DISPATCH } from './names.js'
import { cannotRender, leftOut, rulesChains, type RulesOwner } from './rule-chains.js'
import { filterChains, natChains, postroutingRules, rawChains } from './static-chains.js'

/** The model with every endpoint in it, as all Felixes of the cluster know it. */
export interface ClassicCluster {
  readonly model: ClassicModel
  readonly index: ClassicIndex
}

export function compileClassic(model: ClassicModel): ClassicCluster {
  return { model, index: new ClassicIndex(model) }
}

export interface ClassicView {
  readonly cluster: ClassicCluster
  readonly node: string
  /** All of the host's but the workloads'. */
  readonly interfaces: readonly HostInterface[]
  /** What calico/node took for tunl0 from a pool; IpInIpTunnelAddr of the host wins. */
  readonly ipipTunnelAddress?: Ip
}

export interface ClassicPart extends Pick<Dataplane, 'neighbours' | 'sysctls'> {
  readonly edits: readonly ChainEdit[]
  readonly ipsets: readonly IpSet[]
  readonly problems: readonly Problem[]
}

const NOTHING: ClassicPart = { edits: [], ipsets: [], neighbours: [], sysctls: {}, problems: [] }

/** Felix's parameters on one node. Also how the composition learns whether there is a tunl0, and its MTU. */
export function classicConfig({ model }: ClassicCluster, node: string): { readonly config: ClassicConfig; readonly problems: readonly Problem[] } {
  return resolveClassicConfig({ host: model.hostSettings.get(node) ?? new Map(), global: model.settings })
}

export function renderClassic(view: ClassicView): ClassicPart {
  const { cluster, node } = view
  const { model, index } = cluster
  if (!model.ready) return NOTHING
  const resolved = classicConfig(cluster, node)
  if (resolved.problems.some(({ severity }) => severity === 'error')) return { ...NOTHING, problems: resolved.problems }
  const tunnel = resolved.config.ipipTunnelAddress ?? view.ipipTunnelAddress
  const config = { ...resolved.config, ...(tunnel === undefined ? {} : { ipipTunnelAddress: tunnel }) }
  const { workloads, problems } = localWorkloads(cluster, node, config)
  const hosts = resolveClassicHosts(
    model.hostEndpoints.filter((endpoint) => endpoint.node === node),
    view.interfaces,
    config.prefixes,
  )
  const owners = activeOwners(index, { workloads, hosts })
  const filter = withStubs(
    [...filterChains(config), ...endpointPart(index, { workloads, hosts }, config), ...owners.tracked.flatMap((owner) => rulesChains(owner, config))],
    config,
  )
  const raw = withStubs(
    [...rawChains(config), ...untrackedPart(index, hosts, config), ...owners.untracked.flatMap((owner) => rulesChains(owner, config))],
    config,
  )
  const floating = workloads.flatMap(({ ipNats }) => ipNats).toSorted((a, b) => compareText(formatIp(a.external), formatIp(b.external)))
  const masquerades = model.pools.some(({ masquerade }) => masquerade)
  return {
    edits: [
      ...tableEdits('raw', raw, { PREROUTING: [`--jump ${CHAIN.prerouting}`], OUTPUT: [`--jump ${CHAIN.output}`] }),
      ...tableEdits('nat', natChains(config, floating), {
        PREROUTING: [`--jump ${CHAIN.prerouting}`],
        POSTROUTING: postroutingRules(config, masquerades),
        OUTPUT: [`--jump ${CHAIN.output}`],
      }),
      ...tableEdits('filter', filter, { INPUT: [`--jump ${CHAIN.input}`], OUTPUT: [`--jump ${CHAIN.output}`], FORWARD: [`--jump ${CHAIN.forward}`] }),
    ],
    ipsets: [...ruleSets(index, [...owners.tracked, ...owners.untracked], config), ...poolSets(model), ...hostSet(model, config)],
    neighbours: workloads.flatMap(staticNeighbours),
    sysctls: interfaceSysctls(workloads),
    problems: [...resolved.problems, ...problems, ...ruleProblems([...owners.tracked, ...owners.untracked])],
  }
}

/** Those whose interface Felix takes for a workload's; the first by ID of several with one interface. */
function localWorkloads(
  { model }: ClassicCluster,
  node: string,
  { prefixes }: ClassicConfig,
): {
  readonly workloads: readonly ClassicWorkloadEndpoint[]
  readonly problems: readonly Problem[]
} {
  const workloads = new Map<string, ClassicWorkloadEndpoint>()
  const problems: Problem[] = []
  for (const endpoint of model.workloadEndpoints.filter((candidate) => candidate.node === node)) {
    const { interfaceName } = endpoint
    const refuse = (what: string, fix: string): void =>
      void problems.push({ severity: 'error', file: endpoint.file, line: endpoint.line, object: endpointLabel(endpoint), what, fix })
    if (!prefixes.some((prefix) => interfaceName.startsWith(prefix)))
      refuse(
        `the interface ${interfaceName} does not start with ${prefixes.join(' or ')}: Felix takes the endpoint for absent`,
        'InterfacePrefix says how they start.',
      )
    else if (workloads.has(interfaceName)) refuse(`the interface ${interfaceName} has another endpoint already`, 'Each endpoint has an interface of its own.')
    else workloads.set(interfaceName, endpoint)
  }
  return { workloads: [...workloads.values()].sort((a, b) => compareText(a.interfaceName, b.interfaceName)), problems }
}

interface Locals {
  readonly workloads: readonly ClassicWorkloadEndpoint[]
  readonly hosts: readonly ResolvedClassicHost[]
}

function endpointLabel({ orchestrator, workload, name }: ClassicWorkloadEndpoint): string {
  const [, namespace, pod] = /^([^.]+)\.(.+)$/.exec(workload) ?? []
  return orchestrator === 'k8s' && pod !== undefined ? `Pod/${namespace}/${pod}` : `workloadEndpoint/${orchestrator}/${workload}/${name}`
}

function placed(object: string, { file, line }: { readonly file: string; readonly line: number }): Provenance {
  return { by: 'felix', object, ...(file === '' ? {} : { file, line }) }
}

/** The chains of one that is down are taken away, and stubs drop in their place. */
function endpointPart(index: ClassicIndex, { workloads, hosts }: Locals, config: ClassicConfig): readonly ClassicChain[] {
  return [
    ...dispatchChains(
      workloads.map(({ interfaceName }) => interfaceName),
      WORKLOAD_DISPATCH,
      { config, unknown: 'drop' },
    ),
    ...dispatchChains(
      hosts.map(({ interfaceName }) => interfaceName),
      HOST_DISPATCH,
      { config, unknown: 'return' },
    ),
    ...workloads
      .filter(({ active }) => active)
      .flatMap((endpoint) => {
        const { interfaceName, name, mac, profiles } = endpoint
        const tiers = chainIds(index.tiersOf(endpoint, 'tracked'))
        const provenance = placed(endpointLabel(endpoint), endpoint)
        return endpointChains({ interfaceName, id: name, ...(mac === undefined ? {} : { mac }), profiles, tiers, kind: 'workload', provenance }, config)
      }),
    ...hosts.flatMap(({ interfaceName, endpoint }) => {
      const tiers = chainIds(index.tiersOf(endpoint, 'tracked'))
      const provenance = placed(`hostEndpoint/${endpoint.node}/${endpoint.name}`, endpoint)
      return endpointChains({ interfaceName, id: endpoint.name, profiles: endpoint.profiles, tiers, kind: 'host', provenance }, config)
    }),
  ]
}

/** Host endpoints have chains in the raw table too, for the policies that are not tracked. */
function untrackedPart(index: ClassicIndex, hosts: readonly ResolvedClassicHost[], config: ClassicConfig): readonly ClassicChain[] {
  return [
    ...dispatchChains(
      hosts.map(({ interfaceName }) => interfaceName),
      HOST_DISPATCH,
      { config, unknown: 'return' },
    ),
    ...hosts.flatMap(({ interfaceName, endpoint }) => {
      const tiers = chainIds(index.tiersOf(endpoint, 'untracked'))
      const provenance = placed(`hostEndpoint/${endpoint.node}/${endpoint.name}`, endpoint)
      return endpointChains({ interfaceName, id: endpoint.name, profiles: [], tiers, kind: 'host', untracked: true, provenance }, config)
    }),
  ]
}

function policyId({ tier, name }: ClassicPolicy): string {
  return `${tier}/${name}`
}

function chainIds(tiers: readonly AppliedTier[]): readonly ClassicTierPolicies[] {
  return tiers.map(({ tier, policies }) => ({ tier, policies: policies.map(policyId) }))
}

interface Owners {
  readonly tracked: readonly RulesOwner[]
  readonly untracked: readonly RulesOwner[]
}

/** Profiles and policies that some endpoint of this node has. */
function activeOwners(index: ClassicIndex, { workloads, hosts }: Locals): Owners {
  const endpoints = [...workloads, ...hosts.map(({ endpoint }) => endpoint)]
  const profiles = [...new Set(endpoints.flatMap((endpoint) => endpoint.profiles))].sort().flatMap((name): RulesOwner[] => {
    const rules = index.profile(name)?.rules
    return rules === undefined ? [] : [{ id: name, label: `profile/${name}`, rules }]
  })
  const policies = (kind: 'tracked' | 'untracked'): RulesOwner[] => {
    const found = new Set(endpoints.flatMap((endpoint) => index.tiersOf(endpoint, kind)).flatMap((tier) => tier.policies))
    return [...found].map((policy) => ({ id: policyId(policy), label: `policy/${policyId(policy)}`, rules: policy.rules }))
  }
  return { tracked: [...profiles, ...policies('tracked')], untracked: policies('untracked') }
}

/** A chain that is jumped to and that nobody wrote drops everything: of a profile that does not exist, of an endpoint that is down. */
function withStubs(chains: readonly ClassicChain[], config: ClassicConfig): readonly ClassicChain[] {
  const names = new Set(chains.map(({ name }) => name))
  const missing = new Set<string>()
  for (const { rules } of chains) {
    for (const { words } of rules) {
      const target = /--(?:jump|goto) (felix-\S+)/.exec(words)?.[1]
      if (target !== undefined && !names.has(target)) missing.add(target)
    }
  }
  const stub = fragments(dropRules(config, '', 'WARNING Missing chain'))
  return [...chains, ...[...missing].map((name) => ({ name, rules: stub }))]
}

/** Chains sorted, as iptables-save lists them. */
function tableEdits(table: TableName, chains: readonly ClassicChain[], hooks: Readonly<Record<string, readonly string[]>>): readonly ChainEdit[] {
  return [
    ...chains.toSorted((a, b) => compareText(a.name, b.name)).map((chain) => chainEdit(table, chain)),
    ...Object.entries(hooks).map(([name, words]) => chainEdit(table, { name, rules: fragments(words) }, 'insert')),
  ]
}

function ruleSets(index: ClassicIndex, owners: readonly RulesOwner[], { maxIpsetSize }: ClassicConfig): readonly IpSet[] {
  const members = new Map<string, readonly string[]>()
  for (const side of owners.flatMap(({ rules }) => sidesOf(rules))) {
    if (side.tag !== undefined) members.set(tagSet(side.tag), index.taggedWith(side.tag))
    if (side.selector === undefined) continue
    const selector = parseSelector(side.selector)
    if (!isSelectorFault(selector)) members.set(selectorSet(selector), index.selectedBy(side.selector))
  }
  return [...members].sort(([a], [b]) => compareText(a, b)).map(([name, elements]) => ipset(name, 'hash:ip', elements, maxIpsetSize))
}

function sidesOf({ inbound, outbound }: ClassicRules): readonly ClassicSide[] {
  return [...inbound, ...outbound].flatMap(({ match, not }) => [match.source, match.destination, not.source, not.destination])
}

const DEFAULT_SET_SIZE = 2 ** 20

/** There only while some pool is masqueraded. */
function poolSets({ pools }: ClassicModel): readonly IpSet[] {
  const masqueraded = pools.filter(({ masquerade }) => masquerade)
  if (masqueraded.length === 0) return []
  const set = (name: string, members: ClassicModel['pools']): IpSet =>
    ipset(name, 'hash:net', members.map(({ cidr }) => formatCidr(cidr)).sort(compareText), DEFAULT_SET_SIZE)
  return [set(SET.allPools, pools), set(SET.masqueradePools, masqueraded)]
}

function hostSet({ nodes }: ClassicModel, { ipip }: ClassicConfig): readonly IpSet[] {
  const addresses = nodes.flatMap(({ address }) => (address === undefined ? [] : [formatIp(address)]))
  return ipip ? [ipset(SET.hosts, 'hash:ip', [...new Set(addresses)], DEFAULT_SET_SIZE)] : []
}

function ipset(name: string, type: 'hash:ip' | 'hash:net', elements: readonly string[], size: number): IpSet {
  return { name, type, options: `family inet hashsize 1024 maxelem ${size}`, members: elements.map((element) => ({ element })) }
}

/** `arp -s`, for each address of an endpoint whose MAC is known. */
function staticNeighbours(endpoint: ClassicWorkloadEndpoint): readonly NeighbourSpec[] {
  const { mac, interfaceName, ipNetworks, ipNats, active } = endpoint
  if (mac === undefined || !active) return []
  const addresses = [...ipNetworks.map(({ base }) => base), ...ipNats.map(({ external }) => external)]
  return addresses.map((address) => ({ address, device: interfaceName, mac, state: 'permanent', provenance: { by: 'felix', object: endpointLabel(endpoint) } }))
}

/** Spoofing is held off by the kernel's strict reverse path, where today's Felix has a rule of the raw table. */
function interfaceSysctls(workloads: readonly ClassicWorkloadEndpoint[]): Dataplane['sysctls'] {
  return Object.fromEntries([
    ['net.ipv4.conf.default.rp_filter', 1],
    ...workloads.flatMap(({ interfaceName }): [string, number][] => [
      [`net.ipv4.conf.${interfaceName}.rp_filter`, 1],
      [`net.ipv4.conf.${interfaceName}.route_localnet`, 1],
      [`net.ipv4.conf.${interfaceName}.proxy_arp`, 1],
      [`net.ipv4.neigh.${interfaceName}.proxy_delay`, 0],
    ]),
  ])
}

function ruleProblems(owners: readonly RulesOwner[]): readonly Problem[] {
  return owners.flatMap(({ label, rules }) =>
    (['inbound', 'outbound'] as const).flatMap((direction) =>
      rules[direction].flatMap((rule, index) => ruleWarnings(rule, `${label} ${direction} rule ${index + 1}`, label.startsWith('profile/'))),
    ),
  )
}

function ruleWarnings(rule: ClassicRule, object: string, ofProfile: boolean): readonly Problem[] {
  const warning = (what: string, fix: string): Problem => ({ severity: 'warning', file: rule.file, line: rule.line, object, what, fix })
  const unable = cannotRender(rule)
  if (unable !== undefined) return [warning(`Felix 1.4 cannot write the rule and drops everything in its place: ${unable}`, 'Write the rule without it.')]
  const missing = rule.ipVersion === 6 ? [] : leftOut(rule)
  return [
    ...missing.map((what) => warning(`in IPv4 Felix 1.4 leaves ${what} out: the rule matches without it`, 'Say ip_version, and icmp by its name.')),
    ...(ofProfile && rule.action === 'next-tier'
      ? [warning('next-tier in a profile ends the profile without accepting: the next profile is asked', 'Write allow to let packets in.')]
      : []),
  ]
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
