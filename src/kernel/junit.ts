/** A verification as a JUnit report: one test case for each question, so that any CI shows what differs. */
import { xmlText } from '../analysis/xml-text.js'
import { controlLines, type ControlDocument } from './control-report.js'
import type { ProbeDocument, VerificationDocument } from './verify-report.js'

export function junitText({ probes, summary, metadata, control }: VerificationDocument): string {
  const skipped = summary.leftOut + summary.control - summary.controlEqual - summary.controlDiffer
  const counts = `tests="${summary.probes + summary.control}" failures="${summary.differ + summary.controlDiffer}" errors="0" skipped="${skipped}"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="netsim verify" ${counts}>`,
    `  <testsuite name="${xmlText(`${metadata.cni} ${metadata.backend} on ${metadata.kernel}`)}" ${counts}>`,
    ...probes.map(caseText),
    ...control.flatMap(controlCases),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function caseText(probe: ProbeDocument): string {
  const open = `    <testcase classname="netsim.verify" name="${xmlText(probe.name)}"`
  if (probe.verdict === 'equal') return `${open}/>`
  if (probe.verdict === 'left-out') return `${open}><skipped message="${xmlText(probe.why)}"/></testcase>`
  const found = [
    ...probe.differences.map(({ netns, device, direction, kind, what, step }) => `${netns} ${device} ${direction}, step ${step}, ${kind}: ${what}`),
    ...(probe.rules.equal === false ? [`rules: ${probe.rules.what}`] : []),
    ...(probe.drops.equal === false ? [`losses: ${probe.drops.why}`] : []),
  ]
  return `${open}><failure message="${xmlText(found[0] ?? '')}">${xmlText(found.join('\n'))}</failure></testcase>`
}

function controlCases(control: ControlDocument): readonly string[] {
  const lines = controlLines(control)
  return control.nodes.map((one, at) => {
    const open = `    <testcase classname="netsim.verify.${control.program}" name="${xmlText(`${one.node} → ${control.program}`)}"`
    if (one.verdict === 'left-out') return `${open}><skipped message="${xmlText(one.why)}"/></testcase>`
    const said = xmlText(lines[at])
    if (one.verdict === 'equal') return `${open}><system-out>${said}</system-out></testcase>`
    return `${open}><failure message="${said}">${xmlText(one.differences.join('\n'))}</failure></testcase>`
  })
}
