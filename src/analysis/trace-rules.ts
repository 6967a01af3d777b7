/**
 * Rules that a table tried, in words: the text as iptables-save prints it, what came of it, and for one that did not match the
 * term that failed and what the packet had.
 */
import { formatIp } from '../base/ip.js'
import { formatMac, macOf } from '../base/mac.js'
import type { Match, Rule } from '../dataplane/iptables.js'
import { printMatches, printRule } from '../dataplane/iptables-print.js'
import { formatProtocol } from '../dataplane/protocols.js'
import { CT_STATES } from '../net/netfilter/conntrack-tuple.js'
import { FRAME_STRIDE, ROW_A, ROW_KIND, ROW_MARK, ROW_PACKET, STEP_NAT, STEP_RULE, STEP_STRIDE } from '../net/trace.js'
import type { Packet } from '../wire/packet.js'
import type { RuleDocument } from './trace-document.js'
import type { Row } from './trace-step.js'

/** NF_* in order. */
export const VERDICTS = ['DROP', 'ACCEPT', 'STOLEN', 'INCOMPLETE'] as const
export const CONNTRACK_WORDS = CT_STATES

/** The rule rows that belong to a table's row stand right behind it. */
export function ruleRows(row: Row): RuleDocument[] {
  return row.rules.flatMap((index) => {
    const { trace } = row.network.world
    const at = index * STEP_STRIDE + ROW_A
    const netfilter = row.netns.netfilter
    const [table, chain, number, matched, failing] = trace.steps.subarray(at, at + 5)
    const rule = number < 0 ? undefined : netfilter?.ruleAt(table, chain, number)
    if (netfilter === null || rule === undefined) return []
    const name = netfilter.chainName(chain)
    return [
      {
        chain: name,
        rule: number + 1,
        text: printRule(rule),
        matched: matched === 1,
        action: matched === 1 ? targetWord(rule) : 'NO_MATCH',
        ...(matched === 0 && failing >= 0 ? { failed: failedTerm(row, index, rule.matches[failing]) } : {}),
        ...(rule.provenance === undefined ? {} : { provenance: rule.provenance }),
      },
    ]
  })
}

/** Rows of STEP_RULE behind the row of a table, up to the next row of another kind. */
export function rulesBehind(row: { readonly steps: Int32Array; readonly stepCount: number }, index: number): number[] {
  const found: number[] = []
  for (let i = index + 1; i < row.stepCount && row.steps[i * STEP_STRIDE + ROW_KIND] === STEP_RULE; i++) found.push(i)
  return found
}

function targetWord(rule: Rule): string {
  const { target } = rule
  if (target === undefined) return 'COUNT'
  return target.kind === 'jump'
    ? `JUMP ${target.chain}`
    : target.kind === 'goto'
      ? `GOTO ${target.chain}`
      : target.kind === 'unknown'
        ? target.name
        : target.kind
}

function failedTerm(row: Row, index: number, match: Match | undefined): { readonly term: string; readonly actual: string } {
  if (match === undefined) return { term: '?', actual: '' }
  const packet = packetAt(row, index)
  const mark = row.network.world.trace.steps[index * STEP_STRIDE + ROW_MARK]
  return { term: printMatches([match]).trim(), actual: actualOf(match, packet, mark) }
}

/** What the packet had of what the term asks for; empty where a trace does not know. */
function actualOf(match: Match, packet: Packet | undefined, mark: number): string {
  if (match.kind === 'mark') return `0x${(mark >>> 0).toString(16)}`
  if (packet === undefined) return ''
  switch (match.kind) {
    case 'source':
      return formatIp(packet.src)
    case 'destination':
      return formatIp(packet.dst)
    case 'protocol':
      return formatProtocol(packet.proto)
    case 'source-port':
      return String(packet.sport)
    case 'destination-port':
      return String(packet.dport)
    case 'icmp-type':
      return `${packet.sport}/${packet.dport}`
    case 'mac-source':
      return formatMac(macOf(packet.srcMacHigh, packet.srcMacLow))
    case 'ttl':
      return String(packet.ttl)
    case 'length':
      return String(packet.ipLength)
    default:
      return ''
  }
}

/** The packet as the last tap before the step saw it; undefined when NAT has changed it since. */
function packetAt(row: Row, index: number): Packet | undefined {
  const { trace } = row.network.world
  const id = trace.steps[index * STEP_STRIDE + ROW_PACKET]
  for (let frame = trace.frameCount - 1; frame >= 0; frame--) {
    const at = frame * FRAME_STRIDE
    if (trace.frames[at + 4] !== id || trace.frames[at + 5] > index) continue
    for (let step = trace.frames[at + 5]; step < index; step++) {
      if (trace.steps[step * STEP_STRIDE + ROW_KIND] === STEP_NAT && trace.steps[step * STEP_STRIDE + ROW_PACKET] === id) return undefined
    }
    return trace.framePackets[frame]
  }
  return undefined
}
