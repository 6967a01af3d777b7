/** Who has which labels: finds what a selector selects from lists of those that have a key and a value, never asking each one. */
import { ClassSet } from './class-set.js'
import type { Labels } from '../../cluster/labels.js'
import type { SelectorNode } from '../../cluster/selector.js'

interface Postings {
  readonly ids: number[]
  /** Made when asked for; stale once ids come. */
  set: ClassSet | undefined
}

interface KeyPostings extends Postings {
  readonly values: Map<string, Postings>
}

export class LabelIndex {
  private readonly keys = new Map<string, KeyPostings>()
  private readonly everybody: Postings = { ids: [], set: undefined }

  /** @param id above every id before it */
  add(id: number, labels: Labels): void {
    put(this.everybody, id)
    for (const key of Object.keys(labels)) {
      let postings = this.keys.get(key)
      if (postings === undefined) this.keys.set(key, (postings = { ids: [], set: undefined, values: new Map() }))
      put(postings, id)
      let ofValue = postings.values.get(labels[key])
      if (ofValue === undefined) postings.values.set(labels[key], (ofValue = { ids: [], set: undefined }))
      put(ofValue, id)
    }
  }

  get all(): ClassSet {
    return setOf(this.everybody)
  }

  /** As matchesCalicoSelector says of each. */
  select(node: SelectorNode): ClassSet {
    switch (node.kind) {
      case 'all':
      case 'global':
        return this.all
      case 'has':
        return setOf(this.keys.get(node.label))
      case 'compare':
        return this.compare(node)
      case 'in':
        return this.withValues(node.label, node.values)
      case 'not in':
        return this.all.minus(this.withValues(node.label, node.values))
      case 'not':
        return this.all.minus(this.select(node.operand))
      case 'and':
        return node.operands.reduce((found, operand) => (found.isEmpty ? found : found.and(this.select(operand))), this.all)
      case 'or':
        return ClassSet.union(node.operands.map((operand) => this.select(operand)))
    }
  }

  private compare({ label, operator, value }: Extract<SelectorNode, { kind: 'compare' }>): ClassSet {
    switch (operator) {
      case '==':
        return this.withValues(label, [value])
      case '!=':
        return this.all.minus(this.withValues(label, [value]))
      case 'contains':
        return this.whereValue(label, (own) => own.includes(value))
      case 'starts with':
        return this.whereValue(label, (own) => own.startsWith(value))
      case 'ends with':
        return this.whereValue(label, (own) => own.endsWith(value))
    }
  }

  private withValues(label: string, values: readonly string[]): ClassSet {
    const postings = this.keys.get(label)
    return postings === undefined ? ClassSet.empty : ClassSet.union(values.map((value) => setOf(postings.values.get(value))))
  }

  private whereValue(label: string, holds: (value: string) => boolean): ClassSet {
    const postings = this.keys.get(label)
    return postings === undefined ? ClassSet.empty : ClassSet.union([...postings.values].filter(([value]) => holds(value)).map(([, found]) => setOf(found)))
  }
}

function put(postings: Postings, id: number): void {
  postings.ids.push(id)
  postings.set = undefined
}

function setOf(postings: Postings | undefined): ClassSet {
  return postings === undefined ? ClassSet.empty : (postings.set ??= ClassSet.ofSorted(Int32Array.from(postings.ids)))
}
