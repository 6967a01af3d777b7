/**
 * Iptables as its manual page says it, from the Rule objects, slow and plain: written apart from the compiler and the interpreter,
 * which a property test holds against it.
 */
import type { Chain, Match, Rule, Table } from '../../../src/dataplane/iptables.js'
import type { Packet } from '../../../src/wire/packet.js'

export interface NaiveResult {
  readonly verdict: 'ACCEPT' | 'DROP'
  readonly mark: number
  /** `chain rule` → packets; the policy is rule -1. */
  readonly hits: ReadonlyMap<string, number>
}

export function evaluateNaively(table: Table, chainName: string, packet: Packet, devices: { readonly in: string; readonly out: string }): NaiveResult {
  const hits = new Map<string, number>()
  let mark = packet.mark
  const count = (chain: string, rule: number): void => void hits.set(`${chain} ${rule}`, (hits.get(`${chain} ${rule}`) ?? 0) + 1)

  /** undefined: the chain was left without a verdict. */
  const run = (chain: Chain): 'ACCEPT' | 'DROP' | undefined => {
    for (const [index, rule] of chain.rules.entries()) {
      if (!rule.matches.every((match) => holds(match, rule, packet, mark, devices))) continue
      count(chain.name, index)
      const { target } = rule
      switch (target?.kind) {
        case 'ACCEPT':
        case 'DROP':
          return target.kind
        case 'RETURN':
          return undefined
        case 'MARK':
          mark = ((mark & ~target.mask) ^ target.value) | 0
          break
        case 'jump':
        case 'goto': {
          const verdict = run(named(target.chain))
          if (verdict !== undefined || target.kind === 'goto') return verdict
          break
        }
        default:
      }
    }
    return undefined
  }
  const named = (name: string): Chain => table.chains.find((chain) => chain.name === name) as Chain
  let verdict = run(named(chainName))
  if (verdict === undefined) {
    count(chainName, -1)
    verdict = named(chainName).policy ?? 'ACCEPT'
  }
  return { verdict, mark, hits }
}

/** One match of a rule. */
export function holds(match: Match, rule: Rule, packet: Packet, mark: number, devices: { readonly in: string; readonly out: string }): boolean {
  const answer = ask(match, rule, packet, mark, devices)
  if (answer === undefined) return false
  return 'invert' in match && match.invert === true ? !answer : answer
}

const inRange = (value: number, [first, last]: readonly [number, number]): boolean => value >= first && value <= last

const within = (address: number, base: number, length: number): boolean => length === 0 || address >>> (32 - length) === base >>> (32 - length)

const PORTED = [6, 17, 132]

/** undefined: it cannot be asked of this packet, and so does not hold, inverted or not. */
function ask(match: Match, rule: Rule, packet: Packet, mark: number, devices: { readonly in: string; readonly out: string }): boolean | undefined {
  const whole = packet.fragmentOffset === 0
  switch (match.kind) {
    case 'source':
      return within(packet.src, match.net.base, match.net.length)
    case 'destination':
      return within(packet.dst, match.net.base, match.net.length)
    case 'protocol':
      return match.proto === 0 || match.proto === packet.proto
    case 'in-interface':
    case 'out-interface': {
      const name = match.kind === 'in-interface' ? devices.in : devices.out
      return match.name.endsWith('+') ? name.startsWith(match.name.slice(0, -1)) : name === match.name
    }
    case 'fragment':
      return !whole
    case 'source-port':
      return whole ? inRange(packet.sport, match.ports) : undefined
    case 'destination-port':
      return whole ? inRange(packet.dport, match.ports) : undefined
    case 'module':
      return whole ? true : undefined
    case 'icmp-type':
      return whole ? (match.type === 255 || match.type === packet.sport) && (match.code === undefined || match.code === packet.dport) : undefined
    case 'tcp-flags':
      return whole ? (packet.tcpFlags & match.mask) === match.set : undefined
    case 'multiport': {
      if (!whole || !PORTED.includes(packet.proto)) return undefined
      const source = match.ports.some((range) => inRange(packet.sport, range))
      const destination = match.ports.some((range) => inRange(packet.dport, range))
      return match.side === 'sports' ? source : match.side === 'dports' ? destination : source || destination
    }
    case 'mark':
      return ((mark & match.mask) | 0) === (match.value | 0)
    case 'length':
      return inRange(packet.ipLength, match.range)
    case 'comment':
      return true
    default:
      throw new Error(`the naive evaluator has no ${match.kind} in ${JSON.stringify(rule)}`)
  }
}
