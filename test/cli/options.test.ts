/** Flags → TraceRequest, environment → what the terminal shows, disposition → exit status. */
import { describe, expect, it } from 'vitest'
import { exitOf } from '../../src/cli/exit.js'
import { inWords } from '../../src/cli/json-words.js'
import { table } from '../../src/cli/table.js'
import { wantsAscii, wantsColor, widthOf } from '../../src/cli/terminal.js'
import { dispositions, moment, requestOf, type TraceFlags } from '../../src/cli/trace-options.js'
import { ip } from '../../src/base/ip.js'
import { memoryIo, type Around } from './memory-io.js'

const FLAGS: TraceFlags = {
  filename: [],
  recursive: false,
  namespace: 'default',
  sport: 40000,
  df: false,
  ttl: 64,
  cold: false,
  listen: false,
  at: 0,
  seed: 1,
  output: 'text',
  verbose: 0,
  expect: [],
  summary: false,
  color: 'auto',
  ascii: false,
}

describe('requestOf', () => {
  it('is the contract’s default where no flag is given', () => {
    expect(requestOf('pod-a', 'pod-b:80', FLAGS)).toEqual({
      source: 'pod-a',
      destination: 'pod-b:80',
      namespace: 'default',
      sport: 40000,
      df: false,
      ttl: 64,
      cold: false,
      listen: false,
      seed: 1,
      atNs: 0,
      level: 0,
    })
  })

  it('carries every flag', () => {
    const flags: TraceFlags = {
      ...FLAGS,
      namespace: 'shop',
      proto: 'udp',
      sport: 1,
      size: 28,
      df: true,
      ttl: 3,
      cold: true,
      listen: true,
      at: 5e9,
      seed: 7,
      verbose: 3,
    }
    expect(requestOf('a', 'b', flags)).toEqual({
      source: 'a',
      destination: 'b',
      namespace: 'shop',
      proto: 'udp',
      sport: 1,
      size: 28,
      df: true,
      ttl: 3,
      cold: true,
      listen: true,
      seed: 7,
      atNs: 5e9,
      level: 1,
    })
  })
})

describe('values', () => {
  it.each([
    ['250ms', 250e6],
    ['30s', 30e9],
    ['5m', 300e9],
    ['12h', 43200e9],
    ['2d', 172800e9],
    ['0', 0],
    ['90d', 7776000e9],
  ])('--at %s', (text, ns) => {
    expect(moment(text)).toBe(ns)
  })

  it('--expect takes several, in any case', () => {
    expect(dispositions('denied, rejected,no-route')).toEqual(['DENIED', 'REJECTED', 'NO_ROUTE'])
  })
})

describe('exitOf', () => {
  it.each([
    ['DELIVERED', 0],
    ['EXITED', 0],
    ['DENIED', 1],
    ['REPLY_LOST', 1],
    ['BLACKHOLE', 1],
    ['INCOMPLETE', 4],
    ['AMBIGUOUS', 4],
  ] as const)('%s → %i', (disposition, code) => expect(exitOf(disposition, [])).toBe(code))

  it.each([
    ['DENIED', ['DENIED'], 0],
    ['DELIVERED', ['DENIED'], 1],
    ['INCOMPLETE', ['INCOMPLETE', 'DENIED'], 0],
    ['INCOMPLETE', ['DENIED'], 1],
  ] as const)('%s with --expect %j → %i', (disposition, expected, code) => expect(exitOf(disposition, expected)).toBe(code))
})

describe('the terminal', () => {
  const io = (around: Around) => memoryIo(around).io

  it.each<[Around, boolean]>([
    [{}, false],
    [{ terminal: true }, true],
    [{ terminal: true, env: { TERM: 'dumb' } }, false],
    [{ terminal: true, env: { NO_COLOR: '1' } }, false],
    [{ terminal: true, env: { NO_COLOR: '' } }, true],
    [{ env: { FORCE_COLOR: '1' } }, true],
    [{ env: { FORCE_COLOR: '0' } }, false],
    [{ env: { FORCE_COLOR: '1', NO_COLOR: '1' } }, false],
  ])('%j has colours: %s', (around, expected) => {
    expect(wantsColor('auto', io(around))).toBe(expected)
    expect(wantsColor('always', io(around))).toBe(true)
    expect(wantsColor('never', io(around))).toBe(false)
  })

  it.each<[Record<string, string>, boolean]>([
    [{}, false],
    [{ LANG: 'C' }, true],
    [{ LANG: 'C.UTF-8' }, false],
    [{ LANG: 'en_US.utf8', LC_ALL: 'POSIX' }, true],
    [{ LANG: 'C', LC_CTYPE: 'de_DE.UTF-8' }, false],
  ])('%j is plain letters: %s', (env, expected) => expect(wantsAscii(false, io({ env }))).toBe(expected))

  it.each<[Around, number]>([
    [{}, 100],
    [{ columns: 90 }, 90],
    [{ columns: 300 }, 120],
    [{ columns: 90, env: { COLUMNS: '80' } }, 80],
    [{ env: { COLUMNS: 'wide' } }, 100],
  ])('%j is %i columns wide', (around, width) => expect(widthOf(io(around))).toBe(width))
})

it('a table stands in columns, with <none> for nothing', () => {
  expect(
    table(
      ['NAME', 'IP'],
      [
        ['web-0', '10.0.0.1'],
        ['db', undefined],
        ['x', ''],
      ],
    ),
  ).toBe('NAME    IP\nweb-0   10.0.0.1\ndb      <none>\nx       <none>\n')
})

it('a Dataplane in words: addresses, prefixes and MACs', () => {
  const route = { destination: { base: ip('10.1.0.0'), length: 16 }, via: ip('10.1.15.1'), metric: 100, nexthops: [{ via: ip('255.255.255.255'), weight: 1 }] }
  expect(inWords({ route, mac: 0x02005e000001, ttl: 64 })).toEqual({
    route: { destination: '10.1.0.0/16', via: '10.1.15.1', metric: 100, nexthops: [{ via: '255.255.255.255', weight: 1 }] },
    mac: '02:00:5e:00:00:01',
    ttl: 64,
  })
})
