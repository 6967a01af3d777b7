/**
 * From the start of a process to its end, over `node -e 0`: pairs, one after the other, and the median of their differences. The command is dist/cli.js, or
 * what NETSIM_CLI names. CPU is that of the process, user and system, as bash takes it.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { median } from '../src/base/median.js'
import type { Suite, Timing } from './suite.js'

const PAIRS = 15
const COMMAND = resolve(process.env.NETSIM_CLI ?? 'dist/cli.js')
const WORDS = [['--version'], ['trace', 'pod-a', 'pod-b']]
const SCRIPT = 'TIMEFORMAT="%3R %3U %3S"; time "$@" >/dev/null'

interface Taken {
  readonly wall: number
  readonly cpu: number
}

/** Seconds. In a folder without a netsim.yaml. */
function take(words: readonly string[]): Taken {
  const { status, stderr } = spawnSync('bash', ['-c', SCRIPT, 'bash', process.execPath, ...words], { cwd: tmpdir(), encoding: 'utf8', env: withoutLocale() })
  const [, wall, user, system] = /([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(stderr) ?? []
  if (status !== 0 || system === undefined) throw new Error(`${words.join(' ')} ended with ${status}: ${stderr}`)
  return { wall: Number(wall), cpu: Number(user) + Number(system) }
}

/** A decimal point, whoever runs it. */
function withoutLocale(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C' }
}

function overNode(words: readonly string[]): Timing[] {
  const pairs = Array.from({ length: PAIRS + 1 }, () => ({ node: take(['-e', '0']), own: take([COMMAND, ...words]) })).slice(1)
  return (['cpu', 'wall'] as const).map((kind) => {
    const seconds = pairs.map(({ node, own }) => own[kind] - node[kind])
    const middle = median(seconds)
    const away = median(seconds.map((one) => Math.abs(one - middle)))
    const name = `${kind === 'cpu' ? 'CPU' : 'wall'}, ${words.join(' ')}`
    return { name, nsPerOperation: Math.max(1, middle * 1e9), marginPercent: (100 * away) / Math.abs(middle), samples: PAIRS }
  })
}

function timed(): readonly Timing[] {
  if (!existsSync(COMMAND)) throw new Error(`${COMMAND} is missing: npm run build`)
  return WORDS.flatMap(overNode)
}

export const suites: readonly Suite[] = [{ name: 'process start, over node -e 0', base: 'CPU, --version', cases: [], timed }]
