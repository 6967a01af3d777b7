/** One question after the other, each read at once: what came of it goes to the findings. */
import type { Ip } from '../../base/ip.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { Network } from '../../network/network.js'
import { isOutcome, type TraceOutcome } from '../../network/probe.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../network/request.js'
import type { FlowFindings, Relation } from './flow-findings.js'
import { walkFacts, type WalkFacts } from './walk-facts.js'

/** Where a pod declares no TCP port. */
const OPEN_PORT = 8080

/** As a question names it, whatever its namespace is called. */
export function podEnd(pod: ClusterPod): string {
  return `pod/${pod.namespace}/${pod.name}`
}

export function portOf({ ports }: ClusterPod): number {
  return ports.find(({ protocol }) => protocol === 'TCP')?.port ?? OPEN_PORT
}

export interface Question {
  readonly to: string
  readonly port: number
  readonly pairs: number
  readonly proto?: 'tcp' | 'udp'
  readonly onePort?: boolean
  /** The asker's own address: what is lost on the way back to itself is its own affair. */
  readonly hairpinOf?: Ip | undefined
}

export class Asker {
  private readonly network: Network
  private readonly seed: number
  private readonly flows: FlowFindings

  constructor(network: Network, seed: number, flows: FlowFindings) {
    this.network = network
    this.seed = seed
    this.flows = flows
  }

  request(source: string, to: string, { port, proto = 'tcp' }: Pick<Question, 'port' | 'proto'>): TraceRequest {
    return { ...DEFAULT_REQUEST, seed: this.seed, source, destination: `${to}:${port}`, proto, listen: true }
  }

  ask(relation: Relation, source: string, question: Question): { readonly outcome: TraceOutcome; readonly facts: WalkFacts } | undefined {
    const outcome = this.network.trace(this.request(source, question.to, question))
    if (!isOutcome(outcome)) {
      for (const { object, what } of outcome) this.flows.unknown.set(object, `${object}: ${what}`)
      return undefined
    }
    const facts = walkFacts(this.network, outcome)
    const { pairs, onePort = false, hairpinOf } = question
    const hairpin = hairpinOf !== undefined && facts.nat.some(({ side, to }) => side === 'destination' && to === hairpinOf)
    this.flows.add({ network: this.network, outcome, facts, relation, pairs, onePort, hairpin })
    return { outcome, facts }
  }
}
