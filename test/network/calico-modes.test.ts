/**
 * What the composition builds of Calico, mode by mode: devices with MTUs, routes, neighbours, FDB, rules and sets of the examples, as calico's
 * sources say they are (felix/dataplane/linux/{vxlan,ipip,route}_mgr.go, felix/wireguard/wireguard.go, confd's templates for BIRD, manifests/canal.yaml).
 * First blocks are those of calico's own generator: node-1 has index 338 and node-2 988 of a /16.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatIp } from '../../src/base/ip.js'
import { printFdb } from '../../src/dataplane/bridge-fdb.js'
import type { Dataplane } from '../../src/dataplane/dataplane.js'
import { printNeighbours } from '../../src/dataplane/ip-neigh.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { printRules } from '../../src/dataplane/ip-rule.js'
import { printSavedRule } from '../../src/dataplane/iptables-save.js'
import type { TableName } from '../../src/dataplane/iptables.js'
import type { Network } from '../../src/network/network.js'
import { answer, networkOf } from '../kit/network.js'

function load(example: string): Network {
  return networkOf(readFileSync(new URL(`../../examples/${example}.yaml`, import.meta.url), 'utf8'))
}

function dataplaneOf(network: Network, netns: string): Dataplane {
  const found = network.dataplanes.get(netns)
  if (found === undefined) throw new Error(netns)
  return found
}

const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
const routes = (dataplane: Dataplane, table = 'main'): string[] =>
  lines(
    printRoutes(
      dataplane.routes.filter((route) => (route.table ?? 'main') === table),
      { table },
    ),
  )
const devices = (dataplane: Dataplane): string[] => dataplane.devices.map(({ kind, name, mtu }) => `${kind} ${kind === 'veth' ? '' : `${name} `}${mtu}`)
const members = (dataplane: Dataplane, set: string): readonly unknown[] | undefined => dataplane.ipsets.find(({ name }) => name === set)?.members

function chain(dataplane: Dataplane, table: TableName, name: string): string[] {
  const found = dataplane.iptables.tables.find((one) => one.name === table)?.chains.find((one) => one.name === name)
  return (found?.rules ?? []).map((rule) => printSavedRule(name, rule).trim())
}

const UNDERLAY = ['default via 192.168.10.254 dev eth0', '192.168.10.0/24 dev eth0 proto kernel scope link src 192.168.10.11']
const [DEFAULT_ROUTE, CONNECTED] = UNDERLAY
const WEB_0 = 'calia4fc3c48bd8'

describe('a pod', () => {
  const network = load('calico-ipip')
  const pod = dataplaneOf(network, 'shop/web-0')

  it('has a /32, and for everything else an address that nobody has', () => {
    expect(devices(pod)).toEqual(['loopback lo 65536', 'veth 1480'])
    expect(pod.devices[1].addresses).toEqual([expect.objectContaining({ length: 32 })])
    expect(routes(pod)).toEqual(['default via 169.254.1.1 dev eth0', '169.254.1.1 dev eth0 scope link'])
  })

  it("has a host that answers for it, with the MAC of every pod's gateway", () => {
    const host = dataplaneOf(network, 'node-1')
    expect(host.devices.find(({ name }) => name === WEB_0)).toMatchObject({ mac: 0xeeeeeeeeeeee, mtu: 1480, addresses: [] })
    expect(host.sysctls).toMatchObject({
      'net.ipv4.ip_forward': 1,
      [`net.ipv4.conf.${WEB_0}.proxy_arp`]: 1,
      [`net.ipv4.neigh.${WEB_0}.proxy_delay`]: 0,
      [`net.ipv4.conf.${WEB_0}.forwarding`]: 1,
      [`net.ipv4.conf.${WEB_0}.route_localnet`]: 1,
    })
  })
})

describe('no encapsulation', () => {
  it.each(['calico-none', 'calico-reflectors'])("%s: BIRD's routes over the card, straight to the node that has the block", (example) => {
    const host = dataplaneOf(load(example), 'node-1')
    expect(devices(host)).toEqual(['loopback lo 65536', 'nic eth0 1500', 'veth 1500'])
    expect(routes(host)).toEqual([
      DEFAULT_ROUTE,
      `10.244.84.128 dev ${WEB_0} scope link metric 1024`,
      'blackhole 10.244.84.128/26 proto bird',
      '10.244.139.64/26 via 192.168.10.13 dev eth0 proto bird metric 1024',
      '10.244.247.0/26 via 192.168.10.12 dev eth0 proto bird metric 1024',
      CONNECTED,
    ])
    expect([host.neighbours, host.fdb, host.rules]).toEqual([[], [], []])
    expect(members(host, 'cali40all-hosts-net')).toBeUndefined()
  })

  it('reflectors have every route, and no block', () => {
    const host = dataplaneOf(load('calico-reflectors'), 'rr-1')
    expect(
      routes(host)
        .filter((line) => line.includes('bird'))
        .map((line) => line.split(' ')[2]),
    ).toEqual(['192.168.10.11', '192.168.10.13', '192.168.10.12'])
  })
})

describe('IPIP', () => {
  it('Always: through tunl0 to the next hop itself', () => {
    const host = dataplaneOf(load('calico-ipip'), 'node-1')
    expect(devices(host)).toEqual(['loopback lo 65536', 'nic eth0 1500', 'ipip tunl0 1480', 'veth 1480', 'veth 1480'])
    expect(routes(host)).toEqual([
      DEFAULT_ROUTE,
      'blackhole 10.244.84.128/26 proto bird',
      `10.244.84.129 dev ${WEB_0} scope link metric 1024`,
      '10.244.84.130 dev cali2918598862d scope link metric 1024',
      '10.244.247.0/26 via 192.168.10.12 dev tunl0 proto bird metric 1024 onlink',
      CONNECTED,
    ])
    expect(members(host, 'cali40all-hosts-net')).toHaveLength(2)
    expect(members(host, 'cali40all-vxlan-net')).toBeUndefined()
    expect(chain(host, 'nat', 'cali-POSTROUTING').at(-1)).toMatch(
      /-o tunl0 .*-m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL -j MASQUERADE --random-fully$/,
    )
  })

  it('CrossSubnet: the tunnel is for what crosses the router alone', () => {
    const network = load('calico-ipip-crosssubnet')
    expect(routes(dataplaneOf(network, 'a-1')).filter((line) => / via .* bird/.test(line))).toEqual([
      '10.244.52.64/26 via 192.168.10.12 dev eth0 proto bird metric 1024',
      '10.244.242.64/26 via 192.168.20.11 dev tunl0 proto bird metric 1024 onlink',
    ])
    expect(routes(dataplaneOf(network, 'b-1')).filter((line) => / via .* bird/.test(line))).toEqual([
      '10.244.1.0/26 via 192.168.10.11 dev tunl0 proto bird metric 1024 onlink',
      '10.244.52.64/26 via 192.168.10.12 dev tunl0 proto bird metric 1024 onlink',
    ])
    const { document } = answer(network, 'shop/web-0', 'shop/cache-0:6379', { proto: 'tcp' })
    expect(document.forward.frames.some(({ device }) => device === 'tunl0')).toBe(false)
  })

  it("CrossSubnet: each rack's addresses come from its own pool", () => {
    const { pods } = load('calico-ipip-crosssubnet')
    expect(pods.map(({ pod, address }) => [pod.node?.slice(0, 1), (address >>> 15) & 1])).toEqual([
      ['a', 0],
      ['a', 0],
      ['b', 1],
      ['b', 1],
    ])
  })
})

describe('VXLAN', () => {
  const network = load('calico-vxlan')
  const host = dataplaneOf(network, 'node-1')

  it('has a device, a neighbour and an FDB entry for each other node, and routes of Felix', () => {
    expect(devices(host)).toEqual(['loopback lo 65536', 'nic eth0 1500', 'vxlan vxlan.calico 1450', 'veth 1450'])
    expect(host.devices[2]).toMatchObject({ vni: 4096, port: 4789, learning: false, link: 'eth0' })
    expect(routes(host)).toEqual([
      DEFAULT_ROUTE,
      'blackhole 10.244.84.128/26 proto 80',
      `10.244.84.129 dev ${WEB_0} scope link metric 1024`,
      '10.244.247.0/26 via 10.244.247.0 dev vxlan.calico onlink mtu 1450',
      CONNECTED,
    ])
    const [mac] = /([0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(printFdb(host.fdb)) ?? []
    expect(mac?.startsWith('66:')).toBe(true)
    expect(lines(printNeighbours(host.neighbours))).toEqual([`10.244.247.0 dev vxlan.calico lladdr ${mac} PERMANENT`])
    expect(lines(printFdb(host.fdb))).toEqual([`${mac} dev vxlan.calico dst 192.168.10.12 self permanent`])
    expect(members(host, 'cali40all-vxlan-net')).toHaveLength(1)
  })

  it('CrossSubnet: within the subnet over the card, by Felix too; BIRD leaves VXLAN pools alone', () => {
    const text = readFileSync(new URL('../../examples/calico-ipip-crosssubnet.yaml', import.meta.url), 'utf8')
    const crossing = networkOf(text.replaceAll('ipipMode: CrossSubnet', 'vxlanMode: CrossSubnet'))
    expect(crossing.bgp).toBeDefined()
    expect(routes(dataplaneOf(crossing, 'a-1')).slice(1, 5)).toEqual([
      'blackhole 10.244.1.0/26 proto 80',
      `10.244.1.1 dev ${WEB_0} scope link metric 1024`,
      '10.244.52.64/26 via 192.168.10.12 dev eth0 proto 80 onlink',
      '10.244.242.64/26 via 10.244.242.64 dev vxlan.calico onlink mtu 1450',
    ])
    for (const to of ['shop/cache-0:6379', 'shop/api-0:8080'])
      expect(answer(crossing, 'shop/web-0', to, { proto: 'tcp' }).outcome.reply?.disposition).toBe('DELIVERED')
  })

  it('without BGP nobody listens on its port', () => {
    expect([network.bgp, host.sockets.filter(({ port }) => port === 179)]).toEqual([undefined, []])
  })
})

describe('WireGuard', () => {
  const network = load('calico-wireguard')
  const host = dataplaneOf(network, 'node-1')

  it('has a rule, a table with a route for each peer, and throws back what is for a node without a key', () => {
    expect(devices(host)).toEqual(['loopback lo 65536', 'nic eth0 1500', 'wireguard wireguard.cali 1440', 'veth 1440'])
    expect(lines(printRules(host.rules))).toEqual([
      '0:\tfrom all lookup local',
      '99:\tnot from all fwmark 0x200000/0x200000 lookup 1',
      '32766:\tfrom all lookup main',
      '32767:\tfrom all lookup default',
    ])
    expect(routes(host, '1')).toEqual([
      'throw 10.244.84.128/26',
      'throw 10.244.139.64/26',
      '10.244.247.0 dev wireguard.cali scope link',
      '10.244.247.0/26 dev wireguard.cali scope link',
    ])
    expect(
      routes(host)
        .filter((line) => line.includes(' via '))
        .slice(1),
    ).toEqual(['10.244.139.64/26 via 192.168.10.13 dev eth0 proto bird metric 1024', '10.244.247.0/26 via 192.168.10.12 dev eth0 proto bird metric 1024'])
    expect(host.sysctls['net.ipv4.conf.all.src_valid_mark']).toBe(1)
    expect(devices(dataplaneOf(network, 'node-3'))).toEqual(['loopback lo 65536', 'nic eth0 1500', 'veth 1500'])
  })

  it.each([
    ['the environment', '10.244.84.128', { env: 'true' }],
    ['a FelixConfiguration', '10.244.84.129', {}],
  ])('with host encryption said in %s the first pod of node-1 has %s', (_where, first, { env }: { readonly env?: string }) => {
    const felix = 'kind: FelixConfiguration\nmetadata: {name: default}\nspec: {wireguardEnabled: true'
    const daemonSet = [
      '{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: calico-node, namespace: kube-system}, spec: {template: {spec: {containers: [',
      '{name: calico-node, env: [{name: FELIX_WIREGUARDHOSTENCRYPTIONENABLED, value: "true"}, {name: CALICO_NETWORKING_BACKEND, value: bird},',
      '{name: IP, value: autodetect}]}]}}}}',
    ].join(' ')
    const plain = readFileSync(new URL('../../examples/calico-wireguard.yaml', import.meta.url), 'utf8')
    const said = plain.replace(felix, `${felix}, wireguardHostEncryptionEnabled: true`)
    const text = env === undefined ? said : `${said}---\n${daemonSet}`
    const encrypted = networkOf(text)
    const device = dataplaneOf(encrypted, 'node-1').devices.find(({ kind }) => kind === 'wireguard')
    expect(device?.addresses.map(({ address }) => formatIp(address))).toEqual([env === undefined ? '10.244.84.128' : '192.168.10.11'])
    expect(encrypted.pods.map(({ address }) => formatIp(address))[0]).toBe(first)
    expect(answer(encrypted, 'node/node-1', 'node/node-2').document.forward.frames.map(({ device: name }) => name)).toContain('wireguard.cali')
  })

  it('a pod with an address of a peer’s block is reached where it is', () => {
    const text = readFileSync(new URL('../../examples/calico-wireguard.yaml', import.meta.url), 'utf8')
    const moved = networkOf(
      text.replace('{name: shell, namespace: ops,', `{name: shell, namespace: ops, annotations: {cni.projectcalico.org/ipAddrs: '["10.244.247.9"]'},`),
    )
    expect(routes(dataplaneOf(moved, 'node-2'), '1')).toContain('throw 10.244.247.9')
    expect(answer(moved, 'shop/web-0', 'ops/shell').outcome.reply?.disposition).toBe('DELIVERED')
    const encrypted = networkOf(
      text
        .replace('{name: shell, namespace: ops,', `{name: shell, namespace: ops, annotations: {cni.projectcalico.org/ipAddrs: '["10.244.247.9"]'},`)
        .replace('nodeName: node-3', 'nodeName: node-1'),
    )
    expect(routes(dataplaneOf(encrypted, 'node-1'), '1')).toContain('throw 10.244.247.9')
    expect(answer(encrypted, 'shop/api-0', 'ops/shell').outcome.reply?.disposition).toBe('DELIVERED')
  })

  it.each([
    ['shop/api-0', ['wireguard.cali', 'eth0']],
    ['ops/shell', ['eth0']],
  ])('what goes to %s leaves over %j', (to, wanted) => {
    const { frames } = answer(network, 'shop/web-0', to, {}).document.forward
    expect(frames.filter(({ netns, direction }) => netns === 'node-1' && direction === 'tx').map(({ device }) => device)).toEqual(wanted)
  })
})

describe('Canal', () => {
  const network = load('canal')
  const host = dataplaneOf(network, 'node-1')

  it("has flannel's device and routes, cali veths in place of a bridge, and no route for its own /24", () => {
    expect(devices(host)).toEqual(['loopback lo 65536', 'nic eth0 1500', 'vxlan flannel.1 1450', 'veth 1500', 'veth 1500'])
    expect(host.devices[2]).toMatchObject({ vni: 1, port: 8472 })
    expect(routes(host)).toEqual([
      DEFAULT_ROUTE,
      `10.244.0.2 dev ${WEB_0} scope link metric 1024`,
      '10.244.0.3 dev calic3d21e09000 scope link metric 1024',
      '10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink',
      CONNECTED,
    ])
    expect(routes(dataplaneOf(network, 'shop/web-0'))).toEqual(['default via 169.254.1.1 dev eth0', '169.254.1.1 dev eth0 scope link'])
    expect([network.bgp, network.calico?.cluster.addresses.blocks]).toEqual([undefined, []])
  })

  it("masquerades twice: flannel's rules come first, Felix's are for the pool that calico-node made", () => {
    expect(chain(host, 'nat', 'POSTROUTING')).toEqual([
      '-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG',
      '-A POSTROUTING -m comment --comment "cali:0i8pjzKKPyA34aQD" -j cali-POSTROUTING',
    ])
    expect(network.calico?.cluster.resources.ipPools).toMatchObject([{ name: 'default-ipv4-ippool', ipipMode: 'Never', vxlanMode: 'Never', natOutgoing: true }])
    expect(chain(host, 'nat', 'cali-nat-outgoing')).toHaveLength(1)
    expect(members(host, 'cali40masq-ipam-pools')).toHaveLength(1)
  })

  it("asks Felix before flannel's FORWARD accepts, and accepts at the end", () => {
    expect(chain(host, 'filter', 'FORWARD').map((rule) => / -j (.*)$/.exec(rule)?.[1])).toEqual([
      'cali-FORWARD',
      'FLANNEL-FWD',
      'ACCEPT',
      'MARK --set-xmark 0x10000/0x10000',
    ])
  })

  it('a free address of the own /24 leaves by the default route', () => {
    const { outcome, document } = answer(network, 'shop/web-0', '10.244.0.77', {})
    expect(outcome.forward.disposition).toBe('NO_ROUTE')
    expect(document.forward.hops.at(-1)?.netns).toBe('router/router')
  })

  it('without kubeadm the pool is 192.168.0.0/16, or where a card has an address of that the next', () => {
    const text = readFileSync(new URL('../../examples/canal.yaml', import.meta.url), 'utf8').replace('name: kubeadm-config', 'name: another')
    const [pool] = networkOf(text).calico?.cluster.resources.ipPools ?? []
    expect([(pool.cidr.base >>> 24) & 255, (pool.cidr.base >>> 16) & 255, pool.cidr.length]).toEqual([172, 16, 16])
  })

  it("veth_mtu is every pod's MTU", () => {
    const text = readFileSync(new URL('../../examples/canal.yaml', import.meta.url), 'utf8').replace('veth_mtu: "0"', 'veth_mtu: "1450"')
    expect(devices(dataplaneOf(networkOf(text), 'shop/web-0'))).toEqual(['loopback lo 65536', 'veth 1450'])
  })
})
