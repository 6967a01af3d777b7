/** Who is behind a Service: kubernetes pkg/proxy/endpointslicecache.go for what is listed, kubernetes/endpointslice utils.go for what is selected. */
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../../src/base/ip.js'
import { allEndpoints } from '../../../src/cluster/services/endpoints.js'
import { SelectedPods } from '../../../src/cluster/services/selected-pods.js'
import type { ServiceEndpoint, ServiceEndpoints } from '../../../src/cluster/services/service.js'
import { build, node } from '../support.js'

const NODES =
  node('n1', '192.168.0.1').replace('{name: n1}', '{name: n1, labels: {topology.kubernetes.io/zone: a}}') +
  node('n2', '192.168.0.2').replace('{name: n2}', '{name: n2, labels: {topology.kubernetes.io/zone: b}}')

function pod(
  name: string,
  address: string,
  fields: { readonly labels?: string; readonly spec?: string; readonly status?: string; readonly metadata?: string } = {},
): string {
  const { labels = 'app: web', spec = 'nodeName: n1', status = '', metadata = '' } = fields
  const phase = status.includes('phase') ? '' : 'phase: Running, '
  return `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: {${labels}}${metadata}}\nspec: {${spec}}\nstatus: {${phase}podIP: "${address}"${status === '' ? '' : `, ${status}`}}\n---\n`
}

function web(spec = 'ports: [{port: 80}]', metadata = ''): string {
  return `apiVersion: v1\nkind: Service\nmetadata: {name: web${metadata}}\nspec: {selector: {app: web}, ${spec}}\n---\n`
}

function slice(body: string, apiVersion = 'discovery.k8s.io/v1', name = 'web-abcde'): string {
  return `apiVersion: ${apiVersion}\nkind: EndpointSlice\nmetadata: {name: ${name}, labels: {kubernetes.io/service-name: web}}\n${body}\n---\n`
}

function behind(...texts: readonly string[]): ServiceEndpoints {
  return allEndpoints(build([NODES, ...texts].join('')).cluster, () => undefined)[0]
}

function told({ address, port, node: at, zone, ready, serving, terminating, hostname, forZones, forNodes }: ServiceEndpoint): string {
  const words = [
    ready ? 'ready' : '',
    serving ? 'serving' : '',
    terminating ? 'terminating' : '',
    hostname ?? '',
    forZones ? `zones ${forZones.join()}` : '',
    forNodes ? `nodes ${forNodes.join()}` : '',
  ]
  return [`${formatIp(address)}:${port}`, at ?? '-', zone ?? '-', ...words.filter((word) => word !== '')].join(' ')
}

const first = (endpoints: ServiceEndpoints): string[] => endpoints.ports[0].endpoints.map(told)
const warnings = (...texts: readonly string[]): string[] => build([NODES, ...texts].join('')).texts.filter((text) => text.includes('Service/'))

describe('of pods', () => {
  it('ready, not ready, ending; those that are over, or without an address or a node, are left out', () => {
    const endpoints = behind(
      web(),
      pod('a', '10.1.0.10'),
      pod('b', '10.1.0.9', { status: 'conditions: [{type: Ready, status: "False"}]' }),
      pod('c', '10.1.1.8', { spec: 'nodeName: n2', metadata: ', deletionTimestamp: "2026-01-01T00:00:00Z"' }),
      pod('d', '10.1.0.7', { status: 'phase: Succeeded' }),
      pod('e', ''),
      pod('f', '10.1.0.6', { spec: 'nodeName: gone' }),
      pod('g', '10.1.0.5', { labels: 'app: other' }),
    )
    expect(endpoints.from).toBe('pods')
    // in the order of their strings, as kube-proxy sorts
    expect(first(endpoints)).toEqual(['10.1.0.10:80 n1 a ready serving', '10.1.0.9:80 n1 a', '10.1.1.8:80 n2 b serving terminating'])
    expect(endpoints.addresses.map(({ pod: of }) => of?.name)).toEqual(['a', 'b', 'c'])
  })

  it('publishNotReadyAddresses: all are ready', () => {
    const endpoints = behind(
      web('publishNotReadyAddresses: true, ports: [{port: 80}]'),
      pod('b', '10.1.0.9', { status: 'conditions: [{type: Ready, status: "False"}]' }),
    )
    expect(first(endpoints)).toEqual(['10.1.0.9:80 n1 a ready'])
  })

  it("a targetPort by name is each pod's own, of the same protocol; who has none is not behind that port", () => {
    const ports = (text: string): string => `nodeName: n1, containers: [{name: c, ports: [${text}]}]`
    const endpoints = behind(
      web('ports: [{name: x, port: 80, targetPort: http}, {name: y, port: 53, protocol: UDP, targetPort: dns}]'),
      pod('a', '10.1.0.1', { spec: ports('{name: http, containerPort: 8080}, {name: dns, containerPort: 53}') }),
      pod('b', '10.1.0.2', { spec: ports('{name: http, containerPort: 9090}, {name: dns, containerPort: 5353, protocol: UDP}') }),
      pod('c', '10.1.0.3', { spec: ports('{containerPort: 8080}') }),
    )
    expect(first(endpoints)).toEqual(['10.1.0.1:8080 n1 a ready serving', '10.1.0.2:9090 n1 a ready serving'])
    expect(endpoints.ports[1].endpoints.map(told)).toEqual(['10.1.0.2:5353 n1 a ready serving'])
    expect(endpoints.addresses).toHaveLength(3)
  })

  it('a host name only under its own subdomain; pods of the host have its address', () => {
    const endpoints = behind(
      web('clusterIP: None'),
      pod('a', '10.1.0.1', { spec: 'nodeName: n1, hostname: web-0, subdomain: web' }),
      pod('b', '10.1.0.2', { spec: 'nodeName: n1, hostname: web-1, subdomain: other' }),
      pod('c', '', { spec: 'nodeName: n2, hostNetwork: true' }),
    )
    expect(endpoints.ports).toEqual([])
    expect(endpoints.addresses.map(told)).toEqual(['10.1.0.1:0 n1 a ready serving web-0', '10.1.0.2:0 n1 a ready serving', '192.168.0.2:0 n2 b ready serving'])
  })

  it.each([
    ['PreferClose', ['10.1.0.1:80 n1 a ready serving zones a', '10.1.1.1:80 n2 b ready serving zones b']],
    ['PreferSameNode', ['10.1.0.1:80 n1 a ready serving zones a nodes n1', '10.1.1.1:80 n2 b ready serving zones b nodes n2']],
  ])('hints of trafficDistribution %s', (distribution, expected) => {
    expect(
      first(behind(web(`trafficDistribution: ${distribution}, ports: [{port: 80}]`), pod('a', '10.1.0.1'), pod('b', '10.1.1.1', { spec: 'nodeName: n2' }))),
    ).toEqual(expected)
  })

  it('addresses that IPAM gives later', () => {
    const { cluster } = build([NODES, web(), pod('a', '')].join(''))
    expect(first(allEndpoints(cluster, (asked) => (asked.name === 'a' ? ip('10.9.9.9') : undefined))[0])).toEqual(['10.9.9.9:80 n1 a ready serving'])
  })
})

describe('of objects', () => {
  it('EndpointSlices go before everything else, word for word', () => {
    const listed = slice(
      `addressType: IPv4\nports: [{name: "", port: 8080}]\nendpoints: [{addresses: [10.2.0.1, 10.2.0.2], nodeName: n1, zone: z, hints: {forZones: [{name: z}]}}, {addresses: [10.2.0.3], conditions: {ready: false, serving: true, terminating: true}}, {addresses: [10.2.0.4], conditions: {ready: false, serving: false}, hostname: h}]`,
    )
    const endpoints = behind(web(), pod('a', '10.1.0.1'), listed)
    expect(endpoints.from).toBe('EndpointSlice')
    expect(first(endpoints)).toEqual(['10.2.0.1:8080 n1 z ready serving zones z', '10.2.0.3:8080 - - serving terminating', '10.2.0.4:8080 - - h'])
  })

  it('several slices, by name and protocol of the port; twice the same counts once', () => {
    const endpoints = behind(
      web('ports: [{name: a, port: 80}, {name: b, port: 80, protocol: UDP}]'),
      slice(
        'addressType: IPv4\nports: [{name: a, port: 8080}, {name: b, port: 53, protocol: UDP}, {name: a, port: 0}, {name: a}]\nendpoints: [{addresses: [10.2.0.1]}]',
      ),
      slice(
        'addressType: IPv4\nports: [{name: a, port: 8080}, {name: a, port: 9090, protocol: UDP}]\nendpoints: [{addresses: [10.2.0.1], nodeName: n2}, {addresses: [10.2.0.2]}]',
        'discovery.k8s.io/v1',
        'web-2',
      ),
      slice('addressType: IPv6\nports: [{name: a, port: 8080}]\nendpoints: [{addresses: ["fd00::1"]}]', 'discovery.k8s.io/v1', 'web-3'),
    )
    expect(first(endpoints)).toEqual(['10.2.0.1:8080 n2 b ready serving', '10.2.0.2:8080 - - ready serving'])
    expect(endpoints.ports[1].endpoints.map(told)).toEqual(['10.2.0.1:53 - - ready serving'])
  })

  it('v1beta1 says node and zone in its topology', () => {
    const old = slice(
      'addressType: IPv4\nports: [{name: "", port: 80}]\nendpoints: [{addresses: [10.2.0.1], topology: {kubernetes.io/hostname: n2, topology.kubernetes.io/zone: y}}]',
      'discovery.k8s.io/v1beta1',
    )
    expect(first(behind(web(), old))).toEqual(['10.2.0.1:80 n2 y ready serving'])
  })

  // proxier of 1.37.2 run in a network namespace: the cluster IP is dropped, or led to the endpoint
  it('without nodeName it is local nowhere, though its pod runs there; who ends yields to who does not', () => {
    const listing = (...endpoints: string[]): string[] => [
      pod('a', '10.1.0.1'),
      ...endpoints.map((text, index) =>
        slice(`addressType: IPv4\nports: [{name: "", port: 80}]\nendpoints: [{addresses: [10.1.0.1]${text}}]`, 'discovery.k8s.io/v1', `web-${index}`),
      ),
    ]
    const ending = ', nodeName: n1, conditions: {ready: false, serving: true, terminating: true}'
    const seen = (...endpoints: string[]): string[] => first(behind(web(), ...listing(...endpoints)))
    expect(seen('')).toEqual(['10.1.0.1:80 - - ready serving'])
    expect(seen(', deprecatedTopology: {kubernetes.io/hostname: n1}')).toEqual(['10.1.0.1:80 - - ready serving'])
    expect(seen('', ending)).toEqual(['10.1.0.1:80 - - ready serving'])
    expect(seen(ending, '')).toEqual(['10.1.0.1:80 - - ready serving'])
    expect(seen(ending, ', nodeName: n2')).toEqual(['10.1.0.1:80 n2 b ready serving'])
  })

  it('Endpoints: ready and not; the node is the one that they name, as their mirrored slices have it', () => {
    const listed =
      `apiVersion: v1\nkind: Endpoints\nmetadata: {name: web}\n` +
      `subsets: [{addresses: [{ip: 10.1.0.1, targetRef: {kind: Pod, name: a}}, {ip: 10.2.0.1, nodeName: n2}], ` +
      `notReadyAddresses: [{ip: 10.2.0.9}], ports: [{port: 8080}]}]\n---\n`
    const endpoints = behind(web(), pod('a', '10.1.0.1'), listed)
    expect(endpoints.from).toBe('Endpoints')
    expect(first(endpoints)).toEqual(['10.1.0.1:8080 - - ready serving', '10.2.0.1:8080 n2 b ready serving', '10.2.0.9:8080 - -'])
  })

  it('nobody: no selector and no object; an ExternalName', () => {
    expect(behind(web().replace('selector: {app: web}, ', '')).from).toBe('nobody')
    expect(behind(web('type: ExternalName, externalName: a.b')).from).toBe('nobody')
  })
})

describe('what leads nowhere is told', () => {
  it.each<readonly [string, readonly string[], string, string]>([
    [
      'a value misspelt',
      [web().replace('app: web', 'app: wbe'), pod('a', '10.1.0.1')],
      'no pod of namespace default has the label app=wbe',
      'Did you mean web?',
    ],
    [
      'a key misspelt',
      [web().replace('app: web', 'ap: web'), pod('a', '10.1.0.1')],
      'no pod of namespace default has the label ap=web',
      'Did you mean the label app?',
    ],
    [
      'one of several labels',
      [web().replace('app: web', 'app: web, tier: front'), pod('a', '10.1.0.1', { labels: 'app: web, tier: back' })],
      'no pod of namespace default has all of app=web, tier=front; tier=front fails',
      'Pods there have tier=back.',
    ],
    ['no pods at all', [web()], 'has the label app=web', 'There are no pods in the namespace.'],
    [
      'a port that no container has',
      [
        web('ports: [{port: 80, targetPort: htp}]'),
        pod('a', '10.1.0.1', { spec: 'nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 80}]}]' }),
      ],
      'no container behind the Service has a port called htp',
      'Did you mean http?',
    ],
    [
      'a port of another protocol',
      [
        web('ports: [{port: 53, targetPort: dns}]'),
        pod('a', '10.1.0.1', { spec: 'nodeName: n1, containers: [{name: c, ports: [{name: dns, containerPort: 53, protocol: UDP}]}]' }),
      ],
      'the port dns of the containers behind the Service is UDP, not TCP',
      'Write protocol: UDP.',
    ],
    [
      'no selector and no list',
      [web().replace('selector: {app: web}, ', '')],
      'a Service without selector, and nothing lists its endpoints',
      'Write a selector',
    ],
  ])('%s', (_, texts, what, fix) => {
    const [only, ...more] = warnings(...texts)
    expect(more).toEqual([])
    expect(only).toContain(`warning: Service/default/web: `)
    expect(only).toContain(what)
    expect(only).toContain(fix)
  })

  it('but not of what objects list', () => {
    expect(warnings(web().replace('app: web', 'app: wbe'), slice('addressType: IPv4\nports: []\nendpoints: []'))).toEqual([])
  })
})

describe('size', () => {
  it('looks at the pods of the rarest label alone', () => {
    const { cluster } = build(NODES + pod('a', '10.1.0.1') + pod('b', '10.1.0.2'))
    const [template] = cluster.pods
    let asked = 0
    const pods = Array.from({ length: 3000 }, (_, i) => {
      const labels = { tier: 'all', app: `app${i % 300}` }
      return {
        ...template,
        name: `p${i}`,
        get labels() {
          asked++
          return labels
        },
      }
    })
    const selected = new SelectedPods(pods)
    asked = 0
    for (let i = 0; i < 300; i++) expect(selected.of('default', { tier: 'all', app: `app${i}` })).toHaveLength(10)
    expect(asked).toBe(3000)
  })
})
