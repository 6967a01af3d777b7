import { formatProblem, type Problem } from '../../src/base/problem.js'
import { buildCluster, type Cluster } from '../../src/cluster/cluster.js'

/** The cluster of one text called t.yaml. */
export function build(text: string, file = 't.yaml'): { cluster: Cluster; problems: readonly Problem[]; texts: string[] } {
  const { cluster, problems } = buildCluster([{ file, text }])
  return { cluster, problems, texts: problems.map(formatProblem) }
}

export function node(name: string, address: string, extra = ''): string {
  return `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nstatus: {addresses: [{type: InternalIP, address: ${address}}]}\n${extra}---\n`
}

export function pod(name: string, spec = '{}', address = ''): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nspec: ${spec}\nstatus: {podIP: "${address}"}\n---\n`
}

export function network(spec: string): string {
  return `apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec:\n${spec.replaceAll(/^(?=.)/gm, '  ')}\n---\n`
}
