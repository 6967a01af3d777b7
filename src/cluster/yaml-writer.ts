/** Values → YAML as kubectl prints it, one document. */
import { stringify } from 'yaml'
import type { JsonValue } from './located.js'

export function writeYaml(value: JsonValue): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })
}
