/** What Ingresses and Routes open from the ingress controller, as pairs of an explanation in netpol-analyzer's form. */
import type { PolicyState } from '../../cluster/policy-state.js'
import { ConnectionSet } from '../connections.js'
import { evaluatePair } from '../evaluate.js'
import { united, type NpGuardPair, type ReasonedPiece } from './explain-np-guard.js'
import { ingressTargets, type IngressWay } from '../ingress-targets.js'
import { CONTROLLER, CONTROLLER_POD, isWanted, withController, type ListOptions, type ListPeer } from '../list/list.js'
import type { PolicyPod, PolicyWorld } from '../model.js'
import { workloadName } from '../peer-name.js'

export interface IngressPair extends NpGuardPair {
  /** What Ingresses and Routes lead to, whatever policies say. */
  readonly open: ConnectionSet
}

/** Those of which the policies leave something open. */
export function ingressPairs(world: PolicyWorld, state: PolicyState, options: ListOptions): readonly IngressPair[] {
  const byWorkload = new Map<string, { readonly pod: PolicyPod; readonly ways: IngressWay[] }>()
  for (const { pod, via } of ingressTargets(state, world.pods, { declaredOnly: world.switches.as === 'np-guard' })) {
    const known = byWorkload.get(workloadName(pod))
    if (known === undefined) byWorkload.set(workloadName(pod), { pod, ways: [...via] })
    else known.ways.push(...via)
  }
  const around = withController(world)
  return [...byWorkload].flatMap(([dst, { pod, ways }]): IngressPair[] => {
    const peer: ListPeer = { text: dst, kind: 'workload', namespace: pod.namespace, name: pod.workload.name, workloadKind: pod.workload.kind }
    const open = ConnectionSet.union(ways.map(({ connections }) => connections))
    if (!isWanted(CONTROLLER, peer, options) || !evaluatePair(around, CONTROLLER_POD, pod).allowed.meets(open)) return []
    return [{ source: CONTROLLER_POD, destination: pod, src: CONTROLLER.text, dst, exposed: ways.map(wayPieces).reduce(united), open }]
  })
}

function wayPieces({ by, service, connections }: IngressWay): readonly ReasonedPiece[] {
  const [word, name] = by.split(' ')
  const kind = word === 'Route' ? 'Route' : 'Ingress'
  const title = `${kind} '${name}'`
  const closed: ReasonedPiece = {
    connections: ConnectionSet.transport.minus(connections),
    allowed: false,
    reasons: [{ kind, text: `${title} allows ingress to service ${service}, but the protocols and ports do not match` }],
  }
  return [{ connections, allowed: true, reasons: [{ kind, text: `${title} allows ingress connections through service ${service}` }] }, closed]
}
