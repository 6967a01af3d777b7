/** The StatefulSet controller in time. After pkg/controller/statefulset/stateful_set_control.go (updateStatefulSet). */
import { valueAt } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import { statefulPod } from '../../../cluster/workloads/stateful.js'
import type { Cell } from './cell.js'
import type { LivePod } from './live-pods.js'
import type { Wishes } from './replica-controllers.js'
import { replicasOf } from './replica-controllers.js'
import type { Revision, Revisions } from './revisions.js'
import { specText, withTemplate, type Templates } from './templates.js'

const REVISION_LABEL = 'controller-revision-hash'

interface Parts {
  readonly cell: Cell
  readonly templates: Templates
  readonly revisions: Revisions
  readonly wishes: Wishes
}

export class StatefulSets {
  private readonly parts: Parts

  constructor(parts: Parts) {
    this.parts = parts
  }

  sync(set: KubernetesObject, cause: number): void {
    const { cell, revisions } = this.parts
    const owner = { kind: set.kind, name: set.name }
    const pods = new Map(cell.pods.of(set.namespace, owner).map((pod) => [ordinalOf(set, pod), pod]))
    const update = revisions.current(set)
    const first = specText(set, 'ordinals', 'start')
    const start = typeof first === 'number' ? first : 0
    const end = start + replicasOf(set)
    const isParallel = specText(set, 'podManagementPolicy') === 'Parallel'
    const partition = start + partitionOf(set)
    for (let ordinal = start; ordinal < end; ordinal++) {
      const pod = pods.get(ordinal)
      if (pod === undefined) {
        // a name that somebody else's pod bears is waited for
        if (cell.pods.get(set.namespace, `${set.name}-${ordinal}`) === undefined)
          this.make(set, ordinal, { revision: ordinal < partition ? revisions.settledOf(set) : update, cause })
        if (!isParallel) return
      } else if (!isHealthy(pod) && !isParallel) return
    }
    if (!this.scaleDown([...pods], end, { isParallel, cause })) return
    if (specText(set, 'updateStrategy', 'type') !== 'OnDelete') this.roll(set, pods, { update, start, end, partition, cause })
  }

  /** From the top; false: something has to end first. */
  private scaleDown(
    pods: readonly (readonly [number, LivePod])[],
    end: number,
    { isParallel, cause }: { readonly isParallel: boolean; readonly cause: number },
  ): boolean {
    const condemned = pods.filter(([ordinal]) => ordinal >= end).sort(([a], [b]) => b - a)
    for (const [, pod] of condemned) {
      if (!pod.terminating) this.parts.cell.deletePod(pod, { agent: 'controller', kind: 'pod', cause })
      if (!isParallel) return false
    }
    return true
  }

  /** One at a time, from the top to the partition. */
  private roll(
    set: KubernetesObject,
    pods: ReadonlyMap<number, LivePod>,
    at: { readonly update: Revision; readonly start: number; readonly end: number; readonly partition: number; readonly cause: number },
  ): void {
    for (let ordinal = at.end - 1; ordinal >= Math.max(at.start, at.partition); ordinal--) {
      const pod = pods.get(ordinal)
      if (pod === undefined) return
      if (pod.reading.labels[REVISION_LABEL] !== undefined && pod.reading.labels[REVISION_LABEL] !== at.update.label) {
        if (!pod.terminating) this.parts.cell.deletePod(pod, { agent: 'controller', kind: 'pod', cause: at.cause })
        return
      }
      if (!isHealthy(pod)) return
    }
    if (at.partition <= at.start) this.parts.revisions.settle(set)
  }

  private make(set: KubernetesObject, ordinal: number, { revision, cause }: { readonly revision: Revision; readonly cause: number }): void {
    const { cell, templates, wishes } = this.parts
    const versioned = withTemplate(set, revision.template)
    const template = templates.of(versioned)
    if (template === undefined) return
    const service = specText(set, 'serviceName')
    const made = statefulPod(versioned, template, { ordinal, subdomain: typeof service === 'string' && service !== '' ? service : undefined })
    const labels = set.kind === 'PetSet' ? made.labels : { ...made.labels, [REVISION_LABEL]: revision.label }
    cell.makeReplica({ ...made, labels }, cause, wishes.take(`${set.namespace}/${set.kind}/${set.name}`))
  }
}

/** Running and ready, and not on its way out. */
function isHealthy({ plugged, ready, terminating }: LivePod): boolean {
  return plugged && ready && !terminating
}

function ordinalOf(set: KubernetesObject, { name }: LivePod): number {
  const ordinal = name.slice(set.name.length + 1)
  return /^[0-9]{1,9}$/.test(ordinal) ? Number(ordinal) : -1
}

function partitionOf({ value }: KubernetesObject): number {
  const partition = valueAt(value, ['spec', 'updateStrategy', 'rollingUpdate', 'partition'])
  return typeof partition === 'number' ? Math.max(0, partition) : 0
}
