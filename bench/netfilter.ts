/**
 * One packet through FORWARD with 0, 20, 200 and 2,000 rules that do not match it, in the mix of reference measurements (a source,
 * a TCP port, a UDP port, a source with ctstate), interpreted and classified; and a whole forwarded packet of an established,
 * translated connection.
 */
import { HOOK_FORWARD } from '../src/net/netfilter/netfilter.js'
import { host, packet, table, type Host } from '../test/net/netfilter/support.js'
import type { Case, Suite } from './suite.js'
import { tracked } from './tracked.js'

const OPERATIONS = 100

function mixedRule(i: number): string {
  const address = `172.${16 + ((i >> 12) & 15)}.${(i >> 4) & 255}.${(i * 7) & 255}`
  switch (i & 3) {
    case 0:
      return `-A FORWARD -s ${address}/32 -j DROP`
    case 1:
      return `-A FORWARD -p tcp -m tcp --dport ${1000 + i} -j DROP`
    case 2:
      return `-A FORWARD -p udp -m udp --dport ${20000 + i} -j DROP`
    default:
      return `-A FORWARD -s ${address}/32 -m comment --comment "rule ${i}" -m conntrack --ctstate NEW -j DROP`
  }
}

function rules(count: number): string {
  return table('filter', ...Array.from({ length: count }, (_, i) => mixedRule(i)))
}

function forwardOnly(name: string, at: Host, classified: number): Case {
  const passing = packet()
  const [from, to] = [at.device('ra'), at.device('rb')]
  return {
    name,
    operations: OPERATIONS,
    run: () => {
      at.netfilter.classified = classified
      let verdicts = 0
      for (let i = 0; i < OPERATIONS; i++) verdicts += at.netfilter.run(HOOK_FORWARD, passing, from, to)
      return verdicts
    },
  }
}

/** A datagram of a connection that conntrack knows and masquerades, through all three hooks. */
function wholeWay(name: string, at: Host): Case {
  return tracked(name, at, { operations: OPERATIONS, connections: 1, forward: 1 })
}

const MASQUERADE = table('nat', '-A POSTROUTING -s 10.1.0.0/24 -j MASQUERADE')

export const suites: readonly Suite[] = [
  ...[0, 20, 200, 2000].map((count): Suite => ({
    name: `FORWARD with ${count} rules that do not match`,
    base: 'interpreted',
    cases: [forwardOnly('interpreted', host(rules(count)), 0), forwardOnly('classified', host(rules(count)), 1)],
  })),
  {
    name: 'a forwarded packet of a masqueraded connection',
    base: 'no rules in FORWARD',
    cases: [
      wholeWay('no rules in FORWARD', host(MASQUERADE)),
      ...[20, 200, 2000].map((count) => wholeWay(`${count} rules in FORWARD`, host(MASQUERADE + rules(count)))),
    ],
  },
]
