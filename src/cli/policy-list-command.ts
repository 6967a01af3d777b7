/** `netsim policy list`: reads the manifests, makes the map, prints it. Loaded when it is called. */
import { match } from 'ts-pattern'
import { ConnectionSet } from '../policy/connections.js'
import { exposureCsv, exposureDot, exposureJson, exposureMarkdown, exposureText } from '../policy/exposure/exposure-forms.js'
import { exposureReport, type ExposureReport } from '../policy/exposure/exposure-rows.js'
import { classMap } from '../policy/list/class-map.js'
import { csvLines, jsonLines, listCsv, listDot, listJson, listMarkdown, listText, textLines, throughText, type ListForm } from '../policy/list/list-forms.js'
import { listMatrix } from '../policy/list/list-matrix.js'
import { mapRows, type ListOptions, type ListRow, type PolicyMap } from '../policy/list/list.js'
import type { PolicyWorld } from '../policy/model.js'
import { EXIT_BAD_INPUT, UsageError } from './exit.js'
import type { Io } from './io.js'
import { safe } from './load-network.js'
import { classCsv, classLines, classText, pieces } from './policy-class-text.js'
import { listSvg } from './policy-list-svg.js'
import type { PolicyListFlags } from './policy-list-verb.js'
import { loadPolicyState } from './policy-input.js'

/** Rows that may come without a word of how many. */
const MANY_PAIRS = 1e8

/** The exit status. @throws UsageError when flags do not go together */
export async function policyList(flags: PolicyListFlags, io: Io): Promise<number> {
  checkFlags(flags)
  const loaded = await loadPolicyState(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const { world, state, exit } = loaded
  const options = optionsOf(flags)
  const { through } = options
  if (flags.byClass) {
    const map = classMap(world, options)
    await io.err(warnings([...engineNotes(world), ...notesOf(flags, map.unknown)]))
    const form = { top: flags.top, hasFocus: flags.focus.length > 0, ...(through === undefined ? {} : { through: throughText(through) }) }
    const texts = { txt: () => [classText(map, world, form)], csv: () => classCsv(map, world), jsonl: () => classLines(map, world) }
    await print(texts[flags.output as keyof typeof texts](), io)
    return exit
  }
  const { rows, ...rest } = mapRows(world, state, options)
  const many = rest.pairs > MANY_PAIRS ? [`up to ${rest.pairs} rows: --by-class puts together what no policy tells apart`] : []
  await io.err(warnings([...engineNotes(world), ...notesOf(flags, rest.unknown), ...many]))
  const form: ListForm = { transportOnly: world.switches.as === 'np-guard', ...(through === undefined ? {} : { through: throughText(through) }) }
  const lines = flags.exposure ? undefined : linesOf(rows, form, flags.output)
  if (lines !== undefined) {
    await print(lines, io)
    return exit
  }
  const map: PolicyMap = { ...rest, rows: [...rows] }
  const text = flags.exposure ? withExposure(map, exposureReport(world, map, options), { form, output: flags.output }) : printed(map, form, flags.output)
  // the tabs of dot are its own, and it escapes as JSON does
  await io.out(flags.output === 'dot' ? text : safe(text))
  return exit
}

const BY_CLASS: readonly PolicyListFlags['output'][] = ['txt', 'csv', 'jsonl']

function checkFlags({ byClass, output, exposure, as, compat }: PolicyListFlags): void {
  if (byClass && !BY_CLASS.includes(output)) throw new UsageError(`-o ${output} has no form for classes: take ${BY_CLASS.join(', ')}`)
  if (byClass && exposure) throw new UsageError('--exposure goes by workload: leave --by-class out')
  if (byClass && (compat ?? as) === 'np-guard') throw new UsageError('np-guard knows workloads and no classes: leave --by-class out')
  if (exposure && output === 'jsonl') throw new UsageError('-o jsonl shows the map alone; --exposure shows in txt, json, csv, md and dot')
}

function optionsOf({ focus, focusPeer, direction, focusConn }: PolicyListFlags): ListOptions {
  const through = focusConn === undefined ? undefined : ConnectionSet.of(focusConn.protocol, focusConn.port)
  return { focus, focusPeer, ...(direction === undefined ? {} : { direction }), ...(through === undefined ? {} : { through }) }
}

function engineNotes({ noEngine, unenforced }: PolicyWorld): readonly string[] {
  return noEngine === undefined ? [] : [withoutEngine(noEngine, unenforced.length > 0)]
}

function notesOf({ exposure, output, focus, focusPeer, direction }: PolicyListFlags, unknown: readonly string[]): readonly string[] {
  return [
    ...unknown.map((name) => `no workload is called ${name}`),
    ...(exposure && ['svg', 'matrix'].includes(output) ? [`-o ${output} shows the map alone; --exposure shows in txt, json, csv, md and dot`] : []),
    ...(focus.length === 0 && direction !== undefined ? ['--direction says nothing without --focus'] : []),
    ...(focus.length === 0 && focusPeer.length > 0 ? ['--focus-peer says nothing without --focus'] : []),
  ]
}

function warnings(notes: readonly string[]): string {
  return notes.map((note) => `warning: ${safe(note)}\n`).join('')
}

/** As they are made: nobody holds all of them. */
async function print(texts: Iterable<string>, io: Io): Promise<void> {
  for (const piece of pieces(texts)) await io.out(safe(piece))
}

/** Forms that go row by row. */
function linesOf(rows: Iterable<ListRow>, form: ListForm, output: PolicyListFlags['output']): Iterable<string> | undefined {
  if (output === 'txt') return textLines(rows, form)
  if (output === 'csv') return csvLines(rows, form)
  return output === 'jsonl' ? jsonLines(rows, form) : undefined
}

function withoutEngine(noEngine: string, hasPolicies: boolean): string {
  return `${noEngine}: ${hasPolicies ? 'the policies of the input have no effect (--enforced: as if they had), ' : ''}everything is open`
}

interface Printing {
  readonly form: ListForm
  readonly output: PolicyListFlags['output']
}

/** The pictures of the map alone have no place for peers that are not there. */
function withExposure(map: PolicyMap, report: ExposureReport, { form, output }: Printing): string {
  return match(output)
    .with('txt', () => exposureText(map, report, form))
    .with('json', () => exposureJson(map, report, form))
    .with('csv', () => exposureCsv(map, report, form))
    .with('md', () => exposureMarkdown(map, report, form))
    .with('dot', () => exposureDot(map, report, form))
    .with('svg', 'matrix', 'jsonl', () => printed(map, form, output))
    .exhaustive()
}

function printed(map: PolicyMap, form: ListForm, format: PolicyListFlags['output']): string {
  return match(format)
    .with('txt', () => listText(map, form))
    .with('json', () => listJson(map, form))
    .with('csv', () => listCsv(map, form))
    .with('md', () => listMarkdown(map, form))
    .with('dot', () => listDot(map, form))
    .with('svg', () => listSvg(map, form))
    .with('matrix', () => listMatrix(map))
    .with('jsonl', () => [...jsonLines(map.rows, form)].join(''))
    .exhaustive()
}
