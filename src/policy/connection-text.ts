/** A set of connections as lists write it, in the form of netpol-analyzer: `All Connections`, `TCP 80,443,UDP 53,5000-6000`. */
import { ConnectionSet } from './connections.js'

export const ALL_CONNECTIONS = 'All Connections'
export const NO_CONNECTIONS = 'No Connections'

const TRANSPORT = ['SCTP', 'TCP', 'UDP'] as const

/**
 * In the order of the alphabet. `All Connections` where everything is open: every protocol, or those three in the eyes of a reader who knows
 * no others. Without one of the three: No Connections.
 */
export function transportText(set: ConnectionSet, knowsOthers = true): string {
  if (knowsOthers ? set.isAll : set.covers(ConnectionSet.transport)) return ALL_CONNECTIONS
  const parts = TRANSPORT.flatMap((protocol) => {
    const ranges = set.ranges(protocol)
    return ranges.length === 0 ? [] : `${protocol} ${ranges.map(rangeText).join(',')}`
  })
  return parts.length === 0 ? NO_CONNECTIONS : parts.join(',')
}

/** What the text above does not say: `ICMP`, `ICMP 8/0`, `ICMPv6`, `protocol 47`; empty where there is nothing of it, or everything is open. */
export function othersText(set: ConnectionSet): string {
  if (set.isAll) return ''
  const icmp = (['ICMP', 'ICMPv6'] as const).flatMap((protocol) => {
    const ranges = set.ranges(protocol)
    if (ranges.length === 0) return []
    const whole = ranges.length === 1 && ranges[0][0] === 0 && ranges[0][1] === 65535
    return whole ? protocol : `${protocol} ${ranges.map(icmpText).join(',')}`
  })
  const numbers = set.otherProtocols()
  const rest = ConnectionSet.all.minus(set).otherProtocols()
  const named = numbers.length === 0 ? [] : rest.length === 0 ? ['other protocols'] : [`protocol ${numbers.map(rangeText).join(',')}`]
  return [...icmp, ...named].join(', ')
}

/** Both in one: `TCP 80 and ICMP`. */
export function connectionText(set: ConnectionSet): string {
  const [transport, others] = [transportText(set), othersText(set)]
  if (others === '') return transport
  return transport === NO_CONNECTIONS ? others : `${transport} and ${others}`
}

function rangeText([first, last]: readonly [number, number]): string {
  return first === last ? `${first}` : `${first}-${last}`
}

/** type/code; a whole type without its codes. */
function icmpText([first, last]: readonly [number, number]): string {
  const one = (value: number): string => `${value >> 8}/${value & 255}`
  if (first === last) return one(first)
  if ((first & 255) !== 0 || (last & 255) !== 255) return `${one(first)}-${one(last)}`
  return first >> 8 === last >> 8 ? `${first >> 8}` : `${first >> 8}-${last >> 8}`
}
