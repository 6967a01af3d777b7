/**
 * A cluster for questions about Services, once with flannel's vxlan and once with Calico's: three nodes, endpoints on the first and the second, a
 * client pod on the first, hosts beyond the router within and outside the source ranges. The detector is that of kube-proxy's own tests (10.0.0.0/8).
 */
import { networkOf } from '../kit/network.js'
import type { Network } from '../../src/network/network.js'

export type Cni = 'flannel' | 'calico'
export const CNIS: readonly Cni[] = ['flannel', 'calico']

const NODES = [1, 2, 3].map(
  (n) => `{apiVersion: v1, kind: Node, metadata: {name: n${n}, labels: {kubernetes.io/hostname: n${n}}}, spec: {podCIDR: 10.180.${n - 1}.0/24},
  status: {addresses: [{type: InternalIP, address: 192.168.0.${n + 1}}]}}`,
)

export interface PodText {
  readonly name: string
  readonly node: string
  readonly address?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly spec?: object
  readonly ready?: boolean
}

export function pod({ name, node, address, labels = {}, spec = {}, ready }: PodText): string {
  const ports = [
    { name: 'http', containerPort: 8080 },
    { name: 'sig', containerPort: 9090, protocol: 'SCTP' },
    { name: 'dns', containerPort: 5353, protocol: 'UDP' },
  ]
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { pod: name, ...labels } },
    spec: { nodeName: node, containers: [{ name: 'main', image: 'x', ports }], ...spec },
    status: {
      ...(address === undefined ? {} : { podIP: address, podIPs: [{ ip: address }] }),
      ...(ready === undefined ? {} : { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] }),
    },
  })
}

export function service(name: string, spec: object, more: object = {}): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { ports: [{ port: 80, targetPort: 8080 }], ...spec }, ...more })
}

export function balanced(...addresses: string[]): object {
  return { status: { loadBalancer: { ingress: addresses.map((ip) => ({ ip })) } } }
}

/** Endpoints on n1 and n2; the client is no endpoint. */
const PODS = [
  pod({ name: 'client', node: 'n1', address: '10.180.0.2' }),
  pod({ name: 'near', node: 'n1', address: '10.180.0.10', labels: { app: 'web' } }),
  pod({ name: 'far', node: 'n2', address: '10.180.1.10', labels: { app: 'web' } }),
]

const CNI_OBJECTS: Readonly<Record<Cni, readonly string[]>> = {
  flannel: [
    `{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-flannel-cfg, namespace: kube-flannel},
  data: {net-conf.json: '{"Network": "10.180.0.0/16", "Backend": {"Type": "vxlan"}}'}}`,
  ],
  calico: [
    `{apiVersion: operator.tigera.io/v1, kind: Installation, metadata: {name: default}, spec: {variant: Calico, calicoNetwork: {bgp: Disabled,
  ipPools: [{name: pool, cidr: 10.180.0.0/16, blockSize: 26, encapsulation: VXLAN, natOutgoing: Enabled, nodeSelector: all()}]}}}`,
  ],
}

/** @param more of spec of the Network document */
export function world(cni: Cni, objects: readonly string[], more: object = {}): Network {
  return networkOf([...NODES, ...CNI_OBJECTS[cni], ...PODS, ...objects, document(cni, more)].join('\n---\n'))
}

function document(cni: Cni, more: object): string {
  return JSON.stringify({
    apiVersion: 'netsim/v1',
    kind: 'Network',
    metadata: { name: 'default' },
    spec: {
      cni,
      datastore: 'kubernetes',
      ...(cni === 'flannel' ? { runtime: { name: 'cni' } } : {}),
      clusterCIDR: '10.180.0.0/16',
      kubeProxy: { clusterCIDR: '10.0.0.0/8' },
      underlay: {
        segments: [{ name: 'nodes', cidr: '192.168.0.0/24' }],
        hosts: [
          { name: 'inside', address: '203.0.113.2' },
          { name: 'outside', address: '203.0.113.130' },
        ],
      },
      ...more,
    },
  })
}
