/**
 * Felix's names: of chains, of IP sets, of policies. After felix/rules/rule_defs.go, felix/rules/policy.go, felix/types/policy_id.go and
 * felix/ipsets/ipset_defs.go.
 */
import { base64url, sha1, sha3_224 } from '../../base/sha.js'
import { macOf, type Mac } from '../../base/mac.js'
import type { PolicyDirection } from '../../cluster/calico/policy.js'
import type { CalicoProfile } from '../version.js'
import { lengthLimitedId, MAX_CHAIN_NAME } from './hash.js'
import type { Family } from './rule.js'

export const CHAIN = {
  input: 'cali-INPUT',
  forward: 'cali-FORWARD',
  output: 'cali-OUTPUT',
  prerouting: 'cali-PREROUTING',
  postrouting: 'cali-POSTROUTING',
  workloadToHost: 'cali-wl-to-host',
  fromWorkload: 'cali-from-wl-dispatch',
  toWorkload: 'cali-to-wl-dispatch',
  fromHostEndpoint: 'cali-from-host-endpoint',
  toHostEndpoint: 'cali-to-host-endpoint',
  fromHostEndpointForward: 'cali-from-hep-forward',
  toHostEndpointForward: 'cali-to-hep-forward',
  cidrBlock: 'cali-cidr-block',
  failsafeIn: 'cali-failsafe-in',
  failsafeOut: 'cali-failsafe-out',
  rpfSkip: 'cali-rpf-skip',
  wireguardIncomingMark: 'cali-wireguard-incoming-mark',
  natOutgoing: 'cali-nat-outgoing',
  floatingDnat: 'cali-fip-dnat',
  floatingSnat: 'cali-fip-snat',
  egressDscp: 'cali-egress-dscp',
  forwardCheck: 'cali-forward-check',
  setEndpointMark: 'cali-set-endpoint-mark',
  fromEndpointMark: 'cali-from-endpoint-mark',
  forwardEndpointMark: 'cali-forward-endpoint-mark',
} as const

/** Prefixes of the chains of one endpoint; `from` and `to` are seen from the endpoint's interface. */
export const ENDPOINT_PREFIX = {
  toWorkload: 'cali-tw-',
  fromWorkload: 'cali-fw-',
  toHost: 'cali-th-',
  fromHost: 'cali-fh-',
  toHostForward: 'cali-thfw-',
  fromHostForward: 'cali-fhfw-',
  setMark: 'cali-sm-',
} as const

/** The interface name under which the chains of a host endpoint with interfaceName `*` stand. */
export const ALL_INTERFACES = 'any-interface-at-all'

export const SET = {
  masqueradePools: 'masq-ipam-pools',
  thisHost: 'this-host',
  allHosts: 'all-hosts-net',
  allVxlan: 'all-vxlan-net',
  dscpSources: 'dscp-src-net',
  istioWorkloads: 'all-istio-weps',
} as const

/** Chains never get longer than iptables takes. */
export function endpointChain(prefix: string, interfaceName: string): string {
  return lengthLimitedId(prefix, interfaceName, MAX_CHAIN_NAME)
}

type PolicyKind =
  | 'NetworkPolicy'
  | 'GlobalNetworkPolicy'
  | 'KubernetesNetworkPolicy'
  | 'KubernetesClusterNetworkPolicy'
  | 'StagedNetworkPolicy'
  | 'StagedGlobalNetworkPolicy'
  | 'StagedKubernetesNetworkPolicy'

export interface PolicyId {
  readonly kind: PolicyKind
  /** Empty for policies of the cluster. */
  readonly namespace: string
  readonly name: string
}

const SHORT_KINDS: Readonly<Record<PolicyKind, string>> = {
  NetworkPolicy: 'np',
  GlobalNetworkPolicy: 'gnp',
  KubernetesNetworkPolicy: 'knp',
  KubernetesClusterNetworkPolicy: 'kcnp',
  StagedNetworkPolicy: 'snp',
  StagedGlobalNetworkPolicy: 'sgnp',
  StagedKubernetesNetworkPolicy: 'sknp',
}

export function shortKind(kind: PolicyKind): string {
  return SHORT_KINDS[kind]
}

/** Its effect is only reported, never rendered. */
export function isStaged({ kind }: PolicyId): boolean {
  return kind.startsWith('Staged')
}

/** `default/web`, `deny-80`. */
export function qualifiedName({ namespace, name }: PolicyId): string {
  return namespace === '' ? name : `${namespace}/${name}`
}

/** `knp/default/web`. */
export function policyIdText(id: PolicyId): string {
  return `${SHORT_KINDS[id.kind]}/${qualifiedName(id)}`
}

/** Until v3.31 a Kubernetes policy was a NetworkPolicy of another name. */
export function releaseName(id: PolicyId, release: Pick<CalicoProfile, 'kubernetesPolicyName'>): PolicyId {
  if (release.kubernetesPolicyName === 'as is' || id.kind !== 'KubernetesNetworkPolicy') return id
  return { kind: 'NetworkPolicy', namespace: id.namespace, name: `${release.kubernetesPolicyName}${id.name}` }
}

/** `cali-pi-…`, `cali-po-…`. */
export function policyChain(id: PolicyId, direction: PolicyDirection, options: { readonly release: CalicoProfile; readonly tier: string }): string {
  const { release, tier } = options
  const named = releaseName(id, release)
  const suffix = release.policyId === 'kind' ? policyIdText(id) : release.policyId === 'tier' ? `${tier}/${qualifiedName(named)}` : qualifiedName(named)
  return lengthLimitedId(direction === 'ingress' ? 'cali-pi-' : 'cali-po-', suffix, MAX_CHAIN_NAME)
}

/** `cali-pri-…`, `cali-pro-…`. */
export function profileChain(name: string, direction: PolicyDirection): string {
  return lengthLimitedId(direction === 'ingress' ? 'cali-pri-' : 'cali-pro-', name, MAX_CHAIN_NAME)
}

const GROUP_PREFIX = 'cali-gi-'

interface NamedGroup {
  readonly selector: string
  readonly policies: readonly PolicyId[]
}

/** Endpoints by the thousand share a few groups. Only ever a shorter way to the same answer. */
const groupNames = new WeakMap<NamedGroup, Map<string, string>>()

/** The chain of a run of policies with one selector. */
export function groupChain(group: NamedGroup, direction: PolicyDirection, release: CalicoProfile): string {
  const names = groupNames.get(group) ?? new Map<string, string>()
  groupNames.set(group, names)
  const key = `${release.version} ${direction}`
  const name = names.get(key) ?? hashedGroup(group, direction, release)
  names.set(key, name)
  return name
}

function hashedGroup(group: NamedGroup, direction: PolicyDirection, release: CalicoProfile): string {
  const lines = group.policies.map((id) => {
    if (release.groupIdByKind) return `{Name: ${id.name}, Namespace: ${id.namespace}, Kind: ${id.kind}}`
    return qualifiedName(releaseName(id, release))
  })
  const content = [group.selector, direction === 'ingress' ? 'inbound' : 'outbound', `${group.policies.length}`, ...lines]
  const uid = base64url(sha3_224(content.map((line) => `${line}\n`).join(''))).slice(0, MAX_CHAIN_NAME - GROUP_PREFIX.length)
  return `${direction === 'ingress' ? GROUP_PREFIX : 'cali-go-'}${uid}`
}

const MAX_IPSET_NAME = 31

/** `cali40` + the set's ID, cut to what ipset takes. */
export function ipsetName(family: Family, id: string): string {
  return `cali${family}0${id}`.slice(0, MAX_IPSET_NAME)
}

/** The MAC of a node's VXLAN device: `f` and the first five bytes of the name's SHA-1 (felix/calc/vxlan_resolver.go). */
export function vtepMac(node: string, family: Family): Mac {
  const [a, b, c, d, e] = sha1(family === 4 ? node : `${node}-v6`)
  return macOf((0x66 << 8) | a, (b << 24) | (c << 16) | (d << 8) | e)
}
