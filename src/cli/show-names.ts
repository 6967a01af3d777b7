/** The names that `netsim show` knows: light, so that a misspelt one is told without building anything. */
import { nearestName } from '../cluster/nearest-name.js'
import { choosing } from './choices.js'
import { UsageError } from './exit.js'

/** Of the whole cluster. */
export const CLUSTER_KINDS = ['nodes', 'pods', 'leases', 'etcd'] as const
/** Of one netns: what `ip`, `bridge`, iptables and ipset say there. */
const NETNS_KIND_NAMES = ['routes', 'rules', 'neigh', 'fdb', 'addr', 'iptables', 'ipset', 'sysctls', 'sockets'] as const
/** What packets leave behind. */
const RUNTIME_KINDS = ['conntrack'] as const
/** What BIRD says, and what Calico's IPAM and CNI plugin keep. */
export const BGP_KINDS = ['bgp', 'bird', 'sessions'] as const
export const IPAM_KINDS = ['ipam', 'blocks', 'ippools', 'workloadendpoints'] as const
/** Services, who is behind them, and their names and Ingresses: of a name in place of a node. */
export const SERVICE_KINDS = ['services', 'endpoints', 'dns', 'ingress'] as const
/** Of a Scenario's run, not of a moment. */
const RUN_KINDS = ['timeline'] as const
/** One text per node. */
export const FILE_KINDS = ['subnet-env', 'docker-opts'] as const

export type ClusterKind = (typeof CLUSTER_KINDS)[number]
export type FileKind = (typeof FILE_KINDS)[number]
export type NetnsKindName = (typeof NETNS_KIND_NAMES)[number]
type RuntimeKind = (typeof RUNTIME_KINDS)[number]
type RunKind = (typeof RUN_KINDS)[number]
export type BgpKind = (typeof BGP_KINDS)[number]
export type IpamKind = (typeof IPAM_KINDS)[number]
export type ServiceKind = (typeof SERVICE_KINDS)[number]
/** Of one moment. */
export type StateKind = ClusterKind | FileKind | NetnsKindName | RuntimeKind | BgpKind | IpamKind | ServiceKind
export type Kind = StateKind | RunKind

export const KINDS: readonly Kind[] = [
  ...CLUSTER_KINDS,
  ...NETNS_KIND_NAMES,
  ...RUNTIME_KINDS,
  ...FILE_KINDS,
  ...BGP_KINDS,
  ...IPAM_KINDS,
  ...SERVICE_KINDS,
  ...RUN_KINDS,
]

/** Of the contract, for what is not built yet. */
const LATER_KINDS = ['policies']

/** What people call them elsewhere. */
const ALIASES: Readonly<Record<string, string>> = {
  node: 'nodes',
  no: 'nodes',
  pod: 'pods',
  po: 'pods',
  lease: 'leases',
  route: 'routes',
  rule: 'rules',
  neighbor: 'neigh',
  neighbors: 'neigh',
  neighbour: 'neigh',
  neighbours: 'neigh',
  arp: 'neigh',
  address: 'addr',
  addresses: 'addr',
  'iptables-save': 'iptables',
  ipsets: 'ipset',
  sysctl: 'sysctls',
  socket: 'sockets',
  ss: 'sockets',
  connections: 'conntrack',
  'subnet.env': 'subnet-env',
  protocols: 'bgp',
  'bird.cfg': 'bird',
  session: 'sessions',
  block: 'blocks',
  ippool: 'ippools',
  pools: 'ippools',
  workloadendpoint: 'workloadendpoints',
  wep: 'workloadendpoints',
  service: 'services',
  svc: 'services',
  endpoint: 'endpoints',
  ep: 'endpoints',
  endpointslices: 'endpoints',
  records: 'dns',
  ingresses: 'ingress',
  ing: 'ingress',
  diary: 'timeline',
}

/** @throws UsageError that names what there is. */
export const kindOf = choosing(KINDS, (word): Kind => {
  const name = Object.hasOwn(ALIASES, word) ? ALIASES[word] : word
  const found = KINDS.find((kind) => kind === name)
  if (found !== undefined) return found
  const all = `\nThere are ${KINDS.join(', ')}.`
  if (LATER_KINDS.includes(name)) throw new UsageError(`not yet modelled: ${name}${all}`)
  const nearest = nearestName(name, KINDS)
  throw new UsageError(`there is no kind '${word}' to show${nearest === undefined ? '' : ` (Did you mean ${nearest}?)`}${all}`)
})
