/**
 * Addresses on a path → the ends that policies know; and, where there is no network to ask, what is behind a Service by its selector and targetPort.
 */
import { formatIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import { suggestName } from '../cluster/nearest-name.js'
import type { PolicyState } from '../cluster/policy-state.js'
import { targetPortOn } from '../cluster/services/pod-endpoints.js'
import { SelectedPods } from '../cluster/services/selected-pods.js'
import type { ClusterService, ServicePort } from '../cluster/services/service.js'
import type { Network } from '../network/network.js'
import type { Protocol } from '../network/request.js'
import { requestProblem } from '../network/request-problem.js'
import { parseRange, type AddressRange } from '../policy/address-range.js'
import type { Connection } from '../policy/connections.js'
import { endNamed, endsNamed, isProblem } from '../policy/ends.js'
import type { End, PolicyPod, PolicyWorld } from '../policy/model.js'
import { policyPod } from '../policy/world.js'
import type { PathBranch, PathQuestion, PolicyPath } from './policy-path.js'

function rangeOf(address: Ip): AddressRange {
  return parseRange(formatIp(address)) as AddressRange
}

/** Whoever has the address: a pod of its own, a node (by that one of its addresses), or nobody of the cluster. */
export function endAt(network: Network, world: PolicyWorld, address: Ip): End {
  const plan = network.podWithAddress(address)
  if (plan !== undefined) {
    const { namespace, name, node } = plan.pod
    const known = world.pods.find((pod) => pod.namespace === namespace && pod.name === name)
    const pod = known ?? policyPod(plan.pod, { imagined: false, nodeAddresses: new Map() })
    return { ...pod, ...(node === undefined ? {} : { node }), addresses: [rangeOf(address)] }
  }
  const node = network.netnsWithAddress(address)
  if (node === undefined || !network.cluster.nodeByName.has(node)) return { kind: 'outside', range: rangeOf(address) }
  const labels = network.cluster.nodeByName.get(node)?.labels ?? {}
  return { ...(world.nodes.find(({ name }) => name === node) ?? { kind: 'node', name: node, labels }), addresses: [rangeOf(address)] }
}

/** A pod's name as a trace takes it: of a workload its first pod that the network has. Anything else stays as it is written. */
export function tracedName(network: Network, world: PolicyWorld, text: string, namespace: string): string {
  if (namesNoEnd(text)) return text
  const [, name, port = ''] = /^(.*?)(:[a-z0-9-]+)?$/.exec(text) ?? []
  const found = endsNamed(world, name, namespace)
  if (isProblem(found)) return text
  const pod = found.find((end): end is PolicyPod => end.kind === 'pod' && network.cluster.podByName.has(`${end.namespace}/${end.name}`))
  return pod === undefined ? text : `${pod.namespace}/${pod.name}${port}`
}

/** `svc/NAME[:PORT]`, `svc/NS/NAME[:PORT]`. */
const SERVICE = /^(?:svc|service)\/(?:([^/:]+)\/)?([^/:]+)(?::([a-z0-9-]+))?$/

/** An end that policies do not know: only a path, or a Service's selector, leads to one. */
function namesNoEnd(text: string): boolean {
  return SERVICE.test(text) || /^(host|router)\//.test(text)
}

/** Something on the way may rewrite this connection: an end is a Service, or an address or port of one, or a host outside. */
export function isTranslated(state: PolicyState, source: string, destination: string): boolean {
  if (namesNoEnd(source) || namesNoEnd(destination)) return true
  const [, name, port] = /^(.*?)(?::(\d+))?$/.exec(destination) ?? []
  const isNode = name.startsWith('node/') || state.nodes.some(({ addresses }) => addresses.includes(name))
  return state.services.some(({ clusterIP, externalIPs, loadBalancerAddresses, ports }) => {
    const own = [clusterIP, ...externalIPs, ...loadBalancerAddresses.map(({ address }) => address)]
    return own.some((address) => address !== undefined && formatIp(address) === name) || (isNode && ports.some(({ nodePort }) => String(nodePort) === port))
  })
}

/** Services that lead elsewhere in the second state than in the first, or are in one of them alone. */
export function movedServices(before: PolicyState, after: PolicyState): readonly string[] {
  const [was, now] = [before, after].map(({ services, pods, madePods }) => {
    const selected = new SelectedPods([...pods, ...madePods].filter(({ terminated }) => !terminated))
    return new Map(
      services.map(({ namespace, name, selector, clusterIP, externalIPs, loadBalancerAddresses, ports, externalLocal, internalLocal }) => {
        const behind = selected.of(namespace, selector).map((pod) => pod.name)
        const key = JSON.stringify([behind.sort(), clusterIP, externalIPs, loadBalancerAddresses, ports, externalLocal, internalLocal])
        return [`${namespace}/${name}`, key]
      }),
    )
  })
  return [...new Set([...was.keys(), ...now.keys()])].filter((name) => was.get(name) !== now.get(name)).sort()
}

/** Without a network: a Service is the pods that it selects, each at its targetPort; whatever else the question names is itself. */
export function policyPathBySelector(state: PolicyState, world: PolicyWorld, question: PathQuestion): PolicyPath | readonly Problem[] {
  const { source: from, destination: to, namespace } = question
  const source = endNamed(world, from, namespace)
  const parts = SERVICE.exec(to)
  const behind =
    parts === null
      ? namedItself(world, question)
      : podsBehind(state, world, { namespace: parts[1] ?? namespace, name: parts[2], port: parts[3] }, question.proto)
  const problems = [source, behind].filter((one): one is Problem => 'severity' in one)
  if (problems.length > 0 || isProblem(source) || 'severity' in behind) return problems
  const branches = behind.map(([pod, connection]): PathBranch => {
    const seen = { source, destination: pod, connection, netns: '', hook: '', step: 0, translations: [] }
    return { probability: 1 / behind.length, asked: connection, egress: seen, ingress: seen, translations: [], server: pod }
  })
  return { basis: 'selector', source: from, destination: to, branches }
}

/** An end that policies know by its name. */
function namedItself(world: PolicyWorld, { destination, namespace, proto }: PathQuestion): readonly (readonly [End, Connection])[] | Problem {
  const [, name, port] = /^(.*?)(?::(\d+))?$/.exec(destination) ?? []
  const end = endNamed(world, name, namespace)
  if (isProblem(end)) return end
  if (port === undefined) return requestProblem(destination, `which port of ${name} is not said`, `Write ${name}:PORT.`)
  return [[end, { protocol: proto === 'udp' ? 'UDP' : proto === 'sctp' ? 'SCTP' : 'TCP', port: Number(port) }]]
}

interface Wanted {
  readonly namespace: string
  readonly name: string
  readonly port: string | undefined
}

function podsBehind(
  state: PolicyState,
  world: PolicyWorld,
  wanted: Wanted,
  proto: Protocol | undefined,
): readonly (readonly [PolicyPod, Connection])[] | Problem {
  const { namespace, name } = wanted
  const label = `svc/${namespace}/${name}`
  const service = state.services.find((one) => one.namespace === namespace && one.name === name)
  if (service === undefined) {
    const known = state.services.filter((one) => one.namespace === namespace).map((one) => one.name)
    return requestProblem(label, `there is no Service "${name}" in namespace "${namespace}"`, suggestName(name, known))
  }
  const port = portOf(service, wanted.port, proto)
  if (port === undefined) {
    const ports = service.ports.map((one) => `${one.port}/${one.protocol}`).join(', ')
    return requestProblem(label, `which port of ${label} is not said, or it has no such port`, `It has ${ports}.`)
  }
  const living = [...state.pods, ...state.madePods].filter(({ terminated }) => !terminated)
  const selected = new SelectedPods(living).of(namespace, service.selector)
  const found = selected.flatMap((pod): (readonly [PolicyPod, Connection])[] => {
    const number = targetPortOn(pod, port)
    const end = world.pods.find((one) => one.namespace === pod.namespace && one.name === pod.name)
    return number === undefined || end === undefined ? [] : [[end, { protocol: port.protocol, port: number }]]
  })
  return found.length > 0 ? found : requestProblem(label, `${label} selects no pod with its port`, 'See its selector and targetPort.')
}

/** By number or name; the only one where none is said. */
function portOf({ ports }: ClusterService, wanted: string | undefined, proto: Protocol | undefined): ServicePort | undefined {
  const speaking = ports.filter(({ protocol }) => proto === undefined || protocol.toLowerCase() === proto)
  if (wanted === undefined) return speaking.length === 1 ? speaking[0] : undefined
  return speaking.find((one) => String(one.port) === wanted || one.name === wanted)
}
