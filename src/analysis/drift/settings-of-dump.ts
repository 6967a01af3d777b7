/** Settings of agents as one node shows them: flannel's configuration and version, Calico's pools, what kube-proxy was told. From a dump to values. */
import { cidr, contains, formatCidr, parseCidr, type Cidr } from '../../base/cidr.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { CollectedNode, DumpPlace } from '../../collected/collected-node.js'
import type { RouteSpec } from '../../dataplane/dataplane.js'
import type { IptablesState, Rule } from '../../dataplane/iptables.js'
import { renderMasquerade } from '../../flannel/masquerade.js'
import type { FlannelConfig } from '../../flannel/config.js'
import { agentsBackend } from './iptables-backends.js'
import { jumpOf, meaningOf, tableNamed } from './rule-meaning.js'

/** Of the kernel interface that the agents use. */
function rulesOf(node: CollectedNode): IptablesState {
  return agentsBackend(node.iptablesBackends).used?.state ?? node.dataplane.iptables
}

function rulesFile(node: CollectedNode): DumpPlace {
  return { file: agentsBackend(node.iptablesBackends).used?.file ?? node.source, line: 0 }
}

/** net-conf.json; undefined where the node shows no Network. */
export function flannelConfigOf(node: CollectedNode, cluster: Cluster): (DumpPlace & { readonly text: string }) | undefined {
  const { dataplane } = node
  const seen = flannelNetworkOf(node)
  if (seen === undefined) return undefined
  const backend = backendOf(dataplane.devices) ?? { Type: hasNodeRoutes(node, cluster) ? 'host-gw' : 'alloc' }
  const direct = backend.Type === 'vxlan' && hasNodeRoutes(node, cluster) ? { DirectRouting: true } : {}
  return { text: JSON.stringify({ Network: formatCidr(seen.network), Backend: { ...backend, ...direct } }), file: seen.file, line: seen.line }
}

/** Of subnet.env, else of flanneld's rules that let the network's packets through. */
export function flannelNetworkOf(node: CollectedNode): (DumpPlace & { readonly network: Cidr }) | undefined {
  const { subnetEnv } = node
  if (subnetEnv?.network !== undefined) return { network: subnetEnv.network, file: subnetEnv.file, line: 0 }
  const filter = tableNamed(rulesOf(node), 'filter')
  for (const { name, rules } of filter?.chains ?? []) {
    for (const { matches, target, provenance } of rules) {
      const isForward = name === 'FLANNEL-FWD' || matches.some((match) => match.kind === 'comment' && match.text === 'flanneld forward')
      const source = matches.find((match) => match.kind === 'source')
      if (isForward && target?.kind === 'ACCEPT' && source?.kind === 'source' && source.invert !== true)
        return { network: source.net, file: provenance?.file ?? rulesFile(node).file, line: provenance?.line ?? 0 }
    }
  }
  return undefined
}

interface Backend {
  readonly Type: string
  readonly VNI?: number
  readonly Port?: number
}

function backendOf(devices: CollectedNode['dataplane']['devices']): Backend | undefined {
  for (const device of devices) {
    if (device.kind === 'vxlan' && /^flannel\.\d+$/.test(device.name)) {
      const { vni, port } = device
      return { Type: 'vxlan', ...(vni === 1 ? {} : { VNI: vni }), ...(port === 8472 ? {} : { Port: port }) }
    }
    if (device.name === 'flannel-wg') return { Type: 'wireguard' }
    if (device.name === 'flannel.ipip') return { Type: 'ipip' }
    if (device.name === 'flannel0') return { Type: 'udp' }
  }
  return undefined
}

/** Pods of other nodes are routed to these nodes' own addresses. */
function hasNodeRoutes({ name, dataplane }: CollectedNode, { nodes, nodeByAddress }: Cluster): boolean {
  const isOthers = (route: RouteSpec): boolean => {
    const other = route.via === undefined ? undefined : nodeByAddress.get(route.via)
    return other !== undefined && other.name !== name && route.destination.length > 0
  }
  return nodes.length < 2 || dataplane.routes.some(isOthers)
}

/** The first of each way to write the rules, newest first (flannel/masquerade.ts). */
const FLANNEL_VERSIONS = ['0.28.9', '0.21.2', '0.20.2', '0.20.0', '0.19.2', '0.9.1', '0.7.1', '0.5.5'] as const
const FLANNEL_CHAINS = new Set(['FLANNEL', 'FLANNEL-POSTRTG', 'FLANNEL-FWD'])

/** Whose rules fit best; undefined where that of the newest do, which stand by themselves, or nothing fits. */
export function flannelVersionOf(node: CollectedNode, cluster: Cluster): (DumpPlace & { readonly version: string }) | undefined {
  const subnet = cluster.nodeByName.get(node.name)?.podCIDR ?? leaseOf(node)
  const network = flannelNetworkOf(node)?.network
  if (subnet === undefined || network === undefined) return undefined
  const config: FlannelConfig = { network, subnetLength: subnet.length, subnetMin: 0, subnetMax: 0, enableNFTables: false, backendType: '', backend: {} }
  const ownLease = { subnet, attributes: { publicIp: 0, backendType: '' }, revision: 0 }
  const there = new Set(
    rulesOf(node).tables.flatMap(({ name, chains }) => chains.flatMap((chain) => chain.rules.map((rule) => ruleKey(name, chain.name, rule)))),
  )
  const score = (version: string): number => {
    const { chainEdits } = renderMasquerade({ version, config, ownLease, ipMasq: true })
    const keys = chainEdits.flatMap(({ table, chain, rules }) => rules.map((rule) => ruleKey(table, chain, rule)))
    const hits = keys.filter((key) => there.has(key)).length
    const own = [...there].filter((key) => FLANNEL_CHAINS.has(key.split(' ')[1]) && !keys.includes(key)).length
    return hits === 0 ? -1 : hits - (keys.length - hits) - own
  }
  const [best] = FLANNEL_VERSIONS.map((version) => ({ version, score: score(version) })).sort((a, b) => b.score - a.score)
  return best.score < 0 || best.version === FLANNEL_VERSIONS[0] ? undefined : { version: best.version, ...rulesFile(node) }
}

function leaseOf({ subnetEnv }: CollectedNode): Cidr | undefined {
  return subnetEnv?.subnet === undefined ? undefined : cidr(subnetEnv.subnet.address, subnetEnv.subnet.length)
}

function ruleKey(table: string, chain: string, rule: Rule): string {
  return `${table} ${chain} ${meaningOf(rule)}`
}

type Mode = 'Always' | 'CrossSubnet' | 'Never'

interface PoolSeen {
  readonly name: string
  readonly cidr: string
  readonly vxlanMode: Mode
  readonly ipipMode: Mode
  readonly natOutgoing: boolean
  readonly blockSize?: number
}

const ALL_POOLS = /^cali40(network-ip-pools|all-ipam-pools)$/

/** Felix keeps its pools in sets; how packets go between blocks the routes show. */
export function poolsOf({ dataplane, source }: CollectedNode): (DumpPlace & { readonly pools: readonly PoolSeen[]; readonly bgp: boolean }) | undefined {
  const { ipsets, routes, devices } = dataplane
  const set = ipsets.find(({ name }) => ALL_POOLS.test(name))
  const nat = new Set(ipsets.find(({ name }) => name === 'cali40masq-ipam-pools')?.members.map(({ element }) => element))
  const pools = (set?.members ?? []).flatMap(({ element }, at): PoolSeen[] => {
    const prefix = parseCidr(element.includes('/') ? element : `${element}/32`)
    if (typeof prefix === 'string') return []
    const own = routes.filter(({ destination, table }) => table === undefined && destination.length > prefix.length && contains(prefix, destination.base))
    const block = own.find(({ type, protocol }) => type === 'blackhole' && (protocol === 'bird' || protocol === '80'))
    const away = own.filter(({ type, via }) => type === 'unicast' && via !== undefined)
    const by = (name: string): boolean => away.some(({ device }) => device === name)
    const plain = away.some(({ device }) => device !== 'vxlan.calico' && device !== 'tunl0')
    const has = (name: string): boolean => devices.some((device) => device.name === name && device.addresses.length > 0)
    const isVxlan = by('vxlan.calico') || (!by('tunl0') && has('vxlan.calico'))
    const isIpip = !isVxlan && (by('tunl0') || has('tunl0'))
    const mode = plain ? 'CrossSubnet' : 'Always'
    return [
      {
        name: `pool-${at}`,
        cidr: formatCidr(prefix),
        vxlanMode: isVxlan ? mode : 'Never',
        ipipMode: isIpip ? mode : 'Never',
        natOutgoing: nat.has(element),
        ...(block === undefined || block.destination.length > 32 ? {} : { blockSize: block.destination.length }),
      },
    ]
  })
  const bgp = routes.some(({ protocol }) => protocol === 'bird')
  return set === undefined || pools.length === 0 ? undefined : { pools, bgp, file: set.provenance?.file ?? source, line: set.provenance?.line ?? 0 }
}

interface ProxySeen extends DumpPlace {
  readonly settings: Readonly<Record<string, unknown>>
  readonly what: string
}

/** Whether kube-proxy writes rules, and by what it knows pods: the rule of each Service that marks what comes from elsewhere. */
export function proxyOf(node: CollectedNode, assumed: string | undefined): ProxySeen | undefined {
  const nat = tableNamed(rulesOf(node), 'nat')
  const chains = nat?.chains.filter(({ name }) => name.startsWith('KUBE-')) ?? []
  const place = rulesFile(node)
  if (node.dataplane.devices.some(({ name }) => name === 'kube-ipvs0'))
    return { settings: { mode: 'ipvs' }, what: 'kube-proxy is in IPVS mode (kube-ipvs0 is there)', ...place }
  if (!chains.some(({ name, rules }) => name === 'KUBE-SERVICES' && rules.length > 0) && !chains.some(({ name }) => name.startsWith('KUBE-SVC-'))) {
    // a node whose rules were not gathered says nothing
    if (node.iptablesBackends.length === 0 && node.dataplane.iptables.tables.length === 0) return undefined
    return chains.length > 0 ? undefined : { settings: { mode: 'none' }, what: 'no kube-proxy writes iptables rules', ...place }
  }
  const marks = chains.filter(({ name }) => name.startsWith('KUBE-SVC-')).flatMap(({ rules }) => rules.filter((rule) => jumpOf(rule) === 'KUBE-MARK-MASQ'))
  if (marks.length === 0) return undefined
  const told = marks.flatMap(({ matches }) => matches.flatMap((match) => (match.kind === 'source' && match.invert === true ? [formatCidr(match.net)] : [])))
  const [clusterCIDR] = told
  if (clusterCIDR === undefined || clusterCIDR === assumed) return undefined
  return { settings: { clusterCIDR }, what: `kube-proxy's clusterCIDR is ${clusterCIDR}`, ...place }
}
