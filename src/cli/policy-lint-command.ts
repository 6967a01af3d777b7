/** `netsim policy lint`: reads the manifests, has the policies looked at, prints the findings. Loaded when it is called. */
import { findingsJunit } from '../analysis/findings-junit.js'
import { sarifLog } from '../analysis/findings-sarif.js'
import { counted, factsLines, findingText, inputsWords, pageOf, pageText, sumLines, type FindingsTextOptions } from '../analysis/findings-text.js'
import { isWanted, type Finding } from '../base/finding.js'
import { hasErrors, type Problem } from '../base/problem.js'
import { lintCatalogue } from '../policy/lint/catalogue.js'
import { lintPolicies, type LintReport } from '../policy/lint/lint.js'
import { readPolicyWorld } from '../policy/world.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, EXIT_OK } from './exit.js'
import { fileUri } from './file-uri.js'
import type { Io } from './io.js'
import { report } from './load-network.js'
import { readPolicies, switchesOf } from './policy-input.js'
import type { PolicyLintFlags } from './policy-lint-verb.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import { VERSION } from './version.js'

/** The exit status. */
export async function policyLint(flags: PolicyLintFlags, io: Io): Promise<number> {
  const { state, problems: reading, inputs } = await readPolicies(flags, io)
  const { world, problems: more } = readPolicyWorld(state, switchesOf(flags))
  const problems = [...reading, ...more]
  const { severity, only, skip } = flags
  const linted = lintPolicies({ state, world, problems }, { severity, only, skip, tool: `netsim ${VERSION}`, inputs })
  const rest = problems.filter((problem) => !isTold(problem, linted.found))
  await report(rest, io)
  if (rest.some(({ severity: own, line }) => own === 'error' && line === 0)) return EXIT_BAD_INPUT
  await io.out(printed(linted.report, flags, io))
  if (hasErrors(rest)) return EXIT_BAD_INPUT
  return linted.report.findings.length > 0 ? EXIT_NOT_DELIVERED : EXIT_OK
}

/** A warning about an object on a line that a finding names is that finding; of errors the names that are there twice. */
function isTold({ severity, file, line, object }: Problem, found: readonly Finding[]): boolean {
  return found.some(
    ({ code, evidence }) =>
      (severity === 'warning' || code === 'NP006') && evidence.some((one) => one.file === file && one.line === line && one.object === object),
  )
}

function printed(linted: LintReport, flags: PolicyLintFlags, io: Io): string {
  const { output } = flags
  const catalogue = lintCatalogue()
  if (output === 'json') return `${JSON.stringify(linted, null, 2)}\n`
  if (output === 'sarif') return `${JSON.stringify(sarifLog(linted, { catalogue, version: VERSION, relative: (file) => fileUri(file, io) }), null, 2)}\n`
  if (output === 'junit') {
    const judged = catalogue.filter(({ code }) => isWanted(code, flags))
    return findingsJunit(linted, { command: 'netsim policy lint', suite: factsOf(linted), judged })
  }
  const color = wantsColor(flags.color === false ? 'never' : flags.color, io)
  return lintText(linted, { width: widthOf(io), color, ascii: wantsAscii(flags.ascii, io), verbosity: 0 })
}

function factsOf({ metadata: { policies, pods, namespaces } }: LintReport): string {
  return `${policies === 1 ? '1 policy' : `${policies} policies`}, ${counted(pods, 'pod')}, ${counted(namespaces, 'namespace')}`
}

function lintText(linted: LintReport, options: FindingsTextOptions): string {
  const page = pageOf(options)
  const facts = `${factsOf(linted)}${inputsWords(linted.metadata.inputs)} · as ${linted.metadata.as}`
  return pageText([...factsLines(page, facts), '', ...linted.findings.flatMap((one) => findingText(page, one)), ...sumLines(page, linted)])
}
