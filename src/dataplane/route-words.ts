/** The words of iproute2's routes that have numbers (/etc/iproute2), and those of which netsim knows no more than how many words they take. */
import type { RouteSpec } from './dataplane.js'
import { parseInteger } from './text.js'

/** /etc/iproute2/rt_protos. */
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [0, 'unspec'],
  [1, 'redirect'],
  [2, 'kernel'],
  [3, 'boot'],
  [4, 'static'],
  [8, 'gated'],
  [9, 'ra'],
  [10, 'mrt'],
  [11, 'zebra'],
  [12, 'bird'],
  [13, 'dnrouted'],
  [14, 'xorp'],
  [15, 'ntk'],
  [16, 'dhcp'],
  [18, 'keepalived'],
  [42, 'babel'],
  [99, 'openr'],
  [186, 'bgp'],
  [187, 'isis'],
  [188, 'ospf'],
  [189, 'rip'],
  [192, 'eigrp'],
])
export const SCOPES: ReadonlyMap<string, NonNullable<RouteSpec['scope']>> = new Map([
  ['global', 'global'],
  ['universe', 'global'],
  ['0', 'global'],
  ['site', 'site'],
  ['200', 'site'],
  ['link', 'link'],
  ['253', 'link'],
  ['host', 'host'],
  ['254', 'host'],
  ['nowhere', 'nowhere'],
  ['255', 'nowhere'],
])
/** Attributes that netsim does not model; each takes one argument, and is left out with a warning. */
export const OTHER_ATTRIBUTES: ReadonlySet<string> = new Set([
  'realm',
  'realms',
  'window',
  'rtt',
  'rttvar',
  'hoplimit',
  'initcwnd',
  'initrwnd',
  'quickack',
  'cwnd',
  'ssthresh',
  'reordering',
  'rto_min',
  'features',
  'congctl',
  'pref',
  'expires',
  'nhid',
  'encap',
  'ttl-propagate',
  'fastopen_no_cookie',
  'error',
  'mark',
  'iif',
  'uid',
  'age',
  'users',
])
export const OTHER_FLAGS: ReadonlySet<string> = new Set([
  'pervasive',
  'offload_failed',
  'rt_offload_failed',
  'trap',
  'rt_trap',
  'notify',
  'cache',
  'cloned',
  'redirected',
])

/** What the kernel works out from its devices, and prints (rtnh_flags: RTNH_F_DEAD, RTNH_F_LINKDOWN; the rest is of hardware). */
export const STATE_FLAGS: ReadonlySet<string> = new Set(['dead', 'linkdown', 'offload', 'rt_offload'])

/** `kernel`, or the number as text where it has no name; undefined when the text is neither. Where it was printed a node's own name is taken as well. */
export function parseRouteProtocol(text: string | undefined, { printed = false }: { readonly printed?: boolean } = {}): string | undefined {
  if (text === undefined) return undefined
  if ([...PROTOCOLS.values()].includes(text) || (printed && /^[a-z][\w.-]*$/i.test(text))) return text
  const id = parseInteger(text, 255)
  return id === undefined ? undefined : (PROTOCOLS.get(id) ?? String(id))
}
