/** The flags that `netsim policy diff` and `netsim policy whatif` share: how a change is told, and what is expected of it. */
import { Option, type Command } from 'commander'
import type { PolicyFlags } from './policy-flags.js'
import type { ColorWhen } from './terminal.js'
import { colorWhen, integer, outputFormat } from './trace-options.js'

const CHANGE_FORMATS = ['txt', 'json', 'md', 'csv', 'dot', 'junit', 'sarif'] as const
const EXPECTATIONS = ['no-op', 'only-tightens', 'only-loosens'] as const

export type Expectation = (typeof EXPECTATIONS)[number]

/** As commander hands them over. */
export interface PolicyChangeFlags extends PolicyFlags {
  readonly output: (typeof CHANGE_FORMATS)[number]
  readonly expect?: Expectation
  readonly limit?: number
  readonly ref1: string
  readonly ref2: string
  readonly color: ColorWhen | false
  readonly ascii: boolean
}

const MOST_ROWS = 1_000_000

export function addChangeOptions(command: Command): Command {
  return command
    .addOption(new Option('-o, --output <FORMAT>', CHANGE_FORMATS.join(', ')).argParser(outputFormat(CHANGE_FORMATS)).default('txt'))
    .addOption(new Option('--expect <WHAT>', `${EXPECTATIONS.join(', ')}: status 0 when it is so, else 1`).argParser(outputFormat(EXPECTATIONS)))
    .addOption(new Option('--limit <N>', 'rows that txt and md tell (default: 50 and 20)').argParser(integer(1, MOST_ROWS)))
    .addOption(new Option('--ref1 <NAME>', 'what the first state is called in csv, dot and the forms of --compat').default('ref1'))
    .addOption(new Option('--ref2 <NAME>', 'and the second').default('ref2'))
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
}

export const CHANGE_EXITS = `
Exit status:
  0  nothing opened, nothing closed; with --expect: it is so
  1  something did; with --expect: it is not so
  2  wrong command line       3  wrong input
`
