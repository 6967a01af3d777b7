/** The versioned JSON of `netsim trace --mtu` (docs/mtu.schema.json): how large packets may be between two ends, each way, and what becomes of larger ones. */
import type { Encapsulation } from '../wire/overhead.js'
import type { Disposition } from '../net/disposition.js'
import type { EndDocument, MetadataDocument, StepDocument } from './trace-document.js'

export interface MtuReport {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'MtuReport'
  /** The worse of both ways. */
  readonly verdict: MtuVerdict
  readonly metadata: MetadataDocument
  readonly request: MtuRequestDocument
  readonly forward: DirectionDocument
  /** null: the way back could not be asked; `reverseWhy` says why. */
  readonly reverse: DirectionDocument | null
  readonly reverseWhy?: string
  /** null unless the question is of TCP and the handshake was completed. */
  readonly tcp: TcpDocument | null
  /** What other encapsulations would leave of this underlay; null where no underlay is crossed. */
  readonly underlay: UnderlayDocument | null
  readonly client: string
  readonly fixes: readonly string[]
  readonly next: readonly string[]
  readonly warnings: readonly string[]
  readonly notModelled: readonly string[]
}

/**
 * What comes of the packets up to the size that the sender would send: PASSES whole; FRAGMENTED on the way; TOLD: the sender hears what
 * fits; LEARNED: a host that encapsulates hears it, the first packet is lost and later ones are cut; BLACKHOLE: lost, and nobody
 * hears; UNREACHABLE: nothing passes at all; UNKNOWN: the question could not be answered.
 */
export const MTU_VERDICTS = ['PASSES', 'FRAGMENTED', 'TOLD', 'LEARNED', 'BLACKHOLE', 'UNREACHABLE', 'UNKNOWN'] as const
export type MtuVerdict = (typeof MTU_VERDICTS)[number]

/**
 * EMSGSIZE: the sender's own kernel refuses. LOST: dropped, though not for an MTU (a rule that looks at the length, a proxy). UNKNOWN:
 * it met something that is not modelled.
 */
export const BAND_OUTCOMES = ['FRAGMENTED', 'EMSGSIZE', 'TOLD', 'LEARNED', 'BLACKHOLE', 'LOST', 'UNKNOWN', 'PASSES'] as const
export type BandOutcome = (typeof BAND_OUTCOMES)[number]

interface MtuRequestDocument {
  readonly source: EndDocument
  readonly destination: EndDocument
  readonly proto: string
  readonly sport: number
  readonly dport: number
}

export interface DirectionDocument {
  readonly from: string
  readonly to: string
  readonly verdict: MtuVerdict
  /** What is asked: packets of the source's own, or the server's answers in the same TCP connection. */
  readonly asked: 'question' | 'answer'
  /** How a small packet ends. */
  readonly small: { readonly size: number; readonly disposition: Disposition; readonly cause: string }
  /** The largest IP packet that the sender's kernel sends towards there: its device's or its route's MTU. */
  readonly deviceMtu: number
  /** The largest IP packet that is sent: of TCP the segment that both ends agree on, else deviceMtu. */
  readonly full: number
  /** Bytes around a packet of that size where it is too big, padding included; 0 where it is not. */
  readonly fullOverhead: number
  /** The largest IP packet with DF that arrives whole; 0 where none does. */
  readonly largest: number
  /** largest - 40, and less 12 bytes of timestamps. */
  readonly mss: number
  readonly mssTimestamps: number
  readonly limit: LimitDocument | null
  /** With DF: sizes from largest + 1 to the first that the sender's kernel refuses, in stretches of one fate. */
  readonly above: readonly BandDocument[]
  /** The same without DF, up to one more than deviceMtu; empty for TCP, which sets it always. */
  readonly withoutDf: readonly BandDocument[]
  /** A small packet and a full one side by side, where larger ones come to grief. */
  readonly table: readonly TableRow[]
}

export interface PlaceDocument {
  readonly node: string
  readonly netns: string
  readonly pod?: string
  readonly device?: string
  readonly segment?: string
}

export interface LimitDocument {
  readonly kind: 'device' | 'route' | 'segment' | 'router' | 'rule' | 'other'
  readonly place: PlaceDocument
  /** 0 where no MTU set the limit. */
  readonly mtu: number
  /** Bytes that are around the packet there. */
  readonly overhead: number
  /** The encapsulations around it, the outermost last. */
  readonly encapsulations: readonly Encapsulation[]
  /** `1500 - 20 IPv4 - 8 UDP - 8 VXLAN - 14 inner Ethernet = 1450`. */
  readonly arithmetic: string
  /** Where it is no MTU: the step that lost the packet. */
  readonly text?: string
  readonly provenance?: StepDocument['provenance']
}

export interface BandDocument {
  readonly from: number
  readonly to: number
  readonly outcome: BandOutcome
  readonly text: string
  /** Where the first packet is lost, refused or cut. */
  readonly place?: PlaceDocument
  readonly fragments: readonly FragmentsDocument[]
  readonly reassembledAt?: PlaceDocument
  /** One packet after the other, each with what was heard by then. */
  readonly tries: readonly TryDocument[]
}

/** ICMP 3/4 about the packet. */
export interface ToldDocument {
  readonly by: PlaceDocument
  /** Its source and destination; empty where it was not sent. */
  readonly from: string
  readonly to: string
  readonly mtu: number
  readonly fate: 'ARRIVED' | 'LOST' | 'NOT_SENT' | 'RATE_LIMITED'
  /** The netns that heard it. */
  readonly heardBy?: string
  /** How it was lost. */
  readonly disposition?: Disposition
  readonly text?: string
  readonly provenance?: StepDocument['provenance']
}

export interface FragmentsDocument {
  readonly place: PlaceDocument
  readonly mtu: number
  /** Of the packet itself, or of the tunnel's around it. */
  readonly of: 'inner' | 'outer'
  /** IP lengths. */
  readonly sizes: readonly number[]
}

export interface TryDocument {
  readonly size: number
  readonly disposition: Disposition
  /** Where it was too big, and what was said of it. */
  readonly place?: PlaceDocument
  readonly mtu?: number
  readonly told?: ToldDocument
  /** What each netns knows of paths after it. */
  readonly learned: readonly { readonly netns: string; readonly destination: string; readonly mtu: number }[]
}

export interface TableRow {
  readonly place: PlaceDocument
  readonly step: string
  readonly small: string
  readonly full: string
  /** The cell that tells of a loss. */
  readonly lost: boolean
}

export interface TcpDocument {
  /** As each end sent it in its SYN, and as the other one saw it. */
  readonly source: { readonly announced: number; readonly arrived: number }
  readonly destination: { readonly announced: number; readonly arrived: number }
  /** Of a segment with its options each way: the least of what the peer announced and the sender's own MTU less 40. */
  readonly forward: number
  readonly reverse: number
  /** The segments agreed on pass whole, each way. */
  readonly fits: { readonly forward: boolean; readonly reverse: boolean | null }
  /** Rules that lowered an MSS on the way. */
  readonly clamps: readonly {
    readonly place: PlaceDocument
    readonly text: string
    readonly from: number
    readonly to: number
    readonly provenance?: StepDocument['provenance']
  }[]
}

export interface UnderlayDocument {
  /** What the underlay carries between these ends. */
  readonly mtu: number
  /** Pod MTU that the cluster's agent sets for it, by encapsulation: flannel's, or of a cluster of Calico's Calico's, which knows no udp. */
  readonly podMtu: { readonly none: number; readonly ipip: number; readonly udp?: number; readonly vxlan: number; readonly wireguard: number }
}
