/** What of a question decides its verdict, where more than one thing ended on the way; and the sizes told of a packet that something refused. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { mtuText } from '../../src/analysis/trace-text-verdict.js'
import { flannelCluster } from '../kit/flannel-cluster.js'
import { answer, networkOf } from '../kit/network.js'

function example(name: string): string {
  return readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8')
}

describe('an answer that is lost', () => {
  it('is lost, though the ICMP error about it reaches the pod that answered', () => {
    // rack 1 has no session with its switch: nobody but rack 1 itself has the way back
    const network = networkOf(example('calico-fabric').replace('peerIP: 192.168.1.254, asNumber: 65101', 'peerIP: 192.168.1.254, asNumber: 65111'))
    const { outcome, document } = answer(network, 'shop/web-0', 'shop/api-0:8080')
    expect([outcome.forward.disposition, outcome.reply?.disposition, outcome.disposition]).toEqual(['DELIVERED', 'NO_ROUTE', 'REPLY_LOST'])
    expect(document.result.netns).toBe('router/tor-2')
    expect(document.reply?.hops.at(-1)?.pod).toBe('shop/api-0')
  })
})

describe('the largest packet of a way that refused one', () => {
  it('is that of the device that it was not sent by', () => {
    const { document } = answer(networkOf(example('canal')), 'shop/web-0', 'shop/api-0', { size: 1500, df: true })
    expect(document.disposition).toBe('TOO_BIG')
    expect(document.mtu).toMatchObject({ inner: 1500, path: 1450, mss: 1410, limitedBy: 'node-1 flannel.1' })
    expect(document.result.fixes).toEqual(["send no more than 1450 bytes (TCP MSS 1410), or lower the pods' MTU to 1450"])
  })

  it("is the sender's own, where its kernel refuses it; its MTU need not be lowered", () => {
    const { document } = answer(networkOf(flannelCluster({ backend: 'vxlan' })), 'pod-a', 'pod-b', { size: 1451, df: true })
    expect(document.mtu).toMatchObject({ inner: 1450, path: 1450, limitedBy: 'default/pod-a eth0' })
    expect(document.result.fixes).toEqual(['send no more than 1450 bytes (TCP MSS 1410)'])
  })

  it('speaks of no underlay where none was crossed', () => {
    const { document } = answer(networkOf(example('canal')), 'shop/web-0', 'node/node-1')
    if (document.mtu === null) throw new Error('it was sent')
    expect(mtuText(document.mtu, 'vxlan', { underlay: document.result.wireFrame !== undefined })).toBe(
      '1500 at the sender, nothing added; TCP MSS 1500 - 40 = 1460',
    )
  })
})
