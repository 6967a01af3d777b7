/**
 * flannel at a moment of a run: from the view that each node's flanneld last rendered from to the plan that the composition takes. A node without a view has
 * no subnet.env, and nothing plugs its pods in; one whose flanneld has ended keeps what remainsAfterExit (flannel/flanneld.ts) says. Leases are those
 * that some flanneld knows of, not etcd's own word.
 */
import { formatCidr } from '../../base/cidr.js'
import { LazyMap } from '../../base/lazy-map.js'
import type { Problem } from '../../base/problem.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { FlannelView } from '../../flannel/backend.js'
import { formatLeaseValue, subnetKey, type Lease } from '../../flannel/lease.js'
import type { FlannelPart } from '../../flannel/flanneld.js'
import type { FlannelPlan, LeaseRow } from '../flannel-plan.js'
import type { NodeState } from './network-state.js'
import type { PlanBook } from './plan-book.js'

export function flannelOfViews(book: PlanBook, nodes: ReadonlyMap<string, NodeState>, cluster: Cluster): FlannelPlan {
  const views = new Map<string, FlannelView>()
  for (const [name, { power, flannel }] of nodes) if (power && flannel !== undefined) views.set(name, flannel)
  const parts = new LazyMap(views.keys(), (name): FlannelPart => book.flannelPart(views.get(name) as FlannelView, processOf(nodes.get(name))))
  const [first] = views.values()
  let leases: readonly Lease[] | undefined
  const known = (): readonly Lease[] => (leases ??= knownLeases(views.values()))
  return {
    ...(first === undefined ? {} : { config: first.config }),
    get leases() {
      return rowsOf(known(), cluster)
    },
    ownLeases: new Map([...views].map(([name, { ownLease }]) => [name, ownLease])),
    parts,
    view: (name) => views.get(name),
    links: (name) => parts.get(name)?.devices ?? [],
    get etcdKeys() {
      if (cluster.datastore !== 'etcd') return []
      const { version } = cluster.flannel
      return known().map(({ subnet, attributes }) => ({ key: subnetKey(cluster.etcdPrefix, subnet), value: formatLeaseValue(attributes, version) }))
    },
    problems: [],
    problemsOf: (name, before) => {
      const found: readonly Problem[] = parts.get(name)?.problems ?? []
      return found.filter(({ object, what }) => !before.some((other) => other.object === object && other.what === what))
    },
  }
}

/** By subnet; of two that tell of one the later written counts. */
function knownLeases(views: Iterable<FlannelView>): readonly Lease[] {
  const bySubnet = new Map<string, Lease>()
  for (const { ownLease, leases } of views) {
    for (const lease of [ownLease, ...leases]) {
      const key = formatCidr(lease.subnet)
      const other = bySubnet.get(key)
      if (other === undefined || lease.revision > other.revision) bySubnet.set(key, lease)
    }
  }
  return [...bySubnet.values()].sort((a, b) => (a.subnet.base >>> 0) - (b.subnet.base >>> 0))
}

function rowsOf(leases: readonly Lease[], { nodeByAddress }: Cluster): readonly LeaseRow[] {
  return leases.map((lease) => {
    const node = nodeByAddress.get(lease.attributes.publicIp)?.name
    return { ...(node === undefined ? {} : { node }), lease }
  })
}

function processOf(state: NodeState | undefined): 'runs' | 'exit' | 'kill' {
  if (state?.flanneldRuns === true) return 'runs'
  return state?.flanneldKilled === true ? 'kill' : 'exit'
}
