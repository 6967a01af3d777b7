/**
 * What Calico's API refuses in a policy. Source: libcalico-go/lib/validator/v3/validator.go (validateRule, validateEntityRule,
 * validateNetworkPolicySpec, validateGlobalNetworkPolicySpec). What it would refuse and Felix has an answer to is a warning that says the answer.
 */
import { formatCidr } from '../../base/cidr.js'
import type { Path } from '../located.js'
import { suggestName } from '../nearest-name.js'
import type { ProblemList } from '../problem-list.js'
import type { CalicoPolicy, EntityRule, PolicyRule, Tier } from './policy.js'
import type { PolicySpec } from './read-policy.js'
import type { CalicoProtocol } from './resource.js'
import type { ResourceReader } from './resource-reader.js'

const WITH_PORTS: readonly CalicoProtocol[] = ['TCP', 'UDP', 'SCTP', 6, 17, 132]
const ICMP: readonly CalicoProtocol[] = ['ICMP', 1]
const ICMP_V6: readonly CalicoProtocol[] = ['ICMPv6', 58]

export function checkPolicyFlags(spec: PolicySpec, reader: ResourceReader): void {
  if (spec.doNotTrack && spec.preDNAT) reader.error(['spec', 'preDNAT'], 'doNotTrack and preDNAT exclude one another', 'Make two policies.')
  if (spec.preDNAT && (spec.egress ?? []).length > 0)
    reader.error(['spec', 'egress'], 'a preDNAT policy has no egress rules', 'Packets are looked at as they come in, before DNAT: leave them out.')
  for (const field of ['doNotTrack', 'preDNAT'] as const) {
    if (spec[field] && spec.applyOnForward === false) reader.error(['spec', field], `${field} needs applyOnForward`, 'Set applyOnForward to true.')
  }
}

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const MAX_LABEL = 63
const MAX_NAME = 253

/** One DNS label, or two with a dot between. */
export function checkPolicyName(name: string, reader: ResourceReader): void {
  const parts = name.split('.')
  // the names that a Kubernetes policy and an OpenStack group had in releases before 3.32
  const isConverted =
    (parts[0] === 'knp' || parts[0] === 'ossg') && parts[1] === 'default' && parts.length > 2 && parts.slice(2).every((part) => LABEL.test(part))
  if (name.length > MAX_NAME || (!isConverted && (parts.length > 2 || !parts.every((part) => LABEL.test(part)))))
    reader.error(['metadata', 'name'], `${JSON.stringify(name)} is no name of a policy`, 'Write lower-case letters, digits and -, with at most one dot.')
}

export function checkTierName(name: string, reader: ResourceReader): void {
  if (name.length > MAX_LABEL || !LABEL.test(name))
    reader.error(['metadata', 'name'], `${JSON.stringify(name)} is no name of a tier`, `Write up to ${MAX_LABEL} lower-case letters, digits and -.`)
}

const GLOBAL = 'global()'

/** Whom the policy is for. */
export function checkPolicySpec(spec: PolicySpec, reader: ResourceReader): void {
  const types = spec.types ?? []
  if (new Set(types).size < types.length) reader.error(['spec', 'types'], 'a type stands twice', 'Write each once.')
  if (spec.preDNAT && types.includes('Egress')) reader.error(['spec', 'types'], 'a preDNAT policy with the type Egress', 'It is for ingress alone.')
  for (const field of ['selector', 'serviceAccountSelector', 'namespaceSelector'] as const) {
    if (spec[field]?.includes(GLOBAL)) reader.error(['spec', field], `${GLOBAL} in spec.${field}`, "It stands in a rule's namespaceSelector alone.")
  }
}

/** A tier that nobody made: Felix puts its policies behind all others and lets its end deny (policy_sorter.go). */
export function checkTiersExist(policies: readonly CalicoPolicy[], tiers: readonly Pick<Tier, 'name'>[], problems: ProblemList): void {
  const known = new Set(tiers.map(({ name }) => name))
  for (const policy of policies) {
    if (known.has(policy.tier) || policy.object === undefined) continue
    const { object } = policy
    problems.warning(
      object.at('spec', 'tier'),
      object.label,
      `there is no tier ${JSON.stringify(policy.tier)}: Felix asks the policy after all tiers, and what no policy of it decides is denied`,
      'Add the Tier, or name one that exists.',
    )
  }
}

interface Inhabited {
  /** Those with an object were written. */
  readonly namespaces: readonly { readonly name: string; readonly object?: object }[]
  readonly pods: readonly { readonly namespace: string }[]
}

/** Calico takes such a policy without a word. Inputs without any Namespace say nothing of which there are. */
export function checkNamespacesExist(policies: readonly CalicoPolicy[], { namespaces, pods }: Inhabited, problems: ProblemList): void {
  const written = namespaces.filter(({ object }) => object !== undefined).map(({ name }) => name)
  if (written.length === 0) return
  const known = new Set([...written, 'default', ...pods.map(({ namespace }) => namespace)])
  for (const { object } of policies) {
    if (object === undefined || object.namespace === '' || known.has(object.namespace)) continue
    const what = `there is no namespace ${JSON.stringify(object.namespace)} in the input: the policy selects nothing`
    problems.warning(object.at('metadata', 'namespace'), object.label, what, suggestName(object.namespace, [...known]))
  }
}

export function checkRule(rule: PolicyRule, path: Path, reader: ResourceReader): void {
  checkIcmp(rule, path, reader)
  checkFamilies(rule, path, reader)
  for (const end of ['source', 'destination'] as const) checkEntity(rule[end], rule, [...path, end], reader)
  if (rule.http !== undefined) {
    if (rule.action !== 'Allow') reader.error([...path, 'http'], 'http with an action that is not Allow', 'Deny what is left by a rule of its own.')
    if (rule.protocol !== undefined && rule.protocol !== 'TCP' && rule.protocol !== 6)
      reader.error([...path, 'http'], `http over ${rule.protocol}`, 'HTTP is TCP: write protocol: TCP.')
    if (path.includes('egress')) reader.error([...path, 'http'], 'http in an egress rule', 'It is matched where the packets arrive: write it for ingress.')
  }
  if (rule.destination.services !== undefined && path.includes('ingress'))
    reader.error([...path, 'destination', 'services'], 'services of the destination in an ingress rule', 'The destination of ingress is the endpoint itself.')
  if (rule.source.services !== undefined && path.includes('egress'))
    reader.error([...path, 'source', 'services'], 'services of the source in an egress rule', 'The source of egress is the endpoint itself.')
}

function checkIcmp(rule: PolicyRule, path: Path, reader: ResourceReader): void {
  for (const [field, value] of [
    ['icmp', rule.icmp],
    ['notICMP', rule.notIcmp],
  ] as const) {
    if (value === undefined) continue
    if (rule.protocol === undefined || ![...ICMP, ...ICMP_V6].includes(rule.protocol))
      reader.error([...path, field], `${field} without protocol ICMP or ICMPv6`, 'Write protocol: ICMP.')
    if (value.code !== undefined && value.type === undefined) reader.error([...path, field], 'an ICMP code without its type', 'Write the type too.')
    for (const [key, number, most] of [
      ['type', value.type, 254],
      ['code', value.code, 255],
    ] as const) {
      if (number !== undefined && !(Number.isInteger(number) && number >= 0 && number <= most))
        reader.error([...path, field, key], `${number} is no ICMP ${key}`, `It goes from 0 to ${most}.`)
    }
  }
  if (rule.ipVersion === 4 && rule.protocol !== undefined && ICMP_V6.includes(rule.protocol))
    reader.error([...path, 'protocol'], 'ICMPv6 in a rule of IPv4', 'Write ICMP.')
  if (rule.ipVersion === 6 && rule.protocol !== undefined && ICMP.includes(rule.protocol))
    reader.error([...path, 'protocol'], 'ICMP in a rule of IPv6', 'Write ICMPv6.')
}

/** What is of one IP version on one side, and of the other elsewhere, matches in neither. */
function checkFamilies({ ipVersion, source, destination }: PolicyRule, path: Path, reader: ResourceReader): void {
  const lists = [source.nets, source.notNets, destination.nets, destination.notNets]
  const families = new Set(lists.map((nets) => new Set(nets.map(({ family }) => family))).flatMap((found) => (found.size === 1 ? [...found] : [])))
  if (families.size > 1) reader.error(path, 'nets of both IP versions in one rule', 'Write two rules.')
  else if (ipVersion !== undefined && families.size === 1 && !families.has(ipVersion))
    reader.error([...path, 'ipVersion'], `nets that are not of IPv${ipVersion}`, 'Leave ipVersion out, or write the nets of its version.')
}

function checkEntity(entity: EntityRule, rule: PolicyRule, path: Path, reader: ResourceReader): void {
  for (const field of ['ports', 'notPorts'] as const) {
    const numeric = entity[field].some((port) => 'from' in port)
    const allowed = rule.protocol === undefined ? !numeric : WITH_PORTS.includes(rule.protocol)
    if (entity[field].length > 0 && !allowed)
      reader.error([...path, field], `${field} without a protocol that has ports`, 'Write protocol: TCP, UDP or SCTP; only ports by name go without.')
  }
  for (const field of ['nets', 'notNets'] as const) {
    if (new Set(entity[field].map(({ family }) => family)).size > 1) reader.error([...path, field], `${field} of both IP versions`, 'Write two rules.')
  }
  const nothing = entity.notNets.find((net) => (net.family === 4 ? formatCidr(net.cidr) === '0.0.0.0/0' : net.text === '::/0'))
  if (nothing !== undefined)
    reader.warning([...path, 'notNets'], `nothing is outside ${nothing.text}: Felix leaves the rule out`, 'Leave the prefix out, or the rule.')
  for (const field of ['selector', 'notSelector'] as const) {
    if (entity[field].includes(GLOBAL)) reader.error([...path, field], `${GLOBAL} in ${field}`, 'It stands in namespaceSelector alone.')
  }
  if (entity.namespaceSelector.includes('global(') && entity.namespaceSelector.replace(/\s/g, '') !== GLOBAL)
    reader.error([...path, 'namespaceSelector'], `${GLOBAL} with more beside it`, 'It stands alone.')
  if (entity.services === undefined) return
  if (entity.services.name === '') reader.error([...path, 'services'], 'services without a name', 'Name the Service.')
  if (entity.services.namespace === '') {
    const what = 'services without a namespace'
    const fix = "Write the namespace of the Service, the policy's own too."
    if (reader.object.namespace === '') reader.error([...path, 'services'], what, fix)
    else reader.warning([...path, 'services'], `${what}: Felix finds no such Service, and the rule matches nothing`, fix)
  }
  const others = ['selector', 'namespaceSelector', 'notSelector'] as const
  const set = others.filter((field) => entity[field] !== '')
  if (set.length > 0 || entity.nets.length > 0 || entity.notNets.length > 0 || entity.serviceAccounts !== undefined)
    reader.error([...path, 'services'], 'services beside a selector, nets or serviceAccounts', 'A service says it all: leave the others out.')
  if (path.includes('destination') && (entity.ports.length > 0 || entity.notPorts.length > 0))
    reader.error([...path, 'services'], 'services beside ports', "A service's ports are its own.")
}
