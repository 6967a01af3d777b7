/** Edits of the map of a world: the map after them is that of the edited world, and what they say changed is what changed. */
import { describe, expect, it } from 'vitest'
import { InvariantError } from '../../src/base/assert.js'
import { ConnectionSet } from '../../src/policy/connections.js'
import { boundingRanges } from '../../src/policy/change/diff-classes.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import type { End, PolicyPod, PolicyWorld } from '../../src/policy/model.js'
import { Reachability } from '../../src/policy/reach/reachability.js'
import { applyWorldEdits, type WorldEdit } from '../../src/policy/reach/reachability-edit.js'
import type { EffectEnd } from '../../src/policy/reach/reachability-effect.js'
import { Draw, nameOf, randomLabels, randomPod, randomPolicy, randomWorld, range } from './random-world.js'

/** More of them: NETSIM_POLICY_WORLDS=5000. */
const WORLDS = Number(process.env.NETSIM_POLICY_WORLDS ?? 30)

function randomEdit(draw: Draw, world: PolicyWorld, index: number): WorldEdit | undefined {
  const tiers = world.tiers.length
  const tier = tiers === 0 ? 0 : draw.below(tiers)
  const policies = tiers === 0 ? [] : world.tiers[tier].policies
  const pod = draw.one(world.pods)
  switch (draw.below(8)) {
    case 0:
    case 1:
      return policies.length === 0 ? undefined : { kind: 'policy', tier, before: draw.one(policies) }
    case 2:
    case 3:
      return tiers === 0 ? undefined : { kind: 'policy', tier, after: randomPolicy(draw, `new-${index}`, draw.chance(50)) }
    case 4: {
      if (policies.length === 0) return undefined
      const before = draw.one(policies)
      return { kind: 'policy', tier, before, after: { ...before, ingress: before.ingress.slice(1), egress: [...before.egress].reverse() } }
    }
    case 5:
      return { kind: 'pod', before: pod, after: { ...pod, labels: randomLabels(draw) } }
    case 6:
      return draw.chance(50) ? { kind: 'pod', before: pod } : { kind: 'pod', after: randomPod(draw, 20 + index) }
    default: {
      const name = draw.one(['n0', 'n1', 'n2', 'n3'])
      return { kind: 'namespace', before: world.namespaces.get(name), after: { name, labels: randomLabels(draw) } }
    }
  }
}

/** Everything that the edits of a test may name is told apart from the start. */
const RANGES = ['10.0.0.0/8', '10.1.0.0/16', '10.1.1.0/24', '10.1.1.4/31', '10.1.1.5', '10.2.0.0/15', '192.0.2.0/25', 'fd00::/8', 'fd00::1:0/112'].map(range)

function ends(world: PolicyWorld, outside: readonly End[]): readonly End[] {
  return [...world.pods, ...world.nodes, ...outside]
}

function pairName(source: EffectEnd, destination: EffectEnd): string {
  return [source, destination].map(({ before, after }) => nameOf((before ?? after) as End)).join(' → ')
}

/** Every pair, as each world means it. */
function meanings(world: PolicyWorld, outside: readonly End[]): Map<string, ConnectionSet> {
  const all = ends(world, outside)
  return new Map(
    all.flatMap((source) =>
      all.map((destination) => [`${nameOf(source)} → ${nameOf(destination)}`, evaluatePair(world, source, destination).allowed] as const),
    ),
  )
}

function expectedChanges(before: PolicyWorld, after: PolicyWorld, outside: readonly End[]): Record<string, string> {
  const [old, now] = [meanings(before, outside), meanings(after, outside)]
  const names = new Set([...old.keys(), ...now.keys()])
  const changes = [...names].map((name) => [name, (old.get(name) ?? ConnectionSet.none).key, (now.get(name) ?? ConnectionSet.none).key] as const)
  return Object.fromEntries(changes.filter(([, was, is]) => was !== is).map(([name, was, is]) => [name, `${was} to ${is}`]))
}

describe('edits of a map', () => {
  it('leave the map of the edited world, and say of every pair what changed', () => {
    let changed = 0
    for (let seed = 0; seed < WORLDS; seed++) {
      const draw = new Draw(seed ^ 0xed17)
      const { world, outside } = randomWorld(draw)
      const ranges = [...RANGES, ...world.services.flatMap(({ endpoints }) => endpoints.map(({ address }) => address))]
      const map = new Reachability(world, { outside, ranges })
      for (let round = 0; round < 4; round++) {
        const before = map.world
        const edits: WorldEdit[] = []
        const one = randomEdit(draw, before, round)
        if (one !== undefined) edits.push(one)
        if (one?.kind !== 'policy' && draw.chance(30) && before.tiers.length > 0) {
          edits.push({ kind: 'policy', tier: 0, after: randomPolicy(draw, `more-${round}`, true) })
        }
        const effect = applyWorldEdits(map, edits)
        const found = new Map<string, string>()
        for (const { source, destination, before: was, after: is } of effect.pairs()) {
          const name = pairName(source, destination)
          expect(found.has(name), `seed ${seed}, ${name} twice`).toBe(false)
          found.set(name, `${was.key} to ${is.key}`)
        }
        expect(Object.fromEntries(found), `seed ${seed}, round ${round}, ${edits.map(({ kind }) => kind).join()}`).toEqual(
          expectedChanges(before, map.world, outside),
        )
        const rebuilt = new Reachability(map.world, { outside, ranges })
        const all = ends(map.world, outside)
        const different = all.flatMap((source) =>
          all.filter((destination) => !map.between(source, destination).equals(rebuilt.between(source, destination))).map(nameOf),
        )
        expect(different, `seed ${seed}, round ${round}`).toEqual([])
        expect(map.counts()).toEqual(rebuilt.counts())
        changed += found.size
      }
    }
    expect(changed).toBeGreaterThan(WORLDS * 20)
  })

  it('touch the classes of a policy alone, in blocks', () => {
    const draw = new Draw(3)
    const pods = Array.from({ length: 40 }, (_, index): PolicyPod => ({ ...randomPod(draw, index), namespace: 'n1', hostNetwork: false, imagined: false }))
    const plain = { fixed: ConnectionSet.of('TCP', 80), named: [], except: [], words: 'TCP 80' }
    const place = { file: 'w.yaml', line: 1 }
    const everybody = { ...place, conditions: [], words: 'everybody' }
    const policy = {
      ...randomPolicy(draw, 'web', true),
      subject: [{ ...place, words: 'n1', kind: 'namespace', name: 'n1' } as const],
      directions: ['ingress'] as const,
      ingress: [{ ...place, index: 0, action: 'allow' as const, peers: [everybody], local: [], ports: plain }],
      egress: [],
    }
    const { world } = randomWorld(draw)
    const switches = { ...world.switches, hairpin: 'governed' as const, otherProtocols: 'governed' as const }
    const quiet = { ...world, pods, nodes: [], hostEndpoints: [], networkSets: [], noEngine: undefined, switches }
    const map = new Reachability({ ...quiet, tiers: [{ name: 'NetworkPolicy', atEnd: 'deny', policies: [policy] }] })
    const effect = applyWorldEdits(map, [{ kind: 'policy', tier: 0, before: policy }])
    expect(effect.blocks.reduce((sum, block) => sum + effect.size(block), 0)).toBe(1600)
    expect(new Set(effect.blocks.map(({ before, after }) => `${before.key} to ${after.key}`))).toEqual(
      new Set([`${ConnectionSet.of('TCP', 80).key} to ${ConnectionSet.all.key}`]),
    )
  })

  it('refuse what the map cannot know', () => {
    const draw = new Draw(5)
    const { world } = randomWorld(draw)
    const stranger = randomPod(draw, 50)
    const map = new Reachability(world)
    expect(() => applyWorldEdits(map, [{ kind: 'pod', before: stranger }])).toThrow(InvariantError)
    expect(() => applyWorldEdits(map, [{ kind: 'policy', tier: 99, after: randomPolicy(draw, 'p', true) }])).toThrow(InvariantError)
    const peer = {
      file: '',
      line: 0,
      words: '',
      conditions: [{ kind: 'networks' as const, include: [range('203.0.113.0/24')], exclude: [], words: '', file: '', line: 0 }],
    }
    const policy = randomPolicy(draw, 'far', true)
    const [tier] = [{ name: 'NetworkPolicy', atEnd: 'deny' as const, policies: [] }]
    const other = new Reachability({ ...world, tiers: [tier] })
    const ports = { fixed: ConnectionSet.all, named: [], except: [], words: '' }
    const rule = { file: '', line: 0, index: 0, action: 'allow' as const, peers: [peer], local: [], ports }
    expect(() => applyWorldEdits(other, [{ kind: 'policy', tier: 0, after: { ...policy, ingress: [rule] } }])).toThrow(InvariantError)
    expect(boundingRanges(other.world)).not.toContainEqual(range('203.0.113.0/24'))
  })
})
