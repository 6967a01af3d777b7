/**
 * Who has which labels, and so who is in which set: endpoints and network sets of the whole cluster → members. After
 * felix/labelindex/{label_inheritance_index,named_port_index}.go and felix/serviceindex/serviceindex.go.
 */
import { compareIp, formatIp, parseIp } from '../../base/ip.js'
import { formatCidr } from '../../base/cidr.js'
import type { HostEndpoint, WorkloadEndpoint } from '../../cluster/calico/endpoint.js'
import type { NetworkSet } from '../../cluster/calico/network-set.js'
import type { CalicoProtocol, EndpointPort } from '../../cluster/calico/resource.js'
import type { Labels } from '../../cluster/labels.js'
import { matchesCalicoSelector, type Selector } from '../../cluster/selector.js'
import type { IpSet } from '../../dataplane/ipset.js'
import { NAMESPACE_LABEL, NAMESPACE_PREFIX, netText, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_PREFIX } from './backend-policy.js'
import { ipsetName } from './names.js'
import type { NamedPortProtocol, SetDefinition } from './rule-scanner.js'
import { compareText } from './static-tables.js'

/** Endpoints of a service, ready or not: Felix asks for neither. */
export interface ServiceEndpoints {
  /** `default/web`. */
  readonly service: string
  /** IPv4 text. */
  readonly addresses: readonly string[]
  readonly ports: readonly { readonly protocol: string; readonly port: number }[]
}

/** Something with labels that a selector may find. */
interface Entry {
  readonly labels: Labels
  /** As a hash:net holds them: addresses bare, prefixes with their length. */
  readonly nets: readonly string[]
  readonly ports: readonly EndpointPort[]
}

interface IndexedObjects {
  readonly workloadEndpoints: readonly WorkloadEndpoint[]
  readonly hostEndpoints: readonly HostEndpoint[]
  readonly networkSets: readonly NetworkSet[]
  readonly services: readonly ServiceEndpoints[]
  /** Labels that an endpoint takes from each of its profiles. */
  readonly profileLabels: ReadonlyMap<string, Labels>
}

/**
 * A workload's labels as the syncer hands them to Felix: none that pretends to be a namespace's or a service account's, and the account's name
 * however long (workloadendpointprocessor.go).
 */
export function workloadLabels({ labels, serviceAccount }: Pick<WorkloadEndpoint, 'labels' | 'serviceAccount'>): Labels {
  const pretends = (key: string): boolean => key.startsWith(NAMESPACE_PREFIX) || key.startsWith(SERVICE_ACCOUNT_PREFIX)
  const own = Object.keys(labels).some(pretends) ? Object.fromEntries(Object.entries(labels).filter(([key]) => !pretends(key))) : labels
  return serviceAccount === undefined ? own : { ...own, [SERVICE_ACCOUNT_LABEL]: serviceAccount }
}

/** Its own labels first, then those of its profiles in their order. */
export function inheritedLabels(own: Labels, profiles: readonly string[], profileLabels: ReadonlyMap<string, Labels>): Labels {
  return Object.assign({}, ...profiles.map((name) => profileLabels.get(name) ?? {}).toReversed(), own) as Labels
}

/** ipset cannot hold /0; and it prints a /32 bare. */
export function setElements(net: string): readonly string[] {
  if (net === '0.0.0.0/0') return ['0.0.0.0/1', '128.0.0.0/1']
  return [net.endsWith('/32') ? net.slice(0, -3) : net]
}

export class EndpointIndex {
  private readonly entries: readonly Entry[]
  private readonly services: ReadonlyMap<string, readonly ServiceEndpoints[]>
  private readonly members = new Map<string, readonly string[]>()
  private readonly ipsets = new Map<string, IpSet>()

  constructor(objects: IndexedObjects) {
    const { profileLabels } = objects
    this.entries = [
      ...objects.workloadEndpoints.map((endpoint) => ({
        labels: inheritedLabels(workloadLabels(endpoint), endpoint.profiles, profileLabels),
        nets: endpoint.ipNetworks.flatMap((net) => setElements(formatCidr(net))),
        ports: endpoint.ports,
      })),
      ...objects.hostEndpoints.map((endpoint) => ({
        labels: inheritedLabels(endpoint.labels, endpoint.profiles, profileLabels),
        // what it expects, never what its interface has
        nets: endpoint.expectedIPs.map(formatIp),
        ports: endpoint.ports,
      })),
      ...objects.networkSets.map((set) => networkSetEntry(set, profileLabels)),
    ]
    const services = new Map<string, ServiceEndpoints[]>()
    for (const slice of objects.services) services.set(slice.service, [...(services.get(slice.service) ?? []), slice])
    this.services = services
  }

  /** In the order of addresses; the same for every node. */
  membersOf(set: SetDefinition): readonly string[] {
    const known = this.members.get(set.id)
    if (known !== undefined) return known
    const members = sortElements(this.collect(set))
    this.members.set(set.id, members)
    return members
  }

  /** The set as the dataplane holds it; one object for all nodes. */
  ipset(set: SetDefinition, maxSize: number): IpSet {
    const key = `${maxSize} ${set.id}`
    const known = this.ipsets.get(key) ?? this.build(set, maxSize)
    this.ipsets.set(key, known)
    return known
  }

  private build(set: SetDefinition, maxSize: number): IpSet {
    const withPorts = set.kind === 'namedPort' || (set.kind === 'service' && set.withPorts)
    return felixIpset(set.id, withPorts ? 'hash:ip,port' : 'hash:net', this.membersOf(set), maxSize)
  }

  private collect(set: SetDefinition): readonly string[] {
    if (set.kind === 'selector') return this.selected(set.selector).flatMap(({ nets }) => nets)
    if (set.kind === 'namedPort') return this.selected(set.selector).flatMap((entry) => portMembers(entry, set.port, set.protocol))
    const slices = this.services.get(set.service) ?? []
    if (!set.withPorts) return slices.flatMap(({ addresses }) => addresses)
    return slices.flatMap(({ addresses, ports }) =>
      addresses.flatMap((address) => ports.map(({ protocol, port }) => `${address},${protocol.toLowerCase()}:${port}`)),
    )
  }

  private selected(selector: Selector): readonly Entry[] {
    return this.entries.filter(({ labels }) => matchesCalicoSelector(selector, labels))
  }
}

/** A namespaced set stands in its namespace's profile, so that namespace selectors find it. */
function networkSetEntry(set: NetworkSet, profileLabels: ReadonlyMap<string, Labels>): Entry {
  const own = set.namespace === '' ? set.labels : { ...set.labels, [NAMESPACE_LABEL]: set.namespace }
  const profiles = set.namespace === '' ? [] : [`kns.${set.namespace}`]
  return {
    labels: inheritedLabels(own, profiles, profileLabels),
    nets: set.nets.filter(({ family }) => family === 4).flatMap((net) => setElements(netText(net))),
    ports: [],
  }
}

const NUMBERS: Readonly<Record<Exclude<NamedPortProtocol, 'any'>, number>> = { tcp: 6, udp: 17, sctp: 132 }

function protocolName(protocol: CalicoProtocol): string {
  if (typeof protocol !== 'number') return protocol.toLowerCase()
  return Object.entries(NUMBERS).find(([, number]) => number === protocol)?.[0] ?? `${protocol}`
}

/** An endpoint's port has the protocol asked for; `any` takes them all. */
function portMembers(entry: Entry, name: string, protocol: NamedPortProtocol): readonly string[] {
  const ports = entry.ports.filter((port) => port.name === name && (protocol === 'any' || protocolName(port.protocol) === protocol))
  return ports.flatMap((port) => entry.nets.map((net) => `${net},${protocolName(port.protocol)}:${port.port}`))
}

/** Each once, by address, then by what follows it. */
function sortElements(elements: readonly string[]): readonly string[] {
  const keyed = [...new Set(elements)].map((element) => ({ element, address: parseIp(/^[^/,]*/.exec(element)?.[0] ?? '') }))
  keyed.sort((a, b) => (a.address === undefined || b.address === undefined ? 0 : compareIp(a.address, b.address)) || compareText(a.element, b.element))
  return keyed.map(({ element }) => element)
}

/** As Felix creates its sets: room for `maxSize`, the kernel's own hash size. */
export function felixIpset(id: string, type: 'hash:net' | 'hash:ip' | 'hash:ip,port', members: readonly string[], maxSize: number): IpSet {
  return {
    name: ipsetName(4, id),
    type,
    options: `family inet hashsize 1024 maxelem ${maxSize}`,
    members: sortElements(members).map((element) => ({ element })),
  }
}
