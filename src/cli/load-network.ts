/** `-f`, `-R` and `--seed` → a network, or the list of what is wrong with the input on standard error. */
import { formatProblem, hasErrors, type Problem } from '../base/problem.js'
import { buildCluster, type Cluster, type ClusterResult, type Given } from '../cluster/cluster.js'
import type { Input } from '../cluster/manifest.js'
import { checkCollected, inputsOf, podInputs } from '../network/collected-cluster.js'
import { agentProblems, composeNetwork, type CalicoAgents, type Network } from '../network/network.js'
import { usesCalico } from '../network/nodes.js'
import { checkEtcdFlags, type EtcdFlags } from './etcd-flags.js'
import { readInputs } from './input.js'
import type { Io } from './io.js'
import type { NodeFlags } from './node-flags.js'

export interface InputOptions extends EtcdFlags, NodeFlags {
  readonly filename: readonly string[]
  readonly recursive: boolean
  readonly seed: number
  /** Virtual time of the question, nanoseconds. */
  readonly at?: number
}

export interface Loaded {
  readonly cluster: Cluster
  readonly network: Network
  /** The files, as the user named them, and the etcd that was asked. */
  readonly inputs: readonly string[]
}

/** Everything wrong is said at once; undefined when any of it is an error. */
export async function loadNetwork(options: InputOptions, io: Io): Promise<Loaded | undefined> {
  const { problems, cluster, network, inputs } = await readNetwork(options, io)
  await report(problems, io)
  return network === undefined || hasErrors(problems) ? undefined : { cluster, network, inputs }
}

export interface ReadNetwork extends Omit<Loaded, 'network'> {
  /** Absent where the errors among the problems let none be built. */
  readonly network?: Network
  readonly problems: readonly Problem[]
}

/**
 * The same, of which nothing has been said yet.
 * @param told what is known of a cluster of these objects beside them
 */
export async function readNetwork(
  { filename, recursive, seed, at, node = [], ...etcdFlags }: InputOptions,
  io: Io,
  told?: (cluster: Cluster) => readonly Input[],
): Promise<ReadNetwork> {
  const { etcd: urls = [], etcdPrefix } = etcdFlags
  checkEtcdFlags(etcdFlags)
  const etcd = urls.length === 0 ? undefined : await (await import('./etcd-input.js')).readEtcdInput(etcdFlags, io)
  const found = node.length === 0 ? undefined : await (await import('./node-input.js')).readNodes(node, io)
  const alone = filename.length === 0 && etcd === undefined ? found : undefined
  const read = alone === undefined ? await readInputs(filename, recursive, io) : inputsOf(alone.nodes)
  const given = { ...(etcd === undefined ? {} : { etcd: { name: etcd.endpoint, trees: etcd.trees } }), ...(etcdPrefix === undefined ? {} : { etcdPrefix }) }
  const { cluster, problems } = withMore(read.inputs, given, (first) => [...podInputs(found?.nodes ?? [], first), ...(told?.(first) ?? [])])
  const files = alone === undefined ? read.inputs.map((input) => input.file) : []
  const inputs = [...files, ...(etcd === undefined ? [] : [etcd.endpoint]), ...(found?.nodes.map(({ source }) => source) ?? [])]
  if (etcd !== undefined && hasErrors(etcd.problems)) {
    // What is not known is not built from: of the rest the errors that stand by themselves.
    return { cluster, inputs, problems: [...etcd.problems, ...read.problems, ...problems.filter((problem) => problem.severity === 'error')] }
  }
  const dumped = found === undefined ? [] : [...found.problems, ...(alone === undefined ? checkCollected(found.nodes, cluster) : [])]
  const wrong = [...(etcd?.problems ?? []), ...read.problems, ...problems, ...dumped]
  const collected = found === undefined ? {} : { collected: found.nodes, dumpsAlone: alone !== undefined }
  const options = { seed, ...(at === undefined ? {} : { atNs: at }), ...collected, ...(await calicoOf(cluster)) }
  if (hasErrors(dumped)) return { cluster, inputs, problems: wrong }
  if (hasErrors(wrong)) return { cluster, inputs, problems: [...wrong, ...agentProblems(cluster, options)] }
  const built = composeNetwork(cluster, options)
  return { cluster: built.network.cluster, network: built.network, inputs, problems: [...wrong, ...built.problems] }
}

/** What dumps of its nodes tell beside the files is of the cluster too: pods that run there and that no file has, … */
function withMore(inputs: readonly Input[], given: Given, moreOf: (cluster: Cluster) => readonly Input[]): ClusterResult {
  const result = buildCluster(inputs, given)
  const more = moreOf(result.cluster)
  return more.length === 0 ? result : buildCluster([...inputs, ...more], given)
}

/** A fifth of the command's code: loaded for the networks that have it. */
export async function calicoOf(cluster: Cluster): Promise<{ readonly calico?: CalicoAgents }> {
  return usesCalico(cluster) ? { calico: (await import('../network/calico-agents.js')).CALICO_AGENTS } : {}
}

/**
 * In a cluster of many nodes some are rendered only when they are asked for (network/composition.ts): what is wrong with those is told now.
 * @returns true when an error is among it, and the answer is none
 */
export async function refusesTouched({ lateProblems }: Network, io: Io): Promise<boolean> {
  await report(lateProblems, io)
  return hasErrors(lateProblems)
}

const SHOWN = 100

/** Errors first; of very many the first hundred and how many there are. */
export async function report(problems: readonly Problem[], io: Io): Promise<void> {
  const inOrder = [...problems].sort((a, b) => Number(b.severity === 'error') - Number(a.severity === 'error'))
  const lines = inOrder.slice(0, SHOWN).map((problem) => `${safe(formatProblem(problem))}\n`)
  const errors = problems.filter((problem) => problem.severity === 'error').length
  if (problems.length > SHOWN) lines.push(`… and ${problems.length - SHOWN} more\n`)
  if (errors > 1) lines.push(`${errors} errors\n`)
  await io.err(lines.join(''))
}

/** Values from files stand in these texts: none of them may steer the terminal. Tabs are part of some forms. */
export function safe(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '?')
}
