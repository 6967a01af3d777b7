/** Why a selector finds nobody among some labels: which label or value none of them has, and which one it is near to. */
import type { Labels } from '../../cluster/labels.js'
import { nearestName } from '../../cluster/nearest-name.js'
import type { SelectorNode } from '../../cluster/selector.js'
import { termsOf } from './selector-cover.js'

export interface Miss {
  /** `none of them has a label app.kubernetes.io/name`. */
  readonly what: string
  /** `Did you mean app=web?`; absent where nothing is near. */
  readonly near?: string
}

/** @param among labels of whoever could have been found; at least one */
export function missOf(selector: SelectorNode, among: readonly Labels[]): Miss {
  const terms = termsOf(selector)
  for (const { label, values } of terms) {
    const having = [...new Set(among.flatMap((labels) => (Object.hasOwn(labels, label) ? [labels[label]] : [])))].sort()
    if (having.length === 0) return missingKey(label, values, among)
    if (values.length > 0 && !values.some((value) => having.includes(value))) return missingValue(label, values, having)
  }
  return { what: terms.length === 0 ? 'each of them has what it excludes' : 'each of its labels is there, and nobody has all of them' }
}

function missingKey(label: string, values: readonly string[], among: readonly Labels[]): Miss {
  const keys = [...new Set(among.flatMap((labels) => Object.keys(labels)))].sort()
  // the same value under another key tells more than a key that is spelt alike
  const holding = keys.filter((key) => key !== METADATA_NAME && values.some((value) => among.some((labels) => labels[key] === value)))
  const [key] = holding.length > 0 ? holding : [nearestName(label, keys)]
  const value = values.find((one) => among.some((labels) => key !== undefined && labels[key] === one))
  const near = key === undefined ? {} : { near: `Did you mean ${value === undefined ? `the label ${key}` : `${key}=${value}`}?` }
  return { what: `none of them has a label ${label}`, ...near }
}

function missingValue(label: string, values: readonly string[], having: readonly string[]): Miss {
  const wanted = values.length === 1 ? `${label}=${values[0]}` : `${label} in (${values.join(', ')})`
  const nearest = values.flatMap((value) => nearestName(value, having) ?? [])
  const known = having.length <= MOST_VALUES ? `, ${label} is ${having.join(', ')}` : ''
  return { what: `none of them has ${wanted}${known}`, ...(nearest.length === 0 ? {} : { near: `Did you mean ${label}=${nearest[0]}?` }) }
}

const MOST_VALUES = 6
export const METADATA_NAME = 'kubernetes.io/metadata.name'
