import { describe, expect, it } from 'vitest'
import { InvariantError } from '../../src/base/assert.js'
import { ip } from '../../src/base/ip.js'
import { read16 } from '../../src/wire/bytes.js'
import { checksumOf, fold, pseudoHeaderSum, sumOf } from '../../src/wire/checksum.js'
import { decodeFrame } from '../../src/wire/frame-decode.js'
import { encodeFrame, encodeFrameInto, encodeIp, frameLength } from '../../src/wire/frame.js'
import { isFragment, type Packet, PAYLOAD_BYTES, PAYLOAD_INNER, PAYLOAD_QUOTE, PAYLOAD_RAW, wholeIpPayloadLength } from '../../src/wire/packet.js'
import { ETHERNET, hex, macs, recordedFrames, row, toHex, udpRow, vxlanRow } from './support.js'

const bare = { etherType: 0 }

function echoRow(payloadLength: number, fields: Partial<Packet> = {}): Packet {
  return udpRow(payloadLength, { proto: 1, sport: 8, dport: 0, icmpId: 0x3b56, icmpSequence: 1, ...fields })
}

function icmpError(offender: Packet, quoted: number, fields: Partial<Packet> = {}): Packet {
  return row({
    ...ETHERNET,
    src: ip('10.1.15.0'),
    dst: offender.src,
    proto: 1,
    ttl: 8,
    ipLength: 28 + quoted,
    sport: 3,
    payloadKind: PAYLOAD_QUOTE,
    payloadLength: quoted,
    inner: offender,
    ...fields,
  })
}

describe('whole frames', () => {
  it('writes an ARP request as the kernel did (first frame of a recording)', () => {
    const request = row({
      ...macs('ff:ff:ff:ff:ff:ff', 'ba:4f:4f:60:cb:60'),
      etherType: 0x0806,
      arpOperation: 1,
      arpSenderMacHigh: 0xba4f,
      arpSenderMacLow: 0x4f60cb60,
      src: ip('10.244.1.5'),
      dst: ip('169.254.1.1'),
    })
    expect(toHex(encodeFrame(request))).toBe('ffffffffffffba4f4f60cb6008060001080006040001ba4f4f60cb600af40105000000000000a9fe0101')
    expect(frameLength(request)).toBe(42)
  })

  it("writes the ICMP error that flannel's proxy sends (vector C), quoting 28 bytes of the offender", () => {
    // Vector C's offender has a pattern where its UDP header should be: only raw bytes say that.
    const l4 = Uint8Array.from({ length: 20 }, (_, i) => 0x14 + i)
    const raw = { payloadKind: PAYLOAD_RAW, payloadLength: 20, payloadBytes: l4 }
    const offender = row({ src: ip('10.1.15.2'), dst: ip('10.1.99.3'), proto: 17, ttl: 64, ipId: 7, dontFragment: 1, ipLength: 40, ...raw })
    expect(toHex(encodeIp(offender))).toBe('45000028000740004011b4b70a010f020a016303' + toHex(l4))
    const error = icmpError(offender, 28)
    expect(toHex(encodeIp(error))).toBe('45000038000000000801' + '80c2' + '0a010f000a010f02' + '0300a09f00000000' + toHex(encodeIp(offender).subarray(0, 28)))
  })

  it('writes a VXLAN frame whose four checksums are complete', () => {
    const frame = encodeFrame(vxlanRow(udpRow(100), 142))
    expect(frame.length).toBe(14 + 20 + 8 + 8 + 14 + 20 + 8 + 100)
    expect(toHex(frame.subarray(42, 50))).toBe('0800000000000100')
    expect(sumOf(frame, 14, 34)).toBe(0xffff)
    expect(sumOf(frame, 64, 84)).toBe(0xffff)
    const outer = pseudoHeaderSum(ip('192.168.0.100'), ip('192.168.0.200'), 17, 158)
    expect(checksumOf(frame, 34, 192, outer)).toBe(0)
    expect(checksumOf(frame, 84, 192, pseudoHeaderSum(ip('10.1.15.2'), ip('10.1.20.3'), 17, 108))).toBe(0)
    expect(frame.subarray(40, 42)).not.toEqual(hex('0000'))
  })

  it.each([0, 1, 0xfffe])('writes 0xffff for a UDP checksum that comes out as zero, and never zero (corrupt: %i)', (corrupt) => {
    const packet = udpRow(0, { ...bare, corrupt })
    const bytes = new Uint8Array(28)
    const seen = new Set<number>()
    // The port runs through all values, and with it the checksum.
    for (packet.sport = 0; packet.sport <= 0xffff; packet.sport++) {
      encodeFrameInto(packet, bytes, 0)
      const checksum = (bytes[26] << 8) | bytes[27]
      const fault = checksumOf(bytes, 20, 28, pseudoHeaderSum(packet.src, packet.dst, 17, 8))
      expect(fault === 0).toBe(corrupt === 0)
      seen.add(checksum)
    }
    expect(seen).not.toContain(0)
  })

  it('writes the L4 checksum of a corrupt packet wrong by as much as it says and leaves the rest', () => {
    for (const [proto, at] of [
      [17, 6],
      [6, 16],
      [1, 2],
    ] as const) {
      const length = proto === 6 ? 20 : 8
      const fields = { ...bare, proto, ipLength: 20 + length + 5 }
      const right = encodeIp(udpRow(5, fields))
      const wrong = encodeIp(udpRow(5, { ...fields, corrupt: 0x1234 }))
      expect(fold(read16(right, 20 + at) + 0x1234)).toBe(read16(wrong, 20 + at))
      wrong.set(right.subarray(20 + at, 22 + at), 20 + at)
      expect(wrong).toEqual(right)
    }
  })

  it('quotes a checksum that is not made yet as the sum of the pseudo header', () => {
    for (const [proto, at] of [
      [17, 6],
      [6, 16],
    ] as const) {
      const length = proto === 6 ? 20 : 8
      const offender = udpRow(5, { ...bare, proto, ipLength: 20 + length + 5, partial: 1 })
      const quote = encodeIp(icmpError(offender, 25 + length, { etherType: 0 }))
      expect(read16(quote, 28 + 20 + at)).toBe(pseudoHeaderSum(offender.src, offender.dst, proto, length + 5))
      expect(checksumOf(quote, 20, quote.length)).toBe(0)
    }
  })

  it('writes the pattern from any first value on, and its sum with it', () => {
    for (const payloadLength of [0, 1, 2, 255, 256, 257, 511, 1471, 1472, 65507]) {
      for (const payloadOffset of [0, 1, 8, 127, 254, 255]) {
        const bytes = encodeIp(udpRow(payloadLength, { ...bare, payloadOffset }))
        expect(bytes.subarray(28).every((byte, i) => byte === ((i + payloadOffset) & 255))).toBe(true)
        expect(checksumOf(bytes, 20, bytes.length, pseudoHeaderSum(ip('10.1.15.2'), ip('10.1.20.3'), 17, 8 + payloadLength))).toBe(0)
      }
    }
  })

  it('sets the gateway of a redirect and the MTU of a frag needed', () => {
    const gateway = ip('192.168.10.254')
    const redirect = encodeIp(icmpError(udpRow(100), 128, { sport: 5, dport: 1, icmpId: gateway >>> 16, icmpSequence: gateway & 0xffff }))
    expect(toHex(redirect.subarray(20, 22)) + toHex(redirect.subarray(24, 28))).toBe('0501c0a80afe')
    const fragNeeded = encodeIp(icmpError(udpRow(1473), 548, { sport: 3, dport: 4, icmpSequence: 1450 }))
    expect(toHex(fragNeeded.subarray(20, 22)) + toHex(fragNeeded.subarray(24, 28))).toBe('0304000005aa')
    expect(fragNeeded.length).toBe(576)
    expect(checksumOf(fragNeeded, 20, 576)).toBe(0)
    expect(fragNeeded.subarray(28)).toEqual(encodeIp(udpRow(1473)).subarray(0, 548))
  })

  it('puts IP options between header and payload', () => {
    const options = hex('94040000')
    const bytes = encodeIp(udpRow(4, { ipOptions: options, ipLength: 36 }))
    expect(bytes[0]).toBe(0x46)
    expect(bytes.subarray(20, 24)).toEqual(options)
    expect(sumOf(bytes, 0, 24)).toBe(0xffff)
    expect(toHex(bytes.subarray(24, 30))).toBe('9c402328000c')
  })

  it('cuts a truncated packet without changing its lengths and checksums (proxy vector I: 1600 to 1472)', () => {
    const whole = encodeIp(udpRow(1572, bare))
    const cut = encodeFrame(udpRow(1572, { ...bare, truncatedLength: 1472 }))
    expect(cut.length).toBe(1472)
    expect(toHex(cut.subarray(2, 4))).toBe('0640')
    expect(cut).toEqual(whole.subarray(0, 1472))
    expect(encodeIp(udpRow(9, { truncatedLength: 22, ipOptions: hex('94040000'), ipLength: 41 })).length).toBe(22)
  })

  it('carries a truncated inner packet', () => {
    const inner = udpRow(1572, { ...bare, truncatedLength: 1472 })
    const outer = udpRow(0, { ipLength: 1500, sport: 8285, dport: 8285, payloadKind: PAYLOAD_INNER, payloadLength: 1472, inner })
    expect(encodeIp(outer).subarray(28)).toEqual(encodeIp(inner))
  })

  it('hands out bytes that no other frame shares', () => {
    const first = encodeFrame(udpRow(1400))
    const before = toHex(first)
    for (let i = 0; i < 200; i++) encodeFrame(udpRow(i * 7)).fill(0xee)
    expect(toHex(first)).toBe(before)
  })

  it('writes each byte of the frame over poison and none beside it', () => {
    const offender = udpRow(1473)
    const rows = [
      udpRow(1000),
      echoRow(57),
      udpRow(0, { proto: 132, ipLength: 32 }),
      vxlanRow(udpRow(100), 142, { gbp: 7 }),
      vxlanRow(row({ ...macs('ff:ff:ff:ff:ff:ff', '0a:00:00:00:00:01'), etherType: 0x0806, arpOperation: 1 }), 42),
      icmpError(offender, 548),
      udpRow(3000, { ipLength: 1500, moreFragments: 1, fragmentOffset: 1480 }),
      udpRow(1572, { truncatedLength: 1472 }),
      udpRow(3, { payloadKind: PAYLOAD_BYTES, payloadBytes: hex('010101') }),
      ...[0, 1, 2].map((tcpOptions) => udpRow(0, { proto: 6, tcpOptions, ipLength: 40 + [0, 20, 12][tcpOptions] })),
    ]
    for (const packet of rows) {
      const expected = toHex(encodeFrame(packet))
      expect(frameLength(packet)).toBe(expected.length / 2)
      for (const poison of [0xa5, 0x5a]) {
        const bytes = new Uint8Array(frameLength(packet) + 10).fill(poison)
        expect(encodeFrameInto(packet, bytes, 5)).toBe(frameLength(packet))
        const beside = poison.toString(16).repeat(5)
        expect(toHex(bytes)).toBe(beside + expected + beside)
      }
    }
  })

  it.each([
    ['a payload that the IP length does not cover', udpRow(100, { ipLength: 100 })],
    ['a fragment past the end of the whole', udpRow(100, { ipLength: 60, fragmentOffset: 104 })],
    ['an inner packet of another length', vxlanRow(udpRow(100), 141)],
    ['an INNER payload without one', udpRow(10, { payloadKind: PAYLOAD_INNER })],
    ['payload bytes of another length', udpRow(10, { payloadKind: PAYLOAD_BYTES, payloadBytes: hex('00') })],
    ['raw bytes that do not reach', udpRow(10, { payloadKind: PAYLOAD_RAW, payloadBytes: hex('00') })],
    ['an ICMP error that quotes too much', icmpError(udpRow(0), 29)],
    ['more bytes there than the packet has', udpRow(10, { truncatedLength: 39 })],
    ['another ethertype', udpRow(10, { etherType: 0x86dd })],
  ])('asserts on %s', (_, packet) => expect(() => encodeFrame(packet)).toThrow(InvariantError))

  it('asserts on a buffer that is too short, before it writes', () => {
    const bytes = new Uint8Array(50)
    expect(() => encodeFrameInto(udpRow(100), bytes, 0)).toThrow(InvariantError)
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  })
})

describe('fragments', () => {
  it('carry the bytes of the whole packet between them', () => {
    const whole = udpRow(3000)
    const payload = encodeIp(whole).subarray(20)
    const parts = [0, 1480, 2960].map((fragmentOffset) => {
      const carried = Math.min(1480, 3008 - fragmentOffset)
      return encodeIp(row({ ...whole, fragmentOffset, ipLength: 20 + carried, moreFragments: fragmentOffset === 2960 ? 0 : 1 }))
    })
    expect(parts.map((part) => toHex(part.subarray(6, 8)))).toEqual(['2000', '20b9', '0172'])
    expect(toHex(Uint8Array.from(parts.flatMap((part) => [...part.subarray(20)])))).toBe(toHex(payload))
  })

  it('equal what the real kernel put on the wire, given the first one and the place of each', () => {
    const frames = recordedFrames().map(({ bytes, link, recording }) => {
      const packet = row({})
      expect(decodeFrame(bytes, { link }, packet)).toBe('ok')
      return { bytes, packet, key: `${recording} ${packet.src} ${packet.ipId}` }
    })
    const fragments = frames.filter(({ packet }) => isFragment(packet))
    const wholes = new Map(fragments.filter(({ packet }) => packet.fragmentOffset === 0).map(({ key, packet }) => [key, packet]))
    const later = fragments.filter(({ packet }) => packet.fragmentOffset !== 0)
    expect(later.length).toBeGreaterThan(50)
    for (const { bytes, packet, key } of later) {
      const whole = wholes.get(key)
      if (whole === undefined) throw new Error(`no first fragment for ${key}`)
      expect(packet.fragmentOffset + packet.ipLength - 20).toBeLessThanOrEqual(wholeIpPayloadLength(whole))
      const { dstMacHigh, dstMacLow, srcMacHigh, srcMacLow, etherType, ttl, fragmentOffset, moreFragments, ipLength } = packet
      const ours = row({ ...whole, dstMacHigh, dstMacLow, srcMacHigh, srcMacLow, etherType, ttl, fragmentOffset, moreFragments, ipLength })
      expect(toHex(encodeFrame(ours))).toBe(toHex(bytes))
    }
  })

  it('of raw bytes can be cut again', () => {
    const bytes = Uint8Array.from({ length: 64 }, (_, i) => i * 3)
    const payload = { payloadKind: PAYLOAD_RAW, payloadBytes: bytes, payloadOffset: 1480, payloadLength: 1544 }
    const raw = row({ src: 1, dst: 2, proto: 17, ipLength: 84, fragmentOffset: 1480, ...payload })
    expect(encodeIp(raw).subarray(20)).toEqual(bytes)
    expect(wholeIpPayloadLength(raw)).toBe(1544)
    expect(encodeIp(row({ ...raw, fragmentOffset: 1496, ipLength: 36, moreFragments: 1 })).subarray(20)).toEqual(bytes.subarray(16, 32))
  })
})
