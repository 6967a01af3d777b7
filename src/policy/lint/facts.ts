/** What every lint asks of the policies: which pods one selects, whom a peer matches, where it is written. Each answer is found once. */
import { grouped } from '../../base/grouped.js'
import type { Evidence } from '../../base/finding.js'
import type { Problem } from '../../base/problem.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import type { PolicyState } from '../../cluster/policy-state.js'
import type { Place } from '../../cluster/problem-list.js'
import { matchesCalicoSelector, type Selector } from '../../cluster/selector.js'
import { asSeen, holdsAll, type Reading } from '../conditions.js'
import { policyName } from '../explain/explain-line.js'
import type { Condition, Direction, Peer, Policy, PolicyPod, PolicyRule, PolicyWorld, Tier } from '../model.js'

export interface LintInput {
  readonly state: PolicyState
  readonly world: PolicyWorld
  /** Of the reading: what they know of a fault is taken over. */
  readonly problems: readonly Problem[]
}

/** Pods that no selector and no named port tells apart. */
export interface PodClass {
  readonly pod: PolicyPod
  readonly members: readonly PolicyPod[]
}

export interface PolicyAt {
  readonly tier: Tier
  readonly policy: Policy
}

export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']

export class LintFacts {
  readonly state: PolicyState
  /** With the policies in force, also where nobody enforces them. */
  readonly world: PolicyWorld
  readonly problems: readonly Problem[]
  /** In the order in which they are asked; without the profiles, which nobody writes. */
  readonly policies: readonly PolicyAt[]
  readonly classes: readonly PodClass[]
  readonly reading: Reading
  private readonly byNamespace: ReadonlyMap<string, readonly PodClass[]>
  private readonly selectedBy = new Map<Policy, readonly PodClass[]>()
  private readonly matchedBy = new Map<Peer, readonly PodClass[]>()
  /** By the selector's text. */
  private readonly selectedSpaces = new Map<string, readonly PodClass[]>()
  private readonly objects: ReadonlyMap<string, KubernetesObject>

  constructor({ state, world, problems }: LintInput) {
    this.state = state
    const { noEngine, ...enforced } = world
    this.world = noEngine === undefined ? world : { ...enforced, tiers: world.unenforced, unenforced: [] }
    this.problems = problems
    this.reading = { world: this.world, assumed: new Set() }
    this.policies = this.world.tiers.flatMap((tier) => tier.policies.filter(({ kind }) => kind !== 'Profile').map((policy) => ({ tier, policy })))
    this.classes = classesOf(this.world.pods)
    this.byNamespace = grouped(this.classes, ({ pod }) => pod.namespace)
    this.objects = new Map(state.objects.map((object) => [`${object.file}:${object.line} ${object.name}`, object]))
  }

  /** As the engine sees them: where it takes pods on the host's network for their node, they are not among them. */
  selected(policy: Policy): readonly PodClass[] {
    return kept(this.selectedBy, policy, () => this.meeting(policy.subject))
  }

  /** Whoever meets the peer's conditions on labels and names; addresses are not asked. */
  matched(peer: Peer): readonly PodClass[] {
    return kept(this.matchedBy, peer, () => this.meeting(peer.conditions))
  }

  meeting(conditions: readonly Condition[]): readonly PodClass[] {
    return this.near(conditions).filter(({ pod }) => holdsAll(conditions, asSeen(pod, this.reading), this.reading))
  }

  /** The same of pods on the host's network taken for pods. */
  meetingAsPods(conditions: readonly Condition[]): readonly PodClass[] {
    return this.near(conditions).filter(({ pod }) => holdsAll(conditions, pod, this.reading))
  }

  inNamespace(name: string): readonly PodClass[] {
    return this.byNamespace.get(name) ?? []
  }

  private near(conditions: readonly Condition[]): readonly PodClass[] {
    const own = conditions.find((condition) => condition.kind === 'namespace')
    if (own !== undefined) return this.inNamespace(own.name)
    const labelled = conditions.find((condition) => condition.kind === 'labels' && condition.of === 'namespace')
    return labelled?.kind === 'labels' ? this.inNamespaces(labelled.selector) : this.classes
  }

  private inNamespaces(selector: Selector): readonly PodClass[] {
    return kept(this.selectedSpaces, selector.text, () =>
      [...this.byNamespace].flatMap(([name, classes]) => (matchesCalicoSelector(selector, this.world.namespaces.get(name)?.labels ?? {}) ? classes : [])),
    )
  }

  objectOf(policy: Policy): KubernetesObject | undefined {
    return this.objects.get(`${policy.file}:${policy.line} ${policy.name}`)
  }

  labelOf(policy: Policy): string {
    return this.objectOf(policy)?.label ?? policyName(policy).replace(' ', '/')
  }

  evidence(policy: Policy, what: string, { file, line }: Place = policy): Evidence {
    return { what, file, line, object: this.labelOf(policy) }
  }
}

function kept<Key, Value>(known: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = known.get(key)
  if (value === undefined) known.set(key, (value = make()))
  return value
}

function classesOf(pods: readonly PolicyPod[]): readonly PodClass[] {
  const keyOf = ({ namespace, labels, ports, hostNetwork, serviceAccount, node }: PolicyPod): string =>
    JSON.stringify([
      namespace,
      Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)),
      ports.map(({ name, protocol, port }) => [name, protocol, port]),
      serviceAccount,
      hostNetwork ? (node ?? '') : false,
    ])
  return [...grouped(pods, keyOf).values()].map((members) => ({ pod: members[0], members }))
}

export function rulesOf(policy: Policy, direction: Direction): readonly PolicyRule[] {
  return policy.directions.includes(direction) ? policy[direction] : []
}

/** `ingress rule #2 of NetworkPolicy shop/db`. */
export function ruleWords(policy: Policy, direction: Direction, { index, name }: PolicyRule): string {
  return `${direction} rule #${index + 1}${name === undefined || name === '' ? '' : ` ${JSON.stringify(name)}`} of ${policyName(policy)}`
}

const MOST_NAMES = 4

/** `a, b and 3 more`. */
export function listed(names: readonly string[], most: number = MOST_NAMES): string {
  const [shown, more] = [names.slice(0, most), names.length - most]
  if (more > 0) return `${shown.join(', ')} and ${more} more`
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown[shown.length - 1]}`
}

/** `shop/web[Deployment] and shop/db[StatefulSet]`: each workload once. */
export function podsWords(classes: readonly PodClass[]): string {
  return listed([...new Set(classes.flatMap(({ members }) => members.map(workloadWords)))])
}

export function workloadWords({ namespace, name, workload }: PolicyPod): string {
  return workload.kind === 'Pod' ? `${namespace}/${name}` : `${namespace}/${workload.name}[${workload.kind}]`
}

export function counted(count: number, word: string): string {
  return count === 1 ? `1 ${word}` : `${count} ${word}s`
}
