/** BIRD's routing table: for each prefix the routes of all protocols, the best first. Whoever changes it is told what to announce. */
import { contains, type Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { Commons } from './commons.js'
import type { Change, Net, Place } from './net.js'
import { PrefixMap } from './prefix-map.js'
import type { NextHopPlace, Resolution, Resolver } from './resolution.js'
import { sameDestination, type BirdRoute } from './route.js'

export class RouteTable implements Resolver {
  private readonly nets: PrefixMap<Net>
  private readonly commons: Commons
  /** Another after every change. */
  version = 0
  readonly isLocalAddress: (address: Ip) => boolean

  constructor(commons: Commons, isLocalAddress: (address: Ip) => boolean) {
    this.commons = commons
    this.nets = new PrefixMap(commons.ids)
    this.isLocalAddress = isLocalAddress
  }

  net(prefix: Cidr): Net | undefined {
    return this.nets.get(prefix)
  }

  /** @param id the prefix's number */
  netAt(id: number): Net | undefined {
    return this.nets.at(id)
  }

  all(): Net[] {
    return this.nets.values()
  }

  /** Puts `after` in the place of what the same source said before, or takes that away. @returns undefined when nothing changed */
  update(place: Place, protocol: string, source: number, after: BirdRoute | undefined): Change | undefined {
    const net = this.nets.at(place.id)
    const step = place.next(net ?? place.empty, protocol, source, after)
    this.put(place, step.net)
    return step.change
  }

  private put(place: Place, net: Net): void {
    this.version++
    if (net.routes.length > 0) this.nets.set(place.id, net)
    else this.nets.delete(place.id)
  }

  /** What a protocol brought. */
  from(protocol: string): BirdRoute[] {
    return this.all().flatMap(({ routes }) => routes.filter((route) => route.protocol === protocol))
  }

  /** What a protocol's peer said is stale from now on. */
  markStale(protocol: string): void {
    for (const net of this.all()) this.put(net.place, net.place.staleFrom(net, protocol))
  }

  /** The way to a BGP next hop. */
  resolve(nextHop: Ip | NextHopPlace): Resolution {
    return (typeof nextHop === 'number' ? this.commons.nextHop(nextHop) : nextHop).resolve(this)
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
