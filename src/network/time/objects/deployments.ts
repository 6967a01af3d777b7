/** The Deployment controller in time: RollingUpdate, Recreate, revisions, pause. After pkg/controller/deployment (rolling.go, recreate.go, sync.go). */
import { deepFreeze } from '../../../cluster/frozen.js'
import { isObject, valueAt, type JsonObject, type JsonValue } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import { HASH_LABEL } from '../../../cluster/workloads/replicated.js'
import type { Cell } from './cell.js'
import { isAvailable, type LivePod } from './live-pods.js'
import { edited, ownerReferences } from './pod-object.js'
import { replicasOf, withReplicas } from './replica-controllers.js'
import { fenceposts, newReplicas, oldReplicas, proportionalReplicas, type Fenceposts } from './rollout.js'
import { revisionHash, plainTemplate, specNumber, specText, templateOf, type Templates } from './templates.js'

const REVISION = 'deployment.kubernetes.io/revision'
const DESIRED = 'deployment.kubernetes.io/desired-replicas'
const MOST = 'deployment.kubernetes.io/max-replicas'
const DEFAULT_HISTORY = 10

interface Rollout {
  readonly deployment: KubernetesObject
  readonly fence: Fenceposts
  /** Of its template; undefined: none yet. */
  readonly fresh: KubernetesObject | undefined
  /** By revision, the oldest first. */
  readonly old: readonly KubernetesObject[]
  readonly cause: number
}

export class Deployments {
  private readonly cell: Cell
  private readonly templates: Templates

  constructor(cell: Cell, templates: Templates) {
    this.cell = cell
    this.templates = templates
  }

  setsOf(deployment: KubernetesObject): readonly KubernetesObject[] {
    const sets = [...this.cell.api.ofKind('ReplicaSet')].filter((set) => set.namespace === deployment.namespace && isOwnedBy(set, deployment.name))
    return sets.sort((a, b) => revisionOf(a) - revisionOf(b))
  }

  podsOf(deployment: KubernetesObject): readonly LivePod[] {
    return this.setsOf(deployment).flatMap(({ namespace, kind, name }) => this.cell.pods.of(namespace, { kind, name }))
  }

  sync(deployment: KubernetesObject, cause: number): void {
    if (this.templates.of(deployment) === undefined) return
    const sets = this.setsOf(deployment)
    const wanted = replicasOf(deployment)
    const hash = revisionHash(deployment)
    const strategy = specText(deployment, 'strategy', 'rollingUpdate')
    const [surge, unavailable] = isObject(strategy) ? [strategy.maxSurge, strategy.maxUnavailable] : []
    const fresh = sets.findLast((set) => revisionHash(set) === hash)
    const old = sets.filter((set) => set !== fresh)
    const fence = isRecreate(deployment) ? { surge: 0, unavailable: 0 } : fenceposts(surge, unavailable, wanted)
    const rollout: Rollout = { deployment, fence, fresh, old, cause }
    if (isPaused(deployment) || isScaling(sets, wanted)) return this.scale(rollout)
    if (isRecreate(deployment)) this.recreate(rollout)
    else this.roll(rollout)
    this.cleanUp(deployment, cause)
  }

  /** The template of the revision before the one that is in force, as `kubectl rollout undo` finds it. */
  previousTemplate(deployment: KubernetesObject): JsonObject | undefined {
    const hash = revisionHash(deployment)
    const before = this.setsOf(deployment).findLast((set) => revisionHash(set) !== hash)
    return before === undefined ? undefined : plainTemplate(templateOf(before))
  }

  private roll(rollout: Rollout): void {
    const { deployment, fence, old, cause } = rollout
    const wanted = replicasOf(deployment)
    const fresh = this.freshOf(rollout, () => Math.min(wanted, Math.max(0, wanted + fence.surge - sum(old.map(replicasOf)))))
    if (fresh === undefined) return
    const sized = (set: KubernetesObject): { replicas: number; available: number } => ({
      replicas: replicasOf(set),
      available: this.availableOf(deployment, set),
    })
    const next = newReplicas(wanted, fence, sized(fresh), [...old, fresh].map(sized))
    if (next !== replicasOf(fresh)) return this.resize(deployment, fresh, { replicas: next, fence, cause })
    const sizes = oldReplicas(wanted, fence, sized(fresh), old.map(sized))
    sizes?.forEach((replicas, at) => {
      if (replicas !== replicasOf(old[at])) this.resize(deployment, old[at], { replicas, fence, cause })
    })
  }

  /** Nothing new before all that is old has gone, its terminating pods too. */
  private recreate(rollout: Rollout): void {
    const { deployment, old, fence, cause } = rollout
    const running = old.filter((set) => replicasOf(set) > 0)
    if (running.length > 0) {
      for (const set of running) this.resize(deployment, set, { replicas: 0, fence, cause })
      return
    }
    const left = old.flatMap(({ namespace, kind, name }) => this.cell.pods.of(namespace, { kind, name }).filter(({ ended }) => !ended))
    if (left.length > 0) return
    const fresh = this.freshOf(rollout, () => replicasOf(deployment))
    const wanted = replicasOf(deployment)
    if (fresh !== undefined && replicasOf(fresh) !== wanted) this.resize(deployment, fresh, { replicas: wanted, fence, cause })
  }

  /** Of a Deployment that is paused, or that was scaled: the sets that there are, in proportion while a rollout is under way. */
  private scale({ deployment, fence, fresh, old, cause }: Rollout): void {
    const wanted = replicasOf(deployment)
    const all = [...old, ...(fresh === undefined ? [] : [fresh])]
    const active = all.filter((set) => replicasOf(set) > 0)
    const only = active.length > 1 ? undefined : (active.at(0) ?? fresh ?? old.at(-1))
    const to = (set: KubernetesObject, replicas: number): void => this.resize(deployment, set, { replicas, fence, cause })
    if (active.length <= 1) {
      if (only !== undefined) to(only, wanted)
      return
    }
    const isSaturated = fresh !== undefined && replicasOf(fresh) === wanted && this.availableOf(deployment, fresh) === wanted
    if (isSaturated) {
      for (const set of old) to(set, 0)
      return
    }
    if (isRecreate(deployment)) return
    const sign = wanted + fence.surge >= sum(active.map(replicasOf)) ? -1 : 1
    active.sort((a, b) => replicasOf(b) - replicasOf(a) || sign * (revisionOf(a) - revisionOf(b)))
    const sizes = proportionalReplicas(
      wanted,
      fence.surge,
      active.map((set) => ({ replicas: replicasOf(set), most: numberOf(set, MOST) ?? wanted + fence.surge })),
    )
    active.forEach((set, at) => {
      to(set, sizes[at])
    })
  }

  /** The one of the template: found, with the newest revision; or made. undefined: it was written in this sync. */
  private freshOf({ deployment, fresh, old, fence, cause }: Rollout, replicas: () => number): KubernetesObject | undefined {
    const newest = Math.max(0, ...old.map(revisionOf))
    if (fresh !== undefined) {
      if (revisionOf(fresh) > newest) return fresh
      const renewed = edited(fresh, ['metadata', 'annotations', REVISION], `${newest + 1}`)
      this.cell.api.put(renewed, this.tell(fresh, `${fresh.label} is revision ${newest + 1} now`, cause))
      return renewed
    }
    const made = replicaSetOf(deployment, {
      hash: this.hashOf(deployment),
      revision: newest + 1,
      replicas: replicas(),
      most: replicasOf(deployment) + fence.surge,
    })
    this.cell.api.put(made, this.tell(made, `makes ${made.label} with ${replicasOf(made)} replicas`, cause))
    return undefined
  }

  private hashOf(deployment: KubernetesObject): string {
    return this.templates.of(deployment)?.hash ?? ''
  }

  private resize(
    deployment: KubernetesObject,
    set: KubernetesObject,
    to: { readonly replicas: number; readonly fence: Fenceposts; readonly cause: number },
  ): void {
    const { replicas, fence, cause } = to
    const wanted = replicasOf(deployment)
    const was = replicasOf(set)
    const known = numberOf(set, DESIRED) === wanted && numberOf(set, MOST) === wanted + fence.surge
    if (was === replicas && known) return
    const noted = edited(edited(set, ['metadata', 'annotations', DESIRED], `${wanted}`), ['metadata', 'annotations', MOST], `${wanted + fence.surge}`)
    const entry = was === replicas ? cause : this.tell(set, `scales ${set.label} from ${was} to ${replicas}`, cause)
    this.cell.api.put(was === replicas ? noted : withReplicas(noted, replicas), entry)
  }

  private availableOf(deployment: KubernetesObject, { namespace, kind, name }: KubernetesObject): number {
    const minReadyNs = specNumber(deployment, 'minReadySeconds', 0) * 1e9
    return this.cell.pods.of(namespace, { kind, name }).filter((pod) => isAvailable(pod, minReadyNs, this.cell.nowNs)).length
  }

  /** Once a rollout is whole, sets of old revisions beyond the limit go. */
  private cleanUp(deployment: KubernetesObject, cause: number): void {
    const hash = revisionHash(deployment)
    const sets = this.setsOf(deployment)
    const old = sets.filter((set) => revisionHash(set) !== hash)
    if (old.some((set) => replicasOf(set) > 0)) return
    const surplus = old.length - specNumber(deployment, 'revisionHistoryLimit', DEFAULT_HISTORY)
    for (const set of old.slice(0, Math.max(0, surplus))) this.cell.api.remove(set, this.tell(set, `deletes ${set.label}: beyond revisionHistoryLimit`, cause))
  }

  private tell(set: KubernetesObject, what: string, cause: number): number {
    return this.cell.tell(set, what, { agent: 'controller', kind: 'object', cause })
  }
}

/** In the words of the API, with the lines of the Deployment. */
export function replicaSetOf(
  deployment: KubernetesObject,
  set: { readonly hash: string; readonly name?: string; readonly revision: number; readonly replicas: number; readonly most: number },
): KubernetesObject {
  const { hash, revision, replicas, most } = set
  const name = set.name ?? `${deployment.name}-${hash}`
  const template = templateOf(deployment)
  const labels = { ...mapping(valueAt(template, ['metadata', 'labels'])), [HASH_LABEL]: hash }
  const selector = mapping(specText(deployment, 'selector'))
  const minReady = specText(deployment, 'minReadySeconds')
  const value: JsonObject = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name,
      namespace: deployment.namespace,
      labels,
      annotations: { [REVISION]: `${revision}`, [DESIRED]: `${replicasOf(deployment)}`, [MOST]: `${most}` },
      ownerReferences: ownerReferences(deployment.namespace, { kind: 'Deployment', name: deployment.name }),
    },
    spec: {
      replicas,
      ...(minReady === undefined ? {} : { minReadySeconds: minReady }),
      selector: { ...selector, matchLabels: { ...(Object.keys(selector).length === 0 ? labels : mapping(selector.matchLabels)), [HASH_LABEL]: hash } },
      template: { ...template, metadata: { ...mapping(template.metadata), labels } },
    },
  }
  return deployment.made({ apiVersion: 'apps/v1', kind: 'ReplicaSet', name }, deepFreeze(value))
}

function mapping(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {}
}

export function isOwnedBy({ value }: KubernetesObject, deployment: string): boolean {
  const owners = valueAt(value, ['metadata', 'ownerReferences'])
  return Array.isArray(owners) && owners.some((owner: JsonValue) => isObject(owner) && owner.kind === 'Deployment' && owner.name === deployment)
}

export function isPaused(deployment: KubernetesObject): boolean {
  return specText(deployment, 'paused') === true
}

function isRecreate(deployment: KubernetesObject): boolean {
  return specText(deployment, 'strategy', 'type') === 'Recreate'
}

/** The sets still say what was wanted before (isScalingEvent). */
function isScaling(sets: readonly KubernetesObject[], wanted: number): boolean {
  return sets.some((set) => replicasOf(set) > 0 && (numberOf(set, DESIRED) ?? wanted) !== wanted)
}

function revisionOf(set: KubernetesObject): number {
  return numberOf(set, REVISION) ?? 0
}

function numberOf({ value }: KubernetesObject, annotation: string): number | undefined {
  const text = valueAt(value, ['metadata', 'annotations', annotation])
  return typeof text === 'string' && /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
