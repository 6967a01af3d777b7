/** `netsim flows`: reads the cluster and what flows there are, runs them, prints what they came to. Loaded when it is called. */
import { hasErrors, type Problem } from '../base/problem.js'
import type { ClassSource } from '../analysis/flows/classes.js'
import { requestOf, type CommonRequest, type FlowSource } from '../analysis/flows/flow.js'
import { csvLine, CSV_HEADING, type FlowLine } from '../analysis/flows/flow-line.js'
import { lineOf, MatrixReader, type MatrixRows } from '../analysis/flows/matrix.js'
import type { PartHead } from '../analysis/flows/part.js'
import { flowsReport, type Asked, type FlowsMetadata } from '../analysis/flows/report.js'
import { podsWithNetwork, rangeOf, type FlowShape } from '../analysis/flows/sources.js'
import type { FlowSums } from '../analysis/flows/sums.js'
import type { Network } from '../network/network.js'
import { readQuestion } from '../network/probe.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, EXIT_OK, EXIT_UNKNOWN, UsageError } from './exit.js'
import { sourceOf, type Plan } from './flows-job.js'
import { eachLine } from './flows-lines.js'
import { mergeParts, writeLines } from './flows-merge.js'
import { runFlows, type Run } from './flows-pool.js'
import { Progress } from './flows-progress.js'
import { stampsOf } from './flows-stamps.js'
import { flowsText } from './flows-text.js'
import type { FlowsFlags } from './flows-verb.js'
import type { Io } from './io.js'
import { loadNetwork, report, type Loaded } from './load-network.js'
import { wantsAscii } from './terminal.js'
import { VERSION } from './version.js'

/** Chunks that each thread takes, about: many, so that none waits for the last. */
const CHUNKS_A_THREAD = 32
const CHUNK_MAX = 4096

/** The exit status. @throws UsageError when flags do not go together */
export async function flows(files: readonly string[], flags: FlowsFlags, io: Io): Promise<number> {
  checkFlags(files, flags)
  if (flags.merge) return merge(files, flags, io)
  const startMs = Date.now()
  const kept: { stdin?: Uint8Array } = {}
  const keeping: Io = { ...io, stdin: async (most) => (kept.stdin = await io.stdin(most)) }
  const loaded = await loadNetwork(flags, keeping)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const plan = await planOf(files, flags, io)
  if (Array.isArray(plan)) return refuse(plan, io)
  const source = sourceOf(plan as Plan, loaded.network, flags.seed)
  const common: CommonRequest = { namespace: flags.namespace, seed: flags.seed, cold: flags.cold, listen: flags.listen }
  const problems = endProblems(plan as Plan, source, { network: loaded.network, common })
  if (problems.length > 0) return refuse(problems, io)
  const stamps = await stampsOf(loaded.inputs, io.cwd, startMs)
  return send({ plan: plan as Plan, source, common, loaded, stdin: kept.stdin, stamps }, flags, io)
}

interface Work {
  readonly plan: Plan
  readonly source: FlowSource
  readonly common: CommonRequest
  readonly loaded: Loaded
  readonly stdin: Uint8Array | undefined
  /** Of what was read; undefined where it cannot be read again. */
  readonly stamps: readonly string[] | undefined
}

async function send({ plan, source, common, loaded, stdin, stamps }: Work, flags: FlowsFlags, io: Io): Promise<number> {
  const { shard, output } = flags
  const { from, to } = rangeOf(source.count, shard?.part ?? 0, shard?.of ?? 1)
  // an etcd may say something else the next time that it is asked
  const workers = (flags.etcd ?? []).length > 0 || stamps === undefined ? 1 : flags.workers
  const chunk = Math.max(1, Math.min(CHUNK_MAX, Math.ceil((to - from) / (workers * CHUNKS_A_THREAD))))
  const lines = output === 'jsonl' || output === 'csv'
  const run: Run = {
    job: { plan, common, from, to, chunk, lines },
    network: loaded.network,
    source,
    workers,
    input: {
      input: {
        filename: flags.filename,
        recursive: flags.recursive,
        seed: flags.seed,
        ...(flags.etcdPrefix === undefined ? {} : { etcdPrefix: flags.etcdPrefix }),
      },
      stamps: stamps ?? [],
      cwd: io.cwd,
      env: io.env,
      ...(stdin === undefined ? {} : { stdin }),
    },
  }
  const metadata: FlowsMetadata = { tool: `netsim ${VERSION}`, inputs: loaded.inputs, seed: flags.seed }
  const asked = askedOf(plan, source, { flags, network: loaded.network })
  const head: PartHead = { apiVersion: 'netsim/v1', kind: 'FlowsPart', part: shard?.part ?? 0, of: shard?.of ?? 1, lines, metadata, asked }
  if (shard !== undefined) await io.out(`${JSON.stringify(head)}\n`)
  else if (output === 'csv') await io.out(CSV_HEADING)
  const progress = new Progress(io, packetsOf(plan, source, { from, to }))
  const done = await runFlows(run, {
    lines: (text) => io.out(output === 'csv' && shard === undefined ? csvOf(text) : text),
    walked: (packets) => progress.add(packets),
  })
  progress.end()
  await report(distinct(done.lateProblems), io)
  if (shard !== undefined) await io.out(`${JSON.stringify({ kind: 'FlowsSums', ...done.sums })}\n`)
  else if (!lines) await print(head, done.sums, { flags, io })
  return hasErrors(done.lateProblems) ? EXIT_BAD_INPUT : statusOf(done.sums)
}

async function merge(files: readonly string[], flags: FlowsFlags, io: Io): Promise<number> {
  const merged = await mergeParts(files, io)
  if (!('head' in merged)) return refuse(merged, io)
  const { head, sums, files: inOrder } = merged
  if (flags.output === 'jsonl' || flags.output === 'csv') {
    if (!head.lines) throw new UsageError(`the parts hold no line for each flow: write them with -o ${flags.output} beside --shard`)
    const failed = await writeLines(inOrder, flags.output, io)
    if (failed !== undefined) return refuse([failed], io)
  } else await print(head, sums, { flags, io })
  return statusOf(sums)
}

async function print({ metadata, asked }: PartHead, sums: FlowSums, { flags, io }: { readonly flags: FlowsFlags; readonly io: Io }): Promise<void> {
  const made = flowsReport({ metadata, asked }, sums, flags.top)
  await io.out(flags.output === 'json' ? `${JSON.stringify(made, null, 2)}\n` : flowsText(made, wantsAscii(flags.ascii, io)))
}

async function refuse(problems: readonly Problem[], io: Io): Promise<number> {
  await report(problems, io)
  return EXIT_BAD_INPUT
}

function checkFlags(files: readonly string[], flags: FlowsFlags): void {
  const { random, merge: merging, shard, proto, port, byClass } = flags
  const allPairs = flags.allPairs || byClass
  const ways = [files.length > 0 && !merging, allPairs, random !== undefined, merging].filter(Boolean).length
  if (ways !== 1) throw new UsageError('which flows? Name a traffic matrix, or give one of --all-pairs, --random N, --merge')
  if (merging && files.length === 0) throw new UsageError('--merge needs the parts that --shard wrote')
  if (merging && shard !== undefined) throw new UsageError('--merge makes a whole of parts, and --shard writes one')
  if (byClass && flags.output === 'csv') throw new UsageError('CSV has no column for the pairs that a flow stands for: take -o jsonl')
  if (files.includes('-') && flags.filename.includes('-')) throw new UsageError('standard input holds the manifests or the traffic matrix, not both')
  if (merging || files.length > 0) return
  if (proto === 'icmp' && port !== undefined) throw new UsageError('icmp has no ports: leave --port out')
  if (proto === 'sctp') throw new UsageError('sctp is not modelled yet: take --proto tcp or udp')
  if (proto !== undefined && proto !== 'icmp' && port === undefined) throw new UsageError(`--proto ${proto} needs --port`)
}

async function planOf(files: readonly string[], flags: FlowsFlags, io: Io): Promise<Plan | readonly Problem[]> {
  const shape = shapeOf(flags)
  if (flags.random !== undefined) return { kind: 'random', shape, count: flags.random, pick: flags.pick }
  if (flags.allPairs || flags.byClass) return { kind: 'all-pairs', shape, byClass: flags.byClass }
  const reader = new MatrixReader(shape)
  const unread: Problem[] = []
  for (const file of files) {
    reader.begin(file)
    const failed = await eachLine(file, io, (line) => void reader.read(line))
    if (failed !== undefined) unread.push(failed)
  }
  const problems = [...unread, ...reader.problems]
  if (problems.length > 0) return problems
  const { rows, ...rest } = reader.matrix
  const shared = new Int32Array(new SharedArrayBuffer(rows.byteLength))
  shared.set(rows)
  const matrix: MatrixRows = { ...rest, rows: shared }
  return matrix.count > 0 ? { kind: 'matrix', matrix } : [{ severity: 'error', file: files[0], line: 0, object: '', what: 'there is no flow in it', fix: '' }]
}

function shapeOf({ proto, port, packets, size, rate }: FlowsFlags): FlowShape {
  return {
    ...(proto === undefined ? {} : { proto }),
    ...(port === undefined ? {} : { port }),
    packets,
    ...(size === undefined ? {} : { size }),
    rate: rate ?? 0,
  }
}

/** What a matrix names that is not there: each source and each destination once, at the first line that names it. */
function endProblems(plan: Plan, source: FlowSource, { network, common }: { readonly network: Network; readonly common: CommonRequest }): Problem[] {
  if (plan.kind !== 'matrix')
    return source.count > 0 ? [] : [{ severity: 'error', file: '', line: 0, object: '', what: 'there are no two pods with a network of their own', fix: '' }]
  const seen = new Set<string>()
  const problems: Problem[] = []
  for (let index = 0; index < source.count; index++) {
    const flow = source.flow(index)
    const keys = [`from ${flow.source}`, `to ${flow.proto ?? ''} ${flow.destination} ${flow.port ?? ''} ${flow.size ?? ''} ${flow.packets > 1}`]
    if (keys.every((key) => seen.has(key))) continue
    for (const key of keys) seen.add(key)
    const question = readQuestion(network, requestOf(flow, index, common))
    if (Array.isArray(question)) problems.push(...question.map((problem) => ({ ...problem, ...lineOf(plan.matrix, index), object: '' })))
  }
  return problems
}

function askedOf(plan: Plan, source: FlowSource, { flags, network }: { readonly flags: FlowsFlags; readonly network: Network }): Asked {
  const { proto, port, packets, size, rate, namespace, cold, listen } = flags
  const { pods, left } = plan.kind === 'matrix' ? { pods: [], left: 0 } : podsWithNetwork(network)
  return {
    kind: plan.kind,
    flows: isByClass(source) ? source.counts.pairs : source.count,
    ...(isByClass(source) ? { classes: source.counts } : {}),
    ...(plan.kind === 'matrix' ? {} : { pods: pods.length, left }),
    ...(plan.kind === 'random' ? { pick: plan.pick } : {}),
    ...(proto === undefined ? {} : { protocol: proto }),
    ...(port === undefined ? {} : { port }),
    packets,
    ...(size === undefined ? {} : { size }),
    ...(rate === undefined ? {} : { rate }),
    namespace,
    cold,
    listen,
  }
}

function isByClass(source: FlowSource): source is ClassSource {
  return 'counts' in source
}

function packetsOf(plan: Plan, source: FlowSource, { from, to }: { readonly from: number; readonly to: number }): number {
  if (plan.kind !== 'matrix') return (to - from) * plan.shape.packets
  let packets = 0
  for (let index = from; index < to; index++) packets += source.flow(index).packets
  return packets
}

function csvOf(lines: string): string {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => csvLine(JSON.parse(line) as FlowLine))
    .join('')
}

function distinct(problems: readonly Problem[]): readonly Problem[] {
  const found = new Map(problems.map((problem) => [JSON.stringify(problem), problem]))
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, problem]) => problem)
}

/** As asked only when every packet is. */
function statusOf({ all, refused, unsent }: FlowSums): number {
  if (refused.length > 0) return EXIT_BAD_INPUT
  const found = Object.keys(all)
  if (found.some((name) => name === 'INCOMPLETE' || name === 'AMBIGUOUS') || unsent > 0) return EXIT_UNKNOWN
  return found.every((name) => name === 'DELIVERED' || name === 'EXITED') ? EXIT_OK : EXIT_NOT_DELIVERED
}
