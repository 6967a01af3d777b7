/** Proxy ARP waits before it answers (pneigh_enqueue, net.ipv4.neigh.*.proxy_delay), so that the owner of an address is the first. */
import { describe, expect, it } from 'vitest'
import { formatMac, macOf } from '../../src/base/mac.js'
import { ip } from '../../src/base/ip.js'
import type { NeighTable } from '../../src/net/neigh.js'
import { ETHERTYPE_ARP } from '../../src/wire/packet.js'
import { Kit, macFor, packetOf } from './kit.js'

const SEGMENTS = [{ name: 's0', mtu: 1500, latencyNs: 0, rateBps: 10e9 }]
const card = (address: string): string => `link eth0 nic s0\naddr ${address}/24 dev eth0\nsocket udp 9000`
const PROXY = `${card('10.1.0.5')}\nlink d0 dummy\nroute add 10.1.0.9 dev d0\nsysctl net.ipv4.ip_forward=1\nsysctl net.ipv4.conf.eth0.proxy_arp=1`

function macKnown(kit: Kit, address: string): string | undefined {
  const known = (kit.device('a/eth0').neighbours as NeighTable).find(ip(address))
  return known === undefined ? undefined : formatMac(macOf(known.macHigh, known.macLow))
}

/** [who, milliseconds] of each ARP reply. */
function repliesOf(kit: Kit): [string, number][] {
  const replies = kit.frames().filter(({ out, packet }) => out && packet.etherType === ETHERTYPE_ARP && packet.arpOperation === 2)
  return replies.map(({ netns, timeNs }) => [netns, Math.floor(timeNs / 1e6)])
}

describe('who has 10.1.0.9?', () => {
  it('its owner speaks first and is believed, the proxy later and is not', () => {
    const kit = new Kit({ a: card('10.1.0.1'), p: PROXY, owner: card('10.1.0.9') }, { segments: SEGMENTS })
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9' }))
    kit.pass(900)
    expect(repliesOf(kit)).toEqual([
      ['owner', 0],
      ['p', 400],
    ])
    expect(macKnown(kit, '10.1.0.9')).toBe(formatMac(macFor(3, 1)))
  })

  it('with nobody else the proxy is believed', () => {
    const kit = new Kit({ a: card('10.1.0.1'), p: PROXY }, { segments: SEGMENTS })
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9' }))
    kit.pass(900)
    expect(repliesOf(kit)).toEqual([['p', 400]])
    expect(macKnown(kit, '10.1.0.9')).toBe(formatMac(macFor(2, 1)))
  })

  it.each([
    ['sysctl net.ipv4.neigh.eth0.proxy_delay=0', 0],
    ['sysctl net.ipv4.neigh.default.proxy_delay=20', 100],
  ])('%s: after %d ms', (line, milliseconds) => {
    const kit = new Kit({ a: card('10.1.0.1'), p: `${PROXY}\n${line}` }, { segments: SEGMENTS })
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9' }))
    kit.pass(900)
    expect(repliesOf(kit)).toEqual([['p', milliseconds]])
  })

  it('in a warm network the owner is known, wherever the proxy stands', () => {
    const kit = new Kit({ a: card('10.1.0.1'), p: PROXY, owner: card('10.1.0.9') }, { segments: SEGMENTS, warm: true })
    kit.send('a', packetOf({ src: '10.1.0.1', dst: '10.1.0.9' }))
    kit.pass(1)
    expect(macKnown(kit, '10.1.0.9')).toBe(formatMac(macFor(3, 1)))
    expect(repliesOf(kit)).toEqual([])
  })
})
