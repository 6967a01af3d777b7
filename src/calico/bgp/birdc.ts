/**
 * What `birdc` says of a daemon: `show protocols`, `show route` and `show route all`, in the words of BIRD 1.6 (nest/proto.c proto_cmd_show,
 * nest/rt-table.c rt_show_rte, proto/bgp/attrs.c bgp_get_route_info) and of BIRD 2. Times count from the start of the run, unless the caller has its own words.
 */
import { compareIp, formatIp } from '../../base/ip.js'
import { formatCidr } from '../../base/cidr.js'
import { formatAsPath, type PathAttributes } from './attributes.js'
import type { Bird } from './bird.js'
import { isReachable, UNKNOWN_METRIC, type BirdRoute, type Destination } from './route.js'
import type { Net } from './net.js'

const KIND_NAMES = { direct: 'device', static: 'static', kernel: 'inherit', bgp: 'BGP' } as const
const ORIGINS = ['IGP', 'EGP', 'Incomplete'] as const

/** Virtual time as a clock that started at midnight: `00:00:02` or `00:00:02.081`. */
export function clockText(timeNs: number, { milliseconds }: { readonly milliseconds: boolean }): string {
  const total = Math.floor(timeNs / 1e6)
  const two = (value: number): string => String(value).padStart(2, '0')
  const clock = `${two(Math.floor(total / 3_600_000) % 24)}:${two(Math.floor(total / 60_000) % 60)}:${two(Math.floor(total / 1000) % 60)}`
  return milliseconds ? `${clock}.${String(total % 1000).padStart(3, '0')}` : clock
}

function isSecond(bird: Bird): boolean {
  return bird.options.flavour.name === 'bird2'
}

/** Of a time of the run, ns. */
export type ClockWords = (timeNs: number) => string

function clockOf(bird: Bird): ClockWords {
  return (timeNs) => clockText(timeNs, { milliseconds: isSecond(bird) })
}

/** `birdc show protocols`; ends in a newline. */
export function showProtocols(bird: Bird, { clock = clockOf(bird) }: { readonly clock?: ClockWords } = {}): string {
  const second = isSecond(bird)
  const row = (cells: readonly [string, string, string, string, string, string]): string => {
    const widths = second ? [10, 10, 10, 6, 12] : [8, 8, 8, 5, 10]
    const [name, proto, table, state, since, info] = cells.map((cell, i) => (i < widths.length ? cell.padEnd(widths[i]) : cell))
    return second ? `${name} ${proto} ${table} ${state} ${since}  ${info}` : `${name} ${proto} ${table} ${state}  ${since}  ${info}`
  }
  const started = clock(bird.startedNs)
  const table = second ? 'master4' : 'master'
  const none = second ? '---' : 'master'
  return `${[
    `BIRD ${bird.options.flavour.version} ready.`,
    second ? row(['Name', 'Proto', 'Table', 'State', 'Since', 'Info']) : row(['name', 'proto', 'table', 'state', 'since', 'info']),
    row(['static1', 'Static', table, 'up', started, '']),
    row(['kernel1', 'Kernel', table, 'up', started, '']),
    row(['device1', 'Device', none, 'up', started, '']),
    row(['direct1', 'Direct', second ? '---' : table, 'up', started, '']),
    ...bird.sessions.map((session) => {
      const info = session.phase === 'down' ? session.lastError : `${session.stateText.padEnd(14)}${session.lastError}`
      const state = session.phase === 'up' && session.exportWaits ? 'wait' : session.phase
      return row([session.config.name, 'BGP', none, state, clock(session.sinceNs), info])
    }),
  ].join('\n')}\n`
}

/** `birdc show route`, with `all` the attributes too; prefixes in order (BIRD's own order is that of a hash). */
export function showRoutes(bird: Bird, { all, clock = clockOf(bird) }: { readonly all: boolean; readonly clock?: ClockWords }): string {
  const second = isSecond(bird)
  const nets = bird.table.all().sort((a, b) => compareIp(a.prefix.base, b.prefix.base) || a.prefix.length - b.prefix.length)
  const lines = [
    `BIRD ${bird.options.flavour.version} ready.`,
    ...(second ? ['Table master4:'] : []),
    ...nets.flatMap((net) => netLines(bird, net, { all, clock })),
  ]
  return `${lines.join('\n')}\n`
}

interface Wish {
  readonly all: boolean
  readonly clock: ClockWords
}

function netLines(bird: Bird, net: Net, { all, clock }: Wish): string[] {
  return net.routes.flatMap((route, i) => {
    const head = i === 0 ? formatCidr(net.prefix) : ''
    const refused = bird.kernel.installed.get(net.prefix)?.refused === true
    const mark = i > 0 ? '' : refused ? ' !' : ' *'
    const shown: Shown = { head, mark, since: clock(route.changedNs) }
    const lines = isSecond(bird) ? secondLines(route, shown) : firstLines(route, shown)
    return all ? [...lines, ...attributeLines(route, isSecond(bird))] : lines
  })
}

interface Shown {
  readonly head: string
  readonly mark: string
  readonly since: string
}

/** BIRD 1.6: all on one line. */
function firstLines(route: BirdRoute, { head, mark, since }: Shown): string[] {
  const { destination } = route
  const line = `${head.padEnd(18)} ${viaText(destination)} [${route.protocol} ${since}${fromText(route)}]${mark}`
  const hops =
    destination.kind === 'multipath' ? destination.nexthops.map((hop) => `\tvia ${formatIp(hop.gateway ?? 0)} on ${hop.device} weight ${hop.weight ?? 1}`) : []
  return [`${line}${infoText(route, { showZero: true })}`, ...hops]
}

function viaText(destination: Destination): string {
  switch (destination.kind) {
    case 'router':
      return `via ${formatIp(destination.gateway)} on ${destination.device}`
    case 'device':
      return `dev ${destination.device}`
    case 'prohibit':
      return 'prohibited'
    default:
      return destination.kind
  }
}

/** BIRD 2: next hops on lines of their own. */
function secondLines(route: BirdRoute, { head, mark, since }: Shown): string[] {
  const { destination } = route
  const kind = isReachable(destination) ? 'unicast' : destination.kind === 'prohibit' ? 'prohibited' : destination.kind
  const line = `${head.padEnd(20)} ${kind} [${route.protocol} ${since}${fromText(route)}]${mark}`
  const first = `${line}${infoText(route, { showZero: false })}`
  switch (destination.kind) {
    case 'router':
      return [first, `\tvia ${formatIp(destination.gateway)} on ${destination.device}`]
    case 'device':
      return [first, `\tdev ${destination.device}`]
    case 'multipath':
      return [first, ...destination.nexthops.map((hop) => `\tvia ${formatIp(hop.gateway ?? 0)} on ${hop.device} weight ${hop.weight ?? 1}`)]
    default:
      return [first]
  }
}

/** Named when the sender is not the next hop: the mark of a reflector. */
function fromText({ bgp, destination }: BirdRoute): string {
  if (bgp === undefined || (destination.kind === 'router' && destination.gateway === bgp.from)) return ''
  return ` from ${formatIp(bgp.from)}`
}

function infoText({ preference, bgp, destination }: BirdRoute, { showZero }: { readonly showZero: boolean }): string {
  if (bgp === undefined) return ` (${preference})`
  const metric = !isReachable(destination) ? '/-' : bgp.igpMetric >= UNKNOWN_METRIC ? '/?' : bgp.igpMetric > 0 || showZero ? `/${bgp.igpMetric}` : ''
  const numbers = bgp.attributes.asPath.flatMap(({ asNumbers }) => asNumbers)
  const last = numbers.length === 0 ? '' : `AS${numbers[numbers.length - 1]}`
  return ` (${preference}${metric}) [${last}${'ie?'[bgp.attributes.origin]}]`
}

function attributeLines(route: BirdRoute, second: boolean): string[] {
  return [
    `\tType: ${KIND_NAMES[route.kind]}${second ? '' : ' unicast'} univ`,
    ...(route.kernel === undefined
      ? []
      : [
          `\tKernel.source: ${route.kernel.source}`,
          `\tKernel.metric: ${route.kernel.metric}`,
          ...(route.kernel.scope === undefined ? [] : [`\tKernel.scope: ${route.kernel.scope}`]),
        ]),
    ...(route.bgp === undefined ? [] : bgpLines(route.bgp.attributes)),
  ]
}

function bgpLines(attributes: PathAttributes): string[] {
  const pairs: readonly (readonly [string, string | undefined])[] = [
    ['origin', ORIGINS[attributes.origin]],
    ['as_path', formatAsPath(attributes.asPath)],
    ['next_hop', formatIp(attributes.nextHop)],
    ['med', attributes.med?.toString()],
    ['local_pref', attributes.localPreference?.toString()],
    ['community', attributes.communities?.map((word) => `(${word >>> 16},${word & 0xffff})`).join(' ')],
    ['originator_id', attributes.originatorId === undefined ? undefined : formatIp(attributes.originatorId)],
    ['cluster_list', attributes.clusterList?.map(formatIp).join(' ')],
    ['large_community', attributes.largeCommunities?.map((parts) => `(${parts.join(', ')})`).join(' ')],
  ]
  return pairs.flatMap(([name, value]) => (value === undefined ? [] : [`\tBGP.${name}: ${value}`]))
}
