/** Calico's policies in the words of the rule model: tiers, order, both sides of a rule, sets, profiles, host endpoints. */
import { describe, expect, it } from 'vitest'
import { ConnectionSet } from '../../src/policy/connections.js'
import { readTold } from './kit.js'
import { DENY_INGRESS, isOpen, made, namespace, networkPolicy, node, pair, pod } from './trap-kit.js'

const PODS = [
  namespace('shop', 'team: shop'),
  namespace('lab', 'team: lab'),
  pod('shop/db', { ip: '10.1.0.2', ports: '{name: sql, containerPort: 5432}' }),
  pod('shop/web', { ip: '10.1.0.1' }),
  pod('lab/spy', { ip: '10.2.0.1', spec: '  serviceAccountName: robot' }),
]

function object(kind: string, name: string, spec: string, meta = ''): string {
  const [of, own] = name.includes('/') ? name.split('/') : ['', name]
  return `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${own}${of === '' ? '' : `, namespace: ${of}`}${meta}}\nspec: {${spec}}\n`
}

const world = (...documents: string[]): ReturnType<typeof made> => made([...PODS, ...documents], { as: 'calico' })
/** A GlobalNetworkPolicy for db with one ingress rule, Allow. */
const allowing = (rule: string): string => object('GlobalNetworkPolicy', 'p', `selector: app == 'db', types: [Ingress], ingress: [{action: Allow, ${rule}}]`)
const sources = (of: ReturnType<typeof made>, port = 80): boolean[] => ['shop/web', 'lab/spy', '8.8.8.8'].map((source) => isOpen(of, source, 'shop/db', port))

describe('order', () => {
  const rule = (name: string, tier: string, order: number, action: string): string =>
    object(
      'GlobalNetworkPolicy',
      name,
      `tier: ${tier}, order: ${order}, selector: app == 'db', ingress: [{action: ${action}, source: {selector: app == 'spy'}}]`,
    )
  const tier = (name: string, order: number, defaultAction = 'Deny'): string => object('Tier', name, `order: ${order}, defaultAction: ${defaultAction}`)

  it('tiers go by their order, policies by theirs; Pass goes on to the next tier', () => {
    expect(isOpen(world(tier('a', 1), tier('b', 2), rule('x', 'a', 1, 'Deny'), rule('y', 'b', 1, 'Allow')), 'lab/spy', 'shop/db', 80)).toBe(false)
    expect(isOpen(world(tier('a', 2), tier('b', 1), rule('x', 'a', 1, 'Deny'), rule('y', 'b', 1, 'Allow')), 'lab/spy', 'shop/db', 80)).toBe(true)
    expect(isOpen(world(tier('a', 1), tier('b', 2), rule('x', 'a', 1, 'Pass'), rule('y', 'b', 1, 'Allow')), 'lab/spy', 'shop/db', 80)).toBe(true)
    expect(isOpen(world(tier('a', 1), rule('x', 'a', 2, 'Deny'), rule('y', 'a', 1, 'Allow')), 'lab/spy', 'shop/db', 80)).toBe(true)
  })

  it('the end of a tier denies where it selected the pod, or passes on as it says', () => {
    expect(sources(world(tier('a', 1), rule('x', 'a', 1, 'Allow')))).toEqual([false, true, false])
    expect(sources(world(tier('a', 1, 'Pass'), rule('x', 'a', 1, 'Allow')))).toEqual([true, true, true])
  })

  it('NetworkPolicies of Kubernetes stand in the tier default with the order 1000', () => {
    const np = networkPolicy('shop/np', DENY_INGRESS)
    const early = object('GlobalNetworkPolicy', 'early', "order: 999, selector: app == 'db', ingress: [{action: Allow}]")
    const late = object('GlobalNetworkPolicy', 'late', "order: 1001, selector: app == 'db', ingress: [{action: Deny}]")
    expect(sources(world(np, early))).toEqual([true, true, true])
    expect(sources(world(networkPolicy('shop/np', '  podSelector: {}\n  ingress: [{}]'), late))).toEqual([true, true, true])
  })

  it('a tier that nobody made comes behind all others, and its end denies', () => {
    const { world: of, problems } = readTold([...PODS, rule('x', 'lost', 1, 'Allow')].join('---\n'), { as: 'calico' })
    expect([of.tiers.map(({ name, atEnd }) => [name, atEnd]), problems.map(({ severity }) => severity)]).toEqual([[['lost', 'deny']], ['warning']])
  })

  it('AdminNetworkPolicy has no effect, which is said; whoever asks for another view is told that Calico’s are left out', () => {
    const anp = 'apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: a}\nspec: {priority: 1, subject: {namespaces: {}}}\n'
    const told = readTold([...PODS, anp, allowing('protocol: TCP')].join('---\n'), { as: 'calico' })
    expect(told.problems.map(({ object: of }) => of)).toEqual(['AdminNetworkPolicy/a'])
    const api = readTold([...PODS, allowing('protocol: TCP')].join('---\n'), { as: 'api' })
    expect([api.world.tiers, api.problems.map(({ what }) => what)]).toEqual([[], ['a policy of Calico: left out with --as api']])
  })
})

describe('what Calico does not know', () => {
  const policy = (action: string): string =>
    `apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec: {tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: ${action}, to: [{nodes: {}}]}]}\n`

  it('a peer by nodes fails closed, and is named', () => {
    const told = (action: string): ReturnType<typeof readTold> => readTold([...PODS, policy(action)].join('---\n'), { as: 'calico' })
    expect(told('Deny').problems.map(({ what }) => what)).toEqual(['a peer that Calico cannot read: the rule denies everything'])
    expect(isOpen(told('Deny').world, 'shop/web', 'lab/spy', 80)).toBe(false)
    expect(isOpen(told('Accept').world, 'shop/web', 'lab/spy', 80)).toBe(true)
    expect(isOpen(made([...PODS, policy('Deny')]), 'shop/web', 'lab/spy', 80)).toBe(true)
  })

  it('http is the application layer’s, which is said', () => {
    const { problems } = readTold(object('GlobalNetworkPolicy', 'p', 'ingress: [{action: Allow, http: {methods: [GET]}}]'), { as: 'calico' })
    expect(problems.map(({ what }) => what.split(':')[0])).toEqual(['INCOMPLETE'])
  })
})

describe('rules', () => {
  it.each([
    ["source: {selector: app == 'spy'}", [false, true, false]],
    ["source: {notSelector: app == 'spy'}", [true, false, true]],
    ["source: {namespaceSelector: team == 'lab'}", [false, true, false]],
    ["source: {namespaceSelector: 'all()'}", [true, true, false]],
    ['source: {serviceAccounts: {names: [robot]}}', [false, true, false]],
    ['source: {nets: [10.2.0.0/16]}', [false, true, false]],
    ['source: {notNets: [10.0.0.0/8]}', [false, false, true]],
    ['source: {nets: [0.0.0.0/0], notNets: [8.0.0.0/8]}', [true, true, false]],
    ['ipVersion: 6', [false, false, false]],
    ["destination: {selector: app == 'web'}", [false, false, false]],
    ["destination: {selector: app == 'db'}", [true, true, true]],
  ])('%s', (rule, expected) => {
    expect(sources(world(allowing(rule)))).toEqual(expected)
  })

  it.each([
    ['protocol: TCP, destination: {ports: [80, 82:83]}', ConnectionSet.union([ConnectionSet.of('TCP', 80), ConnectionSet.of('TCP', 82, 83)])],
    ['protocol: TCP, destination: {ports: [sql]}', ConnectionSet.of('TCP', 5432)],
    ['destination: {ports: [sql]}', ConnectionSet.of('TCP', 5432)],
    ['protocol: UDP, destination: {ports: [sql]}', ConnectionSet.none],
    ['protocol: TCP, destination: {notPorts: ["1:79", sql]}', ConnectionSet.of('TCP', 80, 65535).minus(ConnectionSet.of('TCP', 5432))],
    ['protocol: ICMP, icmp: {type: 8}', ConnectionSet.of('ICMP', 8 * 256, 8 * 256 + 255)],
    ['protocol: ICMP, icmp: {type: 3, code: 4}', ConnectionSet.of('ICMP', 3 * 256 + 4)],
    ['protocol: ICMP, notICMP: {type: 8}', ConnectionSet.of('ICMP').minus(ConnectionSet.of('ICMP', 8 * 256, 8 * 256 + 255))],
    ['notProtocol: TCP', ConnectionSet.all.minus(ConnectionSet.of('TCP'))],
    ['protocol: 47', ConnectionSet.of(47)],
    ['protocol: TCP, source: {ports: ["1:1024"]}', ConnectionSet.none],
    ['protocol: TCP, source: {notPorts: ["1:1024"]}', ConnectionSet.of('TCP')],
  ])('%s', (rule, expected) => {
    expect(pair(world(allowing(rule)), 'lab/spy', 'shop/db').allowed.key).toBe(expected.key)
  })

  it('a rule of a namespaced policy is confined to the namespace only where it names endpoints', () => {
    const policy = (rule: string): string => object('NetworkPolicy', 'shop/p', `selector: app == 'db', ingress: [{action: Allow, ${rule}}]`)
    expect(sources(world(policy("source: {selector: 'all()'}")))).toEqual([true, false, false])
    expect(sources(world(policy("source: {notSelector: app == 'x'}")))).toEqual([true, false, false])
    expect(sources(world(policy('protocol: TCP')))).toEqual([true, true, true])
  })

  it('network sets are found by their labels, namespaced ones by those of their namespace too, and select no pods for a policy', () => {
    const global = object('GlobalNetworkSet', 's', "nets: ['8.8.0.0/16']", ', labels: {who: dns}')
    expect(sources(world(global, allowing("source: {selector: who == 'dns'}")))).toEqual([false, false, true])
    const own = object('NetworkSet', 'lab/s', "nets: ['8.8.0.0/16']")
    expect(sources(world(own, allowing("source: {namespaceSelector: team == 'lab'}")))).toEqual([false, true, true])
    const around = object('GlobalNetworkSet', 's', "nets: ['10.0.0.0/8']", ', labels: {who: pods}')
    expect(sources(world(around, object('GlobalNetworkPolicy', 'p', "selector: who == 'pods', types: [Ingress]")))).toEqual([true, true, true])
  })

  it('Log decides nothing', () => {
    const policy = object('GlobalNetworkPolicy', 'p', "selector: app == 'db', ingress: [{action: Log}, {action: Allow}]")
    expect(sources(world(policy))).toEqual([true, true, true])
  })
})

describe('host endpoints', () => {
  const nodes = [node('n1', '192.168.0.1'), node('n2', '192.168.0.2')]
  const host = (profiles: string): string =>
    object('HostEndpoint', 'n2-eth0', `node: n2, interfaceName: eth0, expectedIPs: [192.168.0.2], profiles: [${profiles}]`, ', labels: {role: host}')

  it('deny what no policy and no profile of theirs allows, but for the failsafe ports', () => {
    const bare = world(...nodes, host(''))
    expect([80, 22].map((port) => isOpen(bare, 'shop/db', 'node/n2', port))).toEqual([false, true])
    expect(isOpen(bare, 'shop/db', 'node/n1', 80)).toBe(true)
    expect(isOpen(world(...nodes, host('projectcalico-default-allow')), 'shop/db', 'node/n2', 80)).toBe(true)
    const policy = object('GlobalNetworkPolicy', 'p', "selector: role == 'host', ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]")
    expect([80, 81].map((port) => isOpen(world(...nodes, host('projectcalico-default-allow'), policy), 'shop/db', 'node/n2', port))).toEqual([true, false])
  })

  it('say which ports are failsafe by FelixConfiguration', () => {
    const felix = object('FelixConfiguration', 'default', 'failsafeInboundHostPorts: [{protocol: tcp, port: 2222}]')
    expect([22, 2222].map((port) => isOpen(world(...nodes, host(''), felix), 'shop/db', 'node/n2', port))).toEqual([false, true])
  })

  it('what is asked on the way, and not at an end, is named as left out', () => {
    const forward = object('GlobalNetworkPolicy', 'p', "selector: role == 'host', applyOnForward: true, preDNAT: true, ingress: [{action: Deny}]")
    const { problems } = readTold([...PODS, ...nodes, host(''), forward].join('---\n'), { as: 'calico' })
    expect(problems.map(({ what }) => what)).toEqual(['INCOMPLETE: preDNAT: policy answers leave it out'])
  })
})
