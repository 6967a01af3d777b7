/** Every change of the kernel's routes in some namespaces, with the moment in which `ip monitor` told of it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'

export interface RouteEvent {
  /** Milliseconds of this process's monotonic clock. */
  readonly ms: number
  readonly node: string
  readonly prefix: string
  readonly kind: 'there' | 'gone'
}

export class RouteClock {
  readonly events: RouteEvent[] = []
  private readonly children: ChildProcess[] = []

  /** @param namespaces by the node's name */
  constructor(namespaces: ReadonlyMap<string, string>) {
    for (const [node, namespace] of namespaces) {
      const child = spawn('ip', ['-n', namespace, 'monitor', 'route'], { stdio: ['ignore', 'pipe', 'ignore'] })
      this.children.push(child)
      createInterface({ input: child.stdout }).on('line', (line) => this.line(node, line))
    }
  }

  /** Each has its socket: whatever happens from now on is heard. */
  async ready(): Promise<void> {
    const listening = (pid: number | undefined): boolean => {
      try {
        return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:'))
      } catch {
        return false
      }
    }
    await until(() => this.children.every(({ pid }) => listening(pid)), 10)
  }

  private line(node: string, line: string): void {
    const found = /^(Deleted )?(?:unicast |blackhole )?(\d\S*) .*proto bird/.exec(line)
    if (found !== null) this.events.push({ ms: performance.now(), node, prefix: found[2], kind: found[1] === undefined ? 'there' : 'gone' })
  }

  /** When the nodes' kernels first lost or got the prefix after a moment: seconds after it, by node. */
  since(startMs: number, kind: RouteEvent['kind'], prefix: string): Map<string, number> {
    const times = new Map<string, number>()
    for (const event of this.events) {
      if (event.ms >= startMs && event.kind === kind && event.prefix === prefix && !times.has(event.node)) times.set(event.node, (event.ms - startMs) / 1000)
    }
    return times
  }

  stop(): void {
    for (const child of this.children) child.kill('SIGKILL')
  }
}

/** Until that holds, or the time is over: what is then asserted says which. */
export async function until(holds: () => boolean, seconds: number): Promise<void> {
  const deadline = performance.now() + seconds * 1000
  while (performance.now() < deadline && !holds()) await new Promise((resolve) => setTimeout(resolve, 100))
}
