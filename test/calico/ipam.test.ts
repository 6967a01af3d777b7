import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contains, formatCidr } from '../../src/base/cidr.js'
import { formatIp, ip, type Ip } from '../../src/base/ip.js'
import { Ipam, type AutoAssignRequest, type IpamOptions } from '../../src/calico/ipam/ipam.js'
import { DEFAULT_IPAM_CONFIG } from '../../src/cluster/calico/ipam.js'
import { pool, prefix } from './kit.js'

const resource = { labels: {}, annotations: {}, file: 't.yaml', line: 1 }

function ipam(options: Partial<IpamOptions>): Ipam {
  return new Ipam({
    pools: [pool('192.168.0.0/16')],
    reservations: [],
    config: DEFAULT_IPAM_CONFIG,
    blocks: [],
    affinities: [],
    reclaimsEmptyBlocks: true,
    seed: 1,
    ...options,
  })
}

let handles = 0

function ask(node: string, more: Partial<AutoAssignRequest> = {}): AutoAssignRequest {
  return {
    node,
    nodeLabels: {},
    namespaceLabels: {},
    requestedPools: [],
    use: 'Workload',
    attribute: { handleId: `h${++handles}`, secondary: { node } },
    now: 0,
    ...more,
  }
}

/** The address, or why there is none. */
function get(from: Ipam, node: string, more: Partial<AutoAssignRequest> = {}): string {
  const result = from.autoAssign(ask(node, more))
  return 'failure' in result ? result.failure : `${formatIp(result.address)}${result.borrowed ? ' borrowed' : ''}`
}

function fill(from: Ipam, node: string, count: number): string[] {
  return Array.from({ length: count }, () => get(from, node))
}

describe('a block', () => {
  it('begins at its first address and is used to its last', () => {
    const addresses = fill(ipam({}), 'node1', 65)
    expect([addresses[0], addresses[1], addresses[63]]).toEqual(['192.168.166.128', '192.168.166.129', '192.168.166.191'])
    expect(addresses[64]).toBe('192.168.166.192')
  })

  it('gives an address back after the 63 others', () => {
    const one = ipam({ pools: [pool('10.0.0.0/26')] })
    fill(one, 'node1', 3)
    expect(one.release(ip('10.0.0.1'))).toBe(true)
    expect(one.release(ip('10.0.0.1'))).toBe(false)
    const rest = fill(one, 'node1', 62)
    expect([rest[0], rest[60], rest[61]]).toEqual(['10.0.0.3', '10.0.0.63', '10.0.0.1'])
  })

  it('passes reserved addresses by, and reserved blocks', () => {
    const reservations = [
      { ...resource, name: 'r', reservedCIDRs: ['192.168.166.128/31', '192.168.166.130/32'].map((text) => ({ family: 4 as const, cidr: prefix(text), text })) },
    ]
    expect(get(ipam({ reservations }), 'node1')).toBe('192.168.166.131')
    const whole = ['192.168.166.128/27', '192.168.166.160/27'].map((text) => ({ family: 4 as const, cidr: prefix(text), text }))
    expect(get(ipam({ reservations: [{ ...resource, name: 'r', reservedCIDRs: whole }] }), 'node1')).toBe('192.168.166.192')
  })
})

describe('blocks of a node', () => {
  it('are used in the order of their texts: 10.0.10.0 before 10.0.9.0', () => {
    const pools = [pool('10.0.8.0/21', { blockSize: 24 })]
    const affinities = ['10.0.9.0/24', '10.0.10.0/24'].map((text) => ({
      ...resource,
      name: text,
      node: 'n',
      type: 'host' as const,
      cidr: prefix(text),
      state: 'confirmed' as const,
    }))
    const found = ipam({ pools, affinities })
    expect(get(found, 'n')).toBe('10.0.10.0')
    expect(found.dumpBlocks().map(({ cidr, affinity }) => [formatCidr(cidr), affinity])).toEqual([['10.0.10.0/24', 'host:n']])
  })

  it('end at 20: then nothing is borrowed either', () => {
    const limited = ipam({ pools: [pool('10.0.0.0/20', { blockSize: 30 })] })
    fill(limited, 'other', 1)
    expect(fill(limited, 'node1', 80).every((text) => /^10\.0\.\d+\.\d+$/.test(text))).toBe(true)
    expect(get(limited, 'node1')).toContain('limit is 20')
    const tight = ipam({ config: { strictAffinity: true, autoAllocateBlocks: true, maxBlocksPerHost: 1 } })
    fill(tight, 'node1', 64)
    expect(get(tight, 'node1')).toContain('limit is 1')
  })

  it('are borrowed from when the pool has none left, from the place where it would have looked', () => {
    const small = ipam({ pools: [pool('10.0.0.0/25')] })
    fill(small, 'node1', 1)
    fill(small, 'node2', 1)
    const third = get(small, 'node3')
    expect(third).toMatch(/ borrowed$/)
    const [block] = small.dumpBlocks().filter(({ cidr }) => contains(cidr, ip(third.split(' ')[0])))
    expect(block.affinity).toMatch(/^host:node[12]$/)
    expect(small.affinitiesOf({ type: 'host', host: 'node3' })).toEqual([])
  })

  it('are not borrowed from with strict affinity', () => {
    const strict = ipam({ pools: [pool('10.0.0.0/25')], config: { strictAffinity: true, autoAllocateBlocks: true, maxBlocksPerHost: 0 } })
    fill(strict, 'node1', 1)
    fill(strict, 'node2', 1)
    expect(get(strict, 'node3')).toContain('strict affinity')
  })

  it('are taken over when they have been empty for a minute (3.32), before anything is borrowed', () => {
    const build = (reclaimsEmptyBlocks: boolean): Ipam => {
      const built = ipam({ pools: [pool('10.0.0.0/25')], reclaimsEmptyBlocks })
      fill(built, 'node1', 1)
      const second = get(built, 'node2')
      built.release(ip(second))
      return built
    }
    expect(get(build(true), 'node3', { now: 59 })).toMatch(/borrowed$/)
    const later = build(true)
    expect(get(later, 'node3', { now: 60 })).not.toMatch(/borrowed$/)
    expect(later.affinitiesOf({ type: 'host', host: 'node2' })).toEqual([])
    expect(get(build(false), 'node3', { now: 60 })).toMatch(/borrowed$/)
  })

  it('stay with the node when their last address goes', () => {
    const one = ipam({})
    const request = ask('node1')
    one.autoAssign(request)
    expect(one.releaseByHandle(request.attribute.handleId ?? '').map(formatIp)).toEqual(['192.168.166.128'])
    expect(one.affinitiesOf({ type: 'host', host: 'node1' }).map(({ cidr }) => formatCidr(cidr))).toEqual(['192.168.166.128/26'])
    expect(get(one, 'node1')).toBe('192.168.166.129')
  })

  it('are given back when they were empty for 15 minutes, but never the last', () => {
    const one = ipam({ pools: [pool('10.0.0.0/24', { blockSize: 31 })] })
    const [, , third, fourth] = fill(one, 'node1', 4)
    const count = (): number => one.affinitiesOf({ type: 'host', host: 'node1' }).length
    one.release(ip(third))
    expect([count(), one.releaseUnusedBlocks(0), one.releaseUnusedBlocks(900)]).toEqual([2, [], []])
    one.release(ip(fourth))
    expect(one.releaseUnusedBlocks(1350)).toEqual([])
    expect(one.releaseUnusedBlocks(1800)).toEqual([])
    expect(one.releaseUnusedBlocks(2250).map(({ length }) => length)).toEqual([31])
    expect(count()).toBe(1)
    for (const { cidr } of one.dumpBlocks()) for (const offset of [0, 1]) one.release((cidr.base + offset) | 0)
    expect([one.releaseUnusedBlocks(3000), one.releaseUnusedBlocks(9000), count()]).toEqual([[], [], 1])
  })

  it('go with the node', () => {
    const one = ipam({ pools: [pool('10.0.0.0/26')] })
    fill(one, 'node1', 2)
    fill(one, 'node2', 1)
    one.releaseNode('node1')
    expect(one.dumpAffinities()).toEqual([])
    const [block] = one.dumpBlocks()
    expect([block.affinity, block.allocations.filter((index) => index !== undefined).length]).toEqual([undefined, 1])
  })

  it('are found again from a dump', () => {
    const before = ipam({})
    fill(before, 'node1', 3)
    before.release(ip('192.168.166.129'))
    const after = ipam({ blocks: before.dumpBlocks(), affinities: before.dumpAffinities() })
    expect(after.dumpBlocks()).toEqual(before.dumpBlocks())
    expect(after.dumpAffinities()).toEqual(before.dumpAffinities())
    expect(get(after, 'node1')).toBe('192.168.166.131')
  })

  it('an affinity for a block of another node is stale, and goes', () => {
    const first = ipam({})
    fill(first, 'node1', 1)
    const stale = { ...resource, name: 's', node: 'node2', type: 'host' as const, cidr: prefix('192.168.166.128/26'), state: 'confirmed' as const }
    const both = ipam({ blocks: first.dumpBlocks(), affinities: [...first.dumpAffinities(), stale] })
    expect(get(both, 'node2')).toBe('192.168.104.0')
    expect(both.affinitiesOf({ type: 'host', host: 'node2' }).map(({ cidr }) => formatCidr(cidr))).toEqual(['192.168.104.0/26'])
  })
})

describe('pools', () => {
  const zoned = [
    pool('10.1.0.0/24', { nodeSelector: "zone == 'a'" }),
    pool('10.2.0.0/24', { nodeSelector: "zone == 'b'" }),
    pool('10.3.0.0/24', { namespaceSelector: "team == 'x'" }),
    pool('10.4.0.0/24', { assignmentMode: 'Manual' }),
    pool('10.5.0.0/24', { disabled: true }),
    pool('10.6.0.0/24', { allowedUses: ['LoadBalancer'] }),
  ]

  it.each<[string, Partial<AutoAssignRequest>, RegExp]>([
    ['the node selects', { nodeLabels: { zone: 'b' } }, /^10\.2\./],
    ['the namespace selects', { namespaceLabels: { team: 'x' } }, /^10\.3\./],
    ['a request for a manual one', { requestedPools: [prefix('10.4.0.0/24')] }, /^10\.4\./],
    ['a request passes the selectors over', { requestedPools: [prefix('10.1.0.0/24')], nodeLabels: { zone: 'b' } }, /^10\.1\./],
    ['a disabled one is not there', { requestedPools: [prefix('10.5.0.0/24')] }, /does not exist, or is not enabled/],
    ['of another use', { requestedPools: [prefix('10.6.0.0/24')] }, /no pools match the required use \(Workload\)/],
  ])('%s', (_, request, expected) => {
    expect(get(ipam({ pools: zoned }), 'n', request)).toMatch(expected)
  })

  it('none at all', () => {
    expect(get(ipam({ pools: [] }), 'n')).toBe('no IPPool is enabled')
    expect(get(ipam({ pools: [pool('10.0.0.0/24', { nodeSelector: 'has(x)' })] }), 'n')).toBe('no IPPool selects the node and the namespace')
  })

  it('that no longer select the node get their empty blocks back, the others not', () => {
    const moved = ipam({ pools: zoned })
    const a = { nodeLabels: { zone: 'a' } }
    const first = get(moved, 'n', a)
    get(moved, 'n', { nodeLabels: { zone: 'b' } })
    expect(moved.affinitiesOf({ type: 'host', host: 'n' })).toHaveLength(2)
    moved.release(ip(first))
    get(moved, 'n', { nodeLabels: { zone: 'b' } })
    expect(moved.affinitiesOf({ type: 'host', host: 'n' }).map(({ cidr }) => formatIp(cidr.base))).toEqual([expect.stringMatching(/^10\.2\./)])
  })
})

describe('a named address', () => {
  it('claims the whole block when nobody has it, is refused when somebody has the address, and borrows otherwise', () => {
    const one = ipam({})
    const who = (node: string) => ({ node, attribute: { handleId: `x${++handles}`, secondary: { node } }, now: 0 })
    expect(one.assign(ip('192.168.7.70'), who('n1'))).toMatchObject({ borrowed: false })
    expect(one.affinitiesOf({ type: 'host', host: 'n1' }).map(({ cidr }) => formatCidr(cidr))).toEqual(['192.168.7.64/26'])
    expect(one.assign(ip('192.168.7.70'), who('n2'))).toEqual({ failure: 'the address is assigned already' })
    expect(one.assign(ip('192.168.7.71'), who('n2'))).toMatchObject({ borrowed: true })
    expect(one.assign(ip('10.9.9.9'), who('n1'))).toEqual({ failure: 'the address is in no IPPool' })
    const strict = ipam({ blocks: one.dumpBlocks(), affinities: one.dumpAffinities(), config: { ...DEFAULT_IPAM_CONFIG, strictAffinity: true } })
    expect(strict.assign(ip('192.168.7.72'), who('n2'))).toMatchObject({ failure: expect.stringContaining('strict affinity') as string })
  })
})

describe('whatever is asked', () => {
  const step = fc.record({ node: fc.constantFrom('n1', 'n2', 'n3', 'n4'), release: fc.boolean(), now: fc.integer({ min: 0, max: 200 }) })

  it('no address has two owners, and dumps hold together', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.constantFrom(true, false), (steps, strictAffinity) => {
        const one = ipam({ pools: [pool('10.0.0.0/27', { blockSize: 29 })], config: { strictAffinity, autoAllocateBlocks: true, maxBlocksPerHost: 0 } })
        const held = new Map<Ip, string>()
        for (const { node, release, now } of steps) {
          const mine = [...held].find(([, owner]) => owner === node)
          if (release && mine !== undefined) {
            expect(one.release(mine[0])).toBe(true)
            held.delete(mine[0])
            continue
          }
          const result = one.autoAssign(ask(node, { now }))
          if ('failure' in result) {
            if (!strictAffinity) expect(held.size).toBe(32)
            continue
          }
          expect(held.has(result.address)).toBe(false)
          held.set(result.address, node)
        }
        const blocks = one.dumpBlocks()
        expect(blocks.flatMap(({ allocations }) => allocations.filter((index) => index !== undefined)).length).toBe(held.size)
        for (const { allocations, unallocated, attributes, affinity, cidr } of blocks) {
          const free = allocations.flatMap((index, ordinal) => (index === undefined ? [ordinal] : []))
          expect([...unallocated].sort((a, b) => a - b)).toEqual(free)
          expect(new Set(allocations.filter((index) => index !== undefined)).size).toBe(attributes.length)
          const owners = one.dumpAffinities().filter((found) => formatCidr(found.cidr) === formatCidr(cidr))
          expect(owners.map(({ node }) => `host:${node}`)).toEqual([affinity])
        }
      }),
      { numRuns: 60 },
    )
  })
})
