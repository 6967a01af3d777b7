/** A CheckReport → the text that `netsim check` prints: the findings, what was asked, and the sum last. */
import { counted, factsLines, findingText, inputsWords, keyLine, pageOf, pageText, sumLines, type FindingsTextOptions, type Page } from '../findings-text.js'
import type { AskedDocument, CheckReport } from './finding.js'

/** Ends with a newline. */
export function checkText(report: CheckReport, options: FindingsTextOptions): string {
  const page = pageOf(options)
  const told = report.asked.map(askedWords).join('; ')
  return pageText([
    ...headLines(page, report),
    '',
    ...report.findings.flatMap((one) => findingText(page, one)),
    ...(told === '' ? [] : keyLine(page, 'asked', { text: told, whole: false })),
    ...sumLines(page, report),
  ])
}

function headLines(page: Page, { metadata }: CheckReport): string[] {
  const { cni, backend, runtime, nodes, pods, inputs, seed } = metadata
  const network = cni === 'none' ? runtime : `${cni}${backend === '' ? '' : ` ${backend}`}`
  return factsLines(page, `${network} · ${counted(nodes, 'node')}, ${counted(pods, 'pod')}${inputsWords(inputs)} · seed ${seed}`)
}

/** `pod to pod 6 of 6 classes' pairs, for 12 pairs`. */
function askedWords({ what, asked, of, pairs, covered }: AskedDocument): string {
  const standing = covered === pairs ? `${pairs}` : `${covered} of ${pairs}`
  return pairs === asked && asked === of ? `${what} ${asked}` : `${what} ${asked}${asked === of ? '' : ` of ${of}`}, standing for ${standing}`
}
