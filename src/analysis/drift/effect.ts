/**
 * What a difference does to traffic: the expected network is asked, and the same network with just that difference in the node's kernel, and the answers
 * are held against each other. Every way that chance may take is followed.
 */
import type { Dataplane } from '../../dataplane/dataplane.js'
import type { Network } from '../../network/network.js'
import { allOutcomes, type Outcome } from '../outcomes.js'
import type { FlowChangeDocument, TrafficDocument } from './finding.js'
import type { Flow } from './flows.js'

/** Of one question. */
const MOST_OUTCOMES = 48
const EPSILON = 1e-6
/** Of a finding. */
const MOST_CHANGES = 12

const RANK: Readonly<Record<FlowChangeDocument['change'], number>> = { lost: 0, opened: 1, source: 2, outcome: 3, path: 4 }

export class Prover {
  private readonly network: Network
  private readonly known = new Map<string, readonly Outcome[] | undefined>()

  constructor(network: Network) {
    this.network = network
  }

  /** @param kernels those that have something else in them */
  prove(kernels: ReadonlyMap<string, Dataplane>, flows: readonly Flow[]): TrafficDocument {
    const variant = this.network.withKernels(kernels)
    return { ...judged(flows, (flow) => this.baseline(flow), variant), together: false }
  }

  /** Of kernels of a node and its pods, which differ in one thing beside much else. */
  proveTogether(without: ReadonlyMap<string, Dataplane>, all: Network, flows: readonly Flow[]): TrafficDocument {
    const mended = this.network.withKernels(without)
    return { ...judged(flows, (flow) => outcomesOf(mended, flow), all), together: true }
  }

  private baseline(flow: Flow): readonly Outcome[] | undefined {
    const { command } = flow
    if (!this.known.has(command)) this.known.set(command, outcomesOf(this.network, flow))
    return this.known.get(command)
  }
}

function judged(flows: readonly Flow[], beforeOf: (flow: Flow) => readonly Outcome[] | undefined, variant: Network): Omit<TrafficDocument, 'together'> {
  const changes: FlowChangeDocument[] = []
  let asked = 0
  for (const flow of flows) {
    const before = beforeOf(flow)
    const after = before === undefined ? undefined : outcomesOf(variant, flow)
    if (before === undefined || after === undefined) continue
    asked++
    const changed = compared(flow, before, after)
    if (changed !== undefined) changes.push(changed)
  }
  const has = (kind: FlowChangeDocument['change']): boolean => changes.some((one) => one.change === kind)
  const verdict = asked === 0 ? 'not asked' : has('lost') ? 'lost' : has('opened') ? 'opened' : changes.length > 0 ? 'changed' : 'none'
  return { verdict, asked, changes: [...changes].sort((a, b) => RANK[a.change] - RANK[b.change]) }
}

/** undefined: the question names what is not there. */
function outcomesOf(network: Network, { request }: Flow): readonly Outcome[] | undefined {
  const found = allOutcomes(network, request, MOST_OUTCOMES)
  return 'outcomes' in found ? found.outcomes : undefined
}

function arrives({ disposition }: Outcome): boolean {
  return disposition === 'DELIVERED' || disposition === 'EXITED'
}

function compared({ text, relation, command }: Flow, before: readonly Outcome[], after: readonly Outcome[]): FlowChangeDocument | undefined {
  const kind = kindOf(before, after)
  if (kind === undefined) return undefined
  const [was, is] = [before, after].map((outcomes) => wordsOf(outcomes, kind))
  return { flow: text, relation, change: kind, before: was, after: is, command }
}

function kindOf(before: readonly Outcome[], after: readonly Outcome[]): FlowChangeDocument['change'] | undefined {
  const share = (outcomes: readonly Outcome[], is: (one: Outcome) => boolean): number =>
    outcomes.filter(is).reduce((sum, { probability }) => sum + probability, 0)
  const [was, now] = [share(before, arrives), share(after, arrives)]
  if (now < was - EPSILON) {
    // the sender is told a smaller size, and TCP goes on; what cannot be judged is no loss
    const rest = share(after, ({ disposition }) => disposition === 'TOO_BIG' || disposition === 'INCOMPLETE')
    return now + rest < was - EPSILON ? 'lost' : 'outcome'
  }
  if (now > was + EPSILON) return share(before, ({ disposition }) => disposition === 'DENIED' || disposition === 'REJECTED') > EPSILON ? 'opened' : 'outcome'
  const words = (of: (one: Outcome) => string): readonly [string, string] => [sorted(before.map(of)), sorted(after.map(of))]
  const differs = ([a, b]: readonly [string, string]): boolean => a !== b
  if (differs(words((one) => `${one.disposition} ${one.server?.netns ?? ''} ${one.server?.sees.address ?? ''}`))) {
    return differs(words((one) => `${one.disposition} ${one.server?.netns ?? ''}`)) ? 'outcome' : 'source'
  }
  return differs(words(({ path }) => path.join(' '))) ? 'path' : undefined
}

function sorted(words: readonly string[]): string {
  return [...new Set(words)].sort().join('\n')
}

const MOST_WORDS = 3

function wordsOf(outcomes: readonly Outcome[], kind: FlowChangeDocument['change']): string {
  const words = outcomes.map((one) => {
    const share = one.probability > 1 - EPSILON ? '' : `${Math.round(one.probability * 100)}% `
    return `${share}${outcomeWords(one, kind)}`
  })
  return `${[...new Set(words)].slice(0, MOST_WORDS).join('; ')}${words.length > MOST_WORDS ? '; …' : ''}`
}

function outcomeWords({ disposition, server, path, kernelReason }: Outcome, kind: FlowChangeDocument['change']): string {
  const at = path.at(-1) ?? ''
  if (disposition === 'DELIVERED') {
    const by = kind === 'path' ? ` by ${path.join(' → ')}` : ''
    return `delivered to ${server?.netns ?? at}${kind === 'source' && server !== undefined ? ` as from ${server.sees.address}` : ''}${by}`
  }
  const reason = kernelReason === undefined || kernelReason === '' ? '' : ` (${kernelReason})`
  return `${disposition}${at === '' || disposition === 'REPLY_LOST' ? '' : ` at ${at}`}${reason}`
}

/** What somebody will notice. */
export function effectText({ verdict, asked, changes, together }: TrafficDocument): string {
  if (verdict === 'not asked') return 'Not traced: no packet of the model can tell.'
  if (verdict === 'none') return `No effect on the traffic tried (${asked} questions).`
  const parts = (['lost', 'opened', 'source', 'outcome', 'path'] as const).flatMap((kind) => {
    const some = changes.filter((one) => one.change === kind)
    return some.length === 0 ? [] : [`${some.length} ${KIND_WORDS[kind]}: ${relations(some)}`]
  })
  return `${together ? 'No effect by itself; with what else differs on the node, ' : ''}${together ? 'of' : 'Of'} ${asked} questions ${parts.join('; ')}.`
}

const KIND_WORDS: Readonly<Record<FlowChangeDocument['change'], string>> = {
  lost: 'are lost',
  opened: 'arrive that should not',
  source: 'arrive with another source address',
  outcome: 'end otherwise',
  path: 'take another way',
}

function relations(changes: readonly FlowChangeDocument[]): string {
  const counts = new Map<string, number>()
  for (const { relation } of changes) counts.set(relation, (counts.get(relation) ?? 0) + 1)
  return [...counts].map(([relation, count]) => (count === 1 ? relation : `${relation} (${count})`)).join(', ')
}

/** The first so many, which say enough. */
export function shortened(traffic: TrafficDocument): TrafficDocument {
  return { ...traffic, changes: traffic.changes.slice(0, MOST_CHANGES) }
}
