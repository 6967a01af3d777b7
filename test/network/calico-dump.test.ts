/**
 * Clusters as `kubectl get … -o yaml` dumps them, without a Network document: what they run is inferred, addresses, blocks and keys are as they stand.
 * Shapes of the objects: libcalico-go/lib/apis/v3, lib/backend/k8s/resources/ipam_{block,affinity}_v1.go, tigera/operator api/v1.
 */
import { describe, expect, it } from 'vitest'
import { formatIp } from '../../src/base/ip.js'
import { formatProblem } from '../../src/base/problem.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { answer, buildText, type Built } from '../kit/network.js'

type Json = Readonly<Record<string, unknown>>

function object(apiVersion: string, kind: string, metadata: Json, rest: Json): Json {
  return { apiVersion, kind, metadata: { uid: 'b7c1', resourceVersion: '1042', creationTimestamp: '2026-06-26T09:00:00Z', ...metadata }, ...rest }
}

const crd = (kind: string, name: string, spec: Json): Json => object('crd.projectcalico.org/v1', kind, { name, generation: 1 }, { spec })

function node(name: string, address: string, annotations: Json): Json {
  const status = {
    addresses: [
      { type: 'InternalIP', address },
      { type: 'Hostname', address: name },
    ],
    nodeInfo: { kubeletVersion: 'v1.34.1' },
  }
  return object('v1', 'Node', { name, annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true', ...annotations } }, { spec: {}, status })
}

function pod(name: string, nodeName: string, podIP: string): Json {
  const containers = [{ name: 'c', image: 'nginx', ports: [{ containerPort: 80, protocol: 'TCP' }] }]
  const annotations = { 'cni.projectcalico.org/podIP': `${podIP}/32`, 'cni.projectcalico.org/podIPs': `${podIP}/32`, 'cni.projectcalico.org/containerID': 'ab' }
  const status = { phase: 'Running', podIP, podIPs: [{ ip: podIP }] }
  return object('v1', 'Pod', { name, namespace: 'default', annotations }, { spec: { nodeName, serviceAccountName: 'default', containers }, status })
}

/** A block of four addresses, as allocations name its attributes. */
function block(cidr: string, owner: string, allocations: readonly (number | null)[], attributes: readonly Json[]): Json {
  const unallocated = allocations.flatMap((one, ordinal) => (one === null ? [ordinal] : []))
  const sequenceNumberForAllocation = {}
  const spec = {
    cidr,
    affinity: `host:${owner}`,
    allocations,
    unallocated,
    attributes,
    strictAffinity: false,
    deleted: false,
    sequenceNumber: 7,
    sequenceNumberForAllocation,
  }
  return crd('IPAMBlock', cidr.replaceAll(/[./]/g, '-'), spec)
}

const held = (name: string, nodeName: string): Json => ({
  handle_id: `k8s-pod-network.${name}`,
  secondary: { namespace: 'default', node: nodeName, pod: name },
})

function tunnel(kind: string, nodeName: string): Json {
  return { handle_id: `${kind}-tunnel-addr-${nodeName}`, secondary: { node: nodeName, type: `${kind}TunnelAddress` } }
}

function affinity(nodeName: string, cidr: string): Json {
  return crd('BlockAffinity', `${nodeName}-${cidr.replaceAll(/[./]/g, '-')}`, { cidr, node: nodeName, state: 'confirmed', deleted: 'false', type: 'host' })
}

const FLANNELD = { name: 'kube-flannel', image: 'docker.io/flannel/flannel:v0.24.4', command: ['/opt/bin/flanneld', '--ip-masq', '--kube-subnet-mgr'] }

/** As calico-node stands in a dump, with the environment that matters here, and in Canal flanneld beside it. */
function daemonSet(name: string, env: Readonly<Record<string, string>>): Json {
  const container = { name: 'calico-node', image: 'quay.io/calico/node:v3.32.1', env: Object.entries(env).map(([key, value]) => ({ name: key, value })) }
  return object(
    'apps/v1',
    'DaemonSet',
    { name, namespace: 'kube-system' },
    { spec: { template: { spec: { hostNetwork: true, containers: name === 'canal' ? [container, FLANNELD] : [container] } } } },
  )
}

function dump(...items: readonly Json[]): Built {
  return buildText(JSON.stringify({ apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items }))
}

const told = ({ problems }: Built): string[] => problems.map(formatProblem)

function routesOf({ network }: Built, name: string): string[] {
  return printRoutes(network.dataplanes.get(name)?.routes ?? [])
    .split('\n')
    .map((line) => line.trim())
}

const IPIP_POOL = crd('IPPool', 'default-ipv4-ippool', {
  cidr: '10.9.0.0/24',
  blockSize: 30,
  ipipMode: 'Always',
  vxlanMode: 'Never',
  natOutgoing: true,
  nodeSelector: 'all()',
  allowedUses: ['Workload', 'Tunnel'],
})

describe("a cluster of Calico's manifest", () => {
  const found = dump(
    node('n1', '192.168.10.11', { 'projectcalico.org/IPv4Address': '192.168.10.11/24', 'projectcalico.org/IPv4IPIPTunnelAddr': '10.9.0.20' }),
    node('n2', '192.168.10.12', { 'projectcalico.org/IPv4Address': '192.168.10.12/24', 'projectcalico.org/IPv4IPIPTunnelAddr': '10.9.0.41' }),
    daemonSet('calico-node', {
      CALICO_NETWORKING_BACKEND: 'bird',
      CALICO_IPV4POOL_IPIP: 'Always',
      FELIX_DEFAULTENDPOINTTOHOSTACTION: 'ACCEPT',
      IP: 'autodetect',
    }),
    IPIP_POOL,
    affinity('n1', '10.9.0.20/30'),
    affinity('n2', '10.9.0.40/30'),
    block('10.9.0.20/30', 'n1', [0, 1, 2, 3], [tunnel('ipip', 'n1'), held('a', 'n1'), held('b', 'n1'), held('c', 'n1')]),
    // n2's block is where d of n1 has its address from: n1's was full
    block('10.9.0.40/30', 'n2', [null, 0, 1, 2], [tunnel('ipip', 'n2'), held('e', 'n2'), held('d', 'n1')]),
    crd('IPAMConfig', 'default', { strictAffinity: false, autoAllocateBlocks: true, maxBlocksPerHost: 0 }),
    crd('ClusterInformation', 'default', { calicoVersion: 'v3.32.1', clusterType: 'k8s,bgp,kubeadm', datastoreReady: true }),
    ...[
      ['a', 'n1', '10.9.0.21'],
      ['b', 'n1', '10.9.0.22'],
      ['c', 'n1', '10.9.0.23'],
      ['d', 'n1', '10.9.0.43'],
      ['e', 'n2', '10.9.0.42'],
    ].map(([name, at, ip]) => pod(name, at, ip)),
  )

  it('is Calico with IPIP, without a Problem', () => {
    expect([found.cluster.cni, told(found)]).toEqual(['calico', []])
    expect(found.network.calico?.cluster.poolsUse).toEqual({ ipip: true, vxlan: false })
  })

  it('every address is where it was', () => {
    expect(found.network.pods.map(({ pod: { name }, address }) => `${name} ${formatIp(address)}`)).toEqual([
      'a 10.9.0.21',
      'b 10.9.0.22',
      'c 10.9.0.23',
      'd 10.9.0.43',
      'e 10.9.0.42',
    ])
    expect(found.network.calico?.nodes.map(({ ipipTunnelAddress }) => formatIp(ipipTunnelAddress ?? 0))).toEqual(['10.9.0.20', '10.9.0.41'])
  })

  it('a borrowed address is announced by itself, and wins over the block that it is of', () => {
    expect(routesOf(found, 'n2').filter((line) => line.startsWith('10.9.0.43 ') || line.startsWith('blackhole'))).toEqual([
      'blackhole 10.9.0.40/30 proto bird',
      '10.9.0.43 via 192.168.10.11 dev tunl0 proto bird metric 1024 onlink',
    ])
    expect(answer(found.network, 'e', 'd:80', { proto: 'tcp' }).outcome.forward.disposition).toBe('DELIVERED')
  })

  it('the next address of a full block is borrowed, the last of all is nobody’s', () => {
    const full = [20, 24, 28].map((base) => ({ cidr: `10.9.0.${base}/30`, owner: base === 20 ? 'n1' : 'n2' }))
    const pool = crd('IPPool', 'small', { cidr: '10.9.0.20/30', blockSize: 30, ipipMode: 'Never', vxlanMode: 'Never' })
    const standing = block(full[0].cidr, 'n1', [0, 1, 2, null], [held('a', 'n1'), held('b', 'n1'), held('c', 'n1')])
    const pods = [
      ['a', '10.9.0.20'],
      ['b', '10.9.0.21'],
      ['c', '10.9.0.22'],
    ].map(([name, ip]) => pod(name, 'n1', ip))
    const nodes = [node('n1', '192.168.10.11', {}), node('n2', '192.168.10.12', {})]
    const late = dump(...nodes, pool, standing, affinity('n1', '10.9.0.20/30'), ...pods, pod('late', 'n2', ''), pod('later', 'n2', ''))
    expect(late.network.pods.filter(({ pod: { node: at } }) => at === 'n2').map(({ pod: { name }, address }) => `${name} ${formatIp(address)}`)).toEqual([
      'late 10.9.0.23',
    ])
    expect(told(late).filter((line) => line.includes('no address for it'))).toEqual([expect.stringContaining('Pod/default/later') as string])
  })
})

describe('what is not modelled', () => {
  const nodes = [node('n1', '192.168.10.11', {}), node('n2', '192.168.10.12', {})]

  it.each([
    [
      daemonSet('calico-node', { CALICO_NETWORKING_BACKEND: 'bird', IP: 'autodetect', IP_AUTODETECTION_METHOD: 'interface=bond0' }),
      'IP_AUTODETECTION_METHOD interface=bond0 is not followed',
    ],
    [daemonSet('calico-node', { CALICO_NETWORKING_BACKEND: 'bird', IP: 'autodetect', USE_POD_CIDR: 'true' }), 'USE_POD_CIDR is not modelled'],
    [crd('FelixConfiguration', 'default', { bpfEnabled: true }), 'bpfEnabled'],
    [crd('FelixConfiguration', 'default', { nftablesMode: 'Enabled' }), 'nftablesMode'],
    [crd('IPPool', 'six', { cidr: 'fd00:10:48::/64', blockSize: 122 }), 'IPv6'],
  ])('%#: is named', (given, wanted) => {
    expect(told(dump(...nodes, crd('IPPool', 'four', { cidr: '10.9.0.0/24', natOutgoing: true }), given))).toEqual([expect.stringContaining(wanted)])
  })
})

describe('a cluster of the operator', () => {
  const nodes = [node('n1', '192.168.10.11', {}), node('n2', '192.168.10.12', {})]
  const pods = [pod('a', 'n1', ''), pod('b', 'n2', '')]
  const installation = (calicoNetwork: Json | undefined, more: Json = {}): Json => {
    const status = { computed: {}, conditions: [], mtu: 1450, variant: 'Calico' }
    return object(
      'operator.tigera.io/v1',
      'Installation',
      { name: 'default' },
      { spec: { variant: 'Calico', registry: 'quay.io/', ...(calicoNetwork === undefined ? {} : { calicoNetwork }), ...more }, status },
    )
  }
  const pool = (encapsulation: string, more: Json = {}): Json => ({
    cidr: '10.48.0.0/16',
    encapsulation,
    natOutgoing: 'Enabled',
    nodeSelector: 'all()',
    ...more,
  })

  it.each([
    ['IPIP', 'Always', 'Never', 'tunl0'],
    ['IPIPCrossSubnet', 'CrossSubnet', 'Never', 'tunl0'],
    ['VXLAN', 'Never', 'Always', 'vxlan.calico'],
    ['VXLANCrossSubnet', 'Never', 'CrossSubnet', 'vxlan.calico'],
    ['None', 'Never', 'Never', ''],
  ])('%s', (encapsulation, ipipMode, vxlanMode, device) => {
    const found = dump(...nodes, ...pods, installation({ ipPools: [pool(encapsulation)] }))
    expect([found.cluster.cni, told(found)]).toEqual(['calico', []])
    expect(found.network.calico?.cluster.resources.ipPools).toMatchObject([
      { name: 'default-ipv4-ippool', ipipMode, vxlanMode, natOutgoing: true, blockSize: 26 },
    ])
    expect(found.network.dataplanes.get('n1')?.devices.some(({ name }) => name === device)).toBe(device !== '')
    expect(answer(found.network, 'a', 'b:80', { proto: 'tcp' }).outcome.forward.disposition).toBe('DELIVERED')
  })

  it('bgp Disabled: no BIRD, and with VXLAN none is needed', () => {
    const found = dump(...nodes, ...pods, installation({ bgp: 'Disabled', ipPools: [pool('VXLAN')], mtu: 1400 }))
    expect([told(found), found.network.bgp]).toEqual([[], undefined])
    expect(found.network.dataplanes.get('n1')?.devices.map(({ mtu }) => mtu)).toEqual([65536, 1500, 1400, 1400])
    expect(answer(found.network, 'a', 'b:80', { proto: 'tcp' }).outcome.forward.disposition).toBe('DELIVERED')
  })

  it('says nothing of pools: IPIP in 192.168.0.0/16, on EKS VXLAN in 172.16.0.0/16 without BGP', () => {
    const host = [node('n1', '10.0.0.11', {})]
    const said = (found: Built): unknown => [found.network.calico?.cluster.resources.ipPools, found.network.calico?.cluster.manifest.backend]
    expect(said(dump(...host, installation(undefined)))).toMatchObject([[{ cidr: { length: 16 }, ipipMode: 'Always' }], 'bird'])
    expect(said(dump(...host, installation(undefined, { kubernetesProvider: 'EKS' })))).toMatchObject([[{ vxlanMode: 'Always' }], 'vxlan'])
    expect(said(dump(...host, installation({ ipPools: [] })))).toMatchObject([[], 'bird'])
  })

  it('an IPPool that stands wins over what the Installation says', () => {
    const found = dump(...nodes, ...pods, installation({ ipPools: [pool('VXLAN')] }), IPIP_POOL)
    expect(found.network.calico?.cluster.resources.ipPools).toMatchObject([{ ipipMode: 'Always', blockSize: 30 }])
  })

  it('names what it does not act on', () => {
    const network = {
      linuxDataplane: 'BPF',
      nodeAddressAutodetectionV4: { interface: 'eth1' },
      podDance: 'Enabled',
      ipPools: [pool('IPIP', { colour: 'red' })],
    }
    const found = dump(...nodes, installation(network, { cni: { type: 'AmazonVPC' } }))
    expect(told(found).map((line) => line.split('\n')[0].replace(/^\S+ /, ''))).toEqual([
      expect.stringMatching(/^warning: Installation\/default: podDance: a field that is not known here/),
      expect.stringMatching(/^warning: Installation\/default: colour: a field that is not known here/),
      expect.stringMatching(/^warning: Installation\/default: the CNI plugin AmazonVPC is not modelled/),
      expect.stringMatching(/^warning: Installation\/default: the dataplane BPF is not modelled/),
      expect.stringMatching(/^warning: Installation\/default: not followed: each node is taken to find its InternalIP/),
    ])
  })

  it('HostLocal: addresses out of podCIDRs, and a node without one is named', () => {
    const withPodCidr = (name: string, address: string, podCIDR: string): Json => ({ ...node(name, address, {}), spec: { podCIDR } })
    const spec = installation({ bgp: 'Disabled', ipPools: [] }, { cni: { type: 'Calico', ipam: { type: 'HostLocal' } } })
    const found = dump(withPodCidr('n1', '192.168.10.11', '10.48.1.0/24'), withPodCidr('n2', '192.168.10.12', '10.48.2.0/24'), ...pods, spec)
    expect(told(found)).toEqual([])
    expect(found.network.pods.map(({ address }) => formatIp(address))).toEqual(['10.48.1.2', '10.48.2.2'])
    // whoever routes podCIDRs, in a cloud, is not in the input
    expect(answer(found.network, 'a', 'b:80', { proto: 'tcp' }).outcome.forward.disposition).toBe('NO_ROUTE')
    expect(told(dump(withPodCidr('n1', '192.168.10.11', '10.48.1.0/24'), nodes[1], ...pods, spec))).toEqual([
      expect.stringContaining('error: Node/n2: the node has no podCIDR'),
    ])
  })

  it('names what is wrong', () => {
    const found = dump(...nodes, installation({ ipPools: [pool('IPIP'), pool('VXLAN', { cidr: '10.48.9.0/24' }), pool('IPIP', { cidr: '10.300.0.0/16' })] }))
    expect(told(found).join('\n')).toMatch(/the pools 10\.48\.0\.0-16 and 10\.48\.9\.0-24 overlap/)
    expect(told(found).join('\n')).toMatch(/10\.300\.0\.0\/16/)
  })
})

describe('a cluster of Canal', () => {
  const flannel = (mac: string): Json => ({
    'flannel.alpha.coreos.com/kube-subnet-manager': 'true',
    'flannel.alpha.coreos.com/backend-type': 'vxlan',
    'flannel.alpha.coreos.com/backend-data': JSON.stringify({ VNI: 1, VtepMAC: mac }),
  })
  const found = dump(
    { ...node('n1', '192.168.10.11', flannel('5e:1d:0c:a6:31:01')), spec: { podCIDR: '10.244.0.0/24' } },
    { ...node('n2', '192.168.10.12', flannel('5e:1d:0c:a6:31:02')), spec: { podCIDR: '10.244.1.0/24' } },
    object(
      'v1',
      'ConfigMap',
      { name: 'canal-config', namespace: 'kube-system' },
      { data: { veth_mtu: '0', 'net-conf.json': '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}' } },
    ),
    daemonSet('canal', { CALICO_NETWORKING_BACKEND: 'none', USE_POD_CIDR: 'true', FELIX_DEFAULTENDPOINTTOHOSTACTION: 'ACCEPT', IP: '' }),
    crd('IPPool', 'default-ipv4-ippool', {
      cidr: '10.244.0.0/16',
      blockSize: 26,
      ipipMode: 'Never',
      vxlanMode: 'Never',
      natOutgoing: true,
      nodeSelector: 'all()',
    }),
    pod('a', 'n1', '10.244.0.7'),
    pod('b', 'n2', '10.244.1.9'),
  )

  it("is Canal by its DaemonSet or its ConfigMap alone, before there is any object of Calico's", () => {
    const nodes = [node('n1', '192.168.10.11', {}), node('n2', '192.168.10.12', {})].map((one, at) => ({ ...one, spec: { podCIDR: `10.244.${at}.0/24` } }))
    const config = object('v1', 'ConfigMap', { name: 'canal-config', namespace: 'kube-system' }, { data: { 'net-conf.json': '{"Network": "10.244.0.0/16"}' } })
    for (const one of [daemonSet('canal', { CALICO_NETWORKING_BACKEND: 'none', IP: '' }), config]) expect(dump(...nodes, one).cluster.cni).toBe('canal')
  })

  it('flanneld takes the card that canal-config names, but not what its command line says otherwise', () => {
    const env = ['iface', 'ip_masq'].map((flag) => ({
      name: `FLANNELD_${flag.toUpperCase()}`,
      valueFrom: { configMapKeyRef: { name: 'canal-config', key: flag } },
    }))
    const spec = { template: { spec: { containers: [{ ...FLANNELD, env }] } } }
    const config = (iface: string): Json =>
      object(
        'v1',
        'ConfigMap',
        { name: 'canal-config', namespace: 'kube-system' },
        { data: { iface, ip_masq: 'false', 'net-conf.json': '{"Network": "10.244.0.0/16"}' } },
      )
    const flannelOf = (iface: string): unknown =>
      dump(
        { ...node('n1', '192.168.10.11', {}), spec: { podCIDR: '10.244.0.0/24' } },
        config(iface),
        object('apps/v1', 'DaemonSet', { name: 'canal', namespace: 'kube-system' }, { spec }),
      ).cluster.flannel
    expect(flannelOf('ens4')).toMatchObject({ iface: 'ens4', ipMasq: true })
    expect(flannelOf('')).not.toHaveProperty('iface')
  })

  it('is Canal, with the addresses that its pods have', () => {
    expect([found.cluster.cni, told(found)]).toEqual(['canal', []])
    expect(found.network.pods.map(({ address }) => formatIp(address))).toEqual(['10.244.0.7', '10.244.1.9'])
    expect(answer(found.network, 'a', 'b:80', { proto: 'tcp' }).outcome.forward.disposition).toBe('DELIVERED')
  })
})
