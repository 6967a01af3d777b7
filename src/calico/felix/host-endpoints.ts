/** Which host endpoint an interface has. After resolveHostEndpoints of felix/dataplane/linux/endpoint_mgr.go. */
import type { Ip } from '../../base/ip.js'
import type { HostEndpoint } from '../../cluster/calico/endpoint.js'
import { ALL_INTERFACES } from './names.js'
import { compareText } from './static-tables.js'

/** A card, tunnel or loopback of the host: none of a workload's. */
export interface HostInterface {
  readonly name: string
  readonly addresses: readonly Ip[]
}

export interface ResolvedHostEndpoint {
  /** `any-interface-at-all` for `*`. */
  readonly interfaceName: string
  readonly endpoint: HostEndpoint
}

/**
 * The first by name of those that name the interface, or name none and expect one of its addresses. One for `*` takes all interfaces that have
 * none, and is listed last.
 * @param endpoints those of this node
 */
export function resolveHostEndpoints(endpoints: readonly HostEndpoint[], interfaces: readonly HostInterface[]): readonly ResolvedHostEndpoint[] {
  const sorted = endpoints.toSorted((a, b) => compareText(a.name, b.name))
  const named = interfaces.flatMap((device): ResolvedHostEndpoint[] => {
    const endpoint = sorted.find((candidate) => isFor(candidate, device))
    return endpoint === undefined ? [] : [{ interfaceName: device.name, endpoint }]
  })
  const all = sorted.find(({ interfaceName }) => interfaceName === '*')
  return [...named, ...(all === undefined ? [] : [{ interfaceName: ALL_INTERFACES, endpoint: all }])]
}

function isFor({ interfaceName, expectedIPs }: HostEndpoint, device: HostInterface): boolean {
  if (interfaceName === '*') return false
  if (interfaceName !== undefined && interfaceName !== '') return interfaceName === device.name
  return expectedIPs.some((address) => device.addresses.includes(address))
}
