/**
 * The proxies that stand in for flannel's udp backend on a real kernel, the lab's own (Python) and the benchmark's (C): the bytes that the real one gave,
 * and netsim's model of it on anything else.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { compiled, routeWords } from '../../bench/kernel/there.js'
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
type Route = readonly [base: number, mask: number, nextHop: string, port: number]
const REMOTE: Route = [0x0a011400, 0xffffff00, '192.168.0.200', 8285]
type Run = (packets: readonly Packet[], routes?: readonly Route[]) => Given[]

function inPython(packets: readonly Packet[], routes: readonly Route[] = [REMOTE]): Given[] {
  const { stdout, stderr } = spawnSync('python3', ['-B', '-c', DRIVER, 'src/kernel'], { input: `${JSON.stringify({ packets, routes })}\n`, encoding: 'utf8' })
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout) as Given[]
}

const folder = mkdtempSync(join(tmpdir(), 'netsim-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

function inC(packets: readonly Packet[], routes: readonly Route[] = [REMOTE]): Given[] {
  const spec = routes.map(([base, mask, nextHop, port]) => ({ subnet: cidr(base | 0, 32 - Math.log2(2 ** 32 - mask)), nextHop: ip(nextHop), port }))
  const input = packets.map(([way, text]) => `${way} ${text}\n`).join('')
  const words = ['try', '10.1.15.0', '1472', ...routeWords({ routes: spec })]
  const { status, stdout, stderr } = spawnSync(join(folder, 'proxy'), words, { input, encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  const lines = stdout.trimEnd().split('\n')
  return lines.map((line): Given => {
    const [action, hex, nextHop, port] = line.split(' ')
    if (action === 'drop') return null
    if (action === 'write') return hex
    return action === 'send' ? ['send', hex, nextHop, Number(port)] : ['icmp', hex]
  })
}

const have = (tool: string): boolean => spawnSync(tool, ['--version']).status === 0
const PROXIES: readonly { readonly name: string; readonly run: Run; readonly tool: string }[] = [
  { name: 'the lab’s proxy', run: inPython, tool: 'python3' },
  { name: 'the benchmark’s proxy', run: inC, tool: 'cc' },
]
if (have('cc')) compiled(folder, 'proxy')

const pattern = (length: number): string => Buffer.from(Array.from({ length }, (_, i) => 0x14 + i)).toString('hex')
const A = `4500001c00014000401103ca0a010f020a011403${pattern(8)}`
const C = `45000028000740004011b4b70a010f020a016303${pattern(20)}`
const patched = (hex: string, at: number, bytes: string): string => hex.slice(0, at * 2) + bytes + hex.slice(at * 2 + bytes.length)

describe.each(PROXIES)('$name (skipped without $tool)', ({ run, tool }) => {
  it.skipIf(!have(tool))('gives what the real proxy gave', () => {
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

  it.skipIf(!have(tool))('and what netsim’s model gives, on any packets in a row', () => {
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
