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
import type { Dataplane, DeviceSpec, RouteSpec, SocketSpec } from '../dataplane/dataplane.js'
import type { ChainEdit } from '../dataplane/iptables.js'
import { BIRD_SOCKET } from './hosts.js'
import type { PodPlan } from './pods.js'

/** Felix's part of a node's Dataplane, with the CNI plugin's. */
export interface CalicoPart extends Pick<Dataplane, 'devices' | 'routes' | 'rules' | 'neighbours' | 'fdb' | 'sysctls' | 'ipsets' | 'sockets'> {
  readonly chainEdits: readonly ChainEdit[]
  readonly pods: readonly PodPlan[]
  /** Of all this, what the CNI plugin does when a pod comes, whatever Felix knows of the pod. */
  readonly plugged: PluggedPods
}

export interface PluggedPods {
  /** The hosts' ends. */
  readonly devices: readonly DeviceSpec[]
  readonly routes: readonly RouteSpec[]
  readonly sysctls: Dataplane['sysctls']
  /** Of the portmap plugin. */
  readonly chainEdits: readonly ChainEdit[]
}

/**
 * A node whose Felix knows another version of the cluster than the one whose pods run there. The CNI plugin has plugged in its pods, with their routes
 * (cni-plugin/pkg/dataplane/linux/dataplane_linux.go SetupRoutes); chains, sets, tunnels and routes to other nodes are those of what Felix knows. A pod that
 * it has not heard of is in no dispatch chain, whose last rule loses what comes from it and for it; one that is gone has chains that nothing goes through.
 * @param felix undefined: it has not run since the node booted @param pods undefined: none has been plugged in since then
 */
export function mixedPart(felix: CalicoPart | undefined, pods: CalicoPart | undefined): CalicoPart {
  const known = felix ?? NO_PART
  const { plugged, pods: running, sockets } = pods ?? NO_PART
  const own = new Set<unknown>([...known.plugged.devices, ...known.plugged.routes, ...known.plugged.chainEdits])
  return {
    devices: [...known.devices.filter((device) => !own.has(device)), ...plugged.devices],
    routes: [...known.routes.filter((route) => !own.has(route)), ...plugged.routes],
    rules: known.rules,
    neighbours: known.neighbours,
    fdb: known.fdb,
    sysctls: { ...withoutKeys(known.sysctls, known.plugged.sysctls), ...plugged.sysctls },
    get ipsets() {
      return known.ipsets
    },
    sockets: felix?.sockets ?? sockets,
    get chainEdits() {
      return [...plugged.chainEdits, ...known.chainEdits.filter((edit) => !own.has(edit))]
    },
    pods: running,
    plugged,
  }
}

const NO_PODS: PluggedPods = { devices: [], routes: [], sysctls: {}, chainEdits: [] }
const NO_PART: CalicoPart = {
  ...{ devices: [], routes: [], rules: [], neighbours: [], fdb: [], sysctls: {}, ipsets: [], sockets: [], chainEdits: [], pods: [] },
  plugged: NO_PODS,
}

function withoutKeys(sysctls: Dataplane['sysctls'], gone: Dataplane['sysctls']): Dataplane['sysctls'] {
  return Object.fromEntries(Object.entries(sysctls).filter(([name]) => !Object.hasOwn(gone, name)))
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
  /** The same of a Felix that found another MTU on the node's card when it started; undefined as for `parts`. */
  partAt(node: string, cardMtu: number): CalicoPart | undefined
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
