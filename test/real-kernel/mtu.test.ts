/**
 * What `--mtu` says of an underlay with a narrow link, packet by packet beside the real kernel: who cuts, who is told, what the next
 * packet does. Root only.
 */
import { describe, expect, it } from 'vitest'
import { formatMac } from '../../src/base/mac.js'
import { macFor, packetOf, type Hosts } from '../net/kit.js'
import { play, type Outcome, type Scenario } from './walk-compare.js'

/** Hosts a and b with a vxlan device each, and a router between them whose way to b carries 1400. */
function narrow(filter?: string): Hosts {
  const host = (own: number, other: number, place: number): string =>
    `link eth0 veth r/r${own}\nlink vx vxlan id 1 local 192.168.${own}.2 dstport 8472\n` +
    `addr 192.168.${own}.2/24 dev eth0\naddr 10.9.${own}.0/32 dev vx\nroute add default via 192.168.${own}.1\n` +
    `route add 10.9.${other}.0/24 via 10.9.${other}.0 dev vx onlink\nneigh add 10.9.${other}.0 lladdr ${formatMac(macFor(place, 2))} dev vx nud permanent\n` +
    `fdb add ${formatMac(macFor(place, 2))} dev vx dst 192.168.${other}.2 self permanent\nsocket udp 9000`
  const text = 'link r1 veth a/eth0\nlink r2 veth b/eth0 mtu 1400\naddr 192.168.1.1/24 dev r1\naddr 192.168.2.1/24 dev r2\nsysctl net.ipv4.ip_forward=1'
  const iptables = `*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n${filter ?? ''}\nCOMMIT\n`
  return { a: host(1, 2, 3), r: filter === undefined ? text : { text, iptables }, b: host(2, 1, 1) }
}

const inner = (length: number): Scenario['probes'][number] => ({ from: 'a', packet: packetOf({ src: '10.9.1.0', dst: '10.9.2.0', length, df: true }) })
/** As flanneld's udp backend sends: DF as long as it fits what is known of the path. */
const datagram = { from: 'a', udp: { dst: '192.168.2.2', dport: 9000, size: 1472, pmtudisc: 1 } } as const

const SCENARIOS: readonly (Scenario & { readonly onTheLink: readonly number[]; readonly told: readonly number[] })[] = [
  {
    name: 'vxlan: 1350 crosses the link whole, of 1351 and 1450 the router cuts the outer packet, though the inner has DF',
    hosts: narrow(),
    probes: [inner(1350), inner(1351), inner(1450)],
    onTheLink: [1, 2, 2],
    told: [0, 0, 0],
  },
  {
    name: 'datagrams with DF: the first is lost and told of, the second is cut by the host',
    hosts: narrow(),
    probes: [datagram, datagram],
    onTheLink: [0, 2],
    told: [1, 0],
  },
  {
    name: 'the same where the router’s own rule drops what it says: nothing is learned, every one is lost',
    hosts: narrow('-A OUTPUT -p icmp -m icmp --icmp-type 3/4 -j DROP'),
    probes: [datagram, datagram],
    onTheLink: [0, 0],
    told: [0, 0],
  },
]

const hexOf = (line: string): string => line.slice(line.lastIndexOf(' ') + 1)
/** EtherType IPv4. */
const isIp = (line: string): boolean => hexOf(line).startsWith('0800', 24)
/** Protocol ICMP, type 3, code 4, behind a header without options. */
const tells = (line: string): boolean => isIp(line) && hexOf(line).startsWith('01', 46) && hexOf(line).startsWith('0304', 68)

/** IPv4 frames that leave the router towards b, and messages of fragmentation needed that reach a. */
function counts({ real }: Outcome): readonly [number, number] {
  const [link = [], home = []] = [real['r/r2'], real['a/eth0']]
  return [link.filter((line) => line.startsWith('tx') && isIp(line)).length, home.filter((line) => line.startsWith('rx') && tells(line)).length]
}

describe.skipIf(process.getuid?.() !== 0)('a narrow link (skipped without root)', () => {
  for (const scenario of SCENARIOS) {
    it(scenario.name, async () => {
      const outcomes = await play(scenario)
      outcomes.forEach(({ real, simulated }, probe) => expect({ probe, frames: simulated }).toEqual({ probe, frames: real }))
      expect(outcomes.map(counts)).toEqual(scenario.onTheLink.map((count, index) => [count, scenario.told[index]]))
    })
  }
})
