/**
 * The warm state of neighbours: who would answer an ARP request sent by a device, found by walking the layer-2 domain behind it
 * (veths, bridges, segments) and asking each host's own arpVerdict(). Run once per neighbour, then kept as REACHABLE.
 */
import { DEVICE_BRIDGE, DEVICE_LOOPBACK, DEVICE_NIC, DEVICE_VETH, SCOPE_LINK, type Device } from './device.js'
import { ARP_ANSWERED, ARP_PROXIED, arpVerdict } from './arp.js'
import type { Bridge, BridgePort } from './bridge.js'
import { isLoopback } from './fib.js'
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
      for (const port of portsToward(bridge, target)) if (port !== next.port) pending.push(...farEnds(port.device, target, null))
      continue
    }
    if (answers(next, sender, target, verdict)) return next
  }
  return null
}

function answers(device: Device, sender: number, target: number, verdict: number): boolean {
  return device.up === 1 && device.noArp === 0 && arpVerdict(device, sender, target) === verdict
}

/** Where the ports of a bridge lead, by their places among them. */
interface PortIndex {
  readonly ports: number
  /** Address → ports behind which a pod has it that answers for its own addresses alone. */
  readonly own: ReadonlyMap<number, readonly number[]>
  /** All others. */
  readonly others: readonly number[]
}

const INDEXES = new WeakMap<Bridge, PortIndex>()

/** Those behind which somebody may answer for the address, in their order: most pods of a bridge would be asked in vain, and need no routing table for it. */
function portsToward(bridge: Bridge, target: number): readonly BridgePort[] {
  if (isLoopback(target)) return bridge.ports
  let index = INDEXES.get(bridge)
  if (index?.ports !== bridge.ports.length) {
    index = indexOf(bridge.ports)
    INDEXES.set(bridge, index)
  }
  const own = index.own.get(target)
  const places = own === undefined ? index.others : [...own, ...index.others].sort((a, b) => a - b)
  return places.map((at) => bridge.ports[at])
}

function indexOf(ports: readonly BridgePort[]): PortIndex {
  const own = new Map<number, number[]>()
  const others: number[] = []
  for (const [at, { device }] of ports.entries()) {
    const addresses = device.kind === DEVICE_VETH && device.peer !== null ? ownAddresses(device.peer) : undefined
    if (addresses === undefined) others.push(at)
    else for (const address of new Set(addresses)) own.set(address, [...(own.get(address) ?? []), at])
  }
  return { ports: ports.length, own, others }
}

/** All that the pod would answer for, 127.0.0.0/8 aside; undefined where arpVerdict is to say. */
function ownAddresses({ netns, forwarding, port }: Device): readonly number[] | undefined {
  if (netns.role !== NETNS_POD || forwarding === 1 || port !== null) return undefined
  if (netns.dataplane.routes.some(({ type }) => type === 'local')) return undefined
  const isWhole = ({ kind, addresses }: Device): boolean =>
    kind === DEVICE_LOOPBACK && addresses.some(({ address, length }) => length < 32 && (!isLoopback(address) || length < 8))
  return netns.devices.some(isWhole) ? undefined : netns.devices.flatMap(({ addresses }) => addresses.map(({ address }) => address))
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
      if (device.bridge === null) return []
      return portsToward(device.bridge, target)
        .filter((port) => port !== except)
        .flatMap((port) => farEnds(port.device, target, null))
    default:
      return []
  }
}
