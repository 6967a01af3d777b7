/** Services that lead nowhere: a selector that no pod fits, a named port that no container has, endpoints that nobody lists. An API server takes them all. */
import type { Cluster } from '../cluster.js'
import type { Labels } from '../labels.js'
import { nearestName, suggestName } from '../nearest-name.js'
import type { ClusterPod } from '../pod.js'
import type { ProblemList } from '../problem-list.js'
import { listingObjects } from './listed-endpoints.js'
import { targetPortOn } from './pod-endpoints.js'
import { SelectedPods } from './selected-pods.js'
import type { ClusterService } from './service.js'

export function checkEndpoints({ services, pods, objects }: Pick<Cluster, 'services' | 'pods' | 'objects'>, problems: ProblemList): void {
  const { slices, endpoints } = listingObjects({ objects })
  const selected = new SelectedPods(pods)
  const byNamespace = new Map<string, ClusterPod[]>()
  for (const pod of pods)
    byNamespace
      .set(pod.namespace, byNamespace.get(pod.namespace) ?? [])
      .get(pod.namespace)
      ?.push(pod)
  for (const service of services) {
    const name = `${service.namespace}/${service.name}`
    if (service.type === 'ExternalName' || slices.has(name) || endpoints.has(name)) continue
    if (service.selector === undefined) {
      reportUnlisted(service, problems)
      continue
    }
    const behind = selected.of(service.namespace, service.selector)
    if (behind.length === 0) reportUnmatched(service, byNamespace.get(service.namespace) ?? [], problems)
    else checkTargetPorts(service, behind, problems)
    if (service.trafficDistribution === 'Auto')
      problems.warning(
        service,
        service.object.label,
        'topology-mode Auto: how the controller shares endpoints among zones is not modelled, every node is taken to use all of them',
        'Add the EndpointSlices of the real cluster, or use trafficDistribution.',
      )
  }
}

/** The API server lists its own address itself. */
function reportUnlisted({ namespace, name, object }: ClusterService, problems: ProblemList): void {
  const own = namespace === 'default' && name === 'kubernetes'
  problems.warning(
    object,
    object.label,
    own
      ? "the API server's address is not in the input: its Service has no endpoints"
      : 'a Service without selector, and nothing lists its endpoints: connections are rejected',
    own ? 'Add the EndpointSlice or Endpoints kubernetes of namespace default.' : 'Write a selector, or add an EndpointSlice (or Endpoints) for it.',
  )
}

function reportUnmatched({ selector, namespace, object }: ClusterService, pods: readonly ClusterPod[], problems: ProblemList): void {
  const labels = selector as Labels
  const [key, value, fix] = failing(labels, pods)
  const place = object.at('spec', 'selector', key)
  const whole = Object.entries(labels).map(([name, wanted]) => `${name}=${wanted}`)
  problems.warning(
    place,
    object.label,
    whole.length === 1
      ? `no pod of namespace ${namespace} has the label ${key}=${value}`
      : `no pod of namespace ${namespace} has all of ${whole.join(', ')}; ${key}=${value} fails`,
    `The Service has no endpoints. ${fix}`.trim(),
  )
}

/** The label that keeps most pods out, and what they have instead. */
function failing(selector: Labels, pods: readonly ClusterPod[]): readonly [key: string, value: string, fix: string] {
  const entries = Object.entries(selector)
  for (const [key, value] of entries) {
    if (pods.some(({ labels }) => labels[key] === value)) continue
    const values = [...new Set(pods.flatMap(({ labels }) => labels[key] ?? []))]
    if (values.length > 0)
      return [key, value, nearestName(value, values) === undefined ? `Pods there have ${key}=${values.slice(0, 5).join(', ')}.` : suggestName(value, values)]
    const keys = [...new Set(pods.flatMap(({ labels }) => Object.keys(labels)))]
    const nearest = nearestName(key, keys)
    return [
      key,
      value,
      nearest === undefined
        ? pods.length === 0
          ? `There are no pods in the namespace.`
          : `No pod there has a label ${key}.`
        : `Did you mean the label ${nearest}?`,
    ]
  }
  const [key, value] = entries[0]
  return [key, value, 'Each label is on some pod, but no pod has them all.']
}

function checkTargetPorts(service: ClusterService, pods: readonly ClusterPod[], problems: ProblemList): void {
  for (const [index, port] of service.ports.entries()) {
    if (typeof port.targetPort === 'number' || pods.some((pod) => targetPortOn(pod, port) !== undefined)) continue
    const declared = pods[0].containers.flatMap(({ ports }) => ports)
    const other = declared.find(({ name }) => name === port.targetPort)
    const names = [...new Set(declared.flatMap(({ name }) => name ?? []))]
    problems.warning(
      service.object.at('spec', 'ports', index, 'targetPort'),
      service.object.label,
      other === undefined
        ? `no container behind the Service has a port called ${port.targetPort}`
        : `the port ${port.targetPort} of the containers behind the Service is ${other.protocol}, not ${port.protocol}`,
      `This port has no endpoints. ${other === undefined ? suggestName(port.targetPort, names) : `Write protocol: ${other.protocol}.`}`.trim(),
    )
  }
}
