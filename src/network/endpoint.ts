/**
 * The ends of a question: `ns/pod`, `pod/NAME`, `node/NAME`, `host/NAME`, a bare pod name or an address, each with an optional
 * port, to a netns and an address.
 */
import { formatIp, isIpv6Text, parseIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import { nearestName } from '../cluster/nearest-name.js'
import type { Network } from './network.js'

export interface Endpoint {
  /** `default/pod-a`, `node/host-a`, or the address. */
  readonly name: string
  readonly address: Ip
  /** Name of the netns that it is in; undefined: an address that nobody here has. */
  readonly netns?: string
  readonly node?: string
  readonly port?: number
  /** A pod on its host's network that declares no port: taken to listen on the one it is asked by. */
  readonly listens?: boolean
}

/** Resolves one end. */
export function resolveEndpoint(network: Network, text: string, namespace: string): Endpoint | Problem {
  const split = /^(.*?)(?::(\d+))?$/.exec(text)
  const name = split?.[1] ?? text
  const port = split?.[2] === undefined ? undefined : Number(split[2])
  if (isIpv6Text(/^\[(.*)\]$/.exec(name)?.[1] ?? text))
    return notModelled(text, `${text} is an IPv6 address; IPv6 is not modelled yet`, 'Ask with an IPv4 address.')
  if (port !== undefined && (port < 1 || port > 65535)) return problem(text, `${port} is not a port`, 'Ports are 1 to 65535.')
  const found = lookUp(network, name, namespace)
  if ('severity' in found) return found
  return port === undefined ? found : { ...found, port }
}

/** Where a Problem about the question itself stands. */
export const REQUEST = 'request'
/** In place of it: the question is sound, and netsim cannot answer it yet (INCOMPLETE). */
export const NOT_MODELLED = 'not modelled'

function notModelled(object: string, what: string, fix: string): Problem {
  return { severity: 'error', file: NOT_MODELLED, line: 0, object, what, fix }
}

function problem(object: string, what: string, fix: string): Problem {
  return { severity: 'error', file: REQUEST, line: 0, object, what, fix }
}

function lookUp(network: Network, name: string, namespace: string): Endpoint | Problem {
  const address = parseIp(name)
  if (address !== undefined) return byAddress(network, address)
  const [kind, ...rest] = name.split('/')
  const tail = rest.join('/')
  if (rest.length === 0) return byPod(network, namespace, name)
  if (kind === 'node' || kind === 'host') return byNode(network, tail)
  if (kind === 'pod') return byPod(network, rest.length === 2 ? rest[0] : namespace, rest[rest.length - 1])
  if (kind === 'svc' || kind === 'service') return notModelled(name, 'Services are not modelled yet', 'Ask for a pod, a node or an address.')
  if (rest.length > 1) return problem(name, `"${name}" names no end`, 'Write ns/pod, pod/NAME, node/NAME, or an address.')
  return byPod(network, kind, tail)
}

function byAddress(network: Network, address: Ip): Endpoint {
  const pod = network.podWithAddress(address)
  if (pod !== undefined) return { name: `${pod.pod.namespace}/${pod.pod.name}`, address, netns: pod.dataplane.netns, node: pod.pod.node }
  const netns = network.netnsWithAddress(address)
  if (netns === undefined) return { name: formatIp(address), address }
  return { name: formatIp(address), address, netns, ...(network.cluster.nodeByName.has(netns) ? { node: netns } : {}) }
}

function byNode(network: Network, name: string): Endpoint | Problem {
  const node = network.cluster.nodeByName.get(name)
  if (node === undefined) return problem(name, `there is no node "${name}"`, suggestion(name, network.nodeNames, 'nodes'))
  return { name: `node/${name}`, address: node.address, netns: name, node: name }
}

function byPod(network: Network, namespace: string, name: string): Endpoint | Problem {
  const key = `${namespace}/${name}`
  const plan = network.podPlan(namespace, name)
  if (plan !== undefined) return { name: key, address: plan.address, netns: plan.dataplane.netns, node: plan.pod.node }
  const pod = network.cluster.podByName.get(key)
  if (pod === undefined) {
    const names = network.cluster.pods.map((candidate) => (candidate.namespace === namespace ? candidate.name : `${candidate.namespace}/${candidate.name}`))
    return problem(key, `there is no pod "${name}" in namespace "${namespace}"`, suggestion(name, names, 'pods'))
  }
  if (pod.terminated) return problem(key, `the pod has ended (${pod.phase}); it has no network any more`, '')
  if (pod.pending !== undefined || pod.node === undefined) return problem(key, `the pod is pending: ${pod.pending ?? 'no node'}`, '')
  if (pod.hostNetwork && pod.address !== undefined) {
    return { name: key, address: pod.address, netns: pod.node, node: pod.node, ...(pod.ports.length === 0 ? { listens: true } : {}) }
  }
  return problem(key, 'the pod has no network: nothing on its node gave it an address', 'See the problems of its node.')
}

function suggestion(name: string, names: readonly string[], what: string): string {
  const near = nearestName(name, names)
  if (near !== undefined) return `Did you mean ${near}?`
  const shown = names.slice(0, 8).join(', ')
  return names.length === 0 ? `There are no ${what}.` : `There are: ${shown}${names.length > 8 ? ', …' : ''}.`
}
