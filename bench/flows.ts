/** Many flows over the built-in example: one of a packet, as each pair of pods is asked, and a packet among many of a flow. */
import { FlowRunner } from '../src/analysis/flows/runner.js'
import { buildCluster } from '../src/cluster/cluster.js'
import { EXAMPLE_TEXT } from '../src/cluster/example.js'
import { buildNetwork } from '../src/network/build-network.js'
import { DEFAULT_REQUEST } from '../src/network/request.js'
import type { Case, Suite } from './suite.js'

const { network } = buildNetwork(buildCluster([{ file: 'example', text: EXAMPLE_TEXT }]).cluster, { seed: 1 })

function flow(name: string, packets: number): Case {
  const runner = new FlowRunner(network, () => undefined)
  const request = { ...DEFAULT_REQUEST, source: 'pod-a', destination: 'pod-b:9000', proto: 'udp' } as const
  return {
    name,
    operations: packets,
    run: () => {
      const result = runner.run({ request, packets, rate: 0 })
      if (!('disposition' in result) || result.all.get('DELIVERED') !== packets) throw new Error('not all were delivered')
      return result
    },
  }
}

export const suites: readonly Suite[] = [
  { name: 'bulk flows', base: 'a flow of one packet', cases: [flow('a flow of one packet', 1), flow('a packet of a flow of 10,000', 10_000)] },
]
