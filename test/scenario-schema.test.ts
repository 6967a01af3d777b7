/**
 * docs/scenario.schema.json: made from the reader's own schema; it takes what the reader takes, and docs/scenarios.md says of the
 * document what the code does. `npx vitest run test/scenario-schema.test.ts -u` makes the schema and the page's table of delays anew.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { hasErrors } from '../src/base/problem.js'
import { DELAYS, type DelayInfo } from '../src/cluster/scenario/delays.js'
import { eventForms, probeSchema } from '../src/cluster/scenario/scenario-schema.js'
import { scenarioJsonSchema } from './kit/scenario-json-schema.js'
import { documentedFields } from './kit/network-json-schema.js'
import { arbitraryEvent, arbitraryProbe, readText } from './cluster/scenario/support.js'

const HERE = new URL('../', import.meta.url)
const fileOf = (path: string): string => readFileSync(new URL(path, HERE), 'utf8')
const PAGE = fileOf('docs/scenarios.md')

const validate = new Ajv2020({ strict: true, strictTypes: false, allErrors: true }).compile(scenarioJsonSchema(PAGE))

function faults(value: unknown): readonly string[] {
  validate(value)
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath}: ${message}`)
}

/** Of the table of events: each form as the page has it. */
const FORMS = [...(/^## Events\n(.*?)^## /ms.exec(PAGE)?.[1] ?? '').matchAll(/^\| `(\{.*?\})` \| /gm)].map(([, form]) => form)

const scenario = (spec: object): object => ({ apiVersion: 'netsim/v1', kind: 'Scenario', metadata: { name: 'x' }, spec })
const APPLIED = new Map([['np.yaml', []]])

/** As the page writes times. */
function timeText(ns: number): string {
  const [unit, size] = (
    [
      ['h', 3600e9],
      ['m', 60e9],
      ['s', 1e9],
      ['ms', 1e6],
    ] as const
  ).find(([, one]) => ns >= one && ns % one === 0) ?? ['ns', 1]
  return `${ns / size}${unit}`
}

describe('docs/scenario.schema.json', () => {
  it('is what the reader’s schema says', async () => {
    await expect(`${JSON.stringify(scenarioJsonSchema(PAGE), null, 2)}\n`).toMatchFileSnapshot('../docs/scenario.schema.json')
  })

  it.each(FORMS.map((form) => [form]))('takes the form %s of the page, as the reader does', (form) => {
    const text = `{apiVersion: netsim/v1, kind: Scenario, metadata: {name: x}, spec: {events: [${form}]}}`
    expect(parseAllDocuments(text).flatMap((document) => faults(document.toJS()))).toEqual([])
    const { problems, read } = readText(text, APPLIED)
    expect(problems).toEqual([])
    expect(read?.events).toHaveLength(1)
  })

  it('takes every Scenario among the examples and on the page', () => {
    const examples = readdirSync(new URL('examples/', HERE), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'))
    const blocks = [...PAGE.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text]) => text)
    const documents = [...examples.map((name) => fileOf(`examples/${name}`)), ...blocks].flatMap((text) =>
      parseAllDocuments(text).map((document): unknown => document.toJS()),
    )
    const scenarios = documents.filter((value) => typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Scenario')
    expect(scenarios.length).toBeGreaterThan(0)
    expect(scenarios.flatMap(faults)).toEqual([])
  })

  it.each([
    { start: 'warm' },
    { until: 5 },
    { until: '1h30' },
    { seed: 1.5 },
    { delays: { 'kubelet.podStrat': '1s' } },
    { events: [{ at: '1s' }] },
    { events: [{ node: 'n1', state: 'down' }] },
    { events: [{ at: '1s', node: 'n1', state: 'don' }] },
    { events: [{ at: '1s', apply: 'a', delete: 'np/b' }] },
    { events: [{ at: '1s', cable: 'n1' }] },
    { events: [{ at: '1s', mtu: 1400 }] },
    { events: [{ at: '1s', stop: 'flaneld' }] },
    { events: [{ at: '1s', stop: 'flanneld', on: [] }] },
    { events: [{ at: '1s', cable: 'n1', loss: 0.1 }] },
    { probes: [{ from: 'a' }] },
    { probes: [{ from: 'a', to: 'b', proto: 'sctp' }] },
    { probes: ['a'] },
    { nope: 1 },
  ])('refuses %j, as the reader does', (spec) => {
    expect(faults(scenario(spec))).not.toEqual([])
    expect(hasErrors(readText(JSON.stringify(scenario(spec))).problems)).toBe(true)
  })

  it('takes whatever the reader takes', () => {
    let taken = 0
    fc.assert(
      fc.property(fc.array(arbitraryEvent, { maxLength: 2 }), fc.array(arbitraryProbe, { maxLength: 2 }), (events, probes) => {
        const document = scenario({ events, probes })
        if (hasErrors(readText(JSON.stringify(document), APPLIED).problems)) return
        taken++
        expect(faults(document)).toEqual([])
      }),
      { numRuns: 1500 },
    )
    expect(taken).toBeGreaterThan(100)
  })
})

describe('docs/scenarios.md', () => {
  it('has a form of every event', () => {
    const shown = new Set(FORMS.map((form) => /^\{at: [^,]+, ([A-Za-z]+):/.exec(form)?.[1]))
    expect([...shown].sort()).toEqual(Object.keys(eventForms()).sort())
  })

  it('tells every field of spec and of a probe', () => {
    expect(documentedFields(PAGE).map(([path]) => path)).toEqual(['input', 'start', 'until', 'seed', 'delays', 'events', 'probes'])
    expect(
      documentedFields(PAGE, 'Probes')
        .map(([path]) => path)
        .sort(),
    ).toEqual(Object.keys(probeSchema().entries).sort())
  })

  it('has every delay as delays.ts has it', async () => {
    const rows = Object.entries(DELAYS).map(([name, { defaultNs, what, source, leastNs }]: readonly [string, DelayInfo]) => {
      const least = leastNs === undefined ? '' : `, at least ${timeText(leastNs)}`
      return `| \`${name}\` | ${timeText(defaultNs)}${least} | ${what} | ${source} |\n`
    })
    const page = PAGE.replace(/(?<=^## Delays\n.*?\n\|---\|---\|---\|---\|\n).*?(?=\n\n|\n$)/ms, rows.join('').trimEnd())
    await expect(page).toMatchFileSnapshot('../docs/scenarios.md')
  })
})
