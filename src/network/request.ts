/** What a packet that is asked about can carry. */
export const PROTOCOLS = ['tcp', 'udp', 'icmp', 'sctp'] as const
export type Protocol = (typeof PROTOCOLS)[number]

/** What `netsim trace` asks of a network, in the contract's terms (DESIGN.md 5.1). Names are resolved by the network. */
export interface TraceRequest {
  /** As written: `ns/pod`, `pod/NAME`, `svc/NAME`, `node/NAME`, `host/NAME`, a bare pod name, an address. */
  readonly source: string
  /** The same, with an optional `:PORT`. */
  readonly destination: string
  /** Namespace of bare names. */
  readonly namespace: string
  /** Absent: tcp with a port, icmp without. */
  readonly proto?: Protocol
  readonly sport: number
  /** Length of the IP packet, headers included; absent: 84 (icmp), the SYN (tcp), 28 + 32 (udp). */
  readonly size?: number
  readonly df: boolean
  readonly ttl: number
  readonly cold: boolean
  readonly listen: boolean
  readonly seed: number
  /** Virtual time of the question, nanoseconds. */
  readonly atNs: number
  /** 0: what decided; 1: every rule tried. */
  readonly level: number
  /** What hosts have heard of paths before this question (ICMP fragmentation needed); absent: nothing. */
  readonly pathMtus?: readonly LearnedPathMtu[]
  /** TCP with --size: length of the IP packet that the segment is answered with; absent: an ACK without data. */
  readonly answerSize?: number
  /** What a UDP datagram carries, in place of the pattern; it sets the length. */
  readonly payload?: Uint8Array
  /** What the UDP server answers; absent: nothing, as a server that is not known. */
  readonly answer?: Uint8Array
  /**
   * An IP packet as a process with a raw socket sends it (IP_HDRINCL), in place of one that is made from the fields above; no socket waits for an
   * answer. `destination` is then its own.
   */
  readonly packet?: Uint8Array
}

/** What a netns knows of the way to a destination. */
export interface LearnedPathMtu {
  readonly netns: string
  /** Signed 32 bits. */
  readonly destination: number
  readonly mtu: number
}

export const DEFAULT_REQUEST: Omit<TraceRequest, 'source' | 'destination'> = {
  namespace: 'default',
  sport: 40000,
  df: false,
  ttl: 64,
  cold: false,
  listen: false,
  seed: 1,
  atNs: 0,
  level: 0,
}
