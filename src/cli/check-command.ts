/** `netsim check`: builds the network, has it checked, prints the findings. Loaded when it is called. */
import { hasErrors, type Problem } from '../base/problem.js'
import { checkCatalogue } from '../analysis/check/catalogue.js'
import { checkNetwork, checkObjects, type CheckOptions } from '../analysis/check/check.js'
import { checkText } from '../analysis/check/check-text.js'
import type { CheckReport } from '../analysis/check/finding.js'
import { findingsJunit } from '../analysis/findings-junit.js'
import { sarifLog } from '../analysis/findings-sarif.js'
import { isWanted, type Finding } from '../base/finding.js'
import type { CheckFlags } from './check-verb.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, EXIT_OK, EXIT_UNKNOWN } from './exit.js'
import { fileUri } from './file-uri.js'
import type { Io } from './io.js'
import { readNetwork, report } from './load-network.js'
import { inputFlags } from './question.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import { VERSION } from './version.js'

/** The exit status. */
export async function check(flags: CheckFlags, io: Io): Promise<number> {
  const read = await readNetwork(flags, io)
  const { severity, only, skip, seed } = flags
  const options: CheckOptions = { seed, severity, only, skip, tool: `netsim ${VERSION}`, inputs: read.inputs, problems: read.problems }
  const broken = read.network === undefined || hasErrors(read.problems)
  const checked = broken || read.network === undefined ? checkObjects(read.cluster, options) : checkNetwork(read.network, options)
  // of nodes that were rendered only for the questions
  const problems = [...read.problems, ...(read.network?.lateProblems ?? [])]
  const rest = problems.filter((problem) => !isTold(problem, checked.found))
  await report(rest, io)
  if (hasErrors(rest)) return EXIT_BAD_INPUT
  await io.out(printed(withFiles(checked.report, flags), flags, io))
  if (checked.report.findings.length > 0) return EXIT_NOT_DELIVERED
  return checked.report.notJudged.length > 0 ? EXIT_UNKNOWN : EXIT_OK
}

/** So that a command of the evidence asks the same network. */
function withFiles(checked: CheckReport, flags: CheckFlags): CheckReport {
  const more = inputFlags(flags)
  const findings = checked.findings.map((one) => ({
    ...one,
    evidence: one.evidence.map((shown) => (shown.command === undefined ? shown : { ...shown, command: shown.command + more })),
  }))
  return { ...checked, findings }
}

/** A Problem about an object on a line that a finding names is that finding. */
function isTold({ file, line, object }: Problem, found: readonly Finding[]): boolean {
  return found.some(({ evidence }) => evidence.some((one) => one.file === file && one.line === line && one.object === object))
}

function printed(checked: CheckReport, flags: CheckFlags, io: Io): string {
  const { output } = flags
  const catalogue = checkCatalogue()
  if (output === 'json') return `${JSON.stringify(checked, null, 2)}\n`
  if (output === 'sarif') return `${JSON.stringify(sarifLog(checked, { catalogue, version: VERSION, relative: (file) => fileUri(file, io) }), null, 2)}\n`
  if (output === 'junit') {
    const { cni, backend } = checked.metadata
    const judged = catalogue.filter(({ code }) => isWanted(code, flags))
    return findingsJunit(checked, { command: 'netsim check', suite: `${cni} ${backend}`.trim(), judged })
  }
  const color = wantsColor(flags.color === false ? 'never' : flags.color, io)
  return checkText(checked, { width: widthOf(io), color, ascii: wantsAscii(flags.ascii, io), verbosity: flags.verbose })
}
