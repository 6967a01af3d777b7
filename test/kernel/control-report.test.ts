/** What a real BIRD came to, in the three forms of the report: words, JUnit, JSON by its published schema. */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { controlCounts, controlHead, controlLines, reaches, type BirdDocument, type BirdNodeDocument } from '../../src/kernel/control-report.js'
import { junitText } from '../../src/kernel/junit.js'
import { summaryOf, verdictOf } from '../../src/kernel/verify.js'
import type { VerificationDocument } from '../../src/kernel/verify-report.js'
import { verifyText } from '../../src/kernel/verify-text.js'

const EQUAL: BirdNodeDocument = {
  node: 'node-1',
  verdict: 'equal',
  why: '',
  sessions: { peers: 2, predicted: 2, established: 2, equal: 2 },
  routes: { predicted: 4, read: 4, equal: 4 },
  differences: [],
}
const DIFFERS: BirdNodeDocument = {
  ...EQUAL,
  node: 'router/tor-1',
  verdict: 'differs',
  sessions: { peers: 2, predicted: 2, established: 1, equal: 1 },
  routes: { predicted: 4, read: 3, equal: 3 },
  differences: ['session Mesh_1: predicted Established, BIRD says Active', 'route 10.244.1.0/26: predicted, and not in the kernel'],
}
const LEFT_OUT: BirdNodeDocument = { ...EQUAL, node: 'node-3', verdict: 'left-out', why: 'tunl0 (ipip) cannot be made here: Unknown device type' }
const BIRD: BirdDocument = { program: 'bird', version: '2.0.12', dialect: 'bird2', seconds: 3, nodes: [EQUAL, DIFFERS, LEFT_OUT] }

function documentOf(control: BirdDocument): VerificationDocument {
  const summary = summaryOf([], [control])
  const metadata = {
    tool: 'netsim 0.0.0',
    kernel: 'Linux 6.18.44',
    privilege: 'root',
    iptables: '',
    inputs: ['a.yaml'],
    seed: 1,
    cni: 'calico',
    backend: 'none',
  }
  const verdict = verdictOf(summary, [])
  return { apiVersion: 'netsim/v1', kind: 'Verification', verdict, metadata, summary, notBuilt: [], complaints: [], probes: [], control: [control] }
}

describe('what BIRD came to', () => {
  it('is counted', () => {
    expect(controlCounts([BIRD])).toEqual({ control: 3, controlEqual: 1, controlDiffer: 1 })
    expect([BIRD, { ...BIRD, nodes: [EQUAL, LEFT_OUT] }, { ...BIRD, nodes: [EQUAL] }].map((one) => documentOf(one).verdict)).toEqual([
      'differs',
      'incomplete',
      'equal',
    ])
    expect([EQUAL, DIFFERS].map(reaches)).toEqual([true, false])
  })

  it('in words', () => {
    expect(controlHead(BIRD)).toBe('bird 2.0.12 on every speaker, dialect bird2, 3 s')
    expect(controlLines(BIRD)).toEqual([
      'node-1 bird: 2 of 2 sessions Established as predicted · 4 of 4 kernel routes equal',
      'router/tor-1 bird: 1 of 2 sessions Established, predicted 2 · 3 of 4 kernel routes equal',
      'node-3 bird: tunl0 (ipip) cannot be made here: Unknown device type',
    ])
    const text = verifyText(documentOf(BIRD), { color: false, ascii: false, verbosity: 0 })
    expect(text).toContain('           session Mesh_1: predicted Established, BIRD says Active\n           and 1 more: -v shows them\n')
    expect(text).toContain('1 of 3 nodes with a real control plane')
  })

  it('as JUnit', () => {
    const text = junitText(documentOf(BIRD))
    expect(text).toContain('<testcase classname="netsim.verify.bird" name="router/tor-1 → bird"><failure message="router/tor-1 bird: 1 of 2 sessions')
    expect(text).toContain('<skipped message="tunl0 (ipip) cannot be made here: Unknown device type"/>')
    expect(text).toContain('tests="3" failures="1" errors="0" skipped="1"')
  })

  it('as JSON fits the schema, which knows every field', () => {
    const schema = readFileSync(new URL('../../docs/verification.schema.json', import.meta.url), 'utf8')
    const closed = JSON.parse(schema.replaceAll('"type": "object",', '"type": "object", "additionalProperties": false,')) as object
    const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(closed)
    validate(JSON.parse(JSON.stringify(documentOf(BIRD))))
    expect(validate.errors).toBeNull()
    expect(validate({ ...documentOf(BIRD), control: [{ ...BIRD, dialect: 'calico' }] })).toBe(false)
  })
})
