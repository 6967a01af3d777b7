/** What a kernel looks up: routes, elements of IP sets, connections, and what kube-proxy's rules make of a new connection to a Service. */
import { formatIp, ip } from '../src/base/ip.js'
import { buildCluster } from '../src/cluster/cluster.js'
import { Flow, fibLookup, RouteResult } from '../src/net/fib.js'
import { HOOK_PREROUTING } from '../src/net/netfilter/netfilter.js'
import type { Netns } from '../src/net/netns.js'
import { buildNetwork } from '../src/network/build-network.js'
import { host, packet, table } from '../test/net/netfilter/support.js'
import { largeText, podAddress, PODS_PER_NODE, serviceAddress } from './large-world.js'
import type { Case, Suite } from './suite.js'
import { tracked } from './tracked.js'

const OPERATIONS = 1000

/** The first node of a flannel cluster, host-gw: a route for each other node. */
function firstNode(nodes: number, services: number): Netns {
  const { cluster } = buildCluster([{ file: 'bench', chunks: largeText({ nodes, services, policies: 0, backend: 'host-gw' }) }])
  const netns = buildNetwork(cluster, { seed: 1 }).network.netns('node-0')
  if (netns === undefined) throw new Error('there is no node-0')
  return netns
}

function routing(nodes: number): Case {
  const { fib } = firstNode(nodes, 0)
  const [flow, result] = [new Flow(), new RouteResult()]
  const addresses = Array.from({ length: OPERATIONS }, (_, i) => ip(podAddress(PODS_PER_NODE * (1 + (i % (nodes - 1))))))
  return {
    name: `${nodes.toLocaleString('en')} routes`,
    operations: OPERATIONS,
    run: () => {
      let sum = 0
      for (const address of addresses) {
        flow.dst = address
        if (fibLookup(fib, flow, result) !== 0) throw new Error('no route')
        sum += result.gateway
      }
      return sum
    },
  }
}

/** In front of one rule that asks the set and drops what it holds; what is asked is not in it. */
function sets(type: 'hash:ip' | 'hash:net', count: number): Case {
  const elements = Array.from({ length: count }, (_, i) => formatIp((ip('172.16.0.0') + i * 256) | 0) + (type === 'hash:net' ? '/24' : ''))
  const ipsets = [`create s ${type} family inet hashsize 1024 maxelem 1048576`, ...elements.map((one) => `add s ${one}`)].join('\n')
  const at = host(table('raw', '-A PREROUTING -m set --match-set s src -j DROP'), { ipsets })
  const [from, passing] = [at.device('ra'), packet()]
  passing.conntrack = 0
  return {
    name: `${type}, ${count.toLocaleString('en')} elements`,
    operations: OPERATIONS,
    run: () => {
      let verdicts = 0
      for (let i = 0; i < OPERATIONS; i++) {
        passing.src = (0x0a010000 + i) | 0
        verdicts += at.netfilter.run(HOOK_PREROUTING, passing, from, null)
      }
      return verdicts
    },
  }
}

/** Datagrams of connections that are known. */
function conntrack(name: string, connections: number): Case {
  return tracked(name, host(table('filter', '-A FORWARD -m conntrack --ctstate INVALID -j DROP')), { operations: OPERATIONS, connections, forward: 0 })
}

/** PREROUTING of a node, nat included: the connection is never confirmed, so that each packet's is new. */
function toService(services: number): Case {
  const netns = firstNode(10, services)
  const { netfilter } = netns
  const from = netns.devices.find(({ name }) => name === 'cni0')
  if (netfilter === null || from === undefined) throw new Error('no rules, or no bridge')
  const passing = packet({ proto: 'tcp', src: podAddress(0), dst: serviceAddress(0), dport: 80 })
  // Services that have pods behind them
  const addresses = Array.from({ length: OPERATIONS }, (_, i) => ip(serviceAddress(i % 20)))
  return {
    name: `${services.toLocaleString('en')} services`,
    operations: OPERATIONS,
    run: () => {
      let changed = 0
      for (let i = 0; i < OPERATIONS; i++) {
        passing.dst = addresses[i]
        passing.dport = 80
        passing.sport = 1024 + i
        passing.conntrack = -1
        netfilter.run(HOOK_PREROUTING, passing, from, null)
        if (passing.dst !== addresses[i]) changed++
      }
      if (changed !== OPERATIONS) throw new Error(`${changed} of ${OPERATIONS} were sent to a pod`)
      return changed
    },
  }
}

export const suites: readonly Suite[] = [
  { name: 'a routing lookup', base: '10 routes', cases: [routing(10), routing(1000)] },
  {
    name: 'a packet that a set does not hold',
    base: 'hash:ip, 100 elements',
    cases: [sets('hash:ip', 100), sets('hash:ip', 10_000), sets('hash:net', 10_000)],
  },
  { name: 'a packet that is tracked', base: 'one connection', cases: [conntrack('one connection', 1), conntrack('among 1,000', 1000)] },
  { name: 'kube-proxy, a new connection to a Service', base: '20 services', cases: [toService(20), toService(5000)] },
]
