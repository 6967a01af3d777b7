/** Sends packets through two vxlan hosts and prints what the heap says of it, a line of JSON a case. Bundled and run by allocation.test.ts. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sendDatagram } from '../../src/net/udp.js'
import { ipLocalOut } from '../../src/net/ip-output.js'
import type { Packet } from '../../src/wire/packet.js'
import { Kit, macFor, packetOf, type Hosts } from './kit.js'
import { formatMac } from '../../src/base/mac.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const RULES = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.1.0.0/16 -d 10.1.0.0/16 -j RETURN
-A POSTROUTING -s 10.1.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -s 10.1.0.0/16 -j ACCEPT
-A FORWARD -d 10.1.0.0/16 -j ACCEPT
COMMIT
`

/** Two nodes with a pod each, flannel's vxlan between them. */
function nodes(iptables?: string): Hosts {
  const node = (own: number, other: number): { text: string; iptables?: string } => ({
    text:
      `link eth0 nic s0\nlink cni0 bridge\nlink v0 veth p${own}/eth0 master cni0\nlink flannel.1 vxlan id 1 local 192.168.0.${own} dstport 8472\n` +
      `addr 192.168.0.${own}/24 dev eth0\naddr 10.1.${own}.1/24 dev cni0\naddr 10.1.${own}.0/32 dev flannel.1\n` +
      `route add 10.1.${other}.0/24 via 10.1.${other}.0 dev flannel.1 onlink\n` +
      `neigh add 10.1.${other}.0 lladdr ${formatMac(macFor(other, 4))} dev flannel.1 nud permanent\n` +
      `fdb add ${formatMac(macFor(other, 4))} dev flannel.1 dst 192.168.0.${other} self permanent\nsysctl net.ipv4.ip_forward=1`,
    ...(iptables === undefined ? {} : { iptables }),
  })
  const pod = (own: number): string =>
    `link eth0 veth n${own}/v0 mtu 1450\naddr 10.1.${own}.2/24 dev eth0\nroute add default via 10.1.${own}.1\n` + `socket udp 9000`
  return { n1: node(1, 2), n2: node(2, 1), p1: pod(1), p2: pod(2) }
}

/** The same with an IPIP or a WireGuard device between them. */
function tunnelled(kind: 'ipip' | 'wireguard'): Hosts {
  const device = (own: number, other: number): string =>
    kind === 'ipip'
      ? `link t0 ipip local 192.168.0.${own}\nroute add 10.1.${other}.0/24 via 192.168.0.${other} dev t0 onlink`
      : `link t0 wireguard key K${own} port 51820\nwg t0 peer K${other} endpoint 192.168.0.${other}:51820 allowed-ips 10.1.${other}.0/24\n` +
        `route add 10.1.${other}.0/24 dev t0`
  const node = (own: number, other: number): string =>
    `link eth0 nic s0\nlink cni0 bridge\nlink v0 veth p${own}/eth0 master cni0\naddr 192.168.0.${own}/24 dev eth0\n` +
    `addr 10.1.${own}.1/24 dev cni0\n${device(own, other)}\nsysctl net.ipv4.ip_forward=1`
  const { p1, p2 } = nodes()
  return { n1: node(1, 2), n2: node(2, 1), p1, p2 }
}

const SEGMENTS = [{ name: 's0', mtu: 1500, latencyNs: 50_000, rateBps: 1e10 }]

function flood(kit: Kit, send: (kit: Kit, row: Packet) => void, template: Packet, count: number): void {
  const { world } = kit
  for (let i = 0; i < count; i++) {
    const row = world.packets.take().copyFrom(template)
    row.id = 1
    world.live++
    send(kit, row)
    world.drain()
    while (world.live > 0 && world.sim.step());
    if (world.trace.on === 1) world.trace.clear()
  }
}

/** Bytes that `work` allocates, garbage too: few enough packets that no collection comes between. */
function allocated(work: () => void): number {
  collect()
  const before = getHeapStatistics().used_heap_size
  work()
  return getHeapStatistics().used_heap_size - before
}

const ROUND = 2_000

interface Measured {
  /** Of a packet in the round that allocated the median. */
  readonly allocatedBytes: number
  /** What stays of a packet once the garbage is gone. */
  readonly keptBytes: number
  readonly newRows: number
  readonly received: number
}

function measure(kit: Kit, send: (kit: Kit, row: Packet) => void, template: Packet, count: number): Measured {
  const received = kit.device('p2/eth0')
  flood(kit, send, template, 30_000)
  const made = kit.world.packets.made
  const before = received.rxPackets
  collect()
  const { used_heap_size: start } = getHeapStatistics()
  const rounds: number[] = []
  for (let done = 0; done < count; done += ROUND) {
    const empty = allocated(() => flood(kit, send, template, 0))
    rounds.push((allocated(() => flood(kit, send, template, ROUND)) - empty) / ROUND)
  }
  collect()
  const keptBytes = (getHeapStatistics().used_heap_size - start) / count
  return {
    allocatedBytes: rounds.sort((a, b) => a - b)[rounds.length >> 1],
    keptBytes,
    newRows: kit.world.packets.made - made,
    received: received.rxPackets - before,
  }
}

const COUNT = 200_000

const local = (kit: Kit, row: Packet): void => void ipLocalOut(row, kit.netns('p1'), null, 0)
const socket = (kit: Kit, row: Packet): void => void sendDatagram(kit.netns('p1'), row)

const datagram = packetOf({ src: '10.1.1.2', dst: '10.1.2.2' })
const cases = [
  { name: 'no rules, no trace', rules: undefined, trace: 0, send: local, template: datagram },
  { name: 'masquerade and conntrack, no trace', rules: RULES, trace: 0, send: local, template: datagram },
  { name: 'no rules, steps traced, taps off', rules: undefined, trace: 1, send: local, template: datagram },
  { name: 'a socket picks the source', rules: undefined, trace: 0, send: socket, template: packetOf({ dst: '10.1.2.2' }) },
  { name: 'ipip', hosts: tunnelled('ipip'), trace: 0, send: local, template: datagram },
  { name: 'wireguard, with a session', hosts: tunnelled('wireguard'), trace: 0, send: local, template: datagram },
]

for (const { name, rules, hosts, trace, send, template } of cases) {
  const kit = new Kit(hosts ?? nodes(rules), { warm: true, segments: SEGMENTS })
  kit.world.trace.on = trace
  kit.world.trace.taps = 0
  process.stdout.write(`${JSON.stringify({ name, ...measure(kit, send, template, COUNT) })}\n`)
}
