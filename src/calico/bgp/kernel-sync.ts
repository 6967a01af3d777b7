/** What BIRD has put into the kernel, scanned every two seconds (sysdep/unix/krt.c, sysdep/linux/netlink.c nl_send_route). */
import type { Cidr } from '../../base/cidr.js'
import type { RouteSpec } from '../../dataplane/dataplane.js'
import type { Commons } from './commons.js'
import { kernelKind, kernelRouteOf, type KernelRoute, type KernelView } from './kernel-route.js'
import type { Net } from './net.js'
import { PrefixMap } from './prefix-map.js'

function isSamePlace(a: RouteSpec, b: RouteSpec): boolean {
  return a.destination.base === b.destination.base && a.destination.length === b.destination.length
}

function isSame(a: RouteSpec, b: RouteSpec): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Routes of the kernel that are BIRD's, kept in step with the table. */
export class KernelSync {
  readonly installed: PrefixMap<KernelRoute>
  /**
   * What a BIRD before this one left there (`persist`): it stays until the table is whole and the kernel has been looked through (krt.c krt_got_route,
   * krt_prune).
   */
  private left: readonly RouteSpec[]
  private readonly view: KernelView
  private readonly commons: Commons
  private readonly work = (net: Net): KernelRoute | undefined => kernelRouteOf(net, this.view)
  /** Of daemons that write the same; below 0: not known. */
  private kind = -1
  private refusals = 0

  constructor(view: KernelView, commons: Commons, left: readonly RouteSpec[] = []) {
    this.view = view
    this.commons = commons
    this.installed = new PrefixMap(commons.ids)
    this.left = left
  }

  /** Filter or devices are others. */
  reset(): void {
    this.kind = -1
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
    const { id } = net.place
    const before = this.installed.at(id)
    const route = this.wanted(net)
    if (before?.refused === true) this.refusals--
    if (route === undefined) return this.installed.delete(id)
    const { spec } = route
    const refused = this.isRefused(spec, aliens)
    if (refused) this.refusals++
    if (before !== undefined && before.refused === refused && (before.spec === spec || isSame(before.spec, spec))) return false
    this.installed.set(id, refused ? { spec, refused } : route)
    return before !== undefined || this.left.length === 0 || !this.left.some((other) => isSamePlace(other, spec) && isSame(other, spec))
  }

  private wanted(net: Net): KernelRoute | undefined {
    if (net.routes.length === 0) return undefined
    if (this.kind < 0) this.kind = this.commons.kind(kernelKind(this.view))
    return net.place.kernelRouteOf(net, this.kind, this.work)
  }

  private isRefused(spec: RouteSpec, aliens: readonly number[]): boolean {
    if (aliens.length === 0 && this.left.length === 0) return false
    const metric = spec.metric ?? 0
    return aliens.includes(metric) || this.left.some((other) => isSamePlace(other, spec) && (other.metric ?? 0) === metric && !isSame(other, spec))
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
