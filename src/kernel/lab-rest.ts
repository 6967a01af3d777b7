/**
 * How long a kernel has to rest before it will do again what netsim predicts of one that has never been asked: redirects and the errors of
 * ip_error are rationed for each sender (struct inet_peer), by settings of the whole machine, and nothing but time refills a ration.
 * Source: net/ipv4/route.c ip_rt_send_redirect and ip_error, net/ipv4/icmp.c inet_peer_xrlim_allow.
 */
import { read32 } from '../wire/bytes.js'
import type { PredictedFrame } from './compare.js'
import type { Prediction } from './prediction.js'

/** ip_rt_redirect_load, doubled by each that was sent; ip_rt_redirect_number; ip_rt_redirect_silence. Milliseconds. */
const REDIRECT_LOAD = 20
const REDIRECT_NUMBER = 9
const REDIRECT_SILENCE = REDIRECT_LOAD << (REDIRECT_NUMBER + 1)
/** ip_rt_error_burst over ip_rt_error_cost: so many errors of ip_error in a row, then one for each so many milliseconds. */
const ERRORS = 5
const ERROR_COST = 1000
/** A few jiffies. */
const MARGIN = 12

const ETHERNET_HEADER = 14
const PROTO_ICMP = 1
const UNREACHABLE = 3
/** Of net, host, and by a rule: what ip_error says. */
const ROUTE_CODES: readonly number[] = [0, 1, 13]
const REDIRECT = 5

interface Ration {
  readonly last: number
  readonly redirects: number
}

/**
 * One lab's. Times in milliseconds of any clock that does not go back. The ration of ip_error is kept as if all were one sender's and one
 * peer's: whoever rests for that rests long enough.
 */
export class Rations {
  private readonly peers = new Map<string, Ration>()
  private errors = ERRORS
  private errorsAt = -Infinity

  /** Milliseconds to wait before a question that brings this. */
  before(prediction: Pick<Prediction, 'frames' | 'drops'>, now: number): number {
    const missing = Math.min(ERRORS, spentBy(prediction)) - this.errorsLeft(now)
    const rest = missing > 0 ? missing * ERROR_COST + MARGIN : 0
    return Math.max(rest, ...redirectsIn(prediction.frames).map((peer) => this.redirectDue(peer, now) - now))
  }

  /** The question was asked. */
  after(prediction: Pick<Prediction, 'frames' | 'drops'>, now: number): void {
    const redirected = redirectsIn(prediction.frames)
    // ip_rt_send_redirect begins a peer's ration anew, with nothing in it
    this.errors = redirected.length > 0 ? 0 : Math.max(0, this.errorsLeft(now) - spentBy(prediction))
    this.errorsAt = now
    for (const peer of redirected) this.peers.set(peer, { last: now, redirects: this.ration(peer, now).redirects + 1 })
    // ip_error renews the time from which a redirect is due
    if (spentBy(prediction) > 0) for (const [peer, ration] of this.peers) this.peers.set(peer, { ...ration, last: now })
  }

  private errorsLeft(now: number): number {
    return Math.min(ERRORS, this.errors + (now - this.errorsAt) / ERROR_COST)
  }

  private ration(peer: string, now: number): Ration {
    const known = this.peers.get(peer) ?? { last: now, redirects: 0 }
    return now - known.last > REDIRECT_SILENCE ? { last: known.last, redirects: 0 } : known
  }

  private redirectDue(peer: string, now: number): number {
    const { last, redirects } = this.ration(peer, now)
    if (redirects === 0) return now
    return last + MARGIN + (redirects < REDIRECT_NUMBER ? REDIRECT_LOAD << redirects : REDIRECT_SILENCE)
  }
}

/** How many errors of ip_error: those that are seen, or that somebody lost before. */
function spentBy({ frames, drops }: Pick<Prediction, 'frames' | 'drops'>): number {
  const lost = drops.filter(({ reason }) => reason === 'IP_INNOROUTES').length
  return Math.max(lost, saidIn(frames, (type, code) => type === UNREACHABLE && ROUTE_CODES.includes(code)).length)
}

function redirectsIn(frames: readonly PredictedFrame[]): readonly string[] {
  return saidIn(frames, (type) => type === REDIRECT)
}

/** ICMP errors of a kind, each once, by who says them and to whom. */
function saidIn(frames: readonly PredictedFrame[], isWanted: (type: number, code: number) => boolean): readonly string[] {
  const found = new Map<string, string>()
  for (const { bytes, link, packet } of frames) {
    const at = link === 'ethernet' ? ETHERNET_HEADER : 0
    const isIp = link === 'none' || (bytes[12] === 0x08 && bytes[13] === 0x00)
    const icmp = at + (bytes[at] & 15) * 4
    const type = bytes[icmp]
    if (!isIp || bytes[at + 9] !== PROTO_ICMP || !isWanted(type, bytes[icmp + 1])) continue
    const peer = `${read32(bytes, at + 12)} ${read32(bytes, at + 16)}`
    found.set(`${peer} ${packet}`, peer)
  }
  return [...found.values()]
}
