/**
 * What kernels remember from one packet to the next: neighbours with their states and ages, what bridges have learned, connections with their timeouts and
 * translations, path MTUs, lists of addresses lately seen, TCP connections that a listener has accepted. Taken from a world by name, so that it may be put
 * into another one: composed anew of other Dataplanes, at a later time. Times are of the run's clock; those of the world count from its question.
 *
 *   question at T ─▶ takeMemory ─▶ … ─▶ putMemory: a fresh world, its clock at 0 = T'; what ran out meanwhile is gone, what waited for a timer has had it
 *
 * Not kept: fragments, counters, the buckets of xt_limit and of ICMP's rates (each question finds them full), WireGuard sessions (warm: they are up), what
 * VXLAN devices that learn have learned, sets that rules change.
 */
import { macHigh, macLow } from '../base/mac.js'
import { DEVICE_NIC, type Device } from './device.js'
import { RouteResult } from './fib.js'
import { answerTo } from './l2-search.js'
import { Neighbour, NUD_FAILED, NUD_INCOMPLETE, NUD_IN_TIMER, NUD_NOARP, NUD_NONE, NUD_PERMANENT, resumeTimer, type NeighTable } from './neigh.js'
import type { Conntrack } from './netfilter/conntrack.js'
import { E_ID, E_MASQUERADE, E_NEXT, E_PREVIOUS_BY_SOURCE, E_REPLY_DST, ENTRY_STRIDE } from './netfilter/conntrack-tuple.js'
import { deviceNamed, NETNS_POD, type Netns, type World } from './netns.js'
import { routeOutput } from './route-output.js'

/** net.ipv4.route.mtu_expires. */
const PATH_MTU_NS = 600e9

export interface KernelMemory {
  /** Time at which it was so, ns. */
  readonly atNs: number
  readonly netns: ReadonlyMap<string, NetnsMemory>
}

export interface NetnsMemory {
  readonly identity: string
  readonly neighbours: readonly NeighbourMemory[]
  readonly stations: readonly StationMemory[]
  /** Oldest first. */
  readonly connections: readonly ConnectionMemory[]
  /** Number of the next one; 0: no connections are tracked. */
  readonly nextConnection: number
  readonly pathMtus: readonly PathMtuMemory[]
  readonly recents: readonly RecentMemory[]
  /** Peer address, peer port, own port, one after the other. */
  readonly accepted: readonly number[]
}

interface OnDevice {
  readonly device: string
  /** Kind and MAC: another device of that name has another memory. */
  readonly deviceIdentity: string
}

export interface NeighbourMemory extends OnDevice {
  readonly address: number
  readonly macHigh: number
  readonly macLow: number
  /** NUD_* */
  readonly state: number
  readonly confirmedNs: number
  readonly updatedNs: number
  readonly probes: number
  readonly headerCached: number
  /** When its timer fires; of states that have none, -1. */
  readonly timerNs: number
}

export interface StationMemory extends OnDevice {
  readonly mac: number
  readonly port: string
  readonly heardNs: number
}

export interface ConnectionMemory {
  /** Its row in the table, E_*; links are 0. */
  readonly row: Int32Array
  readonly expiresNs: number
  readonly streamNs: number
  /** Whose address MASQUERADE chose. */
  readonly masquerade?: string
}

export interface PathMtuMemory {
  readonly destination: number
  readonly mtu: number
  readonly learnedNs: number
  /** It hangs on the next hop (struct fib_nh_exception), and goes with it. */
  readonly nextHop: string
}

export interface RecentMemory {
  readonly list: string
  /** In the order of last touch. */
  readonly entries: readonly { readonly address: number; readonly next: number; readonly stamps: readonly number[] }[]
}

export const NO_MEMORY: KernelMemory = { atNs: -Infinity, netns: new Map() }

/**
 * What the awake netns of the world hold now.
 * @param zeroNs what the run's clock says at 0 of the world's
 * @param before what was put in: path MTUs do not know their age
 */
export function takeMemory(world: World, zeroNs: number, before: KernelMemory = NO_MEMORY): KernelMemory {
  const all = new Map<string, NetnsMemory>()
  for (const netns of [...world.awake].sort((a, b) => a.index - b.index)) {
    const memory = netnsMemory(netns, zeroNs, before.netns.get(netns.name))
    if (!isEmpty(memory)) all.set(netns.name, memory)
  }
  return { atNs: zeroNs + world.sim.nowNs, netns: all }
}

function isEmpty({ neighbours, stations, nextConnection, pathMtus, recents, accepted }: NetnsMemory): boolean {
  return nextConnection <= 1 && [neighbours, stations, pathMtus, recents, accepted].every(({ length }) => length === 0)
}

function netnsMemory(netns: Netns, zeroNs: number, before: NetnsMemory | undefined): NetnsMemory {
  return {
    identity: identityOf(netns),
    neighbours: netns.devices.flatMap((device) => neighboursOf(device, zeroNs)),
    stations: netns.devices.flatMap((device) => stationsOf(device, zeroNs)),
    connections: netns.conntrack === null ? [] : connectionsOf(netns.conntrack, zeroNs),
    nextConnection: netns.conntrack?.next ?? 0,
    pathMtus: pathMtusOf(netns, zeroNs, before?.pathMtus ?? []),
    recents: recentsOf(netns, zeroNs),
    accepted: [...netns.sockets.accepted],
  }
}

/** A pod that was made anew under its name is another one; a host is known by its cards. */
function identityOf(netns: Netns): string {
  const isPod = netns.role === NETNS_POD
  const known = netns.devices.filter(({ kind, peer }) => kind === DEVICE_NIC || (isPod && peer !== null))
  const words = known.map((device) => `${device.name} ${macOf(device)} ${isPod ? device.addresses.map(({ address }) => address).join(',') : ''}`)
  return [netns.role, ...words].join(' ')
}

function macOf(device: Device): number {
  return device.macHigh * 0x100000000 + (device.macLow >>> 0)
}

function deviceIdentity(device: Device): string {
  return `${device.kind} ${macOf(device)}`
}

function neighboursOf(device: Device, zeroNs: number): NeighbourMemory[] {
  if (device.neighbours === null) return []
  const kept = [...device.neighbours.all()].filter(({ state }) => state !== NUD_NONE && (state & (NUD_PERMANENT | NUD_NOARP)) === 0)
  return kept.map((neighbour) => ({
    device: device.name,
    deviceIdentity: deviceIdentity(device),
    address: neighbour.address,
    macHigh: neighbour.macHigh,
    macLow: neighbour.macLow,
    state: neighbour.state,
    confirmedNs: zeroNs + neighbour.confirmedNs,
    updatedNs: zeroNs + neighbour.updatedNs,
    probes: neighbour.probes,
    headerCached: neighbour.headerCached,
    timerNs: (neighbour.state & NUD_IN_TIMER) === 0 ? -1 : zeroNs + neighbour.timerNs,
  }))
}

function stationsOf(device: Device, zeroNs: number): StationMemory[] {
  const learned = device.bridge?.learned() ?? []
  return learned.map(([mac, port, heardNs]) => ({
    device: device.name,
    deviceIdentity: deviceIdentity(device),
    mac,
    port: port.device.name,
    heardNs: zeroNs + heardNs,
  }))
}

function connectionsOf(conntrack: Conntrack, zeroNs: number): ConnectionMemory[] {
  const { world } = conntrack.netns
  const kept: ConnectionMemory[] = []
  for (let slot = 0; slot < conntrack.used; slot++) {
    if (!conntrack.isLive(slot) || conntrack.expires[slot] <= world.sim.nowNs) continue
    const row = conntrack.rows.slice(slot * ENTRY_STRIDE, (slot + 1) * ENTRY_STRIDE)
    row.fill(0, E_NEXT, E_PREVIOUS_BY_SOURCE + 1)
    const masquerade = row[E_MASQUERADE]
    row[E_MASQUERADE] = 0
    kept.push({
      row,
      expiresNs: zeroNs + conntrack.expires[slot],
      streamNs: zeroNs + conntrack.streamOf(slot),
      ...(masquerade === 0 ? {} : { masquerade: world.devices[masquerade - 1].name }),
    })
  }
  return kept.sort((a, b) => a.row[E_ID] - b.row[E_ID])
}

function pathMtusOf(netns: Netns, zeroNs: number, before: readonly PathMtuMemory[]): PathMtuMemory[] {
  const nowNs = zeroNs + netns.world.sim.nowNs
  return [...netns.fib.pathMtus].map(([destination, mtu]) => {
    const known = before.find((one) => one.destination === destination && one.mtu === mtu)
    return { destination, mtu, learnedNs: known?.learnedNs ?? nowNs, nextHop: nextHopOf(netns, destination) }
  })
}

const NEXT_HOP = new RouteResult()

function nextHopOf(netns: Netns, destination: number): string {
  const packet = netns.world.probePacket
  packet.src = 0
  packet.dst = destination
  packet.tos = 0
  packet.mark = 0
  packet.proto = 0
  return routeOutput(netns, packet, null, NEXT_HOP) === 0 ? `${NEXT_HOP.gateway} ${NEXT_HOP.device?.name ?? ''}` : ''
}

function recentsOf(netns: Netns, zeroNs: number): RecentMemory[] {
  const lists = [...(netns.netfilter?.recents.lists ?? [])].filter(([, { entries }]) => entries.size > 0)
  return lists.map(([list, { entries }]) => ({
    list,
    entries: [...entries].map(([address, { next, stamps }]) => ({ address, next, stamps: stamps.map((stamp) => zeroNs + stamp) })),
  }))
}

/**
 * Into a world that resetWorld() has just made fresh. Its clock then stands at 0, which is `zeroNs` of the run's; what fired between the memory's time and that
 * has fired in this world: neighbours in doubt were asked.
 * @param netnsNamed wakes it
 */
export function putMemory(world: World, memory: KernelMemory, zeroNs: number, netnsNamed: (name: string) => Netns | undefined): void {
  const startNs = Number.isFinite(memory.atNs) ? Math.min(0, memory.atNs - zeroNs) : 0
  world.sim.nowNs = startNs
  for (const [name, known] of memory.netns) {
    const netns = netnsNamed(name)
    if (netns !== undefined && identityOf(netns) === known.identity) putNetns(netns, known, zeroNs)
  }
  for (const device of world.devices) device.busyUntilNs = startNs
  world.sim.run(0)
  world.sim.nowNs = 0
}

function putNetns(netns: Netns, known: NetnsMemory, zeroNs: number): void {
  netns.world.touch(netns)
  for (const neighbour of known.neighbours) putNeighbour(netns, neighbour, zeroNs)
  for (const { device: name, deviceIdentity: identity, mac, port: portName, heardNs } of known.stations) {
    const device = deviceNamed(netns, name)
    const port = deviceNamed(netns, portName)?.port ?? null
    if (device === null || device.bridge === null || port?.bridge !== device.bridge || deviceIdentity(device) !== identity) continue
    // br_stp_disable_port: what was learned goes with its port
    if (port.device.up === 1 && port.device.carrier === 1) device.bridge.recall(macHigh(mac), macLow(mac), port, heardNs - zeroNs)
  }
  if (netns.conntrack !== null && known.nextConnection > 0) {
    for (const connection of known.connections) putConnection(netns.conntrack, connection, zeroNs)
    netns.conntrack.next = known.nextConnection
    netns.netfilterUsed = 1
  }
  for (const { destination, mtu, learnedNs, nextHop } of known.pathMtus) {
    if (zeroNs - learnedNs < PATH_MTU_NS && nextHopOf(netns, destination) === nextHop) netns.fib.pathMtus.set(destination, mtu)
  }
  putRecents(netns, known.recents, zeroNs)
  netns.sockets.accepted.push(...known.accepted)
  if (known.recents.length > 0) netns.netfilterUsed = 1
}

function putNeighbour(netns: Netns, known: NeighbourMemory, zeroNs: number): void {
  const device = deviceNamed(netns, known.device)
  // neigh_ifdown, and neigh_carrier_down (net.ipv4.conf.*.arp_evict_nocarrier is 1)
  if (device === null || device.neighbours === null || device.up === 0 || !hasCarrier(device) || deviceIdentity(device) !== known.deviceIdentity) return
  const table: NeighTable = device.neighbours
  const neighbour: Neighbour = table.find(known.address) ?? table.create(known.address)
  if ((neighbour.state & (NUD_PERMANENT | NUD_NOARP)) !== 0) return
  neighbour.macHigh = known.macHigh
  neighbour.macLow = known.macLow
  neighbour.state = known.state
  neighbour.confirmedNs = known.confirmedNs - zeroNs
  neighbour.updatedNs = known.updatedNs - zeroNs
  neighbour.probes = known.probes
  neighbour.headerCached = known.state === NUD_FAILED ? 0 : known.headerCached
  if (known.timerNs >= 0) resumeTimer(neighbour, Math.max(0, known.timerNs - zeroNs - netns.world.sim.nowNs))
}

/** A bridge has one while a port of it has (net/bridge/br_stp_if.c, br_port_state_selection). */
function hasCarrier({ bridge, carrier }: Device): boolean {
  if (bridge === null) return carrier === 1
  return bridge.ports.some(({ device }) => device.up === 1 && device.carrier === 1)
}

function putConnection(conntrack: Conntrack, { row, expiresNs, streamNs, masquerade }: ConnectionMemory, zeroNs: number): void {
  if (expiresNs <= zeroNs) return
  if (masquerade === undefined) {
    conntrack.recall(row, expiresNs - zeroNs, streamNs - zeroNs)
    return
  }
  // masq_device_event, masq_inet_event: a masqueraded connection ends with the device or its address
  const device = deviceNamed(conntrack.netns, masquerade)
  if (device === null || device.up === 0 || !device.addresses.some(({ address }) => address === row[E_REPLY_DST])) return
  const known = row.slice()
  known[E_MASQUERADE] = device.index + 1
  conntrack.recall(known, expiresNs - zeroNs, streamNs - zeroNs)
}

/** xt_recent's lists outlive the rules that name them while a rule does. */
function putRecents(netns: Netns, recents: readonly RecentMemory[], zeroNs: number): void {
  for (const { list, entries } of recents) {
    const found = netns.netfilter?.recents.lists.get(list)
    if (found === undefined) continue
    for (const { address, next, stamps } of entries) found.entries.set(address, { next, stamps: stamps.map((stamp) => stamp - zeroNs) })
  }
}

/** Nobody has used it for so long that no packet of a flow that goes on will. */
const FORSAKEN_NS = 90e9

/**
 * Is all that the world's kernels remember what a fresh one would find? Then it stays so while nothing changes, and a packet that has been answered is answered
 * alike again: neighbours that are believed in would answer, those that failed would not, and no path has been learned to be narrow.
 */
export function isSettled(world: World): boolean {
  return world.awake.every((netns) => netns.fib.pathMtus.size === 0 && netns.devices.every((device) => areSettled(device, world.sim.nowNs)))
}

function areSettled(device: Device, nowNs: number): boolean {
  if (device.neighbours === null) return true
  return [...device.neighbours.all()].every(({ address, state, macHigh: high, macLow: low, confirmedNs, updatedNs }) => {
    if (state === NUD_NONE || (state & (NUD_PERMANENT | NUD_NOARP)) !== 0) return true
    if ((state & NUD_IN_TIMER) === 0 && nowNs - Math.max(confirmedNs, updatedNs) > FORSAKEN_NS) return true
    const fresh = new Neighbour(device, address)
    const answers = answerTo(fresh)
    if (state === NUD_FAILED || state === NUD_INCOMPLETE) return !answers
    return answers && fresh.macHigh === high && fresh.macLow === low
  })
}

/**
 * As if the kernels had gone on like this for so long: what was renewed since an earlier memory has been renewed on; of the rest connections have grown older.
 * For packets that need not be walked.
 */
export function laterMemory(memory: KernelMemory, earlier: KernelMemory, byNs: number): KernelMemory {
  const netns = [...memory.netns].map(([name, known]): [string, NetnsMemory] => {
    const before = new Map(earlier.netns.get(name)?.connections.map(({ row, expiresNs }) => [row[E_ID], expiresNs]))
    const isRenewed = ({ row, expiresNs }: ConnectionMemory): boolean => before.get(row[E_ID]) !== expiresNs
    return [
      name,
      {
        ...known,
        neighbours: known.neighbours.map((neighbour) => laterNeighbour(neighbour, byNs)),
        stations: known.stations.map((station) => ({ ...station, heardNs: station.heardNs + byNs })),
        connections: known.connections.map((one) => (isRenewed(one) ? { ...one, expiresNs: one.expiresNs + byNs } : one)),
        recents: known.recents.map((recent) => ({
          ...recent,
          entries: recent.entries.map((entry) => ({ ...entry, stamps: entry.stamps.map((stamp) => stamp + byNs) })),
        })),
      },
    ]
  })
  return { atNs: memory.atNs + byNs, netns: new Map(netns) }
}

function laterNeighbour(neighbour: NeighbourMemory, byNs: number): NeighbourMemory {
  const { confirmedNs, updatedNs, timerNs } = neighbour
  return { ...neighbour, confirmedNs: confirmedNs + byNs, updatedNs: updatedNs + byNs, timerNs: timerNs < 0 ? -1 : timerNs + byNs }
}

/** Without what the netns of these names hold: their kernels have stopped. */
export function forgetNetns(memory: KernelMemory, names: ReadonlySet<string>): KernelMemory {
  if (![...names].some((name) => memory.netns.has(name))) return memory
  return { ...memory, netns: new Map([...memory.netns].filter(([name]) => !names.has(name))) }
}

/** Who has the address says so himself (gratuitous ARP): what was known of it before is of no use. */
export function forgetNeighbours(memory: KernelMemory, netns: ReadonlySet<string>, addresses: ReadonlySet<number>): KernelMemory {
  const isOld = ({ address }: NeighbourMemory): boolean => addresses.has(address)
  const told = [...memory.netns].filter(([name, { neighbours }]) => netns.has(name) && neighbours.some(isOld))
  if (told.length === 0) return memory
  const changed = told.map(([name, known]): [string, NetnsMemory] => [name, { ...known, neighbours: known.neighbours.filter((one) => !isOld(one)) }])
  return { ...memory, netns: new Map([...memory.netns, ...changed]) }
}

/** Without the connections of a netns that somebody deletes (`conntrack -D`). */
export function forgetConnections(memory: KernelMemory, netns: string, isGone: (row: Int32Array) => boolean): KernelMemory {
  const known = memory.netns.get(netns)
  if (known === undefined || !known.connections.some(({ row }) => isGone(row))) return memory
  const kept = { ...known, connections: known.connections.filter(({ row }) => !isGone(row)) }
  return { ...memory, netns: new Map([...memory.netns, [netns, kept]]) }
}
