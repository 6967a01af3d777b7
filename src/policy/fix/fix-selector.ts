/**
 * How a policy would name one end of a connection and nobody else: the fewest labels of the workload's template that no other pod of the
 * namespace has, never those that controllers write.
 */
import type { JsonObject } from '../../cluster/located.js'
import { matchesLabels, type Labels } from '../../cluster/labels.js'
import { formatRange, type AddressRange } from '../address-range.js'
import { METADATA_NAME } from '../exposure/exposure-peer.js'
import type { End, PolicyPod, PolicyWorld } from '../model.js'

/** Written by controllers, other for every revision or pod. */
const WRITTEN_BY_CONTROLLERS: readonly string[] = [
  'pod-template-hash',
  'controller-revision-hash',
  'pod-template-generation',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
  'batch.kubernetes.io/job-completion-index',
  'batch.kubernetes.io/controller-uid',
  'controller-uid',
  'batch.kubernetes.io/job-name',
  'job-name',
]

/** What people call a workload by. */
const FIRST: readonly string[] = ['app.kubernetes.io/name', 'app', 'k8s-app', 'name', 'app.kubernetes.io/component', 'component', 'tier', 'role']

const MOST_LABELS = 3

export interface NamedPods {
  /** Empty: every pod of the namespace. */
  readonly labels: Labels
  /** Pods of the namespace, of other workloads, that have those labels too. */
  readonly others: readonly PolicyPod[]
}

export function isSameWorkload(a: PolicyPod, b: PolicyPod): boolean {
  return a.namespace === b.namespace && a.workload.kind === b.workload.kind && a.workload.name === b.workload.name
}

/** The smallest set of labels with the fewest others; of equals those that people use for names. */
export function podsLike(world: Pick<PolicyWorld, 'pods'>, pod: PolicyPod): NamedPods {
  const own = world.pods.filter((other) => isSameWorkload(other, pod))
  const others = world.pods.filter((other) => other.namespace === pod.namespace && !isSameWorkload(other, pod))
  const usable = Object.keys(pod.labels).filter((key) => !WRITTEN_BY_CONTROLLERS.includes(key) && own.every((other) => other.labels[key] === pod.labels[key]))
  const keys = usable.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  let best: NamedPods = { labels: {}, others }
  for (let size = 1; size <= Math.min(MOST_LABELS, keys.length) && best.others.length > 0; size++) {
    for (const chosen of choices(keys, size)) {
      const labels = Object.fromEntries(chosen.map((key) => [key, pod.labels[key]]))
      const more = others.filter((other) => matchesLabels(labels, other.labels))
      if (more.length < best.others.length || Object.keys(best.labels).length === 0) best = { labels, others: more }
      if (more.length === 0) break
    }
  }
  if (Object.keys(best.labels).length === 0 && keys.length > 0) return { labels: { [keys[0]]: pod.labels[keys[0]] }, others: [] }
  return best
}

function rank(key: string): number {
  const index = FIRST.indexOf(key)
  return index < 0 ? FIRST.length : index
}

function* choices(keys: readonly string[], size: number, from = 0): Generator<readonly string[]> {
  if (size === 0) {
    yield []
    return
  }
  for (let i = from; i <= keys.length - size; i++) for (const rest of choices(keys, size - 1, i + 1)) yield [keys[i], ...rest]
}

export function labelSelector(labels: Labels): JsonObject {
  return Object.keys(labels).length === 0 ? {} : { matchLabels: { ...labels } }
}

export function namespaceSelector(name: string): JsonObject {
  return { matchLabels: { [METADATA_NAME]: name } }
}

/** One peer of a NetworkPolicy that lives in `home`. Several for an outside range that is no prefix. */
export function networkPolicyPeers(world: PolicyWorld, end: End, home: string): readonly JsonObject[] {
  if (end.kind !== 'pod' || isOnNode(world, end)) return addressesOf(end).map((range) => ({ ipBlock: { cidr: cidrText(range) } }))
  const podSelector = labelSelector(podsLike(world, end).labels)
  return [end.namespace === home ? { podSelector } : { namespaceSelector: namespaceSelector(end.namespace), podSelector }]
}

export function isOnNode(world: PolicyWorld, pod: PolicyPod): boolean {
  return pod.hostNetwork && world.switches.hostNetwork === 'node'
}

/** Prefixes that together are the end's addresses. */
export function addressesOf(end: End): readonly AddressRange[] {
  return end.kind === 'outside' ? prefixesOf(end.range) : end.addresses
}

export function cidrText(range: AddressRange): string {
  const text = formatRange(range)
  return text.includes('/') ? text : `${text}/${range.family === 4 ? 32 : 128}`
}

/** The fewest prefixes that make up a range. */
function prefixesOf({ family, first, last }: AddressRange): readonly AddressRange[] {
  const found: AddressRange[] = []
  for (let start = first; start <= last;) {
    let size = 1n
    while (start % (size * 2n) === 0n && start + size * 2n - 1n <= last) size *= 2n
    found.push({ family, first: start, last: start + size - 1n })
    start += size
  }
  return found
}
