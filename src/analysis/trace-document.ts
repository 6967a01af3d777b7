/**
 * The versioned JSON of a trace (DESIGN.md 5.3): what `-o json` prints, what the text is drawn from, what tools rely on.
 * Integers of the walk have become the field's words here.
 */
import type { DeviceKind } from '../net/device.js'
import type { Disposition } from '../net/disposition.js'

export interface TraceDocument {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'Trace'
  /** The forward's disposition, unless an answer was due and lost. */
  readonly disposition: Disposition
  readonly metadata: MetadataDocument
  readonly request: TraceRequestDocument
  /** How the destination's name was looked up; absent where it is no DNS name. */
  readonly lookup?: LookupDocument
  readonly forward: LegDocument
  readonly reply: LegDocument | null
  readonly result: ResultDocument
  readonly mtu: MtuDocument | null
  /** The devices whose frames the legs hold, in the order of their first frame. */
  readonly devices?: readonly DeviceDocument[]
  readonly warnings: readonly string[]
  /** What is not modelled and was met or could change the answer. */
  readonly notModelled: readonly string[]
}

export interface MetadataDocument {
  readonly tool: string
  readonly seed: number
  readonly inputs: readonly string[]
  readonly cni: string
  readonly backend: string
  readonly warm: boolean
  /** Release of Calico, and how its pools carry packets: `IPIP Always`; in Canal flannel carries them. */
  readonly calico?: { readonly release: string; readonly modes: readonly string[] }
  /** docker or cni. */
  readonly runtime?: string
  /** How many the cluster has. */
  readonly nodes?: number
  /** Names of those that are as they were found, not as their agents would make them. */
  readonly found?: readonly string[]
  /** Of a Scenario's run, in which the question is asked; absent: of the manifests as they stand. */
  readonly moment?: MomentDocument
}

export interface MomentDocument {
  readonly scenario: string
  /** Virtual time, ns. */
  readonly atNs: number
  /** Its last event. */
  readonly event?: HappenedDocument
  /** What happened last, where that is another. */
  readonly last?: HappenedDocument
}

export interface HappenedDocument {
  readonly atNs: number
  /** `flanneld n1` */
  readonly by: string
  readonly what: string
  readonly file?: string
  readonly line?: number
}

export interface EndDocument {
  /** `default/pod-a`, `node/host-a`, or an address. */
  readonly name: string
  readonly address: string
  readonly node: string | null
}

export interface TraceRequestDocument {
  readonly source: EndDocument
  readonly destination: EndDocument
  readonly proto: 'tcp' | 'udp' | 'icmp' | 'sctp' | string
  readonly sport: number
  readonly dport: number
  /** Length of the IP packet, headers included. */
  readonly size: number
  readonly df: boolean
  readonly ttl: number
  readonly cold: boolean
}

/** A name, as the source's resolver looks it up. */
export interface LookupDocument {
  readonly name: string
  /** `dnsPolicy ClusterFirst` */
  readonly policy: string
  readonly outcome: 'literal' | 'files' | 'found' | 'outside' | 'none'
  /** In the order made; the last decided. */
  readonly queries: readonly {
    readonly name: string
    readonly type: string
    readonly server?: string
    readonly rcode: string
    /** Addresses and names. */
    readonly answers: readonly string[]
  }[]
  readonly addresses: readonly string[]
  readonly cname?: string
  /** What the answer comes from. */
  readonly why: readonly { readonly object?: string; readonly text: string; readonly file?: string; readonly line?: number }[]
}

export interface LegDocument {
  readonly disposition: Disposition
  readonly hops: readonly HopDocument[]
  readonly frames: readonly FrameDocument[]
}

/** A packet's stay in one netns. */
export interface HopDocument {
  readonly node: string
  /** Netns: the node's name, `namespace/pod`, `router/NAME`. */
  readonly netns: string
  readonly pod?: string
  readonly timeNs: number
  readonly steps: readonly StepDocument[]
}

export interface StepDocument {
  /** Numbered once over forward and reply. */
  readonly n: number
  readonly kind: string
  /** ACCEPT, DROP, RETURN, FORWARD, LOCAL, SENT, DELIVERED, … */
  readonly action: string
  /** One line for people: `default via 10.1.15.1 dev eth0`. */
  readonly text: string
  readonly at?: { readonly table?: string; readonly chain?: string; readonly rule?: number; readonly device?: string }
  /** Header fields before and after, only those that changed: ttl, src, dst, sport, dport, mark, … */
  readonly before?: Readonly<Record<string, string | number>>
  readonly after?: Readonly<Record<string, string | number>>
  /** IP length at the step; with an encapsulation the length after it. */
  readonly length?: number
  /** Frame length on a device, link-layer header included. */
  readonly frameLength?: number
  /** Bytes that the step added (positive) or removed (negative). */
  readonly bytesAdded?: number
  readonly provenance?: ProvenanceDocument
  /** Rules of this table that matched, then (with -v) all tried. */
  readonly rules?: readonly RuleDocument[]
  readonly tried?: number
  /** What policy said at this table, endpoint by endpoint. */
  readonly policy?: readonly PolicyVerdictDocument[]
  /** The kernel's own word for a loss. */
  readonly kernelReason?: string
  /** Each packet that a netns makes has its own: a segment, an answer, an ARP request. It keeps it in fragments, through NAT and in a tunnel. */
  readonly packet?: number
  /** Virtual time. */
  readonly timeNs?: number
  /** Of the packet when the step was written; absent of ARP. */
  readonly ttl?: number
  /** fwmark; absent when 0. */
  readonly mark?: number
}

/** What a policy engine's chains said of the packet at one endpoint, or at none. */
export interface PolicyVerdictDocument {
  readonly verdict: 'Allow' | 'Deny'
  readonly reason: PolicyReason
  /** The sentence for people. */
  readonly text: string
  /** egress: it leaves the endpoint; ingress: it comes to the endpoint. */
  readonly direction?: 'ingress' | 'egress'
  /** `Pod/default/db`, `HostEndpoint/n1-eth0`. */
  readonly endpoint?: string
  readonly tier?: string
  /** `NetworkPolicy default/db`, `profile kns.default`. */
  readonly policy?: string
  /** 1-based, of the policy's or profile's rules in that direction. */
  readonly rule?: number
  /** The iptables rule that gave the verdict. */
  readonly at: { readonly chain: string; readonly rule: number }
  /** Where the policy's rule stands; where no rule decided, the endpoint. */
  readonly provenance?: ProvenanceDocument
}

/**
 * rule, profile: a rule said so. tier-end: policies of the tier apply and none decided. no-profile: no profile allowed. connection: of a
 * connection that is known. invalid: of none that conntrack takes. failsafe: a port that is always open. not-policed: no policy applies there.
 * endpoint-to-host: defaultEndpointToHostAction. spoofed: a source that is not the endpoint's. encapsulated: a workload's own tunnel.
 * tunnel: a tunnel's outer packet. unknown-interface, service-loop, disabled, limit: as their names say.
 */
export type PolicyReason =
  | 'rule'
  | 'profile'
  | 'tier-end'
  | 'no-profile'
  | 'connection'
  | 'invalid'
  | 'failsafe'
  | 'not-policed'
  | 'endpoint-to-host'
  | 'spoofed'
  | 'encapsulated'
  | 'tunnel'
  | 'unknown-interface'
  | 'service-loop'
  | 'disabled'
  | 'limit'

export interface ProvenanceDocument {
  readonly by: string
  readonly object?: string
  readonly file?: string
  readonly line?: number
}

/** A policy that applies to the endpoint where the packet was dropped, in that tier and direction, as far as they were asked. */
export interface AskedPolicyDocument {
  readonly policy: string
  readonly tier: string
  readonly direction: 'ingress' | 'egress'
  /** Whom it applies to. */
  readonly selector: string
  /** How many rules it has in that direction. */
  readonly rules: number
  readonly provenance?: ProvenanceDocument
}

/** A rule that would have let the packet pass, and the terms that failed. */
export interface NearMissDocument {
  /** `NetworkPolicy default/db`; absent of a rule that is no policy's. */
  readonly policy?: string
  /** 1-based, of the policy's rules in that direction; of an iptables rule its number in the chain. */
  readonly rule: number
  /** The iptables rule. */
  readonly at: { readonly chain: string; readonly rule: number }
  /** At least one. */
  readonly failed: readonly TermDocument[]
  readonly provenance?: ProvenanceDocument
}

export interface TermDocument {
  /** As iptables-save prints it. */
  readonly term: string
  /** What the packet had; empty where a trace does not know. */
  readonly actual: string
  /** Both in a sentence: `port 22 is not 5432`. */
  readonly text: string
}

export interface RuleDocument {
  readonly chain: string
  readonly rule: number
  /** As iptables-save prints it after `-A CHAIN`. */
  readonly text: string
  readonly matched: boolean
  readonly action: string
  /** The match that failed and what the packet had. */
  readonly failed?: { readonly term: string; readonly actual: string }
  readonly provenance?: ProvenanceDocument
}

export interface FrameDocument {
  readonly timeNs: number
  readonly netns: string
  readonly device: string
  readonly direction: 'rx' | 'tx'
  readonly length: number
  readonly hex: string
  /** As in the steps. */
  readonly packet: number
  /** The step that showed it to the packet socket, by its number. */
  readonly step?: number
}

/** A device on which frames were seen. */
export interface DeviceDocument {
  readonly netns: string
  readonly device: string
  /** As `ip -d link` has it; nic: a card on the underlay. */
  readonly kind: DeviceKind
  readonly mtu: number
  /** ethernet: frames begin with an Ethernet header; none: with the IP header. */
  readonly link: 'ethernet' | 'none'
  /** Of a device with Ethernet. */
  readonly mac?: string
}

export interface ResultDocument {
  readonly disposition: Disposition
  readonly reachable: boolean | null
  /** The step that decided, of the losing leg. */
  readonly step?: number
  readonly netns?: string
  readonly kernelReason?: string
  /** Why, in a sentence. */
  readonly cause: string
  /** What the client sees: `echo reply after 0.2 ms, ttl 60`, `connect timeout (no RST, no ICMP)`. */
  readonly client: string
  /** Of a drop by policy: the policies that apply, in the order in which they were asked. */
  readonly policies?: readonly AskedPolicyDocument[]
  /** Of a drop by a rule or a chain's policy: rules that would have let it pass, nearest first. */
  readonly near?: readonly NearMissDocument[]
  readonly fixes: readonly string[]
  readonly next: readonly string[]
  /** Who took the packet, and as whose it came; absent when it did not arrive. */
  readonly server?: ServerDocument
  /** TTL of the packet as it arrived; absent when it did not. */
  readonly ttlAtArrival?: number
  /** Bytes the overlay adds to each packet on the wire, 0 without one. */
  readonly overhead: number
  /** Largest frame of the forward leg on an underlay card. */
  readonly wireFrame?: number
}

/** The socket that took a packet. */
export interface ServerDocument {
  readonly netns: string
  /** Destination of the packet as it arrived, after all translations. */
  readonly address: string
  /** Absent of ICMP. */
  readonly port?: number
  /** The client as the server knows it: where the answer goes. */
  readonly sees: { readonly address: string; readonly port?: number }
}

export interface MtuDocument {
  /** Of the sending device. */
  readonly inner: number
  /** Of the underlay card. */
  readonly outer: number
  readonly overhead: number
  /** Largest IP packet that passes the whole path unfragmented. */
  readonly path: number
  /** TCP MSS without timestamps: path - 40. */
  readonly mss: number
  readonly limitedBy: string
}
