/** The diary → what each event of a scenario brought about: entries belong to the event at the root of their causes. */
import type { ScenarioEvent } from '../../cluster/scenario/scenario.js'
import type { Diary, DiaryEntry, DiaryKind } from '../../network/time/diary.js'
import type { EventConvergence } from '../../network/time/probe-history.js'
import type { EventDocument, MessagesDocument, TotalsDocument } from './document.js'

/** What agents hear, say and repeat: no change of a network by itself. */
export const HABITS: ReadonlySet<DiaryKind> = new Set(['watch', 'bgp-message', 'lease-renewed'])
/** Neither is what was asked for, or asked for in vain. */
const NO_CHANGE: ReadonlySet<DiaryKind> = new Set([...HABITS, 'event', 'lease-refused'])

export type Spoken = Pick<Diary, 'entries' | 'unkept'>

export interface EventEntries {
  /** Of the diary, by place in Scenario.events; undefined: the run ended before it. */
  readonly eventEntries: readonly (number | undefined)[]
  readonly convergence: readonly EventConvergence[]
}

interface Effects {
  /** Itself is none of them. */
  readonly entries: DiaryEntry[]
  /** With those that the diary only counted. */
  messages: MessagesDocument
}

/** What each entry of kind event brought about, by its id. */
function effectsOf({ entries, unkept }: Spoken): ReadonlyMap<number, Effects> {
  const roots: number[] = []
  const effects = new Map<number, Effects>()
  for (const entry of entries) {
    // causes are older than what they bring about
    const root = entry.kind === 'event' ? entry.id : entry.cause === undefined ? -1 : roots[entry.cause]
    roots.push(root)
    if (entry.kind === 'event') effects.set(entry.id, { entries: [], messages: { count: 0, bytes: 0 } })
    else if (root >= 0) effects.get(root)?.entries.push(entry)
  }
  for (const effect of effects.values()) effect.messages = messagesOf(effect.entries)
  for (const [cause, counted] of unkept) {
    const effect = effects.get(roots[cause] ?? -1)
    if (effect !== undefined) effect.messages = sum(effect.messages, counted)
  }
  return effects
}

function sum(a: MessagesDocument, b: MessagesDocument): MessagesDocument {
  return { count: a.count + b.count, bytes: a.bytes + b.bytes }
}

/** Of each event of the scenario. */
export function eventDocuments(events: readonly ScenarioEvent[], diary: Spoken, { eventEntries, convergence }: EventEntries): readonly EventDocument[] {
  const effects = effectsOf(diary)
  return events.map(({ atNs, what, file, line }, place) => {
    const entry = eventEntries[place]
    const effect = entry === undefined ? undefined : effects.get(entry)
    const changes = (effect?.entries ?? []).filter(({ kind }) => !NO_CHANGE.has(kind))
    const answerNs = convergence.find(({ event }) => event === place)?.lastAnswerNs
    return {
      atNs,
      what,
      file,
      line,
      happened: entry !== undefined,
      entries: effect?.entries.length ?? 0,
      ...(changes.length === 0 ? {} : spanOf(changes, atNs)),
      ...(answerNs === undefined ? {} : { answersNs: answerNs - atNs }),
      messages: effect?.messages ?? { count: 0, bytes: 0 },
    }
  })
}

function spanOf(changes: readonly DiaryEntry[], atNs: number): Required<Pick<EventDocument, 'firstChangeNs' | 'lastChangeNs' | 'convergenceNs'>> {
  // the diary is in the order of time
  const last = changes[changes.length - 1].atNs
  return { firstChangeNs: changes[0].atNs, lastChangeNs: last, convergenceNs: last - atNs }
}

function messagesOf(entries: readonly DiaryEntry[]): MessagesDocument {
  const told = entries.filter(({ bytes }) => bytes !== undefined)
  return { count: told.length, bytes: told.reduce((sum, { bytes = 0 }) => sum + bytes, 0) }
}

export function totalsOf(diary: Spoken, run: { readonly states: readonly unknown[]; readonly versions: readonly unknown[] }): TotalsDocument {
  const byKind: Partial<Record<DiaryKind, number>> = {}
  for (const { kind } of diary.entries) byKind[kind] = (byKind[kind] ?? 0) + 1
  return {
    entries: diary.entries.length,
    states: run.states.length,
    objectVersions: run.versions.length,
    byKind: Object.fromEntries(Object.entries(byKind).sort(([a], [b]) => (a < b ? -1 : 1))),
    messages: [...diary.unkept.values()].reduce<MessagesDocument>(sum, messagesOf(diary.entries)),
  }
}
