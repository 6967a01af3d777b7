/** Lines of a file or of standard input as they are read, whatever the size of the whole. */
import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import type { Problem } from '../base/problem.js'
import type { Io } from './io.js'

/** A longer one is no line of anything that is read here. */
const LONGEST_LINE = 512 * 1024 * 1024
const LARGEST_STDIN = 1024 * 1024 * 1024

/** @returns why the file could not be read to its end */
export async function eachLine(name: string, io: Io, take: (line: string) => Promise<void> | undefined): Promise<Problem | undefined> {
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true })
    let rest = ''
    for await (const bytes of await chunksOf(name, io)) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > LONGEST_LINE) return unreadable(name, 'holds a line of more than 512 MiB')
      for (const line of lines) {
        const pending = take(line)
        // a turn of the loop for every line would be slow
        if (pending !== undefined) await pending
      }
    }
    rest += decoder.decode()
    if (rest !== '') await take(rest)
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return unreadable(name, 'there is no such file')
    if (code === 'EISDIR') return unreadable(name, 'is a folder, not a file')
    return unreadable(name, code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'is not text in UTF-8' : `cannot be read: ${message}`)
  }
}

async function chunksOf(name: string, io: Io): Promise<AsyncIterable<Uint8Array> | Iterable<Uint8Array>> {
  if (name !== '-') return createReadStream(resolve(io.cwd, name)) as AsyncIterable<Uint8Array>
  const bytes = await io.stdin(LARGEST_STDIN)
  if (bytes === undefined) throw new Error('standard input holds more than 1 GiB')
  return [bytes]
}

function unreadable(file: string, what: string): Problem {
  return { severity: 'error', file, line: 0, object: '', what, fix: '' }
}
