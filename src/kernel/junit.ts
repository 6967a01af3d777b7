/** A verification as a JUnit report: one test case for each question, so that any CI shows what differs. */
import { controlLines, type ControlDocument } from './control-report.js'
import type { ProbeDocument, VerificationDocument } from './verify-report.js'

export function junitText({ probes, summary, metadata, control }: VerificationDocument): string {
  const skipped = summary.leftOut + summary.control - summary.controlEqual - summary.controlDiffer
  const counts = `tests="${summary.probes + summary.control}" failures="${summary.differ + summary.controlDiffer}" errors="0" skipped="${skipped}"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="netsim verify" ${counts}>`,
    `  <testsuite name="${escaped(`${metadata.cni} ${metadata.backend} on ${metadata.kernel}`)}" ${counts}>`,
    ...probes.map(caseText),
    ...control.flatMap(controlCases),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function caseText(probe: ProbeDocument): string {
  const open = `    <testcase classname="netsim.verify" name="${escaped(probe.name)}"`
  if (probe.verdict === 'equal') return `${open}/>`
  if (probe.verdict === 'left-out') return `${open}><skipped message="${escaped(probe.why)}"/></testcase>`
  const found = [
    ...probe.differences.map(({ netns, device, direction, kind, what, step }) => `${netns} ${device} ${direction}, step ${step}, ${kind}: ${what}`),
    ...(probe.rules.equal === false ? [`rules: ${probe.rules.what}`] : []),
    ...(probe.drops.equal === false ? [`losses: ${probe.drops.why}`] : []),
  ]
  return `${open}><failure message="${escaped(found[0] ?? '')}">${escaped(found.join('\n'))}</failure></testcase>`
}

function controlCases(control: ControlDocument): readonly string[] {
  const lines = controlLines(control)
  return control.nodes.map((one, at) => {
    const open = `    <testcase classname="netsim.verify.${control.program}" name="${escaped(`${one.node} → ${control.program}`)}"`
    if (one.verdict === 'left-out') return `${open}><skipped message="${escaped(one.why)}"/></testcase>`
    const said = escaped(lines[at])
    if (one.verdict === 'equal') return `${open}><system-out>${said}</system-out></testcase>`
    return `${open}><failure message="${said}">${escaped(one.differences.join('\n'))}</failure></testcase>`
  })
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** XML 1.0 §2.2 knows no control letters; a line break within an attribute stands for itself as a reference. */
function escaped(text: string): string {
  return (
    text
      .replace(/[&<>"]/g, (letter) => ENTITIES[letter])
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '?')
      .replaceAll('\n', '&#10;')
  )
}
