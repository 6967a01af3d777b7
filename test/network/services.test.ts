/**
 * The packet flows that kube-proxy's own tests expect (kubernetes pkg/proxy/iptables/proxier_test.go: TestClusterIPGeneral, TestNodePorts,
 * TestLoadBalancer, TestHealthCheckNodePort, TestTrafficPolicies), sent as packets over a cluster of flannel's and one of Calico's: who takes them, after
 * which translations, and as whose they come.
 */
import { describe, expect, it } from 'vitest'
import type { TraceDocument } from '../../src/analysis/trace-document.js'
import type { Network } from '../../src/network/network.js'
import { answer, type Ask } from '../kit/network.js'
import { balanced, CNIS, service, world, type Cni } from './services-world.js'

const OBJECTS = [
  service('near', { clusterIP: '172.30.0.41', selector: { pod: 'near' } }),
  service('far', { clusterIP: '172.30.0.42', selector: { pod: 'far' }, type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] }),
  service('two', {
    clusterIP: '172.30.0.43',
    selector: { pod: 'near' },
    ports: [
      { name: 'p80', port: 80, targetPort: 'http', protocol: 'TCP' },
      { name: 'p81', port: 80, targetPort: 'dns', protocol: 'UDP' },
    ],
  }),
  service(
    'ranges',
    {
      type: 'LoadBalancer',
      clusterIP: '172.30.0.44',
      selector: { pod: 'far' },
      ports: [{ port: 80, targetPort: 8080, nodePort: 30081 }],
      loadBalancerSourceRanges: ['192.168.0.0/24', '203.0.113.0/25', '1.2.3.4/32'],
    },
    balanced('1.2.3.4'),
  ),
  service(
    'nobody',
    {
      type: 'LoadBalancer',
      clusterIP: '172.30.0.45',
      selector: { pod: 'nobody' },
      ports: [{ port: 80, targetPort: 8080, nodePort: 30082 }],
      externalIPs: ['192.168.99.22'],
    },
    balanced('5.6.7.8'),
  ),
  service(
    'local',
    {
      type: 'LoadBalancer',
      clusterIP: '172.30.0.46',
      selector: { pod: 'far' },
      ports: [{ port: 80, targetPort: 8080, nodePort: 30083 }],
      externalTrafficPolicy: 'Local',
      externalIPs: ['192.168.99.11'],
    },
    balanced('9.10.11.12'),
  ),
  service('here', { clusterIP: '172.30.0.47', selector: { pod: 'far' }, internalTrafficPolicy: 'Local' }),
]

/** External addresses of the Services without an endpoint there lead to n1. */
const ROUTES = {
  serviceCIDR: '172.30.0.0/16',
  underlay: {
    segments: [
      { name: 'nodes', cidr: '192.168.0.0/24' },
      { name: 'world', cidr: '203.0.113.0/24' },
    ],
    routers: [
      {
        name: 'edge',
        segments: ['nodes', 'world'],
        routes: ['192.168.99.22 via 192.168.0.2', '192.168.99.11 via 192.168.0.2', '9.10.11.12 via 192.168.0.2'],
      },
    ],
    hosts: [
      { name: 'inside', address: '203.0.113.2' },
      { name: 'outside', address: '203.0.113.130' },
    ],
  },
}

const NETWORKS = new Map<Cni, Network>(CNIS.map((cni) => [cni, world(cni, OBJECTS, ROUTES)]))

function told(cni: Cni, source: string, destination: string, ask: Ask = {}): TraceDocument {
  return answer(NETWORKS.get(cni) as Network, source, destination, ask).document
}

/** `dst A:P, src B`: what the forward's packet was translated to, in order. */
function translated({ forward }: TraceDocument): string[] {
  return forward.hops
    .flatMap(({ steps }) => steps)
    .filter(({ kind, action }) => kind === 'nat' || /^[SD]NAT$/.test(action))
    .map(({ action, after }) => `${action} ${action === 'DNAT' ? `${after?.dst ?? ''}:${after?.dport ?? ''}` : (after?.src ?? '')}`)
}

function seen(document: TraceDocument): readonly unknown[] {
  const { server, client } = document.result
  return [document.disposition, ...translated(document), server === undefined ? client : `${server.netns} sees ${server.sees.address}`]
}

/** Where Calico's veths have no address the masquerade takes the first global one of the node (inet_select_addr): that of its card. */
const LOCAL: Readonly<Record<Cni, string>> = { flannel: '10.180.0.1', calico: '192.168.0.2' }
/** Both tunnels' devices have the first address of the node's pods. */
const TUNNEL = '10.180.0.0'
const NEAR = 'DNAT 10.180.0.10:8080'
const FAR = 'DNAT 10.180.1.10:8080'

describe.each(CNIS)('on %s', (cni) => {
  const local = LOCAL[cni]
  const rows: readonly (readonly [what: string, source: string, destination: string, expected: readonly unknown[], ask?: Ask])[] = [
    ['pod → ClusterIP, same node', 'client', '172.30.0.41:80', ['DELIVERED', NEAR, 'default/near sees 10.180.0.2']],
    ['pod → ClusterIP, other node', 'client', '172.30.0.42:80', ['DELIVERED', FAR, 'default/far sees 10.180.0.2']],
    ['the endpoint → its own ClusterIP', 'near', '172.30.0.41:80', ['DELIVERED', NEAR, `SNAT ${local}`, `default/near sees ${local}`]],
    ['node → ClusterIP, same node', 'node/n1', '172.30.0.41:80', ['DELIVERED', NEAR, `SNAT ${local}`, `default/near sees ${local}`]],
    ['node → ClusterIP, other node', 'node/n1', '172.30.0.42:80', ['DELIVERED', FAR, `SNAT ${TUNNEL}`, `default/far sees ${TUNNEL}`]],
    ['outside → NodePort of a node without the pod', 'host/inside', 'node/n1:30080', ['DELIVERED', FAR, `SNAT ${TUNNEL}`, `default/far sees ${TUNNEL}`]],
    ['TCP of two on one number', 'client', '172.30.0.43:80', ['DELIVERED', NEAR, 'default/near sees 10.180.0.2']],
    ['UDP of two on one number', 'client', '172.30.0.43:80', ['DELIVERED', 'DNAT 10.180.0.10:5353', 'default/near sees 10.180.0.2'], { proto: 'udp' }],
    ['from outside the source ranges → NodePort', 'host/outside', 'node/n1:30081', ['DELIVERED', FAR, `SNAT ${TUNNEL}`, `default/far sees ${TUNNEL}`]],
    ['pod out of the ranges → NodePort', 'client', 'node/n1:30081', ['DELIVERED', FAR, `SNAT ${TUNNEL}`, `default/far sees ${TUNNEL}`]],
    ['node in the ranges → LB VIP', 'node/n1', '1.2.3.4:80', ['DELIVERED', FAR, `SNAT ${TUNNEL}`, `default/far sees ${TUNNEL}`]],
    ['pod on the node → LB VIP of a Local Service, which is short-cut', 'client', '9.10.11.12:80', ['DELIVERED', FAR, 'default/far sees 10.180.0.2']],
    ['outside → NodePort of Local, where the pod is', 'host/inside', 'node/n2:30083', ['DELIVERED', FAR, 'default/far sees 203.0.113.2']],
    ['pod → ClusterIP of Local outside only', 'client', '172.30.0.46:80', ['DELIVERED', FAR, 'default/far sees 10.180.0.2']],
  ]

  for (const [what, source, destination, expected, ask] of rows) it(what, () => expect(seen(told(cni, source, destination, ask))).toEqual(expected))

  it('from within the source ranges → LB VIP', () => {
    const { disposition, result } = told(cni, 'host/inside', '1.2.3.4:80')
    expect([disposition, result.server?.netns, result.server?.address]).toEqual(['DELIVERED', 'default/far', '10.180.1.10'])
    expect(result.server?.sees.address).not.toBe('203.0.113.2')
  })

  it.each([
    ['outside', 'host/outside'],
    ['pod', 'client'],
  ])('%s out of the source ranges → LB VIP: dropped in silence', (_what, source) => {
    const document = told(cni, source, '1.2.3.4:80')
    expect(document.disposition).toBe('DENIED')
    expect(lastRule(document)).toMatchObject({ chain: 'KUBE-PROXY-FIREWALL' })
    expect(document.result.client).toContain('times out (no RST, no ICMP)')
  })

  it.each([
    ['pod → ClusterIP', 'client', '172.30.0.45:80'],
    ['node → ClusterIP', 'node/n1', '172.30.0.45:80'],
    ['outside → NodePort', 'host/inside', 'node/n1:30082'],
    ['pod → LB VIP', 'client', '5.6.7.8:80'],
    ['outside → LB VIP', 'host/inside', '5.6.7.8:80'],
    ['pod → external IP', 'client', '192.168.99.22:80'],
    ['outside → external IP', 'host/inside', '192.168.99.22:80'],
  ])('no endpoints: %s is refused at once', (_what, source, destination) => {
    const { disposition, result } = told(cni, source, destination)
    expect([disposition, result.server]).toEqual(['NO_ENDPOINT', undefined])
    expect(result.client).toContain('port unreachable')
    expect(result.cause).toContain('its selector pod=nobody selects no pod')
  })

  // Felix's chains stand before kube-proxy's in INPUT: what comes from a workload is accepted there, and then nobody listens
  it(`no endpoints: pod → NodePort is refused by ${cni === 'calico' ? 'the host' : 'kube-proxy'}`, () => {
    const { disposition, result } = told(cni, 'client', 'node/n1:30082')
    expect(disposition).toBe(cni === 'calico' ? 'NO_SOCKET' : 'NO_ENDPOINT')
    expect(result.client).toContain(cni === 'calico' ? 'refused' : 'port unreachable')
    expect([result.cause, ...result.fixes].join('\n')).toContain('its selector pod=nobody selects no pod')
  })

  it.each([
    ['external IP', '192.168.99.11:80'],
    ['LB VIP', '9.10.11.12:80'],
    ['node port', 'node/n1:30083'],
  ])('Local without an endpoint on the node: %s is dropped in silence', (_what, destination) => {
    const document = told(cni, 'host/inside', destination)
    expect(document.disposition).toBe('NO_ENDPOINT')
    expect(document.result.client).toContain('times out (no RST, no ICMP)')
    expect(document.result.cause).toContain('has no endpoint on this node, and its externalTrafficPolicy is Local')
    expect(document.result.fixes.join('\n')).toContain('endpoints are on n2')
  })

  it('internalTrafficPolicy Local without an endpoint on the node is dropped, and taken where one is', () => {
    const document = told(cni, 'client', 'svc/here')
    expect(document.disposition).toBe('NO_ENDPOINT')
    expect(document.result.cause).toContain('internalTrafficPolicy is Local')
    expect(seen(told(cni, 'far', 'svc/here')).slice(0, 2)).toEqual(['DELIVERED', FAR])
  })

  it.each([
    ['an undeclared port', '172.30.0.41:81', {}],
    ['another protocol', '172.30.0.41:80', { proto: 'udp' }],
    ['an address that no Service has', '172.30.0.99:80', {}],
    ['an echo request', '172.30.0.41', { proto: 'icmp' }],
  ] as const)('%s of a ClusterIP is no match at all: it follows the default route', (_what, destination, ask) => {
    const document = told(cni, 'client', destination, ask)
    expect(document.disposition).toBe('NO_ROUTE')
    expect(translated(document).filter((text) => text.startsWith('DNAT'))).toEqual([])
    expect(document.result.netns).toBe('router/edge')
  })

  it('no endpoints: a node process to an external IP passes OUTPUT, which asks KUBE-SERVICES alone', () => {
    const document = told(cni, 'node/n3', '192.168.99.22:80')
    // it leaves by routing, and the node that has the address behind it refuses it as it does others
    const left = document.forward.hops.map(({ netns }) => netns)
    expect(left.slice(0, 2)).toEqual(['n3', 'router/edge'])
    expect(document.disposition).toBe('NO_ENDPOINT')
    expect(document.result.netns).not.toBe('n3')
  })
})

function lastRule({ forward }: TraceDocument): unknown {
  return forward.hops
    .flatMap(({ steps }) => steps)
    .flatMap(({ at, kind }) => (kind === 'table' || kind === 'drop' ? [at] : []))
    .filter((at) => at?.chain !== undefined)
    .at(-1)
}
