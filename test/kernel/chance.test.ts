/** TCP's numbers of either side are held to one difference, whichever way a frame goes and however deep it is quoted. */
import { describe, expect, it } from 'vitest'
import { ChanceLedger } from '../../src/kernel/chance.js'
import type { Field } from '../../src/kernel/frame-fields.js'

const ROLE = { leg: 'reply', packet: 1 } as const
const CLIENT = { ours: 1000, theirs: 1000 }
const SERVER = { ours: 3814759091, theirs: 2861374642 }

function field(name: string, chance: Field['chance'] = 'tcp-sequence'): Field {
  return { name, at: 0, length: 4, value: 0, text: '', chance }
}

function noted(ledger: ChanceLedger, ours: number, theirs: number, name = 'tcp.sequence'): string | undefined {
  return ledger.note(field(name), ours, theirs, ROLE)
}

describe('sequence numbers', () => {
  it('of a reset that answers an answer are those of whoever asked', () => {
    const ledger = new ChanceLedger()
    expect(noted(ledger, CLIENT.ours, CLIENT.theirs)).toBeUndefined()
    expect(noted(ledger, SERVER.ours, SERVER.theirs)).toBeUndefined()
    expect(noted(ledger, CLIENT.ours + 1, CLIENT.theirs + 1, 'tcp.acknowledgement')).toBeUndefined()
    expect(noted(ledger, CLIENT.ours + 1, CLIENT.theirs + 1)).toBeUndefined()
    expect(noted(ledger, SERVER.ours, SERVER.theirs, 'quote.tcp.sequence')).toBeUndefined()
  })

  it('one too many is found, and told of the right side', () => {
    const ledger = new ChanceLedger()
    noted(ledger, CLIENT.ours, CLIENT.theirs)
    noted(ledger, SERVER.ours, SERVER.theirs)
    expect(noted(ledger, SERVER.ours + 1, SERVER.theirs + 2)).toBe('is 1 too high for the numbers of the server so far')
    expect(noted(ledger, CLIENT.ours + 7, CLIENT.theirs + 6)).toBe('is 1 too low for the numbers of the client so far')
  })

  it("the other side's in place of one's own are found", () => {
    const ledger = new ChanceLedger()
    noted(ledger, CLIENT.ours, CLIENT.theirs)
    noted(ledger, SERVER.ours, SERVER.theirs)
    expect(noted(ledger, SERVER.ours, CLIENT.theirs)).toMatch(/for the numbers of the server/)
  })

  it("a third one is nobody's", () => {
    const ledger = new ChanceLedger()
    noted(ledger, CLIENT.ours, CLIENT.theirs)
    noted(ledger, SERVER.ours, SERVER.theirs)
    expect(noted(ledger, 2_000_000_000, 2_000_000_000)).toBe('belongs to the numbers of neither side')
  })
})

describe("a tunnel's source port", () => {
  it('is one for a flow, but for the packet that the laboratory put together itself', () => {
    const ledger = new ChanceLedger(2)
    const port = field('udp.sport', 'vxlan-port')
    const said = [1, 2, 2, 3].map((packet, at) => ledger.note(port, 57909, 38975 + at, { leg: 'forward', packet }))
    expect(said).toEqual([undefined, undefined, '57909 stood for 38976 before, and for 38977 here', '57909 stood for 38975 before, and for 38978 here'])
    expect(ledger.note(port, 57909, 4, { leg: 'reply', packet: 2 })).toBeUndefined()
  })
})
