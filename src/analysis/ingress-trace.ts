/**
 * A client's HTTP request through an Ingress: which rule takes it, and the two TCP connections that carry it. The controller ends the client's (and
 * its TLS) and opens one of its own to the backend, so each is a trace by itself, and policies at the backend see the controller.
 */
import { formatIp, parseIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import {
  backendTargets,
  entriesOf,
  findControllers,
  ingressesOf,
  type BackendTargets,
  type IngressController,
  type IngressEntry,
  type IngressTarget,
} from '../cluster/ingress/controllers.js'
import { routeRequest, type IngressRequest, type Route } from '../cluster/ingress/route-request.js'
import type { Disposition } from '../net/disposition.js'
import type { Network } from '../network/network.js'
import { isOutcome } from '../network/probe.js'
import type { TraceRequest } from '../network/request.js'
import { notModelled, requestProblem } from '../network/request-problem.js'
import type { TraceDocument } from './trace-document.js'
import { traceDocument } from './trace-report.js'

export interface IngressTrace {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'IngressTrace'
  /** DELIVERED when the request reached a backend; of a connection that failed its disposition. */
  readonly disposition: Disposition
  readonly request: { readonly source: string; readonly url: string; readonly host: string; readonly path: string; readonly tls: boolean }
  readonly controller: { readonly product: string; readonly namespace: string; readonly pod?: string }
  readonly entry: {
    readonly kind: IngressEntry['kind']
    readonly address: string
    readonly port: number
    readonly object: string
    readonly file: string
    readonly line: number
  }
  readonly route: RouteDocument
  /** What the controller answers by itself; absent: the backend answers. */
  readonly status?: { readonly code: number; readonly why: string }
  /** The client's connection, then the controller's. */
  readonly flows: readonly TraceDocument[]
  /** What netsim took for granted. */
  readonly notes: readonly string[]
}

interface RouteDocument {
  readonly outcome: Route['outcome']
  readonly ingress?: string
  readonly host?: string
  readonly path?: string
  readonly pathType?: string
  readonly backend?: string
  readonly file?: string
  readonly line?: number
  /** Whose certificate the client is shown; absent without TLS. */
  readonly certificate?: string
  /** How the controller reaches the backend. */
  readonly via?: BackendTargets['via']
  readonly why?: string
  /** Paths that did not take it. */
  readonly others: readonly {
    readonly object: string
    readonly host: string
    readonly path: string
    readonly why: string
    readonly file: string
    readonly line: number
  }[]
}

/** RFC 3986 3.2: a user before the host is for the server to read, not for the way to it. */
const URL_FORM = /^(https?):\/\/(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/:?#@[\]]+)(?::(\d*))?(\/[^?#]*)?(?:[?#].*)?$/i
const LAST_PORT = 65535

interface Asked extends IngressRequest {
  readonly url: string
  /** Absent: of the entry. */
  readonly port?: number
}

/** @param request its destination is a URL */
export function ingressTrace(network: Network, request: TraceRequest): IngressTrace | readonly Problem[] {
  const asked = readUrl(request.destination)
  if ('severity' in asked) return [asked]
  const { cluster } = network
  const controllers = findControllers(cluster.pods, cluster.services)
  if (controllers.length === 0) {
    const what = 'no Ingress controller is among the pods: Ingresses do nothing without one'
    return [requestProblem(asked.url, what, 'Add its Deployment or DaemonSet (known are ingress-nginx, nginx-ingress, traefik, haproxy).')]
  }
  const { controller, route, left } = chooseController(network, controllers, asked)
  const found = entryFor(network, controller, asked)
  if ('severity' in found) return [found]
  const { entry, address, notes } = found
  const port = asked.port ?? found.port
  const first = connection(network, { ...request, proto: 'tcp', destination: `${formatIp(address)}:${port}` })
  if ('problems' in first) return first.problems
  const behind =
    route.ingress === undefined || route.backend === undefined ? undefined : backendTargets(route.ingress, route.backend, network.services.endpoints)
  const status = statusOf(route, behind, left)
  const start: Omit<IngressTrace, 'disposition' | 'flows'> = {
    apiVersion: 'netsim/v1',
    kind: 'IngressTrace',
    request: { source: request.source, url: asked.url, host: asked.host, path: asked.path, tls: asked.tls },
    controller: { product: controller.product, namespace: controller.namespace, ...podField(first.server) },
    entry: { kind: entry.kind, address: formatIp(address), port, object: entry.object, file: entry.file, line: entry.line },
    route: routeDocument(route, behind),
    ...(status === undefined || first.trace.disposition !== 'DELIVERED' ? {} : { status }),
    notes,
  }
  const target = behind?.targets[(request.seed - 1) % Math.max(1, behind.targets.length)]
  if (first.trace.disposition !== 'DELIVERED' || status !== undefined || target === undefined)
    return { ...start, disposition: first.trace.disposition, flows: [first.trace] }
  const second = connection(network, backendRequest(request, first.server ?? '', target))
  if ('problems' in second) return second.problems
  return { ...start, disposition: second.trace.disposition, flows: [first.trace, second.trace] }
}

function readUrl(url: string): Asked | Problem {
  const [, scheme, host, port = '', path = '/'] = URL_FORM.exec(url) ?? []
  if (scheme === undefined) return requestProblem(url, 'a URL without a host', 'Write http://HOST[:PORT]/PATH or https://….')
  if (host.startsWith('[')) return notModelled(url, `${host} is an IPv6 address; IPv6 is not modelled yet`, 'Ask with a name or an IPv4 address.')
  if (port !== '' && (Number(port) < 1 || Number(port) > LAST_PORT)) return requestProblem(url, `${port} is not a port`, `Ports are 1 to ${LAST_PORT}.`)
  return { url, host, path, tls: scheme.toLowerCase() === 'https', ...(port === '' ? {} : { port: Number(port) }) }
}

interface Connection {
  readonly trace: TraceDocument
  /** The netns that took it. */
  readonly server?: string
}

function connection(network: Network, request: TraceRequest): Connection | { readonly problems: readonly Problem[] } {
  const outcome = network.trace(request)
  if (!isOutcome(outcome)) return { problems: outcome }
  const trace = traceDocument(network, outcome)
  const { server } = trace.result
  return { trace, ...(server === undefined ? {} : { server: server.netns }) }
}

/** The controller's process: of a pod on its host's network that is the host. */
function backendRequest(request: TraceRequest, server: string, { address, port }: IngressTarget): TraceRequest {
  return { ...request, proto: 'tcp', source: server.includes('/') ? server : `node/${server}`, destination: `${formatIp(address)}:${port}` }
}

function podField(server: string | undefined): Pick<IngressTrace['controller'], 'pod'> {
  return server === undefined ? {} : { pod: server }
}

/** The first whose Ingresses take the request; else the first. */
function chooseController(
  { cluster }: Network,
  controllers: readonly IngressController[],
  asked: Asked,
): { readonly controller: IngressController; readonly route: Route; readonly left: readonly string[] } {
  const answers = controllers.map((controller) => {
    const { taken, left } = ingressesOf(controller, cluster.ingresses, cluster.ingressClasses)
    return {
      controller,
      route: routeRequest(taken, asked),
      left: left.map(({ ingress, why }) => `${ingress.object.label} (${ingress.file}:${ingress.line}): ${why}`),
    }
  })
  return answers.find(({ route }) => route.outcome !== 'none') ?? answers[0]
}

interface Entry {
  readonly entry: IngressEntry
  readonly address: Ip
  /** Where the URL has none. */
  readonly port: number
  readonly notes: readonly string[]
}

/** Where the name leads: what the URL's host is or resolves to, else the controller's first way in, for which the world's DNS is taken to stand. */
function entryFor(network: Network, controller: IngressController, asked: Asked): Entry | Problem {
  const { cluster } = network
  const nodeAddress = (name: string): Ip | undefined => cluster.nodeByName.get(name)?.address
  const entries = entriesOf(controller, { tls: asked.tls, nodeAddress })
  const [entry] = entries
  const what = `${controller.product} cannot be reached over ${asked.tls ? 'https' : 'http'}: it has no Service with that port, no hostPort and no host network`
  if (entry === undefined) return requestProblem(asked.url, what, `Give it a Service of type LoadBalancer or NodePort in namespace ${controller.namespace}.`)
  const usual = asked.tls ? 443 : 80
  const literal = parseIp(asked.host) ?? network.lookup(undefined, asked.host).address
  if (literal !== undefined) {
    const there = entries.find((one) => one.address === literal) ?? entry
    return { entry: there, address: literal, port: usual, notes: [] }
  }
  const address = entry.address ?? cluster.nodes[0]?.address
  if (address === undefined) return requestProblem(asked.url, 'the cluster has no nodes', 'Add them.')
  const choice = entry.kind === 'NodePort' ? ', the first node' : ''
  const notes = [`the DNS of ${asked.host} is taken to lead to ${formatIp(address)} (${entry.kind} of ${entry.object}${choice}); spec.dns.hosts says otherwise`]
  if (asked.port === undefined && entry.port !== usual)
    notes.push(`somebody is taken to hand on port ${usual} to port ${entry.port} there: a client by itself has to ask for ${asked.host}:${entry.port}`)
  return { entry, address, port: entry.port, notes }
}

function statusOf(route: Route, behind: BackendTargets | undefined, left: readonly string[]): IngressTrace['status'] {
  if (route.redirect) return { code: 308, why: 'the host has TLS: the controller sends the client to https' }
  if (route.outcome === 'unknown') return { code: 0, why: 'the path is a regular expression that netsim does not evaluate' }
  if (route.outcome === 'none') {
    const passed = left.length === 0 ? '' : `; not the controller's: ${left.join(', ')}`
    return { code: 404, why: `no rule takes the host and path, and there is no default backend${passed}` }
  }
  return behind?.status === undefined ? undefined : { code: behind.status, why: behind.why }
}

function routeDocument({ outcome, ingress, rule, path, backend, place, certificate, others }: Route, behind: BackendTargets | undefined): RouteDocument {
  return {
    outcome,
    ...(ingress === undefined ? {} : { ingress: ingress.object.label }),
    ...(rule === undefined ? {} : { host: rule.host }),
    ...(path === undefined ? {} : { path: path.path, pathType: path.pathType }),
    ...(backend?.service === undefined ? {} : { backend: `Service ${ingress?.namespace ?? ''}/${backend.service.name} port ${backend.service.port}` }),
    ...(place === undefined ? {} : { file: place.file, line: place.line }),
    ...(certificate === undefined
      ? {}
      : { certificate: certificate.secretName === undefined ? "the controller's own" : `${certificate.namespace}/${certificate.secretName}` }),
    ...(behind === undefined ? {} : { via: behind.via, why: behind.why }),
    others: others.map(({ object, host, path: text, why, file, line }) => ({ object, host, path: text, why, file, line })),
  }
}
