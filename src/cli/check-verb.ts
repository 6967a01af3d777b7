/** `netsim check` on the command line: its flags. What it does comes with check-command.ts, when it is called. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { CODES, type Code } from '../analysis/check/codes.js'
import { SEVERITIES, type Severity } from '../base/finding.js'
import { nearestName } from '../cluster/nearest-name.js'
import { choosing, choosingSeveral } from './choices.js'
import type { InputOptions } from './load-network.js'
import type { ColorWhen } from './terminal.js'
import { colorWhen, outputFormat } from './trace-options.js'
import { addInputOptions, type Running } from './verb.js'

const CHECK_FORMATS = ['text', 'json', 'sarif', 'junit'] as const

/** As commander hands them over. */
export interface CheckFlags extends InputOptions {
  readonly output: (typeof CHECK_FORMATS)[number]
  readonly severity: Severity
  readonly only: readonly Code[]
  readonly skip: readonly Code[]
  readonly verbose: number
  readonly color: ColorWhen | false
  readonly ascii: boolean
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
  addInputOptions(command)
    .addOption(new Option('-o, --output <FORMAT>', CHECK_FORMATS.join(', ')).argParser(outputFormat(CHECK_FORMATS)).default('text'))
    .addOption(new Option('--severity <LEVEL>', 'tell findings from there on: error, warning or info').argParser(severity).default('warning'))
    .addOption(new Option('--only <CODE,…>', 'look for these alone').argParser(codes).default([], 'all'))
    .addOption(new Option('--skip <CODE,…>', 'leave these out').argParser(codes).default([], 'none'))
    .addOption(new Option('-v, --verbose', "with each packet's way").argParser((_, before: number) => before + 1).default(0, 'without'))
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
    .action(async (flags: CheckFlags) => {
      const { check } = await import('./check-command.js')
      status.code = await check(flags, io)
    })
}

const severity = choosing(SEVERITIES, (text): Severity => {
  const found = SEVERITIES.find((word) => word === text.toLowerCase())
  if (found === undefined) throw new InvalidArgumentError(`It must be one of ${SEVERITIES.join(', ')}.`)
  return found
})

/** Codes with commas between; in any case of letters. */
const codes = choosingSeveral(CODES, (text: string): readonly Code[] =>
  text.split(',').map((word) => {
    const found = CODES.find((code) => code === word.trim().toUpperCase())
    if (found !== undefined) return found
    const nearest = nearestName(word.trim().toUpperCase(), CODES)
    throw new InvalidArgumentError(`There is no code ${word.trim()}.${nearest === undefined ? '' : ` (Did you mean ${nearest}?)`} docs/check.md lists them.`)
  }),
)

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
