/**
 * `netsim verify` of Calico's networks against THIS KERNEL: a large set of policies with the rules that the kernel took, random worlds, and
 * `--with bird`: real BIRDs in nodes and routers, whose sessions and kernel routes are those that netsim predicts. Needs root or user namespaces, the
 * tools, and for BIRD Debian's bird2; skipped by name without. The examples themselves are in verify.test.ts.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { buildCluster } from '../../src/cluster/cluster.js'
import { BIRD_TOOLS, checkBird, noBird } from '../../src/kernel/control-bird.js'
import type { BirdDocument } from '../../src/kernel/control-report.js'
import { labNetworkOf, type KernelLab } from '../../src/kernel/lab.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import type { LabNetwork } from '../../src/kernel/lab-types.js'
import { probeName } from '../../src/kernel/probes.js'
import { policyQuestions } from '../../src/kernel/probes-policy.js'
import { verifyNetwork, type Verified } from '../../src/kernel/verify.js'
import { buildNetwork } from '../../src/network/build-network.js'
import type { Network } from '../../src/network/network.js'
import { playWorld } from '../fuzz/play-world.js'
import { randomCalicoWorld } from '../fuzz/random-calico.js'
import { networkOf } from '../kit/network.js'

const PREFIX = `netsim-test-${process.pid}-`
const LONG_MS = 240_000
const WORLDS = 10

const textOf = (name: string): string => readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8')
const example = (name: string): Network => networkOf(textOf(name))
const mesh = example('calico-none')
const lacksOf = async (tools: Readonly<Record<string, string>>): Promise<readonly string[]> =>
  checkKernel(labNetworkOf(mesh), PREFIX, tools).then(
    ({ missing }) => missing.map(({ what }) => what),
    (error: unknown) => [String(error)],
  )
const lacks = await lacksOf({})
const lacksBird = await lacksOf(BIRD_TOOLS)
if (lacks.length > 0) console.warn(`verify of Calico is not tried here: ${lacks.join(', ')}`)
else if (lacksBird.length > 0) console.warn(`verify --with bird is not tried here: ${lacksBird.join(', ')}`)

function policySet(): Network {
  const folder = new URL('../calico/policy-set/', import.meta.url)
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'))
  const { cluster } = buildCluster(files.map((file) => ({ file, text: readFileSync(new URL(file, folder), 'utf8') })))
  return buildNetwork(cluster, { seed: 1 }).network
}

describe.skipIf(lacks.length > 0)('policies on THIS KERNEL', () => {
  it(
    '38 of them in six tiers: a question for each rule that can be met, its frames, its losses, and the rules as taken',
    async () => {
      const network = policySet()
      const probes = policyQuestions(network, {}).map((request) => ({ name: probeName(request), request }))
      const { probes: judged, summary, complaints } = await verifyNetwork(network, { probes, prefix: PREFIX, rules: process.getuid?.() === 0 })
      const told = judged
        .filter(({ verdict }) => verdict !== 'equal')
        .map(({ name, differences, rules, drops }) => [name, differences[0]?.what, rules.what, drops.why])
      expect([told, complaints]).toEqual([[], []])
      expect(new Set(judged.map(({ disposition }) => disposition))).toEqual(new Set(['DELIVERED', 'DENIED']))
      expect(summary.rulesEqual).toBe(summary.rules)
    },
    LONG_MS,
  )

  it.each(Array.from({ length: WORLDS }, (_, index) => 1 + index))('a random world: seed %d', { timeout: 90_000 }, async (seed) => {
    const { failures } = await playWorld(randomCalicoWorld(seed, { probes: 10 }))
    expect(failures.join('\n')).toBe('')
  })
})

/** BIRD alone, without questions. */
async function withBird(network: Network, built?: LabNetwork): Promise<Verified & { readonly bird: BirdDocument }> {
  const control = async (lab: KernelLab): Promise<readonly BirdDocument[]> => [await checkBird(network, lab, { seed: 1 })]
  const verified = await verifyNetwork(network, { probes: [], prefix: PREFIX, rules: false, control, ...(built === undefined ? {} : { built }) })
  return { ...verified, bird: verified.control[0] as BirdDocument }
}

const sessions = ({ nodes }: BirdDocument): unknown =>
  nodes.map(({ node, sessions: { established, predicted, peers } }) => [node, established, predicted, peers])

interface Running {
  readonly pid: string
  readonly parent: string
  readonly args: string
}

function processes(): readonly Running[] {
  return spawnSync('ps', ['-eo', 'pid,ppid,args'], { encoding: 'utf8' })
    .stdout.split('\n')
    .map((row) => row.trim().split(/\s+/))
    .map(([pid, parent, ...args]) => ({ pid, parent, args: args.join(' ') }))
}

const birds = (): readonly Running[] => processes().filter(({ args }) => args.startsWith('bird -f -c /run/netsim-bird/'))

describe('where there is no BIRD', () => {
  it('is said', () => {
    expect(noBird(example('flannel-vxlan'))).toContain('the CNI is flannel')
    expect(noBird(example('calico-vxlan'))).toContain('nobody speaks BGP')
    expect(noBird(mesh)).toBeUndefined()
  })
})

describe.skipIf(lacksBird.length > 0)('real BIRDs in the network that was built', () => {
  it.each([
    ['calico-none', 3, 2],
    ['calico-reflectors', 5, 2],
    ['calico-fabric', 7, 1],
  ])(
    'examples/%s.yaml: %d daemons; every session, every kernel route, every next hop',
    async (name, daemons, least) => {
      const { bird, verdict } = await withBird(example(name))
      expect(bird.nodes.flatMap(({ node, differences }) => differences.map((what) => [node, what]))).toEqual([])
      expect([verdict, bird.nodes.length, bird.version]).toEqual(['equal', daemons, expect.stringMatching(/^2\./)])
      for (const { sessions: counts, routes } of bird.nodes) {
        expect(counts.peers).toBeGreaterThanOrEqual(least)
        expect(counts).toEqual({ peers: counts.peers, predicted: counts.peers, established: counts.peers, equal: counts.peers })
        // its own block, which is a blackhole, its cable's subnet, and what the others announce
        expect(routes.predicted).toBeGreaterThanOrEqual(4)
        expect(routes).toEqual({ predicted: routes.predicted, read: routes.predicted, equal: routes.predicted })
      }
    },
    LONG_MS,
  )

  it(
    'a rule on the way of TCP 179: the sessions that netsim says do not come up do not come up, the routes are fewer, and that is equal',
    async () => {
      const rules = ['-I INPUT -p tcp --dport 179 -j DROP', '-I INPUT -p tcp --sport 179 -j DROP']
      const text = textOf('calico-none').replace(
        '{kubeProxy: {mode: none}}',
        `{kubeProxy: {mode: none}, hosts: [{node: node-3, iptables: ${JSON.stringify(rules)}}]}`,
      )
      expect(text).toContain('hosts')
      const { bird, verdict } = await withBird(networkOf(text))
      expect(sessions(bird)).toEqual([
        ['node-1', 1, 1, 2],
        ['node-2', 1, 1, 2],
        ['node-3', 0, 0, 2],
      ])
      expect([verdict, bird.nodes.map(({ verdict: one }) => one)]).toEqual(['equal', ['equal', 'equal', 'equal']])
    },
    LONG_MS,
  )

  it(
    'a fault: of a node whose cable is cut without netsim knowing, sessions and routes are named',
    async () => {
      const built = labNetworkOf(mesh)
      const specs = built.specs.map((spec) => {
        if (spec.dataplane.netns !== 'node-2') return spec
        const devices = spec.dataplane.devices.map((device) => (device.name === 'eth0' ? { ...device, segment: 'elsewhere' } : device))
        return { ...spec, dataplane: { ...spec.dataplane, devices } }
      })
      const { bird, verdict, summary } = await withBird(mesh, { ...built, specs })
      expect([verdict, summary.controlDiffer]).toEqual(['differs', 3])
      expect(sessions(bird)).toEqual([
        ['node-1', 1, 2, 2],
        ['node-2', 0, 2, 2],
        ['node-3', 1, 2, 2],
      ])
      expect(bird.nodes[0].differences[0]).toMatch(/^session \S+: predicted Established, BIRD says /)
      expect(bird.nodes[0].differences.at(-1)).toMatch(/^route 10\.244\.\S+ via 192\.168\.10\.12 dev eth0 metric 32: predicted, and not in the kernel$/)
    },
    LONG_MS,
  )

  it(
    'interrupted while they run: they end with the helper process',
    async () => {
      const own = (): readonly string[] => birds().flatMap(({ pid, parent }) => (parent === String(helper()) ? [pid] : []))
      let lab: KernelLab | undefined
      const helper = (): number => Number(lab?.enter('node-1')[2] ?? -1)
      const checking = verifyNetwork(mesh, {
        probes: [],
        prefix: PREFIX,
        rules: false,
        control: async (one) => {
          lab = one
          return [await checkBird(mesh, one, { seed: 1 })]
        },
      }).then(
        () => 'went on',
        () => 'ended',
      )
      await expect.poll(own, { timeout: 60_000 }).toHaveLength(3)
      const daemons = own()
      process.kill(helper(), 'SIGKILL')
      expect(await checking).toBe('ended')
      await expect.poll(() => birds().filter(({ pid }) => daemons.includes(pid)), { timeout: 10_000 }).toEqual([])
    },
    LONG_MS,
  )

  it('leaves no process behind', () => {
    // somebody else's laboratory has daemons of its own
    const others = new Set(processes().flatMap(({ pid, args }) => (args.includes('porter.py') && !args.includes(PREFIX) ? [pid] : [])))
    expect(birds().filter(({ parent }) => !others.has(parent))).toEqual([])
  })
})
