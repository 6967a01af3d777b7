/** What a trace advises, decided by what the loss is and not by the words that it is told in. */
import { describe, expect, it } from 'vitest'
import { flannelCluster, VTEP_B, type ClusterWords } from '../kit/flannel-cluster.js'
import { answer, networkOf } from '../kit/network.js'

const FORWARDING_TABLE = ['compare netsim show fdb and netsim show neigh with netsim show leases']
const ROUTES = ['compare netsim show routes and netsim show addr with netsim show leases']

function fixesOf(words: ClusterWords): readonly string[] {
  const { document } = answer(networkOf(flannelCluster(words)), 'pod-a', 'pod-b')
  expect(document.result.disposition).toBe('NO_VTEP')
  return document.result.fixes
}

describe('no VTEP', () => {
  it('of VXLAN: the tables that name the other end are its FDB and neighbours', () => {
    expect(fixesOf({ backend: 'vxlan', hosts: { 'host-a': { bridge: [`fdb del ${VTEP_B} dev flannel.1 self`] } } })).toEqual(FORWARDING_TABLE)
  })

  it('of IPIP: it has no FDB, whichever end lost the packet', () => {
    expect(fixesOf({ backend: 'ipip', hosts: { 'host-b': { ip: ['link set flannel.ipip down'] } } })).toEqual(ROUTES)
    expect(fixesOf({ backend: 'ipip', hosts: { 'host-a': { ip: ['route add unreachable 192.168.0.200/32'] } } })).toEqual(ROUTES)
  })
})
