/**
 * Leases for every node, and flanneld's part of every node: from what etcd or the Node objects hold, with the agents converged on
 * it. A node whose address has a lease keeps it as it stands (right or wrong); one without takes one as flanneld would.
 */
import { formatCidr, overlaps } from '../base/cidr.js'
import { LazyMap } from '../base/lazy-map.js'
import { hashText, Prng } from '../base/prng.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { DeviceSpec, RouteSpec } from '../dataplane/dataplane.js'
import { EtcdV2 } from '../etcd/etcd-v2.js'
import { EtcdV3 } from '../etcd/etcd-v3.js'
import { EtcdStore } from '../etcd/store.js'
import type { ExternalInterface, FlannelView, RegistrationView } from '../flannel/backend.js'
import { registrationAttributes, renderFlannel, type FlannelPart } from '../flannel/flanneld.js'
import type { FlannelConfig } from '../flannel/config.js'
import { leaseObject, parseSubnetKey, type Lease } from '../flannel/lease.js'
import { EtcdSubnetManager } from '../flannel/subnet-manager-etcd.js'
import { KubernetesSubnetManager, leaseOfNode, NodeRegistry, ANNOTATION_PREFIX, type FlannelNode } from '../flannel/subnet-manager-kubernetes.js'
import { acquire, type SubnetManager } from '../flannel/subnet-manager.js'
import { atLeast } from '../flannel/version.js'
import { underlayOf } from '../flannel/underlay.js'
import type { Mac } from '../base/mac.js'
import { parseIp, type Ip } from '../base/ip.js'

export interface LeaseRow {
  /** Absent: no node of the cluster has this address (a stale lease, or somebody else's). */
  readonly node?: string
  readonly lease: Lease
}

export interface FlannelPlan {
  readonly config?: FlannelConfig
  readonly leases: readonly LeaseRow[]
  /** By node: what it keeps or has taken. */
  readonly ownLeases: ReadonlyMap<string, Lease>
  /** Of the nodes that have a lease; each is rendered when it is first asked for. */
  readonly parts: ReadonlyMap<string, FlannelPart>
  /** What the node's flanneld renders from once it has come to rest; undefined: it has no lease. */
  view(node: string): FlannelView | undefined
  /** flanneld's devices on the node, of WireGuard without the peers; nothing of other nodes is rendered for it. */
  links(node: string): readonly DeviceSpec[]
  /** etcd as it is once all agents have registered. */
  readonly etcdKeys: readonly { readonly key: string; readonly value: string }[]
  /** Of the configuration and the leases. */
  readonly problems: readonly Problem[]
  /** What rendering the node's part finds and `known`, of other nodes' parts, has not. */
  problemsOf(node: string, known: readonly Problem[]): readonly Problem[]
}

/** The node as it is before flanneld starts. */
export interface BareNode {
  readonly node: ClusterNode
  readonly externalInterface: ExternalInterface
  readonly devices: readonly DeviceSpec[]
  readonly routes: readonly RouteSpec[]
}

const NS = 1e9

/** @param atNs virtual time of the question: a lease that nobody of the cluster renews is gone once its time to live is over */
export function planFlannel(cluster: Cluster, bare: readonly BareNode[], options: { readonly seed: number; readonly atNs: number }): FlannelPlan {
  const plan = planUnplaced(cluster, bare, options)
  return {
    ...plan,
    problems: plan.problems.map((problem) => placed(cluster, problem)),
    // what is wrong with the configuration or a lease is wrong for every node: said once
    problemsOf: (node, known) => {
      const found: Problem[] = []
      for (const problem of plan.parts.get(node)?.problems ?? []) {
        if (![...known, ...found].some(({ object, what }) => object === problem.object && what === problem.what)) found.push(placed(cluster, problem))
      }
      return found
    },
  }
}

/** What flanneld says of its configuration or of a lease, at the line where that stands. */
function placed(cluster: Cluster, problem: Problem): Problem {
  if (problem.line > 0) return problem
  const entry = cluster.etcd.find(({ key }) => key === problem.object || leaseObjectOf(key) === problem.object)
  const place = entry ?? (problem.file === 'network config' || problem.file === 'etcd' ? (cluster.flannel.config ?? cluster.etcdSource) : undefined)
  return place === undefined ? problem : { ...problem, file: place.file, line: place.line }
}

function leaseObjectOf(key: string): string | undefined {
  const parsed = parseSubnetKey(key)
  return parsed === undefined ? undefined : leaseObject(parsed.subnet)
}

function planUnplaced(cluster: Cluster, bare: readonly BareNode[], options: { readonly seed: number; readonly atNs: number }): Omit<FlannelPlan, 'problemsOf'> {
  const problems: Problem[] = []
  const source = cluster.datastore === 'etcd' ? etcdSource(cluster, bare, options, problems) : kubernetesSource(cluster, bare, problems)
  const { config } = source
  if (config === undefined)
    return { leases: [], ownLeases: new Map(), parts: new Map(), view: () => undefined, links: () => [], etcdKeys: source.etcdKeys(), problems }
  const own = new Map<string, Lease>()
  for (const one of bare) {
    const lease = source.ownLease(one, config)
    if (lease !== undefined) own.set(one.node.name, lease)
  }
  // frozen: what backends make of all of them is made once (flannel/common-leases.ts)
  const leases = Object.freeze([...source.leases(own)])
  reportOverlaps(leases, problems)
  const byName = new Map(bare.map((one) => [one.node.name, one]))
  const view = (name: string, known?: readonly Lease[]): FlannelView | undefined => {
    const [one, ownLease] = [byName.get(name), own.get(name)]
    if (one === undefined || ownLease === undefined) return undefined
    const { ipMasq } = cluster.flannel
    return {
      ...registrationView(cluster, one, config, options.seed),
      ownLease,
      leases: known ?? leases,
      ipMasq,
      underlay: underlayOf(one.devices, one.routes),
    }
  }
  const parts = new LazyMap(own.keys(), (name) => renderFlannel(view(name) as FlannelView))
  const links = (name: string): readonly DeviceSpec[] => {
    const lease = own.get(name)
    return lease === undefined ? [] : renderFlannel(view(name, [lease]) as FlannelView).devices
  }
  const byAddress = new Map(bare.map((one) => [one.externalInterface.publicIp, one.node.name]))
  const rows = leases.map((lease) => ({ ...(byAddress.has(lease.attributes.publicIp) ? { node: byAddress.get(lease.attributes.publicIp) } : {}), lease }))
  return { config, leases: rows, ownLeases: own, parts, view: (name) => view(name), links, etcdKeys: source.etcdKeys(), problems }
}

interface LeaseSource {
  readonly config: FlannelConfig | undefined
  ownLease(one: BareNode, config: FlannelConfig): Lease | undefined
  /** All leases, the own ones among them. */
  leases(own: ReadonlyMap<string, Lease>): readonly Lease[]
  etcdKeys(): readonly { readonly key: string; readonly value: string }[]
}

function registrationView(cluster: Cluster, one: BareNode, config: FlannelConfig, seed: number): RegistrationView {
  const pinnedMac = tunnelMacPin(cluster, one.node.name)
  return {
    nodeName: one.node.name,
    version: cluster.flannel.version,
    config,
    externalInterface: one.externalInterface,
    seed,
    ...(pinnedMac === undefined ? {} : { pinnedMac }),
  }
}

/** The tunnel device is flannel.VNI; whatever its VNI, there is one of a node. */
export function tunnelMacPin(cluster: Cluster, node: string): Mac | undefined {
  for (const [key, mac] of cluster.pins.macs) if (key.startsWith(`${node}/flannel.`)) return mac
  return undefined
}

function register(
  manager: SubnetManager,
  cluster: Cluster,
  one: BareNode,
  context: { readonly config: FlannelConfig; readonly seed: number; readonly problems: Problem[] },
): Lease | undefined {
  const attributes = registrationAttributes(registrationView(cluster, one, context.config, context.seed))
  if ('severity' in attributes) {
    if (!context.problems.some((problem) => problem.what === attributes.what)) context.problems.push(attributes)
    return undefined
  }
  const result = acquire(manager, context.config, { attributes })
  if (result.kind === 'acquired') return result.lease
  context.problems.push({
    severity: 'error',
    file: one.node.file,
    line: one.node.line,
    object: `Node/${one.node.name}`,
    what: `flanneld gets no lease: ${result.error}`,
    fix: 'Widen the Network, or correct the subnets.',
  })
  return undefined
}

function etcdSource(cluster: Cluster, bare: readonly BareNode[], options: { readonly seed: number; readonly atNs: number }, problems: Problem[]): LeaseSource {
  const store = new EtcdStore({ nowNs: options.atNs })
  const ours = new Set(bare.map((one) => one.externalInterface.publicIp))
  const v2 = new EtcdV2(store)
  const v3 = new EtcdV3(store)
  const usesV3 = atLeast(cluster.flannel.version, '0.18.0')
  for (const entry of cluster.etcd) {
    const ttl = entry.ttl === undefined ? undefined : remainingSeconds(entry.ttl, options.atNs, isOurs(entry.value, ours))
    if (ttl !== undefined && ttl <= 0) continue
    if (usesV3) v3.put(entry.key, entry.value, ttl === undefined ? 0 : v3.grant(ttl))
    else v2.set(entry.key, entry.value, ttl === undefined ? {} : { ttl })
  }
  const manager = new EtcdSubnetManager({
    store,
    version: cluster.flannel.version,
    prefix: cluster.etcdPrefix,
    prng: new Prng(options.seed ^ hashText('flannel leases')),
  })
  const read = manager.readConfig()
  problems.push(...read.problems)
  let byPublicIp: ReadonlyMap<Ip, Lease> | undefined
  return {
    config: read.config,
    ownLease(one, config) {
      // the first of several
      byPublicIp ??= new Map(
        manager
          .list()
          .leases.map((lease): [Ip, Lease] => [lease.attributes.publicIp, lease])
          .reverse(),
      )
      const found = byPublicIp.get(one.externalInterface.publicIp)
      if (found !== undefined) return found
      byPublicIp = undefined
      return register(manager, cluster, one, { config, seed: options.seed, problems })
    },
    leases() {
      const listing = manager.list()
      problems.push(...listing.problems)
      return listing.leases
    },
    etcdKeys: () =>
      store
        .range('/')
        .filter(({ directory }) => !directory)
        .map(({ key, value }) => ({ key, value })),
  }
}

/** A lease of a living node is renewed an hour before its end and never runs out; anybody else's does. */
function remainingSeconds(ttl: number, atNs: number, renewed: boolean): number {
  const left = ttl - Math.floor(atNs / NS)
  return renewed && left < 3600 ? 86_400 : left
}

function isOurs(value: string, ours: ReadonlySet<number>): boolean {
  const address = parseIp(/"PublicIP"\s*:\s*"([0-9.]+)"/i.exec(value)?.[1] ?? '')
  return address !== undefined && ours.has(address)
}

function kubernetesSource(cluster: Cluster, bare: readonly BareNode[], problems: Problem[]): LeaseSource {
  const registry = new NodeRegistry()
  for (const { node } of bare) registry.put(flannelNodeOf(node))
  const config = cluster.flannel.config
  const text = config ?? { text: '', file: 'net-conf.json', line: 0 }
  const managerOf = (name: string): KubernetesSubnetManager =>
    new KubernetesSubnetManager({
      registry,
      nodeName: name,
      version: cluster.flannel.version,
      config: { text: text.text, source: { file: text.file, line: text.line, object: 'net-conf.json' } },
    })
  const read = managerOf('').readConfig()
  problems.push(...read.problems)
  return {
    config: read.config,
    ownLease(one, parsed) {
      const registered = registry.get(one.node.name)
      if (registered?.annotations[`${ANNOTATION_PREFIX}public-ip`] !== undefined) {
        const { lease, problems: found } = leaseOfNode(registered)
        problems.push(...found)
        if (lease !== undefined) return lease
      }
      return register(managerOf(one.node.name), cluster, one, { config: parsed, seed: hashText(one.node.name), problems })
    },
    leases: (own) => [...own.values()],
    etcdKeys: () => [],
  }
}

/** What flannel reads of a Node. */
export function flannelNodeOf({ name, podCIDR, annotations, file, line }: ClusterNode): FlannelNode {
  return { name, podCidrs: podCIDR === undefined ? [] : [formatCidr(podCIDR)], annotations, file, line }
}

/** Two nodes with overlapping subnets: flannel does not notice, packets do. */
function reportOverlaps(leases: readonly Lease[], problems: Problem[]): void {
  leases.forEach((lease, index) => {
    for (let before = 0; before < index; before++) {
      const other = leases[before]
      if (!overlaps(lease.subnet, other.subnet)) continue
      problems.push({
        severity: 'error',
        file: 'etcd',
        line: 0,
        object: leaseObject(lease.subnet),
        what: `overlaps lease ${formatCidr(other.subnet)}`,
        fix: 'Two hosts would hand out the same addresses: delete one of the two leases.',
      })
    }
  })
}
