/**
 * The constants of the overlays' cost, measured on this kernel: a few networks are made for real, the same datagram is sent over each as fast as one
 * thread can, and the differences between what they take, divided by the differences between what netsim counts on them, are the constants.
 *
 *   Network ─▶ KernelLab (bare) ─▶ load.py: CPU nanoseconds a datagram ┐
 *          └─▶ trace ─▶ Counts: devices, bridges, tunnels, rules, …    ┴─▶ COSTS, one after the other
 */
import { cpuNs, COSTS, type CostConstant, type CostName, type Counts } from '../analysis/overlay/cost-model.js'
import { lastCounts } from '../analysis/overlay/measure.js'
import type { BackendId } from '../analysis/overlay/names.js'
import { overlayNetwork } from '../analysis/overlay/report.js'
import { assert } from '../base/assert.js'
import { cidr } from '../base/cidr.js'
import { formatIp, ip } from '../base/ip.js'
import { median } from '../base/median.js'
import type { Network } from '../network/network.js'
import { isOutcome } from '../network/probe.js'
import { DEFAULT_REQUEST } from '../network/request.js'
import { KernelLab, labNetworkOf } from './lab.js'
import { helperPath, LabError } from './lab-process.js'

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
  readonly backend: BackendId
  readonly rules: readonly string[]
  /** To the sender itself. */
  readonly loopback?: boolean
}

/** As docs/overhead.md derives the constants. */
const PATHS = {
  loopback: { name: 'loopback', backend: 'calico-none', rules: [], loopback: true },
  routed: { name: 'Calico, no tunnel', backend: 'calico-none', rules: [] },
  bridged: { name: 'flannel host-gw', backend: 'flannel-host-gw', rules: [] },
  tunnelled: { name: 'flannel vxlan', backend: 'flannel-vxlan', rules: [] },
  routedTunnel: { name: 'Calico VXLAN', backend: 'calico-vxlan', rules: [] },
  fewRules: { name: 'host-gw, 200 rules', backend: 'flannel-host-gw', rules: notMatching(200) },
  manyRules: { name: 'host-gw, 2,000 rules', backend: 'flannel-host-gw', rules: notMatching(2000) },
  tracked: { name: 'host-gw, conntrack', backend: 'flannel-host-gw', rules: [CONNTRACK_RULE] },
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
  readonly networks: CalibrationNetworks
  readonly prefix: string
  readonly rounds: number
  readonly kernel: string
  readonly progress?: (done: number, total: number, name: string) => void
}

/** What is to be made. */
export type CalibrationNetworks = ReadonlyMap<PathId, Network>

export function calibrationNetworks(): CalibrationNetworks {
  return new Map((Object.keys(PATHS) as PathId[]).map((id) => [id, networkOf(PATHS[id])]))
}

/** @throws LabError when this machine will not */
export async function calibrate({ networks, prefix, rounds, kernel, progress }: CalibrateOptions): Promise<Calibration> {
  const ids = [...networks.keys()]
  const tracks = new Map<PathId, Track>()
  try {
    for (const [id, network] of networks) tracks.set(id, await Track.start(network, PATHS[id], `${prefix}${ids.indexOf(id)}-`))
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
    const { rounds: ns, counts, medianNs } = track
    return { name: PATHS[id].name, rounds: ns, measuredNs: Math.round(medianNs), modelNs: cpuNs(counts, known) }
  })
  return { paths, costs: known }
}

/** Each constant is what is left of the difference of two paths when those known already are taken away. */
function solved(tracks: ReadonlyMap<PathId, Pick<Track, 'medianNs' | 'counts'>>, kernel: string): Readonly<Record<CostName, CostConstant>> {
  let costs: Readonly<Record<CostName, CostConstant>> = COSTS
  const of = (id: PathId): Pick<Track, 'medianNs' | 'counts'> => {
    const track = tracks.get(id)
    assert(track !== undefined, `${id} was measured`)
    return track
  }
  const withNs = (cost: CostName, ns: number): Readonly<Record<CostName, CostConstant>> => ({ ...costs, [cost]: { ...costs[cost], ns } })
  for (const { cost, of: path, less } of STEPS) {
    const { medianNs, counts } = of(path)
    const base = less === undefined ? undefined : of(less)
    const difference = (constants: Readonly<Record<CostName, CostConstant>>): number =>
      cpuNs(counts, constants) - (base === undefined ? 0 : cpuNs(base.counts, constants))
    const rest = medianNs - (base?.medianNs ?? 0) - difference(withNs(cost, 0))
    const units = difference(withNs(cost, 1)) - difference(withNs(cost, 0))
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

  static async start(network: Network, { loopback = false }: PathSpec, prefix: string): Promise<Track> {
    const [from, other] = network.pods
    const to = loopback ? from : other
    const target = loopback ? '127.0.0.1' : formatIp(to.address)
    const counts = countsOf(network, `${target}:${PORT}`)
    const lab = await KernelLab.start(labNetworkOf(network), { prefix, bare: true })
    const track = new Track({ lab, counts, from: from.dataplane.netns, to: to.dataplane.netns, target })
    try {
      await lab.warm()
      await lab.spawn(track.to, ['python3', helperPath('load.py'), 'take', String(PORT)], '/dev/null')
      track.packets = Math.max(FIRST_PACKETS, Math.round(TURN_NS / (await track.send())))
      return track
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  get medianNs(): number {
    return median(this.rounds)
  }

  async turn(): Promise<void> {
    this.rounds.push(await this.send())
  }

  async close(): Promise<void> {
    await this.lab.close()
  }

  /** ns a datagram. @throws LabError */
  private async send(): Promise<number> {
    const words = ['python3', helperPath('load.py'), 'send', this.target, String(PORT), String(PAYLOAD), String(this.packets)]
    const { status, stdout, stderr } = await this.lab.run(this.from, words)
    const ns = Number(stdout)
    if (status !== 0 || !(ns > 0)) throw new LabError(`the datagrams could not be sent: ${stderr.trim()}`, '')
    return ns
  }
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

const SEGMENT = { name: 's0', cidr: cidr(ip('192.168.0.0'), 24), router: ip('192.168.0.254'), mtu: 1500, latency: 0, rate: 1e10 }
const NODES = ['a', 'b'].map((name, index) => ({ name, address: ip(`192.168.0.${index + 1}`), prefixLength: 24, mtu: 1500 }))

function networkOf({ backend, rules }: PathSpec): Network {
  return overlayNetwork(backend, { nodes: NODES, segments: [SEGMENT], pods: cidr(ip('10.244.0.0'), 16), iptables: [...BARE, ...rules] }, SEED)
}
