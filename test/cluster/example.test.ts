import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatIp, type Ip } from '../../src/base/ip.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { EXAMPLE_TEXT } from '../../src/cluster/example.js'

const load = (file: string) => buildCluster([{ file, text: readFileSync(file, 'utf8') }])

/** Services that lead nowhere are part of these two. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  'ingress.yaml': ['Service/shop/old: no pod of namespace shop has the label app=old'],
  'services-flannel.yaml': ['Service/shop/billing: no pod of namespace shop has the label app=biling'],
}

describe('the examples', () => {
  it('the built-in one is the file, word for word', () => {
    expect(EXAMPLE_TEXT).toBe(readFileSync('examples/flannel-udp.yaml', 'utf8'))
  })

  it.each(readdirSync('examples').filter((file) => file.endsWith('.yaml') && file !== 'docker-only.yaml'))(
    '%s has no Problem but those it is there to show',
    (file) => {
      expect(load(`examples/${file}`).problems.map(({ object, what }) => `${object}: ${what}`)).toEqual(SHOWN[file] ?? [])
    },
  )

  it('flannel-udp is the classic picture', () => {
    const { cluster } = load('examples/flannel-udp.yaml')
    expect(cluster).toMatchObject({ cni: 'flannel', datastore: 'etcd', runtime: { name: 'docker', iptables: false } })
    expect(cluster.nodes.map(({ name, address }) => `${name} ${formatIp(address)}`)).toEqual(['host-a 192.168.0.100', 'host-b 192.168.0.200'])
    expect(cluster.pods.map(({ name, node, address }) => `${name} ${node} ${formatIp(address as Ip)}`)).toEqual([
      'pod-a host-a 10.1.15.2',
      'pod-a2 host-a 10.1.15.3',
      'pod-b host-b 10.1.20.3',
    ])
    expect(cluster.etcd.map(({ key }) => key)).toEqual([
      '/coreos.com/network/config',
      '/coreos.com/network/subnets/10.1.15.0-24',
      '/coreos.com/network/subnets/10.1.20.0-24',
    ])
  })

  it("flannel-vxlan is today's kube-flannel", () => {
    const { cluster } = load('examples/flannel-vxlan.yaml')
    expect(cluster).toMatchObject({
      cni: 'flannel',
      datastore: 'kubernetes',
      runtime: { name: 'cni', iptables: false },
      flannel: { ipMasq: true, version: '0.28.9', configAssumed: false },
    })
    expect(JSON.parse(cluster.flannel.config?.text ?? '')).toMatchObject({ Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } })
    expect(JSON.parse(cluster.nodes[1].flannel?.backendData ?? '')).toEqual({ VNI: 1, VtepMAC: '5e:1d:0c:a6:31:02' })
  })

  it('flannel-host-gw leaves placing and addressing to netsim', () => {
    const { cluster } = load('examples/flannel-host-gw.yaml')
    expect(cluster.pods.map(({ name, node, placed }) => [name, node, placed])).toEqual([
      ['client', 'node-1', false],
      ['server', 'node-2', true],
    ])
    expect(cluster.addressRequests).toHaveLength(2)
  })

  it('docker-only warns of the two pods with one address', () => {
    const { cluster, problems } = load('examples/docker-only.yaml')
    expect(cluster).toMatchObject({ cni: 'none', runtime: { name: 'docker', iptables: true } })
    expect(problems.map(({ severity, what }) => [severity, what])).toEqual([
      ['warning', 'pod default/pod-a (examples/docker-only.yaml:19) has the address 172.17.0.2 too'],
    ])
  })
})
