/** A report of findings as a JUnit report: a test case for each code, so that any CI shows which failed; info is no failure. */
import type { Finding, FindingInfo, FindingReport } from '../base/finding.js'
import { findingLines } from './findings-text.js'
import { xmlText } from './xml-text.js'

export interface JunitOptions {
  /** `netsim check` */
  readonly command: string
  /** What was looked at. */
  readonly suite: string
  /** The codes that were looked for. */
  readonly judged: readonly FindingInfo[]
}

export function findingsJunit({ findings, notJudged }: FindingReport, { command, suite, judged }: JunitOptions): string {
  const classname = command.replaceAll(' ', '.')
  const failed = judged.filter(({ code }) => findings.some((one) => one.code === code))
  const skipped =
    notJudged.length === 0 ? [] : [`    <testcase classname="${classname}" name="not judged"><skipped message="${xmlText(notJudged.join('; '))}"/></testcase>`]
  const counts = `tests="${judged.length + skipped.length}" failures="${failed.length}" errors="0" skipped="${skipped.length}"`
  const cases = judged.map(({ code, title }) => {
    const found = findings.filter((one) => one.code === code)
    return caseText(`    <testcase classname="${classname}" name="${xmlText(`${code} ${title}`)}"`, found)
  })
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${command}" ${counts}>`,
    `  <testsuite name="${xmlText(suite)}" ${counts}>`,
    ...cases,
    ...skipped,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function caseText(open: string, found: readonly Finding[]): string {
  if (found.length === 0) return `${open}/>`
  const text = found
    .flatMap((one) => [`${one.severity} ${one.code} ${one.what}`, ...findingLines(one).map(({ key, text: line }) => `  ${key}: ${line}`)])
    .join('\n')
  return `${open}><failure type="${found[0].severity}" message="${xmlText(found[0].what)}">${xmlText(text)}</failure></testcase>`
}
