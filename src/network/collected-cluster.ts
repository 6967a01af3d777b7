/**
 * What dumps of nodes tell of a cluster beyond those nodes: the cards' and tunnels' MACs that others have to know, the gateway of a segment. And a cluster
 * made of nothing but dumps: manifests of its nodes and pods, as if somebody had written them, each on the line of the dump that says it.
 */
import { cidr, contains, covers, formatCidr, type Cidr } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import type { Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { Input } from '../cluster/manifest.js'
import { nearestName } from '../cluster/nearest-name.js'
import { ADDRESS_ANNOTATION } from '../cluster/node.js'
import type { CollectedNode, CollectedPod } from '../collected/collected-node.js'
import type { AddressSpec, Dataplane, DeviceSpec, RouteSpec } from '../dataplane/dataplane.js'
import { checkIdentity } from './collected-identity.js'
import { addressesOf } from './collected-plan.js'
import { cardName } from './hosts.js'

/** Why a frame for a MAC that no dump has is not lost, where the dumps are all that is known. */
export const HOSTS_WITHOUT_DUMP = 'the frame is for a host of which there is neither a dump nor an object: give its dump too (--node), or the cluster (-f)'

/** Dumps of nodes that the cluster does not have, and of others than they are said to be of. */
export function checkCollected(nodes: readonly CollectedNode[], cluster: Cluster): readonly Problem[] {
  const problems: Problem[] = []
  for (const { name, source } of nodes) {
    if (cluster.nodeByName.has(name)) continue
    const near = nearestName(name, [...cluster.nodeByName.keys()])
    const names = [...cluster.nodeByName.keys()].slice(0, 8).join(', ')
    const fix = near === undefined ? `It has ${names}.` : `Did you mean --node ${near}=${source}?`
    problems.push({ severity: 'error', file: source, line: 0, object: `Node/${name}`, what: `the cluster has no node "${name}"`, fix })
  }
  return [...problems, ...checkIdentity(cluster, nodes)]
}

/** The device that the default route leaves by, with the gateway. */
function defaultWay({ routes }: Dataplane): RouteSpec | undefined {
  const main = routes.filter(
    ({ destination, table, type, device }) => destination.length === 0 && table === undefined && type === 'unicast' && device !== undefined,
  )
  return main.sort((a, b) => (a.metric ?? 0) - (b.metric ?? 0)).at(0)
}

const CARDS: ReadonlySet<DeviceSpec['kind']> = new Set(['nic', 'bridge'])

/** Cards with an address, that of the default route first; a bridge is one where it has taken a card's place. */
function cardsOf({ devices, routes, ...rest }: Dataplane): readonly DeviceSpec[] {
  const first = defaultWay({ devices, routes, ...rest })?.device
  const hasCard = (bridge: string): boolean => devices.some(({ kind, master }) => kind === 'nic' && master === bridge)
  const cards = devices.filter(
    ({ kind, name, addresses }) => CARDS.has(kind) && (kind === 'nic' || hasCard(name)) && addresses.some(({ scope }) => scope === 'global'),
  )
  return cards.sort((a, b) => Number(b.name === first) - Number(a.name === first))
}

function globalAddress({ addresses }: DeviceSpec): AddressSpec | undefined {
  return addresses.find(({ scope }) => scope === 'global')
}

const DEFAULT_LENGTH = 24
const LONGEST_LENGTH = 30

/** Clouds give hosts a /32; what is on the link with them nobody says. */
function subnetOf({ address, length }: AddressSpec): Cidr {
  return cidr(address, length > LONGEST_LENGTH ? DEFAULT_LENGTH : length)
}

/** On its line. */
function manifest(place: { readonly file?: string; readonly line?: number } | undefined, object: unknown, file: string): Input {
  return { file: place?.file ?? file, text: '\n'.repeat(Math.max((place?.line ?? 1) - 1, 0)) + JSON.stringify(object) }
}

function podNameOf({ name, known }: CollectedPod): readonly [namespace: string, name: string] {
  const at = name.indexOf('/')
  if (known && at > 0) return [name.slice(0, at), name.slice(at + 1)]
  const plain = name.toLowerCase().replace(/[^a-z0-9.-]+/g, '-')
  return ['default', plain.replace(/^[-.]+|[-.]+$/g, '') || 'pod']
}

/** Pods that dumps name and the cluster does not have. @param cluster absent: every pod of the dumps */
export function podInputs(nodes: readonly CollectedNode[], cluster?: Cluster): readonly Input[] {
  const taken = new Set<string>()
  return nodes.flatMap((node) =>
    node.pods.flatMap((pod): Input[] => {
      const [address] = pod.dataplane === undefined ? [] : addressesOf(pod.dataplane)
      const [namespace, name] = podNameOf(pod)
      const key = `${namespace}/${name}`
      if (address === undefined || pod.veth === undefined || taken.has(key)) return []
      if (cluster !== undefined && (!pod.known || cluster.podByName.has(key) || cluster.podsByAddress.has(address))) return []
      taken.add(key)
      const spec = { nodeName: node.name, containers: [{ name: 'pod', image: 'unknown' }] }
      const object = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name }, spec, status: { phase: 'Running', podIP: formatIp(address) } }
      return [manifest(pod.place, object, node.source)]
    }),
  )
}

/** A cluster of the dumps alone: nodes, the segments that their cards are on, pods. */
export function inputsOf(nodes: readonly CollectedNode[]): { readonly inputs: readonly Input[]; readonly problems: readonly Problem[] } {
  const problems: Problem[] = []
  const inputs: Input[] = []
  for (const node of nodes) {
    const card = cardsOf(node.dataplane).at(0)
    const address = card === undefined ? undefined : globalAddress(card)
    if (card === undefined || address === undefined) {
      const what = `the dump of ${node.name} has no card with an IPv4 address`
      problems.push({ severity: 'error', file: node.source, line: 0, object: `Node/${node.name}`, what, fix: 'Say the cluster with -f.' })
      continue
    }
    const annotations = address.length > LONGEST_LENGTH ? {} : { [ADDRESS_ANNOTATION]: `${formatIp(address.address)}/${address.length}` }
    const status = { addresses: [{ type: 'InternalIP', address: formatIp(address.address) }] }
    inputs.push(manifest(card.provenance, { apiVersion: 'v1', kind: 'Node', metadata: { name: node.name, annotations }, status }, node.source))
  }
  const document = { apiVersion: 'netsim/v1', kind: 'Network', spec: { cni: 'none', underlay: { segments: segmentsOf(nodes) } } }
  return { inputs: [...inputs, ...podInputs(nodes), { file: nodes[0]?.source ?? '', text: JSON.stringify(document) }], problems }
}

interface WrittenSegment {
  readonly name: string
  readonly cidr: string
  readonly router?: string
}

function segmentsOf(nodes: readonly CollectedNode[]): readonly WrittenSegment[] {
  const subnets = nodes.flatMap(({ dataplane }) => cardsOf(dataplane).flatMap((card) => subnetOf(globalAddress(card) as AddressSpec)))
  const widest = subnets
    .sort((a, b) => a.length - b.length)
    .filter((subnet, at, all) => !all.slice(0, at).some((other) => covers(other, subnet)))
    .sort((a, b) => (a.base >>> 0) - (b.base >>> 0))
  return widest.map((subnet, at) => {
    const router = gatewayOn(subnet, nodes)
    return { name: `s${at}`, cidr: formatCidr(subnet), ...(router === undefined ? {} : { router: formatIp(router) }) }
  })
}

/** Where the default routes of the dumped nodes lead on a segment; a node may be the gateway of others, and is no router then. */
function gatewayOn(subnet: Cidr, nodes: readonly CollectedNode[], taken: ReadonlySet<Ip> = new Set()): Ip | undefined {
  const own = new Set(nodes.flatMap(({ dataplane }) => addressesOf(dataplane)))
  const gateways = nodes.flatMap(({ dataplane }) => defaultWay(dataplane)?.via ?? [])
  return gateways.find((gateway) => contains(subnet, gateway) && !own.has(gateway) && !taken.has(gateway))
}

/**
 * The same cluster with what the dumps tell of it. Nodes that are not dumped are made with the MACs by which the dumped ones know them, and what the owner
 * of the network wrote into the Network document stands.
 */
export function withCollected(cluster: Cluster, nodes: readonly CollectedNode[]): Cluster {
  const taken = new Set(cluster.nodes.map(({ address }) => address))
  const gateways = new Map(
    cluster.segments.flatMap((segment): [string, Ip][] => {
      const gateway = segment.inferred ? gatewayOn(segment.cidr, nodes, taken) : undefined
      return gateway === undefined ? [] : [[segment.name, gateway]]
    }),
  )
  const segments = cluster.segments.map((segment) => ({ ...segment, router: gateways.get(segment.name) ?? segment.router }))
  const routers = cluster.routers.map((router) =>
    router.implicit ? { ...router, interfaces: router.interfaces.map((one) => ({ ...one, address: gateways.get(one.segment) ?? one.address })) } : router,
  )
  const told = { ...cluster, segments, routers }
  return { ...told, pins: { ...cluster.pins, macs: new Map([...learnedMacs(told, nodes), ...ownMacs(told, nodes), ...cluster.pins.macs]) } }
}

/** Of nodes and routers, as the neighbour tables of dumped nodes have them. */
function learnedMacs(cluster: Cluster, nodes: readonly CollectedNode[]): ReadonlyMap<string, Mac> {
  const macs = new Map<string, Mac>()
  const keys = new Map<Ip, string>(cluster.nodes.map(({ address, name }) => [address, `${name}/${cardName(cluster)}`]))
  for (const { name, router } of cluster.segments) keys.set(router, `${name}/router`)
  for (const { dataplane } of nodes) {
    const cards = new Set(cardsOf(dataplane).map(({ name }) => name))
    for (const { address, device, mac } of dataplane.neighbours) {
      const key = keys.get(address)
      if (key !== undefined && mac !== undefined && cards.has(device) && !macs.has(key)) macs.set(key, mac)
    }
  }
  return macs
}

/** Of the dumped nodes themselves: what agents of others are told. */
function ownMacs(cluster: Cluster, nodes: readonly CollectedNode[]): ReadonlyMap<string, Mac> {
  const macs = new Map<string, Mac>()
  for (const { name, dataplane } of nodes) {
    const node = cluster.nodeByName.get(name)
    for (const { name: device, mac, addresses } of dataplane.devices) {
      if (mac === undefined) continue
      if (/^(flannel\.\d+|cni0|docker0)$/.test(device)) macs.set(`${name}/${device}`, mac)
      if (addresses.some(({ address }) => address === node?.address)) macs.set(`${name}/${cardName(cluster)}`, mac)
    }
  }
  return macs
}
