/**
 * A network that netsim has built, made for real in network namespaces of this machine. All of it hangs on one helper process (porter.py):
 * the namespaces have names only in that process's own mount namespace and are held by it alone, so that when it ends, however it ends,
 * the kernel takes everything away.
 *
 *   Network ─▶ LabNetwork ─▶ plan (build-plan.ts: batches of ip, bridge, iptables-restore, …) ─▶ porter.py ─▶ namespaces
 *   LabProbe ─▶ porter.py: sends, copies every frame from mapped rings ─▶ Sighting
 */
import { isBeyond } from '../net/netns.js'
import type { Network } from '../network/network.js'
import { buildPlan, type LabPlan } from './build-plan.js'
import { probeMessage, sightingOf, type SightingMessage } from './lab-message.js'
import { Porter } from './lab-process.js'
import { KernelSymbols } from './lab-symbols.js'
import type { CommandResult, LabNetwork, LabOptions, LabProbe, NotBuilt, Sighting } from './lab-types.js'
import { coldState, warmNeighbours, warmState, type StateMessage } from './lab-warm.js'

/** What a lab needs of a network that netsim has built. */
export function labNetworkOf(network: Network): LabNetwork {
  const { cluster, specs, world, flannel } = network
  const segments = cluster.segments.map(({ name, mtu, latency, rate }) => ({ name, mtu, latencyNs: latency, rateBps: rate }))
  const proxies = [...(flannel?.parts ?? [])].flatMap(([netns, { proxy }]) => (proxy === undefined ? [] : [{ ...proxy, netns }]))
  return { specs, segments, world, proxies }
}

const BUILD_MS = 120_000
const STATE_MS = 60_000

/** One kernel, however many labs. */
const SYMBOLS = new KernelSymbols()

export class KernelLab {
  /** Devices that this kernel cannot make. */
  readonly notBuilt: readonly NotBuilt[]
  /** What a command of the build said although it went on, `netns: command: complaint`. */
  readonly complaints: readonly string[]
  private readonly network: LabNetwork
  private readonly plan: LabPlan
  private readonly porter: Porter
  /** The warm state, which the network alone decides. */
  private known: StateMessage | undefined

  private constructor(parts: { network: LabNetwork; plan: LabPlan; porter: Porter; complaints: readonly string[] }) {
    this.network = parts.network
    this.plan = parts.plan
    this.porter = parts.porter
    this.notBuilt = parts.plan.notBuilt
    this.complaints = parts.complaints
  }

  /** Builds it all. @throws LabError when this machine will not; then nothing remains. */
  static async start(network: LabNetwork, options: LabOptions): Promise<KernelLab> {
    const porter = await Porter.start(options.prefix)
    try {
      const lacking = await porter.lackingKinds(network.specs.flatMap(({ dataplane }) => dataplane.devices.map(({ kind }) => kind)))
      const plan = buildPlan(network, options, lacking)
      const watched = options.bare === true ? [] : network.specs.filter(({ role }) => options.routers === true || !isBeyond({ role }))
      const captured = watched.map(({ dataplane }) => dataplane.netns)
      const { complaints } = await porter.ask<{ complaints: readonly string[] }>({ op: 'build', plan, captured }, { timeoutMs: BUILD_MS })
      return new KernelLab({ network, plan, porter, complaints })
    } catch (error) {
      await porter.stop()
      throw error
    }
  }

  /**
   * The state that a warm question starts from: each neighbour that would answer is REACHABLE, bridges know their stations, connections and
   * path MTUs are forgotten. No packet is sent for it. `addresses`: more next hops to know, such as the probe's destination.
   */
  async warm(addresses: readonly number[] = []): Promise<void> {
    this.known ??= warmState(this.network)
    const more = addresses.length === 0 ? [] : warmNeighbours(this.network, addresses)
    await this.porter.ask({ op: 'state', ...this.known, neighbours: [...this.known.neighbours, ...more] }, { timeoutMs: STATE_MS })
  }

  /** No dynamic neighbour, nothing learned. */
  async cold(): Promise<void> {
    await this.porter.ask({ op: 'state', ...coldState() }, { timeoutMs: STATE_MS })
  }

  async send(probe: LabProbe): Promise<Sighting> {
    const timeoutMs = Math.ceil((probe.predictedNs ?? 0) / 1e6) + 30_000
    const message = await this.porter.ask<SightingMessage>({ op: 'send', ...probeMessage(probe) }, { timeoutMs })
    return sightingOf(message, SYMBOLS)
  }

  /** Runs a command in a netns, for ten seconds at most. `netns`: a Dataplane's name. */
  async run(netns: string, command: readonly string[], input = ''): Promise<CommandResult> {
    return await this.porter.ask<CommandResult>({ op: 'run', netns, command, input }, { timeoutMs: 15_000 })
  }

  /**
   * Starts a daemon in a netns (bird, etcd); it ends with the lab at the latest. Its output goes to `log`, a file. `tun`: a TUN device that it
   * gets as its standard input, in place of the lab's own proxy. @returns its process id
   */
  async spawn(netns: string, command: readonly string[], log: string, { tun = '' }: { readonly tun?: string } = {}): Promise<number> {
    const { pid } = await this.porter.ask<{ pid: number }>({ op: 'spawn', netns, command, log, tun })
    return pid
  }

  /** Whatever the lab has listening at a port of a netns is closed, for a real server that is to have it. */
  async release(netns: string, proto: 'tcp' | 'udp', port: number): Promise<void> {
    await this.porter.ask({ op: 'release', netns, proto, port })
  }

  /** Words that, put before a command, run it in the netns from outside: for a person's shell, for `ip netns` names see `nameOf`. */
  enter(netns: string): readonly string[] {
    return [
      'nsenter',
      '-t',
      String(this.porter.pid),
      ...(this.porter.userNamespace ? ['-U', '--preserve-credentials'] : []),
      '-m',
      'ip',
      'netns',
      'exec',
      this.nameOf(netns),
    ]
  }

  /** The name of the network namespace that stands for a netns. */
  nameOf(netns: string): string {
    return this.plan.names[netns] ?? ''
  }

  /** Resolves when the helper process has ended, by whatever means, and everything with it. */
  get gone(): Promise<void> {
    return this.porter.gone
  }

  /** Everything is gone when this resolves. Safe to call twice, and after errors. */
  async close(): Promise<void> {
    await this.porter.stop()
  }
}
