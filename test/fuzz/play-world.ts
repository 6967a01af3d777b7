/** One world's draft → what differed, in words: plain data that a job can hand over as a line of JSON. */
import { formatProblem } from '../../src/base/problem.js'
import type { ProbeDocument } from '../../src/kernel/verify-report.js'
import { play, type Played } from './play.js'
import type { WorldDraft } from './random-world.js'

export interface WorldResult {
  readonly seed: number
  readonly probes: number
  readonly frames: number
  /** One text for each probe that differs, and each thing that is wrong with the world. */
  readonly failures: readonly string[]
  /** Why probes were not played. */
  readonly unplayed: readonly string[]
  /** Why the kernel's reasons for losses could not be compared in others: then the frames alone were. */
  readonly unjudged: readonly string[]
  /** Probes that differed and, played again alone, were equal: what the kernel does not do twice alike (timers, other CPUs). */
  readonly again: readonly string[]
}

const MOST_DIFFERENCES = 3
/** How often a probe that differs is played again, each time in a world of its own, and how often of these it must be equal. */
const AGAIN = 3
const EQUAL = 2

let played = 0

/** @param enough so many of the draft's probes are played, if so many can be */
export async function playWorld(draft: WorldDraft, enough = draft.probes.length): Promise<WorldResult> {
  const { seed } = draft
  try {
    const { probes, problems, unplayed } = await playOnce(draft, enough)
    const failures = problems.filter(({ severity }) => severity === 'error').map((problem) => `seed ${seed}: ${formatProblem(problem)}`)
    const again: string[] = []
    for (const probe of probes.filter(({ verdict }) => verdict !== 'equal')) {
      const alone = draft.probes.length > 1 && (await isEqualAgain({ ...draft, probes: [draft.probes[indexOf(probe)]] }))
      ;(alone ? again : failures).push(wordsOf(seed, probe))
    }
    const unjudged = probes.flatMap(({ drops }) => (drops.equal === null ? [drops.why] : []))
    return { seed, probes: probes.length, frames: probes.reduce((sum, { frames }) => sum + frames.predicted, 0), failures, unplayed, unjudged, again }
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { seed, probes: 0, frames: 0, failures: [`seed ${seed}: ${what}`], unplayed: [], unjudged: [], again: [] }
  }
}

function playOnce(draft: WorldDraft, enough: number): Promise<Played> {
  return play(draft, { prefix: `netsim-fuzz-${process.pid}-${played++}-`, enough })
}

/** Everything of it, as ever. */
async function isEqualAgain(draft: WorldDraft): Promise<boolean> {
  let equal = 0
  for (let i = 0; i < AGAIN && equal < EQUAL; i++) {
    const { probes } = await playOnce(draft, 1)
    if (probes.length === 1 && probes[0].verdict === 'equal') equal++
  }
  return equal === EQUAL
}

/** A probe's name begins with its place in the draft. */
function indexOf({ name }: ProbeDocument): number {
  return Number.parseInt(name, 10)
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
