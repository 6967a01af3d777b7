/**
 * All chains that Felix knows, table by table → what it writes: its hooks into the kernel's chains, and of its own chains those that can be
 * reached from a hook. After felix/iptables/table.go (reference counting) and setUpIptablesNormal of felix/dataplane/linux/int_dataplane.go.
 */
import type { ChainEdit, TableName } from '../../dataplane/iptables.js'
import type { FelixConfig } from './config.js'
import { CHAIN } from './names.js'
import { act, chainEdit, type FelixChain, type RuleCache } from './rule.js'
import { forwardAppends } from './static-filter.js'
import { compareText } from './static-tables.js'

type FelixTable = 'raw' | 'mangle' | 'nat' | 'filter'

interface Hook {
  readonly kernelChain: string
  readonly target: string
  /** Whatever the insert mode, at the end. */
  readonly append?: boolean
}

function hooksOf(table: FelixTable, { release }: FelixConfig): readonly Hook[] {
  switch (table) {
    case 'raw':
      return [
        { kernelChain: 'PREROUTING', target: CHAIN.prerouting },
        { kernelChain: 'OUTPUT', target: CHAIN.output },
      ]
    case 'mangle':
      return [
        { kernelChain: 'PREROUTING', target: CHAIN.prerouting },
        { kernelChain: 'POSTROUTING', target: CHAIN.postrouting },
      ]
    case 'nat':
      return [
        { kernelChain: 'PREROUTING', target: CHAIN.prerouting },
        { kernelChain: 'POSTROUTING', target: CHAIN.postrouting, append: release.natPostrouting === 'append' },
        { kernelChain: 'OUTPUT', target: CHAIN.output },
      ]
    case 'filter':
      return [
        { kernelChain: 'INPUT', target: CHAIN.input },
        { kernelChain: 'FORWARD', target: CHAIN.forward },
        { kernelChain: 'OUTPUT', target: CHAIN.output },
      ]
  }
}

const TABLES: readonly FelixTable[] = ['raw', 'mangle', 'nat', 'filter']

/** Felix's part of the dataplane's tables, in an order in which it can be applied. */
export function tableEdits(chains: Readonly<Record<FelixTable, readonly FelixChain[]>>, config: FelixConfig, cache: RuleCache): readonly ChainEdit[] {
  return TABLES.flatMap((table) => {
    const hooks = hooksOf(table, config)
    const own = reachable(chains[table], hooks.map(({ target }) => target)) // prettier-ignore
    return [
      ...own.map((chain) => chainEdit(chain, { table, chain: chain.name, action: 'create' }, cache)),
      ...hooks.map((hook) => hookEdit(table, hook, { config, cache })),
      ...(table === 'filter' ? [appended(table, { name: 'FORWARD', rules: forwardAppends(config) }, cache)] : []),
    ]
  })
}

function hookEdit(table: TableName, hook: Hook, { config, cache }: { readonly config: FelixConfig; readonly cache: RuleCache }): ChainEdit {
  const { kernelChain, target, append = false } = hook
  const chain = { name: kernelChain, rules: [{ action: act.jump(target) }] }
  return append ? appended(table, chain, cache) : chainEdit(chain, { table, chain: kernelChain, action: config.insertMode }, cache)
}

/** Rules that Felix always appends are hashed under a name of their own. */
function appended(table: TableName, { name, rules }: FelixChain, cache: RuleCache): ChainEdit {
  return chainEdit({ name: `${name}*appends*`, rules }, { table, chain: name, action: 'append' }, cache)
}

/** Sorted, as iptables-save lists user chains. A chain that is jumped to and that nobody rendered would be a fault of netsim's: iptables refuses it. */
function reachable(chains: readonly FelixChain[], roots: readonly string[]): readonly FelixChain[] {
  const byName = new Map(chains.map((chain) => [chain.name, chain]))
  const found = new Map<string, FelixChain>()
  const queue = [...roots]
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const chain = byName.get(name)
    if (chain === undefined || found.has(name)) continue
    found.set(name, chain)
    for (const { action } of chain.rules) {
      const target = /^--(?:jump|goto) (cali-.*)$/.exec(action ?? '')?.[1]
      if (target !== undefined) queue.push(target)
    }
  }
  return [...found.values()].sort((a, b) => compareText(a.name, b.name))
}
