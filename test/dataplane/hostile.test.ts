/** Dumps that nobody's tool wrote: cut short, binary, huge, in loops. Each reader ends, throws nothing, and says what is wrong in a bounded number of words. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Problem } from '../../src/base/problem.js'
import { parseFdb } from '../../src/dataplane/bridge-fdb.js'
import { parseNeighbours } from '../../src/dataplane/ip-neigh.js'
import { parseRoutes } from '../../src/dataplane/ip-route.js'
import { parseRules } from '../../src/dataplane/ip-rule.js'
import { parseIpsets } from '../../src/dataplane/ipset-save.js'
import { parseIptablesSave, printIptablesSave } from '../../src/dataplane/iptables-save.js'
import { parseSysctls } from '../../src/dataplane/sysctl.js'
import { compileRules } from '../../src/net/netfilter/compile.js'

const place = { file: 'dump', line: 1, by: 'dump' }
type Reader = (text: string) => readonly Problem[]
const READERS: readonly (readonly [string, Reader, string])[] = [
  [
    'iptables-save',
    (text) => parseIptablesSave(text, place).problems,
    '*nat\n:PREROUTING ACCEPT [1:60]\n:KUBE-SVC - [0:0]\n' +
      '[3:180] -A PREROUTING -m comment --comment "a \\"b\\" c" -p tcp -m tcp --dport 80 ! -s 10.0.0.0/8 -j KUBE-SVC\n' +
      '-A KUBE-SVC -m set --match-set a src,dst -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.1\nCOMMIT\n# Completed\n',
  ],
  [
    'ip route',
    (text) => parseRoutes(text, place).problems,
    'default via 10.0.0.1 dev eth0 proto static metric 100 \n10.9.0.0/16 proto bird \n\tnexthop via 10.0.0.2 dev eth0 weight 1 \n',
  ],
  ['ip rule', (text) => parseRules(text, place).problems, '0:\tfrom all lookup local\n99:\tnot from all fwmark 0x40000/0x40000 lookup 100\n'],
  ['ip neigh', (text) => parseNeighbours(text, place).problems, '10.0.0.2 dev eth0 lladdr 02:00:00:00:00:02 REACHABLE \n10.0.0.3 dev eth0 FAILED \n'],
  [
    'bridge fdb',
    (text) => parseFdb(text, place).problems,
    '02:00:00:00:00:02 dev flannel.1 dst 10.0.0.2 self permanent\n02:00:00:00:00:01 dev v master cni0 \n',
  ],
  [
    'ipset save',
    (text) => parseIpsets(text, place).problems,
    'create a hash:net family inet hashsize 1024 maxelem 65536\nadd a 10.0.0.0/8 nomatch\nName: b\nType: hash:ip\nMembers:\n10.0.0.1\n',
  ],
  ['sysctl -a', (text) => parseSysctls(text, place).problems, 'net.ipv4.ip_forward = 1\nnet.ipv4.ip_local_port_range = 32768\t60999\n'],
]

function bounded(problems: readonly Problem[]): void {
  expect(problems.length).toBeLessThan(2200)
  for (const { what } of problems) {
    expect(what.length).toBeLessThan(520)
    // eslint-disable-next-line no-control-regex -- a terminal would act on these
    expect(what).not.toMatch(/[\u0000-\u0008\u000e-\u001f\u007f\u009b]/)
  }
}

describe.each(READERS)('%s', (_name, read, sample) => {
  it('the sample is understood', () => {
    expect(read(sample)).toEqual([])
  })

  it('any text, and the sample with pieces cut out, doubled, moved and put in, end in Problems', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom(
        '\0',
        '\u001b[2J',
        '"',
        "'",
        '\\',
        '! ',
        '\n',
        '\r\n',
        '\t',
        '/',
        ',',
        ':',
        '-A ',
        '*',
        'COMMIT\n',
        '99999999999999999999999',
        '-1',
        '0x',
        '[',
        '\ufeff',
        '𝒳',
      ),
    )
    const at = fc.integer({ min: 0, max: sample.length })
    const edits = fc.array(fc.tuple(at, at, piece), { minLength: 1, maxLength: 6 })
    const mutate = (list: readonly (readonly [number, number, string])[]): string =>
      list.reduce((text, [from, to, put]) => text.slice(0, from) + put + text.slice(Math.min(from, to)), sample)
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), edits.map(mutate)), (text) => bounded(read(text))),
      { numRuns: 400 },
    )
  })

  it('cut short anywhere', () => {
    for (let end = 0; end < sample.length; end++) bounded(read(sample.slice(0, end)))
  })

  it('a line of 32 MB, UTF-16, and a hundred thousand lines of nonsense', () => {
    const long = read(`${sample}${'x'.repeat(32 << 20)}\n`)
    expect(long.map(({ what, line }) => [what, line])).toEqual([[expect.stringContaining('33554432 characters'), sample.split('\n').length]])
    const wide = read([...sample].map((char) => `${char}\0`).join(''))
    bounded(wide)
    expect(wide[0].what).toContain('NUL')
    const many = read(Array.from({ length: 100_000 }, (_, i) => `nonsense ${i} "open \\" [${i}`).join('\n'))
    expect(many.length).toBeGreaterThan(0)
    bounded(many)
  })
})

describe('rules in loops and in great number', () => {
  const load = (lines: readonly string[]): ReturnType<typeof compileRules> => {
    const { state } = parseIptablesSave(['*filter', ...lines, 'COMMIT', ''].join('\n'), place)
    return compileRules(state, [], () => 0)
  }

  it('jumps that close a loop are found, whatever the way round, and no others', () => {
    expect(load([':A - [0:0]', ':B - [0:0]', ':C - [0:0]', '-A A -j B', '-A B -g C', '-A C -j A', '-A INPUT -j C']).faults.map(({ what }) => what)).toEqual([
      'the jump to C closes a loop',
    ])
    expect(load([':A - [0:0]', '-A A -j A']).faults).toHaveLength(1)
  })

  it('fifty thousand chains, each calling the next, and all calling the last', () => {
    const names = Array.from({ length: 50_000 }, (_, i) => `C${i}`)
    const compiled = load([
      ...names.map((name) => `:${name} - [0:0]`),
      ...names.slice(1).flatMap((name, i) => [`-A C${i} -j ${name}`, `-A C${i} -j C49999`]),
      '-A INPUT -j C0',
    ])
    expect([compiled.faults, compiled.depth]).toEqual([[], 50_000])
  })

  it('two hundred thousand rules are read and printed again as they were', () => {
    const rules = Array.from(
      { length: 200_000 },
      (_, i) => `-A FORWARD -s 10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}/32 -p tcp -m tcp --dport ${i & 65535} -j DROP`,
    )
    const text = ['*filter', ':INPUT ACCEPT [0:0]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]', ...rules, 'COMMIT', ''].join('\n')
    const { state, problems } = parseIptablesSave(text, { file: 'dump', line: 1 })
    expect(problems).toEqual([])
    expect(printIptablesSave(state) === text).toBe(true)
  }, 60_000)
})
