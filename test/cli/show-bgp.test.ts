/** `show bgp`, `bird`, `sessions` and those of Calico's IPAM: the words of birdc, confd and calicoctl; and clear refusals where there is none of it. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { bgpManifest, type BgpManifest } from '../calico/bgp/manifest.js'
import { netsim } from './memory-io.js'

const folder = mkdtempSync(join(tmpdir(), 'netsim-show-bgp-'))

function file(manifest: BgpManifest): string {
  const path = join(folder, 'cluster.yaml')
  writeFileSync(path, bgpManifest(manifest))
  return path
}

const example = (name: string): string => fileURLToPath(new URL(`../../examples/${name}.yaml`, import.meta.url))

async function shown(words: readonly string[], input: string): Promise<string> {
  const { code, out, err } = await netsim(['show', ...words, '-f', input])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

describe('show bgp', () => {
  it('reads like birdc', async () => {
    // birdc pads the last column
    expect((await shown(['bgp', 'n1'], file({ nodes: 2 }))).replace(/ +$/gm, '')).toBe(`BIRD v0.3.3+birdv1.6.8 ready.
name     proto    table    state  since       info
static1  Static   master   up     00:00:00
kernel1  Kernel   master   up     00:00:00
device1  Device   master   up     00:00:00
direct1  Direct   master   up     00:00:00
Mesh_10_0_0_2 BGP      master   up     00:00:02    Established

BIRD v0.3.3+birdv1.6.8 ready.
0.0.0.0/0          via 10.0.0.254 on eth0 [kernel1 00:00:00] * (10)
10.0.0.0/24        dev eth0 [direct1 00:00:00] * (240)
10.244.1.0/26      blackhole [static1 00:00:00] * (200)
10.244.1.5/32      dev cali182c452fe96 [kernel1 00:00:00] * (10)
10.244.2.0/26      via 10.0.0.2 on eth0 [Mesh_10_0_0_2 00:00:02] * (100/0) [i]
`)
  })

  it('--all: attributes; a reflected route has its originator', async () => {
    const out = await shown(['bgp', 'n1', '--all'], file({ nodes: 3, reflectors: ['n3'] }))
    expect(out).toContain('10.244.2.0/26      via 10.0.0.2 on eth0 [Node_10_0_0_3 00:00:02 from 10.0.0.3] * (100/0) [i]\n\tType: BGP unicast univ\n')
    expect(out).toContain('\tBGP.originator_id: 10.0.0.2\n\tBGP.cluster_list: 244.0.0.1\n')
  })

  it('every speaker behind its name, routers too', async () => {
    const out = await shown(['bgp'], example('calico-fabric'))
    expect(out.match(/^# node .*$/gm)).toEqual(
      ['rack1-a', 'rack1-b', 'rack2-a', 'rack2-b', 'router/spine', 'router/tor-1', 'router/tor-2'].map((name) => `# node ${name}`),
    )
    expect(await shown(['bgp', 'router/spine'], example('calico-fabric'))).toMatch(/via 10\.0\.2\.2 on eth1 \[peer2 00:00:02\] \* \(100\/0\) \[AS65102i\]/)
  })

  it('-o json: sessions, routes with attributes, and the run', async () => {
    const document = JSON.parse(await shown(['bgp', 'n1', '-o', 'json'], file({ nodes: 5 }))) as {
      readonly items: readonly { readonly netns: string; readonly sessions: readonly object[]; readonly routes: readonly { readonly prefix: string }[] }[]
      readonly run: object
    }
    expect(document.items).toHaveLength(1)
    expect(document.items[0]).toMatchObject({ netns: 'n1', routerId: '10.0.0.1', asNumber: 64512 })
    expect(document.items[0].sessions[0]).toMatchObject({ protocol: 'Mesh_10_0_0_2', peer: '10.0.0.2', state: 'Established', passive: true, routes: 1 })
    expect(document.items[0].routes.find(({ prefix }) => prefix === '10.244.3.0/26')).toEqual({
      prefix: '10.244.3.0/26',
      best: true,
      protocol: 'Mesh_10_0_0_3',
      kind: 'bgp',
      preference: 100,
      type: 'unicast',
      via: '10.0.0.3',
      device: 'eth0',
      from: '10.0.0.3',
      nextHop: '10.0.0.3',
      asPath: '',
      localPreference: 2147482623,
    })
    // calico-bgp-ipam.md 2.4: five nodes
    expect(document.run).toMatchObject({
      sessions: 10,
      established: 10,
      handshakes: 10,
      messages: { open: 20, keepalive: 20, update: 20, endOfRib: 20, withdraw: 0, refresh: 0, notification: 0 },
      prefixes: 20,
      bytes: 3160,
    })
  })

  it('show sessions: states with their reasons, and the counts of the run', async () => {
    const input = file({ nodes: 3, network: { hosts: [{ node: 'n1', iptables: ['-I INPUT -p tcp --dport 179 -j REJECT'] }] } })
    const { code, out, err } = await netsim(['show', 'sessions', '-f', input])
    expect(code).toBe(0)
    expect(err).toContain('lost at n1: filter/INPUT #1 rejects it')
    expect(out.split('\n').filter((line) => line.startsWith('n2'))).toEqual([
      expect.stringMatching(/^n2 +Mesh_10_0_0_1 +10\.0\.0\.1 +64512 +iBGP +(Active|Idle|Connect) +<none> +0 +Socket: Connection refused$/),
      expect.stringMatching(/^n2 +Mesh_10_0_0_3 +10\.0\.0\.3 +64512 +iBGP passive +Established +00:00:02\.\d{3} +1 /),
    ])
    expect(out).toContain('# 3 sessions, 1 established, after 1 TCP handshake\n# 2 OPEN, 2 KEEPALIVE, 2 UPDATE with 2 prefixes')
  })

  it.each([
    [['bgp', 'default/p1'], 'default/p1 speaks no BGP. There are n1, n2.'],
    [['bird', 'router/router'], 'router/router speaks no BGP'],
    [['ipam', 'router/router'], 'ipam is of nodes: router/router is none'],
  ])('%j', async (words, said) => {
    const { code, err } = await netsim(['show', ...words, '-f', file({ nodes: 2 })])
    expect(code).toBe(2)
    expect(err).toContain(said)
  })

  it.each([
    ['canal', "nobody speaks BGP here: Canal's pods are reached by flannel"],
    ['flannel-vxlan', "nobody speaks BGP here: the pods' network is flannel's"],
    ['docker-only', "nobody speaks BGP here: the pods' network is plain docker"],
  ])('examples/%s.yaml: nobody speaks it', async (name, said) => {
    const { code, out, err } = await netsim(['show', 'bgp', '-f', example(name)])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(said)
  })

  it('calico-node with the backend vxlan', async () => {
    const backend = { apiVersion: 'operator.tigera.io/v1', kind: 'Installation', metadata: { name: 'default' }, spec: { calicoNetwork: { bgp: 'Disabled' } } }
    const { code, err } = await netsim(['show', 'bgp', '-f', file({ nodes: 2, objects: [backend] })])
    expect(code).toBe(2)
    expect(err).toContain('nobody speaks BGP here: calico-node runs with the backend vxlan')
  })
})

describe('show bird', () => {
  it('what confd renders, or the same for BIRD 2; a router’s always for BIRD 2', async () => {
    const calico = await shown(['bird', 'n1'], file({ nodes: 2 }))
    expect(calico).toContain('protocol bgp Mesh_10_0_0_2 from bgp_template {')
    expect(calico).toContain('  add paths on;')
    expect(calico).not.toContain('ipv4 {')
    expect(await shown(['bird', 'n1', '--dialect', 'bird2'], file({ nodes: 2 }))).toContain('  ipv4 {')
    expect(await shown(['bird', 'router/tor-1'], example('calico-fabric'))).toContain('    next hop self ebgp;')
    expect((await shown(['bird'], file({ nodes: 2 }))).match(/^# node n\d$/gm)).toEqual(['# node n1', '# node n2'])
  })
})

describe('Calico’s IPAM', () => {
  it('show ipam is calicoctl’s table', async () => {
    expect(await shown(['ipam'], file({ nodes: 2 }))).toBe(`+----------+---------------+-----------+------------+--------------+
| GROUPING |     CIDR      | IPS TOTAL | IPS IN USE |   IPS FREE   |
+----------+---------------+-----------+------------+--------------+
| IP Pool  | 10.244.0.0/16 |     65536 | 2 (0%)     | 65534 (100%) |
| Block    | 10.244.1.0/26 |        64 | 1 (2%)     | 63 (98%)     |
| Block    | 10.244.2.0/26 |        64 | 1 (2%)     | 63 (98%)     |
+----------+---------------+-----------+------------+--------------+
`)
  })

  it('a pool of a million addresses has five digits, as Go’s %.5g', async () => {
    expect(await shown(['ipam'], file({ nodes: 1, pool: { cidr: '10.240.0.0/12' } }))).toContain(
      '| IP Pool  | 10.240.0.0/12 | 1.0486e+06 | 1 (0%)     | 1.0486e+06 (100%) |',
    )
  })

  it('blocks, pools and endpoints', async () => {
    const input = file({ nodes: 2 })
    expect(await shown(['blocks', 'n2'], input)).toBe(
      'CIDR            NODE   AFFINITY    IN-USE   BORROWED   NEXT\n10.244.2.0/26   n2     confirmed   1/64     0          10.244.2.0\n',
    )
    expect(await shown(['ippools'], input)).toMatch(/default-ipv4-ippool +10\.244\.0\.0\/16 +false +Never +Never +false +false +26 +all\(\)/)
    expect(await shown(['wep', 'n1'], input)).toMatch(/^default +p1 +n1 +10\.244\.1\.5\/32 +cali182c452fe96 +kns\.default,ksa\.default\.default$/m)
    const { items } = JSON.parse(await shown(['blocks', 'n1', '-o', 'json'], input)) as {
      readonly items: readonly { readonly allocations: readonly object[] }[]
    }
    expect(items[0].allocations).toEqual([expect.objectContaining({ address: '10.244.1.5', for: 'default/p1' })])
  })
})
