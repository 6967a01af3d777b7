/** One traced packet between two nodes, for each backend: what bench/kernel/ holds beside the kernel. */
import type { Netns } from '../src/net/netns.js'
import { forwardNetwork, PATHS, sendOne, type PathName } from './forward-network.js'
import type { Case, Suite } from './suite.js'

const PACKETS = 200

function traced(path: PathName): Case {
  const network = forwardNetwork(path, 0)
  const [from, to] = network.pods
  const source = network.netns(from.dataplane.netns) as Netns
  return {
    name: path,
    operations: PACKETS,
    run: () => {
      network.world.trace.on = 1
      let ends = 0
      for (let i = 0; i < PACKETS; i++) ends += sendOne(network, source, to.address)
      if (ends !== PACKETS) throw new Error(`${path}: ${ends} of ${PACKETS} packets arrived`)
      return ends
    },
  }
}

export const suites: readonly Suite[] = [{ name: 'a traced packet', base: 'flannel vxlan', cases: PATHS.map(traced) }]
