/**
 * REJECT looks at the checksum before it answers (nf_send_unreach, nf_send_reset → nf_ip_checksum). The first of several fragments
 * fails it, unless conntrack put them together before or a VXLAN device left the sum of the bytes with the packet. Every row was
 * seen on Linux 6.18 with flanneld 0.11.0.
 */
import { describe, expect, it } from 'vitest'
import { flannelCluster, type Backend } from '../../kit/flannel-cluster.js'
import { networkOf } from '../../kit/network.js'
import { at, look, type Sighting } from '../../kit/sighting.js'

const FRAGMENTED = 3028
const WHOLE = 1028
const REJECT_ALL = ['-I FORWARD -p udp -j REJECT', '-I FORWARD -p icmp -j REJECT']

interface Case {
  readonly backend: Backend
  readonly host: string
  readonly ipMasq: boolean
}

function refused({ backend, host, ipMasq }: Case, size: number, proto: 'udp' | 'icmp'): Sighting {
  const network = networkOf(flannelCluster({ backend, ipMasq, hosts: { [host]: { iptables: REJECT_ALL } } }))
  return look(network, 'pod-a', proto === 'udp' ? 'pod-b:9000' : 'pod-b', { proto, size })
}

describe.each(['udp', 'icmp'] as const)('REJECT of %s in FORWARD', (proto) => {
  it.each<Case>([
    { backend: 'vxlan', host: 'host-a', ipMasq: false },
    { backend: 'host-gw', host: 'host-a', ipMasq: false },
    { backend: 'host-gw', host: 'host-b', ipMasq: false },
    { backend: 'udp', host: 'host-b', ipMasq: false },
  ])('$backend, $host, no conntrack: a first fragment is refused in silence', (words) => {
    const lost = refused(words, FRAGMENTED, proto)
    expect(lost).toMatchObject({ disposition: 'REJECTED', netns: words.host, answer: '' })
    expect(at(lost, { netns: 'default/pod-a', device: 'eth0', direction: 'rx' })).toEqual([])
    expect(refused(words, WHOLE, proto).answer).toMatch(/^icmp 3\/3 from /)
  })

  it('what a VXLAN device unwrapped is answered, fragment or not', () => {
    expect(refused({ backend: 'vxlan', host: 'host-b', ipMasq: false }, FRAGMENTED, proto)).toMatchObject({
      disposition: 'REJECTED',
      netns: 'host-b',
      answer: 'icmp 3/3 from 10.1.20.0',
    })
  })

  it('with conntrack the datagram is whole again: one answer', () => {
    expect(refused({ backend: 'host-gw', host: 'host-a', ipMasq: true }, FRAGMENTED, proto).answer).toBe('icmp 3/3 from 10.1.15.1')
  })
})
