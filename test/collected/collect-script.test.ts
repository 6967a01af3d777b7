/** The script that a node runs: every shell reads it, shellcheck finds nothing, it writes a folder that is read back, and no secret comes into it. */
import { Buffer } from 'node:buffer'
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

/** A namespace of one's own, made and given up with the command in it. */
const canUnshare = spawnSync('unshare', ['-n', 'true']).status === 0

describe.skipIf(!canUnshare || !has('ip'))('in a network namespace of its own (skipped where none may be made)', () => {
  const state =
    'ip addr; ip route show table all; ip rule; ip neigh; sysctl -a 2>/dev/null | grep -E "^net\\.(ipv4|core|bridge)" | ' +
    'grep -vE "key|secret|cookie|tstamp|count"; ' +
    'iptables-nft-save 2>/dev/null; iptables-legacy-save 2>/dev/null; ls -A "$HOME" /etc/cni/net.d 2>/dev/null'

  it.each(SHELLS)('%s: it leaves everything as it was, and no word of the environment or of an argument comes into the dump', (...shell) => {
    const words = shell.filter((word) => word !== undefined)
    const out = join(folder, `alone-${words.join('')}`)
    const home = mkdtempSync(join(folder, 'home-'))
    mkdirSync(join(home, '.kube'))
    writeFileSync(join(home, '.kube/config'), 'token: HUNTER2-kubeconfig\n')
    writeFileSync(join(folder, 'collect.sh'), SCRIPT)
    const setUp = 'ip link set lo up; ip link add va type veth peer name vb; ip addr add 10.7.7.1/24 dev va; ip link set va up; ip link set vb up; sleep 0.3'
    const steps = `${setUp}; (${state}) >before; ${words.join(' ')} collect.sh -o '${out}' --name here --no-pods || exit 9; (${state}) >after; cmp before after`
    const env = { ...process.env, HOME: home, KUBECONFIG: `${home}/.kube/config`, API_TOKEN: 'HUNTER2-environment' }
    const { status, stdout, stderr } = spawnSync('unshare', ['-n', 'sh', '-c', steps, 'HUNTER2-argument'], { cwd: folder, env, encoding: 'utf8' })
    expect([status, stdout, stderr.trimEnd().split('\n').at(-1)]).toEqual([0, '', `collect: ${out}`])
    const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const texts = files.map(
      (entry) => [join(entry.parentPath, entry.name).slice(out.length + 1), readFileSync(join(entry.parentPath, entry.name), 'utf8')] as const,
    )
    expect(texts.filter(([, text]) => text.includes('HUNTER2')).map(([path]) => path)).toEqual([])
    expect(texts.find(([path]) => path === 'node/addr')?.[1]).toContain('inet 10.7.7.1/24')
    // the lengths that the manifest tells are those of the files
    const told = [...(texts.find(([path]) => path === 'manifest')?.[1] ?? '').matchAll(/^file (\d+) (.+)$/gm)].map(([, size, path]) => [path, Number(size)])
    expect(told.sort()).toEqual(
      texts
        .filter(([path]) => path !== 'manifest')
        .map(([path, text]) => [path, Buffer.byteLength(text)])
        .sort(),
    )
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
