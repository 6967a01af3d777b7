/**
 * What a check or a lint found in somebody's input, apart from what is plainly wrong with it (problem.ts): a code with a meaning of its own, the places
 * that show it, what comes of it and what mends it. Reports of findings share their order, their counts and their writers.
 */

/** The worst first. */
export const SEVERITIES = ['error', 'warning', 'info'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Finding {
  /** `NM001`; stable, see catalogue.ts. */
  readonly code: string
  readonly severity: Severity
  /** Of the code. */
  readonly title: string
  /** What is so in this cluster. */
  readonly what: string
  /** What somebody will notice of it. */
  readonly effect: string
  /** The first one is the place to look at. */
  readonly evidence: readonly Evidence[]
  readonly fix: string
}

/** A place, a rule or a packet's way that shows it. */
export interface Evidence {
  readonly what: string
  readonly file?: string
  /** 1-based. */
  readonly line?: number
  /** `Node/n1`, `Pod/default/web-0`. */
  readonly object?: string
  /** Who wrote the rule: docker, flanneld, felix, owner of the host, … */
  readonly by?: string
  /** `n1 nat/POSTROUTING #1  -s 10.1.15.0/24 ! -o docker0 -j MASQUERADE`. */
  readonly rule?: string
  /** Of the packet that was asked, as far as they tell something. */
  readonly hops?: readonly string[]
  /** The command that shows it. */
  readonly command?: string
}

/** A code, and the text of a finding where the case itself says no more. */
export interface FindingInfo {
  readonly code: string
  /** For tools that name rules. */
  readonly name: string
  readonly title: string
  readonly severity: Severity
  readonly cause: string
  readonly effect: string
  readonly fix: string
}

/** What a case says of itself; what it leaves out is the code's. */
export interface Case {
  readonly what: string
  readonly evidence: readonly Evidence[]
  readonly severity?: Severity
  readonly effect?: string
  readonly fix?: string
}

export interface FindingSummary {
  /** From this severity on findings are told, and make the command end with 1. */
  readonly severity: Severity
  readonly error: number
  readonly warning: number
  readonly info: number
  /** Found, but less severe than asked for. */
  readonly below: number
}

/** What every report of findings has. */
export interface FindingReport {
  readonly summary: FindingSummary
  /** Those at or above the severity that was asked for. */
  readonly findings: readonly Finding[]
  /** What could not be judged, and why. */
  readonly notJudged: readonly string[]
}

/** Which findings somebody wants to be told. */
export interface Wanted {
  /** Findings less severe are counted, not told. */
  readonly severity: Severity
  /** Empty: all. */
  readonly only: readonly string[]
  readonly skip: readonly string[]
}

export function findingOf(info: FindingInfo, { what, evidence, ...own }: Case): Finding {
  const { code, severity, title, effect, fix } = info
  return { code, severity: own.severity ?? severity, title, what, effect: own.effect ?? effect, evidence, fix: own.fix ?? fix }
}

export function isWanted(code: string, { only, skip }: Pick<Wanted, 'only' | 'skip'>): boolean {
  return (only.length === 0 || only.includes(code)) && !skip.includes(code)
}

/** @param found in order (findingsInOrder) */
export function reportFindings(found: readonly Finding[], wanted: Wanted): Pick<FindingReport, 'summary' | 'findings'> {
  const asked = found.filter(({ code }) => isWanted(code, wanted))
  const findings = asked.filter(({ severity }) => isAtLeast(severity, wanted.severity))
  const count = (severity: Severity): number => asked.filter((one) => one.severity === severity).length
  const summary = { severity: wanted.severity, error: count('error'), warning: count('warning'), info: count('info'), below: asked.length - findings.length }
  return { summary, findings }
}

/** The worst first; within a severity by code, then by place. One that says the same of the same place is told once. */
export function findingsInOrder(findings: readonly Finding[]): readonly Finding[] {
  const unique = new Map(findings.map((one) => [JSON.stringify([one.code, one.what]), one]))
  return [...unique.values()].sort(
    (a, b) =>
      SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
      compareText(a.code, b.code) ||
      compareText(placeOf(a)?.file ?? '', placeOf(b)?.file ?? '') ||
      (placeOf(a)?.line ?? 0) - (placeOf(b)?.line ?? 0) ||
      compareText(a.what, b.what),
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** The first place that the evidence names. */
export function placeOf({ evidence }: Finding): (Evidence & { readonly file: string }) | undefined {
  return evidence.find((one): one is Evidence & { readonly file: string } => one.file !== undefined && one.file !== '')
}

function isAtLeast(severity: Severity, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(least)
}
