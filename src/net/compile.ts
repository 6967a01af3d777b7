/**
 * Dataplanes become a world: names become objects and integers once, so that the walk looks nothing up by name.
 *
 *   Dataplane ─▶ Netns { devices, fib, neighbours, FDBs, netfilter, sockets }      segments ─▶ Segment with the cards in it
 */
import { maskOf } from '../base/cidr.js'
import { macHigh, macLow } from '../base/mac.js'
import { unreachable } from '../base/assert.js'
import { LOOPBACK, type Dataplane, type DeviceSpec } from '../dataplane/dataplane.js'
import { Bridge, BridgePort } from './bridge.js'
import { compileFib } from './compile-fib.js'
import { connectBacklog } from './device-io.js'
import { Device, DEVICE_KINDS, DEVICE_WIREGUARD, SCOPES, type DeviceAddress } from './device.js'
import { proxyTimerFired } from './arp.js'
import { FragmentQueues, fragmentTimerFired } from './ip-fragment.js'
import { IcmpLimits } from './icmp.js'
import { Ipip } from './ipip.js'
import { frameArrived, InFlight, Segment } from './link.js'
import {
  neighbourTimerFired,
  NeighTable,
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from './neigh.js'
import { compileNetfilter } from './netfilter/netfilter.js'
import { deviceNamed, Netns, World, type UserSpace } from './netns.js'
import { SocketTable } from './socket.js'
import { Tun } from './tun.js'
import { Vxlan } from './vxlan.js'
import { wireguardTimerFired } from './wireguard.js'
import { Wireguard, WireguardPeer } from './wireguard-peer.js'

export interface SegmentSpec {
  readonly name: string
  readonly mtu: number
  readonly latencyNs: number
  /** bits per second, 0 without limit */
  readonly rateBps: number
}

export interface NetnsSpec {
  readonly dataplane: Dataplane
  /** NETNS_* */
  readonly role: number
  /** A cloud's fabric (ip-forward.ts). */
  readonly fabric?: boolean
}

const NEIGHBOUR_STATES = {
  permanent: NUD_PERMANENT,
  noarp: NUD_NOARP,
  reachable: NUD_REACHABLE,
  stale: NUD_STALE,
  delay: NUD_DELAY,
  probe: NUD_PROBE,
  incomplete: NUD_INCOMPLETE,
  failed: NUD_FAILED,
} as const

export function compileWorld(specs: readonly NetnsSpec[], segments: readonly SegmentSpec[], seed: number): World {
  const world = new World(seed)
  connectBacklog(world)
  world.inFlight = new InFlight()
  world.arrivalHandler = world.sim.register((slot) => frameArrived(world, slot))
  world.neighbourTimer = world.sim.register((argument) => neighbourTimerFired(world, argument))
  world.fragmentTimer = world.sim.register((index) => fragmentTimerFired(world, index))
  world.proxyTimer = world.sim.register((slot) => proxyTimerFired(world, slot))
  world.wireguardTimer = world.sim.register((argument) => wireguardTimerFired(world, argument))
  for (const segment of segments) {
    world.segments.push(new Segment(world.segments.length, segment.name, segment.mtu, segment.latencyNs, segment.rateBps))
  }
  const byName = new Map<string, Netns>()
  for (const spec of specs) {
    const netns = new Netns(world, world.netns.length, spec.dataplane.netns, spec.role)
    netns.fabric = spec.fabric === true ? 1 : 0
    world.netns.push(netns)
    byName.set(netns.name, netns)
    compileDevices(netns, spec.dataplane)
  }
  specs.forEach((spec, index) => {
    const netns = world.netns[index]
    connectDevices(netns, spec.dataplane, byName)
    compileSysctls(netns, spec.dataplane)
    netns.fib = compileFib(netns, spec.dataplane)
    netns.fragments = new FragmentQueues(netns)
    netns.icmpLimits = compileIcmpLimits(netns)
    netns.socketSpecs = spec.dataplane.sockets
    netns.sockets = new SocketTable(spec.dataplane.sockets)
    loadNeighbours(netns, spec.dataplane)
    loadFdb(netns, spec.dataplane)
    netns.netfilter = compileNetfilter(netns, spec.dataplane.iptables, spec.dataplane.ipsets)
  })
  return world
}

/** The state a question starts from: nothing dynamic known, nothing under way; the warm state is filled in as it is asked for. */
export function resetWorld(world: World, options: { readonly seed: number; readonly warm: boolean }, specs: readonly NetnsSpec[]): void {
  world.sim.reset()
  world.trace.clear()
  world.reseed(options.seed)
  world.warm = options.warm ? 1 : 0
  world.live = 0
  world.icmpSocketHeld = 0
  world.fragmentQueues.length = 0
  world.neighbours.length = 0
  world.wireguard.reset()
  for (const process of world.userSpaces) process.reset()
  world.netns.forEach((netns, index) => {
    netns.fragments.clear()
    netns.icmpLimits.reset()
    netns.fib.pathMtus.clear()
    netns.sockets.forget()
    if (netns.netfilterUsed === 1) {
      netns.netfilterUsed = 0
      netns.conntrack = null
      netns.netfilter = compileNetfilter(netns, specs[index].dataplane.iptables, specs[index].dataplane.ipsets)
    }
    for (const device of netns.devices) {
      device.busyUntilNs = 0
      if (device.neighbours !== null) device.neighbours = new NeighTable(device)
      device.bridge?.forgetLearned()
      device.vxlan?.forgetLearned()
      device.ipip?.reset()
      device.wireguard?.reset()
    }
    loadNeighbours(netns, specs[index].dataplane)
  })
}

/** A process takes the sockets and TUN devices that name it as their handler. */
export function attachProcess(netns: Netns, handler: string, process: UserSpace, dataplane: Dataplane): void {
  netns.world.userSpaces.push(process)
  dataplane.sockets.forEach((socket, index) => {
    if (socket.handler === handler) netns.sockets.bind(index, process)
  })
  for (const spec of dataplane.devices) {
    if (spec.kind !== 'tun' || spec.handler !== handler) continue
    const tun = deviceNamed(netns, spec.name)?.tun
    if (tun !== null && tun !== undefined) tun.process = process
  }
}

function compileDevices(netns: Netns, dataplane: Dataplane): void {
  const world = netns.world
  const specs = dataplane.devices.some((device) => device.kind === 'loopback') ? dataplane.devices : [LOOPBACK, ...dataplane.devices]
  for (const spec of specs) {
    const device = new Device(netns, world.devices.length, spec.name, DEVICE_KINDS.indexOf(spec.kind), spec.mtu)
    world.devices.push(device)
    netns.devices.push(device)
    device.ifindex = netns.devices.length
    device.up = spec.up ? 1 : 0
    if (spec.mac !== undefined) {
      device.macHigh = macHigh(spec.mac)
      device.macLow = macLow(spec.mac)
    }
    device.addresses = compileAddresses(spec)
    if (spec.kind === 'loopback') netns.loopback = device
    else if (device.ethernet === 1) device.neighbours = new NeighTable(device)
  }
}

function compileAddresses(spec: DeviceSpec): DeviceAddress[] {
  const addresses: DeviceAddress[] = []
  for (const { address, length, scope } of spec.addresses) {
    const secondary = addresses.some((other) => other.length === length && ((other.address ^ address) & maskOf(length)) === 0 && other.scope === SCOPES[scope])
    addresses.push({ address, length, scope: SCOPES[scope], secondary: secondary ? 1 : 0 })
  }
  return addresses
}

function connectDevices(netns: Netns, dataplane: Dataplane, byName: ReadonlyMap<string, Netns>): void {
  for (const spec of dataplane.devices) {
    const device = deviceNamed(netns, spec.name) as Device
    switch (spec.kind) {
      case 'nic': {
        const segment = netns.world.segments.find((candidate) => candidate.name === spec.segment)
        if (segment === undefined) device.carrier = 0
        else segment.plug(device)
        device.sourceDestinationCheck = spec.sourceDestinationCheck === true ? 1 : 0
        break
      }
      case 'veth': {
        const peerNetns = byName.get(spec.peer.netns)
        device.peer = peerNetns === undefined ? null : deviceNamed(peerNetns, spec.peer.device)
        device.carrier = device.peer === null ? 0 : 1
        break
      }
      case 'bridge':
        device.bridge = new Bridge(device)
        if (spec.ageing !== undefined) device.bridge.ageingNs = spec.ageing * 1e9
        device.bridge.nfCallIptables = spec.nfCallIptables === true ? 1 : 0
        device.bridge.addPermanent(device.macHigh, device.macLow, null, 1)
        break
      case 'tun':
        device.tun = new Tun()
        break
      case 'vxlan':
        device.vxlan = compileVxlan(spec)
        netns.vxlanDevices.push(device)
        break
      case 'ipip':
        device.ipip = compileIpip(spec)
        netns.ipipDevices.push(device)
        break
      case 'wireguard':
        device.wireguard = compileWireguard(spec, device)
        netns.wireguardDevices.push(device)
        break
      case 'loopback':
      case 'dummy':
        break
      default:
        unreachable(spec)
    }
  }
  for (const spec of dataplane.devices) if (spec.master !== undefined) enslave(netns, spec)
}

function enslave(netns: Netns, spec: DeviceSpec): void {
  const bridge = deviceNamed(netns, spec.master as string)?.bridge
  if (bridge === null || bridge === undefined) return
  const device = deviceNamed(netns, spec.name) as Device
  const port = new BridgePort(device, bridge)
  port.hairpin = spec.bridgePort?.hairpin === true ? 1 : 0
  port.learning = spec.bridgePort?.learning === false ? 0 : 1
  port.flood = spec.bridgePort?.flood === false ? 0 : 1
  port.isolated = spec.bridgePort?.isolated === true ? 1 : 0
  device.port = port
  bridge.ports.unshift(port)
  bridge.addPermanent(device.macHigh, device.macLow, port, 1)
  bridge.addPermanent(bridge.device.macHigh, bridge.device.macLow, null, 1)
}

function compileVxlan(spec: Extract<DeviceSpec, { kind: 'vxlan' }>): Vxlan {
  const vxlan = new Vxlan(spec.vni, spec.port)
  vxlan.local = spec.local ?? 0
  vxlan.learning = spec.learning ? 1 : 0
  vxlan.gbp = spec.gbp ? 1 : 0
  vxlan.inheritTtl = spec.ttl === 'inherit' ? 1 : 0
  vxlan.ttl = spec.ttl === 'inherit' ? 0 : spec.ttl
  vxlan.tos = spec.tos === 'inherit' ? -1 : spec.tos
  vxlan.udpChecksum = spec.udpChecksum ? 1 : 0
  vxlan.df = spec.df === 'set' ? 1 : spec.df === 'inherit' ? 2 : 0
  return vxlan
}

function compileIpip(spec: Extract<DeviceSpec, { kind: 'ipip' }>): Ipip {
  const ipip = new Ipip(spec.local ?? 0, spec.remote ?? 0)
  ipip.ttl = spec.ttl === 'inherit' ? 0 : spec.ttl
  ipip.tos = spec.tos === 'inherit' ? -1 : spec.tos
  ipip.pathMtuDiscovery = spec.pmtudisc ? 1 : 0
  // ipip_init_net: the module's own device in each netns
  ipip.fallback = spec.name === 'tunl0' ? 1 : 0
  return ipip
}

function compileWireguard(spec: Extract<DeviceSpec, { kind: 'wireguard' }>, device: Device): Wireguard {
  const registry = device.netns.world.wireguard
  const wireguard = new Wireguard(spec.port, spec.publicKey, spec.fwmark ?? 0)
  for (const { publicKey, endpoint, allowedIps } of spec.peers) {
    const peer = new WireguardPeer(registry.peers.length, device, publicKey, endpoint)
    registry.peers.push(peer)
    wireguard.peers.push(peer)
    for (const { base, length } of allowedIps) wireguard.allowed.add(base, length, peer)
  }
  registry.devices.push(device)
  return wireguard
}

/** USER_HZ: what settings in jiffies are counted in. */
const TICK_NS = 10e6

/** net.ipv4.neigh.DEV.*, or of `default` in its place (neigh_parms_alloc copies it). */
function neighbourSetting(sysctls: Readonly<Record<string, number>>, device: string, key: 'proxy_delay'): number {
  const own = sysctls[`net.ipv4.neigh.${device}.${key}`] ?? sysctls[`net.ipv4.neigh.${device.replaceAll('.', '/')}.${key}`]
  return own ?? sysctls[`net.ipv4.neigh.default.${key}`] ?? PROXY_DELAY
}

/** Ticks. */
const PROXY_DELAY = 80

/** Folds `all` and `default` into each device as the IN_DEV_* macros of include/linux/inetdevice.h do. */
function compileSysctls(netns: Netns, dataplane: Dataplane): void {
  const sysctls = dataplane.sysctls
  netns.sysctls = sysctls
  const value = (key: string, fallback: number): number => sysctls[key] ?? fallback
  netns.ipForward = value('net.ipv4.ip_forward', value('net.ipv4.conf.all.forwarding', 0))
  netns.defaultTtl = value('net.ipv4.ip_default_ttl', 64)
  netns.bridgeNfCallIptables = value('net.bridge.bridge-nf-call-iptables', 1)
  netns.icmpEchoIgnoreAll = value('net.ipv4.icmp_echo_ignore_all', 0)
  netns.icmpEchoIgnoreBroadcasts = value('net.ipv4.icmp_echo_ignore_broadcasts', 1)
  netns.icmpErrorsUseInboundIfaddr = value('net.ipv4.icmp_errors_use_inbound_ifaddr', 0)
  netns.multipathHashPolicy = value('net.ipv4.fib_multipath_hash_policy', 0)
  netns.ipNoPmtuDisc = value('net.ipv4.ip_no_pmtu_disc', 0)
  for (const device of netns.devices) {
    const own = (key: string, fallback: number): number =>
      sysctls[`net.ipv4.conf.${device.name}.${key}`] ??
      sysctls[`net.ipv4.conf.${device.name.replaceAll('.', '/')}.${key}`] ??
      value(`net.ipv4.conf.default.${key}`, fallback)
    const all = (key: string, fallback: number): number => value(`net.ipv4.conf.all.${key}`, fallback)
    const or = (key: string, fallback: number): number => (own(key, fallback) !== 0 || all(key, fallback) !== 0 ? 1 : 0)
    const max = (key: string): number => Math.max(own(key, 0), all(key, 0))
    device.forwarding = own('forwarding', netns.ipForward)
    device.rpFilter = max('rp_filter')
    device.acceptLocal = or('accept_local', 0)
    device.proxyArp = or('proxy_arp', 0)
    device.proxyArpPvlan = or('proxy_arp_pvlan', 0)
    device.proxyDelayNs = (neighbourSetting(sysctls, device.name, 'proxy_delay') * TICK_NS) / 2
    device.arpIgnore = max('arp_ignore')
    device.arpAnnounce = max('arp_announce')
    device.arpFilter = or('arp_filter', 0)
    // wg_open: the device sends none, and `all` is turned off with it
    device.sendRedirects = device.kind === DEVICE_WIREGUARD ? (sysctls[`net.ipv4.conf.${device.name}.send_redirects`] ?? 0) : or('send_redirects', 1)
    device.routeLocalnet = or('route_localnet', 0)
    device.srcValidMark = or('src_valid_mark', 0)
  }
}

function compileIcmpLimits(netns: Netns): IcmpLimits {
  const limits = new IcmpLimits()
  limits.rateNs = (netns.sysctls['net.ipv4.icmp_ratelimit'] ?? 1000) * 1e6
  limits.ratemask = netns.sysctls['net.ipv4.icmp_ratemask'] ?? limits.ratemask
  limits.messagesPerSecond = netns.sysctls['net.ipv4.icmp_msgs_per_sec'] ?? limits.messagesPerSecond
  limits.burst = netns.sysctls['net.ipv4.icmp_msgs_burst'] ?? limits.burst
  limits.reset()
  return limits
}

function loadNeighbours(netns: Netns, dataplane: Dataplane): void {
  for (const spec of dataplane.neighbours) {
    const table = deviceNamed(netns, spec.device)?.neighbours
    if (table === null || table === undefined) continue
    if (spec.proxy === true) {
      table.proxied.add(spec.address)
      continue
    }
    const permanent = spec.state === 'permanent' || spec.state === 'noarp'
    if (!permanent && netns.world.warm === 0) continue
    const neighbour = table.find(spec.address) ?? table.create(spec.address)
    neighbour.state = NEIGHBOUR_STATES[spec.state]
    neighbour.macHigh = macHigh(spec.mac ?? 0)
    neighbour.macLow = macLow(spec.mac ?? 0)
  }
}

function loadFdb(netns: Netns, dataplane: Dataplane): void {
  for (const spec of dataplane.fdb) {
    const device = deviceNamed(netns, spec.device)
    if (device === null) continue
    if (device.vxlan !== null && spec.destination !== undefined) {
      device.vxlan.add(macHigh(spec.mac), macLow(spec.mac), spec.destination, spec.port ?? device.vxlan.port, spec.vni ?? device.vxlan.vni)
    } else if (device.port !== null && spec.master !== undefined && spec.mac !== undefined) {
      // permanent is local, for the host itself; static leads to the port (br_fdb.c fdb_add_entry)
      device.port.bridge.addPermanent(macHigh(spec.mac), macLow(spec.mac), device.port, spec.state === 'permanent' ? 1 : 0)
    }
  }
}
