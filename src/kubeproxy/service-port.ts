/**
 * A service port with everything of it that is the same on every node: names, matches, and the chain of each endpoint.
 */
import { formatIp } from '../base/ip.js'
import { servicePortName, type ClusterService, type ServiceEndpoint, type ServicePort } from '../cluster/services/service.js'
import type { ChainEdit, Match, Target } from '../dataplane/iptables.js'
import type { Provenance } from '../dataplane/dataplane.js'
import { CHAIN, endpointChainName, serviceChainNames, type ServiceChainNames } from './chain-names.js'
import { hasHints, type PolicyUse } from './endpoint-choice.js'
import { comment, createChain, from, jump, KUBE_PROXY, protocol, protocolModule, ruleOf } from './rule.js'

export const MARK_MASQUERADE: Target = jump(CHAIN.markMasquerade)

/** An endpoint with its chain. */
export interface ProxiedEndpoint extends ServiceEndpoint {
  /** `10.180.0.1:80` */
  readonly text: string
  readonly chain: ChainEdit
}

export type ProxiedService = ClusterService & Required<Pick<ClusterService, 'clusterIP'>>

export interface ProxiedPort {
  /** `ns/name:port` */
  readonly name: string
  readonly service: ProxiedService
  readonly port: ServicePort
  readonly provenance: Provenance
  readonly chains: ServiceChainNames
  readonly endpoints: readonly ProxiedEndpoint[]
  readonly use: PolicyUse
  /** It has an address or a port besides the cluster IP. */
  readonly externallyAccessible: boolean
  /** Its rules are the same on every node: no policy Local, no hints, no source ranges. */
  readonly uniform: boolean
}

export function prepareServicePort(
  service: ProxiedService,
  port: ServicePort,
  { endpoints, large }: { readonly endpoints: readonly ServiceEndpoint[]; readonly large: boolean },
): ProxiedPort {
  const name = servicePortName(service, port)
  const provenance: Provenance = { by: KUBE_PROXY, object: service.object.label, file: port.file, line: port.line }
  const externallyAccessible = (port.nodePort ?? 0) !== 0 || virtualAddresses(service).length > 0 || service.externalIPs.length > 0
  const local = service.internalLocal || (service.externalLocal && externallyAccessible)
  const words = large ? [] : [comment(name)]
  const hinted = hasHints(endpoints)
  return {
    name,
    service,
    port,
    provenance,
    chains: serviceChainNames(name, port.protocol.toLowerCase()),
    endpoints: endpoints.map((endpoint) => proxied(endpoint, { name, service, port, provenance, words })),
    use: { cluster: !service.internalLocal || externallyAccessible, local },
    externallyAccessible,
    uniform: !local && !hinted && service.sourceRanges.length === 0,
  }
}

/** Load balancers whose packets come with the address itself. */
export function virtualAddresses({ loadBalancerAddresses }: ClusterService): readonly number[] {
  return loadBalancerAddresses.filter(({ mode }) => mode === 'VIP').map(({ address }) => address)
}

interface EndpointWords extends Pick<ProxiedPort, 'name' | 'service' | 'port' | 'provenance'> {
  readonly words: readonly Match[]
}

function proxied(endpoint: ServiceEndpoint, { name, service, port, provenance, words }: EndpointWords): ProxiedEndpoint {
  const text = `${formatIp(endpoint.address)}:${endpoint.port}`
  const chain = endpointChainName(name, port.protocol.toLowerCase(), text)
  const remembered: Match[] = service.affinitySeconds === undefined ? [] : [{ kind: 'recent', action: 'set', name: chain, side: 'source', mask: -1 }]
  const translate: Target = {
    kind: 'DNAT',
    to: { first: endpoint.address, last: endpoint.address, ports: [endpoint.port, endpoint.port] },
    random: false,
    persistent: false,
  }
  return {
    ...endpoint,
    text,
    chain: createChain('nat', chain, [
      // what it sends to its own service and gets back itself
      ruleOf(provenance, [from(endpoint.address), ...words], MARK_MASQUERADE),
      ruleOf(provenance, [protocol(port.protocol), ...words, ...remembered, protocolModule(port.protocol)], translate),
    ]),
  }
}
