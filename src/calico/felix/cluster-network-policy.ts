/**
 * ClusterNetworkPolicy in Calico's words: tiers kube-admin and kube-baseline, priority as order, every rule one rule for each protocol and
 * peer. After libcalico-go/lib/backend/k8s/conversion/clusternetworkpolicy.go (v3.32.1).
 */
import { parseNet } from '../../cluster/calico/resource-reader.js'
import type { ClusterNetworkPolicy, ClusterPolicyPeer, ClusterPolicyProtocol, ClusterPolicyRule } from '../../cluster/calico/cluster-network-policy.js'
import type { EntityRule, PolicyDirection, PolicyRule, RuleAction } from '../../cluster/calico/policy.js'
import type { CalicoPort } from '../../cluster/calico/resource.js'
import { backendRule, placeOf, policySelector, ruleProvenance, type BackendPolicy, type BackendRule } from './backend-policy.js'
import { ANYONE, namespaceSelectorText, podSelectorText, simplifyPorts } from './kubernetes-policy.js'
import { compareText } from './static-tables.js'

const TIERS = { Admin: 'kube-admin', Baseline: 'kube-baseline' } as const
const ACTIONS: ReadonlyMap<string, RuleAction> = new Map([
  ['Accept', 'Allow'],
  ['Deny', 'Deny'],
  ['Pass', 'Pass'],
])
/** The annotation that carries a rule's name, and with it a comment on each of its iptables rules. */
const NAME_ANNOTATION = 'name'

/** undefined: a network of it cannot be read, or no field is there that Calico knows. The last field wins where there are several. */
function peerEntity(peer: ClusterPolicyPeer): EntityRule | undefined {
  const { namespaces, pods, networks } = peer
  const nets = networks.map((text) => (text.includes('/') ? parseNet(text) : undefined))
  if (nets.includes(undefined) || (namespaces === undefined && pods === undefined && nets.length === 0)) return undefined
  return {
    ...ANYONE,
    ...(namespaces === undefined ? {} : { namespaceSelector: namespaceSelectorText(namespaces) }),
    ...(pods === undefined ? {} : { selector: podSelectorText(pods.podSelector), namespaceSelector: namespaceSelectorText(pods.namespaceSelector) }),
    nets: nets.filter((net) => net !== undefined),
  }
}

/** Protocol → its ports, none of them: all. Named ports stand under the empty protocol. undefined: a port range runs backwards. */
function portsByProtocol(protocols: readonly ClusterPolicyProtocol[]): ReadonlyMap<string, readonly CalicoPort[]> | undefined {
  const everything = new Map([['', []]])
  if (protocols.length === 0) return everything
  const byProtocol = new Map<string, readonly CalicoPort[]>()
  for (const { protocol = '', port, namedPort } of protocols) {
    if (port !== undefined && port.from > port.to) return undefined
    // an entry that says nothing ends the list, whatever stood before it
    if (protocol === '' && namedPort === undefined) return everything
    const added: CalicoPort | undefined = protocol === '' ? { name: namedPort ?? '' } : port
    const known = byProtocol.get(protocol)
    if (added === undefined) byProtocol.set(protocol, [])
    else if (known === undefined || known.length > 0) byProtocol.set(protocol, [...(known ?? []), added])
  }
  return byProtocol
}

/** undefined: the rule cannot be converted. */
function convertRule(rule: ClusterPolicyRule, direction: PolicyDirection): readonly PolicyRule[] | undefined {
  const action = ACTIONS.get(rule.action)
  const byProtocol = portsByProtocol(rule.protocols)
  if (action === undefined || byProtocol === undefined) return undefined
  const entities = rule.peers.map(peerEntity)
  if (entities.includes(undefined)) return undefined
  return [...byProtocol]
    .sort(([a], [b]) => compareText(a, b))
    .flatMap(([protocol, ports]) =>
      entities.map((entity = ANYONE): PolicyRule => {
        const simple = simplifyPorts(ports)
        return {
          action,
          ...(protocol === '' ? {} : { protocol }),
          source: direction === 'ingress' ? entity : ANYONE,
          destination: direction === 'ingress' ? { ...ANYONE, ports: simple } : { ...entity, ports: simple },
          annotations: rule.name === '' ? {} : { [NAME_ANNOTATION]: rule.name },
          file: rule.file,
          line: rule.line,
        }
      }),
    )
}

/** What stands in for a rule that cannot be converted: Accept would open, and is left out; the others deny everything. */
function failClosed(rule: ClusterPolicyRule): readonly PolicyRule[] {
  if (rule.action !== 'Deny' && rule.action !== 'Pass') return []
  return [{ action: 'Deny', source: ANYONE, destination: ANYONE, annotations: {}, file: rule.file, line: rule.line }]
}

export function clusterNetworkPolicy(policy: ClusterNetworkPolicy): BackendPolicy {
  const { name, subject } = policy
  const label = `ClusterNetworkPolicy/${name}`
  const rules = (direction: PolicyDirection): BackendRule[] =>
    policy[direction].flatMap((rule, i) =>
      (convertRule(rule, direction) ?? failClosed(rule)).map((converted) => backendRule(converted, '', ruleProvenance(label, direction, i, rule))),
    )
  const ingress = rules('ingress')
  const egress = rules('egress')
  const used = [...(ingress.length > 0 ? (['ingress'] as const) : []), ...(egress.length > 0 ? (['egress'] as const) : [])]
  const pods = 'pods' in subject ? subject.pods : { namespaceSelector: subject.namespaces, podSelector: undefined }
  return {
    id: { kind: 'KubernetesClusterNetworkPolicy', namespace: '', name },
    tier: TIERS[policy.tier],
    order: policy.priority,
    selector: policySelector({
      namespace: '',
      // the term of the orchestrator keeps host endpoints out
      selector: podSelectorText(pods.podSelector),
      serviceAccountSelector: '',
      namespaceSelector: namespaceSelectorText(pods.namespaceSelector),
    }),
    // without rules no type is written, which is read as both (ExtractPolicyMetadata); the tier passes on, so nothing comes of it
    types: used.length === 0 ? ['ingress', 'egress'] : used,
    untracked: false,
    preDnat: false,
    applyOnForward: false,
    ingress,
    egress,
    provenance: { by: 'felix', object: label, ...placeOf(policy) },
  }
}
