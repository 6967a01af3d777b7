/** What the kernel should hold for a prefix, from the table through the kernel's filter, equal next hops merged (nest/rt-table.c rt_export_merged). */
import { formatIp } from '../../base/ip.js'
import type { NexthopSpec, RouteSpec } from '../../dataplane/dataplane.js'
import type { KernelPolicy } from './config.js'
import { mayMerge } from './decision.js'
import { runKernelExport, TUNNEL, type KernelVerdict } from './filter.js'
import type { BirdFlavour } from './flavour.js'
import type { Net } from './net.js'
import type { BirdRoute, NextHop } from './route.js'

/** sysdep/unix/krt.h KRT_DEFAULT_ECMP_LIMIT. */
const MERGE_LIMIT = 16

export interface KernelRoute {
  readonly spec: RouteSpec
  /** The kernel refused it: another has the prefix and the metric. Tried again at each scan. */
  readonly refused: boolean
}

export interface KernelView {
  /** Of now: confd writes others. */
  policy(): KernelPolicy
  readonly flavour: BirdFlavour
  hasDevice(name: string): boolean
}

/** Daemons of whom this is equal write the same of the same routes. */
export function kernelKind(view: KernelView): string {
  return JSON.stringify(['kernel', view.policy(), view.flavour, view.hasDevice(TUNNEL)])
}

/** undefined: nothing of BIRD's. */
export function kernelRouteOf(net: Net, view: KernelView): KernelRoute | undefined {
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
