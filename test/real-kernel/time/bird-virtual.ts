/** BIRDs in virtual time, handled as the real ones of bird-lab.ts are: cables, signals, starts; and when kernels lost or got a prefix. */
import { Prng } from '../../../src/base/prng.js'
import { BgpWorld } from '../../../src/calico/bgp/bgp-world.js'
import type { BirdConfig, BirdTimers } from '../../../src/calico/bgp/config.js'
import type { BirdFlavour } from '../../../src/calico/bgp/flavour.js'
import { prefixKey } from '../../../src/calico/bgp/route.js'
import { formatCidr } from '../../../src/base/cidr.js'
import { host } from '../../calico/bgp/kit.js'

const SECOND = 1e9
/** Daemons that a shell starts one after the other. */
const START_SPREAD_NS = 60_000_000

interface VirtualEvent {
  readonly seconds: number
  readonly node: string
  readonly prefix: string
  readonly kind: 'there' | 'gone'
}

export interface VirtualOptions {
  readonly flavour: BirdFlavour
  readonly seed: number
  readonly birdTimers?: Partial<BirdTimers>
}

export class VirtualBirds {
  readonly events: VirtualEvent[] = []
  readonly world: BgpWorld
  readonly prng: Prng
  private readonly configs: ReadonlyMap<string, BirdConfig>
  private readonly unplugged = new Set<number>()

  constructor(configs: readonly BirdConfig[], options: VirtualOptions) {
    this.configs = new Map(configs.map((config) => [config.name, config]))
    this.prng = new Prng(options.seed)
    this.world = new BgpWorld({
      ...options,
      path: (from, to) => (this.unplugged.has(from) || this.unplugged.has(to) ? { kind: 'lost' } : { kind: 'open', delayNs: 50_000 }),
      startDelayNs: () => this.prng.below(START_SPREAD_NS),
      onKernel: (bird, prefix) => {
        const there = bird.kernelRoutes().some(({ destination }) => prefixKey(destination) === prefixKey(prefix))
        this.events.push({ seconds: this.now, node: bird.config.name, prefix: formatCidr(prefix), kind: there ? 'there' : 'gone' })
      },
    })
  }

  /** Seconds of virtual time. */
  get now(): number {
    return this.world.simulation.nowNs / SECOND
  }

  private config(name: string): BirdConfig {
    const config = this.configs.get(name)
    if (config === undefined) throw new Error(name)
    return config
  }

  start(): void {
    for (const name of this.configs.keys()) this.startDaemon(name)
  }

  startDaemon(name: string, { recover = false } = {}): void {
    this.world.add(this.config(name), host(Number(name.slice(1))), { recover })
  }

  cable(name: string, plugged: boolean): void {
    const address = this.config(name).routerId
    if (plugged) this.unplugged.delete(address)
    else this.unplugged.add(address)
  }

  signal(name: string, signal: 'SIGTERM' | 'SIGKILL'): void {
    const bird = this.world.birds.get(name)
    if (signal === 'SIGTERM') bird?.shutdown()
    else bird?.kill({ tell: true })
  }

  reload(config: BirdConfig): void {
    this.world.birds.get(config.name)?.reconfigure(config)
  }

  /** Runs until each node has lost or got its prefix. @param pairs `node prefix` @returns seconds from now; without those that never did within the limit */
  runUntil(kind: VirtualEvent['kind'], pairs: readonly string[], limit: number): Map<string, number> {
    const began = this.now
    const seen = this.events.length
    const times = new Map<string, number>()
    while (times.size < pairs.length && this.now < began + limit) {
      this.world.run(0.1)
      for (const event of this.events.slice(seen)) {
        const pair = `${event.node} ${event.prefix}`
        if (event.kind === kind && pairs.includes(pair) && !times.has(pair)) times.set(pair, event.seconds - began)
      }
    }
    return times
  }
}
