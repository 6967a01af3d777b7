/** The traps that naive engines fall into: NetworkPolicy itself, its selectors, isolation, ports and special peers. */
import { describe, expect, it } from 'vitest'
import { parseRange, type AddressRange } from '../../src/policy/address-range.js'
import { ConnectionSet } from '../../src/policy/connections.js'
import { DENY_INGRESS, errorsOf, isOpen, made, namespace, networkPolicy, node, pair, pod } from './trap-kit.js'

const WEB = pod('shop/web', { ip: '10.1.0.1' })
const DB = pod('shop/db', { ip: '10.1.0.2', ports: '{name: sql, containerPort: 5432}' })
const SPY = pod('lab/spy', { ip: '10.2.0.1' })
const PODS = [WEB, DB, SPY]

/** Ingress of db alone, as the rules say. */
function toDb(rules: string): string {
  return networkPolicy('shop/db', `  podSelector: {matchLabels: {app: db}}\n  policyTypes: [Ingress]\n${rules}`)
}

describe('selectors and scope', () => {
  it('trap 1: an ipBlock matches pod addresses, or does not, as the switch says; the answer says that it rests on it', () => {
    const documents = [...PODS, toDb('  ingress: [{from: [{ipBlock: {cidr: 10.2.0.0/16}}]}]')]
    expect(isOpen(made(documents), 'lab/spy', 'shop/db', 80)).toBe(true)
    expect(isOpen(made(documents), 'shop/web', 'shop/db', 80)).toBe(false)
    expect(pair(made(documents), 'lab/spy', 'shop/db').assumed).toContain('ipblock-pod')
    expect(isOpen(made(documents, { ipBlock: 'outside-only' }), 'lab/spy', 'shop/db', 80)).toBe(false)
  })

  it('trap 2: all ports of TCP, UDP and SCTP are not every connection', () => {
    const ports = '[{protocol: TCP}, {protocol: UDP}, {protocol: SCTP}]'
    const some = pair(made([...PODS, toDb(`  ingress: [{ports: ${ports}}]`)]), 'lab/spy', 'shop/db')
    const every = pair(made([...PODS, toDb('  ingress: [{}]')]), 'lab/spy', 'shop/db')
    expect(some.allowed.equals(ConnectionSet.transport)).toBe(true)
    expect(every.allowed.isAll).toBe(true)
    expect(some.allowed.has({ protocol: 'ICMP', port: 8 * 256 })).toBe(false)
  })

  it('trap 3: an empty rule is all peers and all ports, an empty list of rules none', () => {
    expect(isOpen(made([...PODS, toDb('  ingress: [{}]')]), 'lab/spy', 'shop/db', 1)).toBe(true)
    for (const rules of ['  ingress: []', '', '  ingress: null']) expect(isOpen(made([...PODS, toDb(rules)]), 'lab/spy', 'shop/db', 1), rules).toBe(false)
  })

  it('trap 4: from and ports, absent or empty, name everything', () => {
    for (const rule of ['{from: [], ports: [{port: 80}]}', '{ports: [{port: 80}]}', '{from: null, ports: [{port: 80}]}']) {
      const world = made([...PODS, toDb(`  ingress: [${rule}]`)])
      expect([isOpen(world, 'lab/spy', 'shop/db', 80), isOpen(world, 'lab/spy', 'shop/db', 81), isOpen(world, '8.8.8.8', 'shop/db', 80)]).toEqual([
        true,
        false,
        true,
      ])
    }
    const anyPort = made([...PODS, toDb('  ingress: [{from: [{podSelector: {}}], ports: []}]')])
    expect(pair(anyPort, 'shop/web', 'shop/db').allowed.isAll).toBe(true)
  })

  it('trap 5: an empty, null or absent podSelector is every pod of the namespace', () => {
    for (const selector of ['  podSelector: {}', '  podSelector: null', '']) {
      const world = made([...PODS, networkPolicy('shop/p', `${selector}\n  policyTypes: [Ingress]`)])
      expect([isOpen(world, 'lab/spy', 'shop/web', 80), isOpen(world, 'lab/spy', 'shop/db', 80), isOpen(world, 'shop/web', 'lab/spy', 80)], selector).toEqual([
        false,
        false,
        true,
      ])
    }
  })

  const labs = [namespace('lab', 'env: test'), namespace('shop', 'env: prod'), pod('lab/web', { ip: '10.2.0.2' })]

  it('trap 6: both selectors in one peer are AND, in two peers OR', () => {
    const and = made([...PODS, ...labs, toDb('  ingress: [{from: [{namespaceSelector: {matchLabels: {env: test}}, podSelector: {matchLabels: {app: web}}}]}]')])
    const or = made([
      ...PODS,
      ...labs,
      toDb('  ingress: [{from: [{namespaceSelector: {matchLabels: {env: test}}}, {podSelector: {matchLabels: {app: web}}}]}]'),
    ])
    const ask = (world: ReturnType<typeof made>): boolean[] => ['lab/web', 'lab/spy', 'shop/web'].map((source) => isOpen(world, source, 'shop/db', 80))
    expect(ask(and)).toEqual([true, false, false])
    expect(ask(or)).toEqual([true, true, true])
  })

  it("trap 7: without a namespaceSelector a peer is of the policy's namespace; an empty one is every namespace", () => {
    const own = made([...PODS, ...labs, toDb('  ingress: [{from: [{podSelector: {}}]}]')])
    const every = made([...PODS, ...labs, toDb('  ingress: [{from: [{namespaceSelector: {}}]}]')])
    expect([isOpen(own, 'shop/web', 'shop/db', 80), isOpen(own, 'lab/web', 'shop/db', 80)]).toEqual([true, false])
    expect([isOpen(every, 'shop/web', 'shop/db', 80), isOpen(every, 'lab/web', 'shop/db', 80), isOpen(every, '8.8.8.8', 'shop/db', 80)]).toEqual([
      true,
      true,
      false,
    ])
  })

  it('trap 8: a podSelector alone never reaches another namespace', () => {
    const world = made([...PODS, ...labs, toDb('  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]')])
    expect([isOpen(world, 'shop/web', 'shop/db', 80), isOpen(world, 'lab/web', 'shop/db', 80)]).toEqual([true, false])
  })

  it('trap 9: NotIn and DoesNotExist match what lacks the key', () => {
    for (const expression of ['{key: tier, operator: NotIn, values: [gold]}', '{key: tier, operator: DoesNotExist}']) {
      const world = made([
        ...PODS,
        pod('shop/gold', { labels: 'tier: gold' }),
        toDb(`  ingress: [{from: [{podSelector: {matchExpressions: [${expression}]}}]}]`),
      ])
      expect([isOpen(world, 'shop/web', 'shop/db', 80), isOpen(world, 'shop/gold', 'shop/db', 80)], expression).toEqual([true, false])
    }
  })

  it('trap 10: every namespace has kubernetes.io/metadata.name, written down or not, declared or not', () => {
    const rule = "  ingress: [{from: [{namespaceSelector: {matchLabels: {'kubernetes.io/metadata.name': lab}}}]}]"
    for (const documents of [PODS, [...PODS, namespace('lab')]]) {
      const world = made([...documents, toDb(rule)])
      expect([isOpen(world, 'lab/spy', 'shop/db', 80), isOpen(world, 'shop/web', 'shop/db', 80)]).toEqual([true, false])
    }
  })

  it('trap 11: a policy without a namespace lives in default', () => {
    const policy = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}}\n'
    const world = made([...PODS, pod('default/a'), policy])
    expect([isOpen(world, 'lab/spy', 'default/a', 80), isOpen(world, 'lab/spy', 'shop/db', 80)]).toEqual([false, true])
  })

  it("trap 12: the template's labels count, not the workload's", () => {
    const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop, labels: {app: decoy}}
spec:
  selector: {matchLabels: {app: api}}
  template: {metadata: {labels: {app: api}}, spec: {containers: [{name: c, image: c}]}}
`
    const deny = (app: string): string => networkPolicy('shop/p', `  podSelector: {matchLabels: {app: ${app}}}`)
    expect(isOpen(made([...PODS, deployment, deny('api')]), 'lab/spy', 'deploy/shop/api', 80)).toBe(false)
    expect(isOpen(made([...PODS, deployment, deny('decoy')]), 'lab/spy', 'deploy/shop/api', 80)).toBe(true)
  })

  it('trap 13: pods of one owner with other labels stay apart', () => {
    const owned = (name: string, labels: string): string =>
      pod(`shop/${name}`, { labels }).replace('metadata: {', 'metadata: {ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: rs, uid: u}], ')
    const world = made([
      SPY,
      owned('rs-a', 'app: api'),
      owned('rs-b', 'app: api, canary: "yes"'),
      networkPolicy('shop/p', '  podSelector: {matchLabels: {canary: "yes"}}'),
    ])
    expect([isOpen(world, 'lab/spy', 'shop/rs-a', 80), isOpen(world, 'lab/spy', 'shop/rs-b', 80)]).toEqual([true, false])
  })

  it('trap 14: labels of namespaces open and close, and a pod’s own label moves it into isolation', () => {
    const rule = toDb('  ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}}]}]')
    expect(isOpen(made([...PODS, namespace('lab', 'team: a'), rule]), 'lab/spy', 'shop/db', 80)).toBe(true)
    expect(isOpen(made([...PODS, namespace('lab', 'team: b'), rule]), 'lab/spy', 'shop/db', 80)).toBe(false)
    expect(isOpen(made([SPY, pod('shop/db', { labels: 'app: other' }), rule]), 'lab/spy', 'shop/db', 80)).toBe(true)
  })
})

describe('isolation and combination', () => {
  const toWeb = '[{to: [{podSelector: {matchLabels: {app: web}}}]}]'

  it('trap 15: policyTypes left out are Ingress always, Egress where there are rules for it', () => {
    const egressOnly = made([...PODS, networkPolicy('shop/p', `  podSelector: {matchLabels: {app: db}}\n  egress: ${toWeb}`)])
    expect([isOpen(egressOnly, 'lab/spy', 'shop/db', 80), isOpen(egressOnly, 'shop/db', 'shop/web', 80), isOpen(egressOnly, 'shop/db', 'lab/spy', 80)]).toEqual(
      [false, true, false],
    )
    const empty = made([...PODS, networkPolicy('shop/p', '  podSelector: {matchLabels: {app: db}}\n  egress: []')])
    expect([isOpen(empty, 'shop/db', 'lab/spy', 80), isOpen(empty, 'lab/spy', 'shop/db', 80)]).toEqual([true, false])
    const ignored = made([...PODS, networkPolicy('shop/p', `  podSelector: {matchLabels: {app: db}}\n  policyTypes: [Ingress]\n  egress: ${toWeb}`)])
    expect(isOpen(ignored, 'shop/db', 'lab/spy', 80)).toBe(true)
  })

  it('trap 16: isolation is by direction', () => {
    const world = made([...PODS, networkPolicy('shop/p', DENY_INGRESS)])
    expect([isOpen(world, 'lab/spy', 'shop/db', 80), isOpen(world, 'shop/db', 'lab/spy', 80)]).toEqual([false, true])
  })

  it('trap 17: policies unite; nothing takes away, and allow-all wins over deny-all', () => {
    const world = made([...PODS, networkPolicy('shop/deny', DENY_INGRESS), networkPolicy('shop/allow', '  podSelector: {}\n  ingress: [{}]')])
    expect(pair(world, 'lab/spy', 'shop/db').allowed.isAll).toBe(true)
  })

  it('trap 18: a flow needs the egress of its source and the ingress of its target', () => {
    const out = networkPolicy('lab/out', '  podSelector: {}\n  policyTypes: [Egress]\n  egress: [{ports: [{port: 80}, {port: 81}]}]')
    const within = toDb('  ingress: [{ports: [{port: 81}, {port: 82}]}]')
    const world = made([...PODS, out, within])
    expect(pair(world, 'lab/spy', 'shop/db').allowed.equals(ConnectionSet.of('TCP', 81))).toBe(true)
  })

  it('trap 19: replies are free: the other direction of an allowed connection is not asked', () => {
    const world = made([
      ...PODS,
      networkPolicy('shop/p', '  podSelector: {}\n  policyTypes: [Ingress]\n  ingress: [{from: [{namespaceSelector: {}}]}]'),
      networkPolicy('lab/p', DENY_INGRESS),
    ])
    expect([isOpen(world, 'lab/spy', 'shop/db', 80), isOpen(world, 'shop/db', 'lab/spy', 80)]).toEqual([true, false])
  })

  it('trap 20: without the last policy that selects it a pod is isolated no more', () => {
    expect(isOpen(made([...PODS, toDb('')]), 'lab/spy', 'shop/db', 80)).toBe(false)
    const open = pair(made(PODS), 'lab/spy', 'shop/db')
    expect([open.allowed.isAll, open.ingress.parts.map(({ reason }) => reason.kind)]).toEqual([true, ['default']])
  })

  it('trap 21: the order of NetworkPolicies and of their rules says nothing', () => {
    const rules = ['{from: [{podSelector: {}}], ports: [{port: 80}]}', '{from: [{namespaceSelector: {}}], ports: [{port: 81}]}', '{ports: [{port: 443}]}']
    const policies = [toDb(`  ingress: [${rules.join(', ')}]`), networkPolicy('shop/all', DENY_INGRESS)]
    const turned = [networkPolicy('shop/all', DENY_INGRESS), toDb(`  ingress: [${rules.toReversed().join(', ')}]`)]
    for (const source of ['lab/spy', 'shop/web', '9.9.9.9']) {
      const [one, other] = [policies, turned].map((some) => pair(made([...PODS, ...some]), source, 'shop/db').allowed.key)
      expect(one).toBe(other)
    }
  })
})

describe('ports', () => {
  it('trap 22: a port without a protocol is TCP', () => {
    const world = made([...PODS, toDb('  ingress: [{ports: [{port: 53}]}]')])
    expect([isOpen(world, 'lab/spy', 'shop/db', 53), isOpen(world, 'lab/spy', 'shop/db', 53, 'UDP')]).toEqual([true, false])
  })

  it('trap 23: a port by name is what the destination calls so, by its protocol; nobody has it: nothing matches, and the pod stays isolated', () => {
    const other = pod('shop/db2', { labels: 'app: db', ports: '{name: sql, containerPort: 3306}, {name: dns, containerPort: 53, protocol: UDP}' })
    const world = made([...PODS, other, toDb('  ingress: [{ports: [{port: sql}, {port: dns}, {port: none}]}]')])
    expect([5432, 3306, 53].map((port) => isOpen(world, 'lab/spy', 'shop/db', port))).toEqual([true, false, false])
    expect([5432, 3306].map((port) => isOpen(world, 'lab/spy', 'shop/db2', port))).toEqual([false, true])
    expect(isOpen(world, 'lab/spy', 'shop/db2', 53, 'UDP')).toBe(false)
    const out = '  podSelector: {}\n  policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: sql}]}]'
    const egress = made([...PODS, networkPolicy('lab/p', out)])
    expect(pair(egress, 'lab/spy', '8.8.8.8').allowed.isEmpty).toBe(true)
  })

  it('trap 24: a rule of UDP or SCTP opens no TCP, and isolates all the same', () => {
    for (const protocol of ['UDP', 'SCTP'] as const) {
      const world = made([...PODS, toDb(`  ingress: [{ports: [{protocol: ${protocol}, port: 80}]}]`)])
      expect([isOpen(world, 'lab/spy', 'shop/db', 80, protocol), isOpen(world, 'lab/spy', 'shop/db', 80)]).toEqual([true, false])
    }
  })

  it('trap 25: endPort is in the range, needs a number, and is no less than port', () => {
    const world = made([...PODS, toDb('  ingress: [{ports: [{port: 80, endPort: 82}]}]')])
    expect([79, 80, 82, 83].map((port) => isOpen(world, 'lab/spy', 'shop/db', port))).toEqual([false, true, true, false])
    const faults = (port: string): readonly string[] => errorsOf([toDb(`  ingress:\n  - ports:\n    - ${port}`)])
    expect(faults('{port: 82, endPort: 80}')).toEqual(['9: endPort 80 is less than port 82'])
    expect(faults('{port: http, endPort: 80}')).toEqual(['9: endPort with a port by name'])
    expect(faults('{endPort: 80}')).toEqual(['9: endPort without port'])
    expect(faults('{port: 80, endPort: 80}')).toEqual([])
  })

  it("trap 26: a policy's ports are the pods', not the Service's", () => {
    const service =
      'apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.96.0.1, selector: {app: db}, ports: [{port: 80, targetPort: sql}]}\n'
    const world = made([...PODS, service, toDb('  ingress: [{ports: [{port: 5432}]}]')])
    expect([isOpen(world, 'lab/spy', 'shop/db', 5432), isOpen(world, 'lab/spy', 'shop/db', 80)]).toEqual([true, false])
  })
})

describe('special peers', () => {
  it('trap 27: a pod to its own address is not governed, unless the switch says so; the answer says that it rests on it', () => {
    const documents = [...PODS, toDb('')]
    const own = pair(made(documents), 'shop/db', 'shop/db')
    expect([own.allowed.isAll, own.assumed]).toEqual([true, ['hairpin']])
    expect(isOpen(made(documents, { hairpin: 'governed' }), 'shop/db', 'shop/db', 80)).toBe(false)
  })

  it('trap 28: a node reaches its own pods; pods on its network are the node', () => {
    const nodes = [node('n1', '192.168.0.1'), node('n2', '192.168.0.2')]
    const host = pod('shop/agent', { spec: '  hostNetwork: true', node: 'n2' })
    const documents = [...PODS, ...nodes, host, toDb('  ingress: [{from: [{podSelector: {}}]}]')]
    const world = made(documents)
    expect([isOpen(world, 'node/n1', 'shop/db', 80), isOpen(world, 'node/n2', 'shop/db', 80)]).toEqual([true, false])
    expect([isOpen(world, 'shop/agent', 'shop/db', 80), isOpen(world, 'lab/spy', 'shop/agent', 80)]).toEqual([false, true])
    expect(pair(world, 'shop/agent', 'shop/db').assumed).toContain('host-network')
    expect(isOpen(made(documents, { hostNetwork: 'pod' }), 'shop/agent', 'shop/db', 80)).toBe(true)
    expect(isOpen(made(documents, { ownNode: 'governed' }), 'node/n1', 'shop/db', 80)).toBe(false)
  })

  it('trap 29: except lies inside its cidr; what one policy excepts another may allow', () => {
    const block = (cidr: string, except: string): string => `  ingress: [{from: [{ipBlock: {cidr: ${cidr}, except: [${except}]}}]}]`
    const one = toDb(block('8.0.0.0/8', '8.8.0.0/16'))
    const two = networkPolicy('shop/two', '  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 8.8.8.0/24}}]}]')
    const ask = (documents: readonly string[]): boolean[] => ['8.1.1.1', '8.8.1.1', '8.8.8.8'].map((from) => isOpen(made(documents), from, 'shop/db', 80))
    expect(ask([...PODS, one])).toEqual([true, false, false])
    expect(ask([...PODS, one, two])).toEqual([true, false, true])
    expect(errorsOf([toDb(block('8.0.0.0/8', '9.0.0.0/16'))])).toEqual(['7: 9.0.0.0/16 is not a part of 8.0.0.0/8'])
    expect(errorsOf([toDb(block('8.0.0.0/8', '8.0.0.0/8'))])).toEqual(['7: 8.0.0.0/8 is not a part of 8.0.0.0/8'])
  })

  it('trap 30: what is seen of a source outside may be a node: an ipBlock of clients does not match it', () => {
    const world = made([...PODS, node('n2', '192.168.0.2'), toDb('  ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]')])
    expect([isOpen(world, '203.0.113.7', 'shop/db', 80), isOpen(world, 'node/n2', 'shop/db', 80)]).toEqual([true, false])
  })

  it('trap 31: a rule of IPv4 says nothing of an IPv6 peer', () => {
    const both = pod('lab/dual').replace('status: {phase: Running', "status: {phase: Running, podIP: 10.2.0.9, podIPs: [{ip: 10.2.0.9}, {ip: 'fd00::9'}]")
    const six = pod('lab/six').replace('status: {phase: Running', "status: {phase: Running, podIP: 'fd00::6', podIPs: [{ip: 'fd00::6'}]")
    const world = made([...PODS, both, six, toDb('  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]')])
    expect(['lab/dual', 'lab/six', '8.8.8.8', '2001:db8::1'].map((from) => isOpen(world, from, 'shop/db', 80))).toEqual([true, false, true, false])
    expect(parseRange('fd00::/8')).toMatchObject<Partial<AddressRange>>({ family: 6 })
  })
})
