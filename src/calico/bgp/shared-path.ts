/**
 * A route's prefix and path ID as a daemon tells it to all its peers: one object for all of them, which remembers the UPDATE that carries it alone and what the
 * last peer made of it, so that thousands of peers that make the same of it share that too.
 */
import type { Cidr } from '../../base/cidr.js'
import type { PathAttributes } from './attributes.js'
import type { Commons, Origin } from './commons.js'
import type { PathPrefix, UpdateMessage } from './message.js'
import type { Place } from './net.js'
import type { NextHopPlace } from './resolution.js'
import { prefixKey, type BirdRoute } from './route.js'

export function pathKey({ prefix, pathId }: PathPrefix): string {
  return `${prefixKey(prefix)} ${pathId}`
}

/** As the last peer took it. */
export interface Taken {
  readonly route: BirdRoute
  /** As they came. */
  readonly received: PathAttributes
  readonly origin: Origin
  /** Of sessions that take the same of the same. */
  readonly kind: number
  readonly hop: NextHopPlace
}

export class SharedPath implements PathPrefix {
  readonly place: Place
  readonly pathId: number
  readonly key: string
  private update: UpdateMessage | undefined
  taken: Taken | undefined

  constructor(place: Place, pathId: number) {
    this.place = place
    this.pathId = pathId
    this.key = pathKey(this)
  }

  get prefix(): Cidr {
    return this.place.prefix
  }

  updateWith(attributes: PathAttributes): UpdateMessage {
    if (this.update?.attributes !== attributes) this.update = { type: 'update', withdrawn: [], attributes, reachable: [this] }
    return this.update
  }
}

export function placeOf(path: PathPrefix, commons: Commons): Place {
  return path instanceof SharedPath ? path.place : commons.place(path.prefix)
}
