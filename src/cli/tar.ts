/**
 * A tar archive, compressed with gzip or not, → the files in it. Reads what tar, busybox and bsdtar write: ustar, GNU's long names, pax's paths; links and
 * devices are passed over. Source: POSIX.1-2024 pax, "ustar Interchange Format"; GNU tar's manual, "Basic Tar Format".
 */
import { Buffer } from 'node:buffer'
import { gunzipSync } from 'node:zlib'

const BLOCK = 512
/** Unpacked, at most: of an archive that was made to burst. */
const LARGEST = 1024 * 1024 * 1024

export interface TarFile {
  readonly path: string
  readonly bytes: Uint8Array
}

export function isArchive(name: string): boolean {
  return /\.(tar|tar\.gz|tgz)$/.test(name)
}

/** @throws Error in words when it is no archive, or is cut short */
export function readTar(archive: Uint8Array): readonly TarFile[] {
  const bytes = archive[0] === 0x1f && archive[1] === 0x8b ? unzipped(archive) : archive
  const files: TarFile[] = []
  let longName: string | undefined
  for (let at = 0; at + BLOCK <= bytes.length;) {
    const header = bytes.subarray(at, at + BLOCK)
    if (header.every((byte) => byte === 0)) return files
    const size = octal(header.subarray(124, 136))
    if (size === undefined || checksum(header) !== octal(header.subarray(148, 156))) throw new Error(`is no tar archive (at byte ${at})`)
    const start = at + BLOCK
    if (start + size > bytes.length) throw new Error('is cut short')
    const content = bytes.subarray(start, start + size)
    const type = String.fromCharCode(header[156])
    if (type === 'L') longName = text(content)
    else if (type === 'x') longName = paxPath(content) ?? longName
    else {
      if (type === '0' || type === '\0') files.push({ path: longName ?? ustarName(header), bytes: content })
      longName = undefined
    }
    at = start + Math.ceil(size / BLOCK) * BLOCK
  }
  throw new Error(bytes.length < BLOCK ? 'is no tar archive' : 'is cut short')
}

function unzipped(archive: Uint8Array): Uint8Array {
  try {
    return gunzipSync(archive, { maxOutputLength: LARGEST })
  } catch (error) {
    throw new Error(`cannot be unpacked: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

/** Up to the first zero. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8')
}

function octal(field: Uint8Array): number | undefined {
  const written = text(field).trim()
  return /^[0-7]+$/.test(written) ? Number.parseInt(written, 8) : undefined
}

/** The sum of the header's bytes, its own field taken as blanks. */
function checksum(header: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : header[i]
  return sum
}

function ustarName(header: Uint8Array): string {
  const name = text(header.subarray(0, 100))
  const prefix = text(header.subarray(257, 262)) === 'ustar' ? text(header.subarray(345, 500)) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

/** `LENGTH path=NAME\n` among the records of a pax header. */
function paxPath(content: Uint8Array): string | undefined {
  return /(?:^|\n)\d+ path=([^\n]*)\n/.exec(Buffer.from(content).toString('utf8'))?.[1]
}
