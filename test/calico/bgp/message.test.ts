/** BGP messages as bytes: the sizes counted on the wire, a captured OPEN of BIRD, and the way there and back for anything. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidr } from '../../../src/base/cidr.js'
import { ip } from '../../../src/base/ip.js'
import type { PathAttributes } from '../../../src/calico/bgp/attributes.js'
import { BEFORE_OPEN, decodeMessage, encodeMessage, END_OF_RIB, type OpenMessage, type SessionRules } from '../../../src/calico/bgp/message.js'
import { prefix } from '../kit.js'

const CALICO: SessionRules = { as4: true, internal: true, addPathSend: true, addPathReceive: true }
const PLAIN: SessionRules = { ...CALICO, addPathSend: false, addPathReceive: false }
const OPEN: OpenMessage = {
  type: 'open',
  asNumber: 64512,
  holdTime: 240,
  routerId: ip('10.0.0.1'),
  capabilities: {
    multiprotocolIpv4: true,
    routeRefresh: true,
    enhancedRefresh: true,
    gracefulRestart: { restarting: false, seconds: 120, ipv4: { forwarding: false } },
    as4: 64512,
    addPath: 3,
    longLivedAware: true,
  },
}
const ORIGIN: PathAttributes = { origin: 0, asPath: [], nextHop: ip('10.0.0.1'), localPreference: 100 }
const REFLECTED: PathAttributes = { ...ORIGIN, originatorId: ip('10.0.0.1'), clusterList: [ip('10.0.0.201')] }

function size(attributes: PathAttributes, rules: SessionRules, count = 1): number {
  const reachable = Array.from({ length: count }, (_, i) => ({ prefix: cidr(ip('10.244.0.0') + 64 * i, 26), pathId: 1 }))
  return encodeMessage({ type: 'update', withdrawn: [], attributes, reachable }, rules).length
}

describe('sizes', () => {
  it('KEEPALIVE 19, End-of-RIB 23, refresh marks 23, NOTIFICATION 21 and 25', () => {
    expect(encodeMessage({ type: 'keepalive' }, CALICO)).toHaveLength(19)
    expect(encodeMessage(END_OF_RIB, CALICO)).toHaveLength(23)
    expect(encodeMessage({ type: 'refresh', subtype: 'begin' }, CALICO)).toHaveLength(23)
    expect(encodeMessage({ type: 'notification', code: 6, subcode: 2, data: [] }, CALICO)).toHaveLength(21)
    expect(encodeMessage({ type: 'notification', code: 2, subcode: 2, data: [0, 0, 0xfc, 0x01] }, CALICO)).toHaveLength(25)
  })

  it('OPEN 63, without ADD-PATH 57', () => {
    expect(encodeMessage(OPEN, BEFORE_OPEN)).toHaveLength(63)
    expect(encodeMessage({ ...OPEN, capabilities: { ...OPEN.capabilities, addPath: 0 } }, BEFORE_OPEN)).toHaveLength(57)
  })

  it('UPDATE of one /26: 53, by one, two, three reflectors 67, 71, 75; 49, 63, 67 without ADD-PATH; two blocks 62', () => {
    const through = (count: number): PathAttributes => ({ ...REFLECTED, clusterList: Array.from({ length: count }, (_, i) => i + 1) })
    expect([size(ORIGIN, CALICO), size(through(1), CALICO), size(through(2), CALICO), size(through(3), CALICO)]).toEqual([53, 67, 71, 75])
    expect([size(ORIGIN, PLAIN), size(through(1), PLAIN), size(through(2), PLAIN)]).toEqual([49, 63, 67])
    expect(size(ORIGIN, CALICO, 2)).toBe(62)
    expect(encodeMessage({ type: 'update', withdrawn: [{ prefix: prefix('10.244.1.0/26'), pathId: 1 }], reachable: [] }, CALICO)).toHaveLength(32)
  })

  it('to another AS 52: AS_PATH of 9 instead of 3, no LOCAL_PREF', () => {
    expect(size({ ...ORIGIN, asPath: [{ set: false, asNumbers: [64512] }] }, { ...CALICO, internal: false })).toBe(52)
  })
})

describe('bytes', () => {
  it('OPEN as RFC 4271, 5492, 4724, 6793, 7911 and 7313 draw it', () => {
    const hex = Buffer.from(encodeMessage(OPEN, BEFORE_OPEN)).toString('hex')
    expect(hex).toBe(
      `${'ff'.repeat(16)}003f01` +
        '04fc0000f00a00000122' +
        '0220' +
        '010400010001' +
        '0200' +
        '4006007800010100' +
        '41040000fc00' +
        '45040001' +
        '0103' +
        '4600' +
        '4700',
    )
  })

  it('UPDATE: attributes in the order of their codes', () => {
    const bytes = encodeMessage({ type: 'update', withdrawn: [], attributes: REFLECTED, reachable: [{ prefix: prefix('10.244.1.0/26'), pathId: 2 }] }, CALICO)
    expect(Buffer.from(bytes.subarray(19)).toString('hex')).toBe(
      '00000023' + '40010100' + '400200' + '4003040a000001' + '40050400000064' + '8009040a000001' + '800a040a0000c9' + '000000021a0af40100',
    )
  })

  it('malformed ones are told with the code and subcode of RFC 4271', () => {
    const bad = (change: (bytes: Uint8Array) => void): unknown => {
      const bytes = encodeMessage({ type: 'update', withdrawn: [], attributes: ORIGIN, reachable: [{ prefix: prefix('10.244.1.0/26'), pathId: 2 }] }, CALICO)
      change(bytes)
      return decodeMessage(bytes, CALICO)
    }
    expect(bad((bytes) => (bytes[3] = 0))).toEqual({ type: 'error', code: 1, subcode: 1 })
    expect(bad((bytes) => (bytes[17] = 99))).toEqual({ type: 'error', code: 1, subcode: 2 })
    expect(bad((bytes) => (bytes[18] = 9))).toEqual({ type: 'error', code: 1, subcode: 3 })
    expect(bad((bytes) => (bytes[26] = 7))).toEqual({ type: 'error', code: 3, subcode: 6 })
    expect(bad((bytes) => (bytes[22] = 200))).toEqual({ type: 'error', code: 3, subcode: 1 })
  })
})

const word = fc.integer({ min: -0x80000000, max: 0x7fffffff })
const unsigned = fc.nat({ max: 0xffffffff })
const path = fc.record({ prefix: fc.tuple(word, fc.integer({ min: 0, max: 32 })).map(([base, length]) => cidr(base, length)), pathId: word })
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined })
const attributes = fc.record(
  {
    origin: fc.constantFrom(0, 1, 2),
    asPath: fc.array(fc.record({ set: fc.boolean(), asNumbers: fc.array(unsigned, { minLength: 1, maxLength: 5 }) }), { maxLength: 3 }),
    nextHop: word,
    med: unsigned,
    localPreference: unsigned,
    communities: fc.array(unsigned, { minLength: 1, maxLength: 80 }),
    originatorId: word,
    clusterList: fc.array(word, { minLength: 1, maxLength: 4 }),
    largeCommunities: fc.array(fc.tuple(unsigned, unsigned, unsigned), { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: ['origin', 'asPath', 'nextHop'] },
)

describe('there and back', () => {
  it('UPDATE', () => {
    fc.assert(
      fc.property(fc.array(path, { maxLength: 5 }), optional(attributes), fc.array(path, { minLength: 1, maxLength: 5 }), (withdrawn, given, reachable) => {
        const message =
          given === undefined ? { type: 'update' as const, withdrawn, reachable: [] } : { type: 'update' as const, withdrawn, attributes: given, reachable }
        expect(decodeMessage(encodeMessage(message, CALICO), CALICO)).toEqual(message)
      }),
    )
  })

  it('any bytes are a message or an error, never a crash', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 3, 4, 5), fc.uint8Array({ maxLength: 80 }), (type, body) => {
        const bytes = new Uint8Array(19 + body.length).fill(0xff, 0, 16)
        bytes[17] = bytes.length
        bytes[18] = type
        bytes.set(body, 19)
        expect(decodeMessage(bytes, CALICO).type).toMatch(/open|update|notification|keepalive|refresh|error/)
      }),
    )
  })
})
