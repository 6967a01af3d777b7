/**
 * The order in which a node looks at a pool's blocks: from an index that follows from the node's name upwards, around the end, each once.
 * Source: libcalico-go/lib/ipam/ipam_block_reader_writer.go (randomBlockGenerator, determineSeed).
 */
import type { Cidr } from '../../base/cidr.js'
import type { IPPool } from '../../cluster/calico/ip-pool.js'
import { fnv1, GoRandom } from './go-random.js'

/**
 * @param count blocks of the pool
 * @param seed of the simulation: for blocks of one address Calico takes the clock, which is chance
 */
export function startIndex(node: string, count: number, { blockSize, seed }: { readonly blockSize: number; readonly seed: number }): number {
  const known = startIndexes.get(`${node}/${count}/${blockSize}/${seed}`)
  if (known !== undefined) return known
  const index = new GoRandom(blockSize === 32 ? (fnv1(node) ^ seed) >>> 0 : fnv1(node)).below(count)
  startIndexes.set(`${node}/${count}/${blockSize}/${seed}`, index)
  return index
}

/** Pure of its key: a memory of what would be computed again. */
const startIndexes = new Map<string, number>()

export function blockCount(pool: Pick<IPPool, 'cidr' | 'blockSize'>): number {
  return 2 ** Math.max(0, pool.blockSize - pool.cidr.length)
}

export function blockAt(pool: Pick<IPPool, 'cidr' | 'blockSize'>, index: number): Cidr {
  return { base: (pool.cidr.base + index * 2 ** (32 - pool.blockSize)) | 0, length: pool.blockSize }
}

export function* blocksOf(pool: Pick<IPPool, 'cidr' | 'blockSize'>, node: string, seed: number): Generator<Cidr> {
  const count = blockCount(pool)
  const start = startIndex(node, count, { blockSize: pool.blockSize, seed })
  for (let i = 0; i < count; i++) yield blockAt(pool, (start + i) % count)
}
