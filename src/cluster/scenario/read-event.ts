/** One entry of `spec.events` of a Scenario → its action, with the words for it. What it names is looked up in check-scenario.ts. */
import type { InferOutput } from 'valibot'
import { formatCidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import { takeInventory } from '../inventory.js'
import { isObject, type Located, type Path } from '../located.js'
import { describeValue, readDocuments, type KubernetesObject } from '../manifest.js'
import { nearestName } from '../nearest-name.js'
import type { Command } from '../network-document.js'
import { isFault, parseLabelChange, type LabelChange } from '../object-reference.js'
import type { ProblemList } from '../problem-list.js'
import { check } from '../schema.js'
import type { Action, ScenarioEvent } from './scenario.js'
import { eventForms, present, type EventForms, type EventKey, type Present } from './scenario-schema.js'

/** Objects of the files that events apply, by the name that is written there; one that is absent could not be read, which was told. */
export type AppliedFiles = ReadonlyMap<string, readonly KubernetesObject[]>

interface Reading {
  /** The entry, within the document. */
  readonly entry: KubernetesObject
  readonly files: AppliedFiles
  readonly problems: ProblemList
}

type Value<Key extends EventKey> = Present<InferOutput<EventForms[Key]>>
interface Read {
  readonly what: string
  readonly action: Action
}

const KEYS: readonly EventKey[] = [
  'apply',
  'delete',
  'scale',
  'rollout',
  'label',
  'move',
  'node',
  'cable',
  'stop',
  'kill',
  'start',
  'deleteLease',
  'mtu',
  'firewall',
  'resetBGP',
]

/** undefined when something is wrong with it (reported). @param path of the entry in the document */
export function readEvent(document: KubernetesObject, path: Path, files: AppliedFiles, problems: ProblemList): ScenarioEvent | undefined {
  const place = document.at(...path)
  const { value } = document.located(path)
  if (!isObject(value)) {
    const what = `${wordsOf(path)} is ${describeValue(value)}, not an event`
    problems.error(place, document.label, what, 'An event has a time and says what happens: {at: 10s, node: n2, state: down}.')
    return undefined
  }
  const entry = document.part(path, value)
  const key = actionKey(Object.keys(value), entry, problems)
  if (key === undefined) return undefined
  const read = reader(key)({ entry, files, problems })
  return read === undefined ? undefined : { atNs: read.atNs, what: read.what, action: read.action, ...place }
}

function wordsOf(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .slice(1)
}

/** The one field that says what happens; `node` is where it happens, too. */
function actionKey(fields: readonly string[], entry: KubernetesObject, problems: ProblemList): EventKey | undefined {
  const found = KEYS.filter((key) => fields.includes(key) && !(key === 'node' && fields.includes('mtu') && !fields.includes('state')))
  if (found.length === 1) return found[0]
  const name = wordsOf(entry.within)
  if (found.length > 1) {
    const what = `${name} says ${found.length} things that happen: ${found.join(', ')}`
    problems.error(entry.at(found[1]), entry.label, what, 'Write an event for each: several may have the same time.')
    return undefined
  }
  const [near] = fields.flatMap((field) => {
    const meant = field === 'at' ? undefined : nearestName(field, KEYS)
    return meant === undefined ? [] : [{ field, meant }]
  })
  const what = near === undefined ? `${name} says nothing that happens` : `${name} says nothing that happens: unknown field ${near.field}`
  const fix = near === undefined ? `One of these belongs there: ${KEYS.join(', ')}.` : `Did you mean ${near.meant}?`
  problems.error(near === undefined ? entry : entry.at(near.field), entry.label, what, fix)
  return undefined
}

type Reader = (reading: Reading) => (Read & { readonly atNs: number }) | undefined

function reader<Key extends EventKey>(key: Key): Reader {
  const read: (value: Value<Key>, reading: Reading) => Read | undefined = READERS[key]
  return (reading) => {
    const value = check<EventForms[Key]>(eventForms()[key], reading.entry, reading.problems, 'refuse')
    if (value === undefined) return undefined
    const fields: Value<Key> = present(value)
    const found = read(fields, reading)
    return found === undefined ? undefined : { atNs: value.at, ...found }
  }
}

const READERS: { readonly [Key in EventKey]: (value: Value<Key>, reading: Reading) => Read | undefined } = {
  apply: (_, reading) => readApply(reading),
  delete: ({ delete: target }) => ({ what: `delete ${target}`, action: { kind: 'delete', target } }),
  scale: ({ scale: target, replicas }) => ({ what: `scale ${target} to ${replicas}`, action: { kind: 'scale', target, replicas } }),
  rollout: ({ rollout: how, of: target }) => ({ what: `rollout ${how} of ${target}`, action: { kind: 'rollout', how, target } }),
  label: ({ label: target, set }, reading) => {
    const changes = readChanges(set, reading)
    return changes === undefined ? undefined : { what: `label ${target} ${set.join(' ')}`, action: { kind: 'label', target, changes } }
  },
  move: ({ move: pod, to: node }) => ({ what: `move ${pod} to ${node}`, action: { kind: 'move', pod, node: bareNode(node) } }),
  node: ({ node, state }) => ({ what: `node ${bareNode(node)} ${STATE_WORDS[state]}`, action: { kind: 'node', node: bareNode(node), state } }),
  cable: (value) => readCable(value),
  stop: ({ stop: agent, on }) => agentEvent(agent, 'stop', on),
  kill: ({ kill: agent, on }) => agentEvent(agent, 'kill', on),
  start: ({ start: agent, on }) => agentEvent(agent, 'start', on),
  deleteLease: ({ deleteLease: subnet }) => ({ what: `lease ${formatCidr(subnet)} is deleted`, action: { kind: 'delete-lease', subnet } }),
  mtu: ({ mtu, segment, node }) =>
    node === undefined
      ? { what: `MTU of segment ${segment ?? ''} is ${mtu}`, action: { kind: 'mtu', mtu, segment: segment ?? '' } }
      : { what: `MTU of ${bareNode(node)} is ${mtu}`, action: { kind: 'mtu', mtu, node: bareNode(node) } },
  firewall: ({ firewall, iptables }, { entry }) => {
    const router = bareRouter(firewall)
    const commands = iptables.map((text, index) => commandOf(text, entry, index))
    const what = `${router}: ${commands.map(({ text }) => `iptables ${text}`).join('; ')}`
    return { what, action: { kind: 'firewall', router, iptables: commands } }
  },
  resetBGP: ({ resetBGP: node, peer }) => {
    const name = bareNode(node)
    return peer === undefined
      ? { what: `BGP sessions of ${name} are reset`, action: { kind: 'bgp-reset', node: name } }
      : { what: `BGP session of ${name} with ${formatIp(peer)} is reset`, action: { kind: 'bgp-reset', node: name, peer } }
  },
}

const STATE_WORDS = { down: 'goes down', up: 'comes up', isolated: 'is isolated', rejoined: 'rejoins' } as const
const HOW_WORDS = { stop: 'stops', kill: 'is killed', start: 'starts' } as const

function bareNode(name: string): string {
  return name.replace(/^(node|no|nodes)\//, '')
}

function bareRouter(name: string): string {
  return name.replace(/^router\//, '')
}

function agentEvent(agent: Value<'stop'>['stop'], how: keyof typeof HOW_WORDS, on: readonly string[] | undefined): Read {
  const nodes = (on ?? []).map(bareNode)
  const where = agent === 'etcd' ? '' : nodes.length === 0 ? ' on every node' : ` on ${nodes.join(', ')}`
  return { what: `${agent} ${HOW_WORDS[how]}${where}`, action: { kind: 'agent', agent, how, nodes } }
}

function readCable({ cable, segment, cut, loss, delay }: Value<'cable'>): Read {
  const end = bareNode(cable)
  const said = [
    ...(cut === undefined ? [] : [cut ? 'is cut' : 'is whole again']),
    ...(loss === undefined ? [] : [`loses ${Math.round(loss * 1e6) / 1e4} %`]),
    ...(delay === undefined ? [] : [`delays by ${delay / 1e6} ms`]),
  ]
  const action: Action = {
    kind: 'cable',
    end,
    ...(segment === undefined ? {} : { segment }),
    ...(cut === undefined ? {} : { cut }),
    ...(loss === undefined ? {} : { loss }),
    ...(delay === undefined ? {} : { delayNs: delay }),
  }
  return { what: `cable of ${end}${segment === undefined ? '' : ` in ${segment}`} ${said.join(', ')}`, action }
}

/** It may repeat the tool's name, as in the Network document. */
function commandOf(written: string, entry: KubernetesObject, index: number): Command {
  return { text: written.trim().replace(/^iptables\s+/, ''), ...entry.at('iptables', index) }
}

function readChanges(set: readonly string[], { entry, problems }: Reading): readonly LabelChange[] | undefined {
  const changes: LabelChange[] = []
  for (const [index, text] of set.entries()) {
    const change = parseLabelChange(text.trim())
    if (isFault(change)) problems.error(entry.at('set', index), entry.label, `${wordsOf(entry.within)}.set: ${change.what}`, change.fix)
    else changes.push(change)
  }
  return changes.length === set.length ? changes : undefined
}

function readApply({ entry, files, problems }: Reading): Read | undefined {
  const given = entry.located(['apply'])
  const isList = Array.isArray(given.value)
  const items: readonly Located[] = isList ? given.lines.items().map((lines) => ({ value: lines.value, lines })) : [given]
  const inline: Located[] = []
  const names: string[] = []
  const field = `${wordsOf(entry.within)}.apply`
  const before = problems.problems.length
  for (const item of items) {
    if (typeof item.value === 'string' && item.value.trim() !== '') names.push(item.value)
    else if (isObject(item.value) && Object.keys(item.value).length > 0) inline.push(item)
    else
      problems.error(
        { file: entry.file, line: item.lines.line },
        entry.label,
        `${field} is ${isObject(item.value) ? 'an empty mapping' : describeValue(item.value)}, not a file or an object`,
        'Write the name of a file beside this one, an object with apiVersion and kind, or a list of them.',
      )
  }
  if (items.length === 0) problems.error(entry.at('apply'), entry.label, `${field} is an empty list`, 'Name a file, or write the object itself.')
  const read = readDocuments(inline, entry.file, problems)
  takeInventory(read, problems)
  const objects = [...names.flatMap((name) => files.get(name) ?? []), ...read]
  for (const object of objects) refuseOwnKind(object, entry, problems)
  if (problems.problems.slice(before).some(({ severity }) => severity === 'error') || names.some((name) => !files.has(name))) return undefined
  const file = names.length === 0 ? entry.file : names.join(', ')
  const whats = [...names, ...(read.length > 3 ? [`${read.length} objects`] : read.map(({ label }) => label))]
  return { what: `apply ${whats.join(', ')}`, action: { kind: 'apply', file, objects } }
}

/** What the cluster stands on is no object of its API. */
function refuseOwnKind(object: KubernetesObject, entry: KubernetesObject, problems: ProblemList): void {
  if (!object.apiVersion.startsWith('netsim/')) return
  const what = `${object.kind} of netsim is no object of the cluster's API: it cannot be applied`
  const fix = 'The network beneath changes by the events cable, mtu, firewall and node; name the document itself in spec.input.'
  problems.error(object, entry.label, what, fix)
}
