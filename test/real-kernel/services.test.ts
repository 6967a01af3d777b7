/**
 * Services on THIS KERNEL: a cluster with one of each kind (test/kit/service-cluster.ts), on flannel and on Calico, asked by its covering questions; what the
 * kernel draws is one of the outcomes that netsim predicts, and a wrong rule is none. Needs root or user namespaces; skipped by name without.
 */
import { describe, expect, it } from 'vitest'
import type { Dataplane } from '../../src/dataplane/dataplane.js'
import type { Rule } from '../../src/dataplane/iptables.js'
import { judgeOutcomes } from '../../src/kernel/judge.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { labProbeOf } from '../../src/kernel/lab-question.js'
import type { LabNetwork, LabProbe } from '../../src/kernel/lab-types.js'
import { addressesIn } from '../../src/kernel/lab-warm.js'
import { areOutcomes, longest, predictOutcomes, together, type OutcomePredictions } from '../../src/kernel/outcome-predictions.js'
import { probeName, type VerifyProbe } from '../../src/kernel/probes.js'
import { serviceQuestions } from '../../src/kernel/probes-services.js'
import { verifyNetwork, type Verified, type VerifyOptions } from '../../src/kernel/verify.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import { networkOf, type Ask } from '../kit/network.js'
import { SERVICE_NETWORKS, serviceCluster } from '../kit/service-cluster.js'

const PREFIX = `netsim-test-services-${process.pid}-`
const onFlannel = networkOf(serviceCluster(SERVICE_NETWORKS['flannel host-gw, bridge plugin']))
const machine = await checkKernel(labNetworkOf(onFlannel), PREFIX).catch((error: unknown) => ({ missing: [{ what: String(error) }], privilege: 'none' }))
const ready = machine.missing.length === 0
if (!ready) console.warn(`Services are not tried here: ${machine.missing.map(({ what }) => what).join(', ')}`)
const LONG_MS = 180_000

function verified(network: Network, probes: readonly VerifyProbe[], more: Partial<VerifyOptions> = {}): Promise<Verified> {
  return verifyNetwork(network, { probes, prefix: PREFIX, rules: false, ...more })
}

function question(source: string, destination: string, ask: Ask = {}): VerifyProbe {
  const request = { ...DEFAULT_REQUEST, source, destination, ...ask }
  return { name: probeName(request), request }
}

const PARTS = Object.keys(SERVICE_NETWORKS)

describe.skipIf(!ready)('Services against THIS KERNEL', () => {
  // each network a part of the questions, in turn, unless NETSIM_VERIFY=all
  it.each(PARTS)(
    '%s: every frame, loss and rule of every question is equal',
    async (name) => {
      const network = networkOf(serviceCluster(SERVICE_NETWORKS[name]))
      const part = PARTS.indexOf(name) % 3
      const asked = serviceQuestions(network, {}).filter((_, index) => process.env.NETSIM_VERIFY === 'all' || index % 3 === part)
      const probes = asked.map((request) => ({ name: probeName(request), request }))
      const result = await verified(network, probes, { rules: machine.privilege === 'root' })
      const told = result.probes.filter(({ verdict }) => verdict !== 'equal')
      expect(told.map((probe) => [probe.name, probe.verdict, probe.why, probe.differences.map(({ what }) => what), probe.rules.what, probe.drops.why])).toEqual(
        [],
      )
      expect(result.complaints).toEqual([])
      expect(result.summary.frames).toBeGreaterThan(50)
      expect(result.probes.filter(({ outcomes }) => outcomes !== null).length).toBeGreaterThan(3)
    },
    LONG_MS,
  )

  it('what the kernel draws is named: of two endpoints now one, now the other', async () => {
    const asked = Array.from({ length: 24 }, (_, index) => question('client-1', 'svc/web:80', { sport: 41000 + index }))
    const { probes, verdict } = await verified(onFlannel, asked)
    expect(verdict).toBe('equal')
    expect(probes.map(({ outcomes }) => outcomes)).toEqual(probes.map(() => expect.objectContaining({ count: 2, probability: 0.5, followed: 1 }) as object))
    expect([...new Set(probes.map(({ outcomes }) => outcomes?.shown))].sort()).toEqual([1, 2])
  })

  const toPort8081 = (rule: Rule): Rule => {
    const { target } = rule
    if (target?.kind !== 'DNAT') return rule
    return { ...rule, target: { ...target, to: { ...target.to, ports: [8081, 8081] } } }
  }

  /** What the kernel is given: DNAT to another port, to that address only, on the client's node. */
  function wronglyTranslated(network: Network, to: RegExp): LabNetwork {
    const lab = labNetworkOf(network)
    const change = (dataplane: Dataplane): Dataplane => ({
      ...dataplane,
      iptables: {
        tables: dataplane.iptables.tables.map((table) => ({
          ...table,
          chains: table.chains.map((chain) => (to.test(chain.name) ? { ...chain, rules: chain.rules.map(toPort8081) } : chain)),
        })),
      },
    })
    return { ...lab, specs: lab.specs.map((spec) => (spec.dataplane.netns === 'n1' ? { ...spec, dataplane: change(spec.dataplane) } : spec)) }
  }

  /** The chain of the endpoint whose translation the outcome shows. */
  function endpointChain(predicted: OutcomePredictions, outcome: number): string {
    return predicted.all[outcome].rules.find(({ chain, text }) => chain.startsWith('KUBE-SEP-') && text.includes('DNAT'))?.chain ?? ''
  }

  function outcomesOf({ request }: VerifyProbe): OutcomePredictions {
    const predicted = predictOutcomes(onFlannel, request)
    if (!areOutcomes(predicted)) throw new Error(JSON.stringify(predicted))
    return predicted
  }

  it('a fault: every endpoint at a wrong port', async () => {
    const { probes } = await verified(onFlannel, [question('client-1', 'svc/web:80')], { built: wronglyTranslated(onFlannel, /^KUBE-SEP-/) })
    expect(probes[0]).toMatchObject({ verdict: 'differs', outcomes: { count: 2 } })
    expect(probes[0].differences[0].what).toContain('tcp.dport 8080 ≠ 8081')
  })

  it('a fault: one of two endpoints at a wrong port: differs whenever the kernel draws that one, and never else', async () => {
    const chain = endpointChain(outcomesOf(question('client-1', 'svc/web:80')), 1)
    expect(chain).toMatch(/^KUBE-SEP-[A-Z2-7]{16}$/)
    const asked = Array.from({ length: 24 }, (_, index) => question('client-1', 'svc/web:80', { sport: 42000 + index }))
    const { probes } = await verified(onFlannel, asked, { built: wronglyTranslated(onFlannel, new RegExp(`^${chain}$`)) })
    const told = new Set(probes.map(({ verdict, outcomes }) => `${verdict} ${outcomes?.shown}`))
    expect([...told].sort()).toEqual(['differs 2', 'equal 1'])
  })

  it('affinity: whoever comes again is led to the endpoint that it had', async () => {
    const lab = await KernelLab.start(labNetworkOf(onFlannel), { prefix: PREFIX })
    try {
      // from a node without endpoints: a bridge that translates keeps the header that it made once (br_nf_pre_routing_finish_bridge, neigh->hh)
      const asked = Array.from({ length: 12 }, (_, index) => question('client-3', 'svc/sticky:80', { sport: 43000 + index }))
      const drawn: (number | undefined)[] = []
      for (const [index, probe] of asked.entries()) {
        const predicted = outcomesOf(probe)
        // once: what -m recent has seen is forgotten with it
        if (index === 0) await lab.warm(addressesIn(together(predicted)))
        const sighting = await lab.send(labProbeOf(onFlannel, longest(predicted), { trace: false }) as LabProbe)
        const judged = judgeOutcomes(probe.name, predicted, sighting)
        drawn.push(judged.verdict === 'equal' ? judged.outcomes?.shown : undefined)
      }
      expect([1, 2]).toContain(drawn[0])
      expect(drawn).toEqual(drawn.map(() => drawn[0]))
    } finally {
      await lab.close()
    }
  })
})
