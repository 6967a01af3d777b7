/**
 * The Kubernetes network model, held against real packets: every pod reaches every other without NAT, nodes reach pods without NAT, and a pod's own
 * address is the one that others see. Each question is a TCP connection; what came of it is read off the walk.
 */
import type { ClusterPod } from '../../cluster/pod.js'
import type { Network } from '../../network/network.js'
import { isOutcome } from '../../network/probe.js'
import type { TraceRequest } from '../../network/request.js'
import { Asker, podEnd, portOf } from './asker.js'
import type { AskedDocument, AskedKind } from './finding.js'
import { FlowFindings } from './flow-findings.js'
import { nodePairs, podClasses, podPairs, samples, type Chosen, type ClassPair } from './pair-classes.js'
import { portQuestions } from './port-questions.js'
import { askServices } from './service-flows.js'
import { walkFacts } from './walk-facts.js'

/** Questions of one kind; beyond, pairs of classes are left out, and the report says how many. */
const MOST_POD_PAIRS = 600
const MOST_NODE_PAIRS = 300
const MOST_SIZED = 150
/** The kubelet's. */
const KUBELET_PORT = 10250

/** A pair of pods whose small packets pass and whose full ones do not pass whole. */
export interface TooBig {
  readonly request: TraceRequest
  /** Where the big one was lost or cut. */
  readonly where: string
  readonly pairs: number
}

export interface ModelCheck {
  readonly flows: FlowFindings
  readonly asked: readonly AskedDocument[]
  readonly tooBig: readonly TooBig[]
}

/** A question costs the more the larger the world: beyond so many pods and nodes fewer are asked, down to the least share. */
const LARGE = 1500
const LEAST_SHARE = 0.2

function shareOf({ pods, nodes }: Network['cluster']): number {
  return Math.min(1, Math.max(LEAST_SHARE, LARGE / (pods.length + nodes.length)))
}

export function checkModel(network: Network, seed: number): ModelCheck {
  const share = shareOf(network.cluster)
  const classes = podClasses(network)
  const flows = new FlowFindings()
  const asker = new Asker(network, seed, flows)
  const asked: AskedDocument[] = []
  const pods = podPairs(classes, Math.ceil(MOST_POD_PAIRS * share))
  const sound: ClassPair<ClusterPod, ClusterPod>[] = []
  for (const pair of pods.asked) {
    const answer = asker.ask('pod to pod', podEnd(pair.from), { to: podEnd(pair.to), port: portOf(pair.to), pairs: pair.pairs })
    if (answer?.outcome.disposition === 'DELIVERED' && pair.from.node !== pair.to.node) sound.push(pair)
  }
  asked.push(askedOf('pod to pod', pods))
  const nodes = nodePairs(network, classes, Math.ceil(MOST_NODE_PAIRS * share))
  for (const { from, to, pairs } of nodes.asked) {
    asker.ask('node to pod', `node/${from}`, { to: podEnd(to), port: portOf(to), pairs })
    asker.ask('pod to node', podEnd(to), { to: `node/${from}`, port: KUBELET_PORT, pairs })
  }
  asked.push(askedOf('node to pod', nodes), askedOf('pod to node', nodes))
  asked.push(askServices(network, flows, { classes, seed }))
  const tooBig = askSizes(network, asker, { sound, most: Math.ceil(MOST_SIZED * share) }, asked)
  askPorts(network, asker, pods.asked, asked)
  return { flows, asked: asked.filter(({ of }) => of > 0), tooBig }
}

function askedOf(what: AskedKind, chosen: Chosen<unknown, unknown>): AskedDocument {
  const covered = chosen.asked.reduce((sum, { pairs }) => sum + pairs, 0)
  return { what, asked: chosen.asked.length, of: chosen.of, pairs: chosen.pairs, covered }
}

interface Sound {
  readonly sound: readonly ClassPair<ClusterPod, ClusterPod>[]
  readonly most: number
}

/** The largest packets that both ends' devices take, there and back, between pods of different nodes that reach each other. */
function askSizes(network: Network, asker: Asker, { sound, most }: Sound, asked: AskedDocument[]): readonly TooBig[] {
  const stride = Math.max(1, Math.ceil(sound.length / most))
  const chosen = sound.filter((_, index) => index % stride === 0)
  const tooBig: TooBig[] = []
  for (const { from, to, pairs } of chosen) {
    const size = mtuOf(network, from)
    const answerSize = mtuOf(network, to)
    if (size === undefined || answerSize === undefined) continue
    const request = asker.request(podEnd(from), podEnd(to), { port: portOf(to) })
    const outcome = network.trace({ ...request, size, answerSize })
    if (!isOutcome(outcome)) continue
    const { fragmented, loss } = walkFacts(network, outcome)
    if (outcome.disposition !== 'DELIVERED' || fragmented)
      tooBig.push({ request, pairs, where: loss === undefined ? 'cut' : `${outcome.disposition} ${loss.netns}` })
  }
  const sum = (pairs: readonly ClassPair<ClusterPod, ClusterPod>[]): number => pairs.reduce((total, one) => total + one.pairs, 0)
  asked.push({ what: 'full-size packets', asked: chosen.length, of: sound.length, pairs: sum(sound), covered: sum(chosen) })
  return tooBig
}

/** Of the pod's end of its veth. */
function mtuOf(network: Network, { namespace, name }: ClusterPod): number | undefined {
  return network.podPlan(namespace, name)?.dataplane.devices.find((device) => device.name === 'eth0')?.mtu
}

/** The ports that people's own rules drop or reject are asked too, from and to the nodes of these rules. */
function askPorts(network: Network, asker: Asker, pairs: readonly ClassPair<ClusterPod, ClusterPod>[], asked: AskedDocument[]): void {
  let count = 0
  for (const { proto, port, node } of portQuestions(network.cluster)) {
    const touched = pairs.filter(({ from, to }) => node === undefined || from.node === node || to.node === node)
    const chosen = [
      ...samples(
        touched.filter(({ to }) => to.node === node),
        network.cluster,
      ),
      ...samples(
        touched.filter(({ to }) => to.node !== node),
        network.cluster,
      ),
    ]
    for (const { from, to } of chosen) {
      asker.ask('pod to pod', podEnd(from), { to: podEnd(to), port, proto, pairs: 1, onePort: true })
      count++
    }
  }
  asked.push({ what: 'ports of rules', asked: count, of: count, pairs: count, covered: count })
}
