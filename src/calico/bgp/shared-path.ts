/**
 * A route's prefix and path ID as a daemon tells it to all its peers: one object for all of them, which remembers the UPDATE that carries it alone and what the
 * last peer made of it, so that thousands of peers that make the same of it share that too.
 */
import type { Cidr } from '../../base/cidr.js'
import type { PathAttributes } from './attributes.js'
import type { PathPrefix, UpdateMessage } from './message.js'
import { prefixKey, type BirdRoute } from './route.js'

export function pathKey({ prefix, pathId }: PathPrefix): string {
  return `${prefixKey(prefix)} ${pathId}`
}

export class SharedPath implements PathPrefix {
  readonly prefix: Cidr
  readonly pathId: number
  readonly key: string
  private update: UpdateMessage | undefined
  /** As the last peer took it. */
  taken: BirdRoute | undefined

  constructor(prefix: Cidr, pathId: number) {
    this.prefix = prefix
    this.pathId = pathId
    this.key = pathKey(this)
  }

  updateWith(attributes: PathAttributes): UpdateMessage {
    if (this.update?.attributes !== attributes) this.update = { type: 'update', withdrawn: [], attributes, reachable: [this] }
    return this.update
  }
}
