/**
 * Who enforces policies in this cluster, as far as the input says it: the Network document, Calico's objects, the DaemonSets of the agents.
 * Nothing said is nothing known: policies are then taken to be enforced.
 */
import { isFlannelObject } from './flannel-settings.js'
import { CALICO_GROUPS, groupOf } from './kinds.js'
import { isObject, type JsonValue } from './located.js'
import type { KubernetesObject } from './manifest.js'
import type { Place } from './problem-list.js'

export type PolicyEngine =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'calico'; readonly place: Place }
  /** Somebody enforces them whose ways netsim does not model. */
  | { readonly kind: 'other'; readonly name: string; readonly place: Place }
  /** Nobody does. `words`: `flannel enforces no NetworkPolicy`. */
  | { readonly kind: 'none'; readonly words: string; readonly place: Place }

/** DaemonSets of agents that enforce NetworkPolicy, by the names that their manifests give them. */
const OTHERS =
  /^(kindnet|cilium|weave-net|aws-node|azure-npm|kube-router|kube-network-policies|antrea-agent|kube-ovn-cni|ovnkube-node|ovs-cni|sdn|romana-agent)$/
const CALICO_NAMES: readonly string[] = ['calico-node', 'canal']
const CALICO_CONFIGS: readonly string[] = ['calico-config', 'canal-config']

export function findPolicyEngine(objects: readonly KubernetesObject[]): PolicyEngine {
  const document = objects.find(({ apiVersion, kind }) => apiVersion === 'netsim/v1' && kind === 'Network')
  const told = document === undefined ? undefined : textAt(document.value.spec, 'cni')
  if (document !== undefined && told !== undefined) return ofCni(told, document.at('spec', 'cni'))
  const calico = objects.find(isCalicos)
  if (calico !== undefined) return { kind: 'calico', place: calico }
  const other = objects.find((object) => OTHERS.test(agentOf(object)))
  if (other !== undefined) return { kind: 'other', name: agentOf(other), place: other }
  // k3s runs flannel inside, and a controller of kube-router's beside it
  const k3s = objects.find((object) => object.kind === 'Node' && hasAnnotation(object, 'k3s.io/'))
  if (k3s !== undefined) return { kind: 'other', name: 'k3s', place: k3s }
  const flannel = objects.find((object) => isFlannelObject(object) || (object.kind === 'Node' && hasAnnotation(object, 'flannel.alpha.coreos.com/')))
  return flannel === undefined ? { kind: 'unknown' } : ofCni('flannel', flannel)
}

function ofCni(cni: string, place: Place): PolicyEngine {
  if (cni === 'flannel') return { kind: 'none', words: 'flannel enforces no NetworkPolicy', place }
  if (cni === 'none') return { kind: 'none', words: 'plain docker enforces no NetworkPolicy', place }
  return cni === 'calico' || cni === 'canal' ? { kind: 'calico', place } : { kind: 'unknown' }
}

function isCalicos(object: KubernetesObject): boolean {
  return (
    CALICO_GROUPS.includes(groupOf(object.apiVersion)) ||
    CALICO_NAMES.includes(agentOf(object)) ||
    (object.kind === 'ConfigMap' && CALICO_CONFIGS.includes(object.name))
  )
}

/** The DaemonSet, or the one behind the pod; empty for anything else. */
function agentOf({ kind, name, value }: KubernetesObject): string {
  if (kind === 'DaemonSet') return name
  if (kind !== 'Pod' || !isObject(value.metadata)) return ''
  const owners = value.metadata.ownerReferences
  const owner: unknown = Array.isArray(owners) ? owners[0] : undefined
  return isObject(owner) && owner.kind === 'DaemonSet' && typeof owner.name === 'string' ? owner.name : ''
}

function hasAnnotation({ value }: KubernetesObject, prefix: string): boolean {
  const annotations = isObject(value.metadata) ? value.metadata.annotations : undefined
  return isObject(annotations) && Object.keys(annotations).some((key) => key.startsWith(prefix))
}

function textAt(value: JsonValue | undefined, key: string): string | undefined {
  const found = isObject(value) ? value[key] : undefined
  return typeof found === 'string' ? found : undefined
}
