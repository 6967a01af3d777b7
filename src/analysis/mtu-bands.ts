/**
 * Sizes in stretches of one fate: where each begins is found by asking, what it is told from the rows of one packet of it, and what
 * its sender does next by asking again.
 */
import { formatIp } from '../base/ip.js'
import { REASON_PKT_TOO_BIG } from '../net/disposition.js'
import { STEP_FRAGMENT } from '../net/trace.js'
import type { BandDocument, BandOutcome, FragmentsDocument, LimitDocument, PlaceDocument, ToldDocument, TryDocument } from './mtu-document.js'
import { ask, type Fate, type Way } from './mtu-probe.js'
import { fragmentsOf, limitOf, reassemblyOf, Rows, toldOf } from './mtu-walk.js'
import { placeOf } from './trace-text-hops.js'

const TRIES_MAX = 5

/** What tells two fates apart. */
function keyOf(rows: Rows, fate: Fate): string {
  if (fate.refused) return 'refused'
  const devices = new Set<number>()
  for (let i = Math.max(0, fate.origin); i < rows.count; i++) {
    if (rows.packet(i) === fate.packet && rows.kind(i) === STEP_FRAGMENT) devices.add(rows.argument(i, 0))
  }
  const cuts = [...devices].join(' ')
  if (fate.arrived) return `arrived ${cuts}`
  const place = fate.drop < 0 ? '' : `${rows.netns(fate.drop).index} ${fate.reason === REASON_PKT_TOO_BIG ? rows.argument(fate.drop, 4) : fate.reason}`
  return `lost ${fate.disposition} ${place} ${cuts}`
}

/** @param points sizes whose fates are asked for certain, in rising order; what lies between two of the same fate is taken to share it */
export function bandsOf(way: Way, points: readonly number[], df: boolean): BandDocument[] {
  const rows = new Rows(way.network)
  const keys = new Map<number, string>()
  const key = (size: number): string => {
    const known = keys.get(size) ?? keyOf(rows, ask(way, size, { df }))
    keys.set(size, known)
    return known
  }
  const wanted = [...new Set(points)].sort((a, b) => a - b)
  if (wanted.length === 0) return []
  const last = wanted[wanted.length - 1]
  const bands: { from: number; to: number }[] = []
  let from = wanted[0]
  while (from <= last) {
    const to = endOfStretch(from, wanted, key)
    bands.push({ from, to })
    from = to + 1
  }
  return bands.map(({ from: first, to }) => bandOf(way, { from: first, to, df }))
}

/** The last size of the fate that `from` has. */
function endOfStretch(from: number, points: readonly number[], key: (size: number) => string): number {
  const mine = key(from)
  let low = from
  for (const point of points) {
    if (point <= low) continue
    if (key(point) === mine) {
      low = point
      continue
    }
    let high = point
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (key(middle) === mine) low = middle
      else high = middle
    }
    return low
  }
  return points[points.length - 1]
}

interface Story {
  readonly first: Fate
  readonly last: Fate
  readonly limit: LimitDocument | null
  readonly fragments: readonly FragmentsDocument[]
  readonly reassembledAt: PlaceDocument | undefined
  readonly tries: readonly TryDocument[]
}

function bandOf(way: Way, { from, to, df }: { readonly from: number; readonly to: number; readonly df: boolean }): BandDocument {
  const story = storyOf(way, to, df)
  const outcome = outcomeOf(way, story)
  const { limit, fragments, reassembledAt, tries } = story
  return {
    from,
    to,
    outcome,
    text: textOf(way, outcome, story),
    ...(limit === null ? {} : { place: limit.place }),
    fragments,
    ...(reassembledAt === undefined ? {} : { reassembledAt }),
    tries,
  }
}

/** The packet, and as long as somebody learns something from it the next one of the same sender. */
function storyOf(way: Way, size: number, df: boolean): Story {
  const rows = new Rows(way.network)
  const first = ask(way, size, { df })
  const limit = limitOf(rows, first)
  const destination = first.origin < 0 ? 0 : rows.argument(first.origin, 1)
  const tries: TryDocument[] = [tryOf(rows, first)]
  let last = first
  while (!last.arrived && !last.refused && tries.length < TRIES_MAX && isNews(tries)) {
    const own = last.pathMtus.filter((entry) => entry.netns === way.sourceNetns && entry.destination === destination).map(({ mtu }) => mtu)
    last = ask(way, df ? Math.min(last.size, ...own) : size, { df, pathMtus: last.pathMtus })
    tries.push(tryOf(rows, last))
  }
  const fragments = last.arrived && last.cut ? fragmentsOf(rows, last) : []
  return { first, last, limit, fragments, reassembledAt: fragments.length === 0 ? undefined : reassemblyOf(rows, last), tries }
}

function tryOf(rows: Rows, fate: Fate): TryDocument {
  const limit = fate.arrived ? null : limitOf(rows, fate)
  const told = toldOf(rows, fate)
  return {
    size: fate.size,
    disposition: fate.disposition,
    ...(limit === null ? {} : { place: limit.place, ...(limit.mtu === 0 ? {} : { mtu: limit.mtu }) }),
    ...(told === undefined ? {} : { told }),
    learned: fate.pathMtus.map(({ netns, destination, mtu }) => ({ netns, destination: formatIp(destination), mtu })),
  }
}

/** The last try taught somebody something. */
function isNews(tries: readonly TryDocument[]): boolean {
  const before = tries.length < 2 ? [] : tries[tries.length - 2].learned
  return tries[tries.length - 1].learned.some(
    ({ netns, destination, mtu }) => !before.some((old) => old.netns === netns && old.destination === destination && old.mtu === mtu),
  )
}

function outcomeOf({ sourceNetns }: Way, { first, last }: Story): BandOutcome {
  if (first.refused) return 'EMSGSIZE'
  if (first.arrived) return first.cut ? 'FRAGMENTED' : 'PASSES'
  if (last.arrived) return last.pathMtus.some(({ netns }) => netns === sourceNetns) ? 'TOLD' : 'LEARNED'
  if (first.disposition === 'INCOMPLETE') return 'UNKNOWN'
  return first.reason === REASON_PKT_TOO_BIG ? 'BLACKHOLE' : 'LOST'
}

/** `router r0 eth1`, `segment wan`, `node-1 / pod default/web eth0`. */
export function placeText(place: PlaceDocument): string {
  if (place.segment !== undefined) return `segment ${place.segment}`
  return `${placeOf(place)}${place.device === undefined ? '' : ` ${place.device}`}`
}

/** ` (fw.yaml:12)`. */
export function fileText(provenance: LimitDocument['provenance']): string {
  return provenance?.file === undefined ? '' : ` (${provenance.file}${provenance.line === undefined || provenance.line === 0 ? '' : `:${provenance.line}`})`
}

function textOf(way: Way, outcome: BandOutcome, { first, limit, fragments, reassembledAt, tries }: Story): string {
  const where = limit === null ? 'on the way' : `${placeText(limit.place)}${limit.mtu === 0 ? '' : ` (mtu ${limit.mtu})`}`
  const whole = reassembledAt === undefined ? '' : `, whole again at ${placeText(reassembledAt)}`
  const pieces = `${piecesText(fragments)}${whole}`
  if (outcome === 'PASSES') return 'arrives whole'
  if (outcome === 'FRAGMENTED') return pieces
  if (outcome === 'EMSGSIZE') return `the sender's own kernel refuses it, ${where}`
  if (outcome === 'LOST' || outcome === 'UNKNOWN')
    return `${outcome === 'LOST' ? 'lost' : 'not modelled'} at ${where}: ${limit?.text ?? first.disposition}${fileText(limit?.provenance)}`
  return tries
    .map((one, index) => {
      const who = index === 0 ? '' : one.size === tries[index - 1].size ? 'the next one is ' : `the next one, of ${one.size}, is `
      if (one.disposition === 'DELIVERED') return pieces === '' ? `${who.replace(/ is $/, '')} passes` : `the next one passes: ${pieces}`
      const place = one.place === undefined ? 'on the way' : `${placeText(one.place)}${one.mtu === undefined ? '' : ` (mtu ${one.mtu})`}`
      return `${who}lost at ${place}${messageText(way, one.told)}`
    })
    .join('; ')
}

/** Where it is cut first, and where into other pieces than before. */
function piecesText(fragments: readonly FragmentsDocument[]): string {
  return fragments
    .filter((one, index) => index === 0 || one.of !== fragments[index - 1].of || one.sizes.join() !== fragments[index - 1].sizes.join())
    .map((one) => `${one.of === 'outer' ? 'the outer packet' : 'it'} is cut at ${placeText(one.place)} (mtu ${one.mtu}) into ${one.sizes.join(' + ')}`)
    .join(', then ')
}

function messageText({ sourceNetns }: Way, told: ToldDocument | undefined): string {
  if (told?.fate !== 'ARRIVED') return silenceText(told)
  const hearer = told.heardBy === sourceNetns ? 'the sender' : `${told.heardBy ?? told.to}, not the sender`
  return `: ICMP fragmentation needed, mtu ${told.mtu}, from ${told.from} reaches ${hearer}`
}

/** Why nobody hears of it. */
export function silenceText(told: ToldDocument | undefined): string {
  if (told === undefined) return ' without a word'
  const message = `ICMP fragmentation needed, mtu ${told.mtu}`
  if (told.fate === 'NOT_SENT') return `: ${told.text ?? 'no ICMP is sent'}`
  if (told.fate === 'RATE_LIMITED') return `: ${message} is rationed, and not sent`
  if (told.fate === 'LOST') return `: ${message}, to ${told.to} is lost, ${told.disposition ?? ''}: ${told.text ?? ''}${fileText(told.provenance)}`
  return `: ${message}, reaches ${told.to}, which does not help`
}
