/**
 * The small cases once more, on netsim alone: who sees frames of which length in which order, who loses what and why. The file beside them is
 * what a kernel did too: test/real-kernel/fuzz.test.ts plays the same cases there and finds no difference.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { isPrediction, predict, type Prediction } from '../../src/kernel/prediction.js'
import { networkOf } from '../kit/network.js'
import { requestOf } from './play.js'
import { manifestOf, type WorldDraft } from './random-world.js'

const CASES = new URL('./cases/', import.meta.url)

function linesOf({ outcome, frames, drops }: Prediction): readonly string[] {
  return [
    `  ${outcome.disposition}`,
    ...frames.map(({ netns, device, direction, bytes }) => `    ${netns} ${device} ${direction} ${bytes.length}`),
    ...drops.map(({ netns, reason }) => `    ${netns} loses it: ${reason}`),
  ]
}

it('the small cases are what a kernel made of them', async () => {
  const lines: string[] = []
  for (const name of readdirSync(CASES).filter((file) => file.endsWith('.json'))) {
    const draft = JSON.parse(readFileSync(new URL(name, CASES), 'utf8')) as WorldDraft
    const network = networkOf(manifestOf(draft))
    lines.push(name)
    for (const probe of draft.probes) {
      const prediction = predict(network, requestOf(probe))
      if (!isPrediction(prediction)) throw new Error(`${name}: ${JSON.stringify(prediction)}`)
      lines.push(...linesOf(prediction))
    }
  }
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('./cases.txt')
})
