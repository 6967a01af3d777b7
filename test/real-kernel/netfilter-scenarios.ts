/** Rulesets and packets for netfilter.test.ts: what flannel, docker, kube-proxy and Calico write, and each match and target by itself. */
import { TCP_ACK, TCP_FIN, TCP_RST, type Packet } from '../../src/wire/packet.js'
import { answer, icmpError, packet, table, type PacketSpec } from '../net/netfilter/support.js'
import type { Side } from './netfilter-lab.js'

export interface Step {
  readonly from: Side
  /** `arrived`: the packets of the steps so far, as they left the router. */
  readonly packet: (arrived: readonly Packet[]) => Packet
  readonly waitSeconds?: number
}

export interface Scenario {
  readonly name: string
  readonly rules: string
  readonly ipsets?: string
  readonly steps: readonly Step[]
  /** Both when absent. */
  readonly tools?: readonly string[]
}

const a = (spec: PacketSpec = {}): Step => ({ from: 'a', packet: () => packet(spec) })
const b = (spec: PacketSpec = {}): Step => ({ from: 'b', packet: () => packet({ src: '10.2.0.2', dst: '10.1.0.2', ...spec }) })
/** The far end answers the packet of a step. */
const back = (step: number, from: Side = 'b'): Step => ({ from, packet: (arrived) => answer(arrived[step]) })
const error = (step: number, type = 3, code = 3, from: Side = 'b'): Step => ({
  from,
  packet: (arrived) => icmpError(arrived[step], from === 'b' ? '10.2.0.2' : '10.1.0.2', type, code),
})
/** The client goes on with the connection of a step: a segment with these flags. */
const segment = (step: number, flags: number, spec: PacketSpec = {}): Step => ({
  from: 'a',
  packet: () => packet({ proto: 'tcp', flags, ...spec, sport: 40000 + step }),
})

const VIP = '10.96.0.10'
/** kube-proxy's chains for one service with endpoints at 10.2.0.2 and 10.2.0.3. */
const service = (...pick: readonly string[]): string =>
  table(
    'nat',
    '-A PREROUTING -j KUBE-SERVICES',
    '-A OUTPUT -j KUBE-SERVICES',
    '-A POSTROUTING -j KUBE-POSTROUTING',
    `-A KUBE-SERVICES -d ${VIP}/32 -p udp -m comment --comment "default/dns cluster IP" -m udp --dport 53 -j KUBE-SVC-X`,
    '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
    '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
    '-A KUBE-POSTROUTING -j MASQUERADE',
    `-A KUBE-SVC-X ! -s 10.1.0.0/25 -d ${VIP}/32 -p udp -m udp --dport 53 -j KUBE-MARK-MASQ`,
    ...pick,
    '-A KUBE-SEP-A -s 10.2.0.2/32 -j KUBE-MARK-MASQ',
    '-A KUBE-SEP-A -p udp -m udp -j DNAT --to-destination 10.2.0.2:5353',
    '-A KUBE-SEP-B -s 10.2.0.3/32 -j KUBE-MARK-MASQ',
    '-A KUBE-SEP-B -p udp -m udp -j DNAT --to-destination 10.2.0.3:5353',
  )

const FORWARD_COUNTS = [
  '-A FORWARD -m conntrack --ctstate NEW',
  '-A FORWARD -m conntrack --ctstate ESTABLISHED',
  '-A FORWARD -m conntrack --ctstate RELATED',
  '-A FORWARD -m conntrack --ctstate INVALID',
  '-A FORWARD -m conntrack --ctstate UNTRACKED',
  '-A FORWARD -m conntrack --ctstate DNAT',
  '-A FORWARD -m conntrack --ctstate SNAT',
  '-A FORWARD -m state --state NEW,RELATED',
]

const udpFlow = [a(), back(0), a(), back(2)]
const setScenario = (type: string, options: string, members: readonly string[], match: string, steps: readonly Step[]): Scenario => ({
  name: `ipset ${type} ${options}, ${match}`,
  ipsets: [`create s ${type} ${options}`, ...members.map((member) => `add s ${member}`), ''].join('\n'),
  rules: table('filter', `-A FORWARD -m set --match-set s ${match} -j ACCEPT`, `-A FORWARD -m set ! --match-set s ${match} -j DROP`),
  steps,
})

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'addresses, protocols, devices',
    rules: table(
      'filter',
      '-A FORWARD -s 10.1.0.0/24',
      '-A FORWARD ! -s 10.1.0.2/32',
      '-A FORWARD -d 10.2.0.2/32 -i ra',
      '-A FORWARD -i r+ -o rb',
      '-A FORWARD ! -i ra',
      '-A FORWARD ! -o ra -p tcp',
      '-A FORWARD -i ra+ ! -p udp',
      '-A FORWARD -i x+',
      '-A FORWARD -p icmp -j DROP',
      '-A FORWARD -d 10.2.0.3/32 -j DROP',
    ),
    steps: [a(), a({ src: '10.1.0.3' }), b(), a({ proto: 'tcp' }), a({ proto: 'icmp' }), a({ dst: '10.2.0.3' }), a({ proto: 47 })],
  },
  {
    name: 'ports, flags, types',
    rules: table(
      'filter',
      '-A FORWARD -p udp -m udp --dport 9000',
      '-A FORWARD -p udp -m udp --sport 40000:40010 --dport 53',
      '-A FORWARD -p udp -m udp ! --dport 53',
      '-A FORWARD -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN',
      '-A FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN',
      '-A FORWARD -p icmp -m icmp --icmp-type 8',
      '-A FORWARD -p icmp -m icmp --icmp-type 3/4',
      '-A FORWARD -p icmp -m icmp ! --icmp-type 8',
    ),
    steps: [
      a(),
      a({ dport: 53 }),
      a({ sport: 1, dport: 53 }),
      a({ proto: 'tcp', dport: 80 }),
      a({ proto: 'tcp', dport: 80, flags: TCP_ACK }),
      a({ proto: 'icmp' }),
      a({ proto: 'icmp', icmpType: 13 }),
    ],
  },
  {
    name: 'multiport',
    rules: table(
      'filter',
      '-A FORWARD -p udp -m multiport --dports 53,9000:9010',
      '-A FORWARD -p udp -m multiport --sports 40000',
      '-A FORWARD -p udp -m multiport --ports 53',
      '-A FORWARD -p udp -m multiport ! --dports 53',
      '-A FORWARD -p tcp -m multiport --dports 80,443 -j DROP',
    ),
    steps: [a(), a({ dport: 53 }), a({ dport: 9010 }), a({ dport: 9011, sport: 53 }), a({ proto: 'tcp', dport: 443 }), a({ proto: 'tcp', dport: 444 })],
  },
  {
    name: 'jump, goto, return, policy',
    rules: table(
      'filter',
      '-A FORWARD -p udp -j U-ONE',
      '-A FORWARD -p icmp -g U-TWO',
      '-A FORWARD -p tcp -m tcp --dport 80 -j RETURN',
      '-A FORWARD -p tcp',
      '-A U-ONE -m udp -p udp --dport 1 -g U-TWO',
      '-A U-ONE -p udp -m udp --dport 2 -j RETURN',
      '-A U-ONE -p udp -m udp --dport 3 -j U-TWO',
      '-A U-ONE -p udp',
      '-A U-TWO -p udp -j RETURN',
      '-A U-TWO -p icmp',
    )
      .replace(':FORWARD ACCEPT', ':FORWARD DROP')
      .replace('-A FORWARD -p tcp\n', '-A FORWARD -p tcp\n-A FORWARD -p udp -j ACCEPT\n'),
    steps: [a({ dport: 1 }), a({ dport: 2 }), a({ dport: 3 }), a({ dport: 4 }), a({ proto: 'icmp' }), a({ proto: 'tcp', dport: 80 }), a({ proto: 'tcp' })],
  },
  {
    name: 'conntrack states of UDP and ICMP',
    rules: table('filter', ...FORWARD_COUNTS),
    steps: [...udpFlow, error(2), a({ proto: 'icmp' }), back(5), back(5), b({ proto: 'icmp', icmpType: 0 }), b({ sport: 1, dport: 2 }), error(5, 11, 0)],
  },
  {
    name: 'conntrack states of TCP',
    rules: table('filter', ...FORWARD_COUNTS),
    steps: [
      segment(1, 2),
      { from: 'b', packet: (arrived) => answer(arrived[0]) },
      segment(2, TCP_ACK),
      segment(2, TCP_FIN | TCP_ACK),
      segment(3, TCP_RST),
      segment(4, 2),
      {
        from: 'b',
        packet: (arrived) =>
          Object.assign(answer(arrived[5]), { tcpFlags: TCP_RST | TCP_ACK, tcpOptions: 0, ipLength: 40, tcpSeq: 0, tcpAck: arrived[5].tcpSeq + 1 }),
      },
      segment(4, TCP_ACK),
      segment(5, 0),
      segment(6, 2 | TCP_ACK),
    ],
  },
  {
    name: 'ctstate of several, conntrack options',
    rules: table(
      'filter',
      '-A FORWARD -m conntrack --ctorigsrc 10.1.0.0/24',
      '-A FORWARD -m conntrack --ctreplsrc 10.2.0.2/32 --ctdir REPLY',
      '-A FORWARD -m conntrack --ctproto 17',
      '-A FORWARD -m conntrack ! --ctproto 6',
      '-A FORWARD -m conntrack --ctorigdstport 9000',
      '-A FORWARD -m conntrack --ctstatus SEEN_REPLY',
      '-A FORWARD -m conntrack ! --ctstate RELATED,ESTABLISHED',
    ),
    steps: [...udpFlow, a({ proto: 'icmp', icmpType: 0 })],
  },
  {
    name: 'flannel masquerade',
    rules: table(
      'nat',
      '-A POSTROUTING -s 10.1.0.0/16 -d 10.1.0.0/16 -j RETURN',
      '-A POSTROUTING -s 10.1.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE',
      '-A POSTROUTING ! -s 10.1.0.0/16 -d 10.1.0.0/24 -j RETURN',
      '-A POSTROUTING ! -s 10.1.0.0/16 -d 10.1.0.0/16 -j MASQUERADE',
    ),
    steps: [...udpFlow, a({ proto: 'icmp' }), back(4), a({ proto: 'tcp' }), back(6), b({ dport: 7 }), { from: 'a', packet: (arrived) => answer(arrived[8]) }],
  },
  {
    name: 'masquerade and an ICMP error about it',
    rules: table('nat', '-A POSTROUTING -o rb -j MASQUERADE') + table('filter', ...FORWARD_COUNTS),
    steps: [a(), error(0), error(0, 11, 0), a({ proto: 'icmp' }), error(3), a({ proto: 'tcp' }), error(5, 3, 1)],
  },
  {
    name: 'service without endpoints marked, one endpoint',
    rules: service('-A KUBE-SVC-X -j KUBE-SEP-A'),
    steps: [a({ dst: VIP, dport: 53 }), back(0), a({ dst: VIP, dport: 53, src: '10.1.0.200' }), a({ dst: VIP, dport: 54 })].slice(0, 3),
  },
  {
    name: 'service, nth',
    rules: service('-A KUBE-SVC-X -m statistic --mode nth --every 2 --packet 0 -j KUBE-SEP-A', '-A KUBE-SVC-X -j KUBE-SEP-B'),
    steps: [1, 2, 3, 4].map((sport) => a({ dst: VIP, dport: 53, sport })),
  },
  {
    name: 'nth, packet 2 of 3',
    rules: table('filter', '-A FORWARD -m statistic --mode nth --every 3 --packet 2', '-A FORWARD -m statistic --mode nth ! --every 3 --packet 1'),
    steps: [a(), a(), a(), a(), a(), a(), a()],
  },
  {
    name: 'service, probability 1',
    rules: service('-A KUBE-SVC-X -m statistic --mode random --probability 1.0 -j KUBE-SEP-B', '-A KUBE-SVC-X -j KUBE-SEP-A'),
    steps: [a({ dst: VIP, dport: 53 }), back(0), error(0)],
  },
  {
    name: 'DNAT to the sender’s own side and masquerade: hairpin',
    rules:
      table(
        'nat',
        `-A PREROUTING -d ${VIP}/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.1.0.3:8080`,
        '-A POSTROUTING -s 10.1.0.0/24 -d 10.1.0.3/32 -j MASQUERADE',
      ) + table('filter', ...FORWARD_COUNTS),
    steps: [a({ dst: VIP, proto: 'tcp', dport: 80 }), back(0, 'a'), error(0, 3, 1, 'a')],
  },
  {
    name: 'REJECT of every type',
    rules: table(
      'filter',
      ...['net-unreachable', 'host-unreachable', 'proto-unreachable', 'port-unreachable', 'net-prohibited', 'host-prohibited', 'admin-prohibited'].map(
        (type, i) => `-A FORWARD -p udp -m udp --dport ${i + 1} -j REJECT --reject-with icmp-${type}`,
      ),
      '-A FORWARD -p tcp -j REJECT --reject-with tcp-reset',
    ),
    steps: [...[1, 2, 3, 4, 5, 6, 7, 8].map((dport) => a({ dport })), a({ proto: 'tcp' })],
  },
  {
    name: 'NOTRACK',
    rules:
      table('raw', '-A PREROUTING -p udp -m udp --dport 9000 -j CT --notrack', '-A PREROUTING -p udp -m udp --dport 9001 -j NOTRACK') +
      table('filter', ...FORWARD_COUNTS) +
      table('nat', '-A POSTROUTING -j MASQUERADE'),
    steps: [a(), a({ dport: 9001 }), a({ dport: 9002 })],
  },
  {
    name: 'mark, connmark',
    rules: table(
      'mangle',
      '-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff',
      '-A PREROUTING -m mark --mark 0x7/0xff',
      '-A PREROUTING -m mark ! --mark 0x0/0xff -j ACCEPT',
      '-A PREROUTING -p udp -m udp --dport 9000 -j MARK --set-xmark 0x107/0xffff',
      '-A PREROUTING -j CONNMARK --save-mark --nfmask 0xf --ctmask 0xff',
      '-A FORWARD -m connmark --mark 0x7/0xff',
      '-A FORWARD -m connmark ! --mark 0x7',
      '-A POSTROUTING -j CONNMARK --set-xmark 0x70/0xf0',
      '-A POSTROUTING -m connmark --mark 0x77',
    ),
    steps: [...udpFlow, a({ dport: 1 }), back(4)],
  },
  {
    name: 'SNAT, a port range and a taken port',
    rules: table(
      'nat',
      '-A POSTROUTING -s 10.1.0.2/32 -p udp -j SNAT --to-source 10.2.0.9:7000-7001',
      '-A POSTROUTING -p tcp -j SNAT --to-source 10.2.0.4',
    ).replaceAll('10.2.0.9:7000-7001', '10.2.0.1:40000-40001'),
    steps: [a(), back(0), a({ sport: 40001 }), a({ proto: 'tcp' }), { from: 'b', packet: (arrived) => answer(arrived[3]) }],
  },
  {
    name: 'SNAT to a range of addresses',
    rules: table('nat', '-A POSTROUTING -j SNAT --to-source 10.2.0.16-10.2.0.79'),
    steps: ['10.1.0.2', '10.1.0.3', '10.1.0.4', '10.1.9.9', '172.16.5.4', '192.168.77.200'].flatMap((src, i) => [
      a({ src, sport: 100 + i }),
      a({ src, sport: 200 + i, dst: '10.2.0.3' }),
    ]),
  },
  {
    name: 'SNAT to a range of addresses, persistent',
    rules: table('nat', '-A POSTROUTING -j SNAT --to-source 10.2.0.16-10.2.0.79 --persistent'),
    steps: ['10.1.0.2', '10.1.0.3', '172.16.5.4'].flatMap((src) => [a({ src }), a({ src, dst: '10.2.0.3' })]),
  },
  {
    name: 'DNAT to a range of addresses and ports',
    rules: table(
      'nat',
      '-A PREROUTING -d 10.9.0.1/32 -p udp -j DNAT --to-destination 10.2.0.2-10.2.0.5',
      '-A PREROUTING -d 10.9.0.2/32 -p udp -j DNAT --to-destination 10.2.0.2:8000',
      '-A PREROUTING -d 10.9.0.3/32 -p icmp -j DNAT --to-destination 10.2.0.3',
    ),
    steps: [
      ...[1, 2, 3].map((last) => a({ dst: '10.9.0.1', src: `10.1.0.${last + 1}` })),
      a({ dst: '10.9.0.2' }),
      back(3),
      a({ dst: '10.9.0.3', proto: 'icmp' }),
      { from: 'b', packet: (arrived) => answer(arrived[5]) },
    ],
  },
  {
    name: 'DNAT and REJECT behind it',
    rules:
      table('nat', '-A PREROUTING -d 10.9.0.2/32 -j DNAT --to-destination 10.2.0.2') +
      table('filter', '-A FORWARD -d 10.2.0.2/32 -p udp -j REJECT', '-A FORWARD -d 10.2.0.2/32 -p tcp -j REJECT --reject-with tcp-reset'),
    steps: [a({ dst: '10.9.0.2' }), a({ dst: '10.9.0.2', proto: 'tcp' })],
  },
  {
    name: 'REDIRECT to the router',
    rules:
      table('nat', '-A PREROUTING -p udp -m udp --dport 9000 -j REDIRECT --to-ports 9') +
      table('filter', '-A INPUT -d 10.1.0.1/32 -p udp -m udp --dport 9 -j DROP', '-A INPUT -d 10.2.0.1/32 -p udp -m udp --dport 9 -j DROP'),
    steps: [a(), b(), a({ dport: 9001 })],
  },
  {
    name: 'addrtype',
    rules: table(
      'filter',
      '-A FORWARD -m addrtype --dst-type UNICAST',
      '-A FORWARD -m addrtype --src-type LOCAL',
      '-A FORWARD -m addrtype ! --src-type LOCAL',
      '-A INPUT -m addrtype --dst-type LOCAL',
      '-A INPUT -m addrtype --dst-type LOCAL --limit-iface-in',
      '-A INPUT -m addrtype --dst-type BROADCAST',
      '-A INPUT -p udp -j DROP',
    ),
    steps: [a(), a({ dst: '10.1.0.1' }), a({ dst: '10.2.0.1' })],
  },
  {
    name: 'iprange, ttl, length, tos, dscp, pkttype, mac',
    rules: table(
      'filter',
      '-A FORWARD -m iprange --src-range 10.1.0.2-10.1.0.4',
      '-A FORWARD -m iprange ! --dst-range 10.2.0.3-10.2.0.9',
      '-A FORWARD -m ttl --ttl-eq 63',
      '-A FORWARD -m ttl --ttl-lt 63',
      '-A FORWARD -m ttl --ttl-gt 62',
      '-A FORWARD -m length --length 84:100',
      '-A FORWARD -m length ! --length 84',
      '-A FORWARD -m dscp --dscp 0x08',
      '-A FORWARD -m tos --tos 0x20/0xff',
      '-A FORWARD -m pkttype --pkt-type unicast',
      '-A FORWARD -m pkttype --pkt-type broadcast',
    ),
    steps: [a(), a({ src: '10.1.0.5', dst: '10.2.0.3', ttl: 20 }), a({ length: 101 }), a({ tos: 0x20 })],
  },
  {
    name: 'TTL, DSCP, TCPMSS, MARK targets',
    rules: table(
      'mangle',
      '-A PREROUTING -p udp -j TTL --ttl-set 9',
      '-A FORWARD -p udp -j DSCP --set-dscp 0x0a',
      '-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1000',
      '-A POSTROUTING -p icmp -j TTL --ttl-inc 5',
      '-A POSTROUTING -p icmp -j TTL --ttl-dec 2',
    ),
    steps: [a(), a({ proto: 'tcp' }), a({ proto: 'icmp' }), a({ tos: 3 })],
  },
  {
    name: 'TCPMSS clamp to the path MTU',
    rules: table('mangle', '-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu'),
    steps: [a({ proto: 'tcp' })],
  },
  {
    name: 'DNAT to a range of ports',
    rules: table(
      'nat',
      '-A PREROUTING -d 10.9.0.2/32 -p udp -j DNAT --to-destination 10.2.0.2:8000-8999',
      '-A PREROUTING -p tcp -j DNAT --to-destination :8443',
    ),
    steps: [a({ dst: '10.9.0.2' }), a({ dst: '10.9.0.2', sport: 5 }), a({ dst: '10.9.0.2', dport: 8500 }), a({ proto: 'tcp' })],
  },
  {
    name: 'two connections that would look alike once translated',
    rules: table('nat', '-A PREROUTING -d 10.9.0.2/32 -j DNAT --to-destination 10.2.0.2', '-A POSTROUTING -p udp -j SNAT --to-source 10.1.0.2:40000-40001'),
    steps: [a(), back(0), a({ dst: '10.9.0.2' }), back(2)],
  },
  {
    name: 'mid-stream, and a loose pickup',
    rules: table('filter', ...FORWARD_COUNTS) + table('nat', '-A POSTROUTING -j MASQUERADE'),
    steps: [
      segment(1, TCP_ACK),
      { from: 'b', packet: (arrived) => Object.assign(answer(arrived[0]), { tcpFlags: TCP_ACK }) },
      segment(2, TCP_FIN | TCP_ACK),
      segment(3, TCP_RST),
    ],
  },
  {
    name: 'recent',
    rules: table(
      'filter',
      '-A FORWARD -p udp -m udp --dport 1 -m recent --set --name L --mask 255.255.255.255 --rsource',
      '-A FORWARD -m recent --rcheck --seconds 60 --name L --mask 255.255.255.255 --rsource',
      '-A FORWARD -m recent --rcheck --seconds 60 --hitcount 2 --name L --mask 255.255.255.255 --rsource',
      '-A FORWARD -m recent ! --rcheck --name L --mask 255.255.255.255 --rsource',
      '-A FORWARD -p udp -m udp --dport 3 -m recent --update --seconds 60 --name L --mask 255.255.255.255 --rsource',
      '-A FORWARD -p udp -m udp --dport 2 -m recent --remove --name L --mask 255.255.255.255 --rsource',
    ),
    steps: [a(), a({ dport: 1 }), a(), a({ dport: 1 }), a(), a({ dport: 3, src: '10.1.0.3' }), a({ dport: 3 }), a({ dport: 2 }), a()],
  },
  {
    name: 'limit',
    rules: table('filter', '-A FORWARD -m limit --limit 1/hour --limit-burst 3 -j ACCEPT', '-A FORWARD -j DROP'),
    steps: [a(), a(), a(), a(), a()],
  },
  {
    name: 'rpfilter',
    rules: table('raw', '-A PREROUTING -m rpfilter --validmark --invert -j DROP', '-A PREROUTING -m rpfilter --loose'),
    steps: [a(), a({ src: '10.2.0.77' }), a({ src: '10.1.0.99' }), a({ src: '10.1.0.1' })].slice(0, 3),
  },
  {
    name: 'physdev without a bridge',
    rules: table(
      'filter',
      '-A FORWARD -m physdev --physdev-in ra',
      '-A FORWARD -m physdev ! --physdev-in ra',
      '-A FORWARD -m physdev --physdev-is-bridged',
      '-A FORWARD -m physdev ! --physdev-is-bridged',
      '-A FORWARD -m physdev ! --physdev-is-in',
    ),
    steps: [a()],
  },
  setScenario('hash:ip', 'family inet', ['10.1.0.2', '10.1.0.4'], 'src', [a(), a({ src: '10.1.0.3' })]),
  setScenario('hash:ip', 'family inet netmask 24', ['10.1.0.0'], 'src', [a(), a({ src: '10.1.1.3' })]),
  setScenario('hash:net', 'family inet', ['10.1.0.0/24', '10.1.0.64/26 nomatch', '10.1.0.100'], 'src', [
    a(),
    a({ src: '10.1.0.65' }),
    a({ src: '10.1.0.100' }),
    a({ src: '10.1.0.101' }),
    a({ src: '10.3.0.1' }),
  ]),
  setScenario('hash:ip,port', 'family inet', ['10.2.0.2,udp:9000', '10.2.0.2,tcp:80', '10.2.0.2,icmp:echo-request'], 'dst,dst', [
    a(),
    a({ dport: 80 }),
    a({ proto: 'tcp', dport: 80 }),
    a({ proto: 'icmp' }),
    a({ proto: 47 }),
  ]),
  setScenario('hash:ip,port', 'family inet', ['10.1.0.2,udp:40000'], 'src,src', [a(), a({ sport: 1 })]),
  setScenario('hash:net,port', 'family inet', ['10.2.0.0/24,udp:9000', '10.2.0.2,udp:9000 nomatch', '10.0.0.0/8,tcp:80'], 'dst,dst', [
    a(),
    a({ dst: '10.2.0.3' }),
    a({ proto: 'tcp', dport: 80 }),
    a({ dport: 80 }),
  ]),
  setScenario('hash:net,iface', 'family inet', ['10.1.0.0/24,ra', '0.0.0.0/0,rb', '10.1.0.128/25,rb'], 'src,src', [
    a(),
    a({ src: '10.1.0.130' }),
    a({ src: '10.3.0.1' }),
    b(),
  ]),
  setScenario('hash:net,iface', 'family inet', ['10.2.0.0/24,rb'], 'dst,dst', [a(), b()]),
  setScenario('bitmap:port', 'range 9000-9010', ['9000', '9005'], 'dst', [a(), a({ dport: 9001 }), a({ proto: 'tcp', dport: 9005 }), a({ proto: 'icmp' })]),
  {
    name: 'ipset list:set',
    ipsets:
      'create x hash:net family inet\ncreate y hash:ip,port family inet\ncreate s list:set size 8\n' +
      'add x 10.1.0.0/25\nadd y 10.1.0.200,udp:9000\nadd s x\nadd s y\n',
    rules: table('filter', '-A FORWARD -m set --match-set s src -j ACCEPT', '-A FORWARD -m set --match-set s src,dst', '-A FORWARD -m set ! --match-set s src'),
    steps: [a(), a({ src: '10.1.0.200' }), a({ src: '10.1.0.201' })],
  },
  {
    name: 'SET target',
    ipsets: 'create s hash:ip family inet\n',
    rules: table(
      'filter',
      '-A FORWARD -m set --match-set s src',
      '-A FORWARD -p udp -m udp --dport 1 -j SET --add-set s src',
      '-A FORWARD -p udp -m udp --dport 2 -j SET --del-set s src',
    ),
    steps: [a(), a({ dport: 1 }), a(), a({ dport: 2 }), a()],
  },
  {
    name: 'a packet to the router itself',
    rules:
      table('filter', '-A INPUT -i ra -p udp -m udp --dport 9000 -j DROP', '-A INPUT -m conntrack --ctstate NEW -p udp -j DROP') +
      table('nat', '-A INPUT -j SNAT --to-source 10.1.0.77'),
    steps: [a({ dst: '10.1.0.1' }), a({ dst: '10.1.0.1', dport: 1 })],
  },
]
