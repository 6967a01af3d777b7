/**
 * One network stack (struct net) and the world of them. Compiled once from Dataplanes (compile.ts), then changed only by what
 * runs in it: neighbours, FDBs, conntrack, caches.
 */
import { Prng } from '../base/prng.js'
import { Chance } from './chance.js'
import { Simulation } from '../sim/simulation.js'
import { Packet, PacketPool } from '../wire/packet.js'
import type { Dataplane, SocketSpec, UnknownParts } from '../dataplane/dataplane.js'
import type { Device } from './device.js'
import type { InFlight, Segment } from './link.js'
import type { Neighbour } from './neigh.js'
import type { Fib } from './fib.js'
import type { FragmentQueues, PendingQueue } from './ip-fragment.js'
import type { IcmpLimits } from './icmp.js'
import type { Conntrack } from './netfilter/conntrack.js'
import type { Netfilter } from './netfilter/netfilter.js'
import type { SocketTable } from './socket.js'
import { Trace } from './trace.js'
import { WireguardRegistry } from './wireguard-peer.js'

export const NETNS_NODE = 0
export const NETNS_POD = 1
export const NETNS_ROUTER = 2
/** A host beyond the cluster. */
export const NETNS_OUTSIDE = 3

/** Routers and hosts beyond: what happens on their devices is nobody's frame of the cluster. */
export function isBeyond({ role }: Pick<Netns, 'role'>): boolean {
  return role === NETNS_ROUTER || role === NETNS_OUTSIDE
}

/** What runs behind a named socket or a TUN in user space: flanneld's proxy, BIRD. Composed in by the network. */
export interface UserSpace {
  /** A packet has come to the socket, or has been written to the TUN by the kernel. The row is the callee's to keep or give back. */
  receive(packet: Packet, device: Device | null): void
  /** Forgets what is under way: the next question begins. */
  reset(): void
}

/** A host by its name, in a list of who may have which address. */
export interface Home {
  readonly name: string
  readonly list: AddressList
}

export interface AddressList {
  /** Names of the hosts that may answer for the address. Not sure is yes. */
  hostsWith(address: number): ReadonlySet<string>
}

/** What wakes together, a host with its pods: none of it is compiled until a packet comes or somebody asks (wake.ts). */
export interface Sleeper {
  /** Where it stands who it may answer for; absent: it is asked itself. */
  readonly home?: Home
  /** Might a card of it answer an ARP request for the address? Not sure is yes. */
  mayAnswer(address: number): boolean
  /** Cold. Once; later calls do nothing. */
  wake(): void
}

const NO_DEVICES: readonly Device[] = []

export class Netns {
  /** In World.netns: its place among all, asleep or awake, so that nothing hangs on who woke first. */
  readonly index: number
  readonly name: string
  /** NETNS_* : frames of a router are not part of a trace's frames. */
  readonly role: number
  readonly world: World
  /** 1: a cloud's fabric in the shape of a router: no hop to a packet, and it never speaks. */
  fabric = 0
  /** What it was compiled from. */
  dataplane!: Dataplane
  /** null: all of it is known. */
  unknown: UnknownParts | null = null
  devices: Device[] = []
  loopback!: Device
  private madeFib: Fib | null = null
  /** null while the netns has no iptables table at all: then no hook runs. */
  netfilter: Netfilter | null = null
  /** 1 once a packet was in it since the last question: it is among World.touched. */
  touched = 0
  /** 1 once a packet met a hook: counters, limits and connections are no longer as at the start. */
  netfilterUsed = 0
  /** null while no rule needs conntrack (no nat table, no ctstate match). */
  conntrack: Conntrack | null = null
  fragments!: FragmentQueues
  private madeIcmpLimits: IcmpLimits | null = null
  private madeSockets: SocketTable | null = null
  /** Those with a UDP socket of their own. */
  vxlanDevices = NO_DEVICES
  ipipDevices = NO_DEVICES
  wireguardDevices = NO_DEVICES
  socketSpecs: readonly SocketSpec[] = []

  // sysctls
  ipForward = 0
  defaultTtl = 64
  bridgeNfCallIptables = 0
  icmpEchoIgnoreAll = 0
  icmpEchoIgnoreBroadcasts = 1
  icmpErrorsUseInboundIfaddr = 0
  multipathHashPolicy = 0
  ipNoPmtuDisc = 0
  localPortMin = 32768
  localPortMax = 60999
  /** net.ipv4.conf.all.rp_filter etc. are folded into the devices. */
  sysctls: Readonly<Record<string, number>> = {}

  constructor(world: World, index: number, name: string, role: number) {
    this.world = world
    this.index = index
    this.name = name
    this.role = role
  }

  get fib(): Fib {
    return this.madeFib === null ? this.makeFib() : this.madeFib
  }

  set fib(fib: Fib) {
    this.madeFib = fib
  }

  get icmpLimits(): IcmpLimits {
    return this.madeIcmpLimits === null ? this.makeIcmpLimits() : this.madeIcmpLimits
  }

  get sockets(): SocketTable {
    return this.madeSockets === null ? this.makeSockets() : this.madeSockets
  }

  /** Cold. As the last question found it. */
  forgetQuestion(): void {
    this.madeIcmpLimits?.reset()
    this.madeSockets?.forget()
  }

  /** Cold. When the first packet asks, as the next two. */
  private makeIcmpLimits(): IcmpLimits {
    this.madeIcmpLimits = this.world.compileIcmpLimits(this)
    return this.madeIcmpLimits
  }

  /** Cold. */
  private makeSockets(): SocketTable {
    this.madeSockets = this.world.compileSockets(this)
    return this.madeSockets
  }

  /** Cold. Of a pod, when the first lookup asks: in a large world most of them are never asked. */
  private makeFib(): Fib {
    this.madeFib = this.world.compileFib(this)
    return this.madeFib
  }
}

/** Cold. */
export function deviceNamed(netns: Netns, name: string): Device | null {
  return netns.devices.find((device) => device.name === name) ?? null
}

export class World {
  readonly sim = new Simulation()
  /** Where walks write; another may take its place between two questions. */
  trace = new Trace(this.sim)
  readonly packets = new PacketPool()
  readonly segments: Segment[] = []
  readonly neighbours: Neighbour[] = []
  /** Datagrams being put together, for their timers. */
  readonly fragmentQueues: PendingQueue[] = []
  /** A scratch row for lookups about a packet that does not exist. */
  readonly probePacket: Packet = new Packet()
  inFlight!: InFlight
  readonly wireguard = new WireguardRegistry(this)
  readonly userSpaces: UserSpace[] = []
  /** Event handlers (sim), registered by the compiler. */
  arrivalHandler = 0
  neighbourTimer = 0
  fragmentTimer = 0
  proxyTimer = 0
  wireguardTimer = 0
  /** By Netns.index; holes for those that are asleep. */
  readonly netns: Netns[] = []
  /** In the order of waking. */
  readonly awake: Netns[] = []
  /** Those that hold something of the last question: what the next one has to make them forget. */
  readonly touched: Netns[] = []
  readonly devices: Device[] = []
  readonly sleepers: Sleeper[] = []
  prng!: Prng
  readonly chance = new Chance()
  /** What a UDP server answers the question with; null: it swallows. */
  datagramAnswer: Uint8Array | null = null
  /** Seeds the flow hashes (a kernel draws its own at boot). */
  hashSeed = 0
  /** 1: neighbours that would answer are known, bridges have learned (the default question); 0: nothing dynamic is known. */
  warm = 1
  /** Words that steps refer to by number; 0 is the empty one. */
  readonly words: string[] = ['']
  private readonly wordIds = new Map<string, number>([['', 0]])
  private nextPacketId = 1
  /** Rows of the question (no ARP, no flooded copy) that are still on their way: when it is 0 the question is answered. */
  live = 0
  /** 1 while the kernel's own ICMP message is on its way out: the CPU's ICMP socket is taken (icmp_xmit_lock). */
  icmpSocketHeld = 0

  /**
   * The softirq backlog: frames handed to a device of the same machine, taken in order (net/core/dev.c process_backlog). A
   * ring, so that nothing is allocated.
   */
  private backlogPackets: (Packet | null)[] = new Array<Packet | null>(256).fill(null)
  private backlogDevices: (Device | null)[] = new Array<Device | null>(256).fill(null)
  private backlogHead = 0
  private backlogCount = 0
  private draining = 0
  /** Set by the compiler. */
  compileFib!: (netns: Netns) => Fib
  compileIcmpLimits!: (netns: Netns) => IcmpLimits
  compileSockets!: (netns: Netns) => SocketTable
  /** Set by net/device-receive: what a frame that leaves the backlog is given to. */
  receive!: (packet: Packet, device: Device) => void

  constructor(seed: number) {
    this.reseed(seed)
  }

  /** Cold. */
  wakeAll(): void {
    for (const sleeper of this.sleepers) sleeper.wake()
  }

  /** Cold. Whoever might have the address. */
  wakeOwners(address: number): void {
    for (const sleeper of this.sleepers) if (sleeper.mayAnswer(address)) sleeper.wake()
  }

  /** Chance starts anew: the same seed gives the same bytes. */
  reseed(seed: number): void {
    this.prng = new Prng(seed)
    this.hashSeed = this.prng.nextInt32()
    this.chance.rewind()
    this.nextPacketId = 1
  }

  /** A packet is in it, or something of a question is put there. */
  touch(netns: Netns): void {
    if (netns.touched === 1) return
    netns.touched = 1
    this.touched.push(netns)
  }

  newPacketId(): number {
    return this.nextPacketId++
  }

  /** Number of a word, for steps. Cold. */
  word(text: string): number {
    const known = this.wordIds.get(text)
    if (known !== undefined) return known
    const id = this.words.push(text) - 1
    this.wordIds.set(text, id)
    return id
  }

  /** netif_rx: the frame arrives at the device once the current softirq work is done. */
  enqueue(packet: Packet, device: Device): void {
    if (this.backlogCount === this.backlogPackets.length) this.growBacklog()
    const at = (this.backlogHead + this.backlogCount++) & (this.backlogPackets.length - 1)
    this.backlogPackets[at] = packet
    this.backlogDevices[at] = device
  }

  /** Runs the backlog to its end; nested calls (a send from within a receive) leave it to the outer one, as the kernel does. */
  drain(): void {
    if (this.draining === 1) return
    this.draining = 1
    while (this.backlogCount > 0) {
      const at = this.backlogHead
      this.backlogHead = (at + 1) & (this.backlogPackets.length - 1)
      this.backlogCount--
      this.receive(this.backlogPackets[at] as Packet, this.backlogDevices[at] as Device)
    }
    this.draining = 0
  }

  private growBacklog(): void {
    const size = this.backlogPackets.length
    const packets = new Array<Packet | null>(size * 2).fill(null)
    const devices = new Array<Device | null>(size * 2).fill(null)
    for (let i = 0; i < size; i++) {
      const at = (this.backlogHead + i) & (size - 1)
      packets[i] = this.backlogPackets[at]
      devices[i] = this.backlogDevices[at]
    }
    this.backlogPackets = packets
    this.backlogDevices = devices
    this.backlogHead = 0
  }
}
