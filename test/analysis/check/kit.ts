/** A cluster of a few words, checked. */
import { checkNetwork, checkObjects, type CheckOptions } from '../../../src/analysis/check/check.js'
import type { CheckReport } from '../../../src/analysis/check/finding.js'
import type { Finding } from '../../../src/base/finding.js'
import { buildText, networkOf } from '../../kit/network.js'

export const OPTIONS: CheckOptions = { seed: 1, severity: 'info', only: [], skip: [], tool: 'netsim', inputs: ['test.yaml'] }

/** Of sound input. */
export function check(text: string, options: Partial<CheckOptions> = {}): CheckReport {
  return checkNetwork(networkOf(text), { ...OPTIONS, ...options }).report
}

/** Of input that nothing can be built from. */
export function checkBroken(text: string, options: Partial<CheckOptions> = {}): CheckReport {
  return checkObjects(buildText(text).cluster, { ...OPTIONS, ...options }).report
}

export function codesOf({ findings }: CheckReport): readonly string[] {
  return [...new Set(findings.map(({ code }) => code))]
}

/** The one finding of that code. */
export function theFinding(report: CheckReport, code: string): Finding {
  const found = report.findings.filter((one) => one.code === code)
  if (found.length !== 1) throw new Error(`${found.length} findings of ${code} among ${report.findings.map((one) => `${one.code} ${one.what}`).join('; ')}`)
  return found[0]
}

/** The text of a line of what was checked. */
export function lineAt(text: string, { evidence }: Finding, index = 0): string {
  const placed = evidence.filter(({ file }) => file !== undefined)
  return text.split('\n')[(placed.at(index)?.line ?? 0) - 1] ?? ''
}
