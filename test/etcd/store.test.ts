import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EtcdV3 } from '../../src/etcd/etcd-v3.js'
import { EtcdStore, type StoreEvent } from '../../src/etcd/store.js'
import { Simulation } from '../../src/sim/simulation.js'

const SECOND = 1e9

describe('EtcdStore', () => {
  it('counts revisions from 1, one per commit, none for a commit that changes nothing', () => {
    const store = new EtcdStore({ nowNs: 0 })
    expect(store.revision).toBe(1)
    store.commit([
      { kind: 'put', key: 'b', value: '1' },
      { kind: 'put', key: 'a', value: '2' },
    ])
    expect(store.revision).toBe(2)
    expect(store.range('').map((found) => found.key)).toEqual(['a', 'b'])
    store.commit([{ kind: 'delete', key: 'none' }])
    expect(store.revision).toBe(2)
  })

  it('keeps createRevision over writes and starts again after a delete', () => {
    const store = new EtcdStore({ nowNs: 0 })
    store.commit([{ kind: 'put', key: 'k', value: '1' }])
    store.commit([{ kind: 'put', key: 'k', value: '2' }])
    expect(store.get('k')).toMatchObject({ createRevision: 2, modRevision: 3, version: 2 })
    store.commit([{ kind: 'delete', key: 'k' }])
    store.commit([{ kind: 'put', key: 'k', value: '3' }])
    expect(store.get('k')).toMatchObject({ createRevision: 5, modRevision: 5, version: 1 })
  })

  it('expires leases by itself in a simulation, in one revision each, and not a key that left the lease', () => {
    const simulation = new Simulation()
    const store = new EtcdStore(simulation)
    const short = store.grant(10 * SECOND)
    const long = store.grant(20 * SECOND)
    store.commit([
      { kind: 'put', key: 'a', value: '', lease: short },
      { kind: 'put', key: 'b', value: '', lease: short },
      { kind: 'put', key: 'c', value: '', lease: short },
    ])
    store.commit([{ kind: 'put', key: 'c', value: '', lease: long }])
    const seen: [number, string, string, number][] = []
    store.watch({ prefix: '', onEvent: (event) => seen.push([simulation.nowNs / SECOND, event.reason, event.current.key, event.revision]) })
    simulation.run()
    expect(seen).toEqual([
      [10, 'expire', 'a', 4],
      [10, 'expire', 'b', 4],
      [20, 'expire', 'c', 5],
    ])
  })

  it('a keep-alive begins the time to live anew', () => {
    const simulation = new Simulation()
    const store = new EtcdStore(simulation)
    const lease = store.grant(10 * SECOND)
    store.commit([{ kind: 'put', key: 'a', value: '', lease }])
    simulation.run(6 * SECOND)
    simulation.nowNs = 6 * SECOND
    store.keepAlive(lease)
    simulation.run(15 * SECOND)
    expect(store.get('a')).toBeDefined()
    simulation.run(16 * SECOND)
    expect(store.get('a')).toBeUndefined()
  })

  it('with a bare clock expires when told to', () => {
    const clock = { nowNs: 0 }
    const store = new EtcdStore(clock)
    store.commit([{ kind: 'put', key: 'a', value: '', lease: store.grant(SECOND) }])
    clock.nowNs = SECOND
    expect(store.get('a')).toBeDefined()
    store.expire()
    expect(store.get('a')).toBeUndefined()
  })

  it('tells every watcher of an event before what a callback writes about it', () => {
    const store = new EtcdStore({ nowNs: 0 })
    const seen: string[] = []
    store.watch({ prefix: 'a', onEvent: () => void store.commit([{ kind: 'put', key: 'b', value: '' }]) })
    store.watch({ prefix: '', onEvent: (event) => seen.push(event.current.key) })
    store.commit([{ kind: 'put', key: 'a', value: '' }])
    expect(seen).toEqual(['a', 'b'])
  })

  it('a watch begun inside a callback hears neither twice nor of what it did not ask for', () => {
    const store = new EtcdStore({ nowNs: 0 })
    const seen: number[] = []
    let begun = false
    store.watch({
      prefix: '',
      onEvent: () => {
        if (begun) return
        begun = true
        store.commit([{ kind: 'put', key: 'x', value: '' }])
        store.watch({ prefix: '', onEvent: (event) => seen.push(event.revision) }, 3)
      },
    })
    store.commit([{ kind: 'put', key: 'a', value: '' }])
    store.commit([{ kind: 'put', key: 'c', value: '' }])
    expect(seen).toEqual([3, 4])
  })

  it('a watch from behind the compaction is told so and hears nothing more', () => {
    const store = new EtcdStore({ nowNs: 0 })
    for (const value of ['1', '2', '3']) store.commit([{ kind: 'put', key: 'k', value }])
    store.compact(3)
    let compacted = 0
    const seen: StoreEvent[] = []
    const options = { prefix: '', onEvent: (event: StoreEvent) => void seen.push(event), onCompacted: (revision: number) => void (compacted = revision) }
    store.watch(options, 3)
    store.commit([{ kind: 'put', key: 'k', value: '4' }])
    expect([compacted, seen.length]).toEqual([3, 0])
    store.watch(options, 4)
    expect(seen.map((event) => event.revision)).toEqual([4, 5])
  })

  const operation = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), key: fc.constantFrom('a', 'a/b', 'b', 'c'), value: fc.string({ maxLength: 3 }) }),
    fc.record({ kind: fc.constant('delete' as const), key: fc.constantFrom('a', 'a/b', 'b', 'c') }),
  )

  it('property: replaying any watch from any revision over the state before it gives the state now', () => {
    fc.assert(
      fc.property(fc.array(fc.array(operation, { minLength: 1, maxLength: 3 }), { maxLength: 30 }), fc.nat(), (commits, seed) => {
        const store = new EtcdStore({ nowNs: 0 })
        const states = new Map<number, Map<string, string>>([[1, new Map()]])
        for (const commit of commits) {
          store.commit(commit)
          states.set(store.revision, new Map(store.range('').map((found) => [found.key, found.value])))
        }
        const from = 1 + (seed % store.revision)
        const state = new Map(states.get(from))
        store.watch(
          { prefix: '', onEvent: (event) => void (event.type === 'put' ? state.set(event.current.key, event.current.value) : state.delete(event.current.key)) },
          from + 1,
        )
        expect(Object.fromEntries(state)).toEqual(Object.fromEntries(states.get(store.revision) ?? []))
      }),
    )
  })
})

describe('EtcdV3', () => {
  const fresh = (): EtcdV3 => new EtcdV3(new EtcdStore({ nowNs: 0 }))

  it('creates only once by comparing version with 0', () => {
    const etcd = fresh()
    const create = (value: string) =>
      etcd.transaction({
        compare: [{ key: 'k', target: 'version', result: '=', operand: 0 }],
        then: [{ kind: 'put', key: 'k', value }],
        else: [{ kind: 'get', key: 'k' }],
      })
    expect(create('1')).toMatchObject({ succeeded: true, revision: 2 })
    expect(create('2')).toMatchObject({ succeeded: false, revision: 2, results: [{ kind: 'get', values: [{ value: '1' }] }] })
  })

  it('compares revisions, values and leases; no comparison of a value holds for an absent key', () => {
    const etcd = fresh()
    etcd.put('k', 'v')
    const holds = (compare: Parameters<EtcdV3['transaction']>[0]['compare'][number]) => {
      const result = etcd.transaction({ compare: [compare], then: [] })
      return 'succeeded' in result && result.succeeded
    }
    expect(holds({ key: 'k', target: 'modRevision', result: '=', operand: 2 })).toBe(true)
    expect(holds({ key: 'k', target: 'createRevision', result: '>', operand: 2 })).toBe(false)
    expect(holds({ key: 'k', target: 'value', result: '!=', operand: 'w' })).toBe(true)
    expect(holds({ key: 'k', target: 'lease', result: '=', operand: 0 })).toBe(true)
    expect(holds({ key: 'none', target: 'value', result: '!=', operand: 'w' })).toBe(false)
    expect(holds({ key: 'none', target: 'createRevision', result: '=', operand: 0 })).toBe(true)
  })

  it('a transaction writes under one revision, reads its own writes, and refuses two writes of one key', () => {
    const etcd = fresh()
    etcd.put('p/1', '')
    const result = etcd.transaction({
      compare: [],
      then: [
        { kind: 'put', key: 'p/2', value: 'x' },
        { kind: 'get', key: 'p/', prefix: true },
        { kind: 'put', key: 'q', value: '' },
      ],
    })
    expect(result).toMatchObject({ revision: 3, results: [{}, { values: [{ key: 'p/1' }, { key: 'p/2', modRevision: 3 }] }, {}] })
    expect(
      etcd.transaction({
        compare: [],
        then: [
          { kind: 'put', key: 'k', value: '1' },
          { kind: 'put', key: 'k', value: '2' },
        ],
      }),
    ).toEqual({ error: 'duplicate key given in txn request' })
    expect(
      etcd.transaction({
        compare: [],
        then: [
          { kind: 'delete', key: 'p', prefix: true },
          { kind: 'put', key: 'p/1', value: '2' },
        ],
      }),
    ).toEqual({ error: 'duplicate key given in txn request' })
    expect(etcd.delete('p/', { prefix: true })).toBe(2)
  })

  it('time to live: whole seconds rounded down, -1 for no lease', () => {
    const clock = { nowNs: 0 }
    const etcd = new EtcdV3(new EtcdStore(clock))
    const lease = etcd.grant(86400)
    etcd.put('k', 'v', lease)
    clock.nowNs = 1.5 * SECOND
    expect(etcd.timeToLive(lease)).toEqual({ id: lease, ttl: 86398, grantedTtl: 86400, keys: ['k'] })
    expect(etcd.timeToLive(0).ttl).toBe(-1)
    expect(etcd.revoke(lease)).toBeUndefined()
    expect(etcd.get('k')).toBeUndefined()
    expect(etcd.revoke(lease)).toEqual({ error: 'requested lease not found' })
    expect(etcd.put('k', 'v', lease)).toEqual({ error: 'requested lease not found' })
  })

  it('watches a prefix, or exactly one key', () => {
    const etcd = fresh()
    const seen: string[] = []
    const close = etcd.watch('a', { prefix: true, onEvent: (event) => seen.push(`prefix ${event.current.key}`) })
    etcd.watch('a', { onEvent: (event) => seen.push(`key ${event.type} ${event.current.key}`) })
    etcd.put('a', '')
    etcd.put('ab', '')
    close()
    etcd.delete('a')
    expect(seen).toEqual(['prefix a', 'key put a', 'prefix ab', 'key delete a'])
  })

  it('compaction wants a revision that was and is not compacted yet', () => {
    const etcd = fresh()
    etcd.put('a', '')
    expect(etcd.compact(9)).toEqual({ error: 'required revision is a future revision' })
    expect(etcd.compact(2)).toBeUndefined()
    expect(etcd.compact(2)).toEqual({ error: 'required revision has been compacted' })
  })
})
