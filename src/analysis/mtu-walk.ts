/** What the rows of one sized packet say: the tunnels around it, where it grew too big, who was told, where it was cut and put together again. */
import { formatIp } from '../base/ip.js'
import { DISPOSITIONS } from '../net/disposition.js'
import { DEVICE_NIC, type Device } from '../net/device.js'
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP_RATE_LIMITED, ICMP_GLOBAL_LIMIT, ICMP_SENT } from '../net/icmp.js'
import { NETNS_ROUTER, type Netns } from '../net/netns.js'
import {
  END_STRIDE,
  ROW_A,
  ROW_KIND,
  ROW_LENGTH,
  ROW_NETNS,
  ROW_PACKET,
  STEP_AGENT,
  STEP_DECAP,
  STEP_DEFRAGMENT,
  STEP_DROP,
  STEP_ENCAP,
  STEP_FRAGMENT,
  STEP_ICMP,
  STEP_RECEIVE,
  STEP_ROUTE,
  STEP_SEND,
  STEP_STRIDE,
  STEP_TABLE,
} from '../net/trace.js'
import { PROXY_SENT } from '../network/flannel-udp.js'
import type { Network } from '../network/network.js'
import { overheadOf } from '../wire/overhead.js'
import { encapsulationOf, PROXY, type Tunnel } from './encapsulation.js'
import type { FragmentsDocument, LimitDocument, PlaceDocument, ToldDocument } from './mtu-document.js'
import type { Fate } from './mtu-probe.js'
import type { StepDocument } from './trace-document.js'
import { placeOf } from './trace-report.js'
import { triedRules } from './rule-walk.js'
import { stepOf } from './trace-step.js'

/** The rows of the last question. */
export class Rows {
  readonly network: Network

  constructor(network: Network) {
    this.network = network
  }

  get count(): number {
    return this.network.world.trace.stepCount
  }

  kind(row: number): number {
    return this.at(row, ROW_KIND)
  }

  packet(row: number): number {
    return this.at(row, ROW_PACKET)
  }

  length(row: number): number {
    return this.at(row, ROW_LENGTH)
  }

  netns(row: number): Netns {
    return this.network.world.netns[this.at(row, ROW_NETNS)]
  }

  /** The nth argument of the row. */
  argument(row: number, n: number): number {
    return this.at(row, ROW_A + n)
  }

  device(index: number): Device {
    return this.network.world.devices[index]
  }

  words(row: number): StepDocument {
    const tried = this.kind(row) === STEP_TABLE ? triedRules(this.network, this.netns(row), row) : []
    return stepOf(this.network, row, { number: 0, tried, facts: undefined, all: false })
  }

  place(row: number, device?: Device): PlaceDocument {
    return { ...placeOf(this.network, this.netns(row)), ...(device === undefined ? {} : { device: device.name }) }
  }

  /** The last row of that kind before this one, of the same packet and netns; -1 none. */
  before(row: number, kind: number): number {
    for (let i = row - 1; i >= 0; i--) {
      if (this.kind(i) === kind && this.packet(i) === this.packet(row) && this.netns(i) === this.netns(row)) return i
    }
    return -1
  }

  private at(row: number, offset: number): number {
    return this.network.world.trace.steps[row * STEP_STRIDE + offset]
  }
}

/**
 * The tunnels that are around the packet when the row is written, outermost last. Fragments come one after the other: what leaves by a
 * card takes its tunnels along, and the next one starts where its netns started.
 */
function tunnelsAt(rows: Rows, fate: Fate, row: number): readonly Tunnel[] {
  const around = new Map<Netns, readonly Tunnel[]>()
  let onTheWire: readonly Tunnel[] = []
  for (let i = fate.origin; i < row; i++) {
    if (rows.packet(i) !== fate.packet) continue
    const netns = rows.netns(i)
    const here = around.get(netns) ?? []
    switch (rows.kind(i)) {
      case STEP_ENCAP:
        around.set(netns, [...here, { encapsulation: encapsulationOf(rows.device(rows.argument(i, 0))), bytes: rows.argument(i, 5) }])
        break
      case STEP_AGENT:
        around.set(netns, rows.argument(i, 0) === PROXY_SENT ? [...here, PROXY] : here.slice(0, -1))
        break
      case STEP_DECAP:
        around.set(netns, here.slice(0, -1))
        break
      case STEP_SEND:
        // the drop of a cable is written behind the send
        if (rows.device(rows.argument(i, 0)).kind !== DEVICE_NIC || nextOf(rows, fate, i) === row) break
        onTheWire = here
        around.delete(netns)
        break
      case STEP_RECEIVE:
        if (rows.device(rows.argument(i, 0)).kind === DEVICE_NIC) around.set(netns, onTheWire)
        break
      default:
    }
  }
  return around.get(rows.netns(row)) ?? []
}

function nextOf(rows: Rows, fate: Fate, row: number): number {
  let next = row + 1
  while (next < rows.count && rows.packet(next) !== fate.packet) next++
  return next
}

const SHORT: Readonly<Record<string, string>> = { 'outer IPv4': 'IPv4', 'outer UDP': 'UDP', 'WireGuard tag': 'tag', 'WireGuard padding': 'padding' }

/** `1500 - 20 IPv4 - 8 UDP = 1472`; headers by name where they are what was measured. */
export function arithmeticOf(mtu: number, tunnels: readonly Tunnel[]): string {
  if (tunnels.length === 0) return `${mtu}`
  let left = mtu
  const terms = [...tunnels].reverse().map(({ encapsulation, bytes }) => {
    const known = overheadOf(encapsulation)
    left -= known.bytes <= bytes ? known.bytes : bytes
    return known.bytes <= bytes ? known.parts.map((part) => ` - ${part.bytes} ${SHORT[part.name] ?? part.name}`).join('') : ` - ${bytes} ${encapsulation}`
  })
  return `${mtu}${terms.join('')} = ${left}`
}

/** Of a packet that did not arrive whole: where it was too big, or what else stopped it. */
export function limitOf(rows: Rows, fate: Fate): LimitDocument | null {
  const cut = fate.cut && fate.arrived ? firstRow(rows, fate, STEP_FRAGMENT) : -1
  if (cut >= 0) return limitAt(rows, fate, { row: cut, device: rows.device(rows.argument(cut, 0)), mtu: rows.argument(cut, 1) })
  if (fate.drop < 0) return null
  const row = fate.drop
  if (rows.words(row).kernelReason !== 'PKT_TOO_BIG') return otherLimit(rows, fate)
  const mtu = rows.argument(row, 4)
  const sent = rows.before(row, STEP_SEND)
  const route = rows.before(row, STEP_ROUTE)
  const card = sent > route ? rows.device(rows.argument(sent, 0)) : undefined
  if (card !== undefined && card.kind === DEVICE_NIC && card.segment !== null && card.segment.mtu === mtu && card.mtu > mtu) {
    const limit = limitAt(rows, fate, { row, device: card, mtu })
    return { ...limit, kind: 'segment', place: { ...limit.place, segment: card.segment.name } }
  }
  const out = route < 0 ? -1 : rows.argument(route, 3)
  return limitAt(rows, fate, { row, ...(out < 0 ? {} : { device: rows.device(out) }), mtu })
}

function firstRow(rows: Rows, fate: Fate, kind: number): number {
  for (let i = Math.max(0, fate.origin); i < rows.count; i++) if (rows.packet(i) === fate.packet && rows.kind(i) === kind) return i
  return -1
}

function limitAt(rows: Rows, fate: Fate, { row, device, mtu }: { readonly row: number; readonly device?: Device; readonly mtu: number }): LimitDocument {
  const tunnels = tunnelsAt(rows, fate, row)
  const netns = rows.netns(row)
  const kind = netns.role === NETNS_ROUTER ? 'router' : device !== undefined && device.mtu > mtu && device.mtu < IP_MTU_MAX ? 'route' : 'device'
  return {
    kind,
    place: rows.place(row, device),
    mtu,
    overhead: tunnels.reduce((sum, { bytes }) => sum + bytes, 0),
    encapsulations: tunnels.map(({ encapsulation }) => encapsulation),
    arithmetic: arithmeticOf(mtu, tunnels),
  }
}

const IP_MTU_MAX = 0xffff

/** A rule, a proxy: whatever lost the packet for another reason than an MTU. */
function otherLimit(rows: Rows, fate: Fate): LimitDocument {
  const { text, provenance, kind } = lossOf(rows, fate.drop)
  const tunnels = tunnelsAt(rows, fate, fate.drop)
  return {
    kind,
    place: rows.place(fate.drop),
    mtu: 0,
    overhead: tunnels.reduce((sum, { bytes }) => sum + bytes, 0),
    encapsulations: tunnels.map(({ encapsulation }) => encapsulation),
    arithmetic: '',
    text,
    ...(provenance === undefined ? {} : { provenance }),
  }
}

/** In words: the rule that dropped it, else what the drop says. */
export function lossOf(rows: Rows, drop: number): { readonly kind: 'rule' | 'other'; readonly text: string; readonly provenance?: StepDocument['provenance'] } {
  const said = rows.words(drop)
  const table = rows.before(drop, STEP_TABLE)
  const words = table < 0 || (said.action !== 'DENIED' && said.action !== 'REJECTED') ? undefined : rows.words(table)
  if (words === undefined) return { kind: 'other', text: said.text, ...(said.provenance === undefined ? {} : { provenance: said.provenance }) }
  const rule = words.rules?.findLast(({ matched }) => matched)
  const provenance = words.provenance ?? rule?.provenance
  const text = `${words.at?.table ?? ''}/${words.text.replace(/^(\w+): /, '$1 ')}`
  return { kind: 'rule', text, ...(provenance === undefined ? {} : { provenance }) }
}

/** The first ICMP 3/4 about the packet: it is made right before the packet is dropped. */
export function toldOf(rows: Rows, fate: Fate): ToldDocument | undefined {
  if (fate.drop < 0) return undefined
  for (let i = 0; i < rows.count; i++) {
    if (rows.kind(i) !== STEP_ICMP || rows.argument(i, 0) !== ICMP_DEST_UNREACH || rows.argument(i, 1) !== ICMP_FRAG_NEEDED) continue
    if (rows.netns(i) !== rows.netns(fate.drop)) continue
    const by = rows.place(i)
    const outcome = rows.argument(i, 5)
    const to = rows.argument(i, 2) === 0 ? '' : formatIp(rows.argument(i, 2))
    const common = { by, from: rows.argument(i, 3) === 0 ? '' : formatIp(rows.argument(i, 3)), to, mtu: rows.argument(i, 4) }
    if (outcome === ICMP_RATE_LIMITED || outcome === ICMP_GLOBAL_LIMIT) return { ...common, fate: 'RATE_LIMITED' }
    if (outcome !== ICMP_SENT) return { ...common, fate: 'NOT_SENT', text: 'the kernel sends no ICMP about this packet' }
    return { ...common, ...messageFate(rows, rows.packet(i)) }
  }
  return undefined
}

function messageFate(rows: Rows, packet: number): Pick<ToldDocument, 'fate' | 'heardBy' | 'disposition' | 'text' | 'provenance'> {
  const { trace } = rows.network.world
  for (let i = 0; i < trace.endCount; i++) {
    const at = i * END_STRIDE
    if (trace.ends[at + 4] !== packet) continue
    const disposition = DISPOSITIONS[trace.ends[at + 1]]
    if (disposition === 'DELIVERED') return { fate: 'ARRIVED', disposition, heardBy: rows.network.world.netns[trace.ends[at + 3]].name }
    let drop = trace.ends[at + 5]
    while (drop > 0 && (rows.kind(drop) !== STEP_DROP || rows.packet(drop) !== packet)) drop--
    const { text, provenance } = lossOf(rows, drop)
    return { fate: 'LOST', disposition, text, ...(provenance === undefined ? {} : { provenance }) }
  }
  return { fate: 'LOST', text: 'nothing was seen of it any more' }
}

/** Where it was cut, in order: one entry for each device, with the IP lengths of the pieces. */
export function fragmentsOf(rows: Rows, fate: Fate): FragmentsDocument[] {
  const found: { place: PlaceDocument; mtu: number; of: 'inner' | 'outer'; sizes: number[]; key: string }[] = []
  for (let i = Math.max(0, fate.origin); i < rows.count; i++) {
    if (rows.packet(i) !== fate.packet || rows.kind(i) !== STEP_FRAGMENT) continue
    const device = rows.device(rows.argument(i, 0))
    const of = tunnelsAt(rows, fate, i).length > 0 ? 'outer' : 'inner'
    const key = `${device.index} ${of}`
    let entry = found.find((one) => one.key === key)
    if (entry === undefined) {
      entry = { place: rows.place(i, device), mtu: rows.argument(i, 1), of, sizes: [], key }
      found.push(entry)
    }
    entry.sizes.push(rows.length(i))
  }
  return found.map(({ place, mtu, of, sizes }) => ({ place, mtu, of, sizes }))
}

/** The last netns in which fragments became a whole packet again. */
export function reassemblyOf(rows: Rows, fate: Fate): PlaceDocument | undefined {
  for (let i = rows.count - 1; i >= 0; i--) {
    if (rows.packet(i) === fate.packet && rows.kind(i) === STEP_DEFRAGMENT && rows.argument(i, 1) === 1) return rows.place(i)
  }
  return undefined
}

/** The least that the cards and cables of the underlay carry on the way of a packet, and the most that it has around it there; null where it crosses none. */
export function underlayOf(rows: Rows, fate: Fate): { readonly mtu: number; readonly tunnels: readonly Tunnel[]; readonly place: PlaceDocument } | null {
  let least: { mtu: number; tunnels: readonly Tunnel[]; place: PlaceDocument } | null = null
  for (let i = Math.max(0, fate.origin); i < rows.count; i++) {
    if (rows.packet(i) !== fate.packet || rows.kind(i) !== STEP_SEND) continue
    const device = rows.device(rows.argument(i, 0))
    if (device.kind !== DEVICE_NIC) continue
    const segment = device.segment !== null && device.segment.mtu < device.mtu ? device.segment : undefined
    const mtu = segment?.mtu ?? device.mtu
    if (least !== null && least.mtu <= mtu) continue
    const place = rows.place(i, device)
    least = { mtu, tunnels: tunnelsAt(rows, fate, i), place: segment === undefined ? place : { ...place, segment: segment.name } }
  }
  return least
}
