/** What random worlds on a real kernel (test/fuzz) taught of answers to odd packets; each case stands for a difference that was found. */
import { describe, expect, it } from 'vitest'
import { buildCluster } from '../../src/cluster/cluster.js'
import { EXAMPLE_TEXT } from '../../src/cluster/example.js'
import { predict, isPrediction, type Prediction } from '../../src/kernel/prediction.js'
import { fieldsOf, type Field } from '../../src/kernel/frame-fields.js'
import { buildNetwork } from '../../src/network/build-network.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import { bytesOfPacket, type RawPacket } from '../fuzz/random-packets.js'
import { manifestOf, randomWorld } from '../fuzz/random-world.js'

const world = randomWorld(1, { probes: 0 })
const draft = {
  ...world,
  cni: 'flannel' as const,
  backend: { Type: 'host-gw' },
  version: '0.28.4',
  runtime: { name: 'cni' as const },
  segments: [{ name: 's0', cidr: '192.168.10.0/24', mtu: 1500 }],
  router: { iptables: [], routes: [] },
  nodes: [{ name: 'n1', address: '192.168.10.11', cardMtu: 1500, subnet: '10.244.1.0/24' }],
  pods: ['n1-a', 'n1-b'].map((name) => ({ name, node: 'n1', ports: [{ containerPort: 80, protocol: 'TCP' as const }] })),
  hosts: [],
}
const packet: RawPacket = {
  source: '10.244.1.2',
  destination: '10.244.1.3',
  proto: 6,
  ttl: 64,
  tos: 0,
  id: 7,
  df: true,
  more: false,
  offset: 0,
  sport: 40000,
  dport: 80,
  flags: 2,
  payload: 0,
  damage: 0,
}

function asked(given: Partial<RawPacket>): Prediction {
  const { cluster } = buildCluster([{ file: 'odd.json', text: manifestOf(draft) }])
  const { network } = buildNetwork(cluster, { seed: 1 })
  const raw = { ...packet, ...given }
  const prediction = predict(network, { ...DEFAULT_REQUEST, source: 'n1-a', destination: raw.destination, packet: bytesOfPacket(raw) })
  if (!isPrediction(prediction)) throw new Error('refused')
  return prediction
}

/** Of the last frame that the first pod got. */
function answer(given: Partial<RawPacket>): Readonly<Record<string, Field>> {
  const frame = asked(given)
    .frames.filter(({ netns, leg, direction }) => netns === 'default/n1-a' && leg === 'reply' && direction === 'rx')
    .at(-1)
  return frame === undefined ? {} : Object.fromEntries(fieldsOf(frame.bytes, { link: frame.link }).map((field) => [field.name, field]))
}

describe('a listener', () => {
  it('offers a SYN without options nothing but its MSS', () => {
    const { 'tcp.flags': flags, 'tcp.options': options, 'tcp.data-offset': offset } = answer({})
    expect([flags.text, options.text, offset.value]).toEqual(['S.', '4 bytes', 0x60])
  })

  it('resets an acknowledgement of nothing', () => expect(answer({ flags: 0x12 })['tcp.flags'].text).toBe('R'))

  it.each([
    [0x00, 'TCP_FLAGS'],
    [0x29, 'TCP_FLAGS'],
    [0x03, 'TCP_FLAGS'],
    [0x3f, 'TCP_FLAGS'],
    [0x04, 'TCP_RESET'],
  ])('says nothing to what opens no connection (flags %i)', (flags, reason) => {
    const { drops, frames } = asked({ flags })
    expect(drops.map((drop) => drop.reason)).toEqual([reason])
    expect(frames.filter(({ leg }) => leg === 'reply')).toEqual([])
  })
})

describe('a host', () => {
  it('tells its time when asked by ICMP', () => {
    const { 'icmp.type': type, 'icmp.originate': originate, 'icmp.receive': receive, 'ip.length': length } = answer({ proto: 1, flags: 13, payload: 30 })
    expect([type.value, originate.value, receive.chance, length.value]).toEqual([14, 0x00010203, 'icmp-time', 40])
  })

  it('does not answer what is wrong by any checksum', () => {
    for (const damage of [1, 0x1234, 0xfffe]) {
      expect(asked({ proto: 17, dport: 7, payload: 20, damage }).drops.map(({ reason }) => reason)).toEqual(['UDP_CSUM'])
    }
  })

  it('knows IGMP', () => expect(answer({ proto: 2, payload: 20 })).toEqual({}))

  it('quotes a datagram over lo with the checksum that nobody made', () => {
    const { cluster } = buildCluster([{ file: 'odd.json', text: manifestOf(draft) }])
    const { network } = buildNetwork(cluster, { seed: 1 })
    const prediction = predict(network, { ...DEFAULT_REQUEST, source: 'n1-a', destination: '10.244.1.2:7', proto: 'udp' })
    if (!isPrediction(prediction)) throw new Error('refused')
    const quote = prediction.frames.map(({ bytes, link }) => fieldsOf(bytes, { link }).find(({ name }) => name === 'quote.udp.checksum')).find(Boolean)
    // 10.244.1.2 twice, protocol 17, length 40: the sum of the pseudo header, seen on Linux 6.18
    expect(quote?.value).toBe(0x1825)
  })
})

it('an ICMP error that quotes 8 bytes of TCP belongs to the connection that they name, and NAT gives it back to the pod', () => {
  const text = EXAMPLE_TEXT.replace('ipMasq: true', 'ipMasq: false').replace(
    'kubeProxy:',
    'hosts: [{node: host-a, sysctls: {net.ipv4.conf.flannel0.accept_local: 1}}]\n  kubeProxy:',
  )
  const { network } = buildNetwork(buildCluster([{ file: 'example.yaml', text: text.replace('iptables: false', 'iptables: true') }]).cluster, { seed: 1 })
  const prediction = predict(network, { ...DEFAULT_REQUEST, source: 'pod-a', destination: '10.1.99.9:80' })
  if (!isPrediction(prediction)) throw new Error('refused')
  const steps = prediction.document.reply?.hops.flatMap((hop) => hop.steps) ?? []
  expect(steps.filter(({ kind }) => kind === 'conntrack').map(({ action }) => action)).toContain('RELATED')
  expect(prediction.frames.filter(({ netns, leg, direction }) => netns === 'default/pod-a' && leg === 'reply' && direction === 'rx')).toHaveLength(1)
})
