/** `netsim bench` on the command line. What it does comes with bench-encap-command.ts, when it is called. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { BACKEND_IDS, CHARTS, type BackendId, type Chart } from '../analysis/overlay/names.js'
import { nearestName } from '../cluster/nearest-name.js'
import { parseRate } from '../cluster/units.js'
import { choosing, choosingSeveral } from './choices.js'
import type { InputOptions } from './load-network.js'
import { outputFormat } from './trace-options.js'
import { addInputOptions, collect, type Running } from './verb.js'

const BENCH_FORMATS = ['text', 'csv', 'json', 'svg'] as const
/** As commander hands them over. */
export interface BenchEncapFlags extends InputOptions {
  readonly output: (typeof BENCH_FORMATS)[number]
  readonly backends: readonly BackendId[]
  readonly sizes: readonly number[]
  readonly rate?: number
  /** `NAME=NS` each. */
  readonly cost: readonly string[]
  readonly chart?: Chart
}

export function addBench(program: Command, name: string, { io, status }: Running): void {
  const group = program.command('bench').summary('what each overlay costs').description('Measures overlays with packets of the simulation.')
  const command = group
    .command('encap')
    .summary('bytes, fragments, MTUs and CPU of every backend, side by side')
    .description(
      'Builds the nodes and segments of the cluster once with each backend, sends real packets of each size through the simulation, and tells what ' +
        'they are on the wire, what passes whole, and what they cost.',
    )
    .addHelpText('before', encapExamples(name))
    .showHelpAfterError(`See '${name} bench encap --help'.`)
  addInputOptions(command)
    .addOption(new Option('--backends <NAME,…>', 'these alone').argParser(backends).default([], 'all'))
    .addOption(new Option('--sizes <BYTES,…>', 'lengths of the IP packets').argParser(sizes).default([], '64 to 9000; each backend adds its own limits'))
    .addOption(new Option('--rate <RATE>', 'of the link, 10Gbps; default: as the segments have it').argParser(rate))
    .addOption(
      new Option('--cost <NAME=NS>', 'sets a constant of the cost model; again and again').argParser(collect).default([], 'as docs/overhead.md has them'),
    )
    .addOption(new Option('-o, --output <FORMAT>', BENCH_FORMATS.join(', ')).argParser(outputFormat(BENCH_FORMATS)).default('text'))
    .addOption(new Option('--chart <NAME>', `what -o svg shows: ${CHARTS.join(', ')}`).argParser(chart).default(undefined, 'overhead'))
    .action(async (flags: BenchEncapFlags) => {
      const { benchEncap } = await import('./bench-encap-command.js')
      status.code = await benchEncap(flags, io)
    })
}

const backends = choosingSeveral(BACKEND_IDS, (text: string): readonly BackendId[] =>
  text.split(',').map((word) => {
    const found = BACKEND_IDS.find((id) => id === word.trim())
    if (found !== undefined) return found
    const nearest = nearestName(word.trim(), BACKEND_IDS)
    throw new InvalidArgumentError(
      `There is no backend ${word.trim()}. ${nearest === undefined ? `There are: ${BACKEND_IDS.join(', ')}.` : `(Did you mean ${nearest}?)`}`,
    )
  }),
)

const chart = choosing(CHARTS, (text: string): Chart => {
  const found = CHARTS.find((one) => one === text)
  if (found === undefined) throw new InvalidArgumentError(`It must be one of ${CHARTS.join(', ')}.`)
  return found
})

function rate(text: string): number {
  const found = parseRate(text)
  if (found === undefined || found === 0) throw new InvalidArgumentError('Write it like 10Gbps or 100Mbps.')
  return found
}

/** The smallest holds an IP and a UDP header. */
function sizes(text: string): readonly number[] {
  const found = text.split(',').map((word) => (/^ *[0-9]{1,5} *$/.test(word) ? Number(word) : 0))
  if (found.some((size) => size < 28 || size > 65535)) throw new InvalidArgumentError('They are numbers from 28 to 65535 with commas between.')
  return [...new Set(found)].sort((a, b) => a - b)
}

function encapExamples(name: string): string {
  return `Examples:
  ${name} bench encap                                            the built-in cluster, every backend
  ${name} bench encap -f cluster/ --backends flannel-vxlan,calico-ipip
  ${name} bench encap --sizes 100,1400 -o csv > overlay.csv
  ${name} bench encap -o svg --chart goodput > goodput.svg
`
}
