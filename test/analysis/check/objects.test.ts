/** What the cluster's objects show by themselves: addresses, ports, policies, Services. Each fault is found at its line, and is gone once it is mended. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { codeInfo } from '../../../src/analysis/check/catalogue.js'
import { CODES } from '../../../src/analysis/check/codes.js'
import { flannelCluster, leaseValue, PODS, VTEP_A, VTEP_B } from '../../kit/flannel-cluster.js'
import { check, checkBroken, codesOf, lineAt, theFinding } from './kit.js'

interface NodeOf {
  readonly podCIDR?: string
  readonly address?: string
}

/** flannel on the Kubernetes API: two nodes, whatever pods and other objects are given, one document a line. */
function cluster(more: readonly object[] = [], nodes: Readonly<Record<string, NodeOf>> = {}, spec: object = {}): string {
  const node = (name: string, podCIDR: string, address: string): object => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { podCIDR: nodes[name]?.podCIDR ?? podCIDR },
    status: { addresses: [{ type: 'InternalIP', address: nodes[name]?.address ?? address }] },
  })
  const configuration = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
    data: { 'net-conf.json': '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}' },
  }
  const network = { apiVersion: 'netsim/v1', kind: 'Network', metadata: { name: 'n' }, spec: { serviceCIDR: '10.96.0.0/12', ...spec } }
  const objects = [node('n1', '10.244.1.0/24', '192.168.10.11'), node('n2', '10.244.2.0/24', '192.168.10.12'), configuration, network, ...more]
  return objects.map((object) => JSON.stringify(object)).join('\n---\n')
}

function pod(
  name: string,
  node: string,
  more: { readonly podIP?: string; readonly spec?: object; readonly labels?: object; readonly status?: object } = {},
): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...(more.labels === undefined ? {} : { labels: more.labels }) },
    spec: { nodeName: node, containers: [{ name: 'c', image: 'x' }], ...more.spec },
    status: { phase: 'Running', ...(more.podIP === undefined ? {} : { podIP: more.podIP }), ...more.status },
  }
}

const A = pod('a', 'n1')
const B = pod('b', 'n2')
const SOUND = ['NM003']

describe('the cluster that the faults are put into', () => {
  it('has none', () => {
    const report = check(cluster([A, B]))
    expect(codesOf(report)).toEqual(SOUND)
    expect(report.notJudged).toEqual([])
  })
})

describe('NM201', () => {
  it.each([
    ['Services and pods', { serviceCIDR: '10.244.128.0/17' }],
    ['Services and nodes', { serviceCIDR: '192.168.0.0/16' }],
    [
      'pods and nodes',
      {
        underlay: {
          segments: [
            { name: 's0', cidr: '192.168.10.0/24' },
            { name: 's1', cidr: '10.244.9.0/24' },
          ],
        },
      },
    ],
  ])('%s', (_name, spec) => {
    const text = cluster([A, B], {}, spec)
    const found = theFinding(check(text, { only: ['NM201'] }), 'NM201')
    expect(found.severity).toBe('error')
    expect(lineAt(text, found)).toMatch(/Network/)
  })

  it('is but a hint where nobody said where Services are', () => {
    const text = cluster([A, B], {}, {}).replaceAll('10.244.', '10.100.').replace('"serviceCIDR":"10.96.0.0/12"', '"clusterDomain":"a.b"')
    expect(theFinding(check(text), 'NM201')).toMatchObject({ severity: 'info', fix: expect.stringContaining('spec.serviceCIDR') as string })
  })

  it('is of no matter where nothing translates Services', () => {
    const text = cluster([A, B], {}, { serviceCIDR: '10.244.128.0/17', kubeProxy: { mode: 'none' } })
    expect(codesOf(check(text))).toEqual(SOUND)
  })
})

describe('NM202', () => {
  it('one address of two pods, though nothing can be built from it', () => {
    const text = cluster([pod('a', 'n1', { podIP: '10.244.1.9' }), pod('b', 'n1', { podIP: '10.244.1.9' })])
    const report = checkBroken(text)
    const found = theFinding(report, 'NM202')
    expect(found.what).toBe('default/a, default/b have the address 10.244.1.9')
    expect(lineAt(text, found)).toContain('"name":"b"')
    expect(report.notJudged).toEqual(['packets: the network cannot be built before the errors of its objects are mended'])
    expect(codesOf(checkBroken(text.replace('10.244.1.9', '10.244.1.8')))).toEqual([])
  })

  it("a node's address", () => {
    const text = cluster([pod('a', 'n1', { podIP: '192.168.10.12' })])
    expect(theFinding(checkBroken(text), 'NM202').what).toContain("which is node n2's")
  })
})

describe('NM203', () => {
  it('an address of the other node', () => {
    const text = cluster([pod('a', 'n1', { podIP: '10.244.2.9' }), B])
    const found = theFinding(checkBroken(text), 'NM203')
    expect(found.what).toBe('default/a has 10.244.2.9, its node n1 10.244.1.0/24')
    expect(lineAt(text, found)).toContain('"name":"a"')
    expect(lineAt(text, found, 1)).toContain('"name":"n1"')
    expect(codesOf(checkBroken(text.replace('10.244.2.9', '10.244.1.9')))).toEqual([])
  })

  it("by the lease, where leases are etcd's", () => {
    const text = flannelCluster({ backend: 'udp', pods: [{ name: 'stray', node: 'host-a', address: '10.1.99.9' }, ...PODS] })
    expect(theFinding(checkBroken(text), 'NM203').what).toBe('default/stray has 10.1.99.9, its node host-a 10.1.15.0/24')
  })
})

describe('NM204', () => {
  it('podCIDRs that overlap', () => {
    const text = cluster([A, B], { n2: { podCIDR: '10.244.1.128/25' } })
    const found = theFinding(checkBroken(text), 'NM204')
    expect(found.what).toBe('podCIDR 10.244.1.128/25 of node n2 overlaps 10.244.1.0/24 of node n1')
    expect(lineAt(text, found)).toContain('"name":"n2"')
  })

  it("a podCIDR outside flannel's Network", () => {
    const text = cluster([A, B], { n2: { podCIDR: '10.245.2.0/24' } })
    expect(theFinding(checkBroken(text), 'NM204').what).toBe("podCIDR 10.245.2.0/24 of node n2 is outside the pods' network 10.244.0.0/16")
  })

  it('leases that overlap', () => {
    const leases = { '10.1.15.0-25': leaseValue('vxlan', '192.168.0.200', VTEP_B), '10.1.20.0-24': null }
    const text = flannelCluster({ backend: 'vxlan', leases })
    expect(theFinding(checkBroken(text), 'NM204').what).toBe('lease 10.1.15.0/25 overlaps lease 10.1.15.0/24')
  })
})

describe('NM205', () => {
  it('a lease of a host that is gone', () => {
    const text = flannelCluster({ backend: 'vxlan', leases: { '10.1.99.0-24': leaseValue('vxlan', '192.168.0.99', VTEP_A) } })
    const found = theFinding(check(text), 'NM205')
    expect(found).toMatchObject({ severity: 'warning', what: 'lease 10.1.99.0/24 is of 192.168.0.99, which is no node of the cluster' })
    expect(lineAt(text, found)).toContain('10.1.99.0-24')
    expect(codesOf(check(flannelCluster({ backend: 'vxlan' })))).toEqual(SOUND)
  })
})

describe('NM501', () => {
  const host = (name: string, node: string, port: number): object =>
    pod(name, node, { spec: { hostNetwork: true, containers: [{ name: 'c', image: 'x', ports: [{ containerPort: port }] }] } })
  const mapped = (name: string, node: string, hostPort: number, hostIP?: string): object =>
    pod(name, node, {
      spec: { containers: [{ name: 'c', image: 'x', ports: [{ containerPort: 80, hostPort, ...(hostIP === undefined ? {} : { hostIP }) }] }] },
    })

  it.each([
    ["two pods on the host's network", [host('p', 'n1', 9100), host('q', 'n1', 9100)], [host('p', 'n1', 9100), host('q', 'n2', 9100)]],
    ['two hostPorts', [mapped('p', 'n1', 8080), mapped('q', 'n1', 8080)], [mapped('p', 'n1', 8080), mapped('q', 'n1', 8081)]],
    ['one of each', [host('p', 'n1', 80), mapped('q', 'n1', 80)], [host('p', 'n1', 80), mapped('q', 'n2', 80)]],
    [
      'one of all addresses and one of one',
      [mapped('p', 'n1', 8080), mapped('q', 'n1', 8080, '192.168.10.11')],
      [mapped('p', 'n1', 8080, '127.0.0.1'), mapped('q', 'n1', 8080, '192.168.10.11')],
    ],
  ])('%s', (_name, clashing, apart) => {
    const text = cluster(clashing)
    const found = theFinding(check(text, { only: ['NM501'] }), 'NM501')
    expect(found.what).toMatch(/^TCP port \d+ of node n1 is wanted by default\/p .* and default\/q /)
    expect(lineAt(text, found)).toContain('"name":"q"')
    expect(codesOf(check(cluster(apart), { only: ['NM501'] }))).toEqual([])
  })

  it('a node port that a pod on the host has', () => {
    const service = (nodePort: number): object => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's' },
      spec: { type: 'NodePort', clusterIP: '10.96.0.9', selector: { app: 'a' }, ports: [{ port: 80, nodePort }] },
    })
    const found = theFinding(check(cluster([host('p', 'n1', 30080), service(30080)]), { only: ['NM501'] }), 'NM501')
    expect(found.what).toBe("TCP port 30080 of node n1 is wanted by default/p on its node's network and the node port of Service default/s")
    expect(codesOf(check(cluster([host('p', 'n1', 30080), service(30081)]), { only: ['NM501'] }))).toEqual([])
  })
})

describe('NM601', () => {
  const policy = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'deny' }, spec: { podSelector: {} } }

  it('a policy under flannel, which is enforced under Canal', () => {
    const text = cluster([A, B, policy])
    const found = theFinding(check(text), 'NM601')
    expect(found.what).toBe('NetworkPolicy/default/deny has no effect: flannel enforces none')
    expect(lineAt(text, found)).toContain('"kind":"NetworkPolicy"')
    const enforced = check(cluster([A, B, policy], {}, { cni: 'canal' }))
    expect(codesOf(enforced)).not.toContain('NM601')
    // and what it denies is as asked
    expect(enforced.findings.filter(({ code }) => code === 'NM004').every(({ severity }) => severity === 'info')).toBe(true)
    expect(codesOf(enforced)).toContain('NM004')
    expect(codesOf(enforced)).not.toContain('NM005')
  })

  it("Calico's own policies too", () => {
    const own = { apiVersion: 'projectcalico.org/v3', kind: 'GlobalNetworkPolicy', metadata: { name: 'g' }, spec: { selector: 'all()' } }
    expect(theFinding(check(cluster([A, B, own], {}, { cni: 'flannel' })), 'NM601').what).toContain('GlobalNetworkPolicy/g has no effect')
  })
})

describe('probes', () => {
  const probed = (port: number | string, containerPort: number): object =>
    pod('p', 'n1', {
      labels: { app: 'p' },
      spec: { containers: [{ name: 'c', image: 'x', ports: [{ containerPort, name: 'web' }], readinessProbe: { httpGet: { port, path: '/' } } }] },
    })
  const closed = { hosts: [{ node: 'n1', iptables: ['-I OUTPUT -p tcp --dport 8081 -j DROP'] }] }

  it('NM602: a rule of the node that cuts it', () => {
    const text = cluster([probed(8081, 8081)], {}, closed)
    const found = theFinding(check(text), 'NM602')
    expect(found.what).toContain('the readiness probe of default/p (c) to port 8081 does not arrive')
    expect(lineAt(text, found)).toContain('readinessProbe')
    expect(found.evidence[1]).toMatchObject({ by: 'owner of the host', file: 'test.yaml' })
    expect(codesOf(check(cluster([probed('web', 8081)], {}, closed)))).toContain('NM602')
    expect(codesOf(check(cluster([probed(8082, 8082)], {}, closed)))).not.toContain('NM602')
  })

  it('NM603: a port that is not among those declared', () => {
    const waiting = { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] }
    const found = theFinding(check(cluster([{ ...probed(8081, 80), status: waiting }])), 'NM603')
    expect(found.what).toContain('to port 8081: its containers declare 80')
    expect(found.severity).toBe('warning')
    // CoreDNS and ingress-nginx do so everywhere
    expect(theFinding(check(cluster([probed(8081, 80)])), 'NM603').severity).toBe('info')
    expect(codesOf(check(cluster([probed(80, 80)])))).toEqual(SOUND)
  })
})

describe('Services', () => {
  const service = (name: string, selector: object, more: object = {}): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { clusterIP: '10.96.0.10', selector, ports: [{ port: 80, targetPort: 8080 }], ...more },
  })
  const web = pod('web', 'n1', { labels: { app: 'web' } })
  const web2 = pod('web2', 'n2', { labels: { app: 'web' } })

  it('NM401: a selector that fits no pod, in the words of the reader', () => {
    const text = cluster([web, web2, service('s', { app: 'wbe' })])
    expect(theFinding(check(text), 'NM401').what).toContain('default/s: ')
    expect(lineAt(text, theFinding(check(text), 'NM401'))).toContain('"kind":"Service"')
    expect(codesOf(check(cluster([web, web2, service('s', { app: 'web' })])))).toEqual(SOUND)
  })

  it('NM401: pods that are not ready', () => {
    const conditions = [{ type: 'Ready', status: 'False' }]
    const text = cluster([pod('web', 'n1', { labels: { app: 'web' }, status: { conditions } }), service('s', { app: 'web' })])
    expect(theFinding(check(text), 'NM401').what).toBe('default/s: none of its pods is ready: default/web')
  })

  it('NM402: the bridge without hairpin, asked until the pod draws itself', () => {
    const hairpin = (on: boolean): object => ({
      hosts: [{ node: 'n1', ip: on ? [] : ['link set dev veth-web type bridge_slave hairpin off'] }],
      pins: { devices: { 'default/web/eth0': 'veth-web' } },
    })
    const off = check(cluster([web, web2, service('s', { app: 'web' })], {}, hairpin(false)))
    expect(codesOf(off)).toContain('NM402')
    expect(codesOf(check(cluster([web, web2, service('s', { app: 'web' })], {}, hairpin(true))))).toEqual(SOUND)
  })

  it('NM403: packets to the Service are lost', () => {
    const hosts = (rule: string): object => ({ hosts: [{ node: 'n1', iptables: [rule] }] })
    const text = (rule: string): string => cluster([web, web2, service('s', { app: 'web' })], {}, hosts(rule))
    expect(codesOf(check(text('-t nat -F KUBE-SERVICES')))).toContain('NM403')
    expect(codesOf(check(text('-t nat -L')))).toEqual(SOUND)
  })

  it('NM107: bridge-nf is off', () => {
    const off = (value: number): object => ({ hosts: [{ node: 'n1', sysctls: { 'net.bridge.bridge-nf-call-iptables': value } }] })
    const text = cluster([web, web2, service('s', { app: 'web' })], {}, off(0))
    const found = theFinding(check(text), 'NM107')
    expect(found.evidence[0]).toMatchObject({ what: 'n1: net.bridge.bridge-nf-call-iptables = 0', file: 'test.yaml' })
    expect(codesOf(check(cluster([web, web2, service('s', { app: 'web' })], {}, off(1))))).toEqual(SOUND)
    expect(codesOf(check(cluster([web, web2], {}, off(0))))).toEqual(SOUND)
  })
})

describe('docs/check.md', () => {
  const page = readFileSync(new URL('../../../docs/check.md', import.meta.url), 'utf8')
  const sections = new Map(page.split(/^### /m).map((text) => [text.slice(0, 5), text.replaceAll(/\s+/g, ' ')]))

  it.each(CODES.map((code) => [code, codeInfo(code)] as const))(
    'tells %s as the catalogue does, with an example',
    (code, { title, severity, cause, effect, fix }) => {
      const section = sections.get(code) ?? ''
      for (const words of [
        `${code} ${title}`,
        `${severity[0].toUpperCase()}${severity.slice(1)}. ${cause}`,
        `**Effect.** ${effect}`,
        `**Fix.** ${fix}`,
        '**Example.** ',
      ])
        expect(section).toContain(words)
    },
  )

  it('has no section of a code that is not', () => {
    expect([...sections.keys()].filter((key) => key.startsWith('NM'))).toEqual([...CODES])
  })
})
