/**
 * What BIRD puts into the kernel: for each prefix the best route through the kernel's filter, equal next hops merged, scanned every two seconds
 * (sysdep/unix/krt.c, sysdep/linux/netlink.c nl_send_route; nest/rt-table.c rt_export_merged).
 */
import { formatIp } from '../../base/ip.js'
import type { Cidr } from '../../base/cidr.js'
import type { NexthopSpec, RouteSpec } from '../../dataplane/dataplane.js'
import type { KernelPolicy } from './config.js'
import { mayMerge } from './decision.js'
import { runKernelExport, type KernelVerdict } from './filter.js'
import type { BirdFlavour } from './flavour.js'
import { PrefixMap } from './prefix-map.js'
import type { BirdRoute, NextHop } from './route.js'
import type { Net } from './route-table.js'

/** sysdep/unix/krt.h KRT_DEFAULT_ECMP_LIMIT. */
const MERGE_LIMIT = 16

interface KernelRoute {
  readonly spec: RouteSpec
  /** The kernel refused it: another has the prefix and the metric. Tried again at each scan. */
  readonly refused: boolean
}

interface KernelView {
  /** Of now: confd writes others. */
  policy(): KernelPolicy
  readonly flavour: BirdFlavour
  hasDevice(name: string): boolean
}

/** What the kernel should hold for a prefix; undefined: nothing of BIRD's. */
function kernelRouteOf(net: Net, view: KernelView): KernelRoute | undefined {
  const best = net.routes.at(0)
  if (best === undefined || best.kind === 'kernel') return undefined
  if (best.destination.kind === 'device' && !view.flavour.deviceRoutes) return undefined
  const verdict = runKernelExport(view.policy(), best)
  if (verdict === undefined) return undefined
  const way = wayOf(best, verdict, mergedNextHops(net, best, view), view)
  const last = WRITTEN.get(best)
  if (last !== undefined && isSameWay(way, last.spec)) return last
  const object = best.bgp === undefined ? best.protocol : `${best.protocol} from ${formatIp(best.bgp.from)}`
  const route: KernelRoute = { spec: { destination: best.prefix, protocol: 'bird', ...definedOf(way), provenance: { by: 'BIRD', object } }, refused: false }
  WRITTEN.set(best, route)
  return route
}

/** By the route, which daemons share, what the last of them wrote: most write the same. */
const WRITTEN = new WeakMap<BirdRoute, KernelRoute>()

/** All of one shape, as it is made for each route and seldom kept. */
interface Way {
  type: RouteSpec['type']
  metric: number | undefined
  via: number | undefined
  device: string | undefined
  scope: RouteSpec['scope']
  onlink: true | undefined
  nexthops: readonly NexthopSpec[] | undefined
}

function isSameWay(a: Way, b: Omit<RouteSpec, 'destination'>): boolean {
  return (
    a.type === b.type &&
    a.metric === b.metric &&
    a.via === b.via &&
    a.device === b.device &&
    a.scope === b.scope &&
    a.onlink === b.onlink &&
    a.nexthops === undefined &&
    b.nexthops === undefined
  )
}

function mergedNextHops(net: Net, best: BirdRoute, view: KernelView): readonly NextHop[] {
  if (net.routes.length === 1) return nextHopsOf(best)
  const found: NextHop[] = []
  for (const route of net.routes) {
    if (route !== best && (!mayMerge(best, route) || runKernelExport(view.policy(), route) === undefined)) continue
    for (const hop of nextHopsOf(route)) if (!found.some(({ device, gateway }) => device === hop.device && gateway === hop.gateway)) found.push(hop)
  }
  return found.sort((a, b) => (a.gateway ?? 0) - (b.gateway ?? 0)).slice(0, MERGE_LIMIT)
}

function nextHopsOf({ destination }: BirdRoute): readonly NextHop[] {
  if (destination.kind === 'router') return [{ gateway: destination.gateway, device: destination.device }]
  return destination.kind === 'multipath' ? destination.nexthops : []
}

function wayOf(best: BirdRoute, verdict: KernelVerdict, nexthops: readonly NextHop[], view: KernelView): Way {
  const metric = view.flavour.kernelMetric ?? verdict.metric
  const way: Way = {
    type: 'unicast',
    metric: metric === 0 ? undefined : metric,
    via: undefined,
    device: undefined,
    scope: undefined,
    onlink: undefined,
    nexthops: undefined,
  }
  const { destination } = best
  switch (destination.kind) {
    case 'blackhole':
    case 'unreachable':
    case 'prohibit':
      way.type = destination.kind
      return way
    case 'device':
      way.device = destination.device
      way.scope = 'link'
      return way
    case 'router':
    case 'multipath':
      if (nexthops.length > 1) way.nexthops = nexthops.map(nexthopSpec)
      // a tunnel counts only while its device is there, and never for several next hops
      else if (verdict.tunnel !== undefined && view.flavour.tunnels && best.bgp !== undefined && view.hasDevice(verdict.tunnel)) {
        way.via = best.bgp.attributes.nextHop
        way.device = verdict.tunnel
        way.onlink = true
      } else {
        way.via = nexthops[0].gateway
        way.device = nexthops[0].device
      }
      return way
  }
}

/** Without what is absent. */
function definedOf(way: Way): Partial<RouteSpec> & Pick<RouteSpec, 'type'> {
  const entries = Object.entries(way).filter(([, value]) => value !== undefined)
  return { type: way.type, ...(Object.fromEntries(entries) as Partial<RouteSpec>) }
}

function nexthopSpec({ gateway, device, weight }: NextHop): NexthopSpec {
  return { via: gateway, device, weight: weight ?? 1 }
}

function isSamePlace(a: RouteSpec, b: RouteSpec): boolean {
  return a.destination.base === b.destination.base && a.destination.length === b.destination.length
}

function isSame(a: RouteSpec, b: RouteSpec): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Routes of the kernel that are BIRD's, kept in step with the table. */
export class KernelSync {
  readonly installed = new PrefixMap<KernelRoute>()
  /**
   * What a BIRD before this one left there (`persist`): it stays until the table is whole and the kernel has been looked through (krt.c krt_got_route,
   * krt_prune).
   */
  private left: readonly RouteSpec[]
  private readonly view: KernelView
  private refusals = 0

  constructor(view: KernelView, left: readonly RouteSpec[] = []) {
    this.view = view
    this.left = left
  }

  /** The look through the kernel: what is left there and not in the table goes. @returns what is another now */
  prune(): Cidr[] {
    const { left } = this
    this.left = []
    return left.filter((spec) => !this.holds(spec)).map(({ destination }) => destination)
  }

  private holds(spec: RouteSpec): boolean {
    const own = this.installed.get(spec.destination)
    return own !== undefined && !own.refused && (own.spec.metric ?? 0) === (spec.metric ?? 0)
  }

  /** BIRD's in the kernel; undefined: none. */
  routeTo(prefix: Cidr): RouteSpec | undefined {
    const own = this.installed.get(prefix)
    if (own?.refused === false) return own.spec
    return this.left.find(({ destination }) => destination.base === prefix.base && destination.length === prefix.length)
  }

  /** @param aliens metrics of what others have in the kernel for the prefix @returns true when anything changed */
  sync(net: Net, aliens: readonly number[]): boolean {
    const before = this.installed.get(net.prefix)
    const route = kernelRouteOf(net, this.view)
    const spec = route?.spec
    if (before?.refused === true) this.refusals--
    if (route === undefined || spec === undefined) return this.installed.delete(net.prefix)
    const metric = spec.metric ?? 0
    const refused = aliens.includes(metric) || this.left.some((other) => isSamePlace(other, spec) && (other.metric ?? 0) === metric && !isSame(other, spec))
    if (refused) this.refusals++
    if (before !== undefined && before.refused === refused && (before.spec === spec || isSame(before.spec, spec))) return false
    this.installed.set(net.prefix, refused ? { spec, refused } : route)
    return before !== undefined || !this.left.some((other) => isSamePlace(other, spec) && isSame(other, spec))
  }

  get hasRefused(): boolean {
    return this.refusals > 0
  }

  routes(): RouteSpec[] {
    const own = this.installed.values().flatMap(({ spec, refused }) => (refused ? [] : [spec]))
    if (this.left.length === 0) return own
    return [...own, ...this.left.filter((spec) => !this.holds(spec))]
  }
}
