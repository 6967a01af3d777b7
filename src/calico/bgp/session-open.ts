/** OPEN: what a session says of itself, what it refuses, what both ends then agree on (RFC 4271 sections 4.2, 6.2 and 6.8; proto/bgp/packets.c bgp_rx_open). */
import type { Commons } from './commons.js'
import { TIMERS, type BirdTimers, type PeerConfig } from './config.js'
import { ADD_PATH_RECEIVE, ADD_PATH_SEND, type OpenMessage, type SessionRules } from './message.js'

/** @param restarting the daemon recovers from a restart and kept its forwarding state */
export function openMessage(
  config: PeerConfig,
  { routerId, birdTimers, commons }: { readonly routerId: number; readonly birdTimers: BirdTimers; readonly commons: Commons },
  restarting: boolean,
): OpenMessage {
  const { localAs, addPaths, gracefulRestartTime } = config
  const seconds = gracefulRestartTime === TIMERS.gracefulRestart ? birdTimers.gracefulRestart : gracefulRestartTime
  return commons.open(`${routerId} ${localAs} ${birdTimers.hold} ${seconds} ${addPaths} ${restarting}`, () => ({
    type: 'open',
    asNumber: localAs,
    holdTime: birdTimers.hold,
    routerId,
    capabilities: {
      multiprotocolIpv4: true,
      routeRefresh: true,
      enhancedRefresh: true,
      gracefulRestart: { restarting, seconds, ipv4: { forwarding: restarting } },
      as4: localAs,
      addPath: addPaths ? ADD_PATH_RECEIVE | ADD_PATH_SEND : 0,
      longLivedAware: true,
    },
  }))
}

/** The subcode and data of the NOTIFICATION with which a peer's OPEN is turned down; undefined: it will do. */
export function refusalOf(open: OpenMessage, config: PeerConfig, routerId: number): { readonly subcode: number; readonly data: readonly number[] } | undefined {
  const internal = config.remoteAs === config.localAs
  if (open.routerId === 0 || (internal && open.routerId === routerId)) return { subcode: 3, data: [] }
  if (open.asNumber === config.remoteAs) return undefined
  const { as4 } = open.capabilities
  if (as4 === undefined) return { subcode: 2, data: [open.asNumber >>> 8, open.asNumber & 255] }
  return { subcode: 2, data: [as4 >>> 24, (as4 >>> 16) & 255, (as4 >>> 8) & 255, as4 & 255] }
}

/** Of two connections the one that the peer dialled stands when its identifier is the higher. */
export function givesWay(config: PeerConfig, routerId: number, remoteId: number): boolean {
  const mine = routerId >>> 0
  const theirs = remoteId >>> 0
  return mine < theirs || (mine === theirs && config.localAs < config.remoteAs)
}

export function agreedRules(config: PeerConfig, open: OpenMessage): SessionRules {
  const { as4, addPath } = open.capabilities
  return {
    as4: as4 !== undefined,
    internal: config.remoteAs === config.localAs,
    addPathReceive: config.addPaths && (addPath & ADD_PATH_SEND) !== 0,
    addPathSend: config.addPaths && (addPath & ADD_PATH_RECEIVE) !== 0,
  }
}
