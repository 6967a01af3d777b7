/** How far a session is with telling its peer all of the table, at its start and when filters change (proto/bgp/packets.c bgp_create_update, RFC 7313). */
import { END_OF_RIB, type BgpMessage } from './message.js'

export class Feed {
  private state: 'none' | 'loading' | 'loaded' | 'refreshing' | 'refreshed' = 'none'

  reset(): void {
    this.state = 'none'
  }

  beginFirst(): void {
    this.state = 'loading'
  }

  /** @returns the peer is to be told with BoRR */
  beginAgain(): boolean {
    if (this.state === 'loading' || this.state === 'loaded') return false
    this.state = 'refreshing'
    return true
  }

  /** @returns something is to be said once all is sent */
  end(): boolean {
    if (this.state === 'loading') this.state = 'loaded'
    else if (this.state === 'refreshing') this.state = 'refreshed'
    else return false
    return true
  }

  /** All of it is sent. @returns what says so; undefined: there was no feed, or it goes on */
  close(): BgpMessage | undefined {
    const { state } = this
    if (state !== 'loaded' && state !== 'refreshed') return undefined
    this.state = 'none'
    return state === 'loaded' ? END_OF_RIB : { type: 'refresh', subtype: 'end' }
  }
}
