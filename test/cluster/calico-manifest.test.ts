import { describe, expect, it } from 'vitest'
import { formatCidr, parseCidr, type Cidr } from '../../src/base/cidr.js'
import { formatProblem } from '../../src/base/problem.js'
import { defaultIpPool, readCalicoManifest, type CalicoManifest } from '../../src/cluster/calico/calico-manifest.js'
import { ProblemList } from '../../src/cluster/problem-list.js'
import { calico, world } from '../calico/kit.js'

function manifest(text: string, cni: 'calico' | 'canal' = 'calico'): CalicoManifest & { readonly texts: readonly string[] } {
  const problems = new ProblemList()
  const found = readCalicoManifest(world(text).cluster.objects, cni, problems)
  return { ...found, texts: problems.problems.map(formatProblem) }
}

function daemonSet(env: string, image = 'quay.io/calico/node:v3.31.2'): string {
  return `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node, namespace: kube-system}
spec: {template: {spec: {containers: [{name: calico-node, image: "${image}", env: ${env}}]}}}
---
`
}

const CONFIG = `apiVersion: v1
kind: ConfigMap
metadata: {name: calico-config, namespace: kube-system}
data:
  calico_backend: vxlan
  veth_mtu: "1400"
  cni_network_config: |-
    {"plugins": [{"type": "calico", "mtu": __CNI_MTU__, "ipam": {"type": "calico-ipam"},
     "container_settings": {"allow_ip_forwarding": true}}, {"type": "portmap"}]}
---
`

const FROM_CONFIG = '{configMapKeyRef: {name: calico-config, key: '

describe('the manifest of Calico', () => {
  it('is read with its ConfigMap', () => {
    const env = `[{name: CALICO_NETWORKING_BACKEND, valueFrom: ${FROM_CONFIG}calico_backend}}}, {name: FELIX_VXLANMTU, valueFrom: ${FROM_CONFIG}veth_mtu}}},
      {name: NODENAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: IP, value: autodetect},
      {name: FELIX_IPV6SUPPORT, value: "false"}, {name: USE_POD_CIDR, value: "true"}]`
    expect(manifest(CONFIG + daemonSet(env))).toMatchObject({
      backend: 'vxlan',
      version: '3.31.2',
      ipam: 'calico-ipam',
      allowsIpForwarding: true,
      usesPodCidr: true,
      findsAddress: true,
      felix: { vxlanMTU: 1400, ipv6Support: false },
      environment: { IP: 'autodetect' },
      assumed: false,
      texts: [],
    })
    expect(manifest(CONFIG + daemonSet(env)).environment).not.toHaveProperty('NODENAME')
  })

  it("is taken to be the release's own where there is none", () => {
    expect(manifest('')).toMatchObject({
      backend: 'bird',
      ipam: 'calico-ipam',
      findsAddress: true,
      assumed: true,
      felix: { defaultEndpointToHostAction: 'ACCEPT', ipv6Support: false },
    })
    expect(manifest('', 'canal')).toMatchObject({ backend: 'none', ipam: 'host-local', findsAddress: false, usesPodCidr: true, assumed: true })
  })

  it('names a backend that Calico does not have', () => {
    expect(manifest(daemonSet('[{name: CALICO_NETWORKING_BACKEND, value: gobgp}]')).texts).toEqual([
      expect.stringContaining('warning: DaemonSet/kube-system/calico-node: CALICO_NETWORKING_BACKEND is "gobgp": taken to be bird'),
    ])
  })
})

describe('the pool that calico-node makes', () => {
  const KUBEADM = `apiVersion: v1
kind: ConfigMap
metadata: {name: kubeadm-config, namespace: kube-system}
data: {ClusterConfiguration: "networking:\\n  podSubnet: 10.50.0.0/16\\n"}
---
`

  function pool(
    text: string,
    { hosts = [], clusterCIDR, cni = 'calico' }: { readonly hosts?: readonly string[]; readonly clusterCIDR?: string; readonly cni?: 'calico' | 'canal' } = {},
  ) {
    const problems = new ProblemList()
    const { cluster, resources } = world(text)
    const found = defaultIpPool(
      {
        manifest: readCalicoManifest(cluster.objects, cni, problems),
        pools: resources.ipPools,
        ...(clusterCIDR === undefined ? {} : { clusterCIDR: parseCidr(clusterCIDR) as Cidr }),
        hostNetworks: hosts.map((host) => parseCidr(host) as Cidr),
        objects: cluster.objects,
      },
      problems,
    )
    return found === undefined
      ? problems.problems.map(({ what }) => what).join()
      : `${formatCidr(found.cidr)} ${found.ipipMode} ${found.vxlanMode} ${found.natOutgoing} /${found.blockSize}`
  }

  it.each<[string, Parameters<typeof pool>, string]>([
    ['calico.yaml', [''], '192.168.0.0/16 Always Never true /26'],
    ['canal.yaml', ['', { cni: 'canal' }], '192.168.0.0/16 Never Never true /26'],
    ['a host in 192.168', ['', { hosts: ['192.168.1.0/24'] }], '172.16.0.0/16 Always Never true /26'],
    ['hosts in both', ['', { hosts: ['192.168.1.0/24', '172.16.0.0/15'] }], '172.18.0.0/16 Always Never true /26'],
    ['kubeadm', [KUBEADM], '10.50.0.0/16 Always Never true /26'],
    ['the document', [KUBEADM, { clusterCIDR: '10.60.0.0/16' }], '10.60.0.0/16 Always Never true /26'],
    [
      'the environment',
      [
        daemonSet(
          '[{name: CALICO_IPV4POOL_CIDR, value: 10.70.0.0/16}, {name: CALICO_IPV4POOL_VXLAN, value: cross-subnet}, ' +
            '{name: CALICO_IPV4POOL_NAT_OUTGOING, value: "false"}, {name: CALICO_IPV4POOL_BLOCK_SIZE, value: "24"}]',
        ),
      ],
      '10.70.0.0/16 Never CrossSubnet false /24',
    ],
    ['one is there', [calico('IPPool', 'p', '{cidr: 10.0.0.0/16}')], ''],
    ['none is wanted', [daemonSet('[{name: NO_DEFAULT_POOLS, value: "true"}]')], ''],
    ['wrong', [daemonSet('[{name: CALICO_IPV4POOL_CIDR, value: 10.0.0.1/16}]')], 'CALICO_IPV4POOL_CIDR is "10.0.0.1/16", which is no IPv4 prefix'],
  ])('%s', (_, given, expected) => {
    expect(pool(...given)).toBe(expected)
  })
})
