/** What `netsim show` can print of a netns: the kind, its text by the printer of the tool that owns it, and its part of the Dataplane. */
import { printFdb } from '../dataplane/bridge-fdb.js'
import type { Dataplane, RoutingRuleSpec } from '../dataplane/dataplane.js'
import { printAddresses } from '../dataplane/ip-address.js'
import { printNeighbours } from '../dataplane/ip-neigh.js'
import { parseTable, printRoutes, tableOf } from '../dataplane/ip-route.js'
import { DEFAULT_ROUTING_RULES, printRules } from '../dataplane/ip-rule.js'
import { printIpsets } from '../dataplane/ipset-save.js'
import { printIptablesSave } from '../dataplane/iptables-save.js'
import { printSysctls } from '../dataplane/sysctl.js'
import { UsageError } from './exit.js'
import type { NetnsKindName } from './show-names.js'
import { printSockets, socketsOf } from './show-sockets.js'
import { allSysctls, printAllSysctls } from './show-sysctls.js'

export interface NetnsKind {
  readonly text: (dataplane: Dataplane) => string
  readonly part: (dataplane: Dataplane) => unknown
}

/** A netns that names none has the kernel's three. */
function rulesOf(rules: readonly RoutingRuleSpec[]): readonly RoutingRuleSpec[] {
  return rules.length === 0 ? DEFAULT_ROUTING_RULES : rules
}

export const NETNS_KINDS: Readonly<Record<NetnsKindName, NetnsKind>> = {
  routes: { text: ({ routes }) => printRoutes(routes), part: ({ routes }) => routes },
  rules: { text: ({ rules }) => printRules(rulesOf(rules)), part: ({ rules }) => rulesOf(rules) },
  neigh: { text: ({ neighbours }) => printNeighbours(neighbours), part: ({ neighbours }) => neighbours },
  fdb: { text: ({ fdb }) => printFdb(fdb), part: ({ fdb }) => fdb },
  addr: { text: ({ devices }) => printAddresses(devices), part: ({ devices }) => devices },
  iptables: { text: ({ iptables }) => printIptablesSave(iptables), part: ({ iptables }) => iptables },
  ipset: { text: ({ ipsets }) => printIpsets(ipsets), part: ({ ipsets }) => ipsets },
  sysctls: { text: ({ sysctls }) => printSysctls(sysctls), part: ({ sysctls }) => sysctls },
  sockets: { text: printSockets, part: socketsOf },
}

/** `ip route show table T`, and `table all`. @throws UsageError */
export function routesOfTable(name: string): NetnsKind {
  const table = name === 'all' ? name : parseTable(name)
  if (table === undefined) throw new UsageError(`'${name}' is no routing table: it is a number, main, local, default or all`)
  return {
    text: ({ routes }) => printRoutes(routes, { table }),
    part: ({ routes }) => routes.filter((route) => table === 'all' || tableOf(route) === table),
  }
}

/** `--all`: the kernel's own values too. */
export const ALL_SYSCTLS: NetnsKind = { text: printAllSysctls, part: allSysctls }
