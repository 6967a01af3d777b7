/**
 * `nft list ruleset` text of tables that are none of iptables': they act on packets at hooks of their own, and what their rules do is not modelled. From
 * their text to the base chains that could lose a packet, and to rules that make the answer INCOMPLETE behind iptables' own.
 */
import type { IptablesState, Table, TableName } from '../dataplane/iptables.js'
import { BUILTIN_CHAINS } from '../dataplane/iptables.js'
import { DUMP, type CollectedFile, type NotUnderstood } from './collected-node.js'

interface BaseChain {
  readonly table: string
  readonly chain: string
  readonly type: string
  readonly hook: string
  readonly line: number
  /** It has rules, or drops what comes to it. */
  acts: boolean
}

/** Families that see IPv4 packets. */
const FAMILIES: ReadonlySet<string> = new Set(['ip', 'inet', 'bridge', 'netdev'])
/** The last table of iptables at each hook: what iptables itself loses is answered before. */
const LAST_TABLE: Readonly<Record<string, TableName>> = {
  prerouting: 'mangle',
  input: 'security',
  forward: 'security',
  output: 'security',
  postrouting: 'mangle',
}

function baseChains(text: string): readonly BaseChain[] {
  const chains: BaseChain[] = []
  let [table, chain]: (string | undefined)[] = [undefined, undefined]
  let open: BaseChain | undefined
  for (const [at, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    const [word, family, name] = line.split(/\s+/, 3)
    if (word === 'table') table = FAMILIES.has(family) ? `${family} ${name ?? ''}` : undefined
    else if (word === 'chain') [chain, open] = [family, undefined]
    else if (line === '}') [chain, open] = [undefined, undefined]
    else if (table === undefined || chain === undefined || line === '') continue
    else if (word === 'type') {
      const [, type, hook] = /^type (\w+) hook (\w+)/.exec(line) ?? []
      open = { table, chain, type: type ?? '?', hook: hook ?? '?', line: at + 1, acts: /policy drop/.test(line) }
      chains.push(open)
    } else if (open !== undefined && word !== 'policy' && word !== 'comment') open.acts = true
  }
  return chains
}

export interface NftReading {
  readonly state: IptablesState
  readonly notUnderstood: readonly NotUnderstood[]
}

/** Which iptables-nft-save prints too. */
const OF_IPTABLES = /^ip (filter|nat|mangle|raw|security)$/

/** @param iptables to which the rules are added @param isRead its tables of this backend were read: a list of all tables has them once more */
export function withNftTables(iptables: IptablesState, { text, file }: CollectedFile, isRead: boolean): NftReading {
  const acting = baseChains(text).filter(({ acts, table }) => acts && !(isRead && OF_IPTABLES.test(table)))
  const notUnderstood = acting.map(({ table, chain, type, hook, line }) => ({
    what: `nftables chain ${chain} of table ${table} (${type} at ${hook}): its rules are not modelled`,
    file,
    line,
  }))
  const added = acting.flatMap(({ table, chain, hook, line }): Table[] => {
    const name = LAST_TABLE[hook]
    if (name === undefined) return []
    const rule = {
      matches: [{ kind: 'unknown' as const, module: 'nft', text: `rules of nftables chain ${chain} of table ${table}` }],
      provenance: { by: DUMP, file, line },
    }
    const chains = BUILTIN_CHAINS[name].map((builtin) => ({ name: builtin, policy: 'ACCEPT' as const, rules: builtin === hook.toUpperCase() ? [rule] : [] }))
    return [{ name, chains }]
  })
  return { state: { tables: [...iptables.tables, ...added] }, notUnderstood }
}
