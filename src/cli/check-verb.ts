/** `netsim check` on the command line: its flags. What it does comes with check-command.ts, when it is called. */
import { Option, type Command } from 'commander'
import { CODES, type Code } from '../analysis/check/codes.js'
import { addFindingOptions, type FindingFlags } from './finding-flags.js'
import type { InputOptions } from './load-network.js'
import { addNodeOption } from './node-flags.js'
import { addInputOptions, type Running } from './verb.js'

/** As commander hands them over. */
export interface CheckFlags extends InputOptions, FindingFlags<Code> {
  readonly verbose: number
}

export function addCheck(program: Command, name: string, { io, status }: Running): void {
  const command = program
    .command('check')
    .summary('hold the cluster against the Kubernetes network model')
    .description(
      'Asks packets between pods and nodes of every class, looks for what the Kubernetes network model forbids (NAT between pods, hidden addresses) ' +
        'and for the common faults: overlapping networks, MTUs, Services without endpoints, policies that nobody enforces, ports that clash.',
    )
    .addHelpText('before', checkExamples(name))
    .addHelpText('after', CHECK_EXITS)
    .showHelpAfterError(`See '${name} check --help'.`)
  addFindingOptions(addNodeOption(addInputOptions(command)), CODES, 'docs/check.md')
    .addOption(new Option('-v, --verbose', "with each packet's way").argParser((_, before: number) => before + 1).default(0, 'without'))
    .action(async (flags: CheckFlags) => {
      const { check } = await import('./check-command.js')
      status.code = await check(flags, io)
    })
}

const CHECK_EXITS = `
Exit status of check:
  0  nothing at or above --severity        1  findings
  3  wrong input                           4  no findings, but parts could not be judged (they are named)`

function checkExamples(name: string): string {
  return `Examples:
  ${name} check                                the built-in example
  ${name} check -f cluster/ --severity info    with what is as asked, too
  ${name} check -f cluster/ -o sarif > netsim.sarif
  ${name} check -f cluster/ -o junit --skip NM302 > check.xml
`
}
