/** A Pod object → what the network needs of it. Where it runs and which address it has may still be open: placement and IPAM fill them. */
import type { InferOutput } from 'valibot'
import { isIpv6Text, parseIp, type Ip } from '../base/ip.js'
import { addressFault, nameFault } from './fields.js'
import { podSchema } from './kubernetes-schemas.js'
import { NODE_OPERATORS, requirementFaults, type Labels, type NodeSelectorTerm } from './labels.js'
import type { KubernetesObject } from './manifest.js'
import { checkLabels } from './node.js'
import type { Place, ProblemList } from './problem-list.js'
import { check } from './schema.js'

export interface ContainerPort {
  readonly port: number
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly name?: string
  readonly hostPort?: number
  readonly hostIP?: string
  readonly line: number
}

export interface Toleration {
  readonly key: string
  readonly operator: 'Equal' | 'Exists'
  readonly value: string
  /** Empty: every effect. */
  readonly effect: string
}

/** What a scheduler asks of a node for this pod. */
export interface Scheduling {
  readonly nodeSelector: Labels
  /** Absent: no required node affinity. */
  readonly requiredTerms?: readonly NodeSelectorTerm[]
  readonly tolerations: readonly Toleration[]
}

export interface ClusterPod extends Place {
  readonly namespace: string
  readonly name: string
  /** Absent while `pending` says why. */
  readonly node?: string
  /** True when netsim's scheduler chose the node, not spec.nodeName. */
  readonly placed: boolean
  /** Why no node takes it. */
  readonly pending?: string
  /** Absent: the agents' IPAM gives one. A pod on the host's network has its node's. */
  readonly address?: Ip
  readonly hostNetwork: boolean
  /** Running unless status.phase says otherwise. */
  readonly phase: string
  /** Succeeded or Failed: it has no network any more. */
  readonly terminated: boolean
  /** None declared: taken to listen on every port. */
  readonly ports: readonly ContainerPort[]
  readonly labels: Labels
  readonly annotations: Readonly<Record<string, string>>
  readonly owner?: { readonly kind: string; readonly name: string }
  readonly scheduling: Scheduling
  readonly object: KubernetesObject
}

/** undefined when the object is wrong beyond use (reported). */
export function readPod(object: KubernetesObject, problems: ProblemList): ClusterPod | undefined {
  const value = check(podSchema(), object, problems, 'hint')
  if (value === undefined) return undefined
  checkNames(object, problems)
  const labels = value.metadata.labels ?? {}
  checkLabels(labels, object, problems)
  const spec = value.spec ?? {}
  const phase = value.status?.phase || 'Running'
  const hostNetwork = spec.hostNetwork === true
  const address = readPodAddress(value.status?.podIP ?? undefined, value.status?.podIPs ?? [], object, problems)
  const owner = (value.metadata.ownerReferences ?? []).find(({ controller }) => controller === true)
  return {
    namespace: object.namespace,
    name: object.name,
    ...(spec.nodeName ? { node: spec.nodeName } : {}),
    placed: false,
    ...(address === undefined || hostNetwork ? {} : { address }),
    hostNetwork,
    phase,
    terminated: phase === 'Succeeded' || phase === 'Failed',
    ports: readPorts(object, spec, problems),
    labels,
    annotations: value.metadata.annotations ?? {},
    ...(owner === undefined ? {} : { owner: { kind: owner.kind, name: owner.name } }),
    scheduling: readScheduling(object, spec, problems),
    object,
    file: object.file,
    line: object.line,
  }
}

type PodSpec = NonNullable<InferOutput<ReturnType<typeof podSchema>>['spec']>

function checkNames(object: KubernetesObject, problems: ProblemList): void {
  const name = nameFault(object.name, 'subdomain')
  if (name !== undefined) problems.error(object.at('metadata', 'name'), object.label, name.what, name.fix)
  const namespace = nameFault(object.namespace, 'label')
  if (namespace !== undefined) problems.error(object.at('metadata', 'namespace'), object.label, namespace.what, namespace.fix)
}

function readPodAddress(
  single: string | undefined,
  several: readonly { readonly ip?: string | null | undefined }[],
  object: KubernetesObject,
  problems: ProblemList,
): Ip | undefined {
  const written = [
    { text: single, place: object.at('status', 'podIP') },
    ...several.map(({ ip }, index) => ({ text: ip ?? undefined, place: object.at('status', 'podIPs', index, 'ip') })),
  ]
  for (const { text, place } of written) {
    if (text === undefined || text === '' || isIpv6Text(text)) continue
    const address = parseIp(text)
    if (address !== undefined) return address
    const fault = addressFault(text)
    problems.error(place, object.label, `podIP: ${fault?.what ?? ''}`, fault?.fix ?? '')
    return undefined
  }
  return undefined
}

/** Ports of the containers and of the init containers that stay (sidecars). */
function readPorts(object: KubernetesObject, spec: PodSpec, problems: ProblemList): ContainerPort[] {
  const ports: ContainerPort[] = []
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [index, container] of (spec[list] ?? []).entries()) {
      if (list === 'initContainers' && container.restartPolicy !== 'Always') continue
      for (const [at, declared] of (container.ports ?? []).entries()) {
        const place = object.at('spec', list, index, 'ports', at)
        const protocol = declared.protocol ?? 'TCP'
        const same = ports.find((port) => port.port === declared.containerPort && port.protocol === protocol)
        if (same !== undefined) {
          problems.warning(
            place,
            object.label,
            `port ${declared.containerPort}/${protocol} is declared twice, first on line ${same.line}`,
            'The containers of a pod share one network: two of them cannot listen on one port.',
          )
          continue
        }
        const hostPort = declared.hostPort || undefined
        ports.push({
          port: declared.containerPort,
          protocol,
          ...(declared.name ? { name: declared.name } : {}),
          ...(hostPort === undefined ? {} : { hostPort }),
          ...(declared.hostIP ? { hostIP: declared.hostIP } : {}),
          line: place.line,
        })
      }
    }
  }
  return ports
}

function readScheduling(object: KubernetesObject, spec: PodSpec, problems: ProblemList): Scheduling {
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  const requiredTerms = terms?.map((term, index) => {
    const read = (part: 'matchExpressions' | 'matchFields') =>
      (term[part] ?? []).map((requirement, at) => {
        const plain = { key: requirement.key, operator: requirement.operator, values: requirement.values ?? [] }
        const path = ['spec', 'affinity', 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution', 'nodeSelectorTerms', index, part, at]
        for (const fault of requirementFaults(plain, NODE_OPERATORS)) problems.error(object.at(...path, ...fault.path), object.label, fault.what, fault.fix)
        return plain
      })
    return { matchExpressions: read('matchExpressions'), matchFields: read('matchFields') }
  })
  return {
    nodeSelector: spec.nodeSelector ?? {},
    ...(requiredTerms === undefined ? {} : { requiredTerms }),
    tolerations: (spec.tolerations ?? []).map(({ key, operator, value, effect }) => ({
      key: key ?? '',
      operator: operator ?? 'Equal',
      value: value ?? '',
      effect: effect ?? '',
    })),
  }
}
