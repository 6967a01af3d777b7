/**
 * The keys of etcd under /calico → the classic model. A value that is wrong is reported and taken for absent, as Felix takes it; a key that the
 * model does not have is named.
 *
 *   /calico/v1/…      config, hosts with their endpoints, profiles, tiers, pools       felix 1.4.9 calico/datamodel_v1.py, calico/felix/fetcd.py
 *   /calico/bgp/v1/…  AS numbers, mesh, peers                                          pycalico datastore.py, libcalico-go v1.0 lib/backend/model
 */
import { formatCidr, parseAddressWithLength, parseCidr, type Cidr } from '../../base/cidr.js'
import { formatIp, isIpv6Text, parseIp, type Ip } from '../../base/ip.js'
import { parseMac } from '../../base/mac.js'
import { readJson } from '../json-text.js'
import type { Labels } from '../labels.js'
import { isObject, type JsonObject, type JsonValue } from '../located.js'
import { describeValue } from '../manifest.js'
import { suggestName } from '../nearest-name.js'
import type { EtcdEntry } from '../network-document.js'
import type { ProblemList } from '../problem-list.js'
import { EMPTY_CLASSIC, type ClassicModel, type ClassicNode, type ClassicProfile, type ClassicSetting } from './classic-model.js'
import { readClassicRules } from './classic-rule-json.js'
import { isClassicId, isClassicLabel, isInterfaceName, selectorFault } from './classic-values.js'
import { parseAsNumber } from './object-reader.js'
import { given } from './resource-reader.js'

export const CALICO_ROOT = '/calico'

/** Trees that say nothing about packets, or nothing that the rest does not say. */
const PLAY_NO_PART = /^\/calico\/(felix\/v1|dhcp\/v1|openstack\/v1|ipam\/v2)\/|^\/calico\/bgp\/v1\/(global|host\/[^/]+)\/(loglevel|custom_filters\/.*)$/

export function holdsClassicKeys(entries: readonly EtcdEntry[]): boolean {
  return entries.some(({ key }) => key.startsWith(`${CALICO_ROOT}/v1/`) || key.startsWith(`${CALICO_ROOT}/bgp/v1/`))
}

/** Lists are sorted by name. */
export function readClassicEtcd(entries: readonly EtcdEntry[], problems: ProblemList): ClassicModel {
  const reader = new TreeReader(problems)
  for (const entry of entries) if (entry.key.startsWith(`${CALICO_ROOT}/`)) reader.read(entry)
  return reader.model()
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] }
type Handler = (entry: EtcdEntry, parts: readonly string[]) => void

class TreeReader {
  private readonly problems: ProblemList
  private ready = false
  private asNumber = EMPTY_CLASSIC.asNumber
  private nodeMesh = true
  private readonly pools: ClassicModel['pools'][number][] = []
  private readonly profiles = new Map<string, Writable<ClassicProfile>>()
  private readonly tiers: ClassicModel['tiers'][number][] = []
  private readonly policies: ClassicModel['policies'][number][] = []
  private readonly workloadEndpoints: ClassicModel['workloadEndpoints'][number][] = []
  private readonly hostEndpoints: ClassicModel['hostEndpoints'][number][] = []
  private readonly bgpPeers: ClassicModel['bgpPeers'][number][] = []
  private readonly nodes = new Map<string, Writable<ClassicNode>>()
  private readonly settings = new Map<string, ClassicSetting>()
  private readonly hostSettings = new Map<string, Map<string, ClassicSetting>>()

  constructor(problems: ProblemList) {
    this.problems = problems
  }

  /** By key; `*` is any one part, and given to the handler. */
  private readonly handlers: readonly (readonly [RegExp, Handler])[] = (
    [
      ['v1/Ready', (entry) => (this.ready = entry.value === 'true')],
      ['v1/config/*', (entry, [name]) => this.settings.set(name, { value: entry.value, ...place(entry) })],
      ['v1/host/*/bird_ip', (entry, [host]) => this.readAddress(entry, host)],
      ['v1/host/*/metadata', (entry, [host]) => void this.node(host, entry)],
      ['v1/host/*/config/*', (entry, [host, name]) => this.readHostSetting(entry, host, name)],
      ['v1/host/*/workload/*/*/endpoint/*', (entry, parts) => this.readWorkloadEndpoint(entry, parts)],
      ['v1/host/*/endpoint/*', (entry, [host, name]) => this.readHostEndpoint(entry, host, name)],
      ['v1/policy/profile/*/rules', (entry, [name]) => this.readProfileRules(entry, name)],
      ['v1/policy/profile/*/tags', (entry, [name]) => this.readTags(entry, name)],
      ['v1/policy/profile/*/labels', (entry, [name]) => this.readLabels(entry, name)],
      ['v1/policy/tier/*/metadata', (entry, [name]) => this.readTier(entry, name)],
      ['v1/policy/tier/*/policy/*', (entry, [tier, name]) => this.readPolicy(entry, tier, name)],
      ['v1/ipam/v4/pool/*', (entry) => this.readPool(entry)],
      ['v1/ipam/v6/pool/*', (entry) => this.warn(entry, 'an IPv6 pool: left out', 'netsim models IPv4 only.')],
      ['bgp/v1/global/as_num', (entry) => (this.asNumber = this.readAsNumber(entry, entry.value) ?? this.asNumber)],
      ['bgp/v1/global/node_mesh', (entry) => this.readMesh(entry)],
      ['bgp/v1/global/peer_v4/*', (entry) => this.readPeer(entry, undefined)],
      ['bgp/v1/global/peer_v6/*', (entry) => this.warn(entry, 'an IPv6 peer: left out', 'netsim models IPv4 only.')],
      ['bgp/v1/host/*/ip_addr_v4', (entry, [host]) => this.readAddress(entry, host)],
      ['bgp/v1/host/*/ip_addr_v6', (entry, [host]) => void this.node(host, entry)],
      ['bgp/v1/host/*/network_v4', (entry, [host]) => void this.node(host, entry)],
      ['bgp/v1/host/*/as_num', (entry, [host]) => Object.assign(this.node(host, entry), given({ asNumber: this.readAsNumber(entry, entry.value) }))],
      ['bgp/v1/host/*/peer_v4/*', (entry, [host]) => this.readPeer(entry, host)],
      ['bgp/v1/host/*/peer_v6/*', (entry) => this.warn(entry, 'an IPv6 peer: left out', 'netsim models IPv4 only.')],
    ] satisfies readonly (readonly [string, Handler])[]
  ).map(([pattern, handler]) => [new RegExp(`^${CALICO_ROOT}/${pattern.replaceAll('*', '([^/]+)')}$`), handler] as const)

  read(entry: EtcdEntry): void {
    for (const [pattern, handler] of this.handlers) {
      const found = pattern.exec(entry.key)
      if (found !== null) return handler(entry, found.slice(1))
    }
    if (PLAY_NO_PART.test(entry.key)) return
    const [, , ...words] = entry.key.split('/')
    const known = ['config', 'host', 'policy', 'ipam', 'Ready', 'global', 'metadata', 'rules', 'tags', 'labels', 'endpoint', 'workload', 'profile', 'tier']
    const odd = words.find((word) => !known.includes(word) && suggestName(word, known).startsWith('Did'))
    const fix = odd === undefined ? 'It is left out.' : `It is left out. ${odd}: ${suggestName(odd, known)}`
    this.warn(entry, "no key of Calico's first data model", fix)
  }

  model(): ClassicModel {
    const named = <Item extends { readonly name: string }>(items: Iterable<Item>): Item[] => sorted(items, ({ name }) => name)
    return {
      ready: this.ready,
      pools: sorted(this.pools, ({ cidr }) => formatCidr(cidr)),
      profiles: named(this.profiles.values()),
      tiers: named(this.tiers),
      policies: sorted(this.policies, ({ tier, name }) => `${tier}/${name}`),
      workloadEndpoints: sorted(this.workloadEndpoints, ({ node, orchestrator, workload, name }) => `${node}/${orchestrator}/${workload}/${name}`),
      hostEndpoints: sorted(this.hostEndpoints, ({ node, name }) => `${node}/${name}`),
      bgpPeers: sorted(this.bgpPeers, ({ node, peerIP }) => `${node ?? ''}/${formatIp(peerIP)}`),
      nodes: named(this.nodes.values()),
      settings: this.settings,
      hostSettings: this.hostSettings,
      asNumber: this.asNumber,
      nodeMesh: this.nodeMesh,
    }
  }

  private node(name: string, entry: EtcdEntry): Writable<ClassicNode> {
    const node = this.nodes.get(name) ?? { name, ...place(entry) }
    this.nodes.set(name, node)
    return node
  }

  private readAddress(entry: EtcdEntry, host: string): void {
    const node = this.node(host, entry)
    const address = parseIp(entry.value)
    if (address !== undefined) node.address = address
    else if (entry.value !== '' && !isIpv6Text(entry.value)) this.error(entry, `${describeValue(entry.value)} is no address`, 'Write it like 192.168.0.100.')
  }

  private readHostSetting(entry: EtcdEntry, host: string, name: string): void {
    const settings = this.hostSettings.get(host) ?? new Map<string, ClassicSetting>()
    settings.set(name, { value: entry.value, ...place(entry) })
    this.hostSettings.set(host, settings)
  }

  private readAsNumber(entry: EtcdEntry, value: JsonValue): number | undefined {
    const number = typeof value === 'string' || typeof value === 'number' ? parseAsNumber(value) : undefined
    if (number === undefined) this.error(entry, `${describeValue(value)} is no AS number`, 'Write it like 64512.')
    return number
  }

  private readMesh(entry: EtcdEntry): void {
    const value = this.object(entry)
    if (value === undefined) return
    if (typeof value.enabled === 'boolean') this.nodeMesh = value.enabled
    else this.error(entry, `enabled is ${describeValue(value.enabled)}`, 'Write {"enabled": true} or {"enabled": false}.')
  }

  private readPeer(entry: EtcdEntry, node: string | undefined): void {
    const value = this.object(entry)
    if (value === undefined) return
    const address = typeof value.ip === 'string' ? parseIp(value.ip) : undefined
    const asNumber = this.readAsNumber(entry, value.as_num ?? '')
    if (address === undefined) this.error(entry, `ip is ${describeValue(value.ip)}`, 'Write {"ip": "10.0.0.1", "as_num": "64512"}.')
    if (address !== undefined && asNumber !== undefined) this.bgpPeers.push({ ...given({ node }), peerIP: address, asNumber, ...place(entry) })
  }

  private profile(name: string, entry: EtcdEntry): Writable<ClassicProfile> {
    const profile = this.profiles.get(name) ?? { name, tags: [], labels: {}, ...place(entry) }
    this.profiles.set(name, profile)
    if (!isClassicId(name)) this.error(entry, `${JSON.stringify(name)} is no name that Felix takes`, 'Letters, digits and _ . - alone.')
    return profile
  }

  private readProfileRules(entry: EtcdEntry, name: string): void {
    const profile = this.profile(name, entry)
    // where its rules stand is where a profile stands
    Object.assign(profile, place(entry))
    const value = this.object(entry)
    const rules = value === undefined ? undefined : readClassicRules(value, entry, (what, fix) => this.error(entry, what, fix))
    if (rules !== undefined) profile.rules = rules
  }

  private readTags(entry: EtcdEntry, name: string): void {
    const profile = this.profile(name, entry)
    const value = this.json(entry)
    if (value === undefined) return
    const tags = Array.isArray(value) ? value : undefined
    if (tags?.every((tag: JsonValue): tag is string => typeof tag === 'string' && isClassicId(tag)) === true) profile.tags = tags
    else this.error(entry, 'the tags are no list of names', 'Write them like ["WEB"].')
  }

  private readLabels(entry: EtcdEntry, name: string): void {
    const profile = this.profile(name, entry)
    const value = this.object(entry)
    if (value !== undefined) profile.labels = this.labels(value, entry)
  }

  private readTier(entry: EtcdEntry, name: string): void {
    const value = this.object(entry)
    if (value === undefined) return
    const order = this.order(value, entry)
    if (order !== undefined) this.tiers.push({ name, order, ...place(entry) })
  }

  private readPolicy(entry: EtcdEntry, tier: string, name: string): void {
    const value = this.object(entry)
    if (value === undefined) return
    const order = this.order(value, entry)
    const rules = readClassicRules(value, entry, (what, fix) => this.error(entry, what, fix))
    const { selector, untracked = false } = value
    const fault = typeof selector === 'string' ? selectorFault(selector) : 'it is missing'
    if (fault !== undefined) this.error(entry, `selector ${JSON.stringify(selector ?? '')}: ${fault}`, `A selector looks like role == 'web'.`)
    if (order === undefined || rules === undefined || fault !== undefined) return
    this.policies.push({ tier, name, order, selector: selector as string, rules, untracked: untracked === true, ...place(entry) })
  }

  /** undefined: wrong, and reported. */
  private order(value: JsonObject, entry: EtcdEntry): number | undefined {
    const order = value.order ?? 'default'
    if (order === 'default') return Infinity
    if (typeof order === 'number') return order
    this.error(entry, `order is ${describeValue(order)}`, 'Write a number, or "default".')
    return undefined
  }

  private readWorkloadEndpoint(entry: EtcdEntry, [node, orchestrator, workload, name]: readonly string[]): void {
    const value = this.object(entry)
    if (value === undefined) return
    const state = value.state
    const interfaceName = this.interfaceName(value.name, entry)
    if (state !== 'active' && state !== 'inactive') this.error(entry, `state is ${describeValue(state)}`, 'Write active or inactive.')
    if (interfaceName === undefined && value.name === undefined) this.error(entry, 'the endpoint has no name', 'Name the interface on the host.')
    if (interfaceName === undefined || (state !== 'active' && state !== 'inactive')) return
    const ipNetworks = this.texts(value.ipv4_nets, 'ipv4_nets', entry).flatMap((written): Cidr[] => {
      const parsed = parseAddressWithLength(written)
      if (parsed !== undefined) return [{ base: parsed.address, length: 32 }]
      this.error(entry, `ipv4_nets: ${JSON.stringify(written)} is no IPv4 address`, 'Write it like 192.168.0.5/32.')
      return []
    })
    const mac = typeof value.mac === 'string' ? parseMac(value.mac) : undefined
    if (value.mac !== undefined && value.mac !== null && mac === undefined) this.error(entry, `mac is ${describeValue(value.mac)}`, '')
    const labels = isObject(value.labels) ? this.labels(value.labels, entry) : {}
    const shared = { profiles: this.profileIds(value, entry), ipNetworks, ipNats: this.nats(value.ipv4_nat, entry), labels, ...place(entry) }
    this.workloadEndpoints.push({ node, orchestrator, workload, name, active: state === 'active', interfaceName, ...given({ mac }), ...shared })
  }

  private readHostEndpoint(entry: EtcdEntry, node: string, name: string): void {
    const value = this.object(entry)
    if (value === undefined) return
    const interfaceName = this.interfaceName(value.name, entry)
    const expectedIPs = this.texts(value.expected_ipv4_addrs, 'expected_ipv4_addrs', entry).flatMap((text): Ip[] => {
      const address = parseIp(text)
      if (address === undefined) this.error(entry, `expected_ipv4_addrs: ${JSON.stringify(text)} is no address`, '')
      return address === undefined ? [] : [address]
    })
    if (interfaceName === undefined && expectedIPs.length === 0) {
      this.error(entry, 'neither name nor expected_ipv4_addrs', 'Say which interface of the host is meant.')
      return
    }
    const labels = isObject(value.labels) ? this.labels(value.labels, entry) : {}
    this.hostEndpoints.push({ node, name, ...given({ interfaceName }), expectedIPs, profiles: this.profileIds(value, entry), labels, ...place(entry) })
  }

  private nats(value: JsonValue | undefined, entry: EtcdEntry): { readonly internal: Ip; readonly external: Ip }[] {
    if (!Array.isArray(value)) return []
    return value.flatMap((nat: JsonValue) => {
      const [internal, external] = isObject(nat) ? [nat.int_ip, nat.ext_ip].map((text) => (typeof text === 'string' ? parseIp(text) : undefined)) : []
      if (internal !== undefined && external !== undefined) return [{ internal, external }]
      this.error(entry, `ipv4_nat: ${JSON.stringify(nat)} is no mapping`, 'Write {"int_ip": …, "ext_ip": …}.')
      return []
    })
  }

  /** `profile_id` is the older way to name one. */
  private profileIds(value: JsonObject, entry: EtcdEntry): readonly string[] {
    const { profile_id: one, profile_ids: many } = value
    const ids = many === undefined && typeof one === 'string' ? [one] : this.texts(many, 'profile_ids', entry)
    for (const id of ids) if (!isClassicId(id)) this.error(entry, `${JSON.stringify(id)} is no name of a profile`, 'Letters, digits and _ . - alone.')
    return ids.filter(isClassicId)
  }

  private interfaceName(value: JsonValue | undefined, entry: EtcdEntry): string | undefined {
    if (typeof value === 'string' && isInterfaceName(value)) return value
    if (value !== undefined) this.error(entry, `name is ${describeValue(value)}, no interface`, 'At most 15 letters, digits, _ and -.')
    return undefined
  }

  private texts(value: JsonValue | undefined, key: string, entry: EtcdEntry): readonly string[] {
    if (value === undefined || value === null) return []
    if (Array.isArray(value) && value.every((item: JsonValue) => typeof item === 'string')) return value
    this.error(entry, `${key} is no list of texts`, '')
    return []
  }

  private labels(value: JsonObject, entry: EtcdEntry): Labels {
    const wrong = Object.entries(value).filter(([key, label]) => !isClassicLabel(key) || typeof label !== 'string')
    for (const [key] of wrong) this.error(entry, `${JSON.stringify(key)} is no label`, 'Letters, digits and _ . / - alone; the value is text.')
    return Object.fromEntries(Object.entries(value).filter((label): label is [string, string] => !wrong.some(([key]) => key === label[0])))
  }

  private readPool(entry: EtcdEntry): void {
    const value = this.object(entry)
    if (value === undefined) return
    const prefix = typeof value.cidr === 'string' ? parseCidr(value.cidr) : 'syntax'
    if (typeof prefix === 'string') this.error(entry, `cidr is ${describeValue(value.cidr)}`, 'Write it like 192.168.0.0/16.')
    else {
      const ipip = typeof value.ipip === 'string' && value.ipip !== ''
      const ipipMode = value.ipip_mode === 'cross-subnet' ? 'CrossSubnet' : 'Always'
      this.pools.push({ cidr: prefix, ipip, ipipMode, masquerade: value.masquerade === true, disabled: value.disabled === true, ...place(entry) })
    }
  }

  private object(entry: EtcdEntry): JsonObject | undefined {
    const value = this.json(entry)
    if (value === undefined || isObject(value)) return value
    this.error(entry, `the value is ${describeValue(value)}, not an object`, '')
    return undefined
  }

  private json(entry: EtcdEntry): JsonValue | undefined {
    const { documents, issues } = readJson(entry.value, 1)
    if (issues.length === 0 && documents.length === 1) return documents[0].value
    this.error(entry, `the value is no JSON: ${issues[0]?.what ?? `${documents.length} values`}`, 'Calico keeps this key in JSON.')
    return undefined
  }

  private error(entry: EtcdEntry, what: string, fix: string): void {
    this.problems.error(entry, entry.key, what, fix)
  }

  private warn(entry: EtcdEntry, what: string, fix: string): void {
    this.problems.warning(entry, entry.key, what, fix)
  }
}

function place({ file, line }: EtcdEntry): { readonly file: string; readonly line: number } {
  return { file, line }
}

/** By the bytes of a key; the first of equals stays first. */
export function sorted<Item>(items: Iterable<Item>, keyOf: (item: Item) => string): Item[] {
  return [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0))
}
