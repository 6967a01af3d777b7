/**
 * A policy's or a profile's rules → its two chains. Where one iptables rule cannot say it all (several nets, many ports) a rule becomes
 * blocks that leave their result in two scratch bits. After felix/rules/policy.go.
 *
 *   rule ─▶ [preset bits] [block] [block] … ─▶ match ─▶ set accept|pass|drop ─▶ act on that bit
 */
import type { PolicyDirection } from '../../cluster/calico/policy.js'
import type { FelixConfig } from './config.js'
import type { FelixPolicy, FelixPolicyRule, FelixProfile, FelixRuleSide } from './model.js'
import { ipsetName, isStaged, policyChain, policyIdText, profileChain, qualifiedName, releaseName, shortKind, type PolicyId } from './names.js'
import { NFLOG_GROUP, ruleNflogPrefix } from './nflog.js'
import { splitPorts } from './port-split.js'
import { act, m, type Family, type FelixChain, type FelixRule, type Side } from './rule.js'

/** Whose rules are rendered. */
interface Owner {
  readonly kind: 'policy' | 'profile'
  /** In NFLOG prefixes. */
  readonly id: string
  readonly direction: PolicyDirection
  readonly untracked: boolean
  readonly logPrefix: string
}

/** Inbound and outbound; none for a staged policy. */
export function policyChains(policy: FelixPolicy, config: FelixConfig, family: Family = 4): readonly FelixChain[] {
  if (isStaged(policy.id)) return []
  const { release } = config
  const named = releaseName(policy.id, release)
  const title = release.policyId === 'kind' ? `${policy.id.kind} ${qualifiedName(policy.id)}` : `Policy ${qualifiedName(named)}`
  return (['ingress', 'egress'] as const).map((direction) => ({
    name: policyChain(policy.id, direction, { release, tier: policy.tier }),
    rules: rulesOf(policy[direction], config, {
      family,
      comment: `${title} ${direction}`,
      owner: {
        kind: 'policy',
        id: policyIdText(policy.id),
        direction,
        untracked: policy.untracked,
        logPrefix: logPrefix(config.logPrefix, { tier: policy.tier, kind: shortKind(policy.id.kind), id: policy.id }),
      },
    }),
  }))
}

export function profileChains(profile: FelixProfile, config: FelixConfig, family: Family = 4): readonly FelixChain[] {
  const id: PolicyId = { kind: 'GlobalNetworkPolicy', namespace: '', name: profile.name }
  return (['ingress', 'egress'] as const).map((direction) => ({
    name: profileChain(profile.name, direction),
    rules: rulesOf(profile[direction], config, {
      family,
      comment: `Profile ${profile.name} ${direction}`,
      owner: { kind: 'profile', id: profile.name, direction, untracked: false, logPrefix: logPrefix(config.logPrefix, { tier: '', kind: 'pro', id }) },
    }),
  }))
}

/** %t tier, %k kind, %n name, %p namespace and name. */
function logPrefix(template: string, { tier, kind, id }: { readonly tier: string; readonly kind: string; readonly id: PolicyId }): string {
  const words: Readonly<Record<string, string>> = { '%t': tier, '%k': kind, '%n': id.name, '%p': qualifiedName(id) }
  return template.replace(/%[tknp]/g, (specifier) => words[specifier])
}

interface Rendering {
  readonly family: Family
  readonly comment: string
  readonly owner: Owner
}

/** RETURNs at the end say nothing that the chain's end does not say, and are left out; a chain without rules bears its comment alone. */
function rulesOf(rules: readonly FelixPolicyRule[], config: FelixConfig, { family, comment, owner }: Rendering): readonly FelixRule[] {
  const rendered = rules.flatMap((rule, index) => renderRule(rule, config, { family, owner, index }))
  const end = rendered.findLastIndex(({ action }) => action !== act.return) + 1
  const kept = end === 0 ? [{}] : rendered.slice(0, end)
  return kept.map((rule: FelixRule, i) => (i === 0 ? { ...rule, comments: [...(rule.comments ?? []), comment] } : rule))
}

interface Place {
  readonly family: Family
  readonly owner: Owner
  readonly index: number
}

/** The iptables rules of one rule; none when nothing of this family can match it. */
export function renderRule(rule: FelixPolicyRule, config: FelixConfig, place: Place): readonly FelixRule[] {
  const mine = ofFamily(rule, place.family)
  if (mine === undefined) return []
  const blocks = new MatchBlocks(config.marks.scratch0, config.marks.scratch1)
  const rest = takeBlocks(mine, blocks, place.family)
  const match = [...matchesOf(rest, place.family), ...(blocks.rules.length > 0 ? [m.markSet(config.marks.scratch0)] : [])]
  const notes = Object.entries(rule.annotations).map(([key, value]) => `${key}=${value}`)
  return [...blocks.rules, ...actionRules(mine, match, config, place)].map((rendered) => ({
    ...rendered,
    ...(notes.length === 0 ? {} : { comments: [...(rendered.comments ?? []), ...notes] }),
    ...(rule.provenance === undefined ? {} : { provenance: rule.provenance }),
  }))
}

/** undefined when the rule has no meaning in the family. A list of nets that loses all of its members takes the rule with it. */
function ofFamily(rule: FelixPolicyRule, family: Family): FelixPolicyRule | undefined {
  if (rule.ipVersion !== undefined && rule.ipVersion !== family) return undefined
  const source = sideOfFamily(rule.source, family)
  const destination = sideOfFamily(rule.destination, family)
  return source === undefined || destination === undefined ? undefined : { ...rule, source, destination }
}

function sideOfFamily(side: FelixRuleSide, family: Family): FelixRuleSide | undefined {
  const mine = (net: string): boolean => net.includes(':') === (family === 6)
  const nets = side.nets.filter(mine)
  const notNets = side.notNets.filter(mine)
  const emptied = (side.nets.length > 0 && nets.length === 0) || (side.notNets.length > 0 && notNets.length === 0)
  // iptables would refuse a rule that can match nothing
  return emptied || notNets.includes(family === 4 ? '0.0.0.0/0' : '::/0') ? undefined : { ...side, nets, notNets }
}

/**
 * scratch0: every block so far has passed; scratch1: this one has. As in Felix, scratch1 is not cleared between the second positive block and
 * the later ones, which therefore cannot fail once the second has passed.
 */
class MatchBlocks {
  readonly rules: FelixRule[] = []
  private readonly allPass: number
  private readonly thisPass: number
  private positives = 0

  constructor(allPass: number, thisPass: number) {
    this.allPass = allPass
    this.thisPass = thisPass
  }

  /** One of these must match. */
  positive(alternatives: readonly (readonly string[])[]): void {
    this.preset(0)
    const bit = this.positives === 0 ? this.allPass : this.thisPass
    for (const match of alternatives) this.rules.push({ match, action: act.setMark(bit) })
    if (this.positives++ > 0) this.rules.push({ match: [m.markClear(this.thisPass)], action: act.clearMark(this.allPass) })
  }

  /** None of these may match. */
  negative(alternatives: readonly (readonly string[])[]): void {
    this.preset(this.allPass)
    for (const match of alternatives) this.rules.push({ match, action: act.clearMark(this.allPass) })
  }

  private preset(value: number): void {
    if (this.rules.length === 0) this.rules.push({ action: act.setMaskedMark(value, (this.allPass | this.thisPass) >>> 0) })
  }
}

/** Moves what does not fit one iptables rule into blocks; what is left over goes into the rule itself. */
function takeBlocks(rule: FelixPolicyRule, blocks: MatchBlocks, family: Family): FelixPolicyRule {
  const sides = { source: rule.source, destination: rule.destination }
  for (const name of ['source', 'destination'] as const) {
    const side = sides[name]
    const splits = splitPorts(side.ports)
    if (splits.length + side.namedPorts.length <= 1) continue
    const protocol = rule.protocol === undefined ? [] : [m.protocol(rule.protocol)]
    blocks.positive([...splits.map((ports) => [...protocol, m.ports(name, ports)]), ...side.namedPorts.map((id) => [m.ipPortSet(name, ipsetName(family, id))])])
    sides[name] = { ...side, ports: [], namedPorts: [] }
  }
  for (const name of ['source', 'destination'] as const) {
    if (sides[name].nets.length <= 1) continue
    blocks.positive(sides[name].nets.map((net) => [m.net(name, net)]))
    sides[name] = { ...sides[name], nets: [] }
  }
  for (const name of ['source', 'destination'] as const) {
    const side = sides[name]
    if (side.nets.length + side.notNets.length <= 1) continue
    blocks.negative(side.notNets.map((net) => [m.net(name, net)]))
    sides[name] = { ...side, notNets: [] }
  }
  return { ...rule, ...sides }
}

function matchesOf(rule: FelixPolicyRule, family: Family): readonly string[] {
  const { protocol, notProtocol, icmp, notIcmp, source, destination } = rule
  return [
    ...(protocol === undefined ? [] : [m.protocol(protocol)]),
    ...positiveMatches('source', source, family),
    ...positiveMatches('destination', destination, family),
    ...(icmp === undefined ? [] : [m.icmp(family, icmp.type, icmp.code)]),
    ...(notProtocol === undefined ? [] : [m.notProtocol(notProtocol)]),
    ...negativeMatches('source', source, family),
    ...negativeMatches('destination', destination, family),
    ...(notIcmp === undefined ? [] : [m.notIcmp(family, notIcmp.type, notIcmp.code)]),
  ]
}

function positiveMatches(name: Side, side: FelixRuleSide, family: Family): readonly string[] {
  return [
    ...side.nets.map((net) => m.net(name, net)),
    ...side.sets.map((id) => m.ipset(name, ipsetName(family, id))),
    ...side.ipPortSets.map((id) => m.ipPortSet(name, ipsetName(family, id))),
    ...(side.ports.length === 0 ? [] : [m.ports(name, side.ports)]),
    ...side.namedPorts.map((id) => m.ipPortSet(name, ipsetName(family, id))),
  ]
}

function negativeMatches(name: Side, side: FelixRuleSide, family: Family): readonly string[] {
  const negated = { negated: true }
  return [
    ...side.notNets.map((net) => m.net(name, net, negated)),
    ...side.notSets.map((id) => m.ipset(name, ipsetName(family, id), negated)),
    ...splitPorts(side.notPorts).map((ports) => m.ports(name, ports, negated)),
    ...side.notNamedPorts.map((id) => m.ipPortSet(name, ipsetName(family, id), negated)),
  ]
}

/** The match sets a bit, and what follows acts on the bit: the match may be dear, and the rules that follow are several. */
function actionRules(rule: FelixPolicyRule, match: readonly string[], config: FelixConfig, { owner, index }: Place): readonly FelixRule[] {
  const { marks, flowLogs, deny, logRateLimit } = config
  if (rule.action === 'log') {
    const limited = logRateLimit === undefined ? [] : [m.limit(logRateLimit.rate, logRateLimit.burst)]
    return [{ match: [...limited, ...match], action: act.log(owner.logPrefix) }]
  }
  const bit = rule.action === 'allow' ? marks.accept : rule.action === 'pass' ? marks.pass : marks.drop
  const final = rule.action === 'deny' ? deny : act.return
  const follow = bit === 0 ? match : [m.markSet(bit)]
  return [
    ...(bit === 0 ? [] : [{ match, action: act.setMark(bit) }]),
    ...(flowLogs && !owner.untracked
      ? [
          {
            match: follow,
            action: act.nflog(
              NFLOG_GROUP[owner.direction],
              ruleNflogPrefix(rule.action, { owner: owner.kind, direction: owner.direction, index, id: owner.id }),
            ),
          },
        ]
      : []),
    { match: follow, action: final },
  ]
}
