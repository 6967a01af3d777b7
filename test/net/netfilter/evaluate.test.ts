import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Match, Rule, Table } from '../../../src/dataplane/iptables.js'
import { HOOK_FORWARD, NF_ACCEPT, NF_DROP, TABLE_FILTER } from '../../../src/net/netfilter/netfilter.js'
import { ROW_A, ROW_KIND, ROW_MARK, STEP_RULE, STEP_STRIDE, STEP_TABLE } from '../../../src/net/trace.js'
import { Packet } from '../../../src/wire/packet.js'
import { evaluateNaively, holds } from './naive.js'
import { filterTable, packets } from './rulesets.js'
import { hostOf, type Host } from './support.js'

const VERDICTS = { ACCEPT: NF_ACCEPT, DROP: NF_DROP } as const
const DEVICES = { in: 'ra', out: 'rb' }

function run(at: Host, packet: Packet): { readonly verdict: number; readonly mark: number } {
  const passing = new Packet().copyFrom(packet)
  const verdict = at.netfilter.run(HOOK_FORWARD, passing, at.device('ra'), at.device('rb'))
  return { verdict, mark: passing.mark }
}

function counters(at: Host, table: Table): Record<string, readonly number[]> {
  const entries = table.chains.flatMap((chain) => {
    const index = at.netfilter.chainIndex(TABLE_FILTER, chain.name)
    return [-1, ...chain.rules.keys()].map((rule) => {
      const { packets: count, bytes } = at.netfilter.counters(index, rule)
      return [`${chain.name} ${rule}`, [count, bytes]] as const
    })
  })
  return Object.fromEntries(entries.filter(([, [count]]) => count > 0))
}

describe('the interpreter', () => {
  it('says what a naive reading of the rules says: verdict, mark, every counter', () => {
    fc.assert(
      fc.property(filterTable(8), fc.array(packets, { minLength: 1, maxLength: 20 }), (table, several) => {
        const at = hostOf({ tables: [table] })
        at.netfilter.classified = 0
        const expected: Record<string, readonly number[]> = {}
        for (const packet of several) {
          const naive = evaluateNaively(table, 'FORWARD', packet, DEVICES)
          expect(run(at, packet)).toEqual({ verdict: VERDICTS[naive.verdict], mark: naive.mark })
          for (const [key, count] of naive.hits) expected[key] = [(expected[key]?.[0] ?? 0) + count, (expected[key]?.[1] ?? 0) + count * packet.ipLength]
        }
        expect(counters(at, table)).toEqual(expected)
      }),
      { numRuns: 400, endOnFailure: true },
    )
  })
})

describe('the classifier', () => {
  it('says what the interpreter says, of chains long enough to be classified', () => {
    fc.assert(
      fc.property(filterTable(90), fc.array(packets, { minLength: 1, maxLength: 40 }), (table, several) => {
        const interpreted = hostOf({ tables: [table] })
        const classified = hostOf({ tables: [table] })
        interpreted.netfilter.classified = 0
        for (const packet of several) expect(run(classified, packet)).toEqual(run(interpreted, packet))
        expect(counters(classified, table)).toEqual(counters(interpreted, table))
      }),
      { numRuns: 150, endOnFailure: true },
    )
  })

  it('takes chains of 32 rules and more, in stretches of at most 1,024', () => {
    const drop = { matches: [], target: { kind: 'DROP' } } as const
    const runs = (count: number): number => {
      const rules = Array.from({ length: count }, (_, i) => ({ ...drop, matches: [{ kind: 'source' as const, net: { base: i, length: 32 } }] }))
      return hostOf({ tables: [{ name: 'filter', chains: [{ name: 'FORWARD', policy: 'ACCEPT', rules }] }] }).netfilter.runs.length
    }
    expect([31, 32, 1024, 1025, 1056].map(runs)).toEqual([0, 1, 1, 1, 2])
  })
})

describe('the traced way', () => {
  it('says what the interpreter says, and its rows add up', () => {
    fc.assert(
      fc.property(filterTable(40), fc.array(packets, { minLength: 1, maxLength: 10 }), fc.constantFrom(0, 1), (table, several, level) => {
        const plain = hostOf({ tables: [table] })
        const traced = hostOf({ tables: [table] })
        const { trace } = traced.world
        trace.on = 1
        trace.level = level
        for (const packet of several) {
          trace.clear()
          expect(run(traced, packet)).toEqual(run(plain, packet))
          const rows = Array.from({ length: trace.stepCount }, (_, i) => trace.steps.subarray(i * STEP_STRIDE, (i + 1) * STEP_STRIDE))
          const shown = table.chains[1].rules.length > 0 || table.chains[1].policy === 'DROP'
          expect(rows.filter((row) => row[ROW_KIND] === STEP_TABLE).length).toBe(shown ? 1 : 0)
          if (!shown) continue
          const rules = rows.filter((row) => row[ROW_KIND] === STEP_RULE)
          const matched = rules.filter((row) => row[ROW_A + 3] === 1)
          expect([level === 1 ? rules.length : rows[0][ROW_A + 4], matched.length]).toEqual([rows[0][ROW_A + 4], rows[0][ROW_A + 5]])
          // a rule that failed names the match that failed, and that one does fail
          for (const row of rules.filter((one) => one[ROW_A + 3] === 0)) {
            const rule = traced.netfilter.ruleAt(TABLE_FILTER, row[ROW_A + 1], row[ROW_A + 2])
            expect(rule?.matches[row[ROW_A + 4]]).toBeDefined()
            if (rule !== undefined && packet.fragmentOffset === 0) expect(told(rule, row, packet)).toEqual(naivelyFailing(rule, row, packet))
          }
        }
        expect(counters(traced, table)).toEqual(counters(plain, table))
      }),
      { numRuns: 150, endOnFailure: true },
    )
  })
})

/** Matches whose meaning hangs on the protocol: of another one they may fail or hold. */
const OF_A_PROTOCOL = ['source-port', 'destination-port', 'multiport', 'module', 'tcp-flags', 'icmp-type']

function comparable({ matches }: Rule, packet: Packet): (match: Match) => boolean {
  const otherProtocol = matches.some((match) => match.kind === 'protocol' && match.invert !== true && match.proto !== packet.proto)
  return ({ kind }) => !otherProtocol || !OF_A_PROTOCOL.includes(kind)
}

/** The matches that a row says have failed. */
function told(rule: Rule, row: Int32Array, packet: Packet): readonly Match[] {
  return rule.matches.filter((_, place) => ((row[ROW_A + 5] >>> place) & 1) !== 0).filter(comparable(rule, packet))
}

function naivelyFailing(rule: Rule, row: Int32Array, packet: Packet): readonly Match[] {
  return rule.matches.filter((match) => !holds(match, rule, packet, row[ROW_MARK], DEVICES)).filter(comparable(rule, packet))
}
