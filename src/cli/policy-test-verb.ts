/** `netsim policy test` on the command line: its flags. What it does comes with policy-test-command.ts, when it is called. */
import { Option, type Command } from 'commander'
import { addPolicyOptions, type PolicyFlags } from './policy-flags.js'
import type { ColorWhen } from './terminal.js'
import { colorWhen, outputFormat } from './trace-options.js'
import type { Running } from './verb.js'

const TEST_FORMATS = ['text', 'json', 'junit'] as const

/** As commander hands them over. */
export interface PolicyTestFlags extends PolicyFlags {
  readonly output: (typeof TEST_FORMATS)[number]
  readonly requireControl: boolean
  readonly color: ColorWhen | false
  readonly ascii: boolean
}

export function addPolicyTest(group: Command, name: string, { io, status }: Running): void {
  const command = group
    .command('test')
    .summary('hold assertions against the policies: allow shop/web -> shop/db:5432')
    .description(
      'Holds assertions against what the policies mean, and tells of each that fails the rule that decided, with its file and line. FILE is a list of ' +
        '{from, to, port, proto, expect: allow|deny} in YAML or JSON, or one short assertion a line; - is standard input.',
    )
    .argument('<FILE...>', 'files of assertions')
    .addHelpText('before', testExamples(name))
    .addHelpText('after', TEST_HELP)
    .showHelpAfterError(`See '${name} policy test --help'.`)
  addPolicyOptions(command)
    .addOption(new Option('-o, --output <FORMAT>', TEST_FORMATS.join(', ')).argParser(outputFormat(TEST_FORMATS)).default('text'))
    .option('--require-control', 'status 1 where every assertion is a denial and no control shows that probes get through', false)
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
    .action(async (files: readonly string[], flags: PolicyTestFlags) => {
      const { policyTest } = await import('./policy-test-command.js')
      status.code = await policyTest(files, flags, io)
    })
}

const TEST_HELP = `
Short assertions, one a line:
  allow shop/web -> shop/db:5432
  deny */* -> shop/db:5432/tcp
  deny shop/[app!=web] -> shop/db:5000-6000
  control allow shop/web -> 10.0.0.9:53/udp      must be open

Exit status of test:
  0  every assertion holds      1  some do not      3  wrong input`

function testExamples(name: string): string {
  return `Examples:
  ${name} policy test rules.yaml -f shop/
  ${name} policy test rules.yaml -f shop/ -o junit > policy.xml
  echo 'deny shop/cron -> shop/db:5432' | ${name} policy test - -f shop/

`
}
