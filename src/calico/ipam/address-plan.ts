/**
 * Addresses of a whole cluster, as they stand when it has come up: what the input says first, then tunnel addresses node by node
 * (calico-node, before it is ready), then pods in the order of their creation (the CNI plugin). From resources to addresses, blocks, affinities
 * and Problems. Source: node/pkg/allocateip/allocateip.go, cni-plugin/pkg/ipamplugin/ipam_plugin.go.
 */
import { formatCidr, type Cidr } from '../../base/cidr.js'
import { formatIp, type Ip } from '../../base/ip.js'
import type { Problem } from '../../base/problem.js'
import { hexOf, sha256 } from '../../base/sha.js'
import type { CalicoNode } from '../../cluster/calico/calico-node.js'
import type { CalicoResources } from '../../cluster/calico/calico-resources.js'
import type { IPPool } from '../../cluster/calico/ip-pool.js'
import type { AllocationAttribute, BlockAffinity, IPAMBlock } from '../../cluster/calico/ipam.js'
import type { ClusterNamespace } from '../../cluster/cluster.js'
import type { ClusterPod } from '../../cluster/pod.js'
import { formatPlace, type Place } from '../../cluster/problem-list.js'
import { blockOfAddress } from './block.js'
import { Ipam, type Assignment, type AssignmentFailure } from './ipam.js'
import { poolOfAddress, requestOf, selects } from './pool-selection.js'

type TunnelKind = 'ipip' | 'vxlan' | 'wireguard'

/** Absent: the node has no such tunnel. */
type TunnelAddresses = { readonly [Kind in TunnelKind]?: Ip }

export interface AddressPlan {
  /** By name of the node. */
  readonly tunnels: ReadonlyMap<string, TunnelAddresses>
  /** By `namespace/name`; those that got none have an error among the Problems. */
  readonly pods: ReadonlyMap<string, Ip>
  readonly blocks: readonly IPAMBlock[]
  readonly affinities: readonly BlockAffinity[]
  readonly problems: readonly Problem[]
  /** To go on from here in virtual time. */
  readonly ipam: Ipam
}

interface AddressPlanInput {
  readonly resources: Pick<CalicoResources, 'ipPools' | 'ipReservations' | 'ipamBlocks' | 'blockAffinities' | 'ipamConfig' | 'nodes'>
  /** Running pods on a node and on the pod network, in the order of their creation. */
  readonly pods: readonly ClusterPod[]
  readonly namespaces: readonly ClusterNamespace[]
  /** Nodes whose Felix runs WireGuard without encrypting the hosts' own traffic. */
  readonly wireguardNodes: ReadonlySet<string>
  readonly reclaimsEmptyBlocks: boolean
  readonly seed: number
  /** Of the cluster as it was before, in virtual time: its blocks and tunnels stay, what pods had that are gone is given back. */
  readonly before?: AddressPlan
}

const ATTRIBUTE_TYPES: Readonly<Record<TunnelKind, string>> = {
  ipip: 'ipipTunnelAddress',
  vxlan: 'vxlanTunnelAddress',
  wireguard: 'wireguardTunnelAddress',
}

/** A WireGuard address waits for the key, which Felix makes once it runs: after the others. */
const TUNNEL_KINDS: readonly TunnelKind[] = ['ipip', 'vxlan', 'wireguard']

export function planAddresses(input: AddressPlanInput): AddressPlan {
  const planner = new AddressPlanner(input)
  planner.releaseGone()
  planner.claimBlocksInUse()
  planner.keepTunnels()
  planner.keepPods()
  planner.addTunnels()
  planner.addPods()
  return planner.result()
}

/** What the CNI plugin calls an allocation; the container's ID is chance, here a hash of the pod's name. */
export function podHandle(namespace: string, pod: string): string {
  return `k8s-pod-network.${hexOf(sha256(`${namespace}/${pod}`))}`
}

/** An address that stands in the input. */
interface Standing {
  readonly address: Ip
  readonly node: string
}

class AddressPlanner {
  private readonly input: AddressPlanInput
  private readonly pools: readonly IPPool[]
  private readonly ipam: Ipam
  private readonly tunnels = new Map<string, TunnelAddresses>()
  private readonly pods = new Map<string, Ip>()
  private readonly problems: Problem[] = []
  /** By `namespace/name`: of pods that are still where they were. */
  private readonly kept = new Map<string, Ip>()

  constructor(input: AddressPlanInput) {
    this.input = input
    const { ipPools, ipReservations, ipamConfig } = input.resources
    const { ipamBlocks, blockAffinities } = input.before === undefined ? input.resources : ownedBlocks(input.before, input.resources.nodes)
    this.pools = ipPools
    this.ipam = new Ipam({
      pools: ipPools,
      reservations: ipReservations,
      config: ipamConfig,
      blocks: ipamBlocks,
      affinities: blockAffinities,
      reclaimsEmptyBlocks: input.reclaimsEmptyBlocks,
      seed: input.seed,
    })
  }

  result(): AddressPlan {
    const { tunnels, pods, problems, ipam } = this
    return { tunnels, pods, problems, ipam, blocks: ipam.dumpBlocks(), affinities: ipam.dumpAffinities() }
  }

  /** Of a pod that is gone, or is on another node by now (the CNI plugin's DEL). */
  releaseGone(): void {
    const now = new Map(this.input.pods.map((pod) => [keyOf(pod), pod]))
    for (const [key, address] of this.input.before?.pods ?? []) {
      const pod = now.get(key)
      const [namespace, name] = key.split('/')
      const isSame = pod !== undefined && pod.node === this.ipam.blockOf(address)?.attributeOf(address)?.secondary.node
      if (isSame && (pod.address ?? address) === address) this.kept.set(key, address)
      else this.ipam.releaseByHandle(podHandle(namespace, name))
    }
  }

  /** What it has, written or from before. */
  private addressOf(pod: ClusterPod): Ip | undefined {
    return pod.address ?? this.kept.get(keyOf(pod))
  }

  /** Addresses are in use whose blocks no dump shows: each such block is taken to be of the node that has most of them, the first where several do. */
  claimBlocksInUse(): void {
    const users = new Map<string, { readonly block: Cidr; readonly counts: Map<string, number> }>()
    for (const { address, node } of this.standing()) {
      const pool = poolOfAddress(this.pools, address)
      if (pool === undefined || this.ipam.blockOf(address) !== undefined) continue
      const block = blockOfAddress(address, pool.blockSize)
      const entry = users.get(formatCidr(block)) ?? { block, counts: new Map<string, number>() }
      entry.counts.set(node, (entry.counts.get(node) ?? 0) + 1)
      users.set(formatCidr(block), entry)
    }
    for (const { block, counts } of users.values()) {
      const [owner] = [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))
      this.ipam.claimBlock(owner, block)
    }
  }

  private standing(): Standing[] {
    const tunnels = this.input.resources.nodes.flatMap((node) =>
      TUNNEL_KINDS.flatMap((kind) => ({ address: this.standingTunnel(node, kind), node: node.name })),
    )
    const pods = this.input.pods.map((pod) => ({ address: this.addressOf(pod), node: pod.node ?? '' }))
    return [...tunnels, ...pods].filter((one): one is Standing => one.address !== undefined)
  }

  private standingTunnel(node: CalicoNode, kind: TunnelKind): Ip | undefined {
    return writtenTunnel(node, kind) ?? this.input.before?.tunnels.get(node.name)?.[kind]
  }

  keepTunnels(): void {
    for (const node of this.input.resources.nodes) {
      for (const kind of TUNNEL_KINDS) {
        const address = this.standingTunnel(node, kind)
        const pools = this.tunnelPools(node, kind)
        // an address outside of the pools that want it is released and replaced
        if (address === undefined || poolOfAddress(pools, address) === undefined) continue
        const attribute = tunnelAttribute(node.name, kind)
        const held = this.ipam.blockOf(address)?.attributeOf(address)
        if (held !== undefined && !(held.secondary.type === ATTRIBUTE_TYPES[kind] && held.secondary.node === node.name)) continue
        if (held === undefined && 'failure' in this.ipam.assign(address, { node: node.name, attribute, now: 0 })) continue
        this.setTunnel(node.name, kind, address)
      }
    }
  }

  keepPods(): void {
    const owners = new Map<Ip, ClusterPod>()
    for (const pod of this.input.pods) {
      const address = this.addressOf(pod)
      if (address === undefined) continue
      const other = owners.get(address)
      if (other !== undefined) {
        this.report(
          pod,
          'error',
          `its address ${formatIp(address)} is that of Pod/${other.namespace}/${other.name} too (${formatPlace(other)})`,
          'Give one of them another.',
        )
        continue
      }
      owners.set(address, pod)
      this.pods.set(keyOf(pod), address)
      if (poolOfAddress(this.pools, address) === undefined) {
        this.report(pod, 'warning', `its address ${formatIp(address)} is in no IPPool`, 'Calico has no block for it: other nodes have no route to it by BGP.')
        continue
      }
      // in a dump it is assigned already
      this.ipam.assign(address, { node: pod.node ?? '', attribute: podAttribute(pod), now: 0 })
    }
  }

  addTunnels(): void {
    for (const node of this.input.resources.nodes) {
      for (const kind of TUNNEL_KINDS) {
        const pools = this.tunnelPools(node, kind)
        if (pools.length === 0 || this.tunnels.get(node.name)?.[kind] !== undefined) continue
        const attribute = tunnelAttribute(node.name, kind)
        this.ipam.releaseByHandle(attribute.handleId ?? '')
        const result = this.ipam.autoAssign({
          node: node.name,
          nodeLabels: node.labels,
          requestedPools: pools.map(({ cidr }) => cidr),
          use: 'Tunnel',
          attribute,
          now: 0,
        })
        if ('failure' in result)
          this.add(node, {
            severity: 'error',
            object: `Node/${node.name}`,
            what: `no address for its ${kind} tunnel: ${result.failure}`,
            fix: 'calico-node does not become ready: give the pool more blocks.',
          })
        else this.setTunnel(node.name, kind, result.address)
      }
    }
  }

  addPods(): void {
    const labels = new Map(this.input.resources.nodes.map((node) => [node.name, node.labels]))
    const namespaces = new Map(this.input.namespaces.map((namespace) => [namespace.name, namespace]))
    for (const pod of this.input.pods) {
      if (this.addressOf(pod) !== undefined) continue
      const namespace = namespaces.get(pod.namespace)
      const request = requestOf(pod.annotations, annotationsOf(namespace), this.pools)
      for (const { annotation, what } of request.faults) this.report(pod, 'error', `annotation ${annotation}: ${what}`, 'Write it like \'["192.168.0.0/16"]\'.')
      if (request.faults.length > 0) continue
      const who = { node: pod.node ?? '', attribute: podAttribute(pod), now: 0 }
      const result: Assignment | AssignmentFailure =
        request.address !== undefined
          ? this.ipam.assign(request.address, who)
          : this.ipam.autoAssign({
              ...who,
              nodeLabels: labels.get(who.node) ?? {},
              namespaceLabels: namespace?.labels ?? {},
              requestedPools: request.pools,
              use: 'Workload',
            })
      if ('failure' in result)
        this.report(pod, 'error', `no address for it: ${result.failure}`, 'It stays in ContainerCreating: mend the pools, or place it on another node.')
      else this.pods.set(keyOf(pod), result.address)
    }
  }

  /** Pools that want a tunnel of the kind on the node (determineEnabledPoolCIDRs). */
  private tunnelPools(node: CalicoNode, kind: TunnelKind): IPPool[] {
    if (kind === 'wireguard' && !this.input.wireguardNodes.has(node.name)) return []
    return this.pools.filter(
      (pool) =>
        !pool.disabled &&
        pool.allowedUses.includes('Tunnel') &&
        selects(pool.nodeSelector, node.labels) &&
        (kind === 'wireguard' || (kind === 'ipip' ? pool.ipipMode : pool.vxlanMode) !== 'Never'),
    )
  }

  private setTunnel(node: string, kind: TunnelKind, address: Ip): void {
    this.tunnels.set(node, { ...this.tunnels.get(node), [kind]: address })
  }

  private report(pod: ClusterPod, severity: Problem['severity'], what: string, fix: string): void {
    this.add(pod, { severity, object: `Pod/${pod.namespace}/${pod.name}`, what, fix })
  }

  private add({ file, line }: Place, problem: Omit<Problem, 'file' | 'line'>): void {
    this.problems.push({ ...problem, file, line })
  }
}

/** kube-controllers gives back what nodes had that are gone (node controller, IPAM garbage collection). */
function ownedBlocks(
  before: AddressPlan,
  nodes: readonly CalicoNode[],
): { readonly ipamBlocks: readonly IPAMBlock[]; readonly blockAffinities: readonly BlockAffinity[] } {
  const names = new Set(nodes.map(({ name }) => name))
  const blockAffinities = before.affinities.filter(({ node }) => names.has(node))
  const gone = new Set(before.affinities.filter(({ node }) => !names.has(node)).map(({ cidr }) => formatCidr(cidr)))
  return { ipamBlocks: before.blocks.filter(({ cidr }) => !gone.has(formatCidr(cidr))), blockAffinities }
}

function keyOf(pod: ClusterPod): string {
  return `${pod.namespace}/${pod.name}`
}

function writtenTunnel(node: CalicoNode, kind: TunnelKind): Ip | undefined {
  return kind === 'ipip' ? node.ipipTunnelAddress : kind === 'vxlan' ? node.vxlanTunnelAddress : node.wireguardAddress
}

function tunnelAttribute(node: string, kind: TunnelKind): AllocationAttribute {
  return { handleId: `${kind}-tunnel-addr-${node}`, secondary: { node, type: ATTRIBUTE_TYPES[kind] } }
}

function podAttribute({ namespace, name, node }: ClusterPod): AllocationAttribute {
  return { handleId: podHandle(namespace, name), secondary: { namespace, node: node ?? '', pod: name } }
}

function annotationsOf(namespace: ClusterNamespace | undefined): Readonly<Record<string, string>> {
  const metadata = namespace?.object?.value.metadata as { readonly annotations?: Readonly<Record<string, string>> | null } | undefined
  return metadata?.annotations ?? {}
}
