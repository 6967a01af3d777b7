/** `netsim bench encap`: reads the cluster, measures every backend on its nodes and segments, prints. Loaded when it is called. */
import { overlayChart } from '../analysis/overlay/chart.js'
import { COST_NAMES, type CostName } from '../analysis/overlay/cost-model.js'
import type { OverlayReport } from '../analysis/overlay/document.js'
import { DEFAULT_SIZES, overlayReport } from '../analysis/overlay/report.js'
import { nearestName } from '../cluster/nearest-name.js'
import { overlayCsv, overlayText } from './bench-encap-text.js'
import type { BenchEncapFlags } from './bench-verb.js'
import { EXIT_BAD_INPUT, EXIT_OK, UsageError } from './exit.js'
import type { Io } from './io.js'
import { loadNetwork } from './load-network.js'
import { VERSION } from './version.js'

/** The exit status. @throws UsageError on a cost that there is not, on a chart that nothing draws */
export async function benchEncap(flags: BenchEncapFlags, io: Io): Promise<number> {
  const costs = costsOf(flags.cost)
  if (flags.chart !== undefined && flags.output !== 'svg') throw new UsageError(`--chart ${flags.chart} is of -o svg`)
  const loaded = await loadNetwork(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const { backends, seed, rate } = flags
  const sizes = flags.sizes.length === 0 ? DEFAULT_SIZES : flags.sizes
  const measured = overlayReport(loaded.cluster, { sizes, backends, costs, seed, ...(rate === undefined ? {} : { rate }) })
  if (typeof measured === 'string') {
    await io.err(`error: ${measured}\n`)
    return EXIT_BAD_INPUT
  }
  const report: OverlayReport = { ...measured, metadata: { tool: `netsim ${VERSION}`, inputs: loaded.inputs, seed } }
  await io.out(printed(report, flags))
  return EXIT_OK
}

function printed(report: OverlayReport, { output, chart = 'overhead' }: BenchEncapFlags): string {
  if (output === 'svg') return overlayChart(report, chart, report.ways[0].name)
  if (output === 'json') return `${JSON.stringify(report, null, 2)}\n`
  return output === 'csv' ? overlayCsv(report) : overlayText(report)
}

function costsOf(given: readonly string[]): Partial<Record<CostName, number>> {
  return Object.fromEntries(
    given.map((text) => {
      const [, word, value] = /^([a-z]+)=([0-9]+(?:\.[0-9]+)?)$/.exec(text) ?? []
      if (word === undefined) throw new UsageError(`--cost ${text}: write NAME=NANOSECONDS, tunnel=900`)
      const name = COST_NAMES.find((one) => one === word)
      if (name === undefined)
        throw new UsageError(`--cost ${text}: there is no constant ${word} (did you mean ${nearestName(word, COST_NAMES) ?? COST_NAMES.join(', ')}?)`)
      return [name, Number(value)]
    }),
  )
}
