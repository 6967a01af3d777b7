/**
 * A node as a dump has it, in place of what its agents would make: from a CollectedNode and the cluster to a NodePlan. Its cards are plugged into the
 * cluster's segments, and its network namespaces become the cluster's pods: those of the same name, or else of the same address.
 */
import { contains } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { ClusterPod } from '../cluster/pod.js'
import type { CollectedNode, CollectedPod, NotUnderstood } from '../collected/collected-node.js'
import type { Dataplane, DeviceSpec } from '../dataplane/dataplane.js'
import { UDP_HANDLER } from '../flannel/backend-udp.js'
import { withStandIns } from './collected-unknown.js'
import type { NodePlan } from './nodes.js'
import { podsOn, type PodPlan } from './pods.js'

/** What the network knows of the node beside its dump. */
export interface CollectedSetting {
  readonly node: ClusterNode
  /** The TUN that flanneld's udp backend reads. */
  readonly proxied?: { readonly device: string; readonly port: number }
  /** The cloud looks at what its card sends. */
  readonly checked: boolean
}

export function planCollected(cluster: Cluster, collected: CollectedNode, setting: CollectedSetting): NodePlan {
  const { node } = setting
  const problems: Problem[] = []
  const homes = podsOfNetns(cluster, collected, problems)
  const names = new Map([...homes].map(([{ name }, pod]) => [name, `${pod.namespace}/${pod.name}`]))
  const rename = (netns: string): string => names.get(netns) ?? netns
  const renamed = (dataplane: Dataplane): Dataplane =>
    withStandIns({
      ...dataplane,
      netns: rename(dataplane.netns),
      devices: dataplane.devices.map((device) =>
        device.kind === 'veth' ? { ...device, peer: { netns: rename(device.peer.netns), device: device.peer.device } } : device,
      ),
    })
  const pods: PodPlan[] = []
  const others: Dataplane[] = []
  for (const one of collected.pods) {
    if (one.dataplane === undefined) continue
    const [pod, dataplane] = [homes.get(one), renamed(one.dataplane)]
    const [address] = addressesOf(dataplane)
    if (pod === undefined || address === undefined) others.push(dataplane)
    else pods.push({ pod, address: pod.address !== undefined && addressesOf(dataplane).includes(pod.address) ? pod.address : address, dataplane })
  }
  const own = withProxy(plugged(cluster, renamed(collected.dataplane), setting), setting)
  return { node, dataplane: own, pods, others, problems: [...problems, ...collected.problems, ...notes(collected)] }
}

/** What the answer may lack, and does not refuse it. */
function notes({ name, missing, notUnderstood }: CollectedNode): readonly Problem[] {
  const note =
    (fix: string) =>
    ({ what, file, line, fix: own = fix }: NotUnderstood): Problem => ({ severity: 'warning', file, line, object: `Node/${name}`, what, fix: own })
  return [...missing.map(note('It was not gathered: nothing is known of it.')), ...notUnderstood.map(note(''))]
}

/** Of a netns, those that others speak to it by. */
export function addressesOf({ devices }: Dataplane): readonly Ip[] {
  return devices.flatMap(({ addresses }) => addresses.flatMap(({ address, scope }) => (scope === 'global' ? [address] : [])))
}

function podsOfNetns(cluster: Cluster, collected: CollectedNode, problems: Problem[]): ReadonlyMap<CollectedPod, ClusterPod> {
  const here = podsOn(cluster, collected.name)
  const homes = new Map<CollectedPod, ClusterPod>()
  for (const one of collected.pods) {
    const named = one.known ? cluster.podByName.get(one.name) : undefined
    const addresses = one.dataplane === undefined ? [] : addressesOf(one.dataplane)
    const found = here.find((pod) => pod === named) ?? here.find(({ address }) => address !== undefined && addresses.includes(address))
    if (named !== undefined && named.node !== collected.name) problems.push(elsewhere(one, named, collected))
    if (found !== undefined && ![...homes.values()].includes(found)) homes.set(one, found)
  }
  const taken = new Set(homes.values())
  for (const pod of here) if (!taken.has(pod)) problems.push(absent(pod, collected))
  return homes
}

function elsewhere({ name, place }: CollectedPod, pod: ClusterPod, { name: node }: CollectedNode): Problem {
  const said = pod.node === undefined ? 'on no node' : `on ${pod.node}`
  const fix = 'The dump and the objects are of different moments: gather both anew.'
  return { severity: 'warning', ...place, object: `Pod/${name}`, what: `the dump has its network on ${node}, the objects have the pod ${said}`, fix }
}

function absent(pod: ClusterPod, { name, pods, source }: CollectedNode): Problem {
  const object = `Pod/${pod.namespace}/${pod.name}`
  const address = pod.address === undefined ? '' : ` or the address ${formatIp(pod.address)}`
  const [what, fix] =
    pods.length === 0
      ? [`it runs on ${name}, of which the dump ${source} has no pods`, 'Questions to and from the pod have no answer: gather the dump with --pods.']
      : [`it runs on ${name}, of which the dump ${source} has no network namespace with its name${address}`, 'Has it moved since? Gather the dump anew.']
  return { severity: 'warning', file: pod.file, line: pod.line, object, what, fix }
}

/** Cards on the segments that their addresses are of; of a card in a bridge, the bridge's. */
function plugged(cluster: Cluster, dataplane: Dataplane, { node, checked }: CollectedSetting): Dataplane {
  const { devices } = dataplane
  const segmentOf = (device: DeviceSpec): string | undefined => {
    const bearer = device.addresses.length > 0 || device.master === undefined ? device : devices.find(({ name }) => name === device.master)
    const addresses = (bearer ?? device).addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address)
    if (addresses.includes(node.address)) return node.segment
    return cluster.segments.find(({ cidr }) => addresses.some((address) => contains(cidr, address)))?.name
  }
  const plug = (device: DeviceSpec): DeviceSpec => {
    if (device.kind !== 'nic') return device
    const segment = segmentOf(device)
    if (segment !== undefined) return { ...device, segment, ...(checked ? { sourceDestinationCheck: true } : {}) }
    const { cable, ...rest } = device
    // without a cable it carries nothing, wherever it leads
    if (cable?.cut === true) return device
    return {
      ...rest,
      kind: 'other',
      type: 'card',
      why: `nothing is known of the network that ${device.name} is on: no segment of the underlay has its address`,
    }
  }
  return { ...dataplane, devices: devices.map(plug) }
}

/** flanneld's udp backend runs on the node as on every other. Of any other TUN no dump tells what reads it, and what that does with a packet. */
function withProxy(dataplane: Dataplane, { proxied }: CollectedSetting): Dataplane {
  const devices = dataplane.devices.map((device): DeviceSpec => {
    if (device.kind !== 'tun') return device
    if (device.name === proxied?.device) return { ...device, handler: UDP_HANDLER }
    return { ...device, kind: 'other', type: 'tun', why: `a process reads what leaves by the TUN ${device.name}, and no dump tells what it does with it` }
  })
  const sockets = dataplane.sockets.map((socket) =>
    proxied !== undefined && socket.proto === 'udp' && socket.port === proxied.port ? { ...socket, handler: UDP_HANDLER } : socket,
  )
  return { ...dataplane, devices, sockets }
}
