/** Pods that no node takes, said once for all copies of a template that stay pending for the same reason. */
import type { KnownNames } from './consistency.js'
import type { ClusterNode } from './node.js'
import type { ClusterPod } from './pod.js'
import type { ProblemList } from './problem-list.js'

export function checkPending(pods: readonly ClusterPod[], nodes: readonly ClusterNode[], known: KnownNames, problems: ProblemList): void {
  const [first] = pods
  if (known.nodes.size === 0) {
    if (first !== undefined)
      problems.warning(
        first,
        '',
        `${pods.length === 1 ? '1 pod' : `${pods.length} pods`}, but no Node: no packet can be traced`,
        'Add the nodes (kubectl get nodes -o yaml).',
      )
    return
  }
  if (nodes.length === 0) return
  for (const alike of groupAlike(pods.filter(({ pending }) => pending !== undefined))) tell(alike, problems)
}

/** Of one template and one reason; those of a DaemonSet have a reason each, for they have a node each. */
function groupAlike(pods: readonly ClusterPod[]): Iterable<readonly ClusterPod[]> {
  const groups = new Map<ClusterPod['object'], Map<string, ClusterPod[]>>()
  for (const pod of pods) {
    const byReason = groups.get(pod.object) ?? new Map<string, ClusterPod[]>()
    groups.set(pod.object, byReason)
    const reason = pod.owner?.kind === 'DaemonSet' ? '' : (pod.pending ?? '')
    const alike = byReason.get(reason)
    if (alike === undefined) byReason.set(reason, [pod])
    else alike.push(pod)
  }
  return [...groups.values()].flatMap((byReason) => [...byReason.values()])
}

function tell(pods: readonly ClusterPod[], problems: ProblemList): void {
  const [pod, ...more] = pods
  const who = pod.assumed
    ? `no node takes ${more.length === 0 ? 'its pod' : `${pods.length} of its pods,`} ${pod.name}${more.length === 0 ? '' : ' and so on'}`
    : 'no node takes it'
  problems.warning(
    pod,
    pod.object.label,
    `${who}: ${pod.pending ?? ''}`,
    `${more.length === 0 ? 'It stays' : 'They stay'} Pending, without a network; mend what is named, or write spec.nodeName.`,
  )
}
