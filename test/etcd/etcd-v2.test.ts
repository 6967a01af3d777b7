import { describe, expect, it } from 'vitest'
import { EtcdV2, isEtcdV2Error, type EtcdV2Result } from '../../src/etcd/etcd-v2.js'
import { EtcdV3 } from '../../src/etcd/etcd-v3.js'
import { EtcdStore } from '../../src/etcd/store.js'
import { Simulation } from '../../src/sim/simulation.js'

const SECOND = 1e9

function fresh(): { etcd: EtcdV2; simulation: Simulation } {
  const simulation = new Simulation()
  return { etcd: new EtcdV2(new EtcdStore(simulation)), simulation }
}

const code = (result: EtcdV2Result): number => (isEtcdV2Error(result) ? result.errorCode : 0)

describe('EtcdV2', () => {
  it('makes directories on the way and lists them, one level or all', () => {
    const { etcd } = fresh()
    etcd.set('/foo/bar/baz', 'x')
    etcd.set('/foo/one', '1')
    expect(etcd.get('/foo')).toMatchObject({
      action: 'get',
      node: {
        key: '/foo',
        dir: true,
        nodes: [
          { key: '/foo/bar', dir: true },
          { key: '/foo/one', value: '1' },
        ],
      },
    })
    const all = etcd.get('/', { recursive: true })
    expect(all).toMatchObject({
      node: { nodes: [{ key: '/foo', nodes: [{ key: '/foo/bar', nodes: [{ key: '/foo/bar/baz', value: 'x' }] }, { key: '/foo/one' }] }] },
    })
  })

  it('error codes: 100 not found, 101 compare failed, 102 not a file, 104 not a directory, 105 exists, 107 root, 108 not empty', () => {
    const { etcd } = fresh()
    expect(code(etcd.get('/none'))).toBe(100)
    expect(code(etcd.set('/none', 'v', { prevExist: true }))).toBe(100)
    expect(code(etcd.delete('/none'))).toBe(100)
    etcd.set('/foo/a', '1')
    expect(code(etcd.set('/foo/a', '2', { prevValue: '9' }))).toBe(101)
    expect(code(etcd.set('/foo/a', '2', { prevIndex: 999 }))).toBe(101)
    expect(code(etcd.delete('/foo/a', { prevValue: '9' }))).toBe(101)
    expect(code(etcd.set('/foo', 'v'))).toBe(102)
    expect(code(etcd.delete('/foo'))).toBe(102)
    expect(code(etcd.set('/foo/a/b', 'v'))).toBe(104)
    expect(code(etcd.set('/foo/a', '2', { prevExist: false }))).toBe(105)
    expect(code(etcd.set('/', 'v'))).toBe(107)
    expect(code(etcd.delete('/foo', { dir: true }))).toBe(108)
    expect(code(etcd.delete('/foo', { recursive: true }))).toBe(0)
    expect(etcd.get('/foo/a')).toMatchObject({ errorCode: 100, message: 'Key not found', cause: '/foo' })
  })

  it('set makes a new node, update and compare-and-swap keep its createdIndex', () => {
    const { etcd } = fresh()
    const first = etcd.set('/k', '1')
    const second = etcd.set('/k', '2')
    expect(first).toMatchObject({ action: 'set', node: { createdIndex: 2, modifiedIndex: 2 } })
    expect(second).toMatchObject({ action: 'set', node: { createdIndex: 3, modifiedIndex: 3 }, prevNode: { value: '1' } })
    expect(etcd.set('/k', '3', { prevExist: true })).toMatchObject({ action: 'update', node: { createdIndex: 3, modifiedIndex: 4 } })
    expect(etcd.set('/k', '4', { prevIndex: 4 })).toMatchObject({ action: 'compareAndSwap', node: { createdIndex: 3, modifiedIndex: 5 } })
    expect(etcd.delete('/k', { prevIndex: 5 })).toMatchObject({ action: 'compareAndDelete', prevNode: { value: '4' } })
  })

  it('a time to live counts down in whole seconds, rounded up, and a set without one takes it away', () => {
    const { etcd, simulation } = fresh()
    etcd.set('/k', 'v', { ttl: 10 })
    etcd.set('/stays', 'v', { ttl: 10 })
    simulation.nowNs = 0.5 * SECOND
    expect(etcd.get('/k')).toMatchObject({ node: { ttl: 10 } })
    simulation.nowNs = 9.5 * SECOND
    expect(etcd.get('/k')).toMatchObject({ node: { ttl: 1 } })
    etcd.set('/stays', 'v')
    simulation.run()
    expect(code(etcd.get('/k'))).toBe(100)
    const stays = etcd.get('/stays')
    expect('node' in stays && stays.node.ttl).toBe(undefined)
  })

  it('a directory that expires takes its tree along', () => {
    const { etcd, simulation } = fresh()
    etcd.set('/d', '', { dir: true, ttl: 5 })
    etcd.set('/d/a', '1')
    simulation.run()
    expect([code(etcd.get('/d/a')), code(etcd.get('/d'))]).toEqual([100, 100])
  })

  it('wait: the next event, an event of the past, and an expiry', () => {
    const { etcd, simulation } = fresh()
    const seen: string[] = []
    const tell = (result: EtcdV2Result): void =>
      void seen.push(isEtcdV2Error(result) ? String(result.errorCode) : `${result.action} ${result.node.key} ${result.node.modifiedIndex}`)
    etcd.wait('/dir', { recursive: true }, tell)
    etcd.wait('/dir', {}, tell)
    etcd.set('/other', '')
    etcd.set('/dir/a', '1', { ttl: 3 })
    etcd.set('/dir/b', '2')
    expect(seen).toEqual(['set /dir/a 3'])
    etcd.wait('/dir', { recursive: true, afterIndex: 3 }, tell)
    expect(seen.at(-1)).toBe('set /dir/b 4')
    etcd.wait('/dir', { recursive: true, afterIndex: 4 }, tell)
    simulation.run()
    expect(seen.at(-1)).toBe('expire /dir/a 5')
  })

  it('wait from an index older than the last 1000 events: 401', () => {
    const { etcd } = fresh()
    for (let i = 0; i < 1002; i++) etcd.set('/k', String(i))
    const seen: number[] = []
    etcd.wait('/k', { afterIndex: 1 }, (result) => seen.push(code(result)))
    etcd.wait('/k', { afterIndex: 3 }, (result) => seen.push(code(result)))
    expect(seen).toEqual([401, 0])
  })

  it('shares the store with the v3 face: keys of both, directories of v2 only', () => {
    const { etcd } = fresh()
    const v3 = new EtcdV3(etcd.store)
    etcd.set('/a/b', '1')
    v3.put('/a/c', '2')
    v3.put('/x/y', '3')
    expect(v3.range('/').values.map((found) => found.key)).toEqual(['/a/b', '/a/c', '/x/y'])
    expect(etcd.get('/x')).toMatchObject({ node: { dir: true, nodes: [{ key: '/x/y', value: '3' }] } })
  })
})
