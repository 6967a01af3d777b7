/** `netsim run` on the command line: its arguments and flags. What it does comes with run-command.ts, when it is called. */
import { Option, type Command } from 'commander'
import { UsageError } from './exit.js'
import type { InputOptions } from './load-network.js'
import type { ColorWhen } from './terminal.js'
import { colorWhen, moment, outputFormat } from './trace-options.js'
import { addInputOptions, type Running } from './verb.js'

const RUN_FORMATS = ['text', 'json', 'svg'] as const

/** As commander hands them over. */
export interface RunFlags extends InputOptions {
  readonly namespace: string
  readonly until?: number
  readonly output: (typeof RUN_FORMATS)[number]
  readonly svg?: string
  /** false: `--no-color`. */
  readonly color: ColorWhen | false
  readonly ascii: boolean
}

export function addRun(program: Command, name: string, { io, status }: Running): void {
  const command = program
    .command('run')
    .summary('what a Scenario does to the network, over time')
    .description(
      'Boots the agents of a cluster on one clock, has the events of SCENARIO happen to them at their virtual times, and tells for each of its probes when ' +
        'it worked, was black-holed, looped or refused, with what brought each change about and how long it took.',
    )
    .argument('<SCENARIO>', 'the file of the Scenario, which may hold the cluster too; - for standard input')
    .addHelpText('before', runExamples(name))
    .showHelpAfterError(`See '${name} run --help'.`)
  addInputOptions(command)
    .addOption(new Option('--until <TIME>', 'end then, whatever the scenario says: 30s, 12h, 2d').argParser(moment))
    .addOption(new Option('-o, --output <FORMAT>', RUN_FORMATS.join(', ')).argParser(outputFormat(RUN_FORMATS)).default('text'))
    .option('--svg <FILE|->', 'draw the timeline; - for standard output, in place of the text')
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
    .action(async (file: string, flags: RunFlags) => {
      if (flags.svg === '') throw new UsageError('--svg needs the name of a file, or - for standard output')
      const { runScenario } = await import('./run-command.js')
      status.code = await runScenario(file, { flags, seedGiven: command.getOptionValueSource('seed') === 'cli', io })
    })
}

function runExamples(name: string): string {
  return `Examples:
  ${name} run node-dies.yaml                                 the Scenario, and the cluster in the same file
  ${name} run node-dies.yaml -f cluster/ --until 10m         of this cluster, for ten minutes
  ${name} run node-dies.yaml -o json | jq '.probes[].totalNs'
  ${name} run node-dies.yaml --svg timeline.svg              and a picture
  ${name} show timeline -f node-dies.yaml --from 10s         the diary of its control plane
  ${name} trace shop/a shop/b:80 -f node-dies.yaml --at 12.5s
`
}
