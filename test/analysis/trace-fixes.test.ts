/** What a trace advises, decided by what the loss is and not by the words that it is told in. */
import { readFileSync } from 'node:fs'
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

describe("an address of Calico's pool", () => {
  const asked = (file: string, address: string): ReturnType<typeof answer>['document']['result'] =>
    answer(networkOf(readFileSync(`examples/${file}`, 'utf8')), 'shop/web-0', address).document.result

  it('in nobody’s block: no route, and whom to ask', () => {
    const { disposition, fixes } = asked('calico-fabric.yaml', '10.244.50.1')
    expect(disposition).toBe('NO_ROUTE')
    expect(fixes).toEqual([
      "10.244.50.1 is in pool default-ipv4-ippool (10.244.0.0/16) and in no node's block: nobody announces it; " +
        'compare netsim show blocks with netsim show bgp router/tor-1',
    ])
  })

  it('free in its own node’s block: the blackhole says so', () => {
    const { disposition, fixes } = asked('calico-none.yaml', '10.244.84.140')
    expect(disposition).toBe('NULL_ROUTED')
    expect(fixes).toEqual(["10.244.84.140 is a free address of node-1's block 10.244.84.128/26: no pod has it; netsim show workloadendpoints"])
  })
})
