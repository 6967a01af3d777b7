/**
 * Felix 1.4.9's own expectations, to the letter: names (calico/felix/test/test_futils.py, test_fiptgenerator.py), chains and rules
 * (test_fiptgenerator.py), dispatch (test_dispatch.py). Names of IP sets stand where upstream's tests pass names of their own in.
 */
import { describe, expect, it } from 'vitest'
import { dispatchChains } from '../../../src/calico/classic/dispatch.js'
import { endpointChains } from '../../../src/calico/classic/endpoint-chains.js'
import { dropRules, type ClassicChain } from '../../../src/calico/classic/fragment.js'
import { endpointChain, rulesChain, selectorId, selectorSet, shorten, tagSet, WORKLOAD_DISPATCH } from '../../../src/calico/classic/names.js'
import { ruleFragments } from '../../../src/calico/classic/rule-chains.js'
import { filterChains, postroutingRules } from '../../../src/calico/classic/static-chains.js'
import { readClassicRules } from '../../../src/cluster/calico/classic-rule-json.js'
import type { JsonObject } from '../../../src/cluster/located.js'
import { parseSelector, type Selector } from '../../../src/cluster/selector.js'
import { configOf } from './kit.js'

const CONFIG = configOf({})
const ACCEPT = '0x1000000/0x1000000'
const NEXT = '0x2000000/0x2000000'

function named(chains: readonly ClassicChain[], name: string): string[] {
  const chain = chains.find((candidate) => candidate.name === name)
  if (chain === undefined) throw new Error(`no ${name} among ${chains.map((c) => c.name).join(' ')}`)
  return chain.rules.map(({ words }) => words)
}

/** As upstream writes them: the chain before, and a comma of Python's for nothing. */
const appended = (text: string): string[] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim())

describe('names', () => {
  it.each([
    ['foo', 10, 'foo'],
    ['foobarbaz1', 10, 'foobarbaz1'],
    ['foobarbaz12', 10, '_d71c1ff3e'],
    ['foobarbaz12', 9, '_94df2800'],
    ['foobarbaz123', 10, '_438f419f9'],
    ['_foobar', 10, '_foobar'],
    ['_foobar', 7, '_9f4764'],
    ['_78c38617f', 10, '_f13be85cf'],
  ])('%s in %i characters is %s', (text, length, expected) => {
    expect(shorten(text, length)).toBe(expected)
  })

  it('of chains and sets', () => {
    expect([rulesChain('prof1', 'inbound'), rulesChain('tier/pol', 'outbound')]).toEqual(['felix-p-prof1-i', 'felix-p-tier/pol-o'])
    expect(endpointChain('to', 'cali0123456789a', ['cali'])).toBe('felix-to-0123456789a')
    // the longer prefix is the one that is left away; a host's interface keeps its name
    expect(endpointChain('from', 'calitap1', ['cali', 'calitap'])).toBe('felix-from-1')
    expect(endpointChain('from', 'eth0', ['cali'])).toBe('felix-from-eth0')
    expect(tagSet('WEB')).toBe('felix-v4-WEB')
  })

  it('of selectors, as sha224sum and base64 give them', () => {
    const id = (text: string): string => selectorId(parseSelector(text) as Selector)
    expect(id("a == 'b'")).toBe('tLpr7qsAAwb48t8JWGiM6HoNkG1VLl0lJuFLgQ')
    expect(id('a=="b"')).toBe(id("a ==  'b'"))
    expect(id("a in {'b'}")).toBe(id(' a  in {"b"}'))
    expect(new Set(["a == 'b'", "b == 'b'", "a != 'b'", "a in {'b'}", "a in {'c'}", 'has(a)', '!has(a)', 'all()'].map(id)).size).toBe(8)
  })
})

const WITH_METADATA = { MetadataAddr: '123.0.0.1', MetadataPort: '1234', InterfacePrefix: 'tap' }

describe('felix-INPUT', () => {
  const head = (extra = ''): string => `
    --jump ACCEPT --match mark --mark ${ACCEPT}${extra}
    --match conntrack --ctstate INVALID --jump DROP
    --match conntrack --ctstate RELATED,ESTABLISHED --jump ACCEPT
    --jump MARK --set-mark 0/0x4000000
    --in-interface tap+ --jump MARK --set-mark 0x4000000/0x4000000
    --goto felix-FROM-HOST-IF --match mark --mark 0/0x4000000
    --protocol tcp --destination 123.0.0.1 --dport 1234 --jump ACCEPT
    --protocol udp --sport 68 --dport 67 --jump ACCEPT
    --protocol udp --dport 53 --jump ACCEPT`
  const drop = '\n--jump DROP -m comment --comment "Drop all packets from endpoints to the host"'

  it.each([
    ['by default', {}, head() + drop],
    ['with IPIP', { IpInIpEnabled: 'true' }, head('\n--protocol 4 --match set ! --match-set felix-calico-hosts-4 src --jump DROP') + drop],
    ['RETURN', { DefaultEndpointToHostAction: 'RETURN' }, `${head()}\n--jump felix-FROM-ENDPOINT`],
    ['ACCEPT', { DefaultEndpointToHostAction: 'ACCEPT' }, `${head()}\n--jump felix-FROM-ENDPOINT\n--jump ACCEPT`],
  ])('%s', (_, settings, expected) => {
    expect(named(filterChains(configOf({ ...WITH_METADATA, ...settings })), 'felix-INPUT')).toEqual(appended(expected))
  })
})

it('felix-FORWARD, of two prefixes', () => {
  expect(named(filterChains(configOf({ InterfacePrefix: 'tap,cali' })), 'felix-FORWARD')).toEqual(
    appended(`
      --jump ACCEPT --match mark --mark ${ACCEPT} --match conntrack --ctstate UNTRACKED
      --match conntrack --ctstate INVALID --jump DROP
      --match conntrack --ctstate RELATED,ESTABLISHED --jump ACCEPT
      --jump felix-FROM-ENDPOINT --in-interface tap+
      --jump felix-TO-ENDPOINT --out-interface tap+
      --jump felix-FROM-ENDPOINT --in-interface cali+
      --jump felix-TO-ENDPOINT --out-interface cali+
      --jump ACCEPT --in-interface tap+
      --jump ACCEPT --out-interface tap+
      --jump ACCEPT --in-interface cali+
      --jump ACCEPT --out-interface cali+
      --jump felix-FROM-HOST-IF
      --jump felix-TO-HOST-IF`),
  )
})

it('POSTROUTING: the masquerade of pools was inserted last, that of the tunnel first', () => {
  expect(postroutingRules(configOf({ IpInIpEnabled: 'true', IpInIpTunnelAddr: '10.65.0.1' }), true)).toEqual(
    appended(`
      --match set --match-set felix-masq-ipam-pools src --match set ! --match-set felix-all-ipam-pools dst --jump MASQUERADE
      --jump felix-POSTROUTING
      --out-interface tunl0 -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL -j MASQUERADE`),
  )
  expect(postroutingRules(configOf({}), false)).toEqual(['--jump felix-POSTROUTING'])
})

describe('an endpoint with two tiers and two profiles', () => {
  const input = {
    interfaceName: 'cali0abcd',
    id: 'e1',
    profiles: ['prof-1', 'prof-2'],
    tiers: [
      { tier: 'tier_1', policies: ['t1p1', 't1p2'] },
      { tier: 'tier_2', policies: ['t2p1'] },
    ],
    provenance: { by: 'felix' },
  }
  const body = (way: 'i' | 'o'): string => {
    const policy = (name: string): string => `
      --match mark --mark 0/0x2000000 --jump felix-p-${name}-${way}
      --match mark --mark ${ACCEPT} --match comment --comment "Return if policy accepted" --jump RETURN`
    const start = (tier: string): string => `\n--jump MARK --set-mark 0/0x2000000 --match comment --comment "Start of tier ${tier}"`
    const end = '\n--match mark --mark 0/0x2000000 --jump DROP -m comment --comment "Drop if no policy in tier passed"'
    const profile = (name: string): string => `
      --jump felix-p-${name}-${way}
      --match mark --mark ${ACCEPT} --match comment --comment "Profile accepted packet" --jump RETURN`
    return (
      `${start('tier_1')}${policy('t1p1')}${policy('t1p2')}${end}${start('tier_2')}${policy('t2p1')}${end}` +
      `${profile('prof-1')}${profile('prof-2')}\n--jump DROP -m comment --comment "Packet did not match any profile (endpoint e1)"`
    )
  }
  const clear = '--jump MARK --set-mark 0/0x1000000'
  const mac = '\n--match mac ! --mac-source aa:22:33:44:55:66 --jump DROP -m comment --comment "Incorrect source MAC"'

  it('of a workload: from it is outbound, and its MAC is looked at', () => {
    const chains = endpointChains({ ...input, kind: 'workload', mac: 0xaa2233445566 }, CONFIG)
    expect(named(chains, 'felix-from-0abcd')).toEqual(appended(clear + mac + body('o')))
    expect(named(chains, 'felix-to-0abcd')).toEqual(appended(clear + body('i')))
  })

  it('of a host: to its interface is outbound, and the failsafe ports come first', () => {
    const chains = endpointChains({ ...input, kind: 'host', interfaceName: 'abcd' }, CONFIG)
    expect(named(chains, 'felix-from-abcd')).toEqual(appended(`--jump felix-FAILSAFE-IN\n${clear}${body('i')}`))
    expect(named(chains, 'felix-to-abcd')).toEqual(appended(`--jump felix-FAILSAFE-OUT\n${clear}${body('o')}`))
  })

  it('in the raw table what is accepted is not tracked, and nothing is dropped', () => {
    const rules = named(endpointChains({ ...input, profiles: [], kind: 'host', interfaceName: 'abcd', untracked: true }, CONFIG), 'felix-to-abcd')
    expect(rules.filter((rule) => rule.includes('DROP'))).toEqual([])
    expect(rules.filter((rule) => rule.includes('NOTRACK'))).toHaveLength(3)
  })
})

describe('dispatch', () => {
  const chains = (interfaces: readonly string[]): readonly ClassicChain[] => dispatchChains(interfaces, WORKLOAD_DISPATCH, { config: CONFIG, unknown: 'drop' })

  it('one interface has no chain of a letter', () => {
    expect(chains(['caliab']).map(({ name }) => name)).toEqual(['felix-TO-ENDPOINT', 'felix-FROM-ENDPOINT'])
    expect(named(chains(['caliab']), 'felix-TO-ENDPOINT')).toEqual([
      '--out-interface caliab --goto felix-to-ab',
      '--jump DROP -m comment --comment "To unknown endpoint"',
    ])
    expect(named(chains([]), 'felix-FROM-ENDPOINT')).toEqual(['--jump DROP -m comment --comment "From unknown endpoint"'])
  })

  it('the letter after what all of them begin with', () => {
    const three = chains(['caliA1', 'caliB1', 'caliB2'])
    expect(named(three, 'felix-FROM-ENDPOINT').slice(0, 2)).toEqual([
      '--in-interface caliA1 --goto felix-from-A1',
      '--in-interface caliB+ --goto felix-FROM-EP-PFX-B',
    ])
    expect(named(three, 'felix-FROM-EP-PFX-B')).toEqual([
      '--in-interface caliB1 --goto felix-from-B1',
      '--in-interface caliB2 --goto felix-from-B2',
      '--jump DROP -m comment --comment "From unknown endpoint"',
    ])
    // the common beginning is that of the interfaces, not InterfacePrefix
    expect(chains(['cali7a1', 'cali7a2']).map(({ name }) => name)).toEqual(['felix-TO-ENDPOINT', 'felix-FROM-ENDPOINT'])
  })
})

describe('rules', () => {
  const selected = selectorSet(parseSelector("a == 'b'") as Selector)

  function rendered(rule: JsonObject): string[] {
    const faults: string[] = []
    const rules = readClassicRules({ inbound_rules: [rule] }, { file: 'etcd', line: 1 }, (what) => void faults.push(what))
    expect(faults).toEqual([])
    return (rules?.inbound ?? []).flatMap((one) => ruleFragments(one, CONFIG))
  }

  const MANY = [1, '2:3', 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]

  it.each<[string, JsonObject, string]>([
    [
      'a log prefix on a rule that passes on',
      { src_selector: "a == 'b'", log_prefix: 'foo', action: 'next-tier' },
      `--match set --match-set ${selected} src --jump MARK --set-mark ${NEXT}
       --match mark --mark ${NEXT} --jump LOG --log-prefix "foo: " --log-level 5
       --match mark --mark ${NEXT} --jump RETURN`,
    ],
    ['log', { log_prefix: 'foo', action: 'log' }, '--jump LOG --log-prefix "foo: " --log-level 5'],
    ['log without a prefix', { action: 'log' }, '--jump LOG --log-prefix "calico-packet: " --log-level 5'],
    [
      'everything, and its opposite',
      {
        protocol: 'tcp',
        src_net: '10.0.0.0/8',
        src_tag: 'tag1',
        src_selector: "a == 'b'",
        src_ports: [1, '2:3'],
        '!src_net': '11.0.0.0/8',
        '!src_tag': 'tag2',
        '!src_selector': "a == 'b'",
        '!src_ports': MANY,
        action: 'next-tier',
      },
      `--protocol tcp --source 10.0.0.0/8 --match set --match-set felix-v4-tag1 src --match set --match-set ${selected} src ` +
        '--match multiport --source-ports 1,2:3 ! --source 11.0.0.0/8 --match set ! --match-set felix-v4-tag2 src ' +
        `--match set ! --match-set ${selected} src --match multiport ! --source-ports 1,2:3,4,5,6,7,8,9,10,11,12,13,14,15 ` +
        `--match multiport ! --source-ports 16,17 --jump MARK --set-mark ${NEXT}
       --match mark --mark ${NEXT} --jump RETURN`,
    ],
    [
      'not this ICMP; without an action a rule allows',
      { protocol: 'icmp', '!icmp_type': 7, '!icmp_code': 123 },
      `--protocol icmp --match icmp ! --icmp-type 7/123 --jump MARK --set-mark ${ACCEPT}
       --match mark --mark ${ACCEPT} --jump RETURN`,
    ],
    [
      'ICMP',
      { protocol: 'icmp', src_net: '10.0.0.0/8', icmp_type: 7, icmp_code: 123 },
      `--protocol icmp --source 10.0.0.0/8 --match icmp --icmp-type 7/123 --jump MARK --set-mark ${ACCEPT}
       --match mark --mark ${ACCEPT} --jump RETURN`,
    ],
    [
      'more ports than a rule holds',
      { protocol: 'tcp', src_ports: [0, ...MANY.slice(1)] },
      `--protocol tcp --match multiport --source-ports 0,2:3,4,5,6,7,8,9,10,11,12,13,14,15 --jump MARK --set-mark ${ACCEPT}
       --match mark --mark ${ACCEPT} --jump RETURN
       --protocol tcp --match multiport --source-ports 16,17 --jump MARK --set-mark ${ACCEPT}
       --match mark --mark ${ACCEPT} --jump RETURN`,
    ],
    [
      'a denial that is logged',
      { protocol: 'udp', dst_ports: [53], log_prefix: 'dropped by $me', action: 'deny' },
      `--protocol udp --match multiport --destination-ports 53 --jump LOG --log-prefix "dropped_by__me: " --log-level 5
       --protocol udp --match multiport --destination-ports 53 --jump DROP`,
    ],
    ['what it cannot write drops everything', { protocol: 'sctp', dst_ports: [80] }, '--jump DROP -m comment --comment "ERROR failed to parse rules"'],
    ['so does ICMP type 255', { protocol: 'icmp', icmp_type: 255 }, '--jump DROP -m comment --comment "ERROR failed to parse rules"'],
    [
      'a net of the other family is left out, and the rule matches everything',
      { src_net: '2001:db8::/32' },
      `--jump MARK --set-mark ${ACCEPT}
       --match mark --mark ${ACCEPT} --jump RETURN`,
    ],
  ])('%s', (_, rule, expected) => {
    expect(rendered(rule)).toEqual(appended(expected))
  })

  it('ports of both sides multiply out', () => {
    const two = Array.from({ length: 16 }, (_, index) => 100 + index)
    expect(rendered({ protocol: 'tcp', src_ports: two, dst_ports: two }).filter((rule) => rule.includes('multiport'))).toHaveLength(4)
  })
})

it.each([
  ['DROP', ['--rulespec --jump DROP -m comment --comment "comment"']],
  [
    'LOG-and-ACCEPT',
    [
      '--rulespec --jump LOG --log-prefix "calico-drop: " --log-level 4 -m comment --comment "comment"',
      '--rulespec --jump ACCEPT -m comment --comment "!SECURITY DISABLED! DROP overridden to ACCEPT" -m comment --comment "comment"',
    ],
  ],
  ['ACCEPT', ['--rulespec --jump ACCEPT -m comment --comment "!SECURITY DISABLED! DROP overridden to ACCEPT" -m comment --comment "comment"']],
  [
    'LOG-and-DROP',
    [
      '--rulespec --jump LOG --log-prefix "calico-drop: " --log-level 4 -m comment --comment "comment"',
      '--rulespec --jump DROP -m comment --comment "comment"',
    ],
  ],
])('DropActionOverride %s', (action, expected) => {
  expect(dropRules(configOf({ DropActionOverride: action }), '--rulespec', 'comment')).toEqual(expected)
})
