/**
 * Where Ingresses and Routes lead: object → Services → pods and their ports. Whoever answers for them (the controller) then asks those pods over
 * TCP. Nothing is said of which controller that is.
 */
import { matchesLabels } from '../cluster/labels.js'
import type { Place } from '../cluster/problem-list.js'
import type { PolicyState } from '../cluster/policy-state.js'
import type { ClusterService, ServicePort } from '../cluster/services/service.js'
import { ConnectionSet } from './connections.js'
import type { PolicyPod } from './model.js'

export interface IngressTarget {
  readonly pod: PolicyPod
  readonly connections: ConnectionSet
  /** Who leads there: `Ingress shop/web`. */
  readonly by: readonly string[]
  /** The same, Service by Service. */
  readonly via: readonly IngressWay[]
}

export interface IngressWay {
  readonly by: string
  readonly service: string
  readonly connections: ConnectionSet
}

/** A port that a pod does not declare is not led to: netpol-analyzer's counting. Else one that declares none is taken to listen everywhere. */
export interface IngressReading {
  readonly declaredOnly: boolean
}

/** One for each of the pods, in their order. */
export function ingressTargets(state: PolicyState, pods: readonly PolicyPod[], reading: IngressReading): readonly IngressTarget[] {
  const backends = backendsOf(state)
  if (backends.length === 0) return []
  const services = new Map(state.services.map((service) => [`${service.namespace}/${service.name}`, service]))
  const found = new Map<PolicyPod, { connections: ConnectionSet; readonly by: Set<string>; readonly via: IngressWay[] }>()
  for (const { namespace, service: name, port, by } of backends) {
    const service = services.get(`${namespace}/${name}`)
    if (service?.selector === undefined) continue
    const { selector } = service
    const ports = portsAsked(service, port)
    for (const pod of pods) {
      if (pod.namespace !== namespace || !matchesLabels(selector, pod.labels)) continue
      const connections = ConnectionSet.union(ports.map((one) => portOn(pod, one, reading)))
      if (connections.isEmpty) continue
      const known = found.get(pod)
      const way: IngressWay = { by, service: name, connections }
      if (known === undefined) found.set(pod, { connections, by: new Set([by]), via: [way] })
      else {
        known.connections = known.connections.union(connections)
        known.by.add(by)
        known.via.push(way)
      }
    }
  }
  return pods.flatMap((pod) => {
    const target = found.get(pod)
    return target === undefined ? [] : { pod, connections: target.connections, by: [...target.by], via: target.via }
  })
}

interface Backend extends Place {
  readonly namespace: string
  readonly service: string
  /** Of the Service, by number or name; absent: all of them. */
  readonly port?: number | string
  readonly by: string
}

function backendsOf({ ingresses, routes }: PolicyState): readonly Backend[] {
  return [
    ...ingresses.flatMap(({ namespace, name, defaultBackend, rules }) => {
      const named = [...(defaultBackend === undefined ? [] : [defaultBackend]), ...rules.flatMap(({ paths }) => paths.map(({ backend }) => backend))]
      return named.flatMap(({ service, file, line }): Backend | [] =>
        service === undefined ? [] : { namespace, service: service.name, port: service.port, by: `Ingress ${namespace}/${name}`, file, line },
      )
    }),
    ...routes.flatMap(({ namespace, name, backends, targetPort }) =>
      backends.map(({ service, file, line }): Backend => ({
        namespace,
        service,
        ...(targetPort === undefined ? {} : { port: targetPort }),
        by: `Route ${namespace}/${name}`,
        file,
        line,
      })),
    ),
  ]
}

/** By the port's name, its number, or that of its target (Route's targetPort). */
function portsAsked({ ports }: ClusterService, wanted: number | string | undefined): readonly ServicePort[] {
  if (wanted === undefined) return ports
  const found = ports.find(({ name, port, targetPort }) => name === wanted || port === wanted || targetPort === wanted)
  return found === undefined ? [] : [found]
}

/** Requests come over TCP alone. */
function portOn({ ports }: PolicyPod, { targetPort, protocol }: ServicePort, { declaredOnly }: IngressReading): ConnectionSet {
  if (protocol !== 'TCP') return ConnectionSet.none
  if (typeof targetPort === 'string') {
    const named = ports.find((port) => port.name === targetPort && port.protocol === 'TCP')
    return named === undefined ? ConnectionSet.none : ConnectionSet.of('TCP', named.port)
  }
  const open = ports.some((port) => port.port === targetPort) || (!declaredOnly && ports.length === 0)
  return open ? ConnectionSet.of('TCP', targetPort) : ConnectionSet.none
}
