/** Agents' edits of chains, applied in the order in which a host boots: each finds what the one before left. */
import type { Chain, ChainEdit, IptablesState, TableName } from './iptables.js'
import { emptyTable } from './iptables-command.js'

/** The table and the chain are made when they are not there yet, as iptables makes them; all others are left as they are. */
export function applyChainEdits(state: IptablesState, edits: readonly ChainEdit[]): IptablesState {
  if (edits.length === 0) return state
  // a Map keeps the order in which its keys came
  const tables = new Map<TableName, Map<string, Chain>>(state.tables.map(({ name, chains }) => [name, byName(chains)]))
  for (const edit of edits) {
    let chains = tables.get(edit.table)
    if (chains === undefined) {
      chains = byName(emptyTable(edit.table).chains)
      tables.set(edit.table, chains)
    }
    chains.set(edit.chain, editChain(chains.get(edit.chain) ?? { name: edit.chain, rules: [] }, edit))
  }
  return { tables: [...tables].map(([name, chains]) => ({ name, chains: [...chains.values()] })) }
}

function byName(chains: readonly Chain[]): Map<string, Chain> {
  return new Map(chains.map((chain) => [chain.name, chain]))
}

function editChain(chain: Chain, edit: ChainEdit): Chain {
  const policy = edit.policy ?? chain.policy
  const rules = edit.action === 'create' ? edit.rules : edit.action === 'insert' ? [...edit.rules, ...chain.rules] : [...chain.rules, ...edit.rules]
  return { ...chain, ...(policy === undefined ? {} : { policy }), rules }
}
