/** `trace` and `show` from words to text, in this process: real input, real network. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TraceDocument } from '../../src/analysis/trace-document.js'
import { EXAMPLE_TEXT } from '../../src/cluster/example.js'
import { netsim } from './memory-io.js'

/** The built-in example, and a rule that the owner of host-b set by hand. */
const RULE = '  hosts: [{node: host-b, iptables: ["-t filter -I FORWARD -p tcp --dport 8080 -j DROP"]}]\n'
const WITH_RULE = EXAMPLE_TEXT.replace('  kubeProxy:', `${RULE}  kubeProxy:`)

let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netsim-commands-'))
  writeFileSync(join(folder, 'deny.yaml'), WITH_RULE)
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

async function document(words: string): Promise<TraceDocument> {
  return JSON.parse((await netsim(['trace', ...words.split(' '), '-o', 'json'], { cwd: folder })).out) as TraceDocument
}

describe('show routes --table', () => {
  const WIREGUARD = ['-f', new URL('../../examples/calico-wireguard.yaml', import.meta.url).pathname]

  it('WireGuard of Calico has a table of its own; all of them name theirs', async () => {
    const [main, one, all] = await Promise.all(
      [[], ['--table', '1'], ['--table', 'all']].map((more) => netsim(['show', 'routes', 'node-1', ...WIREGUARD, ...more])),
    )
    expect(main.out).not.toContain('wireguard.cali')
    expect(one.out).toMatch(/^10\.244\.\S+ dev wireguard\.cali /m)
    expect(one.out).not.toContain('table')
    expect(all.out).toContain(main.out.split('\n')[0])
    const named = all.out.split('\n').filter((line) => line.includes(' table 1 '))
    expect(named.map((line) => line.replace(' table 1', ''))).toEqual(one.out.split('\n').filter((line) => line !== ''))
    const json = JSON.parse((await netsim(['show', 'routes', 'node-1', ...WIREGUARD, '--table', '1', '-o', 'json'])).out) as { items: { entries: unknown[] }[] }
    expect(json.items[0].entries).toHaveLength(named.length)
  })

  it.each([
    [['routes', '--table', 'mian'], "'mian' is no routing table: it is a number, main, local, default or all"],
    [['rules', '--table', '1'], '--table is of routes, not of rules'],
  ])('%j: %s', async (words, fault) => {
    const { code, err } = await netsim(['show', ...words])
    expect(code).toBe(2)
    expect(err).toContain(fault)
  })
})

describe('trace', () => {
  it('of the built-in example: TTL 60 at arrival, 28 bytes added, a frame of 126', async () => {
    const { code, out, err } = await netsim(['trace', 'pod-a', 'pod-b'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out.split('\n').slice(0, 2)).toEqual([
      'default/pod-a 10.1.15.2 → default/pod-b 10.1.20.3   ICMP echo, 84 bytes',
      'flannel udp · docker · 2 nodes from built-in example · seed 1 · warm',
    ])
    expect(out).toMatch(/^DELIVERED {2}default\/pod-a reaches default\/pod-b with ttl 60; reply DELIVERED/m)
    expect(out).toContain('84 + 28 overhead = 112 bytes on the underlay, 126 in a frame (14 Ethernet)')
    expect(out).toContain('1500 underlay - 20 IP - 8 UDP = 1472 inside; TCP MSS 1472 - 40 = 1432')
  })

  it.each([80, 100])('fits %i columns at every depth', async (width) => {
    for (const depth of [[], ['-v'], ['-vv'], ['-vvv']]) {
      const { out } = await netsim(['trace', 'pod-a', 'pod-b:80', ...depth], { env: { COLUMNS: String(width) } })
      expect(out.split('\n').filter((line) => line.length > width)).toEqual([])
    }
  })

  it('is the same bytes each time, and other chance fields with another seed', async () => {
    const words = ['trace', 'pod-a', 'pod-b', '-o', 'json']
    const first = await netsim(words)
    expect(await netsim(words)).toEqual(first)
    expect((await netsim([...words, '--seed', '2'])).out).not.toBe(first.out)
  })

  it('a rule of the host’s owner denies it: exit 1, the rule and its line', async () => {
    const { code, out } = await netsim(['trace', 'pod-a', 'pod-b:8080', '-f', 'deny.yaml'], { cwd: folder })
    expect(code).toBe(1)
    const line = WITH_RULE.split('\n').findIndex((text) => text.includes('--dport 8080')) + 1
    expect(out).toMatch(/^DENIED {2}step \d+, host-b \/ host, filter\/FORWARD rule 1 +kernel: NETFILTER_DROP$/m)
    expect(out).toContain(`deny.yaml:${line}`)
  })

  it.each([
    ['DENIED', 0],
    ['denied,rejected', 0],
    ['DELIVERED', 1],
  ])('--expect %s of that ends with %i', async (expected, code) => {
    expect((await netsim(['trace', 'pod-a', 'pod-b:8080', '-f', 'deny.yaml', '--expect', expected], { cwd: folder })).code).toBe(code)
  })

  it('what is not modelled yet ends with status 4 and its name', async () => {
    for (const [words, what] of [
      ['pod-a fd00::1', 'IPv6 is not modelled'],
      ['pod-a www.example.com:80', 'no name of the cluster'],
      ['pod-a pod-b:80 --proto sctp', 'sctp is not modelled'],
    ]) {
      const { code, out, err } = await netsim(['trace', ...words.split(' ')])
      expect({ code, out }, words).toEqual({ code: 4, out: '' })
      expect(err, words).toContain(what)
    }
    expect((await netsim(['trace', 'pod-a', 'nobody'])).code).toBe(2)
  })

  it('--summary is the last block alone', async () => {
    const whole = (await netsim(['trace', 'pod-a', 'pod-b'])).out
    const { out } = await netsim(['trace', 'pod-a', 'pod-b', '--summary'])
    expect(out).toMatch(/^DELIVERED /)
    expect(whole.endsWith(`\n\n${out}`)).toBe(true)
  })

  it('the flags reach the packet', async () => {
    const { request } = await document('pod-a pod-b:9000 --proto udp --sport 1234 --size 100 --df --ttl 9 --cold --seed 3')
    expect(request).toMatchObject({ proto: 'udp', sport: 1234, dport: 9000, size: 100, df: true, ttl: 9, cold: true })
    expect((await document('pod-a pod-b --ttl 1')).disposition).toBe('TTL_EXCEEDED')
  })

  it('-o json carries what the input was, and no colour', async () => {
    const { out } = await netsim(['trace', 'pod-a', 'pod-b', '-o', 'json', '--color', 'always', '-f', 'deny.yaml'], { cwd: folder })
    expect(out).not.toContain('\u001b')
    const { metadata } = JSON.parse(out) as TraceDocument
    expect(metadata).toMatchObject({ inputs: ['deny.yaml'], cni: 'flannel', backend: 'udp', seed: 1, warm: true, runtime: 'docker', nodes: 2 })
  })

  it('colours come by flag, environment or terminal', async () => {
    const words = ['trace', 'pod-a', 'pod-b']
    expect((await netsim(words)).out).not.toContain('\u001b')
    expect((await netsim(words, { terminal: true })).out).toContain('\u001b[32mDELIVERED')
    expect((await netsim([...words, '--no-color'], { terminal: true })).out).not.toContain('\u001b')
    expect((await netsim([...words, '--color', 'always'], { env: { NO_COLOR: '1' } })).out).toContain('\u001b')
  })

  it('--svg writes the picture, or prints it in place of the text', async () => {
    const beside = await netsim(['trace', 'pod-a', 'pod-b', '--svg', 'path.svg'], { cwd: folder })
    expect(beside.out).toMatch(/^default\/pod-a /)
    const { out } = await netsim(['trace', 'pod-a', 'pod-b', '--svg', '-'])
    expect(out).toMatch(/^<svg /)
    expect(readFileSync(join(folder, 'path.svg'), 'utf8')).toBe(out)
    for (const station of ['pod default/pod-a', 'docker0', 'flannel0', 'flanneld', 'eth0', 'pod default/pod-b']) expect(out).toContain(`>${station}<`)
    expect(out).toContain('126 B on wire')
  })

  it('an --svg that cannot be written is told, exit 2', async () => {
    const { code, out, err } = await netsim(['trace', 'pod-a', 'pod-b', '--svg', 'no/such/folder.svg'], { cwd: folder })
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/--svg no\/such\/folder\.svg cannot be written/)
  })

  it.each([
    ['pod-a', 'pod-c', /there is no pod "pod-c"[^]*Did you mean/],
    ['pod-a', 'pod-b:99999', /99999 is not a port/],
    ['pod-a', 'node/host-z', /there is no node "host-z"/],
    ['ghost/pod-a', 'pod-b', /there is no pod/],
  ])('%s to %s is no question: exit 2', async (source, destination, says) => {
    const { code, out, err } = await netsim(['trace', source, destination])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(says)
  })

  it.each([
    ['kind: [', /^-:1: error:/],
    ['apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 10.0.0.300}]}\n', /^-:4: error: Node\/n1: /],
    ['\u0000\u0001', /^-: error: is a binary file/],
    ['{"kind": ', /^-:1: error:/],
  ])('bad input %j: Problems with their line, exit 3', async (text, says) => {
    const { code, out, err } = await netsim(['trace', 'pod-a', 'pod-b', '-f', '-'], { stdin: text })
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toMatch(says)
    expect(err).not.toMatch(/ {4}at /)
  })
})

describe('show', () => {
  const show = async (words: string): Promise<string> => {
    const { code, out, err } = await netsim(['show', ...words.split(' ')])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    return out
  }

  it('routes are ip route text, a comment before each node', async () => {
    const one = await show('routes host-a')
    expect(one.split('\n').map((line) => line.trimEnd())).toEqual([
      'default via 192.168.0.254 dev eth0',
      '10.1.0.0/16 dev flannel0',
      '10.1.15.0/24 dev docker0 proto kernel scope link src 10.1.15.1',
      '192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.100',
      '',
    ])
    expect(await show('routes')).toBe(`# node host-a\n${one}# node host-b\n${await show('routes node/host-b')}`)
  })

  it('nodes, pods and leases are tables', async () => {
    expect((await show('nodes')).split('\n')).toEqual([
      'NAME     INTERNAL-IP     POD-SUBNET     SEGMENT   MTU',
      'host-a   192.168.0.100   10.1.15.0/24   s0        1500',
      'host-b   192.168.0.200   10.1.20.0/24   s0        1500',
      '',
    ])
    expect(await show('pods host-b')).toBe('NAMESPACE   NAME    STATUS    IP          NODE\ndefault     pod-b   Running   10.1.20.3   host-b\n')
    expect(await show('leases')).toMatch(/^SUBNET +PUBLIC-IP +NODE +BACKEND +EXPIRES +BACKEND-DATA\n10\.1\.15\.0\/24 +192\.168\.0\.100 +host-a /)
  })

  it('a pod by its full name, with its kind, or bare', async () => {
    const addresses = await show('addr default/pod-a')
    expect(addresses).toContain('inet 10.1.15.2/24')
    expect(await show('addr pod-a')).toBe(addresses)
    expect(await show('addr pod/pod-a')).toBe(addresses)
    expect((await netsim(['show', 'addr', 'pod-a', '-n', 'shop'])).err).toMatch(/there is no node or pod 'pod-a'/)
  })

  it('iptables, etcd, subnet-env and docker-opts in their own forms', async () => {
    const saved = await show('iptables host-a')
    expect(saved).toMatch(/^\*(filter|nat)\n[^]*^COMMIT\n/m)
    expect(saved).toContain('-A POSTROUTING -s 10.1.0.0/16 -d 10.1.0.0/16 -j RETURN\n')
    expect(await show('etcd')).toContain('/coreos.com/network/subnets/10.1.15.0-24\n{"PublicIP":"192.168.0.100"')
    expect(await show('subnet-env host-a')).toBe('FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.15.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n')
    expect(await show('docker-opts host-a')).toContain('--bip=10.1.15.1/24 --ip-masq=false --mtu=1472')
    expect(await show('rules host-a')).toMatch(/^0:\tfrom all lookup local/)
  })

  it('-o json has words for addresses', async () => {
    const { items } = JSON.parse(await show('routes host-a -o json')) as { items: { netns: string; entries: Record<string, unknown>[] }[] }
    expect(items).toHaveLength(1)
    expect(items[0].netns).toBe('host-a')
    expect(items[0].entries).toContainEqual(expect.objectContaining({ destination: '0.0.0.0/0', via: '192.168.0.254', device: 'eth0' }))
  })

  it('a node that is not there: exit 2', async () => {
    const { code, out, err } = await netsim(['show', 'routes', 'host-c'])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/there is no node or pod 'host-c'. Did you mean host-/)
  })
})
