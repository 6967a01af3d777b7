/** A FixResult as text: how it is now, the best way in full, the others in a line each. */
import { printable, styleOf } from '../analysis/text-style.js'
import { keyLines } from '../analysis/trace-text-verdict.js'
import type { JsonValue } from '../cluster/located.js'
import { writeYaml } from '../cluster/yaml-writer.js'
import { ConnectionSet } from '../policy/connections.js'
import { connectionWords } from '../policy/connection-words.js'
import { explainLines } from '../policy/explain/explain-line.js'
import { explain, type Explanation } from '../policy/explain/explain.js'
import type { Change, Situation } from '../policy/fix/fix-change.js'
import { changeCommand, createdName, effectDocument, patchPlace } from '../policy/fix/fix-document.js'
import { endAfter, type Fix, type FixResult } from '../policy/fix/fix.js'
import type { PatchStep } from '../policy/fix/json-patch.js'
import { explanationText, type ExplainTextOptions } from './policy-explain-text.js'

export interface FixTextOptions extends ExplainTextOptions {
  readonly names: { readonly src: string; readonly dst: string }
  /** Which fixes are shown in full; 0-based. */
  readonly shown: readonly number[]
}

const EFFECTS_SHOWN = 12

/** Ends with a newline. */
export function fixText(before: Situation, result: FixResult, options: FixTextOptions): string {
  const { question, already, fixes } = result
  const head = explanationText(explanationIn(before, result), options.names, options)
  if (already) return `${head}\nIt is so already: nothing to do.\n`
  if (fixes.length === 0) return `${head}\n${noWay(result)}\n`
  const lines = fixes.flatMap((fix, index): readonly string[] => {
    const title = `${index + 1} of ${fixes.length}: ${fix.words}`
    if (!options.shown.includes(index)) return [clean(`${title} (${effectCount(fix)})`, options)]
    return ['', styleOf(options.color).bold(clean(title, options)), ...fixLines(fix, result, options), '']
  })
  const wanted = question.wanted === 'allow' ? 'To let it through:' : 'To stop it:'
  return `${[head.trimEnd(), '', wanted, ...lines]
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`
}

function clean(text: string, { ascii }: FixTextOptions): string {
  return printable(text, ascii)
}

function explanationIn(situation: Situation, { question: { source, destination, asked } }: FixResult): Explanation {
  const ends = { source: endAfter(situation, source), destination: endAfter(situation, destination) }
  const one = asked.witness()
  const isOne = one !== undefined && ConnectionSet.of(one.protocol, one.port).equals(asked)
  return explain(situation.world, { ...ends, ...(isOne ? { connection: one } : asked.isAll ? {} : { several: asked }) })
}

function noWay({ obstacles, question }: FixResult): string {
  const exempt = obstacles.some(({ part }) => part.reason.kind === 'exempt')
  const kinds = [...new Set(obstacles.flatMap(({ part }) => (part.reason.kind === 'rule' ? [part.reason.policy.kind] : [])))]
  if (exempt && question.wanted === 'deny') return 'No policy holds this connection: no edit of policies stops it.'
  if (kinds.length > 0) return `No edit of NetworkPolicies or labels brings it about: the rule of the ${kinds.join(' and the ')} above has to change.`
  return 'No edit of NetworkPolicies or labels brings it about: what decides above has to change.'
}

function effectCount({ effects, needs }: Fix): string {
  const count = effects.length === 0 ? 'nothing else changes' : `${effects.length} other ${effects.length === 1 ? 'pair changes' : 'pairs change'}`
  return needs === undefined ? count : `${count}; needs AdminNetworkPolicy`
}

function fixLines(fix: Fix, result: FixResult, options: FixTextOptions): readonly string[] {
  const style = styleOf(options.color)
  const page = { style, width: Math.max(72, options.width), clean: (text: string) => clean(text, options) }
  const key = (word: string, text: string, colour?: 'yellow' | 'green'): readonly string[] =>
    keyLines(page, word, { text, ...(colour === undefined ? {} : { style: colour }) })
  const shownEffects = fix.effects.slice(0, EFFECTS_SHOWN).map(effectDocument)
  const effects = shownEffects.flatMap(({ source, destination, opened, closed }) => [
    ...(opened === undefined ? [] : [`opens  ${source} → ${destination}: ${opened}`]),
    ...(closed === undefined ? [] : [`closes  ${source} → ${destination}: ${closed}`]),
  ])
  const more = fix.effects.length > EFFECTS_SHOWN ? [`… ${fix.effects.length - EFFECTS_SHOWN} pairs more (-o json has all)`] : []
  const latent = fix.latent.map(({ direction, opened }) => `${direction} now lets ${connectionWords(opened)} through too; the other direction holds it back`)
  return [
    ...fix.changes.flatMap((change) => changeLines(change, options)),
    ...key('then', explainLines(explanationIn(fix.situation, result), options.names).join('\n'), 'green'),
    ...(fix.effects.length === 0 ? key('else', 'nothing else is opened or closed') : key('else', [...effects, ...more].join('\n'), 'yellow')),
    ...(latent.length === 0 ? [] : key('wider', latent.join('\n'), 'yellow')),
    ...(fix.needs === undefined ? [] : key('needs', fix.needs, 'yellow')),
  ]
}

/** Its YAML is not wrapped: it is there to be copied. */
function changeLines(change: Change, options: FixTextOptions): readonly string[] {
  const lines = (text: string, indent: string): readonly string[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => `${indent}${clean(line, options)}`)
  switch (change.kind) {
    case 'create':
      return [`  new ${clean(createdName(change.object), options)}`, ...lines(writeYaml(change.object), '    ')]
    case 'patch':
      return [
        `  ${clean(`${patchPlace(change)}: ${change.object.label}`, options)}`,
        ...change.steps.flatMap((step) => [...lines(stepWords(step), '    '), ...(step.op === 'remove' ? [] : lines(writeYaml(asItem(step)), '      '))]),
        `    ${clean(changeCommand(change), options)}`,
      ]
    case 'label': {
      const { object, target, labels } = change
      const place = object === undefined ? target : `${object.file}:${object.line}: ${object.label}`
      return [
        `  ${clean(`${place}: label ${labels.map(({ key, value }) => `${key}=${value ?? ''}`).join(', ')}`, options)}`,
        `    ${clean(changeCommand(change), options)}`,
      ]
    }
  }
}

function asItem({ path, value }: Extract<PatchStep, { readonly value: JsonValue }>): JsonValue {
  return typeof path.at(-1) === 'number' || path.at(-1) === '-' ? [value] : value
}

/** `add to spec.ingress[0].from`. */
function stepWords({ op, path }: PatchStep): string {
  const isItem = typeof path.at(-1) === 'number' || path.at(-1) === '-'
  const text = (steps: readonly (string | number)[]): string =>
    steps
      .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
      .join('')
      .slice(1)
  if (op === 'add' && isItem) return path.at(-1) === '-' ? `add to ${text(path.slice(0, -1))}:` : `insert as ${text(path)}:`
  return op === 'remove' ? `remove ${text(path)}` : `${op === 'add' ? 'set' : 'replace'} ${text(path)}:`
}
