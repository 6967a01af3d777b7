/** Edits of a table of iptables as changes of a Dataplane: rules of a chain, its policy, chains that come or go. A rule is told by being the same object. */
import { emptyTable } from '../../dataplane/iptables-command.js'
import type { Chain, Rule, Table, TableName } from '../../dataplane/iptables.js'
import type { Change } from './difference.js'
import { jumpOf, tableNamed } from './rule-meaning.js'

export class ChainEditor {
  private readonly table: TableName

  constructor(table: TableName) {
    this.table = table
  }

  edit(chain: string, change: (rules: readonly Rule[]) => readonly Rule[]): Change {
    return this.changing((table) => ({
      ...table,
      chains: table.chains.map((one) => (one.name === chain ? { ...one, rules: change(one.rules) } : one)),
    }))
  }

  setPolicy(chain: string, policy: 'ACCEPT' | 'DROP'): Change {
    return this.changing((table) => ({ ...table, chains: table.chains.map((one) => (one.name === chain ? { ...one, policy } : one)) }))
  }

  /** With every rule that leads to it: iptables refuses to delete a chain that is led to. */
  without(chain: string): Change {
    return this.changing((table) => ({
      ...table,
      chains: table.chains
        .filter(({ name }) => name !== chain)
        .map((one) => (one.rules.some((rule) => jumpOf(rule) === chain) ? { ...one, rules: one.rules.filter((rule) => jumpOf(rule) !== chain) } : one)),
    }))
  }

  /** Rules before another one, or at the end, and the chains that they lead to where they are not there. */
  insert(chain: string, rules: readonly Rule[], { before, chains }: { readonly before: Rule | undefined; readonly chains: readonly Chain[] }): Change {
    return this.changing((table) => {
      const names = new Set(table.chains.map(({ name }) => name))
      return {
        ...table,
        chains: [
          ...table.chains.map((one) => {
            if (one.name !== chain) return one
            const at = before === undefined ? -1 : one.rules.indexOf(before)
            return { ...one, rules: at < 0 ? [...one.rules, ...rules] : [...one.rules.slice(0, at), ...rules, ...one.rules.slice(at)] }
          }),
          ...chains.filter(({ name }) => !names.has(name)),
        ],
      }
    })
  }

  private changing(change: (table: Table) => Table): Change {
    return (dataplane) => {
      const { tables } = dataplane.iptables
      const known = tableNamed(dataplane.iptables, this.table)
      const next = change(known ?? emptyTable(this.table))
      return { ...dataplane, iptables: { tables: known === undefined ? [...tables, next] : tables.map((table) => (table === known ? next : table)) } }
    }
  }
}
