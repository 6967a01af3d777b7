// hot path
/**
 * What a walk writes down, as typed rows: steps (one decision each), frames (what a packet socket on a device sees) and ends
 * (how a packet ended). Rows become words when somebody reads them (analysis/trace-report). While `on` is 0 a walk writes
 * nothing and this file costs one compare per site.
 */
import { Packet, PacketPool } from '../wire/packet.js'
import type { Device } from './device.js'
import type { Netns } from './netns.js'
import type { Tally } from './tally.js'

/** Step kinds; each says what its arguments a to f are. */
export const STEP_KINDS = [
  'originate',
  'route',
  'neigh',
  'arp',
  'bridge',
  'table',
  'rule',
  'conntrack',
  'nat',
  'encap',
  'decap',
  'fragment',
  'defragment',
  'send',
  'receive',
  'socket',
  'icmp',
  'forward',
  'link',
  'agent',
  'drop',
  'handshake',
] as const

/** A packet is made. a: STEP_ORIGINATE_* why. */
export const STEP_ORIGINATE = 0
/**
 * A route lookup. a: destination, b: index of the route in its netns's fib (-1 none), c: next hop address, d: world index of
 * the out device (-1), e: RTN_* type, f: source chosen.
 */
export const STEP_ROUTE = 1
/** A neighbour lookup on transmit. a: address, b: NUD_* state found, c: MAC high, d: MAC low, e: device, f: 1 when permanent. */
export const STEP_NEIGH = 2
/** ARP handled. a: operation, b: sender, c: target, d: 1 answered / 2 learned / 0 ignored, e: device. */
export const STEP_ARP = 3
/** A bridge's decision. a: bridge device, b: in port (-1), c: BRIDGE_* decision, d: out port (-1), e: 1 when the FDB entry was permanent. */
export const STEP_BRIDGE = 4
/**
 * One iptables table of one hook, run to its verdict. a: hook, b: table, c: chain that decided, d: rule that decided (-1
 * policy), e: rules tried, f: rules matched; action: verdict.
 */
export const STEP_TABLE = 5
/**
 * A rule of that table: at level 0 those that matched, from level 1 all. a: table, b: chain, c: rule, d: 1 matched, e: index of
 * the first match that failed (-1), f: of one that did not match all that failed, bits by their place in the text; action: what the target did.
 */
export const STEP_RULE = 6
/** Conntrack looked it up. a: CT_* state, b: entry, c: 1 new entry, d: 1 reply direction. */
export const STEP_CONNTRACK = 7
/** An address or port was rewritten. a: 0 source 1 destination, b: old address, c: new address, d: old port, e: new port. */
export const STEP_NAT = 8
/** a: device, b: outer source, c: outer destination, d: outer source port, e: outer destination port, f: bytes added; action: WireGuard's peer. */
export const STEP_ENCAP = 9
/** a: device, b: outer source, c: bytes removed, d: vni, for WireGuard the outer source port; action: WireGuard's peer. */
export const STEP_DECAP = 10
/** a: device, b: mtu, c: offset, d: length, e: 1 last. */
export const STEP_FRAGMENT = 11
/** a: bytes so far, b: 1 complete, c: largest fragment. */
export const STEP_DEFRAGMENT = 12
/** Handed to a device. a: device, b: frame length, c: mtu. */
export const STEP_SEND = 13
/** Taken from a device. a: device, b: frame length, c: packet type. */
export const STEP_RECEIVE = 14
/**
 * A local socket took it. a: protocol, b: port, c: index of the SocketSpec in the netns (-1: the kernel's own: ICMP echo), d: source port, e: source,
 * f: destination.
 */
export const STEP_SOCKET = 15
/**
 * An ICMP message is made (or withheld). a: type, b: code, c: destination, d: source, e: mtu or gateway, f: 0 sent, 1 rate
 * limited, 2 not allowed (error about an error, a fragment, a broadcast), 3 global limit.
 */
export const STEP_ICMP = 16
/** ip_forward took it. a: in device, b: out device, c: ttl before, d: ttl after. */
export const STEP_FORWARD = 17
/** The cable. a: segment, b: latency ns, c: serialisation ns. */
export const STEP_LINK = 18
/** A user-space forwarder. a: word (interned), b: address, c: port, d: ttl before, e: ttl after. */
export const STEP_AGENT = 19
/** The packet ends here without arriving. a: disposition, b: reason, c: detail (interned word, 0 none), d, e: numbers of the detail. */
export const STEP_DROP = 20
/**
 * WireGuard's handshake; action: HANDSHAKE_*. a: device, b: peer, c: message type (1 initiation, 2 response), d: attempt, e: address
 * and f: port of the other side.
 */
export const STEP_HANDSHAKE = 21

/** A packet waits for it; a message of it leaves; one has come. */
export const HANDSHAKE_WAIT = 0
export const HANDSHAKE_SENT = 1
export const HANDSHAKE_RECEIVED = 2

export const DIRECTION_RX = 0
export const DIRECTION_TX = 1

/** Integers of a step row. */
export const STEP_STRIDE = 14
// offsets in a step row
export const ROW_KIND = 0
export const ROW_ACTION = 1
export const ROW_NETNS = 2
export const ROW_PACKET = 3
export const ROW_LEG = 4
export const ROW_LENGTH = 5
export const ROW_A = 6
export const ROW_TTL = 12
export const ROW_MARK = 13

/** Integers of a frame row: netns, device, direction, leg, packet id, step. */
export const FRAME_STRIDE = 6
/** Integers of an end row: leg, disposition, reason, netns, packet id, step, row of the rule that dropped it in its netns's netfilter (-1). */
export const END_STRIDE = 7

export class Trace {
  /** 1 while a walk is recorded. */
  on = 0
  /** 0: what decided; 1: every rule tried. */
  level = 0
  /** 1: keep a copy of the packet per tap, so that bytes can be made of it. */
  taps = 1
  /** 1: ends are written although the walk is not recorded. */
  endsAlone = 0
  /** What is added up besides; null: nothing. */
  tally: Tally | null = null
  /** The rule of the drop that comes next; -1: no rule's. */
  droppingRule = -1
  private readonly clock: { readonly nowNs: number }

  steps: Int32Array = new Int32Array(STEP_STRIDE * 256)
  stepTimes: Float64Array = new Float64Array(256)
  stepCount = 0

  frames: Int32Array = new Int32Array(FRAME_STRIDE * 128)
  frameTimes: Float64Array = new Float64Array(128)
  /** The first `frameCount` of them: rows of the trace's own, which the next record overwrites. */
  framePackets: Packet[] = []
  frameCount = 0

  ends: Int32Array = new Int32Array(END_STRIDE * 16)
  endCount = 0

  private readonly pool = new PacketPool()

  /** The clock: virtual time of what is being recorded. */
  constructor(clock: { readonly nowNs: number }) {
    this.clock = clock
  }

  /** Forgets what was recorded; the buffers stay. */
  clear(): void {
    this.stepCount = 0
    this.frameCount = 0
    this.endCount = 0
  }

  /** Starts a step row and returns its offset; the caller writes the arguments at ROW_A onwards. */
  step(kind: number, action: number, netns: Netns, packet: Packet): number {
    const index = this.stepCount
    if (index === this.stepTimes.length) this.growSteps()
    this.stepCount = (index + 1) | 0
    this.stepTimes[index] = this.clock.nowNs
    const at = Math.imul(index, STEP_STRIDE)
    const steps = this.steps
    steps[at] = kind | 0
    steps[(at + ROW_ACTION) | 0] = action | 0
    steps[(at + ROW_NETNS) | 0] = netns.index | 0
    steps[(at + ROW_PACKET) | 0] = packet.id | 0
    steps[(at + ROW_LEG) | 0] = packet.leg | 0
    steps[(at + ROW_LENGTH) | 0] = packet.ipLength | 0
    steps[(at + ROW_TTL) | 0] = packet.ttl | 0
    steps[(at + ROW_MARK) | 0] = packet.mark | 0
    return at
  }

  /** A step with its arguments. */
  note(kind: number, action: number, netns: Netns, packet: Packet, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): void {
    const at = this.step(kind, action, netns, packet)
    const steps = this.steps
    steps[(at + ROW_A) | 0] = a | 0
    steps[(at + (ROW_A + 1)) | 0] = b | 0
    steps[(at + (ROW_A + 2)) | 0] = c | 0
    steps[(at + (ROW_A + 3)) | 0] = d | 0
    steps[(at + (ROW_A + 4)) | 0] = e | 0
    steps[(at + (ROW_A + 5)) | 0] = f | 0
  }

  /** What a packet socket on the device sees. */
  frame(device: Device, direction: number, packet: Packet): void {
    if (this.taps === 0) return
    const index = this.frameCount++
    if (index === this.frameTimes.length) this.growFrames()
    const at = index * FRAME_STRIDE
    this.frames[at] = device.netns.index
    this.frames[at + 1] = device.index
    this.frames[at + 2] = direction
    this.frames[at + 3] = packet.leg
    this.frames[at + 4] = packet.id
    this.frames[at + 5] = this.stepCount
    this.frameTimes[index] = this.clock.nowNs
    if (index === this.framePackets.length) this.framePackets.push(new Packet())
    const seen = this.framePackets[index]
    this.pool.copy(packet, seen)
    // as a card would complete it
    seen.partial = 0
  }

  /** A packet of the question (no ARP, no flooded copy) ended. */
  end(disposition: number, reason: number, netns: Netns, packet: Packet): void {
    const index = this.endCount++
    if (index * END_STRIDE === this.ends.length) this.ends = grown(this.ends)
    const at = index * END_STRIDE
    this.ends[at] = packet.leg
    this.ends[at + 1] = disposition
    this.ends[at + 2] = reason
    this.ends[at + 3] = netns.index
    this.ends[at + 4] = packet.id
    this.ends[at + 5] = this.stepCount - 1
    this.ends[at + 6] = this.droppingRule
  }

  private growSteps(): void {
    this.steps = grown(this.steps)
    this.stepTimes = grownTimes(this.stepTimes)
  }

  private growFrames(): void {
    this.frames = grown(this.frames)
    this.frameTimes = grownTimes(this.frameTimes)
  }
}

function grown(from: Int32Array): Int32Array {
  const to = new Int32Array(from.length * 2)
  to.set(from)
  return to
}

function grownTimes(from: Float64Array): Float64Array {
  const to = new Float64Array(from.length * 2)
  to.set(from)
  return to
}
