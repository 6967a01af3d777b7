/** One world's draft → what differed, in words: plain data that a job can hand over as a line of JSON. */
import { formatProblem } from '../../src/base/problem.js'
import type { ProbeDocument } from '../../src/kernel/verify-report.js'
import { play } from './play.js'
import type { WorldDraft } from './random-world.js'

export interface WorldResult {
  readonly seed: number
  readonly probes: number
  readonly frames: number
  /** One text for each probe that differs, and each thing that is wrong with the world. */
  readonly failures: readonly string[]
  /** Why probes were not played. */
  readonly unplayed: readonly string[]
}

const MOST_DIFFERENCES = 3

let played = 0

export async function playWorld(draft: WorldDraft): Promise<WorldResult> {
  const { seed } = draft
  try {
    const { probes, problems, unplayed } = await play(draft, { prefix: `netsim-fuzz-${process.pid}-${played++}-` })
    const failures = [
      ...problems.filter(({ severity }) => severity === 'error').map((problem) => `seed ${seed}: ${formatProblem(problem)}`),
      ...probes.filter(({ verdict }) => verdict !== 'equal').map((probe) => wordsOf(seed, probe)),
    ]
    return { seed, probes: probes.length, frames: probes.reduce((sum, { frames }) => sum + frames.predicted, 0), failures, unplayed }
  } catch (error) {
    return { seed, probes: 0, frames: 0, failures: [`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`], unplayed: [] }
  }
}

function wordsOf(seed: number, { name, disposition, frames, error, why, differences, drops, rules }: ProbeDocument): string {
  const counts = `${frames.equal} of ${frames.predicted} frames equal, ${frames.captured} captured`
  const lines = [
    `seed ${seed} probe ${name}`,
    `  ${[disposition, counts, error, why].filter((word) => word !== '').join('; ')}`,
    ...differences
      .slice(0, MOST_DIFFERENCES)
      .map(({ kind, netns, device, direction, what, stepText }) => `  ${kind} ${netns} ${device} ${direction}: ${what} [${stepText}]`),
    ...(drops.equal === false ? [`  drops: ${drops.why}`] : []),
    ...(rules.equal === false ? [`  rules: ${rules.what}`] : []),
  ]
  return lines.join('\n')
}
