/**
 * Leases of a real etcd beside those of EtcdStore: the same calls, and what watchers hear of it, in the same order and by the same revisions. A lease is never
 * over early; a server looks for those that are every 500 ms (lease/lessor.go runLoop, etcdserver/server.go SyncTicker), the store in virtual time is exact.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EtcdV2 } from '../../../src/etcd/etcd-v2.js'
import { EtcdV3 } from '../../../src/etcd/etcd-v3.js'
import { EtcdStore } from '../../../src/etcd/store.js'
import { Simulation } from '../../../src/sim/simulation.js'
import { Timers } from '../../../src/sim/timers.js'
import { hasProgram, RealEtcd } from '../../etcd/real-server.js'
import { until } from './route-clock.js'

/** Seconds between two looks of the server; and that a busy machine may be late. */
const LOOK = 0.5
const LATE = 3

const missing = ['etcd', 'etcdctl'].filter((name) => !hasProgram(name))

interface Heard {
  /** Seconds. */
  readonly at: number
  readonly type: 'put' | 'delete'
  readonly key: string
  readonly revision: number
}

/** Calls at seconds of the story: a lease for its keys; or a key without one. */
interface Call {
  readonly at: number
  readonly keys: readonly string[]
  readonly ttl?: number
}

/** Ends of leases lie further apart than two looks, as leases of one look end in no order. */
const CALLS: readonly Call[] = [
  { at: 0, keys: ['/t/late-a', '/t/late-b'], ttl: 7 },
  { at: 0.2, keys: ['/t/early'], ttl: 3 },
  { at: 1.9, keys: ['/t/between'], ttl: 3 },
  { at: 4.2, keys: ['/t/kept'] },
]

const order = (heard: readonly Heard[]): string[] => heard.map(({ type, key }) => `${type} ${key}`)
/** Counted from the first, since a server has its own before. */
const revisions = (heard: readonly Heard[]): number[] => heard.map(({ revision }) => revision - heard[0].revision)

/** How long each key lived that was deleted. */
function lives(heard: readonly Heard[]): Map<string, number> {
  const deleted = heard.filter(({ type }) => type === 'delete')
  return new Map(deleted.map(({ key, at }) => [key, at - (heard.find((one) => one.type === 'put' && one.key === key)?.at ?? NaN)]))
}

/** The same calls on the store, in virtual time. */
function virtual(put: (store: EtcdStore) => (call: Call) => void): Heard[] {
  const simulation = new Simulation()
  const timers = new Timers(simulation)
  const store = new EtcdStore(simulation)
  const heard: Heard[] = []
  store.watch({
    prefix: '/t/',
    onEvent: ({ type, revision, current }) => {
      if (!current.directory) heard.push({ at: simulation.nowNs / 1e9, type, key: current.key, revision })
    },
  })
  const apply = put(store)
  for (const call of CALLS) timers.after(call.at * 1e9, () => apply(call))
  simulation.run(20e9)
  return heard
}

async function play(apply: (call: Call) => Promise<void>): Promise<void> {
  const began = performance.now()
  for (const call of CALLS) {
    await until(() => performance.now() >= began + call.at * 1000, 20)
    await apply(call)
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe.skipIf(missing.length > 0)('leases of a real etcd and of the store', () => {
  let etcd: RealEtcd
  let watcher: ChildProcess | undefined
  beforeAll(async () => {
    etcd = await RealEtcd.start()
  }, 60_000)
  afterAll(async () => {
    watcher?.kill('SIGKILL')
    await etcd.stop()
  })

  function compare(real: readonly Heard[], model: readonly Heard[], api: string): void {
    expect(order(model)).toEqual([
      ...['put /t/late-a', 'put /t/late-b', 'put /t/early', 'put /t/between', 'delete /t/early'],
      ...['put /t/kept', 'delete /t/between', 'delete /t/late-a', 'delete /t/late-b'],
    ])
    expect(sorted(real)).toEqual(sorted(model))
    const measured = lives(real)
    console.log(`${api}: lived ${[...measured].map(([key, seconds]) => `${key} ${seconds.toFixed(2)}`).join(', ')}`)
    for (const [key, seconds] of lives(model)) {
      const ttl = CALLS.find(({ keys }) => keys.includes(key))?.ttl ?? NaN
      expect(seconds, key).toBeCloseTo(ttl, 6)
      expect(measured.get(key), key).toBeGreaterThan(ttl - 0.1)
      expect(measured.get(key), key).toBeLessThan(ttl + LOOK + LATE)
    }
  }
  /** Puts and deletes, each in order; how they lie among one another is for the times to say. */
  const sorted = (heard: readonly Heard[]): string[] => {
    const lines = order(heard)
    return [...lines.filter((line) => line.startsWith('put')), ...lines.filter((line) => line.startsWith('delete'))]
  }

  it('v3: etcdctl watch hears the same, by the same revisions', { timeout: 60_000 }, async () => {
    const real: Heard[] = []
    const child = spawn('etcdctl', ['--endpoints', etcd.url, 'watch', '--prefix', '/t/', '-w', 'json'], {
      env: { ...process.env, ETCDCTL_API: '3' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    watcher = child
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { Events } = JSON.parse(line) as { readonly Events: readonly { readonly type?: number; readonly kv: { key: string; mod_revision: number } }[] }
      for (const { type = 0, kv } of Events) {
        real.push({
          at: performance.now() / 1000,
          type: type === 0 ? 'put' : 'delete',
          key: Buffer.from(kv.key, 'base64').toString(),
          revision: kv.mod_revision,
        })
      }
    })
    // a watch is heard to stand by its first event
    await until(() => {
      if (real.length === 0) void etcd.v3('kv/put', { key: base64('/t/ready'), value: base64('') })
      return real.length > 0
    }, 20)
    let seen = -1
    await until(() => {
      const still = seen === real.length
      seen = real.length
      return still
    }, 5)
    real.length = 0
    await play(async ({ keys, ttl }) => {
      const lease = ttl === undefined ? {} : { lease: (await etcd.v3('lease/grant', { TTL: ttl })).ID }
      for (const key of keys) await etcd.v3('kv/put', { key: base64(key), value: base64('x'), ...lease })
    })
    await until(() => real.filter(({ type }) => type === 'delete').length === 4, 20)
    const model = virtual((store) => {
      const v3 = new EtcdV3(store)
      return ({ keys, ttl }) => {
        const lease = ttl === undefined ? 0 : v3.grant(ttl)
        for (const key of keys) v3.put(key, 'x', lease)
      }
    })
    compare(real, model, 'v3')
    // both keys of one lease go in one revision, in the order of their names
    const last = (heard: readonly Heard[]): number[] => revisions(heard).slice(-2)
    expect(last(real)).toEqual(last(model))
    expect(last(real)[0]).toBe(last(real)[1])
    // nothing but these calls spends a revision
    expect(revisions(real).at(-1)).toBe(revisions(model).at(-1))
  })

  it('v2: keys with a time to live go in the same order, by the same indexes', { timeout: 60_000 }, async () => {
    const real: Heard[] = []
    let over = false
    const first = await etcd.putV2('/t/ready', 'x').then(async () => (await fetch(`${etcd.url}/v2/keys/t/ready`)).headers.get('x-etcd-index'))
    const follow = async (): Promise<void> => {
      for (let index = Number(first) + 1; !over;) {
        const answer = await fetch(`${etcd.url}/v2/keys/t?wait=true&recursive=true&waitIndex=${index}`)
        const { action, node } = (await answer.json()) as { readonly action: string; readonly node: { key: string; modifiedIndex: number } }
        real.push({ at: performance.now() / 1000, type: action === 'expire' ? 'delete' : 'put', key: node.key, revision: node.modifiedIndex })
        index = node.modifiedIndex + 1
        over = real.filter(({ type }) => type === 'delete').length === 4
      }
    }
    const followed = follow()
    await play(async ({ keys, ttl }) => {
      for (const key of keys) await etcd.putV2(key, 'x', ttl)
    })
    await followed
    const model = virtual((store) => {
      const v2 = new EtcdV2(store)
      return ({ keys, ttl }) => {
        for (const key of keys) v2.set(key, 'x', ttl === undefined ? {} : { ttl })
      }
    })
    compare(real, model, 'v2')
    expect(revisions(real)).toEqual(revisions(model))
  })

  it('no lease of v3 is shorter than a second and a half of elections: 2 s', { timeout: 30_000 }, async () => {
    const granted = await etcd.v3('lease/grant', { TTL: 1 })
    expect(granted.TTL).toBe('2')
    const v3 = new EtcdV3(new EtcdStore({ nowNs: 0 }))
    expect(v3.timeToLive(v3.grant(1)).grantedTtl).toBe(2)
  })
})

it.runIf(process.env.NETSIM_REAL_KERNEL === '1')('the programs are here: etcd-server, etcd-client', () => expect(missing).toEqual([]))
