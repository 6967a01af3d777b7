/**
 * Frames as bytes: the codecs, and a capture that is written while it grows. Frames of 1,514 bytes: flannel's VXLAN over Ethernet with an MTU of 1,500, both
 * IP headers' and both UDP headers' checksums made for each.
 */
import { ip } from '../src/base/ip.js'
import { decodeFrame } from '../src/wire/frame-decode.js'
import { encodeFrame, encodeFrameInto, frameLength } from '../src/wire/frame.js'
import { ETHERTYPE_IPV4, IPV4_HEADER, Packet, PAYLOAD_INNER, PROTO_UDP } from '../src/wire/packet.js'
import { FLAGS_OUTBOUND, LINKTYPE_ETHERNET, PcapngWriter } from '../src/wire/pcapng.js'
import type { Suite } from './suite.js'

const MTU = 1500
const UDP_HEADER = 8
const VXLAN_HEADER = 8
const ETHERNET_HEADER = 14
const FRAMES = 1000

function datagram(src: string, dst: string, ipLength: number): Packet {
  const made = new Packet()
  made.etherType = ETHERTYPE_IPV4
  made.src = ip(src)
  made.dst = ip(dst)
  made.proto = PROTO_UDP
  made.ttl = 64
  made.sport = 40000
  made.dport = 9000
  made.ipLength = ipLength
  made.payloadLength = ipLength - IPV4_HEADER - UDP_HEADER
  return made
}

function vxlanFrame(): Packet {
  const outer = datagram('192.168.0.100', '192.168.0.200', MTU)
  const inner = datagram('10.1.15.2', '10.1.20.3', MTU - IPV4_HEADER - UDP_HEADER - VXLAN_HEADER - ETHERNET_HEADER)
  outer.dport = 8472
  outer.vni = 1
  outer.payloadKind = PAYLOAD_INNER
  outer.payloadLength = frameLength(inner)
  outer.inner = inner
  return outer
}

const frame = vxlanFrame()
const into = new Uint8Array(frameLength(frame))
const encoded = encodeFrame(frame).slice()
const decoded = new Packet()
if (encoded.length !== MTU + ETHERNET_HEADER) throw new Error(`a frame of ${encoded.length} bytes`)
if (decodeFrame(encoded, { link: 'ethernet' }, decoded) !== 'ok' || decoded.inner === null) throw new Error('its bytes are not what it is')

/** Bytes after which a piece of the file is handed on. */
const PIECE = 1 << 18
const writer = new PcapngWriter({
  hardware: 'bench',
  os: 'bench',
  application: 'bench',
  comments: [],
  interfaces: [{ name: 'eth0', linkType: LINKTYPE_ETHERNET }],
})
let handedOn = 0

/** What differs from frame to frame: the outer packet's number, the inner one's bytes and with them every checksum, the time. */
function capture(put: (at: number) => void): number {
  const { inner } = frame
  for (let i = 0; i < FRAMES; i++) {
    if (writer.size > PIECE) handedOn += writer.drain().length
    frame.ipId = i
    if (inner !== null) inner.payloadOffset = i & 255
    put(writer.open(0, i * 1000, encoded.length))
    writer.close(FLAGS_OUTBOUND, i, false)
  }
  return handedOn
}

export const suites: readonly Suite[] = [
  {
    name: 'codecs, a frame of 1514 bytes of VXLAN',
    base: 'encode',
    cases: [
      { name: 'encode', operations: FRAMES, run: () => repeated(() => encodeFrameInto(frame, into, 0)) },
      { name: 'decode', operations: FRAMES, run: () => repeated(() => (decodeFrame(encoded, { link: 'ethernet' }, decoded), decoded.ipId)) },
    ],
  },
  {
    name: 'pcapng, a frame of 1514 bytes of VXLAN',
    base: 'frames made and written',
    cases: [
      { name: 'frames made and written', operations: FRAMES, run: () => capture((at) => encodeFrameInto(frame, writer.bytes, at)) },
      { name: 'frames that are there written', operations: FRAMES, run: () => capture((at) => writer.bytes.set(encoded, at)) },
    ],
  },
]

function repeated(once: () => number): number {
  let sum = 0
  for (let i = 0; i < FRAMES; i++) sum += once()
  return sum
}
