/** calico-policy-controller v0.6: its own expectations (tests/unit/test_policy_parser.py), and what becomes of packets. */
import { describe, expect, it } from 'vitest'
import { formatProblem } from '../../../src/base/problem.js'
import { policyController } from '../../../src/calico/classic/policy-controller.js'
import { classicRuleJson } from '../../../src/cluster/calico/classic-rule-json.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import { classicEtcdTree } from '../../../src/cluster/calico/classic-etcd-tree.js'
import { classic } from './kit.js'

const policy = (spec: unknown): string =>
  JSON.stringify({ apiVersion: 'extensions/v1beta1', kind: 'NetworkPolicy', metadata: { namespace: 'ns', name: 'test-policy' }, spec })

function converted(spec: object): { readonly rules: unknown; readonly selector: string | undefined; readonly texts: readonly string[] } {
  const { cluster } = buildCluster([{ file: 'p.json', text: policy({ podSelector: {}, ...spec }) }])
  const list = new ProblemList()
  const made = policyController({ networkPolicies: cluster.objects, namespaces: [] }, list)
  const own = made.policies.find(({ name }) => name === 'ns.test-policy')
  return {
    rules: own?.rules.inbound.map(classicRuleJson),
    selector: own?.selector,
    texts: list.problems.map((problem) => formatProblem(problem).split('\n')[0]),
  }
}

const PORTS = [
  { port: 80, protocol: 'TCP' },
  { port: 443, protocol: 'UDP' },
]
const DIAGS = { podSelector: { matchLabels: { role: 'diags', tier: 'db' } } }
/** Labels stand sorted; upstream's stand in the order of Python's hash table. */
const SELECTED = "role == 'diags' && tier == 'db' && calico/k8s_ns == 'ns'"

describe('NetworkPolicies', () => {
  it.each([
    ['nothing', {}, []],
    [
      'ports',
      { ingress: [{ ports: PORTS }] },
      [
        { action: 'allow', protocol: 'tcp', dst_ports: [80] },
        { action: 'allow', protocol: 'udp', dst_ports: [443] },
      ],
    ],
    ['pods', { ingress: [{ from: [DIAGS] }] }, [{ action: 'allow', src_selector: SELECTED }]],
    [
      'both',
      { ingress: [{ from: [DIAGS], ports: PORTS }] },
      [
        { action: 'allow', protocol: 'tcp', src_selector: SELECTED, dst_ports: [80] },
        { action: 'allow', protocol: 'udp', src_selector: SELECTED, dst_ports: [443] },
      ],
    ],
    [
      'pods or namespaces',
      { ingress: [{ from: [{ namespaceSelector: { matchLabels: { role: 'prod' } } }, { podSelector: { matchLabels: { tier: 'db' } } }] }] },
      [
        { action: 'allow', src_selector: "k8s_ns/label/role == 'prod'" },
        { action: 'allow', src_selector: "tier == 'db' && calico/k8s_ns == 'ns'" },
      ],
    ],
    [
      'by expressions',
      {
        ingress: [
          {
            from: [
              { namespaceSelector: { matchExpressions: [{ key: 'role', operator: 'NotIn', values: ['prod', 'staging'] }] } },
              { podSelector: { matchExpressions: [{ key: 'tier', operator: 'In', values: ['db'] }] } },
            ],
          },
        ],
      },
      [
        { action: 'allow', src_selector: 'k8s_ns/label/role not in { "prod", "staging" }' },
        { action: 'allow', src_selector: 'tier in { "db" } && calico/k8s_ns == \'ns\'' },
      ],
    ],
    [
      'all of them',
      { ingress: [{ from: [{ namespaceSelector: null }, { podSelector: null }] }] },
      [
        { action: 'allow', src_selector: 'has(calico/k8s_ns)' },
        { action: 'allow', src_selector: "calico/k8s_ns == 'ns'" },
      ],
    ],
    ['an empty rule lets everything in', { ingress: [null, { ports: PORTS }] }, [{ action: 'allow' }]],
    ['the default protocol', { ingress: [{ ports: [{ port: 53 }, {}] }] }, [{ action: 'allow', protocol: 'tcp', dst_ports: [53] }]],
  ])('%s', (_, spec, expected) => {
    const { rules, texts } = converted(spec)
    expect(texts).toEqual([])
    expect(rules).toEqual(expected)
  })

  it('whom it is for', () => {
    const matchExpressions = [
      { key: 'name', operator: 'Exists' },
      { key: 'date', operator: 'DoesNotExist' },
    ]
    expect(converted({ podSelector: { matchExpressions } }).selector).toBe("calico/k8s_ns == 'ns' && has(name) && ! has(date)")
  })

  it.each([
    [{ podSelector: { matchExpressions: [{ key: 'name', operator: 'SoundsLike', values: ['alice', 'bob'] }] } }, 'unknown operator "SoundsLike"'],
    [{ ingress: [{ from: [{ namespaceSelector: null, podSelector: null }] }] }, 'podSelector and namespaceSelector in one peer: this controller stops at it'],
    [{ ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }] }, 'ipBlock: this controller knows podSelector and namespaceSelector alone'],
    [{ ingress: [{ ports: [{ port: 'http' }] }] }, 'port "http": names of ports are not known to Calico 1.x'],
  ])('%j is refused', (spec, fault) => {
    const { selector, texts } = converted(spec)
    expect(selector).toBeUndefined()
    expect(texts).toEqual([`p.json:1: error: NetworkPolicy/ns/test-policy: ${fault}`])
  })
})

const NAMESPACES = `
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.10.11}]}
---
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {env: prod}
  annotations: {net.beta.kubernetes.io/network-policy: '{"ingress": {"isolation": "DefaultDeny"}}'}
---
apiVersion: v1
kind: Namespace
metadata: {name: lab}
---
apiVersion: v1
kind: ipPool
metadata: {cidr: 10.65.0.0/16}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1}
status: {podIP: 10.65.0.10}
---
apiVersion: v1
kind: Pod
metadata: {name: any, namespace: lab}
spec: {nodeName: n1}
status: {podIP: 10.65.0.11}
---
`
const WEB = `
apiVersion: extensions/v1beta1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {matchLabels: {env: prod}}}], ports: [{port: 80}]}]}
`

describe('a cluster of Kubernetes 1.3', () => {
  it('the keys that controller and CNI plugin leave in etcd', () => {
    const { model, texts } = classic(NAMESPACES + WEB)
    expect(texts).toEqual([])
    const value = (key: string): unknown => JSON.parse(classicEtcdTree(model).find((pair) => pair.key === `/calico/v1/${key}`)?.value ?? 'null')
    expect(value('policy/tier/default/metadata')).toEqual({ order: 1000 })
    expect(value('policy/tier/default/policy/k8s-policy-no-match')).toEqual({
      order: 2000,
      inbound_rules: [{ action: 'next-tier' }],
      outbound_rules: [{ action: 'next-tier' }],
      selector: 'has(calico/k8s_ns)',
    })
    expect(value('policy/tier/default/policy/shop.web')).toEqual({
      order: 1000,
      inbound_rules: [{ action: 'allow', protocol: 'tcp', src_selector: "k8s_ns/label/env == 'prod'", dst_ports: [80] }],
      outbound_rules: [{ action: 'allow' }],
      selector: "calico/k8s_ns == 'shop' && app == 'web'",
    })
    expect(value('policy/profile/k8s_ns.shop/rules')).toMatchObject({ inbound_rules: [{ action: 'deny' }], outbound_rules: [{ action: 'allow' }] })
    expect(value('policy/profile/k8s_ns.shop/labels')).toEqual({ 'k8s_ns/label/env': 'prod' })
    expect(value('policy/profile/k8s_ns.lab/rules')).toMatchObject({ inbound_rules: [{ action: 'allow' }], outbound_rules: [{ action: 'allow' }] })
    expect(value('host/n1/workload/k8s/shop.web/endpoint/eth0')).toMatchObject({
      state: 'active',
      // as sha1sum has it of shop.web
      name: 'cali551b05c3e54',
      profile_ids: ['k8s_ns.shop'],
      labels: { app: 'web', 'calico/k8s_ns': 'shop' },
    })
  })

  it('the selector of a namespace finds its pods by the profile’s labels', () => {
    const { part } = classic(NAMESPACES + WEB)
    expect(part('n1').ipsets.map(({ members }) => members.map(({ element }) => element))).toEqual([['10.65.0.10']])
  })

  it('without a controller every pod has the profile of the network, which lets everything through', () => {
    const { model } = classic(NAMESPACES.replace(/ {2}annotations:.*\n/, ''))
    expect(model.profiles.map(({ name, tags }) => [name, tags])).toEqual([['k8s-pod-network', ['k8s-pod-network']]])
    expect(model.workloadEndpoints.map(({ profiles, labels }) => [profiles, labels])).toEqual([
      [['k8s-pod-network'], {}],
      [['k8s-pod-network'], {}],
    ])
  })

  it('an annotation that cannot be read leaves the namespace without a profile', () => {
    const { model, texts } = classic(NAMESPACES.replace('"DefaultDeny"', 'DefaultDeny'))
    expect(model.profiles.map(({ name }) => name)).not.toContain('k8s_ns.shop')
    expect(texts[0]).toMatch(/^t\.yaml:\d+: error: Namespace\/shop: net\.beta\.kubernetes\.io\/network-policy cannot be read/)
  })
})
