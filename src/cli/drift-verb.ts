/** `netsim drift` on the command line: its flags. What it does comes with drift-command.ts, when it is called. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { DRIFT_CODES, type DriftCode } from '../analysis/drift/codes.js'
import { SEVERITIES, type Severity } from '../base/finding.js'
import { choosing } from './choices.js'
import { addFindingOptions, type FindingFlags } from './finding-flags.js'
import type { InputOptions } from './load-network.js'
import { addNodeOption } from './node-flags.js'
import { addInputOptions, type Running } from './verb.js'

/** As commander hands them over. */
export interface DriftFlags extends InputOptions, FindingFlags<DriftCode> {
  readonly verbose: number
  /** Findings less severe are told, and the command ends with 0 all the same; absent: as --severity. */
  readonly failOn?: Severity | 'never'
}

const FAIL_ON = [...SEVERITIES, 'never'] as const

const failOn = choosing(FAIL_ON, (text): Severity | 'never' => {
  const found = FAIL_ON.find((word) => word === text.toLowerCase())
  if (found === undefined) throw new InvalidArgumentError(`It must be one of ${FAIL_ON.join(', ')}.`)
  return found
})

export function addDrift(program: Command, name: string, { io, status }: Running): void {
  const command = program
    .command('drift')
    .summary('hold nodes as they are against what their agents should have programmed')
    .description(
      'Renders what flanneld, docker, the CNI plugins, kube-proxy, Felix and BIRD put into the kernel of a node, from the cluster of -f, and holds it ' +
        'against a dump of that node (netsim collect): what is missing, too many, otherwise. For each finding the network is asked with and without it: ' +
        'who loses what, or that nothing comes of it; and the command that mends it.',
    )
    .addHelpText('before', driftExamples(name))
    .addHelpText('after', DRIFT_EXITS)
    .showHelpAfterError(`See '${name} drift --help'.`)
  addFindingOptions(addNodeOption(addInputOptions(command)), DRIFT_CODES, 'docs/drift.md')
    .addOption(
      new Option('--fail-on <LEVEL>', 'end with 1 for findings from there on: error, warning, info; or never')
        .argParser(failOn)
        .default(undefined, 'as --severity'),
    )
    .addOption(
      new Option('-v, --verbose', 'every line that differs, every question that ends otherwise')
        .argParser((_, before: number) => before + 1)
        .default(0, 'without'),
    )
    .action(async (flags: DriftFlags) => {
      const { drift } = await import('./drift-command.js')
      status.code = await drift(flags, io)
    })
}

const DRIFT_EXITS = `
Exit status of drift:
  0  nothing at or above --fail-on         1  findings
  3  wrong input                           4  no findings, but parts could not be judged (they are named)`

function driftExamples(name: string): string {
  return `Examples:
  ${name} collect | ssh n1 sudo sh -s -- -o - > n1.tar
  ${name} drift --node n1=n1.tar -f cluster/
  ${name} drift --node n1=n1.tar --node n2=n2.tar -f cluster/ --severity info -v
  ${name} drift --node n1=n1.tar -f cluster/ -o json | jq -r '.findings[].commands[]'
  ${name} drift --node n1=n1.tar -f cluster/ -o sarif --fail-on error > drift.sarif
`
}
