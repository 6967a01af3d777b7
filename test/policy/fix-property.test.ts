/** Fixes of random clusters: what they print does what was wanted, and nothing that they do not tell. */
import { parseAllDocuments } from 'yaml'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/cluster/located.js'
import { ConnectionSet } from '../../src/policy/connections.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import type { Change } from '../../src/policy/fix/fix-change.js'
import { fixYaml } from '../../src/policy/fix/fix-document.js'
import { findFixes, isAsWanted, type Fix, type FixQuestion } from '../../src/policy/fix/fix.js'
import type { End, PolicyPod, PolicyWorld } from '../../src/policy/model.js'
import { EVERY_IPV4 } from '../../src/policy/address-range.js'
import { namedRanges, partition } from '../../src/policy/outside.js'
import { endName, workloadName } from '../../src/policy/peer-name.js'
import { drawCluster, textOf, type DrawnCluster } from './fix-world.js'
import { endOf, readTold, worldOf } from './kit.js'
import { Draw } from './random-world.js'

const RUNS = 25

interface Drawn {
  readonly cluster: DrawnCluster
  readonly told: ReturnType<typeof readTold>
  readonly question: FixQuestion
}

function drawQuestion(seed: number, admin: boolean): Drawn {
  const cluster = drawCluster(seed, { admin })
  const told = readTold(textOf(cluster.objects))
  const draw = new Draw(seed * 7 + 1)
  const source = draw.one(cluster.workloads)
  const destination = draw.one(cluster.workloads.filter((name) => name !== source))
  const question: FixQuestion = {
    source: draw.chance(12) ? { kind: 'outside', range: { family: 4, first: 0xcb007105n, last: 0xcb007105n } } : endOf(told.world, source),
    destination: endOf(told.world, destination),
    asked: ConnectionSet.of('TCP', draw.one([80, 443, 5432, 9000])),
    wanted: draw.chance(50) ? 'allow' : 'deny',
  }
  return { cluster, told, question }
}

/** The manifests as a person would have them after `kubectl apply`. */
function applied({ objects }: DrawnCluster, fix: Fix): PolicyWorld {
  const nameOf = ({ kind, metadata }: JsonObject): string => JSON.stringify([kind, (metadata as JsonObject).namespace ?? '', (metadata as JsonObject).name])
  const manifests = parseAllDocuments(fixYaml(fix)).map((document) => document.toJS() as JsonObject)
  const names = new Set(manifests.map(nameOf))
  return worldOf(textOf([...objects.filter((object) => !names.has(nameOf(object))), ...manifests]))
}

/** Every pair of pods and of pods with the outside: `source destination` → what changed. */
function changes(before: PolicyWorld, after: PolicyWorld, { source }: FixQuestion): Map<string, ConnectionSet> {
  const found = new Map<string, ConnectionSet>()
  const cuts = [...namedRanges(before), ...namedRanges(after), ...(source.kind === 'outside' ? [source.range] : [])]
  const ends: readonly End[] = [...before.pods, ...partition(EVERY_IPV4, cuts).map((range) => ({ kind: 'outside', range }) as const)]
  const same = (end: End): End => endIn(before, after, end)
  for (const source of ends) {
    for (const destination of ends) {
      if ((source.kind === 'outside' && destination.kind === 'outside') || source === destination) continue
      const was = evaluatePair(before, source, destination).allowed
      const is = evaluatePair(after, same(source), same(destination)).allowed
      if (!was.equals(is)) found.set(`${endName(source)} ${endName(destination)}`, was.minus(is).union(is.minus(was)))
    }
  }
  return found
}

/** Labels of a template give its pods other names: the first stays the first. */
function endIn(before: PolicyWorld, after: PolicyWorld, end: End): End {
  if (end.kind !== 'pod') return end
  const own = ({ pods }: PolicyWorld): readonly PolicyPod[] => pods.filter((pod) => workloadName(pod) === workloadName(end))
  return own(after)[own(before).indexOf(end)]
}

function nameOfEnd(end: End): string {
  return end.kind === 'pod' ? workloadName(end) : endName(end)
}

describe.each([false, true])('fixes, with admin policies: %s', (admin) => {
  it(`bring about what is wanted, by the YAML that they print, and tell of everything else (${RUNS} clusters)`, () => {
    let judged = 0
    for (let seed = 1; seed <= RUNS; seed++) {
      const { cluster, told, question } = drawQuestion(seed + (admin ? 5000 : 0), admin)
      const result = findFixes(told, question, workloadName)
      expect(result.already, `seed ${seed}`).toBe(isAsWanted(question, evaluatePair(told.world, question.source, question.destination)))
      for (const fix of result.fixes) {
        judged++
        const world = applied(cluster, fix)
        const ends = [question.source, question.destination].map((end) => endIn(told.world, world, end))
        const where = `seed ${seed}: ${fix.words}`
        expect(isAsWanted(question, evaluatePair(world, ends[0], ends[1])), where).toBe(true)
        const listed = new Map<string, ConnectionSet>()
        for (const { row, opened, closed } of fix.effects) {
          const key = `${row.source.name || 'outside'} ${row.destination.name || 'outside'}`
          listed.set(key, (listed.get(key) ?? ConnectionSet.none).union(opened).union(closed))
        }
        for (const [pair, difference] of changes(told.world, world, question)) {
          const key = pair.replace(/\S+\[External\]/, 'outside')
          const isAsked = pair === `${nameOfEnd(question.source)} ${nameOfEnd(question.destination)}`
          const said = listed.get(key) ?? ConnectionSet.none
          expect(said.union(isAsked ? question.asked : ConnectionSet.none).covers(difference), `${where}: ${pair}`).toBe(true)
        }
      }
    }
    expect(judged).toBeGreaterThan(RUNS)
  })

  it('are found for any two pods wherever policies can be added', () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const { told, question } = drawQuestion(seed + 9000 + (admin ? 5000 : 0), admin)
      if (question.source.kind !== 'pod') continue
      const { already, fixes } = findFixes(told, question, workloadName)
      expect(already || fixes.length > 0, `seed ${seed}: ${question.wanted}`).toBe(true)
    }
  })

  it('come with the least side effects first', () => {
    for (let seed = 1; seed <= RUNS / 2; seed++) {
      const { told, question } = drawQuestion(seed + 3000, admin)
      const counts = findFixes(told, question, workloadName).fixes.map(({ weight }) => weight)
      expect(counts).toEqual([...counts].sort((a, b) => a - b))
    }
  })
})

function changeText(change: Change): string {
  return JSON.stringify(change.kind === 'create' ? change.object : change.kind === 'patch' ? change.steps : change.labels)
}

describe('selectors of fixes', () => {
  it('name no label that a controller writes', () => {
    for (let seed = 1; seed <= RUNS / 2; seed++) {
      const { told, question } = drawQuestion(seed + 700, false)
      expect((question.destination as PolicyPod).labels).toHaveProperty('pod-template-hash')
      const texts = findFixes(told, question, workloadName).fixes.flatMap(({ changes }) => changes.map(changeText))
      expect(texts.join('\n')).not.toContain('pod-template-hash')
    }
  })
})
