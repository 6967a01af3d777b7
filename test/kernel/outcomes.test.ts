/** What is left to chance: every outcome predicted, the kernel's held against each; the covering questions about Services. netsim stands in for a kernel. */
import { describe, expect, it } from 'vitest'
import { traceDocument } from '../../src/analysis/trace-report.js'
import { judgeOutcomes, type Judged } from '../../src/kernel/judge.js'
import { areOutcomes, predictOutcomes, type OutcomePredictions } from '../../src/kernel/outcome-predictions.js'
import type { Prediction } from '../../src/kernel/prediction.js'
import { coveringProbes } from '../../src/kernel/probes.js'
import { serviceQuestions } from '../../src/kernel/probes-services.js'
import { isOutcome } from '../../src/network/probe.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import { networkOf, type Ask } from '../kit/network.js'
import { SERVICE_NETWORKS, serviceCluster } from '../kit/service-cluster.js'

const network = networkOf(serviceCluster(SERVICE_NETWORKS['flannel vxlan, bridge plugin']))
const other = networkOf(serviceCluster(SERVICE_NETWORKS['flannel vxlan, bridge plugin']), { seed: 1 })

function outcomesOf(
  source: string,
  destination: string,
  { of = network, limit, ...ask }: Ask & { of?: typeof network; limit?: number } = {},
): OutcomePredictions {
  const result = predictOutcomes(of, { ...DEFAULT_REQUEST, source, destination, ...ask }, limit)
  if (!areOutcomes(result)) throw new Error(JSON.stringify(result))
  return result
}

function sightingOf({ frames, drops, rules }: Pick<Prediction, 'frames' | 'drops' | 'rules'>): Judged {
  return {
    frames,
    error: '',
    drops: drops.map(({ reason }) => ({ reason, location: 'nf_hook_slow+0x1', certain: true, timeNs: 0 })),
    dropsWhy: '',
    rules: rules.map(({ netns, table, chain, text }) => ({ netns, table, chain, text, kind: 'rule', verdict: '', packet: '1' })),
    rulesWhy: '',
    lost: 0,
  }
}

describe('every outcome of a question', () => {
  const both = outcomesOf('client-1', 'svc/web:80')

  it('is predicted, with its share', () => {
    expect(both.followed).toBe(1)
    expect(both.all.map(({ probability }) => probability)).toEqual([0.5, 0.5])
    expect(both.all.map(({ document }) => document.forward.hops.at(-1)?.netns)).toEqual(['default/web-0', 'default/web-1'])
  })

  it('nothing is left to chance: one, and nothing is said of outcomes', () => {
    const one = outcomesOf('client-1', 'svc/solo:80')
    expect([one.all.length, one.followed]).toEqual([1, 1])
    expect(judgeOutcomes('solo', one, sightingOf(one.all[0]))).toMatchObject({ verdict: 'equal', outcomes: null })
  })

  it.each([0, 1])('a kernel that takes outcome %d is equal to that one', (taken) => {
    const { all } = outcomesOf('client-1', 'svc/web:80', { of: other, seed: 7 })
    const judged = judgeOutcomes('web', both, sightingOf(all[taken]))
    expect(judged).toMatchObject({ verdict: 'equal', outcomes: { count: 2, shown: taken + 1, probability: 0.5, followed: 1 } })
    expect(judged.frames.equal).toBe(all[taken].frames.length)
  })

  it('a kernel that begins one and ends the other differs', () => {
    const [first, second] = both.all
    const mixed = [...first.frames.slice(0, 3), ...second.frames.slice(3)]
    expect(judgeOutcomes('web', both, sightingOf({ ...second, frames: mixed })).verdict).toBe('differs')
  })

  it('one outcome’s frames with the other’s rules differ', () => {
    const [first, second] = both.all
    const judged = judgeOutcomes('web', both, sightingOf({ ...first, rules: second.rules }))
    expect(judged).toMatchObject({ verdict: 'differs', outcomes: { shown: 1 }, differences: [], rules: { equal: false } })
  })

  it('one byte of any frame that matters differs, and the nearest outcome is told', () => {
    for (const [index, { frames }] of both.all.entries()) {
      for (const at of frames.keys()) {
        const spoilt = frames.map((frame, place) => ({ ...frame, bytes: place === at ? frame.bytes.slice() : frame.bytes }))
        spoilt[at].bytes[14 + 1] ^= 4
        const judged = judgeOutcomes('web', both, sightingOf({ ...both.all[index], frames: spoilt }))
        expect([index, at, judged.verdict, judged.outcomes?.shown]).toEqual([index, at, 'differs', index + 1])
      }
    }
  })

  it('that is beyond the bound: a kernel that takes none of those followed proves nothing, and one that does is equal', () => {
    const some = outcomesOf('client-1', 'svc/web:80', { limit: 1 })
    expect([some.all.length, some.followed]).toEqual([1, 0.5])
    expect(judgeOutcomes('web', some, sightingOf(both.all[1]))).toMatchObject({ verdict: 'left-out', differences: [] })
    expect(judgeOutcomes('web', some, sightingOf(both.all[0]))).toMatchObject({ verdict: 'equal', outcomes: { count: 1, followed: 0.5 } })
  })

  it('leaves chance to the seed afterwards', () => {
    const asked = { ...DEFAULT_REQUEST, source: 'client-1', destination: 'svc/web:80' }
    const path = (): readonly (string | undefined)[] => {
      const outcome = other.trace(asked)
      if (!isOutcome(outcome)) throw new Error(JSON.stringify(outcome))
      return traceDocument(other, outcome).forward.hops.map(({ netns }) => netns)
    }
    const before = path()
    outcomesOf('client-1', 'svc/web:80', { of: other })
    expect(path()).toEqual(before)
  })
})

describe('the questions about Services', () => {
  const questions = serviceQuestions(network, {})
  const asked = new Set(questions.map(({ source, destination }) => `${source} ${destination}`))

  it.each([
    ['default/web-0 svc/default/web:80', 'an endpoint, which may draw itself'],
    ['default/solo-0 svc/default/solo:80', 'an endpoint that draws itself'],
    ['default/client-3 svc/default/inner:80', 'where no endpoint is on the node'],
    ['default/web-0 svc/default/empty:80', 'without endpoints'],
  ])('%s: %s', (question) => expect([...asked]).toContain(question))

  it.each([30012, 30013, 30015, 30016, 30017, 30018])('node port %d, from the cluster and from outside', (port) => {
    const sources = questions.filter(({ destination }) => destination.endsWith(`:${port}`)).map(({ source }) => source)
    expect(sources).toContain('host/client')
    expect(sources.length).toBeGreaterThan(1)
  })

  it.each(['198.51.100.7', '203.0.114.16', '203.0.114.17', '203.0.114.18'])('%s, from the cluster and from outside', (address) => {
    const sources = questions.filter(({ destination }) => destination.startsWith(`${address}:`)).map(({ source }) => source)
    expect(sources).toContain('host/client')
    expect(sources.length).toBeGreaterThan(1)
  })

  it('are part of the covering set, and bounded', () => {
    const names = new Set(coveringProbes(network, 'all').map(({ request }) => `${request.source} ${request.destination}`))
    expect([...asked].filter((question) => !names.has(question))).toEqual([])
    expect(questions.length).toBeLessThanOrEqual(72)
  })

  it('are none without kube-proxy', () => {
    const { spec, ...rest } = SERVICE_NETWORKS['flannel vxlan, bridge plugin']
    expect(serviceQuestions(networkOf(serviceCluster({ ...rest, spec: { ...spec, kubeProxy: { mode: 'none' } } })), {})).toEqual([])
  })
})
