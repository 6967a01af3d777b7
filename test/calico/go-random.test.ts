import { describe, expect, it } from 'vitest'
import { formatCidr, parseCidr, type Cidr } from '../../src/base/cidr.js'
import { blockAt, blockCount, blocksOf, startIndex } from '../../src/calico/ipam/block-order.js'
import { fnv1, GoRandom, seedStep } from '../../src/calico/ipam/go-random.js'
import { GO_RANDOM_STATE } from '../../src/calico/ipam/go-random-table.js'
import vectors from './go-random.vectors.json' with { type: 'json' }

const LENGTH = 607
const LAG = 273
const MASK = (1n << 64n) - 1n
/** Bytes for one coefficient of a product of two polynomials of 607 coefficients below 2^64. */
const ROOM = 18

/** Through hexadecimal text: linear, where shifting a BigInt would not be. */
function pack(coefficients: readonly bigint[]): bigint {
  return BigInt(
    `0x${[...coefficients]
      .reverse()
      .map((value) => value.toString(16).padStart(ROOM * 2, '0'))
      .join('')}`,
  )
}

function unpack(value: bigint, count: number): bigint[] {
  const text = value.toString(16).padStart(count * ROOM * 2, '0')
  return Array.from({ length: count }, (_, i) => {
    const end = text.length - i * ROOM * 2
    return BigInt(`0x${text.slice(end - ROOM * 2, end)}`)
  })
}

/** Modulo x^607 - x^334 - 1. */
function reduce(coefficients: bigint[]): bigint[] {
  for (let i = coefficients.length - 1; i >= LENGTH; i--) {
    coefficients[i - LAG] += coefficients[i]
    coefficients[i - LENGTH] += coefficients[i]
  }
  return coefficients.slice(0, LENGTH).map((value) => value & MASK)
}

/** The slot of the generator's memory that its call number n writes. */
function slot(n: number): number {
  return (((LENGTH - LAG - 1 - n) % LENGTH) + LENGTH) % LENGTH
}

function stateAfter(outputs: number): bigint[] {
  let x = 1
  for (let i = 0; i < 20; i++) x = seedStep(x)
  const memory = Array.from({ length: LENGTH }, () =>
    [20n, 10n, 0n].reduce((drawn, shift) => {
      x = seedStep(x)
      return drawn ^ (BigInt(x) << shift)
    }, 0n),
  )
  let power: bigint[] = [1n, ...Array<bigint>(LENGTH - 1).fill(0n)]
  for (const bit of outputs.toString(2)) {
    const packed = pack(power)
    power = reduce(unpack(packed * packed, 2 * LENGTH))
    if (bit === '1') power = reduce([0n, ...power])
  }
  const sequence = Array.from({ length: LENGTH }, (_, i) => memory[slot(i - LENGTH)])
  for (let n = 0; n < LENGTH; n++) sequence.push((sequence[n] + sequence[n + LENGTH - LAG]) & MASK)
  const state = Array<bigint>(LENGTH).fill(0n)
  for (let k = 0; k < LENGTH; k++) {
    let sum = 0n
    for (let i = 0; i < LENGTH; i++) sum += power[i] * sequence[i + k]
    state[slot((outputs % LENGTH) - LENGTH + k)] = sum & MASK
  }
  return state
}

describe("Go's math/rand", () => {
  it('starts from the state that 7.8e12 outputs leave behind', () => {
    const bytes = new Uint8Array(LENGTH * 8)
    const view = new DataView(bytes.buffer)
    stateAfter(7_800_000_000_000).forEach((word, i) => view.setBigUint64(i * 8, word, true))
    expect(Buffer.from(bytes).toString('base64')).toBe(GO_RANDOM_STATE)
  })

  // printed by a Go 1.26 program: rand.New(rand.NewSource(1)).Uint64()
  it('draws the same numbers', () => {
    const random = new GoRandom(1)
    expect([random.uint64(), random.uint64(), random.uint64()]).toEqual([5577006791947779410n, 8674665223082153551n, 15352856648520921629n])
  })

  // printed by the same program: new(big.Int).Rand(rand.New(rand.NewSource(fnv1(name))), count)
  it.each(vectors)('$Name below $Count', ({ Name, Count, Index }) => {
    expect(new GoRandom(fnv1(Name)).below(Count)).toBe(Index)
  })
})

const options = { blockSize: 26, seed: 1 }

// Vectors of the reference page, computed with Go 1.19.
describe('the first block of a node', () => {
  it.each<[string, number, number, string, number, string]>([
    ['node1', 3957252814, 666, '192.168.166.128/26', 154, '10.233.102.128/26'],
    ['node2', 3957252813, 416, '192.168.104.0/26', 44, '10.233.75.0/26'],
    ['node3', 3957252812, 540, '192.168.135.0/26', 28, '10.233.71.0/26'],
    ['node-1', 568266919, 338, '192.168.84.128/26', 25, '10.233.70.64/26'],
    ['node-2', 568266916, 988, '192.168.247.0/26', 5, '10.233.65.64/26'],
    ['worker-1', 2999756865, 905, '192.168.226.64/26', 167, '10.233.105.192/26'],
    ['host-a', 1258779341, 216, '192.168.54.0/26', 216, '10.233.118.0/26'],
    ['host-b', 1258779342, 782, '192.168.195.128/26', 92, '10.233.87.0/26'],
    ['host-c', 1258779343, 311, '192.168.77.192/26', 214, '10.233.117.128/26'],
    ['master', 4056684167, 877, '192.168.219.64/26', 134, '10.233.97.128/26'],
    ['k8s-node-1', 870192098, 437, '192.168.109.64/26', 22, '10.233.69.128/26'],
  ])('%s', (node, hash, wide, wideBlock, narrow, narrowBlock) => {
    expect(fnv1(node)).toBe(hash)
    expect([startIndex(node, 1024, options), startIndex(node, 256, options)]).toEqual([wide, narrow])
    const first = (cidr: string): string => formatCidr([...blocksOf({ cidr: parseCidr(cidr) as Cidr, blockSize: 26 }, node, 1)][0])
    expect([first('192.168.0.0/16'), first('10.233.64.0/18')]).toEqual([wideBlock, narrowBlock])
  })

  it('goes up from there, around the end, over each block once', () => {
    const pool = { cidr: parseCidr('10.0.0.0/24') as Cidr, blockSize: 26 }
    const order = [...blocksOf(pool, 'node1', 1)].map(formatCidr)
    expect(blockCount(pool)).toBe(4)
    expect(new Set(order).size).toBe(4)
    const indexes = order.map((text) => [0, 1, 2, 3].find((index) => formatCidr(blockAt(pool, index)) === text) as number)
    expect(indexes.map((index, i) => (index - i + 8) % 4)).toEqual(Array(4).fill(indexes[0]))
  })

  it('is chance for blocks of one address, from the seed', () => {
    const starts = new Set([1, 2, 3, 4, 5, 6].map((seed) => startIndex('node1', 256, { blockSize: 32, seed })))
    expect(starts.size).toBeGreaterThan(2)
  })
})
