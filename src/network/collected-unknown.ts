/**
 * What stands in a Dataplane for what a dump does not tell of it, so that a packet that comes to it is INCOMPLETE there and takes no other way: iptables of
 * which no rule is known, routing rules that nobody has seen, tunnels of which too little is known to unwrap what they receive.
 */
import { emptyTable } from '../dataplane/iptables-command.js'
import type { Dataplane, DeviceSpec, Provenance, RouteSpec, RoutingRuleSpec } from '../dataplane/dataplane.js'
import type { Match, Rule, Table } from '../dataplane/iptables.js'

const KERNEL_TABLES: ReadonlySet<string> = new Set(['main', 'local', 'default'])

/** In place of a device's name and of a table's: no real one has it. */
const NOBODY_KNOWS = '?'

export function withStandIns(dataplane: Dataplane): Dataplane {
  const known = new Set(dataplane.devices.flatMap((device) => (device.kind === 'vxlan' ? [device.port] : [])))
  const arrivals = dataplane.devices.flatMap((device) => tunnelRules(device, known))
  const tables = [...rawTable(dataplane), ...dataplane.iptables.tables, ...(arrivals.length === 0 ? [] : [inputTable(arrivals)])]
  return withRules({ ...dataplane, iptables: { tables } })
}

function inputTable(rules: readonly Rule[]): Table {
  const table = emptyTable('security')
  return { ...table, chains: table.chains.map((chain) => (chain.name === 'INPUT' ? { ...chain, rules } : chain)) }
}

/** Before anything else is asked, of whatever comes in or leaves a process. */
function rawTable({ unknown }: Dataplane): readonly Table[] {
  if (unknown?.iptables === undefined) return []
  const rules = [unknownRule([], unknown.iptables)]
  const table = emptyTable('raw')
  return [{ ...table, chains: table.chains.map((chain) => ({ ...chain, rules })) }]
}

function unknownRule(matches: readonly Match[], text: string, provenance?: Provenance): Rule {
  return { matches: [...matches, { kind: 'unknown', module: 'dump', text }], ...(provenance === undefined ? {} : { provenance }) }
}

/** IANA's and Linux's own VXLAN, Geneve. */
const UDP_TUNNELS: Readonly<Record<string, readonly number[]>> = { vxlan: [4789, 8472], geneve: [6081] }
const IP_TUNNELS: Readonly<Record<string, number>> = { ipip: 4, tunnel: 4, sit: 41, gre: 47, gretap: 47, erspan: 47 }
const UDP = 17

/** Of a tunnel that is not modelled, or not known well enough: what it would have unwrapped. @param known ports of VXLAN devices that are known */
function tunnelRules(device: DeviceSpec, known: ReadonlySet<number>): readonly Rule[] {
  if (device.kind !== 'other' || !device.up) return []
  const { name, type, provenance, why = `${name} is a device of kind ${type}` } = device
  const proto = IP_TUNNELS[type]
  if (proto !== undefined) return [unknownRule([{ kind: 'protocol', proto }], why, provenance)]
  const ports = (UDP_TUNNELS[type] ?? []).filter((port) => !known.has(port))
  return ports.map((port) =>
    unknownRule(
      [
        { kind: 'protocol', proto: UDP },
        { kind: 'destination-port', module: 'udp', ports: [port, port] },
      ],
      why,
      provenance,
    ),
  )
}

/** Tables beside the kernel's own are there for rules: which packets take them is then not known. */
function withRules(dataplane: Dataplane): Dataplane {
  const { unknown, routes, devices } = dataplane
  if (unknown?.rules === undefined || routes.every(({ table }) => table === undefined || KERNEL_TABLES.has(table))) return dataplane
  const rule: RoutingRuleSpec = { priority: 1, action: 'lookup', table: NOBODY_KNOWS }
  const way: RouteSpec = { destination: { base: 0, length: 0 }, type: 'unicast', device: NOBODY_KNOWS, table: NOBODY_KNOWS }
  const device: DeviceSpec = { kind: 'other', name: NOBODY_KNOWS, type: 'unknown', why: unknown.rules, mtu: 65535, up: true, addresses: [] }
  const kernel: readonly RoutingRuleSpec[] = [
    { priority: 0, action: 'lookup', table: 'local' },
    { priority: 32766, action: 'lookup', table: 'main' },
    { priority: 32767, action: 'lookup', table: 'default' },
  ]
  return { ...dataplane, devices: [...devices, device], routes: [...routes, way], rules: [kernel[0], rule, ...kernel.slice(1)] }
}
