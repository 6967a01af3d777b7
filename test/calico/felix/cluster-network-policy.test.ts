/**
 * ClusterNetworkPolicy: vector 110 of the reference page and the cases of upstream's clusternetworkpolicy_test.go and
 * globalnetworkpolicyprocessor_test.go (v3.32.1).
 */
import { describe, expect, it } from 'vitest'
import { clusterNetworkPolicy } from '../../../src/calico/felix/cluster-network-policy.js'
import type { BackendRule } from '../../../src/calico/felix/backend-policy.js'
import { policyChains } from '../../../src/calico/felix/policy-chains.js'
import { RuleScanner } from '../../../src/calico/felix/rule-scanner.js'
import { formatProblem } from '../../../src/base/problem.js'
import { readClusterNetworkPolicy } from '../../../src/cluster/calico/read-cluster-network-policy.js'
import { readManifests } from '../../../src/cluster/manifest.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import { world } from '../kit.js'
import { felixConfig } from './kit.js'
import { manifest } from './manifest.js'

const cnp = (spec: string, name = 'test.policy'): string =>
  `apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: ${name}}\nspec: ${spec}\n---\n`
/** Whatever the reader has against it. */
const converted = (spec: string) => {
  const list = new ProblemList()
  const { objects } = readManifests([{ file: 't.yaml', text: cnp(spec) }], list)
  const read = readClusterNetworkPolicy(objects[0], list)
  if (read === undefined) throw new Error(list.problems.map(formatProblem).join())
  return { policy: clusterNetworkPolicy(read), texts: list.problems.map((problem) => formatProblem(problem).split('\n')[0]) }
}
const words = (rules: readonly BackendRule[]): string[] =>
  rules.map(({ action, protocol, source, destination }) =>
    [
      action,
      protocol ?? '-',
      `from [${[source.selector, ...source.nets].join(' ')}]`,
      `to [${[destination.selector, ...destination.nets].join(' ')}]`,
      destination.ports.map((port) => ('name' in port ? port.name : port.from === port.to ? port.from : `${port.from}:${port.to}`)).join(','),
    ].join(' '),
  )

const K8S = "projectcalico.org/orchestrator == 'k8s'"
const SUBJECT = 'tier: Admin, priority: 600, subject: {namespaces: {matchLabels: {label2: value2, label: value}}}'
const K_V = '{namespaces: {matchLabels: {k2: v2, k: v}}}'

describe('whom a ClusterNetworkPolicy is for', () => {
  it('110: namespaces {} is every pod and no host endpoint', () => {
    const { policy } = converted(
      '{tier: Admin, priority: 1000, subject: {namespaces: {}}, egress: [{action: Accept, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}]}',
    )
    expect(policy).toMatchObject({
      id: { kind: 'KubernetesClusterNetworkPolicy', namespace: '', name: 'test.policy' },
      tier: 'kube-admin',
      order: 1000,
      selector: `(${K8S}) && has(projectcalico.org/namespace)`,
      types: ['egress'],
      applyOnForward: false,
    })
    expect(words(policy.egress)).toEqual(['allow tcp from [] to [has(projectcalico.org/namespace)] 80'])
  })

  it('110: pods {} likewise; the tier Baseline', () => {
    const { policy } = converted('{tier: Baseline, priority: 0, subject: {pods: {podSelector: {}}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}')
    expect([policy.tier, policy.order, policy.selector, policy.types]).toEqual([
      'kube-baseline',
      0,
      `(${K8S}) && has(projectcalico.org/namespace)`,
      ['ingress'],
    ])
    expect(words(policy.ingress)).toEqual(['allow - from [has(projectcalico.org/namespace)] to [] '])
  })

  it('labels of namespaces and of pods', () => {
    expect(converted(`{${SUBJECT}}`).policy.selector).toBe(`(${K8S}) && (pcns.label == "value" && pcns.label2 == "value2")`)
    const pods =
      '{tier: Admin, priority: 1, subject: {pods: {namespaceSelector: {matchExpressions: [{key: k, operator: In, values: [v1, v2]}]}, podSelector: {matchLabels: {a: b}}}}}'
    expect(converted(pods).policy.selector).toBe(`(${K8S} && a == 'b') && pcns.k in {"v1", "v2"}`)
  })

  it('without rules no type is written, which is read as both', () => {
    expect(converted(`{${SUBJECT}}`).policy).toMatchObject({ types: ['ingress', 'egress'], ingress: [], egress: [] })
  })
})

describe('rules of a ClusterNetworkPolicy', () => {
  it('one for each protocol and peer, named ports first, under no protocol', () => {
    const protocols =
      'protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 20, end: 30}}}}, {destinationNamedPort: http-port}, {destinationNamedPort: "8080"}]'
    const peers = '[{namespaces: {matchLabels: {k: v}}}, {pods: {podSelector: {matchLabels: {k2: v2}}}}]'
    const { policy, texts } = converted(`{${SUBJECT}, ingress: [{name: A random rule, action: Pass, ${protocols}, from: ${peers}}]}`)
    const pod = `from [(has(projectcalico.org/namespace)) && (${K8S} && k2 == 'v2')] to []`
    expect(words(policy.ingress)).toEqual([
      'pass - from [pcns.k == "v"] to [] http-port,8080',
      `pass - ${pod} http-port,8080`,
      'pass tcp from [pcns.k == "v"] to [] 80',
      `pass tcp ${pod} 80`,
      'pass udp from [pcns.k == "v"] to [] 20:30',
      `pass udp ${pod} 20:30`,
    ])
    expect(policy.ingress.every(({ annotations }) => annotations.name === 'A random rule')).toBe(true)
    expect(texts).toEqual([])
  })

  it('ports of a protocol become few ranges; a protocol without one is open whole, an empty entry opens all', () => {
    const ports = (list: string): string[] => words(converted(`{${SUBJECT}, egress: [{action: Deny, protocols: [${list}], to: [${K_V}]}]}`).policy.egress)
    const to = 'from [] to [(pcns.k == "v" && pcns.k2 == "v2")]'
    expect(
      ports('{tcp: {destinationPort: {number: 81}}}, {tcp: {destinationPort: {range: {start: 70, end: 80}}}}, {tcp: {destinationPort: {number: 9}}}'),
    ).toEqual([`deny tcp ${to} 9,70:81`])
    expect(ports('{sctp: {destinationPort: {number: 81}}}, {sctp: {}}')).toEqual([`deny sctp ${to} `])
    expect(ports('{tcp: {destinationPort: {number: 81}}}, {}, {udp: {}}')).toEqual([`deny - ${to} `])
  })

  it('networks are for egress; several pods and namespaces in one peer: the last wins', () => {
    expect(words(converted(`{${SUBJECT}, egress: [{action: Deny, to: [{networks: [10.1.2.3/8, 192.0.2.0/24]}]}]}`).policy.egress)).toEqual([
      'deny - from [] to [ 10.0.0.0/8 192.0.2.0/24] ',
    ])
    const both = converted(
      `{${SUBJECT}, ingress: [{action: Accept, from: [{namespaces: {}, pods: {podSelector: {matchLabels: {a: b}}, namespaceSelector: {matchLabels: {c: d}}}}]}]}`,
    )
    expect(words(both.policy.ingress)).toEqual([`allow - from [(pcns.c == "d") && (${K8S} && a == 'b')] to [] `])
    expect(both.texts).toEqual(['t.yaml:4: error: ClusterNetworkPolicy/test.policy: a peer of several kinds'])
  })

  it('Accept that cannot be converted is left out; Deny and Pass become Deny-all', () => {
    const rule = (action: string, rest: string): string => `{${SUBJECT}, ingress: [{action: ${action}, ${rest}}]}`
    const backwards = `protocols: [{tcp: {destinationPort: {number: 80}}}, {tcp: {destinationPort: {range: {start: 1000, end: 10}}}}], from: [${K_V}]`
    const unknown = 'from: [{nodes: {}}]'
    for (const rest of [backwards, unknown]) {
      expect(words(converted(rule('Accept', rest)).policy.ingress)).toEqual([])
      expect(words(converted(rule('Deny', rest)).policy.ingress)).toEqual(['deny - from [] to [] '])
      expect(words(converted(rule('Pass', rest)).policy.ingress)).toEqual(['deny - from [] to [] '])
      expect(words(converted(rule('Log', rest)).policy.ingress)).toEqual([])
    }
    expect(converted(rule('Pass', unknown)).texts).toEqual([
      't.yaml:4: warning: ClusterNetworkPolicy/test.policy: unknown field spec.ingress[0].from[0].nodes: it says nothing',
      't.yaml:4: warning: ClusterNetworkPolicy/test.policy: a peer that Calico cannot read: the rule denies everything, as Calico does',
    ])
  })

  it("a rule's name stands in a comment of each of its iptables rules, its chains are kcnp", () => {
    const { policies } = manifest(
      cnp(`{${SUBJECT}, ingress: [{name: no-ssh, action: Deny, protocols: [{tcp: {destinationPort: {number: 22}}}], from: [${K_V}]}]}`, 'base'),
    )
    const rules = new RuleScanner().policy(policies[0])
    const [chain] = rules === undefined ? [] : policyChains(rules, felixConfig())
    expect(chain.name).toBe('cali-pi-kcnp/base')
    expect(chain.rules.map(({ comments, action }) => [action, comments])).toEqual([
      ['--jump MARK --set-mark 0x40000/0x40000', ['name=no-ssh', 'KubernetesClusterNetworkPolicy base ingress']],
      ['--jump DROP', ['name=no-ssh']],
    ])
  })
})

describe('what is wrong with a ClusterNetworkPolicy', () => {
  const faults = (spec: string): string[] => world(cnp(spec)).texts.map((text) => text.split('\n')[0].replace(/^t\.yaml:4: /, ''))
  it.each([
    ['{tier: Network, priority: 1, subject: {namespaces: {}}}', ['spec.tier is "Network", not Admin or Baseline']],
    ['{tier: Admin, priority: 1001, subject: {namespaces: {}}}', ['priority 1001']],
    ['{tier: Admin, priority: 1}', ['spec.subject is missing']],
    ['{tier: Admin, priority: 1, subject: {}}', ['the policy has no subject: it is for nobody']],
    ['{tier: Admin, priority: 1, subject: {namespaces: {matchExpressions: [{key: a, operator: Is}]}}}', ['unknown operator "Is"']],
    [
      '{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: []}]}',
      ['action "Allow"', 'from is empty: the rule is for nobody'],
    ],
    [
      '{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{networks: [10.0.0.0/8]}]}]}',
      ['networks in an ingress rule', 'a peer that Calico cannot read: the rule denies everything, as Calico does'],
    ],
    ['{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [10.0.0.0/33]}]}]}', ['"10.0.0.0/33" is no prefix']],
    [
      '{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 65536}}}]}]}',
      ['65536 is no port'],
    ],
    [
      '{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {}}, udp: {}}]}]}',
      ['several protocols in one entry', 'neither number nor range'],
    ],
    [
      '{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: web}]}]}',
      ['a named port beside networks'],
    ],
    ['{tier: Admin, priority: 1, subject: {namespaces: {}}, colour: red}', ['unknown field spec.colour: it says nothing']],
  ])('%s', (spec, expected) => {
    expect(faults(spec).map((line) => line.replace(/^(error|warning): ClusterNetworkPolicy\/test\.policy: /, ''))).toEqual(expected)
  })

  it('its predecessors are of other releases', () => {
    const text = 'apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: default}\nspec: {}\n'
    expect(world(text).texts[0]).toContain('BaselineAdminNetworkPolicy has no effect: Calico 3.32 reads ClusterNetworkPolicy in its stead')
  })
})
