/** WireGuard's public keys as `wg` prints them: the base64 of 32 bytes. */
import type { Prng } from './prng.js'

const KEY_BYTES = 32

export function isWireguardKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{43}=$/.test(text)
}

export function randomWireguardKey(prng: Prng): string {
  const bytes = Array.from({ length: KEY_BYTES }, () => prng.nextInt32() & 0xff)
  // a coordinate modulo 2^255 - 19: the highest bit is never set
  bytes[KEY_BYTES - 1] &= 0x7f
  return btoa(String.fromCharCode(...bytes))
}
