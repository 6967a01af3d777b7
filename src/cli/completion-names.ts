/** Names for completion: what the manifests of -f, ./netsim.yaml or the built-in example hold. Nothing is built, nothing complained about. */
import { formatIp } from '../base/ip.js'
import { buildCluster, type Cluster } from '../cluster/cluster.js'
import type { Candidate } from './completion-command.js'
import { readInputs } from './input.js'
import type { Io } from './io.js'

/** A key is pressed and an answer awaited: larger input is left alone, bytes. */
const LARGEST = 8 * 1024 * 1024

export interface CompletionNames {
  readonly pods: Cluster['pods']
  readonly nodes: Cluster['nodes']
  readonly routers: Cluster['routers']
  /** namespace/name */
  readonly services: readonly string[]
  readonly namespaces: readonly string[]
}

/** Standard input is the user's keyboard here: `-` is passed over. */
export async function readNames(files: readonly string[], recursive: boolean, io: Io): Promise<CompletionNames> {
  const named = files.filter((file) => file !== '-').map((file) => withHome(file, io))
  const { inputs } = files.length > 0 && named.length === 0 ? { inputs: [] } : await readInputs(named, recursive, io)
  const size = inputs.reduce((sum, input) => sum + ('text' in input ? input.text.length : Infinity), 0)
  const { cluster } = buildCluster(size > LARGEST ? [] : inputs)
  const services = cluster.objects.filter(({ kind }) => kind === 'Service').map(({ namespace, name }) => `${namespace || 'default'}/${name}`)
  return { pods: cluster.pods, nodes: cluster.nodes, routers: cluster.routers, services, namespaces: cluster.namespaces.map(({ name }) => name) }
}

/** The shell expands it only when the line runs. */
function withHome(file: string, { env }: Io): string {
  return file.startsWith('~/') && env.HOME !== undefined ? `${env.HOME}${file.slice(1)}` : file
}

export function namespaceCandidates({ namespaces, pods }: CompletionNames): Candidate[] {
  return [...new Set(['default', ...namespaces, ...pods.map(({ namespace }) => namespace)])].map((value) => ({ value, about: 'namespace' }))
}

/** For SRC and DST; after a colon the ports that the pod declares. */
export function endCandidates(names: CompletionNames, namespace: string, current: string): Candidate[] {
  const colon = current.indexOf(':')
  if (colon >= 0) return portsOf(names, namespace, current.slice(0, colon))
  const own = names.pods.filter((pod) => pod.namespace === namespace)
  const kinds = ['pod/', 'host/'].filter((kind) => current.startsWith(kind))
  return [
    ...own.map((pod) => ({ value: pod.name, about: aboutPod(pod) })),
    ...kinds.flatMap((kind) => (kind === 'pod/' ? own : names.nodes).map(({ name }) => ({ value: kind + name, about: '' }))),
    ...names.pods.map((pod) => ({ value: `${pod.namespace}/${pod.name}`, about: aboutPod(pod) })).filter(({ value }) => isElsewhere(value, namespace, current)),
    ...names.services
      .filter((name) => name.startsWith(`${namespace}/`))
      .map((name) => ({ value: `svc/${name.slice(namespace.length + 1)}`, about: 'Service' })),
    ...names.nodes.map((node) => ({ value: `node/${node.name}`, about: `node, ${formatIp(node.address)}` })),
  ]
}

/** A pod of the namespace is named bare, unless its namespace has been typed. */
function isElsewhere(name: string, namespace: string, current: string): boolean {
  return !name.startsWith(`${namespace}/`) || current.includes('/')
}

function aboutPod({ node, namespace }: Cluster['pods'][number]): string {
  return node === undefined ? `pod of ${namespace}` : `pod of ${namespace} on ${node}`
}

function portsOf({ pods }: CompletionNames, namespace: string, base: string): Candidate[] {
  const name = base.replace(/^pod\//, '')
  const pod = pods.find((one) => `${one.namespace}/${one.name}` === name || (one.namespace === namespace && one.name === name))
  return (pod?.ports ?? []).map(({ port, protocol }) => ({ value: `${base}:${port}`, about: `containerPort, ${protocol}` }))
}

/** For NODE of `show`: whatever has a netns. */
export function placeCandidates({ pods, nodes, routers }: CompletionNames, namespace: string): Candidate[] {
  return [
    ...nodes.map(({ name, address }) => ({ value: name, about: `node, ${formatIp(address)}` })),
    ...pods.map((pod) => ({ value: pod.namespace === namespace ? pod.name : `${pod.namespace}/${pod.name}`, about: aboutPod(pod) })),
    ...routers.map(({ name }) => ({ value: `router/${name}`, about: 'router' })),
  ]
}
