/**
 * A random cluster for policies: few nodes, namespaces, pods with addresses of their own, Services, network sets, and the policies of one dialect or of
 * several (random-dialects.ts), as manifests, so that whoever reads them reads what an API server would hold. Data that can be made smaller.
 *
 *   seed ─▶ PolicyDraft ─▶ manifestOfPolicies: YAML ─▶ meaning (src/policy), and a network with Felix's chains
 */
import { Draw } from './draw.js'
import { policiesOf, type Dialect } from './random-dialects.js'
import { calicoResource } from './random-policies.js'
import type { ResourceDraft } from './random-world.js'

/** Fields of a ConfigMap and of an EndpointSlice too. */
export interface ManifestObject extends ResourceDraft {
  readonly data?: Readonly<Record<string, string>>
  readonly addressType?: string
  readonly endpoints?: readonly { readonly addresses: readonly string[] }[]
  readonly ports?: readonly { readonly port: number; readonly protocol: string }[]
}

export const DIALECTS: readonly Dialect[] = ['kubernetes', 'cluster', 'calico', 'mixed', 'hosts']

/** How pods' packets get from node to node. */
export type PolicyMode = 'fabric' | 'vxlan' | 'canal'

export interface PolicyDraft {
  readonly seed: number
  readonly dialect: Dialect
  readonly mode: PolicyMode
  /** Nodes, namespaces, accounts, pods, Services; pods name their node. */
  readonly objects: readonly ManifestObject[]
  /** Policies, tiers, profiles, network sets, host endpoints. */
  readonly policies: readonly ManifestObject[]
}

const ROUTER_ASN = 64600
const LABEL_VALUES = { app: ['web', 'db', 'cache'], role: ['front', 'back'] } as const

export function randomPolicyDraft(seed: number, dialect?: Dialect): PolicyDraft {
  const draw = new Draw(seed ^ 0x9011c1e5)
  const drawn = draw.weighted<Dialect>([
    [3, 'kubernetes'],
    [3, 'cluster'],
    [4, 'calico'],
    [3, 'mixed'],
    [2, 'hosts'],
  ])
  const drawnMode = draw.weighted<PolicyMode>([
    [5, 'fabric'],
    [2, 'vxlan'],
    [2, 'canal'],
  ])
  // to Felix flannel's VXLAN is any other packet of the host's: an endpoint of the host's that does not let it in cuts pods off, whatever they may
  const mode = (dialect ?? drawn) === 'hosts' && drawnMode === 'canal' ? 'fabric' : drawnMode
  const nodes = draw.int(2, 3)
  const pods = draw.times(nodes, (node) => draw.times(draw.int(1, 3), (index) => podObject(draw, node, index))).flat()
  const objects = [
    ...draw.times(nodes, (index) => nodeObject(draw, index, mode)),
    ...namespaces(draw),
    ...(draw.chance(50) ? [{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'seller', namespace: 'default', labels: { rank: 'high' } } }] : []),
    ...pods,
    ...services(draw, pods),
  ]
  return { seed, dialect: dialect ?? drawn, mode, objects, policies: policiesOf(draw, dialect ?? drawn, nodes) }
}

function nodeObject(draw: Draw, index: number, mode: PolicyMode): ManifestObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `n${index + 1}`, labels: { rack: draw.pick(['a', 'b']) } },
    spec: mode === 'canal' ? { podCIDR: `10.244.${index + 1}.0/24` } : {},
    status: { addresses: [{ type: 'InternalIP', address: `192.168.10.${11 + index}` }] },
  }
}

/** One of them has no label of its own, and one may be declared by nobody. */
function namespaces(draw: Draw): ManifestObject[] {
  const labels: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    default: { team: 'shop', env: 'live' },
    prod: { team: 'bank', env: 'live' },
    dev: {},
  }
  return Object.entries(labels)
    .filter(([name]) => name !== 'dev' || draw.chance(80))
    .map(([name, own]) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...own } } }))
}

/** Of one name, ports may have other numbers in other pods. */
function podObject(draw: Draw, node: number, index: number): ManifestObject {
  const hostNetwork = draw.chance(12)
  const named = (name: string, protocol: string, numbers: readonly number[]): readonly object[] =>
    draw.chance(45) ? [{ name, protocol, containerPort: draw.pick(numbers) }] : []
  const ports = [...named('http', 'TCP', [80, 8080]), ...named('dns', 'UDP', [53, 5353]), ...named('admin', 'TCP', [9000]), ...named('diam', 'SCTP', [3868])]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `p${node + 1}${'abc'[index]}`,
      namespace: draw.pick(['default', 'default', 'prod', 'dev']),
      labels: {
        ...(draw.chance(85) ? { app: draw.pick(LABEL_VALUES.app) } : {}),
        ...(draw.chance(50) ? { role: draw.pick(LABEL_VALUES.role) } : {}),
        // what nobody may pretend to be
        ...(draw.chance(5) ? { 'pcns.team': 'bank' } : {}),
      },
    },
    spec: {
      nodeName: `n${node + 1}`,
      ...(hostNetwork ? { hostNetwork } : {}),
      ...(draw.chance(30) ? { serviceAccountName: 'seller' } : {}),
      containers: [{ name: 'c', image: 'i', ports: hostNetwork ? [] : ports }],
    },
    status: { phase: 'Running', podIP: hostNetwork ? `192.168.10.${11 + node}` : `10.244.${node + 1}.${10 + index}` },
  }
}

/** A Service and the slice of its endpoints; a slice may hold what no pod has. */
function services(draw: Draw, pods: readonly ManifestObject[]): ManifestObject[] {
  return draw
    .times(draw.int(0, 2), (index): ManifestObject[] => {
      const namespace = draw.pick(['default', 'prod'])
      const port = draw.pick([80, 8080, 9000])
      const chosen = draw.some(pods, 0, 3).map((pod) => (pod.status as { readonly podIP: string }).podIP)
      const metadata = { name: `svc${index}`, namespace }
      return [
        { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 1000 + index, targetPort: port }] } },
        {
          apiVersion: 'discovery.k8s.io/v1',
          kind: 'EndpointSlice',
          metadata: { name: `svc${index}-x`, namespace, labels: { 'kubernetes.io/service-name': `svc${index}` } },
          addressType: 'IPv4',
          endpoints: [...new Set([...chosen, ...(draw.chance(20) ? ['203.0.113.10'] : [])])].map((address) => ({ addresses: [address] })),
          ports: [{ port, protocol: draw.chance(80) ? 'TCP' : 'UDP' }],
        },
      ]
    })
    .flat()
}

/** Addresses of nobody that are asked about: in and beside the nets of random-dialects.ts. Of a fabric and of Canal they reach the pods. */
export const OUTSIDE_ADDRESSES = ['203.0.113.10', '203.0.113.200', '198.51.100.7'] as const

export function manifestOfPolicies({ mode, objects, policies }: PolicyDraft): string {
  const documents = [{ apiVersion: 'v1', kind: 'List', items: [...objects, ...network(mode), ...policies] }, networkDocument(mode, objects)]
  return documents.map((document) => JSON.stringify(document, null, 1)).join('\n---\n')
}

function network(mode: PolicyMode): readonly ManifestObject[] {
  const failsafe = [{ protocol: 'TCP', port: 179 }]
  const felix = calicoResource('FelixConfiguration', 'default', {
    // after its own policies a pod may reach its node
    defaultEndpointToHostAction: 'Accept',
    // of ICMP and SCTP most packets that begin nothing are INVALID: policies are to be asked of them too
    disableConntrackInvalidCheck: true,
    failsafeInboundHostPorts: failsafe,
    failsafeOutboundHostPorts: failsafe,
  })
  const flannel = { Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } }
  if (mode === 'canal')
    return [
      felix,
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'kube-flannel-cfg', namespace: 'kube-system' },
        data: { 'net-conf.json': JSON.stringify(flannel) },
      },
    ]
  const pool = { cidr: '10.244.0.0/16', ipipMode: 'Never', vxlanMode: mode === 'vxlan' ? 'Always' : 'Never', natOutgoing: false, blockSize: 24 }
  return [
    felix,
    calicoResource('IPPool', 'pool', pool),
    ...(mode === 'fabric' ? [calicoResource('BGPPeer', 'tor', { peerIP: '192.168.10.254', asNumber: ROUTER_ASN })] : []),
  ]
}

function networkDocument(mode: PolicyMode, objects: readonly ManifestObject[]): object {
  const routes = objects.flatMap(({ kind, spec, status }) =>
    kind === 'Node' && mode === 'canal' ? [`${spec?.podCIDR as string} via ${(status as { addresses: { address: string }[] }).addresses[0].address}`] : [],
  )
  return {
    apiVersion: 'netsim/v1',
    kind: 'Network',
    metadata: { name: 'default' },
    spec: {
      cni: mode === 'canal' ? 'canal' : 'calico',
      datastore: 'kubernetes',
      kubeProxy: { mode: 'none' },
      underlay: {
        segments: [
          { name: 's0', cidr: '192.168.10.0/24', mtu: 1500, latency: '0us' },
          { name: 'out', cidr: '203.0.113.0/24', mtu: 1500, latency: '0us' },
        ],
        routers: [{ name: 'r0', segments: ['s0', 'out'], routes, ...(mode === 'fabric' ? { asn: ROUTER_ASN } : {}) }],
        hosts: [{ name: 'client', address: '203.0.113.10' }],
      },
    },
  }
}
