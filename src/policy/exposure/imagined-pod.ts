/**
 * Pods that no object is: with such labels, in such a namespace; and, for a rule's peer, a pod made so that the peer names it. A made-up pod has
 * the labels that it needs and no others.
 */
import { NAMESPACE_PREFIX } from '../endpoint-labels.js'
import { firstMiss } from '../conditions.js'
import { METADATA_NAME } from './exposure-peer.js'
import type { Labels } from '../../cluster/labels.js'
import type { SelectorNode } from '../../cluster/selector.js'
import type { Condition, Peer, PodPort, PolicyPod, PolicyWorld } from '../model.js'

export interface ImaginedPod {
  readonly pod: PolicyPod
  /** The world with the pod's namespace in it. */
  readonly world: PolicyWorld
}

export interface ImaginedWish {
  /** Absent: a namespace that is not there. */
  readonly namespace?: string
  /** Of a namespace that is not there; one that is there keeps its own. */
  readonly namespaceLabels?: Labels
  readonly labels?: Labels
  readonly ports?: readonly PodPort[]
  readonly serviceAccount?: string
}

const ELSEWHERE = 'a-new-namespace'

/** The pod is not among those of the world: policies judge it, and it is no row of the map. */
export function imaginePod(world: PolicyWorld, wish: ImaginedWish): ImaginedPod {
  const namespace = wish.namespace ?? freeName(world)
  const pod: PolicyPod = {
    kind: 'pod',
    namespace,
    name: 'a-new-pod',
    labels: wish.labels ?? {},
    ports: wish.ports ?? [],
    hostNetwork: false,
    serviceAccount: wish.serviceAccount ?? 'default',
    addresses: [],
    workload: { kind: 'Pod', name: 'a-new-pod' },
    imagined: true,
    file: '',
    line: 0,
  }
  if (world.namespaces.has(namespace)) return { pod, world }
  const labels = { ...wish.namespaceLabels, [METADATA_NAME]: namespace }
  return { pod, world: { ...world, namespaces: new Map([...world.namespaces, [namespace, { name: namespace, labels }]]) } }
}

function freeName(world: PolicyWorld): string {
  let name = ELSEWHERE
  for (let n = 2; world.namespaces.has(name); n++) name = `${ELSEWHERE}-${n}`
  return name
}

/** A pod that the peer names; undefined where the peer names none, or its selector asks for what is not found by trying. */
export function imaginePeer(world: PolicyWorld, peer: Peer): ImaginedPod | undefined {
  if (peer.conditions.some(({ kind }) => kind === 'networks' || kind === 'service' || kind === 'never')) return undefined
  const wanted: Wanted = { own: new Map(), namespace: new Map() }
  for (const condition of peer.conditions) want(condition, wanted)
  const imagined = imaginePod(world, {
    namespace: wanted.name ?? wanted.namespace.get(METADATA_NAME),
    namespaceLabels: Object.fromEntries(wanted.namespace),
    labels: Object.fromEntries(wanted.own),
    serviceAccount: wanted.account,
  })
  return firstMiss(peer, imagined.pod, { world: imagined.world, assumed: new Set() }) === undefined ? imagined : undefined
}

interface Wanted {
  readonly own: Map<string, string>
  readonly namespace: Map<string, string>
  name?: string
  account?: string
}

function want(condition: Condition, wanted: Wanted): void {
  if (condition.kind === 'namespace') wanted.name = condition.name
  if (condition.kind === 'serviceAccounts') wanted.account = condition.names[0]
  if (condition.kind !== 'labels') return
  const { of, selector } = condition
  if (of === 'pod') wantLabels(selector.root, wanted.own)
  else if (of === 'namespace') wantLabels(selector.root, wanted.namespace)
  else if (of === 'endpoint') wantEndpoint(selector.root, wanted)
}

/** Calico's labels of an endpoint are the pod's own, and those of its namespace and service account under prefixes. */
function wantEndpoint(root: SelectorNode, wanted: Wanted): void {
  const all = new Map<string, string>()
  wantLabels(root, all)
  for (const [key, value] of all) {
    if (key === 'projectcalico.org/namespace' || key === `${NAMESPACE_PREFIX}projectcalico.org/name`) wanted.name = value
    else if (key === 'projectcalico.org/serviceaccount') wanted.account = value
    else if (key.startsWith(NAMESPACE_PREFIX)) wanted.namespace.set(key.slice(NAMESPACE_PREFIX.length), value)
    else if (!key.startsWith('projectcalico.org/')) wanted.own.set(key, value)
  }
}

/** Labels that a selector needs; what it forbids is left away. Of alternatives the first. */
function wantLabels(node: SelectorNode, into: Map<string, string>): void {
  switch (node.kind) {
    case 'and':
      node.operands.forEach((operand) => wantLabels(operand, into))
      break
    case 'or':
      wantLabels(node.operands[0], into)
      break
    case 'has':
      if (!into.has(node.label)) into.set(node.label, 'any')
      break
    case 'compare':
      if (node.operator !== '!=') into.set(node.label, node.value)
      break
    case 'in':
      into.set(node.label, node.values[0] ?? '')
      break
    default:
  }
}
