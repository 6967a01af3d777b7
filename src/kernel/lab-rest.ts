/**
 * How long a kernel has to rest before it will do again what netsim predicts of one that has never been asked: redirects and the errors of
 * ip_error are rationed for each sender (struct inet_peer), by settings of the whole machine, and nothing but time refills a ration.
 * Source: net/ipv4/route.c ip_rt_send_redirect and ip_error, net/ipv4/icmp.c inet_peer_xrlim_allow.
 */
import { read32 } from '../wire/bytes.js'
import type { PredictedFrame } from './compare.js'

/** ip_rt_redirect_load, doubled by each that was sent; ip_rt_redirect_number; ip_rt_redirect_silence. Milliseconds. */
const REDIRECT_LOAD = 20
const REDIRECT_NUMBER = 9
const REDIRECT_SILENCE = REDIRECT_LOAD << (REDIRECT_NUMBER + 1)
/** ip_rt_error_cost. Any other error empties the ration, since the lab's own rate limit is 0. */
const ERROR_COST = 1000
/** A few jiffies. */
const MARGIN = 12

const ETHERNET_HEADER = 14
const PROTO_ICMP = 1
const UNREACHABLE = 3
/** Of net, host, and by a rule: what ip_error says. */
const ROUTE_CODES: readonly number[] = [0, 1, 13]
const REDIRECT = 5
const RATIONED: readonly number[] = [UNREACHABLE, REDIRECT, 11, 12]

interface Said {
  readonly peer: string
  readonly type: number
  readonly code: number
}

interface Ration {
  readonly last: number
  readonly redirects: number
}

/** One lab's. Times in milliseconds of any clock that does not go back. */
export class Rations {
  private readonly peers = new Map<string, Ration>()
  private last = -Infinity

  /** Milliseconds to wait before a question that brings these frames. */
  before(frames: readonly PredictedFrame[], now: number): number {
    return Math.max(0, ...saidIn(frames).map((said) => this.due(said, now) - now))
  }

  /** The question was asked. */
  after(frames: readonly PredictedFrame[], now: number): void {
    this.last = now
    for (const { peer, type } of saidIn(frames)) {
      const { redirects } = this.ration(peer, now)
      this.peers.set(peer, { last: now, redirects: redirects + (type === REDIRECT ? 1 : 0) })
    }
  }

  private ration(peer: string, now: number): Ration {
    const known = this.peers.get(peer) ?? { last: now, redirects: 0 }
    return now - known.last > REDIRECT_SILENCE ? { last: known.last, redirects: 0 } : known
  }

  private due({ peer, type, code }: Said, now: number): number {
    // whatever the sender was seen for takes from this ration, an error or none
    if (type === UNREACHABLE && ROUTE_CODES.includes(code)) return this.last + ERROR_COST + MARGIN
    const { last, redirects } = this.ration(peer, now)
    if (type !== REDIRECT || redirects === 0) return now
    return last + MARGIN + (redirects < REDIRECT_NUMBER ? REDIRECT_LOAD << redirects : REDIRECT_SILENCE)
  }
}

/** ICMP errors, each once, by who says them and to whom. */
function saidIn(frames: readonly PredictedFrame[]): readonly Said[] {
  const found = new Map<string, Said>()
  for (const { bytes, link, packet } of frames) {
    const at = link === 'ethernet' ? ETHERNET_HEADER : 0
    const isIp = link === 'none' || (bytes[12] === 0x08 && bytes[13] === 0x00)
    const icmp = at + (bytes[at] & 15) * 4
    const type = bytes[icmp]
    if (!isIp || bytes[at + 9] !== PROTO_ICMP || !RATIONED.includes(type)) continue
    const peer = `${read32(bytes, at + 12)} ${read32(bytes, at + 16)}`
    found.set(`${peer} ${packet}`, { peer, type, code: bytes[icmp + 1] })
  }
  return [...found.values()]
}
