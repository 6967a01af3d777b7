/** Scenarios that somebody spoilt: whatever stands there, it is read or told. */
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import { checkScenario } from '../../../src/cluster/scenario/check-scenario.js'
import { isScenario, readScenarioParts, scenarioFiles } from '../../../src/cluster/scenario/read-scenario.js'
import { objectsOf } from './support.js'

const PAGE = readFileSync('docs/scenarios.md', 'utf8')
const FORMS = [...PAGE.matchAll(/^\| `(\{at: .*?\})` \| /gm)].map(([, form]) => form)
const CLUSTER = readFileSync('examples/canal.yaml', 'utf8')
const TEXTS = [
  `apiVersion: netsim/v1\nkind: Scenario\nspec:\n  events:\n${FORMS.map((form) => `    - ${form}\n`).join('')}---\n${CLUSTER}`,
  ...readdirSync('examples/scenarios').map((name) => readFileSync(`examples/scenarios/${name}`, 'utf8')),
]
const NASTY = [
  'null',
  '[]',
  '{}',
  '-1',
  '1e999',
  '"\\u0000"',
  '*a',
  '&a [*a]',
  '{{{{',
  '---',
  '%',
  '__proto__: {a: b}',
  '<<: *x',
  '- - -',
  '9'.repeat(400),
  '0x10',
  '~',
  'at: 0',
]

const spoilt = fc
  .tuple(
    fc.constantFrom(...TEXTS),
    fc.array(fc.tuple(fc.nat(), fc.nat(), fc.constantFrom('cut', 'twice', 'nasty', 'letter'), fc.constantFrom(...NASTY)), { minLength: 1, maxLength: 4 }),
  )
  .map(([text, changes]) => {
    const lines = text.split('\n')
    for (const [at, within, how, nasty] of changes) {
      const index = at % lines.length
      const line = lines[index]
      const place = within % (line.length + 1)
      if (how === 'cut') lines[index] = line.slice(0, place)
      else if (how === 'twice') lines.splice(index, 0, line)
      else if (how === 'nasty') lines[index] = `${line.slice(0, place)}${nasty}`
      else lines[index] = line.slice(0, place) + String.fromCharCode(within % 128) + line.slice(place + 1)
    }
    return lines.join('\n')
  })

const NP = objectsOf('{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop}, spec: {podSelector: {}}}')

describe('a spoilt scenario', () => {
  it('is read or told, with a place', () => {
    let read = 0
    let told = 0
    fc.assert(
      fc.property(spoilt, (text) => {
        const { cluster } = buildCluster([{ file: 's.yaml', text }])
        const object = cluster.objects.find(isScenario)
        if (object === undefined) return
        const list = new ProblemList()
        const files = new Map(scenarioFiles(object).applied.map(({ name }) => [name, NP]))
        const { scenario, complete } = readScenarioParts(object, files, list)
        checkScenario(scenario, cluster, list, { namespace: 'default', complete })
        if (list.problems.length === 0) read++
        else told++
        for (const { line, file, what } of list.problems) {
          expect(line).toBeGreaterThan(0)
          expect(['s.yaml', 'x.yaml']).toContain(file)
          expect(what).not.toMatch(/undefined|\[object|NaN/)
        }
      }),
      { numRuns: 150 },
    )
    expect(Math.min(read, told)).toBeGreaterThan(5)
  })
})
