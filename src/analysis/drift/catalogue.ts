/**
 * Every code that `netsim drift` knows, with what it means, what comes of it and what mends it: the rules of the SARIF report, and the text of a finding
 * where the case itself says no more. docs/drift.md has a line for each.
 */
import type { FindingInfo, Severity } from '../../base/finding.js'
import { DRIFT_CODES, type DriftCode } from './codes.js'

export interface DriftCodeInfo extends FindingInfo {
  readonly code: DriftCode
  /** Where the traffic that was tried is as it should be: how severe it is then. */
  readonly withoutEffect: Severity
}

type Row = readonly [name: string, title: string, withoutEffect: Severity, cause: string, effect: string, fix: string]

const RESTART = 'Restart the agent that makes it, or make it by hand with the command.'
const BY_HAND = 'Put it back with the command.'
const AWAY = 'Take it away with the command.'

const ROWS: Readonly<Record<DriftCode, Row>> = {
  ND101: [
    'DeviceMissing',
    'a device is missing',
    'warning',
    'A device that an agent makes is not there, and with it the routes, neighbours and FDB entries on it.',
    'What travels through the device is lost or leaves by the default route.',
    RESTART,
  ],
  ND102: [
    'DeviceDown',
    'a device is down',
    'warning',
    'The device is there and not up; the kernel takes its routes away with it.',
    'Nothing goes through it.',
    'Set it up with the command, and put its routes back.',
  ],
  ND103: ['DeviceKind', 'a device is of another kind', 'warning', 'Something else has the name of the device.', 'The agent cannot make its own.', RESTART],
  ND104: [
    'DeviceMtu',
    'the MTU of a device is another',
    'warning',
    'The MTU is not what the agent sets.',
    'Too big: large packets vanish or are fragmented; too small: they are fragmented or refused though the path would carry them.',
    'Set it with the command.',
  ],
  ND105: [
    'TunnelParameters',
    'a tunnel is set up otherwise',
    'warning',
    'VNI, port, address, keys or peers of a tunnel differ from what the agents of the other nodes take for granted.',
    'The other nodes drop its packets, or it drops theirs.',
    RESTART,
  ],
  ND106: [
    'TunnelMac',
    'the MAC of the tunnel is not the published one',
    'warning',
    'The device has another MAC than the one that the node published (VtepMAC): made anew, while the publication is old.',
    'Other nodes address frames to the published MAC: this node takes them for somebody else’s and drops them.',
    'Restart the agent of the node: it publishes the MAC that the device has.',
  ],
  ND107: [
    'Address',
    'an address is missing or another',
    'warning',
    'A device lacks the address that its agent gives it, or has one of an earlier subnet.',
    'Pods lose their gateway, or the node answers with an address that nobody expects.',
    BY_HAND,
  ],
  ND108: [
    'BridgePort',
    'a port of the bridge is set otherwise',
    'warning',
    'The node’s end of a pod’s veth is no port of the bridge, or its flags (hairpin, learning, isolated) are others.',
    'The pod is cut off, or cannot reach itself through its Service.',
    BY_HAND,
  ],
  ND201: [
    'RouteMissing',
    'a route is missing',
    'warning',
    'A route that an agent makes is not in the kernel.',
    'Packets for the prefix take a less specific route, mostly the default one, and are lost.',
    BY_HAND,
  ],
  ND202: [
    'RouteStale',
    'a route is too many',
    'warning',
    'A route of an agent’s that leads to nobody of the cluster, or to a prefix that is elsewhere now.',
    'Packets for the prefix go where nobody takes them.',
    AWAY,
  ],
  ND203: [
    'RouteElsewhere',
    'a route leads elsewhere',
    'warning',
    'The route to the prefix has another next hop, device, table or type than its agent gives it.',
    'Packets for the prefix go to the wrong host.',
    BY_HAND,
  ],
  ND204: [
    'RouteForeign',
    'a route of somebody else is in the way',
    'info',
    'A route that no agent makes takes packets of the cluster’s addresses.',
    'Packets for these addresses go another way.',
    AWAY,
  ],
  ND205: [
    'RoutingRuleMissing',
    'a rule of routing is missing',
    'warning',
    'A rule that leads to an agent’s table is not there.',
    'The table is never looked up.',
    BY_HAND,
  ],
  ND206: [
    'RoutingRuleForeign',
    'a rule of routing of somebody else',
    'info',
    'A rule that no agent makes sends packets to another table, or nowhere.',
    'Packets that it takes go another way.',
    AWAY,
  ],
  ND301: [
    'NeighbourMissing',
    'a permanent neighbour is missing',
    'warning',
    'The entry that gives the MAC of another node’s tunnel is not there, and ARP does not cross the tunnel.',
    'Packets for that node wait for an answer that never comes: host unreachable.',
    BY_HAND,
  ],
  ND302: [
    'NeighbourWrong',
    'a permanent neighbour has another MAC',
    'warning',
    'The MAC is not the one that the other node published.',
    'The frame leads to no FDB entry, or the other node drops it as not its own.',
    BY_HAND,
  ],
  ND303: [
    'NeighbourStale',
    'a permanent neighbour is too many',
    'info',
    'An entry on a tunnel that belongs to nobody of the cluster, or one that pins the MAC of a host.',
    'Packets for the address go to a MAC that may be nobody’s.',
    AWAY,
  ],
  ND304: [
    'FdbMissing',
    'an FDB entry is missing',
    'warning',
    'The tunnel does not know behind which host the MAC is.',
    'Frames for it are dropped or flooded to nobody.',
    BY_HAND,
  ],
  ND305: [
    'FdbElsewhere',
    'an FDB entry leads to another host',
    'warning',
    'The MAC of a node’s tunnel leads to an address that is not that node’s.',
    'Frames for the node go to the wrong host.',
    BY_HAND,
  ],
  ND306: ['FdbStale', 'an FDB entry is too many', 'info', 'An entry for a MAC that no node of the cluster has.', 'None, until something uses the MAC.', AWAY],
  ND307: [
    'NodeUnknown',
    'another node is not programmed',
    'warning',
    'Several of the entries that lead to another node are missing or wrong: its agent’s event never came here.',
    'Pods of this node do not reach pods of that one.',
    'Restart the agent of this node: it programs all nodes anew when it starts.',
  ],
  ND308: [
    'NodeGone',
    'a node that is gone is still programmed',
    'info',
    'Routes, neighbours or FDB entries lead to a node that the cluster has no more, or that has another subnet or address now.',
    'Packets for the subnet go where nobody is.',
    AWAY,
  ],
  ND401: [
    'Sysctl',
    'a setting of the kernel is another',
    'info',
    'A sysctl that the pod network rests on has another value.',
    'Packets are not forwarded, are dropped by the reverse-path filter, or pass iptables by.',
    'Set it with the command, and write it into /etc/sysctl.d.',
  ],
  ND501: [
    'ChainMissing',
    'a chain is missing or empty',
    'info',
    'A chain of an agent’s is not there, or somebody flushed it.',
    'What the chain does is not done.',
    RESTART,
  ],
  ND502: ['RuleMissing', 'a rule is missing', 'info', 'A rule of an agent’s is not there.', 'What the rule does is not done.', RESTART],
  ND503: [
    'RuleExtra',
    'a rule too many in an agent’s chain',
    'info',
    'A chain of an agent’s has a rule that the agent does not write now.',
    'Packets that it matches go another way.',
    AWAY,
  ],
  ND504: [
    'RuleForeign',
    'a rule of somebody else comes first',
    'info',
    'A rule that no agent wrote decides before theirs do.',
    'Packets that it matches are dropped, accepted or rewritten before the agents’ rules see them.',
    'Take it away with the command, or put it behind the agents’ rules.',
  ],
  ND505: [
    'RuleOrder',
    'rules stand in another order',
    'info',
    'The rules are there, in another order than their agents write them.',
    'The first that matches decides: another one may.',
    RESTART,
  ],
  ND506: [
    'ChainPolicy',
    'the policy of a chain is another',
    'info',
    'A built-in chain drops what no rule accepts.',
    'Packets that no agent accepts expressly are dropped.',
    BY_HAND,
  ],
  ND507: [
    'SecondMasquerade',
    'a second masquerade',
    'info',
    'A rule that no agent of the network writes rewrites the source of packets.',
    'Pods are seen with an address that is not theirs, by other pods too: policies and logs go wrong.',
    AWAY,
  ],
  ND508: [
    'BothBackends',
    'legacy and nft iptables both hold rules',
    'info',
    'Rules were written with both backends of iptables; the kernel runs both, whichever a tool shows.',
    'Rules that iptables-save does not show decide too.',
    'Flush the one that the agents do not use, after a look at it with the command.',
  ],
  ND601: [
    'SetMissing',
    'an ipset is missing',
    'warning',
    'A set that rules match against is not there.',
    'Rules that name it cannot be there either.',
    RESTART,
  ],
  ND602: ['SetEmpty', 'an ipset is empty', 'warning', 'A set that should have members has none.', 'Whatever is allowed by it is not.', RESTART],
  ND603: [
    'MemberMissing',
    'members of an ipset are missing',
    'warning',
    'Addresses that belong into a set are not in it.',
    'What the set allows is denied to them.',
    BY_HAND,
  ],
  ND604: [
    'MemberStale',
    'members of an ipset are too many',
    'warning',
    'Addresses are in a set that do not belong into it.',
    'What the set allows is allowed to them too.',
    AWAY,
  ],
  ND701: [
    'OtherCni',
    'leftovers of another CNI',
    'info',
    'Devices, chains or routes of a CNI that this cluster does not use.',
    'Its routes and rules may take packets of the pod network.',
    'Take them away with the commands, or drain and reboot the node once its files are gone.',
  ],
  ND702: [
    'CniFiles',
    'the container runtime reads another CNI configuration first',
    'warning',
    '/etc/cni/net.d holds several configurations; the runtime takes the first by name.',
    'New pods are plugged into another network.',
    'Move the other file away.',
  ],
  ND801: [
    'PublicAddress',
    'the node published an address that it does not have',
    'error',
    'The PublicIP of the lease (annotation public-ip, or etcd) is on no device of the node.',
    'Other nodes send its pods’ packets to an address where it is not.',
    'Restart the agent of the node: it publishes its address when it starts.',
  ],
  ND802: [
    'SubnetFile',
    'subnet.env is not of the lease',
    'warning',
    '/run/flannel/subnet.env names another subnet, network or MTU than flannel’s configuration and the node’s lease.',
    'Pods that start now get addresses that other nodes look for elsewhere.',
    'Restart flanneld, which writes the file, then the pods of the node.',
  ],
  ND803: [
    'NodeAddress',
    'the node does not have its address',
    'error',
    'The InternalIP that the Node object names is on no device of the node.',
    'Nothing that is sent to the node arrives.',
    'Give the device its address back, or let the kubelet register the new one.',
  ],
  ND901: [
    'PodMissing',
    'a pod is not on the node',
    'warning',
    'The cluster has the pod running on the node, and the node has no network namespace of it.',
    'Nothing that is sent to the pod arrives.',
    'Look at the kubelet and the runtime; delete the pod, so that its successor is made; or gather objects and dump anew, of one moment.',
  ],
  ND902: [
    'PodUnknown',
    'a pod that the cluster has not',
    'info',
    'The node has the network of a pod that is in no object: its sandbox was left behind, or it was made after the objects were gathered.',
    'Its address stays taken, and rules of its veth stay.',
    'Gather the objects anew; if it is still not there, remove the sandbox with the command.',
  ],
  ND903: [
    'PortClosed',
    'nobody listens where a Service leads',
    'warning',
    'The process in the pod listens on another port, on 127.0.0.1 alone, or has ended, while the pod is ready.',
    'Connections to the Service that fall to this pod are refused.',
    'Have the process listen on 0.0.0.0 and the targetPort, or correct the Service; a readinessProbe of the port takes such a pod out.',
  ],
}

/** A drift is as severe as what it does to traffic; an error of the catalogue is one whatever was tried. */
const CATALOGUE: Readonly<Record<DriftCode, DriftCodeInfo>> = Object.fromEntries(
  DRIFT_CODES.map((code) => {
    const [name, title, withoutEffect, cause, effect, fix] = ROWS[code]
    return [code, { code, name, title, severity: 'error', withoutEffect, cause, effect, fix } satisfies DriftCodeInfo]
  }),
) as unknown as Readonly<Record<DriftCode, DriftCodeInfo>>

export function driftCodeInfo(code: DriftCode): DriftCodeInfo {
  return CATALOGUE[code]
}

/** In the order of the codes. */
export function driftCatalogue(): readonly DriftCodeInfo[] {
  return DRIFT_CODES.map(driftCodeInfo)
}
