/**
 * Nodes and their pods, agent by agent in the order in which a host boots: the bare host, docker, kube-proxy, the CNI, then what
 * its owner did by hand. From the cluster to a Dataplane for every netns.
 *
 *   bare host ─▶ + docker0 or cni0 with the pods' veths ─▶ + flanneld ─▶ + the owner's commands        pods: eth0, routes, sockets
 */
import { ip, type Ip } from '../base/ip.js'
import { hashText } from '../base/prng.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { ClusterPod } from '../cluster/pod.js'
import { applyChainEdits } from '../dataplane/chain-edit.js'
import type { Dataplane, DeviceSpec, FdbSpec, SocketSpec } from '../dataplane/dataplane.js'
import type { IptablesState, TableName } from '../dataplane/iptables.js'
import type { PodAttachment, RuntimePart } from '../docker/attachment.js'
import { renderCni } from '../docker/cni-bridge.js'
import { renderDocker } from '../docker/docker.js'
import type { FlannelPart } from '../flannel/flanneld.js'
import type { BareNode } from './flannel-plan.js'
import { applyHostSettings } from './host-commands.js'

/** docker0 without --bip. */
const DOCKER_DEFAULT_ADDRESS = { address: ip('172.17.0.1'), length: 16 }
const DOCKER_DEFAULT_MTU = 1500
const BRIDGES = { docker: 'docker0', cni: 'cni0' } as const

export interface PodPlan {
  readonly pod: ClusterPod
  readonly address: Ip
  readonly dataplane: Dataplane
}

export interface NodePlan {
  readonly node: ClusterNode
  readonly dataplane: Dataplane
  readonly pods: readonly PodPlan[]
  readonly problems: readonly Problem[]
}

/** @param flannel flanneld's part; undefined where it plays no part or could not start */
export function planNode(cluster: Cluster, bare: BareNode & { readonly dataplane: Dataplane }, flannel: FlannelPart | undefined, seed: number): NodePlan {
  const { node } = bare
  const pods = cluster.pods.filter((pod) => pod.node === node.name && !pod.hostNetwork && !pod.terminated)
  const runtime = renderRuntime(cluster, node, { pods, flannel, seed })
  const devices = [...bare.dataplane.devices, ...(flannel?.devices ?? []), ...(runtime?.devices ?? [])]
  const dockerFirst = cluster.runtime.name === 'docker'
  const edits = dockerFirst
    ? [...(runtime?.chainEdits ?? []), ...(flannel?.chainEdits ?? [])]
    : [...(flannel?.chainEdits ?? []), ...(runtime?.chainEdits ?? [])]
  const agents: Dataplane = {
    netns: node.name,
    devices,
    routes: [...bare.dataplane.routes, ...(flannel?.routes ?? []), ...(runtime?.routes ?? [])],
    rules: [],
    neighbours: flannel?.neighbours ?? [],
    fdb: [...(flannel?.fdb ?? []), ...bridgeEntries(devices)],
    sysctls: { ...bare.dataplane.sysctls, ...(flannel?.sysctls ?? {}), ...(runtime?.sysctls ?? {}) },
    iptables: applyChainEdits({ tables: [] }, edits),
    ipsets: runtime?.ipsets ?? [],
    sockets: [...(flannel?.sockets ?? []), ...hostSockets(cluster, node)],
  }
  const problems = [...(runtime?.problems ?? [])]
  let dataplane = agents
  for (const settings of cluster.hosts.filter((host) => host.node === node.name)) {
    const applied = applyHostSettings(dataplane, settings)
    dataplane = applied.dataplane
    problems.push(...applied.problems)
  }
  return { node, dataplane: { ...dataplane, iptables: inSaveOrder(dataplane.iptables) }, pods: podPlans(runtime, pods), problems }
}

/** What a bridge keeps of itself: an entry for each port's MAC, and one for its own when no port has it (br_fdb_add_local, br_fdb_change_mac_address). */
function bridgeEntries(devices: readonly DeviceSpec[]): FdbSpec[] {
  const entries: FdbSpec[] = []
  for (const bridge of devices.filter(({ kind }) => kind === 'bridge')) {
    const members = devices.filter(({ name, master }) => master === bridge.name || name === bridge.name)
    // ports first: the bridge has mostly taken its MAC from one of them
    for (const { name, mac } of members.sort((a, b) => Number(a === bridge) - Number(b === bridge))) {
      if (mac === undefined || entries.some((entry) => entry.mac === mac && entry.master === bridge.name)) continue
      entries.push({ mac, device: name, master: bridge.name, state: 'permanent', provenance: { by: 'kernel' } })
    }
  }
  return entries
}

/** enum nft_table_type of iptables/nft.h: the order in which iptables-nft-save prints the tables. */
const SAVE_ORDER: readonly TableName[] = ['mangle', 'security', 'raw', 'filter', 'nat']

function inSaveOrder({ tables }: IptablesState): IptablesState {
  return { tables: [...tables].sort((a, b) => SAVE_ORDER.indexOf(a.name) - SAVE_ORDER.indexOf(b.name)) }
}

interface RuntimeInput {
  readonly pods: readonly ClusterPod[]
  readonly flannel: FlannelPart | undefined
  readonly seed: number
}

/** undefined when there is no network to plug pods into: flanneld never wrote subnet.env. */
function renderRuntime(cluster: Cluster, node: ClusterNode, { pods, flannel, seed }: RuntimeInput): RuntimePart | undefined {
  const env = flannel?.subnetEnv
  if (cluster.cni === 'flannel' && env === undefined) return undefined
  const docker = cluster.runtime.name === 'docker'
  const bridgeMac = cluster.pins.macs.get(`${node.name}/${BRIDGES[cluster.runtime.name]}`)
  const view = {
    node: node.name,
    subnet: env?.subnet ?? DOCKER_DEFAULT_ADDRESS,
    mtu: env?.mtu ?? DOCKER_DEFAULT_MTU,
    // who masquerades: flanneld, or else the runtime (mk-docker-opts.sh, flannel CNI plugin)
    ipMasq: env === undefined ? true : !env.ipMasq,
    pods: pods.map((pod) => attachment(cluster, node, pod)),
    seed: seed ^ hashText(node.name),
    ...(bridgeMac === undefined ? {} : { bridgeMac }),
  }
  if (docker) {
    const { dockerVersion, iptables, icc, userlandProxy } = cluster.runtime
    return renderDocker({ ...view, version: dockerVersion, iptables, icc, userlandProxy, forwardPolicyDrop: false })
  }
  return renderCni({ ...view, hairpin: true, ...(env?.network === undefined ? {} : { networkCidr: env.network }) })
}

function attachment(cluster: Cluster, node: ClusterNode, pod: ClusterPod): PodAttachment {
  const key = `${pod.namespace}/${pod.name}/eth0`
  const pinnedMac = cluster.pins.macs.get(key)
  const pinnedHostDevice = cluster.pins.devices.get(key)
  const pinnedHostMac = pinnedHostDevice === undefined ? undefined : cluster.pins.macs.get(`${node.name}/${pinnedHostDevice}`)
  return {
    namespace: pod.namespace,
    name: pod.name,
    file: pod.file,
    line: pod.line,
    ...(pod.address === undefined ? {} : { address: pod.address }),
    ...(pinnedMac === undefined ? {} : { pinnedMac }),
    ...(pinnedHostDevice === undefined ? {} : { pinnedHostDevice }),
    ...(pinnedHostMac === undefined ? {} : { pinnedHostMac }),
  }
}

function podPlans(runtime: RuntimePart | undefined, pods: readonly ClusterPod[]): PodPlan[] {
  const plans: PodPlan[] = []
  for (const plugged of runtime?.pods ?? []) {
    const pod = pods.find(({ namespace, name }) => namespace === plugged.attachment.namespace && name === plugged.attachment.name)
    if (pod !== undefined) plans.push({ pod, address: plugged.address, dataplane: { ...plugged.dataplane, sockets: podSockets(pod) } })
  }
  return plans
}

const PROTOCOLS = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const
const LAST_PORT = 65535

/** A pod that declares ports listens on those only, one that declares none on all: assumptions, and the step says so. */
function podSockets(pod: ClusterPod): SocketSpec[] {
  const place = { object: `Pod/${pod.namespace}/${pod.name}`, file: pod.file }
  if (pod.ports.length === 0) {
    const provenance = { by: 'Pod declares no containerPort: taken to listen on every port', ...place, line: pod.line }
    return (['tcp', 'udp', 'sctp'] as const).map((proto) => ({ proto, address: 0, port: 1, portEnd: LAST_PORT, handler: 'open', provenance }))
  }
  return pod.ports.map((port) => ({
    proto: PROTOCOLS[port.protocol],
    address: 0,
    port: port.port,
    handler: 'open',
    provenance: { by: 'containerPort of the Pod: taken to listen', ...place, line: port.line },
  }))
}

/** Pods on the host's network listen on what they declare. */
function hostSockets(cluster: Cluster, node: ClusterNode): SocketSpec[] {
  return cluster.pods.filter((pod) => pod.node === node.name && pod.hostNetwork && !pod.terminated && pod.ports.length > 0).flatMap(podSockets)
}
