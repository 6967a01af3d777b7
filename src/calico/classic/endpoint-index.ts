/**
 * What every Felix knows of all endpoints: who has a tag, whom a selector selects, and which policies of which tiers apply to an endpoint.
 * Source: felix 1.4.9 calico/felix/ipsets.py (IpsetManager), labels.py (LabelInheritanceIndex), endpoint.py (_update_tiered_policy).
 */
import { assert } from '../../base/assert.js'
import { compareIp, formatIp, type Ip } from '../../base/ip.js'
import type {
  ClassicHostEndpoint,
  ClassicModel,
  ClassicPolicy,
  ClassicProfile,
  ClassicTier,
  ClassicWorkloadEndpoint,
} from '../../cluster/calico/classic-model.js'
import type { Labels } from '../../cluster/labels.js'
import { isSelectorFault, matchesCalicoSelector, parseSelector, type Selector } from '../../cluster/selector.js'

type Endpoint = ClassicWorkloadEndpoint | ClassicHostEndpoint

/** A tier as one endpoint meets it. */
export interface AppliedTier {
  readonly tier: string
  readonly policies: readonly ClassicPolicy[]
}

interface Entry {
  readonly endpoint: Endpoint
  readonly labels: Labels
}

export class ClassicIndex {
  private readonly entries: readonly Entry[]
  /** Every node asks for the same sets. */
  private readonly members = new Map<string, readonly string[]>()
  private readonly profiles: ReadonlyMap<string, ClassicProfile>
  private readonly policies: readonly { readonly policy: ClassicPolicy; readonly selector: Selector }[]

  constructor({ workloadEndpoints, hostEndpoints, profiles, policies, tiers }: ClassicModel) {
    this.profiles = new Map(profiles.map((profile) => [profile.name, profile]))
    this.entries = [...workloadEndpoints, ...hostEndpoints].map((endpoint) => ({ endpoint, labels: this.labelsOf(endpoint) }))
    const orders = new Map(tiers.map(({ name, order }): [ClassicTier['name'], number] => [name, order]))
    // a policy of a tier that is not there is never asked
    const known = policies.filter(({ tier }) => orders.has(tier))
    const orderOf = ({ tier }: ClassicPolicy): number => orders.get(tier) ?? Infinity
    this.policies = known
      .toSorted((a, b) => compare(orderOf(a), orderOf(b)) || compare(a.tier, b.tier) || compare(a.order, b.order) || compare(a.name, b.name))
      .map((policy) => ({ policy, selector: readSelector(policy.selector) }))
  }

  profile(name: string): ClassicProfile | undefined {
    return this.profiles.get(name)
  }

  /** Addresses of the endpoints of which some profile has the tag, as text, in their order. */
  taggedWith(tag: string): readonly string[] {
    return this.addressesOf(`tag ${tag}`, ({ endpoint }) => endpoint.profiles.some((name) => this.profiles.get(name)?.tags.includes(tag) === true))
  }

  selectedBy(selector: string): readonly string[] {
    const wanted = readSelector(selector)
    return this.addressesOf(`selector ${wanted.text}`, ({ labels }) => matchesCalicoSelector(wanted, labels))
  }

  /** Tiers of which no policy selects the endpoint are not there for it. */
  tiersOf(endpoint: Endpoint, kind: 'tracked' | 'untracked'): readonly AppliedTier[] {
    const labels = this.labelsOf(endpoint)
    const tiers = new Map<string, ClassicPolicy[]>()
    for (const { policy, selector } of this.policies) {
      if (policy.untracked !== (kind === 'untracked') || !matchesCalicoSelector(selector, labels)) continue
      tiers.set(policy.tier, [...(tiers.get(policy.tier) ?? []), policy])
    }
    return [...tiers].map(([tier, policies]) => ({ tier, policies }))
  }

  /** The endpoint's own win over its profiles', a later profile's over an earlier's. */
  private labelsOf({ labels, profiles }: Endpoint): Labels {
    return Object.assign({}, ...profiles.map((name) => this.profiles.get(name)?.labels ?? {}), labels) as Labels
  }

  /** Of a host endpoint the expected addresses alone count: those of its interface are not looked up. */
  private addressesOf(set: string, isWanted: (entry: Entry) => boolean): readonly string[] {
    const known = this.members.get(set)
    if (known !== undefined) return known
    const addresses = new Set<Ip>()
    for (const entry of this.entries) {
      if (!isWanted(entry)) continue
      const { endpoint } = entry
      for (const address of 'ipNetworks' in endpoint ? endpoint.ipNetworks.map(({ base }) => base) : endpoint.expectedIPs) addresses.add(address)
    }
    const members = [...addresses].sort(compareIp).map(formatIp)
    this.members.set(set, members)
    return members
  }
}

/** The readers let no other through. */
function readSelector(text: string): Selector {
  const selector = parseSelector(text)
  assert(!isSelectorFault(selector), `an unread selector: ${text}`)
  return selector
}

function compare<Value extends string | number>(a: Value, b: Value): number {
  return a < b ? -1 : a > b ? 1 : 0
}
