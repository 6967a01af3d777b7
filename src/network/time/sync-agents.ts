/**
 * One kind of agent that writes what the API says into its node's kernel (Felix, kube-proxy), on every node: when it hears of a version, when it writes,
 * and what it misses while it is stopped, or its node is off or cut off. A process that ends leaves in the kernel what it wrote.
 *
 *   version ─ watch ─▶ heard (if the API can be reached) ─ throttle ─▶ written        stopped: nothing; started again: the newest, after its start
 */
import type { Timer } from '../../sim/timers.js'
import type { RunContext } from './agents.js'
import type { DiaryAgent } from './diary.js'
import { NONE_SINCE_BOOT, type ClusterVersion, type NodeState } from './network-state.js'

export interface SyncKind {
  readonly agent: Extract<DiaryAgent, 'felix' | 'kube-proxy'>
  /** Where the version that is written stands. */
  readonly field: 'felix' | 'kubeProxy'
  /** From the write to the API until its watch tells, ns; undefined: nothing that it watches is another. */
  heardAfterNs(before: ClusterVersion | undefined, version: ClusterVersion): number | undefined
  /** false: the version has no Node for it; it stays with what it wrote. */
  knows(node: string, version: number): boolean
  /** Is anything of the node's kernel another? @param from NONE_SINCE_BOOT: nothing is written yet */
  changes(node: string, from: number, to: number): boolean
  /** ns until it may write. */
  waitNs(node: string): number
  /** Written now. */
  wrote(node: string): void
  /** What it has written, for people. */
  words(version: number, first: boolean): string
}

interface Process {
  /** It has read the API since it started. */
  runs: boolean
  power: boolean
  /** Version that it has heard of. */
  heard: number
  writing: Timer | undefined
  cause: number | undefined
  /** Starts so far: one that was overtaken counts no more. */
  starts: number
}

export interface SyncAgentsOptions {
  readonly context: RunContext
  readonly kind: SyncKind
  /** Of the agent's node: does the API server answer? */
  readonly reaches: (node: string) => boolean
}

export class SyncAgents {
  restsAtNs = 0
  private readonly kind: SyncKind
  private readonly context: RunContext
  private readonly reaches: (node: string) => boolean
  private readonly processes = new Map<string, Process>()
  private newest: ClusterVersion | undefined

  constructor({ context, kind, reaches }: SyncAgentsOptions) {
    this.context = context
    this.kind = kind
    this.reaches = reaches
  }

  get nodes(): Iterable<string> {
    return this.processes.keys()
  }

  /** Those that have read the API and may write. */
  running(): number {
    let count = 0
    for (const { runs } of this.processes.values()) if (runs) count++
    return count
  }

  boot(nodes: readonly string[]): void {
    this.newest = this.context.version()
    for (const node of nodes) this.added(node, undefined)
  }

  versionChanged(version: ClusterVersion, cause: number | undefined): void {
    const afterNs = this.kind.heardAfterNs(this.newest, version)
    this.newest = version
    if (afterNs === undefined) return
    this.later(afterNs, () => {
      for (const node of this.processes.keys()) this.hear(node, version.number, cause)
    })
  }

  /** Power or cable is another, or the node is new. */
  nodeChanged(node: string, cause: number): void {
    const process = this.processes.get(node)
    if (process === undefined) return this.added(node, cause)
    const { power } = this.context.node(node)
    if (!power && process.power) {
      process.power = false
      this.end(process)
      this.setVersion(node, NONE_SINCE_BOOT, cause)
    } else if (power && !process.power) {
      process.power = true
      this.launch(node, this.context.delays['host.boot'], cause)
    } else if (power && this.reaches(node)) {
      // what it missed it hears once its watch is up again
      this.later(this.context.delays['apiserver.watch'], () => this.catchUp(node, cause))
    }
  }

  stop(node: string, cause: number): boolean {
    const process = this.processes.get(node)
    if (process?.power !== true) return false
    this.end(process)
    this.tell(node, `${this.kind.agent} has ended: the kernel keeps what it wrote`, cause)
    return true
  }

  /** Also one that runs: it starts anew. */
  start(node: string, cause: number): boolean {
    const process = this.processes.get(node)
    if (process?.power !== true) return false
    this.end(process)
    this.launch(node, 0, cause)
    return true
  }

  private added(node: string, cause: number | undefined): void {
    const { power } = this.context.node(node)
    this.processes.set(node, { runs: false, power, heard: NONE_SINCE_BOOT, writing: undefined, cause, starts: 0 })
    this.setVersion(node, NONE_SINCE_BOOT, cause)
    if (power) this.launch(node, 0, cause)
  }

  private launch(node: string, bootNs: number, cause: number | undefined): void {
    const process = this.processes.get(node) as Process
    const start = ++process.starts
    const { delays } = this.context
    this.later(bootNs + delays['agent.start'] + delays['apiserver.watch'], () => {
      if (process.starts !== start) return
      process.runs = true
      if (cause !== undefined) this.tell(node, `${this.kind.agent} has started`, cause)
      this.catchUp(node, cause)
    })
  }

  private end(process: Process): void {
    process.starts++
    process.runs = false
    process.heard = NONE_SINCE_BOOT
    process.writing?.cancel()
    process.writing = undefined
  }

  private catchUp(node: string, cause: number | undefined): void {
    this.hear(node, this.context.version().number, cause)
  }

  private hear(node: string, version: number, cause: number | undefined): void {
    const process = this.processes.get(node) as Process
    if (!process.runs || process.heard >= version || !this.reaches(node) || !this.kind.knows(node, version)) return
    process.heard = version
    process.cause = cause ?? process.cause
    if (process.writing !== undefined || !this.kind.changes(node, this.written(node), version)) return
    process.writing = this.later(this.kind.waitNs(node), () => {
      process.writing = undefined
      this.write(node, process)
    })
  }

  private write(node: string, process: Process): void {
    const { agent } = this.kind
    const from = this.written(node)
    this.kind.wrote(node)
    const what = this.kind.words(process.heard, from < 0)
    const cause = this.context.diary.add({ agent, kind: 'sync', node, what, ...(process.cause === undefined ? {} : { cause: process.cause }) })
    this.setVersion(node, process.heard, cause)
  }

  private written(node: string): number {
    return this.context.node(node)[this.kind.field]
  }

  private setVersion(node: string, version: number, cause: number | undefined): void {
    const change: Partial<NodeState> = this.kind.field === 'felix' ? { felix: version } : { kubeProxy: version }
    this.context.setNode(node, change, cause)
  }

  private tell(node: string, what: string, cause: number): void {
    this.context.diary.add({ agent: this.kind.agent, kind: 'agent', node, what, cause })
  }

  private later(delayNs: number, run: () => void): Timer {
    const timer = this.context.timers.after(delayNs, run)
    this.restsAtNs = Math.max(this.restsAtNs, timer.dueNs)
    return timer
  }
}
