/**
 * An underlay of 1400 under each backend: where a packet is cut, refused or lost, and who hears of it. The cases of vxlan, udp and a
 * routed path were measured on Linux 6.18 with the devices that flannel makes (IP lengths 1396 + 124 of a card that shrank; 1410 and 88 in
 * the frames behind a router to 1400, ICMP 3/4 from the far host's tunnel; a UDP socket's DF until the path's MTU is known, then 1410 and
 * 66); those of ipip and wireguard follow ip_tunnel.c (tnl_update_pmtu) and drivers/net/wireguard, which take DF from within and clear it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { flannelCluster, NODES, type Backend, type ClusterWords } from '../kit/flannel-cluster.js'
import { networkOf, type Ask } from '../kit/network.js'
import { at, look, type Sighting } from '../kit/sighting.js'

const S0 = { name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254' }

function ask(words: ClusterWords, request: Ask): Sighting {
  return look(networkOf(flannelCluster(words)), 'pod-a', 'pod-b:9000', { proto: 'udp', ...request })
}

/** Frames on the sender's card: their lengths, and D where DF is set outside. */
const sent = (sighting: Sighting): string[] =>
  at(sighting, { netns: 'host-a', device: 'eth0', direction: 'tx' }).map(({ length, df }) => `${length}${df ? ' D' : ''}`)
const got = (sighting: Sighting): number[] => at(sighting, { netns: 'host-b', device: 'eth0', direction: 'rx' }).map(({ length }) => length)
/** What the sender's host itself is told by the underlay. */
const told = (sighting: Sighting): string[] =>
  at(sighting, { netns: 'host-a', device: 'eth0', direction: 'rx' })
    .filter(({ proto }) => proto === 1)
    .map(({ src, sport }) => `icmp ${sport >> 8}/${sport & 255} from ${src}`)

describe.each<{ backend: Backend; full: number; fits: number; over: number }>([
  // full: what pods believe passes. fits: the most that is 1400 bytes outside
  { backend: 'udp', full: 1472, fits: 1372, over: 1373 },
  { backend: 'vxlan', full: 1450, fits: 1350, over: 1351 },
  { backend: 'host-gw', full: 1500, fits: 1400, over: 1401 },
  { backend: 'ipip', full: 1480, fits: 1380, over: 1381 },
  // padded to 16: 1328 + 60, then 1344 + 60
  { backend: 'wireguard', full: 1420, fits: 1328, over: 1329 },
  { backend: 'aws-vpc', full: 1500, fits: 1400, over: 1401 },
  { backend: 'gce', full: 1500, fits: 1400, over: 1401 },
])('$backend, cards of 1500 on a segment of 1400', ({ backend, full, fits, over }) => {
  const words: ClusterWords = {
    backend,
    underlay: { segments: [{ ...S0, mtu: 1400 }] },
    nodes: NODES.map((node) => ({ ...node, annotations: { 'netsim/mtu': '1500' } })),
  }

  it.each([true, false])('a full packet is lost on the segment and nobody is told (DF %s)', (df) => {
    const lost = ask(words, { size: full, df })
    expect(lost).toMatchObject({ disposition: 'BLACKHOLE', netns: 'host-a', reason: 'PKT_TOO_BIG', answer: '' })
    expect([sent(lost).length, got(lost), told(lost)]).toEqual([1, [], []])
  })

  it('one that fits passes, whatever its DF; one byte more does not', () => {
    expect([ask(words, { size: fits, df: true }).disposition, ask(words, { size: fits }).disposition]).toEqual(['DELIVERED', 'DELIVERED'])
    expect(ask(words, { size: over }).disposition).toBe('BLACKHOLE')
  })
})

describe.each<{ backend: Backend; mtu: number; pieces: readonly string[] }>([
  { backend: 'udp', mtu: 1372, pieces: ['1414 D', '63 D'] },
  { backend: 'vxlan', mtu: 1350, pieces: ['1412', '87'] },
  { backend: 'host-gw', mtu: 1400, pieces: ['1410', '39'] },
  { backend: 'ipip', mtu: 1380, pieces: ['1414', '55'] },
  // 1320 is as far as padding goes: 1316 + 60, and 25 padded to 32
  { backend: 'wireguard', mtu: 1320, pieces: ['1394', '106'] },
  { backend: 'aws-vpc', mtu: 1400, pieces: ['1410', '39'] },
  { backend: 'gce', mtu: 1400, pieces: ['1410', '39'] },
])('$backend, started on cards of 1400', ({ backend, mtu, pieces }) => {
  const words: ClusterWords = { backend, underlay: { segments: [{ ...S0, mtu: 1400 }] } }

  it(`pods have ${mtu}: that passes, one byte more with DF fails where it is sent, without DF it is cut before the tunnel`, () => {
    expect(networkOf(flannelCluster(words)).subnetEnv.get('host-a')).toContain(`FLANNEL_MTU=${mtu}\n`)
    expect(ask(words, { size: mtu, df: true }).disposition).toBe('DELIVERED')
    expect(ask(words, { size: mtu + 1, df: true })).toMatchObject({ disposition: 'TOO_BIG', netns: 'default/pod-a' })
    const cut = ask(words, { size: mtu + 1 })
    expect([cut.disposition, sent(cut)]).toEqual(['DELIVERED', pieces])
  })
})

describe('a card set to 1400 after flannel has started on 1500', () => {
  const shrunk = { ip: ['link set eth0 mtu 1400'] }
  const words = (backend: Backend): ClusterWords => ({ backend, hosts: { 'host-a': shrunk, 'host-b': shrunk } })

  it.each<{ backend: Backend; full: number; frames: readonly string[] }>([
    { backend: 'udp', full: 1472, frames: ['1410', '138'] },
    { backend: 'vxlan', full: 1450, frames: ['1410', '138'] },
    { backend: 'wireguard', full: 1420, frames: ['1410', '118'] },
  ])('$backend: the tunnel keeps its MTU, and what is outside is cut, whatever DF is within', ({ backend, full, frames }) => {
    for (const df of [true, false]) {
      const cut = ask(words(backend), { size: full, df })
      expect([cut.disposition, sent(cut)]).toEqual(['DELIVERED', frames])
      expect(at(cut, { netns: 'default/pod-b', device: 'eth0', direction: 'rx' }).map(({ length }) => length)).toEqual([full + 14])
    }
  })

  it.each<{ backend: Backend; full: number; mtu: number }>([
    { backend: 'host-gw', full: 1500, mtu: 1400 },
    { backend: 'ipip', full: 1480, mtu: 1380 },
    { backend: 'aws-vpc', full: 1500, mtu: 1400 },
    { backend: 'gce', full: 1500, mtu: 1400 },
  ])('$backend: DF is kept, so the pod is told to send no more than $mtu; without DF it is cut', ({ backend, full, mtu }) => {
    const refused = ask(words(backend), { size: full, df: true })
    expect(refused).toMatchObject({ disposition: 'TOO_BIG', netns: 'host-a', answer: `icmp 3/4 mtu ${mtu} from 10.1.15.1` })
    const cut = ask(words(backend), { size: full })
    expect([cut.disposition, sent(cut)]).toEqual(['DELIVERED', ['1410', '138']])
  })
})

describe('1400 in the middle of a routed path, cards of 1500', () => {
  const underlay = {
    segments: [S0, { name: 'm', cidr: '192.168.5.0/24', router: '192.168.5.1', mtu: 1400 }, { name: 's1', cidr: '192.168.1.0/24', router: '192.168.1.254' }],
    routers: [
      { name: 'r0', segments: ['s0', 'm'], addresses: { m: '192.168.5.1' }, routes: ['192.168.1.0/24 via 192.168.5.2'] },
      { name: 'r1', segments: ['m', 's1'], addresses: { m: '192.168.5.2', s1: '192.168.1.254' }, routes: ['192.168.0.0/24 via 192.168.5.1'] },
    ],
  }
  const B = '192.168.1.200'

  function routed(backend: Backend, request: Ask, routers: readonly object[] = underlay.routers): Sighting {
    const text = flannelCluster({ backend, underlay: { ...underlay, routers }, nodes: [NODES[0], { name: 'host-b', address: B }] })
    return look(networkOf(text.replaceAll('192.168.0.200', B)), 'pod-a', 'pod-b:9000', { proto: 'udp', ...request })
  }
  const learned = [{ netns: 'host-a', destination: ip(B), mtu: 1400 }]

  it.each<{ backend: Backend; full: number; frames: readonly number[] }>([
    { backend: 'vxlan', full: 1450, frames: [1410, 138] },
    { backend: 'wireguard', full: 1420, frames: [1410, 118] },
  ])('$backend: no DF outside, so the router cuts it and the far host puts it together', ({ backend, full, frames }) => {
    for (const df of [true, false]) {
      const cut = routed(backend, { size: full, df })
      expect([cut.disposition, sent(cut), got(cut)]).toEqual(['DELIVERED', [`${frames[0] + frames[1] - 34}`], frames])
    }
  })

  it('udp: the proxy’s datagram has DF; the host is told, the pod is not; once the host knows, it cuts what its proxy sends', () => {
    for (const df of [true, false]) {
      const lost = routed('udp', { size: 1472, df })
      expect(lost).toMatchObject({ disposition: 'BLACKHOLE', netns: 'router/r0', answer: '' })
      expect([sent(lost), got(lost), told(lost)]).toEqual([['1514 D'], [], ['icmp 3/4 from 192.168.0.254']])
      const later = routed('udp', { size: 1472, df, pathMtus: learned })
      expect([later.disposition, sent(later), got(later)]).toEqual(['DELIVERED', ['1410', '138'], [1410, 138]])
    }
    const measured = routed('udp', { size: 1400, pathMtus: learned })
    expect([sent(measured), got(measured)]).toEqual([
      ['1410', '66'],
      [1410, 66],
    ])
  })

  it('ipip: DF within is DF outside; the host is told, and tells the pod at its next packet; without DF the router cuts', () => {
    const lost = routed('ipip', { size: 1480, df: true })
    expect(lost).toMatchObject({ disposition: 'BLACKHOLE', netns: 'router/r0', answer: '' })
    expect([sent(lost), told(lost)]).toEqual([['1514 D'], ['icmp 3/4 from 192.168.0.254']])
    const later = routed('ipip', { size: 1480, df: true, pathMtus: learned })
    expect(later).toMatchObject({ disposition: 'TOO_BIG', netns: 'host-a', answer: 'icmp 3/4 mtu 1380 from 10.1.15.1' })
    const cut = routed('ipip', { size: 1480 })
    expect([cut.disposition, sent(cut), got(cut)]).toEqual(['DELIVERED', ['1514'], [1410, 138]])
  })

  it('ICMP filtered on the way: neither host nor pod ever hears of it', () => {
    const deaf = [{ ...underlay.routers[0], iptables: ['-A OUTPUT -p icmp -j DROP'] }, underlay.routers[1]]
    for (const backend of ['udp', 'ipip'] as const) {
      const lost = routed(backend, { size: 1472, df: true }, deaf)
      expect([lost.disposition, lost.netns, told(lost)]).toEqual(['BLACKHOLE', 'router/r0', []])
    }
    expect(routed('vxlan', { size: 1450, df: true }, deaf).disposition).toBe('DELIVERED')
  })

  it.each(['aws-vpc', 'gce'] as const)('%s: the fabric neither cuts nor tells', (backend) => {
    const cloud = backend === 'gce' ? 'gce' : 'aws'
    const segments = [S0, { name: 's1', cidr: '192.168.1.0/24', router: '192.168.1.254', mtu: 1400 }]
    const text = flannelCluster({
      backend,
      underlay: { segments, routers: [{ name: 'vpc', cloud, segments: ['s0', 's1'] }] },
      nodes: [NODES[0], { name: 'host-b', address: B }],
    })
    const network = networkOf(text.replaceAll('192.168.0.200', B))
    for (const df of [true, false]) {
      const lost = look(network, 'pod-a', 'pod-b:9000', { proto: 'udp', size: 1500, df })
      expect(lost).toMatchObject({ disposition: 'BLACKHOLE', netns: 'router/vpc', answer: '' })
      expect(told(lost)).toEqual([])
    }
  })

  it('vxlan, the far host’s card at 1400: its flannel.1 and bridge have 1350, and the error comes from its tunnel', () => {
    const segments = [S0, { name: 's1', cidr: '192.168.1.0/24', router: '192.168.1.254', mtu: 1400 }]
    const text = flannelCluster({ backend: 'vxlan', underlay: { segments }, nodes: [NODES[0], { name: 'host-b', address: B }] })
    const network = networkOf(text.replaceAll('192.168.0.200', B))
    const refused = look(network, 'pod-a', 'pod-b:9000', { proto: 'udp', size: 1400, df: true })
    expect(refused).toMatchObject({ disposition: 'TOO_BIG', netns: 'host-b', answer: 'icmp 3/4 mtu 1350 from 10.1.20.0' })
    expect([sent(refused), got(refused), refused.answerTtl]).toEqual([['1464'], [1410, 88], 63])
    const cut = look(network, 'pod-a', 'pod-b:9000', { proto: 'udp', size: 1400 })
    expect(at(cut, { netns: 'default/pod-b', device: 'eth0', direction: 'rx' }).map(({ length }) => length)).toEqual([1362, 86])
  })
})

describe('examples/underlay-1400', () => {
  const folder = new URL('../../examples/underlay-1400/', import.meta.url)
  const read = (file: string): string => readFileSync(new URL(file, folder), 'utf8')
  /** As the first comment of hosts.yaml says. */
  const fits: Readonly<Record<string, number>> = { udp: 1372, vxlan: 1350, ipip: 1380, wireguard: 1328, 'host-gw': 1400, 'aws-vpc': 1400, gce: 1400 }
  const files = readdirSync(folder).filter((file) => file !== 'hosts.yaml')

  it('has a file for each backend', () => {
    expect(files.sort()).toEqual(
      Object.keys(fits)
        .map((backend) => `${backend}.yaml`)
        .sort(),
    )
  })

  it.each(files)('%s: as much passes as hosts.yaml says, and no more', (file) => {
    const network = networkOf(`${read('hosts.yaml')}\n---\n${read(file)}`)
    const size = fits[file.replace('.yaml', '')]
    const outcome = (length: number): string => look(network, 'client', 'server:9000', { proto: 'udp', size: length, df: true }).disposition
    expect([outcome(size), outcome(size + 1)]).toEqual(['DELIVERED', 'BLACKHOLE'])
  })
})
