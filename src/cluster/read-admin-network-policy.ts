/**
 * AdminNetworkPolicy, BaselineAdminNetworkPolicy: object → type, with the refusals of their CRDs (network-policy-api v0.1.7, config/crd of both
 * channels: what one of them takes is taken). What a CRD lets through and nothing can match is a warning.
 */
import * as v from 'valibot'
import type { InferOutput } from 'valibot'
import type { AdminNetworkPolicy, AdminPolicyPeer, AdminPolicyPort, AdminPolicyRefusal, AdminPolicyRule, AdminPolicySubject } from './admin-network-policy.js'
import type { NamespacedPods } from './calico/cluster-network-policy.js'
import { labelSelectorSchema, readLabelSelector } from './calico/read-kubernetes-policy.js'
import { given, list, resourceSchema, ResourceReader, text, texts } from './calico/resource-reader.js'
import type { Path } from './located.js'
import type { KubernetesObject } from './manifest.js'
import { checkCidr, checkDomainName, checkPortNumber, TRANSPORTS } from './policy-fields.js'
import type { ProblemList } from './problem-list.js'
import { lazily, optional } from './schema.js'

const namespacedPods = () => optional(v.looseObject({ namespaceSelector: labelSelectorSchema(), podSelector: labelSelectorSchema() }))
const subject = () => v.looseObject({ namespaces: labelSelectorSchema(), pods: namespacedPods() })
const peer = () =>
  v.looseObject({ namespaces: labelSelectorSchema(), pods: namespacedPods(), nodes: labelSelectorSchema(), networks: texts(), domainNames: texts() })
const port = () =>
  v.looseObject({
    portNumber: optional(v.looseObject({ protocol: text(), port: v.number() })),
    portRange: optional(v.looseObject({ protocol: text(), start: v.number(), end: v.number() })),
    namedPort: text(),
  })
const rule = () => v.looseObject({ name: text(), action: text(), from: list(peer()), to: list(peer()), ports: list(port()) })

const schema = lazily(() => resourceSchema({ priority: optional(v.number()), subject: optional(subject()), ingress: list(rule()), egress: list(rule()) }))

type SubjectSpec = InferOutput<ReturnType<typeof subject>>
type PeerSpec = InferOutput<ReturnType<typeof peer>>
type PortSpec = InferOutput<ReturnType<typeof port>>
type RuleSpec = InferOutput<ReturnType<typeof rule>>

const MOST_RULES = 100
const MOST_NETWORKS = 25
const MAX_NAME = 100
const MAX_PRIORITY = 1000

/** Both kinds. */
export function readAdminNetworkPolicy(object: KubernetesObject, problems: ProblemList): AdminNetworkPolicy | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(schema(), 'name')
  if (value === undefined) return undefined
  const kind = object.kind === 'BaselineAdminNetworkPolicy' ? object.kind : 'AdminNetworkPolicy'
  const isBaseline = kind === 'BaselineAdminNetworkPolicy'
  const { spec } = value
  if (spec === undefined || spec === null) {
    reader.error(['spec'], 'a policy without a spec', `Write ${isBaseline ? 'spec.subject' : 'spec.priority and spec.subject'}.`)
    return undefined
  }
  if (isBaseline && object.name !== 'default')
    reader.error(['metadata', 'name'], `the name ${JSON.stringify(object.name)}: a cluster has one baseline, called default`, 'Name it default.')
  if (!isBaseline) checkPriority(spec.priority, reader)
  const read = new RuleReader(reader, isBaseline)
  return {
    ...reader.head(value.metadata),
    kind,
    ...(isBaseline ? {} : given({ priority: spec.priority })),
    subject: read.subject(spec.subject),
    ingress: read.rules(spec.ingress, 'ingress'),
    egress: read.rules(spec.egress, 'egress'),
    refusals: read.refusals,
  }
}

function checkPriority(priority: number | null | undefined, reader: ResourceReader): void {
  const fix = `It goes from 0 to ${MAX_PRIORITY}; the lower number is asked first.`
  if (priority === undefined || priority === null) reader.error(['spec', 'priority'], 'a policy without a priority', fix)
  else if (!Number.isInteger(priority) || priority < 0 || priority > MAX_PRIORITY) reader.error(['spec', 'priority'], `priority ${priority}`, fix)
}

class RuleReader {
  private readonly reader: ResourceReader
  private readonly isBaseline: boolean
  readonly refusals: AdminPolicyRefusal[] = []

  constructor(reader: ResourceReader, isBaseline: boolean) {
    this.reader = reader
    this.isBaseline = isBaseline
  }

  subject(spec: SubjectSpec | null | undefined): AdminPolicySubject {
    const path = ['spec', 'subject']
    const { namespaces, pods } = spec ?? {}
    const read = given({ namespaces: readLabelSelector(namespaces, [...path, 'namespaces'], this.reader), pods: this.pods(pods, [...path, 'pods']) })
    const count = Object.keys(read).length
    if (count !== 1)
      this.reader.error(
        path,
        count === 0 ? 'the policy has no subject' : 'both namespaces and pods',
        count === 0 ? 'Write namespaces: {} for every pod.' : 'Keep one of them: pods has a namespaceSelector.',
      )
    return { ...read, ...this.reader.at(path) }
  }

  private pods(spec: InferOutput<ReturnType<typeof namespacedPods>>, path: Path): NamespacedPods | undefined {
    if (spec === undefined || spec === null) return undefined
    for (const field of ['namespaceSelector', 'podSelector'] as const) {
      if (spec[field] === undefined || spec[field] === null) this.refusals.push({ path, what: `pods without ${field}`, fix: `Write ${field}: {} for all.` })
    }
    return {
      namespaceSelector: readLabelSelector(spec.namespaceSelector, [...path, 'namespaceSelector'], this.reader) ?? {},
      podSelector: readLabelSelector(spec.podSelector, [...path, 'podSelector'], this.reader) ?? {},
    }
  }

  rules(specs: readonly RuleSpec[] | null | undefined, direction: 'ingress' | 'egress'): AdminPolicyRule[] {
    const path = ['spec', direction]
    const rules = specs ?? []
    if (rules.length > MOST_RULES) this.reader.error(path, `${rules.length} rules`, `A policy has at most ${MOST_RULES} of a direction.`)
    return rules.map((spec, index) => this.rule(spec, direction, [...path, index]))
  }

  private rule(spec: RuleSpec, direction: 'ingress' | 'egress', path: Path): AdminPolicyRule {
    const { reader } = this
    const field = direction === 'ingress' ? 'from' : 'to'
    const actions: readonly string[] = this.isBaseline ? ['Allow', 'Deny'] : ['Allow', 'Deny', 'Pass']
    const action = spec.action ?? undefined
    if (action === undefined || !actions.includes(action)) {
      const what = action === undefined ? 'a rule without an action' : `action ${JSON.stringify(action)}`
      reader.error([...path, 'action'], what, `Write ${actions.slice(0, -1).join(', ')} or ${actions.at(-1)}.`)
    }
    if ((spec.name ?? '').length > MAX_NAME) reader.error([...path, 'name'], `a name of more than ${MAX_NAME} characters`, 'Shorten it.')
    const peers = spec[field] ?? []
    if (peers.length === 0) reader.error([...path, field], `${field} is empty: the rule is for nobody`, 'Write namespaces: {} for every pod.')
    this.atMost(peers, [...path, field], 'peers')
    const { ports } = spec
    const nameless = peers.some(({ networks, nodes, domainNames }) => Boolean(networks ?? nodes ?? domainNames))
    const named = (ports ?? []).findIndex(({ namedPort }) => typeof namedPort === 'string')
    if (nameless && named >= 0) {
      const what = 'a port by name beside networks or nodes, which have none'
      this.refusals.push({ path: [...path, 'ports', named], what, fix: 'Write the number, or a rule of its own for them.' })
    }
    if (ports?.length === 0) reader.error([...path, 'ports'], 'ports is empty', 'Leave it out for every connection.')
    this.atMost(ports ?? [], [...path, 'ports'], 'ports')
    return {
      ...given({ name: spec.name || undefined }),
      action: action as AdminPolicyRule['action'],
      peers: peers.map((one, i) => this.peer(one, direction, [...path, field, i])),
      ports: (ports ?? []).map((one, i) => this.port(one, [...path, 'ports', i])),
      ...reader.at(path),
    }
  }

  private atMost(items: readonly unknown[], path: Path, of: string): void {
    if (items.length > MOST_RULES) this.reader.error(path, `${items.length} ${of}`, `A rule has at most ${MOST_RULES} ${of}.`)
  }

  private peer(spec: PeerSpec, direction: 'ingress' | 'egress', path: Path): AdminPolicyPeer {
    const { reader } = this
    const read = given({
      namespaces: readLabelSelector(spec.namespaces, [...path, 'namespaces'], reader),
      pods: this.pods(spec.pods, [...path, 'pods']),
      nodes: readLabelSelector(spec.nodes, [...path, 'nodes'], reader),
      networks: spec.networks ?? undefined,
      domainNames: spec.domainNames ?? undefined,
    })
    if (direction === 'ingress') {
      for (const field of ['nodes', 'networks', 'domainNames'] as const)
        if (read[field] !== undefined) reader.error([...path, field], `${field} in an ingress rule`, 'They are for egress alone.')
    }
    if (this.isBaseline && read.domainNames !== undefined)
      reader.error([...path, 'domainNames'], 'domainNames in the baseline', 'They are for AdminNetworkPolicy alone.')
    this.checkTexts(read.networks, [...path, 'networks'], checkCidr)
    this.checkTexts(read.domainNames, [...path, 'domainNames'], checkDomainName)
    const fields = Object.keys(read)
    if (fields.length > 1) reader.error(path, `a peer of several kinds: ${fields.join(', ')}`, 'Make a peer of each.')
    const known = direction === 'ingress' ? 'namespaces or pods' : 'namespaces, pods, nodes or networks'
    if (fields.length === 0) reader.error(path, 'a peer that says nobody', `Write ${known}.`)
    return { ...read, ...reader.at(path) }
  }

  private checkTexts(values: readonly string[] | undefined, path: Path, check: (value: string, path: Path, reader: ResourceReader) => void): void {
    if (values === undefined) return
    const field = String(path.at(-1))
    if (values.length === 0) this.reader.error(path, `${field} is empty`, 'Write at least one, or another field.')
    if (values.length > MOST_NETWORKS) this.reader.error(path, `${values.length} ${field}`, `A peer has at most ${MOST_NETWORKS}.`)
    values.forEach((value, i) => {
      check(value, [...path, i], this.reader)
      if (values.indexOf(value) < i) this.reader.error([...path, i], `${JSON.stringify(value)} stands twice`, 'Write each once.')
    })
  }

  private port(spec: PortSpec, path: Path): AdminPolicyPort {
    const { reader } = this
    const fields = (['portNumber', 'portRange', 'namedPort'] as const).filter((field) => spec[field] !== undefined && spec[field] !== null)
    if (fields.length > 1) reader.error(path, `a port of several kinds: ${fields.join(', ')}`, 'Make an entry of each.')
    if (fields.length === 0) reader.error(path, 'a port that says nothing', 'Write portNumber, portRange or namedPort.')
    const { portNumber, portRange } = spec
    if (portNumber) checkPortNumber(portNumber.port, [...path, 'portNumber', 'port'], reader)
    if (portRange) {
      checkPortNumber(portRange.start, [...path, 'portRange', 'start'], reader)
      checkPortNumber(portRange.end, [...path, 'portRange', 'end'], reader)
    }
    for (const field of ['portNumber', 'portRange'] as const) {
      const protocol = spec[field]?.protocol
      if (protocol && !TRANSPORTS.includes(protocol))
        reader.warning([...path, field, 'protocol'], `protocol ${JSON.stringify(protocol)}: it matches nothing`, 'Write TCP, UDP or SCTP.')
    }
    return {
      ...(portNumber ? { portNumber: { protocol: portNumber.protocol ?? 'TCP', port: portNumber.port } } : {}),
      ...(portRange ? { portRange: { protocol: portRange.protocol ?? 'TCP', start: portRange.start, end: portRange.end } } : {}),
      ...given({ namedPort: spec.namedPort }),
      ...reader.at(path),
    }
  }
}
