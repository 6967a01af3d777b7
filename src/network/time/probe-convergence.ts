/** How long the network and the probes' answers went on changing because of each event of a scenario. */
import type { Diary } from './diary.js'
import { entriesOf } from './probe-cause.js'
import type { ControlRun } from './network-state.js'
import type { EventConvergence, ProbeHistory } from './probe-history.js'

/** @param eventEntries of the events, by their place in the scenario: entries of the diary; undefined: the run ended before it */
export function convergenceOf(
  run: Pick<ControlRun, 'states'>,
  diary: Diary,
  eventEntries: readonly (number | undefined)[],
  histories: readonly ProbeHistory[],
): EventConvergence[] {
  const roots: number[] = []
  // a cause is written before what it brings about
  for (const { id, cause } of diary.entries) roots[id] = cause === undefined ? id : roots[cause]
  const lastState = new Map<number, number>()
  run.states.forEach(({ atNs }, at) => {
    if (at > 0) for (const { id } of entriesOf(run, at, diary)) lastState.set(roots[id], atNs)
  })
  const lastAnswer = lastAnswers(histories)
  return eventEntries.flatMap((entry, event): EventConvergence[] => {
    if (entry === undefined) return []
    const lastStateNs = lastState.get(entry)
    const lastAnswerNs = lastAnswer.get(entry)
    return [
      {
        event,
        entry,
        atNs: diary.get(entry).atNs,
        ...(lastStateNs === undefined ? {} : { lastStateNs }),
        ...(lastAnswerNs === undefined ? {} : { lastAnswerNs }),
      },
    ]
  })
}

/** What a kernel's memory or a client's connection does goes back to the change of the network before it. */
function lastAnswers(histories: readonly ProbeHistory[]): ReadonlyMap<number, number> {
  const last = new Map<number, number>()
  for (const { spans } of histories) {
    let root: number | undefined
    for (const { cause, fromNs } of spans) {
      if (cause?.kind === 'network') root = cause.chain[0]?.id
      if (cause !== undefined && root !== undefined) last.set(root, Math.max(last.get(root) ?? 0, fromNs))
    }
  }
  return last
}
