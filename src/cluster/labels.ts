/**
 * Labels and the selectors over them: LabelSelector (matchLabels, matchExpressions) and the terms of node affinity, their grammar and their
 * matching. After k8s.io/apimachinery pkg/labels and component-helpers scheduling/corev1/nodeaffinity.
 */

export type Labels = Readonly<Record<string, string>>

export interface Requirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

export interface LabelSelector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly Requirement[]
}

/** One of several; expressions over labels and over fields (`metadata.name` only) must all hold. */
export interface NodeSelectorTerm {
  readonly matchExpressions?: readonly Requirement[]
  readonly matchFields?: readonly Requirement[]
}

interface Fault {
  /** Where inside the selector. */
  readonly path: readonly (string | number)[]
  readonly what: string
  readonly fix: string
}

export const SELECTOR_OPERATORS: readonly string[] = ['In', 'NotIn', 'Exists', 'DoesNotExist']
export const NODE_OPERATORS: readonly string[] = [...SELECTOR_OPERATORS, 'Gt', 'Lt']

export function matchesLabels(wanted: Labels, labels: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => valueOf(labels, key) === value)
}

/** NotIn and DoesNotExist hold for labels that lack the key; Gt and Lt compare whole numbers. An operator out of the grammar never matches. */
export function matchesRequirement(requirement: Requirement, labels: Labels): boolean {
  const value = valueOf(labels, requirement.key)
  const values = requirement.values ?? []
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return compareWhole(value, values[0], (a, b) => a > b)
    case 'Lt':
      return compareWhole(value, values[0], (a, b) => a < b)
    default:
      return false
  }
}

/** An empty selector matches everything; whoever has none at all says what that means. */
export function matchesSelector({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  return (
    (matchLabels === undefined || matchesLabels(matchLabels, labels)) &&
    (matchExpressions === undefined || matchExpressions.every((requirement) => matchesRequirement(requirement, labels)))
  )
}

/** Terms are alternatives; an empty term matches nothing, no terms at all match nothing. */
export function matchesNodeTerms(terms: readonly NodeSelectorTerm[], node: { readonly name: string; readonly labels: Labels }): boolean {
  return terms.some((term) => {
    const expressions = term.matchExpressions ?? []
    const fields = term.matchFields ?? []
    if (expressions.length + fields.length === 0) return false
    return (
      expressions.every((requirement) => matchesRequirement(requirement, node.labels)) &&
      fields.every((requirement) => matchesRequirement(requirement, { 'metadata.name': node.name }))
    )
  })
}

/** What the grammar has against a requirement. */
export function requirementFaults(requirement: Requirement, operators: readonly string[]): Fault[] {
  const { operator, values } = requirement
  if (!operators.includes(operator))
    return [{ path: ['operator'], what: `unknown operator ${JSON.stringify(operator)}`, fix: `The operators are ${operators.join(', ')}.` }]
  const count = values?.length ?? 0
  if ((operator === 'In' || operator === 'NotIn') && count === 0)
    return [{ path: ['values'], what: `${operator} without values`, fix: 'Give at least one value, or use Exists or DoesNotExist.' }]
  if ((operator === 'Exists' || operator === 'DoesNotExist') && count > 0)
    return [{ path: ['values'], what: `${operator} with values`, fix: 'Leave the values out, or use In or NotIn.' }]
  if ((operator === 'Gt' || operator === 'Lt') && (count !== 1 || wholeNumber(values?.[0]) === undefined))
    return [{ path: ['values'], what: `${operator} without exactly one whole number`, fix: 'Write one, in quotes: ["3"].' }]
  return []
}

/** What the grammar has against a LabelSelector. */
export function selectorFaults({ matchLabels = {}, matchExpressions = [] }: LabelSelector): Fault[] {
  return [
    ...Object.entries(matchLabels).flatMap(([key, value]) => {
      const fault = labelFault(key, value)
      return fault === undefined ? [] : [{ path: ['matchLabels', key], ...fault }]
    }),
    ...matchExpressions.flatMap((requirement, index) => {
      const faults = requirementFaults(requirement, SELECTOR_OPERATORS)
      const texts = [
        ['key', labelFault(requirement.key, '')] as const,
        ...(requirement.values ?? []).map((value) => ['values', labelFault('key', value)] as const),
      ]
      const grammar = texts.flatMap(([field, fault]) => (fault === undefined ? [] : [{ path: [field], ...fault }]))
      return [...faults, ...grammar].map((fault) => ({ ...fault, path: ['matchExpressions', index, ...fault.path] }))
    }),
  ]
}

const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const PREFIX = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/** What the grammar has against a label: key `[prefix/]name`, name and value of at most 63 characters. */
export function labelFault(key: string, value: string): { readonly what: string; readonly fix: string } | undefined {
  const slash = key.indexOf('/')
  const prefix = slash < 0 ? undefined : key.slice(0, slash)
  const name = key.slice(slash + 1)
  if (name.length > 63 || !NAME.test(name) || (prefix !== undefined && (prefix.length > 253 || !PREFIX.test(prefix)))) {
    return {
      what: `${JSON.stringify(key)} is no label key`,
      fix: 'A key is [dns.prefix/]name; the name has up to 63 letters, digits, - _ . and starts and ends with a letter or digit.',
    }
  }
  if (value.length > 63 || (value !== '' && !NAME.test(value))) {
    return {
      what: `${JSON.stringify(value)} is no label value`,
      fix: 'A value has up to 63 letters, digits, - _ . and starts and ends with a letter or digit.',
    }
  }
  return undefined
}

/** Own properties only: a label called `constructor` is no more and no less than any other. */
function valueOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined
}

function wholeNumber(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[+-]?[0-9]{1,19}$/.test(text) ? BigInt(text.replace(/^\+/, '')) : undefined
}

function compareWhole(a: string | undefined, b: string | undefined, compare: (a: bigint, b: bigint) => boolean): boolean {
  const left = wholeNumber(a)
  const right = wholeNumber(b)
  return left !== undefined && right !== undefined && compare(left, right)
}
