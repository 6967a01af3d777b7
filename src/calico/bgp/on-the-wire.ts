/**
 * What a message is on the wire without writing it: its length, and what the other end reads. Attributes are encoded and decoded once for each object, as one
 * object goes to thousands of peers, and so are a daemon's OPENs; the rest goes as bytes.
 */
import { decodeAttributes, encodeAttributes, type PathAttributes } from './attributes.js'
import { BEFORE_OPEN, decodeMessage, encodeMessage, HEADER_LENGTH, prefixLength } from './message.js'
import type { BgpMessage, OpenMessage, PathPrefix, SessionRules, UpdateMessage } from './message.js'

/** What a segment of TCP carries: bytes, or a message that the other end would read from them as it is. */
export type Segment = Uint8Array | BgpMessage

interface Encoded {
  readonly length: number
  /** What the other end reads, where that is a value of its own; undefined: an error. */
  readonly received: PathAttributes | undefined
}

const ENCODED = new WeakMap<PathAttributes, (Encoded | undefined)[]>()

function encoded(attributes: PathAttributes, rules: SessionRules): Encoded {
  let known = ENCODED.get(attributes)
  if (known === undefined) {
    known = []
    ENCODED.set(attributes, known)
  }
  const kind = (rules.as4 ? 1 : 0) + (rules.internal ? 2 : 0)
  return (known[kind] ??= encode(attributes, rules))
}

function encode(attributes: PathAttributes, rules: SessionRules): Encoded {
  const bytes = encodeAttributes(attributes, rules)
  const received = decodeAttributes(bytes, { as4: rules.as4, wanted: true })
  if ('subcode' in received) return { length: bytes.length, received: undefined }
  return { length: bytes.length, received: isSame(attributes, received) ? attributes : received }
}

function isSame(a: PathAttributes, b: PathAttributes): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof PathAttributes>
  return [...keys].every((key) => JSON.stringify(a[key]) === JSON.stringify(b[key]))
}

export function attributesLength(attributes: PathAttributes, rules: SessionRules): number {
  return encoded(attributes, rules).length
}

function prefixesLength(paths: readonly PathPrefix[], rules: SessionRules): number {
  let length = 0
  for (const path of paths) length += prefixLength(path, rules)
  return length
}

function updateLength({ withdrawn, attributes, reachable }: UpdateMessage, rules: SessionRules): number {
  const lists = prefixesLength(withdrawn, rules) + prefixesLength(reachable, rules)
  return HEADER_LENGTH + 4 + lists + (attributes === undefined ? 0 : attributesLength(attributes, rules))
}

interface EncodedOpen {
  readonly length: number
  readonly segment: Segment
}

const OPENS = new WeakMap<OpenMessage, EncodedOpen>()

/** One object goes to all peers of a daemon. What it says is no matter of what both have agreed on. */
function encodedOpen(open: OpenMessage): EncodedOpen {
  let known = OPENS.get(open)
  if (known === undefined) {
    const bytes = encodeMessage(open, BEFORE_OPEN)
    const read = decodeMessage(bytes, BEFORE_OPEN)
    known = { length: bytes.length, segment: read.type === 'error' ? bytes : read }
    OPENS.set(open, known)
  }
  return known
}

/** In bytes, BGP's own: what encodeMessage would write. */
export function messageLength(message: BgpMessage, rules: SessionRules): number {
  switch (message.type) {
    case 'update':
      return updateLength(message, rules)
    case 'keepalive':
      return HEADER_LENGTH
    case 'open':
      return encodedOpen(message).length
    default:
      return encodeMessage(message, rules).length
  }
}

/** Opens, updates and keepalives, of which there are most, go as they are read. */
export function segmentOf(message: BgpMessage, rules: SessionRules): Segment {
  if (message.type === 'keepalive') return message
  if (message.type === 'open') return encodedOpen(message).segment
  if (message.type !== 'update') return encodeMessage(message, rules)
  if (message.attributes === undefined) return message
  const { received } = encoded(message.attributes, rules)
  if (received === message.attributes) return message
  return received === undefined ? encodeMessage(message, rules) : { ...message, attributes: received }
}
