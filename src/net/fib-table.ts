/**
 * Compiled routes: per table the prefixes as groups of equal prefix (sorted by TOS, then metric, then age), found by a linear
 * scan while they are few and by an 8-8-8-8 trie when they are many. Built once per netns (fib_trie.c does the same job).
 */
import { maskOf } from '../base/cidr.js'
import type { Device } from './device.js'

export interface Nexthop {
  readonly gateway: number
  readonly device: Device
  readonly weight: number
  /** The source that it would choose (nh_saddr). */
  readonly source: number
}

export interface Route {
  /** In Fib.routes. */
  index: number
  readonly base: number
  readonly length: number
  /** RTN_* */
  readonly type: number
  readonly gateway: number
  readonly device: Device | null
  readonly source: number
  /** RT_SCOPE_* : a lookup with a narrower scope does not see it. */
  readonly scope: number
  readonly metric: number
  readonly tos: number
  readonly mtu: number
  readonly mtuLocked: number
  /** What our TCP announces to peers over it, 0: the MTU less 40 bytes. */
  readonly advmss: number
  readonly nexthops: readonly Nexthop[] | null
  /** Index of the RouteSpec it was compiled from, -1 for those the kernel makes of addresses. */
  readonly spec: number
}

export interface RoutingRule {
  readonly priority: number
  readonly action: number
  readonly table: RouteTable | null
  readonly gotoIndex: number
  readonly not: number
  readonly from: number
  readonly fromMask: number
  readonly to: number
  readonly toMask: number
  readonly iif: string
  readonly oif: string
  readonly mark: number
  readonly markMask: number
  readonly tos: number
  readonly proto: number
  readonly sportFirst: number
  readonly sportLast: number
  readonly dportFirst: number
  readonly dportLast: number
  /** -1: none. */
  readonly suppressPrefixLength: number
}

/** Above this many prefixes the trie is built. */
const LINEAR_MAX = 24

export class RouteTable {
  readonly name: string
  /** Routes of equal prefix; longest prefix first. */
  readonly groups: readonly (readonly Route[])[]
  /** For each group the next shorter prefix that covers it, -1 none. */
  readonly parents: Int32Array
  private readonly bases: Int32Array
  private readonly masks: Int32Array
  /** 256 entries a node: the child node (≥ 0), no group (-1), or -group - 2. */
  private readonly trie: Int32Array | null
  private readonly localAddresses = new Set<number>()

  /** @param options.inOrder the routes of a prefix come in the order in which they are to be tried */
  constructor(name: string, routes: readonly Route[], options: { readonly inOrder?: boolean } = {}) {
    this.name = name
    const byPrefix = new Map<string, Route[]>()
    for (const route of routes) {
      const key = `${route.base}/${route.length}`
      const group = byPrefix.get(key)
      if (group === undefined) byPrefix.set(key, [route])
      else group.push(route)
    }
    this.groups = [...byPrefix.values()].sort((a, b) => b[0].length - a[0].length || (a[0].base >>> 0) - (b[0].base >>> 0))
    if (options.inOrder !== true) for (const group of this.groups as Route[][]) group.sort((a, b) => b.tos - a.tos || a.metric - b.metric)
    this.bases = Int32Array.from(this.groups, (group) => group[0].base)
    this.masks = Int32Array.from(this.groups, (group) => maskOf(group[0].length))
    this.parents = new Int32Array(this.groups.length).fill(-1)
    this.trie = this.groups.length > LINEAR_MAX ? this.buildTrie() : null
    if (this.trie === null) this.linkParents()
    // hasLocalAddress() is asked per packet and means the addresses themselves, not 127.0.0.0/8
    for (const route of routes) if (route.type === 2 && route.length === 32) this.localAddresses.add(route.base)
  }

  /** fib_trie_unmerge undone: while there are no rules of one's own, local and main are one trie, and the longest prefix of both decides. */
  static merged(local: RouteTable, main: RouteTable): RouteTable {
    return new RouteTable(main.name, [...local.groups, ...main.groups].flat(), { inOrder: true })
  }

  /** The longest prefix that holds the address, -1 none. */
  findGroup(address: number): number {
    const trie = this.trie
    if (trie === null) {
      for (let i = 0; i < this.bases.length; i++) if (((address ^ this.bases[i]) & this.masks[i]) === 0) return i
      return -1
    }
    let entry = trie[address >>> 24]
    if (entry >= 0) entry = trie[entry + ((address >>> 16) & 255)]
    if (entry >= 0) entry = trie[entry + ((address >>> 8) & 255)]
    if (entry >= 0) entry = trie[entry + (address & 255)]
    return -entry - 2
  }

  /** The table has the address as one of the host's own (inet_lookup_ifaddr). */
  hasLocalAddress(address: number): boolean {
    return this.localAddresses.has(address)
  }

  private linkParents(): void {
    for (let i = 0; i < this.groups.length; i++) {
      for (let j = i + 1; j < this.groups.length; j++) {
        if (this.groups[j][0].length < this.groups[i][0].length && ((this.bases[i] ^ this.bases[j]) & this.masks[j]) === 0) {
          this.parents[i] = j
          break
        }
      }
    }
  }

  /** Shorter prefixes first, each overwriting its range (leaf pushing); what a prefix overwrites is its parent. */
  private buildTrie(): Int32Array {
    const nodes: number[] = new Array<number>(256).fill(-1)
    for (let group = this.groups.length - 1; group >= 0; group--) {
      const length = this.groups[group][0].length
      const base = this.bases[group]
      let node = 0
      let depth = 0
      while (length > depth + 8) {
        const at = node + ((base >>> (24 - depth)) & 255)
        if (nodes[at] < 0) {
          const inherited = nodes[at]
          nodes[at] = nodes.length
          for (let i = 0; i < 256; i++) nodes.push(inherited)
        }
        node = nodes[at]
        depth += 8
      }
      const first = (base >>> (24 - depth)) & 255
      const count = 1 << (depth + 8 - length)
      this.parents[group] = nodes[node + first] < 0 ? -nodes[node + first] - 2 : -1
      for (let i = 0; i < count; i++) this.overwrite(nodes, node + first + i, -group - 2)
    }
    return Int32Array.from(nodes)
  }

  /** A shorter prefix is never written after a longer one, so a child node under it can only be of prefixes of the same length's siblings. */
  private overwrite(nodes: number[], at: number, entry: number): void {
    if (nodes[at] < 0) nodes[at] = entry
    else for (let i = 0; i < 256; i++) this.overwrite(nodes, nodes[at] + i, entry)
  }
}
