/**
 * Sets of small numbers (classes of ends): a sorted list while they are few, a bitset once that is the smaller. Immutable; a set of all numbers
 * below some bound is dense and finite, so that classes which come later are in no old set.
 */

/** Numbers a list may hold at most for each word of the bitset that would hold them. */
const LIST_PER_WORD = 1

export class ClassSet {
  static readonly empty = new ClassSet(new Int32Array(0), undefined, 0)

  readonly size: number
  /** Ascending; absent: `words` holds them. */
  private readonly list: Int32Array | undefined
  private readonly words: Int32Array | undefined

  private constructor(list: Int32Array | undefined, words: Int32Array | undefined, size: number) {
    this.list = list
    this.words = words
    this.size = size
  }

  /** @param ids ascending, each once; the array is kept */
  static ofSorted(ids: Int32Array): ClassSet {
    if (ids.length === 0) return ClassSet.empty
    const wordCount = (ids[ids.length - 1] >>> 5) + 1
    if (ids.length <= wordCount * LIST_PER_WORD) return new ClassSet(ids, undefined, ids.length)
    const words = new Int32Array(wordCount)
    for (const id of ids) words[id >>> 5] |= 1 << (id & 31)
    return new ClassSet(undefined, words, ids.length)
  }

  /** In any order, any number of times. */
  static of(ids: Iterable<number>): ClassSet {
    const sorted = Int32Array.from(ids).sort()
    let kept = 0
    for (let i = 0; i < sorted.length; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[kept++] = sorted[i]
    return ClassSet.ofSorted(kept === sorted.length ? sorted : sorted.slice(0, kept))
  }

  /** 0 up to, and without, the bound. */
  static below(bound: number): ClassSet {
    if (bound === 0) return ClassSet.empty
    const words = new Int32Array((bound + 31) >>> 5).fill(-1)
    if ((bound & 31) !== 0) words[words.length - 1] = (1 << (bound & 31)) - 1
    return new ClassSet(undefined, words, bound)
  }

  /** @param words are kept */
  private static ofWords(words: Int32Array): ClassSet {
    let size = 0
    let used = 0
    for (let i = 0; i < words.length; i++) {
      if (words[i] === 0) continue
      size += bitCount(words[i])
      used = i + 1
    }
    if (size === 0) return ClassSet.empty
    if (size > used * LIST_PER_WORD) return new ClassSet(undefined, used === words.length ? words : words.slice(0, used), size)
    return new ClassSet(listOf(words, size), undefined, size)
  }

  static union(sets: readonly ClassSet[]): ClassSet {
    if (sets.length === 0) return ClassSet.empty
    if (sets.length === 1) return sets[0]
    if (sets.length === 2) return sets[0].or(sets[1])
    let bound = 0
    for (const set of sets) bound = Math.max(bound, set.bound)
    const words = new Int32Array((bound + 31) >>> 5)
    for (const set of sets) set.setIn(words)
    return ClassSet.ofWords(words)
  }

  get isEmpty(): boolean {
    return this.size === 0
  }

  /** Above every member. */
  get bound(): number {
    if (this.words !== undefined) return this.words.length * 32
    const list = this.list as Int32Array
    return list.length === 0 ? 0 : list[list.length - 1] + 1
  }

  get isList(): boolean {
    return this.list !== undefined
  }

  has(id: number): boolean {
    const { list, words } = this
    if (words !== undefined) return id >>> 5 < words.length && ((words[id >>> 5] >>> (id & 31)) & 1) === 1
    return list !== undefined && list.length > 0 && list[lowerBound(list, id)] === id
  }

  and(other: ClassSet): ClassSet {
    if (this === other) return this
    if (this.size === 0 || other.size === 0) return ClassSet.empty
    if (this.list !== undefined && (other.list === undefined || this.size <= other.size)) return this.filtered(other, true)
    if (other.list !== undefined) return other.filtered(this, true)
    const [a, b] = [this.words as Int32Array, other.words as Int32Array]
    const words = new Int32Array(Math.min(a.length, b.length))
    for (let i = 0; i < words.length; i++) words[i] = a[i] & b[i]
    return ClassSet.ofWords(words)
  }

  minus(other: ClassSet): ClassSet {
    if (this === other) return ClassSet.empty
    if (this.size === 0 || other.size === 0) return this
    if (this.list !== undefined) return this.filtered(other, false)
    const words = (this.words as Int32Array).slice()
    if (other.list !== undefined) {
      for (const id of other.list) if (id >>> 5 < words.length) words[id >>> 5] &= ~(1 << (id & 31))
    } else {
      const b = other.words as Int32Array
      for (let i = Math.min(words.length, b.length) - 1; i >= 0; i--) words[i] &= ~b[i]
    }
    return ClassSet.ofWords(words)
  }

  or(other: ClassSet): ClassSet {
    if (this === other || other.size === 0) return this
    if (this.size === 0) return other
    if (this.list !== undefined && other.list !== undefined && this.size + other.size <= 64) return ClassSet.ofSorted(mergedLists(this.list, other.list))
    const words = new Int32Array((Math.max(this.bound, other.bound) + 31) >>> 5)
    this.setIn(words)
    other.setIn(words)
    return ClassSet.ofWords(words)
  }

  meets(other: ClassSet): boolean {
    if (this.size === 0 || other.size === 0) return false
    if (this === other) return true
    if (this.list !== undefined && (other.list === undefined || this.size <= other.size)) return this.list.some((id) => other.has(id))
    if (other.list !== undefined) return other.list.some((id) => this.has(id))
    const [a, b] = [this.words as Int32Array, other.words as Int32Array]
    for (let i = Math.min(a.length, b.length) - 1; i >= 0; i--) if ((a[i] & b[i]) !== 0) return true
    return false
  }

  equals(other: ClassSet): boolean {
    return this === other || (this.size === other.size && this.minus(other).isEmpty)
  }

  /** Ascending. */
  forEach(visit: (id: number) => void): void {
    if (this.list !== undefined) {
      for (let i = 0; i < this.list.length; i++) visit(this.list[i])
      return
    }
    const words = this.words as Int32Array
    for (let i = 0; i < words.length; i++) {
      for (let word = words[i]; word !== 0; word &= word - 1) visit(i * 32 + 31 - Math.clz32(word & -word))
    }
  }

  /** Ascending. */
  toArray(): Int32Array {
    return this.list ?? listOf(this.words as Int32Array, this.size)
  }

  /** Adds up a number for each member. */
  sum(weights: ClassWeights): number {
    let total = 0
    if (this.list !== undefined) {
      for (let i = 0; i < this.list.length; i++) total += weights.each[this.list[i]]
      return total
    }
    const words = this.words as Int32Array
    for (let i = 0; i < words.length; i++) {
      if (words[i] === -1) total += weights.ofWord[i]
      else for (let word = words[i]; word !== 0; word &= word - 1) total += weights.each[i * 32 + 31 - Math.clz32(word & -word)]
    }
    return total
  }

  private setIn(words: Int32Array): void {
    if (this.list !== undefined) {
      for (let i = 0; i < this.list.length; i++) words[this.list[i] >>> 5] |= 1 << (this.list[i] & 31)
      return
    }
    const own = this.words as Int32Array
    for (let i = 0; i < own.length; i++) words[i] |= own[i]
  }

  /** Of a list: its members that are in the other, or are not. */
  private filtered(other: ClassSet, inside: boolean): ClassSet {
    const list = this.list as Int32Array
    const found = new Int32Array(list.length)
    let count = 0
    for (let i = 0; i < list.length; i++) if (other.has(list[i]) === inside) found[count++] = list[i]
    return count === list.length ? this : ClassSet.ofSorted(found.slice(0, count))
  }
}

/** A number for each class, and their sums for each word of a bitset. */
export class ClassWeights {
  readonly each: Float64Array
  readonly ofWord: Float64Array

  constructor(each: Float64Array) {
    this.each = each
    this.ofWord = new Float64Array((each.length + 31) >>> 5)
    for (let i = 0; i < each.length; i++) this.ofWord[i >>> 5] += each[i]
  }
}

function bitCount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555)
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333)
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

function listOf(words: Int32Array, size: number): Int32Array {
  const list = new Int32Array(size)
  let count = 0
  for (let i = 0; i < words.length; i++) {
    for (let word = words[i]; word !== 0; word &= word - 1) list[count++] = i * 32 + 31 - Math.clz32(word & -word)
  }
  return list
}

/** Where the id is, or would be. */
function lowerBound(list: Int32Array, id: number): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (list[middle] < id) low = middle + 1
    else high = middle
  }
  return low
}

function mergedLists(a: Int32Array, b: Int32Array): Int32Array {
  const merged = new Int32Array(a.length + b.length)
  let count = 0
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    const next = j >= b.length || (i < a.length && a[i] <= b[j]) ? a[i++] : b[j++]
    if (count === 0 || merged[count - 1] !== next) merged[count++] = next
  }
  return merged.slice(0, count)
}
