/**
 * What serves DNS in the cluster and what kubelets tell pods about it: Corefile, KubeletConfiguration, Network document → DnsSettings.
 * Defaults: coredns plugin/kubernetes/setup.go; the Corefile assumed where there is none is the one of kubeadm (cmd/kubeadm/app/phases/addons/dns).
 */
import type { Ip } from '../../base/ip.js'
import { formatIp, parseIp } from '../../base/ip.js'
import type { Cluster } from '../cluster.js'
import { isObject, type JsonObject } from '../located.js'
import { readYaml } from '../yaml-text.js'
import type { KubernetesObject } from '../manifest.js'
import type { Place } from '../problem-list.js'
import type { ClusterService } from '../services/service.js'
import { inZone, parseCorefile, zoneFor, zoneOf, type CorefileLine, type ServerBlock } from './corefile.js'

export type PodsMode = 'disabled' | 'insecure' | 'verified'

/** The kubernetes plugin, or kube-dns (era of Kubernetes 1.2 to 1.10) in its place. */
export interface KubernetesPlugin {
  readonly kind: 'coredns' | 'kube-dns'
  /** Lower case; the first that is no reverse zone is the primary one, which names in answers end with. */
  readonly zones: readonly string[]
  readonly primaryZone: string
  readonly pods: PodsMode
  /** Seconds. */
  readonly ttl: number
  readonly endpointPodNames: boolean
  readonly ignoreEmptyService: boolean
  /** Absent: every namespace. */
  readonly namespaces?: ReadonlySet<string>
  /** Zones whose names go on to the next plugin where the cluster has none. */
  readonly fallthrough: readonly string[]
}

export interface HostEntry extends Place {
  readonly address: Ip
}

export interface DnsServerBlock {
  readonly zones: readonly string[]
  readonly kubernetes?: KubernetesPlugin
  /** The hosts plugin's own lines, by name in lower case; `fallthrough`: names that it lacks go on. */
  readonly hosts?: { readonly entries: ReadonlyMap<string, HostEntry>; readonly fallthrough: boolean }
  /** Where other names are asked, as written; absent: nowhere. */
  readonly forward?: readonly string[]
}

export interface DnsSettings {
  readonly servers: readonly DnsServerBlock[]
  /** The Corefile is not in the input: kubeadm's is assumed. */
  readonly assumed: boolean
  readonly place?: Place
  /** --cluster-domain of the kubelets. */
  readonly clusterDomain: string
  /** --cluster-dns of the kubelets: as told, else the Service's address, else assumed; empty: pods of policy ClusterFirst get their node's resolver. */
  readonly clusterDNS: readonly Ip[]
  /** The Service that has such an address. */
  readonly service?: ClusterService
  /** resolv.conf of the nodes; absent: not in the input. */
  readonly nodes?: { readonly nameservers: readonly Ip[]; readonly searches: readonly string[]; readonly options: readonly string[] }
  /** Names outside the cluster that the Network document knows, by name in lower case. */
  readonly hosts: ReadonlyMap<string, HostEntry>
  /** Why answers may differ from what is shown: plugins that are not modelled, NodeLocal DNSCache, what does not fit together. */
  readonly notes: readonly string[]
}

export function readDnsSettings(
  cluster: Pick<Cluster, 'objects' | 'networkDocument' | 'clusterDomain' | 'serviceCIDR'>,
  services: readonly ClusterService[],
): DnsSettings {
  const { objects, networkDocument, serviceCIDR } = cluster
  const notes: string[] = []
  const kubelet = readKubeletConfiguration(objects)
  const corefile = findCorefile(objects)
  const dns = networkDocument?.dns
  const domain = networkDocument?.clusterDomain ?? kubelet.clusterDomain
  const old = corefile === undefined && runsKubeDns(objects)
  const servers =
    corefile === undefined ? [assumedServer(domain ?? cluster.clusterDomain, old ? 'kube-dns' : 'coredns')] : readServers(corefile.text, corefile.place, notes)
  const plugin = servers.find(({ kubernetes }) => kubernetes !== undefined)?.kubernetes
  const clusterDomain = lower(domain ?? plugin?.primaryZone ?? cluster.clusterDomain)
  const service = services.find(isDnsService)
  const told = dns?.clusterDNS ?? kubelet.clusterDNS
  const clusterDNS = told ?? [service?.clusterIP ?? (serviceCIDR.base + DNS_OFFSET) | 0]
  if (plugin === undefined) notes.push('the Corefile has no kubernetes plugin: no name of the cluster resolves')
  else if (!plugin.zones.includes(clusterDomain))
    notes.push(`the kubelets' cluster domain is ${clusterDomain}, the DNS server's ${plugin.primaryZone}: no name of the search list resolves`)
  if (service === undefined) {
    const where = told === undefined ? `: ${clusterDNS.map(formatIp).join('')} is assumed, no query can reach it` : ''
    notes.push(`no Service is that of the cluster DNS (label k8s-app: kube-dns in kube-system)${where}`)
  } else if (told !== undefined && told.length > 0 && service.clusterIP !== undefined && !clusterDNS.includes(service.clusterIP))
    notes.push(
      `pods ask ${dns?.clusterDNS !== undefined ? 'spec.dns.clusterDNS' : 'clusterDNS of the kubelets'}, ` +
        `which is not the address of Service ${service.namespace}/${service.name}`,
    )
  if (objects.some(isNodeLocalCache)) notes.push('NodeLocal DNSCache runs on the nodes: it is not modelled, queries are shown as they go to the Service')
  const entries = (dns?.hosts ?? []).map(({ name, address, file, line }): [string, HostEntry] => [lower(name), { address, file, line }])
  return {
    servers,
    assumed: corefile === undefined,
    ...(corefile === undefined ? {} : { place: corefile.place }),
    clusterDomain,
    clusterDNS,
    ...(service === undefined ? {} : { service }),
    ...(dns?.nodes === undefined ? {} : { nodes: dns.nodes }),
    hosts: new Map(entries),
    notes,
  }
}

function lower(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

/** kubeadm gives the DNS Service the tenth address of the Services' prefix (constants.GetDNSIP). */
const DNS_OFFSET = 10

// ---- who is there

/** The label is that of every addon manifest since kube-dns; names: kubeadm's and the CoreDNS chart's. */
function isDnsService({ namespace, name, object, clusterIP }: ClusterService): boolean {
  const { metadata } = object.value
  const labels = isObject(metadata) && isObject(metadata.labels) ? metadata.labels : {}
  return clusterIP !== undefined && namespace === 'kube-system' && (labels['k8s-app'] === 'kube-dns' || name === 'kube-dns' || name === 'coredns')
}

function isNodeLocalCache({ kind, namespace, name }: KubernetesObject): boolean {
  return kind === 'DaemonSet' && namespace === 'kube-system' && /^(node-local-dns|nodelocaldns)/.test(name)
}

/** A workload or pod of kube-system with the container that made DNS before CoreDNS. */
function runsKubeDns(objects: readonly KubernetesObject[]): boolean {
  return objects.some(({ kind, namespace, name, value }) => {
    if (namespace !== 'kube-system' || !/^kube-dns/.test(name) || !['Deployment', 'ReplicationController', 'Pod'].includes(kind)) return false
    return !JSON.stringify(value.spec ?? null).includes('coredns')
  })
}

function dataOf(object: KubernetesObject, key: string): string | undefined {
  const { data } = object.value
  const text = isObject(data) ? data[key] : undefined
  return typeof text === 'string' ? text : undefined
}

function findCorefile(objects: readonly KubernetesObject[]): { readonly text: string; readonly place: Place } | undefined {
  const found = objects.find((object) => object.kind === 'ConfigMap' && object.namespace === 'kube-system' && dataOf(object, 'Corefile') !== undefined)
  return found === undefined ? undefined : { text: dataOf(found, 'Corefile') ?? '', place: found.at('data', 'Corefile') }
}

/** kubeadm keeps it in the ConfigMap kubelet-config (with -1.23 and so on before 1.24), key kubelet. */
function readKubeletConfiguration(objects: readonly KubernetesObject[]): { readonly clusterDNS?: readonly Ip[]; readonly clusterDomain?: string } {
  const map = objects.find(({ kind, namespace, name }) => kind === 'ConfigMap' && namespace === 'kube-system' && /^kubelet-config(-[0-9.]+)?$/.test(name))
  const text = map === undefined ? undefined : dataOf(map, 'kubelet')
  const value = text === undefined ? undefined : readYaml(text, 1).documents[0]?.value
  const configuration: JsonObject = isObject(value) ? value : {}
  const servers: unknown = configuration.clusterDNS
  const domain = configuration.clusterDomain
  return {
    ...(Array.isArray(servers)
      ? { clusterDNS: (servers as readonly unknown[]).flatMap((server) => (typeof server === 'string' ? (parseIp(server) ?? []) : [])) }
      : {}),
    ...(typeof domain === 'string' && domain !== '' ? { clusterDomain: domain } : {}),
  }
}

// ---- the Corefile

const REVERSE = ['in-addr.arpa', 'ip6.arpa']

function assumedServer(domain: string, kind: 'coredns' | 'kube-dns'): DnsServerBlock {
  const zones = [lower(domain), ...REVERSE]
  const kubernetes: KubernetesPlugin = {
    kind,
    zones,
    primaryZone: zones[0],
    pods: 'insecure',
    ttl: 30,
    endpointPodNames: false,
    ignoreEmptyService: false,
    fallthrough: REVERSE,
  }
  return { zones: [''], kubernetes, forward: ['/etc/resolv.conf'] }
}

/** Plugins that change no answer, or only how fast it comes. */
const HARMLESS = ['errors', 'health', 'ready', 'prometheus', 'cache', 'loop', 'reload', 'loadbalance', 'log', 'debug', 'bind', 'bufsize', 'trace', 'pprof']
const MODELLED = ['kubernetes', 'hosts', 'forward', 'proxy']

function readServers(text: string, place: Place, notes: string[]): DnsServerBlock[] {
  const { servers, faults } = parseCorefile(text)
  for (const { line, what } of faults) notes.push(`line ${line} of the Corefile (${place.file}): ${what}`)
  const others = new Set(
    servers.flatMap(({ plugins }) => plugins.map(({ words }) => words[0])).filter((name) => !HARMLESS.includes(name) && !MODELLED.includes(name)),
  )
  if (others.size > 0) notes.push(`not modelled of the Corefile: ${[...others].join(', ')}`)
  return servers.map((server) => readServer(server, place, notes))
}

function readServer(server: ServerBlock, place: Place, notes: string[]): DnsServerBlock {
  const pluginOf = (name: string): CorefileLine | undefined => server.plugins.find(({ words }) => words[0] === name)
  const kubernetes = pluginOf('kubernetes')
  const hosts = pluginOf('hosts')
  const forward = pluginOf('forward') ?? pluginOf('proxy')
  return {
    zones: server.zones,
    ...(kubernetes === undefined ? {} : { kubernetes: readKubernetes(kubernetes, server.zones, notes) }),
    ...(hosts === undefined ? {} : { hosts: readHosts(hosts, place) }),
    ...(forward === undefined ? {} : { forward: forward.words.slice(2) }),
  }
}

function readKubernetes({ words, block }: CorefileLine, serverZones: readonly string[], notes: string[]): KubernetesPlugin {
  const zones = words.length > 1 ? words.slice(1).flatMap(zoneOf) : serverZones
  const optionOf = (name: string): readonly string[] | undefined => block.find((line) => line.words[0] === name)?.words.slice(1)
  const pods = optionOf('pods')?.[0]
  const ttl = Number(optionOf('ttl')?.[0] ?? 5)
  const namespaces = optionOf('namespaces')
  const through = optionOf('fallthrough')
  for (const name of ['labels', 'namespace_labels', 'noendpoints', 'multicluster'])
    if (optionOf(name) !== undefined) notes.push(`not modelled of the kubernetes plugin: ${name}`)
  return {
    kind: 'coredns',
    zones,
    primaryZone: zones.find((zone) => !REVERSE.some((reverse) => inZone(zone, reverse))) ?? '',
    pods: pods === 'insecure' || pods === 'verified' ? pods : 'disabled',
    ttl: Number.isInteger(ttl) && ttl >= 0 && ttl <= 3600 ? ttl : 5,
    endpointPodNames: optionOf('endpoint_pod_names') !== undefined,
    ignoreEmptyService: optionOf('ignore')?.[0] === 'empty_service',
    ...(namespaces === undefined || namespaces.length === 0 ? {} : { namespaces: new Set(namespaces) }),
    fallthrough: through === undefined ? [] : through.length === 0 ? [''] : through.flatMap(zoneOf),
  }
}

function readHosts({ block }: CorefileLine, place: Place): NonNullable<DnsServerBlock['hosts']> {
  const entries = new Map<string, HostEntry>()
  for (const { words } of block) {
    const address = parseIp(words[0])
    if (address !== undefined) for (const name of words.slice(1)) if (!entries.has(lower(name))) entries.set(lower(name), { address, ...place })
  }
  return { entries, fallthrough: block.some(({ words }) => words[0] === 'fallthrough') }
}

/** The block that serves a name (lower case): that of the longest zone. */
export function serverFor(settings: Pick<DnsSettings, 'servers'>, name: string): DnsServerBlock | undefined {
  const zone = zoneFor(
    name,
    settings.servers.flatMap(({ zones }) => zones),
  )
  return zone === undefined ? undefined : settings.servers.find(({ zones }) => zones.includes(zone))
}
