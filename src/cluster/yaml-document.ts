/** One YAML document as lines of bytes → located values. */
import type { TextResult } from './located.js'
import { decodeUtf8 } from './shared-strings.js'
import { readYaml } from './yaml-text.js'

export function readYamlDocument(lines: Iterable<Uint8Array>, firstLine: number): TextResult {
  const parts: Uint8Array[] = []
  for (const line of lines) parts.push(line.slice())
  const text = parts.map((part) => decodeUtf8(part) ?? '').join('')
  return readYaml(text, firstLine)
}
