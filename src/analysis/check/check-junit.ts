/** A CheckReport as a JUnit report: a test case for each code, so that any CI shows which failed; info is no failure. */
import { xmlText } from '../xml-text.js'
import { codeInfo } from './catalogue.js'
import { CODES } from './codes.js'
import { findingLines } from './check-text.js'
import type { CheckReport, Finding } from './finding.js'

/** @param judged the codes that were looked for */
export function checkJunit({ findings, metadata, notJudged }: CheckReport, judged: readonly string[]): string {
  const codes = CODES.filter((code) => judged.includes(code))
  const failed = codes.filter((code) => findings.some((one) => one.code === code))
  const skipped =
    notJudged.length === 0 ? [] : [`    <testcase classname="netsim.check" name="not judged"><skipped message="${xmlText(notJudged.join('; '))}"/></testcase>`]
  const counts = `tests="${codes.length + skipped.length}" failures="${failed.length}" errors="0" skipped="${skipped.length}"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="netsim check" ${counts}>`,
    `  <testsuite name="${xmlText(`${metadata.cni} ${metadata.backend}`.trim())}" ${counts}>`,
    ...codes.map((code) =>
      caseText(
        code,
        codeInfo(code).title,
        findings.filter((one) => one.code === code),
      ),
    ),
    ...skipped,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function caseText(code: string, title: string, found: readonly Finding[]): string {
  const open = `    <testcase classname="netsim.check" name="${xmlText(`${code} ${title}`)}"`
  if (found.length === 0) return `${open}/>`
  const text = found
    .flatMap((one) => [`${one.severity} ${one.code} ${one.what}`, ...findingLines(one).map(({ key, text: line }) => `  ${key}: ${line}`)])
    .join('\n')
  return `${open}><failure type="${found[0].severity}" message="${xmlText(found[0].what)}">${xmlText(text)}</failure></testcase>`
}
