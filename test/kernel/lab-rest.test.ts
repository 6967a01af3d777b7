/** How long the laboratory rests: the rations of ip_error and of redirects, of a kernel that is not asked. */
import { describe, expect, it } from 'vitest'
import { Rations } from '../../src/kernel/lab-rest.js'
import type { Prediction } from '../../src/kernel/prediction.js'

type Asked = Pick<Prediction, 'frames' | 'drops'>

function error(type: number, code: number): Asked {
  const bytes = new Uint8Array(14 + 28)
  bytes.set([8, 0, 0x45], 12)
  bytes[14 + 9] = 1
  bytes.set([10, 0, 0, 1, 10, 0, 0, 2, type, code], 14 + 12)
  return { frames: [{ bytes, link: 'ethernet', packet: 1 } as never], drops: [] }
}

const NET_UNREACHABLE = error(3, 0)
const PORT_UNREACHABLE = error(3, 3)
const REDIRECT = error(5, 1)
const LOST: Asked = { frames: [], drops: [{ reason: 'IP_INNOROUTES' } as never] }

function spent(asked: Asked, times: number): Rations {
  const rations = new Rations()
  for (let i = 0; i < times; i++) rations.after(asked, 0)
  return rations
}

describe('errors of ip_error', () => {
  it('are five in a row, then one each second', () => {
    expect(spent(NET_UNREACHABLE, 4).before(NET_UNREACHABLE, 0)).toBe(0)
    const rations = spent(NET_UNREACHABLE, 5)
    expect(rations.before(NET_UNREACHABLE, 0)).toBe(1012)
    expect(rations.before(NET_UNREACHABLE, 400)).toBe(612)
    expect(rations.before(NET_UNREACHABLE, 1000)).toBe(0)
    expect(rations.before(PORT_UNREACHABLE, 0)).toBe(0)
  })

  it('count where nothing is seen of them, too', () => {
    expect(spent(LOST, 5).before(NET_UNREACHABLE, 0)).toBe(1012)
    expect(spent(NET_UNREACHABLE, 5).before(LOST, 0)).toBe(1012)
  })

  it('begin with nothing after a redirect', () => {
    expect(spent(REDIRECT, 1).before(NET_UNREACHABLE, 0)).toBe(1012)
  })
})

describe('redirects', () => {
  it('wait twice as long each time', () => {
    expect([0, 1, 2, 3].map((times) => spent(REDIRECT, times).before(REDIRECT, 0))).toEqual([0, 52, 92, 172])
  })
})
