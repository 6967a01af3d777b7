/**
 * Pods as every CNI plugs them in: what a runtime is asked for, and who listens; what the kubelet asks of them. From the cluster's pods to
 * attachments, plans and sockets.
 */
import { parseIp, type Ip } from '../base/ip.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { ClusterPod } from '../cluster/pod.js'
import type { Dataplane, SocketSpec } from '../dataplane/dataplane.js'
import type { HostPort, PodAttachment } from '../docker/attachment.js'

export interface PodPlan {
  readonly pod: ClusterPod
  readonly address: Ip
  readonly dataplane: Dataplane
}

/** Made once of each cluster, which is frozen. */
const PLACED = new WeakMap<Cluster, Map<string, ClusterPod[]>>()

function nameOf({ namespace, name }: ClusterPod): string {
  return ['Pod', namespace, name].join('/')
}

/** Those that have not ended, in the order of the input. */
function placedOn(cluster: Cluster, node: string): readonly ClusterPod[] {
  let placed = PLACED.get(cluster)
  if (placed === undefined) {
    placed = new Map<string, ClusterPod[]>()
    for (const pod of cluster.pods) {
      if (pod.terminated || pod.node === undefined) continue
      const there = placed.get(pod.node)
      if (there === undefined) placed.set(pod.node, [pod])
      else there.push(pod)
    }
    PLACED.set(cluster, placed)
  }
  return placed.get(node) ?? []
}

/** Those of the pod network that run on the node. */
export function podsOn(cluster: Cluster, node: string): readonly ClusterPod[] {
  return placedOn(cluster, node).filter((pod) => !pod.hostNetwork)
}

export function attachment(cluster: Cluster, node: Pick<ClusterNode, 'name'>, pod: ClusterPod): PodAttachment {
  const key = `${pod.namespace}/${pod.name}/eth0`
  const pinnedMac = cluster.pins.macs.get(key)
  const pinnedHostDevice = cluster.pins.devices.get(key)
  const pinnedHostMac = pinnedHostDevice === undefined ? undefined : cluster.pins.macs.get(`${node.name}/${pinnedHostDevice}`)
  const hostPorts = hostPortsOf(pod)
  const object = nameOf(pod)
  return {
    namespace: pod.namespace,
    name: pod.name,
    file: pod.file,
    line: pod.line,
    object,
    sockets: podSockets(pod, object),
    ...(hostPorts.length === 0 ? {} : { hostPorts }),
    ...(pod.address === undefined ? {} : { address: pod.address }),
    ...(pinnedMac === undefined ? {} : { pinnedMac }),
    ...(pinnedHostDevice === undefined ? {} : { pinnedHostDevice }),
    ...(pinnedHostMac === undefined ? {} : { pinnedHostMac }),
  }
}

/** Kubernetes' words → those of sockets and questions. */
export const PORT_PROTOCOLS = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const
const LAST_PORT = 65535

/** Of a pod of the pod network; those of IPv6 addresses are left out. */
function hostPortsOf(pod: ClusterPod): HostPort[] {
  return pod.ports.flatMap(({ hostPort, port, protocol, hostIP, line }) => {
    const address = hostIP === undefined ? undefined : parseIp(hostIP)
    if (hostPort === undefined || (hostIP !== undefined && address === undefined)) return []
    return [{ hostPort, containerPort: port, protocol: PORT_PROTOCOLS[protocol], ...(address === undefined ? {} : { hostIP: address }), line }]
  })
}

/**
 * A pod that declares ports listens on those and on what its probes ask while they succeed, one that declares none on all: assumptions, and the step
 * says so. A containerPort informs and opens nothing: CoreDNS and ingress-nginx leave out the ports of their probes.
 */
export function podSockets(pod: ClusterPod, object = nameOf(pod)): SocketSpec[] {
  const place = { object, file: pod.file }
  if (pod.ports.length === 0) {
    const provenance = { by: 'Pod declares no containerPort: taken to listen on every port', object, file: pod.file, line: pod.line }
    return (['tcp', 'udp', 'sctp'] as const).map((proto) => ({ proto, address: 0, port: 1, portEnd: LAST_PORT, handler: 'open', provenance }))
  }
  const declared = pod.ports.map((port): SocketSpec => ({
    proto: PORT_PROTOCOLS[port.protocol],
    address: 0,
    port: port.port,
    handler: 'open',
    provenance: { by: 'containerPort of the Pod: taken to listen', object, file: pod.file, line: port.line },
  }))
  return declared.concat(probedSockets(pod, place))
}

export interface ProbePort {
  readonly container: string
  readonly kind: 'readiness' | 'liveness' | 'startup'
  readonly port: number
  /** In the pod's file. */
  readonly line: number
}

/** Where the kubelet connects to: probes that go over the network and to the pod itself, readiness first. */
export function probePorts({ containers }: Pick<ClusterPod, 'containers'>): ProbePort[] {
  return containers.flatMap(({ name, ports, probes }) =>
    probes.flatMap(({ kind, port, host, line }): ProbePort[] => {
      const number = typeof port === 'string' ? ports.find((one) => one.name === port)?.port : port
      return number === undefined || host !== undefined ? [] : [{ container: name, kind, port: number, line }]
    }),
  )
}

/** Of a pod that is not ready nobody knows which of its probes fails. */
function probedSockets(pod: ClusterPod, place: { readonly object: string; readonly file: string }): SocketSpec[] {
  if (!pod.ready) return []
  const probed = new Map(probePorts(pod).map(({ port, line }) => [port, line]))
  for (const { port, protocol } of pod.ports) if (protocol === 'TCP') probed.delete(port)
  return [...probed].map(([port, line]) => ({
    proto: 'tcp',
    address: 0,
    port,
    handler: 'open',
    provenance: { by: 'probe of a ready Pod: taken to listen', ...place, line },
  }))
}

/** Pods on the host's network listen on what they declare. */
export function hostSockets(cluster: Cluster, node: ClusterNode): SocketSpec[] {
  return placedOn(cluster, node.name)
    .filter((pod) => pod.hostNetwork && pod.ports.length > 0)
    .flatMap((pod) => podSockets(pod))
}
