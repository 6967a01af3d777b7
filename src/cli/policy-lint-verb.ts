/** `netsim policy lint` on the command line: its flags. What it does comes with policy-lint-command.ts, when it is called. */
import type { Command } from 'commander'
import { LINT_CODES, type LintCode } from '../policy/lint/codes.js'
import { addFindingOptions, type FindingFlags } from './finding-flags.js'
import { addPolicyOptions, type PolicyFlags } from './policy-flags.js'
import type { Running } from './verb.js'

/** As commander hands them over. */
export type PolicyLintFlags = PolicyFlags & FindingFlags<LintCode>

export function addPolicyLint(group: Command, name: string, { io, status }: Running): void {
  const command = group
    .command('lint')
    .summary('what in the policies is probably not meant')
    .description(
      'Looks for policies and rules that do not do what they look like: selectors that find nobody, ports of Services, DNS cut off, "and" written as "or", ' +
        'rules that add nothing or never decide, policies that nobody enforces.',
    )
    .addHelpText('before', lintExamples(name))
    .addHelpText('after', LINT_EXITS)
    .showHelpAfterError(`See '${name} policy lint --help'.`)
  addFindingOptions(addPolicyOptions(command), LINT_CODES, 'docs/policy-lint.md').action(async (flags: PolicyLintFlags) => {
    const { policyLint } = await import('./policy-lint-command.js')
    status.code = await policyLint(flags, io)
  })
}

const LINT_EXITS = `
Exit status of policy lint:
  0  nothing at or above --severity        1  findings
  3  wrong input`

function lintExamples(name: string): string {
  return `Examples:
  ${name} policy lint -f shop/                          what is worth a look
  ${name} policy lint -f shop/ --severity info          and what is only to be known
  ${name} policy lint -f shop/ --only NP401,NP402       who cannot ask DNS
  ${name} policy lint -f shop/ -o sarif > netsim.sarif

`
}
