/** `netsim policy list`: reads the manifests, makes the map, prints it. Loaded when it is called. */
import { match } from 'ts-pattern'
import { ConnectionSet } from '../policy/connections.js'
import { exposureCsv, exposureDot, exposureJson, exposureMarkdown, exposureText } from '../policy/exposure/exposure-forms.js'
import { exposureReport, type ExposureReport } from '../policy/exposure/exposure-rows.js'
import { listCsv, listDot, listJson, listMarkdown, listText, throughText, type ListForm } from '../policy/list/list-forms.js'
import { listMatrix } from '../policy/list/list-matrix.js'
import { policyMap, type PolicyMap } from '../policy/list/list.js'
import { EXIT_BAD_INPUT } from './exit.js'
import type { Io } from './io.js'
import { safe } from './load-network.js'
import { listSvg } from './policy-list-svg.js'
import type { PolicyListFlags } from './policy-list-verb.js'
import { loadPolicyState } from './policy-input.js'

/** The exit status. */
export async function policyList(flags: PolicyListFlags, io: Io): Promise<number> {
  const loaded = await loadPolicyState(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const { world, state, exit } = loaded
  const { focus, focusPeer, direction, focusConn } = flags
  const through = focusConn === undefined ? undefined : ConnectionSet.of(focusConn.protocol, focusConn.port)
  const options = { focus, focusPeer, ...(direction === undefined ? {} : { direction }), ...(through === undefined ? {} : { through }) }
  const map = policyMap(world, state, options)
  const notes = [
    ...(world.noEngine === undefined ? [] : [withoutEngine(world.noEngine, world.unenforced.length > 0)]),
    ...map.unknown.map((name) => `no workload is called ${name}`),
    ...(flags.exposure && ['svg', 'matrix'].includes(flags.output)
      ? [`-o ${flags.output} shows the map alone; --exposure shows in txt, json, csv, md and dot`]
      : []),
    ...(focus.length === 0 && direction !== undefined ? ['--direction says nothing without --focus'] : []),
    ...(focus.length === 0 && focusPeer.length > 0 ? ['--focus-peer says nothing without --focus'] : []),
  ]
  await io.err(notes.map((note) => `warning: ${safe(note)}\n`).join(''))
  const form: ListForm = { transportOnly: world.switches.as === 'np-guard', ...(through === undefined ? {} : { through: throughText(through) }) }
  const text = flags.exposure ? withExposure(map, exposureReport(world, map, options), { form, output: flags.output }) : printed(map, form, flags.output)
  // the tabs of dot are its own, and it escapes as JSON does
  await io.out(flags.output === 'dot' ? text : safe(text))
  return exit
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
    .with('svg', 'matrix', () => printed(map, form, output))
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
    .exhaustive()
}
