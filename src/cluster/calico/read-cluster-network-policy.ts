/**
 * ClusterNetworkPolicy: object → type. What the API server refuses by the CRD that Calico installs (manifests/calico.yaml of v3.32.1) is an
 * error; what came past it and Calico has an answer to is a warning that says the answer (conversion/clusternetworkpolicy.go).
 */
import * as v from 'valibot'
import type { InferOutput } from 'valibot'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { lazily, optional } from '../schema.js'
import type { ClusterNetworkPolicy, ClusterPolicyPeer, ClusterPolicyProtocol, ClusterPolicyRule, NamespacedPods } from './cluster-network-policy.js'
import { labelSelectorSchema, readLabelSelector } from './read-kubernetes-policy.js'
import { given, list, parseNet, resourceSchema, ResourceReader, text, texts } from './resource-reader.js'

const namespacedPods = () => optional(v.looseObject({ namespaceSelector: labelSelectorSchema(), podSelector: labelSelectorSchema() }))
const subject = () => v.looseObject({ namespaces: labelSelectorSchema(), pods: namespacedPods() })
const portOf = () =>
  optional(
    v.looseObject({
      destinationPort: optional(v.looseObject({ number: optional(v.number()), range: optional(v.looseObject({ start: v.number(), end: v.number() })) })),
    }),
  )
const protocol = () => v.looseObject({ tcp: portOf(), udp: portOf(), sctp: portOf(), destinationNamedPort: text() })
const peer = () => v.looseObject({ namespaces: labelSelectorSchema(), pods: namespacedPods(), networks: texts() })
const rule = () => ({ name: text(), action: v.string(), protocols: list(protocol()) })
const ingressRule = () => v.looseObject({ ...rule(), from: v.array(peer()) })
const egressRule = () => v.looseObject({ ...rule(), to: v.array(peer()) })

const schema = lazily(() =>
  resourceSchema({
    tier: v.picklist(['Admin', 'Baseline']),
    priority: v.number(),
    subject: subject(),
    ingress: list(ingressRule()),
    egress: list(egressRule()),
  }),
)

type PeerSpec = InferOutput<ReturnType<typeof peer>>
type ProtocolSpec = InferOutput<ReturnType<typeof protocol>>
type RuleSpec = InferOutput<ReturnType<typeof ingressRule>> | InferOutput<ReturnType<typeof egressRule>>

const MOST = 25
const MAX_PRIORITY = 1000

export function readClusterNetworkPolicy(object: KubernetesObject, problems: ProblemList): ClusterNetworkPolicy | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(schema(), 'name')
  if (value === undefined) return undefined
  const { spec } = value
  if (spec === undefined || spec === null) {
    reader.error(['spec'], 'a policy without a spec', 'Write spec.tier, spec.priority and spec.subject.')
    return undefined
  }
  if (!Number.isInteger(spec.priority) || spec.priority < 0 || spec.priority > MAX_PRIORITY)
    reader.error(['spec', 'priority'], `priority ${spec.priority}`, `It goes from 0 to ${MAX_PRIORITY}.`)
  const about = readSubject(spec.subject, reader)
  if (about === undefined) return undefined
  return {
    ...reader.head(value.metadata),
    tier: spec.tier,
    priority: spec.priority,
    subject: about,
    ingress: readRules(spec.ingress, ['spec', 'ingress'], 'from', reader),
    egress: readRules(spec.egress, ['spec', 'egress'], 'to', reader),
  }
}

function readSubject({ namespaces, pods }: InferOutput<ReturnType<typeof subject>>, reader: ResourceReader): ClusterNetworkPolicy['subject'] | undefined {
  const path = ['spec', 'subject']
  const byNamespace = readLabelSelector(namespaces, [...path, 'namespaces'], reader)
  const byPod = readPods(pods, [...path, 'pods'], reader)
  if (byNamespace !== undefined && byPod !== undefined) reader.error(path, 'both namespaces and pods', 'Keep one of them: pods has a namespaceSelector.')
  if (byNamespace !== undefined) return { namespaces: byNamespace }
  if (byPod !== undefined) return { pods: byPod }
  reader.error(path, 'the policy has no subject: it is for nobody', 'Write namespaces: {} for every pod.')
  return undefined
}

function readPods(spec: InferOutput<ReturnType<typeof namespacedPods>>, path: Path, reader: ResourceReader): NamespacedPods | undefined {
  if (spec === undefined || spec === null) return undefined
  return {
    namespaceSelector: readLabelSelector(spec.namespaceSelector, [...path, 'namespaceSelector'], reader) ?? {},
    podSelector: readLabelSelector(spec.podSelector, [...path, 'podSelector'], reader) ?? {},
  }
}

function readRules(specs: readonly RuleSpec[] | null | undefined, path: Path, peers: 'from' | 'to', reader: ResourceReader): ClusterPolicyRule[] {
  if (specs !== null && specs !== undefined && specs.length > MOST) reader.error(path, `${specs.length} rules`, `A policy has at most ${MOST} of a direction.`)
  return (specs ?? []).map((spec, index) => {
    const at = [...path, index]
    if (!['Accept', 'Deny', 'Pass'].includes(spec.action))
      reader.error([...at, 'action'], `action ${JSON.stringify(spec.action)}`, 'Write Accept, Deny or Pass.')
    const written = spec[peers] as readonly PeerSpec[]
    if (written.length === 0) reader.error([...at, peers], `${peers} is empty: the rule is for nobody`, 'Write namespaces: {} for every pod.')
    const read: ClusterPolicyRule = {
      name: spec.name ?? '',
      action: spec.action,
      peers: written.map((one, i) => readPeer(one, { path: [...at, peers, i], peers, action: spec.action }, reader)),
      protocols: (spec.protocols ?? []).map((one, i) => readProtocol(one, [...at, 'protocols', i], reader)),
      ...reader.at(at),
    }
    if (read.protocols.some(({ namedPort }) => namedPort !== undefined) && read.peers.some(({ networks }) => networks.length > 0))
      reader.error([...at, 'protocols'], 'a named port beside networks', 'Networks have no named ports: write a number.')
    return read
  })
}

interface PeerPlace {
  readonly path: Path
  readonly peers: 'from' | 'to'
  readonly action: string
}

function readPeer(spec: PeerSpec, { path, peers, action }: PeerPlace, reader: ResourceReader): ClusterPolicyPeer {
  const networks = peers === 'to' ? (spec.networks ?? []) : []
  if (peers === 'from' && (spec.networks ?? []).length > 0) reader.error([...path, 'networks'], 'networks in an ingress rule', 'They are for egress alone.')
  networks.forEach((network, i) => {
    if (parseNet(network) === undefined || !network.includes('/'))
      reader.error([...path, 'networks', i], `${JSON.stringify(network)} is no prefix`, 'Write it like 10.0.0.0/8.')
  })
  const read: ClusterPolicyPeer = {
    ...given({ namespaces: readLabelSelector(spec.namespaces, [...path, 'namespaces'], reader), pods: readPods(spec.pods, [...path, 'pods'], reader) }),
    networks,
  }
  const count = [read.namespaces !== undefined, read.pods !== undefined, networks.length > 0].filter(Boolean).length
  if (count > 1) reader.error(path, 'a peer of several kinds', 'Make a peer of each.')
  if (count === 0)
    reader.warning(
      path,
      `a peer that Calico cannot read: ${action === 'Accept' ? 'the rule is left out' : 'the rule denies everything'}, as Calico does`,
      peers === 'to' ? 'It knows namespaces, pods and networks.' : 'It knows namespaces and pods.',
    )
  return read
}

/** The first field that is there wins, in this order. */
function readProtocol(spec: ProtocolSpec, path: Path, reader: ResourceReader): ClusterPolicyProtocol {
  const named = spec.destinationNamedPort || undefined
  const fields = [spec.tcp, spec.udp, spec.sctp, named].filter((field) => field !== undefined && field !== null)
  if (fields.length > 1) reader.error(path, 'several protocols in one entry', 'Make an entry of each.')
  if (fields.length === 0)
    reader.warning(path, 'an entry without tcp, udp, sctp or destinationNamedPort: the rule is for every protocol, as Calico takes it', '')
  for (const [key, protocol] of [
    ['tcp', 'TCP'],
    ['udp', 'UDP'],
    ['sctp', 'SCTP'],
  ] as const) {
    const field = spec[key]
    if (field === undefined || field === null) continue
    const port = field.destinationPort
    if (port === undefined || port === null) return { protocol }
    return { protocol, ...given({ port: readPort(port, [...path, key, 'destinationPort'], reader) }) }
  }
  return given({ namedPort: named })
}

type PortSpec = NonNullable<NonNullable<InferOutput<ReturnType<typeof portOf>>>['destinationPort']>

function readPort({ number, range }: PortSpec, path: Path, reader: ResourceReader): ClusterPolicyProtocol['port'] {
  const one = number === undefined || number === null ? range : { start: number, end: number }
  if (one === undefined || one === null) {
    reader.error(path, 'neither number nor range', 'Write number: 80, or range: {start: 8000, end: 8080}.')
    return undefined
  }
  for (const port of new Set([one.start, one.end])) {
    if (!(Number.isInteger(port) && port >= 1 && port <= 65535)) reader.error(path, `${port} is no port`, 'Ports go from 1 to 65535.')
  }
  if (one.start > one.end || (number === undefined && one.start === one.end))
    reader.error(path, `range ${one.start} to ${one.end}`, 'The start is less than the end.')
  return { from: one.start, to: one.end }
}
