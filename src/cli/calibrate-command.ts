/** `netsim verify --calibrate`: the constants of the overlays' cost as this kernel has them. Loaded when it is called. */
import { COST_NAMES, COSTS } from '../analysis/overlay/cost-model.js'
import { calibrate, calibrationNetworks, NOT_CALIBRATED, type Calibration } from '../kernel/calibrate.js'
import { labNetworkOf } from '../kernel/lab.js'
import { EXIT_OK, EXIT_UNKNOWN, UsageError } from './exit.js'
import type { Io } from './io.js'
import { labPrefix, labProgress, onThisMachine } from './lab-machine.js'
import { safe } from './load-network.js'
import { table } from './table.js'
import { VERSION } from './version.js'
import type { VerifyFlags } from './verify-verb.js'

const ROUNDS = 5

/** The exit status. @throws UsageError on JUnit, which has no measurements */
export async function calibration(flags: Pick<VerifyFlags, 'output'>, io: Io): Promise<number> {
  if (flags.output === 'junit') throw new UsageError('--calibrate prints text or json')
  const networks = calibrationNetworks()
  const specs = [...networks.values()].flatMap((network) => labNetworkOf(network).specs)
  return onThisMachine({ specs }, { tools: { python3: 'python3' }, io }, async ({ cannotBuild: [lacking], kernel }) => {
    if (lacking !== undefined) {
      await io.err(`error: this kernel makes no ${lacking.kind}: ${safe(lacking.why)}\n`)
      return EXIT_UNKNOWN
    }
    const found = await calibrate({ networks, prefix: labPrefix(), rounds: ROUNDS, kernel, ...labProgress(io) })
    await io.out(flags.output === 'json' ? `${JSON.stringify(documentOf(found, kernel), null, 2)}\n` : textOf(found, kernel))
    return EXIT_OK
  })
}

function documentOf({ paths, costs }: Calibration, kernel: string): object {
  return {
    apiVersion: 'netsim/v1',
    kind: 'Calibration',
    metadata: { tool: `netsim ${VERSION}`, kernel, rounds: ROUNDS },
    paths,
    costs,
    notCalibrated: NOT_CALIBRATED,
  }
}

function textOf({ paths, costs }: Calibration, kernel: string): string {
  const measured = COST_NAMES.filter((name) => !NOT_CALIBRATED.includes(name))
  const ns = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 1 })
  const spread = (rounds: readonly number[]): string => `${ns(Math.round(Math.min(...rounds)))} to ${ns(Math.round(Math.max(...rounds)))}`
  const pathRows = paths.map(({ name, rounds, measuredNs, modelNs }) => [name, ns(measuredNs), spread(rounds), ns(modelNs)])
  const costRows = measured.map((name) => [name, ns(costs[name].ns), ns(COSTS[name].ns), costs[name].of])
  const flags = measured.map((name) => `--cost ${name}=${costs[name].ns}`).join(' ')
  return [
    `${kernel}: CPU nanoseconds of a datagram of 64 bytes, the median of ${ROUNDS} rounds`,
    '',
    table(['PATH', 'MEASURED', 'ROUNDS', 'MODEL'], pathRows).trimEnd(),
    '',
    table(['CONSTANT', 'HERE', 'BUILT IN', 'OF EACH'], costRows).trimEnd(),
    '',
    ...(measured.some((name) => costs[name].ns === 0) ? ['0: nothing was left of the difference that it is; on a quiet machine there is more.', ''] : []),
    `Not measured here: ${NOT_CALIBRATED.join(', ')} (a stand-in plays flanneld's proxy, and not every kernel has WireGuard).`,
    '',
    'As questions with these:',
    `  netsim bench encap ${flags}`,
    '',
  ].join('\n')
}
