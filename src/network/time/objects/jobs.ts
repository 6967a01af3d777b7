/** The Job controller as far as pods go: as many as are to run at once. A Job's pods are taken to run on; none completes. */
import type { KubernetesObject } from '../../../cluster/manifest.js'
import { ProblemList } from '../../../cluster/problem-list.js'
import { Context } from '../../../cluster/workloads/context.js'
import { expandJob } from '../../../cluster/workloads/job.js'
import type { Cell } from './cell.js'
import { isActive, type LivePod } from './live-pods.js'
import type { Wishes } from './replica-controllers.js'

const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index'

export class Jobs {
  private readonly cell: Cell
  private readonly wishes: Wishes

  constructor(cell: Cell, wishes: Wishes) {
    this.cell = cell
    this.wishes = wishes
  }

  sync(job: KubernetesObject, cause: number): void {
    const { namespace, kind, name } = job
    const { pods } = this.cell
    const active = pods.of(namespace, { kind, name }).filter(isActive)
    const context = new Context({ pods: [], objects: [], nodes: [] }, new ProblemList())
    const names = context.namesOf(namespace)
    for (const taken of pods.taken(namespace)) names.add(taken)
    const wanted = expandJob(job, context)
    const indexes = new Set(active.map(indexOf))
    const lacking = wanted.filter(({ annotations }) => annotations[COMPLETION_INDEX] === undefined || !indexes.has(annotations[COMPLETION_INDEX]))
    const isIndexed = wanted.some(({ annotations }) => annotations[COMPLETION_INDEX] !== undefined)
    const made = isIndexed ? lacking : wanted.slice(Math.min(wanted.length, active.length))
    for (const pod of made) this.cell.makeReplica(pod, cause, this.wishes.take(`${namespace}/${kind}/${name}`))
    const surplus = active.slice(wanted.length)
    for (const pod of surplus) this.cell.deletePod(pod, { agent: 'controller', kind: 'pod', cause })
  }
}

function indexOf({ reading }: LivePod): string | undefined {
  return reading.annotations[COMPLETION_INDEX]
}
