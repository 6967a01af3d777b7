/**
 * `netsim show bgp`, `bird` and `sessions`: what birdc says of a speaker, the configuration that it runs on, and all sessions with what the run of BGP
 * took: handshakes, messages, bytes. At rest, or at a moment of a Scenario: then with the timers that run, and with who does not speak and why.
 */
import { momentText } from '../analysis/timeline/duration.js'
import { formatCidr } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import { formatAsPath } from '../calico/bgp/attributes.js'
import { birdText, type BirdDialect } from '../calico/bgp/bird-text.js'
import type { Bird } from '../calico/bgp/bird.js'
import type { BgpWorld } from '../calico/bgp/bgp-world.js'
import { clockText, showProtocols, showRoutes, type ClockWords } from '../calico/bgp/birdc.js'
import type { BirdRoute, Destination } from '../calico/bgp/route.js'
import type { BgpSession } from '../calico/bgp/session.js'
import { sessionWaits } from '../calico/bgp/session-waits.js'
import type { Network } from '../network/network.js'
import { UsageError } from './exit.js'
import type { LoadedMoment } from './load-moment.js'
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

/** Who speaks by now, and what was said so far. */
interface Speaking {
  readonly world: BgpWorld
  readonly birds: readonly Bird[]
  readonly silent: readonly { readonly name: string; readonly why: string }[]
  /** Of a Scenario's run: its time 0 on the clock of the daemons, ns. */
  readonly zeroNs?: number
}

/** @throws UsageError where nobody speaks BGP, or the one that is named does not */
export function showBgp(kind: 'bgp' | 'bird' | 'sessions', { place, all, dialect }: BgpAsked, loaded: LoadedMoment): Shown {
  const speaking = speakersAt(speakingOf(loaded), place)
  const { birds, silent, zeroNs } = speaking
  if (kind === 'sessions') return sessionsShown(speaking, loaded.compared === true)
  const absent = silent.map(({ name, why }) => [name, `# no BIRD runs here: ${why}\n`] as const)
  const absentItems = silent.map(({ name, why }) => ({ netns: name, absent: why }))
  if (kind === 'bird') {
    const texts = birds.map((bird) => [bird.config.name, birdText(bird.config, dialectOf(bird, dialect))] as const)
    return { items: [...texts.map(([netns, text]) => ({ netns, text })), ...absentItems], text: withHeadings([...texts, ...absent]) }
  }
  const clock = zeroNs === undefined ? {} : { clock: (timeNs: number) => momentText(timeNs - zeroNs) }
  const texts = birds.map((bird) => [bird.config.name, `${showProtocols(bird, clock)}\n${showRoutes(bird, { all, ...clock })}`] as const)
  return {
    items: [...birds.map((bird) => speakerItem(bird, speaking)), ...absentItems],
    text: withHeadings([...texts, ...absent]),
    more: { run: runItem(speaking) },
  }
}

/** confd writes for nodes alone. */
function dialectOf({ config }: Bird, dialect: BirdDialect): BirdDialect {
  return config.name.startsWith('router/') ? 'bird2' : dialect
}

function speakingOf({ network, ended }: LoadedMoment): Speaking {
  if (ended !== undefined) {
    const { bird, startNs } = ended()
    if (bird === undefined || bird.speakers().length === 0) throw nobodySpeaks(network)
    const speakers = bird.speakers()
    const silent = speakers.flatMap((one) => (one.bird === undefined ? [one] : []))
    return { world: bird.world, birds: speakers.flatMap((one) => one.bird ?? []), silent, zeroNs: startNs }
  }
  if (network.bgp === undefined) throw nobodySpeaks(network)
  const { world } = network.bgp
  return { world, birds: [...world.birds.values()], silent: [] }
}

function nobodySpeaks({ calico, cluster }: Network): UsageError {
  const why =
    cluster.cni === 'canal'
      ? "Canal's pods are reached by flannel, and calico-node runs without BIRD"
      : calico === undefined
        ? `the pods' network is ${cluster.cni === 'none' ? 'plain docker' : `${cluster.cni}'s`}`
        : calico.cluster.manifest.backend === 'bird'
          ? 'no node has an address for BGP'
          : `calico-node runs with the backend ${calico.cluster.manifest.backend}`
  return new UsageError(`nobody speaks BGP here: ${why}`)
}

function speakersAt(speaking: Speaking, place: string | undefined): Speaking {
  if (place === undefined) return speaking
  const birds = speaking.birds.filter(({ config }) => config.name === place)
  const silent = speaking.silent.filter(({ name }) => name === place)
  if (birds.length + silent.length > 0) return { ...speaking, birds, silent }
  const names = [...speaking.birds.map(({ config }) => config.name), ...speaking.silent.map(({ name }) => name)]
  throw new UsageError(`${place} speaks no BGP. There are ${names.join(', ')}.`)
}

// ---- sessions and the run

/** @param compared with another moment: the same columns in both, and nothing that only runs on */
function sessionsShown(speaking: Speaking, compared: boolean): Shown {
  const timers = speaking.zeroNs !== undefined && !compared
  const { birds, silent, zeroNs = 0 } = speaking
  const clock: ClockWords = speaking.zeroNs === undefined ? (ns) => clockText(ns, { milliseconds: true }) : (ns) => momentText(ns - zeroNs)
  const rows = birds.flatMap((bird) => bird.sessions.map((session) => ({ bird, session })))
  const items = rows.map(({ bird, session }) => ({ netns: bird.config.name, ...sessionItem(bird, session, speaking) }))
  const cells = rows.map(({ bird, session }) => [
    bird.config.name,
    session.config.name,
    formatIp(session.config.neighbour),
    `${session.config.remoteAs}`,
    kindOf(session),
    session.stateText,
    session.phase === 'up' || speaking.zeroNs !== undefined ? clock(session.sinceNs) : undefined,
    `${routesFrom(bird, session)}`,
    ...(timers ? [waitsText(session, bird.timers.nowNs)] : []),
    session.lastError,
  ])
  const heading = ['SPEAKER', 'PROTOCOL', 'PEER', 'AS', 'KIND', 'STATE', 'SINCE', 'ROUTES', ...(timers ? ['TIMERS'] : []), 'ERROR']
  const shown = heading.slice(0, compared || cells.some((row) => row.at(-1) !== '') ? heading.length : -1)
  const absent = silent.map(({ name, why }) => `# ${name}: no BIRD runs there: ${why}\n`)
  return {
    items: [...items, ...silent.map(({ name, why }) => ({ netns: name, absent: why }))],
    text: `${table(shown, cells)}${absent.join('')}${runText(speaking)}`,
    more: { run: runItem(speaking) },
  }
}

/** What it waits for, and how long still. */
function waitsText(session: BgpSession, nowNs: number): string {
  const { holdNs, holdSeconds, dialNs, errorWaitNs, restartNs } = sessionWaits(session)
  const left = (ns: number): string => momentText(Math.max(0, Math.round((ns - nowNs) / 1e6) * 1e6))
  return [
    ...(holdNs === undefined ? [] : [`hold ${left(holdNs)}${holdSeconds === undefined ? '' : ` of ${momentText(holdSeconds * 1e9)}`}`]),
    ...(dialNs === undefined ? [] : [`dials in ${left(dialNs)}`]),
    ...(errorWaitNs === undefined ? [] : [`waits ${left(errorWaitNs)} after the error`]),
    ...(restartNs === undefined ? [] : [`peer restarts, its routes kept ${left(restartNs)}`]),
    ...(session.exportWaits ? ['says nothing yet: it recovers'] : []),
  ].join('; ')
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
function runItem({ world, zeroNs = 0 }: Speaking): RunItem {
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
    kernelsAtRestNs: world.lastKernelChangeNs - zeroNs,
  }
}

function runText(speaking: Speaking): string {
  const { sessions, established, handshakes, messages, prefixes, bytes, kernelsAtRestNs } = runItem(speaking)
  const { open, keepalive, update, endOfRib, withdraw, refresh, notification } = messages
  return [
    `# ${counted(sessions, 'session')}, ${established} established, after ${counted(handshakes, 'TCP handshake')}`,
    `# ${open} OPEN, ${keepalive} KEEPALIVE, ${update} UPDATE with ${counted(prefixes, 'prefix', 'es')}, ${counted(withdraw, 'withdrawal')}, ` +
      `${endOfRib} End-of-RIB, ${refresh} ROUTE-REFRESH, ${notification} NOTIFICATION: ${bytes} bytes of BGP`,
    speaking.zeroNs === undefined
      ? `# the last kernel had its routes after ${(kernelsAtRestNs / 1e9).toFixed(2)} s`
      : `# all of it since the agents started; BGP last changed a kernel at ${momentText(kernelsAtRestNs)}`,
    '',
  ].join('\n')
}

function counted(count: number, word: string, plural = 's'): string {
  return `${count} ${word}${count === 1 ? '' : plural}`
}

// ---- -o json

function speakerItem(bird: Bird, speaking: Speaking): object {
  const { name, routerId, localAs, listen } = bird.config
  return {
    netns: name,
    routerId: formatIp(routerId),
    asNumber: localAs,
    port: listen.port,
    sessions: bird.sessions.map((session) => sessionItem(bird, session, speaking)),
    routes: bird.table.all().flatMap(({ prefix, routes }) => routes.map((route, i) => ({ prefix: formatCidr(prefix), best: i === 0, ...routeItem(route) }))),
  }
}

function sessionItem(bird: Bird, session: BgpSession, { zeroNs }: Speaking): object {
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
    sinceNs: session.sinceNs - (zeroNs ?? 0),
    routes: routesFrom(bird, session),
    ...(session.lastError === '' ? {} : { lastError: session.lastError }),
    ...(zeroNs === undefined ? {} : { restarting: session.restartActive, endsNs: endsOf(session, zeroNs) }),
    ...(config.provenance === undefined ? {} : { provenance: config.provenance }),
  }
}

/** Of what it waits for, on the Scenario's clock. */
function endsOf(session: BgpSession, zeroNs: number): object {
  const { holdNs, dialNs, errorWaitNs, restartNs } = sessionWaits(session)
  const ends = { hold: holdNs, dial: dialNs, errorWait: errorWaitNs, restart: restartNs }
  return Object.fromEntries(Object.entries(ends).flatMap(([name, ns]) => (ns === undefined ? [] : [[name, ns - zeroNs]])))
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
