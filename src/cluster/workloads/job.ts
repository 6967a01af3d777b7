/** Job → the pods that run at load, CronJob → none. After pkg/controller/job (job_controller.go manageJob, indexed_job_utils.go). */
import type { InferOutput } from 'valibot'
import { isObject } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ClusterPod } from '../pod.js'
import { check } from '../schema.js'
import { namesOf, type Context } from './context.js'
import { assumedUid, generateName, podsPrefix } from './names.js'
import { isLive } from './replicated.js'
import { readSelector, readTemplate, refuse, stamp, type Copy, type Template } from './template.js'
import { cronJobSchema, jobSchema } from '../kubernetes-schemas.js'

type JobFields = InferOutput<ReturnType<typeof jobSchema>>
type JobSpec = NonNullable<JobFields['spec']>

const RESTART_POLICIES = ['Never', 'OnFailure']
const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index'

export function expandJob(object: KubernetesObject, context: Context): ClusterPod[] {
  const { problems } = context
  const value = check(jobSchema(), object, problems, 'hint')
  const template = readTemplate(object, RESTART_POLICIES, problems)
  if (value === undefined || template === undefined) return []
  const spec: JobSpec = value.spec ?? {}
  const isIndexed = spec.completionMode === 'Indexed'
  if (isIndexed && spec.completions === undefined) {
    refuse(object, ['spec', 'completionMode'], 'an Indexed Job without spec.completions', 'Write how many indexes there are.', problems)
    return []
  }
  const isManual = hasManualSelector(object, spec)
  const fields = spec.selector ?? undefined
  if (isManual && readSelector(object, fields, { isDefaulted: object.apiVersion === 'extensions/v1beta1', pod: template.pod }, problems) === undefined)
    return []
  const count = activePods(object, value)
  if (count === 0 || context.podsOf(object).length > 0 || !context.allows(object, count, 'parallelism')) return []
  if (isLive(object)) context.tellAbsent(object)
  const labels = isManual ? template.pod.labels : { ...jobLabels(object), ...template.pod.labels }
  const labelled = { ...template, pod: { ...template.pod, labels } }
  const indexes = isIndexed ? openIndexes(count, value.status?.completedIndexes ?? '') : undefined
  return Array.from({ length: indexes?.length ?? count }, (_, at) => {
    const pod = makePod(object, labelled, { at, index: indexes?.[at] }, context)
    return pod
  })
}

/** That of extensions/v1beta1 asks for a selector of its own by `autoSelector: true`, all others are asked to leave it alone by manualSelector. */
function hasManualSelector({ apiVersion }: KubernetesObject, { manualSelector, autoSelector }: JobSpec): boolean {
  return apiVersion === 'extensions/v1beta1' ? autoSelector !== true : manualSelector === true
}

/** What has ended is not in the status's `active`; a job that has not begun starts as many as it may at once. */
function activePods(object: KubernetesObject, { spec, status }: JobFields): number {
  if (isLive(object)) return status?.active ?? 0
  const { suspend, completions } = spec ?? {}
  if (suspend === true) return 0
  const parallelism = spec?.parallelism ?? 1
  // a work queue: as many as may, until one of them says that there is no more to do
  if (completions === undefined || completions === null) return parallelism
  return Math.min(parallelism, completions)
}

/** The labels that the API server adds to the template; those of the batch.kubernetes.io group came with 1.27. */
function jobLabels({ apiVersion, namespace, name, value }: KubernetesObject): Record<string, string> {
  const given = isObject(value.metadata) ? value.metadata.uid : undefined
  const uid = typeof given === 'string' ? given : assumedUid(`Job/${namespace}/${name}`)
  const legacy = { 'job-name': name, 'controller-uid': uid }
  return apiVersion === 'batch/v1' ? { ...legacy, 'batch.kubernetes.io/job-name': name, 'batch.kubernetes.io/controller-uid': uid } : legacy
}

interface Part {
  readonly at: number
  /** Of an Indexed Job. */
  readonly index: number | undefined
}

function makePod(object: KubernetesObject, template: Template, { at, index }: Part, context: Context): ClusterPod {
  const owner = { kind: 'Job', name: object.name }
  const { pod } = template
  const indexed: Partial<Copy> =
    index === undefined
      ? {}
      : {
          hostname: pod.hostname ?? `${object.name}-${index}`,
          labels: { ...pod.labels, [COMPLETION_INDEX]: `${index}` },
          annotations: { ...pod.annotations, [COMPLETION_INDEX]: `${index}` },
        }
  const prefix = index === undefined ? podsPrefix(object.name) : indexedPrefix(object.name, index)
  const name = generateName(prefix, `${object.namespace}/Job/${object.name}/${index ?? at}`, context.namesOf(object.namespace))
  return stamp(template, { name, owner, ...indexed })
}

/** The index is kept whole: the Job's name gives way (podGenerateNameWithIndex). */
function indexedPrefix(job: string, index: number): string {
  const tail = `-${index}-`
  return `${job.slice(0, 58 - tail.length)}${tail}`
}

/** The lowest that are not done; `done` is like `0,3-5`. */
function openIndexes(count: number, done: string): number[] {
  const ranges = done.split(',').flatMap((part) => {
    const match = /^([0-9]{1,9})(?:-([0-9]{1,9}))?$/.exec(part)
    return match === null ? [] : [{ first: Number(match[1]), last: Number(match[2] ?? match[1]) }]
  })
  const open: number[] = []
  for (let index = 0; open.length < count; index++) {
    const range = ranges.find(({ first, last }) => index >= first && index <= last)
    if (range === undefined) open.push(index)
    else index = range.last
  }
  return open
}

/** Its template is looked at, and that nothing runs is said once. */
export function checkCronJobs(objects: readonly KubernetesObject[], context: Context): void {
  const { problems } = context
  const idle = objects.filter((object) => {
    const value = check(cronJobSchema(), object, problems, 'hint')
    const path = ['spec', 'jobTemplate', 'spec', 'template']
    return (
      value !== undefined &&
      readTemplate(object, RESTART_POLICIES, problems, path) !== undefined &&
      value.spec?.suspend !== true &&
      !context.owns(object, 'Job')
    )
  })
  if (idle.length > 0)
    problems.warning(
      idle[0],
      '',
      `${idle[0].kind} ${namesOf(idle)}: no run is taken to be under way, so there are no pods of ${idle.length === 1 ? 'it' : 'them'}`,
      'A Job of the same template shows what a run does.',
    )
}
