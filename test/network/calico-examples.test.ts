/**
 * Every question between the ends of Calico's examples, worked out by hand from what their policies and documents say: each pod to each other one (its
 * first declared port, and a ping), out of the cluster, to the node it runs on and back, between a pod and other nodes, and with an address not its own.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatIp } from '../../src/base/ip.js'
import type { Network } from '../../src/network/network.js'
import { bytesOfPacket } from '../fuzz/random-packets.js'
import { answer, buildText, networkOf, type Ask } from '../kit/network.js'

function load(example: string): Network {
  return networkOf(readFileSync(new URL(`../../examples/${example}.yaml`, import.meta.url), 'utf8'))
}

/** The pods that may ask a pod over TCP and with a ping; all others of the example may not. */
interface Expected {
  readonly tcp: Readonly<Record<string, string>>
  readonly ping: Readonly<Record<string, string>>
  /** Whom other nodes may ping: a policy for ingress counts their addresses as anybody's. */
  readonly fromNodes: string
  /** Who may send nothing but what a policy says. */
  readonly confined: string
}

// prettier-ignore
const EXAMPLES: Readonly<Record<string, Expected>> = {
  'calico-none': {
    // web-0 and db-0 are under default-deny, api-0 and db-0 have a rule of their own; the scrape goes to the port `metrics` alone
    tcp: { 'web-0': '', 'api-0': 'web-0', 'db-0': 'api-0', 'prometheus-0': 'web-0 api-0 db-0' },
    ping: { 'web-0': '', 'api-0': '', 'db-0': '', 'prometheus-0': 'web-0 api-0 db-0' },
    fromNodes: 'prometheus-0',
    confined: '',
  },
  'calico-reflectors': {
    // partners-out leaves importer-0 the API's port 8080 and nothing else
    tcp: { 'web-0': 'api-0', 'api-0': 'web-0 importer-0', 'importer-0': 'web-0 api-0' },
    ping: { 'web-0': 'api-0', 'api-0': '', 'importer-0': 'web-0 api-0' },
    fromNodes: 'web-0 importer-0',
    confined: 'importer-0',
  },
  'calico-ipip': {
    tcp: { 'web-0': 'cache-0 report-0', 'cache-0': 'web-0 api-0 report-0', 'api-0': 'web-0', 'report-0': '' },
    ping: { 'web-0': 'cache-0 report-0', 'cache-0': 'web-0 report-0', 'api-0': '', 'report-0': '' },
    fromNodes: 'web-0 cache-0',
    confined: 'api-0',
  },
  'calico-ipip-crosssubnet': {
    // audit.see passes on who is no auditor, and for pods that no policy of the tier `default` selects the namespace's profile decides
    tcp: { 'web-0': 'cache-0 api-0 probe-0', 'cache-0': 'web-0 api-0 probe-0', 'api-0': 'web-0 cache-0 probe-0', 'probe-0': 'web-0 cache-0 api-0' },
    ping: { 'web-0': 'cache-0 api-0 probe-0', 'cache-0': 'probe-0', 'api-0': 'web-0 cache-0 probe-0', 'probe-0': 'web-0 cache-0 api-0' },
    fromNodes: 'web-0 api-0 probe-0',
    confined: '',
  },
  'calico-vxlan': {
    tcp: { 'web-0': 'api-0 mainframe-gate', 'api-0': 'web-0', 'mainframe-gate': 'api-0' },
    ping: { 'web-0': 'api-0 mainframe-gate', 'api-0': '', 'mainframe-gate': '' },
    fromNodes: 'web-0',
    confined: '',
  },
  'calico-wireguard': {
    tcp: { 'web-0': 'api-0 shell', 'api-0': 'web-0', shell: 'web-0 api-0' },
    ping: { 'web-0': 'api-0 shell', 'api-0': '', shell: 'web-0 api-0' },
    fromNodes: 'web-0 shell',
    confined: '',
  },
  canal: {
    // platform.ping lets every ping in before the namespaces are asked
    tcp: { 'web-0': 'api-0 curl', 'api-0': 'web-0', curl: 'web-0 api-0' },
    ping: { 'web-0': 'api-0 curl', 'api-0': 'web-0 curl', curl: 'web-0 api-0' },
    fromNodes: 'web-0 api-0 curl',
    confined: '',
  },
}

function verdict(network: Network, source: string, destination: string, ask: Ask): string {
  const { outcome } = answer(network, source, destination, ask)
  const { forward, reply } = outcome
  return forward.disposition === 'DELIVERED' && reply?.disposition !== 'DELIVERED' ? 'REPLY_LOST' : forward.disposition
}

/** Where an echo request with somebody else's source ends, and the rule. */
function spoofed(network: Network, source: string, pretended: string, destination: string): string {
  const fields = { proto: 1, ttl: 64, tos: 0, id: 7, df: false, more: false, offset: 0, sport: 0, dport: 0, flags: 8, payload: 8, damage: 0 }
  const packet = bytesOfPacket({ ...fields, source: pretended, destination })
  const { outcome, document } = answer(network, source, destination, { packet })
  const rule = /-m rpfilter --validmark --invert -j DROP/.test(JSON.stringify(document.forward)) ? 'rpfilter' : 'another rule'
  return `${outcome.forward.disposition} by ${rule}`
}

const words = (text: string): string[] => text.split(' ').filter((word) => word !== '')

describe.each(Object.entries(EXAMPLES))('examples/%s.yaml', (example, expected) => {
  const network = load(example)
  const pods = network.pods.map(({ pod, address }) => ({ ...pod, full: `${pod.namespace}/${pod.name}`, address: formatIp(address) }))
  const peers = pods.flatMap((to) => pods.filter((from) => from !== to).map((from) => ({ from, to })))
  const delivered = (allowed: boolean): string => (allowed ? 'DELIVERED' : 'DENIED')

  it('says of every pair of pods what its policies mean', () => {
    expect(Object.keys(expected.tcp).sort()).toEqual(pods.map(({ name }) => name).sort())
    const found = peers.map(({ from, to }) => {
      const port = to.ports.at(0)?.port ?? 80
      return [from.name, to.name, verdict(network, from.full, `${to.full}:${port}`, { proto: 'tcp' }), verdict(network, from.full, to.full, {})]
    })
    const wanted = peers.map(({ from, to }) => [
      from.name,
      to.name,
      delivered(words(expected.tcp[to.name]).includes(from.name)),
      delivered(words(expected.ping[to.name]).includes(from.name)),
    ])
    expect(found).toEqual(wanted)
  })

  it('a pod reaches every node, and the node of a pod the pod, whatever is said of ingress', () => {
    for (const pod of pods) {
      const free = !words(expected.confined).includes(pod.name)
      expect([pod.name, 'host', verdict(network, `node/${pod.node}`, pod.full, {})]).toEqual([pod.name, 'host', 'DELIVERED'])
      for (const node of network.nodeNames) expect([pod.name, node, verdict(network, pod.full, `node/${node}`, {})]).toEqual([pod.name, node, delivered(free)])
    }
  })

  it('another node is a stranger to policies', () => {
    for (const pod of pods) {
      for (const node of network.nodeNames.filter((name) => name !== pod.node)) {
        const open = words(expected.fromNodes).includes(pod.name)
        expect([node, pod.name, verdict(network, `node/${node}`, pod.full, {})]).toEqual([node, pod.name, delivered(open)])
      }
    }
  })

  it('what leaves the pools leaves with the address of its node', () => {
    for (const pod of pods.filter(({ name }) => !words(expected.confined).includes(name))) {
      const { outcome, document } = answer(network, pod.full, '198.51.100.7', {})
      // the data centre has no way out, and its router says so
      expect([pod.name, outcome.forward.disposition, outcome.reply?.disposition]).toEqual([pod.name, 'NO_ROUTE', 'DELIVERED'])
      const node = network.cluster.nodeByName.get(pod.node ?? '')
      const out = document.forward.frames.filter(({ netns, device, direction }) => netns === pod.node && device === 'eth0' && direction === 'tx')
      expect(out.map(({ hex }) => hex.slice(52, 60))).toEqual([(Number(node?.address) >>> 0).toString(16).padStart(8, '0')])
    }
  })

  it('a pod that pretends to be another is not heard', () => {
    for (const { from, to } of peers) {
      const other = pods.find((pod) => pod !== from)
      expect([from.name, spoofed(network, from.full, other?.address ?? '', to.address)]).toEqual([from.name, 'DENIED by rpfilter'])
      expect([from.name, spoofed(network, from.full, '198.51.100.7', to.address)]).toEqual([from.name, 'DENIED by rpfilter'])
    }
  })

  it('a packet to a free address of a block ends at the node that has the block', () => {
    const [from] = pods
    for (const { cidr, node } of network.calico?.cluster.addresses.affinities ?? []) {
      const free = formatIp((cidr.base + 60) | 0)
      const { outcome } = answer(network, from.full, free, {})
      const confined = words(expected.confined).includes(from.name)
      if (!confined) expect([node, outcome.forward.disposition]).toEqual([node, 'NULL_ROUTED'])
    }
  })
})

const TCP: Ask = { proto: 'tcp' }
const OPENED: Ask = { proto: 'tcp', listen: true }

describe.each<[string, string, (readonly [string, string, Ask, string])[]]>([
  [
    'the ports of a pod',
    'calico-none',
    [
      ['monitoring/prometheus-0', 'shop/db-0:9187', TCP, 'DELIVERED'],
      ['monitoring/prometheus-0', 'shop/db-0:5432', TCP, 'DENIED'],
      ['shop/api-0', 'shop/db-0:9187', TCP, 'DENIED'],
    ],
  ],
  [
    'ops.ssh',
    'calico-wireguard',
    [
      ['ops/shell', 'shop/web-0:22', OPENED, 'DELIVERED'],
      ['shop/api-0', 'shop/web-0:22', OPENED, 'DENIED'],
      ['shop/api-0', 'shop/web-0:80', OPENED, 'DELIVERED'],
    ],
  ],
  [
    'compliance.mainframes',
    'calico-vxlan',
    [
      ['legacy/mainframe-gate', '172.30.1.9', {}, 'NO_ROUTE'],
      ['legacy/mainframe-gate', '172.30.2.17', {}, 'NO_ROUTE'],
      ['shop/api-0', '172.30.1.9', {}, 'DENIED'],
      ['shop/web-0', '172.30.2.17', {}, 'DENIED'],
      ['shop/web-0', '172.30.2.18', {}, 'NO_ROUTE'],
    ],
  ],
])('%s of %s', (_, example, questions) => {
  const network = load(example)

  it.each(questions)('%s → %s (%j): %s', (source, destination, ask, wanted) => expect(verdict(network, source, destination, ask)).toBe(wanted))
})

it('each example is built without a Problem', () => {
  for (const example of Object.keys(EXAMPLES))
    expect([example, buildText(readFileSync(new URL(`../../examples/${example}.yaml`, import.meta.url), 'utf8')).problems]).toEqual([example, []])
})
