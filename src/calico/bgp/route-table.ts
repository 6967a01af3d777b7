/**
 * BIRD's routing table: for each prefix the routes of all protocols, the best first (nest/rt-table.c rte_recalculate), and the resolution of
 * recursive next hops in the same table (rt_update_hostentry). Whoever changes it is told what to announce.
 */
import { cidr, contains, maskOf, type Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import { isBetter } from './decision.js'
import { PrefixMap } from './prefix-map.js'
import { isReachable, UNKNOWN_METRIC, type BirdRoute, type Destination } from './route.js'

export interface Net {
  readonly prefix: Cidr
  /** The best first. */
  routes: BirdRoute[]
}

export interface Change {
  readonly net: Net
  readonly before?: BirdRoute
  readonly after?: BirdRoute
  readonly bestBefore?: BirdRoute
}

export interface Resolution {
  readonly destination: Destination
  readonly igpMetric: number
}

export class RouteTable {
  private readonly nets = new PrefixMap<Net>()
  /** Next hops that were asked for, and the prefixes on which the answers depend. */
  private readonly resolutions = new Map<Ip, Resolution>()
  private readonly around = new PrefixMap<true>()

  private readonly isLocalAddress: (address: Ip) => boolean

  constructor(isLocalAddress: (address: Ip) => boolean) {
    this.isLocalAddress = isLocalAddress
  }

  net(prefix: Cidr): Net | undefined {
    return this.nets.get(prefix)
  }

  all(): Net[] {
    return this.nets.values()
  }

  /** Puts `after` in the place of what the same source said before, or takes that away. @returns undefined when nothing changed */
  update(prefix: Cidr, protocol: string, source: number, after: BirdRoute | undefined): Change | undefined {
    const net = this.nets.get(prefix) ?? this.create(prefix, after)
    if (net === undefined) return undefined
    if (this.around.get(prefix) === true) this.forget()
    const bestBefore = net.routes.at(0)
    const at = net.routes.findIndex((route) => route.protocol === protocol && route.source === source)
    const before = at < 0 ? undefined : net.routes[at]
    if (before === undefined && after === undefined) return undefined
    if (before !== undefined && after !== undefined && sameRoute(before, after)) {
      net.routes[at] = after.changedNs === before.changedNs ? after : { ...after, changedNs: before.changedNs }
      return undefined
    }
    if (at >= 0) net.routes.splice(at, 1)
    if (after !== undefined && isBetter(after, net.routes.at(0)) && (before === undefined || before !== bestBefore || net.routes.length === 0))
      net.routes.unshift(after)
    else if (before !== undefined && before === bestBefore) this.reelect(net, after)
    else if (after !== undefined) net.routes.splice(1, 0, after)
    if (net.routes.length === 0) this.remove(net)
    return { net, before, after, bestBefore }
  }

  private reelect(net: Net, after: BirdRoute | undefined): void {
    if (after !== undefined) net.routes.unshift(after)
    if (net.routes.length === 0) return
    let best = 0
    for (let i = 1; i < net.routes.length; i++) if (isBetter(net.routes[i], net.routes[best])) best = i
    net.routes.unshift(...net.routes.splice(best, 1))
  }

  private create(prefix: Cidr, after: BirdRoute | undefined): Net | undefined {
    if (after === undefined) return undefined
    const net: Net = { prefix, routes: [] }
    // a length that is new here may hold a better match of any next hop
    if (!this.nets.lengths.includes(prefix.length)) this.forget()
    this.nets.set(prefix, net)
    return net
  }

  private remove(net: Net): void {
    this.nets.delete(net.prefix)
  }

  /** Addresses or devices of the host are others, or a route on which an answer depends. */
  forget(): void {
    if (this.resolutions.size === 0) return
    this.resolutions.clear()
    this.around.clear()
  }

  longestMatch(address: Ip): Net | undefined {
    for (const length of this.nets.lengths) {
      const net = this.nets.at(address & maskOf(length), length)
      if (net !== undefined && net.routes.length > 0) return net
    }
    return undefined
  }

  /** The way to a BGP next hop. A recursive route never depends on another one, nor on an address of one's own. */
  resolve(address: Ip): Resolution {
    let known = this.resolutions.get(address)
    if (known === undefined) {
      known = this.work(address)
      this.resolutions.set(address, known)
      for (const length of this.nets.lengths) this.around.set(cidr(address, length), true)
    }
    return known
  }

  private work(address: Ip): Resolution {
    const best = this.longestMatch(address)?.routes.at(0)
    const unreachable: Resolution = { destination: { kind: 'unreachable' }, igpMetric: UNKNOWN_METRIC }
    if (best === undefined || best.bgp !== undefined) return unreachable
    if (best.destination.kind !== 'device') return { destination: best.destination, igpMetric: best.destination.kind === 'router' ? UNKNOWN_METRIC : 0 }
    if (this.isLocalAddress(address)) return unreachable
    return { destination: { kind: 'router', gateway: address, device: best.destination.device }, igpMetric: 0 }
  }

  /** Recursive routes whose next hop now goes another way, because `prefix` changed. */
  unsettledBy(prefix: Cidr): { readonly route: BirdRoute; readonly resolution: Resolution }[] {
    const found: { route: BirdRoute; resolution: Resolution }[] = []
    for (const net of this.nets.values()) {
      for (const route of net.routes) {
        if (route.bgp === undefined || !contains(prefix, route.bgp.attributes.nextHop)) continue
        const resolution = this.resolve(route.bgp.attributes.nextHop)
        if (resolution.igpMetric !== route.bgp.igpMetric || !sameDestination(resolution.destination, route.destination)) found.push({ route, resolution })
      }
    }
    return found
  }
}

function sameRoute(a: BirdRoute, b: BirdRoute): boolean {
  return (
    a.preference === b.preference &&
    sameDestination(a.destination, b.destination) &&
    JSON.stringify(a.kernel) === JSON.stringify(b.kernel) &&
    (a.bgp === undefined) === (b.bgp === undefined) &&
    (a.bgp === undefined || JSON.stringify({ ...a.bgp, stale: false }) === JSON.stringify({ ...b.bgp, stale: false }))
  )
}

export function sameDestination(a: Destination, b: Destination): boolean {
  if (a === b) return true
  if (a.kind === 'router' && b.kind === 'router') return a.gateway === b.gateway && a.device === b.device
  return a.kind === b.kind && (!isReachable(a) || JSON.stringify(a) === JSON.stringify(b))
}
