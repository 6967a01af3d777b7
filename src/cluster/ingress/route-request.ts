/**
 * A request's host and path → the rule that takes it, and why the others do not. The host is looked at first, the path among the paths of that
 * host; the longest path wins, Exact before Prefix. Source: networking/v1 types.go; where the API leaves it open, ingress-nginx
 * (internal/ingress/controller/{controller,location}.go, template.go): the oldest Ingress wins, a host that is written out has paths of its own
 * only, ImplementationSpecific is Prefix, use-regex or rewrite-target makes regular expressions of all paths of a host.
 */
import { formatPlace, type Place } from '../problem-list.js'
import { byAge, isCanary } from './check-ingresses.js'
import { matchesHost, matchesPath, type Ingress, type IngressBackend, type IngressPath, type IngressRule, type IngressTls } from './ingress.js'

export interface IngressRequest {
  /** Of the Host header, with or without a port; empty: none. */
  readonly host: string
  /** Without the query, as the client writes it: `/shop/cart`. */
  readonly path: string
  readonly tls: boolean
}

/** A path, or a whole Ingress, that did not take the request. */
export interface Passed extends Place {
  /** `Ingress/default/web` */
  readonly object: string
  readonly host: string
  readonly path: string
  readonly why: string
}

export interface Certificate extends Place {
  /** Absent: the controller's own. */
  readonly secretName?: string
  readonly namespace: string
}

export interface Route {
  /**
   * rule: a path took it. default: a default backend of an Ingress did. none: nothing did, the controller's own default backend answers 404.
   * unknown: it hangs on a regular expression that netsim does not evaluate.
   */
  readonly outcome: 'rule' | 'default' | 'none' | 'unknown'
  readonly ingress?: Ingress
  readonly rule?: IngressRule
  readonly path?: IngressPath
  readonly backend?: IngressBackend
  /** Of what took it. */
  readonly place?: Place
  /** Absent: without TLS, or the host is in no Ingress's tls and the controller's own certificate is shown. */
  readonly certificate?: Certificate
  /** Without TLS, where the host has some: the controller sends the client to https (308) in place of a backend. */
  readonly redirect: boolean
  readonly others: readonly Passed[]
}

/** One path of one host, as nginx has locations. */
interface Location {
  readonly ingress: Ingress
  readonly rule: IngressRule
  readonly path: IngressPath
}

/** @param ingresses of one controller (controllers.ts ingressesOf) */
export function routeRequest(ingresses: readonly Ingress[], request: IngressRequest): Route {
  const host = request.host
    .toLowerCase()
    .replace(/:[0-9]*$/, '')
    .replace(/\.$/, '')
  const ordered = byAge(ingresses).filter((ingress) => !isCanary(ingress))
  const locations = ordered.flatMap((ingress) => ingress.rules.flatMap((rule) => rule.paths.map((path): Location => ({ ingress, rule, path }))))
  const server = serverOf(ordered, host)
  const others: Passed[] = []
  const here: Location[] = []
  for (const location of locations) {
    if (location.rule.host !== server) others.push(passed(location, whyOtherHost(location.rule.host, server, host)))
    else here.push(location)
  }
  const { best, unknown } = choose(here, request.path, others)
  const certificate = request.tls ? certificateOf(ordered, host) : undefined
  const base = { redirect: !request.tls && redirects(ordered, host, best?.ingress), others, ...(certificate === undefined ? {} : { certificate }) }
  if (unknown !== undefined) return { ...base, ...hitOf(unknown), outcome: 'unknown' }
  if (best !== undefined) return { ...base, ...hitOf(best), outcome: 'rule' }
  const fallback = defaultOf(ordered, server)
  if (fallback?.defaultBackend === undefined) return { ...base, outcome: 'none' }
  const { file, line } = fallback.defaultBackend
  return { ...base, outcome: 'default', ingress: fallback, backend: fallback.defaultBackend, place: { file, line } }
}

function hitOf({ ingress, rule, path }: Location): Pick<Route, 'ingress' | 'rule' | 'path' | 'backend' | 'place'> {
  return { ingress, rule, path, backend: path.backend, place: { file: path.file, line: path.line } }
}

function passed({ ingress, rule, path }: Location, why: string): Passed {
  return { object: ingress.object.label, host: rule.host, path: path.path || '/', why, file: path.file, line: path.line }
}

// ---- hosts

/** The host as rules write it that serves the request: the name itself, its wildcard, or none. */
function serverOf(ingresses: readonly Ingress[], host: string): string {
  const hosts = new Set(ingresses.flatMap(({ rules }) => rules.map((rule) => rule.host)))
  if (hosts.has(host)) return host
  return [...hosts].find((pattern) => pattern.startsWith('*.') && matchesHost(pattern, host)) ?? ''
}

function whyOtherHost(pattern: string, server: string, host: string): string {
  if (!matchesHost(pattern, host)) return `its host ${pattern} is not ${host === '' ? 'asked for' : host}`
  return `rules of host ${server} go first`
}

/**
 * The first Ingress that has the host gives it its default backend; of hosts in no rule, the youngest Ingress with a default backend
 * (createServers: each writes its own over the catch-all's).
 */
function defaultOf(ingresses: readonly Ingress[], server: string): Ingress | undefined {
  if (server === '') return ingresses.findLast(({ defaultBackend }) => defaultBackend?.service !== undefined)
  const first = ingresses.find(({ rules }) => rules.some((rule) => rule.host === server))
  return first?.defaultBackend === undefined ? undefined : first
}

// ---- paths

/** What the longest match of the host's paths is; the others are told why not. */
function choose(locations: readonly Location[], asked: string, others: Passed[]): { readonly best?: Location; readonly unknown?: Location } {
  const kept: Location[] = []
  for (const location of locations) {
    const same = kept.find((one) => (one.path.path || '/') === (location.path.path || '/') && typeOf(one.path) === typeOf(location.path))
    if (same === undefined) kept.push(location)
    else others.push(passed(location, `the same path is in ${same.ingress.object.label} (${formatPlace(same.path)}), which goes first`))
  }
  if (locations.some(({ ingress }) => usesRegex(ingress))) return chooseByRegex(kept, asked, others)
  const matching = kept.filter(({ path }) => matchesPath(path, asked))
  const [best] = [...matching].sort((a, b) => lengthOf(b.path) - lengthOf(a.path) || Number(b.path.pathType === 'Exact') - Number(a.path.pathType === 'Exact'))
  for (const location of kept) if (location !== best) others.push(passed(location, whyNot(location.path, asked, best?.path)))
  return best === undefined ? {} : { best }
}

/** As ingress-nginx takes it. */
function typeOf({ pathType }: IngressPath): 'Exact' | 'Prefix' {
  return pathType === 'Exact' ? 'Exact' : 'Prefix'
}

/** A last slash of a prefix does not make it longer. */
function lengthOf(path: IngressPath): number {
  return (path.pathType === 'Exact' ? path.path : path.path.replace(/\/$/, '')).length
}

function whyNot(path: IngressPath, asked: string, best: IngressPath | undefined): string {
  const text = path.path || '/'
  if (best === undefined || !matchesPath(path, asked))
    return path.pathType === 'Exact' ? `${text} is not ${asked}` : `${text} is no prefix of ${asked} by whole elements`
  return lengthOf(path) < lengthOf(best) ? `${text} is shorter than ${best.path}` : `${best.path} is as long and ${best.pathType}`
}

// ---- regular expressions

const USE_REGEX = 'nginx.ingress.kubernetes.io/use-regex'
const REWRITE_TARGET = 'nginx.ingress.kubernetes.io/rewrite-target'

function usesRegex({ annotations }: Ingress): boolean {
  return annotations[USE_REGEX] === 'true' || (annotations[REWRITE_TARGET] ?? '') !== ''
}

/** The first that matches, the longest text first; those of one length from the end of the alphabet (controller.go getBackendServers). */
function chooseByRegex(locations: readonly Location[], asked: string, others: Passed[]): { readonly best?: Location; readonly unknown?: Location } {
  const text = ({ path }: Location): string => path.path || '/'
  const ordered = [...locations].sort((a, b) => text(b).length - text(a).length || (text(a) < text(b) ? 1 : text(a) > text(b) ? -1 : 0))
  let taken: { readonly best?: Location; readonly unknown?: Location } | undefined
  for (const location of ordered) {
    if (taken !== undefined) {
      others.push(passed(location, 'a longer expression was tried first'))
      continue
    }
    const regex = simpleRegex(text(location))
    if (regex === undefined) taken = { unknown: location }
    else if (regex.test(asked)) taken = { best: location }
    else others.push(passed(location, `the expression ^${text(location)} does not match ${asked}`))
  }
  return taken ?? {}
}

/** Endings that guides use; what comes before them is plain text. */
const ENDINGS = ['', '$', '/?$', '(/|$)', '(/|$)(.*)', '/?(.*)', '/(.*)', '(.*)', '/.*', '.*', '/(.+)', '/.+', '/(.*)$', '(/.*)?', '/?']

/** undefined: more than plain text and one of the endings; evaluating it as nginx does would take nginx's engine. */
function simpleRegex(path: string): RegExp | undefined {
  const end = ENDINGS.filter((ending) => path.endsWith(ending))
    .sort((a, b) => b.length - a.length)
    .find((ending) => /^[A-Za-z0-9/_~%-]*$/.test(path.slice(0, path.length - ending.length)))
  return end === undefined ? undefined : new RegExp(`^${path}`, 'i')
}

// ---- TLS

function certificateOf(ingresses: readonly Ingress[], host: string): Certificate | undefined {
  for (const ingress of ingresses) {
    const tls = tlsFor(ingress, host)
    if (tls === undefined) continue
    const { secretName, file, line } = tls
    return { ...(secretName === undefined ? {} : { secretName }), namespace: ingress.namespace, file, line }
  }
  return undefined
}

/** Of an Ingress that has a rule for the host: the entry that lists it, else one that lists no hosts. */
function tlsFor({ rules, tls }: Ingress, host: string): IngressTls | undefined {
  if (!rules.some((rule) => rule.host !== '' && matchesHost(rule.host, host))) return undefined
  return tls.find(({ hosts }) => hosts.some((one) => matchesHost(one, host))) ?? tls.find(({ hosts }) => hosts.length === 0)
}

const SSL_REDIRECT = 'nginx.ingress.kubernetes.io/ssl-redirect'
const FORCE_SSL_REDIRECT = 'nginx.ingress.kubernetes.io/force-ssl-redirect'

/** annotations/rewrite: on unless switched off, where the host has TLS; force: without TLS too. */
function redirects(ingresses: readonly Ingress[], host: string, taker: Ingress | undefined): boolean {
  if (taker === undefined) return false
  if (taker.annotations[FORCE_SSL_REDIRECT] === 'true') return true
  return taker.annotations[SSL_REDIRECT] !== 'false' && ingresses.some((ingress) => tlsFor(ingress, host) !== undefined)
}
