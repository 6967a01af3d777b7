/** DNS on the wire against RFC 1035's own figure, a stub resolver that we did not write (c-ares, in Node), and Wireshark. */
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DnsRecord } from '../../src/base/dns-record.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { decode, encode, queryOf, RCODES, type Message } from '../../src/wire/dns.js'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))

const REPLY: Message = { ...queryOf({ name: 'x', type: 'A' }, 1), response: true, authoritative: true, recursionAvailable: true }

describe('names', () => {
  /**
   * The figure of RFC 1035 4.1.4, four octets further on (there must be room for the head of the record that its octets are the data of), and an
   * address whose owner points into it.
   */
  it.each([
    [24, 'F.ISI.ARPA'],
    [44, 'FOO.F.ISI.ARPA'],
    [68, 'ARPA'],
    [96, ''],
  ])('are decompressed as RFC 1035 4.1.4 draws them: offset %i', (offset, name) => {
    const bytes = new Uint8Array(126)
    bytes.set(bytesOf('0001 8180 0000 0001 0000 0001'), 0)
    bytes.set(bytesOf('00 00ff 0001 00000000 0057'), 12)
    bytes.set(bytesOf('01 46 03 495349 04 41525041 00'), 24)
    bytes.set(bytesOf('03 464f4f c018'), 44)
    bytes.set(bytesOf('c01e'), 68)
    bytes.set([0xc0, offset, ...bytesOf('0001 0001 00000005 0004 0a000001')], 110)
    expect(decode(bytes)).toMatchObject({ additional: [{ name, type: 'A', address: ip('10.0.0.1') }] })
  })
})

describe('a query', () => {
  it('has the octets that glibc sends', () => {
    // id 0x1234, rd; kubernetes.default.svc.cluster.local A IN
    const bytes = encode(queryOf({ name: 'kubernetes.default.svc.cluster.local', type: 'A' }, 0x1234))
    expect(hex(bytes)).toBe(
      '123401000001000000000000' + '0a6b756265726e65746573' + '0764656661756c74' + '03737663' + '07636c7573746572' + '056c6f63616c' + '00' + '00010001',
    )
    expect(bytes.length).toBe(12 + 38 + 4)
  })

  it.each(['', '.'])('of the root is one octet of name: %j', (name) => {
    expect(encode(queryOf({ name, type: 'NS' }, 7)).length).toBe(12 + 1 + 4)
  })

  it.each(['a..b', '.a', `${'a'.repeat(64)}.b`, Array.from({ length: 60 }, () => 'abcd').join('.')])('of what is no name is refused: %s', (name) => {
    expect(() => encode(queryOf({ name, type: 'A' }, 1))).toThrow(RangeError)
  })
})

const label = fc.string({ unit: fc.constantFrom(...'abcxyzABC0189-_'), minLength: 1, maxLength: 20 })
const name = fc.array(label, { minLength: 0, maxLength: 8 }).map((labels) => labels.join('.'))
const u16 = fc.integer({ min: 0, max: 65535 })
const u32 = fc.integer({ min: 0, max: 0xffffffff })
const head = { name, ttl: u32 }
const record: fc.Arbitrary<DnsRecord> = fc.oneof(
  fc.record({ ...head, type: fc.constant('A' as const), address: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) }),
  fc.record({ ...head, type: fc.constantFrom('CNAME' as const, 'NS' as const, 'PTR' as const), target: name }),
  fc.record({ ...head, type: fc.constant('SRV' as const), priority: u16, weight: u16, port: u16, target: name }),
  fc.record({ ...head, type: fc.constant('TXT' as const), texts: fc.array(fc.string({ maxLength: 255, unit: 'binary-ascii' }), { maxLength: 3 }) }),
  fc.record({ ...head, type: fc.constant('SOA' as const), server: name, mailbox: name, serial: u32, refresh: u32, retry: u32, expire: u32, minimum: u32 }),
)
const message: fc.Arbitrary<Message> = fc.record({
  id: u16,
  response: fc.boolean(),
  authoritative: fc.boolean(),
  truncated: fc.boolean(),
  recursionDesired: fc.boolean(),
  recursionAvailable: fc.boolean(),
  rcode: fc.integer({ min: 0, max: 15 }),
  questions: fc.array(fc.record({ name, type: fc.constantFrom('A' as const, 'AAAA' as const, 'SRV' as const, 255) }), { maxLength: 2 }),
  answers: fc.array(record, { maxLength: 4 }),
  authority: fc.array(record, { maxLength: 2 }),
  additional: fc.array(record, { maxLength: 2 }),
})

describe('encode and decode', () => {
  it('undo one another, with and without compression', () => {
    fc.assert(
      fc.property(message, fc.boolean(), (value, compress) => {
        expect(decode(encode(value, { compress }))).toEqual(value)
      }),
      { numRuns: 300 },
    )
  })

  it('compression never makes a message longer', () => {
    fc.assert(fc.property(message, (value) => encode(value, { compress: true }).length <= encode(value).length))
  })

  it('octets of every value keep their escapes', () => {
    const query = bytesOf('0001 0100 0001 0000 0000 0000 04 612e5c00 00 0001 0001')
    const decoded = decode(query) as Message
    expect(decoded.questions).toEqual([{ name: 'a\\.\\\\\\000', type: 'A' }])
    expect(hex(encode(decoded))).toBe(hex(query))
  })

  it('any octets are answered with a message or with why not', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        expect(['string', 'object']).toContain(typeof decode(bytes))
      }),
      { numRuns: 2000 },
    )
  })

  it('every cut of a message is refused', () => {
    const whole = encode({
      ...REPLY,
      questions: [{ name: 'web.default.svc.cluster.local', type: 'A' }],
      answers: [{ name: 'web.default.svc.cluster.local', ttl: 30, type: 'A', address: ip('10.96.0.20') }],
    })
    for (let length = 0; length < whole.length; length++) expect(decode(whole.subarray(0, length)), String(length)).toBe('dns-truncated')
  })

  it.each([
    ['a pointer to itself', '0001 8180 0001 0000 0000 0000 c00c 0001 0001', 'dns-pointer'],
    ['a pointer forwards', '0001 8180 0001 0000 0000 0000 c010 0001 0001', 'dns-pointer'],
    ['a pointer into the header', '0001 8180 0001 0000 0000 0000 c000 0001 0001', 'dns-pointer'],
    ['a ring of two', '0001 8180 0002 0000 0000 0000 0161 c012 0001 0001 0162 c00c 0001 0001', 'dns-pointer'],
    ['a label type of old', '0001 8180 0001 0000 0000 0000 41 00 0001 0001', 'dns-label'],
    ['an address of five octets', '0001 8180 0000 0001 0000 0000 00 0001 0001 00000000 0005 0a00000101', 'dns-data'],
    ['a text longer than its record', '0001 8180 0000 0001 0000 0000 00 0010 0001 00000000 0002 0541', 'dns-data'],
  ])('%s is refused', (_what, octets, error) => {
    expect(decode(bytesOf(octets))).toBe(error)
  })
})

/** Answers every query by `answer`; resolves with what c-ares made of it. */
async function asked<Result>(
  answer: (query: Message) => Uint8Array,
  ask: (resolver: Resolver) => Promise<Result>,
): Promise<{ result: Result; queries: Message[] }> {
  const socket = createSocket('udp4')
  const queries: Message[] = []
  socket.on('message', (bytes, from) => {
    const query = decode(bytes)
    if (typeof query === 'string') throw new Error(query)
    queries.push(query)
    socket.send(answer(query), from.port, from.address)
  })
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve)
  })
  const resolver = new Resolver({ timeout: 2000, tries: 1 })
  resolver.setServers([`127.0.0.1:${socket.address().port}`])
  try {
    return { result: await ask(resolver), queries }
  } finally {
    socket.close()
  }
}

describe('c-ares', () => {
  const reply = (query: Message, answers: readonly DnsRecord[], compress: boolean): Uint8Array =>
    encode({ ...REPLY, id: query.id, questions: query.questions, answers }, { compress })

  it.each([false, true])('reads our answers, compressed: %s', async (compress) => {
    const addresses = [ip('10.244.1.5'), ip('10.244.2.7')]
    const { result, queries } = await asked(
      (query) =>
        reply(
          query,
          addresses.map((address) => ({ name: query.questions[0].name, ttl: 30, type: 'A' as const, address })),
          compress,
        ),
      (resolver) => resolver.resolve4('web-0.nginx.default.svc.cluster.local', { ttl: true }),
    )
    expect(result).toEqual(addresses.map((address) => ({ address: formatIp(address), ttl: 30 })))
    expect(queries).toMatchObject([{ response: false, recursionDesired: true, questions: [{ name: 'web-0.nginx.default.svc.cluster.local', type: 'A' }] }])
  })

  it('reads an SRV record, a PTR record, a text and a CNAME', async () => {
    const srv = { ttl: 30, type: 'SRV' as const, priority: 0, weight: 50, port: 80, target: 'web-0.nginx.default.svc.cluster.local' }
    const one = <R>(data: object, ask: (resolver: Resolver) => Promise<R>) =>
      asked((query) => reply(query, [{ name: query.questions[0].name, ...data } as DnsRecord], true), ask).then(({ result }) => result)
    expect(await one(srv, (r) => r.resolveSrv('_http._tcp.nginx.default.svc.cluster.local'))).toMatchObject([
      { name: 'web-0.nginx.default.svc.cluster.local', port: 80, priority: 0, weight: 50 },
    ])
    expect(await one({ ttl: 5, type: 'PTR', target: 'kubernetes.default.svc.cluster.local' }, (r) => r.reverse('10.96.0.1'))).toEqual([
      'kubernetes.default.svc.cluster.local',
    ])
    expect(await one({ ttl: 28800, type: 'TXT', texts: ['1.1.0'] }, (r) => r.resolveTxt('dns-version.cluster.local'))).toEqual([['1.1.0']])
    expect(await one({ ttl: 5, type: 'CNAME', target: 'db.example.com' }, (r) => r.resolveCname('db.default.svc.cluster.local'))).toEqual(['db.example.com'])
  })

  it('takes our NXDOMAIN for what it is', async () => {
    const nothing = asked(
      (query) => encode({ ...REPLY, id: query.id, questions: query.questions, rcode: RCODES.NXDOMAIN }),
      (resolver) => resolver.resolve4('no.default.svc.cluster.local'),
    )
    await expect(nothing).rejects.toMatchObject({ code: 'ENOTFOUND' })
  })
})
