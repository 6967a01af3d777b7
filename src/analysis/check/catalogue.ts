/**
 * Every code that `netsim check` knows, with what it means, what comes of it and what mends it: the rules of the SARIF report, and the text of a
 * finding where the case itself says no more. docs/check.md has a section for each.
 */
import { findingOf, type Case, type Finding, type FindingInfo } from '../../base/finding.js'
import { CODES, type Code } from './codes.js'

export interface CodeInfo extends FindingInfo {
  readonly code: Code
  /** Packets are asked for it, or it is looked up beside them. */
  readonly traced: boolean
}

type Entry = Omit<CodeInfo, 'code'>

const ENTRIES: Readonly<Record<Code, Entry>> = {
  NM001: {
    name: 'PodToPodNat',
    title: 'pod to pod, with NAT',
    severity: 'error',
    cause: 'A rule rewrites an address of packets between two pods. The model wants every pod to reach every other without NAT.',
    effect: 'The server sees another address than the client has: policies by pod, audit logs and whoever calls back go wrong.',
    fix: 'Keep the rule from matching packets whose source and destination are both in the pod network.',
    traced: true,
  },
  NM002: {
    name: 'NodeToPodNat',
    title: 'node to pod, with NAT',
    severity: 'error',
    cause: 'A rule rewrites an address of packets from a node to a pod. The model wants agents of a node to reach pods without NAT.',
    effect: 'The pod sees an address that is not the node that called: policies that let in nodes or health checks do not match.',
    fix: 'Keep the rule from matching packets to the pod network.',
    traced: true,
  },
  NM003: {
    name: 'PodAddressHidden',
    title: "a pod's own address is not the one that others see",
    severity: 'info',
    cause: 'Packets of a pod to a node arrive with another source than the pod has: masquerade for what leaves the pod network.',
    effect: 'A service on a node cannot tell pods apart by address. Agents do so on purpose; the model in its strict form forbids it.',
    fix: "Leave the nodes' network out of the masquerade (ip-masq-agent's nonMasqueradeCIDRs, an IPPool of Calico's for the nodes), if nodes must see pods.",
    traced: true,
  },
  NM004: {
    name: 'DeniedByPolicy',
    title: 'kept apart by policy, as asked',
    severity: 'info',
    cause: 'A policy denies the packets: the model is not violated, somebody asked for it.',
    effect: 'These pairs cannot connect to the port that was asked.',
    fix: 'Nothing, if that is meant; else allow it in the policy.',
    traced: true,
  },
  NM005: {
    name: 'PodUnreachable',
    title: 'pods that cannot be reached',
    severity: 'error',
    cause: 'A packet between pods, or between a node and a pod, or its answer, is lost on the way, and no policy asked for that.',
    effect: 'Connections time out or are refused, for every port.',
    fix: 'Follow the packet: the command shows each step.',
    traced: true,
  },
  NM101: {
    name: 'ForwardingOff',
    title: 'ip_forward is off',
    severity: 'error',
    cause: 'net.ipv4.ip_forward is 0 on a node with pods: its kernel passes nothing on between pods and the network.',
    effect: 'Pods of the node reach nothing beyond their node, and nobody reaches them.',
    fix: 'sysctl -w net.ipv4.ip_forward=1, and write it into /etc/sysctl.d.',
    traced: true,
  },
  NM102: {
    name: 'ForwardPolicyDrop',
    title: 'the policy of FORWARD drops packets of pods',
    severity: 'error',
    cause: 'The policy of filter/FORWARD is DROP (docker sets it since 1.13) and no rule accepts packets of pods before it.',
    effect: 'Pods on the node reach nothing through it: what works on the node itself fails across nodes.',
    fix: 'iptables -P FORWARD ACCEPT, or accept the pod network in FORWARD in both directions.',
    traced: true,
  },
  NM103: {
    name: 'FirewallRule',
    title: 'a rule of no policy keeps packets from pods',
    severity: 'error',
    cause: 'A rule of iptables that stands for no NetworkPolicy drops or rejects packets between pods, or between nodes and pods.',
    effect: 'Connections time out or are refused, and kubectl shows no reason for it.',
    fix: 'Change the rule, or let packets of the pod network pass before it.',
    traced: true,
  },
  NM104: {
    name: 'ReversePathFilter',
    title: 'rp_filter is strict where the way back is another',
    severity: 'error',
    cause: 'rp_filter is 1 on a device, and the route back to the source of what comes in there leads through another one.',
    effect: 'Packets vanish on arrival without a word.',
    fix: 'Set net.ipv4.conf.*.rp_filter to 2 (loose) on that host, or mend the route back.',
    traced: true,
  },
  NM105: {
    name: 'TunnelBlocked',
    title: "the overlay's packets are blocked on the underlay",
    severity: 'error',
    cause:
      'A host or router on the way drops the outer packets of the tunnel: UDP 8472 or 4789 (VXLAN), 8285 (flannel udp), 51820 (WireGuard), protocol 4 (IPIP).',
    effect: 'Nodes reach one another, their pods do not.',
    fix: "Let the tunnel's protocol and port pass between all nodes, in firewalls and security groups.",
    traced: true,
  },
  NM106: {
    name: 'SourceDestinationCheck',
    title: "the cloud's source/destination check drops packets of pods",
    severity: 'error',
    cause: 'The fabric drops what a card sends from, or is sent for, an address that is not its own, and pods travel without a tunnel.',
    effect: 'Pods of different nodes do not reach one another.',
    fix: 'Switch the check off for the instances, or take a backend with a tunnel.',
    traced: true,
  },
  NM107: {
    name: 'BridgeNetfilterOff',
    title: 'bridge-nf-call-iptables is off, and there are Services',
    severity: 'warning',
    cause: 'net.bridge.bridge-nf-call-iptables is 0 on a node whose pods are on a bridge, so that packets between them pass iptables by.',
    effect: "A pod that asks a Service and gets a server on its own node is answered by the pod's address, not the Service's: the connection is reset.",
    fix: 'modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1.',
    traced: false,
  },
  NM201: {
    name: 'OverlappingCidrs',
    title: 'networks overlap',
    severity: 'error',
    cause: "Two of the networks of pods, of Services, of nodes, of node's own bridges share addresses.",
    effect: 'Addresses that both networks have are reachable in one of them only, which one depends on where you ask.',
    fix: 'Give each network a prefix of its own.',
    traced: false,
  },
  NM202: {
    name: 'DuplicatePodAddress',
    title: 'pods with one address',
    severity: 'error',
    cause: 'Two living pods have the same address.',
    effect: 'One of them gets the packets of both.',
    fix: 'Delete one of the pods so that it gets another address, and see why the address was given twice (two leases, a lost IPAM store).',
    traced: true,
  },
  NM203: {
    name: 'PodOutsideNodeCidr',
    title: "a pod's address is outside its node's prefix",
    severity: 'error',
    cause: "The pod's address is not in the subnet that its node has: it was made before the lease changed, or on another node.",
    effect: 'Other nodes send its packets to whoever has that subnet.',
    fix: 'Restart the container runtime with the new subnet and delete the pod, so that it gets an address of the subnet.',
    traced: false,
  },
  NM204: {
    name: 'WrongPodCidr',
    title: "a node's podCIDR is wrong",
    severity: 'error',
    cause: "A node's podCIDR or lease overlaps another node's, or lies outside the cluster's network.",
    effect: "Routes and masquerade of the other nodes do not cover it: its pods are unreachable, or take each other's packets.",
    fix: "Give the node a prefix of its own inside the cluster's network: delete the Node and let it register again.",
    traced: false,
  },
  NM205: {
    name: 'StaleLease',
    title: 'a lease of nobody',
    severity: 'warning',
    cause: 'etcd holds a lease of flannel whose PublicIP is no node of the cluster: a host that is gone, or that has another address now.',
    effect: 'Every node keeps a route to it, and packets for that subnet go to an address that nobody has.',
    fix: 'Delete the key, or let it run out.',
    traced: false,
  },
  NM301: {
    name: 'MtuBlackhole',
    title: 'large packets vanish',
    severity: 'error',
    cause: "The pods' MTU is more than the path carries, and nobody tells the sender.",
    effect: 'Connections come up and small messages pass; large transfers hang.',
    fix: "Lower the pods' MTU to what the path carries, or clamp the MSS.",
    traced: true,
  },
  NM302: {
    name: 'MtuMismatch',
    title: "the pods' MTU is more than the path carries",
    severity: 'warning',
    cause: "A packet of the size that a pod's device allows does not pass whole: encapsulation or a narrow link leave less.",
    effect: 'The first large packets of a connection are lost or travel in fragments.',
    fix: "Lower the pods' MTU to what the path carries.",
    traced: true,
  },
  NM401: {
    name: 'NoEndpoints',
    title: 'a Service without endpoints',
    severity: 'warning',
    cause: 'Nobody is behind the Service: its selector matches no pod, the pods are not ready, or a named targetPort is on none of them.',
    effect: 'Connections to it are refused.',
    fix: "Make the selector match the labels of the pods' template, or look why they are not ready.",
    traced: false,
  },
  NM402: {
    name: 'HairpinOff',
    title: 'a pod cannot reach itself through its Service',
    severity: 'warning',
    cause: 'The bridge does not send a frame back through the port it came from: hairpin mode is off.',
    effect: 'A pod that asks its own Service hangs whenever it is the one that is drawn.',
    fix: 'Set hairpin mode on the bridge port: hairpinMode true of the bridge plugin, --hairpin-mode of the kubelet, userland-proxy off for docker.',
    traced: true,
  },
  NM403: {
    name: 'ServiceUnreachable',
    title: 'a Service that pods cannot reach',
    severity: 'error',
    cause: 'A packet of a pod to the address of a Service that has endpoints is lost on the way, and no policy asked for that.',
    effect: 'Connections to the Service time out or are refused.',
    fix: 'Follow the packet: the command shows each step.',
    traced: true,
  },
  NM501: {
    name: 'PortClash',
    title: 'two want one port of a node',
    severity: 'error',
    cause: "Two pods on the host's network, two hostPorts, or one of them and a node port, want the same port of the same node.",
    effect: 'One of them does not start, or does not get the packets.',
    fix: 'Give one of them another port, or keep them on different nodes.',
    traced: false,
  },
  NM601: {
    name: 'PolicyNotEnforced',
    title: 'policies that nobody enforces',
    severity: 'warning',
    cause: "The cluster's network has no policy engine: flannel and plain docker enforce no NetworkPolicy.",
    effect: 'Everything that the policies deny is open.',
    fix: "Add an engine: Canal puts Calico's beside flannel.",
    traced: false,
  },
  NM602: {
    name: 'ProbeBlocked',
    title: "a kubelet's probe does not reach its pod",
    severity: 'error',
    cause: 'Packets of the node to the port that a probe of its own pod asks are dropped, by a policy or a rule.',
    effect: 'The pod never gets ready, or is restarted again and again.',
    fix: 'Let the node reach the port of the probe.',
    traced: true,
  },
  NM603: {
    name: 'ProbePortClosed',
    title: 'a probe asks a port that no container declares',
    severity: 'warning',
    cause: 'The port of the probe is none of the containerPorts of a pod that declares some.',
    effect: 'If nothing listens there the pod never gets ready, or is restarted again and again.',
    fix: 'Correct the port of the probe, or declare the containerPort.',
    traced: true,
  },
  NM604: {
    name: 'PolicyServicePort',
    title: "a policy names the port of a Service where the pod's is meant",
    severity: 'warning',
    cause:
      'A rule of a policy names the port of a Service. Policies see packets after the Service has been translated: with the port of the pod, its targetPort.',
    effect: 'Connections through the Service are denied; nothing listens on the port that the rule opens.',
    fix: 'Write the targetPort.',
    traced: false,
  },
  NM605: {
    name: 'PolicyCutsDns',
    title: 'policies keep pods from DNS',
    severity: 'warning',
    cause: 'Egress of the pods is closed but for what the rules name, and nothing lets them out to the DNS of the cluster by UDP 53.',
    effect: 'Names are not resolved: connections fail that the rules allow, after long waits.',
    fix: 'Add an egress rule to the pods of kube-dns in kube-system, UDP and TCP 53.',
    traced: false,
  },
  NM606: {
    name: 'PolicySelectsNothing',
    title: 'a policy selects nobody',
    severity: 'warning',
    cause: 'No pod or namespace has the labels that a policy, or a peer of one of its rules, asks for.',
    effect: 'The policy protects nobody, or the rule lets nobody in: connections that it was written for stay closed.',
    fix: "Correct the selector: it is held against the labels of the pods' template, not of the workload.",
    traced: false,
  },
}

export function codeInfo(code: Code): CodeInfo {
  return { code, ...ENTRIES[code] }
}

/** In the order of the codes. */
export function checkCatalogue(): readonly CodeInfo[] {
  return CODES.map(codeInfo)
}

export function finding(code: Code, found: Case): Finding {
  return findingOf(codeInfo(code), found)
}
