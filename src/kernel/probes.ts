/**
 * The questions that `netsim verify` asks of a network when it is told none: a covering set, chosen from the network alone, so that every
 * node, every kind of path, every size that matters and every port that a rule speaks of is met. The same network gives the same list.
 */
import { formatIp, type Ip } from '../base/ip.js'
import type { Rule } from '../dataplane/iptables.js'
import { traceDocument } from '../analysis/trace-report.js'
import type { Network } from '../network/network.js'
import { isOutcome } from '../network/probe.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../network/request.js'
import type { NodePlan } from '../network/nodes.js'
import { policyQuestions } from './probes-policy.js'
import { serviceQuestions } from './probes-services.js'

type ProbeSet = 'all' | 'quick'

export interface VerifyProbe {
  /** `default/pod-a → default/pod-b udp 9000, 1500 bytes, df, ttl 2, cold`. */
  readonly name: string
  readonly request: TraceRequest
}

/** More would say little that these do not. */
const MOST_PROBES = 200
/** All ordered pairs up to here; beyond, each node asks the next. */
const NODES_IN_PAIRS = 3
const PORTS_OF_RULES = 12
const LONGEST_TRACEROUTE = 8
/** Documentation (RFC 5737): nobody's. */
const FOREIGN_ADDRESS = '203.0.113.9'
const OPEN_PORT = 8080
/** Nothing listens there unless it says so. */
const CLOSED_PORT = 9

type Ask = Partial<TraceRequest>

export function probeName({ source, destination, proto, size, df, ttl, cold }: TraceRequest): string {
  const port = /:(\d+)$/.exec(destination)
  const word = proto ?? (port === null ? 'icmp' : 'tcp')
  const more = [size === undefined ? '' : `, ${size} bytes`, df ? ', df' : '', ttl === DEFAULT_REQUEST.ttl ? '' : `, ttl ${ttl}`, cold ? ', cold' : ''].join('')
  return `${source} → ${port === null ? destination : destination.slice(0, -port[0].length)} ${word}${port === null ? '' : ` ${port[1]}`}${more}`
}

export function coveringProbes(network: Network, set: ProbeSet, base: Partial<TraceRequest> = {}): readonly VerifyProbe[] {
  const chooser = new Chooser(network, base)
  if (set === 'quick') chooser.quick()
  else chooser.all()
  return chooser.probes.slice(0, MOST_PROBES)
}

class Chooser {
  readonly probes: VerifyProbe[] = []
  private readonly names = new Set<string>()
  private readonly network: Network
  private readonly base: Ask
  /** With a pod. */
  private readonly busy: readonly NodePlan[]

  constructor(network: Network, base: Ask) {
    this.network = network
    this.base = base
    this.busy = network.nodes.filter(({ pods }) => pods.length > 0)
  }

  quick(): void {
    for (const [from, to] of this.podPairs().slice(0, 4)) {
      this.ask(from, to)
      this.ask(from, `${to}:${OPEN_PORT}`)
      this.ask(from, `${to}:${OPEN_PORT}`, { proto: 'udp' })
    }
    if (this.probes.length === 0) this.nodes()
  }

  all(): void {
    const pairs = this.podPairs()
    for (const [from, to] of pairs) this.ask(from, to)
    for (const [from, to] of this.samples(pairs)) {
      this.protocols(from, to)
      this.sizes(from, to)
      this.traceroute(from, to)
      this.ask(from, to, { cold: true })
    }
    this.nodes()
    this.policies()
    this.services()
    this.nobody()
    this.portsOfRules(pairs)
  }

  private ask(source: string, destination: string, ask: Ask = {}): void {
    const request = { ...DEFAULT_REQUEST, ...this.base, source, destination, ...ask }
    const name = probeName(request)
    if (this.names.has(name)) return
    this.names.add(name)
    this.probes.push({ name, request })
  }

  private podName(plan: NodePlan, index: number): string | undefined {
    const pod = plan.pods.at(index)?.pod
    return pod === undefined ? undefined : `${pod.namespace}/${pod.name}`
  }

  /** Two pods of each node, and pods of two nodes: each pair of nodes where they are few, else each node and the next. */
  private podPairs(): (readonly [string, string])[] {
    const pairs: (readonly [string, string])[] = []
    this.busy.forEach((from, index) => {
      const first = this.podName(from, 0) ?? ''
      const second = this.podName(from, 1)
      const others = this.busy.length <= NODES_IN_PAIRS ? this.busy.filter((to) => to !== from) : [this.busy[(index + 1) % this.busy.length]]
      for (const to of others) pairs.push([first, this.podName(to, -1) ?? ''])
      if (second !== undefined) pairs.push([first, second])
    })
    return pairs
  }

  /** One pair of each shape: on one node, on one segment, across the router. */
  private samples(pairs: readonly (readonly [string, string])[]): (readonly [string, string])[] {
    const shapes = new Map<string, readonly [string, string]>()
    const segmentOf = (name: string): string | undefined => this.network.cluster.nodeByName.get(name)?.segment
    const nodeOf = new Map(this.network.pods.map(({ pod }) => [`${pod.namespace}/${pod.name}`, pod.node ?? '']))
    for (const pair of pairs) {
      const [a, b] = pair.map((name) => nodeOf.get(name) ?? '')
      const shape = a === b ? 'one node' : segmentOf(a) === segmentOf(b) ? 'one segment' : 'routed'
      if (!shapes.has(shape)) shapes.set(shape, pair)
    }
    return [...shapes.values()]
  }

  private protocols(from: string, to: string): void {
    for (const port of [OPEN_PORT, CLOSED_PORT]) {
      this.ask(from, `${to}:${port}`)
      this.ask(from, `${to}:${port}`, { proto: 'udp' })
    }
    this.ask(from, `${to}:${OPEN_PORT}`, { size: 500 })
  }

  /** The largest packet of the path and of the sender's card, and one byte more, with and without don't-fragment. */
  private sizes(from: string, to: string): void {
    const outcome = this.network.trace({ ...DEFAULT_REQUEST, ...this.base, source: from, destination: to })
    if (!isOutcome(outcome)) return
    const { mtu } = traceDocument(this.network, outcome)
    if (mtu === null) return
    for (const size of new Set([mtu.path, mtu.path + 1, mtu.inner, mtu.inner + 1])) {
      this.ask(from, to, { size })
      this.ask(from, to, { size, df: true })
      this.ask(from, `${to}:${OPEN_PORT}`, { proto: 'udp', size })
      this.ask(from, `${to}:${OPEN_PORT}`, { proto: 'udp', size, df: true })
    }
    this.ask(from, `${to}:${OPEN_PORT}`, { size: mtu.path })
    this.ask(from, `${to}:${OPEN_PORT}`, { proto: 'udp', size: 2 * mtu.path + 100 })
  }

  private traceroute(from: string, to: string): void {
    for (let ttl = 1; ttl <= LONGEST_TRACEROUTE; ttl++) {
      this.ask(from, to, { ttl })
      const outcome = this.network.trace({ ...DEFAULT_REQUEST, ...this.base, source: from, destination: to, ttl })
      if (!isOutcome(outcome) || outcome.forward.disposition !== 'TTL_EXCEEDED') return
    }
  }

  /** Nodes among themselves and with pods, their own and others'. */
  private nodes(): void {
    const { nodes } = this.network
    nodes.forEach(({ node }, index) => {
      const next = nodes[(index + 1) % nodes.length].node.name
      const near = this.podName(nodes[index], 0)
      const far = this.podName(nodes[(index + 1) % nodes.length], 0)
      const self = `node/${node.name}`
      if (next !== node.name) this.ask(self, `node/${next}`)
      if (near !== undefined) {
        this.ask(near, self)
        this.ask(self, near)
        if (next !== node.name) this.ask(near, `node/${next}`)
      }
      if (far !== undefined && next !== node.name) this.ask(self, far)
      if (index > 0) return
      for (const proto of ['tcp', 'udp'] as const) {
        if (next !== node.name) this.ask(self, `node/${next}:${CLOSED_PORT}`, { proto })
        if (near !== undefined) this.ask(near, `${self}:${CLOSED_PORT}`, { proto })
        if (far !== undefined) this.ask(self, `${far}:${OPEN_PORT}`, { proto })
      }
    })
  }

  /** Of each policy's rules, where there are any. */
  private policies(): void {
    for (const { source, destination, proto } of policyQuestions(this.network, this.base)) this.ask(source, destination, proto === undefined ? {} : { proto })
  }

  private services(): void {
    for (const { source, destination, proto } of serviceQuestions(this.network, this.base)) this.ask(source, destination, proto === undefined ? {} : { proto })
  }

  /** Addresses that nobody has: in a pod's own subnet, in another node's, in no lease, outside. */
  private nobody(): void {
    const [first, second] = this.busy
    const from = first === undefined ? undefined : this.podName(first, 0)
    if (from === undefined) return
    const absent = [first, second].flatMap((plan) => (plan === undefined ? [] : [this.unused(plan)])).filter((address) => address !== undefined)
    for (const address of absent) this.ask(from, formatIp(address))
    const unleased = this.unleased()
    if (unleased !== undefined) this.ask(from, formatIp(unleased))
    this.ask(from, FOREIGN_ADDRESS)
    this.ask(from, `${FOREIGN_ADDRESS}:${CLOSED_PORT}`, { proto: 'udp' })
  }

  /** The last address but one of the subnet of its pods' bridge, if no pod has it. */
  private unused({ dataplane, pods }: NodePlan): Ip | undefined {
    const bridge = dataplane.devices.find(({ kind, addresses }) => kind === 'bridge' && addresses.length > 0)
    const own = bridge?.addresses[0]
    if (own === undefined || own.length > 29) return undefined
    const last = (own.address | (2 ** (32 - own.length) - 1)) - 1
    return pods.some(({ address }) => address === last) ? undefined : last | 0
  }

  /** In flannel's network, in the first subnet that no lease covers. */
  private unleased(): Ip | undefined {
    const config = this.network.flannel?.config
    if (config === undefined) return undefined
    const taken = new Set(this.network.leases.map(({ lease }) => lease.subnet.base))
    const step = 2 ** (32 - (this.network.leases[0]?.lease.subnet.length ?? 24))
    for (let base = config.network.base + 200 * step; base > config.network.base; base -= step) if (!taken.has(base | 0)) return (base + 5) | 0
    return undefined
  }

  /** Whatever a rule asks of ports, a pair of pods is asked with it. */
  private portsOfRules(pairs: readonly (readonly [string, string])[]): void {
    const [from, to] = pairs[0] ?? []
    if (from === undefined || to === undefined) return
    const found = new Map<string, readonly ['tcp' | 'udp', number]>()
    for (const { dataplane } of this.network.nodes) {
      for (const table of dataplane.iptables.tables) for (const chain of table.chains) for (const rule of chain.rules) notePorts(rule, found)
    }
    for (const [proto, port] of [...found.values()].slice(0, PORTS_OF_RULES)) for (const [a, b] of this.samples(pairs)) this.ask(a, `${b}:${port}`, { proto })
  }
}

function notePorts(rule: Rule, found: Map<string, readonly ['tcp' | 'udp', number]>): void {
  for (const match of rule.matches) {
    const ports =
      match.kind === 'destination-port' ? [match.ports[0]] : match.kind === 'multiport' && match.side !== 'sports' ? match.ports.map(([first]) => first) : []
    const protocol = rule.matches.find((one) => one.kind === 'protocol')
    const proto = protocol?.kind === 'protocol' && protocol.proto === 17 ? 'udp' : 'tcp'
    for (const port of ports) if (port > 0) found.set(`${proto} ${port}`, [proto, port])
  }
}
