/** How long the probes' answers went on changing because of each event of a scenario. */
import type { Diary } from './diary.js'
import type { EventConvergence, ProbeHistory } from './probe-history.js'

/** @param eventEntries of the events, by their place in the scenario: entries of the diary; undefined: the run ended before it */
export function convergenceOf(diary: Diary, eventEntries: readonly (number | undefined)[], histories: readonly ProbeHistory[]): EventConvergence[] {
  const lastAnswer = lastAnswers(histories)
  return eventEntries.flatMap((entry, event): EventConvergence[] => {
    if (entry === undefined) return []
    const lastAnswerNs = lastAnswer.get(entry)
    return [
      {
        event,
        entry,
        atNs: diary.get(entry).atNs,
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
