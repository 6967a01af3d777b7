/**
 * One block of addresses as Calico's IPAM keeps it: who has each, and the queue in which the free ones will be given out.
 * Source: libcalico-go/lib/ipam/ipam_block.go.
 */
import { cidr, contains, formatCidr, type Cidr } from '../../base/cidr.js'
import { assert } from '../../base/assert.js'
import type { Ip } from '../../base/ip.js'
import type { AffinityType, AllocationAttribute, IPAMBlock } from '../../cluster/calico/ipam.js'

/** Whose block it is. */
export interface Owner {
  readonly type: AffinityType
  readonly host: string
}

export class Block {
  readonly cidr: Cidr
  owner: Owner | undefined
  /** Seconds of virtual time; -Infinity where nothing says when. */
  readonly claimedAt: number
  private readonly allocations: (AllocationAttribute | undefined)[]
  private readonly attributes: AllocationAttribute[] = []
  /** Ordinals: taken from the front, given back at the end. */
  private unallocated: number[]

  constructor(prefix: Cidr, owner: Owner | undefined, claimedAt: number) {
    this.cidr = prefix
    this.owner = owner
    this.claimedAt = claimedAt
    const size = 2 ** (32 - prefix.length)
    this.allocations = Array<AllocationAttribute | undefined>(size).fill(undefined)
    this.unallocated = Array.from({ length: size }, (_, ordinal) => ordinal)
  }

  /** As it stood in a dump. */
  static restore(dumped: IPAMBlock): Block {
    const block = new Block(dumped.cidr, ownerOf(dumped.affinity), -Infinity)
    block.attributes.push(...dumped.attributes)
    dumped.allocations.forEach((index, ordinal) => (block.allocations[ordinal] = index === undefined ? undefined : dumped.attributes[index]))
    block.unallocated = [...dumped.unallocated]
    return block
  }

  get isEmpty(): boolean {
    return this.allocations.every((attribute) => attribute === undefined)
  }

  get isFull(): boolean {
    return this.unallocated.length === 0
  }

  /** Free addresses that nothing reserves. */
  countFree(isReserved: (address: Ip) => boolean): number {
    return this.unallocated.filter((ordinal) => !isReserved(this.addressOf(ordinal))).length
  }

  /** The first in the queue that nothing reserves; undefined when there is none. */
  takeNext(attribute: AllocationAttribute, isReserved: (address: Ip) => boolean): Ip | undefined {
    const at = this.unallocated.findIndex((ordinal) => !isReserved(this.addressOf(ordinal)))
    if (at < 0) return undefined
    const [ordinal] = this.unallocated.splice(at, 1)
    this.allocations[ordinal] = this.shared(attribute)
    return this.addressOf(ordinal)
  }

  /** False when somebody has it. Reservations do not hold here: who names an address gets it. */
  take(address: Ip, attribute: AllocationAttribute): boolean {
    const ordinal = this.ordinalOf(address)
    if (this.allocations[ordinal] !== undefined) return false
    this.allocations[ordinal] = this.shared(attribute)
    this.unallocated = this.unallocated.filter((free) => free !== ordinal)
    return true
  }

  /** False when nobody had it. */
  release(address: Ip): boolean {
    const ordinal = this.ordinalOf(address)
    const attribute = this.allocations[ordinal]
    if (attribute === undefined) return false
    this.allocations[ordinal] = undefined
    this.unallocated.push(ordinal)
    if (!this.allocations.includes(attribute)) this.attributes.splice(this.attributes.indexOf(attribute), 1)
    return true
  }

  attributeOf(address: Ip): AllocationAttribute | undefined {
    return this.allocations[this.ordinalOf(address)]
  }

  /** In the order of the addresses. */
  taken(): { readonly address: Ip; readonly attribute: AllocationAttribute }[] {
    return this.allocations.flatMap((attribute, ordinal) => (attribute === undefined ? [] : [{ address: this.addressOf(ordinal), attribute }]))
  }

  dump(): IPAMBlock {
    return {
      name: formatCidr(this.cidr).replaceAll(/[./]/g, '-'),
      labels: {},
      annotations: {},
      file: '',
      line: 0,
      cidr: this.cidr,
      ...(this.owner === undefined ? {} : { affinity: `${this.owner.type}:${this.owner.host}` }),
      allocations: this.allocations.map((attribute) => (attribute === undefined ? undefined : this.attributes.indexOf(attribute))),
      unallocated: [...this.unallocated],
      attributes: [...this.attributes],
      strictAffinity: false,
    }
  }

  private addressOf(ordinal: number): Ip {
    return (this.cidr.base + ordinal) | 0
  }

  private ordinalOf(address: Ip): number {
    assert(contains(this.cidr, address), 'the address lies in the block')
    return (address - this.cidr.base) | 0
  }

  /** Allocations with equal attributes share one entry. */
  private shared(attribute: AllocationAttribute): AllocationAttribute {
    const text = JSON.stringify(attribute)
    const known = this.attributes.find((other) => JSON.stringify(other) === text)
    if (known !== undefined) return known
    this.attributes.push(attribute)
    return attribute
  }
}

/** `host:n1` → the owner; undefined for a block without affinity. */
function ownerOf(affinity: string | undefined): Owner | undefined {
  const match = /^(host|virtual):(.+)$/.exec(affinity ?? '')
  return match === null ? undefined : { type: match[1] as AffinityType, host: match[2] }
}

export function isSameOwner(a: Owner | undefined, b: Owner): boolean {
  return a?.type === b.type && a.host === b.host
}

/** The block of the pool that an address lies in. */
export function blockOfAddress(address: Ip, blockSize: number): Cidr {
  return cidr(address, blockSize)
}
