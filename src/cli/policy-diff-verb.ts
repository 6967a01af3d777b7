/** `netsim policy diff` on the command line: its flags. What it does comes with policy-diff-command.ts, when it is called. */
import type { Command } from 'commander'
import { addChangeOptions, CHANGE_EXITS } from './policy-change-verb.js'
import type { PolicyChangeFlags } from './policy-change-verb.js'
import { addPolicyOptions } from './policy-flags.js'
import type { Running } from './verb.js'

export function addPolicyDiff(group: Command, name: string, { io, status }: Running): void {
  const command = group
    .command('diff')
    .summary('what opens and what closes between two sets of manifests, and which rules decided')
    .description(
      'Compares what two sets of manifests mean, pair by pair of workloads and with the outside: what closes, what opens, the rule that decided before ' +
        'and the one that decides after with file and line. Whatever means the same is no difference.',
    )
    .argument('<OLD>', 'manifests: a file or a folder with all that is in it')
    .argument('<NEW>', 'the same, after the change')
    .addHelpText('before', diffExamples(name))
    .addHelpText('after', CHANGE_EXITS)
    .showHelpAfterError(`See '${name} policy diff --help'.`)
  addChangeOptions(addPolicyOptions(command)).action(async (old: string, now: string, flags: PolicyChangeFlags) => {
    const { policyDiff } = await import('./policy-diff-command.js')
    status.code = await policyDiff([old, now], flags, io)
  })
}

function diffExamples(name: string): string {
  return `Examples:
  ${name} policy diff main/ pull-request/                          what a change of manifests does
  ${name} policy diff main/ pull-request/ --expect only-tightens   for CI: fails where it opens something
  ${name} policy diff main/ pull-request/ -o md                    for a comment on a pull request

`
}
