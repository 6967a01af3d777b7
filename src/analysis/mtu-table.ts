/** A small packet and a full one side by side, step by step: where the columns part is where the big one comes to grief. */
import { DEVICE_BRIDGE, DEVICE_VETH } from '../net/device.js'
import { NETNS_POD } from '../net/netns.js'
import { STEP_AGENT, STEP_DECAP, STEP_DEFRAGMENT, STEP_DROP, STEP_ENCAP, STEP_FRAGMENT, STEP_SEND, STEP_SOCKET } from '../net/trace.js'
import { PROXY_SENT } from '../network/flannel-udp.js'
import { ask, type Fate, type Way } from './mtu-probe.js'
import type { PlaceDocument, TableRow, ToldDocument } from './mtu-document.js'
import { fragmentsOf, lossOf, Rows, toldOf } from './mtu-walk.js'
import { fileText } from './mtu-bands.js'

interface Station {
  readonly place: PlaceDocument
  readonly step: string
  readonly key: string
  text: string
  readonly lost?: boolean
}

interface Column {
  readonly stations: Station[]
  readonly told: ToldDocument | undefined
}

export function besideOf(way: Way, { small, full, df }: { readonly small: number; readonly full: number; readonly df: boolean }): TableRow[] {
  const first = columnOf(way, ask(way, small, { df }))
  const second = columnOf(way, ask(way, full, { df }))
  const rows = merged(first.stations, second.stations)
  return second.told === undefined ? rows : withMessage(rows, second.told)
}

function columnOf(way: Way, fate: Fate): Column {
  const rows = new Rows(way.network)
  const stations: Station[] = []
  for (let i = Math.max(0, fate.origin); i < rows.count; i++) {
    if (rows.packet(i) !== fate.packet) continue
    const station = stationOf(rows, fate, i)
    if (station === undefined) continue
    const same = fate.cut ? stations.find(({ key }) => key === station.key) : undefined
    if (same === undefined) stations.push(station)
    else if (same.text !== station.text || isPiece(rows, i)) same.text = `${same.text} + ${station.text}`
  }
  return { stations, told: toldOf(rows, fate) }
}

/** Two pieces of the same size are still two. */
function isPiece(rows: Rows, row: number): boolean {
  return rows.kind(row) === STEP_SEND || rows.kind(row) === STEP_ENCAP || rows.kind(row) === STEP_DECAP
}

function stationOf(rows: Rows, fate: Fate, row: number): Station | undefined {
  const netns = rows.netns(row)
  const length = rows.length(row)
  const station = (step: string, text: string, rest: { key?: string; device?: number; lost?: boolean } = {}): Station => {
    const device = rest.device === undefined ? undefined : rows.device(rest.device)
    const key = `${netns.index} ${rest.key ?? step}`
    return { place: rows.place(row, device), step, key, text, ...(rest.lost === true ? { lost: true } : {}) }
  }
  switch (rows.kind(row)) {
    case STEP_SEND: {
      const device = rows.device(rows.argument(row, 0))
      // bridges and the host's ends of veths carry what their pods' devices do
      if (device.kind === DEVICE_BRIDGE || (device.kind === DEVICE_VETH && netns.role !== NETNS_POD)) return undefined
      return station(`send ${device.name}, mtu ${device.mtu}`, `${length}`, { device: device.index })
    }
    case STEP_ENCAP: {
      const device = rows.device(rows.argument(row, 0))
      return station(`encap ${device.name}`, `${length}`, { device: device.index })
    }
    case STEP_AGENT:
      return rows.argument(row, 0) === PROXY_SENT ? station('flanneld: encap udp', `${length + 28}`) : station('flanneld: decap udp', `${length}`)
    case STEP_DECAP:
      return station('decap', `${length}`)
    case STEP_FRAGMENT: {
      const device = rows.device(rows.argument(row, 0))
      const step = `cut for ${device.name}, mtu ${rows.argument(row, 1)}`
      const sizes = fragmentsOf(rows, fate).find(({ place }) => place.device === device.name && place.netns === netns.name)?.sizes
      return station(step, (sizes ?? []).join(' + '), { device: device.index })
    }
    case STEP_DEFRAGMENT:
      return rows.argument(row, 1) === 1 ? station('whole again', `${length}`) : undefined
    case STEP_DROP:
      return dropStation(rows, row, station)
    case STEP_SOCKET:
      return station('socket', 'DELIVERED')
    default:
      return undefined
  }
}

function dropStation(rows: Rows, row: number, station: (step: string, text: string, rest: { key?: string; lost?: boolean }) => Station): Station {
  const words = rows.words(row)
  if (words.kernelReason !== 'PKT_TOO_BIG') {
    const { text, provenance } = lossOf(rows, row)
    return station(`${text}${fileText(provenance)}`, words.action, { lost: true })
  }
  const [length, mtu] = [rows.argument(row, 3), rows.argument(row, 4)]
  return station('too big', `${length} > ${mtu}  DROP`, { key: `drop ${mtu}`, lost: true })
}

/** The steps that both take stand in one row; of those that one alone takes the first column's come later, since it goes on. */
function merged(small: readonly Station[], full: readonly Station[]): TableRow[] {
  const rows: TableRow[] = []
  let at = 0
  for (const station of full) {
    const found = small.findIndex(({ key }, index) => index >= at && key === station.key)
    for (; found >= 0 && at < found; at++) rows.push(row(small[at], undefined))
    rows.push(row(found < 0 ? undefined : small[at], station))
    if (found >= 0) at++
  }
  for (; at < small.length; at++) rows.push(row(small[at], undefined))
  const lost = full.some((station) => station.lost === true)
  return rows.map((one, index) => (lost && index === rows.length - 1 && one.small === 'DELIVERED' ? { ...one, full: 'never arrives', lost: true } : one))
}

function row(small: Station | undefined, full: Station | undefined): TableRow {
  const shown = (full ?? small) as Station
  return { place: shown.place, step: shown.step, small: small?.text ?? '', full: full?.text ?? '', lost: full?.lost === true || small?.lost === true }
}

const FATES: Readonly<Record<ToldDocument['fate'], string>> = { ARRIVED: 'arrives', LOST: 'lost', NOT_SENT: 'not sent', RATE_LIMITED: 'not sent: rationed' }

/** What is said of the loss stands right under it. */
function withMessage(rows: readonly TableRow[], told: ToldDocument): TableRow[] {
  const at = rows.findIndex(({ lost, full }) => lost && full !== '')
  const text =
    told.fate === 'LOST' ? `${told.disposition ?? 'lost'}${fileText(told.provenance)}` : told.fate === 'ARRIVED' ? `reaches ${told.to}` : FATES[told.fate]
  const message: TableRow = { place: told.by, step: `ICMP frag needed, mtu ${told.mtu}`, small: '', full: text, lost: told.fate !== 'ARRIVED' }
  return [...rows.slice(0, at + 1), message, ...rows.slice(at + 1)]
}
