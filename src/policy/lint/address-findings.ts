/** ipBlocks held against the addresses of Services, pods and nodes, and against what a node writes into packets from outside. */
import type { Finding } from '../../base/finding.js'
import { coversRange, EVERY_IPV4, EVERY_IPV6, formatRange, meetsRange, parseRange, type AddressRange } from '../address-range.js'
import type { Condition, Direction, Peer, Policy, PolicyRule } from '../model.js'
import { lintFinding } from './catalogue.js'
import { isWholeFamily, rangesOf } from './condition-cover.js'
import { counted, DIRECTIONS, listed, podsWords, rulesOf, ruleWords, type LintFacts } from './facts.js'
import { knownNetworks, podsIn, type KnownNetworks } from './known-networks.js'
import { coveringRules, selectsAllOf, type Other } from './rule-cover.js'
import { hidesSource, servicesWithPods, type ServiceBehind } from './service-facts.js'

interface Known extends KnownNetworks {
  readonly behind: readonly ServiceBehind[]
  /** NodeLocal DNSCache: its pods answer to the address of kube-dns, on the node, before anything is translated. */
  readonly hasNodeLocalDns: boolean
}

export function addressFindings(facts: LintFacts): readonly Finding[] {
  const known: Known = { ...knownNetworks(facts.state), behind: servicesWithPods(facts), hasNodeLocalDns: hasNodeLocalDns(facts) }
  return facts.policies.flatMap(({ policy }) =>
    DIRECTIONS.flatMap((direction) =>
      rulesOf(policy, direction).flatMap((rule) => [
        ...rule.peers.flatMap((peer) => blocksOf(peer).flatMap((block) => blockFindings(facts, { policy, direction, rule, peer, block }, known))),
        ...familyFindings(facts, { policy, direction, rule }),
      ]),
    ),
  )
}

export function hasNodeLocalDns({ world }: Pick<LintFacts, 'world'>): boolean {
  return world.pods.some(({ labels, hostNetwork }) => hostNetwork && labels['k8s-app'] === 'node-local-dns')
}

export type Block = Extract<Condition, { kind: 'networks' }>

interface RuleAt {
  readonly policy: Policy
  readonly direction: Direction
  readonly rule: PolicyRule
}

interface BlockAt extends RuleAt {
  readonly peer: Peer
  readonly block: Block
}

export function blocksOf({ conditions }: Peer): readonly Block[] {
  return conditions.filter((one): one is Block => one.kind === 'networks')
}

function blockFindings(facts: LintFacts, at: BlockAt, known: Known): readonly Finding[] {
  const { policy, direction, rule, block } = at
  const evidence = [facts.evidence(policy, block.words, block)]
  const words = ruleWords(policy, direction, rule)
  if (block.include.length === 0) return []
  const left = rangesOf(block)
  if (left.length === 0) return [lintFinding('NP306', { what: `${words}: ${block.words} leaves no address`, evidence })]
  const service = servicesIn(left, known)
  if (service !== undefined) return [lintFinding('NP301', { what: `${words}: ${block.words} is ${service}`, evidence })]
  const isPods = left.every((range) => known.pods.some((net) => coversRange(net, range)) || isPodsAddress(facts, range))
  if (isPods) {
    const count = podsIn(facts.world, left)
    const now = count === 0 ? 'no pod has such an address now' : `${counted(count, 'pod')} ${count === 1 ? 'has' : 'have'} such an address now`
    return [lintFinding('NP302', { what: `${words}: ${block.words} lies in the network of the pods; ${now}`, evidence })]
  }
  return [...coverFindings(facts, at, known), ...hiddenFindings(facts, at, known), ...exceptFindings(facts, at)]
}

/** Of which Service, where nothing but Services has these addresses. */
function servicesIn(left: readonly AddressRange[], { services, clusterIps, hasNodeLocalDns: cached }: Known): string | undefined {
  const named = clusterIps.filter(({ range }) => left.some((one) => coversRange(one, range)))
  if (cached && named.some(({ service }) => service === 'kube-system/kube-dns')) return undefined
  if (left.every((range) => clusterIps.some((one) => coversRange(one.range, range)))) return `the ClusterIP of ${listed(named.map(({ service }) => service))}`
  return left.every((range) => services.some((net) => coversRange(net, range))) ? "within the Services' network" : undefined
}

function isPodsAddress({ world }: LintFacts, range: AddressRange): boolean {
  return range.first === range.last && world.pods.some(({ hostNetwork, addresses }) => !hostNetwork && addresses.some((own) => coversRange(own, range)))
}

/** The network of the pods lies in it whole. */
function coverFindings(facts: LintFacts, { policy, direction, rule, peer, block }: BlockAt, { pods }: Known): readonly Finding[] {
  const left = rangesOf(block)
  const count = podsIn(facts.world, left)
  const nets = pods.filter((net) => left.some((range) => coversRange(range, net)))
  if ((facts.world.switches.ipBlock === 'outside-only' && block.podsToo !== true) || rule.action !== 'allow' || (count === 0 && nets.length === 0)) return []
  // whoever lets everybody in by another peer means the pods as well
  if (rule.peers.some((other) => other !== peer && other.conditions.length <= 1 && facts.matched(other).length === facts.classes.length)) return []
  const what = nets.length > 0 ? `the network of the pods, ${listed(nets.map(formatRange))}` : `the addresses of ${counted(count, 'pod')}`
  return [
    lintFinding('NP303', {
      what: `${ruleWords(policy, direction, rule)}: ${block.words} holds ${what}`,
      evidence: [facts.evidence(policy, block.words, block)],
    }),
  ]
}

/** Where nodes usually are: RFC 1918, RFC 4193. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'].flatMap((text) => parseRange(text) ?? [])

/** Every selected pod is reached from outside through a Service that hides the source, and by no other way. */
function hiddenFindings(facts: LintFacts, { policy, direction, rule, peer, block }: BlockAt, { behind }: Known): readonly Finding[] {
  if (direction !== 'ingress' || rule.action !== 'allow') return []
  const selected = facts.selected(policy)
  const outer = behind.filter(
    ({ service, classes }) => service.type !== 'ClusterIP' && service.type !== 'ExternalName' && classes.some((one) => selected.includes(one)),
  )
  const hiding = outer.filter(({ service }) => hidesSource(service))
  const isBehind = (list: readonly ServiceBehind[], one: (typeof selected)[number]): boolean => list.some(({ classes }) => classes.includes(one))
  const hidden = selected.filter((one) => isBehind(hiding, one))
  if (hidden.length === 0 || hidden.length < selected.length || hiding.length < outer.length) return []
  // a block that holds the nodes as well lets in what they hide
  const left = rangesOf(block)
  const nodes = facts.world.nodes.flatMap(({ addresses }) => addresses)
  if (isWholeFamily(block) || nodes.some((address) => left.some((range) => meetsRange(range, address)))) return []
  // whoever lets everybody in keeps nobody out
  const everybody: Peer = { ...peer, conditions: [{ ...block, include: [EVERY_IPV4], exclude: [] }] }
  const others = facts.policies
    .filter(({ policy: other }) => other.kind === policy.kind && other.namespace === policy.namespace && selectsAllOf(other, policy, direction))
    .flatMap(({ policy: other }) => other[direction].map((one): Other => ({ policy: other, rule: one })))
  if (coveringRules(policy, rule, others, [everybody]) !== undefined) return []
  const [{ service }] = hiding
  const through = listed(hiding.map((one) => `${one.service.type} ${one.service.namespace}/${one.service.name}`))
  return [
    lintFinding('NP304', {
      what: `${ruleWords(policy, direction, rule)}: ${block.words} is to reach ${podsWords(hidden)} through ${through}, which hides the source`,
      evidence: [
        facts.evidence(policy, block.words, block),
        { what: 'externalTrafficPolicy is Cluster', file: service.file, line: service.line, object: `Service/${service.namespace}/${service.name}` },
      ],
      // without nodes in the input it may be theirs
      ...(nodes.length === 0 && left.every((range) => PRIVATE.some((net) => coversRange(net, range))) ? { severity: 'info' as const } : {}),
    }),
  ]
}

/** What a block excepts, and everything else for the same pods allows. Exactly: part of an exception may be allowed on purpose. */
function exceptFindings(facts: LintFacts, { policy, direction, rule, peer, block }: BlockAt): readonly Finding[] {
  if (rule.action !== 'allow' || policy.kind !== 'NetworkPolicy') return []
  const holes = block.exclude.filter((hole) => block.include.some((range) => meetsRange(range, hole)))
  if (holes.length === 0) return []
  const others = facts.policies
    .filter(({ policy: other }) => other.kind === 'NetworkPolicy' && other.namespace === policy.namespace && selectsAllOf(other, policy, direction))
    .flatMap(({ policy: other }) =>
      other[direction].map((one): Other => ({ policy: other, rule: one === rule ? { ...one, peers: one.peers.filter((item) => item !== peer) } : one })),
    )
  return holes.flatMap((hole) => {
    const excepted: Peer = { ...peer, conditions: [{ ...block, include: [hole], exclude: [] }] }
    const by = coveringRules(policy, rule, others, [excepted])
    if (by === undefined || by.length === 0) return []
    const allowing = `${listed(by.map((other) => ruleWords(other.policy, direction, other.rule)))} ${by.length === 1 ? 'allows' : 'allow'} it`
    return [
      lintFinding('NP307', {
        what: `${ruleWords(policy, direction, rule)} excepts ${formatRange(hole)}, and ${allowing}`,
        evidence: [facts.evidence(policy, block.words, block), ...by.map((other) => facts.evidence(other.policy, 'allows it', other.rule))],
      }),
    ]
  })
}

function familyFindings(facts: LintFacts, { policy, direction, rule }: RuleAt): readonly Finding[] {
  const whole = rule.peers.flatMap((peer) =>
    peer.conditions.length === 1 ? blocksOf(peer).filter((block) => block.include.length > 0 && isWholeFamily(block)) : [],
  )
  if (whole.length === 0 || rule.action !== 'allow') return []
  const families = new Set(whole.flatMap(({ include }) => include.filter(({ first, last }) => last - first > 1n << 31n).map(({ family }) => family)))
  const isDual = facts.world.pods.some(({ addresses }) => addresses.some(({ family }) => family === 4) && addresses.some(({ family }) => family === 6))
  if (families.size !== 1 || !isDual) return []
  const [family] = families
  const missing: Peer = { ...rule.peers[0], conditions: [{ ...whole[0], include: [family === 4 ? EVERY_IPV6 : EVERY_IPV4], exclude: [] }] }
  const others = policy[direction].map((one): Other => ({ policy, rule: one }))
  if (coveringRules(policy, rule, others, [missing]) !== undefined) return []
  return [
    lintFinding('NP305', {
      what: `${ruleWords(policy, direction, rule)} names every IPv${family} address and no IPv${family === 4 ? 6 : 4} one; pods have both`,
      evidence: [facts.evidence(policy, whole[0].words, whole[0])],
      fix: `Add ${family === 4 ? '::/0' : '0.0.0.0/0'}.`,
    }),
  ]
}
