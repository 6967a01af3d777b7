/** BGP inside a whole network: manifests in, sessions over the simulated underlay, routes in the kernels, and what is said where a session stays down. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatProblem } from '../../../src/base/problem.js'
import { printRoutes } from '../../../src/dataplane/ip-route.js'
import type { Network } from '../../../src/network/network.js'
import { answer, buildText } from '../../kit/network.js'
import { bgpManifest } from './manifest.js'

function built(manifest: Parameters<typeof bgpManifest>[0]): { readonly network: Network; readonly problems: string[] } {
  const { network, problems } = buildText(bgpManifest(manifest))
  return { network, problems: problems.map(formatProblem) }
}

function birdRoutes(network: Network, netns: string): string[] {
  return printRoutes(network.bgp?.routes.get(netns) ?? [])
    .trimEnd()
    .split('\n')
    .map((line) => line.trim())
    .sort()
}

function states(network: Network, netns: string): Record<string, string> {
  return Object.fromEntries((network.bgp?.world.birds.get(netns)?.sessions ?? []).map(({ config, stateText }) => [config.name, stateText]))
}

const host = (node: string, ...iptables: string[]): object => ({ node, iptables })

describe('a mesh of three', () => {
  it('is up, and nothing is said of it', () => {
    const { network, problems } = built({ nodes: 3 })
    expect(problems).toEqual([])
    expect(birdRoutes(network, 'n1')).toEqual([
      '10.244.2.0/26 via 10.0.0.2 dev eth0 proto bird metric 1024',
      '10.244.3.0/26 via 10.0.0.3 dev eth0 proto bird metric 1024',
      'blackhole 10.244.1.0/26 proto bird',
    ])
  })

  it('a rule of a host on the way keeps its sessions down and its routes away, and is named', () => {
    const { network, problems } = built({
      nodes: 3,
      network: { hosts: [host('n2', '-I INPUT -p tcp --dport 179 -j DROP', '-I OUTPUT -p tcp --dport 179 -j DROP')] },
    })
    expect(states(network, 'n2')).toEqual({ Mesh_10_0_0_1: 'Connect', Mesh_10_0_0_3: 'Passive' })
    expect(birdRoutes(network, 'n1')).toEqual(['10.244.3.0/26 via 10.0.0.3 dev eth0 proto bird metric 1024', 'blackhole 10.244.1.0/26 proto bird'])
    expect(birdRoutes(network, 'n2')).toEqual(['blackhole 10.244.2.0/26 proto bird'])
    expect(problems).toHaveLength(2)
    expect(problems[0]).toContain('test.yaml:1: warning: Node/n1: the BGP session n1 to n2 does not come up: ')
    expect(problems[0]).toContain('the SYN of 10.0.0.2 to 10.0.0.1 port 179 is lost at n2: filter/OUTPUT #1 drops it: -p tcp -m tcp --dport 179 -j DROP')
    expect(problems[0]).toMatch(/ \(owner of the host test\.yaml:\d+\)\n/)
    expect(problems[1]).toMatch(/n2 to n3 does not come up: the SYN of 10\.0\.0\.3 to 10\.0\.0\.2 port 179 is lost at n2: filter\/INPUT #1/)
  })

  it('a rule that lets SYNs in and answers not out', () => {
    const { network, problems } = built({ nodes: 2, network: { hosts: [host('n1', '-A OUTPUT -p tcp --sport 179 -j DROP')] } })
    expect(states(network, 'n2')).toEqual({ Mesh_10_0_0_1: 'Connect' })
    expect(problems.join()).toMatch(/the SYN-ACK of 10\.0\.0\.1 port 179 to 10\.0\.0\.2 is lost at n1: filter\/OUTPUT #2 drops it/)
  })

  it('REJECT is refused at once: dialled again after five seconds', () => {
    const { network, problems } = built({ nodes: 2, network: { hosts: [host('n1', '-A INPUT -p tcp --dport 179 -j REJECT')] } })
    expect(network.bgp?.world.birds.get('n2')?.sessions[0].lastError).toBe('Socket: Connection refused')
    expect(problems.join()).toMatch(/lost at n1: filter\/INPUT #2 rejects it/)
  })

  it('sessions that fail for one reason are one Problem', () => {
    const { problems } = built({ nodes: 5, network: { hosts: [host('n1', '-A INPUT -p tcp --dport 179 -j DROP')] } })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain('the BGP session n1 to n2 (and 3 more: n1 to n3, n1 to n4, n1 to n5) does not come up')
  })
})

describe('host endpoints', () => {
  const endpoint = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'HostEndpoint',
    metadata: { name: 'n2-eth0', labels: { host: 'n2' } },
    spec: { node: 'n2', interfaceName: 'eth0' },
  }
  const noFailsafes = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'FelixConfiguration',
    metadata: { name: 'default' },
    spec: { failsafeInboundHostPorts: [], failsafeOutboundHostPorts: [] },
  }
  const allow = (ports: number[]): object => ({
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkPolicy',
    metadata: { name: 'hosts' },
    spec: {
      selector: "host == 'n2'",
      types: ['Ingress', 'Egress'],
      ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports } }],
      egress: [{ action: 'Allow', protocol: 'TCP', destination: { ports } }],
    },
  })

  it('failsafe ports keep BGP up', () => {
    const { network, problems } = built({ nodes: 3, objects: [endpoint] })
    expect(problems).toEqual([])
    expect(states(network, 'n2')).toEqual({ Mesh_10_0_0_1: 'Established', Mesh_10_0_0_3: 'Established' })
  })

  it('without failsafes the endpoint shuts it out, and is named with its place', () => {
    const { network, problems } = built({ nodes: 3, objects: [endpoint, noFailsafes] })
    expect(states(network, 'n2')).toEqual({ Mesh_10_0_0_1: 'Connect', Mesh_10_0_0_3: 'Passive' })
    expect(problems.join()).toMatch(
      /n1 to n2 does not come up: .* lost at n2: filter\/cali-th-eth0 #\d+ drops it: .* \(felix, HostEndpoint\/n2-eth0 test\.yaml:\d+\)/,
    )
  })

  it.each([
    [179, 'Established'],
    [178, 'Connect'],
  ])('a policy that allows port %i: %s', (port, state) => {
    const { network } = built({ nodes: 3, objects: [endpoint, noFailsafes, allow([port])] })
    expect(states(network, 'n2').Mesh_10_0_0_1).toBe(state)
  })
})

describe('peers', () => {
  const peer = (name: string, spec: object): object => ({ apiVersion: 'projectcalico.org/v3', kind: 'BGPPeer', metadata: { name }, spec })

  it.each([
    [
      'an address that nobody has',
      peer('tor', { peerIP: '10.0.0.77', asNumber: 65001 }),
      /BGPPeer\/tor: the BGP session n1 to 10\.0\.0\.77 \(and 1 more: n2 to 10\.0\.0\.77\) does not come up: no node or router here has 10\.0\.0\.77/,
    ],
    [
      'a router without an AS number',
      peer('tor', { peerIP: '10.0.0.254', asNumber: 65001 }),
      /BGPPeer\/tor: .* router\/router speaks no BGP: it has no AS number/,
    ],
    [
      'a selector that selects nobody',
      peer('tor', { nodeSelector: 'has(rack)', peerIP: '10.0.0.254', asNumber: 1 }),
      /BGPPeer\/tor: it gives no node a peer \(nodeSelector has\(rack\)\)/,
    ],
    [
      'a password whose Secret is missing',
      peer('tor', { nodeSelector: 'has(rack)', peerIP: '10.0.0.254', asNumber: 1, password: { secretKeyRef: { name: 's', key: 'k' } } }),
      /BGPPeer\/tor: its password is key k of Secret s, which is not in kube-system or calico-system/,
    ],
  ])('%s', (_what, object, said) => {
    expect(built({ nodes: 2, objects: [object] }).problems.join('\n')).toMatch(said)
  })

  const tor = (more: object = {}): object => ({
    underlay: { segments: [{ name: 's0', cidr: '10.0.0.0/24', router: '10.0.0.254' }], routers: [{ name: 'tor', segments: ['s0'], asn: 65001, ...more }] },
  })

  it('an AS number at one node of a mesh: the others are taken to have it too, by that node alone', () => {
    const text = bgpManifest({ nodes: 2 }).replace(/("name":"n2",.*?"annotations":\{)/, '$1"projectcalico.org/ASNumber":"64999",')
    expect(text).toContain('64999')
    const problems = buildText(text).problems.map(formatProblem).join()
    expect(problems).toMatch(/n2 expects AS 64999 of n1, which has AS 64512\n +In the mesh .* give all of them one/)
  })

  it('a router of another AS than the BGPPeer says', () => {
    const { problems } = built({ nodes: 2, network: tor(), objects: [peer('tor', { peerIP: '10.0.0.254', asNumber: 65002 })] })
    expect(problems.join()).toMatch(/n1 expects AS 65002 of router\/tor, which has AS 65001/)
  })

  it('a router whose list leaves a node out', () => {
    const { network, problems } = built({ nodes: 2, network: tor({ peers: ['10.0.0.1'] }), objects: [peer('tor', { peerIP: '10.0.0.254', asNumber: 65001 })] })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain('n2 to router/tor does not come up: router/tor has no peering with 10.0.0.2')
    expect(states(network, 'n1').Global_10_0_0_254).toBe('Established')
  })

  it('a router that nobody peers with, and nodes that peer with nobody', () => {
    const { problems } = built({ nodes: 2, network: tor(), mesh: false })
    expect(problems.join('\n')).toMatch(/router\/tor: it has an AS number, and nobody peers with it/)
    expect(problems.join('\n')).toMatch(/Node\/n1: n1, n2: no BGP peer, so that nobody learns the way to its pods/)
  })

  it('a reflector before its BGPPeer is alone', () => {
    expect(built({ nodes: 3, reflectors: ['n3'], peers: false, mesh: true }).problems.join()).toMatch(/n3: no BGP peer/)
  })
})

describe('passwords', () => {
  const secret = (name: string, data: object): object => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'kube-system' }, ...data })
  const router = {
    underlay: { segments: [{ name: 's0', cidr: '10.0.0.0/24', router: '10.0.0.254' }], routers: [{ name: 'tor', segments: ['s0'], asn: 65001 }] },
  }

  it('of the mesh, out of a Secret in base64 or in plain text', () => {
    for (const data of [{ data: { k: Buffer.from('rosebud').toString('base64') } }, { stringData: { k: 'rosebud' } }]) {
      const { network, problems } = built({ nodes: 2, bgp: { nodeMeshPassword: { secretKeyRef: { name: 's', key: 'k' } } }, objects: [secret('s', data)] })
      expect(problems.filter((text) => text.includes('BGP'))).toEqual([])
      expect(network.bgp?.world.birds.get('n1')?.config.peers[0].password).toBe('rosebud')
      expect(states(network, 'n1')).toEqual({ Mesh_10_0_0_2: 'Established' })
    }
  })

  it('that the other end does not have', () => {
    const peer = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPPeer',
      metadata: { name: 'tor' },
      spec: { peerIP: '10.0.0.254', asNumber: 65001, password: { secretKeyRef: { name: 's', key: 'k' } } },
    }
    const { network, problems } = built({ nodes: 1, network: router, objects: [peer, secret('s', { stringData: { k: 'x' } })] })
    expect(states(network, 'n1')).toEqual({ Global_10_0_0_254: 'Connect' })
    expect(problems.join()).toContain('the two ends have different passwords')
  })
})

describe('settings of BGPConfiguration', () => {
  it('listenPort: both ends use it, and a rule on 179 does nothing', () => {
    const { network, problems } = built({ nodes: 2, bgp: { listenPort: 1790 }, network: { hosts: [host('n1', '-A INPUT -p tcp --dport 179 -j DROP')] } })
    expect(problems).toEqual([])
    expect(states(network, 'n1')).toEqual({ Mesh_10_0_0_2: 'Established' })
  })

  it('services: ranges from every node, single addresses from the nodes with endpoints', () => {
    const service = (name: string, spec: object): object => ({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec })
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'sliced-1', labels: { 'kubernetes.io/service-name': 'sliced' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.244.2.9'], nodeName: 'n2' }],
    }
    const { network } = built({
      nodes: 3,
      bgp: { serviceClusterIPs: [{ cidr: '10.96.0.0/12' }], serviceExternalIPs: [{ cidr: '203.0.113.0/24' }] },
      objects: [
        service('local', { clusterIP: '10.96.0.10', type: 'NodePort', externalTrafficPolicy: 'Local', externalIPs: ['203.0.113.7'], selector: { app: 'p1' } }),
        service('sliced', { clusterIP: '10.96.0.11', type: 'NodePort', externalTrafficPolicy: 'Local' }),
        service('whole', { clusterIP: '10.96.0.12', selector: { app: 'p1' } }),
        slice,
      ],
    })
    const services = (node: string): string[] =>
      (network.bgp?.world.birds.get(node)?.config.exports?.services ?? []).map(
        ({ base, length }) => `${(base >>> 24) & 255}.${(base >>> 16) & 255}.${(base >>> 8) & 255}.${base & 255}/${length}`,
      )
    expect(services('n1')).toEqual(['10.96.0.0/12', '203.0.113.0/24', '10.96.0.10/32', '203.0.113.7/32'])
    expect(services('n2')).toEqual(['10.96.0.0/12', '203.0.113.0/24', '10.96.0.11/32'])
    expect(services('n3')).toEqual(['10.96.0.0/12', '203.0.113.0/24'])
    // whole ranges stay out of every kernel
    expect(birdRoutes(network, 'n3').join()).not.toMatch(/10\.96\.0\.0|203\.0\.113\.0/)
  })
})

describe('examples/calico-fabric.yaml', () => {
  const text = readFileSync('examples/calico-fabric.yaml', 'utf8')
  const { network, problems } = buildText(text)
  const ttls = (source: string, destination: string): string[] => answer(network, source, destination).document.forward.hops.map(({ netns }) => netns)

  it('nothing is wrong with it', () => {
    expect(problems.map(formatProblem)).toEqual([])
  })

  it('the data centre carries the pods’ blocks', () => {
    const pods = (netns: string): string[] => birdRoutes(network, netns).filter((line) => line.includes('10.244.'))
    expect(pods('router/spine').map((line) => line.replace(/^\S+ /, ''))).toEqual([
      'via 10.0.1.2 dev eth0 proto bird',
      'via 10.0.2.2 dev eth1 proto bird',
      'via 10.0.2.2 dev eth1 proto bird',
      'via 10.0.1.2 dev eth0 proto bird',
    ])
    expect(pods('router/tor-1')).toHaveLength(4)
  })

  it('from rack to rack over four routers, with no byte added', () => {
    expect(ttls('shop/web-0', 'shop/api-0:8080')).toEqual(['shop/web-0', 'rack1-a', 'router/tor-1', 'router/spine', 'router/tor-2', 'rack2-a', 'shop/api-0'])
    const { outcome, document } = answer(network, 'shop/web-0', 'shop/api-0:8080')
    expect(outcome.disposition).toBe('DELIVERED')
    expect(new Set(document.forward.frames.map(({ length }) => length))).toEqual(new Set([74]))
  })

  it('within a rack straight to the other node: the switch reflects and is not the next hop', () => {
    expect(ttls('shop/web-0', 'shop/cache-0:6379')).toEqual(['shop/web-0', 'rack1-a', 'rack1-b', 'shop/cache-0'])
  })

  it('policy holds over the fabric', () => {
    expect(answer(network, 'shop/web-0', 'shop/db-0:5432').outcome.disposition).toBe('DENIED')
    expect(answer(network, 'shop/api-0', 'shop/db-0:5432').outcome.disposition).toBe('DELIVERED')
  })

  it('an AS for each node: the same ways', () => {
    let number = 65200
    const own = text
      .replace(/projectcalico.org\/ASNumber: "\d+"/g, () => `projectcalico.org/ASNumber: "${number++}"`)
      .replace(/asn: 6510(\d)/g, 'asn: 6500$1')
      .replace(/asNumber: 6510(\d)/g, 'asNumber: 6500$1')
    const each = buildText(own)
    expect(each.problems.map(formatProblem)).toEqual([])
    expect(answer(each.network, 'shop/web-0', 'shop/api-0:8080').outcome.disposition).toBe('DELIVERED')
    expect(answer(each.network, 'shop/web-0', 'shop/cache-0:6379').outcome.disposition).toBe('DELIVERED')
  })

  it('one AS for all nodes, another for the switches: a path that holds the own number is not taken', () => {
    const one = text
      .replace(/projectcalico.org\/ASNumber: "\d+"/g, 'projectcalico.org/ASNumber: "64512"')
      .replace(/asn: 6510(\d)/g, 'asn: 6500$1')
      .replace(/asNumber: 6510(\d)/g, 'asNumber: 6500$1')
    const { network: refusing } = buildText(one)
    expect(birdRoutes(refusing, 'rack1-a').filter((line) => line.includes('10.244.') && !line.startsWith('blackhole'))).toEqual([])
    const { network: allowing } = buildText(one.replace(/(asNumber: 6500\d)/g, '$1, numAllowedLocalASNumbers: 1'))
    expect(answer(allowing, 'shop/web-0', 'shop/api-0:8080').outcome.disposition).toBe('DELIVERED')
  })

  it('a mesh over the routed fabric comes up on the routes that the fabric’s own BGP brings', () => {
    const documents = text.split('\n---\n').filter((document) => !document.includes('kind: BGPPeer'))
    const mesh = documents
      .join('\n---\n')
      .replace('nodeToNodeMeshEnabled: false', 'nodeToNodeMeshEnabled: true')
      .replace(/, projectcalico.org\/ASNumber: "\d+"/g, '')
    const over = buildText(mesh)
    expect(over.problems.map(formatProblem)).toEqual([])
    expect(new Set(Object.values(states(over.network, 'rack1-a')))).toEqual(new Set(['Established']))
    // known of every mesh without encapsulation over routers: these know nothing of pods
    expect(answer(over.network, 'shop/web-0', 'shop/api-0:8080').outcome.disposition).toBe('NO_ROUTE')
    const tunnelled = buildText(mesh.replace('ipipMode: Never', 'ipipMode: CrossSubnet'))
    expect(answer(tunnelled.network, 'shop/web-0', 'shop/api-0:8080').outcome.disposition).toBe('DELIVERED')
  })
})
