/**
 * Conditions over all classes at once: which classes meet this one? Found from lists by label, namespace, account and network, each distinct
 * condition once; `holds` (conditions.ts) is the meaning, and what few classes the lists do not cover are asked by it.
 */
import type { Labels } from '../../cluster/labels.js'
import type { SelectorNode } from '../../cluster/selector.js'
import { matchesCalicoSelector, type Selector } from '../../cluster/selector.js'
import { EVERY_IPV4, EVERY_IPV6, type AddressRange } from '../address-range.js'
import { ClassSet } from './class-set.js'
import { addressesOf, holds, type Reading } from '../conditions.js'
import type { EndClass, EndClasses } from './end-classes.js'
import { endpointLabels } from '../endpoint-labels.js'
import { LabelIndex } from './label-index.js'
import type { Condition, PolicyPod, PolicyWorld } from '../model.js'

const NO_LABELS: Labels = {}

/** Equal texts: the same condition, wherever it is written. */
export function conditionKey(condition: Condition): string {
  switch (condition.kind) {
    case 'namespace':
      return `namespace ${condition.name}`
    case 'labels':
      return `labels ${condition.of} ${condition.selector.text}`
    case 'notLabels':
      return `notLabels ${condition.of} ${condition.selector.text}`
    case 'serviceAccounts':
      return `serviceAccounts ${JSON.stringify(condition.names)}`
    case 'networks':
      return `networks ${condition.podsToo === true ? 'of pods too ' : ''}${rangesText(condition.include)} except ${rangesText(condition.exclude)}`
    case 'service':
      return `service ${condition.namespace}/${condition.name}`
    case 'never':
      return 'never'
  }
}

function rangesText(ranges: readonly AddressRange[]): string {
  return ranges.map(({ family, first, last }) => `${family}:${first}-${last}`).join(',')
}

/** Does the condition hold of the ends of a class? */
export function holdsOf(condition: Condition, { representative, view }: EndClass): boolean {
  const reading: Reading = { world: view, assumed: new Set() }
  return holds(condition, representative, reading)
}

interface Namespace {
  readonly name: string
  readonly classes: number[]
}

export class ConditionIndex {
  private readonly classes: EndClasses
  private readonly world: PolicyWorld
  private readonly podLabels = new LabelIndex()
  private endpoints: LabelIndex | undefined
  /** Of namespaces, by their place in `namespaces`. */
  private readonly namespaceLabels = new LabelIndex()
  /** A namespace whose labels changed has a second entry. */
  private readonly namespaces: Namespace[] = []
  private readonly namespaceOfLabels = new Map<string, Map<Labels, Namespace>>()
  private readonly accounts = new Map<string, number[]>()
  private readonly pods: number[] = []
  private readonly nodes: number[] = []
  /** Classes by the cell that holds an address of theirs: `4:17`. */
  private readonly cells = new Map<string, { readonly range: AddressRange; readonly classes: number[] }>()
  private readonly withoutAddress: number[] = []
  /** Whose addresses span cells: each is asked. */
  private readonly irregular: EndClass[] = []
  private sortedCells: Readonly<Record<4 | 6, readonly SortedCell[]>> | undefined
  private known = new Map<string, ClassSet>()
  private added = 0

  constructor(classes: EndClasses, world: PolicyWorld) {
    this.classes = classes
    this.world = world
    this.addNewClasses()
  }

  /** Takes in the classes that have come since. */
  addNewClasses(): void {
    if (this.added === this.classes.all.length) return
    this.known = new Map()
    this.sortedCells = undefined
    for (; this.added < this.classes.all.length; this.added++) this.add(this.classes.all[this.added])
  }

  /** Classes of pods of a namespace, ascending. */
  ofNamespace(name: string): Int32Array {
    const entries = this.namespaceOfLabels.get(name)
    if (entries === undefined) return new Int32Array(0)
    return Int32Array.from([...entries.values()].flatMap(({ classes }) => classes)).sort()
  }

  /** @param key conditionKey of the condition */
  setOf(condition: Condition, key: string): ClassSet {
    let set = this.known.get(key)
    if (set === undefined) this.known.set(key, (set = this.find(condition)))
    return set
  }

  private add(one: EndClass): void {
    const { id, representative: end } = one
    if (end.kind === 'node') this.nodes.push(id)
    if (end.kind === 'pod') {
      this.pods.push(id)
      this.podLabels.add(id, end.labels)
      this.endpoints?.add(id, endpointLabels(end, one.view))
      this.namespaceEntry(end, one.view).classes.push(id)
      const account = this.accounts.get(end.serviceAccount)
      if (account === undefined) this.accounts.set(end.serviceAccount, [id])
      else account.push(id)
    }
    this.addAddresses(one)
  }

  private addAddresses(one: EndClass): void {
    const addresses = addressesOf(one.representative)
    if (addresses.length === 0) this.withoutAddress.push(one.id)
    const cells = addresses.map(({ family, first, last }) => {
      const cell = this.classes.bounds.cellOf({ family, first, last })
      return this.classes.bounds.cellOf({ family, first: last, last }) === cell ? `${family}:${cell}` : undefined
    })
    if (cells.includes(undefined)) {
      this.irregular.push(one)
      return
    }
    cells.forEach((key, index) => {
      const found = this.cells.get(key as string)
      if (found === undefined) this.cells.set(key as string, { range: addresses[index], classes: [one.id] })
      else if (found.classes[found.classes.length - 1] !== one.id) found.classes.push(one.id)
    })
  }

  private namespaceEntry({ namespace }: PolicyPod, view: PolicyWorld): Namespace {
    const labels = view.namespaces.get(namespace)?.labels ?? NO_LABELS
    let entries = this.namespaceOfLabels.get(namespace)
    if (entries === undefined) this.namespaceOfLabels.set(namespace, (entries = new Map<Labels, Namespace>()))
    let entry = entries.get(labels)
    if (entry === undefined) {
      entry = { name: namespace, classes: [] }
      entries.set(labels, entry)
      this.namespaceLabels.add(this.namespaces.push(entry) - 1, labels)
    }
    return entry
  }

  private find(condition: Condition): ClassSet {
    switch (condition.kind) {
      case 'namespace':
        return ClassSet.ofSorted(this.ofNamespace(condition.name))
      case 'labels':
        return this.labelled(condition.of, condition.selector)
      case 'notLabels':
        return ClassSet.below(this.classes.all.length).minus(this.labelled('endpoint', condition.selector))
      case 'serviceAccounts':
        return ClassSet.of(condition.names.flatMap((name) => this.accounts.get(name) ?? []))
      case 'networks':
        return this.inNetworks(condition)
      case 'service': {
        const services = this.world.services.filter(({ namespace, name }) => namespace === condition.namespace && name === condition.name)
        return this.withAddressIn(
          services.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)),
          condition,
        )
      }
      case 'never':
        return ClassSet.empty
    }
  }

  private labelled(of: Extract<Condition, { kind: 'labels' }>['of'], selector: Selector): ClassSet {
    switch (of) {
      case 'pod':
        return this.podLabels.select(selector.root)
      case 'namespace':
        return ClassSet.of([...this.namespaceLabels.select(selector.root).toArray()].flatMap((entry) => this.namespaces[entry].classes))
      case 'endpoint':
        return this.endpointsLabelled(selector)
      case 'endpointItself':
        return this.endpointIndex(selector.root).or(this.nodesLabelled(of, selector))
      case 'node':
        return this.nodesLabelled(of, selector)
      case 'serviceAccount': {
        const condition: Condition = { kind: 'labels', of, selector, words: '', file: '', line: 0 }
        return ClassSet.of(this.pods.filter((id) => holdsOf(condition, this.classes.all[id])))
      }
    }
  }

  private nodesLabelled(of: 'node' | 'endpoint' | 'endpointItself', selector: Selector): ClassSet {
    const condition: Condition = { kind: 'labels', of, selector, words: '', file: '', line: 0 }
    return ClassSet.of(this.nodes.filter((id) => holdsOf(condition, this.classes.all[id])))
  }

  private endpointsLabelled(selector: Selector): ClassSet {
    const condition: Condition = { kind: 'labels', of: 'endpoint', selector, words: '', file: '', line: 0 }
    const sets = this.world.networkSets.filter(({ labels }) => matchesCalicoSelector(selector, labels))
    return ClassSet.union([
      this.endpointIndex(selector.root),
      this.nodesLabelled('endpoint', selector),
      this.withAddressIn(
        sets.flatMap(({ ranges }) => ranges),
        condition,
      ),
    ])
  }

  private endpointIndex(root: SelectorNode): ClassSet {
    if (this.endpoints === undefined) {
      this.endpoints = new LabelIndex()
      for (const id of this.pods) {
        const { representative, view } = this.classes.all[id]
        this.endpoints.add(id, endpointLabels(representative as PolicyPod, view))
      }
    }
    return this.endpoints.select(root)
  }

  private inNetworks(condition: Extract<Condition, { kind: 'networks' }>): ClassSet {
    const known = this.withAddressIn(condition.include, condition)
    const withoutAddress = ClassSet.ofSorted(Int32Array.from(this.withoutAddress))
    const isOutsideOnly = this.world.switches.ipBlock === 'outside-only' && condition.podsToo !== true
    const pods = isOutsideOnly ? ClassSet.ofSorted(Int32Array.from(this.pods)) : ClassSet.empty
    // of those without an address, one is as good as another
    const unknown = withoutAddress.minus(pods)
    const [first] = unknown.toArray()
    const everybody = first !== undefined && holdsOf(condition, this.classes.all[first]) ? known.or(unknown) : known
    return everybody.minus(pods)
  }

  /** @param condition says it of those whose addresses span several cells; a cell lies wholly in a named network, or wholly out of it */
  private withAddressIn(ranges: readonly AddressRange[], condition: Condition): ClassSet {
    const isNetworks = condition.kind === 'networks'
    const include = isNetworks && ranges.length === 0 ? [EVERY_IPV4, EVERY_IPV6] : ranges
    const sets: ClassSet[] = []
    for (const family of [4, 6] as const) {
      const cells = this.cellsOf(family)
      const chosen = new Uint8Array(cells.length)
      const mark = (named: readonly AddressRange[], value: number): void => {
        for (const { family: of, first, last } of named) {
          if (of === family) chosen.fill(value, cellsBefore(cells, first), cellsBefore(cells, last + 1n))
        }
      }
      mark(include, 1)
      if (isNetworks) mark(condition.exclude, 0)
      for (let i = chosen.indexOf(1); i >= 0; i = chosen.indexOf(1, i + 1)) sets.push(cells[i].set)
    }
    const irregular = this.irregular.filter((one) => holdsOf(condition, one)).map(({ id }) => id)
    return ClassSet.union([...sets, ClassSet.of(irregular)])
  }

  /** In the order of their addresses. */
  private cellsOf(family: 4 | 6): readonly SortedCell[] {
    if (this.sortedCells === undefined) {
      const cells = Array.from(this.cells.values(), ({ range, classes }) => ({ family: range.family, first: range.first, set: ClassSet.of(classes) }))
      cells.sort((a, b) => (a.first < b.first ? -1 : 1))
      this.sortedCells = { 4: cells.filter((cell) => cell.family === 4), 6: cells.filter((cell) => cell.family === 6) }
    }
    return this.sortedCells[family]
  }
}

interface SortedCell {
  readonly family: 4 | 6
  /** Some address of it that an end has. */
  readonly first: bigint
  readonly set: ClassSet
}

/** How many cells lie below an address. */
function cellsBefore(cells: readonly SortedCell[], address: bigint): number {
  let low = 0
  let high = cells.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (cells[middle].first < address) low = middle + 1
    else high = middle
  }
  return low
}
