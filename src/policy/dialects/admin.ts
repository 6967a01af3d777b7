/**
 * AdminNetworkPolicy, BaselineAdminNetworkPolicy → the rule model. A policy without rules of a direction leaves that direction alone; a rule
 * decides what it names and nothing else. Source: sigs.k8s.io/network-policy-api apis/v1alpha1 (words of the fields), npeps/npep-122.md.
 */
import type { AdminNetworkPolicy, AdminPolicyPeer, AdminPolicyPort, AdminPolicyRule, AdminPolicySubject } from '../../cluster/admin-network-policy.js'
import type { Path } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import { TRANSPORTS } from '../../cluster/policy-fields.js'
import type { ProblemList } from '../../cluster/problem-list.js'
import type { Protocol } from '../connections.js'
import type { Action, Direction, Peer, Policy, PolicyRule, Switches } from '../model.js'
import { clusterSubject, labelPeer, domainNamesPeer, networksPeer, NO_PORT, nodesPeer, placeIn, portsOf, type PortChoice } from './parts.js'

const ACTIONS: Readonly<Record<AdminPolicyRule['action'], Action>> = { Allow: 'allow', Deny: 'deny', Pass: 'pass' }

/** What cannot be, whoever is asked, was refused by the reader; here is what one of them refuses and the other lets pass. */
export function adminPolicies(policies: readonly AdminNetworkPolicy[], { as }: Switches, problems: ProblemList): readonly Policy[] {
  return policies.flatMap((policy) => {
    const reading: Reading = { policy, as, problems, isRefused: false }
    const directions = (['ingress', 'egress'] as const).filter((direction) => policy[direction].length > 0)
    const made: Policy = {
      kind: policy.kind,
      namespace: '',
      name: policy.name,
      ...(policy.priority === undefined ? {} : { order: policy.priority }),
      ...clusterSubject(subjectOf(policy.subject), policy.object),
      directions,
      ingress: policy.ingress.map((rule, index) => adminRule(rule, index, 'ingress', reading)),
      egress: policy.egress.map((rule, index) => adminRule(rule, index, 'egress', reading)),
      file: policy.file,
      line: policy.line,
    }
    for (const refusal of policy.refusals) report(reading, { ...refusal, mildFor: 'np-guard' })
    return reading.isRefused ? [] : [made]
  })
}

interface Reading {
  readonly policy: AdminNetworkPolicy
  readonly as: Switches['as']
  readonly problems: ProblemList
  isRefused: boolean
}

function subjectOf({ namespaces, pods }: AdminPolicySubject): Parameters<typeof clusterSubject>[0] {
  return pods === undefined ? { namespaces: namespaces ?? {} } : { pods }
}

function adminRule(rule: AdminPolicyRule, index: number, direction: Direction, reading: Reading): PolicyRule {
  const { object } = reading.policy
  const path = ['spec', direction, index]
  const field = direction === 'ingress' ? 'from' : 'to'
  const choices = rule.ports.flatMap((port, i) => portChoice(port, [...path, 'ports', i], reading))
  return {
    index,
    ...(rule.name === undefined ? {} : { name: rule.name }),
    action: ACTIONS[rule.action],
    peers: rule.peers.map((peer, i) => adminPeer(peer, [...path, field, i], reading)),
    local: [],
    ports: choices.length === 0 && rule.ports.length > 0 ? NO_PORT : portsOf(choices),
    ...placeIn(object, path),
  }
}

function adminPeer(peer: AdminPolicyPeer, path: Path, reading: Reading): Peer {
  const {
    policy: { object },
    as,
  } = reading
  const { namespaces, pods, nodes, networks, domainNames } = peer
  if (networks !== undefined) return networksPeer(networks, { object, path, podsToo: as !== 'np-guard' })
  if (nodes !== undefined) return nodesPeer(nodes, { object, path })
  if (domainNames !== undefined) {
    const what = `${domainNames.join(', ')}: which addresses these names have is not known, so the peer matches nobody`
    reading.problems.warning(placeIn(object, path), object?.label ?? '', what, 'Name the addresses by networks.')
    return domainNamesPeer(domainNames, { object, path })
  }
  return labelPeer(pods === undefined ? { namespaces: namespaces ?? {} } : { pods }, { object, path })
}

function portChoice({ portNumber, portRange, namedPort }: AdminPolicyPort, path: Path, reading: Reading): readonly PortChoice[] {
  if (namedPort !== undefined) return [{ kind: 'name', port: { name: namedPort } }]
  const { protocol, first, last } =
    portRange === undefined
      ? { protocol: portNumber?.protocol ?? 'TCP', first: portNumber?.port ?? 0, last: portNumber?.port ?? 0 }
      : { protocol: portRange.protocol, first: portRange.start, last: portRange.end }
  if (first > last)
    report(reading, {
      path: [...path, 'portRange'],
      what: `ports ${first} to ${last}: the range is empty`,
      fix: 'Write the lower one as start.',
      mildFor: 'api',
    })
  return TRANSPORTS.includes(protocol) && first <= last ? [{ kind: 'numbers', protocol: protocol as Protocol, first, last }] : []
}

interface Refusal {
  readonly path: Path
  readonly what: string
  readonly fix: string
  /** Who goes on with a warning; for the others it is an error. */
  readonly mildFor: 'api' | 'np-guard'
}

function report(reading: Reading, { path, what, fix, mildFor }: Refusal): void {
  const object: KubernetesObject | undefined = reading.policy.object
  const place = placeIn(object, path)
  const isMild = mildFor === 'np-guard' ? reading.as === 'np-guard' : reading.as !== 'np-guard'
  if (isMild) reading.problems.warning(place, object?.label ?? '', what, fix)
  else {
    reading.problems.error(place, object?.label ?? '', what, fix)
    reading.isRefused = true
  }
}
