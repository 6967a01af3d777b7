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

export class ChanceLedger {
  private readonly pairs = new Map<string, Noted>()
  private readonly inverse = new Map<string, number>()

  /** Notes a pair. @returns what it contradicts, in words, or undefined */
  note(field: Field, predicted: number, captured: number, role: FrameRole): string | undefined {
    const chance = field.chance
    if (chance === undefined) return undefined
    if (chance === 'tcp-sequence') return this.noteSequence(field, predicted, captured, role)
    const key = `${chance} ${chance === 'vxlan-port' ? `${role.leg} ` : ''}${predicted}`
    const known = this.pairs.get(key)
    // 16 bits that each side draws anew for every packet: two packets of netsim's may have one by accident, and the kernel gives 0 to many
    const accident = chance === 'ip-id' && known !== undefined && known.packet !== role.packet && !field.name.includes('quote.')
    if (known !== undefined && known.kernel !== captured && !accident) {
      return `${predicted} stood for ${known.kernel} before, and for ${captured} here`
    }
    this.pairs.set(key, { kernel: captured, packet: role.packet })
    return INJECTIVE.includes(chance) ? this.noteInverse(chance, predicted, captured) : undefined
  }

  private noteInverse(chance: Chance, predicted: number, captured: number): string | undefined {
    const key = `${chance} ${captured}`
    const known = this.inverse.get(key)
    if (known !== undefined && known !== predicted) return `${captured} stood for ${known} before, and for ${predicted} here`
    this.inverse.set(key, predicted)
    return undefined
  }

  /** Sequence numbers of one direction differ from netsim's by one number, the difference of the initial ones. */
  private noteSequence(field: Field, predicted: number, captured: number, { leg, packet }: FrameRole): string | undefined {
    const acknowledges = field.name.endsWith('acknowledgement')
    const quotes = field.name.split('quote.').length - 1
    const fromClient = ((leg === 'forward' ? 0 : 1) + (acknowledges ? 1 : 0) + quotes) % 2 === 0
    const side = fromClient ? 'the client' : 'the server'
    const difference = (predicted - captured) >>> 0
    const known = this.pairs.get(`tcp-sequence ${side}`)
    this.pairs.set(`tcp-sequence ${side}`, known ?? { kernel: difference, packet })
    if (known === undefined || known.kernel === difference) return undefined
    const step = (known.kernel - difference) | 0
    return `is ${Math.abs(step)} too ${step > 0 ? 'high' : 'low'} for the numbers of ${side} so far`
  }
}
