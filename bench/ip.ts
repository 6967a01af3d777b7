/**
 * Addresses at the door and inside: what it costs to read an address as text, and why base/ keeps integers, seen against
 * asking `netmask` the same question.
 */
import { Netmask } from 'netmask'
import { contains, parseCidr, type Cidr } from '../src/base/cidr.js'
import { formatIp, parseIp } from '../src/base/ip.js'
import { Prng } from '../src/base/prng.js'
import type { Suite } from './suite.js'

const COUNT = 1000

const prng = new Prng(1)
const addresses = Int32Array.from({ length: COUNT }, () => 0x0a010000 | prng.below(0x20000))
const texts = Array.from(addresses, formatIp)
const prefix = parseCidr('10.1.0.0/16') as Cidr
const block = new Netmask('10.1.0.0/16')

export const suites: readonly Suite[] = [
  {
    name: 'addresses: text and integer',
    base: 'formatIp',
    cases: [
      { name: 'formatIp', operations: COUNT, run: () => addresses.reduce((sum, address) => sum + formatIp(address).length, 0) },
      { name: 'parseIp', operations: COUNT, run: () => texts.reduce((sum, text) => sum + (parseIp(text) ?? 0), 0) },
    ],
  },
  {
    name: 'is an address in a prefix',
    base: 'contains, integers',
    cases: [
      {
        name: 'contains, integers',
        operations: COUNT,
        run: () => {
          let inside = 0
          for (let i = 0; i < COUNT; i++) if (contains(prefix, addresses[i])) inside++
          return inside
        },
      },
      { name: 'netmask, text', operations: COUNT, run: () => texts.reduce((inside, text) => inside + (block.contains(text) ? 1 : 0), 0) },
    ],
  },
]
