/**
 * `netsim show conntrack`: the connections that each netns knows. Before any packet there are none; `--after 'SRC DST[:PORT]'` asks that
 * question first, from the warm state as `netsim trace` does, and shows what it left.
 */
import type { Problem } from '../base/problem.js'
import { conntrackEntries } from '../net/netfilter/conntrack-list.js'
import type { Network } from '../network/network.js'
import { isOutcome } from '../network/probe.js'
import type { TraceRequest } from '../network/request.js'
import { conntrackLine, conntrackObject } from './conntrack-text.js'

/** A question of `--after`, and how it was written. */
export interface After {
  readonly text: string
  readonly request: TraceRequest
}

interface Table {
  readonly netns: string
  /** No rule there needs connection tracking: its kernel keeps no table. */
  readonly tracked: boolean
  /** Why its kernel does not run. */
  readonly absent?: string
  readonly lines: readonly string[]
  readonly entries: readonly object[]
}

interface ShownConntrack {
  readonly items: readonly object[]
  readonly text: string
}

/** Problems when a question cannot be asked. @param place one netns; undefined: every node, and whoever else has connections */
export function showConntrack(network: Network, place: string | undefined, questions: readonly After[]): ShownConntrack | readonly Problem[] {
  if (questions.length === 0) return shown(undefined, tablesOf(network, place))
  const items: object[] = []
  const texts: string[] = []
  for (const { text, request } of questions) {
    const outcome = network.trace(request)
    if (!isOutcome(outcome)) return outcome
    const part = shown({ after: text, disposition: outcome.disposition }, tablesOf(network, place))
    items.push(...part.items)
    texts.push(questions.length === 1 && place !== undefined ? part.text : `# after ${text}: ${outcome.disposition}\n${part.text}`)
  }
  return { items, text: texts.join('') }
}

function tablesOf(network: Network, place: string | undefined): readonly Table[] {
  const nodes = new Set(network.nodeNames)
  const names = place === undefined ? [...network.dataplanes.keys()] : [place]
  const tables = names.map((netns): Table => {
    const conntrack = network.netns(netns)?.conntrack ?? null
    const entries = conntrack === null ? [] : conntrackEntries(conntrack)
    const absent = network.absenceOf(netns)
    return {
      netns,
      tracked: conntrack !== null,
      ...(absent === undefined ? {} : { absent }),
      lines: entries.map(conntrackLine),
      entries: entries.map(conntrackObject),
    }
  })
  return tables.filter(({ netns, entries }) => netns === place || nodes.has(netns) || entries.length > 0)
}

function shown(after: { readonly after: string; readonly disposition: string } | undefined, tables: readonly Table[]): ShownConntrack {
  const items = tables.map(({ netns, tracked, absent, entries }) => ({ ...after, netns, tracked, ...(absent === undefined ? {} : { absent }), entries }))
  const heading = tables.length > 1 ? (netns: string): string => `# ${netns}\n` : (): string => ''
  const why = after === undefined ? "# no connections before any packet; --after 'SRC DST:PORT' shows those of a trace" : '# no connections'
  const text = tables.map(({ netns, tracked, absent, lines }) => {
    const said =
      absent !== undefined
        ? [`# ${netns} ${absent}: nothing is in its kernel`]
        : tracked
          ? lines.length === 0
            ? [why]
            : lines
          : [`# no rule of ${netns} needs connection tracking: its kernel keeps no table`]
    return `${heading(netns)}${said.join('\n')}\n`
  })
  return { items, text: text.join('') }
}
