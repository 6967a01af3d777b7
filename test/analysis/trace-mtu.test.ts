/** The MTU line of a verdict, where what one packet was padded by says nothing of others. */
import { describe, expect, it } from 'vitest'
import { mtuText } from '../../src/analysis/trace-text-verdict.js'
import { flannelCluster, type ClusterWords } from '../kit/flannel-cluster.js'
import { answer, networkOf } from '../kit/network.js'
import { at, look } from '../kit/sighting.js'

function mtuOf(words: ClusterWords, size: number): { readonly path: number; readonly overhead: number; readonly text: string } | undefined {
  const { document } = answer(networkOf(flannelCluster(words)), 'pod-a', 'pod-b:9000', { proto: 'udp', size })
  return document.mtu === null ? undefined : { path: document.mtu.path, overhead: document.mtu.overhead, text: mtuText(document.mtu, 'wireguard') }
}

describe('wireguard', () => {
  it('1500 - 20 - 8 - 16 - 16 = 1440 whatever is asked, 1420 with what flannel reserves', () => {
    for (const size of [28, 29, 60, 1000, 1420])
      expect(mtuOf({ backend: 'wireguard' }, size)).toEqual({
        path: 1420,
        overhead: 60,
        text: "1500 underlay - 20 IP - 8 UDP - 16 WireGuard - 16 WireGuard tag = 1440 inside; the sender's device has mtu 1420; path 1420, limited by default/pod-a eth0; TCP MSS 1420 - 40 = 1380",
      })
  })
})

describe('TCP over a small device', () => {
  it('announces 256 at least (net.ipv4.route.min_adv_mss), as a kernel does on a veth of 200', () => {
    const words = flannelCluster({ backend: 'vxlan', backendOptions: { MTU: 250 }, version: '0.28.9' })
    const syn = at(look(networkOf(words), 'pod-a', 'pod-b:9000', { proto: 'tcp' }), { netns: 'default/pod-b', device: 'eth0', direction: 'rx' })[0]
    expect(syn.length).toBe(74)
    expect(Buffer.from(syn.bytes.subarray(54, 58)).toString('hex')).toBe('02040100')
  })
})
