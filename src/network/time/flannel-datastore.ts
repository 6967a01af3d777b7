/**
 * What the flannelds of a run ask: etcd with the input's keys, or the API server's Nodes, on the run's clock, and who wrote each change that they hear of.
 * From the input to a subnet manager for every node. Source: etcd server/lease/lessor.go; flannel pkg/subnet/{etcd,kube}.
 */
import { formatCidr, type Cidr } from '../../base/cidr.js'
import { hashText, Prng } from '../../base/prng.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { ClusterNode } from '../../cluster/node.js'
import { EtcdV2 } from '../../etcd/etcd-v2.js'
import { EtcdV3 } from '../../etcd/etcd-v3.js'
import { EtcdStore, type StoreEvent } from '../../etcd/store.js'
import { EtcdLeases } from '../../flannel/etcd-leases.js'
import type { LeaseFeed } from '../../flannel/lease-feed.js'
import type { Lease } from '../../flannel/lease.js'
import { EtcdSubnetManager } from '../../flannel/subnet-manager-etcd.js'
import { KubernetesSubnetManager, NodeRegistry } from '../../flannel/subnet-manager-kubernetes.js'
import type { SubnetManager } from '../../flannel/subnet-manager.js'
import { flannelNodeOf } from '../flannel-plan.js'
import type { RunContext } from './agents.js'

const SECOND = 1e9
const MINUTE = 60 * SECOND
/** etcd --election-timeout: what a new leader gives every lease beyond its time to live. */
const ELECTION_TIMEOUT_NS = SECOND

export interface FlannelDatastore {
  readonly kind: 'etcd' | 'kubernetes'
  readonly feed: LeaseFeed
  /** false: its server is away. */
  readonly answers: boolean
  managerOf(node: string): SubnetManager
  /** All of now, in the order of a listing. */
  leases(): readonly Lease[]
  keys(): readonly { readonly key: string; readonly value: string }[]
  halt(): void
  resume(): void
  /** Times to live count from now. */
  startHere(): void
  /** false: there is no such lease, or it is none to be deleted. */
  deleteLease(subnet: Cidr): boolean
  nodesChanged(before: Cluster, after: Cluster): void
}

/** @param onEnd a key of a lease is gone, by request or because its time was over; its change is the feed's last */
export function flannelDatastore(context: RunContext, cluster: Cluster, onEnd: (event: StoreEvent) => void): FlannelDatastore {
  return cluster.datastore === 'etcd' ? new EtcdDatastore(context, cluster, onEnd) : new KubernetesDatastore(context, cluster)
}

class EtcdDatastore implements FlannelDatastore {
  readonly kind = 'etcd'
  private readonly context: RunContext
  private readonly cluster: Cluster
  private readonly store: EtcdStore
  private readonly shared: EtcdLeases
  private readonly prng: Prng

  constructor(context: RunContext, cluster: Cluster, onEnd: (event: StoreEvent) => void) {
    const { simulation, timers, delays, seed } = context
    this.context = context
    this.cluster = cluster
    this.store = new EtcdStore(simulation)
    this.prng = new Prng(seed ^ hashText('flannel leases'))
    const { version } = cluster.flannel
    this.shared = new EtcdLeases(this.store, version, cluster.etcdPrefix, (deliver) => void timers.after(delays['etcd.watch'], deliver))
    for (const { key, value, ttl } of cluster.etcd) this.put(key, value, ttl)
    this.store.watch({
      prefix: `${cluster.etcdPrefix}/subnets`,
      onEvent: (event) => {
        if (event.type === 'delete' && !event.current.directory) onEnd(event)
      },
    })
  }

  get feed(): LeaseFeed {
    return this.shared.feed
  }

  get answers(): boolean {
    return !this.store.halted
  }

  managerOf(): SubnetManager {
    const { delays } = this.context
    const ttlSeconds = Math.max(2, Math.round(delays['flannel.leaseTTL'] / SECOND))
    return new EtcdSubnetManager({
      store: this.store,
      leases: this.shared,
      version: this.cluster.flannel.version,
      prefix: this.cluster.etcdPrefix,
      prng: this.prng,
      ttlSeconds,
      // Real flanneld takes 1 to 1439 minutes for 24 hours: a margin as long as the lease would have it renew without end.
      renewMarginMinutes: Math.min(delays['flannel.renewMargin'], (ttlSeconds - 1) * SECOND) / MINUTE,
    })
  }

  leases(): readonly Lease[] {
    return this.shared.list().leases
  }

  keys(): readonly { readonly key: string; readonly value: string }[] {
    const found = this.store.range('/').filter(({ directory }) => !directory)
    return found.map(({ key, value }) => ({ key, value }))
  }

  halt(): void {
    this.store.halt()
  }

  resume(): void {
    this.store.resume(this.shared.api, ELECTION_TIMEOUT_NS)
  }

  startHere(): void {
    this.store.prolongAll()
  }

  deleteLease(subnet: Cidr): boolean {
    const known = this.leases().some((lease) => formatCidr(lease.subnet) === formatCidr(subnet))
    if (known) this.shared.delete(subnet)
    return known
  }

  nodesChanged(): void {
    // Leases in etcd know nothing of Node objects.
  }

  /** @param ttl seconds */
  private put(key: string, value: string, ttl: number | undefined): void {
    if (ttl !== undefined && ttl <= 0) return
    if (this.shared.api === 'v2') {
      new EtcdV2(this.store).set(key, value, ttl === undefined ? {} : { ttl })
      return
    }
    const v3 = new EtcdV3(this.store)
    v3.put(key, value, ttl === undefined ? 0 : v3.grant(ttl))
  }
}

class KubernetesDatastore implements FlannelDatastore {
  readonly kind = 'kubernetes'
  readonly answers = true
  private readonly cluster: Cluster
  private readonly registry: NodeRegistry

  constructor({ timers, delays }: RunContext, cluster: Cluster) {
    this.cluster = cluster
    this.registry = new NodeRegistry((deliver) => void timers.after(delays['apiserver.watch'], deliver))
    for (const node of cluster.nodes) this.registry.put(flannelNodeOf(node))
  }

  get feed(): LeaseFeed {
    return this.registry.feed
  }

  managerOf(nodeName: string): SubnetManager {
    const { version, config } = this.cluster.flannel
    const { text, file, line } = config ?? { text: '', file: 'net-conf.json', line: 0 }
    return new KubernetesSubnetManager({ registry: this.registry, nodeName, version, config: { text, source: { file, line, object: 'net-conf.json' } } })
  }

  leases(): readonly Lease[] {
    return this.registry.leases().flatMap(({ lease }) => lease ?? [])
  }

  keys(): readonly { readonly key: string; readonly value: string }[] {
    return []
  }

  halt(): void {
    // etcd behind the API server is no part of flannel.
  }

  resume(): void {
    // As halt.
  }

  startHere(): void {
    // A lease in a Node has no time to live.
  }

  deleteLease(): boolean {
    return false
  }

  /** What flanneld annotated stays, unless the object says otherwise anew. */
  nodesChanged(before: Cluster, after: Cluster): void {
    for (const node of after.nodes) {
      const old = before.nodeByName.get(node.name)
      const known = this.registry.get(node.name)
      if (old !== undefined && known !== undefined && sameForFlannel(old, node)) continue
      const now = flannelNodeOf(node)
      this.registry.put({ ...now, annotations: { ...known?.annotations, ...now.annotations } })
    }
    for (const { name } of before.nodes) if (!after.nodeByName.has(name)) this.registry.delete(name)
  }
}

function sameForFlannel(a: ClusterNode, b: ClusterNode): boolean {
  const of = (node: ClusterNode): string => JSON.stringify([flannelNodeOf(node).podCidrs, node.annotations])
  return of(a) === of(b)
}
