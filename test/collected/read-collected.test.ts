/**
 * The folder of examples/nodes was written by the script itself in the namespaces of a network made for real; here it is read. What is not as it should be
 * with a folder is said, and what no reader knows is named.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { parseMac } from '../../src/base/mac.js'
import { printAddresses } from '../../src/dataplane/ip-address.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { printIptablesSave } from '../../src/dataplane/iptables-save.js'
import type { CollectedFile, CollectedNode } from '../../src/collected/collected-node.js'
import { readCollected } from '../../src/collected/read-collected.js'

const FOLDER = new URL('../../examples/nodes/node-2/', import.meta.url)

function example(): Map<string, string> {
  const entries = readdirSync(FOLDER, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(
    entries.map((entry) => {
      const path = `${entry.parentPath}/${entry.name}`.replace(FOLDER.pathname, '').replace(/^\/+/, '')
      return [path, readFileSync(new URL(path, FOLDER), 'utf8')]
    }),
  )
}

function filesOf(texts: ReadonlyMap<string, string>): CollectedFile[] {
  return [...texts].map(([path, text]) => ({ file: `dump/${path}`, path, text }))
}

function nodeOf(texts: ReadonlyMap<string, string>): CollectedNode {
  const { node, problems } = readCollected('dump', filesOf(texts))
  expect(problems).toEqual([])
  if (node === undefined) throw new Error('no node')
  return node
}

/** The same dump with a line more in one file. */
function withLine(path: string, line: string): Map<string, string> {
  const texts = example()
  return texts.set(path, `${texts.get(path) ?? ''}${line}\n`)
}

const words = (text: string): string => text.replace(/ +\n/g, '\n').replace(/\[\d+:\d+\]/g, '')

describe('a dump that the script wrote', () => {
  const texts = example()
  const node = nodeOf(texts)

  it('tells the node, its kernel and its tools', () => {
    expect([node.name, node.hostname, node.kernel, node.format, node.missing, node.problems, node.notUnderstood]).toEqual([
      'node-2',
      'node-2',
      'Linux 6.18.44 x86_64',
      1,
      [],
      [],
      [],
    ])
    expect(node.tools.get('iptables')).toMatch(/^iptables v1\.8\.9 \(nf_tables\)$/)
  })

  it('has each device with its kind, its addresses and its line', () => {
    const kinds = node.dataplane.devices.map(({ name, kind, mtu, up, provenance }) => [name, kind, mtu, up, `${provenance?.file}:${provenance?.line}`])
    const lines = (texts.get('node/addr') ?? '').split('\n')
    const at = (name: string): string => `dump/node/addr:${lines.findIndex((line) => new RegExp(`^\\d+: ${name}[@:]`).test(line)) + 1}`
    expect(kinds).toEqual([
      ['lo', 'loopback', 65536, true, at('lo')],
      ['eth0', 'nic', 1500, true, at('eth0')],
      ['veth525527bb', 'veth', 1450, true, at('veth525527bb')],
      ['flannel.1', 'vxlan', 1450, true, at('flannel.1')],
      ['cni0', 'bridge', 1450, true, at('cni0')],
    ])
    expect(node.dataplane.devices.find(({ name }) => name === 'flannel.1')).toMatchObject({
      vni: 1,
      port: 8472,
      local: ip('192.168.10.12'),
      link: 'eth0',
      learning: false,
      udpChecksum: true,
      mac: parseMac('5e:1d:0c:a6:31:02'),
    })
    expect(node.dataplane.devices.find(({ kind }) => kind === 'veth')).toMatchObject({
      master: 'cni0',
      bridgePort: { hairpin: true },
      peer: { netns: 'shop/api-0', device: 'eth0' },
    })
  })

  it('prints as the tools printed it', () => {
    expect(words(printRoutes(node.dataplane.routes, { table: 'all' }))).toBe(words(texts.get('node/route') ?? ''))
    const inet = (text: string): string[] => text.split('\n').flatMap((line) => /inet \S+/.exec(line)?.[0] ?? [])
    expect(inet(printAddresses(node.dataplane.devices))).toEqual(inet(texts.get('node/addr') ?? ''))
    const rules = (text: string): string[] => text.split('\n').filter((line) => /^(\[\d+:\d+\] )?-A /.test(line))
    const nft = node.iptablesBackends.find(({ backend }) => backend === 'nft')
    expect(rules(words(printIptablesSave(nft?.state ?? { tables: [] })))).toEqual(rules(words(texts.get('node/iptables-nft') ?? '').replaceAll('\n ', '\n')))
  })

  it('keeps both backends of iptables apart, the one that iptables speaks to first', () => {
    expect(node.iptablesBackends.map(({ backend, rules }) => [backend, rules > 0])).toEqual([
      ['nft', true],
      ['legacy', false],
    ])
    const filters = node.dataplane.iptables.tables.filter(({ name }) => name === 'filter')
    expect(filters.map(({ chains }) => chains.find(({ name }) => name === 'FORWARD')?.policy)).toEqual(['ACCEPT', 'DROP'])
    expect(filters[1].chains.find(({ name }) => name === 'FORWARD')?.provenance).toEqual({ by: 'dump', file: 'dump/node/iptables-legacy', line: 4 })
  })

  it('finds which veth is which pod’s, and who listens there', () => {
    expect(node.pods).toHaveLength(1)
    const [pod] = node.pods
    expect([pod.name, pod.known, pod.veth, pod.dataplane?.netns]).toEqual(['shop/api-0', true, 'veth525527bb', 'shop/api-0'])
    expect(pod.dataplane?.devices.find(({ name }) => name === 'eth0')).toMatchObject({ kind: 'veth', peer: { netns: 'node-2', device: 'veth525527bb' } })
    expect(pod.dataplane?.sockets.map(({ proto, address, port }) => [proto, address, port])).toEqual([['tcp', 0, 8080]])
  })

  it('knows the line of every route, neighbour, FDB entry and rule', () => {
    const { routes, neighbours, fdb, iptables } = node.dataplane
    const lineOf = (path: string, line: number | undefined): string => (texts.get(path) ?? '').split('\n')[(line ?? 0) - 1]
    for (const route of routes) expect(words(`${printRoutes([route], { table: 'all' })}`).trim()).toBe(lineOf('node/route', route.provenance?.line).trim())
    expect(neighbours.every(({ provenance, device }) => lineOf('node/neigh', provenance?.line).includes(` dev ${device} `))).toBe(true)
    expect(fdb.every(({ provenance, device }) => lineOf('node/fdb', provenance?.line).includes(` dev ${device} `))).toBe(true)
    const rules = iptables.tables.flatMap(({ chains }) => chains.flatMap((chain) => chain.rules.map((rule) => ({ chain, rule }))))
    expect(rules.length).toBeGreaterThan(20)
    for (const { chain, rule } of rules) expect(lineOf('node/iptables-nft', rule.provenance?.line)).toContain(`-A ${chain.name} `)
  })
})

describe('what is no dump, or not of this kind', () => {
  const saysOf = (change: (texts: Map<string, string>) => void, called?: string): string[] => {
    const texts = example()
    change(texts)
    const { node, problems } = readCollected('dump', filesOf(texts), called)
    expect(node).toBeUndefined()
    return problems.map(({ severity, file, line, what }) => `${severity} ${file}:${line} ${what}`)
  }

  it.each<[string, (texts: Map<string, string>) => void, string]>([
    ['no manifest', (texts) => texts.delete('manifest'), 'error dump:0 no dump of a node: it has no file "manifest"'],
    [
      'another manifest',
      (texts) => texts.set('manifest', 'layers 3\n'),
      'error dump/manifest:1 no dump of a node: its manifest does not begin with "netsim-collect"',
    ],
    ['another format', (texts) => texts.set('manifest', 'netsim-collect 7\nnode n1\n'), 'error dump/manifest:1 the dump has the format 7; this netsim reads 1'],
    ['no name', (texts) => texts.set('manifest', 'netsim-collect 1\n'), 'error dump/manifest:1 the manifest names no node'],
    [
      'another kernel',
      (texts) => texts.set('manifest', 'netsim-collect 1\nnode n1\nkernel FreeBSD 14.1 amd64\n'),
      'error dump/manifest:1 the dump of n1 is of the kernel "FreeBSD 14.1 amd64"',
    ],
    ['no devices', (texts) => texts.delete('node/addr'), 'error dump/manifest:1 the dump of node-2 has no node/addr: nothing is known of its devices'],
  ])('%s', (_, change, says) => {
    expect(saysOf(change)).toEqual([says])
  })

  it('a file of which nothing can be read is an error, a line that cannot be read a warning', () => {
    const severities = (texts: ReadonlyMap<string, string>): string[] => {
      const { node, problems } = readCollected('dump', filesOf(texts))
      return [...problems, ...(node?.problems ?? [])].map(({ severity, file }) => `${severity} ${file}`)
    }
    expect(severities(example().set('node/addr', '\u0000\u0001 nothing\n'))).toEqual(['error dump/node/addr'])
    expect(severities(withLine('node/addr', 'nothing of the kind'))).toEqual(['warning dump/node/addr'])
  })

  it('a file that is not there, and of which the dump says nothing, is named as missing', () => {
    const texts = example()
    for (const path of ['node/route', 'node/sysctl', 'node/iptables-legacy', 'node/iptables-nft', 'node/fdb']) texts.delete(path)
    const told = nodeOf(texts.set('missing', 'node/fdb: bridge is not on this node\n')).missing
    expect(told.map(({ what, file, line }) => `${file}:${line} ${what}`)).toEqual([
      'dump/missing:1 node/fdb: bridge is not on this node',
      'dump:0 node/route: the dump has no such file',
      'dump:0 node/sysctl: the dump has no such file',
      'dump:0 node/iptables-legacy, node/iptables-nft: the dump has neither file',
    ])
    const one = example()
    one.delete('node/iptables-legacy')
    expect(nodeOf(one).missing).toEqual([])
    const none = example().set('missing', 'node/iptables: iptables-save is not on this node\n')
    for (const path of ['node/iptables-legacy', 'node/iptables-nft']) none.delete(path)
    expect(nodeOf(none).missing.map(({ what }) => what)).toEqual(['node/iptables: iptables-save is not on this node'])
  })

  it('devices in no words of ip, or none at all, are no node', () => {
    const empty = readCollected('dump', filesOf(example().set('node/addr', '')))
    expect([empty.node, empty.problems.map(({ what }) => what)]).toEqual([undefined, ['the dump of node-2 tells of no device']])
    const ifconfig = readCollected('dump', filesOf(example().set('node/addr', 'eth0 Link encap:Ethernet  HWaddr 9e:4c:6b:54:b6:36\n')))
    expect([ifconfig.node, ifconfig.problems.map(({ severity, what }) => `${severity} ${what}`)]).toEqual([
      undefined,
      ['error "eth0 Link encap:Ethernet  HWaddr 9e:4c:6b:54:b6:36" is no line of ip addr'],
    ])
  })

  it('a device that a route names and nothing shows is kept as one of which nothing is known', () => {
    const { dataplane, notUnderstood } = nodeOf(withLine('node/route', '10.99.0.0/16 dev gone0 scope link'))
    expect(dataplane.devices.find(({ name }) => name === 'gone0')).toMatchObject({
      kind: 'other',
      type: 'unknown',
      why: expect.stringContaining('gone0') as string,
    })
    expect(dataplane.routes.some(({ device }) => device === 'gone0')).toBe(true)
    const told = notUnderstood.filter(({ what }) => what.includes('gone0'))
    expect(told).toHaveLength(1)
    expect(told[0].file).toContain('node/route')
    expect(nodeOf(example()).dataplane.devices.every(({ kind }) => kind !== 'other')).toBe(true)
  })

  it('settings of which none can be read are an error, one of many a warning; a value that is none of a setting that counts is told', () => {
    const { node } = readCollected('dump', filesOf(example().set('node/sysctl', 'ipv4 dev lo forwarding on rp_filter off\nipv4 dev eth0 forwarding on\n')))
    expect(node?.problems).toMatchObject([
      { severity: 'error', file: 'dump/node/sysctl', line: 1, what: '"ipv4 dev lo forwarding on rp_filter off" is no sysctl setting' },
    ])
    const said = (line: string): string[] => nodeOf(withLine('node/sysctl', line)).problems.map(({ severity, what }) => `${severity} ${what}`)
    expect(said('ipv4 dev lo forwarding on')).toEqual(['warning "ipv4 dev lo forwarding on" is no sysctl setting'])
    expect(said('net.ipv4.ip_forward = yes')).toEqual(['warning the sysctl net.ipv4.ip_forward has the value "yes", which is none of its: left out'])
    expect(said('net.ipv4.ip_forward = 1 0')).toHaveLength(1)
    expect(said('net.ipv4.tcp_congestion_control = cubic\nnet.core.rmem_max = many')).toEqual([])
  })

  it('a name on the command line is the node’s', () => {
    const { node } = readCollected('dump', filesOf(example()), 'n9')
    expect([node?.name, node?.dataplane.netns, node?.pods[0].dataplane?.devices.find(({ kind }) => kind === 'veth')]).toMatchObject([
      'n9',
      'n9',
      { peer: { netns: 'n9' } },
    ])
  })
})

const DEVICE = (name: string, detail: string, rest = ''): string =>
  `77: ${name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc noqueue state UP\n` +
  `    link/ether 02:00:00:00:00:77 brd ff:ff:ff:ff:ff:ff${rest}\n    ${detail}\n` +
  '    inet 172.30.0.7/24 scope global x'

describe('devices', () => {
  const device = (text: string, more: Record<string, string> = {}): readonly [unknown, readonly string[]] => {
    const texts = withLine('node/addr', text)
    for (const [path, content] of Object.entries(more)) texts.set(path, content)
    const node = nodeOf(texts)
    return [node.dataplane.devices.at(-1), node.notUnderstood.map(({ what }) => what)]
  }

  it.each([
    ['macvlan', 'macvlan mode bridge numtxqueues 1'],
    ['gretap', 'gretap remote 10.0.0.1 local 10.0.0.2 ttl inherit nopmtudisc'],
    ['geneve', 'geneve id 7 remote 10.0.0.1 ttl auto dstport 6081 noudpcsum'],
  ])('%s is named, not guessed', (kind, detail) => {
    const [spec, notes] = device(DEVICE('odd0@eth0', detail))
    expect(spec).toMatchObject({ kind: 'other', name: 'odd0', type: kind, mtu: 1400 })
    expect(notes).toEqual([`odd0 is a device of kind ${kind}, which is not modelled`])
  })

  it('a bond with the host’s address is taken as one card, and said to be', () => {
    const [spec, notes] = device(DEVICE('bond0', 'bond mode 802.3ad miimon 100'))
    expect(spec).toMatchObject({ kind: 'nic', name: 'bond0' })
    expect(notes).toEqual(['bond0 is a bond: it is taken as one card'])
  })

  it('a veth whose other end nobody gathered says so', () => {
    const [spec, notes] = device(
      '78: veth9@if4: <BROADCAST,UP,LOWER_UP> mtu 1450 master cni0 state UP\n    link/ether 02:00:00:00:00:78 brd ff:ff:ff:ff:ff:ff link-netnsid 9\n    veth',
    )
    expect(spec).toMatchObject({ kind: 'other', type: 'veth', master: 'cni0' })
    expect(notes).toEqual(['the other end of the veth veth9 is not in the dump'])
  })

  it('what sits on a card is no veth, where nobody says what it is', () => {
    const line =
      '90: vlan.eth.2@eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9001 qdisc noqueue state UP\n    link/ether 02:fc:a9:d7:13:2b brd ff:ff:ff:ff:ff:ff'
    expect(nodeOf(withLine('node/addr', line)).dataplane.devices.at(-1)).toMatchObject({
      name: 'vlan.eth.2',
      kind: 'other',
      why: 'the dump does not tell what kind of device vlan.eth.2 on eth0 is',
    })
  })

  it('a VXLAN device as busybox prints it lacks what makes it one', () => {
    const plain = '79: vx9: <BROADCAST,UP,LOWER_UP> mtu 1450 qdisc noqueue\n    link/ether 02:00:00:00:00:79 brd ff:ff:ff:ff:ff:ff'
    const [spec] = device(plain, { 'node/sys': 'vx9 ifindex=79 iflink=79 type=1 devtype=vxlan\n' })
    expect(spec).toMatchObject({ kind: 'other', type: 'vxlan', why: 'the dump does not tell the VNI and the port of the VXLAN device vx9' })
  })

  it('WireGuard is of its public keys and peers', () => {
    const key = (letter: string): string => `${letter.repeat(43)}=`
    const link =
      '80: wg9: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 state UNKNOWN\n    link/none \n    wireguard numtxqueues 1\n    inet 10.9.0.1/32 scope global wg9'
    const told =
      `public-key\twg9\t${key('A')}\nlisten-port\twg9\t51820\nfwmark\twg9\t0x100\npeers\twg9\t${key('E')}\n` +
      `endpoints\twg9\t${key('E')}\t192.0.2.2:51821\nallowed-ips\twg9\t${key('E')}\t10.9.0.2/32 10.244.3.0/24\npersistent-keepalive\twg9\t${key('E')}\toff\n`
    expect(device(link, { 'node/wireguard': told })[0]).toMatchObject({
      kind: 'wireguard',
      port: 51820,
      publicKey: key('A'),
      fwmark: 256,
      peers: [
        {
          publicKey: key('E'),
          endpoint: { address: ip('192.0.2.2'), port: 51821 },
          allowedIps: [
            { base: ip('10.9.0.2'), length: 32 },
            { base: ip('10.244.3.0'), length: 24 },
          ],
          persistentKeepalive: 0,
        },
      ],
    })
    expect(device(link)[0]).toMatchObject({ kind: 'other', type: 'wireguard' })
  })
})

describe('the other files', () => {
  it('flannel’s subnet.env and the CNI configuration', () => {
    const texts = example()
      .set('node/subnet.env', 'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.2.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n')
      .set('node/cni/10-flannel.conflist', '{"name": "cbr0", "plugins": [{"type": "flannel", "delegate": {"hairpinMode": true}}, {"type": "portmap"}]}')
    const node = nodeOf(texts)
    expect(node.subnetEnv).toMatchObject({
      network: { base: ip('10.244.0.0'), length: 16 },
      subnet: { address: ip('10.244.2.1'), length: 24 },
      mtu: 1450,
      ipMasq: true,
    })
    expect(node.cni).toMatchObject([{ name: 'cbr0', plugins: ['flannel', 'portmap'] }])
  })

  it('connections, as conntrack and as /proc tell them', () => {
    const conntrack =
      'tcp      6 431999 ESTABLISHED src=10.244.1.2 dst=10.96.0.10 sport=40000 dport=53 ' +
      'src=10.244.2.2 dst=10.244.1.2 sport=5353 dport=40000 [ASSURED] mark=4 use=1\n' +
      'conntrack v1.4.7 (conntrack-tools): 2 flow entries have been shown.\n'
    const proc =
      'ipv4     2 udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 mark=0 zone=7 use=2\n'
    expect(nodeOf(example().set('node/conntrack', conntrack + proc)).conntrack).toEqual([
      {
        file: 'dump/node/conntrack',
        line: 1,
        proto: 6,
        state: 'ESTABLISHED',
        original: { source: ip('10.244.1.2'), destination: ip('10.96.0.10'), sourcePort: 40000, destinationPort: 53 },
        reply: { source: ip('10.244.2.2'), destination: ip('10.244.1.2'), sourcePort: 5353, destinationPort: 40000 },
        flags: ['ASSURED'],
        mark: 4,
      },
      {
        file: 'dump/node/conntrack',
        line: 3,
        proto: 17,
        original: { source: ip('10.0.0.1'), destination: ip('10.0.0.2'), sourcePort: 1, destinationPort: 2 },
        reply: { source: ip('10.0.0.2'), destination: ip('10.0.0.1'), sourcePort: 2, destinationPort: 1 },
        flags: ['UNREPLIED'],
        mark: 0,
        zone: 7,
      },
    ])
  })

  it.each([
    [
      'ss',
      'node/sockets',
      'Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port\ntcp   LISTEN 0 4096 *:10250 *:*\n' +
        'udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:*\ntcp LISTEN 0 4096 [::1]:25 [::]:*\n',
    ],
    [
      'netstat',
      'node/sockets',
      'Proto Recv-Q Send-Q Local Address Foreign Address State\ntcp6 0 0 :::10250 :::* LISTEN\nudp 0 0 127.0.0.53:53 0.0.0.0:*\ntcp6 0 0 ::1:25 :::* LISTEN\n',
    ],
  ])('who listens, as %s tells it', (_, path, text) => {
    const found = nodeOf(example().set(path, text)).dataplane.sockets
    expect(found.map(({ proto, address, port }) => [proto, address, port])).toEqual([
      ['tcp', 0, 10250],
      ['udp', ip('127.0.0.53'), 53],
    ])
  })

  it('who listens, as /proc/net tells it', () => {
    const texts = example()
    texts.delete('node/sockets')
    texts.set(
      'node/proc-tcp',
      '  sl  local_address rem_address   st\n   0: 0100007F:0277 00000000:0000 0A 00000000:00000000\n   1: 0B0AA8C0:0016 0C0AA8C0:9C40 01 00000000:00000000\n',
    )
    texts.set('node/proc-udp', '   sl  local_address rem_address   st\n  12: 00000000:2118 00000000:0000 07 00000000:00000000\n')
    expect(nodeOf(texts).dataplane.sockets.map(({ proto, address, port }) => [proto, address, port])).toEqual([
      ['tcp', ip('127.0.0.1'), 631],
      ['udp', 0, 8472],
    ])
  })

  it('nftables that are not iptables’ own are named at their hook, where they could lose a packet', () => {
    const ruleset =
      'table inet firewalld {\n\tchain filter_FORWARD {\n\t\ttype filter hook forward priority filter + 10; policy accept;\n' +
      '\t\tct state { established, related } accept\n\t\treject with icmpx admin-prohibited\n\t}\n' +
      '\tchain filter_INPUT {\n\t\ttype filter hook input priority filter + 10; policy accept;\n\t}\n}\n'
    const node = nodeOf(example().set('node/nft', ruleset))
    expect(node.notUnderstood).toEqual([
      { what: 'nftables chain filter_FORWARD of table inet firewalld (filter at forward): its rules are not modelled', file: 'dump/node/nft', line: 3 },
    ])
    const added = node.dataplane.iptables.tables.at(-1)
    expect([added?.name, added?.chains.map(({ name, rules }) => [name, rules.length])]).toEqual([
      'security',
      [
        ['INPUT', 0],
        ['FORWARD', 1],
        ['OUTPUT', 0],
      ],
    ])
  })
})
