/** The picture of a path: well-formed, the same bytes each time, nothing on top of anything else, and true to the frames. */
import { describe, expect, it } from 'vitest'
import { pathRuns, stepNumbers } from '../../src/analysis/path-stations.js'
import { pathSvg } from '../../src/analysis/path-svg.js'
import type { TraceDocument } from '../../src/analysis/trace-document.js'
import { ALLOWED, BLACKHOLE, DENIED, FRAGMENTED, hop, recordedFrames } from './documents.js'

/** a1 to a2 on one host: docker0 carries it from port to port and shows on no tap. */
const SAME_NODE: TraceDocument = {
  ...ALLOWED,
  forward: {
    disposition: 'DELIVERED',
    frames: recordedFrames('flannel-udp', 9, ['a1', 'a2']).slice(0, 4),
    hops: [
      hop({ node: 'n1', pod: 'default/a1', timeNs: 0 }, 1, [['send', 'SENT', 'mtu 1472', { at: { device: 'eth0' } }]]),
      hop({ node: 'n1', timeNs: 1000 }, 2, [['bridge', 'FORWARD', 'from veth-a1 to veth-a2', { at: { device: 'docker0' } }]]),
      hop({ node: 'n1', pod: 'default/a2', timeNs: 1000000 }, 3, [['socket', 'DELIVERED', 'ICMP echo']]),
    ],
  },
}

const THROUGH_ROUTER = hop({ node: 'router/r0', timeNs: 500000 }, 40, [
  ['receive', 'RECEIVED', 'for us', { at: { device: 'eth0' }, frameLength: 126 }],
  ['send', 'SENT', 'mtu 1500', { at: { device: 'eth1' }, frameLength: 126 }],
])

/** Two hosts in two segments, a router between. */
const ROUTED: TraceDocument = {
  ...ALLOWED,
  forward: {
    ...ALLOWED.forward,
    hops: ALLOWED.forward.hops.flatMap((stay, index) => (index === 1 ? [stay, THROUGH_ROUTER] : [stay])),
  },
}

const ALL: readonly [name: string, document: TraceDocument][] = [
  ['allowed', ALLOWED],
  ['denied', DENIED],
  ['fragmented', FRAGMENTED],
  ['black hole', BLACKHOLE],
  ['one host', SAME_NODE],
  ['routed', ROUTED],
]

const titles = (document: TraceDocument): string[][] => pathRuns(document).map((run) => run.stations.map((station) => station.title))

describe('stations', () => {
  it('are the devices of the recorded frames, with flanneld behind its TUN', () => {
    expect(titles(ALLOWED)).toEqual([
      ['pod default/a1', 'veth-a1', 'docker0', 'flannel0', 'flanneld', 'eth0'],
      ['eth0', 'flanneld', 'flannel0', 'docker0', 'veth-b1', 'pod default/b1'],
    ])
  })

  it('carry the size and the TTL that the frames have there', () => {
    const facts = pathRuns(ALLOWED).flatMap((run) => run.stations.map(({ lengths, ttl, outerTtl }) => [lengths.join(), ttl, outerTtl]))
    expect(facts).toEqual([
      ['98', 64, undefined],
      ['98', 64, undefined],
      ['98', 64, undefined],
      ['84', 63, undefined],
      ['', undefined, undefined],
      ['126', 62, 64],
      ['126', 62, 64],
      ['', undefined, undefined],
      ['84', 61, undefined],
      ['98', 60, undefined],
      ['98', 60, undefined],
      ['98', 60, undefined],
    ])
  })

  it('hold each step of the forward leg once', () => {
    for (const [, document] of ALL) {
      const held = pathRuns(document).flatMap((run) => run.stations.flatMap((station) => station.steps.map((step) => step.n)))
      expect(new Set(held).size).toBe(held.length)
    }
    const held = pathRuns(ALLOWED).flatMap((run) => run.stations.flatMap((station) => station.steps.map((step) => step.n)))
    expect(held.sort((a, b) => a - b)).toEqual(Array.from({ length: 18 }, (_, index) => index + 1))
  })

  it('a bridge between two ports stands between them', () => {
    expect(titles(SAME_NODE)).toEqual([['pod default/a1', 'veth-a1', 'docker0', 'veth-a2', 'pod default/a2']])
  })

  it('a loss is the last station, of the machine that lost it', () => {
    expect(titles(DENIED)).toEqual([['pod default/a1', 'DENIED']])
    expect(titles(BLACKHOLE)).toEqual([['pod default/a1', 'flannel.1', 'BLACKHOLE']])
  })

  it('a router is a machine of its own', () => {
    expect(titles(ROUTED)[1]).toEqual(['eth0', 'eth1'])
    expect(pathRuns(ROUTED).map((run) => run.role)).toEqual(['host', 'router', 'host'])
  })

  it('step numbers are told as ranges', () => {
    const steps = [3, 1, 2, 7, 9, 8, 12].map((n) => ({ n, kind: 'route', action: '', text: '' }))
    expect(stepNumbers(steps)).toBe('1-3, 7-9, 12')
  })
})

interface Rectangle {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** The stations: the rectangles 50 high. */
function boxes(svg: string): Rectangle[] {
  const found = [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="50"/g)]
  return found.map(([, x, y, width]) => ({ x: Number(x), y: Number(y), width: Number(width), height: 50 }))
}

describe.each(ALL)('the picture: %s', (_, document) => {
  const svg = pathSvg(document)

  it('is the same each time, fetches nothing and brings its own background', () => {
    expect(pathSvg(document)).toBe(svg)
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|url\((?!#)|<script|<image|@import/)
    expect(svg).toMatch(/<rect x="0\.5" y="0\.5" [^>]*fill="#fbfcfd"/)
  })

  it('is well-formed', () => {
    const open: string[] = []
    for (const [, closing, name, selfClosing] of svg.matchAll(/<(\/?)([a-z]+)(?:\s[^<>]*?)?(\/?)>/gi)) {
      if (closing !== '') expect(open.pop()).toBe(name)
      else if (selfClosing === '') open.push(name)
    }
    expect(open).toEqual([])
    expect(svg.replace(/<[^<>]*>/g, '')).not.toMatch(/[<>]|&(?!(amp|lt|gt|quot);)/)
  })

  it('puts no station on another, and all inside the frame', () => {
    const all = boxes(svg)
    const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? []
    expect(all).toHaveLength(pathRuns(document).flatMap((run) => run.stations).length)
    for (const [index, a] of all.entries()) {
      expect(a.x >= 0 && a.y >= 0 && a.x + a.width <= Number(width) && a.y + a.height <= Number(height)).toBe(true)
      for (const b of all.slice(index + 1)) expect(a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + 50 <= b.y || b.y + 50 <= a.y).toBe(true)
    }
  })

  it('names every station and the verdict', () => {
    for (const title of titles(document).flat()) expect(svg).toContain(`>${title}</text>`)
    expect(svg).toContain(`>${document.disposition}`)
  })
})

it('escapes what files may say', () => {
  const hostile = pathSvg({ ...ALLOWED, request: { ...ALLOWED.request, source: { name: '<script>&"', address: '10.0.0.1', node: 'n1' } } })
  expect(hostile).not.toContain('<script')
  expect(hostile).toContain('&lt;script&gt;&amp;&quot;')
})
