/** Why a packet that was walked with its steps did not arrive: numbers for grouping, words once a group. */
import type { Rule } from '../../dataplane/iptables.js'
import { TABLE_NAMES } from '../../dataplane/iptables.js'
import { printRule } from '../../dataplane/iptables-print.js'
import type { Netfilter } from '../../net/netfilter/netfilter.js'
import type { Netns } from '../../net/netns.js'
import { ROW_A, ROW_KIND, ROW_NETNS, ROW_PACKET, STEP_DROP, STEP_RECEIVE, STEP_SEND, STEP_STRIDE } from '../../net/trace.js'
import { droppingTable } from '../../network/dropping-table.js'
import type { Network } from '../../network/network.js'
import type { TraceOutcome } from '../../network/probe.js'
import { losingLeg } from '../rule-drop.js'
import type { Loss, RuleWords } from './sums.js'

/** Where a loss stands in the world's own numbers, which another world may give to others. */
interface LossPlace {
  readonly netns: number
  readonly device: number
  readonly word: number
  /** Of the table that dropped it; -1: something else did. */
  readonly chain: number
  readonly rule: number
}

/** Losses of one kind are one object, as long as the book stands. */
export class LossBook {
  private readonly network: Network
  private readonly known = new Map<string, Loss>()

  constructor(network: Network) {
    this.network = network
  }

  /** undefined: it arrived, or left what is modelled. Reads the rows of the network's last question. */
  lossOf(outcome: TraceOutcome): Loss | undefined {
    const { disposition } = outcome
    if (disposition === 'DELIVERED' || disposition === 'EXITED') return undefined
    const losing = losingLeg(outcome)
    const place = this.placeOf(losing.step, losing.netns)
    const isReply = losing !== outcome.forward
    const key = `${disposition} ${isReply ? 1 : 0} ${losing.kernelReason} ${place.netns} ${place.device} ${place.word} ${place.chain} ${place.rule}`
    const known = this.known.get(key)
    if (known !== undefined) return known
    const made = this.wordsOf({ disposition, leg: isReply ? 'reply' : 'forward', kernelReason: losing.kernelReason }, place)
    this.known.set(key, made)
    return made
  }

  private placeOf(step: number, netns: number): LossPlace {
    const { world } = this.network
    const { steps } = world.trace
    if (step < 0) return { netns, device: -1, word: 0, chain: -1, rule: -1 }
    const at = step * STEP_STRIDE
    const where = steps[at + ROW_NETNS]
    const packet = steps[at + ROW_PACKET]
    let device = -1
    for (let row = step - 1; row >= 0 && device < 0; row--) {
      const from = row * STEP_STRIDE
      const kind = steps[from + ROW_KIND]
      if (steps[from + ROW_PACKET] === packet && steps[from + ROW_NETNS] === where && (kind === STEP_RECEIVE || kind === STEP_SEND))
        device = steps[from + ROW_A]
    }
    const isDrop = steps[at + ROW_KIND] === STEP_DROP
    const table = isDrop ? droppingTable(world, step) : -1
    const [chain, rule] = table < 0 ? [-1, -1] : steps.subarray(table * STEP_STRIDE + ROW_A + 2, table * STEP_STRIDE + ROW_A + 4)
    return { netns: where, device, word: isDrop ? steps[at + ROW_A + 2] : 0, chain, rule }
  }

  private wordsOf(loss: Pick<Loss, 'disposition' | 'leg' | 'kernelReason'>, { netns, device, word, chain, rule }: LossPlace): Loss {
    const { world } = this.network
    const where = netns < 0 ? undefined : world.netns[netns]
    const words = chain < 0 || where === undefined || where.netfilter === null ? undefined : ruleWords(where.netfilter, chain, rule)
    return {
      ...loss,
      netns: where?.name ?? '',
      device: device < 0 ? '' : world.devices[device].name,
      ...(words === undefined ? {} : { rule: words }),
      why: words === undefined ? this.whyOf(loss, word, where) : '',
    }
  }

  private whyOf({ disposition, leg }: Pick<Loss, 'disposition' | 'leg'>, word: number, where: Netns | undefined): string {
    if (word !== 0) return this.network.world.words[word]
    if (disposition === 'AMBIGUOUS') return `${where?.name ?? 'another netns'} has the address too, and got the packet`
    if (disposition === 'LOOP') return 'it goes round and comes to no end'
    return leg === 'reply' ? 'nothing of an answer was seen to end' : 'nothing of the packet was seen to end'
  }
}

/** @param number -1: the chain's policy */
export function ruleWords(netfilter: Netfilter, chain: number, number: number): RuleWords {
  const { table, name, policy, rules } = netfilter.compiled.chains[chain]
  const rule: Rule | undefined = number < 0 ? undefined : rules[number]
  const { by = '', file, line } = rule?.provenance ?? {}
  return {
    table: TABLE_NAMES[table],
    chain: name,
    number: number + 1,
    text: rule === undefined ? `policy ${policy ?? 'RETURN'}` : printRule(rule),
    by,
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
  }
}
