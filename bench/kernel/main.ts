/**
 * usage: npm run bench:kernel [-- --pairs N --rules N,… --paths NAME,… --json --no-ns3]
 * The same network twice: netsim's, and the one that its own Dataplanes make in namespaces of this machine (src/kernel/lab.ts, nothing captured, the
 * two cards one cable). The same UDP packet over both, in turns: CPU nanoseconds of the sender's thread there (the path runs in softirqs inside
 * its system calls), of this process here, with every step traced. Needs root, python3, iproute2, iptables and a C compiler; with ns-3's
 * headers (Debian's libns3-dev) also a chain of routers there and here.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatIp } from '../../src/base/ip.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import { LabError } from '../../src/kernel/lab-process.js'
import type { Netns } from '../../src/net/netns.js'
import type { Network } from '../../src/network/network.js'
import { forwardNetwork, PATHS, PAYLOAD, PORT, sendOne, type PathName } from '../forward-network.js'
import { chainPairs } from './ns3.js'
import { medianOf, type Comparison } from './comparison.js'

/** The udp backend's cost is its proxy's, a process of its own that the lab has in Python: not a path to be compared. */
const COMPARED = PATHS.filter((path) => path !== 'flannel udp')
const DEFAULT_RULES = [0, 20, 200, 2000]
const DEFAULT_PAIRS = 5
/** Of one turn: long beside the clock's tick, short beside what else the machine does. */
const TURN_NS = 1e9
const WARM_PACKETS = 20_000
const SENDER_CPU = 0
const TAKER_CPU = 1

interface Options {
  readonly pairs: number
  readonly rules: readonly number[]
  readonly paths: readonly PathName[]
  readonly json: boolean
  readonly ns3: boolean
}

function optionsOf(words: readonly string[]): Options {
  const value = (name: string): string | undefined => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined)
  const paths = value('--paths')?.split(',') ?? COMPARED
  const unknown = paths.filter((path) => !COMPARED.some((one) => one === path))
  if (unknown.length > 0) throw new LabError(`no path ${unknown.join(', ')}`, `There are ${COMPARED.join(', ')}.`)
  return {
    pairs: Number(value('--pairs') ?? DEFAULT_PAIRS),
    rules: value('--rules')?.split(',').map(Number) ?? DEFAULT_RULES,
    paths: COMPARED.filter((path) => paths.includes(path)),
    json: words.includes('--json'),
    ns3: !words.includes('--no-ns3'),
  }
}

function compiledSender(folder: string): string {
  const sender = join(folder, 'sender')
  try {
    execFileSync('cc', ['-O2', '-o', sender, 'bench/kernel/sender.c'], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    throw new LabError(`bench/kernel/sender.c does not compile: ${(error as Error).message}`, 'apt-get install gcc libc6-dev')
  }
  return sender
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

class There {
  private readonly lab: KernelLab
  private readonly sender: string
  private readonly from: string
  private readonly to: string
  private readonly destination: string
  private packets = 2000

  constructor(lab: KernelLab, network: Network, sender: string) {
    const [from, to] = network.pods
    this.lab = lab
    this.sender = sender
    this.from = from.dataplane.netns
    this.to = to.dataplane.netns
    this.destination = formatIp(to.address)
  }

  async start(): Promise<void> {
    await this.lab.spawn(this.to, [this.sender, 'take', String(PORT), String(TAKER_CPU)], '/dev/null')
    // so many that a turn takes as long as netsim's
    this.packets = Math.max(this.packets, Math.round(TURN_NS / (await this.turn())))
    await this.turn()
  }

  /** ns a packet. @throws LabError when the pod's device did not see them all */
  async turn(): Promise<number> {
    const before = await this.received()
    const words = [this.sender, 'send', this.destination, String(PORT), String(PAYLOAD), String(this.packets), String(SENDER_CPU)]
    const { status, stdout, stderr } = await this.lab.run(this.from, words)
    if (status !== 0) throw new LabError(`the sender failed: ${stderr}`, '')
    const arrived = (await this.received()) - before
    if (arrived < this.packets) throw new LabError(`${arrived} of ${this.packets} packets arrived on the kernel`, '')
    return Number(stdout)
  }

  private async received(): Promise<number> {
    const { stdout } = await this.lab.run(this.to, ['ip', '-s', '-j', 'link', 'show', 'eth0'])
    const [link] = JSON.parse(stdout) as { readonly stats64: { readonly rx: { readonly packets: number } } }[]
    return link.stats64.rx.packets
  }
}

async function compare(path: PathName, rules: number, { pairs, sender }: { readonly pairs: number; readonly sender: string }): Promise<Comparison> {
  const network = forwardNetwork(path, rules)
  const labNetwork = labNetworkOf(network)
  const prefix = `netsim-${process.pid}-`
  const machine = await checkKernel(labNetwork, prefix)
  if (machine.missing.length > 0) throw new LabError(machine.missing.map(({ what }) => what).join('; '), machine.missing[0].fix)
  const lab = await KernelLab.start(labNetwork, { prefix, bare: true })
  try {
    await lab.warm()
    const there = new There(lab, network, sender)
    const here = new Here(network)
    await there.start()
    here.turn()
    const turns: { there: number; here: number }[] = []
    for (let i = 0; i < pairs; i++) turns.push({ there: await there.turn(), here: here.turn() })
    return { name: path, size: `${rules} rules`, peer: 'Linux', turns }
  } finally {
    await lab.close()
  }
}

function line({ name, size, peer, turns }: Comparison): string {
  const us = (ns: number): string => `${(ns / 1000).toFixed(2)} µs`.padStart(9)
  const ratios = turns.map(({ there, here }) => there / here)
  const spread = `${Math.min(...ratios).toFixed(1)} to ${Math.max(...ratios).toFixed(1)}`
  const columns = [us(medianOf(turns.map(({ there }) => there))), us(medianOf(turns.map(({ here }) => here))), `× ${medianOf(ratios).toFixed(1)}`.padStart(8)]
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
    const sender = compiledSender(folder)
    if (!options.json)
      console.log(`CPU a packet: the peer, netsim with every step traced, their ratio (median of ${options.pairs} turns each, in turns; spread)`)
    for (const path of options.paths) for (const rules of options.rules) told(await compare(path, rules, { pairs: options.pairs, sender }))
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
