/** The pieces of which fixes are made: ports, peers, rules and whole policies, as JSON values of the API. */
import type { JsonObject, JsonValue } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import { isObject } from '../../cluster/located.js'
import { groupOf } from '../../cluster/kinds.js'
import type { ConnectionSet } from '../connections.js'
import type { DirectionMeaning } from '../evaluate.js'
import type { Change, Situation } from './fix-change.js'
import { isOnNode, labelSelector, namespaceSelector, networkPolicyPeers, podsLike } from './fix-selector.js'
import type { Direction, End, Policy, PolicyPod } from '../model.js'

/** One direction of the pair that is asked about. */
export interface FixSide {
  readonly situation: Situation
  readonly direction: Direction
  /** The end whose policies are asked. */
  readonly local: End
  readonly remote: End
  readonly asked: ConnectionSet
  readonly meaning: DirectionMeaning
}

/** Changes that belong together. */
export interface Option {
  readonly changes: readonly Change[]
  /** A line for people: `a rule more in NetworkPolicy shop/db`. */
  readonly words: string
  /** What the cluster must have beside NetworkPolicy. */
  readonly needs?: string
}

export const TRANSPORT = ['TCP', 'UDP', 'SCTP'] as const

/** Entries of NetworkPolicy's `ports`; undefined: any port. What is neither TCP, UDP nor SCTP cannot be said in them. */
export function networkPolicyPorts(set: ConnectionSet): readonly JsonObject[] | undefined {
  if (set.isAll) return undefined
  return TRANSPORT.flatMap((protocol) => set.ranges(protocol).map((range) => portEntry(protocol, range)))
}

function portEntry(protocol: string, [first, last]: readonly [number, number]): JsonObject {
  if (first === 1 && last === 65535) return { protocol }
  return first === last ? { protocol, port: first } : { protocol, port: first, endPort: last }
}

/** Of AdminNetworkPolicy. */
export function adminPolicyPorts(set: ConnectionSet): readonly JsonObject[] | undefined {
  if (set.isAll) return undefined
  return TRANSPORT.flatMap((protocol) =>
    set
      .ranges(protocol)
      .map(([first, last]): JsonObject => (first === last ? { portNumber: { protocol, port: first } } : { portRange: { protocol, start: first, end: last } })),
  )
}

export function peersField(direction: Direction): 'from' | 'to' {
  return direction === 'ingress' ? 'from' : 'to'
}

export function directionWord(direction: Direction): 'Ingress' | 'Egress' {
  return direction === 'ingress' ? 'Ingress' : 'Egress'
}

/** A rule of NetworkPolicy for the remote end alone. `undefined` lists stay away. */
export function networkPolicyRule(direction: Direction, peers: readonly JsonValue[] | undefined, ports: readonly JsonValue[] | undefined): JsonObject {
  return { ...(peers === undefined ? {} : { [peersField(direction)]: peers }), ...(ports === undefined ? {} : { ports }) }
}

export function ruleForRemote({ situation, direction, local, remote, asked }: FixSide): JsonObject | undefined {
  const ports = networkPolicyPorts(asked)
  const peers = networkPolicyPeers(situation.world, remote, local.kind === 'pod' ? local.namespace : '')
  return peers.length === 0 || ports?.length === 0 ? undefined : networkPolicyRule(direction, peers, ports)
}

/** The pods of the local end's workload, in a new policy of that name. */
export function newNetworkPolicy({ situation, direction }: FixSide, pod: PolicyPod, name: string, rules: readonly JsonObject[]): JsonObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: freeName(situation, 'NetworkPolicy', pod.namespace, name), namespace: pod.namespace },
    spec: {
      podSelector: labelSelector(podsLike(situation.world, pod).labels),
      policyTypes: [directionWord(direction)],
      [direction]: rules,
    },
  }
}

/** A new AdminNetworkPolicy with one rule; undefined where its API has no words for an end. */
export function newAdminPolicy(side: FixSide, action: 'Allow' | 'Deny', priority: number): JsonObject | undefined {
  const { situation, local, direction } = side
  const rule = adminPolicyRule(side, action)
  if (rule === undefined || local.kind !== 'pod' || isOnNode(situation.world, local)) return undefined
  const name = freeName(situation, 'AdminNetworkPolicy', '', fixName(side, action))
  return {
    apiVersion: 'policy.networking.k8s.io/v1alpha1',
    kind: 'AdminNetworkPolicy',
    metadata: { name },
    spec: { priority, subject: { pods: namespacedPods(situation, local) }, [direction]: [rule] },
  }
}

function namespacedPods({ world }: Situation, pod: PolicyPod): JsonObject {
  return { namespaceSelector: namespaceSelector(pod.namespace), podSelector: labelSelector(podsLike(world, pod).labels) }
}

/** A rule of AdminNetworkPolicy and its baseline; addresses and nodes can be named in egress alone. */
export function adminPolicyRule(side: FixSide, action: 'Allow' | 'Deny'): JsonObject | undefined {
  const { situation, remote, direction, asked } = side
  const ports = adminPolicyPorts(asked)
  if (ports?.length === 0) return undefined
  const name = fixName(side, action)
  const rule = (peer: JsonObject): JsonObject => ({ name, action, [peersField(direction)]: [peer], ...(ports === undefined ? {} : { ports }) })
  if (remote.kind === 'pod' && !isOnNode(situation.world, remote)) return rule({ pods: namespacedPods(situation, remote) })
  if (direction === 'ingress') return undefined
  const networks = networkPolicyPeers(situation.world, remote, '').flatMap(({ ipBlock }) => (isObject(ipBlock) ? ipBlock.cidr : []))
  return networks.length === 0 ? undefined : rule({ networks })
}

/** `allow-web-to-db-5432`. */
export function fixName({ direction, local, remote, asked }: FixSide, action: 'Allow' | 'Deny'): string {
  const [source, destination] = direction === 'ingress' ? [remote, local] : [local, remote]
  const port = asked.isAll ? '' : `-${String(asked.witness()?.port ?? '')}`
  const side = direction === 'egress' ? '-egress' : ''
  const text = `${action.toLowerCase()}-${shortName(source)}-to-${shortName(destination)}${port}${side}`
  return text
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .slice(0, 60)
    .replace(/-+$/, '')
}

function shortName(end: End): string {
  return end.kind === 'pod' ? end.workload.name : end.kind === 'node' ? end.name : 'outside'
}

function freeName({ state }: Situation, kind: string, namespace: string, name: string): string {
  const taken = new Set(state.objects.filter((object) => object.kind === kind && object.namespace === namespace).map((object) => object.name))
  let free = name
  for (let n = 2; taken.has(free); n++) free = `${name}-${n}`
  return free
}

/** The object of a policy; undefined for what netsim stands in for. */
export function objectOf({ state }: Situation, { kind, namespace, name, file, line }: Policy): KubernetesObject | undefined {
  return state.objects.find(
    (object) =>
      object.kind === kind &&
      object.name === name &&
      object.namespace === namespace &&
      object.file === file &&
      object.line === line &&
      !groupOf(object.apiVersion).endsWith('projectcalico.org'),
  )
}

/** The JSON rules of a policy in one direction: as many as the model has, else undefined. */
export function rulesIn(object: KubernetesObject, policy: Policy, direction: Direction): readonly JsonObject[] | undefined {
  const { spec } = object.value
  const rules = isObject(spec) ? (spec[direction] ?? []) : []
  if (!Array.isArray(rules) || rules.length !== policy[direction].length) return undefined
  return (rules as readonly JsonValue[]).map((rule) => (isObject(rule) ? rule : {}))
}

export function listIn(rule: JsonObject, field: string): readonly JsonValue[] {
  const list = rule[field]
  return Array.isArray(list) ? (list as readonly JsonValue[]) : []
}

export function policyLabel({ kind, namespace, name }: Pick<Policy, 'kind' | 'namespace' | 'name'>): string {
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`
}
