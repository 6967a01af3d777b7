/** The other forms of a trace: minimal (frozen), wide, jsonl, mermaid. On traces by hand and by the simulation, and with names that mean harm. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { HopDocument, LegDocument, TraceDocument } from '../../src/analysis/trace-document.js'
import { traceJsonLines } from '../../src/analysis/trace-jsonl.js'
import { traceMermaid } from '../../src/analysis/trace-mermaid.js'
import { traceMinimal } from '../../src/analysis/trace-minimal.js'
import { tracePcap } from '../../src/analysis/trace-pcap.js'
import { traceWide } from '../../src/analysis/trace-wide.js'
import { readPcapng } from '../wire/pcapng-reader.js'
import { ALLOWED, BLACKHOLE, DENIED, FRAGMENTED, hop } from './documents.js'

const ALL: readonly [name: string, document: TraceDocument][] = [
  ['allowed', ALLOWED],
  ['denied', DENIED],
  ['fragmented', FRAGMENTED],
  ['black hole', BLACKHOLE],
]

/** Names that a file could hold, and that would steer a terminal, a table, a diagram. */
const harm = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }),
  fc.string({
    unit: fc.constantFrom(';', '#', '<', '>', '%', '"', '`', ':', '\n', '\r', '\u2028', ' ', '\t', '\u001b', 'end', '->>', '<br/>', '😀'),
    minLength: 1,
    maxLength: 12,
  }),
  fc.constant('a'.repeat(253)),
)

function renamed(document: TraceDocument, name: string, text: string): TraceDocument {
  const change = (leg: LegDocument): LegDocument => ({
    ...leg,
    hops: leg.hops.map((one): HopDocument => ({
      ...one,
      ...(one.pod === undefined ? {} : { pod: name, netns: name }),
      node: one.pod === undefined ? one.node : name,
      steps: one.steps.map((step) => ({ ...step, text, at: { ...step.at, device: name } })),
    })),
    frames: leg.frames.map((frame) => ({ ...frame, device: name })),
  })
  const { request, result } = document
  return {
    ...document,
    request: { ...request, source: { ...request.source, name } },
    result: { ...result, cause: text },
    forward: change(document.forward),
    reply: document.reply === null ? null : change(document.reply),
  }
}

/** What the simulation gives of them stands in docs/output.md and is held there. */
describe('-o minimal', () => {
  it('is frozen: flannel udp', () => {
    expect(traceMinimal(ALLOWED).split('\n')).toEqual([
      'netsim-minimal 1',
      'request icmp default/a1 10.1.64.2 default/b1 10.1.44.2 length 84 ttl 64',
      'forward n1 ttl 64 63',
      'forward n1 ttl 63 62',
      'forward n1 encap ? +28',
      'forward n2 decap -28',
      'forward n2 ttl 62 61',
      'forward n2 ttl 61 60',
      'forward default/b1 end DELIVERED',
      'reply default/b1 answer icmp 0/0 10.1.44.2 10.1.64.2',
      'reply n2 ttl 64 63',
      'reply default/a1 end DELIVERED',
      'outcome DELIVERED',
      '',
    ])
  })

  it('is frozen: a rule that drops', () => {
    expect(traceMinimal(DENIED).split('\n')).toEqual([
      'netsim-minimal 1',
      'request tcp default/a1 10.1.64.2:40000 default/b1 10.1.44.2:8080 length 60 ttl 64',
      'forward n1 ttl 64 63',
      'forward n1 end DENIED',
      'outcome DENIED',
      '',
    ])
  })

  it('is frozen: fragments', () => {
    const leg = traceMinimal(FRAGMENTED)
      .split('\n')
      .filter((line) => line.startsWith('forward'))
    expect(leg).toEqual(['forward default/a1 fragment 1', 'forward default/b1 end DELIVERED'])
  })

  it('is frozen: address translation, its port drawn by chance', () => {
    const nat = { before: { src: '10.1.64.2', sport: 40000 }, after: { src: '192.168.10.11', sport: 61111 } }
    const forward: LegDocument = {
      ...DENIED.forward,
      hops: [
        hop({ node: 'n1', timeNs: 0 }, 1, [
          ['nat', 'DNAT', 'x', { before: { dst: '10.96.0.1', dport: 80 }, after: { dst: '10.1.44.2', dport: 8080 } }],
          ['nat', 'SNAT', 'x', nat],
          ['nat', 'SNAT', 'x', { before: { src: '10.1.64.2' }, after: { src: '192.168.10.11' } }],
        ]),
      ],
    }
    const reply: LegDocument = {
      disposition: 'DELIVERED',
      frames: [],
      hops: [
        hop({ node: 'n1', timeNs: 9 }, 4, [
          ['nat', 'DNAT', 'x', { before: { dst: '192.168.10.11', dport: 61111 }, after: { dst: '10.1.64.2', dport: 40000 } }],
        ]),
      ],
    }
    const lines = traceMinimal({ ...DENIED, forward, reply })
      .split('\n')
      .slice(2)
    expect(lines).toEqual([
      'forward n1 dst 10.96.0.1:80 10.1.44.2:8080',
      'forward n1 src 10.1.64.2:40000 192.168.10.11:*',
      'forward n1 src 10.1.64.2 192.168.10.11',
      'forward n1 end DENIED',
      'reply n1 dst 192.168.10.11:* 10.1.64.2:40000',
      'reply n1 end DELIVERED',
      'outcome DENIED',
      '',
    ])
  })

  it.each(ALL)('%s: words of people, times, numbers and rules do not show in it', (_name, document) => {
    const reworded = JSON.parse(
      JSON.stringify(document, (key, value: unknown) => {
        if (key === 'text' || key === 'cause' || key === 'client') return 'other words'
        if (key === 'provenance' || key === 'rules' || key === 'tried' || key === 'fixes' || key === 'warnings') return undefined
        return key === 'n' || key === 'timeNs' ? (value as number) * 7 : value
      }),
    ) as TraceDocument
    expect(traceMinimal(reworded)).toBe(traceMinimal(document))
  })

  it('has one thing a line and words without blanks, whatever the names', () => {
    fc.assert(
      fc.property(harm, harm, fc.constantFrom(...ALL.map(([, document]) => document)), (name, text, document) => {
        const lines = traceMinimal(renamed(document, name, text)).split('\n')
        expect(lines.pop()).toBe('')
        expect(lines[0]).toBe('netsim-minimal 1')
        expect(lines[1]).toMatch(/^request \S+ \S+ \S+ \S+ \S+ length \d+ ttl \d+( df)?$/)
        expect(lines.at(-1)).toMatch(/^outcome [A-Z_]+$/)
        for (const line of lines.slice(2, -1)) {
          expect(line).toMatch(/^(forward|reply) \S+ (ttl|src|dst|encap|decap|fragment|defragment|answer|end) \S.*$/)
          expect(line).not.toMatch(/\p{Cc}/u)
        }
      }),
    )
  })
})

describe('-o wide', () => {
  it.each(ALL)('%s: a row for each step, in columns that awk can count', (_name, document) => {
    const lines = traceWide(document, { ascii: false }).trimEnd().split('\n')
    const steps = [document.forward, document.reply].flatMap((leg) => leg?.hops ?? []).flatMap(({ steps: all }) => all)
    expect(lines).toHaveLength(steps.length + 1)
    const heading = lines[0].split(/ +/).filter((word) => word !== '')
    expect(heading).toEqual(['STEP', 'TIME(us)', 'LEG', 'NODE', 'NETNS', 'DEVICE', 'KIND', 'ACTION', 'TTL', 'LENGTH', 'FRAME', 'MARK', 'WHAT'])
    lines.slice(1).forEach((line, index) => {
      const words = line.trim().split(/ +/)
      const { n, kind, action, length, text } = steps[index]
      expect([words[0], words[6], words[7], words[9]]).toEqual([`${n}`, kind, action, `${length ?? '-'}`])
      expect(line.endsWith(text)).toBe(true)
      expect(line.indexOf(text)).toBeGreaterThanOrEqual(lines[0].indexOf('WHAT'))
    })
  })

  it('cuts nothing and keeps to a line, whatever the names', () => {
    fc.assert(
      fc.property(harm, (name) => {
        const lines = traceWide(renamed(ALLOWED, name, name), { ascii: true })
          .trimEnd()
          .split('\n')
        expect(lines).toHaveLength(25)
        for (const line of lines) expect(line).toMatch(/^[ -~]+$/)
      }),
    )
  })

  it('shows a mark as the kernel prints it', () => {
    const forward = {
      ...DENIED.forward,
      hops: [hop({ node: 'n1', timeNs: 1500 }, 1, [['route', 'OUT', 'x', { mark: 0x80004000, ttl: 63, length: 60, timeNs: 1501 }]])],
    }
    const [, row] = traceWide({ ...DENIED, forward }, { ascii: false }).split('\n')
    expect(row.trim().split(/ +/)).toEqual(['1', '1.501', 'forward', 'n1', 'n1', '-', 'route', 'OUT', '63', '60', '-', '0x80004000', 'x'])
  })
})

/** What may stand in a label: letters, digits, signs that Mermaid passes on, its entity codes, and line breaks of ours. */
const LABEL = String.raw`(?:[\p{L}\p{N} ./:,()+→×=_-]|#\d+;|<br/>)+`
const STATEMENTS = [
  /^sequenceDiagram$/u,
  new RegExp(`^ {2}box transparent ${LABEL}$`, 'u'),
  new RegExp(`^ {2,4}participant p\\d+ as (pod|host|router) ?${LABEL}$`, 'u'),
  /^ {2}end$/u,
  new RegExp(`^ {2}Note over p\\d+: ${LABEL}$`, 'u'),
  new RegExp(`^ {2}p\\d+(->>|-->>|-x|--x)p\\d+: ${LABEL}$`, 'u'),
]

describe('-o mermaid', () => {
  it.each(ALL)('%s: boxes for machines, then what happened', (_name, document) => {
    const lines = traceMermaid(document).trimEnd().split('\n')
    for (const line of lines)
      expect(
        STATEMENTS.some((form) => form.test(line)),
        line,
      ).toBe(true)
    expect(lines.filter((line) => line.startsWith('  box')).length).toBe(lines.filter((line) => line === '  end').length)
    const used = lines.flatMap((line) => [...line.matchAll(/(?:over |^ {2}|>>|x)(p\d+)/g)].map(([, id]) => id))
    const known = lines.flatMap((line) => /participant (p\d+)/.exec(line)?.[1] ?? [])
    expect(used.filter((id) => !known.includes(id))).toEqual([])
  })

  it('draws a loss as a cross where it happened, with its cause', () => {
    expect(traceMermaid(DENIED)).toMatch(/\n {2}p2-xp2: forward DENIED<br\/>a rule of filter\/FORWARD on n1 drops tcp to port 8080\n$/)
    expect(traceMermaid(ALLOWED)).not.toContain('-x')
  })

  it('names mean no harm to it', () => {
    fc.assert(
      fc.property(harm, harm, fc.constantFrom(...ALL.map(([, document]) => document)), (name, text, document) => {
        for (const line of traceMermaid(renamed(document, name, text))
          .trimEnd()
          .split('\n'))
          expect(
            STATEMENTS.some((form) => form.test(line)),
            line,
          ).toBe(true)
      }),
    )
  })
})

describe('-o jsonl', () => {
  it.each(ALL)('%s: a JSON object a line', (_name, document) => {
    const events = traceJsonLines(document)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string })
    const count = (event: string): number => events.filter((one) => one.event === event).length
    const legs = [document.forward, document.reply].flatMap((leg) => (leg === null ? [] : [leg]))
    expect([count('trace'), count('result')]).toEqual([1, 1])
    expect(count('step')).toBe(legs.flatMap(({ hops }) => hops.flatMap(({ steps }) => steps)).length)
    expect(count('frame')).toBe(legs.flatMap(({ frames }) => frames).length)
  })
})

describe('--pcap of a document without its devices', () => {
  it('tells by the bytes which frames have no Ethernet header', () => {
    const { interfaces, packets } = readPcapng(tracePcap(ALLOWED))
    expect(interfaces.filter(({ linkType }) => linkType === 101).map(({ name }) => name)).toEqual(['n1/flannel0', 'n2/flannel0'])
    expect(packets).toHaveLength(ALLOWED.forward.frames.length + (ALLOWED.reply?.frames.length ?? 0))
    expect(interfaces.every(({ description, mac }) => description === undefined && mac === undefined)).toBe(true)
  })

  it('names mean no harm to it', () => {
    fc.assert(
      fc.property(harm, harm, (name, text) => {
        const { packets } = readPcapng(tracePcap(renamed(ALLOWED, name, text)))
        expect(packets).toHaveLength(20)
        // tshark prints them as they are
        expect(packets.flatMap(({ comments }) => comments).filter((comment) => /\p{Cc}/u.test(comment))).toEqual([])
      }),
    )
  })
})
