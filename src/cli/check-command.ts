/** `netsim check`: builds the network, has it checked, prints the findings. Loaded when it is called. */
import { isAbsolute, relative } from 'node:path'
import { hasErrors, type Problem } from '../base/problem.js'
import { CODES } from '../analysis/check/codes.js'
import { checkNetwork, checkObjects, type CheckOptions } from '../analysis/check/check.js'
import { checkJunit } from '../analysis/check/check-junit.js'
import { checkText } from '../analysis/check/check-text.js'
import type { CheckReport, Finding } from '../analysis/check/finding.js'
import { sarifLog } from '../analysis/check/sarif.js'
import type { CheckFlags } from './check-verb.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, EXIT_OK, EXIT_UNKNOWN } from './exit.js'
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
  const { output, only, skip } = flags
  const judged = CODES.filter((code) => (only.length === 0 || only.includes(code)) && !skip.includes(code))
  if (output === 'json') return `${JSON.stringify(checked, null, 2)}\n`
  if (output === 'sarif') return `${JSON.stringify(sarifLog(checked, { version: VERSION, relative: (file) => uriOf(file, io) }), null, 2)}\n`
  if (output === 'junit') return checkJunit(checked, judged)
  const color = wantsColor(flags.color === false ? 'never' : flags.color, io)
  return checkText(checked, { width: widthOf(io), color, ascii: wantsAscii(flags.ascii, io), verbosity: flags.verbose })
}

/** RFC 3986 §4.2: relative to the folder that the command runs in; `-` is no file. */
function uriOf(file: string, { cwd }: Io): string {
  const path = file === '-' ? 'stdin' : isAbsolute(file) ? relative(cwd, file) : file.replace(/^\.\//, '')
  return path.split(/[\\/]/).map(encodeURIComponent).join('/')
}
