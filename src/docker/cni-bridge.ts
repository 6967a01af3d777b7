/**
 * What flannel's CNI plugin delegates to: the bridge plugin (cni0, veth pairs, its masquerading) with host-local addresses. From a view to a
 * part of the node's Dataplane and one Dataplane per pod. Source: containernetworking plugins/main/bridge/bridge.go, pkg/ip, plugins/ipam/host-local.
 */
import { cidr } from '../base/cidr.js'
import { ip } from '../base/ip.js'
import { randomMac } from '../base/mac.js'
import { hexOf, sha512 } from '../base/sha.js'
import type { Provenance } from '../dataplane/dataplane.js'
import type { ChainEdit, Match, Rule, Target } from '../dataplane/iptables.js'
import { allocateRoundRobin } from './address-allocation.js'
import { netnsOf, objectOf, subnetOf, type AttachedPod, type CniView, type RuntimePart } from './attachment.js'
import { renderPortmap } from './portmap.js'
import { attachPods, bridgeStream, connectedRoute, interfaceAddress } from './veth.js'

const CNI_BRIDGE = 'cni0'
const BRIDGE_PLUGIN = 'bridge plugin'
/** `name` of kube-flannel's configuration list. */
const NETWORK_NAME = 'cbr0'
/** What iptables takes, 28, less the prefix. */
const CHAIN_HASH_DIGITS = 24
const POD_SYSCTLS = { 'net.ipv4.conf.eth0.arp_notify': 1 } as const
const MULTICAST = cidr(ip('224.0.0.0'), 4)

/** cni0 comes with the first pod and stays when the last one goes: a node that never had any has nothing of all this. */
export function renderCni(view: CniView): RuntimePart {
  const { given, problems } = allocateRoundRobin(view)
  if (given.length === 0 && view.bridgeStays !== true) return { devices: [], routes: [], chainEdits: [], ipsets: [], sysctls: {}, pods: [], problems }
  const { hostEnds, pods } = attachPods(given, {
    view,
    bridge: CNI_BRIDGE,
    by: BRIDGE_PLUGIN,
    ipam: 'host-local',
    digits: 8,
    hairpin: view.hairpin,
    destinations: [{ base: 0, length: 0 }, ...(view.networkCidr === undefined ? [] : [view.networkCidr])],
    sysctls: POD_SYSCTLS,
  })
  const object = `bridge ${CNI_BRIDGE}`
  const mapped = renderPortmap({ networkName: view.networkName ?? NETWORK_NAME, prefixLength: view.subnet.length, pods })
  return {
    devices: [
      {
        // the plugin sets the MAC that the bridge was created with, lest it follow its ports
        kind: 'bridge',
        name: CNI_BRIDGE,
        mtu: view.mtu,
        mac: view.bridgeMac ?? randomMac(bridgeStream(view, CNI_BRIDGE)),
        up: true,
        addresses: [interfaceAddress(view.subnet.address, view.subnet.length)],
        provenance: { by: BRIDGE_PLUGIN, object },
      },
      ...hostEnds,
    ],
    routes: [connectedRoute(subnetOf(view), CNI_BRIDGE, view.subnet.address, object)],
    chainEdits: [...(view.ipMasq ? pods.flatMap((pod) => masqueradeEdits(pod, view)) : []), ...mapped],
    ipsets: [],
    // what the portmap plugin sets so that 127.0.0.1 gets to the pod
    sysctls: { 'net.ipv4.ip_forward': 1, ...(mapped.length === 0 ? {} : { [`net.ipv4.conf.${CNI_BRIDGE}.route_localnet`]: 1 }) },
    pods,
    problems,
  }
}

/** A chain of the pod's own: all but what stays in the node's subnet is masqueraded, other pods' subnets not excepted. */
function masqueradeEdits({ attachment, address }: AttachedPod, view: CniView): ChainEdit[] {
  const name = view.networkName ?? NETWORK_NAME
  const containerId = netnsOf(attachment)
  const chain = chainNameOf(name, containerId)
  const comment: Match = { kind: 'comment', text: `name: ${JSON.stringify(name)} id: ${JSON.stringify(containerId)}` }
  const provenance: Provenance = { by: BRIDGE_PLUGIN, object: `${objectOf(attachment)}, its namespace/name taken for the container ID` }
  const rule = (match: Match, target: Target): Rule => ({ matches: [match, comment], target, provenance })
  return [
    {
      table: 'nat',
      chain,
      action: 'create',
      rules: [
        rule({ kind: 'destination', net: subnetOf(view) }, { kind: 'ACCEPT' }),
        rule({ kind: 'destination', net: MULTICAST, invert: true }, { kind: 'MASQUERADE', random: false, randomFully: false }),
      ],
    },
    { table: 'nat', chain: 'POSTROUTING', action: 'append', rules: [rule({ kind: 'source', net: cidr(address, 32) }, { kind: 'jump', chain })] },
  ]
}

/** utils.FormatChainName of the plugins. */
export function chainNameOf(networkName: string, containerId: string): string {
  return `CNI-${hexOf(sha512(networkName + containerId).subarray(0, CHAIN_HASH_DIGITS / 2))}`
}
