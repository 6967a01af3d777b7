/**
 * What an API server refuses of a policy is an error on its line, what it takes is none (k8s.io/kubernetes pkg/apis/networking/validation,
 * the CRDs of network-policy-api v0.1.7 and v0.2.0).
 */
import { describe, expect, it } from 'vitest'
import { readTold } from './kit.js'
import { admin, baseline, clusterPolicy, errorsOf, networkPolicy, pod } from './trap-kit.js'

/** A NetworkPolicy whose one ingress rule is this. */
const ingress = (rule: string): string => networkPolicy('shop/p', `  podSelector: {}\n  ingress:\n  - ${rule}`)
const SUBJECT = '  subject: {namespaces: {}}'
const alpha1 = (rule: string, direction = 'ingress'): string => admin('p', 1, `${SUBJECT}\n  ${direction}:\n  - ${rule}`)
const alpha2 = (rule: string, direction = 'ingress'): string => clusterPolicy('p', 'Admin', `  priority: 1\n${SUBJECT}\n  ${direction}:\n  - ${rule}`)
const ANY = 'namespaces: {}'

describe('NetworkPolicy', () => {
  it.each([
    ['{from: [{}]}', '7: a peer that says nobody'],
    ['{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}', '7: ipBlock beside a selector in one peer'],
    ['{from: [{ipBlock: {cidr: 10.0.0.1}}]}', '7: "10.0.0.1" is no prefix'],
    ['{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}', '7: "10.0.0.0/33" is no prefix'],
    ["{from: [{ipBlock: {cidr: 'fd00::/129'}}]}", '7: "fd00::/129" is no prefix'],
    ["{from: [{ipBlock: {cidr: 'fd00::/8', except: [10.0.0.0/8]}}]}", '7: 10.0.0.0/8 is not a part of fd00::/8'],
    ['{from: [{podSelector: {matchLabels: {"a b": c}}}]}', '7: "a b" is no label key'],
    ['{from: [{podSelector: {matchExpressions: [{key: a, operator: Near, values: [b]}]}}]}', '7: unknown operator "Near"'],
    ['{from: [{podSelector: {matchExpressions: [{key: a, operator: In}]}}]}', '7: In without values'],
    ['{from: [{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]}', '7: Exists with values'],
    ['{ports: [{protocol: tcp}]}', '7: protocol "tcp"'],
    ['{ports: [{protocol: ICMP}]}', '7: protocol "ICMP"'],
    ['{ports: [{port: 0}]}', '7: 0 is no port'],
    ['{ports: [{port: 65536}]}', '7: 65536 is no port'],
    ['{ports: [{port: "80"}]}', '7: "80" is no name of a port: it has no letter'],
    ['{ports: [{port: sixteen-letters-x}]}', '7: "sixteen-letters-x" is no name of a port: it has more than 15 characters'],
    ['{ports: [{port: HTTP}]}', '7: "HTTP" is no name of a port: it has other characters than a to z, 0 to 9 and -'],
    ['{ports: [{port: 80, endPort: 65536}]}', '7: 65536 is no port'],
  ])('refuses %s', (rule, error) => {
    expect(errorsOf([ingress(rule)])).toEqual([error])
  })

  it('refuses policyTypes that are none, more than two, and a name that is none', () => {
    const types = (list: string): readonly string[] => errorsOf([networkPolicy('shop/p', `  policyTypes: ${list}`)])
    expect(types('[Both]')).toEqual(['5: policyTypes: "Both"'])
    expect(types('[Ingress, Egress, Ingress]')).toEqual(['5: 3 policyTypes'])
    expect(types('[Ingress, Ingress]')).toEqual([])
    expect(errorsOf([networkPolicy('shop/No_Name', '  podSelector: {}')])).toHaveLength(1)
    expect(errorsOf([networkPolicy('shop/No_Name', '  podSelector: {}')], { as: 'np-guard' })).toEqual([])
  })

  it.each([
    "{from: [{ipBlock: {cidr: 10.1.2.3/8, except: [10.9.9.9/16, '10.0.0.0/9']}}]}",
    "{from: [{ipBlock: {cidr: '::/0', except: ['fd00::/8']}}]}",
    '{from: [{podSelector: {}, namespaceSelector: {}}], ports: [{port: 1, endPort: 65535}, {protocol: SCTP}, {}]}',
    '{from: [{podSelector: {matchLabels: {a.b/c: ""}}}], ports: [{port: a-1}]}',
  ])('takes %s', (rule) => {
    expect(readTold(ingress(rule)).problems).toEqual([])
  })

  it('takes a rule of which netpol-analyzer stops: a port by name beside an ipBlock', () => {
    const policy = networkPolicy(
      'shop/p',
      '  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - {to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}',
    )
    expect(errorsOf([policy])).toEqual([])
    expect(errorsOf([policy], { as: 'np-guard' })).toEqual(['8: a port by name beside an ipBlock: addresses have no names of ports'])
  })

  it('names two of one name', () => {
    expect(errorsOf([ingress('{}'), ingress('{from: []}')])).toEqual(['9: stands here and in w.yaml:1, and the two differ'])
  })
})

describe('AdminNetworkPolicy and its baseline', () => {
  it.each([
    [alpha1(`{action: Accept, from: [{${ANY}}]}`), '8: action "Accept"'],
    [alpha1(`{from: [{${ANY}}]}`), '8: a rule without an action'],
    [alpha1('{action: Deny}'), '8: from is empty: the rule is for nobody'],
    [alpha1('{action: Deny, from: [{networks: [10.0.0.0/8]}]}'), '8: networks in an ingress rule'],
    [alpha1('{action: Deny, to: [{networks: [10.0.0.0]}]}', 'egress'), '8: "10.0.0.0" is no prefix'],
    [alpha1('{action: Deny, to: [{networks: []}]}', 'egress'), '8: networks is empty'],
    [alpha1('{action: Deny, to: [{domainNames: [-x]}]}', 'egress'), '8: "-x" is no domain name'],
    [alpha1(`{action: Deny, from: [{${ANY}}], ports: []}`), '8: ports is empty'],
    [alpha1(`{action: Deny, from: [{${ANY}}], ports: [{}]}`), '8: a port that says nothing'],
    [alpha1(`{action: Deny, from: [{${ANY}}], ports: [{portNumber: {port: 1}, namedPort: a}]}`), '8: a port of several kinds: portNumber, namedPort'],
    [alpha1(`{action: Deny, from: [{${ANY}}], ports: [{portNumber: {port: 0}}]}`), '8: 0 is no port'],
    [alpha1('{action: Deny, from: [{pods: {podSelector: {}}}]}'), '8: pods without namespaceSelector'],
    [alpha1(`{name: ${'n'.repeat(101)}, action: Deny, from: [{${ANY}}]}`), '8: a name of more than 100 characters'],
    [admin('p', 1001, SUBJECT), '5: priority 1001'],
    [admin('p', 1, ''), '4: the policy has no subject'],
    [baseline(`${SUBJECT}\n  ingress:\n  - {action: Pass, from: [{${ANY}}]}`), '7: action "Pass"'],
  ])('is refused: %s', (policy, error) => {
    expect(errorsOf([policy])).toEqual([error])
  })

  it('of at most 100 rules of a direction', () => {
    const rules = (count: number): string => `  ingress: [${Array.from({ length: count }, () => `{action: Deny, from: [{${ANY}}]}`).join(', ')}]`
    expect(errorsOf([admin('p', 1, `${SUBJECT}\n${rules(100)}`)])).toEqual([])
    expect(errorsOf([admin('p', 1, `${SUBJECT}\n${rules(101)}`)])).toEqual(['7: 101 rules'])
  })

  it('a range that runs backwards, which the CRD takes, matches nothing, and netpol-analyzer stops at it', () => {
    const policy = alpha1(`{action: Deny, from: [{${ANY}}], ports: [{portRange: {start: 10, end: 1}}]}`)
    const told = readTold([policy, pod('shop/a')].join('---\n'))
    expect(told.problems.map(({ severity }) => severity)).toEqual(['warning'])
    expect(told.world.tiers[0].policies[0].ingress[0].ports.fixed.isEmpty).toBe(true)
    expect(errorsOf([policy], { as: 'np-guard' })).toEqual(['8: ports 10 to 1: the range is empty'])
  })
})

describe('ClusterNetworkPolicy', () => {
  it.each([
    [alpha2(`{action: Allow, from: [{${ANY}}]}`), '9: action "Allow"'],
    [alpha2('{action: Deny, from: []}'), '9: from is empty: the rule is for nobody'],
    [alpha2('{action: Deny, from: [{pods: {namespaceSelector: {}}}]}'), '9: pods without podSelector'],
    [alpha2(`{action: Deny, from: [{${ANY}, pods: {podSelector: {}}}]}`), '9: a peer of several kinds'],
    [alpha2('{action: Deny, to: [{networks: [x]}]}', 'egress'), '9: "x" is no prefix'],
    [alpha2('{action: Deny, to: [{networks: [10.0.0.0/8, 10.0.0.0/8]}]}', 'egress'), '9: "10.0.0.0/8" stands twice'],
    [alpha2(`{action: Deny, from: [{${ANY}}], protocols: []}`), '9: protocols is empty'],
    [alpha2(`{action: Deny, from: [{${ANY}}], protocols: [{}]}`), '9: an entry that says no protocol'],
    [alpha2(`{action: Deny, from: [{${ANY}}], protocols: [{tcp: {destinationPort: {range: {start: 5, end: 5}}}}]}`), '9: range 5 to 5'],
    [alpha2(`{action: Deny, from: [${Array.from({ length: 26 }, () => `{${ANY}}`).join(', ')}]}`), '9: 26 items in from'],
    [clusterPolicy('p', 'Admin', `  priority: 1001\n${SUBJECT}`), '6: priority 1001'],
  ])('is refused: %s', (policy, error) => {
    expect(errorsOf([policy])).toEqual([error])
  })

  it('takes pods without a namespaceSelector, and nodes and names of domains of the experimental channel', () => {
    expect(errorsOf([alpha2('{action: Deny, from: [{pods: {podSelector: {}}}]}')])).toEqual([])
    const told = readTold(alpha2("{action: Accept, to: [{nodes: {}}, {domainNames: ['*.kubernetes.io']}]}", 'egress'))
    expect(told.problems.map(({ severity, line }) => [severity, line])).toEqual([['warning', 9]])
  })
})
