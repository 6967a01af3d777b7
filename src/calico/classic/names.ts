/**
 * Names that Felix 1.4.9 gives to chains and IP sets. Long ones are shortened, the same text always to the same name.
 * Source: felix 1.4.9 calico/felix/frules.py, futils.py (uniquely_shorten), ipsets.py, plugins/fiptgenerator.py, selectors.py (unique_id).
 */
import { base64url, hexOf, sha224, sha256 } from '../../base/sha.js'
import type { ClassicDirection } from '../../cluster/calico/classic-model.js'
import { formatSelectorNode, type Selector, type SelectorSpelling } from '../../cluster/selector.js'

export const CHAIN = {
  forward: 'felix-FORWARD',
  input: 'felix-INPUT',
  output: 'felix-OUTPUT',
  prerouting: 'felix-PREROUTING',
  postrouting: 'felix-POSTROUTING',
  floatingDnat: 'felix-FIP-DNAT',
  floatingSnat: 'felix-FIP-SNAT',
  failsafeIn: 'felix-FAILSAFE-IN',
  failsafeOut: 'felix-FAILSAFE-OUT',
} as const

/** The chains that send a packet on by its interface, and what the chains below them begin with. */
export interface DispatchNames {
  readonly to: string
  readonly from: string
  readonly toLeaf: string
  readonly fromLeaf: string
}

export const WORKLOAD_DISPATCH: DispatchNames = {
  to: 'felix-TO-ENDPOINT',
  from: 'felix-FROM-ENDPOINT',
  toLeaf: 'felix-TO-EP-PFX',
  fromLeaf: 'felix-FROM-EP-PFX',
}
export const HOST_DISPATCH: DispatchNames = {
  to: 'felix-TO-HOST-IF',
  from: 'felix-FROM-HOST-IF',
  toLeaf: 'felix-TO-IF-PFX',
  fromLeaf: 'felix-FROM-IF-PFX',
}

export const SET = {
  hosts: 'felix-calico-hosts-4',
  allPools: 'felix-all-ipam-pools',
  masqueradePools: 'felix-masq-ipam-pools',
} as const

const MAX_SUFFIX = 16

/** The text, or `_` and the first digits of a hash. A text that looks shortened is hashed too. */
export function shorten(text: string, length = MAX_SUFFIX): string {
  if (text.length < length || (text.length === length && !text.startsWith('_'))) return text
  return `_${hexOf(sha256(`${length} ${text}`)).slice(0, length - 1)}`
}

/** `felix-to-…`, `felix-from-…`. @param prefixes InterfacePrefix: the longest that fits is left away */
export function endpointChain(way: 'to' | 'from', interfaceName: string, prefixes: readonly string[]): string {
  const prefix = prefixes.toSorted((a, b) => (a < b ? 1 : -1)).find((candidate) => interfaceName.startsWith(candidate)) ?? ''
  return `felix-${way}-${shorten(interfaceName.slice(prefix.length))}`
}

/** @param id of a profile its name, of a policy `tier/name` */
export function rulesChain(id: string, direction: ClassicDirection): string {
  return `felix-p-${shorten(id)}-${direction === 'inbound' ? 'i' : 'o'}`
}

export function tagSet(tag: string): string {
  return `felix-v4-${shorten(tag)}`
}

export function selectorSet(selector: Selector): string {
  return `felix-v4-${shorten(selectorId(selector))}`
}

/**
 * Felix writes the selector's tree as Python shows it. The values of a set stand there in the order of Python's hash table; here they are
 * sorted, so that the name of such a selector's IP set may differ from the real one.
 */
export function selectorId({ root }: Selector): string {
  const id = base64url(sha224(`node<${formatSelectorNode(root, PYTHON_SPELLING)}>`)).replace(/=+$/, '')
  return id.replaceAll(/[-_]/g, (character) => (character === '-' ? '_' : '-'))
}

/** As Felix 1.4's tree writes itself. */
const PYTHON_SPELLING: SelectorSpelling = { value: pythonText, comma: ',', not: '! ' }

/** Python 2's repr of a unicode text. */
function pythonText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escaped = [...text].map((character) => {
    const code = character.codePointAt(0) as number
    if (character === '\\' || character === quote) return `\\${character}`
    if (character === '\n' || character === '\r' || character === '\t') return { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[character]
    if (code >= 0x20 && code < 0x7f) return character
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`
  })
  return `u${quote}${escaped.join('')}${quote}`
}
