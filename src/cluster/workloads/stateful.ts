/** StatefulSet and PetSet → pods with names, host names and ordinals of their own. After pkg/controller/statefulset and pkg/controller/petset. */
import type { KubernetesObject } from '../manifest.js'
import type { ClusterPod } from '../pod.js'
import { check } from '../schema.js'
import type { Context } from './context.js'
import { hasDefaultSelector, isLive } from './replicated.js'
import { readSelector, readTemplate, refuse, stamp, type Template } from './template.js'
import { statefulSchema } from '../kubernetes-schemas.js'

/** As Go's strconv.ParseBool reads truth. */
const TRUE: readonly string[] = ['1', 't', 'T', 'true', 'TRUE', 'True']
const INITIALIZED = 'pod.alpha.kubernetes.io/initialized'

export function expandStatefulSet(object: KubernetesObject, context: Context): ClusterPod[] {
  const { problems } = context
  const value = check(statefulSchema(), object, problems, 'hint')
  const template = readTemplate(object, ['Always'], problems)
  if (value === undefined || template === undefined) return []
  const spec = value.spec ?? {}
  const isDefaulted = hasDefaultSelector(object.apiVersion)
  if (readSelector(object, spec.selector ?? undefined, { isDefaulted, pod: template.pod }, problems) === undefined) return []
  if (isDefaulted && !spec.serviceName) {
    refuse(object, ['spec', 'serviceName'], `spec.serviceName is missing (${object.apiVersion} requires it)`, 'Name the headless Service of the set.', problems)
    return []
  }
  if (context.podsOf(object).length > 0) return []
  const wanted = isLive(object) ? (value.status?.replicas ?? 0) : (spec.replicas ?? 1)
  const count = Math.min(wanted, heldBack(object, template, wanted, context))
  const taken = context.namesOf(object.namespace)
  if (count === 0 || !context.allows(object, count, 'replicas')) return []
  if (isLive(object)) context.tellAbsent(object)
  const start = spec.ordinals?.start ?? 0
  return Array.from({ length: count }, (_, index) => start + index).flatMap((ordinal): ClusterPod | [] => {
    const name = `${object.name}-${ordinal}`
    // a pod of that name is the set's own, or in its way
    if (taken.has(name)) return []
    taken.add(name)
    return statefulPod(object, template, { ordinal, subdomain: spec.serviceName || undefined })
  })
}

export function statefulPod(object: KubernetesObject, template: Template, { ordinal, subdomain }: Omit<Pet, 'name'>): ClusterPod {
  const name = `${object.name}-${ordinal}`
  return stamp(template, {
    name,
    owner: { kind: object.kind, name: object.name },
    hostname: name,
    ...(subdomain === undefined ? {} : { subdomain }),
    ...identity(object, template, { name, ordinal, subdomain }),
  })
}

interface Pet {
  readonly name: string
  readonly ordinal: number
  readonly subdomain: string | undefined
}

/** A pet bears its identity in annotations, a StatefulSet's pod in labels; the ordinal came with apps/v1. */
function identity({ kind, name: set, apiVersion }: KubernetesObject, { pod, hash }: Template, { name, ordinal, subdomain }: Pet): Partial<ClusterPod> {
  if (kind === 'PetSet') {
    const annotations = {
      ...pod.annotations,
      'pod.beta.kubernetes.io/hostname': name,
      ...(subdomain === undefined ? {} : { 'pod.beta.kubernetes.io/subdomain': subdomain }),
    }
    return { annotations }
  }
  const labels = {
    ...pod.labels,
    'statefulset.kubernetes.io/pod-name': name,
    'controller-revision-hash': `${set}-${hash}`,
    ...(apiVersion === 'apps/v1' ? { 'apps.kubernetes.io/pod-index': `${ordinal}` } : {}),
  }
  return { labels }
}

/**
 * The next pet waits for the one before it to be healthy: a PetSet's says so by the annotation, and a StatefulSet's of apps/v1beta1 may say by
 * it that it is not (petset/pet.go isHealthy).
 */
function heldBack(object: KubernetesObject, { pod }: Template, wanted: number, { problems }: Context): number {
  const said = Object.hasOwn(pod.annotations, INITIALIZED) ? pod.annotations[INITIALIZED] : undefined
  const isHeld = object.kind === 'PetSet' ? !TRUE.includes(said ?? '') : object.apiVersion === 'apps/v1beta1' && said !== undefined && !TRUE.includes(said)
  if (!isHeld || wanted < 2) return wanted
  problems.warning(
    object.at('spec', 'template', 'metadata', 'annotations', INITIALIZED),
    object.label,
    `its template ${said === undefined ? 'lacks the annotation' : 'has'} ${INITIALIZED}${said === undefined ? '' : `: ${JSON.stringify(said)}`}: ` +
      'the set makes its first pod and waits',
    `Annotate the template with ${INITIALIZED}: "true".`,
  )
  return 1
}
