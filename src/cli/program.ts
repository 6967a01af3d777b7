/**
 * The command line: verbs, flags and help. Only commander is loaded here; what a verb needs comes with the verb.
 * Wrong command lines end with 2, wrong input with 3, our own bugs with 70, all of it on standard error.
 */
import { Command, CommanderError, Help, Option } from 'commander'
import { DEFAULT_REQUEST } from '../network/request.js'
import { EXIT_INTERNAL, EXIT_OK, EXIT_USAGE, UsageError } from './exit.js'
import type { Io } from './io.js'
import type { ShowFlags } from './show-command.js'
import { KINDS, kindOf } from './show-names.js'
import { widthOf } from './terminal.js'
import { colorWhen, dispositions, integer, moment, namespaceName, outputFormat, protocol, requestOf, type TraceFlags } from './trace-options.js'
import { VERSION } from './version.js'

const SEED_MAX = 4294967295

/** Runs one command; `argv` is the whole of process.argv. Never throws. @returns the exit status */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const status = { code: EXIT_OK }
  const pending: Promise<void>[] = []
  const name = invokedAs(argv[1] ?? '')
  try {
    const program = buildProgram(name, { io, pending, status })
    if (argv.length <= 2) program.outputHelp()
    else await program.parseAsync([...argv])
  } catch (error) {
    status.code = await explain(error, name, io)
  }
  await Promise.all(pending)
  return status.code
}

/** kubectl starts its plug-ins as `kubectl-NAME`. */
function invokedAs(script: string): string {
  const base = script.split(/[\\/]/).at(-1) ?? ''
  return base.startsWith('kubectl-') ? 'kubectl netsim' : 'netsim'
}

/** The exit status for what was thrown, its text written. */
async function explain(error: unknown, name: string, io: Io): Promise<number> {
  // Commander has written its own message by now.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE
  if (error instanceof UsageError) {
    await io.err(`error: ${error.message}\n`)
    return EXIT_USAGE
  }
  const what = error instanceof Error ? error.message : String(error)
  const ask = "This is a bug of netsim's own. Please report it, with the command line and the input; NETSIM_DEBUG=1 shows where."
  await io.err(`${name}: internal error: ${what}\n${ask}\n`)
  if (io.env.NETSIM_DEBUG === '1' && error instanceof Error) await io.err(`${error.stack ?? ''}\n`)
  return EXIT_INTERNAL
}

interface Running {
  readonly io: Io
  /** Texts on their way out. */
  readonly pending: Promise<void>[]
  readonly status: { code: number }
}

function buildProgram(name: string, running: Running): Command {
  const { io, pending } = running
  const width = Math.max(60, widthOf(io))
  const program = new Command(name)
    .description('What happens to any packet of a Kubernetes network, hop by hop, byte by byte, and why. Sends nothing, needs no cluster and no root.')
    .version(VERSION, '--version', 'print the version')
    .exitOverride()
    .showHelpAfterError(`See '${name} --help'.`)
    .configureOutput({
      writeOut: (text) => void pending.push(io.out(text)),
      writeErr: (text) => void pending.push(io.err(text)),
      getOutHelpWidth: () => width,
      getErrHelpWidth: () => width,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({ optionDescription: describeOption })
    .helpCommand('help [VERB]', 'help for a verb')
    .addHelpText('before', programExamples(name))
    .addHelpText('after', EXITS)
  addTrace(program, name, running)
  addShow(program, name, running)
  return program
}

function programExamples(name: string): string {
  return `Examples:
  ${name} trace pod-a pod-b                            a ping across the built-in example
  ${name} trace web-0 api-0:8080 -n shop -f cluster/   a TCP connection through your manifests
  kubectl get nodes,pods,cm -A -o yaml | ${name} trace web-0 db-0:5432 -f -
  ${name} show routes node-1 -f cluster.yaml           state, in the words of ip, bridge, iptables-save
`
}

const EXITS = `
Exit status:
  0  as asked: delivered, left the modelled world, or --expect met
  1  not delivered, or --expect not met
  2  wrong command line       3  wrong input
  4  incomplete or ambiguous  70  a bug of netsim's own`

/** That a switch is off and a list is empty goes without saying. */
function describeOption(option: Option): string {
  const nothing = option.defaultValue === false || (Array.isArray(option.defaultValue) && option.defaultValueDescription === undefined)
  return nothing ? option.description : new Help().optionDescription(option)
}

/** The value of a flag that counts. */
function oneMore(_: string, before: number): number {
  return before + 1
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}

function addInputOptions(command: Command): Command {
  return command
    .option('-f, --filename <FILE|DIR|->', 'manifests: a file, a folder, or - for standard input; again and again', collect, [])
    .option('-R, --recursive', 'look into the folders of -f DIR too', false)
    .addOption(new Option('-n, --namespace <NAME>', 'namespace of bare pod names').argParser(namespaceName).default(DEFAULT_REQUEST.namespace))
    .addOption(new Option('--seed <N>', 'seed of what a real network draws by chance').argParser(integer(0, SEED_MAX)).default(DEFAULT_REQUEST.seed))
    .addOption(new Option('-o, --output <FORMAT>', 'text or json').argParser(outputFormat).default('text'))
}

function addTrace(program: Command, name: string, { io, status }: Running): void {
  const command = program
    .command('trace')
    .summary('follow one packet, and its answer')
    .description('Follows one packet from SRC to DST, and what is sent back: every hop, every rule that decided, every byte added.')
    .argument('<SRC>', 'ns/pod, pod/NAME, node/NAME, host/NAME, an address, or a pod of -n')
    .argument('<DST[:PORT]>', 'the same; without a port an ICMP echo is sent, with one a TCP connection is begun')
    .addHelpText('before', traceExamples(name))
    .showHelpAfterError(`See '${name} trace --help'.`)
  addInputOptions(command)
    .addOption(new Option('--proto <NAME>', 'tcp, udp, icmp or sctp (tcp with a port, icmp without)').argParser(protocol))
    .addOption(new Option('--sport <PORT>', 'source port').argParser(integer(1, 65535)).default(DEFAULT_REQUEST.sport))
    .addOption(new Option('--size <BYTES>', 'length of the IP packet, headers included; tcp: of a segment after the handshake').argParser(integer(20, 65535)))
    .option('--df', "set don't-fragment", false)
    .addOption(new Option('--ttl <N>', 'time to live').argParser(integer(1, 255)).default(DEFAULT_REQUEST.ttl))
    .option('--cold', 'no neighbour and no bridge port is known yet', false)
    .option('--listen', 'take the port as open', false)
    .addOption(new Option('--at <TIME>', 'ask at this time after the start: 30s, 12h, 2d').argParser(moment).default(DEFAULT_REQUEST.atNs, '0s'))
    .addOption(new Option('--expect <DISPOSITION,…>', 'exit 0 when it ends so, else 1: DELIVERED, DENIED, …').argParser(dispositions).default([], 'none'))
    .addOption(new Option('-v, --verbose', 'every rule tried; -vv: and the headers; -vvv: and the bytes').argParser(oneMore).default(0, 'what decided'))
    .option('--summary', 'the last block only', false)
    .option('--svg <FILE|->', 'draw the path; - for standard output, in place of the text')
    .addOption(new Option('--color <WHEN>', 'auto, always or never').argParser(colorWhen).default('auto'))
    .option('--no-color', 'the same as --color never')
    .option('--ascii', 'plain letters only', false)
    .action(async (source: string, destination: string, flags: TraceFlags) => {
      const request = requestOf(source, destination, flags)
      const { trace } = await import('./trace-command.js')
      status.code = await trace(request, flags, io)
    })
}

function traceExamples(name: string): string {
  return `Examples:
  ${name} trace pod-a pod-b                             ping; the built-in example, where there is no ./netsim.yaml
  ${name} trace web-0 api-0:8080 -n shop -f cluster/    TCP, through the manifests of a folder
  ${name} trace web-0 10.244.2.9:53 --proto udp -v      UDP, with every rule that was tried
  ${name} trace web-0 api-0:8080 --size 1500            a full segment: does it fit?
  ${name} trace web-0 db-0:5432 --expect DENIED         a test: exit 0 when a rule drops it
  ${name} trace web-0 api-0 -o json | jq .disposition
`
}

function addShow(program: Command, name: string, { io, status }: Running): void {
  const command = program
    .command('show')
    .summary('print state in the words of the tools that own it')
    .description('Prints what the nodes hold, in the syntax of ip, bridge, iptables-save, ipset and etcdctl.')
    .argument('<KIND>', KINDS.join(', '))
    .argument('[NODE]', 'a node, a pod (ns/pod, or a bare name in -n) or router/NAME; without it every node')
    .addHelpText('before', showExamples(name))
    .showHelpAfterError(`See '${name} show --help'.`)
  addInputOptions(command).action(async (word: string, node: string | undefined, flags: ShowFlags) => {
    const kind = kindOf(word)
    const { show } = await import('./show-command.js')
    status.code = await show(kind, node, { flags, io })
  })
}

function showExamples(name: string): string {
  return `Examples:
  ${name} show routes                       ip route, of every node
  ${name} show fdb host-a -f cluster.yaml   bridge fdb, of one
  ${name} show addr default/pod-a           ip addr, in a pod
  ${name} show iptables host-a              what iptables-restore takes
  ${name} show leases -o json
`
}
