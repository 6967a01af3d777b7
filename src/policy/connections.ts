/**
 * Exact sets of connections: protocol × destination ports (TCP, UDP, SCTP), types and codes (ICMP, ICMPv6), and every other IP protocol by its
 * number. Immutable; two sets are equal when their keys are. Union, intersection and difference are exact.
 */

export type Protocol = 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6' | number

/** One connection: a point of the space. ICMP without a type is echo request. */
export interface Connection {
  readonly protocol: Protocol
  /** TCP, UDP and SCTP: the destination port; ICMP: type × 256 + code; 0 for other protocols. */
  readonly port: number
}

/** first, last, first, last, …; ascending, neither touching nor overlapping. */
type Intervals = readonly number[]

/** The order of `lists`. `other` holds numbers of protocols that have no axis of their own. */
const AXES = ['TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPv6', 'other'] as const
type Axis = (typeof AXES)[number]

export const PORT_MIN = 1
export const PORT_MAX = 65535
const ICMP_MAX = 65535
const PROTOCOL_NUMBERS: ReadonlyMap<number, Axis> = new Map([
  [6, 'TCP'],
  [17, 'UDP'],
  [132, 'SCTP'],
  [1, 'ICMP'],
  [58, 'ICMPv6'],
])

/** Protocol numbers 0 to 255 but those with an axis of their own. */
const OTHERS: Intervals = [0, 0, 2, 5, 7, 16, 18, 57, 59, 131, 133, 255]
const WHOLE: readonly Intervals[] = [[PORT_MIN, PORT_MAX], [PORT_MIN, PORT_MAX], [PORT_MIN, PORT_MAX], [0, ICMP_MAX], [0, ICMP_MAX], OTHERS]
const NOTHING: Intervals = []

export class ConnectionSet {
  static readonly none = new ConnectionSet(AXES.map(() => NOTHING))
  static readonly all = new ConnectionSet(WHOLE)
  /** Every port of TCP, UDP and SCTP: what the API's ports speak of; ICMP and the rest are not in it. */
  static readonly transport = new ConnectionSet(WHOLE.map((whole, axis) => (axis < 3 ? whole : NOTHING)))

  /** Equal sets have equal keys. */
  readonly key: string
  private readonly lists: readonly Intervals[]

  private constructor(lists: readonly Intervals[]) {
    this.lists = lists
    this.key = lists.map((list) => list.join(',')).join(';')
  }

  /** Ports first to last (types and codes as type × 256 + code) of one protocol; the whole protocol without them. Out of range: cut off. */
  static of(protocol: Protocol, first?: number, last?: number): ConnectionSet {
    const axis = axisOf(protocol)
    const list: Intervals =
      axis === 5 ? [protocol as number, protocol as number] : first === undefined ? WHOLE[axis] : intersect([first, last ?? first], WHOLE[axis])
    return new ConnectionSet(AXES.map((_, i) => (i === axis ? list : NOTHING)))
  }

  static union(sets: readonly ConnectionSet[]): ConnectionSet {
    return sets.reduce((all, set) => all.union(set), ConnectionSet.none)
  }

  get isEmpty(): boolean {
    return this.lists.every((list) => list.length === 0)
  }

  get isAll(): boolean {
    return this.key === ConnectionSet.all.key
  }

  equals(other: ConnectionSet): boolean {
    return this.key === other.key
  }

  union(other: ConnectionSet): ConnectionSet {
    return this === other ? this : new ConnectionSet(this.lists.map((list, i) => unite(list, other.lists[i])))
  }

  intersect(other: ConnectionSet): ConnectionSet {
    return this === other ? this : new ConnectionSet(this.lists.map((list, i) => intersect(list, other.lists[i])))
  }

  minus(other: ConnectionSet): ConnectionSet {
    return new ConnectionSet(this.lists.map((list, i) => subtract(list, other.lists[i])))
  }

  covers(other: ConnectionSet): boolean {
    return other.minus(this).isEmpty
  }

  meets(other: ConnectionSet): boolean {
    return !this.intersect(other).isEmpty
  }

  has({ protocol, port }: Connection): boolean {
    const axis = axisOf(protocol)
    const value = axis === 5 ? (protocol as number) : port
    const list = this.lists[axis]
    for (let i = 0; i < list.length; i += 2) if (list[i] <= value && value <= list[i + 1]) return true
    return false
  }

  /** Closed ranges of one protocol's ports (ICMP: type × 256 + code). For a protocol by number: [[n, n]] when it is in the set. */
  ranges(protocol: Protocol): readonly (readonly [first: number, last: number])[] {
    const axis = axisOf(protocol)
    const list = axis === 5 ? intersect(this.lists[5], [protocol as number, protocol as number]) : this.lists[axis]
    return pairs(list)
  }

  /** Numbers of the other protocols in the set, as closed ranges. */
  otherProtocols(): readonly (readonly [first: number, last: number])[] {
    return pairs(this.lists[5])
  }

  /** One connection out of the set, the same every time; undefined of the empty set. */
  witness(): Connection | undefined {
    const axis = this.lists.findIndex((list) => list.length > 0)
    if (axis < 0) return undefined
    const [value] = this.lists[axis]
    return axis === 5 ? { protocol: value, port: 0 } : { protocol: AXES[axis] as Protocol, port: value }
  }
}

function axisOf(protocol: Protocol): number {
  const axis = typeof protocol === 'number' ? (PROTOCOL_NUMBERS.get(protocol) ?? 'other') : protocol
  return AXES.indexOf(axis)
}

function pairs(list: Intervals): readonly (readonly [number, number])[] {
  return Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]] as const)
}

function unite(a: Intervals, b: Intervals): Intervals {
  if (a.length === 0 || b.length === 0) return a.length === 0 ? b : a
  const found: number[] = []
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    const fromA = j >= b.length || (i < a.length && a[i] <= b[j])
    const [first, last] = fromA ? [a[i], a[i + 1]] : [b[j], b[j + 1]]
    if (fromA) i += 2
    else j += 2
    const end = found.length - 1
    if (end > 0 && first <= found[end] + 1) found[end] = Math.max(found[end], last)
    else found.push(first, last)
  }
  return found
}

function intersect(a: Intervals, b: Intervals): Intervals {
  const found: number[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const first = Math.max(a[i], b[j])
    const last = Math.min(a[i + 1], b[j + 1])
    if (first <= last) found.push(first, last)
    if (a[i + 1] < b[j + 1]) i += 2
    else j += 2
  }
  return found
}

function subtract(a: Intervals, b: Intervals): Intervals {
  const found: number[] = []
  for (let i = 0, j = 0; i < a.length; i += 2) {
    let first = a[i]
    const last = a[i + 1]
    while (j < b.length && b[j + 1] < first) j += 2
    for (let k = j; k < b.length && b[k] <= last; k += 2) {
      if (b[k] > first) found.push(first, b[k] - 1)
      first = b[k + 1] + 1
    }
    if (first <= last) found.push(first, last)
  }
  return found
}
