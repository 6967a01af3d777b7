/** The flags of `netsim trace` → a TraceRequest; each value is checked where it is read, so that the message names its flag. */
import { InvalidArgumentError } from 'commander'
import { nearestName } from '../cluster/nearest-name.js'
import { parseMoment } from '../cluster/units.js'
import { DISPOSITIONS, type Disposition } from '../net/disposition.js'
import { DEFAULT_REQUEST, PROTOCOLS, type Protocol, type TraceRequest } from '../network/request.js'
import type { EtcdFlags } from './etcd-flags.js'
import { choosing, choosingSeveral } from './choices.js'
import { UsageError } from './exit.js'
import type { ColorWhen } from './terminal.js'

/** Of `trace`; `show` has the first two. */
export const TRACE_FORMATS = ['text', 'wide', 'json', 'jsonl', 'minimal', 'mermaid'] as const
export const STATE_FORMATS = ['text', 'json'] as const
export type OutputFormat = (typeof TRACE_FORMATS)[number]

/** How a question is asked (question-flags.ts), as commander hands it over. */
export interface QuestionFlags {
  readonly namespace: string
  readonly proto?: Protocol
  readonly sport: number
  readonly size?: number
  readonly df: boolean
  readonly ttl: number
  readonly cold: boolean
  readonly listen: boolean
  readonly seed: number
}

/** As commander hands them over. */
export interface TraceFlags extends EtcdFlags, QuestionFlags {
  readonly filename: readonly string[]
  readonly recursive: boolean
  /** Virtual time, ns. */
  readonly at?: number
  /** --seed was given: it wins over a Scenario's. */
  readonly seedGiven?: boolean
  readonly output: OutputFormat
  readonly verbose: number
  readonly expect: readonly Disposition[]
  readonly summary: boolean
  readonly svg?: string
  readonly pcap?: string
  readonly mtu?: boolean
  readonly all?: boolean
  /** The DNS query of the destination's name in place of the packet to its address. */
  readonly dns?: boolean
  /** false: `--no-color`. */
  readonly color: ColorWhen | false
  readonly ascii: boolean
}

export function requestOf(source: string, destination: string, flags: TraceFlags): TraceRequest {
  const { proto, size } = flags
  const least = proto === undefined ? undefined : LEAST_SIZE[proto]
  if (size !== undefined && least !== undefined && size < least) {
    throw new UsageError(`--size ${size} is less than the headers of ${proto}: at least ${least}`)
  }
  for (const [name, value] of [
    ['SRC', source],
    ['DST', destination],
  ])
    if (value.trim() === '') throw new UsageError(`${name} is empty`)
  return { ...questionFields(flags), source, destination, atNs: flags.at ?? DEFAULT_REQUEST.atNs, level: flags.verbose > 0 ? 1 : 0 }
}

/** All of a request but its ends. */
export function questionFields(flags: QuestionFlags): Omit<TraceRequest, 'source' | 'destination'> {
  const { namespace, proto, sport, size, df, ttl, cold, listen, seed } = flags
  return {
    ...DEFAULT_REQUEST,
    namespace,
    sport,
    df,
    ttl,
    cold,
    listen,
    seed,
    ...(proto === undefined ? {} : { proto }),
    ...(size === undefined ? {} : { size }),
  }
}

/** Headers of the packet that `--size` speaks of; of TCP that is the data segment, with its timestamps. */
const LEAST_SIZE = { icmp: 28, udp: 28, tcp: 52, sctp: 32 } as const

/** A decimal integer from `least` to `most`. */
export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : -1
    if (value < least || value > most) throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
    return value
  }
}

/** DESIGN.md idea 3: a run of virtual time is capped at 90 days. */
const LONGEST_NS = 90 * 24 * 3600 * 1e9

export function moment(text: string): number {
  const ns = parseMoment(text.replaceAll(' ', ''))
  if (ns === undefined || ns > LONGEST_NS) {
    throw new InvalidArgumentError('It must be a time since the start, with its unit, up to 90d: 250ms, 30s, 5m, 24h1s, 2d.')
  }
  return ns
}

export const protocol = choosing(PROTOCOLS, (text): Protocol => {
  const found = PROTOCOLS.find((name) => name === text.toLowerCase())
  if (found === undefined) throw new InvalidArgumentError(`It must be one of ${PROTOCOLS.join(', ')}.${didYouMean(text, PROTOCOLS)}`)
  return found
})

export const dispositions = choosingSeveral(DISPOSITIONS, (text): Disposition[] =>
  text.split(',').map((word) => {
    const wanted = word.trim().toUpperCase().replaceAll('-', '_')
    const found = DISPOSITIONS.find((name) => name === wanted)
    if (found !== undefined) return found
    throw new InvalidArgumentError(`'${word.trim()}' is no disposition.${didYouMean(wanted, DISPOSITIONS)} There are ${DISPOSITIONS.join(', ')}.`)
  }),
)

/** One of the formats that a verb has. */
export function outputFormat<Format extends string>(formats: readonly Format[]): (text: string) => Format {
  return choosing(formats, (text) => {
    const found = formats.find((name) => name === text.toLowerCase())
    if (found !== undefined) return found
    const known = `${formats.slice(0, -1).join(', ')} or ${formats.at(-1) ?? ''}`
    throw new InvalidArgumentError(`There is none of that name: take ${known}.${didYouMean(text.toLowerCase(), formats)}`)
  })
}

const COLOR_WHEN: readonly ColorWhen[] = ['auto', 'always', 'never']

export const colorWhen = choosing(COLOR_WHEN, (text): ColorWhen => {
  const found = COLOR_WHEN.find((when) => when === text)
  if (found === undefined) throw new InvalidArgumentError('It must be auto, always or never.')
  return found
})

export function namespaceName(text: string): string {
  if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) return text
  throw new InvalidArgumentError('It must be the name of a namespace: lower-case letters, digits and dashes.')
}

function didYouMean(text: string, known: readonly string[]): string {
  const nearest = nearestName(text, known)
  return nearest === undefined ? '' : ` Did you mean ${nearest}?`
}
