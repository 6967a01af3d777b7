/** A Dataplane's integers → the field's words, for `show -o json`: addresses, prefixes and MACs as people write them. */
import { formatCidr } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import { formatMac } from '../base/mac.js'

/** Fields of the Dataplane that hold an address where they hold a number. */
const ADDRESSES = new Set(['address', 'broadcast', 'via', 'source', 'destination', 'local', 'remote', 'first', 'last'])

export function inWords(value: unknown, name = ''): unknown {
  if (typeof value === 'number') return name === 'mac' ? formatMac(value) : ADDRESSES.has(name) ? formatIp(value) : value
  if (Array.isArray(value)) return value.map((item) => inWords(item, name))
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value)
  if (fields.length === 2 && 'base' in value && 'length' in value && typeof value.base === 'number' && typeof value.length === 'number') {
    return formatCidr({ base: value.base, length: value.length })
  }
  return Object.fromEntries(fields.map(([key, field]) => [key, inWords(field, key)]))
}
