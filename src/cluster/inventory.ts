/** Which objects play a part and which never do: these are named once, nothing is left out in silence. */
import { grouped } from '../base/grouped.js'
import { CLASSIC_KINDS } from './calico/classic-identity.js'
import { isForeignPolicy } from './foreign-policy.js'
import { coreKinds, kindInfo } from './kinds.js'
import type { KubernetesObject } from './manifest.js'
import { nearestName, suggestName } from './nearest-name.js'
import type { ProblemList } from './problem-list.js'

/** Reports the kinds that nothing is built from, and apiVersions that a kind never had. @param what they play no part in */
export function takeInventory(objects: readonly KubernetesObject[], problems: ProblemList, what: 'packet paths' | 'policies' = 'packet paths'): void {
  const idle: KubernetesObject[] = []
  for (const object of objects) {
    const info = kindInfo(object.apiVersion, object.kind)
    if (info === undefined) {
      if (isMisspelt(object, problems)) continue
    } else if (info.apiVersions?.includes(object.apiVersion) === false) {
      problems.error(object.at('apiVersion'), object.label, `${object.kind} has no apiVersion ${object.apiVersion}`, `Write ${info.apiVersions.join(' or ')}.`)
      continue
    }
    const role = info?.role ?? 'none'
    if (what === 'policies' && isForeignPolicy(object)) continue
    if (role === 'none' || (role === 'policies' && what !== 'policies')) idle.push(object)
  }
  if (idle.length > 0) problems.warning(idle[0], '', `${countKinds(idle)}: play no part in ${what}, kept`, '')
}

/** Reports a kind that cannot exist: netsim's own group and the core group are closed. */
function isMisspelt(object: KubernetesObject, problems: ProblemList): boolean {
  if (object.apiVersion.startsWith('netsim/')) {
    problems.error(
      object.at('kind'),
      object.label,
      `${object.apiVersion} has no kind ${object.kind}`,
      suggestName(object.kind, ['Network', 'EtcdSnapshot', 'Scenario']),
    )
    return true
  }
  const meant = object.apiVersion === 'v1' ? nearestName(object.kind, [...coreKinds(), ...CLASSIC_KINDS]) : undefined
  if (meant !== undefined) problems.error(object.at('kind'), object.label, `v1 has no kind ${object.kind}`, `Did you mean ${meant}?`)
  return meant !== undefined
}

/** `2 Secrets, 1 ServiceAccount`. */
function countKinds(objects: readonly KubernetesObject[]): string {
  return [...grouped(objects, ({ kind }) => kind)].map(([kind, members]) => `${members.length} ${members.length === 1 ? kind : plural(kind)}`).join(', ')
}

function plural(kind: string): string {
  if (/(s|x|ch)$/.test(kind)) return kind === 'Endpoints' ? kind : `${kind}es`
  return /[^aeiou]y$/.test(kind) ? `${kind.slice(0, -1)}ies` : `${kind}s`
}
