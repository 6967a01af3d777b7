/** What ends are called in lists and reports: `shop/web[Deployment]`, `10.0.0.0-10.255.255.255[External]`, `{ingress-controller}`. */
import { formatRange, type AddressRange } from './address-range.js'
import type { End, PolicyPod } from './model.js'

/** The source of requests that come through an Ingress or Route: any pod of the cluster that no policy knows. */
export const INGRESS_CONTROLLER = 'ingress-controller'

/** `ns/name[Kind]` of the workload. */
export function workloadName({ namespace, workload }: Pick<PolicyPod, 'namespace' | 'workload'>): string {
  return `${namespace}/${workload.name}[${workload.kind}]`
}

/** Always with both ends, one address too. */
export function spanText(range: AddressRange): string {
  const end = (address: bigint): string => formatRange({ ...range, first: address, last: address })
  return `${end(range.first)}-${end(range.last)}`
}

export function endName(end: End): string {
  if (end.kind === 'pod') return workloadName(end)
  return end.kind === 'node' ? `${end.name}[Node]` : `${spanText(end.range)}[External]`
}
