/** The script that a node runs: every shell reads it, shellcheck finds nothing, it writes a folder that is read back, and no secret comes into it. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { collectScript } from '../../src/collected/collect-script.js'
import { readCollected } from '../../src/collected/read-collected.js'

const SCRIPT = collectScript({ conntrack: false, pods: false })
const folder = mkdtempSync(join(tmpdir(), 'netsim-collect-'))
afterAll(() => rmSync(folder, { recursive: true }))

const has = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
const SHELLS = [['sh'], ['dash'], ['bash', '--posix'], ['busybox', 'ash']].filter(([tool]) => has(tool))

function functionOf(name: string): string {
  const start = SCRIPT.indexOf(`\n${name}() {`)
  return SCRIPT.slice(start, SCRIPT.indexOf('\n}\n', start) + 3)
}

function plainJson(text: string): string {
  const file = join(folder, 'conf.json')
  writeFileSync(file, text)
  const { status, stdout, stderr } = spawnSync('sh', ['-c', `${functionOf('plain_json')}\nplain_json "$1"`, 'sh', file], { encoding: 'utf8' })
  expect([status, stderr]).toEqual([0, ''])
  return stdout
}

describe('the script', () => {
  it.each(SHELLS)('%s reads it', (...shell) => {
    const { status, stderr } = spawnSync(shell[0], [...shell.slice(1).filter((word) => word !== undefined), '-n'], { input: SCRIPT, encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, ''])
  })

  it.runIf(has('shellcheck'))('shellcheck finds nothing', () => {
    const { status, stdout } = spawnSync('shellcheck', ['-s', 'sh', '-'], { input: SCRIPT, encoding: 'utf8' })
    expect([stdout, status]).toEqual(['', 0])
  })

  it.each(SHELLS)('%s: what it writes is read, whatever tools and rights there are', (...shell) => {
    const out = join(folder, `by-${shell.join('')}`)
    const { status, stderr } = spawnSync(shell[0], [...shell.slice(1).filter((word) => word !== undefined), '-s', '--', '-o', out, '--name', 'here'], {
      input: SCRIPT,
      encoding: 'utf8',
    })
    expect([status, stderr.trimEnd().split('\n').at(-1)]).toEqual([0, `collect: ${out}`])
    const files = readdirSync(out, { recursive: true, withFileTypes: true }).flatMap((entry) => {
      const file = join(entry.parentPath, entry.name)
      return entry.isFile() ? [{ file, path: file.slice(out.length + 1), text: readFileSync(file, 'utf8') }] : []
    })
    expect(files.some(({ path }) => path.startsWith('.') || path.startsWith('pods/'))).toBe(false)
    const { node, problems } = readCollected(out, files)
    if (has('ip')) {
      expect([problems, node?.name]).toEqual([[], 'here'])
      expect(node?.dataplane.devices.map(({ name }) => name)).toContain('lo')
    } else expect(problems.map(({ fix }) => fix)).toEqual(['The script said: node: ip is not on this node'])
  })

  it('writes over nothing, and says which words it knows', () => {
    const there = join(folder, 'there')
    mkdirSync(there)
    const run = (...words: string[]): string => {
      const { status, stderr } = spawnSync('sh', ['-s', '--', ...words], { input: SCRIPT, encoding: 'utf8' })
      return `${status} ${stderr.split('\n')[0]}`
    }
    expect(run('-o', there)).toBe(`73 collect: ${there} is there already: take another, or remove it`)
    expect(run('--everything')).toBe('64 collect: --everything is not known')
    expect(run('--name', '../etc')).toBe('64 collect: "../etc" is no name of a node: say --name')
  })

  it('takes the flags of netsim collect as its own, whatever is in them', () => {
    const head = (options: Parameters<typeof collectScript>[0]): string[] => collectScript(options).split('\n').slice(3, 9)
    expect(head({ conntrack: true, pods: false, output: 'n1.tar', node: 'n1' })).toEqual([
      'set -u',
      'format=1',
      'target=n1.tar',
      'node=n1',
      'conntrack=on',
      'pods=off',
    ])
    const nasty = "a'; echo gone #$(id)"
    const settings = head({ conntrack: true, pods: true, node: nasty }).join('\n')
    expect(spawnSync('sh', ['-c', `${settings}\nprintf %s "$node"`], { encoding: 'utf8' }).stdout).toBe(nasty)
  })
})

describe('secrets', () => {
  it('of a CNI configuration the values of known words alone are let through', () => {
    const conf = {
      name: 'k8s-pod-network',
      plugins: [
        {
          type: 'calico',
          etcd_endpoints: 'https://user:hunter2@10.0.0.1:2379',
          kubernetes: { kubeconfig: '/etc/cni/net.d/calico-kubeconfig', k8s_auth_token: 'eyJ.secret' },
          policy: { type: 'k8s', password: 'hunter2' },
          ipam: { type: 'calico-ipam', ranges: [[{ subnet: '10.244.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] },
          mtu: 1440,
          pin: 12345678,
          enabled: true,
          'odd "key"': ['hunter2', { nested: 'hunter2' }],
        },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    }
    const plain = plainJson(JSON.stringify(conf, null, 2))
    expect(plain).not.toMatch(/hunter2|secret|12345678|kubeconfig"?: "\/|user:/)
    const read = JSON.parse(plain) as typeof conf
    expect(read).toEqual({
      name: 'k8s-pod-network',
      plugins: [
        {
          type: 'calico',
          etcd_endpoints: '…',
          kubernetes: { kubeconfig: '…', k8s_auth_token: '…' },
          policy: { type: 'k8s', password: '…' },
          ipam: { type: 'calico-ipam', ranges: [[{ subnet: '10.244.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] },
          mtu: 1440,
          pin: '…',
          enabled: true,
          'odd "key"': ['…', { nested: '…' }],
        },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    })
    expect(JSON.parse(plainJson(JSON.stringify(conf)))).toEqual(read)
  })

  it('asks no tool for a key that is not public', () => {
    const commands = SCRIPT.replace(/^ *#.*$/gm, '')
    expect(/private|preshared|wg show(all)? dump|showconf|kubeconfig|environ\b/.exec(commands)?.[0]).toBeUndefined()
    expect(SCRIPT).toMatch(/for word in public-key listen-port fwmark peers endpoints allowed-ips persistent-keepalive/)
  })

  it('lets no setting through whose name says that it is one', () => {
    const filter = /grep -E '[^']*' \| grep -v -E '([^']*)'/.exec(SCRIPT)?.[1] ?? ''
    for (const name of ['net.ipv4.tcp_fastopen_key', 'net.ipv6.conf.all.stable_secret']) expect(name).toMatch(new RegExp(filter))
    expect('net.ipv4.ip_forward').not.toMatch(new RegExp(filter))
  })
})
