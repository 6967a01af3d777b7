/** Addresses, routes, rules, neighbours and FDB entries of a Dataplane as lines for `ip -batch` and `bridge -batch`, by the printers of src/dataplane. */
import { contains } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import { formatMac } from '../base/mac.js'
import { printFdb } from '../dataplane/bridge-fdb.js'
import type { Dataplane, DeviceSpec, RouteSpec } from '../dataplane/dataplane.js'
import { printRoute } from '../dataplane/ip-route.js'
import { printRules } from '../dataplane/ip-rule.js'

const LOOPBACK_ADDRESS = 0x7f000001
/** Of include/uapi/linux/rtnetlink.h; `local` and 255 are one table. */
const LOCAL_TABLES = ['local', '255']

/** For `ip -batch`, once the devices are up: addresses, routes, rules, lasting neighbours. */
export function stateLines(dataplane: Dataplane): readonly string[] {
  return [...addressLines(dataplane.devices), ...routeLines(dataplane), ...ruleLines(dataplane), ...neighbourLines(dataplane)]
}

/** The kernel gives lo its own address when it comes up. */
function addressLines(devices: readonly DeviceSpec[]): string[] {
  return devices.flatMap((device) =>
    device.addresses
      .filter(({ address }) => device.kind !== 'loopback' || address !== LOOPBACK_ADDRESS)
      .map(({ address, length, scope, broadcast }) => {
        const brd = broadcast === undefined ? '' : ` brd ${formatIp(broadcast)}`
        return `addr add ${formatIp(address)}/${length}${brd} scope ${scope} dev ${device.name}`
      }),
  )
}

/** Those with a gateway after those without, since the kernel asks how to reach it; what it makes of addresses by itself is left to it. */
function routeLines({ routes, devices }: Dataplane): string[] {
  const ours = routes.filter((route) => !isKernels(route, devices))
  const leads = (route: RouteSpec): boolean => route.via !== undefined || route.nexthops !== undefined
  return [...ours.filter((route) => !leads(route)), ...ours.filter(leads)].map((route) => `route append ${routeWords(route)}`)
}

/** `ip route` shows no scope where it is global, and takes none to mean link where there is no gateway. */
function routeWords(route: RouteSpec): string {
  const words = printRoute(route, { showTable: true }).replace(/\s+/g, ' ').trim()
  const wouldGuess = route.scope === undefined || route.scope === 'global'
  const guessesGlobal =
    route.type === 'unicast' ? route.via !== undefined || route.nexthops !== undefined : !['local', 'broadcast', 'multicast'].includes(route.type)
  return wouldGuess && !guessesGlobal ? words.replace(/( dev \S+)/, `$1 scope ${impliedScope(route)}`) : words
}

/** What netsim takes a route without a scope to have (compile-fib.ts). */
function impliedScope({ type, scope }: RouteSpec): string {
  if (scope !== undefined) return scope
  return type === 'local' ? 'host' : type === 'broadcast' ? 'link' : 'global'
}

/** fib_add_ifaddr: the kernel's own route to the subnet of an address, and all that is its own in table local. */
function isKernels(route: RouteSpec, devices: readonly DeviceSpec[]): boolean {
  if (route.protocol !== 'kernel') return false
  if (LOCAL_TABLES.includes(route.table ?? 'main')) return true
  const device = devices.find(({ name }) => name === route.device)
  const { destination, metric = 0, table = 'main' } = route
  const first = device?.addresses.find(({ address, length }) => length === destination.length && contains(destination, address))
  return table === 'main' && metric === 0 && route.via === undefined && first !== undefined && first.address === route.source && route.scope === 'link'
}

function ruleLines({ rules }: Dataplane): string[] {
  if (rules.length === 0) return []
  const born = [0, 32766, 32767].map((priority) => `rule del pref ${priority}`)
  const added = printRules(rules)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^(\d+):\t(.*)$/, 'rule add pref $1 $2'))
  return [...born, ...added]
}

/** Those that last; what comes and goes belongs to the warm state. */
function neighbourLines({ neighbours }: Dataplane): string[] {
  return neighbours.flatMap(({ address, device, mac, state, proxy }) => {
    if (proxy === true) return [`neigh replace proxy ${formatIp(address)} dev ${device}`]
    if (state !== 'permanent' && state !== 'noarp') return []
    return [`neigh replace ${formatIp(address)}${mac === undefined ? '' : ` lladdr ${formatMac(mac)}`} dev ${device} nud ${state}`]
  })
}

/** For `bridge -batch`. Of a bridge's own table the kernel knows its ports' addresses by itself; what leads to a port never ages here. */
export function fdbLines({ fdb, devices }: Dataplane): readonly string[] {
  const kindOf = new Map(devices.map(({ name, kind }) => [name, kind]))
  return fdb.flatMap((entry) => {
    const [line] = printFdb([entry]).trimEnd().split('\n')
    if (kindOf.get(entry.device) === 'vxlan' && entry.destination !== undefined) {
      return [
        `fdb append ${line.replace(/ self\b/, '').replace(/ (permanent|static|dynamic)$/, '')} self ${entry.state === 'permanent' ? 'permanent' : 'static'}`,
      ]
    }
    const port = devices.find(({ name }) => name === entry.device)
    if (port?.master === undefined || entry.master === undefined) return []
    return [`fdb replace ${formatMac(entry.mac)} dev ${entry.device} master ${entry.state === 'permanent' ? 'local' : 'static'}`]
  })
}
