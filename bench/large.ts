/**
 * usage: npm run bench -- large [--long --json] [--cli FILE] [WORD…]
 * Clusters of up to 5,000 nodes, 150,000 pods, 10,000 Services and 10,000 NetworkPolicies (large-world.ts), written to a file as kubectl prints them: what it
 * takes to read the file, to put the network together and answer a first trace, to have every node and pod awake, and how many packets a second are then
 * traced between pods drawn from all of them, once a pair and over and over among some; then what the command line takes with such a file
 * (large-commands.ts). A process for each row. Seconds are of CPU, of all threads of the process; after them those of the clock. WORD: part of a scenario's
 * name, or a number of nodes.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseIp, type Ip } from '../src/base/ip.js'
import { Prng } from '../src/base/prng.js'
import { buildCluster } from '../src/cluster/cluster.js'
import type { Netns } from '../src/net/netns.js'
import { buildNetwork } from '../src/network/build-network.js'
import type { Network } from '../src/network/network.js'
import { DEFAULT_REQUEST } from '../src/network/request.js'
import { sendOne } from './forward-network.js'
import { COMMAND_ROWS, measureCommand, type CommandRow } from './large-commands.js'
import { largeText, podAddress, podKey, PODS_PER_NODE, type LargeSize } from './large-world.js'

interface Row extends LargeSize {
  readonly scenario: string
  /** Runs only with --long. */
  readonly long?: boolean
  /** Every netns is woken, and packets go between all pods. */
  readonly whole: boolean
}

const scaled = (nodes: number): readonly Row[] => {
  const long = nodes > 1000
  const plain = { nodes, services: 0, policies: nodes * 2, long, whole: true }
  return [
    { ...plain, scenario: 'flannel vxlan', backend: 'vxlan' },
    { ...plain, scenario: 'flannel host-gw', backend: 'host-gw' },
    { ...plain, scenario: 'flannel vxlan, Services', backend: 'vxlan', services: nodes * 2, whole: false },
    // BGP runs beside VXLAN, session by session: not at every size
    ...(nodes > 1000 ? [] : [{ ...plain, scenario: 'Calico vxlan', backend: 'calico', long: true, whole: false } as const]),
  ]
}

const ROWS: readonly Row[] = [500, 5000].flatMap(scaled)
const PIECE = 1 << 18
const PACKETS = 300_000
/** Of those that are sent to over and over. */
const PAIRS = [10, 1000]
/** Before them, so that what is timed is compiled. */
const WARM_UP = 50_000
const ROW = '--row'

interface Stage {
  readonly cpuSeconds: number
  readonly seconds: number
  /** Of the process so far, MB of 10^6 bytes. */
  readonly peakMB: number
  /** Of V8's heap once nothing is left over; absent of a command. */
  readonly heapMB?: number
}

type Measured = Pick<Row, 'scenario' | 'nodes'> & {
  /** Of the file. */
  readonly bytes: number
  readonly stages: Readonly<Record<string, Stage>>
  /** By what they are between. */
  readonly packetsPerCpuSecond?: Readonly<Record<string, number>>
}

/** @param words of the command line, without the suite's name. @returns exit status */
export function runLarge(words: readonly string[]): number {
  if (words[0] === ROW) {
    console.log(JSON.stringify(measure(ROWS[Number(words[1])])))
    return 0
  }
  const cliAt = words.indexOf('--cli')
  const cli = cliAt < 0 ? 'dist/cli.js' : words[cliAt + 1]
  const filter = words.filter((word, at) => !word.startsWith('--') && (cliAt < 0 || at !== cliAt + 1))
  const fits = ({ scenario, nodes }: Pick<Row, 'scenario' | 'nodes'>, word: string): boolean =>
    /^\d+$/.test(word) ? String(nodes) === word : scenario.includes(word)
  const chosen = [...ROWS, ...COMMAND_ROWS].filter((row) => (words.includes('--long') || row.long !== true) && filter.every((word) => fits(row, word)))
  if (chosen.length === 0) {
    const all = [...ROWS, ...COMMAND_ROWS].map((row) => `  ${row.scenario} ${row.nodes}${row.long === true ? ' (--long)' : ''}`)
    console.error(['no such row; there are', ...all].join('\n'))
    return 2
  }
  const asJson = words.includes('--json')
  if (!asJson) console.log(HEAD)
  const rows = chosen.map((row) => {
    const measured = 'words' in row ? measureOfFile(row, (file, bytes) => commandRow(row, { cli, file, bytes })) : inOwnProcess(row)
    if (!asJson) console.log(text(measured))
    return measured
  })
  if (asJson) console.log(JSON.stringify({ node: process.version, rows }, null, 2))
  return 0
}

function inOwnProcess(row: Row): Measured {
  const options = [...process.execArgv, '--max-old-space-size=8192', process.argv[1], 'large', ROW, String(ROWS.indexOf(row))]
  const { status, stdout, error } = spawnSync(process.execPath, options, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (error !== undefined || status !== 0) throw error ?? new Error(`${row.scenario} ${row.nodes} ended with ${status}`)
  return JSON.parse(stdout) as Measured
}

function commandRow(row: CommandRow, { cli, file, bytes }: { readonly cli: string; readonly file: string; readonly bytes: number }): Measured {
  const { cpuSeconds, seconds, peakMB, printedBytes } = measureCommand(row, cli, file)
  return { scenario: row.scenario, nodes: row.nodes, bytes, stages: { [`whole, ${count(printedBytes)} B printed`]: { cpuSeconds, seconds, peakMB } } }
}

function text({ scenario, nodes, bytes, stages, packetsPerCpuSecond }: Measured): string {
  const head = `${scenario}: ${count(nodes)} nodes, ${count(nodes * PODS_PER_NODE)} pods, ${count(bytes)} bytes of JSON`
  const lines = Object.entries(stages).map(([name, { cpuSeconds, seconds, heapMB, peakMB }]) =>
    columns([`  ${name}`, cpuSeconds.toFixed(2), seconds.toFixed(2), heapMB === undefined ? '' : count(heapMB), count(peakMB)]),
  )
  const rates = Object.entries(packetsPerCpuSecond ?? {}).map(([between, rate]) => `  traced, ${between}: ${count(rate)} packets a second of CPU`)
  return [head, ...lines, ...rates].join('\n')
}

const HEAD = columns(['', 's of CPU', 's', 'heap MB', 'peak MB'])

function columns([name, ...numbers]: readonly string[]): string {
  return name.padEnd(40) + numbers.map((one) => one.padStart(10)).join('')
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function measure(row: Row): Measured {
  return measureOfFile(row, (file, bytes) => measureFile(row, file, bytes))
}

function measureOfFile(size: LargeSize, run: (file: string, bytes: number) => Measured): Measured {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-large-'))
  try {
    const file = join(folder, 'cluster.json')
    return run(file, writeFile(size, file))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function measureFile(row: Row, file: string, bytes: number): Measured {
  const stages: Record<string, Stage> = {}
  const stage = <Result>(name: string, run: () => Result): Result => {
    const [cpu, clock] = [process.cpuUsage(), performance.now()]
    const result = run()
    const { user, system } = process.cpuUsage(cpu)
    const seconds = (performance.now() - clock) / 1000
    const peakMB = (process.resourceUsage().maxRSS * 1024) / 1e6
    globalThis.gc?.()
    stages[name] = { cpuSeconds: (user + system) / 1e6, seconds, peakMB, heapMB: process.memoryUsage().heapUsed / 1e6 }
    return result
  }
  const cluster = stage('file read', () => {
    const read = buildCluster([{ file, chunks: { [Symbol.iterator]: () => piecesOf(file) } }])
    const wrong = read.problems.find(({ severity }) => severity === 'error')
    if (wrong !== undefined) throw new Error(wrong.what)
    return read.cluster
  })
  const network = stage('network', () => buildNetwork(cluster, { seed: 1 }).network)
  stage('first trace', () => {
    const outcome = network.trace({ ...DEFAULT_REQUEST, source: podKey(PODS_PER_NODE + 1), destination: podKey(row.nodes * PODS_PER_NODE - 3), proto: 'icmp' })
    if ('disposition' in outcome && outcome.disposition !== 'DELIVERED' && row.backend !== 'calico')
      throw new Error(`the first trace is ${outcome.disposition}`)
    return outcome
  })
  const head = { scenario: row.scenario, nodes: row.nodes, bytes, stages }
  if (!row.whole) return head
  stage('all awake', () => network.world.wakeAll())
  return { ...head, packetsPerCpuSecond: tracedPackets(network, row) }
}

/** Each with all its steps; the kernels keep their connections, and no question starts anew between two. */
function tracedPackets(network: Network, { nodes }: LargeSize): Readonly<Record<string, number>> {
  const pods = nodes * PODS_PER_NODE
  const netns = Array.from({ length: pods }, (_, index) => network.netns(podKey(index)) as Netns)
  const addresses = Int32Array.from({ length: pods }, (_, index) => parseIp(podAddress(index)) as Ip)
  const prng = new Prng(1)
  network.world.trace.on = 1
  network.world.trace.taps = 0
  const send = (from: number, to: number): void => {
    const ends = sendOne(network, netns[from], addresses[to])
    if (ends !== 1) throw new Error(`a packet came to ${ends} ends`)
  }
  const rate = (run: (packets: number) => void): number => {
    run(WARM_UP)
    const before = process.cpuUsage()
    run(PACKETS)
    const { user, system } = process.cpuUsage(before)
    return PACKETS / ((user + system) / 1e6)
  }
  const firstContacts = rate((packets) => {
    for (let packet = 0; packet < packets; packet++) send(prng.below(pods), prng.below(pods))
  })
  const among = PAIRS.map((pairs): [string, number] => {
    const ends = Int32Array.from({ length: 2 * pairs }, () => prng.below(pods))
    return [
      `over and over among ${count(pairs)} pairs`,
      rate((packets) => {
        for (let packet = 0; packet < packets; packet++) send(ends[2 * (packet % pairs)], ends[2 * (packet % pairs) + 1])
      }),
    ]
  })
  return { 'a first contact each': firstContacts, ...Object.fromEntries(among) }
}

function writeFile(size: LargeSize, file: string): number {
  const descriptor = openSync(file, 'w')
  let bytes = 0
  for (const chunk of largeText(size)) bytes += writeSync(descriptor, chunk)
  closeSync(descriptor)
  return bytes
}

function* piecesOf(file: string): Generator<Uint8Array> {
  const descriptor = openSync(file, 'r')
  const piece = new Uint8Array(PIECE)
  for (let length = readSync(descriptor, piece); length > 0; length = readSync(descriptor, piece)) yield piece.subarray(0, length)
  closeSync(descriptor)
}
