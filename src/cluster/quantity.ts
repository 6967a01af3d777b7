/** Quantities of Kubernetes (`100m`, `0.5`, `64Mi`, `1e3`) → numbers. After k8s.io/apimachinery pkg/api/resource. */
import type { KubernetesObject } from './manifest.js'
import type { ProblemList } from './problem-list.js'

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

const PATTERN = /^([+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}))(?:([eE][+-]?[0-9]{1,2})|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?$/

/** undefined when the text is no quantity. Processors count in cores, memory in bytes. */
export function parseQuantity(text: string): number | undefined {
  const match = PATTERN.exec(text)
  if (match === null) return undefined
  const [, digits, exponent = '', suffix = ''] = match
  return Number(digits + exponent) * SUFFIXES[suffix]
}

type Quantities = Readonly<Record<string, string | number>> | null | undefined

/** Those that can be read; what cannot is reported. */
export function readQuantities(given: Quantities, path: readonly (string | number)[], object: KubernetesObject, problems: ProblemList): Map<string, number> {
  const amounts = new Map<string, number>()
  for (const [name, text] of Object.entries(given ?? {})) {
    const amount = parseQuantity(`${text}`)
    if (amount !== undefined && amount >= 0) amounts.set(name, amount)
    else problems.error(object.at(...path, name), object.label, `${name}: ${JSON.stringify(text)} is no quantity`, 'Quantities look like 500m, 2, 64Mi or 1G.')
  }
  return amounts
}
