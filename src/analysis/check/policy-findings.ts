/** What the policies of a cluster with an engine say that is hardly meant: the lints that explain why something does not connect (docs/policy-lint.md). */
import { findingOf, type Finding } from '../../base/finding.js'
import type { Cluster } from '../../cluster/cluster.js'
import { policyStateOf } from '../../cluster/policy-state.js'
import type { LintCode } from '../../policy/lint/codes.js'
import { dnsPods } from '../../policy/lint/dns-findings.js'
import { lintFindings } from '../../policy/lint/lint.js'
import { readPolicyWorld, switchesFor } from '../../policy/world.js'
import { codeInfo } from './catalogue.js'
import type { Code } from './codes.js'

const LINTS: Readonly<Partial<Record<LintCode, Code>>> = { NP201: 'NM604', NP401: 'NM605', NP402: 'NM605', NP101: 'NM606', NP102: 'NM606', NP103: 'NM606' }

/** Those that are only to be known are left to `netsim policy lint`. */
export function policyMeaningFindings({ cni, objects }: Cluster, isWanted: (code: Code) => boolean): readonly Finding[] {
  const wanted = (code: LintCode): boolean => LINTS[code] !== undefined && isWanted(LINTS[code])
  if ((cni !== 'calico' && cni !== 'canal') || !Object.values(LINTS).some(isWanted)) return []
  const { state, problems } = policyStateOf({ objects, complete: true })
  const { world } = readPolicyWorld(state, switchesFor('calico'))
  // a cluster without DNS pods asks somebody else, or is not shown whole
  const hasDns = dnsPods(world).length > 0
  const judged = (code: LintCode): boolean => wanted(code) && (hasDns || LINTS[code] !== 'NM605')
  return lintFindings({ state, world, problems }, judged).flatMap(({ code, severity, ...found }) => {
    const own = LINTS[code as LintCode]
    return own === undefined || severity === 'info' ? [] : [findingOf(codeInfo(own), found)]
  })
}
