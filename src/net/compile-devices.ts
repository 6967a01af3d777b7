/** A netns's devices: made of their specs, then connected to peers, bridges and segments. From names to objects and integers (compile.ts says when). */
import { maskOf } from '../base/cidr.js'
import { macHigh, macLow } from '../base/mac.js'
import { unreachable } from '../base/assert.js'
import type { CableSpec, Dataplane, DeviceSpec } from '../dataplane/dataplane.js'
import { LOOPBACK } from '../dataplane/dataplane.js'
import { Bridge, BridgePort } from './bridge.js'
import { Device, DEVICE_KINDS, SCOPES, type DeviceAddress } from './device.js'
import { Ipip } from './ipip.js'
import { NeighTable } from './neigh.js'
import { deviceNamed, type Netns, type Sleeper } from './netns.js'
import { Tun } from './tun.js'
import { Vxlan } from './vxlan.js'
import { Wireguard, WireguardPeer } from './wireguard-peer.js'

export function compileDevices(netns: Netns, dataplane: Dataplane): void {
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
    device.addresses = spec === LOOPBACK ? LOOPBACK_ADDRESSES : compileAddresses(spec)
    if (spec.kind === 'loopback') netns.loopback = device
    else if (device.ethernet === 1) device.neighbours = new NeighTable(device)
  }
  netns.devices = netns.devices.slice()
}

const NO_ADDRESSES: readonly DeviceAddress[] = []
const LOOPBACK_ADDRESSES = compileAddresses(LOOPBACK)

function compileAddresses(spec: DeviceSpec): readonly DeviceAddress[] {
  if (spec.addresses.length === 0) return NO_ADDRESSES
  const addresses: DeviceAddress[] = []
  for (const { address, length, scope } of spec.addresses) {
    const secondary = addresses.some((other) => other.length === length && ((other.address ^ address) & maskOf(length)) === 0 && other.scope === SCOPES[scope])
    addresses.push({ address, length, scope: SCOPES[scope], secondary: secondary ? 1 : 0 })
  }
  // as long as it is, without the room that push makes
  return addresses.slice()
}

/** Who wakes together: where a cable of these devices may lead. */
export interface Roommates {
  readonly byName: ReadonlyMap<string, Netns>
  /** Has places for the cards on their segments. */
  readonly sleeper: Sleeper
}

const CHANCE_RANGE = 0x80000000

/** A place on the segment stays the card's when its cable is out: the switch knows whose MAC leads nowhere. */
function connectCable(device: Device, { cut = false, loss = 0, delayNs = 0 }: CableSpec): void {
  if (cut) device.carrier = 0
  device.cableLoss = Math.round(loss * CHANCE_RANGE)
  device.cableDelayNs = delayNs
}

export function connectDevices(netns: Netns, dataplane: Dataplane, { byName, sleeper }: Roommates): void {
  for (const spec of dataplane.devices) {
    const device = deviceNamed(netns, spec.name) as Device
    switch (spec.kind) {
      case 'nic': {
        const segment = netns.world.segments.find((candidate) => candidate.name === spec.segment)
        if (segment === undefined) device.carrier = 0
        else segment.plug(device, sleeper)
        if (spec.cable !== undefined) connectCable(device, spec.cable)
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
        netns.vxlanDevices = [...netns.vxlanDevices, device]
        break
      case 'ipip':
        device.ipip = compileIpip(spec)
        netns.ipipDevices = [...netns.ipipDevices, device]
        break
      case 'wireguard':
        device.wireguard = compileWireguard(spec, device)
        netns.wireguardDevices = [...netns.wireguardDevices, device]
        break
      case 'other':
        device.notModelled = spec.why ?? `not modelled: ${spec.name} is a device of kind ${spec.type}`
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
