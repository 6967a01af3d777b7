/** BGPConfiguration, BGPPeer, BGPFilter: objects → types. The rules on which fields exclude which are libcalico-go/lib/validator/v3's. */
import * as v from 'valibot'
import type { InferOutput } from 'valibot'
import { isIpv6Text } from '../../base/ip.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { lazily, optional } from '../schema.js'
import type { BGPConfiguration, BGPFilter, BGPFilterOperation, BGPFilterRule, BGPPeer, SecretKey } from './bgp.js'
import { flag, given, list, numberOrText, parseNet, resourceSchema, ResourceReader, text, texts } from './resource-reader.js'

const password = () => optional(v.looseObject({ secretKeyRef: optional(v.looseObject({ name: text(), key: v.string(), optional: flag() })) }))
const blocks = () => list(v.looseObject({ cidr: v.string() }))
const enabled = () => optional(v.picklist(['Enabled', 'Disabled']))

const configurationSchema = lazily(() =>
  resourceSchema({
    logSeverityScreen: text(),
    nodeToNodeMeshEnabled: flag(),
    asNumber: numberOrText(),
    serviceClusterIPs: blocks(),
    serviceExternalIPs: blocks(),
    serviceLoadBalancerIPs: blocks(),
    serviceLoadBalancerAggregation: enabled(),
    communities: list(v.looseObject({ name: v.string(), value: v.string() })),
    prefixAdvertisements: list(v.looseObject({ cidr: v.string(), communities: texts() })),
    listenPort: optional(v.number()),
    nodeMeshPassword: password(),
    nodeMeshMaxRestartTime: text(),
    bindMode: optional(v.picklist(['None', 'NodeIP'])),
    ignoredInterfaces: texts(),
    localWorkloadPeeringIPV4: text(),
    programClusterRoutes: enabled(),
    ipv4NormalRoutePriority: optional(v.number()),
  }),
)

export function readBgpConfiguration(object: KubernetesObject, problems: ProblemList): BGPConfiguration | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(configurationSchema())
  if (value === undefined) return undefined
  const spec = value.spec ?? {}
  const services = (key: 'serviceClusterIPs' | 'serviceExternalIPs' | 'serviceLoadBalancerIPs') =>
    reader.nets(
      spec[key]?.map(({ cidr }) => cidr),
      ['spec', key],
    )
  return {
    ...reader.head(value.metadata),
    ...given({
      logSeverityScreen: spec.logSeverityScreen,
      nodeToNodeMeshEnabled: spec.nodeToNodeMeshEnabled,
      asNumber: reader.asNumber(spec.asNumber, ['spec', 'asNumber']),
      serviceLoadBalancerAggregation: spec.serviceLoadBalancerAggregation,
      listenPort: spec.listenPort || undefined,
      nodeMeshPassword: secretOf(spec.nodeMeshPassword),
      nodeMeshMaxRestartTime: reader.seconds(spec.nodeMeshMaxRestartTime, ['spec', 'nodeMeshMaxRestartTime']),
      bindMode: spec.bindMode,
      localWorkloadPeeringIPV4: reader.address(spec.localWorkloadPeeringIPV4, ['spec', 'localWorkloadPeeringIPV4']),
      programClusterRoutes: spec.programClusterRoutes,
      ipv4NormalRoutePriority: spec.ipv4NormalRoutePriority,
    }),
    serviceClusterIPs: services('serviceClusterIPs'),
    serviceExternalIPs: services('serviceExternalIPs'),
    serviceLoadBalancerIPs: services('serviceLoadBalancerIPs'),
    communities: spec.communities ?? [],
    prefixAdvertisements: (spec.prefixAdvertisements ?? []).flatMap(({ cidr, communities }, index) =>
      reader.nets([cidr], ['spec', 'prefixAdvertisements', index]).map((net) => ({ cidr: net, communities: communities ?? [] })),
    ),
    ignoredInterfaces: spec.ignoredInterfaces ?? [],
  }
}

function secretOf(value: InferOutput<ReturnType<typeof password>>): SecretKey | undefined {
  const secret = value?.secretKeyRef
  return secret === undefined || secret === null ? undefined : { name: secret.name ?? '', key: secret.key, optional: secret.optional === true }
}

const peerSchema = lazily(() =>
  resourceSchema({
    node: text(),
    nodeSelector: text(),
    peerIP: text(),
    asNumber: numberOrText(),
    localASNumber: numberOrText(),
    peerSelector: text(),
    keepOriginalNextHop: flag(),
    nextHopMode: optional(v.picklist(['Auto', 'Self', 'Keep'])),
    password: password(),
    sourceAddress: optional(v.picklist(['UseNodeIP', 'None', ''])),
    maxRestartTime: text(),
    keepaliveTime: text(),
    numAllowedLocalASNumbers: optional(v.number()),
    ttlSecurity: optional(v.number()),
    reachableBy: text(),
    filters: texts(),
    localWorkloadSelector: text(),
    reversePeering: optional(v.picklist(['Auto', 'Manual'])),
  }),
)

/** undefined also for a peer of IPv6 (a warning). */
export function readBgpPeer(object: KubernetesObject, problems: ProblemList): BGPPeer | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(peerSchema())
  if (value === undefined) return undefined
  const spec = value.spec ?? {}
  const selector = (key: 'nodeSelector' | 'peerSelector' | 'localWorkloadSelector') => reader.selector(spec[key], ['spec', key]) || undefined
  checkPeer(spec, reader)
  const peer = readPeerAddress(spec.peerIP ?? '', reader)
  if (peer === 'IPv6') return undefined
  return {
    ...reader.head(value.metadata),
    ...given({
      node: spec.node || undefined,
      nodeSelector: selector('nodeSelector'),
      peerIP: peer?.address,
      peerPort: peer?.port,
      asNumber: reader.asNumber(spec.asNumber, ['spec', 'asNumber']) || undefined,
      localASNumber: reader.asNumber(spec.localASNumber, ['spec', 'localASNumber']),
      peerSelector: selector('peerSelector'),
      nextHopMode: spec.nextHopMode,
      password: secretOf(spec.password),
      maxRestartTime: reader.seconds(spec.maxRestartTime, ['spec', 'maxRestartTime']),
      keepaliveTime: reader.seconds(spec.keepaliveTime, ['spec', 'keepaliveTime']),
      numAllowedLocalASNumbers: spec.numAllowedLocalASNumbers,
      ttlSecurity: spec.ttlSecurity,
      reachableBy: reader.address(spec.reachableBy, ['spec', 'reachableBy']),
      localWorkloadSelector: selector('localWorkloadSelector'),
      reversePeering: spec.reversePeering,
    }),
    keepOriginalNextHop: spec.keepOriginalNextHop === true,
    sourceAddress: spec.sourceAddress || 'UseNodeIP',
    filters: spec.filters ?? [],
  }
}

type PeerSpec = NonNullable<InferOutput<ReturnType<typeof peerSchema>>['spec']>

function checkPeer(spec: PeerSpec, reader: ResourceReader): void {
  const refuse = (field: keyof PeerSpec & string, what: string, fix: string): void => reader.error(['spec', field], what, fix)
  if (spec.node && spec.nodeSelector) refuse('nodeSelector', 'node and nodeSelector exclude one another', 'Keep one of them.')
  if (spec.peerIP && spec.peerSelector) refuse('peerSelector', 'peerIP and peerSelector exclude one another', 'Keep one of them.')
  if (spec.asNumber && spec.peerSelector)
    refuse('asNumber', 'asNumber and peerSelector exclude one another', "A selected node's AS is its own: leave asNumber out.")
  if (!spec.peerIP && !spec.peerSelector && !spec.localWorkloadSelector)
    refuse('peerIP', 'neither peerIP nor peerSelector: there is no peer', 'Say who the peer is.')
  if (spec.reachableBy && !spec.peerIP) refuse('reachableBy', 'reachableBy without peerIP', 'It is the gateway to one address.')
}

/** `10.0.0.1`, `10.0.0.1:1179`, `[fd00::1]:179`. */
function readPeerAddress(written: string, reader: ResourceReader): { readonly address: number; readonly port?: number } | 'IPv6' | undefined {
  if (written === '') return undefined
  const path: Path = ['spec', 'peerIP']
  if (isIpv6Text(written) || written.startsWith('[')) {
    reader.warning(path, `${written} is IPv6: the peering is left out`, 'netsim models IPv4 only.')
    return 'IPv6'
  }
  const [host, port] = written.split(':')
  const address = reader.address(host, path)
  if (address === undefined) return undefined
  if (port === undefined) return { address }
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0
  if (number < 1 || number > 65535) reader.error(path, `${JSON.stringify(written)}: no port from 1 to 65535`, 'Write it like 10.0.0.1:179.')
  return { address, port: number }
}

const filterRule = () =>
  v.looseObject({
    cidr: text(),
    prefixLength: optional(v.looseObject({ min: optional(v.number()), max: optional(v.number()) })),
    source: optional(v.picklist(['RemotePeers', ''])),
    interface: text(),
    matchOperator: optional(v.picklist(['Equal', 'NotEqual', 'In', 'NotIn', ''])),
    peerType: optional(v.picklist(['eBGP', 'iBGP', ''])),
    communities: optional(v.looseObject({ values: texts() })),
    asPathPrefix: list(v.union([v.number(), v.string()])),
    priority: optional(v.number()),
    action: v.picklist(['Accept', 'Reject']),
    operations: list(
      v.looseObject({
        addCommunity: optional(v.looseObject({ value: v.string() })),
        prependASPath: optional(v.looseObject({ prefix: v.array(v.union([v.number(), v.string()])) })),
        setPriority: optional(v.looseObject({ value: v.number() })),
      }),
    ),
  })

const filterSchema = lazily(() => resourceSchema({ exportV4: list(filterRule()), importV4: list(filterRule()) }))

type FilterRule = InferOutput<ReturnType<typeof filterRule>>

export function readBgpFilter(object: KubernetesObject, problems: ProblemList): BGPFilter | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(filterSchema())
  if (value === undefined) return undefined
  const rules = (key: 'exportV4' | 'importV4') => (value.spec?.[key] ?? []).map((rule, index) => readFilterRule(rule, ['spec', key, index], reader))
  return { ...reader.head(value.metadata), exportV4: rules('exportV4'), importV4: rules('importV4') }
}

function readFilterRule(rule: FilterRule, path: Path, reader: ResourceReader): BGPFilterRule {
  const net = rule.cidr ? parseNet(rule.cidr) : undefined
  if (rule.cidr && net?.family !== 4) reader.error([...path, 'cidr'], `${JSON.stringify(rule.cidr)} is no IPv4 prefix`, 'Write it like 10.0.0.0/8.')
  if (rule.cidr && !rule.matchOperator) reader.error([...path, 'cidr'], 'cidr without matchOperator', 'Say Equal, NotEqual, In or NotIn.')
  if (!rule.cidr && rule.matchOperator) reader.error([...path, 'matchOperator'], 'matchOperator without cidr', 'Say which prefix.')
  const bounds = given({ min: rule.prefixLength?.min, max: rule.prefixLength?.max })
  return {
    ...given({
      cidr: net?.family === 4 ? net.cidr : undefined,
      prefixLength: rule.prefixLength ? bounds : undefined,
      source: rule.source || undefined,
      interface: rule.interface || undefined,
      matchOperator: rule.matchOperator || undefined,
      peerType: rule.peerType || undefined,
      communities: rule.communities?.values ?? undefined,
      asPathPrefix: rule.asPathPrefix?.flatMap((value, index) => reader.asNumber(value, [...path, 'asPathPrefix', index]) ?? []),
      priority: rule.priority,
    }),
    action: rule.action,
    operations: (rule.operations ?? []).flatMap((operation, index) => readOperation(operation, [...path, 'operations', index], reader)),
  }
}

function readOperation(value: NonNullable<FilterRule['operations']>[number], path: Path, reader: ResourceReader): BGPFilterOperation[] {
  if (value.addCommunity) return [{ kind: 'addCommunity', value: value.addCommunity.value }]
  if (value.setPriority) return [{ kind: 'setPriority', value: value.setPriority.value }]
  if (value.prependASPath)
    return [{ kind: 'prependASPath', prefix: value.prependASPath.prefix.flatMap((number) => reader.asNumber(number, [...path, 'prependASPath']) ?? []) }]
  reader.error(path, 'an operation that does nothing', 'Say addCommunity, prependASPath or setPriority.')
  return []
}
