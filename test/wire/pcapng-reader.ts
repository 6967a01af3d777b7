/**
 * A reader of pcapng for tests, written from draft-ietf-opsawg-pcapng alone: it trusts nothing, so that what it accepts is well formed.
 * Either byte order; one section.
 */
import { Buffer } from 'node:buffer'

export interface ReadOption {
  readonly code: number
  readonly value: Buffer
}

export interface ReadInterface {
  readonly name: string
  readonly description: string | undefined
  readonly linkType: number
  readonly mac: string | undefined
  readonly resolution: number
}

export interface ReadPacket {
  readonly interface: number
  readonly time: bigint
  readonly bytes: Buffer
  readonly originalLength: number
  readonly comments: readonly string[]
  readonly flags: number
  readonly id: bigint
  /** Type octet and 64-bit value. */
  readonly verdict: readonly [number, bigint] | undefined
}

export interface ReadCapture {
  readonly section: ReadonlyMap<number, readonly string[]>
  readonly interfaces: readonly ReadInterface[]
  readonly packets: readonly ReadPacket[]
}

class Cursor {
  little = true
  private readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  u16(at: number): number {
    return this.little ? this.bytes.readUInt16LE(at) : this.bytes.readUInt16BE(at)
  }
  u32(at: number): number {
    return this.little ? this.bytes.readUInt32LE(at) : this.bytes.readUInt32BE(at)
  }
  u64(at: number): bigint {
    return this.little ? this.bytes.readBigUInt64LE(at) : this.bytes.readBigUInt64BE(at)
  }
}

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(`pcapng: ${what}`)
}

/** @throws Error at the first thing that the draft forbids */
export function readPcapng(file: Uint8Array): ReadCapture {
  const bytes = Buffer.from(file)
  const cursor = new Cursor(bytes)
  let section: Map<number, string[]> | undefined
  const interfaces: ReadInterface[] = []
  const packets: ReadPacket[] = []
  let at = 0
  while (at < bytes.length) {
    must(at + 12 <= bytes.length, 'a block is cut')
    if (section === undefined) {
      must(bytes.readUInt32BE(at) === 0x0a0d0d0a, 'it begins with a section')
      cursor.little = bytes.readUInt32LE(at + 8) === 0x1a2b3c4d
      must(cursor.u32(at + 8) === 0x1a2b3c4d, 'byte-order magic')
    }
    const type = cursor.u32(at)
    const length = cursor.u32(at + 4)
    must(length % 4 === 0 && length >= 12 && at + length <= bytes.length, `block length ${length}`)
    must(cursor.u32(at + length - 4) === length, 'the two lengths of a block differ')
    const end = at + length - 4
    if (type === 0x0a0d0d0a) {
      must(section === undefined, 'one section')
      must(cursor.u16(at + 12) === 1 && cursor.u16(at + 14) === 0, 'version 1.0')
      must(cursor.u64(at + 16) === BigInt(bytes.length - length), 'section length')
      section = new Map()
      for (const { code, value } of options(bytes, cursor, at + 24, end)) section.set(code, [...(section.get(code) ?? []), value.toString('utf8')])
    } else if (type === 1) interfaces.push(readInterface(bytes, cursor, at, end))
    else if (type === 6) packets.push(readPacket(bytes, cursor, at, { end, interfaces: interfaces.length }))
    else throw new Error(`pcapng: block type ${type}`)
    at += length
  }
  must(section !== undefined, 'an empty file')
  return { section: section ?? new Map<number, string[]>(), interfaces, packets }
}

function options(bytes: Buffer, cursor: Cursor, from: number, end: number): ReadOption[] {
  const found: ReadOption[] = []
  let at = from
  while (at < end) {
    must(at + 4 <= end, 'an option is cut')
    const code = cursor.u16(at)
    const length = cursor.u16(at + 2)
    at += 4
    if (code === 0) {
      must(length === 0 && at === end, 'something follows the end of options')
      return found
    }
    must(at + length <= end, 'an option is longer than its block')
    found.push({ code, value: bytes.subarray(at, at + length) })
    const padded = (length + 3) & ~3
    must(
      bytes.subarray(at + length, at + padded).every((byte) => byte === 0),
      'padding is zero',
    )
    at += padded
  }
  must(found.length === 0, 'options without their end')
  return found
}

function single(found: readonly ReadOption[], code: number): Buffer | undefined {
  const all = found.filter((one) => one.code === code)
  must(all.length <= 1, `option ${code} twice`)
  return all[0]?.value
}

function readInterface(bytes: Buffer, cursor: Cursor, at: number, end: number): ReadInterface {
  const found = options(bytes, cursor, at + 16, end)
  must(cursor.u16(at + 10) === 0, 'reserved')
  const mac = single(found, 6)
  must(mac === undefined || mac.length === 6, 'if_MACaddr has six bytes')
  const resolution = single(found, 9)
  must(resolution?.length === 1, 'if_tsresol has one byte')
  return {
    name: single(found, 2)?.toString('utf8') ?? '',
    description: single(found, 3)?.toString('utf8'),
    linkType: cursor.u16(at + 8),
    mac: mac?.toString('hex'),
    resolution: resolution?.[0] ?? 6,
  }
}

function readPacket(bytes: Buffer, cursor: Cursor, at: number, { end, interfaces }: { readonly end: number; readonly interfaces: number }): ReadPacket {
  const captured = cursor.u32(at + 20)
  const data = at + 28
  must(cursor.u32(at + 8) < interfaces, 'an interface that is not described')
  must(data + captured <= end, 'packet data is cut')
  const found = options(bytes, cursor, data + ((captured + 3) & ~3), end)
  const within = (code: number): { cursor: Cursor; length: number; first: number } | undefined => {
    const value = single(found, code)
    if (value === undefined) return undefined
    const inside = new Cursor(value)
    inside.little = cursor.little
    return { cursor: inside, length: value.length, first: value[0] }
  }
  const flags = within(2)
  const id = within(5)
  const verdict = within(7)
  must(flags === undefined || flags.length === 4, 'epb_flags has four bytes')
  must(id === undefined || id.length === 8, 'epb_packetid has eight bytes')
  must(verdict === undefined || verdict.length === 9, 'a verdict of eBPF has nine bytes')
  return {
    interface: cursor.u32(at + 8),
    time: (BigInt(cursor.u32(at + 12)) << 32n) | BigInt(cursor.u32(at + 16)),
    bytes: bytes.subarray(data, data + captured),
    originalLength: cursor.u32(at + 24),
    comments: found.filter(({ code }) => code === 1).map(({ value }) => value.toString('utf8')),
    flags: flags?.cursor.u32(0) ?? 0,
    id: id?.cursor.u64(0) ?? -1n,
    verdict: verdict === undefined ? undefined : [verdict.first, verdict.cursor.u64(1)],
  }
}
