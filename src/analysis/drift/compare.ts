/**
 * Everything in which a node differs from what its agents put there. One kind of thing after the other, each with what came before it done to the expected
 * Dataplane already: what a missing device or chain takes with it is told with it, and not again.
 */
import type { TableName } from '../../dataplane/iptables.js'
import { deviceDifferences } from './device-differences.js'
import type { Difference, DriftView } from './difference.js'
import { factDifferences } from './fact-differences.js'
import { ipsetDifferences, setAliases } from './ipset-differences.js'
import { backendDifferences } from './iptables-backends.js'
import { chainDifferences, ruleDifferences, type Aliases } from './iptables-differences.js'
import { cniFileDifferences, leftoverDifferences } from './leftovers.js'
import { neighbourDifferences } from './neighbour-differences.js'
import { podDifferences } from './pod-differences.js'
import { routeDifferences, routingRuleDifferences } from './route-differences.js'
import { chainAliases, tableNamed } from './rule-meaning.js'
import { sysctlDifferences } from './sysctl-differences.js'
import type { Gathered } from './gathered.js'

export function differencesOf(first: DriftView, gathered: Gathered): readonly Difference[] {
  const all: Difference[] = []
  let view = first
  const step = (is: boolean, compare: (now: DriftView) => readonly Difference[]): void => {
    if (!is) return
    const found = compare(view)
    all.push(...found)
    view = { ...view, expected: found.reduce((expected, { apply }) => apply?.(expected) ?? expected, view.expected) }
  }
  step(gathered.devices, deviceDifferences)
  step(gathered.devices, leftoverDifferences)
  step(gathered.routes, routeDifferences)
  step(gathered.routes && gathered.rules, routingRuleDifferences)
  step(gathered.neighbours, (now) => neighbourDifferences(now, gathered))
  step(gathered.sysctls, sysctlDifferences)
  const sets = gathered.ipsets ? setAliases(view.expected, view.there) : new Map<string, string>()
  step(gathered.ipsets, (now) => ipsetDifferences(now, (name) => sets.get(name)))
  if (gathered.iptables) {
    const aliases = aliasesOf(view, sets)
    step(true, (now) => chainDifferences(now, aliases))
    step(true, (now) => ruleDifferences(now, aliases))
    step(true, backendDifferences)
  }
  // of other kernels than the node's
  return [...all, ...podDifferences(first), ...cniFileDifferences(view), ...factDifferences(view)]
}

function aliasesOf(view: DriftView, sets: ReadonlyMap<string, string>): Aliases {
  const chains = new Map<TableName, ReadonlyMap<string, string>>()
  for (const table of view.expected.iptables.tables) {
    const there = tableNamed(view.there.iptables, table.name)
    if (there !== undefined)
      chains.set(
        table.name,
        chainAliases(table, there, (name) => sets.get(name) ?? name),
      )
  }
  return { chains, sets }
}
