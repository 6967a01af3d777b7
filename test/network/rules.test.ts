/**
 * Filter, NAT and kernel switches around flannel: docker's rules, masquerading on, off and doubled, REJECT, bridge-nf, hairpins,
 * rp_filter, plain docker. Numbers were measured on a real kernel unless a comment says otherwise.
 */
import { describe, expect, it } from 'vitest'
import { formatIp } from '../../src/base/ip.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { flannelCluster, leaseValue, NODES, PODS, VTEP_B, type Backend, type ClusterWords } from '../kit/flannel-cluster.js'
import { buildText, networkOf, type Ask } from '../kit/network.js'
import { at, innerOf, look, type Sighting } from '../kit/sighting.js'

const TCP_SYN_ACK = 'tcp flags 0x12'
const TCP_RST_ACK = 'tcp flags 0x14'
const syn: Ask = { proto: 'tcp' }
const datagram: Ask = { proto: 'udp' }

function ask(words: ClusterWords, destination: string, request: Ask = {}, source = 'pod-a'): Sighting {
  return look(networkOf(flannelCluster(words)), source, destination, request)
}

/** The sources that pod-b saw. */
function seenByPodB(sighting: Sighting): string[] {
  return at(sighting, { netns: 'default/pod-b', device: 'eth0', direction: 'rx' }).map(({ src }) => src)
}

describe("docker's FORWARD policy DROP", () => {
  const dockerDrops = (host: string, version: string, dockerVersion = '27'): ClusterWords => ({
    backend: 'vxlan',
    version,
    runtime: { iptables: true, dockerVersion },
    hosts: { [host]: { iptables: ['-P FORWARD DROP'] } },
  })

  it('on the receiving host, before flannel 0.9.1: new connections die there in silence', () => {
    const lost = ask(dockerDrops('host-b', '0.9.0'), 'pod-b:9000', syn)
    expect(lost).toMatchObject({ disposition: 'DENIED', reason: 'NETFILTER_DROP', netns: 'host-b', answer: '' })
    expect(at(lost, { netns: 'host-b', device: 'flannel.1', direction: 'rx' })).toHaveLength(1)
  })

  it("on the sending host: connections go out by docker's own rule, and their answers come in as established", () => {
    expect(ask(dockerDrops('host-a', '0.9.0'), 'pod-b:9000', syn)).toMatchObject({ disposition: 'DELIVERED', answer: `${TCP_SYN_ACK} from 10.1.20.3` })
  })

  it('flannel 0.11.0 accepts its Network', () => expect(ask(dockerDrops('host-b', '0.11.0'), 'pod-b:9000', syn).disposition).toBe('DELIVERED'))

  it("docker 28 drops what comes to docker0 from elsewhere before flannel's rules are reached", () => {
    expect(ask(dockerDrops('host-b', '0.11.0', '28'), 'pod-b:9000', syn)).toMatchObject({ disposition: 'DENIED', netns: 'host-b', answer: '' })
  })
})

describe('who masquerades', () => {
  it.each([
    ['udp', '10.1.15.0'],
    ['vxlan', '10.1.15.0'],
    ['host-gw', '192.168.0.100'],
  ] as const)("%s with docker's --ip-masq: the far pod sees %s", (backend, source) => {
    const came = ask({ backend, ipMasq: false, runtime: { iptables: true } }, 'pod-b:9000', syn)
    expect(came).toMatchObject({ disposition: 'DELIVERED', answer: `${TCP_SYN_ACK} from 10.1.20.3` })
    expect(seenByPodB(came)).toEqual([source])
  })

  it.each(['udp', 'vxlan', 'host-gw'] as const)("%s with flannel's --ip-masq: the far pod sees the pod", (backend) => {
    expect(seenByPodB(ask({ backend, runtime: { iptables: true } }, 'pod-b:9000', syn))).toEqual(['10.1.15.2'])
  })

  it('nobody: the world outside has no way back', () => {
    const lost = ask({ backend: 'vxlan', ipMasq: false }, '192.168.0.254')
    expect(lost).toMatchObject({ disposition: 'REPLY_LOST', forward: 'DELIVERED', netns: 'router/router', answer: '' })
    expect(at(lost, { netns: 'host-a', device: 'eth0', direction: 'tx' }).map(({ src }) => src)).toEqual(['10.1.15.2'])
  })

  it('flannel: pod to the world, and to another host, as the host', () => {
    for (const destination of ['192.168.0.254', 'node/host-b']) {
      const came = ask({ backend: 'vxlan' }, destination)
      expect(came.disposition).toBe('DELIVERED')
      expect(at(came, { netns: 'host-a', device: 'eth0', direction: 'tx' }).map(({ src }) => src)).toEqual(['192.168.0.100'])
    }
  })

  it('pod to the address of its own host: never masqueraded', () => {
    const came = ask({ backend: 'vxlan' }, 'node/host-a')
    expect(came).toMatchObject({ disposition: 'DELIVERED', answer: 'icmp 0/0 from 192.168.0.100', answerTtl: 64 })
    expect([...new Set(came.sights.filter(({ leg }) => leg === 'forward').map(({ src }) => src))]).toEqual(['10.1.15.2'])
    expect(at(came, { netns: 'host-a', device: 'eth0' })).toEqual([])
  })

  it('a mark that survives the encapsulation: masqueraded twice, and the outer port is no longer the hash', () => {
    const iptables = [
      '-t mangle -A PREROUTING -s 10.1.15.2/32 -j MARK --set-xmark 0x4000/0x4000',
      '-t nat -I POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE --random-fully',
    ]
    const plain = at(ask({ backend: 'vxlan' }, 'pod-b:9000', datagram), { netns: 'host-a', device: 'eth0', direction: 'tx' })[0]
    const came = ask({ backend: 'vxlan', hosts: { 'host-a': { iptables } } }, 'pod-b:9000', datagram)
    const outer = at(came, { netns: 'host-a', device: 'eth0', direction: 'tx' })[0]
    expect(came.disposition).toBe('DELIVERED')
    expect([outer.src, innerOf(outer).src]).toEqual(['192.168.0.100', '10.1.15.0'])
    expect(outer.sport).not.toBe(plain.sport)
  })
})

describe('the hooks that inner and outer packets pass', () => {
  const drop = (host: string, chain: string): ClusterWords => ({
    backend: 'vxlan',
    hosts: { [host]: { iptables: [`-I ${chain} -p udp --dport 8472 -j DROP`] } },
  })

  it.each([
    ['OUTPUT', 'host-a'],
    ['INPUT', 'host-b'],
  ])('the outer packet dies in %s of %s', (chain, host) => {
    expect(ask(drop(host, chain), 'pod-b')).toMatchObject({ disposition: 'DENIED', reason: 'NETFILTER_DROP', netns: host })
  })

  it.each([
    ['FORWARD', 'host-a'],
    ['FORWARD', 'host-b'],
    ['INPUT', 'host-a'],
  ])('it never sees %s of %s', (chain, host) => {
    expect(ask(drop(host, chain), 'pod-b').disposition).toBe(chain === 'INPUT' ? 'REPLY_LOST' : 'DELIVERED')
  })

  it.each(['host-a', 'host-b'])('the inner packet sees FORWARD of %s', (host) => {
    const words: ClusterWords = { backend: 'vxlan', hosts: { [host]: { iptables: ['-I FORWARD -s 10.1.15.2/32 -j DROP'] } } }
    expect(ask(words, 'pod-b')).toMatchObject({ disposition: 'DENIED', netns: host })
  })
})

describe('REJECT', () => {
  const rejecting = (host: string, target: string): ClusterWords => ({
    backend: 'vxlan',
    hosts: { [host]: { iptables: [`-I FORWARD -p tcp --dport 9000 -j ${target}`] } },
  })

  it.each([
    ['REJECT', 'icmp 3/3 from 10.1.20.0', 63],
    ['REJECT --reject-with icmp-admin-prohibited', 'icmp 3/13 from 10.1.20.0', 63],
    ['REJECT --reject-with tcp-reset', `${TCP_RST_ACK} from 10.1.20.3`, 63],
  ])('%s on the far host: %s', (target, answer, answerTtl) => {
    expect(ask(rejecting('host-b', target), 'pod-b:9000', syn)).toMatchObject({ disposition: 'REJECTED', netns: 'host-b', answer, answerTtl })
  })

  it('on the own host: from the bridge', () => {
    expect(ask(rejecting('host-a', 'REJECT'), 'pod-b:9000', syn)).toMatchObject({
      disposition: 'REJECTED',
      netns: 'host-a',
      answer: 'icmp 3/3 from 10.1.15.1',
      answerTtl: 64,
    })
  })

  // measured for this test (Linux 6.18): nf_send_reset goes out of the port itself where br_netfilter saw the packet
  it.each([
    [1, 0],
    [0, 1],
  ])('a reset with bridge-nf %i crosses docker0 %i times on its way back', (nf, crossings) => {
    const words = rejecting('host-a', 'REJECT --reject-with tcp-reset')
    const sysctls = { 'net.bridge.bridge-nf-call-iptables': nf }
    const told = ask({ ...words, hosts: { 'host-a': { ...words.hosts?.['host-a'], sysctls } } }, 'pod-b:9000', syn)
    expect(told).toMatchObject({ disposition: 'REJECTED', answer: `${TCP_RST_ACK} from 10.1.20.3`, answerTtl: 64 })
    expect(at(told, { netns: 'host-a', device: 'docker0', direction: 'tx' })).toHaveLength(crossings)
    const [seen] = at(told, { netns: 'default/pod-a', device: 'eth0', direction: 'rx' })
    expect([seen.length, seen.srcMac]).toEqual([54, told.sights[0].dstMac])
  })

  it.each([
    ['REJECT', 'icmp 3/3 from 10.1.15.1', 1],
    ['REJECT --reject-with tcp-reset', `${TCP_RST_ACK} from 10.1.15.3`, 0],
  ])('between two pods of a host, %s answers too', (target, answer, crossings) => {
    const told = ask(rejecting('host-a', target), 'pod-a2:9000', syn)
    expect(told).toMatchObject({ disposition: 'REJECTED', netns: 'host-a', answer, answerTtl: 64 })
    expect(at(told, { netns: 'host-a', device: 'docker0', direction: 'tx' })).toHaveLength(crossings)
    expect(at(told, { netns: 'default/pod-a2', device: 'eth0' })).toEqual([])
  })

  it('a port that nobody listens on: RST, ICMP 3/3', () => {
    const words: ClusterWords = { backend: 'vxlan', pods: PODS.map((pod) => ({ ...pod, ports: [80] })) }
    expect(ask(words, 'pod-b:9000', syn)).toMatchObject({ disposition: 'NO_SOCKET', answer: `${TCP_RST_ACK} from 10.1.20.3`, answerTtl: 62 })
    expect(ask(words, 'pod-b:9000', datagram)).toMatchObject({ disposition: 'NO_SOCKET', answer: 'icmp 3/3 from 10.1.20.3', answerTtl: 62 })
    expect(ask(words, 'pod-b:80', syn).disposition).toBe('DELIVERED')
    expect(ask(words, 'pod-b:9000', { ...syn, listen: true }).disposition).toBe('DELIVERED')
  })
})

describe('two pods of a host', () => {
  const sameHost = (nf: number, policy: string): Sighting =>
    ask(
      {
        backend: 'vxlan',
        version: '0.9.0',
        hosts: { 'host-a': { sysctls: { 'net.bridge.bridge-nf-call-iptables': nf }, iptables: [`-P FORWARD ${policy}`] } },
      },
      'pod-a2:9000',
      { ...datagram, size: 1000 },
    )

  it.each([
    [0, 'ACCEPT'],
    [1, 'ACCEPT'],
    [0, 'DROP'],
  ])("bridge-nf %i, FORWARD %s: TTL 64, 1014 bytes, the pods' own MACs, docker0 sees nothing", (nf, policy) => {
    const came = sameHost(nf, policy)
    expect(came.disposition).toBe('DELIVERED')
    expect(new Set(came.sights.map(({ ttl, length, srcMac, dstMac }) => `${ttl} ${length} ${srcMac} ${dstMac}`)).size).toBe(1)
    expect(came.sights.map(({ netns, direction }) => `${netns} ${direction}`)).toEqual(['default/pod-a tx', 'host-a rx', 'host-a tx', 'default/pod-a2 rx'])
    expect([came.sights[0].ttl, came.sights[0].length]).toEqual([64, 1014])
  })

  it("bridge-nf 1, FORWARD DROP: dead on one's own bridge", () => {
    expect(sameHost(1, 'DROP')).toMatchObject({ disposition: 'DENIED', reason: 'NETFILTER_DROP', netns: 'host-a', answer: '' })
  })
})

describe('a pod that asks a service which is itself (DNAT on the host)', () => {
  const text = (nf: number, hairpin: boolean): string => {
    const words = (device: string): ClusterWords => ({
      backend: 'vxlan',
      ipMasq: false,
      hosts: {
        'host-a': {
          iptables: [
            '-t nat -A PREROUTING -d 10.96.0.10/32 -p tcp --dport 80 -j DNAT --to-destination 10.1.15.2:8080',
            '-t nat -A POSTROUTING -s 10.1.15.2/32 -d 10.1.15.2/32 -j MASQUERADE',
          ],
          sysctls: { 'net.bridge.bridge-nf-call-iptables': nf },
          ip: device === '' ? [] : [`link set ${device} type bridge_slave hairpin on`],
        },
      },
    })
    // the port of pod-a is the first that docker made
    const port =
      networkOf(flannelCluster(words('')))
        .dataplanes.get('host-a')
        ?.devices.find(({ master }) => master === 'docker0')?.name ?? ''
    return flannelCluster(words(hairpin ? port : ''))
  }
  const hairpin = (nf: number, on: boolean): Sighting => look(networkOf(text(nf, on)), 'pod-a', '10.96.0.10:80', syn)

  it('bridge-nf 1, hairpin off: the bridge sends nothing back out of the port it came in by', () => {
    const lost = hairpin(1, false)
    expect(lost.disposition).toBe('DENIED')
    expect(lost.answer).toBe('')
    expect(at(lost, { netns: 'default/pod-a', device: 'eth0', direction: 'rx' })).toEqual([])
  })

  it("bridge-nf 1, hairpin on: source .1, TTL 64, the pod's own MAC", () => {
    const came = hairpin(1, true)
    expect(came).toMatchObject({ disposition: 'DELIVERED', answer: `${TCP_SYN_ACK} from 10.96.0.10` })
    const [sent] = at(came, { netns: 'default/pod-a', device: 'eth0', direction: 'tx' })
    const [seen] = at(came, { netns: 'default/pod-a', device: 'eth0', direction: 'rx' })
    expect([seen.src, seen.ttl, seen.dport, seen.srcMac]).toEqual(['10.1.15.1', 64, 8080, sent.srcMac])
  })

  it.each([false, true])("bridge-nf 0, hairpin %s: routed: source .1, TTL 63, the bridge's MAC", (on) => {
    const came = hairpin(0, on)
    expect(came).toMatchObject({ disposition: 'DELIVERED', answer: `${TCP_SYN_ACK} from 10.96.0.10` })
    const [sent] = at(came, { netns: 'default/pod-a', device: 'eth0', direction: 'tx' })
    const seen = at(came, { netns: 'default/pod-a', device: 'eth0', direction: 'rx' }).find(({ proto }) => proto === 6)
    expect([seen?.src, seen?.ttl, seen?.dport, seen?.srcMac]).toEqual(['10.1.15.1', 63, 8080, sent.dstMac])
  })

  it('without masquerade the pod gets a packet from its own address, and throws it away', () => {
    const iptables = ['-t nat -A PREROUTING -d 10.96.0.10/32 -p tcp --dport 80 -j DNAT --to-destination 10.1.15.2:8080']
    const words: ClusterWords = { backend: 'vxlan', ipMasq: false, hosts: { 'host-a': { iptables, sysctls: { 'net.bridge.bridge-nf-call-iptables': 0 } } } }
    expect(ask(words, '10.96.0.10:80', syn)).toMatchObject({ disposition: 'MARTIAN', netns: 'default/pod-a' })
  })
})

describe('rp_filter', () => {
  it.each(['udp', 'vxlan', 'host-gw'] as const)('%s: strict on every device costs nothing while the routes are symmetric', (backend) => {
    const hosts = Object.fromEntries(NODES.map(({ name }) => [name, { sysctls: { 'net.ipv4.conf.all.rp_filter': 1 } }]))
    expect(ask({ backend, hosts }, 'pod-b').disposition).toBe('DELIVERED')
  })

  const without = (value: number, more: readonly string[] = []): ClusterWords => ({
    backend: 'vxlan',
    hosts: { 'host-b': { sysctls: { 'net.ipv4.conf.all.rp_filter': value }, ip: ['route del 10.1.15.0/24', ...more] } },
  })

  it('strict, the way back is another device: gone', () => {
    expect(ask(without(1), 'pod-b')).toMatchObject({ disposition: 'RPFILTER', reason: 'IP_RPFILTER', netns: 'host-b', answer: '' })
  })

  it('loose: any way back will do, none will not', () => {
    expect(ask(without(2), 'pod-b')).toMatchObject({ disposition: 'REPLY_LOST', forward: 'DELIVERED' })
    expect(ask(without(2, ['route del default']), 'pod-b')).toMatchObject({ disposition: 'RPFILTER', netns: 'host-b' })
  })
})

const TWO_SEGMENTS = {
  segments: [
    { name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254' },
    { name: 's1', cidr: '192.168.1.0/24', router: '192.168.1.254' },
  ],
}

describe('two segments with a router between them', () => {
  const far = (backend: Backend, more: Partial<ClusterWords> = {}): ClusterWords => ({
    backend,
    underlay: TWO_SEGMENTS,
    nodes: [NODES[0], { name: 'host-b', address: '192.168.1.200' }],
    leases: { '10.1.20.0-24': leaseValue(backend, '192.168.1.200', VTEP_B) },
    ...more,
  })

  it('host-gw: the kernel refuses the gateway, flannel says so, the packet takes the default route', () => {
    const { network, problems } = buildText(flannelCluster(far('host-gw')))
    expect(problems.map(({ severity, what }) => `${severity}: ${what}`).join('\n')).toContain('Nexthop has invalid gateway')
    expect(printRoutes(network.dataplanes.get('host-a')?.routes ?? [])).not.toContain('10.1.20.0/24')
    expect(look(network, 'pod-a', 'pod-b')).toMatchObject({ disposition: 'NO_ROUTE', netns: 'router/router', answer: '' })
  })

  it.each([
    ['udp', 60, 126],
    ['vxlan', 62, 148],
  ] as const)('%s: the router forwards the outer packet, the inner TTL does not change', (backend, ttl, wire) => {
    const came = ask(far(backend), 'pod-b')
    expect(came).toMatchObject({ disposition: 'DELIVERED', answerTtl: ttl })
    const [arrived] = at(came, { netns: 'host-b', device: 'eth0', direction: 'rx' })
    expect([arrived.ttl, arrived.length]).toEqual([63, wire])
    expect(at(came, { netns: 'default/pod-b', device: 'eth0', direction: 'rx' }).map((sight) => sight.ttl)).toEqual([ttl])
  })

  it('DirectRouting: the near host by its card, the far one by the tunnel', () => {
    const words = far('vxlan', {
      backendOptions: { DirectRouting: true },
      nodes: [NODES[0], { name: 'host-b', address: '192.168.1.200' }, { name: 'host-c', address: '192.168.0.150' }],
      leases: { '10.1.20.0-24': leaseValue('vxlan', '192.168.1.200', VTEP_B), '10.1.30.0-24': leaseValue('vxlan', '192.168.0.150', 'ee:00:00:00:00:0c') },
      pods: [...PODS, { name: 'pod-c', node: 'host-c', address: '10.1.30.2' }],
    })
    const network = networkOf(flannelCluster(words))
    const host = network.dataplanes.get('host-a')
    expect(host?.neighbours.map(({ address }) => formatIp(address))).toEqual(['10.1.20.0'])
    expect(host?.fdb.filter(({ destination }) => destination !== undefined).map(({ destination }) => formatIp(destination ?? 0))).toEqual(['192.168.1.200'])
    expect(at(look(network, 'pod-a', 'pod-c'), { netns: 'host-a', device: 'eth0', direction: 'tx' }).map(({ length, dst, ttl }) => [length, dst, ttl])).toEqual(
      [[98, '10.1.30.2', 63]],
    )
    expect(at(look(network, 'pod-a', 'pod-b'), { netns: 'host-a', device: 'eth0', direction: 'tx' }).map(({ length, dst }) => [length, dst])).toEqual([
      [148, '192.168.1.200'],
    ])
  })
})

describe('cni none: plain docker', () => {
  const plain: ClusterWords = {
    backend: 'udp',
    cni: 'none',
    runtime: { iptables: true },
    pods: [
      { name: 'pod-a', node: 'host-a' },
      { name: 'pod-b', node: 'host-b' },
      { name: 'pod-b2', node: 'host-b' },
    ],
  }

  it('both hosts hand out 172.17.0.2', () => {
    const network = networkOf(flannelCluster(plain))
    expect(network.pods.map(({ pod, address }) => `${pod.name} ${formatIp(address)}`)).toEqual(['pod-a 172.17.0.2', 'pod-b 172.17.0.2', 'pod-b2 172.17.0.3'])
  })

  it('to the namesake: the packet never leaves the pod, and that is no delivery', () => {
    const lost = ask(plain, 'pod-b')
    expect(lost).toMatchObject({ disposition: 'AMBIGUOUS', netns: 'default/pod-a' })
    expect([...new Set(lost.sights.map(({ netns, device }) => `${netns} ${device}`))]).toEqual(['default/pod-a lo'])
  })

  it('to another pod of the other host: asked for on the own bridge, in vain', () => {
    const lost = ask(plain, 'pod-b2')
    expect(lost).toMatchObject({ disposition: 'NEIGHBOR_FAILED', netns: 'default/pod-a' })
    expect(at(lost, { netns: 'host-a', device: 'eth0' })).toEqual([])
  })
})

const KUBE_FLANNEL = `apiVersion: v1
kind: ConfigMap
metadata: {name: kube-flannel-cfg, namespace: kube-flannel, labels: {app: flannel}}
data:
  cni-conf.json: |
    {"name": "cbr0", "cniVersion": "0.3.1",
     "plugins": [{"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}}, {"type": "portmap", "capabilities": {"portMappings": true}}]}
  net-conf.json: |
    {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}
${[
  ['n1', '192.168.0.1', '10.244.0.0/24'],
  ['n2', '192.168.0.2', '10.244.1.0/24'],
]
  .map(
    ([name, address, podCidr]) => `---
apiVersion: v1
kind: Node
metadata: {name: ${name}}
spec: {podCIDR: ${podCidr}}
status: {addresses: [{type: InternalIP, address: ${address}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: pod-${name}}
spec: {nodeName: ${name}, containers: [{name: c, image: x}]}
status: {phase: Running}
`,
  )
  .join('')}`

describe("kube-flannel: leases are the nodes' podCIDR, pods hang on cni0", () => {
  const network = networkOf(KUBE_FLANNEL)

  it('delivers with TTL 62 and 50 bytes more', () => {
    const came = look(network, 'pod-n1', 'pod-n2')
    expect(came).toMatchObject({ disposition: 'DELIVERED', answer: 'icmp 0/0 from 10.244.1.2', answerTtl: 62 })
    expect(at(came, { netns: 'n1', device: 'eth0', direction: 'tx' }).map(({ length }) => length)).toEqual([148])
    expect(at(came, { netns: 'n2', device: 'cni0', direction: 'tx' }).map(({ ttl }) => ttl)).toEqual([62])
  })

  it('its MTU is 1450 on cni0, on the pods and on flannel.1; its ports are hairpins', () => {
    const devices = network.dataplanes.get('n1')?.devices ?? []
    expect(devices.filter(({ name }) => name !== 'lo' && name !== 'eth0').map(({ mtu }) => mtu)).toEqual([1450, 1450, 1450])
    expect(devices.filter(({ master }) => master === 'cni0').map(({ bridgePort }) => bridgePort?.hairpin)).toEqual([true])
    expect(network.dataplanes.get('default/pod-n1')?.devices.map(({ mtu }) => mtu)).toEqual([65536, 1450])
  })
})
