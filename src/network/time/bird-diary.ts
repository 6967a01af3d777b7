/** What BIRDs write into the diary: sessions, messages, routes of the kernel, each with its cause. */
import { formatCidr, type Cidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import type { Bird } from '../../calico/bgp/bird.js'
import type { BgpMessage, PathPrefix } from '../../calico/bgp/message.js'
import { notificationText } from '../../calico/bgp/notification.js'
import type { BgpSession } from '../../calico/bgp/session.js'
import type { SessionEvent } from '../../calico/bgp/session-host.js'
import type { RouteSpec } from '../../dataplane/dataplane.js'
import { printRoute } from '../../dataplane/ip-route.js'
import type { Diary, NewEntry } from './diary.js'

const SHOWN = 3

type Kind = 'agent' | 'bgp-session' | 'bgp-message' | 'route'

export class BirdDiary {
  private readonly diary: Diary
  /** The speaker that has an address. */
  private readonly nameOf: (session: BgpSession) => string | undefined

  constructor(diary: Diary, nameOf: (session: BgpSession) => string | undefined) {
    this.diary = diary
    this.nameOf = nameOf
  }

  private add(kind: Kind, node: string, what: string, more: Partial<NewEntry>): number {
    return this.diary.add({ agent: 'bird', kind, node, what, ...more })
  }

  agent(node: string, what: string, cause: number | undefined): number {
    return this.add('agent', node, what, causeOf(cause))
  }

  session(bird: Bird, session: BgpSession, event: SessionEvent, cause: number | undefined): number {
    return this.add('bgp-session', bird.config.name, this.sessionText(session, event), { object: session.config.name, ...causeOf(cause) })
  }

  private sessionText(session: BgpSession, event: SessionEvent): string {
    const peer = this.peerName(session)
    const why = session.lastError === '' ? '' : `: ${session.lastError}`
    switch (event) {
      case 'up':
        return `session with ${peer} is up`
      case 'down':
        return `session with ${peer} is down${why}`
      case 'peer restarts':
        return `session with ${peer} is down${why}; its routes are kept for ${session.restartSeconds} s`
      case 'restart over':
        return `${peer} has not come back within ${session.restartSeconds} s: its routes go`
    }
  }

  private peerName(session: BgpSession): string {
    return this.nameOf(session) ?? formatIp(session.config.neighbour)
  }

  recovered(bird: Bird, missing: readonly BgpSession[], cause: number | undefined): number {
    const names = few(missing, (session) => this.peerName(session))
    const seconds = bird.birdTimers.recoveryWait
    return this.agent(bird.config.name, `${names} did not come within ${seconds} s: BIRD writes and announces its routes all the same`, cause)
  }

  message(bird: Bird, session: BgpSession, message: BgpMessage, sent: { readonly bytes: number; readonly cause: number | undefined }): void {
    // a habit, and no news to anybody
    if (message.type === 'keepalive') return
    if (!this.diary.keepsWatches) return this.diary.tally(sent.bytes, sent.cause)
    const what = `${messageText(message)} to ${this.peerName(session)}`
    this.add('bgp-message', bird.config.name, what, { object: session.config.name, bytes: sent.bytes, ...causeOf(sent.cause) })
  }

  /** What changed in a kernel at one moment. @param prefixes as the bird's commons have them: one object for each */
  routes(bird: Bird, prefixes: ReadonlySet<Cidr>, cause: number | undefined): number {
    const written: RouteSpec[] = []
    const gone: Cidr[] = []
    for (const prefix of prefixes) {
      const route = bird.kernel.routeTo(prefix)
      if (route === undefined) gone.push(prefix)
      else written.push(route)
    }
    const parts = [
      ...(written.length > 0 ? [few(written, (route) => printRoute(route, { showTable: false }).trim().replaceAll(/\s+/g, ' '))] : []),
      ...(gone.length > 0 ? [`${few(gone, formatCidr)} ${gone.length === 1 ? 'is' : 'are'} gone`] : []),
    ]
    const object = prefixes.size === 1 ? { object: [...prefixes].map(formatCidr).join() } : {}
    return this.add('route', bird.config.name, parts.join('; '), { ...object, ...causeOf(cause) })
  }
}

function causeOf(cause: number | undefined): { readonly cause?: number } {
  return cause === undefined ? {} : { cause }
}

function few<T>(all: readonly T[], text: (one: T) => string): string {
  const rest = all.length - SHOWN
  return `${all.slice(0, SHOWN).map(text).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}

function messageText(message: BgpMessage): string {
  const list = (paths: readonly PathPrefix[]): string => few(paths, ({ prefix }) => formatCidr(prefix))
  switch (message.type) {
    case 'update':
      if (message.reachable.length > 0) return `UPDATE ${list(message.reachable)}`
      return message.withdrawn.length > 0 ? `UPDATE withdraws ${list(message.withdrawn)}` : 'End-of-RIB'
    case 'notification':
      return `NOTIFICATION ${notificationText(message.code, message.subcode)}`
    case 'refresh':
      return `ROUTE-REFRESH ${message.subtype}`
    case 'open':
      return 'OPEN'
    case 'keepalive':
      return 'KEEPALIVE'
  }
}
