/**
 * Felix's chains and sets on this kernel: `ipset restore` and `iptables-restore --test`, then a real load, take what netsim prints; and what
 * iptables-save shows of it is what netsim printed. Needs root; everything happens in a netns of its own.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyChainEdits } from '../../src/dataplane/chain-edit.js'
import { printIpsets } from '../../src/dataplane/ipset-save.js'
import { printIptablesSave } from '../../src/dataplane/iptables-save.js'
import type { FelixSettings } from '../../src/cluster/calico/felix-configuration.js'
import { exampleNode } from '../calico/felix/example.js'

const NETNS = `netsim-test-felix-${process.pid}`
const have = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
const ready = process.getuid?.() === 0 && ['ip', 'ipset', 'iptables-restore'].every(have) && spawnSync('ip', ['netns', 'list']).status === 0

function run(command: string, input: string): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', NETNS, 'sh', '-c', command], { input, encoding: 'utf8' })
  return { status, stdout, stderr }
}

// prettier-ignore
const SETTINGS: readonly (readonly [string, FelixSettings])[] = [
  ['as installed', {}],
  ['RETURN, port range, flow logs', { iptablesFilterAllowAction: 'Return', natPortRange: { from: 32768, to: 65535 }, flowLogsLocalReporter: 'Enabled' }],
  ['WireGuard with host encryption', { wireguardEnabled: true, wireguardHostEncryptionEnabled: true }],
]

const body = (text: string): string[] => text.split('\n').filter((line) => /^[-*]/.test(line))

describe.skipIf(!ready)('Felix against THIS KERNEL (skipped without root, ip, ipset and iptables)', () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', NETNS])
  })
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', NETNS])
  })

  it.each(SETTINGS)('%s', (_, settings) => {
    const part = exampleNode(settings)
    const rules = printIptablesSave(applyChainEdits({ tables: [] }, part.edits))
    expect(run('ipset destroy; iptables -t filter -F; true', '').status).toBe(0)
    expect(
      run('for t in raw mangle nat filter; do iptables -t $t -F; iptables -t $t -X; done; ipset destroy; ipset restore', printIpsets(part.ipsets)),
    ).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
    expect(run('iptables-restore --test', rules)).toMatchObject({ status: 0, stderr: '' })
    expect(run('iptables-restore', rules)).toMatchObject({ status: 0, stderr: '' })
    const shown = run('for t in raw mangle nat filter; do iptables-save -t $t; done', '').stdout
    expect(body(shown)).toEqual(body(rules))
  })
})
