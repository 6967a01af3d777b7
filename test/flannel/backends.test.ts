/** What the backends beside udp, vxlan and host-gw put into the kernel, the lease and the cloud, held against flannel's source at its tags. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import type { FlannelPart } from '../../src/flannel/flanneld.js'
import { registrationAttributes, remainsAfterExit, renderFlannel } from '../../src/flannel/flanneld.js'
import { formatLeaseValue, type Lease, type LeaseAttributes } from '../../src/flannel/lease.js'
import { KubernetesSubnetManager, leaseAnnotations, NodeRegistry } from '../../src/flannel/subnet-manager-kubernetes.js'
import { hostUnderlay, leaseOf, net, view } from './fixtures.js'

const KEYS = ['A', 'B', 'C'].map((letter) => btoa(letter.repeat(32)))
const [KEY_A, KEY_B, KEY_C] = KEYS

type Change = Parameters<typeof view>[0]

function render(type: string, options: Record<string, unknown> = {}, change: Change = {}): FlannelPart {
  return renderFlannel(view({ network: { Network: '10.1.0.0/16', Backend: { Type: type, ...options } }, ...change }))
}

const routes = (part: FlannelPart): string[] =>
  printRoutes(part.routes)
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
const whats = (part: FlannelPart): string[] => part.problems.map(({ severity, what }) => `${severity}: ${what}`)

/** Another node's lease, and one of the own node. */
const peers = (type: string, data: readonly unknown[] = []): readonly Lease[] => [
  leaseOf('10.1.15.0/24', '192.168.0.100', type, data[0]),
  leaseOf('10.1.20.0/24', '192.168.0.200', type, data[1]),
]

function written(type: string, version: string, options: Record<string, unknown> = {}): string {
  const attributes = registrationAttributes(view({ network: { Network: '10.1.0.0/16', Backend: { Type: type, ...options } }, version }))
  if ('severity' in attributes) throw new Error(attributes.what)
  return formatLeaseValue(attributes, version)
}

describe('ipip', () => {
  it('a device without a far end, 20 bytes below the card, and a route by each PublicIP, onlink', () => {
    const part = render('ipip', {}, { leases: peers('ipip') })
    expect(part.devices).toMatchObject([
      { kind: 'ipip', name: 'tunl0', up: false, mtu: 1480, addresses: [] },
      {
        kind: 'ipip',
        name: 'flannel.ipip',
        up: true,
        mtu: 1480,
        local: ip('192.168.0.100'),
        ttl: 'inherit',
        tos: 0,
        pmtudisc: false,
        addresses: [{ address: ip('10.1.15.0'), length: 32 }],
        provenance: { by: 'flanneld', object: 'lease 10.1.15.0/24' },
      },
    ])
    expect(part.devices[1]).not.toHaveProperty('remote')
    expect(routes(part)).toEqual(['10.1.20.0/24 via 192.168.0.200 dev flannel.ipip onlink'])
    expect([part.neighbours, part.fdb, part.sockets]).toEqual([[], [], []])
    expect(part.subnetEnv?.mtu).toBe(1480)
    expect(part.problems).toEqual([])
  })

  it('local is the address of the card, also where another one is public', () => {
    const externalInterface = { name: 'eth0', address: ip('192.168.0.100'), mtu: 1500, publicIp: ip('203.0.113.7') }
    expect(render('ipip', {}, { externalInterface }).devices[1]).toMatchObject({ local: ip('192.168.0.100') })
  })

  it('DirectRouting changes the device of a neighbour on the link and keeps onlink; who is behind a gateway stays in the tunnel', () => {
    const leases = [...peers('ipip'), leaseOf('10.1.30.0/24', '192.168.9.30', 'ipip')]
    expect(routes(render('ipip', { DirectRouting: true }, { leases }))).toEqual([
      '10.1.20.0/24 via 192.168.0.200 dev eth0 onlink',
      '10.1.30.0/24 via 192.168.9.30 dev flannel.ipip onlink',
    ])
    expect(render('ipip', { DirectRouting: true }, { leases }).subnetEnv?.mtu).toBe(1480)
  })

  it('the MTU is set at every start, also of a device that was there', () => {
    expect(render('ipip', {}, { existingDevice: { mtu: 1400 } }).devices[1].mtu).toBe(1480)
  })

  it('an MTU that leaves nothing ends flanneld; a lease of another backend is passed over', () => {
    const externalInterface = { name: 'eth0', address: ip('192.168.0.100'), mtu: 20, publicIp: ip('192.168.0.100') }
    expect(whats(render('ipip', {}, { externalInterface, leases: [] }))).toEqual(['error: MTU 20 of iface eth0 is too small for ipip mode to work'])
    const strange = render('ipip', {}, { leases: peers('vxlan') })
    expect(routes(strange)).toEqual([])
    expect(strange.problems[0].what).toContain('of backend vxlan, not ipip')
  })
})

describe('wireguard', () => {
  const leases = peers('wireguard', [
    { PublicKey: KEY_A, Port: 51820 },
    { PublicKey: KEY_B, Port: 51999 },
  ])
  const ownLease = leases[0]

  it('a device with a peer for each other lease and one route for the whole Network', () => {
    const part = render('wireguard', {}, { leases, ownLease })
    expect(part.devices).toEqual([
      {
        kind: 'wireguard',
        name: 'flannel-wg',
        mtu: 1420,
        up: true,
        addresses: [{ address: ip('10.1.15.0'), length: 32, scope: 'global' }],
        port: 51820,
        publicKey: KEY_A,
        peers: [{ publicKey: KEY_B, endpoint: { address: ip('192.168.0.200'), port: 51999 }, allowedIps: [net('10.1.20.0/24')], persistentKeepalive: 0 }],
        provenance: { by: 'flanneld', object: 'lease 10.1.15.0/24' },
      },
    ])
    expect(routes(part)).toEqual(['10.1.0.0/16 dev flannel-wg scope link'])
    expect(part.subnetEnv?.mtu).toBe(1420)
    expect(part.problems).toEqual([])
  })

  it('no other lease: the route is there all the same', () => {
    expect(routes(render('wireguard', {}, { leases: [], ownLease }))).toEqual(['10.1.0.0/16 dev flannel-wg scope link'])
  })

  it('ListenPort, MTU, PersistentKeepaliveInterval and PSK', () => {
    const part = render('wireguard', { listenport: 40000, MTU: 1400, PersistentKeepaliveInterval: 25, PSK: KEY_C }, { leases, ownLease })
    expect(part.devices).toMatchObject([{ port: 40000, mtu: 1320, peers: [{ persistentKeepalive: 25 }] }])
    expect(part.problems).toEqual([])
    expect(whats(render('wireguard', { PSK: 'secret' }, { leases }))).toEqual(['error: could not parse psk: not the base64 of 32 bytes'])
    expect(whats(render('wireguard', { ListenPort: 65536 }))[0]).toContain('ListenPort 65536')
  })

  it.each([
    ['separate', []],
    ['auto', []],
    ['ipv4', []],
    ['ipv6', ['error: Mode ipv6: IPv6 between the nodes is not modelled']],
    ['both', ["error: no valid Mode configured: 'both'"]],
  ])('Mode %s', (Mode, expected) => {
    expect(whats(render('wireguard', { Mode }, { leases, ownLease }))).toEqual(expected)
  })

  it('options by version: Mode since 0.18.0, MTU since 0.21.3; the device has the MTU of the card less 80 since 0.18.0', () => {
    const externalInterface = { name: 'eth0', address: ip('192.168.0.100'), mtu: 9001, publicIp: ip('192.168.0.100') }
    const early = render('wireguard', { Mode: 'auto' }, { version: '0.17.0', externalInterface, leases, ownLease })
    expect(whats(early)).toEqual(['warning: Mode has no effect: flannel 0.17.0 does not know it, 0.18.0 and newer do'])
    expect([early.devices[0].mtu, early.subnetEnv?.mtu]).toEqual([1420, 8921])
    expect(render('wireguard', {}, { version: '0.18.0', externalInterface }).devices[0].mtu).toBe(8921)
    expect(render('wireguard', { MTU: 1400 }, { version: '0.21.2', leases, ownLease }).devices[0].mtu).toBe(1420)
    expect(render('wireguard', { MTU: 1400 }, { version: '0.21.3', leases, ownLease }).devices[0].mtu).toBe(1320)
  })

  it('the port of a peer is read from its lease since 0.26.6, and is the own one without it', () => {
    const endpoint = (version: string, data: unknown): unknown =>
      render('wireguard', { ListenPort: 40000 }, { version, ownLease, leases: peers('wireguard', [{ PublicKey: KEY_A }, data]) }).devices.map((device) =>
        device.kind === 'wireguard' ? device.peers[0].endpoint?.port : undefined,
      )
    expect(endpoint('0.26.5', { PublicKey: KEY_B, Port: 51999 })).toEqual([40000])
    expect(endpoint('0.26.6', { PublicKey: KEY_B, Port: 51999 })).toEqual([51999])
    expect(endpoint('0.26.6', { PublicKey: KEY_B })).toEqual([40000])
  })

  it('a lease without a key makes no peer; two leases with one key make one, of the later', () => {
    const odd = [
      ...leases,
      leaseOf('10.1.30.0/24', '192.168.0.30', 'wireguard', { PublicKey: 'short' }),
      leaseOf('10.1.31.0/24', '192.168.0.31', 'wireguard', { PublicKey: KEY_B }),
      leaseOf('10.1.32.0/24', '192.168.0.32', 'wireguard', { PublicKey: KEY_A }),
      leaseOf('10.1.33.0/24', '192.168.0.33', 'vxlan', { PublicKey: KEY_C }),
    ]
    const part = render('wireguard', {}, { leases: odd, ownLease })
    expect(part.devices).toMatchObject([{ peers: [{ publicKey: KEY_B, endpoint: { address: ip('192.168.0.31') }, allowedIps: [net('10.1.31.0/24')] }] }])
    expect(part.problems.map(({ severity, object }) => [severity, object])).toEqual([
      ['warning', 'lease 10.1.30.0/24'],
      ['warning', 'lease 10.1.31.0/24'],
      ['warning', 'lease 10.1.32.0/24'],
      ['warning', 'lease 10.1.33.0/24'],
    ])
    expect(part.problems[3].what).toContain('of backend vxlan, not wireguard')
    expect(part.problems[1].what).toContain('is also that of lease 10.1.20.0/24')
    expect(part.problems[2].what).toContain('also the own one of a')
  })

  it('keys: of the lease where there is one, else 32 bytes of the seed, for each node its own', () => {
    const drawn = (seed: number, nodeName: string): unknown => {
      const attributes = registrationAttributes({ ...view({ network: { Network: '10.1.0.0/16', Backend: { Type: 'wireguard' } } }), seed, nodeName })
      return ((attributes as LeaseAttributes).backendData as { PublicKey: string }).PublicKey
    }
    fc.assert(
      fc.property(fc.integer(), fc.string(), (seed, nodeName) => {
        const key = drawn(seed, nodeName) as string
        expect(atob(key)).toHaveLength(32)
        expect(atob(key).charCodeAt(31)).toBeLessThan(128)
        expect(btoa(atob(key))).toBe(key)
        expect(drawn(seed, nodeName)).toBe(key)
      }),
    )
    expect(new Set([drawn(1, 'a'), drawn(1, 'b'), drawn(2, 'a')]).size).toBe(3)
  })

  it('flanneld takes its device away when it ends, and with it the route; ipip stays', () => {
    const gone = remainsAfterExit(render('wireguard', {}, { leases, ownLease }), '0.28.9')
    expect([gone.devices, gone.routes]).toEqual([[], []])
    const killed = remainsAfterExit(render('wireguard', {}, { leases, ownLease }), '0.28.9', 'kill')
    expect([killed.devices.length, killed.routes.length > 0]).toEqual([1, true])
    const stays = remainsAfterExit(render('ipip', {}, { leases: peers('ipip') }), '0.28.9')
    expect([stays.devices.length, routes(stays)]).toEqual([2, ['10.1.20.0/24 via 192.168.0.200 dev flannel.ipip onlink']])
  })
})

describe('alloc, aws-vpc, gce: nothing in the kernel', () => {
  it.each([
    ['alloc', '0.28.9'],
    ['aws-vpc', '0.19.2'],
    ['gce', '0.19.2'],
  ])('%s', (type, version) => {
    const part = render(type, {}, { version, leases: peers('') })
    expect([part.devices, part.routes, part.neighbours, part.fdb, part.sockets]).toEqual([[], [], [], [], []])
    expect(part.subnetEnv?.mtu).toBe(1500)
    expect(part.problems).toEqual([])
  })

  it('aws-vpc: a route for the own subnet to the own card, whose check it switches off', () => {
    expect(render('aws-vpc', {}, { version: '0.11.0' }).cloud).toEqual({
      provider: 'aws',
      route: { destination: net('10.1.15.0/24'), nextHop: ip('192.168.0.100'), provenance: { by: 'flanneld', object: 'lease 10.1.15.0/24' } },
      clearsSourceDestinationCheck: true,
      clearsBlackholesIn: net('10.1.0.0/16'),
    })
  })

  it('aws-vpc: RouteTableID is text, or a list of texts', () => {
    expect(render('aws-vpc', { RouteTableID: 'rtb-1' }, { version: '0.11.0' }).problems).toEqual([])
    expect(render('aws-vpc', { RouteTableID: ['rtb-1', 'rtb-2'] }, { version: '0.11.0' }).problems).toEqual([])
    expect(whats(render('aws-vpc', { RouteTableID: 7 }, { version: '0.11.0' }))).toEqual([
      'error: Unexpected RouteTableID type. Must be string or array of strings.',
    ])
    expect(whats(render('aws-vpc', { RouteTableID: [7] }, { version: '0.11.0' }))).toEqual(['error: Unexpected type in RouteTableID slice. Must be strings.'])
  })

  it('gce: a route of priority 1000 to the own instance; the check is its owner’s business', () => {
    expect(render('gce', {}, { version: '0.11.0' }).cloud).toMatchObject({
      provider: 'gce',
      route: { destination: net('10.1.15.0/24'), nextHop: ip('192.168.0.100'), metric: 1000 },
      clearsSourceDestinationCheck: false,
    })
  })
})

describe('what a node publishes', () => {
  it.each([
    ['ipip', '0.11.0', '{"PublicIP":"192.168.0.100","BackendType":"ipip"}'],
    ['ipip', '0.28.9', '{"PublicIP":"192.168.0.100","PublicIPv6":null,"BackendType":"ipip"}'],
    ['alloc', '0.11.0', '{"PublicIP":"192.168.0.100"}'],
    ['alloc', '0.28.9', '{"PublicIP":"192.168.0.100","PublicIPv6":null}'],
    ['aws-vpc', '0.11.0', '{"PublicIP":"192.168.0.100"}'],
    ['gce', '0.19.2', '{"PublicIP":"192.168.0.100","PublicIPv6":null}'],
  ])('%s at %s', (type, version, value) => {
    expect(written(type, version)).toBe(value)
  })

  it('wireguard: the key, and the port since 0.26.6', () => {
    const key = (text: string): string => text.replace(/"PublicKey":"[A-Za-z0-9+/]{43}="/, '"PublicKey":"…"')
    expect(key(written('wireguard', '0.26.5', { ListenPort: 40000 }))).toBe(
      '{"PublicIP":"192.168.0.100","PublicIPv6":null,"BackendType":"wireguard","BackendData":{"PublicKey":"…"}}',
    )
    expect(key(written('wireguard', '0.26.6', { ListenPort: 40000 }))).toBe(
      '{"PublicIP":"192.168.0.100","PublicIPv6":null,"BackendType":"wireguard","BackendData":{"PublicKey":"…","Port":40000}}',
    )
  })

  it('as annotations: a backend without data writes null, one that leaves its type out writes none', () => {
    const annotations = (type: string, version: string): Record<string, string> =>
      leaseAnnotations(registrationAttributes(view({ network: { Network: '10.1.0.0/16', Backend: { Type: type } }, version })) as LeaseAttributes, {})
    const prefix = 'flannel.alpha.coreos.com'
    expect(annotations('alloc', '0.28.9')).toEqual({
      [`${prefix}/kube-subnet-manager`]: 'true',
      [`${prefix}/backend-type`]: '',
      [`${prefix}/backend-data`]: 'null',
      [`${prefix}/public-ip`]: '192.168.0.100',
    })
    expect(annotations('ipip', '0.28.9')).toMatchObject({ [`${prefix}/backend-type`]: 'ipip', [`${prefix}/backend-data`]: 'null' })
    expect(annotations('wireguard', '0.28.9')[`${prefix}/backend-data`]).toMatch(/^\{"PublicKey":"[A-Za-z0-9+/]{43}=","Port":51820\}$/)
  })
})

describe('versions', () => {
  it.each([
    ['ipip', '0.9.1', '0.10.0'],
    ['wireguard', '0.15.1', '0.16.0'],
    ['gce', '0.4.1', '0.5.0'],
  ])('%s is not yet in %s', (type, version, first) => {
    expect(whats(render(type, {}, { version }))[0]).toBe(
      `error: unknown backend type: '${type}'; flannel ${version} does not have it yet, ${first} is the first that has`,
    )
    expect(whats(render(type, {}, { version: first, leases: [] })).filter((what) => what.startsWith('error'))).toEqual([])
  })

  it.each(['aws-vpc', 'gce', 'ali-vpc'])('%s was taken out after 0.19.2', (type) => {
    expect(whats(render(type, {}, { version: '0.20.0' }))).toEqual([
      `error: unknown backend type: '${type}'; flannel 0.20.0 no longer has it, 0.19.2 is the last that has`,
    ])
  })
})

describe('alloc with the Kubernetes manager', () => {
  const registry = (): NodeRegistry => {
    const nodes = new NodeRegistry()
    for (const [name, subnet, address] of [
      ['a', '10.1.15.0/24', '192.168.0.100'],
      ['b', '10.1.20.0/24', '192.168.0.200'],
    ]) {
      nodes.put({ name, podCidrs: [subnet], annotations: leaseAnnotations({ publicIp: ip(address), backendType: '' }, {}) })
    }
    return nodes
  }
  const heard = (type: string, version: string): number => {
    const text = JSON.stringify({ Network: '10.1.0.0/16', Backend: { Type: type } })
    const manager = new KubernetesSubnetManager({
      registry: registry(),
      nodeName: 'a',
      version,
      config: { text, source: { file: 'net-conf.json', line: 1, object: '' } },
    })
    let events = 0
    manager.watch(leaseOf('10.1.15.0/24', '192.168.0.100', type), { onEvents: (batch) => (events += batch.length) })
    return events
  }

  it('listens for no node since 0.20.0: somebody else routes', () => {
    expect([heard('alloc', '0.19.2'), heard('alloc', '0.20.0'), heard('udp', '0.20.0')]).toEqual([1, 0, 1])
  })
})

it('DirectRouting asks the routes of the node: a /32 by a gateway is not on the link', () => {
  const far = hostUnderlay('192.168.0.100/32', '192.168.0.1')
  expect(routes(render('ipip', { DirectRouting: true }, { leases: peers('ipip'), underlay: far }))).toEqual([
    '10.1.20.0/24 via 192.168.0.200 dev flannel.ipip onlink',
  ])
})
