/**
 * The wires between hosts: segments and routers as the Network document lists them, or inferred from the nodes' addresses. Every node ends up
 * in one segment, every segment with a router.
 */
import { broadcastOf, cidr, contains, covers, formatCidr, type Cidr } from '../base/cidr.js'
import { compareIp, formatIp, type Ip } from '../base/ip.js'
import { isHostAddress } from './fields.js'
import type { Cloud, Command, NetworkDocument, RouterSpec, SegmentSpec } from './network-document.js'
import { ADDRESS_ANNOTATION, type NodeReading } from './node.js'
import { ownPrefixes, placeOutsideHosts, type OutsideHost, type OutsideHostSpec } from './outside-hosts.js'
import { formatPlace, type Place, type ProblemList } from './problem-list.js'

export interface Segment extends Place {
  readonly name: string
  readonly cidr: Cidr
  /** The default gateway of its hosts. */
  readonly router: Ip
  readonly mtu: number
  /** One way, ns. */
  readonly latency: number
  /** bit/s */
  readonly rate: number
  /** As the document says; absent: on where a cloud's fabric is its router, unless the agents have it off. */
  readonly sourceDestinationCheck?: boolean
  /** True when no document lists it. */
  readonly inferred: boolean
}

/** It knows its connected segments and what `routes` adds. */
export interface Router extends Place {
  readonly name: string
  /** As the document says: a fabric of a cloud in place of a Linux router. */
  readonly cloud?: Cloud
  readonly interfaces: readonly { readonly segment: string; readonly address: Ip; readonly length: number }[]
  /** Arguments of `ip route add`. */
  readonly routes: readonly Command[]
  readonly iptables: readonly Command[]
  /** It speaks BGP. */
  readonly asn?: number
  /** Whom it peers with; empty: all that peer with it, and routers beside it. */
  readonly peers: readonly Ip[]
  /** True for the one router that joins the segments which no listed router is on. */
  readonly implicit: boolean
}

export interface Underlay {
  readonly segments: readonly Segment[]
  readonly routers: readonly Router[]
  readonly outsideHosts: readonly OutsideHost[]
}

export const DEFAULT_MTU = 1500
/** ns */
const DEFAULT_LATENCY = 50_000
/** bit/s */
const DEFAULT_RATE = 10_000_000_000
const DEFAULT_PREFIX_LENGTH = 24
const IMPLICIT_ROUTER = 'router'

export function buildUnderlay(document: NetworkDocument | undefined, nodes: readonly NodeReading[], problems: ProblemList): Underlay {
  const listed = document === undefined || document.segments.length === 0 ? inferSegments(nodes, problems) : document.segments
  const outside = outsideSegments(document?.outsideHosts ?? [], listed)
  const specs = [...listed, ...outside]
  const taken = new Set<Ip>([...nodes, ...(document?.outsideHosts ?? [])].map(({ address }) => address))
  for (const router of document?.routers ?? []) for (const address of router.addresses.values()) taken.add(address)
  const segments = specs.map((spec) => completeSegment(spec, taken, document?.segments.includes(spec) !== true))
  for (const segment of segments) {
    const clash = nodes.find(({ address }) => address === segment.router)
    if (clash !== undefined)
      problems.error(
        segment,
        '',
        `the router of segment ${segment.name} and node ${clash.name} (${formatPlace(clash)}) both have ${formatIp(segment.router)}`,
        'Give the router another address of the segment.',
      )
  }
  const routers = buildRouters(behindFirstRouter(document, outside), segments, taken, problems)
  const owners = new Map<Ip, string>(nodes.map(({ address, name }) => [address, `node ${name}`]))
  for (const router of routers) for (const { address } of router.interfaces) owners.set(address, `router ${router.name}`)
  return { segments, routers, outsideHosts: placeOutsideHosts(document?.outsideHosts ?? [], segments, owners, problems) }
}

/** Segments that nobody listed are behind the first router that somebody did. */
function behindFirstRouter(document: NetworkDocument | undefined, outside: readonly SegmentSpec[]): readonly RouterSpec[] {
  const [first, ...others] = document?.routers ?? []
  return first === undefined ? [] : [{ ...first, segments: [...first.segments, ...outside.map(({ name }) => name)] }, ...others]
}

/** Of hosts beyond the cluster that are in no other segment. */
function outsideSegments(hosts: readonly OutsideHostSpec[], segments: readonly SegmentSpec[]): SegmentSpec[] {
  const names = new Set(segments.map(({ name }) => name))
  const own = ownPrefixes(
    hosts,
    segments.map(({ cidr: prefix }) => prefix),
  )
  return own.map(({ cidr: prefix, host: { name, file, line } }) => {
    let segment = `outside-${name}`
    while (names.has(segment)) segment += '-'
    names.add(segment)
    return { name: segment, cidr: prefix, file, line }
  })
}

/** The segment that an address belongs to. */
function segmentOf(segments: readonly Segment[], address: Ip): Segment | undefined {
  return segments.find((segment) => contains(segment.cidr, address))
}

/** Reports the nodes that are in no segment, or on an address that no host can have. */
export function checkNodeAddress(node: NodeReading, segments: readonly Segment[], problems: ProblemList): Segment | undefined {
  const segment = segmentOf(segments, node.address)
  const place = node.object.at('status', 'addresses')
  if (segment === undefined) {
    problems.error(
      place,
      node.object.label,
      `its address ${formatIp(node.address)} is in no segment (${segments.map(({ name, cidr: prefix }) => `${name} ${formatCidr(prefix)}`).join(', ')})`,
      'Correct the address, or list its segment in spec.underlay.segments of the Network document.',
    )
  } else if (!isHostAddress(segment.cidr, node.address)) {
    problems.error(
      place,
      node.object.label,
      `its address ${formatIp(node.address)} is the ${node.address === segment.cidr.base ? 'network' : 'broadcast'} address of ` +
        `segment ${segment.name} (${formatCidr(segment.cidr)})`,
      `Take another one${segment.inferred ? `, or say how long the prefix is with the annotation ${ADDRESS_ANNOTATION}` : ''}.`,
    )
  }
  return segment
}

/** Prefixes that annotations tell first; of those that overlap the shortest; then the /24 of each node that is in none of them. */
function inferSegments(nodes: readonly NodeReading[], problems: ProblemList): SegmentSpec[] {
  const found: { cidr: Cidr; node: NodeReading }[] = []
  const told = nodes.filter(({ prefixLength }) => prefixLength !== undefined).sort((a, b) => (a.prefixLength ?? 0) - (b.prefixLength ?? 0))
  for (const node of told) {
    const prefix = cidr(node.address, node.prefixLength ?? DEFAULT_PREFIX_LENGTH)
    const wider = found.find((segment) => covers(segment.cidr, prefix))
    if (wider === undefined) found.push({ cidr: prefix, node })
    else if (wider.cidr.length !== prefix.length) {
      problems.warning(
        node,
        node.object.label,
        `its prefix ${formatCidr(prefix)} lies inside ${formatCidr(wider.cidr)}, which ${wider.node.object.label} (${formatPlace(wider.node)}) tells`,
        `It is taken to be on ${formatCidr(wider.cidr)}; list the segments in a Network document if it is not.`,
      )
    }
  }
  for (const node of nodes) {
    if (!found.some((segment) => contains(segment.cidr, node.address))) found.push({ cidr: cidr(node.address, DEFAULT_PREFIX_LENGTH), node })
  }
  found.sort((a, b) => compareIp(a.cidr.base, b.cidr.base))
  return found.map(({ cidr: prefix, node }, index) => ({ name: `s${index}`, cidr: prefix, file: node.file, line: node.line }))
}

function completeSegment(spec: SegmentSpec, taken: Set<Ip>, inferred: boolean): Segment {
  const router = spec.router ?? lastFreeAddress(spec.cidr, taken) ?? broadcastOf(spec.cidr) - 1
  taken.add(router)
  return {
    name: spec.name,
    cidr: spec.cidr,
    router,
    mtu: spec.mtu ?? DEFAULT_MTU,
    latency: spec.latency ?? DEFAULT_LATENCY,
    rate: spec.rate ?? DEFAULT_RATE,
    ...(spec.sourceDestinationCheck === undefined ? {} : { sourceDestinationCheck: spec.sourceDestinationCheck }),
    inferred,
    file: spec.file,
    line: spec.line,
  }
}

/** The highest host address that nobody has. */
function lastFreeAddress(prefix: Cidr, taken: ReadonlySet<Ip>): Ip | undefined {
  for (let address = (broadcastOf(prefix) - 1) | 0; address !== prefix.base; address = (address - 1) | 0) {
    if (!taken.has(address)) return address
  }
  return undefined
}

function buildRouters(specs: readonly RouterSpec[], segments: readonly Segment[], taken: Set<Ip>, problems: ProblemList): Router[] {
  const served = new Set<string>()
  const routers: Router[] = []
  for (const spec of specs) routers.push(buildRouter(spec, segments, { served, taken, problems }))
  const rest = segments.filter(({ name }) => !served.has(name))
  if (rest.length === 0) return routers
  const name = routers.some((router) => router.name === IMPLICIT_ROUTER) ? `${IMPLICIT_ROUTER}-rest` : IMPLICIT_ROUTER
  const interfaces = rest.map((segment) => ({ segment: segment.name, address: segment.router, length: segment.cidr.length }))
  return [...routers, { name, interfaces, routes: [], iptables: [], peers: [], implicit: true, file: rest[0].file, line: rest[0].line }]
}

/** The first router listed on a segment has the segment's `router` address, the others the next free ones downwards, unless they say which. */
function buildRouter(
  spec: RouterSpec,
  segments: readonly Segment[],
  state: { readonly served: Set<string>; readonly taken: Set<Ip>; readonly problems: ProblemList },
): Router {
  const { served, taken, problems } = state
  const interfaces: { readonly segment: string; readonly address: Ip; readonly length: number }[] = []
  for (const name of new Set(spec.segments)) {
    const segment = segments.find((candidate) => candidate.name === name)
    if (segment === undefined) continue
    const told = spec.addresses.get(name)
    if (told !== undefined && (!contains(segment.cidr, told) || !isHostAddress(segment.cidr, told))) {
      problems.error(
        spec,
        '',
        `router ${spec.name} has the address ${formatIp(told)} on segment ${name} (${formatCidr(segment.cidr)})`,
        'Take a host address of the segment.',
      )
    }
    const address = told ?? (served.has(name) ? lastFreeAddress(segment.cidr, taken) : segment.router)
    served.add(name)
    if (address === undefined) {
      problems.error(spec, '', `segment ${name} (${formatCidr(segment.cidr)}) has no address left for router ${spec.name}`, 'Use a shorter prefix.')
      continue
    }
    taken.add(address)
    interfaces.push({ segment: name, address, length: segment.cidr.length })
  }
  return {
    name: spec.name,
    interfaces,
    routes: spec.routes,
    iptables: spec.iptables,
    ...(spec.cloud === undefined ? {} : { cloud: spec.cloud }),
    ...(spec.asn === undefined ? {} : { asn: spec.asn }),
    peers: spec.peers,
    implicit: false,
    file: spec.file,
    line: spec.line,
  }
}
