/**
 * BIRD daemons of this machine in network namespaces on one bridge, each with a configuration that netsim wrote; what the kernel then has,
 * and what crossed the bridge.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatCidr } from '../../src/base/cidr.js'
import { formatIp } from '../../src/base/ip.js'
import { birdText } from '../../src/calico/bgp/bird-text.js'
import type { AlienRoute, BirdHost } from '../../src/calico/bgp/bird-host.js'
import type { BirdConfig } from '../../src/calico/bgp/config.js'
import type { Destination } from '../../src/calico/bgp/route.js'

export interface RealBird {
  readonly path: string
  readonly major: 1 | 2
}

/** The BIRDs that can be run: the system's, and one named by NETSIM_BIRD1 (Debian's package bird, unpacked anywhere). */
export function realBirds(): RealBird[] {
  if (process.getuid?.() !== 0) return []
  return [process.env.NETSIM_BIRD1, '/usr/sbin/bird'].flatMap((path) => {
    if (path === undefined || !existsSync(path)) return []
    const version = / version (\d)/.exec(text(path, ['--version']))?.[1]
    return version === '1' || version === '2' ? [{ path, major: Number(version) as 1 | 2 }] : []
  })
}

function text(command: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  return `${stdout}${stderr}`
}

const ip = (args: string): string => execFileSync('ip', args.split(' '), { encoding: 'utf8' })

export interface Traffic {
  readonly opens: number
  readonly keepalives: number
  readonly notifications: number
  /** UPDATEs longer than End-of-RIB. */
  readonly updates: number
  readonly endOfRib: number
  readonly bytes: number
}

function alienText({ prefix, destination, facts }: AlienRoute): string {
  const common = `${formatCidr(prefix)} proto ${facts.source}${facts.metric === 0 ? '' : ` metric ${facts.metric}`}`
  return `${destination.kind === 'router' || destination.kind === 'device' ? '' : `${destination.kind} `}${common}${wayText(destination)}`
}

function wayText(destination: Destination): string {
  if (destination.kind === 'router') return ` via ${formatIp(destination.gateway)} dev ${destination.device}`
  return destination.kind === 'device' ? ` dev ${destination.device}` : ''
}

/** How many a process has made, so that several can stand side by side. */
let labs = 0

interface StartOptions {
  /** All BGP on the bridge is written down; for `traffic()`. */
  readonly capture?: boolean
  /** The configuration of a node, where it is not the plain one. */
  readonly text?: (config: BirdConfig, plain: string) => string
}

export class BirdLab {
  private readonly prefix: string
  private readonly folder = mkdtempSync(join(tmpdir(), 'netsim-bird-'))
  private readonly children: ChildProcess[] = []
  private readonly daemons = new Map<string, ChildProcess>()
  private readonly bird: RealBird
  private readonly configs: readonly BirdConfig[]

  /** @param hosts what each daemon shall find: devices beside eth0, others' routes; absent: nothing */
  constructor(bird: RealBird, configs: readonly BirdConfig[], hosts: ReadonlyMap<string, BirdHost> = new Map()) {
    this.bird = bird
    this.configs = configs
    this.prefix = `nb${process.pid % 10_000}x${labs++}`
    try {
      this.build(hosts)
    } catch (error) {
      this.stop()
      throw error
    }
  }

  private build(hosts: ReadonlyMap<string, BirdHost>): void {
    const { configs } = this
    ip(`netns add ${this.namespace('wire')}`)
    ip(`-n ${this.namespace('wire')} link add br0 type bridge`)
    ip(`-n ${this.namespace('wire')} link set br0 up`)
    configs.forEach((config, i) => this.addNode(config, i))
    for (const [name, host] of hosts) this.furnish(name, host)
  }

  private furnish(name: string, { devices, aliens }: BirdHost): void {
    const own = this.namespace(name)
    devices
      .filter((one) => one.name !== 'eth0')
      .forEach((device, i) =>
        this.addDevice(own, device.name, { far: `far${i}`, addresses: device.addresses.map((one) => `${formatIp(one.address)}/${one.length}`) }),
      )
    for (const alien of aliens) ip(`-n ${own} route add ${alienText(alien)}`)
  }

  namespace(name: string): string {
    return `${this.prefix}-${name}`
  }

  private addNode(config: BirdConfig, i: number): void {
    const own = this.namespace(config.name)
    ip(`netns add ${own}`)
    ip(`-n ${own} link set lo up`)
    ip(`link add eth0 netns ${own} type veth peer name p${i} netns ${this.namespace('wire')}`)
    ip(`-n ${own} addr add ${formatIp(config.routerId)}/24 dev eth0`)
    ip(`-n ${own} link set eth0 up`)
    ip(`-n ${this.namespace('wire')} link set p${i} master br0 up`)
  }

  /** A device of that name, up, with its other end beside it. */
  private addDevice(own: string, name: string, { far, addresses }: { readonly far: string; readonly addresses: readonly string[] }): void {
    ip(`-n ${own} link add ${name} type veth peer name ${far}`)
    for (const address of addresses) ip(`-n ${own} addr add ${address} dev ${name}`)
    ip(`-n ${own} link set ${far} up`)
    ip(`-n ${own} link set ${name} up`)
  }

  /** A device of that name in every node, whatever its kind: BIRD asks for no more. */
  addTunnels(addressOf: (config: BirdConfig) => string): void {
    for (const config of this.configs) {
      const own = this.namespace(config.name)
      this.addDevice(own, 'tunl0', { far: 'tunl0-peer', addresses: [`${addressOf(config)}/32`] })
    }
  }

  /** Starts every daemon, within milliseconds of one another; with a capture of all BGP on the bridge's ports. */
  start({ capture = true, text: written = (_config, plain) => plain }: StartOptions = {}): void {
    if (capture) {
      this.run('wire', ['tcpdump', '-i', 'br0', '--immediate-mode', '-U', '-w', join(this.folder, 'bgp.pcap'), 'tcp', 'port', '179'])
      execFileSync('ip', ['-n', this.namespace('wire'), 'link', 'set', 'br0', 'promisc', 'on'])
      execFileSync('sleep', ['0.5'])
    }
    for (const config of this.configs) {
      this.configure(config, written(config, birdText(config, this.bird.major === 1 ? 'calico' : 'bird2')))
      this.startDaemon(config.name)
    }
  }

  private configure(config: BirdConfig, written: string): void {
    writeFileSync(join(this.folder, `${config.name}.conf`), written)
  }

  /** @param recover with -R, as calico-node starts it */
  startDaemon(name: string, { recover = false } = {}): void {
    const file = (suffix: string): string => join(this.folder, `${name}.${suffix}`)
    const words = ['-f', ...(recover ? ['-R'] : []), '-c', file('conf'), '-s', file('ctl'), '-P', file('pid')]
    this.daemons.set(name, this.run(name, [this.bird.path, ...words]))
  }

  /** A signal to the daemon of a node. @returns once it is gone */
  async signal(name: string, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.daemons.get(name)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) throw new Error(`${name}: its BIRD does not run`)
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  /** confd wrote another configuration and reloads it. */
  reload(config: BirdConfig, written: (config: BirdConfig, plain: string) => string): void {
    this.configure(config, written(config, birdText(config, this.bird.major === 1 ? 'calico' : 'bird2')))
    this.daemons.get(config.name)?.kill('SIGHUP')
  }

  /** Takes a node off the bridge, or puts it back: its card stays up, its frames go nowhere. */
  cable(name: string, plugged: boolean): void {
    const port = this.configs.findIndex((config) => config.name === name)
    ip(`-n ${this.namespace('wire')} link set p${port} ${plugged ? 'master br0' : 'nomaster'}`)
  }

  private run(name: string, command: readonly string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.namespace(name), ...command], { stdio: 'ignore' })
    this.children.push(child)
    return child
  }

  /** `ip route` of a node, BIRD's own. */
  routes(name: string): string[] {
    return ip(`-n ${this.namespace(name)} route show proto bird`)
      .split('\n')
      .map((line) => line.trim().replace(/ {2,}/g, ' '))
      .filter((line) => line !== '')
      .sort()
  }

  traffic(): Traffic {
    const fields = text('tshark', ['-r', join(this.folder, 'bgp.pcap'), '-Y', 'bgp', '-T', 'fields', '-e', 'bgp.type', '-e', 'bgp.length'])
    const messages = fields
      .split('\n')
      .filter((line) => /^\d/.test(line))
      .flatMap((line) => {
        const [types, lengths] = line.split('\t').map((column) => column.split(',').map(Number))
        return types.map((type, i) => ({ type, length: lengths[i] }))
      })
    const count = (type: number, long?: boolean): number =>
      messages.filter((message) => message.type === type && (long === undefined || message.length > 23 === long)).length
    return {
      opens: count(1),
      updates: count(2, true),
      endOfRib: count(2, false),
      notifications: count(3),
      keepalives: count(4),
      bytes: messages.reduce((sum, { length }) => sum + length, 0),
    }
  }

  stop(): void {
    for (const child of this.children) child.kill('SIGTERM')
    for (const { name } of this.configs) text('ip', ['netns', 'del', this.namespace(name)])
    text('ip', ['netns', 'del', this.namespace('wire')])
    rmSync(this.folder, { recursive: true, force: true })
  }
}
