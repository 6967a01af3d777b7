/** OpenShift's Route: the Services that it leads to. Source: openshift/api route/v1 types.go. */
import * as v from 'valibot'
import { integerField } from './fields.js'
import type { KubernetesObject } from './manifest.js'
import type { Place, ProblemList } from './problem-list.js'
import { check, lazily, optional } from './schema.js'

export interface RouteBackend extends Place {
  readonly service: string
}

export interface Route extends Place {
  readonly namespace: string
  readonly name: string
  readonly host: string
  /** spec.to and spec.alternateBackends. */
  readonly backends: readonly RouteBackend[]
  /** spec.port.targetPort: a port of the Service's or of its pods, by number or name; absent: all of the Service's. */
  readonly targetPort?: number | string
  readonly object: KubernetesObject
}

const backend = () => v.looseObject({ kind: optional(v.string()), name: v.string() })

const routeSchema = lazily(() =>
  v.looseObject({
    metadata: v.looseObject({ name: v.string() }),
    spec: optional(
      v.looseObject({
        host: optional(v.string()),
        to: optional(backend()),
        alternateBackends: optional(v.array(backend())),
        port: optional(v.looseObject({ targetPort: v.union([v.string(), integerField(0, 65535)]) })),
      }),
    ),
  }),
)

/** undefined when the object is wrong beyond use (reported). */
export function readRoute(object: KubernetesObject, problems: ProblemList): Route | undefined {
  const value = check(routeSchema(), object, problems, 'hint')
  if (value === undefined) return undefined
  const { host, to, alternateBackends, port } = value.spec ?? {}
  const written = [
    ...(to ? [{ ...to, place: object.at('spec', 'to') }] : []),
    ...(alternateBackends ?? []).map((one, index) => ({ ...one, place: object.at('spec', 'alternateBackends', index) })),
  ]
  const backends = written.flatMap(({ kind, name, place }): RouteBackend | [] => {
    if (!kind || kind === 'Service') return { service: name, ...place }
    problems.warning(place, object.label, `leads to a ${kind}, not to a Service: left out`, 'OpenShift knows Services alone.')
    return []
  })
  return {
    namespace: object.namespace,
    name: object.name,
    host: host ?? '',
    backends,
    ...(port?.targetPort ? { targetPort: port.targetPort } : {}),
    object,
    file: object.file,
    line: object.line,
  }
}
