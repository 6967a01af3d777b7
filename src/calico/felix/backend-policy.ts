/**
 * Policies as the syncer hands them to Felix: v3 policies and profiles → one flat form whose selectors carry namespace and service account
 * in themselves. After libcalico-go/lib/backend/syncersv1/updateprocessors/{networkpolicy,globalnetworkpolicy}processor.go, rules.go.
 */
import { formatCidr } from '../../base/cidr.js'
import type { CalicoPolicy, EntityRule, PolicyDirection, PolicyRule, Profile } from '../../cluster/calico/policy.js'
import type { CalicoPort, CalicoProtocol, Net } from '../../cluster/calico/resource.js'
import { isSelectorFault, parseSelector, withLabelPrefix } from '../../cluster/selector.js'
import type { Provenance } from '../../dataplane/dataplane.js'
import type { FelixAction } from './model.js'
import type { PolicyId } from './names.js'

export const NAMESPACE_LABEL = 'projectcalico.org/namespace'
export const ORCHESTRATOR_LABEL = 'projectcalico.org/orchestrator'
export const SERVICE_ACCOUNT_LABEL = 'projectcalico.org/serviceaccount'
/** Labels of a namespace and of a service account, as endpoints inherit them. */
export const NAMESPACE_PREFIX = 'pcns.'
export const SERVICE_ACCOUNT_PREFIX = 'pcsa.'

export interface BackendSide {
  /** Text; empty: none. */
  readonly selector: string
  readonly notSelector: string
  readonly nets: readonly string[]
  readonly notNets: readonly string[]
  readonly ports: readonly CalicoPort[]
  readonly notPorts: readonly CalicoPort[]
  /** `default/web`. */
  readonly service?: string
}

export interface BackendRule {
  readonly action: FelixAction
  readonly ipVersion?: 4 | 6
  readonly protocol?: string | number
  readonly notProtocol?: string | number
  readonly icmp?: { readonly type?: number; readonly code?: number }
  readonly notIcmp?: { readonly type?: number; readonly code?: number }
  readonly source: BackendSide
  readonly destination: BackendSide
  readonly annotations: Readonly<Record<string, string>>
  readonly provenance: Provenance
}

export interface BackendPolicy {
  readonly id: PolicyId
  readonly tier: string
  /** Infinity where none is said. */
  readonly order: number
  readonly selector: string
  readonly types: readonly PolicyDirection[]
  readonly untracked: boolean
  readonly preDnat: boolean
  readonly applyOnForward: boolean
  readonly ingress: readonly BackendRule[]
  readonly egress: readonly BackendRule[]
  readonly provenance: Provenance
}

export interface BackendProfile {
  readonly name: string
  readonly ingress: readonly BackendRule[]
  readonly egress: readonly BackendRule[]
  readonly labels: Readonly<Record<string, string>>
  readonly provenance: Provenance
}

/** Canonical, each label with the prefix; empty when it cannot be read, as Calico goes on without it. */
function prefixedSelector(text: string, prefix: string): string {
  const selector = parseSelector(text)
  return isSelectorFault(selector) ? '' : withLabelPrefix(selector, prefix).text
}

function appendPrefixed(selector: string, added: string, prefix: string): string {
  if (added === '') return selector
  const text = prefixedSelector(added, prefix)
  if (text === '') return selector
  return selector === '' ? text : `(${selector}) && ${text}`
}

/** Whom the policy applies to. */
export function policySelector(policy: Pick<CalicoPolicy, 'namespace' | 'selector' | 'serviceAccountSelector' | 'namespaceSelector'>): string {
  const { namespace, serviceAccountSelector, namespaceSelector } = policy
  if (namespace !== '') {
    const own = `${NAMESPACE_LABEL} == '${namespace}'`
    return appendPrefixed(policy.selector === '' ? own : `(${policy.selector}) && ${own}`, serviceAccountSelector, SERVICE_ACCOUNT_PREFIX)
  }
  let { selector } = policy
  // the replacement falls on the policy's own all() too, as it does in Calico
  if (namespaceSelector !== '') selector = appendPrefixed(selector, namespaceSelector, NAMESPACE_PREFIX).replaceAll('all()', `has(${NAMESPACE_LABEL})`)
  if (serviceAccountSelector !== '')
    selector = appendPrefixed(selector, serviceAccountSelector, SERVICE_ACCOUNT_PREFIX).replaceAll('all()', `has(${SERVICE_ACCOUNT_LABEL})`)
  return selector
}

function serviceAccountSelector(accounts: NonNullable<EntityRule['serviceAccounts']>): string {
  const labels = accounts.selector === '' ? '' : prefixedSelector(accounts.selector, SERVICE_ACCOUNT_PREFIX)
  if (accounts.names.length === 0) return labels
  const names = parseSelector(`${SERVICE_ACCOUNT_LABEL} in { '${accounts.names.join("', '")}' }`)
  if (isSelectorFault(names)) return ''
  return labels === '' ? names.text : `(${labels}) && (${names.text})`
}

/** The endpoints that one side of a rule of a policy in `namespace` (empty: global) stands for; empty: no restriction. */
export function peerSelector(entity: EntityRule, namespace: string): string {
  const { namespaceSelector, notSelector } = entity
  let inNamespace = ''
  if (namespaceSelector !== '') {
    inNamespace = prefixedSelector(namespaceSelector, NAMESPACE_PREFIX)
      .replaceAll('all()', `has(${NAMESPACE_LABEL})`)
      .replaceAll('global()', `!has(${NAMESPACE_LABEL})`)
  } else if (namespace !== '') inNamespace = `${NAMESPACE_LABEL} == '${namespace}'`
  const accounts = entity.serviceAccounts === undefined ? '' : serviceAccountSelector(entity.serviceAccounts)
  const parts = [accounts, entity.selector].filter((text) => text !== '')
  const selector = parts.length <= 1 ? (parts[0] ?? '') : `(${parts.join(') && (')})`
  // a rule that names no endpoints at all is not confined to the policy's namespace
  if (inNamespace === '' || (selector === '' && notSelector === '' && namespaceSelector === '')) return selector
  return selector === '' ? inNamespace : `(${inNamespace}) && (${selector})`
}

const ACTIONS = { Allow: 'allow', Deny: 'deny', Pass: 'pass', Log: 'log' } as const

/** `TCP` → `tcp`; numbers stay. */
function backendProtocol(protocol: CalicoProtocol): string | number {
  return typeof protocol === 'number' ? protocol : protocol.toLowerCase()
}

/** Masked, and always with its length: `10.1.2.3` → `10.1.2.3/32` (rules.go ConvertStringsToNets). IPv6 stays as it is: no rule of IPv4 has it. */
export function netText(net: Net): string {
  return net.family === 4 ? formatCidr(net.cidr) : net.text
}

function backendSide(entity: EntityRule, namespace: string): BackendSide {
  const { services } = entity
  return {
    selector: peerSelector(entity, namespace),
    notSelector: entity.notSelector,
    nets: entity.nets.map(netText),
    notNets: entity.notNets.map(netText),
    ports: entity.ports,
    notPorts: entity.notPorts,
    // without a namespace it is nobody's: the policy's own is not put in (rules.go RuleAPIV3ToBackend)
    ...(services === undefined ? {} : { service: `${services.namespace}/${services.name}` }),
  }
}

export function backendRule(rule: PolicyRule, namespace: string, provenance: Provenance): BackendRule {
  const { ipVersion, protocol, notProtocol, icmp, notIcmp } = rule
  return {
    action: ACTIONS[rule.action],
    ...(ipVersion === undefined ? {} : { ipVersion }),
    ...(protocol === undefined ? {} : { protocol: backendProtocol(protocol) }),
    ...(notProtocol === undefined ? {} : { notProtocol: backendProtocol(notProtocol) }),
    ...(icmp === undefined ? {} : { icmp }),
    ...(notIcmp === undefined ? {} : { notIcmp }),
    source: backendSide(rule.source, namespace),
    destination: backendSide(rule.destination, namespace),
    annotations: rule.annotations,
    provenance,
  }
}

/** `NetworkPolicy/default/web ingress rule 2`, and where it stands. */
export function ruleProvenance(label: string, direction: PolicyDirection, index: number, place: { readonly file: string; readonly line: number }): Provenance {
  return { by: 'felix', object: `${label} ${direction} rule ${index + 1}`, ...placeOf(place) }
}

export function placeOf({ file, line }: { readonly file: string; readonly line: number }): { readonly file?: string; readonly line?: number } {
  return file === '' ? {} : { file, line }
}

export function backendPolicy(policy: CalicoPolicy): BackendPolicy {
  const label = `${policy.kind}/${policy.namespace === '' ? '' : `${policy.namespace}/`}${policy.name}`
  const rules = (direction: PolicyDirection): BackendRule[] =>
    policy[direction].map((rule, i) => backendRule(rule, policy.namespace, ruleProvenance(label, direction, i, rule)))
  return {
    id: { kind: policy.kind, namespace: policy.namespace, name: policy.name },
    tier: policy.tier === '' ? 'default' : policy.tier,
    order: policy.order,
    selector: policySelector(policy),
    types: policy.types,
    untracked: policy.doNotTrack,
    preDnat: policy.preDNAT,
    applyOnForward: policy.applyOnForward,
    ingress: rules('ingress'),
    egress: rules('egress'),
    provenance: { by: 'felix', object: label, ...placeOf(policy) },
  }
}

export function backendProfile(profile: Profile): BackendProfile {
  const label = `Profile/${profile.name}`
  const rules = (direction: PolicyDirection): BackendRule[] =>
    profile[direction].map((rule, i) => backendRule(rule, '', ruleProvenance(label, direction, i, rule)))
  return {
    name: profile.name,
    ingress: rules('ingress'),
    egress: rules('egress'),
    labels: profile.labelsToApply,
    provenance: { by: 'felix', object: label, ...placeOf(profile) },
  }
}
