import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidr, formatCidr, overlaps, parseCidr, type Cidr } from '../../src/base/cidr.js'
import { compareIp, formatIp, ip } from '../../src/base/ip.js'
import { Prng } from '../../src/base/prng.js'
import { parseFlannelConfig, type FlannelConfig } from '../../src/flannel/config.js'
import type { Lease } from '../../src/flannel/lease.js'
import { allocate, CANDIDATE_LIMIT, drawSubnet, freeSubnets } from '../../src/flannel/subnet-allocation.js'

function config(value: unknown, version = '0.28.9'): FlannelConfig {
  const parsed = parseFlannelConfig(JSON.stringify(value), { version, manager: 'etcd', source: { file: 't', line: 0, object: '' } })
  if (parsed.config === undefined) throw new Error(parsed.problems[0].what)
  return parsed.config
}

function net(text: string): Cidr {
  const parsed = parseCidr(text)
  if (typeof parsed === 'string') throw new Error(text)
  return parsed
}

function lease(subnet: string, publicIp: string): Lease {
  return { subnet: net(subnet), attributes: { publicIp: ip(publicIp), backendType: 'vxlan' }, expiresNs: 1, revision: 1 }
}

const wide = config({ Network: '10.1.0.0/16' })

describe('drawSubnet', () => {
  it('with an empty table draws each of 10.1.1.0 to 10.1.100.0 alike, and nothing else', () => {
    const counts = new Map<string, number>()
    const prng = new Prng(7)
    for (let i = 0; i < 20_000; i++) {
      const drawn = formatCidr(drawSubnet(freeSubnets([], wide, CANDIDATE_LIMIT), prng) as Cidr)
      counts.set(drawn, (counts.get(drawn) ?? 0) + 1)
    }
    const wanted = Array.from({ length: 100 }, (_, i) => `10.1.${i + 1}.0/24`)
    expect([...counts.keys()].sort()).toEqual(wanted.sort())
    // Chi-square with 99 degrees of freedom: above 149 once in a thousand.
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0)
    expect(chiSquare).toBeLessThan(149)
  })

  it('is the same for the same seed', () => {
    expect(drawSubnet(freeSubnets([], wide, CANDIDATE_LIMIT), new Prng(3))).toEqual(drawSubnet(freeSubnets([], wide, CANDIDATE_LIMIT), new Prng(3)))
  })

  it('property: never overlaps a lease, stays in SubnetMin..SubnetMax, on the boundary, among the 100 lowest', () => {
    const taken = fc.array(fc.record({ base: fc.integer({ min: 0x0a010000, max: 0x0a01ffff }), length: fc.integer({ min: 18, max: 30 }) }), { maxLength: 60 })
    fc.assert(
      fc.property(taken, fc.integer({ min: 18, max: 29 }), fc.integer(), (records, length, seed) => {
        const leases = records.map((record) => cidr(record.base, record.length))
        const limits = config({ Network: '10.1.0.0/16', SubnetLen: length })
        const every: Cidr[] = []
        for (let base = limits.subnetMin; base <= limits.subnetMax; base += 2 ** (32 - length)) {
          const candidate = { base, length }
          if (!leases.some((one) => overlaps(one, candidate))) every.push(candidate)
        }
        const drawn = drawSubnet(freeSubnets(leases, limits, CANDIDATE_LIMIT), new Prng(seed))
        if (every.length === 0) expect(drawn).toBeUndefined()
        else expect(every.slice(0, 100)).toContainEqual(drawn)
      }),
    )
  })

  it('property: nodes one after the other share the Network without overlap, until it is exhausted', () => {
    fc.assert(
      fc.property(fc.integer({ min: 18, max: 24 }), fc.integer(), (length, seed) => {
        const limits = config({ Network: '10.1.0.0/17', SubnetLen: length + 2 })
        const prng = new Prng(seed)
        const leases: Cidr[] = []
        for (
          let drawn = drawSubnet(freeSubnets(leases, limits, CANDIDATE_LIMIT), prng);
          drawn !== undefined;
          drawn = drawSubnet(freeSubnets(leases, limits, CANDIDATE_LIMIT), prng)
        ) {
          expect(leases.every((one) => !overlaps(one, drawn))).toBe(true)
          leases.push(drawn)
        }
        expect(leases).toHaveLength(2 ** (length + 2 - 17) - 1)
        expect(compareIp(Math.min(...leases.map((one) => one.base)), limits.subnetMin)).toBe(0)
      }),
      { numRuns: 30 },
    )
  })

  it('goes to the end of the address space and stops', () => {
    const top = config({ Network: '255.255.0.0/16' })
    expect(
      freeSubnets([], top, 1000)
        .map((one) => formatIp(one.base))
        .at(-1),
    ).toBe('255.255.255.0')
  })
})

describe('allocate', () => {
  const base = { config: wide, publicIp: ip('192.168.0.1'), prng: new Prng(1), version: '0.28.9' }

  it('takes up the lease of the same PublicIP, the first by key (two hosts with one PublicIP share it)', () => {
    const leases = [lease('10.1.10.0/24', '192.168.0.1'), lease('10.1.9.0/24', '192.168.0.1')]
    expect(allocate({ ...base, leases })).toMatchObject({ kind: 'update', lease: leases[0], why: 'same PublicIP' })
  })

  it('deletes an own lease that no longer fits, and still counts it as taken', () => {
    const narrow = config({ Network: '10.1.0.0/16', SubnetLen: 24, SubnetMin: '10.1.5.0', SubnetMax: '10.1.6.0' })
    const leases = [lease('10.1.5.0/25', '192.168.0.1')]
    expect(allocate({ ...base, config: narrow, leases })).toMatchObject({ kind: 'create', subnet: net('10.1.6.0/24'), delete: leases })
  })

  it('previous subnet of somebody else: taken over up to 0.17, left alone since 0.18', () => {
    const leases = [lease('10.1.7.0/24', '192.168.0.2')]
    const input = { ...base, leases, previousSubnet: net('10.1.7.0/24') }
    expect(allocate({ ...input, version: '0.17.0' })).toMatchObject({ kind: 'update', lease: leases[0], why: 'previous subnet' })
    const drawn = allocate({ ...input, version: '0.18.0' })
    expect(drawn).toMatchObject({ kind: 'create', why: 'drawn' })
    expect(allocate({ ...input, version: '0.7.1' })).toMatchObject({ kind: 'create', why: 'drawn' })
  })

  it('previous subnet that is free: taken when it fits', () => {
    expect(allocate({ ...base, leases: [], previousSubnet: net('10.1.200.0/24') })).toMatchObject({
      kind: 'create',
      subnet: net('10.1.200.0/24'),
      why: 'previous subnet',
    })
    expect(allocate({ ...base, leases: [], previousSubnet: net('10.2.1.0/24') })).toMatchObject({ kind: 'create', why: 'drawn' })
    expect(allocate({ ...base, leases: [], previousSubnet: net('10.1.0.0/24') })).toMatchObject({ kind: 'create', why: 'drawn' })
  })

  it('out of subnets; a /27 under the old rules holds a single node (#435)', () => {
    const small = config({ Network: '10.1.0.0/28' }, '0.9.1')
    expect(freeSubnets([], small, 100).map(formatCidr)).toEqual(['10.1.0.8/29'])
    expect(allocate({ ...base, config: small, version: '0.9.1', leases: [lease('10.1.0.8/29', '192.168.0.2')] })).toMatchObject({
      kind: 'failed',
      error: 'out of subnets',
    })
  })
})
