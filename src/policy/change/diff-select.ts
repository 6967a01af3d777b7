/** Which policies select an end, worked out once for each kind of end: of NetworkPolicies those of its namespace alone are asked. */
import { asSeen, holdsAll, type Reading } from '../conditions.js'
import type { SideEnd } from './diff-ends.js'
import type { Policy, PolicyWorld, Tier } from '../model.js'

/** For each tier of the world, in order: policies that select the end in some direction, in order. */
export type Selected = readonly (readonly Policy[])[]

interface Bucket {
  readonly order: number
  readonly policy: Policy
}

export class Selection {
  readonly world: PolicyWorld
  private readonly reading: Reading
  private readonly known = new Map<string, Selected>()
  /** By tier, then by the namespace that the subject asks for; empty: any. */
  private readonly buckets: readonly ReadonlyMap<string, readonly Bucket[]>[]
  private readonly order = new Map<Policy, number>()

  constructor(world: PolicyWorld) {
    this.world = world
    this.reading = { world, assumed: new Set() }
    this.buckets = world.tiers.map(({ policies }) => {
      const byNamespace = new Map<string, Bucket[]>()
      policies.forEach((policy, order) => {
        this.order.set(policy, order)
        const asked = policy.subject.find(({ kind }) => kind === 'namespace')
        const namespace = asked?.kind === 'namespace' ? asked.name : ''
        byNamespace.set(namespace, [...(byNamespace.get(namespace) ?? []), { order, policy }])
      })
      return byNamespace
    })
  }

  of({ key, end }: SideEnd): Selected {
    let selected = this.known.get(key)
    if (selected === undefined) {
      const local = asSeen(end, this.reading)
      const namespace = local.kind === 'pod' ? local.namespace : ''
      const asked = (bucket: ReadonlyMap<string, readonly Bucket[]>): readonly Bucket[] =>
        namespace === '' ? (bucket.get('') ?? []) : [...(bucket.get('') ?? []), ...(bucket.get(namespace) ?? [])]
      selected = this.buckets.map((bucket) =>
        local.kind === 'outside'
          ? []
          : asked(bucket)
              .filter(({ policy }) => holdsAll(policy.subject, local, this.reading))
              .sort((a, b) => a.order - b.order)
              .map(({ policy }) => policy),
      )
      this.known.set(key, selected)
    }
    return selected
  }

  /** The world with the policies of these two ends alone: for the meaning of their pair it is the same. */
  around(source: SideEnd, destination: SideEnd): PolicyWorld {
    const [from, to] = [this.of(source), this.of(destination)]
    const tiers = this.world.tiers.map((tier, index): Tier => {
      const [a, b] = [from[index], to[index]]
      const policies = b.length === 0 ? a : a.length === 0 ? b : [...new Set([...a, ...b])].sort((one, other) => this.orderOf(one) - this.orderOf(other))
      return { ...tier, policies }
    })
    return { ...this.world, tiers }
  }

  private orderOf(policy: Policy): number {
    return this.order.get(policy) ?? 0
  }
}
