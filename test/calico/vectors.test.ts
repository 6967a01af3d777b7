/**
 * Which test holds which numbered vector and trap of the two reference pages (Felix §7 and §8; BGP and IPAM §2, §3, §6): a title that is gone
 * fails here. What has no test is named with its reason.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

type Entry = readonly [numbers: string, file: string, title: string]

/** §8 of Felix's page. Those of whole clusters stand in felix/composed.test.ts a second time. */
const FELIX_VECTORS: readonly Entry[] = [
  ['1-3', 'calico/workload-endpoint.test.ts', "describe('names'"],
  ['4-8', 'calico/felix/names.test.ts', 'names that must fit'],
  ['9-11, 14', 'calico/felix/names.test.ts', 'policies and profiles'],
  ['12, 13', 'calico/felix/names.test.ts', 'a policy of each release'],
  ['15-17', 'cluster/selector.test.ts', 'canonical text'],
  ['15-21', 'calico/felix/names.test.ts', 'IDs of sets'],
  ['22', 'calico/felix/names.test.ts', 'are cut to what ipset takes'],
  ['23-25', 'calico/felix/names.test.ts', 'MACs of VTEPs'],
  ['26, 27', 'calico/felix/names.test.ts', 'of endpoints, upstream dispatch_test.go'],
  ['28-30', 'calico/felix/names.test.ts', 'NFLOG prefixes'],
  ['31, 32', 'calico/felix/names.test.ts', 'groups, and the endpoint of all interfaces'],
  ['33-48', 'calico/felix/static-chains.test.ts', 'the chains of upstream’s dump (v3.30, VXLAN)'],
  ['49-55', 'calico/felix/static-chains.test.ts', "it('static chains'"],
  ['56, 57', 'calico/felix/static-chains.test.ts', 'a workload that no policy selects'],
  ['58', 'calico/felix/static-chains.test.ts', 'a workload with one ingress policy'],
  ['59-63', 'calico/felix/static-chains.test.ts', "it('profiles and policies'"],
  ['64, 65', 'calico/felix/static-chains.test.ts', "it('dispatch'"],
  ['31-37, 40, 43-45, 48-69', 'calico/felix/composed.test.ts', 'a default install of 3.32.1 (IPIP), two pods and no policy'],
  ['66-69', 'calico/felix/policy-chains.test.ts', "describe('dispatch'"],
  ['70', 'calico/felix/policy-chains.test.ts', 'marks of endpoints (IPVS)'],
  ['71-77, 86', 'calico/felix/policy-chains.test.ts', 'one rule, one match'],
  ['78', 'calico/felix/policy-chains.test.ts', 'too many ports that must not match'],
  ['79', 'calico/felix/policy-chains.test.ts', 'no rule at all where nothing can match'],
  ['80-85', 'calico/felix/policy-chains.test.ts', "describe('blocks'"],
  ['87', 'calico/felix/policy-chains.test.ts', 'deny, pass, log'],
  ['88', 'calico/felix/policy-chains.test.ts', 'ports that fit a multiport'],
  ['89-91', 'cluster/selector.test.ts', 'canonical text'],
  ['92-94', 'cluster/selector.test.ts', "describe('prefixes'"],
  ['95-97', 'cluster/selector.test.ts', "describe('matching'"],
  ['98', 'cluster/selector.test.ts', "describe('refused'"],
  ['99-105', 'calico/felix/conversion.test.ts', 'Kubernetes NetworkPolicy'],
  ['106-108', 'calico/felix/conversion.test.ts', 'whom a policy is for'],
  ['109', 'calico/felix/conversion.test.ts', 'whom a rule names'],
  ['110', 'calico/felix/cluster-network-policy.test.ts', '110: namespaces {} is every pod and no host endpoint'],
]

const SET = 'calico/policy-set/table.ts'
const HOSTS = 'calico/felix/host-endpoints.test.ts'
const EXAMPLES = 'network/calico-examples.test.ts'

/** §7 of Felix's page. */
const FELIX_TRAPS: readonly Entry[] = [
  ['1, 2', SET, 'its egress names cart, cart names web'],
  ['3, 4', 'calico/felix/traps.test.ts', '4: passes one endpoint’s chain; the other’s is not visited'],
  ['5', SET, 'a host and its own pod'],
  ['6', SET, 'its own host: DefaultEndpointToHostAction'],
  ['9', EXAMPLES, 'what leaves the pools leaves with the address of its node'],
  ['10', EXAMPLES, 'another node is a stranger to policies'],
  ['11, 23', EXAMPLES, 'a pod that pretends to be another is not heard'],
  ['12-14, 16', 'calico/felix/static-chains.test.ts', 'v3.32.1 with IPIP'],
  ['15', 'calico/felix/policy-chains.test.ts', 'no endpoint'],
  ['17, 19, 20', HOSTS, 'a host endpoint by %s, without profiles'],
  ['18', SET, 'the NetworkSet of its own namespace; no-smtp is for everybody else'],
  ['21', EXAMPLES, 'a packet to a free address of a block ends at the node that has the block'],
  ['24, 25', 'network/calico-modes.test.ts', 'CrossSubnet: the tunnel is for what crosses the router alone'],
  ['26, 27', SET, 'no policy of the default tier selects its egress'],
  ['28', 'cluster/selector.test.ts', "describe('matching'"],
  ['29', 'calico/felix/conversion.test.ts', 'nobody: not even the own namespace'],
  ['30', SET, 'a node is no friend of pci'],
  ['31', 'calico/felix/conversion.test.ts', 'a CIDR that cannot be read matches everybody'],
  ['32', SET, 'and not 8080'],
  ['33', 'calico/felix/inputs.test.ts', 'services: every endpoint, ready or not'],
  ['34', 'calico/felix/traps.test.ts', '34: a host endpoint is what it expects'],
  ['35', 'calico/felix/policy-chains.test.ts', 'scratch1 is not cleared between blocks'],
  ['36', 'calico/felix/traps.test.ts', '36: a tier that nobody made comes last'],
  ['37', 'calico/felix/staged.test.ts', 'trap 37'],
  ['38', 'calico/felix/traps.test.ts', '38: HTTP is not for iptables'],
  ['39', SET, 'logged, then denied'],
  ['40', 'calico/felix/conversion.test.ts', 'ICMP is of one family'],
  ['41, 44, 45, 46, 49', 'calico/felix/composed.test.ts', 'traps 41 and 44'],
  ['42, 43', 'calico/felix/static-chains.test.ts', 'the chains of upstream’s dump (v3.30, VXLAN)'],
  ['47', 'calico/felix/traps.test.ts', '47: of one order the bare name decides'],
  ['48', 'calico/felix/policy-chains.test.ts', 'deny, pass, log'],
  ['50', 'calico/felix/policy-chains.test.ts', 'no rule at all where nothing can match'],
]
/** 7, 8: no Services yet. 22: the CNI's and Felix's two routes are one here, as after Felix's clean-up. */
const FELIX_TRAPS_WITHOUT = [7, 8, 22]

const FAILURES = 'calico/bgp/failures.test.ts'
const IPAM = 'calico/ipam.test.ts'

/** Tables of §2 and §3, by section. */
const BGP_TABLES: readonly Entry[] = [
  ['2.2', FAILURES, 'two nodes that cannot agree'],
  ['2.3', 'calico/bgp/message.test.ts', "describe('sizes'"],
  ['2.4', 'calico/bgp/counts.test.ts', 'a mesh from cold'],
  ['2.5', 'calico/bgp/counts.test.ts', 'route reflectors that wait for their clients'],
  ['2.7', FAILURES, 'changes of one node of five'],
  ['2.8', FAILURES, 'a mesh of five loses a node'],
  ['2.9', 'calico/bgp/fabric.test.ts', 'a next hop on another subnet'],
  ['3.2', IPAM, "describe('pools'"],
  ['3.3', 'calico/go-random.test.ts', 'the first block of a node'],
  ['3.4', IPAM, "describe('a block'"],
  ['3.5', 'network/calico-dump.test.ts', 'a borrowed address is announced by itself'],
  ['3.7', 'calico/calico-cluster.test.ts', 'of WireGuard on one node: only there an address for it'],
  ['3.9', IPAM, 'are given back when they were empty for 15 minutes'],
]

/** §6. */
const BGP_TRAPS: readonly Entry[] = [
  ['1, 2, 3', 'calico/bgp/counts.test.ts', 'route reflectors that wait for their clients'],
  ['4, 5, 25', FAILURES, 'a mesh of five loses a node'],
  ['6', FAILURES, 'SIGKILL and a start with -R after 5 s'],
  ['7', FAILURES, 'one configured peer dead: 240 s without a route'],
  ['8', 'calico/bgp/confd.test.ts', 'waits for the peer whose address is the larger text'],
  ['9', FAILURES, 'a chain A – B – C without a reflector'],
  ['10', EXAMPLES, 'a packet to a free address of a block'],
  ['11, 12', FAILURES, 'a pod with a borrowed address'],
  ['13', FAILURES, 'a second block: BoRR 23'],
  ['14', 'calico/bgp/fabric.test.ts', 'each hop hands on by the next'],
  ['15', 'calico/bgp/fabric.test.ts', 'a next hop on another subnet'],
  ['16', 'network/calico-modes.test.ts', 'CrossSubnet: the tunnel is for what crosses the router alone'],
  ['17', 'calico/go-random.test.ts', 'the first block of a node'],
  ['18', 'calico/address-plan.test.ts', 'the first pod of a node has the first address of its block'],
  ['19', IPAM, 'gives an address back after the 63 others'],
  ['20, 21', IPAM, 'end at 20: then nothing is borrowed either'],
  ['23', 'network/calico-modes.test.ts', "has flannel's device and routes, cali veths in place of a bridge"],
  ['26', 'calico/bgp/confd.test.ts', 'service ranges from every node'],
  ['29', FAILURES, 'the cable is cut: hold timers expire'],
]
/** 22: pods do not move yet. 24: no conflict of a local /32 with a learned one is asked. 27: no IPv6. 28: no ToR's view of services. 30: no listen backlog. */
const BGP_TRAPS_WITHOUT = [22, 24, 27, 28, 30]

function numbersOf(entries: readonly Entry[]): number[] {
  const found = entries.flatMap(([numbers]) =>
    numbers.split(', ').flatMap((part) => {
      const [first, last = first] = part.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, i) => first + i)
    }),
  )
  return [...new Set(found)].sort((a, b) => a - b)
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1)
const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b)

describe('every number has its test', () => {
  it('Felix', () => {
    expect(numbersOf(FELIX_VECTORS)).toEqual(upTo(110))
    expect(sorted([...numbersOf(FELIX_TRAPS), ...FELIX_TRAPS_WITHOUT])).toEqual(upTo(50))
  })

  it('BGP', () => {
    expect(sorted([...numbersOf(BGP_TRAPS), ...BGP_TRAPS_WITHOUT])).toEqual(upTo(30))
  })

  it.each([...FELIX_VECTORS, ...FELIX_TRAPS, ...BGP_TABLES, ...BGP_TRAPS])('%s: %s, %s', (_, file, title) => {
    const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
    expect(text.replaceAll("\\'", "'")).toContain(title)
  })
})
