/** What wire/pcapng.ts writes is read back by a reader made from the draft, and by Wireshark's own where it is installed. */
import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodePcapng, LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter, type Capture, type ReceptionType } from '../../src/wire/pcapng.js'
import { readPcapng } from './pcapng-reader.js'
import { fieldsOf, HAS_TSHARK } from './wireshark.js'

const EMPTY: Capture = { hardware: 'h', os: 'o', application: 'a', comments: [], interfaces: [], packets: [] }

const RECEPTIONS: readonly ReceptionType[] = ['unspecified', 'unicast', 'multicast', 'broadcast', 'promiscuous']

const anyText = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.constantFrom('', 'default/pod-a/eth0', 'ttl 64→63', '名前/eth0'))

const anyInterface = fc.record({
  name: anyText,
  description: anyText,
  linkType: fc.constantFrom(LINKTYPE_ETHERNET, LINKTYPE_RAW),
  mac: fc.uint8Array({ minLength: 6, maxLength: 6 }),
})

const anyCapture: fc.Arbitrary<Capture> = fc
  .record({
    hardware: anyText,
    os: anyText,
    application: anyText,
    comments: fc.array(anyText, { maxLength: 3 }),
    interfaces: fc.array(anyInterface, { minLength: 1, maxLength: 4 }),
  })
  .chain((head) =>
    fc
      .array(
        fc.record({
          interface: fc.nat(head.interfaces.length - 1),
          timeNs: fc.maxSafeNat(),
          bytes: fc.uint8Array({ maxLength: 80 }),
          direction: fc.constantFrom('inbound' as const, 'outbound' as const),
          reception: fc.constantFrom(...RECEPTIONS),
          id: fc.maxSafeNat(),
          dropped: fc.boolean(),
          comments: fc.array(anyText, { maxLength: 3 }),
        }),
        { maxLength: 5 },
      )
      .map((packets) => ({ ...head, packets })),
  )

/** As UTF-8 has it: half a letter is no letter. */
function asWritten(text: string): string {
  return Buffer.from(text).toString('utf8')
}

describe('encodePcapng', () => {
  it('is, byte for byte, what the draft draws', () => {
    const capture: Capture = {
      ...EMPTY,
      interfaces: [{ name: 'n/e0', linkType: LINKTYPE_ETHERNET }],
      packets: [
        {
          interface: 0,
          timeNs: 0x1_0000_0002,
          bytes: Uint8Array.of(1, 2, 3),
          direction: 'inbound',
          reception: 'broadcast',
          id: 7,
          dropped: true,
          comments: ['c'],
        },
      ],
    }
    const section = [
      '0a0d0d0a',
      '38000000',
      '4d3c2b1a',
      '01000000',
      '7c00000000000000',
      '0200010068000000',
      '030001006f000000',
      '0400010061000000',
      '00000000',
      '38000000',
    ]
    const device = ['01000000', '28000000', '01000000', '00000000', '020004006e2f6530', '0900010009000000', '00000000', '28000000']
    const packet = ['06000000', '54000000', '00000000', '01000000', '02000000', '03000000', '03000000', '01020300']
    const facts = ['0100010063000000', '020004000d000000', '050008000700000000000000', '070009000102000000000000' + '00000000', '00000000', '54000000']
    const bytes = Buffer.from(encodePcapng(capture)).toString('hex')
    expect(bytes).toBe([...section, ...device, ...packet, ...facts].join(''))
  })

  it('is read back as it was, whatever it holds', () => {
    fc.assert(
      fc.property(anyCapture, (capture) => {
        const read = readPcapng(encodePcapng(capture))
        expect(read.section.get(1) ?? []).toEqual(capture.comments.map(asWritten))
        expect([2, 3, 4].map((code) => read.section.get(code))).toEqual([
          [asWritten(capture.hardware)],
          [asWritten(capture.os)],
          [asWritten(capture.application)],
        ])
        expect(read.interfaces).toEqual(
          capture.interfaces.map(({ name, description, linkType, mac }) => ({
            name: asWritten(name),
            description: asWritten(description ?? ''),
            linkType,
            mac: Buffer.from(mac ?? []).toString('hex'),
            resolution: 9,
          })),
        )
        expect(read.packets).toEqual(
          capture.packets.map((packet) => ({
            interface: packet.interface,
            time: BigInt(packet.timeNs),
            bytes: Buffer.from(packet.bytes),
            originalLength: packet.bytes.length,
            comments: packet.comments.map(asWritten),
            flags: (packet.direction === 'inbound' ? 1 : 2) + 4 * RECEPTIONS.indexOf(packet.reception),
            id: BigInt(packet.id),
            // Linux_eBPF_TC, TC_ACT_SHOT.
            verdict: packet.dropped ? [1, 2n] : undefined,
          })),
        )
      }),
    )
  })

  it('is the same file in pieces, but for the length that the section does not say', () => {
    fc.assert(
      fc.property(anyCapture, fc.integer({ min: 1, max: 3 }), (capture, every) => {
        const writer = new PcapngWriter(capture)
        const pieces: Buffer[] = []
        capture.packets.forEach(({ interface: index, timeNs, bytes, comments, id, dropped }, at) => {
          const place = writer.open(index, timeNs, bytes.length)
          writer.bytes.set(bytes, place)
          for (const comment of comments) writer.comment(comment)
          writer.close(1, id, dropped)
          if (at % every === 0) pieces.push(Buffer.from(writer.drain()))
        })
        const file = Buffer.concat([...pieces, Buffer.from(writer.drain())])
        expect(file.readBigInt64LE(16)).toBe(-1n)
        const whole = Buffer.from(
          encodePcapng({ ...capture, packets: capture.packets.map((packet) => ({ ...packet, direction: 'inbound', reception: 'unspecified' })) }),
        )
        whole.writeBigInt64LE(-1n, 16)
        expect(file.equals(whole)).toBe(true)
      }),
    )
  })

  it('cuts a text that no option can hold between two letters', () => {
    fc.assert(
      fc.property(fc.integer({ min: 65_533, max: 65_540 }), fc.constantFrom('a', 'é', '→', '😀'), (bytes, last) => {
        const text = `${'x'.repeat(bytes)}${last}${'y'.repeat(10)}`
        const [comment] = readPcapng(encodePcapng({ ...EMPTY, comments: [text] })).section.get(1) ?? []
        expect(Buffer.byteLength(comment)).toBeLessThanOrEqual(65_535)
        expect(comment.endsWith('…')).toBe(true)
        expect(text.startsWith(comment.slice(0, -1))).toBe(true)
        expect(comment).not.toContain('\ufffd')
      }),
      { numRuns: 40 },
    )
    const fits = 'x'.repeat(65_535)
    expect(readPcapng(encodePcapng({ ...EMPTY, comments: [fits] })).section.get(1)).toEqual([fits])
  })

  it('refuses a packet of no interface, and a time that is none', () => {
    const packet = {
      interface: 0,
      timeNs: 0,
      bytes: new Uint8Array(4),
      direction: 'inbound',
      reception: 'unicast',
      id: 1,
      dropped: false,
      comments: [],
    } as const
    expect(() => encodePcapng({ ...EMPTY, packets: [packet] })).toThrow('not described')
    const interfaces = [{ name: 'e', linkType: LINKTYPE_RAW }]
    for (const timeNs of [-1, 0.5, NaN, 2 ** 53]) expect(() => encodePcapng({ ...EMPTY, interfaces, packets: [{ ...packet, timeNs }] })).toThrow('whole')
  })

  it('without packets is a file still', () => {
    expect(readPcapng(encodePcapng(EMPTY))).toMatchObject({ interfaces: [], packets: [] })
  })
})

describe('the reader', () => {
  const file = encodePcapng({ ...EMPTY, interfaces: [{ name: 'e', linkType: 1 }] })

  it('finds any byte that is cut off', () => {
    for (let length = 0; length < file.length; length++) expect(() => readPcapng(file.subarray(0, length))).toThrow()
  })

  it('finds a wrong length', () => {
    const wrong = Uint8Array.from(file)
    wrong[4] += 4
    expect(() => readPcapng(wrong)).toThrow('pcapng')
  })
})

describe.runIf(HAS_TSHARK)('Wireshark', () => {
  it('reads interface, time, id, verdict and comments', () => {
    const packet = { interface: 1, bytes: new Uint8Array(60), direction: 'outbound', reception: 'unspecified' } as const
    const file = encodePcapng({
      ...EMPTY,
      interfaces: [
        { name: 'a/b/eth0', linkType: LINKTYPE_ETHERNET, description: 'veth, mtu 1450' },
        { name: '名/tun0', linkType: LINKTYPE_RAW },
      ],
      packets: [
        { ...packet, timeNs: 5_000_000_001, id: 2 ** 40 + 1, dropped: true, comments: ['step 1', 'ttl 64→63'] },
        { ...packet, interface: 0, timeNs: 6_000_000_002, id: 3, dropped: false, comments: [] },
      ],
    })
    const fields = ['frame.interface_name', 'frame.time_epoch', 'frame.packet_id', 'frame.verdict.ebpf_tc', 'frame.comment', 'frame.interface_description']
    expect(fieldsOf(file, fields)).toEqual([
      ['名/tun0', '5.000000001', '1099511627777', '2', 'step 1,ttl 64→63', ''],
      ['a/b/eth0', '6.000000002', '3', '', '', 'veth, mtu 1450'],
    ])
  })
})
