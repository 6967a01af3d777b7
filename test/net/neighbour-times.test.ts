/** How long a neighbour is asked for and believed in: net.ipv4.neigh.DEV.* (net/core/neighbour.c), in virtual time. */
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { NUD_FAILED, NUD_REACHABLE, type NeighTable } from '../../src/net/neigh.js'
import { ETHERTYPE_ARP } from '../../src/wire/packet.js'
import { Kit, packetOf } from './kit.js'

const SEGMENTS = [{ name: 's0', mtu: 1500, latencyNs: 0, rateBps: 0 }]
const card = (address: string): string => `link eth0 nic s0\naddr ${address}/24 dev eth0\nsocket udp 9000`

/** Milliseconds of each question of `a`, and to whom it went. */
function questions(kit: Kit): [number, 'all' | 'one'][] {
  const asked = kit.frames().filter(({ netns, out, packet }) => netns === 'a' && out && packet.etherType === ETHERTYPE_ARP && packet.arpOperation === 1)
  return asked.map(({ timeNs, packet }) => [timeNs / 1e6, packet.dstMacHigh === 0xffff ? 'all' : 'one'])
}

const stateOf = (kit: Kit, address: string): number | undefined => (kit.device('a/eth0').neighbours as NeighTable).find(ip(address))?.state

/** Milliseconds until the first packet to a host that is not there is lost. */
function failure(settings: string): { readonly asked: [number, string][]; readonly failedMs: number } {
  const kit = new Kit({ a: `${card('10.1.0.1')}\n${settings}` }, { segments: SEGMENTS })
  kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9' }))
  while (kit.ends().length === 0 && kit.world.sim.nowNs < 20e9) kit.pass(10)
  // the sender's own kernel tells it so
  expect(kit.ends()).toMatchObject([{ disposition: 'NEIGHBOR_FAILED', reason: 'NEIGH_FAILED' }, { disposition: 'DELIVERED' }])
  return { asked: questions(kit), failedMs: kit.world.sim.nowNs / 1e6 }
}

describe('nobody answers', () => {
  it.each([
    ['', [0, 1000, 2000], 3000],
    ['sysctl net.ipv4.neigh.eth0.retrans_time_ms=200', [0, 200, 400], 600],
    ['sysctl net.ipv4.neigh.default.retrans_time_ms=500', [0, 500, 1000], 1500],
    ['sysctl net.ipv4.neigh.eth0.mcast_solicit=1', [0], 1000],
    ['sysctl net.ipv4.neigh.eth0.ucast_solicit=9', [0, 1000, 2000], 3000],
    // never closer than a hundredth of a second
    ['sysctl net.ipv4.neigh.eth0.retrans_time_ms=1', [0, 10, 20], 30],
  ])('%s', (settings, asked, failedMs) => {
    expect(failure(settings)).toEqual({ asked: asked.map((ms) => [ms, 'all']), failedMs })
  })

  it('mcast_solicit 0: lost at once, unasked', () => {
    const kit = new Kit({ a: `${card('10.1.0.1')}\nsysctl net.ipv4.neigh.eth0.mcast_solicit=0` }, { segments: SEGMENTS })
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9' }))
    expect(kit.ends()).toMatchObject([{ disposition: 'NEIGHBOR_FAILED', reason: 'NEIGH_FAILED' }])
    expect(kit.rowsInUse()).toBe(0)
    expect(questions(kit)).toEqual([])
    expect(stateOf(kit, '10.1.0.9')).toBe(NUD_FAILED)
  })
})

describe('a neighbour that dies while it is believed in', () => {
  const lines = ['base_reachable_time_ms=2000', 'delay_first_probe_time=1', 'retrans_time_ms=500', 'ucast_solicit=2']
  const settings = lines.map((line) => `sysctl net.ipv4.neigh.eth0.${line}`).join('\n')

  it('is sent to until reachable time, delay and its unanswered questions are over', () => {
    const kit = new Kit({ a: `${card('10.1.0.1')}\n${settings}`, b: card('10.1.0.2') }, { segments: SEGMENTS })
    const send = (): void => kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.2' }))
    send()
    kit.pass(1)
    expect(stateOf(kit, '10.1.0.2')).toBe(NUD_REACHABLE)
    kit.device('b/eth0').up = 0
    kit.clear()
    const began = kit.world.sim.nowNs
    while (stateOf(kit, '10.1.0.2') !== NUD_FAILED && kit.world.sim.nowNs < began + 20e9) {
      send()
      kit.pass(100)
    }
    // 2 s reachable, 1 s of delay, two questions half a second apart
    expect((kit.world.sim.nowNs - began) / 1e6).toBe(2000 + 1000 + 2 * 500)
    const asked = questions(kit)
    expect(asked.map(([, whom]) => whom)).toEqual(['one', 'one'])
    expect(asked[1][0] - asked[0][0]).toBe(500)
  })
})
