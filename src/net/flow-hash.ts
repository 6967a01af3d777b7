// hot path
/** A hash of a flow, for the choices that a kernel leaves to chance: VXLAN source port, next hop of several. Two 32-bit rounds of murmur3's mixing, seeded. */
export function flowHash(src: number, dst: number, proto: number, sport: number, dport: number, seed: number): number {
  let hash = round(seed, src)
  hash = round(hash, dst)
  hash = round(hash, (sport << 16) | dport)
  hash = round(hash, proto)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) | 0
}

function round(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51)
  k = (k << 15) | (k >>> 17)
  const mixed = hash ^ Math.imul(k, 0x1b873593)
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0
}
