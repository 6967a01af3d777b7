/** WireGuard's messages: their layout (wireguard.com/protocol), the padding of send.c, and what Wireshark reads in them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { checksumOf, pseudoHeaderSum } from '../../src/wire/checksum.js'
import { decodeFrame } from '../../src/wire/frame-decode.js'
import { encodeFrame } from '../../src/wire/frame.js'
import { summarizeFrame } from '../../src/wire/frame-summary.js'
import { overheadOf } from '../../src/wire/overhead.js'
import { Packet, PAYLOAD_BYTES, PAYLOAD_WIREGUARD } from '../../src/wire/packet.js'
import { encodePcapng, LINKTYPE_ETHERNET } from '../../src/wire/pcapng.js'
import {
  COOKIE_LENGTH,
  DATA_HEADER,
  DATA_TAG,
  decode,
  encodeData,
  initiation,
  INITIATION_LENGTH,
  KEEPALIVE_LENGTH,
  padding,
  response,
  RESPONSE_LENGTH,
  summary,
} from '../../src/wire/wireguard.js'
import { toHex, udpRow } from './support.js'
import { fieldsOf, HAS_TSHARK } from './wireshark.js'

const OUTER = { src: ip('192.168.0.1'), dst: ip('192.168.0.2'), sport: 51820, dport: 51820 }

/** A data message around an inner IP packet of that length. */
function dataRow(length: number, fields: Partial<Packet> = {}): Packet {
  const payloadLength = length + overheadOf('wireguard', { length, mtu: 1420 }).bytes - 28
  return udpRow(payloadLength, { ...OUTER, payloadKind: PAYLOAD_WIREGUARD, tcpSeq: 0x1a2b3c4d, tcpAck: 7, inner: udpRow(length - 28), ...fields })
}

function messageRow(payloadBytes: Uint8Array): Packet {
  return udpRow(payloadBytes.length, { ...OUTER, payloadKind: PAYLOAD_BYTES, payloadBytes })
}

describe('messages', () => {
  it('have the lengths of their fields', () => {
    const [index, key, tag, mac] = [4, 32, 16, 16]
    expect(INITIATION_LENGTH).toBe(4 + index + key + (key + tag) + (12 + tag) + 2 * mac)
    expect(RESPONSE_LENGTH).toBe(4 + 2 * index + key + tag + 2 * mac)
    expect(COOKIE_LENGTH).toBe(4 + index + 24 + (16 + tag))
    expect(KEEPALIVE_LENGTH).toBe(4 + index + 8 + tag)
  })

  it('begin with a type and three zero bytes, their integers little-endian', () => {
    const data = new Uint8Array(48)
    encodeData(0x1a2b3c4d, 0x01020304, data, 0, 48)
    expect(toHex(data.subarray(0, 16))).toBe('04000000' + '4d3c2b1a' + '0403020100000000')
    expect(toHex(initiation(0x1a2b3c4d).subarray(0, 8))).toBe('010000004d3c2b1a')
    expect(toHex(response(0x1a2b3c4d, 0x55667788).subarray(0, 12))).toBe('020000004d3c2b1a88776655')
  })

  it('are read back', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), fc.integer({ min: 32, max: 1500 }), (one, two, length) => {
        expect(decode(initiation(one), 0)).toEqual({ type: 1, sender: one, receiver: 0, counter: 0, length: 148 })
        expect(decode(response(one, two), 0)).toEqual({ type: 2, sender: one, receiver: two, counter: 0, length: 92 })
        const data = new Uint8Array(length + 3)
        encodeData(one, two, data, 3, length)
        expect(decode(data, 3)).toEqual({ type: 4, sender: 0, receiver: one, counter: two, length })
      }),
    )
  })

  it.each([
    ['wireguard-truncated', '0400'],
    ['wireguard-type', '04010000'],
    ['wireguard-type', '05000000'],
    ['wireguard-length', '01000000'.padEnd(2 * 147, '0')],
    ['wireguard-length', '02000000'.padEnd(2 * 93, '0')],
    ['wireguard-length', '03000000'.padEnd(2 * 63, '0')],
    ['wireguard-length', '04000000'.padEnd(2 * 31, '0')],
  ])('%s', (error, digits) =>
    expect(
      decode(
        Uint8Array.from(digits.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)),
        0,
      ),
    ).toBe(error),
  )

  it('look encrypted: each index and counter gives other bytes', () => {
    const bytes = [0, 1, 2, 3].map((counter) => encodeFrame(dataRow(1000, { tcpAck: counter })).subarray(58))
    expect(new Set(bytes.map(toHex)).size).toBe(4)
    for (const one of bytes) expect(new Set(one).size).toBeGreaterThan(200)
  })
})

describe('padding', () => {
  it('fills up to whole blocks of 16, and never past the MTU', () => {
    for (let length = 20; length <= 1500; length++) {
      for (const mtu of [0, 1280, 1420, 1421, 1440, 1500]) {
        const added = padding(length, mtu)
        const last = mtu > 0 && length > mtu ? length % mtu : length
        expect(added).toBeGreaterThanOrEqual(0)
        expect(added).toBeLessThan(16)
        if (mtu > 0 && last + added > mtu) expect.fail(`${length} in ${mtu} is padded past the MTU`)
        if ((last + added) % 16 !== 0) expect(last + added).toBe(mtu)
        expect(overheadOf('wireguard', { length, mtu }).bytes).toBe(20 + 8 + DATA_HEADER + added + DATA_TAG)
      }
    }
  })
})

describe('a frame of it', () => {
  it('has the length of wire/overhead, a right UDP checksum, and survives reading', () => {
    for (let length = 28; length <= 1420; length += 7) {
      const bytes = encodeFrame(dataRow(length))
      const udp = bytes.subarray(34)
      expect(bytes.length).toBe(14 + length + overheadOf('wireguard', { length, mtu: 1420 }).bytes)
      expect(checksumOf(udp, 0, udp.length, pseudoHeaderSum(OUTER.src, OUTER.dst, 17, udp.length))).toBe(0)
      const read = new Packet()
      expect(decodeFrame(bytes, { link: 'ethernet' }, read)).toBe('ok')
      expect([read.payloadKind, toHex(encodeFrame(read))]).toEqual([PAYLOAD_BYTES, toHex(bytes)])
    }
  })

  it('is named in words', () => {
    const last = (packet: Packet): string | undefined => summarizeFrame(encodeFrame(packet), { link: 'ethernet' }).split('\n').at(-1)
    expect(last(dataRow(60))).toBe('      WireGuard data, receiver 0x1a2b3c4d, counter 7, 96 bytes')
    expect(last(udpRow(32, { ...OUTER, payloadKind: PAYLOAD_WIREGUARD, tcpSeq: 1, tcpAck: 2 }))).toBe(
      '      WireGuard keepalive, receiver 0x00000001, counter 2, 32 bytes',
    )
    expect(last(messageRow(initiation(0x1a2b3c4d)))).toBe('      WireGuard handshake initiation, sender 0x1a2b3c4d, 148 bytes')
    expect(last(messageRow(response(1, 0x1a2b3c4d)))).toBe('      WireGuard handshake response, sender 0x00000001, receiver 0x1a2b3c4d, 92 bytes')
    expect(summary({ type: 3, sender: 0, receiver: 9, counter: 0, length: 64 })).toBe('WireGuard cookie, receiver 0x00000009, 64 bytes')
    expect(last(udpRow(60))).toBe('    UDP 40000 > 9000, length 60')
  })

  it.skipIf(!HAS_TSHARK)('is WireGuard to Wireshark, all checksums good', () => {
    const rows = [messageRow(initiation(0x1a2b3c4d)), messageRow(response(0x55667788, 0x1a2b3c4d)), dataRow(1000), dataRow(1420)]
    const capture = encodePcapng({
      hardware: '',
      os: '',
      application: 'test',
      comments: [],
      interfaces: [{ name: 'eth0', linkType: LINKTYPE_ETHERNET }],
      packets: rows.map((packet, i) => ({
        interface: 0,
        timeNs: i,
        bytes: encodeFrame(packet),
        direction: 'outbound',
        reception: 'unicast',
        id: i,
        dropped: false,
        comments: [],
      })),
    })
    const fields = ['frame.len', 'wg.type', 'wg.sender', 'wg.receiver', 'wg.counter', 'ip.checksum.status', 'udp.checksum.status']
    expect(fieldsOf(capture, fields, ['-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE'])).toEqual([
      ['190', '1', '0x1a2b3c4d', '', '', '1', '1'],
      ['134', '2', '0x55667788', '0x1a2b3c4d', '', '1', '1'],
      ['1082', '4', '', '0x1a2b3c4d', '7', '1', '1'],
      ['1494', '4', '', '0x1a2b3c4d', '7', '1', '1'],
    ])
  })
})
