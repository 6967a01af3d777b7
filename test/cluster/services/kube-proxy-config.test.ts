/** What kube-proxy is told, by the Network document and by kubeadm's ConfigMap (KubeProxyConfiguration of kubernetes/kube-proxy config/v1alpha1). */
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../../src/base/cidr.js'
import type { KubeProxySettings } from '../../../src/cluster/services/kube-proxy-settings.js'
import { build, network } from '../support.js'

/** As kubeadm writes it. */
function configMap(...lines: readonly string[]): string {
  const text = ['apiVersion: kubeproxy.config.k8s.io/v1alpha1', 'kind: KubeProxyConfiguration', ...lines].map((line) => `    ${line}\n`).join('')
  return `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-proxy, namespace: kube-system}\ndata:\n  config.conf: |\n${text}---\n`
}

function read(...texts: readonly string[]): { readonly told: KubeProxySettings; readonly texts: readonly string[] } {
  const { cluster, texts: all } = build(texts.join(''))
  return { told: cluster.kubeProxy, texts: all.filter((text) => text.includes('kube-proxy') || text.includes('kubeProxy')) }
}

describe('kube-proxy', () => {
  it('is told nothing: the defaults, and the CIDR of the pods', () => {
    const { told } = read(network('clusterCIDR: 10.244.0.0/16'))
    expect(told).toMatchObject({
      mode: 'iptables',
      detectLocalMode: 'ClusterCIDR',
      masqueradeAll: false,
      masqueradeBit: 14,
      localhostNodePorts: true,
      nodePortAddresses: [],
    })
    expect(told.clusterCIDR && formatCidr(told.clusterCIDR)).toBe('10.244.0.0/16')
  })

  it('by the ConfigMap, of both families the IPv4 one', () => {
    const { told, texts } = read(
      configMap(
        'mode: ""',
        'clusterCIDR: "fd00::/48,10.1.0.0/16"',
        'detectLocalMode: BridgeInterface',
        'detectLocal: {bridgeInterface: cni0, interfaceNamePrefix: ""}',
        'iptables: {masqueradeAll: true, masqueradeBit: 15, localhostNodePorts: false}',
        'nodePortAddresses: [192.168.0.0/24, primary]',
      ),
    )
    expect(texts).toEqual([])
    expect(told).toMatchObject({
      mode: 'iptables',
      detectLocalMode: 'BridgeInterface',
      bridgeInterface: 'cni0',
      masqueradeAll: true,
      masqueradeBit: 15,
      localhostNodePorts: false,
    })
    expect(told.clusterCIDR && formatCidr(told.clusterCIDR)).toBe('10.1.0.0/16')
    expect(told.nodePortAddresses.map((net) => (typeof net === 'string' ? net : formatCidr(net)))).toEqual(['192.168.0.0/24', 'primary'])
  })

  it('a ConfigMap without clusterCIDR leaves the detector unimplemented, whatever the pods have', () => {
    expect(read(network('clusterCIDR: 10.244.0.0/16'), configMap('clusterCIDR: ""')).told.clusterCIDR).toBeUndefined()
  })

  it('the document goes before the ConfigMap', () => {
    const { told } = read(
      network('kubeProxy: {masqueradeAll: false, nodePortAddresses: [primary]}'),
      configMap('iptables: {masqueradeAll: true, masqueradeBit: 20}'),
    )
    expect(told).toMatchObject({ masqueradeAll: false, masqueradeBit: 20, nodePortAddresses: ['primary'] })
  })

  it.each(['ipvs', 'nftables', 'userspace'])('mode %s is named as not modelled', (mode) => {
    const { told, texts } = read(network(`kubeProxy: {mode: ${mode}}`))
    expect(told).toMatchObject({ mode: 'none', unmodelled: { what: `kube-proxy in mode ${mode}`, file: 't.yaml', line: 5 } })
    expect(texts[0]).toContain(`t.yaml:5: warning: Network/default: kube-proxy in mode ${mode} is not modelled: no rules of Services are there`)
  })

  it('so it is from a dump', () => {
    expect(read(configMap('mode: ipvs')).told).toMatchObject({ mode: 'none', unmodelled: { what: 'kube-proxy in mode ipvs' } })
    expect(read(network('kubeProxy: {mode: iptables}'), configMap('mode: ipvs')).told).toMatchObject({ mode: 'iptables' })
  })

  it('what is wrong in the ConfigMap is told, the rest holds', () => {
    const { told, texts } = read(configMap('mode: iptable', 'clusterCIDR: 10.1.0.1/16', 'iptables: {masqueradeAll: true}'))
    expect(told.masqueradeAll).toBe(true)
    expect(texts.map((text) => text.split('\n')[0])).toEqual([
      't.yaml:5: warning: ConfigMap/kube-system/kube-proxy: config.conf: mode is "iptable"',
      't.yaml:5: warning: ConfigMap/kube-system/kube-proxy: config.conf: clusterCIDR: 10.1.0.1/16 has bits set beyond /16',
    ])
  })

  it.each([
    ['1.5', true],
    ['v1.27.3', true],
    ['1.28', false],
    ['v1.31.0', false],
  ])('version %s', (version, told) => {
    const daemonSet =
      `apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: kube-proxy, namespace: kube-system}\n` +
      `spec: {template: {spec: {containers: [{name: kube-proxy, image: "registry.k8s.io/kube-proxy:${version}"}]}}}\n---\n`
    for (const text of [network(`kubeProxy: {version: "${version}"}`), daemonSet]) {
      const warned = read(text).texts.filter((line) => line.includes('writes other rules than those that are modelled'))
      expect(warned).toHaveLength(told ? 1 : 0)
    }
  })

  it('nodePortAddresses are prefixes or words', () => {
    expect(read(network('kubeProxy: {nodePortAddresses: [eth0]}')).texts[0]).toContain('neither a prefix nor a word for one')
    const words = 'nodePortAddresses: [localhost, 192.168.0.0/24, all]'
    const expected = ['localhost', { length: 24 }, 'all']
    expect(read(network(`kubeProxy: {${words}}`)).told.nodePortAddresses).toMatchObject(expected)
    expect(read(configMap(words))).toMatchObject({ told: { nodePortAddresses: expected }, texts: [] })
  })
})
