/**
 * What a run's report rests on beside its delays: what this run took for granted and what it left out, a sentence each, and none that has nothing to do with
 * what happened or was asked. Pure: from the scenario, its run, the diary and what the probes met.
 */
import { parseIp } from '../../base/ip.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { Action, Scenario, ScenarioProbe } from '../../cluster/scenario/scenario.js'
import type { DiaryAgent, DiaryEntry, DiaryKind } from '../../network/time/diary.js'
import type { ProbeHistory } from '../../network/time/probe-history.js'
import { COMPARED_NODES_MAX } from '../../network/time/sync-family.js'

export interface RunFacts {
  readonly scenario: Scenario
  /** As the run began. */
  readonly cluster: Cluster
  readonly diary: readonly DiaryEntry[]
  readonly histories: readonly ProbeHistory[]
  readonly untilNs: number
  readonly seed: number
}

export interface Foundations {
  readonly assumptions: readonly string[]
  readonly notModelled: readonly string[]
}

/** Undefined: it does not matter here. */
type Sentence = (facts: Facts) => string | undefined

export function foundationsOf(facts: RunFacts): Foundations {
  const known = new Facts(facts)
  const told = (sentences: readonly Sentence[]): readonly string[] => sentences.flatMap((sentence) => sentence(known) ?? [])
  return { assumptions: told(ASSUMPTIONS), notModelled: told(LEFT_OUT) }
}

class Facts {
  readonly given: RunFacts
  /** Of the events that happened. */
  readonly actions: readonly Action[]
  readonly probes: readonly ScenarioProbe[]

  constructor(given: RunFacts) {
    this.given = given
    this.actions = given.scenario.events.flatMap(({ atNs, action }) => (atNs <= given.untilNs ? [action] : []))
    this.probes = given.scenario.probes
  }

  get cluster(): Cluster {
    return this.given.cluster
  }

  get usesFlannel(): boolean {
    return this.cluster.cni === 'flannel' || this.cluster.cni === 'canal'
  }

  get usesCalico(): boolean {
    return this.cluster.cni === 'calico' || this.cluster.cni === 'canal'
  }

  /** Since time 0. */
  did(agent: DiaryAgent, kinds: readonly DiaryKind[], what?: RegExp): boolean {
    return this.given.diary.some(
      (entry) => entry.atNs >= 0 && entry.agent === agent && kinds.includes(entry.kind) && (what === undefined || what.test(entry.what)),
    )
  }
}

// ---- what is taken for granted

const leaseTimes: Sentence = (facts) => {
  const { scenario } = facts.given
  if (scenario.start !== 'converged' || !facts.usesFlannel || facts.cluster.datastore !== 'etcd') return undefined
  if (!facts.did('etcd', ['lease-expired']) && !facts.did('flanneld', ['lease-renewed', 'lease-refused'])) return undefined
  return 'at time 0 every lease of flannel has its whole time to live; in a cluster that has run for long each has what is left of it'
}

const birdChance: Sentence = (facts) =>
  facts.did('bird', ['bgp-session'])
    ? `what BIRD draws by chance (its timers, less up to a quarter) is one draw, of seed ${facts.given.seed}; --seed gives others`
    : undefined

const heartbeats: Sentence = (facts) =>
  facts.did('node controller', ['node'], / is Unknown: /)
    ? `when a kubelet last sent its heartbeat is one draw, of seed ${facts.given.seed}: a node may be found Unknown up to kubelet.heartbeat earlier or later`
    : undefined

const starts: Sentence = (facts) =>
  facts.did('kubelet', ['pod'], / runs with /)
    ? 'containers start at their first try and with their image at hand, readiness probes succeed at their first try'
    : undefined

/** Loss, delay, filters and MTUs act on packets, and here on no agent's way to its server. */
const servers: Sentence = (facts) => {
  const isOnTheWay = (action: Action): boolean =>
    action.kind === 'firewall' || action.kind === 'mtu' || (action.kind === 'cable' && (action.loss !== undefined || action.delayNs !== undefined))
  const cutsRouter = (action: Action): boolean => action.kind === 'cable' && action.cut !== undefined && action.end.startsWith('router/')
  if (!facts.actions.some((action) => isOnTheWay(action) || cutsRouter(action))) return undefined
  return 'etcd and the API server stand on no node: who has power and a whole cable of its own reaches them, whatever is lost, late or filtered on the way'
}

const names: Sentence = (facts) => {
  const isName = ({ to }: ScenarioProbe): boolean => {
    const host = to.replace(/:\d+$/, '')
    return host.includes('.') && !host.includes('/') && parseIp(host) === undefined
  }
  return facts.probes.some(isName)
    ? 'a name is looked up anew for each packet, in the records of that moment: nobody caches it, and the way to the DNS server is not asked'
    : undefined
}

const manyFelixes: Sentence = (facts) =>
  facts.usesCalico && facts.cluster.nodes.length > COMPARED_NODES_MAX && facts.did('felix', ['sync'])
    ? `with more than ${COMPARED_NODES_MAX} nodes every Felix is taken to write once for each version of the objects that Felix reads anything of`
    : undefined

const ASSUMPTIONS: readonly Sentence[] = [leaseTimes, birdChance, heartbeats, starts, servers, names, manyFelixes]

// ---- what is left out

const AGENT_SETS = /^(pod|po|ds|daemonset|daemonsets|deploy|deployment)\/(?:[^/]+\/)?(kube-flannel|calico-node|canal|kube-proxy|calico-typha)\b/i

const agentPods: Sentence = (facts) => {
  const targets = facts.actions.flatMap((action) => ('target' in action ? [action.target] : action.kind === 'move' ? [action.pod] : []))
  const named = targets.find((target) => AGENT_SETS.test(target))
  return named === undefined
    ? undefined
    : `agents are processes of their hosts: what happens to the pods that carry them (${named}) stops and starts none; stop and start of the agent do`
}

const retransmission: Sentence = (facts) =>
  facts.given.histories.some(({ probe, lost, spans }) => probe.connection && probe.proto !== 'udp' && probe.proto !== 'icmp' && lost > 0 && spans.length > 0)
    ? 'segments of a connection that are lost are not sent again between its packets; a real client’s data comes late where the way heals within 15 minutes'
    : undefined

const otherTraffic: Sentence = (facts) =>
  facts.given.histories.some(({ probe, spans }) => probe.connection || spans.some(({ cause }) => cause?.kind === 'memory'))
    ? 'nothing but the probes is on the network: no queue fills, and nobody else’s packets keep neighbours and connections alive'
    : undefined

const jobs: Sentence = (facts) => {
  const kinds = new Set(facts.cluster.objects.map(({ kind }) => kind))
  const made = ['Job', 'CronJob'].filter((kind) => kinds.has(kind))
  return made.length === 0 || !facts.did('controller', ['pod'])
    ? undefined
    : `pods of a ${made.join(' or ')} run on, none completes${made.includes('CronJob') ? ', and no CronJob makes any' : ''}`
}

/** A router of the data centre that speaks BGP, behind a cable that is out or a node that is off. */
const linkState: Sentence = (facts) => {
  const peers = facts.cluster.routers.some(({ asn }) => asn !== undefined)
  const ends = facts.actions.some((action) => (action.kind === 'cable' && action.cut === true) || (action.kind === 'node' && action.state !== 'up'))
  return peers && ends
    ? 'no BGP speaker watches its card: a session over a cable that is out ends by its hold time; fast fallover of routers (BIRD 2: check link) ends it at once'
    : undefined
}

const evictionRate: Sentence = (facts) => {
  const isLoss = ({ agent, kind, what }: DiaryEntry): boolean => agent === 'node controller' && kind === 'node' && / is Unknown: /.test(what)
  const lost = new Set(facts.given.diary.filter(isLoss).map(({ node }) => node))
  return lost.size > 1
    ? 'pods of all lost nodes are evicted in their time: --node-eviction-rate, one node each 10 s, and the slower rates of a zone in disruption are not applied'
    : undefined
}

/** What a flanneld that was away missed. */
const leftByFlanneld: Sentence = (facts) => {
  const { diary } = facts.given
  const ended = diary.filter(({ atNs, kind }) => atNs >= 0 && (kind === 'lease-expired' || kind === 'lease-deleted'))
  const again = diary.filter(({ atNs, agent, kind, what }) => atNs > 0 && agent === 'flanneld' && kind === 'agent' && what === 'flanneld starts')
  return again.some((start) => ended.some(({ atNs, node }) => atNs <= start.atNs && node !== start.node))
    ? 'a flanneld that starts again leaves only what it hears then; a real one leaves routes, neighbours and FDB entries of leases that ended meanwhile too'
    : undefined
}

const deletedNodes: Sentence = (facts) =>
  facts.did('controller', ['pod'], /its node is gone$/)
    ? 'pods whose Node is gone end at once when the garbage collector takes them; a kubelet that still runs gives them their grace period'
    : undefined

const LEFT_OUT: readonly Sentence[] = [agentPods, linkState, evictionRate, leftByFlanneld, deletedNodes, retransmission, otherTraffic, jobs]
