/**
 * NetworkPolicy of Kubernetes → the rule model. networking.k8s.io/v1 and extensions/v1beta1 mean the same, but in clusters of the time when
 * an annotation of the namespace isolated it (before 1.7): there a policy counts in such a namespace alone, and a list that is there and empty
 * names nobody. Source: k8s.io/api networking/v1 (words of the fields), pkg/apis/networking/v1/defaults.go; for the annotation
 * docs/proposals/network-policy.md of Kubernetes 1.3.
 */
import type { KubernetesNetworkPolicy, KubernetesPolicyPeer, KubernetesPolicyPort, KubernetesPolicyRule } from '../../cluster/calico/kubernetes-policy.js'
import { nameFault } from '../../cluster/fields.js'
import { groupOf } from '../../cluster/kinds.js'
import { isObject, type JsonValue, type Path } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import type { ProblemList } from '../../cluster/problem-list.js'
import type { Protocol } from '../connections.js'
import type { Condition, Direction, Peer, Policy, PolicyRule, RulePorts, Switches } from '../model.js'
import {
  everybody,
  isEmptySelector,
  labelSelectorWords,
  namespaceCondition,
  namespacesCondition,
  neverCondition,
  NO_PORT,
  placeIn,
  podConditions,
  podsWords,
  portsOf,
  rangesOf,
  type PortChoice,
} from './parts.js'

/** A namespace as far as its isolation is concerned. */
export interface AnnotatedNamespace {
  readonly name: string
  readonly object?: KubernetesObject
}

const ANNOTATION = 'net.beta.kubernetes.io/network-policy'

/** The policies that are in force, in the order given; staged ones are not. */
export function kubernetesPolicies(
  policies: readonly KubernetesNetworkPolicy[],
  namespaces: readonly AnnotatedNamespace[],
  { as }: Pick<Switches, 'as'>,
  problems: ProblemList,
): readonly Policy[] {
  const own = policies.filter((policy) => !policy.staged && !isRefused(policy, as, problems))
  const isolated = isolatedNamespaces(namespaces, own, problems)
  if (isolated === undefined) return own.map((policy) => networkPolicy(policy, { emptyIsNobody: false }))
  const names = new Set(isolated.map(({ namespace }) => namespace))
  for (const policy of own.filter(({ namespace }) => !names.has(namespace)))
    problems.warning(
      policy,
      policy.object?.label ?? '',
      `namespace ${policy.namespace} is not isolated by the annotation ${ANNOTATION}, as others are: the policy has no effect`,
      'Kubernetes 1.7 and later need no annotation: write networking.k8s.io/v1.',
    )
  return [...isolated, ...own.filter(({ namespace }) => names.has(namespace)).map((policy) => networkPolicy(policy, { emptyIsNobody: true }))]
}

/** What one of them refuses, and the other takes: names, and ports by name at addresses. */
function isRefused({ object, name, egress }: KubernetesNetworkPolicy, as: Switches['as'], problems: ProblemList): boolean {
  const label = object?.label ?? name
  if (as !== 'np-guard') {
    const fault = nameFault(name, 'subdomain')
    if (fault !== undefined) problems.error(placeIn(object, ['metadata', 'name']), label, fault.what, fault.fix)
    return fault !== undefined
  }
  const rule = egress.findIndex(({ peers, ports }) => peers.some(({ ipBlock }) => ipBlock) && ports.some(({ port }) => typeof port === 'string'))
  if (rule < 0) return false
  const what = 'a port by name beside an ipBlock: addresses have no names of ports'
  problems.error(placeIn(object, ['spec', 'egress', rule, 'ports']), label, what, 'Write the number, or a rule of its own for the ipBlock.')
  return true
}

/** undefined: a cluster that does not know the annotation, or does without. */
function isolatedNamespaces(
  namespaces: readonly AnnotatedNamespace[],
  policies: readonly KubernetesNetworkPolicy[],
  problems: ProblemList,
): readonly Policy[] | undefined {
  const annotated = namespaces.flatMap(({ name, object }) => {
    const text = object === undefined ? undefined : annotationOf(object)
    return object === undefined || text === undefined ? [] : [{ name, object, text }]
  })
  if (annotated.length === 0) return undefined
  const newer = policies.find(({ object }) => object !== undefined && groupOf(object.apiVersion) !== 'extensions')
  if (newer !== undefined) {
    const [{ object }] = annotated
    const place = object.at('metadata', 'annotations', ANNOTATION)
    const what = `${ANNOTATION} has no effect: ${newer.object?.label ?? newer.name} is of networking.k8s.io, whose servers do not read it`
    problems.warning(place, object.label, what, 'Isolate the namespace by a NetworkPolicy without rules.')
    return undefined
  }
  return annotated.flatMap(({ name, object, text }) => {
    const isIsolated = readIsolation(text)
    const place = object.at('metadata', 'annotations', ANNOTATION)
    if (isIsolated === undefined) problems.error(place, object.label, `${ANNOTATION} cannot be read`, 'Write {"ingress": {"isolation": "DefaultDeny"}}.')
    if (isIsolated !== true) return []
    const isolation: Policy = {
      kind: 'NamespaceIsolation',
      namespace: name,
      name,
      subject: [namespaceCondition(name, place)],
      subjectWords: `every pod of namespace ${name}`,
      directions: ['ingress'],
      ingress: [],
      egress: [],
      ...place,
    }
    return [isolation]
  })
}

function annotationOf({ value: { metadata } }: KubernetesObject): string | undefined {
  const annotations = isObject(metadata) ? metadata.annotations : undefined
  const text = isObject(annotations) ? annotations[ANNOTATION] : undefined
  return typeof text === 'string' ? text : undefined
}

/** undefined: no JSON, or not such as is meant. */
function readIsolation(text: string): boolean | undefined {
  let value: JsonValue
  try {
    value = JSON.parse(text) as JsonValue
  } catch {
    return undefined
  }
  if (!isObject(value)) return undefined
  const ingress = value.ingress ?? {}
  return isObject(ingress) ? ingress.isolation === 'DefaultDeny' : undefined
}

interface Era {
  /** An empty list of peers or ports, written down, names nothing (up to 1.6); else it names everything. */
  readonly emptyIsNobody: boolean
}

/** policyTypes that are not there are filled in: Ingress, and Egress where there are rules for it. */
export function networkPolicy(policy: KubernetesNetworkPolicy, era: Era = { emptyIsNobody: false }): Policy {
  const { object, namespace, name, podSelector, policyTypes, egress } = policy
  const types = policyTypes.length > 0 ? policyTypes : ['Ingress', ...(egress.length > 0 ? ['Egress'] : [])]
  const reading: Reading = { policy, era }
  const subjectPlace = placeIn(object, ['spec', 'podSelector'])
  return {
    kind: 'NetworkPolicy',
    namespace,
    name,
    subject: [namespaceCondition(namespace, placeIn(object, ['metadata', 'namespace'])), ...podConditions(podSelector, subjectPlace)],
    subjectWords: isEmptySelector(podSelector) ? `every pod of namespace ${namespace}` : `pods ${labelSelectorWords(podSelector)} of namespace ${namespace}`,
    directions: (['ingress', 'egress'] as const).filter((direction) => types.includes(direction === 'ingress' ? 'Ingress' : 'Egress')),
    ingress: policy.ingress.map((rule, index) => policyRule(rule, index, 'ingress', reading)),
    egress: policy.egress.map((rule, index) => policyRule(rule, index, 'egress', reading)),
    file: policy.file,
    line: policy.line,
  }
}

interface Reading {
  readonly policy: KubernetesNetworkPolicy
  readonly era: Era
}

function policyRule(rule: KubernetesPolicyRule, index: number, direction: Direction, reading: Reading): PolicyRule {
  const { object } = reading.policy
  const path = ['spec', direction, index]
  const field = direction === 'ingress' ? 'from' : 'to'
  const isNobody = reading.era.emptyIsNobody && isEmptyList(object, [...path, field])
  const isNoPort = reading.era.emptyIsNobody && isEmptyList(object, [...path, 'ports'])
  const peers = rule.peers.map((peer, i) => policyPeer(peer, [...path, field, i], reading))
  return {
    index,
    action: 'allow',
    peers: peers.length > 0 || isNobody ? peers : [everybody(rule)],
    local: [],
    ports: isNoPort ? NO_PORT : rulePorts(rule.ports),
    file: rule.file,
    line: rule.line,
  }
}

function isEmptyList(object: KubernetesObject | undefined, path: Path): boolean {
  let value: JsonValue | undefined = object?.value
  for (const step of path) value = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, JsonValue>>)[step] : undefined
  return Array.isArray(value) && value.length === 0
}

function policyPeer(peer: KubernetesPolicyPeer, path: Path, { policy: { object, namespace } }: Reading): Peer {
  const place = placeIn(object, path)
  const { podSelector, namespaceSelector, ipBlock } = peer
  if (ipBlock !== undefined) {
    const condition = ipBlockCondition(ipBlock, object, [...path, 'ipBlock'])
    return { conditions: [condition], words: condition.words, ...place }
  }
  const pods = podConditions(podSelector ?? {}, placeIn(object, [...path, 'podSelector']))
  if (namespaceSelector === undefined) {
    const own = namespaceCondition(namespace, place)
    const which = isEmptySelector(podSelector ?? {}) ? 'every pod' : `pods ${labelSelectorWords(podSelector ?? {})}`
    return { conditions: [own, ...pods], words: `${which} of namespace ${namespace}`, ...place }
  }
  return {
    conditions: [namespacesCondition(namespaceSelector, placeIn(object, [...path, 'namespaceSelector'])), ...pods],
    words: podsWords(podSelector ?? {}, namespaceSelector),
    ...place,
  }
}

function ipBlockCondition({ cidr, except }: NonNullable<KubernetesPolicyPeer['ipBlock']>, object: KubernetesObject | undefined, path: Path): Condition {
  const place = placeIn(object, [...path, 'cidr'])
  const include = rangesOf([cidr])
  if (include.length === 0) return neverCondition(cidr, place)
  const words = except.length === 0 ? cidr : `${cidr} except ${except.join(', ')}`
  return { kind: 'networks', include, exclude: rangesOf(except), words, ...place }
}

function rulePorts(ports: readonly KubernetesPolicyPort[]): RulePorts {
  return portsOf(
    ports.map(({ protocol = 'TCP', port, endPort }): PortChoice => {
      const known = protocol as Protocol
      if (typeof port === 'string') return { kind: 'name', port: { name: port, protocol: known } }
      return port === undefined
        ? { kind: 'numbers', protocol: known }
        : { kind: 'numbers', protocol: known, first: port, ...(endPort === undefined ? {} : { last: endPort }) }
    }),
  )
}
