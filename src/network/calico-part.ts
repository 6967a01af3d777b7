/** What Calico's agents hand to the composition, whichever generation they are of, and what both generations' plans share. */
import type { Ip } from '../base/ip.js'
import { hashText, Prng } from '../base/prng.js'
import type { Problem } from '../base/problem.js'
import { randomWireguardKey } from '../base/wireguard-key.js'
import { bgpSettings, listenOf } from '../calico/bgp/peerings.js'
import type { CalicoCluster } from '../calico/calico-cluster.js'
import type { PolicyBook } from '../calico/policy-book.js'
import type { HostInterface } from '../calico/felix/host-endpoints.js'
import type { CalicoNode } from '../cluster/calico/calico-node.js'
import type { ClusterNode } from '../cluster/node.js'
import type { Dataplane, DeviceSpec, SocketSpec } from '../dataplane/dataplane.js'
import type { ChainEdit } from '../dataplane/iptables.js'
import { BIRD_SOCKET } from './hosts.js'
import type { PodPlan } from './pods.js'

/** Felix's part of a node's Dataplane, with the CNI plugin's. */
export interface CalicoPart extends Pick<Dataplane, 'devices' | 'routes' | 'rules' | 'neighbours' | 'fdb' | 'sysctls' | 'ipsets' | 'sockets'> {
  readonly chainEdits: readonly ChainEdit[]
  readonly pods: readonly PodPlan[]
}

export interface CalicoPlan {
  readonly cluster: CalicoCluster
  /** Nodes with the addresses that IPAM and the key maker gave them. */
  readonly nodes: readonly CalicoNode[]
  /** What Felix's names stand for; made when it is first asked for. */
  readonly book: () => PolicyBook
  /** What etcd holds of the classic model; of Calico v3 netsim has no such view. */
  readonly etcdKeys: readonly { readonly key: string; readonly value: string }[]
  /** Settings that Felix acts on and netsim does not, each once. */
  readonly unmodelled: readonly string[]
  /** By name of the node; none for one whose Felix cannot run (reported). Each is rendered when it is first asked for. */
  readonly parts: ReadonlyMap<string, CalicoPart>
  /** Of the resources and the addresses. */
  readonly problems: readonly Problem[]
  /** What Felix's devices on the node may have. */
  tunnelAddressesOf(node: string): readonly Ip[]
  /** What the node's Felix finds and `known`, of the plan and other nodes, has not. */
  problemsOf(node: string, known: readonly Problem[]): readonly Problem[]
}

/** A node as Felix finds it. */
export interface CalicoHost {
  readonly node: ClusterNode
  readonly dataplane: Dataplane
  /** The bare host's devices, in Canal with flannel's. */
  readonly links: readonly DeviceSpec[]
}

/** What calico-node writes on its Node once it runs: tunnel addresses, the WireGuard key. */
export function completeNode(node: CalicoNode, { addresses, felixSettings }: CalicoCluster, seed: number): CalicoNode {
  const tunnels = addresses.tunnels.get(node.name) ?? {}
  const encrypts = felixSettings.get(node.name)?.wireguardEnabled === true
  const key = node.wireguardPublicKey ?? (encrypts ? randomWireguardKey(new Prng(seed ^ hashText(`${node.name} WireGuard key`))) : undefined)
  return {
    ...node,
    ...(tunnels.ipip === undefined ? {} : { ipipTunnelAddress: tunnels.ipip }),
    ...(tunnels.vxlan === undefined ? {} : { vxlanTunnelAddress: tunnels.vxlan }),
    ...(tunnels.wireguard === undefined ? {} : { wireguardAddress: tunnels.wireguard }),
    ...(key === undefined ? {} : { wireguardPublicKey: key }),
  }
}

export function tunnelAddresses(node: CalicoNode | undefined): readonly Ip[] {
  return [node?.ipipTunnelAddress, node?.vxlanTunnelAddress, node?.wireguardAddress].filter((address) => address !== undefined)
}

/** IPForwarding is Enabled where nobody says otherwise (int_dataplane.go). */
export const FORWARDING = { 'net.ipv4.ip_forward': 1 } as const

/** BIRD runs where the node has an address for BGP. */
export function birdSockets({ manifest, resources }: CalicoCluster, node: CalicoNode | undefined): readonly SocketSpec[] {
  if (manifest.backend !== 'bird' || node?.bgpAddress === undefined) return []
  const { address = 0, port } = listenOf(node, bgpSettings(resources.bgpConfigurations))
  return [{ ...BIRD_SOCKET, address, port }]
}

/** What is none of a workload's. */
export function hostInterfaces(devices: readonly DeviceSpec[]): readonly HostInterface[] {
  return devices.map(({ name, addresses }) => ({ name, addresses: addresses.map(({ address }) => address) }))
}
