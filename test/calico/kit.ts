import { formatProblem, type Problem } from '../../src/base/problem.js'
import { buildCluster, type Cluster } from '../../src/cluster/cluster.js'
import { readCalicoResources, type CalicoResources } from '../../src/cluster/calico/calico-resources.js'
import { ProblemList } from '../../src/cluster/problem-list.js'

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
