/** `netsim show timeline`: a Scenario's run as its control plane's diary, with what changed in kernels between. Loaded when it is called. */
import { diaryText } from '../analysis/timeline/diary-text.js'
import { foldedRows, timelineRows, type KernelRow, type RowFilter } from '../analysis/timeline/diary-rows.js'
import { suggestName } from '../cluster/nearest-name.js'
import { changesAt } from '../network/time/changes-at.js'
import type { Run } from '../network/time/control-plane.js'
import { changeText, type KernelChangeKind } from '../network/time/dataplane-diff.js'
import type { DiaryKind } from '../network/time/diary.js'
import { EXIT_BAD_INPUT, EXIT_OK, UsageError } from './exit.js'
import type { Io } from './io.js'
import { report } from './load-network.js'
import { loadScenario } from './scenario-input.js'
import { runLoaded } from './scenario-run.js'
import type { ShowFlags } from './show-command.js'
import { wantsAscii, wantsColor } from './terminal.js'

/** The diary's word for what changed in a kernel. */
const KIND_OF: Readonly<Record<KernelChangeKind, DiaryKind>> = {
  power: 'node',
  device: 'device',
  address: 'device',
  peer: 'device',
  route: 'route',
  'routing rule': 'route',
  neighbour: 'neighbour',
  fdb: 'fdb',
  sysctl: 'device',
  ipset: 'ipset',
  iptables: 'rules',
  socket: 'device',
}

/** The exit status. @throws UsageError on a node that there is not */
export async function showTimeline(node: string | undefined, flags: ShowFlags, io: Io): Promise<number> {
  if (flags.from !== undefined && flags.to !== undefined && flags.from > flags.to) throw new UsageError('--from is later than --to')
  const loaded = await loadScenario(undefined, { ...flags, seedGiven: flags.seedGiven === true }, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const { namespace, all, to, from, agent, kind, object, output } = flags
  const kinds = kind ?? []
  const run = runLoaded(loaded, { namespace, keepsWatches: all || kinds.some((one) => one === 'watch' || one === 'bgp-message') }, io)
  await report(run.problems, io)
  const place = node === undefined ? undefined : placeOf(node, run)
  const filter: RowFilter = {
    agents: agent ?? [],
    kinds,
    all,
    ...(place === undefined ? {} : { node: place }),
    ...(object === undefined ? {} : { object }),
    ...(from === undefined ? {} : { fromNs: from }),
    ...(to === undefined ? {} : { toNs: to }),
  }
  const rows = timelineRows(run.diary.entries, kernelRows(run, filter), filter)
  if (output === 'json') {
    const state = { apiVersion: 'netsim/v1', kind: 'State', state: 'timeline', items: rows, scenario: loaded.scenario.name, untilNs: run.untilNs }
    await io.out(`${JSON.stringify(state, null, 2)}\n`)
    return EXIT_OK
  }
  if (rows.length === 0) {
    await io.out(`# the diary has no such entry${all ? '' : '; --all shows what agents hear and say too'}\n`)
    return EXIT_OK
  }
  await io.out(diaryText(all || kinds.length > 0 ? rows : foldedRows(rows), { color: wantsColor('auto', io), ascii: wantsAscii(false, io) }))
  return EXIT_OK
}

/** Nodes of every version, and routers. */
function placeOf(word: string, { versions, book }: Run): string {
  const names = [
    ...new Set(versions.flatMap(({ cluster }) => cluster.nodes.map(({ name }) => name))),
    ...book.cluster(0).routers.map(({ name }) => `router/${name}`),
  ]
  const bare = word.replace(/^(node|host)\//, '')
  const found = names.find((name) => name === word || name === bare)
  if (found === undefined) throw new UsageError(`there is no node or router '${word}'. ${suggestName(word, names)}`)
  return found
}

/** Looked for only where some may be shown. */
function kernelRows(run: Run, { agents, kinds, node, fromNs = 0, toNs = Infinity }: RowFilter): readonly KernelRow[] {
  if (agents.length > 0 && !agents.includes('kernel')) return []
  if (kinds.length > 0 && !Object.values(KIND_OF).some((kind) => kinds.includes(kind))) return []
  return run.states.flatMap(({ atNs }, index) => {
    if (atNs < fromNs || atNs > toNs) return []
    return changesAt(run, index, node === undefined ? undefined : [node]).map(({ netns, kind, ...change }): KernelRow => ({
      atNs,
      agent: 'kernel',
      kind: KIND_OF[kind],
      node: netns,
      netns,
      what: changeText(change),
    }))
  })
}
