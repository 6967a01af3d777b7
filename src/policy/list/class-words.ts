/** What the pods of some classes have in common, in the words that policies ask for: `tier=web in 500 namespaces with team=team-3`. */
import { sharedOf } from '../change/diff-classes.js'
import type { PolicyWorld } from '../model.js'
import { spanText } from '../peer-name.js'
import type { ClassSet } from '../reach/class-set.js'
import type { ClassMap, MapClass } from './class-map.js'

interface Common {
  readonly pods: number
  /** Name of a pod among them. */
  readonly example: string
  readonly namespaces: ReadonlySet<string>
  /** `key=value`, of every pod, and of every namespace. */
  readonly labels: ReadonlySet<string>
  readonly namespaceLabels: ReadonlySet<string>
  readonly ranges: readonly string[]
}

const MOST_RANGES = 2
/** A label that names its namespace says no more than the name. */
const NAMESPACE_NAME = 'kubernetes.io/metadata.name'

export class ClassWords {
  private readonly classes: readonly MapClass[]
  private readonly asked: ReadonlySet<string>
  private readonly world: PolicyWorld
  private readonly known = new Map<number, Common>()

  constructor({ classes }: Pick<ClassMap, 'classes'>, world: PolicyWorld) {
    this.classes = classes
    this.world = world
    this.asked = sharedOf([world]).asked
  }

  of(set: ClassSet): { readonly text: string; readonly pods: number } {
    const common = merged([...set.toArray()].map((at) => this.common(at)))
    return { text: textOf(common), pods: common.pods }
  }

  /** Labels and namespaces of one class, for whoever reads lines. */
  common(at: number): Common {
    let found = this.known.get(at)
    if (found === undefined) this.known.set(at, (found = this.made(this.classes[at])))
    return found
  }

  private made({ pods, outside }: MapClass): Common {
    const namespaces = new Set(pods.map(({ namespace }) => namespace))
    const [first] = pods
    return {
      pods: pods.length,
      example: pods.length === 0 ? '' : `${first.namespace}/${first.name}`,
      namespaces,
      labels: shared(distinct(pods.map(({ labels }) => labels)).map((labels) => this.askedOf(labels))),
      namespaceLabels: shared([...namespaces].map((name) => this.askedOf(this.world.namespaces.get(name)?.labels ?? {}))),
      ranges: outside.map(({ range }) => spanText(range)),
    }
  }

  private askedOf(labels: Readonly<Record<string, string>>): ReadonlySet<string> {
    const words = Object.entries(labels).filter(([key]) => this.asked.has(key) && key !== NAMESPACE_NAME)
    return new Set(words.map(([key, value]) => `${key}=${value}`))
  }
}

function distinct<Item>(items: readonly Item[]): readonly Item[] {
  return [...new Set(items)]
}

function shared(sets: readonly ReadonlySet<string>[]): ReadonlySet<string> {
  const [first = new Set<string>(), ...others] = distinct(sets)
  return new Set([...first].filter((word) => others.every((other) => other.has(word))))
}

function merged(all: readonly Common[]): Common {
  const inside = all.filter(({ pods }) => pods > 0)
  return {
    pods: inside.reduce((sum, { pods }) => sum + pods, 0),
    example: inside.at(0)?.example ?? '',
    namespaces: new Set(inside.flatMap(({ namespaces }) => [...namespaces])),
    labels: shared(inside.map(({ labels }) => labels)),
    namespaceLabels: shared(inside.map(({ namespaceLabels }) => namespaceLabels)),
    ranges: all.flatMap(({ ranges }) => ranges),
  }
}

function textOf({ pods, example, namespaces, labels, namespaceLabels, ranges }: Common): string {
  const outside = ranges.length > MOST_RANGES ? `${ranges.length} ranges outside, ${ranges[0]} first` : ranges.map((range) => `${range} outside`).join(', ')
  if (pods === 0) return outside
  const [name] = namespaces
  const where = namespaces.size === 1 ? `in ${name}` : `in ${namespaces.size} namespaces`
  const like = namespaces.size > 1 && namespaceLabels.size > 0 ? ` with ${[...namespaceLabels].join(',')}` : ''
  const inside = pods === 1 ? example : `${labels.size === 0 ? 'pods' : [...labels].join(',')} ${where}${like}`
  return outside === '' ? inside : `${inside}; ${outside}`
}
