/**
 * How pods are plugged into a node's bridge: what a container runtime is asked for, and what it makes of it. Shared by docker (docker0) and
 * by the bridge CNI plugin (cni0). Renders are pure: the same view gives the same part.
 *
 *   pod netns                      node netns
 *   eth0 ◀────── veth pair ──────▶ vethXXXX ─ port of ─ docker0 | cni0 (gateway address)
 */
import { cidr, type Cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { Dataplane, DeviceSpec, RouteSpec, SocketSpec } from '../dataplane/dataplane.js'
import type { ChainEdit } from '../dataplane/iptables.js'
import type { IpSet } from '../dataplane/ipset.js'

/** A port of the node that leads to one of the pod's. */
export interface HostPort {
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  /** Absent or 0.0.0.0: every address of the node. */
  readonly hostIP?: Ip
  readonly line?: number
}

/** One pod that wants a network; for provenance and Problems also where it was written. */
export interface PodAttachment {
  readonly namespace: string
  readonly name: string
  /** Fixed already (status.podIP); absent: the runtime's IPAM gives one. */
  readonly address?: Ip
  /** MAC of the pod's eth0. */
  readonly pinnedMac?: Mac
  /** Name of the host's end. */
  readonly pinnedHostDevice?: string
  /** MAC of the host's end. */
  readonly pinnedHostMac?: Mac
  readonly hostPorts?: readonly HostPort[]
  /** Who listens in it. */
  readonly sockets?: readonly SocketSpec[]
  /** Absent: `Pod/namespace/name`. */
  readonly object?: string
  readonly file?: string
  readonly line?: number
}

export interface BridgeView {
  readonly node: string
  /** The bridge's own address, with the prefix length of the pods' subnet: FLANNEL_SUBNET, docker's --bip. */
  readonly subnet: { readonly address: Ip; readonly length: number }
  /** Of both ends of every veth. */
  readonly mtu: number
  /** The runtime's own masquerading: the inverse of flannel's --ip-masq. */
  readonly ipMasq: boolean
  /** In the order in which they are created. */
  readonly pods: readonly PodAttachment[]
  readonly bridgeMac?: Mac
  readonly seed: number
  /** The address that was given last, whoever has it now; absent: that of the last of the pods. Of host-local. */
  readonly lastGiven?: Ip
}

export interface DockerView extends BridgeView {
  /** Without the v: `27`, `28.0.1`. */
  readonly version: string
  /** --iptables */
  readonly iptables: boolean
  /** --icc */
  readonly icc: boolean
  /** --userland-proxy; off means hairpin on every port. */
  readonly userlandProxy: boolean
  /** dockerd found ip_forward off and turned it on itself: then it sets the policy of FORWARD to DROP. */
  readonly forwardPolicyDrop: boolean
}

export interface CniView extends BridgeView {
  /** hairpinMode; kube-flannel's manifest says true. */
  readonly hairpin: boolean
  /** The bridge is there already. */
  readonly bridgeStays?: boolean
  /** FLANNEL_NETWORK: a route of its own in the pod. */
  readonly networkCidr?: Cidr
  /** The network's name in the CNI configuration list, hashed into chain names; default kube-flannel's `cbr0`. */
  readonly networkName?: string
}

export interface AttachedPod {
  readonly attachment: PodAttachment
  readonly address: Ip
  /** The pod's netns, `namespace/name`: lo, eth0, its routes, who listens. */
  readonly dataplane: Dataplane
}

export interface RuntimePart {
  /** The bridge first, then the host's ends in the order of creation. */
  readonly devices: readonly DeviceSpec[]
  /** The kernel's route to the pods' subnet. */
  readonly routes: readonly RouteSpec[]
  /** In the order in which the runtime makes them. */
  readonly chainEdits: readonly ChainEdit[]
  readonly ipsets: readonly IpSet[]
  readonly sysctls: Readonly<Record<string, number>>
  /** Pods that got an address; the others have an error among the Problems. */
  readonly pods: readonly AttachedPod[]
  readonly problems: readonly Problem[]
}

// joined: one string in memory, where a template's keeps its parts

export function netnsOf(pod: PodAttachment): string {
  return [pod.namespace, pod.name].join('/')
}

export function objectOf(pod: PodAttachment): string {
  return pod.object ?? ['Pod', pod.namespace, pod.name].join('/')
}

export function subnetOf(view: Pick<BridgeView, 'subnet'>): Cidr {
  return cidr(view.subnet.address, view.subnet.length)
}
