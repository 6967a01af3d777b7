/**
 * Random worlds on netsim and on the real kernel of this machine. Root only.
 *
 * usage: npm run fuzz:kernel -- --seeds FIRST..LAST [--probes N] [--show]
 * One line for each world that differs (its seed, the probe, what), then how many were equal; exit status 1 when any differed.
 */
import { formatProblem } from '../../src/base/problem.js'
import { play } from './play.js'
import { randomWorld } from './random-world.js'

interface Options {
  readonly first: number
  readonly last: number
  readonly probes: number
  readonly show: boolean
}

function optionsOf(words: readonly string[]): Options {
  const value = (name: string, fallback: string): string => (words.includes(name) ? (words[words.indexOf(name) + 1] ?? '') : fallback)
  const [first, last] = value('--seeds', '1..25').split('..').map(Number)
  return { first, last: last ?? first, probes: Number(value('--probes', '10')), show: words.includes('--show') }
}

const { first, last, probes: count, show } = optionsOf(process.argv.slice(2))
const total = { worlds: 0, probes: 0, frames: 0, differ: 0, skipped: 0 }
for (let seed = first; seed <= last; seed++) {
  const draft = randomWorld(seed, { probes: count })
  const { probes, problems } = await play(draft, { prefix: `netsim-fuzz-${process.pid}-` })
  total.worlds++
  for (const problem of problems) console.log(`seed ${seed}: ${formatProblem(problem)}`)
  if (problems.length > 0) total.differ++
  total.skipped += draft.probes.length - probes.length
  for (const probe of probes) {
    total.probes++
    total.frames += probe.frames.predicted
    if (probe.verdict === 'equal') continue
    total.differ++
    console.log(`seed ${seed} probe ${probe.name}\n  ${probe.disposition}, ${probe.frames.equal} of ${probe.frames.predicted} frames equal, ${probe.frames.captured} captured ${probe.error} ${probe.why}`)
    for (const { netns, device, direction, kind, what, stepText } of probe.differences.slice(0, 3)) console.log(`  ${kind} ${netns} ${device} ${direction}: ${what} [${stepText}]`)
    if (probe.drops.equal === false) console.log(`  drops: ${probe.drops.why}`)
    if (probe.rules.equal === false) console.log(`  rules: ${probe.rules.what}`)
  }
  if (show) console.log(JSON.stringify(draft, null, 1))
}
const { worlds, probes, frames, differ, skipped } = total
console.log(`${worlds} worlds, ${probes} probes (${skipped} not played), ${frames} frames: ${differ} differ`)
process.exitCode = differ > 0 ? 1 : 0
