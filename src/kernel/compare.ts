/**
 * The frames that netsim predicts against the frames that a kernel's packet sockets saw. The rule:
 *
 *   1. Each tap (device and direction) saw the same number of frames, in the same order, equal field by field; what chance draws need not be
 *      equal but must stand for the same thing all along (chance.ts), and every checksum must be right over its own bytes.
 *   2. While one packet is under way at a time, each device (both directions) saw them in the predicted order, and so did the whole network:
 *      the capture's times never go back along the predicted order.
 *   3. Where several are under way at once (fragments, a cold start, segments sent back to back) how they interleave is a matter of
 *      scheduling: rule 1 alone.
 *   4. Neighbour upkeep of a warm network is no part of the question: unicast ARP between ends that know each other (neigh_timer_handler
 *      asks whom it knows before it forgets), where netsim predicts no ARP. It is left out, and counted.
 */
import { ChanceLedger, type FrameRole } from './chance.js'
import { fieldsOf, type Chance, type Field } from './frame-fields.js'
import { ETHERTYPE_ARP } from '../wire/packet.js'
import { read16 } from '../wire/bytes.js'
import { updateChecksum } from '../wire/checksum.js'

export interface SeenFrame {
  /** The node's name, or `namespace/pod`. */
  readonly netns: string
  readonly device: string
  readonly direction: 'rx' | 'tx'
  readonly bytes: Uint8Array
  /** `none`: the bytes begin with the IP header (TUN). */
  readonly link: 'ethernet' | 'none'
  /** Of one clock, nanoseconds. */
  readonly timeNs: number
}

export interface PredictedFrame extends SeenFrame, FrameRole {
  /** Number of the step (as `netsim trace` shows it) after which it was seen, 0 before the first. */
  readonly step: number
}

export interface FieldDifference {
  readonly name: string
  readonly predicted: string
  readonly captured: string
}

export type DifferenceKind = 'fields' | 'missing' | 'extra' | 'order' | 'chance' | 'checksum'

export interface FrameDifference {
  readonly kind: DifferenceKind
  readonly netns: string
  readonly device: string
  readonly direction: 'rx' | 'tx'
  readonly fields: readonly FieldDifference[]
  /** What is wrong, for people: `ip.ttl 62 ≠ 63`. */
  readonly what: string
  readonly predicted?: PredictedFrame
  readonly captured?: SeenFrame
  /** Index of the predicted frame, or of the place where an extra one stands. */
  readonly at: number
}

export interface Comparison {
  readonly equal: boolean
  readonly predicted: number
  readonly captured: number
  readonly matched: number
  /** In the predicted order. */
  readonly differences: readonly FrameDifference[]
  /** ARP of neighbour upkeep left out (rule 4). */
  readonly upkeep: number
}

interface CompareOptions {
  readonly cold: boolean
  /** Several packets are under way at once (rule 3); cold says so too. */
  readonly concurrent: boolean
  readonly natPorts?: ReadonlySet<number>
  readonly tunnelPorts?: ReadonlySet<number>
  /** A wrong checksum was asked for: both may be wrong. */
  readonly corrupt?: boolean
  /** This packet of the connection is no socket's: tunnels choose another source port for it. */
  readonly injected?: number | undefined
}

interface Pair {
  readonly predicted: PredictedFrame
  readonly captured: SeenFrame
  readonly at: number
}

interface FieldOptions extends CompareOptions {
  /** Headers that are equally wrong are equal: the packet was asked for so, or flanneld's proxy had it, which gets one wrong (a TTL of 0). */
  readonly wrongHeaders: boolean
}

export function compareFrames(predicted: readonly PredictedFrame[], captured: readonly SeenFrame[], compareOptions: CompareOptions): Comparison {
  const options: FieldOptions = { ...compareOptions, wrongHeaders: compareOptions.corrupt === true || predicted.some(({ link }) => link === 'none') }
  const concurrent = options.concurrent || options.cold
  const kept = options.cold ? captured : withoutUpkeep(predicted, captured)
  const differences: FrameDifference[] = []
  const pairs: Pair[] = []
  const places = new Map(predicted.map((frame, at) => [frame, at]))
  const tapOf = (frame: SeenFrame): string => `${frame.netns} ${frame.device}${concurrent ? ` ${frame.direction}` : ''}`
  const taps = new Set([...predicted, ...kept].map(tapOf))
  for (const tap of taps) {
    const own = { predicted: predicted.filter((frame) => tapOf(frame) === tap), captured: kept.filter((frame) => tapOf(frame) === tap) }
    compareTap(own.predicted, own.captured, { ...options, places, differences, pairs, end: predicted.length })
  }
  pairs.sort((a, b) => a.at - b.at)
  differences.push(...contradictions(pairs, options))
  if (!concurrent) differences.push(...backwards(pairs))
  const ordered = inOrder(differences, pairs)
  const spoiled = new Set(differences.map(({ predicted: frame }) => frame))
  return {
    equal: differences.length === 0,
    predicted: predicted.length,
    captured: kept.length,
    matched: pairs.filter((pair) => !spoiled.has(pair.predicted)).length,
    differences: ordered,
    upkeep: captured.length - kept.length,
  }
}

/** The first difference is the one that explains the others: frames too many stand where they were seen among those that are equal. */
function inOrder(differences: readonly FrameDifference[], pairs: readonly Pair[]): FrameDifference[] {
  const placed = differences.map((one) => {
    const { kind, captured } = one
    if (kind !== 'extra' || captured === undefined) return one
    return { ...one, at: Math.max(0, ...pairs.filter((pair) => pair.captured.timeNs <= captured.timeNs).map(({ at }) => at + 1)) }
  })
  return placed.sort((a, b) => a.at - b.at || (a.captured?.timeNs ?? 0) - (b.captured?.timeNs ?? 0))
}

interface TapContext extends FieldOptions {
  readonly places: ReadonlyMap<PredictedFrame, number>
  readonly differences: FrameDifference[]
  readonly pairs: Pair[]
  readonly end: number
}

/** Lines the two lists up so that as many frames as can be are equal in order; what is left over differs, is missing, or is too many. */
function compareTap(predicted: readonly PredictedFrame[], captured: readonly SeenFrame[], context: TapContext): void {
  const inStep = predicted.length === captured.length && predicted.every((one, at) => differingFields(one, captured[at], context).length === 0)
  if (inStep) {
    predicted.forEach((one, at) => context.pairs.push({ predicted: one, captured: captured[at], at: context.places.get(one) ?? 0 }))
    return
  }
  const lists = predicted.map((one) => captured.map((other) => differingFields(one, other, context)))
  const common = longestCommon(lists, captured.length)
  let [i, j] = [0, 0]
  const place = (index: number): number => (index < predicted.length ? (context.places.get(predicted[index]) ?? 0) : context.end)
  while (i < predicted.length || j < captured.length) {
    const both = i < predicted.length && j < captured.length
    if (both && lists[i][j].length === 0) {
      context.pairs.push({ predicted: predicted[i], captured: captured[j], at: place(i) })
      i++
      j++
    } else if (both && common[i + 1][j + 1] >= common[i][j + 1] && common[i + 1][j + 1] >= common[i + 1][j]) {
      context.differences.push(fieldsDiffer(predicted[i], captured[j], { fields: lists[i][j], at: place(i) }))
      i++
      j++
    } else if (j >= captured.length || (both && common[i + 1][j] >= common[i][j + 1])) {
      context.differences.push(oneSided('missing', predicted[i], place(i)))
      i++
    } else {
      context.differences.push(oneSided('extra', captured[j], place(i)))
      j++
    }
  }
}

/** common[i][j]: how many frames from i and j on can be lined up. */
function longestCommon(lists: readonly (readonly (readonly unknown[])[])[], width: number): number[][] {
  const common = Array.from({ length: lists.length + 1 }, () => new Array<number>(width + 1).fill(0))
  for (let i = lists.length - 1; i >= 0; i--) {
    for (let j = width - 1; j >= 0; j--) {
      common[i][j] = lists[i][j].length === 0 ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1])
    }
  }
  return common
}

function oneSided(kind: 'missing' | 'extra', frame: SeenFrame & { readonly step?: number }, at: number): FrameDifference {
  const { netns, device, direction } = frame
  const what = kind === 'missing' ? 'predicted, and the kernel sent no such frame' : 'the kernel sent a frame that is not predicted'
  const side = kind === 'missing' ? { predicted: frame as PredictedFrame } : { captured: frame }
  return { kind, netns, device, direction, fields: [], what, at, ...side }
}

function fieldsDiffer(
  predicted: PredictedFrame,
  captured: SeenFrame,
  { fields, at }: { readonly fields: readonly FieldDifference[]; readonly at: number },
): FrameDifference {
  const { netns, device, direction } = predicted
  const what = fields.map((field) => `${field.name} ${field.predicted} ≠ ${field.captured}`).join(', ')
  const kind = fields.every(({ name }) => name.endsWith('.checksum')) ? 'checksum' : 'fields'
  return { kind, netns, device, direction, fields, what, predicted, captured, at }
}

/** The fields, of equal name and place, that have to be equal and are not. */
function differingFields(predicted: PredictedFrame, captured: SeenFrame, options: FieldOptions): FieldDifference[] {
  const found: FieldDifference[] = []
  if (predicted.direction !== captured.direction) found.push({ name: 'direction', predicted: predicted.direction, captured: captured.direction })
  const [ours, theirs] = bothFields(predicted, captured, options)
  for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
    const [a, b] = [ours[i] as Field | undefined, theirs[i] as Field | undefined]
    if (a === undefined || b === undefined || a.name !== b.name) {
      found.push({
        name: a?.name ?? b?.name ?? '',
        predicted: a === undefined ? 'nothing' : a.text,
        captured: b === undefined ? 'nothing' : `${b.name} ${b.text}`,
      })
      break
    }
    // held to the ports that NAT drew once they are known (quotedContradiction)
    if (bearsNatPort(a, b, options)) continue
    const difference = fieldDifference(a, b, { ours: predicted.bytes, theirs: captured.bytes, options })
    if (difference !== undefined) found.push(difference)
  }
  return found
}

/** A checksum that was not made yet when it was quoted bears the port that NAT drew, which is back to what it was (inet_proto_csum_replace). */
function bearsNatPort({ name, checksum }: Field, other: Field, { natPorts }: CompareOptions): boolean {
  const unknown = checksum?.soundness === 'unknown' && other.checksum?.soundness === 'unknown'
  return unknown && natPorts !== undefined && natPorts.size > 0 && QUOTED_CHECKSUM.test(name)
}

const QUOTED_CHECKSUM = /quote\.(tcp|udp)\.checksum$/

/** Such a checksum differs by nothing but one of those ports, where it showed what port of the kernel's that is. */
function quotedContradiction(a: Field, b: Field, { natPorts = new Set() }: CompareOptions, ledger: ChanceLedger): string | undefined {
  if (a.value === b.value || a.checksum?.settled === b.checksum?.settled) return undefined
  for (const drawn of natPorts) {
    const port = ledger.standsFor('nat-port', drawn)
    if (port === undefined || sameSum(updateChecksum(a.value, drawn, port), b.value) || sameSum(updateChecksum(a.value, port, drawn), b.value)) return undefined
  }
  return `${a.text} with none of the ports that NAT drew`
}

/** One's complement has two zeros. */
function sameSum(a: number, b: number): boolean {
  return a % 0xffff === b % 0xffff
}

/** A port that NAT drew in netsim's frame is one in the kernel's, whatever its number. */
function bothFields(
  predicted: PredictedFrame,
  captured: SeenFrame,
  { natPorts = new Set(), tunnelPorts = new Set() }: Pick<CompareOptions, 'natPorts' | 'tunnelPorts'>,
): readonly [readonly Field[], readonly Field[]] {
  const ours = fieldsOf(predicted.bytes, { link: predicted.link, natPorts, tunnelPorts })
  const drawn = ours.filter(({ chance, at }) => chance === 'nat-port' && at + 2 <= captured.bytes.length).map(({ at }) => read16(captured.bytes, at))
  return [ours, fieldsOf(captured.bytes, { link: captured.link, natPorts: new Set(drawn), tunnelPorts })]
}

/** Chance, but for 0 where it means that there is none. */
const FIXED_AT_ZERO: readonly (Chance | undefined)[] = ['tcp-sequence', 'tcp-timestamp']

interface Sides {
  readonly ours: Uint8Array
  readonly theirs: Uint8Array
  readonly options: FieldOptions
}

function fieldDifference(a: Field, b: Field, { ours, theirs, options }: Sides): FieldDifference | undefined {
  if (a.checksum !== undefined && b.checksum !== undefined) return checksumDifference(a, b, options)
  // a number that is none of chance (a reset that answers nothing, an echo of no timestamp) stands for nothing that is
  const alike = a.chance === b.chance || !FIXED_AT_ZERO.includes(a.chance ?? b.chance)
  if (a.chance !== undefined && alike) return undefined
  if (a.length <= 4) return a.value === b.value ? undefined : { name: a.name, predicted: a.text, captured: b.text }
  if (a.length !== b.length) return { name: a.name, predicted: a.text, captured: b.text }
  for (let i = 0; i < a.length; i++) {
    if (ours[a.at + i] === theirs[b.at + i]) continue
    if (a.text !== b.text) return { name: a.name, predicted: a.text, captured: b.text }
    return { name: `${a.name} byte ${i}`, predicted: String(ours[a.at + i]), captured: String(theirs[b.at + i]) }
  }
  return undefined
}

function checksumDifference(a: Field, b: Field, { corrupt, wrongHeaders }: FieldOptions): FieldDifference | undefined {
  const [ours, theirs] = [a.checksum, b.checksum]
  if (ours === undefined || theirs === undefined) return undefined
  const difference = { name: a.name, predicted: `${a.text} (${ours.soundness})`, captured: `${b.text} (${theirs.soundness})` }
  if (ours.soundness !== theirs.soundness) return difference
  if (ours.soundness === 'right' || ours.soundness === 'none') return undefined
  if (ours.soundness === 'wrong' && !(a.name.endsWith('ip.checksum') ? wrongHeaders : corrupt === true)) return difference
  // the very same: a checksum not made yet (CHECKSUM_PARTIAL) sums no word of chance
  return ours.settled === theirs.settled || a.value === b.value ? undefined : difference
}

/** Chance that does not stand for the same thing all along (rule 1). */
function contradictions(pairs: readonly Pair[], options: CompareOptions): FrameDifference[] {
  const ledger = new ChanceLedger(options.injected)
  const sides = pairs.map((pair) => ({ pair, fields: bothFields(pair.predicted, pair.captured, options) }))
  const noted = contradicting(sides, (a, b, role) => ledger.note(a, a.value, b.value, role))
  const quoted = contradicting(sides, (a, b) => (bearsNatPort(a, b, options) ? quotedContradiction(a, b, options, ledger) : undefined))
  return [...noted, ...quoted]
}

interface PairFields {
  readonly pair: Pair
  readonly fields: ReturnType<typeof bothFields>
}

/** @param why what is wrong with a field of both, undefined: nothing */
function contradicting(sides: readonly PairFields[], why: (a: Field, b: Field, role: FrameRole) => string | undefined): FrameDifference[] {
  return sides.flatMap(({ pair: { predicted, captured, at }, fields: [ours, theirs] }) => {
    const fields = ours.flatMap((field, i): FieldDifference[] => {
      const wrong = why(field, theirs[i], predicted)
      return wrong === undefined ? [] : [{ name: field.name, predicted: field.text, captured: `${theirs[i].text}: ${wrong}` }]
    })
    const { netns, device, direction } = predicted
    const what = fields.map((field) => `${field.name} ${field.captured}`).join(', ')
    return fields.length === 0 ? [] : [{ kind: 'chance', netns, device, direction, fields, what, predicted, captured, at }]
  })
}

/** Times that go back along the predicted order (rule 2); pairs are in that order. */
function backwards(pairs: readonly Pair[]): FrameDifference[] {
  for (let i = 1; i < pairs.length; i++) {
    const [before, { predicted, captured, at }] = [pairs[i - 1], pairs[i]]
    if (captured.timeNs >= before.captured.timeNs) continue
    const { netns, device, direction } = predicted
    const tap = `${before.predicted.netns} ${before.predicted.device}`
    const what = `seen ${before.captured.timeNs - captured.timeNs} ns before the frame on ${tap} that should precede it`
    return [{ kind: 'order', netns, device, direction, fields: [], what, predicted, captured, at }]
  }
  return []
}

const BROADCAST_FIRST_BYTE = 1

function isArp({ bytes, link }: SeenFrame): boolean {
  return link === 'ethernet' && bytes.length >= 42 && read16(bytes, 12) === ETHERTYPE_ARP
}

/** Rule 4; where netsim predicts ARP on the device, all of it is compared. */
function withoutUpkeep(predicted: readonly PredictedFrame[], captured: readonly SeenFrame[]): readonly SeenFrame[] {
  const withArp = new Set(predicted.filter(isArp).map(({ netns, device }) => `${netns} ${device}`))
  return captured.filter((frame) => !isArp(frame) || (frame.bytes[0] & BROADCAST_FIRST_BYTE) === 1 || withArp.has(`${frame.netns} ${frame.device}`))
}
