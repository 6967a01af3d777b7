/** What an answer rests on that no policy says: each in a sentence, with whether the other decision would change the answer. */
import type { ConnectionSet } from '../connections.js'
import { evaluatePair } from '../evaluate.js'
import type { Assumption, End, PolicyWorld, Switches } from '../model.js'

export interface ExplainedAssumption {
  readonly name: Assumption
  readonly text: string
  /** Decided the other way, the answer would be another; undefined where there is no other way to try. */
  readonly decides: boolean | undefined
}

interface Asked {
  readonly asked: ConnectionSet
  readonly allowed: ConnectionSet
  readonly assumed: readonly Assumption[]
}

export function assumptionsOf(
  world: PolicyWorld,
  { source, destination }: { readonly source: End; readonly destination: End },
  { asked, allowed, assumed }: Asked,
): readonly ExplainedAssumption[] {
  return assumed.map((name) => {
    const other = otherWay(name, world.switches)
    const decides =
      other === undefined
        ? undefined
        : !evaluatePair({ ...world, switches: other }, source, destination)
            .allowed.intersect(asked)
            .equals(allowed)
    return { name, text: assumptionText(name, world.switches), decides }
  })
}

function otherWay(name: Assumption, switches: Switches): Switches | undefined {
  switch (name) {
    case 'ipblock-pod':
      return { ...switches, ipBlock: switches.ipBlock === 'pods-too' ? 'outside-only' : 'pods-too' }
    case 'hairpin':
      return { ...switches, hairpin: switches.hairpin === 'allowed' ? 'governed' : 'allowed' }
    case 'own-node':
      return { ...switches, ownNode: switches.ownNode === 'allowed' ? 'governed' : 'allowed' }
    case 'host-network':
      return { ...switches, hostNetwork: switches.hostNetwork === 'node' ? 'pod' : 'node' }
    case 'other-protocols':
      return { ...switches, otherProtocols: switches.otherProtocols === 'governed' ? 'free' : 'governed' }
    default:
      return undefined
  }
}

export function assumptionText(name: Assumption, switches: Switches): string {
  switch (name) {
    case 'ipblock-pod':
      return switches.ipBlock === 'pods-too' ? 'an ipBlock matches addresses of pods too' : 'an ipBlock matches no address of a pod'
    case 'pod-address-unknown':
      return 'the input does not say which address a pod has, or a node: an ipBlock that is not every address is taken not to match it'
    case 'hairpin':
      return switches.hairpin === 'allowed' ? 'a pod always reaches itself' : 'what a pod sends to itself is held by policies'
    case 'own-node':
      return switches.ownNode === 'allowed' ? 'a node always reaches the pods that run on it' : 'what a node sends to its own pods is held by policies'
    case 'host-network':
      return switches.hostNetwork === 'node'
        ? "a pod on the host's network is its node, and no pod for selectors"
        : "a pod on the host's network is a pod for selectors"
    case 'equal-priority':
      return 'policies of equal priority: which of them is asked first is left open, they are asked in the order of their names'
    case 'other-protocols':
      return switches.otherProtocols === 'governed' ? 'policies hold every IP protocol' : 'policies hold TCP, UDP and SCTP alone'
    case 'source-port':
      return `the source port is ${switches.sourcePort}`
    case 'applies-on-forward':
      return 'policies with applyOnForward hold what a node forwards, which is not judged here'
  }
}
