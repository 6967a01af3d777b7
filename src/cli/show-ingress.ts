/** `netsim show ingress`: rule by rule the backend and the endpoints behind it, with the class and the controller that takes the Ingress. */
import { formatIp } from '../base/ip.js'
import { backendTargets, findControllers, ingressesOf, type BackendTargets, type IngressController } from '../cluster/ingress/controllers.js'
import type { Ingress, IngressBackend } from '../cluster/ingress/ingress.js'
import type { Loaded } from './load-network.js'
import type { Shown } from './show-command.js'
import { chosen, type Wanted } from './chosen.js'
import { table } from './table.js'

interface Way {
  readonly host: string
  readonly path: string
  readonly pathType?: string
  readonly backend: IngressBackend
}

/** @throws UsageError when there is none of that name */
export function showIngress(wanted: Wanted, { network, cluster }: Loaded): Shown {
  const controllers = findControllers(cluster.pods, cluster.services)
  const shown = chosen('Ingress', cluster.ingresses, wanted).map((ingress) => {
    const { by, why } = takenBy(ingress, controllers, { cluster })
    const ways = waysOf(ingress).map((way) => ({ ...way, behind: backendTargets(ingress, way.backend, network.services.endpoints) }))
    return { ingress, by, why, ways }
  })
  const rows = shown.flatMap(({ ingress, by, ways }) =>
    ways.map(({ host, path, pathType, backend, behind }) => [
      ingress.namespace,
      ingress.name,
      ingress.className ?? ingress.annotatedClass,
      by,
      host || '*',
      path || '/',
      pathType ?? 'default',
      backendText(backend),
      behindText(behind),
    ]),
  )
  const left = shown.flatMap(({ ingress, why }) => (why === undefined ? [] : [`# ${ingress.namespace}/${ingress.name}: no controller takes it: ${why}\n`]))
  const items = shown.map(({ ingress, by, why, ways }) => ({
    namespace: ingress.namespace,
    name: ingress.name,
    ...(ingress.className === undefined && ingress.annotatedClass === undefined ? {} : { class: ingress.className ?? ingress.annotatedClass }),
    ...(by === undefined ? {} : { controller: by }),
    ...(why === undefined ? {} : { why }),
    tls: ingress.tls.map(({ hosts, secretName }) => ({ hosts, ...(secretName === undefined ? {} : { secretName }) })),
    rules: ways.map(({ host, path, pathType, backend, behind }) => ({
      host: host || '*',
      path: path || '/',
      ...(pathType === undefined ? {} : { pathType }),
      backend: backendText(backend),
      via: behind.via,
      endpoints: behind.targets.map(({ address, port }) => `${formatIp(address)}:${port}`),
      ...(behind.targets.length > 0 ? {} : { why: behind.why }),
      file: backend.file,
      line: backend.line,
    })),
  }))
  const heading = ['NAMESPACE', 'NAME', 'CLASS', 'CONTROLLER', 'HOST', 'PATH', 'TYPE', 'BACKEND', 'ENDPOINTS']
  return { items, text: `${table(heading, rows)}${left.join('')}` }
}

function takenBy(
  ingress: Ingress,
  controllers: readonly IngressController[],
  { cluster }: Pick<Loaded, 'cluster'>,
): { readonly by?: string; readonly why?: string } {
  if (controllers.length === 0) return { why: 'there is none among the pods' }
  const answers = controllers.map((controller) => ({ controller, ...ingressesOf(controller, [ingress], cluster.ingressClasses) }))
  const taker = answers.find(({ taken }) => taken.length > 0)
  if (taker !== undefined) return { by: `${taker.controller.namespace}/${taker.controller.product}` }
  return { why: answers.flatMap(({ left }) => left.map(({ why }) => why)).join('; ') }
}

/** The default backend last: it gets what no rule takes. */
function waysOf({ rules, defaultBackend }: Ingress): Way[] {
  const ways = rules.flatMap(({ host, paths }) => paths.map(({ path, pathType, backend }): Way => ({ host, path, pathType, backend })))
  return defaultBackend === undefined ? ways : [...ways, { host: '', path: '', backend: defaultBackend }]
}

function backendText({ service, resource }: IngressBackend): string {
  return service === undefined ? (resource ?? '') : `${service.name}:${service.port}`
}

function behindText({ targets, status, why, externalName }: BackendTargets): string {
  if (externalName !== undefined) return externalName
  return targets.length === 0 ? `${status ?? ''} ${why}`.trim() : targets.map(({ address, port }) => `${formatIp(address)}:${port}`).join(',')
}
