import { describe, expect, it } from 'vitest'
import { encodeFrame } from '../../src/wire/frame.js'
import { summarizeFrame } from '../../src/wire/frame-summary.js'
import { type Packet, PAYLOAD_INNER, PAYLOAD_QUOTE } from '../../src/wire/packet.js'
import { hex, recordedFrames, udpRow, vxlanRow } from './support.js'

function words(packet: Packet): string[] {
  return summarizeFrame(encodeFrame(packet), { link: packet.etherType === 0 ? 'none' : 'ethernet' }).split('\n')
}

describe('a frame in words', () => {
  it('has one line a layer, nested', () => {
    const echo = udpRow(56, { proto: 1, sport: 8, dport: 0, icmpId: 7, icmpSequence: 1 })
    expect(words(vxlanRow(echo, 98))).toEqual([
      'fe:dc:ba:98:76:54 > 0a:00:00:00:00:02, ethertype IPv4 (0x0800), length 148',
      '  IP 192.168.0.100 > 192.168.0.200, tos 0x0, ttl 64, id 1, offset 0, flags [none], proto UDP (17), length 134',
      '    UDP 45723 > 8472, length 106',
      '      VXLAN, flags [I] (0x08), vni 1',
      '        fe:dc:ba:98:76:54 > 0a:00:00:00:00:02, ethertype IPv4 (0x0800), length 98',
      '          IP 10.1.15.2 > 10.1.20.3, tos 0x0, ttl 64, id 1, offset 0, flags [none], proto ICMP (1), length 84',
      '            ICMP echo request, id 7, seq 1, length 64',
    ])
  })

  it('shows what an ICMP error quotes, and that it is cut', () => {
    const quote = { payloadKind: PAYLOAD_QUOTE, payloadLength: 548, inner: udpRow(1473) }
    const lines = words(udpRow(0, { etherType: 0, proto: 1, sport: 3, dport: 4, icmpSequence: 1450, ipLength: 576, ...quote }))
    expect(lines[1]).toBe('  ICMP need to frag (mtu 1450), length 556')
    expect(lines[2]).toMatch(/^ {4}IP 10\.1\.15\.2 > 10\.1\.20\.3.*length 1501 \[cut to 548\]$/)
    expect(lines[3]).toBe('      UDP 40000 > 9000, length 1473')
  })

  it("looks into IPIP and flannel's UDP", () => {
    const inner = udpRow(10)
    const fields = { payloadKind: PAYLOAD_INNER, payloadLength: 38, inner }
    expect(words(udpRow(0, { ...fields, proto: 4, ipLength: 58 }))).toHaveLength(4)
    expect(words(udpRow(0, { ...fields, sport: 8285, dport: 8285, ipLength: 66 }))[3]).toMatch(/^ {6}IP 10\.1\.15\.2/)
  })

  it('names wrong checksums and what they should be', () => {
    expect(words(udpRow(10, { corrupt: 1 })).at(-1)).toMatch(/^ {4}UDP 40000 > 9000, length 10 \[bad cksum 0x[0-9a-f]{4}, should be 0x[0-9a-f]{4}\]$/)
    const frame = encodeFrame(udpRow(10))
    const right = `0x${((frame[24] << 8) | frame[25]).toString(16).padStart(4, '0')}`
    frame[24] ^= 0xff
    expect(summarizeFrame(frame, { link: 'ethernet' })).toContain(`should be ${right}]`)
    frame.fill(0, 40, 42)
    expect(summarizeFrame(frame, { link: 'ethernet' })).toContain('[no cksum]')
  })

  it('says which bytes a later fragment carries', () => {
    const lines = words(udpRow(3000, { ipLength: 1500, moreFragments: 1, fragmentOffset: 1480 }))
    expect(lines[1]).toContain('offset 1480, flags [+]')
    expect(lines[2]).toBe('    fragment, bytes 1480 to 2959 of the IP payload')
  })

  it('names what it cannot read', () => {
    expect(summarizeFrame(hex(''), { link: 'none' })).toBe('[ipv4-truncated]')
    const ipv6 = summarizeFrame(hex('333300000016 a22eeedc2477 86dd 60'), { link: 'ethernet' })
    expect(ipv6).toBe('a2:2e:ee:dc:24:77 > 33:33:00:00:00:16, ethertype IPv6 (0x86dd), length 15')
  })

  it('finds no fault with any frame of the real kernel', () => {
    const faults = recordedFrames().filter(({ bytes, link }) => /\[(?!none|\+|DF|I\]|[FSRP.]+\]|mss|cut to)/.test(summarizeFrame(bytes, { link })))
    expect(faults.map(({ bytes, link }) => summarizeFrame(bytes, { link }))).toEqual([])
  })
})
