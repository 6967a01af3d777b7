/**
 * Random policies of every dialect, with every field that decides: NetworkPolicy, ClusterNetworkPolicy v1alpha2, Calico's v3 policies with tiers, profiles,
 * network sets and host endpoints; over the few labels, nets and ports that policy-draft.ts gives its pods.
 */
import type { Draw } from './draw.js'
import { calicoResource } from './random-policies.js'
import type { ResourceDraft } from './random-world.js'

export type Dialect = 'kubernetes' | 'cluster' | 'calico' | 'mixed' | 'hosts'

type Fields = Record<string, unknown>

const NAMESPACES = ['default', 'prod', 'dev'] as const
const NETS = [
  '10.244.0.0/16',
  '10.244.1.0/24',
  '10.244.2.10/32',
  '10.244.0.0/15',
  '192.168.10.0/24',
  '192.168.10.12/32',
  '203.0.113.0/24',
  '0.0.0.0/0',
] as const
const APPS = ['web', 'db', 'cache'] as const

/** @param nodes how many */
export function policiesOf(draw: Draw, dialect: Dialect, nodes: number): ResourceDraft[] {
  switch (dialect) {
    case 'kubernetes':
      return draw.times(draw.int(1, 6), (index) => kubernetesPolicy(draw, index))
    case 'cluster':
      return [...draw.times(draw.int(1, 5), (index) => clusterPolicy(draw, index)), ...draw.times(draw.int(0, 2), (index) => kubernetesPolicy(draw, index))]
    case 'calico':
      return calicoObjects(draw, draw.int(1, 7))
    case 'mixed':
      return [
        ...draw.times(draw.int(0, 2), (index) => clusterPolicy(draw, index)),
        ...draw.times(draw.int(1, 3), (index) => kubernetesPolicy(draw, index)),
        ...calicoObjects(draw, draw.int(1, 4)),
      ]
    case 'hosts':
      return [
        ...draw.times(draw.int(0, 1), (index) => kubernetesPolicy(draw, index)),
        ...calicoObjects(draw, draw.int(0, 3)),
        ...draw
          .some(
            draw.times(nodes, (index) => index),
            1,
            nodes,
          )
          .map((index) => hostEndpoint(draw, index)),
        ...draw.times(draw.int(1, 3), (index) => hostPolicy(draw, index)),
      ]
  }
}

function labelSelector(draw: Draw, keys: 'pods' | 'namespaces'): Fields {
  const [key, values, other] = keys === 'pods' ? (['app', APPS, 'role'] as const) : (['team', ['shop', 'bank'], 'env'] as const)
  return draw.weighted<Fields>([
    [4, { matchLabels: { [key]: draw.pick(values) } }],
    [3, {}],
    [2, { matchExpressions: [{ key: other, operator: draw.pick(['Exists', 'DoesNotExist']) }] }],
    [2, { matchExpressions: [{ key, operator: draw.pick(['In', 'NotIn']), values: draw.some(values, 1, 2) }] }],
    [1, { matchLabels: { [key]: draw.pick(values) }, matchExpressions: [{ key: other, operator: draw.pick(['Exists', 'DoesNotExist']) }] }],
    [keys === 'namespaces' ? 2 : 0, { matchLabels: { 'kubernetes.io/metadata.name': draw.pick(NAMESPACES) } }],
  ])
}

function ipBlock(draw: Draw): Fields {
  const within: Readonly<Record<string, readonly string[]>> = {
    '10.244.0.0/16': ['10.244.1.0/24', '10.244.2.10/32', '10.244.2.0/28'],
    '0.0.0.0/0': ['10.244.0.0/16', '203.0.113.128/25', '192.168.10.0/24'],
    '203.0.113.0/24': ['203.0.113.200/32'],
  }
  const cidr = draw.pick(NETS)
  const except = Object.hasOwn(within, cidr) && draw.chance(50) ? { except: draw.some(within[cidr], 1, 2) } : {}
  return { cidr, ...except }
}

function kubernetesPolicy(draw: Draw, index: number): ResourceDraft {
  const peer = (): Fields =>
    draw.weighted<Fields>([
      [4, { podSelector: labelSelector(draw, 'pods') }],
      [3, { namespaceSelector: labelSelector(draw, 'namespaces') }],
      [2, { namespaceSelector: labelSelector(draw, 'namespaces'), podSelector: labelSelector(draw, 'pods') }],
      [3, { ipBlock: ipBlock(draw) }],
    ])
  const port = (): Fields =>
    draw.weighted<Fields>([
      [3, { port: draw.pick([80, 443, 8080]) }],
      [2, { port: draw.pick([53, 80]), protocol: 'UDP' }],
      [2, { port: draw.pick(['http', 'admin', 'nobody']) }],
      [1, { port: 'dns', protocol: 'UDP' }],
      [1, { port: 'http', protocol: 'UDP' }],
      [2, { port: draw.pick([50, 79, 8000]), endPort: draw.pick([9000, 65535]), protocol: draw.pick(['TCP', 'UDP', 'SCTP']) }],
      [1, { protocol: draw.pick(['TCP', 'UDP', 'SCTP']) }],
      [1, { port: draw.pick([3868, 'diam']), protocol: 'SCTP' }],
      [1, { port: 1 }],
      [1, { port: 65535, protocol: 'TCP' }],
    ])
  const rules = (end: 'from' | 'to'): Fields[] =>
    draw.times(draw.int(0, 2), () => ({
      ...(draw.chance(75) ? { [end]: draw.times(draw.int(0, 2), peer) } : {}),
      ...(draw.chance(65) ? { ports: draw.times(draw.int(0, 3), port) } : {}),
    }))
  const types = draw.weighted<readonly string[] | undefined>([
    [3, ['Ingress']],
    [3, ['Egress']],
    [3, ['Ingress', 'Egress']],
    [2, undefined],
  ])
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `k${index}`, ...(draw.chance(10) ? {} : { namespace: draw.pick(NAMESPACES) }) },
    spec: {
      podSelector: labelSelector(draw, 'pods'),
      ...(types === undefined ? {} : { policyTypes: types }),
      ...(draw.chance(80) ? { ingress: rules('from') } : {}),
      ...(draw.chance(70) ? { egress: rules('to') } : {}),
    },
  }
}

function clusterPolicy(draw: Draw, index: number): ResourceDraft {
  const pods = (): Fields => ({
    ...(draw.chance(80) ? { namespaceSelector: labelSelector(draw, 'namespaces') } : {}),
    podSelector: labelSelector(draw, 'pods'),
  })
  const whom = (): Fields => (draw.chance(50) ? { namespaces: labelSelector(draw, 'namespaces') } : { pods: pods() })
  const protocol = (): Fields =>
    draw.weighted<Fields>([
      [3, { tcp: { destinationPort: { number: draw.pick([80, 443, 9000]) } } }],
      [2, { udp: { destinationPort: { number: 53 } } }],
      [2, { tcp: { destinationPort: { range: { start: 79, end: draw.pick([81, 8080]) } } } }],
      [1, { sctp: { destinationPort: { range: { start: 3000, end: 4000 } } } }],
      [1, { udp: { destinationPort: { range: { start: 1, end: 65535 } } } }],
      [2, { destinationNamedPort: draw.pick(['http', 'dns', 'diam', 'nobody']) }],
    ])
  const rules = (direction: 'ingress' | 'egress'): Fields[] =>
    draw.times(draw.int(0, 3), (at) => {
      const networks = direction === 'egress' && draw.chance(35)
      const peers = draw.times(draw.int(1, 2), () => (networks ? { networks: draw.some(NETS, 1, 2) } : whom()))
      const protocols = draw.times(draw.int(1, 3), protocol).filter((one) => !(networks && 'destinationNamedPort' in one))
      return {
        ...(draw.chance(50) ? { name: `rule ${at}` } : {}),
        action: draw.pick(['Accept', 'Accept', 'Deny', 'Deny', 'Pass']),
        [direction === 'ingress' ? 'from' : 'to']: peers,
        ...(draw.chance(60) && protocols.length > 0 ? { protocols } : {}),
      }
    })
  const tier = draw.chance(60) ? 'Admin' : 'Baseline'
  return {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name: `c${index}` },
    spec: { tier, priority: draw.int(0, 4), subject: whom(), ingress: rules('ingress'), egress: rules('egress') },
  }
}

const SELECTORS = [
  "app == 'web'",
  "app != 'web'",
  "app in {'web','db'}",
  "app not in {'cache'}",
  'has(role)',
  '!has(role)',
  "app == 'db' && role == 'back'",
  "app starts with 'w' || role == 'front'",
  "app contains 'a'",
  "app ends with 'b'",
  'all()',
  "site == 'office'",
  "projectcalico.org/namespace == 'prod'",
  "projectcalico.org/serviceaccount == 'seller'",
  "pcns.team == 'bank'",
  "!(site == 'office') && has(app)",
] as const
const NAMESPACE_SELECTORS = [
  "team == 'shop'",
  "team == 'bank'",
  "env == 'live'",
  '!has(team)',
  'all()',
  'global()',
  "projectcalico.org/name == 'prod'",
] as const

function calicoObjects(draw: Draw, policies: number): ResourceDraft[] {
  const tiers = draw.times(
    draw.weighted([
      [4, 0],
      [3, 1],
      [2, 2],
    ]),
    (index) => `tier${index}`,
  )
  return [
    ...draw.times(draw.int(0, 2), (index) => networkSet(draw, index)),
    ...tiers.map((name) =>
      calicoResource('Tier', name, {
        ...(draw.chance(85) ? { order: draw.pick([100, 200, 1000000, 2000000]) } : {}),
        ...(draw.chance(50) ? { defaultAction: draw.pick(['Pass', 'Deny']) } : {}),
      }),
    ),
    ...draw.times(policies, (index) => calicoPolicy(draw, index, tiers)),
  ]
}

function networkSet(draw: Draw, index: number): ResourceDraft {
  const spec = { nets: draw.some(NETS, 1, 3) }
  const labels = { site: draw.pick(['office', 'branch']), ...(draw.chance(20) ? { app: 'web' } : {}) }
  const own = draw.chance(50) ? { name: `set${index}`, labels } : { name: `set${index}`, namespace: draw.pick(NAMESPACES), labels }
  return { apiVersion: 'projectcalico.org/v3', kind: 'namespace' in own ? 'NetworkSet' : 'GlobalNetworkSet', metadata: own, spec }
}

function calicoPolicy(draw: Draw, index: number, tiers: readonly string[]): ResourceDraft {
  const tier = draw.pick(['default', ...tiers])
  const name = tier === 'default' ? `p${index}` : `${tier}.p${index}`
  const kind = draw.weighted([
    [10, draw.chance(50) ? 'GlobalNetworkPolicy' : 'NetworkPolicy'],
    [1, draw.chance(50) ? 'StagedGlobalNetworkPolicy' : 'StagedNetworkPolicy'],
  ])
  const global = kind.includes('Global')
  const spec = {
    tier,
    ...(draw.chance(70) ? { order: draw.int(1, 4) * 10 } : {}),
    ...(draw.chance(85) ? { selector: draw.pick(SELECTORS) } : {}),
    ...(global && draw.chance(40) ? { namespaceSelector: draw.pick(NAMESPACE_SELECTORS.filter((one) => one !== 'global()')) } : {}),
    ...(draw.chance(15) ? { serviceAccountSelector: draw.pick(["projectcalico.org/name == 'seller'", "rank == 'high'", 'all()']) } : {}),
    ...rulesByType(draw),
  }
  return calicoResource(kind, name, spec, global ? undefined : draw.pick(NAMESPACES))
}

/** Without `types` they follow from the rules. */
function rulesByType(draw: Draw): Fields {
  const types = draw.some(['Ingress', 'Egress'], 1, 2)
  const rules = (direction: 'ingress' | 'egress'): Fields[] => draw.times(draw.int(0, 3), () => rule(draw, direction))
  return {
    ...(draw.chance(75) ? { types } : {}),
    ...(types.includes('Ingress') || draw.chance(10) ? { ingress: rules('ingress') } : {}),
    ...(types.includes('Egress') || draw.chance(10) ? { egress: rules('egress') } : {}),
  }
}

function rule(draw: Draw, direction: 'ingress' | 'egress'): Fields {
  const action = draw.weighted([
    [5, 'Allow'],
    [4, 'Deny'],
    [1, 'Log'],
    [2, 'Pass'],
  ])
  const protocol = draw.weighted<unknown>([
    [4, 'TCP'],
    [3, 'UDP'],
    [2, 'ICMP'],
    [4, undefined],
    [2, draw.pick(['SCTP', 'UDPLite', 47, 6, 17])],
  ])
  const ports = protocol === 'TCP' || protocol === 'UDP' || protocol === 6 || protocol === 17 || protocol === 'SCTP'
  const icmp = { type: draw.pick([0, 3, 8, 11]), ...(draw.chance(30) ? { code: draw.int(0, 1) } : {}) }
  const [here, there] = direction === 'ingress' ? (['destination', 'source'] as const) : (['source', 'destination'] as const)
  const onDestination = (side: string): boolean => ports && draw.chance(side === 'destination' ? 55 : 12)
  return {
    action,
    ...(protocol === undefined ? {} : { protocol }),
    ...(protocol === undefined && draw.chance(20) ? { notProtocol: draw.pick(['TCP', 'UDP', 'ICMP', 47]) } : {}),
    ...(protocol === 'ICMP' && draw.chance(60) ? { [draw.pick(['icmp', 'icmp', 'notICMP'])]: icmp } : {}),
    ...(draw.chance(8) ? { ipVersion: 4 } : {}),
    ...(draw.chance(70) ? { [there]: entity(draw, { ports: onDestination(there), side: there, here: false }) } : {}),
    ...(draw.chance(45) ? { [here]: entity(draw, { ports: onDestination(here), side: here, here: true }) } : {}),
  }
}

interface EntityOptions {
  readonly ports: boolean
  readonly side: 'source' | 'destination'
  /** The end that the policy selects. */
  readonly here: boolean
}

function entity(draw: Draw, { ports, side, here }: EntityOptions): Fields {
  // of a Service are addresses and ports: with hardly anything beside it
  if (!here && draw.chance(10)) return { services: { name: draw.pick(['svc0', 'svc1']), namespace: draw.pick(['default', 'prod']) } }
  const fields: Fields = {}
  if (draw.chance(25)) fields.nets = draw.some(NETS, 1, 3)
  if (draw.chance(15)) fields.notNets = draw.some(NETS.slice(0, 7), 1, 2)
  if (draw.chance(35)) fields.selector = draw.pick(SELECTORS)
  if (draw.chance(15)) fields.notSelector = draw.pick(SELECTORS)
  if (draw.chance(20)) fields.namespaceSelector = draw.pick(NAMESPACE_SELECTORS)
  if (draw.chance(10))
    fields.serviceAccounts = draw.pick<unknown>([
      { names: ['seller'] },
      { selector: 'all()' },
      { selector: "rank == 'high'" },
      { names: ['seller', 'default'] },
    ])
  if (!ports) return fields
  const names = side === 'destination' ? ['http', 'admin', 'dns', 'diam', 'nobody'] : []
  const list = (): unknown[] =>
    draw.times(draw.int(1, 3), () => draw.pick<unknown>([80, 443, 53, 9000, 40000, '50:100', '8000:10000', '30000:65535', ...names]))
  const which = draw.weighted([
    [6, ['ports']],
    [2, ['notPorts']],
    [1, ['ports', 'notPorts']],
  ])
  for (const field of which) fields[field] = list()
  return fields
}

function hostEndpoint(draw: Draw, index: number): ResourceDraft {
  const spec = {
    node: `n${index + 1}`,
    interfaceName: '*',
    expectedIPs: [`192.168.10.${11 + index}`],
    ...(draw.chance(50) ? { profiles: ['projectcalico-default-allow'] } : {}),
    ...(draw.chance(30) ? { ports: [{ name: 'http', protocol: 'TCP', port: 80 }] } : {}),
  }
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'HostEndpoint',
    metadata: { name: `hep-n${index + 1}`, labels: { host: 'edge', rack: draw.pick(['a', 'b']) } },
    spec,
  }
}

/** Without applyOnForward, doNotTrack and preDNAT: what policies mean is asked at ends, not on the way (src/policy/dialects/calico.ts says so of each). */
function hostPolicy(draw: Draw, index: number): ResourceDraft {
  const spec: Fields = {
    order: draw.int(1, 4) * 10,
    selector: draw.pick(["host == 'edge'", 'has(host)', "rack == 'a'", 'all()']),
    ...rulesByType(draw),
  }
  return calicoResource('GlobalNetworkPolicy', `h${index}`, spec)
}
