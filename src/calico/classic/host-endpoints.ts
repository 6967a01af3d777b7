/**
 * Which interface a host endpoint stands for. After _resolve_host_eps of felix 1.4.9 calico/felix/endpoint.py: one with a name needs no
 * interface to be there; one without takes every interface that has one of its addresses and that no other has taken by its addresses.
 */
import type { ClassicHostEndpoint } from '../../cluster/calico/classic-model.js'
import type { HostInterface } from '../felix/host-endpoints.js'

export interface ResolvedClassicHost {
  readonly interfaceName: string
  readonly endpoint: ClassicHostEndpoint
}

/**
 * One endpoint for each interface: where two are left, Felix writes the chains of both under one name, and the first by name is taken here.
 * @param endpoints those of this node, by name
 */
export function resolveClassicHosts(
  endpoints: readonly ClassicHostEndpoint[],
  interfaces: readonly HostInterface[],
  prefixes: readonly string[],
): readonly ResolvedClassicHost[] {
  const hostInterfaces = interfaces.filter(({ name }) => !prefixes.some((prefix) => name.startsWith(prefix)))
  const byInterface = new Map<string, ClassicHostEndpoint>()
  for (const endpoint of endpoints) {
    const names =
      endpoint.interfaceName === undefined
        ? hostInterfaces.filter(({ addresses }) => addresses.some((address) => endpoint.expectedIPs.includes(address))).map(({ name }) => name)
        : [endpoint.interfaceName]
    for (const name of names) if (!byInterface.has(name)) byInterface.set(name, endpoint)
  }
  return [...byInterface].map(([interfaceName, endpoint]) => ({ interfaceName, endpoint })).sort((a, b) => (a.interfaceName < b.interfaceName ? -1 : 1))
}
