/**
 * Do some conditions take in every end that others do, whoever comes? Proven by their form, so that it holds for pods and labels that are not there
 * yet; false says nothing. Networks are compared exactly, cut where others begin and end.
 */
import { selectorOf, type SelectorNode } from '../../cluster/selector.js'
import { coversRange, meetsRange, type AddressRange } from '../address-range.js'
import type { Condition } from '../model.js'
import { both, selectorCases, selectorImplies } from './selector-cover.js'

/** All of them hold of one end. */
export type Conditions = readonly Condition[]

type LabelsOf = Extract<Condition, { kind: 'labels' }>['of']
type Networks = Extract<Condition, { kind: 'networks' }>

/** Every end of which all of `inner` hold has all of `outer` hold of it. */
export function conditionsImply(inner: Conditions, outer: Conditions): boolean {
  return inner.some(({ kind }) => kind === 'never') || outer.every((condition) => implied(inner, condition))
}

function implied(inner: Conditions, wanted: Condition): boolean {
  switch (wanted.kind) {
    case 'namespace':
      return inner.some((one) => one.kind === 'namespace' && one.name === wanted.name)
    case 'labels':
      return impliesLabels(inner, wanted)
    case 'notLabels':
      return inner.some((one) => one.kind === 'notLabels' && selectorImplies(wanted.selector.root, one.selector.root))
    case 'serviceAccounts':
      return inner.some((one) => one.kind === 'serviceAccounts' && one.names.every((name) => wanted.names.includes(name)))
    case 'networks':
      return inner.some((one) => one.kind === 'networks' && networksCover(wanted, one))
    case 'service':
      return inner.some((one) => one.kind === 'service' && one.namespace === wanted.namespace && one.name === wanted.name)
    case 'never':
      return false
  }
}

/** Labels of Calico's, which host endpoints and network sets have as well. */
const ENDPOINTS: readonly LabelsOf[] = ['endpoint', 'endpointItself']

function impliesLabels(inner: Conditions, { of, selector }: Extract<Condition, { kind: 'labels' }>): boolean {
  const isOf = (own: LabelsOf): boolean => own === of || (own === 'endpointItself' && of === 'endpoint')
  const selected = inner.flatMap((one) => (one.kind === 'labels' && isOf(one.of) ? [one.selector.root] : []))
  // an end may have several sets of endpoint labels: what one selector finds says nothing of another's
  if (ENDPOINTS.includes(of)) return selected.some((own) => selectorImplies(own, selector.root))
  const known = [...(of === 'namespace' ? inner.flatMap(nameLabel) : []), ...selected]
  if (known.length > 0) return selectorImplies(known.reduce(both), selector.root)
  // of pods labels are known to be there, not which
  return of !== 'node' && isPod(inner) && selectorImplies({ kind: 'all' }, selector.root)
}

function nameLabel(one: Condition): readonly SelectorNode[] {
  return one.kind === 'namespace' ? [{ kind: 'compare', label: 'kubernetes.io/metadata.name', operator: '==', value: one.name }] : []
}

/** Only pods can meet them. */
function isPod(conditions: Conditions): boolean {
  return conditions.some(
    (one) => one.kind === 'namespace' || one.kind === 'serviceAccounts' || (one.kind === 'labels' && one.of !== 'node' && !ENDPOINTS.includes(one.of)),
  )
}

function networksCover(outer: Networks, inner: Networks): boolean {
  // whether a pod's address counts may be up to a switch
  if (inner.podsToo === true && outer.podsToo !== true) return false
  const isExcepted = (hole: AddressRange): boolean => inner.exclude.some((own) => coversRange(own, hole))
  if (inner.include.length === 0) return outer.include.length === 0 && outer.exclude.every(isExcepted)
  return inner.include.every(
    (range) =>
      (outer.include.length === 0 || outer.include.some((one) => coversRange(one, range))) &&
      outer.exclude.every((hole) => !meetsRange(hole, range) || isExcepted(hole)),
  )
}

/** Every IPv4 or every IPv6 address is taken in, and none left out. */
export function isWholeFamily({ include, exclude }: Networks): boolean {
  return (
    exclude.length === 0 &&
    (include.length === 0 || include.some(({ family, first, last }) => first === 0n && last === (family === 4 ? 0xffff_ffffn : (1n << 128n) - 1n)))
  )
}

const MOST_CASES = 256

/**
 * The same ends, case by case: values of selectors apart, networks in pieces that none of `others` cuts. Where there would be too many, fewer cases:
 * less is proven then.
 */
export function casesOf(conditions: Conditions, others: readonly Conditions[]): readonly Conditions[] {
  return conditions.reduce<readonly Conditions[]>(
    (cases, condition) => {
      const own = conditionCases(condition, others)
      return cases.length * own.length > MOST_CASES
        ? cases.map((one) => [...one, condition])
        : cases.flatMap((one) => own.map((piece): Conditions => [...one, piece]))
    },
    [[]],
  )
}

function conditionCases(condition: Condition, others: readonly Conditions[]): readonly Condition[] {
  if (condition.kind === 'labels') return selectorCases(condition.selector.root).map((root) => ({ ...condition, selector: selectorOf(root) }))
  // a pod of unknown address is in every address and in no part of them
  if (condition.kind !== 'networks' || condition.include.length === 0 || isWholeFamily(condition)) return [condition]
  const cuts = others.flatMap((list) => list.flatMap((one) => (one.kind === 'networks' ? [...one.include, ...one.exclude] : [])))
  return rangesOf(condition)
    .flatMap((range) => cutRange(range, cuts))
    .map((range) => ({ ...condition, include: [range], exclude: [] }))
}

/** What is included and not excluded, as ranges; of a condition that includes something. */
export function rangesOf({ include, exclude }: Pick<Networks, 'include' | 'exclude'>): readonly AddressRange[] {
  return include.flatMap((range) => cutRange(range, exclude).filter((piece) => !exclude.some((hole) => coversRange(hole, piece))))
}

/** The range in pieces, such that each cut takes in a piece or does not meet it. */
export function cutRange(range: AddressRange, cuts: readonly AddressRange[]): readonly AddressRange[] {
  const meeting = cuts.filter((cut) => meetsRange(cut, range))
  const starts = new Set([range.first])
  for (const { first, last } of meeting) {
    if (first > range.first) starts.add(first)
    if (last < range.last) starts.add(last + 1n)
  }
  const sorted = [...starts].sort((a, b) => (a < b ? -1 : 1))
  return sorted.map((first, index) => ({ family: range.family, first, last: index + 1 < sorted.length ? sorted[index + 1] - 1n : range.last }))
}
