/**
 * What is in force where Calico enforces: its tiers by their order, with Kubernetes' policies inside them.
 *
 *   kube-admin (ClusterNetworkPolicy) ─▶ tiers of one's own … ─▶ default (its end denies; NetworkPolicies of Kubernetes have the order 1000)
 *     … ─▶ kube-baseline ─▶ profiles
 *
 * A pod's profile is its namespace's, which allows everything; a host endpoint has those that it names, and denies the rest.
 * Source: felix/calc/policy_sorter.go, felix/rules/endpoints.go, libcalico-go/lib/names/policy.go (calico v3.32.1).
 */
import { grouped } from '../../base/grouped.js'
import { checkTiersExist } from '../../cluster/calico/policy-checks.js'
import type { HostEndpoint } from '../../cluster/calico/endpoint.js'
import type { CalicoPolicy, Profile } from '../../cluster/calico/policy.js'
import type { PolicyState } from '../../cluster/policy-state.js'
import type { ProblemList } from '../../cluster/problem-list.js'
import type { Policy, Switches, Tier } from '../model.js'
import { calicoRules } from './calico-rules.js'
import { subjectSelector } from './calico-selectors.js'
import { clusterPolicies } from './cluster.js'
import { failsafePolicies } from './failsafe.js'
import { hostEndpointCondition } from './host-endpoints.js'
import { kubernetesPolicies } from './kubernetes.js'
import { ANY_PORT, everybody, placeIn } from './parts.js'

interface TierHead {
  readonly name: string
  readonly order: number
  readonly defaultAction: 'Deny' | 'Pass'
}

/** Those that Calico makes itself, and lets nobody change. */
const BUILT_IN: readonly TierHead[] = [
  { name: 'kube-admin', order: 1000, defaultAction: 'Pass' },
  { name: 'default', order: 1_000_000, defaultAction: 'Deny' },
  { name: 'kube-baseline', order: 10_000_000, defaultAction: 'Pass' },
]
const KUBERNETES_ORDER = 1000

export function calicoTiers(state: PolicyState, switches: Switches, problems: ProblemList): readonly Tier[] {
  const enforced = state.calicoPolicies.filter((policy) => !policy.staged && !isForHostsAlone(policy))
  nameLeftOut(state, problems)
  checkTiersExist(enforced, [...BUILT_IN, ...state.calicoTiers], problems)
  const placed: Placed[] = [
    ...enforced.map((policy) => ({ tier: policy.tier, order: policy.order, kind: policy.kind, policy: calicoPolicy(policy) })),
    ...kubernetesPolicies(state.kubernetesPolicies, state.namespaces, switches, problems).map((policy) => ({
      tier: 'default',
      order: KUBERNETES_ORDER,
      kind: 'KubernetesNetworkPolicy',
      policy,
    })),
    ...(['Admin', 'Baseline'] as const).flatMap((tier) =>
      clusterPolicies(
        state.clusterNetworkPolicies.filter((policy) => policy.tier === tier),
        switches,
        problems,
        { setsToo: state.networkSets.length + state.hostEndpoints.length > 0 },
      ).map((policy) => ({
        tier: tier === 'Admin' ? 'kube-admin' : 'kube-baseline',
        order: policy.order ?? Infinity,
        kind: 'KubernetesClusterNetworkPolicy',
        policy,
      })),
    ),
  ]
  const failsafe: Tier = { name: 'failsafe', policies: failsafePolicies(state), atEnd: 'next' }
  const profiles: Tier = { name: 'profiles', policies: hostProfiles(state, problems), atEnd: 'deny' }
  return [failsafe, ...sortedTiers(state, placed), profiles]
}

interface Placed {
  readonly tier: string
  readonly order: number
  /** By which Calico sorts. */
  readonly kind: string
  readonly policy: Policy
}

/** Declared tiers by order and name; those that nobody declared come behind them, and their end denies. */
function sortedTiers({ calicoTiers: declared }: PolicyState, placed: readonly Placed[]): readonly Tier[] {
  const own = declared.filter(({ name }) => !BUILT_IN.some((tier) => tier.name === name))
  const known: readonly TierHead[] = [...BUILT_IN, ...own].sort((a, b) => compare(a.order, b.order) || compare(a.name, b.name))
  const names = new Set(known.map(({ name }) => name))
  const unknown = [...new Set(placed.map(({ tier }) => tier))].filter((name) => !names.has(name)).sort(compare)
  const all: readonly Pick<TierHead, 'name' | 'defaultAction'>[] = [...known, ...unknown.map((name) => ({ name, defaultAction: 'Deny' as const }))]
  return all.map(({ name, defaultAction }) => ({
    name,
    policies: placed
      .filter(({ tier }) => tier === name)
      .sort((a, b) => compare(a.order, b.order) || compare(sortKey(a), sortKey(b)))
      .map(({ policy }) => policy),
    atEnd: defaultAction === 'Pass' ? 'next' : 'deny',
  }))
}

/** Infinity less Infinity is no number. */
function compare<Value extends number | string>(a: Value, b: Value): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function sortKey({ kind, policy: { name, namespace } }: Placed): string {
  return `${name}/${namespace}/${kind}`
}

function calicoPolicy(policy: CalicoPolicy): Policy {
  const { object, namespace, name, order, types, file, line } = policy
  const place = placeIn(object, ['spec', policy.selector === '' && policy.namespaceSelector !== '' ? 'namespaceSelector' : 'selector'])
  const words = subjectWords(policy)
  const home = { namespace, object }
  return {
    kind: namespace === '' ? 'GlobalNetworkPolicy' : 'CalicoNetworkPolicy',
    namespace,
    name,
    ...(order === Infinity ? {} : { order }),
    subject: [{ kind: 'labels', of: 'endpointItself', selector: subjectSelector(policy), words, ...place }],
    subjectWords: words,
    directions: types,
    ingress: calicoRules(policy, 'ingress', home),
    egress: calicoRules(policy, 'egress', home),
    file,
    line,
  }
}

function subjectWords({ namespace, selector, namespaceSelector, serviceAccountSelector }: CalicoPolicy): string {
  const parts = [
    selector === '' ? (namespace === '' ? 'every endpoint' : 'every pod') : selector,
    ...(namespaceSelector === '' || namespace !== '' ? [] : [`in namespaces ${namespaceSelector}`]),
    ...(serviceAccountSelector === '' ? [] : [`with service accounts ${serviceAccountSelector}`]),
    ...(namespace === '' ? [] : [`of namespace ${namespace}`]),
  ]
  return parts.join(' ')
}

/** Asked for host endpoints, before connections are tracked or addresses rewritten. */
function isForHostsAlone({ doNotTrack, preDNAT }: CalicoPolicy): boolean {
  return doNotTrack || preDNAT
}

/** What plays no part in the answers is named, each once. */
function nameLeftOut({ calicoPolicies, hostEndpoints, adminNetworkPolicies }: PolicyState, problems: ProblemList): void {
  const label = ({ object, name }: CalicoPolicy): string => object?.label ?? name
  for (const policy of calicoPolicies.filter((one) => !one.staged)) {
    const at = placeIn(policy.object, ['spec', policy.doNotTrack ? 'doNotTrack' : policy.preDNAT ? 'preDNAT' : 'applyOnForward'])
    const field = policy.doNotTrack ? 'doNotTrack' : 'preDNAT'
    const http = [...policy.ingress, ...policy.egress].find((rule) => rule.http !== undefined)
    if (http !== undefined)
      problems.warning(http, label(policy), 'INCOMPLETE: http is matched by the application layer: here the rule is for its addresses and ports', '')
    if (isForHostsAlone(policy)) problems.warning(at, label(policy), `INCOMPLETE: ${field}: policy answers leave it out`, 'netsim trace asks it.')
    else if (policy.applyOnForward && hostEndpoints.length > 0)
      problems.warning(at, label(policy), 'INCOMPLETE: applyOnForward: policy answers ask it at ends, not at hosts on the way', 'netsim trace asks it.')
  }
  for (const { object, kind, name, ...place } of adminNetworkPolicies)
    problems.warning(
      place,
      object?.label ?? name,
      `${kind} has no effect: Calico 3.32 reads ClusterNetworkPolicy in its stead`,
      'Write a ClusterNetworkPolicy, or ask with --as api.',
    )
}

const DEFAULT_ALLOW = 'projectcalico-default-allow'

/** One for each profile of those host endpoints that have the same ones; without any they have one that says nothing: their end denies. */
function hostProfiles({ hostEndpoints, profiles }: PolicyState, problems: ProblemList): readonly Policy[] {
  const groups = grouped(hostEndpoints, ({ profiles: names }) => names.join('\n'))
  return [...groups.values()].flatMap((endpoints) => {
    const [first] = endpoints
    const subject = hostEndpointCondition(
      endpoints.map(({ name }) => name),
      first,
    )
    const make = (name: string, rules: Pick<Policy, 'ingress' | 'egress' | 'file' | 'line'>): Policy => ({
      kind: 'Profile',
      namespace: '',
      name,
      subject: [subject],
      subjectWords: subject.words,
      directions: ['ingress', 'egress'],
      ...rules,
    })
    if (first.profiles.length === 0) return [make('none', { ingress: [], egress: [], file: first.file, line: first.line })]
    return first.profiles.map((name) => make(name, profileRules(name, { profiles, user: first, problems })))
  })
}

interface ProfileUse {
  readonly profiles: readonly Profile[]
  readonly user: HostEndpoint
  readonly problems: ProblemList
}

/** A profile that nobody made says nothing. What a profile passes goes on to the next one: such a rule decides nothing. */
function profileRules(name: string, { profiles, user, problems }: ProfileUse): Pick<Policy, 'ingress' | 'egress' | 'file' | 'line'> {
  const profile = profiles.find((one) => one.name === name)
  if (profile === undefined) {
    const place = placeIn(user.object, ['spec', 'profiles'])
    const allow = { index: 0, action: 'allow', peers: [everybody(place)], local: [], ports: ANY_PORT, ...place } as const
    if (name === DEFAULT_ALLOW) return { ingress: [allow], egress: [allow], ...place }
    problems.warning(
      place,
      user.object?.label ?? user.name,
      `there is no profile ${JSON.stringify(name)}: it allows nothing`,
      'Add the Profile, or leave it out.',
    )
    return { ingress: [], egress: [], ...place }
  }
  const home = { namespace: '', object: profile.object }
  const deciding = (direction: 'ingress' | 'egress'): Policy['ingress'] => calicoRules(profile, direction, home).filter(({ action }) => action !== 'pass')
  return { ingress: deciding('ingress'), egress: deciding('egress'), file: profile.file, line: profile.line }
}
