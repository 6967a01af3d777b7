/**
 * The backends that are set side by side: nodes and segments → the manifests of a cluster with them and one backend, read like anybody's.
 */
import { formatCidr, type Cidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import type { ClusterNode } from '../../cluster/node.js'
import type { Segment } from '../../cluster/underlay.js'
import type { BackendId } from './names.js'

/** What all have in common. */
export interface Ground {
  readonly nodes: readonly GroundNode[]
  readonly segments: readonly Pick<Segment, 'name' | 'cidr' | 'router' | 'mtu' | 'latency' | 'rate'>[]
  /** A /16 that neither nodes nor segments are in. */
  readonly pods: Cidr
  /** Commands of the hosts' owners, after the agents. */
  readonly iptables?: readonly string[]
}

export type GroundNode = Pick<ClusterNode, 'name' | 'address' | 'prefixLength' | 'mtu'>

export interface OverlayBackend {
  /** As a person names it. */
  readonly label: string
  readonly objects: (ground: Ground) => readonly object[]
}

function flannel(label: string, backend: object): OverlayBackend {
  return { label: `flannel ${label}`, objects: (ground) => [...base(ground, {}), flannelConfig(ground, backend)] }
}

function calico(label: string, pool: object, others: readonly object[] = []): OverlayBackend {
  return {
    label: `Calico ${label}`,
    objects: (ground) => [
      ...base(ground, { cni: 'calico' }),
      { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name: 'pods' }, spec: { cidr: formatCidr(ground.pods), natOutgoing: true, ...pool } },
      ...others,
    ],
  }
}

const WIREGUARD = { apiVersion: 'projectcalico.org/v3', kind: 'FelixConfiguration', metadata: { name: 'default' }, spec: { wireguardEnabled: true } }

export const OVERLAY_BACKENDS: Readonly<Record<BackendId, OverlayBackend>> = {
  'flannel-host-gw': flannel('host-gw', { Type: 'host-gw' }),
  'flannel-udp': flannel('udp', { Type: 'udp' }),
  'flannel-vxlan': flannel('vxlan', { Type: 'vxlan' }),
  'flannel-vxlan-direct': flannel('vxlan, DirectRouting', { Type: 'vxlan', DirectRouting: true }),
  'flannel-ipip': flannel('ipip', { Type: 'ipip' }),
  'flannel-wireguard': flannel('wireguard', { Type: 'wireguard' }),
  'calico-none': calico('no overlay', { ipipMode: 'Never', vxlanMode: 'Never' }),
  'calico-ipip': calico('IPIP', { ipipMode: 'Always' }),
  'calico-ipip-crosssubnet': calico('IPIP CrossSubnet', { ipipMode: 'CrossSubnet' }),
  'calico-vxlan': calico('VXLAN', { vxlanMode: 'Always', ipipMode: 'Never' }),
  'calico-vxlan-crosssubnet': calico('VXLAN CrossSubnet', { vxlanMode: 'CrossSubnet', ipipMode: 'Never' }),
  'calico-wireguard': calico('WireGuard', { ipipMode: 'Never', vxlanMode: 'Never' }, [WIREGUARD]),
  canal: { label: 'Canal (vxlan)', objects: (ground) => [...base(ground, { cni: 'canal' }), flannelConfig(ground, { Type: 'vxlan' })] },
}

/** The pod of a node that is asked from and to. */
export function podOf(node: GroundNode): string {
  return `on-${node.name}`
}

function base({ nodes, segments, pods, iptables }: Ground, spec: object): readonly object[] {
  return [
    ...nodes.map(({ name, address, prefixLength, mtu }, index) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, annotations: { 'projectcalico.org/IPv4Address': `${formatIp(address)}/${prefixLength}`, 'netsim/mtu': `${mtu}` } },
      spec: { podCIDR: `${formatIp(pods.base + (index << 8))}/24` },
      status: { addresses: [{ type: 'InternalIP', address: formatIp(address) }] },
    })),
    ...nodes.map((node) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: podOf(node) },
      spec: { nodeName: node.name, containers: [{ name: 'probe', image: 'probe' }] },
    })),
    {
      apiVersion: 'netsim/v1',
      kind: 'Network',
      metadata: { name: 'default' },
      spec: {
        datastore: 'kubernetes',
        runtime: { name: 'cni' },
        clusterCIDR: formatCidr(pods),
        kubeProxy: { mode: 'none' },
        underlay: {
          segments: segments.map(({ name, cidr: prefix, router, mtu, latency, rate }) => ({
            name,
            cidr: formatCidr(prefix),
            router: formatIp(router),
            mtu,
            latency: `${latency}ns`,
            rate: `${rate}bps`,
          })),
        },
        ...(iptables === undefined ? {} : { hosts: nodes.map(({ name }) => ({ node: name, iptables })) }),
        ...spec,
      },
    },
  ]
}

function flannelConfig({ pods }: Ground, backend: object): object {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
    data: { 'net-conf.json': JSON.stringify({ Network: formatCidr(pods), Backend: backend }) },
  }
}
