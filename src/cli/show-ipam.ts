/**
 * What Calico's IPAM and CNI plugin keep: `ipam` as `calicoctl ipam show --show-blocks` prints it (commands/ipam/show.go), `blocks`, `ippools` and
 * `workloadendpoints` as tables in the manner of `calicoctl get`.
 */
import { contains, formatCidr, type Cidr } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import type { CalicoCluster } from '../calico/calico-cluster.js'
import type { WorkloadEndpoint } from '../cluster/calico/endpoint.js'
import type { IPAMBlock } from '../cluster/calico/ipam.js'
import { UsageError } from './exit.js'
import type { LoadedMoment } from './load-moment.js'
import type { Shown } from './show-command.js'
import { table } from './table.js'

/** @param place a node: what is its own @throws UsageError where Calico's IPAM has no part */
export function showIpam(
  kind: 'ipam' | 'blocks' | 'ippools' | 'workloadendpoints',
  place: string | undefined,
  { network, cluster, told }: LoadedMoment,
): Shown {
  const calico = told?.calico ?? network.calico?.cluster
  if (calico === undefined)
    throw new UsageError(`there is no Calico here: the pods' network is ${cluster.cni === 'none' ? 'plain docker' : `${cluster.cni}'s`}`)
  if (place !== undefined && !cluster.nodeByName.has(place)) throw new UsageError(`${kind} is of nodes: ${place} is none`)
  if (kind === 'ippools') return poolsShown(calico)
  if (kind === 'workloadendpoints') return endpointsShown(calico, place)
  if (calico.manifest.ipam !== 'calico-ipam') throw new UsageError(`addresses come from ${calico.manifest.ipam} here, not from Calico's IPAM`)
  return kind === 'ipam' ? usageShown(calico, place) : blocksShown(calico, place)
}

// ---- calicoctl ipam show --show-blocks

function usageShown({ addresses, resources }: CalicoCluster, node: string | undefined): Shown {
  const blocks = addresses.blocks.filter((block) => node === undefined || ownerOf(block) === node)
  const rows = resources.ipPools.flatMap(({ cidr }) => {
    const inside = blocks.filter((block) => contains(cidr, block.cidr.base))
    if (node !== undefined && inside.length === 0) return []
    const used = inside.reduce((sum, block) => sum + usedIn(block), 0)
    return [usageRow('IP Pool', cidr, used), ...inside.map((block) => usageRow('Block', block.cidr, usedIn(block)))]
  })
  return { items: blocks.map(blockItem), text: boxed(['GROUPING', 'CIDR', 'IPS TOTAL', 'IPS IN USE', 'IPS FREE'], rows) }
}

function usageRow(grouping: string, cidr: Cidr, used: number): string[] {
  const total = 2 ** (32 - cidr.length)
  const share = (count: number): string => `${fiveDigits(count)} (${((100 * count) / total).toFixed(0)}%)`
  return [grouping, formatCidr(cidr), fiveDigits(total), share(used), share(total - used)]
}

/** Go's %.5g. */
function fiveDigits(count: number): string {
  if (count < 100_000) return `${count}`
  const [mantissa, exponent] = count.toExponential(4).split('e+')
  return `${Number(mantissa)}e+${exponent.padStart(2, '0')}`
}

/** As tablewriter draws it: headings in the middle, numbers on the right. */
function boxed(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((word, i) => Math.max(word.length, ...rows.map((row) => row[i].length)))
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`
  const centred = (word: string, width: number): string => word.padStart(word.length + Math.floor((width - word.length) / 2)).padEnd(width)
  const cell = (text: string, width: number): string => (/^\d+(\.\d+)?$/.test(text) ? text.padStart(width) : text.padEnd(width))
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const lines = [
    rule,
    line(heading.map((word, i) => centred(word, widths[i]))),
    rule,
    ...rows.map((row) => line(row.map((text, i) => cell(text, widths[i])))),
    rule,
  ]
  return `${lines.join('\n')}\n`
}

// ---- blocks

function ownerOf({ affinity }: IPAMBlock): string | undefined {
  return affinity?.replace(/^[^:]*:/, '')
}

function usedIn({ allocations }: IPAMBlock): number {
  return allocations.filter((index) => index !== undefined).length
}

interface Allocation {
  readonly address: string
  readonly handle?: string
  readonly node?: string
  readonly for: string
}

function allocationsOf(block: IPAMBlock): Allocation[] {
  return block.allocations.flatMap((index, ordinal): Allocation[] => {
    if (index === undefined) return []
    const { handleId, secondary } = block.attributes[index] ?? { secondary: {} }
    const { pod, namespace, node, type } = secondary
    return [
      {
        address: formatIp((block.cidr.base + ordinal) | 0),
        ...(handleId === undefined ? {} : { handle: handleId }),
        ...(node === undefined ? {} : { node }),
        for: pod === undefined ? (type ?? '') : `${namespace ?? ''}/${pod}`,
      },
    ]
  })
}

function blockItem(block: IPAMBlock): object {
  const next = block.unallocated.at(0)
  return {
    cidr: formatCidr(block.cidr),
    ...(block.affinity === undefined ? {} : { affinity: block.affinity }),
    inUse: usedIn(block),
    total: block.allocations.length,
    ...(next === undefined ? {} : { next: formatIp((block.cidr.base + next) | 0) }),
    allocations: allocationsOf(block),
  }
}

function blocksShown({ addresses }: CalicoCluster, node: string | undefined): Shown {
  const { affinities } = addresses
  const stateOf = ({ cidr }: IPAMBlock): string | undefined => affinities.find((one) => formatCidr(one.cidr) === formatCidr(cidr))?.state
  // an affinity whose block is gone still makes a route
  const dangling = affinities.filter(({ cidr }) => !addresses.blocks.some((block) => formatCidr(block.cidr) === formatCidr(cidr)))
  const blocks = addresses.blocks.filter((block) => node === undefined || ownerOf(block) === node)
  const rows = [
    ...blocks.map((block) => {
      const next = block.unallocated.at(0)
      const borrowed = allocationsOf(block).filter((one) => one.node !== undefined && one.node !== ownerOf(block)).length
      const used = `${usedIn(block)}/${block.allocations.length}`
      return [
        formatCidr(block.cidr),
        ownerOf(block),
        stateOf(block),
        used,
        `${borrowed}`,
        next === undefined ? undefined : formatIp((block.cidr.base + next) | 0),
      ]
    }),
    ...dangling
      .filter((one) => node === undefined || one.node === node)
      .map(({ cidr, node: owner, state }) => [formatCidr(cidr), owner, state, 'no block', undefined, undefined]),
  ]
  const items = [...blocks.map((block) => ({ ...blockItem(block), state: stateOf(block) }))]
  return { items, text: table(['CIDR', 'NODE', 'AFFINITY', 'IN-USE', 'BORROWED', 'NEXT'], rows) }
}

// ---- calicoctl get ippool -o wide, get workloadendpoint -o wide

function poolsShown({ resources }: CalicoCluster): Shown {
  const heading = ['NAME', 'CIDR', 'NAT', 'IPIPMODE', 'VXLANMODE', 'DISABLED', 'DISABLEBGPEXPORT', 'BLOCKSIZE', 'SELECTOR']
  const items = resources.ipPools.map(({ name, cidr, natOutgoing, ipipMode, vxlanMode, disabled, disableBGPExport, blockSize, nodeSelector }) => ({
    name,
    cidr: formatCidr(cidr),
    natOutgoing,
    ipipMode,
    vxlanMode,
    disabled,
    disableBGPExport,
    blockSize,
    nodeSelector,
  }))
  return {
    items,
    text: table(
      heading,
      items.map((item) => Object.values(item).map(String)),
    ),
  }
}

function endpointsShown({ endpoints }: CalicoCluster, node: string | undefined): Shown {
  const shown = [...endpoints].filter(([name]) => node === undefined || name === node).flatMap(([, own]) => own)
  const rows = shown.map((endpoint) => [
    endpoint.namespace,
    endpoint.pod,
    endpoint.node,
    networksOf(endpoint).join(','),
    endpoint.interfaceName,
    endpoint.profiles.join(','),
  ])
  const items = shown.map((endpoint) => ({
    namespace: endpoint.namespace,
    workload: endpoint.pod,
    node: endpoint.node,
    networks: networksOf(endpoint),
    interface: endpoint.interfaceName,
    profiles: endpoint.profiles,
  }))
  return { items, text: table(['NAMESPACE', 'WORKLOAD', 'NODE', 'NETWORKS', 'INTERFACE', 'PROFILES'], rows) }
}

function networksOf({ ipNetworks }: WorkloadEndpoint): string[] {
  return ipNetworks.map(formatCidr)
}
