/** Names in a kernel for what netsim calls otherwise: network namespaces, switches and their ports. */
import type { LabNetwork } from './lab-types.js'

/** A device's index, the same nowhere else in a lab: a veth whose peer has its own index in another netns comes up a second late (dev_get_iflink). */
export class Indexes {
  private last = 9

  next(): number {
    return ++this.last
  }
}

export interface LabNames {
  /** A Dataplane's netns → the namespace's name. */
  readonly netns: ReadonlyMap<string, string>
  /** A segment → the namespace of its switch. */
  readonly segments: ReadonlyMap<string, string>
  /** Where cables end that lead nowhere. */
  readonly nowhere: string
}

/** All begin with the prefix, no two are equal, and each is a file's name. */
export function labNames({ specs, segments }: Pick<LabNetwork, 'specs' | 'segments'>, prefix: string): LabNames {
  const taken = new Set<string>()
  const fresh = (wanted: string): string => {
    const base = (prefix + wanted.replace(/[^A-Za-z0-9_-]/g, '.')).slice(0, 200)
    let name = base
    for (let i = 2; taken.has(name); i++) name = `${base}.${i}`
    taken.add(name)
    return name
  }
  return {
    netns: new Map(specs.map(({ dataplane }) => [dataplane.netns, fresh(dataplane.netns)])),
    segments: new Map(segments.map(({ name }) => [name, fresh(`segment-${name}`)])),
    nowhere: fresh('nowhere'),
  }
}
