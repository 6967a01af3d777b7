/** `netsim policy fix` on the command line: its flags. What it does comes with policy-fix-command.ts, when it is called. */
import { Option, type Command } from 'commander'
import type { Protocol } from '../policy/connections.js'
import { addPolicyOptions, type PolicyFlags } from './policy-flags.js'
import { protocol } from './policy-explain-verb.js'
import type { ColorWhen } from './terminal.js'
import { colorWhen, integer, outputFormat } from './trace-options.js'
import type { Running } from './verb.js'

const FIX_FORMATS = ['text', 'yaml', 'json'] as const
const MOST = 1000

/** As commander hands them over. */
export interface PolicyFixFlags extends PolicyFlags {
  readonly output: (typeof FIX_FORMATS)[number]
  readonly allow: boolean
  readonly deny: boolean
  readonly proto?: Protocol
  readonly pick: number
  readonly all: boolean
  readonly color: ColorWhen | false
  readonly ascii: boolean
}

export function addPolicyFix(group: Command, name: string, { io, status }: Running): void {
  const command = group
    .command('fix')
    .summary('the smallest edit that opens or closes one connection, and what else it would do')
    .description(
      'Looks for the edits that let one connection through, or stop it: a rule, a peer or a port in a policy that is there, labels, a new policy. Each is ' +
        'applied and judged again before it is shown, with every other connection that it opens or closes; the one with the fewest comes first.',
    )
    .argument('<SRC>', 'ns/pod, deploy/NAME, node/NAME, an address')
    .argument('<DST[:PORT]>', 'the same; a port by its number, name or range; without one: every connection')
    .addHelpText('before', fixExamples(name))
    .addHelpText('after', FIX_EXITS)
    .showHelpAfterError(`See '${name} policy fix --help'.`)
  addPolicyOptions(command)
    .option('--allow', 'let it through', false)
    .addOption(new Option('--deny', 'stop it').default(false).conflicts('allow'))
    .addOption(new Option('--proto <PROTO>', 'tcp, udp, sctp, icmp, icmpv6 or a number (default: tcp, where there is a port)').argParser(protocol))
    .addOption(new Option('-o, --output <FORMAT>', 'text; yaml: manifests for kubectl apply; json').argParser(outputFormat(FIX_FORMATS)).default('text'))
    .addOption(new Option('--pick <N>', 'show the N-th way in full, and with -o yaml that one').argParser(integer(1, MOST)).default(1))
    .option('--all', 'show every way in full', false)
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
    .action(async (source: string, destination: string, flags: PolicyFixFlags) => {
      const { policyFix } = await import('./policy-fix-command.js')
      status.code = await policyFix(source, destination, flags, io)
    })
}

const FIX_EXITS = `
Exit status of fix:
  0  there is a way, or it is so already
  1  no edit of policies or labels brings it about     3  wrong input`

function fixExamples(name: string): string {
  return `Examples:
  ${name} policy fix shop/web shop/db:5432 --allow -f shop/
  ${name} policy fix shop/web shop/db:5432 --allow -f shop/ -o yaml > fix.yaml
  ${name} policy fix shop/cron 10.0.0.9:53 --proto udp --deny -f shop/ --all

`
}
