/**
 * Leases in Node objects (`--kube-subnet-mgr`): the subnet is podCIDR, the attributes are annotations, an informer's events
 * are the lease events. There is no time to live: a lease ends with its Node.
 * Source: flannel pkg/subnet/kube/{kube,annotations}.go.
 */
import { covers, formatCidr, parseCidr, type Cidr } from '../base/cidr.js'
import { formatIp, isIpv6Text, parseIp } from '../base/ip.js'
import type { Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import { publishedMac } from './backend-vxlan.js'
import { parseFlannelConfig, type FlannelConfig } from './config.js'
import { problemAt, type TextSource } from './go-json.js'
import type { Lease, LeaseAttributes } from './lease.js'
import { KnownLeases, LeaseFeed, type Delivery, type LeaseChange, type LeaseFollower } from './lease-feed.js'
import { sameSubnet, subnetId } from './subnet-allocation.js'
import type { AcquireResult, LeaseListing, LeaseRequest, LeaseWatch, LeaseWatchHandlers, SubnetManager } from './subnet-manager.js'
import { atLeast } from './version.js'

export const ANNOTATION_PREFIX = 'flannel.alpha.coreos.com/'
const MANAGED = `${ANNOTATION_PREFIX}kube-subnet-manager`
const BACKEND_TYPE = `${ANNOTATION_PREFIX}backend-type`
const BACKEND_DATA = `${ANNOTATION_PREFIX}backend-data`
const PUBLIC_IP = `${ANNOTATION_PREFIX}public-ip`
const PUBLIC_IP_OVERWRITE = `${ANNOTATION_PREFIX}public-ip-overwrite`

/** What flannel reads of a Node. */
export interface FlannelNode {
  readonly name: string
  /** spec.podCIDRs, or spec.podCIDR alone. */
  readonly podCidrs: readonly string[]
  readonly annotations: Readonly<Record<string, string>>
  readonly file?: string
  readonly line?: number
}

interface ReadLease {
  readonly lease?: Lease
  readonly problems: readonly Problem[]
}

/** The API server's Nodes and what informers tell of them, in memory; each Node is read once for all that listen. */
export class NodeRegistry {
  readonly feed: LeaseFeed
  private readonly nodes = new Map<string, FlannelNode>()
  private readonly read = new WeakMap<FlannelNode, ReadLease>()

  /** @param delivery when informers hear of a change; absent: at once */
  constructor(delivery?: Delivery) {
    this.feed = new LeaseFeed(delivery)
  }

  get(name: string): FlannelNode | undefined {
    return this.nodes.get(name)
  }

  list(): FlannelNode[] {
    return [...this.nodes.values()]
  }

  put(node: FlannelNode): void {
    const before = this.nodes.get(node.name)
    this.nodes.set(node.name, node)
    if (isManaged(node) && (before === undefined || leaseChanged(before, node))) this.feed.append({ kind: 'added', revision: 0, ...this.leaseOf(node) })
  }

  delete(name: string): void {
    const before = this.nodes.get(name)
    this.nodes.delete(name)
    if (before !== undefined && isManaged(before)) this.feed.append({ kind: 'removed', revision: 0, ...this.leaseOf(before) })
  }

  /** Of the Nodes that flannel manages, in their order; what is wrong with them beside. */
  leases(): ReadLease[] {
    return this.list().flatMap((node) => (isManaged(node) ? [this.leaseOf(node)] : []))
  }

  private leaseOf(node: FlannelNode): ReadLease {
    const known = this.read.get(node)
    if (known !== undefined) return known
    const read = leaseOfNode(node)
    this.read.set(node, read)
    return read
  }
}

interface KubernetesSubnetManagerOptions {
  readonly registry: NodeRegistry
  readonly nodeName: string
  readonly version: string
  /** net-conf.json and where it stands. */
  readonly config: { readonly text: string; readonly source: TextSource }
}

export class KubernetesSubnetManager implements SubnetManager {
  private readonly registry: NodeRegistry
  private readonly options: KubernetesSubnetManagerOptions

  constructor(options: KubernetesSubnetManagerOptions) {
    this.registry = options.registry
    this.options = options
  }

  readConfig(): { readonly config?: FlannelConfig; readonly problems: readonly Problem[] } {
    const { text, source } = this.options.config
    return parseFlannelConfig(text, { version: this.options.version, manager: 'kubernetes', source })
  }

  list(): LeaseListing {
    const read = this.registry.leases()
    return { leases: read.flatMap((one) => one.lease ?? []), revision: 0, problems: read.flatMap((one) => one.problems) }
  }

  tryAcquire(config: FlannelConfig, request: LeaseRequest, _listing: LeaseListing): AcquireResult {
    const node = this.registry.get(this.options.nodeName)
    const failed = (error: string): AcquireResult => ({ kind: 'failed', error, fatal: true })
    if (node === undefined) return failed(`failed to get node "${this.options.nodeName}": it does not exist`)
    const podCidr = podCidrOf(node)
    if (typeof podCidr === 'string') return failed(podCidr)
    if (!covers(config.network, podCidr)) {
      return failed(`subnet ${formatCidr(config.network)} of the flannel net config does not contain PodCIDR ${formatCidr(podCidr)} of node "${node.name}"`)
    }
    const annotations = { ...node.annotations, ...leaseAnnotations(request.attributes, node.annotations) }
    if (Object.keys(annotations).some((name) => annotations[name] !== node.annotations[name])) this.registry.put({ ...node, annotations })
    return { kind: 'acquired', lease: { subnet: podCidr, attributes: request.attributes, revision: 0 }, why: 'podCIDR' }
  }

  /** Not implemented in flannel either: nothing ends. */
  renew(lease: Lease): Lease {
    return lease
  }

  renewDelayNs(): number {
    return Infinity
  }

  /** Its Node's, where an earlier run has annotated it. */
  standing(): Lease | undefined {
    const node = this.registry.get(this.options.nodeName)
    return node?.annotations[PUBLIC_IP] === undefined ? undefined : leaseOfNode(node).lease
  }

  storedMac(): Mac | undefined {
    const node = this.registry.get(this.options.nodeName)
    const lease = node === undefined || !atLeast(this.options.version, '0.24.1') ? undefined : leaseOfNode(node).lease
    return lease === undefined ? undefined : publishedMac(lease)
  }

  watch(own: Lease, handlers: LeaseWatchHandlers): LeaseWatch {
    // Backend alloc: somebody else routes, so flanneld does not listen for nodes at all (kube.go disableNodeInformer).
    const listens = !(atLeast(this.options.version, '0.20.0') && this.readConfig().config?.backendType === 'alloc')
    return new NodeInforming(this.registry, own.subnet, handlers, listens)
  }
}

/** An informer: all Nodes one by one, then every change. One that was cut lists anew and tells the difference, which is what the changes come to. */
class NodeInforming implements LeaseWatch, LeaseFollower {
  heardTo = 0
  follows = false
  listens: boolean
  readonly ownId: number
  readonly isPlain = true
  private readonly enabled: boolean
  private readonly registry: NodeRegistry
  private readonly own: Cidr
  private readonly handlers: LeaseWatchHandlers
  private base: readonly Lease[] = []
  private from = 0

  constructor(registry: NodeRegistry, own: Cidr, handlers: LeaseWatchHandlers, enabled: boolean) {
    this.registry = registry
    this.own = own
    this.ownId = subnetId(own)
    this.handlers = handlers
    this.enabled = enabled
    this.listens = enabled
    if (!enabled) return
    const { feed } = registry
    this.from = feed.changes.length
    this.heardTo = this.from
    const told: Lease[] = []
    this.base = told
    for (const { lease, problems } of registry.leases()) {
      if (problems.length > 0) handlers.onProblems?.(problems)
      if (lease === undefined) continue
      told.push(lease)
      if (!sameSubnet(lease.subnet, own)) handlers.onEvents([{ kind: 'added', lease }], this)
    }
    feed.follow(this)
  }

  get position(): number {
    return this.follows ? Math.max(this.heardTo, this.registry.feed.delivered) : this.heardTo
  }

  close(): void {
    this.listens = false
    this.registry.feed.leave(this)
  }

  reconnect(): void {
    if (this.listens || !this.enabled) return
    this.listens = true
    this.registry.feed.follow(this)
  }

  known(): KnownLeases {
    return new KnownLeases(this.own, this.base, { changes: this.registry.feed.changes, from: this.from, to: this.position })
  }

  rebase(): void {
    const { feed } = this.registry
    if (!this.enabled || this.position !== feed.changes.length) return
    this.from = feed.changes.length
    this.base = this.registry.leases().flatMap(({ lease }) => lease ?? [])
  }

  hear(change: LeaseChange): void {
    if (change.problems.length > 0) this.handlers.onProblems?.(change.problems)
    if (change.lease !== undefined && change.id !== this.ownId) this.handlers.onEvents(change.events, this)
  }
}

/** What flanneld writes to its Node. `public-ip-overwrite` changes only what is published. */
export function leaseAnnotations(attributes: LeaseAttributes, existing: Readonly<Record<string, string>>): Record<string, string> {
  const overwrite = existing[PUBLIC_IP_OVERWRITE] ?? ''
  return {
    [MANAGED]: 'true',
    [BACKEND_TYPE]: attributes.backendType,
    // A backend without data writes the literal null.
    [BACKEND_DATA]: JSON.stringify(attributes.backendData ?? null),
    [PUBLIC_IP]: overwrite === '' ? formatIp(attributes.publicIp) : overwrite,
  }
}

function isManaged(node: FlannelNode): boolean {
  return node.annotations[MANAGED] === 'true'
}

/** The lease that a Node stands for, or why it stands for none; flannel logs that and goes on. */
export function leaseOfNode(node: FlannelNode): { readonly lease?: Lease; readonly problems: readonly Problem[] } {
  const source: TextSource = { file: node.file ?? 'kubernetes', line: node.line ?? 0, object: `Node/${node.name}` }
  const text = node.annotations[PUBLIC_IP] ?? ''
  const publicIp = parseIp(text)
  if (publicIp === undefined)
    return { problems: [problemAt(source, `annotation ${PUBLIC_IP} '${text}' is not an IPv4 address`, 'other nodes ignore this one', 'warning')] }
  const podCidr = podCidrOf(node)
  if (typeof podCidr === 'string') return { problems: [problemAt(source, podCidr, 'other nodes ignore this one', 'warning')] }
  const data = node.annotations[BACKEND_DATA] ?? ''
  let backendData: unknown
  try {
    backendData = data === '' ? undefined : JSON.parse(data)
  } catch {
    // Kept as text: the backend that cannot read it says so, as flannel's does.
    backendData = data
  }
  const attributes = {
    publicIp,
    backendType: node.annotations[BACKEND_TYPE] ?? '',
    ...(backendData === undefined || backendData === null ? {} : { backendData }),
  }
  return { lease: { subnet: podCidr, attributes, revision: 0 }, problems: [] }
}

/** The IPv4 prefix of podCIDRs (one of each family at most), or what is wrong. */
function podCidrOf(node: FlannelNode): Cidr | string {
  if (node.podCidrs.length === 0 || node.podCidrs[0] === '') return `node "${node.name}" pod cidr not assigned`
  if (node.podCidrs.length > 2) return `node "${node.name}" pod cidrs should be IPv4/IPv6 only or dualstack`
  for (const text of node.podCidrs) {
    if (isIpv6Text(text)) continue
    const prefix = parseCidr(text)
    return typeof prefix === 'string' ? `node "${node.name}": PodCIDR ${text} is not an IPv4 prefix (${prefix})` : prefix
  }
  return `node "${node.name}": no IPv4 prefix among the pod cidrs ${node.podCidrs.join(', ')}`
}

/** An update is an event only when one of these three changed; a changed podCIDR is not noticed. */
function leaseChanged(before: FlannelNode, after: FlannelNode): boolean {
  return [BACKEND_DATA, BACKEND_TYPE, PUBLIC_IP].some((name) => before.annotations[name] !== after.annotations[name])
}
