/** A DriftReport as people read it in the night: what is wrong, what should be there and what is, what it does to whom, and what to type. */
import { factsLines, findingHead, inputsWords, KEY_WIDTH, keyLine, pageOf, pageText, sumLines, type FindingsTextOptions, type Page } from '../findings-text.js'
import { printable } from '../text-style.js'
import type { DriftFinding, DriftReport, FlowChangeDocument, ShownDocument } from './finding.js'

/** Ends with a newline. */
export function driftText(report: DriftReport, options: FindingsTextOptions): string {
  const page = pageOf(options)
  const { metadata, findings } = report
  const { cni, backend, nodes, inputs, told, seed } = metadata
  const dumps = nodes.map(({ name, source }) => (source === '' ? name : `${name} (${source})`)).join(', ')
  const facts = `${[cni, backend].filter((word) => word !== '').join(' ')} · ${dumps} against the agents${inputsWords(inputs)} · seed ${seed}`
  return pageText([
    ...factsLines(page, facts),
    '',
    ...findings.flatMap((one) => findingLines(page, one)),
    ...told.flatMap((text) => keyLine(page, 'by dump', { text: `no input says it: ${text}`, whole: false })),
    ...nodes.flatMap(({ name, compared, aligned }) =>
      compared === 0
        ? []
        : keyLine(page, 'compared', {
            text: `${name}: ${compared} things${aligned.length === 0 ? '' : `; taken for the same: ${aligned.join(', ')}`}`,
            whole: false,
          }),
    ),
    ...sumLines(page, report),
  ])
}

/** Without -v so many lines of one kind. */
const FEW = 3

function findingLines(page: Page, found: DriftFinding): string[] {
  const line = (key: string, text: string): string[] => keyLine(page, key, { text, whole: false })
  const some = <Item>(items: readonly Item[]): readonly Item[] => (page.verbosity > 0 ? items : items.slice(0, FEW))
  const rest = (items: readonly unknown[]): string[] => (page.verbosity > 0 || items.length <= FEW ? [] : line('', `… ${items.length - FEW} more (-v)`))
  // whole, however wide the page is: somebody will copy it
  const command = (key: string, text: string): string[] => [`  ${page.style.dim(key.padEnd(KEY_WIDTH))}${printable(text, page.ascii)}`]
  const { expected, there, traffic, commands } = found
  return [
    findingHead(page, found),
    ...line('what', found.what),
    ...some(expected).flatMap((one) => line('expected', shownText(one))),
    ...rest(expected),
    ...(there.length === 0 ? line('there', 'nothing') : some(there).flatMap((one) => line('there', shownText(one)))),
    ...rest(there),
    ...line('effect', found.effect),
    ...some(traffic.changes).flatMap((one) => line(one.change, changeText(one))),
    ...rest(traffic.changes),
    ...(traffic.changes.length === 0 ? [] : command('ask', traffic.changes[0].command)),
    ...commands.map((one) => command('mend', one)[0]),
    ...(commands.length === 0 ? line('mend', found.fix) : []),
    ...line('by itself', found.repair),
    '',
  ]
}

function shownText({ text, by, object, file, line }: ShownDocument): string {
  const place = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}`
  const whose = by === undefined || by === 'dump' ? '' : `${by}${object === undefined ? '' : `, ${object}`}`
  const behind = [whose, place].filter((word) => word !== '').join(', ')
  return `${text}${behind === '' ? '' : `   (${behind})`}`
}

function changeText({ flow, before, after }: FlowChangeDocument): string {
  return `${flow}: ${after}; expected: ${before}`
}
