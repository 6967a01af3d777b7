/**
 * Threads read the files of the cluster again, and are to have the same cluster: a stamp for each file tells whether it still is what the command read.
 * A pipe (`-f <(…)`) gives what it holds once, so it has none.
 */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { EXAMPLE_NAME } from './input.js'

/** A file system's times are those of the tick before: 10 ms at most. */
const TICK_MS = 20

/**
 * @param inputs as the user named them; standard input is kept, and the example is the program's own
 * @param sinceMs when the reading of them began, of Date.now(): whatever has changed since may have been read before or after that
 * @returns undefined when one of them cannot be read twice
 */
export async function stampsOf(inputs: readonly string[], cwd: string, sinceMs = Infinity): Promise<readonly string[] | undefined> {
  const stamps: string[] = []
  for (const name of inputs) {
    if (name === '-' || name === EXAMPLE_NAME) {
      stamps.push(name)
      continue
    }
    const found = await stat(resolve(cwd, name), { bigint: true }).catch(() => undefined)
    if (found?.isFile() !== true || Number(found.ctimeMs) > sinceMs - TICK_MS) return undefined
    const { dev, ino, size, mtimeNs, ctimeNs } = found
    stamps.push([name, dev, ino, size, mtimeNs, ctimeNs].join(' '))
  }
  return stamps
}

export function sameStamps(some: readonly string[] | undefined, others: readonly string[]): boolean {
  return some?.length === others.length && some.every((stamp, index) => stamp === others[index])
}
