/**
 * The resolver of a pod, a node or a host: policy and settings → what its /etc/resolv.conf and /etc/hosts say. Source: kubernetes
 * pkg/kubelet/network/dns/dns.go, pkg/kubelet/kubelet_pods.go (hosts file); limits: pkg/apis/core/validation, with ExpandedDNSConfig (1.28 and
 * later; 6 domains and 256 characters before).
 */
import { formatIp, ip, parseIp, type Ip } from '../../base/ip.js'
import { isObject, type JsonValue } from '../located.js'
import type { ClusterPod, DnsConfig } from '../pod.js'
import type { Place, ProblemList } from '../problem-list.js'
import { addressFault } from '../fields.js'
import type { DnsSettings } from './dns-settings.js'

const DNS_POLICIES = ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'] as const

/** A line of /etc/hosts. */
export interface HostsLine extends Place {
  readonly address: Ip
  readonly names: readonly string[]
}

export interface Resolver {
  /** In words: `dnsPolicy ClusterFirst`. */
  readonly policy: string
  /** In the order asked; empty with `known`: the library asks 127.0.0.1. */
  readonly nameservers: readonly Ip[]
  readonly searches: readonly string[]
  /** As written: `ndots:5`. */
  readonly options: readonly string[]
  readonly ndots: number
  /** False: it is that of the node, which is not in the input. */
  readonly known: boolean
  readonly hosts: readonly HostsLine[]
  readonly notes: readonly string[]
}

const MAX_NAMESERVERS = 3
const MAX_SEARCHES = { legacy: 6, expanded: 32 }
const MAX_SEARCH_CHARACTERS = { legacy: 256, expanded: 2048 }
const MAX_SEARCH_LENGTH = 253
/** resolv.conf(5): ndots defaults to 1 and is cut at 15. */
const DEFAULT_NDOTS = 1
const MAX_NDOTS = 15

interface Config {
  readonly nameservers: readonly Ip[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}

/** Of a process that is in no pod. */
export function nodeResolver({ nodes }: DnsSettings): Resolver {
  const config: Config = nodes ?? { nameservers: [], searches: [], options: [] }
  return finish(config, { policy: "the node's resolver", known: nodes !== undefined, hosts: [LOCALHOST], notes: [] })
}

const LOCALHOST: HostsLine = { address: ip('127.0.0.1'), names: ['localhost'], file: '', line: 0 }

/** @param address of the pod, where IPAM has given it one since */
export function podResolver(settings: DnsSettings, pod: ClusterPod, address = pod.address): Resolver {
  const policy = pod.dnsPolicy
  const notes: string[] = []
  const ofNode = nodeResolver(settings)
  const clusterFirst = policy !== 'Default' && policy !== 'None' && !(policy === 'ClusterFirst' && pod.hostNetwork)
  const cluster = clusterFirst && settings.clusterDNS.length > 0
  if (clusterFirst && !cluster) notes.push("the kubelet knows no cluster DNS (MissingClusterDNS): the pod gets its node's resolver")
  if (policy === 'ClusterFirst' && pod.hostNetwork)
    notes.push("dnsPolicy ClusterFirst of a pod on the host's network means its node's resolver: for names of the cluster write ClusterFirstWithHostNet")
  const base: Config = policy === 'None' ? NOTHING : cluster ? clusterConfig(settings, pod.namespace, ofNode.searches) : ofNode
  const config = appendDnsConfig(base, pod.dnsConfig)
  const known = policy === 'None' || cluster || ofNode.known
  return finish(config, { policy: `dnsPolicy ${policy}`, known, hosts: hostsOf(pod, address, settings.clusterDomain), notes })
}

const NOTHING: Config = { nameservers: [], searches: [], options: [] }

function clusterConfig({ clusterDNS, clusterDomain }: DnsSettings, namespace: string, hostSearches: readonly string[]): Config {
  const own = clusterDomain === '' ? [] : [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain]
  return { nameservers: clusterDNS, searches: unique([...own, ...hostSearches]), options: ['ndots:5'] }
}

/** Servers and searches are added, options of one name replaced. */
function appendDnsConfig(base: Config, { nameservers, searches, options: added }: DnsConfig = { nameservers: [], searches: [], options: [] }): Config {
  const options = new Map(base.options.map((option) => [option.replace(/:.*$/s, ''), option]))
  for (const { name, value = '' } of added) options.set(name, value === '' ? name : `${name}:${value}`)
  return {
    nameservers: unique([...base.nameservers, ...nameservers.flatMap((text) => parseIp(text) ?? [])]),
    searches: unique([...base.searches, ...searches]),
    options: [...options.values()],
  }
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

function textsOf(value: JsonValue | undefined): string[] {
  return listOf(value).filter((text) => typeof text === 'string')
}

function unique<Value>(values: readonly Value[]): Value[] {
  return [...new Set(values)]
}

// ---- limits

function finish(config: Config, about: Pick<Resolver, 'policy' | 'known' | 'hosts' | 'notes'>): Resolver {
  const notes = [...about.notes]
  if (config.nameservers.length > MAX_NAMESERVERS)
    notes.push(
      `of ${config.nameservers.length} nameservers the first ${MAX_NAMESERVERS} count: ` +
        `${config.nameservers.slice(MAX_NAMESERVERS).map(formatIp).join(', ')} is left out`,
    )
  const { searches, options } = config
  const kept = fitSearches(searches)
  if (kept.length < searches.length) notes.push(`of ${searches.length} search domains ${kept.length} fit: the others are left out`)
  else if (kept.length > MAX_SEARCHES.legacy || kept.join(' ').length > MAX_SEARCH_CHARACTERS.legacy)
    notes.push(`before Kubernetes 1.28 at most ${MAX_SEARCHES.legacy} search domains and ${MAX_SEARCH_CHARACTERS.legacy} characters counted`)
  return { ...about, nameservers: config.nameservers.slice(0, MAX_NAMESERVERS), searches: kept, options, ndots: ndotsOf(options), notes }
}

/** formDNSSearchFitsLimits: too many are cut, too long ones left out, then from the end until the line fits. */
function fitSearches(searches: readonly string[]): string[] {
  const kept = searches.slice(0, MAX_SEARCHES.expanded).filter(({ length }) => length <= MAX_SEARCH_LENGTH)
  while (kept.join(' ').length > MAX_SEARCH_CHARACTERS.expanded) kept.pop()
  return kept
}

function ndotsOf(options: readonly string[]): number {
  const option = options.findLast((one) => one.startsWith('ndots:'))
  const value = option === undefined ? DEFAULT_NDOTS : Number(option.slice('ndots:'.length))
  return Number.isInteger(value) && value >= 0 ? Math.min(value, MAX_NDOTS) : DEFAULT_NDOTS
}

/** As the kubelet writes it. */
export function formatResolvConf({ nameservers, searches, options }: Pick<Resolver, 'nameservers' | 'searches' | 'options'>): string {
  const lines = [
    ...(searches.length === 0 ? [] : [`search ${searches.join(' ')}`]),
    ...nameservers.map((server) => `nameserver ${formatIp(server)}`),
    ...(options.length === 0 ? [] : [`options ${options.join(' ')}`]),
  ]
  return `${lines.join('\n')}\n`
}

// ---- the pod

/** The hosts file: localhost, the pod's own name (not on the host's network), hostAliases. */
function hostsOf(pod: ClusterPod, address: Ip | undefined, domain: string): HostsLine[] {
  const hostname = (pod.hostname ?? pod.name).slice(0, 63)
  const full = pod.subdomain === undefined ? [] : [`${hostname}.${pod.subdomain}.${pod.namespace}.svc.${domain}`]
  const own: HostsLine[] = pod.hostNetwork || address === undefined ? [] : [{ address, names: [...full, hostname], file: pod.file, line: pod.line }]
  const { spec } = pod.object.value
  const aliases = listOf(isObject(spec) ? spec.hostAliases : undefined).flatMap((alias): HostsLine[] => {
    const at = isObject(alias) && typeof alias.ip === 'string' ? parseIp(alias.ip) : undefined
    return at === undefined || !isObject(alias) ? [] : [{ address: at, names: textsOf(alias.hostnames), file: pod.file, line: pod.line }]
  })
  return [LOCALHOST, ...own, ...aliases]
}

/** What an API server would refuse of a pod's DNS fields (validation.go validatePodDNSConfig, validateDNSPolicy). */
export function checkPodDns(pod: ClusterPod, problems: ProblemList): void {
  const { object, dnsPolicy } = pod
  const servers = pod.dnsConfig?.nameservers ?? []
  if (!(DNS_POLICIES as readonly string[]).includes(dnsPolicy))
    problems.error(object.at('spec', 'dnsPolicy'), object.label, `dnsPolicy ${JSON.stringify(dnsPolicy)} is none`, `Write ${DNS_POLICIES.join(', ')}.`)
  for (const [index, text] of servers.entries()) {
    const fault = text.includes(':') ? undefined : addressFault(text)
    if (fault !== undefined) problems.error(object.at('spec', 'dnsConfig', 'nameservers', index), object.label, `dnsConfig: ${fault.what}`, fault.fix)
  }
  if (dnsPolicy === 'None' && servers.length === 0)
    problems.error(object.at('spec', 'dnsConfig'), object.label, 'dnsPolicy None without a nameserver', 'List at least one in dnsConfig.nameservers.')
  if (servers.length > MAX_NAMESERVERS)
    problems.error(
      object.at('spec', 'dnsConfig', 'nameservers'),
      object.label,
      `${servers.length} nameservers`,
      `An API server takes at most ${MAX_NAMESERVERS}.`,
    )
}
