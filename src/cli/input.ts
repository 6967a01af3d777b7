/**
 * `-f FILE|DIR|-` → texts with the names that the user gave them. What cannot be read is a Problem, and the rest is read all the same.
 * Without -f: ./netsim.yaml where there is one, else the built-in example.
 */
import { Buffer } from 'node:buffer'
import { closeSync, createReadStream, openSync, readSync } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Problem } from '../base/problem.js'
import { EXAMPLE_TEXT } from '../cluster/example.js'
import type { Input } from '../cluster/manifest.js'
import type { Io } from './io.js'

/** Of a file, which is read in pieces while the cluster is built. */
export const LARGEST_FILE = 8 * 1024 * 1024 * 1024
/** Of what arrives once and is kept: standard input, a pipe. */
const LARGEST_STREAM = 1024 * 1024 * 1024
/** A longer file is not read into one text. */
const LARGEST_TEXT = 4 * 1024 * 1024
const PIECE = 256 * 1024
const DEFAULT_FILE = 'netsim.yaml'
export const EXAMPLE_NAME = 'built-in example'
const MANIFEST = /\.(yaml|yml|json)$/

interface InputResult {
  readonly inputs: readonly Input[]
  readonly problems: readonly Problem[]
}

export async function readInputs(names: readonly string[], recursive: boolean, io: Io): Promise<InputResult> {
  if (names.length === 0) return readDefault(io)
  const reader = new InputReader(io, recursive)
  for (const name of names) await reader.read(name)
  return reader
}

async function readDefault(io: Io): Promise<InputResult> {
  const found = await stat(resolve(io.cwd, DEFAULT_FILE)).catch(() => undefined)
  if (found === undefined) return { inputs: [{ file: EXAMPLE_NAME, text: EXAMPLE_TEXT }], problems: [] }
  const reader = new InputReader(io, false)
  await reader.read(DEFAULT_FILE)
  return reader
}

class InputReader implements InputResult {
  readonly inputs: Input[] = []
  readonly problems: Problem[] = []
  private readonly io: Io
  private readonly recursive: boolean
  private stdinRead = false

  constructor(io: Io, recursive: boolean) {
    this.io = io
    this.recursive = recursive
  }

  async read(name: string): Promise<void> {
    if (name === '-') return this.readStdin()
    if (/^[a-z]+:\/\//.test(name)) return this.wrong(name, 'is an address, not a file: netsim fetches nothing', `curl -fsSL ${name} | netsim … -f -`)
    try {
      const found = await stat(this.path(name))
      if (found.isDirectory()) await this.readFolder(name)
      else if (found.size > LARGEST_FILE) this.tooLarge(name, LARGEST_FILE)
      else if (found.isFile() && found.size > LARGEST_TEXT) this.takePieces(name)
      else this.take(name, await this.collect(name))
    } catch (error) {
      this.unreadable(name, error)
    }
  }

  private path(name: string): string {
    return resolve(this.io.cwd, name)
  }

  private async readStdin(): Promise<void> {
    if (this.stdinRead) return
    this.stdinRead = true
    try {
      this.take('-', await this.io.stdin(LARGEST_STREAM))
    } catch (error) {
      this.unreadable('-', error)
    }
  }

  private async readFolder(name: string): Promise<void> {
    const files = await this.manifestsIn(name, this.recursive || (await this.isClusterDump(name)), new Set())
    const hint = this.recursive ? '' : 'name the files, or look into its folders too with -R'
    if (files.length === 0) this.wrong(name, 'the folder holds no *.yaml, *.yml or *.json', hint)
    for (const file of files) await this.read(file)
  }

  /** What `kubectl cluster-info dump --output-directory` writes: nodes.json, and a folder for each namespace. */
  private async isClusterDump(folder: string): Promise<boolean> {
    const entries = await readdir(this.path(folder), { withFileTypes: true })
    const ending = ['json', 'yaml'].find((suffix) => entries.some(({ name }) => name === `nodes.${suffix}`))
    if (ending === undefined) return false
    for (const entry of entries) {
      const pods = entry.isDirectory() ? await stat(join(this.path(folder), entry.name, `pods.${ending}`)).catch(() => undefined) : undefined
      if (pods !== undefined) return true
    }
    return false
  }

  /** Sorted by name; `above` holds the real folders on the way here, so that a link upwards ends. */
  private async manifestsIn(folder: string, isDeep: boolean, above: ReadonlySet<string>): Promise<string[]> {
    const real = await realpath(this.path(folder))
    if (above.has(real)) return []
    const names = (await readdir(this.path(folder))).sort((a, b) => (a < b ? -1 : 1))
    const files: string[] = []
    for (const name of names) {
      const path = join(folder, name)
      const found = await stat(this.path(path)).catch(() => undefined)
      if (found?.isDirectory() === true) {
        if (isDeep && !name.startsWith('.')) files.push(...(await this.manifestsIn(path, isDeep, new Set([...above, real]))))
      } else if (MANIFEST.test(name)) files.push(path)
    }
    return files
  }

  /** What arrives once (a pipe, a short file); undefined when it is too much. What starts as no text is not waited for to its end. */
  private async collect(file: string): Promise<Uint8Array | undefined> {
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of createReadStream(this.path(file)) as AsyncIterable<Uint8Array>) {
      length += chunk.length
      if (length > LARGEST_STREAM) return undefined
      chunks.push(chunk)
      if (chunks.length === 1 && holdsNul(chunk)) break
    }
    return Buffer.concat(chunks)
  }

  private take(file: string, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) return this.tooLarge(file, LARGEST_STREAM)
    if (this.isBinary(file, bytes)) return
    if (bytes.length > LARGEST_TEXT) this.inputs.push({ file, chunks: [bytes] })
    else {
      const text = textOf(bytes)
      if (text === undefined) this.wrong(file, 'is not text in UTF-8', 'save it as UTF-8')
      else this.inputs.push({ file, text })
    }
  }

  /** A file that changes or goes while it is read: said, and what was read counts. */
  private takePieces(file: string): void {
    const head = new Uint8Array(PIECE)
    const descriptor = openSync(this.path(file), 'r')
    const length = readSync(descriptor, head)
    closeSync(descriptor)
    if (this.isBinary(file, head.subarray(0, length))) return
    const path = this.path(file)
    const tell = (error: unknown): void => this.unreadable(file, error)
    this.inputs.push({ file, chunks: { [Symbol.iterator]: () => piecesOf(path, tell) } })
  }

  private isBinary(file: string, head: Uint8Array): boolean {
    if (!holdsNul(head)) return false
    this.wrong(file, 'is a binary file, not YAML or JSON', file.endsWith('.gz') ? 'unpack it first' : '')
    return true
  }

  private tooLarge(file: string, most: number): void {
    this.wrong(file, `holds more than ${most / 1024 / 1024 / 1024} GiB`, 'split it, or leave out the kinds that play no part (Events)')
  }

  private unreadable(file: string, error: unknown): void {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT') this.wrong(file, 'there is no such file or folder', '')
    else if (code === 'EACCES' || code === 'EPERM') this.wrong(file, 'may not be read', 'check its permissions')
    else this.wrong(file, `cannot be read: ${error instanceof Error ? error.message : String(error)}`, '')
  }

  private wrong(file: string, what: string, fix: string): void {
    this.problems.push({ severity: 'error', file, line: 0, object: '', what, fix })
  }
}

function* piecesOf(path: string, tell: (error: unknown) => void): Generator<Uint8Array> {
  let descriptor = -1
  try {
    descriptor = openSync(path, 'r')
    const piece = new Uint8Array(PIECE)
    for (let length = readSync(descriptor, piece); length > 0; length = readSync(descriptor, piece)) yield piece.subarray(0, length)
  } catch (error) {
    tell(error)
  } finally {
    if (descriptor >= 0) closeSync(descriptor)
  }
}

/** As no text does, UTF-16 aside. */
function holdsNul(head: Uint8Array): boolean {
  return !isUtf16(head) && head.subarray(0, PIECE).includes(0)
}

function isUtf16([first, second]: Uint8Array): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
}

/** UTF-16 by its mark, as PowerShell writes it; undefined when it is not the text that it should be. */
function textOf(bytes: Uint8Array): string | undefined {
  const encoding = isUtf16(bytes) ? (bytes[0] === 0xff ? 'utf-16le' : 'utf-16be') : 'utf-8'
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
