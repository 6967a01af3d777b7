/** A run of the objects alone: the family on its own clock, with a CNI plugin that counts up per node. */
import { parseIp, type Ip } from '../../../../src/base/ip.js'
import { buildCluster, type Cluster } from '../../../../src/cluster/cluster.js'
import type { ClusterPod } from '../../../../src/cluster/pod.js'
import { readManifests, type KubernetesObject } from '../../../../src/cluster/manifest.js'
import { ProblemList } from '../../../../src/cluster/problem-list.js'
import { delaysOf, type Delays } from '../../../../src/cluster/scenario/delays.js'
import type { Action } from '../../../../src/cluster/scenario/scenario.js'
import type { RunContext } from '../../../../src/network/time/agents.js'
import { Diary } from '../../../../src/network/time/diary.js'
import { WHOLE_CABLE, type ClusterVersion, type NodeState } from '../../../../src/network/time/network-state.js'
import { ObjectsFamily } from '../../../../src/network/time/objects/objects-family.js'
import { Simulation } from '../../../../src/sim/simulation.js'
import { Timers } from '../../../../src/sim/timers.js'

const SECOND = 1e9

export interface World {
  readonly family: ObjectsFamily
  readonly simulation: Simulation
  readonly diary: Diary
  readonly cluster: Cluster
  readonly nodes: Map<string, NodeState>
  /** Runs to that time, s. */
  to(seconds: number): void
  act(action: Action): void
  apply(text: string): void
  setNode(name: string, change: Partial<NodeState>): void
}

export interface WorldOptions {
  readonly text: string
  readonly seed?: number
  readonly delays?: Partial<Delays>
  readonly addressOf?: (cluster: Cluster, pod: ClusterPod) => Ip | undefined
}

export function objectsOf(text: string, file = 'applied.yaml'): readonly KubernetesObject[] {
  return readManifests([{ file, text }], new ProblemList()).objects
}

/** 10.1.NODE.x, the lowest that is free. */
export function lowestFree(cluster: Cluster, pod: ClusterPod): Ip | undefined {
  if (pod.address !== undefined) return pod.address
  const node = cluster.nodes.findIndex(({ name }) => name === pod.node)
  if (node < 0) return undefined
  const asking = cluster.addressRequests.filter((one) => one.node === pod.node && !one.hostNetwork)
  const taken = new Set(cluster.pods.flatMap((one) => (one.node === pod.node && one.address !== undefined ? [one.address] : [])))
  const free = Array.from({ length: 250 }, (_, at) => parseIp(`10.1.${node}.${at + 2}`) as Ip).filter((address) => !taken.has(address))
  return free[asking.findIndex(({ namespace, name }) => namespace === pod.namespace && name === pod.name)]
}

export function worldOf({ text, seed = 1, delays = {}, addressOf = lowestFree }: WorldOptions): World {
  const { cluster, problems } = buildCluster([{ file: 'input.yaml', text }])
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(JSON.stringify(errors))
  const simulation = new Simulation()
  const timers = new Timers(simulation)
  const diary = new Diary(() => simulation.nowNs, { keepsWatches: false })
  const nodes = new Map<string, NodeState>()
  const fresh = (pods: number): NodeState => ({ power: true, pods, felix: pods, kubeProxy: pods, flanneldRuns: false, cable: WHOLE_CABLE })
  for (const { name } of cluster.nodes) nodes.set(name, fresh(0))
  const context: RunContext = {
    simulation,
    timers,
    delays: delaysOf(delays),
    seed,
    diary,
    version: () => family.versions[family.versions.length - 1],
    node: (name) => nodes.get(name) as NodeState,
    setNode: (name, change) => nodes.set(name, { ...(nodes.get(name) as NodeState), ...change }),
    setRouterRoutes: () => undefined,
    state: () => {
      throw new Error('nobody asks')
    },
  }
  const onVersion = (version: ClusterVersion, cause?: number): void => {
    for (const { name } of version.cluster.nodes) {
      if (nodes.has(name)) continue
      nodes.set(name, fresh(version.number))
      family.nodeChanged(name, cause ?? 0)
    }
  }
  const family = new ObjectsFamily({ context, cluster, namespace: 'default', addressOf, onVersion })
  family.boot()
  const act = (action: Action): void => {
    const cause = diary.add({ agent: 'scenario', kind: 'event', what: action.kind })
    if (!family.act(action, cause)) throw new Error(`${action.kind} is no event of objects`)
  }
  return {
    family,
    simulation,
    diary,
    cluster,
    nodes,
    to: (seconds) => {
      simulation.run(Math.round(seconds * SECOND))
      simulation.nowNs = Math.round(seconds * SECOND)
    },
    act,
    apply: (applied) => act({ kind: 'apply', file: 'applied.yaml', objects: objectsOf(applied) }),
    setNode: (name, change) => {
      nodes.set(name, { ...(nodes.get(name) as NodeState), ...change })
      family.nodeChanged(name, diary.add({ agent: 'scenario', kind: 'event', what: `node ${name}` }))
    },
  }
}

export function newest({ family }: World): Cluster {
  return family.versions[family.versions.length - 1].cluster
}

/** `name node phase`, with what is special, of living pods. */
export function rows(world: World): string[] {
  return newest(world).pods.map((pod) => `${pod.name} ${pod.node ?? '-'}${pod.ready ? ' ready' : ''}${pod.terminating ? ' terminating' : ''}`)
}

export function nodesText(count: number): string {
  return Array.from(
    { length: count },
    (_, at) => `
apiVersion: v1
kind: Node
metadata: {name: n${at + 1}}
spec: {podCIDR: 10.1.${at}.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.${at + 10}}]}
---`,
  ).join('')
}

export function workloadText(kind: string, name: string, spec: string, template = ''): string {
  return `
apiVersion: ${kind === 'Job' ? 'batch/v1' : 'apps/v1'}
kind: ${kind}
metadata: {name: ${name}}
spec:
  ${spec}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {${template === '' ? '' : `${template}, `}containers: [{name: c, image: web:1}]}
---`
}
