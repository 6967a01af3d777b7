/** Pods by address, so that those of a prefix are found without looking at all: a large cluster has many prefixes and many pods. */
import { broadcastOf, type Cidr } from '../../base/cidr.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { ClusterPod } from '../../cluster/pod.js'

export class PodIndex {
  /** By address as an unsigned number. */
  private readonly pods: readonly ClusterPod[]
  private readonly addresses: Uint32Array

  constructor({ pods }: Pick<Cluster, 'pods'>) {
    const own = pods.filter(({ address, hostNetwork, terminated }) => address !== undefined && !hostNetwork && !terminated)
    this.pods = own.sort((a, b) => ((a.address ?? 0) >>> 0) - ((b.address ?? 0) >>> 0))
    this.addresses = Uint32Array.from(this.pods, ({ address = 0 }) => address >>> 0)
  }

  /** In the order of their addresses. */
  in(prefix: Cidr): readonly ClusterPod[] {
    return this.pods.slice(this.firstFrom(prefix.base >>> 0), this.firstFrom((broadcastOf(prefix) >>> 0) + 1))
  }

  first(prefix: Cidr): ClusterPod | undefined {
    const at = this.firstFrom(prefix.base >>> 0)
    return at < this.pods.length && this.addresses[at] <= broadcastOf(prefix) >>> 0 ? this.pods[at] : undefined
  }

  private firstFrom(address: number): number {
    let [low, high] = [0, this.addresses.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.addresses[middle] < address) low = middle + 1
      else high = middle
    }
    return low
  }
}
