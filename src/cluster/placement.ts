/**
 * Where pods without spec.nodeName run: a plain kube-scheduler (node selector, required node affinity, taints, cordon, host ports), and
 * deterministic: of the nodes that fit, the one with the fewest pods of the same owner, then the fewest pods, then the first by name.
 */
import { matchesLabels, matchesNodeTerms } from './labels.js'
import type { NodeReading, Taint } from './node.js'
import type { ClusterPod, ContainerPort, Scheduling, Toleration } from './pod.js'

/** The pods in their order, each with `node`, or with `pending` where no node takes it. */
export function placePods(pods: readonly ClusterPod[], nodes: readonly NodeReading[]): ClusterPod[] {
  const loads = new Map<string, Load>(nodes.map(({ name }) => [name, { pods: 0, owners: new Map(), hostPorts: [] }]))
  const count = (pod: ClusterPod): void => {
    const load = pod.node === undefined || pod.terminated ? undefined : loads.get(pod.node)
    if (load === undefined) return
    load.pods++
    const owner = ownerKey(pod)
    if (owner !== undefined) load.owners.set(owner, (load.owners.get(owner) ?? 0) + 1)
    load.hostPorts.push(...hostPortsOf(pod))
  }
  // the pods that have their place weigh first, wherever they stand in the input
  for (const pod of pods) count(pod)
  const byName = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1))
  return pods.map((pod) => {
    if (pod.node !== undefined || pod.terminated) return pod
    const reasons: string[] = []
    const fitting = byName.filter((node) => {
      const reason = unfit(pod, node, loads.get(node.name) as Load)
      if (reason !== undefined) reasons.push(`${node.name}: ${reason}`)
      return reason === undefined
    })
    if (fitting.length === 0) return { ...pod, pending: reasons.length === 0 ? 'there are no nodes' : reasons.join('; ') }
    const owner = ownerKey(pod)
    const weight = (node: NodeReading): number => {
      const load = loads.get(node.name) as Load
      return (owner === undefined ? 0 : (load.owners.get(owner) ?? 0)) * 1e6 + load.pods
    }
    const chosen = fitting.reduce((best, node) => (weight(node) < weight(best) ? node : best))
    const placed = { ...pod, node: chosen.name, placed: true }
    count(placed)
    return placed
  })
}

interface Load {
  pods: number
  readonly owners: Map<string, number>
  readonly hostPorts: HostPort[]
}

type HostPort = Pick<ContainerPort, 'protocol' | 'hostIP'> & { readonly port: number }

function ownerKey(pod: ClusterPod): string | undefined {
  return pod.owner === undefined ? undefined : `${pod.namespace}/${pod.owner.kind}/${pod.owner.name}`
}

function hostPortsOf(pod: ClusterPod): HostPort[] {
  return pod.ports.flatMap(({ hostPort, port, protocol, hostIP }) => {
    const claimed = hostPort ?? (pod.hostNetwork ? port : undefined)
    return claimed === undefined ? [] : [{ port: claimed, protocol, ...(hostIP === undefined ? {} : { hostIP }) }]
  })
}

/** Why the node cannot take the pod; undefined when it can. */
function unfit(pod: ClusterPod, node: NodeReading, load: Load): string | undefined {
  const { scheduling } = pod
  if (!matchesLabels(scheduling.nodeSelector, node.labels))
    return `its labels do not have ${Object.entries(scheduling.nodeSelector)
      .filter(([key, value]) => node.labels[key] !== value)
      .map(([key, value]) => `${key}=${value}`)
      .join(', ')}`
  if (scheduling.requiredTerms !== undefined && !matchesNodeTerms(scheduling.requiredTerms, node)) return 'no term of the required node affinity matches it'
  const taint = untolerated(scheduling, node)
  if (taint !== undefined)
    return taint.key === UNSCHEDULABLE && node.unschedulable
      ? 'it is cordoned'
      : `the taint ${taint.key}${taint.value === '' ? '' : `=${taint.value}`}:${taint.effect} is not tolerated`
  const clash = hostPortsOf(pod).find((wanted) =>
    load.hostPorts.some((taken) => taken.port === wanted.port && taken.protocol === wanted.protocol && sameHostAddress(taken.hostIP, wanted.hostIP)),
  )
  return clash === undefined ? undefined : `host port ${clash.port}/${clash.protocol} is taken`
}

function sameHostAddress(a = '0.0.0.0', b = '0.0.0.0'): boolean {
  return a === b || a === '0.0.0.0' || b === '0.0.0.0'
}

const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable'

function untolerated(scheduling: Scheduling, node: NodeReading): Taint | undefined {
  const taints: readonly Taint[] = node.unschedulable ? [...node.taints, { key: UNSCHEDULABLE, value: '', effect: 'NoSchedule' }] : node.taints
  return taints.find((taint) => taint.effect !== 'PreferNoSchedule' && !scheduling.tolerations.some((toleration) => tolerates(toleration, taint)))
}

/** An empty key (with Exists) tolerates every key, an empty effect every effect. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect !== '' && toleration.effect !== taint.effect) return false
  if (toleration.key !== '' && toleration.key !== taint.key) return false
  if (toleration.operator === 'Exists') return true
  return toleration.key !== '' && toleration.value === taint.value
}
