/**
 * A change of policies as findings, for JUnit and SARIF: one for each group of pairs, at the line of the rule that decides now, else of the one that
 * did. With an expectation, what breaks it is an error and the rest is for information.
 */
import { findingOf, findingsInOrder, reportFindings, type Evidence, type Finding, type FindingInfo, type FindingReport } from '../base/finding.js'
import { existingWords } from '../policy/change/change-words.js'
import type { Change } from '../policy/change/change.js'
import { groupRows, type RowGroup } from '../policy/change/change-groups.js'
import { connectionWords } from '../policy/connection-words.js'
import type { Cause, Decision } from '../policy/change/diff-causes.js'
import type { DiffType } from '../policy/change/diff-document.js'
import type { DiffRow } from '../policy/change/diff-row.js'
import { decisionWords, rulesOf } from '../policy/change/diff-words.js'
import type { Expectation } from './policy-change-verb.js'

const OPENED = 'What was refused is let through: look whether it was meant to be.'

export const CHANGE_CATALOGUE: readonly FindingInfo[] = [
  {
    code: 'PC001',
    name: 'ConnectionsClosed',
    title: 'Connections that were let through are refused',
    severity: 'warning',
    cause: 'After the change the policies of one of the two ends no longer let these connections through.',
    effect: 'New connections of this kind fail.',
    fix: 'Let the rule that is named allow them, or expect it: --expect only-tightens.',
  },
  {
    code: 'PC002',
    name: 'ConnectionsOpened',
    title: 'Connections that were refused are let through',
    severity: 'warning',
    cause: 'After the change the policies of both ends let these connections through.',
    effect: OPENED,
    fix: 'Narrow the rule that is named, or expect it: --expect only-loosens.',
  },
  {
    code: 'PC003',
    name: 'ConnectionsChanged',
    title: 'Other connections are let through than before',
    severity: 'warning',
    cause: 'Between two workloads that may talk before and after the change, other ports or protocols are open.',
    effect: 'Connections over what was closed fail; over what was opened they succeed.',
    fix: 'Look at the rules that are named.',
  },
]

const CODES: Readonly<Record<DiffType, FindingInfo>> = { removed: CHANGE_CATALOGUE[0], added: CHANGE_CATALOGUE[1], changed: CHANGE_CATALOGUE[2] }

/** @param least JUnit fails with all that it is told: what is for information is left out */
export function changeReport(change: Change, expect: Expectation | undefined, least: 'warning' | 'info'): FindingReport {
  const found = groupRows(change.rows).map((group) => findingOfGroup(change, group, expect))
  return { ...reportFindings(findingsInOrder(found), { severity: least, only: [], skip: [] }), notJudged: [] }
}

function findingOfGroup(change: Change, group: RowGroup, expect: Expectation | undefined): Finding {
  const { type, sources, destinations, row } = group
  const info = CODES[type]
  const pieces = [
    ...(row.opened.isEmpty ? [] : [`opened: ${connectionWords(row.opened)}`]),
    ...(row.closed.isEmpty ? [] : [`closed: ${connectionWords(row.closed)}`]),
  ]
  return findingOf(info, {
    what: `${sources.join(', ')} → ${destinations.join(', ')}: ${pieces.join('; ')}`,
    evidence: row.causes.flatMap(evidenceOf),
    ...(expect === undefined ? {} : { severity: breaks(row, expect) ? ('error' as const) : ('info' as const) }),
    ...(row.closed.isEmpty ? {} : { effect: `${info.effect} ${existingWords(change)}` }),
  })
}

/** Workloads that come and go count for no-op alone. */
export function breaks({ opened, closed, comesOrGoes }: DiffRow, expect: Expectation): boolean {
  if (expect === 'no-op') return true
  return !comesOrGoes && !(expect === 'only-tightens' ? opened : closed).isEmpty
}

/** What decides now comes first: it is the line to change. */
function evidenceOf({ direction, before, after }: Cause): readonly Evidence[] {
  const told = (when: string, decision: Decision | undefined): readonly Evidence[] => {
    if (decision === undefined) return []
    const what = `${direction} ${when} ${decisionWords(decision, direction)}`
    const rule = rulesOf(decision, direction).at(-1)
    if (rule === undefined) return [{ what }]
    const { file, line, kind, namespace, name } = rule
    return [{ what, file, line, object: namespace === '' ? `${kind}/${name}` : `${kind}/${namespace}/${name}` }]
  }
  return [...told('is', after), ...told('was', before)]
}
