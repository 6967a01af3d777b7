/**
 * Compiled routes: per table the prefixes as groups of equal prefix (sorted by TOS, then metric, then age), found by a linear
 * scan while they are few and by an 8-8-8-8 trie when they are many. Built once per netns (fib_trie.c does the same job).
 */
import { maskOf } from '../base/cidr.js'
import type { RouteSpec } from '../dataplane/dataplane.js'
import type { Device } from './device.js'

export interface Nexthop {
  readonly gateway: number
  readonly device: Device
  readonly weight: number
  /** The source that it would choose (nh_saddr). */
  readonly source: number
}

/** Route.index of the first route that is not a netns's own but common to many. */
export const COMMON_ROUTES = 0x40000000

export interface Route {
  /** In Fib.routes; from COMMON_ROUTES on in CommonRoutes.routes. */
  index: number
  readonly base: number
  readonly length: number
  /** RTN_* */
  readonly type: number
  readonly gateway: number
  /** null: none, or that of the tables which have the route in common (RouteTable.commonDevice). */
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
  /** Index of the RouteSpec it was compiled from, of its own list or of the common one; -1 for those the kernel makes of addresses. */
  readonly spec: number
}

/** Routes of many tables, all of one device of each netns, one to a prefix (dataplane/common-rows.ts): looked up in one trie for all. */
export interface CommonRoutes {
  readonly specs: readonly RouteSpec[]
  /** Of the same order. */
  readonly routes: readonly Route[]
  readonly table: RouteTable
}

/** What a table takes of them. */
export interface CommonPart {
  readonly common: CommonRoutes
  readonly device: Device
  /** Groups of the common table that this one lacks. */
  readonly lacks: ReadonlySet<number>
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

/** fib.ts has it too, with the other types; that module knows this one. */
const RTN_LOCAL = 2

/** Above this many prefixes the trie is built. */
const LINEAR_MAX = 24

/** From here on the groups of the common table. */
const COMMON_GROUPS = 0x40000000

export class RouteTable {
  readonly name: string
  /** Of the routes that it has in common with other netns's tables. */
  readonly commonDevice: Device | null
  /** Routes of equal prefix; longest prefix first. */
  readonly groups: readonly (readonly Route[])[]
  /** While the groups are few: base and mask of each. A plain array: of short ones a typed one is mostly header. */
  private readonly linear: readonly number[]
  private readonly trie: Trie | null
  private readonly commonPart: CommonPart | null

  /**
   * @param options.inOrder the routes of a prefix come in the order in which they are to be tried
   * @param options.common of other prefixes than the routes
   */
  constructor(name: string, routes: readonly Route[], options: { readonly inOrder?: boolean; readonly common?: CommonPart } = {}) {
    this.name = name
    this.commonPart = options.common ?? null
    this.commonDevice = this.commonPart === null ? null : this.commonPart.device
    this.groups = groupsOf(routes, options.inOrder === true)
    this.trie = this.groups.length > LINEAR_MAX ? makeTrie(this.groups) : null
    this.linear = this.trie === null ? this.groups.flatMap(([{ base, length }]) => [base, maskOf(length)]) : []
  }

  /**
   * fib_trie_unmerge undone: while there are no rules of one's own, local and main are one trie, and the longest prefix of both decides.
   * @param common of main
   */
  static merged(local: readonly Route[], main: readonly Route[], common?: CommonPart): RouteTable {
    const routes = [...[...local].sort(byPreference), ...[...main].sort(byPreference)]
    return new RouteTable('main', routes, { inOrder: true, ...(common === undefined ? {} : { common }) })
  }

  /** The longest prefix that holds the address, -1 none. */
  findGroup(address: number): number {
    return this.commonPart === null ? this.findOwn(address) : this.longest(this.findOwn(address), this.findCommon(address))
  }

  /** Cold. Of these very base and length, own groups alone; -1 none. */
  groupOf(base: number, length: number): number {
    let group = this.findOwn(base)
    while (group >= 0 && (this.groups[group][0].length !== length || this.groups[group][0].base !== base)) group = this.parentOf(group)
    return group
  }

  /** The routes of a prefix. */
  groupAt(group: number): readonly Route[] {
    return group < COMMON_GROUPS ? this.groups[group] : (this.commonPart as CommonPart).common.table.groups[group - COMMON_GROUPS]
  }

  /** The next shorter prefix that holds the address, -1 none. */
  nextGroup(group: number, address: number): number {
    const part = this.commonPart
    if (part === null) return this.parentOf(group)
    const { length } = this.groupAt(group)[0]
    let own = this.findOwn(address)
    while (own >= 0 && this.groups[own][0].length >= length) own = this.parentOf(own)
    let common = this.findCommon(address)
    while (common >= 0 && this.groupAt(common)[0].length >= length) common = this.shorterCommon(part, common - COMMON_GROUPS)
    return this.longest(own, common)
  }

  private findCommon(address: number): number {
    const part = this.commonPart as CommonPart
    const group = part.common.table.findOwn(address)
    if (group < 0) return -1
    return part.lacks.has(group) ? this.shorterCommon(part, group) : group + COMMON_GROUPS
  }

  private shorterCommon(part: CommonPart, group: number): number {
    const { table } = part.common
    let parent = table.parentOf(group)
    while (parent >= 0 && part.lacks.has(parent)) parent = table.parentOf(parent)
    return parent < 0 ? -1 : parent + COMMON_GROUPS
  }

  /** Either may be -1. */
  private longest(own: number, common: number): number {
    if (own < 0 || common < 0) return own < 0 ? common : own
    return this.groups[own][0].length > this.groupAt(common)[0].length ? own : common
  }

  private findOwn(address: number): number {
    if (this.trie === null) {
      const linear = this.linear
      for (let i = 0; i < linear.length; i += 2) if (((address ^ linear[i]) & linear[i + 1]) === 0) return i >>> 1
      return -1
    }
    const { nodes } = this.trie
    let entry = nodes[address >>> 24]
    if (entry >= 0) entry = nodes[entry + ((address >>> 16) & 255)]
    if (entry >= 0) entry = nodes[entry + ((address >>> 8) & 255)]
    if (entry >= 0) entry = nodes[entry + (address & 255)]
    return -entry - 2
  }

  /** The next shorter prefix that covers an own group, -1 none. */
  private parentOf(group: number): number {
    if (this.trie !== null) return this.trie.parents[group]
    const { groups, linear } = this
    const { base, length } = groups[group][0]
    for (let i = group + 1; i < groups.length; i++) {
      if (groups[i][0].length < length && ((base ^ linear[2 * i]) & linear[2 * i + 1]) === 0) return i
    }
    return -1
  }

  /** The table has the address as one of the host's own (inet_lookup_ifaddr): the addresses themselves, not 127.0.0.0/8. */
  hasLocalAddress(address: number): boolean {
    let group = this.findOwn(address)
    for (; group >= 0 && this.groups[group][0].length === 32; group = this.parentOf(group)) {
      const routes = this.groups[group]
      for (let i = 0; i < routes.length; i++) if (routes[i].type === RTN_LOCAL) return true
    }
    return false
  }
}

/** fib_find_alias: of one prefix. */
function byPreference(a: Route, b: Route): number {
  return b.tos - a.tos || a.metric - b.metric
}

/** Routes of equal prefix, longest prefix first. */
function groupsOf(routes: readonly Route[], inOrder: boolean): Route[][] {
  const groups: Route[][] = []
  for (const route of [...routes].sort((a, b) => b.length - a.length || (a.base >>> 0) - (b.base >>> 0))) {
    const last = groups.at(-1)
    if (last !== undefined && last[0].base === route.base && last[0].length === route.length) last.push(route)
    else groups.push([route])
  }
  if (!inOrder) for (const group of groups) if (group.length > 1) group.sort(byPreference)
  return groups
}

interface Trie {
  /** 256 entries a node: the child node (≥ 0), no group (-1), or -group - 2. */
  readonly nodes: Int32Array
  /** For each group the next shorter prefix that covers it, -1 none. */
  readonly parents: Int32Array
}

/** Shorter prefixes first, each overwriting its range (leaf pushing); what a prefix overwrites is its parent. */
function makeTrie(groups: readonly (readonly Route[])[]): Trie {
  const nodes: number[] = new Array<number>(256).fill(-1)
  const parents = new Int32Array(groups.length)
  for (let group = groups.length - 1; group >= 0; group--) {
    const { base, length } = groups[group][0]
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
    parents[group] = nodes[node + first] < 0 ? -nodes[node + first] - 2 : -1
    for (let i = 0; i < count; i++) overwrite(nodes, node + first + i, -group - 2)
  }
  return { nodes: Int32Array.from(nodes), parents }
}

/** A shorter prefix is never written after a longer one, so a child node under it can only be of prefixes of the same length's siblings. */
function overwrite(nodes: number[], at: number, entry: number): void {
  if (nodes[at] < 0) nodes[at] = entry
  else for (let i = 0; i < 256; i++) overwrite(nodes, nodes[at] + i, entry)
}
