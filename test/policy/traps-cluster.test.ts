/** The traps that naive engines fall into: policies of the whole cluster, v1alpha1 and v1alpha2. */
import { describe, expect, it } from 'vitest'
import { ConnectionSet } from '../../src/policy/connections.js'
import { readTold } from './kit.js'
import { admin, baseline, clusterPolicy, DENY_INGRESS, errorsOf, isOpen, made, namespace, networkPolicy, node, pair, pod } from './trap-kit.js'

const PODS = [
  namespace('shop', 'team: shop'),
  namespace('lab', 'team: lab'),
  pod('shop/db', { ip: '10.1.0.2', ports: '{name: sql, containerPort: 5432}, {name: sqludp, containerPort: 5432, protocol: UDP}' }),
  pod('lab/spy', { ip: '10.2.0.1' }),
]
const SHOP = '  subject: {namespaces: {matchLabels: {team: shop}}}'
const FROM_LAB = 'from: [{namespaces: {matchLabels: {team: lab}}}]'
const EVERY_POD = 'from: [{namespaces: {}}]'

function ofAdmin(name: string, priority: number, rules: string): string {
  return admin(name, priority, `${SHOP}\n  ingress: [${rules}]`)
}

/** Tier Admin of v1alpha2. */
function cluster(rules: string, direction: 'ingress' | 'egress' = 'ingress'): string {
  return clusterPolicy('p', 'Admin', `  priority: 10\n${SHOP}\n  ${direction}:\n${rules}`)
}

describe('precedence', () => {
  const deny = ofAdmin('deny', 10, `{action: Deny, ${FROM_LAB}}`)
  const allow = (priority: number): string => ofAdmin('allow', priority, `{action: Allow, ${FROM_LAB}}`)

  it('trap 32: the lower number is asked first; of equal ones nobody knows, and the answer says so', () => {
    expect(isOpen(made([...PODS, deny, allow(5)]), 'lab/spy', 'shop/db', 80)).toBe(true)
    expect(isOpen(made([...PODS, deny, allow(20)]), 'lab/spy', 'shop/db', 80)).toBe(false)
    const { world, problems } = readTold([...PODS, deny, allow(10)].join('---\n'))
    expect(pair(world, 'lab/spy', 'shop/db').assumed).toContain('equal-priority')
    expect(problems.map(({ severity, object }) => [severity, object])).toEqual([['warning', 'AdminNetworkPolicy/deny']])
    const other = ofAdmin('other', 10, `{action: Deny, ${EVERY_POD}, ports: [{portNumber: {port: 22}}]}`)
    expect(pair(made([...PODS, deny, other]), 'lab/spy', 'shop/db').assumed).not.toContain('equal-priority')
  })

  it('trap 33: the first rule that matches wins inside a policy', () => {
    const rules = (first: string, second: string): string => `{action: ${first}, ${FROM_LAB}}, {action: ${second}, ${FROM_LAB}}`
    expect(isOpen(made([...PODS, ofAdmin('p', 1, rules('Allow', 'Deny'))]), 'lab/spy', 'shop/db', 80)).toBe(true)
    expect(isOpen(made([...PODS, ofAdmin('p', 1, rules('Deny', 'Allow'))]), 'lab/spy', 'shop/db', 80)).toBe(false)
  })

  it('trap 34: a port that is not listed goes on to the next rule or policy, not to deny', () => {
    const policy = ofAdmin(
      'p',
      1,
      `{action: Allow, ${FROM_LAB}, ports: [{portNumber: {port: 80}}]}, {action: Deny, ${FROM_LAB}, ports: [{portNumber: {port: 81}}]}`,
    )
    const next = ofAdmin('q', 2, `{action: Deny, ${FROM_LAB}, ports: [{portRange: {start: 80, end: 82}}]}`)
    const world = made([...PODS, policy, next])
    expect([80, 81, 82, 83].map((port) => isOpen(world, 'lab/spy', 'shop/db', port))).toEqual([true, false, false, true])
  })

  it('trap 35: an AdminNetworkPolicy isolates nobody, and without rules of a direction leaves it alone', () => {
    const world = made([...PODS, ofAdmin('p', 1, `{action: Allow, ${FROM_LAB}, ports: [{portNumber: {port: 80}}]}`)])
    expect([isOpen(world, 'lab/spy', 'shop/db', 81), isOpen(world, '8.8.8.8', 'shop/db', 81), isOpen(world, 'shop/db', 'lab/spy', 81)]).toEqual([
      true,
      true,
      true,
    ])
    expect(pair(world, 'shop/db', 'lab/spy').egress.selecting).toEqual([])
    const closed = made([...PODS, ofAdmin('p', 1, `{action: Allow, ${FROM_LAB}, ports: [{portNumber: {port: 80}}]}`), networkPolicy('shop/np', DENY_INGRESS)])
    expect([80, 81].map((port) => isOpen(closed, 'lab/spy', 'shop/db', port))).toEqual([true, false])
  })

  it('trap 36: Pass skips the rest of the admin tier, then NetworkPolicy is asked, then the baseline', () => {
    const pass = ofAdmin('pass', 1, `{action: Pass, ${FROM_LAB}}`)
    const base = baseline(`${SHOP}\n  ingress: [{action: Deny, ${FROM_LAB}, ports: [{portNumber: {port: 80}}]}]`)
    expect(isOpen(made([...PODS, pass, deny]), 'lab/spy', 'shop/db', 80)).toBe(true)
    expect(isOpen(made([...PODS, pass, deny, networkPolicy('shop/np', DENY_INGRESS)]), 'lab/spy', 'shop/db', 80)).toBe(false)
    const world = made([...PODS, pass, deny, base])
    expect([80, 81].map((port) => isOpen(world, 'lab/spy', 'shop/db', port))).toEqual([false, true])
    expect(pair(world, 'lab/spy', 'shop/db').ingress.parts.flatMap(({ passedBy }) => passedBy.map(({ policy }) => policy.name))).toEqual(['pass', 'pass'])
  })

  it('trap 37: Allow of the admin tier beats isolation, Deny beats what a NetworkPolicy allows', () => {
    expect(isOpen(made([...PODS, allow(1), networkPolicy('shop/np', DENY_INGRESS)]), 'lab/spy', 'shop/db', 80)).toBe(true)
    expect(isOpen(made([...PODS, deny, networkPolicy('shop/np', '  podSelector: {}\n  ingress: [{}]')]), 'lab/spy', 'shop/db', 80)).toBe(false)
  })

  it('trap 38: where a NetworkPolicy selects the pod in that direction the baseline is never asked', () => {
    const base = baseline(`${SHOP}\n  ingress: [{action: Deny, ${FROM_LAB}}]\n  egress: [{action: Deny, to: [{namespaces: {}}]}]`)
    const np = networkPolicy('shop/np', '  podSelector: {}\n  policyTypes: [Ingress]\n  ingress: [{}]')
    expect(isOpen(made([...PODS, base]), 'lab/spy', 'shop/db', 80)).toBe(false)
    const world = made([...PODS, base, np])
    expect([isOpen(world, 'lab/spy', 'shop/db', 80), isOpen(world, 'shop/db', 'lab/spy', 80)]).toEqual([true, false])
  })

  it('trap 39: egress and ingress are decided apart, and a flow needs both', () => {
    const out = admin(
      'out',
      1,
      '  subject: {namespaces: {matchLabels: {team: lab}}}\n  egress: [{action: Deny, to: [{namespaces: {matchLabels: {team: shop}}}]}]',
    )
    const { egress, ingress, allowed } = pair(made([...PODS, allow(1), out]), 'lab/spy', 'shop/db')
    expect([egress.allowed.isEmpty, ingress.allowed.isAll, allowed.isEmpty]).toEqual([true, true, true])
  })

  it('trap 40: one baseline of v1alpha1, called default; the tier Baseline of v1alpha2 holds many, by priority', () => {
    expect(errorsOf([baseline(SHOP, 'mine')])).toEqual(['3: the name "mine": a cluster has one baseline, called default'])
    const base = (name: string, priority: number, action: string): string =>
      clusterPolicy(name, 'Baseline', `  priority: ${priority}\n${SHOP}\n  ingress: [{action: ${action}, ${FROM_LAB}}]`)
    expect(isOpen(made([...PODS, base('a', 20, 'Deny'), base('b', 10, 'Accept')]), 'lab/spy', 'shop/db', 80)).toBe(true)
    expect(isOpen(made([...PODS, base('a', 5, 'Deny'), base('b', 10, 'Accept')]), 'lab/spy', 'shop/db', 80)).toBe(false)
  })
})

describe('fields', () => {
  it('trap 41: none or two fields are refused; a peer of an unknown kind fails closed in v1alpha2', () => {
    const peers = (peer: string): readonly string[] => errorsOf([ofAdmin('p', 1, `{action: Allow, from: [${peer}]}`)])
    expect(peers('{}')).toEqual(['7: a peer that says nobody'])
    expect(peers('{namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}')).toEqual(['7: a peer of several kinds: namespaces, pods'])
    expect(errorsOf([admin('p', 1, '  subject: {}')])).toEqual(['6: the policy has no subject'])
    expect(errorsOf([admin('p', 1, '  subject: {namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}')])).toEqual(['6: both namespaces and pods'])
    expect(errorsOf([cluster('  - {action: Deny, from: [{}]}')])).toEqual(['9: a peer that says nobody'])
    const later = (action: string): ReturnType<typeof made> =>
      made([
        ...PODS,
        networkPolicy('shop/np', '  podSelector: {}\n  ingress: [{}]'),
        cluster(`  - {action: ${action}, from: [{galaxies: {}}, {namespaces: {}}]}`),
      ])
    expect(pair(later('Accept'), 'lab/spy', 'shop/db').ingress.parts.map(({ reason }) => reason.kind === 'rule' && reason.policy.kind)).toEqual([
      'NetworkPolicy',
    ])
    for (const action of ['Deny', 'Pass']) {
      expect(pair(later(action), 'lab/spy', 'shop/db').allowed.isEmpty, action).toBe(true)
      expect(pair(later(action), '8.8.8.8', 'shop/db').allowed.isEmpty, action).toBe(true)
    }
  })

  it('trap 42: a port by name beside networks or nodes in one rule is refused', () => {
    for (const peer of ['{networks: [10.0.0.0/8]}', '{nodes: {}}', '{namespaces: {}}, {networks: [10.0.0.0/8]}']) {
      const alpha1 = admin('p', 1, `${SHOP}\n  egress:\n  - {action: Deny, to: [${peer}], ports: [{namedPort: sql}]}`)
      expect(errorsOf([alpha1]), peer).toEqual(['8: a port by name beside networks or nodes, which have none'])
      expect(errorsOf([cluster(`  - {action: Deny, to: [${peer}], protocols: [{destinationNamedPort: sql}]}`, 'egress')]), peer).toEqual([
        '9: a named port beside networks',
      ])
    }
    expect(errorsOf([admin('p', 1, `${SHOP}\n  egress:\n  - {action: Deny, to: [{namespaces: {}}], ports: [{namedPort: sql}]}`)])).toEqual([])
  })

  it('trap 43: the protocol of portNumber is TCP where it is left out; in v1alpha2 it is the key', () => {
    const allowed = (policy: string): ConnectionSet => {
      const world = made([...PODS, networkPolicy('shop/np', DENY_INGRESS), policy])
      return pair(world, 'lab/spy', 'shop/db').allowed
    }
    expect(allowed(ofAdmin('p', 1, `{action: Allow, ${FROM_LAB}, ports: [{portNumber: {port: 80}}]}`)).equals(ConnectionSet.of('TCP', 80))).toBe(true)
    expect(allowed(ofAdmin('p', 1, `{action: Allow, ${FROM_LAB}, ports: [{portNumber: {protocol: UDP, port: 80}}]}`)).equals(ConnectionSet.of('UDP', 80))).toBe(
      true,
    )
    const keyed = '[{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 5, end: 7}}}}, {sctp: {destinationPort: {number: 9}}}]'
    const wanted = ConnectionSet.union([ConnectionSet.of('TCP', 80), ConnectionSet.of('UDP', 5, 7), ConnectionSet.of('SCTP', 9)])
    expect(allowed(cluster(`  - {action: Accept, ${FROM_LAB}, protocols: ${keyed}}`)).equals(wanted)).toBe(true)
    expect(errorsOf([cluster(`  - {action: Accept, ${FROM_LAB}, protocols: [{tcp: {}}]}`)])).toEqual(['9: tcp without destinationPort'])
    const named = allowed(cluster(`  - {action: Accept, ${FROM_LAB}, protocols: [{destinationNamedPort: sqludp}]}`))
    expect(named.equals(ConnectionSet.of('UDP', 5432))).toBe(true)
  })

  it('trap 44: networks match pods, nodes and ICMP as well; pods on the host’s network are in no peer and no subject', () => {
    const nodes = [node('n1', '192.168.0.1'), node('n2', '192.168.0.2')]
    const host = pod('shop/agent', { spec: '  hostNetwork: true', node: 'n2' })
    const everywhere = cluster('  - {action: Deny, to: [{networks: [0.0.0.0/0]}]}', 'egress')
    const world = made([...PODS, ...nodes, host, everywhere], { ipBlock: 'outside-only' })
    for (const destination of ['lab/spy', 'node/n1', '8.8.8.8']) expect(pair(world, 'shop/db', destination).allowed.isEmpty, destination).toBe(true)
    expect(isOpen(world, 'shop/db', 'lab/spy', 8 * 256, 'ICMP')).toBe(false)
    expect(isOpen(world, 'shop/agent', 'lab/spy', 80)).toBe(true)
    expect(pair(world, 'shop/db', 'lab/spy').assumed).toEqual([])
    // of the node itself the input need not say anything
    for (const shown of [[], ['apiVersion: v1\nkind: Node\nmetadata: {name: n2}\n']])
      expect(isOpen(made([...PODS, ...shown, host, everywhere]), 'shop/db', 'shop/agent', 80)).toBe(false)
    const addressed = pod('shop/agent', { spec: '  hostNetwork: true', node: 'n9', ip: '192.168.0.9' })
    const its = made([...PODS, addressed, cluster('  - {action: Deny, to: [{networks: [192.168.0.9/32]}]}', 'egress')])
    expect(isOpen(its, 'shop/db', 'shop/agent', 80)).toBe(false)
    const pods = made([...PODS, ...nodes, host, cluster('  - {action: Deny, to: [{namespaces: {}}]}', 'egress')])
    expect([isOpen(pods, 'shop/db', 'lab/spy', 80), isOpen(pods, 'shop/db', 'shop/agent', 80)]).toEqual([false, true])
  })
})
