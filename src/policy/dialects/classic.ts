/**
 * Calico's classic model (calicoctl 1.x, keys under /calico/v1) says itself which policies and profiles an endpoint has, and drops what none of them
 * accepts. The tiers of model.ts do not hold it yet: an answer without it would be of another cluster, so there is none.
 */
import { resolveEtcdInput } from '../../cluster/etcd-snapshot.js'
import { readNetworkDocument } from '../../cluster/network-document.js'
import type { ClassicModel } from '../../cluster/calico/classic-model.js'
import { readClassic } from '../../cluster/calico/read-classic.js'
import type { PolicyState } from '../../cluster/policy-state.js'
import { ProblemList, type Place } from '../../cluster/problem-list.js'
import type { Switches } from '../model.js'

/** As many names of a kind as a line shows. */
const SHOWN = 5

interface Part extends Place {
  readonly name: string
}

/** Errors, one for each kind that decides about packets; of np-guard's view, which knows nothing of Calico, warnings. */
export function nameClassic(state: PolicyState, { as }: Switches, problems: ProblemList): void {
  if (as === 'api' && state.engine.kind === 'none') return
  const model = classicOf(state)
  if (model === undefined) return
  for (const [kind, parts] of partsOf(model)) {
    if (parts.length === 0) continue
    const names = parts.slice(0, SHOWN).map(({ name }) => name)
    const more = parts.length > SHOWN ? ` and ${parts.length - SHOWN} more` : ''
    const label = `${kind}/${parts[0].name}`
    const told = `${names.join(', ')}${more}`
    if (as === 'np-guard') problems.warning(parts[0], label, `${kind} of Calico's classic model: ${told}: left out with --as np-guard`, FIX)
    else problems.error(parts[0], label, `INCOMPLETE: policy answers do not take into account the ${kind} of Calico's classic model: ${told}`, FIX)
  }
}

const FIX = 'netsim trace and netsim flows ask them, packet by packet.'

/** What decides about packets; pools, nodes and peers do not. */
function partsOf(model: ClassicModel): readonly (readonly [kind: string, parts: readonly Part[]])[] {
  return [
    ['profile', model.profiles],
    ['policy', model.policies.map((policy) => ({ ...policy, name: `${policy.tier}/${policy.name}` }))],
    ['workloadEndpoint', model.workloadEndpoints.map((one) => ({ ...one, name: `${one.node}/${one.orchestrator}/${one.workload}/${one.name}` }))],
    ['hostEndpoint', model.hostEndpoints.map((one) => ({ ...one, name: `${one.node}/${one.name}` }))],
  ]
}

/** Whether the state has a classic model that decides about packets. */
export function holdsClassic(state: PolicyState): boolean {
  const model = classicOf(state)
  return model !== undefined && decidesAboutPackets(model)
}

/** Whether anything of it decides about packets. */
export function decidesAboutPackets(model: ClassicModel): boolean {
  return partsOf(model).some(([, parts]) => parts.length > 0)
}

/** What is wrong with them is told where packets are asked. */
function classicOf({ objects, answers }: PolicyState): ClassicModel | undefined {
  const unheard = new ProblemList()
  const object = objects.find(({ apiVersion, kind }) => apiVersion === 'netsim/v1' && kind === 'Network')
  const document = object === undefined ? undefined : readNetworkDocument(object, unheard)
  const { entries } = resolveEtcdInput({ document, objects, answers }, unheard)
  return readClassic(objects, entries, unheard)
}
