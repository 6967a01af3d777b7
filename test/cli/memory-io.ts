/** A process for tests: what it wrote is kept. */
import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { run } from '../../src/cli/program.js'
import { readStream, type Io } from '../../src/cli/io.js'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface Around {
  readonly stdin?: string | Uint8Array
  readonly env?: Record<string, string>
  readonly cwd?: string
  readonly terminal?: boolean
  readonly columns?: number
  /** How it was called; default netsim. */
  readonly script?: string
}

export function memoryIo(around: Around = {}): { io: Io; written: { out: string; err: string } } {
  const written = { out: '', err: '' }
  const io: Io = {
    // Bytes become one letter each.
    out: (content) => Promise.resolve(void (written.out += typeof content === 'string' ? content : Buffer.from(content).toString('latin1'))),
    err: (text) => Promise.resolve(void (written.err += text)),
    stdin: (most) => readStream(Readable.from(chunks(around.stdin ?? '')), most),
    env: around.env ?? {},
    cwd: around.cwd ?? '/nowhere',
    outIsTerminal: around.terminal ?? false,
    columns: around.columns,
  }
  return { io, written }
}

function* chunks(content: string | Uint8Array): Iterable<Uint8Array> {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536)
}

/** `netsim …words`, in this process. */
export async function netsim(words: readonly string[], around: Around = {}): Promise<Ran> {
  const { io, written } = memoryIo(around)
  const code = await run(['node', around.script ?? '/usr/bin/netsim', ...words], io)
  return { code, ...written }
}
