/**
 * The command line: verbs, flags and help. Only commander is loaded here; what a verb needs comes with the verb.
 * Wrong command lines end with 2, wrong input with 3, our own bugs with 70, all of it on standard error.
 */
import type { Option } from 'commander'
import { Command, CommanderError, Help } from 'commander'
import { EXIT_INTERNAL, EXIT_OK, EXIT_USAGE, UsageError } from './exit.js'
import type { Io } from './io.js'
import { addBench } from './bench-verb.js'
import { addCheck } from './check-verb.js'
import { addCollect } from './collect-verb.js'
import { addCompletion } from './completion-verb.js'
import { addDrift } from './drift-verb.js'
import { addFlows } from './flows-verb.js'
import { addPolicy } from './policy-verb.js'
import { addRun } from './run-verb.js'
import { addSchema } from './schema-verb.js'
import { addShow } from './show-verb.js'
import { widthOf } from './terminal.js'
import { addTrace } from './trace-verb.js'
import type { Running } from './verb.js'
import { addVerify } from './verify-verb.js'
import { VERSION } from './version.js'

/** Runs one command; `argv` is the whole of process.argv. Never throws. @returns the exit status */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const status = { code: EXIT_OK }
  const pending: Promise<void>[] = []
  const name = invokedAs(argv[1] ?? '')
  try {
    const asked = completionWords(argv)
    const program = buildProgram(name, { io, pending, status }, asked === undefined ? verbOf(argv[2]) : undefined)
    if (asked !== undefined) await (await import('./completion-command.js')).complete(program, asked, io)
    else if (argv.length <= 2) program.outputHelp()
    else await program.parseAsync([...argv])
  } catch (error) {
    status.code = await explain(error, name, io)
  }
  await Promise.all(pending)
  return status.code
}

/** The words of `netsim __complete`; kubectl asks a command of its own for those of its plug-ins. */
function completionWords(argv: readonly string[]): readonly string[] | undefined {
  if (baseName(argv[1] ?? '') === 'kubectl_complete-netsim') return argv.slice(2)
  return argv[2] === '__complete' ? argv.slice(3) : undefined
}

function verbOf(word: string | undefined): keyof typeof VERBS | undefined {
  return word !== undefined && Object.hasOwn(VERBS, word) ? (word as keyof typeof VERBS) : undefined
}

function baseName(script: string): string {
  return script.split(/[\\/]/).at(-1) ?? ''
}

/** kubectl starts its plug-ins as `kubectl-NAME`. */
function invokedAs(script: string): string {
  return baseName(script).startsWith('kubectl-') ? 'kubectl netsim' : 'netsim'
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

/** In the order of the help. */
const VERBS = {
  trace: addTrace,
  show: addShow,
  run: addRun,
  check: addCheck,
  collect: addCollect,
  drift: addDrift,
  policy: addPolicy,
  verify: addVerify,
  bench: addBench,
  flows: addFlows,
  schema: addSchema,
  completion: addCompletion,
} as const

/** @param only where the line begins with a verb, the flags of the others are not asked for */
function buildProgram(name: string, running: Running, only?: keyof typeof VERBS): Command {
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
  for (const add of only === undefined ? Object.values(VERBS) : [VERBS[only]]) add(program, name, running)
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
