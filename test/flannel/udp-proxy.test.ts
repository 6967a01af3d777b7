import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { UdpProxy } from '../../src/flannel/udp-proxy.js'

const TUN_ADDRESS = ip('10.1.15.0')
const REMOTE = cidr(ip('10.1.20.0'), 24)
const NODE_B = ip('192.168.0.200')

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
}

function hex(from: Uint8Array): string {
  return Buffer.from(from).toString('hex')
}

/** Payload bytes 14 15 16 … */
function pattern(length: number): string {
  return Array.from({ length }, (_, i) => ((0x14 + i) & 0xff).toString(16).padStart(2, '0')).join('')
}

function proxy(mtu = 1472): UdpProxy {
  const made = new UdpProxy(TUN_ADDRESS, mtu)
  made.setRoute(REMOTE, NODE_B, 8285)
  return made
}

const A_IN = `4500001c00014000401103ca 0a010f02 0a011403 ${pattern(8)}`
const C_IN = `45000028000740004011b4b7 0a010f02 0a016303 ${pattern(20)}`

/** The checksum field after one decrement, from the field before. */
function patched(check: string): string {
  const packet = bytes(A_IN)
  packet.set(bytes(check), 10)
  const result = proxy().fromTun(packet)
  return result.action === 'send' ? hex(result.bytes.subarray(10, 12)) : result.action
}

describe('UdpProxy: vectors measured on the real proxy', () => {
  it("A: sent to the lease's node with TTL 63", () => {
    const result = proxy().fromTun(bytes(A_IN))
    expect(result).toMatchObject({ action: 'send', to: NODE_B, port: 8285 })
    expect(result.action === 'send' && hex(result.bytes)).toBe(hex(bytes(`4500001c000140003f1104ca 0a010f02 0a011403 ${pattern(8)}`)))
  })

  it('B: TTL 1 from the TUN device is swallowed', () => {
    const packet = bytes(A_IN)
    packet[8] = 1
    expect(proxy().fromTun(packet)).toEqual({ action: 'drop', reason: 'zero TTL' })
  })

  it("C: no route gives ICMP 3/0 with the offender's first 28 bytes, as they were read", () => {
    const result = proxy().fromTun(bytes(C_IN))
    expect(result.action === 'icmp' && hex(result.bytes)).toBe(
      hex(bytes(`45000038000000000801 80c2 0a010f00 0a010f02 0300a09f00000000 ${hex(bytes(C_IN).subarray(0, 28))}`)),
    )
  })

  it('D: no ICMP about ICMP; E: none about a later fragment', () => {
    const icmp = bytes(C_IN)
    icmp[9] = 1
    expect(proxy().fromTun(icmp)).toEqual({ action: 'drop', reason: 'no route, and no ICMP about ICMP' })
    const fragment = bytes(C_IN)
    fragment.set([0x20, 0x01], 6)
    expect(proxy().fromTun(fragment)).toEqual({ action: 'drop', reason: 'no route, and no ICMP about a later fragment' })
    fragment.set([0x20, 0x00], 6)
    expect(proxy().fromTun(fragment).action).toBe('icmp')
  })

  it('F: the route is looked for before the TTL: TTL 1 without a route still gets its ICMP', () => {
    const packet = bytes(C_IN)
    packet[8] = 1
    const result = proxy().fromTun(packet)
    expect(result.action === 'icmp' && result.bytes[28 + 8]).toBe(1)
  })

  it('G: received with TTL 63, written with 62, check 44ca to 45ca; H: TTL 1 is swallowed', () => {
    const packet = bytes(A_IN)
    packet.set([63], 8)
    packet.set(bytes('44ca'), 10)
    const result = proxy().fromUdp(packet)
    expect(result.action === 'write' && [result.bytes[8], hex(result.bytes.subarray(10, 12))]).toEqual([62, '45ca'])
    packet[8] = 1
    expect(proxy().fromUdp(packet)).toEqual({ action: 'drop', reason: 'zero TTL' })
  })

  it('I: 1600 bytes received are cut to 1472, and the length in the header stays 1600', () => {
    const packet = new Uint8Array(1600)
    packet.set(bytes(A_IN))
    packet.set(bytes('0640'), 2)
    const result = proxy().fromUdp(packet)
    expect(result.action === 'write' && [result.bytes.length, hex(result.bytes.subarray(2, 4))]).toEqual([1472, '0640'])
  })

  it('J: TTL 0 wraps to 255', () => {
    const packet = bytes(A_IN)
    packet[8] = 0
    const result = proxy().fromUdp(packet)
    expect(result.action === 'write' && [result.bytes[8], hex(result.bytes.subarray(10, 12))]).toEqual([255, '04ca'])
  })

  it('K: the checksum patch at its edges', () => {
    expect([patched('feff'), patched('ffff'), patched('ff12')]).toEqual(['0000', '0100', '0013'])
  })

  it('L: whatever is received is written, wherever it wants to go, from 20 bytes on', () => {
    const packet = bytes(A_IN)
    packet.set(bytes('08080808'), 16)
    expect(proxy().fromUdp(packet).action).toBe('write')
    expect(proxy().fromUdp(packet.subarray(0, 20)).action).toBe('write')
    expect(proxy().fromUdp(packet.subarray(0, 19))).toEqual({ action: 'drop', reason: 'too small' })
    expect(proxy().fromTun(packet.subarray(0, 19))).toEqual({ action: 'drop', reason: 'too small' })
  })
})

describe('UdpProxy: routes', () => {
  const first = cidr(ip('10.1.0.0'), 16)
  const table = (from: UdpProxy): string => from.routes.map((route) => `${formatIp(route.subnet.base)}/${route.subnet.length}`).join(' ')

  it('first match wins, not the longest, and the hit changes places with the first', () => {
    const made = new UdpProxy(TUN_ADDRESS, 1472)
    for (const third of [1, 2, 3]) made.setRoute(cidr(ip(`10.2.${third}.0`), 24), NODE_B, 8285)
    made.setRoute(first, ip('192.168.0.9'), 8285)
    made.setRoute(REMOTE, NODE_B, 8285)
    expect(made.fromTun(bytes(A_IN))).toMatchObject({ to: ip('192.168.0.9') })
    expect(table(made)).toBe('10.1.0.0/16 10.2.2.0/24 10.2.3.0/24 10.2.1.0/24 10.1.20.0/24')
  })

  it('setting a route again overwrites its next hop in place; deleting moves the last into the hole', () => {
    const made = new UdpProxy(TUN_ADDRESS, 1472)
    for (const third of [1, 2, 3]) made.setRoute(cidr(ip(`10.2.${third}.0`), 24), NODE_B, 8285)
    made.setRoute(cidr(ip('10.2.1.0'), 24), ip('192.168.0.9'), 8286)
    expect(made.routes[0]).toMatchObject({ nextHop: ip('192.168.0.9'), port: 8286 })
    expect(made.deleteRoute(cidr(ip('10.2.1.0'), 24))).toBe(true)
    expect(table(made)).toBe('10.2.3.0/24 10.2.2.0/24')
    expect(made.deleteRoute(cidr(ip('10.2.2.0'), 24))).toBe(true)
    expect(made.deleteRoute(cidr(ip('10.2.2.0'), 24))).toBe(false)
    expect(table(made)).toBe('10.2.3.0/24')
  })
})

/** The header's checksum computed anew; 0 and ffff are the same number there. */
function checksum(packet: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < 20; i += 2) if (i !== 10) sum += (packet[i] << 8) | packet[i + 1]
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

it('property: a packet with a right checksum has a right one afterwards, TTL one less, and nothing else changed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 60 }), (random) => {
      const packet = Uint8Array.from(random)
      packet[0] = 0x45
      packet.set(bytes('0a011403'), 16)
      if (packet[8] <= 1) packet[8] = 2
      const check = checksum(packet)
      packet[10] = check >> 8
      packet[11] = check & 0xff
      const result = proxy().fromTun(packet)
      expect(result.action).toBe('send')
      if (result.action !== 'send') return
      const written = (result.bytes[10] << 8) | result.bytes[11]
      expect(written % 0xffff).toBe(checksum(result.bytes) % 0xffff)
      const restored = Uint8Array.from(result.bytes)
      restored[8]++
      restored.set(packet.subarray(10, 12), 10)
      expect(hex(restored)).toBe(hex(packet))
    }),
  )
})

/**
 * 400 operations and what the C proxy (flannel's proxy_amd64.c behind a datagram socket in place of the TUN device, MTU 100,
 * tun address 10.1.15.0) made of them: S and D set and delete a route, T is read from the TUN device, U received. Results: s sent,
 * i ICMP, w written, d nothing; 1 or 0 for routes.
 */
it('does what the C proxy did in 400 recorded operations', () => {
  const vectors = JSON.parse(readFileSync(new URL('udp-proxy.vectors.json', import.meta.url), 'utf8')) as [string, string][]
  const made = new UdpProxy(TUN_ADDRESS, 100)
  const run = (line: string): string => {
    const [kind, ...rest] = line.split(' ')
    if (kind === 'S' || kind === 'D') {
      const subnet = cidr(ip(rest[0]), Number(rest[1]))
      if (kind === 'D') return made.deleteRoute(subnet) ? '1' : '0'
      made.setRoute(subnet, NODE_B, 8285)
      return '1'
    }
    const result = kind === 'T' ? made.fromTun(bytes(rest[0])) : made.fromUdp(bytes(rest[0]))
    return result.action === 'drop' ? 'd' : `${result.action[0]} ${hex(result.bytes)}`
  }
  expect(vectors).toHaveLength(400)
  for (const [line, wanted] of vectors) expect([line, run(line)]).toEqual([line, wanted])
})
