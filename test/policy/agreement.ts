/**
 * Meaning against chains: every pair of ends of a cluster, every protocol, the ends of every range of ports and what lies beside them.
 *
 *   manifests ─┬▶ readPolicyState ─▶ policyWorld ─▶ evaluatePair            what the policies mean
 *              └▶ buildCluster ─▶ buildNetwork ─▶ a packet (chains.ts)      what Felix's rules do
 */
import { formatIp } from '../../src/base/ip.js'
import { formatProblem, hasErrors } from '../../src/base/problem.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { readPolicyState } from '../../src/cluster/policy-state.js'
import { buildNetwork } from '../../src/network/build-network.js'
import type { Network } from '../../src/network/network.js'
import { formatRange, parseRange, type AddressRange } from '../../src/policy/address-range.js'
import { ConnectionSet, type Connection } from '../../src/policy/connections.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import type { End, PolicyWorld } from '../../src/policy/model.js'
import { policyWorld, switchesFor } from '../../src/policy/world.js'
import { BEYOND, Chains, SOURCE_PORT, type Place } from './chains.js'

export interface Text {
  readonly file: string
  readonly text: string
}

export interface Difference {
  readonly source: string
  readonly destination: string
  readonly connection: Connection
  readonly meaning: boolean
  /** `allowed`, `denied`, or why the question is no good. */
  readonly chains: string
}

export interface Agreement {
  readonly pairs: number
  readonly verdicts: number
  /** Of those, the ones that both sides deny. */
  readonly denied: number
  readonly differences: readonly Difference[]
}

export interface Asked {
  /** Beside the cluster's own ends. */
  readonly outside: readonly string[]
  /** Who of `outside` sends too: a host of the underlay's that the pods can be reached from. */
  readonly client?: string
  /** Felix is told to ask policies of packets too that conntrack takes for invalid; else only of such as begin a connection. */
  readonly invalidToo?: boolean
}

/** Both sides of one cluster. */
export class Sides {
  readonly world: PolicyWorld
  readonly network: Network
  readonly chains: Chains
  private readonly nodeSources = new Map<string, string>()

  constructor(texts: readonly Text[]) {
    const { state, problems } = readPolicyState(texts)
    const built = buildCluster(texts)
    const { network, problems: others } = buildNetwork(built.cluster, { seed: 1 })
    const all = [...problems, ...built.problems, ...others]
    if (hasErrors(all)) throw new Error(all.map(formatProblem).join('\n'))
    this.network = network
    this.world = this.placed(policyWorld(state, { ...switchesFor('calico'), sourcePort: SOURCE_PORT }))
    this.chains = new Chains(network)
  }

  /** With the nodes and addresses that the network gave the pods which the manifests give none. */
  private placed(world: PolicyWorld): PolicyWorld {
    const pods = world.pods.map((pod) => {
      const plan = this.network.podPlan(pod.namespace, pod.name)
      if (plan === undefined || pod.addresses.length > 0) return pod
      return { ...pod, node: plan.pod.node, addresses: [parseRange(formatIp(plan.address)) as AddressRange] }
    })
    return { ...world, pods }
  }

  /** Pods that run, and nodes; pods on the host's network are their nodes to Calico, and are left out. */
  get ends(): readonly End[] {
    const pods = this.world.pods.filter((pod) => !pod.imagined && !pod.hostNetwork && this.network.podPlan(pod.namespace, pod.name) !== undefined)
    return [...pods, ...this.world.nodes]
  }

  place(end: End): Place {
    if (end.kind === 'outside') return { netns: BEYOND, address: formatRange(end.range) }
    if (end.kind === 'node') return { netns: end.name, address: formatIp(this.network.nodePlan(end.name)?.node.address ?? 0) }
    return { netns: `${end.namespace}/${end.name}`, address: formatIp(this.network.podPlan(end.namespace, end.name)?.address ?? 0) }
  }

  /** A node's packets bear the address of the device that they leave by: over a tunnel, the tunnel's. */
  asSender(end: End, destination: Place): { readonly end: End; readonly place: Place } {
    if (end.kind !== 'node') return { end, place: this.place(end) }
    const key = `${end.name} ${destination.address}`
    const address = this.nodeSources.get(key) ?? this.chains.sourceOf(end.name, destination)
    this.nodeSources.set(key, address)
    return { end: { ...end, addresses: [parseRange(address) as AddressRange] }, place: { netns: end.name, address } }
  }
}

export function compare(sides: Sides, asked: Asked): Agreement {
  const outside = asked.outside.map((address): End => ({ kind: 'outside', range: parseRange(address) as AddressRange }))
  const connections = connectionsOf(sides.world, asked.invalidToo === true)
  const differences: Difference[] = []
  let [pairs, verdicts, denied] = [0, 0, 0]
  for (const source of [...sides.ends, ...(asked.client === undefined ? [] : outside)]) {
    for (const destination of [...sides.ends, ...outside]) {
      const pair = pairOf(sides, [source, destination], asked.client)
      if (pair === undefined) continue
      pairs++
      const { allowed } = evaluatePair(sides.world, pair.source, destination)
      for (const connection of connections) {
        const meaning = allowed.has(connection)
        const chains = sides.chains.ask(pair.from, pair.to, connection)
        verdicts++
        if (!meaning && chains === 'denied') denied++
        if (chains !== (meaning ? 'allowed' : 'denied'))
          differences.push({ source: nameOf(pair.source), destination: nameOf(destination), connection, meaning, chains })
      }
    }
  }
  return { pairs, verdicts, denied, differences }
}

interface Pair {
  readonly source: End
  readonly from: Place
  readonly to: Place
}

/** undefined: nobody's policy is asked, or no packet leaves the netns. */
function pairOf(sides: Sides, [source, destination]: readonly [End, End], client: string | undefined): Pair | undefined {
  if (source === destination || (source.kind !== 'pod' && destination.kind === 'outside' && source.kind === 'outside')) return undefined
  const to = sides.place(destination)
  if (source.kind === 'outside') return client === undefined ? undefined : { source, from: { netns: client, address: formatRange(source.range) }, to }
  const { end, place } = sides.asSender(source, to)
  return { source: end, from: place, to }
}

function nameOf(end: End): string {
  if (end.kind === 'pod') return `${end.namespace}/${end.name}`
  return end.kind === 'node' ? `node/${end.name}(${end.addresses.map(formatRange).join(',')})` : formatRange(end.range)
}

const TRANSPORTS = ['TCP', 'UDP', 'SCTP'] as const
/** Echo request and timestamp request. */
const ICMP_BEGINNING = [8, 13] as const
const ICMP_OTHERS = [0, 3, 11] as const
/** ESP, UDP-Lite; GRE without a header is no connection to conntrack. */
const OTHERS_BEGINNING = [50, 136] as const
const OTHERS = [47] as const
const NEVER_ASKED = 179

/** Ends of all ranges in rules, ports of all pods, with their neighbours, in each transport; a few types of ICMP, each with two codes; other protocols. */
export function connectionsOf(world: PolicyWorld, invalidToo: boolean): readonly Connection[] {
  const rules = world.tiers.flatMap(({ policies }) => policies.flatMap(({ ingress, egress }) => [...ingress, ...egress]))
  const sets = rules.flatMap(({ ports }) => [ports.fixed, ports.within ?? ConnectionSet.none])
  const inRules = sets.flatMap((set) => TRANSPORTS.flatMap((protocol) => set.ranges(protocol).flat()))
  const ofPods = world.pods.flatMap(({ ports }) => ports.map(({ port }) => port))
  const numbers = [...new Set([80, 53, ...ofPods, ...inRules])].flatMap((port) => [port, port - 1, port + 1])
  const ports = [...new Set(numbers)].filter((port) => port >= 1 && port <= 65535 && port !== NEVER_ASKED)
  return [
    ...TRANSPORTS.flatMap((protocol) => ports.map((port) => ({ protocol, port }))),
    ...[...ICMP_BEGINNING, ...(invalidToo ? ICMP_OTHERS : [])].flatMap((type) =>
      [0, 1].map((code) => ({ protocol: 'ICMP' as const, port: type * 256 + code })),
    ),
    ...[...OTHERS_BEGINNING, ...(invalidToo ? OTHERS : [])].map((protocol) => ({ protocol, port: 0 })),
  ]
}
