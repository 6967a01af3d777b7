/** The process as the command line sees it: two streams, an environment, a folder. Tests put their own in its place. */
import { Buffer } from 'node:buffer'

/** sysexits.h EX_IOERR. */
const EXIT_CANNOT_WRITE = 74

export interface Io {
  /** Resolves once the text or the bytes have been handed on; a reader that went away ends it quietly. */
  out(content: string | Uint8Array): Promise<void>
  err(text: string): Promise<void>
  /** All of standard input, at most `most` bytes; undefined when there is more. */
  stdin(most: number): Promise<Uint8Array | undefined>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly outIsTerminal: boolean
  /** Standard error; absent: it is none. */
  readonly errIsTerminal?: boolean
  /** Of the terminal; undefined where there is none. */
  readonly columns: number | undefined
}

export function processIo(): Io {
  // A reader that closed its end (`| head`) is no error of ours: what could not be written is dropped. A full disk is one.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return
      if (stream === process.stdout) process.stderr.write(`netsim: cannot write the output: ${error.message}\n`)
      process.exitCode = EXIT_CANNOT_WRITE
    })
  }
  return {
    out: (content) => write(process.stdout, content),
    err: (text) => write(process.stderr, text),
    stdin: (most) => readStream(process.stdin, most),
    env: process.env,
    cwd: process.cwd(),
    outIsTerminal: process.stdout.isTTY === true,
    errIsTerminal: process.stderr.isTTY === true,
    columns: process.stdout.columns,
  }
}

function write(stream: NodeJS.WriteStream, content: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (content.length === 0 || stream.destroyed) resolve()
    else stream.write(content, () => resolve())
  })
}

/** undefined when the stream holds more than `most` bytes. */
export async function readStream(stream: AsyncIterable<Uint8Array | string>, most: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    length += bytes.length
    if (length > most) return undefined
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}
