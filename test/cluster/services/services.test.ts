/** Service objects as an API server takes them: kubernetes pkg/apis/core/v1/defaults.go, pkg/apis/core/validation, ipallocator and portallocator. */
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../../src/base/cidr.js'
import { formatIp } from '../../../src/base/ip.js'
import type { ClusterService } from '../../../src/cluster/services/service.js'
import { build, network, node } from '../support.js'

/** @param spec in flow style, without the braces */
function service(name: string, spec: string, more = ''): string {
  const [namespace, own] = name.includes('/') ? name.split('/') : ['default', name]
  return `apiVersion: v1\nkind: Service\nmetadata: {name: ${own}, namespace: ${namespace}}\nspec: {${spec}}\n${more}---\n`
}

const PORTS = 'ports: [{port: 80}]'

function read(...texts: readonly string[]): { readonly services: readonly ClusterService[]; readonly texts: readonly string[] } {
  const { cluster, texts: all } = build(texts.join(''))
  return {
    services: cluster.services,
    texts: all.filter((text) => text.includes('Service/') && !text.includes('no endpoints') && !text.includes('lists its endpoints')),
  }
}

const one = (spec: string, more = ''): ClusterService => read(service('web', spec, more)).services[0]
const problemsOf = (...texts: readonly string[]): readonly string[] => read(...texts).texts

describe('defaults', () => {
  it('of a plain one', () => {
    expect(one(`clusterIP: 10.96.7.7, ${PORTS}, selector: {app: web}`)).toMatchObject({
      type: 'ClusterIP',
      clusterIPAssumed: false,
      headless: false,
      ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: 80, nodePortAssumed: false, file: 't.yaml', line: 4 }],
      selector: { app: 'web' },
      externalLocal: false,
      internalLocal: false,
      healthCheckNodePort: 0,
      publishNotReady: false,
    })
  })

  it('targetPort 0 and an empty one are the port; a name stays', () => {
    expect(
      one('ports: [{name: a, port: 80, targetPort: 0}, {name: b, port: 81, targetPort: ""}, {name: c, port: 82, targetPort: http}]').ports.map(
        (port) => port.targetPort,
      ),
    ).toEqual([80, 81, 'http'])
  })

  it('ClientIP lasts three hours', () => {
    expect(one(`${PORTS}, sessionAffinity: ClientIP`).affinitySeconds).toBe(10800)
    expect(one(`${PORTS}, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 30}}`).affinitySeconds).toBe(30)
    expect(one(PORTS).affinitySeconds).toBeUndefined()
  })

  it('an empty selector selects nothing', () => {
    expect(one(`${PORTS}, selector: {}`).selector).toBeUndefined()
  })

  it.each([
    ['trafficDistribution: PreferClose', 'PreferSameZone'],
    ['trafficDistribution: PreferSameNode', 'PreferSameNode'],
  ])('%s', (field, distribution) => {
    expect(one(`${PORTS}, ${field}`).trafficDistribution).toBe(distribution)
  })

  it('annotations of their time', () => {
    const annotated = (annotation: string, spec = PORTS): ClusterService =>
      read(service('web', spec).replace('namespace: default', `namespace: default, annotations: {${annotation}}`)).services[0]
    expect(annotated('service.kubernetes.io/topology-mode: Auto', `${PORTS}, trafficDistribution: PreferClose`).trafficDistribution).toBe('Auto')
    expect(annotated('service.kubernetes.io/topology-aware-hints: auto').trafficDistribution).toBe('Auto')
    expect(annotated('service.alpha.kubernetes.io/tolerate-unready-endpoints: "true"').publishNotReady).toBe(true)
    expect(annotated('service.beta.kubernetes.io/external-traffic: OnlyLocal', `${PORTS}, type: NodePort`).externalLocal).toBe(true)
  })

  it('Local holds only where something outside can reach the Service', () => {
    expect(one(`${PORTS}, type: NodePort, externalTrafficPolicy: Local`).externalLocal).toBe(true)
    expect(one(`${PORTS}, externalIPs: [192.0.2.1], externalTrafficPolicy: Local`).externalLocal).toBe(true)
  })

  it('ranges are trimmed; addresses of balancers have a mode, names stand beside them', () => {
    const status = 'status: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {ip: 192.0.2.2, ipMode: Proxy}, {hostname: a.example.com}]}}\n'
    const read = one(`${PORTS}, type: LoadBalancer, loadBalancerSourceRanges: [" 203.0.113.0/25"]`, status)
    expect(read.sourceRanges.map(formatCidr)).toEqual(['203.0.113.0/25'])
    expect(read.loadBalancerAddresses.map(({ address, mode, assumed }) => [formatIp(address), mode, assumed])).toEqual([
      ['192.0.2.1', 'VIP', false],
      ['192.0.2.2', 'Proxy', false],
    ])
    expect(read.loadBalancerHostnames).toEqual(['a.example.com'])
  })

  // the API server lets it by (IsValidCIDRForLegacyField upstream), kube-proxy masks
  it('a range with bits beyond its length is the prefix that it lies in', () => {
    const { services, texts } = read(
      service(
        'web',
        `${PORTS}, clusterIP: 10.96.0.5, type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.77/25]`,
        'status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}\n',
      ),
    )
    expect(services[0].sourceRanges.map(formatCidr)).toEqual(['203.0.113.0/25'])
    expect(texts[0]).toContain('warning: Service/default/web: 203.0.113.77/25 has bits set beyond /25: kube-proxy takes 203.0.113.0/25')
  })

  it('of two families the IPv4 address counts, wherever it stands', () => {
    const both = read(service('web', `${PORTS}, clusterIP: "fd00::5", clusterIPs: ["fd00::5", 10.96.0.5]`))
    expect(both.services[0].clusterIP).toBe((10 << 24) | (96 << 16) | 5)
    expect(both.texts).toEqual(['t.yaml:1: warning: Service/default/web: IPv6 is not modelled: fd00::5 of the Service plays no part'])
  })

  it('of IPv6 alone is named, and gets no address', () => {
    const { services, texts } = read(service('web', `${PORTS}, clusterIP: "fd00::5"`), service('api', `${PORTS}, ipFamilies: [IPv6]`))
    expect(services.map(({ clusterIP }) => clusterIP)).toEqual([undefined, undefined])
    expect(texts.filter((text) => text.includes('of IPv6 alone'))).toHaveLength(2)
  })

  it('headless, and ExternalName', () => {
    expect(one(`${PORTS}, clusterIP: None`)).toMatchObject({ headless: true, clusterIPAssumed: false })
    expect(one('clusterIP: None, selector: {a: b}').ports).toEqual([])
    expect(one('type: ExternalName, externalName: db.example.com.')).toMatchObject({ type: 'ExternalName', externalName: 'db.example.com', headless: false })
    expect(one('type: ExternalName, externalName: db.example.com').clusterIP).toBeUndefined()
  })
})

describe('what an API server draws', () => {
  const addresses = (services: readonly ClusterService[]): string[] =>
    services.map(
      ({ name, clusterIP, clusterIPAssumed }) => `${name} ${clusterIP === undefined ? '-' : formatIp(clusterIP)}${clusterIPAssumed ? ' assumed' : ''}`,
    )

  it('cluster IPs: kubernetes the first, DNS the tenth, the others from above the static band (calculateRangeOffset: 256 of a /12)', () => {
    const texts = [
      service('b', PORTS),
      service('kubernetes', PORTS),
      service('kube-system/kube-dns', PORTS),
      service('a', `${PORTS}, clusterIP: 10.96.1.2`),
      service('c', PORTS),
    ]
    expect(addresses(read(...texts).services)).toEqual([
      'a 10.96.1.2',
      'b 10.96.1.1 assumed',
      'c 10.96.1.3 assumed',
      'kubernetes 10.96.0.1 assumed',
      'kube-dns 10.96.0.10 assumed',
    ])
  })

  it.each([
    ['10.0.0.0/24', '10.0.0.17'],
    ['10.0.0.0/16', '10.0.1.1'],
    ['10.0.0.0/28', '10.0.0.2'],
  ])('%s begins at %s', (net, first) => {
    expect(addresses(read(network(`serviceCIDR: ${net}`), service('a', PORTS)).services)).toEqual([`a ${first} assumed`])
  })

  it('a range that is full, its static band included', () => {
    const eight = Array.from({ length: 8 }, (_, i) => service(`s${i}`, PORTS))
    const { services, texts } = read(network('serviceCIDR: 10.0.0.0/29'), ...eight)
    expect(addresses(services).slice(0, 5)).toEqual([
      's0 10.0.0.2 assumed',
      's1 10.0.0.3 assumed',
      's2 10.0.0.4 assumed',
      's3 10.0.0.5 assumed',
      's4 10.0.0.6 assumed',
    ])
    expect(texts).toHaveLength(3)
    expect(texts[0]).toContain('no address of 10.0.0.0/29 is left for the Service')
  })

  it('serviceCIDR of a dump', () => {
    const config =
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubeadm-config, namespace: kube-system}\ndata:\n  ClusterConfiguration: |\n    apiVersion: kubeadm.k8s.io/v1beta3\n    kind: ClusterConfiguration\n    networking:\n      serviceSubnet: 10.43.0.0/16\n---\n'
    const server =
      'apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver-n1, namespace: kube-system}\nspec: {hostNetwork: true, containers: [{name: a, command: [kube-apiserver, "--service-cluster-ip-range=fd00::/112,10.44.0.0/16"]}]}\n---\n'
    const ranges = 'apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: kubernetes}\nspec: {cidrs: [10.45.0.0/16]}\n---\n'
    expect(addresses(read(config, service('a', PORTS)).services)).toEqual(['a 10.43.1.1 assumed'])
    expect(addresses(read(config, server, service('a', PORTS)).services)).toEqual(['a 10.44.1.1 assumed'])
    expect(addresses(read(config, server, ranges, service('a', PORTS)).services)).toEqual(['a 10.45.1.1 assumed'])
  })

  it('node ports: from 30086, those written left out; LoadBalancers too unless they say no (portallocator)', () => {
    const { services } = read(
      service('a', 'type: NodePort, ports: [{name: x, port: 80}, {name: y, port: 81, nodePort: 30087}, {name: z, port: 82}]'),
      service('b', `type: LoadBalancer, ${PORTS}`),
      service('c', `type: LoadBalancer, allocateLoadBalancerNodePorts: false, ${PORTS}`),
      service('d', `type: LoadBalancer, externalTrafficPolicy: Local, ${PORTS}`),
    )
    expect(
      services.map(({ ports, healthCheckNodePort }) => [
        ...ports.map(({ nodePort, nodePortAssumed }) => `${nodePort} ${nodePortAssumed}`),
        healthCheckNodePort,
      ]),
    ).toEqual([
      ['30086 true', '30087 false', '30088 true', 0],
      ['30089 true', 0],
      ['undefined false', 0],
      ['30090 true', 30091],
    ])
  })

  it('addresses of load balancers: those asked for, then the lowest of the pool; without a pool none', () => {
    const texts = [
      service('a', `type: LoadBalancer, ${PORTS}`),
      service('b', `type: LoadBalancer, loadBalancerIP: 192.0.2.1, ${PORTS}`),
      service('c', `type: LoadBalancer, ${PORTS}`, 'status: {loadBalancer: {ingress: [{ip: 192.0.2.2}]}}\n'),
      service('d', `type: LoadBalancer, ${PORTS}`),
    ]
    const shown = (...more: readonly string[]) => {
      const { services, texts: problems } = read(...more, ...texts)
      const given = services.map(({ loadBalancerAddresses }) =>
        loadBalancerAddresses.map(({ address, assumed }) => `${formatIp(address)}${assumed ? ' assumed' : ''}`).join(),
      )
      return { given, problems: problems.filter((text) => text.includes('load balancer')) }
    }
    expect(shown(network('loadBalancer: {pool: 192.0.2.0/24}')).given).toEqual(['192.0.2.3 assumed', '192.0.2.1 assumed', '192.0.2.2', '192.0.2.4 assumed'])
    const full = shown(network('loadBalancer: {pool: 192.0.2.0/30}'))
    expect(full.given).toEqual(['', '192.0.2.1 assumed', '192.0.2.2', ''])
    expect(full.problems[0]).toContain('no load balancer has given the Service an address: 192.0.2.0/30 has none left')
    expect(shown().problems).toHaveLength(3)
  })
})

describe('what is wrong is told', () => {
  it.each<readonly [string, readonly string[], string]>([
    ['ports without names', [service('w', 'ports: [{port: 80}, {port: 81, name: x}]')], 't.yaml:4: error: Service/default/w: port 80 has no name'],
    ['a port twice', [service('w', 'ports: [{port: 80, name: a}, {port: 80, name: b}]')], 'port 80/TCP stands here and in t.yaml:4'],
    ['a name twice', [service('w', 'ports: [{port: 80, name: a}, {port: 81, name: a}]')], 'two ports are called a'],
    ['no ports', [service('w', 'selector: {a: b}')], 'a Service without ports'],
    ['nodePort on ClusterIP', [service('w', 'ports: [{port: 80, nodePort: 30080}]')], 'nodePort 30080 on a Service of type ClusterIP'],
    [
      'nodePort out of range',
      [service('w', 'type: NodePort, ports: [{port: 80, nodePort: 80}]')],
      'warning: Service/default/w: nodePort 80 is outside 30000-32767',
    ],
    [
      'nodePort of two',
      [service('v', 'type: NodePort, ports: [{port: 80, nodePort: 30080}]'), service('w', 'type: NodePort, ports: [{port: 81, nodePort: 30080}]')],
      't.yaml:9: error: Service/default/w: nodePort 30080 is that of Service default/v too (t.yaml:4)',
    ],
    [
      'clusterIP of two',
      [service('v', `clusterIP: 10.96.3.3, ${PORTS}`), service('w', `clusterIP: 10.96.3.3, ${PORTS}`)],
      'clusterIP 10.96.3.3 is that of Service default/v too (t.yaml:4)',
    ],
    [
      'clusterIP outside',
      [network('serviceCIDR: 10.96.0.0/16'), service('w', `clusterIP: 10.97.0.5, ${PORTS}`)],
      "clusterIP 10.97.0.5 is outside the Services' 10.96.0.0/16",
    ],
    [
      "clusterIP among the pods'",
      [
        network('clusterCIDR: 10.244.0.0/16'),
        node('n1', '192.168.0.1').replace('status:', 'spec: {podCIDR: 10.244.1.0/24}\nstatus:'),
        service('w', `clusterIP: 10.244.1.9, ${PORTS}`),
      ],
      "clusterIP 10.244.1.9 is one of the pods' addresses (podCIDR of node n1, 10.244.1.0/24)",
    ],
    ['no IPv4 address', [service('w', `clusterIP: 10.96.0.300, ${PORTS}`)], '"10.96.0.300" is no IPv4 address'],
    ['None with NodePort', [service('w', `type: NodePort, clusterIP: None, ${PORTS}`)], 'clusterIP None together with type NodePort'],
    ['ExternalName without a name', [service('w', 'type: ExternalName')], 'an ExternalName without externalName'],
    ['ExternalName with an address', [service('w', 'type: ExternalName, externalName: 192.0.2.1')], 'externalName 192.0.2.1 looks like an address'],
    ['ExternalName with a cluster IP', [service('w', 'type: ExternalName, externalName: a.b, clusterIP: 10.96.0.5')], 'an ExternalName has no cluster IP'],
    ['policy that says nothing', [service('w', `externalTrafficPolicy: Local, ${PORTS}`)], 'externalTrafficPolicy on a Service of type ClusterIP'],
    ['ranges that say nothing', [service('w', `loadBalancerSourceRanges: [10.0.0.0/8], ${PORTS}`)], 'loadBalancerSourceRanges on a Service of type ClusterIP'],
    ['a distribution that is none', [service('w', `trafficDistribution: Near, ${PORTS}`)], 'trafficDistribution "Near" is not known'],
    ['a type that is none', [service('w', `type: Nodeport, ${PORTS}`)], 'spec.type'],
    [
      'one external address and port for two',
      [service('v', `externalIPs: [192.0.2.9], ${PORTS}`), service('w', `externalIPs: [192.0.2.9], ${PORTS}`)],
      '192.0.2.9:80/TCP is claimed by Service default/v too (t.yaml:1)',
    ],
  ])('%s', (_, texts, expected) => {
    expect(problemsOf(...texts).filter((text) => text.includes(expected))).toHaveLength(1)
  })

  it('a cluster IP outside the default range proves nothing', () => {
    expect(problemsOf(service('w', `clusterIP: 10.43.0.5, ${PORTS}`))).toEqual([])
  })

  it('several at once, and what is right of them stays', () => {
    const { services, texts } = read(service('v', 'ports: [{port: 80, name: a}, {port: 80, name: b}, {port: 81, name: a}, {port: 82, name: c}]'))
    expect(texts).toHaveLength(2)
    expect(services[0].ports.map(({ name, port }) => `${name} ${port}`)).toEqual(['a 80', 'c 82'])
  })
})
