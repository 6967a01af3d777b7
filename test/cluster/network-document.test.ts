import { describe, expect, it } from 'vitest'
import { cidr, formatCidr, type Cidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { parseDuration, parseRate } from '../../src/cluster/units.js'
import { build, network, node, pod } from './support.js'

const NODES = node('n1', '192.168.10.11') + node('n2', '192.168.10.12')

describe('units', () => {
  it.each([
    ['50us', 50_000],
    ['1ms', 1_000_000],
    ['1.5ms', 1_500_000],
    ['2s', 2e9],
    ['7ns', 7],
    ['0', 0],
    ['50', undefined],
    ['-1ms', undefined],
    ['1e3s', undefined],
    ['9999999999h', undefined],
  ])('duration %s', (text, value) => {
    expect(parseDuration(text)).toBe(value)
  })
  it.each([
    ['10Gbps', 1e10],
    ['100Mbps', 1e8],
    ['1.5Gbit', 1.5e9],
    ['64kbps', 64_000],
    ['800bps', 800],
    ['0bps', undefined],
    ['10', undefined],
    ['10GB', undefined],
  ])('rate %s', (text, value) => {
    expect(parseRate(text)).toBe(value)
  })
})

describe('the Network document', () => {
  it('is read whole, with the line of every command', () => {
    const { cluster, texts } = build(
      NODES +
        pod('a1', '{nodeName: n1}', '10.1.15.2') +
        network(`cni: flannel
datastore: etcd
runtime: {name: docker, iptables: false, dockerVersion: 28.0, icc: false, userlandProxy: false}
clusterCIDR: 10.1.0.0/16
serviceCIDR: 10.96.0.0/12
clusterDomain: kube.local
etcd:
  /coreos.com/network/config: '{"Network":"10.1.0.0/16"}'
  /coreos.com/network/subnets/10.1.15.0-24: {value: '{"PublicIP":"192.168.10.11"}', ttl: 86400}
flannel: {ipMasq: false, version: v0.11.0-amd64, iface: eth0}
kubeProxy: {mode: none}
underlay:
  segments:
  - {name: s0, cidr: 192.168.10.0/24, router: 192.168.10.1, mtu: 9000, latency: 1ms, rate: 1Gbps}
  - {name: s1, cidr: 192.168.11.0/24}
  routers: [{name: r0, segments: [s0, s1], routes: ["10.1.0.0/16 via 192.168.10.11"], iptables: ["-A FORWARD -j DROP"], asn: 64513}]
hosts:
- node: n1
  iptables:
  - iptables -t filter -I FORWARD -p udp --dport 9000 -j DROP
  - "-A INPUT -j DROP"
  ip: [link set dev eth0 mtu 1400]
  bridge: [bridge fdb del c2:17:28:26:df:98 dev flannel.1]
  ipset: [create x hash:ip]
  sysctls: {net.ipv4.conf.all.rp_filter: 1, net/ipv4/conf/eth0.5/forwarding: "0"}
pins:
  macs: {n1/eth0: "0a:ff:b8:12:f6:df", default/a1/eth0: "3e:90:09:3a:79:07", s0/router: "62:cc:9c:56:a2:75"}
  devices: {default/a1/eth0: veth-a1}`),
    )
    const silent = 'router r0 has an AS number in a cluster that speaks no BGP: it listens on port 179, and no session comes up'
    expect(texts).toEqual([expect.stringMatching(new RegExp(`^t\\.yaml:\\d+: warning: Network/default: ${silent}\\n`))])
    expect(cluster).toMatchObject({
      cni: 'flannel',
      datastore: 'etcd',
      runtime: { name: 'docker', iptables: false, dockerVersion: '28', icc: false, userlandProxy: false },
      clusterDomain: 'kube.local',
      flannel: { ipMasq: false, version: '0.11.0', iface: 'eth0', configAssumed: false },
      kubeProxy: { mode: 'none' },
    })
    expect(formatCidr(cluster.clusterCIDR as Cidr)).toBe('10.1.0.0/16')
    expect(cluster.etcd.map(({ key, ttl }) => [key, ttl])).toEqual([
      ['/coreos.com/network/config', undefined],
      ['/coreos.com/network/subnets/10.1.15.0-24', 86400],
    ])
    expect(cluster.segments.map(({ name, router, mtu, latency, rate }) => [name, formatIp(router), mtu, latency, rate])).toEqual([
      ['s0', '192.168.10.1', 9000, 1e6, 1e9],
      ['s1', '192.168.11.254', 1500, 50_000, 1e10],
    ])
    expect(cluster.routers).toHaveLength(1)
    expect(cluster.routers[0]).toMatchObject({
      name: 'r0',
      implicit: false,
      asn: 64513,
      interfaces: [
        { segment: 's0', address: ip('192.168.10.1'), length: 24 },
        { segment: 's1', address: ip('192.168.11.254') },
      ],
      routes: [{ text: '10.1.0.0/16 via 192.168.10.11' }],
    })
    const [host] = cluster.hosts
    expect(host.iptables.map(({ text }) => text)).toEqual(['-t filter -I FORWARD -p udp --dport 9000 -j DROP', '-A INPUT -j DROP'])
    expect(host.iptables[1].line).toBe(host.iptables[0].line + 1)
    expect(host.iptables[0].line).toBe(host.line + 2)
    expect(host.ip[0].text).toBe('link set dev eth0 mtu 1400')
    expect(host.bridge[0].text).toBe('fdb del c2:17:28:26:df:98 dev flannel.1')
    expect(host.ipset[0].text).toBe('create x hash:ip')
    expect(host.sysctls.map(({ name, value }) => [name, value])).toEqual([
      ['net.ipv4.conf.all.rp_filter', 1],
      ['net.ipv4.conf.eth0/5.forwarding', 0],
    ])
    expect(cluster.pins.macs.get('n1/eth0')).toBe(0x0affb812f6df)
    expect(cluster.pins.devices.get('default/a1/eth0')).toBe('veth-a1')
  })

  it.each([
    ['clusterCIDR: 10.1.2.3/16', 6, '10.1.2.3/16 has bits set beyond /16', 'is 10.1.0.0/16'],
    ['clusterCIDR: 10.1/16', 6, 'is no IPv4 prefix', 'looks like'],
    ['serviceCIDR: fd00::/108', 6, 'is an IPv6 prefix', 'IPv4 only'],
    ['clusterCidr: 10.1.0.0/16', 6, 'unknown field spec.clusterCidr', 'Did you mean clusterCIDR?'],
    ['cni: flanel', 6, 'spec.cni is "flanel"', 'Did you mean flannel?'],
    ['runtime: docker', 6, 'spec.runtime is "docker", not a mapping', ''],
    ['runtime:\n  nmae: docker', 7, 'unknown field spec.runtime.nmae', 'Did you mean name?'],
    ['etcd:\n  /coreos.com/network/config: {"Network": "10.1.0.0/16"}', 7, 'is a mapping, not text', 'single quotes'],
    ['etcd:\n  /a: {value: x, ttl: -1}', 7, 'ttl of /a is the number -1', 'whole seconds'],
    ['etcd:\n  a: b', 7, 'does not start with /', 'absolute'],
    [
      'underlay:\n  segments:\n  - {name: s0, cidr: 192.168.10.0/23}\n  - {name: s1, cidr: 192.168.11.0/24}',
      9,
      'segment s1 (192.168.11.0/24) overlaps segment s0 (192.168.10.0/23) of t.yaml:8',
      'share no address',
    ],
    ['underlay:\n  segments: [{name: s0, cidr: 192.168.10.0/24, mtu: 67}]', 7, '67 is not a whole number from 68 to 65535', ''],
    ['underlay:\n  segments: [{name: s0, cidr: 192.168.10.0/24, latency: 50}]', 7, 'is not a duration', '50us'],
    ['underlay:\n  segments: [{name: s0, cidr: 192.168.10.0/24, rate: fast}]', 7, 'is not a rate', '10Gbps'],
    ['underlay:\n  segments: [{name: s0, cidr: 192.168.10.0/24, router: 192.168.11.1}]', 7, 'no host address of segment s0', 'neither'],
    [
      'underlay:\n  segments: [{name: s0, cidr: 192.168.10.0/24}]\n  routers: [{name: r, segments: [s2]}]',
      8,
      'on segment s2, which is not listed',
      'Did you mean s0?',
    ],
    [
      'underlay:\n  segments: [{name: s0, cidr: 192.168.10.0/24}]\n  routers: [{name: vpc, cloud: azure, segments: [s0]}]',
      8,
      'spec.underlay.routers[0].cloud is "azure", not aws or gce',
      '',
    ],
    ['underlay:\n  segments: [{name: s0, cidr: 192.168.10.0/24, sourceDestinationCheck: 1}]', 7, 'sourceDestinationCheck', ''],
    ['hosts: [{node: n1, sourceDestinationCheck: 1}]', 6, 'sourceDestinationCheck', ''],
    ['hosts: [{node: n3, iptables: []}]', 6, 'the host n3 is no node of the input', 'Did you mean n1?'],
    ['hosts: [{node: n1, iptables: "-A INPUT -j DROP"}]', 6, 'not a list', '"- "'],
    ['hosts: [{node: n1, sysctls: {net.ipv4.ip_forward: yes please}}]', 6, 'sysctl net.ipv4.ip_forward is "yes please"', 'whole number'],
    ['pins: {macs: {n1/eth0: "01:00:5e:00:00:01"}}', 6, 'is a group address', 'even'],
    ['pins: {macs: {n1/eth0: "zz"}}', 6, 'is no MAC address', 'looks like'],
    ['pins: {devices: {default/a/eth0: "a-name-far-too-long"}}', 6, 'is no device name', '15'],
  ])('refuses %j', (spec, line, what, fix) => {
    // the document stands first, so that its spec starts on line 6
    const { problems } = build(`#\n${network(spec)}${NODES}`)
    const found = problems.filter((problem) => problem.severity === 'error')
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject({ file: 't.yaml', line })
    expect(found[0].what).toContain(what)
    expect(found[0].fix).toContain(fix)
  })

  it('warns of pins that pin nothing and of one MAC on two stacks', () => {
    const { texts } = build(
      NODES +
        network('pins: {macs: {n3/eth0: "0a:00:00:00:00:01", n1/eth0: "0a:00:00:00:00:02", n1/docker0: "0a:00:00:00:00:02", n2/eth0: "0a:00:00:00:00:02"}}'),
    )
    expect(texts).toHaveLength(2)
    expect(texts.join('\n')).toMatch(/n3\/eth0 pins nothing: there is no node, segment or router n3\n +Did you mean n1\?/)
    expect(texts.join('\n')).toMatch(/n2\/eth0 and n1\/eth0 .* one MAC address, 0a:00:00:00:00:02/)
  })

  it('is one document', () => {
    const { texts } = build(network('cni: none') + network('cni: none').replace('default', 'other'))
    expect(texts[0]).toContain('a second Network document; the first stands in t.yaml:1')
    expect(build('apiVersion: netsim/v1\nkind: Netwrok\nmetadata: {name: a}').texts[0]).toContain('Did you mean Network?')
    expect(build('apiVersion: netsim/v2\nkind: Network').texts[0]).toContain('Network has no apiVersion netsim/v2')
  })

  it('reads a cloud: its fabric, and who checks addresses', () => {
    const spec =
      'underlay:\n  segments: [{name: s0, cidr: 192.168.10.0/24, sourceDestinationCheck: false}]\n  routers: [{name: vpc, cloud: aws, segments: [s0]}]\n' +
      'hosts: [{node: n1, sourceDestinationCheck: true}]'
    const { cluster, texts } = build(NODES + network(spec))
    expect(texts).toEqual([])
    expect(cluster.routers).toMatchObject([{ name: 'vpc', cloud: 'aws', implicit: false }])
    expect(cluster.segments).toMatchObject([{ name: 's0', sourceDestinationCheck: false }])
    expect(cluster.hosts).toMatchObject([{ node: 'n1', sourceDestinationCheck: true }])
  })

  it('puts two routers of one segment on different addresses', () => {
    const { cluster, texts } = build(
      NODES +
        network(
          'underlay:\n  segments: [{name: s0, cidr: 192.168.10.0/24}, {name: s1, cidr: 192.168.11.0/24}, {name: s2, cidr: 10.9.0.0/16}]\n  routers: [{name: r0, segments: [s0, s1]}, {name: r1, segments: [s1], addresses: {s1: 192.168.11.7}}, {name: r2, segments: [s1]}]',
        ),
    )
    expect(texts).toEqual([])
    expect(
      cluster.routers.map(({ name, implicit, interfaces }) => [name, implicit, interfaces.map(({ segment, address }) => `${segment} ${formatIp(address)}`)]),
    ).toEqual([
      ['r0', false, ['s0 192.168.10.254', 's1 192.168.11.254']],
      ['r1', false, ['s1 192.168.11.7']],
      ['r2', false, ['s1 192.168.11.253']],
      ['router', true, ['s2 10.9.255.254']],
    ])
  })

  it('assumes a flannel configuration where there is none, and says so', () => {
    const { cluster, texts } = build(NODES + network('cni: flannel\nclusterCIDR: 10.5.0.0/16'))
    expect(cluster.etcd).toMatchObject([{ key: '/coreos.com/network/config', value: '{"Network":"10.5.0.0/16"}' }])
    expect(cluster.clusterCIDR).toEqual(cidr(ip('10.5.0.0'), 16))
    expect(texts).toHaveLength(1)
    expect(texts[0]).toContain("warning: Network/default: flannel's configuration is not in the input")
  })
})
