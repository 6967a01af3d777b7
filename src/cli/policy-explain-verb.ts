/** `netsim policy explain` on the command line: its flags. What it does comes with policy-explain-command.ts, when it is called. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import type { Direction } from '../policy/model.js'
import type { Protocol } from '../policy/connections.js'
import { addPolicyOptions, type PolicyFlags } from './policy-flags.js'
import { focusConnection, names, type FocusConnection } from './policy-list-verb.js'
import { choosing } from './choices.js'
import type { ColorWhen } from './terminal.js'
import { colorWhen, outputFormat } from './trace-options.js'
import type { Running } from './verb.js'

const EXPLAIN_FORMATS = ['text', 'short', 'json'] as const
const EXPECTED = ['allow', 'deny'] as const

/** As commander hands them over. */
export interface PolicyExplainFlags extends PolicyFlags {
  /** Absent: text of one pair, short of many. */
  readonly output?: (typeof EXPLAIN_FORMATS)[number]
  readonly proto?: Protocol
  readonly expect?: (typeof EXPECTED)[number]
  readonly only?: (typeof EXPECTED)[number]
  readonly focus: readonly string[]
  readonly focusPeer: readonly string[]
  readonly direction?: Direction
  readonly focusConn?: FocusConnection
  readonly exposure: boolean
  readonly color: ColorWhen | false
  readonly ascii: boolean
}

export function addPolicyExplain(group: Command, name: string, { io, status }: Running): void {
  const command = group
    .command('explain')
    .summary('why a connection is allowed or denied: the rules, their lines, and those that nearly matched')
    .description(
      'Tells for both directions which tiers and policies were asked, the rule that decided with its file and line, the rules that nearly matched and ' +
        'the term of each that did not, and what the answer rests on. Without a port: every connection, in parts. Without ends: every pair.',
    )
    .argument('[SRC]', 'ns/pod, deploy/NAME, node/NAME, an address or a range')
    .argument('[DST[:PORT]]', 'the same; a port by its number, name or range')
    .addHelpText('before', explainExamples(name))
    .addHelpText('after', EXPLAIN_EXITS)
    .showHelpAfterError(`See '${name} policy explain --help'.`)
  addPolicyOptions(command)
    .addOption(new Option('--proto <PROTO>', 'tcp, udp, sctp, icmp, icmpv6 or a number (default: tcp, where there is a port)').argParser(protocol))
    .addOption(new Option('-o, --output <FORMAT>', 'text, short or json (default: text of one pair, short of many)').argParser(outputFormat(EXPLAIN_FORMATS)))
    .addOption(new Option('--expect <WHAT>', 'allow or deny: status 0 when it is so, else 1').argParser(outputFormat(EXPECTED)))
    .addOption(new Option('--only <WHAT>', 'of every pair those that are allowed, or denied').argParser(outputFormat(EXPECTED)))
    .addOption(new Option('--focus <NAME,…>', 'of every pair those of these workloads: NAME, ns/NAME').argParser(names).default([], 'all'))
    .addOption(new Option('--focus-peer <NAME,…>', 'of those the pairs with these').argParser(names).default([], 'all'))
    .addOption(new Option('--direction <DIRECTION>', 'ingress or egress of the workloads of --focus').argParser(outputFormat(['ingress', 'egress'] as const)))
    .addOption(new Option('--focus-conn <PROTO-PORT>', 'of every pair this connection: tcp-80').argParser(focusConnection))
    .option('--exposure', 'with --compat np-guard: also what pods that are not there yet could reach', false)
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
    .action(async (source: string | undefined, destination: string | undefined, flags: PolicyExplainFlags) => {
      const { policyExplain } = await import('./policy-explain-command.js')
      status.code = await policyExplain(source, destination, flags, io)
    })
}

const PROTOCOLS = ['TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPv6'] as const

export const protocol = choosing(
  PROTOCOLS.map((word) => word.toLowerCase()),
  (text): Protocol => {
    const found = PROTOCOLS.find((word) => word.toLowerCase() === text.toLowerCase())
    if (found !== undefined) return found
    const number = /^[0-9]{1,3}$/.test(text) ? Number(text) : 256
    if (number < 256) return number
    throw new InvalidArgumentError('It must be tcp, udp, sctp, icmp, icmpv6, or a number up to 255.')
  },
)

const EXPLAIN_EXITS = `
Exit status of explain:
  0  allowed, some of it at least, or as --expect says
  1  denied, or not as --expect says              3  wrong input`

function explainExamples(name: string): string {
  return `Examples:
  ${name} policy explain shop/web shop/db:5432 -f shop/          for and against, with files and lines
  ${name} policy explain shop/web shop/db -f shop/               every connection, in parts
  ${name} policy explain shop/web 10.0.0.9:53 --proto udp -f shop/ -o short
  ${name} policy explain shop/web shop/db:5432 -f shop/ --expect allow
  ${name} policy explain -f shop/ --only deny                    every pair that nothing is open between

`
}
