/**
 * `netsim show bgp`, `bird` and `sessions`: what birdc says of a speaker, the configuration that it runs on, and all sessions with what the run of BGP
 * took: handshakes, messages, bytes.
 */
import { formatCidr } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import { formatAsPath } from '../calico/bgp/attributes.js'
import { birdText, type BirdDialect } from '../calico/bgp/bird-text.js'
import type { Bird } from '../calico/bgp/bird.js'
import { clockText, showProtocols, showRoutes } from '../calico/bgp/birdc.js'
import type { BirdRoute, Destination } from '../calico/bgp/route.js'
import type { BgpSession } from '../calico/bgp/session.js'
import type { BgpPlan } from '../network/bgp-plan.js'
import type { Network } from '../network/network.js'
import { UsageError } from './exit.js'
import type { Loaded } from './load-network.js'
import type { Shown } from './show-command.js'
import { withHeadings } from './show-heading.js'
import { table } from './table.js'

export interface BgpAsked {
  /** A speaker: a node, `router/NAME`; absent: all of them. */
  readonly place: string | undefined
  /** `show route all`. */
  readonly all: boolean
  readonly dialect: BirdDialect
}

/** @throws UsageError where nobody speaks BGP, or the one that is named does not */
export function showBgp(kind: 'bgp' | 'bird' | 'sessions', { place, all, dialect }: BgpAsked, { network }: Loaded): Shown {
  const plan = planOf(network)
  const birds = speakersAt(plan, place)
  if (kind === 'sessions') return sessionsShown(plan, birds)
  if (kind === 'bird') {
    const texts = birds.map((bird) => [bird.config.name, birdText(bird.config, dialectOf(bird, dialect))] as const)
    return { items: texts.map(([netns, text]) => ({ netns, text })), text: withHeadings(texts) }
  }
  const texts = birds.map((bird) => [bird.config.name, `${showProtocols(bird)}\n${showRoutes(bird, { all })}`] as const)
  return { items: birds.map(speakerItem), text: withHeadings(texts), more: { run: runItem(plan) } }
}

/** confd writes for nodes alone. */
function dialectOf({ config }: Bird, dialect: BirdDialect): BirdDialect {
  return config.name.startsWith('router/') ? 'bird2' : dialect
}

function planOf({ bgp, calico, cluster }: Network): BgpPlan {
  if (bgp !== undefined) return bgp
  const why =
    cluster.cni === 'canal'
      ? "Canal's pods are reached by flannel, and calico-node runs without BIRD"
      : calico === undefined
        ? `the pods' network is ${cluster.cni === 'none' ? 'plain docker' : `${cluster.cni}'s`}`
        : calico.cluster.manifest.backend === 'bird'
          ? 'no node has an address for BGP'
          : `calico-node runs with the backend ${calico.cluster.manifest.backend}`
  throw new UsageError(`nobody speaks BGP here: ${why}`)
}

function speakersAt({ world }: BgpPlan, place: string | undefined): Bird[] {
  const birds = [...world.birds.values()]
  if (place === undefined) return birds
  const found = world.birds.get(place)
  if (found !== undefined) return [found]
  throw new UsageError(`${place} speaks no BGP. There are ${birds.map(({ config }) => config.name).join(', ')}.`)
}

// ---- sessions and the run

function sessionsShown(plan: BgpPlan, birds: readonly Bird[]): Shown {
  const rows = birds.flatMap((bird) => bird.sessions.map((session) => ({ bird, session })))
  const items = rows.map(({ bird, session }) => ({ netns: bird.config.name, ...sessionItem(bird, session) }))
  const cells = rows.map(({ bird, session }) => [
    bird.config.name,
    session.config.name,
    formatIp(session.config.neighbour),
    `${session.config.remoteAs}`,
    kindOf(session),
    session.stateText,
    session.phase === 'up' ? clockText(session.sinceNs, { milliseconds: true }) : undefined,
    `${routesFrom(bird, session)}`,
    session.lastError,
  ])
  const heading = ['SPEAKER', 'PROTOCOL', 'PEER', 'AS', 'KIND', 'STATE', 'SINCE', 'ROUTES', 'ERROR'].slice(0, cells.some((row) => row[8] !== '') ? 9 : 8)
  return { items, text: `${table(heading, cells)}${runText(plan)}`, more: { run: runItem(plan) } }
}

function kindOf({ internal, reflects, config }: BgpSession): string {
  return `${internal ? 'iBGP' : 'eBGP'}${reflects ? ' client' : ''}${config.passive ? ' passive' : ''}`
}

function routesFrom({ table: routes }: Bird, { config }: BgpSession): number {
  return routes.all().reduce((sum, net) => sum + net.routes.filter(({ protocol }) => protocol === config.name).length, 0)
}

interface RunItem {
  readonly sessions: number
  readonly established: number
  readonly handshakes: number
  readonly messages: Readonly<Record<'open' | 'keepalive' | 'update' | 'endOfRib' | 'withdraw' | 'refresh' | 'notification', number>>
  readonly prefixes: number
  readonly bytes: number
  readonly kernelsAtRestNs: number
}

/** A session has two ends; one whose far end is nobody's counts too. */
function runItem({ world }: BgpPlan): RunItem {
  const ends = [...world.birds].flatMap(([name, { sessions }]) => sessions.map((session) => ({ name, session })))
  const pairs = (of: typeof ends): number =>
    new Set(of.map(({ session }) => [session.sourceAddress, session.config.neighbour].map(formatIp).sort().join(' '))).size
  const { open, keepalive, updates, endOfRib, withdrawals, refresh, notification, prefixes, bytes } = world.counts
  return {
    sessions: pairs(ends),
    established: pairs(ends.filter(({ session }) => session.phase === 'up')),
    handshakes: world.tcp.handshakes,
    messages: { open, keepalive, update: updates, endOfRib, withdraw: withdrawals, refresh, notification },
    prefixes,
    bytes,
    kernelsAtRestNs: world.lastKernelChangeNs,
  }
}

function runText(plan: BgpPlan): string {
  const { sessions, established, handshakes, messages, prefixes, bytes, kernelsAtRestNs } = runItem(plan)
  const { open, keepalive, update, endOfRib, withdraw, refresh, notification } = messages
  return [
    `# ${counted(sessions, 'session')}, ${established} established, after ${counted(handshakes, 'TCP handshake')}`,
    `# ${open} OPEN, ${keepalive} KEEPALIVE, ${update} UPDATE with ${counted(prefixes, 'prefix', 'es')}, ${counted(withdraw, 'withdrawal')}, ` +
      `${endOfRib} End-of-RIB, ${refresh} ROUTE-REFRESH, ${notification} NOTIFICATION: ${bytes} bytes of BGP`,
    `# the last kernel had its routes after ${(kernelsAtRestNs / 1e9).toFixed(2)} s`,
    '',
  ].join('\n')
}

function counted(count: number, word: string, plural = 's'): string {
  return `${count} ${word}${count === 1 ? '' : plural}`
}

// ---- -o json

function speakerItem(bird: Bird): object {
  const { name, routerId, localAs, listen } = bird.config
  return {
    netns: name,
    routerId: formatIp(routerId),
    asNumber: localAs,
    port: listen.port,
    sessions: bird.sessions.map((session) => sessionItem(bird, session)),
    routes: bird.table.all().flatMap(({ prefix, routes }) => routes.map((route, i) => ({ prefix: formatCidr(prefix), best: i === 0, ...routeItem(route) }))),
  }
}

function sessionItem(bird: Bird, session: BgpSession): object {
  const { config } = session
  return {
    protocol: config.name,
    peer: formatIp(config.neighbour),
    port: config.port,
    source: formatIp(session.sourceAddress),
    asNumber: config.remoteAs,
    type: session.internal ? 'iBGP' : 'eBGP',
    reflectionClient: session.reflects,
    passive: config.passive,
    state: session.stateText,
    sinceNs: session.sinceNs,
    routes: routesFrom(bird, session),
    ...(session.lastError === '' ? {} : { lastError: session.lastError }),
    ...(config.provenance === undefined ? {} : { provenance: config.provenance }),
  }
}

function routeItem({ protocol, kind, preference, destination, kernel, bgp }: BirdRoute): object {
  const attributes = bgp?.attributes
  return {
    protocol,
    kind,
    preference,
    ...destinationItem(destination),
    ...(kernel === undefined ? {} : { kernel }),
    ...(bgp === undefined || attributes === undefined
      ? {}
      : {
          from: formatIp(bgp.from),
          nextHop: formatIp(attributes.nextHop),
          asPath: formatAsPath(attributes.asPath),
          ...(attributes.localPreference === undefined ? {} : { localPreference: attributes.localPreference }),
          ...(attributes.med === undefined ? {} : { med: attributes.med }),
          ...(attributes.communities === undefined ? {} : { communities: attributes.communities.map((word) => `${word >>> 16}:${word & 0xffff}`) }),
          ...(attributes.largeCommunities === undefined ? {} : { largeCommunities: attributes.largeCommunities.map((parts) => parts.join(':')) }),
          ...(attributes.originatorId === undefined ? {} : { originatorId: formatIp(attributes.originatorId) }),
          ...(attributes.clusterList === undefined ? {} : { clusterList: attributes.clusterList.map(formatIp) }),
        }),
  }
}

function destinationItem(destination: Destination): object {
  switch (destination.kind) {
    case 'router':
      return { type: 'unicast', via: formatIp(destination.gateway), device: destination.device }
    case 'device':
      return { type: 'unicast', device: destination.device }
    case 'multipath':
      return {
        type: 'unicast',
        nexthops: destination.nexthops.map(({ gateway, device, weight }) => ({
          ...(gateway === undefined ? {} : { via: formatIp(gateway) }),
          device,
          weight: weight ?? 1,
        })),
      }
    default:
      return { type: destination.kind }
  }
}
