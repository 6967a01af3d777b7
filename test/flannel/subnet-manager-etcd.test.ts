import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { ip } from '../../src/base/ip.js'
import { Prng } from '../../src/base/prng.js'
import { EtcdV2 } from '../../src/etcd/etcd-v2.js'
import { EtcdV3 } from '../../src/etcd/etcd-v3.js'
import { EtcdStore } from '../../src/etcd/store.js'
import type { Lease, LeaseEvent } from '../../src/flannel/lease.js'
import { acquire } from '../../src/flannel/subnet-manager.js'
import { EtcdSubnetManager } from '../../src/flannel/subnet-manager-etcd.js'
import { Simulation } from '../../src/sim/simulation.js'
import { configOf, leaseOf } from './fixtures.js'

const HOUR = 3600e9
const V2 = '0.11.0'
const V3 = '0.28.9'
const KEY = '/coreos.com/network/subnets'
const config = configOf({ Network: '10.1.0.0/16', Backend: { Type: 'vxlan' } })

interface World {
  readonly simulation: Simulation
  readonly store: EtcdStore
  readonly manager: (version: string, seed?: number) => EtcdSubnetManager
  readonly request: (publicIp: string, mac?: string) => Parameters<typeof acquire>[2]
}

function world(): World {
  const simulation = new Simulation()
  const store = new EtcdStore(simulation)
  return {
    simulation,
    store,
    manager: (version, seed = 1) => new EtcdSubnetManager({ store, version, prng: new Prng(seed) }),
    request: (publicIp, mac = 'ee:00:00:00:00:01') => ({ attributes: { publicIp: ip(publicIp), backendType: 'vxlan', backendData: { VtepMAC: mac } } }),
  }
}

function acquired(result: ReturnType<typeof acquire>): Lease {
  if (result.kind !== 'acquired') throw new Error(result.error)
  return result.lease
}

const text = (event: LeaseEvent): string => `${event.kind} ${formatCidr(event.lease.subnet)} ${JSON.stringify(event.lease.attributes.backendData) ?? ''}`

describe.each([V2, V3])('EtcdSubnetManager, flannel %s', (version) => {
  it('reads the configuration, or says where it is missing', () => {
    const { store, manager } = world()
    expect(manager(version).readConfig().problems[0]).toMatchObject({ file: 'etcd', object: '/coreos.com/network/config' })
    store.commit([{ kind: 'put', key: '/coreos.com/network/config', value: '{"Network":"10.1.0.0/16"}' }])
    expect(manager(version).readConfig().config?.backendType).toBe('udp')
  })

  it('creates a key with a time to live of 24 h, which ends by itself', () => {
    const { simulation, manager, request } = world()
    const lease = acquired(acquire(manager(version), config, request('192.168.0.1')))
    expect(manager(version).list().leases).toMatchObject([{ subnet: lease.subnet, attributes: lease.attributes, expiresNs: 24 * HOUR }])
    expect(manager(version).renewDelayNs(lease)).toBe(23 * HOUR)
    simulation.run()
    expect([simulation.nowNs, manager(version).list().leases.length]).toEqual([24 * HOUR, 0])
  })

  it('the same PublicIP gets the same lease, overwritten', () => {
    const { manager, request } = world()
    const first = acquired(acquire(manager(version), config, request('192.168.0.1')))
    const again = acquired(acquire(manager(version, 99), config, request('192.168.0.1', 'ee:00:00:00:00:99')))
    expect(again.subnet).toEqual(first.subnet)
    expect(manager(version).list().leases).toMatchObject([{ attributes: { backendData: { VtepMAC: 'ee:00:00:00:00:99' } } }])
  })

  it('250 nodes get 250 subnets; the last that fit, and then out of subnets', () => {
    const { manager, request } = world()
    const shared = manager(version)
    const subnets = new Set(
      Array.from({ length: 255 }, (_, i) => formatCidr(acquired(acquire(shared, config, request(`192.168.${i >> 7}.${(i & 127) + 1}`))).subnet)),
    )
    expect(subnets.size).toBe(255)
    expect(acquire(shared, config, request('192.168.9.9'))).toEqual({ kind: 'failed', error: 'out of subnets', fatal: true })
  })

  it('watches: snapshot, others added and changed and removed, own dropped, revoked', () => {
    const { store, manager, request } = world()
    const self = manager(version)
    const own = acquired(acquire(self, config, request('192.168.0.1')))
    acquire(self, config, request('192.168.0.2', 'ee:00:00:00:00:02'))
    const seen: string[] = []
    self.watch(own, { onEvents: (events) => seen.push(...events.map(text)), onRevoked: () => seen.push('revoked'), onOwnLease: () => seen.push('own') })
    expect(seen).toHaveLength(1)
    const other = manager(version)
      .list()
      .leases.find((lease) => lease.attributes.publicIp === ip('192.168.0.2')) as Lease
    self.renew(other)
    self.renew(own)
    const key = `${KEY}/${formatCidr(other.subnet).replace('/', '-')}`
    store.commit([{ kind: 'delete', key }])
    store.commit([{ kind: 'delete', key: `${KEY}/${formatCidr(own.subnet).replace('/', '-')}` }])
    const added = `added ${formatCidr(other.subnet)} {"VtepMAC":"ee:00:00:00:00:02"}`
    expect(seen).toEqual([added, added, 'own', added.replace('added', 'removed'), 'revoked'])
  })

  it('half-written values and strange keys are named and skipped, in the listing and in the watch', () => {
    const { store, manager, request } = world()
    const self = manager(version)
    const own = acquired(acquire(self, config, request('192.168.0.1')))
    store.commit([{ kind: 'put', key: `${KEY}/10.1.99.0-24`, value: '{"PublicIP":"192.1' }])
    expect(self.list().problems).toMatchObject([{ severity: 'warning', object: `${KEY}/10.1.99.0-24` }])
    const objects: string[] = []
    self.watch(own, { onEvents: () => objects.push('event'), onProblems: (problems) => objects.push(...problems.map((problem) => problem.object)) })
    store.commit([{ kind: 'put', key: `${KEY}/x`, value: '{}' }])
    expect(objects).toEqual([`${KEY}/10.1.99.0-24`, `${KEY}/x`])
  })

  it('trap 21: what changed while the watch was cut and the history was lost shows only as subnets that came or went', () => {
    const { store, manager, request } = world()
    const self = manager(version)
    const own = acquired(acquire(self, config, request('192.168.0.1')))
    acquire(self, config, request('192.168.0.2', 'ee:00:00:00:00:02'))
    const gone = acquired(acquire(self, config, request('192.168.0.3', 'ee:00:00:00:00:03')))
    const seen: string[] = []
    const watch = self.watch(own, { onEvents: (events) => seen.push(...events.map(text)) })
    watch.close()
    seen.length = 0
    acquire(manager(version, 5), config, request('192.168.0.2', 'ee:00:00:00:00:99'))
    store.commit([{ kind: 'delete', key: `${KEY}/${formatCidr(gone.subnet).replace('/', '-')}` }])
    store.compact(store.revision)
    watch.reconnect()
    const spurious = version === V3 ? [`removed ${formatCidr(own.subnet)} {"VtepMAC":"ee:00:00:00:00:01"}`] : []
    expect(seen.sort()).toEqual([...spurious, `removed ${formatCidr(gone.subnet)} {"VtepMAC":"ee:00:00:00:00:03"}`].sort())
  })

  it('a cut watch takes up where it was when the history is there', () => {
    const { manager, request } = world()
    const self = manager(version)
    const own = acquired(acquire(self, config, request('192.168.0.1')))
    const seen: string[] = []
    const watch = self.watch(own, { onEvents: (events) => seen.push(...events.map((event) => event.kind)) })
    watch.close()
    acquire(self, config, request('192.168.0.2'))
    expect(seen).toEqual([])
    watch.reconnect()
    expect(seen).toEqual(['added'])
    watch.close()
    acquire(self, config, request('192.168.0.3'))
    expect(seen).toEqual(['added'])
  })
})

describe('by API', () => {
  it('reservations: for ever through v2; a lease of 24 h after the first start through v3 (trap 20)', () => {
    for (const version of [V2, V3]) {
      const { store, manager, request } = world()
      new EtcdV2(store).set(`${KEY}/10.1.77.0-24`, '{"PublicIP":"192.168.0.1"}')
      const self = manager(version)
      const lease = acquired(acquire(self, config, request('192.168.0.1')))
      expect(formatCidr(lease.subnet)).toBe('10.1.77.0/24')
      expect([lease.expiresNs, self.renewDelayNs(lease)]).toEqual(version === V2 ? [undefined, Infinity] : [24 * HOUR, 23 * HOUR])
      expect(self.list().leases[0].expiresNs).toBe(version === V2 ? undefined : 24 * HOUR)
    }
  })

  it('trap 19: a lost race is tried again up to 0.17 and fatal since 0.18', () => {
    for (const version of ['0.17.0', '0.18.0']) {
      const { manager, request } = world()
      const narrow = configOf({ Network: '10.1.0.0/16', SubnetMin: '10.1.9.0', SubnetMax: '10.1.10.0' })
      const [a, b] = [manager(version), manager(version)]
      const [listingA, listingB] = [a.list(), b.list()]
      const first = a.tryAcquire(narrow, request('192.168.0.1'), listingA)
      const second = b.tryAcquire(narrow, request('192.168.0.2'), listingB)
      expect([first.kind, second]).toMatchObject(['acquired', { kind: 'conflict', fatal: version === '0.18.0' }])
      expect(acquire(b, narrow, request('192.168.0.2')).kind).toBe('acquired')
    }
  })

  it("v3: every renewal writes the key anew under a new lease, and the old lease's end does not take it along", () => {
    const { simulation, store, manager, request } = world()
    const self = manager(V3)
    const lease = acquired(acquire(self, config, request('192.168.0.1')))
    const etcd = new EtcdV3(store)
    const key = `${KEY}/${formatCidr(lease.subnet).replace('/', '-')}`
    const before = etcd.get(key)
    simulation.run(23 * HOUR)
    simulation.nowNs = 23 * HOUR
    self.renew(lease)
    expect(etcd.get(key)).toMatchObject({ version: 2 })
    expect(etcd.get(key)?.lease).not.toBe(before?.lease)
    simulation.run(46 * HOUR)
    expect(etcd.get(key)).toBeDefined()
  })

  it('v3 before 0.28.6: a compacted watch stays deaf, and says so', () => {
    const { store, manager, request } = world()
    const self = manager('0.28.5')
    const own = acquired(acquire(self, config, request('192.168.0.1')))
    const problems: string[] = []
    const events: LeaseEvent[] = []
    const watch = self.watch(own, { onEvents: (batch) => events.push(...batch), onProblems: (batch) => problems.push(...batch.map((problem) => problem.what)) })
    watch.close()
    acquire(self, config, request('192.168.0.2'))
    acquire(self, config, request('192.168.0.3'))
    store.compact(store.revision)
    watch.reconnect()
    expect([events.length, problems.length]).toEqual([0, 1])
    expect(problems[0]).toContain('is compacted')
  })

  it('v3 lists by a prefix without a slash', () => {
    const { store, manager } = world()
    store.commit([{ kind: 'put', key: '/coreos.com/network/subnets-old/10.1.5.0-24', value: '{"PublicIP":"192.168.0.5"}' }])
    expect([manager(V3).list().leases.length, manager(V2).list().leases.length]).toEqual([1, 0])
  })

  it('with a store for each API, as etcd has it, v3 does not see what v2 wrote', () => {
    const v2 = new EtcdStore({ nowNs: 0 })
    new EtcdV2(v2).set('/coreos.com/network/config', '{"Network":"10.1.0.0/16"}')
    const manager = new EtcdSubnetManager({ store: new EtcdStore({ nowNs: 0 }), version: V3, prng: new Prng(1) })
    expect(manager.readConfig().problems[0].fix).toContain('v2 API it does not see')
  })

  it('an own lease that no longer fits is deleted and a new one drawn', () => {
    const { manager, request } = world()
    const self = manager(V3)
    const old = acquired(acquire(self, config, request('192.168.0.1')))
    const longer = configOf({ Network: '10.1.0.0/16', SubnetLen: 26 })
    const lease = acquired(acquire(self, longer, request('192.168.0.1')))
    expect(lease.subnet.length).toBe(26)
    expect(self.list().leases.map((one) => one.subnet)).toEqual([lease.subnet])
    expect(old.subnet).not.toEqual(lease.subnet)
  })

  it("a lease of one PublicIP by two hosts: the second overwrites the first's MAC", () => {
    const { manager, request } = world()
    const a = acquired(acquire(manager(V3, 1), config, request('10.0.2.15', 'ee:00:00:00:00:0a')))
    const b = acquired(acquire(manager(V3, 2), config, request('10.0.2.15', 'ee:00:00:00:00:0b')))
    expect(b.subnet).toEqual(a.subnet)
    expect(manager(V3).list().leases).toHaveLength(1)
    expect(leaseOf('10.1.1.0/24', '10.0.2.15').attributes.publicIp).toBe(b.attributes.publicIp)
  })
})
