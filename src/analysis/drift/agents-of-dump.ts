/** Which agents run: by the objects of the cluster, and by what a dump shows of the CNI that plugs the node's pods in. */
import type { Cluster } from '../../cluster/cluster.js'
import { isObject } from '../../cluster/located.js'
import type { Cni } from '../../cluster/network-document.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { CollectedNode, DumpPlace } from '../../collected/collected-node.js'
import type { DeviceSpec } from '../../dataplane/dataplane.js'
import { flannelNetworkOf } from './settings-of-dump.js'

export interface Seen extends DumpPlace {
  readonly cni: Cni
}

export type Agent = 'flannel' | 'calico'

export interface AgentSeen {
  /** A DaemonSet is read where the cluster is; of a pod the version alone is taken. */
  readonly object: 'DaemonSet' | 'Pod'
  /** Of the image's tag. */
  readonly version?: string
}

const AGENTS: readonly (readonly [Agent, names: RegExp, image: RegExp])[] = [
  ['flannel', /^(kube-flannel(-ds.*)?|canal)$/, /flannel[^:/]*:v?([0-9]+(?:\.[0-9]+)+)/],
  ['calico', /^(calico-node|canal)$/, /node[^:/]*:v?([0-9]+(?:\.[0-9]+)+)/],
]

/** By their DaemonSets, else by the pods of these. */
export function agentsOf({ objects, pods }: Cluster): ReadonlyMap<Agent, AgentSeen> {
  const found = new Map<Agent, AgentSeen>()
  for (const [agent, names, image] of AGENTS) {
    if (objects.some(({ kind, name }) => kind === 'DaemonSet' && names.test(name))) {
      found.set(agent, { object: 'DaemonSet' })
      continue
    }
    const own = pods.find(({ owner }) => owner?.kind === 'DaemonSet' && names.test(owner.name))
    if (own === undefined) continue
    const [version] = imagesOf(own).flatMap((text) => image.exec(text)?.[1] ?? [])
    found.set(agent, { object: 'Pod', ...(version === undefined ? {} : { version }) })
  }
  return found
}

function imagesOf({ object }: ClusterPod): readonly string[] {
  const { spec } = object.value
  const containers = isObject(spec) && Array.isArray(spec.containers) ? spec.containers : []
  return containers.flatMap((container) => (isObject(container) && typeof container.image === 'string' ? [container.image] : []))
}

/** What a device of that name is made by. */
const TUNNEL = /^(flannel\.\d+|flannel0|flannel-wg|flannel\.ipip)$/

/** The first configuration in the order of file names is the one that the runtime takes; where none was gathered, the node's ends of its pods' veths tell. */
export function pluggedBy(node: CollectedNode): Seen | undefined {
  const [configuration] = [...node.cni].sort((a, b) => (a.file < b.file ? -1 : 1)).filter(({ plugins }) => plugins.length > 0)
  const { devices } = node.dataplane
  const tunnel = devices.find(({ name }) => TUNNEL.test(name))
  const calicos = devices.find(({ name }) => /^cali[0-9a-f]{11}$/.test(name))
  const isCalico = configuration === undefined ? calicos !== undefined : configuration.plugins.includes('calico')
  const place = configuration === undefined ? placeOf(node, isCalico ? calicos : tunnel) : { file: configuration.file, line: 0 }
  if (isCalico) return { cni: tunnel !== undefined && !hasCalicoRoutes(node) ? 'canal' : 'calico', ...place }
  if (configuration?.plugins.includes('flannel') === true) return { cni: 'flannel', ...place }
  if (configuration?.plugins.includes('bridge') === true)
    return { cni: tunnel === undefined && flannelNetworkOf(node) === undefined ? 'none' : 'flannel', ...place }
  if (tunnel !== undefined) return { cni: 'flannel', ...place }
  const network = flannelNetworkOf(node)
  return network === undefined ? undefined : { cni: 'flannel', file: network.file, line: network.line }
}

/** Ways to other nodes that Calico makes: Canal has none. */
function hasCalicoRoutes({ dataplane }: CollectedNode): boolean {
  return dataplane.routes.some(({ protocol, device }) => protocol === 'bird' || device === 'vxlan.calico' || device === 'tunl0' || device === 'wireguard.cali')
}

function placeOf({ source }: CollectedNode, device: DeviceSpec | undefined): DumpPlace {
  return { file: device?.provenance?.file ?? source, line: device?.provenance?.line ?? 0 }
}
