/** The lab's own proxy of flannel's udp backend (Python): the bytes that the real one gave, and netsim's model of it on anything else. */
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { cidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { Prng } from '../../src/base/prng.js'
import { UdpProxy } from '../../src/flannel/udp-proxy.js'

const DRIVER = `
import json, sys
sys.path.insert(0, sys.argv[1])
from tun_proxy import Proxy
for line in sys.stdin:
    ask = json.loads(line)
    proxy = Proxy(0x0a010f00, 1472, [tuple(route) for route in ask['routes']])
    out = []
    for way, text in ask['packets']:
        data = bytes.fromhex(text)
        got = proxy.to_udp(data) if way == 'tun' else proxy.to_tun(data)
        out.append(None if got is None else got.hex() if way == 'udp' else [got[0], got[1].hex()] + list(got[2:]))
    print(json.dumps(out))
`
type Packet = readonly ['tun' | 'udp', string]
type Given = null | string | readonly [string, string, string?, number?]
const REMOTE = [0x0a011400, 0xffffff00, '192.168.0.200', 8285] as const
const havePython = spawnSync('python3', ['--version']).status === 0

function run(packets: readonly Packet[], routes: readonly (readonly [number, number, string, number])[] = [REMOTE]): Given[] {
  const { stdout, stderr } = spawnSync('python3', ['-B', '-c', DRIVER, 'src/kernel'], { input: `${JSON.stringify({ packets, routes })}\n`, encoding: 'utf8' })
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout) as Given[]
}

const pattern = (length: number): string => Buffer.from(Array.from({ length }, (_, i) => 0x14 + i)).toString('hex')
const A = `4500001c00014000401103ca0a010f020a011403${pattern(8)}`
const C = `45000028000740004011b4b70a010f020a016303${pattern(20)}`
const patched = (hex: string, at: number, bytes: string): string => hex.slice(0, at * 2) + bytes + hex.slice(at * 2 + bytes.length)

describe.skipIf(!havePython)('the proxy of the lab (skipped without python3)', () => {
  it('gives what the real proxy gave', () => {
    const sent = `4500001c000140003f1104ca0a010f020a011403${pattern(8)}`
    const icmp = `4500003800000000080180c20a010f000a010f020300a09f00000000${C.slice(0, 56)}`
    expect(run([['tun', A]])).toEqual([['send', sent, '192.168.0.200', 8285]])
    expect(
      run([
        ['tun', patched(A, 8, '01')],
        ['udp', patched(A, 8, '01')],
      ]),
    ).toEqual([null, null])
    expect(run([['tun', C]])).toEqual([['icmp', icmp]])
    expect(
      run([
        ['tun', patched(C, 9, '01')],
        ['tun', patched(C, 6, '2001')],
      ]),
    ).toEqual([null, null])
    expect(run([['tun', patched(C, 8, '01')]])[0]?.[0]).toBe('icmp')
    const check = (before: string): string => String(run([['udp', patched(A, 10, before)]])[0]).slice(20, 24)
    expect(['44ca', 'feff', 'ffff', 'ff12'].map(check)).toEqual(['45ca', '0000', '0100', '0013'])
    const long = `45000640${'00'.repeat(4)}40110000${'00'.repeat(1588)}`
    expect(String(run([['udp', long]])[0])).toMatch(/^45000640/)
    expect(String(run([['udp', long]])[0])).toHaveLength(1472 * 2)
    expect(String(run([['udp', patched(A, 8, '00')]])[0]).slice(16, 18)).toBe('ff')
    expect(
      run([
        ['udp', A.slice(0, 38)],
        ['tun', A.slice(0, 38)],
      ]),
    ).toEqual([null, null])
  })

  it('and what netsim’s model gives, on any packets in a row', () => {
    const prng = new Prng(20)
    const draw = (below: number): number => (prng.nextInt32() >>> 0) % below
    const routes = Array.from(
      { length: 5 },
      (_, i) => [(0x0a010000 | (i << 8)) >>> 0, i === 4 ? 0xffff0000 : 0xffffff00, `192.168.0.${i + 1}`, 8285 + i] as const,
    )
    const model = new UdpProxy(ip('10.1.15.0'), 1472)
    for (const [base, mask, nextHop, port] of routes) {
      if (mask === 0xffffff00) model.setRoute(cidr(base | 0, 24), ip(nextHop), port)
    }
    const given = routes.filter(([, mask]) => mask === 0xffffff00)
    const packets = Array.from({ length: 400 }, (): Packet => {
      const bytes = Buffer.alloc(draw(8) === 0 ? draw(24) : 28 + draw(80))
      for (let i = 0; i < bytes.length; i++) bytes[i] = draw(256)
      if (bytes.length >= 28) {
        bytes[0] = 0x45
        bytes[8] = draw(4)
        bytes[9] = draw(3) === 0 ? 1 : 17
        bytes.writeUInt16BE(draw(3) === 0 ? draw(0x4000) : 0x4000, 6)
        bytes.writeUInt16BE([0xfefe, 0xfeff, 0xff00, 0xffff, draw(65536)][draw(5)], 10)
        bytes.writeUInt32BE((0x0a010000 | (draw(7) << 8) | draw(256)) >>> 0, 16)
      }
      return [draw(3) === 0 ? 'udp' : 'tun', bytes.toString('hex')]
    })
    const expected = packets.map(([way, text]): Given => {
      const bytes = Uint8Array.from(Buffer.from(text, 'hex'))
      if (way === 'udp') {
        const result = model.fromUdp(bytes)
        return result.action === 'write' ? Buffer.from(result.bytes).toString('hex') : null
      }
      const result = model.fromTun(bytes)
      if (result.action === 'drop') return null
      const hex = Buffer.from(result.bytes).toString('hex')
      return result.action === 'send' ? ['send', hex, formatIp(result.to), result.port] : ['icmp', hex]
    })
    expect(run(packets, given)).toEqual(expected)
    for (const kind of ['send', 'icmp']) expect(expected.filter((one) => Array.isArray(one) && one[0] === kind).length).toBeGreaterThan(20)
  })
})
