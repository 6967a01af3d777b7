/**
 * Text as real nodes print it, of iptables 1.4 to 1.8 and iproute2 old and new, BusyBox and net-tools. Each line's form is taken from the tool's source
 * (named beside it), not its words. What is not understood is kept by name; nothing vanishes without a Problem.
 */
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { parseFdb } from '../../src/dataplane/bridge-fdb.js'
import { parseNeighbours } from '../../src/dataplane/ip-neigh.js'
import { parseRoutes } from '../../src/dataplane/ip-route.js'
import { parseRules } from '../../src/dataplane/ip-rule.js'
import { parseIpsets } from '../../src/dataplane/ipset-save.js'
import { printRule } from '../../src/dataplane/iptables-print.js'
import { parseIptablesSave } from '../../src/dataplane/iptables-save.js'
import type { Rule } from '../../src/dataplane/iptables.js'
import { parseSysctls } from '../../src/dataplane/sysctl.js'

const place = { file: 'dump', line: 1, by: 'dump' }

/** The rules of one chain as iptables 1.8.9 would print them, the Problems as `severity line`. */
function chain(
  text: string,
  name = 'FORWARD',
  table = 0,
): { readonly rules: readonly Rule[]; readonly words: readonly string[]; readonly said: readonly string[] } {
  const { state, problems } = parseIptablesSave(text, place)
  const rules = state.tables[table]?.chains.find((other) => other.name === name)?.rules ?? []
  return { rules, words: rules.map(printRule), said: problems.map(({ severity, line }) => `${severity} ${line}`) }
}

const filter = (...lines: string[]): string => ['*filter', ':FORWARD ACCEPT [0:0]', ...lines, 'COMMIT', ''].join('\n')

describe('iptables-save', () => {
  it.each([
    // iptables.c print_rule before 1.4.3: `!` behind the option
    ['-A FORWARD -s ! 10.244.0.0/255.255.0.0 -d 224.0.0.0/4 -j DROP', '! -s 10.244.0.0/16 -d 224.0.0.0/4 -j DROP'],
    ['-A FORWARD -i ! cni0 -p ! tcp -j ACCEPT', '! -i cni0 ! -p tcp -j ACCEPT'],
    ['-A FORWARD -p tcp -m tcp --dport ! 80 --tcp-flags ! SYN,ACK,RST SYN -j ACCEPT', '-p tcp -m tcp ! --dport 80 ! --tcp-flags SYN,RST,ACK SYN -j ACCEPT'],
    ['-A FORWARD -p tcp -m state --state ! INVALID -j ACCEPT', '-p tcp -m state ! --state INVALID -j ACCEPT'],
    // libxt_set.c before 1.4.4, and libipt_set.c before that
    ['-A FORWARD -m set --set kube src -j ACCEPT', '-m set --match-set kube src -j ACCEPT'],
    ['-A FORWARD -m set ! --set kube src,dst -j ACCEPT', '-m set ! --match-set kube src,dst -j ACCEPT'],
    ['-A FORWARD -j LOG --log-prefix "DROP: \\"a\\" " --log-level 7', '-j LOG --log-prefix "DROP: \\"a\\" " --log-level 7'],
    ['-A FORWARD -m physdev --physdev-in veth+ --physdev-is-bridged -j ACCEPT', '-m physdev --physdev-in veth+ --physdev-is-bridged -j ACCEPT'],
    ['-A FORWARD -m physdev  --physdev-is-bridged -j ACCEPT', '-m physdev --physdev-is-bridged -j ACCEPT'],
    ['-A FORWARD -j NFLOG --nflog-prefix  "x y" --nflog-group 5', '-j NFLOG --nflog-prefix "x y" --nflog-group 5'],
    ['-A FORWARD -m comment --comment "a \\"quoted\\" \\\\ one" -j ACCEPT', '-m comment --comment "a \\"quoted\\" \\\\ one" -j ACCEPT'],
    ['[18446744073709551615:99999999999999999999] -A FORWARD -j ACCEPT', '-j ACCEPT'],
    ['-A FORWARD -p icmp -m comment --comment "!" -j ACCEPT', '-p icmp -m comment --comment "!" -j ACCEPT'],
  ])('%s', (line, modern) => {
    expect(chain(filter(line))).toMatchObject({ words: [modern], said: [] })
  })

  it.each([
    [
      '-A FORWARD -s 10.0.0.0/8 -m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0" -j ACCEPT',
      '-s 10.0.0.0/8 -m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0" -j ACCEPT',
    ],
    ['-A FORWARD -p tcp -m tcp --dport 80 -m wonder --dport 81 ! --really a b -j DROP', '-p tcp -m tcp --dport 80 -m wonder --dport 81 ! --really a b -j DROP'],
    ['-A FORWARD -m wonder --this ! that -j DROP', '-m wonder --this ! that -j DROP'],
    ['-A FORWARD -i cni0 -j FLOWOFFLOAD --hw', '-i cni0 -j FLOWOFFLOAD --hw'],
    ['-A FORWARD -p udp -j MASQUERADE --later-option 3', '-p udp -j MASQUERADE --later-option 3'],
    ['-A FORWARD -m conntrack --ctstate NEW,SOMEDAY -j ACCEPT', '-m conntrack --ctstate NEW,SOMEDAY -j ACCEPT'],
    ['-A FORWARD -d a.host.name -p tcp -j ACCEPT', '-p tcp -d a.host.name -j ACCEPT'],
    ['-A FORWARD ! -s 10.0.0.0/8 -p 300 -j ACCEPT', '! -s 10.0.0.0/8 -p 300 -j ACCEPT'],
    ['-A FORWARD -o cni0 -j ACCEPT -j DROP', '-o cni0 -j ACCEPT -j DROP'],
    ['-A FORWARD -s 10.0.0.1/32 -g NOWHERE', '-s 10.0.0.1/32 -g NOWHERE'],
  ])('keeps by name: %s', (line, kept) => {
    const { rules, words, said } = chain(filter(line, '-A FORWARD -j DROP'))
    expect(words).toEqual([kept, '-j DROP'])
    const [{ matches, target }] = rules
    const unknown = matches.some(({ kind }) => kind === 'unknown') || target?.kind === 'unknown' || target?.kind === 'goto'
    expect(unknown).toBe(true)
    if (target?.kind !== 'goto') expect(said).toEqual(['warning 3'])
    expect(rules[0].provenance).toEqual({ by: 'dump', file: 'dump', line: 3 })
  })

  it('several tables, counters, comments, line ends of Windows, a mark of the byte order, a comment over two lines', () => {
    const text = [
      '\ufeff# Generated by iptables-save v1.4.21 on Tue Mar  1 10:00:00 2016',
      '*nat',
      ':PREROUTING ACCEPT [12:720]',
      ':KUBE-SVC - [0:0]',
      '[5:300] -A PREROUTING -m comment --comment "two',
      'lines" -j KUBE-SVC',
      'COMMIT',
      '# Completed on Tue Mar  1 10:00:00 2016',
      '*security',
      ':FORWARD DROP [0:0]',
      '-A FORWARD -j ACCEPT',
      'COMMIT',
    ].join('\r\n')
    const { state, problems } = parseIptablesSave(text, place)
    expect(problems).toEqual([])
    expect(state.tables.map(({ name }) => name)).toEqual(['nat', 'security'])
    const [rule] = state.tables[0].chains[0].rules
    expect(rule).toMatchObject({ matches: [{ kind: 'comment', text: 'two\nlines' }], target: { kind: 'jump', chain: 'KUBE-SVC' }, packets: 5, bytes: 300 })
    expect(state.tables[0].chains[0].packets).toBe(12)
  })

  it('a quote that stays open costs its own rule alone', () => {
    const { words, said } = chain(filter('-A FORWARD -m comment --comment "never', '-A FORWARD -j DROP'))
    expect(words).toEqual(['-m comment --comment never', '-j DROP'])
    expect(said).toEqual(['error 3'])
  })

  it('both backends in one text are two tables; the same one twice is the later', () => {
    const nft = `# Generated by iptables-nft-save v1.8.9 (nf_tables) on Mon\n${filter('-A FORWARD -j ACCEPT')}`
    const both = `${nft}# Generated by iptables-save v1.8.9 on Mon\n${filter('-A FORWARD -j DROP')}`
    expect([chain(both).words, chain(both, 'FORWARD', 1).words, chain(both).said]).toEqual([['-j ACCEPT'], ['-j DROP'], []])
    const twice = filter('-A FORWARD -j ACCEPT') + filter('-A FORWARD -j DROP')
    expect(chain(twice)).toMatchObject({ words: ['-j DROP'], said: ['warning 8'] })
    expect(chain(twice, 'FORWARD', 1).words).toEqual([])
  })

  it('ip6tables beside it is left out and said so; a table that is none costs its own lines', () => {
    const six = `# Generated by ip6tables-save v1.8.7 on Mon\n${filter('-A FORWARD -s fe80::/64 -j ACCEPT')}`
    const four = `# Generated by iptables-save v1.8.7 on Mon\n${filter('-A FORWARD -j DROP')}`
    const text = `${six}${four}*broute\n:BROUTING ACCEPT\n-A BROUTING -j DROP\nCOMMIT\n`
    expect(chain(text)).toMatchObject({ words: ['-j DROP'], said: ['warning 1', 'error 11'] })
  })

  it('says what the nft variant says in comments: legacy tables, and tables it cannot show', () => {
    const warned = chain(`# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n${filter('-A FORWARD -j DROP')}`)
    expect(warned).toMatchObject({ words: ['-j DROP'], said: ['warning 1'] })
    const { state, problems } = parseIptablesSave("# Table `nat' is incompatible, use 'nft' tool.\n", place)
    expect(problems.map(({ severity }) => severity)).toEqual(['warning'])
    expect(state.tables[0].name).toBe('nat')
    for (const { rules } of state.tables[0].chains) expect(rules[0].matches[0].kind).toBe('unknown')
  })

  it('iptables -S and -S -v, which name no table', () => {
    const nat = '-P PREROUTING ACCEPT\n-P INPUT ACCEPT\n-P OUTPUT ACCEPT\n-P POSTROUTING ACCEPT\n-N FLANNEL-POSTRTG\n-A POSTROUTING -j FLANNEL-POSTRTG\n'
    const { state, problems } = parseIptablesSave(
      `${nat}-P INPUT DROP -c 3 180\n-P FORWARD ACCEPT -c 0 0\n-P OUTPUT ACCEPT -c 0 0\n-A INPUT -c 7 420 -i lo -j ACCEPT\n`,
      place,
    )
    expect(problems).toEqual([])
    expect(state.tables.map(({ name }) => name)).toEqual(['nat', 'filter'])
    expect(state.tables[0].chains.at(-1)?.name).toBe('FLANNEL-POSTRTG')
    expect(state.tables[1].chains[0]).toMatchObject({ policy: 'DROP', packets: 3, bytes: 180, rules: [{ packets: 7, bytes: 420, target: { kind: 'ACCEPT' } }] })
    const one = parseIptablesSave('-N DOCKER-USER\n-A DOCKER-USER -j RETURN\n', place, { table: 'filter' })
    expect([one.problems, one.state.tables[0].chains.at(-1)?.rules.length]).toEqual([[], 1])
  })

  it('rules of a chain whose declaration is lost are kept', () => {
    expect(chain('*filter\n-A LOST -j DROP\n-A FORWARD -j LOST\nCOMMIT\n')).toMatchObject({ words: ['-j LOST'], said: ['error 2'] })
  })
})

describe('ip route', () => {
  const shown = (text: string): readonly string[] =>
    parseRoutes(text, place).routes.map(({ destination, type, via, device, table, metric, provenance }) =>
      [type, formatCidr(destination), via === undefined ? '-' : formatIp(via), device ?? '-', table ?? 'main', metric ?? 0, provenance?.line].join(' '),
    )

  it.each([
    // iproute2 3 and 4 put two blanks; 5 and 6 one
    ['default via 10.0.0.1 dev eth0  proto static  metric 100 ', ['unicast 0.0.0.0/0 10.0.0.1 eth0 main 100 1']],
    ['10.244.0.0/24 dev cni0 proto kernel scope link src 10.244.0.1 linkdown \n', ['unicast 10.244.0.0/24 - cni0 main 0 1']],
    ['blackhole 10.244.17.0/26 proto bird ', ['blackhole 10.244.17.0/26 - - main 0 1']],
    ['10.1.0.0/16 nhid 12 via 10.0.0.2 dev eth0 proto calico table vpn', ['unicast 10.1.0.0/16 10.0.0.2 eth0 vpn 0 1']],
    ['10.1.0.0/16 via 10.0.0.2 dev eth0 proto 17 onlink dead', ['unicast 10.1.0.0/16 10.0.0.2 eth0 main 0 1']],
    // BusyBox libiproute/iproute.c
    [
      'default via 10.0.2.2 dev eth0 \n10.0.2.0/24 dev eth0 scope link  src 10.0.2.15 \n',
      ['unicast 0.0.0.0/0 10.0.2.2 eth0 main 0 1', 'unicast 10.0.2.0/24 - eth0 main 0 2'],
    ],
    // net-tools, BusyBox networking/route.c
    [
      'Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n' +
        '0.0.0.0         10.0.2.2        0.0.0.0         UG    100    0        0 eth0\n' +
        '10.244.1.0      0.0.0.0         255.255.255.0   U     0      0        0 cni0\n' +
        '10.9.0.0        -               255.255.0.0     !     0      -        0 -\n',
      ['unicast 0.0.0.0/0 10.0.2.2 eth0 main 100 3', 'unicast 10.244.1.0/24 - cni0 main 0 4', 'unreachable 10.9.0.0/16 - - main 0 5'],
    ],
    // fib_route_seq_show
    [
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n' +
        'eth0\t00000000\t0202000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\ncni0\t0001F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n',
      ['unicast 0.0.0.0/0 10.0.2.2 eth0 main 100 2', 'unicast 10.244.1.0/24 - cni0 main 0 3'],
    ],
  ])('%j', (text, routes) => {
    expect([shown(text), parseRoutes(text, place).problems.filter(({ severity }) => severity === 'error')]).toEqual([routes, []])
  })

  it('IPv6 among the routes of all tables is left out, also where no prefix says it', () => {
    const { routes, problems } = parseRoutes(
      'unreachable default dev lo  table unspec  proto kernel  metric 4294967295  error -101 pref medium\ndefault via fe80::1 dev eth0 proto ra\n' +
        'default dev eth0 metric 1 pref medium\nanycast fd00:: dev eth0 table local\nmulticast ff00::/8 dev eth0 table local proto kernel metric 256 pref medium\n',
      place,
    )
    expect([routes, problems.length, problems[0].severity]).toEqual([[], 1, 'warning'])
  })

  it('next hops on lines of their own', () => {
    const { routes, problems } = parseRoutes(
      '10.9.0.0/16 proto bird \n\tnexthop via 10.0.0.2  dev eth0 weight 1\n\tnexthop via 10.0.0.3  dev eth0 weight 1 dead linkdown \n',
      place,
    )
    expect([routes[0].nexthops?.length, routes[0].provenance?.line, problems]).toEqual([2, 1, []])
  })
})

describe('the other tools', () => {
  it('ip rule: tables and protocols by a node’s own names, VRFs’ rule aside', () => {
    const { rules, problems } = parseRules(
      '0:\tfrom all lookup local \n1000:\tfrom all lookup [l3mdev-table] \n99:\tnot from all fwmark 0x40000/0x40000 lookup vpn proto calico\n32766:\tfrom all lookup main \n',
      place,
    )
    expect(rules.map(({ priority, table }) => `${priority} ${table}`)).toEqual(['0 local', '99 vpn', '32766 main'])
    expect(problems.map(({ line, severity }) => `${severity} ${line}`)).toEqual(['warning 2'])
  })

  it.each([
    // ip -s neigh: ipneigh.c print_neigh
    ['10.0.0.2 dev eth0 lladdr 02:00:00:00:00:02 ref 1 used 5/0/5 probes 4 REACHABLE', ['10.0.0.2 eth0 2 reachable']],
    ['10.0.0.2 dev eth0 lladdr 02:00:00:00:00:02 extern_learn  STALE', ['10.0.0.2 eth0 2 stale']],
    ['10.0.0.3 dev eth0  FAILED\nfe80::1 dev eth0 lladdr 02:00:00:00:00:02 router STALE', ['10.0.0.3 eth0 - failed']],
    // net/ipv4/arp.c arp_format_neigh_entry
    [
      'IP address       HW type     Flags       HW address            Mask     Device\n' +
        '10.0.0.2         0x1         0x2         02:00:00:00:00:02     *        eth0\n' +
        '10.0.0.3         0x1         0x0         00:00:00:00:00:00     *        eth0\n10.244.1.0       0x1         0x6         02:00:00:00:00:09     *        flannel.1\n',
      ['10.0.0.2 eth0 2 stale', '10.0.0.3 eth0 - incomplete', '10.244.1.0 flannel.1 9 permanent'],
    ],
    // net-tools arp.c arp_disp_2
    [
      'Address                  HWtype  HWaddress           Flags Mask            Iface\n' +
        '10.0.0.2                 ether   02:00:00:00:00:02   C                     eth0\n' +
        '10.0.0.3                         (incomplete)                              eth0\n10.244.1.0               ether   02:00:00:00:00:09   CM                    flannel.1\n',
      ['10.0.0.2 eth0 2 stale', '10.0.0.3 eth0 - incomplete', '10.244.1.0 flannel.1 9 permanent'],
    ],
    ['? (10.0.0.2) at 02:00:00:00:00:02 [ether]  on eth0\n? (10.0.0.3) at <incomplete>  on eth0\n', ['10.0.0.2 eth0 2 stale', '10.0.0.3 eth0 - incomplete']],
  ])('neighbours: %j', (text, entries) => {
    const { neighbours, problems } = parseNeighbours(text, place)
    expect(neighbours.map(({ address, device, mac, state }) => [formatIp(address), device, mac === undefined ? '-' : mac % 256, state].join(' '))).toEqual(
      entries,
    )
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  })

  it('bridge fdb: VLANs’ entries aside, link-netnsid and -s', () => {
    const { fdb, problems } = parseFdb(
      '02:00:00:00:00:01 dev veth1 vlan 1 master cni0 permanent\n02:00:00:00:00:01 dev veth1 master cni0 permanent\n' +
        '02:00:00:00:00:02 dev flannel.1 dst 10.0.0.2 link-netnsid 0 used 3/4 self permanent\n' +
        '33:33:00:00:00:01 dev eth0 self permanent offload\n',
      place,
    )
    expect(fdb.map(({ device, destination, provenance }) => [device, destination, provenance?.line])).toEqual([
      ['veth1', undefined, 2],
      ['flannel.1', ip('10.0.0.2'), 3],
      ['eth0', undefined, 4],
    ])
    expect(problems.map(({ severity }) => severity)).toEqual(['warning'])
  })

  it('ipset save of protocols 6 and 7, of ipset 4, ipset list, and types that are not known', () => {
    const { sets, problems } = parseIpsets(
      'create a hash:net family inet hashsize 1024 maxelem 1048576 bucketsize 12 initval 0x1234abcd\nadd a 10.0.0.0/8\nadd a 10.1.0.0/16 nomatch\n' +
        'create b hash:ip,port family inet hashsize 1024 maxelem 65536 timeout 0 counters comment\n' +
        'add b 10.0.0.1,tcp:80 timeout 0 packets 5 bytes 300 comment "a b"\n' +
        '-N c iphash --hashsize 1024 --probes 8 --resize 50\n-A c 10.0.0.1\nCOMMIT\n' +
        'create d hash:wonder family inet\nadd d anything,here\n' +
        'Name: e\nType: hash:ip\nRevision: 4\nHeader: family inet hashsize 1024 maxelem 65536\nSize in memory: 296\nReferences: 1\nNumber of entries: 1\nMembers:\n10.0.0.9\n\n',
      place,
    )
    expect(sets.map(({ name, type, members }) => [name, type, members.map(({ element }) => element)])).toEqual([
      ['a', 'hash:net', ['10.0.0.0/8', '10.1.0.0/16']],
      ['b', 'hash:ip,port', ['10.0.0.1,tcp:80']],
      ['c', 'hash:ip', ['10.0.0.1']],
      ['d', 'hash:wonder', ['anything,here']],
      ['e', 'hash:ip', ['10.0.0.9']],
    ])
    expect(problems.map(({ severity, line }) => `${severity} ${line}`)).toEqual(['warning 9'])
  })

  it('sysctl: blanks or none, tabs, slashes, complaints', () => {
    const { sysctls, problems } = parseSysctls(
      'net.ipv4.ip_forward=1\nnet.ipv4.conf.all.rp_filter\t=\t2\nnet/ipv4/conf/eth0.100/rp_filter = 0\n' +
        "sysctl: permission denied on key 'net.ipv4.tcp_fastopen_key'\n" +
        "error: permission denied on key 'net.ipv4.route.flush'\nnet.ipv4.ip_local_port_range = 32768\t60999\nnet.ipv4.tcp_congestion_control = cubic\nnet.core.wonder = 7\n",
      place,
    )
    expect(sysctls).toMatchObject({
      'net.ipv4.ip_forward': 1,
      'net.ipv4.conf.all.rp_filter': 2,
      'net.ipv4.conf.eth0/100.rp_filter': 0,
      'net.ipv4.ip_local_port_range[1]': 60999,
      'net.core.wonder': 7,
    })
    expect(problems).toEqual([])
  })
})
