/**
 * Exposure: what each workload may do with pods that are not there yet. First a stranger: a pod whose labels, in a namespace whose labels, no
 * policy names. Then, for every peer that a rule of the workload's policies names, a pod that has just what the rule asks for. Only the workload's
 * side is asked: policies that would select the new pod itself are not.
 */
import type { ConnectionSet } from '../connections.js'
import { Bounds } from '../change/diff-classes.js'
import type { SelectorNode } from '../../cluster/selector.js'
import { evaluatePair, type DirectionMeaning, type Part } from '../evaluate.js'
import { peerSelectors, peerWords } from './exposure-peer.js'
import { imaginePeer, imaginePod, type ImaginedPod } from './imagined-pod.js'
import { firstMiss } from '../conditions.js'
import { namedRanges } from '../outside.js'
import { workloadName } from '../peer-name.js'
import type { AddressRange } from '../address-range.js'
import type { Direction, NamedPort, Peer, Policy, PolicyPod, PolicyRule, PolicyWorld } from '../model.js'

export interface Workload {
  readonly namespace: string
  readonly kind: string
  readonly name: string
  /** One that stands for all; a workload whose pods differ in what policies see comes once for each sort. */
  readonly pod: PolicyPod
  readonly pods: number
}

/** The rule that decides most of it; absent: the end of a tier, or no policy at all. */
export interface DecidingRule {
  readonly policy: Policy
  readonly rule: PolicyRule
}

export interface PeerExposure {
  readonly words: string
  readonly pod: PolicyPod
  /** Pods of today that the peer names. */
  readonly livingPods: number
  readonly connections: ConnectionSet
  /** Open as well where the new pod has ports of such names. */
  readonly namedPorts: readonly NamedPort[]
  readonly decidedBy: readonly DecidingRule[]
}

export interface DirectionExposure {
  /** Policies that select the workload in this direction; none: it is not protected. */
  readonly selecting: readonly Policy[]
  /** With a stranger. */
  readonly anybody: PeerExposure
  /** Those alone with which more, or less, is open than with a stranger. */
  readonly peers: readonly PeerExposure[]
  /** Addresses outside, those alike put together; closed ones are left out. */
  readonly outside: readonly { readonly ranges: readonly AddressRange[]; readonly connections: ConnectionSet }[]
  /** Peers for which no pod could be made up. */
  readonly untried: readonly string[]
}

export interface WorkloadExposure {
  readonly workload: Workload
  readonly ingress: DirectionExposure
  readonly egress: DirectionExposure
}

/** @param outside addresses of no pod, cut as finely as the policies cut them */
export function exposureOf(world: PolicyWorld, workloads: readonly Workload[], outside: readonly AddressRange[]): readonly WorkloadExposure[] {
  const view: View = { world, outside, stranger: { ...imaginePod(world, {}), livingPods: 0 }, imagined: new Map() }
  return workloads.map((workload) => ({
    workload,
    ingress: directionExposure(view, workload.pod, 'ingress'),
    egress: directionExposure(view, workload.pod, 'egress'),
  }))
}

/** Pods on their node's network are not here: policies take them for the node. Pods of a workload that policies tell apart come apart. */
export function workloadsOf(world: PolicyWorld): readonly Workload[] {
  const keys = labelKeys(world)
  const bounds = new Bounds(namedRanges(world))
  const found = new Map<string, { readonly pod: PolicyPod; pods: number }>()
  for (const pod of world.pods) {
    if (pod.hostNetwork && world.switches.hostNetwork === 'node') continue
    const labels = Object.entries(pod.labels).filter(([label]) => keys.has(label))
    const cells = pod.addresses.map((address) => `${address.family}:${bounds.cellOf(address)}`)
    const key = JSON.stringify([workloadName(pod), labels.sort(), pod.ports, pod.serviceAccount, cells])
    const known = found.get(key)
    if (known === undefined) found.set(key, { pod, pods: 1 })
    else known.pods++
  }
  const order = ({ pod }: { readonly pod: PolicyPod }): string => workloadName(pod)
  return [...found.values()]
    .sort((a, b) => (order(a) < order(b) ? -1 : order(a) > order(b) ? 1 : 0))
    .map(({ pod, pods }) => ({ namespace: pod.namespace, ...pod.workload, pod, pods }))
}

/** Of labels of pods, those that some policy asks for. */
function labelKeys({ tiers }: PolicyWorld): ReadonlySet<string> {
  const keys = new Set<string>()
  const take = (node: SelectorNode): void => {
    if ('label' in node) keys.add(node.label)
    if (node.kind === 'not') take(node.operand)
    if (node.kind === 'and' || node.kind === 'or') node.operands.forEach(take)
  }
  for (const { subject, ingress, egress } of tiers.flatMap(({ policies }) => policies)) {
    const rules = [...ingress, ...egress]
    const conditions = [...subject, ...rules.flatMap(({ local, peers }) => [...local, ...peers.flatMap((peer) => peer.conditions)])]
    for (const condition of conditions) if (condition.kind === 'labels' || condition.kind === 'notLabels') take(condition.selector.root)
  }
  return keys
}

interface View {
  readonly world: PolicyWorld
  readonly outside: readonly AddressRange[]
  readonly stranger: MadeUp
  readonly imagined: Map<Peer, MadeUp | undefined>
}

interface MadeUp extends ImaginedPod {
  /** Pods of today that the same peer names. */
  readonly livingPods: number
}

function directionExposure(view: View, pod: PolicyPod, direction: Direction): DirectionExposure {
  const first = judge(view.stranger, pod, direction)
  const narrow = onlyThese(view.world, first.selecting, direction)
  const anybody = peerExposure({ narrow, pod, direction }, view.stranger, 'entire-cluster')
  const peers = new Map<string, PeerExposure>()
  const untried: string[] = []
  for (const peer of first.selecting.flatMap((policy) => policy[direction]).flatMap((rule) => rule.peers)) {
    if (peer.conditions.length === 0 || peer.conditions.some(({ kind }) => kind === 'networks' || kind === 'never' || kind === 'service')) continue
    const selectors = peerSelectors(peer)
    const words = selectors === undefined ? peer.words : peerWords(selectors)
    if (peers.has(words)) continue
    const imagined = imaginedOnce(view, peer)
    if (imagined === undefined) untried.push(words)
    else peers.set(words, peerExposure({ narrow, pod, direction }, imagined, words))
  }
  const differing = [...peers.values()].filter((one) => !one.connections.equals(anybody.connections) || portNames(one) !== portNames(anybody))
  const outside = outsideExposure(view.outside, { narrow, pod, direction })
  return { selecting: first.selecting, anybody, peers: differing, outside, untried: [...new Set(untried)] }
}

function judge({ pod: other, world }: ImaginedPod, pod: PolicyPod, direction: Direction): DirectionMeaning {
  return direction === 'ingress' ? evaluatePair(world, other, pod).ingress : evaluatePair(world, pod, other).egress
}

/** The policies that have a say for the pod, so that asking again costs little. */
function onlyThese(world: PolicyWorld, selecting: readonly Policy[], direction: Direction): PolicyWorld {
  const wanted = new Set(selecting)
  const tiers = world.tiers.map((tier) => ({
    ...tier,
    policies: tier.policies.filter((policy) => wanted.has(policy)).map((policy) => ({ ...policy, directions: [direction] })),
  }))
  return { ...world, tiers }
}

function imaginedOnce({ imagined, world }: View, peer: Peer): MadeUp | undefined {
  if (!imagined.has(peer)) {
    const made = imaginePeer(world, peer)
    imagined.set(peer, made === undefined ? undefined : { ...made, livingPods: countLiving(world, peer) })
  }
  return imagined.get(peer)
}

interface Asked {
  readonly narrow: PolicyWorld
  readonly pod: PolicyPod
  readonly direction: Direction
}

function peerExposure({ narrow, pod, direction }: Asked, imagined: MadeUp, words: string): PeerExposure {
  const world = { ...narrow, namespaces: imagined.world.namespaces }
  const meaning = judge({ pod: imagined.pod, world }, pod, direction)
  const namedPorts = direction === 'egress' ? namedPortsFor(world, meaning.selecting, imagined.pod) : []
  return { words, pod: imagined.pod, livingPods: imagined.livingPods, connections: meaning.allowed, namedPorts, decidedBy: decidersOf(meaning.parts) }
}

/** Ports that allowing rules know by name alone: what the new pod calls so is open. */
function namedPortsFor(world: PolicyWorld, selecting: readonly Policy[], pod: PolicyPod): readonly NamedPort[] {
  const reading = { world, assumed: new Set<never>() }
  const rules = selecting.flatMap(({ egress }) => egress).filter(({ action, ports }) => action === 'allow' && ports.named.length > 0)
  const matching = rules.filter(({ peers }) => peers.some((peer) => firstMiss(peer, pod, reading) === undefined))
  const found = new Map(matching.flatMap(({ ports }) => ports.named).map((port) => [`${port.protocol ?? ''} ${port.name}`, port]))
  return [...found.values()]
}

function portNames({ namedPorts }: PeerExposure): string {
  return namedPorts
    .map(({ name, protocol }) => `${protocol ?? ''} ${name}`)
    .sort()
    .join(',')
}

function decidersOf(parts: readonly Part[]): readonly DecidingRule[] {
  return parts.flatMap(({ reason }) => (reason.kind === 'rule' ? [{ policy: reason.policy, rule: reason.rule }] : []))
}

function countLiving(world: PolicyWorld, peer: Peer): number {
  const reading = { world, assumed: new Set<never>() }
  return world.pods.filter((pod) => firstMiss(peer, pod, reading) === undefined).length
}

function outsideExposure(outside: readonly AddressRange[], { narrow, pod, direction }: Asked): DirectionExposure['outside'] {
  const found = new Map<string, { ranges: AddressRange[]; connections: ConnectionSet }>()
  for (const range of outside) {
    const other = { kind: 'outside', range } as const
    const { allowed } = direction === 'ingress' ? evaluatePair(narrow, other, pod).ingress : evaluatePair(narrow, pod, other).egress
    if (allowed.isEmpty) continue
    const known = found.get(allowed.key)
    if (known !== undefined) known.ranges.push(range)
    else found.set(allowed.key, { ranges: [range], connections: allowed })
  }
  return [...found.values()]
}
