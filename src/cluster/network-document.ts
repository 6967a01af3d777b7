/**
 * The Network document → its settings with integers and places, checked by itself. What refers to nodes and pods is checked in
 * `network-references.ts`, what stands in for absent fields is in `settings.ts` and `underlay.ts`.
 */
import { formatCidr, overlaps, contains, type Cidr } from '../base/cidr.js'
import { dnsNameFault } from '../base/dns-record.js'
import { formatIp, type Ip } from '../base/ip.js'
import { formatMac, type Mac } from '../base/mac.js'
import { isHostAddress } from './fields.js'
import { FrozenMap } from './frozen.js'
import { isObject, type Path } from './located.js'
import { describeValue, type KubernetesObject } from './manifest.js'
import { suggestName } from './nearest-name.js'
import { readOutsideHosts, type OutsideHostSpec } from './outside-hosts.js'
import { networkSchema, type NetworkValue } from './network-schema.js'
import { formatPlace, type Place, type ProblemList } from './problem-list.js'
import { check } from './schema.js'
import type { KubeProxySettings } from './services/kube-proxy-settings.js'

export type Cni = 'flannel' | 'calico' | 'canal' | 'none'
export type Datastore = 'etcd' | 'kubernetes'

/** What follows `iptables`, `ip`, `bridge` or `ipset` on a command line, as its owner wrote it. */
export interface Command extends Place {
  readonly text: string
}

interface SysctlSetting extends Place {
  /** With dots: `net.ipv4.conf.all.rp_filter`. */
  readonly name: string
  readonly value: number
}

/** What the owner of a host set by hand; applied after the agents: sysctls, ipset, iptables, ip, bridge. */
export interface HostSettings extends Place {
  readonly node: string
  readonly sysctls: readonly SysctlSetting[]
  readonly ipset: readonly Command[]
  readonly iptables: readonly Command[]
  readonly ip: readonly Command[]
  readonly bridge: readonly Command[]
  /** The cloud's check of its card's packets, as it stands in the end; absent: as the agents leave it. */
  readonly sourceDestinationCheck?: boolean
}

export interface EtcdEntry extends Place {
  readonly key: string
  readonly value: string
  /** Seconds left; absent: the key stays. */
  readonly ttl?: number
}

export interface SegmentSpec extends Place {
  readonly name: string
  readonly cidr: Cidr
  readonly router?: Ip
  readonly mtu?: number
  /** ns */
  readonly latency?: number
  /** bit/s */
  readonly rate?: number
  /** Whether the fabric checks the addresses of what its cards send and get. */
  readonly sourceDestinationCheck?: boolean
}

export type Cloud = 'aws' | 'gce'

export interface RouterSpec extends Place {
  readonly name: string
  /** The cloud whose fabric it is; absent: a Linux router. */
  readonly cloud?: Cloud
  readonly segments: readonly string[]
  readonly addresses: ReadonlyMap<string, Ip>
  /** Arguments of `ip route add`. */
  readonly routes: readonly Command[]
  readonly iptables: readonly Command[]
  /** It speaks BGP. */
  readonly asn?: number
  /** Whom it peers with; empty: all that peer with it, and routers beside it. */
  readonly peers: readonly Ip[]
}

interface Pin<Value> extends Place {
  /** `node/device`, `namespace/pod/device` or `segment/router`. */
  readonly key: string
  readonly value: Value
}

export interface NamedAddress extends Place {
  readonly name: string
  readonly address: Ip
}

export interface DnsSpec {
  /** --cluster-dns of the kubelets; empty: they are told none. */
  readonly clusterDNS?: readonly Ip[]
  /** Names outside the cluster. */
  readonly hosts: readonly NamedAddress[]
  /** resolv.conf of the nodes; absent: not known. */
  readonly nodes?: { readonly nameservers: readonly Ip[]; readonly searches: readonly string[]; readonly options: readonly string[] }
}

/** What kube-proxy is told; the same names as in KubeProxyConfiguration where it has them. */
export interface KubeProxySpec extends Partial<Omit<KubeProxySettings, 'mode' | 'unmodelled'>> {
  readonly mode?: 'iptables' | 'none' | 'ipvs' | 'nftables' | 'userspace'
  readonly version?: string
}

/** As written: undefined where the document says nothing. */
export interface NetworkDocument extends Place {
  readonly object: KubernetesObject
  readonly cni?: Cni
  readonly datastore?: Datastore
  readonly runtime: {
    readonly name?: 'docker' | 'cni'
    readonly iptables?: boolean
    readonly dockerVersion?: string
    readonly icc?: boolean
    readonly userlandProxy?: boolean
  }
  readonly clusterCIDR?: Cidr
  readonly serviceCIDR?: Cidr
  readonly clusterDomain?: string
  readonly dns?: DnsSpec
  readonly etcd: readonly EtcdEntry[]
  readonly flannel: { readonly ipMasq?: boolean; readonly version?: string; readonly iface?: string }
  readonly calico: { readonly version?: string }
  readonly kubeProxy: KubeProxySpec
  /** Where addresses of load balancers come from that no object gives. */
  readonly loadBalancer: { readonly pool?: Cidr }
  readonly segments: readonly SegmentSpec[]
  readonly routers: readonly RouterSpec[]
  readonly outsideHosts: readonly OutsideHostSpec[]
  readonly hosts: readonly HostSettings[]
  readonly macs: readonly Pin<Mac>[]
  readonly devices: readonly Pin<string>[]
}

type Spec = NonNullable<NetworkValue['spec']>

/** The document, or undefined when something in it is wrong (reported). */
export function readNetworkDocument(object: KubernetesObject, problems: ProblemList): NetworkDocument | undefined {
  const value = check(networkSchema(), object, problems, 'refuse')
  if (value === undefined) return undefined
  const spec: Spec = value.spec ?? {}
  const document: NetworkDocument = {
    object,
    file: object.file,
    line: object.line,
    ...drop({ cni: spec.cni, datastore: spec.datastore, clusterCIDR: spec.clusterCIDR, serviceCIDR: spec.serviceCIDR, clusterDomain: spec.clusterDomain }),
    ...(spec.dns ? { dns: readDns(spec.dns, object, problems) } : {}),
    runtime: drop(spec.runtime ?? {}),
    flannel: drop(spec.flannel ?? {}),
    calico: drop(spec.calico ?? {}),
    kubeProxy: drop(spec.kubeProxy ?? {}),
    loadBalancer: drop(spec.loadBalancer ?? {}),
    etcd: readEtcdKeys(spec.etcd ?? {}, ['spec', 'etcd'], object, problems),
    segments: readSegments(spec, object, problems),
    routers: readRouters(spec, object, problems),
    outsideHosts: readOutsideHosts(spec.underlay?.hosts ?? [], object, problems),
    hosts: (spec.hosts ?? []).map((host, index) => readHost(host, ['spec', 'hosts', index], object, problems)),
    macs: readPins(spec.pins?.macs, ['spec', 'pins', 'macs'], object, problems),
    devices: readPins(spec.pins?.devices, ['spec', 'pins', 'devices'], object, problems),
  }
  checkDuplicateMacs(document, problems)
  return document
}

function readDns({ clusterDNS, hosts, nodes }: NonNullable<Spec['dns']>, object: KubernetesObject, problems: ProblemList): DnsSpec {
  const named = Object.entries(hosts ?? {}).flatMap(([name, address]): NamedAddress[] => {
    const place = object.at('spec', 'dns', 'hosts', name)
    const fault = dnsNameFault(name)
    if (fault !== undefined) problems.error(place, object.label, `spec.dns.hosts: ${fault.what}`, fault.fix)
    return fault === undefined ? [{ name, address, ...place }] : []
  })
  const resolver = nodes ? { nodes: { nameservers: nodes.nameservers ?? [], searches: nodes.searches ?? [], options: nodes.options ?? [] } } : {}
  return { ...drop({ clusterDNS }), hosts: named, ...resolver }
}

/** Without the keys whose value is null or undefined. */
function drop<Fields extends object>(fields: Fields): { [Key in keyof Fields]?: NonNullable<Fields[Key]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)) as {
    [Key in keyof Fields]?: NonNullable<Fields[Key]>
  }
}

/** Keys → text, or {value, ttl}. @param path of the mapping in the object */
export function readEtcdKeys(keys: Readonly<Record<string, unknown>>, path: Path, object: KubernetesObject, problems: ProblemList): EtcdEntry[] {
  const entries: EtcdEntry[] = []
  for (const [key, value] of Object.entries(keys)) {
    const place = object.at(...path, key)
    if (!key.startsWith('/'))
      problems.error(place, object.label, `the etcd key ${JSON.stringify(key)} does not start with /`, 'Keys are absolute, like /coreos.com/network/config.')
    else if (typeof value === 'string') entries.push({ key, value, ...place })
    else if (isObject(value) && typeof value.value === 'string') {
      const { ttl } = value
      const unknown = Object.keys(value).filter((field) => field !== 'value' && field !== 'ttl')
      if (unknown.length > 0)
        problems.error(
          object.at(...path, key, unknown[0]),
          object.label,
          `unknown field ${unknown[0]} of the etcd key ${key}`,
          suggestName(unknown[0], ['value', 'ttl']),
        )
      else if (ttl === undefined || ttl === null) entries.push({ key, value: value.value, ...place })
      else if (typeof ttl === 'number' && Number.isSafeInteger(ttl) && ttl > 0) entries.push({ key, value: value.value, ttl, ...place })
      else problems.error(object.at(...path, key, 'ttl'), object.label, `the ttl of ${key} is ${describeValue(ttl)}`, 'Write whole seconds, at least 1.')
    } else {
      problems.error(
        place,
        object.label,
        `the value of the etcd key ${key} is ${describeValue(value)}, not text`,
        "etcd holds text: put the JSON in single quotes, or write {value: '...', ttl: 86400}.",
      )
    }
  }
  return entries
}

function readSegments(spec: Spec, object: KubernetesObject, problems: ProblemList): SegmentSpec[] {
  const segments: SegmentSpec[] = []
  for (const [index, fields] of (spec.underlay?.segments ?? []).entries()) {
    const path: Path = ['spec', 'underlay', 'segments', index]
    const segment: SegmentSpec = {
      name: fields.name,
      cidr: fields.cidr,
      ...drop({ router: fields.router, mtu: fields.mtu, latency: fields.latency, rate: fields.rate, sourceDestinationCheck: fields.sourceDestinationCheck }),
      ...object.at(...path),
    }
    const same = segments.find(({ name }) => name === segment.name)
    if (same !== undefined)
      problems.error(
        object.at(...path, 'name'),
        object.label,
        `two segments are called ${segment.name}, the other in ${formatPlace(same)}`,
        'Give each its own name.',
      )
    const overlapping = segments.find(({ cidr }) => overlaps(cidr, segment.cidr))
    if (overlapping !== undefined) {
      problems.error(
        object.at(...path, 'cidr'),
        object.label,
        `segment ${segment.name} (${formatCidr(segment.cidr)}) overlaps segment ` +
          `${overlapping.name} (${formatCidr(overlapping.cidr)}) of ${formatPlace(overlapping)}`,
        'Segments are separate networks: give them prefixes that share no address.',
      )
    }
    if (segment.cidr.length > 30)
      problems.error(
        object.at(...path, 'cidr'),
        object.label,
        `segment ${segment.name} is a /${segment.cidr.length}: no room for a host and its router`,
        'Use a prefix of /30 or shorter.',
      )
    else if (segment.router !== undefined && (!contains(segment.cidr, segment.router) || !isHostAddress(segment.cidr, segment.router))) {
      problems.error(
        object.at(...path, 'router'),
        object.label,
        `the router ${formatIp(segment.router)} is no host address of segment ${segment.name} (${formatCidr(segment.cidr)})`,
        'Take an address of the segment that is neither its first nor its last.',
      )
    }
    segments.push(segment)
  }
  return segments
}

function readRouters(spec: Spec, object: KubernetesObject, problems: ProblemList): RouterSpec[] {
  const names = (spec.underlay?.segments ?? []).map(({ name }) => name)
  const routers: RouterSpec[] = []
  for (const [index, fields] of (spec.underlay?.routers ?? []).entries()) {
    const path: Path = ['spec', 'underlay', 'routers', index]
    const same = routers.find(({ name }) => name === fields.name)
    if (same !== undefined)
      problems.error(
        object.at(...path, 'name'),
        object.label,
        `two routers are called ${fields.name}, the other in ${formatPlace(same)}`,
        'Give each its own name.',
      )
    for (const [at, segment] of fields.segments.entries()) {
      if (!names.includes(segment))
        problems.error(
          object.at(...path, 'segments', at),
          object.label,
          `router ${fields.name} is on segment ${segment}, which is not listed`,
          suggestName(segment, names),
        )
      else if (fields.segments.indexOf(segment) !== at)
        problems.error(object.at(...path, 'segments', at), object.label, `router ${fields.name} is on segment ${segment} twice`, 'List each segment once.')
    }
    const addresses = new FrozenMap(Object.entries(fields.addresses ?? {}))
    for (const segment of addresses.keys()) {
      if (!fields.segments.includes(segment))
        problems.error(
          object.at(...path, 'addresses', segment),
          object.label,
          `router ${fields.name} has an address on ${segment}, a segment that it is not on`,
          suggestName(segment, fields.segments),
        )
    }
    routers.push({
      name: fields.name,
      segments: fields.segments,
      addresses,
      routes: readCommands(fields.routes, 'ip route add', [...path, 'routes'], object),
      iptables: readCommands(fields.iptables, 'iptables', [...path, 'iptables'], object),
      ...drop({ cloud: fields.cloud, asn: fields.asn }),
      peers: fields.peers ?? [],
      ...object.at(...path),
    })
  }
  return routers
}

/** A command may repeat the tool's name; it is cut off. */
function readCommands(texts: readonly string[] | null | undefined, tool: string, path: Path, object: KubernetesObject): Command[] {
  return (texts ?? []).map((written, index) => {
    const text = written.trim()
    return { text: text.startsWith(`${tool} `) ? text.slice(tool.length + 1).trim() : text, ...object.at(...path, index) }
  })
}

function readHost(host: NonNullable<Spec['hosts']>[number], path: Path, object: KubernetesObject, problems: ProblemList): HostSettings {
  const sysctls: SysctlSetting[] = []
  for (const [key, written] of Object.entries(host.sysctls ?? {})) {
    const place = object.at(...path, 'sysctls', key)
    const value = typeof written === 'string' ? (/^-?[0-9]{1,10}$/.test(written.trim()) ? Number(written) : Number.NaN) : Number(written)
    const name = key.includes('/') ? key.replaceAll(/[./]/g, (sign) => (sign === '/' ? '.' : '/')) : key
    if (!Number.isSafeInteger(value))
      problems.error(place, object.label, `sysctl ${key} is ${describeValue(written)}`, 'Write the whole number that sysctl prints.')
    else if (!/^[a-z0-9_-]+(\.[A-Za-z0-9_@/-]+)+$/.test(name))
      problems.error(place, object.label, `${JSON.stringify(key)} is no sysctl`, 'Write it with dots, like net.ipv4.ip_forward.')
    else sysctls.push({ name, value, ...place })
  }
  return {
    node: host.node,
    sysctls,
    ipset: readCommands(host.ipset, 'ipset', [...path, 'ipset'], object),
    iptables: readCommands(host.iptables, 'iptables', [...path, 'iptables'], object),
    ip: readCommands(host.ip, 'ip', [...path, 'ip'], object),
    bridge: readCommands(host.bridge, 'bridge', [...path, 'bridge'], object),
    ...drop({ sourceDestinationCheck: host.sourceDestinationCheck }),
    ...object.at(...path),
  }
}

function readPins<Value>(pins: Readonly<Record<string, Value>> | null | undefined, path: Path, object: KubernetesObject, problems: ProblemList): Pin<Value>[] {
  const read: Pin<Value>[] = []
  for (const [key, value] of Object.entries(pins ?? {})) {
    const place = object.at(...path, key)
    const parts = key.split('/')
    if (parts.length < 2 || parts.length > 3 || parts.some((part) => part === ''))
      problems.error(place, object.label, `${JSON.stringify(key)} names nothing to pin`, 'Write node/device, namespace/pod/device or segment/router.')
    else read.push({ key, value, ...place })
  }
  return read
}

/** Felix gives every cali device this one. */
const CALICO_MAC: Mac = 0xeeeeeeeeeeee

/** A bridge shares the MAC of a port; across two network stacks one MAC makes neighbours indistinguishable. */
function checkDuplicateMacs(document: NetworkDocument, problems: ProblemList): void {
  const first = new Map<Mac, Pin<Mac>>()
  for (const pin of document.macs) {
    const earlier = first.get(pin.value)
    if (earlier === undefined) first.set(pin.value, pin)
    else if (ownerOf(earlier.key) !== ownerOf(pin.key) && pin.value !== CALICO_MAC) {
      problems.warning(
        pin,
        document.object.label,
        `${pin.key} and ${earlier.key} (${formatPlace(earlier)}) have one MAC address, ${formatMac(pin.value)}`,
        'Leave it if the real network is like that; on one segment their frames go astray.',
      )
    }
  }
}

function ownerOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/'))
}
