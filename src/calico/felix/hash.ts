/**
 * Names that Felix makes from hashes: text that is too long for iptables → a name that fits; content → an ID; a chain's rules → the ID in each
 * rule's first comment. After libcalico-go/lib/hash/hash.go and felix/generictables/rules.go.
 */
import { base64url, sha224, sha256 } from '../../base/sha.js'

/** iptables takes chain names of up to 28 characters. */
export const MAX_CHAIN_NAME = 28

/** prefix + suffix where that fits, else prefix, `_` and as much of the suffix's SHA-256 as fits. Only the suffix is hashed. */
export function lengthLimitedId(prefix: string, suffix: string, max: number): string {
  const tail = suffix === '' ? '_' : suffix
  const length = prefix.length + tail.length
  // a name that looks shortened and is as long as a shortened one could collide with it
  if (length < max || (length === max && !tail.startsWith('_'))) return prefix + tail
  return `${prefix}_${base64url(sha256(tail))}`.slice(0, max)
}

/** `s:` + 38 characters of the hash of `s:content`. */
export function uniqueId(prefix: string, content: string): string {
  return `${prefix}:${base64url(sha224(`${prefix}:${content}`))}`
}

const UTF8 = new TextEncoder()
const ID_LENGTH = 16

/**
 * One ID per rule: a running hash from the chain's name on, so that a change of one rule changes the IDs of all behind it.
 * @param texts the rules as Felix writes them, `HASH` where the ID's comment will stand
 */
export function ruleIds(chain: string, texts: readonly string[]): readonly string[] {
  let state = sha224(chain)
  return texts.map((text) => {
    const bytes = UTF8.encode(text)
    const input = new Uint8Array(state.length + bytes.length)
    input.set(state)
    input.set(bytes, state.length)
    state = sha224(input)
    return base64url(state).slice(0, ID_LENGTH)
  })
}
