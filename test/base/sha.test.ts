import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { base64url, hexOf, sha1, sha224, sha256, sha3_224 } from '../../src/base/sha.js'

describe('hashes', () => {
  const hashes = { sha1, sha224, sha256, 'sha3-224': sha3_224 }
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

  it('takes text as UTF-8', () => {
    expect(hexOf(sha256('é'))).toBe(createHash('sha256').update('é', 'utf8').digest('hex'))
  })
})
