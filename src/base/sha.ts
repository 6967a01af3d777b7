/**
 * The hashes by which real agents name things: SHA-1 (veths, VTEP MACs), SHA-224 and SHA-256 (chains, rules, sets), SHA-512 (chains of the
 * CNI plugins), SHA3-224 (policy groups). Text or bytes → bytes → hex or URL-safe base64. FIPS 180-4 and 202; here because no floor above may
 * reach for a runtime's own.
 */

const UTF8 = new TextEncoder()

function bytesOf(input: string | Uint8Array): Uint8Array {
  return typeof input === 'string' ? UTF8.encode(input) : input
}

/** The message, 0x80, zeroes, and the length in bits in the last bytes, an eighth of a block: whole blocks of 64 (SHA-512: 128) bytes. */
function padded(message: Uint8Array, block = 64): DataView {
  const blocks = new Uint8Array((Math.floor((message.length + block / 8) / block) + 1) * block)
  blocks.set(message)
  blocks[message.length] = 0x80
  const view = new DataView(blocks.buffer)
  view.setUint32(blocks.length - 8, Math.floor(message.length / 0x20000000))
  view.setUint32(blocks.length - 4, message.length << 3)
  return view
}

function wordsToBytes(words: Int32Array, length: number): Uint8Array {
  const bytes = new Uint8Array(words.length * 4)
  const view = new DataView(bytes.buffer)
  words.forEach((word, i) => view.setInt32(i * 4, word))
  return bytes.subarray(0, length)
}

function rotl(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n))
}

/** 20 bytes. */
export function sha1(input: string | Uint8Array): Uint8Array {
  const view = padded(bytesOf(input))
  const h = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0)
  const w = new Int32Array(80)
  for (let offset = 0; offset < view.byteLength; offset += 64) {
    for (let t = 0; t < 16; t++) w[t] = view.getInt32(offset + t * 4)
    for (let t = 16; t < 80; t++) w[t] = rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1)
    let [a, b, c, d, e] = h
    for (let t = 0; t < 80; t++) {
      const f = t < 20 ? (b & c) | (~b & d) : t >= 40 && t < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d
      const k = t < 20 ? 0x5a827999 : t < 40 ? 0x6ed9eba1 : t < 60 ? 0x8f1bbcdc : 0xca62c1d6
      const next = (rotl(a, 5) + f + e + k + w[t]) | 0
      e = d
      d = c
      c = rotl(b, 30)
      b = a
      a = next
    }
    h[0] += a
    h[1] += b
    h[2] += c
    h[3] += d
    h[4] += e
  }
  return wordsToBytes(h, 20)
}

/** The first 32 bits of the fraction of a root, as FIPS 180-4 defines the constants. */
function fraction(root: number): number {
  return ((root - Math.floor(root)) * 0x100000000) | 0
}

function primes(count: number): number[] {
  const found: number[] = []
  for (let n = 2; found.length < count; n++) if (found.every((p) => n % p !== 0)) found.push(n)
  return found
}

const K256 = Int32Array.from(primes(64), (p) => fraction(Math.cbrt(p)))
const H256 = Int32Array.from(primes(8), (p) => fraction(Math.sqrt(p)))
const H224 = Int32Array.of(0xc1059ed8, 0x367cd507, 0x3070dd17, 0xf70e5939, 0xffc00b31, 0x68581511, 0x64f98fa7, 0xbefa4fa4)

function sha2(input: string | Uint8Array, initial: Int32Array, length: number): Uint8Array {
  const view = padded(bytesOf(input))
  const h = initial.slice()
  const w = new Int32Array(64)
  for (let offset = 0; offset < view.byteLength; offset += 64) {
    for (let t = 0; t < 16; t++) w[t] = view.getInt32(offset + t * 4)
    for (let t = 16; t < 64; t++) {
      const s0 = rotl(w[t - 15], 25) ^ rotl(w[t - 15], 14) ^ (w[t - 15] >>> 3)
      const s1 = rotl(w[t - 2], 15) ^ rotl(w[t - 2], 13) ^ (w[t - 2] >>> 10)
      w[t] = (w[t - 16] + s0 + w[t - 7] + s1) | 0
    }
    compress(h, w)
  }
  return wordsToBytes(h, length)
}

function compress(h: Int32Array, w: Int32Array): void {
  let [a, b, c, d, e, f, g, last] = h
  for (let t = 0; t < 64; t++) {
    const t1 = (last + (rotl(e, 26) ^ rotl(e, 21) ^ rotl(e, 7)) + ((e & f) ^ (~e & g)) + K256[t] + w[t]) | 0
    const t2 = ((rotl(a, 30) ^ rotl(a, 19) ^ rotl(a, 10)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
    last = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  h[0] += a
  h[1] += b
  h[2] += c
  h[3] += d
  h[4] += e
  h[5] += f
  h[6] += g
  h[7] += last
}

/** 32 bytes. */
export function sha256(input: string | Uint8Array): Uint8Array {
  return sha2(input, H256, 32)
}

/** 28 bytes. */
export function sha224(input: string | Uint8Array): Uint8Array {
  return sha2(input, H224, 28)
}

const LANE = 0xffffffffffffffffn

/**
 * The first 64 bits of the fraction of a prime's root: the integer root of the prime shifted up, its whole part cut off (FIPS 180-4 section 4.2.3).
 * Newton's step squares the precision of the runtime's root; what is left is at most a unit or two.
 */
function fraction64(prime: number, degree: 2 | 3): bigint {
  const power = BigInt(degree)
  const shifted = BigInt(prime) << (64n * power)
  const near = BigInt(Math.floor((degree === 2 ? Math.sqrt(prime) : Math.cbrt(prime)) * 2 ** 48)) << 16n
  let root = ((power - 1n) * near + shifted / near ** (power - 1n)) / power
  while (root ** power > shifted) root--
  while ((root + 1n) ** power <= shifted) root++
  return root & LANE
}

/** Words of 64 bits as pairs: the high half, the low half. */
function halves(words: readonly bigint[]): Int32Array {
  return Int32Array.from(words.flatMap((word) => [Number(BigInt.asIntN(32, word >> 32n)), Number(BigInt.asIntN(32, word))]))
}

/** K and the first H of SHA-512; worked out at the first hash, which few runs need. */
let constants512: { readonly k: Int32Array; readonly h: Int32Array } | undefined

/** 64 bytes. In halves of 32 bits, as every pod of a cluster is named by it and BigInt is slow. */
export function sha512(input: string | Uint8Array): Uint8Array {
  constants512 ??= { k: halves(primes(80).map((prime) => fraction64(prime, 3))), h: halves(primes(8).map((prime) => fraction64(prime, 2))) }
  const view = padded(bytesOf(input), 128)
  const h = constants512.h.slice()
  const w = new Int32Array(160)
  for (let offset = 0; offset < view.byteLength; offset += 128) {
    for (let t = 0; t < 32; t++) w[t] = view.getInt32(offset + t * 4)
    for (let t = 32; t < 160; t += 2) schedule512(w, t)
    compress512(h, w, constants512.k)
  }
  return wordsToBytes(h, 64)
}

/** The high half of a word turned right by n < 32; its low half is that of the halves swapped, and a turn by 32 + n swaps them once more. */
function turned(high: number, low: number, n: number): number {
  return (high >>> n) | (low << (32 - n))
}

/** What a sum of low halves carries over. */
function carry(sum: number): number {
  return Math.floor(sum / 0x100000000)
}

/** W[t] at the pair t, of the pairs before it. */
function schedule512(w: Int32Array, t: number): void {
  const high15 = w[t - 30]
  const low15 = w[t - 29]
  const high2 = w[t - 4]
  const low2 = w[t - 3]
  const s0 = turned(high15, low15, 1) ^ turned(high15, low15, 8) ^ (high15 >>> 7)
  const s0Low = turned(low15, high15, 1) ^ turned(low15, high15, 8) ^ turned(low15, high15, 7)
  const s1 = turned(high2, low2, 19) ^ turned(low2, high2, 29) ^ (high2 >>> 6)
  const s1Low = turned(low2, high2, 19) ^ turned(high2, low2, 29) ^ turned(low2, high2, 6)
  const low = (w[t - 31] >>> 0) + (s0Low >>> 0) + (w[t - 13] >>> 0) + (s1Low >>> 0)
  w[t + 1] = low
  w[t] = w[t - 32] + s0 + w[t - 14] + s1 + carry(low)
}

function compress512(h: Int32Array, w: Int32Array, k: Int32Array): void {
  // a to h, each as a pair
  const s = h.slice()
  for (let t = 0; t < 160; t += 2) {
    const e = s[8]
    const eLow = s[9]
    const sum1 = turned(e, eLow, 14) ^ turned(e, eLow, 18) ^ turned(eLow, e, 9)
    const sum1Low = turned(eLow, e, 14) ^ turned(eLow, e, 18) ^ turned(e, eLow, 9)
    const t1Low = (s[15] >>> 0) + (sum1Low >>> 0) + (((eLow & s[11]) ^ (~eLow & s[13])) >>> 0) + (k[t + 1] >>> 0) + (w[t + 1] >>> 0)
    const t1 = (s[14] + sum1 + ((e & s[10]) ^ (~e & s[12])) + k[t] + w[t] + carry(t1Low)) | 0
    const a = s[0]
    const aLow = s[1]
    const sum0 = turned(a, aLow, 28) ^ turned(aLow, a, 2) ^ turned(aLow, a, 7)
    const sum0Low = turned(aLow, a, 28) ^ turned(a, aLow, 2) ^ turned(a, aLow, 7)
    const t2Low = (sum0Low >>> 0) + (((aLow & s[3]) ^ (aLow & s[5]) ^ (s[3] & s[5])) >>> 0)
    const t2 = (sum0 + ((a & s[2]) ^ (a & s[4]) ^ (s[2] & s[4])) + carry(t2Low)) | 0
    s.copyWithin(2, 0, 14)
    const eSum = (s[9] >>> 0) + (t1Low >>> 0)
    s[9] = eSum
    s[8] += t1 + carry(eSum)
    const aSum = (t1Low >>> 0) + (t2Low >>> 0)
    s[1] = aSum
    s[0] = t1 + t2 + carry(aSum)
  }
  for (let i = 0; i < 16; i += 2) {
    const low = (h[i + 1] >>> 0) + (s[i + 1] >>> 0)
    h[i + 1] = low
    h[i] += s[i] + carry(low)
  }
}

/** The round constants, from the degree-8 LFSR of FIPS 202 section 3.2.5. */
const KECCAK_ROUNDS: readonly bigint[] = (() => {
  let lfsr = 1
  const bit = (): boolean => {
    const out = (lfsr & 1) === 1
    lfsr = (lfsr & 0x80) === 0 ? lfsr << 1 : ((lfsr << 1) ^ 0x71) & 0xff
    return out
  }
  return Array.from({ length: 24 }, () => {
    let constant = 0n
    for (let j = 0; j <= 6; j++) if (bit()) constant |= 1n << BigInt((1 << j) - 1)
    return constant
  })
})()

function rotl64(x: bigint, n: number): bigint {
  return n === 0 ? x : ((x << BigInt(n)) | (x >> BigInt(64 - n))) & LANE
}

function keccak(lanes: bigint[]): void {
  for (const constant of KECCAK_ROUNDS) {
    const parity = [0, 1, 2, 3, 4].map((x) => lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20])
    for (let i = 0; i < 25; i++) lanes[i] ^= parity[(i + 4) % 5] ^ rotl64(parity[(i + 1) % 5], 1)
    let [x, y] = [1, 0]
    let carried = lanes[1]
    for (let t = 0; t < 24; t++) {
      ;[x, y] = [y, (2 * x + 3 * y) % 5]
      const here = x + 5 * y
      const rotated = rotl64(carried, (((t + 1) * (t + 2)) / 2) % 64)
      carried = lanes[here]
      lanes[here] = rotated
    }
    for (let row = 0; row < 25; row += 5) {
      const [a, b, c, d, e] = lanes.slice(row, row + 5)
      lanes[row] = a ^ (~b & LANE & c)
      lanes[row + 1] = b ^ (~c & LANE & d)
      lanes[row + 2] = c ^ (~d & LANE & e)
      lanes[row + 3] = d ^ (~e & LANE & a)
      lanes[row + 4] = e ^ (~a & LANE & b)
    }
    lanes[0] ^= constant
  }
}

const SHA3_224_RATE = 144

/** 28 bytes. */
export function sha3_224(input: string | Uint8Array): Uint8Array {
  const message = bytesOf(input)
  const blocks = new Uint8Array((Math.floor(message.length / SHA3_224_RATE) + 1) * SHA3_224_RATE)
  blocks.set(message)
  blocks[message.length] ^= 0x06
  blocks[blocks.length - 1] ^= 0x80
  const view = new DataView(blocks.buffer)
  const lanes = Array.from({ length: 25 }, () => 0n)
  for (let offset = 0; offset < blocks.length; offset += SHA3_224_RATE) {
    for (let i = 0; i < SHA3_224_RATE / 8; i++) lanes[i] ^= view.getBigUint64(offset + i * 8, true)
    keccak(lanes)
  }
  const out = new DataView(new ArrayBuffer(32))
  for (let i = 0; i < 4; i++) out.setBigUint64(i * 8, lanes[i], true)
  return new Uint8Array(out.buffer, 0, 28)
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** RFC 4648 section 5, without padding. */
export function base64url(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const group = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0)
    for (let j = 0; j < Math.min(4, bytes.length - i + 1); j++) text += BASE64URL[(group >> (18 - 6 * j)) & 63]
  }
  return text
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** RFC 4648 section 6, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff
    bits += 8
    for (; bits >= 5; bits -= 5) text += BASE32[(held >> (bits - 5)) & 31]
  }
  return bits === 0 ? text : text + BASE32[(held << (5 - bits)) & 31]
}
