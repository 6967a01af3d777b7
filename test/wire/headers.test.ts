import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import * as arp from '../../src/wire/arp.js'
import * as ethernet from '../../src/wire/ethernet.js'
import * as icmp from '../../src/wire/icmp.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as sctp from '../../src/wire/sctp.js'
import * as tcp from '../../src/wire/tcp.js'
import * as udp from '../../src/wire/udp.js'
import * as vxlan from '../../src/wire/vxlan.js'
import { hex, toHex } from './support.js'

const TCP_SYN = hex(`
  9c41 0050                                 # ports
  02583682 00000000                         # sequence, acknowledgement
  a0 02 faf0                                # 40 bytes, SYN, window
  0000 0000                                 # checksum (completed by the frame), urgent
  0204 05b4                                 # mss 1460
  0402 080a 334ca81c 00000000               # sackOK, timestamp
  01 0303 0a`) //                             nop, wscale 10

interface Codec {
  readonly LENGTH: number
  decode(bytes: Uint8Array, offset: number): object | string
  encode(fields: never, bytes: Uint8Array, offset: number): void
  summary(fields: never): string
}

interface Case {
  readonly name: string
  readonly codec: Codec
  readonly bytes: Uint8Array
  readonly fields: object
  readonly summary: string
}

const CASES: readonly Case[] = [
  {
    name: 'ethernet',
    codec: ethernet,
    bytes: hex('0a7f90fec81a f64149ba38dc 0800'),
    fields: { dstMacHigh: 0x0a7f, dstMacLow: 0x90fec81a | 0, srcMacHigh: 0xf641, srcMacLow: 0x49ba38dc, etherType: 0x0800 },
    summary: 'f6:41:49:ba:38:dc > 0a:7f:90:fe:c8:1a, ethertype IPv4 (0x0800)',
  },
  {
    name: 'arp request (from a recording)',
    codec: arp,
    bytes: hex('0001 0800 06 04 0001  1a7fad2e22e7 0a013a02  000000000000 0a013a01'),
    fields: {
      arpOperation: 1,
      arpSenderMacHigh: 0x1a7f,
      arpSenderMacLow: 0xad2e22e7 | 0,
      src: ip('10.1.58.2'),
      arpTargetMacHigh: 0,
      arpTargetMacLow: 0,
      dst: ip('10.1.58.1'),
    },
    summary: 'ARP, Request who-has 10.1.58.1 tell 10.1.58.2, length 28',
  },
  {
    name: 'arp reply',
    codec: arp,
    bytes: hex('0001 0800 06 04 0002  eeeeeeeeeeee a9fe0101  ba4f4f60cb60 0af40105'),
    fields: { arpOperation: 2, arpSenderMacHigh: 0xeeee, src: ip('169.254.1.1'), dst: ip('10.244.1.5'), arpTargetMacHigh: 0xba4f },
    summary: 'ARP, Reply 169.254.1.1 is-at ee:ee:ee:ee:ee:ee, length 28',
  },
  {
    name: "ipv4 (vector A of flannel's proxy)",
    codec: ipv4,
    bytes: hex('45 00 001c 0001 4000 40 11 03ca 0a010f02 0a011403'),
    fields: {
      src: ip('10.1.15.2'),
      dst: ip('10.1.20.3'),
      proto: 17,
      tos: 0,
      ttl: 64,
      ipId: 1,
      dontFragment: 1,
      moreFragments: 0,
      fragmentOffset: 0,
      ipLength: 28,
      ipOptions: null,
      checksum: 0x03ca,
      headerLength: 20,
    },
    summary: 'IP 10.1.15.2 > 10.1.20.3, tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto UDP (17), length 28',
  },
  {
    name: 'ipv4, a middle fragment with a router alert (RFC 2113)',
    codec: ipv4,
    bytes: hex('46 c0 05dc 3ff0 20b9 40 01 47ad 0a010f02 0a011403 94040000'),
    fields: { tos: 0xc0, moreFragments: 1, dontFragment: 0, fragmentOffset: 1480, ipLength: 1500, ipOptions: hex('94040000'), headerLength: 24, proto: 1 },
    summary: 'IP 10.1.15.2 > 10.1.20.3, tos 0xc0, ttl 64, id 16368, offset 1480, flags [+], proto ICMP (1), length 1500, options (RA)',
  },
  {
    name: 'udp',
    codec: udp,
    bytes: hex('b29b 2118 006a 0000'),
    fields: { sport: 45723, dport: 8472, length: 106, checksum: 0 },
    summary: 'UDP 45723 > 8472, length 98',
  },
  {
    name: 'tcp SYN (from a recording)',
    codec: tcp,
    bytes: TCP_SYN,
    fields: {
      sport: 40001,
      dport: 80,
      tcpSeq: 39335554,
      tcpAck: 0,
      tcpFlags: 2,
      tcpWindow: 64240,
      tcpOptions: 1,
      tcpMss: 1460,
      tcpWscale: 10,
      tcpTsVal: 860661788,
      tcpTsEcr: 0,
      headerLength: 40,
      representable: true,
    },
    summary: 'TCP 40001 > 80, Flags [S], seq 39335554, win 64240, options [mss 1460,sackOK,TS val 860661788 ecr 0,nop,wscale 10]',
  },
  {
    name: 'tcp data with timestamps',
    codec: tcp,
    bytes: hex('9c41 0050 fffffffe 80000001 80 18 01f6 0000 0000 0101 080a ffffffff 00000001'),
    fields: { tcpSeq: -2, tcpAck: 0x80000001 | 0, tcpFlags: 0x18, tcpOptions: 2, tcpTsVal: -1, tcpTsEcr: 1, headerLength: 32, representable: true },
    summary: 'TCP 40001 > 80, Flags [P.], seq 4294967294, ack 2147483649, win 502, options [nop,nop,TS val 4294967295 ecr 1]',
  },
  {
    name: 'tcp RST',
    codec: tcp,
    bytes: hex('0050 9c41 00000000 02583683 50 14 0000 0000 0000'),
    fields: { tcpFlags: 0x14, tcpOptions: 0, headerLength: 20, representable: true },
    summary: 'TCP 80 > 40001, Flags [R.], seq 0, ack 39335555, win 0',
  },
  {
    name: 'icmp echo request (RFC 792)',
    codec: icmp,
    bytes: hex('08 00 0000 3b56 0001'),
    fields: { sport: 8, dport: 0, icmpId: 15190, icmpSequence: 1 },
    summary: 'ICMP echo request, id 15190, seq 1',
  },
  {
    name: 'icmp echo reply',
    codec: icmp,
    bytes: hex('00 00 0000 3b56 0001'),
    fields: { sport: 0 },
    summary: 'ICMP echo reply, id 15190, seq 1',
  },
  {
    name: 'icmp net unreachable',
    codec: icmp,
    bytes: hex('03 00 0000 00000000'),
    fields: { sport: 3, dport: 0 },
    summary: 'ICMP net unreachable',
  },
  {
    name: 'icmp host prohibited',
    codec: icmp,
    bytes: hex('03 0a 0000 00000000'),
    fields: { sport: 3, dport: 10 },
    summary: 'ICMP host prohibited',
  },
  {
    name: 'icmp frag needed with the next-hop MTU (RFC 1191 §4)',
    codec: icmp,
    bytes: hex('03 04 0000 0000 05aa'),
    fields: { sport: 3, dport: 4, icmpId: 0, icmpSequence: 1450 },
    summary: 'ICMP need to frag (mtu 1450)',
  },
  {
    name: 'icmp time exceeded',
    codec: icmp,
    bytes: hex('0b 00 0000 00000000'),
    fields: { sport: 11 },
    summary: 'ICMP time exceeded in-transit',
  },
  {
    name: 'icmp reassembly timeout',
    codec: icmp,
    bytes: hex('0b 01 0000 00000000'),
    fields: { sport: 11, dport: 1 },
    summary: 'ICMP time exceeded in reassembly',
  },
  {
    name: 'icmp redirect',
    codec: icmp,
    bytes: hex('05 01 0000 c0a80afe'),
    fields: { icmpId: 0xc0a8, icmpSequence: 0x0afe },
    summary: 'ICMP redirect, host, to 192.168.10.254',
  },
  {
    name: 'icmp parameter problem',
    codec: icmp,
    bytes: hex('0c 00 0000 14000000'),
    fields: { icmpId: 0x1400 },
    summary: 'ICMP parameter problem, octet 20',
  },
  {
    name: 'vxlan (RFC 7348 §5)',
    codec: vxlan,
    bytes: hex('08 000000 abcdef 00'),
    fields: { vni: 0xabcdef, gbp: -1 },
    summary: 'VXLAN, flags [I] (0x08), vni 11259375',
  },
  {
    name: 'vxlan with a group policy',
    codec: vxlan,
    bytes: hex('88 00 f00d 000001 00'),
    fields: { vni: 1, gbp: 0xf00d },
    summary: 'VXLAN, flags [IG] (0x88), vni 1, policy id 61453',
  },
  {
    name: 'sctp',
    codec: sctp,
    bytes: hex('9c40 0e3c 00000000 00000000'),
    fields: { sport: 40000, dport: 3644, verificationTag: 0 },
    summary: 'SCTP 40000 > 3644',
  },
]

describe.each(CASES)('$name', ({ codec, bytes, fields, summary }) => {
  const decoded = codec.decode(bytes, 0)

  it('decodes', () => {
    expect(decoded).toMatchObject(fields)
    expect(codec.summary(decoded as never)).toBe(summary)
  })

  it('encodes to the same bytes at any place, over poison, and touches nothing else', () => {
    for (const offset of [0, 1, 14]) {
      const poisoned = new Uint8Array(bytes.length + offset + 9).fill(0xa5)
      codec.encode(decoded as never, poisoned, offset)
      expect(toHex(poisoned)).toBe('a5'.repeat(offset) + toHex(bytes) + 'a5'.repeat(9))
      expect(codec.decode(poisoned, offset)).toEqual(decoded)
    }
  })

  it('names every truncation', () => {
    for (let length = 0; length < bytes.length; length++) expect(codec.decode(bytes.slice(0, length), 0)).toMatch(/-truncated$/)
  })

  it('is at least LENGTH long', () => {
    expect(bytes.length).toBeGreaterThanOrEqual(codec.LENGTH)
  })
})

describe('headers that say impossible things', () => {
  const with_ = (bytes: Uint8Array, changes: Record<number, number>): Uint8Array => {
    const changed = bytes.slice()
    for (const [at, value] of Object.entries(changes)) changed[Number(at)] = value
    return changed
  }
  const header = hex('45 00 001c 0001 4000 40 11 03ca 0a010f02 0a011403')
  const request = hex('0001 0800 06 04 0001 1a7fad2e22e7 0a013a02 000000000000 0a013a01')

  it.each([
    ['version 6', with_(header, { 0: 0x65 }), 'ipv4-version'],
    ['header of 16 bytes', with_(header, { 0: 0x44 }), 'ipv4-header-length'],
    ['header longer than what is there', with_(header, { 0: 0x46 }), 'ipv4-truncated'],
    ['total length below the header', with_(header, { 3: 19 }), 'ipv4-total-length'],
    ['reserved flag', with_(header, { 6: 0xc0 }), 'ipv4-reserved-flag'],
  ])('ipv4: %s', (_, bytes, error) => expect(ipv4.decode(bytes, 0)).toBe(error))

  it.each([0, 2, 4, 5])('arp: another hardware, protocol or length at byte %i', (at) => {
    expect(arp.decode(with_(request, { [at]: 9 }), 0)).toBe('arp-not-ethernet-ipv4')
  })

  it('udp: a length below its own header', () => expect(udp.decode(hex('0001 0002 0007 0000'), 0)).toBe('udp-length'))

  it.each([
    ['data offset 4', with_(TCP_SYN, { 12: 0x40 }), 'tcp-data-offset'],
    ['data offset past the end', with_(TCP_SYN, { 12: 0xb0 }), 'tcp-truncated'],
    ['option of length 0', with_(TCP_SYN, { 21: 0 }), 'tcp-option-length'],
    ['option of length 1', with_(TCP_SYN, { 21: 1 }), 'tcp-option-length'],
    ['option past the header', with_(TCP_SYN, { 38: 4 }), 'tcp-option-length'],
    ['option kind without a length', with_(TCP_SYN, { 37: 1, 38: 1, 39: 2 }), 'tcp-option-length'],
  ])('tcp: %s', (_, bytes, error) => expect(tcp.decode(bytes, 0)).toBe(error))

  it('tcp: another order of options is listed, and said to be more than a row holds', () => {
    const decoded = tcp.decode(hex('9c41 0050 00000000 00000000 80 02 faf0 0000 0000  0303 07 01 0204 05b4 fd02 00 00'), 0)
    expect(decoded).toMatchObject({ representable: false, tcpMss: 1460, tcpWscale: 7, optionList: ['wscale 7', 'nop', 'mss 1460', 'unknown-253 2', 'eol'] })
  })

  it('tcp: an urgent pointer is more than a row holds', () => {
    expect(tcp.decode(hex('9c41 0050 00000000 00000000 50 02 faf0 0000 0001'), 0)).toMatchObject({ urgentPointer: 1, representable: false })
  })

  it.each([
    ['no valid VNI', '00 000000 000001 00'],
    ['an unknown flag', '0c 000000 000001 00'],
    ['a policy without its flag', '08 000001 000001 00'],
    ['GBP bits that Linux does not send', '88 400001 000001 00'],
    ['the last reserved byte', '08 000000 000001 01'],
  ])('vxlan: %s', (_, text) => expect(vxlan.decode(hex(text), 0)).toBe('vxlan-flags'))

  it('ipv4 options of a bad length are worded as such', () => {
    const decoded = ipv4.decode(hex('47 00 001c 0001 0000 40 11 0000 0a010f02 0a011403 01 44 09 05 00000000'), 0) as ipv4.Decoded
    expect(ipv4.summary(decoded)).toMatch(/options \(NOP,timestamp \[bad length\]\)$/)
  })
})

describe('CRC32c', () => {
  it('gives the published check value and the vector of RFC 3720 B.4, low byte first', () => {
    expect(sctp.crc32c(new TextEncoder().encode('123456789'), 0, 9) >>> 0).toBe(0x839206e3)
    expect(sctp.crc32c(new Uint8Array(32), 0, 32) >>> 0).toBe(0xaa36918a)
  })
})
