/** The file of a dump that holds a part of the node's kernel: where something is, or should be. */
import type { DriftView } from './difference.js'

export type DumpPart = 'addr' | 'route' | 'rule' | 'neigh' | 'fdb' | 'sysctl' | 'ipset'

/** undefined without a dump. */
export function dumpFile({ collected }: Pick<DriftView, 'collected'>, part: DumpPart): string | undefined {
  const known = collected?.dataplane.devices.find(({ provenance }) => provenance?.file?.endsWith('/addr') === true)?.provenance?.file
  return known?.replace(/addr$/, part)
}
