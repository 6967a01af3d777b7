/**
 * usage: npm run bench:kernel [-- --pairs N --rules N,… --paths NAME,… --json --no-ns3]
 * The same network twice: netsim's, and the one that its own Dataplanes make in namespaces of this machine (src/kernel/lab.ts, nothing captured, the
 * two cards one cable). The same UDP packet over both, in turns: CPU nanoseconds of the sender's thread there (the path runs in softirqs inside
 * its system calls), of this process here, with every step traced. Needs root, python3, iproute2, iptables and a C compiler; with ns-3's
 * headers (Debian's libns3-dev) also a chain of routers there and here.
 * Over flannel's udp backend a packet also passes two processes (proxy.c): CPU there is the sender's thread and both of these, user and system. They lose
 * what comes while their queues are full, so that the sender has 128 packets under way at most: it sends as many, then sleeps until the pod has
 * taken the last of them, as it also does before it ends. Each node has a CPU: sender and first proxy share one, second proxy and taker the other.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median } from '../../src/base/median.js'
import { LabError } from '../../src/kernel/lab-process.js'
import type { Netns } from '../../src/net/netns.js'
import type { Network } from '../../src/network/network.js'
import { forwardNetwork, PATHS, sendOne, type PathName } from '../forward-network.js'
import { chainPairs } from './ns3.js'
import type { Comparison } from './comparison.js'
import { compiledPrograms, There, type Programs } from './there.js'

const DEFAULT_RULES = [0, 20, 200, 2000]
const DEFAULT_PAIRS = 5
/** Of one turn: long beside the clock's tick, short beside what else the machine does. */
const TURN_NS = 1e9
const WARM_PACKETS = 20_000

interface Options {
  readonly pairs: number
  readonly rules: readonly number[]
  readonly paths: readonly PathName[]
  readonly json: boolean
  readonly ns3: boolean
}

function optionsOf(words: readonly string[]): Options {
  const value = (name: string): string | undefined => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined)
  const paths = value('--paths')?.split(',') ?? PATHS
  const unknown = paths.filter((path) => !PATHS.some((one) => one === path))
  if (unknown.length > 0) throw new LabError(`no path ${unknown.join(', ')}`, `There are ${PATHS.join(', ')}.`)
  return {
    pairs: Number(value('--pairs') ?? DEFAULT_PAIRS),
    rules: value('--rules')?.split(',').map(Number) ?? DEFAULT_RULES,
    paths: PATHS.filter((path) => paths.includes(path)),
    json: words.includes('--json'),
    ns3: !words.includes('--no-ns3'),
  }
}

/** CPU of this process, nanoseconds, its collector's threads too. */
function spentNs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}

class Here {
  private readonly network: Network
  private readonly source: Netns
  private readonly destination: number
  private batch = 2000

  constructor(network: Network) {
    const [from, to] = network.pods
    this.network = network
    this.source = network.netns(from.dataplane.netns) as Netns
    this.destination = to.address
    network.world.trace.on = 1
    network.world.trace.taps = 0
    this.send(WARM_PACKETS)
  }

  /** ns a packet. */
  turn(): number {
    const before = spentNs()
    let packets = 0
    while (spentNs() - before < TURN_NS) {
      this.send(this.batch)
      packets += this.batch
    }
    return (spentNs() - before) / packets
  }

  private send(packets: number): void {
    let ends = 0
    for (let i = 0; i < packets; i++) ends += sendOne(this.network, this.source, this.destination)
    if (ends !== packets) throw new LabError(`${ends} of ${packets} simulated packets arrived`, '')
  }
}

async function compare(path: PathName, rules: number, { pairs, programs }: { readonly pairs: number; readonly programs: Programs }): Promise<Comparison> {
  const network = forwardNetwork(path, rules)
  const there = await There.start(network, programs, TURN_NS)
  try {
    const here = new Here(network)
    here.turn()
    const turns: { there: number; here: number }[] = []
    for (let i = 0; i < pairs; i++) turns.push({ there: await there.turn(), here: here.turn() })
    return { name: path, size: `${rules} rules`, peer: 'Linux', turns }
  } finally {
    await there.close()
  }
}

function line({ name, size, peer, turns }: Comparison): string {
  const us = (ns: number): string => `${(ns / 1000).toFixed(2)} µs`.padStart(9)
  const ratios = turns.map(({ there, here }) => there / here)
  const spread = `${Math.min(...ratios).toFixed(1)} to ${Math.max(...ratios).toFixed(1)}`
  const columns = [us(median(turns.map(({ there }) => there))), us(median(turns.map(({ here }) => here))), `× ${median(ratios).toFixed(1)}`.padStart(8)]
  return `${name.padEnd(20)} ${size.padEnd(12)} ${peer.padEnd(6)} ${columns.join('  ')}  (${spread})`
}

async function main(): Promise<void> {
  const options = optionsOf(process.argv.slice(2))
  const folder = mkdtempSync(join(tmpdir(), 'netsim-bench-'))
  const all: Comparison[] = []
  const told = (comparison: Comparison): void => {
    all.push(comparison)
    if (!options.json) console.log(line(comparison))
  }
  try {
    const programs = compiledPrograms(folder)
    if (!options.json)
      console.log(`CPU a packet: the peer, netsim with every step traced, their ratio (median of ${options.pairs} turns each, in turns; spread)`)
    for (const path of options.paths) for (const rules of options.rules) told(await compare(path, rules, { pairs: options.pairs, programs }))
    const chain = options.ns3 ? chainPairs(folder, options.pairs) : 'left out'
    if (typeof chain !== 'string') told(chain)
    else if (!options.json) console.log(`ns-3: ${chain}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  if (options.json) console.log(JSON.stringify({ node: process.version, comparisons: all }, null, 2))
}

main().catch((error: unknown) => {
  if (!(error instanceof LabError)) throw error
  console.error(`error: ${error.message}`)
  process.exitCode = 4
})
