/**
 * A report of findings as SARIF 2.1.0 (OASIS, sarif-schema-2.1.0): a rule for each code with its help, a result for each finding with the places it
 * names. Code scanners take it as it is. Paths are relative: what begins at a root says nothing elsewhere.
 */
import type { Evidence, Finding, FindingInfo, FindingReport, Severity } from '../base/finding.js'

const SCHEMA = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json'
/** §3.27.10. */
const LEVELS: Readonly<Record<Severity, 'error' | 'warning' | 'note'>> = { error: 'error', warning: 'warning', info: 'note' }

export interface SarifOptions {
  /** Every code that there is. */
  readonly catalogue: readonly FindingInfo[]
  /** Version of netsim, as in semantic versioning. */
  readonly version: string
  /** A file as the user named it → a path relative to where the scan runs. */
  readonly relative: (file: string) => string
}

export function sarifLog(report: FindingReport, { catalogue, version, relative }: SarifOptions): object {
  const failed = report.notJudged.length > 0
  return {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'netsim', semanticVersion: version, rules: catalogue.map(ruleOf) } },
        results: report.findings.map((one) => ({ ruleIndex: catalogue.findIndex(({ code }) => code === one.code), ...resultOf(one, relative) })),
        columnKind: 'utf16CodeUnits',
        invocations: [
          {
            executionSuccessful: true,
            ...(failed ? { toolExecutionNotifications: report.notJudged.map((text) => ({ level: 'warning', message: { text: `not judged: ${text}` } })) } : {}),
          },
        ],
      },
    ],
  }
}

function ruleOf({ code, name, title, severity, cause, effect, fix }: FindingInfo): object {
  return {
    id: code,
    name,
    shortDescription: { text: `${title}.` },
    fullDescription: { text: cause },
    help: { text: `${cause}\n\nEffect: ${effect}\n\nFix: ${fix}`, markdown: `${cause}\n\n**Effect:** ${effect}\n\n**Fix:** ${fix}` },
    defaultConfiguration: { level: LEVELS[severity] },
  }
}

function resultOf(found: Finding, relative: (file: string) => string): object {
  const [first, ...more] = found.evidence.filter(({ file }) => file !== undefined && file !== '')
  const rules = found.evidence.flatMap(({ rule }) => (rule === undefined ? [] : [rule]))
  const tail = [found.effect, ...rules, `Fix: ${found.fix}`].join('\n')
  return {
    ruleId: found.code,
    level: LEVELS[found.severity],
    message: { text: `${found.what}\n${tail}` },
    locations: first === undefined ? [] : [{ ...locationOf(first, relative), message: { text: first.what } }],
    ...(more.length === 0
      ? {}
      : { relatedLocations: more.map((one, index) => ({ id: index + 1, ...locationOf(one, relative), message: { text: one.what } })) }),
    partialFingerprints: { 'netsim/v1': fingerprint(found) },
  }
}

function locationOf({ file = '', line, object }: Evidence, relative: (file: string) => string): object {
  return {
    physicalLocation: { artifactLocation: { uri: relative(file) }, ...(line === undefined || line < 1 ? {} : { region: { startLine: line } }) },
    ...(object === undefined ? {} : { logicalLocations: [{ fullyQualifiedName: object }] }),
  }
}

/** The same fault in the next run, though its line has moved. */
function fingerprint({ code, evidence }: Finding): string {
  return [code, ...evidence.flatMap(({ object, rule }) => [object, rule]).filter((part) => part !== undefined)].join(' ')
}
