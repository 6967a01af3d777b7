/**
 * Rules of Calico's policies and profiles → the rule model. A rule names both sides: that of the other end is the peer, that of the policy's own
 * end stands under `local`; ports are the destination's, whichever side that is. Source: api/…/v3/policy_common.go, felix/rules/policy.go.
 */
import type { CalicoPolicy, EntityRule, PolicyRule as CalicoRule } from '../../cluster/calico/policy.js'
import type { CalicoPort, CalicoProtocol } from '../../cluster/calico/resource.js'
import type { Path } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import type { Place } from '../../cluster/problem-list.js'
import { EVERY_IPV4, EVERY_IPV6 } from '../address-range.js'
import { ConnectionSet, PORT_MAX, type Protocol } from '../connections.js'
import type { Action, Condition, Direction, NamedPort, PolicyRule, RulePorts } from '../model.js'
import { peerSelectors, peerSelectorWords } from './calico-selectors.js'
import { placeIn, rangesOf } from './parts.js'

const ACTIONS: Readonly<Record<CalicoRule['action'], Action>> = { Allow: 'allow', Deny: 'deny', Pass: 'pass', Log: 'log' }
const NUMBERS: Readonly<Record<number, Protocol>> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6', 132: 'SCTP' }
const UDP_LITE = 136

/** Where a rule stands. */
export interface RuleHome {
  /** Empty for global policies and profiles. */
  readonly namespace: string
  readonly object: KubernetesObject | undefined
}

export function calicoRules(policy: Pick<CalicoPolicy, 'ingress' | 'egress'>, direction: Direction, home: RuleHome): readonly PolicyRule[] {
  return policy[direction].map((rule, index) => calicoRule(rule, index, direction, home))
}

function calicoRule(rule: CalicoRule, index: number, direction: Direction, { namespace, object }: RuleHome): PolicyRule {
  const path = ['spec', direction, index]
  const [remote, local] = direction === 'ingress' ? (['source', 'destination'] as const) : (['destination', 'source'] as const)
  const conditions = (side: 'source' | 'destination'): readonly Condition[] =>
    entityConditions(rule[side], { namespace, object, path: [...path, side], isDestination: side === 'destination' })
  const peer = [...familyConditions(rule, placeIn(object, [...path, 'ipVersion'])), ...conditions(remote)]
  const words = peer.length === 0 ? 'everybody' : peer.map((condition) => condition.words).join('; ')
  const sourcePorts = sourcePortsOf(rule.source)
  return {
    index,
    action: ACTIONS[rule.action],
    peers: [{ conditions: peer, words, ...placeIn(object, [...path, remote]) }],
    local: conditions(local),
    ports: rulePorts(rule),
    ...(sourcePorts === undefined ? {} : { sourcePorts }),
    file: rule.file,
    line: rule.line,
  }
}

function familyConditions({ ipVersion }: CalicoRule, place: Place): readonly Condition[] {
  if (ipVersion === undefined) return []
  const include = [ipVersion === 4 ? EVERY_IPV4 : EVERY_IPV6]
  return [{ kind: 'networks', include, exclude: [], podsToo: true, words: `IPv${ipVersion}`, ...place }]
}

interface EntityHome extends RuleHome {
  readonly path: Path
  readonly isDestination: boolean
}

/**
 * One condition for all selectors of a side: what a network set stands for must meet all of them at once. A negated prefix that is everything
 * leaves nobody, as Felix leaves such a rule out.
 */
function entityConditions(entity: EntityRule, { namespace, object, path, isDestination }: EntityHome): readonly Condition[] {
  const { nets, notNets, services } = entity
  const conditions: Condition[] = []
  const { selected, notSelected } = peerSelectors(entity, namespace)
  const words = peerSelectorWords(entity).join('; ')
  if (selected !== undefined) conditions.push({ kind: 'labels', of: 'endpoint', selector: selected, words, ...placeIn(object, [...path, fieldOf(entity)]) })
  if (notSelected !== undefined)
    conditions.push({ kind: 'notLabels', of: 'endpoint', selector: notSelected, words, ...placeIn(object, [...path, 'notSelector']) })
  if (nets.length + notNets.length > 0) {
    const [include, exclude] = [nets.map(({ text }) => text), notNets.map(({ text }) => text)]
    const said = [...(include.length > 0 ? [include.join(', ')] : []), ...(exclude.length > 0 ? [`not ${exclude.join(', ')}`] : [])]
    const place = placeIn(object, [...path, include.length > 0 ? 'nets' : 'notNets'])
    conditions.push({ kind: 'networks', include: rangesOf(include), exclude: rangesOf(exclude), podsToo: true, words: said.join(', but '), ...place })
  }
  if (services !== undefined) {
    const { namespace: of, name } = services
    conditions.push({
      kind: 'service',
      namespace: of,
      name,
      withPorts: isDestination,
      words: `endpoints of Service ${of}/${name}`,
      ...placeIn(object, [...path, 'services']),
    })
  }
  return conditions
}

function fieldOf({ selector, namespaceSelector, serviceAccounts }: EntityRule): string {
  if (selector !== '') return 'selector'
  if (namespaceSelector !== '') return 'namespaceSelector'
  return serviceAccounts === undefined ? 'notSelector' : 'serviceAccounts'
}

/** By its name where it has one: so ports have it. */
function protocolOf(protocol: CalicoProtocol): Protocol {
  if (typeof protocol === 'number') return NUMBERS[protocol] ?? protocol
  return protocol === 'UDPLite' ? UDP_LITE : (protocol as Protocol)
}

/** What protocol, ICMP and the excepted numbers of ports leave; then the ports that are named. */
function rulePorts(rule: CalicoRule): RulePorts {
  const { protocol, notProtocol, icmp, notIcmp, destination } = rule
  const own = protocol === undefined ? undefined : protocolOf(protocol)
  const numbers = (ports: readonly CalicoPort[]): ConnectionSet =>
    own === undefined ? ConnectionSet.none : ConnectionSet.union(ports.flatMap((port) => ('from' in port ? [ConnectionSet.of(own, port.from, port.to)] : [])))
  const names = (ports: readonly CalicoPort[]): NamedPort[] =>
    ports.flatMap((port) => ('name' in port ? [{ name: port.name, ...(own === undefined ? {} : { protocol: own }) }] : []))
  const within = [
    ...(notProtocol === undefined ? [] : [ConnectionSet.of(protocolOf(notProtocol))]),
    ...(own === undefined || notIcmp?.type === undefined ? [] : [icmpSet(own, notIcmp)]),
    numbers(destination.notPorts),
  ].reduce((left, taken) => left.minus(taken), own === undefined ? ConnectionSet.all : icmpSet(own, icmp ?? {}))
  const { ports, notPorts } = destination
  return {
    fixed: ports.length === 0 ? within : numbers(ports),
    named: names(ports),
    ...(within.isAll ? {} : { within }),
    except: names(notPorts),
    words: portWords(rule),
  }
}

function icmpSet(protocol: Protocol, { type, code }: { readonly type?: number; readonly code?: number }): ConnectionSet {
  if (type === undefined) return ConnectionSet.of(protocol)
  return ConnectionSet.of(protocol, type * 256 + (code ?? 0), type * 256 + (code ?? 255))
}

function portWords({ protocol, notProtocol, icmp, notIcmp, destination: { ports, notPorts } }: CalicoRule): string {
  const icmpWords = ({ type, code }: { readonly type?: number; readonly code?: number }): string =>
    `${type === undefined ? '' : ` type ${type}`}${code === undefined ? '' : ` code ${code}`}`
  const who = protocol === undefined ? '' : `${protocol}${icmpWords(icmp ?? {})}`
  const which = ports.length > 0 ? `${who === '' ? '' : `${who} `}${ports.map(portText).join(', ')}` : who === '' ? 'any port' : icmp ? who : `any of ${who}`
  const excepted = [
    ...(notProtocol === undefined ? [] : [`${notProtocol}`]),
    ...(notIcmp === undefined ? [] : [`${protocol ?? 'ICMP'}${icmpWords(notIcmp)}`]),
    ...(notPorts.length === 0 ? [] : [`ports ${notPorts.map(portText).join(', ')}`]),
  ]
  return excepted.length === 0 ? which : `${which}, but not ${excepted.join(', ')}`
}

function portText(port: CalicoPort): string {
  if ('name' in port) return port.name
  return port.from === port.to ? `${port.from}` : `${port.from}-${port.to}`
}

/** A port by name is one that a pod listens on: connections do not come from it. */
function sourcePortsOf({ ports, notPorts }: EntityRule): PolicyRule['sourcePorts'] {
  if (ports.length + notPorts.length === 0) return undefined
  const numbers = (list: readonly CalicoPort[]): (readonly [number, number])[] =>
    list.flatMap((port) => ('from' in port ? [[port.from, port.to] as const] : [])).sort(([a], [b]) => a - b)
  const wanted = ports.length === 0 ? [[0, PORT_MAX] as const] : numbers(ports)
  return numbers(notPorts).reduce(
    (left, [first, last]) =>
      left.flatMap(([from, to]) => [[from, Math.min(to, first - 1)] as const, [Math.max(from, last + 1), to] as const].filter(([low, high]) => low <= high)),
    wanted,
  )
}
