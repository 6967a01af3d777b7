/**
 * TCP connections of routing daemons over the underlay, in virtual time: handshake with Linux's retries of the SYN (1 s, then doubled), bytes in order,
 * retransmission while the way is cut (200 ms doubled up to 120 s), FIN. Whether a segment gets through is asked of the network each time,
 * so that a firewall rule, a dead host or a cut cable between two nodes acts on their session. Source: RFC 9293, net/ipv4/tcp_timer.c.
 */
import type { Ip } from '../../base/ip.js'
import type { Segment } from './on-the-wire.js'
import { FeedRun } from './shared-feed.js'
import type { Timers } from '../../sim/timers.js'

export type PathVerdict =
  /**
   * One way; `hops` is by how much TTL shrinks. `chancy`: the next segment of the same moment may fare otherwise.
   * `loss`: how many of 1 get lost all the same; whoever asks draws.
   */
  | { readonly kind: 'open'; readonly delayNs: number; readonly hops?: number; readonly chancy?: boolean; readonly loss?: number }
  /** Something on the way answers that it will not: REJECT, no route, no such host. */
  | { readonly kind: 'refused'; readonly delayNs: number }
  | { readonly kind: 'lost' }

/** May a TCP segment go from one address to a port of another? Asked both ways of the connection's ports. */
export type PathFinder = (from: Ip, to: Ip, sourcePort: number, port: number) => PathVerdict

export interface TcpHandlers {
  connected?(socket: TcpSocket): void
  received(segment: Segment): void
  /** The peer closed, refused or reset. */
  closed(reason: 'closed' | 'refused'): void
}

export interface TcpOptions {
  readonly local: Ip
  readonly remote: Ip
  readonly port: number
  /** TCP MD5 (RFC 2385): a segment signed otherwise is dropped without a word. */
  readonly password?: string
  /** Hops allowed by TTL security (RFC 5082): sent with TTL 255, taken with 256 less the hops at least. */
  readonly ttlSecurity?: number
}

interface Listener {
  /** undefined: every address of the host. */
  readonly address?: Ip
  readonly port: number
  has(address: Ip): boolean
  /** Expected of that peer. */
  passwordOf(remote: Ip): string | undefined
  ttlSecurityOf(remote: Ip): number | undefined
  /** @returns undefined to close it at once */
  accept(socket: TcpSocket): TcpHandlers | undefined
}

const MULTIHOP_TTL = 64
const SYN_RETRY_NS = 1e9
const RETRANSMIT_MIN_NS = 200e6
const RETRANSMIT_MAX_NS = 120e9
/** net.ipv4.tcp_retries2; of a socket that its process has let go tcp_timer.c tcp_orphan_retries. */
const RETRANSMITS_MAX = 15
const ORPHAN_RETRANSMITS_MAX = 8
const FIRST_EPHEMERAL_PORT = 32768

/** A run stands for its segments, one after the other. */
type Sent = Segment | FeedRun | 'fin'

interface Flight {
  readonly sentNs: number
  readonly arrivalNs: number
  readonly segments: Sent[]
}

export class TcpSocket {
  peer: TcpSocket | undefined
  handlers: TcpHandlers | undefined
  open = true
  private readonly unsent: Sent[] = []
  private retransmitNs = RETRANSMIT_MIN_NS
  private retransmits = 0
  /** Its host fell silent: what comes for it once that is back is answered with RST. */
  private isGone = false
  private waiting = false
  private lastArrivalNs = 0
  private underway: Flight | undefined

  readonly options: TcpOptions
  readonly localPort: number
  readonly remotePort: number
  private readonly network: TcpNetwork

  constructor(network: TcpNetwork, options: TcpOptions, ports: { readonly local: number; readonly remote: number }) {
    this.network = network
    this.options = options
    this.localPort = ports.local
    this.remotePort = ports.remote
  }

  send(segment: Segment | FeedRun): void {
    this.unsent.push(segment)
    this.push()
  }

  /** Says FIN; what was sent before still arrives. */
  close(): void {
    if (!this.open) return
    this.open = false
    this.handlers = undefined
    this.unsent.push('fin')
    this.push()
  }

  private push(): void {
    if (this.waiting) return
    const { timers } = this.network
    while (this.unsent.length > 0 && this.peer !== undefined) {
      const verdict = this.network.between(this)
      if (verdict.kind !== 'open') {
        if (++this.retransmits > (this.open ? RETRANSMITS_MAX : ORPHAN_RETRANSMITS_MAX)) return this.reset()
        this.waiting = true
        timers.after(this.retransmitNs, () => {
          this.waiting = false
          this.push()
        })
        this.retransmitNs = Math.min(2 * this.retransmitNs, RETRANSMIT_MAX_NS)
        return
      }
      this.retransmitNs = RETRANSMIT_MIN_NS
      this.retransmits = 0
      const segment = this.shift(verdict.chancy === true)
      this.lastArrivalNs = Math.max(timers.nowNs + verdict.delayNs, this.lastArrivalNs)
      this.deliver(segment, verdict.delayNs)
    }
  }

  /** @param one a run goes segment by segment, as the way is asked about for each */
  private shift(one: boolean): Sent {
    const first = this.unsent.shift() as Sent
    if (!one || !(first instanceof FeedRun)) return first
    const { feed, from, to } = first
    if (from + 1 < to) this.unsent.unshift(new FeedRun(feed, from + 1, to))
    return feed.segments[from]
  }

  /** Segments that follow one another without a break and arrive together are one event. */
  private deliver(segment: Sent, backNs: number): void {
    const { timers } = this.network
    const { underway } = this
    if (underway?.sentNs === timers.nowNs && underway.arrivalNs === this.lastArrivalNs && underway.arrivalNs > timers.nowNs) {
      underway.segments.push(segment)
      return
    }
    const flight: Flight = { sentNs: timers.nowNs, arrivalNs: this.lastArrivalNs, segments: [segment] }
    this.underway = flight
    timers.after(this.lastArrivalNs - timers.nowNs, () => {
      const { peer } = this
      if (this.underway === flight) this.underway = undefined
      if (peer === undefined) return
      if (peer.isGone) timers.after(backNs, () => this.reset())
      else for (const one of flight.segments) peer.take(one)
    })
  }

  private take(segment: Sent): void {
    if (segment === 'fin') this.finished()
    else if (!(segment instanceof FeedRun)) this.handlers?.received(segment)
    else for (let at = segment.from; at < segment.to; at++) this.handlers?.received(segment.feed.segments[at])
  }

  private finished(): void {
    if (!this.open) return
    const { handlers } = this
    this.close()
    handlers?.closed('closed')
  }

  /** The peer's kernel knows of no such connection, or never answered. */
  private reset(): void {
    this.unsent.length = 0
    if (!this.open) return
    const { handlers } = this
    this.open = false
    this.handlers = undefined
    handlers?.closed('closed')
  }

  /** The process or the host is gone: nothing more is sent or taken; with `tell`, its kernel closes the connection. */
  abandon({ tell }: { readonly tell: boolean }): void {
    if (tell) {
      this.close()
      return
    }
    this.open = false
    this.isGone = true
    this.unsent.length = 0
    this.handlers = undefined
  }
}

export class TcpNetwork {
  private readonly listeners = new Set<Listener>()
  /** Who was found at an address the last time. */
  private readonly known = new Map<Ip, Listener>()
  private nextPort = FIRST_EPHEMERAL_PORT
  /** Segments sent, for reports. */
  handshakes = 0

  readonly timers: Timers
  private readonly path: PathFinder

  constructor(timers: Timers, path: PathFinder) {
    this.timers = timers
    this.path = path
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** May a segment go from this socket to its peer? */
  between(socket: TcpSocket): PathVerdict {
    return this.guarded(
      this.path(socket.options.local, socket.options.remote, socket.localPort, socket.remotePort),
      socket.options,
      socket.peer?.options.ttlSecurity,
    )
  }

  private guarded(verdict: PathVerdict, sender: TcpOptions, receiver: number | undefined): PathVerdict {
    if (verdict.kind !== 'open' || receiver === undefined) return verdict
    const ttl = (sender.ttlSecurity === undefined ? MULTIHOP_TTL : 255) - (verdict.hops ?? 0)
    return ttl >= 256 - receiver ? verdict : { kind: 'lost' }
  }

  /** @returns the socket, not connected yet; `handlers.connected` tells, or `handlers.closed` */
  connect(options: TcpOptions, handlers: TcpHandlers): TcpSocket {
    const port = this.nextPort
    this.nextPort = port === 60999 ? FIRST_EPHEMERAL_PORT : port + 1
    const socket = new TcpSocket(this, options, { local: port, remote: options.port })
    socket.handlers = handlers
    this.synchronise(socket, SYN_RETRY_NS)
    return socket
  }

  private synchronise(socket: TcpSocket, retryNs: number): void {
    if (!socket.open) return
    const { local, remote, port } = socket.options
    const again = (): void => void this.timers.after(retryNs, () => this.synchronise(socket, 2 * retryNs))
    const there = this.path(local, remote, socket.localPort, port)
    if (there.kind === 'lost') return again()
    if (there.kind === 'refused') return this.refuse(socket, 2 * there.delayNs)
    const listener = this.listenerAt(remote, port)
    if (listener === undefined) return this.refuse(socket, 2 * there.delayNs)
    const back = this.path(remote, local, port, socket.localPort)
    const guarded = this.guarded(there, socket.options, listener.ttlSecurityOf(local))
    if (back.kind !== 'open' || guarded.kind !== 'open' || listener.passwordOf(local) !== socket.options.password) return again()
    this.handshakes++
    this.timers.after(there.delayNs + back.delayNs, () => this.establish(socket, there.delayNs))
  }

  private refuse(socket: TcpSocket, delayNs: number): void {
    this.timers.after(delayNs, () => {
      if (!socket.open) return
      const { handlers } = socket
      socket.open = false
      socket.handlers = undefined
      handlers?.closed('refused')
    })
  }

  private establish(socket: TcpSocket, delayNs: number): void {
    if (!socket.open) return
    const { local, remote, port } = socket.options
    const listener = this.listenerAt(remote, port)
    if (listener === undefined) return this.refuse(socket, 0)
    const options: TcpOptions = { local: remote, remote: local, port: socket.localPort, ttlSecurity: listener.ttlSecurityOf(local) }
    const server = new TcpSocket(this, options, { local: port, remote: socket.localPort })
    socket.peer = server
    server.peer = socket
    // the third segment of the handshake tells the server
    this.timers.after(delayNs, () => {
      server.handlers = listener.accept(server)
      if (server.handlers === undefined) server.close()
    })
    socket.handlers?.connected?.(socket)
  }

  private listenerAt(address: Ip, port: number): Listener | undefined {
    const found = this.known.get(address)
    const listens = (listener: Listener): boolean => listener.port === port && (listener.address ?? address) === address && listener.has(address)
    if (found !== undefined && this.listeners.has(found) && listens(found)) return found
    for (const listener of this.listeners) {
      if (!listens(listener)) continue
      this.known.set(address, listener)
      return listener
    }
    return undefined
  }
}
