/** Vectors 66 to 88 of the reference page: upstream's dispatch_test.go and policy_test.go. */
import { describe, expect, it } from 'vitest'
import type { FelixConfig } from '../../../src/calico/felix/config.js'
import { endpointMarkChains, hostDispatchChains, workloadDispatchChains } from '../../../src/calico/felix/dispatch.js'
import { EndpointMarks } from '../../../src/calico/felix/marks.js'
import type { FelixPolicyRule, FelixRuleSide } from '../../../src/calico/felix/model.js'
import { renderRule } from '../../../src/calico/felix/policy-chains.js'
import { splitPorts } from '../../../src/calico/felix/port-split.js'
import { act, type Family } from '../../../src/calico/felix/rule.js'
import { ANY_SIDE, chainNamed, felixConfig, textOf } from './kit.js'

const BASE = felixConfig()
/** Marks as upstream's test has them. */
const CONFIG: FelixConfig = { ...BASE, marks: { ...BASE.marks, accept: 0x80, pass: 0x100, scratch0: 0x200, scratch1: 0x400, drop: 0x800 } }
const OWNER = { kind: 'policy', id: 'gnp/x', direction: 'ingress', untracked: false, logPrefix: 'calico-packet' } as const

type Draft = Partial<Omit<FelixPolicyRule, 'source' | 'destination'>> & { source?: Partial<FelixRuleSide>; destination?: Partial<FelixRuleSide> }

function render(draft: Draft, { family = 4, config = CONFIG }: { family?: Family; config?: FelixConfig } = {}): string[] {
  const rule: FelixPolicyRule = {
    action: 'allow',
    annotations: {},
    ...draft,
    source: { ...ANY_SIDE, ...draft.source },
    destination: { ...ANY_SIDE, ...draft.destination },
  }
  return textOf(renderRule(rule, config, { family, owner: OWNER, index: 0 }))
}

const SET_ACCEPT = '--jump MARK --set-mark 0x80/0x80'
const RETURN = '-m mark --mark 0x80/0x80 --jump RETURN'
const simple = (match: string): string[] => [`${match} ${SET_ACCEPT}`, RETURN]

describe('one rule, one match', () => {
  it.each<[string, Draft, Family, string]>([
    ['protocol', { protocol: 'tcp' }, 4, '-p tcp'],
    ['protocol number', { protocol: 8 }, 4, '-p 8'],
    ['source net', { source: { nets: ['10.0.0.0/16'] } }, 4, '--source 10.0.0.0/16'],
    ['source set', { source: { sets: ['ipsetid1'] } }, 4, '-m set --match-set cali40ipsetid1 src'],
    ['source ports', { source: { ports: [[10, 12], [20, 30], [8080, 8080]] } }, 4, '-m multiport --source-ports 10:12,20:30,8080'], // prettier-ignore
    ['ICMP type', { icmp: { type: 10 } }, 4, '-m icmp --icmp-type 10'],
    ['ICMP type and code', { icmp: { type: 10, code: 12 } }, 4, '-m icmp --icmp-type 10/12'],
    ['ICMPv6 type', { icmp: { type: 10 } }, 6, '-m icmp6 --icmpv6-type 10'],
    ['not ICMP type', { notIcmp: { type: 10, code: 12 } }, 4, '-m icmp ! --icmp-type 10/12'],
    ['not protocol', { notProtocol: 'tcp' }, 4, '! -p tcp'],
    ['not source net', { source: { notNets: ['10.0.0.0/16'] } }, 4, '! --source 10.0.0.0/16'],
    ['not source set', { source: { notSets: ['ipsetid1'] } }, 4, '-m set ! --match-set cali40ipsetid1 src'],
    ['named port', { protocol: 'tcp', source: { namedPorts: ['ipset-1'] } }, 4, '-p tcp -m set --match-set cali40ipset-1 src,src'],
    ['service', { protocol: 'tcp', destination: { ipPortSets: ['svc'] } }, 4, '-p tcp -m set --match-set cali40svc dst,dst'],
  ])('%s', (_, draft, family, expected) => {
    expect(render(draft, { family })).toEqual(simple(expected))
  })

  it('too many ports that must not match: several multiports in one rule', () => {
    const ports = Array.from({ length: 8 }, (_, i) => [1 + 2 * i, 2 + 2 * i] as const)
    expect(render({ protocol: 'tcp', source: { notPorts: ports } })).toEqual(
      simple('-p tcp -m multiport ! --source-ports 1:2,3:4,5:6,7:8,9:10,11:12,13:14 -m multiport ! --source-ports 15:16'),
    )
  })

  it('no rule at all where nothing can match', () => {
    expect(render({ source: { notNets: ['0.0.0.0/0'] } })).toEqual([])
    expect(render({ source: { notNets: ['::/0'] } }, { family: 6 })).toEqual([])
    expect(render({ source: { nets: ['fe80::/64'] } })).toEqual([])
    expect(render({ destination: { notNets: ['fe80::/64'] } })).toEqual([])
    expect(render({ ipVersion: 6 })).toEqual([])
    expect(render({ source: { nets: ['fe80::/64', '10.0.0.0/8'] } })).toEqual(simple('--source 10.0.0.0/8'))
  })
})

describe('blocks', () => {
  const final = (match: string): string[] => [`${match}-m mark --mark 0x200/0x200 ${SET_ACCEPT}`, RETURN]
  const preset = (value: string): string => `--jump MARK --set-mark ${value}/0x600`
  const SET = '--jump MARK --set-mark 0x200/0x200'
  const SET_THIS = '--jump MARK --set-mark 0x400/0x400'
  const CLEAR = '--jump MARK --set-mark 0/0x200'
  const AND = `-m mark --mark 0/0x400 ${CLEAR}`
  const [A, B, C, D] = ['10.0.0.0/16', '11.0.0.0/16', '12.0.0.0/16', '13.0.0.0/16']

  it('several source nets', () => {
    expect(render({ source: { nets: [A, B] } })).toEqual([preset('0x0'), `--source ${A} ${SET}`, `--source ${B} ${SET}`, ...final('')])
  })

  it('several negated source nets', () => {
    expect(render({ source: { notNets: [A, B] } })).toEqual([preset('0x200'), `--source ${A} ${CLEAR}`, `--source ${B} ${CLEAR}`, ...final('')])
  })

  it('one of each', () => {
    expect(render({ source: { nets: [A], notNets: [B] } })).toEqual([preset('0x200'), `--source ${B} ${CLEAR}`, ...final(`--source ${A} `)])
  })

  it('two and one', () => {
    expect(render({ source: { nets: [A, B], notNets: [C] } })).toEqual([
      preset('0x0'),
      `--source ${A} ${SET}`,
      `--source ${B} ${SET}`,
      ...final(`! --source ${C} `),
    ])
  })

  it('two of each in both directions', () => {
    expect(render({ source: { nets: [A, B], notNets: [C, D] }, destination: { nets: [A, B], notNets: [C, D] } })).toEqual([
      preset('0x0'),
      `--source ${A} ${SET}`,
      `--source ${B} ${SET}`,
      `--destination ${A} ${SET_THIS}`,
      `--destination ${B} ${SET_THIS}`,
      AND,
      `--source ${C} ${CLEAR}`,
      `--source ${D} ${CLEAR}`,
      `--destination ${C} ${CLEAR}`,
      `--destination ${D} ${CLEAR}`,
      ...final(''),
    ])
  })

  it('everything at once; scratch1 is not cleared between blocks, as upstream', () => {
    const ranges = Array.from({ length: 8 }, (_, i) => [1 + 2 * i, 2 + 2 * i] as const)
    expect(
      render({
        protocol: 'tcp',
        source: { ports: ranges, namedPorts: ['ipset-1'], nets: [A, B], notNets: [C, D], notPorts: [[101, 101]], notNamedPorts: ['ipset-3'] },
        destination: { ports: [[3, 4]], namedPorts: ['ipset-2'], nets: [A, B], notNets: [C, D], notPorts: [[201, 201]], notNamedPorts: ['ipset-4'] },
      }),
    ).toEqual([
      preset('0x0'),
      `-p tcp -m multiport --source-ports 1:2,3:4,5:6,7:8,9:10,11:12,13:14 ${SET}`,
      `-p tcp -m multiport --source-ports 15:16 ${SET}`,
      `-m set --match-set cali40ipset-1 src,src ${SET}`,
      `-p tcp -m multiport --destination-ports 3:4 ${SET_THIS}`,
      `-m set --match-set cali40ipset-2 dst,dst ${SET_THIS}`,
      AND,
      `--source ${A} ${SET_THIS}`,
      `--source ${B} ${SET_THIS}`,
      AND,
      `--destination ${A} ${SET_THIS}`,
      `--destination ${B} ${SET_THIS}`,
      AND,
      `--source ${C} ${CLEAR}`,
      `--source ${D} ${CLEAR}`,
      `--destination ${C} ${CLEAR}`,
      `--destination ${D} ${CLEAR}`,
      ...final(
        '-p tcp -m multiport ! --source-ports 101 -m set ! --match-set cali40ipset-3 src,src ' +
          '-m multiport ! --destination-ports 201 -m set ! --match-set cali40ipset-4 dst,dst ',
      ),
    ])
  })
})

describe('actions', () => {
  it('deny, pass, log', () => {
    expect(render({ action: 'deny', protocol: 'tcp' })).toEqual(['-p tcp --jump MARK --set-mark 0x800/0x800', '-m mark --mark 0x800/0x800 --jump DROP'])
    expect(render({ action: 'deny' }, { config: { ...CONFIG, deny: act.reject } })).toEqual([
      '--jump MARK --set-mark 0x800/0x800',
      '-m mark --mark 0x800/0x800 --jump REJECT',
    ])
    expect(render({ action: 'pass', protocol: 'tcp' })).toEqual(['-p tcp --jump MARK --set-mark 0x100/0x100', '-m mark --mark 0x100/0x100 --jump RETURN'])
    expect(render({ action: 'log', protocol: 'tcp' })).toEqual(['-p tcp --jump LOG --log-prefix "calico-packet: " --log-level 5'])
    expect(render({ action: 'log', protocol: 'tcp' }, { config: { ...CONFIG, logRateLimit: { rate: '10/second', burst: 5 } } })).toEqual([
      '-m limit --limit 10/second --limit-burst 5 -p tcp --jump LOG --log-prefix "calico-packet: " --log-level 5',
    ])
  })

  it('a release without a drop mark denies in one rule', () => {
    const config = { ...CONFIG, marks: { ...CONFIG.marks, drop: 0 } }
    expect(render({ action: 'deny', protocol: 'tcp' }, { config })).toEqual(['-p tcp --jump DROP'])
  })

  it('flow logs', () => {
    expect(render({ action: 'allow', protocol: 'tcp' }, { config: { ...CONFIG, flowLogs: true } })).toEqual([
      `-p tcp ${SET_ACCEPT}`,
      '-m mark --mark 0x80/0x80 --jump NFLOG --nflog-group 1 --nflog-prefix API0|gnp/x --nflog-size 80',
      RETURN,
    ])
  })
})

describe('ports that fit a multiport', () => {
  it.each([
    [0, 0],
    [15, 1],
    [16, 2],
  ])('%i single ports: %i', (count, splits) => {
    expect(splitPorts(Array.from({ length: count }, (_, i) => [i + 1, i + 1] as const))).toHaveLength(splits)
  })
})

describe('dispatch', () => {
  const END = '--jump DROP'
  const dispatch = (names: string[]): Record<string, string[]> =>
    Object.fromEntries(workloadDispatchChains(names, BASE).map(({ name, rules }) => [name.replace('-wl-dispatch', ''), textOf(rules)]))

  it('no endpoint', () => {
    expect(dispatch([])).toEqual({ 'cali-from': [END], 'cali-to': [END] })
  })

  it('one endpoint', () => {
    expect(dispatch(['cali1234'])).toEqual({
      'cali-from': ['--in-interface cali1234 --goto cali-fw-cali1234', END],
      'cali-to': ['--out-interface cali1234 --goto cali-tw-cali1234', END],
    })
  })

  it('one alone, two together', () => {
    const chains = dispatch(['cali2444', 'cali1234', 'cali2333'])
    expect(Object.keys(chains)).toEqual(['cali-from-2', 'cali-from', 'cali-to-2', 'cali-to'])
    expect(chains['cali-from-2']).toEqual(['--in-interface cali2333 --goto cali-fw-cali2333', '--in-interface cali2444 --goto cali-fw-cali2444', END])
    expect(chains['cali-from']).toEqual(['--in-interface cali1234 --goto cali-fw-cali1234', '--in-interface cali2+ --goto cali-from-wl-dispatch-2', END])
  })

  it('two branches', () => {
    const chains = dispatch(['cali11', 'cali12', 'cali13', 'cali21', 'cali22'])
    expect(chains['cali-from-1']).toHaveLength(4)
    expect(chains['cali-from-2']).toHaveLength(3)
    expect(chains['cali-to']).toEqual(['--out-interface cali1+ --goto cali-to-wl-dispatch-1', '--out-interface cali2+ --goto cali-to-wl-dispatch-2', END])
  })

  it('marks of endpoints (IPVS)', () => {
    const config = { ...BASE, interfacePrefixes: ['cali', 'tap'], marks: { ...BASE.marks, nonCaliEndpoint: 0x100 } }
    const chains = endpointMarkChains({ workloads: ['cali1234', 'cali2333', 'cali2444'], hosts: [] }, config, new EndpointMarks(0xff00, 0x100))
    expect(textOf(chainNamed(chains, 'cali-set-endpoint-mark-wep-2').rules)).toEqual([
      '--in-interface cali2333 --goto cali-sm-cali2333',
      '--in-interface cali2444 --goto cali-sm-cali2444',
    ])
    expect(textOf(chainNamed(chains, 'cali-set-endpoint-mark').rules)).toEqual([
      '--in-interface cali1234 --goto cali-sm-cali1234',
      '--in-interface cali2+ --goto cali-set-endpoint-mark-wep-2',
      '--in-interface cali+ --jump DROP',
      '--in-interface tap+ --jump DROP',
      '--jump MARK --set-mark 0x100/0xff00',
    ])
    expect(textOf(chainNamed(chains, 'cali-from-endpoint-mark').rules)).toEqual([
      '-m mark --mark 0xd400/0xff00 --goto cali-fw-cali1234',
      '-m mark --mark 0xa700/0xff00 --goto cali-fw-cali2333',
      '-m mark --mark 0x5200/0xff00 --goto cali-fw-cali2444',
      '--jump DROP',
    ])
  })

  it('host endpoints: `*` ends filter and mangle, never raw', () => {
    const all = { names: ['eth0'], wildcard: true }
    const tables = hostDispatchChains({ all, untracked: ['eth0'], preDnat: { names: [], wildcard: true } }, BASE)
    const ends = (table: 'raw' | 'mangle' | 'filter'): string[] => textOf(chainNamed(tables[table], 'cali-to-host-endpoint').rules)
    const own = '--out-interface eth0 --goto cali-th-eth0'
    expect(ends('raw')).toEqual([own])
    expect(ends('filter')).toEqual([own, '--goto cali-th-any-interface-at-all'])
    expect(ends('mangle')).toEqual([own, '--out-interface cali+ --jump RETURN', '--goto cali-th-any-interface-at-all'])
    expect(textOf(chainNamed(tables.mangle, 'cali-from-host-endpoint').rules)).toEqual(['--goto cali-fh-any-interface-at-all'])
    const forward = chainNamed(tables.filter, 'cali-from-hep-forward')
    expect(textOf(forward.rules)).toEqual(['--in-interface eth0 --goto cali-fhfw-eth0', '--goto cali-fhfw-_Nqh4HyA73udmyanQI'])
  })
})
