/**
 * What keeps a pod from each node, in the order of kube-scheduler's filter plugins: one number while nodes are tried, words once no node is
 * left. The words are those of the plugins' ErrReason constants, so that they can be searched for.
 */
import type { NodeReading } from '../node.js'
import type { ClusterPod } from '../pod.js'
import type { Loads, HostPort, Request } from './loads.js'
import { hostPortsOf } from './loads.js'
import { isCordoned, matchesAffinity, type NodeFit } from './node-fit.js'
import { matchOfConstraint, matchOfTerm, type Domains, type NamespaceLabels, type PodCounts } from './pod-counts.js'
import { untolerated } from './taints.js'

/** What speaks against a node; 0: nothing. */
const FREE = 0
const HOST_PORT = 1
const RESOURCES = 2
const SPREAD_LABEL = 3
const SPREAD = 4
const AFFINITY = 5
const ANTI_AFFINITY = 6
const EXISTING_ANTI_AFFINITY = 7

/** One required spread constraint, counted. */
interface Spread {
  readonly domains: Domains
  readonly sums: Int32Array
  /** The least of all domains. */
  readonly least: number
  readonly maxSkew: number
  /** 1 when the pod itself is counted. */
  readonly self: number
}

/** A pod (anti-)affinity term, counted. */
interface Crowd {
  readonly domains: Domains
  readonly sums: Int32Array
}

interface World {
  readonly loads: Loads
  readonly counts: PodCounts
  readonly namespaceLabels: NamespaceLabels
}

/** For one pod, as the cluster stands now. */
export class Obstacles {
  private readonly pod: ClusterPod
  private readonly loads: Loads
  private readonly ports: readonly HostPort[]
  private readonly requests: readonly Request[]
  private readonly spread: readonly Spread[]
  private readonly friends: readonly Crowd[]
  private readonly foes: readonly Crowd[]
  private readonly holders: readonly Crowd[]
  /** Nobody whom the pod wants to be near is there, and it wants to be near its like: the first of them may go anywhere. */
  private readonly isFirst: boolean

  constructor(pod: ClusterPod, fit: NodeFit, { loads, counts, namespaceLabels }: World) {
    this.pod = pod
    this.loads = loads
    this.ports = hostPortsOf(pod)
    this.requests = loads.requestsOf(pod)
    const { spread, podAffinity, podAntiAffinity } = pod.scheduling
    this.spread = spread.filter(({ required }) => required).length === 0 ? [] : requiredSpread(pod, fit, counts)
    const wanted = podAffinity.map((term) => matchOfTerm(term, pod, namespaceLabels))
    // a pod counts for a term only where it meets them all
    const all = { namespace: (name: string) => wanted.every((one) => one.namespace(name)), pod: (other: ClusterPod) => wanted.every((one) => one.pod(other)) }
    const key = wanted.map((one) => one.key).join('\n')
    const near = wanted.map(({ topologyKey }) => ({ topologyKey, counter: counts.counterOf({ topologyKey, key, ...all }) }))
    this.friends = near.map(({ topologyKey, counter }) => crowd(counts, topologyKey, counter.counts))
    this.isFirst = near.every(({ counter }) => counter.total === 0) && all.namespace(pod.namespace) && all.pod(pod)
    this.foes = podAntiAffinity.map((term) => crowd(counts, term.topologyKey, counts.counterOf(matchOfTerm(term, pod, namespaceLabels)).counts))
    this.holders = counts.holdersAgainst(pod).map(({ match, counts: held }) => crowd(counts, match.topologyKey, held))
  }

  /** 0 when the node, one of fit.candidates, can take the pod. */
  at(node: number): number {
    if (this.ports.length > 0 && this.loads.takenPort(this.ports, node) !== undefined) return HOST_PORT
    if (this.loads.pods[node] >= this.loads.maxPods[node]) return RESOURCES
    for (const { amount, free } of this.requests) if (amount > free[node]) return RESOURCES
    for (const { domains, sums, least, maxSkew, self } of this.spread) {
      const domain = domains.of[node]
      if (domain < 0) return SPREAD_LABEL
      if (sums[domain] + self - least > maxSkew) return SPREAD
    }
    for (const { domains, sums } of this.friends) {
      const domain = domains.of[node]
      if (domain < 0 || (sums[domain] === 0 && !this.isFirst)) return AFFINITY
    }
    if (isCrowded(this.foes, node)) return ANTI_AFFINITY
    return isCrowded(this.holders, node) ? EXISTING_ANTI_AFFINITY : FREE
  }

  /** `0/3 nodes are available: 1 Insufficient cpu (n1: 500m of 2 left), …`, once no node is left. */
  verdict(): string {
    const { nodes } = this.loads
    if (nodes.length === 0) return 'there are no nodes'
    const reasons = new Map<string, Map<string, string[]>>()
    nodes.forEach((node, index) => {
      for (const { reason, detail } of this.reasonsAt(node, index)) {
        const details = reasons.get(reason) ?? new Map<string, string[]>()
        reasons.set(reason, details)
        const names = details.get(detail) ?? []
        details.set(detail, names)
        names.push(node.name)
      }
    })
    const texts = [...reasons].map(([reason, details]) => {
      const count = [...details.values()].reduce((sum, names) => sum + names.length, 0)
      const groups = [...details].map(([detail, names]) => `${someNames(names)}${detail === '' ? '' : `: ${detail}`}`)
      return `${count} ${reason} (${groups.slice(0, NAMED).join('; ')}${groups.length > NAMED ? '; …' : ''})`
    })
    return `0/${nodes.length} nodes are available: ${texts.sort().join(', ')}.`
  }

  private reasonsAt(node: NodeReading, index: number): Reason[] {
    const { scheduling } = this.pod
    if (isCordoned(scheduling, node)) return [{ reason: 'node(s) were unschedulable', detail: '' }]
    const taint = untolerated(scheduling.tolerations, node.taints)
    if (taint !== undefined) return [{ reason: `node(s) had untolerated taint {${taint.key}: ${taint.value}}`, detail: '' }]
    if (!matchesAffinity(scheduling, node)) {
      const lacking = Object.entries(scheduling.nodeSelector).filter(([key, value]) => !Object.hasOwn(node.labels, key) || node.labels[key] !== value)
      const detail = lacking.map(([key, value]) => `without ${key}=${value}`).join(', ')
      return [{ reason: "node(s) didn't match Pod's node affinity/selector", detail }]
    }
    const obstacle = this.at(index)
    return obstacle === RESOURCES ? this.lackingAt(node, index) : [{ reason: REASONS[obstacle], detail: obstacle === HOST_PORT ? this.portAt(index) : '' }]
  }

  private portAt(index: number): string {
    const taken = this.loads.takenPort(this.ports, index)
    return taken === undefined ? '' : `${taken.port}/${taken.protocol}`
  }

  private lackingAt(node: NodeReading, index: number): Reason[] {
    const { pods, maxPods } = this.loads
    const full = pods[index] >= maxPods[index] ? [{ reason: 'Too many pods', detail: `${maxPods[index]} at most` }] : []
    const lacking = this.requests
      .filter(({ amount, free }) => amount > free[index])
      .map(({ name, amount, free }) => ({
        reason: `Insufficient ${name}`,
        detail: `wants ${amount / 1000}, left ${Math.max(free[index], 0) / 1000} of ${node.allocatable?.[name] ?? 0}`,
      }))
    return [...full, ...lacking]
  }
}

interface Reason {
  readonly reason: string
  readonly detail: string
}

const REASONS: Readonly<Record<number, string>> = {
  [HOST_PORT]: "node(s) didn't have free ports for the requested pod ports",
  [SPREAD_LABEL]: "node(s) didn't match pod topology spread constraints (missing required label)",
  [SPREAD]: "node(s) didn't match pod topology spread constraints",
  [AFFINITY]: "node(s) didn't match pod affinity rules",
  [ANTI_AFFINITY]: "node(s) didn't match pod anti-affinity rules",
  [EXISTING_ANTI_AFFINITY]: "node(s) didn't satisfy existing pods anti-affinity rules",
}

const NAMED = 5

function someNames(names: readonly string[]): string {
  const shown = names.slice(0, NAMED).join(', ')
  return names.length > NAMED ? `${shown} and ${names.length - NAMED} more` : shown
}

function crowd(counts: PodCounts, topologyKey: string, perNode: Int32Array): Crowd {
  const domains = counts.domainsOf(topologyKey)
  return { domains, sums: counts.byDomain(perNode, domains) }
}

function isCrowded(crowds: readonly Crowd[], node: number): boolean {
  return crowds.some(({ domains, sums }) => domains.of[node] >= 0 && sums[domains.of[node]] > 0)
}

/** podtopologyspread filtering.go: only nodes that have every topology label count, and those that the policies let in. */
function requiredSpread(pod: ClusterPod, fit: NodeFit, counts: PodCounts): Spread[] {
  const required = pod.scheduling.spread.filter((constraint) => constraint.required)
  const labelled = required.map(({ topologyKey }) => counts.domainsOf(topologyKey).of)
  return required.map((constraint) => {
    const domains = counts.domainsOf(constraint.topologyKey)
    const match = matchOfConstraint(constraint, pod)
    const { counts: matching } = counts.counterOf(match)
    const sums = new Int32Array(domains.count)
    const present = new Uint8Array(domains.count)
    for (let node = 0; node < matching.length; node++) {
      if ((constraint.honorsAffinity && fit.affinity[node] === 0) || (constraint.honorsTaints && fit.taints[node] === 0)) continue
      if (labelled.some((of) => of[node] < 0)) continue
      sums[domains.of[node]] += matching[node]
      present[domains.of[node]] = 1
    }
    const populations = sums.filter((_, domain) => present[domain] === 1)
    const least = populations.length < constraint.minDomains ? 0 : populations.reduce((lowest, sum) => Math.min(lowest, sum), Infinity)
    return { domains, sums, least: Number.isFinite(least) ? least : 0, maxSkew: constraint.maxSkew, self: match.pod(pod) ? 1 : 0 }
  })
}
