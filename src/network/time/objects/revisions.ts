/** The history of StatefulSets' and DaemonSets' templates (ControllerRevisions), for rollouts and their undoing. After pkg/controller/history. */
import type { JsonObject } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import type { Templates } from './templates.js'
import { revisionHash, templateOf } from './templates.js'

export interface Revision {
  readonly hash: string
  /** Value of controller-revision-hash on its pods. */
  readonly label: string
  readonly template: JsonObject
}

export class Revisions {
  private readonly templates: Templates
  /** The newest last. */
  private readonly byWorkload = new Map<string, Revision[]>()
  /** Of StatefulSets: the revision that all pods had when the rollout under way began. */
  private readonly settled = new Map<string, Revision>()

  constructor(templates: Templates) {
    this.templates = templates
  }

  /** The one of its template. @param label that its pods bear already */
  current(workload: KubernetesObject, label?: string): Revision {
    const key = workload.label
    const all = this.byWorkload.get(key) ?? []
    this.byWorkload.set(key, all)
    const hash = revisionHash(workload)
    const newest = all.at(-1)
    if (newest?.hash === hash) return newest
    const known = all.findIndex((revision) => revision.hash === hash)
    const own = this.templates.of(workload)?.hash ?? hash
    const revision =
      known >= 0
        ? all.splice(known, 1)[0]
        : { hash, label: label ?? (workload.kind === 'DaemonSet' ? own : `${workload.name}-${own}`), template: templateOf(workload) }
    all.push(revision)
    if (!this.settled.has(key)) this.settled.set(key, revision)
    return revision
  }

  /** What pods below the partition are made of. */
  settledOf(workload: KubernetesObject): Revision {
    const current = this.current(workload)
    return this.settled.get(workload.label) ?? current
  }

  settle(workload: KubernetesObject): void {
    this.settled.set(workload.label, this.current(workload))
  }

  previous(workload: KubernetesObject): Revision | undefined {
    this.current(workload)
    return this.byWorkload.get(workload.label)?.at(-2)
  }

  forget(workload: KubernetesObject): void {
    this.byWorkload.delete(workload.label)
    this.settled.delete(workload.label)
  }
}
