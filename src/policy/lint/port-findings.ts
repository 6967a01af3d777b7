/** Ports of rules held against what the pods they are for declare, and against the Services in front of them. */
import { grouped } from '../../base/grouped.js'
import type { Finding } from '../../base/finding.js'
import { nearestName } from '../../cluster/nearest-name.js'
import type { ServicePort } from '../../cluster/services/service.js'
import { ConnectionSet, type Protocol } from '../connections.js'
import { portsAt } from '../evaluate.js'
import type { Direction, Policy, PolicyPod, PolicyRule } from '../model.js'
import { lintFinding } from './catalogue.js'
import { DIRECTIONS, listed, podsWords, rulesOf, ruleWords, type LintFacts, type PodClass } from './facts.js'
import { coveringRules, selectsAllOf } from './rule-cover.js'
import { servicesWithPods, targetOn, type ServiceBehind } from './service-facts.js'

export function portFindings(facts: LintFacts): readonly Finding[] {
  const behind = grouped(
    servicesWithPods(facts).flatMap((one) => one.classes.map((of) => ({ of, one }))),
    ({ of: { pod } }) => `${pod.namespace}/${pod.name}`,
  )
  const servicesOf = (classes: readonly PodClass[]): readonly ServiceBehind[] => [
    ...new Set(classes.flatMap(({ pod }) => (behind.get(`${pod.namespace}/${pod.name}`) ?? []).map(({ one }) => one))),
  ]
  return facts.policies.flatMap(({ policy }) =>
    DIRECTIONS.flatMap((direction) =>
      rulesOf(policy, direction).flatMap((rule) => {
        const at = { policy, direction, rule }
        const destinations = destinationsOf(facts, at)
        return [
          ...namedPortFindings(facts, at, destinations),
          // towards anybody, or addresses, no pod in particular is meant
          ...(direction === 'egress' && isForAnybody(rule) ? [] : protocolFindings(facts, at, destinations)),
          ...(rule.action !== 'allow' || (direction === 'egress' && isForAnybody(rule))
            ? []
            : servicePortFindings(facts, at, { destinations, services: servicesOf(destinations) })),
        ]
      }),
    ),
  )
}

interface RuleAt {
  readonly policy: Policy
  readonly direction: Direction
  readonly rule: PolicyRule
}

function isForAnybody({ peers }: PolicyRule): boolean {
  return peers.some(({ conditions }) => conditions.length === 0 || conditions.some(({ kind }) => kind === 'networks'))
}

/** Whose ports the rule speaks of. */
function destinationsOf(facts: LintFacts, { policy, direction, rule }: RuleAt): readonly PodClass[] {
  if (direction === 'ingress') return facts.selected(policy)
  return [...new Set(rule.peers.flatMap((peer) => (peer.conditions.length === 0 ? facts.classes : facts.matched(peer))))]
}

function namedPortFindings(facts: LintFacts, { policy, direction, rule }: RuleAt, destinations: readonly PodClass[]): readonly Finding[] {
  return rule.ports.named.flatMap(({ name, protocol }): Finding | [] => {
    const words = `${protocol === undefined ? '' : `${protocol} `}${name}`
    const evidence = [facts.evidence(policy, `port ${words}`, rule)]
    const at = ruleWords(policy, direction, rule)
    if (direction === 'egress' && rule.peers.length > 0 && rule.peers.every(({ conditions }) => conditions.some(({ kind }) => kind === 'networks')))
      return lintFinding('NP203', { what: `${at} names port ${words} towards ${listed(rule.peers.map((peer) => peer.words))}`, evidence })
    const known = destinations.flatMap(({ pod }) => pod.ports)
    const isIt = (port: (typeof known)[number]): boolean => port.name === name && (protocol === undefined || port.protocol === protocol)
    if (destinations.length === 0 || known.some(isIt)) return []
    const other = known.find((port) => port.name === name)
    const names = [...new Set(known.flatMap((port) => port.name ?? []))].sort()
    const nearest = nearestName(name, names)
    const has = names.length === 0 ? 'they name no port' : `they have ${listed(names)}`
    const fix = other !== undefined ? `Its protocol is ${other.protocol}.` : nearest === undefined ? undefined : `Did you mean ${nearest}?`
    return lintFinding('NP202', {
      what: `${at} names port ${words}, and none of ${podsWords(destinations)} has it: ${has}`,
      evidence,
      ...(fix === undefined ? {} : { fix }),
    })
  })
}

const TRANSPORTS = ['TCP', 'UDP', 'SCTP'] as const

/** Ports that a rule names one by one. */
function singlePorts({ ports: { fixed } }: PolicyRule): readonly { readonly protocol: Exclude<Protocol, number>; readonly port: number }[] {
  return TRANSPORTS.flatMap((protocol) => fixed.ranges(protocol).flatMap(([first, last]) => (first === last ? [{ protocol, port: first }] : [])))
}

function protocolFindings(facts: LintFacts, { policy, direction, rule }: RuleAt, destinations: readonly PodClass[]): readonly Finding[] {
  return singlePorts(rule).flatMap(({ protocol, port }) => {
    const declaring = destinations.filter(({ pod }) => pod.ports.some((one) => one.port === port))
    const protocols = [...new Set(declaring.flatMap(({ pod }) => pod.ports.filter((one) => one.port === port).map((one) => one.protocol)))]
    // a wide rule is for somebody else among them
    if (protocols.length === 0 || declaring.length < destinations.length || protocols.includes(protocol)) return []
    const allowed = declaring.some((one) => allowsOn(policy, direction, one.pod, { protocol: protocols[0], port }))
    if (allowed) return []
    const have = `${podsWords(declaring)} ${declaring.length === 1 ? 'has' : 'have'} as ${listed(protocols.map(String))}`
    return [
      lintFinding('NP204', {
        what: `${ruleWords(policy, direction, rule)} opens ${protocol} ${port}, which ${have}`,
        evidence: [facts.evidence(policy, `port ${protocol} ${port}`, rule)],
        fix: `Write protocol: ${protocols[0]}.`,
      }),
    ]
  })
}

/** Some rule of the policy in that direction lets that port of the pod through, from or to whomever. */
function allowsOn(policy: Policy, direction: Direction, pod: PolicyPod, connection: { readonly protocol: Protocol; readonly port: number }): boolean {
  return policy[direction].some(({ action, ports }) => action === 'allow' && portsAt(ports, pod).has(connection))
}

interface Behind {
  readonly destinations: readonly PodClass[]
  readonly services: readonly ServiceBehind[]
}

function servicePortFindings(facts: LintFacts, at: RuleAt, { destinations, services }: Behind): readonly Finding[] {
  const { policy, direction, rule } = at
  return singlePorts(rule).flatMap(({ protocol, port }): readonly Finding[] => {
    for (const { service, classes } of services) {
      // a headless Service is not translated
      const own = service.headless ? undefined : service.ports.find((one) => one.protocol === protocol && (one.port === port || one.nodePort === port))
      if (own === undefined) continue
      const missed = classes.filter((one) => destinations.includes(one) && isMissed(facts, at, one.pod, { own, port }))
      if (missed.length === 0 || someoneListens(destinations, services, { protocol, port })) continue
      const target = targetOn(missed[0].pod, own)
      const name = `${service.namespace}/${service.name}`
      const who = `${podsWords(missed)} ${missed.length === 1 ? 'gets' : 'get'} it on ${target ?? own.targetPort}`
      const what = own.port === port ? `port ${port} of Service ${name}` : `node port ${port} of Service ${name}`
      return [
        lintFinding('NP201', {
          what: `${ruleWords(policy, direction, rule)} opens ${protocol} ${port}, which is ${what}: ${who}`,
          evidence: [
            facts.evidence(policy, `port ${protocol} ${port}`, rule),
            { what: `targetPort ${own.targetPort}`, file: own.file, line: own.line, object: `Service/${name}` },
          ],
          fix: `Write port: ${target ?? own.targetPort}.`,
        }),
      ]
    }
    return []
  })
}

interface Asked {
  readonly own: ServicePort
  readonly port: number
}

/** What comes through the Service to the pod is let through by no rule, from or to those whom this one names. */
function isMissed(facts: LintFacts, { policy, direction, rule }: RuleAt, pod: PolicyPod, { own, port }: Asked): boolean {
  const target = targetOn(pod, own)
  if (target === undefined || target === port || portsAt(rule.ports, pod).has({ protocol: own.protocol, port: target })) return false
  const meant: PolicyRule = { ...rule, ports: { fixed: ConnectionSet.of(own.protocol, target), named: [], except: [], words: '' } }
  const others = facts.policies
    .filter(({ policy: other }) => other === policy || selectsAllOf(other, policy, direction))
    .flatMap(({ policy: other }) => other[direction].filter(({ action }) => action === 'allow').map((one) => ({ policy: other, rule: numbered(one, pod) })))
  return coveringRules(policy, meant, others) === undefined
}

/** With the numbers that its named ports have there. */
function numbered(rule: PolicyRule, pod: PolicyPod): PolicyRule {
  return { ...rule, ports: { ...rule.ports, fixed: portsAt(rule.ports, pod), named: [], except: [] } }
}

/** A container declares it, or another Service leads there: then the port is meant. */
function someoneListens(
  destinations: readonly PodClass[],
  services: readonly ServiceBehind[],
  wanted: { readonly protocol: Protocol; readonly port: number },
): boolean {
  if (destinations.some(({ pod }) => pod.ports.some(({ protocol, port }) => protocol === wanted.protocol && port === wanted.port))) return true
  return services.some(({ service, classes }) =>
    service.ports.some(
      (own) => own.protocol === wanted.protocol && classes.some((one) => destinations.includes(one) && targetOn(one.pod, own) === wanted.port),
    ),
  )
}
