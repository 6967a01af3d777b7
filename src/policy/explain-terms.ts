/** A term of a rule that did not hold → what the end has in its place, as a person would say it. */
import { formatRange, meetsRange } from './address-range.js'
import { addressesOf } from './conditions.js'
import { connectionWords } from './connection-words.js'
import type { ConnectionSet } from './connections.js'
import { endpointLabels } from './endpoint-labels.js'
import { portsAt } from './evaluate.js'
import type { Condition, End, NamedPort, PolicyRule, PolicyWorld } from './model.js'
import type { Labels } from '../cluster/labels.js'
import type { Place } from '../cluster/problem-list.js'
import type { Selector, SelectorNode } from '../cluster/selector.js'

export interface FailedTerm {
  /** subject: the policy does not select the end; local: what a Calico rule says of the selected end. */
  readonly what: 'subject' | 'local' | 'peer' | 'port' | 'source-port'
  readonly place: Place
  /** As the policy has it. */
  readonly term: string
  /** Why it does not hold. */
  readonly text: string
}

/** `shop/web`, `node n1`, `10.0.0.0/8`. */
export function endWords(end: End): string {
  if (end.kind === 'pod') return `${end.namespace}/${end.name}`
  return end.kind === 'node' ? (end.name === '' ? 'its node' : `node ${end.name}`) : formatRange(end.range)
}

/** @param end as seen (asSeen), and the condition does not hold of it */
export function missText(condition: Condition, end: End, world: PolicyWorld): string {
  const who = endWords(end)
  switch (condition.kind) {
    case 'namespace':
      return end.kind === 'pod' ? `${who} is in the namespace ${end.namespace}` : noPod(end)
    case 'labels':
      return labelsText(condition, end, world)
    case 'notLabels':
      return `${who} is selected, and must not be`
    case 'serviceAccounts':
      return end.kind === 'pod' ? `${who} runs as ${end.serviceAccount}` : noPod(end)
    case 'networks':
      return networksText(condition, end, world)
    case 'service':
      return `${who} is no endpoint of the Service`
    case 'never':
      return 'it matches nobody'
  }
}

function noPod(end: End): string {
  return end.kind === 'node'
    ? `${endWords(end)} is a node, and selectors find pods alone`
    : `${endWords(end)} is outside the cluster, and selectors find pods alone`
}

function labelsText({ of, selector }: Extract<Condition, { kind: 'labels' }>, end: End, world: PolicyWorld): string {
  const who = endWords(end)
  if (of === 'node') return end.kind === 'node' ? `${who} ${labelValues(selector, end.labels)}` : `${who} is no node`
  if (end.kind !== 'pod') {
    return of === 'endpoint' || of === 'endpointItself' ? `${who} is no endpoint that has labels` : noPod(end)
  }
  if (of === 'pod') return `${who} ${labelValues(selector, end.labels)}`
  if (of === 'endpoint' || of === 'endpointItself') return `${who} ${labelValues(selector, endpointLabels(end, world))}`
  if (of === 'namespace') return `namespace ${end.namespace} ${labelValues(selector, world.namespaces.get(end.namespace)?.labels ?? {})}`
  const account = `${end.namespace}/${end.serviceAccount}`
  return `service account ${account} ${labelValues(selector, world.serviceAccounts.get(account) ?? {})}`
}

/** `has app=web`, `has no label env`: of the labels that the selector asks for. */
function labelValues({ root }: Selector, labels: Labels): string {
  const names = [...new Set(labelNames(root))]
  if (names.length === 0) return 'is not selected'
  const present = names.filter((name) => Object.hasOwn(labels, name)).map((name) => `${name}=${labels[name]}`)
  const absent = names.filter((name) => !Object.hasOwn(labels, name))
  return [...(present.length === 0 ? [] : [`has ${present.join(', ')}`]), ...(absent.length === 0 ? [] : [`has no label ${absent.join(', ')}`])].join(' and ')
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

function networksText({ include, exclude, podsToo }: Extract<Condition, { kind: 'networks' }>, end: End, world: PolicyWorld): string {
  const who = endWords(end)
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
export function portMissText(rule: PolicyRule, destination: End, connections: ConnectionSet): FailedTerm {
  const { ports } = rule
  const named = portsAt(ports, destination)
  const missing = ports.named.filter((port) => portsAt({ ...ports, fixed: named.minus(named), named: [port] }, destination).isEmpty)
  const unknown = missing.length === 0 ? '' : `${endWords(destination)} has no ${missing.map(nameWords).join(', no ')}`
  const asked = `${connectionWords(connections)} was asked`
  return {
    what: 'port',
    place: rule,
    term: ports.words,
    text: [named.isEmpty ? '' : `it names ${connectionWords(named)}`, unknown, asked].filter(isText).join('; '),
  }
}

function nameWords({ name, protocol }: NamedPort): string {
  return `${protocol === undefined ? '' : `${protocol} `}port named ${name}`
}

export function sourcePortMissText({ sourcePorts = [], file, line }: PolicyRule, sourcePort: number): FailedTerm {
  const term = sourcePorts.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(', ')
  return { what: 'source-port', place: { file, line }, term: `source port ${term}`, text: `the source port is taken to be ${sourcePort}` }
}

function isText(text: string): boolean {
  return text !== ''
}
