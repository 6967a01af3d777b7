/** `show sysctls --all` against what a real kernel prints. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { allSysctls } from '../../src/cli/show-sysctls.js'
import { EMPTY_DATAPLANE, type Dataplane, type DeviceSpec } from '../../src/dataplane/dataplane.js'
import { printSysctls } from '../../src/dataplane/sysctl.js'
import { netsim } from './memory-io.js'

/** `sysctl -a` of net.ipv4, net.bridge and net.netfilter in a new netns of Linux 6.18 with two veths, after `sysctl -w net.ipv4.ip_forward=1`. */
const REAL = readFileSync(new URL('sysctl-a.txt', import.meta.url), 'utf8')
  .split('\n')
  .slice(0, -1)

const veth = (name: string): DeviceSpec => ({ kind: 'veth', name, mtu: 1500, mac: 2, up: true, addresses: [], peer: { netns: 'other', device: name } })
const LOOPBACK: DeviceSpec = { kind: 'loopback', name: 'lo', mtu: 65536, mac: 0, up: true, addresses: [] }
const ROUTER: Dataplane = { ...EMPTY_DATAPLANE, netns: 'default/r', devices: [LOOPBACK, veth('v1'), veth('v2')], sysctls: { 'net.ipv4.ip_forward': 1 } }

const keyOf = (line: string): string => line.split(' = ')[0]

describe('show sysctls --all', () => {
  it('prints the lines that the kernel prints', () => {
    const lines = printSysctls(allSysctls(ROUTER)).split('\n').slice(0, -1)
    const known = new Set(lines.map(keyOf))
    expect(lines).toEqual(REAL.filter((line) => known.has(keyOf(line))))
    expect(lines.length).toBeGreaterThan(370)
  })

  it('of a node has what the first netns alone has', async () => {
    const { code, out, err } = await netsim(['show', 'sysctls', 'host-a', '--all'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const lines = out.split('\n')
    for (const line of ['net.ipv4.ip_forward = 1', 'net.ipv4.conf.docker0.forwarding = 1', 'net.ipv4.neigh.default.gc_thresh1 = 128'])
      expect(lines).toContain(line)
    expect((await netsim(['show', 'sysctls', 'pod-a', '--all'])).out).not.toContain('neigh.default')
  })

  it('writes a device’s dot as sysctl does', () => {
    const { devices } = { ...ROUTER, devices: [veth('flannel.1')] }
    expect(printSysctls(allSysctls({ ...ROUTER, devices }))).toContain('\nnet.ipv4.conf.flannel/1.rp_filter = 0\n')
  })

  it('without --all prints what was set, and the same in JSON', async () => {
    const { out } = await netsim(['show', 'sysctls', 'host-a'])
    expect(out).toMatch(/^net\.bridge\.bridge-nf-call-iptables = 1\n/)
    expect(out).not.toContain('tcp_')
    const { items } = JSON.parse((await netsim(['show', 'sysctls', 'host-a', '--all', '-o', 'json'])).out) as { items: { entries: object }[] }
    expect(items[0].entries).toMatchObject({ 'net.ipv4.ip_forward': 1, 'net.ipv4.ip_default_ttl': 64 })
  })

  it('is of sysctls, bgp and timeline alone', async () => {
    expect(await netsim(['show', 'routes', '--all'])).toEqual({ code: 2, out: '', err: 'error: --all is of sysctls, bgp and timeline, not of routes\n' })
  })
})
