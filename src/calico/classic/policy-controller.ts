/**
 * calico-policy-controller of Kubernetes 1.3's day: NetworkPolicies and namespaces → policies and profiles of the classic model. It knows
 * ingress alone, and isolates a namespace by its annotation, not by a policy.
 * Source: calico kube-controllers v0.6.0 (Python) controller.py, policy_parser.py, handlers/{network_policy,namespace}.py.
 */
import { ANY_CLASSIC_MATCH, ANY_CLASSIC_SIDE, CLASSIC_TIER } from '../../cluster/calico/classic-model.js'
import type { ClassicPolicy, ClassicPort, ClassicProfile, ClassicRule, ClassicTier } from '../../cluster/calico/classic-model.js'
import { classicPort, selectorFault } from '../../cluster/calico/classic-values.js'
import type { ClusterNamespace } from '../../cluster/cluster.js'
import type { Labels } from '../../cluster/labels.js'
import { isObject, type JsonObject, type JsonValue, type Path } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import type { Place, ProblemList } from '../../cluster/problem-list.js'

/** Of every pod. */
export const NAMESPACE_LABEL = 'calico/k8s_ns'
const NAMESPACE_LABEL_PREFIX = 'k8s_ns/label/'
const ANNOTATION = 'net.beta.kubernetes.io/network-policy'
const TIER_ORDER = 1000
const POLICY_ORDER = 1000
const BACKSTOP_ORDER = 2000

export function namespaceProfileName(namespace: string): string {
  return `k8s_ns.${namespace}`
}

interface ControllerInput {
  /** extensions/v1beta1 and networking.k8s.io/v1: the API gave the same objects under both. */
  readonly networkPolicies: readonly KubernetesObject[]
  readonly namespaces: readonly ClusterNamespace[]
}

interface ControllerOutput {
  readonly tiers: readonly ClassicTier[]
  readonly policies: readonly ClassicPolicy[]
  readonly profiles: readonly ClassicProfile[]
}

/** Something in the input that only this controller reads, or makes itself known by. */
export function asksForController(objects: readonly KubernetesObject[], namespaces: readonly ClusterNamespace[]): boolean {
  const runs = objects.some(({ kind, name }) => name === 'calico-policy-controller' && kind !== 'ConfigMap' && kind !== 'Secret')
  const beta = objects.some(({ kind, apiVersion }) => kind === 'NetworkPolicy' && apiVersion === 'extensions/v1beta1')
  return runs || beta || namespaces.some((namespace) => annotationOf(namespace) !== undefined)
}

export function policyController({ networkPolicies, namespaces }: ControllerInput, problems: ProblemList): ControllerOutput {
  const policies = networkPolicies.flatMap((object) => new PolicyReader(object, problems).policy() ?? [])
  return {
    tiers: [{ name: CLASSIC_TIER, order: TIER_ORDER, file: '', line: 0 }],
    policies: [...policies, BACKSTOP],
    profiles: namespaces.flatMap((namespace) => namespaceProfile(namespace, problems) ?? []),
  }
}

const NOWHERE: Place = { file: '', line: 0 }

function simple(action: ClassicRule['action'], place: Place): ClassicRule {
  return { action, match: ANY_CLASSIC_MATCH, not: ANY_CLASSIC_MATCH, file: place.file, line: place.line }
}

/** What no policy decided goes on to the namespace's profile. */
const BACKSTOP: ClassicPolicy = {
  tier: CLASSIC_TIER,
  name: 'k8s-policy-no-match',
  order: BACKSTOP_ORDER,
  selector: `has(${NAMESPACE_LABEL})`,
  rules: { inbound: [simple('next-tier', NOWHERE)], outbound: [simple('next-tier', NOWHERE)] },
  untracked: false,
  ...NOWHERE,
}

function annotationOf({ object }: ClusterNamespace): string | undefined {
  const metadata = object?.value.metadata
  const annotations = isObject(metadata) ? metadata.annotations : undefined
  const text = isObject(annotations) ? annotations[ANNOTATION] : undefined
  return typeof text === 'string' ? text : undefined
}

/** An annotation that cannot be read leaves the namespace without a profile: its pods' packets are then dropped. */
function namespaceProfile(namespace: ClusterNamespace, problems: ProblemList): ClassicProfile | undefined {
  const { name, object } = namespace
  const place = object?.at('metadata', 'annotations', ANNOTATION) ?? NOWHERE
  const annotation = annotationOf(namespace)
  const isolation = annotation === undefined ? 'open' : isolationOf(annotation)
  if (isolation === undefined) {
    const what = `${ANNOTATION} cannot be read: the controller makes no profile, and the namespace's pods reach nobody`
    problems.error(place, object?.label ?? '', what, 'Write {"ingress": {"isolation": "DefaultDeny"}}.')
    return undefined
  }
  const where = annotation === undefined ? { file: object?.file ?? '', line: object?.line ?? 0 } : place
  return {
    name: namespaceProfileName(name),
    rules: { inbound: [simple(isolation === 'closed' ? 'deny' : 'allow', where)], outbound: [simple('allow', where)] },
    tags: [],
    labels: Object.fromEntries(writtenLabels(namespace).map(([key, value]) => [NAMESPACE_LABEL_PREFIX + key, value])),
    file: where.file,
    line: where.line,
  }
}

/** Those of the object alone: the API server of that day added none. */
function writtenLabels({ object, labels }: ClusterNamespace): [string, string][] {
  const metadata = object?.value.metadata
  const written = isObject(metadata) && isObject(metadata.labels) ? metadata.labels : {}
  return Object.entries(labels).filter(([key]) => Object.hasOwn(written, key))
}

function isolationOf(annotation: string): 'open' | 'closed' | undefined {
  let value: unknown
  try {
    value = JSON.parse(annotation)
  } catch {
    return undefined
  }
  if (!isObject(value)) return undefined
  const ingress = value.ingress ?? {}
  if (!isObject(ingress)) return undefined
  return ingress.isolation === 'DefaultDeny' ? 'closed' : 'open'
}

/** What a rule says of one direction: labels of pods, or of namespaces. */
type From = { readonly selector: string } | Record<string, never>

class PolicyReader {
  private readonly object: KubernetesObject
  private readonly problems: ProblemList
  private readonly spec: JsonObject
  private sound = true

  constructor(object: KubernetesObject, problems: ProblemList) {
    this.object = object
    this.problems = problems
    this.spec = isObject(object.value.spec) ? object.value.spec : {}
  }

  /** undefined: the controller would stop at it (reported). */
  policy(): ClassicPolicy | undefined {
    const { name, namespace, file, line } = this.object
    const own = isObject(this.spec.podSelector) ? this.selectors(this.spec.podSelector, '', ['spec', 'podSelector']) : []
    if (!isObject(this.spec.podSelector)) this.refuse(['spec', 'podSelector'], 'no podSelector', 'Write podSelector: {} for all pods of the namespace.')
    const selector = [`${NAMESPACE_LABEL} == '${namespace}'`, ...own].join(' && ')
    const fault = selectorFault(selector)
    if (fault !== undefined) this.refuse(['spec', 'podSelector'], `the selector ${selector}: ${fault}`, 'Labels must be such as Calico can name.')
    if (this.spec.egress !== undefined || this.spec.policyTypes !== undefined)
      this.problems.warning(
        this.object.at('spec', this.spec.egress === undefined ? 'policyTypes' : 'egress'),
        this.object.label,
        'the policy controller of Calico 1.x reads ingress alone: egress is not restricted',
        '',
      )
    const rules = { inbound: this.inboundRules(), outbound: [simple('allow', this.object)] }
    if (!this.sound) return undefined
    return { tier: CLASSIC_TIER, name: `${namespace}.${name}`, order: POLICY_ORDER, selector, rules, untracked: false, file, line }
  }

  /** Nothing behind an empty rule is read: it lets everything in. */
  inboundRules(): ClassicRule[] {
    const { ingress } = this.spec
    if (!Array.isArray(ingress)) return []
    const rules: ClassicRule[] = []
    for (const [index, rule] of (ingress as readonly JsonValue[]).entries()) {
      const path: Path = ['spec', 'ingress', index]
      if (!isObject(rule) || Object.keys(rule).length === 0) return [...rules, simple('allow', this.object.at(...path))]
      rules.push(...this.allowing(rule, path))
    }
    return rules
  }

  /** A rule for each protocol and each peer. */
  private allowing(rule: JsonObject, path: Path): ClassicRule[] {
    const froms = this.froms(rule.from, [...path, 'from'])
    return this.protocols(rule.ports, [...path, 'ports']).flatMap(({ protocol, ports }) =>
      froms.map((from) => ({
        action: 'allow',
        match: { ...(protocol === undefined ? {} : { protocol }), source: { ...from, ports: [] }, destination: { ...ANY_CLASSIC_SIDE, ports } },
        not: ANY_CLASSIC_MATCH,
        ...this.object.at(...path),
      })),
    )
  }

  private froms(value: JsonValue | undefined, path: Path): From[] {
    if (!Array.isArray(value) || value.length === 0) return [{}]
    return (value as readonly JsonValue[]).flatMap((peer, index): From[] => {
      const at = [...path, index]
      if (!isObject(peer)) return []
      const pods = Object.hasOwn(peer, 'podSelector')
      const namespaces = Object.hasOwn(peer, 'namespaceSelector')
      if (pods && namespaces) {
        this.refuse(at, 'podSelector and namespaceSelector in one peer: this controller stops at it', 'Write them as two peers.')
        return []
      }
      if (pods) return [{ selector: [...this.selectors(peer.podSelector, '', at), `${NAMESPACE_LABEL} == '${this.object.namespace}'`].join(' && ') }]
      if (namespaces) {
        const selected = this.selectors(peer.namespaceSelector, NAMESPACE_LABEL_PREFIX, at)
        return [{ selector: selected.length === 0 ? `has(${NAMESPACE_LABEL})` : selected.join(' && ') }]
      }
      this.refuse(at, `${Object.keys(peer).join(', ') || 'an empty peer'}: this controller knows podSelector and namespaceSelector alone`, '')
      return []
    })
  }

  /** By protocol, in the order in which they appear; a port without a number is all ports. */
  private protocols(value: JsonValue | undefined, path: Path): { readonly protocol?: string; readonly ports: readonly ClassicPort[] }[] {
    if (!Array.isArray(value) || value.length === 0) return [{ ports: [] }]
    const byProtocol = new Map<string, ClassicPort[]>()
    for (const [index, item] of (value as readonly JsonValue[]).entries()) {
      const written = isObject(item) ? item : {}
      const protocol = (typeof written.protocol === 'string' ? written.protocol : 'tcp').toLowerCase()
      const ports = byProtocol.get(protocol) ?? []
      byProtocol.set(protocol, ports)
      if (written.port === undefined || written.port === null) continue
      const port = classicPort(written.port)
      if (port === undefined)
        this.refuse([...path, index, 'port'], `port ${JSON.stringify(written.port)}: names of ports are not known to Calico 1.x`, 'Write a number.')
      else ports.push(port)
    }
    return [...byProtocol].map(([protocol, ports]) => ({ protocol, ports }))
  }

  /** Labels in the order of their names, then the expressions. */
  private selectors(value: JsonValue | undefined, prefix: string, path: Path): string[] {
    if (!isObject(value)) return []
    const labels: Labels = isObject(value.matchLabels) ? (value.matchLabels as Labels) : {}
    const expressions = Array.isArray(value.matchExpressions) ? (value.matchExpressions as readonly JsonValue[]) : []
    return [
      ...Object.keys(labels)
        .sort()
        .map((key) => `${prefix}${key} == '${labels[key]}'`),
      ...expressions.flatMap((expression) => (isObject(expression) ? (this.expression(expression, prefix, path) ?? []) : [])),
    ]
  }

  private expression(expression: JsonObject, prefix: string, path: Path): string | undefined {
    const key = `${prefix}${typeof expression.key === 'string' ? expression.key : ''}`
    const written: readonly JsonValue[] = Array.isArray(expression.values) ? expression.values : []
    const values = written.flatMap((item) => (typeof item === 'string' ? [`"${item}"`] : [])).join(', ')
    switch (expression.operator) {
      case 'In':
        return `${key} in { ${values} }`
      case 'NotIn':
        return `${key} not in { ${values} }`
      case 'Exists':
        return `has(${key})`
      case 'DoesNotExist':
        return `! has(${key})`
      default:
        this.refuse(path, `unknown operator ${JSON.stringify(expression.operator)}`, 'The operators are In, NotIn, Exists, DoesNotExist.')
        return undefined
    }
  }

  private refuse(path: Path, what: string, fix: string): void {
    this.sound = false
    this.problems.error(this.object.at(...path), this.object.label, what, fix)
  }
}
