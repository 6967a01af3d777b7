/**
 * DNS messages (RFC 1035 §4; SRV: RFC 2782; AAAA: RFC 3596): bytes ↔ header, question and records. What the cluster's resolvers answer is
 * encoded; every type is decoded, those without fields of their own as bytes.
 *
 *   0 id(2) | 2 flags(2) | 4 questions(2) | 6 answers(2) | 8 authority(2) | 10 additional(2) | questions, records
 */
import { MAX_LABEL_LENGTH, MAX_NAME_LENGTH, type DnsRecord, type DnsType } from '../base/dns-record.js'
import { read16, read32 } from './bytes.js'

const HEADER_LENGTH = 12

const TYPE_CODES: Readonly<Record<DnsType, number>> = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, TXT: 16, AAAA: 28, SRV: 33 }
const TYPE_NAMES: ReadonlyMap<number, DnsType> = new Map(Object.entries(TYPE_CODES).map(([name, code]) => [code, name as DnsType]))
const CLASS_IN = 1

export const RCODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const

interface Question {
  readonly name: string
  /** A code where it has no name here. */
  readonly type: DnsType | number
}

/** A record whose type has no fields here, or whose class is not IN (an OPT has the size of a datagram there). */
interface RawRecord {
  readonly name: string
  readonly ttl: number
  readonly type: number
  readonly class: number
  readonly data: Uint8Array
}

export interface Message {
  readonly id: number
  readonly response: boolean
  readonly authoritative: boolean
  readonly truncated: boolean
  readonly recursionDesired: boolean
  readonly recursionAvailable: boolean
  readonly rcode: number
  readonly questions: readonly Question[]
  readonly answers: readonly (DnsRecord | RawRecord)[]
  readonly authority: readonly (DnsRecord | RawRecord)[]
  readonly additional: readonly (DnsRecord | RawRecord)[]
}

/** What a stub resolver sends (glibc's res_mkquery): one question, recursion desired, no OPT. */
export function queryOf(question: Question, id: number): Message {
  return { ...EMPTY, id, recursionDesired: true, questions: [question] }
}

const EMPTY: Message = {
  id: 0,
  response: false,
  authoritative: false,
  truncated: false,
  recursionDesired: false,
  recursionAvailable: false,
  rcode: 0,
  questions: [],
  answers: [],
  authority: [],
  additional: [],
}

// ---- encode

interface Writer {
  readonly bytes: number[]
  /** Where a name's tail stands; absent: names are written out. */
  readonly tails?: Map<string, number>
}

/**
 * @param compress names of questions, owners and of the types of RFC 1035 point to earlier ones (never an SRV's target: RFC 2782)
 * @throws RangeError for a name that cannot be written (base/dns-record.ts dnsNameFault says why)
 */
export function encode(message: Message, { compress = false }: { readonly compress?: boolean } = {}): Uint8Array {
  const writer: Writer = { bytes: [], ...(compress ? { tails: new Map<string, number>() } : {}) }
  const { questions, answers, authority, additional } = message
  put16(writer, message.id)
  put16(writer, flagsOf(message))
  for (const section of [questions, answers, authority, additional]) put16(writer, section.length)
  for (const { name, type } of questions) {
    putName(writer, name, true)
    put16(writer, typeof type === 'number' ? type : TYPE_CODES[type])
    put16(writer, CLASS_IN)
  }
  for (const record of [...answers, ...authority, ...additional]) putRecord(writer, record)
  return Uint8Array.from(writer.bytes)
}

function flagsOf(message: Message): number {
  const bit = (set: boolean, value: number): number => (set ? value : 0)
  const { response, authoritative, truncated, recursionDesired, recursionAvailable, rcode } = message
  return (
    bit(response, 0x8000) | bit(authoritative, 0x0400) | bit(truncated, 0x0200) | bit(recursionDesired, 0x0100) | bit(recursionAvailable, 0x0080) | (rcode & 15)
  )
}

function put16({ bytes }: Writer, value: number): void {
  bytes.push((value >>> 8) & 255, value & 255)
}

function put32(writer: Writer, value: number): void {
  put16(writer, value >>> 16)
  put16(writer, value)
}

function putName(writer: Writer, name: string, mayPoint: boolean): void {
  const { bytes, tails } = writer
  const labels = splitName(name)
  if (labels.reduce((sum, label) => sum + label.length + 1, 1) > MAX_NAME_LENGTH) throw new RangeError(`too long a DNS name: ${name}`)
  for (let at = 0; at < labels.length; at++) {
    const tail = JSON.stringify(labels.slice(at))
    const known = mayPoint ? tails?.get(tail) : undefined
    if (known !== undefined) {
      bytes.push(0xc0 | (known >>> 8), known & 255)
      return
    }
    // a pointer has 14 bits
    if (tails !== undefined && !tails.has(tail) && bytes.length < 0x4000) tails.set(tail, bytes.length)
    bytes.push(labels[at].length, ...labels[at])
  }
  bytes.push(0)
}

/** Octets of the labels; `\.` and `\DDD` stand for one octet (RFC 1035 §5.1). @throws RangeError */
function splitName(name: string): number[][] {
  const labels: number[][] = []
  let label: number[] = []
  const end = (): void => {
    if (label.length === 0 || label.length > MAX_LABEL_LENGTH) throw new RangeError(`no DNS name: ${JSON.stringify(name)}`)
    labels.push(label)
    label = []
  }
  if (name === '' || name === '.') return labels
  for (const [, decimal, escaped, plain] of name.matchAll(/\\([0-9]{3})|\\(.)|([^\\])/gs)) {
    const code = decimal === undefined ? (escaped ?? plain).charCodeAt(0) : Number(decimal)
    if (plain === '.') end()
    else if (code > 255) throw new RangeError(`no DNS name: ${JSON.stringify(name)}`)
    else label.push(code)
  }
  if (label.length > 0 || !name.endsWith('.')) end()
  return labels
}

function putRecord(writer: Writer, record: DnsRecord | RawRecord): void {
  const { bytes } = writer
  const raw = typeof record.type === 'number'
  putName(writer, record.name, true)
  put16(writer, typeof record.type === 'number' ? record.type : TYPE_CODES[record.type])
  put16(writer, raw ? record.class : CLASS_IN)
  put32(writer, record.ttl)
  const lengthAt = bytes.length
  put16(writer, 0)
  if (raw) bytes.push(...record.data)
  else putData(writer, record)
  const length = bytes.length - lengthAt - 2
  bytes[lengthAt] = length >>> 8
  bytes[lengthAt + 1] = length & 255
}

function putData(writer: Writer, record: DnsRecord): void {
  switch (record.type) {
    case 'A':
      put32(writer, record.address)
      break
    case 'NS':
    case 'CNAME':
    case 'PTR':
      putName(writer, record.target, true)
      break
    case 'SRV':
      put16(writer, record.priority)
      put16(writer, record.weight)
      put16(writer, record.port)
      putName(writer, record.target, false)
      break
    case 'TXT':
      for (const text of record.texts) writer.bytes.push(text.length & 255, ...[...text].slice(0, 255).map((letter) => letter.charCodeAt(0) & 255))
      break
    case 'SOA':
      putName(writer, record.server, true)
      putName(writer, record.mailbox, true)
      for (const value of [record.serial, record.refresh, record.retry, record.expire, record.minimum]) put32(writer, value)
  }
}

// ---- decode

type DecodeError = 'dns-truncated' | 'dns-label' | 'dns-pointer' | 'dns-data'

/** Bytes after the last record are let be. */
export function decode(bytes: Uint8Array): Message | DecodeError {
  if (bytes.length < HEADER_LENGTH) return 'dns-truncated'
  const flags = read16(bytes, 2)
  const questions: Question[] = []
  let at = HEADER_LENGTH
  for (let left = read16(bytes, 4); left > 0; left--) {
    const name = nameAt(bytes, at)
    if (typeof name === 'string') return name
    if (name.end + 4 > bytes.length) return 'dns-truncated'
    const code = read16(bytes, name.end)
    questions.push({ name: name.text, type: TYPE_NAMES.get(code) ?? code })
    at = name.end + 4
  }
  const sections: (DnsRecord | RawRecord)[][] = []
  for (const countAt of [6, 8, 10]) {
    const records: (DnsRecord | RawRecord)[] = []
    for (let left = read16(bytes, countAt); left > 0; left--) {
      const record = recordAt(bytes, at)
      if (typeof record === 'string') return record
      records.push(record.record)
      at = record.end
    }
    sections.push(records)
  }
  const [answers, authority, additional] = sections
  return {
    id: read16(bytes, 0),
    response: (flags & 0x8000) !== 0,
    authoritative: (flags & 0x0400) !== 0,
    truncated: (flags & 0x0200) !== 0,
    recursionDesired: (flags & 0x0100) !== 0,
    recursionAvailable: (flags & 0x0080) !== 0,
    rcode: flags & 15,
    questions,
    answers,
    authority,
    additional,
  }
}

interface NameAt {
  readonly text: string
  /** After the name, or after the pointer that ended it. */
  readonly end: number
}

/** Pointers lead back only (RFC 1035 §4.1.4: to a prior occurrence), so that following them ends. */
function nameAt(bytes: Uint8Array, start: number): NameAt | DecodeError {
  const labels: string[] = []
  let end: number | undefined
  let at = start
  let lowest = start
  let octets = 1
  for (;;) {
    if (at >= bytes.length) return 'dns-truncated'
    const length = bytes[at]
    if (length === 0) return { text: labels.join('.'), end: end ?? at + 1 }
    if (length >= 0xc0) {
      if (at + 2 > bytes.length) return 'dns-truncated'
      end ??= at + 2
      const target = read16(bytes, at) & 0x3fff
      if (target >= lowest || target < HEADER_LENGTH) return 'dns-pointer'
      lowest = target
      at = target
      continue
    }
    if (length > MAX_LABEL_LENGTH) return 'dns-label'
    if (at + 1 + length > bytes.length) return 'dns-truncated'
    octets += length + 1
    if (octets > MAX_NAME_LENGTH) return 'dns-label'
    labels.push(labelText(bytes.subarray(at + 1, at + 1 + length)))
    at += 1 + length
  }
}

function labelText(octets: Uint8Array): string {
  return Array.from(octets, (octet) => {
    const letter = String.fromCharCode(octet)
    if (letter === '.' || letter === '\\') return `\\${letter}`
    return octet > 0x20 && octet < 0x7f ? letter : `\\${String(octet).padStart(3, '0')}`
  }).join('')
}

function recordAt(bytes: Uint8Array, start: number): { readonly record: DnsRecord | RawRecord; readonly end: number } | DecodeError {
  const name = nameAt(bytes, start)
  if (typeof name === 'string') return name
  const at = name.end
  if (at + 10 > bytes.length) return 'dns-truncated'
  const code = read16(bytes, at)
  const length = read16(bytes, at + 8)
  const dataAt = at + 10
  const end = dataAt + length
  if (end > bytes.length) return 'dns-truncated'
  const head = { name: name.text, ttl: read32(bytes, at + 4) >>> 0 }
  const type = read16(bytes, at + 2) === CLASS_IN ? TYPE_NAMES.get(code) : undefined
  if (type === undefined || type === 'AAAA') return { record: { ...head, type: code, class: read16(bytes, at + 2), data: bytes.slice(dataAt, end) }, end }
  const record = dataOf(bytes, { ...head, type }, dataAt, end)
  return typeof record === 'string' ? record : { record, end }
}

function dataOf(bytes: Uint8Array, head: { name: string; ttl: number; type: Exclude<DnsType, 'AAAA'> }, at: number, end: number): DnsRecord | DecodeError {
  const { type } = head
  switch (type) {
    case 'A':
      return end - at === 4 ? { ...head, type, address: read32(bytes, at) } : 'dns-data'
    case 'NS':
    case 'CNAME':
    case 'PTR': {
      const target = nameAt(bytes, at)
      if (typeof target === 'string') return target
      return target.end === end ? { ...head, type, target: target.text } : 'dns-data'
    }
    case 'SRV': {
      if (end - at < 7) return 'dns-data'
      const target = nameAt(bytes, at + 6)
      if (typeof target === 'string') return target
      if (target.end !== end) return 'dns-data'
      return { ...head, type, priority: read16(bytes, at), weight: read16(bytes, at + 2), port: read16(bytes, at + 4), target: target.text }
    }
    case 'TXT': {
      const texts: string[] = []
      for (let from = at; from < end; from += bytes[from] + 1) {
        if (from + 1 + bytes[from] > end) return 'dns-data'
        texts.push(String.fromCharCode(...bytes.subarray(from + 1, from + 1 + bytes[from])))
      }
      return { ...head, type, texts }
    }
    case 'SOA': {
      const server = nameAt(bytes, at)
      if (typeof server === 'string') return server
      const mailbox = nameAt(bytes, server.end)
      if (typeof mailbox === 'string') return mailbox
      if (mailbox.end + 20 !== end) return 'dns-data'
      const word = (index: number): number => read32(bytes, mailbox.end + 4 * index) >>> 0
      const [serial, refresh, retry, expire, minimum] = [word(0), word(1), word(2), word(3), word(4)]
      return { ...head, type, server: server.text, mailbox: mailbox.text, serial, refresh, retry, expire, minimum }
    }
  }
}
