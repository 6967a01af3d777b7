// hot path
/**
 * The route of a packet that is made here: which device, which source address, which MTU.
 * Source: net/ipv4/route.c (ip_route_output_key_hash, ipv4_mtu), devinet.c (inet_select_addr).
 */
import type { Packet } from '../wire/packet.js'
import { SCOPE_LINK, type Device } from './device.js'
import {
  EINVAL,
  fibLookup,
  Flow,
  fromPacket,
  inetAddrType,
  isLoopback,
  isMulticast,
  isZeronet,
  MARTIAN_NONE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_UNICAST,
  type RouteResult,
} from './fib.js'
import type { Netns } from './netns.js'

const OUTPUT_FLOW = new Flow()
OUTPUT_FLOW.local = 1

/** IP_MAX_MTU: lo's MTU is one more. */
const IP_MTU_MAX = 0xffff

/** ip_route_output_key_hash for a packet whose source may be 0 (then it is chosen). @returns 0 or an errno */
export function routeOutput(netns: Netns, packet: Packet, oif: Device | null, result: RouteResult): number {
  result.route = null
  result.redirect = 0
  result.martian = MARTIAN_NONE
  if (packet.src !== 0) {
    if (isMulticast(packet.src) || packet.src === -1 || isZeronet(packet.src)) return EINVAL
    // __ip_dev_find: an address of a device, or one that the table local takes in
    if (oif === null && !netns.fib.local.hasLocalAddress(packet.src) && inetAddrType(netns, packet.src, null) !== RTN_LOCAL) return EINVAL
  }
  return routeOutputFrom(netns, packet, oif, result)
}

const INADDR_LOOPBACK = 0x7f000001

/** The same without the check that the source is ours (FLOWI_FLAG_ANYSRC): rerouting after NAT or a mark, tunnels. */
export function routeOutputFrom(netns: Netns, packet: Packet, oif: Device | null, result: RouteResult): number {
  const flow = OUTPUT_FLOW
  fromPacket(flow, packet)
  flow.iif = netns.loopback
  flow.oif = oif
  if (packet.dst === -1 || isMulticast(packet.dst)) return outputToMany(netns, packet, flow, result)
  if (packet.dst === 0) {
    // ip_route_output_key_hash_rcu: nobody is oneself
    result.route = null
    result.type = RTN_LOCAL
    result.device = netns.loopback
    result.gateway = 0
    result.mtu = 0
    result.source = INADDR_LOOPBACK
    return 0
  }
  const error = fibLookup(netns.fib, flow, result)
  if (error !== 0) {
    if (oif === null) return error
    result.type = RTN_UNICAST
    result.gateway = 0
    result.device = oif
    result.scope = SCOPE_LINK
    result.source = 0
    result.mtu = 0
    if (packet.src === 0) result.source = inetSelectAddr(oif, 0, SCOPE_LINK)
    return 0
  }
  if (result.type === RTN_LOCAL) {
    if (packet.src === 0 && result.source === 0) result.source = packet.dst
    result.device = netns.loopback
    result.gateway = 0
    return 0
  }
  // fib_info_update_nhc_saddr: chosen for the gateway; without one, the device's first address of the scope
  if (result.source === 0 && result.device !== null) result.source = inetSelectAddr(result.device, result.gateway, result.scope)
  // __mkroute_output
  if (isLoopback(packet.src) && result.device !== null && result.device !== netns.loopback && result.device.routeLocalnet === 0) {
    result.route = null
    return EINVAL
  }
  return 0
}

function outputToMany(netns: Netns, packet: Packet, flow: Flow, result: RouteResult): number {
  const error = fibLookup(netns.fib, flow, result)
  if (error !== 0 && flow.oif === null) return error
  const device = flow.oif ?? result.device
  result.type = packet.dst === -1 ? RTN_BROADCAST : RTN_MULTICAST
  result.gateway = 0
  result.device = device
  result.mtu = 0
  if (device !== null) result.source = inetSelectAddr(device, 0, SCOPE_LINK)
  return 0
}

/** inet_select_addr: the address of the device, else of any device, that may speak to the destination. 0 when there is none. */
export function inetSelectAddr(device: Device, destination: number, scope: number): number {
  let found = 0
  const addresses = device.addresses
  for (let i = 0; i < addresses.length; i++) {
    const address = addresses[i]
    if (address.scope > scope || address.secondary === 1) continue
    if (destination === 0 || sameSubnet(address.address, destination, address.length)) return address.address
    if (found === 0) found = address.address
  }
  if (found !== 0) return found
  const devices = device.netns.devices
  for (let i = 0; i < devices.length; i++) {
    const others = devices[i].addresses
    for (let j = 0; j < others.length; j++) {
      if (others[j].secondary === 0 && others[j].scope !== SCOPE_LINK && others[j].scope <= scope) return others[j].address
    }
  }
  return 0
}

export function sameSubnet(a: number, b: number, length: number): boolean {
  return length === 0 || (a ^ b) >>> (32 - length) === 0
}

/** The MTU towards a destination of our own packets: the device's, the route's, what was learned (ipv4_mtu). */
export function outputMtu(netns: Netns, destination: number, result: RouteResult): number {
  const device = result.device as Device
  if (result.mtuLocked === 1 && result.mtu > 0) return result.mtu
  const { pathMtus } = netns.fib
  const learned = pathMtus.size === 0 ? undefined : pathMtus.get(destination)
  const own = result.mtu > 0 ? result.mtu : Math.min(device.mtu, IP_MTU_MAX)
  return learned !== undefined && learned < own ? learned : own
}

/** ip_dst_mtu_maybe_forward for a forwarded packet: learned path MTUs do not count (ip_forward_use_pmtu is 0). */
export function forwardMtu(result: RouteResult): number {
  return result.mtu > 0 ? result.mtu : (result.device as Device).mtu
}
