/** A file as the user named it → the relative URI that reports for other tools bear. */
import { isAbsolute, relative } from 'node:path'
import type { Io } from './io.js'

/** RFC 3986 §4.2: relative to the folder that the command runs in; `-` is no file. */
export function fileUri(file: string, { cwd }: Io): string {
  const path = file === '-' ? 'stdin' : isAbsolute(file) ? relative(cwd, file) : file.replace(/^\.\//, '')
  return path.split(/[\\/]/).map(encodeURIComponent).join('/')
}
