import { describe, expect, it } from 'vitest'
import { parseIptablesSave } from '../../../src/dataplane/iptables-save.js'
import {
  HOOK_FORWARD,
  HOOK_INPUT,
  HOOK_OUTPUT,
  HOOK_POSTROUTING,
  HOOK_PREROUTING,
  NF_ACCEPT,
  NF_DROP,
  NF_INCOMPLETE,
  REJECT_PORT_UNREACHABLE,
  TABLE_FILTER,
} from '../../../src/net/netfilter/netfilter.js'
import { ROW_A, ROW_ACTION, ROW_KIND, STEP_KINDS, STEP_STRIDE } from '../../../src/net/trace.js'
import { answer, forward, host, hostOf, packet, table, type Host } from './support.js'

/** Packets that came to the n-th rule of FORWARD in filter. */
function count(at: Host, rule: number): number {
  return at.netfilter.counters(at.netfilter.chainIndex(TABLE_FILTER, 'FORWARD'), rule).packets
}

describe('what is not modelled', () => {
  it.each<[string, string, string]>([
    ['a match', '-A FORWARD -p udp -m quota --quota 100 -j DROP', 'quota'],
    ['a target', '-A FORWARD -p udp -j TEE --gateway 10.0.0.1', 'TEE'],
    ['a set that is missing', '-A FORWARD -p udp -m set --match-set nowhere src -j DROP', 'nowhere'],
    ['a set type', '-A FORWARD -p udp -m set --match-set odd src,src -j DROP', 'hash:net,net'],
  ])('%s ends a packet that comes to it, named, and no other packet', (_, rule, word) => {
    const at = host(table('filter', rule), { ipsets: 'create odd hash:net,net family inet\n' })
    expect(forward(at, packet())).toBe(NF_INCOMPLETE)
    expect(at.world.words[at.netfilter.incompleteWord]).toContain(word)
    expect(forward(at, packet({ proto: 'tcp' }))).toBe(NF_ACCEPT)
  })

  it('is met only where the matches before it hold', () => {
    const at = host(table('filter', '-A FORWARD -m mark --mark 0x1 -m quota --quota 1 -j DROP'))
    expect([forward(at, packet()), forward(at, packet({ mark: 1 }))]).toEqual([NF_ACCEPT, NF_INCOMPLETE])
  })
})

describe('what iptables refuses', () => {
  const chains = (...rules: readonly string[]): Host => hostOf(parseIptablesSave(table('filter', ...rules), { file: 'rules', line: 1 }).state)

  it('names a loop of jumps, and a packet that comes to it is incomplete', () => {
    const at = chains('-A FORWARD -j U-A', '-A U-A -j U-B', '-A U-B -p udp -g U-A')
    expect(at.netfilter.faults).toEqual([{ table: 'filter', chain: 'U-B', rule: 0, what: 'the jump to U-A closes a loop' }])
    expect([forward(at, packet()), forward(at, packet({ proto: 'tcp' }))]).toEqual([NF_INCOMPLETE, NF_ACCEPT])
  })

  it('names a jump to a built-in chain', () => {
    const rules = [{ matches: [], target: { kind: 'jump', chain: 'INPUT' } as const }]
    const at = hostOf({
      tables: [
        {
          name: 'filter',
          chains: [
            { name: 'INPUT', policy: 'ACCEPT', rules: [] },
            { name: 'FORWARD', policy: 'ACCEPT', rules },
          ],
        },
      ],
    })
    expect(at.netfilter.faults.map((fault) => fault.what)).toEqual(['there is no chain INPUT to jump to'])
  })

  it('takes chains nested five thousand deep', () => {
    const rules = Array.from({ length: 5000 }, (_, i) => `-A U-${i} -j U-${i + 1}`)
    const at = chains('-A FORWARD -j U-0', ...rules, '-A U-5000 -p udp -j DROP')
    expect([at.netfilter.faults, forward(at, packet()), forward(at, packet({ proto: 'tcp' }))]).toEqual([[], NF_DROP, NF_ACCEPT])
  })
})

describe('hooks', () => {
  it('are registered by tables, and by conntrack at all but FORWARD', () => {
    const hooks = (at: Host): boolean[] => [HOOK_PREROUTING, HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT, HOOK_POSTROUTING].map((hook) => at.netfilter.hasHook(hook))
    expect(hooks(host(table('filter')))).toEqual([false, true, true, true, false])
    expect(hooks(host(table('raw', '-A PREROUTING -m conntrack --ctstate NEW')))).toEqual([true, true, false, true, true])
  })
})

describe('matches with a memory', () => {
  it('limit: a burst, then one a minute', () => {
    const at = host(table('filter', '-A FORWARD -m limit --limit 1/min --limit-burst 2 -j ACCEPT', '-A FORWARD -j DROP'))
    const at60 = (seconds: number): number => {
      at.world.sim.nowNs = seconds * 1e9
      return forward(at, packet())
    }
    expect([0, 0, 0, 30, 59, 60, 61, 120, 1000, 1000, 1000].map(at60)).toEqual([1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0])
  })

  it('statistic: half of the packets, by the seed', () => {
    const at = host(
      table('filter', '-A FORWARD -m statistic --mode random --probability 0.5 -j ACCEPT', '-A FORWARD -m statistic --mode random --probability 1.0'),
    )
    for (let i = 0; i < 2000; i++) forward(at, packet())
    expect(Math.abs(count(at, 0) - 1000)).toBeLessThan(120)
    expect(count(at, 1)).toBe(2000 - count(at, 0))
  })

  it('recent: forgets after its seconds, and the 101st address pushes out the first', () => {
    const at = host(
      table(
        'filter',
        '-A FORWARD -p tcp -m recent --set --name L --mask 255.255.255.255 --rsource',
        '-A FORWARD -p udp -m recent --rcheck --seconds 10 --name L --mask 255.255.255.255 --rsource',
      ),
    )
    forward(at, packet({ proto: 'tcp' }))
    forward(at, packet())
    at.world.sim.nowNs = 11e9
    forward(at, packet())
    expect(count(at, 1)).toBe(1)
    for (let i = 0; i < 100; i++) forward(at, packet({ proto: 'tcp', src: `10.7.0.${i}` }))
    forward(at, packet())
    forward(at, packet({ src: '10.7.0.0' }))
    expect(count(at, 1)).toBe(2)
  })

  it('ipset: an element with a timeout goes with the virtual clock, one that SET adds has the set’s', () => {
    const rules = table('filter', '-A FORWARD -m set --match-set s src', '-A FORWARD -p tcp -j SET --add-set s src')
    const at = host(rules, { ipsets: 'create s hash:ip family inet timeout 5\nadd s 10.1.0.2 timeout 3\n' })
    const seen = (seconds: number): number => {
      at.world.sim.nowNs = seconds * 1e9
      forward(at, packet())
      return count(at, 0)
    }
    expect([seen(2), seen(3)]).toEqual([1, 1])
    forward(at, packet({ proto: 'tcp' }))
    expect([seen(7), seen(8)]).toEqual([2, 2])
  })
})

describe('physdev', () => {
  it('knows the ports of a bridge', () => {
    const at = host(
      table(
        'filter',
        '-A FORWARD -m physdev --physdev-in ra',
        '-A FORWARD -m physdev --physdev-out r+',
        '-A FORWARD -m physdev --physdev-is-bridged',
        '-A FORWARD -m physdev ! --physdev-in ra',
      ),
    )
    const [ra, rb] = [at.device('ra'), at.device('rb')]
    at.netfilter.run(HOOK_FORWARD, Object.assign(packet(), { physIn: ra.index, physOut: rb.index }), at.device('lo'), at.device('lo'))
    at.netfilter.run(HOOK_FORWARD, Object.assign(packet(), { physIn: rb.index }), at.device('lo'), at.device('lo'))
    expect([0, 1, 2, 3].map((rule) => count(at, rule))).toEqual([1, 1, 1, 1])
  })
})

describe('a packet that is rejected', () => {
  it('is dropped and says how to answer', () => {
    const at = host(table('filter', '-A FORWARD -p udp -j REJECT'))
    const passing = packet()
    expect([forward(at, passing), passing.rejectWith]).toEqual([NF_DROP, REJECT_PORT_UNREACHABLE])
  })
})

describe('the trace', () => {
  it('has a row for each table with rules, each rule that matched, what conntrack said and what was translated', () => {
    const at = host(table('nat', '-A POSTROUTING -o rb -j MASQUERADE') + table('filter', '-A FORWARD -p tcp', '-A FORWARD -p udp -j ACCEPT'))
    const { trace } = at.world
    trace.on = 1
    const rows = (): string[] => {
      const all = Array.from({ length: trace.stepCount }, (_, i) => trace.steps.subarray(i * STEP_STRIDE, (i + 1) * STEP_STRIDE))
      trace.clear()
      return all.map((row) => [STEP_KINDS[row[ROW_KIND]], row[ROW_ACTION], ...row.subarray(ROW_A, ROW_A + 6)].join(' '))
    }
    const first = packet()
    forward(at, first)
    const filter = at.netfilter.chainIndex(TABLE_FILTER, 'FORWARD')
    const [nat] = [at.netfilter.chainIndex(2, 'POSTROUTING')]
    expect(rows()).toEqual([
      'conntrack 1 1 0 1 0 0 0',
      `table 1 ${HOOK_FORWARD} ${TABLE_FILTER} ${filter} 1 2 1`,
      `rule 1 ${TABLE_FILTER} ${filter} 1 1 -1 0`,
      `table 1 ${HOOK_POSTROUTING} 2 ${nat} 0 1 1`,
      `rule 14 2 ${nat} 0 1 -1 0`,
      `nat 0 0 ${0x0a010002} ${0x0a020001} 40000 40000 0`,
    ])
    expect(at.netfilter.ruleAt(TABLE_FILTER, filter, 1)?.target).toEqual({ kind: 'ACCEPT' })
    forward(at, answer(first), 'rb', 'ra')
    expect(rows()).toEqual([
      'conntrack 4 4 0 0 1 0 0',
      `nat 0 1 ${0x0a020001} ${0x0a010002} 40000 40000 0`,
      `table 1 ${HOOK_FORWARD} ${TABLE_FILTER} ${filter} 1 2 1`,
      `rule 1 ${TABLE_FILTER} ${filter} 1 1 -1 0`,
    ])
  })
})
