/**
 * Random worlds in the words of the rule model, of every shape that it has: tiers that pass and deny, named ports, networks, network sets, nodes
 * with and without host endpoints, pods on the host's network, Services, accounts. Small alphabets, so that things meet.
 */
import { Prng } from '../../src/base/prng.js'
import type { Labels } from '../../src/cluster/labels.js'
import { selectorOf, type Selector, type SelectorNode } from '../../src/cluster/selector.js'
import { parseRange, type AddressRange } from '../../src/policy/address-range.js'
import { ConnectionSet, type Protocol } from '../../src/policy/connections.js'
import type {
  Condition,
  Direction,
  End,
  OutsideRange,
  Peer,
  PodPort,
  Policy,
  PolicyNode,
  PolicyPod,
  PolicyRule,
  PolicyWorld,
  RulePorts,
  Switches,
  Tier,
} from '../../src/policy/model.js'
import { outsideRanges } from '../../src/policy/outside.js'

export const AT = { file: 'random.yaml', line: 1 } as const
const KEYS = ['app', 'tier', 'env', 'constructor']
const VALUES = ['a', 'b', 'ab', '']
const NAMESPACES = ['n0', 'n1', 'n2', 'n3']
const ACCOUNTS = ['default', 'robot']
const NODES = ['k0', 'k1', 'k2']
const NETWORKS = [
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.1.0/24',
  '10.1.1.4/31',
  '10.1.1.5',
  '10.2.0.0/15',
  '192.0.2.0/25',
  'fd00::/8',
  'fd00::1:0/112',
  '::/0',
]
const PORT_NAMES = ['http', 'dns', 'web']

export class Draw {
  private readonly prng: Prng

  constructor(seed: number) {
    this.prng = new Prng(seed)
  }

  below(bound: number): number {
    return this.prng.below(bound)
  }

  chance(percent: number): boolean {
    return this.below(100) < percent
  }

  one<T>(list: readonly T[]): T {
    return list[this.below(list.length)]
  }

  some<T>(list: readonly T[], percent: number): T[] {
    return list.filter(() => this.chance(percent))
  }

  times<T>(most: number, make: (index: number) => T): T[] {
    return Array.from({ length: this.below(most + 1) }, (_, index) => make(index))
  }
}

export function range(text: string): AddressRange {
  const found = parseRange(text)
  if (found === undefined) throw new TypeError(text)
  return found
}

export function randomLabels(draw: Draw): Labels {
  return Object.fromEntries(draw.some(KEYS, 45).map((key) => [key, draw.one(VALUES)]))
}

function randomNode(draw: Draw, labels: readonly string[], depth: number): SelectorNode {
  const label = draw.one(labels)
  const kind = draw.below(depth > 0 ? 10 : 6)
  switch (kind) {
    case 0:
      return { kind: 'all' }
    case 1:
      return { kind: 'has', label }
    case 2:
    case 3:
      return { kind: 'compare', label, operator: draw.one(['==', '!=', 'contains', 'starts with', 'ends with'] as const), value: draw.one(VALUES) }
    case 4:
    case 5:
      return { kind: draw.one(['in', 'not in'] as const), label, values: draw.some(VALUES, 50) }
    case 6:
    case 7:
      return { kind: 'not', operand: randomNode(draw, labels, depth - 1) }
    default:
      return { kind: draw.one(['and', 'or'] as const), operands: draw.times(3, () => randomNode(draw, labels, depth - 1)) }
  }
}

function randomSelector(draw: Draw, of: string): Selector {
  const prefixes = of.startsWith('endpoint') ? ['', 'pcns.', 'pcsa.'] : ['']
  const own = of.startsWith('endpoint') ? ['projectcalico.org/namespace', 'projectcalico.org/serviceaccount'] : []
  return selectorOf(randomNode(draw, [...prefixes.flatMap((prefix) => KEYS.map((key) => prefix + key)), ...own], 2))
}

function randomCondition(draw: Draw): Condition {
  const words = 'drawn'
  const of = draw.one(['pod', 'pod', 'pod', 'namespace', 'namespace', 'serviceAccount', 'node', 'endpoint', 'endpointItself'] as const)
  switch (draw.below(12)) {
    case 0:
    case 1:
      return { ...AT, words, kind: 'namespace', name: draw.one(NAMESPACES) }
    case 2:
    case 3:
      return {
        ...AT,
        words,
        kind: 'networks',
        include: draw.some(NETWORKS, 15).map(range),
        exclude: draw.some(NETWORKS, 8).map(range),
        ...(draw.chance(20) ? { podsToo: true } : {}),
      }
    case 4:
      return { ...AT, words, kind: 'notLabels', of: 'endpoint', selector: randomSelector(draw, 'endpoint') }
    case 5:
      return { ...AT, words, kind: 'serviceAccounts', names: draw.some(ACCOUNTS, 60) }
    case 6:
      return draw.chance(50)
        ? { ...AT, words, kind: 'service', namespace: 'n0', name: draw.one(['s0', 's1']), withPorts: draw.chance(60) }
        : { ...AT, words, kind: 'never' }
    default:
      return { ...AT, words, kind: 'labels', of, selector: randomSelector(draw, of) }
  }
}

function randomConditions(draw: Draw): Condition[] {
  return draw.times(draw.chance(70) ? 1 : 3, () => randomCondition(draw))
}

function randomPeer(draw: Draw): Peer {
  return { ...AT, words: 'drawn', conditions: randomConditions(draw) }
}

export function randomConnections(draw: Draw): ConnectionSet {
  return ConnectionSet.union(
    draw.times(3, () => {
      const protocol = draw.one<Protocol>(['TCP', 'TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPv6', 47, 'TCP'])
      const first = draw.one([1, 53, 80, 80, 8080, 65535])
      return draw.chance(25) ? ConnectionSet.of(protocol) : ConnectionSet.of(protocol, first, draw.chance(60) ? first : first + draw.below(200))
    }),
  )
}

function randomPorts(draw: Draw): RulePorts {
  const names = (percent: number): RulePorts['named'] =>
    draw.some(PORT_NAMES, percent).map((name) => (draw.chance(70) ? { name, protocol: draw.one<Protocol>(['TCP', 'UDP']) } : { name }))
  const fixed = draw.one([ConnectionSet.all, ConnectionSet.transport, ConnectionSet.none, randomConnections(draw), randomConnections(draw)])
  const plain = draw.chance(60)
  return {
    fixed,
    named: plain ? [] : names(50),
    ...(draw.chance(15) ? { within: randomConnections(draw) } : {}),
    except: plain ? [] : names(20),
    words: 'drawn',
  }
}

function randomRule(draw: Draw, index: number, actions: readonly PolicyRule['action'][]): PolicyRule {
  const peers = draw.chance(20) ? [{ ...AT, words: 'everybody', conditions: [] }] : draw.times(3, () => randomPeer(draw))
  return {
    ...AT,
    index,
    action: draw.one(actions),
    peers,
    local: draw.chance(15) ? randomConditions(draw) : [],
    ports: randomPorts(draw),
    ...(draw.chance(8) ? { sourcePorts: [[draw.below(2) * 40000, 65535]] as const } : {}),
  }
}

export function randomPolicy(draw: Draw, name: string, plain: boolean): Policy {
  const actions: readonly PolicyRule['action'][] = plain ? ['allow'] : ['allow', 'allow', 'deny', 'deny', 'pass', 'log']
  const directions = draw.one<readonly Direction[]>([['ingress'], ['egress'], ['ingress', 'egress'], ['ingress', 'egress']])
  const rules = (direction: Direction): PolicyRule[] => (directions.includes(direction) ? draw.times(3, (index) => randomRule(draw, index, actions)) : [])
  const namespace = draw.one(NAMESPACES)
  return {
    ...AT,
    kind: plain ? 'NetworkPolicy' : 'GlobalNetworkPolicy',
    namespace: plain ? namespace : '',
    name,
    subject: [...(plain ? [{ ...AT, words: 'own', kind: 'namespace', name: namespace } as const] : []), ...(draw.chance(50) ? randomConditions(draw) : [])],
    subjectWords: 'drawn',
    directions,
    ingress: rules('ingress'),
    egress: rules('egress'),
  }
}

function randomTier(draw: Draw, index: number): Tier {
  const plain = draw.chance(50)
  return {
    name: `tier-${index}`,
    ...(draw.chance(20) ? { ties: 'undefined' } : {}),
    atEnd: plain || draw.chance(50) ? 'deny' : 'next',
    policies: draw.times(plain ? 6 : 3, (policy) => randomPolicy(draw, `policy-${index}-${policy}`, plain)),
  }
}

function randomAddresses(draw: Draw, index: number): AddressRange[] {
  const addresses = draw.chance(85) ? [`10.${1 + draw.below(3)}.1.${index}`] : []
  if (draw.chance(20)) addresses.push(`fd00::${draw.below(2)}:${(index + 1).toString(16)}`)
  if (draw.chance(2)) addresses.push('10.1.1.0/30')
  return addresses.map(range)
}

export function randomPod(draw: Draw, index: number): PolicyPod {
  const name = `p${index}`
  const ports = draw.times(3, (): PodPort => {
    const port = { protocol: draw.one<Protocol>(['TCP', 'UDP']), port: draw.one([53, 80, 8080]) }
    return draw.chance(80) ? { ...port, name: draw.one(PORT_NAMES) } : port
  })
  return {
    ...AT,
    kind: 'pod',
    namespace: draw.one(NAMESPACES),
    name,
    labels: randomLabels(draw),
    ports,
    hostNetwork: draw.chance(12),
    serviceAccount: draw.one(ACCOUNTS),
    ...(draw.chance(80) ? { node: draw.one([...NODES, 'nobody']) } : {}),
    addresses: randomAddresses(draw, index),
    workload: { kind: 'Pod', name },
    imagined: draw.chance(5),
  }
}

function randomSwitches(draw: Draw): Switches {
  return {
    as: 'api',
    ipBlock: draw.one(['pods-too', 'pods-too', 'outside-only']),
    hairpin: draw.one(['allowed', 'governed']),
    ownNode: draw.one(['allowed', 'governed']),
    hostNetwork: draw.one(['node', 'node', 'pod']),
    otherProtocols: draw.one(['governed', 'free']),
    sourcePort: draw.one([1024, 45000]),
  }
}

export interface RandomWorld {
  readonly world: PolicyWorld
  readonly outside: readonly OutsideRange[]
}

export function randomWorld(draw: Draw, pods = 8): RandomWorld {
  const nodes = NODES.map((name, index): PolicyNode => ({ kind: 'node', name, labels: randomLabels(draw), addresses: [range(`10.2.0.${index}`)] }))
  const world: PolicyWorld = {
    namespaces: new Map(draw.some(NAMESPACES, 85).map((name) => [name, { name, labels: randomLabels(draw) }])),
    pods: Array.from({ length: 2 + draw.below(pods) }, (_, index) => randomPod(draw, index)),
    nodes,
    tiers: draw.times(4, (index) => randomTier(draw, index)),
    networkSets: draw.times(2, (index) => ({
      ...AT,
      kind: 'GlobalNetworkSet',
      namespace: '',
      name: `set-${index}`,
      labels: randomLabels(draw),
      ranges: draw.some(NETWORKS, 15).map(range),
    })),
    hostEndpoints: draw
      .some(NODES, 40)
      .map((node) => ({ ...AT, name: `${node}-eth0`, node, labels: randomLabels(draw), profiles: [], addresses: draw.chance(50) ? [range('10.2.0.1')] : [] })),
    services: ['s0', 's1'].map((name) => ({
      namespace: 'n0',
      name,
      endpoints: draw.times(3, () => ({ address: range(`10.1.1.${draw.below(6)}`), port: draw.one([80, 8080]), protocol: 'TCP' })),
    })),
    serviceAccounts: new Map(
      draw
        .some(
          NAMESPACES.flatMap((namespace) => ACCOUNTS.map((account) => `${namespace}/${account}`)),
          60,
        )
        .map((key) => [key, randomLabels(draw)]),
    ),
    switches: randomSwitches(draw),
    ...(draw.chance(3) ? { noEngine: 'nothing here enforces policies' } : {}),
    unenforced: [],
  }
  return { world, outside: outsideRanges(world) }
}

export function endsOf({ world, outside }: RandomWorld): readonly End[] {
  return [...world.pods, ...world.nodes, ...outside]
}

export function nameOf(end: End): string {
  if (end.kind === 'outside') return `outside ${end.range.family}:${end.range.first}`
  return end.kind === 'pod' ? `${end.namespace}/${end.name}` : `node ${end.name}`
}
