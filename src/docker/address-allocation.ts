/**
 * Which address each pod of a node gets. From pods in the order of their creation to addresses and Problems. Both allocators leave out the network
 * address, the broadcast address and the gateway, and keep addresses that are fixed already for those who have them.
 *
 *   docker       the lowest free address: one that was given back is given again at once     Source: moby libnetwork/bitmap, ipams/defaultipam
 *   host-local   the next free one after the last that was given, round the end              Source: containernetworking plugins/ipam/host-local
 *
 * Pods never go away within one render, so that the two differ only where fixed addresses lie: docker fills the gaps below them, host-local
 * has moved on, since a pod with a fixed address was given it in its turn. Between the moments of a run pods do go, and host-local goes on from the
 * address that it gave last (last_reserved_ip.0), so that one that was given back is the last to be given again.
 */
import { broadcastOf, contains } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import { objectOf, subnetOf, type BridgeView, type PodAttachment } from './attachment.js'
import type { GivenAddress } from './veth.js'

export interface Allocation {
  /** In the order of the pods; those without an address are left out. */
  readonly given: readonly GivenAddress[]
  readonly problems: readonly Problem[]
}

type AllocationView = Pick<BridgeView, 'node' | 'subnet' | 'pods' | 'lastGiven'>

export function allocateLowestFree(view: AllocationView): Allocation {
  return allocate(view, (range, used) => range.firstFreeFrom(range.first, used))
}

export function allocateRoundRobin(view: AllocationView): Allocation {
  return allocate(view, (range, used, last) => range.firstFreeFrom(last === undefined ? range.first : last + 1, used))
}

/** Offsets into the subnet, which unlike addresses never wrap. */
class Range {
  readonly first = 1
  /** One less than the broadcast address; a /31 or /32 has no room for a pod beside the bridge. */
  readonly last: number
  private readonly gateway: number
  private readonly base: Ip

  constructor({ subnet }: AllocationView) {
    const prefix = subnetOf({ subnet })
    this.base = prefix.base
    this.last = broadcastOf(prefix) - prefix.base - 1
    this.gateway = subnet.address - prefix.base
  }

  address(offset: number): Ip {
    return (this.base + offset) | 0
  }

  offset(address: Ip): number {
    return address - this.base
  }

  usable(offset: number): boolean {
    return offset >= this.first && offset <= this.last && offset !== this.gateway
  }

  /** Once round, from `start` on; undefined when all are taken. */
  firstFreeFrom(start: number, used: ReadonlySet<number>): number | undefined {
    const count = this.last - this.first + 1
    for (let i = 0; i < count; i++) {
      const offset = this.first + ((start - this.first + i) % count)
      if (offset !== this.gateway && !used.has(offset)) return offset
    }
    return undefined
  }
}

type Choice = (range: Range, used: ReadonlySet<number>, last: number | undefined) => number | undefined

function allocate(view: AllocationView, choose: Choice): Allocation {
  const range = new Range(view)
  const problems: Problem[] = []
  const fixed = reserveFixed(view, range, problems)
  const used = new Set(fixed.values())
  const given: GivenAddress[] = []
  const { lastGiven } = view
  const known = lastGiven === undefined ? undefined : range.offset(lastGiven)
  // of another subnet: begins anew (allocator.go GetIter)
  let last = known !== undefined && known >= range.first && known <= range.last ? known : undefined
  for (const pod of view.pods) {
    const offset = pod.address === undefined ? choose(range, used, last) : fixed.get(pod)
    if (offset === undefined) {
      if (pod.address === undefined) problems.push(exhausted(view, pod))
      continue
    }
    used.add(offset)
    if (pod.address === undefined || lastGiven === undefined) last = offset
    given.push({ pod, address: range.address(offset) })
  }
  return { given, problems }
}

/** Addresses that stand already, checked; the pod that names a bad one gets none. */
function reserveFixed(view: AllocationView, range: Range, problems: Problem[]): ReadonlyMap<PodAttachment, number> {
  const prefix = subnetOf(view)
  const subnet = `${formatIp(prefix.base)}/${prefix.length}`
  const fixed = new Map<PodAttachment, number>()
  const owners = new Map<number, PodAttachment>()
  for (const pod of view.pods) {
    if (pod.address === undefined) continue
    const text = formatIp(pod.address)
    const offset = range.offset(pod.address)
    const owner = owners.get(offset)
    if (!contains(prefix, pod.address)) {
      const fix = 'Correct status.podIP or spec.nodeName, or leave the address out and have one chosen.'
      problems.push(problemOf(pod, `its address ${text} lies outside of ${subnet}, the subnet of node ${view.node}`, fix))
    } else if (!range.usable(offset)) {
      const others = pod.address === prefix.base ? 'the network address' : 'the broadcast address'
      const whose = pod.address === view.subnet.address ? 'the address of the bridge' : others
      const fix = 'Give it another address of the subnet, or none to have one chosen.'
      problems.push(problemOf(pod, `its address ${text} is ${whose} of ${subnet} on node ${view.node}`, fix))
    } else if (owner !== undefined) {
      problems.push(problemOf(pod, `its address ${text} on node ${view.node} is that of ${objectOf(owner)} too`, 'Give one of the two another address.'))
    } else {
      fixed.set(pod, offset)
      owners.set(offset, pod)
    }
  }
  return fixed
}

function exhausted(view: AllocationView, pod: PodAttachment): Problem {
  const { base, length } = subnetOf(view)
  const fix = 'Place it on another node, or give the nodes larger subnets (SubnetLen of the network config).'
  return problemOf(pod, `no free address is left for it in ${formatIp(base)}/${length}, the subnet of node ${view.node}`, fix)
}

function problemOf(pod: PodAttachment, what: string, fix: string): Problem {
  return { severity: 'error', file: pod.file ?? '', line: pod.line ?? 0, object: objectOf(pod), what, fix }
}
