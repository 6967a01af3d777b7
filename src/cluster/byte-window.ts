/**
 * A file as bytes that arrive in chunks: a window over the part at hand, so that no file has to fit into one string (V8's end at 512 MiB) nor
 * into memory. UTF-16 with a byte order mark (what PowerShell's `>` writes) becomes UTF-8, a mark of UTF-8 is left out.
 */

/** As far back as a mark is kept; what is longer than this is not read a second time. */
export const LONGEST_MARK = 1 << 20

const NEWLINE = 0x0a

export class ByteWindow {
  /** Bytes [position, end) are still to be read; behind `end` stands a 0. */
  buffer: Uint8Array
  position = 0
  end = 0
  /** The line of the file at `position`, kept by who moves it. */
  line: number
  /** The first byte of the token at hand, which must stay; -1: none. */
  token = -1
  private mark = -1
  private markedLine = 0
  private readonly chunks: Iterator<Uint8Array>

  constructor(chunks: Iterable<Uint8Array>, firstLine: number, capacity = 1 << 16) {
    this.chunks = utf8Chunks(chunks)[Symbol.iterator]()
    this.buffer = new Uint8Array(capacity)
    this.line = firstLine
    this.fill()
  }

  /** Brings the next bytes; false at the end. Moves position, token and mark. */
  fill(): boolean {
    let next = this.chunks.next()
    while (next.done !== true && next.value.length === 0) next = this.chunks.next()
    if (next.done === true) return false
    const chunk = next.value
    if (this.mark >= 0 && this.end - this.mark > LONGEST_MARK) this.mark = -1
    // the byte before tells whether a line starts here
    let from = Math.max(0, this.position - 1)
    if (this.token >= 0) from = Math.min(from, this.token)
    if (this.mark >= 0) from = Math.min(from, this.mark)
    const kept = this.end - from
    if (kept + chunk.length >= this.buffer.length) {
      const wider = new Uint8Array(Math.max(this.buffer.length * 2, kept + chunk.length + 1))
      wider.set(this.buffer.subarray(from, this.end))
      this.buffer = wider
    } else this.buffer.copyWithin(0, from, this.end)
    this.buffer.set(chunk, kept)
    this.end = kept + chunk.length
    this.buffer[this.end] = 0
    this.position -= from
    if (this.token >= 0) this.token -= from
    if (this.mark >= 0) this.mark -= from
    return true
  }

  isAtLineStart(): boolean {
    return this.position === 0 || this.buffer[this.position - 1] === NEWLINE
  }

  /** True when not a byte is left. */
  isAtEnd(): boolean {
    return this.position >= this.end && !this.fill()
  }

  /** Remembers this place for `rewind`, as long as the text since is short. */
  setMark(): void {
    this.mark = this.position
    this.markedLine = this.line
  }

  /** Back to the mark; false when too much was read since. */
  rewind(): boolean {
    if (this.mark < 0 || this.position - this.mark > LONGEST_MARK) return false
    this.position = this.mark
    this.line = this.markedLine
    return true
  }

  dropMark(): void {
    this.mark = -1
  }

  /** Past the next newline; the bytes of the line without it are [token, the result), until the next call that moves the window. */
  readLine(): number {
    this.token = this.position
    let from = 0
    for (;;) {
      const found = this.buffer.indexOf(NEWLINE, this.position + from)
      if (found >= 0 && found < this.end) {
        this.position = found + 1
        this.line++
        return found
      }
      from = this.end - this.position
      if (!this.fill()) {
        this.position = this.end
        return this.end
      }
    }
  }

  /** Whether the bytes at `position` are those of `text` (ASCII). */
  startsWith(text: string): boolean {
    while (this.end - this.position < text.length) if (!this.fill()) return false
    for (let at = 0; at < text.length; at++) if (this.buffer[this.position + at] !== text.charCodeAt(at)) return false
    return true
  }

  /** The byte `ahead` of the position; undefined behind the end. */
  peek(ahead: number): number | undefined {
    while (this.position + ahead >= this.end) if (!this.fill()) return undefined
    return this.buffer[this.position + ahead]
  }
}

function* utf8Chunks(chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  let decoder: InstanceType<typeof TextDecoder> | undefined
  let head: Uint8Array | undefined = new Uint8Array(0)
  for (const chunk of chunks) {
    if (head !== undefined) {
      const joined: Uint8Array = head.length === 0 ? chunk : concat(head, chunk)
      if (joined.length < 3) {
        head = joined
        continue
      }
      head = undefined
      decoder = utf16DecoderOf(joined)
      yield decoder === undefined ? withoutMark(joined) : encode(decoder.decode(joined, { stream: true }))
    } else yield decoder === undefined ? chunk : encode(decoder.decode(chunk, { stream: true }))
  }
  if (head !== undefined) yield head
  if (decoder !== undefined) yield encode(decoder.decode())
}

/** From the byte order mark; undefined: UTF-8. */
function utf16DecoderOf(bytes: Uint8Array): InstanceType<typeof TextDecoder> | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le')
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder('utf-16be')
  return undefined
}

function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}
