/** Felix 1.4.9 on one node as a whole: what is there, who is named behind it, and what it does when something is missing. */
import { describe, expect, it } from 'vitest'
import { ip } from '../../../src/base/ip.js'
import { formatProblem } from '../../../src/base/problem.js'
import type { ClassicPart } from '../../../src/calico/classic/classic.js'
import { sharedBgp, sharedPools } from '../../../src/calico/classic/cluster.js'
import { applyChainEdits } from '../../../src/dataplane/chain-edit.js'
import { printIptablesSave } from '../../../src/dataplane/iptables-save.js'
import { classic } from './kit.js'

const ENDPOINT = (more = '', profiles = '[WEB]'): string =>
  `---\napiVersion: v1\nkind: workloadEndpoint\nmetadata: {name: eth0, workload: default.web, orchestrator: k8s, node: n1}\n` +
  `spec: {ipNetworks: [10.65.0.10/32], profiles: ${profiles}, interfaceName: cali0web${more}}\n`
const WEB =
  '---\napiVersion: v1\nkind: profile\nmetadata: {name: WEB, tags: [WEB]}\nspec:\n  ingress:\n    - {action: allow, source: {tag: WEB}}\n    - {action: deny}\n'

const saved = (part: ClassicPart): string[] => printIptablesSave(applyChainEdits({ tables: [] }, part.edits)).split('\n')
const chain = (part: ClassicPart, name: string): string[] => saved(part).filter((line) => line.startsWith(`-A ${name} `))

describe('provenance', () => {
  const { edits } = classic(WEB + ENDPOINT()).part('n1')
  const of = (table: string, name: string): unknown[] =>
    edits.filter((edit) => edit.table === table && edit.chain === name).flatMap(({ rules }) => rules.map(({ provenance }) => provenance))

  it('a rule of a profile names it, its number and its line', () => {
    const first = { by: 'felix', object: 'profile/WEB inbound rule 1', file: 't.yaml', line: 7 }
    expect(of('filter', 'felix-p-WEB-i')).toEqual([first, first, { ...first, object: 'profile/WEB inbound rule 2', line: 8 }])
  })

  it('an endpoint’s rules name the pod', () => {
    expect(new Set(of('filter', 'felix-to-0web').map((one) => JSON.stringify(one)))).toEqual(
      new Set([JSON.stringify({ by: 'felix', object: 'Pod/default/web', file: 't.yaml', line: 10 })]),
    )
  })
})

describe('what is missing drops', () => {
  it('a profile that does not exist', () => {
    const part = classic(ENDPOINT('', '[NOBODY]')).part('n1')
    expect(chain(part, 'felix-p-NOBODY-i')).toEqual(['-A felix-p-NOBODY-i -m comment --comment "WARNING Missing chain" -j DROP'])
  })

  it('an endpoint that is down, by its own chains', () => {
    const state = (word: string): ClassicPart =>
      classic('', [
        { key: '/calico/v1/Ready', value: 'true' },
        { key: '/calico/v1/host/n1/workload/k8s/default.web/endpoint/eth0', value: `{"state": "${word}", "name": "cali0web", "ipv4_nets": ["10.65.0.10/32"]}` },
      ]).part('n1')
    expect(chain(state('inactive'), 'felix-from-0web')).toEqual(['-A felix-from-0web -m comment --comment "WARNING Missing chain" -j DROP'])
    expect(chain(state('active'), 'felix-from-0web')).toHaveLength(2)
  })

  it('Ready: nothing at all is written', () => {
    const part = classic('', [{ key: '/calico/v1/policy/profile/WEB/tags', value: '["WEB"]' }]).part('n1')
    expect(part).toMatchObject({ edits: [], ipsets: [] })
  })

  it('a policy of a tier that nobody has made is never asked', () => {
    const policy = { key: '/calico/v1/policy/tier/ops/policy/all', value: '{"selector": "all()", "inbound_rules": [{"action": "allow"}]}' }
    const endpoint = { key: '/calico/v1/host/n1/workload/k8s/default.web/endpoint/eth0', value: '{"state": "active", "name": "cali0web", "ipv4_nets": []}' }
    const ready = { key: '/calico/v1/Ready', value: 'true' }
    const tier = { key: '/calico/v1/policy/tier/ops/metadata', value: '{"order": 5}' }
    const tiers = (keys: Parameters<typeof classic>[1]): string[] =>
      chain(classic('', keys).part('n1'), 'felix-to-0web').filter((line) => line.includes('Start of tier'))
    expect(tiers([ready, policy, endpoint])).toEqual([])
    expect(tiers([ready, policy, endpoint, tier])).toHaveLength(1)
  })
})

describe('parameters', () => {
  const keys = (settings: Readonly<Record<string, string>>): { readonly key: string; readonly value: string }[] => [
    { key: '/calico/v1/Ready', value: 'true' },
    ...Object.entries(settings).map(([name, value]) => ({ key: `/calico/v1/${name}`, value })),
  ]

  it('the host’s win over the cluster’s, and calico/node’s file over both', () => {
    const input = classic(
      '',
      keys({ 'config/DefaultEndpointToHostAction': 'ACCEPT', 'host/n1/config/DefaultEndpointToHostAction': 'RETURN', 'config/MetadataAddr': '10.0.0.1' }),
    )
    expect(chain(input.part('n1'), 'felix-INPUT').at(-1)).toBe('-A felix-INPUT -j felix-FROM-ENDPOINT')
    expect(chain(input.part('n2'), 'felix-INPUT').at(-1)).toBe('-A felix-INPUT -j ACCEPT')
    expect(saved(input.part('n2')).join('\n')).not.toContain('10.0.0.1')
  })

  it('IPIP: the hosts that may send it, and the tunnel’s own address for the host’s packets', () => {
    const input = classic('', keys({ 'config/IpInIpEnabled': 'true', 'host/n1/bird_ip': '192.168.10.11', 'host/n2/bird_ip': '192.168.10.12' }))
    const part = input.part('n1', { ipipTunnelAddress: ip('10.65.0.1') })
    expect(part.ipsets).toMatchObject([{ name: 'felix-calico-hosts-4', members: [{ element: '192.168.10.11' }, { element: '192.168.10.12' }] }])
    expect(chain(part, 'POSTROUTING').at(-1)).toContain('-o tunl0 ')
  })

  it('a mark mask gives its three lowest bits; other names and marks follow', () => {
    const part = classic('', keys({ 'config/IptablesMarkMask': '0xff00', 'config/InterfacePrefix': 'tap' })).part('n1')
    expect(chain(part, 'felix-PREROUTING').slice(0, 3)).toEqual([
      '-A felix-PREROUTING -j MARK --set-xmark 0x0/0x100',
      '-A felix-PREROUTING -j MARK --set-xmark 0x0/0x400',
      '-A felix-PREROUTING -i tap+ -j MARK --set-xmark 0x400/0x400',
    ])
  })

  it.each([
    [
      'config/DefaultEndpointToHostAction',
      'Accept',
      'error: config/DefaultEndpointToHostAction: "Accept" is no value of DefaultEndpointToHostAction: Felix does not start',
    ],
    ['config/IpInIpEnabled', 'maybe', 'error: config/IpInIpEnabled: "maybe" is no value of IpInIpEnabled: Felix does not start'],
    [
      'config/FailsafeInboundHostPorts',
      '22,70000',
      'error: config/FailsafeInboundHostPorts: "22,70000" is no value of FailsafeInboundHostPorts: Felix does not start',
    ],
    ['config/InterfacePrefx', 'tap', 'warning: config/InterfacePrefx: no parameter of Felix 1.4'],
  ])('%s %s', (name, value, expected) => {
    const { edits, problems } = classic('', keys({ [name]: value })).part('n1')
    expect(problems.map((problem) => formatProblem(problem).split('\n')[0])).toEqual([`etcd.json:2: ${expected}`])
    expect(edits.length === 0).toBe(expected.startsWith('error'))
  })
})

describe('what a rule says and Felix does not do', () => {
  it.each([
    ['allow, source: {net: "2001:db8::/32"}', 'in IPv4 Felix 1.4 leaves 2001:db8::/32 out: the rule matches without it'],
    ['allow, protocol: 1, icmp: {type: 8}', 'in IPv4 Felix 1.4 leaves the ICMP type out: the rule matches without it'],
    [
      'allow, protocol: sctp, destination: {ports: [80]}',
      'Felix 1.4 cannot write the rule and drops everything in its place: it renders ports of tcp and udp alone, not of sctp',
    ],
    ['pass', 'next-tier in a profile ends the profile without accepting: the next profile is asked'],
  ])('%s', (rule, what) => {
    const { problems } = classic(`${WEB.replace('{action: deny}', `{action: ${rule}}`)}${ENDPOINT()}`).part('n1')
    expect(problems.map((problem) => formatProblem(problem).split('\n')[0])).toEqual([`t.yaml:8: warning: profile/WEB inbound rule 2: ${what}`])
  })
})

it('the kernel’s own guards: strict reverse path, and a neighbour for each known MAC', () => {
  const part = classic(WEB + ENDPOINT(', mac: "ee:00:00:00:00:01"')).part('n1')
  expect(part.sysctls).toMatchObject({ 'net.ipv4.conf.cali0web.rp_filter': 1, 'net.ipv4.conf.cali0web.proxy_arp': 1 })
  expect(part.neighbours).toMatchObject([{ address: ip('10.65.0.10'), device: 'cali0web', mac: 0xee0000000001, state: 'permanent' }])
})

it('floating addresses', () => {
  const part = classic(WEB + ENDPOINT(', ipNATs: [{internalIP: 10.65.0.10, externalIP: 192.0.2.2}, {internalIP: 10.65.0.10, externalIP: 192.0.2.1}]')).part(
    'n1',
  )
  expect(chain(part, 'felix-FIP-DNAT')).toEqual([
    '-A felix-FIP-DNAT -d 192.0.2.1/32 -j DNAT --to-destination 10.65.0.10',
    '-A felix-FIP-DNAT -d 192.0.2.2/32 -j DNAT --to-destination 10.65.0.10',
  ])
  expect(chain(part, 'felix-FIP-SNAT')).toEqual(['-A felix-FIP-SNAT -s 10.65.0.10/32 -d 10.65.0.10/32 -j SNAT --to-source 192.0.2.1'])
})

it('two endpoints of one interface, and one whose interface is none of Felix’s', () => {
  const second = ENDPOINT().replace('default.web', 'default.xyz')
  const texts = (text: string): string[] =>
    classic(WEB + text)
      .part('n1')
      .problems.map((problem) => formatProblem(problem).split('\n')[0])
  expect(texts(ENDPOINT() + second)).toEqual(['t.yaml:15: error: Pod/default/xyz: the interface cali0web has another endpoint already'])
  expect(texts(ENDPOINT().replace('cali0web', 'veth0'))).toEqual([
    't.yaml:10: error: Pod/default/web: the interface veth0 does not start with cali: Felix takes the endpoint for absent',
  ])
})

it('the same pools and peers for IPAM and BIRD', () => {
  const { model } = classic(
    'apiVersion: v1\nkind: ipPool\nmetadata: {cidr: 10.65.0.0/16}\nspec: {ipip: {enabled: true, mode: cross-subnet}}\n---\n' +
      'apiVersion: v1\nkind: ipPool\nmetadata: {cidr: 10.66.0.0/16}\nspec: {disabled: true, nat-outgoing: true}\n---\n' +
      'apiVersion: v1\nkind: bgpPeer\nmetadata: {scope: global, peerIP: 192.168.10.254}\nspec: {asNumber: "1.1"}\n',
  )
  expect(sharedPools(model)).toMatchObject([
    { name: '10.65.0.0-16', ipipMode: 'CrossSubnet', disabled: false, natOutgoing: false },
    { name: '10.66.0.0-16', ipipMode: 'Never', disabled: true, natOutgoing: true },
  ])
  expect(sharedBgp(model)).toMatchObject({
    configuration: { asNumber: 64511, nodeToNodeMeshEnabled: true },
    peers: [{ peerIP: ip('192.168.10.254'), asNumber: 65537 }],
  })
})

it('tiers and their policies go by order, then by name; what has no order comes last', () => {
  const tier = (name: string, order: string): { readonly key: string; readonly value: string } => ({
    key: `/calico/v1/policy/tier/${name}/metadata`,
    value: order,
  })
  const policy = (name: string, order: string): { readonly key: string; readonly value: string } => ({
    key: `/calico/v1/policy/tier/${name}`,
    value: `{"selector": "all()"${order}, "inbound_rules": []}`,
  })
  const part = classic('', [
    { key: '/calico/v1/Ready', value: 'true' },
    { key: '/calico/v1/host/n1/workload/k8s/default.web/endpoint/eth0', value: '{"state": "active", "name": "cali0web", "ipv4_nets": []}' },
    tier('a', '{}'),
    tier('b', '{"order": 20}'),
    tier('c', '{"order": 10}'),
    policy('a/policy/1', ''),
    policy('b/policy/4', ', "order": "default"'),
    policy('b/policy/3', ''),
    policy('b/policy/2', ', "order": 2'),
    policy('b/policy/9', ', "order": 1.5'),
    policy('c/policy/5', ', "order": 1'),
  ]).part('n1')
  expect(chain(part, 'felix-to-0web').flatMap((line) => /-j felix-p-(\S+)-i$/.exec(line)?.[1] ?? [])).toEqual(['c/5', 'b/9', 'b/2', 'b/3', 'b/4', 'a/1'])
})

it('a host’s interface has one endpoint: the first by name of those that name it or expect one of its addresses', () => {
  const endpoint = (name: string, spec: string): string => `---\napiVersion: v1\nkind: hostEndpoint\nmetadata: {name: ${name}, node: n1}\nspec: ${spec}\n`
  const text = [
    endpoint('b', '{interfaceName: eth0, profiles: [B]}'),
    endpoint('a', '{expectedIPs: [192.168.10.11, 10.9.0.1], profiles: [A]}'),
    endpoint('gone', '{interfaceName: eth7, profiles: [G]}'),
    endpoint('lost', '{expectedIPs: [10.8.0.1], profiles: [L]}'),
  ].join('')
  const interfaces = [
    { name: 'eth0', addresses: [ip('192.168.10.11')] },
    { name: 'eth1', addresses: [ip('10.9.0.1')] },
    { name: 'cali0', addresses: [ip('10.8.0.1')] },
  ]
  const part = classic(text).part('n1', { interfaces })
  expect(saved(part).flatMap((line) => /^-A (felix-from-\S+) -j (felix-p-\S+)$/.exec(line)?.slice(1).join(' ') ?? [])).toEqual([
    'felix-from-eth0 felix-p-A-i',
    'felix-from-eth1 felix-p-A-i',
    'felix-from-eth7 felix-p-G-i',
  ])
})
