/**
 * The rules of Felix that a packet matched in one table → what policy said, endpoint by endpoint, in the words of whoever wrote the policy. Read
 * off the walk: which chain of an endpoint it was in, which rule set the accept or the drop, whose rule that was (its provenance).
 *
 *   cali-FORWARD ─▶ cali-fw-… [ ─▶ cali-po-… ─▶ cali-pro-… ]   one section: egress of the source
 *                ─▶ cali-tw-… [ ─▶ cali-pi-… ─▶ cali-pri-… ]   one section: ingress of the destination
 */
import type { PolicyBook, PolicyChain } from '../calico/policy-book.js'
import type { Match, Rule } from '../dataplane/iptables.js'
import { printMatches } from '../dataplane/iptables-print.js'
import type { PolicyReason, PolicyVerdictDocument } from './trace-document.js'
import { commentsOf, type TriedRule } from './rule-walk.js'

/** What was tried in the chains of one endpoint. */
export interface EndpointSection {
  readonly chain: string
  readonly direction: 'ingress' | 'egress'
  readonly rules: readonly TriedRule[]
}

const DIRECTIONS: Readonly<Record<string, 'ingress' | 'egress'>> = { tw: 'ingress', fw: 'egress', th: 'egress', fh: 'ingress', thfw: 'egress', fhfw: 'ingress' }
/** Of today's Felix, and of Felix 1.4, where `to` and `from` are seen from the interface, be it a workload's or the host's. */
const ENDPOINT_CHAIN = /^(?:cali-(tw|fw|th|fh|thfw|fhfw)|felix-(to|from))-/
const GROUP_CHAIN = /^cali-g[io]-/
const FAILSAFE_CHAIN = /^(?:cali-failsafe|felix-FAILSAFE)-/

export function isEndpointChain(chain: string): boolean {
  return ENDPOINT_CHAIN.test(chain)
}

/** Sections and rules of no endpoint, in the order of the walk. */
export function sectionsOf(tried: readonly TriedRule[], book: PolicyBook): readonly (EndpointSection | TriedRule)[] {
  const found: (TriedRule | { chain: string; direction: 'ingress' | 'egress'; rules: TriedRule[] })[] = []
  const isNested = (chain: string): boolean => book.policies.has(chain) || book.profiles.has(chain) || GROUP_CHAIN.test(chain) || FAILSAFE_CHAIN.test(chain)
  let open: { chain: string; direction: 'ingress' | 'egress'; rules: TriedRule[] } | undefined
  for (const one of tried) {
    const direction = directionOf(one)
    if (direction !== undefined && open?.chain !== one.chain) found.push((open = { chain: one.chain, direction, rules: [] }))
    if (open !== undefined && (direction !== undefined || isNested(one.chain))) open.rules.push(one)
    else {
      open = undefined
      found.push(one)
    }
  }
  return found
}

/** What a chain of an endpoint lets through; undefined of other chains. */
function directionOf({ chain, rule }: TriedRule): 'ingress' | 'egress' | undefined {
  const found = ENDPOINT_CHAIN.exec(chain)
  if (found === null) return undefined
  if (found[1] !== undefined) return DIRECTIONS[found[1]]
  const isHost = rule.provenance?.object?.startsWith('hostEndpoint/') === true
  return (found[2] === 'to') === isHost ? 'egress' : 'ingress'
}

/** In the order of the walk; the last is the table's own where that is a drop. */
export function policyVerdicts(tried: readonly TriedRule[], book: PolicyBook): readonly PolicyVerdictDocument[] {
  return sectionsOf(tried, book).flatMap((part) => ('rules' in part ? sectionVerdict(part, book) : staticVerdict(part)) ?? [])
}

/** The end of one endpoint's chains; undefined where they leave it to the chains behind them. */
function sectionVerdict(section: EndpointSection, book: PolicyBook): PolicyVerdictDocument | undefined {
  const matched = section.rules.filter((one) => one.matched)
  const last = matched.at(-1)
  if (last === undefined) return undefined
  if (isDrop(last.rule)) return deniedBy(last, section, book)
  const kind = last.rule.target?.kind
  if (isEndpointChain(last.chain) && stateOf(last.rule) !== undefined && (kind === 'ACCEPT' || kind === 'RETURN'))
    return said(section, last, { verdict: 'Allow', reason: 'connection', words: 'a known connection, no policy is asked' })
  if (FAILSAFE_CHAIN.test(last.chain) && kind === 'ACCEPT')
    return said(section, last, { verdict: 'Allow', reason: 'failsafe', words: `failsafe port allows (${failsafeWords(last.rule)})` })
  if (kind !== 'RETURN') return undefined
  const comments = commentsOf(last.rule)
  if (comments.includes('Return for accepted forward traffic'))
    return said(section, last, { verdict: 'Allow', reason: 'not-policed', words: 'no policy with applyOnForward applies, forwarded packets pass' })
  const accept = markBit(last.rule)
  return accept === undefined ? undefined : allowedBy(last, accept, { section, book })
}

/** The rule that set the accept bit. */
function allowedBy(
  last: TriedRule,
  accept: number,
  { section, book }: { readonly section: EndpointSection; readonly book: PolicyBook },
): PolicyVerdictDocument | undefined {
  const matched = section.rules.filter((one) => one.matched)
  const decider = matched.findLast(({ rule: { target } }) => target?.kind === 'MARK' && (target.value & accept) !== 0)
  if (decider === undefined) return undefined
  const policy = book.policies.get(decider.chain)
  if (policy !== undefined) return ruleVerdict('Allow', decider, { section, policy, passes: passesOf(section, book) })
  const profile = book.profiles.get(decider.chain)
  if (profile === undefined) return undefined
  const number = ruleNumber(decider.rule)
  const asked = askedChains(section, book)
  const passes = passesOf(section, book)
  const before = asked.length === 0 ? 'no policy selects it' : passes.length > 0 ? passes.join(', ') : `no policy of ${tiersOf(asked)} decides`
  return said(section, last, {
    verdict: 'Allow',
    reason: 'profile',
    policy: `profile ${profile.name}`,
    ...(number === undefined ? {} : { rule: number }),
    words: `${before}, profile ${profile.name} allows${placeWords(decider.rule)}`,
    decider,
  })
}

function tiersOf(asked: readonly PolicyChain[]): string {
  const tiers = [...new Set(asked.map(({ tier }) => tier))]
  return `${tiers.length === 1 ? 'tier' : 'tiers'} ${tiers.join(', ')}`
}

/** Policies that were asked in the section, each once. */
function askedChains({ rules }: EndpointSection, book: PolicyBook): readonly PolicyChain[] {
  const names = rules.flatMap(({ matched, rule: { target } }) => (matched && (target?.kind === 'jump' || target?.kind === 'goto') ? [target.chain] : []))
  return [...new Set(names)].flatMap((name) => book.policies.get(name) ?? [])
}

/** Rules that passed the packet on to the next tier. */
function passesOf(section: EndpointSection, book: PolicyBook): readonly string[] {
  const pass = passBit(section)
  return section.rules.flatMap(({ chain, rule, matched }) => {
    const policy = book.policies.get(chain)
    if (!matched || policy === undefined || rule.target?.kind !== 'MARK' || rule.target.value !== pass) return []
    return [`${policy.label} rule ${ruleNumber(rule) ?? '?'} passes${placeWords(rule)}`]
  })
}

/** The bit that the start of a tier clears; undefined where no tier applies. */
export function passBit({ rules }: EndpointSection): number | undefined {
  const start = rules.find(({ rule }) => startsTier(rule))?.rule.target
  return start?.kind === 'MARK' ? start.mask : undefined
}

function startsTier(rule: Rule): boolean {
  return commentsOf(rule).some((text) => /^Start of (tier |policies$)/.test(text))
}

function ruleVerdict(
  verdict: 'Allow' | 'Deny',
  decider: TriedRule,
  { section, policy, passes }: { readonly section: EndpointSection; readonly policy: PolicyChain; readonly passes: readonly string[] },
): PolicyVerdictDocument {
  const number = ruleNumber(decider.rule)
  const tier = policy.tier === 'default' ? '' : `tier ${policy.tier}: `
  const before = passes.length === 0 ? '' : `${passes.join(', ')}; `
  return said(section, decider, {
    verdict,
    reason: 'rule',
    tier: policy.tier,
    policy: policy.label,
    ...(number === undefined ? {} : { rule: number }),
    words: `${before}${tier}${policy.label} rule ${number ?? '?'} ${verdict === 'Allow' ? 'allows' : 'denies'}${placeWords(decider.rule)}`,
    decider,
  })
}

const TIER_END = /^(?:End of tier (.*)\. )?(?:Drop|Reject) if no (?:policies passed packet|policy in tier passed)$/

function deniedBy(last: TriedRule, section: EndpointSection, book: PolicyBook): PolicyVerdictDocument {
  const policy = book.policies.get(last.chain)
  if (policy !== undefined) return ruleVerdict('Deny', last, { section, policy, passes: [] })
  const profile = book.profiles.get(last.chain)
  const comment = commentsOf(last.rule).join(' ')
  const denied = (reason: PolicyReason, words: string, more: Partial<Saying> = {}): PolicyVerdictDocument =>
    said(section, last, { verdict: 'Deny', reason, words, ...more })
  if (profile !== undefined) {
    const number = ruleNumber(last.rule)
    const more = { policy: `profile ${profile.name}`, ...(number === undefined ? {} : { rule: number }), decider: last }
    return denied('profile', `profile ${profile.name} denies${placeWords(last.rule)}`, more)
  }
  const tierEnd = TIER_END.exec(comment)
  if (tierEnd !== null) {
    const asked = askedInTier(section, book)
    const tier = tierEnd[1] ?? asked.at(-1)?.tier ?? 'default'
    const who = asked.length === 1 ? `${asked[0].label} does not allow it` : `none of its ${asked.length} policies allows it`
    return denied('tier-end', `end of tier ${tier}, ${who}`, { tier })
  }
  if (comment.endsWith('if no profiles matched') || comment.startsWith('Packet did not match any profile '))
    return denied('no-profile', `no policy${asksNone(section, book)} and no profile allows it`)
  if (/encapped packets originating in workloads$/.test(comment))
    return denied('encapsulated', `${/VXLAN/.test(comment) ? 'VXLAN' : 'IP in IP'} packets that a workload makes are dropped`)
  if (comment === 'Incorrect source MAC') return denied('spoofed', "anti-spoofing: the source MAC is not the workload's own")
  if (comment === 'Endpoint admin disabled') return denied('disabled', 'the endpoint is administratively down')
  if (stateOf(last.rule)?.includes('INVALID') === true) return denied('invalid', 'conntrack finds the packet INVALID')
  return denied('limit', comment === '' ? 'a limit of the endpoint is exceeded' : comment)
}

function asksNone(section: EndpointSection, book: PolicyBook): string {
  return askedChains(section, book).length === 0 ? ' selects it' : ' decides'
}

/** Those asked since the last tier began. */
export function askedInTier(section: EndpointSection, book: PolicyBook): readonly PolicyChain[] {
  return askedChains({ ...section, rules: section.rules.slice(tierStart(section)) }, book)
}

/** Where the last tier that was entered begins; 0 before any. */
export function tierStart({ rules }: EndpointSection): number {
  const start = rules.findLastIndex(({ matched, rule }) => matched && startsTier(rule))
  return Math.max(0, start)
}

/** What Felix's chains of no endpoint decide. */
function staticVerdict(one: TriedRule): PolicyVerdictDocument | undefined {
  const { rule, chain, matched } = one
  const { target, matches } = rule
  if (!matched || !chain.startsWith('cali-') || target === undefined) return undefined
  const comment = commentsOf(rule).join(' ')
  const verdict = isDrop(rule) ? 'Deny' : 'Allow'
  const say = (reason: PolicyReason, words: string): PolicyVerdictDocument => said(undefined, one, { verdict, reason, words })
  if (comment === 'Configured DefaultEndpointToHostAction')
    return say('endpoint-to-host', `workload to its own host: defaultEndpointToHostAction ${target.kind}`)
  if (/packets (from|to other) .*hosts$/.test(comment) || /^Allow (incoming|outgoing) IPv4 Wireguard packets$/.test(comment)) return say('tunnel', comment)
  if (/^Unknown (interface|endpoint)$/.test(comment)) return say('unknown-interface', 'the interface is named as one of a workload, and no endpoint has it')
  if (verdict === 'Deny' && matches.some(({ kind }) => kind === 'rpfilter'))
    return say('spoofed', "anti-spoofing: the source is not the workload's own address")
  if (verdict === 'Deny' && chain === 'cali-cidr-block') return say('service-loop', 'service address that nobody translated: kept from looping')
  if (chain === 'cali-OUTPUT' && target.kind === 'RETURN' && matches.some(({ kind }) => kind === 'out-interface'))
    return say('not-policed', "from the host to its own workload: the workload's policy is not asked")
  return undefined
}

type Saying = Pick<PolicyVerdictDocument, 'verdict' | 'reason' | 'tier' | 'policy' | 'rule'> & {
  readonly words: string
  /** Whose provenance tells more than the endpoint's. */
  readonly decider?: TriedRule
}

function said(section: EndpointSection | undefined, at: TriedRule, { words, decider, ...saying }: Saying): PolicyVerdictDocument {
  // a rule of the endpoint's chain bears the endpoint
  const endpoint = section?.rules.find(({ chain, rule }) => chain === section.chain && rule.provenance?.object !== undefined)?.rule.provenance?.object
  const place = section === undefined ? '' : `${section.direction} ${endpoint === undefined ? section.chain : endpointWords(endpoint)}: `
  const provenance = (decider ?? at).rule.provenance
  const shown = decider ?? at
  return {
    ...saying,
    text: `${place}${words}`,
    ...(section === undefined ? {} : { direction: section.direction }),
    ...(endpoint === undefined ? {} : { endpoint }),
    at: { chain: shown.chain, rule: shown.number },
    ...(provenance === undefined ? {} : { provenance }),
  }
}

/** `default/db`, `host endpoint n1-eth0`. */
export function endpointWords(object: string): string {
  return object.replace(/^Pod\//, '').replace(/^[Hh]ostEndpoint\//, 'host endpoint ')
}

export function isDrop({ target }: Rule): boolean {
  return target?.kind === 'DROP' || target?.kind === 'REJECT'
}

/** The states of a ctstate match. */
function stateOf({ matches }: Rule): readonly string[] | undefined {
  return matches.find((match): match is Extract<Match, { kind: 'ctstate' }> => match.kind === 'ctstate')?.states
}

/** The bit that a rule asks to be set. */
export function markBit({ matches }: Rule): number | undefined {
  const match = matches.find((candidate): candidate is Extract<Match, { kind: 'mark' }> => candidate.kind === 'mark')
  return match === undefined || match.invert === true || match.value === 0 ? undefined : match.value
}

/** The number in `… ingress rule 2`. */
export function ruleNumber({ provenance }: Rule): number | undefined {
  const number = / rule (\d+)$/.exec(provenance?.object ?? '')?.[1]
  return number === undefined ? undefined : Number(number)
}

/** ` (policies.yaml:12)`. */
function placeWords({ provenance }: Pick<Rule, 'provenance'>): string {
  return provenance?.file === undefined ? '' : ` (${provenance.file}:${provenance.line ?? 0})`
}

function failsafeWords({ matches }: Rule): string {
  return printMatches(matches.filter(({ kind }) => kind !== 'comment')).trim()
}
