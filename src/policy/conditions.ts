/** Does a condition hold of an end? The one reading of conditions; what the reading rested on is collected beside it. */
import { endpointLabels } from './endpoint-labels.js'
import { matchesCalicoSelector, type Selector } from '../cluster/selector.js'
import { coversRange, meetsRange, type AddressRange } from './address-range.js'
import type { Assumption, Condition, End, Peer, PolicyNode, PolicyPod, PolicyWorld } from './model.js'

/** What a reading needs to know, and where it writes down what it assumed. */
export interface Reading {
  readonly world: PolicyWorld
  readonly assumed: Set<Assumption>
}

/** A pod on the host's network is its node, unless the switch takes it for a pod. */
export function asSeen(end: End, { world, assumed }: Reading): End {
  if (end.kind !== 'pod' || !end.hostNetwork) return end
  assumed.add('host-network')
  if (world.switches.hostNetwork === 'pod') return end
  return nodeOf(end, world) ?? { kind: 'node', name: end.node ?? '', labels: {}, addresses: end.addresses }
}

function nodeOf(pod: PolicyPod, world: PolicyWorld): PolicyNode | undefined {
  return pod.node === undefined ? undefined : world.nodes.find(({ name }) => name === pod.node)
}

export function holdsAll(conditions: readonly Condition[], end: End, reading: Reading): boolean {
  return conditions.every((condition) => holds(condition, end, reading))
}

/** The first condition of the peer that does not hold; undefined: it matches. */
export function firstMiss(peer: Peer, end: End, reading: Reading): Condition | undefined {
  return peer.conditions.find((condition) => !holds(condition, end, reading))
}

/** @param end as seen (asSeen) */
export function holds(condition: Condition, end: End, reading: Reading): boolean {
  switch (condition.kind) {
    case 'namespace':
      return end.kind === 'pod' && end.namespace === condition.name
    case 'labels':
      return hasLabels(condition, end, reading.world)
    case 'notLabels':
      return !isSelectedEndpoint(condition.selector, end, reading.world)
    case 'serviceAccounts':
      return end.kind === 'pod' && condition.names.includes(end.serviceAccount)
    case 'networks':
      return isInNetworks(condition, end, reading)
    case 'service':
      return reading.world.services.some(
        ({ namespace, name, endpoints }) =>
          namespace === condition.namespace &&
          name === condition.name &&
          endpoints.some(({ address }) => addressesOf(end).some((own) => coversRange(address, own))),
      )
    case 'never':
      return false
  }
}

type LabelsCondition = Extract<Condition, { kind: 'labels' }>

function hasLabels({ of, selector }: LabelsCondition, end: End, world: PolicyWorld): boolean {
  if (of === 'endpoint') return isSelectedEndpoint(selector, end, world)
  if (of === 'endpointItself') return isEndpoint(selector, end, world)
  if (of === 'node') return end.kind === 'node' && matchesCalicoSelector(selector, end.labels)
  if (end.kind !== 'pod') return false
  if (of === 'pod') return matchesCalicoSelector(selector, end.labels)
  if (of === 'namespace') return matchesCalicoSelector(selector, world.namespaces.get(end.namespace)?.labels ?? {})
  return matchesCalicoSelector(selector, world.serviceAccounts.get(`${end.namespace}/${end.serviceAccount}`) ?? {})
}

/** A selector over endpoints finds pods, host endpoints, and whatever addresses a network set with such labels holds. */
function isSelectedEndpoint(selector: Selector, end: End, world: PolicyWorld): boolean {
  if (end.kind === 'pod' ? isEndpoint(selector, end, world) : isExpected(selector, end, world)) return true
  const own = addressesOf(end)
  return (
    own.length > 0 &&
    world.networkSets.some(
      ({ labels, ranges }) => ranges.some((range) => own.some((one) => coversRange(range, one))) && matchesCalicoSelector(selector, labels),
    )
  )
}

/** A host endpoint is found by the addresses that it expects, not by its interface (felix/labelindex/named_port_index.go). */
function isExpected(selector: Selector, end: End, { hostEndpoints }: PolicyWorld): boolean {
  return (
    end.kind === 'node' &&
    hostEndpoints.some(({ node, addresses, labels }) => node === end.name && addresses.length > 0 && matchesCalicoSelector(selector, labels))
  )
}

function isEndpoint(selector: Selector, end: End, world: PolicyWorld): boolean {
  if (end.kind === 'pod') return matchesCalicoSelector(selector, endpointLabels(end, world))
  return end.kind === 'node' && world.hostEndpoints.some(({ node, labels }) => node === end.name && matchesCalicoSelector(selector, labels))
}

export function addressesOf(end: End): readonly AddressRange[] {
  return end.kind === 'outside' ? [end.range] : end.addresses
}

type NetworksCondition = Extract<Condition, { kind: 'networks' }>

function isInNetworks(condition: NetworksCondition, end: End, { world, assumed }: Reading): boolean {
  if (end.kind === 'pod' && condition.podsToo !== true) {
    assumed.add('ipblock-pod')
    if (world.switches.ipBlock === 'outside-only') return false
  }
  if (end.kind !== 'outside' && end.addresses.length === 0) {
    if (!isEveryAddress(condition)) assumed.add('pod-address-unknown')
    return isEveryAddress(condition)
  }
  return addressesOf(end).some(
    (own) =>
      (condition.include.length === 0 || condition.include.some((range) => coversRange(range, own))) &&
      !condition.exclude.some((range) => meetsRange(range, own)),
  )
}

function isEveryAddress({ include, exclude }: NetworksCondition): boolean {
  return exclude.length === 0 && (include.length === 0 || include.some(({ family, first, last }) => family === 4 && first === 0n && last === 0xffff_ffffn))
}
