/**
 * Every step that rests on something of a dump says which line, and the line holds it: each rule, route, neighbour, FDB entry and device of every trace
 * between the ends of the example, forth and back, is looked up in the dump's own files.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { StepDocument, TraceDocument } from '../../src/analysis/trace-document.js'
import { readTar } from '../../src/cli/tar.js'
import { netsim } from '../cli/memory-io.js'

const NODES = new URL('../../examples/nodes/', import.meta.url).pathname
const NODE_1 = `${NODES}node-1.tar.gz`
const NODE_2 = `${NODES}node-2`

const archive = new Map(readTar(gunzipSync(readFileSync(NODE_1))).map(({ path, bytes }) => [`${NODE_1}/${path}`, new TextDecoder().decode(bytes)]))

function lineAt(file: string, line: number): string {
  return (archive.get(file) ?? readFileSync(file, 'utf8')).split('\n')[line - 1] ?? ''
}

/** Words of a step that its line must hold; kinds that rest on no line of a dump are not here. */
const HELD: Readonly<Record<string, (step: StepDocument) => readonly string[]>> = {
  route: ({ text }) => text.replace(/ *\(.*$/, '').split(/\s+/),
  neigh: ({ text }) => [/^\S+/.exec(text)?.[0] ?? '', /dev \S+/.exec(text)?.[0] ?? '', /lladdr \S+/.exec(text)?.[0] ?? ''],
  encap: ({ text }) => [/to (\d[\d.]*)/.exec(text)?.[1] ?? ''],
  send: ({ at }) => [at?.device ?? ''],
}

const ENDS = ['shop/web-0', 'shop/api-0', 'node/node-1', 'node/node-2', '10.244.1.2', '10.244.2.2', '192.168.10.254']
const QUESTIONS = ENDS.slice(0, 4).flatMap((from) =>
  ENDS.filter((to) => to !== from).flatMap((to) => [
    [from, to],
    [from, `${to}:8080`],
    [from, `${to}:1`, '--proto', 'udp'],
  ]),
)

const met: Record<string, number> = {}

describe('lines that steps stand on', () => {
  it.each(QUESTIONS.map((question) => [question.join(' '), question] as const))('%s', async (_, question) => {
    const { out, err } = await netsim(['trace', ...question, '-vv', '-o', 'json', '--node', NODE_1, '--node', NODE_2])
    if (out === '') return expect(err).toMatch(/error/)
    const { forward, reply } = JSON.parse(out) as TraceDocument
    const hops = [...forward.hops, ...(reply?.hops ?? [])].filter(({ netns }) => /^(node-[12]|shop\/)/.test(netns))
    const steps = hops.flatMap((hop) => hop.steps)
    expect(steps.length).toBeGreaterThan(0)
    for (const step of steps) {
      const held = HELD[step.kind]
      const place = step.provenance
      if (held !== undefined && step.action !== 'NO_ROUTE' && !(step.kind === 'neigh' && place === undefined)) {
        met[step.kind] = (met[step.kind] ?? 0) + 1
        expect([step.kind, step.text, place?.by]).toEqual([step.kind, step.text, 'dump'])
        const line = lineAt(place?.file ?? '', place?.line ?? 0)
        for (const word of held(step)) expect([step.kind, step.text, line]).toEqual([step.kind, step.text, expect.stringContaining(word)])
      }
      for (const rule of step.rules ?? []) {
        met.rule = (met.rule ?? 0) + 1
        expect([rule.text, rule.provenance?.by]).toEqual([rule.text, 'dump'])
        expect(lineAt(rule.provenance?.file ?? '', rule.provenance?.line ?? 0).replace(/^\[\d+:\d+\] /, '')).toBe(`-A ${rule.chain} ${rule.text}`)
      }
    }
  })

  it('of every kind there were some', () => {
    for (const kind of [...Object.keys(HELD), 'rule']) expect([kind, met[kind] ?? 0]).toEqual([kind, expect.toSatisfy((count: number) => count > 20)])
  })
})
