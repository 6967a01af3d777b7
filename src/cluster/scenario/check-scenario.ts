/** What a scenario names against the cluster it happens to, event by event in time: what an earlier one applies is known, what it deletes is gone. */
import { covers, formatCidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import { readCalicoManifest } from '../calico/calico-manifest.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { networkOf } from '../flannel-settings.js'
import type { KubernetesObject } from '../manifest.js'
import { nearestName } from '../nearest-name.js'
import { isFault } from '../object-reference.js'
import { ProblemList, type Place } from '../problem-list.js'
import { checkProbeEnds } from './check-probes.js'
import { KnownObjects } from './known-objects.js'
import { AGENTS, type Action, type AgentName, type Scenario, type ScenarioEvent } from './scenario.js'

const SCALED = ['Deployment', 'StatefulSet', 'ReplicaSet', 'ReplicationController', 'PetSet']
const RESTARTED = ['Deployment', 'StatefulSet', 'DaemonSet']
const PAUSED = ['Deployment']

export interface CheckOptions {
  /** Of names that say none. */
  readonly namespace: string
  /** False: something that events apply could not be read, and a name which is not known proves nothing. */
  readonly complete: boolean
}

const WHOLE: CheckOptions = { namespace: 'default', complete: true }

export function checkScenario(scenario: Scenario, cluster: Cluster, problems: ProblemList, { namespace, complete }: CheckOptions = WHOLE): void {
  new Checker(scenario, cluster, problems, { namespace, complete: complete && cluster.beside.complete }).check()
}

type Of<Kind extends Action['kind']> = Extract<Action, { readonly kind: Kind }>

class Checker {
  private readonly scenario: Scenario
  private readonly cluster: Cluster
  private readonly problems: ProblemList
  private readonly options: CheckOptions
  private readonly known: KnownObjects
  private readonly nodes: Set<string>
  private readonly agents: readonly AgentName[]

  constructor(scenario: Scenario, cluster: Cluster, problems: ProblemList, options: CheckOptions) {
    this.scenario = scenario
    this.cluster = cluster
    this.problems = problems
    this.options = options
    this.known = new KnownObjects(cluster, options.namespace)
    this.nodes = new Set(cluster.nodes.map(({ name }) => name))
    this.agents = agentsOf(cluster)
  }

  check(): void {
    for (const event of this.scenario.events) this.checkEvent(event)
    const { cluster, known, options, nodes } = this
    for (const probe of this.scenario.probes)
      checkProbeEnds({ probe, cluster, known, nodes, ...options }, (what, fix) => {
        this.wrong(probe, `probe ${probe.name}: ${what}`, fix)
      })
    this.checkApplied()
  }

  /** What events apply is read with the objects that there are in the end: faults of its own are told before anything runs. */
  private checkApplied(): void {
    const applied = this.scenario.events.flatMap(({ action }) => (action.kind === 'apply' ? action.objects : []))
    if (applied.length === 0 || !this.options.complete) return
    const own = new Set(applied.map(({ file, label }) => `${file}\n${label}`))
    const { problems } = clusterOf(this.known.objects, this.cluster.beside, { problems: new ProblemList() })
    for (const problem of problems)
      if (problem.severity === 'error' && own.has(`${problem.file}\n${problem.object}`)) this.problems.error(problem, problem.object, problem.what, problem.fix)
  }

  private wrong(place: Place, what: string, fix: string): void {
    this.problems.error(place, `Scenario/${this.scenario.name}`, what, fix)
  }

  private checkEvent(event: ScenarioEvent): void {
    const { action } = event
    switch (action.kind) {
      case 'apply':
        for (const { kind, apiVersion, name } of action.objects) if (kind === 'Node' && apiVersion === 'v1') this.nodes.add(name)
        return this.known.apply(action.objects)
      case 'delete':
        return this.checkDelete(event, action)
      case 'label':
        return void this.target(event, action.target)
      case 'scale':
        return this.checkWorkload(event, action.target, SCALED, 'has no replicas to scale')
      case 'rollout': {
        const kinds = action.how === 'pause' || action.how === 'resume' ? PAUSED : RESTARTED
        return this.checkWorkload(event, action.target, kinds, `has no rollout ${action.how}`)
      }
      case 'move':
        return this.checkMove(event, action)
      case 'node':
        return this.checkNode(event, action.node)
      case 'cable':
        return this.checkCable(event, action)
      case 'agent':
        return this.checkAgent(event, action)
      case 'delete-lease':
        return this.checkLease(event, action)
      case 'mtu':
        return action.node === undefined ? this.checkSegment(event, action.segment ?? '') : this.checkNode(event, action.node)
      case 'firewall':
        return this.checkFirewall(event, action)
      case 'bgp-reset':
        return this.checkBgpReset(event, action)
    }
  }

  /** What is known; undefined where there is none (reported), or where a workload makes the pod. */
  private target(event: ScenarioEvent, text: string): KubernetesObject | undefined {
    const found = this.known.find(text)
    if (found === undefined || !isFault(found)) return found
    if (this.options.complete) this.wrong(event, `${event.what}: ${found.what}`, found.fix)
    return undefined
  }

  private checkDelete(event: ScenarioEvent, { target }: Of<'delete'>): void {
    const object = this.target(event, target)
    if (object !== undefined) this.known.delete(object, event)
  }

  private checkWorkload(event: ScenarioEvent, target: string, kinds: readonly string[], what: string): void {
    const object = this.target(event, target)
    if (object !== undefined && !kinds.includes(object.kind)) this.wrong(event, `${event.what}: a ${object.kind} ${what}`, `Name a ${listOf(kinds)}.`)
  }

  private checkMove(event: ScenarioEvent, { pod, node }: Of<'move'>): void {
    if (!/^(po|pod|pods)\//i.test(pod)) this.wrong(event, `${event.what}: ${pod} names no pod`, `Write pod/NAMESPACE/NAME.`)
    else {
      const object = this.target(event, pod)
      const [, ...names] = pod.split('/')
      const made = this.cluster.podByName.get(names.length === 1 ? `${this.options.namespace}/${names[0]}` : names.join('/'))
      const owner = made?.object.kind === 'Pod' ? made.owner?.kind : made?.object.kind
      if (owner === 'DaemonSet')
        this.wrong(object ?? event, `${event.what}: a pod of a DaemonSet belongs to its node`, 'Its controller makes it on no other: take another pod.')
    }
    this.checkNode(event, node)
  }

  private checkNode(event: ScenarioEvent, name: string): void {
    if (this.nodes.has(name) || !this.options.complete) return
    this.wrong(event, `${event.what}: there is no node ${name}`, suggest(name, [...this.nodes], 'nodes'))
  }

  private checkSegment(event: ScenarioEvent, name: string): void {
    const names = this.cluster.segments.map((segment) => segment.name)
    if (!names.includes(name)) this.wrong(event, `${event.what}: there is no segment ${name}`, suggest(name, names, 'segments'))
  }

  private checkCable(event: ScenarioEvent, { end, segment }: Of<'cable'>): void {
    const [kind, ...rest] = end.split('/')
    if (rest.length === 0) {
      this.checkNode(event, end)
      const own = this.cluster.nodeByName.get(end)?.segment
      if (segment !== undefined && own !== undefined && own !== segment)
        this.wrong(event, `${event.what}: ${end} is in segment ${own}, not in ${segment}`, 'A node has one cable: leave segment out.')
      return
    }
    const name = rest.join('/')
    if (kind !== 'router')
      return this.wrong(event, `${event.what}: ${end} is neither a node nor a router`, 'Write the name of a node, or router/NAME with its segment.')
    const router = this.cluster.routers.find((one) => one.name === name)
    if (router === undefined) return this.noRouter(event, name)
    const segments = router.interfaces.map((card) => card.segment)
    if (segment === undefined && segments.length !== 1)
      this.wrong(event, `${event.what}: ${end} has ${segments.length} cables`, `Say which: segment: ${segments.join(' or ')}.`)
    else if (segment !== undefined && !segments.includes(segment))
      this.wrong(event, `${event.what}: ${end} is not in segment ${segment}`, suggest(segment, segments, 'segments of it'))
  }

  private noRouter(event: ScenarioEvent, name: string): void {
    const names = this.cluster.routers.map((router) => router.name)
    this.wrong(event, `${event.what}: there is no router ${name}`, suggest(name, names, 'routers'))
  }

  private checkAgent(event: ScenarioEvent, { agent, nodes }: Of<'agent'>): void {
    if (!this.agents.includes(agent)) {
      const why = agent === 'kube-proxy' ? 'spec.kubeProxy.mode' : `the CNI is ${this.cluster.cni}`
      this.wrong(event, `${event.what}: no ${agent} runs here (${why})`, `There are ${this.agents.join(', ')}.`)
    }
    if (agent === 'etcd' && nodes.length > 0) this.wrong(event, `${event.what}: etcd stands beside the cluster, on no node of it`, 'Leave on: out.')
    else for (const node of nodes) this.checkNode(event, node)
  }

  private checkLease(event: ScenarioEvent, { subnet }: Of<'delete-lease'>): void {
    const { cni, datastore, flannel } = this.cluster
    if (cni !== 'flannel' && cni !== 'canal') return this.wrong(event, `${event.what}: no flannel runs here (the CNI is ${cni}), and nobody has leases`, '')
    if (datastore !== 'etcd')
      return this.wrong(
        event,
        `${event.what}: flannel keeps its subnets on the nodes here (spec.podCIDR), and there are no leases`,
        'Delete the node: delete: node/NAME.',
      )
    const network = flannel.config === undefined ? undefined : networkOf(flannel.config.text)
    if (network !== undefined && !covers(network, subnet))
      this.wrong(event, `${event.what}: it is not of flannel's network ${formatCidr(network)}`, 'netsim show leases lists them.')
  }

  private checkFirewall(event: ScenarioEvent, { router: name }: Of<'firewall'>): void {
    const router = this.cluster.routers.find((one) => one.name === name)
    if (router === undefined) return this.noRouter(event, name)
    if (router.cloud !== undefined)
      this.wrong(event, `${event.what}: ${name} is the fabric of a cloud (${router.cloud}), which has no iptables`, 'Take a router of Linux.')
  }

  private checkBgpReset(event: ScenarioEvent, { node, peer }: Of<'bgp-reset'>): void {
    if (!this.agents.includes('bird'))
      this.wrong(event, `${event.what}: nobody speaks BGP here (the CNI is ${this.cluster.cni})`, `There are ${this.agents.join(', ')}.`)
    this.checkNode(event, node)
    if (peer === undefined || this.nodes.size > this.cluster.nodes.length) return
    const { nodeByAddress, routers, outsideHosts } = this.cluster
    const isThere =
      nodeByAddress.has(peer) ||
      routers.some(({ interfaces }) => interfaces.some(({ address }) => address === peer)) ||
      outsideHosts.some(({ address }) => address === peer)
    if (!isThere) this.wrong(event, `${event.what}: nobody has the address ${formatIp(peer)}`, 'netsim show bgp lists the sessions of a node.')
  }
}

/** Those that an event can stop and start. */
function agentsOf(cluster: Cluster): readonly AgentName[] {
  const { cni, objects, kubeProxy } = cluster
  const runs: Readonly<Record<AgentName, boolean>> = {
    flanneld: cni === 'flannel' || cni === 'canal',
    felix: cni === 'calico' || cni === 'canal',
    bird: cni === 'calico' && readCalicoManifest(objects, cni, new ProblemList()).backend === 'bird',
    'kube-proxy': kubeProxy.mode !== 'none',
    kubelet: true,
    etcd: true,
  }
  return AGENTS.filter((agent) => runs[agent])
}

function listOf(kinds: readonly string[]): string {
  return kinds.length === 1 ? kinds[0] : `${kinds.slice(0, -1).join(', ')} or ${kinds.at(-1) ?? ''}`
}

function suggest(name: string, names: readonly string[], what: string): string {
  const near = nearestName(name, names)
  if (near !== undefined) return `Did you mean ${near}?`
  return names.length === 0 ? `There are no ${what}.` : names.length <= 12 ? `There are: ${names.join(', ')}.` : `There are ${names.length} ${what}.`
}
