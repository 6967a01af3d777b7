/** `netsim drift` on the command line: forms, exit statuses, what it wants. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { DRIFT_CODES } from '../../src/analysis/drift/codes.js'
import { netsim, type Ran } from './memory-io.js'

const ROOT = new URL('../../', import.meta.url)
const CLUSTER = ['-f', 'examples/flannel-vxlan.yaml'] as const
const FAULTY = ['--node', 'examples/drift/node-1', ...CLUSTER] as const
const SOUND = ['--node', 'node-1=examples/nodes/node-1.tar.gz', ...CLUSTER] as const

function drift(...words: readonly string[]): Promise<Ran> {
  return netsim(['drift', ...words], { cwd: fileURLToPath(ROOT) })
}

describe('exit statuses', () => {
  it('0: nothing', async () =>
    expect(await drift(...SOUND)).toMatchObject({ code: 0, err: '', out: expect.stringContaining('CLEAN  0 errors, 0 warnings, 0 info') as string }))
  it('1: findings', async () => expect((await drift(...FAULTY)).code).toBe(1))
  it('1: a policy of DROP in the backend that no agent uses, which has no rule', async () => {
    const { code, out } = await drift('--node', 'examples/nodes/node-2', ...CLUSTER)
    expect(code).toBe(1)
    expect(out).toContain('ND508')
    expect(out).toContain('iptables-legacy -t filter -P FORWARD ACCEPT')
    expect(out).toMatch(/Of 8 questions 4 are lost/)
  })
  it('0: info alone, where it ends so for errors', async () => {
    expect((await drift(...FAULTY, '--severity', 'info', '--only', 'ND401')).code).toBe(1)
    expect((await drift(...FAULTY, '--severity', 'info', '--only', 'ND401', '--fail-on', 'error')).code).toBe(0)
    expect((await drift(...FAULTY, '--fail-on', 'never')).code).toBe(0)
  })
  it('2: neither a dump nor a cluster goes without', async () => {
    expect(await drift(...CLUSTER)).toMatchObject({ code: 2, out: '', err: expect.stringContaining('--node NAME=DIR') as string })
    expect(await drift('--node', 'examples/drift/node-1')).toMatchObject({ code: 2, out: '', err: expect.stringContaining('-f FILE') as string })
    expect((await drift(...FAULTY, '--fail-on', 'sometimes')).err).toContain('error, warning, info, never')
  })
  it('3: the dump of another node, or of another cluster: said at once, and nothing compared', async () => {
    const other = await drift('--node', 'node-1=examples/nodes/node-2', ...CLUSTER)
    expect({ code: other.code, out: other.out }).toEqual({ code: 3, out: '' })
    expect(other.err.split('\n')).toEqual([
      'examples/nodes/node-2: error: Node/node-1: this dump says that it is node-2 (hostname node-2, InternalIP 192.168.10.12, podCIDR 10.244.2.0/24), not node-1',
      '    Give it as what it is: --node node-2=examples/nodes/node-2',
      '',
    ])
    const stranger = await drift('--node', 'host-a=examples/nodes/node-2', '-f', 'examples/docker-only.yaml')
    expect({ code: stranger.code, out: stranger.out }).toEqual({ code: 3, out: '' })
    expect(stranger.err).toContain('this dump is of no node of the cluster: its hostname is node-2')
  })
  it('3: a dump of a node that the cluster has not, or of nothing', async () => {
    const { code, out, err } = await drift('--node', 'node-7=examples/drift/node-1', ...CLUSTER)
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toContain('the cluster has no node "node-7"')
    expect(await drift('--node', 'examples/policy', ...CLUSTER)).toMatchObject({ code: 3, out: '' })
  })
})

/** The sound dump of node-1 with a file of it changed. */
async function changed(path: string, change: (text: string) => string): Promise<Ran> {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-drift-'))
  try {
    execFileSync('tar', ['-xzf', fileURLToPath(new URL('examples/nodes/node-1.tar.gz', ROOT)), '-C', folder, '--strip-components=1'])
    writeFileSync(join(folder, path), change(readFileSync(join(folder, path), 'utf8')))
    return await drift('--node', `node-1=${folder}`, ...CLUSTER, '--severity', 'info')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('what a dump may hold', () => {
  it('a rule that somebody named as a command of the shell is mended as the word that it is', async () => {
    const rule = '-A FORWARD -p tcp -m comment --comment "it\\\'s $(touch /pwned)" -m tcp --dport 8080 -j DROP'
    const { code, out } = await changed('node/iptables-nft', (text) => text.replace(/^\[\d+:\d+\] -A FORWARD/m, (first) => `[0:0] ${rule}\n${first}`))
    expect(code).toBe(1)
    expect(out.replaceAll(/\s+/g, ' ')).toContain(
      `iptables -t filter -D FORWARD -p tcp -m comment --comment 'it'\\''s $(touch /pwned)' -m tcp --dport 8080 -j DROP`,
    )
  })

  it('a rule of the backend that iptables does not speak to is mended by that backend’s own command', async () => {
    const legacy = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --dport 8080 -j DROP\nCOMMIT\n'
    const { code, out } = await changed('node/iptables-legacy', () => legacy)
    expect(code).toBe(1)
    expect(out.replaceAll(/\s+/g, ' ')).toContain('iptables-legacy -t filter -D FORWARD -p tcp -m tcp --dport 8080 -j DROP')
  })

  it('ip_forward off, and on again on each device: the kernel asks the devices', async () => {
    const off = (text: string): string => text.replace(/^net\.ipv4\.(ip_forward|conf\.all\.forwarding) = 1/gm, 'net.ipv4.$1 = 0')
    const { code, out } = await changed('node/sysctl', off)
    expect({ code, clean: out.includes('CLEAN') }).toEqual({ code: 0, clean: true })
    const everywhere = await changed('node/sysctl', (text) => text.replace(/^(net\.ipv4\.(ip_forward|conf\..*\.forwarding)) = 1/gm, '$1 = 0'))
    expect({ code: everywhere.code, named: everywhere.out.includes('net.ipv4.ip_forward is 0, not 1') }).toEqual({ code: 1, named: true })
  })

  it('a table that iptables-save could not print is not judged', async () => {
    const { code, out } = await changed('node/iptables-nft', (text) =>
      text.replace(/^\*filter\n[^]*?^COMMIT\n/m, "# Table `filter' is incompatible, use 'nft' tool.\n"),
    )
    expect(code).toBe(4)
    expect(out).toMatch(/not judged .*filter/)
    expect(out).not.toContain('ND501')
  })
})

describe('forms', () => {
  it('JSON as its schema says, with every field named', async () => {
    const { out } = await drift(...FAULTY, '--severity', 'info', '-o', 'json')
    const schema = JSON.parse(readFileSync(new URL('docs/drift.schema.json', ROOT), 'utf8')) as object
    const validate = new Ajv2020({ strict: true, allErrors: true }).compile(closed(schema) as object)
    validate(JSON.parse(out))
    expect(validate.errors ?? []).toEqual([])
    const { findings } = JSON.parse(out) as {
      findings: readonly { code: string; commands: readonly string[]; traffic: { changes: readonly { command: string }[] } }[]
    }
    expect(findings.map(({ code }) => code)).toEqual(['ND302', 'ND504', 'ND401'])
    expect(findings[0].commands).toEqual(['ip neigh replace 10.244.2.0 lladdr 5e:1d:0c:a6:31:02 dev flannel.1 nud permanent'])
    expect(findings[0].traffic.changes[0].command).toContain('-f examples/flannel-vxlan.yaml --node examples/drift/node-1')
  })
  it('SARIF with the line of the dump', async () => {
    const log = JSON.parse((await drift(...FAULTY, '-o', 'sarif')).out) as {
      runs: readonly {
        tool: { driver: { rules: readonly { id: string }[] } }
        results: readonly { ruleId: string; locations: readonly { physicalLocation: { artifactLocation: { uri: string }; region: { startLine: number } } }[] }[]
      }[]
    }
    const [{ tool, results }] = log.runs
    expect(tool.driver.rules.map(({ id }) => id)).toEqual(DRIFT_CODES)
    expect(results.map(({ ruleId }) => ruleId)).toEqual(['ND302', 'ND504'])
    const { artifactLocation, region } = results[1].locations[0].physicalLocation
    expect(artifactLocation.uri).toBe('examples/drift/node-1/node/iptables-nft')
    const line = readFileSync(new URL(artifactLocation.uri, ROOT), 'utf8').split('\n')[region.startLine - 1]
    expect(line).toContain('-A FORWARD -p tcp -m tcp --dport 8080 -j REJECT')
  })
  it('text of 80 columns, but for what is to be copied and places', async () => {
    const { out } = await netsim(['drift', ...FAULTY, '--severity', 'info', '-v'], { cwd: fileURLToPath(ROOT), columns: 80 })
    const long = out.split('\n').filter((line) => line.length > 80 && !/^( {2}(ask|mend) |(ERROR|WARN|INFO) )/.test(line))
    expect(long).toEqual([])
  })
  it('JUnit with a case for each code', async () => {
    const { out } = await drift(...FAULTY, '-o', 'junit')
    expect(out).toContain(`tests="${DRIFT_CODES.length}" failures="2"`)
  })
  it('text, the same bytes each time', async () => {
    const [one, two] = [await drift(...FAULTY, '-v'), await drift(...FAULTY, '-v')]
    expect(one.out).toBe(two.out)
    expect(one.out).toContain('mend        ip neigh replace 10.244.2.0 lladdr 5e:1d:0c:a6:31:02 dev flannel.1 nud permanent')
  })
})

it('docs/drift.md has a line for each code', () => {
  const page = readFileSync(new URL('docs/drift.md', ROOT), 'utf8')
  expect(DRIFT_CODES.filter((code) => !page.includes(`| ${code} |`))).toEqual([])
})

/** The published schema lets unknown fields pass, so that fields can be added; here each must be named. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]))
  return 'properties' in schema && 'type' in schema && !('additionalProperties' in schema) ? { ...copy, additionalProperties: false } : copy
}
