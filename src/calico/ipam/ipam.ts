/**
 * Calico's IPAM as one datastore sees it: blocks, affinities, and the five ways to an address in their order: a block of one's own, a new
 * block, an empty block of somebody else's (v3.32), an address of any block (borrowing), none. One caller at a time: races between nodes, which
 * the two phases of a claim are for, do not arise. Source: libcalico-go/lib/ipam/{ipam,ipam_block_reader_writer}.go.
 */
import { contains, covers, formatCidr, type Cidr } from '../../base/cidr.js'
import { compareIp, type Ip } from '../../base/ip.js'
import type { AffinityState, AllocationAttribute, BlockAffinity, IPAMBlock, IPAMConfig } from '../../cluster/calico/ipam.js'
import type { IPPool, IPReservation, PoolUse } from '../../cluster/calico/ip-pool.js'
import type { Labels } from '../../cluster/labels.js'
import { Block, blockOfAddress, isSameOwner, type Owner } from './block.js'
import { blockCount, blocksOf, startIndex } from './block-order.js'
import { poolOfAddress, selectPools, selects } from './pool-selection.js'

export interface IpamOptions {
  readonly pools: readonly IPPool[]
  readonly reservations: readonly IPReservation[]
  readonly config: IPAMConfig
  readonly blocks: readonly IPAMBlock[]
  readonly affinities: readonly BlockAffinity[]
  /** CalicoProfile.reclaimsEmptyBlocks */
  readonly reclaimsEmptyBlocks: boolean
  readonly seed: number
}

export interface AutoAssignRequest {
  readonly node: string
  readonly nodeLabels: Labels
  readonly namespaceLabels?: Labels
  readonly requestedPools: readonly Cidr[]
  readonly use: PoolUse
  readonly attribute: AllocationAttribute
  /** Seconds of virtual time. */
  readonly now: number
}

export interface Assignment {
  readonly address: Ip
  readonly block: Cidr
  /** From a block of another node, or of none. */
  readonly borrowed: boolean
}

export interface AssignmentFailure {
  readonly failure: string
}

/** A block of another node may be taken over when it has been empty and claimed for this long. */
const RECLAIM_AGE = 60
const DEFAULT_BLOCK_LIMIT = 20
/** LeakGracePeriod of kube-controllers, seconds. */
const LEAK_GRACE = 900

export class Ipam {
  private readonly options: IpamOptions
  private readonly blocks = new Map<string, Block>()
  /** By `type:host cidr`. */
  private readonly affinities = new Map<string, { owner: Owner; cidr: Cidr; state: AffinityState }>()

  private readonly reserved: readonly Cidr[]
  /** When kube-controllers first found a block empty. */
  private readonly emptySince = new Map<string, number>()

  constructor(options: IpamOptions) {
    this.options = options
    this.reserved = options.reservations.flatMap(({ reservedCIDRs }) => reservedCIDRs.flatMap((net) => (net.family === 4 ? [net.cidr] : [])))
    for (const block of options.blocks) this.blocks.set(formatCidr(block.cidr), Block.restore(block))
    for (const { type, node, cidr, state } of options.affinities) this.setAffinity({ type, host: node }, cidr, state)
  }

  autoAssign(request: AutoAssignRequest): Assignment | AssignmentFailure {
    const { pools, config } = this.options
    const { node, nodeLabels, namespaceLabels, requestedPools, use } = request
    const answer = selectPools({
      pools,
      requested: requestedPools,
      nodeLabels,
      ...(namespaceLabels === undefined ? {} : { namespaceLabels }),
      use,
    })
    const owner: Owner = { type: 'host', host: node }
    if (answer.failure !== undefined) return { failure: answer.failure }
    const own = this.ownBlocks(owner, answer, nodeLabels)
    for (const prefix of own) {
      const block = this.blockOfAffinity(owner, prefix, request.now)
      const address = block === undefined ? undefined : this.takeFrom(block, request.attribute)
      if (block !== undefined && address !== undefined) return { address, block: block.cidr, borrowed: false }
    }
    const limit = config.maxBlocksPerHost || DEFAULT_BLOCK_LIMIT
    if (own.length >= limit) return { failure: `the node has ${own.length} blocks, and the limit is ${limit}: a new one is refused, and nothing is borrowed` }
    if (!config.autoAllocateBlocks) return { failure: 'the blocks of the node are full, and autoAllocateBlocks is off' }
    const fresh = this.findUsableBlock(owner, answer.pools, request.now)
    if (fresh !== undefined) {
      const block = this.claim(owner, fresh, request.now)
      const address = this.takeFrom(block, request.attribute)
      return address === undefined
        ? { failure: `every address of the new block ${formatCidr(fresh)} is reserved` }
        : { address, block: block.cidr, borrowed: false }
    }
    if (config.strictAffinity) return { failure: 'no more free affine blocks, and strict affinity is on' }
    return (
      this.borrow(node, answer.pools, request.attribute) ?? {
        failure: `no addresses available in pools: ${answer.pools.map((pool) => formatCidr(pool.cidr)).join(', ')}`,
      }
    )
  }

  /** Exactly this address (`ipAddrs`, and what a running cluster has already). A block that nobody has becomes the node's. */
  assign(address: Ip, { node, attribute, now }: Pick<AutoAssignRequest, 'node' | 'attribute' | 'now'>): Assignment | AssignmentFailure {
    const pool = poolOfAddress(this.options.pools, address)
    if (pool === undefined) return { failure: 'the address is in no IPPool' }
    const owner: Owner = { type: 'host', host: node }
    const prefix = blockOfAddress(address, pool.blockSize)
    const block = this.blocks.get(formatCidr(prefix)) ?? this.claim(owner, prefix, now)
    const mine = isSameOwner(block.owner, owner)
    if (this.options.config.strictAffinity && !mine) return { failure: 'the block is of another node, and strict affinity is on' }
    if (!block.take(address, attribute)) return { failure: 'the address is assigned already' }
    return { address, block: block.cidr, borrowed: !mine }
  }

  /** Gives a block to a node that is known to have it, if nobody has it yet. */
  claimBlock(node: string, prefix: Cidr): void {
    if (!this.blocks.has(formatCidr(prefix))) this.claim({ type: 'host', host: node }, prefix, 0)
  }

  /** What the CNI plugin does when a pod goes: every address of the handle goes back to the end of its block's queue. The block stays. */
  releaseByHandle(handleId: string): Ip[] {
    const released: Ip[] = []
    for (const block of this.blocks.values()) {
      for (const { address, attribute } of block.taken()) if (attribute.handleId === handleId && block.release(address)) released.push(address)
    }
    return released
  }

  /** False when nobody had it. */
  release(address: Ip): boolean {
    return this.blockOf(address)?.release(address) ?? false
  }

  blockOf(address: Ip): Block | undefined {
    for (const block of this.blocks.values()) if (contains(block.cidr, address)) return block
    return undefined
  }

  /** What a node's Block and affinity go through when the node leaves the cluster: its addresses are free at once, and so are its blocks. */
  releaseNode(node: string): void {
    for (const block of this.blocks.values()) {
      for (const { address, attribute } of block.taken()) if (attribute.secondary.node === node) block.release(address)
    }
    const owner: Owner = { type: 'host', host: node }
    for (const { cidr } of this.affinitiesOf(owner)) this.releaseAffinity(owner, cidr, { onlyEmpty: false })
  }

  /**
   * What the node controller of kube-controllers does every 450 s: an affine block that has been empty at every look for 900 s is given back,
   * unless it is its node's last. Source: kube-controllers/pkg/controllers/node/ipam.go (releaseUnusedBlocks).
   */
  releaseUnusedBlocks(now: number): Cidr[] {
    const released: Cidr[] = []
    for (const { owner, cidr } of [...this.affinities.values()]) {
      const key = formatCidr(cidr)
      const block = this.blocks.get(key)
      if (owner.type !== 'host' || block === undefined || !isSameOwner(block.owner, owner)) continue
      if (!block.isEmpty) {
        this.emptySince.delete(key)
        continue
      }
      if (this.affinitiesOf(owner).length <= 1) continue
      const since = this.emptySince.get(key) ?? now
      this.emptySince.set(key, since)
      if (now - since < LEAK_GRACE) continue
      this.releaseAffinity(owner, cidr, { onlyEmpty: true })
      this.emptySince.delete(key)
      released.push(cidr)
    }
    return released
  }

  /** Of the node, in the order in which the datastore lists them: by text. */
  affinitiesOf(owner: Owner): readonly { readonly cidr: Cidr; readonly state: AffinityState }[] {
    const found = [...this.affinities.values()].filter((affinity) => isSameOwner(affinity.owner, owner))
    return found.sort((a, b) => (formatCidr(a.cidr) < formatCidr(b.cidr) ? -1 : 1))
  }

  /** Blocks in the order of addresses. */
  dumpBlocks(): IPAMBlock[] {
    return [...this.blocks.values()].sort((a, b) => compareIp(a.cidr.base, b.cidr.base)).map((block) => block.dump())
  }

  /** As the datastore lists them: by node, then by text. */
  dumpAffinities(): BlockAffinity[] {
    return [...this.affinities.values()]
      .map(({ owner, cidr, state }) => ({
        name: `${owner.host}-${formatCidr(cidr).replaceAll(/[./]/g, '-')}`,
        labels: {},
        annotations: {},
        file: '',
        line: 0,
        node: owner.host,
        type: owner.type,
        cidr,
        state,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  }

  /** Its blocks in pools it may use now; empty ones in pools that no longer select the node are given back on the way. */
  private ownBlocks(owner: Owner, answer: { readonly pools: readonly IPPool[]; readonly selecting: readonly IPPool[] }, nodeLabels: Labels): Cidr[] {
    const inPools = (prefix: Cidr, pools: readonly IPPool[]): boolean => pools.some(({ cidr }) => covers(cidr, prefix))
    const all = this.affinitiesOf(owner).map(({ cidr }) => cidr)
    for (const prefix of all) {
      if (inPools(prefix, answer.pools) || inPools(prefix, answer.selecting)) continue
      const pool = this.options.pools.find(({ cidr, disabled }) => !disabled && covers(cidr, prefix))
      if (pool !== undefined && !selects(pool.nodeSelector, nodeLabels)) this.releaseAffinity(owner, prefix, { onlyEmpty: true })
    }
    return all.filter((prefix) => inPools(prefix, answer.pools))
  }

  /** The block that an affinity speaks of, made where it is missing; undefined when another node has it: then the affinity was stale, and goes. */
  private blockOfAffinity(owner: Owner, prefix: Cidr, now: number): Block | undefined {
    if (this.isWhollyReserved(prefix)) return undefined
    const block = this.blocks.get(formatCidr(prefix))
    if (block === undefined) return this.claim(owner, prefix, now)
    if (isSameOwner(block.owner, owner)) {
      this.setAffinity(owner, prefix, 'confirmed')
      return block
    }
    this.affinities.delete(affinityKey(owner, prefix))
    return undefined
  }

  private findUsableBlock(owner: Owner, pools: readonly IPPool[], now: number): Cidr | undefined {
    const empty: Block[] = []
    for (const pool of pools) {
      for (const prefix of blocksOf(pool, owner.host, this.options.seed)) {
        if (this.isWhollyReserved(prefix)) continue
        const block = this.blocks.get(formatCidr(prefix))
        if (block === undefined) return prefix
        const free = block.countFree((address) => this.isReserved(address))
        if (isSameOwner(block.owner, owner) && free > 0) return prefix
        if (block.isEmpty && free > 0) empty.push(block)
      }
    }
    if (!this.options.reclaimsEmptyBlocks) return undefined
    const old = empty.find((block) => block.owner !== undefined && now - block.claimedAt >= RECLAIM_AGE)
    if (old?.owner === undefined) return undefined
    this.affinities.delete(affinityKey(old.owner, old.cidr))
    this.blocks.delete(formatCidr(old.cidr))
    return old.cidr
  }

  private claim(owner: Owner, prefix: Cidr, now: number): Block {
    const known = this.blocks.get(formatCidr(prefix))
    const block = known ?? new Block(prefix, owner, now)
    this.blocks.set(formatCidr(prefix), block)
    this.setAffinity(owner, prefix, 'confirmed')
    return block
  }

  /** Any block of the pools that exists, in the same order in which a new one would be looked for. */
  private borrow(node: string, pools: readonly IPPool[], attribute: AllocationAttribute): Assignment | undefined {
    for (const pool of pools) {
      const count = blockCount(pool)
      const start = startIndex(node, count, { blockSize: pool.blockSize, seed: this.options.seed })
      const distance = ({ cidr }: Block): number => (((cidr.base - pool.cidr.base) >>> 0) / 2 ** (32 - pool.blockSize) - start + count) % count
      const inPool = [...this.blocks.values()].filter(({ cidr }) => cidr.length === pool.blockSize && covers(pool.cidr, cidr))
      for (const block of inPool.sort((a, b) => distance(a) - distance(b))) {
        if (this.isWhollyReserved(block.cidr)) continue
        const address = this.takeFrom(block, attribute)
        if (address !== undefined) return { address, block: block.cidr, borrowed: !isSameOwner(block.owner, { type: 'host', host: node }) }
      }
    }
    return undefined
  }

  private takeFrom(block: Block, attribute: AllocationAttribute): Ip | undefined {
    return block.takeNext(attribute, (address) => this.isReserved(address))
  }

  private releaseAffinity(owner: Owner, prefix: Cidr, { onlyEmpty }: { readonly onlyEmpty: boolean }): void {
    const block = this.blocks.get(formatCidr(prefix))
    const mine = isSameOwner(block?.owner, owner)
    if (block !== undefined && mine && !block.isEmpty) {
      if (onlyEmpty) return
      block.owner = undefined
    } else if (mine) this.blocks.delete(formatCidr(prefix))
    this.affinities.delete(affinityKey(owner, prefix))
  }

  private setAffinity(owner: Owner, cidr: Cidr, state: AffinityState): void {
    this.affinities.set(affinityKey(owner, cidr), { owner, cidr, state })
  }

  private isReserved(address: Ip): boolean {
    return this.reserved.some((prefix) => contains(prefix, address))
  }

  private isWhollyReserved(prefix: Cidr): boolean {
    if (this.reserved.some((reserved) => covers(reserved, prefix))) return true
    if (!this.reserved.some((reserved) => covers(prefix, reserved))) return false
    for (let i = 0; i < 2 ** (32 - prefix.length); i++) if (!this.isReserved((prefix.base + i) | 0)) return false
    return true
  }
}

function affinityKey(owner: Owner, cidr: Cidr): string {
  return `${owner.type}:${owner.host} ${formatCidr(cidr)}`
}
