/** Ingresses as manifests say them. */
import { formatProblem } from '../../../src/base/problem.js'
import { buildCluster, type Cluster } from '../../../src/cluster/cluster.js'

export interface PathText {
  readonly path?: string
  readonly type?: string
  readonly service?: string
  readonly port?: number | string
}

export interface IngressText {
  readonly name?: string
  readonly namespace?: string
  readonly annotations?: Record<string, string>
  readonly created?: string
  readonly className?: string
  readonly rules?: readonly { readonly host?: string; readonly paths: readonly PathText[] }[]
  readonly tls?: readonly object[]
  readonly defaultService?: string
}

const backendOf = (service: string, port: number | string): object => ({
  service: { name: service, port: typeof port === 'number' ? { number: port } : { name: port } },
})

export function ingress({ name = 'web', namespace = 'default', annotations, created, className, rules, tls, defaultService }: IngressText): string {
  const pathOf = ({ path, type = 'Prefix', service = 'web', port = 80 }: PathText): object => ({ path, pathType: type, backend: backendOf(service, port) })
  return `${JSON.stringify({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace, annotations, creationTimestamp: created },
    spec: {
      ingressClassName: className,
      defaultBackend: defaultService === undefined ? undefined : backendOf(defaultService, 80),
      tls,
      rules: rules?.map(({ host, paths }) => ({ host, http: { paths: paths.map(pathOf) } })),
    },
  })}\n`
}

export function service(name: string, { namespace = 'default', ports = [{ port: 80 }] as readonly object[], more = {} } = {}): string {
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec: { selector: { app: name }, ports, ...more } })}\n`
}

export function build(...texts: readonly string[]): { cluster: Cluster; texts: string[] } {
  const { cluster, problems } = buildCluster([{ file: 't.yaml', text: texts.join('---\n') }])
  return { cluster, texts: problems.map(formatProblem) }
}
