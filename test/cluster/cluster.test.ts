import { describe, expect, it } from 'vitest'
import { cidr, formatCidr, type Cidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { build, network, node, pod } from './support.js'

const N1 = node('n1', '192.168.10.11')
const N2 = node('n2', '192.168.10.12')

function configMap(netConf: string, name = 'kube-flannel-cfg', namespace = 'kube-flannel'): string {
  return `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: ${namespace}}\ndata:\n  net-conf.json: |\n${netConf.replaceAll(/^/gm, '    ')}\n---\n`
}

const NET_CONF = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'

describe('what is wrong between objects', () => {
  it.each([
    [
      'two pods with one address',
      `${N1}${N2}${configMap(NET_CONF)}${pod('a', '{nodeName: n1}', '10.244.0.5')}${pod('b', '{nodeName: n2}', '10.244.0.5')}`,
      'error: Pod/default/b: pod default/a (t.yaml:22) has the address 10.244.0.5 too',
    ],
    [
      "a pod with its node's address",
      `${N1}${pod('a', '{nodeName: n1}', '192.168.10.11')}`,
      'error: Pod/default/a: its address 192.168.10.11 is the one of node n1 (t.yaml:4)',
    ],
    ['two nodes with one address', N1 + node('n2', '192.168.10.11'), 'error: Node/n2: node n1 (t.yaml:4) has the address 192.168.10.11 too'],
    ['a node without an address', 'apiVersion: v1\nkind: Node\nmetadata: {name: n1}', 'error: Node/n1: the node has no IPv4 InternalIP'],
    ['a node with an IPv6 address only', node('n1', '"fd00::1"'), 'error: Node/n1: the node has no IPv4 InternalIP'],
    [
      'a node that runs Windows',
      node('n1', '192.168.10.11').replace('{name: n1', '{labels: {kubernetes.io/os: windows}, name: n1'),
      'warning: Node/n1: the node runs Windows: shown is what Linux does',
    ],
    ['a leading zero', node('n1', '192.168.010.1'), '"192.168.010.1" is no IPv4 address'],
    [
      'a node in no segment',
      N1 + network('underlay: {segments: [{name: s0, cidr: 10.0.0.0/24}]}'),
      'error: Node/n1: its address 192.168.10.11 is in no segment (s0 10.0.0.0/24)',
    ],
    ['a node on the broadcast address', node('n1', '192.168.10.255'), 'is the broadcast address of segment s0'],
    [
      "a router on a node's address",
      N1 + network('underlay: {segments: [{name: s0, cidr: 192.168.10.0/24, router: 192.168.10.11}]}'),
      'the router of segment s0 and node n1 (t.yaml:1) both have 192.168.10.11',
    ],
    [
      'overlapping podCIDRs',
      node('n1', '192.168.10.11', 'spec: {podCIDR: 10.244.0.0/16}\n') + node('n2', '192.168.10.12', 'spec: {podCIDR: 10.244.7.0/24}\n'),
      'error: Node/n2: its podCIDR 10.244.7.0/24 overlaps 10.244.0.0/16 of node n1 (t.yaml:5)',
    ],
    [
      'a podCIDR with host bits',
      node('n1', '192.168.10.11', 'spec: {podCIDR: 10.244.7.1/24}\n'),
      'podCIDR: 10.244.7.1/24 has bits set beyond /24\n    The prefix of that length is 10.244.7.0/24',
    ],
    ['a node that does not exist', N1 + pod('a', '{nodeName: m1}'), 'error: Pod/default/a: its node m1 is not in the input\n    Did you mean n1?'],
    ['a name', N1 + pod('Web_0'), '"Web_0" is no name that Kubernetes allows (RFC 1123)'],
    [
      'a port',
      N1 + pod('a', '{containers: [{ports: [{containerPort: 70000}]}]}'),
      'spec.containers[0].ports[0].containerPort: 70000 is not a whole number from 1 to 65535',
    ],
    [
      'a protocol',
      N1 + pod('a', '{containers: [{ports: [{containerPort: 70, protocol: tcp}]}]}'),
      '"tcp" is no protocol\n    Write TCP, UDP or SCTP, in capitals.',
    ],
    [
      'a label that is no text',
      `apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {zone: 1}}\nstatus: {addresses: [{type: InternalIP, address: 1.2.3.4}]}`,
      'metadata.labels.zone is the number 1, not text\n    Write it in quotes: "1".',
    ],
    ['a field of another shape', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: [x]', 'spec is a list, not a mapping'],
    ['labels of another shape', N1 + pod('a').replace('{name: a}', '{name: a, labels: [x]}'), 'metadata.labels is a list, not a mapping'],
    ['a misspelt field', N1 + pod('a', '{nodename: n1}'), 'warning: Pod/default/a: unknown field spec.nodename\n    Did you mean nodeName?'],
    [
      'an apiVersion that the kind never had',
      'apiVersion: apps/v1\nkind: Pod\nmetadata: {name: a}',
      'error: Pod/default/a: Pod has no apiVersion apps/v1\n    Write v1.',
    ],
    ['a misspelt kind', 'apiVersion: v1\nkind: Pods\nmetadata: {name: a}', 'v1 has no kind Pods\n    Did you mean Pod?'],
    [
      'JSON inside a ConfigMap',
      configMap('{\n  "Network": "10.244.0.0/16",\n  "Backend": {"Type": "vxlan"},\n}'),
      't.yaml:8: error: ConfigMap/kube-flannel/kube-flannel-cfg: net-conf.json: a comma before }',
    ],
    [
      'an unknown operator',
      N1 +
        pod(
          'a',
          '{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: in, values: [b]}]}]}}}}',
        ),
      'unknown operator "in"',
    ],
  ])('%s', (_, text, words) => {
    const { texts } = build(text)
    expect(texts.join('\n')).toContain(words)
    expect(texts.every((problem) => /^t\.yaml:\d+: /.test(problem))).toBe(true)
  })

  it('reports everything in one run, in the order of the files', () => {
    const { problems } = buildCluster([
      { file: 'b.yaml', text: `${N1}a: [` },
      { file: 'a.yaml', text: pod('Bad_', '{nodeName: n1}', '10.1.1.300') },
    ])
    expect(problems.map(({ file, severity }) => [file, severity])).toEqual([
      ['b.yaml', 'error'],
      ['a.yaml', 'error'],
      ['a.yaml', 'error'],
    ])
  })

  it('does not call missing what could not be read', () => {
    const { texts } = build(`${N1}${node('n2', '192.168.10.400')}${pod('a', '{nodeName: n2}')}`)
    expect(texts).toHaveLength(1)
    expect(build(`${pod('a', '{nodeName: n2}')}${N1}x: [`).texts.join()).not.toContain('not in the input')
  })

  it('takes two pods with one address under plain docker for what docker does, unless they share the host', () => {
    const two = (second: string): string[] =>
      build(N1 + N2 + pod('a', '{nodeName: n1}', '172.17.0.2') + pod('b', `{nodeName: ${second}}`, '172.17.0.2') + network('cni: none')).texts
    expect(two('n2')).toHaveLength(1)
    expect(two('n2')[0]).toContain('warning: Pod/default/b')
    expect(two('n1')[0]).toContain('error: Pod/default/b')
  })

  it('ignores the addresses of finished pods', () => {
    const done = 'apiVersion: v1\nkind: Pod\nmetadata: {name: job-1}\nspec: {nodeName: n1}\nstatus: {phase: Succeeded, podIP: 10.244.0.5}\n---\n'
    const { cluster, texts } = build(
      node('n1', '192.168.10.11', 'spec: {podCIDR: 10.244.0.0/24}\n') + configMap(NET_CONF) + done + pod('a', '{nodeName: n1}', '10.244.0.5'),
    )
    expect(texts).toEqual([])
    expect(cluster.podsByAddress.get(ip('10.244.0.5'))?.map(({ name }) => name)).toEqual(['a'])
  })

  it('names each group of objects that play no part once', () => {
    const object = (apiVersion: string, kind: string, name: string): string => `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: ${name}}\n---\n`
    const { texts, cluster } = build(
      object('v1', 'LimitRange', 'a') +
        object('v1', 'LimitRange', 'b') +
        object('v1', 'ResourceQuota', 'c') +
        object('example.com/v1', 'Policy', 'd') +
        object('apps/v1', 'Deployment', 'f') +
        object('apps/v1', 'DaemonSet', 'kube-proxy'),
    )
    expect(texts.map((text) => text.split('\n')[0])).toEqual([
      't.yaml:1: warning: 2 LimitRanges, 1 ResourceQuota, 1 Policy: play no part in packet paths, kept',
      't.yaml:17: warning: Deployment/default/f: an API server refuses it: spec.template.spec is missing',
    ])
    expect(cluster.objects).toHaveLength(6)
  })
})

describe('what stands in for what is not said', () => {
  it('puts nodes into /24 segments with a router on the last free address', () => {
    const { cluster, texts } = build(node('n1', '192.168.11.254') + N1.replace('n1', 'n0') + node('n2', '192.168.11.253'))
    expect(texts).toEqual([])
    expect(cluster.segments.map(({ name, cidr: prefix, router }) => [name, formatCidr(prefix), formatIp(router)])).toEqual([
      ['s0', '192.168.10.0/24', '192.168.10.254'],
      ['s1', '192.168.11.0/24', '192.168.11.252'],
    ])
    expect(cluster.nodes.map(({ segment }) => segment)).toEqual(['s1', 's0', 's1'])
    expect(cluster.routers).toMatchObject([
      { name: 'router', implicit: true, interfaces: [{ segment: 's0' }, { segment: 's1', address: ip('192.168.11.252') }] },
    ])
  })

  it.each(['projectcalico.org/IPv4Address', 'netsim/address'])('reads the length of the prefix from %s', (key) => {
    const { cluster } = build(
      node('n1', '10.0.3.4').replace('{name: n1}', `{name: n1, annotations: {${key}: 10.0.3.4/20, netsim/mtu: "9000"}}`) + node('n2', '10.0.15.1'),
    )
    expect(cluster.segments.map(({ cidr: prefix }) => formatCidr(prefix))).toEqual(['10.0.0.0/20'])
    expect(cluster.nodes.map(({ prefixLength, mtu }) => [prefixLength, mtu])).toEqual([
      [20, 9000],
      [20, 1500],
    ])
  })

  it.each([
    ['nothing', N1, 'none', 'kubernetes', 'docker'],
    ['a kube-flannel ConfigMap', N1 + configMap(NET_CONF), 'flannel', 'kubernetes', 'cni'],
    ['the older namespace', N1 + configMap(NET_CONF, 'kube-flannel-cfg', 'kube-system'), 'flannel', 'kubernetes', 'cni'],
    ['etcd keys', N1 + network('etcd: {/coreos.com/network/config: "{}"}'), 'flannel', 'etcd', 'docker'],
    [
      'annotations',
      node('n1', '10.0.0.1').replace('{name: n1}', '{name: n1, annotations: {flannel.alpha.coreos.com/backend-type: host-gw}}'),
      'flannel',
      'kubernetes',
      'cni',
    ],
    ['Calico objects', `${N1}apiVersion: crd.projectcalico.org/v1\nkind: IPPool\nmetadata: {name: p}\n`, 'calico', 'kubernetes', 'cni'],
    ['both', `${N1}${configMap(NET_CONF)}apiVersion: crd.projectcalico.org/v1\nkind: IPPool\nmetadata: {name: p}\n`, 'canal', 'kubernetes', 'cni'],
  ])('infers the CNI from %s', (_, text, cni, datastore, runtime) => {
    expect(build(text).cluster).toMatchObject({ cni, datastore, runtime: { name: runtime } })
  })

  it("reads flannel's arguments and version from its DaemonSet", () => {
    const daemonSet = (args: string): string =>
      `apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: kube-flannel-ds, namespace: kube-flannel}\nspec: {template: {spec: {containers: [{name: kube-flannel, image: "localhost:5000/flannel:v0.20.2", command: [/opt/bin/flanneld], args: ${args}}]}}}\n`
    const read = (args: string) => build(N1 + configMap(NET_CONF) + daemonSet(args)).cluster.flannel
    expect(read('[--ip-masq, --kube-subnet-mgr, --iface=eth1]')).toMatchObject({ ipMasq: true, iface: 'eth1', version: '0.20.2' })
    expect(read('[--kube-subnet-mgr, --iface, eth2]')).toMatchObject({ ipMasq: false, iface: 'eth2' })
    expect(read('[-ip-masq=false, --kube-subnet-mgr]')).toMatchObject({ ipMasq: false })
    expect(build(N1 + configMap(NET_CONF) + daemonSet('[--kube-subnet-mgr, --public-ip=1.2.3.4]')).texts.join()).toContain('--public-ip is not modelled')
  })

  it('gives nodes without a podCIDR one, as the controller manager would, and says so', () => {
    const { cluster, texts } = build(
      N1 +
        node('n2', '192.168.10.12', 'spec: {podCIDR: 10.244.0.0/24}\n') +
        node('n3', '192.168.10.13') +
        configMap(NET_CONF) +
        pod('a', '{nodeName: n3}', '10.244.1.9'),
    )
    expect(cluster.nodes.map(({ podCIDR, podCIDRAssumed }) => [formatCidr(podCIDR as Cidr), podCIDRAssumed])).toEqual([
      ['10.244.2.0/24', true],
      ['10.244.0.0/24', false],
      ['10.244.1.0/24', true],
    ])
    expect(texts.filter((text) => text.includes('taken to be'))).toHaveLength(2)
  })

  it("assumes flannel's Network around the podCIDRs that are there, where nobody says it: k3s has no ConfigMap", () => {
    const of = (...podCIDRs: string[]): string => {
      const nodes = podCIDRs.map((podCIDR, at) => node(`n${at}`, `192.168.10.1${at}`, `spec: {podCIDR: ${podCIDR}}\n`))
      const { cluster } = build(`${nodes.join('')}---\napiVersion: netsim/v1\nkind: Network\nspec: {cni: flannel, datastore: kubernetes}\n`)
      return formatCidr(cluster.clusterCIDR as Cidr)
    }
    expect(of('10.42.0.0/24', '10.42.1.0/24')).toBe('10.42.0.0/16')
    expect(of('10.244.0.0/24', '10.244.7.0/24')).toBe('10.244.0.0/16')
    expect(of('10.42.0.0/24', '10.43.255.0/24')).toBe('10.42.0.0/15')
    expect(of('10.42.0.0/24', '172.16.0.0/24')).toBe('10.244.0.0/16')
  })

  it('assumes namespaces that something lives in', () => {
    const { cluster } = build(N1 + pod('a').replace('{name: a}', '{name: a, namespace: shop}'))
    expect(cluster.namespaces).toEqual([
      { name: 'default', labels: { 'kubernetes.io/metadata.name': 'default' } },
      { name: 'shop', labels: { 'kubernetes.io/metadata.name': 'shop' } },
    ])
  })

  it('keeps NetworkPolicies and says that flannel does not enforce them', () => {
    const policy = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec: {podSelector: {}}\n'
    const { cluster, texts } = build(node('n1', '192.168.10.11', 'spec: {podCIDR: 10.244.0.0/24}\n') + configMap(NET_CONF) + policy)
    expect(cluster.networkPolicies).toMatchObject([{ namespace: 'default', name: 'deny', file: 't.yaml', line: 14 }])
    expect(texts).toHaveLength(1)
    expect(texts[0]).toContain('t.yaml:14: warning: NetworkPolicy/default/deny: the NetworkPolicy has no effect: flannel does not enforce it')
  })
})

describe('the cluster', () => {
  it('finds by name and address, and lists the pods that IPAM has to serve in order', () => {
    const text =
      N1 +
      N2 +
      configMap(NET_CONF) +
      pod('b', '{nodeName: n1}') +
      pod('a', '{nodeName: n2}') +
      pod('c', '{nodeName: n2}', '10.244.1.7') +
      pod('h', '{nodeName: n2, hostNetwork: true}')
    const { cluster } = build(text)
    expect(cluster.addressRequests.map(({ name }) => name)).toEqual(['b', 'a'])
    expect(cluster.nodeByName.get('n2')?.address).toBe(ip('192.168.10.12'))
    expect(cluster.nodeByAddress.get(ip('192.168.10.11'))?.name).toBe('n1')
    expect(cluster.podByName.get('default/c')?.address).toBe(ip('10.244.1.7'))
    expect(cluster.podByName.get('default/h')?.address).toBe(ip('192.168.10.12'))
    expect(cluster.podsByAddress.has(ip('192.168.10.12'))).toBe(false)
    expect(cluster.clusterCIDR).toEqual(cidr(ip('10.244.0.0'), 16))
  })

  it('is frozen all the way down', () => {
    const { cluster } = build(
      N1 +
        configMap(NET_CONF) +
        pod('a', '{nodeName: n1, containers: [{ports: [{containerPort: 80}]}]}') +
        network('hosts: [{node: n1, iptables: ["-A INPUT -j DROP"]}]\npins: {macs: {n1/eth0: "0a:00:00:00:00:01"}}'),
    )
    const seen = new Set<unknown>()
    const thawed: string[] = []
    const walk = (value: unknown, path: string): void => {
      if (typeof value !== 'object' || value === null || seen.has(value)) return
      seen.add(value)
      if (!Object.isFrozen(value)) thawed.push(path)
      if (value instanceof Map) {
        expect(() => (value as Map<unknown, unknown>).set('x', 1)).toThrow(TypeError)
        for (const [key, item] of value) walk(item, `${path}.${String(key)}`)
      } else for (const [key, item] of Object.entries(value)) if (key !== 'lines') walk(item, `${path}.${key}`)
    }
    walk(cluster, 'cluster')
    expect(thawed).toEqual([])
    expect(seen.size).toBeGreaterThan(50)
  })

  it('is the same for the same text as YAML and as JSON documents between ---', () => {
    const yaml = N1 + N2 + pod('a', '{nodeName: n1}', '10.1.1.1')
    const json = ['n1', 'n2'].map((name, index) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address: `192.168.10.1${index + 1}` }] },
    }))
    const documents = [...json, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: { nodeName: 'n1' }, status: { podIP: '10.1.1.1' } }]
    const strip = (text: string): unknown => build(text).cluster.nodes.map(({ name, address, segment, mtu }) => ({ name, address, segment, mtu }))
    expect(strip(documents.map((document) => JSON.stringify(document)).join('\n---\n'))).toEqual(strip(yaml))
    expect(build(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: documents })).cluster.pods[0].address).toBe(ip('10.1.1.1'))
  })
})
