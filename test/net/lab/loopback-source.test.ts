/** Which source a pod's own question to itself has (ip_route_output_key_hash_rcu), as seen on lo by a packet socket on Linux 6.18. */
import { describe, expect, it } from 'vitest'
import { flannelCluster } from '../../kit/flannel-cluster.js'
import { networkOf } from '../../kit/network.js'
import { look } from '../../kit/sighting.js'

describe('a pod asks itself', () => {
  const network = networkOf(flannelCluster({ backend: 'vxlan' }))

  it.each([
    ['127.0.0.1', '127.0.0.1', '127.0.0.1'],
    ['127.9.9.9', '127.0.0.1', '127.9.9.9'],
    ['0.0.0.0', '127.0.0.1', '127.0.0.1'],
    ['pod-a', '10.1.15.2', '10.1.15.2'],
  ])('%s: from %s to %s and back, all on lo', (asked, source, destination) => {
    const seen = look(network, 'pod-a', asked)
    expect(seen.disposition).toBe('DELIVERED')
    expect(seen.sights.map(({ netns, device, src, dst }) => [netns, device, src, dst])).toEqual([
      ['default/pod-a', 'lo', source, destination],
      ['default/pod-a', 'lo', destination, source],
    ])
  })
})
