/**
 * What chance draws differs between netsim and a kernel, but not at random: whatever value netsim gave a packet stands for one value of
 * the kernel's wherever it shows again. A ledger notes the pairs of one probe and finds what contradicts them.
 */
import type { Chance, Field } from './frame-fields.js'

/** What a frame is to the question. */
export interface FrameRole {
  readonly leg: 'forward' | 'reply'
  /** netsim's number of the packet: fragments, copies and rewritten packets keep it. */
  readonly packet: number
}

interface Noted {
  readonly kernel: number
  readonly packet: number
}

/** One value of the kernel's stands for one of netsim's too: no two of netsim's fall together. */
const INJECTIVE: readonly Chance[] = ['icmp-id', 'nat-port']

/** More than a question's octets and a window. */
const SIDE_SPAN = 1 << 17

export class ChanceLedger {
  private readonly pairs = new Map<string, Noted>()
  /** Of a TCP connection: whose number came first, then the other. */
  private readonly sides: { readonly first: number; readonly difference: number }[] = []
  private readonly inverse = new Map<string, number>()
  private readonly injected: number | undefined

  /** @param injected a packet that is no socket's although its flow is: a tunnel chooses another source port for it */
  constructor(injected?: number) {
    this.injected = injected
  }

  /** Notes a pair. @returns what it contradicts, in words, or undefined */
  note(field: Field, predicted: number, captured: number, role: FrameRole): string | undefined {
    const chance = field.chance
    if (chance === undefined) return undefined
    if (chance === 'tcp-sequence') return this.noteSequence(predicted, captured)
    const key = `${chance} ${chance === 'vxlan-port' ? `${role.leg} ${role.packet === this.injected ? 'injected ' : ''}` : ''}${predicted}`
    const known = this.pairs.get(key)
    // 16 bits that each side draws anew for every packet: two packets of netsim's may have one by accident, and the kernel gives 0 to many
    const accident = chance === 'ip-id' && known !== undefined && known.packet !== role.packet && !field.name.includes('quote.')
    if (known !== undefined && known.kernel !== captured && !accident) {
      return `${predicted} stood for ${known.kernel} before, and for ${captured} here`
    }
    this.pairs.set(key, { kernel: captured, packet: role.packet })
    return INJECTIVE.includes(chance) ? this.noteInverse(chance, predicted, captured) : undefined
  }

  /** What stands for a value, as far as it was seen. */
  standsFor(chance: Chance, predicted: number): number | undefined {
    return this.pairs.get(`${chance} ${predicted}`)?.kernel
  }

  private noteInverse(chance: Chance, predicted: number, captured: number): string | undefined {
    const key = `${chance} ${captured}`
    const known = this.inverse.get(key)
    if (known !== undefined && known !== predicted) return `${captured} stood for ${known} before, and for ${predicted} here`
    this.inverse.set(key, predicted)
    return undefined
  }

  /**
   * Sequence numbers of one side differ from netsim's by one number, the difference of the initial ones, wherever they show: as its own, as what
   * the other acknowledges, in a quotation of either. Whose a number is netsim's says: those of one side lie together.
   */
  private noteSequence(predicted: number, captured: number): string | undefined {
    const difference = (predicted - captured) >>> 0
    const side = this.sides.find(({ first }) => Math.abs((predicted - first) | 0) < SIDE_SPAN)
    if (side === undefined) {
      if (this.sides.length === 2) return 'belongs to the numbers of neither side'
      this.sides.push({ first: predicted, difference })
      return undefined
    }
    if (side.difference === difference) return undefined
    const step = (side.difference - difference) | 0
    return `is ${Math.abs(step)} too ${step > 0 ? 'high' : 'low'} for the numbers of ${side === this.sides[0] ? 'the client' : 'the server'} so far`
  }
}
