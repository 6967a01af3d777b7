/** A FixResult as JSON, and the YAML and the commands of kubectl that bring a fix about. */
import { shellWord } from '../../base/shell.js'
import type { JsonObject, JsonValue } from '../../cluster/located.js'
import { isObject } from '../../cluster/located.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import { formatPlace } from '../../cluster/problem-list.js'
import { writeYaml } from '../../cluster/yaml-writer.js'
import { unitWords } from '../change/change-groups.js'
import { connectionText } from '../connection-text.js'
import { explain, type EndNames } from '../explain/explain.js'
import { explanationDocument, type ExplanationDocument } from '../explain/explain-document.js'
import type { Change, Situation } from './fix-change.js'
import { endAfter, type Fix, type FixQuestion, type FixResult, type SideEffect } from './fix.js'
import { isWorkload } from '../change/edit.js'
import { patchText } from './json-patch.js'

export interface FixDocument {
  readonly src: string
  readonly dst: string
  readonly wanted: FixQuestion['wanted']
  readonly connections: string
  /** It is so as it is. */
  readonly already: boolean
  readonly before: ExplanationDocument
  /** The best first. */
  readonly fixes: readonly {
    readonly summary: string
    readonly changes: readonly ChangeDocument[]
    readonly needs?: string
    readonly sideEffects: readonly EffectDocument[]
    /** Opened in one direction alone, while the other still holds it back. */
    readonly wider: readonly { readonly direction: string; readonly opened: string }[]
    readonly after: ExplanationDocument
  }[]
}

export interface EffectDocument {
  readonly source: string
  readonly destination: string
  readonly opened?: string
  readonly closed?: string
}

interface ChangeDocument {
  readonly kind: Change['kind']
  /** `NetworkPolicy/shop/db`. */
  readonly object: string
  readonly file?: string
  readonly line?: number
  readonly manifest?: JsonObject
  readonly patch?: JsonValue
  readonly labels?: JsonObject
  readonly command: string
}

export function fixDocument(before: Situation, { question, already, fixes }: FixResult, names: EndNames): FixDocument {
  const asked = explainOf(before, question, names)
  return {
    ...names,
    wanted: question.wanted,
    connections: connectionText(question.asked),
    already,
    before: asked,
    fixes: fixes.map((fix) => ({
      summary: fix.words,
      changes: fix.changes.map(changeDocument),
      ...(fix.needs === undefined ? {} : { needs: fix.needs }),
      sideEffects: fix.effects.map(effectDocument),
      wider: fix.latent.map(({ direction, opened }) => ({ direction, opened: connectionText(opened) })),
      after: explainOf(fix.situation, question, names),
    })),
  }
}

function explainOf(situation: Situation, { source, destination, asked }: FixQuestion, names: EndNames): ExplanationDocument {
  const ends = { source: endAfter(situation, source), destination: endAfter(situation, destination) }
  return explanationDocument(situation.world, explain(situation.world, { ...ends, several: asked }), names)
}

export function effectDocument({ row, opened, closed }: SideEffect): EffectDocument {
  return {
    source: unitWords(row.source, row.ranges),
    destination: unitWords(row.destination, row.ranges),
    ...(opened.isEmpty ? {} : { opened: connectionText(opened) }),
    ...(closed.isEmpty ? {} : { closed: connectionText(closed) }),
  }
}

function changeDocument(change: Change): ChangeDocument {
  const command = changeCommand(change)
  switch (change.kind) {
    case 'create':
      return { kind: 'create', object: createdName(change.object), manifest: change.object, command }
    case 'patch': {
      const { label, file } = change.object
      const line = patchLine(change)
      return { kind: 'patch', object: label, file, line, patch: JSON.parse(patchText(change.steps)) as JsonValue, command }
    }
    case 'label': {
      const labels = Object.fromEntries(change.labels.map(({ key, value }) => [key, value ?? null]))
      const { object } = change
      return { kind: 'label', object: object?.label ?? change.target, ...(object && { file: object.file, line: object.line }), labels, command }
    }
  }
}

/** Where in the file the patch begins. */
export function patchLine({ object, steps }: Extract<Change, { kind: 'patch' }>): number {
  return Math.min(...steps.map(({ path }) => object.lineOf(path)))
}

export function patchPlace(change: Extract<Change, { kind: 'patch' }>): string {
  return formatPlace({ file: change.object.file, line: patchLine(change) })
}

/** `NetworkPolicy/shop/allow-web-to-db-5432`. */
export function createdName({ kind, metadata }: JsonObject): string {
  const { name, namespace } = isObject(metadata) ? metadata : {}
  return [kind, namespace, name].filter((part) => typeof part === 'string').join('/')
}

/** One line for a shell. */
export function changeCommand(change: Change): string {
  switch (change.kind) {
    case 'create':
      return 'kubectl apply -f FILE'
    case 'patch':
      return `kubectl ${patchOf(change.object)} --type=json -p ${shellWord(patchText(change.steps))}`
    case 'label': {
      const { object, target, labels } = change
      if (object !== undefined && isWorkload(object)) {
        const patch = templatePatch(object, Object.fromEntries(labels.map(({ key, value }) => [key, value ?? null])))
        return `kubectl ${patchOf(object)} --type=merge -p ${shellWord(JSON.stringify(patch))}`
      }
      const [kind, ...rest] = target.split('/')
      const name = rest.at(-1) ?? ''
      const where = rest.length > 1 ? `-n ${rest[0]} ` : ''
      return `kubectl ${where}label ${kind} ${name} ${labels.map(({ key, value }) => (value === undefined ? `${key}-` : `${key}=${value}`)).join(' ')}`
    }
  }
}

function templatePatch({ kind }: KubernetesObject, labels: JsonObject): JsonObject {
  const template = { spec: { template: { metadata: { labels } } } }
  return kind === 'CronJob' ? { spec: { jobTemplate: template } } : template
}

function patchOf({ namespace, kind, name }: KubernetesObject): string {
  return `${namespace === '' ? '' : `-n ${namespace} `}patch ${kind.toLowerCase()} ${name}`
}

/** Manifests for `kubectl apply`: new objects, and those that were changed, whole. */
export function fixYaml({ changes, situation }: Fix): string {
  const documents = changes.map((change): string => {
    if (change.kind === 'create') return writeYaml(change.object)
    const label = change.object?.label
    const name = change.kind === 'label' ? change.target.split('/').at(-1) : ''
    const object = situation.state.objects.find((one) => (label === undefined ? one.kind === 'Namespace' && one.name === name : one.label === label))
    return object === undefined ? '' : writeYaml(withoutStatus(object.value))
  })
  return [...new Set(documents)].join('---\n')
}

/** Whose business is the cluster's. */
function withoutStatus({ status: _, ...value }: JsonObject): JsonObject {
  return value
}
