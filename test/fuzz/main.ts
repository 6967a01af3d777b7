/**
 * Random worlds on netsim and on the real kernel of this machine. Root only.
 *
 * usage: npm run fuzz:kernel -- [--seeds FIRST..LAST] [--worlds KIND] [--jobs N] [--probes N] [--odd] [--shrink] [--draft FILE]… [--print]
 *   --seeds   worlds from each seed (default 1..25)
 *   --worlds  flannel (with plain docker), calico (with Canal), services (either, with Services on it), or all: of each seed one of the first two (default)
 *   --probes  that are played of each world (default 10); twice as many are drawn, since not all can be
 *   --jobs    in so many processes side by side
 *   --odd     also packets that no sane sender sends (what is known to differ there: docs/fidelity.md)
 *   --shrink  a world that differs is made smaller as long as it differs, and printed as a draft
 *   --draft   plays a draft again instead of seeds
 *   --print   prints the draft of each seed and plays nothing
 * A line for each probe that differs, then how many were equal; exit status 1 when any differed.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { playWorld, type WorldResult } from './play-world.js'
import { randomCalicoWorld } from './random-calico.js'
import { randomServiceWorld } from './random-services.js'
import { randomWorld, type WorldDraft } from './random-world.js'
import { shrink } from './shrink.js'

interface Options {
  readonly seeds: readonly number[]
  readonly kinds: string
  readonly probes: number
  readonly jobs: number
  readonly odd: boolean
  readonly shrink: boolean
  readonly drafts: readonly string[]
  readonly print: boolean
  /** One line of JSON for each world: a job's answer. */
  readonly json: boolean
}

const WORLDS: Readonly<Record<string, readonly (typeof randomWorld)[]>> = {
  all: [randomWorld, randomCalicoWorld],
  flannel: [randomWorld],
  calico: [randomCalicoWorld],
  services: [randomServiceWorld],
}

function optionsOf(words: readonly string[]): Options {
  const value = (name: string, fallback: string): string => (words.includes(name) ? (words[words.indexOf(name) + 1] ?? '') : fallback)
  const [first, last = first, stride = 1] = value('--seeds', '1..25')
    .split(/\.\.|\//)
    .map(Number)
  const seeds: number[] = []
  for (let seed = first; seed <= last; seed += stride) seeds.push(seed)
  const drafts = words.filter((_, index) => words[index - 1] === '--draft')
  const has = (name: string): boolean => words.includes(name)
  const kinds = value('--worlds', 'all')
  if (!Object.hasOwn(WORLDS, kinds)) throw new Error(`--worlds ${kinds}: there are ${Object.keys(WORLDS).join(', ')}`)
  return {
    seeds,
    kinds,
    drafts,
    probes: Number(value('--probes', '10')),
    jobs: Number(value('--jobs', '1')),
    odd: has('--odd'),
    shrink: has('--shrink'),
    print: has('--print'),
    json: has('--json'),
  }
}

class Summary {
  private worlds = 0
  private probes = 0
  private frames = 0
  private differ = 0
  private readonly left = new Map<string, number>()
  private again = 0
  private fewest = Infinity
  private readonly seeds: number[] = []
  private readonly started = performance.now()

  add({ seed, probes, frames, failures, unplayed, unjudged, again }: WorldResult): void {
    this.worlds++
    this.probes += probes
    this.fewest = Math.min(this.fewest, probes)
    this.frames += frames
    const left = [...unplayed.map((why) => `not played: ${why}`), ...unjudged.map((why) => `frames alone compared: ${why}`)]
    for (const what of left) this.left.set(what, (this.left.get(what) ?? 0) + 1)
    if (failures.length > 0) {
      this.differ++
      this.seeds.push(seed)
    }
    for (const failure of failures) console.log(failure)
    this.again += again.length
    for (const one of again) console.log(`equal when played again: ${one}`)
    if (this.worlds % 50 === 0) console.error(this.line())
  }

  line(): string {
    const seconds = Math.round((performance.now() - this.started) / 1000)
    const verdict = this.differ === 0 ? 'all equal' : `${this.differ} worlds differ (${this.seeds.join(' ')})`
    return `${this.worlds} worlds, ${this.probes} probes (at least ${this.fewest} each), ${this.frames} frames in ${seconds} s: ${verdict}`
  }

  end(): void {
    if (this.again > 0) console.log(`${this.again} probes were equal only when played again, alone`)
    for (const [what, count] of this.left) console.log(`${count} x ${what}`)
    console.log(this.line())
    process.exitCode = this.differ > 0 ? 1 : 0
  }
}

async function playAll(drafts: Iterable<WorldDraft>, options: Options): Promise<void> {
  const summary = new Summary()
  for (const draft of drafts) {
    const result = await playWorld(draft, options.drafts.length > 0 ? undefined : options.probes)
    if (options.json) {
      process.stdout.write(`${JSON.stringify(result)}\n`)
      continue
    }
    summary.add(result)
    if (options.shrink && result.failures.length > 0) console.log(JSON.stringify(await shrink(draft)))
  }
  if (!options.json) summary.end()
}

/** Each job has every N-th seed. */
async function inJobs({ seeds, jobs, probes, odd, kinds }: Options): Promise<void> {
  const summary = new Summary()
  const last = seeds[seeds.length - 1]
  await Promise.all(
    seeds.slice(0, jobs).map(async (first) => {
      const words = [
        process.argv[1],
        '--json',
        ...(odd ? ['--odd'] : []),
        '--worlds',
        kinds,
        '--probes',
        String(probes),
        '--seeds',
        `${first}..${last}/${jobs}`,
      ]
      const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
      for await (const line of createInterface({ input: child.stdout })) summary.add(JSON.parse(line) as WorldResult)
      const status = await ended
      if (status !== 0) throw new Error(`a job ended with status ${status}`)
    }),
  )
  summary.end()
}

/** Probes drawn for each that is played. */
const SPARE = 2

function* draftsOf({ seeds, kinds, drafts, probes, odd }: Options): Iterable<WorldDraft> {
  if (drafts.length > 0) for (const file of drafts) yield JSON.parse(readFileSync(file, 'utf8')) as WorldDraft
  else for (const seed of seeds) for (const draw of WORLDS[kinds]) yield draw(seed, { probes: probes * SPARE, odd })
}

const options = optionsOf(process.argv.slice(2))
if (options.print) for (const draft of draftsOf(options)) console.log(JSON.stringify(draft, null, 1))
else if (options.jobs > 1 && options.drafts.length === 0) await inJobs(options)
else await playAll(draftsOf(options), options)
