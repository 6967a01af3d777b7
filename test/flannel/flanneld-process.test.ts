import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { hashText, Prng } from '../../src/base/prng.js'
import { EtcdV2 } from '../../src/etcd/etcd-v2.js'
import { EtcdStore } from '../../src/etcd/store.js'
import type { FlannelView } from '../../src/flannel/backend.js'
import { renderFlannel, type FlannelPart } from '../../src/flannel/flanneld.js'
import { FlanneldProcess, type FlanneldOptions } from '../../src/flannel/flanneld-process.js'
import type { LeaseEvent } from '../../src/flannel/lease.js'
import type { SubnetManager } from '../../src/flannel/subnet-manager.js'
import { EtcdSubnetManager } from '../../src/flannel/subnet-manager-etcd.js'
import { KubernetesSubnetManager, NodeRegistry } from '../../src/flannel/subnet-manager-kubernetes.js'
import { UdpProxy } from '../../src/flannel/udp-proxy.js'
import { Simulation } from '../../src/sim/simulation.js'
import { hostUnderlay } from './fixtures.js'

const SECOND = 1e9
const HOUR = 3600 * SECOND
const CONFIG_KEY = '/coreos.com/network/config'

interface Host {
  readonly process: FlanneldProcess
  readonly views: FlannelView[]
  readonly events: LeaseEvent[]
  exit?: string
}

class Cluster {
  readonly simulation = new Simulation()
  readonly store = new EtcdStore(this.simulation)
  readonly hosts: Host[] = []
  readonly version: string

  constructor(version: string, config: unknown) {
    this.version = version
    if (config !== undefined) new EtcdV2(this.store).set(CONFIG_KEY, JSON.stringify(config))
  }

  boot(index: number, change: Partial<FlanneldOptions> & { readonly drawSeed?: number } = {}): Host {
    const address = `192.168.0.${index}`
    const nodeName = `n${index}`
    const manager: SubnetManager = new EtcdSubnetManager({ store: this.store, version: this.version, prng: new Prng(change.drawSeed ?? hashText(nodeName)) })
    const host: Host = {
      views: [],
      events: [],
      process: new FlanneldProcess({
        nodeName,
        version: this.version,
        simulation: this.simulation,
        manager,
        externalInterface: { name: 'eth0', address: ip(address), mtu: 1500, publicIp: ip(address) },
        ipMasq: true,
        underlay: hostUnderlay(`${address}/24`, '192.168.0.254'),
        seed: 7,
        onView: (view, events) => {
          host.views.push(view)
          host.events.push(...events)
        },
        onExit: (code, reason) => {
          host.exit = `${code}: ${reason}`
        },
        ...change,
      }),
    }
    this.hosts.push(host)
    host.process.start()
    return host
  }

  run(untilNs: number): void {
    this.simulation.run(untilNs)
    this.simulation.nowNs = Math.max(this.simulation.nowNs, untilNs)
  }
}

const last = (host: Host): FlannelView => host.views[host.views.length - 1]
const byKey = (view: FlannelView): FlannelView => ({ ...view, leases: [...view.leases].sort((a, b) => a.subnet.base - b.subnet.base) })

/** Other hosts that a part knows the way to. */
function remotesIn(part: FlannelPart): number {
  const peers = part.devices.flatMap((device) => (device.kind === 'wireguard' ? [device.peers.length] : []))
  return peers[0] ?? part.proxy?.routes.length ?? part.routes.length
}

describe('a clean boot run to quiescence is what rendering at once gives', () => {
  const backends = {
    '0.11.0': ['udp', 'vxlan', 'host-gw', 'ipip', 'alloc', 'aws-vpc', 'gce'],
    '0.28.9': ['udp', 'vxlan', 'host-gw', 'ipip', 'wireguard', 'alloc'],
  }
  it.each(Object.entries(backends).flatMap(([version, types]) => types.map((type) => [version, type] as const)))('flannel %s, %s', (version, type) => {
    const cluster = new Cluster(version, { Network: '10.1.0.0/16', Backend: { Type: type } })
    for (let index = 1; index <= 12; index++) cluster.boot(index)
    cluster.run(60 * SECOND)
    const manager = new EtcdSubnetManager({ store: cluster.store, version, prng: new Prng(1) })
    const { leases } = manager.list()
    // The few draws of one subnet by two hosts at the same moment end here the way the version ends them.
    const running = cluster.hosts.filter((host) => host.exit === undefined)
    expect(leases).toHaveLength(running.length)
    expect(running.length).toBeGreaterThan(8)
    for (const host of running) {
      const view = last(host)
      const ownLease = leases.find((lease) => lease.attributes.publicIp === view.externalInterface.publicIp)
      if (ownLease === undefined) throw new Error(`${view.nodeName} has no lease`)
      const atOnce: FlannelView = { ...view, ownLease, leases }
      const part = renderFlannel(byKey(view))
      expect(part).toEqual(renderFlannel(byKey({ ...atOnce, leases: leases.filter((lease) => lease !== ownLease) })))
      expect(part.problems).toEqual([])
      expect(remotesIn(part)).toBe(['alloc', 'aws-vpc', 'gce'].includes(type) ? 0 : leases.length - 1)
    }
  })
})

describe('FlanneldProcess', () => {
  const config = { Network: '10.1.0.0/16', Backend: { Type: 'vxlan' } }

  it('asks for the configuration every second until it is there', () => {
    const cluster = new Cluster('0.28.9', undefined)
    const host = cluster.boot(1)
    cluster.run(10 * SECOND)
    expect(host.process.phase).toBe('config')
    new EtcdV2(cluster.store).set(CONFIG_KEY, JSON.stringify(config))
    cluster.run(12 * SECOND)
    expect([host.process.phase, host.views.length]).toEqual(['running', 1])
  })

  it('renews an hour before the end, for as long as it runs', () => {
    const cluster = new Cluster('0.28.9', config)
    const host = cluster.boot(1)
    cluster.run(22 * HOUR)
    const first = host.process.lease?.expiresNs ?? 0
    cluster.run(24 * HOUR)
    expect((host.process.lease?.expiresNs ?? 0) - first).toBe(23 * HOUR)
    cluster.run(10 * 24 * HOUR)
    expect([host.process.phase, cluster.store.range('/coreos.com/network/subnets/').filter((found) => !found.directory).length]).toEqual(['running', 1])
  })

  it('traps 18: a dead host stays routed until its lease ends, 24 h after the last renewal', () => {
    const cluster = new Cluster('0.28.9', config)
    const [alive, dead] = [cluster.boot(1), cluster.boot(2, { drawSeed: 5 })]
    cluster.run(HOUR)
    expect(renderFlannel(last(alive)).routes).toHaveLength(1)
    dead.process.kill()
    cluster.run(23.9 * HOUR)
    expect(renderFlannel(last(alive)).routes).toHaveLength(1)
    cluster.run(24.1 * HOUR)
    const part = renderFlannel(last(alive))
    expect([part.routes.length, part.neighbours.length, part.fdb.length]).toEqual([0, 0, 0])
    expect(alive.events.at(-1)).toMatchObject({ kind: 'removed', lease: { attributes: { publicIp: ip('192.168.0.2') } } })
    expect(dead.views.length).toBeGreaterThan(0)
    expect(dead.exit).toBeUndefined()
  })

  it('every renewal is an added event of a known subnet to the others, and changes nothing', () => {
    const cluster = new Cluster('0.28.9', config)
    const [a] = [cluster.boot(1), cluster.boot(2, { drawSeed: 5 })]
    cluster.run(HOUR)
    const before = renderFlannel(last(a))
    const count = a.events.length
    cluster.run(23.5 * HOUR)
    expect(a.events.length).toBe(count + 1)
    expect(renderFlannel(last(a))).toEqual(before)
  })

  it('exits 0 when its lease is revoked', () => {
    const cluster = new Cluster('0.28.9', config)
    const host = cluster.boot(1)
    cluster.run(SECOND)
    const key = `/coreos.com/network/subnets/${formatCidr(last(host).ownLease.subnet).replace('/', '-')}`
    cluster.store.commit([{ kind: 'delete', key }])
    expect([host.exit, host.process.phase]).toEqual(['0: lease has been revoked', 'exited'])
    cluster.run(30 * HOUR)
    expect(cluster.store.get(key)).toBeUndefined()
  })

  it('trap 19: two hosts that draw the same subnet at the same moment', () => {
    const race = (version: string): Host[] => {
      const cluster = new Cluster(version, config)
      const hosts = [cluster.boot(1, { drawSeed: 3 }), cluster.boot(2, { drawSeed: 3 })]
      cluster.run(10 * SECOND)
      return hosts
    }
    const [won, lost] = race('0.28.9')
    expect(won.exit).toBeUndefined()
    expect(lost.exit).toMatch(/^1: failed to acquire lease: subnet 10\.1\.\d+\.0\/24 already exists$/)
    const [first, second] = race('0.17.0')
    expect([first.exit, second.exit]).toEqual([undefined, undefined])
    expect(last(first).ownLease.subnet).not.toEqual(last(second).ownLease.subnet)
  })

  it('out of subnets: exits 1; up to 0.5.5 it waits for one', () => {
    const tiny = { Network: '10.1.0.0/24', SubnetLen: 25 }
    const run = (version: string): Host => {
      const cluster = new Cluster(version, tiny)
      const first = cluster.boot(1)
      cluster.run(SECOND)
      const second = cluster.boot(2)
      cluster.run(HOUR)
      first.process.kill()
      cluster.run(26 * HOUR)
      return second
    }
    expect(run('0.9.1').exit).toBe('1: failed to acquire lease: out of subnets')
    expect(run('0.5.5').process.phase).toBe('running')
  })

  it('an unknown backend: exits 1', () => {
    const cluster = new Cluster('0.28.9', { Network: '10.1.0.0/16', Backend: {} })
    const host = cluster.boot(1)
    cluster.run(SECOND)
    expect(host.exit).toBe("1: unknown backend type: ''")
  })

  it('the previous subnet of subnet.env is taken again', () => {
    const cluster = new Cluster('0.28.9', config)
    const host = cluster.boot(1, { previousSubnet: { base: ip('10.1.222.0'), length: 24 } })
    cluster.run(SECOND)
    expect(formatCidr(last(host).ownLease.subnet)).toBe('10.1.222.0/24')
  })

  it("the proxy's table follows the events", () => {
    const cluster = new Cluster('0.11.0', { Network: '10.1.0.0/16' })
    const proxy = new UdpProxy(0, 1472)
    const follow = ({ kind, lease }: LeaseEvent): void => {
      if (kind === 'added') proxy.setRoute(lease.subnet, lease.attributes.publicIp, 8285)
      else proxy.deleteRoute(lease.subnet)
    }
    const host = cluster.boot(1, { onView: (_view, events) => events.forEach(follow) })
    const other = cluster.boot(2, { drawSeed: 5 })
    cluster.run(HOUR)
    expect(proxy.routes.map((route) => formatIp(route.nextHop))).toEqual(['192.168.0.2'])
    other.process.kill()
    cluster.run(25 * HOUR)
    expect([proxy.routes.length, host.process.phase]).toEqual([0, 'running'])
  })

  it('is the same for the same seeds', () => {
    const run = (): string => {
      const cluster = new Cluster('0.28.9', config)
      for (let index = 1; index <= 5; index++) cluster.boot(index)
      cluster.run(50 * HOUR)
      return JSON.stringify(cluster.hosts.map((host) => [host.exit, host.events, host.views.map((view) => renderFlannel(view))]))
    }
    expect(run()).toBe(run())
  })

  it('runs on Node objects too, and ends a lease with its Node', () => {
    const simulation = new Simulation()
    const registry = new NodeRegistry()
    const text = JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } })
    const views = new Map<string, FlannelView>()
    for (const index of [1, 2, 3]) {
      const nodeName = `n${index}`
      const address = ip(`192.168.0.${index}`)
      registry.put({ name: nodeName, podCidrs: [`10.244.${index}.0/24`], annotations: {} })
      const manager = new KubernetesSubnetManager({ registry, nodeName, version: '0.28.9', config: { text, source: { file: 'f', line: 1, object: '' } } })
      const externalInterface = { name: 'eth0', address, mtu: 1500, publicIp: address }
      new FlanneldProcess({
        nodeName,
        version: '0.28.9',
        simulation,
        manager,
        externalInterface,
        ipMasq: true,
        underlay: hostUnderlay(`${formatIp(address)}/24`, '192.168.0.254'),
        seed: 7,
        onView: (view) => views.set(nodeName, view),
      }).start()
    }
    simulation.run()
    const routes = (nodeName: string): string[] =>
      renderFlannel(views.get(nodeName) as FlannelView)
        .routes.map((route) => formatCidr(route.destination))
        .sort()
    expect(routes('n2')).toEqual(['10.244.1.0/24', '10.244.3.0/24'])
    registry.delete('n3')
    expect(routes('n2')).toEqual(['10.244.1.0/24'])
  })
})
