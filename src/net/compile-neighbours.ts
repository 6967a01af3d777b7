/**
 * Neighbours and FDB entries of a Dataplane → tables. What many netns have in common becomes one table for all of them (dataplane/common-rows.ts); where a
 * row of a netns's own would meet one of those, that netns has them all by itself.
 */
import { macHigh, macLow } from '../base/mac.js'
import { isExcerpt, piecesOf, type Piece } from '../dataplane/common-rows.js'
import type { Dataplane, FdbSpec, NeighbourSpec } from '../dataplane/dataplane.js'
import type { Device } from './device.js'
import { MacTable } from './mac-table.js'
import {
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  type CommonNeighbours,
  type NeighTable,
} from './neigh.js'
import { deviceNamed, type Netns } from './netns.js'
import type { CommonVteps } from './vxlan.js'

const NEIGHBOUR_STATES = {
  permanent: NUD_PERMANENT,
  noarp: NUD_NOARP,
  reachable: NUD_REACHABLE,
  stale: NUD_STALE,
  delay: NUD_DELAY,
  probe: NUD_PROBE,
  incomplete: NUD_INCOMPLETE,
  failed: NUD_FAILED,
} as const

export function loadNeighbours(netns: Netns, dataplane: Dataplane): void {
  const { own, common } = divide(piecesOf(dataplane).neighbours, commonNeighbours, netns)
  const table = common?.device.neighbours ?? null
  if (common !== undefined && table !== null && !own.some(({ address, device }) => device === common.device.name && common.made.slots.has(address))) {
    table.keepCommon(common.made, new Set(common.lacks.map(({ address }) => address)))
    loadOwnNeighbours(netns, own)
  } else loadOwnNeighbours(netns, common === undefined ? own : dataplane.neighbours)
}

function loadOwnNeighbours(netns: Netns, specs: readonly NeighbourSpec[]): void {
  for (const spec of specs) {
    const table: NeighTable | null | undefined = deviceNamed(netns, spec.device)?.neighbours
    if (table === null || table === undefined) continue
    if (spec.proxy === true) {
      table.proxy(spec.address)
      continue
    }
    const permanent = spec.state === 'permanent' || spec.state === 'noarp'
    if (!permanent && netns.world.warm === 0) continue
    table.keep(spec.address, NEIGHBOUR_STATES[spec.state], { high: macHigh(spec.mac ?? 0), low: macLow(spec.mac ?? 0) })
  }
}

export function loadFdb(netns: Netns, dataplane: Dataplane): void {
  const { own, common } = divide(piecesOf(dataplane).fdb, commonVteps, netns)
  const vxlan = common?.device.vxlan ?? null
  const slotOf = ({ mac }: FdbSpec): number => common?.made.table.find(macHigh(mac), macLow(mac)) ?? -1
  if (common !== undefined && vxlan !== null && !own.some((spec) => spec.device === common.device.name && slotOf(spec) >= 0)) {
    vxlan.addCommon(common.made, new Set(common.lacks.map(slotOf)))
    loadOwnFdb(netns, own)
  } else loadOwnFdb(netns, common === undefined ? own : dataplane.fdb)
}

function loadOwnFdb(netns: Netns, specs: readonly FdbSpec[]): void {
  for (const spec of specs) {
    const device = deviceNamed(netns, spec.device)
    if (device === null) continue
    if (device.vxlan !== null && spec.destination !== undefined) {
      device.vxlan.add(macHigh(spec.mac), macLow(spec.mac), spec.destination, spec.port ?? device.vxlan.port, spec.vni ?? device.vxlan.vni)
    } else if (device.port !== null && spec.master !== undefined && spec.mac !== undefined) {
      // permanent is local, for the host itself; static leads to the port (br_fdb.c fdb_add_entry)
      device.port.bridge.addPermanent(macHigh(spec.mac), macLow(spec.mac), device.port, spec.state === 'permanent' ? 1 : 0)
    }
  }
}

interface Divided<Row, Made> {
  /** All of them where nothing is in common; else all the others. */
  readonly own: readonly Row[]
  readonly common?: { readonly made: Made; readonly device: Device; readonly lacks: readonly Row[] }
}

/** @param make of rows of one device; null: they are no such rows */
function divide<Row extends { readonly device: string }, Made>(
  pieces: readonly Piece<Row>[],
  make: (rows: readonly Row[]) => Made | null,
  netns: Netns,
): Divided<Row, Made> {
  const own: Row[] = []
  let common: Divided<Row, Made>['common']
  for (const piece of pieces) {
    if (!isExcerpt(piece)) {
      for (const row of piece) own.push(row)
      continue
    }
    const made = common === undefined ? make(piece.common) : null
    const device = made === null ? null : deviceNamed(netns, piece.common[0].device)
    const replaced = [...piece.instead.keys()].map((index) => piece.common[index])
    if (made !== null && device !== null) common = { made, device, lacks: replaced }
    for (const [index, rows] of made === null ? piece.common.map((row, at): [number, readonly Row[]] => [at, [row]]) : piece.instead) {
      own.push(...(piece.instead.get(index) ?? rows))
    }
  }
  return { own, ...(common === undefined ? {} : { common }) }
}

const NEIGHBOURS = new WeakMap<readonly NeighbourSpec[], CommonNeighbours | null>()

/** null unless they are permanent ones of one device, an address each. */
function commonNeighbours(rows: readonly NeighbourSpec[]): CommonNeighbours | null {
  let known = NEIGHBOURS.get(rows)
  if (known !== undefined) return known
  const slots = new Map(rows.map(({ address }, slot) => [address, slot]))
  const isPlain = ({ device, state, proxy, mac }: NeighbourSpec): boolean =>
    device === rows[0].device && state === 'permanent' && proxy !== true && mac !== undefined
  known =
    rows.length > 0 && slots.size === rows.length && rows.every(isPlain)
      ? { slots, macHighs: Int32Array.from(rows, ({ mac }) => macHigh(mac ?? 0)), macLows: Int32Array.from(rows, ({ mac }) => macLow(mac ?? 0)) }
      : null
  NEIGHBOURS.set(rows, known)
  return known
}

const VTEPS = new WeakMap<readonly FdbSpec[], CommonVteps | null>()

/** null unless they lead to one VTEP each, of a MAC each, with nothing of their own beside. */
function commonVteps(rows: readonly FdbSpec[]): CommonVteps | null {
  let known = VTEPS.get(rows)
  if (known !== undefined) return known
  const table = new MacTable()
  rows.forEach(({ mac }, slot) => table.set(macHigh(mac), macLow(mac), slot))
  const isPlain = ({ mac, device, destination, port, vni, master }: FdbSpec, slot: number): boolean =>
    device === rows[0].device &&
    mac !== 0 &&
    destination !== undefined &&
    [port, vni, master].every((one) => one === undefined) &&
    table.find(macHigh(mac), macLow(mac)) === slot
  known = rows.length > 0 && rows.every(isPlain) ? { table, remotes: Int32Array.from(rows, ({ destination }) => destination as number) } : null
  VTEPS.set(rows, known)
  return known
}
