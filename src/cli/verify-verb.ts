/** `netsim verify` on the command line: its arguments and flags. What it does comes with verify-command.ts, when it is called. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { DEFAULT_REQUEST, type TraceRequest } from '../network/request.js'
import { UsageError } from './exit.js'
import type { InputOptions } from './load-network.js'
import type { ColorWhen } from './terminal.js'
import { addQuestionOptions, type QuestionHelp } from './question-flags.js'
import { colorWhen, outputFormat, questionFields, type QuestionFlags } from './trace-options.js'
import { addInputOptions, type Running } from './verb.js'

const VERIFY_FORMATS = ['text', 'json', 'junit'] as const
const PROBE_SETS = ['all', 'quick'] as const
const FLAVOURS = ['nft', 'legacy'] as const
const COMPANIONS = ['etcd', 'bird'] as const
export type Companion = (typeof COMPANIONS)[number]

/** As commander hands them over. */
export interface VerifyFlags extends InputOptions, QuestionFlags {
  readonly output: (typeof VERIFY_FORMATS)[number]
  readonly probes: (typeof PROBE_SETS)[number]
  readonly iptables?: (typeof FLAVOURS)[number]
  readonly rules: boolean
  readonly keep: boolean
  readonly calibrate: boolean
  readonly with: readonly Companion[]
  readonly verbose: number
  readonly color: ColorWhen | false
  readonly ascii: boolean
}

const QUESTION_HELP: QuestionHelp = {
  proto: 'tcp, udp or icmp, for the questions given (tcp with a port, icmp without)',
  size: 'length of the IP packet, for the questions given',
  note: ', for the questions given',
}

export function addVerify(program: Command, name: string, { io, status }: Running): void {
  const command = program
    .command('verify')
    .summary('hold the network against the real kernel of this machine')
    .description(
      'Builds the network for real in network namespaces of this machine, sends the same packets there, captures on every device, and compares frame by ' +
        'frame with the prediction. Needs Linux, and root or a user namespace; sends nothing outside its own namespaces and leaves nothing behind.',
    )
    .argument('[SRC DST[:PORT]...]', 'questions as trace takes them, in pairs; without any, a covering set is chosen')
    .addHelpText('before', verifyExamples(name))
    .addHelpText('after', VERIFY_EXITS)
    .showHelpAfterError(`See '${name} verify --help'.`)
  addInputOptions(command)
    .addOption(new Option('-o, --output <FORMAT>', VERIFY_FORMATS.join(', ')).argParser(outputFormat(VERIFY_FORMATS)).default('text'))
    .addOption(new Option('--probes <SET>', 'the covering set: all, or quick').argParser(oneOf(PROBE_SETS)).default('all'))
  addQuestionOptions(command, QUESTION_HELP)
    .addOption(new Option('--iptables <FLAVOUR>', "nft or legacy (the machine's own choice)").argParser(oneOf(FLAVOURS)))
    .option('--no-rules', 'do not ask the kernel which rules it took: faster')
    .option('--keep', 'leave it all standing for a look around, until Ctrl-C', false)
    .option('--calibrate', 'measure what packets cost this kernel, for --cost of bench encap; builds networks of its own', false)
    .addOption(
      new Option('--with <NAME,…>', 'run real control planes in it too, etcd or bird, and hold what they say against the predictions')
        .argParser(companions)
        .default([], 'none'),
    )
    .addOption(
      new Option('-v, --verbose', 'every difference, and the rules and losses of what is equal')
        .argParser((_, before: number) => before + 1)
        .default(0, 'the first'),
    )
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
    .action(async (ends: readonly string[], flags: VerifyFlags) => {
      const asked = questionsOf(ends, flags)
      if (flags.calibrate) {
        if (asked.length > 0 || flags.filename.length > 0) throw new UsageError('--calibrate builds networks of its own: name no ends and no files')
        const { calibration } = await import('./calibrate-command.js')
        status.code = await calibration(flags, io)
        return
      }
      const { verify } = await import('./verify-command.js')
      status.code = await verify(asked, flags, io)
    })
}

/** Ends in pairs → questions. @throws UsageError */
function questionsOf(ends: readonly string[], flags: VerifyFlags): readonly TraceRequest[] {
  const { proto, size, df, ttl, cold, listen } = flags
  if (ends.length % 2 !== 0) throw new UsageError(`${ends[ends.length - 1]} has no partner: questions are pairs of SRC and DST[:PORT]`)
  if (ends.length === 0 && (proto !== undefined || size !== undefined || df || cold || listen || ttl !== DEFAULT_REQUEST.ttl)) {
    throw new UsageError('--proto, --size, --df, --ttl, --cold and --listen belong to a question: name SRC and DST[:PORT]')
  }
  const common = questionFields(flags)
  const requests: TraceRequest[] = []
  for (let i = 0; i < ends.length; i += 2) requests.push({ ...common, source: ends[i], destination: ends[i + 1] })
  return requests
}

function oneOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const found = words.find((word) => word === text.toLowerCase())
    if (found === undefined) throw new InvalidArgumentError(`It must be one of ${words.join(', ')}.`)
    return found
  }
}

function companions(text: string): Companion[] {
  return text.split(',').map((word) => oneOf(COMPANIONS)(word.trim()))
}

const VERIFY_EXITS = `
Exit status of verify:
  0  everything equal        1  something differs
  4  nothing differs, but parts could not be built or tried here`

function verifyExamples(name: string): string {
  return `Examples:
  ${name} verify                                     the built-in example, against this kernel
  ${name} verify -f cluster/ --probes quick          a network of yours, a few questions
  ${name} verify -f cluster/ web-0 api-0:8080 -v     one question, with the rules that the kernel took
  ${name} verify -f cluster/ -o junit > verify.xml   for CI
  ${name} verify --calibrate                         what a packet costs this kernel, as constants for bench encap
`
}
