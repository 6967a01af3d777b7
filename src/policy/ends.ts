/**
 * Names of ends → ends, as trace takes them and as the lists write them:
 *   ns/pod, pod/NAME, pod/ns/NAME, NAME            a pod; where there is none of that name, a workload
 *   deploy/NAME, deploy/ns/NAME, ns/NAME[Deployment]  a workload: its first pod
 *   node/NAME                                      a node
 *   10.0.0.1, fd00::1, 10.0.0.0/8, 1.2.3.0-1.2.3.9 an address or a range; of one address whoever has it
 */
import type { Problem } from '../base/problem.js'
import { suggestName } from '../cluster/nearest-name.js'
import { coversRange, parseRange, type AddressRange } from './address-range.js'
import type { End, PolicyPod, PolicyWorld } from './model.js'

/** The words of kubectl. */
const WORKLOADS: Readonly<Record<string, string>> = {
  deploy: 'Deployment',
  deployment: 'Deployment',
  rs: 'ReplicaSet',
  replicaset: 'ReplicaSet',
  rc: 'ReplicationController',
  replicationcontroller: 'ReplicationController',
  sts: 'StatefulSet',
  statefulset: 'StatefulSet',
  ds: 'DaemonSet',
  daemonset: 'DaemonSet',
  job: 'Job',
  cj: 'CronJob',
  cronjob: 'CronJob',
  vm: 'VirtualMachine',
  virtualmachine: 'VirtualMachine',
}

/** @param namespace of names that name none */
export function endNamed(world: PolicyWorld, text: string, namespace: string): End | Problem {
  const found = endsNamed(world, text, namespace)
  return isProblem(found) ? found : found[0]
}

/** All of them: a workload's pods, in the order of the world. Never empty. */
export function endsNamed(world: PolicyWorld, text: string, namespace: string): readonly End[] | Problem {
  const range = parseRange(text) ?? parseSpan(text)
  if (range !== undefined) return [endOfRange(world, range)]
  const external = /^(.+)\[External\]$/.exec(text)
  if (external !== null) {
    const named = parseRange(external[1]) ?? parseSpan(external[1])
    if (named !== undefined) return [{ kind: 'outside', range: named }]
  }
  const steps = text.split('/')
  if (steps.length > 3 || steps.includes('')) return problem(text, `${JSON.stringify(text)} names no end`, FORMS)
  if (steps[0] === 'node' && steps.length === 2) return nodeNamed(world, steps[1])
  const labelled = /^(.+)\[([A-Za-z]+)\]$/.exec(text)
  if (labelled !== null) return inKind(world, labelled[2], { ...splitName(labelled[1], namespace), text })
  const kind = steps.length > 1 ? (steps[0] === 'pod' || steps[0] === 'po' ? 'Pod' : WORKLOADS[steps[0].toLowerCase()]) : undefined
  // a namespace may be called deploy: where it holds such a pod, that is meant
  const plain = steps.length < 3 ? podsCalled(world, splitName(text, namespace)) : []
  if (plain.length > 0) return plain
  if (kind !== undefined) return inKind(world, kind, { ...splitName(steps.slice(1).join('/'), namespace), text })
  return problem(text, `there is no pod or workload ${JSON.stringify(text)}`, suggestName(text, namesIn(world, namespace)))
}

export function isProblem(found: End | readonly End[] | Problem): found is Problem {
  return 'severity' in found
}

const FORMS = 'Write ns/pod, deploy/NAME, node/NAME or an address.'

interface Name {
  readonly namespace: string
  readonly name: string
}

function splitName(text: string, namespace: string): Name {
  const slash = text.indexOf('/')
  return slash < 0 ? { namespace, name: text } : { namespace: text.slice(0, slash), name: text.slice(slash + 1) }
}

/** The pod of that name, else the pods of workloads of that name, else those of a Deployment whose ReplicaSets the input shows. */
function podsCalled({ pods }: PolicyWorld, { namespace, name }: Name): readonly PolicyPod[] {
  const here = pods.filter((pod) => pod.namespace === namespace && (pod.name === name || pod.workload.name === name || pod.deployment === name))
  const own = here.filter((pod) => pod.name === name && !pod.imagined)
  if (own.length > 0) return own.slice(0, 1)
  const below = here.filter((pod) => pod.name === name || pod.workload.name === name)
  return below.length > 0 ? below : here
}

function inKind({ pods }: PolicyWorld, kind: string, { namespace, name, text }: Name & { readonly text: string }): readonly PolicyPod[] | Problem {
  const found = pods.filter((pod) =>
    pod.namespace === namespace && kind === 'Pod' ? pod.name === name && !pod.imagined : pod.namespace === namespace && isOf(pod, kind, name),
  )
  if (found.length > 0) return found
  const known = pods.filter((pod) => pod.namespace === namespace && (kind === 'Pod' || pod.workload.kind === kind))
  const deployments = kind === 'Deployment' ? pods.flatMap((pod) => (pod.namespace === namespace ? (pod.deployment ?? []) : [])) : []
  const names = [...new Set([...known.map((pod) => (kind === 'Pod' ? pod.name : pod.workload.name)), ...deployments])]
  return problem(text, `there is no ${kind} ${namespace}/${name}`, suggestName(name, names))
}

function isOf({ workload, deployment }: PolicyPod, kind: string, name: string): boolean {
  return (workload.kind === kind && workload.name === name) || (kind === 'Deployment' && deployment === name)
}

function nodeNamed({ nodes, pods }: PolicyWorld, name: string): readonly End[] | Problem {
  const node = nodes.find((one) => one.name === name)
  if (node !== undefined) return [node]
  if (pods.some((pod) => pod.node === name)) return [{ kind: 'node', name, labels: {}, addresses: [] }]
  const names = nodes.map((one) => one.name)
  return problem(`node/${name}`, `there is no node ${name}`, suggestName(name, names))
}

function endOfRange({ pods, nodes }: PolicyWorld, range: AddressRange): End {
  const has = ({ addresses }: { readonly addresses: readonly AddressRange[] }): boolean =>
    range.first === range.last && addresses.some((own) => own.first === own.last && coversRange(own, range))
  return pods.find((pod) => !pod.hostNetwork && has(pod)) ?? nodes.find(has) ?? { kind: 'outside', range }
}

/** `1.2.3.0-1.2.3.9` */
function parseSpan(text: string): AddressRange | undefined {
  const dash = text.indexOf('-')
  const [first, last] = dash < 0 ? [] : [parseRange(text.slice(0, dash)), parseRange(text.slice(dash + 1))]
  if (first === undefined || last === undefined || first.family !== last.family || last.last < first.first) return undefined
  return { family: first.family, first: first.first, last: last.last }
}

function namesIn({ pods }: PolicyWorld, namespace: string): readonly string[] {
  const names = pods.flatMap((pod) => {
    const own = [pod.name, pod.workload.name, ...(pod.deployment === undefined ? [] : [pod.deployment])]
    return [...own.map((name) => `${pod.namespace}/${name}`), ...(pod.namespace === namespace ? own : [])]
  })
  return [...new Set(names)]
}

function problem(object: string, what: string, fix: string): Problem {
  return { severity: 'error', file: 'request', line: 0, object, what, fix }
}
