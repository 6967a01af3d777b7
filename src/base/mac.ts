/** Ethernet addresses as 48-bit integers (exact in a double); the packet's row holds them as a high 16-bit and a low int32 half. */
import type { Prng } from './prng.js'

export type Mac = number

export const BROADCAST_MAC: Mac = 0xffffffffffff
export const ZERO_MAC: Mac = 0

export function parseMac(text: string): Mac | undefined {
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) ? Number.parseInt(text.replaceAll(':', ''), 16) : undefined
}

export function formatMac(mac: Mac): string {
  return mac
    .toString(16)
    .padStart(12, '0')
    .replace(/(..)(?=.)/g, '$1:')
}

/** The upper 16 bits. */
export function macHigh(mac: Mac): number {
  return Math.floor(mac / 0x100000000) | 0
}

/** The lower 32 bits, as int32. */
export function macLow(mac: Mac): number {
  return mac | 0
}

export function macOf(high: number, low: number): Mac {
  return high * 0x100000000 + (low >>> 0)
}

/** A random locally administered unicast address, as eth_random_addr() of the kernel draws it. */
export function randomMac(prng: Prng): Mac {
  const high = ((prng.below(0x10000) & 0xfeff) | 0x0200) >>> 0
  return macOf(high, prng.nextInt32())
}
