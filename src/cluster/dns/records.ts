/**
 * What the cluster's DNS answers: a question → code and records, and which object says so. Source: coredns plugin/kubernetes/{parse,kubernetes,
 * reverse}.go and plugin/backend_lookup.go; kubernetes/dns docs/specification.md and pkg/dns/dns.go for kube-dns. Addresses are IPv4, so AAAA is
 * answered with no data. Records of a name keep the order of the endpoints (CoreDNS's loadbalance plugin turns them at each answer).
 */
import { formatIp, parseIp, type Ip } from '../../base/ip.js'
import type { DnsRecord } from '../../base/dns-record.js'
import { suggestName } from '../nearest-name.js'
import { formatPlace, type Place } from '../problem-list.js'
import type { ServiceEndpoint, ServiceEndpoints } from '../services/service.js'
import { serverFor, type DnsServerBlock, type KubernetesPlugin } from './dns-settings.js'
import { zoneFor } from './corefile.js'
import type { DnsWorld } from './dns-world.js'

export const QUERY_TYPES = ['A', 'AAAA', 'CNAME', 'PTR', 'SRV', 'TXT'] as const
export type QueryType = (typeof QUERY_TYPES)[number]

export interface DnsQuestion {
  /** Absolute, with or without the last dot. */
  readonly name: string
  readonly type: QueryType
}

/** An object that an answer comes from, or why there is none. */
export interface Reason extends Place {
  /** `Service/default/web`; empty where no object is meant. */
  readonly object: string
  readonly text: string
}

export interface DnsReply {
  /** unknown: the name is not the cluster's to answer, and what the world outside says is not in the input. */
  readonly rcode: 'NOERROR' | 'NXDOMAIN' | 'SERVFAIL' | 'REFUSED' | 'unknown'
  readonly records: readonly DnsRecord[]
  /** Addresses of the names that SRV records point to. */
  readonly additional: readonly DnsRecord[]
  readonly why: readonly Reason[]
}

const SCHEMA_VERSION = { coredns: '1.1.0', 'kube-dns': '1.0.0' }
/** backend_lookup.go goes no further along a chain. */
const MAX_CNAMES = 8

/** What the server at the cluster's DNS address says. */
export function answer(world: DnsWorld, { name, type }: DnsQuestion, chain: readonly string[] = []): DnsReply {
  const asked = name.replace(/\.$/, '')
  const lower = asked.toLowerCase()
  const server = serverFor(world.settings, lower)
  if (server === undefined) return reply('REFUSED', `no server block of the Corefile serves ${asked}`)
  const entry = server.hosts?.entries.get(lower)
  if (entry !== undefined && server.hosts !== undefined) {
    const records: DnsRecord[] = type === 'A' ? [{ name: asked, ttl: HOSTS_TTL, type: 'A', address: entry.address }] : []
    return { ...reply('NOERROR'), records, why: [{ object: '', text: 'the hosts plugin of the Corefile', file: entry.file, line: entry.line }] }
  }
  if (server.hosts !== undefined && !server.hosts.fallthrough) return reply('SERVFAIL', `the hosts plugin lacks ${asked} and has no fallthrough`)
  const plugin = server.kubernetes
  const zone = plugin === undefined ? undefined : zoneFor(lower, plugin.zones)
  if (plugin === undefined || zone === undefined) return outside(world, { name: asked, type }, server)
  const found = kubernetesReply(world, { plugin, zone, asked, lower, type, chain })
  if (found.rcode !== 'NXDOMAIN' || zoneFor(lower, plugin.fallthrough) === undefined) return found
  const passed = outside(world, { name: asked, type }, server)
  return { ...passed, why: [...found.why, ...passed.why] }
}

const HOSTS_TTL = 3600

function reply(rcode: DnsReply['rcode'], text?: string, place: Place & { readonly object?: string } = { file: '', line: 0 }): DnsReply {
  const { file, line, object = '' } = place
  return { rcode, records: [], additional: [], why: text === undefined ? [] : [{ object, text, file, line }] }
}

/** A name of the world: what the Network document says of it, else not known. */
export function outside({ settings }: DnsWorld, { name, type }: DnsQuestion, server?: Pick<DnsServerBlock, 'forward'>): DnsReply {
  const host = settings.hosts.get(name.toLowerCase().replace(/\.$/, ''))
  if (host !== undefined) {
    const records: DnsRecord[] = type === 'A' ? [{ name, ttl: HOSTS_TTL, type: 'A', address: host.address }] : []
    return { ...reply('NOERROR', 'spec.dns.hosts of the Network document', host), records }
  }
  if (server !== undefined && server.forward === undefined) return reply('SERVFAIL', `${name} is outside the cluster, and the Corefile forwards nothing`)
  const way = server?.forward === undefined ? '' : `, asked of ${server.forward.join(' ')}`
  return reply('unknown', `${name} is outside the cluster${way}: netsim does not know its address`)
}

// ---- plugin/kubernetes

interface Lookup {
  readonly plugin: KubernetesPlugin
  readonly zone: string
  /** As asked, which answers repeat. */
  readonly asked: string
  readonly lower: string
  readonly type: QueryType
  readonly chain: readonly string[]
}

/** One msg.Service: what a record is made of. */
interface Hit {
  /** The name that an SRV record points to. */
  readonly target: string
  readonly address?: Ip
  readonly cname?: string
  /** -1: no port declared. */
  readonly port: number
  readonly why: Reason
}

interface Hits {
  readonly hits: readonly Hit[]
  /** undefined: the name exists. */
  readonly missing?: DnsReply
}

function kubernetesReply(world: DnsWorld, lookup: Lookup): DnsReply {
  const { plugin, lower, zone, asked, type } = lookup
  if (type === 'TXT') {
    if (lower !== `dns-version.${zone}`) return reply('NOERROR')
    return { ...reply('NOERROR', 'the schema version of the DNS server'), records: [{ name: asked, ttl: 28800, type, texts: [SCHEMA_VERSION[plugin.kind]] }] }
  }
  const reversed = reverseAddress(lower)
  if (type === 'PTR' && reversed !== undefined) return pointers(world, lookup, reversed)
  const { hits, missing } = find(world, lookup)
  if (missing !== undefined) return missing
  switch (type) {
    case 'SRV':
      return services(lookup, hits)
    case 'CNAME': {
      const [first] = hits
      if (first?.cname === undefined) return reply('NOERROR')
      return { ...reply('NOERROR'), records: [{ name: asked, ttl: plugin.ttl, type, target: first.cname }], why: [first.why] }
    }
    case 'PTR':
      return reply('NOERROR')
    default:
      return addresses(world, lookup, hits)
  }
}

function addresses(world: DnsWorld, { plugin, asked, type, chain }: Lookup, hits: readonly Hit[]): DnsReply {
  const records: DnsRecord[] = []
  const why: Reason[] = []
  for (const hit of hits) {
    if (hit.cname !== undefined) return follow(world, { plugin, asked, type, chain }, hit as Hit & { cname: string })
    const { address } = hit
    if (type !== 'A' || address === undefined || records.some((record) => record.type === 'A' && record.address === address)) continue
    records.push({ name: asked, ttl: plugin.ttl, type, address })
    why.push(hit.why)
  }
  return { rcode: 'NOERROR', records, additional: [], why: records.length === 0 ? hits.slice(0, 1).map((hit) => hit.why) : why }
}

/** The CNAME of an ExternalName Service, and what its target resolves to: the server looks that up too. */
function follow(world: DnsWorld, { plugin, asked, type, chain }: Pick<Lookup, 'plugin' | 'asked' | 'type' | 'chain'>, hit: Hit & { cname: string }): DnsReply {
  const seen = [...chain, asked.toLowerCase()]
  const target = hit.cname
  if (seen.includes(target.toLowerCase()) || chain.length >= MAX_CNAMES) {
    const ring = { ...hit.why, text: `the CNAME ${target} leads in a ring` }
    return { ...reply('NOERROR'), why: [ring] }
  }
  const next = answer(world, { name: target, type }, seen)
  const cname: DnsRecord = { name: asked, ttl: plugin.ttl, type: 'CNAME', target }
  // inside the zone a chain that ends nowhere is no answer at all; outside it the CNAME is given whatever comes of it
  const inside = zoneFor(target.toLowerCase(), plugin.zones) !== undefined
  if (inside && next.records.length === 0 && next.rcode !== 'unknown') return { rcode: 'NOERROR', records: [], additional: [], why: [hit.why, ...next.why] }
  return { rcode: next.rcode === 'unknown' ? 'unknown' : 'NOERROR', records: [cname, ...next.records], additional: [], why: [hit.why, ...next.why] }
}

/** Weights share out 100 among all hits (backend_lookup.go SRV); equal targets and ports count once. */
function services({ plugin, asked }: Lookup, hits: readonly Hit[]): DnsReply {
  const internal = hits.filter(({ cname }) => cname === undefined)
  const weight = Math.max(1, Math.floor(100 / internal.length))
  const records: DnsRecord[] = []
  const additional: DnsRecord[] = []
  const why: Reason[] = []
  for (const { target, port, address, why: reason } of internal) {
    if (port < 0 || address === undefined) continue
    if (!records.some((record) => record.type === 'SRV' && record.target === target && record.port === port)) {
      records.push({ name: asked, ttl: plugin.ttl, type: 'SRV', priority: 0, weight, port, target })
      why.push(reason)
    }
    if (!additional.some((record) => record.name === target && record.type === 'A' && record.address === address))
      additional.push({ name: target, ttl: plugin.ttl, type: 'A', address })
  }
  return { rcode: 'NOERROR', records, additional, why }
}

// ---- names

/** parse.go: [endpoint. | _port._proto.] service.namespace.svc, or dashed-address.namespace.pod. */
function find(world: DnsWorld, lookup: Lookup): Hits {
  const { lower, zone, plugin } = lookup
  const none = (text: string, place?: Place & { readonly object?: string }): Hits => ({ hits: [], missing: reply('NXDOMAIN', text, place) })
  const labels = lower === zone ? [] : lower.slice(0, zone === '' ? undefined : -zone.length - 1).split('.')
  if (lower === `ns.dns.${zone}`) return { hits: serverAddress(world) }
  const kind = labels.pop()
  if (kind === undefined || (labels.length === 0 && (kind === 'svc' || kind === 'pod'))) return { hits: [] }
  if (kind !== 'svc' && kind !== 'pod') return none(`no name of the cluster ends in ${kind}.${zone}: they end in svc.${zone} or pod.${zone}`)
  if (reverseAddress(lower) !== undefined) return none('a reverse name')
  const namespace = labels.pop() ?? ''
  const service = labels.pop()
  if (labels.length > 2) return none(`more labels before ${service ?? ''}.${namespace} than an endpoint, or a port and its protocol`)
  if (plugin.namespaces?.has(namespace) === false) return none(`the kubernetes plugin serves other namespaces than ${namespace}`)
  if (!world.namespaces.has(namespace)) return none(`there is no namespace ${namespace}. ${suggestName(namespace, [...world.namespaces])}`.trim())
  if (kind === 'pod') return service === undefined ? podHits(world, lookup, namespace, '') : podHits(world, lookup, namespace, service)
  if (service === undefined) return { hits: [] }
  const endpoints = world.services.get(`${service}.${namespace}`)
  if (endpoints === undefined) {
    const names = [...world.services.values()].filter((other) => other.service.namespace === namespace).map((other) => other.service.name)
    return none(`there is no Service ${service}. ${suggestName(service, names)}`.trim(), { object: `Namespace/${namespace}`, file: '', line: 0 })
  }
  const [protocol, port] = labels.length === 2 ? [labels[1], labels[0]].map((label) => label.replace(/^_/, '')) : ['', '']
  return serviceHits(lookup, endpoints, { endpoint: labels.length === 1 ? labels[0] : '', protocol, port })
}

function serverAddress({ settings }: DnsWorld): Hit[] {
  const { service } = settings
  if (service?.clusterIP === undefined) return []
  const { name, namespace, file, line, object } = service
  return [{ target: `${name}.${namespace}`, address: service.clusterIP, port: -1, why: { object: object.label, text: 'the DNS server itself', file, line } }]
}

interface Wanted {
  /** Empty: any, of each of the three. */
  readonly endpoint: string
  readonly protocol: string
  readonly port: string
}

/** kubernetes.go findServices. */
function serviceHits({ plugin, asked }: Lookup, endpoints: ServiceEndpoints, wanted: Wanted): Hits {
  const { service } = endpoints
  const place = { object: service.object.label, file: service.file, line: service.line }
  const none = (text: string): Hits => ({ hits: [], missing: reply('NXDOMAIN', text, place) })
  const name = `${service.name}.${service.namespace}.svc.${plugin.primaryZone}`
  if (service.type === 'ExternalName') {
    const cname = (service.externalName ?? '').replace(/\.$/, '')
    if (wanted.endpoint !== '') return none(`Service ${service.name} is an ExternalName: it has no endpoints`)
    if (cname === '' || parseIp(cname) !== undefined) return none(`its externalName ${JSON.stringify(cname)} is no name`)
    return { hits: [{ target: name, cname, port: -1, why: { ...place, text: `ExternalName ${cname}` } }] }
  }
  const ready = endpoints.addresses.filter((endpoint) => endpoint.ready)
  if (service.headless || wanted.endpoint !== '') {
    const hits = endpointHits(plugin, endpoints, wanted, name)
    return hits.length > 0 ? { hits } : none(whyNoEndpoint(plugin, endpoints, wanted, asked))
  }
  if (plugin.ignoreEmptyService && ready.length === 0)
    return none(`Service ${service.name} has no ready endpoint, and the plugin ignores such (ignore empty_service)`)
  if (service.clusterIP === undefined) return none(`Service ${service.name} has no IPv4 clusterIP`)
  // without ports the controller keeps one of -1, which no port or protocol names
  const ports = service.ports.length === 0 ? [{ name: '', protocol: '', port: -1 }] : service.ports
  const matching = ports.filter((port) => matches(wanted, port))
  if (matching.length === 0) return none(`Service ${service.name} has no port _${wanted.port}._${wanted.protocol}`)
  const text = service.clusterIPAssumed ? 'clusterIP (assumed: the object has none)' : 'clusterIP'
  const address = service.clusterIP
  return { hits: matching.map(({ port }) => ({ target: name, address, port, why: { ...place, text } })) }
}

function matches({ port, protocol }: Wanted, of: { readonly name: string; readonly protocol: string }): boolean {
  return (port === '' || port === of.name.toLowerCase()) && (protocol === '' || protocol === of.protocol.toLowerCase())
}

function endpointHits(plugin: KubernetesPlugin, { service, ports, addresses: all, from }: ServiceEndpoints, wanted: Wanted, name: string): Hit[] {
  const pairs =
    service.ports.length === 0
      ? all.map((endpoint) => ({ endpoint, port: { name: '', protocol: '' }, number: -1 }))
      : ports.flatMap(({ port, endpoints }) => endpoints.map((endpoint) => ({ endpoint, port, number: endpoint.port })))
  return pairs.flatMap(({ endpoint, port, number }): Hit[] => {
    const label = endpointLabel(plugin, endpoint)
    if (!endpoint.ready || !matches(wanted, port) || (wanted.endpoint !== '' && wanted.endpoint !== label?.toLowerCase())) return []
    const { pod } = endpoint
    const at = pod ?? service
    const why = {
      object: at.object.label,
      file: at.file,
      line: at.line,
      text: pod === undefined ? `endpoint ${formatIp(endpoint.address)} of ${from}` : 'endpoint, ready',
    }
    return [{ target: label === undefined ? name : `${label}.${name}`, address: endpoint.address, port: number, why }]
  })
}

/** kubernetes.go endpointHostname; undefined: kube-dns makes a hash of its own, which is not modelled. */
function endpointLabel(plugin: Pick<KubernetesPlugin, 'kind' | 'endpointPodNames'>, { hostname, pod, address }: ServiceEndpoint): string | undefined {
  if (hostname !== undefined && hostname !== '') return hostname
  if (plugin.kind === 'kube-dns') return undefined
  return plugin.endpointPodNames && pod !== undefined ? pod.name : formatIp(address).replaceAll('.', '-')
}

function whyNoEndpoint(plugin: KubernetesPlugin, { service, addresses: all }: ServiceEndpoints, { endpoint, port, protocol }: Wanted, asked: string): string {
  const ready = all.filter((one) => one.ready)
  if (port !== '' && !service.ports.some((of) => matches({ endpoint, port, protocol }, of))) return `Service ${service.name} has no port _${port}._${protocol}`
  if (all.length === 0) return `Service ${service.name} has no endpoints`
  if (endpoint === '') return `Service ${service.name} has no ready endpoint: ${all.length} not ready`
  const unready = all.find((one) => !one.ready && endpointLabel(plugin, one)?.toLowerCase() === endpoint)
  if (unready !== undefined)
    return `the endpoint ${endpoint} (${formatIp(unready.address)}${unready.pod === undefined ? '' : `, ${formatPlace(unready.pod)}`}) is not ready`
  const selected = ready.find((one) => one.pod?.name.toLowerCase() === endpoint)
  if (selected?.pod !== undefined)
    return (
      `pod ${selected.pod.name} (${formatPlace(selected.pod)}) has no name of its own under Service ${service.name}: ` +
      `that takes spec.hostname, and spec.subdomain: ${service.name}`
    )
  const labels = ready.flatMap((one) => endpointLabel(plugin, one) ?? [])
  return `Service ${service.name} has no endpoint ${endpoint} (${asked}). ${suggestName(endpoint, labels)}`.trim()
}

/** kubernetes.go findPods. */
function podHits(world: DnsWorld, { plugin }: Lookup, namespace: string, label: string): Hits {
  const none = (text: string): Hits => ({ hits: [], missing: reply('NXDOMAIN', text) })
  if (plugin.pods === 'disabled') return none('names of pods are off: the kubernetes plugin has no pods insecure or pods verified')
  if (label === '') return { hits: [] }
  const address = /^[0-9]+-[0-9]+-[0-9]+-[0-9]+$/.test(label) ? parseIp(label.replaceAll('-', '.')) : undefined
  if (address === undefined) return none(`${label} is no IPv4 address with dashes for dots, which is how names under pod.${plugin.primaryZone} begin`)
  const target = `${label}.${namespace}.pod.${plugin.primaryZone}`
  const pods = (world.pods.get(address) ?? []).filter((pod) => pod.namespace === namespace)
  const [pod] = pods
  if (plugin.pods === 'verified' && pod === undefined) return none(`no pod of namespace ${namespace} has the address ${formatIp(address)}`)
  const why =
    pod === undefined
      ? { object: '', text: `pods insecure: the name says the address, no pod of namespace ${namespace} has it`, file: '', line: 0 }
      : { object: pod.object.label, text: 'its address', file: pod.file, line: pod.line }
  return { hits: [{ target, address, port: -1, why }] }
}

// ---- reverse.go

/** `5.1.244.10.in-addr.arpa` → 10.244.1.5. */
function reverseAddress(lower: string): Ip | undefined {
  const found = /^([0-9.]+)\.in-addr\.arpa$/.exec(lower)
  return found === null ? undefined : parseIp(found[1].split('.').reverse().join('.'))
}

/** The name to ask for an address. */
export function reverseName(address: Ip): string {
  return `${formatIp(address).split('.').reverse().join('.')}.in-addr.arpa`
}

function pointers({ services: all, namespaces }: DnsWorld, { plugin, asked }: Lookup, address: Ip): DnsReply {
  const { ttl, primaryZone } = plugin
  const served = [...all.values()].filter(({ service }) => (plugin.namespaces ?? namespaces).has(service.namespace))
  const record = (target: string): DnsRecord => ({ name: asked, ttl, type: 'PTR', target })
  const own = served.find(({ service }) => service.clusterIP === address)
  if (own !== undefined) {
    const { name, namespace, file, line, object } = own.service
    return { ...reply('NOERROR', 'clusterIP', { object: object.label, file, line }), records: [record(`${name}.${namespace}.svc.${primaryZone}`)] }
  }
  const records: DnsRecord[] = []
  const why: Reason[] = []
  for (const { service, addresses: endpoints } of served) {
    for (const endpoint of endpoints) {
      const label = endpointLabel(plugin, endpoint)
      if (!endpoint.ready || endpoint.address !== address || label === undefined) continue
      records.push(record(`${label}.${service.name}.${service.namespace}.svc.${primaryZone}`))
      const at = endpoint.pod ?? service
      why.push({ object: at.object.label, text: `endpoint of Service ${service.namespace}/${service.name}`, file: at.file, line: at.line })
    }
  }
  if (records.length > 0) return { rcode: 'NOERROR', records, additional: [], why }
  return reply('NXDOMAIN', `no Service and no ready endpoint has the address ${formatIp(address)}`)
}
