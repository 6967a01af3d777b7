/** What a lab would do, without doing it: the commands of a plan, read by netsim's own readers, give the Dataplane back. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../src/base/ip.js'
import { EXAMPLE_TEXT } from '../../src/cluster/example.js'
import { applyFdbCommand } from '../../src/dataplane/bridge-fdb.js'
import { EMPTY_DATAPLANE, type Dataplane, type RouteSpec } from '../../src/dataplane/dataplane.js'
import { applyNeighbourCommand } from '../../src/dataplane/ip-neigh.js'
import { applyRouteCommand } from '../../src/dataplane/ip-route-command.js'
import { parseRoutes, printRoute, printRoutes } from '../../src/dataplane/ip-route.js'
import { applyRuleCommand, DEFAULT_ROUTING_RULES, parseRules, printRules } from '../../src/dataplane/ip-rule.js'
import { cablesOf } from '../../src/kernel/build-links.js'
import { Indexes, labNames } from '../../src/kernel/build-names.js'
import { buildPlan, unbuildable, type LabPlan, type NamespacePlan } from '../../src/kernel/build-plan.js'
import { natPortsOf, openPortsOf } from '../../src/kernel/build-sockets.js'
import { fdbLines, stateLines } from '../../src/kernel/build-state.js'
import { labNetworkOf } from '../../src/kernel/lab.js'
import { parseTraceLine, probeMessage, sightingOf } from '../../src/kernel/lab-message.js'
import { KernelSymbols } from '../../src/kernel/lab-symbols.js'
import { warmState } from '../../src/kernel/lab-warm.js'
import { answer, networkOf } from '../kit/network.js'

const PLACE = { file: 'plan', line: 1 }
const OPTIONS = { prefix: 'netsim-7-' }
const NOTHING_LACKS: ReadonlyMap<string, string> = new Map()

const examples = readdirSync('examples').filter((name) => name.endsWith('.yaml'))
const networks = new Map([
  ['the built-in example', networkOf(EXAMPLE_TEXT)],
  ...examples.map((name) => [name, networkOf(readFileSync(`examples/${name}`, 'utf8'))] as const),
])

function planOf(name: string): LabPlan {
  const network = networks.get(name)
  if (network === undefined) throw new Error(name)
  return buildPlan(labNetworkOf(network), OPTIONS, NOTHING_LACKS)
}

function namespaceOf(plan: LabPlan, netns: string): NamespacePlan {
  const found = plan.namespaces.find((one) => one.netns === netns)
  if (found === undefined) throw new Error(netns)
  return found
}

const sorted = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .sort()

describe.each([...networks.keys()])('the plan of %s', (name) => {
  const network = networks.get(name) ?? networkOf(EXAMPLE_TEXT)
  const plan = planOf(name)

  it('gives every netns and every segment a namespace of its own, all under the prefix', () => {
    const names = plan.namespaces.map((one) => one.name)
    expect(new Set(names).size).toBe(names.length)
    expect(names.every((one) => /^netsim-7-[\w.-]+$/.test(one))).toBe(true)
    expect(names).toHaveLength(network.specs.length + network.cluster.segments.length + 1)
    expect(Object.keys(plan.names).sort()).toEqual(network.specs.map(({ dataplane }) => dataplane.netns).sort())
  })

  it('makes every device once, with an index that no other has', () => {
    const made = plan.namespaces.flatMap((one) => one.devices.filter((line) => line.startsWith('link add')).map((line) => `${one.name} ${line.split(' ')[2]}`))
    for (const cable of plan.cables) {
      for (const [, device, namespace] of cable.matchAll(/(?:link add|peer name) (\S+) .*?netns (\S+)/g)) made.push(`${namespace} ${device}`)
    }
    const wanted = network.specs.flatMap(({ dataplane }) =>
      dataplane.devices
        .filter(({ kind }) => kind !== 'loopback' && kind !== 'tun' && kind !== 'wireguard')
        .map((device) => `${plan.names[dataplane.netns]} ${device.name}`),
    )
    expect(new Set(made).size).toBe(made.length)
    expect(wanted.filter((device) => !made.includes(device))).toEqual([])
    const indexes = [...plan.cables, ...plan.namespaces.flatMap(({ devices }) => devices)].flatMap((line) =>
      [...line.matchAll(/index (\d+)/g)].map(([, index]) => index),
    )
    expect(new Set(indexes).size).toBe(indexes.length)
  })

  it('the route commands, carried out on what the kernel makes of the addresses, give the routes', () => {
    for (const { dataplane } of network.specs) {
      const own = dataplane.routes.filter(({ protocol, table }) => protocol === 'kernel' || table === 'local')
      let routes: readonly RouteSpec[] = own
      for (const line of namespaceOf(plan, dataplane.netns).state.filter((one) => one.startsWith('route '))) {
        const next = applyRouteCommand(routes, line, PLACE, { devices: dataplane.devices })
        expect([dataplane.netns, line, next.problems]).toEqual([dataplane.netns, line, []])
        routes = next.routes
      }
      expect(sorted(printRoutes(routes, { table: 'all' }))).toEqual(sorted(printRoutes(dataplane.routes, { table: 'all' })))
    }
  })

  it('the neighbour and FDB commands give those that last', () => {
    for (const { dataplane } of network.specs) {
      let { neighbours, fdb } = EMPTY_DATAPLANE
      for (const line of namespaceOf(plan, dataplane.netns).state.filter((one) => one.startsWith('neigh '))) {
        neighbours = applyNeighbourCommand(neighbours, line, PLACE, { devices: dataplane.devices }).neighbours
      }
      for (const line of namespaceOf(plan, dataplane.netns).fdb) {
        const next = applyFdbCommand(fdb, line, PLACE, { devices: dataplane.devices })
        expect([line, next.problems]).toEqual([line, []])
        fdb = next.fdb
      }
      const lasting = dataplane.neighbours.filter(({ state, proxy }) => state === 'permanent' || proxy === true)
      const keyOf = ({ address, device, mac }: (typeof lasting)[number]): string => `${formatIp(address)} ${device} ${mac}`
      expect(neighbours.map(keyOf).sort()).toEqual(lasting.map(keyOf).sort())
      const remotes = dataplane.fdb.filter(({ destination }) => destination !== undefined)
      expect(fdb.filter(({ destination }) => destination !== undefined).map(({ mac, destination }) => [mac, destination])).toEqual(
        remotes.map(({ mac, destination }) => [mac, destination]),
      )
    }
  })
})

describe('one netns', () => {
  const eth0 = {
    kind: 'nic',
    name: 'eth0',
    mtu: 1500,
    mac: 2,
    up: true,
    segment: 's0',
    addresses: [{ address: ip('10.0.0.1'), length: 24, scope: 'global' }],
  } as const
  const host: Dataplane = { ...EMPTY_DATAPLANE, netns: 'a/b', devices: [eth0] }

  it('routes: gateways last, scopes that the tool would guess are said, the kernel’s own left to it', () => {
    const text =
      'default via 10.0.0.254 dev eth0 \n10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1 \n' +
      '10.1.0.0/16 dev eth0 \n10.2.0.0/16 dev eth0 scope link \n' +
      'blackhole 10.3.0.0/16 proto bird \n10.4.0.0/16 via 10.0.0.9 dev eth0 metric 7 onlink mtu lock 1400 \n' +
      '10.5.0.0/16 \n\tnexthop via 10.0.0.7 dev eth0 weight 2 \n\tnexthop via 10.0.0.8 dev eth0 weight 1 onlink \n'
    const { routes, problems } = parseRoutes(text, PLACE)
    expect(problems).toEqual([])
    expect(stateLines({ ...host, routes }).filter((line) => line.startsWith('route'))).toEqual([
      'route append 10.1.0.0/16 dev eth0 scope global',
      'route append 10.2.0.0/16 dev eth0 scope link',
      'route append blackhole 10.3.0.0/16 proto bird',
      'route append default via 10.0.0.254 dev eth0',
      'route append 10.4.0.0/16 via 10.0.0.9 dev eth0 metric 7 onlink mtu lock 1400',
      'route append 10.5.0.0/16 nexthop via 10.0.0.7 dev eth0 weight 2 nexthop via 10.0.0.8 dev eth0 weight 1 onlink',
    ])
    const other = { ...routes[1], source: ip('10.0.0.2') }
    expect(stateLines({ ...host, routes: [other] })).toContain(`route append ${printRoute(other, { showTable: true }).trim()}`)
  })

  it('rules: those of birth go, all that are said come', () => {
    const text = '0:\tfrom all lookup local\n98:\tnot from all fwmark 0x10/0xf0 lookup 7\n32766:\tfrom all lookup main\n'
    const { rules } = parseRules(text, PLACE)
    const lines = stateLines({ ...host, rules }).filter((line) => line.startsWith('rule'))
    expect(lines.slice(0, 3)).toEqual(['rule del pref 0', 'rule del pref 32766', 'rule del pref 32767'])
    // netsim's own list without any rule stands for those of birth, so one that they have not is there first
    let back = applyRuleCommand(DEFAULT_ROUTING_RULES, 'add pref 1 nop', PLACE).rules
    for (const line of lines) back = applyRuleCommand(back, line, PLACE).rules
    expect(printRules(applyRuleCommand(back, 'del pref 1', PLACE).rules)).toBe(text)
  })

  it('an FDB entry of a bridge: local for the host itself, static towards the port', () => {
    const devices: Dataplane['devices'] = [
      { kind: 'bridge', name: 'br0', mtu: 1500, up: true, addresses: [] },
      { kind: 'veth', name: 'v0', mtu: 1500, up: true, addresses: [], master: 'br0', peer: { netns: 'x', device: 'y' } },
    ]
    const fdb: Dataplane['fdb'] = [
      { mac: 0x020000000001, device: 'v0', master: 'br0', state: 'permanent' },
      { mac: 0x020000000002, device: 'v0', master: 'br0', state: 'static' },
    ]
    expect(fdbLines({ ...host, devices, fdb })).toEqual([
      'fdb replace 02:00:00:00:00:01 dev v0 master local',
      'fdb replace 02:00:00:00:00:02 dev v0 master static',
    ])
  })

  it('names are files’ names, and differ where netsim’s do', () => {
    const specs = ['a/b', 'a.b', 'a b'].map((netns) => ({ dataplane: { ...host, netns }, role: 0 }))
    const names = labNames({ specs, segments: [{ name: 's/0', mtu: 1500, latencyNs: 0, rateBps: 0 }] }, 'p-')
    expect([...names.netns.values()]).toEqual(['p-a.b', 'p-a.b.2', 'p-a.b.3'])
    expect([...names.segments.values()]).toEqual(['p-segment-s.0'])
  })

  it('a switch port carries its segment’s MTU: the kernel’s room for a tag is taken off', () => {
    const segments = [{ name: 's0', mtu: 1400, latencyNs: 0, rateBps: 0 }]
    const names = labNames({ specs: [{ dataplane: host, role: 0 }], segments }, 'p-')
    const { lines, ports } = cablesOf([host], segments, names, { indexes: new Indexes(), direct: false })
    expect(lines).toEqual([
      'link add eth0 index 10 address 00:00:00:00:00:02 mtu 1500 netns p-a.b type veth peer name port0 index 11 mtu 1396 netns p-segment-s0',
    ])
    expect(ports.get('s0')).toEqual([{ device: 'port0', mac: 2, bridged: false }])
    expect(cablesOf([host], [], names, { indexes: new Indexes(), direct: false }).loose).toEqual(['loose0'])
  })

  it('two cards alone on a segment are one cable where it is to be measured; a third needs the switch', () => {
    const segments = [{ name: 's0', mtu: 1500, latencyNs: 0, rateBps: 0 }]
    const hosts = ['a.b', 'c', 'd'].map((netns) => ({ ...host, netns }))
    const cablesOfSome = (count: number): ReturnType<typeof cablesOf> => {
      const names = labNames({ specs: hosts.map((dataplane) => ({ dataplane, role: 0 })), segments }, 'p-')
      return cablesOf(hosts.slice(0, count), segments, names, { indexes: new Indexes(), direct: true })
    }
    expect(cablesOfSome(2).lines).toEqual([
      'link add eth0 index 10 address 00:00:00:00:00:02 mtu 1500 netns p-a.b type veth peer name eth0 index 11 address 00:00:00:00:00:02 mtu 1500 netns p-c',
    ])
    expect(cablesOfSome(2).ports.get('s0')).toEqual([])
    expect(cablesOfSome(3).ports.get('s0')).toHaveLength(3)
  })

  it('settings: the kernel’s defaults, then forwarding, then what the owner says, and lo like a new device', () => {
    const sysctls = {
      'net.ipv4.ip_forward': 1,
      'net.ipv4.conf.default.rp_filter': 2,
      'net.ipv4.conf.all.accept_redirects': 0,
      'net.ipv4.conf.eth0.forwarding': 0,
    }
    const network = { specs: [{ dataplane: { ...host, sysctls }, role: 0 }], segments: [], proxies: [], world: networkOf(EXAMPLE_TEXT).world }
    const { settings, deviceSettings } = namespaceOf(buildPlan(network, OPTIONS, NOTHING_LACKS), 'a/b')
    const last = (key: string): number => settings.lastIndexOf(`${key} = `)
    const value = (key: string): string | undefined => new RegExp(`${key.replaceAll('.', '\\.')} = (\\S+)`).exec(settings.slice(last(key)))?.[1]
    expect(settings.indexOf('net.ipv4.conf.all.accept_redirects = 1')).toBeLessThan(last('net.ipv4.ip_forward'))
    expect(last('net.ipv4.ip_forward')).toBeLessThan(last('net.ipv4.conf.all.accept_redirects'))
    expect([value('net.ipv4.conf.all.accept_redirects'), value('net.ipv4.conf.lo.rp_filter'), value('net.ipv4.icmp_ratelimit')]).toEqual(['0', '2', '0'])
    expect(deviceSettings).toBe('net.ipv4.conf.eth0.forwarding = 0\nnet.ipv4.neigh.eth0.base_reachable_time_ms = 3600000\n')
    const rationed = namespaceOf(buildPlan(network, { ...OPTIONS, icmpRateLimit: 'kernel' }, NOTHING_LACKS), 'a/b')
    expect(rationed.settings).not.toContain('icmp_ratelimit')
  })

  it('what this kernel lacks is left out with all that hangs on it, and named', () => {
    const network = labNetworkOf(networks.get('flannel-vxlan.yaml') ?? networkOf(EXAMPLE_TEXT))
    const lacking = new Map([['vxlan', 'Unknown device type']])
    const plan = buildPlan(network, OPTIONS, lacking)
    expect(plan.notBuilt.length).toBeGreaterThan(0)
    expect(plan.notBuilt).toEqual(unbuildable(network, lacking))
    expect(plan.notBuilt.every(({ kind, why }) => kind === 'vxlan' && why === 'Unknown device type')).toBe(true)
    expect(JSON.stringify(plan.namespaces)).not.toContain('flannel.1')
    const cloud = labNetworkOf(networks.get('flannel-aws-vpc.yaml') ?? networkOf(EXAMPLE_TEXT))
    expect(unbuildable(cloud, NOTHING_LACKS).map(({ kind }) => kind)).toContain('cloud')
  })
})

describe('sockets', () => {
  it('single ports are open from the start, ranges on demand, named handlers never', () => {
    expect(
      openPortsOf([
        { proto: 'tcp', address: 0, port: 80, handler: 'open' },
        { proto: 'udp', address: 1, port: 0, portEnd: 65535, handler: 'open' },
        { proto: 'udp', address: 0, port: 8285, handler: 'flanneld udp' },
      ]),
    ).toEqual({ fixed: [{ proto: 'tcp', address: '0.0.0.0', port: 80 }], ranges: [{ proto: 'udp', address: '0.0.0.1', first: 0, last: 65535 }] })
  })

  it('ports that DNAT and REDIRECT lead to', () => {
    const network = networkOf(
      EXAMPLE_TEXT.replace(
        /(kind: Network\n[\s\S]*?spec:\n)/,
        `$1  hosts:\n    - {node: host-a, iptables: ["-t nat -A PREROUTING -p tcp --dport 1 -j DNAT --to-destination 10.1.20.3:9000-9002", "-t nat -A OUTPUT -p udp -j REDIRECT --to-ports 53"]}\n`,
      ),
    )
    expect(natPortsOf([...network.dataplanes.values()])).toEqual([53, 9000, 9001, 9002])
  })
})

describe('the warm state', () => {
  const network = networkOf(EXAMPLE_TEXT)
  const state = warmState(labNetworkOf(network))

  // 10.1.15.0 is flannel0's: its host answers for it on docker0 too (arp_ignore 0)
  it('each pod knows its bridge, each bridge its pods, each host its neighbours on the segment', () => {
    const known = (netns: string, device: string): string[] =>
      state.neighbours
        .filter((entry) => entry[0] === netns && entry[1] === device)
        .map((entry) => `${entry[2]} ${entry[4]}`)
        .sort()
    expect(known('default/pod-a', 'eth0')).toEqual(['10.1.15.0 reachable', '10.1.15.1 reachable', '10.1.15.3 reachable'])
    expect(known('host-a', 'docker0')).toEqual(['10.1.15.2 reachable', '10.1.15.3 reachable'])
    expect(known('host-a', 'eth0')).toEqual(['192.168.0.200 reachable', '192.168.0.254 reachable'])
    expect(state.stations.filter(([netns]) => netns === 'host-a')).toHaveLength(2)
  })

  it('is the same after the network was asked something', () => {
    answer(network, 'pod-b', 'pod-a')
    answer(network, 'pod-a', 'pod-a2')
    expect(warmState(labNetworkOf(network))).toEqual(state)
  })
})

describe('messages', () => {
  it('a line of xtables-monitor', () => {
    const line = ' TRACE: 2 349f1611 filter:FORWARD:rule:0x5:JUMP:FLANNEL-FWD  -4 -t filter -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD'
    expect(parseTraceLine('n1', line)).toEqual([
      {
        netns: 'n1',
        packet: '349f1611',
        table: 'filter',
        chain: 'FORWARD',
        kind: 'rule',
        verdict: 'JUMP:FLANNEL-FWD',
        text: '-m comment --comment "flanneld forward" -j FLANNEL-FWD',
      },
    ])
    expect(parseTraceLine('n1', ' TRACE: 2 349f1611 nat:POSTROUTING:policy:ACCEPT ')).toMatchObject([{ kind: 'policy', verdict: 'ACCEPT', text: '' }])
    expect(parseTraceLine('n1', 'PACKET: 2 349f1611 IN=eth0 SRC=1.2.3.4')).toEqual([])
  })

  it('a probe and a sighting', () => {
    expect(probeMessage({ kind: 'raw', netns: 'n1', packet: Uint8Array.of(1, 2, 3), predictedNs: 1_500_001 })).toEqual({
      kind: 'raw',
      netns: 'n1',
      predictedMs: 2,
      listen: [],
      trace: false,
      bytes: 'AQID',
    })
    const told = { error: '', dropsWhy: '', rules: null, rulesWhy: 'not asked for', heard: [], injected: false, lost: 0 }
    const { frames, drops } = sightingOf(
      { ...told, frames: [['n1', 'eth0', 1, 70, 1, 'AQID']], drops: [['NETFILTER_DROP', '0000000000000000', 1, 50]] },
      new KernelSymbols(),
    )
    expect(frames).toEqual([{ netns: 'n1', device: 'eth0', direction: 'tx', timeNs: 70, link: 'ethernet', bytes: Uint8Array.of(1, 2, 3) }])
    expect(drops).toEqual([{ reason: 'NETFILTER_DROP', location: '', certain: true, timeNs: 50 }])
  })
})
