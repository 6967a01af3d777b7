/** From manifests to an answer, in one process: texts read, the network put together, one question asked with its document. */
import { buildCluster } from '../src/cluster/cluster.js'
import { EXAMPLE_TEXT } from '../src/cluster/example.js'
import { traceDocument } from '../src/analysis/trace-report.js'
import { buildNetwork } from '../src/network/build-network.js'
import type { Network } from '../src/network/network.js'
import { DEFAULT_REQUEST } from '../src/network/request.js'
import { largeText, podKey, PODS_PER_NODE } from './large-world.js'
import type { Suite } from './suite.js'

const NODES = 100

function network(input: Parameters<typeof buildCluster>[0][number]): Network {
  return buildNetwork(buildCluster([input]).cluster, { seed: 1 }).network
}

function answer(of: Network, source: string, destination: string): string {
  const outcome = of.trace({ ...DEFAULT_REQUEST, source, destination })
  if (!('disposition' in outcome) || outcome.disposition !== 'DELIVERED') throw new Error(`${source} → ${destination} is not delivered`)
  return traceDocument(of, outcome).disposition
}

const chunks = [...largeText({ nodes: NODES, services: 100, policies: 0, backend: 'vxlan' })]
const example = network({ file: 'example', text: EXAMPLE_TEXT })

export const suites: readonly Suite[] = [
  {
    name: 'a cluster built',
    base: 'the built-in example',
    cases: [
      { name: 'the built-in example', run: () => network({ file: 'example', text: EXAMPLE_TEXT }) },
      { name: 'the built-in example, and its first answer', run: () => answer(network({ file: 'example', text: EXAMPLE_TEXT }), 'pod-a', 'pod-b') },
      { name: 'another answer of it', run: () => answer(example, 'pod-a', 'pod-b') },
      {
        name: `${NODES} nodes, ${NODES * PODS_PER_NODE} pods, and its first answer`,
        run: () => answer(network({ file: 'large', chunks }), podKey(0), podKey(PODS_PER_NODE)),
      },
    ],
  },
]
