/**
 * Which subnet a node gets: from the leases that exist, its PublicIP and the configuration to the one thing to try. Pure but
 * for the draw. Source: flannel pkg/subnet/etcd/local_manager.go (tryAcquireLease, allocateSubnet), the same since v0.1.0.
 */
import { cidr, overlaps, type Cidr } from '../base/cidr.js'
import { compareIp, type Ip } from '../base/ip.js'
import type { Prng } from '../base/prng.js'
import type { FlannelConfig } from './config.js'
import type { Lease } from './lease.js'
import { atLeast } from './version.js'

/** How many free subnets are collected, lowest first, before one is drawn. */
export const CANDIDATE_LIMIT = 100

interface AllocationInput {
  /** In the order of their keys. */
  readonly leases: readonly Lease[]
  readonly publicIp: Ip
  readonly config: FlannelConfig
  /** FLANNEL_SUBNET of the last run's subnet.env, as a network. */
  readonly previousSubnet?: Cidr
  readonly version: string
  readonly prng: Prng
}

type Allocation =
  /** Overwrite a lease that is there, whoever holds it. */
  | { readonly kind: 'update'; readonly lease: Lease; readonly why: 'same PublicIP' | 'previous subnet'; readonly delete: readonly Lease[] }
  /** Make a new one, which may lose a race. */
  | { readonly kind: 'create'; readonly subnet: Cidr; readonly why: 'previous subnet' | 'drawn'; readonly delete: readonly Lease[] }
  | { readonly kind: 'failed'; readonly error: 'out of subnets'; readonly delete: readonly Lease[] }

/** @returns what to do, and the own leases that no longer fit the configuration and are deleted first */
export function allocate(input: AllocationInput): Allocation {
  const { leases, config, previousSubnet, version } = input
  const doomed: Lease[] = []
  const own = leases.find((lease) => lease.attributes.publicIp === input.publicIp)
  if (own !== undefined) {
    if (fitsConfig(config, own.subnet)) return { kind: 'update', lease: own, why: 'same PublicIP', delete: doomed }
    doomed.push(own)
  }
  if (previousSubnet !== undefined && atLeast(version, '0.8.0-rc2')) {
    const holder = leases.find((lease) => sameSubnet(lease.subnet, previousSubnet))
    if (holder === undefined) {
      if (fitsConfig(config, previousSubnet)) return { kind: 'create', subnet: previousSubnet, why: 'previous subnet', delete: doomed }
    } else if (!atLeast(version, '0.18.0')) {
      // The duplicate-subnet bug (#1289): the lease is taken from whoever holds it.
      if (fitsConfig(config, holder.subnet)) return { kind: 'update', lease: holder, why: 'previous subnet', delete: doomed }
      if (holder !== own) doomed.push(holder)
    }
  }
  // Leases deleted just now still count as taken: flannel looks at the list that it read before.
  const subnet = drawSubnet(freeIn(leases, config), input.prng)
  return subnet === undefined ? { kind: 'failed', error: 'out of subnets', delete: doomed } : { kind: 'create', subnet, why: 'drawn', delete: doomed }
}

/** One of the lowest free subnets, each as likely as the other; undefined when there is none. */
export function drawSubnet(free: readonly Cidr[], prng: Prng): Cidr | undefined {
  return free.length === 0 ? undefined : free[prng.below(free.length)]
}

/** By listing, which never changes: nodes that ask at one moment have the same, and what is free in it is worked out once. */
const freeByListing = new WeakMap<readonly Lease[], { readonly range: string; readonly free: readonly Cidr[] }>()

function freeIn(listing: readonly Lease[], config: FlannelConfig): readonly Cidr[] {
  const range = `${config.subnetMin} ${config.subnetMax} ${config.subnetLength}`
  const known = freeByListing.get(listing)
  if (known?.range === range) return known.free
  const free = freeSubnets(
    listing.map((lease) => lease.subnet),
    config,
    CANDIDATE_LIMIT,
  )
  freeByListing.set(listing, { range, free })
  return free
}

/** The free subnets from SubnetMin to SubnetMax, lowest first, at most `limit`. */
export function freeSubnets(taken: readonly Cidr[], config: FlannelConfig, limit: number): Cidr[] {
  const length = config.subnetLength
  const size = 2 ** (32 - length)
  const min = config.subnetMin >>> 0
  const max = config.subnetMax >>> 0
  // Before 0.10.0 SubnetMin need not lie on a boundary, and the candidates do not either; they stand for the network around them.
  const first = cidr(config.subnetMin, length).base >>> 0
  // Only odd leases (left from another SubnetLen) need a comparison each. Those of the usual length are marked, and no more than can be looked at.
  const odd = taken.filter((subnet) => subnet.length !== length)
  const covered = odd.reduce((sum, subnet) => sum + 2 ** Math.max(0, length - subnet.length), taken.length - odd.length)
  const marks = new Uint8Array(Math.max(0, Math.min(Math.floor((max - min) / size) + 1, covered + limit)))
  for (const subnet of taken) {
    const at = ((subnet.base >>> 0) - first) / size
    if (subnet.length === length && at >= 0 && at < marks.length) marks[at] = 1
  }
  const free: Cidr[] = []
  for (let at = 0; min + at * size <= max && free.length < limit; at++) {
    if (marks[at] === 1) continue
    const candidate = cidr((min + at * size) | 0, length)
    if (!odd.some((subnet) => overlaps(subnet, candidate))) free.push(candidate)
  }
  return free
}

function fitsConfig(config: FlannelConfig, subnet: Cidr): boolean {
  return compareIp(subnet.base, config.subnetMin) >= 0 && compareIp(subnet.base, config.subnetMax) <= 0 && subnet.length === config.subnetLength
}

export function sameSubnet(a: Cidr, b: Cidr): boolean {
  return a.base === b.base && a.length === b.length
}

/** A number of its own for each subnet, for maps. */
export function subnetId(subnet: Cidr): number {
  return (subnet.base >>> 0) * 64 + subnet.length
}
