/** Calico's worlds made smaller: objects left out, of policies rules, of rules and settings fields. */
import type { ResourceDraft, WorldDraft } from './random-world.js'
import { without } from './shrink-lists.js'

type Fields = Readonly<Record<string, unknown>>

export const CALICO_STEPS: readonly ((draft: WorldDraft) => readonly WorldDraft[])[] = [
  (draft) => without(draft.resources ?? []).map((resources) => ({ ...draft, resources })),
  (draft) =>
    (draft.resources ?? []).flatMap((resource, index) =>
      plainer(resource).map((one) => ({ ...draft, resources: (draft.resources ?? []).map((other, at) => (at === index ? one : other)) })),
    ),
]

const KEPT = ['cidr', 'node', 'selector', 'peerIP', 'asNumber', 'nets', 'podSelector', 'ipipMode', 'vxlanMode', 'types', 'policyTypes']

function plainer(resource: ResourceDraft): ResourceDraft[] {
  const spec: Fields = resource.spec ?? {}
  const withSpec = (fields: Fields): ResourceDraft => ({ ...resource, spec: fields })
  return [
    ...Object.keys(spec)
      .filter((key) => !KEPT.includes(key))
      .map((key) => withSpec(leftOut(spec, key))),
    ...(['ingress', 'egress'] as const).flatMap((way) => {
      const rules = Array.isArray(spec[way]) ? (spec[way] as readonly Fields[]) : []
      return [
        ...without(rules).map((rest) => withSpec({ ...spec, [way]: rest })),
        ...rules.flatMap((rule, at) => plainerRule(rule).map((one) => withSpec({ ...spec, [way]: rules.map((other, index) => (index === at ? one : other)) }))),
      ]
    }),
  ]
}

/** A field of the rule, or of its source or destination, left out. */
function plainerRule(rule: Fields): Fields[] {
  return Object.entries(rule).flatMap(([key, value]) => {
    if (key === 'action') return []
    const inner = typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}
    return [leftOut(rule, key), ...Object.keys(inner).map((field) => ({ ...rule, [key]: leftOut(inner, field) }))]
  })
}

function leftOut(fields: Fields, key: string): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([other]) => other !== key))
}
