/**
 * IPPool, IPReservation, IPAMBlock, BlockAffinity, IPAMHandle, IPAMConfig: objects → types. Defaults as libcalico-go/lib/clientv3/ippool.go
 * (convertIpPoolFromStorage) fills them in.
 */
import * as v from 'valibot'
import { contains, formatCidr, overlaps, parseCidr, type Cidr } from '../../base/cidr.js'
import { formatIp, isIpv6Text } from '../../base/ip.js'
import { cidrFault } from '../fields.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ClusterNode } from '../node.js'
import type { ProblemList } from '../problem-list.js'
import { IP_POOL_DEFAULTS, type IPPool, type IPReservation, type PoolUse } from './ip-pool.js'
import type { AffinityState, AllocationAttribute, BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle } from './ipam.js'
import { flag, list, resourceSchema, ResourceReader, text, textMap, texts } from './resource-reader.js'
import { lazily, optional } from '../schema.js'

const MODES = ['Never', 'Always', 'CrossSubnet', ''] as const

const poolSchema = lazily(() =>
  resourceSchema({
    cidr: v.string(),
    ipipMode: optional(v.picklist(MODES)),
    vxlanMode: optional(v.picklist(MODES)),
    natOutgoing: flag(),
    disabled: flag(),
    disableBGPExport: flag(),
    blockSize: optional(v.number()),
    nodeSelector: text(),
    namespaceSelector: text(),
    allowedUses: list(v.picklist(['Workload', 'Tunnel', 'LoadBalancer'])),
    assignmentMode: optional(v.picklist(['Automatic', 'Manual'])),
  }),
)

export function readIpPool(object: KubernetesObject, problems: ProblemList): IPPool | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(poolSchema())
  if (value === undefined) return undefined
  const spec = value.spec
  const cidr = readCidr(spec?.cidr, ['spec', 'cidr'], reader)
  if (cidr === undefined) return undefined
  const ipipMode = spec?.ipipMode || IP_POOL_DEFAULTS.ipipMode
  const vxlanMode = spec?.vxlanMode || IP_POOL_DEFAULTS.vxlanMode
  if (ipipMode !== 'Never' && vxlanMode !== 'Never') reader.error(['spec', 'vxlanMode'], 'ipipMode and vxlanMode are both on', 'Leave one of them at Never.')
  const uses = (spec?.allowedUses ?? []) as readonly PoolUse[]
  return {
    ...reader.head(value.metadata),
    cidr,
    ipipMode,
    vxlanMode,
    natOutgoing: spec?.natOutgoing === true,
    disabled: spec?.disabled === true,
    disableBGPExport: spec?.disableBGPExport === true,
    blockSize: blockSizeOf({ cidr, blockSize: spec?.blockSize, path: ['spec'] }, reader),
    nodeSelector: reader.selector(spec?.nodeSelector, ['spec', 'nodeSelector']) || IP_POOL_DEFAULTS.nodeSelector,
    namespaceSelector: reader.selector(spec?.namespaceSelector, ['spec', 'namespaceSelector']),
    allowedUses: uses.length > 0 ? uses : IP_POOL_DEFAULTS.allowedUses,
    assignmentMode: spec?.assignmentMode ?? IP_POOL_DEFAULTS.assignmentMode,
  }
}

interface BlockSizeWords {
  readonly cidr: Cidr
  readonly blockSize: number | null | undefined
  /** Of the pool. */
  readonly path: Path
}

export function blockSizeOf({ cidr, blockSize: written, path }: BlockSizeWords, reader: ResourceReader): number {
  const blockSize = written || IP_POOL_DEFAULTS.blockSize
  if (!Number.isInteger(blockSize) || blockSize < 20 || blockSize > 32)
    reader.error([...path, 'blockSize'], `blockSize ${blockSize} is not from 20 to 32`, 'The default is 26: 64 addresses.')
  if (blockSize < cidr.length)
    reader.error([...path, 'cidr'], `the pool ${formatCidr(cidr)} is smaller than one of its blocks (/${blockSize})`, 'Give it a longer blockSize.')
  return Math.min(32, Math.max(20, Math.trunc(blockSize)))
}

/** Calico refuses pools that overlap. */
export function checkPoolOverlap(pools: readonly IPPool[], problems: ProblemList): void {
  for (const [index, pool] of pools.entries()) {
    const other = pools.slice(0, index).find((earlier) => overlaps(earlier.cidr, pool.cidr))
    if (other !== undefined)
      problems.error(
        pool,
        `IPPool/${pool.name}`,
        `${formatCidr(pool.cidr)} overlaps ${formatCidr(other.cidr)} of IPPool ${other.name}`,
        'Make the pools disjoint.',
      )
  }
}

/** Calico refuses it nowhere: calico-node keeps its own default pool off its cards, and takes every other as it stands. */
export function checkPoolsAgainstNodes(pools: readonly IPPool[], nodes: readonly ClusterNode[], problems: ProblemList): void {
  for (const pool of pools) {
    const [first, ...others] = nodes.filter(({ address }) => contains(pool.cidr, address))
    if (first === undefined) continue
    const more = others.length === 0 ? '' : ` (and of ${others.length} more)`
    problems.warning(
      pool,
      `IPPool/${pool.name}`,
      `${formatCidr(pool.cidr)} contains ${formatIp(first.address)} of node ${first.name}${more}`,
      "A pod may get a host's address, and what pods send to those nodes is not masqueraded: give the pool a prefix of its own.",
    )
  }
}

/** undefined for an IPv6 one (a warning) and for one that is wrong (an error). */
export function readCidr(value: string | undefined, path: Path, reader: ResourceReader): Cidr | undefined {
  const written = value ?? ''
  const prefix = parseCidr(written)
  if (typeof prefix !== 'string') return prefix
  if (isIpv6Text(written.split('/')[0])) {
    reader.warning(path, `${written} is IPv6: left out`, 'netsim models IPv4 only.')
    return undefined
  }
  const fault = cidrFault(written)
  reader.error(path, fault?.what ?? '', fault?.fix ?? '')
  return undefined
}

const reservationSchema = lazily(() => resourceSchema({ reservedCIDRs: texts() }))

export function readIpReservation(object: KubernetesObject, problems: ProblemList): IPReservation | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(reservationSchema())
  if (value === undefined) return undefined
  return { ...reader.head(value.metadata), reservedCIDRs: reader.nets(value.spec?.reservedCIDRs, ['spec', 'reservedCIDRs']) }
}

const attribute = () => v.looseObject({ handle_id: text(), secondary: textMap() })

const blockSchema = lazily(() =>
  resourceSchema({
    cidr: v.string(),
    affinity: text(),
    allocations: v.array(v.nullable(v.number())),
    unallocated: v.array(v.number()),
    attributes: list(attribute()),
    strictAffinity: flag(),
    deleted: flag(),
  }),
)

/** undefined also for a block that is being deleted. */
export function readIpamBlock(object: KubernetesObject, problems: ProblemList): IPAMBlock | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(blockSchema())
  const spec = value?.spec
  if (value === undefined || spec === undefined || spec === null || spec.deleted === true) return undefined
  const cidr = readCidr(spec.cidr, ['spec', 'cidr'], reader)
  if (cidr === undefined) return undefined
  const size = 2 ** (32 - cidr.length)
  const attributes = (spec.attributes ?? []).map(readAttribute)
  if (spec.allocations.length !== size) {
    reader.error(['spec', 'allocations'], `${spec.allocations.length} allocations in a block of ${size} addresses`, 'Dump the block again, whole.')
    return undefined
  }
  const allocations = spec.allocations.map((index) => index ?? undefined)
  const astray = allocations.findIndex((index) => index !== undefined && attributes[index] === undefined)
  if (astray >= 0) {
    reader.error(['spec', 'allocations', astray], `names attribute ${allocations[astray]}, which is not there`, 'Dump the block again, whole.')
    return undefined
  }
  const unallocated = spec.unallocated
  const wrong = unallocated.findIndex((ordinal, at) => !(ordinal in allocations) || allocations[ordinal] !== undefined || unallocated.indexOf(ordinal) !== at)
  if (wrong >= 0) {
    reader.error(['spec', 'unallocated', wrong], `${unallocated[wrong]} is no free ordinal of the block, or stands twice`, 'Dump the block again, whole.')
    return undefined
  }
  return {
    ...reader.head(value.metadata),
    cidr,
    ...(spec.affinity ? { affinity: spec.affinity } : {}),
    allocations,
    unallocated,
    attributes,
    strictAffinity: spec.strictAffinity === true,
  }
}

function readAttribute(value: {
  readonly handle_id?: string | null | undefined
  readonly secondary?: Readonly<Record<string, string>> | null | undefined
}): AllocationAttribute {
  return { ...(value.handle_id ? { handleId: value.handle_id } : {}), secondary: value.secondary ?? {} }
}

const affinitySchema = lazily(() =>
  resourceSchema({ cidr: v.string(), node: v.string(), state: text(), type: text(), deleted: optional(v.union([v.boolean(), v.string()])) }),
)

const STATES: readonly string[] = ['confirmed', 'pending', 'pendingDeletion']

/** undefined also for one that is being deleted. */
export function readBlockAffinity(object: KubernetesObject, problems: ProblemList): BlockAffinity | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(affinitySchema())
  const spec = value?.spec
  if (value === undefined || spec === undefined || spec === null || String(spec.deleted ?? false) === 'true') return undefined
  const cidr = readCidr(spec.cidr, ['spec', 'cidr'], reader)
  if (cidr === undefined) return undefined
  // an empty state is that of releases before there were states
  const state = spec.state || 'confirmed'
  if (!STATES.includes(state)) {
    reader.error(['spec', 'state'], `unknown state ${JSON.stringify(state)}`, `The states are ${STATES.join(', ')}.`)
    return undefined
  }
  return { ...reader.head(value.metadata), node: spec.node, type: spec.type === 'virtual' ? 'virtual' : 'host', cidr, state: state as AffinityState }
}

const handleSchema = lazily(() => resourceSchema({ handleID: v.string(), block: optional(v.record(v.string(), v.number())), deleted: flag() }))

export function readIpamHandle(object: KubernetesObject, problems: ProblemList): IPAMHandle | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(handleSchema())
  const spec = value?.spec
  if (value === undefined || spec === undefined || spec === null || spec.deleted === true) return undefined
  return { ...reader.head(value.metadata), handleId: spec.handleID, blocks: spec.block ?? {} }
}

const configSchema = lazily(() => resourceSchema({ strictAffinity: flag(), autoAllocateBlocks: flag(), maxBlocksPerHost: optional(v.number()) }))

/** Calico refuses a limit without strict affinity, and neither strict affinity nor allocation of blocks (SetIPAMConfig). */
export function readIpamConfig(object: KubernetesObject, problems: ProblemList): IPAMConfig | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(configSchema())
  if (value === undefined) return undefined
  const strictAffinity = value.spec?.strictAffinity === true
  const autoAllocateBlocks = value.spec?.autoAllocateBlocks !== false
  const maxBlocksPerHost = value.spec?.maxBlocksPerHost ?? 0
  if (!strictAffinity && !autoAllocateBlocks)
    reader.error(['spec', 'autoAllocateBlocks'], 'neither strictAffinity nor autoAllocateBlocks: Calico refuses that', 'Set one of them to true.')
  if (maxBlocksPerHost > 0 && !strictAffinity)
    reader.error(['spec', 'maxBlocksPerHost'], 'maxBlocksPerHost without strictAffinity: Calico refuses that', 'Set strictAffinity to true, or leave it out.')
  return { strictAffinity, autoAllocateBlocks, maxBlocksPerHost }
}
