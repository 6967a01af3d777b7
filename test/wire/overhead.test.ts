import { describe, expect, it } from 'vitest'
import { encodeIp } from '../../src/wire/frame.js'
import { ENCAPSULATIONS, mtuReserve, overheadOf } from '../../src/wire/overhead.js'
import { type Packet, PAYLOAD_INNER } from '../../src/wire/packet.js'
import { udpRow, vxlanRow } from './support.js'

describe('overhead', () => {
  it.each([
    ['none', 0],
    ['ipip', 20],
    ['udp', 28],
    ['vxlan', 50],
    ['wireguard', 60],
  ] as const)('of %s is %i bytes', (encapsulation, bytes) => expect(overheadOf(encapsulation).bytes).toBe(bytes))

  const inner = udpRow(972)
  const around = (fields: Partial<Packet>): Packet => udpRow(0, { payloadKind: PAYLOAD_INNER, payloadLength: 1000, inner, ...fields })

  it.each([
    ['none', inner],
    ['ipip', around({ proto: 4, ipLength: 1020 })],
    ['udp', around({ ipLength: 1028, sport: 8285, dport: 8285 })],
    ['vxlan', vxlanRow(inner, 1014)],
  ] as const)('of %s is what the encoder adds', (encapsulation, outer) => {
    expect(encodeIp(outer).length - encodeIp(inner).length).toBe(overheadOf(encapsulation).bytes)
  })

  it('names its parts', () => {
    expect(overheadOf('vxlan').parts).toEqual([
      { name: 'outer IPv4', bytes: 20 },
      { name: 'outer UDP', bytes: 8 },
      { name: 'VXLAN', bytes: 8 },
      { name: 'inner Ethernet', bytes: 14 },
    ])
    for (const encapsulation of ENCAPSULATIONS) {
      const { parts, bytes } = overheadOf(encapsulation, { length: 1001, mtu: 1420 })
      expect(parts.reduce((sum, part) => sum + part.bytes, 0)).toBe(bytes)
    }
  })

  it.each([
    [1000, 1068],
    [1008, 1068],
    [1009, 1084],
    [84, 156],
    // Padding stops at the MTU, so that the outer packet still fits into 1480.
    [1420, 1480],
    [1410, 1480],
  ])('of wireguard pads %i bytes to an outer packet of %i', (length, outer) => {
    expect(length + overheadOf('wireguard', { length, mtu: 1420 }).bytes).toBe(outer)
  })

  it('is taken off the MTU as flannel does: 1500, 1480, 1472, 1450, 1420', () => {
    expect(ENCAPSULATIONS.map((encapsulation) => 1500 - mtuReserve(encapsulation))).toEqual([1500, 1480, 1472, 1450, 1420])
  })
})
