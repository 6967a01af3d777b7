/** A workload's pod template → the pod that every replica is a copy of, and what an API server has against the two together. */
import { isObject, type JsonValue, type Path } from '../located.js'
import { matchesLabels, matchesRequirement, selectorFaults, type Labels, type LabelSelector } from '../labels.js'
import type { KubernetesObject } from '../manifest.js'
import { plainSelector, type SelectorFields } from '../pod-scheduling.js'
import { readPod, type ClusterPod, type PodOwner } from '../pod.js'
import { formatPlace, type ProblemList } from '../problem-list.js'
import { templateHash } from './names.js'

export interface Template {
  /** Without a name of its own. */
  readonly pod: ClusterPod
  /** Worked out when it is asked for: most are not. */
  readonly hash: string
}

const TEMPLATE_PATH: Path = ['spec', 'template']

/** What refuses an object leaves the rest of the input as it is: one object makes no pods. */
export function refuse(object: KubernetesObject, path: Path, what: string, fix: string, problems: ProblemList): undefined {
  problems.warning(object.at(...path), object.label, `an API server refuses it: ${what}`, `${fix} As it stands it makes no pods.`)
  return undefined
}

/** undefined where there is none, or it is wrong beyond use (reported). */
export function readTemplate(
  object: KubernetesObject,
  restartPolicies: readonly string[],
  problems: ProblemList,
  path: Path = TEMPLATE_PATH,
): Template | undefined {
  const template = path.reduce<JsonValue | undefined>((value, step) => (isObject(value) ? value[step] : undefined), object.value)
  // of another shape: the schema of the whole has said so
  if (template !== undefined && template !== null && !isObject(template)) return undefined
  const { spec, metadata = {} } = template ?? {}
  if (spec === undefined || spec === null) return refuse(object, path, `${path.join('.')}.spec is missing`, 'Write the pod that it makes there.', problems)
  const named = isObject(metadata) ? Object.freeze({ ...metadata, name: object.name, namespace: object.namespace }) : metadata
  const part = object.part(path, Object.freeze({ metadata: named, spec }))
  const pod = readPod(part, problems)
  if (pod === undefined || !isObject(spec)) return undefined
  const policy = typeof spec.restartPolicy === 'string' && spec.restartPolicy !== '' ? spec.restartPolicy : 'Always'
  if (!restartPolicies.includes(policy)) {
    const what = `restartPolicy of its template is ${policy}${spec.restartPolicy === undefined ? ', where nothing is written' : ''}`
    return refuse(object, [...path, 'spec', 'restartPolicy'], what, `Write ${restartPolicies.join(' or ')}.`, problems)
  }
  return {
    pod,
    get hash() {
      return templateHash(template ?? null)
    },
  }
}

/** Of one copy. */
export interface Copy {
  readonly name: string
  readonly owner: PodOwner
  readonly labels?: Labels
  readonly annotations?: Labels
  readonly hostname?: string
  readonly subdomain?: string
}

export function stamp({ pod }: Template, copy: Copy): ClusterPod {
  return { ...pod, ...copy, assumed: true }
}

interface SelectorRules {
  /** Up to apps/v1beta1 the template's labels stood in for a selector. */
  readonly isDefaulted: boolean
  readonly pod: ClusterPod
}

/** The selector in force; undefined when an API server refuses the object for it (reported). */
export function readSelector(
  object: KubernetesObject,
  fields: SelectorFields | undefined,
  { isDefaulted, pod }: SelectorRules,
  problems: ProblemList,
): LabelSelector | undefined {
  const path = ['spec', 'selector']
  const { labels } = pod
  const selector = fields === undefined ? (isDefaulted ? { matchLabels: labels } : undefined) : plainSelector(fields)
  const example = Object.keys(labels).length === 0 ? '{app: …}, and the template the same labels' : formatLabels(labels)
  if (selector === undefined)
    return refuse(object, path, `spec.selector is missing (${object.apiVersion} has no default)`, `Write selector: {matchLabels: ${example}}.`, problems)
  const faults = selectorFaults(selector)
  for (const fault of faults) problems.error(object.at(...path, ...fault.path), object.label, fault.what, fault.fix)
  if (faults.length > 0) return undefined
  if (Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions?.length ?? 0) === 0)
    return refuse(object, path, 'its selector is empty', `Write selector: {matchLabels: ${example}}.`, problems)
  const unmet = unmetParts(selector, labels)
  if (unmet.length === 0) return selector
  const place = formatPlace(object.at(...TEMPLATE_PATH, 'metadata', 'labels'))
  return refuse(
    object,
    path,
    `its selector (${unmet.join(', ')}) does not match the labels of its template, ${formatLabels(labels)} (${place})`,
    'Give the two the same labels.',
    problems,
  )
}

function unmetParts({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): string[] {
  return [
    ...Object.entries(matchLabels)
      .filter(([key, value]) => !matchesLabels({ [key]: value }, labels))
      .map(([key, value]) => `${key}=${value}`),
    ...matchExpressions
      .filter((requirement) => !matchesRequirement(requirement, labels))
      .map(({ key, operator, values = [] }) => `${key} ${operator}${values.length === 0 ? '' : ` ${values.join(', ')}`}`),
  ]
}

function formatLabels(labels: Labels): string {
  return `{${Object.entries(labels)
    .map(([key, value]) => `${key}: ${value}`)
    .join(', ')}}`
}
