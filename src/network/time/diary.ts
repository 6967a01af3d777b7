/** What happened in a run, in order: the control plane's diary. Entries know what brought them about. */

export const DIARY_AGENTS = [
  'scenario',
  'apiserver',
  'controller',
  'scheduler',
  'kubelet',
  'node controller',
  'etcd',
  'flanneld',
  'felix',
  'kube-proxy',
  'bird',
  'kernel',
] as const

/** Who did it, or where it shows. */
export type DiaryAgent = (typeof DIARY_AGENTS)[number]

export const DIARY_KINDS = [
  'event',
  'object',
  'pod',
  'node',
  'agent',
  'lease-taken',
  'lease-renewed',
  'lease-expired',
  'lease-deleted',
  'lease-refused',
  'watch',
  'bgp-session',
  'bgp-message',
  'sync',
  'route',
  'neighbour',
  'fdb',
  'rules',
  'ipset',
  'device',
  'cable',
] as const

export type DiaryKind = (typeof DIARY_KINDS)[number]

export interface DiaryEntry {
  /** Its place in the diary. */
  readonly id: number
  /** Virtual time of the scenario, ns; below 0 while the agents start (start: converged). */
  readonly atNs: number
  readonly agent: DiaryAgent
  readonly kind: DiaryKind
  /** Where; absent: of the cluster. */
  readonly node?: string
  /** `Pod/shop/web-0`, `10.1.53.0/24`, `Mesh_192_168_0_2`. */
  readonly object?: string
  /** One line, without time and node: `lease 10.1.53.0/24 expired`. */
  readonly what: string
  /** What brought it about; absent: the start, or a timer of its own. */
  readonly cause?: number
  /** Of messages: on the wire, the protocol's own. */
  readonly bytes?: number
  readonly file?: string
  readonly line?: number
}

export type NewEntry = Omit<DiaryEntry, 'id' | 'atNs'>

export class Diary {
  readonly entries: DiaryEntry[] = []
  /** Of the clock's time: what is time 0 of the scenario. Set once the agents have come to rest. */
  private zeroNs = 0
  private readonly now: () => number
  /** What agents hear in great numbers is kept only where somebody asks for it. */
  readonly keepsWatches: boolean
  /** Messages without an entry, by what brought them about; -1: a timer, or the start. */
  readonly unkept = new Map<number, { count: number; bytes: number }>()

  constructor(now: () => number, options: { readonly keepsWatches: boolean }) {
    this.now = now
    this.keepsWatches = options.keepsWatches
  }

  /** @returns its id, as the cause of what follows */
  add(entry: NewEntry): number {
    const id = this.entries.length
    this.entries.push({ id, atNs: this.now() - this.zeroNs, ...entry })
    return id
  }

  /** Of a message that is only counted. @param cause as of an entry */
  tally(bytes: number, cause = -1): void {
    const sum = this.unkept.get(cause)
    if (sum === undefined) this.unkept.set(cause, { count: 1, bytes })
    else {
      sum.count++
      sum.bytes += bytes
    }
  }

  /** From now on times count from here; what was written so far moves below 0. */
  startHere(): void {
    const shift = this.now() - this.zeroNs
    this.zeroNs += shift
    this.entries.forEach((entry, id) => {
      this.entries[id] = { ...entry, atNs: entry.atNs - shift }
    })
  }

  get(id: number): DiaryEntry {
    return this.entries[id]
  }

  /** From the entry to what began it all; the entry itself last. */
  chain(id: number): readonly DiaryEntry[] {
    const chain: DiaryEntry[] = []
    for (let at: number | undefined = id; at !== undefined; at = this.entries[at].cause) chain.unshift(this.entries[at])
    return chain
  }
}
