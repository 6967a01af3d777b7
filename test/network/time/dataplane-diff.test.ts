/** Differences of kernels: what they say of chosen changes, and that they say all of any. */
import fc from 'fast-check'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { cidr } from '../../../src/base/cidr.js'
import { ip } from '../../../src/base/ip.js'
import { EMPTY_DATAPLANE, LOOPBACK, type Dataplane } from '../../../src/dataplane/dataplane.js'
import { changeText, dataplaneChanges, kernelLines, type KernelChange, type KernelLine } from '../../../src/network/time/dataplane-diff.js'
import { clusterOf, steadyOf } from './moment-kit.js'

const ROOT = new URL('../../../examples/', import.meta.url)
/** Real nodes of all kinds, to be changed into one another. */
const HOSTS: readonly Dataplane[] = ['flannel-vxlan.yaml', 'services-calico.yaml', 'calico-wireguard.yaml', 'flannel-udp.yaml', 'calico-fabric.yaml']
  .filter((name) => readdirSync(ROOT).includes(name))
  .flatMap((name) => [...steadyOf(clusterOf([{ file: name, text: readFileSync(new URL(name, ROOT), 'utf8') }])).dataplanes.values()])

function applied(before: readonly KernelLine[], changes: readonly KernelChange[]): string[] {
  const left = before.map(({ text }) => text)
  // from the last place on, so that the places before it stay true
  for (const { sign, text } of changes) if (sign === '-') left.splice(left.lastIndexOf(text), 1)
  return [...left, ...changes.flatMap(({ sign, text }) => (sign === '+' ? [text] : []))].sort()
}

/** The rules of one chain after the change, in their order. */
function chainAfter(before: readonly KernelLine[], changes: readonly KernelChange[], prefix: string): string[] {
  const of = (sign: '+' | '-'): readonly KernelChange[] => changes.filter((change) => change.sign === sign && change.text.startsWith(prefix))
  const gone = new Set(of('-').map(({ place }) => place))
  const rules = before.filter(({ text, place }) => text.startsWith(prefix) && !gone.has(place)).map(({ text }) => text)
  for (const { text, place = 1 } of of('+')) rules.splice(place - 1, 0, text)
  return rules
}

const host = fc.constantFrom(...HOSTS)
/** A host with parts of others, so that much is alike and in another order. */
const mixed = fc.tuple(host, host, fc.array(fc.constantFrom('devices', 'routes', 'rules', 'neighbours', 'fdb', 'sysctls', 'ipsets', 'sockets', 'iptables')))
const changed = fc.tuple(mixed, fc.nat(), fc.boolean()).map(([[base, other, parts], seed, reverses]): Dataplane => {
  const copy: Record<string, unknown> = { ...base }
  for (const name of parts) copy[name] = other[name as keyof Dataplane]
  const made = copy as unknown as Dataplane
  const shuffled = <Item>(items: readonly Item[]): Item[] => items.filter((_, at) => (at * 7 + seed) % 5 !== 0)
  const turned = <Item>(items: readonly Item[]): readonly Item[] => (reverses ? shuffled(items).reverse() : shuffled(items))
  const tables = made.iptables.tables.map((table) => ({ ...table, chains: table.chains.map((chain) => ({ ...chain, rules: turned(chain.rules) })) }))
  return { ...made, routes: turned(made.routes), fdb: turned(made.fdb), ipsets: turned(made.ipsets), iptables: { tables } }
})

describe('all that changed', () => {
  it('is there: lines that were, less those that are gone, with those that are new, are the lines that are', () => {
    fc.assert(
      fc.property(fc.oneof(host, changed), fc.oneof(host, changed), (before, after) => {
        const changes = dataplaneChanges(before, after)
        const lines = kernelLines(after).map(({ text }) => text)
        expect(applied(kernelLines(before), changes)).toEqual([...lines].sort())
        const was = new Set(kernelLines(before).map(({ text }) => text))
        // what is alike is in no change but where its order is another, which only rules have
        for (const { sign, text, place } of changes)
          if (sign === '+' && place === undefined && was.has(text)) expect(lines.filter((line) => line === text).length).toBeGreaterThan(1)
      }),
      { numRuns: 60 },
    )
  })

  it('in a chain stands at its place', () => {
    fc.assert(
      fc.property(fc.oneof(host, changed), fc.oneof(host, changed), (before, after) => {
        const changes = dataplaneChanges(before, after)
        const [was, is] = [kernelLines(before), kernelLines(after)]
        const prefixes = new Set([...was, ...is].flatMap(({ text }) => /^-t \S+ -A \S+ /.exec(`${text} `)?.[0].trimEnd() ?? []))
        for (const prefix of prefixes) {
          const own = (lines: readonly KernelLine[]): KernelLine[] => lines.filter(({ text }) => text === prefix || text.startsWith(`${prefix} `))
          const ofChain = changes.filter(({ text }) => text === prefix || text.startsWith(`${prefix} `))
          expect(chainAfter(own(was), ofChain, prefix)).toEqual(own(is).map(({ text }) => text))
        }
      }),
      { numRuns: 30 },
    )
  })

  it('is nothing between a netns and itself, made anew or put in another order', () => {
    for (const one of HOSTS) {
      expect(dataplaneChanges(one, structuredClone(one))).toEqual([])
      expect(
        dataplaneChanges(one, { ...one, routes: [...one.routes].reverse(), neighbours: [...one.neighbours].reverse(), sockets: [...one.sockets].reverse() }),
      ).toEqual([])
    }
  })

  it('is everything where a netns comes or goes', () => {
    const [one] = HOSTS
    expect(
      dataplaneChanges(undefined, one)
        .map(({ text }) => text)
        .sort(),
    ).toEqual(
      kernelLines(one)
        .map(({ text }) => text)
        .sort(),
    )
    expect(dataplaneChanges(one, undefined).every(({ sign }) => sign === '-')).toBe(true)
    expect(dataplaneChanges(undefined, undefined)).toEqual([])
  })
})

describe('words', () => {
  const empty: Dataplane = { ...EMPTY_DATAPLANE, netns: 'n1', devices: [LOOPBACK] }

  it('are each tool’s own', () => {
    const after: Dataplane = {
      ...empty,
      routes: [{ destination: cidr(ip('10.1.53.0'), 24), type: 'unicast', via: ip('10.1.53.0'), device: 'flannel.1', onlink: true }],
      neighbours: [{ address: ip('10.1.53.0'), device: 'flannel.1', mac: 0x0a0000000001, state: 'permanent' }],
      fdb: [{ mac: 0x0a0000000001, device: 'flannel.1', destination: ip('192.168.0.3'), self: true, state: 'permanent' }],
      sysctls: { 'net.ipv4.ip_forward': 1 },
      ipsets: [{ name: 'cali40s:x', type: 'hash:net', options: 'family inet', members: [{ element: '10.0.0.0/8' }] }],
      iptables: {
        tables: [
          {
            name: 'nat',
            chains: [
              { name: 'POSTROUTING', policy: 'ACCEPT', rules: [] },
              { name: 'FLANNEL-POSTRTG', rules: [{ matches: [] }] },
            ],
          },
        ],
      },
      sockets: [{ proto: 'udp', address: 0, port: 8472, handler: 'open' }],
    }
    expect(dataplaneChanges(empty, after).map(changeText)).toEqual([
      '+ 10.1.53.0/24 via 10.1.53.0 dev flannel.1 onlink',
      '+ 10.1.53.0 dev flannel.1 lladdr 0a:00:00:00:00:01 PERMANENT',
      '+ 0a:00:00:00:00:01 dev flannel.1 dst 192.168.0.3 self permanent',
      '+ net.ipv4.ip_forward = 1',
      '+ create cali40s:x hash:net family inet',
      '+ add cali40s:x 10.0.0.0/8',
      '+ udp UNCONN 0.0.0.0:8472',
      '+ -t nat -P POSTROUTING ACCEPT',
      '+ -t nat -N FLANNEL-POSTRTG',
      '+ -t nat -A FLANNEL-POSTRTG',
    ])
    expect(dataplaneChanges(after, { ...after, routes: [] }).map(changeText)).toEqual(['- 10.1.53.0/24 via 10.1.53.0 dev flannel.1 onlink'])
  })
})
