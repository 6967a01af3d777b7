/**
 * One netns as data: what agents render, what the kernel model compiles, what a real kernel can load and what a dump of a
 * real node can replace. The waist of the hourglass: plain readonly objects, no behaviour.
 *
 *   agents (flannel, docker, …) ──render──▶ Dataplane ──compile──▶ net/   (simulated kernel)
 *                                              ▲  │ └───load────▶ kernel/ (a real one)
 *                             text of ip, bridge, iptables-save, ipset save (both ways)
 */
import type { Cidr } from '../base/cidr.js'
import { ip, type Ip } from '../base/ip.js'
import { ZERO_MAC, type Mac } from '../base/mac.js'
import type { IptablesState } from './iptables.js'
import type { IpSet } from './ipset.js'

export interface Dataplane {
  /** The node's name, or `namespace/pod`, or `router/NAME`. */
  readonly netns: string
  readonly devices: readonly DeviceSpec[]
  readonly routes: readonly RouteSpec[]
  /** `routes` is all that the kernel has: those that it makes of addresses are among them, or somebody took them away. Absent: they are made. */
  readonly routesAreAll?: boolean
  readonly rules: readonly RoutingRuleSpec[]
  readonly neighbours: readonly NeighbourSpec[]
  readonly fdb: readonly FdbSpec[]
  /** As `sysctl -w` names them, dots: `net.ipv4.ip_forward`. Those absent have the kernel's default. */
  readonly sysctls: Readonly<Record<string, number>>
  readonly iptables: IptablesState
  readonly ipsets: readonly IpSet[]
  readonly sockets: readonly SocketSpec[]
  /** Where it is not all that the kernel has: what is lost for want of it is INCOMPLETE. */
  readonly unknown?: UnknownParts
}

/** A part of a netns that somebody who looked at it may not have seen. */
export type UnknownPart = 'routes' | 'rules' | 'neighbours' | 'fdb' | 'sysctls' | 'iptables' | 'sockets'
/** Why nothing is known of each, in words. */
export type UnknownParts = Readonly<Partial<Record<UnknownPart, string>>>

/** Who wrote a thing and why: shown with the step that it decides. */
export interface Provenance {
  /** `flanneld`, `docker`, `bridge plugin`, `kube-proxy`, `felix`, `kernel`, `owner of the host`, `pod spec`, … */
  readonly by: string
  /** The object behind it: `Pod/default/web-0`, `lease 10.1.20.0/24`; may be empty. */
  readonly object?: string
  readonly file?: string
  readonly line?: number
}

export interface AddressSpec {
  readonly address: Ip
  readonly length: number
  readonly scope: 'global' | 'link' | 'host'
  /** `brd` as `ip addr` shows it; absent: none shown. */
  readonly broadcast?: Ip
}

interface DeviceCommon {
  readonly name: string
  readonly mtu: number
  /** Absent on devices without a link layer (TUN, IPIP). */
  readonly mac?: Mac
  readonly up: boolean
  readonly addresses: readonly AddressSpec[]
  /** The bridge it is a port of. */
  readonly master?: string
  readonly bridgePort?: BridgePortSpec
  readonly provenance?: Provenance
}

export interface BridgePortSpec {
  readonly hairpin?: boolean
  /** Default true. */
  readonly learning?: boolean
  /** Default true. */
  readonly flood?: boolean
  readonly isolated?: boolean
}

export type DeviceSpec =
  | (DeviceCommon & { readonly kind: 'loopback' })
  /** A real card, plugged into a segment of the underlay; absent or unknown segment: no carrier. */
  | (DeviceCommon & {
      readonly kind: 'nic'
      readonly segment?: string
      /** The cloud drops what it sends from, or is sent for, an address that is none of its own. */
      readonly sourceDestinationCheck?: boolean
      /** Absent: whole. */
      readonly cable?: CableSpec
    })
  | (DeviceCommon & { readonly kind: 'veth'; readonly peer: { readonly netns: string; readonly device: string } })
  | (DeviceCommon & {
      readonly kind: 'bridge'
      /** seconds, default 300 */ readonly ageing?: number
      readonly nfCallIptables?: boolean
      readonly vlanFiltering?: boolean
    })
  /** A user-space process reads and writes it; `handler` names the one the network composes in (`flanneld udp`). */
  | (DeviceCommon & { readonly kind: 'tun'; readonly handler?: string })
  | (DeviceCommon & VxlanSpec)
  /** IPIP: remote absent means taken from the route's gateway. */
  | (DeviceCommon & {
      readonly kind: 'ipip'
      readonly local?: Ip
      readonly remote?: Ip
      readonly ttl: number | 'inherit'
      readonly tos: number | 'inherit'
      readonly pmtudisc: boolean
    })
  | (DeviceCommon & WireguardSpec)
  | (DeviceCommon & { readonly kind: 'dummy' })
  /** Of a kind that netsim does not model (macvlan, gre, …), or of which too little is known: a packet that meets it is INCOMPLETE. */
  | (DeviceCommon & {
      readonly kind: 'other'
      /** As `ip -d link` calls it. */
      readonly type: string
      /** What is not known, in words; absent: the kind is not modelled. */
      readonly why?: string
    })

/** What is wrong with a card's cable. */
export interface CableSpec {
  /** Out, or no power at its far end: no carrier. */
  readonly cut?: boolean
  /** 0 to 1: of the frames of each direction. */
  readonly loss?: number
  /** Added to the segment's latency, each direction. */
  readonly delayNs?: number
}

interface VxlanSpec {
  readonly kind: 'vxlan'
  readonly vni: number
  readonly port: number
  readonly local?: Ip
  /** Lower device; its MTU bounds this one's. */
  readonly link?: string
  readonly learning: boolean
  readonly gbp: boolean
  /** 0: the host's default (64). */
  readonly ttl: number | 'inherit'
  readonly tos: number | 'inherit'
  readonly df: 'unset' | 'set' | 'inherit'
  /** Outer UDP checksum. */
  readonly udpChecksum: boolean
}

interface WireguardSpec {
  readonly kind: 'wireguard'
  /** Listening UDP port. */
  readonly port: number
  /** Its own key, base64 of 32 bytes: that by which its peers list it. */
  readonly publicKey: string
  /** Set on the outer packets, so that they can be routed past the device (`fwmark` of `wg set`); 0 none. */
  readonly fwmark?: number
  readonly peers: readonly WireguardPeerSpec[]
}

export interface WireguardPeerSpec {
  /** base64 */
  readonly publicKey: string
  readonly endpoint?: { readonly address: Ip; readonly port: number }
  readonly allowedIps: readonly Cidr[]
  /** seconds; 0 off */
  readonly persistentKeepalive: number
}

export type RouteType = 'unicast' | 'local' | 'broadcast' | 'multicast' | 'blackhole' | 'unreachable' | 'prohibit' | 'throw'

export interface RouteSpec {
  /** Absent for a default route of `default`; use {base: 0, length: 0}. */
  readonly destination: Cidr
  readonly type: RouteType
  readonly via?: Ip
  readonly device?: string
  readonly onlink?: boolean
  /** As it was found: its device has no carrier; and for that, or since it is down, no lookup takes the route. */
  readonly linkdown?: boolean
  readonly dead?: boolean
  /** `ip route` words or a number: kernel, boot, static, bird, 80; absent = boot (not shown). */
  readonly protocol?: string
  readonly scope?: 'global' | 'link' | 'host' | 'nowhere' | 'site'
  readonly source?: Ip
  readonly metric?: number
  /** `main` where absent; `local`, `default` or a number as text. */
  readonly table?: string
  readonly mtu?: number
  readonly mtuLocked?: boolean
  readonly advmss?: number
  readonly tos?: number
  /** Equal-cost next hops; then via/device are absent. */
  readonly nexthops?: readonly NexthopSpec[]
  readonly provenance?: Provenance
}

export interface NexthopSpec {
  readonly via?: Ip
  readonly device: string
  /** 1 to 256. */
  readonly weight: number
  readonly onlink?: boolean
  /** As of a route. */
  readonly linkdown?: boolean
  readonly dead?: boolean
}

export interface RoutingRuleSpec {
  readonly priority: number
  readonly not?: boolean
  readonly from?: Cidr
  readonly to?: Cidr
  readonly iif?: string
  readonly oif?: string
  readonly fwmark?: number
  readonly fwmask?: number
  readonly tos?: number
  readonly ipproto?: number
  readonly sport?: readonly [number, number]
  readonly dport?: readonly [number, number]
  readonly action: 'lookup' | 'blackhole' | 'unreachable' | 'prohibit' | 'goto' | 'nop'
  readonly table?: string
  readonly goto?: number
  readonly suppressPrefixLength?: number
  /** `kernel` for the three built-in ones; not shown. */
  readonly protocol?: string
  readonly provenance?: Provenance
}

export type NeighbourState = 'permanent' | 'noarp' | 'reachable' | 'stale' | 'delay' | 'probe' | 'incomplete' | 'failed'

export interface NeighbourSpec {
  readonly address: Ip
  readonly device: string
  readonly mac?: Mac
  readonly state: NeighbourState
  /** A proxy entry (`ip neigh add proxy`). */
  readonly proxy?: boolean
  readonly provenance?: Provenance
}

/** One line of `bridge fdb`. */
export interface FdbSpec {
  readonly mac: Mac
  /** The port, or the VXLAN device. */
  readonly device: string
  /** Set for an entry of a bridge's table. */
  readonly master?: string
  /** VXLAN: the remote VTEP. */
  readonly destination?: Ip
  readonly port?: number
  readonly vni?: number
  readonly via?: string
  readonly self?: boolean
  readonly state: 'permanent' | 'static' | 'reachable'
  readonly provenance?: Provenance
}

/** A listening socket, or a range of them. */
export interface SocketSpec {
  readonly proto: 'tcp' | 'udp' | 'sctp'
  /** 0 is 0.0.0.0. */
  readonly address: Ip
  readonly port: number
  /** Inclusive end of a range; absent: only `port`. */
  readonly portEnd?: number
  /** Answers? `open`: TCP completes the handshake, UDP swallows. A named handler is composed in (`flanneld udp`). */
  readonly handler: 'open' | string
  readonly provenance?: Provenance
}

/** lo, as the kernel makes it with the netns. */
export const LOOPBACK: DeviceSpec = {
  kind: 'loopback',
  name: 'lo',
  mtu: 65536,
  mac: ZERO_MAC,
  up: true,
  addresses: [{ address: ip('127.0.0.1'), length: 8, scope: 'host' }],
  provenance: { by: 'kernel' },
}

export const EMPTY_DATAPLANE: Omit<Dataplane, 'netns'> = {
  devices: [],
  routes: [],
  rules: [],
  neighbours: [],
  fdb: [],
  sysctls: {},
  iptables: { tables: [] },
  ipsets: [],
  sockets: [],
}
