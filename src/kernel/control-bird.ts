/**
 * `netsim verify --with bird`: real BIRDs in the namespaces of a network that stands in the kernel, one for each that netsim has, with the configuration
 * that netsim prints for BIRD 2, over the cables of the lab.
 *
 *   Network.bgp ─▶ birdText(bird2) ─▶ bird in every node and router ─┬▶ birdc show protocols ─┐
 *              └▶ the same daemons as BIRD 2, in virtual time ───────┴▶ ip route, proto bird ─┴▶ equal?
 *
 * Calico's BIRD is a fork of 1.6, so that the prediction is made anew in the flavour of BIRD 2: it has another metric and puts the routes of `direct`
 * into the kernel too (flavour.ts). Sessions are compared by their state, routes by prefix, type, next hops, devices, metric and flags. BIRD's files are
 * in the helper process's own /run, which is memory and goes with it. Source: doc/bird.sgml of BIRD 2.0 (options, birdc).
 */
import { hrtime } from 'node:process'
import { scheduler } from 'node:timers/promises'
import type { Bird } from '../calico/bgp/bird.js'
import { birdText } from '../calico/bgp/bird-text.js'
import { BgpWorld } from '../calico/bgp/bgp-world.js'
import { TIMERS } from '../calico/bgp/config.js'
import { BIRD_2 } from '../calico/bgp/flavour.js'
import type { RouteSpec } from '../dataplane/dataplane.js'
import { printRoute } from '../dataplane/ip-route.js'
import type { BuildOptions, Network } from '../network/network.js'
import type { BirdDocument, BirdNodeDocument } from './control-report.js'
import type { KernelLab } from './lab.js'
import type { NotBuilt } from './lab-types.js'

/** Debian's package of each. */
export const BIRD_TOOLS: Readonly<Record<string, string>> = { bird: 'bird2', birdc: 'bird2' }

const FOLDER = '/run/netsim-bird'
const BETWEEN_LOOKS_MS = 500
/** A scan of the kernel and one of the tables: what is as predicted stays so that long. */
const STEADY_MS = 1000 * (TIMERS.kernelScan + 0.5)
/** A peer that is not reached is dialled again; a session that should not come up has had its chance by then. */
const PATIENCE_MS = 1000 * (TIMERS.connectDelay + 2 * TIMERS.connectRetry + 2)
/** After this whatever stands is compared. */
const LONGEST_MS = 60_000

/** Why it cannot be run in this network; undefined: it can. */
export function noBird({ cluster, bgp }: Network): string | undefined {
  if (cluster.cni !== 'calico') return `the CNI is ${cluster.cni}, and only Calico runs BIRD`
  return bgp === undefined || bgp.world.birds.size === 0 ? 'nobody speaks BGP here (CALICO_NETWORKING_BACKEND)' : undefined
}

interface BirdCheckOptions extends BuildOptions {
  /** Called as time goes by. */
  readonly progress?: (done: number, total: number, name: string) => void
}

/** Never throws for what a daemon does; all of them have ended when this resolves. */
export async function checkBird(network: Network, lab: KernelLab, options: BirdCheckOptions): Promise<BirdDocument> {
  return await new BirdCheck(network, lab, options).run()
}

/** What a daemon's netns shows. */
interface Seen {
  /** State by name of the protocol. */
  readonly sessions: ReadonlyMap<string, string>
  readonly routes: readonly string[]
}

class BirdCheck {
  private readonly lab: KernelLab
  private readonly options: BirdCheckOptions
  /** The prediction, a daemon by its netns. */
  private readonly birds: ReadonlyMap<string, Bird>
  private readonly expected: ReadonlyMap<string, Seen>

  constructor(network: Network, lab: KernelLab, options: BirdCheckOptions) {
    this.lab = lab
    this.options = options
    this.birds = asSecondBird(network, options.seed)
    this.expected = new Map([...this.birds].map(([name, bird]) => [name, predictedOf(bird)]))
  }

  async run(): Promise<BirdDocument> {
    const [first] = this.birds.keys()
    const version = /version (\S+)/.exec(outputOf(await this.lab.run(first, ['bird', '--version'])))?.[1] ?? ''
    const document = { program: 'bird', version, dialect: 'bird2' } as const
    if (!version.startsWith('2.')) {
      const why = `the installed bird is ${version === '' ? 'of an unknown version' : version}, and this needs BIRD 2: apt-get install bird2`
      return { ...document, version: '', seconds: 0, nodes: [...this.birds.keys()].map((node) => leftOut(node, why)) }
    }
    await this.lab.warm()
    const running = new Map<string, number>()
    const refused = new Map<string, string>()
    try {
      for (const name of this.birds.keys()) await this.prepare(name, refused)
      for (const name of this.birds.keys()) if (!refused.has(name)) running.set(name, await this.start(name))
      const { seen, milliseconds } = await this.watch([...running.keys()])
      const nodes = [...this.birds.keys()].map((name) => this.judge(name, refused.get(name) ?? '', seen.get(name)))
      return { ...document, seconds: Math.round(milliseconds / 1000), nodes }
    } finally {
      for (const [name, pid] of running) await this.lab.run(name, ['kill', '-9', String(pid)])
    }
  }

  private file(name: string, suffix: string): string {
    return `${FOLDER}/${name.replaceAll('/', '.')}.${suffix}`
  }

  /** The netns as it is without BIRD: its port is free, none of its routes is there; and its configuration, which BIRD reads once to try it. */
  private async prepare(name: string, refused: Map<string, string>): Promise<void> {
    const { config } = this.bird(name)
    await this.lab.release(name, 'tcp', config.listen.port)
    await this.lab.run(name, ['ip', 'route', 'flush', 'proto', 'bird'])
    await this.lab.run(name, ['mkdir', '-p', FOLDER])
    await this.lab.run(name, ['tee', this.file(name, 'conf')], birdText(config, 'bird2'))
    const tried = await this.lab.run(name, ['bird', '-p', '-c', this.file(name, 'conf')])
    if (tried.status !== 0) refused.set(name, `BIRD refuses the configuration: ${outputOf(tried).trim().split('\n').at(-1) ?? ''}`)
  }

  private bird(name: string): Bird {
    const found = this.birds.get(name)
    if (found === undefined) throw new Error(`no BIRD in ${name}`)
    return found
  }

  private async start(name: string): Promise<number> {
    const words = ['bird', '-f', '-c', this.file(name, 'conf'), '-s', this.file(name, 'ctl'), '-P', this.file(name, 'pid')]
    return await this.lab.spawn(name, words, this.file(name, 'log'))
  }

  /** Looks until all is as predicted and stays so, or no longer can become so. */
  private async watch(names: readonly string[]): Promise<{ readonly seen: ReadonlyMap<string, Seen>; readonly milliseconds: number }> {
    const started = milliseconds()
    const waitsForNobody = names.every((name) => [...(this.expected.get(name)?.sessions.values() ?? [])].every((state) => state === UP))
    let equalSince: number | undefined
    for (;;) {
      const seen = new Map<string, Seen>()
      for (const name of names) seen.set(name, await this.look(name))
      const now = milliseconds() - started
      const equal = names.every((name) => this.isDone(name, seen.get(name)))
      equalSince = equal ? (equalSince ?? now) : undefined
      const steady = equalSince !== undefined && now - equalSince >= STEADY_MS
      if ((steady && (waitsForNobody || now >= PATIENCE_MS)) || now >= LONGEST_MS) return { seen, milliseconds: equalSince ?? now }
      this.options.progress?.(Math.round(now / 1000), Math.round(LONGEST_MS / 1000) + 1, 'bird: sessions and routes')
      await scheduler.wait(BETWEEN_LOOKS_MS)
    }
  }

  /** What waits for a device that cannot be made here never comes. */
  private isDone(name: string, seen: Seen | undefined): boolean {
    const expected = this.expected.get(name)
    const lacking = this.lacking(name) !== undefined
    const compared = (one: Seen | undefined): Seen | undefined => (one === undefined || !lacking ? one : { ...one, routes: [] })
    return differencesOf(compared(expected), compared(seen)).length === 0
  }

  private lacking(name: string): NotBuilt | undefined {
    return this.lab.notBuilt.find(({ netns }) => netns === name)
  }

  private async look(name: string): Promise<Seen> {
    const protocols = await this.lab.run(name, ['birdc', '-s', this.file(name, 'ctl'), 'show', 'protocols'])
    const routes = await this.lab.run(name, ['ip', '-4', 'route', 'show', 'table', 'main', 'proto', 'bird'])
    return { sessions: sessionsOf(protocols.stdout), routes: routeLines(routes.stdout) }
  }

  private judge(name: string, refused: string, seen: Seen | undefined): BirdNodeDocument {
    const expected = this.expected.get(name)
    if (expected === undefined) return leftOut(name, refused)
    if (refused !== '' || seen === undefined) return { ...leftOut(name, ''), verdict: 'differs', differences: [refused] }
    const states = [...expected.sessions]
    const up = (all: Iterable<string>): number => [...all].filter((state) => state === UP).length
    const sessions = {
      peers: states.length,
      predicted: up(expected.sessions.values()),
      established: up(states.map(([protocol]) => seen.sessions.get(protocol) ?? '')),
      equal: states.filter(([protocol, state]) => isUp(seen.sessions.get(protocol)) === isUp(state)).length,
    }
    const equal = expected.routes.filter((line) => seen.routes.includes(line)).length
    const routes = { predicted: expected.routes.length, read: seen.routes.length, equal }
    const differences = differencesOf(expected, seen)
    const document = { node: name, sessions, routes, differences, why: '' }
    const missing = this.lacking(name)
    if (missing !== undefined && sessions.equal === sessions.peers)
      return { ...document, verdict: 'left-out', why: `${missing.device} (${missing.kind}) cannot be made here: ${missing.why}`, differences: [] }
    return { ...document, verdict: differences.length === 0 ? 'equal' : 'differs' }
  }
}

const UP = 'Established'

function isUp(state: string | undefined): boolean {
  return state === UP
}

/** The daemons of a network, run until they rest as BIRD 2 would, over the ways that the network's own had. */
function asSecondBird({ bgp }: Network, seed: number): ReadonlyMap<string, Bird> {
  if (bgp === undefined) return new Map()
  const world = new BgpWorld({ flavour: BIRD_2, seed, path: bgp.path })
  for (const { config, host } of bgp.world.birds.values()) world.add(config, host)
  world.settle()
  return world.birds
}

function predictedOf(bird: Bird): Seen {
  const sessions = new Map(bird.sessions.map(({ config, phase, stateText }) => [config.name, phase === 'up' ? UP : stateText]))
  return { sessions, routes: bird.kernelRoutes().map(routeLine).sort() }
}

/** As `ip route show proto bird` has it, which leaves the protocol out. */
function routeLine(route: RouteSpec): string {
  return oneLine(printRoute(route, { showTable: false }).replace(' proto bird', ''))
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}

/** The next hops of a route stand on lines of their own, which begin with a tab. */
function routeLines(text: string): readonly string[] {
  return text
    .split(/\n(?!\s)/)
    .map(oneLine)
    .filter((line) => line !== '')
    .sort()
}

/** `birdc show protocols`: name, protocol, table, state, since, info, of which the first word is the session's state. */
function sessionsOf(text: string): ReadonlyMap<string, string> {
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/))
  return new Map(rows.filter(([, protocol]) => protocol === 'BGP').map(([name, , , state, , info = state]) => [name, info]))
}

function differencesOf(expected: Seen | undefined, seen: Seen | undefined): readonly string[] {
  if (expected === undefined || seen === undefined) return ['it does not run']
  const sessions = [...expected.sessions].flatMap(([name, state]) => {
    const found = seen.sessions.get(name)
    return isUp(found) === isUp(state) ? [] : [`session ${name}: predicted ${state}, BIRD says ${found ?? 'nothing'}`]
  })
  return [
    ...sessions,
    ...expected.routes.filter((line) => !seen.routes.includes(line)).map((line) => `route ${line}: predicted, and not in the kernel`),
    ...seen.routes.filter((line) => !expected.routes.includes(line)).map((line) => `route ${line}: in the kernel, and not predicted`),
  ]
}

function outputOf({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): string {
  return `${stdout}${stderr}`
}

function leftOut(node: string, why: string): BirdNodeDocument {
  return {
    node,
    verdict: 'left-out',
    why,
    sessions: { peers: 0, predicted: 0, established: 0, equal: 0 },
    routes: { predicted: 0, read: 0, equal: 0 },
    differences: [],
  }
}

/** BIRD's timers are real ones. */
function milliseconds(): number {
  return Number(hrtime.bigint() / 1_000_000n)
}
