/** What netsim's walk and the real kernel's are asked: small networks and the packets sent into them. */
import { formatMac } from '../../src/base/mac.js'
import type { Packet } from '../../src/wire/packet.js'
import { arpOf, macFor, packetOf, type Hosts } from '../net/kit.js'
import type { Scenario } from './walk-compare.js'

/** a - r - b, ARP spoken, nothing else special. */
function chain(router: string, more: { readonly a?: string; readonly b?: string; readonly c?: string; readonly iptables?: string } = {}): Hosts {
  return {
    a: `link eth0 veth r/ra\naddr 10.1.0.2/24 dev eth0\nroute add default via 10.1.0.1\n${more.a ?? ''}`,
    r: {
      text: `link ra veth a/eth0\nlink rb veth b/eth0\naddr 10.1.0.1/24 dev ra\naddr 10.2.0.1/24 dev rb\nsysctl net.ipv4.ip_forward=1\n${router}`,
      ...(more.iptables === undefined ? {} : { iptables: more.iptables }),
    },
    b: `link eth0 veth r/rb\naddr 10.2.0.2/24 dev eth0\nroute add default via 10.2.0.1\nsocket udp 9000\n${more.b ?? ''}`,
    ...(more.c === undefined ? {} : { c: more.c }),
  }
}

const RA = macFor(2, 1)
const A = macFor(1, 1)

const echo = packetOf({ src: '10.1.0.2', dst: '10.2.0.2', proto: 'icmp' })
const datagram = packetOf({ src: '10.1.0.2', dst: '10.2.0.2' })

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a chain of routers: echo, ports open and closed, TTL, DSCP',
    hosts: chain(''),
    probes: [
      { from: 'a', packet: echo },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', proto: 'icmp', tos: 0xff, length: 1000 }) },
      { from: 'a', packet: datagram },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', dport: 9001, tos: 0xff, length: 900 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', dport: 9002, tos: 0x1e, length: 28 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', ttl: 1, tos: 0xba }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', ttl: 2 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.1', ttl: 1, proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', proto: 'tcp', dport: 81, tos: 0x13, length: 60 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', proto: 99, length: 40 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.9.9.9' }) },
      { from: 'r', packet: packetOf({ src: '10.2.0.1', dst: '10.1.0.2', proto: 'icmp' }) },
    ],
  },
  {
    name: 'hosts to themselves over lo',
    hosts: chain('addr 10.1.0.9/24 dev ra\naddr 10.7.0.1/32 dev lo\nlink d0 bridge down\naddr 10.8.0.1/24 dev d0', { a: 'addr 10.1.0.7/24 dev eth0' }),
    probes: [
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.2', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ dst: '10.1.0.2', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ dst: '10.1.0.7', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ dst: '127.0.0.1', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ dst: '127.9.9.9', dport: 9 }) },
      { from: 'a', packet: packetOf({ dst: '10.1.0.2', dport: 9 }) },
      { from: 'a', packet: packetOf({ dst: '10.1.0.9', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ dst: '10.7.0.1', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ dst: '10.8.0.1', proto: 'icmp' }) },
      { from: 'r', packet: packetOf({ dst: '10.8.0.1', proto: 'icmp' }) },
      { from: 'r', packet: packetOf({ dst: '10.7.0.1', proto: 'icmp' }) },
      { from: 'r', packet: packetOf({ dst: '10.1.0.9', proto: 'icmp' }) },
    ],
  },
  {
    name: 'MTU: DF, fragments made by the router and by the host, path MTU learned',
    hosts: {
      a: 'link eth0 veth r/ra\naddr 10.1.0.2/24 dev eth0\nroute add default via 10.1.0.1',
      r: 'link ra veth a/eth0\nlink rb veth b/eth0 mtu 1400\naddr 10.1.0.1/24 dev ra\naddr 10.2.0.1/24 dev rb\nsysctl net.ipv4.ip_forward=1',
      b: 'link eth0 veth r/rb mtu 1400\naddr 10.2.0.2/24 dev eth0\nroute add default via 10.2.0.1\nsocket udp 9000',
    },
    probes: [
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', proto: 'icmp', length: 1500 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', length: 1401 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', length: 1500, dport: 9001 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', length: 1400, df: true }) },
      { from: 'a', udp: { dst: '10.2.0.2', dport: 9000, size: 4000, pmtudisc: 0 } },
      { from: 'a', udp: { dst: '10.2.0.2', dport: 9000, size: 1472, pmtudisc: 1 } },
      { from: 'a', udp: { dst: '10.2.0.2', dport: 9000, size: 1472, pmtudisc: 1 } },
      { from: 'a', udp: { dst: '10.2.0.2', dport: 9000, size: 1300, pmtudisc: 1 } },
      { from: 'a', udp: { dst: '10.2.0.2', dport: 9000, size: 1472, pmtudisc: 2 } },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', length: 1400, whole: 2828, more: true, id: 7 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', length: 1448, whole: 2828, offset: 1380 & ~7, id: 8 }) },
    ],
  },
  {
    name: 'unreachable, prohibit, blackhole, throw, no route, and how often the router says so',
    hosts: chain(
      'route add unreachable 10.20.0.0/24\nroute add prohibit 10.21.0.0/24\nroute add blackhole 10.22.0.0/24\nroute add throw 10.23.0.0/24\n' +
        'route add unreachable 10.24.0.0/24',
    ),
    probes: [
      { from: 'a', packet: echo },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.22.0.1' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.20.0.1' }), times: 8 },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.21.0.1' }), wait: 100 },
      { from: 'b', packet: packetOf({ src: '10.2.0.2', dst: '10.21.0.1' }) },
      { from: 'b', packet: packetOf({ src: '10.2.0.2', dst: '10.23.0.1' }) },
      { from: 'b', packet: packetOf({ src: '10.2.0.2', dst: '10.24.0.1' }) },
      { from: 'r', packet: packetOf({ src: '10.2.0.1', dst: '10.20.0.1' }) },
      { from: 'r', packet: packetOf({ src: '10.2.0.1', dst: '10.21.0.1' }) },
    ],
  },
  {
    name: 'ICMP errors are rationed per destination',
    hosts: chain(''),
    probes: [
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', ttl: 1 }), times: 10 },
      { from: 'b', packet: packetOf({ src: '10.2.0.2', dst: '10.1.0.2', ttl: 1 }), times: 8 },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', length: 60, df: true, dport: 99 }), times: 8 },
    ],
  },
  {
    name: 'a neighbour that does not answer: three questions, then ICMP for all that waited',
    hosts: chain(''),
    probes: [
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.77' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.77', sport: 40001, length: 100 }), wait: 3300 },
      { from: 'a', packet: packetOf({ dst: '10.1.0.66' }), wait: 3300 },
    ],
  },
  {
    name: 'rp_filter 0, 1 and 2; martians; accept_local; route_localnet',
    hosts: chain('sysctl net.ipv4.conf.rb.rp_filter=1\nroute add 10.30.0.0/24 via 10.1.0.2'),
    probes: [
      { from: 'a', packet: echo },
      { from: 'b', packet: packetOf({ src: '10.1.0.55', dst: '10.1.0.2' }) },
      { from: 'b', packet: packetOf({ src: '10.30.0.1', dst: '10.1.0.2' }) },
      { from: 'b', packet: packetOf({ src: '10.99.0.1', dst: '10.1.0.2' }) },
      { from: 'a', packet: packetOf({ src: '10.99.0.1', dst: '10.2.0.2' }) },
      { from: 'a', packet: packetOf({ src: '10.2.0.1', dst: '10.2.0.2' }) },
      { on: 'a/eth0', frame: packetOf({ src: '127.0.0.1', dst: '10.2.0.2', from: A, to: RA }) },
      { on: 'a/eth0', frame: packetOf({ src: '224.0.0.9', dst: '10.2.0.2', from: A, to: RA }) },
      { on: 'a/eth0', frame: packetOf({ src: '0.0.0.0', dst: '10.2.0.2', from: A, to: RA }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.2', dst: '127.0.0.1', from: A, to: RA }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.2', dst: '10.1.0.255', from: A, to: RA, proto: 'icmp' }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', from: A, to: 0xffffffffffff, proto: 'icmp' }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.2', dst: '10.2.0.1', from: A, to: 0xffffffffffff, dport: 99 }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', from: A, to: 0x020000000909, proto: 'icmp' }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.2', dst: '0.0.0.5', from: A, to: RA }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.2', dst: '10.2.0.255', from: A, to: RA }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.255', dst: '10.2.0.2', from: A, to: RA }) },
    ],
  },
  {
    name: 'rp_filter 2, accept_local and route_localnet',
    hosts: chain('sysctl net.ipv4.conf.rb.rp_filter=2\nsysctl net.ipv4.conf.ra.accept_local=1\nsysctl net.ipv4.conf.ra.route_localnet=1'),
    probes: [
      { from: 'a', packet: echo },
      { from: 'b', packet: packetOf({ src: '10.1.0.55', dst: '10.1.0.2' }) },
      { from: 'b', packet: packetOf({ src: '10.99.0.1', dst: '10.1.0.2' }) },
      { from: 'a', packet: packetOf({ src: '10.2.0.1', dst: '10.2.0.2' }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.2', dst: '127.0.0.1', from: A, to: RA, proto: 'icmp' }) },
      { on: 'a/eth0', frame: packetOf({ src: '10.1.0.1', dst: '10.1.0.1', from: A, to: RA, proto: 'icmp' }) },
    ],
  },
  {
    name: "proxy ARP, as Calico has it: /32 routes and a gateway that is nobody's",
    hosts: {
      a: 'link eth0 veth r/ra\naddr 10.65.0.2/32 dev eth0\nroute add 169.254.1.1 dev eth0 scope link\nroute add default via 169.254.1.1',
      r:
        'link ra veth a/eth0\nlink rb veth b/eth0\naddr 10.2.0.1/24 dev rb\nroute add 10.65.0.2 dev ra scope link\nsysctl net.ipv4.ip_forward=1\n' +
        'sysctl net.ipv4.conf.ra.proxy_arp=1 net.ipv4.neigh.ra.proxy_delay=0',
      b: 'link eth0 veth r/rb\naddr 10.2.0.2/24 dev eth0\nroute add default via 10.2.0.1\nsocket udp 9000',
    },
    probes: [
      { from: 'a', packet: packetOf({ src: '10.65.0.2', dst: '10.2.0.2', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ src: '10.65.0.2', dst: '10.77.0.2' }) },
      { from: 'b', packet: packetOf({ src: '10.2.0.2', dst: '10.65.0.2', ttl: 1 }) },
      { from: 'a', packet: packetOf({ src: '10.65.0.2', dst: '10.2.0.2', ttl: 1 }) },
      { from: 'r', packet: packetOf({ dst: '10.65.0.2', proto: 'icmp' }) },
    ],
  },
  {
    name: 'ARP: proxy entries, arp_ignore, arp_filter, arp_announce, secondary addresses',
    hosts: chain('addr 10.1.0.9/24 dev ra\naddr 10.7.0.1/24 dev rb\nneigh add proxy 10.2.0.99 dev ra\nsysctl net.ipv4.neigh.ra.proxy_delay=0', {
      b: 'addr 10.7.0.2/24 dev eth0\naddr 10.6.0.1/32 dev lo\nsysctl net.ipv4.conf.eth0.arp_ignore=1',
    }),
    probes: [
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.1.0.9' }) },
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.2.0.1' }) },
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.2.0.99' }) },
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.2.0.98' }) },
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '0.0.0.0' }, { mac: 0xffffffffffff, ip: '10.1.0.1' }) },
      { on: 'r/rb', frame: arpOf(1, { mac: macFor(2, 2), ip: '10.2.0.1' }, { mac: 0xffffffffffff, ip: '10.6.0.1' }) },
      { on: 'r/rb', frame: arpOf(1, { mac: macFor(2, 2), ip: '10.2.0.1' }, { mac: 0xffffffffffff, ip: '10.7.0.2' }) },
      { from: 'r', packet: packetOf({ src: '10.1.0.1', dst: '10.2.0.2', proto: 'icmp' }) },
      { from: 'r', packet: packetOf({ src: '10.1.0.1', dst: '10.2.0.44' }) },
      { from: 'r', packet: packetOf({ src: '10.1.0.9', dst: '10.1.0.45' }) },
      { from: 'r', packet: packetOf({ src: '10.99.0.1', dst: '10.7.0.45' }) },
    ],
  },
  {
    name: 'arp_announce 1 and 2, arp_ignore 2, 3 and 8, arp_filter, proxy_arp_pvlan',
    hosts: {
      a:
        'link eth0 veth r/ra\nlink eth1 veth r/rc\naddr 10.1.0.2/24 dev eth0\naddr 10.3.0.2/24 dev eth1\nsysctl net.ipv4.conf.eth0.arp_announce=1\n' +
        'sysctl net.ipv4.conf.eth1.arp_announce=2\nroute add default via 10.1.0.1\naddr 10.9.0.2/24 dev eth1',
      r:
        'link ra veth a/eth0\nlink rc veth a/eth1\naddr 10.1.0.1/24 dev ra\naddr 10.3.0.1/24 dev rc\naddr 10.5.0.1/24 dev rc scope link\n' +
        'sysctl net.ipv4.conf.ra.arp_ignore=2 net.ipv4.conf.rc.arp_filter=1\nsysctl net.ipv4.conf.rc.proxy_arp_pvlan=1 net.ipv4.neigh.rc.proxy_delay=0 net.ipv4.ip_forward=1',
    },
    probes: [
      { from: 'a', packet: packetOf({ src: '10.3.0.2', dst: '10.1.0.44' }) },
      { from: 'a', packet: packetOf({ src: '10.9.0.2', dst: '10.3.0.44' }) },
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.3.0.2' }, { mac: 0xffffffffffff, ip: '10.1.0.1' }) },
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.1.0.1' }) },
      { on: 'a/eth1', frame: arpOf(1, { mac: macFor(1, 2), ip: '10.3.0.2' }, { mac: 0xffffffffffff, ip: '10.3.0.1' }) },
      { on: 'a/eth1', frame: arpOf(1, { mac: macFor(1, 2), ip: '10.1.0.77' }, { mac: 0xffffffffffff, ip: '10.3.0.1' }) },
      { on: 'a/eth1', frame: arpOf(1, { mac: macFor(1, 2), ip: '10.3.0.2' }, { mac: 0xffffffffffff, ip: '10.3.0.99' }) },
    ],
  },
  {
    name: 'arp_ignore 3 and 8',
    hosts: {
      a: 'link eth0 veth r/ra\nlink eth1 veth r/rc\naddr 10.1.0.2/24 dev eth0\naddr 10.3.0.2/24 dev eth1',
      r:
        'link ra veth a/eth0\nlink rc veth a/eth1\naddr 10.1.0.1/24 dev ra\naddr 10.3.0.1/24 dev rc\naddr 10.5.0.1/24 dev rc scope link\n' +
        'addr 10.6.0.1/24 dev rc scope host\nsysctl net.ipv4.conf.ra.arp_ignore=3 net.ipv4.conf.rc.arp_ignore=8',
    },
    probes: [
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.1.0.1' }) },
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.3.0.1' }) },
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.5.0.1' }) },
      { on: 'a/eth0', frame: arpOf(1, { mac: A, ip: '10.1.0.2' }, { mac: 0xffffffffffff, ip: '10.6.0.1' }) },
      { on: 'a/eth1', frame: arpOf(1, { mac: macFor(1, 2), ip: '10.3.0.2' }, { mac: 0xffffffffffff, ip: '10.3.0.1' }) },
      { from: 'r', packet: packetOf({ dst: '10.6.0.9' }) },
    ],
  },
  {
    name: 'policy routing by mark, source, TOS, with goto, suppression and prohibit',
    hosts: chain(
      'link rc veth c/eth0\naddr 10.3.0.1/24 dev rc\nroute add default via 10.3.0.2 table 100\nroute add 10.2.0.0/24 via 10.3.0.2 table 101\n' +
        'route add unreachable 10.2.0.0/24 table 102\n' +
        'rule add pref 100 fwmark 0x5/0xf lookup 100\nrule add pref 200 from 10.1.0.77 lookup 101\nrule add pref 300 tos 0x08 prohibit\n' +
        'rule add pref 310 from 10.1.0.78 unreachable\n' +
        'rule add pref 320 from 10.1.0.79 blackhole\nrule add pref 330 from 10.1.0.80 goto 32000\nrule add pref 340 from 10.1.0.80 lookup 102\n' +
        'rule add pref 400 iif ra lookup 101 suppress_prefixlength 24\n' +
        'rule add pref 410 to 10.2.0.9 lookup 102\nrule add pref 420 not from 10.0.0.0/8 lookup 102\nrule add pref 32000 from all lookup main',
      {
        c: 'link eth0 veth r/rc\naddr 10.3.0.2/24 dev eth0\naddr 10.2.0.2/32 dev lo\nroute add default via 10.3.0.1\n' + 'socket udp 9000',
        iptables:
          '*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n' +
          ':POSTROUTING ACCEPT [0:0]\n-A PREROUTING -p udp --dport 7000 -j MARK --set-xmark 0x15/0xffffffff\n' +
          '-A OUTPUT -p udp --dport 7000 -j MARK --set-xmark 0x5/0xffffffff\nCOMMIT\n',
      },
    ),
    probes: [
      { from: 'a', packet: echo },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', dport: 7000 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.77', dst: '10.2.0.2' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', tos: 0x08 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', tos: 0xe9 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.78', dst: '10.2.0.2' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.79', dst: '10.2.0.2' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.80', dst: '10.2.0.2' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.9' }) },
      { from: 'a', packet: packetOf({ src: '11.1.0.2', dst: '10.2.0.2' }) },
      { from: 'r', packet: packetOf({ dst: '10.2.0.2', dport: 7000 }) },
    ],
  },
  {
    name: 'source selection: secondary addresses, src, several subnets, lo',
    hosts: {
      a:
        'link eth0 veth b/eth0\naddr 10.1.0.2/24 dev eth0\naddr 10.1.0.3/24 dev eth0\naddr 10.4.0.2/24 dev eth0\naddr 10.7.0.1/32 dev lo\n' +
        'route add 10.50.0.0/24 dev eth0\nroute add 10.51.0.0/24 via 10.4.0.1\nroute add 10.52.0.0/24 via 10.1.0.1 src 10.4.0.2\n' +
        'route add 10.4.9.9 dev eth0\nroute add 10.53.0.0/24 via 10.1.0.1 src 10.1.0.3',
      b: 'link eth0 veth a/eth0\naddr 10.1.0.1/24 dev eth0\naddr 10.4.0.1/24 dev eth0\nsocket udp 9000',
    },
    probes: ['10.1.0.1', '10.4.0.1', '10.50.0.9', '10.51.0.9', '10.52.0.9', '10.53.0.9', '10.4.9.9', '10.1.0.3', '10.7.0.1'].map((dst) => ({
      from: 'a',
      packet: packetOf({ dst }),
    })),
  },
  {
    name: 'an ICMP redirect, and its rationing',
    hosts: {
      a:
        'link eth0 veth s/sa\naddr 10.1.0.2/24 dev eth0\nroute add 10.2.0.0/24 via 10.1.0.1\n' +
        'sysctl net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.eth0.accept_redirects=0',
      s: 'link br0 bridge\nlink sa veth a/eth0 master br0\nlink sr veth r/eth0 master br0\nlink sb veth b/eth0 master br0',
      r: 'link eth0 veth s/sr\naddr 10.1.0.1/24 dev eth0\nroute add 10.2.0.0/24 via 10.1.0.3\nsysctl net.ipv4.ip_forward=1',
      b: 'link eth0 veth s/sb\naddr 10.1.0.3/24 dev eth0\naddr 10.2.0.3/32 dev lo\nsocket udp 9000',
    },
    probes: [
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.3' }), wait: 30 },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.3', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.3' }), wait: 100 },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.3' }), wait: 100 },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.3', ttl: 1 }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.3' }) },
    ],
  },
  ...[0, 1].map((callIptables): Scenario => ({
    name: `a bridge with two guests, bridge-nf-call-iptables=${callIptables}, FORWARD drops UDP 7000`,
    hosts: {
      p: 'link eth0 veth n/vp\naddr 10.1.0.2/24 dev eth0\nroute add default via 10.1.0.1',
      n: {
        text:
          `link br0 bridge\nlink vp veth p/eth0 master br0\nlink vq veth q/eth0 master br0 hairpin\nlink vs veth s/eth0 master br0\n` +
          `addr 10.1.0.1/24 dev br0\nsysctl net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=${callIptables}`,
        iptables:
          '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -p udp --dport 7000 -j DROP\n' +
          '-A FORWARD -p udp --dport 7001 -j REJECT\nCOMMIT\n',
      },
      q: 'link eth0 veth n/vq\naddr 10.1.0.3/24 dev eth0\nroute add default via 10.1.0.1\nsocket udp 9000',
      s: 'link eth0 veth n/vs\naddr 10.1.0.4/24 dev eth0\nroute add default via 10.1.0.1',
    },
    probes: [
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', proto: 'icmp' }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', dport: 7000 }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', dport: 7001 }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.1', proto: 'icmp' }) },
      { on: 'p/eth0', frame: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', from: macFor(1, 1), to: 0x020000000909 }) },
      { on: 'p/eth0', frame: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', from: macFor(1, 1), to: macFor(1, 1) }) },
      { on: 'q/eth0', frame: packetOf({ src: '10.1.0.3', dst: '10.1.0.2', from: macFor(3, 1), to: macFor(3, 1) }) },
      { on: 'p/eth0', frame: packetOf({ src: '10.1.0.2', dst: '10.1.0.255', from: macFor(1, 1), to: 0xffffffffffff }) },
      { on: 'p/eth0', frame: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', from: macFor(1, 1), to: macFor(2, 3) }) },
      { from: 'n', packet: packetOf({ src: '10.1.0.1', dst: '10.1.0.4', proto: 'icmp' }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', length: 1420, whole: 2820, more: true, id: 9 }) },
    ],
  })),
  ...['', 'hairpin'].map((hairpin): Scenario => ({
    name: `DNAT on a bridge ${hairpin}: to another guest, to the asking guest itself, to elsewhere`,
    hosts: {
      p: 'link eth0 veth n/vp\naddr 10.1.0.2/24 dev eth0\nroute add default via 10.1.0.1\nsocket udp 9000',
      n: {
        text:
          `link br0 bridge\nlink vp veth p/eth0 master br0 ${hairpin}\nlink vq veth q/eth0 master br0 ${hairpin}\nlink vu veth u/eth0\n` +
          `addr 10.1.0.1/24 dev br0\naddr 10.2.0.1/24 dev vu\nsysctl net.ipv4.ip_forward=1`,
        iptables:
          '*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n' +
          '-A PREROUTING -d 10.96.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.1.0.3:9000\n' +
          '-A PREROUTING -d 10.96.0.2/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.1.0.2:9000\n' +
          '-A PREROUTING -d 10.96.0.3/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.2.0.2:9001\n' +
          '-A PREROUTING -d 10.96.0.4/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.77.0.2:9001\n' +
          '-A PREROUTING -d 10.1.0.3/32 -p udp -m udp --dport 5353 -j DNAT --to-destination 10.1.0.2:9000\n' +
          '-A PREROUTING -d 10.1.0.3/32 -p udp -m udp --dport 5354 -j DNAT --to-destination 10.1.0.1:9001\nCOMMIT\n',
      },
      q: 'link eth0 veth n/vq\naddr 10.1.0.3/24 dev eth0\nroute add default via 10.1.0.1\nsocket udp 9000',
      u: 'link eth0 veth n/vu\naddr 10.2.0.2/24 dev eth0\nroute add default via 10.2.0.1',
    },
    probes: [
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', proto: 'icmp' }) },
      { from: 'n', packet: packetOf({ src: '10.1.0.1', dst: '10.1.0.3', proto: 'icmp' }) },
      { from: 'n', packet: packetOf({ src: '10.1.0.1', dst: '10.1.0.2', proto: 'icmp' }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.96.0.1', dport: 53 }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.96.0.2', dport: 53 }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.96.0.3', dport: 53 }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.96.0.4', dport: 53 }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', sport: 40077, dport: 5353 }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', dport: 5354 }) },
    ],
  })),
  {
    name: 'fragments through a router with conntrack: put together, cut again as they were; overlaps and duplicates at the host',
    hosts: chain('', {
      iptables: '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n' + '-A FORWARD -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n',
    }),
    probes: [
      { from: 'a', packet: echo },
      { from: 'a', packet: fragment(1, 0, 600, true) },
      { from: 'a', packet: fragment(1, 1200, 208, false) },
      { from: 'a', packet: fragment(1, 600, 600, true), blind: ['a/eth0', 'r/ra'] },
      { from: 'a', packet: fragment(2, 0, 600, true, true) },
      { from: 'a', packet: fragment(2, 600, 808, false, true), blind: ['a/eth0', 'r/ra'] },
      { from: 'r', packet: fragment(3, 0, 600, true) },
      { from: 'r', packet: fragment(3, 0, 600, true) },
      { from: 'r', packet: fragment(3, 600, 808, false) },
      { from: 'r', packet: fragment(4, 0, 600, true) },
      { from: 'r', packet: fragment(4, 592, 816, false) },
      { from: 'r', packet: fragment(4, 600, 808, false) },
      { from: 'r', packet: fragment(5, 600, 808, false) },
      { from: 'r', packet: fragment(5, 0, 304, true) },
      { from: 'r', packet: fragment(5, 0, 600, true) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.2.0.2', proto: 'icmp', length: 1500 }) },
    ],
  },
  {
    name: 'two equal ways: each flow stays on one, and an own source keeps to its own way',
    hosts: {
      a:
        'link eth0 veth r/ra\nlink eth1 veth r/rc\naddr 10.1.0.2/24 dev eth0\naddr 10.3.0.2/24 dev eth1\n' +
        'route add 10.9.0.0/24 nexthop via 10.1.0.1 nexthop via 10.3.0.1',
      r: 'link ra veth a/eth0\nlink rc veth a/eth1\naddr 10.1.0.1/24 dev ra\naddr 10.3.0.1/24 dev rc\naddr 10.9.0.1/24 dev lo',
    },
    probes: ['10.1.0.2', '10.3.0.2', '10.1.0.2', '10.3.0.2'].map((src) => ({
      from: 'a',
      udp: { src, dst: '10.9.0.1', dport: 9, size: 10, pmtudisc: 0 as const },
    })),
  },
  {
    name: 'routes of the table local beside longer ones of main',
    hosts: chain(
      'route add local 10.40.0.0/16 dev lo table local\nroute add 10.40.1.0/24 via 10.2.0.2\n' +
        'route add local 10.41.0.0/24 dev lo table local\nroute add 127.5.0.0/16 via 10.2.0.2',
      { b: 'addr 10.40.1.1/32 dev lo' },
    ),
    probes: [
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.40.2.1', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.40.1.1', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.41.0.9', proto: 'icmp' }) },
      { from: 'a', packet: packetOf({ src: '10.40.3.3', dst: '10.2.0.2', proto: 'icmp' }) },
      { from: 'r', packet: packetOf({ dst: '127.5.0.1', proto: 'icmp' }) },
    ],
  },
  {
    name: 'the same with a rule: the table local comes first',
    hosts: chain('route add local 10.40.0.0/16 dev lo table local\nroute add 10.40.1.0/24 via 10.2.0.2\n' + 'rule add pref 100 fwmark 7 lookup 100', {
      b: 'addr 10.40.1.1/32 dev lo',
    }),
    probes: [{ from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.40.1.1', proto: 'icmp' }) }],
  },
  {
    name: 'a bridge port with a smaller MTU; bridge-nf cuts what is too big, and drops it with DF',
    hosts: {
      p: 'link eth0 veth n/vp\naddr 10.1.0.2/24 dev eth0',
      n: {
        text: 'link br0 bridge mtu 1400\nlink vp veth p/eth0 master br0\nlink vq veth q/eth0 mtu 1400 master br0\n' + 'addr 10.1.0.1/24 dev br0',
        iptables: '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -p tcp -j DROP\n' + 'COMMIT\n',
      },
      q: 'link eth0 veth n/vq mtu 1400\naddr 10.1.0.3/24 dev eth0\nsocket udp 9000',
    },
    probes: [
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', length: 1400 }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', length: 1404 }) },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', length: 1405 }), blind: ['p/eth0', 'n/vp'] },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3', length: 1500, df: true }), blind: ['p/eth0', 'n/vp'] },
    ],
  },
  {
    name: 'a neighbour grows stale: used, it is asked again after five seconds, and forgotten after three questions',
    hosts: {
      a:
        'link eth0 veth b/eth0\naddr 10.1.0.2/24 dev eth0\nneigh add 10.1.0.3 lladdr 02:00:00:00:02:01 dev eth0 nud stale\n' +
        'neigh add 10.1.0.4 lladdr 02:00:00:00:02:01 dev eth0 nud stale',
      b: 'link eth0 veth a/eth0\naddr 10.1.0.3/24 dev eth0\nsocket udp 9000',
    },
    probes: [
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.3' }), wait: 400 },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.4' }), wait: 8500 },
      { from: 'a', packet: packetOf({ src: '10.1.0.2', dst: '10.1.0.4' }) },
    ],
  },
  {
    name: 'DNAT on a bridge to a guest whose MAC the host does not know yet',
    hosts: {
      p: 'link eth0 veth n/vp\naddr 10.1.0.2/24 dev eth0\nroute add default via 10.1.0.1',
      n: {
        text: 'link br0 bridge\nlink vp veth p/eth0 master br0\nlink vq veth q/eth0 master br0\naddr 10.1.0.1/24 dev br0\nsysctl net.ipv4.ip_forward=1',
        iptables:
          '*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n' +
          '-A PREROUTING -d 10.96.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.1.0.3:9000\nCOMMIT\n',
      },
      q: 'link eth0 veth n/vq\naddr 10.1.0.3/24 dev eth0\nroute add default via 10.1.0.1\nsocket udp 9000',
    },
    probes: [
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.96.0.1', dport: 53 }), blind: ['n/br0'] },
      { from: 'p', packet: packetOf({ src: '10.1.0.2', dst: '10.96.0.1', dport: 53 }) },
    ],
  },
  {
    name: 'VXLAN between two hosts: an unknown VNI, an unknown MAC, large packets, TOS',
    hosts: vxlanHosts(''),
    probes: [
      { from: 'a', packet: packetOf({ src: '10.9.1.0', dst: '10.9.2.0', proto: 'icmp', tos: 0xff }) },
      { from: 'a', packet: packetOf({ src: '10.9.1.0', dst: '10.9.2.0', proto: 'icmp', tos: 0x02, ttl: 3, df: true }) },
      { from: 'a', packet: packetOf({ src: '10.9.1.0', dst: '10.9.2.0', length: 1451, df: true }) },
      { from: 'a', packet: packetOf({ src: '10.9.1.0', dst: '10.9.3.0' }) },
      { from: 'a', packet: packetOf({ src: '10.9.1.0', dst: '10.9.4.0' }) },
      { from: 'a', packet: packetOf({ src: '10.9.1.0', dst: '10.9.2.0', ttl: 1 }) },
      { from: 'a', udp: { dst: '10.9.2.0', dport: 9, size: 3000, pmtudisc: 0 } },
    ],
  },
]

/** Bytes [offset, offset + size) of a datagram of 1,408 bytes to b's open port. */
function fragment(id: number, offset: number, size: number, more: boolean, df = false): Packet {
  return packetOf({ src: '10.1.0.2', dst: '10.2.0.2', id, offset, length: 20 + size, whole: 1428, more, df })
}

function vxlanHosts(flags: string): Hosts {
  const host = (own: number, other: number, peer: string): string =>
    `link eth0 veth ${peer}/eth0` +
    `\nlink vx vxlan id 1 local 192.168.0.${own} dstport 8472 ${flags}\n` +
    `addr 192.168.0.${own}/24 dev eth0\naddr 10.9.${own}.0/32 dev vx\nroute add 10.9.${other}.0/24 via 10.9.${other}.0 dev vx onlink\n` +
    `route add 10.9.3.0/24 via 10.9.3.0 dev vx onlink\n` +
    `route add 10.9.4.0/24 via 10.9.4.0 dev vx onlink\nneigh add 10.9.${other}.0 lladdr ${formatMac(macFor(other, 2))} dev vx nud permanent\n` +
    `neigh add 10.9.3.0 lladdr 02:00:00:00:77:77 dev vx nud permanent\nneigh add 10.9.4.0 lladdr 02:00:00:00:78:78 dev vx nud permanent\n` +
    `fdb add ${formatMac(macFor(other, 2))} dev vx dst 192.168.0.${other} self permanent\n` +
    `fdb add 02:00:00:00:78:78 dev vx dst 192.168.0.${other} vni 9 self permanent`
  return { a: host(1, 2, 'b'), b: host(2, 1, 'a') }
}
