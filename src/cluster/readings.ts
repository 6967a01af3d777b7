/**
 * What readers made of objects: a state that was edited is read again, and of an object that is the same everything is the same, what is wrong
 * with it, too. Readers look at their object alone.
 */
import type { Reader } from './calico/calico-resources.js'
import type { KubernetesObject } from './manifest.js'
import { ProblemList } from './problem-list.js'
import type { Problem } from '../base/problem.js'

interface Reading {
  readonly value: unknown
  readonly problems: readonly Problem[]
}

const NOTHING_WRONG: readonly Problem[] = []

export class Readings {
  private readonly known = new Map<Reader<unknown>, Map<KubernetesObject, Reading>>()
  private readonly lists = new Map<string, readonly [of: readonly object[], made: Reading]>()

  /** @param reader one that stays: by it and the object the reading is known again */
  read<Item>(reader: Reader<Item>, object: KubernetesObject, problems: ProblemList): Item | undefined {
    let byObject = this.known.get(reader)
    if (byObject === undefined) this.known.set(reader, (byObject = new Map<KubernetesObject, Reading>()))
    let reading = byObject.get(object)
    if (reading === undefined) byObject.set(object, (reading = readingOf((list) => reader(object, list))))
    return told(reading, problems) as Item | undefined
  }

  /** What is made of a list as a whole, under a name of its own: known again where the list has the same members. */
  ofList<Made>(name: string, of: readonly object[], problems: ProblemList, make: (problems: ProblemList) => Made): Made {
    const earlier = this.lists.get(name)
    if (earlier !== undefined && isSame(earlier[0], of)) return told(earlier[1], problems) as Made
    const reading = readingOf(make)
    this.lists.set(name, [of, reading])
    return told(reading, problems) as Made
  }
}

function readingOf(make: (problems: ProblemList) => unknown): Reading {
  const list = new ProblemList()
  const value = make(list)
  return { value, problems: list.problems.length === 0 ? NOTHING_WRONG : list.problems }
}

function told({ value, problems }: Reading, into: ProblemList): unknown {
  for (const problem of problems) into.problems.push(problem)
  return value
}

function isSame(some: readonly object[], others: readonly object[]): boolean {
  return some.length === others.length && some.every((one, index) => one === others[index])
}
