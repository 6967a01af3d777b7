/** Datagrams that a host forwards, whose connections conntrack knows: what a row of them costs with and without FORWARD. */
import { HOOK_FORWARD, HOOK_POSTROUTING, HOOK_PREROUTING } from '../src/net/netfilter/netfilter.js'
import { packet, type Host } from '../test/net/netfilter/support.js'
import type { Case } from './suite.js'

export interface Tracked {
  readonly operations: number
  /** They come in turns from so many ports. */
  readonly connections: number
  /** 0: PREROUTING and POSTROUTING alone. */
  readonly forward: 0 | 1
}

/** Each comes as it came first: not translated, not yet looked up. */
export function tracked(name: string, at: Host, { operations, connections, forward }: Tracked): Case {
  const [from, to, passing] = [at.device('ra'), at.device('rb'), packet()]
  const { src, sport } = passing
  return {
    name,
    operations,
    run: () => {
      let verdicts = 0
      for (let i = 0; i < operations; i++) {
        passing.src = src
        passing.sport = sport + (i % connections)
        passing.conntrack = -1
        verdicts += at.netfilter.run(HOOK_PREROUTING, passing, from, null)
        if (forward === 1) verdicts += at.netfilter.run(HOOK_FORWARD, passing, from, to)
        verdicts += at.netfilter.run(HOOK_POSTROUTING, passing, null, to)
      }
      return verdicts
    },
  }
}
