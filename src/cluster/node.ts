/** A Node object → what the network needs of it: addresses, podCIDR, labels, taints and the annotations of flannel and Calico. */
import type { InferOutput } from 'valibot'
import { contains, formatCidr, parseAddressWithLength, parseCidr, type Cidr } from '../base/cidr.js'
import { isIpv6Text, parseIp, type Ip } from '../base/ip.js'
import { addressFault, cidrFault, nameFault } from './fields.js'
import { nodeSchema, taintsSchema } from './kubernetes-schemas.js'
import { labelFault, type Labels } from './labels.js'
import type { KubernetesObject } from './manifest.js'
import { readAnnotation } from './annotation.js'
import { readQuantities } from './quantity.js'
import type { Place, ProblemList } from './problem-list.js'
import { check } from './schema.js'

export interface Taint {
  readonly key: string
  readonly value: string
  readonly effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
  /** It stands in the annotation of Kubernetes 1.3 to 1.5: the scheduler obeys it, the controllers of that time do not. */
  readonly annotated?: true
}

/** The annotations `flannel.alpha.coreos.com/…` as they stand; flanneld's own reading of them is its business. */
interface FlannelAnnotations extends Place {
  readonly backendType?: string
  /** JSON text. */
  readonly backendData?: string
  readonly publicIp?: string
  readonly publicIpOverwrite?: string
  readonly nodePublicIp?: string
}

export interface ClusterNode extends Place {
  readonly name: string
  readonly address: Ip
  /** Of its card's address: the segment's. */
  readonly prefixLength: number
  /** The segment that its card is plugged into; empty when it is in none (reported). */
  readonly segment: string
  /** Of its card: from the annotation netsim/mtu, else the segment's. */
  readonly mtu: number
  readonly podCIDR?: Cidr
  /** True when netsim stood in for the controller manager and drew the podCIDR from the cluster's. */
  readonly podCIDRAssumed: boolean
  readonly labels: Labels
  readonly annotations: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  readonly unschedulable: boolean
  /** What pods may use, by name of the resource: cores, bytes, pods. Absent: not told, as much as they like. */
  readonly allocatable?: Readonly<Record<string, number>>
  readonly flannel?: FlannelAnnotations
  readonly object: KubernetesObject
}

/** A node by itself, before the underlay gives it a segment. */
export type NodeReading = Omit<ClusterNode, 'prefixLength' | 'segment' | 'mtu' | 'podCIDRAssumed'> & { readonly prefixLength?: number; readonly mtu?: number }

export const ADDRESS_ANNOTATION = 'netsim/address'
const TAINTS_ANNOTATION = 'scheduler.alpha.kubernetes.io/taints'
export const MTU_ANNOTATION = 'netsim/mtu'
const CALICO_ADDRESS_ANNOTATION = 'projectcalico.org/IPv4Address'
const FLANNEL_PREFIX = 'flannel.alpha.coreos.com/'

/** undefined when the object is wrong beyond use (reported). */
export function readNode(object: KubernetesObject, problems: ProblemList): NodeReading | undefined {
  const value = check(nodeSchema(), object, problems, 'hint')
  if (value === undefined) return undefined
  const fault = nameFault(object.name, 'subdomain')
  if (fault !== undefined) problems.error(object.at('metadata', 'name'), object.label, fault.what, fault.fix)
  const annotations = value.metadata.annotations ?? {}
  const labels = value.metadata.labels ?? {}
  checkLabels(labels, object, problems)
  const address = readAddress(value.status?.addresses ?? [], annotations, object, problems)
  if (address === undefined) return undefined
  // the kubelet puts the label there (nodestatus)
  if (labels['kubernetes.io/os'] === 'windows')
    problems.warning(
      object.at('metadata', 'labels', 'kubernetes.io/os'),
      object.label,
      'the node runs Windows: shown is what Linux does',
      'netsim knows the network of Linux nodes.',
    )
  const mtu = readMtu(annotations, object, problems)
  const podCIDR = readPodCidr(value.spec?.podCIDR ?? undefined, value.spec?.podCIDRs ?? [], object, problems)
  const flannel = readFlannelAnnotations(annotations, object)
  const allocatable = readAllocatable(value, object, problems)
  return {
    name: object.name,
    ...address,
    ...(mtu === undefined ? {} : { mtu }),
    ...(podCIDR === undefined ? {} : { podCIDR }),
    labels,
    annotations,
    taints: readTaints(value, annotations, object, problems),
    unschedulable: value.spec?.unschedulable === true,
    ...(allocatable === undefined ? {} : { allocatable }),
    ...(flannel === undefined ? {} : { flannel }),
    object,
    file: object.file,
    line: object.line,
  }
}

type NodeFields = InferOutput<ReturnType<typeof nodeSchema>>

/** Of the field, or of the annotation that came before it. */
function readTaints(value: NodeFields, annotations: Labels, object: KubernetesObject, problems: ProblemList): Taint[] {
  const text = annotations[TAINTS_ANNOTATION]
  const taints = value.spec?.taints ?? undefined
  if (taints !== undefined || text === undefined || text.trim() === '')
    return (taints ?? []).map((taint) => ({ key: taint.key, value: taint.value ?? '', effect: taint.effect }))
  const annotated = readAnnotation(text, taintsSchema(), { key: TAINTS_ANNOTATION, object, problems }) ?? []
  return annotated.map((taint) => ({ key: taint.key, value: taint.value ?? '', effect: taint.effect, annotated: true }))
}

/** What a kubelet that keeps nothing back says as capacity, it says as allocatable too. */
function readAllocatable(value: NodeFields, object: KubernetesObject, problems: ProblemList): Readonly<Record<string, number>> | undefined {
  const { allocatable, capacity } = value.status ?? {}
  if (allocatable) return Object.fromEntries(readQuantities(allocatable, ['status', 'allocatable'], object, problems))
  return capacity ? Object.fromEntries(readQuantities(capacity, ['status', 'capacity'], object, problems)) : undefined
}

export function checkLabels(labels: Labels, object: KubernetesObject, problems: ProblemList): void {
  for (const [key, value] of Object.entries(labels)) {
    const fault = labelFault(key, value)
    if (fault !== undefined) problems.error(object.at('metadata', 'labels', key), object.label, fault.what, fault.fix)
  }
}

interface NodeAddress {
  readonly address: Ip
  readonly prefixLength?: number
}

function readAddress(
  addresses: readonly { readonly type: string; readonly address: string }[],
  annotations: Labels,
  object: KubernetesObject,
  problems: ProblemList,
): NodeAddress | undefined {
  const annotated = readAnnotatedAddress(annotations, object, problems)
  // LegacyHostIP is InternalIP's name before Kubernetes 1.7
  for (const type of ['InternalIP', 'LegacyHostIP']) {
    for (const [index, entry] of addresses.entries()) {
      if (entry.type !== type || isIpv6Text(entry.address)) continue
      const address = parseIp(entry.address)
      if (address !== undefined)
        return annotated !== undefined && contains({ base: address, length: annotated.length }, annotated.address)
          ? { address, prefixLength: annotated.length }
          : { address }
      const fault = addressFault(entry.address)
      problems.error(object.at('status', 'addresses', index, 'address'), object.label, fault?.what ?? '', fault?.fix ?? '')
      return undefined
    }
  }
  if (annotated !== undefined) return { address: annotated.address, prefixLength: annotated.length }
  problems.error(
    object.at('status', 'addresses'),
    object.label,
    'the node has no IPv4 InternalIP',
    'Add status.addresses: [{type: InternalIP, address: 192.168.0.100}].',
  )
  return undefined
}

/** `192.168.0.100/16`: the one place where an object of Kubernetes says how long a node's prefix is. */
function readAnnotatedAddress(
  annotations: Labels,
  object: KubernetesObject,
  problems: ProblemList,
): { readonly address: Ip; readonly length: number } | undefined {
  for (const key of [ADDRESS_ANNOTATION, CALICO_ADDRESS_ANNOTATION]) {
    const text = annotations[key]
    if (text === undefined || text === '') continue
    const parsed = parseAddressWithLength(text)
    if (parsed !== undefined && parsed.length <= 30) return parsed.length === 0 ? undefined : parsed
    if (parsed === undefined)
      problems.error(
        object.at('metadata', 'annotations', key),
        object.label,
        `annotation ${key} is ${JSON.stringify(text)}`,
        'Write an address with its prefix length, like 192.168.0.100/24.',
      )
  }
  return undefined
}

function readMtu(annotations: Labels, object: KubernetesObject, problems: ProblemList): number | undefined {
  const text = annotations[MTU_ANNOTATION]
  if (text === undefined) return undefined
  const mtu = /^[0-9]{2,5}$/.test(text) ? Number(text) : 0
  if (mtu >= 68 && mtu <= 65535) return mtu
  problems.error(
    object.at('metadata', 'annotations', MTU_ANNOTATION),
    object.label,
    `annotation ${MTU_ANNOTATION} is ${JSON.stringify(text)}`,
    'Write a whole number from 68 to 65535, in quotes.',
  )
  return undefined
}

/** The IPv4 one of podCIDRs, which repeats podCIDR as its first. */
function readPodCidr(single: string | undefined, several: readonly string[], object: KubernetesObject, problems: ProblemList): Cidr | undefined {
  const written =
    several.length > 0
      ? several.map((text, index) => ({ text, place: object.at('spec', 'podCIDRs', index) }))
      : single === undefined || single === ''
        ? []
        : [{ text: single, place: object.at('spec', 'podCIDR') }]
  if (several.length > 0 && single !== undefined && single !== '' && single !== several[0]) {
    problems.error(
      object.at('spec', 'podCIDR'),
      object.label,
      `podCIDR ${single} is not the first of podCIDRs (${several[0]})`,
      'The two say the same thing: make them equal.',
    )
  }
  let found: Cidr | undefined
  for (const { text, place } of written) {
    if (isIpv6Text(text)) continue
    const prefix = parseCidr(text)
    if (typeof prefix === 'string') {
      const fault = cidrFault(text)
      problems.error(place, object.label, `podCIDR: ${fault?.what ?? ''}`, fault?.fix ?? '')
    } else if (prefix.length > 30)
      problems.error(place, object.label, `podCIDR ${formatCidr(prefix)} has no room for a bridge and a pod`, 'Use a prefix of /30 or shorter.')
    else found ??= prefix
  }
  return found
}

function readFlannelAnnotations(annotations: Labels, object: KubernetesObject): FlannelAnnotations | undefined {
  const first = Object.keys(annotations).find((key) => key.startsWith(FLANNEL_PREFIX))
  if (first === undefined) return undefined
  const fields: [string, string | undefined][] = [
    ['backendType', annotations[`${FLANNEL_PREFIX}backend-type`]],
    ['backendData', annotations[`${FLANNEL_PREFIX}backend-data`]],
    ['publicIp', annotations[`${FLANNEL_PREFIX}public-ip`]],
    ['publicIpOverwrite', annotations[`${FLANNEL_PREFIX}public-ip-overwrite`]],
    ['nodePublicIp', annotations[`${FLANNEL_PREFIX}node-public-ip`]],
  ]
  const place = object.at('metadata', 'annotations', annotations[`${FLANNEL_PREFIX}backend-data`] === undefined ? first : `${FLANNEL_PREFIX}backend-data`)
  return { ...Object.fromEntries(fields.filter(([, text]) => text !== undefined)), ...place }
}
