/**
 * The judgement of a question and the three forms of the report. netsim itself under another seed stands in for a kernel; the real one is in
 * test/real-kernel.
 */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { judge, leftOut, type Judged } from '../../src/kernel/judge.js'
import { junitText } from '../../src/kernel/junit.js'
import { isPrediction, predict, type Prediction } from '../../src/kernel/prediction.js'
import { coveringProbes, probeName } from '../../src/kernel/probes.js'
import { summaryOf, verdictOf, verificationDocument } from '../../src/kernel/verify.js'
import type { ProbeDocument, VerificationDocument } from '../../src/kernel/verify-report.js'
import { verifyText } from '../../src/kernel/verify-text.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import { networkOf, type Ask } from '../kit/network.js'

const example = (name: string): string => readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8')
const network = networkOf(example('flannel-firewall'))

function predicted(of: Network, destination: string, ask: Ask = {}): Prediction {
  const result = predict(of, { ...DEFAULT_REQUEST, source: 'web-0', destination, ...ask })
  if (!isPrediction(result)) throw new Error(JSON.stringify(result))
  return result
}

/** What a kernel would show that does as the prediction says. */
function sightingOf({ frames, drops, rules }: Prediction): Judged {
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

function documentOf(probes: readonly ProbeDocument[]): VerificationDocument {
  const summary = summaryOf(probes)
  const context = { tool: 'netsim 0.0.0', kernel: 'Linux 6.18.44', privilege: 'root', iptables: 'nft', inputs: ['a.yaml'], seed: 1 }
  return verificationDocument(network, { probes, summary, notBuilt: [], complaints: [], control: [], verdict: verdictOf(summary, []) }, context)
}

const DENIED = predicted(network, 'api-0:9000')
const PING = predicted(network, 'api-0')
const equal = judge('denied', DENIED, sightingOf(predicted(network, 'api-0:9000', { seed: 5 })))

/** One TTL, at a bridge, in a copy; its checksum left alone. */
function spoilt(prediction: Prediction): ProbeDocument {
  const seen = sightingOf(prediction)
  const frames = seen.frames.map((frame) => ({ ...frame, bytes: frame.bytes.slice() }))
  frames[2].bytes[14 + 8]--
  return judge('ping "quoted" <&>', prediction, { ...seen, frames })
}

describe('the judgement of one question', () => {
  it('equal: frames, losses, rules', () => {
    expect(equal).toMatchObject({ verdict: 'equal', disposition: 'DENIED', drops: { equal: true }, rules: { equal: true }, differences: [] })
    expect(equal.drops.predicted).toEqual([{ netns: 'node-2', disposition: 'DENIED', reason: 'NETFILTER_DROP', step: expect.any(Number) }])
    expect(equal.rules.predicted.at(-1)).toMatchObject({ netns: 'node-2', chain: 'HOST-FIREWALL', text: expect.stringContaining('-j DROP') })
  })

  it('a TTL: the field, both frames, the step', () => {
    expect(spoilt(PING)).toMatchObject({
      verdict: 'differs',
      frames: { predicted: 20, equal: 19 },
      differences: [
        {
          kind: 'fields',
          netns: 'node-1',
          device: 'cni0',
          what: expect.stringContaining('ip.ttl 64 ≠ 63'),
          stepText: expect.stringMatching(/^bridge/),
          predicted: { words: expect.stringContaining('ttl 64') },
          captured: { words: expect.stringContaining('ttl 63') },
        },
      ],
    })
  })

  it('two rules that changed places', () => {
    const seen = sightingOf(DENIED)
    const rules = [...(seen.rules ?? [])]
    ;[rules[0], rules[1]] = [rules[1], rules[0]]
    const probe = judge('rules', DENIED, { ...seen, rules })
    expect(probe).toMatchObject({ verdict: 'differs', rules: { equal: false, what: expect.stringMatching(/^node-1: predicted .*, taken /) }, differences: [] })
    expect(judge('rules', DENIED, { ...seen, rules: rules.slice(1) }).rules.equal).toBe(false)
    expect(judge('rules', DENIED, { ...seen, rules: null, rulesWhy: 'legacy' })).toMatchObject({ verdict: 'equal', rules: { equal: null, why: 'legacy' } })
  })

  it('another reason for a loss; what the kernel loses besides is no matter', () => {
    const seen = sightingOf(DENIED)
    const other = { reason: 'IP_INNOROUTES', location: '', certain: true, timeNs: 0 }
    expect(judge('drops', DENIED, { ...seen, drops: [other] })).toMatchObject({ verdict: 'differs', drops: { equal: false } })
    expect(judge('drops', DENIED, { ...seen, drops: [other, ...(seen.drops ?? [])] })).toMatchObject({ verdict: 'equal' })
    expect(judge('drops', DENIED, { ...seen, drops: null, dropsWhy: 'no tracefs' })).toMatchObject({ verdict: 'equal', drops: { equal: null } })
  })

  it('frames that the capture lost', () => expect(judge('lost', PING, { ...sightingOf(PING), lost: 3 }).verdict).toBe('left-out'))
})

describe('the report', () => {
  const probes = [equal, spoilt(PING), leftOut('nothing', PING, 'node-1 tunl0 (ipip) cannot be made here')]
  const document = documentOf(probes)

  it('sums up', () => {
    expect(document.verdict).toBe('differs')
    expect(document.summary).toMatchObject({ probes: 3, equal: 1, differ: 1, leftOut: 1, frames: 27, framesEqual: 26, drops: 1, dropsEqual: 1 })
    expect(documentOf([equal]).verdict).toBe('equal')
    expect(documentOf([equal, probes[2]]).verdict).toBe('incomplete')
  })

  it('as JSON fits docs/verification.schema.json, which knows every field', () => {
    const text = readFileSync(new URL('../../docs/verification.schema.json', import.meta.url), 'utf8')
    // published: fields may be added; here: none may be that the schema does not name
    const closed = JSON.parse(text.replaceAll('"type": "object",', '"type": "object", "additionalProperties": false,')) as object
    const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(closed)
    for (const one of [document, documentOf([]), { ...document, notBuilt: [{ netns: 'a', device: 'b', kind: 'ipip', why: 'c' }] }]) {
      validate(JSON.parse(JSON.stringify(one)))
      expect(validate.errors).toBeNull()
    }
    expect(validate({ ...document, verdict: 'fine' })).toBe(false)
  })

  it('as text', () => {
    const text = verifyText(document, { color: false, ascii: false, verbosity: 0 })
    expect(text).toContain('equal    denied: 7 of 7 frames equal · 7 rules as taken · NETFILTER_DROP\n')
    expect(text).toContain('DIFFERS  ping "quoted" <&>: 19 of 20 frames equal')
    expect(text).toContain('differs frame on node-1 cni0 rx, of step')
    expect(text).toContain('ip.ttl       predicted 64, kernel 63\n')
    expect(text).toContain('not run  nothing: node-1 tunl0 (ipip) cannot be made here\n')
    expect(text).toContain('1 of 3 questions equal · 1 differ · 1 not run · 26 of 27 frames')
    expect(text.endsWith('This kernel does something else than netsim says.\n')).toBe(true)
    expect(verifyText(document, { color: false, ascii: true, verbosity: 1 })).toMatch(/^[\n\u0020-\u007e]*$/)
  })

  it('as JUnit', () => {
    const xml = junitText(document)
    expect(xml).toContain('<testsuites name="netsim verify" tests="3" failures="1" errors="0" skipped="1">')
    expect(xml).toContain('name="ping &quot;quoted&quot; &lt;&amp;&gt;"><failure message="node-1 cni0 rx, step')
    expect(xml.match(/<testcase /g)).toHaveLength(3)
    expect(xml).toContain('<skipped message="node-1 tunl0 (ipip)')
  })
})

describe('the covering set', () => {
  it.each(['flannel-udp', 'flannel-vxlan', 'flannel-host-gw', 'flannel-firewall', 'underlay-mtu', 'docker-only', 'stale-lease'])('of %s', (name) => {
    const of = networkOf(example(name))
    const probes = coveringProbes(of, 'all')
    expect(probes).toEqual(coveringProbes(networkOf(example(name)), 'all'))
    expect(probes.length).toBeLessThanOrEqual(160)
    expect(new Set(probes.map((probe) => probe.name)).size).toBe(probes.length)
    const visited = new Set<string>()
    const rules = new Set<string>()
    for (const { request } of probes) {
      const prediction = predict(of, request)
      if (!isPrediction(prediction)) throw new Error(JSON.stringify(prediction))
      for (const frame of prediction.frames) visited.add(frame.netns)
      for (const rule of prediction.rules) rules.add(`${rule.netns} ${rule.text}`)
    }
    for (const node of of.nodeNames) expect(visited).toContain(node)
    if (name === 'flannel-firewall') expect([...rules].filter((text) => /DROP|REJECT/.test(text))).toHaveLength(2)
    expect(coveringProbes(of, 'quick').length).toBeLessThan(probes.length)
  })

  it('names what it asks', () => {
    const request = { ...DEFAULT_REQUEST, source: 'a', destination: 'b:53', proto: 'udp', size: 1500, df: true, ttl: 2, cold: true } as const
    expect(probeName(request)).toBe('a → b udp 53, 1500 bytes, df, ttl 2, cold')
    expect(probeName({ ...DEFAULT_REQUEST, source: 'a', destination: '10.0.0.1' })).toBe('a → 10.0.0.1 icmp')
  })
})
