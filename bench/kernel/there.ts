/**
 * The network as this machine's kernel has it, and what a packet costs there. A path through the kernel alone runs in softirqs inside the system calls of
 * the sender, whose thread pays for all of it. With flannel's udp backend proxy.c stands behind each TUN device in place of the lab's own proxy, and what
 * a packet costs is the sender's thread and both proxies.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatIp } from '../../src/base/ip.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import { LabError } from '../../src/kernel/lab-process.js'
import type { LabProxy } from '../../src/kernel/lab-types.js'
import type { Network } from '../../src/network/network.js'
import { PAYLOAD, PORT } from '../forward-network.js'

/** The first node, its pod and its proxy; the second's. */
const CPUS = [0, 1]
const FIRST_PACKETS = 2000
/** Under way at once through proxies: fewer than a TUN device's queue has room for (500), or a socket's buffer (277 of this size, of 212,992 bytes). */
const WINDOW = 128

/** What bench/kernel/ has in C, and the FIFO between sender and taker. */
export interface Programs {
  readonly sender: string
  readonly proxy: string
  readonly fifo: string
}

export function compiledPrograms(folder: string): Programs {
  const fifo = join(folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  return { sender: compiled(folder, 'sender'), proxy: compiled(folder, 'proxy'), fifo }
}

/** @throws LabError: no compiler */
export function compiled(folder: string, name: string): string {
  const program = join(folder, name)
  try {
    execFileSync('cc', ['-O2', '-o', program, `bench/kernel/${name}.c`], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    throw new LabError(`bench/kernel/${name}.c does not compile: ${(error as Error).message}`, 'apt-get install gcc libc6-dev')
  }
  return program
}

/** The words after `run` and `try`: ROUTE as proxy.c has it. */
export function routeWords({ routes }: Pick<LabProxy, 'routes'>): readonly string[] {
  return routes.map(({ subnet, nextHop, port }) => `${formatIp(subnet.base)}/${subnet.length}=${formatIp(nextHop)}:${port}`)
}

/** In place of the lab's own; they end with the lab. @returns their process ids */
export async function startProxies(lab: KernelLab, proxies: readonly LabProxy[], program: string): Promise<readonly number[]> {
  const pids: number[] = []
  for (const [index, proxy] of proxies.entries()) {
    const { netns, device, tunAddress, tunMtu, address, port } = proxy
    const own = [formatIp(address), String(port), String(CPUS[index % CPUS.length]), formatIp(tunAddress), String(tunMtu)]
    pids.push(await lab.spawn(netns, [program, 'run', ...own, ...routeWords(proxy)], '/dev/null', { tun: device }))
  }
  return pids
}

/** CPU of a process of one thread that sleeps, nanoseconds (sum_exec_runtime). */
function cpuOf(pid: number): number {
  const file = `/proc/${pid}/schedstat`
  if (!existsSync(file)) throw new LabError(`${file} is missing`, 'The proxy has ended, or the kernel is built without SCHED_INFO.')
  return Number(readFileSync(file, 'utf8').split(' ')[0])
}

export class There {
  private readonly lab: KernelLab
  private readonly programs: Programs
  private readonly from: string
  private readonly to: string
  private readonly destination: string
  private readonly proxies: readonly number[]
  private packets = FIRST_PACKETS

  private constructor(lab: KernelLab, network: Network, { programs, proxies }: { readonly programs: Programs; readonly proxies: readonly number[] }) {
    const [from, to] = network.pods
    this.lab = lab
    this.programs = programs
    this.from = from.dataplane.netns
    this.to = to.dataplane.netns
    this.destination = formatIp(to.address)
    this.proxies = proxies
  }

  /** @param turnNs CPU of a turn @throws LabError: this machine will not */
  static async start(network: Network, programs: Programs, turnNs: number): Promise<There> {
    const labNetwork = labNetworkOf(network)
    const prefix = `netsim-${process.pid}-`
    const { missing } = await checkKernel(labNetwork, prefix)
    if (missing.length > 0) throw new LabError(missing.map(({ what }) => what).join('; '), missing[0].fix)
    const lab = await KernelLab.start(labNetwork, { prefix, bare: true })
    try {
      await lab.warm()
      const there = new There(lab, network, { programs, proxies: await startProxies(lab, labNetwork.proxies, programs.proxy) })
      await lab.spawn(there.to, [programs.sender, 'take', String(PORT), String(CPUS[1]), ...there.pace], '/dev/null')
      there.packets = Math.max(FIRST_PACKETS, Math.round(turnNs / (await there.turn())))
      await there.turn()
      return there
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  /** ns a packet. @throws LabError when the pod's device did not see them all */
  async turn(): Promise<number> {
    const before = { received: await this.received(), proxies: this.proxiesNs() }
    const words = [this.programs.sender, 'send', this.destination, ...[PORT, PAYLOAD, this.packets, CPUS[0]].map(String), ...this.pace]
    const { status, stdout, stderr } = await this.lab.run(this.from, words)
    if (status !== 0) throw new LabError(`the sender failed: ${stderr}`, '')
    const arrived = (await this.received()) - before.received
    if (arrived < this.packets) throw new LabError(`${arrived} of ${this.packets} packets arrived on the kernel`, '')
    // the proxies had those too that the sender sent before its clock started
    return Number(stdout) + (this.proxiesNs() - before.proxies) / arrived
  }

  async close(): Promise<void> {
    await this.lab.close()
  }

  private get pace(): readonly string[] {
    return this.proxies.length === 0 ? [] : [String(WINDOW), this.programs.fifo]
  }

  private proxiesNs(): number {
    return this.proxies.reduce((sum, pid) => sum + cpuOf(pid), 0)
  }

  private async received(): Promise<number> {
    const { stdout } = await this.lab.run(this.to, ['ip', '-s', '-j', 'link', 'show', 'eth0'])
    const [link] = JSON.parse(stdout) as { readonly stats64: { readonly rx: { readonly packets: number } } }[]
    return link.stats64.rx.packets
  }
}
