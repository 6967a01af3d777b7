/**
 * kube-proxy's chains on this kernel: `iptables-restore --test` and a real load take what netsim prints, and iptables-save shows it back, affinity
 * and source ranges included. Needs root; everything happens in a netns of its own.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import type { KubeProxySettings } from '../../src/cluster/services/kube-proxy-settings.js'
import { net, port, rendered, savedText, service, SETTINGS, SIX_SERVICES } from '../kubeproxy/support.js'

const NETNS = `netsim-test-kube-proxy-${process.pid}`
const have = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
const ready = process.getuid?.() === 0 && ['ip', 'iptables-restore'].every(have) && spawnSync('ip', ['netns', 'list']).status === 0

function run(command: string, input = ''): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', NETNS, 'sh', '-c', command], { input, encoding: 'utf8' })
  return { status, stdout, stderr }
}

// prettier-ignore
const SETTINGS_OF: readonly (readonly [string, Partial<KubeProxySettings>])[] = [
  ['as installed', {}],
  ['masqueradeAll, another bit, chosen node port addresses', { masqueradeAll: true, masqueradeBit: 31, nodePortAddresses: ['primary', net('127.0.0.0/8')] }],
  ['local by interface, no node ports on 127.0.0.1', { detectLocalMode: 'InterfaceNamePrefix', interfaceNamePrefix: 'cali', localhostNodePorts: false }],
]

const DUAL = service(
  'ns7/dns',
  {
    clusterIP: '172.30.0.10',
    type: 'NodePort',
    internalLocal: true,
    externalLocal: true,
    affinitySeconds: 30,
    ports: [port({ name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053 }), port({ name: 'sctp', protocol: 'SCTP', port: 53 })],
  },
  ['10.180.0.7:53@node1', '10.180.0.8:53@node1', '10.180.0.9:53@node2'],
)

/** By chain, as the kernel lists chains by name. */
const body = (text: string, table: string): string[] =>
  text
    .slice(text.indexOf(`*${table}`), text.indexOf('COMMIT', text.indexOf(`*${table}`)))
    .split('\n')
    .filter((line) => line.startsWith('-A'))
    .map((line, i): [string, number] => [line, i])
    .sort(([a, i], [b, k]) => a.split(' ')[1].localeCompare(b.split(' ')[1]) || i - k)
    .map(([line]) => line)

describe.skipIf(!ready)('kube-proxy against THIS KERNEL (skipped without root, ip and iptables)', () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', NETNS])
  })
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', NETNS])
  })

  it.each(SETTINGS_OF)('%s', (_, settings) => {
    const many = service('ns8/many', { clusterIP: '172.30.0.80' }, ['10.1.0.1:80', '10.1.0.2:80', '10.1.0.3:80', '10.1.0.4:80', '10.1.0.5:80'])
    const rules = savedText(rendered([...SIX_SERVICES, DUAL, many], { settings: { ...SETTINGS, ...settings }, nodeAddress: ip('203.0.113.5') }))
    expect(run('for t in mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done')).toMatchObject({ status: 0 })
    expect(run('iptables-restore --test', rules)).toMatchObject({ status: 0, stderr: '' })
    expect(run('iptables-restore', rules)).toMatchObject({ status: 0, stderr: '' })
    const shown = run('for t in mangle filter nat; do iptables-save -t $t; done').stdout
    for (const table of ['mangle', 'filter', 'nat']) expect(body(shown, table)).toEqual(body(rules, table))
  })
})
