/** Values by prefix, in the order in which they came: of each entry one integer and one reference, since thousands of daemons know thousands of prefixes. */
import type { Cidr } from '../../base/cidr.js'
import type { PrefixIds } from './prefix-ids.js'

/** Entries that are gone are closed up once they are more than these, and more than what is left. */
const HOLES_MIN = 16
const FIRST_SIZE = 16

export class PrefixMap<T> {
  private readonly ids: PrefixIds
  /** By number of the prefix: its place in `entries`, plus 1. */
  private places = new Int32Array(FIRST_SIZE)
  private readonly entries: (T | undefined)[] = []
  size = 0

  constructor(ids: PrefixIds) {
    this.ids = ids
  }

  get(prefix: Cidr): T | undefined {
    const id = this.ids.find(prefix)
    return id === undefined ? undefined : this.at(id)
  }

  /** @param id the prefix's number */
  at(id: number): T | undefined {
    return id < this.places.length && this.places[id] > 0 ? this.entries[this.places[id] - 1] : undefined
  }

  /** One that has a value keeps its place in the order. */
  set(id: number, value: T): void {
    if (id >= this.places.length) this.grow(id)
    if (this.places[id] === 0) {
      this.places[id] = this.entries.push(value)
      this.size++
    } else this.entries[this.places[id] - 1] = value
  }

  delete(id: number): boolean {
    if (id >= this.places.length || this.places[id] === 0) return false
    this.entries[this.places[id] - 1] = undefined
    this.places[id] = 0
    this.size--
    if (this.entries.length - this.size > Math.max(HOLES_MIN, this.size)) this.closeUp()
    return true
  }

  /** As wide as all prefixes known by now want it, with some room. */
  private grow(id: number): void {
    const wider = new Int32Array(Math.max(id + 1 + (id >> 3), FIRST_SIZE, this.ids.size))
    wider.set(this.places)
    this.places = wider
  }

  private closeUp(): void {
    const byPlace = this.idsByPlace()
    let kept = 0
    for (let place = 0; place < byPlace.length; place++) {
      if (byPlace[place] < 0) continue
      this.entries[kept] = this.entries[place]
      this.places[byPlace[place]] = ++kept
    }
    this.entries.length = kept
  }

  /** Of each place the prefix's number; below 0: nothing is there any more. */
  private idsByPlace(): Int32Array {
    const byPlace = new Int32Array(this.entries.length).fill(-1)
    for (let id = 0; id < this.places.length; id++) if (this.places[id] > 0) byPlace[this.places[id] - 1] = id
    return byPlace
  }

  /** The longest prefixes first, those of one length as they came. */
  values(): T[] {
    const byLength: T[][] = []
    const { prefixes } = this.ids
    const byPlace = this.idsByPlace()
    for (let place = 0; place < byPlace.length; place++) {
      if (byPlace[place] >= 0) (byLength[32 - prefixes[byPlace[place]].length] ??= []).push(this.entries[place] as T)
    }
    return byLength.flat()
  }
}
