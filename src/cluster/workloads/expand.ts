/** Workload objects → the pods that their controllers make of them, where the input does not have them already. */
import { isAgentDaemonSet } from '../flannel-settings.js'
import type { KubernetesObject } from '../manifest.js'
import type { ClusterPod } from '../pod.js'
import type { ProblemList } from '../problem-list.js'
import { Context, type Existing } from './context.js'
import { expandDaemonSet } from './daemon.js'
import { checkCronJobs, expandJob } from './job.js'
import { expandDeployment, expandReplicaSet } from './replicated.js'
import { expandStatefulSet } from './stateful.js'

type Expand = (object: KubernetesObject, context: Context) => ClusterPod[]

/** By kind and group: others have kinds of these names too. */
const EXPANSIONS: Readonly<Record<string, readonly [expand: Expand, ...groups: readonly string[]]>> = {
  Deployment: [expandDeployment, 'apps', 'extensions'],
  ReplicaSet: [expandReplicaSet, 'apps', 'extensions'],
  ReplicationController: [expandReplicaSet, 'v1'],
  DaemonSet: [expandDaemonSet, 'apps', 'extensions'],
  StatefulSet: [expandStatefulSet, 'apps'],
  PetSet: [expandStatefulSet, 'apps'],
  Job: [expandJob, 'batch', 'extensions'],
}

const CRON_KINDS: readonly string[] = ['CronJob', 'ScheduledJob']

/**
 * In the order of the objects. The agents that netsim models itself (flannel, kube-proxy, calico-node) are left out: their pods are there when
 * the input has them.
 */
export function expandWorkloads(existing: Existing, problems: ProblemList): ClusterPod[] {
  const workloads = existing.objects.filter(isExpanded)
  const cronJobs = existing.objects.filter(({ kind, apiVersion }) => CRON_KINDS.includes(kind) && apiVersion.startsWith('batch/'))
  if (workloads.length + cronJobs.length === 0) return []
  const context = new Context(existing, problems)
  const pods = workloads.flatMap((object) => expansionOf(object)?.(object, context) ?? [])
  for (const kind of CRON_KINDS)
    checkCronJobs(
      cronJobs.filter((object) => object.kind === kind),
      context,
    )
  context.report()
  return pods
}

/** Its controller makes pods of it. */
export function isExpanded(object: KubernetesObject): boolean {
  return expansionOf(object) !== undefined && !isAgentDaemonSet(object)
}

function expansionOf({ kind, apiVersion }: KubernetesObject): Expand | undefined {
  if (!Object.hasOwn(EXPANSIONS, kind)) return undefined
  const [expand, ...groups] = EXPANSIONS[kind]
  return groups.includes(apiVersion.split('/')[0]) ? expand : undefined
}
