/**
 * Ingress and IngressClass objects of every apiVersion → the model. Source: k8s.io/api networking/{v1,v1beta1}, extensions/v1beta1;
 * kubernetes pkg/apis/networking/validation.
 */
import * as v from 'valibot'
import { integerField, nameFault } from '../fields.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { check, lazily, optional } from '../schema.js'
import type { Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls, PathType } from './ingress.js'

const text = () => optional(v.string())

/** Both spellings: service of v1, serviceName and servicePort of v1beta1. */
const backend = () =>
  v.looseObject({
    service: optional(v.looseObject({ name: v.string(), port: optional(v.looseObject({ name: text(), number: optional(integerField(0, 65535)) })) })),
    resource: optional(v.looseObject({ kind: v.string(), name: v.string() })),
    serviceName: text(),
    servicePort: optional(v.union([v.string(), integerField(0, 65535)])),
  })

const metadata = () => v.looseObject({ annotations: optional(v.record(v.string(), v.string())), creationTimestamp: text() })

const ingressSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(
      v.looseObject({
        ingressClassName: text(),
        defaultBackend: optional(backend()),
        backend: optional(backend()),
        tls: optional(v.array(v.looseObject({ hosts: optional(v.array(v.string())), secretName: text() }))),
        rules: optional(
          v.array(
            v.looseObject({
              host: text(),
              http: optional(
                v.looseObject({
                  paths: v.array(
                    v.looseObject({
                      path: text(),
                      pathType: optional(v.picklist(['Exact', 'Prefix', 'ImplementationSpecific'])),
                      backend: optional(backend()),
                    }),
                  ),
                }),
              ),
            }),
          ),
        ),
      }),
    ),
  }),
)

type IngressValue = v.InferOutput<ReturnType<typeof ingressSchema>>
type Spec = NonNullable<IngressValue['spec']>
type BackendValue = NonNullable<Spec['backend']>

const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'
const DEFAULT_ANNOTATION = 'ingressclass.kubernetes.io/is-default-class'

interface Reading {
  readonly object: KubernetesObject
  readonly problems: ProblemList
  /** networking.k8s.io/v1. */
  readonly current: boolean
}

/** undefined when the object is wrong beyond use (reported). */
export function readIngress(object: KubernetesObject, problems: ProblemList): Ingress | undefined {
  const value = check(ingressSchema(), object, problems, 'hint')
  if (value === undefined) return undefined
  const reading: Reading = { object, problems, current: object.apiVersion === 'networking.k8s.io/v1' }
  for (const [name, form] of [
    ['name', 'subdomain'],
    ['namespace', 'label'],
  ] as const) {
    const fault = nameFault(object[name], form)
    if (fault !== undefined) problems.error(object.at('metadata', name), object.label, fault.what, fault.fix)
  }
  const spec: Spec = value.spec ?? {}
  const annotations = value.metadata.annotations ?? {}
  const key = spec.defaultBackend ? 'defaultBackend' : 'backend'
  const written = spec.defaultBackend ?? spec.backend
  checkSpelling(spec, reading)
  const rules = (spec.rules ?? []).map((rule, index) => readRule(rule, ['spec', 'rules', index], reading))
  if (rules.length === 0 && !written)
    problems.error(
      object.at('spec'),
      object.label,
      'neither rules nor a default backend',
      `Write spec.rules, or spec.${reading.current ? 'defaultBackend' : 'backend'}.`,
    )
  const annotatedClass = annotations[CLASS_ANNOTATION]
  if (annotatedClass !== undefined && spec.ingressClassName)
    problems.warning(
      object.at('spec', 'ingressClassName'),
      object.label,
      `ingressClassName beside the annotation ${CLASS_ANNOTATION}`,
      'An API server refuses both together in a new object: leave the annotation out.',
    )
  return {
    namespace: object.namespace,
    name: object.name,
    ...(spec.ingressClassName ? { className: spec.ingressClassName } : {}),
    ...(annotatedClass === undefined ? {} : { annotatedClass }),
    ...(written ? { defaultBackend: readBackend(written, ['spec', key], reading) } : {}),
    rules,
    tls: (spec.tls ?? []).map((tls, index): IngressTls => {
      const hosts = (tls.hosts ?? []).map((host) => host.toLowerCase())
      return { hosts, ...(tls.secretName ? { secretName: tls.secretName } : {}), ...object.at('spec', 'tls', index) }
    }),
    annotations,
    created: value.metadata.creationTimestamp ?? '',
    object,
    file: object.file,
    line: object.line,
  }
}

/** Fields of the other apiVersion, which this one does not have: a server drops them. */
function checkSpelling(spec: Spec, { object, problems, current }: Reading): void {
  const [wrong, right] = current ? (['backend', 'defaultBackend'] as const) : (['defaultBackend', 'backend'] as const)
  if (spec[wrong]) problems.error(object.at('spec', wrong), object.label, `${object.apiVersion} has no spec.${wrong}`, `Write spec.${right}.`)
}

function readRule(rule: NonNullable<Spec['rules']>[number], path: Path, reading: Reading): IngressRule {
  const { object } = reading
  const host = (rule.host ?? '').toLowerCase()
  checkHost(rule.host ?? '', [...path, 'host'], reading)
  const paths = (rule.http?.paths ?? []).map((one, index): IngressPath => {
    const at: Path = [...path, 'http', 'paths', index]
    const pathType = readPathType(one.pathType ?? undefined, at, reading)
    checkPath(one.path ?? '', pathType, at, reading)
    const target = one.backend ? readBackend(one.backend, [...at, 'backend'], reading) : object.at(...at)
    if (!one.backend) reading.problems.error(object.at(...at), object.label, 'a path without a backend', 'Say which Service it leads to.')
    return { path: one.path ?? '', pathType, backend: target, ...object.at(...at) }
  })
  return { host, paths, ...object.at(...path) }
}

function readPathType(written: PathType | undefined, at: Path, { object, problems, current }: Reading): PathType {
  if (written === undefined && current)
    problems.error(object.at(...at), object.label, 'the path has no pathType', 'networking.k8s.io/v1 requires it: Prefix, Exact or ImplementationSpecific.')
  return written ?? 'ImplementationSpecific'
}

function checkPath(path: string, pathType: PathType, at: Path, { object, problems }: Reading): void {
  const place = object.at(...at, 'path')
  if (path === '' ? pathType !== 'ImplementationSpecific' : !path.startsWith('/'))
    problems.error(place, object.label, `the path ${JSON.stringify(path)} does not start with /`, 'Paths are absolute: /, /api.')
  else if (pathType !== 'ImplementationSpecific' && /\/\/|\/\.{1,2}(\/|$)|%2[fF]/.test(path))
    problems.error(
      place,
      object.label,
      `the path ${path} has //, /./, /../ or %2f in it`,
      'An API server refuses that: requests come with such things taken out.',
    )
}

function checkHost(host: string, at: Path, { object, problems }: Reading): void {
  if (host === '') return
  const place = object.at(...at)
  const name = host.replace(/^\*\./, '')
  if (/^[0-9]+(\.[0-9]+){3}$/.test(host))
    problems.error(place, object.label, `the host ${host} is an address`, 'A host is a name; leave it out for every host.')
  else if (host.includes('*') && (name.includes('*') || !host.startsWith('*.')))
    problems.error(place, object.label, `the host ${JSON.stringify(host)} is no wildcard`, 'The star stands for the first label alone: *.example.com.')
  else {
    const fault = nameFault(name, 'subdomain')
    if (fault !== undefined) problems.error(place, object.label, `host: ${fault.what}`, fault.fix)
  }
}

function readBackend(written: BackendValue, at: Path, { object, problems, current }: Reading): IngressBackend {
  const place = object.at(...at)
  if (written.resource) return { resource: `${written.resource.kind}/${written.resource.name}`, ...place }
  const [wrong, right] = current
    ? ['serviceName and servicePort', 'service: {name: web, port: {number: 80}}']
    : ['service', 'serviceName: web, servicePort: 80']
  if (current ? written.serviceName || written.servicePort : written.service) {
    problems.error(place, object.label, `${object.apiVersion} has no ${wrong} in a backend`, `Write ${right}.`)
  }
  const name = written.service?.name ?? written.serviceName
  const port = written.service ? written.service.port?.name || written.service.port?.number : written.servicePort
  if (!name || !port) {
    problems.error(place, object.label, name ? 'the backend names no port' : 'the backend names no Service', `Write ${right}.`)
    return place
  }
  // servicePort: "80" is a number too (intstr)
  return { service: { name, port: typeof port === 'string' && !current && /^[0-9]+$/.test(port) ? Number(port) : port }, ...place }
}

const classSchema = lazily(() => v.looseObject({ metadata: metadata(), spec: optional(v.looseObject({ controller: text() })) }))

export function readIngressClass(object: KubernetesObject, problems: ProblemList): IngressClass | undefined {
  const value = check(classSchema(), object, problems, 'hint')
  if (value === undefined) return undefined
  const controller = value.spec?.controller
  if (!controller) problems.error(object.at('spec'), object.label, 'the class names no controller', 'Write spec.controller, like k8s.io/ingress-nginx.')
  return {
    name: object.name,
    ...(controller ? { controller } : {}),
    isDefault: value.metadata.annotations?.[DEFAULT_ANNOTATION] === 'true',
    object,
    file: object.file,
    line: object.line,
  }
}
