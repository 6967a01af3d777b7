/** Same input, same seed, same bytes: the whole JSON of a trace, asked twice, in another order, of a network built anew. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Prng } from '../../src/base/prng.js'
import type { Network } from '../../src/network/network.js'
import { bytesOf, viewOf } from '../kit/frame-view.js'
import { answer, networkOf, type Ask } from '../kit/network.js'

const EXAMPLES = new URL('../../examples/', import.meta.url)
const TRACES = 100

interface Question {
  readonly example: string
  readonly source: string
  readonly destination: string
  readonly ask: Ask
}

const texts = new Map(
  readdirSync(EXAMPLES)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => [file, readFileSync(new URL(file, EXAMPLES), 'utf8')]),
)

function pick<Item>(prng: Prng, items: readonly Item[]): Item {
  return items[prng.below(items.length)]
}

function drawQuestions(count: number): Question[] {
  const prng = new Prng(20260)
  const ends = new Map(
    [...texts].map(([file, text]) => {
      const network = networkOf(text)
      return [file, [...network.pods.map(({ pod }) => `${pod.namespace}/${pod.name}`), ...network.nodeNames.map((name) => `node/${name}`)]] as const
    }),
  )
  return Array.from({ length: count }, () => {
    const example = pick(prng, [...texts.keys()])
    const names = ends.get(example) ?? []
    const proto = pick(prng, ['icmp', 'tcp', 'udp'] as const)
    const to = pick(prng, [...names, ...names, '10.1.99.9', '203.0.113.7'])
    const size = proto === 'tcp' ? pick(prng, [undefined, 100, 1400]) : pick(prng, [undefined, 100, 1400, 1500, 3000])
    const ask: Ask = {
      proto,
      sport: 1024 + prng.below(60000),
      df: prng.below(4) === 0,
      ttl: pick(prng, [64, 64, 64, 1, 2, 3, 4]),
      cold: prng.below(3) === 0,
      listen: prng.below(2) === 0,
      seed: prng.below(1000),
      level: prng.below(2),
      ...(size === undefined ? {} : { size }),
    }
    return { example, source: pick(prng, names), destination: proto === 'icmp' ? to : `${to}:${pick(prng, [53, 80, 8080, 9000])}`, ask }
  })
}

function fingerprint(network: Network, { source, destination, ask }: Question): string {
  return createHash('sha256')
    .update(JSON.stringify(answer(network, source, destination, ask).document))
    .digest('hex')
}

const questions = drawQuestions(TRACES)

function askAll(order: readonly number[], networks: (question: Question) => Network): string[] {
  const found: string[] = []
  for (const index of order) found[index] = fingerprint(networks(questions[index]), questions[index])
  return found
}

/** One network for all questions of an example and a seed: what a question leaves behind would show in the next. */
function shared(): (question: Question) => Network {
  const networks = new Map<string, Network>()
  return ({ example, ask }) => {
    const key = `${example} ${ask.seed}`
    const known = networks.get(key)
    if (known !== undefined) return known
    const network = networkOf(texts.get(example) ?? '', { seed: ask.seed ?? 1 })
    networks.set(key, network)
    return network
  }
}

const inOrder = questions.map((_, index) => index)

describe(`${TRACES} random traces over the examples`, { timeout: 180_000 }, () => {
  const first = askAll(inOrder, shared())

  it('are not all one', () => expect(new Set(first).size).toBeGreaterThan(TRACES * 0.9))

  it('hash alike the second time', () => expect(askAll(inOrder, shared())).toEqual(first))

  it('hash alike backwards, of one network each: no question leaves a trace in the next', () => {
    const networks = new Map<string, Network>()
    const one = ({ example }: Question): Network => {
      const known = networks.get(example) ?? networkOf(texts.get(example) ?? '')
      networks.set(example, known)
      return known
    }
    const forwards = askAll(inOrder, one)
    networks.clear()
    expect(askAll([...inOrder].reverse(), one)).toEqual(forwards)
  })

  it('hash alike of networks built anew for each', () => {
    expect(askAll(inOrder, ({ example, ask }) => networkOf(texts.get(example) ?? '', { seed: ask.seed ?? 1 }))).toEqual(first)
  })
})

describe('another seed', () => {
  const text = texts.get('flannel-udp.yaml') ?? ''

  it('changes chance fields and nothing else', () => {
    const asked = [1, 2].map((seed) => answer(networkOf(text), 'pod-a', 'pod-b', { seed }).document)
    const shape = (index: number): unknown =>
      asked[index].forward.frames.map(({ netns, device, direction, length, timeNs }) => [netns, device, direction, length, timeNs])
    expect(shape(0)).toEqual(shape(1))
    expect(asked[0].forward.frames.map(({ hex }) => hex)).not.toEqual(asked[1].forward.frames.map(({ hex }) => hex))
  })
})

/** A VXLAN source port is chance, and each host's chance hangs on its place in the list. */
describe('the order of the documents', () => {
  it.each(['flannel-udp.yaml', 'flannel-vxlan.yaml', 'flannel-host-gw.yaml'])(
    '%s: where every address is given, pods and nodes may stand in any order',
    (file) => {
      const documents = (texts.get(file) ?? '').split(/^---\n/m).map((document) => `${document.trimEnd()}\n`)
      const frames = (text: string): unknown => {
        const network = networkOf(text)
        const [from, to] = network.pods.map(({ pod }) => `${pod.namespace}/${pod.name}`).sort()
        const { document } = answer(network, from, to, { proto: 'icmp' })
        return [...document.forward.frames, ...(document.reply?.frames ?? [])].map(({ hex, netns, device }) => [
          netns,
          device,
          viewOf(bytesOf(hex), device === 'flannel0'),
        ])
      }
      expect(frames([...documents].reverse().join('---\n'))).toEqual(frames(documents.join('---\n')))
    },
  )
})
