/**
 * The constants of the overlays' cost, measured on this kernel: a few networks are made for real, the same datagram is sent over each as fast as one
 * thread can, and the differences between what they take, divided by the differences between what netsim counts on them, are the constants.
 *
 *   Network ─▶ KernelLab (bare) ─▶ load.py: CPU nanoseconds a datagram ┐
 *          └─▶ trace ─▶ Counts: devices, bridges, tunnels, rules, …    ┴─▶ COSTS, one after the other
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cpuNs, COSTS, type CostConstant, type CostName, type Counts } from '../analysis/overlay/cost-model.js'
import { lastCounts } from '../analysis/overlay/measure.js'
import { formatIp } from '../base/ip.js'
import { hasErrors, formatProblem } from '../base/problem.js'
import { assert } from '../base/assert.js'
import { buildCluster } from '../cluster/cluster.js'
import { buildNetwork } from '../network/build-network.js'
import type { Network } from '../network/network.js'
import { isOutcome } from '../network/probe.js'
import { DEFAULT_REQUEST } from '../network/request.js'
import { KernelLab, labNetworkOf } from './lab.js'
import { LabError } from './lab-process.js'

const PAYLOAD = 64
const IP_AND_UDP = 28
const PORT = 9000
/** Long beside a clock tick. */
const TURN_NS = 4e8
const FIRST_PACKETS = 2000
const SEED = 1

/** The agents' own rules away: what is left is the path. */
const BARE = ['raw', 'mangle', 'nat', 'filter'].flatMap((table) => [`-t ${table} -F`, `-t ${table} -X`])
const CONNTRACK_RULE = '-A FORWARD -m conntrack --ctstate INVALID -j DROP'

interface PathSpec {
  readonly name: string
  readonly cni: 'flannel' | 'calico'
  /** flannel's Backend, or fields of Calico's IPPool. */
  readonly backend: object
  readonly rules: readonly string[]
  /** To the sender itself. */
  readonly loopback?: boolean
}

const HOST_GW = { cni: 'flannel', backend: { Type: 'host-gw' } } as const

/** As docs/overhead.md derives the constants. */
const PATHS = {
  loopback: { name: 'loopback', cni: 'calico', backend: {}, rules: [], loopback: true },
  routed: { name: 'Calico, no tunnel', cni: 'calico', backend: {}, rules: [] },
  bridged: { name: 'flannel host-gw', ...HOST_GW, rules: [] },
  tunnelled: { name: 'flannel vxlan', cni: 'flannel', backend: { Type: 'vxlan' }, rules: [] },
  routedTunnel: { name: 'Calico VXLAN', cni: 'calico', backend: { vxlanMode: 'Always' }, rules: [] },
  fewRules: { name: 'host-gw, 200 rules', ...HOST_GW, rules: notMatching(200) },
  manyRules: { name: 'host-gw, 2,000 rules', ...HOST_GW, rules: notMatching(2000) },
  tracked: { name: 'host-gw, conntrack', ...HOST_GW, rules: [CONNTRACK_RULE] },
} as const satisfies Readonly<Record<string, PathSpec>>
type PathId = keyof typeof PATHS

/** What each constant is the difference of; in an order in which each needs only those before it. */
const STEPS: readonly { readonly cost: CostName; readonly of: PathId; readonly less?: PathId }[] = [
  { cost: 'device', of: 'routed', less: 'loopback' },
  { cost: 'socket', of: 'loopback' },
  { cost: 'bridge', of: 'bridged', less: 'routed' },
  { cost: 'tunnel', of: 'tunnelled', less: 'bridged' },
  { cost: 'rule', of: 'manyRules', less: 'fewRules' },
  { cost: 'conntrack', of: 'tracked', less: 'bridged' },
]

/** Not to be had here: flanneld's udp proxy is a stand-in in a laboratory, and not every kernel has WireGuard. */
export const NOT_CALIBRATED: readonly CostName[] = ['crossing', 'crypto', 'byte']

export interface CalibratedPath {
  readonly name: string
  /** CPU nanoseconds of a datagram, each round. */
  readonly rounds: readonly number[]
  readonly measuredNs: number
  /** By the constants found. */
  readonly modelNs: number
}

export interface Calibration {
  readonly paths: readonly CalibratedPath[]
  /** Those measured here; the others are as the program has them. */
  readonly costs: Readonly<Record<CostName, CostConstant>>
}

export interface CalibrateOptions {
  readonly prefix: string
  readonly rounds: number
  readonly kernel: string
  readonly progress?: (done: number, total: number, name: string) => void
}

/** The networks that are made, to see whether this machine can. */
export function calibrationNetworks(): readonly Network[] {
  return Object.values(PATHS).map(networkOf)
}

/** @throws LabError when this machine will not */
export async function calibrate({ prefix, rounds, kernel, progress }: CalibrateOptions): Promise<Calibration> {
  const ids = Object.keys(PATHS) as PathId[]
  const tracks = new Map<PathId, Track>()
  try {
    for (const id of ids) tracks.set(id, await Track.start(PATHS[id], `${prefix}${id.slice(0, 4)}${ids.indexOf(id)}-`))
    // in turns: what else the machine does meanwhile falls on all of them alike
    for (let round = 0; round < rounds; round++) {
      for (const [id, track] of tracks) {
        progress?.(round * ids.length + ids.indexOf(id), rounds * ids.length, PATHS[id].name)
        await track.turn()
      }
    }
  } finally {
    for (const track of tracks.values()) await track.close()
    progress?.(1, 1, '')
  }
  const known = solved(tracks, kernel)
  const paths = [...tracks].map(([id, track]): CalibratedPath => {
    const { rounds: ns, counts, median } = track
    return { name: PATHS[id].name, rounds: ns, measuredNs: Math.round(median), modelNs: cpuNs(counts, known) }
  })
  return { paths, costs: known }
}

/** Each constant is what is left of the difference of two paths when those known already are taken away. */
function solved(tracks: ReadonlyMap<PathId, Pick<Track, 'median' | 'counts'>>, kernel: string): Readonly<Record<CostName, CostConstant>> {
  let costs: Readonly<Record<CostName, CostConstant>> = COSTS
  const of = (id: PathId): Pick<Track, 'median' | 'counts'> => {
    const track = tracks.get(id)
    assert(track !== undefined, `${id} was measured`)
    return track
  }
  const without = (cost: CostName): Readonly<Record<CostName, CostConstant>> => ({ ...costs, [cost]: { ...costs[cost], ns: 0 } })
  const one = (cost: CostName): Readonly<Record<CostName, CostConstant>> => ({ ...costs, [cost]: { ...costs[cost], ns: 1 } })
  for (const { cost, of: path, less } of STEPS) {
    const { median, counts } = of(path)
    const base = less === undefined ? undefined : of(less)
    const difference = (constants: Readonly<Record<CostName, CostConstant>>): number =>
      cpuNs(counts, constants) - (base === undefined ? 0 : cpuNs(base.counts, constants))
    const rest = median - (base?.median ?? 0) - difference(without(cost))
    const units = difference(one(cost)) - difference(without(cost))
    assert(units > 0, `${path} differs in ${cost}`)
    const ns = Math.max(0, Math.round((rest / units) * 10) / 10)
    costs = { ...costs, [cost]: { ...COSTS[cost], ns, source: `measured here, ${kernel}: ${sourceOf(path, less)}`, assumed: false } }
  }
  return costs
}

function sourceOf(path: PathId, less: PathId | undefined): string {
  return less === undefined ? PATHS[path].name : `${PATHS[path].name} less ${PATHS[less].name}`
}

/** One path, made for real and walked once here. */
class Track {
  readonly rounds: number[] = []
  readonly counts: Counts
  private readonly lab: KernelLab
  private readonly from: string
  private readonly to: string
  private readonly target: string
  private packets = FIRST_PACKETS

  private constructor(parts: { lab: KernelLab; counts: Counts; from: string; to: string; target: string }) {
    this.lab = parts.lab
    this.counts = parts.counts
    this.from = parts.from
    this.to = parts.to
    this.target = parts.target
  }

  static async start(spec: PathSpec, prefix: string): Promise<Track> {
    const network = networkOf(spec)
    const [from, other] = network.pods
    const to = spec.loopback === true ? from : other
    const target = spec.loopback === true ? '127.0.0.1' : formatIp(to.address)
    const counts = countsOf(network, `${target}:${PORT}`)
    const lab = await KernelLab.start(labNetworkOf(network), { prefix, bare: true })
    const track = new Track({ lab, counts, from: from.dataplane.netns, to: to.dataplane.netns, target })
    try {
      await lab.warm()
      await lab.spawn(track.to, ['python3', loadPath(), 'take', String(PORT)], '/dev/null')
      track.packets = Math.max(FIRST_PACKETS, Math.round(TURN_NS / (await track.send())))
      return track
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  get median(): number {
    const sorted = [...this.rounds].sort((a, b) => a - b)
    return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
  }

  async turn(): Promise<void> {
    this.rounds.push(await this.send())
  }

  async close(): Promise<void> {
    await this.lab.close()
  }

  /** ns a datagram. @throws LabError */
  private async send(): Promise<number> {
    const words = ['python3', loadPath(), 'send', this.target, String(PORT), String(PAYLOAD), String(this.packets)]
    const { status, stdout, stderr } = await this.lab.run(this.from, words)
    const ns = Number(stdout)
    if (status !== 0 || !(ns > 0)) throw new LabError(`the datagrams could not be sent: ${stderr.trim()}`, '')
    return ns
  }
}

function loadPath(): string {
  const places = ['./load.py', './cli/load.py', '../src/kernel/load.py'].map((place) => fileURLToPath(new URL(place, import.meta.url)))
  const found = places.find((place) => existsSync(place))
  if (found === undefined) throw new LabError('load.py is not where this program was installed', 'Install netsim again.')
  return found
}

/** What netsim counts on the path of the same datagram. */
function countsOf(network: Network, destination: string): Counts {
  const [from] = network.pods
  const outcome = network.trace({
    ...DEFAULT_REQUEST,
    source: `${from.pod.namespace}/${from.pod.name}`,
    destination,
    proto: 'udp',
    size: PAYLOAD + IP_AND_UDP,
    listen: true,
    seed: SEED,
  })
  assert(isOutcome(outcome) && outcome.disposition === 'DELIVERED', `${destination} is reached`)
  return lastCounts(network)
}

/** The mix of the published figures: sources, ports, states that no datagram of ours has. */
function notMatching(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => {
    const source = `10.99.${(index >> 8) & 255}.${index & 255}`
    const port = 20000 + (index % 10000)
    return [`-A FORWARD -s ${source} -j DROP`, `-A FORWARD -p tcp --dport ${port} -j DROP`, `-A FORWARD -p udp --dport ${port} -j DROP`][index % 3]
  })
}

function networkOf({ cni, backend, rules }: PathSpec): Network {
  const names = ['a', 'b']
  const nodes = names.map((name, index) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `node-${name}` },
    spec: { podCIDR: `10.244.${index}.0/24` },
    status: { addresses: [{ type: 'InternalIP', address: `192.168.0.1${index}` }] },
  }))
  const pods = names.map((name) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `on-${name}` },
    spec: { nodeName: `node-${name}`, containers: [{ name: 'c', image: 'c' }] },
  }))
  const flannel = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
    data: { 'net-conf.json': JSON.stringify({ Network: '10.244.0.0/16', Backend: backend }) },
  }
  const pool = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'IPPool',
    metadata: { name: 'pods' },
    spec: { cidr: '10.244.0.0/16', ipipMode: 'Never', vxlanMode: 'Never', ...backend },
  }
  const settings = {
    apiVersion: 'netsim/v1',
    kind: 'Network',
    metadata: { name: 'default' },
    spec: {
      cni,
      datastore: 'kubernetes',
      runtime: { name: 'cni' },
      clusterCIDR: '10.244.0.0/16',
      kubeProxy: { mode: 'none' },
      hosts: nodes.map(({ metadata }) => ({ node: metadata.name, iptables: [...BARE, ...rules] })),
    },
  }
  const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...nodes, ...pods, cni === 'flannel' ? flannel : pool, settings] })
  const { cluster, problems } = buildCluster([{ file: 'calibration', text }])
  const { network, problems: more } = buildNetwork(cluster, { seed: SEED })
  const errors = [...problems, ...more].filter((problem) => hasErrors([problem]))
  assert(errors.length === 0, errors.map(formatProblem).join('; '))
  return network
}
