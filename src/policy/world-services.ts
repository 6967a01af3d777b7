/**
 * Which addresses and ports are behind the Services that rules name, as Felix learns them: from EndpointSlices (felix/serviceindex), where the
 * input has none from Endpoints, and where it has neither from the pods that the Service selects.
 */
import { formatIp } from '../base/ip.js'
import type { ClusterPod } from '../cluster/pod.js'
import type { PolicyState } from '../cluster/policy-state.js'
import { addressesOfEndpoints, addressesOfSlice, listingObjects, type EndpointCluster, type ListedAddress } from '../cluster/services/listed-endpoints.js'
import { targetPortOn } from '../cluster/services/pod-endpoints.js'
import { SelectedPods } from '../cluster/services/selected-pods.js'
import type { ClusterService } from '../cluster/services/service.js'
import { parseRange } from './address-range.js'
import type { PolicyService } from './model.js'

/** Of whom it is behind an address nothing is asked here. */
const NOBODY: EndpointCluster = { objects: [], podByName: new Map(), podsByAddress: new Map(), nodeByName: new Map() }

/** @param wanted `ns/name`; one that no Service object declares may have slices all the same */
export function servicesOf(state: PolicyState, wanted: ReadonlySet<string>): readonly PolicyService[] {
  if (wanted.size === 0) return []
  const listed = listingObjects(state)
  const selected = new SelectedPods([...state.pods, ...state.madePods].filter(({ terminated }) => !terminated))
  const services = new Map(state.services.map((service) => [`${service.namespace}/${service.name}`, service]))
  return [...wanted].map((key): PolicyService => {
    const [namespace, name] = key.split('/')
    const slices = listed.slices.get(key) ?? []
    const endpoints = listed.endpoints.get(key)
    const service = services.get(key)
    const addresses =
      slices.length > 0 ? slices.flatMap((object) => addressesOfSlice(object, NOBODY)) : endpoints === undefined ? [] : addressesOfEndpoints(endpoints, NOBODY)
    const found =
      slices.length > 0 || endpoints !== undefined
        ? addresses.flatMap(ofListed)
        : service === undefined
          ? []
          : ofPods(service, selected.of(namespace, service.selector))
    return { namespace, name, endpoints: found }
  })
}

type Endpoint = PolicyService['endpoints'][number]

function ofListed({ endpoint, ports }: ListedAddress): readonly Endpoint[] {
  const address = parseRange(formatIp(endpoint.address))
  return address === undefined ? [] : ports.map(({ port, protocol }) => ({ address, port, protocol }))
}

function ofPods({ ports }: ClusterService, pods: readonly ClusterPod[]): readonly Endpoint[] {
  return pods.flatMap((pod) => {
    const address = pod.address === undefined ? undefined : parseRange(formatIp(pod.address))
    if (address === undefined) return []
    return ports.flatMap((port): Endpoint | [] => {
      const target = targetPortOn(pod, port)
      return target === undefined ? [] : { address, port: target, protocol: port.protocol }
    })
  })
}
