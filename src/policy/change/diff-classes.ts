/**
 * Ends that no policy of a world tells apart: equal keys, equal meaning. What of an end a policy may look at goes into its key; of its addresses
 * only where they lie between the bounds of all ranges that any policy names.
 */
import { EVERY_IPV4, EVERY_IPV6, type AddressRange } from '../address-range.js'
import { addressesOf } from '../conditions.js'
import type { SelectorNode } from '../../cluster/selector.js'
import { NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX } from '../endpoint-labels.js'
import type { Condition, End, PolicyPod, PolicyWorld } from '../model.js'
import { namedRanges, partition } from '../outside.js'

/** What bounds an address's meaning in the world. */
export function boundingRanges(world: PolicyWorld): readonly AddressRange[] {
  return [...namedRanges(world), ...world.networkSets.flatMap(({ ranges }) => ranges)]
}

/** Keys of labels that some policy of the world asks for: of pods, namespaces, accounts, whichever. */
function askedLabels(world: PolicyWorld): ReadonlySet<string> {
  const keys = new Set<string>()
  const take = (conditions: readonly Condition[]): void => {
    for (const condition of conditions) if (condition.kind === 'labels' || condition.kind === 'notLabels') takeKeys(condition.selector.root, keys)
  }
  for (const { policies } of world.tiers) {
    for (const { subject, ingress, egress } of policies) {
      take(subject)
      for (const { peers, local } of [...ingress, ...egress]) {
        take(local)
        for (const { conditions } of peers) take(conditions)
      }
    }
  }
  for (const key of [...keys]) for (const prefix of [NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX]) if (key.startsWith(prefix)) keys.add(key.slice(prefix.length))
  return keys
}

function takeKeys(node: SelectorNode, into: Set<string>): void {
  switch (node.kind) {
    case 'all':
    case 'global':
      return
    case 'not':
      return takeKeys(node.operand, into)
    case 'and':
    case 'or':
      return node.operands.forEach((operand) => takeKeys(operand, into))
    default:
      into.add(node.label)
  }
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

/** Of all the worlds that are compared. */
export interface Shared {
  readonly bounds: Bounds
  readonly asked: ReadonlySet<string>
}

export function sharedOf(worlds: readonly PolicyWorld[]): Shared {
  return { bounds: new Bounds(worlds.flatMap(boundingRanges)), asked: new Set(worlds.flatMap((world) => [...askedLabels(world)])) }
}

/** Makes the keys of one world. */
export class ClassKeys {
  private readonly world: PolicyWorld
  private readonly bounds: Bounds
  private readonly asked: ReadonlySet<string>
  private readonly words = new WeakMap<object, string>()

  constructor(world: PolicyWorld, { bounds, asked }: Shared) {
    this.world = world
    this.bounds = bounds
    this.asked = asked
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
    if (text === undefined)
      this.words.set(
        value,
        (text = JSON.stringify(
          Object.entries(value)
            .filter(([key]) => this.asked.has(key))
            .sort(byKey),
        )),
      )
    return text
  }
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}
