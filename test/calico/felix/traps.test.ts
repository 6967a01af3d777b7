/** Traps of the reference page's §7 that no other test walks into: 3, 4, 34, 36, 38, 47. */
import { describe, expect, it } from 'vitest'
import { policyChains } from '../../../src/calico/felix/policy-chains.js'
import { RuleScanner } from '../../../src/calico/felix/rule-scanner.js'
import { answer, networkOf } from '../../kit/network.js'
import { calico, node, pod } from '../kit.js'
import { felixConfig, textOf } from './kit.js'
import { compiled, manifest, podEndpoint } from './manifest.js'

const NETWORK = 'apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: {cni: calico}\n---\n'
const PODS = NETWORK + node('n1', '10.0.0.1') + pod('a', 'n1', { metadata: ', labels: {app: a}' }) + pod('b', 'n1', { metadata: ', labels: {app: b}' })
/** b may be asked, and may say nothing of its own accord; to a nobody may come. */
const POLICIES =
  calico('NetworkPolicy', 'b', "{selector: app == 'b', types: [Ingress, Egress], ingress: [{action: Allow}]}", { metadata: ', namespace: default' }) +
  calico('NetworkPolicy', 'a', "{selector: app == 'a', types: [Ingress]}", { metadata: ', namespace: default' })

describe('what is known', () => {
  const network = networkOf(PODS + POLICIES)

  it('3: is not asked again, whatever policy says of its direction', () => {
    expect(answer(network, 'b', 'a:80', { proto: 'tcp', listen: true }).document.disposition).toBe('DENIED')
    expect(answer(network, 'a', 'b:80', { proto: 'tcp', listen: true }).document.disposition).toBe('DELIVERED')
  })

  it('4: passes one endpoint’s chain; the other’s is not visited', () => {
    const { document } = answer(network, 'a', 'b:80', { proto: 'tcp', listen: true })
    const verdicts = document.reply?.hops.flatMap(({ steps }) => steps.flatMap(({ policy }) => policy ?? [])) ?? []
    expect(verdicts.map(({ reason, endpoint }) => [reason, endpoint])).toEqual([['connection', 'Pod/default/b']])
  })
})

describe('selectors', () => {
  it('34: a host endpoint is what it expects, never what its interface has', () => {
    const heps =
      calico('HostEndpoint', 'h1', '{node: n1, interfaceName: eth0, expectedIPs: [192.168.10.11]}', { metadata: ', labels: {host: "yes"}' }) +
      calico('HostEndpoint', 'h2', '{node: n1, interfaceName: eth1}', { metadata: ', labels: {host: "yes"}' })
    const policies = compiled(heps + calico('GlobalNetworkPolicy', 'p', '{ingress: [{action: Allow, source: {selector: has(host)}}]}'), [])
    expect([...policies.scanner.sets.values()].map((set) => policies.index.membersOf(set))).toEqual([['192.168.10.11']])
  })
})

describe('order', () => {
  const POD = podEndpoint({ name: 'a', address: '10.0.0.2', interfaceName: 'calia', labels: { app: 'a' } })
  const normal = (text: string) => compiled(text, [POD]).resolver.resolve(POD.labels).normal
  const chains = (text: string): string[] =>
    normal(text).flatMap(({ ingress }) => ingress.flatMap(({ policies }) => policies.map(({ namespace, name }) => `${namespace}/${name}`)))

  it('36: a tier that nobody made comes last, and its end denies', () => {
    const tiers = normal(
      calico('GlobalNetworkPolicy', 'ghost.x', '{tier: ghost, order: 1, selector: all(), ingress: [{action: Pass}]}') +
        calico('GlobalNetworkPolicy', 'y', '{order: 9, selector: all(), ingress: [{action: Pass}]}'),
    )
    expect(tiers.map(({ name, defaultAction }) => [name, defaultAction])).toEqual([
      ['default', 'Deny'],
      // neither Pass nor Deny: taken as Deny
      ['ghost', ''],
    ])
  })

  it('47: of one order the bare name decides, then the namespace', () => {
    const global = (name: string): string => calico('GlobalNetworkPolicy', name, '{order: 5, selector: all()}')
    const namespaced = (name: string): string => calico('NetworkPolicy', name, '{order: 5}', { metadata: ', namespace: default' })
    expect(chains(global('m') + namespaced('a') + namespaced('z'))).toEqual(['default/a', '/m', 'default/z'])
  })
})

describe('rules', () => {
  it('38: HTTP is not for iptables, which lets all of the port in', () => {
    const { policies } = manifest(
      calico(
        'GlobalNetworkPolicy',
        'h',
        '{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}, http: {methods: [GET], paths: [{prefix: /x}]}}]}',
      ),
    )
    const rules = new RuleScanner().policy(policies[0])
    expect(textOf(rules === undefined ? [] : policyChains(rules, felixConfig())[0].rules)).toEqual([
      '-p tcp -m multiport --destination-ports 80 --jump MARK --set-mark 0x10000/0x10000',
    ])
  })
})
