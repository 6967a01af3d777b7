/**
 * What flannel and the kernel ask of a node's own routes: the way to an address, before flannel adds any route. From addresses
 * and routes of a Dataplane to a look-up. Source: flannel pkg/ip/iface.go (DirectRouting), Linux fib_check_nh_v4_gw.
 */
import { cidr, contains, covers, overlaps, type Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { DeviceSpec, RouteSpec } from '../dataplane/dataplane.js'

interface UnderlayRoute {
  readonly device: string
  /** Absent: on the link. */
  readonly gateway?: Ip
  /** One of the node's own addresses. */
  readonly local?: boolean
}

export interface Underlay {
  /** @param device only routes through it, as the kernel does for the gateway of a route that names its device */
  lookup(address: Ip, device?: string): UnderlayRoute | undefined
  /** The device on whose link each address of the prefix is, own addresses of its among them; undefined: not all are on one. */
  linkOf(prefix: Cidr, device?: string): string | undefined
}

interface Entry extends UnderlayRoute {
  readonly destination: Cidr
  readonly metric: number
}

/** Main table and connected prefixes, longest first; multipath routes by their first next hop. */
export function underlayOf(devices: readonly DeviceSpec[], routes: readonly RouteSpec[]): Underlay {
  const entries: Entry[] = []
  for (const device of devices) {
    for (const { address, length } of device.addresses) {
      entries.push({ destination: cidr(address, 32), device: device.name, local: true, metric: -1 })
      if (length < 32 && device.up) entries.push({ destination: cidr(address, length), device: device.name, metric: 0 })
    }
  }
  for (const route of routes) {
    if (route.type !== 'unicast' || (route.table !== undefined && route.table !== 'main')) continue
    const hop = route.nexthops?.[0] ?? route
    if (hop.device === undefined) continue
    entries.push({ destination: route.destination, device: hop.device, gateway: hop.via, metric: route.metric ?? 0 })
  }
  entries.sort((a, b) => b.destination.length - a.destination.length || a.metric - b.metric)
  const isAsked = (entry: Entry, device: string | undefined): boolean => device === undefined || entry.device === device
  return {
    // An own address is found whatever device is asked for, like an entry of the local table.
    lookup: (address, device) => entries.find((entry) => (isAsked(entry, device) || entry.local === true) && contains(entry.destination, address)),
    linkOf(prefix, device) {
      const within = entries.filter(({ destination }) => overlaps(prefix, destination))
      const way = within.find((entry) => entry.local !== true && isAsked(entry, device))
      if (way === undefined || way.gateway !== undefined || !covers(way.destination, prefix)) return undefined
      return within.every((entry) => entry.local !== true || entry.device === way.device) ? way.device : undefined
    },
  }
}
