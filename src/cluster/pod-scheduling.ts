/**
 * What a pod's spec asks of the scheduler: selectors, affinities, tolerations, spread, resources; of fields, or of the annotations
 * `scheduler.alpha.kubernetes.io/…` in which affinity and tolerations stood up to Kubernetes 1.5.
 */
import type { GenericSchema, InferOutput } from 'valibot'
import { readAnnotation } from './annotation.js'
import { affinitySchema, tolerationsSchema } from './kubernetes-schemas.js'
import { NODE_OPERATORS, requirementFaults, selectorFaults, type Labels, type LabelSelector, type NodeSelectorTerm } from './labels.js'
import { valueAt, type JsonValue } from './located.js'
import type { KubernetesObject } from './manifest.js'
import { readRequests, type PodSpec } from './pod-containers.js'
import type { ProblemList } from './problem-list.js'

export interface Toleration {
  readonly key: string
  readonly operator: 'Equal' | 'Exists'
  readonly value: string
  /** Empty: every effect. */
  readonly effect: string
}

export interface PodAffinityTerm {
  readonly topologyKey: string
  /** Absent: no pod at all. */
  readonly selector?: LabelSelector
  /** Both absent or empty: the pod's own namespace. */
  readonly namespaces: readonly string[]
  readonly namespaceSelector?: LabelSelector
  readonly matchLabelKeys: readonly string[]
  readonly mismatchLabelKeys: readonly string[]
}

export interface SpreadConstraint {
  readonly topologyKey: string
  readonly maxSkew: number
  readonly minDomains: number
  readonly required: boolean
  /** Absent: no pod at all. */
  readonly selector?: LabelSelector
  readonly matchLabelKeys: readonly string[]
  /** True: nodes that the pod's node selector and affinity leave out do not count. */
  readonly honorsAffinity: boolean
  /** True: nor do nodes whose taints it does not tolerate. */
  readonly honorsTaints: boolean
}

/** What a scheduler asks of a node for this pod. Pods of one template share one. */
export interface Scheduling {
  readonly nodeSelector: Labels
  /** Absent: no required node affinity. */
  readonly requiredTerms?: readonly NodeSelectorTerm[]
  readonly preferredTerms: readonly { readonly weight: number; readonly term: NodeSelectorTerm }[]
  readonly tolerations: readonly Toleration[]
  readonly podAffinity: readonly PodAffinityTerm[]
  readonly podAntiAffinity: readonly PodAffinityTerm[]
  /** Weights below zero: anti-affinity. */
  readonly preferredPods: readonly { readonly weight: number; readonly term: PodAffinityTerm }[]
  readonly spread: readonly SpreadConstraint[]
  /** By name of the resource; cores and bytes. */
  readonly requests: Readonly<Record<string, number>>
}

type Affinity = InferOutput<ReturnType<typeof affinitySchema>>
type Steps = readonly (string | number)[]

const NONE: readonly never[] = []
const NO_LABELS: Labels = Object.freeze({})

/** What came of a list of tolerations, and of what else beside it. */
interface Known {
  readonly tolerations: readonly Toleration[]
  scheduling?: Scheduling
}

/** By the list as it is written: pods of one template have it in common (shared-values.ts). */
const KNOWN = new WeakMap<readonly JsonValue[], Known>()

export function readScheduling(object: KubernetesObject, spec: PodSpec, annotations: Labels, problems: ProblemList): Scheduling {
  const reader = new SchedulingReader(object, problems)
  const affinity = spec.affinity ?? reader.annotated('affinity', affinitySchema(), annotations)
  const tolerations = spec.tolerations ?? reader.annotated('tolerations', tolerationsSchema(), annotations) ?? NONE
  const requiredTerms = reader.requiredTerms(affinity)
  const made: Scheduling = {
    nodeSelector: spec.nodeSelector ?? NO_LABELS,
    ...(requiredTerms === undefined ? {} : { requiredTerms }),
    preferredTerms: reader.preferredTerms(affinity),
    tolerations: tolerations.map(({ key, operator, value, effect }) => ({
      key: key ?? '',
      operator: operator ?? 'Equal',
      value: value ?? '',
      effect: effect ?? '',
    })),
    podAffinity: reader.requiredPods('podAffinity', affinity),
    podAntiAffinity: reader.requiredPods('podAntiAffinity', affinity),
    preferredPods: [...reader.preferredPods('podAffinity', affinity), ...reader.preferredPods('podAntiAffinity', affinity)],
    spread: reader.spread(spec.topologySpreadConstraints ?? []),
    requests: readRequests(object, spec, problems),
  }
  return spec.tolerations ? shared(made, object) : made
}

/** The one that pods of the same template have, where the pod asks for no more than they do. */
function shared(made: Scheduling, object: KubernetesObject): Scheduling {
  const written = valueAt(object.value, ['spec', 'tolerations'])
  if (!Array.isArray(written)) return made
  const known: Known = KNOWN.get(written) ?? { tolerations: made.tolerations }
  KNOWN.set(written, known)
  const one = { ...made, tolerations: known.tolerations }
  if (!isPlain(one)) return one
  if (known.scheduling === undefined || !sameRequests(known.scheduling.requests, one.requests)) known.scheduling = one
  return known.scheduling
}

/** Nothing but tolerations and resources is asked for. */
function isPlain({ nodeSelector, requiredTerms, preferredTerms, podAffinity, podAntiAffinity, preferredPods, spread }: Scheduling): boolean {
  const lists = [preferredTerms, podAffinity, podAntiAffinity, preferredPods, spread]
  return nodeSelector === NO_LABELS && requiredTerms === undefined && lists.every(({ length }) => length === 0)
}

function sameRequests(one: Scheduling['requests'], other: Scheduling['requests']): boolean {
  const names = Object.keys(one)
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name])
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution'
const ANNOTATION = 'scheduler.alpha.kubernetes.io/'

class SchedulingReader {
  private readonly object: KubernetesObject
  private readonly problems: ProblemList

  constructor(object: KubernetesObject, problems: ProblemList) {
    this.object = object
    this.problems = problems
  }

  /** The JSON of an old annotation; what cannot be read is reported. */
  annotated<const Schema extends GenericSchema>(name: string, schema: Schema, annotations: Labels): InferOutput<Schema> | undefined {
    const key = ANNOTATION + name
    const text = annotations[key]
    return text === undefined || text.trim() === '' ? undefined : readAnnotation(text, schema, { key, object: this.object, problems: this.problems })
  }

  requiredTerms(affinity: Affinity | undefined): readonly NodeSelectorTerm[] | undefined {
    const terms = affinity?.nodeAffinity?.[REQUIRED]?.nodeSelectorTerms
    return terms?.map((term, index) => this.nodeTerm(term, ['nodeAffinity', REQUIRED, 'nodeSelectorTerms', index]))
  }

  preferredTerms(affinity: Affinity | undefined): Scheduling['preferredTerms'] {
    const terms = affinity?.nodeAffinity?.[PREFERRED] ?? NONE
    return terms.map(({ weight, preference }, index) => ({ weight, term: this.nodeTerm(preference, ['nodeAffinity', PREFERRED, index, 'preference']) }))
  }

  private nodeTerm(term: NodeTermFields, path: Steps): NodeSelectorTerm {
    const read = (part: 'matchExpressions' | 'matchFields') =>
      (term[part] ?? []).map((requirement, at) => {
        const plain = { key: requirement.key, operator: requirement.operator, values: requirement.values ?? [] }
        this.report(requirementFaults(plain, NODE_OPERATORS), ['spec', 'affinity', ...path, part, at])
        return plain
      })
    return { matchExpressions: read('matchExpressions'), matchFields: read('matchFields') }
  }

  requiredPods(field: 'podAffinity' | 'podAntiAffinity', affinity: Affinity | undefined): readonly PodAffinityTerm[] {
    return (affinity?.[field]?.[REQUIRED] ?? NONE).map((term, index) => this.podTerm(term, ['spec', 'affinity', field, REQUIRED, index]))
  }

  preferredPods(field: 'podAffinity' | 'podAntiAffinity', affinity: Affinity | undefined): Scheduling['preferredPods'] {
    return (affinity?.[field]?.[PREFERRED] ?? NONE).map(({ weight, podAffinityTerm }, index) => ({
      weight: field === 'podAffinity' ? weight : -weight,
      term: this.podTerm(podAffinityTerm, ['spec', 'affinity', field, PREFERRED, index, 'podAffinityTerm']),
    }))
  }

  private podTerm(term: PodTermFields, path: Steps): PodAffinityTerm {
    const selector = this.selector(term.labelSelector, [...path, 'labelSelector'])
    const namespaceSelector = this.selector(term.namespaceSelector, [...path, 'namespaceSelector'])
    return {
      topologyKey: term.topologyKey,
      ...(selector === undefined ? {} : { selector }),
      namespaces: term.namespaces ?? [],
      ...(namespaceSelector === undefined ? {} : { namespaceSelector }),
      matchLabelKeys: term.matchLabelKeys ?? [],
      mismatchLabelKeys: term.mismatchLabelKeys ?? [],
    }
  }

  spread(constraints: NonNullable<PodSpec['topologySpreadConstraints']>): readonly SpreadConstraint[] {
    return constraints.map((constraint, index) => {
      const selector = this.selector(constraint.labelSelector, ['spec', 'topologySpreadConstraints', index, 'labelSelector'])
      return {
        topologyKey: constraint.topologyKey,
        maxSkew: constraint.maxSkew,
        minDomains: constraint.minDomains ?? 1,
        required: constraint.whenUnsatisfiable === 'DoNotSchedule',
        ...(selector === undefined ? {} : { selector }),
        matchLabelKeys: constraint.matchLabelKeys ?? [],
        honorsAffinity: constraint.nodeAffinityPolicy !== 'Ignore',
        honorsTaints: constraint.nodeTaintsPolicy === 'Honor',
      }
    })
  }

  private selector(fields: SelectorFields | null | undefined, path: Steps): LabelSelector | undefined {
    if (fields === undefined || fields === null) return undefined
    const selector = plainSelector(fields)
    this.report(selectorFaults(selector), path)
    return selector
  }

  private report(faults: ReturnType<typeof requirementFaults>, path: Steps): void {
    for (const fault of faults) this.problems.error(this.object.at(...path, ...fault.path), this.object.label, fault.what, fault.fix)
  }
}

type NodeTermFields = NonNullable<NonNullable<Affinity['nodeAffinity']>[typeof REQUIRED]>['nodeSelectorTerms'][number]
type PodTermFields = NonNullable<NonNullable<Affinity['podAffinity']>[typeof REQUIRED]>[number]

export interface SelectorFields {
  readonly matchLabels?: Labels | null | undefined
  readonly matchExpressions?:
    readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] | null | undefined }[] | null | undefined
}

/** A selector as a schema gives it, without what is absent. */
export function plainSelector({ matchLabels, matchExpressions }: SelectorFields): LabelSelector {
  return {
    ...(matchLabels ? { matchLabels } : {}),
    ...(matchExpressions ? { matchExpressions: matchExpressions.map(({ key, operator, values }) => ({ key, operator, values: values ?? [] })) } : {}),
  }
}
