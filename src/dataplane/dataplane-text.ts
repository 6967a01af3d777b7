/** A whole Dataplane as text: each tool's own output behind a heading, empty sections left out. */
import type { Dataplane } from './dataplane.js'
import { printFdb } from './bridge-fdb.js'
import { printAddresses } from './ip-address.js'
import { printNeighbours } from './ip-neigh.js'
import { printRoutes } from './ip-route.js'
import { printRules } from './ip-rule.js'
import { printIpsets } from './ipset-save.js'
import { printIptablesSave } from './iptables-save.js'
import { printSysctls } from './sysctl.js'

export interface DataplaneSection {
  /** The command whose output `text` is. */
  readonly command: string
  readonly text: string
}

/** In the order in which the parts depend on one another. */
export function sectionsOf(dataplane: Dataplane): readonly DataplaneSection[] {
  return [
    { command: 'ip addr show', text: printAddresses(dataplane.devices) },
    { command: 'ip rule show', text: printRules(dataplane.rules) },
    { command: 'ip route show table all', text: printRoutes(dataplane.routes, { table: 'all' }) },
    { command: 'ip neigh show nud all', text: printNeighbours(dataplane.neighbours, { all: true }) },
    { command: 'ip neigh show proxy', text: printNeighbours(dataplane.neighbours, { proxy: true }) },
    { command: 'bridge fdb show', text: printFdb(dataplane.fdb) },
    { command: 'sysctl -a', text: printSysctls(dataplane.sysctls) },
    { command: 'ipset save', text: printIpsets(dataplane.ipsets) },
    { command: 'iptables-save', text: printIptablesSave(dataplane.iptables) },
  ].filter(({ text }) => text !== '')
}

/** `# NETNS: COMMAND`, then its output, for each section. */
export function printDataplane(dataplane: Dataplane): string {
  return sectionsOf(dataplane)
    .map(({ command, text }) => `# ${dataplane.netns}: ${command}\n${text}`)
    .join('\n')
}
