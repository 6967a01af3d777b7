/**
 * What Felix's names stand for: chains → policies and profiles, IP sets → selectors and services, addresses → endpoints and their labels. From
 * what the names were made from, so that rules can be told in the words of whoever wrote the policy.
 */
import type { Ip } from '../../base/ip.js'
import type { Labels } from '../../cluster/labels.js'
import type { Selector } from '../../cluster/selector.js'
import type { CalicoCluster } from '../calico-cluster.js'
import type { PolicyBook, PolicyChain, ProfileChain } from '../policy-book.js'
import { inheritedLabels } from './endpoint-index.js'
import type { FelixPolicies } from './felix.js'
import { ipsetName, isStaged, policyChain, profileChain, qualifiedName, SET, type PolicyId } from './names.js'
import type { SetDefinition } from './rule-scanner.js'
import { mismatchWords, selectorWords, wantedLabels } from './selector-words.js'

/** Sets that are there whatever the policies are. */
const STATIC_SETS: Readonly<Record<string, string>> = {
  [SET.allHosts]: "the nodes' addresses",
  [SET.allVxlan]: "the nodes' VTEPs",
  [SET.thisHost]: "this node's addresses",
  [SET.masqueradePools]: 'the pools with natOutgoing',
  'network-ip-pools': 'the IP pools',
  'all-ipam-pools': 'the IP pools',
}

export class FelixBook implements PolicyBook {
  readonly policies = new Map<string, PolicyChain>()
  readonly profiles = new Map<string, ProfileChain>()
  private readonly sets = new Map<string, SetDefinition>()
  private readonly labels = new Map<Ip, Labels>()

  constructor({ release, endpoints, resources }: CalicoCluster, { resolver, scanner, profiles, profileLabels }: FelixPolicies) {
    const workloads = [...endpoints.values()].flat()
    const hosts = resources.hostEndpoints
    const used = new Set([...[...workloads, ...hosts].flatMap((endpoint) => endpoint.profiles), ...profiles.keys()])
    for (const direction of ['ingress', 'egress'] as const) {
      for (const tier of resolver.tiers) {
        for (const { policy, selector } of tier.policies) {
          if (isStaged(policy.id)) continue
          this.policies.set(policyChain(policy.id, direction, { release, tier: tier.name }), {
            label: policyLabel(policy.id),
            tier: tier.name,
            direction,
            selector: selectorWords(selector),
            rules: new Set(policy[direction].map(({ provenance }) => provenance.object)).size,
            provenance: policy.provenance,
          })
        }
      }
      for (const name of used) this.profiles.set(profileChain(name, direction), { name, direction })
    }
    for (const [id, set] of scanner.sets) this.sets.set(ipsetName(4, id), set)
    const know = (address: Ip, endpoint: { readonly labels: Labels; readonly profiles: readonly string[] }): void =>
      void this.labels.set(address, inheritedLabels(endpoint.labels, endpoint.profiles, profileLabels))
    for (const endpoint of workloads) for (const { base } of endpoint.ipNetworks) know(base, endpoint)
    for (const endpoint of hosts) for (const address of endpoint.expectedIPs) know(address, endpoint)
  }

  setWords(name: string): string | undefined {
    const set = this.sets.get(name)
    if (set === undefined) return STATIC_SETS[name.replace(/^cali40/, '')]
    switch (set.kind) {
      case 'selector':
        return `selector ${selectorWords(set.selector)}`
      case 'namedPort':
        return `port '${set.port}'${set.protocol === 'any' ? '' : ` (${set.protocol})`} of selector ${selectorWords(set.selector)}`
      case 'service':
        return `service ${set.service}`
    }
  }

  mismatch(name: string, address: Ip): readonly string[] {
    const selector = this.selectorOf(name)
    const labels = this.labels.get(address)
    if (selector === undefined) return []
    return labels === undefined ? ['is the address of no endpoint'] : mismatchWords(selector, labels)
  }

  wanted(name: string, address: Ip): readonly string[] | undefined {
    const selector = this.selectorOf(name)
    const labels = this.labels.get(address)
    return selector === undefined || labels === undefined ? undefined : wantedLabels(selector, labels)
  }

  private selectorOf(name: string): Selector | undefined {
    const set = this.sets.get(name)
    return set === undefined || set.kind === 'service' ? undefined : set.selector
  }
}

/** `NetworkPolicy` alone is Kubernetes' own. */
function policyLabel(id: PolicyId): string {
  const kind = id.kind.startsWith('Kubernetes') ? id.kind.slice('Kubernetes'.length) : id.kind === 'NetworkPolicy' ? 'Calico NetworkPolicy' : id.kind
  return `${kind} ${qualifiedName(id)}`
}
