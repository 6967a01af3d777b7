/**
 * The names that controllers and the API server draw, drawn here from what the pod is: the same input gives the same names, in whatever order it
 * stands. After k8s.io/apimachinery pkg/util/rand (alphabet, SafeEncodeString) and k8s.io/apiserver pkg/storage/names (generateName).
 */
import { hashText, Prng } from '../../base/prng.js'
import { nameFault } from '../fields.js'
import { isObject, type JsonValue } from '../located.js'

/** No vowels, no y, none of 0, 1, 3: nothing to misread, no words. */
export const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'

const SUFFIX_LENGTH = 5
const MAX_GENERATED_BASE = 63 - SUFFIX_LENGTH

export function safeEncode(text: string): string {
  return [...text].map((character) => ALPHABET[character.charCodeAt(0) % ALPHABET.length]).join('')
}

/**
 * Stands for pod-template-hash and controller-revision-hash, in their form: a 32-bit FNV-1a hash in decimal, encoded. The controllers hash a deep
 * print of Go structures; here it is the template as written, whatever the order of its keys.
 */
export function templateHash(template: JsonValue): string {
  return safeEncode(`${hashText(canonical(template)) >>> 0}`)
}

function canonical(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map((item: JsonValue) => canonical(item)).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value)
  const keys = Object.keys(value).filter((key) => value[key] !== null)
  return `{${keys
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
    .join(',')}}`
}

/** What stands before the five characters: `web-`, or the name alone where that is no name any more (controller_utils.go getPodsPrefix). */
export function podsPrefix(owner: string): string {
  return nameFault(`${owner}-a`, 'subdomain') === undefined ? `${owner}-` : owner
}

/** `taken` knows the names of the namespace and learns this one. `of` says what the name is drawn for. */
export function generateName(prefix: string, of: string, taken: Set<string>): string {
  const base = prefix.slice(0, MAX_GENERATED_BASE)
  const prng = new Prng(hashText(`${of}\n${prefix}`))
  for (;;) {
    let name = base
    for (let i = 0; i < SUFFIX_LENGTH; i++) name += ALPHABET[prng.below(ALPHABET.length)]
    if (taken.has(name)) continue
    taken.add(name)
    return name
  }
}

/** A version 4 UUID (RFC 9562, 5.4) for an object that no API server has given one. */
export function assumedUid(of: string): string {
  const prng = new Prng(hashText(of))
  const hex = Array.from({ length: 4 }, () => (prng.nextInt32() >>> 0).toString(16).padStart(8, '0')).join('')
  const variant = '89ab'[parseInt(hex[16], 16) % 4]
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`
}
