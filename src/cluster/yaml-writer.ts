/**
 * Values → YAML as kubectl reads it, one document. Readers of YAML 1.1 take `yes`, `on` and `1:30` for other things than text, and kubectl's is
 * one: whatever they would is put in quotes.
 */
import { stringify } from 'yaml'
import type { JsonValue } from './located.js'

export function writeYaml(value: JsonValue): string {
  return stringify(value, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false })
}
