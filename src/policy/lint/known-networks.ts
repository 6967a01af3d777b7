/** Which networks the input says are the pods' and the Services'. Nothing is assumed here: a range that nobody names belongs to the outside. */
import { formatCidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import { isObject, type JsonValue } from '../../cluster/located.js'
import type { PolicyState } from '../../cluster/policy-state.js'
import { findServiceCidr } from '../../cluster/services/service-cidr.js'
import { coversRange, parseRange, type AddressRange } from '../address-range.js'
import type { PolicyWorld } from '../model.js'

export interface KnownNetworks {
  /** IPPools, the Network document, the nodes' podCIDRs. */
  readonly pods: readonly AddressRange[]
  readonly services: readonly AddressRange[]
  /** That the objects have themselves, none that an API server would draw. */
  readonly clusterIps: readonly { readonly range: AddressRange; readonly service: string }[]
}

export function knownNetworks({ objects, services }: PolicyState): KnownNetworks {
  const pods = objects.flatMap(({ kind, value }): string[] => {
    const { spec } = value
    if (kind === 'IPPool') return texts(at(spec, 'cidr'))
    if (kind === 'Network') return texts(at(spec, 'clusterCIDR'))
    return kind === 'Node' ? [...texts(at(spec, 'podCIDR')), ...texts(at(spec, 'podCIDRs'))] : []
  })
  const documents = objects.flatMap(({ kind, value: { spec } }) => (kind === 'Network' ? texts(at(spec, 'serviceCIDR')) : []))
  const found = findServiceCidr(objects)
  return {
    pods: rangesOf(pods),
    services: rangesOf([...documents, ...(found === undefined ? [] : [formatCidr(found)])]),
    clusterIps: services.flatMap(({ clusterIP, clusterIPAssumed, namespace, name }) => {
      const range = clusterIP === undefined || clusterIPAssumed ? undefined : parseRange(formatIp(clusterIP))
      return range === undefined ? [] : [{ range, service: `${namespace}/${name}` }]
    }),
  }
}

function at(value: JsonValue | undefined, key: string): JsonValue | undefined {
  return isObject(value) ? value[key] : undefined
}

function texts(value: JsonValue | undefined): string[] {
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? (value as readonly JsonValue[]).filter((one) => typeof one === 'string') : []
}

function rangesOf(list: readonly string[]): readonly AddressRange[] {
  return list.flatMap((text) => parseRange(text) ?? [])
}

/** Some pod has an address in it. */
export function podsIn({ pods }: PolicyWorld, ranges: readonly AddressRange[]): number {
  return pods.filter(({ hostNetwork, addresses }) => !hostNetwork && addresses.some((own) => ranges.some((range) => coversRange(range, own)))).length
}
