/** What the last socket took: an open UDP port and the asking end of a ping say nothing in frames. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { hearingDifference } from '../../src/kernel/hearing.js'
import { judge, type Judged } from '../../src/kernel/judge.js'
import { isPrediction, predict, type Prediction } from '../../src/kernel/prediction.js'
import { summaryOf, verdictOf } from '../../src/kernel/verify.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import { networkOf, type Ask } from '../kit/network.js'

const network = (name: string) => networkOf(readFileSync(`examples/${name}.yaml`, 'utf8'))
const firewall = network('flannel-firewall')

function predicted(of: typeof firewall, [source, destination]: readonly [string, string], ask: Ask = {}): Prediction {
  const result = predict(of, { ...DEFAULT_REQUEST, source, destination, ...ask })
  if (!isPrediction(result)) throw new Error(JSON.stringify(result))
  return result
}

const PING = predicted(firewall, ['web-0', 'api-0'])
const OPEN = predicted(firewall, ['web-0', 'node/node-2:7000'], { proto: 'udp', listen: true })
const CLOSED = predicted(firewall, ['web-0', 'node/node-2:9'], { proto: 'udp' })

describe('what a socket took', () => {
  it('as predicted', () => {
    expect([PING, OPEN, CLOSED].map(({ outcome }) => outcome.disposition)).toEqual(['DELIVERED', 'DELIVERED', 'NO_SOCKET'])
    expect(hearingDifference(PING, ['default/web-0'])).toBeUndefined()
    expect(hearingDifference(OPEN, ['node-2'])).toBeUndefined()
    expect(hearingDifference(CLOSED, [])).toBeUndefined()
  })

  it('lost at the last netns, where all frames are equal', () => {
    const seen: Judged = { frames: OPEN.frames, error: '', drops: null, dropsWhy: 'legacy', rules: null, rulesWhy: 'legacy', lost: 0 }
    expect(judge('udp', OPEN, { ...seen, heard: ['node-2'] }).verdict).toBe('equal')
    expect(judge('udp', OPEN, { ...seen, heard: [] })).toMatchObject({
      verdict: 'differs',
      frames: { predicted: OPEN.frames.length, equal: OPEN.frames.length },
      differences: [{ kind: 'missing', netns: 'node-2', device: 'eth0', what: expect.stringContaining('a socket takes the datagram') }],
    })
    expect(hearingDifference(PING, [])).toMatchObject({ kind: 'missing', netns: 'default/web-0', what: expect.stringContaining('the echo reply') })
  })

  it('taken where a loss is predicted', () => {
    const where = CLOSED.document.forward.hops.at(-1)?.netns ?? ''
    expect(hearingDifference(CLOSED, [where])).toMatchObject({ kind: 'extra', netns: where, what: expect.stringContaining('NO_SOCKET') })
  })

  it('taken by another than it was for is a verdict and no loss', () => {
    const ambiguous = network('docker-only')
    const udp = predicted(ambiguous, ['pod-a', 'pod-b:8080'], { proto: 'udp' })
    expect(udp.outcome.disposition).toBe('AMBIGUOUS')
    expect(hearingDifference(udp, ['default/pod-a'])).toBeUndefined()
  })

  it('an echo reply that is lost on its way back is not heard', () => {
    const alloc = predicted(network('flannel-alloc'), ['forgotten', 'client'])
    expect(alloc.outcome.disposition).toBe('REPLY_LOST')
    expect(hearingDifference(alloc, [])).toBeUndefined()
    expect(hearingDifference(alloc, ['default/forgotten'])).toMatchObject({ kind: 'extra' })
  })
})

it('where nothing could be asked nothing is proven', () => {
  expect(verdictOf(summaryOf([]), [])).toBe('incomplete')
})
