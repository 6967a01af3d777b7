/**
 * The ends of a question: `ns/pod`, `pod/NAME`, `ns/pod/container`, `svc/NAME`, `node/NAME`, `host/NAME`, `router/NAME`, a DNS name, a bare pod name or
 * an address, each with an optional port, to a netns and an address.
 */
import { formatIp, isIpv6Text, parseIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { Resolution } from '../cluster/dns/resolve.js'
import { nearestName } from '../cluster/nearest-name.js'
import type { ClusterService } from '../cluster/services/service.js'
import { routerName } from './hosts.js'
import { containerEnd, nameEnd, serviceEnd, type Wanted } from './named-end.js'
import type { Network } from './network.js'
import { outsideName } from './outside.js'
import { notModelled, requestProblem } from './request-problem.js'
import { PORT_PROTOCOLS } from './pods.js'
import type { Protocol } from './request.js'

/** A source that is the node of the pod that is asked: who probes it. */
export const KUBELET = 'kubelet'

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
  /** What its port speaks. */
  readonly proto?: Protocol
  /** Whose address it is, or led to it. */
  readonly service?: ClusterService
  /** How the name was looked up. */
  readonly resolution?: Resolution
  /** Further addresses of the name; a client takes the first. */
  readonly others?: readonly Ip[]
}

/** What else says which end is meant. */
export interface EndContext {
  /** Of bare names. */
  readonly namespace: string
  /** The source, for a destination: whose resolver looks names up. */
  readonly asker?: Endpoint
  readonly proto?: Protocol
}

/** Resolves one end. */
export function resolveEndpoint(network: Network, text: string, context: EndContext): Endpoint | Problem {
  const split = /^(.*?)(?::(\d+|[a-z0-9-]*[a-z][a-z0-9-]*))?$/.exec(text)
  const name = split?.[1] ?? text
  const word = split?.[2]
  const port = word === undefined ? undefined : /^\d+$/.test(word) ? Number(word) : word
  if (isIpv6Text(/^\[(.*)\]$/.exec(name)?.[1] ?? text))
    return notModelled(text, `${text} is an IPv6 address; IPv6 is not modelled yet`, 'Ask with an IPv4 address.')
  if (typeof port === 'number' && (port < 1 || port > 65535)) return requestProblem(text, `${port} is not a port`, 'Ports are 1 to 65535.')
  const wanted: Wanted = { ...(port === undefined ? {} : { port }), ...(context.proto === undefined ? {} : { proto: context.proto }) }
  const found = lookUp(network, name, { ...context, wanted })
  if ('severity' in found || port === undefined) return found
  return typeof port === 'number' ? { ...found, port } : (namedPort(network, found, port) ?? found)
}

/** The number of a containerPort that has this name; of a Service its own port was found before. */
function namedPort(network: Network, end: Endpoint, name: string): Endpoint | Problem | undefined {
  if (end.port !== undefined && end.service !== undefined) return undefined
  const pod = network.cluster.podByName.get(end.netns ?? '')
  const found = pod?.ports.find((port) => port.name === name)
  if (found !== undefined) return { ...end, port: found.port, proto: PORT_PROTOCOLS[found.protocol] }
  const names = pod?.ports.flatMap((port) => port.name ?? []) ?? []
  return requestProblem(end.name, `${end.name} has no port called "${name}"`, names.length === 0 ? 'Write the number.' : `It has ${names.join(', ')}.`)
}

interface Looking extends EndContext {
  readonly wanted: Wanted
}

function lookUp(network: Network, name: string, looking: Looking): Endpoint | Problem {
  const { namespace } = looking
  const address = parseIp(name)
  if (address !== undefined) return byAddress(network, address)
  if (/^[a-z]+:\/\//i.test(name))
    return requestProblem(name, `${name} is a URL`, 'A destination may be one of http or https, by itself; ask for the address otherwise.')
  const [kind, ...rest] = name.split('/')
  const tail = rest.join('/')
  if (rest.length === 0) return byBareName(network, name, looking)
  if (kind === 'node') return byNode(network, tail)
  if (kind === 'host') return byHost(network, tail)
  if (kind === 'router') return byRouter(network, tail)
  if (kind === 'svc' || kind === 'service') return serviceEnd(network, namespaced(rest, namespace), looking.wanted)
  const [space, pod, container] = kind === 'pod' ? (rest.length === 1 ? [namespace, ...rest] : rest) : [kind, ...rest]
  const found = byPod(network, space, pod)
  if (container === undefined || 'severity' in found) return found
  const object = network.cluster.podByName.get(`${space}/${pod}`)
  return object === undefined ? found : containerEnd(found, { pod: object, container }, looking.asker)
}

function namespaced(parts: readonly string[], namespace: string): { readonly namespace: string; readonly name: string } {
  return parts.length === 1 ? { namespace, name: parts[0] } : { namespace: parts[0], name: parts.slice(1).join('/') }
}

/** A pod of the namespace; else, with dots, a name for the source's resolver. */
function byBareName(network: Network, name: string, { namespace, asker }: Looking): Endpoint | Problem {
  if (network.cluster.podByName.has(`${namespace}/${name}`)) return byPod(network, namespace, name)
  if (name === KUBELET) return requestProblem(name, 'the kubelet is a source of probes alone', 'As a destination write node/NAME.')
  if (name.includes('.') || name === 'localhost') return nameEnd(network, asker, name)
  const found = byPod(network, namespace, name)
  const isService = network.cluster.services.some((service) => service.namespace === namespace && service.name === name)
  return 'severity' in found && isService ? { ...found, fix: `There is a Service of that name: write svc/${name}.` } : found
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
  if (node === undefined) return requestProblem(name, `there is no node "${name}"`, suggestion(name, network.nodeNames, 'nodes'))
  return { name: `node/${name}`, address: node.address, netns: name, node: name }
}

/** Beyond the cluster; a node is a host too. */
function byHost(network: Network, name: string): Endpoint | Problem {
  const { outsideHosts, nodeByName } = network.cluster
  const host = outsideHosts.find((one) => one.name === name)
  if (host !== undefined) return { name: `host/${name}`, address: host.address, netns: outsideName(host) }
  if (nodeByName.has(name)) return byNode(network, name)
  const names = [...outsideHosts.map((one) => one.name), ...network.nodeNames]
  return requestProblem(name, `there is no host "${name}"`, suggestion(name, names, 'hosts'))
}

function byRouter(network: Network, name: string): Endpoint | Problem {
  const router = network.cluster.routers.find((one) => one.name === name)
  const [card] = router?.interfaces ?? []
  if (router === undefined || card === undefined)
    return requestProblem(
      name,
      `there is no router "${name}"`,
      suggestion(
        name,
        network.cluster.routers.map((one) => one.name),
        'routers',
      ),
    )
  return { name: `router/${name}`, address: card.address, netns: routerName(router) }
}

function byPod(network: Network, namespace: string, name: string): Endpoint | Problem {
  const key = `${namespace}/${name}`
  const plan = network.podPlan(namespace, name)
  if (plan !== undefined) return { name: key, address: plan.address, netns: plan.dataplane.netns, node: plan.pod.node }
  const pod = network.cluster.podByName.get(key)
  if (pod === undefined) {
    const names = network.cluster.pods.map((candidate) => (candidate.namespace === namespace ? candidate.name : `${candidate.namespace}/${candidate.name}`))
    return requestProblem(key, `there is no pod "${name}" in namespace "${namespace}"`, suggestion(name, names, 'pods'))
  }
  if (pod.terminated) return requestProblem(key, `the pod has ended (${pod.phase}); it has no network any more`, '')
  if (pod.pending !== undefined || pod.node === undefined) return requestProblem(key, `the pod is pending: ${pod.pending ?? 'no node'}`, '')
  if (pod.hostNetwork && pod.address !== undefined) {
    return { name: key, address: pod.address, netns: pod.node, node: pod.node, ...(pod.ports.length === 0 ? { listens: true } : {}) }
  }
  // in time: its node is off, or has not plugged it in
  if (network.isMoment && pod.address !== undefined) return { name: key, address: pod.address, node: pod.node }
  return requestProblem(key, 'the pod has no network: nothing on its node gave it an address', 'See the problems of its node.')
}

function suggestion(name: string, names: readonly string[], what: string): string {
  const near = nearestName(name, names)
  if (near !== undefined) return `Did you mean ${near}?`
  const shown = names.slice(0, 8).join(', ')
  return names.length === 0 ? `There are no ${what}.` : `There are: ${shown}${names.length > 8 ? ', …' : ''}.`
}
