/** Vectors 99 to 109 of the reference page: upstream's conversion_test.go and the update processors' tests. */
import { describe, expect, it } from 'vitest'
import { peerSelector, policySelector } from '../../../src/calico/felix/backend-policy.js'
import { convertRule, kubernetesPolicy, namespaceSelectorText, podSelectorText, simplifyPorts } from '../../../src/calico/felix/kubernetes-policy.js'
import { RuleScanner } from '../../../src/calico/felix/rule-scanner.js'
import type { KubernetesPolicyRule } from '../../../src/cluster/calico/kubernetes-policy.js'
import type { EntityRule } from '../../../src/cluster/calico/policy.js'
import { manifest } from './manifest.js'

const ANYONE: EntityRule = { nets: [], notNets: [], selector: '', notSelector: '', namespaceSelector: '', ports: [], notPorts: [] }
const rule = (part: Partial<KubernetesPolicyRule>): KubernetesPolicyRule => ({ peers: [], ports: [], file: 'p.yaml', line: 7, ...part })
const words = (rules: ReturnType<typeof convertRule>) =>
  rules.map(({ protocol, source, destination }) => ({
    protocol,
    ports: destination.ports.map((port) => ('name' in port ? port.name : port.from === port.to ? port.from : `${port.from}:${port.to}`)),
    source: [source.selector, source.namespaceSelector, source.nets.map(({ text }) => text), source.notNets.map(({ text }) => text)],
    destination: [destination.selector, destination.namespaceSelector, destination.nets.map(({ text }) => text), destination.notNets.map(({ text }) => text)],
  }))
const NOBODY = ['', '', [], []]

describe('Kubernetes NetworkPolicy', () => {
  it('its pods, its order', () => {
    expect(podSelectorText({ matchLabels: { label2: 'value2', label: 'value' } })).toBe(
      "projectcalico.org/orchestrator == 'k8s' && label == 'value' && label2 == 'value2'",
    )
    expect(
      podSelectorText({
        matchExpressions: [
          { key: 'a', operator: 'In', values: ['x', 'y'] },
          { key: 'b', operator: 'NotIn', values: ['z'] },
          { key: 'c', operator: 'Exists' },
          { key: 'd', operator: 'DoesNotExist' },
        ],
      }),
    ).toBe("projectcalico.org/orchestrator == 'k8s' && a in { 'x', 'y' } && b not in { 'z' } && has(c) && ! has(d)")
  })

  it('ports without a protocol are TCP', () => {
    expect(words(convertRule(rule({ ports: [{ port: 80 }, { port: 'foo' }] }), 'ingress'))).toEqual([
      { protocol: 'TCP', ports: [80, 'foo'], source: NOBODY, destination: NOBODY },
    ])
  })

  it('a protocol without a port is open whole, whatever else is said of it', () => {
    for (const ports of [
      [{ port: 80 }, {}],
      [{}, { port: 80 }],
    ])
      expect(words(convertRule(rule({ ports }), 'ingress'))).toEqual([{ protocol: 'TCP', ports: [], source: NOBODY, destination: NOBODY }])
  })

  it('egress: one rule for each protocol, in the order of their names', () => {
    const peer = { ipBlock: { cidr: '192.168.0.0/16', except: ['192.168.3.0/24', '192.168.4.0/24', '192.168.5.0/24'] } }
    const ports = [
      { protocol: 'UDP', port: 90 },
      { protocol: 'TCP', port: 80 },
    ]
    const to = ['', '', ['192.168.0.0/16'], ['192.168.3.0/24', '192.168.4.0/24', '192.168.5.0/24']]
    expect(words(convertRule(rule({ peers: [peer], ports }), 'egress'))).toEqual([
      { protocol: 'TCP', ports: [80], source: NOBODY, destination: to },
      { protocol: 'UDP', ports: [90], source: NOBODY, destination: to },
    ])
  })

  it('a range of ports; neighbours merge', () => {
    expect(words(convertRule(rule({ ports: [{ port: 32000, endPort: 32768 }] }), 'ingress'))[0].ports).toEqual(['32000:32768'])
    const port = (from: number, to = from) => ({ from, to })
    expect(simplifyPorts([port(5), { name: 'x' }, port(1, 3), port(4), port(9), port(2)])).toEqual([{ name: 'x' }, port(1, 5), port(9)])
    expect(simplifyPorts([port(5), { name: 'x' }])).toEqual([port(5), { name: 'x' }])
  })

  it('a port that cannot be read takes the rule with it', () => {
    expect(convertRule(rule({ ports: [{ port: 80 }, { port: 'a b' }] }), 'ingress')).toEqual([])
  })

  it('namespaces: {} is all, absent is the policy’s own', () => {
    expect(namespaceSelectorText({})).toBe('all()')
    expect(namespaceSelectorText(undefined)).toBe('')
    expect(namespaceSelectorText({ matchLabels: { foo: 'bar' } })).toBe("foo == 'bar'")
  })

  it('a CIDR that cannot be read matches everybody; an exception that cannot ends the exceptions', () => {
    const from = (cidr: string, except: string[]) => words(convertRule(rule({ peers: [{ ipBlock: { cidr, except } }] }), 'ingress'))[0].source
    expect(from('192.168.0.0/55', [])).toEqual(NOBODY)
    expect(from('192.168.9.9/16', [])).toEqual(['', '', ['192.168.0.0/16'], []])
    expect(from('192.168.0.0/16', ['192.168.1.0/24', 'x', '192.168.2.0/24'])).toEqual(['', '', ['192.168.0.0/16'], ['192.168.1.0/24']])
  })

  it('types: ingress alone unless listed', () => {
    const policy = {
      name: 'p',
      namespace: 'ns',
      staged: false,
      labels: {},
      annotations: {},
      podSelector: {},
      ingress: [],
      egress: [rule({})],
      file: 'p.yaml',
      line: 1,
    }
    expect(kubernetesPolicy({ ...policy, policyTypes: [] }).types).toEqual(['ingress'])
    expect(kubernetesPolicy({ ...policy, policyTypes: ['Egress', 'Ingress'] }).types).toEqual(['ingress', 'egress'])
    expect(kubernetesPolicy({ ...policy, policyTypes: [] })).toMatchObject({
      id: { kind: 'KubernetesNetworkPolicy', namespace: 'ns', name: 'p' },
      order: 1000,
      tier: 'default',
      selector: "(projectcalico.org/orchestrator == 'k8s') && projectcalico.org/namespace == 'ns'",
      egress: [{ provenance: { by: 'felix', object: 'NetworkPolicy/ns/p egress rule 1', file: 'p.yaml', line: 7 } }],
    })
  })
})

describe('whom a policy is for', () => {
  it('namespaced', () => {
    const policy = { namespace: 'namespace2', selector: "mylabel == 'selectme'", serviceAccountSelector: "role == 'development'", namespaceSelector: '' }
    expect(policySelector(policy)).toBe(`((mylabel == 'selectme') && projectcalico.org/namespace == 'namespace2') && pcsa.role == "development"`)
    expect(policySelector({ ...policy, selector: '', serviceAccountSelector: '' })).toBe("projectcalico.org/namespace == 'namespace2'")
  })

  it('global', () => {
    const policy = { namespace: '', selector: "mylabel == 'selectme'", serviceAccountSelector: '', namespaceSelector: "name == 'testing'" }
    expect(policySelector(policy)).toBe(`(mylabel == 'selectme') && pcns.name == "testing"`)
    expect(policySelector({ ...policy, namespaceSelector: 'all()' })).toBe("(mylabel == 'selectme') && has(projectcalico.org/namespace)")
    expect(policySelector({ ...policy, namespaceSelector: '', serviceAccountSelector: 'all()' })).toBe(
      "(mylabel == 'selectme') && has(projectcalico.org/serviceaccount)",
    )
    expect(policySelector({ namespace: '', selector: 'has(x)', serviceAccountSelector: '', namespaceSelector: '' })).toBe('has(x)')
  })
})

describe('whom a rule names', () => {
  it('namespaces', () => {
    const k8s = "projectcalico.org/orchestrator == 'k8s'"
    expect(peerSelector({ ...ANYONE, namespaceSelector: 'all()', selector: k8s }, 'ns')).toBe(`(has(projectcalico.org/namespace)) && (${k8s})`)
    expect(peerSelector({ ...ANYONE, namespaceSelector: 'global()' }, 'ns')).toBe('!has(projectcalico.org/namespace)')
    expect(peerSelector({ ...ANYONE, namespaceSelector: "a == 'b'" }, 'ns')).toBe('pcns.a == "b"')
  })

  it('nobody: not even the own namespace', () => {
    expect(peerSelector(ANYONE, 'ns')).toBe('')
    expect(peerSelector({ ...ANYONE, selector: "a == 'b'" }, 'ns')).toBe("(projectcalico.org/namespace == 'ns') && (a == 'b')")
    expect(peerSelector({ ...ANYONE, notSelector: "a == 'b'" }, 'ns')).toBe("projectcalico.org/namespace == 'ns'")
    expect(peerSelector({ ...ANYONE, notSelector: "a == 'b'" }, '')).toBe('')
  })

  it('service accounts', () => {
    const accounts = { names: ['b', 'a'], selector: "role == 'x'" }
    expect(peerSelector({ ...ANYONE, serviceAccounts: { names: ['b', 'a'], selector: '' } }, '')).toBe('projectcalico.org/serviceaccount in {"a", "b"}')
    expect(peerSelector({ ...ANYONE, serviceAccounts: accounts, selector: 'has(x)' }, 'ns')).toBe(
      `(projectcalico.org/namespace == 'ns') && (((pcsa.role == "x") && (projectcalico.org/serviceaccount in {"a", "b"})) && (has(x)))`,
    )
  })
})

describe('sets of rules', () => {
  const scan = (text: string) => {
    const { policies } = manifest(text)
    const scanner = new RuleScanner()
    return { rules: policies.map((policy) => scanner.policy(policy)), sets: [...scanner.sets.values()] }
  }
  const gnp = (spec: string) => `apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: ${spec}\n`

  it('selector and negation become one', () => {
    const { sets } = scan(gnp(`{ingress: [{action: Allow, source: {selector: "a == 'b'", notSelector: "c == 'd'"}}]}`))
    expect(sets).toMatchObject([{ kind: 'selector', selector: { text: '(a == "b" && !c == "d")' } }])
  })

  it('a negation alone stays one', () => {
    const { rules, sets } = scan(gnp(`{ingress: [{action: Allow, source: {notSelector: "c == 'd'"}}]}`))
    expect(sets).toMatchObject([{ kind: 'selector', selector: { text: 'c == "d"' } }])
    expect(rules[0]?.ingress[0].source).toMatchObject({ sets: [], notSets: [sets[0].id] })
  })

  it('named ports carry the selector, unless numbers stand beside them', () => {
    const named = scan(gnp(`{ingress: [{action: Allow, protocol: TCP, destination: {selector: "a == 'b'", ports: [http]}}]}`))
    expect(named.sets).toMatchObject([{ kind: 'namedPort', port: 'http', protocol: 'tcp', selector: { text: 'a == "b"' } }])
    expect(named.rules[0]?.ingress[0].destination.sets).toEqual([])
    const mixed = scan(gnp(`{ingress: [{action: Allow, protocol: TCP, destination: {selector: "a == 'b'", ports: [http, 80]}}]}`))
    expect(mixed.rules[0]?.ingress[0].destination).toMatchObject({
      sets: [expect.stringMatching(/^s:/)],
      namedPorts: [expect.stringMatching(/^n:/)],
      ports: [[80, 80]],
    })
  })

  it('ICMP is of one family', () => {
    const { rules } = scan(gnp('{ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8}}, {action: Allow, protocol: ICMPv6}]}'))
    expect(rules[0]?.ingress).toMatchObject([
      { ipVersion: 4, protocol: 'icmp', icmp: { type: 8 } },
      { ipVersion: 6, protocol: 'icmpv6' },
    ])
  })

  it('services', () => {
    const { sets, rules } = scan(gnp('{egress: [{action: Allow, destination: {services: {name: svc, namespace: default}}}]}'))
    expect(sets).toMatchObject([{ kind: 'service', id: 'svc:Jhwii46PCMT5NlhWsUqZmv7al8TeHFbNQMhoVg', withPorts: true }])
    expect(rules[0]?.egress[0].destination.ipPortSets).toEqual([sets[0].id])
  })
})
