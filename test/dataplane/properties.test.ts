/** Print → parse gives the same data for any data; no text, however broken, makes a reader throw. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maskOf } from '../../src/base/cidr.js'
import { applyFdbCommand, parseFdb, printFdb } from '../../src/dataplane/bridge-fdb.js'
import type { FdbSpec, NeighbourSpec, RouteSpec, RoutingRuleSpec } from '../../src/dataplane/dataplane.js'
import { applyAddressCommand } from '../../src/dataplane/ip-address.js'
import { applyLinkCommand } from '../../src/dataplane/ip-link.js'
import { applyNeighbourCommand, parseNeighbours, printNeighbours } from '../../src/dataplane/ip-neigh.js'
import { applyRouteCommand } from '../../src/dataplane/ip-route-command.js'
import { parseRoutes, printRoutes, sortRoutes } from '../../src/dataplane/ip-route.js'
import { applyRuleCommand, parseRules, printRules } from '../../src/dataplane/ip-rule.js'
import { applyIpsetCommand, parseIpsets, printIpsets } from '../../src/dataplane/ipset-save.js'
import type { IpSet } from '../../src/dataplane/ipset.js'
import { applyIptablesCommand } from '../../src/dataplane/iptables-command.js'
import { canonicalProbability } from '../../src/dataplane/iptables-value.js'
import { parseIptablesSave, printIptablesSave } from '../../src/dataplane/iptables-save.js'
import type { AddrType, CtState, Match, Rule, Target } from '../../src/dataplane/iptables.js'
import { parseSysctls, printSysctls } from '../../src/dataplane/sysctl.js'

const place = { file: 'f', line: 1 }
const u8 = fc.integer({ min: 0, max: 255 })
const u16 = fc.integer({ min: 0, max: 65535 })
const u32 = fc.integer({ min: 0, max: 0xffffffff })
const ip = fc.integer({ min: -0x80000000, max: 0x7fffffff })
const cidr = fc.tuple(ip, fc.integer({ min: 1, max: 32 })).map(([base, length]) => ({ base: base & maskOf(length), length }))
const mac = fc.integer({ min: 0, max: 0xffffffffffff })
const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,11}$/)
const range = fc.tuple(u16, u16).map(([a, b]): readonly [number, number] => [Math.min(a, b), Math.max(a, b)])
const invert = fc.constantFrom({}, { invert: true })
const text = fc.string({ minLength: 1, maxLength: 20, unit: fc.constantFrom(...'abcXYZ019_- :/"\'\\|,.') })
const optional = <T extends object>(value: fc.Arbitrary<T>): fc.Arbitrary<T | object> => fc.oneof(fc.constant({}), value)

function subset<T extends string>(...all: T[]): fc.Arbitrary<T[]> {
  return fc.subarray(all, { minLength: 1 })
}

const STATES: CtState[] = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT']
const TYPES: AddrType[] = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'THROW',
  'NAT',
  'XRESOLVE',
]
const directions = fc.array(fc.constantFrom('src' as const, 'dst' as const), { minLength: 1, maxLength: 3 })
const masked = fc.record({ value: u32, mask: u32 })

/** Any module match of a TCP rule; each stands behind its own -m. */
const tcpMatch: fc.Arbitrary<Match> = fc.oneof(
  text.map((t): Match => ({ kind: 'comment', text: t })),
  fc.tuple(masked, invert).map(([m, i]): Match => ({ kind: 'mark', ...m, ...i })),
  fc.tuple(masked, invert).map(([m, i]): Match => ({ kind: 'connmark', ...m, ...i })),
  fc.tuple(subset(...STATES), invert).map(([states, i]): Match => ({ kind: 'ctstate', module: 'conntrack', states, ...i })),
  fc.tuple(subset(...STATES.slice(0, 5)), invert).map(([states, i]): Match => ({ kind: 'ctstate', module: 'state', states, ...i })),
  fc
    .tuple(fc.constantFrom('ctorigsrc' as const, 'ctrepldst' as const), cidr, invert)
    .map(([field, net, i]): Match => ({ kind: 'ct-address', field, net, ...i })),
  fc
    .tuple(fc.constantFrom('ctorigdstport' as const, 'ctreplsrcport' as const), range, invert)
    .map(([field, ports, i]): Match => ({ kind: 'ct-port', field, ports, ...i })),
  subset('EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED').map((status): Match => ({ kind: 'ctstatus', status })),
  fc.constantFrom<Match>({ kind: 'ctdir', direction: 'ORIGINAL' }, { kind: 'ctdir', direction: 'REPLY' }),
  fc
    .tuple(
      fc.constantFrom('src' as const, 'dst' as const),
      subset(...TYPES),
      invert,
      optional(fc.record({ limit: fc.constantFrom('in' as const, 'out' as const) })),
    )
    .map(([side, types, i, limit]): Match => ({ kind: 'addrtype', side, types, ...limit, ...i })),
  fc.tuple(name, directions, invert).map(([set, d, i]): Match => ({ kind: 'set', set, directions: d, ...i })),
  fc
    .tuple(fc.integer({ min: 0, max: 2 ** 31 }), invert)
    .map(([n, i]): Match => ({ kind: 'statistic-random', probability: canonicalProbability((n / 2 ** 31).toFixed(11)) as string, ...i })),
  fc
    .tuple(fc.integer({ min: 5, max: 99 }), fc.integer({ min: 0, max: 4 }), invert)
    .map(([every, packet, i]): Match => ({ kind: 'statistic-nth', every, packet, ...i })),
  fc
    .tuple(fc.constantFrom('physdev-in' as const, 'physdev-out' as const), name, invert)
    .map(([option, n, i]): Match => ({ kind: 'physdev', option, name: n, ...i })),
  fc
    .tuple(fc.constantFrom('physdev-is-in' as const, 'physdev-is-out' as const, 'physdev-is-bridged' as const), invert)
    .map(([option, i]): Match => ({ kind: 'physdev-is', option, ...i })),
  fc.record({ loose: fc.boolean(), validmark: fc.boolean(), acceptLocal: fc.boolean(), invert: fc.boolean() }).map((m): Match => ({ kind: 'rpfilter', ...m })),
  fc
    .record({ rate: fc.constantFrom('3/hour', '5/min', '10/sec', '7/day'), burst: fc.integer({ min: 1, max: 10000 }) })
    .map((m): Match => ({ kind: 'limit', ...m })),
  fc.tuple(mac, invert).map(([m, i]): Match => ({ kind: 'mac-source', mac: m, ...i })),
  fc.tuple(range, invert).map(([r, i]): Match => ({ kind: 'length', range: r, ...i })),
  fc.record({ compare: fc.constantFrom('eq' as const, 'ne' as const, 'lt' as const, 'gt' as const), value: u8 }).map((m): Match => ({ kind: 'ttl', ...m })),
  fc
    .tuple(fc.constantFrom('unicast' as const, 'broadcast' as const, 'multicast' as const), invert)
    .map(([type, i]): Match => ({ kind: 'pkttype', type, ...i })),
  fc
    .tuple(fc.constantFrom('src' as const, 'dst' as const), ip, ip, invert)
    .map(([side, a, b, i]): Match => ({ kind: 'iprange', side, first: a >>> 0 < b >>> 0 ? a : b, last: a >>> 0 < b >>> 0 ? b : a, ...i })),
  fc.tuple(fc.integer({ min: 0, max: 63 }), invert).map(([value, i]): Match => ({ kind: 'dscp', value, ...i })),
  fc.tuple(u8, u8, invert).map(([value, mask, i]): Match => ({ kind: 'tos', value, mask, ...i })),
  fc
    .tuple(fc.constantFrom('sports' as const, 'dports' as const, 'ports' as const), fc.array(range, { minLength: 1, maxLength: 7 }), invert)
    .map(([side, ports, i]): Match => ({ kind: 'multiport', side, ports, ...i })),
  fc.tuple(range, invert).map(([ports, i]): Match => ({ kind: 'destination-port', module: 'tcp', ports, ...i })),
  fc.tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 0, max: 63 }), invert).map(([mask, set, i]): Match => ({ kind: 'tcp-flags', mask, set, ...i })),
  fc
    .tuple(
      fc.constantFrom('set' as const, 'rcheck' as const, 'update' as const, 'remove' as const),
      name,
      fc.constantFrom('source' as const, 'dest' as const),
      ip,
      optional(fc.record({ seconds: u16, hitcount: u16 })),
      invert,
    )
    .map(([action, n, side, mask, times, i]): Match => ({ kind: 'recent', action, name: n, side, mask, ...times, ...i })),
)

const natTo = fc.tuple(ip, optional(fc.record({ ports: range }))).map(([first, ports]) => ({ first, ...ports }))
const target: fc.Arbitrary<Target> = fc.oneof(
  fc.constantFrom<Target>({ kind: 'ACCEPT' }, { kind: 'DROP' }, { kind: 'RETURN' }, { kind: 'jump', chain: 'UC' }, { kind: 'goto', chain: 'UC' }),
  fc
    .tuple(optional(fc.record({ prefix: text })), optional(fc.record({ level: fc.constantFrom(0, 5, 7) })))
    .map(([p, l]): Target => ({ kind: 'LOG', ...p, ...l })),
  fc
    .tuple(optional(fc.record({ group: fc.integer({ min: 1, max: 65535 }), prefix: text })), optional(fc.record({ size: u32 })))
    .map(([p, s]): Target => ({ kind: 'NFLOG', ...p, ...s })),
  masked.map((m): Target => ({ kind: 'MARK', ...m })),
  masked.map((m): Target => ({ kind: 'CONNMARK', action: 'set', ...m })),
  fc.record({ action: fc.constantFrom('save' as const, 'restore' as const), nfmask: u32, ctmask: u32 }).map((m): Target => ({ kind: 'CONNMARK', ...m })),
  fc.record({ to: natTo, random: fc.boolean(), randomFully: fc.boolean(), persistent: fc.boolean() }).map((t): Target => ({ kind: 'SNAT', ...t })),
  fc.record({ to: natTo, random: fc.boolean(), persistent: fc.boolean() }).map((t): Target => ({ kind: 'DNAT', ...t })),
  fc.tuple(optional(fc.record({ ports: range })), fc.boolean()).map(([p, random]): Target => ({ kind: 'REDIRECT', ...p, random })),
  fc
    .tuple(optional(fc.record({ ports: range })), fc.boolean(), fc.boolean())
    .map(([p, random, randomFully]): Target => ({ kind: 'MASQUERADE', ...p, random, randomFully })),
  fc.oneof(fc.constant({ clampToPmtu: true }), fc.record({ clampToPmtu: fc.constant(false), mss: u16 })).map((t): Target => ({ kind: 'TCPMSS', ...t })),
  fc.tuple(name, directions).map(([set, d]): Target => ({ kind: 'SET', action: 'add-set', set, directions: d, exist: true, timeout: 9 })),
)

const head = fc
  .tuple(
    optional(fc.tuple(cidr, invert).map(([net, i]) => ({ m: { kind: 'source', net, ...i } }))),
    optional(fc.tuple(cidr, invert).map(([net, i]) => ({ m: { kind: 'destination', net, ...i } }))),
    optional(fc.tuple(name, invert).map(([n, i]) => ({ m: { kind: 'in-interface', name: n, ...i } }))),
  )
  .map((parts) => [...parts.flatMap((part) => ('m' in part ? [part.m as Match] : [])), { kind: 'protocol', proto: 6 } satisfies Match as Match])

/** Options of one module that follow one another merge behind one -m; that costs nothing but the text of the second. */
const rule: fc.Arbitrary<Rule> = fc
  .tuple(head, fc.array(tcpMatch, { maxLength: 4 }), target)
  .map(([first, rest, t]) => ({ matches: [...first, ...rest], target: t }))

describe('print → parse is the identity', () => {
  it('iptables rules', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 4 }), (rules) => {
        const table = {
          name: 'nat' as const,
          chains: [
            { name: 'C1', rules },
            { name: 'UC', rules: [] },
          ],
        }
        const printed = printIptablesSave({ tables: [table] })
        const { state, problems } = parseIptablesSave(printed, place)
        expect(problems).toEqual([])
        const back = state.tables[0].chains.find((chain) => chain.name === 'C1')?.rules ?? []
        // an addrtype limit belongs to the module, not to one side of it
        expect(back).toEqual(rules)
        expect(printIptablesSave({ tables: [{ ...table, chains: [{ name: 'C1', rules: back }, table.chains[1]] }] })).toBe(printed)
      }),
      { numRuns: 600 },
    )
  })

  it('routes', () => {
    const hop = fc.record({ via: ip, device: name, weight: fc.integer({ min: 1, max: 256 }) })
    const extras = fc
      .tuple(
        optional(fc.record({ protocol: fc.constantFrom('kernel', 'static', 'bird', '80') })),
        optional(fc.record({ scope: fc.constantFrom('link' as const, 'host' as const) })),
        optional(fc.record({ source: ip })),
        optional(fc.record({ metric: fc.integer({ min: 1, max: 0xffffffff }) })),
        optional(fc.record({ table: fc.constantFrom('local', 'default', '100', '300') })),
        optional(fc.record({ mtu: fc.integer({ min: 68, max: 65535 }) })),
        optional(fc.record({ advmss: u16 })),
        optional(fc.record({ tos: fc.integer({ min: 1, max: 255 }) })),
      )
      .map((all) => Object.assign({}, ...all) as object)
    const prefix = fc.tuple(ip, fc.integer({ min: 0, max: 32 })).map(([base, length]) => ({ base: base & maskOf(length), length }))
    const route: fc.Arbitrary<RouteSpec> = fc.oneof(
      fc
        .tuple(prefix, name, optional(fc.record({ via: ip, onlink: fc.constant(true) })), extras)
        .map(([destination, device, via, e]): RouteSpec => ({ destination, type: 'unicast', device, ...via, ...e })),
      fc
        .tuple(prefix, fc.array(hop, { minLength: 2, maxLength: 4 }), extras)
        .map(([destination, nexthops, e]): RouteSpec => ({ destination, type: 'unicast', nexthops, ...e })),
      fc
        .tuple(prefix, fc.constantFrom('blackhole' as const, 'unreachable' as const, 'throw' as const, 'prohibit' as const), extras)
        .map(([destination, type, e]): RouteSpec => ({ destination, type, ...e })),
    )
    fc.assert(
      fc.property(fc.array(route, { maxLength: 6 }), (routes) => {
        const printed = printRoutes(routes, { table: 'all' })
        const { routes: back, problems } = parseRoutes(printed, place)
        expect(problems).toEqual([])
        expect(back).toEqual(sortRoutes(routes))
      }),
      { numRuns: 400 },
    )
  })

  it('rules, neighbours, FDB, sets, sysctls', () => {
    const routing: fc.Arbitrary<RoutingRuleSpec> = fc
      .tuple(
        fc.integer({ min: 1, max: 32765 }),
        optional(fc.record({ from: cidr })),
        optional(fc.record({ to: cidr, not: fc.constant(true as const) })),
        optional(fc.record({ iif: name })),
        optional(fc.record({ fwmark: u32, fwmask: fc.integer({ min: 0, max: 0xfffffffe }) })),
        optional(fc.record({ ipproto: fc.constantFrom(6, 17, 89, 253), dport: range })),
        fc.constantFrom({ action: 'lookup' as const, table: '100' }, { action: 'blackhole' as const }, { action: 'goto' as const, goto: 40000 }),
      )
      .map(([priority, ...rest]) => Object.assign({ priority }, ...rest) as RoutingRuleSpec)
    const neighbour: fc.Arbitrary<NeighbourSpec> = fc.oneof(
      fc.record({ address: ip, device: name, mac, state: fc.constantFrom('permanent' as const, 'stale' as const, 'reachable' as const, 'noarp' as const) }),
      fc.record({ address: ip, device: name, state: fc.constantFrom('failed' as const, 'incomplete' as const) }),
    )
    const entry: fc.Arbitrary<FdbSpec> = fc
      .tuple(
        mac,
        name,
        fc.oneof(
          fc.record({ destination: ip, self: fc.constant(true), port: u16, vni: fc.integer({ min: 0, max: 0xffffff }), via: name }),
          fc.record({ master: name }),
          fc.record({ self: fc.constant(true) }),
        ),
        fc.constantFrom('permanent' as const, 'static' as const, 'reachable' as const),
      )
      .map(([m, device, rest, state]) => ({ mac: m, device, ...rest, state }))
    const sets: fc.Arbitrary<IpSet[]> = fc.uniqueArray(
      fc
        .tuple(
          name,
          fc.uniqueArray(
            cidr.filter(({ length }) => length < 32),
            { selector: (c) => `${c.base}/${c.length}` },
          ),
        )
        .map(([n, nets]): IpSet => ({
          name: n,
          type: 'hash:net',
          options: 'family inet hashsize 1024 maxelem 65536 timeout 0',
          members: nets.map(({ base, length }) => ({
            element: `${base >>> 24}.${(base >>> 16) & 255}.${(base >>> 8) & 255}.${base & 255}/${length}`,
            timeout: length,
            ...(length % 2 === 0 ? { nomatch: true } : {}),
          })),
        })),
      { selector: (set) => set.name },
    )
    fc.assert(
      fc.property(
        fc.array(routing),
        fc.array(neighbour),
        fc.array(entry),
        sets,
        fc.dictionary(fc.constantFrom('net.ipv4.ip_forward', 'net.ipv4.conf.eth0/1.rp_filter', 'net.ipv4.tcp_rmem[0]'), u16),
        (r, n, f, s, y) => {
          expect(parseRules(printRules(r), place)).toEqual({ rules: [...r].sort((a, b) => a.priority - b.priority), problems: [] })
          expect(parseNeighbours(printNeighbours(n, { all: true }), place)).toEqual({ neighbours: n, problems: [] })
          expect(parseFdb(printFdb(f), place)).toEqual({ fdb: f, problems: [] })
          expect(parseIpsets(printIpsets(s), place)).toEqual({ sets: s, problems: [] })
          const scalars = Object.fromEntries(Object.entries(y).filter(([key]) => !key.endsWith(']')))
          expect(parseSysctls(printSysctls(scalars), place)).toEqual({ sysctls: scalars, problems: [] })
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('no text makes a reader throw', () => {
  const GOOD = [
    '*filter\n:INPUT ACCEPT [0:0]\n:UC - [0:0]\n' +
      '[1:2] -A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 80:90 -m comment --comment "a \\"b\\"" -m set --match-set x src -j REJECT --reject-with ' +
      'tcp-reset\n-A INPUT -m limit --limit 5/min -m recent --set --name X -j UC\nCOMMIT\n',
    'default via 10.0.0.1 dev eth0 proto bird metric 32 onlink \n10.2.0.0/16 \n\tnexthop via 10.0.0.2 dev eth0 weight 3 \n' +
      '\tnexthop dev eth1 weight 1 \nblackhole 10.3.0.0/16 table 100 mtu lock 1400 advmss 9 \n',
    '0:\tfrom all lookup local\n99:\tnot from 10.0.0.0/8 to 1.2.3.4 fwmark 0x1/0xf iif a ipproto tcp dport 1-2 goto 100 suppress_prefixlength 0\n',
    '10.0.0.1 dev eth0 lladdr 02:00:00:00:00:01 PERMANENT \n10.0.0.2 dev eth0 proxy \n',
    '02:00:00:00:00:01 dev flannel.1 dst 10.0.0.1 port 1 vni 2 via eth0 self permanent\n02:00:00:00:00:02 dev v master br0 \n',
    'create a hash:net,port family inet timeout 0\nadd a 10.0.0.0/8,tcp:80-90 timeout 5 nomatch\ncreate b bitmap:ip range 10.0.0.0/24\n' +
      'add b 10.0.0.1-10.0.0.9\ncreate c list:set\nadd c a\n',
    'net.ipv4.ip_forward = 1\nnet/ipv4/conf/eth0.1/rp_filter=2\nnet.ipv4.tcp_rmem = 1\t2\t3\n',
  ]
  const COMMANDS = [
    'ip route add 10.0.0.0/8 via 10.0.0.1 dev eth0 onlink',
    'ip rule add from 10.0.0.0/8 fwmark 1/2 lookup 100',
    'ip neigh replace 10.0.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent',
    'bridge fdb append 02:00:00:00:00:01 dev flannel.1 dst 10.0.0.1',
    'ip addr add 10.0.0.1/24 brd + dev eth0',
    'ip link set dev eth0 mtu 1400 up',
    'add a 10.0.0.1',
    'swap a b',
    '-t nat -I PREROUTING 1 ! -s 1.2.3.4 -p tcp --dport 80 -j DNAT --to-destination 1.2.3.4-1.2.3.5:80-90',
    '-E INPUT X',
    '-P INPUT DROP',
    '-X',
    '-R INPUT 1 -j DROP',
  ]

  function readAll(input: string): void {
    const start = { tables: [] }
    const results = [
      parseIptablesSave(input, place),
      parseRoutes(input, place),
      parseRules(input, place),
      parseNeighbours(input, place),
      parseFdb(input, place),
      parseIpsets(input, place),
      parseSysctls(input, place),
      applyIptablesCommand(start, input, place),
      applyRouteCommand([], input, place),
      applyRuleCommand([], input, place),
      applyNeighbourCommand([], input, place),
      applyFdbCommand([], input, place),
      applyAddressCommand([], input, place),
      applyLinkCommand([], input, place),
      applyIpsetCommand([], input, place),
    ]
    for (const { problems } of results) for (const problem of problems) expect(problem).toMatchObject({ file: 'f', what: expect.stringMatching(/./) as string })
  }

  it('garbage', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), readAll), { numRuns: 500 })
  })

  it('words of the languages in any order', () => {
    const words = [...GOOD, ...COMMANDS]
      .flatMap((good) => good.split(/\s+/))
      .concat('!', '"', '\\', '-', '--', '=', '__proto__', 'constructor', '--constructor', '-m', '-j', 'toString')
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words), { maxLength: 14 }), fc.constantFrom(...COMMANDS, '*filter\n-A INPUT', ''), (tail, start) =>
        readAll(`${start} ${tail.join(' ')}`),
      ),
      { numRuns: 800 },
    )
  })

  it('good text with a few letters changed', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...GOOD, ...COMMANDS),
        fc.array(fc.tuple(fc.nat(), fc.constantFrom('', ' ', '\n', '"', '-', '!', '/', ':', '0', '9', 'x', ',')), { minLength: 1, maxLength: 5 }),
        (good, edits) => {
          let mutated = good
          for (const [at, letter] of edits) mutated = mutated.slice(0, at % mutated.length) + letter + mutated.slice((at % mutated.length) + 1)
          readAll(mutated)
        },
      ),
      { numRuns: 800 },
    )
  })
})
