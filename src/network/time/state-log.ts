/**
 * The states of a run, one for each moment at which something changed. A node's state is kept once for as long as it holds, so that thousands of nodes over
 * thousands of moments take what changed and no more; a NetworkState is a view of that log at its place.
 */
import { assert } from '../../base/assert.js'
import type { RouteSpec } from '../../dataplane/dataplane.js'
import type { Diary } from './diary.js'
import type { NetworkState, NodeState, StateCause, UnderlayState } from './network-state.js'

interface Held {
  /** Place of the first state in which it holds. */
  readonly from: number
  readonly state: NodeState
}

const UNTOUCHED: UnderlayState = { mtus: new Map(), firewalls: new Map(), cables: new Map(), bird: new Map() }

export class StateLog {
  readonly states: NetworkState[] = []
  private readonly byNode = new Map<string, Held[]>()
  private underlayNow: UnderlayState = UNTOUCHED
  /** Time of the state that is being put together; undefined: none is. */
  private openNs: number | undefined
  private causes: StateCause[] = []
  private version = 0
  private readonly now: () => number
  private readonly diary: Diary
  private zeroNs = 0

  /** @param now the clock's, ns */
  constructor(now: () => number, diary: Diary) {
    this.now = now
    this.diary = diary
  }

  node(name: string): NodeState {
    const held = this.byNode.get(name)?.at(-1)
    assert(held !== undefined, `there is no node ${name} in the run`)
    return held.state
  }

  get nodeNames(): IterableIterator<string> {
    return this.byNode.keys()
  }

  has(name: string): boolean {
    return this.byNode.has(name)
  }

  /** @param cause entry of the diary */
  setNode(name: string, state: NodeState, cause?: number): void {
    this.open(cause, name)
    const all = this.byNode.get(name) ?? []
    this.byNode.set(name, all)
    const from = this.states.length
    if (all.at(-1)?.from === from) all.pop()
    all.push({ from, state })
  }

  setVersion(number: number, cause?: number): void {
    this.open(cause)
    this.version = number
  }

  get underlay(): UnderlayState {
    return this.underlayNow
  }

  setUnderlay(change: Partial<UnderlayState>, cause?: number, netns?: string): void {
    this.open(cause, netns)
    this.underlayNow = { ...this.underlayNow, ...change }
  }

  setRouterRoutes(netns: string, routes: readonly RouteSpec[], cause?: number): void {
    this.setUnderlay({ bird: new Map([...this.underlayNow.bird, [netns, routes]]) }, cause, netns)
  }

  /** Of this moment; the moment may go on, so that it is not to be kept. */
  current(): NetworkState {
    return this.view(this.states.length, this.openNs ?? this.now())
  }

  /** All that was is forgotten but what holds; the first state is of now. */
  startHere(): void {
    this.states.length = 0
    for (const [name, all] of this.byNode) this.byNode.set(name, [{ from: 0, state: all[all.length - 1].state }])
    this.zeroNs = this.now()
    this.causes = []
    this.openNs = this.now()
    this.close()
  }

  /** What has changed since the last state is a state of its own, of the time at which it changed. */
  close(): void {
    if (this.openNs === undefined) return
    this.states.push(this.view(this.states.length, this.openNs))
    this.openNs = undefined
    this.causes = []
  }

  private open(entry: number | undefined, netns?: string): void {
    const now = this.now()
    if (this.openNs !== undefined && this.openNs !== now) this.close()
    this.openNs = now
    if (entry !== undefined) this.causes.push({ entry, ...(netns === undefined ? {} : { netns }) })
  }

  private view(at: number, timeNs: number): NetworkState {
    const atNs = timeNs - this.zeroNs
    // a state is closed when the next one begins, which may have been written of already
    const later = this.diary.entries.length - 1 - this.diary.entries.findLastIndex((entry) => entry.atNs <= atNs)
    const diaryLength = this.diary.entries.length - later
    return { atNs, version: this.version, nodes: new NodesView(this.byNode, at), underlay: this.underlayNow, diaryLength, causes: this.causes }
  }
}

/** The nodes of a state; a node that came later is not there. */
class NodesView implements ReadonlyMap<string, NodeState> {
  private readonly byNode: ReadonlyMap<string, readonly Held[]>
  private readonly at: number

  constructor(byNode: ReadonlyMap<string, readonly Held[]>, at: number) {
    this.byNode = byNode
    this.at = at
  }

  get(name: string): NodeState | undefined {
    const all = this.byNode.get(name)
    if (all === undefined || all[0].from > this.at) return undefined
    let low = 0
    let high = all.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (all[middle].from <= this.at) low = middle
      else high = middle - 1
    }
    return all[low].state
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  get size(): number {
    let size = 0
    for (const [, all] of this.byNode) if (all[0].from <= this.at) size++
    return size
  }

  *entries(): MapIterator<[string, NodeState]> {
    for (const name of this.byNode.keys()) {
      const state = this.get(name)
      if (state !== undefined) yield [name, state]
    }
  }

  *keys(): MapIterator<string> {
    for (const [name] of this.entries()) yield name
  }

  *values(): MapIterator<NodeState> {
    for (const [, state] of this.entries()) yield state
  }

  [Symbol.iterator](): MapIterator<[string, NodeState]> {
    return this.entries()
  }

  forEach(visit: (state: NodeState, name: string, map: ReadonlyMap<string, NodeState>) => void): void {
    for (const [name, state] of this.entries()) visit(state, name, this)
  }
}
