/**
 * ClusterNetworkPolicy → the rule model. Its networks match pods and nodes by their addresses too, and ICMP. A rule with a peer that cannot be
 * read fails closed: Accept matches nothing, Deny and Pass deny everything.
 * Source: sigs.k8s.io/network-policy-api apis/v1alpha2 (words of the fields).
 */
import type { ClusterNetworkPolicy, ClusterPolicyPeer, ClusterPolicyProtocol, ClusterPolicyRule } from '../../cluster/calico/cluster-network-policy.js'
import { isKnownPeer } from '../../cluster/calico/read-cluster-network-policy.js'
import type { LabelSelector } from '../../cluster/labels.js'
import type { Path } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import type { ProblemList } from '../../cluster/problem-list.js'
import type { Action, Direction, Peer, Policy, PolicyRule, Switches } from '../model.js'
import { endpointsInNamespaces } from './calico-selectors.js'
import {
  ANY_PORT,
  clusterSubject,
  everybody,
  labelPeer,
  domainNamesPeer,
  networksPeer,
  neverCondition,
  nodesPeer,
  placeIn,
  portsOf,
  type PortChoice,
} from './parts.js'

const ACTIONS: ReadonlyMap<string, Action> = new Map([
  ['Accept', 'allow'],
  ['Deny', 'deny'],
  ['Pass', 'pass'],
])

/** @param setsToo there are network sets or host endpoints, which peers by namespace may match with Calico */
export function clusterPolicies(
  policies: readonly ClusterNetworkPolicy[],
  { as }: Switches,
  problems: ProblemList,
  { setsToo = false }: { readonly setsToo?: boolean } = {},
): readonly Policy[] {
  return policies.map((policy) => {
    const rules = (direction: Direction): PolicyRule[] =>
      policy[direction].map((rule, index) => clusterRule(rule, index, direction, { policy, knowsNodes: as !== 'calico', setsToo, problems }))
    return {
      kind: 'ClusterNetworkPolicy',
      namespace: '',
      name: policy.name,
      order: policy.priority,
      ...clusterSubject(policy.subject, policy.object),
      directions: (['ingress', 'egress'] as const).filter((direction) => policy[direction].length > 0),
      ingress: rules('ingress'),
      egress: rules('egress'),
      file: policy.file,
      line: policy.line,
    }
  })
}

interface Reading {
  readonly policy: ClusterNetworkPolicy
  /** The fields of the experimental channel; Calico 3.32 does without. */
  readonly knowsNodes: boolean
  readonly setsToo: boolean
  readonly problems: ProblemList
}

function clusterRule(rule: ClusterPolicyRule, index: number, direction: Direction, reading: Reading): PolicyRule {
  const path = ['spec', direction, index]
  const field = direction === 'ingress' ? 'from' : 'to'
  const place = placeIn(reading.policy.object, path)
  const head = { index, ...(rule.name === '' ? {} : { name: rule.name }), local: [], ...place }
  const unread = rule.peers.findIndex((peer) => !canRead(peer, reading))
  if (unread < 0) {
    const peers = rule.peers.map((peer, i) => clusterPeer(peer, [...path, field, i], reading))
    return { ...head, action: ACTIONS.get(rule.action) ?? 'deny', peers, ports: portsOf(rule.protocols.map(portChoice)) }
  }
  const at = placeIn(reading.policy.object, [...path, field, unread])
  if (isKnownPeer(rule.peers[unread])) {
    const what = `a peer that Calico cannot read: the rule ${rule.action === 'Accept' ? 'matches nothing' : 'denies everything'}`
    reading.problems.warning(at, reading.policy.object?.label ?? reading.policy.name, what, 'It knows namespaces, pods and networks.')
  }
  if (rule.action === 'Accept') {
    const words = 'a peer of an unknown kind'
    return { ...head, action: 'allow', peers: [{ conditions: [neverCondition(words, at)], words, ...at }], ports: portsOf(rule.protocols.map(portChoice)) }
  }
  return { ...head, action: 'deny', peers: [everybody(at)], ports: ANY_PORT }
}

function canRead(peer: ClusterPolicyPeer, { knowsNodes }: Reading): boolean {
  return isKnownPeer(peer) && (knowsNodes || (peer.nodes === undefined && peer.domainNames === undefined))
}

function clusterPeer(peer: ClusterPolicyPeer, path: Path, { policy: { object }, setsToo, problems }: Reading): Peer {
  const { namespaces, pods, networks, nodes, domainNames } = peer
  if (setsToo && namespaces !== undefined && pods === undefined && networks.length === 0) return calicoNamespacesPeer(namespaces, { object, path })
  if (networks.length > 0) return networksPeer(networks, { object, path, podsToo: true })
  if (nodes !== undefined) return nodesPeer(nodes, { object, path })
  if (domainNames !== undefined) {
    const what = `${domainNames.join(', ')}: which addresses these names have is not known, so the peer matches nobody`
    problems.warning(placeIn(object, path), object?.label ?? '', what, 'Name the addresses by networks.')
    return domainNamesPeer(domainNames, { object, path })
  }
  return labelPeer(pods === undefined ? { namespaces: namespaces ?? {} } : { pods }, { object, path })
}

/**
 * To Calico namespaces are labels that endpoints have: network sets have those of their namespace, and whatever has no namespace lacks them all, so that a
 * selector that only excludes takes in global network sets and host endpoints (libcalico-go/lib/backend/k8s/conversion/clusternetworkpolicy.go).
 */
function calicoNamespacesPeer(namespaces: LabelSelector, where: { readonly object: KubernetesObject | undefined; readonly path: Path }): Peer {
  const peer = labelPeer({ namespaces }, where)
  const conditions = peer.conditions.map((condition) =>
    condition.kind === 'labels' ? { ...condition, of: 'endpoint' as const, selector: endpointsInNamespaces(condition.selector) } : condition,
  )
  return { ...peer, conditions }
}

function portChoice({ protocol, port, namedPort }: ClusterPolicyProtocol): PortChoice {
  if (protocol === undefined) return { kind: 'name', port: { name: namedPort ?? '' } }
  return port === undefined ? { kind: 'numbers', protocol } : { kind: 'numbers', protocol, first: port.from, last: port.to }
}
