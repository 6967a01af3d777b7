/**
 * The stations of a trace's forward leg: every device, pod and user-space forwarder that the packet touched, in order, with its steps, frame
 * sizes and TTL. What a picture of the path is drawn from.
 *
 *   hops and frames ─▶ stations ─▶ runs (consecutive stations of one machine)
 */
import { frameFacts, type FrameFacts } from './frame-text.js'
import type { FrameDocument, HopDocument, LegDocument, StepDocument, TraceDocument } from './trace-document.js'

type StationKind = 'pod' | 'bridge' | 'tunnel' | 'process' | 'nic' | 'veth' | 'lost'

export interface Station {
  readonly kind: StationKind
  readonly title: string
  /** Distinct frame lengths, in order of appearance. */
  readonly lengths: number[]
  ttl?: number
  outerTtl?: number
  /** The steps on the way into it, or in it. */
  readonly steps: StepDocument[]
}

/** Consecutive stations of one machine. */
export interface Run {
  readonly node: string
  readonly role: 'host' | 'router'
  readonly stations: Station[]
}

/** A place of one hop before it is known whether an earlier packet was there already. */
interface Place {
  readonly key: string
  readonly device: string
  readonly station: Station
}

export function pathRuns(document: TraceDocument): Run[] {
  const runs: Run[] = []
  const known = new Map<string, Station>()
  document.forward.hops.forEach((hop, index) => {
    const places = placesOf(hop, framesOf(document.forward, index))
    for (const place of places) takePlace(place, hop, runs, known)
    assignSteps(hop, places, known)
  })
  addLoss(document, runs)
  return runs
}

function framesOf(leg: LegDocument, index: number): { frame: FrameDocument; facts: FrameFacts }[] {
  const hop = leg.hops[index]
  const later = leg.hops.find((other, at) => at > index && other.netns === hop.netns && other.timeNs > hop.timeNs)
  const first = leg.hops.findIndex((other) => other.netns === hop.netns) === index
  const isMine = ({ timeNs }: FrameDocument): boolean => (first || timeNs >= hop.timeNs) && (later === undefined || timeNs < later.timeNs)
  const mine = leg.frames.filter((frame) => frame.netns === hop.netns && isMine(frame))
  return mine.map((frame) => ({ frame, facts: frameFacts(frame) })).filter(({ facts }) => !facts.arp)
}

function placesOf(hop: HopDocument, frames: readonly { frame: FrameDocument; facts: FrameFacts }[]): Place[] {
  const places: Place[] = []
  const place = (device: string, direction: string, kind: StationKind): Place => {
    const key = `${hop.netns}|${device}|${direction}`
    const found = places.find((candidate) => candidate.key === key)
    if (found !== undefined) return found
    const title = hop.pod === undefined ? device : `pod ${hop.pod}`
    const made: Place = { key, device, station: { kind: hop.pod === undefined ? kind : 'pod', title, lengths: [], steps: [] } }
    places.push(made)
    return made
  }
  const bridges = new Set(hop.steps.filter((step) => step.kind === 'bridge').map((step) => step.at?.device))
  for (const { frame, facts } of frames) {
    const kind = bridges.has(frame.device) ? 'bridge' : facts.link === 'none' ? 'tunnel' : kindOfDevice(frame.device)
    const { station } = place(frame.device, frame.direction, kind)
    if (!station.lengths.includes(frame.length)) station.lengths.push(frame.length)
    station.ttl ??= facts.ttl
    station.outerTtl ??= facts.outerTtl
  }
  if (frames.length === 0) {
    for (const step of hop.steps) {
      const device = step.at?.device
      if (device === undefined || !['send', 'receive', 'encap', 'decap'].includes(step.kind)) continue
      const { station } = place(device, step.kind === 'receive' || step.kind === 'decap' ? 'rx' : 'tx', kindOfDevice(device))
      if (step.frameLength !== undefined && !station.lengths.includes(step.frameLength)) station.lengths.push(step.frameLength)
    }
  }
  insertBridges(hop, places)
  insertProcesses(hop, places)
  return places
}

/** By the names that the field gives its devices; what is not known is drawn as a card. */
function kindOfDevice(device: string): StationKind {
  if (/^(docker|cni|br|virbr)[-0-9]/.test(device)) return 'bridge'
  if (/^(flannel|vxlan|tunl|ipip|wireguard|wg|tun)/.test(device)) return 'tunnel'
  return /^(veth|cali)/.test(device) ? 'veth' : 'nic'
}

/** A packet from port to port of a bridge shows on no tap of the bridge itself: it stands between what came in and what went out. */
function insertBridges(hop: HopDocument, places: Place[]): void {
  for (const step of hop.steps) {
    const device = step.at?.device
    if (step.kind !== 'bridge' || device === undefined || places.some((place) => place.device === device)) continue
    const sent = places.findIndex((place) => place.key.endsWith('|tx'))
    const station: Station = { kind: 'bridge', title: device, lengths: [], steps: [] }
    places.splice(sent < 0 ? places.length : sent, 0, { key: `${hop.netns}|${device}|bridge`, device, station })
  }
}

/** A forwarder in user space stands behind the TUN that it reads, or before the one that it writes. */
function insertProcesses(hop: HopDocument, places: Place[]): void {
  const agent = hop.steps.find((step) => step.kind === 'agent')
  if (agent === undefined) return
  const title = agent.provenance?.by ?? /^[a-z][a-z0-9-]*/.exec(agent.text)?.[0] ?? 'user space'
  const station: Station = { kind: 'process', title, lengths: [], steps: [] }
  const tunnel = places.findIndex((place) => place.station.kind === 'tunnel')
  const at = tunnel < 0 ? places.length : places[tunnel].key.endsWith('|tx') ? tunnel + 1 : tunnel
  places.splice(at, 0, { key: `${hop.netns}|${title}|process`, device: title, station })
}

function takePlace(place: Place, hop: HopDocument, runs: Run[], known: Map<string, Station>): void {
  const before = known.get(place.key)
  if (before !== undefined) {
    for (const length of place.station.lengths) if (!before.lengths.includes(length)) before.lengths.push(length)
    return
  }
  known.set(place.key, place.station)
  let run = runs.at(-1)
  if (run === undefined || run.node !== hop.node) {
    run = { node: hop.node, role: hop.netns.startsWith('router/') ? 'router' : 'host', stations: [] }
    runs.push(run)
  }
  run.stations.push(place.station)
}

/** Kinds whose device the packet has reached; a route and a neighbour name the one that it is to leave by. */
const ARRIVING = ['send', 'receive', 'bridge', 'encap', 'decap']

/** A step that names a station leads to it; one that names none is on the way to the next. */
function assignSteps(hop: HopDocument, places: readonly Place[], known: ReadonlyMap<string, Station>): void {
  if (places.length === 0) return
  let at = -1
  for (const step of hop.steps) {
    const process = places.find((place) => place.station.kind === 'process')?.device
    const name = step.kind === 'agent' ? process : ARRIVING.includes(step.kind) ? step.at?.device : undefined
    const named = name === undefined ? -1 : places.findIndex((place, index) => index >= Math.max(0, at) && place.device === name)
    if (named >= 0) at = named
    const place = places[named >= 0 ? named : Math.min(at + 1, places.length - 1)]
    known.get(place.key)?.steps.push(step)
  }
}

function addLoss(document: TraceDocument, runs: Run[]): void {
  const { disposition } = document.forward
  if (disposition === 'DELIVERED' || disposition === 'EXITED') return
  const hop = document.forward.hops.findLast((candidate) => candidate.steps.some((step) => step.n === document.result.step)) ?? document.forward.hops.at(-1)
  if (hop === undefined) return
  const run = runs.findLast((candidate) => candidate.node === hop.node)
  const last = run?.stations.at(-1)
  // What happened after the packet had reached its last station led to the loss.
  const reached = last?.steps.findLastIndex((step) => ARRIVING.includes(step.kind) || step.kind === 'agent') ?? -1
  const steps = last === undefined ? hop.steps : last.steps.splice(reached < 0 && last.kind === 'pod' ? last.steps.length - 1 : reached + 1)
  const station: Station = { kind: 'lost', title: disposition, lengths: [], steps: [...steps] }
  if (run !== undefined) run.stations.push(station)
  else runs.push({ node: hop.node, role: hop.netns.startsWith('router/') ? 'router' : 'host', stations: [station] })
}

/** `3-6, 9`. */
export function stepNumbers(steps: readonly StepDocument[]): string {
  const ranges: [first: number, last: number][] = []
  for (const n of steps.map((step) => step.n).sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && n <= last[1] + 1) last[1] = n
    else ranges.push([n, n])
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ')
}
