/** `netsim flows` on the command line: its arguments and flags. What it does comes with flows-command.ts, when it is called. */
import { availableParallelism } from 'node:os'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { PICKS, type Pick } from '../analysis/flows/picks.js'
import type { Protocol } from '../network/request.js'
import type { InputOptions } from './load-network.js'
import { integer, outputFormat, protocol } from './trace-options.js'
import { addInputOptions, type Running } from './verb.js'

const FLOWS_FORMATS = ['text', 'json', 'jsonl', 'csv'] as const

/** As commander hands them over. */
export interface FlowsFlags extends InputOptions {
  readonly namespace: string
  readonly allPairs: boolean
  readonly byClass: boolean
  readonly random?: number
  readonly pick: Pick
  readonly proto?: Protocol
  readonly port?: number
  readonly packets: number
  readonly size?: number
  readonly rate?: number
  readonly cold: boolean
  readonly listen: boolean
  readonly top: number
  readonly workers: number
  readonly shard?: Shard
  readonly merge: boolean
  readonly output: (typeof FLOWS_FORMATS)[number]
  readonly ascii: boolean
}

export interface Shard {
  readonly part: number
  readonly of: number
}

const COUNT_MAX = 2 ** 31 - 1
const SHARDS_MAX = 100_000
const WORKERS_MAX = 256

export function addFlows(program: Command, name: string, { io, status }: Running): void {
  const command = program
    .command('flows')
    .summary('many flows at once: what arrives, what is lost where, bytes per link')
    .description(
      'Sends the packets of a traffic matrix, of every pair of pods or of random pairs through the network, each of them walked, and adds up what became of ' +
        'them: delivered, lost where and by which rule, bytes on every link, what the overlay adds, the rules that were met most.',
    )
    .argument('[FILE...]', 'traffic matrices, CSV or JSON Lines (source,destination,protocol,port,packets,size,rate), - for standard input')
    .addHelpText('before', flowsExamples(name))
    .showHelpAfterError(`See '${name} flows --help'.`)
  addInputOptions(command)
    .option('--all-pairs', 'every pod to every other pod', false)
    .option('--by-class', 'every pod to every other pod, one packet for all pairs that the network treats alike', false)
    .addOption(new Option('--random <N>', 'so many pairs of pods, drawn from --seed').argParser(integer(1, COUNT_MAX)))
    .addOption(new Option('--pick <HOW>', `with --random, whom flows go to: ${PICKS.join(', ')}`).argParser(pick).default(PICKS[0]))
    .addOption(
      new Option('--proto <NAME>', 'of flows that do not say: tcp, udp or icmp').argParser(protocol).default(undefined, 'tcp with a port, icmp without'),
    )
    .addOption(new Option('--port <N>', 'of flows that do not say').argParser(integer(1, 65535)))
    .addOption(new Option('--packets <N>', 'of flows that do not say').argParser(integer(1, COUNT_MAX)).default(1))
    .addOption(new Option('--size <BYTES>', 'of IP packets of flows that do not say').argParser(integer(28, 65535)).default(undefined, 'as trace has it'))
    .addOption(new Option('--rate <N>', 'packets a second of flows that do not say').argParser(integer(1, 1e9)).default(undefined, 'one after the other'))
    .option('--cold', 'no neighbour is known, no bridge has learned', false)
    .option('--listen', 'ports are open where the flow goes', false)
    .addOption(new Option('--top <N>', 'rows of each table, 0 for all').argParser(integer(0, COUNT_MAX)).default(10))
    .addOption(new Option('--workers <N>', 'threads').argParser(integer(1, WORKERS_MAX)).default(availableParallelism(), 'one a core'))
    .addOption(new Option('--shard <I/N>', 'part I of N, from 0, written as JSON Lines for --merge').argParser(shard))
    .option('--merge', 'FILE are the parts that --shard wrote', false)
    .addOption(new Option('-o, --output <FORMAT>', FLOWS_FORMATS.join(', ')).argParser(outputFormat(FLOWS_FORMATS)).default('text'))
    .option('--ascii', 'plain letters only', false)
    .action(async (files: readonly string[], flags: FlowsFlags) => {
      const { flows } = await import('./flows-command.js')
      status.code = await flows(files, flags, io)
    })
}

function pick(text: string): Pick {
  const found = PICKS.find((one) => one === text.toLowerCase())
  if (found === undefined) throw new InvalidArgumentError(`It must be one of ${PICKS.join(', ')}.`)
  return found
}

function shard(text: string): Shard {
  const [, part, of] = /^([0-9]{1,6})\/([0-9]{1,6})$/.exec(text) ?? []
  const found = { part: Number(part), of: Number(of) }
  if (found.of >= 1 && found.of <= SHARDS_MAX && found.part < found.of) return found
  throw new InvalidArgumentError('Write it like 0/8 … 7/8: the part, from 0, and how many there are.')
}

function flowsExamples(name: string): string {
  return `Examples:
  ${name} flows --all-pairs                                every pod pings every other
  ${name} flows traffic.csv -f cluster/                    a traffic matrix
  ${name} flows --random 10000 --pick zipf --port 80 --packets 1000 -f cluster/
  ${name} flows --all-pairs --port 80 -o jsonl | jq -c 'select(.disposition != "DELIVERED")'
  ${name} flows traffic.csv --shard 0/8 > part-0.jsonl     on eight machines, then
  ${name} flows --merge part-*.jsonl
`
}
