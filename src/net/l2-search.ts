/**
 * The warm state of neighbours: who would answer an ARP request sent by a device, found by walking the layer-2 domain behind it
 * (veths, bridges, segments) and asking each host's own arpVerdict(). Run once per neighbour, then kept as REACHABLE.
 */
import { maskOf } from '../base/cidr.js'
import { DEVICE_BRIDGE, DEVICE_LOOPBACK, DEVICE_NIC, DEVICE_VETH, SCOPE_LINK, type Device } from './device.js'
import { ARP_ANSWERED, ARP_PROXIED, arpVerdict } from './arp.js'
import type { BridgePort } from './bridge.js'
import { inetSelectAddr } from './route-output.js'
import type { Neighbour } from './neigh.js'
import { NETNS_POD } from './netns.js'

/** Fills the entry's MAC when somebody would answer. */
export function answerTo(neighbour: Neighbour): boolean {
  const device = neighbour.device
  if (device.noArp === 1) return false
  const sender = inetSelectAddr(device, neighbour.address, SCOPE_LINK)
  // who answers for another waits before he does (pneigh_enqueue)
  const answering = firstAnswering(device, sender, neighbour.address, ARP_ANSWERED) ?? firstAnswering(device, sender, neighbour.address, ARP_PROXIED)
  if (answering === null) return false
  neighbour.macHigh = answering.macHigh
  neighbour.macLow = answering.macLow
  return true
}

function firstAnswering(from: Device, sender: number, target: number, verdict: number): Device | null {
  const seen = new Set<Device>([from])
  const pending = farEnds(from, target, null)
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    if (seen.has(next) || next.up === 0) continue
    seen.add(next)
    if (next.port !== null) {
      const bridge = next.port.bridge
      if (!seen.has(bridge.device) && answers(bridge.device, sender, target, verdict)) return bridge.device
      seen.add(bridge.device)
      for (const port of bridge.ports) if (port !== next.port) pending.push(...farEnds(port.device, target, null))
      continue
    }
    if (answers(next, sender, target, verdict)) return next
  }
  return null
}

function answers(device: Device, sender: number, target: number, verdict: number): boolean {
  return device.up === 1 && device.noArp === 0 && mayAnswer(device, target) && arpVerdict(device, sender, target) === verdict
}

/**
 * A pod that does not forward answers for what is its own alone. Most pods behind a bridge are asked in vain, and need no routing table for it.
 * @returns true where arpVerdict is to say
 */
function mayAnswer({ netns, forwarding }: Device, target: number): boolean {
  if (netns.role !== NETNS_POD || forwarding === 1) return true
  const holds = ({ kind, addresses }: Device): boolean =>
    addresses.some(({ address, length }) => address === target || (kind === DEVICE_LOOPBACK && ((address ^ target) & maskOf(length)) === 0))
  return netns.devices.some(holds) || netns.dataplane.routes.some(({ type }) => type === 'local')
}

/** The devices at which a broadcast frame sent by this one arrives first; hosts that sleep and cannot answer for the target stay asleep. */
function farEnds(device: Device, target: number, except: BridgePort | null): Device[] {
  if (device.up === 0) return []
  switch (device.kind) {
    case DEVICE_VETH:
      return device.peer === null ? [] : [device.peer]
    case DEVICE_NIC:
      return device.segment === null || device.carrier === 0 ? [] : device.segment.cardsThatMayAnswer(target, device)
    case DEVICE_BRIDGE:
      return (device.bridge?.ports ?? []).filter((port) => port !== except).flatMap((port) => farEnds(port.device, target, null))
    default:
      return []
  }
}
