/** Ingress and IngressClass objects → those of the cluster, checked against what they name and against the controllers that are there. */
import type { KubernetesObject } from '../manifest.js'
import type { ClusterPod } from '../pod.js'
import type { ProblemList } from '../problem-list.js'
import type { ClusterService } from '../services/service.js'
import { checkIngresses } from './check-ingresses.js'
import { findControllers, ingressesOf } from './controllers.js'
import type { Ingress, IngressClass } from './ingress.js'
import { readIngress, readIngressClass } from './read-ingress.js'

export interface IngressInput {
  readonly objects: readonly KubernetesObject[]
  readonly services: readonly ClusterService[]
  readonly pods: readonly ClusterPod[]
  /** False: part of the input could not be read, so that a missing object proves nothing. */
  readonly complete: boolean
}

export interface ClusterIngresses {
  /** In the order of the input. */
  readonly ingresses: readonly Ingress[]
  readonly ingressClasses: readonly IngressClass[]
}

export function readIngresses({ objects, services, pods, complete }: IngressInput, problems: ProblemList): ClusterIngresses {
  const ingresses = objects.filter(({ kind }) => kind === 'Ingress').flatMap((object) => readIngress(object, problems) ?? [])
  const ingressClasses = objects.filter(({ kind }) => kind === 'IngressClass').flatMap((object) => readIngressClass(object, problems) ?? [])
  const secrets = objects.filter(({ kind }) => kind === 'Secret')
  checkIngresses(ingresses, { classes: ingressClasses, services, secrets, complete }, problems)
  if (complete && ingresses.length > 0) checkTaken({ ingresses, ingressClasses }, findControllers(pods, services), problems)
  return { ingresses, ingressClasses }
}

function checkTaken({ ingresses, ingressClasses }: ClusterIngresses, controllers: ReturnType<typeof findControllers>, problems: ProblemList): void {
  const [first] = ingresses
  if (controllers.length === 0) {
    const whose = ingresses.length === 1 ? 'the Ingress has' : `the ${ingresses.length} Ingresses have`
    const what = `no pod of an ingress controller that netsim knows: ${whose} no effect`
    problems.warning(
      first,
      first.object.label,
      what,
      'An Ingress alone opens nothing: add the controller (ingress-nginx, nginx-ingress, traefik or haproxy-ingress).',
    )
    return
  }
  const left = new Map(ingresses.map((ingress) => [ingress, [] as string[]]))
  for (const controller of controllers) for (const { ingress, why } of ingressesOf(controller, ingresses, ingressClasses).left) left.get(ingress)?.push(why)
  for (const [ingress, reasons] of left) {
    if (reasons.length < controllers.length) continue
    problems.warning(
      ingress,
      ingress.object.label,
      `no controller takes it: ${[...new Set(reasons)].join('; ')}`,
      'Write spec.ingressClassName: the name of a class that the controller serves.',
    )
  }
}
