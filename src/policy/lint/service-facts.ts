/** Services as policies meet them: which pods are behind one, on which port of the pod each of its ports comes out, who hides the source. */
import { matchesLabels } from '../../cluster/labels.js'
import type { ClusterService, ServicePort } from '../../cluster/services/service.js'
import type { PolicyPod } from '../model.js'
import type { LintFacts, PodClass } from './facts.js'

export interface ServiceBehind {
  readonly service: ClusterService
  readonly classes: readonly PodClass[]
}

/** Those with a selector and pods behind it. */
export function servicesWithPods(facts: LintFacts): readonly ServiceBehind[] {
  return facts.state.services.flatMap((service): ServiceBehind | [] => {
    const { selector = {}, namespace } = service
    if (Object.keys(selector).length === 0) return []
    const classes = facts.inNamespace(namespace).filter(({ pod }) => matchesLabels(selector, pod.labels))
    return classes.length === 0 ? [] : { service, classes }
  })
}

/** A number as it is; a name as the pod has it. */
export function targetOn(pod: PolicyPod, { protocol, targetPort }: Pick<ServicePort, 'protocol' | 'targetPort'>): number | undefined {
  if (typeof targetPort === 'number') return targetPort
  return pod.ports.find((port) => port.name === targetPort && port.protocol === protocol)?.port
}

/** It is reached from outside through a node that may write its own address over the source. */
export function hidesSource({ type, externalLocal }: ClusterService): boolean {
  return (type === 'NodePort' || type === 'LoadBalancer') && !externalLocal
}
