/** The map by class against every pair of pods, one by one, in random worlds. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { evaluatePair } from '../../src/policy/evaluate.js'
import { classMap, type ClassMap, type ClassRow } from '../../src/policy/list/class-map.js'
import { isNamed, isWanted, type ListOptions, type ListPeer } from '../../src/policy/list/list.js'
import type { PolicyPod, PolicyWorld } from '../../src/policy/model.js'
import { outsideRanges } from '../../src/policy/outside.js'
import { Draw, randomWorld } from './random-world.js'

const RUNS = Number(process.env.RUNS ?? 60)
const EVERYBODY: ListOptions = { focus: [], focusPeer: [] }

function livingPods({ pods }: PolicyWorld): readonly PolicyPod[] {
  return pods.filter(({ imagined }) => !imagined)
}

const nameOf = ({ namespace, name }: PolicyPod): string => `${namespace}/${name}`

/** Of all pairs that are let through something: how many have what. */
function counted({ rows, ownNode }: ClassMap): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { connections, pairs } of [...rows(), ...ownNode]) if (pairs > 0) counts[connections.key] = (counts[connections.key] ?? 0) + pairs
  return counts
}

function naive(world: PolicyWorld): Record<string, number> {
  const counts: Record<string, number> = {}
  const pods = livingPods(world)
  for (const source of pods) {
    for (const destination of pods) {
      const { allowed } = evaluatePair(world, source, destination)
      if (source !== destination && !allowed.isEmpty) counts[allowed.key] = (counts[allowed.key] ?? 0) + 1
    }
  }
  return counts
}

/** `from → to: connections`, pod by pod and outside; pods of one node on the network of their host aside, which no row speaks of. */
function pairsOf(map: ClassMap, rows: Iterable<ClassRow>): string[] {
  const found: string[] = []
  const endsOf = (set: ClassRow['sources']): string[] =>
    [...set.toArray()].flatMap((at) => [...map.classes[at].pods.map(nameOf), ...map.classes[at].outside.map(({ range }) => `outside ${range.first}`)])
  for (const { sources, destinations, connections } of rows) {
    for (const from of endsOf(sources)) for (const to of endsOf(destinations)) if (from !== to) found.push(`${from} → ${to}: ${connections.key}`)
  }
  return found.sort()
}

const isPlain = ({ pods }: PolicyWorld): boolean => pods.every(({ hostNetwork }) => !hostNetwork)

describe('classMap', () => {
  it('counts the pairs of pods that pair by pair have the same', () => {
    fc.assert(
      fc.property(fc.nat(1e9), (seed) => {
        const { world } = randomWorld(new Draw(seed))
        expect(counted(classMap(world, EVERYBODY))).toEqual(naive(world))
      }),
      { numRuns: RUNS },
    )
  })

  it('puts each pod into one class, and each pair into one row at most, outside too', () => {
    let looked = 0
    fc.assert(
      fc.property(fc.nat(1e9), (seed) => {
        const { world } = randomWorld(new Draw(seed))
        if (!isPlain(world)) return
        looked++
        const map = classMap(world, EVERYBODY)
        expect(map.classes.flatMap(({ pods }) => pods.map(nameOf)).sort()).toEqual(livingPods(world).map(nameOf).sort())
        const expected: string[] = []
        const pods = livingPods(world)
        const outside = outsideRanges(world)
        const note = (source: PolicyPod | (typeof outside)[number], destination: typeof source): void => {
          const { allowed } = evaluatePair(world, source, destination)
          const word = (end: typeof source): string => (end.kind === 'pod' ? nameOf(end) : `outside ${end.range.first}`)
          if (source !== destination && !allowed.isEmpty) expected.push(`${word(source)} → ${word(destination)}: ${allowed.key}`)
        }
        for (const pod of pods) {
          for (const other of pods) note(pod, other)
          for (const range of outside) {
            note(pod, range)
            note(range, pod)
          }
        }
        // at the bounds of sets of networks that no rule asks for the map cuts too: those ranges are looked at by their first address
        const starts = new Set(outside.map(({ range }) => `outside ${range.first}`))
        const known = (line: string): boolean => [...line.matchAll(/outside \d+/g)].every(([word]) => starts.has(word))
        expect(pairsOf(map, map.rows()).filter(known)).toEqual(expected.sort())
      }),
      { numRuns: RUNS * 3 },
    )
    expect(looked).toBeGreaterThan(0)
  })

  it('with a focus: the rows of all that are of classes in focus, each once', () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.constantFrom('ingress', 'egress', undefined), fc.boolean(), (seed, direction, isPeer) => {
        const { world } = randomWorld(new Draw(seed))
        const [one, , two = one] = livingPods(world)
        if (one === undefined) return
        const name = (pod: PolicyPod): string => `${pod.namespace}/${pod.workload.name}`
        const asked: ListOptions = {
          focus: [name(one), name(two)],
          focusPeer: isPeer ? [name(livingPods(world).at(-1) ?? one)] : [],
          ...(direction === undefined ? {} : { direction }),
        }
        const [whole, map] = [classMap(world, EVERYBODY), classMap(world, asked)]
        expect(map.unknown).toEqual([])
        const peerOf = new Map<string, ListPeer>()
        for (const { pods, outside } of whole.classes) {
          // a class is in focus with any of its pods, and goes by its name then
          const named = (names: readonly string[]): boolean => names.length > 0 && pods.some((pod) => isNamed({ ...pod, name: pod.workload.name }, names))
          const words = [...(named(asked.focus) ? ['focus'] : []), ...(named(asked.focusPeer) ? ['peer'] : [])]
          const peer: ListPeer = { text: '', kind: 'workload', namespace: '', name: words[0] ?? '', deployment: words.at(-1) ?? '', workloadKind: '' }
          for (const end of [...pods.map(nameOf), ...outside.map(({ range }) => `outside ${range.first}`)]) peerOf.set(end, peer)
        }
        const wanted = { ...asked, focus: ['focus'], focusPeer: isPeer ? ['peer'] : [] }
        const isAsked = (line: string): boolean => {
          const [, from, to] = /^(.*) → (.*): /.exec(line) as unknown as readonly [string, string, string]
          return isWanted(peerOf.get(from) as ListPeer, peerOf.get(to) as ListPeer, wanted)
        }
        expect(pairsOf(map, map.rows())).toEqual(pairsOf(whole, whole.rows()).filter(isAsked))
      }),
      { numRuns: RUNS * 2 },
    )
  })

  it('says which names of a focus nothing has', () => {
    const { world } = randomWorld(new Draw(3))
    expect(classMap(world, { focus: ['nobody'], focusPeer: ['ns/nothing'] }).unknown).toEqual(['nobody', 'ns/nothing'])
  })
})
