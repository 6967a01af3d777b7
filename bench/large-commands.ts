/**
 * What `netsim` itself takes with a large cluster in one file: each command a process of its own, from its start to its last byte, with the peak of its
 * memory. The command line is the built one (npm run build), or the program of --cli FILE.
 */
import { spawnSync } from 'node:child_process'
import { podKey, PODS_PER_NODE, serviceName, type LargeSize } from './large-world.js'
import { namespaceName } from './policy-world.js'

export interface CommandRow extends LargeSize {
  readonly scenario: string
  readonly long: boolean
  readonly words: readonly string[]
}

/** Packets of `flows`, of so many pairs of pods. */
const PACKETS = 10_000_000
const PAIRS = 1000

/** flannel enforces no policy: `policy` answers as if somebody did. */
function commandsOf(nodes: number, services: number): Readonly<Record<string, readonly string[]>> {
  const [source, destination] = [podKey(PODS_PER_NODE + 1), podKey(nodes * PODS_PER_NODE - 3)]
  const service = `svc/${namespaceName(nodes)}/${serviceName(nodes)}`
  return {
    'netsim trace': ['trace', source, destination],
    ...(services === 0 ? {} : { 'netsim trace, to a Service': ['trace', source, service, '--proto', 'tcp', '--dport', '80'] }),
    'netsim policy list, one pod': ['policy', 'list', '--enforced', '--focus', source, '-o', 'csv'],
    'netsim policy list, all pairs by class': ['policy', 'list', '--enforced', '--by-class'],
    'netsim policy list, all pairs by class as JSON Lines': ['policy', 'list', '--enforced', '--by-class', '-o', 'jsonl'],
    'netsim flows, all pairs by class': ['flows', '--by-class', '--port', '8080', '--workers', '1'],
    [`netsim flows, ${PACKETS / 1e6} M packets`]: ['flows', '--random', String(PAIRS), '--packets', String(PACKETS / PAIRS), '--port', '8080'],
  }
}

export const COMMAND_ROWS: readonly CommandRow[] = [1000, 2500, 5000].flatMap((nodes) => {
  const plain = { nodes, services: 0, policies: nodes * 2, backend: 'vxlan', long: true } as const
  const withServices = { ...plain, services: nodes * 2 }
  const all = Object.entries(commandsOf(nodes, withServices.services))
  return all.map(([scenario, words]) => ({ ...(scenario.endsWith('Service') ? withServices : plain), scenario, words }))
})

export interface CommandCost {
  readonly cpuSeconds: number
  readonly seconds: number
  /** MB of 10^6 bytes. */
  readonly peakMB: number
  /** On standard output. */
  readonly printedBytes: number
}

const USAGE = `data:text/javascript,${encodeURIComponent(`
import { writeSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
if (isMainThread) process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  writeSync(3, JSON.stringify({ cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakMB: (maxRSS * 1024) / 1e6 }))
})`)}`

/**
 * @param cli the program
 * @param file of a cluster of the row's size
 * @throws Error when the command ends otherwise than with an answer
 */
export function measureCommand({ words }: CommandRow, cli: string, file: string): CommandCost {
  const start = performance.now()
  const { status, output, error } = spawnSync(process.execPath, ['--import', USAGE, cli, ...words, '-f', file], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
    maxBuffer: 1 << 30,
  })
  const seconds = (performance.now() - start) / 1000
  // 1: the packet is lost, or not every one arrived
  if (error !== undefined || (status !== 0 && status !== 1)) throw error ?? new Error(`netsim ${words.join(' ')} ended with ${status}`)
  const [, printed, , usage] = output
  const cost = JSON.parse((usage as Buffer).toString()) as Pick<CommandCost, 'cpuSeconds' | 'peakMB'>
  return { ...cost, seconds, printedBytes: (printed as Buffer).length }
}
