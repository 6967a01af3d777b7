/**
 * An explanation as text: the verdict first, then direction by direction why, with the file and line of every rule that is named.
 *
 *   DENIED  shop/cron → shop/db   TCP 5432
 *     ingress    …
 */
import { keyLines } from '../analysis/trace-text-verdict.js'
import { printable, styleOf, wrap, type Style, type StyleName } from '../analysis/text-style.js'
import { connectionWords } from '../policy/connection-words.js'
import { chainText, connectionText } from '../policy/explain/explain-line.js'
import type { DirectedPart, EndNames, ExplainedPart, Explanation } from '../policy/explain/explain.js'
import { citedWords, nearWords, reasonWords } from '../policy/explain/explain-words.js'

export interface ExplainTextOptions {
  readonly width: number
  readonly color: boolean
  readonly ascii: boolean
}

interface Page {
  readonly style: Style
  readonly width: number
  readonly clean: (text: string) => string
}

const NEAR_SHOWN = 4
const ALSO_SHOWN = 3

/** Ends with a newline. */
export function explanationText(explanation: Explanation, names: EndNames, { width, color, ascii }: ExplainTextOptions): string {
  const page: Page = { style: styleOf(color), width: Math.max(72, width), clean: (text) => printable(text, ascii) }
  const parts = explanation.parts.flatMap((part) => partLines(part, explanation, names, page))
  const rests = explanation.assumptions.flatMap(({ text, decides }) => {
    const rest = decides === true ? ': the other way, the answer would be another' : ''
    return keyLines(page, 'assumed', { text: text + rest, style: decides === true ? 'yellow' : 'dim' })
  })
  return `${[...parts, ...rests].map((line) => line.trimEnd()).join('\n')}\n`
}

function partLines(part: ExplainedPart, { connection }: Explanation, names: EndNames, page: Page): readonly string[] {
  const what = connection === undefined ? connectionWords(part.connections) : connectionText(connection)
  const lines = [...headLines(page, part.allowed, `${names.src} → ${names.dst}   ${what}`)]
  for (const directed of [part.egress, part.ingress]) lines.push(...directionLines(directed, page))
  // what would have to be otherwise: of a denial in the directions that deny
  const telling = [part.egress, part.ingress].filter((directed) => directed.allowed === part.allowed)
  const near = telling.flatMap((directed) => directed.near)
  for (const miss of near.slice(0, NEAR_SHOWN)) lines.push(...keyLines(page, 'near', { text: nearWords(miss), style: 'yellow' }))
  const more = near.length - NEAR_SHOWN
  if (more > 0) lines.push(...keyLines(page, 'near', { text: `… ${more} more ${more === 1 ? 'rule' : 'rules'}`, style: 'yellow' }))
  return lines
}

function headLines({ style, width, clean }: Page, allowed: boolean, text: string): readonly string[] {
  const word = allowed ? 'ALLOWED' : 'DENIED'
  const [first, ...rest] = wrap([{ text: clean(text) }], width - word.length - 2, style)
  return [`${style.bold(style[allowed ? 'green' : 'red'](word))}  ${first}`, ...rest.map((line) => ' '.repeat(word.length + 2) + line)]
}

function directionLines(part: DirectedPart, page: Page): readonly string[] {
  const style: StyleName | undefined = part.allowed ? undefined : 'red'
  const passes = part.steps.flatMap(({ cited }) => cited.filter(({ effect }) => effect === 'pass'))
  const lines = [
    ...passes.map((cited) => `${citedWords(cited)} passes it on`),
    reasonWords(part),
    ...part.also.slice(0, ALSO_SHOWN).map((cited) => `so does ${citedWords(cited)}`),
    ...(part.also.length > ALSO_SHOWN ? [`… ${part.also.length - ALSO_SHOWN} more`] : []),
    ...(part.steps.length > 1 ? [chainText(part)] : []),
  ]
  return keyLines(page, part.direction, { text: lines.join('\n'), ...(style === undefined ? {} : { style }) })
}
