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
import { prefixKey, type BirdRoute, type NextHop } from './route.js'
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
function kernelRouteOf(net: Net, view: KernelView): RouteSpec | undefined {
  const best = net.routes.at(0)
  if (best === undefined || best.kind === 'kernel') return undefined
  if (best.destination.kind === 'device' && !view.flavour.deviceRoutes) return undefined
  const verdict = runKernelExport(view.policy(), best)
  if (verdict === undefined) return undefined
  const nexthops = mergedNextHops(net, best, view)
  return specOf(best, verdict, nexthops, view)
}

function mergedNextHops(net: Net, best: BirdRoute, view: KernelView): readonly NextHop[] {
  const found = new Map<string, NextHop>()
  for (const route of net.routes) {
    if (route !== best && (!mayMerge(best, route) || runKernelExport(view.policy(), route) === undefined)) continue
    for (const hop of nextHopsOf(route)) found.set(`${hop.device} ${hop.gateway}`, hop)
  }
  return [...found.values()].sort((a, b) => (a.gateway ?? 0) - (b.gateway ?? 0)).slice(0, MERGE_LIMIT)
}

function nextHopsOf({ destination }: BirdRoute): readonly NextHop[] {
  if (destination.kind === 'router') return [{ gateway: destination.gateway, device: destination.device }]
  return destination.kind === 'multipath' ? destination.nexthops : []
}

function specOf(best: BirdRoute, verdict: KernelVerdict, nexthops: readonly NextHop[], view: KernelView): RouteSpec | undefined {
  const metric = view.flavour.kernelMetric ?? verdict.metric
  const common = {
    destination: best.prefix,
    protocol: 'bird',
    ...(metric === undefined || metric === 0 ? {} : { metric }),
    provenance: { by: 'BIRD', object: best.bgp === undefined ? best.protocol : `${best.protocol} from ${formatIp(best.bgp.from)}` },
  }
  const { destination } = best
  switch (destination.kind) {
    case 'blackhole':
    case 'unreachable':
    case 'prohibit':
      return { ...common, type: destination.kind }
    case 'device':
      return { ...common, type: 'unicast', device: destination.device, scope: 'link' }
    case 'router':
    case 'multipath': {
      if (nexthops.length > 1) return { ...common, type: 'unicast', nexthops: nexthops.map(nexthopSpec) }
      // a tunnel counts only while its device is there, and never for several next hops
      if (verdict.tunnel !== undefined && view.flavour.tunnels && best.bgp !== undefined && view.hasDevice(verdict.tunnel)) {
        return { ...common, type: 'unicast', via: best.bgp.attributes.nextHop, device: verdict.tunnel, onlink: true }
      }
      return { ...common, type: 'unicast', via: nexthops[0].gateway, device: nexthops[0].device }
    }
  }
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
  readonly installed = new Map<string, KernelRoute>()
  /** What a BIRD before this one left there (`persist`): it stays until the table is whole and the kernel has been looked through (krt.c krt_got_route, krt_prune). */
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
    const own = this.installed.get(prefixKey(spec.destination))
    return own !== undefined && !own.refused && (own.spec.metric ?? 0) === (spec.metric ?? 0)
  }

  /** BIRD's in the kernel; undefined: none. */
  routeTo(prefix: Cidr): RouteSpec | undefined {
    const own = this.installed.get(prefixKey(prefix))
    if (own?.refused === false) return own.spec
    return this.left.find(({ destination }) => destination.base === prefix.base && destination.length === prefix.length)
  }

  /** @param aliens metrics of what others have in the kernel for the prefix @returns true when anything changed */
  sync(net: Net, aliens: readonly number[]): boolean {
    const key = prefixKey(net.prefix)
    const before = this.installed.get(key)
    const spec = kernelRouteOf(net, this.view)
    if (before?.refused === true) this.refusals--
    if (spec === undefined) return this.installed.delete(key)
    const metric = spec.metric ?? 0
    const refused = aliens.includes(metric) || this.left.some((other) => isSamePlace(other, spec) && (other.metric ?? 0) === metric && !isSame(other, spec))
    if (refused) this.refusals++
    if (before !== undefined && before.refused === refused && isSame(before.spec, spec)) return false
    this.installed.set(key, { spec, refused })
    return before !== undefined || !this.left.some((other) => isSamePlace(other, spec) && isSame(other, spec))
  }

  get hasRefused(): boolean {
    return this.refusals > 0
  }

  routes(): RouteSpec[] {
    const own = [...this.installed.values()].filter(({ refused }) => !refused).map(({ spec }) => spec)
    if (this.left.length === 0) return own
    return [...own, ...this.left.filter((spec) => !this.holds(spec))]
  }
}
