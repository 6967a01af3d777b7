/** The way to a BGP next hop, found in the daemon's own table (nest/rt-table.c rt_update_hostentry). */
import type { Ip } from '../../base/ip.js'
import type { Net } from './net.js'
import type { PrefixIds } from './prefix-ids.js'
import { UNKNOWN_METRIC, type BirdRoute, type Destination } from './route.js'

export interface Resolution {
  readonly destination: Destination
  readonly igpMetric: number
}

const UNREACHABLE: Resolution = { destination: { kind: 'unreachable' }, igpMetric: UNKNOWN_METRIC }

/** Whoever asks; its table by number of a prefix. */
export interface Resolver {
  netAt(id: number): Net | undefined
  isLocalAddress(address: Ip): boolean
}

/** One next hop for all daemons. */
export class NextHopPlace {
  readonly address: Ip
  private readonly ids: PrefixIds
  /** Prefixes around it, the longest first, of those known by now. */
  private around: readonly number[] = []
  private known = 0
  private direct: (Resolution & { readonly device: string }) | undefined

  constructor(address: Ip, ids: PrefixIds) {
    this.address = address
    this.ids = ids
  }

  /** A recursive route never depends on another one, nor on an address of one's own. */
  resolve(resolver: Resolver): Resolution {
    const best = this.bestOf(resolver)
    if (best === undefined || best.bgp !== undefined) return UNREACHABLE
    const { destination } = best
    if (destination.kind !== 'device') return { destination, igpMetric: destination.kind === 'router' ? UNKNOWN_METRIC : 0 }
    return resolver.isLocalAddress(this.address) ? UNREACHABLE : this.over(destination.device)
  }

  private bestOf(resolver: Resolver): BirdRoute | undefined {
    if (this.known !== this.ids.size) {
      this.around = this.ids.around(this.address)
      this.known = this.ids.size
    }
    for (const id of this.around) {
      const net = resolver.netAt(id)
      if (net !== undefined) return net.routes[0]
    }
    return undefined
  }

  private over(device: string): Resolution {
    if (this.direct?.device !== device) this.direct = { destination: { kind: 'router', gateway: this.address, device }, igpMetric: 0, device }
    return this.direct
  }
}
