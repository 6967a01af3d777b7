import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { driftOf } from '../../../src/analysis/drift/drift.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { buildNetwork } from '../../../src/network/build-network.js'
import { dumpOf } from './dump-kit.js'

const EXAMPLES = readdirSync('examples').filter((name) => name.endsWith('.yaml'))

describe('no fault, no finding', () => {
  it.each(EXAMPLES)('%s, every node written as text and read back', (name) => {
    const { cluster } = buildCluster([{ file: `examples/${name}`, text: readFileSync(`examples/${name}`, 'utf8') }])
    const { network } = buildNetwork(cluster, { seed: 1 })
    const dumps = network.nodes.map(({ dataplane, pods }) => dumpOf(dataplane, pods))
    const report = driftOf(
      network,
      dumps.map((collected) => ({ name: collected.name, dataplane: collected.dataplane, collected })),
    )
    expect(report.findings.map(({ what, expected, there }) => [what, expected, there])).toEqual([])
    expect(report.notJudged).toEqual([])
  })
})
