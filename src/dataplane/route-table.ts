/**
 * Routes as the older tools print them → RouteSpec: `route -n` and `netstat -rn` (net-tools lib/inet_gr.c, BusyBox networking/route.c), and /proc/net/route
 * (net/ipv4/fib_trie.c fib_route_seq_show). All three show the main and local tables' unicast routes alone.
 */
import { cidr } from '../base/cidr.js'
import { parseIp } from '../base/ip.js'
import type { RouteSpec } from './dataplane.js'
import { lengthOfMask } from './iptables-print.js'
import { parseInteger, type Report } from './text.js'

/** Where each column stands, and how addresses are written. */
export interface RouteColumns {
  readonly hex: boolean
  readonly names: readonly string[]
}

/** The columns that the line names, when it is such a table's heading. */
export function routeHeading(line: string): RouteColumns | undefined {
  const names = line.trim().split(/\s+/)
  if (names[0] === 'Iface' && names[1] === 'Destination') return { hex: true, names }
  return names[0] === 'Destination' && names[1] === 'Gateway' && names[2] === 'Genmask' ? { hex: false, names } : undefined
}

// linux/route.h
const RTF_UP = 1
const RTF_GATEWAY = 2
const RTF_REJECT = 0x200

/** One row of the table; undefined for its heading, for a route that is not in use, and after a reported failure. */
export function readRouteRow(line: string, { hex, names }: RouteColumns, report: Report): RouteSpec | undefined {
  const words = line.trim().split(/\s+/)
  if (words[0] === names[0]) return undefined
  const value = (name: string): string => words[names.indexOf(name)] ?? ''
  const address = (name: string): number | undefined => (hex ? hexAddress(value(name)) : plainAddress(value(name)))
  const flags = hex ? parseInteger(`0x${value('Flags')}`) : flagsOf(value('Flags'))
  const [destination, gateway, mask] = [address('Destination'), address('Gateway'), address(hex ? 'Mask' : 'Genmask')]
  const length = mask === undefined ? undefined : lengthOfMask(mask)
  if (words.length < names.length || destination === undefined || gateway === undefined || length === undefined || flags === undefined)
    return report.error(`"${line.trim()}" is no row of a table of routes`, 'Gather ip route show table all: it says more.')
  if ((flags & RTF_UP) === 0) return undefined
  const metric = parseInteger(value('Metric'))
  const rejecting = (flags & RTF_REJECT) !== 0
  const device = value('Iface')
  return {
    destination: cidr(destination, length),
    type: rejecting ? 'unreachable' : 'unicast',
    ...((flags & RTF_GATEWAY) === 0 || rejecting ? {} : { via: gateway }),
    ...(rejecting || device === '*' || device === '-' ? {} : { device }),
    ...((flags & (RTF_GATEWAY | RTF_REJECT)) === 0 ? { scope: 'link' } : {}),
    ...(metric === undefined || metric === 0 ? {} : { metric }),
  }
}

function flagsOf(letters: string): number | undefined {
  if (!/^[!A-Za-z]+$/.test(letters)) return undefined
  return (letters.includes('U') || letters.includes('!') ? RTF_UP : 0) | (letters.includes('G') ? RTF_GATEWAY : 0) | (letters.includes('!') ? RTF_REJECT : 0)
}

function plainAddress(text: string): number | undefined {
  return text === '*' || text === 'default' || text === '-' ? 0 : parseIp(text)
}

/** The four bytes as a number of the machine's own order: little-endian on all that Kubernetes runs on but s390x. */
function hexAddress(text: string): number | undefined {
  if (!/^[0-9A-F]{8}$/i.test(text)) return undefined
  const bytes = [6, 4, 2, 0].map((at) => Number.parseInt(text.slice(at, at + 2), 16))
  return parseIp(bytes.join('.'))
}
