/**
 * The warm state of netsim's model as entries that can be put into a kernel: which neighbour each device would have learnt, which station each
 * bridge has heard behind which port. The model finds both when a packet first needs them (net/l2-search.ts, net/bridge.ts locateStation);
 * here they are all asked for beforehand.
 */
import { maskOf } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import { formatMac, macOf } from '../base/mac.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import { DEVICE_NIC, DEVICE_VETH, type Device } from '../net/device.js'
import { answerTo } from '../net/l2-search.js'
import { Neighbour } from '../net/neigh.js'
import type { Netns } from '../net/netns.js'
import { read16, read32 } from '../wire/bytes.js'
import { ETHERTYPE_IPV4 } from '../wire/packet.js'
import type { LabNetwork } from './lab-types.js'
import type { Prediction } from './prediction.js'

/** [netns, device, address, MAC, state as `ip neigh` has it] */
type NeighbourEntry = readonly [string, string, string, string, string]
/** [netns, port, MAC] */
type StationEntry = readonly [string, string, string]

export interface StateMessage extends Readonly<Record<string, unknown>> {
  readonly neighbours: readonly NeighbourEntry[]
  readonly stations: readonly StationEntry[]
}

/** Everything dynamic is forgotten and this takes its place. */
export function warmState(network: LabNetwork): StateMessage {
  const { devices } = network.world
  return {
    neighbours: warmNeighbours(
      network,
      devices.flatMap((device) => device.addresses.map(({ address }) => address)),
    ),
    stations: devices.flatMap((device) => stationsBehind(device)),
  }
}

/** Of these addresses, and of the gateways. */
export function warmNeighbours({ world }: Pick<LabNetwork, 'world'>, addresses: readonly number[]): readonly NeighbourEntry[] {
  const known = [...new Set(addresses)]
  return world.netns.flatMap((netns) => neighboursOf(netns, netns.dataplane, known))
}

/** Of whoever a question makes speak, spoofed or translated: somebody may answer for those too (proxy ARP). */
export function addressesIn({ outcome, frames }: Pick<Prediction, 'outcome' | 'frames'>): readonly number[] {
  const found = new Set([outcome.destination.address])
  for (const { bytes, link } of frames) {
    const at = link === 'ethernet' ? ETHERNET_HEADER : 0
    if (link === 'ethernet' && read16(bytes, ETHERNET_HEADER - 2) !== ETHERTYPE_IPV4) continue
    found.add(read32(bytes, at + 12))
    found.add(read32(bytes, at + 16))
  }
  return [...found]
}

const ETHERNET_HEADER = 14

export function coldState(): StateMessage {
  return { neighbours: [], stations: [] }
}

function neighboursOf(netns: Netns, dataplane: Dataplane, known: readonly number[]): NeighbourEntry[] {
  const entries: NeighbourEntry[] = []
  const own = new Set(netns.devices.flatMap((device) => device.addresses.map(({ address }) => address)))
  const said = new Set<string>()
  for (const { device, address, mac, state, proxy } of dataplane.neighbours) {
    if (proxy === true) continue
    said.add(`${device} ${address}`)
    if (state !== 'permanent' && state !== 'noarp' && mac !== undefined) entries.push([netns.name, device, formatIp(address), formatMac(mac), state])
  }
  for (const [device, addresses] of nextHopsOf(netns, known)) {
    for (const address of addresses) {
      if (own.has(address) || said.has(`${device.name} ${address}`)) continue
      const neighbour = new Neighbour(device, address)
      if (answerTo(neighbour)) entries.push([netns.name, device.name, formatIp(address), formatMac(macOf(neighbour.macHigh, neighbour.macLow)), 'reachable'])
    }
  }
  return entries
}

/** Whom a device may be asked to reach: the gateways behind it, and whatever its routes say is on its link. */
function nextHopsOf(netns: Netns, known: readonly number[]): ReadonlyMap<Device, ReadonlySet<number>> {
  const found = new Map<Device, Set<number>>()
  const add = (device: Device | null, addresses: readonly number[]): void => {
    if (device === null || device.up === 0 || device.neighbours === null) return
    const list = found.get(device) ?? new Set()
    addresses.forEach((address) => list.add(address))
    found.set(device, list)
  }
  const within = (base: number, length: number): readonly number[] => known.filter((address) => ((address ^ base) & maskOf(length)) === 0)
  for (const { base, length, gateway, device, nexthops } of netns.fib.routes) {
    for (const hop of nexthops ?? [{ gateway, device }]) add(hop.device, hop.gateway === 0 ? within(base, length) : [hop.gateway])
  }
  return found
}

/** locateStation: the far end of a veth, the other cards of a segment. */
function stationsBehind(device: Device): StationEntry[] {
  const { port } = device
  if (port === null || port.learning === 0 || device.up === 0) return []
  const far =
    device.kind === DEVICE_VETH ? (device.peer === null || device.peer.up === 0 ? [] : [device.peer]) : device.kind === DEVICE_NIC ? cardsBeside(device) : []
  return far
    .filter(({ macHigh, macLow }) => {
      const slot = port.bridge.find(macHigh, macLow)
      return slot < 0 || port.bridge.isPermanent(slot) === 0
    })
    .map(({ macHigh, macLow }) => [device.netns.name, device.name, formatMac(macOf(macHigh, macLow))])
}

function cardsBeside(device: Device): readonly Device[] {
  return device.segment === null ? [] : device.segment.members.filter((member) => member !== device && member.carrier === 1)
}
