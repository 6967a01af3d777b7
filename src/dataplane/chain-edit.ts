/** Agents' edits of chains, applied in the order in which a host boots: each finds what the one before left. */
import type { Chain, ChainEdit, IptablesState, Table } from './iptables.js'
import { emptyTable } from './iptables-command.js'

export function applyChainEdits(state: IptablesState, edits: readonly ChainEdit[]): IptablesState {
  return edits.reduce(applyChainEdit, state)
}

/** The table and the chain are made when they are not there yet, as iptables makes them. */
function applyChainEdit(state: IptablesState, edit: ChainEdit): IptablesState {
  const known = state.tables.find(({ name }) => name === edit.table)
  const table = editTable(known ?? emptyTable(edit.table), edit)
  return { tables: known === undefined ? [...state.tables, table] : state.tables.map((old) => (old === known ? table : old)) }
}

function editTable(table: Table, edit: ChainEdit): Table {
  const known = table.chains.find(({ name }) => name === edit.chain)
  const chain = editChain(known ?? { name: edit.chain, rules: [] }, edit)
  return { ...table, chains: known === undefined ? [...table.chains, chain] : table.chains.map((old) => (old === known ? chain : old)) }
}

function editChain(chain: Chain, edit: ChainEdit): Chain {
  const policy = edit.policy ?? chain.policy
  const rules = edit.action === 'create' ? edit.rules : edit.action === 'insert' ? [...edit.rules, ...chain.rules] : [...chain.rules, ...edit.rules]
  return { ...chain, ...(policy === undefined ? {} : { policy }), rules }
}
