/**
 * What a value of the classic model may be, after Felix 1.4.9's own checks: what they refuse Felix takes for absent.
 * Source: felix 1.4.9 calico/common.py (VALID_ID_RE, KERNEL_PROTOCOLS, validate_rule_port, _validate_rule_match_criteria), calico/felix/selectors.py.
 */
import { parseAddressWithLength } from '../../base/cidr.js'
import { isIpv6Text } from '../../base/ip.js'
import { isSelectorFault, parseSelector, type SelectorNode } from '../selector.js'
import type { ClassicPort } from './classic-model.js'

/** Of profiles, policies, tiers, tags and endpoints. */
export function isClassicId(text: string): boolean {
  return /^[a-zA-Z0-9_.-]+$/.test(text)
}

export function isInterfaceName(text: string): boolean {
  return /^[a-zA-Z0-9_-]{1,15}$/.test(text)
}

export function isClassicLabel(text: string): boolean {
  return /^[a-zA-Z0-9_./-]+$/.test(text)
}

const PROTOCOL_NAMES: readonly string[] = ['tcp', 'udp', 'icmp', 'icmpv6', 'sctp', 'udplite']
/** Protocols whose rules may name ports; DCCP by Felix's word alone. */
const WITH_PORTS: readonly string[] = ['tcp', '6', 'udp', '17', 'udplite', '136', 'sctp', '132', 'dccp', '33']

/** A name or 1 to 255, as text. */
export function classicProtocol(value: string | number): string | undefined {
  const text = String(value)
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text) <= 255 ? text : undefined
  return PROTOCOL_NAMES.includes(text) ? text : undefined
}

export function hasPorts(protocol: string | undefined): boolean {
  return protocol !== undefined && WITH_PORTS.includes(protocol)
}

/** A number, or a range as text `1000:2000`; a range of one port is none. */
export function classicPort(value: unknown): ClassicPort | undefined {
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 && value <= 65535 ? [value, value] : undefined
  const found = typeof value === 'string' ? /^(\d{1,5}):(\d{1,5})$/.exec(value) : null
  if (found === null) return undefined
  const [first, last] = [Number(found[1]), Number(found[2])]
  return first < last && last <= 65535 ? [first, last] : undefined
}

export function icmpNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255 ? value : undefined
}

/** The text with a length; undefined: no prefix of either family. */
export function classicNet(text: string): string | undefined {
  if (parseAddressWithLength(text) !== undefined) return text.includes('/') ? text : `${text}/32`
  const [address, length, ...more] = text.split('/')
  if (more.length > 0 || !isIpv6Text(address)) return undefined
  if (length === undefined) return `${address}/128`
  return /^\d{1,3}$/.test(length) && Number(length) <= 128 ? text : undefined
}

/** What Felix 1.4.9's grammar has against a selector: it is smaller than today's. */
export function selectorFault(text: string): string | undefined {
  const selector = parseSelector(text)
  if (isSelectorFault(selector)) return `${selector.fault} (character ${selector.at + 1})`
  const word = foreignWord(selector.root)
  return word === undefined ? undefined : `${word} is not known to Felix 1.4`
}

function foreignWord(node: SelectorNode): string | undefined {
  switch (node.kind) {
    case 'global':
      return 'global()'
    case 'compare':
      return node.operator === '==' || node.operator === '!=' ? undefined : node.operator
    case 'in':
    case 'not in':
      return node.values.length === 0 ? 'an empty set' : undefined
    case 'not':
      return foreignWord(node.operand)
    case 'and':
    case 'or':
      return node.operands.map(foreignWord).find((word) => word !== undefined)
    case 'all':
    case 'has':
      return undefined
  }
}
