/** Routing against a naive oracle: every route looked at, the longest prefix of them taken. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidr, contains, formatCidr, type Cidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { ENETUNREACH, RouteResult, RTN_BLACKHOLE, RTN_LOCAL, RTN_PROHIBIT, RTN_UNREACHABLE } from '../../src/net/fib.js'
import { RouteTable, type Route } from '../../src/net/fib-table.js'
import { routeInput } from '../../src/net/route-input.js'
import { routeOutput } from '../../src/net/route-output.js'
import { Kit, packetOf, type PacketWords } from './kit.js'

function route(prefix: Cidr, index: number): Route {
  return {
    index,
    base: prefix.base,
    length: prefix.length,
    type: 1,
    gateway: 0,
    device: null,
    source: 0,
    scope: 0,
    metric: 0,
    tos: 0,
    mtu: 0,
    mtuLocked: 0,
    advmss: 0,
    nexthops: null,
    spec: index,
  }
}

/** Prefixes that nest: their bits come from a small set. */
const prefix = fc
  .tuple(
    fc.constantFrom('10.0.0.0', '10.1.0.0', '10.1.128.0', '10.1.128.128', '10.255.255.255', '128.0.0.0', '255.255.255.255', '0.0.0.0').map(ip),
    fc.integer({ min: 0, max: 0xffff }),
    fc.integer({ min: 0, max: 32 }),
  )
  .map(([base, noise, length]) => cidr(base ^ noise, length))

describe('the longest prefix', () => {
  it('is the one a look at all of them finds, in the scan of few and in the trie of thousands', () => {
    const table = fc.oneof(
      { weight: 4, arbitrary: fc.array(prefix, { maxLength: 20 }) },
      { weight: 1, arbitrary: fc.array(prefix, { minLength: 500, maxLength: 3000 }) },
    )
    const sizes = new Set<boolean>()
    fc.assert(
      fc.property(table, fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 20, maxLength: 20 }), (prefixes, noise) => {
        const compiled = new RouteTable('main', prefixes.map(route))
        sizes.add(compiled.groups.length > 24)
        for (const address of [...noise.map((bits) => ip('10.1.128.0') ^ bits), ...prefixes.slice(0, 20).map(({ base }) => base), ip('9.9.9.9'), -1, 0]) {
          const best = prefixes.filter((one) => contains(one, address)).sort((a, b) => b.length - a.length)
          const lengths = [...new Set(best.map(({ length }) => length))]
          const found: number[] = []
          for (let group = compiled.findGroup(address); group >= 0; group = compiled.nextGroup(group, address)) found.push(compiled.groupAt(group)[0].length)
          expect(found).toEqual(lengths)
        }
      }),
      { numRuns: 60 },
    )
    expect(sizes).toEqual(new Set([true, false]))
  })
})

interface Answer {
  readonly error: number
  readonly via: string
  readonly dev: string | undefined
  readonly src: string
  readonly type: number
}

function ask(kit: Kit, words: PacketWords): Answer {
  const result = new RouteResult()
  const error = routeOutput(kit.netns('h'), packetOf(words), null, result)
  return { error, via: formatIp(result.gateway), dev: result.device?.name, src: formatIp(result.source), type: result.type }
}

const TWO_CARDS = 'link eth0 nic s0\nlink eth1 nic s1\naddr 10.1.0.2/24 dev eth0\naddr 10.2.0.2/24 dev eth1\n'

describe('a lookup', () => {
  it('prefers the lower metric, the TOS that fits, and skips devices that are down', () => {
    const kit = new Kit({
      h:
        `${TWO_CARDS}route add 10.9.0.0/16 via 10.1.0.1 metric 20\nroute add 10.9.0.0/16 via 10.2.0.1 metric 10\n` +
        `route add 10.9.0.0/16 tos 0x10 via 10.1.0.9 metric 30`,
    })
    expect(ask(kit, { dst: '10.9.0.1' })).toMatchObject({ error: 0, via: '10.2.0.1', dev: 'eth1', src: '10.2.0.2' })
    expect(ask(kit, { dst: '10.9.0.1', tos: 0x10 })).toMatchObject({ via: '10.1.0.9' })
    kit.device('h/eth1').up = 0
    expect(ask(kit, { dst: '10.9.0.1' })).toMatchObject({ via: '10.1.0.1', dev: 'eth0' })
  })

  it('ends at an error route with its errno, and passes a throw on', () => {
    const kit = new Kit({
      h:
        `${TWO_CARDS}route add default via 10.1.0.1\nroute add blackhole 10.10.0.0/24\nroute add unreachable 10.11.0.0/24\n` +
        `route add prohibit 10.12.0.0/24\nroute add throw 10.13.0.0/24`,
    })
    expect(
      ['10.10.0.1', '10.11.0.1', '10.12.0.1', '10.13.0.1']
        .map((dst) => ask(kit, { dst }))
        .map(({ error, type }) => [error, error === ENETUNREACH ? undefined : type]),
    ).toEqual([
      [22, RTN_BLACKHOLE],
      [113, RTN_UNREACHABLE],
      [13, RTN_PROHIBIT],
      [ENETUNREACH, undefined],
    ])
  })

  it('follows rules by priority, mark, source, goto and suppression', () => {
    const kit = new Kit({
      h:
        `${TWO_CARDS}addr 10.1.0.77/24 dev eth0\nroute add default via 10.1.0.1\nroute add default via 10.2.0.1 table 100\n` +
        `route add 10.9.0.0/16 via 10.2.0.9 table 101\nroute add default via 10.2.0.8 table 101\n` +
        'rule add pref 10 fwmark 0x100/0xf00 lookup 100\nrule add pref 20 from 10.1.0.77 goto 40\n' +
        'rule add pref 30 lookup 101 suppress_prefixlength 0\nrule add pref 35 to 10.66.0.0/16 prohibit\n' +
        'rule add pref 40 ipproto tcp dport 80-90 lookup 100',
    })
    const marked = packetOf({ dst: '10.9.0.1' })
    marked.mark = 0x1ff
    const result = new RouteResult()
    expect([routeOutput(kit.netns('h'), marked, null, result), formatIp(result.gateway)]).toEqual([0, '10.2.0.1'])
    expect(ask(kit, { dst: '10.9.0.1' }).via).toBe('10.2.0.9')
    expect(ask(kit, { dst: '8.8.8.8' }).via).toBe('10.1.0.1')
    expect(ask(kit, { dst: '10.9.0.1', src: '10.1.0.77' }).via).toBe('10.1.0.1')
    expect(ask(kit, { dst: '10.66.0.1' })).toMatchObject({ error: 13 })
    expect(ask(kit, { dst: '8.8.8.8', proto: 'tcp', dport: 85 }).via).toBe('10.2.0.1')
    expect(ask(kit, { dst: '8.8.8.8', proto: 'tcp', dport: 91 }).via).toBe('10.1.0.1')
  })

  it("refuses a source that is not the host's, and takes one that the table local takes in", () => {
    const kit = new Kit({ h: `${TWO_CARDS}route add default via 10.1.0.1\nroute add local 10.50.0.0/16 dev lo table local` })
    expect(ask(kit, { src: '10.3.0.1', dst: '8.8.8.8' }).error).toBe(22)
    expect(ask(kit, { src: '10.50.7.7', dst: '8.8.8.8' }).error).toBe(0)
    expect(ask(kit, { dst: '10.50.7.7' })).toMatchObject({ error: 0, type: RTN_LOCAL, dev: 'lo', src: '10.50.7.7' })
  })
})

describe('several next hops', () => {
  it('share the flows by weight, and keep each flow', () => {
    const kit = new Kit({
      h:
        `${TWO_CARDS}sysctl net.ipv4.fib_multipath_hash_policy=1 net.ipv4.ip_forward=1\nlink in nic s2\naddr 10.5.0.1/16 dev in\n` +
        `route add 10.9.0.0/16 nexthop via 10.1.0.1 weight 1 nexthop via 10.2.0.1 weight 3`,
    })
    const shares = new Map<string, number>()
    const result = new RouteResult()
    for (let i = 0; i < 8000; i++) {
      const packet = packetOf({ src: '10.5.0.9', dst: '10.9.0.1', sport: 1024 + i })
      expect(routeInput(kit.netns('h'), packet, kit.device('h/in'), result)).toBe(0)
      const first = formatIp(result.gateway)
      routeInput(kit.netns('h'), packet, kit.device('h/in'), result)
      expect(formatIp(result.gateway)).toBe(first)
      shares.set(first, (shares.get(first) ?? 0) + 1)
    }
    // 2,000 expected of 8,000; five standard deviations are 194
    expect(Math.abs((shares.get('10.1.0.1') ?? 0) - 2000)).toBeLessThan(194)
    expect(shares.size).toBe(2)
    kit.device('h/eth1').up = 0
    routeInput(kit.netns('h'), packetOf({ src: '10.5.0.9', dst: '10.9.0.1' }), kit.device('h/in'), result)
    expect(formatIp(result.gateway)).toBe('10.1.0.1')
  })
})

describe('the reverse path filter', () => {
  const verdict = (mode: number, src: string): number => {
    const kit = new Kit({ h: `${TWO_CARDS}route add 10.30.0.0/16 via 10.2.0.1\nsysctl net.ipv4.ip_forward=1 net.ipv4.conf.eth0.rp_filter=${mode}` })
    return routeInput(kit.netns('h'), packetOf({ src, dst: '10.2.0.9' }), kit.device('h/eth0'), new RouteResult())
  }

  it.each([
    [0, '10.1.0.9', 0],
    [0, '10.30.0.1', 0],
    [0, '10.99.0.1', 0],
    [1, '10.1.0.9', 0],
    [1, '10.30.0.1', 18],
    [1, '10.99.0.1', 18],
    [2, '10.30.0.1', 0],
    [2, '10.99.0.1', 18],
  ])('in mode %i on a packet from %s answers %i', (mode, src, error) => {
    expect(verdict(mode, src)).toBe(error)
  })

  it('is the stricter of all and the device', () => {
    const kit = new Kit({ h: `${TWO_CARDS}sysctl net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.eth0.rp_filter=1` })
    expect([kit.device('h/eth0').rpFilter, kit.device('h/eth1').rpFilter]).toEqual([2, 2])
  })
})

it('prefixes print as they were drawn', () => {
  fc.assert(fc.property(prefix, (one) => formatCidr(one).endsWith(`/${one.length}`)))
})
