/** Does the input say which node has which block of addresses? Without it blocks are as netsim draws them, and no dump is held against them. */
import type { Cluster } from '../../cluster/cluster.js'

export const IPAM_KINDS: ReadonlySet<string> = new Set(['IPAMBlock', 'BlockAffinity'])

export function isIpamKnown({ cni, objects }: Cluster): boolean {
  return cni !== 'calico' || objects.some(({ kind }) => IPAM_KINDS.has(kind))
}
