/**
 * Felix 1.4.9's chains and sets on this kernel: `ipset restore` and `iptables-restore --test`, then a real load, take what netsim prints; and what
 * iptables-save shows of it is what netsim printed. Needs root; everything happens in a netns of its own.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { applyChainEdits } from '../../src/dataplane/chain-edit.js'
import { printIpsets } from '../../src/dataplane/ipset-save.js'
import { printIptablesSave } from '../../src/dataplane/iptables-save.js'
import { classic } from '../calico/classic/kit.js'

const NETNS = `netsim-test-classic-${process.pid}`
const have = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
const ready = process.getuid?.() === 0 && ['ip', 'ipset', 'iptables-restore'].every(have) && spawnSync('ip', ['netns', 'list']).status === 0

function run(command: string, input = ''): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', NETNS, 'sh', '-c', command], { input, encoding: 'utf8' })
  return { status, stdout, stderr }
}

const RULES = [
  { action: 'allow', src_tag: 'WEB', '!src_net': '10.1.0.0/16' },
  {
    action: 'deny',
    protocol: 'tcp',
    dst_ports: Array.from({ length: 20 }, (_, i) => (i % 3 === 0 ? `${100 * i + 1}:${100 * i + 50}` : 100 * i + 60)),
    log_prefix: 'no way',
  },
  { action: 'log', protocol: 'icmp', icmp_type: 8, icmp_code: 0 },
  { action: 'next-tier', protocol: 'icmp', '!icmp_type': 3 },
  {
    action: 'allow',
    protocol: 'udp',
    src_selector: "role in {'a', 'b'} && !has(c)",
    '!dst_selector': "role == 'z'",
    src_ports: [53],
    '!dst_ports': [1, '2:3'],
  },
  { action: 'allow', protocol: 132, dst_net: '192.168.7.9/24', '!dst_tag': 'a-tag-that-is-longer-than-sixteen' },
  { action: 'deny', '!protocol': 'tcp' },
  { action: 'allow', protocol: 'icmpv6', icmp_type: 128 },
  { action: 'allow', protocol: 'sctp', dst_ports: [80] },
]

function tree(settings: Readonly<Record<string, string>>): { readonly key: string; readonly value: string }[] {
  const rules = JSON.stringify({ id: 'WEB', inbound_rules: RULES, outbound_rules: RULES.toReversed() })
  const policy = (selector: string, more: object = {}): string =>
    JSON.stringify({ selector, inbound_rules: RULES, outbound_rules: RULES.slice(0, 3), order: 5, ...more })
  const endpoint = (n: number): string =>
    JSON.stringify({
      state: n === 4 ? 'inactive' : 'active',
      name: `cali${n}abc`,
      mac: `ee:00:00:00:00:0${n}`,
      profile_ids: ['WEB', 'a-profile-with-a-long-name', 'nobody'],
      ipv4_nets: [`10.65.0.${n}/32`],
      ipv4_nat: [{ int_ip: `10.65.0.${n}`, ext_ip: `192.0.2.${n}` }],
      labels: { role: n % 2 === 0 ? 'a' : 'b' },
    })
  return Object.entries({
    'v1/Ready': 'true',
    ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [`v1/config/${name}`, value])),
    'v1/host/n1/bird_ip': '192.168.10.11',
    'v1/host/n2/bird_ip': '192.168.10.12',
    'v1/ipam/v4/pool/10.65.0.0-16': '{"cidr": "10.65.0.0/16", "masquerade": true, "ipip": "tunl0"}',
    'v1/policy/profile/WEB/rules': rules,
    'v1/policy/profile/WEB/tags': '["WEB", "a-tag-that-is-longer-than-sixteen"]',
    'v1/policy/profile/a-profile-with-a-long-name/rules': rules.replace('"WEB"', '"x"'),
    'v1/policy/tier/first/metadata': '{"order": 1}',
    'v1/policy/tier/default/metadata': '{}',
    'v1/policy/tier/first/policy/one': policy('has(role)'),
    'v1/policy/tier/first/policy/two': policy("role == 'a'"),
    'v1/policy/tier/default/policy/a-policy-with-a-long-name': policy('all()'),
    'v1/policy/tier/default/policy/free': policy('has(host)', { untracked: true }),
    'v1/host/n1/endpoint/eth0': '{"name": "eth0", "labels": {"host": "1"}, "profile_ids": ["WEB"]}',
    'v1/host/n1/endpoint/eth1': '{"name": "eth1", "labels": {"host": "2"}, "profile_ids": []}',
    ...Object.fromEntries([1, 2, 3, 4].map((n) => [`v1/host/n1/workload/k8s/default.p${n}/endpoint/eth0`, endpoint(n)])),
  }).map(([key, value]) => ({ key: `/calico/${key}`, value }))
}

const SETTINGS: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['as installed', {}],
  ['IPIP, endpoints may reach the host', { IpInIpEnabled: 'true', IpInIpTunnelAddr: '10.65.0.1', DefaultEndpointToHostAction: 'ACCEPT' }],
  [
    'two prefixes, other marks, drops logged and not dropped',
    { InterfacePrefix: 'cali,tap', IptablesMarkMask: '0x1ff0', DropActionOverride: 'LOG-and-ACCEPT' },
  ],
]

const body = (text: string): string[] => text.split('\n').filter((line) => /^[-*]/.test(line))

describe.skipIf(!ready)('Felix 1.4.9 against THIS KERNEL (skipped without root, ip, ipset and iptables)', () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', NETNS])
  })
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', NETNS])
  })

  it.each(SETTINGS)('%s', (_, settings) => {
    const part = classic('', tree(settings)).part('n1', { interfaces: [{ name: 'eth0', addresses: [ip('192.168.10.11')] }] })
    const rules = printIptablesSave(applyChainEdits({ tables: [] }, part.edits))
    expect(body(rules).length).toBeGreaterThan(100)
    run('for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done; ipset destroy')
    expect(run('ipset restore', printIpsets(part.ipsets))).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(run('iptables-restore --test', rules)).toMatchObject({ status: 0, stderr: '' })
    expect(run('iptables-restore', rules)).toMatchObject({ status: 0, stderr: '' })
    const shown = run('for t in raw nat filter; do iptables-save -t $t; done').stdout
    expect(body(shown)).toEqual(body(rules))
  })
})
