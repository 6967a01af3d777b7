/** What all nodes share of the services, made once per cluster: a thousand services of thirty endpoints are sixty thousand rules in SEP chains alone. */
import type { KubeProxySettings } from '../cluster/services/kube-proxy-settings.js'
import type { ClusterService, ServiceEndpoints } from '../cluster/services/service.js'
import { prepareServicePort, type ProxiedPort, type ProxiedService } from './service-port.js'
import type { ServicePortRules } from './service-port-rules.js'

/** Above so many endpoints the rules of SVC, SVL and SEP bear no comments (largeClusterEndpointsThreshold). */
const LARGE_CLUSTER = 1000

export interface PreparedServices {
  /** By name, then protocol: the real order is that of a Go map, and does not matter. */
  readonly ports: readonly ProxiedPort[]
  /** No comments on the rules of SVC, SVL and SEP. */
  readonly large: boolean
  /** Rules of uniform ports, filled in by the first node that renders them; by detector of local traffic. */
  readonly uniformRules: Map<string, ReadonlyMap<ProxiedPort, ServicePortRules>>
}

/** Services without a cluster IP have nothing to proxy. */
export function prepareServices(services: readonly ServiceEndpoints[], settings: KubeProxySettings): PreparedServices {
  const ports =
    settings.mode === 'none'
      ? []
      : services.flatMap(({ service, ports }) => {
          if (!isProxied(service)) return []
          const heeded = withRanges(service)
          return ports.map((port) => ({ service: heeded, ...port }))
        })
  const large = ports.reduce((sum, { endpoints }) => sum + endpoints.length, 0) > LARGE_CLUSTER
  const prepared = ports.map(({ service, port, endpoints }) => prepareServicePort(service, port, { endpoints, large }))
  return { ports: prepared.sort(byName), large, uniformRules: new Map() }
}

function isProxied(service: ClusterService): service is ProxiedService {
  return service.type !== 'ExternalName' && service.clusterIP !== undefined
}

/** A range of /0 lets everybody in, as no range does; since 1.34 there is no firewall chain then. Source: pkg/proxy/serviceport.go newBaseServiceInfo. */
function withRanges(service: ProxiedService): ProxiedService {
  return service.sourceRanges.some(({ length }) => length === 0) ? { ...service, sourceRanges: [] } : service
}

function byName(a: ProxiedPort, b: ProxiedPort): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1
  return a.port.protocol < b.port.protocol ? -1 : 1
}
