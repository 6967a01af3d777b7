import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { formatIp } from '../../src/base/ip.js'
import { felixEnvironment, felixSettingsOf } from '../../src/cluster/calico/read-felix-configuration.js'
import { parseAsNumber } from '../../src/cluster/calico/object-reader.js'
import { parseGoDuration, parseNet, parsePort, parseProtocol } from '../../src/cluster/calico/resource-reader.js'
import { calico, node, world } from '../calico/kit.js'

const RAW = { group: 'crd.projectcalico.org/v1' }

/** Nothing is wrong. */
function read(text: string) {
  const { resources, texts } = world(text)
  expect(texts).toEqual([])
  return resources
}

/** What is wrong, without the place. */
function faults(text: string): string[] {
  return world(text).texts.map((line) => line.split('\n')[0].replace(/^t\.yaml:\d+: /, ''))
}

describe('what Calico takes without a word', () => {
  it('a pool that has addresses of nodes', () => {
    const objects = node('n1', '192.168.10.11') + node('n2', '192.168.10.12') + calico('IPPool', 'p', '{cidr: 192.168.0.0/16}')
    expect(faults(objects)).toEqual(['warning: IPPool/p: 192.168.0.0/16 contains 192.168.10.11 of node n1 (and of 1 more)'])
    expect(faults(node('n1', '192.168.10.11') + calico('IPPool', 'p', '{cidr: 192.168.128.0/17}'))).toEqual([])
  })
})

describe('values that Calico writes as text or number', () => {
  it.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['fd00::1/64', 6],
    ['::/0', 6],
    ['10.0.0.0/33', undefined],
    ['192.168.0.0/55', undefined],
    ['::/129', undefined],
    ['x', undefined],
  ])('net %s', (text, expected) => {
    const net = parseNet(text)
    expect(net?.family === 4 ? formatCidr(net.cidr) : net?.family).toBe(expected)
  })

  it.each([
    [80, { from: 80, to: 80 }],
    ['80', { from: 80, to: 80 }],
    ['80:90', { from: 80, to: 90 }],
    ['90:80', undefined],
    [65536, undefined],
    ['http', { name: 'http' }],
    ['-', { name: '-' }],
    ['a b', undefined],
  ])('port %s', (value, expected) => {
    expect(parsePort(value)).toEqual(expected)
  })

  it.each([
    ['tcp', 'TCP'],
    ['icmpV6', 'ICMPv6'],
    [132, 132],
    ['17', 17],
    [256, undefined],
    ['ipip', undefined],
  ])('protocol %s', (value, expected) => {
    expect(parseProtocol(value)).toBe(expected)
  })

  it.each([
    [64512, 64512],
    ['64512', 64512],
    ['1.10', 65546],
    ['65536.1', undefined],
    [4294967296, undefined],
    [-1, undefined],
  ])('AS number %s', (value, expected) => {
    expect(parseAsNumber(value)).toBe(expected)
  })

  it.each([
    ['90s', 90],
    ['1m30s', 90],
    ['1.5h', 5400],
    ['0', 0],
    ['250ms', 0.25],
    ['90', undefined],
    ['s', undefined],
  ])('duration %s', (text, expected) => {
    expect(parseGoDuration(text)).toBe(expected)
  })
})

describe('IPPool', () => {
  it('has the defaults of Calico', () => {
    const [pool] = read(calico('IPPool', 'p', '{cidr: 192.168.0.0/16}')).ipPools
    expect(pool).toMatchObject({
      blockSize: 26,
      ipipMode: 'Never',
      vxlanMode: 'Never',
      natOutgoing: false,
      nodeSelector: 'all()',
      namespaceSelector: '',
      allowedUses: ['Workload', 'Tunnel'],
      assignmentMode: 'Automatic',
      file: 't.yaml',
      line: 1,
    })
  })

  it.each([
    ['{cidr: 10.0.0.1/24}', 'error: IPPool/p: 10.0.0.1/24 has bits set beyond /24'],
    ['{cidr: 10.0.0.0/24, blockSize: 19}', 'error: IPPool/p: blockSize 19 is not from 20 to 32'],
    ['{cidr: 10.0.0.0/28}', 'error: IPPool/p: the pool 10.0.0.0/28 is smaller than one of its blocks (/26)'],
    ['{cidr: 10.0.0.0/24, ipipMode: Always, vxlanMode: Always}', 'error: IPPool/p: ipipMode and vxlanMode are both on'],
    ['{cidr: 10.0.0.0/24, ipipMode: always}', 'error: IPPool/p: spec.ipipMode is "always", not Never or Always or CrossSubnet'],
    ['{cidr: "fd00::/48"}', 'warning: IPPool/p: fd00::/48 is IPv6: left out'],
    ['{cidr: 10.0.0.0/24, nodeSelector: "zone = 1"}', 'error: IPPool/p: nodeSelector "zone = 1": an operator is due after the label zone (character 6)'],
    ['{cidr: 10.0.0.0/24, natOutgoin: true}', 'warning: IPPool/p: unknown field spec.natOutgoin'],
  ])('%s', (spec, fault) => {
    expect(faults(calico('IPPool', 'p', spec))[0]).toContain(fault)
  })

  it('does not overlap another', () => {
    expect(faults(calico('IPPool', 'a', '{cidr: 10.0.0.0/16}') + calico('IPPool', 'b', '{cidr: 10.0.64.0/18}'))).toEqual([
      'error: IPPool/b: 10.0.64.0/18 overlaps 10.0.0.0/16 of IPPool a',
    ])
  })

  it('goes by name, whatever the order of the input', () => {
    const names = read(['c', 'a', 'b'].map((name, i) => calico('IPPool', name, `{cidr: 10.${i}.0.0/16}`)).join('')).ipPools.map(({ name }) => name)
    expect(names).toEqual(['a', 'b', 'c'])
  })
})

describe('both groups', () => {
  it('labels and name of a raw resource stand in its annotation', () => {
    const annotation = `'{"name":"allow","labels":{"role":"db"},"annotations":{"a":"b"}}'`
    const text = calico('GlobalNetworkPolicy', 'default.allow', '{types: [Ingress]}', {
      ...RAW,
      metadata: `, annotations: {projectcalico.org/metadata: ${annotation}}`,
    })
    expect(read(text).policies[0]).toMatchObject({ name: 'allow', labels: { role: 'db' }, annotations: { a: 'b' } })
    const set = calico('GlobalNetworkSet', 'bad-ones', '{nets: [10.0.0.0/8]}', {
      ...RAW,
      metadata: `, annotations: {projectcalico.org/metadata: '{"labels":{"role":"db"}}'}`,
    })
    expect(read(set).globalNetworkSets[0]).toMatchObject({ name: 'bad-ones', labels: { role: 'db' } })
    expect(read(calico('GlobalNetworkPolicy', 'default.allow', '{}', RAW)).policies[0].name).toBe('allow')
    expect(read(calico('GlobalNetworkPolicy', 'default.allow', '{}')).policies[0].name).toBe('default.allow')
  })

  it('the API fills types in, a raw policy without them is for both directions', () => {
    const types = (spec: string, options = {}): readonly string[] => read(calico('GlobalNetworkPolicy', 'p', spec, options)).policies[0].types
    expect(types('{}')).toEqual(['ingress'])
    expect(types('{egress: [{action: Allow}]}')).toEqual(['egress'])
    expect(types('{ingress: [{action: Allow}], egress: [{action: Allow}]}')).toEqual(['ingress', 'egress'])
    expect(types('{types: [Egress, Ingress]}')).toEqual(['ingress', 'egress'])
    expect(types('{}', RAW)).toEqual(['ingress', 'egress'])
  })

  it('the API wins where both are in the input', () => {
    const both = calico('IPPool', 'p', '{cidr: 10.0.0.0/16}', RAW) + calico('IPPool', 'p', '{cidr: 10.0.0.0/16, natOutgoing: true}')
    expect(read(both).ipPools).toMatchObject([{ natOutgoing: true }])
  })

  it('a kind that Calico does not have is named, kinds that play no part are let through', () => {
    expect(faults(calico('IPPol', 'p', '{}'))).toEqual(['error: IPPol/p: Calico has no kind IPPol'])
    expect(faults(calico('ClusterInformation', 'default', '{}'))).toEqual([])
  })
})

const RULE = `{order: 10, tier: security, selector: role == 'db', types: [Ingress, Egress], ingress: [
  {action: Allow, protocol: tcp, source: {selector: role == 'web', namespaceSelector: all(), nets: [10.1.2.3/8]},
   destination: {ports: [80, "443:445", http]}, metadata: {annotations: {why: because}}},
  {action: Deny, protocol: ICMP, icmp: {type: 8, code: 0}, source: {serviceAccounts: {names: [robot], selector: a == 'b'}}},
  {action: Log}], egress: [{action: Pass, destination: {services: {name: dns, namespace: kube-system}}}]}`

describe('policies', () => {
  it('with a net that is none are refused at its line', () => {
    const { resources, texts } = world(calico('NetworkPolicy', 'db', RULE.replace('10.1.2.3/8', '10.1.2.3/8, junk'), { metadata: ', namespace: prod' }))
    expect(texts).toEqual([expect.stringMatching(/^t\.yaml:5: error: NetworkPolicy\/prod\/db: "junk" is no prefix/)])
    expect(resources.policies).toEqual([])
  })

  it('are read whole, each rule with its line', () => {
    const { resources, texts } = world(calico('NetworkPolicy', 'db', RULE, { metadata: ', namespace: prod' }))
    expect(texts).toEqual([])
    const [policy] = resources.policies
    expect(policy).toMatchObject({
      kind: 'NetworkPolicy',
      namespace: 'prod',
      tier: 'security',
      order: 10,
      types: ['ingress', 'egress'],
      staged: false,
      applyOnForward: false,
    })
    expect(policy.ingress.map(({ line, action }) => [line, action])).toEqual([
      [5, 'Allow'],
      [7, 'Deny'],
      [8, 'Log'],
    ])
    expect(policy.ingress[0]).toMatchObject({
      protocol: 'TCP',
      source: { selector: "role == 'web'", namespaceSelector: 'all()', nets: [{ family: 4, text: '10.1.2.3/8' }] },
      destination: { ports: [{ from: 80, to: 80 }, { from: 443, to: 445 }, { name: 'http' }], nets: [] },
      annotations: { why: 'because' },
    })
    expect(policy.ingress[1]).toMatchObject({ icmp: { type: 8, code: 0 }, source: { serviceAccounts: { names: ['robot'], selector: "a == 'b'" } } })
    expect(policy.egress[0].destination.services).toEqual({ name: 'dns', namespace: 'kube-system' })
  })

  it('doNotTrack and preDNAT imply applyOnForward', () => {
    const text = calico('GlobalNetworkPolicy', 'a', '{doNotTrack: true}') + calico('GlobalNetworkPolicy', 'b', '{preDNAT: true, order: 0.5}')
    expect(read(text).policies.map(({ applyOnForward, order }) => [applyOnForward, order])).toEqual([
      [true, Infinity],
      [true, 0.5],
    ])
  })

  it.each([
    ['{doNotTrack: true, preDNAT: true}', 'doNotTrack and preDNAT exclude one another'],
    ['{preDNAT: true, egress: [{action: Allow}]}', 'a preDNAT policy has no egress rules'],
    ['{doNotTrack: true, applyOnForward: false}', 'doNotTrack needs applyOnForward'],
    ['{ingress: [{action: Allow, destination: {ports: [80]}}]}', 'ports without a protocol that has ports'],
    ['{ingress: [{action: Allow, protocol: ICMP, destination: {ports: [80]}}]}', 'ports without a protocol that has ports'],
    ['{ingress: [{action: Allow, icmp: {type: 8}}]}', 'icmp without protocol ICMP or ICMPv6'],
    ['{ingress: [{action: Allow, protocol: ICMP, icmp: {code: 1}}]}', 'an ICMP code without its type'],
    ['{ingress: [{action: Allow, protocol: ICMP, icmp: {type: 256}}]}', '256 is no ICMP type'],
    ['{ingress: [{action: Allow, ipVersion: 4, protocol: ICMPv6}]}', 'ICMPv6 in a rule of IPv4'],
    ['{ingress: [{action: Allow, source: {nets: [10.0.0.0/8, "fd00::/8"]}}]}', 'nets of both IP versions'],
    ['{ingress: [{action: Allow, destination: {services: {name: a, namespace: x}}}]}', 'services of the destination in an ingress rule'],
    ['{egress: [{action: Allow, destination: {services: {name: a, namespace: x}, selector: all()}}]}', 'services beside a selector, nets or serviceAccounts'],
    ['{ingress: [{action: Deny, http: {methods: [GET]}}]}', 'http with an action that is not Allow'],
    ['{ingress: [{action: allow}]}', 'spec.ingress[0].action is "allow", not Allow or Deny or Log or Pass'],
    ['{ingress: [{action: Allow, protocol: tpc}]}', '"tpc" is no protocol'],
    ['{ingress: [{action: Allow, protocol: TCP, destination: {ports: ["a b"]}}]}', '"a b" is no port'],
    ['{selector: "a == b"}', 'selector "a == b": a text in quotes is due (character 6)'],
  ])('%s is refused', (spec, what) => {
    expect(faults(calico('GlobalNetworkPolicy', 'p', spec))[0]).toContain(`error: GlobalNetworkPolicy/p: ${what}`)
  })

  it('named ports go without a protocol', () => {
    expect(faults(calico('GlobalNetworkPolicy', 'p', '{ingress: [{action: Allow, destination: {ports: [http]}}]}'))).toEqual([])
  })

  it('staged ones, tiers, profiles and sets', () => {
    const { resources: found, texts } = world(
      calico('StagedGlobalNetworkPolicy', 's', '{ingress: [{action: Deny}]}') +
        calico('StagedGlobalNetworkPolicy', 'gone', '{stagedAction: Delete}') +
        calico('StagedKubernetesNetworkPolicy', 'k', '{podSelector: {}}', { metadata: ', namespace: x' }) +
        calico('Tier', 'first', '{order: 5, defaultAction: Pass}') +
        calico('Tier', 'second', '{}') +
        calico('Tier', 'third', '{}', RAW) +
        calico('Profile', 'web', '{ingress: [{action: Allow}], labelsToApply: {web: "1"}}') +
        calico('NetworkSet', 'set', '{nets: [10.0.0.0/8]}', { metadata: ', namespace: x, labels: {a: b}' }),
    )
    expect(texts.map((text) => text.split('\n')[0])).toEqual([
      't.yaml:1: warning: StagedGlobalNetworkPolicy/s, StagedGlobalNetworkPolicy/gone, StagedKubernetesNetworkPolicy/x/k: staged, play no part in packet paths',
    ])
    // one that is staged to be deleted never comes to Felix
    expect(found.policies).toMatchObject([{ staged: true, kind: 'StagedGlobalNetworkPolicy', tier: 'default' }])
    expect(found.kubernetesPolicies).toMatchObject([{ staged: true, name: 'k', namespace: 'x' }])
    expect(found.tiers.map(({ name, order, defaultAction }) => [name, order, defaultAction])).toEqual([
      ['first', 5, 'Pass'],
      ['second', 1_000_000, 'Deny'],
      ['third', Infinity, 'Deny'],
    ])
    expect(found.profiles).toMatchObject([{ name: 'web', labelsToApply: { web: '1' } }])
    expect(found.networkSets).toMatchObject([{ namespace: 'x', labels: { a: 'b' } }])
  })

  it("Kubernetes' own keep what they say, wrong or not", () => {
    const text = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: prod}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
    - from:
        - podSelector: {}
          namespaceSelector: {matchExpressions: [{key: a, operator: Exists}]}
        - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
      ports: [{port: 80, endPort: 90}, {protocol: UDP, port: dns}]
    -
`
    const [policy] = read(text).kubernetesPolicies
    expect(policy).toMatchObject({ name: 'web', namespace: 'prod', policyTypes: [], egress: [] })
    expect(policy.ingress[0]).toEqual({
      peers: [
        { podSelector: {}, namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'Exists', values: [] }] } },
        { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } },
      ],
      ports: [
        { port: 80, endPort: 90 },
        { protocol: 'UDP', port: 'dns' },
      ],
      file: 't.yaml',
      line: 7,
    })
    expect(policy.ingress[1]).toMatchObject({ peers: [], ports: [] })
  })
})

describe('BGP', () => {
  it('peers', () => {
    const found = read(
      calico('BGPPeer', 'rr', `{nodeSelector: all(), peerSelector: route-reflector == 'true'}`) +
        calico(
          'BGPPeer',
          'tor',
          '{peerIP: "192.168.1.1:1179", asNumber: "64513", sourceAddress: None, maxRestartTime: 90s, ' +
            'password: {secretKeyRef: {name: s, key: k}}, ttlSecurity: 1, filters: [f]}',
        ),
    )
    expect(found.bgpPeers[0]).toMatchObject({ nodeSelector: 'all()', peerSelector: "route-reflector == 'true'", sourceAddress: 'UseNodeIP', filters: [] })
    expect(found.bgpPeers[0]).not.toHaveProperty('peerIP')
    expect(found.bgpPeers[1]).toMatchObject({
      peerPort: 1179,
      asNumber: 64513,
      sourceAddress: 'None',
      maxRestartTime: 90,
      password: { name: 's', key: 'k', optional: false },
      ttlSecurity: 1,
      filters: ['f'],
    })
    expect(formatIp(found.bgpPeers[1].peerIP ?? 0)).toBe('192.168.1.1')
  })

  it.each([
    ['{node: a, nodeSelector: all(), peerIP: 1.2.3.4}', 'node and nodeSelector exclude one another'],
    ['{peerIP: 1.2.3.4, peerSelector: all()}', 'peerIP and peerSelector exclude one another'],
    ['{peerSelector: all(), asNumber: 1}', 'asNumber and peerSelector exclude one another'],
    ['{}', 'neither peerIP nor peerSelector: there is no peer'],
    ['{peerIP: "1.2.3.4:99999"}', '"1.2.3.4:99999": no port from 1 to 65535'],
    ['{peerIP: nonsense}', 'peerIP "nonsense" is no IPv4 address'],
  ])('%s is refused', (spec, what) => {
    expect(faults(calico('BGPPeer', 'p', spec))[0]).toContain(`error: BGPPeer/p: ${what}`)
  })

  it('configuration and filters', () => {
    const found = read(
      calico(
        'BGPConfiguration',
        'default',
        '{nodeToNodeMeshEnabled: false, asNumber: 64999, serviceClusterIPs: [{cidr: 10.96.0.0/12}], listenPort: 0, nodeMeshMaxRestartTime: 2m}',
      ) +
        calico(
          'BGPFilter',
          'f',
          '{exportV4: [{action: Reject, cidr: 10.0.0.0/8, matchOperator: In, prefixLength: {min: 24, max: 26}}, ' +
            '{action: Accept, operations: [{setPriority: {value: 512}}]}]}',
        ),
    )
    expect(found.bgpConfigurations[0]).toMatchObject({
      nodeToNodeMeshEnabled: false,
      asNumber: 64999,
      nodeMeshMaxRestartTime: 120,
      serviceClusterIPs: [{ text: '10.96.0.0/12' }],
    })
    expect(found.bgpConfigurations[0]).not.toHaveProperty('listenPort')
    expect(found.bgpFilters[0].exportV4).toMatchObject([
      { action: 'Reject', matchOperator: 'In', prefixLength: { min: 24, max: 26 }, operations: [] },
      { action: 'Accept', operations: [{ kind: 'setPriority', value: 512 }] },
    ])
  })
})

describe('nodes', () => {
  it('have what the annotations say, over it what their own resource says, and else the address of the card', () => {
    const found = read(
      node('n1', '10.0.0.1') +
        node(
          'n2',
          '10.0.0.2',
          ', annotations: {projectcalico.org/IPv4Address: 10.0.0.2/16, projectcalico.org/ASNumber: "64600", ' +
            'projectcalico.org/RouteReflectorClusterID: 224.0.0.1, projectcalico.org/IPv4VXLANTunnelAddr: 10.1.0.1}',
        ) +
        node('n3', '10.0.0.3', ', annotations: {projectcalico.org/IPv4Address: 10.0.0.3/16}') +
        calico('Node', 'n3', '{bgp: {ipv4Address: 10.0.0.33, asNumber: 64700, ipv4IPIPTunnelAddr: 10.1.0.2}}'),
    ).nodes
    expect(
      found.map(({ bgpAddress, bgpAddressAssumed }) => [
        bgpAddress === undefined ? '' : `${formatIp(bgpAddress.address)}/${bgpAddress.length}`,
        bgpAddressAssumed,
      ]),
    ).toEqual([
      ['10.0.0.1/16', true],
      ['10.0.0.2/16', false],
      ['10.0.0.33/32', false],
    ])
    expect(found[1]).toMatchObject({ asNumber: 64600, routeReflectorClusterID: '224.0.0.1' })
    expect(formatIp(found[1].vxlanTunnelAddress ?? 0)).toBe('10.1.0.1')
    expect(found[2]).toMatchObject({ asNumber: 64700 })
    expect(formatIp(found[2].ipipTunnelAddress ?? 0)).toBe('10.1.0.2')
  })

  it('have no address where calico-node is told not to look for one', () => {
    expect(world(node('n1', '10.0.0.1'), { findsAddress: false }).resources.nodes[0]).not.toHaveProperty('bgpAddress')
  })
})

describe('endpoints', () => {
  it('of hosts', () => {
    const [endpoint] = read(
      calico(
        'HostEndpoint',
        'h',
        '{node: n1, interfaceName: "*", expectedIPs: [10.0.0.1, "fd00::1"], profiles: [p], ports: [{name: web, protocol: TCP, port: 80}]}',
        { metadata: ', labels: {a: b}' },
      ),
    ).hostEndpoints
    expect(endpoint).toMatchObject({ node: 'n1', interfaceName: '*', profiles: ['p'], labels: { a: 'b' }, ports: [{ name: 'web', protocol: 'TCP', port: 80 }] })
    expect(endpoint.expectedIPs.map(formatIp)).toEqual(['10.0.0.1'])
    expect(faults(calico('HostEndpoint', 'h', '{node: n1}'))).toEqual(['error: HostEndpoint/h: neither interfaceName nor expectedIPs'])
  })

  it('of workloads', () => {
    const [endpoint] = read(
      calico(
        'WorkloadEndpoint',
        'n1-k8s-web-eth0',
        '{node: n1, orchestrator: k8s, pod: web, endpoint: eth0, interfaceName: cali1, ipNetworks: [10.1.0.1/32], mac: "ee:ee:ee:ee:ee:ee", profiles: [kns.x]}',
        { metadata: ', namespace: x' },
      ),
    ).workloadEndpoints
    expect(endpoint).toMatchObject({ namespace: 'x', node: 'n1', pod: 'web', interfaceName: 'cali1', mac: 0xeeeeeeeeeeee, profiles: ['kns.x'] })
    expect(endpoint.ipNetworks.map(formatCidr)).toEqual(['10.1.0.1/32'])
  })
})

describe('IPAM of a dump', () => {
  it.each([
    ['{cidr: 10.0.0.0/30, allocations: [null, null], unallocated: [0, 1]}', '2 allocations in a block of 4 addresses'],
    ['{cidr: 10.0.0.0/31, allocations: [0, null], unallocated: [1]}', 'names attribute 0, which is not there'],
    ['{cidr: 10.0.0.0/31, allocations: [null, null], unallocated: [0, 0]}', '0 is no free ordinal of the block, or stands twice'],
    ['{cidr: 10.0.0.0/31, allocations: [null, null], unallocated: [5]}', '5 is no free ordinal of the block, or stands twice'],
  ])('%s is refused', (spec, what) => {
    expect(faults(calico('IPAMBlock', 'b', spec, RAW))).toEqual([`error: IPAMBlock/b: ${what}`])
  })

  it('what is being deleted is gone', () => {
    const found = read(
      calico('BlockAffinity', 'a', '{cidr: 10.0.0.0/26, node: n1, state: pendingDeletion, deleted: "true"}', RAW) +
        calico('BlockAffinity', 'b', '{cidr: 10.0.0.64/26, node: n1, state: "", deleted: "false"}', RAW) +
        calico('IPAMConfig', 'default', '{strictAffinity: true, autoAllocateBlocks: true, maxBlocksPerHost: 4}', RAW),
    )
    expect(found.blockAffinities).toMatchObject([{ name: 'b', state: 'confirmed', type: 'host' }])
    expect(found.ipamConfig).toEqual({ strictAffinity: true, autoAllocateBlocks: true, maxBlocksPerHost: 4 })
    expect(read('').ipamConfig).toEqual({ strictAffinity: false, autoAllocateBlocks: true, maxBlocksPerHost: 0 })
    expect(faults(calico('IPAMConfig', 'default', '{strictAffinity: false, autoAllocateBlocks: true, maxBlocksPerHost: 4}', RAW))).toEqual([
      'error: IPAMConfig/default: maxBlocksPerHost without strictAffinity: Calico refuses that',
    ])
  })
})

describe('Felix', () => {
  it("goes by its environment, over the node's object, over the cluster's", () => {
    const { felixConfigurations } = read(
      calico(
        'FelixConfiguration',
        'default',
        '{ipipMTU: 1400, logPrefix: a, defaultEndpointToHostAction: Return, failsafeInboundHostPorts: [{protocol: tcp, port: 22, net: 10.0.0.0/8}]}',
      ) + calico('FelixConfiguration', 'node.n1', '{logPrefix: b, wireguardKeepAlive: 25s, natPortRange: "32768:65535"}'),
    )
    const environment = felixEnvironment([
      { name: 'FELIX_IPINIPMTU', value: '1420' },
      { name: 'FELIX_DEFAULTENDPOINTTOHOSTACTION', value: 'ACCEPT' },
      { name: 'FELIX_IPV6SUPPORT', value: 'false' },
      { name: 'FELIX_FAILSAFEOUTBOUNDHOSTPORTS', value: 'udp:53,tcp:10.0.0.0/8:179,443' },
      { name: 'FELIX_LOGSEVERITYSCREEN', value: 'info' },
      { name: 'IP', value: 'autodetect' },
    ])
    expect(felixSettingsOf(felixConfigurations, 'n1', environment)).toMatchObject({
      ipipMTU: 1420,
      logPrefix: 'b',
      defaultEndpointToHostAction: 'ACCEPT',
      ipv6Support: false,
      wireguardKeepAlive: 25,
      natPortRange: { from: 32768, to: 65535 },
      failsafeInboundHostPorts: [{ protocol: 'tcp', port: 22, net: { text: '10.0.0.0/8' } }],
      failsafeOutboundHostPorts: [
        { protocol: 'udp', port: 53 },
        { protocol: 'tcp', port: 179, net: { text: '10.0.0.0/8' } },
        { protocol: 'tcp', port: 443 },
      ],
    })
    expect(felixSettingsOf(felixConfigurations, 'n2', {})).toMatchObject({ ipipMTU: 1400, logPrefix: 'a', defaultEndpointToHostAction: 'RETURN' })
    expect(felixEnvironment([{ name: 'FELIX_FAILSAFEINBOUNDHOSTPORTS', value: 'none' }])).toEqual({ failsafeInboundHostPorts: [] })
  })

  it('says what it does not understand', () => {
    expect(faults(calico('FelixConfiguration', 'default', '{chainInsertMode: sometimes, ipipMTU: big, bpfLogLevel: Off}'))).toEqual([
      'error: FelixConfiguration/default: chainInsertMode is "sometimes"',
      'error: FelixConfiguration/default: ipipMTU is "big"',
    ])
  })

  it('suggests the field that was meant, and leaves those that are others alone', () => {
    const written = '{ipipMtu: 1400, defaultEndpointToHostActon: Accept, vxlanMTUV6: 1400, ipv6NormalRoutePriority: 7, reportingInterval: 0s, wireguard: true}'
    expect(world(calico('FelixConfiguration', 'default', written)).problems.map(({ severity, what, fix }) => [severity, what, fix])).toEqual([
      ['warning', 'unknown field spec.ipipMtu', 'Did you mean ipipMTU? As it stands the field says nothing.'],
      ['warning', 'unknown field spec.defaultEndpointToHostActon', 'Did you mean defaultEndpointToHostAction? As it stands the field says nothing.'],
    ])
  })

  it('names what netsim does not follow and what a kernel refuses, each at its line', () => {
    const text = `apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec:
  bpfEnabled: true
  nftablesMode: Enabled
  iptablesFilterDenyAction: Reject
`
    const list = world(text).problems
    expect(list.map(({ line, what }) => `${line}: ${what}`)).toEqual([
      '5: bpfEnabled is not modelled',
      '6: nftablesMode is not modelled',
      expect.stringMatching(/^7: iptablesFilterDenyAction Reject: .* raw /),
    ])
  })

  it('an expression that cannot be read is named, and the default is taken', () => {
    const written = calico('FelixConfiguration', 'default', "{mtuIfacePattern: '^(eth', interfaceExclude: 'kube-ipvs0,/veth(/'}")
    expect(faults(written)).toEqual([
      'warning: FelixConfiguration/default: mtuIfacePattern is "^(eth", which netsim cannot read: Felix\'s default is taken',
      'warning: FelixConfiguration/default: interfaceExclude is "kube-ipvs0,/veth(/", which netsim cannot read: Felix\'s default is taken',
    ])
    expect(world(written).resources.felixConfigurations[0].settings).toEqual({})
    expect(faults(calico('FelixConfiguration', 'default', "{mtuIfacePattern: '^eth', interfaceExclude: 'kube-ipvs0,/^veth.*$/'}"))).toEqual([])
  })

  it('what iptables or the kernel would not take is an error too', () => {
    const wrong = [
      'vxlanPort: 99999',
      'vxlanVNI: 16777216',
      'wireguardListeningPort: -1',
      `logPrefix: 'a"b'`,
      'logActionRateLimit: often',
      'interfacePrefix: calico',
      'wireguardInterfaceName: wireguard.calico0',
      'iptablesNATOutgoingInterfaceFilter: wireguard.calico0',
    ]
    for (const setting of wrong) {
      const [name] = setting.split(':')
      expect(faults(calico('FelixConfiguration', 'default', `{${setting}}`))[0]).toMatch(new RegExp(`^error: FelixConfiguration/default: ${name} is `))
    }
    expect(
      faults(calico('FelixConfiguration', 'default', '{vxlanPort: 65535, vxlanVNI: 16777215, interfacePrefix: "tap,cali", logActionRateLimit: 10/minute}')),
    ).toEqual([])
  })
})

describe('whatever is written', () => {
  const kinds = [
    'IPPool',
    'IPAMBlock',
    'BlockAffinity',
    'BGPPeer',
    'BGPFilter',
    'BGPConfiguration',
    'GlobalNetworkPolicy',
    'FelixConfiguration',
    'HostEndpoint',
    'Node',
    'Tier',
  ]
  const keys = [
    'cidr',
    'blockSize',
    'allocations',
    'unallocated',
    'peerIP',
    'ingress',
    'egress',
    'selector',
    'nets',
    'node',
    'exportV4',
    'order',
    'bgp',
    'action',
    'source',
    'ports',
  ]

  it('the readers never throw', () => {
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom<unknown>(null, true, 0, -1, 80, 'x', '10.0.0.0/8', "a == 'b'", 'Allow'),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 4 }),
      ),
    }))
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 6 }), fc.boolean(), (kind, spec, raw) => {
        const found = world(calico(kind, 'x', JSON.stringify(spec), raw ? RAW : {}))
        expect(found.resources.ipPools.length).toBeLessThanOrEqual(1)
      }),
      { numRuns: 150 },
    )
  })
})
