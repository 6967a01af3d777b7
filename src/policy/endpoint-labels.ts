/**
 * The labels that Calico gives a workload endpoint: its pod's, those of its namespace and service account under a prefix, and a few of its own.
 * Written from Calico's documents, apart from the code of src/calico, so that one may be held against the other
 * (libcalico-go/lib/backend/k8s/conversion: workload_endpoint_default.go, conversion.go NamespaceToProfile).
 */
import type { Labels } from '../cluster/labels.js'
import type { PolicyPod, PolicyWorld } from './model.js'

export const NAMESPACE_PREFIX = 'pcns.'
export const SERVICE_ACCOUNT_PREFIX = 'pcsa.'

const known = new WeakMap<PolicyWorld, WeakMap<PolicyPod, Labels>>()

/** Made once for each pod of a world. */
export function endpointLabels(pod: PolicyPod, world: PolicyWorld): Labels {
  let ofWorld = known.get(world)
  if (ofWorld === undefined) known.set(world, (ofWorld = new WeakMap()))
  let labels = ofWorld.get(pod)
  if (labels === undefined) ofWorld.set(pod, (labels = makeLabels(pod, world)))
  return labels
}

/** Its own win over inherited ones; none may pretend to be a namespace's or an account's. */
function makeLabels(pod: PolicyPod, world: PolicyWorld): Labels {
  const pretends = (key: string): boolean => key.startsWith(NAMESPACE_PREFIX) || key.startsWith(SERVICE_ACCOUNT_PREFIX)
  const own = Object.entries(pod.labels).filter(([key]) => !pretends(key))
  return Object.fromEntries([
    ...prefixed(NAMESPACE_PREFIX, world.namespaces.get(pod.namespace)?.labels ?? {}),
    ...prefixed(SERVICE_ACCOUNT_PREFIX, world.serviceAccounts.get(`${pod.namespace}/${pod.serviceAccount}`) ?? {}),
    [`${NAMESPACE_PREFIX}projectcalico.org/name`, pod.namespace],
    [`${SERVICE_ACCOUNT_PREFIX}projectcalico.org/name`, pod.serviceAccount],
    ...own,
    ['projectcalico.org/namespace', pod.namespace],
    ['projectcalico.org/orchestrator', 'k8s'],
    ['projectcalico.org/serviceaccount', pod.serviceAccount],
  ])
}

/** Of a network set: a namespaced one has its namespace's labels too, so that namespaceSelectors find it (networksetprocessor.go). */
export function networkSetLabels(own: Labels, namespace: string, namespaceLabels: Labels): Labels {
  if (namespace === '') return own
  return Object.fromEntries([
    ...prefixed(NAMESPACE_PREFIX, namespaceLabels),
    [`${NAMESPACE_PREFIX}projectcalico.org/name`, namespace],
    ...Object.entries(own),
    ['projectcalico.org/namespace', namespace],
  ])
}

function prefixed(prefix: string, labels: Labels): (readonly [string, string])[] {
  return Object.entries(labels).map(([key, value]) => [prefix + key, value] as const)
}
