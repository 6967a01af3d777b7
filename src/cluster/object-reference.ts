/**
 * `np/shop/db`, `anp/deny-all`, `deploy/shop/web` → the object that is meant, in the words of kubectl and its short names;
 * `tier=db`, `old-` → a label's change.
 */
import { CALICO_GROUPS, groupOf } from './kinds.js'
import { labelFault } from './labels.js'
import type { KubernetesObject } from './manifest.js'
import { nearestName, suggestName } from './nearest-name.js'

/** Kind, then its other names; plurals go without saying. */
const KIND_NAMES: readonly (readonly [kind: string, ...others: readonly string[]])[] = [
  ['NetworkPolicy', 'np', 'netpol'],
  ['AdminNetworkPolicy', 'anp'],
  ['BaselineAdminNetworkPolicy', 'banp'],
  ['ClusterNetworkPolicy', 'cnp'],
  ['GlobalNetworkPolicy', 'gnp'],
  ['StagedNetworkPolicy', 'snp'],
  ['StagedGlobalNetworkPolicy', 'sgnp'],
  ['StagedKubernetesNetworkPolicy', 'sknp'],
  ['Tier'],
  ['Profile'],
  ['NetworkSet', 'netset'],
  ['GlobalNetworkSet', 'gnetset'],
  ['HostEndpoint', 'hep'],
  ['Pod', 'po'],
  ['Namespace', 'ns'],
  ['Node', 'no'],
  ['Service', 'svc'],
  ['ServiceAccount', 'sa'],
  ['Ingress', 'ing'],
  ['Endpoints', 'ep'],
  ['EndpointSlice'],
  ['Deployment', 'deploy'],
  ['StatefulSet', 'sts'],
  ['DaemonSet', 'ds'],
  ['ReplicaSet', 'rs'],
  ['ReplicationController', 'rc'],
  ['Job'],
  ['CronJob', 'cj'],
]

/** np where only Calico has one of that name means that one; this word means Calico's alone. */
const CALICO_WORD = 'calico-np'

const KIND_OF_WORD: ReadonlyMap<string, string> = new Map([
  ...KIND_NAMES.flatMap(([kind, ...others]) => [kind.toLowerCase(), pluralOf(kind.toLowerCase()), ...others].map((word): [string, string] => [word, kind])),
  [CALICO_WORD, 'NetworkPolicy'],
])

function pluralOf(word: string): string {
  return word.endsWith('y') ? `${word.slice(0, -1)}ies` : /(s|ss)$/.test(word) ? `${word}es` : `${word}s`
}

/** `np/shop/db` → also as other words of the same kind have it (`NetworkPolicy/shop/db`); itself alone where its first word is no kind. */
export function spellingsOf(text: string): readonly string[] {
  const [word, ...rest] = text.split('/')
  const kind = rest.length === 0 ? undefined : KIND_OF_WORD.get(word.toLowerCase())
  if (kind === undefined) return [text]
  const words = [...KIND_OF_WORD].flatMap(([other, its]) => (its === kind ? [other] : []))
  return [...new Set([text, ...[kind, ...words].map((other) => [other, ...rest].join('/'))])]
}

export interface Reference {
  /** As it was written. */
  readonly text: string
  readonly kind: string
  /** Calico's own resources alone. */
  readonly isCalico: boolean
  /** Absent: not written. */
  readonly namespace?: string
  readonly name: string
}

export interface Fault {
  readonly what: string
  readonly fix: string
}

export function isFault(value: object): value is Fault {
  return 'what' in value && 'fix' in value
}

/** @param objects whose kinds are known by their full names, too */
export function parseReference(text: string, objects: readonly KubernetesObject[]): Reference | Fault {
  const parts = text.split('/')
  if (parts.length < 2 || parts.length > 3 || parts.some((part) => part === ''))
    return { what: `${text} names no object`, fix: 'Write KIND/NAMESPACE/NAME or KIND/NAME: np/shop/db, ns/shop, anp/deny-all, deploy/shop/web.' }
  const word = parts[0].toLowerCase()
  const kind = KIND_OF_WORD.get(word) ?? objects.find((object) => object.kind.toLowerCase() === word)?.kind
  if (kind === undefined) {
    const nearest = nearestName(word, KIND_OF_WORD.keys())
    const known = 'np, anp, banp, cnp, gnp, calico-np, pod, ns, deploy, sts, ds and so on'
    return {
      what: `there is no kind ${parts[0]} here`,
      fix: nearest === undefined ? `Kinds are written as with kubectl: ${known}.` : `Did you mean ${nearest}?`,
    }
  }
  const named = parts.length === 3 ? { namespace: parts[1], name: parts[2] } : { name: parts[1] }
  return { text, kind, isCalico: word === CALICO_WORD, ...named }
}

/** @returns one object; or none, with the nearest names */
export function findObject(objects: readonly KubernetesObject[], reference: Reference, namespace: string): KubernetesObject | Fault {
  const ofKind = objects.filter((object) => object.kind === reference.kind && (!reference.isCalico || isCalicoObject(object)))
  const found = ofKind.filter(
    ({ name, namespace: own }) => name === reference.name && own === (own === '' ? (reference.namespace ?? '') : (reference.namespace ?? namespace)),
  )
  const chosen = found.find((object) => !isCalicoObject(object)) ?? found.at(0)
  if (chosen !== undefined) return chosen
  const [word] = reference.text.split('/')
  const known = ofKind.map((object) => [word, object.namespace, object.name].filter((part) => part !== '').join('/'))
  return { what: `there is no ${reference.kind} ${nameOf(reference, namespace)}`, fix: suggestName(fullText(reference, word, namespace), known) }
}

function nameOf({ namespace, name, kind }: Reference, assumed: string): string {
  return namespace !== undefined ? `${namespace}/${name}` : CLUSTER_KINDS.includes(kind) ? name : `${assumed}/${name}`
}

function fullText(reference: Reference, word: string, assumed: string): string {
  return `${word}/${nameOf(reference, assumed)}`
}

/** Of those above: they live in no namespace. */
const CLUSTER_KINDS: readonly string[] = [
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'ClusterNetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'Tier',
  'Profile',
  'GlobalNetworkSet',
  'HostEndpoint',
  'Namespace',
  'Node',
]

export function isCalicoObject({ apiVersion }: KubernetesObject): boolean {
  return CALICO_GROUPS.includes(groupOf(apiVersion))
}

export interface LabelChange {
  readonly key: string
  /** Absent: the label goes. */
  readonly value?: string
}

/** `k=v` sets, `k-` takes away, as with kubectl label. */
export function parseLabelChange(text: string): LabelChange | Fault {
  const equals = text.indexOf('=')
  const change = equals < 0 ? { key: text.replace(/-$/, '') } : { key: text.slice(0, equals), value: text.slice(equals + 1) }
  if (equals < 0 && !text.endsWith('-')) return { what: `${text} is no change of a label`, fix: 'Write KEY=VALUE to set one, KEY- to take it away.' }
  return labelFault(change.key, change.value ?? '') ?? change
}
