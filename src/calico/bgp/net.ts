/**
 * A prefix with its routes, as it stands in a table: never changed, so that all tables of a world that hold the same share it. What follows a state of a
 * prefix is worked out once for all daemons to whom the same happens there (nest/rt-table.c rte_recalculate).
 */
import type { Cidr } from '../../base/cidr.js'
import { isBetter } from './decision.js'
import type { KernelRoute } from './kernel-route.js'
import { sameRoute, type BirdRoute } from './route.js'

export interface Change {
  /** As it is now. */
  readonly net: Net
  readonly before?: BirdRoute
  readonly after?: BirdRoute
  readonly bestBefore?: BirdRoute
}

interface Step {
  readonly net: Net
  /** undefined: nobody needs to hear of it. */
  readonly change: Change | undefined
}

export class Net {
  readonly place: Place
  /** The best first. */
  readonly routes: readonly BirdRoute[]

  constructor(place: Place, routes: readonly BirdRoute[]) {
    this.place = place
    this.routes = routes
  }

  get prefix(): Cidr {
    return this.place.prefix
  }
}

/** One prefix in all tables. Of each kind it remembers the last that was asked: the same befalls one daemon after the other. */
export class Place {
  readonly id: number
  readonly prefix: Cidr
  readonly empty: Net
  private from: Net | undefined
  private protocol = ''
  private source = 0
  private after: BirdRoute | undefined
  private step: Step | undefined
  private fresh: Net | undefined
  private staleProtocol = ''
  private stale: Net | undefined
  private written: Net | undefined
  private writtenKind = -1
  private kernelRoute: KernelRoute | undefined

  constructor(id: number, prefix: Cidr) {
    this.id = id
    this.prefix = prefix
    this.empty = new Net(this, [])
  }

  /** `after` takes the place of what the same source said before; undefined: that goes. */
  next(from: Net, protocol: string, source: number, after: BirdRoute | undefined): Step {
    if (this.step !== undefined && this.from === from && this.after === after && this.source === source && this.protocol === protocol) return this.step
    this.from = from
    this.protocol = protocol
    this.source = source
    this.after = after
    this.step = stepOf(from, protocol, source, after)
    return this.step
  }

  /** What a protocol's peer said is stale from now on. */
  staleFrom(from: Net, protocol: string): Net {
    if (this.stale !== undefined && this.fresh === from && this.staleProtocol === protocol) return this.stale
    const isOld = ({ bgp, protocol: other }: BirdRoute): boolean => bgp !== undefined && other === protocol
    this.fresh = from
    this.staleProtocol = protocol
    this.stale = from.routes.some(isOld)
      ? new Net(
          this,
          from.routes.map((route) => (isOld(route) ? staled(route) : route)),
        )
      : from
    return this.stale
  }

  /** @param kind of daemons that write the same @param work asked where it is not known */
  kernelRouteOf(net: Net, kind: number, work: (net: Net) => KernelRoute | undefined): KernelRoute | undefined {
    if (this.written === net && this.writtenKind === kind) return this.kernelRoute
    this.written = net
    this.writtenKind = kind
    this.kernelRoute = work(net)
    return this.kernelRoute
  }
}

function staled(route: BirdRoute): BirdRoute {
  return route.bgp === undefined ? route : { ...route, bgp: { ...route.bgp, stale: true } }
}

function stepOf(from: Net, protocol: string, source: number, after: BirdRoute | undefined): Step {
  const bestBefore = from.routes.at(0)
  const at = from.routes.findIndex((route) => route.protocol === protocol && route.source === source)
  const before = at < 0 ? undefined : from.routes[at]
  if (before === undefined && after === undefined) return { net: from, change: undefined }
  if (before !== undefined && after !== undefined && sameRoute(before, after)) {
    const kept = after.changedNs === before.changedNs ? after : { ...after, changedNs: before.changedNs }
    return { net: new Net(from.place, from.routes.with(at, kept)), change: undefined }
  }
  const routes = at < 0 ? [...from.routes] : from.routes.toSpliced(at, 1)
  if (after !== undefined && isBetter(after, routes.at(0)) && (before === undefined || before !== bestBefore || routes.length === 0)) routes.unshift(after)
  else if (before !== undefined && before === bestBefore) reelect(routes, after)
  else if (after !== undefined) routes.splice(1, 0, after)
  const net = routes.length === 0 ? from.place.empty : new Net(from.place, routes)
  return { net, change: { net, before, after, bestBefore } }
}

function reelect(routes: BirdRoute[], after: BirdRoute | undefined): void {
  if (after !== undefined) routes.unshift(after)
  if (routes.length === 0) return
  let best = 0
  for (let i = 1; i < routes.length; i++) if (isBetter(routes[i], routes[best])) best = i
  routes.unshift(...routes.splice(best, 1))
}
