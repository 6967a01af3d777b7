/**
 * A packet's walk: pod to pod over flannel's VXLAN, two hosts, ten devices, conntrack on, as reference figures for the kernel are
 * measured (64 bytes of UDP payload). Traced: with its steps, and with a copy of every frame; FORWARD with 0 to 2,000 rules that do
 * not match on both hosts.
 */
import type { Netns } from '../src/net/netns.js'
import type { Network } from '../src/network/network.js'
import { forwardNetwork, sendOne } from './forward-network.js'
import type { Suite } from './suite.js'

const BATCH = 200

interface Way {
  readonly name: string
  readonly rules: number
  readonly trace: number
  readonly taps: number
}

const WAYS: readonly Way[] = [
  { name: 'steps, no rules', rules: 0, trace: 1, taps: 0 },
  { name: 'steps and frames, no rules', rules: 0, trace: 1, taps: 1 },
  { name: 'no trace, no rules', rules: 0, trace: 0, taps: 0 },
  { name: 'steps, 20 rules', rules: 20, trace: 1, taps: 0 },
  { name: 'steps, 200 rules', rules: 200, trace: 1, taps: 0 },
  { name: 'steps, 2000 rules', rules: 2000, trace: 1, taps: 0 },
]

function forwardSuite(): Suite {
  const networks = new Map<number, Network>()
  const cases = WAYS.map((way) => {
    const network = networks.get(way.rules) ?? forwardNetwork('flannel vxlan', way.rules)
    networks.set(way.rules, network)
    const [from, to] = network.pods
    const source = network.netns(from.dataplane.netns) as Netns
    return {
      name: way.name,
      operations: BATCH,
      run: () => {
        network.world.trace.on = way.trace
        network.world.trace.taps = way.taps
        let ends = 0
        for (let i = 0; i < BATCH; i++) ends += sendOne(network, source, to.address)
        if (way.trace === 1 && ends !== BATCH) throw new Error(`${way.name}: ${ends} of ${BATCH} packets arrived`)
        return ends
      },
    }
  })
  return { name: 'forward over vxlan, a packet', base: 'steps, no rules', cases }
}

export const suites: readonly Suite[] = [forwardSuite()]
