/** Many flows in bulk are held against the same questions asked one by one: what a trace says of each, packet by packet, frame by frame. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { allPairs, podsWithNetwork, randomPairs, rangeOf, type FlowShape } from '../../../src/analysis/flows/sources.js'
import { requestOf, type CommonRequest } from '../../../src/analysis/flows/flow.js'
import { FlowRunner } from '../../../src/analysis/flows/runner.js'
import { addSums, rulesOverNodes } from '../../../src/analysis/flows/sums.js'
import { hasErrors } from '../../../src/base/problem.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { frameLength } from '../../../src/wire/frame.js'
import { DIRECTION_TX, FRAME_STRIDE } from '../../../src/net/trace.js'
import { buildNetwork } from '../../../src/network/build-network.js'
import { FlowWalk, openFlow } from '../../../src/network/flow-walk.js'
import type { Network } from '../../../src/network/network.js'
import { isOutcome } from '../../../src/network/probe.js'

const EXAMPLES = new URL('../../../examples/', import.meta.url)
const COMMON: CommonRequest = { namespace: 'default', seed: 7, cold: false, listen: false }
const SHAPES: readonly FlowShape[] = [
  { packets: 1, rate: 0 },
  { proto: 'tcp', port: 80, packets: 4, size: 600, rate: 0 },
  { proto: 'udp', port: 53, packets: 3, size: 2000, rate: 100 },
]
/** Of each shape. */
const FLOWS_MOST = 12

function networkOf(text: string, file = 'test.yaml'): Network | undefined {
  const { cluster, problems } = buildCluster([{ file, text }])
  return hasErrors(problems) ? undefined : buildNetwork(cluster, { seed: COMMON.seed }).network
}

function example(file: string): Network | undefined {
  return networkOf(readFileSync(new URL(file, EXAMPLES), 'utf8'), file)
}

function* flowsOf(network: Network) {
  const { pods } = podsWithNetwork(network)
  for (const shape of SHAPES) {
    const source = allPairs(pods, shape)
    for (let index = 0; index < Math.min(source.count, FLOWS_MOST); index++) {
      const flow = source.flow(index)
      yield { request: requestOf(flow, index, COMMON), packets: flow.packets, rate: flow.rate }
    }
  }
}

const files = readdirSync(EXAMPLES).filter((name) => name.endsWith('.yaml'))

describe.each(files)('%s in bulk', (file) => {
  it('fares as its traces one by one do, and every packet as if it were traced', () => {
    const network = example(file)
    if (network === undefined) return
    const runner = new FlowRunner(network)
    const traced: Record<string, number> = {}
    const walked: Record<string, number> = {}
    for (const work of flowsOf(network)) {
      const outcome = network.trace(work.request)
      if (!isOutcome(outcome)) throw new Error(outcome[0].what)
      traced[outcome.disposition] = (traced[outcome.disposition] ?? 0) + 1
      const walk = openFlow(network, work.request, { tally: null, intervalNs: work.rate === 0 ? 0 : 1e9 / work.rate })
      if (!(walk instanceof FlowWalk)) throw new Error('the flow is refused')
      for (let packet = 0; packet < work.packets; packet++) {
        const { disposition } = walk.traced()
        walked[disposition] = (walked[disposition] ?? 0) + 1
      }
      walk.close()
      runner.run(work)
    }
    const sums = runner.harvest()
    expect(sums.first).toEqual(traced)
    expect(sums.all).toEqual(walked)
    const lost = Object.entries(walked).reduce((sum, [name, packets]) => sum + (name === 'DELIVERED' || name === 'EXITED' ? 0 : packets), 0)
    expect(sums.losses.reduce((sum, { packets }) => sum + packets, 0)).toBe(lost)
  })
})

/** node-2's owner lets three packets of UDP pass at once, and one a second. */
function limited(): Network {
  const text = readFileSync(new URL('flannel-firewall.yaml', EXAMPLES), 'utf8')
  const rules = text
    .replace('-p tcp --dport 9000 -j DROP', '-p udp -m limit --limit 1/second --limit-burst 3 -j ACCEPT')
    .replace('-p tcp --dport 9001 -j REJECT --reject-with tcp-reset', '-p udp -j DROP')
  const network = networkOf(rules)
  if (network === undefined || !rules.includes('-p udp -j DROP')) throw new Error('the example has other rules')
  return network
}

describe('a flow whose packets fare differently', () => {
  const work = (network: Network, shape: FlowShape) => {
    const flow = allPairs(podsWithNetwork(network).pods, shape).flow(0)
    return { request: requestOf(flow, 0, COMMON), packets: flow.packets, rate: flow.rate }
  }

  it('is told packet by packet, with the rule that dropped the later ones, counted once', () => {
    const network = limited()
    const runner = new FlowRunner(network)
    const result = runner.run(work(network, { proto: 'udp', port: 9, packets: 10, rate: 0 }))
    expect(result).toMatchObject({ disposition: 'DELIVERED', packets: 10 })
    const { all, losses, rules } = runner.harvest()
    expect(all).toEqual({ DELIVERED: 3, DENIED: 7 })
    expect(losses).toMatchObject([
      { disposition: 'DENIED', netns: 'node-2', flows: 0, packets: 7, rule: { table: 'filter', chain: 'HOST-FIREWALL', number: 2 } },
    ])
    const hits = (text: string) => rules.find((rule) => rule.first === 'node-2' && rule.chain === 'HOST-FIREWALL' && rule.text.includes(text))?.packets
    expect([hits('limit'), hits('DROP')]).toEqual([3, 7])
  })

  it('meets limits at the rate that it is sent at', () => {
    const network = limited()
    const runner = new FlowRunner(network)
    runner.run(work(network, { proto: 'udp', port: 9, packets: 10, rate: 2 }))
    // three at once, and every second one more of two: 3 + those that 4.5 s let through
    expect(runner.harvest().all).toEqual({ DELIVERED: 7, DENIED: 3 })
  })
})

describe('bytes', () => {
  it('are those of the frames that traces see, device by device, and tunnels add what they add', () => {
    const network = example('flannel-vxlan.yaml') as Network
    const runner = new FlowRunner(network)
    const seen = new Map<string, number>()
    for (const work of flowsOf(network)) {
      if (work.packets > 1) continue
      network.trace(work.request)
      const { trace, devices } = network.world
      for (let i = 0; i < trace.frameCount; i++) {
        const [, device, direction] = trace.frames.subarray(i * FRAME_STRIDE, i * FRAME_STRIDE + 3)
        if (direction !== DIRECTION_TX) continue
        const name = `${devices[device].netns.name} ${devices[device].name}`
        seen.set(name, (seen.get(name) ?? 0) + frameLength(trace.framePackets[i]))
      }
      runner.run(work)
    }
    const { devices } = runner.harvest()
    expect(new Map(devices.filter(({ kind }) => kind !== 'loopback').map(({ netns, device, bytes }) => [`${netns} ${device}`, bytes]))).toEqual(seen)
    const tunnels = devices.filter(({ wrapped }) => wrapped > 0)
    expect(tunnels.length).toBeGreaterThan(0)
    for (const { wrapped, added } of tunnels) expect(added).toBe(50 * wrapped)
  })
})

describe('parts', () => {
  it('add up to the whole, in whatever order they come', () => {
    const network = example('calico-vxlan.yaml') as Network
    const source = randomPairs(podsWithNetwork(network).pods, { count: 40, seed: 3, pick: 'zipf' }, SHAPES[0])
    const part = (from: number, to: number) => {
      const runner = new FlowRunner(network)
      for (let index = from; index < to; index++) runner.run({ request: requestOf(source.flow(index), index, COMMON), packets: 2, rate: 0 })
      return runner.harvest()
    }
    const whole = addSums([part(0, 40)])
    const ranges = [0, 1, 2].map((at) => rangeOf(40, at, 3))
    expect(ranges.map(({ from, to }) => to - from).reduce((a, b) => a + b)).toBe(40)
    const [a, b, c] = ranges.map(({ from, to }) => addSums([part(from, to)]))
    expect(addSums([c, a, b])).toEqual(whole)
    expect(rulesOverNodes(whole.rules).reduce((sum, { packets }) => sum + packets, 0)).toBe(whole.rules.reduce((sum, { packets }) => sum + packets, 0))
  })

  it('draws the same pairs from the same seed, of different pods, the first places of zipf most', () => {
    const { pods } = podsWithNetwork(example('services-calico.yaml') as Network)
    const pairs = (seed: number, pick: 'uniform' | 'zipf') => {
      const source = randomPairs(pods, { count: 2000, seed, pick }, SHAPES[0])
      return Array.from({ length: source.count }, (_, index) => source.flow(index))
    }
    expect(pairs(1, 'zipf')).toEqual(pairs(1, 'zipf'))
    expect(pairs(1, 'uniform')).not.toEqual(pairs(2, 'uniform'))
    const counts = (flows: ReturnType<typeof pairs>) => {
      const times = new Map<string, number>()
      for (const { source, destination } of flows) {
        expect(source).not.toBe(destination)
        times.set(destination, (times.get(destination) ?? 0) + 1)
      }
      return [...times.values()].sort((a, b) => b - a)
    }
    expect(counts(pairs(1, 'uniform'))[0]).toBeLessThan((2000 / pods.length) * 1.5)
    expect(counts(pairs(1, 'zipf'))[0]).toBeGreaterThan((2000 / pods.length) * 1.5)
  })
})
