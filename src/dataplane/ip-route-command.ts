/**
 * `ip route add|append|prepend|change|replace|del …` applied to a list of routes, with the kernel's own answers
 * (fib_table_insert, fib_table_delete, fib_nh_match in net/ipv4) and iproute2's defaults of scope and table.
 */
import { contains } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { DeviceSpec, NexthopSpec, RouteSpec } from './dataplane.js'
import { nexthopOf, printRoute, readRoute, routeOf, tableOf, type NexthopDraft, type RouteWords } from './ip-route.js'
import { abbreviated, Report, Words, type CommandOptions, type Place } from './text.js'

interface RouteCommandOptions extends CommandOptions {
  /** When given, devices and gateways are checked against them as the kernel does; a gateway without `dev` is also looked up in their prefixes. */
  readonly devices?: readonly DeviceSpec[]
}

const ROUTE_COMMANDS = ['add', 'change', 'chg', 'replace', 'prepend', 'append', 'delete'] as const
type RouteCommand = (typeof ROUTE_COMMANDS)[number]

/** With or without the leading `ip route`. After an error the list is as it was. */
export function applyRouteCommand(
  routes: readonly RouteSpec[],
  text: string,
  place: Place,
  options: RouteCommandOptions = {},
): { readonly routes: readonly RouteSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  return { routes: apply(routes, text, options, report) ?? routes, problems: report.problems }
}

function apply(routes: readonly RouteSpec[], text: string, options: RouteCommandOptions, report: Report): readonly RouteSpec[] | undefined {
  const words = Words.of(text)
  words.takeIf('ip')
  words.takeIf('-4')
  if (abbreviated(words.peek(), ['route']) !== undefined) words.next()
  const word = words.next()
  const command = abbreviated(word, ROUTE_COMMANDS)
  if (command === undefined) return report.error(`Command "${word ?? ''}" is unknown, try "ip route help".`, `Modelled are ${ROUTE_COMMANDS.join(', ')}.`)
  const said = readRoute(words, report)
  if (said === undefined) return undefined
  if (said.device !== undefined && !deviceExists(said.device, options, report)) return undefined
  if (said.destination === undefined && command !== 'delete') return report.error(`"ip route ${command}" names no destination`, 'Name a prefix or default.')
  applyDefaults(said, command)
  if (command === 'delete') return remove(routes, said, report)
  const route = complete(routes, said, options, report)
  return route === undefined ? undefined : insert(routes, route, command, report)
}

function deviceExists(device: string, options: RouteCommandOptions, report: Report): boolean {
  if (options.devices === undefined || options.devices.some(({ name }) => name === device)) return true
  report.error(`Cannot find device "${device}"`)
  return false
}

/** iproute2's iproute_modify(): table and scope that nobody named follow from the type and the gateway. */
function applyDefaults(said: RouteWords, command: RouteCommand): void {
  said.type ??= command === 'delete' ? undefined : 'unicast'
  if (said.type === 'local' || said.type === 'broadcast') said.table ??= 'local'
  if (said.scope !== undefined) return
  if (said.type === 'local') said.scope = 'host'
  else if (said.type === 'broadcast' || said.type === 'multicast') said.scope = 'link'
  else if ((said.type ?? 'unicast') === 'unicast') {
    if (command === 'delete') said.scope = 'nowhere'
    else if (said.via === undefined && said.nexthops === undefined) said.scope = 'link'
  }
}

const DEVICELESS = ['blackhole', 'unreachable', 'prohibit', 'throw']

/** Devices resolved and checked as fib_create_info() does; undefined after a reported failure. */
function complete(routes: readonly RouteSpec[], said: RouteWords, options: RouteCommandOptions, report: Report): RouteSpec | undefined {
  const { destination } = said
  if (destination === undefined) return undefined
  if (DEVICELESS.includes(said.type ?? '')) {
    if (said.via !== undefined || said.device !== undefined || said.nexthops !== undefined)
      return report.error('Error: Gateway, device and multipath can not be specified for this route type.')
    return withProvenance(routeOf({ ...said, destination }), options)
  }
  if (said.source !== undefined && options.devices?.some((device) => device.addresses.some(({ address }) => address === said.source)) === false) {
    return report.error('Error: Invalid prefsrc address.', `No device has ${formatIp(said.source)}.`)
  }
  if (said.nexthops !== undefined) {
    const hops = said.nexthops.map((hop) => resolve(routes, hop, options, report))
    if (hops.includes(undefined)) return undefined
    return withProvenance(
      routeOf(
        { ...said, destination },
        hops.filter((hop) => hop !== undefined),
      ),
      options,
    )
  }
  if (said.via === undefined && said.device === undefined) return report.error('RTNETLINK answers: No such device', 'Name a gateway (via) or a device (dev).')
  if (said.via !== undefined && (said.scope === 'link' || said.scope === 'host'))
    return report.error('Error: Nexthop has invalid scope.', 'A route with a gateway has scope global.')
  const hop = resolve(routes, { via: said.via, device: said.device, weight: 1, onlink: said.onlink }, options, report)
  return hop === undefined ? undefined : withProvenance(routeOf({ ...said, destination, device: hop.device }), options)
}

function withProvenance(route: RouteSpec, options: RouteCommandOptions): RouteSpec {
  return options.provenance === undefined ? route : { ...route, provenance: options.provenance }
}

/** fib_check_nh(): the gateway must be on the link of its device, unless `onlink` says to take that on trust. */
function resolve(routes: readonly RouteSpec[], hop: NexthopDraft, options: RouteCommandOptions, report: Report): NexthopSpec | undefined {
  if (hop.device !== undefined && !deviceExists(hop.device, options, report)) return undefined
  const device = options.devices?.find(({ name }) => name === hop.device)
  if (device?.up === false) return report.error('Error: Device for nexthop is not up.', `ip link set ${device.name} up`)
  if (hop.via === undefined) return nexthopOf(hop)
  if (options.devices?.some((one) => one.addresses.some(({ address }) => address === hop.via)) === true)
    return report.error('Error: Nexthop has invalid gateway.', `${formatIp(hop.via)} is an address of this host.`)
  if (hop.onlink === true) return hop.device === undefined ? report.error('RTNETLINK answers: No such device', 'onlink needs dev.') : nexthopOf(hop)
  const found = linkOf(routes, hop.via, hop.device, options.devices ?? [])
  if (found !== undefined) return nexthopOf({ ...hop, device: found })
  // without the devices nobody knows their prefixes: the device that was named is taken as right
  if (hop.device !== undefined && options.devices === undefined) return nexthopOf(hop)
  return report.error(
    'Error: Nexthop has invalid gateway.',
    `No directly connected prefix${
      hop.device === undefined ? '' : ` of ${hop.device}`
    } covers ${formatIp(hop.via)}; name the device and onlink if it is on the link all the same.`,
  )
}

/** The device whose link-scope prefix covers the gateway, the longest first. */
function linkOf(routes: readonly RouteSpec[], via: number, device: string | undefined, devices: readonly DeviceSpec[]): string | undefined {
  const links = [
    ...routes
      .filter((route) => tableOf(route) === 'main' && route.type === 'unicast' && route.scope === 'link' && route.via === undefined)
      .map((route) => ({ prefix: route.destination, name: route.device })),
    ...devices.flatMap(({ name, addresses }) =>
      addresses.filter(({ length }) => length < 32).map(({ address, length }) => ({ prefix: { base: address, length }, name })),
    ),
  ]
  const covering = links.filter(({ prefix, name }) => name !== undefined && (device === undefined || name === device) && contains(prefix, via))
  return covering.sort((a, b) => b.prefix.length - a.prefix.length)[0]?.name
}

function sameKey(a: RouteSpec, b: RouteSpec): boolean {
  return (
    tableOf(a) === tableOf(b) &&
    a.destination.base === b.destination.base &&
    a.destination.length === b.destination.length &&
    (a.tos ?? 0) === (b.tos ?? 0) &&
    (a.metric ?? 0) === (b.metric ?? 0)
  )
}

/** The same as far as the kernel keeps it: the printed line holds all of it. */
function sameRoute(a: RouteSpec, b: RouteSpec): boolean {
  return printRoute(a, { showTable: true }) === printRoute(b, { showTable: true })
}

/** fib_table_insert(). */
function insert(routes: readonly RouteSpec[], route: RouteSpec, command: RouteCommand, report: Report): readonly RouteSpec[] | undefined {
  const alike = routes.filter((other) => sameKey(other, route))
  const exact = alike.find((other) => sameRoute(other, route))
  if (alike.length === 0) {
    if (command === 'change' || command === 'chg')
      return report.error('RTNETLINK answers: No such file or directory', 'There is no such route to change; use add or replace.')
    return [...routes, route]
  }
  if (command === 'add')
    return report.error(
      'RTNETLINK answers: File exists',
      `There is ${printRoute(alike[0], { showTable: true }).split('\n')[0].trim()}; use replace, append or another metric.`,
    )
  const first = routes.indexOf(alike[0])
  if (command === 'replace' || command === 'change' || command === 'chg') {
    if (exact === alike[0]) return routes
    if (exact !== undefined) return report.error('RTNETLINK answers: File exists')
    return routes.with(first, route)
  }
  if (exact !== undefined) return report.error('RTNETLINK answers: File exists')
  return command === 'prepend' ? routes.toSpliced(first, 0, route) : routes.toSpliced(routes.indexOf(alike[alike.length - 1]) + 1, 0, route)
}

/** fib_table_delete(): the first route, by rising metric, that has all that was said. */
function remove(routes: readonly RouteSpec[], said: RouteWords, report: Report): readonly RouteSpec[] | undefined {
  const destination = said.destination ?? { base: 0, length: 0 }
  const table = said.table ?? 'main'
  const candidates = routes.filter(
    (route) =>
      tableOf(route) === table &&
      route.destination.base === destination.base &&
      route.destination.length === destination.length &&
      (route.tos ?? 0) === (said.tos ?? 0) &&
      (said.type === undefined || route.type === said.type) &&
      (said.scope === undefined || said.scope === 'nowhere' || (route.scope ?? 'global') === said.scope) &&
      (said.protocol === undefined || (route.protocol ?? 'boot') === said.protocol) &&
      (said.source === undefined || route.source === said.source) &&
      (said.metric === undefined || said.metric === 0 || (route.metric ?? 0) === said.metric) &&
      (said.mtu === undefined || route.mtu === said.mtu) &&
      (said.advmss === undefined || route.advmss === said.advmss) &&
      matchesNexthop(route, said),
  )
  const victim = candidates.sort((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0]
  if (victim === undefined) return report.error('RTNETLINK answers: No such process', 'No route has all that the command says.')
  return routes.filter((route) => route !== victim)
}

/** fib_nh_match(). */
function matchesNexthop(route: RouteSpec, said: RouteWords): boolean {
  if (said.nexthops !== undefined) {
    const hops = route.nexthops ?? []
    return (
      hops.length === said.nexthops.length &&
      said.nexthops.every((hop, i) => (hop.device === undefined || hop.device === hops[i].device) && (hop.via === undefined || hop.via === hops[i].via))
    )
  }
  const first = route.nexthops?.[0] ?? route
  return (said.via === undefined || first.via === said.via) && (said.device === undefined || first.device === said.device)
}
