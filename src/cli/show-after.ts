/** `--after 'SRC DST[:PORT] [flags of trace]'` → the request that `netsim trace` would make of these words. */
import { Command, CommanderError } from 'commander'
import { UsageError } from './exit.js'
import type { After } from './show-conntrack.js'
import { requestOf, type TraceFlags } from './trace-options.js'
import { addTrace } from './trace-verb.js'
import type { Running } from './verb.js'

/** What is asked, not how the answer is printed nor of which network. */
const OF_THE_QUESTION = ['namespace', 'proto', 'sport', 'size', 'df', 'ttl', 'cold', 'listen']

/** @throws UsageError in the words of trace's own flags */
export function afterOf(text: string, flags: { readonly namespace: string; readonly seed: number }, running: Running): After {
  let message = ''
  const program = new Command('netsim').exitOverride().configureOutput({ writeOut: () => undefined, writeErr: (written) => void (message += written) })
  addTrace(program, 'netsim', running)
  let request: After['request'] | undefined
  const trace = program.commands[0]
  // in place of trace's own: nothing is printed
  trace.action((source: string, destination: string, asked: TraceFlags) => {
    const stray = trace.options.find((option) => {
      const name = option.attributeName()
      return !OF_THE_QUESTION.includes(name) && trace.getOptionValueSource(name) === 'cli'
    })
    if (stray !== undefined) throw new UsageError(`--after '${text}': ${stray.long ?? stray.flags} is no part of a question; write it outside the quotes`)
    const namespace = trace.getOptionValueSource('namespace') === 'cli' ? asked.namespace : flags.namespace
    request = { ...requestOf(source, destination, { ...asked, namespace }), seed: flags.seed }
  })
  try {
    program.parse(['trace', ...text.split(/\s+/).filter((word) => word !== '')], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    throw new UsageError(`--after '${text}': ${message.split('\n')[0].replace(/^error: /, '')}`)
  }
  if (request === undefined) throw new UsageError(`--after '${text}' asks nothing: write SRC DST[:PORT]`)
  return { text, request }
}
