/** What came of assertions as a JUnit report: a test case for each, so that any CI shows which failed and why. */
import { xmlText } from '../analysis/xml-text.js'
import type { AssertionReportDocument, AssertionResultDocument } from '../policy/assert/assertions-document.js'

/** `allow shop/web -> shop/db:5432/tcp`, as the short form has it. */
export function assertionTitle({ name, from, to, port, proto, expect, control }: AssertionResultDocument): string {
  if (name !== undefined) return name
  const ports = port === null ? '' : `:${Array.isArray(port) ? port.join(',') : String(port)}`
  const protocol = proto === null ? '' : ports === '' ? ` ${proto}` : `/${proto}`
  return `${control ? 'control ' : ''}${expect} ${from} -> ${to}${ports}${protocol}`
}

export function assertionsJunit({ results, failed, provesNothing }: AssertionReportDocument): string {
  const skipped =
    provesNothing === null ? [] : [`    <testcase classname="netsim.policy" name="control"><skipped message="${xmlText(provesNothing)}"/></testcase>`]
  const counts = `tests="${results.length + skipped.length}" failures="${failed}" errors="0" skipped="${skipped.length}"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="netsim policy test" ${counts}>`,
    `  <testsuite name="policies" ${counts}>`,
    ...results.map(caseText),
    ...skipped,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function caseText(result: AssertionResultDocument): string {
  const { file, line, passed, failures, failedProbes, probes } = result
  const open = `    <testcase classname="netsim.policy" name="${xmlText(assertionTitle(result))}" file="${xmlText(file)}" line="${line}"`
  if (passed) return `${open}/>`
  const text = failures.map(({ src, dst, conn, text: why }) => `${src} -> ${dst} ${conn}: ${why}`)
  const message = `${failedProbes} of ${probes} ${probes === 1 ? 'pair is' : 'pairs are'} not as expected`
  return `${open}><failure type="${result.expect}" message="${xmlText(message)}">${xmlText(text.join('\n'))}</failure></testcase>`
}
