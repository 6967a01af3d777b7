import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { calicoMtus, hostMtu } from '../../src/calico/mtu.js'
import { hostInterfaceName, renderWorkload, workloadEndpointName, workloadEndpointOfPod, type WorkloadView } from '../../src/calico/workload-endpoint.js'
import { printRoute } from '../../src/dataplane/ip-route.js'
import type { RouteSpec } from '../../src/dataplane/dataplane.js'
import { node, pod, world } from './kit.js'

interface Link {
  readonly ifname: string
  readonly mtu: number
  readonly address: string
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[]
}

function formatRoutes(routes: readonly RouteSpec[]): string[] {
  return routes.map((route) => printRoute(route, { showTable: false }).trim())
}

describe('names', () => {
  // libcalico-go/lib/backend/k8s/conversion/conversion_test.go
  it.each([
    ['default', 'podA', undefined, 'cali7f94ce7c295'],
    ['default', 'podB', undefined, 'cali92cf1f5e9f6'],
    ['namespace', 'podname', 'eni,veth,foo', 'eni82111e10a96'],
  ])('of the interface of %s/%s', (namespace, name, prefixes, expected) => {
    expect(hostInterfaceName(namespace, name, prefixes)).toBe(expected)
  })

  it('of the endpoint: dashes doubled inside the parts', () => {
    expect(workloadEndpointName('node-1', 'web-0')).toBe('node--1-k8s-web--0-eth0')
  })
})

const POD = pod('web', 'n1', {
  metadata: `, labels: {app: web}, annotations: {cni.projectcalico.org/floatingIPs: '["9.9.9.9"]',
    cni.projectcalico.org/allowedSourcePrefixes: '["10.1.2.3/8", "fd00::/8"]', cni.projectcalico.org/hwAddr: "0a:00:00:00:00:05"}`,
  spec: `, serviceAccountName: robot, containers: [{ports: [{name: http, containerPort: 80}, {containerPort: 81}]}],
    initContainers: [{ports: [{name: dns, containerPort: 53, protocol: UDP}]}]`,
})

function endpoint(text = POD, name = 'default/web') {
  const found = world(node('n1', '10.0.0.1') + text).cluster.podByName.get(name)
  if (found === undefined) throw new Error(`no pod ${name}`)
  return workloadEndpointOfPod(found, ip('10.244.0.5'))
}

function view(more: Partial<WorkloadView> = {}): WorkloadView {
  return {
    endpoint: endpoint(),
    mtu: 1480,
    routeMetric: 1024,
    routeProtocol: 3,
    defaultRpFilter: 1,
    floatingIps: false,
    ipv6: false,
    ipForwarding: false,
    seed: 1,
    ...more,
  }
}

describe('the endpoint of a pod', () => {
  it('has what Calico adds to the labels, both profiles, and the named ports of all containers', () => {
    expect(endpoint()).toMatchObject({
      name: 'n1-k8s-web-eth0',
      labels: {
        app: 'web',
        'projectcalico.org/namespace': 'default',
        'projectcalico.org/orchestrator': 'k8s',
        'projectcalico.org/serviceaccount': 'robot',
      },
      profiles: ['kns.default', 'ksa.default.robot'],
      ports: [
        { name: 'http', protocol: 'TCP', port: 80 },
        { name: 'dns', protocol: 'UDP', port: 53 },
      ],
      ipNats: [{ internal: ip('10.244.0.5'), external: ip('9.9.9.9') }],
      allowedSourcePrefixes: [{ base: ip('10.0.0.0'), length: 8 }],
      interfaceName: hostInterfaceName('default', 'web'),
    })
  })

  it('has the service account default where none is named, and none of the label beyond 62 characters', () => {
    expect(endpoint(pod('web', 'n1')).profiles).toEqual(['kns.default', 'ksa.default.default'])
    const long = endpoint(pod('web', 'n1', { spec: `, serviceAccountName: ${'a'.repeat(63)}` }))
    expect(Object.keys(long.labels)).not.toContain('projectcalico.org/serviceaccount')
    expect(long.serviceAccount).toHaveLength(63)
  })

  it('has no address any more once the pod has ended', () => {
    const found = world(`${node('n1', '10.0.0.1')}apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {nodeName: n1}\nstatus: {phase: Succeeded}\n`)
    expect(workloadEndpointOfPod(found.cluster.pods[0], ip('10.244.0.5')).ipNetworks).toEqual([])
  })
})

describe('the plumbing', () => {
  it('of the host', () => {
    const { device, routes, sysctls } = renderWorkload(view())
    expect(device).toMatchObject({ kind: 'veth', mtu: 1480, mac: 0xeeeeeeeeeeee, addresses: [], peer: { netns: 'default/web', device: 'eth0' } })
    expect(formatRoutes(routes)).toEqual([`10.244.0.5 dev ${device.name} scope link metric 1024`])
    // rp_filter: the pod may spoof
    expect(Object.fromEntries(Object.entries(sysctls).map(([key, value]) => [key.replace(device.name, 'X'), value]))).toEqual({
      'net.ipv4.conf.X.route_localnet': 1,
      'net.ipv4.neigh.X.proxy_delay': 0,
      'net.ipv4.conf.X.proxy_arp': 1,
      'net.ipv4.conf.X.forwarding': 1,
      'net.ipv4.conf.X.rp_filter': 0,
      'net.ipv6.conf.X.accept_ra': 0,
    })
    expect(renderWorkload(view({ endpoint: endpoint(pod('web', 'n1')) })).sysctls[`net.ipv4.conf.${device.name}.rp_filter`]).toBe(1)
  })

  it('with floating addresses, another protocol and a source', () => {
    const { routes, device } = renderWorkload(view({ floatingIps: true, routeProtocol: 80, routeMetric: 0, routeSource: ip('10.0.0.1') }))
    expect(formatRoutes(routes)).toEqual(['10.244.0.5', '9.9.9.9'].map((to) => `${to} dev ${device.name} proto 80 scope link src 10.0.0.1`))
  })

  it('of the pod', () => {
    const { pod: dataplane } = renderWorkload(view())
    expect(dataplane.devices[1]).toMatchObject({ name: 'eth0', mac: 0x0a0000000005, addresses: [{ address: ip('10.244.0.5'), length: 32, scope: 'global' }] })
    expect(dataplane.sysctls).toEqual({ 'net.ipv4.ip_forward': 0 })
  })

  it('is what the recording of a real one has', () => {
    const recording = JSON.parse(readFileSync('test/recordings/calico-none.rec.json', 'utf8')) as {
      state: Record<string, { route_text: string; addr: string }>
    }
    const linksOf = (netns: string): Link[] => JSON.parse(recording.state[netns].addr) as Link[]
    const text = node('n1', '192.168.10.11') + pod('a1', 'n1', { address: '10.244.1.5' })
    const found = world(text).cluster.pods[0]
    const part = renderWorkload(view({ endpoint: workloadEndpointOfPod(found, found.address), mtu: 1500, routeMetric: 0 }))
    const host = recording.state.n1
    expect(host.route_text.split('\n').map((line) => line.trim())).toEqual(expect.arrayContaining(formatRoutes(part.routes)))
    expect(linksOf('n1').find(({ ifname }) => ifname === part.device.name)).toMatchObject({ mtu: part.device.mtu, address: 'ee:ee:ee:ee:ee:ee' })
    const inside = recording.state.a1
    expect(formatRoutes(part.pod.routes).sort()).toEqual(
      inside.route_text
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '')
        .sort(),
    )
    const eth0 = linksOf('a1').find(({ ifname }) => ifname === 'eth0')
    expect(eth0?.addr_info.filter(({ local }) => !local.includes(':'))).toMatchObject([{ local: '10.244.1.5', prefixlen: 32 }])
  })
})

describe('MTUs', () => {
  it('of the host: the smallest of the cards that are up', () => {
    const links = [
      { name: 'eth0', mtu: 9000, up: true },
      { name: 'ens5', mtu: 1500, up: true },
      { name: 'eth1', mtu: 1400, up: false },
      { name: 'docker0', mtu: 1300, up: true },
      { name: 'enx001122', mtu: 1200, up: true },
    ]
    expect(hostMtu(links)).toBe(1200)
    expect(hostMtu(links, '^docker')).toBe(1300)
    expect(hostMtu([{ name: 'net0', mtu: 9000, up: true }])).toBe(1460)
  })

  it.each([
    [{ ipip: false, vxlan: false, wireguard: false }, 1500],
    [{ ipip: true, vxlan: false, wireguard: false }, 1480],
    [{ ipip: true, vxlan: true, wireguard: false }, 1450],
    [{ ipip: true, vxlan: false, wireguard: true }, 1440],
  ])('of pods with %j', (enabled, expected) => {
    expect(calicoMtus(1500, enabled, {}).pod).toBe(expected)
  })

  it('as set, where it is set', () => {
    expect(calicoMtus(1500, { ipip: true, vxlan: false, wireguard: false }, { ipipMTU: 1400, vxlanMTU: 0 })).toMatchObject({
      ipip: 1400,
      vxlan: 1450,
      pod: 1400,
    })
  })
})
