/** The words between netsim and a network that is made for real: what is built, what is sent, what is seen. */
import type { Ip } from '../base/ip.js'
import type { ProxySpec } from '../flannel/backend.js'
import type { NetnsSpec, SegmentSpec } from '../net/compile.js'
import type { World } from '../net/netns.js'

/** All that a lab needs of a network; `labNetworkOf` takes it from a Network, a fuzzer gives its own. */
export interface LabNetwork {
  readonly specs: readonly NetnsSpec[]
  readonly segments: readonly SegmentSpec[]
  /** Compiled from the same specs: the warm state is read from it. */
  readonly world: World
  readonly proxies: readonly LabProxy[]
}

/** flanneld's udp backend in one netns: the process behind the TUN. */
export type LabProxy = ProxySpec & { readonly netns: string }

export interface LabOptions {
  /** Begins every name that the lab makes, `netsim-<pid>-`. */
  readonly prefix: string
  /** `iptables-restore` of this flavour; default: whatever the machine calls iptables-restore. */
  readonly iptables?: 'nft' | 'legacy'
  /** Frames of `router/NAME` are seen too; netsim's traces leave them out, so the default is no. */
  readonly routers?: boolean
  /** `kernel`: errors are rationed as the Dataplane's sysctls have it; default `off`, since a real kernel's ration cannot be refilled between probes. */
  readonly icmpRateLimit?: 'off' | 'kernel'
  /** For measuring what a packet costs: no frame is copied, and a segment of two cards is the one cable between them. */
  readonly bare?: boolean
}

/** A device that could not be made here; its netns stands without it. */
export interface NotBuilt {
  readonly netns: string
  readonly device: string
  readonly kind: string
  readonly why: string
}

interface ProbeCommon {
  /** netns of the process that sends: a Dataplane's name. */
  readonly netns: string
  /** Virtual time that the prediction took, nanoseconds: the lab listens at least so long. */
  readonly predictedNs?: number
  /** Ports that must be open although no Dataplane says so (`--listen`). */
  readonly listen?: readonly { readonly netns: string; readonly proto: 'tcp' | 'udp'; readonly port: number }[]
  /** The rules taken are told (xtables-monitor): slower. */
  readonly trace?: boolean
}

export type LabProbe = ProbeCommon &
  (
    | {
        /** A datagram from a real UDP socket. */
        readonly kind: 'udp'
        /** 0: the kernel picks. */
        readonly source: Ip
        readonly destination: Ip
        readonly sport: number
        readonly dport: number
        /** Length of the IP packet. */
        readonly size: number
        readonly ttl: number
        readonly df: boolean
      }
    | {
        /** As ping does: a raw ICMP socket. */
        readonly kind: 'icmp'
        readonly source: Ip
        readonly destination: Ip
        readonly id: number
        readonly sequence: number
        readonly size: number
        readonly ttl: number
        readonly df: boolean
      }
    | {
        /**
         * A real client: connect(). Without `size` its SYN alone goes out, and what comes back is seen and not taken; with it, the handshake
         * and one data segment whose IP packet has that length.
         */
        readonly kind: 'tcp'
        readonly source: Ip
        readonly destination: Ip
        readonly sport: number
        readonly dport: number
        readonly ttl: number
        /** Even where net.ipv4.ip_no_pmtu_disc would leave it out. */
        readonly df?: boolean
        readonly size?: number
        /** The predicted SYN as an IP packet: sent as it stands where the prediction takes so long that a client would repeat itself (0.9 s). */
        readonly syn?: Uint8Array
      }
    /** Any IP packet, IP_HDRINCL: the kernel makes the header's checksum and an id of 0; a source of 0.0.0.0 becomes the one it would pick. */
    | { readonly kind: 'raw'; readonly packet: Uint8Array }
    /** A frame put on a device by a packet socket. */
    | { readonly kind: 'frame'; readonly device: string; readonly frame: Uint8Array }
    /** Nothing is sent: only listened, for predictedNs. */
    | { readonly kind: 'wait' }
  )

export interface CapturedFrame {
  readonly netns: string
  readonly device: string
  readonly direction: 'rx' | 'tx'
  readonly bytes: Uint8Array
  readonly link: 'ethernet' | 'none'
  /** Since the probe was sent. */
  readonly timeNs: number
}

/** One kfree_skb of the probe's time. */
export interface KernelDrop {
  /** enum skb_drop_reason without prefix, as the kernel's own table names it. */
  readonly reason: string
  /** `ip_forward+0x2a1`; empty when /proc/kallsyms tells no addresses. */
  readonly location: string
  /** It happened in the context of the lab's own process; otherwise (timers, softirqs of others) it may be somebody else's packet. */
  readonly certain: boolean
  readonly timeNs: number
}

/** One line of `xtables-monitor --trace`. */
export interface KernelRule {
  readonly netns: string
  readonly table: string
  readonly chain: string
  /** `rule`: a rule was hit; `policy`: the chain's policy decided; `return`. */
  readonly kind: 'rule' | 'policy' | 'return'
  /** As iptables-save prints it behind `-A CHAIN`; empty for a policy. */
  readonly text: string
  readonly verdict: string
  /** Which packet: the kernel's trace id. */
  readonly packet: string
}

export interface Sighting {
  /** In the order of capture, over all netns. */
  readonly frames: readonly CapturedFrame[]
  /** What the sender was told (strerror) and nothing left: `Message too long`; empty: none. */
  readonly error: string
  /** null: cannot be read here, `dropsWhy` says why. */
  readonly drops: readonly KernelDrop[] | null
  readonly dropsWhy: string
  readonly rules: readonly KernelRule[] | null
  readonly rulesWhy: string
  /** Netns in which a socket took the datagram, or the reply to the echo, that was asked about. */
  readonly heard: readonly string[]
  /** A segment longer than a client would send was put together by the lab: it has no socket's flow hash (sk_txhash). */
  readonly injected: boolean
  /** Frames that a ring had no room for: more than 0 makes the sighting worthless. */
  readonly lost: number
}

export interface CommandResult {
  /** -1: it did not end in time. */
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}
