import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { formatMac, parseMac } from '../../src/base/mac.js'
import type { FlannelPart } from '../../src/flannel/flanneld.js'
import { registrationAttributes, remainsAfterExit, renderFlannel } from '../../src/flannel/flanneld.js'
import { formatLeaseValue, type LeaseAttributes } from '../../src/flannel/lease.js'
import { hostUnderlay, leaseOf, view } from './fixtures.js'

const routes = (part: FlannelPart): string[] =>
  part.routes.map(
    (one) =>
      `${formatCidr(one.destination)}${one.via === undefined ? '' : ` via ${formatIp(one.via)}`} dev ${one.device}${one.onlink === true ? ' onlink' : ''}`,
  )
const whats = (part: FlannelPart): string => part.problems.map((problem) => `${problem.severity}: ${problem.what}`).join('\n')
const vxlan = (options: Record<string, unknown>, change: Parameters<typeof view>[0] = {}) =>
  renderFlannel(view({ network: { Network: '10.1.0.0/16', Backend: { Type: 'vxlan', ...options } }, ...change }))

describe('vxlan', () => {
  it('neighbour, FDB entry and route for each remote lease, with its provenance', () => {
    const part = renderFlannel(view())
    expect(routes(part)).toEqual(['10.1.20.0/24 via 10.1.20.0 dev flannel.1 onlink'])
    expect(part.neighbours).toMatchObject([
      {
        address: ip('10.1.20.0'),
        device: 'flannel.1',
        mac: parseMac('ee:00:00:00:00:0b'),
        state: 'permanent',
        provenance: { by: 'flanneld', object: 'lease 10.1.20.0/24' },
      },
    ])
    expect(part.fdb).toMatchObject([{ mac: parseMac('ee:00:00:00:00:0b'), destination: ip('192.168.0.200'), self: true, state: 'permanent' }])
    expect(part.devices).toMatchObject([
      { name: 'flannel.1', mtu: 1450, port: 8472, mac: parseMac('ee:00:00:00:00:0a'), addresses: [{ address: ip('10.1.15.0'), length: 32 }] },
    ])
    expect(part.problems).toEqual([])
  })

  it('skips the own lease and those of other backends; an invalid BackendData is a warning that names the lease', () => {
    const own = view().ownLease
    const others = [
      own,
      leaseOf('10.1.30.0/24', '192.168.0.30', 'host-gw'),
      leaseOf('10.1.31.0/24', '192.168.0.31', 'vxlan', { VtepMAC: 'x' }),
      leaseOf('10.1.32.0/24', '192.168.0.32', 'vxlan'),
    ]
    const part = renderFlannel(view({ leases: others }))
    expect(routes(part)).toEqual([])
    expect(part.problems.map((problem) => [problem.severity, problem.object])).toEqual([
      ['warning', 'lease 10.1.30.0/24'],
      ['warning', 'lease 10.1.31.0/24'],
      ['warning', 'lease 10.1.32.0/24'],
    ])
  })

  it('does not start where less than 68 bytes are left: no device with IPv4 takes that', () => {
    expect(vxlan({ MTU: 118 }).subnetEnv?.mtu).toBe(68)
    const part = vxlan({ MTU: 117 })
    expect(whats(part)).toBe('error: an MTU of 67 is left for pods (card eth0 of the node has 1500); IPv4 needs 68')
    expect([part.devices, part.subnetEnv]).toEqual([[], undefined])
  })

  it('VNI, Port, GBP, Learning and MTU of the configuration', () => {
    const part = vxlan({ vni: 42, Port: 4789, GBP: true, Learning: true, MTU: 1400 })
    expect(part.devices).toMatchObject([{ name: 'flannel.42', vni: 42, port: 4789, gbp: true, learning: true, mtu: 1350 }])
    expect(part.subnetEnv?.mtu).toBe(1350)
    expect(whats(vxlan({ VNI: 2 ** 24, Port: 70000 }))).toBe('error: VNI 16777216 does not fit in 24 bits\nerror: Port 70000 is not a UDP port')
    expect(whats(vxlan({ VNI: 'one' }))).toContain('VNI is string "one" where a whole number is wanted')
  })

  it("an MTU above the underlay's: subnet.env believes it, the kernel does not", () => {
    const part = vxlan({ MTU: 9000 })
    expect([part.subnetEnv?.mtu, part.devices[0].mtu]).toEqual([8950, 1450])
  })

  it('options that a version does not know have no effect, and that is said', () => {
    const part = vxlan({ MTU: 1400, Learning: true }, { version: '0.11.0' })
    expect(part.devices).toMatchObject([{ mtu: 1450, learning: false }])
    expect(part.problems.map((problem) => problem.severity)).toEqual(['warning', 'warning'])
  })

  it("local is the interface's address up to 0.27.3, the public address since", () => {
    const externalInterface = { name: 'eth0', address: ip('192.168.0.100'), mtu: 1500, publicIp: ip('203.0.113.9') }
    expect(renderFlannel(view({ version: '0.27.3', externalInterface })).devices).toMatchObject([{ local: ip('192.168.0.100') }])
    expect(renderFlannel(view({ version: '0.27.4', externalInterface })).devices).toMatchObject([{ local: ip('203.0.113.9') }])
  })

  it('trap 28: a device that is there already keeps its MTU, whatever the configuration says now', () => {
    expect(vxlan({ MTU: 1400 }, { existingDevice: { mtu: 1450 } }).devices[0].mtu).toBe(1450)
  })

  it('trap 29: DirectRouting where the node is on the link, without neighbour and FDB entry; MTU stays 1450', () => {
    const leases = [...view().leases, leaseOf('10.1.30.0/24', '192.168.7.30', 'vxlan', { VtepMAC: 'ee:00:00:00:00:0c' })]
    const part = vxlan({ DirectRouting: true }, { leases })
    expect(routes(part)).toEqual(['10.1.20.0/24 via 192.168.0.200 dev eth0', '10.1.30.0/24 via 10.1.30.0 dev flannel.1 onlink'])
    expect([part.neighbours.length, part.fdb.length, part.subnetEnv?.mtu]).toEqual([1, 1, 1450])
  })

  it('the own MAC: pinned, else found in the kernel, else published, else drawn from the seed', () => {
    const mac = (change: Parameters<typeof view>[0]) => formatMac(renderFlannel(view(change)).devices[0].mac ?? 0)
    const nameless = leaseOf('10.1.15.0/24', '192.168.0.100')
    expect(mac({ pinnedMac: 5, existingDevice: { mac: 6, mtu: 1450 } })).toBe('00:00:00:00:00:05')
    expect(mac({ existingDevice: { mac: 6, mtu: 1450 } })).toBe('00:00:00:00:00:06')
    expect(mac({})).toBe('ee:00:00:00:00:0a')
    expect(mac({ ownLease: nameless })).toBe(mac({ ownLease: nameless }))
    expect(mac({ ownLease: nameless })).not.toBe(mac({ ownLease: nameless, seed: 2 }))
    expect(parseInt(mac({ ownLease: nameless }), 16) & 3).toBe(2)
  })

  it('trap 10: two nodes with one VtepMAC leave one FDB entry, and that is said', () => {
    const data = { VtepMAC: 'ee:00:00:00:00:0b' }
    const part = renderFlannel(
      view({ leases: [leaseOf('10.1.20.0/24', '192.168.0.200', 'vxlan', data), leaseOf('10.1.21.0/24', '192.168.0.201', 'vxlan', data)] }),
    )
    expect(part.fdb.map((entry) => formatIp(entry.destination ?? 0))).toEqual(['192.168.0.201'])
    expect(whats(part)).toContain('VtepMAC ee:00:00:00:00:0b is also that of lease 10.1.20.0/24')
  })

  it('before 0.9.0: named as not modelled', () => {
    expect(whats(renderFlannel(view({ version: '0.8.0' })))).toContain('not modelled')
  })

  it('what it publishes: VNI since 0.14.0', () => {
    const value = (version: string) => formatLeaseValue(registrationAttributes(view({ version, pinnedMac: 5 })) as LeaseAttributes, version)
    expect(value('0.13.0')).toBe('{"PublicIP":"192.168.0.100","BackendType":"vxlan","BackendData":{"VtepMAC":"00:00:00:00:00:05"}}')
    expect(value('0.28.9')).toBe('{"PublicIP":"192.168.0.100","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"00:00:00:00:00:05"}}')
  })
})

describe('udp', () => {
  const network = { Network: '10.1.0.0/16' }
  const udp = (change: Parameters<typeof view>[0] = {}) => renderFlannel(view({ network, version: '0.11.0', ...change }))

  it('traps 1, 15: the default backend; one route swallows the whole Network', () => {
    const part = udp()
    expect(part.devices).toMatchObject([
      { kind: 'tun', name: 'flannel0', mtu: 1472, handler: 'flanneld udp', addresses: [{ address: ip('10.1.15.0'), length: 32, scope: 'global' }] },
    ])
    expect(routes(part)).toEqual(['10.1.0.0/16 dev flannel0'])
    expect(part.sockets).toMatchObject([{ proto: 'udp', address: ip('192.168.0.100'), port: 8285, handler: 'flanneld udp' }])
  })

  it("up to 0.10.0 the address has the Network's length and the kernel makes the route; bound to any address before 0.5.6", () => {
    const part = udp({ version: '0.10.0' })
    expect(part.devices).toMatchObject([{ addresses: [{ length: 16 }] }])
    expect(part.routes).toEqual([])
    expect(udp({ version: '0.5.5' }).sockets).toMatchObject([{ address: 0 }])
  })

  it('trap 33: the proxy is told of every lease in the order learnt, whatever its backend, at the own port', () => {
    const leases = [leaseOf('10.1.30.0/24', '192.168.0.30', 'vxlan'), leaseOf('10.1.20.0/24', '192.168.0.200', '')]
    const part = udp({ leases, network: { ...network, Backend: { Type: 'udp', Port: 9285 } } })
    expect(part.proxy?.routes.map((route) => `${formatCidr(route.subnet)} ${formatIp(route.nextHop)}:${route.port}`)).toEqual([
      '10.1.30.0/24 192.168.0.30:9285',
      '10.1.20.0/24 192.168.0.200:9285',
    ])
    expect(part.proxy).toMatchObject({ device: 'flannel0', tunAddress: ip('10.1.15.0'), tunMtu: 1472, port: 9285 })
  })
})

describe('host-gw', () => {
  const network = { Network: '10.1.0.0/16', Backend: { Type: 'host-gw' } }

  it("a route for each lease of its own kind; no device, the underlay's MTU", () => {
    const leases = [leaseOf('10.1.20.0/24', '192.168.0.200', 'host-gw'), leaseOf('10.1.21.0/24', '192.168.0.201', 'vxlan')]
    const part = renderFlannel(view({ network, leases }))
    expect(routes(part)).toEqual(['10.1.20.0/24 via 192.168.0.200 dev eth0'])
    expect([part.devices.length, part.subnetEnv?.mtu]).toEqual([0, 1500])
  })

  it('a gateway off the link: the kernel refuses, the route is missing, and the warning says why', () => {
    const part = renderFlannel(view({ network, leases: [leaseOf('10.1.20.0/24', '192.168.7.200', 'host-gw')] }))
    expect(routes(part)).toEqual([])
    expect(part.problems).toMatchObject([
      { severity: 'warning', object: 'lease 10.1.20.0/24', what: expect.stringContaining('Nexthop has invalid gateway') as string },
    ])
    expect(part.problems[0].what).toContain('it lies behind 192.168.0.1')
  })

  it('a stale lease with an own address is accepted by the kernel', () => {
    expect(routes(renderFlannel(view({ network, leases: [leaseOf('10.1.20.0/24', '192.168.0.100', 'host-gw')] })))).toEqual([
      '10.1.20.0/24 via 192.168.0.100 dev eth0',
    ])
  })

  it("a public address that is not the interface's: flanneld exits", () => {
    const part = renderFlannel(view({ network, externalInterface: { name: 'eth0', address: ip('192.168.0.100'), mtu: 1500, publicIp: ip('203.0.113.9') } }))
    expect(whats(part)).toMatch(/^error: PublicIP 203\.0\.113\.9 of a differs/)
    expect([part.chainEdits.length, part.subnetEnv]).toEqual([0, undefined])
  })
})

describe('backends that are not built', () => {
  it.each(['ipsec', 'extension', 'ali-vpc', 'tencent-vpc'])('%s is named', (type) => {
    const part = renderFlannel(view({ network: { Network: '10.1.0.0/16', Backend: { Type: type } }, version: '0.19.2' }))
    expect(whats(part)).toBe(`error: backend ${type} is not modelled`)
  })

  it('an unknown one, and none given', () => {
    expect(whats(renderFlannel(view({ network: { Network: '10.1.0.0/16', Backend: { Type: 'vxlna' } } })))).toBe("error: unknown backend type: 'vxlna'")
    expect(whats(renderFlannel(view({ network: { Network: '10.1.0.0/16', Backend: {} } })))).toBe("error: unknown backend type: ''")
  })

  it('a version that is none, and one that is not known yet', () => {
    expect(whats(renderFlannel({ ...view(), version: 'latest' }))).toBe("error: 'latest' is not a flannel version")
    expect(whats(renderFlannel(view({ version: '0.99.0' })))).toContain('warning: flannel 0.99.0 is not one of the releases')
  })
})

describe('remainsAfterExit', () => {
  it('udp: flannel0 and its route go with the process, the rules stay', () => {
    const part = remainsAfterExit(renderFlannel(view({ network: { Network: '10.1.0.0/16' }, version: '0.11.0' })), '0.11.0')
    expect([part.devices.length, part.routes.length, part.sockets.length, part.proxy]).toEqual([0, 0, 0, undefined])
    expect(part.chainEdits.length).toBeGreaterThan(0)
  })

  it('vxlan: all stays; the rules went in 0.25 and 0.26 only', () => {
    const whole = renderFlannel(view())
    expect(remainsAfterExit(whole, '0.28.9')).toMatchObject({ devices: whole.devices, routes: whole.routes, fdb: whole.fdb, chainEdits: whole.chainEdits })
    expect(remainsAfterExit(whole, '0.26.1').chainEdits).toEqual([])
    expect(remainsAfterExit(whole, '0.26.1', 'kill').chainEdits).toEqual(whole.chainEdits)
  })
})

it('property: the order in which leases were learnt decides nothing but order (vxlan)', () => {
  const pool = Array.from({ length: 8 }, (_, i) => leaseOf(`10.1.${i + 20}.0/24`, `192.168.0.${i + 20}`, 'vxlan', { VtepMAC: `ee:00:00:00:00:${i + 20}` }))
  const key = (part: FlannelPart): unknown => [routes(part).sort(), part.neighbours.map((one) => one.mac).sort(), part.fdb.map((one) => one.destination).sort()]
  fc.assert(
    fc.property(fc.shuffledSubarray(pool), (leases) => {
      const sorted = pool.filter((lease) => leases.includes(lease))
      expect(key(renderFlannel(view({ leases })))).toEqual(key(renderFlannel(view({ leases: sorted }))))
      expect(renderFlannel(view({ leases })).routes).toHaveLength(leases.length)
    }),
  )
})

it('underlay: the longest prefix decides, down devices and other tables do not count', () => {
  const underlay = hostUnderlay('192.168.0.100/24', '192.168.0.1')
  expect(underlay.lookup(ip('192.168.0.7'))).toMatchObject({ device: 'eth0' })
  expect(underlay.lookup(ip('192.168.0.7'))?.gateway).toBeUndefined()
  expect(underlay.lookup(ip('8.8.8.8'))).toMatchObject({ device: 'eth0', gateway: ip('192.168.0.1') })
  expect(underlay.lookup(ip('192.168.0.100'))).toMatchObject({ local: true })
  expect(underlay.lookup(ip('8.8.8.8'), 'eth1')).toBeUndefined()
})
