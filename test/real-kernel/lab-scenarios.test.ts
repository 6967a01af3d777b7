/** The scenarios of the walk (walk-scenarios.ts) once more, made by the lab: whatever a Dataplane can say is built, and behaves as netsim says. Root only. */
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../src/base/ip.js'
import { formatMac } from '../../src/base/mac.js'
import { compareFrames, type PredictedFrame } from '../../src/kernel/compare.js'
import { KernelLab } from '../../src/kernel/lab.js'
import type { LabProbe } from '../../src/kernel/lab-types.js'
import { rawSend } from '../../src/net/raw.js'
import { sendDatagram } from '../../src/net/udp.js'
import { encodeFrame, encodeIp } from '../../src/wire/frame.js'
import { PROTO_UDP, type Packet } from '../../src/wire/packet.js'
import { Kit, packetOf } from '../net/kit.js'
import type { Probe } from './walk-compare.js'
import { SCENARIOS } from './walk-scenarios.js'
import type { Scenario } from './walk-compare.js'

const SETTLE_MS = 40
const CLIENT_PORT = 40000

/** undefined: a socket option that the lab's probes have not. */
function probeOf(probe: Probe, common: Pick<LabProbe, 'listen' | 'predictedNs'>): LabProbe | undefined {
  if ('pause' in probe) return { ...common, kind: 'wait', netns: '' }
  if ('packet' in probe) return { ...common, kind: 'raw', netns: probe.from, packet: encodeIp(probe.packet) }
  if ('frame' in probe) {
    const [netns, device] = probe.on.split('/')
    return { ...common, kind: 'frame', netns, device, frame: encodeFrame(probe.frame) }
  }
  const { src, dst, dport, size, pmtudisc } = probe.udp
  if (pmtudisc === 1) return undefined
  const ends = { source: src === undefined ? 0 : ip(src), destination: ip(dst), sport: CLIENT_PORT, dport }
  return { ...common, ...ends, kind: 'udp', netns: probe.from, size: size + 28, ttl: 64, df: pmtudisc === 2 }
}

function simulate(kit: Kit, probe: Probe, wait: number): void {
  if ('pause' in probe) return kit.pass(probe.pause)
  if ('packet' in probe && probe.packet.src === 0) {
    // a raw socket's checksum was worked out before the kernel chose a source
    kit.world.live++
    rawSend(rowOf(kit, probe.packet), kit.netns(probe.from))
    kit.world.drain()
  } else if ('packet' in probe) kit.send(probe.from, probe.packet)
  else if ('frame' in probe) kit.transmit(probe.on, probe.frame)
  else {
    const { src, dst, dport, size, pmtudisc } = probe.udp
    const packet = packetOf({ ...(src === undefined ? {} : { src }), dst, dport, length: size + 28, df: pmtudisc === 2 })
    const row = rowOf(kit, packet)
    kit.world.live++
    if (pmtudisc === 1) sendDatagram(kit.netns(probe.from), row)
    else kit.send(probe.from, packet)
    kit.world.drain()
  }
  kit.pass(wait)
}

function rowOf({ world }: Kit, packet: Packet): Packet {
  const row = world.packets.clone(packet)
  row.id = world.newPacketId()
  return row
}

describe.skipIf(process.getuid?.() !== 0)('the lab makes what a Dataplane says (skipped without root)', () => {
  const possible = SCENARIOS.filter(({ probes }) => probes.every((probe) => probeOf(probe, {}) !== undefined))
  // the rationing asks what happens within 40 ms of the packet before, which a busy machine may not be quick enough for
  const hasty = (name: string): boolean => name.includes('rationing')
  it.each(possible.filter(({ name }) => !hasty(name)))('$name', compare)
  it.each(possible.filter(({ name }) => hasty(name)))('$name', { retry: 2 }, compare)

  async function compare({ hosts, probes }: Scenario): Promise<void> {
    const kit = new Kit(hosts)
    const listen = kit.dataplanes.map(({ netns }) => ({ netns, proto: 'udp' as const, port: CLIENT_PORT }))
    for (const netns of kit.world.netns) netns.sockets.open(PROTO_UDP, CLIENT_PORT)
    const specs = kit.dataplanes.map((dataplane) => ({ dataplane, role: 0 }))
    const lab = await KernelLab.start(
      { specs, segments: [], world: kit.world, proxies: [] },
      { prefix: `netsim-test-${process.pid}-`, icmpRateLimit: 'kernel' },
    )
    try {
      expect(lab.complaints).toEqual([])
      // what a netns is said to know of its neighbours for a while belongs to a warm start, and this one is cold
      for (const { netns, neighbours } of kit.dataplanes) {
        for (const { address, device, mac, state } of neighbours.filter((one) => one.state === 'stale')) {
          const words = ['neigh', 'replace', formatIp(address), 'lladdr', formatMac(mac ?? 0), 'dev', device, 'nud', state]
          expect((await lab.run(netns, ['ip', ...words])).stderr).toBe('')
        }
      }
      for (const [index, probe] of probes.entries()) {
        const wait = (probe.wait ?? 0) + SETTLE_MS
        for (let time = 1; time <= (probe.times ?? 1); time++) {
          const asked = probeOf(probe, { listen, predictedNs: ('pause' in probe ? probe.pause : wait) * 1e6 })
          if (asked === undefined) throw new Error('filtered out above')
          const { frames, error } = await lab.send(asked.netns === '' ? { ...asked, netns: kit.dataplanes[0].netns } : asked)
          kit.clear()
          simulate(kit, probe, wait)
          const predicted = kit.frames().map(({ netns, device, out, bytes }): PredictedFrame => ({
            netns,
            device,
            direction: out ? 'tx' : 'rx',
            bytes,
            link: 'ethernet',
            timeNs: 0,
            leg: 'forward',
            packet: -1,
            step: 0,
          }))
          const blind = (frame: { readonly netns: string; readonly device: string }): boolean =>
            probe.blind?.includes(`${frame.netns}/${frame.device}`) !== true
          const { differences } = compareFrames(predicted.filter(blind), frames.filter(blind), { cold: true, concurrent: true, corrupt: true })
          expect([index, time, error === '' || kit.frames().length === 0]).toEqual([index, time, true])
          expect([index, time, ...differences.map(({ netns, device, what }) => `${netns}/${device}: ${what}`)]).toEqual([index, time])
        }
      }
    } finally {
      await lab.close()
    }
  }
})
