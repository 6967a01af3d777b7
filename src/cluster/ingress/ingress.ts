/** Ingresses and their classes, as controllers look at them: what they are. read-ingress.ts reads them; route-request.ts asks them. */
import type { KubernetesObject } from '../manifest.js'
import type { Place } from '../problem-list.js'

export interface IngressBackend extends Place {
  /** Absent: a resource, or nothing that could be read. */
  readonly service?: { readonly name: string; readonly port: number | string }
  /** `Kind/name` of a resource that is no Service. */
  readonly resource?: string
}

export type PathType = 'Exact' | 'Prefix' | 'ImplementationSpecific'

export interface IngressPath extends Place {
  /** Empty: every path. */
  readonly path: string
  readonly pathType: PathType
  readonly backend: IngressBackend
}

export interface IngressRule extends Place {
  /** Lower case; empty: every host; `*.` first: a wildcard. */
  readonly host: string
  readonly paths: readonly IngressPath[]
}

export interface IngressTls extends Place {
  /** Lower case; empty: whatever the certificate names. */
  readonly hosts: readonly string[]
  /** Absent: the controller's own certificate. */
  readonly secretName?: string
}

export interface Ingress extends Place {
  readonly namespace: string
  readonly name: string
  /** spec.ingressClassName */
  readonly className?: string
  /** kubernetes.io/ingress.class, which came before it. */
  readonly annotatedClass?: string
  readonly defaultBackend?: IngressBackend
  readonly rules: readonly IngressRule[]
  readonly tls: readonly IngressTls[]
  readonly annotations: Readonly<Record<string, string>>
  /** metadata.creationTimestamp, RFC 3339; empty where there is none. */
  readonly created: string
  readonly object: KubernetesObject
}

export interface IngressClass extends Place {
  readonly name: string
  /** Absent in a manifest that says none. */
  readonly controller?: string
  readonly isDefault: boolean
  readonly object: KubernetesObject
}

/** True for `web.example.com` under `*.example.com`: the star is one label. */
export function matchesHost(pattern: string, host: string): boolean {
  if (pattern === '') return true
  if (!pattern.startsWith('*.')) return pattern === host
  const dot = host.indexOf('.')
  return dot > 0 && host.slice(dot) === pattern.slice(1)
}

/** Element by element between slashes, the last slash of either side not counted (networking/v1 types.go, the Ingress page's examples). */
export function matchesPath({ path, pathType }: Pick<IngressPath, 'path' | 'pathType'>, asked: string): boolean {
  if (path === '') return true
  if (pathType === 'Exact') return path === asked
  const prefix = path.replace(/\/$/, '')
  return asked === prefix || asked.startsWith(`${prefix}/`)
}
