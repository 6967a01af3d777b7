/**
 * What the daemons of a world hold and work out once for all of them, as most of them hold and ask for the same: prefixes, ways to next hops, names, kinds.
 * None learns through it what another one knows.
 */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { PeerConfig } from './config.js'
import type { OpenMessage } from './message.js'
import { Place } from './net.js'
import { PrefixIds } from './prefix-ids.js'
import { NextHopPlace } from './resolution.js'

/** Who sent a route, as the receiver knows him; one object for all to whom he is the same. */
export interface Origin {
  /** The session's protocol at the receiver. */
  readonly protocol: string
  readonly from: Ip
  readonly peerId: Ip
  readonly internal: boolean
  readonly remoteAs: number
}

export class Commons {
  readonly ids = new PrefixIds()
  private readonly places: Place[] = []
  private readonly hops = new Map<Ip, NextHopPlace>()
  private readonly origins = new Map<string, Origin>()
  private readonly kinds = new Map<string, number>()
  private readonly opens = new Map<string, OpenMessage>()

  place(prefix: Cidr): Place {
    const id = this.ids.of(prefix)
    return (this.places[id] ??= new Place(id, this.ids.prefixes[id]))
  }

  nextHop(address: Ip): NextHopPlace {
    let hop = this.hops.get(address)
    if (hop === undefined) {
      hop = new NextHopPlace(address, this.ids)
      this.hops.set(address, hop)
    }
    return hop
  }

  origin(origin: Origin): Origin {
    const key = `${origin.protocol} ${origin.from} ${origin.peerId} ${origin.internal} ${origin.remoteAs}`
    const known = this.origins.get(key)
    if (known !== undefined) return known
    this.origins.set(key, origin)
    return origin
  }

  /** The same key, the same words: one object for all peers. */
  open(key: string, make: () => OpenMessage): OpenMessage {
    let open = this.opens.get(key)
    if (open === undefined) {
      open = make()
      this.opens.set(key, open)
    }
    return open
  }

  /** A number for all that is described alike. */
  kind(description: string): number {
    const known = this.kinds.get(description)
    if (known !== undefined) return known
    this.kinds.set(description, this.kinds.size)
    return this.kinds.size - 1
  }
}

export function originOf({ name, neighbour, remoteAs, localAs }: PeerConfig, peerId: Ip, commons: Commons): Origin {
  return commons.origin({ protocol: name, from: neighbour, peerId, internal: remoteAs === localAs, remoteAs })
}
