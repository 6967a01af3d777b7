/**
 * One way between two ends: the largest packet, what sets the limit, what becomes of larger ones. Every number is asked of the
 * simulation with real packets.
 */
import { mtuReserve, overheadOf } from '../wire/overhead.js'
import { bandsOf } from './mtu-bands.js'
import type { BandDocument, DirectionDocument, LimitDocument, MtuVerdict } from './mtu-document.js'
import { ask, type Way } from './mtu-probe.js'
import { besideOf } from './mtu-table.js'
import { arithmeticOf, limitOf, Rows, underlayOf } from './mtu-walk.js'

/** RFC 791: every host takes that much in one piece. */
const LEAST = 68
const IP_LENGTH_MAX = 65535
const IP_AND_TCP = 40
const TIMESTAMPS = 12

export interface Asking {
  readonly from: string
  readonly to: string
  readonly small: DirectionDocument['small']
  /** Segment that TCP agreed on, options included; absent: no TCP. */
  readonly segment?: number
}

export interface Measured {
  readonly document: DirectionDocument
  /** What the underlay carries, 0 where none is crossed. */
  readonly underlay: number
}

/** Nothing passes: why is in `small`. */
export function unreachable(way: Way, { from, to, small }: Asking, verdict: MtuVerdict): DirectionDocument {
  const nothing = { deviceMtu: 0, full: 0, fullOverhead: 0, largest: 0, mss: 0, mssTimestamps: 0, limit: null, above: [], withoutDf: [], table: [] }
  return { from, to, verdict, asked: way.answers ? 'answer' : 'question', small, ...nothing }
}

export function measure(way: Way, asking: Asking): Measured {
  const rows = new Rows(way.network)
  const biggest = ask(way, IP_LENGTH_MAX, { df: true })
  const deviceMtu = biggest.refused ? rows.argument(biggest.drop, 4) : IP_LENGTH_MAX
  const largest = largestOf(way, deviceMtu)
  const full = Math.min(deviceMtu, asking.segment === undefined ? deviceMtu : asking.segment + IP_AND_TCP)
  const limit = largest === IP_LENGTH_MAX ? null : limitAbove(way, largest)
  const found = largest === 0 ? null : underlayOf(rows, ask(way, largest, { df: true }))
  const tcp = way.request.proto === 'tcp'
  const beyond = Math.min(IP_LENGTH_MAX, deviceMtu + 1)
  const points = [largest + 1, full, deviceMtu, beyond].filter((size) => size > largest && size <= IP_LENGTH_MAX)
  const above = bandsOf(way, points, true)
  const withoutDf = tcp ? [] : bandsOf(way, points, false)
  const reached = [...above, ...withoutDf].filter(({ from }) => from <= full)
  const verdict = reached.map(verdictOf).reduce(worse, 'PASSES')
  return {
    underlay: found?.mtu ?? 0,
    document: {
      ...unreachable(way, asking, verdict),
      deviceMtu,
      full,
      fullOverhead: full > largest ? (limitOf(rows, ask(way, full, { df: true }))?.overhead ?? 0) : 0,
      largest,
      mss: Math.max(0, largest - IP_AND_TCP),
      mssTimestamps: Math.max(0, largest - IP_AND_TCP - TIMESTAMPS),
      limit,
      above,
      withoutDf,
      table: verdict === 'PASSES' ? [] : besideOf(way, { small: asking.small.size, full, df: tcp || above.some(({ from }) => from <= full) }),
    },
  }
}

/** By halves: it passes whole, one more does not. */
export function largestOf(way: Way, most: number): number {
  const passes = (size: number): boolean => {
    const fate = ask(way, size, { df: true })
    return fate.arrived && !fate.cut
  }
  if (passes(most)) return most
  if (!passes(LEAST)) return 0
  let low = LEAST
  let high = most
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (passes(middle)) low = middle
    else high = middle
  }
  return low
}

/** What stops the first size that does not pass; where that is a device inside, the underlay that it was made for is part of the arithmetic. */
function limitAbove(way: Way, largest: number): LimitDocument | null {
  const rows = new Rows(way.network)
  const limit = limitOf(rows, ask(way, largest + 1, { df: true }))
  if (limit === null || limit.mtu === 0) return limit
  if (limit.encapsulations.length > 0) return { ...limit, arithmetic: withPadding(limit, largest) }
  const underlay = underlayOf(rows, ask(way, largest, { df: true }))
  if (underlay === null || underlay.tunnels.length === 0) return limit
  const arithmetic = arithmeticOf(underlay.mtu, underlay.tunnels)
  const [{ encapsulation }] = underlay.tunnels
  // what the agent keeps free is more than what is added: room for an outer IPv6 header
  if (encapsulation === 'wireguard' && underlay.mtu - mtuReserve(encapsulation) === limit.mtu) {
    return { ...limit, arithmetic: `${underlay.mtu} - ${mtuReserve(encapsulation)} reserved, room for an IPv6 underlay, = ${limit.mtu}` }
  }
  return arithmetic.endsWith(` = ${limit.mtu}`) ? { ...limit, arithmetic } : { ...limit, arithmetic: `${limit.mtu}; ${arithmetic} would pass the underlay` }
}

/** WireGuard pads to blocks of 16 bytes: what is left of the MTU is not what fits. */
function withPadding(limit: LimitDocument, largest: number): string {
  const left = limit.encapsulations.reduce((room, encapsulation) => room - overheadOf(encapsulation).bytes, limit.mtu)
  if (left === largest || !limit.encapsulations.includes('wireguard')) return limit.arithmetic
  return `${limit.arithmetic}; padded to 16 bytes: ${largest}`
}

function verdictOf({ outcome }: BandDocument): MtuVerdict {
  if (outcome === 'EMSGSIZE') return 'TOLD'
  return outcome === 'LOST' ? 'BLACKHOLE' : outcome
}

const RANKS: readonly MtuVerdict[] = ['PASSES', 'FRAGMENTED', 'TOLD', 'LEARNED', 'BLACKHOLE', 'UNREACHABLE', 'UNKNOWN']

export function worse(a: MtuVerdict, b: MtuVerdict): MtuVerdict {
  return RANKS.indexOf(a) >= RANKS.indexOf(b) ? a : b
}
