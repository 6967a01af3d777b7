/** Ingresses against the Services, classes and Secrets that they name, and against one another. */
import type { KubernetesObject } from '../manifest.js'
import { suggestName } from '../nearest-name.js'
import { formatPlace, type ProblemList } from '../problem-list.js'
import type { ClusterService } from '../services/service.js'
import type { Ingress, IngressBackend, IngressClass } from './ingress.js'

export interface IngressSurroundings {
  readonly classes: readonly IngressClass[]
  readonly services: readonly ClusterService[]
  readonly secrets: readonly KubernetesObject[]
  /** False: part of the input could not be read, so that a missing object proves nothing. */
  readonly complete: boolean
}

export function checkIngresses(ingresses: readonly Ingress[], surroundings: IngressSurroundings, problems: ProblemList): void {
  checkDefaultClasses(surroundings.classes, problems)
  for (const ingress of ingresses) {
    checkClass(ingress, surroundings, problems)
    const backends = [
      ...(ingress.defaultBackend === undefined ? [] : [ingress.defaultBackend]),
      ...ingress.rules.flatMap(({ paths }) => paths.map(({ backend }) => backend)),
    ]
    for (const backend of backends) checkBackend(ingress, backend, surroundings, problems)
    checkTls(ingress, surroundings, problems)
  }
  checkConflicts(byAge(ingresses), problems)
}

/** ingress-nginx's order (controller store, sortIngressSlice): the oldest first; those of one age by `ns/name` from the end of the alphabet. */
export function byAge(ingresses: readonly Ingress[]): Ingress[] {
  const key = ({ namespace, name }: Ingress): string => `${namespace}/${name}`
  return [...ingresses].sort((a, b) => (a.created === b.created ? compare(key(b), key(a)) : compare(a.created, b.created)))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function checkDefaultClasses(classes: readonly IngressClass[], problems: ProblemList): void {
  const [first, ...more] = classes.filter(({ isDefault }) => isDefault)
  for (const other of more)
    problems.warning(
      other,
      other.object.label,
      `a second default class beside ${first.name} (${formatPlace(first)})`,
      'With two of them an API server picks the one made last: annotate one only.',
    )
}

function checkClass({ className, object }: Ingress, { classes, complete }: IngressSurroundings, problems: ProblemList): void {
  if (className === undefined || !complete || classes.some(({ name }) => name === className)) return
  problems.warning(
    object.at('spec', 'ingressClassName'),
    object.label,
    `there is no IngressClass ${className}`,
    `No controller takes the Ingress. ${suggestName(
      className,
      classes.map(({ name }) => name),
    )}`,
  )
}

function checkBackend(
  { namespace, object }: Ingress,
  { service: wanted, file, line }: IngressBackend,
  { services, complete }: IngressSurroundings,
  problems: ProblemList,
): void {
  if (wanted === undefined) return
  const place = { file, line }
  const service = services.find((one) => one.namespace === namespace && one.name === wanted.name)
  if (service === undefined) {
    if (!complete) return
    const elsewhere = services.find(({ name }) => name === wanted.name)
    const names = services.filter((one) => one.namespace === namespace).map(({ name }) => name)
    problems.warning(
      place,
      object.label,
      elsewhere === undefined
        ? `there is no Service ${namespace}/${wanted.name}`
        : `Service ${wanted.name} is in namespace ${elsewhere.namespace} (${formatPlace(elsewhere)}), the Ingress in ${namespace}`,
      elsewhere === undefined
        ? `Requests get 503. ${suggestName(wanted.name, names)}`
        : 'An Ingress leads to Services of its own namespace only: move one of the two, or add an ExternalName Service.',
    )
    return
  }
  if (service.type === 'ExternalName' && service.ports.length === 0) return
  if (service.ports.some(({ name, port }) => port === wanted.port || (name !== '' && name === wanted.port))) return
  const known = service.ports.map(({ name, port }) => (name === '' ? `${port}` : `${port} (${name})`)).join(', ')
  // ingress-nginx alone takes a targetPort too
  const target = service.ports.find(({ targetPort }) => targetPort === wanted.port)
  problems.warning(
    place,
    object.label,
    `Service ${wanted.name} (${formatPlace(service)}) has no port ${wanted.port}` +
      (target === undefined ? '' : `: that is the targetPort of its port ${target.port}`),
    known === '' ? 'The Service has no ports.' : `Its ports are ${known}.`,
  )
}

/** What a Secret holds is not read. Who gives none at all keeps them back: then nothing is said. */
function checkTls({ namespace, tls, object }: Ingress, { secrets, complete }: IngressSurroundings, problems: ProblemList): void {
  if (!complete || secrets.length === 0) return
  for (const { secretName, file, line } of tls) {
    if (secretName === undefined || secrets.some((one) => one.namespace === namespace && one.name === secretName)) continue
    problems.warning(
      { file, line },
      object.label,
      `there is no Secret ${namespace}/${secretName}`,
      'Until there is the controller shows a certificate of its own.',
    )
  }
}

/** @param ingresses the oldest first */
function checkConflicts(ingresses: readonly Ingress[], problems: ProblemList): void {
  const first = new Map<string, { readonly ingress: Ingress; readonly place: string }>()
  for (const ingress of ingresses.filter((one) => !isCanary(one))) {
    for (const { host, paths } of ingress.rules) {
      for (const { path, pathType, file, line } of paths) {
        const key = JSON.stringify([ingress.className ?? ingress.annotatedClass ?? '', host, path || '/', pathType])
        const other = first.get(key)
        if (other === undefined) {
          first.set(key, { ingress, place: formatPlace({ file, line }) })
          continue
        }
        const same = other.ingress === ingress
        const rule = ingress.created === '' ? 'the one last in the alphabet wins where none is older' : 'the oldest wins'
        problems.warning(
          { file, line },
          ingress.object.label,
          `host ${host || '*'}, path ${path || '/'} is in ` +
            `${same ? 'the same Ingress' : `Ingress ${other.ingress.namespace}/${other.ingress.name}`} too (${other.place})`,
          same ? 'The first counts.' : `With ingress-nginx ${rule}: the requests go by that one.`,
        )
      }
    }
  }
}

const CANARY = 'nginx.ingress.kubernetes.io/canary'

export function isCanary({ annotations }: Ingress): boolean {
  return annotations[CANARY] === 'true'
}
