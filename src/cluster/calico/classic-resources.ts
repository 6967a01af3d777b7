/**
 * calicoctl 1.x's resources → the classic model. A field that it does not have is refused: `apiVersion: v1` leaves no other way to tell one
 * release's resources from another's. One thing is netsim's own: a profile may say `spec.rules`, the text that `calicoctl profile NAME rule
 * show` prints, in place of ingress and egress.
 * Source: libcalico-go v1.0 lib/api, lib/validator, lib/client (conversion to the keys of etcd).
 */
import * as v from 'valibot'
import { formatCidr, parseAddressWithLength, parseCidr, type Cidr } from '../../base/cidr.js'
import { isIpv6Text } from '../../base/ip.js'
import { parseMac } from '../../base/mac.js'
import { cidrFault } from '../fields.js'
import type { Labels } from '../labels.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { Place, ProblemList } from '../problem-list.js'
import { check, lazily, optional } from '../schema.js'
import type {
  ClassicBgpPeer,
  ClassicHostEndpoint,
  ClassicNode,
  ClassicPolicy,
  ClassicPool,
  ClassicProfile,
  ClassicRules,
  ClassicWorkloadEndpoint,
} from './classic-model.js'
import { CLASSIC_TIER } from './classic-model.js'
import { readResourceRules, ruleSchema } from './classic-resource-rules.js'
import { parseClassicListing } from './classic-rule-text.js'
import { isClassicId, isClassicLabel, isInterfaceName, selectorFault } from './classic-values.js'
import { ObjectReader } from './object-reader.js'
import { given, list, text, textMap, texts } from './resource-reader.js'

const resource = <const Metadata extends v.ObjectEntries, const Spec extends v.ObjectEntries>(metadata: Metadata, spec: Spec) =>
  v.looseObject({ apiVersion: v.string(), kind: v.string(), metadata: v.looseObject(metadata), spec: optional(v.looseObject(spec)) })

const asNumber = () => v.union([v.number(), v.string()])

const poolSchema = lazily(() =>
  resource(
    { cidr: v.string() },
    {
      // the mode came with calicoctl 1.1
      ipip: optional(v.looseObject({ enabled: optional(v.boolean()), mode: optional(v.picklist(['always', 'cross-subnet'])) })),
      'nat-outgoing': optional(v.boolean()),
      disabled: optional(v.boolean()),
    },
  ),
)
const profileSchema = lazily(() =>
  resource({ name: v.string(), tags: texts(), labels: textMap() }, { ingress: list(ruleSchema()), egress: list(ruleSchema()), rules: text() }),
)
const policySchema = lazily(() =>
  resource(
    { name: v.string() },
    { order: optional(v.number()), ingress: list(ruleSchema()), egress: list(ruleSchema()), selector: v.string(), doNotTrack: optional(v.boolean()) },
  ),
)
const workloadEndpointSchema = lazily(() =>
  resource(
    { name: v.string(), workload: v.string(), orchestrator: v.string(), node: v.string(), labels: textMap() },
    {
      ipNetworks: texts(),
      ipNATs: list(v.looseObject({ internalIP: v.string(), externalIP: v.string() })),
      ipv4Gateway: text(),
      ipv6Gateway: text(),
      profiles: texts(),
      interfaceName: v.string(),
      mac: text(),
    },
  ),
)
const hostEndpointSchema = lazily(() =>
  resource({ name: v.string(), node: v.string(), labels: textMap() }, { interfaceName: text(), expectedIPs: texts(), profiles: texts() }),
)
const bgpPeerSchema = lazily(() => resource({ scope: v.picklist(['global', 'node']), node: text(), peerIP: v.string() }, { asNumber: asNumber() }))
const nodeSchema = lazily(() =>
  resource({ name: v.string() }, { bgp: optional(v.looseObject({ asNumber: optional(asNumber()), ipv4Address: text(), ipv6Address: text() })) }),
)

class Reader extends ObjectReader {
  check<const Schema extends v.GenericSchema>(schema: Schema): v.InferOutput<Schema> | undefined {
    return check(schema, this.object, this.problems, 'refuse')
  }

  get place(): { readonly file: string; readonly line: number } {
    return { file: this.object.file, line: this.object.line }
  }

  ids(values: readonly string[] | null | undefined, path: Path): readonly string[] {
    return (values ?? []).filter((value, index) => this.id(value, [...path, index]))
  }

  id(value: string, path: Path): boolean {
    if (!isClassicId(value)) this.error(path, `${JSON.stringify(value)} is no name that Calico takes`, 'Letters, digits and _ . - alone.')
    return isClassicId(value)
  }

  labels(labels: Labels | null | undefined): Labels {
    for (const key of Object.keys(labels ?? {}))
      if (!isClassicLabel(key)) this.error(['metadata', 'labels', key], `${JSON.stringify(key)} is no label`, 'Letters, digits and _ . / - alone.')
    return labels ?? {}
  }

  interfaceName(value: string | null | undefined, path: Path): string | undefined {
    if (value === undefined || value === null || value === '') return undefined
    if (!isInterfaceName(value)) this.error(path, `${JSON.stringify(value)} is no name of an interface`, 'At most 15 letters, digits, _ and -.')
    return isInterfaceName(value) ? value : undefined
  }
}

const MIN_POOL = 26

export function readClassicPool(object: KubernetesObject, problems: ProblemList): ClassicPool | undefined {
  const reader = new Reader(object, problems)
  const value = reader.check(poolSchema())
  if (value === undefined) return undefined
  const prefix = poolPrefix(value.metadata.cidr, reader)
  if (prefix === undefined) return undefined
  if (prefix.length > MIN_POOL) reader.error(['metadata', 'cidr'], `the pool ${formatCidr(prefix)} is smaller than a block (/${MIN_POOL})`, 'Make it larger.')
  const { spec } = value
  return {
    cidr: prefix,
    ipip: spec?.ipip?.enabled === true,
    ipipMode: spec?.ipip?.mode === 'cross-subnet' ? 'CrossSubnet' : 'Always',
    masquerade: spec?.['nat-outgoing'] === true,
    disabled: spec?.disabled === true,
    ...reader.place,
  }
}

function poolPrefix(written: string, reader: Reader): Cidr | undefined {
  const prefix = parseCidr(written)
  if (typeof prefix !== 'string') return prefix
  if (isIpv6Text(written.split('/')[0])) reader.warning(['metadata', 'cidr'], `${written} is IPv6: left out`, 'netsim models IPv4 only.')
  else {
    const fault = cidrFault(written)
    reader.error(['metadata', 'cidr'], fault?.what ?? '', fault?.fix ?? '')
  }
  return undefined
}

export function readClassicProfile(object: KubernetesObject, problems: ProblemList): ClassicProfile | undefined {
  const reader = new Reader(object, problems)
  const value = reader.check(profileSchema())
  if (value === undefined || !reader.id(value.metadata.name, ['metadata', 'name'])) return undefined
  const { tags, labels, name } = value.metadata
  const { ingress, egress, rules: listing } = value.spec ?? {}
  const hasBoth = typeof listing === 'string' && (ingress ?? egress) !== undefined
  if (hasBoth) reader.error(['spec', 'rules'], 'rules beside ingress and egress', 'Keep the one or the other.')
  const rules = typeof listing === 'string' ? listedRules(listing, object, problems) : readResourceRules({ ingress, egress }, object, problems)
  return { name, ...(rules === undefined ? {} : { rules }), tags: reader.ids(tags, ['metadata', 'tags']), labels: reader.labels(labels), ...reader.place }
}

function listedRules(listing: string, object: KubernetesObject, problems: ProblemList): ClassicRules | undefined {
  const placeOf = (line: number): Place => object.inText(['spec', 'rules'], line)
  const { rules, faults } = parseClassicListing(listing, placeOf)
  for (const { line, what, fix } of faults) problems.error(placeOf(line), object.label, what, fix)
  return faults.length === 0 ? rules : undefined
}

export function readClassicPolicy(object: KubernetesObject, problems: ProblemList): ClassicPolicy | undefined {
  const reader = new Reader(object, problems)
  const value = reader.check(policySchema())
  if (value === undefined || !reader.id(value.metadata.name, ['metadata', 'name'])) return undefined
  const { spec } = value
  const selector = spec?.selector
  if (selector === undefined) {
    reader.error(['spec'], 'a policy without a selector', 'Write spec.selector; all() selects every endpoint.')
    return undefined
  }
  const fault = selectorFault(selector)
  if (fault !== undefined) reader.error(['spec', 'selector'], `selector ${JSON.stringify(selector)}: ${fault}`, `A selector looks like role == 'web'.`)
  const rules = readResourceRules(spec ?? {}, object, problems)
  if (fault !== undefined || rules === undefined) return undefined
  return {
    tier: CLASSIC_TIER,
    name: value.metadata.name,
    order: spec?.order ?? Infinity,
    selector,
    rules,
    untracked: spec?.doNotTrack === true,
    ...reader.place,
  }
}

export function readClassicWorkloadEndpoint(object: KubernetesObject, problems: ProblemList): ClassicWorkloadEndpoint | undefined {
  const reader = new Reader(object, problems)
  const value = reader.check(workloadEndpointSchema())
  if (value === undefined) return undefined
  const { metadata, spec } = value
  const named = (['name', 'workload', 'orchestrator', 'node'] as const).filter((field) => reader.id(metadata[field], ['metadata', field]))
  const interfaceName = reader.interfaceName(spec?.interfaceName, ['spec', 'interfaceName'])
  if (spec === undefined || spec === null) reader.error(['spec'], 'a workload endpoint without spec.interfaceName', 'Name the interface on the host.')
  if (named.length < 4 || interfaceName === undefined) return undefined
  const ipNetworks = readNetworks(spec?.ipNetworks ?? [], reader)
  const mac = typeof spec?.mac === 'string' ? parseMac(spec.mac) : undefined
  if (typeof spec?.mac === 'string' && mac === undefined)
    reader.error(['spec', 'mac'], `${JSON.stringify(spec.mac)} is no MAC address`, 'Write it like 0a:ff:b8:12:f6:df.')
  return {
    node: metadata.node,
    orchestrator: metadata.orchestrator,
    workload: metadata.workload,
    name: metadata.name,
    active: true,
    interfaceName,
    ...given({ mac }),
    profiles: reader.ids(spec?.profiles, ['spec', 'profiles']),
    ipNetworks,
    ipNats: readNats(spec?.ipNATs ?? [], ipNetworks, reader),
    labels: reader.labels(metadata.labels),
    ...reader.place,
  }
}

/** /32s; those of IPv6 are left out. */
function readNetworks(values: readonly string[], reader: Reader): Cidr[] {
  return values.flatMap((written, index): Cidr[] => {
    if (isIpv6Text(written.split('/')[0])) return []
    const parsed = parseAddressWithLength(written)
    if (parsed?.length === 32) return [{ base: parsed.address, length: 32 }]
    reader.error(['spec', 'ipNetworks', index], `${JSON.stringify(written)} is not one IPv4 address`, 'An endpoint has single addresses: 192.168.0.5/32.')
    return []
  })
}

function readNats(
  nats: readonly { readonly internalIP: string; readonly externalIP: string }[],
  networks: readonly Cidr[],
  reader: Reader,
): ClassicWorkloadEndpoint['ipNats'] {
  return nats.flatMap((nat, index) => {
    const internal = reader.address(nat.internalIP, ['spec', 'ipNATs', index, 'internalIP'])
    const external = reader.address(nat.externalIP, ['spec', 'ipNATs', index, 'externalIP'])
    if (internal === undefined || external === undefined) return []
    if (networks.some(({ base }) => base === internal)) return [{ internal, external }]
    reader.error(['spec', 'ipNATs', index, 'internalIP'], `${nat.internalIP} is none of the endpoint's addresses`, 'It must be one of ipNetworks.')
    return []
  })
}

export function readClassicHostEndpoint(object: KubernetesObject, problems: ProblemList): ClassicHostEndpoint | undefined {
  const reader = new Reader(object, problems)
  const value = reader.check(hostEndpointSchema())
  if (value === undefined) return undefined
  const { metadata, spec } = value
  const interfaceName = reader.interfaceName(spec?.interfaceName, ['spec', 'interfaceName'])
  const expected = spec?.expectedIPs ?? []
  if ((spec?.interfaceName ?? '') === '' && expected.length === 0) {
    reader.error(['spec'], 'neither interfaceName nor expectedIPs', 'Say which interface of the host is meant.')
    return undefined
  }
  return {
    node: metadata.node,
    name: metadata.name,
    ...given({ interfaceName }),
    expectedIPs: expected.flatMap((address, index) => reader.address(address, ['spec', 'expectedIPs', index]) ?? []),
    profiles: reader.ids(spec?.profiles, ['spec', 'profiles']),
    labels: reader.labels(metadata.labels),
    ...reader.place,
  }
}

export function readClassicBgpPeer(object: KubernetesObject, problems: ProblemList): ClassicBgpPeer | undefined {
  const reader = new Reader(object, problems)
  const value = reader.check(bgpPeerSchema())
  if (value === undefined) return undefined
  const { scope, node, peerIP } = value.metadata
  const named = typeof node === 'string' && node !== ''
  if (scope === 'node' && !named) reader.error(['metadata'], 'a peer of scope node without a node', 'Name it in metadata.node.')
  if (scope === 'global' && named) reader.error(['metadata', 'node'], 'a global peer with a node', 'Leave the node out, or write scope: node.')
  const address = reader.address(peerIP, ['metadata', 'peerIP'])
  const number = reader.asNumber(value.spec?.asNumber, ['spec', 'asNumber'])
  if (number === undefined && value.spec?.asNumber === undefined) reader.error(['spec'], 'a peer without an AS number', 'Write spec.asNumber.')
  if (address === undefined || number === undefined) return undefined
  return { ...(named && scope === 'node' ? { node } : {}), peerIP: address, asNumber: number, ...reader.place }
}

export function readClassicNode(object: KubernetesObject, problems: ProblemList): ClassicNode | undefined {
  const reader = new Reader(object, problems)
  const value = reader.check(nodeSchema())
  if (value === undefined) return undefined
  const bgp = value.spec?.bgp
  // `10.244.0.1/24`, as Calico 2.6 documents the node resource, or the address alone
  const address = reader.address(bgp?.ipv4Address?.replace(/\/([12]?\d|3[0-2])$/, ''), ['spec', 'bgp', 'ipv4Address'])
  const number = reader.asNumber(bgp?.asNumber, ['spec', 'bgp', 'asNumber'])
  return { name: value.metadata.name, ...given({ address, asNumber: number }), ...reader.place }
}
