/**
 * One Service object → what it says, with the defaults of an API server (kubernetes pkg/apis/core/v1/defaults.go) and what validation refuses
 * (pkg/apis/core/validation). What the API server draws (cluster IPs, node ports) is still open: allocation.ts fills it.
 */
import { cidr, formatCidr, parseAddressWithLength, parseCidr, type Cidr } from '../../base/cidr.js'
import { isIpv6Text, parseIp, type Ip } from '../../base/ip.js'
import { addressFault, cidrFault, nameFault } from '../fields.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { check } from '../schema.js'
import type { ClusterService, LoadBalancerAddress } from './service.js'
import { readServicePorts } from './read-service-ports.js'
import { serviceSchema, type ServiceSpec, type ServiceValue } from './service-schema.js'

/** Seconds, of ClientIP without a timeout. */
const AFFINITY_SECONDS = 10800
const TOPOLOGY_ANNOTATIONS = ['service.kubernetes.io/topology-mode', 'service.kubernetes.io/topology-aware-hints']
const NOT_READY_ANNOTATION = 'service.alpha.kubernetes.io/tolerate-unready-endpoints'
const LOCAL_ANNOTATION = 'service.beta.kubernetes.io/external-traffic'

/** A Service with what is open still. */
export interface ServiceReading {
  readonly service: ClusterService
  /** It is to get a cluster IP. */
  readonly wantsClusterIP: boolean
  /** Its ports are to get node ports. */
  readonly wantsNodePorts: boolean
  readonly wantsHealthCheckPort: boolean
}

/** undefined when the object is wrong beyond use (reported). */
export function readService(object: KubernetesObject, problems: ProblemList): ServiceReading | undefined {
  const value = check(serviceSchema(), object, problems, 'hint')
  if (value === undefined) return undefined
  const fault = nameFault(object.name, 'label')
  if (fault !== undefined) problems.error(object.at('metadata', 'name'), object.label, fault.what, fault.fix)
  const spec: ServiceSpec = value.spec ?? {}
  const type = spec.type || 'ClusterIP'
  const named = new Addresses(object, problems)
  const { clusterIP, headless, wanted } = readClusterIP(spec, type, named)
  const externalIPs = named.ipv4(spec.externalIPs ?? [], ['spec', 'externalIPs'])
  const outside = type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && externalIPs.length > 0)
  const local = outside && (spec.externalTrafficPolicy === 'Local' || value.metadata.annotations?.[LOCAL_ANNOTATION] === 'OnlyLocal')
  const requested = spec.loadBalancerIP ? named.ipv4([spec.loadBalancerIP], ['spec', 'loadBalancerIP'])[0] : undefined
  const healthCheckNodePort = type === 'LoadBalancer' && local ? (spec.healthCheckNodePort ?? 0) : 0
  const service: ClusterService = {
    namespace: object.namespace,
    name: object.name,
    type,
    ...(clusterIP === undefined ? {} : { clusterIP }),
    clusterIPAssumed: false,
    headless,
    ...(type === 'ExternalName' ? readExternalName(spec, object, problems) : {}),
    ports: readServicePorts(spec, { type, headless, object }, problems),
    ...(spec.selector && Object.keys(spec.selector).length > 0 ? { selector: spec.selector } : {}),
    externalIPs,
    ...readLoadBalancer(value, named),
    ...(requested === undefined ? {} : { requestedLoadBalancerIP: requested }),
    sourceRanges: named.ranges(spec.loadBalancerSourceRanges ?? [], ['spec', 'loadBalancerSourceRanges']),
    ...(spec.sessionAffinity === 'ClientIP' ? { affinitySeconds: spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS } : {}),
    externalLocal: local,
    internalLocal: type !== 'ExternalName' && spec.internalTrafficPolicy === 'Local',
    healthCheckNodePort,
    publishNotReady: spec.publishNotReadyAddresses === true || value.metadata.annotations?.[NOT_READY_ANNOTATION] === 'true',
    ...readDistribution(value, object, problems),
    object,
    file: object.file,
    line: object.line,
  }
  checkPolicy(spec, { outside, type }, object, problems)
  named.report()
  return {
    service,
    wantsClusterIP: wanted,
    wantsNodePorts: type === 'NodePort' || (type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false),
    wantsHealthCheckPort: type === 'LoadBalancer' && local && healthCheckNodePort === 0,
  }
}

type ServiceType = ClusterService['type']

function readClusterIP(
  spec: ServiceSpec,
  type: ServiceType,
  named: Addresses,
): { readonly clusterIP?: Ip; readonly headless: boolean; readonly wanted: boolean } {
  const { object, problems } = named
  const written = [...new Set([spec.clusterIP, ...(spec.clusterIPs ?? [])])].filter(
    (text): text is string => text !== undefined && text !== null && text !== '',
  )
  if (type === 'ExternalName') {
    if (written.length > 0 && written[0] !== 'None')
      problems.error(object.at('spec', 'clusterIP'), object.label, 'an ExternalName has no cluster IP: it is a CNAME', 'Leave clusterIP out.')
    return { headless: false, wanted: false }
  }
  if (written[0] === 'None') {
    if (type !== 'ClusterIP')
      problems.error(object.at('spec', 'clusterIP'), object.label, `clusterIP None together with type ${type}`, 'A headless Service is of type ClusterIP.')
    return { headless: true, wanted: false }
  }
  const [clusterIP] = named.ipv4(written, ['spec', 'clusterIP'])
  if (clusterIP !== undefined) return { clusterIP, headless: false, wanted: false }
  const ipv6Alone = written.length > 0 || (spec.ipFamilies?.length === 1 && spec.ipFamilies[0] === 'IPv6')
  if (ipv6Alone && written.every(isIpv6Text))
    problems.warning(object.at('spec'), object.label, 'a Service of IPv6 alone: netsim models IPv4 only, nothing leads to it', '')
  return { headless: false, wanted: !ipv6Alone }
}

function readExternalName(spec: ServiceSpec, object: KubernetesObject, problems: ProblemList): Pick<ClusterService, 'externalName'> {
  const place = object.at('spec', 'externalName')
  const name = (spec.externalName ?? '').replace(/\.$/, '')
  if (name === '') {
    problems.error(place, object.label, 'an ExternalName without externalName', 'Write the DNS name that it stands for.')
    return {}
  }
  if (parseIp(name) !== undefined)
    problems.warning(
      place,
      object.label,
      `externalName ${name} looks like an address, but is taken for a name: it resolves to nothing`,
      'For an address write a Service without selector and an EndpointSlice.',
    )
  else {
    const fault = nameFault(name.toLowerCase(), 'subdomain')
    if (fault !== undefined) problems.error(place, object.label, `externalName: ${fault.what}`, fault.fix)
  }
  return { externalName: name }
}

function readLoadBalancer({ status }: ServiceValue, named: Addresses): Pick<ClusterService, 'loadBalancerAddresses' | 'loadBalancerHostnames'> {
  const ingress = status?.loadBalancer?.ingress ?? []
  const addresses = ingress.flatMap(({ ip, ipMode }, index): LoadBalancerAddress[] => {
    if (!ip) return []
    const [address] = named.ipv4([ip], ['status', 'loadBalancer', 'ingress', index, 'ip'])
    return address === undefined ? [] : [{ address, mode: ipMode === 'Proxy' ? 'Proxy' : 'VIP', assumed: false }]
  })
  return { loadBalancerAddresses: addresses, loadBalancerHostnames: ingress.flatMap(({ ip, hostname }) => (ip || !hostname ? [] : [hostname])) }
}

function readDistribution({ metadata, spec }: ServiceValue, object: KubernetesObject, problems: ProblemList): Pick<ClusterService, 'trafficDistribution'> {
  const annotation = TOPOLOGY_ANNOTATIONS.find((name) => metadata.annotations?.[name] !== undefined)
  if (annotation !== undefined && /^auto$/i.test(metadata.annotations?.[annotation] ?? '')) return { trafficDistribution: 'Auto' }
  switch (spec?.trafficDistribution) {
    case undefined:
    case null:
    case '':
      return {}
    case 'PreferClose':
    case 'PreferSameZone':
      return { trafficDistribution: 'PreferSameZone' }
    case 'PreferSameNode':
      return { trafficDistribution: 'PreferSameNode' }
    default:
      problems.error(
        object.at('spec', 'trafficDistribution'),
        object.label,
        `trafficDistribution ${JSON.stringify(spec?.trafficDistribution)} is not known`,
        'Write PreferSameZone, PreferSameNode or PreferClose.',
      )
      return {}
  }
}

/** What the API server refuses, and what says nothing. */
function checkPolicy(
  spec: ServiceSpec,
  { outside, type }: { readonly outside: boolean; readonly type: ServiceType },
  object: KubernetesObject,
  problems: ProblemList,
): void {
  if (spec.externalTrafficPolicy && !outside)
    problems.error(
      object.at('spec', 'externalTrafficPolicy'),
      object.label,
      `externalTrafficPolicy on a Service of type ${type} that nothing outside can reach`,
      'It belongs to NodePort, LoadBalancer and externalIPs: leave it out.',
    )
  if (type !== 'LoadBalancer' && (spec.loadBalancerSourceRanges?.length ?? 0) > 0)
    problems.error(
      object.at('spec', 'loadBalancerSourceRanges'),
      object.label,
      `loadBalancerSourceRanges on a Service of type ${type}`,
      'They hold for load balancers alone: write type: LoadBalancer.',
    )
}

/** Texts of addresses → those of IPv4. Those of IPv6 are named once for the Service. */
class Addresses {
  readonly object: KubernetesObject
  readonly problems: ProblemList
  private readonly ipv6: string[] = []

  constructor(object: KubernetesObject, problems: ProblemList) {
    this.object = object
    this.problems = problems
  }

  ipv4(texts: readonly string[], path: Path): Ip[] {
    return texts.flatMap((written, index) => {
      const text = written.trim()
      const address = parseIp(text)
      if (address !== undefined) return [address]
      if (isIpv6Text(text)) this.ipv6.push(text)
      else this.report4(addressFault(text), [...path, index])
      return []
    })
  }

  ranges(texts: readonly string[], path: Path): Cidr[] {
    return texts.flatMap((written, index) => {
      const text = written.trim()
      const range = parseCidr(text)
      if (typeof range !== 'string') return [range]
      if (range === 'host-bits') return [this.masked(text, [...path, index])]
      if (isIpv6Text(text)) this.ipv6.push(text)
      else this.report4(cidrFault(text), [...path, index])
      return []
    })
  }

  /** The API server lets it pass (IsValidCIDRForLegacyField), kube-proxy takes the prefix that it lies in (ParseCIDRSloppy). */
  private masked(text: string, path: Path): Cidr {
    const { address, length } = parseAddressWithLength(text) as { readonly address: Ip; readonly length: number }
    const range = cidr(address, length)
    const fault = cidrFault(text)
    this.problems.warning(this.object.at(...path), this.object.label, `${fault?.what ?? ''}: kube-proxy takes ${formatCidr(range)}`, fault?.fix ?? '')
    return range
  }

  private report4(fault: { readonly what: string; readonly fix: string } | undefined, path: Path): void {
    if (fault !== undefined) this.problems.error(this.object.at(...path), this.object.label, fault.what, fault.fix)
  }

  report(): void {
    if (this.ipv6.length > 0)
      this.problems.warning(this.object, this.object.label, `IPv6 is not modelled: ${this.ipv6.join(', ')} of the Service plays no part`, '')
  }
}
