import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { decodeFrame, type FrameOptions } from '../../src/wire/frame-decode.js'
import { encodeFrame, frameLength, ipBytesLength } from '../../src/wire/frame.js'
import { summarizeFrame } from '../../src/wire/frame-summary.js'
import { BLANK, type Packet, PAYLOAD_BYTES, PAYLOAD_INNER, PAYLOAD_PATTERN, PAYLOAD_QUOTE, PAYLOAD_RAW } from '../../src/wire/packet.js'
import { hex, recordedFrames, row, toHex, udpRow, vxlanRow } from './support.js'

const RECORDED = recordedFrames()

/** The one promise about any input: a named error, or a row that gives the very bytes back (what follows the packet aside). */
function holds(bytes: Uint8Array, link: FrameOptions['link']): 'ok' | string {
  const packet = udpRow(5, { mark: 7, ipOptions: hex('00000000') })
  const outcome = decodeFrame(bytes, { link }, packet)
  expect(typeof summarizeFrame(bytes, { link })).toBe('string')
  if (outcome === 'ok') {
    const again = encodeFrame(packet)
    expect(again.length).toBeLessThanOrEqual(bytes.length)
    expect(toHex(again)).toBe(toHex(bytes.subarray(0, again.length)))
  } else {
    expect(packet).toEqual(BLANK)
  }
  return outcome
}

describe('every frame that the real kernel sent', () => {
  it('decodes, and encodes to the same bytes', () => {
    const kinds = new Set<string>()
    for (const { bytes, link } of RECORDED) {
      const packet = row({})
      expect(decodeFrame(bytes, { link }, packet)).toBe('ok')
      expect(toHex(encodeFrame(packet))).toBe(toHex(bytes))
      expect(frameLength(packet)).toBe(bytes.length)
      kinds.add(`${packet.etherType.toString(16)} ${packet.proto} ${packet.payloadKind} ${packet.inner?.payloadKind}`)
    }
    expect(RECORDED.length).toBeGreaterThan(900)
    expect(RECORDED.filter(({ link }) => link === 'none').length).toBeGreaterThan(20)
    const whole = ['806 0 0 undefined', '800 1 3 undefined', '800 17 0 undefined', '800 6 0 undefined', '0 1 3 undefined']
    for (const kind of [...whole, '800 1 2 0', '800 17 1 3', '800 17 1 0', '800 17 1 2']) expect(kinds).toContain(kind)
  })

  it('is kept raw only where a fragment has lost its beginning', () => {
    const raw = RECORDED.map(({ bytes, link }) => {
      const packet = row({})
      decodeFrame(bytes, { link }, packet)
      return packet
    }).filter((packet) => packet.payloadKind === PAYLOAD_RAW)
    expect(raw).not.toHaveLength(0)
    expect(raw.every((packet) => packet.fragmentOffset > 0)).toBe(true)
  })

  it('keeps the promise at every truncation of one of each length', () => {
    const lengths = new Map(RECORDED.map((frame) => [`${frame.bytes.length} ${frame.link}`, frame]))
    for (const { bytes, link } of lengths.values()) {
      const step = bytes.length > 300 ? 13 : 1
      for (let length = 0; length < bytes.length; length += step) holds(bytes.slice(0, length), link)
    }
  })

  it('keeps the promise with any byte changed', () => {
    fc.assert(
      fc.property(fc.constantFrom(...RECORDED), fc.nat(), fc.integer({ min: 1, max: 255 }), ({ bytes, link }, place, flip) => {
        const changed = bytes.slice()
        changed[place % Math.min(bytes.length, 160)] ^= flip
        holds(changed, link)
      }),
      { numRuns: 3000 },
    )
  })

  it('keeps the promise with any byte of a VXLAN frame changed to anything that matters', () => {
    const frame = encodeFrame(vxlanRow(udpRow(20), 62))
    for (let at = 0; at < frame.length; at++) {
      for (const value of [0, 1, 0x0f, 0x40, 0x7f, 0x80, 0xff, frame[at] ^ 1]) {
        const changed = frame.slice()
        changed[at] = value
        holds(changed, 'ethernet')
      }
    }
  })
})

describe('hostile bytes', () => {
  it('keep the promise, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, bare) => {
        holds(bytes, bare ? 'none' : 'ethernet')
      }),
      { numRuns: 3000 },
    )
  })

  it('that nest thousands of packets neither overflow the stack nor take long', () => {
    const depth = 3000
    const bytes = new Uint8Array(20 * depth)
    for (let i = 0; i < depth; i++) {
      const header = encodeFrame(row({ proto: 4, ttl: 64, ipLength: bytes.length - 20 * i, payloadLength: bytes.length - 20 * (i + 1) })).subarray(0, 20)
      bytes.set(header, 20 * i)
    }
    expect(holds(bytes, 'none')).toBe('ok')
  })

  const frame = encodeFrame(udpRow(100))
  const changed = (at: number, value: number): Uint8Array => frame.map((byte, i) => (i === at ? value : byte))

  it.each([
    ['nothing', new Uint8Array(0), 'ethernet-truncated'],
    ['13 bytes', frame.slice(0, 13), 'ethernet-truncated'],
    ['an Ethernet header alone', frame.slice(0, 14), 'ipv4-truncated'],
    ['half an IP header', frame.slice(0, 24), 'ipv4-truncated'],
    ['IPv6', hex('333300000016 a22eeedc2477 86dd 60000000'), 'ethertype-not-modelled'],
    ['a VLAN tag', changed(12, 0x81), 'ethertype-not-modelled'],
    ['ARP cut short', hex('ffffffffffff a22eeedc2477 0806 0001 0800'), 'arp-truncated'],
    ['a changed TTL without its checksum', changed(22, 63), 'ipv4-checksum'],
    ['version 6 behind the ethertype of 4', changed(14, 0x65), 'ipv4-version'],
  ])('%s: %s', (_, bytes, error) => expect(holds(bytes, 'ethernet')).toBe(error))
})

describe('what a row can and cannot say', () => {
  const decoded = (bytes: Uint8Array, link: FrameOptions['link'] = 'ethernet'): Packet => {
    const packet = row({})
    expect(decodeFrame(bytes, { link }, packet)).toBe('ok')
    expect(toHex(encodeFrame(packet))).toBe(toHex(bytes.subarray(0, frameLength(packet))))
    return packet
  }

  it('leaves Ethernet padding aside', () => {
    const padded = new Uint8Array(60).fill(0)
    padded.set(encodeFrame(udpRow(0)))
    expect(decoded(padded)).toEqual(udpRow(0))
  })

  it('knows a cut packet by its pattern, and how much of it is there', () => {
    const whole = udpRow(1572)
    expect(decoded(encodeFrame(whole).subarray(0, 14 + 1472))).toEqual(row({ ...whole, truncatedLength: 1472 }))
  })

  it('keeps a payload that is no pattern as bytes of its own', () => {
    const frame = encodeFrame(udpRow(4, { payloadKind: PAYLOAD_BYTES, payloadBytes: hex('deadbeef') }))
    const packet = decoded(frame)
    expect(packet).toMatchObject({ payloadKind: PAYLOAD_BYTES, payloadBytes: hex('deadbeef'), payloadLength: 4 })
    frame.fill(0)
    expect(packet.payloadBytes).toEqual(hex('deadbeef'))
  })

  it('says of a wrong checksum by how much, and keeps a UDP checksum of zero as it stands', () => {
    for (const corrupt of [1, 0x8000, 0xfffe]) expect(decoded(encodeFrame(udpRow(10, { corrupt })))).toEqual(udpRow(10, { corrupt }))
    const odd = encodeFrame(udpRow(10))
    odd[40] ^= 0x10
    expect(decoded(odd)).toMatchObject({ payloadKind: PAYLOAD_PATTERN, payloadLength: 10, sport: 40000, dport: 9000 })
    expect([0x1000, 0xefff]).toContain(decoded(odd).corrupt)
    odd.fill(0, 40, 42)
    expect(decoded(odd)).toMatchObject({ payloadKind: PAYLOAD_RAW, payloadLength: 18, sport: 40000, dport: 9000, corrupt: 0 })
  })

  it("keeps what flannel's proxy passes on blindly (vectors A, G): garbage where the UDP header should be", () => {
    const packet = decoded(hex('4500001c00014000401103ca0a010f020a0114031415161718191a1b'), 'none')
    expect(packet).toMatchObject({ payloadKind: PAYLOAD_RAW, ttl: 64, payloadBytes: hex('1415161718191a1b') })
  })

  it('does not believe a first fragment whose UDP length ends before the fragment does', () => {
    const frame = encodeFrame(udpRow(92, { ipLength: 84, moreFragments: 1 }))
    expect(decoded(frame)).toMatchObject({ payloadKind: PAYLOAD_PATTERN, payloadLength: 92 })
    frame.set([0, 20], 38)
    const packet = decoded(frame)
    expect(packet).toMatchObject({ payloadKind: PAYLOAD_RAW, payloadLength: 64 })
    const again = toHex(encodeFrame(packet))
    frame.fill(0)
    expect(toHex(encodeFrame(packet))).toBe(again)
    expect(row({}).copyFrom(packet)).toEqual(packet)
  })

  it('keeps a UDP packet without a checksum, and TCP options of another order', () => {
    const none = encodeFrame(udpRow(10))
    none.fill(0, 40, 42)
    expect(decoded(none).payloadKind).toBe(PAYLOAD_RAW)
    const syn = encodeFrame(udpRow(0, { proto: 6, tcpOptions: 2, tcpTsVal: 5, ipLength: 52 }))
    const value = syn[61]
    // The two paddings behind the timestamp.
    syn.set([8, 10, 0, 0, 0, value, 0, 0, 0, 0, 1, 1], 54)
    expect(decoded(syn)).toMatchObject({ payloadKind: PAYLOAD_RAW, tcpTsVal: value })
  })

  it('reads VXLAN at both ports, and bytes behind the header where the inner frame is no IPv4', () => {
    const inner = udpRow(10)
    for (const dport of [8472, 4789]) expect(decoded(encodeFrame(vxlanRow(inner, 52, { dport, gbp: 3 })))).toEqual(vxlanRow(inner, 52, { dport, gbp: 3 }))
    const ipv6 = hex('333300000016 a22eeedc2477 86dd 6000000000003a01')
    const packet = decoded(encodeFrame(vxlanRow(row({}), ipv6.length, { payloadKind: PAYLOAD_BYTES, payloadBytes: ipv6, inner: null })))
    expect(packet).toMatchObject({ vni: 1, payloadKind: PAYLOAD_BYTES, payloadBytes: ipv6, payloadLength: ipv6.length })
  })

  it('cuts the offender to what was quoted where nothing tells the rest', () => {
    const payloadBytes = Uint8Array.from({ length: 700 }, (_, i) => i * i)
    const offender = udpRow(700, { proto: 1, sport: 8, dport: 0, payloadKind: PAYLOAD_BYTES, payloadBytes })
    const error = udpRow(0, { proto: 1, sport: 11, dport: 0, ipLength: 576, payloadKind: PAYLOAD_QUOTE, payloadLength: 548, inner: offender })
    const packet = decoded(encodeFrame(error))
    expect(packet).toMatchObject({ payloadKind: PAYLOAD_QUOTE, payloadLength: 548 })
    expect(packet.inner).toMatchObject({ payloadKind: PAYLOAD_RAW, ipLength: 728, truncatedLength: 548, src: ip('10.1.15.2'), sport: 8 })
    expect(ipBytesLength(packet.inner as Packet)).toBe(548)
  })
})

describe('any row', () => {
  it('comes back equal', () => {
    fc.assert(
      fc.property(anyFrame(), (packet) => {
        const back = row({})
        expect(decodeFrame(encodeFrame(packet), { link: packet.etherType === 0 ? 'none' : 'ethernet' }, back)).toBe('ok')
        expect(back).toEqual(packet)
      }),
      { numRuns: 1500 },
    )
  })

  it('cut into fragments gives back its bytes, and each fragment decodes to the bytes it was', () => {
    fc.assert(
      fc.property(anyFrame(), fc.integer({ min: 1, max: 30 }), (packet, eights) => {
        fc.pre(packet.etherType !== 0x0806 && packet.truncatedLength === 0)
        const header = 20 + (packet.ipOptions?.length ?? 0)
        const link = packet.etherType === 0 ? 'none' : 'ethernet'
        const skip = header + (link === 'none' ? 0 : 14)
        const carried = packet.ipLength - header
        let together = ''
        for (let from = 0; from === 0 || from < carried; from += eights * 8) {
          const length = Math.min(eights * 8, carried - from)
          const part = encodeFrame(row({ ...packet, fragmentOffset: from, ipLength: header + length, moreFragments: from + length < carried ? 1 : 0 }))
          together += toHex(part.subarray(skip))
          expect(holds(part, link)).toBe('ok')
        }
        expect(together).toBe(toHex(encodeFrame(packet).subarray(skip)))
      }),
      { numRuns: 300 },
    )
  })
})

const int32 = fc.integer({ min: -0x80000000, max: 0x7fffffff })
const uint16 = fc.integer({ min: 0, max: 0xffff })
const uint8 = fc.integer({ min: 0, max: 0xff })
const bit = fc.integer({ min: 0, max: 1 })

/** Ports at which the decoder looks for no inner packet. */
const plainPort = uint16.filter((port) => ![4789, 8285, 8472].includes(port))

function ethernetFields(): fc.Arbitrary<Partial<Packet>> {
  return fc.record({ dstMacHigh: uint16, dstMacLow: int32, srcMacHigh: uint16, srcMacLow: int32 })
}

function arpRow(): fc.Arbitrary<Packet> {
  const sender = fc.record({ arpOperation: uint16, arpSenderMacHigh: uint16, arpSenderMacLow: int32, src: int32 })
  const target = fc.record({ arpTargetMacHigh: uint16, arpTargetMacLow: int32, dst: int32 })
  return fc.tuple(ethernetFields(), sender, target).map(([link, from, to]) => row({ ...link, ...from, ...to, etherType: 0x0806 }))
}

function ipFields(): fc.Arbitrary<Partial<Packet>> {
  const options = fc.option(
    fc.integer({ min: 1, max: 10 }).chain((words) => fc.uint8Array({ minLength: 4 * words, maxLength: 4 * words })),
    { nil: null },
  )
  return fc.record({ src: int32, dst: int32, tos: uint8, ttl: uint8, ipId: uint16, dontFragment: bit, ipOptions: options })
}

function l4Fields(): fc.Arbitrary<Partial<Packet>> {
  const ports = { sport: plainPort, dport: plainPort }
  const tcp = { ...ports, proto: fc.constant(6), tcpSeq: int32, tcpAck: int32, tcpFlags: fc.integer({ min: 0, max: 0xfff }), tcpWindow: uint16, corrupt: bit }
  return fc.oneof(
    fc.record({ ...ports, proto: fc.constantFrom(17, 132), corrupt: bit }),
    fc.record({ ...tcp, tcpOptions: fc.constant(0) }),
    fc.record({ ...tcp, tcpOptions: fc.constant(1), tcpMss: uint16, tcpWscale: uint8, tcpTsVal: int32, tcpTsEcr: int32 }),
    fc.record({ ...tcp, tcpOptions: fc.constant(2), tcpTsVal: int32, tcpTsEcr: int32 }),
    fc.record({ proto: fc.constant(1), sport: fc.constantFrom(0, 8, 13), dport: uint8, icmpId: uint16, icmpSequence: uint16, corrupt: bit }),
    fc.record({ proto: fc.constant(50) }),
  )
}

function l4Length({ proto, tcpOptions }: Partial<Packet>): number {
  if (proto === 6) return 20 + [0, 20, 12][tcpOptions ?? 0]
  return proto === 132 ? 12 : proto === 1 || proto === 17 ? 8 : 0
}

/** A pattern, or bytes that are none. */
function payloadFields(): fc.Arbitrary<Partial<Packet>> {
  const pattern = fc
    .tuple(fc.integer({ min: 0, max: 600 }), uint8)
    .map(([payloadLength, first]) => ({ payloadKind: PAYLOAD_PATTERN, payloadLength, payloadOffset: payloadLength === 0 ? 0 : first }))
  const bytes = fc
    .uint8Array({ minLength: 2, maxLength: 300 })
    .filter((payload) => payload.some((byte, i) => byte !== ((payload[0] + i) & 255)))
    .map((payloadBytes) => ({ payloadKind: PAYLOAD_BYTES, payloadLength: payloadBytes.length, payloadBytes }))
  return fc.oneof(pattern, bytes)
}

function withIp(header: Partial<Packet>, l4: Partial<Packet>, payload: Partial<Packet>): Packet {
  const packet = row({ ...header, ...l4, ...payload })
  packet.ipLength = 20 + (packet.ipOptions?.length ?? 0) + l4Length(l4) + (packet.vni >= 0 ? 8 : 0) + packet.payloadLength
  return packet
}

function bareIp(): fc.Arbitrary<Packet> {
  const plain = fc.tuple(ipFields(), l4Fields(), payloadFields()).map((parts) => withIp(...parts))
  const quote = fc.tuple(ipFields(), plain, fc.constantFrom(3, 4, 5, 11, 12), uint8).map(([header, offender, sport, dport]) => {
    // Enough of it that what was not quoted follows from the header and the pattern; a payload of bytes is quoted whole.
    const headers = offender.ipLength - offender.payloadLength
    const payloadLength = offender.payloadKind === PAYLOAD_PATTERN ? headers + Math.ceil(offender.payloadLength / 2) : offender.ipLength
    return withIp(header, { proto: 1, sport, dport, icmpId: dport, icmpSequence: 1450 }, { payloadKind: PAYLOAD_QUOTE, payloadLength, inner: offender })
  })
  return fc.oneof({ weight: 3, arbitrary: plain }, { weight: 1, arbitrary: quote })
}

function anyFrame(depth = 0): fc.Arbitrary<Packet> {
  const framed = fc.tuple(ethernetFields(), bareIp()).map(([link, packet]) => row({ ...packet, ...link, etherType: 0x0800 }))
  if (depth === 2) return fc.oneof(framed, arpRow())
  const tunnel = fc.record({
    proto: fc.constant(17),
    sport: plainPort,
    dport: fc.constantFrom(4789, 8472),
    vni: fc.integer({ min: 0, max: 0xffffff }),
    gbp: fc.integer({ min: -1, max: 0xffff }),
  })
  const vxlan = fc
    .tuple(ethernetFields(), ipFields(), tunnel, anyFrame(depth + 1))
    .filter(([, , , inner]) => inner.etherType !== 0)
    .map(([link, header, l4, inner]) => {
      const packet = withIp(header, l4, { payloadKind: PAYLOAD_INNER, payloadLength: frameLength(inner), inner })
      return row({ ...packet, ...link, etherType: 0x0800 })
    })
  const wrappers = fc.constantFrom({ proto: 4 }, { proto: 17, sport: 8285, dport: 8285 })
  const wrapped = fc.tuple(ethernetFields(), ipFields(), wrappers, bareIp()).map(([link, header, l4, inner]) => {
    const packet = withIp(header, l4, { payloadKind: PAYLOAD_INNER, payloadLength: inner.ipLength, inner })
    return row({ ...packet, ...link, etherType: 0x0800 })
  })
  return fc.oneof(framed, bareIp(), arpRow(), vxlan, wrapped)
}
