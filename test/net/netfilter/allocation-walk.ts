/** What allocation.test.ts measures: heap used by 100,000 packets once the code is warm, as JSON on standard output. */
import { packet, forward, host, table } from './support.js'

const PACKETS = 100_000

const at = host(
  table('raw', '-A PREROUTING -m set --match-set s src') +
    table(
      'nat',
      '-A PREROUTING -d 10.96.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.2.0.2:5353',
      '-A POSTROUTING -s 10.1.0.0/24 -j MASQUERADE',
    ) +
    table(
      'filter',
      '-A FORWARD -m conntrack --ctstate INVALID -j DROP',
      ...Array.from({ length: 40 }, (_, i) => `-A FORWARD -s 172.16.0.${i}/32 -j DROP`),
      '-A FORWARD -m addrtype --dst-type UNICAST',
    ),
  { ipsets: 'create s hash:net family inet\nadd s 10.1.0.0/24\nadd s 10.1.0.9 nomatch\n' },
)
const row = packet({ dst: '10.96.0.1', dport: 53 })
const { src, dst, sport, dport } = row

function run(count: number): void {
  for (let i = 0; i < count; i++) {
    row.src = src + (i & 7)
    row.dst = dst
    row.sport = sport + ((i >> 3) & 63)
    row.dport = dport
    row.ttl = 64
    row.conntrack = -1
    row.conntrackState = 0
    forward(at, row)
    // connections end and others begin, in the same slots
    if ((i & 1023) === 1023) at.world.sim.nowNs += 20e9
  }
}

run(PACKETS)
const conntrack = at.netns.conntrack
const collect = (globalThis as { gc?: () => void }).gc
if (conntrack === null || collect === undefined) throw new Error('needs conntrack and --expose-gc')
const capacity = conntrack.capacity
const made = at.world.packets.made
collect()
const before = process.memoryUsage().heapUsed
run(PACKETS)
const after = process.memoryUsage().heapUsed
console.log(
  JSON.stringify({
    bytesPerPacket: (after - before) / PACKETS,
    entries: conntrack.count,
    capacityGrown: conntrack.capacity - capacity,
    packetsMade: at.world.packets.made - made,
  }),
)
