/**
 * What came of many questions → findings: those with one cause (the same rule, the same kind of loss at the same kind of place) are one finding, which
 * shows the first of them and says how many pairs it stands for. The first is read out in full while its rows are there.
 */
import { formatIp } from '../../base/ip.js'
import type { Network } from '../../network/network.js'
import type { TraceOutcome } from '../../network/probe.js'
import { FOREIGN_DESTINATION, FOREIGN_SOURCE } from '../../net/link.js'
import type { StepDocument, TraceDocument } from '../trace-document.js'
import { traceDocument } from '../trace-report.js'
import { finding } from './catalogue.js'
import type { Code } from './codes.js'
import type { Evidence, Finding, Severity } from '../../base/finding.js'
import { masqueradeAdvice, masqueradeSetting } from './masquerade-advice.js'
import { podName } from './pair-classes.js'
import { settingEvidence } from './settings.js'
import { ruleWords, type LossFact, type NatFact, type RuleFact, type WalkFacts } from './walk-facts.js'

/** Kinds of flows that the model's rules speak of. */
export type Relation = 'pod to pod' | 'node to pod' | 'pod to node' | 'pod to Service'

/** One question that was answered, and how many pairs it stands for. */
export interface Answered {
  readonly network: Network
  readonly outcome: TraceOutcome
  readonly facts: WalkFacts
  readonly relation: Relation
  readonly pairs: number
  /** What is asked is one port of many: a rule about it is less than a wall. */
  readonly onePort: boolean
  /** A Service drew the pod that asks. */
  readonly hairpin: boolean
}

interface Group {
  readonly code: Code
  readonly severity?: Severity
  readonly first: First
  readonly netns: string
  readonly fix?: string
  readonly settings: readonly Evidence[]
  readonly pod: Evidence | undefined
  readonly rules: Map<string, RuleFact>
  readonly sources: Set<string>
  readonly destinations: Set<string>
  questions: number
  pairs: number
}

interface First {
  readonly what: string
  readonly hops: readonly string[]
  readonly command: string
  readonly rule?: RuleFact
}

const MOST_HOPS = 14
const MOST_NAMES = 4

export class FlowFindings {
  private readonly groups = new Map<string, Group>()
  /** Questions that netsim could not answer, by what they met. */
  readonly unknown = new Map<string, string>()

  /** While the rows of the question are there. */
  add(answered: Answered): void {
    const { outcome, facts } = answered
    if (outcome.disposition === 'INCOMPLETE') {
      const { source, destination } = outcome
      const what = facts.loss?.detail === undefined || facts.loss.detail === '' ? 'something that netsim does not model' : facts.loss.detail
      if (!this.unknown.has(what)) this.unknown.set(what, `${source.name} → ${destination.name}: ${what}`)
      return
    }
    // a Service is NAT, and which ports its pods listen on is a guess
    const service = answered.relation === 'pod to Service'
    if (facts.arrived !== undefined && !service) this.addNat(answered)
    if (facts.loss !== undefined && !(service && facts.loss.leg.disposition === 'NO_SOCKET')) this.addLoss(answered, facts.loss)
  }

  /** Some packet was lost there for that. */
  met(code: Code, netns: string): boolean {
    return [...this.groups.values()].some((group) => group.code === code && group.netns === netns)
  }

  findings(): readonly Finding[] {
    return [...this.groups.values()].map(groupFinding)
  }

  private addNat(answered: Answered): void {
    const { outcome, facts, relation } = answered
    const { arrived, sentFrom } = facts
    if (arrived === undefined) return
    const rewritten = arrived.source !== sentFrom || arrived.destination !== outcome.destination.address
    if (!rewritten) return
    const nat = facts.nat.find(({ side, from }) => (side === 'source' ? from === sentFrom : from === outcome.destination.address)) ?? facts.nat.at(0)
    const code: Code = relation === 'pod to pod' ? 'NM001' : relation === 'node to pod' ? 'NM002' : 'NM003'
    const rule = nat?.rule
    const { source, destination } = outcome
    const seen = `${destination.name} sees ${source.name} (${formatIp(sentFrom)}) as ${formatIp(arrived.source)}`
    const aimed = arrived.destination === destination.address ? '' : `, and the packet came to ${formatIp(arrived.destination)}`
    const what = (): string => `${seen}${aimed}${nat === undefined ? '' : `: ${byWords(rule)} rewrites the ${nat.side} on ${nat.netns}`}`
    // whoever masquerades what leaves the pod network does so on purpose; by hand it is worth a look
    const severity: Severity | undefined = code === 'NM003' && byOwner(rule) ? 'warning' : undefined
    const key = [code, relation, keyOf(rule), nat?.side ?? '']
    this.put(key, answered, { code, ...(severity === undefined ? {} : { severity }), what, rule, fix: natFix(answered, code, nat) })
  }

  private addLoss(answered: Answered, loss: LossFact): void {
    const { code, severity } = lossCode(answered, loss)
    const { outcome } = answered
    const what = (document: TraceDocument): string =>
      `${outcome.source.name} → ${outcome.destination.name}${outcome.dport === 0 ? '' : `:${outcome.dport} (${outcome.proto})`}: ${document.result.cause}`
    const key = lossKey(code, answered, loss)
    if (key === undefined) return
    this.put(key, answered, {
      code,
      ...(severity === undefined ? {} : { severity }),
      what,
      rule: loss.rule,
      netns: code === 'NM106' ? culpritOf(outcome, loss) : loss.netns,
      fix: lossFix(code),
    })
  }

  private put(key: readonly string[], answered: Answered, how: Putting): void {
    const { network, outcome, pairs } = answered
    const id = JSON.stringify(key)
    let group = this.groups.get(id)
    if (group === undefined) {
      const document = traceDocument(network, outcome)
      group = {
        code: how.code,
        ...(how.severity === undefined ? {} : { severity: how.severity }),
        first: {
          what: how.what(document),
          hops: hopsOf(document),
          command: document.result.next.at(0) ?? '',
          ...(how.rule === undefined ? {} : { rule: how.rule }),
        },
        ...fixOf(how, document),
        settings: settingsOf(network, how),
        pod: podEvidence(network, outcome),
        netns: how.netns ?? '',
        rules: new Map(),
        sources: new Set(),
        destinations: new Set(),
        questions: 0,
        pairs: 0,
      }
      this.groups.set(id, group)
    }
    if (how.rule !== undefined) group.rules.set(how.rule.netns, how.rule)
    group.sources.add(outcome.source.node ?? outcome.source.name)
    group.destinations.add(outcome.destination.node ?? outcome.destination.name)
    group.questions++
    group.pairs += pairs
  }
}

interface Putting {
  readonly code: Code
  readonly severity?: Severity
  readonly what: (document: TraceDocument) => string
  readonly rule: RuleFact | undefined
  /** Where it was lost. */
  readonly netns?: string
  /** undefined: what the trace advises, else what the code does. */
  readonly fix: string | undefined
}

function fixOf({ fix }: Putting, document: TraceDocument): { readonly fix?: string } {
  const advised = fix ?? document.result.fixes.join('; or ')
  return advised === '' ? {} : { fix: advised }
}

function settingsOf(network: Network, { code, rule, netns }: Putting): readonly Evidence[] {
  const masquerade = masqueradeSetting(network, rule)
  return [...(masquerade === undefined ? [] : [masquerade]), ...(netns === undefined ? [] : settingEvidence(network.cluster, code, netns))]
}

function byOwner(rule: RuleFact | undefined): boolean {
  return rule?.provenance === undefined || rule.provenance.by.startsWith('owner of')
}

function byWords(rule: RuleFact | undefined): string {
  return rule?.provenance === undefined ? 'a rule' : `${rule.provenance.by}'s ${rule.text.includes('MASQUERADE') ? 'masquerade' : 'rule'}`
}

/** The same rule on another node is the same cause. */
function keyOf(rule: RuleFact | undefined): string {
  if (rule === undefined) return ''
  const { table, number, provenance } = rule
  // chains that an agent makes for one pod or one Service bear a hash
  const chain = rule.chain.replace(/^(CNI|KUBE-[A-Z]+|cali-[a-z]+)-.*/, '$1')
  return JSON.stringify([table, chain, number === 0 ? 'policy' : '', provenance?.by ?? '', provenance?.file ?? '', provenance?.line ?? 0])
}

function lossCode({ outcome, onePort, hairpin, relation }: Answered, loss: LossFact): { readonly code: Code; readonly severity?: Severity } {
  const { disposition } = loss.leg
  if (loss.policy !== undefined) return { code: 'NM004' }
  if (hairpin) return { code: 'NM402' }
  if (disposition === 'RPFILTER') return { code: 'NM104' }
  if (loss.detail === FOREIGN_SOURCE || loss.detail === FOREIGN_DESTINATION) return { code: 'NM106' }
  if (disposition === 'NO_ROUTE' && loss.leg.kernelReason === 'IP_INADDRERRORS') return { code: 'NM101' }
  if (outcome.disposition === 'AMBIGUOUS') return { code: 'NM202' }
  if (disposition !== 'DENIED' && disposition !== 'REJECTED') return { code: relation === 'pod to Service' ? 'NM403' : 'NM005' }
  if (loss.encapsulated) return { code: 'NM105' }
  if (loss.rule?.number === 0 && loss.rule.chain === 'FORWARD') return { code: 'NM102' }
  return onePort ? { code: 'NM103', severity: 'warning' } : { code: 'NM103' }
}

/** What is lost for the same reason, whichever way and between whomever. undefined: the objects tell it already. */
function lossKey(code: Code, { network, outcome }: Answered, loss: LossFact): readonly string[] | undefined {
  const { leg, netns, policy, rule } = loss
  if (policy !== undefined) return [code, policy.endpoint ?? '', policy.direction ?? '', policy.tier ?? '', policy.policy ?? '', policy.reason]
  if (code === 'NM202') {
    const { address } = outcome.destination
    return (network.cluster.podsByAddress.get(address)?.length ?? 0) > 1 ? undefined : [code, formatIp(address)]
  }
  if (code === 'NM106') return [code, culpritOf(outcome, loss)]
  return rule === undefined || rule.number === 0 ? [code, leg.kernelReason, netns] : [code, keyOf(rule)]
}

/** The node whose card the cloud checks: the sender's, or the one that the packet was for. */
function culpritOf({ forward, source, destination }: TraceOutcome, { detail, leg, netns }: LossFact): string {
  if (detail !== FOREIGN_DESTINATION) return netns
  return (leg === forward ? destination.node : source.node) ?? netns
}

/** Where the code knows better than the trace what to do. */
function lossFix(code: Code): string | undefined {
  return code === 'NM004' || code === 'NM005' || code === 'NM103' || code === 'NM403' ? undefined : ''
}

function natFix({ network }: Answered, code: Code, nat: NatFact | undefined): string {
  if (code === 'NM003' || nat?.side === 'destination') return ''
  return masqueradeAdvice(network, nat?.rule) ?? ''
}

const TOLD_KINDS = ['nat', 'encap', 'decap', 'agent', 'drop', 'socket', 'icmp']

/** The steps that tell something: rules that decided, rewriting, tunnels, the end. */
function hopsOf({ forward, reply }: TraceDocument): readonly string[] {
  const told = ({ kind, at }: StepDocument): boolean => TOLD_KINDS.includes(kind) || (kind === 'table' && at?.rule !== undefined)
  const lines = [...forward.hops, ...(reply !== null && reply.disposition !== 'DELIVERED' ? reply.hops : [])].flatMap(({ netns, steps }) =>
    steps.filter(told).map(({ kind, action, text }) => `${netns}: ${kind} ${text}${kind === 'drop' ? ` (${action})` : ''}`),
  )
  return lines.length <= MOST_HOPS ? lines : [...lines.slice(0, MOST_HOPS - 2), '…', ...lines.slice(-1)]
}

function groupFinding(group: Group): Finding {
  const { code, first, severity, fix, pairs, questions } = group
  const ruled = first.rule === undefined ? {} : ruleEvidence(first.rule)
  const shown: Evidence = { ...ruled, what: spread(group), hops: first.hops, command: first.command }
  const elsewhere = [...group.rules.values()].filter((rule) => rule !== first.rule && placeKey(rule) !== placeKey(first.rule))
  const others = elsewhere.slice(0, MOST_NAMES).map((rule): Evidence => ({ ...ruleEvidence(rule), what: `the same on ${rule.netns}` }))
  const count = questions === 1 && pairs === 1 ? '' : ` (and so ${pairs === 1 ? '1 pair' : `${pairs} pairs`})`
  return finding(code, {
    what: `${first.what}${count}`,
    evidence: placedEvidence([shown, ...group.settings, ...others], group),
    ...(severity === undefined ? {} : { severity }),
    ...(fix === undefined ? {} : { fix }),
  })
}

/** Where no line of the input is to blame, the pod that was asked is the place. */
function placedEvidence(evidence: readonly Evidence[], { pod }: Group): readonly Evidence[] {
  return pod === undefined || evidence.some(({ file }) => file !== undefined) ? evidence : [...evidence, pod]
}

/** The pod that the first question was for, or came from. */
function podEvidence({ cluster }: Network, { source, destination }: TraceOutcome): Evidence | undefined {
  const pod = cluster.podByName.get(destination.name) ?? cluster.podByName.get(source.name)
  if (pod === undefined || pod.file === '' || pod.line === 0) return undefined
  return { what: `the pod ${podName(pod)}`, object: pod.object.label, file: pod.file, line: pod.line }
}

function placeKey(rule: RuleFact | undefined): string {
  return rule === undefined ? '' : `${rule.netns} ${rule.text}`
}

export function ruleEvidence(rule: RuleFact): Omit<Evidence, 'what'> {
  const { provenance } = rule
  return {
    rule: ruleWords(rule),
    ...(provenance === undefined ? {} : { by: provenance.by }),
    ...(provenance?.object === undefined || provenance.object === '' ? {} : { object: provenance.object }),
    ...(provenance?.file === undefined ? {} : { file: provenance.file, line: provenance.line ?? 1 }),
  }
}

function spread({ sources, destinations }: Group): string {
  return `from ${names(sources)} to ${names(destinations)}`
}

function names(all: ReadonlySet<string>): string {
  const shown = [...all].slice(0, MOST_NAMES).join(', ')
  return all.size > MOST_NAMES ? `${shown} and ${all.size - MOST_NAMES} more` : shown
}
