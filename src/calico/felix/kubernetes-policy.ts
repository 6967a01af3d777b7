/**
 * Kubernetes objects in Calico's words: NetworkPolicy → rules, Namespace and ServiceAccount → Profile. Calico's own reading of them, with its
 * edges. After libcalico-go/lib/backend/k8s/conversion/conversion.go.
 */
import { cidr, formatCidr, parseAddressWithLength } from '../../base/cidr.js'
import { isIpv6Text } from '../../base/ip.js'
import type { KubernetesNetworkPolicy, KubernetesPolicyPeer, KubernetesPolicyPort, KubernetesPolicyRule } from '../../cluster/calico/kubernetes-policy.js'
import type { EntityRule, PolicyDirection, PolicyRule } from '../../cluster/calico/policy.js'
import type { CalicoPort, Net } from '../../cluster/calico/resource.js'
import type { Labels, LabelSelector } from '../../cluster/labels.js'
import {
  backendRule,
  NAMESPACE_PREFIX,
  ORCHESTRATOR_LABEL,
  placeOf,
  policySelector,
  ruleProvenance,
  SERVICE_ACCOUNT_PREFIX,
  type BackendPolicy,
  type BackendProfile,
  type BackendRule,
} from './backend-policy.js'
import { compareText } from './static-tables.js'

const ORDER = 1000
const NAME_LABEL = 'projectcalico.org/name'

/** Every pod has the orchestrator's label, which keeps host endpoints out. */
export function podSelectorText(selector: LabelSelector | undefined): string {
  return [`${ORCHESTRATOR_LABEL} == 'k8s'`, ...selectorTerms(selector)].join(' && ')
}

/** Absent: the policy's own namespace, said by the empty text; `{}`: all. */
export function namespaceSelectorText(selector: LabelSelector | undefined): string {
  if (selector === undefined) return ''
  const terms = selectorTerms(selector)
  return terms.length === 0 ? 'all()' : terms.join(' && ')
}

function selectorTerms(selector: LabelSelector | undefined): string[] {
  const labels = Object.entries(selector?.matchLabels ?? {}).sort(([a], [b]) => compareText(a, b))
  const expressions = (selector?.matchExpressions ?? []).flatMap(({ key, operator, values }) => {
    const list = (values ?? []).join("', '")
    switch (operator) {
      case 'In':
        return [`${key} in { '${list}' }`]
      case 'NotIn':
        return [`${key} not in { '${list}' }`]
      case 'Exists':
        return [`has(${key})`]
      case 'DoesNotExist':
        return [`! has(${key})`]
      default:
        return []
    }
  })
  return [...labels.map(([key, value]) => `${key} == '${value}'`), ...expressions]
}

export const ANYONE: EntityRule = { nets: [], notNets: [], selector: '', notSelector: '', namespaceSelector: '', ports: [], notPorts: [] }

/** undefined: no CIDR; a bare address is none for Kubernetes. */
function netOf(text: string): Net | undefined {
  if (!text.includes('/')) return undefined
  const parsed = parseAddressWithLength(text)
  if (parsed !== undefined) {
    const masked = cidr(parsed.address, parsed.length)
    return { family: 4, cidr: masked, text: formatCidr(masked) }
  }
  return isIpv6Text(text) ? { family: 6, text } : undefined
}

/** A CIDR that cannot be read leaves a peer without any restriction; an exception that cannot be read ends the list of exceptions. */
function peerEntity(peer: KubernetesPolicyPeer | undefined): EntityRule {
  if (peer === undefined) return ANYONE
  const { ipBlock } = peer
  if (ipBlock === undefined) return { ...ANYONE, selector: podSelectorText(peer.podSelector), namespaceSelector: namespaceSelectorText(peer.namespaceSelector) }
  const net = netOf(ipBlock.cidr)
  if (net === undefined) return ANYONE
  const exceptions = ipBlock.except.map(netOf)
  const end = exceptions.indexOf(undefined)
  return { ...ANYONE, nets: [net], notNets: (end < 0 ? exceptions : exceptions.slice(0, end)).filter((except) => except !== undefined) }
}

/** undefined: the port cannot be read, and the whole rule is dropped. `[]`: every port. */
function calicoPorts({ port, endPort }: KubernetesPolicyPort): readonly CalicoPort[] | undefined {
  if (port === undefined) return []
  const text = endPort === undefined ? `${port}` : `${port}:${endPort}`
  const range = /^(\d+)(?::(\d+))?$/.exec(text)
  if (range !== null) {
    const [from, to] = [Number(range[1]), Number(range[2] ?? range[1])]
    return from <= to && to <= 65535 ? [{ from, to }] : undefined
  }
  return /^[a-zA-Z0-9_.-]{1,128}$/.test(text) ? [{ name: text }] : undefined
}

/** Named ports first, then the numbers as few ascending ranges; a single number is left where it was. */
export function simplifyPorts(ports: readonly CalicoPort[]): readonly CalicoPort[] {
  const named = ports.filter((port) => 'name' in port)
  const ranges = ports.flatMap((port) => ('name' in port ? [] : [port])).sort((a, b) => a.from - b.from || a.to - b.to)
  const numbers = ranges.reduce((count, { from, to }) => count + to - from + 1, 0)
  if (ports.length <= 1 || numbers <= 1) return ports
  const merged: { from: number; to: number }[] = []
  for (const { from, to } of ranges) {
    const last = merged.at(-1)
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to)
    else merged.push({ from, to })
  }
  return [...named, ...merged]
}

/** Protocol → its ports; a protocol without ports is open whole. The empty protocol: no ports were said. */
function portsByProtocol(ports: readonly KubernetesPolicyPort[]): ReadonlyMap<string, readonly CalicoPort[]> | undefined {
  if (ports.length === 0) return new Map([['', []]])
  const byProtocol = new Map<string, readonly CalicoPort[]>()
  const whole = new Set<string>()
  for (const port of ports) {
    const read = calicoPorts(port)
    if (read === undefined) return undefined
    const protocol = port.protocol ?? 'TCP'
    if (read.length === 0) whole.add(protocol)
    byProtocol.set(protocol, whole.has(protocol) ? [] : [...(byProtocol.get(protocol) ?? []), ...read])
  }
  return byProtocol
}

/** One Calico rule for each protocol and peer; none when a port cannot be read. */
export function convertRule(rule: KubernetesPolicyRule, direction: PolicyDirection): readonly PolicyRule[] {
  const byProtocol = portsByProtocol(rule.ports)
  if (byProtocol === undefined) return []
  const peers = rule.peers.length === 0 ? [undefined] : rule.peers
  return [...byProtocol]
    .sort(([a], [b]) => compareText(a, b))
    .flatMap(([protocol, ports]) =>
      peers.map((peer): PolicyRule => {
        const entity = peerEntity(peer)
        const simple = simplifyPorts(ports)
        return {
          action: 'Allow',
          ...(protocol === '' ? {} : { protocol }),
          source: direction === 'ingress' ? entity : ANYONE,
          destination: direction === 'ingress' ? { ...ANYONE, ports: simple } : { ...entity, ports: simple },
          annotations: {},
          file: rule.file,
          line: rule.line,
        }
      }),
    )
}

export function kubernetesPolicy(policy: KubernetesNetworkPolicy): BackendPolicy {
  const { namespace, name, policyTypes, staged } = policy
  const label = `${staged ? 'StagedKubernetesNetworkPolicy' : 'NetworkPolicy'}/${namespace}/${name}`
  const rules = (direction: PolicyDirection): BackendRule[] =>
    policy[direction].flatMap((rule, i) =>
      convertRule(rule, direction).map((converted) => backendRule(converted, namespace, ruleProvenance(label, direction, i, rule))),
    )
  const types = (['ingress', 'egress'] as const).filter((direction) => policyTypes.some((type) => type.toLowerCase() === direction))
  return {
    id: { kind: staged ? 'StagedKubernetesNetworkPolicy' : 'KubernetesNetworkPolicy', namespace, name },
    tier: 'default',
    order: ORDER,
    selector: policySelector({ namespace, selector: podSelectorText(policy.podSelector), serviceAccountSelector: '', namespaceSelector: '' }),
    // rules of a type that is not listed stay, and nothing asks them
    types: types.length === 0 ? ['ingress'] : types,
    untracked: false,
    preDnat: false,
    applyOnForward: false,
    ingress: rules('ingress'),
    egress: rules('egress'),
    provenance: { by: 'felix', object: label, ...placeOf(policy) },
  }
}

function prefixLabels(labels: Labels, prefix: string, name: string): Labels {
  return { ...Object.fromEntries(Object.entries(labels).map(([key, value]) => [prefix + key, value])), [prefix + NAME_LABEL]: name }
}

const allowAll = (label: string, direction: PolicyDirection): BackendRule =>
  backendRule({ action: 'Allow', source: ANYONE, destination: ANYONE, annotations: {}, file: '', line: 0 }, '', {
    by: 'felix',
    object: `${label} ${direction} rule 1`,
  })

/** `kns.NAME`: everything is allowed where no policy says otherwise. */
export function namespaceProfile(namespace: { readonly name: string; readonly labels: Labels }): BackendProfile {
  const name = `kns.${namespace.name}`
  const label = `Profile/${name}`
  return {
    name,
    ingress: [allowAll(label, 'ingress')],
    egress: [allowAll(label, 'egress')],
    labels: prefixLabels(namespace.labels, NAMESPACE_PREFIX, namespace.name),
    provenance: { by: 'felix', object: label },
  }
}

/** `ksa.NAMESPACE.NAME`: labels only. */
export function serviceAccountProfile(account: { readonly namespace: string; readonly name: string; readonly labels: Labels }): BackendProfile {
  const name = `ksa.${account.namespace}.${account.name}`
  return {
    name,
    ingress: [],
    egress: [],
    labels: prefixLabels(account.labels, SERVICE_ACCOUNT_PREFIX, account.name),
    provenance: { by: 'felix', object: `Profile/${name}` },
  }
}

/** What automatic host endpoints carry. */
export function defaultAllowProfile(): BackendProfile {
  const name = 'projectcalico-default-allow'
  const label = `Profile/${name}`
  return { name, ingress: [allowAll(label, 'ingress')], egress: [allowAll(label, 'egress')], labels: {}, provenance: { by: 'felix', object: label } }
}
