/** Asks netsim and the real kernel the same things and lines up the frames that each saw, chance fields blanked. */
import { formatIp, ip } from '../../src/base/ip.js'
import { sendDatagram } from '../../src/net/udp.js'
import { ETHERTYPE_ARP, PROTO_UDP, type Packet } from '../../src/wire/packet.js'
import { encodeFrame, encodeIp } from '../../src/wire/frame.js'
import { summarizeFrame } from '../../src/wire/frame-summary.js'
import { Kit, packetOf, type Hosts } from '../net/kit.js'
import { WalkLab, type Ask } from './walk-lab.js'

export type Probe = {
  readonly wait?: number
  readonly times?: number
  /** Devices left out: the real kernel goes on writing into the bytes that a packet socket there still holds (fragments put together). */
  readonly blind?: readonly string[]
} &
  /** A process sends the packet as it stands (IP_HDRINCL). */
  (
    | { readonly from: string; readonly packet: Packet }
    /** A packet socket puts the frame on the device. */
    | { readonly on: string; readonly frame: Packet }
    /** A UDP socket sends so many bytes; pmtudisc as IP_MTU_DISCOVER has it. */
    | { readonly from: string; readonly udp: Datagram }
    | { readonly pause: number }
  )

interface Datagram {
  /** The socket is bound to it. */
  readonly src?: string
  readonly dst: string
  readonly dport: number
  readonly size: number
  readonly pmtudisc: 0 | 1 | 2
}

export interface Scenario {
  readonly name: string
  readonly hosts: Hosts
  readonly probes: readonly Probe[]
}

const SETTLE_MS = 40

/** device → its frames in order, for either kernel. */
export interface Outcome {
  readonly real: Readonly<Record<string, readonly string[]>>
  readonly simulated: Readonly<Record<string, readonly string[]>>
}

export async function play(scenario: Scenario): Promise<readonly Outcome[]> {
  const kit = new Kit(scenario.hosts)
  const lab = new WalkLab(scenario.hosts)
  for (const netns of kit.world.netns) netns.sockets.open(PROTO_UDP, 40000)
  try {
    await lab.start()
    const outcomes: Outcome[] = []
    for (const probe of scenario.probes) {
      const wait = (probe.wait ?? 0) + SETTLE_MS
      const times = probe.times ?? 1
      const real: Record<string, string[]> = {}
      for (let i = 0; i < times; i++) {
        const answer = await lab.ask(askOf(probe, i + 1 < times ? 2 : wait))
        for (const { netns, device, out, hex } of answer.frames)
          if (probe.blind?.includes(`${netns}/${device}`) !== true) push(real, `${netns}/${device}`, out, Buffer.from(hex, 'hex'))
      }
      kit.clear()
      for (let i = 0; i < times; i++) simulate(kit, probe, i + 1 < times ? 2 : wait)
      const simulated: Record<string, string[]> = {}
      for (const { netns, device, out, bytes } of kit.frames())
        if (probe.blind?.includes(`${netns}/${device}`) !== true) push(simulated, `${netns}/${device}`, out, bytes)
      outcomes.push({ real, simulated })
    }
    return outcomes
  } finally {
    lab.remove()
  }
}

function askOf(probe: Probe, wait: number): Ask {
  if ('pause' in probe) return { kind: 'wait', wait: probe.pause }
  if ('packet' in probe) {
    const bytes = encodeIp(probe.packet)
    // the kernel fills in the source, but not the checksum that depends on it: 0 says there is none
    if (probe.packet.src === 0 && probe.packet.proto === PROTO_UDP) bytes.fill(0, 26, 28)
    return { kind: 'raw', ns: probe.from, hex: Buffer.from(bytes).toString('hex'), dst: formatIp(probe.packet.dst), wait }
  }
  if ('udp' in probe) return { kind: 'udp', ns: probe.from, ...probe.udp, wait }
  const [ns, device] = probe.on.split('/')
  return { kind: 'frame', ns, device, hex: Buffer.from(encodeFrame(probe.frame)).toString('hex'), wait }
}

function simulate(kit: Kit, probe: Probe, wait: number): void {
  if ('pause' in probe) return kit.pass(probe.pause)
  if ('packet' in probe) kit.send(probe.from, probe.packet)
  else if ('frame' in probe) kit.transmit(probe.on, probe.frame)
  else sendUdp(kit, probe.from, probe.udp)
  kit.pass(wait)
}

function sendUdp(kit: Kit, from: string, { src, dst, dport, size, pmtudisc }: Datagram): void {
  const packet = packetOf({ ...(src === undefined ? {} : { src }), dst, dport, length: size + 28, df: pmtudisc === 2 })
  if (pmtudisc !== 1) return kit.send(from, packet)
  const row = kit.world.packets.clone(packet)
  row.dst = ip(dst)
  row.id = kit.world.newPacketId()
  kit.world.live++
  sendDatagram(kit.netns(from), row)
  kit.world.drain()
}

function push(into: Record<string, string[]>, device: string, out: boolean, bytes: Uint8Array): void {
  const blanked = blank(bytes)
  const text = summarizeFrame(blanked, { link: 'ethernet' }).replace(/ \[[^\]]*checksum[^\]]*\]/g, '')
  ;(into[device] ??= []).push(`${out ? 'tx' : 'rx'} ${text} ${Buffer.from(blanked).toString('hex')}`)
}

/** IP ids and what depends on them (checksums), VXLAN source ports, TCP sequence numbers and timestamps of a SYN-ACK. */
function blank(frame: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(frame)
  const view = new DataView(bytes.buffer)
  if (view.getUint16(12) === ETHERTYPE_ARP) return bytes.subarray(0, 42)
  if (view.getUint16(12) === 0x0800) blankIp(view, bytes, 14)
  return bytes
}

function blankIp(view: DataView, bytes: Uint8Array, at: number): void {
  if (at + 20 > bytes.length) return
  view.setUint16(at + 4, 0)
  view.setUint16(at + 10, 0)
  const l4 = at + (bytes[at] & 15) * 4
  if ((view.getUint16(at + 6) & 0x1fff) !== 0) return
  const proto = bytes[at + 9]
  if (proto === 1 && bytes[l4] !== 0 && bytes[l4] !== 8) {
    view.setUint16(l4 + 2, 0)
    blankIp(view, bytes, l4 + 8)
  } else if (proto === 17 && l4 + 8 <= bytes.length) {
    view.setUint16(l4 + 6, 0)
    if (view.getUint16(l4 + 2) === 8472 && l4 + 16 < bytes.length) {
      view.setUint16(l4, 0)
      if (view.getUint16(l4 + 16 + 12) === 0x0800) blankIp(view, bytes, l4 + 16 + 14)
    }
  } else if (proto === 6 && l4 + 20 <= bytes.length) {
    view.setUint16(l4 + 16, 0)
    if ((bytes[l4 + 13] & 0x12) !== 0x12) return
    view.setUint32(l4 + 4, 0)
    if (l4 + 32 <= bytes.length) view.setUint32(l4 + 28, 0)
  }
}
