/**
 * Round trip of real nodes: a network of examples/ made for real, every node gathered by the script inside its namespaces and read back. The network of
 * those dumps is asked the same questions: the same frames at the same places as the rendered one, the kernel's own frames, and no drift.
 */
import { describe, expect, it } from 'vitest'
import { driftOf } from '../../src/analysis/drift/drift.js'
import { coveringProbes } from '../../src/kernel/probes.js'
import { networkOf } from '../kit/network.js'
import { collect, differences, exampleText, foundNetwork, framesOf, isReady, predicted, withLab } from './collected-kit.js'

const EXAMPLES = ['flannel-vxlan', 'flannel-host-gw', 'flannel-udp', 'docker-only', 'calico-none', 'calico-vxlan', 'canal', 'services-flannel']
const PROBES = 8

describe.skipIf(!(await isReady()))('gathered from THIS KERNEL and read back (skipped without root and the tools)', () => {
  it.each(EXAMPLES)(
    '%s',
    async (name) => {
      const rendered = networkOf(exampleText(name))
      await withLab(rendered, async (gathered) => {
        const nodes = rendered.cluster.nodes.map((node) => collect(gathered, node.name))
        expect(nodes.flatMap(({ problems }) => problems)).toEqual([])
        const found = foundNetwork(rendered, nodes)
        const every = coveringProbes(rendered, 'all')
        const probes = every.filter((_, i) => i % Math.ceil(every.length / PROBES) === 0)
        expect(probes.length).toBeGreaterThan(2)
        for (const { name: probe, request } of probes) {
          const { source, destination, ...ask } = request
          const before = predicted(rendered, source, destination, ask)
          const after = predicted(found, source, destination, ask)
          expect([probe, after.outcome.disposition, framesOf(after)]).toEqual([probe, before.outcome.disposition, framesOf(before)])
          if (after.probability < 1 || after.outcome.disposition === 'INCOMPLETE') continue
          expect([probe, await differences(gathered.lab, found, after)]).toEqual([probe, []])
        }
        const inputs = nodes.map((collected) => ({ name: collected.name, dataplane: collected.dataplane, collected }))
        expect(driftOf(rendered, inputs).findings.map(({ code, what }) => `${code} ${what}`)).toEqual([])
      })
    },
    180_000,
  )
})
