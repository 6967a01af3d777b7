/** The classic Calico model read: calicoctl's v1 resources, texts of rules, keys of etcd; and written as keys again. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatProblem } from '../../src/base/problem.js'
import { Prng } from '../../src/base/prng.js'
import { classicEtcdTree } from '../../src/cluster/calico/classic-etcd-tree.js'
import {
  EMPTY_CLASSIC,
  type ClassicMatch,
  type ClassicModel,
  type ClassicPort,
  type ClassicRule,
  type ClassicSide,
} from '../../src/cluster/calico/classic-model.js'
import { classicRuleJson, readClassicRules } from '../../src/cluster/calico/classic-rule-json.js'
import { isTextFault, parseClassicListing, parseClassicRule } from '../../src/cluster/calico/classic-rule-text.js'
import { readClassic } from '../../src/cluster/calico/read-classic.js'
import { buildCluster } from '../../src/cluster/cluster.js'
import { ProblemList } from '../../src/cluster/problem-list.js'
import { classic, entries } from '../calico/classic/kit.js'
import { formatClassicListing, formatClassicRule } from './classic-rule-print.js'
import { build } from './support.js'

const PLACE = { file: 'rules', line: 1 }

/** The JSON of a rule's text. */
function json(text: string): unknown {
  const rule = parseClassicRule(text, PLACE)
  return isTextFault(rule) ? rule.what : classicRuleJson(rule)
}

/** The rule of a text, written anew. */
function rewritten(text: string): unknown {
  const rule = parseClassicRule(text, PLACE)
  return isTextFault(rule) ? rule : formatClassicRule(rule)
}

describe('texts of rules', () => {
  it.each([
    ['allow', { action: 'allow' }],
    ['allow from tag WEB', { action: 'allow', src_tag: 'WEB' }],
    ['allow tcp to ports 80,443', { action: 'allow', protocol: 'tcp', dst_ports: [80, 443] }],
    ['allow icmp type 8', { action: 'allow', protocol: 'icmp', icmp_type: 8 }],
    ['deny from cidr 10.0.0.0/8', { action: 'deny', src_net: '10.0.0.0/8' }],
    [
      'allow udp from ports 1,2:3 tag A cidr 10.0.0.0/8 to ports 53 tag B cidr 10.1.0.0/16',
      { action: 'allow', protocol: 'udp', src_tag: 'A', src_net: '10.0.0.0/8', src_ports: [1, '2:3'], dst_tag: 'B', dst_net: '10.1.0.0/16', dst_ports: [53] },
    ],
    ['deny icmp type 3 code 4 from tag X', { action: 'deny', protocol: 'icmp', icmp_type: 3, icmp_code: 4, src_tag: 'X' }],
    // what libcalico-go's String adds
    [
      'next-tier !udp from selector "a == \'b\'" !tag C !cidr 10.0.0.0/8',
      { action: 'next-tier', '!protocol': 'udp', src_selector: "a == 'b'", '!src_tag': 'C', '!src_net': '10.0.0.0/8' },
    ],
  ])('%s', (text, expected) => {
    expect(json(text)).toEqual(expected)
    expect(rewritten(text)).toBe(text)
  })

  it.each([
    // a range with a dash, and an action by its other name, are calicoctl's to take
    ['allow tcp to ports 1000-2000', 'allow tcp to ports 1000:2000'],
    ['pass', 'next-tier'],
    ['  allow   tcp  from  cidr 10.0.0.1 ', 'allow tcp from cidr 10.0.0.1/32'],
  ])('%s is the same as %s', (text, expected) => {
    expect(rewritten(text)).toBe(expected)
  })

  it.each([
    ['', '"" is no action'],
    ['alow', '"alow" is no action'],
    ['allow from', '"nothing" after from'],
    ['allow from 192.168.0.0/16', '"192.168.0.0/16" after from'],
    ['allow tcp to ports 80,', '"80," is no list of ports'],
    ['allow tcp to ports 80:80', '"80:80" is no list of ports'],
    ['allow tcp to ports 70000', '"70000" is no list of ports'],
    ['allow icmp code 4', 'a code without a type'],
    ['allow icmp type 256', '"256" is no ICMP type or code'],
    ['allow from tag WEB tag DB', 'tag is said twice'],
    ['allow from tag W/B', '"W/B" is no tag'],
    ['allow to cidr 10.0.0.0/33', '"10.0.0.0/33" is no prefix'],
    ['allow from tag WEB now', 'unexpected "now"'],
    ['allow from selector a', 'the selector "a" has no quotes'],
    ['allow from selector "a ==', 'a quote without its end in "allow from selector \\"a =="'],
    ['allow from selector "a contains \'b\'"', 'selector "a contains \'b\'": contains is not known to Felix 1.4'],
  ])('%s: %s', (text, fault) => {
    expect(json(text)).toBe(fault)
  })

  it('hints at what was meant', () => {
    const fixOf = (text: string): string => {
      const rule = parseClassicRule(text, PLACE)
      return isTextFault(rule) ? rule.fix : 'none'
    }
    expect(fixOf('allow from 192.168.0.0/16')).toBe('Write cidr 192.168.0.0/16.')
    expect(fixOf('alow')).toBe('Did you mean allow?')
    expect(fixOf('allow from tga WEB')).toBe('Did you mean tag?')
  })

  const LISTING = 'Inbound rules:\n   1 allow from tag WEB\n   2 allow tcp to ports 80,443\nOutbound rules:\n   1 allow\n'

  it('the listing of calicoctl profile show, both ways', () => {
    const { rules, faults } = parseClassicListing(LISTING, (line) => ({ file: 'p', line }))
    expect(faults).toEqual([])
    expect([...rules.inbound, ...rules.outbound].map(({ line }) => line)).toEqual([2, 3, 5])
    expect(formatClassicListing(rules)).toBe(LISTING)
    // as a guide prints it, without the blanks
    expect(formatClassicListing(parseClassicListing(LISTING.replaceAll('   ', ''), () => PLACE).rules)).toBe(LISTING)
  })

  it('a listing that is wrong says where', () => {
    const { faults } = parseClassicListing('1 allow\nInbound rules:\n 2 allow\n 2 alow\nallow\n', () => PLACE)
    expect(faults.map(({ line, what }) => `${line}: ${what}`)).toEqual([
      '1: "1 allow" before "Inbound rules:"',
      '3: rule 2 where rule 1 is due',
      '4: "alow" is no action',
      '5: "allow" is no rule',
    ])
  })
})

const id = fc.stringMatching(/^[A-Za-z0-9_.-]{1,12}$/)
const port = fc.tuple(fc.integer({ min: 0, max: 65535 }), fc.integer({ min: 0, max: 65535 })).map((two): ClassicPort => {
  const [first, last] = two.sort((a, b) => a - b)
  return [first, last]
})
const net = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([address, length]) => `${address}/${length}`)
const selector = fc.constantFrom("a == 'b'", 'has(x)', "!(a in {'b', 'c'}) && d != \"e\"", 'all()')
const side: fc.Arbitrary<ClassicSide> = fc.record(
  {
    tag: id,
    net: fc.oneof(
      net,
      fc.ipV6().map((address) => `${address}/64`),
    ),
    selector,
    ports: fc.array(port, { maxLength: 4 }),
  },
  { requiredKeys: ['ports'] },
)
const match = (protocol: fc.Arbitrary<string>): fc.Arbitrary<ClassicMatch> =>
  fc
    .tuple(
      fc.record({ protocol, source: side, destination: side }, { requiredKeys: ['source', 'destination'] }),
      fc.record({ icmpType: fc.nat(255), icmpCode: fc.nat(255) }, { requiredKeys: [] }),
    )
    .map(([one, icmp]) => ({ ...one, ...(icmp.icmpType === undefined ? {} : icmp) }))
const rule: fc.Arbitrary<ClassicRule> = fc
  .tuple(fc.constantFrom('allow', 'deny', 'next-tier', 'log'), match(fc.constantFrom('tcp', 'udp')), match(fc.constantFrom('icmp', '6')))
  .map(([action, positive, not]) => ({ action, match: { protocol: 'tcp', ...positive }, not, ...PLACE }))

describe('any rule', () => {
  it('text → rule → text', () => {
    fc.assert(
      fc.property(rule, (one) => {
        expect(parseClassicRule(formatClassicRule(one), PLACE)).toEqual(one)
      }),
      { numRuns: 500 },
    )
  })

  it('JSON → rule → JSON', () => {
    fc.assert(
      fc.property(rule, (one) => {
        const faults: string[] = []
        const read = readClassicRules({ inbound_rules: [classicRuleJson(one)] }, PLACE, (what) => void faults.push(what))
        expect(faults).toEqual([])
        expect(read?.inbound).toEqual([one])
      }),
      { numRuns: 500 },
    )
  })

  it('no text is too odd to be refused', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.constantFrom('allow', 'tcp', 'from', 'to', 'tag', 'ports', '80', '!', '"', 'cidr', '::', '\\')).map((words) => words.join(' ')),
        ),
        (text) => {
          const read = parseClassicRule(text, PLACE)
          if (!isTextFault(read)) expect(parseClassicRule(formatClassicRule(read), PLACE)).toEqual(read)
        },
      ),
      { numRuns: 1000 },
    )
  })
})

const RESOURCES = `
- apiVersion: v1
  kind: ipPool
  metadata: {cidr: 10.65.0.0/16}
  spec: {ipip: {enabled: true, mode: cross-subnet}, nat-outgoing: true}
- apiVersion: v1
  kind: profile
  metadata: {name: WEB, tags: [WEB, FRONT], labels: {tier: front}}
  spec:
    ingress:
      - {action: allow, protocol: tcp, source: {tag: WEB, notNet: 10.0.0.0/8}, destination: {ports: [80, "8000:8080"]}}
      - {action: pass}
    egress: [{action: allow}]
- apiVersion: v1
  kind: policy
  metadata: {name: no-telnet}
  spec: {order: 100.5, selector: "has(tier)", ingress: [{action: deny, protocol: 6, destination: {ports: [23]}}, {action: pass}], egress: [{action: pass}]}
- apiVersion: v1
  kind: workloadEndpoint
  metadata: {name: eth0, workload: default.web-0, orchestrator: k8s, node: n1, labels: {app: web}}
  spec:
    ipNetworks: [10.65.1.1/32, "fd00::1/128"]
    ipNATs: [{internalIP: 10.65.1.1, externalIP: 192.0.2.1}]
    profiles: [WEB]
    interfaceName: cali0web0
    mac: "EE:00:00:00:00:01"
- apiVersion: v1
  kind: hostEndpoint
  metadata: {name: eth0, node: n1}
  spec: {expectedIPs: [192.168.10.11], profiles: [WEB]}
- apiVersion: v1
  kind: bgpPeer
  metadata: {scope: node, node: n1, peerIP: 192.168.10.254}
  spec: {asNumber: 64513}
- apiVersion: v1
  kind: node
  metadata: {name: n1}
  spec: {bgp: {asNumber: 64520, ipv4Address: 192.168.10.11}}
`

describe("calicoctl's resources", () => {
  it('in a bare list, as calicoctl get -o yaml printed it', () => {
    const { model, texts } = classic(RESOURCES)
    expect(texts).toEqual([])
    expect(model.pools).toMatchObject([{ ipip: true, ipipMode: 'CrossSubnet', masquerade: true, line: 2 }])
    expect(model.profiles).toMatchObject([{ name: 'WEB', tags: ['WEB', 'FRONT'], labels: { tier: 'front' } }])
    expect(model.profiles[0].rules?.inbound.map(formatClassicRule)).toEqual(['allow tcp from tag WEB !cidr 10.0.0.0/8 to ports 80,8000:8080', 'next-tier'])
    expect(model.profiles[0].rules?.inbound.map(({ line }) => line)).toEqual([11, 12])
    expect(model.policies).toMatchObject([{ tier: 'default', name: 'no-telnet', order: 100.5 }])
    expect(model.tiers).toMatchObject([{ name: 'default', order: Infinity }])
    expect(model.workloadEndpoints).toMatchObject([
      { node: 'n1', workload: 'default.web-0', interfaceName: 'cali0web0', mac: 0xee0000000001, profiles: ['WEB'] },
    ])
    expect(model.workloadEndpoints[0].ipNetworks).toHaveLength(1)
    expect(model.bgpPeers).toMatchObject([{ node: 'n1', asNumber: 64513 }])
    expect(model.nodes).toMatchObject([{ name: 'n1', asNumber: 64520 }])
    expect([model.ready, model.settings.get('IpInIpEnabled')?.value]).toEqual([true, 'true'])
  })

  it('are told from Kubernetes’ own by the small letter', () => {
    const { cluster, texts } = build(
      'apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 192.168.0.1}]}\n---\n' +
        'apiVersion: v1\nkind: node\nmetadata: {name: n1}\nspec: {bgp: {ipv4Address: 192.168.0.1/24}}\n',
    )
    expect(texts).toEqual([])
    expect(cluster.nodes.map(({ name }) => name)).toEqual(['n1'])
    expect(cluster.cni).toBe('calico')
    expect(readClassic(cluster.objects.slice(0, 1), [], new ProblemList())).toBeUndefined()
  })

  const wrong = (kind: string, metadata: string, spec: string): string[] => {
    const text = `apiVersion: v1\nkind: ${kind}\nmetadata: ${metadata}\nspec: ${spec}\n`
    const { cluster, problems } = buildCluster([{ file: 't.yaml', text }])
    const list = new ProblemList()
    readClassic(cluster.objects, [], list)
    return [...problems, ...list.problems].filter(({ severity }) => severity === 'error').map((problem) => formatProblem(problem).split('\n')[0])
  }

  it.each([
    ['profil', '{name: a}', '{}', 't.yaml:2: error: profil/a: v1 has no kind profil'],
    ['ipPool', '{}', '{}', 't.yaml:3: error: a ipPool without a name'],
    ['ipPool', '{cidr: 10.0.0.0/27}', '{}', 't.yaml:3: error: ipPool/10.0.0.0/27: the pool 10.0.0.0/27 is smaller than a block (/26)'],
    ['profile', '{name: a, tag: [b]}', '{}', 't.yaml:3: error: profile/a: unknown field metadata.tag'],
    ['profile', '{name: a}', '{ingress: [{action: Allow}]}', 't.yaml:4: error: profile/a: spec.ingress[0].action is "Allow", not allow or deny or log or pass'],
    ['profile', '{name: a}', '{ingress: [{action: allow, destination: {ports: [80]}}]}', 't.yaml:4: error: profile/a: ports, but the protocol is any'],
    ['profile', '{name: a}', '{ingress: [{action: allow, protocol: ipip}]}', 't.yaml:4: error: profile/a: "ipip" is no protocol'],
    [
      'profile',
      '{name: a}',
      '{ingress: [{action: allow, source: {nets: [10.0.0.0/8]}}]}',
      't.yaml:4: error: profile/a: unknown field spec.ingress[0].source.nets',
    ],
    ['profile', '{name: a}', '{rules: "Inbound rules: 1 allow"}', 't.yaml:4: error: profile/a: "Inbound rules: 1 allow" before "Inbound rules:"'],
    ['policy', '{name: a}', '{selector: "a contains \'b\'"}', 't.yaml:4: error: policy/a: selector "a contains \'b\'": contains is not known to Felix 1.4'],
    ['policy', '{name: a}', '{}', 't.yaml:4: error: policy/a: spec.selector is missing'],
    [
      'workloadEndpoint',
      '{name: eth0, workload: w, orchestrator: k8s, node: n}',
      '{interfaceName: a-name-that-is-long}',
      't.yaml:4: error: workloadEndpoint/n/k8s/w/eth0: "a-name-that-is-long" is no name of an interface',
    ],
    [
      'workloadEndpoint',
      '{name: eth0, workload: w, orchestrator: k8s, node: n}',
      '{interfaceName: cali0, ipNetworks: [10.0.0.0/24]}',
      't.yaml:4: error: workloadEndpoint/n/k8s/w/eth0: "10.0.0.0/24" is not one IPv4 address',
    ],
    ['hostEndpoint', '{name: a, node: n}', '{}', 't.yaml:4: error: hostEndpoint/n/a: neither interfaceName nor expectedIPs'],
    ['bgpPeer', '{scope: node, peerIP: 10.0.0.1}', '{asNumber: 1}', 't.yaml:3: error: bgpPeer/node/10.0.0.1: a peer of scope node without a node'],
    ['node', '{name: n}', '{bgp: {ipv4Address: ten}}', 't.yaml:4: error: node/n: ipv4Address "ten" is no IPv4 address'],
  ])('%s %s %s', (kind, metadata, spec, expected) => {
    expect(wrong(kind, metadata, spec)).toContain(expected)
  })
})

describe('keys of etcd', () => {
  it('the model comes back from its keys', () => {
    const { model } = classic(RESOURCES)
    const list = new ProblemList()
    const tree = classicEtcdTree(model)
    const again = readClassic([], entries(tree), list)
    expect(list.problems).toEqual([])
    expect(classicEtcdTree(again ?? EMPTY_CLASSIC)).toEqual(tree)
    expect(again?.profiles.map(({ name }) => name)).toEqual(['WEB'])
  })

  it('one key after another, as calicoctl and Felix name them', () => {
    expect(classicEtcdTree(classic(RESOURCES).model).map(({ key }) => key)).toEqual([
      '/calico/bgp/v1/global/as_num',
      '/calico/bgp/v1/global/node_mesh',
      '/calico/bgp/v1/host/n1/as_num',
      '/calico/bgp/v1/host/n1/ip_addr_v4',
      '/calico/bgp/v1/host/n1/ip_addr_v6',
      '/calico/bgp/v1/host/n1/peer_v4/192.168.10.254',
      '/calico/v1/Ready',
      '/calico/v1/config/DefaultEndpointToHostAction',
      '/calico/v1/config/InterfacePrefix',
      '/calico/v1/config/IpInIpEnabled',
      '/calico/v1/host/n1/bird_ip',
      '/calico/v1/host/n1/endpoint/eth0',
      '/calico/v1/host/n1/metadata',
      '/calico/v1/host/n1/workload/k8s/default.web-0/endpoint/eth0',
      '/calico/v1/ipam/v4/pool/10.65.0.0-16',
      '/calico/v1/policy/profile/WEB/labels',
      '/calico/v1/policy/profile/WEB/rules',
      '/calico/v1/policy/profile/WEB/tags',
      '/calico/v1/policy/tier/default/metadata',
      '/calico/v1/policy/tier/default/policy/no-telnet',
    ])
  })

  function keys(pairs: Readonly<Record<string, string>>): { readonly model: ClassicModel | undefined; readonly texts: readonly string[] } {
    const list = new ProblemList()
    const model = readClassic([], entries(Object.entries(pairs).map(([key, value]) => ({ key: `/calico/${key}`, value }))), list)
    return { model, texts: list.problems.map((problem) => formatProblem(problem).split('\n')[0]) }
  }

  it('what calicoctl 0.5 left there', () => {
    const { model, texts } = keys({
      'v1/Ready': 'true',
      'v1/config/InterfacePrefix': 'cali',
      'v1/host/h1/bird_ip': '172.25.0.1',
      'v1/host/h1/config/marker': 'created',
      'v1/host/h1/config/DefaultEndpointToHostAction': 'RETURN',
      'v1/host/h1/workload/docker/7a/endpoint/9f01':
        '{"ipv6_nets": [], "profile_id": "WEB", "mac": "3e:90:09:3a:79:07", "name": "cali9f01", "ipv4_nets": ["192.168.0.1/32"], "ipv4_gateway": "172.25.0.1", "state": "active", "container:if_name": "eth1"}',
      'v1/policy/profile/WEB/rules': '{"id": "WEB", "inbound_rules": [{"action": "allow", "src_tag": "WEB"}], "outbound_rules": [{"action": "allow"}]}',
      'v1/policy/profile/WEB/tags': '["WEB"]',
      'v1/ipam/v4/pool/192.168.0.0-16': '{"cidr": "192.168.0.0/16", "masquerade": true}',
      'bgp/v1/global/as_num': '64511',
      'bgp/v1/global/node_mesh': '{"enabled": false}',
      'ipam/v2/config': '{}',
      'felix/v1/host/h1/status': '{}',
    })
    expect(texts).toEqual([])
    expect(model).toMatchObject({ ready: true, nodeMesh: false, asNumber: 64511, tiers: [] })
    expect(model?.workloadEndpoints).toMatchObject([{ node: 'h1', orchestrator: 'docker', profiles: ['WEB'], interfaceName: 'cali9f01', active: true }])
    expect(model?.hostSettings.get('h1')?.get('DefaultEndpointToHostAction')?.value).toBe('RETURN')
    expect(model?.profiles[0].rules?.inbound.map(formatClassicRule)).toEqual(['allow from tag WEB'])
  })

  it.each([
    ['v1/polcy/profile/WEB/tags', '["WEB"]', "etcd.json:2: warning: /calico/v1/polcy/profile/WEB/tags: no key of Calico's first data model"],
    ['v1/policy/profile/WEB/tags', 'WEB', 'etcd.json:2: error: /calico/v1/policy/profile/WEB/tags: the value is no JSON: '],
    ['v1/policy/profile/WEB/tags', '{}', 'etcd.json:2: error: /calico/v1/policy/profile/WEB/tags: the tags are no list of names'],
    [
      'v1/policy/profile/WEB/rules',
      '{"inbound_rules": [{"acton": "allow"}]}',
      'etcd.json:2: error: /calico/v1/policy/profile/WEB/rules: inbound_rules[0]: unknown field acton',
    ],
    ['v1/policy/profile/WEB/rules', '{"inbound_rules": {}}', 'etcd.json:2: error: /calico/v1/policy/profile/WEB/rules: inbound_rules is a mapping, not a list'],
    ['v1/policy/tier/a/policy/b', '{"order": 1}', 'etcd.json:2: error: /calico/v1/policy/tier/a/policy/b: selector "": it is missing'],
    ['v1/policy/tier/a/policy/b', '{"order": "first", "selector": "all()"}', 'etcd.json:2: error: /calico/v1/policy/tier/a/policy/b: order is "first"'],
    ['v1/host/h/endpoint/e', '{}', 'etcd.json:2: error: /calico/v1/host/h/endpoint/e: neither name nor expected_ipv4_addrs'],
    ['v1/host/h/workload/k8s/w/endpoint/e', '{"name": "cali0"}', 'etcd.json:2: error: /calico/v1/host/h/workload/k8s/w/endpoint/e: state is nothing'],
    ['v1/ipam/v4/pool/x', '{"cidr": "10.0.0.1/8"}', 'etcd.json:2: error: /calico/v1/ipam/v4/pool/x: cidr is "10.0.0.1/8"'],
  ])('%s = %s', (key, value, expected) => {
    const { texts } = keys({ 'v1/Ready': 'true', [key]: value })
    expect(texts).toContainEqual(expect.stringContaining(expected))
  })

  it('as etcd answered, of the v2 API, beside what else it holds', () => {
    const leaf = (key: string, value: string): object => ({ key, value, modifiedIndex: 7, createdIndex: 7 })
    const answer = {
      action: 'get',
      node: {
        dir: true,
        nodes: [
          { key: '/coreos.com', dir: true, nodes: [leaf('/coreos.com/network/config', '{"Network": "10.1.0.0/16"}')] },
          {
            key: '/calico',
            dir: true,
            nodes: [
              leaf('/calico/v1/Ready', 'true'),
              leaf('/calico/v1/policy/profile/WEB/tags', '["WEB"]'),
              { key: '/calico/v1/policy/profile/DB/tags', value: 3 },
            ],
          },
        ],
      },
    }
    const { cluster, problems } = buildCluster([{ file: 'calico.json', text: JSON.stringify(answer, undefined, 1) }])
    expect(cluster.etcd.map(({ key }) => key)).toEqual(['/coreos.com/network/config', '/calico/v1/Ready', '/calico/v1/policy/profile/WEB/tags'])
    expect(problems.map((problem) => formatProblem(problem).split('\n')[0])).toContainEqual(
      'calico.json:36: error: /calico/v1/policy/profile/DB/tags: the value is no text',
    )
    expect(cluster.cni).toBe('canal')
    const model = readClassic(cluster.objects, cluster.etcd, new ProblemList())
    expect(model?.profiles).toMatchObject([{ name: 'WEB', tags: ['WEB'], file: 'calico.json', line: 28 }])
  })

  it('Felix waits for Ready', () => {
    expect(keys({ 'v1/policy/profile/WEB/tags': '["WEB"]' }).texts).toEqual([
      'etcd.json:1: warning: /calico/v1/Ready: Ready is not true: Felix waits for it and programs nothing',
    ])
  })

  it('any key and value, and nothing throws', () => {
    const word = fc.oneof(
      fc.constantFrom(
        'v1',
        'host',
        'n1',
        'workload',
        'k8s',
        'endpoint',
        'policy',
        'profile',
        'tier',
        'rules',
        'tags',
        'metadata',
        'ipam',
        'v4',
        'pool',
        'bgp',
        'global',
        'config',
      ),
      fc.string(),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.array(word, { maxLength: 8 }), fc.oneof(fc.json(), fc.string()))), (pairs) => {
        readClassic([], entries(pairs.map(([words, value]) => ({ key: `/calico/v1/${words.join('/')}`, value }))), new ProblemList())
      }),
      { numRuns: 300 },
    )
  })

  it('damaged resources, and nothing throws', () => {
    const prng = new Prng(7)
    for (let run = 0; run < 150; run++) {
      const at = prng.below(RESOURCES.length)
      const damage = ['', '[', '}', ': ', '\n- ', '"', 'null', '__proto__: 1'][prng.below(8)]
      const text = RESOURCES.slice(0, at) + damage + RESOURCES.slice(at + prng.below(4))
      const { cluster } = buildCluster([{ file: 'x', text }])
      readClassic(cluster.objects, cluster.etcd, new ProblemList())
    }
  })
})
