/**
 * What happens to BIRDs, step by step, played twice: by real daemons in namespaces and by the model in virtual time. A step does one thing and waits until
 * each of some nodes has lost or got some prefixes; told is how long that took for each.
 */
import { formatCidr } from '../../../src/base/cidr.js'
import type { BirdConfig, BirdTimers } from '../../../src/calico/bgp/config.js'
import { BIRD_2 } from '../../../src/calico/bgp/flavour.js'
import { BIRD_1, blockOf, config, mesh, reflectors } from '../../calico/bgp/kit.js'
import { BirdLab, type RealBird } from '../bird-lab.js'
import { VirtualBirds } from './bird-virtual.js'
import { RouteClock, until, type RouteEvent } from './route-clock.js'

/** Short, so that a test can wait for them; the scans of kernel and devices stay at 2 s. */
export const SHORT = {
  hold: 9,
  keepalive: 3,
  connectDelay: 1,
  connectRetry: 2,
  errorWaitMin: 1,
  errorWaitMax: 2,
  gracefulRestart: 5,
} as const satisfies Partial<BirdTimers>

type Action =
  | { readonly do: 'start everyone' }
  | { readonly do: 'start' | 'start -R' | 'SIGTERM' | 'SIGKILL' | 'unplug' | 'plug'; readonly node: string }
  | { readonly do: 'reload'; readonly config: BirdConfig }

export interface Step {
  readonly name: string
  readonly action: Action
  /** What each of the nodes loses or gets. */
  readonly kind: RouteEvent['kind']
  readonly expected: readonly { readonly node: string; readonly prefixes: readonly string[] }[]
  /** Seconds of quiet before the step; as many again are drawn in virtual time. */
  readonly quiet: number
}

export interface Story {
  readonly name: string
  readonly configs: readonly BirdConfig[]
  readonly timers: Partial<BirdTimers>
  readonly steps: readonly Step[]
}

/** Seconds of each step, by `node prefix`. */
export type Times = ReadonlyMap<string, ReadonlyMap<string, number>>

/** Seconds after which a step is given up: no timer of BIRD's is longer. */
function limitOf({ timers: { hold = 240 } }: Story): number {
  return 60 + 2 * hold
}

function pairs({ expected }: Step): string[] {
  return expected.flatMap(({ node, prefixes }) => prefixes.map((prefix) => `${node} ${prefix}`))
}

/** Those of the kit with the story's timers where a peer has its own. */
function timed(configs: readonly BirdConfig[], { gracefulRestart = 120 }: Partial<BirdTimers>): BirdConfig[] {
  return configs.map((one) => ({ ...one, peers: one.peers.map((peer) => ({ ...peer, gracefulRestartTime: gracefulRestart })) }))
}

const block = (number: number): string => formatCidr(blockOf(number))

/** Node 1 of a mesh gets a block, ends, is killed, falls silent, and comes back after each. */
export function meshStory(count: number, timers: Partial<BirdTimers>): Story {
  const configs = timed(mesh(count), timers)
  const others = configs.slice(1).map(({ name }) => name)
  const more = { ...configs[0], ...config(1, configs[0].peers, [blockOf(1), blockOf(101)]) }
  const step = (name: string, action: Action, kind: Step['kind'], quiet = 1): Step => ({
    name,
    action,
    kind,
    quiet,
    expected: others.map((node) => ({ node, prefixes: name === 'a new block' ? [block(101)] : [block(1)] })),
  })
  const { hold = 240 } = timers
  return {
    name: `a mesh of ${count}`,
    configs,
    timers,
    steps: [
      step('cold start', { do: 'start everyone' }, 'there', 0),
      step('a new block', { do: 'reload', config: more }, 'there'),
      step('SIGTERM', { do: 'SIGTERM', node: 'n1' }, 'gone'),
      step('started again', { do: 'start', node: 'n1' }, 'there', 0),
      step('SIGKILL', { do: 'SIGKILL', node: 'n1' }, 'gone', 3),
      step('started with -R', { do: 'start -R', node: 'n1' }, 'there'),
      step('unplugged', { do: 'unplug', node: 'n1' }, 'gone', hold / 3),
      step('plugged in', { do: 'plug', node: 'n1' }, 'there', hold / 4),
    ],
  }
}

/** The one reflector ends, is killed, falls silent: its clients lose one another, not it. */
export function reflectorStory(clients: number, timers: Partial<BirdTimers>): Story {
  const configs = timed(reflectors(clients, ['10.0.0.201']), timers)
  const numbers = Array.from({ length: clients }, (_, i) => i + 1)
  const expected = numbers.map((own) => ({ node: `n${own}`, prefixes: numbers.filter((other) => other !== own).map(block) }))
  const step = (name: string, action: Action, kind: Step['kind'], quiet = 1): Step => ({ name, action, kind, expected, quiet })
  const node = 'n201'
  const { hold = 240 } = timers
  return {
    name: `${clients} clients of a reflector`,
    configs,
    timers,
    steps: [
      step('cold start', { do: 'start everyone' }, 'there', 0),
      step('SIGTERM', { do: 'SIGTERM', node }, 'gone'),
      step('started again', { do: 'start', node }, 'there', 0),
      step('SIGKILL', { do: 'SIGKILL', node }, 'gone', 3),
      step('started with -R', { do: 'start -R', node }, 'there'),
      step('unplugged', { do: 'unplug', node }, 'gone', hold / 3),
      step('plugged in', { do: 'plug', node }, 'there', hold / 4),
    ],
  }
}

/** The story's timers in a configuration that netsim printed with Calico's. */
export function withTimers({ timers }: Story): (config: BirdConfig, plain: string) => string {
  const words: readonly (readonly [string, number | undefined])[] = [
    ['connect delay time', timers.connectDelay],
    ['connect retry time', timers.connectRetry],
  ]
  return (_config, plain) => {
    let text = plain
    for (const [name, value] of words) if (value !== undefined) text = text.replace(new RegExp(`${name} \\d+;`), `${name} ${value};`)
    if (timers.hold !== undefined) text = text.replace('connect delay time', `hold time ${timers.hold};\n  connect delay time`)
    if (timers.errorWaitMin === undefined || timers.errorWaitMax === undefined) return text
    return text.replace(/error wait time [\d,]+;/, `error wait time ${timers.errorWaitMin},${timers.errorWaitMax};`)
  }
}

export class RealStory {
  readonly lab: BirdLab
  private readonly clock: RouteClock
  private readonly story: Story

  constructor(bird: RealBird, story: Story) {
    this.story = story
    this.lab = new BirdLab(bird, story.configs)
    this.clock = new RouteClock(new Map(story.configs.map(({ name }) => [name, this.lab.namespace(name)])))
  }

  stop(): void {
    this.clock.stop()
    this.lab.stop()
  }

  async act(action: Action): Promise<void> {
    const { lab } = this
    if (action.do === 'start everyone') lab.start({ capture: false, text: withTimers(this.story) })
    else if (action.do === 'reload') lab.reload(action.config, withTimers(this.story))
    else if (action.do === 'unplug' || action.do === 'plug') lab.cable(action.node, action.do === 'plug')
    else if (action.do === 'start' || action.do === 'start -R') lab.startDaemon(action.node, { recover: action.do === 'start -R' })
    else await lab.signal(action.node, action.do)
  }

  /** Every event of the kernels of these nodes since a moment of performance.now(). */
  events(sinceMs: number, nodes: readonly string[]): RouteEvent[] {
    return this.clock.events.filter(({ ms, node }) => ms >= sinceMs && nodes.includes(node))
  }

  async play(): Promise<Times> {
    await this.clock.ready()
    const times = new Map<string, ReadonlyMap<string, number>>()
    for (const step of this.story.steps) {
      await new Promise((resolve) => setTimeout(resolve, step.quiet * 1000))
      const startMs = performance.now()
      await this.act(step.action)
      const wanted = pairs(step)
      const found = (): Map<string, number> => {
        const prefixes = [...new Set(step.expected.flatMap((one) => one.prefixes))]
        const seen = prefixes.flatMap((prefix) => [...this.clock.since(startMs, step.kind, prefix)].map(([node, s]) => [`${node} ${prefix}`, s] as const))
        return new Map(seen.filter(([pair]) => wanted.includes(pair)))
      }
      await until(() => found().size === wanted.length, limitOf(this.story))
      times.set(step.name, found())
    }
    return times
  }
}

/** The same in virtual time. */
export function playVirtual(story: Story, bird: RealBird['major'], seed: number): Times {
  const birds = new VirtualBirds(story.configs, { flavour: bird === 1 ? BIRD_1 : BIRD_2, seed, birdTimers: story.timers })
  const times = new Map<string, ReadonlyMap<string, number>>()
  for (const step of story.steps) {
    birds.world.run(step.quiet * (1 + birds.prng.below(1000) / 1000))
    const { action } = step
    if (action.do === 'start everyone') birds.start()
    else if (action.do === 'reload') birds.reload(action.config)
    else if (action.do === 'unplug' || action.do === 'plug') birds.cable(action.node, action.do === 'plug')
    else if (action.do === 'start' || action.do === 'start -R') birds.startDaemon(action.node, { recover: action.do === 'start -R' })
    else birds.signal(action.node, action.do)
    times.set(step.name, birds.runUntil(step.kind, pairs(step), limitOf(story)))
  }
  return times
}

export interface Spread {
  readonly least: number
  readonly middle: number
  readonly most: number
  readonly count: number
}

export function spreadOf(times: Iterable<number>): Spread {
  const sorted = [...times].sort((a, b) => a - b)
  return { least: sorted[0], middle: sorted[sorted.length >> 1], most: sorted[sorted.length - 1], count: sorted.length }
}

export function spreadText({ least, middle, most }: Spread): string {
  return `${least.toFixed(2)} ${middle.toFixed(2)} ${most.toFixed(2)}`
}
