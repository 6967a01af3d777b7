/** Random policies, of Kubernetes and of Calico's v3 with all fields of a rule, over the few labels, ports and nets that the pods of a random world have. */
import type { Draw } from './draw.js'
import type { NodeDraft, ResourceDraft } from './random-world.js'

export const APPS = ['web', 'db', 'cache'] as const
export const ROLES = ['front', 'back'] as const
/** Names of containers' ports. */
export const NAMED_PORTS = [
  ['http', 'TCP', 80],
  ['dns', 'UDP', 53],
  ['admin', 'TCP', 9000],
] as const
export const PORTS = [80, 53, 9000, 443, 30080] as const

export const NAMESPACES: readonly ResourceDraft[] = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', labels: { team: 'shop' } } },
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod', labels: { team: 'bank' } } },
]

const NETS = ['10.244.0.0/16', '10.244.1.0/24', '10.244.0.0/18', '192.168.10.0/24', '192.168.10.11/32', '0.0.0.0/0', '203.0.113.0/24'] as const
const SELECTORS = [
  "app == 'web'",
  "app in {'web','db'}",
  "app not in {'cache'}",
  'has(role)',
  '!has(role)',
  "app == 'db' && role == 'back'",
  "app starts with 'w' || role == 'front'",
  'all()',
  "site == 'office'",
  "projectcalico.org/namespace == 'prod'",
] as const
const NAMESPACE_SELECTORS = ["team == 'shop'", "team == 'bank'", 'all()', 'global()', "projectcalico.org/name == 'prod'"] as const
const HOST_SELECTORS = ["host == 'edge'", 'has(host)', "rack == 'a'"] as const

type Fields = Record<string, unknown>

export function calicoResource(kind: string, name: string, spec: Fields, namespace?: string): ResourceDraft {
  return { apiVersion: 'projectcalico.org/v3', kind, metadata: namespace === undefined ? { name } : { name, namespace }, spec }
}

export function policyResources(draw: Draw, nodes: readonly NodeDraft[]): ResourceDraft[] {
  const tiers = draw.times(
    draw.weighted([
      [5, 0],
      [3, 1],
      [2, 2],
    ]),
    (index) => `tier${index}`,
  )
  const hosts = draw.chance(40) ? draw.some(nodes, 1, nodes.length) : []
  return [
    ...draw.times(draw.int(0, 2), (index) => networkSet(draw, index)),
    ...tiers.map((name) =>
      calicoResource('Tier', name, { order: draw.int(1, 3) * 100, ...(draw.chance(40) ? { defaultAction: draw.pick(['Pass', 'Deny']) } : {}) }),
    ),
    ...draw.times(draw.int(0, 2), (index) => kubernetesPolicy(draw, index)),
    ...draw.times(draw.int(0, 4), (index) => calicoPolicy(draw, index, tiers)),
    ...hosts.map((node) => hostEndpoint(draw, node)),
    ...(hosts.length === 0 ? [] : draw.times(draw.int(0, 3), (index) => hostPolicy(draw, index))),
  ]
}

function networkSet(draw: Draw, index: number): ResourceDraft {
  const spec = { nets: draw.some(NETS, 1, 3) }
  const labels = { site: draw.pick(['office', 'branch']) }
  const own = draw.chance(50) ? { name: `set${index}`, labels } : { name: `set${index}`, namespace: draw.pick(['default', 'prod']), labels }
  return { apiVersion: 'projectcalico.org/v3', kind: 'namespace' in own ? 'NetworkSet' : 'GlobalNetworkSet', metadata: own, spec }
}

function labelSelector(draw: Draw): Fields {
  return draw.weighted<Fields>([
    [3, { matchLabels: { app: draw.pick(APPS) } }],
    [2, {}],
    [1, { matchExpressions: [{ key: 'role', operator: draw.pick(['Exists', 'DoesNotExist']) }] }],
    [1, { matchExpressions: [{ key: 'app', operator: draw.pick(['In', 'NotIn']), values: draw.some(APPS, 1, 2) }] }],
  ])
}

function kubernetesPolicy(draw: Draw, index: number): ResourceDraft {
  const peer = (): Fields =>
    draw.weighted<Fields>([
      [3, { podSelector: labelSelector(draw) }],
      [2, { namespaceSelector: { matchLabels: { team: draw.pick(['shop', 'bank']) } } }],
      [1, { namespaceSelector: {}, podSelector: labelSelector(draw) }],
      [2, { ipBlock: { cidr: draw.pick(NETS) } }],
      [1, { ipBlock: { cidr: '10.244.0.0/16', except: ['10.244.1.0/24'] } }],
    ])
  const port = (): Fields =>
    draw.weighted<Fields>([
      [3, { port: draw.pick(PORTS) }],
      [2, { port: draw.pick(PORTS), protocol: 'UDP' }],
      [2, { port: draw.pick(['http', 'admin']) }],
      [1, { port: 'dns', protocol: 'UDP' }],
      [1, { port: 50, endPort: 100 }],
      [1, { protocol: 'UDP' }],
    ])
  const rules = (end: 'from' | 'to'): Fields[] =>
    draw.times(draw.int(0, 2), () => ({
      ...(draw.chance(70) ? { [end]: draw.times(draw.int(1, 2), peer) } : {}),
      ...(draw.chance(60) ? { ports: draw.times(draw.int(1, 2), port) } : {}),
    }))
  const types = draw.some(['Ingress', 'Egress'], 1, 2)
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `k${index}`, namespace: draw.pick(['default', 'prod']) },
    spec: {
      podSelector: labelSelector(draw),
      policyTypes: types,
      ...(types.includes('Ingress') ? { ingress: rules('from') } : {}),
      ...(types.includes('Egress') ? { egress: rules('to') } : {}),
    },
  }
}

function calicoPolicy(draw: Draw, index: number, tiers: readonly string[]): ResourceDraft {
  const tier = draw.pick(['default', ...tiers])
  const name = tier === 'default' ? `p${index}` : `${tier}.p${index}`
  const global = draw.chance(50)
  const spec = {
    tier,
    ...(draw.chance(70) ? { order: draw.int(1, 4) * 10 } : {}),
    ...(draw.chance(85) ? { selector: draw.pick(SELECTORS) } : {}),
    ...(global && draw.chance(40) ? { namespaceSelector: draw.pick(["team == 'shop'", 'all()']) } : {}),
    ...(draw.chance(15) ? { serviceAccountSelector: "projectcalico.org/name == 'seller'" } : {}),
    ...rulesByType(draw, 'pods'),
  }
  return calicoResource(global ? 'GlobalNetworkPolicy' : 'NetworkPolicy', name, spec, global ? undefined : draw.pick(['default', 'prod']))
}

function rulesByType(draw: Draw, of: 'pods' | 'hosts'): Fields {
  const types = draw.some(['Ingress', 'Egress'], 1, 2)
  const rules = (direction: 'ingress' | 'egress'): Fields[] => draw.times(draw.int(0, 3), () => rule(draw, direction, of))
  return { types, ...(types.includes('Ingress') ? { ingress: rules('ingress') } : {}), ...(types.includes('Egress') ? { egress: rules('egress') } : {}) }
}

function rule(draw: Draw, direction: 'ingress' | 'egress', of: 'pods' | 'hosts'): Fields {
  const action = draw.weighted([
    [5, 'Allow'],
    [3, 'Deny'],
    [1, 'Log'],
    [2, 'Pass'],
  ])
  const protocol = draw.weighted<unknown>([
    [3, 'TCP'],
    [3, 'UDP'],
    [2, 'ICMP'],
    [3, undefined],
    [1, draw.pick(['SCTP', 'UDPLite', 47, 6])],
  ])
  const ports = protocol === 'TCP' || protocol === 'UDP' || protocol === 6
  const icmp = { type: draw.pick([0, 3, 8, 11]), ...(draw.chance(30) ? { code: draw.int(0, 4) } : {}) }
  const [here, there] = direction === 'ingress' ? (['destination', 'source'] as const) : (['source', 'destination'] as const)
  return {
    action,
    ...(protocol === undefined ? {} : { protocol }),
    ...(protocol === undefined && draw.chance(15) ? { notProtocol: draw.pick(['TCP', 'UDP', 'ICMP']) } : {}),
    ...(protocol === 'ICMP' && draw.chance(60) ? { [draw.pick(['icmp', 'icmp', 'notICMP'])]: icmp } : {}),
    ...(draw.chance(10) ? { ipVersion: 4 } : {}),
    ...(draw.chance(70) ? { [there]: entity(draw, { ports: ports && draw.chance(direction === 'egress' ? 50 : 15), of, named: direction === 'egress' }) } : {}),
    ...(draw.chance(50)
      ? { [here]: entity(draw, { ports: ports && draw.chance(direction === 'ingress' ? 70 : 15), of, named: direction === 'ingress' }) }
      : {}),
    ...(draw.chance(5) ? { metadata: { annotations: { why: 'drawn' } } } : {}),
  }
}

interface EntityOptions {
  readonly ports: boolean
  readonly of: 'pods' | 'hosts'
  /** Ports by name too. */
  readonly named: boolean
}

function entity(draw: Draw, { ports, of, named }: EntityOptions): Fields {
  const fields: Fields = {}
  if (draw.chance(25)) fields.nets = draw.some(NETS, 1, 3)
  if (draw.chance(15)) fields.notNets = draw.some(NETS.slice(0, 5), 1, 2)
  if (draw.chance(35)) fields.selector = draw.pick(SELECTORS)
  if (draw.chance(15)) fields.notSelector = draw.pick(SELECTORS.slice(0, 7))
  if (draw.chance(20)) fields.namespaceSelector = draw.pick(NAMESPACE_SELECTORS)
  if (draw.chance(8) && of === 'pods') fields.serviceAccounts = draw.chance(50) ? { names: ['seller'] } : { selector: 'all()' }
  if (!ports) return fields
  const list = (): unknown[] =>
    draw.times(draw.int(1, 3), () => draw.pick<unknown>([...PORTS, '50:100', '8000:10000', ...(named ? ['http', 'admin', 'dns'] : [])]))
  fields[draw.chance(80) ? 'ports' : 'notPorts'] = list()
  return fields
}

function hostEndpoint(draw: Draw, { name, address }: NodeDraft): ResourceDraft {
  const spec = {
    node: name,
    ...draw.weighted<Fields>([
      [3, { interfaceName: 'eth0' }],
      [2, { interfaceName: '*' }],
      [1, { expectedIPs: [address] }],
    ]),
    ...(draw.chance(50) ? { profiles: ['projectcalico-default-allow'] } : {}),
    ...(draw.chance(30) ? { ports: [{ name: 'http', protocol: 'TCP', port: 80 }] } : {}),
  }
  const labels = { host: 'edge', rack: draw.pick(['a', 'b']) }
  return { apiVersion: 'projectcalico.org/v3', kind: 'HostEndpoint', metadata: { name: `hep-${name}`, labels }, spec }
}

function hostPolicy(draw: Draw, index: number): ResourceDraft {
  const flags = draw.weighted<Fields>([
    [3, {}],
    [2, { applyOnForward: true }],
    [2, { applyOnForward: true, preDNAT: true }],
    [2, { applyOnForward: true, doNotTrack: true }],
  ])
  const rules = rulesByType(draw, 'hosts')
  const spec: Fields = { order: draw.int(1, 4) * 10, selector: draw.pick(HOST_SELECTORS), ...flags, ...rules }
  if (flags.preDNAT === true) {
    spec.types = ['Ingress']
    delete spec.egress
  }
  return calicoResource('GlobalNetworkPolicy', `h${index}`, spec)
}
