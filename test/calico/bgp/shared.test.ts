/** What BIRDs of a world share, held against each working it out for itself: prefixes by number, what all peers of a kind are told, UPDATEs. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidr } from '../../../src/base/cidr.js'
import { Announcements } from '../../../src/calico/bgp/announcements.js'
import type { PathAttributes } from '../../../src/calico/bgp/attributes.js'
import { Buckets } from '../../../src/calico/bgp/buckets.js'
import { Commons } from '../../../src/calico/bgp/commons.js'
import type { PeerConfig } from '../../../src/calico/bgp/config.js'
import { originated } from '../../../src/calico/bgp/filter.js'
import type { SessionRules, UpdateMessage } from '../../../src/calico/bgp/message.js'
import { messageLength } from '../../../src/calico/bgp/on-the-wire.js'
import { PrefixIds } from '../../../src/calico/bgp/prefix-ids.js'
import { PrefixMap } from '../../../src/calico/bgp/prefix-map.js'
import { OfferLog, replay, SharedFeed, type Offer } from '../../../src/calico/bgp/shared-feed.js'
import { SharedPath } from '../../../src/calico/bgp/shared-path.js'
import { blockOf, nodeAddress, peer } from './kit.js'

const RULES: SessionRules = { as4: true, internal: true, addPathSend: true, addPathReceive: true }
const PEERS = [1, 2, 3, 4].map((number) => peer(nodeAddress(200), nodeAddress(number)))
const ATTRIBUTES: readonly PathAttributes[] = [1, 2, 3, 9].map((number) => originated(nodeAddress(number), []))

const commons = new Commons()
const PATHS = [1, 2, 3, 4, 5, 6].map((number) => new SharedPath(commons.place(blockOf(number)), number))

const protocol = fc.constantFrom(...PEERS.map(({ name }) => name), 'static1')
const withdrawn = fc.record({ path: fc.constantFrom(...PATHS), protocol })
const announced = fc.record({ path: fc.constantFrom(...PATHS), attributes: fc.constantFrom(...ATTRIBUTES), protocol })
const offer: fc.Arbitrary<Offer> = fc.oneof(
  fc.record({ announced, withdrawsPeersOwn: fc.boolean() }),
  fc.record({ withdrawn, withdrawsPeersOwn: fc.constant(false) }),
  fc.record({ announced, withdrawn, withdrawsPeersOwn: fc.constant(false) }),
)

/** Of a table: each path once. */
const told = fc.uniqueArray(fc.record({ announced, withdrawsPeersOwn: fc.constant(false) }), { maxLength: 6, selector: (one) => one.announced.path })

function drained(buckets: Buckets, rules = RULES): UpdateMessage[] {
  const all: UpdateMessage[] = []
  for (let update = buckets.next(rules); update !== undefined; update = buckets.next(rules)) all.push(update)
  return all
}

/** As session.ts sends it. */
function said(announcements: Announcements): UpdateMessage[] {
  const all: UpdateMessage[] = []
  for (let run = announcements.nextRun(RULES); run !== undefined; run = announcements.nextRun(RULES)) all.push(...run.feed.updates.slice(run.from, run.to))
  for (let update = announcements.next(RULES); update !== undefined; update = announcements.next(RULES)) all.push(update)
  return all
}

function words(updates: readonly UpdateMessage[]): unknown {
  return updates.map(({ withdrawn, attributes, reachable }) => [
    withdrawn.map(({ pathId }) => pathId),
    attributes?.nextHop,
    reachable.map(({ pathId }) => pathId),
  ])
}

describe('what all peers of a kind are told', () => {
  it('is what each would be told by itself, whenever he is told', () => {
    // a number lets the peer of that number speak
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: offer }, fc.nat({ max: PEERS.length - 1 })), { maxLength: 30 })
    fc.assert(
      fc.property(told, steps, (table, steps) => {
        const log = new OfferLog()
        const feed = new SharedFeed(table, RULES)
        const shared = PEERS.map((one) => new Announcements(one))
        const alone = PEERS.map(() => new Buckets())
        PEERS.forEach((one, i) => {
          table.forEach((entry) => replay(entry, one, alone[i]))
          if (!shared[i].begin(feed)) fill(shared[i], table, one)
        })
        for (const step of [...steps, ...PEERS.keys()]) {
          if (typeof step === 'number') {
            expect(words(said(shared[step]))).toEqual(words(drained(alone[step])))
            continue
          }
          log.add(step)
          PEERS.forEach((one, i) => {
            replay(step, one, alone[i])
            shared[i].follow(log)
          })
        }
      }),
      { numRuns: 500 },
    )
  })

  it('is kept by the log only as long as somebody needs it', () => {
    const log = new OfferLog()
    const [slow, quick] = PEERS.map((one) => new Announcements(one))
    const add = (path: SharedPath): void => {
      log.add({ announced: { path, attributes: ATTRIBUTES[3], protocol: 'static1' }, withdrawsPeersOwn: false })
      for (const one of [slow, quick]) one.follow(log)
    }
    add(PATHS[0])
    expect(words(said(quick))).toEqual([[[], nodeAddress(9), [1]]])
    add(PATHS[1])
    expect([slow.needs(log), quick.needs(log)]).toEqual([0, 1])
    said(slow)
    log.forget(1)
    expect([log.length, log.end]).toEqual([1, 2])
    expect(words(said(quick))).toEqual([[[], nodeAddress(9), [2]]])
  })
})

/** A peer whom the feed does not suit is told of each path, as exporter.ts does it. */
function fill(announcements: Announcements, table: readonly Offer[], { name, neighbour }: PeerConfig): void {
  for (const { announced } of table) {
    if (announced === undefined || announced.protocol === name || announced.attributes.nextHop === neighbour) continue
    announcements.announce(announced.path, announced.attributes)
  }
}

describe('an UPDATE of BIRD 1.6', () => {
  it.each([
    ['/26 with path IDs', true, 26, 9],
    ['/26', false, 26, 5],
    ['/16', false, 16, 3],
    ['/16 with path IDs', true, 16, 7],
  ])('takes prefixes %s while there is room for the longest', (_, addPathSend, length, bytes) => {
    const rules = { ...RULES, addPathSend }
    const buckets = new Buckets()
    for (let i = 0; i < 2000; i++) buckets.announce(new SharedPath(commons.place(cidr((10 << 24) + 2 ** (32 - length) * i, length)), i), ATTRIBUTES[0])
    const [first, ...rest] = drained(buckets, rules)
    const left = 4096 - messageLength(first, rules)
    expect([left < 9, left + bytes >= 9]).toEqual([true, true])
    expect(rest.reduce((count, { reachable }) => count + reachable.length, first.reachable.length)).toBe(2000)
  })
})

describe('values by prefix', () => {
  it('are those of a map of texts, the longest prefixes first, else as they came', () => {
    const prefix = fc.tuple(fc.nat({ max: 5 }), fc.constantFrom(8, 24, 26)).map(([n, length]) => cidr((10 + n) << 24, length))
    fc.assert(
      fc.property(fc.array(fc.tuple(prefix, fc.option(fc.nat(), { nil: undefined })), { maxLength: 200 }), (steps) => {
        const ids = new PrefixIds()
        const map = new PrefixMap<number>(ids)
        const plain = new Map<string, { readonly length: number; readonly value: number }>()
        for (const [one, value] of steps) {
          const key = `${one.base}/${one.length}`
          if (value === undefined) expect(map.delete(ids.of(one))).toBe(plain.delete(key))
          else {
            map.set(ids.of(one), value)
            plain.set(key, { length: one.length, value })
          }
          expect(map.get(one)).toBe(value)
        }
        const sorted = [...plain.values()].sort((a, b) => b.length - a.length)
        expect(map.values()).toEqual(sorted.map(({ value }) => value))
        expect(map.size).toBe(plain.size)
      }),
    )
  })
})
