/**
 * How long BIRD takes to see a peer go and come back, beside the model: real daemons in namespaces with short timers, and the same steps in virtual time over
 * many seeds. Every kernel loses and gets the same prefixes; each in the span that the model's seeds give, as timers are never early, and a busy machine late.
 * Daemons run in real time, and another program may hold the machine for seconds: each is tried a second time before it is told.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { TIMERS, type BirdTimers } from '../../../src/calico/bgp/config.js'
import { realBirds } from '../bird-lab.js'
import { meshStory, playVirtual, RealStory, reflectorStory, SHORT, spreadOf, spreadText, type Spread, type Story, type Times } from './bird-story.js'
import { until } from './route-clock.js'

const SEEDS = Array.from({ length: 60 }, (_, i) => i + 1)
/** Seconds that a busy machine may be late. */
const LATE = 4
/** Two ends of a measurement, and BIRD 1's clock of whole seconds. */
const EARLY = { 1: 1.1, 2: 0.2 } as const
/** Turns of a quiet daemon's loop. */
const SCAN = 2

const birds = realBirds()
const running: RealStory[] = []
afterAll(() => {
  for (const story of running) story.stop()
})

function virtualSpread(story: Story, major: 1 | 2): ReadonlyMap<string, Spread> {
  const runs = SEEDS.map((seed) => playVirtual(story, major, seed))
  return new Map(story.steps.map(({ name }) => [name, spreadOf(runs.flatMap((run) => [...(run.get(name)?.values() ?? [])]))]))
}

function keys(times: Times): object {
  return Object.fromEntries([...times].map(([step, found]) => [step, [...found.keys()].sort()]))
}

/** What follows from the timers alone, whichever side. */
function rule(step: string, { hold, keepalive, gracefulRestart }: Pick<BirdTimers, 'hold' | 'keepalive' | 'gracefulRestart'>): readonly [number, number] {
  switch (step) {
    case 'SIGTERM':
      return [0, 0.1]
    case 'SIGKILL':
      return [gracefulRestart, gracefulRestart + SCAN]
    case 'unplugged':
      return [0.75 * hold - keepalive, hold + SCAN]
    default:
      return [0, Infinity]
  }
}

describe.each(birds.map((bird) => [bird.major, bird] as const))('BIRD %i and the model', (major, bird) => {
  const stories = [meshStory(4, SHORT), reflectorStory(3, SHORT)]
  const played = new Map<string, Promise<Times>>()
  const start = (story: Story): void => {
    const real = new RealStory(bird, story)
    running.push(real)
    const times = real.play().finally(() => real.stop())
    // who waits for it is told; nobody may be waiting yet
    times.catch(() => undefined)
    played.set(story.name, times)
  }
  let begun = false
  /** All at once at first; one that is asked for again by itself. */
  const play = (story: Story): Promise<Times> => {
    if (!begun) stories.forEach(start)
    begun = true
    if (!played.has(story.name)) start(story)
    const times = played.get(story.name) as Promise<Times>
    played.delete(story.name)
    return times
  }

  it.each(stories.map((story) => [story.name, story] as const))(
    '%s: who loses and gets what, and when',
    { timeout: 120_000, retry: 1 },
    async (_name, story) => {
      const real = await play(story)
      expect(keys(real)).toEqual(keys(playVirtual(story, major, 1)))
      const model = virtualSpread(story, major)
      for (const { name, expected } of story.steps) {
        const measured = spreadOf(real.get(name)?.values() ?? [])
        const foreseen = model.get(name) as Spread
        console.log(`BIRD ${major}, ${story.name}, ${name}: ${spreadText(measured)} real, ${spreadText(foreseen)} model`)
        expect(foreseen.count, name).toBe(SEEDS.length * expected.flatMap(({ prefixes }) => prefixes).length)
        const [from, to] = rule(name, SHORT)
        expect(foreseen.least, name).toBeGreaterThanOrEqual(from - (major === 1 ? 1 : 0.001))
        expect(foreseen.most, name).toBeLessThanOrEqual(to + 0.1)
        expect(measured.least, name).toBeGreaterThan(Math.max(from, foreseen.least) - EARLY[major])
        // the far side may not have given up yet when the cable is back
        const more = name === 'plugged in' ? SHORT.hold : 0
        expect(measured.most, name).toBeLessThan(Math.min(to, foreseen.most) + LATE + more)
      }
    },
  )

  it('killed and started with -R before the restart time is over: no kernel hears of it', { timeout: 60_000, retry: 1 }, async () => {
    const story = meshStory(3, SHORT)
    const real = new RealStory(bird, { ...story, steps: story.steps.slice(0, 1) })
    running.push(real)
    await real.play()
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const killedMs = performance.now()
    await real.act({ do: 'SIGKILL', node: 'n1' })
    await real.act({ do: 'start -R', node: 'n1' })
    // longer than the routes would have stayed
    await until(() => performance.now() > killedMs + (SHORT.gracefulRestart + SCAN + 1) * 1000, 60)
    expect(real.events(killedMs, ['n2', 'n3'])).toEqual([])
    real.stop()
  })
})

/** Calico's own timers, for which it takes nine minutes: by hand, for the figures of docs/timers.md. */
describe.runIf(process.env.NETSIM_LONG === '1').each(birds.map((bird) => [bird.major, bird] as const))('BIRD %i with hold 240 s', (major, bird) => {
  it('a mesh of 5, several at once', { timeout: 1_200_000 }, async () => {
    const story = meshStory(5, {})
    const labs = [1, 2, 3, 4].map(() => new RealStory(bird, story))
    running.push(...labs)
    const runs = await Promise.all(labs.map((real) => real.play()))
    for (const real of labs) real.stop()
    const model = virtualSpread(story, major)
    for (const { name } of story.steps) {
      const measured = spreadOf(runs.flatMap((times) => [...(times.get(name)?.values() ?? [])]))
      const foreseen = model.get(name) as Spread
      console.log(`BIRD ${major}, ${story.name}, ${name}: ${spreadText(measured)} real, ${spreadText(foreseen)} model, ${measured.count} and ${foreseen.count}`)
      const [from, to] = rule(name, TIMERS)
      expect(measured.least, name).toBeGreaterThan(Math.max(from, foreseen.least) - EARLY[major] - (name === 'unplugged' ? TIMERS.hold / 10 : 0))
      expect(measured.most, name).toBeLessThan(Math.min(to, foreseen.most) + LATE + (name === 'unplugged' ? TIMERS.hold / 10 : 0))
    }
  })
})

it('finds the BIRDs that can be run here: none without root', () => {
  expect(birds.every(({ path }) => path.startsWith('/'))).toBe(true)
})
