/** The report of a run: sums that its spans bear out, an answer that stands first, a picture that is well-formed and says the same. */
import { describe, expect, it } from 'vitest'
import { diaryText } from '../../../src/analysis/timeline/diary-text.js'
import { timelineRows, type KernelRow, type RowFilter } from '../../../src/analysis/timeline/diary-rows.js'
import type { ScenarioReport } from '../../../src/analysis/timeline/document.js'
import { eventDocuments, totalsOf } from '../../../src/analysis/timeline/event-effects.js'
import { reportSvg } from '../../../src/analysis/timeline/report-svg.js'
import { reportText, type ReportTextOptions } from '../../../src/analysis/timeline/report-text.js'
import { scenarioReport } from '../../../src/analysis/timeline/report.js'
import { Diary } from '../../../src/network/time/diary.js'
import { PROBE_CLASSES, type ProbeSpan } from '../../../src/network/time/probe-history.js'
import { DIARY, diaryOf, HISTORY, HOUR, INPUT, PROBE, SECOND, SPANS } from './story.js'

const PLAIN: ReportTextOptions = { width: 100, color: false, ascii: false, inputFlags: ' -f dies.yaml' }
const REPORT = scenarioReport(INPUT)

describe('the document', () => {
  it('has spans that follow one another from the start of the probe to the end of the run', () => {
    const [{ spans, startNs, stopNs, totalNs }] = REPORT.probes
    expect(spans.map(({ fromNs, toNs }) => [fromNs, toNs])).toEqual([
      [startNs, 10 * SECOND],
      [10 * SECOND, 24 * HOUR + SECOND],
      [24 * HOUR + SECOND, stopNs],
    ])
    expect(Object.values(totalNs).reduce((sum, ns) => sum + ns, 0)).toBe(stopNs - startNs)
    expect(totalNs).toEqual({ works: 10 * SECOND, 'black-holed': 24 * HOUR - 9 * SECOND, refused: 599 * SECOND })
  })

  it('says of an event what goes back to it, and how long that took', () => {
    expect(REPORT.events).toEqual([
      {
        atNs: 10 * SECOND,
        what: 'node n2 goes down',
        file: 'dies.yaml',
        line: 12,
        happened: true,
        entries: 3,
        firstChangeNs: 10 * SECOND,
        lastChangeNs: 24 * HOUR + 2e6,
        convergenceNs: 24 * HOUR + 2e6 - 10 * SECOND,
        answersNs: 24 * HOUR - 9 * SECOND,
        messages: { count: 1, bytes: 120 },
      },
    ])
  })

  it('counts what an agent heard and said as talk, not as change', () => {
    const diary = diaryOf([
      [0, { agent: 'scenario', kind: 'event', what: 'session reset' }],
      [1, { agent: 'bird', kind: 'bgp-session', what: 'down', cause: 0 }],
      [2, { agent: 'bird', kind: 'bgp-message', what: 'UPDATE', bytes: 50, cause: 1 }],
      [3, { agent: 'scenario', kind: 'event', what: 'nothing' }],
      [4, { agent: 'bird', kind: 'bgp-message', what: 'UPDATE', bytes: 7 }],
    ])
    diary.tally(20, 1)
    diary.tally(5)
    const event = { ...INPUT.scenario.events[0], atNs: 0 }
    const told = eventDocuments([event, { ...event, atNs: 3 }, { ...event, atNs: 9 }], diary, { eventEntries: [0, 3, undefined], convergence: [] })
    const [reset, nothing, never] = told
    expect([nothing.happened, never.happened, never.entries]).toEqual([true, false, 0])
    expect([reset.entries, reset.convergenceNs, reset.messages]).toEqual([2, 1, { count: 2, bytes: 70 }])
    expect([nothing.convergenceNs, nothing.messages]).toEqual([undefined, { count: 0, bytes: 0 }])
    expect(totalsOf(diary, { states: [], versions: [] }).messages).toEqual({ count: 4, bytes: 82 })
  })

  it('names the delays of agents that took part, and every one that is set', () => {
    const names = REPORT.delays.map(({ name }) => name)
    expect(names).toContain('flannel.leaseTTL')
    expect(names).not.toContain('felix.apply')
    const set = scenarioReport({ ...INPUT, scenario: { ...INPUT.scenario, delays: { 'felix.apply': 5 } } })
    expect(set.delays.find(({ name }) => name === 'felix.apply')).toMatchObject({ ns: 5, set: true })
  })
})

describe('the text', () => {
  it('names nobody where the own kernel says it', () => {
    const spans: ProbeSpan[] = SPANS.map((span) => (span.told === undefined ? span : { ...span, told: { by: 'error of the socket', from: '', afterNs: 0 } }))
    const text = reportText(scenarioReport({ ...INPUT, histories: [{ ...HISTORY, spans }] }), PLAIN).replace(/\s+/g, ' ')
    expect(text).toContain('the sender is told after 0 s: error of the socket')
    expect(text).not.toContain('error of the socket from')
  })

  const text = reportText(REPORT, PLAIN)

  it('answers first, then explains', () => {
    const lines = text.split('\n')
    expect(lines[3]).toMatch(/^ a to b {2}worked 10\.000 s, then black-holed 23 h 59 m 51 s, then refused from 24 h 1 s to the end/)
    expect(text.indexOf('node n2 goes down (dies.yaml:12)')).toBeLessThan(text.indexOf('NEIGHBOR_FAILED'))
    expect(text).toMatch(/24 h 0\.002 s {2}flanneld n1 {2}route to 10\.1\.53\.0\/24 removed\n.*n1 {2}- 10\.1\.53\.0\/24 via/)
  })

  it.each([72, 100, 120])('fits %d columns', (width) => {
    const long = { ...REPORT, probes: REPORT.probes.map((probe) => ({ ...probe, name: 'a client far away to a database' })) }
    const tooLong = reportText(long, { ...PLAIN, width })
      .split('\n')
      .filter((line) => line.length > width)
    expect(tooLong).toEqual([])
  })

  it('has plain letters alone with ascii, and no escapes without colours', () => {
    expect(reportText(REPORT, { ...PLAIN, ascii: true })).toMatch(/^[\n\x20-\x7e]*$/)
    const coloured = reportText(REPORT, { ...PLAIN, color: true })
    // eslint-disable-next-line no-control-regex
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(text)
    expect(coloured).toContain('\u001b[31mblack-holed\u001b[39m')
  })

  it('lets no name of the input steer the terminal', () => {
    const evil = { ...REPORT, probes: [{ ...REPORT.probes[0], name: 'a\u001b[2Jb' }], scenario: { ...REPORT.scenario, name: 'x\u0007' } }
    // eslint-disable-next-line no-control-regex
    expect(reportText(evil, PLAIN)).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  })

  it('sums up a probe that flaps', () => {
    const flapping = scenarioReport({ ...INPUT, histories: [{ ...HISTORY, spans: flaps(50) }] })
    expect(reportText(flapping, PLAIN)).toMatch(/worked 25\.000 s in 25 spans, black-holed .* in 25 spans, at the end black-holed/)
  })

  it('says that nothing was asked where there is no probe', () => {
    expect(reportText({ ...REPORT, probes: [], events: [] }, PLAIN)).toContain('no probe')
  })
})

function flaps(count: number): ProbeSpan[] {
  return Array.from({ length: count }, (_, index) => ({ ...SPANS[index % 2], fromNs: index * SECOND, toNs: index * SECOND, packets: 1, lost: index % 2 }))
}

describe('the picture', () => {
  const svg = reportSvg(REPORT, DIARY.entries)

  it('is well-formed, and the same each time', () => {
    expect(wellFormed(svg)).toEqual([])
    expect(reportSvg(scenarioReport(INPUT), DIARY.entries)).toBe(svg)
  })

  it('has a lane for each probe and for each agent, and tells classes apart by more than a colour', () => {
    expect(svg).toContain('>a to b</text>')
    for (const agent of ['kernel', 'etcd', 'flanneld']) expect(svg).toContain(`>${agent}</text>`)
    expect(svg).toContain('black-holed from 10.000 s for 23 h 59 m 51 s, NEIGHBOR_FAILED at n1; node n2 goes down')
    for (const letter of ['W', 'B', 'R']) expect(svg).toContain(`>${letter}</text>`)
    for (const name of PROBE_CLASSES) expect(svg).toContain(`<pattern id="${name.replace(' ', '-')}"`)
  })

  it('stays inside its frame', () => {
    const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? []
    for (const [, x, w] of svg.matchAll(/<rect x="([\d.-]+)" [^>]*?width="([\d.]+)"/g)) {
      expect(Number(x)).toBeGreaterThanOrEqual(0)
      expect(Number(x) + Number(w)).toBeLessThanOrEqual(Number(width))
    }
    for (const [, y] of svg.matchAll(/<text x="[\d.]+" y="([\d.]+)"/g)) expect(Number(y)).toBeLessThan(Number(height))
  })

  it('escapes what the input names', () => {
    const evil: ScenarioReport = { ...REPORT, probes: [{ ...REPORT.probes[0], name: '<script>&"\u0001' }] }
    expect(wellFormed(reportSvg(evil, []))).toEqual([])
    expect(reportSvg(evil, [])).toContain('&lt;script&gt;&amp;&quot;')
  })

  it('draws a hundred events and no probe', () => {
    const events = Array.from({ length: 100 }, (_, index) => ({ ...REPORT.events[0], atNs: index * SECOND }))
    expect(wellFormed(reportSvg({ ...REPORT, probes: [], events }, []))).toEqual([])
  })
})

/** Tags that do not match, and letters that XML has not. */
function wellFormed(text: string): string[] {
  const open: string[] = []
  const wrong: string[] = []
  for (const [tag, closing, name, self] of text.matchAll(/<(\/?)([a-zA-Z]+)(?:\s+[\w:-]+="[^"<]*")*\s*(\/?)>/g)) {
    if (closing !== '') {
      if (open.pop() !== name) wrong.push(tag)
    } else if (self === '') open.push(name)
  }
  const rest = text.replace(/<(\/?)([a-zA-Z]+)(?:\s+[\w:-]+="[^"<]*")*\s*(\/?)>/g, '')
  // eslint-disable-next-line no-control-regex
  return [...wrong, ...open, ...(/[<\u0000-\u0008]|&(?!(amp|lt|gt|quot|#10);)/.exec(rest) ?? [])]
}

const EVERYTHING: RowFilter = { agents: [], kinds: [], all: true }
const CHANGE: KernelRow = {
  atNs: 24 * HOUR + 2e6,
  agent: 'kernel',
  kind: 'route',
  node: 'n1',
  netns: 'n1',
  what: '- 10.1.53.0/24 via 10.1.53.0 dev flannel.1 onlink',
}

describe('the diary', () => {
  const idsOf = (filter: Partial<RowFilter>): (number | 'kernel')[] =>
    timelineRows(DIARY.entries, [CHANGE], { ...EVERYTHING, ...filter }).map((row) => ('id' in row ? row.id : 'kernel'))

  it.each([
    [{}, [0, 1, 2, 3, 4, 5, 6, 'kernel']],
    [{ node: 'n1' }, [0, 2, 4, 6, 'kernel']],
    [{ agents: ['kernel', 'etcd'] }, [3, 5, 'kernel']],
    [{ kinds: ['route'] }, [6, 'kernel']],
    [{ object: '10.1.53.0/24' }, [1, 5, 6, 'kernel']],
    [{ fromNs: 0, toNs: 23 * HOUR }, [2, 3, 4]],
  ] as const)('of %j', (filter, ids) => expect(idsOf(filter)).toEqual(ids))

  it.each(['np/shop/deny', 'NetworkPolicy/shop/deny', 'networkpolicies/shop/deny'])('knows an object by whichever word for its kind: %s', (object) => {
    const { entries } = diaryOf([
      [0, { agent: 'scenario', kind: 'event', what: 'np/shop/deny is deleted' }],
      [1, { agent: 'api-server', kind: 'object', object: 'NetworkPolicy/shop/deny', what: 'it is gone' }],
      [2, { agent: 'api-server', kind: 'object', object: 'NetworkPolicy/shop/other', what: 'another' }],
    ] as Parameters<typeof diaryOf>[0])
    expect(timelineRows(entries, [], { ...EVERYTHING, object })).toHaveLength(2)
  })

  it('leaves out what agents hear unless it is asked for', () => {
    const { entries } = diaryOf([[0, { agent: 'flanneld', kind: 'watch', what: 'heard of a lease' }]])
    expect(timelineRows(entries, [], { ...EVERYTHING, all: false })).toEqual([])
    expect(timelineRows(entries, [], { ...EVERYTHING, all: false, kinds: ['watch'] })).toHaveLength(1)
  })

  it('is a line each, with times that --at reads', () => {
    const text = diaryText(timelineRows(DIARY.entries, [CHANGE], EVERYTHING), { color: false, ascii: true })
    expect(text.split('\n').slice(0, 4)).toEqual([
      '     TIME  NODE  AGENT     BYTES  WHAT',
      '  -2.000s  n1    flanneld         flanneld starts',
      '  -1.000s  n2    flanneld         lease 10.1.53.0/24 taken',
      '  10.000s  n2    scenario         node n2 goes down (dies.yaml:12)',
    ])
    expect(text).toContain('24h0.002s  n1    kernel           - 10.1.53.0/24 via 10.1.53.0 dev flannel.1 onlink\n')
    expect(diaryText([], { color: false, ascii: true })).toBe('')
  })
})

describe('a probe without packets', () => {
  it('is told as one', () => {
    const empty = scenarioReport({
      ...INPUT,
      diary: new Diary(() => 0, { keepsWatches: false }),
      histories: [{ probe: PROBE, spans: [], packets: 0, lost: 0, walked: 0 }],
    })
    expect(reportText(empty, PLAIN)).toContain('a to b  sent nothing')
    expect(wellFormed(reportSvg(empty, []))).toEqual([])
  })
})
