/**
 * ClusterNetworkPolicy: object → type. What the API server refuses by the CRD that Calico installs (manifests/calico.yaml of v3.32.1) is an
 * error; what came past it and Calico has an answer to is a warning that says the answer (conversion/clusternetworkpolicy.go). For whoever asks
 * for the API's own view the CRDs of both channels (network-policy-api v0.2.0) say what is an error: what one of them takes is taken.
 */
import * as v from 'valibot'
import type { InferOutput } from 'valibot'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import { checkCidr, checkDomainName } from '../policy-fields.js'
import type { ProblemList } from '../problem-list.js'
import { lazily, optional } from '../schema.js'
import type { ClusterNetworkPolicy, ClusterPolicyPeer, ClusterPolicyProtocol, ClusterPolicyRule, NamespacedPods } from './cluster-network-policy.js'
import { labelSelectorSchema, readLabelSelector, type TakenBy } from './read-kubernetes-policy.js'
import { given, list, resourceSchema, ResourceReader, text, texts } from './resource-reader.js'

const namespacedPods = () => optional(v.looseObject({ namespaceSelector: labelSelectorSchema(), podSelector: labelSelectorSchema() }))
const subject = () => v.looseObject({ namespaces: labelSelectorSchema(), pods: namespacedPods() })
const portOf = () =>
  optional(
    v.looseObject({
      destinationPort: optional(v.looseObject({ number: optional(v.number()), range: optional(v.looseObject({ start: v.number(), end: v.number() })) })),
    }),
  )
const protocol = () => v.looseObject({ tcp: portOf(), udp: portOf(), sctp: portOf(), destinationNamedPort: text() })
const ingressPeer = () => v.looseObject({ namespaces: labelSelectorSchema(), pods: namespacedPods(), networks: texts() })
const peer = () =>
  v.looseObject({ namespaces: labelSelectorSchema(), pods: namespacedPods(), networks: texts(), nodes: labelSelectorSchema(), domainNames: texts() })
const rule = () => ({ name: text(), action: v.string(), protocols: list(protocol()) })
const ingressRule = () => v.looseObject({ ...rule(), from: v.array(ingressPeer()) })
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

const MAX_NAME = 100

interface Source {
  readonly reader: ResourceReader
  readonly takenBy: TakenBy
}

export function readClusterNetworkPolicy(object: KubernetesObject, problems: ProblemList, takenBy: TakenBy = 'calico'): ClusterNetworkPolicy | undefined {
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
  const source = { reader, takenBy }
  const about = readSubject(spec.subject, source)
  if (about === undefined) return undefined
  return {
    ...reader.head(value.metadata),
    tier: spec.tier,
    priority: spec.priority,
    subject: about,
    ingress: readRules(spec.ingress, ['spec', 'ingress'], 'from', source),
    egress: readRules(spec.egress, ['spec', 'egress'], 'to', source),
  }
}

function readSubject({ namespaces, pods }: InferOutput<ReturnType<typeof subject>>, source: Source): ClusterNetworkPolicy['subject'] | undefined {
  const { reader } = source
  const path = ['spec', 'subject']
  const byNamespace = readLabelSelector(namespaces, [...path, 'namespaces'], reader)
  const byPod = readPods(pods, [...path, 'pods'], source)
  if (byNamespace !== undefined && byPod !== undefined) reader.error(path, 'both namespaces and pods', 'Keep one of them: pods has a namespaceSelector.')
  if (byNamespace !== undefined) return { namespaces: byNamespace }
  if (byPod !== undefined) return { pods: byPod }
  reader.error(path, 'the policy has no subject: it is for nobody', 'Write namespaces: {} for every pod.')
  return undefined
}

function readPods(spec: InferOutput<ReturnType<typeof namespacedPods>>, path: Path, { reader, takenBy }: Source): NamespacedPods | undefined {
  if (spec === undefined || spec === null) return undefined
  if (takenBy === 'api' && !spec.podSelector) reader.error(path, 'pods without podSelector', 'Write podSelector: {} for all.')
  return {
    namespaceSelector: readLabelSelector(spec.namespaceSelector, [...path, 'namespaceSelector'], reader) ?? {},
    podSelector: readLabelSelector(spec.podSelector, [...path, 'podSelector'], reader) ?? {},
  }
}

function readRules(specs: readonly RuleSpec[] | null | undefined, path: Path, peers: 'from' | 'to', source: Source): ClusterPolicyRule[] {
  const { reader, takenBy } = source
  if (specs !== null && specs !== undefined && specs.length > MOST) reader.error(path, `${specs.length} rules`, `A policy has at most ${MOST} of a direction.`)
  return (specs ?? []).map((spec, index) => {
    const at = [...path, index]
    if (!['Accept', 'Deny', 'Pass'].includes(spec.action))
      reader.error([...at, 'action'], `action ${JSON.stringify(spec.action)}`, 'Write Accept, Deny or Pass.')
    const written = spec[peers] as readonly PeerSpec[]
    if (written.length === 0) reader.error([...at, peers], `${peers} is empty: the rule is for nobody`, 'Write namespaces: {} for every pod.')
    if (takenBy === 'api') checkApiRule(spec, at, peers, reader)
    const read: ClusterPolicyRule = {
      name: spec.name ?? '',
      action: spec.action,
      peers: written.map((one, i) => readPeer(one, { path: [...at, peers, i], peers, action: spec.action }, source)),
      protocols: (spec.protocols ?? []).map((one, i) => readProtocol(one, [...at, 'protocols', i], source)),
      ...reader.at(at),
    }
    const nameless = read.peers.some(({ networks, nodes, domainNames }) => networks.length > 0 || (takenBy === 'api' && (nodes ?? domainNames) !== undefined))
    if (read.protocols.some(({ namedPort }) => namedPort !== undefined) && nameless)
      reader.error([...at, 'protocols'], 'a named port beside networks', 'Networks have no named ports: write a number.')
    return read
  })
}

/** The bounds of the CRD's lists and texts. */
function checkApiRule(spec: RuleSpec, path: Path, peers: 'from' | 'to', reader: ResourceReader): void {
  if ((spec.name ?? '').length > MAX_NAME) reader.error([...path, 'name'], `a name of more than ${MAX_NAME} characters`, 'Shorten it.')
  if (spec.protocols?.length === 0) reader.error([...path, 'protocols'], 'protocols is empty', 'Leave it out for every connection.')
  const lists = [
    [peers, spec[peers] as readonly unknown[]],
    ['protocols', spec.protocols ?? []],
  ] as const
  for (const [field, list] of lists) if (list.length > MOST) reader.error([...path, field], `${list.length} items in ${field}`, `A rule has at most ${MOST}.`)
}

interface PeerPlace {
  readonly path: Path
  readonly peers: 'from' | 'to'
  readonly action: string
}

function readPeer(spec: PeerSpec, { path, peers, action }: PeerPlace, source: Source): ClusterPolicyPeer {
  const { reader, takenBy } = source
  const networks = peers === 'to' ? (spec.networks ?? []) : []
  if (peers === 'from') {
    for (const field of ['networks', 'nodes', 'domainNames'] as const) {
      const isThere = field === 'networks' ? (spec.networks ?? []).length > 0 : takenBy === 'api' && Boolean(spec[field])
      if (isThere) reader.error([...path, field], `${field} in an ingress rule`, 'They are for egress alone.')
    }
  }
  networks.forEach((network, i) => checkCidr(network, [...path, 'networks', i], reader))
  const read: ClusterPolicyPeer = {
    ...given({ namespaces: readLabelSelector(spec.namespaces, [...path, 'namespaces'], reader), pods: readPods(spec.pods, [...path, 'pods'], source) }),
    ...(peers === 'to' ? given({ nodes: readLabelSelector(spec.nodes, [...path, 'nodes'], reader), domainNames: spec.domainNames ?? undefined }) : {}),
    networks,
  }
  const own = [read.namespaces !== undefined, read.pods !== undefined, networks.length > 0]
  const fields = takenBy === 'api' ? [...own, read.nodes !== undefined, read.domainNames !== undefined] : own
  const count = fields.filter(Boolean).length
  if (count > 1) reader.error(path, 'a peer of several kinds', 'Make a peer of each.')
  if (takenBy === 'api') checkApiPeer(spec, read, { path, peers, action }, reader)
  else if (count === 0)
    reader.warning(
      path,
      `a peer that Calico cannot read: ${action === 'Accept' ? 'the rule is left out' : 'the rule denies everything'}, as Calico does`,
      peers === 'to' ? 'It knows namespaces, pods and networks.' : 'It knows namespaces and pods.',
    )
  return read
}

/** A peer by a field of some later version comes past the server of that version; who does not know it fails closed. */
function checkApiPeer(spec: PeerSpec, read: ClusterPolicyPeer, { path, peers, action }: PeerPlace, reader: ResourceReader): void {
  for (const [field, check] of [
    ['networks', undefined],
    ['domainNames', checkDomainName],
  ] as const) {
    const texts = peers === 'to' ? (spec[field] ?? undefined) : undefined
    if (texts === undefined) continue
    if (texts.length === 0) reader.error([...path, field], `${field} is empty`, 'Write at least one, or another field.')
    if (texts.length > MOST) reader.error([...path, field], `${texts.length} ${field}`, `A peer has at most ${MOST}.`)
    texts.forEach((text, i) => {
      check?.(text, [...path, field, i], reader)
      if (texts.indexOf(text) < i) reader.error([...path, field, i], `${JSON.stringify(text)} stands twice`, 'Write each once.')
    })
  }
  if (isKnownPeer(read)) return
  const known = peers === 'to' ? 'namespaces, pods, nodes and networks' : 'namespaces and pods'
  if (Object.keys(spec).length === 0) reader.error(path, 'a peer that says nobody', `The fields are ${known}.`)
  else
    reader.warning(
      path,
      `a peer of an unknown kind: the rule ${action === 'Accept' ? 'matches nothing' : 'denies everything'}, as the API asks of whoever cannot read it`,
      `Known are ${known}.`,
    )
}

export function isKnownPeer({ namespaces, pods, nodes, domainNames, networks }: ClusterPolicyPeer): boolean {
  return (namespaces ?? pods ?? nodes ?? domainNames) !== undefined || networks.length > 0
}

/** The first field that is there wins, in this order. */
function readProtocol(spec: ProtocolSpec, path: Path, { reader, takenBy }: Source): ClusterPolicyProtocol {
  const named = spec.destinationNamedPort || undefined
  const fields = [spec.tcp, spec.udp, spec.sctp, named].filter((field) => field !== undefined && field !== null)
  if (fields.length > 1) reader.error(path, 'several protocols in one entry', 'Make an entry of each.')
  if (takenBy === 'api') {
    if (fields.length === 0) reader.error(path, 'an entry that says no protocol', 'Write tcp, udp, sctp or destinationNamedPort.')
    const bare = (['tcp', 'udp', 'sctp'] as const).find((key) => spec[key] && !spec[key].destinationPort)
    if (bare !== undefined) reader.error([...path, bare], `${bare} without destinationPort`, 'Write destinationPort: {range: {start: 1, end: 65535}} for all.')
  } else if (fields.length === 0)
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
