/**
 * `-f FILE|DIR|-` → texts with the names that the user gave them. What cannot be read is a Problem, and the rest is read all the same.
 * Without -f: ./netsim.yaml where there is one, else the built-in example.
 */
import { createReadStream } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Problem } from '../base/problem.js'
import { EXAMPLE_TEXT } from '../cluster/example.js'
import type { Input } from '../cluster/manifest.js'
import { readStream, type Io } from './io.js'

export const LARGEST_INPUT = 64 * 1024 * 1024
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
      else if (found.size > LARGEST_INPUT) this.tooLarge(name)
      else this.take(name, await readStream(createReadStream(this.path(name)), LARGEST_INPUT))
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
      this.take('-', await this.io.stdin(LARGEST_INPUT))
    } catch (error) {
      this.unreadable('-', error)
    }
  }

  private async readFolder(name: string): Promise<void> {
    const files = await this.manifestsIn(name, new Set())
    const hint = this.recursive ? '' : 'name the files, or look into its folders too with -R'
    if (files.length === 0) this.wrong(name, 'the folder holds no *.yaml, *.yml or *.json', hint)
    for (const file of files) await this.read(file)
  }

  /** Sorted by name; `above` holds the real folders on the way here, so that a link upwards ends. */
  private async manifestsIn(folder: string, above: ReadonlySet<string>): Promise<string[]> {
    const real = await realpath(this.path(folder))
    if (above.has(real)) return []
    const names = (await readdir(this.path(folder))).sort((a, b) => (a < b ? -1 : 1))
    const files: string[] = []
    for (const name of names) {
      const path = join(folder, name)
      const found = await stat(this.path(path)).catch(() => undefined)
      if (found?.isDirectory() === true) {
        if (this.recursive && !name.startsWith('.')) files.push(...(await this.manifestsIn(path, new Set([...above, real]))))
      } else if (MANIFEST.test(name)) files.push(path)
    }
    return files
  }

  private take(file: string, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) return this.tooLarge(file)
    const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
    if (utf16) return this.wrong(file, 'is text in UTF-16', 'save it as UTF-8')
    if (bytes.includes(0)) return this.wrong(file, 'is a binary file, not YAML or JSON', file.endsWith('.gz') ? 'unpack it first' : '')
    try {
      this.inputs.push({ file, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) })
    } catch {
      this.wrong(file, 'is not text in UTF-8', 'save it as UTF-8')
    }
  }

  private tooLarge(file: string): void {
    this.wrong(file, `holds more than ${LARGEST_INPUT / 1024 / 1024} MiB`, 'split it, or leave out the kinds that play no part (Secrets, Events)')
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
