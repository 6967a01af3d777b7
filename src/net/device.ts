/**
 * A network device (struct net_device): what every kind shares, with one field per kind that has more. Its per-device sysctls
 * (net.ipv4.conf.DEV.*) are compiled to integers, `all` already folded in as the kernel's IN_DEV_* macros do.
 */
import type { Bridge, BridgePort } from './bridge.js'
import type { Segment } from './link.js'
import type { NeighTable } from './neigh.js'
import type { Ipip } from './ipip.js'
import type { Netfilter } from './netfilter/netfilter.js'
import type { Netns } from './netns.js'
import type { Tun } from './tun.js'
import type { Vxlan } from './vxlan.js'
import type { Wireguard } from './wireguard-peer.js'

export const DEVICE_LOOPBACK = 0
export const DEVICE_NIC = 1
export const DEVICE_VETH = 2
export const DEVICE_BRIDGE = 3
export const DEVICE_TUN = 4
export const DEVICE_VXLAN = 5
export const DEVICE_IPIP = 6
export const DEVICE_WIREGUARD = 7
const DEVICE_DUMMY = 8
const DEVICE_OTHER = 9

/** The words for them, in specs and in documents; the index is DEVICE_*. */
export const DEVICE_KINDS = ['loopback', 'nic', 'veth', 'bridge', 'tun', 'vxlan', 'ipip', 'wireguard', 'dummy', 'other'] as const
export type DeviceKind = (typeof DEVICE_KINDS)[number]

export const SCOPE_GLOBAL = 0
const SCOPE_SITE = 200
export const SCOPE_LINK = 253
export const SCOPE_HOST = 254
const SCOPE_NOWHERE = 255

/** The words of `ip` for them. */
export const SCOPES = { global: SCOPE_GLOBAL, site: SCOPE_SITE, link: SCOPE_LINK, host: SCOPE_HOST, nowhere: SCOPE_NOWHERE } as const

/** An address of a device (struct in_ifaddr). */
export interface DeviceAddress {
  readonly address: number
  readonly length: number
  /** SCOPE_* */
  readonly scope: number
  /** 1: a further address of a subnet that an earlier one has (IFA_F_SECONDARY): never chosen as a source. */
  readonly secondary: number
}

/** net.ipv4.conf.DEV.*, net.ipv4.neigh.DEV.*: devices that no sysctl tells apart have one in common. */
export interface DeviceSettings {
  readonly forwarding: number
  readonly rpFilter: number
  readonly acceptLocal: number
  readonly proxyArp: number
  readonly proxyArpPvlan: number
  readonly arpIgnore: number
  readonly arpAnnounce: number
  readonly arpFilter: number
  readonly sendRedirects: number
  readonly routeLocalnet: number
  readonly srcValidMark: number
  /** base_reachable_time_ms: the kernel draws between half and one and a half of it (neigh_rand_reach_time); netsim takes the middle. */
  readonly reachableNs: number
  /** retrans_time_ms. */
  readonly retransmitNs: number
  /** delay_first_probe_time. */
  readonly firstProbeNs: number
  /** Questions before the neighbour has failed: to its MAC while PROBE, to all while INCOMPLETE. */
  readonly ucastSolicit: number
  readonly mcastSolicit: number
  /** locktime: for so long the first of several answers holds. */
  readonly locktimeNs: number
  /** How long it waits before it answers for somebody else: a kernel draws less than net.ipv4.neigh.DEV.proxy_delay, netsim takes the middle. */
  readonly proxyDelayNs: number
}

/** Of a device that is not compiled yet. */
const DEFAULT_SETTINGS: DeviceSettings = {
  forwarding: 0,
  rpFilter: 0,
  acceptLocal: 0,
  proxyArp: 0,
  proxyArpPvlan: 0,
  arpIgnore: 0,
  arpAnnounce: 0,
  arpFilter: 0,
  sendRedirects: 1,
  routeLocalnet: 0,
  srcValidMark: 0,
  reachableNs: 30e9,
  retransmitNs: 1e9,
  firstProbeNs: 5e9,
  ucastSolicit: 3,
  mcastSolicit: 3,
  locktimeNs: 1e9,
  proxyDelayNs: 0,
}

export class Device {
  /** Index in the world, unique over all netns. */
  readonly index: number
  readonly name: string
  readonly netns: Netns
  readonly kind: number
  ifindex = 0
  mtu: number
  macHigh = 0
  macLow = 0
  /** 1: it speaks Ethernet; 0: TUN, IPIP, WireGuard, and what is not modelled. */
  ethernet: number
  /** 1: no ARP is spoken on it (IFF_NOARP): loopback, TUN, tunnels. */
  noArp: number
  up = 1
  /** 0: no cable, or its peer is down. */
  carrier = 1
  addresses: readonly DeviceAddress[] = []

  settings: DeviceSettings = DEFAULT_SETTINGS

  /** veth: the other end. */
  peer: Device | null = null
  /** The bridge port it is, when it is one. */
  port: BridgePort | null = null
  bridge: Bridge | null = null
  vxlan: Vxlan | null = null
  ipip: Ipip | null = null
  wireguard: Wireguard | null = null
  tun: Tun | null = null
  segment: Segment | null = null
  /** Of its cable: how many of 2^31 frames are lost, each way. */
  cableLoss = 0
  /** Of its cable, over the segment's latency, ns. */
  cableDelayNs = 0
  /** 1: the segment drops packets of it, or for it, with an address that is none of its own. */
  sourceDestinationCheck = 0
  neighbours: NeighTable | null = null
  /** Why a packet that is to leave by it is INCOMPLETE, in words. */
  notModelled = 'this kind of device carries no packets in netsim yet'
  /** A card is sending until then (virtual time, ns). */
  busyUntilNs = 0

  /** Its row of what the patterns of the netns's rules say of it, and whose rules they are (netfilter/netfilter.ts). */
  patternRow = 0
  patternsOf: Netfilter | null = null

  // counters (ip -s link)
  rxPackets = 0
  txPackets = 0
  rxDropped = 0
  txDropped = 0

  constructor(netns: Netns, index: number, name: string, kind: number, mtu: number) {
    this.netns = netns
    this.index = index
    this.name = name
    this.kind = kind
    this.mtu = mtu
    this.ethernet = kind === DEVICE_TUN || kind === DEVICE_IPIP || kind === DEVICE_WIREGUARD || kind === DEVICE_OTHER ? 0 : 1
    this.noArp = kind === DEVICE_LOOPBACK || this.ethernet === 0 || kind === DEVICE_DUMMY ? 1 : 0
  }

  get forwarding(): number {
    return this.settings.forwarding
  }

  get rpFilter(): number {
    return this.settings.rpFilter
  }

  get acceptLocal(): number {
    return this.settings.acceptLocal
  }

  get proxyArp(): number {
    return this.settings.proxyArp
  }

  get proxyArpPvlan(): number {
    return this.settings.proxyArpPvlan
  }

  get arpIgnore(): number {
    return this.settings.arpIgnore
  }

  get arpAnnounce(): number {
    return this.settings.arpAnnounce
  }

  get arpFilter(): number {
    return this.settings.arpFilter
  }

  get sendRedirects(): number {
    return this.settings.sendRedirects
  }

  get routeLocalnet(): number {
    return this.settings.routeLocalnet
  }

  get srcValidMark(): number {
    return this.settings.srcValidMark
  }

  get reachableNs(): number {
    return this.settings.reachableNs
  }

  get retransmitNs(): number {
    return this.settings.retransmitNs
  }

  get firstProbeNs(): number {
    return this.settings.firstProbeNs
  }

  get ucastSolicit(): number {
    return this.settings.ucastSolicit
  }

  get mcastSolicit(): number {
    return this.settings.mcastSolicit
  }

  get locktimeNs(): number {
    return this.settings.locktimeNs
  }

  get proxyDelayNs(): number {
    return this.settings.proxyDelayNs
  }
}
