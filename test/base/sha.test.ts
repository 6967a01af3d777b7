import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { base64url, hexOf, sha1, sha224, sha256, sha3_224, sha512 } from '../../src/base/sha.js'

describe('hashes', () => {
  const hashes = { sha1, sha224, sha256, sha512, 'sha3-224': sha3_224 }
  for (const [name, hash] of Object.entries(hashes)) {
    it(`${name} equals OpenSSL's for any bytes`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
          const digest = createHash(name).update(bytes).digest()
          expect(hexOf(hash(bytes))).toBe(digest.toString('hex'))
          expect(base64url(hash(bytes))).toBe(digest.toString('base64url'))
        }),
      )
    })
  }

  // NIST, examples of FIPS 180-4 (SHA512.pdf): one block, two blocks; and its SHA512ShortMsg.rsp, Len = 0
  it.each([
    ['abc', 'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f'],
    [
      'abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu',
      '8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909',
    ],
    ['', 'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e'],
  ])('SHA-512 of %j is what NIST published', (text, digest) => {
    expect(hexOf(sha512(text))).toBe(digest)
  })

  it('SHA-512 pads into a block of its own where the length has no room left, at every length about two blocks', () => {
    for (let length = 0; length <= 260; length++) {
      const bytes = new Uint8Array(length).fill(0xa5)
      expect(hexOf(sha512(bytes))).toBe(createHash('sha512').update(bytes).digest('hex'))
    }
  })

  it('takes text as UTF-8', () => {
    expect(hexOf(sha256('é'))).toBe(createHash('sha256').update('é', 'utf8').digest('hex'))
  })
})
