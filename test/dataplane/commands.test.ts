/** Commands of ip, bridge, ipset and sysctl: what they do and what they answer, as recorded from iproute2 6.1 and ipset 7.17 on Linux 6.18. */
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { applyFdbCommand, printFdb } from '../../src/dataplane/bridge-fdb.js'
import type { DeviceSpec, FdbSpec, NeighbourSpec, RouteSpec, RoutingRuleSpec } from '../../src/dataplane/dataplane.js'
import { EMPTY_DATAPLANE } from '../../src/dataplane/dataplane.js'
import { printDataplane } from '../../src/dataplane/dataplane-text.js'
import { applyAddressCommand, printAddresses } from '../../src/dataplane/ip-address.js'
import { applyIptablesCommand } from '../../src/dataplane/iptables-command.js'
import { applyLinkCommand } from '../../src/dataplane/ip-link.js'
import { applyNeighbourCommand, printNeighbours } from '../../src/dataplane/ip-neigh.js'
import { applyRouteCommand } from '../../src/dataplane/ip-route-command.js'
import { parseRoutes, printRoutes } from '../../src/dataplane/ip-route.js'
import { applyRuleCommand, printRules } from '../../src/dataplane/ip-rule.js'
import { applyIpsetCommand, parseIpsets, printIpsets } from '../../src/dataplane/ipset-save.js'
import type { IpSet } from '../../src/dataplane/ipset.js'
import { normaliseSysctl, parseSysctls, printSysctls, sysctlDefault } from '../../src/dataplane/sysctl.js'

const place = { file: 'netsim.yaml', line: 12, object: 'Network/default' }
const common = { mtu: 1500, up: true }
const devices: DeviceSpec[] = [
  {
    ...common,
    kind: 'veth',
    name: 'v0',
    mac: 0x020000000001,
    addresses: [{ address: ip('10.0.0.1'), length: 24, scope: 'global', broadcast: ip('10.0.0.255') }],
    peer: { netns: 'x', device: 'v1' },
  },
  {
    ...common,
    kind: 'veth',
    name: 'v1',
    mac: 0x020000000002,
    addresses: [{ address: ip('10.0.1.1'), length: 24, scope: 'global' }],
    peer: { netns: 'x', device: 'v0' },
    master: 'b0',
  },
  { ...common, kind: 'bridge', name: 'b0', mac: 0x020000000003, addresses: [] },
  { ...common, kind: 'tun', name: 'flannel0', mtu: 1472, addresses: [{ address: ip('10.1.64.0'), length: 32, scope: 'global' }] },
]

type Step = [command: string, answer?: string]

/** Runs the steps; each must give just the answer it names, or none. */
function play<State>(
  start: State,
  steps: readonly Step[],
  run: (state: State, command: string) => { state: State; problems: readonly { what: string; file: string; line: number; object: string }[] },
): State {
  let state = start
  for (const [command, answer] of steps) {
    const result = run(state, command)
    expect([command, ...result.problems.map(({ what }) => what)]).toEqual(
      answer === undefined ? [command] : [command, expect.stringContaining(answer) as string],
    )
    for (const problem of result.problems) expect(problem).toMatchObject(place)
    if (answer !== undefined && !answer.includes('not modelled')) expect(result.state).toEqual(state)
    state = result.state
  }
  return state
}

describe('ip route', () => {
  it('answers as the kernel does', () => {
    const routes = play<readonly RouteSpec[]>(
      [],
      [
        ['ip route add 10.5.0.0/16 via 10.0.0.2'],
        ['ip route add 10.5.0.0/16 via 10.0.0.2', 'RTNETLINK answers: File exists'],
        ['ip route del 10.6.0.0/16', 'RTNETLINK answers: No such process'],
        ['ip route add 10.7.0.0/16 via 10.99.0.2', 'Error: Nexthop has invalid gateway.'],
        ['ip route add 10.7.0.1/16 via 10.0.0.2', 'Error: Invalid prefix for given prefix length'],
        ['ip route add 10.7.0.0/16 dev nope', 'Cannot find device "nope"'],
        ['ip route add blackhole 10.8.0.0/16 metric 50'],
        ['ip route append 10.5.0.0/16 via 10.0.0.3'],
        ['ip route add 10.10.0.0/16 nexthop via 10.0.0.2 dev v0 weight 3 nexthop via 10.99.1.2 dev v1 onlink'],
        ['route add 10.11.0.0/16 via 10.0.0.2 mtu lock 1400 advmss 1360 tos 0x10 table 100 src 10.0.0.1 metric 7 proto static'],
        ['add 10.12.0.0/16 via 10.0.0.2 mtu 1400 proto 80 scope global'],
        ['ip route add throw default table 200'],
        ['ip route add default via 10.0.0.2 dev v0 onlink'],
        ['ip route add 10.5.0.0/16 via 10.0.0.9 metric 5'],
        ['ip route add 10.17.0.0/16 dev v0'],
        ['ip route add 10.19.0.0/16 nexthop via 10.0.0.2 weight 2 nexthop dev v1'],
        ['ip route replace 10.5.0.0/16 via 10.0.0.44'],
        ['ip route add 10.20.0.0/16 via inet6 fe80::1 dev v0', 'IPv6'],
        ['ip route add 10.21.0.0/16', 'No such device'],
        ['ip route add blackhole 10.22.0.0/16 dev v0', 'Error: Gateway, device and multipath can not be specified for this route type.'],
        ['ip route frob', 'Command "frob" is unknown'],
        ['ip route add 10.21.0.0/16 bogus 3', 'either "to" is duplicate, or "bogus" is a garbage.'],
        ['ip route del 10.5.0.0/16 via 10.0.0.77', 'RTNETLINK answers: No such process'],
        ['ip route change 10.77.0.0/16 via 10.0.0.2', 'RTNETLINK answers: No such file or directory'],
        ['ip route prepend 10.5.0.0/16 via 10.0.0.5'],
        ['ip route add 10.31.0.1 via 10.0.0.2 src 10.9.9.9', 'Error: Invalid prefsrc address.'],
        ['ip route add 10.5 via 10.0.0.2'],
        ['ip route add 10.32.0.0/16 via 10.0.0.2 mtu 67', 'a route with mtu 67 is not modelled'],
      ],
      (state, command) => {
        const { routes: next, problems } = applyRouteCommand(state, command, place, { devices })
        return { state: next, problems }
      },
    )
    // what the real kernel showed after the same commands
    const expected = [
      '10.11.0.0/16 tos 0x10 via 10.0.0.2 dev v0 table 100 proto static src 10.0.0.1 metric 7 mtu lock 1400 advmss 1360 ',
      'throw default table 200 ',
      'default via 10.0.0.2 dev v0 onlink ',
      '10.5.0.0/16 via 10.0.0.5 dev v0 ',
      '10.5.0.0/16 via 10.0.0.44 dev v0 ',
      '10.5.0.0/16 via 10.0.0.3 dev v0 ',
      '10.5.0.0/16 via 10.0.0.9 dev v0 metric 5 ',
      'blackhole 10.8.0.0/16 metric 50 ',
      '10.10.0.0/16 ',
      '\tnexthop via 10.0.0.2 dev v0 weight 3 ',
      '\tnexthop via 10.99.1.2 dev v1 weight 1 onlink ',
      '10.12.0.0/16 via 10.0.0.2 dev v0 proto 80 mtu 1400 ',
      '10.17.0.0/16 dev v0 scope link ',
      '10.19.0.0/16 ',
      '\tnexthop via 10.0.0.2 dev v0 weight 2 ',
      '\tnexthop dev v1 weight 1 ',
    ]
    expect(
      printRoutes(routes, { table: 'all' })
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('10.5.0.0 ')),
    ).toEqual(expected)
    expect(parseRoutes(printRoutes(routes, { table: 'all' }), place).problems).toEqual([])
  })

  it('reads a dump with IPv6 and what is not modelled, and says so once each', () => {
    const { routes, problems } = parseRoutes(
      '10.1.0.0/16 via 10.0.0.2 dev v0 realm 5 linkdown \n' +
        'fe80::/64 dev v0 proto kernel metric 256 pref medium\nlocal ::1 dev lo table local metric 0\n10.2.0.0/33 dev v0\n',
      { file: 'r', line: 0 },
    )
    expect(routes).toHaveLength(1)
    // the realm; linkdown follows from the device
    expect(problems.map(({ line, severity }) => [line, severity])).toEqual([
      [1, 'warning'],
      [4, 'error'],
      [4, 'warning'],
    ])
  })
})

describe('ip rule', () => {
  it('takes the priorities the kernel gives, and deletes the first that fits', () => {
    const rules = play<readonly RoutingRuleSpec[]>(
      [],
      [
        ['ip rule add from 10.0.0.0/24 lookup 100'],
        ['ip rule add fwmark 0x10/0xf0 lookup 101 pref 99'],
        ['ip rule add not from all fwmark 0x100000/0x100000 lookup 1 pref 98'],
        ['ip rule add to 1.2.3.4 iif v0 oif v1 blackhole pref 50'],
        ['ip rule add goto 99 pref 53'],
        ['ip rule add ipproto tcp sport 80 dport 100-200 table main pref 55'],
        ['ip rule add tos 0x10 table 77 suppress_prefixlength 0 pref 56'],
        ['ip rule add from 10.0.0.0/24 lookup 100'],
        ['ip rule add from 10.0.0.0/24 lookup 100 pref 99'],
        ['ip rule del pref 4444', 'RTNETLINK answers: No such file or directory'],
        ['ip rule del from 10.0.0.0/24 lookup 100'],
        ['ip rule add fwmark 7 lookup 100'],
        ['ip rule add', 'requires arguments'],
        ['ip rule add bogus', 'Failed to parse rule type'],
        ['ip rule add from all lookup nosuch', 'invalid table ID'],
        ['ip rule add goto 3 pref 60', 'Invalid argument'],
        ['ip rule add fwmark 7 lookup 100 pref 49', 'File exists'],
      ],
      (state, command) => {
        const { rules: next, problems } = applyRuleCommand(state, command, place)
        return { state: next, problems }
      },
    )
    expect(printRules(rules)).toBe(
      [
        '0:\tfrom all lookup local',
        '49:\tfrom all fwmark 0x7 lookup 100',
        '50:\tfrom all to 1.2.3.4 iif v0 oif v1 blackhole',
        '53:\tfrom all goto 99',
        '55:\tfrom all ipproto tcp sport 80 dport 100-200 lookup main',
        '56:\tfrom all tos 0x10 lookup 77 suppress_prefixlength 0',
        '98:\tnot from all fwmark 0x100000/0x100000 lookup 1',
        '99:\tfrom all fwmark 0x10/0xf0 lookup 101',
        '99:\tfrom 10.0.0.0/24 lookup 100',
        '32765:\tfrom 10.0.0.0/24 lookup 100',
        '32766:\tfrom all lookup main',
        '32767:\tfrom all lookup default',
        '',
      ].join('\n'),
    )
  })
})

describe('ip neigh and bridge fdb', () => {
  it('neighbours', () => {
    const neighbours = play<readonly NeighbourSpec[]>(
      [],
      [
        ['ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0'],
        ['ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:03 dev v0', 'RTNETLINK answers: File exists'],
        ['ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:03 dev v0 nud reachable'],
        ['ip neigh add proxy 10.0.0.9 dev v0'],
        ['ip neigh add proxy 10.0.0.9 dev v0'],
        ['ip neigh add 10.0.0.4 dev v0', 'Error: No link layer address given.'],
        ['ip neigh del 10.0.0.77 dev v0', 'No such file or directory'],
        ['ip neigh change 10.0.0.78 lladdr 02:00:00:00:00:05 dev v0', 'No such file or directory'],
        ['ip neigh add 10.0.0.10 lladdr zz dev v0', '"zz" is invalid lladdr.'],
        ['ip neigh add 10.0.0.10 lladdr 02:00:00:00:00:05', 'Device and destination are required'],
        ['ip neigh add 10.0.0.10 lladdr 02:00:00:00:00:05 dev nope', 'Cannot find device'],
        ['ip neigh add 10.0.0.7 dev v0 nud failed'],
        ['ip neigh append 10.0.0.5 dev v0', 'Command "append" is unknown'],
      ],
      (state, command) => {
        const { neighbours: next, problems } = applyNeighbourCommand(state, command, place, { devices })
        return { state: next, problems }
      },
    )
    expect(printNeighbours(neighbours)).toBe('10.0.0.2 dev v0 lladdr 02:00:00:00:00:03 REACHABLE \n10.0.0.7 dev v0 FAILED \n')
    expect(printNeighbours(neighbours, { proxy: true })).toBe('10.0.0.9 dev v0 proxy \n')
  })

  it('FDB', () => {
    const vxlan = {
      ...common,
      kind: 'vxlan',
      name: 'vx',
      addresses: [],
      vni: 1,
      port: 8472,
      learning: false,
      gbp: false,
      ttl: 0,
      tos: 0,
      df: 'unset',
      udpChecksum: true,
    } as unknown as DeviceSpec
    const fdb = play<readonly FdbSpec[]>(
      [],
      [
        ['bridge fdb add 02:00:00:00:00:02 dev v1 master'],
        ['bridge fdb add 02:00:00:00:00:03 dev v1 master static'],
        ['bridge fdb add 02:00:00:00:00:04 dev v1 master dynamic'],
        ['bridge fdb add 02:00:00:00:00:05 dev vx dst 10.0.0.2'],
        ['bridge fdb add 02:00:00:00:00:05 dev vx dst 10.0.0.3', 'RTNETLINK answers: File exists'],
        ['bridge fdb append 00:00:00:00:00:00 dev vx dst 10.0.0.3 self permanent'],
        ['bridge fdb append 00:00:00:00:00:00 dev vx dst 10.0.0.4 port 4789 vni 9 via v0'],
        ['bridge fdb replace 02:00:00:00:00:05 dev vx dst 10.0.0.9 dynamic'],
        ['bridge fdb del 02:00:00:00:00:99 dev vx', 'No such file or directory'],
        ['bridge fdb del 02:00:00:00:00:99 dev v1 master', 'No such file or directory'],
        ['bridge fdb add 02:00:00:00:00:08 dev v0'],
        ['bridge fdb add 02:00:00:00:00:09 dev nope', 'Cannot find device'],
        ['bridge fdb add zz dev vx', 'Invalid mac address zz'],
        ['bridge fdb add 02:00:00:00:00:03 dev v1 master static', 'File exists'],
        ['bridge fdb append 02:00:00:00:00:05 dev vx dst 10.0.0.9'],
        ['bridge fdb del 02:00:00:00:00:02 dev v1 master'],
        ['bridge fdb add 02:00:00:00:00:0f dev b0 self local'],
        ['bridge fdb add 02:00:00:00:00:3f dev vx dst 10.0.0.9 vni 1'],
        ['bridge fdb add 02:00:00:00:00:41 dev vx', 'Invalid argument'],
        ['bridge fdb add 02:00:00:00:00:42 dev v0 master', 'Operation not supported'],
      ],
      (state, command) => {
        const { fdb: next, problems } = applyFdbCommand(state, command, place, { devices: [...devices, vxlan] })
        return { state: next, problems }
      },
    )
    expect(printFdb(fdb).split('\n').sort()).toEqual([
      '',
      '00:00:00:00:00:00 dev vx dst 10.0.0.3 self permanent',
      '00:00:00:00:00:00 dev vx dst 10.0.0.4 port 4789 vni 9 via v0 self permanent',
      '02:00:00:00:00:03 dev v1 master b0 static',
      '02:00:00:00:00:04 dev v1 master b0 ',
      '02:00:00:00:00:05 dev vx dst 10.0.0.9 self permanent',
      '02:00:00:00:00:08 dev v0 self permanent',
      '02:00:00:00:00:0f dev b0 master b0 permanent',
      '02:00:00:00:00:3f dev vx dst 10.0.0.9 self permanent',
    ])
  })
})

describe('ip addr and ip link', () => {
  it('prints as ip addr show does', () => {
    expect(printAddresses(devices, { ifindex: (device) => devices.indexOf(device) + 2 })).toBe(
      [
        '2: v0@v1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000',
        '    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff',
        '    inet 10.0.0.1/24 brd 10.0.0.255 scope global v0',
        '       valid_lft forever preferred_lft forever',
        '3: v1@v0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master b0 state UP group default qlen 1000',
        '    link/ether 02:00:00:00:00:02 brd ff:ff:ff:ff:ff:ff',
        '    inet 10.0.1.1/24 scope global v1',
        '       valid_lft forever preferred_lft forever',
        '4: b0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000',
        '    link/ether 02:00:00:00:00:03 brd ff:ff:ff:ff:ff:ff',
        '5: flannel0: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1472 qdisc pfifo_fast state UNKNOWN group default qlen 500',
        '    link/none ',
        '    inet 10.1.64.0/32 scope global flannel0',
        '       valid_lft forever preferred_lft forever',
        '',
      ].join('\n'),
    )
  })

  it('commands', () => {
    const after = play<readonly DeviceSpec[]>(
      devices,
      [
        ['ip addr add 10.0.0.1/24 dev v0', 'File exists'],
        ['ip addr add 10.9.0.2/24 brd + dev b0'],
        ['ip a add 127.0.0.5/8 dev b0'],
        ['ip addr del 10.99.0.1/24 dev v0', 'Cannot assign requested address'],
        ['ip addr add 10.0.0.300/24 dev v0', 'any valid prefix is expected'],
        ['ip addr add 10.4.0.1/24', '"dev" argument is required'],
        ['ip addr del 10.0.1.1/24 dev v1'],
      ],
      (state, command) => {
        const { devices: next, problems } = applyAddressCommand(state, command, place)
        return { state: next, problems }
      },
    )
    const last = play<readonly DeviceSpec[]>(
      after,
      [
        ['ip link set dev v0 mtu 1400 down'],
        ['ip link set v0 master b0'],
        ['ip link set v1 nomaster'],
        ['ip link set v0 type bridge_slave hairpin on'],
        ['bridge link set dev v0 isolated on'],
        ['ip link set v0 address 02:00:00:00:00:aa'],
        ['ip link set v0 address 01:00:00:00:00:01', 'Cannot assign requested address'],
        ['ip link set v0 mtu 10', 'mtu less than device minimum'],
        ['ip link set nope up', 'Cannot find device "nope"'],
        ['ip link set v0 frob', 'not modelled'],
        ['ip link set v0 master flannel0', 'Operation not supported'],
        ['ip link set v1 type bridge_slave hairpin on', 'Operation not supported'],
      ],
      (state, command) => {
        const { devices: next, problems } = applyLinkCommand(state, command, place)
        return { state: next, problems }
      },
    )
    expect(last[0]).toMatchObject({ mtu: 1400, up: false, master: 'b0', mac: 0x0200000000aa, bridgePort: { hairpin: true, isolated: true } })
    expect('master' in last[1]).toBe(false)
    expect(last[1].addresses).toEqual([])
    expect(last[2].addresses).toEqual([
      { address: ip('10.9.0.2'), length: 24, scope: 'global', broadcast: ip('10.9.0.255') },
      { address: ip('127.0.0.5'), length: 8, scope: 'host' },
    ])
  })
})

describe('ipset', () => {
  it('answers and stores as ipset 7.17 does', () => {
    const sets = play<readonly IpSet[]>(
      [],
      [
        ['ipset create a hash:ip'],
        ['ipset create a hash:ip', 'set with the same name already exists'],
        ['ipset create b hash:net,port'],
        ['ipset create c bitmap:port range 1-1000'],
        ['ipset create d list:set'],
        ['ipset create e hash:net,iface'],
        ['ipset create i hash:ip,port,net'],
        ['ipset create k hash:ip,port'],
        ['ipset create l hash:net family inet maxelem 1048576'],
        ['ipset create n hash:foo', "typename 'hash:foo' is unknown"],
        ['ipset add a 10.0.0.1'],
        ['ipset add a 10.0.0.1', "it's already added"],
        ['ipset add a 10.0.0.1 -exist'],
        ['ipset add nope 10.0.0.1', 'The set with the given name does not exist'],
        ['ipset add a bogus.invalid', 'cannot parse bogus.invalid'],
        ['ipset del a 10.0.0.9', "it's not added"],
        ['ipset add a 10.0.1.0/30'],
        ['ipset add b 10.0.0.0/8,tcp:80'],
        ['ipset add b 10.0.0.7/24,udp:80-82'],
        ['ipset add b 10.0.0.1,icmp:8/0'],
        ['ipset add c 80'],
        ['ipset add c 90-92'],
        ['ipset add c 2000', 'Element is out of the range of the set'],
        ['ipset add d a'],
        ['ipset add d zz', 'Set to be added/deleted/tested as element does not exist.'],
        ['ipset add e 10.0.0.0/24,eth0'],
        ['ipset add i 10.0.0.1,tcp:80,10.0.0.0/16'],
        ['ipset add k 10.0.0.1,53'],
        ['ipset add k 10.0.0.1,sctp:53'],
        ['ipset add k 10.0.0.1,4:0'],
        ['ipset add l 10.0.0.0/8 nomatch'],
        ['ipset add l 0.0.0.0/0', 'CIDR parameter'],
        ['ipset destroy a', 'in use by a kernel component'],
        ['ipset add l 10.0.0.1-10.0.0.6'],
        ['ipset swap a k', 'their type does not match'],
        ['ipset rename k kk'],
        ['ipset -N zz iphash'],
        ['ipset add zz 1.2.3.4 timeout 3', 'created without timeout support'],
      ],
      (state, command) => {
        const { sets: next, problems } = applyIpsetCommand(state, command, place)
        return { state: next, problems }
      },
    )
    expect(sets.map(({ name, members }) => [name, ...members.map(({ element }) => element).sort()])).toEqual([
      ['a', '10.0.0.1', '10.0.1.0', '10.0.1.1', '10.0.1.2', '10.0.1.3'],
      ['b', '10.0.0.0/24,udp:80', '10.0.0.0/24,udp:81', '10.0.0.0/24,udp:82', '10.0.0.0/8,tcp:80', '10.0.0.1,icmp:echo-request'],
      ['c', '80', '90', '91', '92'],
      ['d', 'a'],
      ['e', '10.0.0.0/24,eth0'],
      ['i', '10.0.0.1,tcp:80,10.0.0.0/16'],
      ['kk', '10.0.0.1,ipencap:0', '10.0.0.1,sctp:53', '10.0.0.1,tcp:53'],
      ['l', '10.0.0.0/8', '10.0.0.1', '10.0.0.2/31', '10.0.0.4/31', '10.0.0.6'],
      ['zz'],
    ])
    expect(parseIpsets(printIpsets(sets), place).problems).toEqual([])
  })
})

describe('sysctls', () => {
  it('keys with slashes, vectors, unknown keys', () => {
    expect(normaliseSysctl('net/ipv4/conf/eth0.100/rp_filter')).toBe('net.ipv4.conf.eth0/100.rp_filter')
    expect(normaliseSysctl('/proc/sys/net/ipv4/ip_forward')).toBe('net.ipv4.ip_forward')
    expect(normaliseSysctl('net.ipv4.conf.eth0/100.rp_filter')).toBe('net.ipv4.conf.eth0/100.rp_filter')
    const { sysctls, problems } = parseSysctls(
      'net.ipv4.ip_forward = 1\nsysctl -w net.ipv4.conf.all.rp_filter=2 net/ipv4/tcp_sack=0\n' +
        'net.ipv4.ip_local_port_range = 32768\t60999\nnet.ipv4.nosuch = 1\nnonsense\nnet.ipv4.tcp_congestion_control = bbr\n',
      { file: 's', line: 1 },
    )
    expect(printSysctls(sysctls)).toBe(
      'net.ipv4.conf.all.rp_filter = 2\nnet.ipv4.ip_forward = 1\nnet.ipv4.ip_local_port_range = 32768\t60999\n' +
        'net.ipv4.nosuch = 1\nnet.ipv4.tcp_sack = 0\n',
    )
    expect(problems.map(({ line, severity }) => `${severity} ${line}`)).toEqual(['warning 4', 'error 5', 'warning 6'])
    expect([
      sysctlDefault('net.ipv4.conf.eth7.send_redirects'),
      sysctlDefault('net.ipv4.neigh.eth7.mcast_solicit'),
      sysctlDefault('net.ipv4.ip_local_port_range[1]'),
    ]).toEqual([1, 3, 60999])
  })
})

it('a line break in a quoted word is refused: iptables-restore and ipset restore would read a command of its own behind it', () => {
  const iptables = applyIptablesCommand({ tables: [] }, '-A INPUT -m comment --comment "x\n-A INPUT -j DROP -m comment --comment " -j ACCEPT', place)
  expect(iptables.state).toEqual({ tables: [] })
  expect(iptables.problems).toEqual([expect.objectContaining({ severity: 'error', what: expect.stringContaining('a line break within a word') })])
  const sets = applyIpsetCommand([], 'create "a\nflush" hash:ip', place)
  expect([sets.sets, sets.problems.map(({ severity }) => severity)]).toEqual([[], ['error']])
  expect(applyIptablesCommand({ tables: [] }, '-A INPUT\n-j ACCEPT', place).problems).toEqual([])
})

it('printDataplane names each section and leaves the empty ones out', () => {
  expect(
    printDataplane({
      ...EMPTY_DATAPLANE,
      netns: 'n1',
      sysctls: { 'net.ipv4.ip_forward': 1 },
      routes: [{ destination: { base: 0, length: 0 }, type: 'blackhole' }],
    }),
  ).toBe('# n1: ip route show table all\nblackhole default \n\n# n1: sysctl -a\nnet.ipv4.ip_forward = 1\n')
})
