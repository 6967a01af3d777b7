/**
 * Tier, NetworkPolicy, GlobalNetworkPolicy, their staged kinds, Profile: objects → types, with the defaults and the refusals of Calico's API.
 * Source: libcalico-go/lib/clientv3/{networkpolicy,globalnetworkpolicy,tier}.go, lib/validator/v3/validator.go.
 */
import * as v from 'valibot'
import type { InferOutput } from 'valibot'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { lazily, optional } from '../schema.js'
import { checkPolicyFlags, checkPolicyName, checkPolicySpec, checkRule, checkTierName } from './policy-checks.js'
import type { CalicoPolicy, CalicoPolicyKind, EntityRule, IcmpFields, PolicyDirection, PolicyRule, Profile, Tier } from './policy.js'
import { flag, given, list, numberOrText, resourceSchema, ResourceReader, text, textMap, texts } from './resource-reader.js'

const icmp = () => optional(v.looseObject({ type: optional(v.number()), code: optional(v.number()) }))
const ports = () => list(v.union([v.number(), v.string()]))

const entityRule = () =>
  optional(
    v.looseObject({
      nets: texts(),
      notNets: texts(),
      selector: text(),
      notSelector: text(),
      namespaceSelector: text(),
      services: optional(v.looseObject({ name: text(), namespace: text() })),
      serviceAccounts: optional(v.looseObject({ names: texts(), selector: text() })),
      ports: ports(),
      notPorts: ports(),
    }),
  )

const rule = () =>
  v.looseObject({
    action: v.picklist(['Allow', 'Deny', 'Log', 'Pass']),
    ipVersion: optional(v.picklist([4, 6])),
    protocol: numberOrText(),
    notProtocol: numberOrText(),
    icmp: icmp(),
    notICMP: icmp(),
    source: entityRule(),
    destination: entityRule(),
    http: optional(v.looseObject({ methods: texts(), paths: list(v.looseObject({ exact: text(), prefix: text() })) })),
    metadata: optional(v.looseObject({ annotations: textMap() })),
  })

type RuleSpec = InferOutput<ReturnType<typeof rule>>
type EntitySpec = NonNullable<InferOutput<ReturnType<typeof entityRule>>>

const policySchema = lazily(() =>
  resourceSchema({
    stagedAction: optional(v.picklist(['Set', 'Delete', 'Learn', 'Ignore', ''])),
    tier: text(),
    order: optional(v.number()),
    ingress: list(rule()),
    egress: list(rule()),
    selector: text(),
    types: list(v.picklist(['Ingress', 'Egress'])),
    doNotTrack: flag(),
    preDNAT: flag(),
    applyOnForward: flag(),
    serviceAccountSelector: text(),
    namespaceSelector: text(),
    // when Felix renders a policy, not what the policy means
    performanceHints: texts(),
  }),
)

export type PolicySpec = NonNullable<InferOutput<ReturnType<typeof policySchema>>['spec']>

const DEFAULT_TIER = 'default'

/** NetworkPolicy, GlobalNetworkPolicy and the staged ones of the two. */
export function readCalicoPolicy(object: KubernetesObject, problems: ProblemList): CalicoPolicy | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(policySchema(), 'name')
  if (value === undefined) return undefined
  const spec = value.spec ?? {}
  const head = reader.head(value.metadata)
  const tier = spec.tier || DEFAULT_TIER
  checkPolicyFlags(spec, reader)
  checkPolicySpec(spec, reader)
  checkPolicyName(head.name, reader)
  const staged = object.kind.startsWith('Staged')
  // never sent to Felix (stagednetworkpolicyprocessor.go)
  if (staged && spec.stagedAction === 'Delete') return undefined
  return {
    ...head,
    name: policyName(head.name, tier, reader),
    kind: object.kind as CalicoPolicyKind,
    namespace: object.namespace,
    tier,
    order: spec.order ?? Infinity,
    selector: reader.selector(spec.selector, ['spec', 'selector']),
    serviceAccountSelector: reader.selector(spec.serviceAccountSelector, ['spec', 'serviceAccountSelector']),
    namespaceSelector: reader.selector(spec.namespaceSelector, ['spec', 'namespaceSelector']),
    types: policyTypes(spec, reader),
    ingress: readRules(spec.ingress, ['spec', 'ingress'], reader),
    egress: readRules(spec.egress, ['spec', 'egress'], reader),
    doNotTrack: spec.doNotTrack === true,
    preDNAT: spec.preDNAT === true,
    applyOnForward: spec.applyOnForward === true || spec.doNotTrack === true || spec.preDNAT === true,
    staged,
  }
}

/** A raw resource without the annotation is of a release that put `default.` before the names in its datastore (determinePolicyName). */
function policyName(name: string, tier: string, reader: ResourceReader): string {
  const prefix = `${DEFAULT_TIER}.`
  return reader.isRaw && !reader.keptName && tier === DEFAULT_TIER && name.startsWith(prefix) ? name.slice(prefix.length) : name
}

/** The API fills the types in; what came past it without types is for both directions (ExtractPolicyMetadata). */
function policyTypes(spec: PolicySpec, reader: ResourceReader): readonly PolicyDirection[] {
  const types = spec.types ?? []
  if (types.length > 0)
    return (['Ingress', 'Egress'] as const).filter((type) => types.includes(type)).map((type) => (type === 'Ingress' ? 'ingress' : 'egress'))
  if (reader.isRaw) return ['ingress', 'egress']
  const [ingress, egress] = [(spec.ingress ?? []).length > 0, (spec.egress ?? []).length > 0]
  return egress ? (ingress ? ['ingress', 'egress'] : ['egress']) : ['ingress']
}

function readRules(rules: readonly RuleSpec[] | null | undefined, path: Path, reader: ResourceReader): PolicyRule[] {
  return (rules ?? []).map((spec, index) => readRule(spec, [...path, index], reader))
}

function readRule(spec: RuleSpec, path: Path, reader: ResourceReader): PolicyRule {
  const read: PolicyRule = {
    action: spec.action,
    ...given({
      ipVersion: spec.ipVersion,
      protocol: reader.protocol(spec.protocol, [...path, 'protocol']),
      notProtocol: reader.protocol(spec.notProtocol, [...path, 'notProtocol']),
      icmp: icmpOf(spec.icmp),
      notIcmp: icmpOf(spec.notICMP),
    }),
    source: readEntity(spec.source ?? {}, [...path, 'source'], reader),
    destination: readEntity(spec.destination ?? {}, [...path, 'destination'], reader),
    ...(spec.http
      ? {
          http: {
            methods: spec.http.methods ?? [],
            paths: (spec.http.paths ?? []).map(({ exact, prefix }) => given({ exact, prefix })),
          },
        }
      : {}),
    annotations: spec.metadata?.annotations ?? {},
    ...reader.at(path),
  }
  checkRule(read, path, reader)
  return read
}

function icmpOf(value: InferOutput<ReturnType<typeof icmp>>): IcmpFields | undefined {
  return value === undefined || value === null ? undefined : given({ type: value.type, code: value.code })
}

function readEntity(spec: EntitySpec, path: Path, reader: ResourceReader): EntityRule {
  const selector = (key: 'selector' | 'notSelector' | 'namespaceSelector') => reader.selector(spec[key], [...path, key])
  const accounts = spec.serviceAccounts
  return {
    nets: reader.nets(spec.nets, [...path, 'nets']),
    notNets: reader.nets(spec.notNets, [...path, 'notNets']),
    selector: selector('selector'),
    notSelector: selector('notSelector'),
    namespaceSelector: selector('namespaceSelector'),
    ...(spec.services ? { services: { name: spec.services.name ?? '', namespace: spec.services.namespace ?? '' } } : {}),
    ...(accounts
      ? {
          serviceAccounts: {
            names: accounts.names ?? [],
            selector: reader.selector(accounts.selector, [...path, 'serviceAccounts', 'selector']),
          },
        }
      : {}),
    ports: reader.ports(spec.ports, [...path, 'ports']),
    notPorts: reader.ports(spec.notPorts, [...path, 'notPorts']),
  }
}

const tierSchema = lazily(() => resourceSchema({ order: optional(v.number()), defaultAction: optional(v.picklist(['Deny', 'Pass'])) }))
/** What Calico makes itself, and its API lets nobody change. */
const BUILT_IN_TIERS: Readonly<Record<string, Pick<Tier, 'order' | 'defaultAction'>>> = {
  default: { order: 1_000_000, defaultAction: 'Deny' },
  'kube-admin': { order: 1_000, defaultAction: 'Pass' },
  'kube-baseline': { order: 10_000_000, defaultAction: 'Pass' },
}
/** Of a tier that the API has filled in. */
const DEFAULT_TIER_ORDER = 1_000_000

export function readTier(object: KubernetesObject, problems: ProblemList): Tier | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(tierSchema(), 'name')
  if (value === undefined) return undefined
  checkTierName(object.name, reader)
  const order = value.spec?.order ?? (reader.isRaw ? Infinity : DEFAULT_TIER_ORDER)
  const defaultAction = value.spec?.defaultAction ?? 'Deny'
  const built = Object.hasOwn(BUILT_IN_TIERS, object.name) ? BUILT_IN_TIERS[object.name] : undefined
  const said = value.spec?.order !== undefined && value.spec.order !== null
  if (built !== undefined && said && (order !== built.order || defaultAction !== built.defaultAction))
    reader.error(['spec'], `the tier ${object.name} has order ${built.order} and its end is ${built.defaultAction}`, 'Write a tier of another name.')
  return { ...reader.head(value.metadata), order, defaultAction }
}

const profileSchema = lazily(() => resourceSchema({ ingress: list(rule()), egress: list(rule()), labelsToApply: textMap() }))

export function readProfile(object: KubernetesObject, problems: ProblemList): Profile | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(profileSchema(), 'name')
  if (value === undefined) return undefined
  return {
    ...reader.head(value.metadata),
    ingress: readRules(value.spec?.ingress, ['spec', 'ingress'], reader),
    egress: readRules(value.spec?.egress, ['spec', 'egress'], reader),
    labelsToApply: value.spec?.labelsToApply ?? {},
  }
}
