/** A Pod object → what the network needs of it. Where it runs and which address it has may still be open: placement and IPAM fill them. */
import type { InferOutput } from 'valibot'
import { isIpv6Text, parseIp, type Ip } from '../base/ip.js'
import { addressFault, nameFault } from './fields.js'
import { podSchema } from './kubernetes-schemas.js'
import type { Labels } from './labels.js'
import { isObject, valueAt } from './located.js'
import type { KubernetesObject } from './manifest.js'
import { checkLabels } from './node.js'
import { portsOf, readContainers, type Container, type ContainerPort, type PodSpec } from './pod-containers.js'
import { readScheduling, type Scheduling } from './pod-scheduling.js'
import type { Place, ProblemList } from './problem-list.js'
import { check } from './schema.js'

/** What spec.dnsConfig adds to a pod's resolv.conf. */
export interface DnsConfig {
  readonly nameservers: readonly string[]
  readonly searches: readonly string[]
  /** `ndots:2` is { name: ndots, value: 2 }; one without a value has none. */
  readonly options: readonly { readonly name: string; readonly value?: string }[]
}

export interface PodOwner {
  readonly kind: string
  readonly name: string
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
  readonly owner?: PodOwner
  readonly scheduling: Scheduling
  /** spec.hostname; absent: the pod's name is its host name, and it has no DNS name of its own. */
  readonly hostname?: string
  /** spec.subdomain: the headless Service under which it has its DNS name. */
  readonly subdomain?: string
  /** ClusterFirst where nothing is written. */
  readonly dnsPolicy: string
  readonly dnsConfig?: DnsConfig
  readonly containers: readonly Container[]
  /** By status.conditions; without them a running pod is taken to be ready. */
  readonly ready: boolean
  /** It has a deletionTimestamp. */
  readonly terminating: boolean
  /** True when netsim made the pod of its owner's template: a name that ends in drawn characters is netsim's draw. */
  readonly assumed: boolean
  /** Of a pod made of a template: the workload's template. */
  readonly object: KubernetesObject
}

const NO_WORDS: Labels = Object.freeze({})

/** The object's own words rather than the schema's copy of them: pods of one template may have them in common (shared-values.ts). */
function asWritten(words: Labels, object: KubernetesObject, field: string): Labels {
  const written = valueAt(object.value, ['metadata', field])
  return isObject(written) && Object.keys(written).length === Object.keys(words).length ? (written as Labels) : words
}

/** undefined when the object is wrong beyond use (reported). */
export function readPod(object: KubernetesObject, problems: ProblemList): ClusterPod | undefined {
  const value = check(podSchema(), object, problems, 'hint')
  if (value === undefined) return undefined
  checkNames(object, problems)
  const labels = asWritten(value.metadata.labels ?? NO_WORDS, object, 'labels')
  checkLabels(labels, object, problems)
  const spec = value.spec ?? {}
  const phase = value.status?.phase || 'Running'
  const hostNetwork = spec.hostNetwork === true
  const address = readPodAddress(value.status?.podIP ?? undefined, value.status?.podIPs ?? [], object, problems)
  const annotations = asWritten(value.metadata.annotations ?? NO_WORDS, object, 'annotations')
  const containers = readContainers(object, spec, problems)
  const owner = controllerOf(value.metadata.ownerReferences ?? [], object, problems) ?? createdBy(annotations)
  const hostname = spec.hostname || annotations['pod.beta.kubernetes.io/hostname']
  const subdomain = spec.subdomain || annotations['pod.beta.kubernetes.io/subdomain']
  const dnsConfig = readDnsConfig(spec)
  const ready = value.status?.conditions?.find(({ type }) => type === 'Ready')
  return {
    namespace: object.namespace,
    name: object.name,
    ...(spec.nodeName ? { node: spec.nodeName } : {}),
    placed: false,
    ...(address === undefined || hostNetwork ? {} : { address }),
    hostNetwork,
    phase,
    terminated: phase === 'Succeeded' || phase === 'Failed',
    ports: portsOf(containers, object, problems),
    labels,
    annotations,
    ...(owner === undefined ? {} : { owner: { kind: owner.kind, name: owner.name } }),
    scheduling: readScheduling(object, spec, annotations, problems),
    ...(hostname ? { hostname } : {}),
    ...(subdomain ? { subdomain } : {}),
    dnsPolicy: spec.dnsPolicy || 'ClusterFirst',
    ...(dnsConfig === undefined ? {} : { dnsConfig }),
    containers,
    ready: ready === undefined ? phase === 'Running' : ready.status === 'True',
    terminating: Boolean(value.metadata.deletionTimestamp),
    assumed: false,
    object,
    file: object.file,
    line: object.line,
  }
}

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

function readDnsConfig({ dnsConfig }: PodSpec): DnsConfig | undefined {
  if (!dnsConfig) return undefined
  return {
    nameservers: dnsConfig.nameservers ?? [],
    searches: dnsConfig.searches ?? [],
    options: (dnsConfig.options ?? []).map(({ name, value }) => ({ name: name ?? '', ...(value ? { value } : {}) })),
  }
}

type OwnerReference = NonNullable<NonNullable<InferOutput<ReturnType<typeof podSchema>>['metadata']['ownerReferences']>>[number]

/** One without a kind is reported, and stands for its name: the pod is there all the same. */
function controllerOf(references: readonly OwnerReference[], object: KubernetesObject, problems: ProblemList): PodOwner | undefined {
  const index = references.findIndex(({ controller }) => controller === true)
  if (index < 0) return undefined
  const { kind, name } = references[index]
  if (!kind) problems.error(object.at('metadata', 'ownerReferences', index), object.label, 'an owner without a kind', 'Write kind: ReplicaSet, or whose it is.')
  return { kind: kind ?? '', name }
}

/** Before there were ownerReferences the controllers wrote themselves into an annotation, as JSON. */
function createdBy(annotations: Labels): PodOwner | undefined {
  const text = annotations['kubernetes.io/created-by']
  if (text === undefined) return undefined
  try {
    const value = JSON.parse(text) as { readonly reference?: { readonly kind?: unknown; readonly name?: unknown } } | null
    const { kind, name } = value?.reference ?? {}
    return typeof kind === 'string' && typeof name === 'string' ? { kind, name } : undefined
  } catch {
    return undefined
  }
}
