/** `netsim run`: reads the Scenario and its cluster, runs it, asks its probes, prints the report. Loaded when it is called. */
import type { ScenarioReport } from '../analysis/timeline/document.js'
import { foundationsOf } from '../analysis/timeline/foundations.js'
import { scenarioReport } from '../analysis/timeline/report.js'
import { reportText } from '../analysis/timeline/report-text.js'
import { metadataOf } from '../analysis/trace-report.js'
import { changesAt } from '../network/time/changes-at.js'
import type { Run } from '../network/time/control-plane.js'
import { changeText } from '../network/time/dataplane-diff.js'
import { networkAt } from '../network/time/network-at.js'
import { convergenceOf } from '../network/time/probe-convergence.js'
import { runProbes } from '../network/time/probe-runner.js'
import { EXIT_BAD_INPUT, EXIT_OK, EXIT_UNKNOWN } from './exit.js'
import type { Io } from './io.js'
import { inputFlags } from './question.js'
import type { RunFlags } from './run-verb.js'
import { loadScenario, type LoadedScenario } from './scenario-input.js'
import { progressOf, runLoaded } from './scenario-run.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import { STANDARD_OUTPUT, writeFlagged } from './trace-output.js'
import { VERSION } from './version.js'

interface RunCall {
  readonly flags: RunFlags
  /** Else the scenario's own counts. */
  readonly seedGiven: boolean
  readonly io: Io
}

/** The exit status: 0 it ran; 3 bad input; 4 netsim cannot say what became of some of the packets. */
export async function runScenario(file: string, { flags, seedGiven, io }: RunCall): Promise<number> {
  const loaded = await loadScenario(file, { ...flags, seedGiven }, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const { namespace, until, svg, output } = flags
  const run = runLoaded(loaded, { namespace, ...(until === undefined ? {} : { untilNs: until }) }, io)
  const report = reportOf(run, loaded, { namespace, io })
  const picture = async (): Promise<string> => (await import('../analysis/timeline/report-svg.js')).reportSvg(report, run.diary.entries)
  if (svg !== undefined && svg !== STANDARD_OUTPUT) await writeFlagged('--svg', svg, { content: await picture(), io })
  await io.out(svg === STANDARD_OUTPUT || output === 'svg' ? await picture() : printed(report, { file, flags, io }))
  return report.probes.some(({ spans }) => spans.some((span) => span.class === 'unknown')) ? EXIT_UNKNOWN : EXIT_OK
}

function reportOf(
  run: Run,
  { scenario, cluster, inputs, seed }: LoadedScenario,
  { namespace, io }: { readonly namespace: string; readonly io: Io },
): ScenarioReport {
  const { diary, book, untilNs } = run
  const progress = progressOf(io, 'probes')
  const histories = runProbes({
    run,
    probes: scenario.probes,
    networkAt: (state) => networkAt(book, state),
    diary,
    namespace,
    changesAt: (state, nodes) => changesAt(run, state, nodes).map((change) => ({ netns: change.netns, text: changeText(change) })),
    onProgress: (atNs) => progress.tell(atNs, untilNs),
  })
  progress.end()
  const { warm: _, ...facts } = metadataOf(networkAt(book, run.states[0]), { seed, cold: false })
  return scenarioReport({
    scenario,
    run,
    diary,
    histories,
    convergence: convergenceOf(diary, run.eventEntries, histories),
    metadata: { ...facts, tool: `netsim ${VERSION}`, inputs, runtime: cluster.runtime.name, nodes: cluster.nodes.length },
    foundations: foundationsOf({ scenario, cluster, diary: diary.entries, histories, untilNs, seed }),
  })
}

function printed(report: ScenarioReport, { file, flags, io }: { readonly file: string; readonly flags: RunFlags; readonly io: Io }): string {
  if (flags.output === 'json') return `${JSON.stringify(report, null, 2)}\n`
  return reportText(report, {
    width: widthOf(io),
    color: wantsColor(flags.color === false ? 'never' : flags.color, io),
    ascii: wantsAscii(flags.ascii, io),
    inputFlags: inputFlags({ ...flags, filename: [file, ...flags.filename] }),
  })
}
