/**
 * Ends that no policy of a world tells apart: equal keys, equal meaning. What of an end a policy may look at goes into its key; of its addresses
 * only where they lie between the bounds of all ranges that any policy names.
 */
import { EVERY_IPV4, EVERY_IPV6, type AddressRange } from './address-range.js'
import { addressesOf } from './conditions.js'
import type { End, PolicyPod, PolicyWorld } from './model.js'
import { namedRanges, partition } from './outside.js'

/** What bounds an address's meaning in the world. */
export function boundingRanges(world: PolicyWorld): readonly AddressRange[] {
  return [...namedRanges(world), ...world.networkSets.flatMap(({ ranges }) => ranges)]
}

/** The bounds at which whether an address is in a range may change. */
export class Bounds {
  /** Ascending; together they are every address of the family. */
  readonly cells: Readonly<Record<4 | 6, readonly AddressRange[]>>

  constructor(ranges: readonly AddressRange[]) {
    this.cells = { 4: partition(EVERY_IPV4, ranges), 6: partition(EVERY_IPV6, ranges) }
  }

  /** Which cell an address lies in. */
  cellOf({ family, first }: AddressRange): number {
    const cells = this.cells[family]
    let low = 0
    let high = cells.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (cells[middle].first <= first) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Of outside addresses: IPv6 where a policy names any of it. */
  get families(): readonly (4 | 6)[] {
    return this.cells[6].length > 1 ? [4, 6] : [4]
  }
}

/** Makes the keys of one world; `bounds` of all the worlds that are compared. */
export class ClassKeys {
  private readonly world: PolicyWorld
  private readonly bounds: Bounds
  private readonly words = new WeakMap<object, string>()

  constructor(world: PolicyWorld, bounds: Bounds) {
    this.world = world
    this.bounds = bounds
  }

  of(end: End): string {
    const cells = addressesOf(end)
      .map((address) => `${address.family}:${this.bounds.cellOf(address)}`)
      .join(',')
    if (end.kind === 'outside') return `outside|${cells}`
    // a node's own pods may reach it; a host endpoint is found by the node's name
    if (end.kind === 'node') return `node|${cells}|${this.text(end.labels)}|${this.world.hostEndpoints.some(({ node }) => node === end.name) ? end.name : ''}`
    const namespace = this.text(this.world.namespaces.get(end.namespace)?.labels ?? {})
    const account = this.text(this.world.serviceAccounts.get(`${end.namespace}/${end.serviceAccount}`) ?? {})
    const node = end.hostNetwork ? (end.node ?? '') : ''
    return ['pod', end.namespace, namespace, this.text(end.labels), this.ports(end), end.serviceAccount, account, cells, end.hostNetwork, node].join('|')
  }

  private ports({ ports }: PolicyPod): string {
    let text = this.words.get(ports)
    if (text === undefined) this.words.set(ports, (text = ports.map(({ name = '', protocol, port }) => `${name}/${protocol}/${port}`).join(',')))
    return text
  }

  /** Labels are shared by the pods of a workload: written once. */
  private text(value: object): string {
    let text = this.words.get(value)
    if (text === undefined) this.words.set(value, (text = JSON.stringify(Object.entries(value).sort(byKey))))
    return text
  }
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}
