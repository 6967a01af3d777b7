/** The files of one netns → its Dataplane, by the readers of dataplane/; its devices come of all netns together (device-specs.ts). */
import type { Problem } from '../base/problem.js'
import { parseFdb } from '../dataplane/bridge-fdb.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import { parseNeighbours } from '../dataplane/ip-neigh.js'
import { parseRoutes } from '../dataplane/ip-route.js'
import { parseRules } from '../dataplane/ip-rule.js'
import { parseIpsets } from '../dataplane/ipset-save.js'
import type { IptablesState } from '../dataplane/iptables.js'
import { parseIptablesSave } from '../dataplane/iptables-save.js'
import { parseSysctls } from '../dataplane/sysctl.js'
import type { Place } from '../dataplane/text.js'
import { DUMP, type CollectedBackend, type CollectedFile, type NotUnderstood } from './collected-node.js'
import { withNftTables } from './nft-tables.js'
import { readProcSockets, readSockets } from './sockets.js'

/** By their names in the folder of the netns: `addr`, `route`, … */
export type NetnsFiles = ReadonlyMap<string, CollectedFile>

export interface NetnsReading {
  readonly dataplane: Omit<Dataplane, 'devices' | 'netns'>
  readonly backends: readonly CollectedBackend[]
  readonly notUnderstood: readonly NotUnderstood[]
  readonly problems: readonly Problem[]
}

/** @param first the backend that the plain `iptables` of the node speaks to */
export function readNetns(files: NetnsFiles, first: CollectedBackend['backend']): NetnsReading {
  const problems: Problem[] = []
  const read = <Result extends { readonly problems: readonly Problem[] }>(name: string, reader: (text: string, place: Place) => Result): Result => {
    const { file, text } = files.get(name) ?? { file: name, text: '' }
    const result = reader(text, { file, line: 1, by: DUMP })
    problems.push(...toldOf(result))
    return result
  }
  const { routes } = read('route', parseRoutes)
  const { neighbours } = read('neigh', parseNeighbours)
  const { neighbours: proxies } = read('neigh-proxy', parseNeighbours)
  const backends = (first === 'nft' ? (['nft', 'legacy'] as const) : (['legacy', 'nft'] as const)).flatMap((backend): CollectedBackend[] => {
    const file = files.get(`iptables-${backend}`)
    if (file === undefined) return []
    const { state, problems: found } = read(`iptables-${backend}`, parseIptablesSave)
    const lost = lostRules(state, found, file)
    return [{ backend, file: file.file, state, rules: rulesOf(state), ...(lost === undefined ? {} : { lost }) }]
  })
  const nft = files.get('nft')
  const iptables = { tables: backends.flatMap(({ state }) => state.tables) }
  const whole =
    nft === undefined
      ? { state: iptables, notUnderstood: [] }
      : withNftTables(
          iptables,
          nft,
          backends.some(({ backend, state }) => backend === 'nft' && state.tables.length > 0),
        )
  return {
    dataplane: {
      routes,
      // the local table is there only where all tables were asked for
      ...(routes.some(({ table }) => table === 'local') ? { routesAreAll: true } : {}),
      rules: read('rule', parseRules).rules,
      neighbours: [...neighbours, ...proxies],
      fdb: read('fdb', parseFdb).fdb,
      sysctls: sysctlsOf(files.get('sysctl'), problems),
      iptables: whole.state,
      ipsets: read('ipset', parseIpsets).sets,
      sockets: socketsOf(files),
    },
    backends,
    notUnderstood: whole.notUnderstood,
    problems,
  }
}

/** Errors that cost no rule. */
const HARMLESS = /^(COMMIT outside a table$|chain '.*' does not exist)/

/** What of a file that was cut short, or spoilt, must have been rules; what is of IPv6 alone says nothing of IPv4's. */
function lostRules({ tables }: IptablesState, problems: readonly Problem[], { file, text }: CollectedFile): NotUnderstood | undefined {
  const found = problems.find(({ severity, what }) => (severity === 'error' ? !HARMLESS.test(what) : / has no COMMIT$/.test(what)))
  if (found !== undefined) return { what: found.what, file, line: found.line }
  return tables.length === 0 && /^[^#\s]/m.test(text) ? { what: 'no table of IPv4 is in it', file, line: 1 } : undefined
}

/** A line that cannot be read is told, and the rest stands; a file of which nothing could be read is no answer. */
export function toldOf({ problems, ...read }: { readonly problems: readonly Problem[] }): readonly Problem[] {
  const isEmpty = Object.values(read).every((value: unknown) => (Array.isArray(value) ? value.length === 0 : isWithoutTables(value)))
  return isEmpty ? problems : problems.map((problem) => ({ ...problem, severity: 'warning' }))
}

function isWithoutTables(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'tables' in value && Array.isArray(value.tables) && value.tables.length === 0
}

function rulesOf({ tables }: IptablesState): number {
  return tables.reduce((sum, { chains }) => sum + chains.reduce((rules, chain) => rules + chain.rules.length, 0), 0)
}

/** Of hundreds of settings that have no part in what netsim models nothing is said, whatever their values. */
function sysctlsOf(file: CollectedFile | undefined, problems: Problem[]): Dataplane['sysctls'] {
  if (file === undefined) return {}
  const { sysctls, problems: found } = parseSysctls(file.text, { file: file.file, line: 1, by: DUMP })
  const isNone = Object.keys(sysctls).length === 0
  problems.push(...(isNone ? found.slice(0, 1) : found.map((problem): Problem => ({ ...problem, severity: 'warning' }))))
  return sysctls
}

function socketsOf(files: NetnsFiles): Dataplane['sockets'] {
  const [told, tcp, udp] = ['sockets', 'proc-tcp', 'proc-udp'].map((name) => files.get(name))
  if (told !== undefined) return readSockets(told.text, told.file)
  return [...(tcp === undefined ? [] : readProcSockets(tcp.text, 'tcp', tcp.file)), ...(udp === undefined ? [] : readProcSockets(udp.text, 'udp', udp.file))]
}
