/** Wireshark's own programs, where they are installed: the reader that our captures are for. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** False is said aloud: what is not checked must not look checked. */
export const HAS_TSHARK = spawnSync('tshark', ['--version']).status === 0 && spawnSync('capinfos', ['--version']).status === 0
if (!HAS_TSHARK) console.warn('SKIPPED: tshark and capinfos are not installed, so Wireshark has not read our captures')

/** What the program prints of the capture; `-r FILE` is added. @throws Error when it ends badly */
export function wireshark(program: 'tshark' | 'capinfos', capture: Uint8Array, words: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-capture-'))
  try {
    // Not through standard input: tshark takes a pipe there, and a child of Node has a socket.
    const file = join(folder, 'trace.pcapng')
    writeFileSync(file, capture)
    const all = program === 'tshark' ? ['-r', file, ...words] : [...words, file]
    const { status, stdout, stderr } = spawnSync(program, all, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' }, maxBuffer: 1 << 28 })
    if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr}`)
    return stdout
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Of each frame the fields, as tshark words them. */
export function fieldsOf(capture: Uint8Array, fields: readonly string[], more: readonly string[] = []): string[][] {
  const words = [...more, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])]
  const lines = wireshark('tshark', capture, words).split('\n').slice(0, -1)
  return lines.map((line) => line.split('\t'))
}
