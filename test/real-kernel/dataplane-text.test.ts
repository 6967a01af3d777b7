/**
 * The text of src/dataplane against the kernel and the tools of this machine: netsim's text is loaded, and what the tool then
 * shows must come back through parse and print unchanged. Needs root; everything happens in a netns of its own.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseFdb, printFdb } from '../../src/dataplane/bridge-fdb.js'
import type { DeviceSpec, NeighbourSpec, RouteSpec, RoutingRuleSpec } from '../../src/dataplane/dataplane.js'
import { applyNeighbourCommand, parseNeighbours, printNeighbours } from '../../src/dataplane/ip-neigh.js'
import { applyRouteCommand } from '../../src/dataplane/ip-route-command.js'
import { parseRoutes, printRoutes } from '../../src/dataplane/ip-route.js'
import { applyRuleCommand, parseRules, printRules } from '../../src/dataplane/ip-rule.js'
import { parseIpsets, printIpsets } from '../../src/dataplane/ipset-save.js'
import { parseIptablesSave, printIptablesSave } from '../../src/dataplane/iptables-save.js'
import { applyIptablesCommand } from '../../src/dataplane/iptables-command.js'
import { parseSysctls, sysctlDefault } from '../../src/dataplane/sysctl.js'

const NETNS = `netsim-test-text-${process.pid}`
const place = { file: 'kernel', line: 1 }
const have = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
const ready = process.getuid?.() === 0 && ['ip', 'bridge', 'ipset', 'iptables'].every(have) && spawnSync('ip', ['netns', 'list']).status === 0

function run(command: readonly string[], input?: string): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', NETNS, ...command], { input, encoding: 'utf8' })
  return { status, stdout, stderr }
}

function shell(line: string, input?: string): string {
  const { status, stdout, stderr } = run(['sh', '-c', line], input)
  expect([line, status, stderr.includes('Error') ? stderr : '']).toEqual([line, 0, ''])
  return stdout
}

/** The chains count what the devices of this netns say on their own (MLD, DAD). */
const withoutComments = (text: string): string =>
  text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replace(/^(:.*) \[\d+:\d+\]$/gm, '$1 [0:0]')
const errorsOf = (problems: readonly { severity: string }[]): unknown[] => problems.filter(({ severity }) => severity === 'error')

/** As the commands below leave them, with the kernel's connected routes left out. */
const devices: DeviceSpec[] = ['v0', 'v1'].map((name, i) => ({
  kind: 'veth',
  name,
  mtu: 1500,
  up: true,
  mac: i + 1,
  peer: { netns: '', device: '' },
  addresses: [{ address: (10 << 24) | (i << 8) | 1, length: 24, scope: 'global' }],
}))

describe.skipIf(!ready)('text of the dataplane against THIS KERNEL (skipped without root, ip, bridge, ipset and iptables)', () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', NETNS])
    for (const line of [
      'ip link set lo up',
      'ip link add v0 type veth peer name v1',
      'ip link add b0 type bridge',
      'ip link add w0 type veth peer name w1',
      'ip link set v0 up',
      'ip link set v1 up',
      'ip link set w0 up master b0',
      'ip link set w1 up',
      'ip link set b0 up',
      'ip addr add 10.0.0.1/24 dev v0',
      'ip addr add 10.0.1.1/24 dev v1',
      'ip link add vx type vxlan id 1 dstport 8472 local 10.0.0.1 dev v0 nolearning',
      'ip link set vx up',
      'ipset create S1 hash:ip timeout 0',
      'ipset create S2 hash:ip,port timeout 0',
    ])
      execFileSync('ip', ['netns', 'exec', NETNS, ...line.split(' ')])
  })
  afterAll(() => {
    spawnSync('ip', ['netns', 'del', NETNS])
  })

  const vectors = JSON.parse(readFileSync(new URL('../dataplane/iptables-vectors.json', import.meta.url), 'utf8')) as { accepted: [string, string, string[]][] }

  it.each(['iptables-nft', 'iptables-legacy'])('%s: every match and target that netsim knows, loaded by iptables-restore and saved again', (tool) => {
    if (!have(tool)) return console.warn(`${tool} is not installed: left out`)
    const skipped: string[] = []
    for (const table of ['raw', 'mangle', 'nat', 'filter']) {
      let state = applyIptablesCommand({ tables: [] }, `-t ${table} -N UC`, place).state
      run([tool, '-t', table, '-F'])
      run([tool, '-t', table, '-X'])
      run([tool, '-t', table, '-N', 'UC'])
      for (const [of, command] of vectors.accepted) {
        if (of !== table) continue
        const next = applyIptablesCommand(state, `-t ${table} ${command}`, place)
        if (errorsOf(next.problems).length > 0) continue
        // a module that this kernel lacks fails here, and is left out by name
        if (run(['sh', '-c', `${tool} -t ${table} ${command}`]).status !== 0) skipped.push(command)
        else state = next.state
      }
      const real = withoutComments(run([`${tool}-save`, '-t', table]).stdout)
      const parsed = parseIptablesSave(real, place)
      expect(errorsOf(parsed.problems)).toEqual([])
      expect(printIptablesSave(parsed.state)).toBe(merged(real))

      // now netsim's own text, written by netsim from the commands
      run([tool, '-t', table, '-F'])
      const restored = run([`${tool}-restore`], printIptablesSave(state))
      expect([table, restored.status, restored.stderr]).toEqual([table, 0, expect.any(String)])
      const again = parseIptablesSave(withoutComments(run([`${tool}-save`, '-t', table]).stdout), place)
      expect(printIptablesSave(again.state)).toBe(merged(real))
      for (const flag of ['-F', '-X']) run([tool, '-t', table, flag])
    }
    if (skipped.length > 0) console.warn(`${tool}: not taken by this kernel and left out:\n  ${skipped.join('\n  ')}`)
    expect(skipped.length).toBeLessThan(vectors.accepted.length / 4)
  })

  it('iptables -I with a list of addresses puts them in the kernel’s order', () => {
    const commands = [
      '-A FORWARD -s 9.9.9.9 -j ACCEPT',
      '-I FORWARD -s 1.1.1.1,2.2.2.2 -j ACCEPT',
      '-I FORWARD 2 -d 3.3.3.3,4.4.4.4 -j DROP',
      '-N B',
      '-N A',
      '-N C',
      '-E B D',
      '-P FORWARD DROP',
      '-D FORWARD 1',
    ]
    let state = { tables: [] } as ReturnType<typeof applyIptablesCommand>['state']
    for (const command of commands) {
      shell(`iptables ${command}`)
      const next = applyIptablesCommand(state, command, place)
      expect(next.problems).toEqual([])
      state = next.state
    }
    const chainsOf = (text: string): string[] => text.split('\n').filter((line) => /^(:|-A)/.test(line))
    expect(chainsOf(printIptablesSave(state))).toEqual(chainsOf(shell('iptables-save -t filter')))
    shell('iptables -P FORWARD ACCEPT; iptables -F; iptables -X')
  })

  it('ipset save', () => {
    const { sets, problems } = parseIpsets(readFileSync(new URL('ipset-restore.txt', import.meta.url), 'utf8'), place)
    expect(problems).toEqual([])
    shell('ipset restore', printIpsets(sets))
    const real = shell('ipset save')
    const back = parseIpsets(real, place)
    expect(back.problems).toEqual([])
    expect(printIpsets(back.sets)).toBe(real)
    // the same elements; hash sets give them in their own order
    const elements = (list: typeof sets): unknown =>
      list
        .filter(({ name }) => name.startsWith('t-'))
        .map(({ name, type, members }) => [name, type, members.map((member) => JSON.stringify(member)).sort()])
        .sort()
    expect(elements(back.sets)).toEqual(elements(sets))
  })

  it('ip route: the same commands give the same table and the same refusals', () => {
    let routes: readonly RouteSpec[] = parseRoutes(shell('ip -4 route show table all'), place).routes
    for (const command of [
      'add 10.5.0.0/16 via 10.0.0.2',
      'add 10.5.0.0/16 via 10.0.0.2',
      'append 10.5.0.0/16 via 10.0.0.3',
      'prepend 10.5.0.0/16 via 10.0.0.5',
      'add 10.5.0.0/16 via 10.0.0.9 metric 5',
      'replace 10.5.0.0/16 via 10.0.0.44',
      'add 10.5.0.0/17 via 10.0.1.9',
      'add 0.0.0.0/1 via 10.0.0.2',
      'add default via 10.0.0.2',
      'add default via 10.0.1.2 metric 3',
      'add blackhole 10.8.0.0/16 metric 50',
      'add unreachable 10.9.0.0/24',
      'add throw default table 200',
      'add 10.10.0.0/16 nexthop via 10.0.0.2 dev v0 weight 3 nexthop via 10.77.1.2 dev v1 onlink',
      'add 10.11.0.0/16 via 10.0.0.2 mtu lock 1400 advmss 1360 tos 0x10 table 100 src 10.0.0.1 metric 7 proto static',
      'add 10.12.0.0/16 via 10.0.0.2 mtu 1400 proto 80',
      'add local 10.15.0.0/24 dev lo',
      'add 10.17.0.0/16 dev v0',
      'add 10.18.0.0/16 via 10.0.0.2 tos 8',
      'add 10.18.0.0/16 via 10.0.0.2 tos 0x10',
      'add 10.18.0.0/16 via 10.0.0.2',
      'add 10.7.0.0/16 via 10.99.0.2',
      'add 10.7.0.0/16 via 10.0.1.2 dev v0',
      'add 10.21.0.0/16',
      'add blackhole 10.22.0.0/16 dev v0',
      'del 10.5.0.0/16 via 10.0.0.77',
      'del 10.5.0.0/16 via 10.0.0.3',
      'del 10.5.0.0/16',
      'change 10.77.0.0/16 via 10.0.0.2',
      'change 10.17.0.0/16 via 10.0.0.8',
      'del 10.99.0.0/16',
      'replace 10.5.0.0/16 via 10.0.0.44',
      'append 10.5.0.0/16 via 10.0.0.44',
      'add 10.31.0.1 via 10.0.0.2 src 10.9.9.9',
      'add 10.32.0.1 via 10.0.0.2 dev v0 scope link',
      'add 128.0.0.0/1 dev v1 table 300',
      'add 10.40.0.0/16 via 10.10.0.1',
      'del blackhole 10.8.0.0/16',
      'del 10.18.0.0/16',
      'del 10.12.0.0/16 proto static',
      'del 10.12.0.0/16 proto 80',
    ]) {
      const real = run(['ip', 'route', ...command.split(' ')])
      const { routes: next, problems } = applyRouteCommand(routes, command, place, {
        devices: [...devices, { kind: 'loopback', name: 'lo', mtu: 65536, up: true, addresses: [] }],
      })
      expect([command, errorsOf(problems).length > 0, printRoutes(next, { table: 'all' })]).toEqual([
        command,
        real.status !== 0,
        shell('ip -4 route show table all'),
      ])
      routes = next
    }
  })

  it('ip rule: the same commands give the same list', () => {
    let rules: readonly RoutingRuleSpec[] = []
    for (const command of [
      'add from 10.0.0.0/24 lookup 100',
      'add fwmark 0x10/0xf0 lookup 101 pref 99',
      'add not from all fwmark 0x100000/0x100000 lookup 1 pref 98',
      'add to 1.2.3.4 iif v0 oif v1 blackhole pref 50',
      'add unreachable pref 51',
      'add prohibit from 1.1.1.1 pref 52',
      'add goto 99 pref 53',
      'add nop pref 54',
      'add ipproto tcp sport 80 dport 100-200 table main pref 55',
      'add tos 0x10 table 77 suppress_prefixlength 0 pref 56',
      'add from 10.0.0.0/24 lookup 100',
      'add from 10.0.0.0/24 lookup 100 pref 99',
      'add from 10.0.0.0/24 lookup 100 pref 99',
      'del pref 4444',
      'del from 10.0.0.0/24 lookup 100',
      'add fwmark 7 lookup 100',
      'add lookup 9 protocol static',
      'add goto 3 pref 60',
      'add ipproto ospf lookup 5',
    ]) {
      const real = run(['ip', 'rule', ...command.split(' ')])
      const { rules: next, problems } = applyRuleCommand(rules, command, place)
      expect([command, errorsOf(problems).length > 0, printRules(next)]).toEqual([command, real.status !== 0, shell('ip rule show')])
      rules = next
    }
    expect(printRules(parseRules(shell('ip rule show'), place).rules)).toBe(shell('ip rule show'))
  })

  it('ip neigh and bridge fdb', () => {
    let neighbours: readonly NeighbourSpec[] = []
    for (const command of [
      'add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0',
      'add 10.0.0.2 lladdr 02:00:00:00:00:03 dev v0',
      'replace 10.0.0.2 lladdr 02:00:00:00:00:03 dev v0',
      'add proxy 10.0.0.9 dev v0',
      'add 10.0.0.4 dev v0',
      'del 10.0.0.77 dev v0',
      'change 10.0.0.78 lladdr 02:00:00:00:00:05 dev v0',
      'add 10.0.0.5 lladdr 02:00:00:00:00:05 dev v0 nud stale',
    ]) {
      const real = run(['ip', 'neigh', ...command.split(' ')])
      const result = applyNeighbourCommand(neighbours, command, place, { devices })
      expect([command, errorsOf(result.problems).length > 0]).toEqual([command, real.status !== 0])
      neighbours = result.neighbours
    }
    const lines = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => !line.includes(':') || line.includes('lladdr 02:'))
        .sort()
    expect(lines(printNeighbours(neighbours))).toEqual(lines(shell('ip -4 neigh show dev v0').replace(/^(\S+) /gm, '$1 dev v0 ')))
    expect(printNeighbours(neighbours, { proxy: true })).toBe(shell('ip -4 neigh show proxy'))
    expect(parseNeighbours(printNeighbours(neighbours), place).problems).toEqual([])

    for (const command of [
      'add 02:00:00:00:00:02 dev w0 master',
      'add 02:00:00:00:00:03 dev w0 master static',
      'add 02:00:00:00:00:04 dev w0 master dynamic',
      'add 02:00:00:00:00:05 dev vx dst 10.0.0.2',
      'append 00:00:00:00:00:00 dev vx dst 10.0.0.3',
      'append 00:00:00:00:00:00 dev vx dst 10.0.0.4 port 4789 vni 9 via v0',
    ])
      shell(`bridge fdb ${command}`)
    const shown = shell('bridge fdb show')
    const { fdb, problems } = parseFdb(shown, place)
    expect(problems).toEqual([])
    expect(printFdb(fdb)).toBe(shown)
  })

  it('the defaults of sysctls are this kernel’s', () => {
    const text = shell(
      'sysctl -a 2>/dev/null | grep -E "^net.ipv4.(conf|neigh).v0|^net.ipv4.(icmp_|ip_default_ttl|ip_forward ' +
        '|fib_multipath_hash_policy)|^net.netfilter.nf_conntrack_(tcp|udp|icmp)"',
    )
    const { sysctls, problems } = parseSysctls(text, place)
    expect(problems).toEqual([])
    expect(Object.keys(sysctls).length).toBeGreaterThan(70)
    for (const [key, value] of Object.entries(sysctls)) expect([key, sysctlDefault(key)]).toEqual([key, value])
  })
})

/** Two -m addrtype in a row are one match to netsim. */
function merged(text: string): string {
  return text.replaceAll('--src-type LOCAL -m addrtype --dst-type', '--src-type LOCAL --dst-type')
}
