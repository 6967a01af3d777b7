import { parseCidr, type Cidr } from '../../src/base/cidr.js'
import { formatProblem, type Problem } from '../../src/base/problem.js'
import { buildCluster, type Cluster } from '../../src/cluster/cluster.js'
import { readCalicoResources, type CalicoResources } from '../../src/cluster/calico/calico-resources.js'
import { IP_POOL_DEFAULTS, type IPPool } from '../../src/cluster/calico/ip-pool.js'
import { ProblemList } from '../../src/cluster/problem-list.js'

export function prefix(text: string): Cidr {
  const parsed = parseCidr(text)
  if (typeof parsed === 'string') throw new TypeError(text)
  return parsed
}

/** A pool that masquerades, without encapsulation; it is called by its prefix. */
export function pool(cidr: string, more: Partial<IPPool> = {}): IPPool {
  return { ...IP_POOL_DEFAULTS, file: 't.yaml', line: 1, name: cidr, cidr: prefix(cidr), natOutgoing: true, ...more }
}

export interface CalicoWorld {
  readonly cluster: Cluster
  readonly resources: CalicoResources
  /** Of Calico's resources alone. */
  readonly problems: readonly Problem[]
  readonly texts: readonly string[]
}

/** The cluster and Calico's resources of one text called t.yaml. */
export function world(text: string, { findsAddress = true }: { readonly findsAddress?: boolean } = {}): CalicoWorld {
  const { cluster } = buildCluster([{ file: 't.yaml', text }])
  const list = new ProblemList()
  const resources = readCalicoResources({ objects: cluster.objects, nodes: cluster.nodes, findsAddress }, list)
  return { cluster, resources, problems: list.problems, texts: list.problems.map(formatProblem) }
}

export function node(name: string, address: string, metadata = ''): string {
  return `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}${metadata}}\nstatus: {addresses: [{type: InternalIP, address: ${address}}]}\n---\n`
}

export function pod(name: string, nodeName: string, { metadata = '', spec = '', address = '' } = {}): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}${metadata}}\nspec: {nodeName: ${nodeName}${spec}}\nstatus: {podIP: "${address}"}\n---\n`
}

export function calico(kind: string, name: string, spec: string, { group = 'projectcalico.org/v3', metadata = '' } = {}): string {
  return `apiVersion: ${group}\nkind: ${kind}\nmetadata: {name: ${name}${metadata}}\nspec: ${spec}\n---\n`
}
