/** A term of a rule that did not hold → what the end has in its place, as a person would say it. */
import { formatRange, meetsRange } from '../address-range.js'
import { addressesOf } from '../conditions.js'
import { connectionWords } from '../connection-words.js'
import { ConnectionSet } from '../connections.js'
import { endpointLabels } from '../endpoint-labels.js'
import { portsAt } from '../evaluate.js'
import type { Condition, End, NamedPort, PolicyRule, PolicyWorld } from '../model.js'
import type { Labels } from '../../cluster/labels.js'
import { editDistance } from '../../cluster/nearest-name.js'
import type { Place } from '../../cluster/problem-list.js'
import type { Selector, SelectorNode } from '../../cluster/selector.js'

export interface FailedTerm {
  /** subject: the policy does not select the end; local: what a Calico rule says of the selected end. */
  readonly what: 'subject' | 'local' | 'peer' | 'port' | 'source-port'
  readonly place: Place
  /** As the policy has it. */
  readonly term: string
  /** Why it does not hold. */
  readonly text: string
  /** How many letters part what it asks for from what the end has, where both are labels: a typing error is near. */
  readonly letters: number
}

/** `shop/web`, `node n1`, `10.0.0.0/8`. */
export function endWords(end: End): string {
  if (end.kind === 'pod') return `${end.namespace}/${end.name}`
  return end.kind === 'node' ? (end.name === '' ? 'its node' : `node ${end.name}`) : formatRange(end.range)
}

/**
 * @param end as seen (asSeen), and the condition does not hold of it
 * @param who what it is called
 */
export function failedTerm(what: FailedTerm['what'], condition: Condition, end: NamedEnd, world: PolicyWorld): FailedTerm {
  const labels = condition.kind === 'labels' ? labelsAsked(condition, end, world) : undefined
  const letters = labels === undefined ? FAR : editDistance(condition.words.replace(/^namespace /, ''), labels.values)
  return { what, place: condition, term: condition.words, text: labels?.text ?? missText(condition, end, world), letters }
}

/** An end, and what it is called. */
export interface NamedEnd {
  readonly end: End
  readonly name: string
}

const FAR = 64

function missText(condition: Condition, named: NamedEnd, world: PolicyWorld): string {
  const { end, name } = named
  switch (condition.kind) {
    case 'namespace':
      return end.kind === 'pod' ? `${name} is in the namespace ${end.namespace}` : noPod(named)
    case 'labels':
      return condition.of === 'node' ? `${name} is no node` : condition.of === 'endpoint' ? `${name} is no endpoint that has labels` : noPod(named)
    case 'notLabels':
      return `${name} is selected, and must not be`
    case 'serviceAccounts':
      return end.kind === 'pod' ? `${name} runs as ${end.serviceAccount}` : noPod(named)
    case 'networks':
      return networksText(condition, named, world)
    case 'service':
      return `${name} is no endpoint of the Service`
    case 'never':
      return 'it matches nobody'
  }
}

function noPod({ end, name }: NamedEnd): string {
  return end.kind === 'node' ? `${name} is a node, and selectors find pods alone` : `${name} is outside the cluster, and selectors find pods alone`
}

interface LabelsAsked {
  /** `app=web`: what the end has of the labels that the selector asks for. */
  readonly values: string
  readonly text: string
}

/** undefined: it has none, whatever their values. */
function labelsAsked({ of, selector }: Extract<Condition, { kind: 'labels' }>, { end, name }: NamedEnd, world: PolicyWorld): LabelsAsked | undefined {
  if (of === 'node') return end.kind === 'node' ? labelValues(name, selector, end.labels) : undefined
  if (end.kind !== 'pod') return undefined
  if (of === 'pod') return labelValues(name, selector, end.labels)
  if (of === 'endpoint') return labelValues(name, selector, endpointLabels(end, world))
  if (of === 'namespace') return labelValues(`namespace ${end.namespace}`, selector, world.namespaces.get(end.namespace)?.labels ?? {})
  const account = `${end.namespace}/${end.serviceAccount}`
  return labelValues(`service account ${account}`, selector, world.serviceAccounts.get(account) ?? {})
}

/** `shop/web has app=web`, `… has no label env`. */
function labelValues(who: string, { root }: Selector, labels: Labels): LabelsAsked {
  const names = [...new Set(labelNames(root))]
  const present = names.filter((name) => Object.hasOwn(labels, name)).map((name) => `${name}=${labels[name]}`)
  const absent = names.filter((name) => !Object.hasOwn(labels, name))
  const said = [...(present.length === 0 ? [] : [`has ${present.join(', ')}`]), ...(absent.length === 0 ? [] : [`has no label ${absent.join(', ')}`])]
  return { values: present.join(','), text: `${who} ${said.length === 0 ? 'is not selected' : said.join(' and ')}` }
}

function labelNames(node: SelectorNode): readonly string[] {
  switch (node.kind) {
    case 'all':
    case 'global':
      return []
    case 'not':
      return labelNames(node.operand)
    case 'and':
    case 'or':
      return node.operands.flatMap(labelNames)
    default:
      return [node.label]
  }
}

function networksText({ include, exclude, podsToo }: Extract<Condition, { kind: 'networks' }>, { end, name: who }: NamedEnd, world: PolicyWorld): string {
  const own = addressesOf(end)
  if (end.kind === 'pod' && world.switches.ipBlock === 'outside-only' && podsToo !== true) return `${who} is a pod, and addresses are taken to name no pods`
  if (own.length === 0) return `the address of ${who} is not known`
  const addresses = own.map(formatRange).join(', ')
  const of = end.kind === 'outside' ? addresses : `${who} has ${addresses}`
  const excepted = exclude.find((range) => own.some((one) => meetsRange(range, one)))
  const isInside = include.length === 0 || include.some((range) => own.some((one) => meetsRange(range, one)))
  if (isInside && excepted !== undefined) return `${of}: excepted by ${formatRange(excepted)}`
  return end.kind === 'outside' ? `${addresses} is not in it` : `${of}, which is not in it`
}

/** The ports of a rule name none of the connections. */
export function failedPorts(rule: PolicyRule, destination: NamedEnd, connections: ConnectionSet): FailedTerm {
  const { ports } = rule
  const named = portsAt(ports, destination.end)
  const missing = ports.named.filter((port) => portsAt({ ...ports, fixed: ConnectionSet.none, named: [port] }, destination.end).isEmpty)
  const words = connectionWords(named)
  const one = connections.witness()
  const isOne = one !== undefined && ConnectionSet.of(one.protocol, one.port).equals(connections)
  const said = [
    named.isEmpty || words === ports.words ? '' : `that is ${words} at ${destination.name}`,
    missing.length === 0 ? '' : `${destination.name} has no ${missing.map(nameWords).join(', no ')}`,
    isOne ? `${connectionWords(connections)} was asked` : 'no more than that',
  ]
  return { what: 'port', place: rule, term: ports.words, text: said.filter((text) => text !== '').join('; '), letters: FAR }
}

/** It names somebody and something, and not this. */
export function failedWhole(rule: PolicyRule, what: 'peer' | 'port', term: string, text: string): FailedTerm {
  return { what, place: rule, term, text, letters: FAR }
}

function nameWords({ name, protocol }: NamedPort): string {
  return `${protocol === undefined ? '' : `${protocol} `}port named ${name}`
}

export function failedSourcePort(rule: PolicyRule, sourcePort: number): FailedTerm {
  const ranges = (rule.sourcePorts ?? []).map(([first, last]) => (first === last ? String(first) : `${first}-${last}`))
  return { what: 'source-port', place: rule, term: `source port ${ranges.join(', ')}`, text: `the source port is taken to be ${sourcePort}`, letters: FAR }
}
