/** What packets show: the three rules of the network model, and what keeps packets from pods. Each fault is found, and is gone once it is mended. */
import { describe, expect, it } from 'vitest'
import { flannelCluster, type ClusterWords } from '../../kit/flannel-cluster.js'
import { check, codesOf, theFinding } from './kit.js'

/** What a sound flannel cluster has: pods go to nodes under the nodes' addresses. */
const SOUND = ['NM003']

function words(more: Partial<ClusterWords> = {}): string {
  return flannelCluster({ backend: 'vxlan', ...more })
}

describe('a sound cluster', () => {
  it.each(['udp', 'vxlan', 'host-gw', 'ipip', 'wireguard'] as const)('of flannel %s violates nothing', (backend) => {
    const report = check(words({ backend }))
    expect(codesOf(report)).toEqual(SOUND)
    expect(report.notJudged).toEqual([])
    expect(report.findings.every(({ severity }) => severity === 'info')).toBe(true)
  })

  it('without masquerade of any kind hides no address', () => {
    // docker would masquerade where flanneld does not: the bridge plugin is told not to by flannel's own plug-in alone
    const report = check(words({ hosts: { 'host-a': { iptables: ['-t nat -F'] }, 'host-b': { iptables: ['-t nat -F'] } } }))
    expect(codesOf(report)).toEqual([])
  })

  it('says what it asked', () => {
    const { asked } = check(words())
    expect(asked).toEqual([
      // host-a has two pods, host-b one: a → a2, a → b, b → a stand for 2 + 2 + 2 ordered pairs
      { what: 'pod to pod', asked: 3, of: 3, pairs: 6, covered: 6 },
      { what: 'node to pod', asked: 4, of: 4, pairs: 6, covered: 6 },
      { what: 'pod to node', asked: 4, of: 4, pairs: 6, covered: 6 },
      { what: 'full-size packets', asked: 2, of: 2, pairs: 4, covered: 4 },
    ])
  })

  it('is told the same twice', () => {
    expect(check(words({ ipMasq: false, runtime: { iptables: true } }))).toEqual(check(words({ ipMasq: false, runtime: { iptables: true } })))
  })
})

describe('NM001', () => {
  it("docker's masquerade under flannel: the rule, who wrote it, and the line that made it so", () => {
    const text = words({ ipMasq: false, runtime: { iptables: true } })
    const found = theFinding(check(text), 'NM001')
    expect(found.severity).toBe('error')
    expect(found.what).toContain("sees default/pod-a (10.1.15.2) as 10.1.15.0: docker's masquerade rewrites the source on host-a")
    expect(found.evidence[0]).toMatchObject({ by: 'docker', rule: 'host-a nat/POSTROUTING #1  -s 10.1.15.0/24 ! -o docker0 -j MASQUERADE' })
    expect(found.evidence[1]).toMatchObject({ file: 'test.yaml', what: expect.stringContaining('flanneld does not masquerade') as string })
    expect(found.evidence[0].hops).toContain('host-a: nat src 10.1.15.2→10.1.15.0')
    expect(found.fix).toContain('--ip-masq=false')
  })

  it('is gone once flanneld masquerades', () => {
    expect(codesOf(check(words({ ipMasq: true, runtime: { iptables: true } })))).toEqual(SOUND)
  })

  it("an owner's rule, at its line, for the one pod that it names", () => {
    const rule = '-t nat -I POSTROUTING -s 10.1.15.3 -j SNAT --to-source 192.168.0.100'
    const report = check(words({ hosts: { 'host-a': { iptables: [rule] } } }))
    const found = theFinding(report, 'NM001')
    expect(found.what).toContain('default/pod-a2')
    expect(found.evidence[0]).toMatchObject({ by: 'owner of the host', file: 'test.yaml', line: expect.any(Number) as number })
    // pod-a is of another class than pod-a2 now
    expect(report.asked[0]).toMatchObject({ asked: 6, of: 6 })
  })

  it('a rewritten destination too', () => {
    const rule = '-t nat -I PREROUTING -d 10.1.20.3 -p tcp -j DNAT --to-destination 10.1.15.3'
    const found = theFinding(check(words({ hosts: { 'host-a': { iptables: [rule] } } })), 'NM001')
    expect(found.what).toContain('rewrites the destination on host-a')
  })
})

describe('NM002', () => {
  it('a rule that hides the node from pods', () => {
    const rule = '-t nat -I POSTROUTING -d 10.1.20.0/24 -j SNAT --to-source 192.168.0.77'
    const found = theFinding(check(words({ backend: 'host-gw', hosts: { 'host-a': { iptables: [rule] } } })), 'NM002')
    expect(found.what).toContain('node/host-a (192.168.0.100) as 192.168.0.77')
    expect(found.evidence[0].file).toBe('test.yaml')
  })
})

describe('NM003', () => {
  it('is told of agents by the way, of owners as a warning', () => {
    const byAgent = theFinding(check(words()), 'NM003')
    expect(byAgent).toMatchObject({ severity: 'info', evidence: [{ by: 'flanneld' }, { by: 'flanneld' }, { object: 'Pod/default/pod-b', file: 'test.yaml' }] })
    const hosts = Object.fromEntries(
      ['host-a', 'host-b'].map((name) => [name, { iptables: ['-t nat -F', '-t nat -A POSTROUTING -s 10.1.0.0/16 ! -d 10.1.0.0/16 -j MASQUERADE'] }]),
    )
    const byOwner = check(words({ hosts })).findings
    expect(byOwner.map(({ code, severity }) => [code, severity])).toEqual([['NM003', 'warning']])
  })
})

describe('what keeps packets from pods', () => {
  const onA = (host: NonNullable<ClusterWords['hosts']>[string]): string => words({ hosts: { 'host-a': host } })

  it('NM005: nobody has the address of the VTEP, and the pods behind it are not reached', () => {
    const dead = '{"PublicIP":"192.168.0.200","BackendType":"vxlan","BackendData":{"VtepMAC":"ee:00:00:00:00:0b"}}'
    const report = check(onA({ ip: ['route del 10.1.20.0/24'] }))
    const found = theFinding(report, 'NM005')
    expect(found.what).toContain('default/pod-a → default/pod-b:8080 (tcp)')
    // both ways are lost at one place for one reason, of pods and of the node
    expect(found.what).toMatch(/and so \d+ pairs/)
    expect(found.evidence.at(-1)).toMatchObject({ object: 'Pod/default/pod-b', file: 'test.yaml' })
    expect(codesOf(check(words({ leases: { '10.1.20.0-24': dead } })))).toEqual(SOUND)
  })

  it('NM101: forwarding is off, at the line of the sysctl', () => {
    const found = theFinding(check(onA({ sysctls: { 'net.ipv4.ip_forward': 0 } })), 'NM101')
    expect(found.evidence.some(({ file, what }) => file === 'test.yaml' && what === 'host-a: net.ipv4.ip_forward = 0')).toBe(true)
    expect(codesOf(check(onA({ sysctls: { 'net.ipv4.ip_forward': 1 } })))).toEqual(SOUND)
  })

  it('NM101: of a node whose pods nobody could ask', () => {
    const text = flannelCluster({ backend: 'vxlan', pods: [{ name: 'alone', node: 'host-a' }], hosts: { 'host-a': { sysctls: { 'net.ipv4.ip_forward': 0 } } } })
    expect(codesOf(check(text))).toContain('NM101')
  })

  it('NM102: the policy of FORWARD, at the line of the command', () => {
    const found = theFinding(check(onA({ iptables: ['-F FORWARD', '-P FORWARD DROP'] })), 'NM102')
    expect(found.evidence[0].rule).toBe('host-a filter/FORWARD policy DROP')
    expect(found.evidence[1]).toMatchObject({ what: 'host-a: iptables -P FORWARD DROP', file: 'test.yaml' })
    expect(
      codesOf(check(onA({ iptables: ['-F FORWARD', '-P FORWARD DROP', '-A FORWARD -s 10.1.0.0/16 -j ACCEPT', '-A FORWARD -d 10.1.0.0/16 -j ACCEPT'] }))),
    ).toEqual(SOUND)
  })

  it('NM103: a rule that drops all is an error, one of a single port a warning', () => {
    const all = theFinding(check(onA({ iptables: ['-I FORWARD -s 10.1.20.0/24 -j DROP'] })), 'NM103')
    expect(all).toMatchObject({ severity: 'error', evidence: [{ by: 'owner of the host', file: 'test.yaml' }] })
    const one = theFinding(check(onA({ iptables: ['-I FORWARD -p udp --dport 53 -j REJECT'] })), 'NM103')
    expect(one.severity).toBe('warning')
    expect(one.what).toContain(':53 (udp)')
    expect(codesOf(check(onA({ iptables: ['-I FORWARD -p udp --dport 53 -j ACCEPT'] })))).toEqual(SOUND)
  })

  it('NM104: rp_filter where the way back is another', () => {
    // what comes from pod-b is to go back over docker0: strict filtering drops it on eth0's overlay
    const asymmetric = ['route replace 10.1.20.0/24 via 192.168.0.200 dev eth0']
    const found = theFinding(check(onA({ ip: asymmetric, sysctls: { 'net.ipv4.conf.all.rp_filter': 1 } })), 'NM104')
    expect(found.evidence.some(({ what, file }) => what === 'host-a: net.ipv4.conf.all.rp_filter = 1' && file === 'test.yaml')).toBe(true)
    expect(codesOf(check(onA({ ip: asymmetric, sysctls: { 'net.ipv4.conf.all.rp_filter': 2 } })))).not.toContain('NM104')
  })

  it.each([
    ['vxlan', '-A INPUT -p udp --dport 8472 -j DROP'],
    ['udp', '-A INPUT -p udp --dport 8285 -j DROP'],
    ['ipip', '-A INPUT -p 4 -j DROP'],
    ['wireguard', '-A INPUT -p udp --dport 51820 -j DROP'],
  ] as const)('NM105: the tunnel of %s is blocked on the host', (backend, rule) => {
    const report = check(words({ backend, hosts: { 'host-b': { iptables: [rule] } } }))
    expect(codesOf(report)).toContain('NM105')
    expect(theFinding(report, 'NM105').evidence[0].file).toBe('test.yaml')
    expect(codesOf(check(words({ backend, hosts: { 'host-b': { iptables: [rule.replace('DROP', 'ACCEPT')] } } })))).toEqual(SOUND)
  })

  it('NM105: the tunnel is blocked by a router between two segments', () => {
    const nodes = [
      { name: 'host-a', address: '192.168.0.100' },
      { name: 'host-b', address: '192.168.1.200' },
    ]
    const segments = [
      { name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254' },
      { name: 's1', cidr: '192.168.1.0/24', router: '192.168.1.254' },
    ]
    const lease = '{"PublicIP":"192.168.1.200","BackendType":"vxlan","BackendData":{"VtepMAC":"ee:00:00:00:00:0b"}}'
    const text = (iptables: readonly string[]): string =>
      words({ nodes, leases: { '10.1.20.0-24': lease }, underlay: { segments, routers: [{ name: 'r0', segments: ['s0', 's1'], iptables }] } })
    const found = theFinding(check(text(['-A FORWARD -p udp --dport 8472 -j DROP'])), 'NM105')
    expect(found.evidence[0]).toMatchObject({ by: 'owner of router r0', file: 'test.yaml' })
    expect(codesOf(check(text([])))).toEqual(SOUND)
  })

  it('NM202: two pods of plain docker that nobody gave an address', () => {
    const text = flannelCluster({
      backend: 'vxlan',
      cni: 'none',
      pods: [
        { name: 'p', node: 'host-a' },
        { name: 'q', node: 'host-b' },
      ],
    })
    expect(codesOf(check(text))).toContain('NM202')
  })
})

describe('sizes', () => {
  /** Two sites of 1500, between them a link. */
  const sites = (mtu: number, iptables: readonly string[]): string => {
    const segments = [
      { name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254' },
      { name: 'wan', cidr: '192.168.9.0/24', mtu },
      { name: 's1', cidr: '192.168.1.0/24', router: '192.168.1.254' },
    ]
    const routers = [
      { name: 'r0', segments: ['s0', 'wan'], addresses: { wan: '192.168.9.1' }, routes: ['192.168.1.0/24 via 192.168.9.2'], iptables },
      { name: 'r1', segments: ['s1', 'wan'], addresses: { wan: '192.168.9.2' }, routes: ['192.168.0.0/24 via 192.168.9.1'], iptables },
    ]
    const nodes = [
      { name: 'host-a', address: '192.168.0.100' },
      { name: 'host-b', address: '192.168.1.200' },
    ]
    const leases = { '10.1.20.0-24': '{"PublicIP":"192.168.1.200","BackendType":"ipip"}' }
    return words({ backend: 'ipip', nodes, leases, underlay: { segments, routers } })
  }
  const sizes = (report: ReturnType<typeof check>): readonly string[] => codesOf(report).filter((code) => code.startsWith('NM3'))

  it('NM302: a narrow link, of which a host on the way learns', () => {
    const report = check(sites(1400, []))
    expect(sizes(report)).toEqual(['NM302'])
    const [found] = report.findings.filter(({ code }) => code === 'NM302')
    expect(found.what).toContain('1380 is the most that passes whole')
    expect(found.evidence[0].command).toBe('netsim trace default/pod-a default/pod-b:8080 --mtu')
  })

  it('NM301: nobody tells, because the routers filter their ICMP', () => {
    const report = check(sites(1400, ['-A OUTPUT -p icmp -j DROP']))
    expect(sizes(report)).toEqual(['NM301'])
    expect(report.findings.filter(({ code }) => code === 'NM301').every(({ severity }) => severity === 'error')).toBe(true)
  })

  it('neither where all links carry what pods send', () => {
    expect(codesOf(check(sites(1500, ['-A OUTPUT -p icmp -j DROP'])))).toEqual(SOUND)
  })
})
