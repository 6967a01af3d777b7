/** What Calico's API refuses in a policy. Source: libcalico-go/lib/validator/v3/validator.go (validateRule, validateGlobalNetworkPolicy). */
import type { Path } from '../located.js'
import type { EntityRule, PolicyRule } from './policy.js'
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

export function checkRule(rule: PolicyRule, path: Path, reader: ResourceReader): void {
  checkIcmp(rule, path, reader)
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
    for (const number of [value.type, value.code]) {
      if (number !== undefined && !(Number.isInteger(number) && number >= 0 && number <= 255))
        reader.error([...path, field], `${number} is no ICMP type or code`, 'They go from 0 to 255 (types to 254).')
    }
  }
  if (rule.ipVersion === 4 && rule.protocol !== undefined && ICMP_V6.includes(rule.protocol))
    reader.error([...path, 'protocol'], 'ICMPv6 in a rule of IPv4', 'Write ICMP.')
  if (rule.ipVersion === 6 && rule.protocol !== undefined && ICMP.includes(rule.protocol))
    reader.error([...path, 'protocol'], 'ICMP in a rule of IPv6', 'Write ICMPv6.')
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
  if (entity.services === undefined) return
  if (entity.services.name === '') reader.error([...path, 'services'], 'services without a name', 'Name the Service.')
  const others = ['selector', 'namespaceSelector', 'notSelector'] as const
  const set = others.filter((field) => entity[field] !== '')
  if (set.length > 0 || entity.nets.length > 0 || entity.notNets.length > 0 || entity.serviceAccounts !== undefined)
    reader.error([...path, 'services'], 'services beside a selector, nets or serviceAccounts', 'A service says it all: leave the others out.')
  if (path.includes('destination') && (entity.ports.length > 0 || entity.notPorts.length > 0))
    reader.error([...path, 'services'], 'services beside ports', "A service's ports are its own.")
}
