/**
 * One ICMP message of a kernel's own at a time (icmp_xmit_lock): what goes wrong with it on its way out, or with the VXLAN packet
 * around it, is reported to nobody. Every row was seen on Linux 6.18 with flanneld 0.11.0.
 */
import { describe, expect, it } from 'vitest'
import { flannelCluster } from '../../kit/flannel-cluster.js'
import { networkOf } from '../../kit/network.js'
import { at, look, type Sighting } from '../../kit/sighting.js'

const LOOPBACK = { netns: 'host-b', device: 'lo' }

function ask(rule: string, destination: string, request: Parameters<typeof look>[3] = {}): Sighting {
  return look(networkOf(flannelCluster({ backend: 'vxlan', hosts: { 'host-b': { iptables: [rule] } } })), 'pod-a', destination, request)
}

describe('OUTPUT rejects the VXLAN packet', () => {
  const rule = '-I OUTPUT -p udp --dport 8472 -j REJECT'

  it.each([
    ['an echo reply', '10.1.20.1', {}],
    ['a time exceeded', 'pod-b', { ttl: 2 }],
    ['a port unreachable', '10.1.20.1:9000', { proto: 'udp' }],
  ] as const)('around %s of the host itself: nobody is told', (_, destination, request) => {
    const seen = ask(rule, destination, request)
    expect(at(seen, { netns: 'host-b', device: 'flannel.1', direction: 'tx' })).toHaveLength(1)
    expect(at(seen, LOOPBACK)).toEqual([])
  })

  it('around what a pod sent: the host hears of it over lo', () => {
    const [told, ...more] = at(ask(rule, 'pod-b'), LOOPBACK)
    expect([told.src, told.dst, told.proto, more.length]).toEqual(['192.168.0.200', '192.168.0.200', 1, 0])
  })
})

it('an echo reply that OUTPUT rejects is answered by nothing', () => {
  const seen = ask('-I OUTPUT -p icmp -j REJECT', '10.1.20.1')
  expect(seen.disposition).toBe('REPLY_LOST')
  expect(at(seen, LOOPBACK)).toEqual([])
  expect(at(seen, { netns: 'host-b', device: 'flannel.1', direction: 'tx' })).toEqual([])
})
