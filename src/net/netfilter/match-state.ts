// hot path
/** What matches remember between packets: token buckets (xt_limit) and lists of addresses lately seen (xt_recent). */
import type { Packet } from '../../wire/packet.js'

/** Token buckets, one a rule; a token is so many nanoseconds of virtual time. */
export class Limits {
  private readonly costs: number[] = []
  private readonly caps: number[] = []
  private readonly credits: number[] = []
  private readonly filledAt: number[] = []

  /** A new bucket, full. Cold. */
  add(costNs: number, burst: number): number {
    this.caps.push(costNs * burst)
    this.credits.push(costNs * burst)
    this.filledAt.push(0)
    return this.costs.push(costNs) - 1
  }

  /** All full. */
  forget(): void {
    for (let bucket = 0; bucket < this.costs.length; bucket++) {
      this.credits[bucket] = this.caps[bucket]
      this.filledAt[bucket] = 0
    }
  }

  take(bucket: number, nowNs: number): boolean {
    const credit = Math.min(this.caps[bucket], this.credits[bucket] + nowNs - this.filledAt[bucket])
    this.filledAt[bucket] = nowNs
    const enough = credit >= this.costs[bucket]
    this.credits[bucket] = enough ? credit - this.costs[bucket] : credit
    return enough
  }
}

export const RECENT_SET = 0
export const RECENT_RCHECK = 1
export const RECENT_UPDATE = 2
export const RECENT_REMOVE = 3

/** One use of a list in a rule. */
interface RecentUse {
  readonly action: number
  readonly list: RecentList
  readonly source: boolean
  readonly mask: number
  /** 0: for ever. */
  readonly windowNs: number
  readonly hitcount: number
  readonly reap: boolean
}

interface RecentEntry {
  readonly stamps: number[]
  next: number
}

/** xt_recent's ip_list_tot: the longest untouched address makes room for the 101st. */
const RECENT_MAX_ENTRIES = 100

/** /proc/net/xt_recent/NAME. */
class RecentList {
  /** In the order of last touch. */
  readonly entries = new Map<number, RecentEntry>()
  /** Stamps kept an address: the hitcounts of the rules that use the list, rounded up to a power of two. */
  stampsKept = 0

  touch(address: number, nowNs: number): void {
    let entry = this.entries.get(address)
    if (entry === undefined) {
      if (this.entries.size >= RECENT_MAX_ENTRIES) this.entries.delete(this.entries.keys().next().value as number)
      entry = { stamps: [], next: 0 }
    } else this.entries.delete(address)
    entry.stamps[entry.next] = nowNs
    entry.next = (entry.next + 1) % Math.max(this.stampsKept, 1)
    this.entries.set(address, entry)
  }

  /** The address touched longest ago goes when its newest stamp is older than the window. */
  reap(beforeNs: number): void {
    for (const [address, entry] of this.entries) {
      if (newest(entry.stamps) < beforeNs) this.entries.delete(address)
      return
    }
  }
}

function newest(stamps: readonly number[]): number {
  let last = -Infinity
  for (let i = 0; i < stamps.length; i++) if (stamps[i] > last) last = stamps[i]
  return last
}

export class Recents {
  readonly lists = new Map<string, RecentList>()
  private readonly uses: RecentUse[] = []

  /** Cold. */
  add(use: RecentUse): number {
    const kept = use.hitcount > 0 ? 2 ** Math.ceil(Math.log2(use.hitcount + 1)) : 32
    use.list.stampsKept = Math.max(use.list.stampsKept, kept)
    return this.uses.push(use) - 1
  }

  /** The list of that name, made when it is first named. Cold. */
  list(name: string): RecentList {
    const known = this.lists.get(name)
    if (known !== undefined) return known
    const made = new RecentList()
    this.lists.set(name, made)
    return made
  }

  /** Nobody has been seen. Cold. */
  forget(): void {
    for (const { entries } of this.lists.values()) entries.clear()
  }

  /** Whether the match holds before inversion; `inverted` decides whether an update touches the list. */
  match(index: number, packet: Packet, nowNs: number, inverted: boolean): boolean {
    const use = this.uses[index]
    const address = (use.source ? packet.src : packet.dst) & use.mask
    const entry = use.list.entries.get(address)
    if (use.action === RECENT_SET) {
      use.list.touch(address, nowNs)
      return true
    }
    if (entry === undefined) return false
    if (use.action === RECENT_REMOVE) {
      use.list.entries.delete(address)
      return true
    }
    const since = nowNs - use.windowNs
    let hits = 0
    for (const stamp of entry.stamps) if (use.windowNs === 0 || stamp >= since) hits++
    const matched = hits >= Math.max(use.hitcount, 1)
    if (use.reap) use.list.reap(since)
    if (use.action === RECENT_UPDATE && matched !== inverted) use.list.touch(address, nowNs)
    return matched
  }
}
