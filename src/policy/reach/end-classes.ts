/**
 * The ends of a world by what policies can see of them: pods of equal namespace, labels, account and named ports whose addresses lie between
 * the same bounds of all named networks are one class; nodes and outside ranges likewise. Classes are numbered, and are never taken back: one
 * whose last end has gone stays, empty.
 */
import type { AddressRange } from '../address-range.js'
import { addressesOf } from '../conditions.js'
import { boundingRanges, Bounds } from '../change/diff-classes.js'
import type { End, OutsideRange, Policy, PolicyNamespace, PolicyNode, PolicyPod, PolicyWorld } from '../model.js'
import { rangesOf } from '../outside.js'

export interface EndClass {
  readonly id: number
  /** One of its ends as policies see it: a pod on the host's network may be a node here. */
  readonly representative: End
  /** The world as it was for its ends when the class came to be: a namespace that was relabelled since has other classes. */
  readonly view: PolicyWorld
  /** Which named ports the class has: equal numbers, equal ports; 0 for none. */
  readonly ports: number
  /** As the world has them. Changed by edits. */
  readonly ends: End[]
}

export class EndClasses {
  readonly all: EndClass[] = []
  readonly bounds: Bounds
  private readonly byKey = new Map<string, EndClass>()
  private readonly nodes: ReadonlyMap<string, PolicyNode>
  private readonly nodesWithHostEndpoint: ReadonlySet<string>
  private readonly portNumbers = new Map<string, number>([['', 0]])
  private readonly texts = new WeakMap<object, string>()
  private readonly world: PolicyWorld
  /** Of namespaces that were relabelled: as far as it goes for their pods. */
  private readonly views = new Map<string, PolicyWorld>()
  private readonly namespaceTexts = new Map<string, string>()

  /** @param ranges more networks to tell ends apart by */
  constructor(world: PolicyWorld, outside: readonly OutsideRange[], ranges: readonly AddressRange[]) {
    this.world = world
    this.bounds = new Bounds([...boundingRanges(world), ...subjectRanges(world), ...ranges])
    this.nodes = new Map(world.nodes.map((node) => [node.name, node]))
    this.nodesWithHostEndpoint = new Set(world.hostEndpoints.map(({ node }) => node))
    for (const ends of [world.pods, world.nodes, outside]) for (const end of ends) this.classOf(end, true).ends.push(end)
  }

  /** A namespace has other labels: pods of it that come from now on are seen so. */
  see(name: string, namespace: PolicyNamespace | undefined): void {
    this.views.set(name, { ...this.world, namespaces: new Map(namespace === undefined ? [] : [[name, namespace]]) })
    this.namespaceTexts.delete(name)
  }

  /** As asSeen (conditions.ts) says. */
  seen(end: End): End {
    if (end.kind !== 'pod' || !end.hostNetwork || this.world.switches.hostNetwork === 'pod') return end
    const node = end.node === undefined ? undefined : this.nodes.get(end.node)
    return node ?? { kind: 'node', name: end.node ?? '', labels: {}, addresses: end.addresses }
  }

  hasHostEndpoint(node: string): boolean {
    return this.nodesWithHostEndpoint.has(node)
  }

  /** Are ends told apart at the bounds of every network that the policy names? */
  tellsApart({ subject, ingress, egress }: Policy): boolean {
    const rules = [...ingress, ...egress]
    const conditions = [...subject, ...rules.flatMap(({ local, peers }) => [...local, ...peers.flatMap((peer) => peer.conditions)])]
    const ranges = conditions.flatMap((condition) => rangesOf(condition, this.world))
    return ranges.every(({ family, first, last }) => {
      const cells = this.bounds.cells[family]
      const [from, to] = [first, last].map((address) => cells[this.bounds.cellOf({ family, first: address, last: address })])
      return from.first === first && to.last === last
    })
  }

  /** The class of such an end, which need not be one of the world's; undefined: no class has such ends. */
  find(end: End): EndClass | undefined {
    return this.classOf(end, false)
  }

  /** The class of such an end, a new and empty one where none has such ends. */
  findOrMake(end: End): EndClass {
    return this.classOf(end, true)
  }

  private classOf(end: End, make: true): EndClass
  private classOf(end: End, make: boolean): EndClass | undefined
  private classOf(end: End, make: boolean): EndClass | undefined {
    const seen = this.seen(end)
    const ports = seen.kind === 'pod' ? this.portsText(seen) : ''
    const key = this.key(seen, ports)
    const found = this.byKey.get(key)
    if (found !== undefined || !make) return found
    const made: EndClass = {
      id: this.all.length,
      representative: seen,
      view: seen.kind === 'pod' ? this.viewOf(seen.namespace) : this.world,
      ports: this.portsNumber(ports),
      ends: [],
    }
    this.all.push(made)
    this.byKey.set(key, made)
    return made
  }

  private key(end: End, ports: string): string {
    const cells = addressesOf(end)
      .map((range) => this.cellText(range))
      .sort()
      .join(',')
    if (end.kind === 'outside') return `outside\n${cells}`
    if (end.kind === 'node') return `node\n${cells}\n${this.hasHostEndpoint(end.name) ? end.name : ''}\n${this.labelsText(end.labels)}`
    return `pod\n${this.namespaceText(end.namespace)}\n${end.serviceAccount}\n${cells}\n${ports}\n${this.labelsText(end.labels)}`
  }

  private cellText({ family, first, last }: { readonly family: 4 | 6; readonly first: bigint; readonly last: bigint }): string {
    const cell = this.bounds.cellOf({ family, first, last })
    if (first === last) return `${family}:${cell}`
    const end = this.bounds.cellOf({ family, first: last, last })
    return end === cell ? `${family}:${cell}` : `${family}:${cell}-${end}`
  }

  private viewOf(namespace: string): PolicyWorld {
    return this.views.get(namespace) ?? this.world
  }

  private namespaceText(namespace: string): string {
    let text = this.namespaceTexts.get(namespace)
    if (text === undefined) {
      text = `${namespace}\n${this.labelsText(this.viewOf(namespace).namespaces.get(namespace)?.labels ?? {})}`
      this.namespaceTexts.set(namespace, text)
    }
    return text
  }

  /** The pods of a workload often share the object: written once. */
  private labelsText(labels: Readonly<Record<string, string>>): string {
    let text = this.texts.get(labels)
    if (text === undefined) {
      text = ''
      // with its length before it, no text can pass for two
      for (const key of Object.keys(labels).sort()) text += `${key.length}:${key}${labels[key].length}:${labels[key]}`
      this.texts.set(labels, text)
    }
    return text
  }

  private portsText({ ports }: PolicyPod): string {
    if (ports.length === 0) return ''
    let text = this.texts.get(ports)
    if (text === undefined) {
      const named = ports.filter(({ name }) => name !== undefined).map(({ name, protocol, port }) => `${name as string}/${protocol}/${port}`)
      this.texts.set(ports, (text = [...new Set(named)].sort().join(',')))
    }
    return text
  }

  private portsNumber(text: string): number {
    let number = this.portNumbers.get(text)
    if (number === undefined) this.portNumbers.set(text, (number = this.portNumbers.size))
    return number
  }
}

/** Of subjects too, where a dialect selects by addresses. */
function subjectRanges(world: PolicyWorld): readonly AddressRange[] {
  return world.tiers.flatMap(({ policies }) => policies.flatMap(({ subject }) => subject.flatMap((condition) => rangesOf(condition, world))))
}
