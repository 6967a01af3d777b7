/**
 * What policies see of a connection on its real path: a Service's address is no pod's once DNAT has been, and a source behind SNAT is a node. The question
 * is traced in the same network without any policy, once for each choice that there is (a Service's endpoints), and read where policies are asked:
 *
 *   pod ─▶ PREROUTING (DNAT) ─▶ FORWARD of its node: egress policies ─▶ POSTROUTING (SNAT) ─▶ … ─▶ FORWARD of the other node: ingress policies ─▶ pod
 *
 * Which connection that is then, and between whom, is all that is found here; what policies say of it is asked of policy/.
 */
import { formatIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import { ROW_A, ROW_KIND, ROW_LEG, ROW_NETNS, ROW_PACKET, STEP_FORWARD, STEP_NAT, STEP_ROUTE, STEP_STRIDE, STEP_TABLE } from '../net/trace.js'
import type { Network } from '../network/network.js'
import { isOutcome, type TraceOutcome } from '../network/probe.js'
import { DEFAULT_REQUEST, type Protocol, type TraceRequest } from '../network/request.js'
import type { Connection } from '../policy/connections.js'
import type { End, PolicyWorld } from '../policy/model.js'
import { LEG_FORWARD } from '../wire/packet.js'
import { depthOf, ruleBefore, type RuleFact } from './check/walk-facts.js'
import { eachChoice } from './outcomes.js'
import { endAt, tracedName } from './policy-path-ends.js'
import { numberSteps } from './trace-report.js'
import { HOOK_NAMES, TABLE_WORDS } from './trace-step.js'

export interface PathQuestion {
  /** As a trace takes them (network/endpoint.ts), and workloads. */
  readonly source: string
  readonly destination: string
  /** Of bare names. */
  readonly namespace: string
  readonly proto?: Protocol
}

/** An address or a port that the path rewrote. */
export interface Translation {
  readonly side: 'source' | 'destination'
  /** `10.96.0.10:80`; of ICMP without a port. */
  readonly from: string
  readonly to: string
  readonly netns: string
  /** Of the trace: its number as `netsim trace` prints it. */
  readonly step: number
  /** Absent where conntrack knew the connection. */
  readonly rule?: RuleFact
}

/** The connection as the policies of one end see it. */
export interface Seen {
  readonly source: End
  readonly destination: End
  readonly connection: Connection
  /** Where they are asked: the node, and the hook of its table filter. */
  readonly netns: string
  readonly hook: string
  readonly step: number
  /** What was rewritten before. */
  readonly translations: readonly Translation[]
}

/** One of the ways that the connection may go. */
export interface PathBranch {
  /** 0 to 1; several choices that policies see alike are one. */
  readonly probability: number
  /** As it was asked, before anything is rewritten. */
  readonly asked: Connection
  /** Absent: no policy is asked for the source (a host outside; or nothing left it). */
  readonly egress?: Seen
  /** Absent: none is asked for the destination, or it did not get there. */
  readonly ingress?: Seen
  /** All of the way. */
  readonly translations: readonly Translation[]
  /** Who takes it in the end; absent where it does not arrive even without policies. */
  readonly server?: End
  /** Why it does not: the disposition and where. */
  readonly lost?: { readonly disposition: string; readonly netns: string }
}

export interface PolicyPath {
  /** trace: of a network. selector: no network can be built, and Services were resolved by selector and targetPort alone. */
  readonly basis: 'trace' | 'selector'
  /** Names of the ends that were asked: `default/pod-a`, `svc/shop/web`, `host/client`. */
  readonly source: string
  readonly destination: string
  /** Most likely first. */
  readonly branches: readonly PathBranch[]
}

/** Kinds that forbid something; an endpoint of the host's is open where there is none. */
const FORBIDDING: ReadonlySet<string> = new Set([
  'NetworkPolicy',
  'GlobalNetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'ClusterNetworkPolicy',
  'HostEndpoint',
  'Profile',
])

/** The same cluster with nothing in it that a policy engine would hold packets by: of it the network is built that policyPath asks. */
export function withoutPolicies(cluster: Cluster): Cluster {
  return { ...cluster, objects: cluster.objects.filter(({ kind }) => !FORBIDDING.has(kind)) }
}

/** More ways than this are no answer to anybody. */
const BRANCH_LIMIT = 256

/**
 * @param network of withoutPolicies(cluster)
 * @param world of the whole cluster
 * @returns Problems where the question names what is not there
 */
export function policyPath(network: Network, world: PolicyWorld, question: PathQuestion): PolicyPath | readonly Problem[] {
  const named = (text: string): string => tracedName(network, world, text, question.namespace)
  const ends = { source: named(question.source), destination: named(question.destination) }
  const request: TraceRequest = { ...DEFAULT_REQUEST, sport: world.switches.sourcePort, ...question, ...ends }
  const found = new Map<string, PathBranch>()
  const follow = (one: TraceRequest, share: number): TraceOutcome | readonly Problem[] =>
    eachChoice(network, one, (outcome, probability) => {
      addBranch(found, readBranch(network, world, outcome, share * probability))
      return found.size < BRANCH_LIMIT
    })
  const first = follow(request, 1)
  if (!isOutcome(first)) return first
  // DNS gives any of the addresses of a name first
  const others = first.destination.others ?? []
  if (others.length > 0) {
    found.clear()
    const port = first.dport === 0 ? '' : `:${first.dport}`
    for (const address of [first.destination.address, ...others])
      follow({ ...request, destination: `${formatIp(address)}${port}`, proto: first.proto }, 1 / (others.length + 1))
  }
  const branches = [...found.values()].sort((a, b) => b.probability - a.probability)
  return { basis: 'trace', source: first.source.name, destination: first.destination.name, branches }
}

/** Alike but for ports that chance drew. */
function addBranch(found: Map<string, PathBranch>, branch: PathBranch): void {
  const { egress, ingress, server, lost } = branch
  const seen = (one: Seen | undefined): unknown => one && [nameIn(one.source), nameIn(one.destination), one.connection]
  const key = JSON.stringify([seen(egress), seen(ingress), server && nameIn(server), lost])
  const known = found.get(key)
  found.set(key, known === undefined ? branch : { ...known, probability: known.probability + branch.probability })
}

function nameIn(end: End): readonly unknown[] {
  if (end.kind === 'outside') return [String(end.range.first)]
  return [end.kind, end.kind === 'pod' ? `${end.namespace}/${end.name}` : end.name, ...end.addresses.map(({ first }) => String(first))]
}

/** The packet outside of any tunnel, at a table that may hold it back, or as it is forwarded where there is none. */
interface Sight {
  readonly netns: string
  readonly hook: string
  readonly step: number
  readonly tuple: Tuple
  readonly translations: readonly Translation[]
}

interface Tuple {
  readonly src: Ip
  readonly dst: Ip
  readonly sport: number
  readonly dport: number
}

interface Walk {
  readonly sights: readonly Sight[]
  readonly last: Tuple
  readonly translations: readonly Translation[]
}

const FILTER = TABLE_WORDS.indexOf('filter')
/** STEP_NAT's first argument. */
const SIDE_SOURCE = 0

function readWalk(network: Network, outcome: TraceOutcome): Walk {
  const { trace, netns } = network.world
  const sights: Sight[] = []
  const translations: Translation[] = []
  let tuple: Tuple = { src: outcome.source.address, dst: outcome.destination.address, sport: outcome.request.sport, dport: outcome.dport }
  const numbers = numberSteps(network)
  let [depth, routed] = [0, false]
  for (let row = 0; row < trace.stepCount; row++) {
    const at = row * STEP_STRIDE
    if (trace.steps[at + ROW_LEG] !== LEG_FORWARD || trace.steps[at + ROW_PACKET] !== outcome.packetId) continue
    const kind = trace.steps[at + ROW_KIND]
    const [a, b, c, d, e, f] = trace.steps.subarray(at + ROW_A, at + ROW_A + 6)
    const where = netns[trace.steps[at + ROW_NETNS]].name
    depth += depthOf(kind, a)
    // a node's process is bound to nothing: the first lookup chooses
    if (kind === STEP_ROUTE && !routed && f !== 0) tuple = { ...tuple, src: f }
    if (kind === STEP_ROUTE) routed = true
    if (depth > 0) continue
    if (kind === STEP_NAT) {
      const before = tuple
      tuple = a === SIDE_SOURCE ? { ...tuple, src: c, sport: e } : { ...tuple, dst: c, dport: e }
      if (b !== c || (a !== SIDE_SOURCE && d !== e))
        translations.push(
          translationOf(network, { row, step: numbers[row], netns: where, isSource: a === SIDE_SOURCE }, { before, after: tuple }, outcome.proto),
        )
    }
    const hook = kind === STEP_TABLE && b === FILTER ? HOOK_NAMES[a] : kind === STEP_FORWARD ? 'FORWARD' : undefined
    if (hook !== undefined) sights.push({ netns: where, hook, step: numbers[row], tuple, translations: [...translations] })
  }
  return { sights, last: tuple, translations }
}

interface Place {
  readonly row: number
  readonly step: number
  readonly netns: string
  readonly isSource: boolean
}

function translationOf(
  network: Network,
  { row, step, netns, isSource }: Place,
  change: { readonly before: Tuple; readonly after: Tuple },
  proto: Protocol,
): Translation {
  const words = ({ src, dst, sport, dport }: Tuple): string => {
    const [address, port] = isSource ? [src, sport] : [dst, dport]
    // of a source the port is anybody's; ICMP has none
    return isSource || proto === 'icmp' ? formatIp(address) : `${formatIp(address)}:${port}`
  }
  const rule = ruleBefore(network, row)
  return {
    side: isSource ? 'source' : 'destination',
    from: words(change.before),
    to: words(change.after),
    netns,
    step,
    ...(rule === undefined ? {} : { rule }),
  }
}

/** It was there, whatever socket was or was not. */
const ARRIVED: readonly string[] = ['DELIVERED', 'NO_SOCKET', 'EXITED']

function readBranch(network: Network, world: PolicyWorld, outcome: TraceOutcome, probability: number): PathBranch {
  const walk = readWalk(network, outcome)
  const { sights, translations, last } = walk
  const { forward, source } = outcome
  const where = forward.netns < 0 ? '' : network.world.netns[forward.netns].name
  const isThere = ARRIVED.includes(forward.disposition)
  const seen = (sight: Sight | undefined): Seen | undefined => (sight === undefined ? undefined : seenAt(network, world, sight, outcome.proto))
  const egress = seen(egressSight(sights, source))
  const ingress = isThere ? seen(ingressSight(sights, where, network)) : undefined
  return {
    probability,
    asked: connectionOf(outcome.proto, outcome.dport),
    ...(egress === undefined ? {} : { egress }),
    ...(ingress === undefined ? {} : { ingress }),
    translations,
    ...(isThere ? { server: endAt(network, world, last.dst) } : { lost: { disposition: forward.disposition, netns: where } }),
  }
}

/** A pod's egress policies are asked as its packet comes to its node; a node's own as it leaves. */
function egressSight(sights: readonly Sight[], { netns, node }: TraceOutcome['source']): Sight | undefined {
  if (node === undefined) return undefined
  return netns === node
    ? sights.find((sight) => sight.netns === node && sight.hook === 'OUTPUT')
    : sights.find((sight) => sight.netns === node && sight.hook !== 'OUTPUT')
}

/** @param where the packet ended */
function ingressSight(sights: readonly Sight[], where: string, network: Network): Sight | undefined {
  if (network.nodePlan(where) !== undefined) return sights.findLast((sight) => sight.netns === where && sight.hook === 'INPUT')
  const node = network.cluster.podByName.get(where)?.node
  return sights.findLast((sight) => sight.netns === node && sight.hook !== 'INPUT')
}

const PROTOCOLS = { tcp: 'TCP', udp: 'UDP', sctp: 'SCTP', icmp: 'ICMP' } as const
const ECHO_REQUEST = 8 * 256

function seenAt(network: Network, world: PolicyWorld, { tuple, ...sight }: Sight, proto: Protocol): Seen {
  return {
    source: endAt(network, world, tuple.src),
    destination: endAt(network, world, tuple.dst),
    connection: connectionOf(proto, tuple.dport),
    ...sight,
  }
}

function connectionOf(proto: Protocol, port: number): Connection {
  return { protocol: PROTOCOLS[proto], port: proto === 'icmp' ? ECHO_REQUEST : port }
}
