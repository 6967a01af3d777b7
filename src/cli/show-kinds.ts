/** What `netsim show` can print of a netns: the kind, its text by the printer of the tool that owns it, and its part of the Dataplane. */
import { printFdb } from '../dataplane/bridge-fdb.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import { printAddresses } from '../dataplane/ip-address.js'
import { printNeighbours } from '../dataplane/ip-neigh.js'
import { printRoutes } from '../dataplane/ip-route.js'
import { printRules } from '../dataplane/ip-rule.js'
import { printIpsets } from '../dataplane/ipset-save.js'
import { printIptablesSave } from '../dataplane/iptables-save.js'
import { printSysctls } from '../dataplane/sysctl.js'
import type { NetnsKindName } from './show-names.js'

export interface NetnsKind {
  readonly text: (dataplane: Dataplane) => string
  readonly part: (dataplane: Dataplane) => unknown
}

export const NETNS_KINDS: Readonly<Record<NetnsKindName, NetnsKind>> = {
  routes: { text: ({ routes }) => printRoutes(routes), part: ({ routes }) => routes },
  rules: { text: ({ rules }) => printRules(rules), part: ({ rules }) => rules },
  neigh: { text: ({ neighbours }) => printNeighbours(neighbours), part: ({ neighbours }) => neighbours },
  fdb: { text: ({ fdb }) => printFdb(fdb), part: ({ fdb }) => fdb },
  addr: { text: ({ devices }) => printAddresses(devices), part: ({ devices }) => devices },
  iptables: { text: ({ iptables }) => printIptablesSave(iptables), part: ({ iptables }) => iptables },
  ipset: { text: ({ ipsets }) => printIpsets(ipsets), part: ({ ipsets }) => ipsets },
  sysctls: { text: ({ sysctls }) => printSysctls(sysctls), part: ({ sysctls }) => sysctls },
}
