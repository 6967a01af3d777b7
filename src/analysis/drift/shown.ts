/** Lines of the kernel's state as the tools of a node print them, in the node's own names, with who wrote them and where that is written. */
import { formatIp } from '../../base/ip.js'
import { printFdb } from '../../dataplane/bridge-fdb.js'
import type { AddressSpec, DeviceSpec, FdbSpec, NeighbourSpec, Provenance, RouteSpec, RoutingRuleSpec } from '../../dataplane/dataplane.js'
import { printNeighbours } from '../../dataplane/ip-neigh.js'
import { printRoute } from '../../dataplane/ip-route.js'
import { printRules } from '../../dataplane/ip-rule.js'
import type { Rule, TableName } from '../../dataplane/iptables.js'
import { printSavedRule } from '../../dataplane/iptables-save.js'
import type { DriftView } from './difference.js'
import type { ShownDocument } from './finding.js'
import { translate } from './translate.js'
import { EMPTY_DATAPLANE } from '../../dataplane/dataplane.js'
import { savedWords } from './shell-words.js'

export function shown(text: string, provenance?: Omit<Provenance, 'by'> & { readonly by?: string | undefined }): ShownDocument {
  const { by, object, file, line } = provenance ?? {}
  return {
    text: text.trim().replace(/\s+/g, ' '),
    ...(by === undefined ? {} : { by }),
    ...(object === undefined || object === '' ? {} : { object }),
    ...(file === undefined || file === '' ? {} : { file, ...(line === undefined || line < 1 ? {} : { line }) }),
  }
}

/** In the names of the dump. */
export class Printer {
  private readonly view: Pick<DriftView, 'alignment'>

  constructor(view: Pick<DriftView, 'alignment'>) {
    this.view = view
  }

  device(name: string): string {
    return this.view.alignment.toDump.device(name)
  }

  routeText(route: RouteSpec): string {
    const [named] = translate({ ...EMPTY_DATAPLANE, netns: '', routes: [route] }, this.view.alignment.toDump).routes
    return printRoute(named, { showTable: true }).trim().replace(/\s+/g, ' ')
  }

  route(route: RouteSpec): ShownDocument {
    return shown(this.routeText(route), route.provenance)
  }

  routingRule(rule: RoutingRuleSpec): ShownDocument {
    return shown(this.routingRuleText(rule), rule.provenance)
  }

  routingRuleText(rule: RoutingRuleSpec): string {
    const [named] = translate({ ...EMPTY_DATAPLANE, netns: '', rules: [rule] }, this.view.alignment.toDump).rules
    return printRules([named]).trim().replace(/\s+/g, ' ')
  }

  neighbour(entry: NeighbourSpec): ShownDocument {
    const [named] = translate({ ...EMPTY_DATAPLANE, netns: '', neighbours: [entry] }, this.view.alignment.toDump).neighbours
    return shown(printNeighbours([named], { all: true, proxy: entry.proxy === true }), entry.provenance)
  }

  fdb(entry: FdbSpec): ShownDocument {
    const [named] = translate({ ...EMPTY_DATAPLANE, netns: '', fdb: [entry] }, this.view.alignment.toDump).fdb
    return shown(printFdb([named]), entry.provenance)
  }

  ruleText(chain: string, rule: Rule): string {
    const tables = { tables: [{ name: 'filter' as const, chains: [{ name: chain, rules: [rule] }] }] }
    const [table] = translate({ ...EMPTY_DATAPLANE, netns: '', iptables: tables }, this.view.alignment.toDump).iptables.tables
    return printSavedRule(chain, table.chains[0].rules[0])
  }

  /** What stands behind `-A CHAIN`, word by word. */
  ruleWords(rule: Rule): readonly string[] {
    return savedWords(this.ruleText('x', rule)).slice(2)
  }

  rule(table: TableName, chain: string, rule: Rule): ShownDocument {
    return shown(`-t ${table} ${this.ruleText(chain, rule)}`, rule.provenance)
  }

  /** `flannel.1 vxlan mtu 1450 up`. */
  deviceLine(device: DeviceSpec): ShownDocument {
    const { name, kind, mtu, up, provenance } = device
    return shown(`${this.device(name)}: ${kind} mtu ${mtu} ${up ? 'up' : 'down'}`, provenance)
  }

  address(device: DeviceSpec, { address, length }: AddressSpec): ShownDocument {
    return shown(`inet ${formatIp(address)}/${length} dev ${this.device(device.name)}`, device.provenance)
  }
}
