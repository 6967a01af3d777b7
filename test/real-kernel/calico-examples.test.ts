/**
 * Calico's examples on this kernel, node by node: what `netsim show` prints of sets, chains and routes is taken by `ipset restore`, `iptables-restore`
 * and `ip route`, and shown again as netsim printed it. Needs root; everything happens in a netns of its own.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { printIpsets } from '../../src/dataplane/ipset-save.js'
import { printIptablesSave } from '../../src/dataplane/iptables-save.js'
import { networkOf } from '../kit/network.js'

const NETNS = `netsim-test-calico-${process.pid}`
const have = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
const ready = process.getuid?.() === 0 && ['ip', 'ipset', 'iptables-restore'].every(have) && spawnSync('ip', ['netns', 'list']).status === 0

const EXAMPLES = new URL('../../examples/', import.meta.url)
const nodes = readdirSync(EXAMPLES)
  .filter((file) => /^(calico|canal).*\.yaml$/.test(file))
  .flatMap((file) => {
    const network = networkOf(readFileSync(new URL(file, EXAMPLES), 'utf8'))
    return network.nodes.map(({ node, dataplane }) => [file, node.name, dataplane] as const)
  })

function run(command: string, input = ''): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', NETNS, 'sh', '-c', command], { input, encoding: 'utf8' })
  return { status, stdout, stderr }
}

const body = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => /^[-*:]/.test(line))
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ''))
const SUCCESS = { status: 0, stdout: '', stderr: '' }

/** Numbers that the kernel draws by itself. */
function setLines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/ (hashsize|bucketsize|initval) \S+/g, ''))
    .sort()
}

describe.skipIf(!ready)("Calico's examples against THIS KERNEL (skipped without root, ip, ipset and iptables)", () => {
  beforeEach(() => void execFileSync('ip', ['netns', 'add', NETNS]))
  afterEach(() => void execFileSync('ip', ['netns', 'del', NETNS]))

  it('there are some', () => expect(nodes.length).toBeGreaterThan(15))

  it.each(nodes)('%s: %s', (_file, _node, dataplane) => {
    const sets = printIpsets(dataplane.ipsets)
    expect(run('ipset restore', sets)).toEqual(SUCCESS)
    expect(setLines(run('ipset save').stdout)).toEqual(setLines(sets))
    const rules = printIptablesSave(dataplane.iptables)
    expect(run('iptables-restore --test', rules)).toMatchObject({ status: 0, stderr: '' })
    expect(run('iptables-restore', rules)).toMatchObject({ status: 0, stderr: '' })
    const shown = run(dataplane.iptables.tables.map(({ name }) => `iptables-save -t ${name}`).join('; ')).stdout
    expect(body(shown).sort()).toEqual(body(rules).sort())
  })
})
